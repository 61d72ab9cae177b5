//! Acts: what officers and rules did to an election, as leaves of its tree.
//!
//! An act's opening is its JSON, compact, fields in the order written here; `docs/formats.md` lists them.

use crate::command::{DrawSource, EpochReason};
use crate::hex;
use crate::ids::{ElectionIndex, LeafIndex};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// An act with its place in its election's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActLeaf {
    pub election: ElectionIndex,
    pub leaf: LeafIndex,
    /// The opening: the act's exact JSON.
    pub json: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Officer,
    Rule,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CloseReason {
    Officer,
    Deadline,
    Voters,
}

/// The fields of each act after `act`, `at` and `by`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "act", rename_all = "snake_case")]
pub enum Act<'a> {
    Opened {
        at: String,
        by: By,
        definition: String,
        roll: String,
        epoch: u32,
        node: u16,
        key: &'a str,
        rules: u16,
        /// Nodes of the epoch besides the one above, in the order they were registered.
        #[serde(skip_serializing_if = "Vec::is_empty")]
        nodes: Vec<NamedNode<'a>>,
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
        seed: &'a str,
        closing_root: &'a str,
    },
    Published {
        at: String,
        by: By,
        result: String,
    },
    Cancelled {
        at: String,
        by: By,
        reason: &'a str,
    },
    Epoch {
        at: String,
        by: By,
        epoch: u32,
        reason: EpochReason,
        node: u16,
        key: &'a str,
    },
    /// A further node signs in the epoch that holds here.
    Node {
        at: String,
        by: By,
        node: u16,
        key: &'a str,
    },
}

impl Act<'_> {
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("acts hold nothing that JSON cannot")
    }
}

/// A node with its public key, 64 hex digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamedNode<'a> {
    pub node: u16,
    pub key: &'a str,
}

/// The nodes that an act names, in its order, where it names any: those of `opened` and `epoch` begin an epoch, those
/// of `node` are added to it.
pub fn nodes_named(json: &str) -> Vec<NamedNode<'_>> {
    #[derive(Deserialize)]
    struct Names<'a> {
        node: Option<u16>,
        #[serde(borrow)]
        key: Option<&'a str>,
        #[serde(borrow, default)]
        nodes: Vec<NamedNode<'a>>,
    }
    let is_naming =
        ["opened", "epoch", "node"].iter().any(|act| json.starts_with(&format!(r#"{{"act":"{act}","#)));
    if !is_naming {
        return Vec::new();
    }
    let names: Names<'_> = serde_json::from_str(json).expect("the state machine wrote this act");
    let first = names.node.zip(names.key).map(|(node, key)| NamedNode { node, key });
    first.into_iter().chain(names.nodes).collect()
}

pub(crate) fn closed(at: UnixMillis, reason: CloseReason, ballots: u64, voters: u64) -> String {
    let by = if reason == CloseReason::Officer { By::Officer } else { By::Rule };
    Act::Closed { at: at.to_string(), by, reason, ballots, voters }.to_json()
}

pub(crate) fn hex32(bytes: &[u8; 32]) -> String {
    hex(bytes)
}
