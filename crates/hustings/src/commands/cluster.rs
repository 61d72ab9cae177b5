//! `cluster …`: the servers that keep one ledger, and what an operator asks of them.

use std::path::Path;

use anyhow::Result;
use serde_json::{Value, json};

use crate::cli::{ClusterCommand, NodeArg};
use crate::client::Client;
use crate::clustering::JOIN_KEY_FILE;
use crate::exit::{Exit, Failure};
use crate::output::{Form, note, table, thousands};

const PATH: &str = "/api/v1/cluster";

pub fn run(command: ClusterCommand, client: &Client, form: Form) -> Result<Exit> {
    match command {
        ClusterCommand::Status => status(client, form),
        ClusterCommand::Members => members(client, form),
        ClusterCommand::Add(args) => add(client, form, args.data.as_deref()),
        ClusterCommand::Promote(args) => {
            change(client, form, "promote", &args, "counts towards the majority now")
        }
        ClusterCommand::Remove(args) => change(
            client,
            form,
            "remove",
            &args,
            "has left the cluster; stop it, and keep its data until you are sure",
        ),
        ClusterCommand::Recover(_) => unreachable!("it asks no server, and is handed over before"),
        ClusterCommand::Transfer(args) => change(client, form, "transfer", &args, "leads now"),
        ClusterCommand::Drain(args) => {
            change(client, form, "drain", &args, "leads nothing any more and can be stopped")
        }
    }
}

fn status(client: &Client, form: Form) -> Result<Exit> {
    let cluster = client.get(PATH)?;
    form.result(&cluster, || status_text(&cluster));
    let is_well = cluster["leader"].is_u64() && troubles(&cluster).next().is_none();
    Ok(if is_well { Exit::Ok } else { Exit::No })
}

fn members(client: &Client, form: Form) -> Result<Exit> {
    let cluster = client.get(PATH)?;
    form.result(&cluster["nodes"], || members_table(&cluster));
    Ok(Exit::Ok)
}

fn change(client: &Client, form: Form, act: &str, args: &NodeArg, done: &str) -> Result<Exit> {
    let cluster = client.post(&format!("{PATH}/{act}"), Some(&json!({"node": args.node})))?;
    form.result(&cluster, || format!("Server {} {done}.", args.node));
    Ok(Exit::Ok)
}

/// Looks whether a server can join now, and says how.
fn add(client: &Client, form: Form, data: Option<&Path>) -> Result<Exit> {
    let key = data.map(kept_join_key).transpose()?;
    let cluster = client.get(PATH)?;
    let Some(name) = cluster["name"].as_str() else {
        let sentence = "this server keeps its ledger alone, so there is nothing to join";
        return Err(Failure::new(Exit::Refused, sentence)
            .code("not_a_cluster")
            .hint("Stop it, and start it again with --cluster NAME --first on the same data folder.")
            .into());
    };
    if !cluster["leader"].is_u64() {
        return Err(Failure::new(
            Exit::Unavailable,
            "nobody leads the cluster at present, so nobody can join",
        )
        .code("no_leader")
        .hint("`hustings cluster status` says what is wrong.")
        .into());
    }
    let nodes = || cluster["nodes"].as_array().into_iter().flatten();
    let seeds: Vec<&str> = nodes().filter_map(|node| node["operator"]["node_address"].as_str()).collect();
    if seeds.is_empty() {
        return Err(Failure::usage("the servers' own addresses are shown to operators only")
            .hint("Set HUSTINGS_OFFICER_TOKEN, or run this on one of the servers.")
            .into());
    }
    let versions: Vec<&str> = nodes().filter_map(|node| node["operator"]["version"].as_str()).collect();
    let command = server::join_command(name, &seeds);
    let command = key.as_ref().map_or(command.clone(), |key| command.replacen('…', key, 1));
    let result = json!({"cluster": name, "seeds": seeds, "versions": versions, "command": command});
    form.result(&result, || add_text(name, &command, &versions));
    match key {
        Some(_) => note("Whoever has the join key can join: keep it as you keep the officer token."),
        None => note(
            "Put the join key in place of the dots: the cluster's first start printed it, and --data DIR of a \
             server shows it.",
        ),
    }
    Ok(Exit::Ok)
}

fn kept_join_key(data: &Path) -> Result<String> {
    let path = data.join(JOIN_KEY_FILE);
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Failure::usage(format!("`{}` is no data folder of a cluster's server", data.display()))
                .hint("Name the one that `hustings serve` on this machine uses.")
        }
        _ => Failure::new(Exit::Io, format!("cannot read `{}`: {error}", path.display())),
    })?;
    Ok(text.trim().to_owned())
}

fn add_text(name: &str, command: &str, versions: &[&str]) -> String {
    let version = versions.first().map_or(String::new(), |version| format!(" {version}"));
    format!(
        "A new machine for `{name}` needs:\n\
         - hustings{version}, and an empty data folder on a disk of its own\n\
         - the two ports of the command below open: 8700 for voters, 8701 for the other servers\n\
         - a clock that is right (NTP), and the cluster's join key\n\n\
         Run there:\n\n  {command}\n\n\
         It gets the log first and counts when it has caught up; `hustings cluster status` shows how far it is.\n"
    )
}

fn status_text(cluster: &Value) -> String {
    let leader = match cluster["leader"].as_u64() {
        Some(id) => format!("server {id} leads (term {})", cluster["term"]),
        None => "NOBODY LEADS: no vote can be recorded".to_owned(),
    };
    let name = cluster["name"]
        .as_str()
        .map_or("one server, no cluster".to_owned(), |name| format!("cluster `{name}`"));
    let spare = match (cluster["name"].is_string(), cluster["can_lose"].as_u64()) {
        (false, _) => "if this server is lost, voting stands still".to_owned(),
        (true, Some(0)) => "can lose NO more server".to_owned(),
        (true, Some(1)) => "can lose 1 more server".to_owned(),
        (true, Some(n)) => format!("can lose {n} more servers"),
        (true, None) => "stands still: a majority is lost".to_owned(),
    };
    let position = thousands(cluster["position"].as_u64().unwrap_or(0));
    let mut text = format!("{name}: {leader}, position {position}; {spare}\n\n");
    text += &members_table(cluster);
    for trouble in troubles(cluster) {
        text += &format!("\n! {}\n", trouble_text(trouble));
    }
    text
}

fn members_table(cluster: &Value) -> String {
    let own = cluster["this"].as_u64();
    let last =
        cluster["nodes"].as_array().into_iter().flatten().filter_map(|node| node["position"].as_u64()).max();
    let row = |node: &Value| {
        let id = node["id"].as_u64();
        let position = node["position"].as_u64().unwrap_or(0);
        let clock = match node["clock_error_ms"].as_u64() {
            Some(error) => format!("{:+} ±{error} ms", node["clock_offset_ms"].as_i64().unwrap_or(0)),
            None => "-".to_owned(),
        };
        let heard = match node["heard_ms_ago"].as_u64() {
            _ if id == own => "this one".to_owned(),
            Some(ms) => format!("{}.{} s ago", ms / 1000, ms % 1000 / 100),
            None => "never".to_owned(),
        };
        vec![
            id.map_or("?".to_owned(), |id| id.to_string()),
            node["role"].as_str().unwrap_or("?").to_owned(),
            node["address"].as_str().unwrap_or("?").to_owned(),
            thousands(position),
            thousands(last.unwrap_or(0).saturating_sub(position)),
            clock,
            heard,
        ]
    };
    let rows: Vec<Vec<String>> = cluster["nodes"].as_array().into_iter().flatten().map(row).collect();
    table(&["node", "role", "address", "position", "behind", "clock", "heard"], &rows)
}

fn troubles(cluster: &Value) -> impl Iterator<Item = &Value> {
    cluster["troubles"].as_array().into_iter().flatten()
}

/// What is wrong and what to do, in one line; an unknown code of a newer server as it came.
fn trouble_text(trouble: &Value) -> String {
    let number = |name: &str| trouble[name].as_u64().unwrap_or(0);
    let node = number("node");
    match trouble["code"].as_str().unwrap_or_default() {
        "no_leader" => {
            "Nobody leads: fewer than a majority of the servers hear each other. Start those that are \
                        down, and look at the network between them."
                .to_owned()
        }
        "silent" => format!(
            "Server {node} has been silent for {} s. Is it running, and does the network reach it? If it is gone for \
             good: hustings cluster remove {node}",
            number("seconds")
        ),
        "behind" => format!(
            "Server {node} is {} entries behind. It catches up by itself; if it does not, look at its disk and network.",
            thousands(number("entries"))
        ),
        "disk_full" => {
            format!("The disk of server {node} is full or nearly so. Make room; what it has stays readable.")
        }
        "clock_off" => format!(
            "The clock of server {node} is {} ms off. Set it right (NTP); closing times wait for clocks that agree.",
            trouble["offset_ms"].as_i64().unwrap_or(0)
        ),
        "no_spare" => {
            "If one more server is lost, voting stands still. Start the missing ones, or add one: hustings \
                       cluster add"
                .to_owned()
        }
        "other_cluster" => format!(
            "Another cluster of this name is on the network at {}. The two never merge; stop one, or give it another \
             name.",
            trouble["address"].as_str().unwrap_or("?")
        ),
        _ => trouble.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Value {
        let node = |id: u64, role: &str, position: u64, heard: Option<u64>| {
            json!({"id": id, "role": role, "address": format!("http://192.0.2.{id}:8700"), "position": position,
                   "clock_offset_ms": -3, "clock_error_ms": 2, "heard_ms_ago": heard})
        };
        json!({"leader": 3, "term": 7, "position": 12_345, "can_lose": 0, "name": "hall", "this": 1,
            "nodes": [node(1, "follower", 12_345, Some(0)), node(2, "follower", 11_345, Some(42_100)),
                      node(3, "leader", 12_345, Some(80))],
            "troubles": [{"code": "silent", "node": 2, "seconds": 42}, {"code": "no_spare"}]})
    }

    #[test]
    fn a_cluster_reads_as_a_table_with_what_is_wrong_below() {
        insta::assert_snapshot!(status_text(&cluster()), @r"
        cluster `hall`: server 3 leads (term 7), position 12,345; can lose NO more server

        node  role      address                position  behind  clock     heard
        1     follower  http://192.0.2.1:8700  12,345    0       -3 ±2 ms  this one
        2     follower  http://192.0.2.2:8700  11,345    1,000   -3 ±2 ms  42.1 s ago
        3     leader    http://192.0.2.3:8700  12,345    0       -3 ±2 ms  0.0 s ago

        ! Server 2 has been silent for 42 s. Is it running, and does the network reach it? If it is gone for good: hustings cluster remove 2

        ! If one more server is lost, voting stands still. Start the missing ones, or add one: hustings cluster add
        ");
    }

    #[test]
    fn every_trouble_says_what_to_do() {
        let codes = ["no_leader", "silent", "behind", "disk_full", "clock_off", "no_spare", "other_cluster"];
        for code in codes {
            let text = trouble_text(&json!({"code": code}));
            assert!(text.contains(". ") && !text.contains("code"), "{text}");
        }
        assert_eq!(trouble_text(&json!({"code": "new"})), r#"{"code":"new"}"#);
    }
}
