//! Acts: what officers and rules did to an election, as leaves of its tree.
//!
//! An act's opening is its JSON, compact, fields in the order written here; `docs/formats.md` lists them.

use crate::command::{DrawSource, EpochReason};
use crate::hex;
use crate::ids::{ElectionIndex, LeafIndex};
use crate::time::UnixMillis;
use serde::Serialize;

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
}

impl Act<'_> {
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("acts hold nothing that JSON cannot")
    }
}

pub(crate) fn closed(at: UnixMillis, reason: CloseReason, ballots: u64, voters: u64) -> String {
    let by = if reason == CloseReason::Officer { By::Officer } else { By::Rule };
    Act::Closed { at: at.to_string(), by, reason, ballots, voters }.to_json()
}

pub(crate) fn hex32(bytes: &[u8; 32]) -> String {
    hex(bytes)
}
