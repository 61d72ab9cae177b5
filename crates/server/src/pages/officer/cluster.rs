//! `/cluster`: the servers that keep one ledger, what is wrong with them, and what an operator can do about it.
//!
//! All of it is for officers: addresses between the servers and free disks are nobody else's business. What anybody may
//! know is at `GET /api/v1/cluster`.

use super::super::{OrPage, Page, Shell, page, see_other};
use super::login::login;
use super::{Done, Officer, on_page};
use crate::api::cluster::refusal;
use crate::input::{Input, Query};
use crate::language::{Language, Texts};
use crate::problem::{self, Problem};
use askama::Template;
use axum::response::Response;
use hyper::StatusCode;
use node::cluster_view::{LeaderChange, NodeRole, NodeView, Trouble};
use node::{ClusterRequest, ClusterView};
use std::borrow::Cow;

#[derive(Template)]
#[template(path = "cluster.html")]
struct ClusterPage {
    shell: Shell,
    title: String,
    done: Option<Done>,
    form_token: String,
    is_cluster: bool,
    stands_still: bool,
    summary: String,
    leader: String,
    term: String,
    position: String,
    can_lose: String,
    troubles: Vec<Said>,
    servers: Vec<ServerLine>,
    history: Vec<Led>,
    /// For a new machine.
    command: Option<String>,
}

struct Said {
    title: String,
    text: String,
}

struct ServerLine {
    id: u64,
    name: String,
    is_this: bool,
    is_leader: bool,
    role: Cow<'static, str>,
    address: String,
    node_address: Option<String>,
    position: String,
    behind: String,
    clock: String,
    heard: String,
    disk: String,
    version: String,
    acts: Vec<Act>,
}

struct Act {
    name: &'static str,
    button: String,
    ask: Cow<'static, str>,
    is_danger: bool,
}

/// A line of the history.
struct Led {
    at: String,
    text: String,
}

/// The page, or the login.
pub async fn show(input: Input) -> Page {
    let query = input.query(&["did", "server"]).or_page(&input)?;
    let Some(officer) = Officer::of(&input) else {
        return login(&input, None, "");
    };
    let view = input.app.node.cluster(&input.app.base_url);
    let done = query.get("did").and_then(|act| told(input.texts(), &view, act, &query));
    Ok(shown(&input, &officer, &view, done))
}

/// Addresses that take forms only lead to the page.
pub async fn begin_again(_: Input) -> Page {
    Ok(see_other("/cluster"))
}

/// One of the acts, which asks to be sure.
pub async fn act(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let name = input.param("act").to_owned();
    let (input, officer, form) = Officer::posting(input).await?;
    let node = form.get("server").parse::<u64>().ok();
    let (app, t) = (&input.app, input.texts());
    let found = node.and_then(|node| Some((request(&name, node)?, node)));
    let Some((request, node)) = found else {
        return Err(super::Refusal::new(&input, Problem::plain(&problem::NOT_FOUND)));
    };
    let done = if form.get("sure") != "yes" {
        Done::fault(t, t.say("cluster-not-sure").into_owned())
    } else {
        match app.node.change_cluster(request).await {
            Ok(()) => return Ok(see_other(&format!("/cluster?did={name}&server={node}"))),
            Err(error) => on_page(&input, refusal(&error))?,
        }
    };
    Ok(shown(&input, &officer, &app.node.cluster(&app.base_url), Some(done)))
}

fn request(act: &str, node: u64) -> Option<ClusterRequest> {
    Some(match act {
        "promote" => ClusterRequest::Promote(node),
        "remove" => ClusterRequest::Remove(node),
        "transfer" => ClusterRequest::Transfer(node),
        "drain" => ClusterRequest::Drain(node),
        _ => return None,
    })
}

/// What an act came to, as long as it is so.
fn told(t: Texts, view: &ClusterView, act: &str, query: &Query) -> Option<Done> {
    let node = query.number("server").ok()??;
    let role = view.nodes.iter().find(|line| line.id == node).map(|line| line.role);
    let (id, holds) = match act {
        "transfer" => ("cluster-did-transfer", view.leader == Some(node)),
        "drain" => ("cluster-did-drain", role.is_some() && view.leader != Some(node)),
        "promote" => ("cluster-did-promote", role.is_some_and(|role| role != NodeRole::Learner)),
        "remove" => ("cluster-did-remove", role.is_none()),
        _ => return None,
    };
    holds.then(|| Done::good(t, "cluster-did", t.with(id, "n", node.to_string())))
}

fn shown(input: &Input, officer: &Officer, view: &ClusterView, done: Option<Done>) -> Response {
    let status = Done::status(done.as_ref(), StatusCode::CONFLICT);
    page(status, &ClusterPage::new(Shell::of(input), view, officer.form_token(), done))
}

impl ClusterPage {
    fn new(shell: Shell, view: &ClusterView, form_token: String, done: Option<Done>) -> Self {
        let t = shell.t;
        let title = match &view.name {
            Some(name) => t.with("cluster-of", "name", name),
            None => t.say("cluster-title").into_owned(),
        };
        let summary = match (&view.name, view.can_lose.filter(|_| view.leader.is_some())) {
            (None, _) => t.say("cluster-alone").into_owned(),
            (Some(_), Some(0)) => t.say("cluster-spare-none").into_owned(),
            (Some(_), Some(n)) => t.with("cluster-spare", "n", n),
            (Some(_), None) => t.say("cluster-stands").into_owned(),
        };
        let server = |id: u64| t.with("cluster-server", "n", id.to_string());
        let last = view.nodes.iter().map(|node| node.position).max().unwrap_or(view.position);
        let seeds: Vec<&str> = view.nodes.iter().filter_map(|node| node.node_address.as_deref()).collect();
        let command = view.name.as_ref().filter(|_| !seeds.is_empty()).map(|name| join_command(name, &seeds));
        Self {
            title,
            done,
            form_token,
            is_cluster: view.name.is_some(),
            stands_still: view.name.is_some() && (view.leader.is_none() || view.can_lose.is_none()),
            summary,
            leader: view.leader.map_or_else(|| t.say("cluster-nobody").into_owned(), server),
            term: t.number(&view.term),
            position: t.number(&view.position),
            can_lose: t.number(&view.can_lose.unwrap_or(0)),
            troubles: view.troubles.iter().map(|trouble| said(t, trouble)).collect(),
            servers: view.nodes.iter().map(|node| ServerLine::new(t, view, node, last)).collect(),
            history: history(t, view),
            command,
            shell,
        }
    }
}

impl ServerLine {
    fn new(t: Texts, view: &ClusterView, node: &NodeView, last: u64) -> Self {
        let unknown = || t.say("cluster-unknown").into_owned();
        let is_this = node.id == view.this;
        let heard = match node.heard_ms_ago {
            _ if is_this => t.say("cluster-this").into_owned(),
            Some(ms) => t.with("cluster-heard", "seconds", tenths(t.0, ms / 100)),
            None => t.say("cluster-never").into_owned(),
        };
        let clock = |error: u64| {
            let offset = format!("{:+}", node.clock_offset_ms);
            t.fill("cluster-clock", [("offset", offset.into()), ("error", error.to_string().into())])
        };
        let role = match node.role {
            NodeRole::Leader => "cluster-role-leader",
            NodeRole::Follower => "cluster-role-follower",
            NodeRole::Learner => "cluster-role-learner",
        };
        Self {
            id: node.id,
            name: t.with("cluster-server", "n", node.id.to_string()),
            is_this,
            is_leader: node.role == NodeRole::Leader,
            role: t.say(role),
            address: node.address.clone(),
            node_address: node.node_address.clone(),
            position: t.number(&node.position),
            behind: t.number(&last.saturating_sub(node.position)),
            clock: node.clock_error_ms.map_or_else(unknown, clock),
            heard,
            disk: node.disk_free_bytes.map_or_else(unknown, |bytes| gigabytes(t.0, bytes)),
            version: node.version.clone().unwrap_or_else(unknown),
            acts: if view.name.is_some() { acts(t, node) } else { Vec::new() },
        }
    }
}

fn acts(t: Texts, node: &NodeView) -> Vec<Act> {
    let act = |name, button: &str, ask: &str| Act {
        name,
        button: t.with(button, "n", node.id.to_string()),
        ask: if ask == "cluster-transfer-ask" {
            t.with("cluster-transfer-ask", "n", node.id.to_string()).into()
        } else {
            t.say(ask)
        },
        is_danger: name == "remove",
    };
    let transfer = || act("transfer", "cluster-transfer", "cluster-transfer-ask");
    let drain = || act("drain", "cluster-drain", "cluster-drain-ask");
    let promote = || act("promote", "cluster-promote", "cluster-promote-ask");
    let remove = || act("remove", "cluster-remove", "cluster-remove-ask");
    match node.role {
        NodeRole::Leader => vec![drain(), remove()],
        NodeRole::Follower => vec![transfer(), drain(), remove()],
        NodeRole::Learner => vec![promote(), remove()],
    }
}

/// What is wrong, and what to do.
fn said(t: Texts, trouble: &Trouble) -> Said {
    let plain =
        |title: &str, text: &str| Said { title: t.say(title).into_owned(), text: t.say(text).into_owned() };
    let of =
        |node: &u64, title: &str, text: String| Said { title: t.with(title, "node", node.to_string()), text };
    match trouble {
        Trouble::NoLeader { .. } => plain("cluster-no-leader", "cluster-no-leader-text"),
        Trouble::Silent { node, seconds } => {
            of(node, "cluster-silent", t.with("cluster-silent-text", "n", *seconds))
        }
        Trouble::Behind { node, entries } => {
            of(node, "cluster-behind", t.with("cluster-behind-text", "n", *entries))
        }
        Trouble::DiskFull { node } => {
            of(node, "cluster-disk-full", t.say("cluster-disk-full-text").into_owned())
        }
        Trouble::ClockOff { node, offset_ms } => of(
            node,
            "cluster-clock-off",
            t.with("cluster-clock-off-text", "offset", format!("{offset_ms:+}")),
        ),
        Trouble::NoSpare => plain("cluster-no-spare", "cluster-no-spare-text"),
        Trouble::OtherCluster { address, .. } => Said {
            title: t.say("cluster-other").into_owned(),
            text: t.with("cluster-other-text", "address", address),
        },
    }
}

/// The newest first. Before the first leader that this server knew of there was none that could be lost.
fn history(t: Texts, view: &ClusterView) -> Vec<Led> {
    let changes = view.elections.iter().skip_while(|change| change.leader.is_none());
    let mut lines: Vec<Led> = changes.map(|change| led(t, change)).collect();
    lines.reverse();
    lines
}

fn led(t: Texts, change: &LeaderChange) -> Led {
    let term = Cow::from(change.term.to_string());
    let text = match change.leader {
        Some(id) => t.fill("cluster-led", [("n", id.to_string().into()), ("term", term.into_owned().into())]),
        None => t.with("cluster-lost", "term", term.into_owned()),
    };
    let at = change.at.to_string();
    Led { at: format!("{} {} UTC", &at[..10], &at[11..19]), text }
}

/// A number of tenths as whole ones and a tenth.
fn tenths(language: Language, tenths: u64) -> String {
    format!("{}{}{}", language.number(tenths / 10), language.decimal_mark(), tenths % 10)
}

fn gigabytes(language: Language, bytes: u64) -> String {
    format!("{} GB", tenths(language, bytes / 100_000_000))
}

/// What is run on a machine that is to join the cluster `name`, the join key left out.
pub fn join_command(name: &str, seeds: &[&str]) -> String {
    format!(
        "HUSTINGS_JOIN_KEY=… hustings serve --data /var/lib/hustings --listen 0.0.0.0:8700 --cluster {name} \\\n  \
         --node-listen 0.0.0.0:8701 --seeds {}",
        seeds.join(",")
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use election::UnixMillis;

    fn node(id: u64, role: NodeRole, position: u64) -> NodeView {
        NodeView {
            id,
            role,
            address: format!("http://192.0.2.{id}:8700"),
            node_address: Some(format!("192.0.2.{id}:8701")),
            position,
            clock_offset_ms: -3,
            clock_error_ms: (id != 3).then_some(2),
            heard_ms_ago: (id != 3).then_some(1_250),
            disk_free_bytes: Some(12_345_678_901),
            version: Some("0.1.0".to_owned()),
        }
    }

    fn hall() -> ClusterView {
        ClusterView {
            name: Some("hall".to_owned()),
            cluster: "00".repeat(16),
            this: 1,
            leader: Some(2),
            term: 7,
            position: 1_200,
            can_lose: Some(0),
            nodes: vec![
                node(1, NodeRole::Follower, 1_200),
                node(2, NodeRole::Leader, 1_234),
                node(3, NodeRole::Learner, 34),
            ],
            elections: vec![
                LeaderChange { at: UnixMillis(500), term: 6, leader: Some(1) },
                LeaderChange { at: UnixMillis(1_000), term: 6, leader: None },
                LeaderChange { at: UnixMillis(2_000), term: 7, leader: Some(2) },
            ],
            troubles: vec![
                Trouble::NoLeader { since: UnixMillis(0) },
                Trouble::Silent { node: 3, seconds: 42 },
                Trouble::Behind { node: 3, entries: 1_200 },
                Trouble::DiskFull { node: 1 },
                Trouble::ClockOff { node: 2, offset_ms: -900 },
                Trouble::NoSpare,
                Trouble::OtherCluster { cluster: "11".repeat(16), address: "192.0.2.9:8701".to_owned() },
            ],
            at: UnixMillis(3_000),
        }
    }

    fn html(view: &ClusterView, language: Language) -> String {
        let shell = Shell::in_language(language);
        ClusterPage::new(shell, view, "token".to_owned(), None).render().unwrap()
    }

    #[test]
    fn every_trouble_is_told_with_what_to_do_in_every_language() {
        for language in Language::ALL {
            let page = html(&hall(), language);
            assert_eq!(page.matches("class=\"note note-bad trouble\"").count(), 7, "{page}");
        }
        let page = html(&hall(), Language::English);
        for said in [
            "No further server can be lost",
            "Server 3 is silent",
            "Nothing was heard of it for 42 s",
            "-900 ms away",
            "192.0.2.9:8701",
            "12.3 GB",
            "-3 ± 2 ms",
            "1.2 s ago",
            "--seeds 192.0.2.1:8701,192.0.2.2:8701,192.0.2.3:8701",
            "Server 2 began to lead, term 7",
            "1970-01-01 00:00:01 UTC</span> nobody led from here on, term 6",
        ] {
            assert!(page.contains(said), "{said} is not in {page}");
        }
    }

    #[test]
    fn only_what_fits_a_servers_role_is_offered_and_each_asks_first() {
        let page = html(&hall(), Language::English);
        let offered = |act: &str| page.matches(&format!("action=\"/cluster/{act}\"")).count();
        assert_eq!(
            [offered("transfer"), offered("drain"), offered("promote"), offered("remove")],
            [1, 2, 1, 3]
        );
        assert_eq!(page.matches("name=\"sure\" value=\"yes\"").count(), 7);
        let mut alone = hall();
        (alone.name, alone.can_lose) = (None, Some(0));
        let page = html(&alone, Language::English);
        assert!(page.contains("keeps its ledger alone") && !page.contains("action=\"/cluster/"));
    }

    #[test]
    fn a_lost_majority_is_the_first_thing_that_is_said() {
        let mut view = hall();
        (view.leader, view.can_lose) = (None, None);
        let page = html(&view, Language::English);
        assert!(page.contains("No vote can be recorded now.") && page.contains("nobody"));
    }
}
