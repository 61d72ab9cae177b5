//! JSON bodies as they go over the wire: each its own type, converted by hand, whatever the core calls it.

use crate::language::{Language, Texts};
use crate::outcome;
use crate::problem::{self, Problem};
use bytes::Bytes;
use election::definition::{Definition, ResultsMode};
use election::methods::ContestOutcome;
use election::results::{ChoiceVotes, ContestResults, Eligible, GroupVotes, share_base};
use election::{Curtain, Results, Shown, Slug, UnixMillis};
use hyper::HeaderMap;
use hyper::header::CONTENT_TYPE;
use node::cluster_view::{ClusterView, LeaderChange, NodeRole, NodeView};
use proof::{Hash, NodePublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// Refuses a body that says it is something else than JSON; one that says nothing is taken for it.
pub fn expect_json(headers: &HeaderMap) -> Result<(), Problem> {
    let Some(value) = headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    if value == "application/json" {
        return Ok(());
    }
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, "send the body as application/json")
        .at("Content-Type"))
}

/// Refuses what is not an object: a derived reader would take an array of the members' values for one.
pub fn expect_object(body: &[u8]) -> Result<(), Problem> {
    match body.trim_ascii_start().first() {
        Some(b'{') => Ok(()),
        _ => Err(Problem::new(&problem::MALFORMED_JSON, "the body is not a JSON object")),
    }
}

/// As [`expect_object`], within a value: every item of `list` and `list[..].member` that is an array is refused.
pub fn expect_objects(value: &Value, list: &str, members: &[&str]) -> Result<(), Problem> {
    for (place, item) in value.as_array().into_iter().flatten().enumerate() {
        let refused = |field: String| {
            Err(Problem::new(&problem::MALFORMED_JSON, "expected an object, not an array").at(field))
        };
        if item.is_array() {
            return refused(format!("{list}[{place}]"));
        }
        if let Some(member) = members.iter().find(|member| item[**member].is_array()) {
            return refused(format!("{list}[{place}].{member}"));
        }
    }
    Ok(())
}

/// Parses a body strictly; the problem names the member at fault.
pub fn parse<T: DeserializeOwned>(body: &Bytes) -> Result<T, Problem> {
    expect_object(body)?;
    let mut deserializer = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let message = error.inner().to_string();
        malformed_json(Some(path), &message)
    })?;
    deserializer.end().map_err(|error| malformed_json(None, &error.to_string()))?;
    Ok(value)
}

/// A 400 from what the JSON parser said: the path it had come to, or the member its message names.
pub fn malformed_json(path: Option<String>, message: &str) -> Problem {
    let named = ["missing field `", "unknown field `", "duplicate field `"]
        .iter()
        .find_map(|start| message.strip_prefix(start)?.split('`').next());
    let path = path.filter(|path| path != "." && path != "?");
    let field = match (path, named) {
        (Some(path), Some(name)) if !path.ends_with(name) => Some(format!("{path}.{name}")),
        (Some(path), _) => Some(path),
        (None, Some(name)) => Some(name.to_owned()),
        (None, None) => None,
    };
    let problem = Problem::new(&problem::MALFORMED_JSON, shorten(message, 300));
    field.map_or(problem.clone(), |field| problem.at(shorten(&field, 100)))
}

fn shorten(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}

/// `GET /api/v1`
#[derive(Serialize)]
pub struct AboutBody<'a> {
    pub name: &'a str,
    pub version: &'a str,
    pub ledger: String,
    pub epoch: u32,
    pub node: u16,
    pub key: String,
    pub nodes: &'a [NodePublicKey],
    pub base: &'a str,
    pub now: String,
}

/// One line of `GET elections`.
#[derive(Serialize)]
pub struct ElectionSummary<'a> {
    pub slug: &'a str,
    pub title: &'a str,
    pub state: &'a str,
    pub results: &'a str,
    pub eligibility: &'a str,
    pub closes_at: Option<String>,
    pub ballots: u64,
    pub voters: u64,
}

#[derive(Serialize)]
pub struct ElectionsBody<'a> {
    pub elections: Vec<ElectionSummary<'a>>,
    /// The slug to give as `after` for the rest; null at the end.
    pub next: Option<&'a str>,
}

/// `GET elections/{slug}`
#[derive(Serialize)]
pub struct ElectionBody<'a> {
    pub slug: &'a str,
    pub title: &'a str,
    pub state: &'a str,
    pub election: String,
    pub definition_hash: Hash,
    /// The canonical definition; SHA-256 of its bytes as in the record is `definition_hash`.
    pub definition: &'a serde_json::value::RawValue,
    pub closes_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revealed: Option<bool>,
    pub ballots: u64,
    pub voters: u64,
    pub eligible: Option<Eligible>,
    pub size: u64,
    pub root: Hash,
}

/// Counts of a contest, or only its name while they are hidden.
#[derive(Serialize)]
pub struct ContestBody<'a> {
    pub id: &'a str,
    pub title: &'a str,
    pub method: &'a str,
    pub rules: u16,
    #[serde(flatten)]
    pub counted: Option<CountedBody<'a>>,
    pub outcome: Option<OutcomeBody<'a>>,
}

#[derive(Serialize)]
pub struct OutcomeBody<'a> {
    #[serde(flatten)]
    pub outcome: &'a ContestOutcome,
    /// The sentence in the pages' other languages, by code. In the feed only: pages unveil the result without asking.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub texts: BTreeMap<&'static str, String>,
}

#[derive(Serialize)]
pub struct CountedBody<'a> {
    pub blank: u64,
    pub counts: &'a [ChoiceVotes],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub groups: &'a [GroupVotes],
    /// What the shares on the pages are of.
    pub share_base: u64,
}

/// `GET …/results`, the answer of officers' acts, and the data of a snapshot in the live feed.
#[derive(Serialize)]
pub struct ResultsBody<'a> {
    pub slug: &'a str,
    pub title: &'a str,
    pub state: &'a str,
    /// Position in the ledger that these figures are of.
    pub position: u64,
    pub at: String,
    pub closes_at: Option<String>,
    pub ballots: u64,
    pub voters: u64,
    pub weight: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub eligible: Option<Eligible>,
    pub counts_visible: bool,
    /// Whether an officer shows the counts; only where `results` is `on-reveal`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revealed: Option<bool>,
    pub contests: Vec<ContestBody<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<&'a str>,
}

/// The figures of a view that the body is made of.
#[derive(Clone, Copy, Debug)]
pub struct Figures<'a> {
    pub definition: &'a Definition,
    pub results: &'a Results,
    pub shown: Shown,
    pub position: u64,
    pub at: UnixMillis,
    pub closes_at: Option<UnixMillis>,
    pub curtain: Curtain,
}

/// Whether an officer shows the counts, of an election where that is an officer's to do.
pub fn revealed(definition: &Definition, curtain: Curtain) -> Option<bool> {
    (definition.results == ResultsMode::OnReveal).then_some(curtain == Curtain::Revealed)
}

impl<'a> ResultsBody<'a> {
    pub fn new(figures: &Figures<'a>) -> Self {
        let Figures { definition, results, shown, position, at, closes_at, curtain } = *figures;
        ResultsBody {
            slug: definition.slug.as_str(),
            title: &definition.title,
            state: results.state.as_str(),
            position,
            at: at.to_string(),
            closes_at: closes_at.map(|at| at.to_string()),
            ballots: results.ballots,
            voters: results.voters,
            weight: results.weight,
            eligible: results.eligible,
            counts_visible: shown == Shown::Counts,
            revealed: revealed(definition, curtain),
            contests: results.contests.iter().map(|contest| contest_body(figures, contest)).collect(),
            checkpoint: None,
        }
    }

    /// Adds the outcomes in every language of the pages, where there are any that may be seen.
    pub fn translate(&mut self, figures: &Figures<'_>) {
        for (body, contest) in self.contests.iter_mut().zip(&figures.results.contests) {
            let (Some(body), Some((_, rules))) = (&mut body.outcome, figures.definition.contest(&contest.id))
            else {
                continue;
            };
            let languages = Language::ALL.into_iter().filter(|language| *language != Language::English);
            body.texts = languages
                .filter_map(|language| {
                    let sentence =
                        outcome::sentence(Texts(language), rules, figures.definition.draw, contest)?;
                    Some((language.code(), sentence))
                })
                .collect();
        }
    }
}

fn contest_body<'a>(figures: &Figures<'a>, contest: &'a ContestResults) -> ContestBody<'a> {
    let is_shown = figures.shown == Shown::Counts;
    ContestBody {
        id: &contest.id,
        title: &contest.title,
        method: &contest.method,
        rules: contest.rules,
        counted: is_shown.then(|| CountedBody {
            blank: contest.blank,
            counts: &contest.counts,
            groups: &contest.groups,
            share_base: share_base(figures.definition, figures.results, contest),
        }),
        outcome: contest.outcome.as_ref().filter(|_| is_shown).map(OutcomeBody::new),
    }
}

impl<'a> OutcomeBody<'a> {
    fn new(outcome: &'a ContestOutcome) -> Self {
        OutcomeBody { outcome, texts: BTreeMap::new() }
    }
}

/// `POST …/sessions`
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionRequest {
    #[serde(default)]
    pub voter: Option<String>,
}

#[derive(Serialize)]
pub struct SessionBody<'a> {
    pub token: &'a str,
    pub election: &'a str,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExtendRequest {
    pub closes_at: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrawRequest {
    pub seed: String,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CancelRequest {
    #[serde(default)]
    pub reason: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RepeatRequest {
    #[serde(default)]
    pub slug: Option<Slug>,
    /// The new list, where the election has one.
    #[serde(default)]
    pub voters: Option<serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RehearseRequest {
    /// The list of the rehearsal, where the election has one.
    #[serde(default)]
    pub voters: Option<serde_json::Value>,
}

/// `POST /api/v1/cluster/…`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClusterNodeRequest {
    pub node: u64,
}

/// `GET /api/v1/cluster`. The members before `name` are a promise to programs of other projects.
#[derive(Serialize)]
pub struct ClusterBody {
    pub leader: Option<u64>,
    pub position: u64,
    pub can_lose: Option<u64>,
    pub nodes: Vec<ClusterNodeBody>,
    pub name: Option<String>,
    pub cluster: String,
    pub this: u64,
    pub term: u64,
    pub at: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elections: Option<Vec<LeaderChangeBody>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub troubles: Option<Vec<Value>>,
}

#[derive(Serialize)]
pub struct ClusterNodeBody {
    pub id: u64,
    pub role: NodeRole,
    pub address: String,
    pub position: u64,
    pub clock_offset_ms: i64,
    pub clock_error_ms: Option<u64>,
    pub heard_ms_ago: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operator: Option<ClusterOperatorBody>,
}

/// What only operators see of a node.
#[derive(Serialize)]
pub struct ClusterOperatorBody {
    pub node_address: Option<String>,
    pub disk_free_bytes: Option<u64>,
    pub version: Option<String>,
}

#[derive(Serialize)]
pub struct LeaderChangeBody {
    pub at: String,
    pub term: u64,
    pub leader: Option<u64>,
}

impl ClusterBody {
    pub fn new(view: &ClusterView, is_operator: bool) -> Self {
        let node = |node: &NodeView| ClusterNodeBody {
            id: node.id,
            role: node.role,
            address: node.address.clone(),
            position: node.position,
            clock_offset_ms: node.clock_offset_ms,
            clock_error_ms: node.clock_error_ms,
            heard_ms_ago: node.heard_ms_ago,
            operator: is_operator.then(|| ClusterOperatorBody {
                node_address: node.node_address.clone(),
                disk_free_bytes: node.disk_free_bytes,
                version: node.version.clone(),
            }),
        };
        let change = |change: &LeaderChange| LeaderChangeBody {
            at: change.at.to_string(),
            term: change.term,
            leader: change.leader,
        };
        let trouble = |trouble| serde_json::to_value(trouble).expect("plain members always serialise");
        Self {
            leader: view.leader,
            position: view.position,
            can_lose: view.can_lose,
            nodes: view.nodes.iter().map(node).collect(),
            name: view.name.clone(),
            cluster: view.cluster.clone(),
            this: view.this,
            term: view.term,
            at: view.at.to_string(),
            elections: is_operator.then(|| view.elections.iter().map(change).collect()),
            troubles: is_operator.then(|| view.troubles.iter().map(trouble).collect()),
        }
    }
}

/// A body that must be empty, or an object without members.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NothingRequest {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomRequest {
    pub title: String,
    #[serde(default)]
    pub pace: Option<election::room::Pace>,
    #[serde(default)]
    pub elections: Vec<Slug>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScreenRequest {
    pub show: election::room::Show,
    #[serde(default)]
    pub election: Option<Slug>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoomElectionRequest {
    pub slug: Slug,
}

#[derive(Serialize)]
pub struct RoomBody<'a> {
    pub code: &'a str,
    pub title: &'a str,
    pub pace: election::room::Pace,
    pub elections: Vec<RoomElection<'a>>,
    pub screen: &'a election::room::Screen,
    /// Since when nobody joins any more.
    pub locked_at: Option<String>,
    pub join_url: String,
    pub screen_url: String,
}

#[derive(Serialize)]
pub struct RoomElection<'a> {
    pub slug: &'a str,
    pub title: String,
    pub state: &'static str,
}

/// What a room's feed says of the room: all that its pages are made of, and nothing that only an officer may see.
#[derive(Serialize)]
pub struct RoomFeedBody<'a> {
    /// Changes when the room's pages have to be made anew: its screen, list, lock, states and reveals; not turnout.
    pub version: &'a str,
    pub pace: election::room::Pace,
    pub show: election::room::Show,
    pub election: Option<&'a str>,
    pub locked: bool,
    /// Followers of this feed on this node.
    pub connected: usize,
    pub elections: Vec<RoomFeedElection<'a>>,
}

/// One election in [`RoomFeedBody`].
#[derive(Serialize)]
pub struct RoomFeedElection<'a> {
    pub slug: &'a str,
    pub state: &'static str,
    pub voters: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revealed: Option<bool>,
}

/// `GET …/ballot`; the receipt is written behind it.
#[derive(Serialize)]
pub struct VotedBody {
    pub voted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Box<serde_json::value::RawValue>>,
}

/// `GET …/proof/{index}`
#[derive(Serialize)]
pub struct ProofBody<'a> {
    pub leaf_index: u64,
    pub leaf: Hash,
    pub size: u64,
    pub path: &'a [Hash],
    pub checkpoint: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub opening: Option<OpeningBody>,
}

/// What a leaf commits to, where it may be seen.
#[derive(Serialize)]
#[serde(rename_all = "lowercase")]
pub enum OpeningBody {
    /// The opening, base64url without padding.
    Ballot(String),
    /// The act's exact JSON, as text.
    Act(String),
}

/// `GET …/consistency`
#[derive(Serialize)]
pub struct ConsistencyBody {
    pub from: u64,
    pub to: u64,
    pub path: Vec<Hash>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(body: &'static str) -> (String, Option<String>) {
        let problem = parse::<ScreenRequest>(&Bytes::from_static(body.as_bytes())).err().unwrap();
        (problem.code.name.to_owned(), problem.field.map(|field| field.into_owned()))
    }

    #[test]
    fn a_malformed_body_names_the_member() {
        assert_eq!(fault("{}").1.as_deref(), Some("show"));
        assert_eq!(fault(r#"{"show":"lobby","speed":3}"#).1.as_deref(), Some("speed"));
        assert_eq!(fault(r#"{"show":"lobby","election":7}"#).1.as_deref(), Some("election"));
        assert_eq!(fault(r#"{"show":"lobby"} x"#).1, None);
        assert_eq!(fault("[").0, "malformed_json");
    }
}
