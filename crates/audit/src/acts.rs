//! The officers' acts: which of them is lawful where, and what they make of the election.

use election::definition::{AfterVoters, Definition, Draw, ResultsMode};
use election::time::UnixMillis;
use proof::{Hash, NodePublicKey};
use serde::{Deserialize, Serialize};

use crate::form::{Header, HeaderEpoch, compact, hex_array};
use crate::report::{Check, Finding, Verdicts};

/// An act's opening.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "act", rename_all = "snake_case", deny_unknown_fields)]
pub enum Act {
    Opened {
        at: String,
        by: By,
        definition: Hash,
        roll: Hash,
        epoch: u32,
        node: u16,
        #[serde(with = "hex_array")]
        key: [u8; 32],
        rules: u16,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        nodes: Vec<NodePublicKey>,
    },
    Paused {
        at: String,
        by: By,
    },
    Resumed {
        at: String,
        by: By,
    },
    Extended {
        at: String,
        by: By,
        closes_at: String,
    },
    Closed {
        at: String,
        by: By,
        reason: CloseReason,
        ballots: u64,
        voters: u64,
    },
    Revealed {
        at: String,
        by: By,
    },
    Hidden {
        at: String,
        by: By,
    },
    Drawn {
        at: String,
        by: By,
        source: DrawSource,
        #[serde(with = "hex_array")]
        seed: [u8; 32],
        closing_root: Hash,
    },
    Published {
        at: String,
        by: By,
        result: Hash,
    },
    Cancelled {
        at: String,
        by: By,
        reason: String,
    },
    Epoch {
        at: String,
        by: By,
        epoch: u32,
        reason: EpochReason,
        node: u16,
        #[serde(with = "hex_array")]
        key: [u8; 32],
    },
    Node {
        at: String,
        by: By,
        node: u16,
        #[serde(with = "hex_array")]
        key: [u8; 32],
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Officer,
    Rule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    Officer,
    Deadline,
    Voters,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawSource {
    Server,
    Public,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpochReason {
    Restored,
    Recovered,
}

impl Act {
    fn at(&self) -> &str {
        match self {
            Act::Opened { at, .. }
            | Act::Paused { at, .. }
            | Act::Resumed { at, .. }
            | Act::Extended { at, .. }
            | Act::Closed { at, .. }
            | Act::Revealed { at, .. }
            | Act::Hidden { at, .. }
            | Act::Drawn { at, .. }
            | Act::Published { at, .. }
            | Act::Cancelled { at, .. }
            | Act::Epoch { at, .. }
            | Act::Node { at, .. } => at,
        }
    }

    fn by(&self) -> By {
        match self {
            Act::Opened { by, .. }
            | Act::Paused { by, .. }
            | Act::Resumed { by, .. }
            | Act::Extended { by, .. }
            | Act::Closed { by, .. }
            | Act::Revealed { by, .. }
            | Act::Hidden { by, .. }
            | Act::Drawn { by, .. }
            | Act::Published { by, .. }
            | Act::Cancelled { by, .. }
            | Act::Epoch { by, .. }
            | Act::Node { by, .. } => *by,
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Act::Opened { .. } => "opened",
            Act::Paused { .. } => "paused",
            Act::Resumed { .. } => "resumed",
            Act::Extended { .. } => "extended",
            Act::Closed { .. } => "closed",
            Act::Revealed { .. } => "revealed",
            Act::Hidden { .. } => "hidden",
            Act::Drawn { .. } => "drawn",
            Act::Published { .. } => "published",
            Act::Cancelled { .. } => "cancelled",
            Act::Epoch { .. } => "epoch",
            Act::Node { .. } => "node",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Before leaf 0.
    None,
    Open,
    Paused,
    Closed,
    Published,
    Cancelled,
}

impl State {
    pub fn name(self) -> &'static str {
        match self {
            State::None => "not opened",
            State::Open => "open",
            State::Paused => "paused",
            State::Closed => "closed",
            State::Published => "published",
            State::Cancelled => "cancelled",
        }
    }

    pub fn is_over(self) -> bool {
        matches!(self, State::Closed | State::Published)
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Opened {
    pub at: UnixMillis,
    pub definition: Hash,
    pub roll: Hash,
}

#[derive(Clone, Copy, Debug)]
pub struct Closed {
    pub leaf: u64,
    pub ballots: u64,
    pub voters: u64,
    /// Root of the tree with this act as its last leaf.
    pub root: Hash,
}

#[derive(Clone, Copy, Debug)]
pub struct Drawn {
    pub leaf: u64,
    pub source: DrawSource,
    pub seed: [u8; 32],
    pub closing_root: Hash,
}

/// A stretch of the tree under one epoch.
#[derive(Clone, Debug)]
pub struct Epoch {
    pub epoch: u32,
    /// `None` for the first, which an act does not name.
    pub reason: Option<EpochReason>,
    pub first_leaf: u64,
    /// In the order in which the acts name them; the first began the epoch.
    pub nodes: Vec<NodePublicKey>,
}

/// Where an act stands.
#[derive(Clone, Copy)]
pub struct Place<'a> {
    pub leaf: u64,
    /// Root of the tree that ends with it.
    pub root: &'a dyn Fn() -> Hash,
    /// Voters who have cast a ballot before it.
    pub voters: u64,
}

/// The election as its acts leave it.
#[derive(Debug)]
pub struct Acts {
    pub state: State,
    pub opened: Option<Opened>,
    pub closed: Option<Closed>,
    pub drawn: Option<Drawn>,
    /// Leaf and hash of the published result.
    pub published: Option<(u64, Hash)>,
    pub epochs: Vec<Epoch>,
    /// Closing time in force.
    pub closes_at: Option<UnixMillis>,
    pub at: UnixMillis,
    /// Whether the counts are shown, where an officer shows and hides them.
    is_revealed: bool,
    /// `None` without a definition.
    results: Option<ResultsMode>,
    /// Voters who close the vote, once as many have cast a ballot.
    full_at: Option<u64>,
    draw: Draw,
    rules: u16,
}

impl Acts {
    /// Before the first act. Without a definition the rules that hang on it are not checked.
    pub fn new(definition: Option<&Definition>, roll_voters: u64) -> Acts {
        let after_voters = definition.and_then(|definition| definition.closing.after_voters);
        Acts {
            state: State::None,
            opened: None,
            closed: None,
            drawn: None,
            published: None,
            epochs: Vec::new(),
            closes_at: definition.and_then(|definition| definition.closing.at),
            at: UnixMillis(0),
            is_revealed: false,
            results: definition.map(|definition| definition.results),
            full_at: after_voters.map(|after| match after {
                AfterVoters::Number(number) => number,
                AfterVoters::All => roll_voters,
            }),
            draw: definition.map_or(Draw::None, |definition| definition.draw),
            rules: definition.map_or(0, |definition| definition.rules),
        }
    }

    /// Whether `voters` fill `after_voters`, so that the close must follow.
    pub fn is_full(&self, voters: u64) -> bool {
        self.full_at.is_some_and(|full| voters >= full)
    }

    /// Takes the next act; false if it cannot be read. A faulty one is taken for what it says.
    pub fn take(&mut self, json: &[u8], place: Place<'_>, verdicts: &mut Verdicts) -> bool {
        let fault = |verdicts: &mut Verdicts, what: String| {
            verdicts.fail(Check::Acts, Finding::at_leaf(place.leaf, what));
        };
        let Some(act) = compact::<Act>(json) else {
            fault(verdicts, "this is not an act in its compact form".to_owned());
            return false;
        };
        match time(act.at()) {
            None => fault(verdicts, format!("`{}` is not a time", act.at())),
            Some(at) if at < self.at => fault(verdicts, format!("{} is before the act before it", act.at())),
            Some(at) => self.at = at,
        }
        if !self.is_allowed(&act) {
            fault(
                verdicts,
                format!("`{}` is not possible while the vote is {}", act.name(), self.state.name()),
            );
        }
        if let Some(what) = self.broken_rule(&act, &place) {
            fault(verdicts, format!("`{}`: {what}", act.name()));
        }
        self.follow(&act, &place);
        true
    }

    /// Is this act possible in the state the acts before it led to?
    fn is_allowed(&self, act: &Act) -> bool {
        let is_running = matches!(self.state, State::Open | State::Paused);
        match act {
            Act::Opened { .. } => self.state == State::None,
            Act::Paused { .. } => self.state == State::Open,
            Act::Resumed { .. } => self.state == State::Paused,
            Act::Extended { .. } | Act::Closed { .. } | Act::Cancelled { .. } => is_running,
            Act::Revealed { .. } => !self.is_revealed && (is_running || self.state == State::Closed),
            Act::Hidden { .. } => self.is_revealed && (is_running || self.state == State::Closed),
            Act::Drawn { .. } => self.state == State::Closed && self.drawn.is_none(),
            Act::Published { .. } => self.state == State::Closed,
            Act::Epoch { .. } | Act::Node { .. } => self.state != State::None,
        }
    }

    /// The first rule besides its state that the act breaks.
    fn broken_rule(&self, act: &Act, place: &Place<'_>) -> Option<String> {
        let expected_by = match act {
            Act::Closed { reason: CloseReason::Deadline | CloseReason::Voters, .. } => By::Rule,
            Act::Drawn { source: DrawSource::Server, .. } | Act::Node { .. } => By::Rule,
            _ => By::Officer,
        };
        if act.by() != expected_by {
            return Some(format!("it is done by {expected_by:?}, not {:?}", act.by()).to_lowercase());
        }
        match act {
            Act::Opened { rules, .. } if *rules != self.rules && self.rules != 0 => {
                Some(format!("rules are version {rules}, and {} in the definition", self.rules))
            }
            Act::Opened { .. } if self.closes_at.is_some_and(|closes_at| closes_at <= self.at) => {
                Some("the closing time has passed".to_owned())
            }
            Act::Extended { closes_at, .. }
                if time(closes_at).is_none_or(|closes_at| closes_at <= self.at) =>
            {
                Some("the new closing time is not a time after the act".to_owned())
            }
            Act::Closed { reason: CloseReason::Deadline, .. }
                if self.closes_at.is_none_or(|closes_at| self.at < closes_at) =>
            {
                Some("the closing time is not reached".to_owned())
            }
            Act::Closed { reason: CloseReason::Voters, .. } if !self.is_full(place.voters) => {
                Some(format!("{} voters do not close this vote", place.voters))
            }
            Act::Revealed { .. } | Act::Hidden { .. }
                if self.results.is_some_and(|results| results != ResultsMode::OnReveal) =>
            {
                Some("the definition's results are not shown and hidden by officers".to_owned())
            }
            Act::Opened { node, nodes, .. } if is_twice(*node, nodes) => {
                Some("it names a node twice".to_owned())
            }
            Act::Epoch { epoch, .. } if self.epochs.last().is_some_and(|last| *epoch <= last.epoch) => {
                Some(format!("epoch {epoch} does not follow those before it"))
            }
            Act::Node { node, .. }
                if self.epochs.last().is_some_and(|epoch| epoch.nodes.iter().any(|it| it.node == *node)) =>
            {
                Some(format!("node {node} has a key in this epoch already"))
            }
            _ => None,
        }
    }

    fn follow(&mut self, act: &Act, place: &Place<'_>) {
        let leaf = place.leaf;
        match *act {
            Act::Opened { definition, roll, epoch, node, key, ref nodes, .. } => {
                self.state = State::Open;
                self.opened = Some(Opened { at: self.at, definition, roll });
                let nodes = [&[NodePublicKey { node, key }], &nodes[..]].concat();
                self.epochs.push(Epoch { epoch, reason: None, first_leaf: leaf, nodes });
            }
            Act::Paused { .. } => self.state = State::Paused,
            Act::Resumed { .. } => self.state = State::Open,
            Act::Extended { ref closes_at, .. } => self.closes_at = time(closes_at).or(self.closes_at),
            Act::Closed { ballots, voters, .. } => {
                self.state = State::Closed;
                self.closed = Some(Closed { leaf, ballots, voters, root: (place.root)() });
            }
            Act::Revealed { .. } => self.is_revealed = true,
            Act::Hidden { .. } => self.is_revealed = false,
            Act::Drawn { source, seed, closing_root, .. } => {
                self.drawn = Some(Drawn { leaf, source, seed, closing_root });
            }
            Act::Published { result, .. } => {
                self.state = State::Published;
                self.published = Some((leaf, result));
            }
            Act::Cancelled { .. } => self.state = State::Cancelled,
            Act::Epoch { epoch, reason, node, key, .. } => {
                let nodes = vec![NodePublicKey { node, key }];
                self.epochs.push(Epoch { epoch, reason: Some(reason), first_leaf: leaf, nodes });
            }
            Act::Node { node, key, .. } => {
                if let Some(epoch) = self.epochs.last_mut() {
                    epoch.nodes.push(NodePublicKey { node, key });
                }
            }
        }
    }

    /// Epoch of a leaf; `None` where the acts name none.
    pub fn epoch_of_leaf(&self, leaf: u64) -> Option<&Epoch> {
        self.epochs.iter().rev().find(|epoch| epoch.first_leaf <= leaf)
    }

    /// Nodes that sign in an epoch, as the acts name them anywhere in the record: a node that joined late may well
    /// vouch for an earlier leaf of its epoch, as when a voter asks it again.
    pub fn nodes_of_epoch(&self, epoch: u32) -> Vec<NodePublicKey> {
        let epochs = self.epochs.iter().filter(|known| known.epoch == epoch);
        epochs.flat_map(|known| known.nodes.iter().copied()).collect()
    }

    /// Key the node last had.
    pub fn last_key(&self, node: u16) -> Option<NodePublicKey> {
        self.epochs.iter().flat_map(|epoch| &epoch.nodes).rev().find(|known| known.node == node).copied()
    }

    /// Check 6: does the header say the same of the epochs?
    pub fn check_epochs(&self, header: &Header, verdicts: &mut Verdicts) {
        let mut fault = |what: String| verdicts.fail(Check::Epochs, Finding::new(what));
        if header.epochs.len() != self.epochs.len() {
            let (listed, acted) = (header.epochs.len(), self.epochs.len());
            return fault(format!("the header lists {listed} epochs, the acts {acted}"));
        }
        for (listed, acted) in header.epochs.iter().zip(&self.epochs) {
            let reason_holds = match acted.reason {
                None => matches!(listed.reason.as_str(), "founded" | "restored" | "recovered"),
                Some(EpochReason::Restored) => listed.reason == "restored",
                Some(EpochReason::Recovered) => listed.reason == "recovered",
            };
            let HeaderEpoch { epoch, first_leaf, nodes, .. } = listed;
            let same = *epoch == acted.epoch && *first_leaf == acted.first_leaf;
            if !reason_holds || !same {
                fault(format!(
                    "epoch {epoch} in the header is not as in the act at leaf {}",
                    acted.first_leaf
                ));
            } else if *nodes != acted.nodes {
                let numbers =
                    |nodes: &[NodePublicKey]| -> Vec<u16> { nodes.iter().map(|it| it.node).collect() };
                let (listed, acted) = (numbers(nodes), numbers(&acted.nodes));
                let keys = if listed == acted { ", with other keys" } else { "" };
                fault(format!("epoch {epoch}: the header lists nodes {listed:?}, the acts {acted:?}{keys}"));
            }
        }
    }

    /// Part of check 15 that concerns the act alone.
    pub fn drawn_fault(&self) -> Option<Finding> {
        let drawn = self.drawn?;
        let is_policy = match self.draw {
            Draw::Server => drawn.source == DrawSource::Server,
            Draw::Public => drawn.source == DrawSource::Public,
            Draw::None => false,
        };
        if !is_policy {
            return Some(Finding::at_leaf(drawn.leaf, "the lot was not drawn as the definition says"));
        }
        match self.closed {
            Some(closed) if closed.root == drawn.closing_root => None,
            _ => Some(Finding::at_leaf(drawn.leaf, "the closing root is not that of the tree at the close")),
        }
    }
}

fn is_twice(first: u16, more: &[NodePublicKey]) -> bool {
    let mut seen = vec![first];
    more.iter().any(|it| {
        let is_twice = seen.contains(&it.node);
        seen.push(it.node);
        is_twice
    })
}

/// A time in its one form.
fn time(text: &str) -> Option<UnixMillis> {
    UnixMillis::parse_rfc3339(text).filter(|time| time.to_string() == text)
}
