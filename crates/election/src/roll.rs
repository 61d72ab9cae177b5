//! Who may vote. A list of ids is the smallest roll, and a weak one: whoever knows an id may vote as it.

use crate::ids::VoterTag;
use crate::sha256;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;

pub const ROLL_VOTERS_MAX: usize = 1_000_000;

/// One line of the roll. Ids never stand here: the tag is a keyed hash of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollEntry {
    pub voter: VoterTag,
    pub weight: u32,
    /// Index in the definition's `groups`.
    pub group: Option<u16>,
}

/// A roll in dealt order: an entry's place is its voter's dense number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roll {
    entries: Vec<RollEntry>,
    numbers: BTreeMap<VoterTag, u32>,
}

impl Roll {
    /// Builds a roll; `None` if a voter stands on it twice.
    pub fn new(entries: Vec<RollEntry>) -> Option<Self> {
        let mut numbers = BTreeMap::new();
        for (number, entry) in entries.iter().enumerate() {
            let number = u32::try_from(number).ok()?;
            if numbers.insert(entry.voter, number).is_some() {
                return None;
            }
        }
        Some(Self { entries, numbers })
    }

    pub fn entries(&self) -> &[RollEntry] {
        &self.entries
    }

    pub fn number(&self, voter: &VoterTag) -> Option<u64> {
        self.numbers.get(voter).copied().map(u64::from)
    }

    pub fn entry(&self, number: u64) -> Option<&RollEntry> {
        self.entries.get(usize::try_from(number).ok()?)
    }

    pub fn weight(&self) -> u64 {
        self.entries.iter().map(|entry| u64::from(entry.weight)).sum()
    }

    /// The roll as it is published: one JSON line per voter, sorted by tag, each with its newline.
    pub fn lines(&self) -> String {
        let mut lines = String::with_capacity(self.entries.len() * 72);
        for number in self.numbers.values() {
            let entry = &self.entries[*number as usize];
            let group = entry.group.map_or_else(|| "null".to_owned(), |group| group.to_string());
            let RollEntry { voter, weight, .. } = entry;
            writeln!(lines, r#"{{"voter":"{voter}","weight":{weight},"group":{group}}}"#)
                .expect("writing to a string cannot fail");
        }
        lines
    }

    /// SHA-256 over [`Roll::lines`]; 32 zero bytes for an empty roll.
    pub fn commitment(&self) -> [u8; 32] {
        if self.entries.is_empty() { [0; 32] } else { sha256(&[self.lines().as_bytes()]) }
    }
}
