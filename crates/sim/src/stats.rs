//! What happened in a simulation, counted by name: for people, and to show that a run reaches what it should.

use std::collections::BTreeMap;
use std::fmt;

/// Names that begin with this are faults.
pub const FAULT: &str = "fault: ";

/// How often what happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats(BTreeMap<String, u64>);

impl Stats {
    pub fn note(&mut self, name: &str) {
        *self.0.entry(name.to_owned()).or_default() += 1;
    }

    /// How often; 0 for what never happened.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }

    pub fn add(&mut self, other: &Stats) {
        other.0.iter().for_each(|(name, count)| *self.0.entry(name.clone()).or_default() += count);
    }

    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.0.iter().filter(|(name, _)| name.starts_with(FAULT)).map(|(_, count)| count).sum()
    }
}

impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|(name, count)| writeln!(f, "{count:>9}  {name}"))
    }
}
