//! Who has voted how often, by voter tag.
//!
//! Memory: 16 bytes a ballot where each voter has one; where a voter may have more, the last one counts, or the number
//! of voters closes the vote, a map entry a voter (some 40 bytes, and the answers where the last one counts).

use std::collections::{HashMap, HashSet};

use election::definition::{Definition, Revote};

use crate::count::{Marks, Recount};

pub type Tag = [u8; 16];

/// The ballot of a voter that counts so far.
#[derive(Debug)]
pub struct Last {
    marks: Marks,
    weight: u32,
    group: Option<u16>,
}

#[derive(Debug)]
pub enum Voters {
    /// One ballot a voter: tags as numbers, sorted at the end to find equal ones.
    Once { tags: Vec<u128> },
    /// Up to a cap each.
    Capped { cap: u64, cast: HashMap<Tag, u64>, keys: HashSet<(Tag, Tag)> },
    /// The last one counts.
    LastCounts { last: HashMap<Tag, Last>, keys: HashSet<(Tag, Tag)> },
}

/// One ballot, as far as it concerns its voter.
#[derive(Clone, Copy, Debug)]
pub struct Cast<'a> {
    pub tag: &'a Tag,
    /// Idempotency key; zeros where none.
    pub key: &'a Tag,
    pub marks: &'a Marks,
    pub weight: u32,
    pub group: Option<u16>,
}

impl Voters {
    /// `expected` ballots are made room for, where that is cheap.
    pub fn new(definition: &Definition, expected: usize) -> Voters {
        // Where the number of voters closes the vote, it has to be known at every ballot, not only at the end.
        let is_counted_late = definition.closing.after_voters.is_none();
        match (definition.revote, definition.ballots_per_voter) {
            (Revote::LastCounts, _) => Voters::LastCounts { last: HashMap::new(), keys: HashSet::new() },
            (Revote::Forbid, 1) if is_counted_late => Voters::Once { tags: Vec::with_capacity(expected) },
            (Revote::Forbid, cap) => {
                Voters::Capped { cap: cap.into(), cast: HashMap::new(), keys: HashSet::new() }
            }
        }
    }

    /// Counts a ballot for its voter, and at once into `recount` unless a later one may replace it. Says what is
    /// wrong with it where that is known already.
    pub fn cast(&mut self, cast: Cast<'_>, recount: &mut Recount) -> Result<(), &'static str> {
        let Cast { tag, key, marks, weight, group } = cast;
        match self {
            Voters::Once { tags } => {
                tags.push(u128::from_be_bytes(*tag));
                recount.add(marks, weight, group);
                Ok(())
            }
            Voters::Capped { cap, cast, keys } => {
                recount.add(marks, weight, group);
                let ballots = cast.entry(*tag).or_default();
                *ballots += 1;
                if *ballots > *cap {
                    Err("its voter has more ballots than allowed")
                } else {
                    new_key(keys, tag, key)
                }
            }
            Voters::LastCounts { last, keys } => {
                last.insert(*tag, Last { marks: marks.clone(), weight, group });
                new_key(keys, tag, key)
            }
        }
    }

    /// Voters so far. Where each has one ballot, two by one voter are told apart only in [`Voters::finish`].
    pub fn so_far(&self) -> u64 {
        let voters = match self {
            Voters::Once { tags } => tags.len(),
            Voters::Capped { cast, .. } => cast.len(),
            Voters::LastCounts { last, .. } => last.len(),
        };
        voters as u64
    }

    /// Counts what waited for a later ballot. Returns how many voters there are, and the tags that have a second
    /// ballot where one is the rule; which ballots those are takes another look at the record.
    pub fn finish(self, recount: &mut Recount) -> (u64, HashSet<Tag>) {
        match self {
            Voters::Once { mut tags } => {
                tags.sort_unstable();
                let twice = tags.windows(2).filter(|pair| pair[0] == pair[1]);
                let twice: HashSet<Tag> = twice.map(|pair| pair[0].to_be_bytes()).collect();
                tags.dedup();
                (tags.len() as u64, twice)
            }
            Voters::Capped { cast, .. } => (cast.len() as u64, HashSet::new()),
            Voters::LastCounts { last, .. } => {
                for Last { marks, weight, group } in last.values() {
                    recount.add(marks, *weight, *group);
                }
                (last.len() as u64, HashSet::new())
            }
        }
    }
}

fn new_key(keys: &mut HashSet<(Tag, Tag)>, tag: &Tag, key: &Tag) -> Result<(), &'static str> {
    if *key != [0; 16] && !keys.insert((*tag, *key)) {
        return Err("the same request of its voter was counted before");
    }
    Ok(())
}
