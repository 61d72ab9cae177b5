//! Who has voted: one bit for a numbered voter, a tag for one named by text.
//!
//! Cost: numbered voters 1 bit each where numbers are dealt densely (blocks of 65,536 numbers, 8 KiB a block);
//! tags about 17 to 34 bytes each in a hash set that doubles as it grows. Where more than one ballot a voter is
//! allowed or the last one counts, a map entry per voter.

use crate::ids::{IdempotencyKey, LeafIndex, Voter, VoterTag};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

const BLOCK_BITS: u32 = 16;
const BLOCK_WORDS: usize = 1 << (BLOCK_BITS - 6);

/// Hashes keyed tags by taking eight of their bytes: they are uniform already, and made by the server.
#[derive(Default, Debug)]
pub struct TagHasher(u64);

impl Hasher for TagHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(head) = bytes.first_chunk::<8>() {
            self.0 ^= u64::from_ne_bytes(*head);
        }
    }

    fn write_usize(&mut self, _: usize) {}

    fn write_u64(&mut self, value: u64) {
        self.0 = value.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

pub type TagBuild = BuildHasherDefault<TagHasher>;
pub use crate::tags::TagSet;

/// A set of dense numbers: blocks of bits, made when first touched.
#[derive(Clone, Default, Debug)]
pub struct NumberSet {
    /// Blocks of the numbers below 2^32, by place.
    low: Vec<Option<Box<[u64; BLOCK_WORDS]>>>,
    /// The others.
    high: BTreeMap<u64, Box<[u64; BLOCK_WORDS]>>,
    count: u64,
}
const LOW_BLOCKS: u64 = 1 << 16;

impl NumberSet {
    pub fn contains(&self, number: u64) -> bool {
        let (block, word, bit) = place(number);
        self.block(block).is_some_and(|words| words[word] & bit != 0)
    }

    fn block(&self, block: u64) -> Option<&[u64; BLOCK_WORDS]> {
        if block < LOW_BLOCKS {
            self.low.get(block as usize)?.as_deref()
        } else {
            self.high.get(&block).map(|b| &**b)
        }
    }

    /// Adds a number; false if it was there.
    pub fn insert(&mut self, number: u64) -> bool {
        let (block, word, bit) = place(number);
        let word = &mut self.slot(block)[word];
        let is_new = *word & bit == 0;
        *word |= bit;
        self.count += u64::from(is_new);
        is_new
    }

    pub fn len(&self) -> u64 {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    fn slot(&mut self, block: u64) -> &mut [u64; BLOCK_WORDS] {
        if block < LOW_BLOCKS {
            let place = block as usize;
            if place >= self.low.len() {
                self.low.resize(place + 1, None);
            }
            self.low[place].get_or_insert_with(|| Box::new([0; BLOCK_WORDS]))
        } else {
            self.high.entry(block).or_insert_with(|| Box::new([0; BLOCK_WORDS]))
        }
    }

    /// Blocks in ascending order, each with its words.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = (u64, &[u64; BLOCK_WORDS])> {
        let low = self.low.iter().enumerate().filter_map(|(b, w)| Some((b as u64, &**w.as_ref()?)));
        low.chain(self.high.iter().map(|(b, w)| (*b, &**w)))
    }

    pub(crate) fn insert_block(&mut self, block: u64, words: [u64; BLOCK_WORDS]) {
        *self.slot(block) = words;
        self.count += words.iter().map(|word| u64::from(word.count_ones())).sum::<u64>();
    }
}

fn place(number: u64) -> (u64, usize, u64) {
    let word = (number >> 6) as usize & (BLOCK_WORDS - 1);
    (number >> BLOCK_BITS, word, 1 << (number & 63))
}

/// One voter's counted ballot where the last one counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastBallot {
    pub leaf: LeafIndex,
    pub weight: u32,
    pub group: Option<u16>,
    pub answers: Box<[u8]>,
}

/// Keys seen where a voter may cast more than once: (voter, key) → the ballot's leaf.
pub type Keys = HashMap<(VoterTag, IdempotencyKey), LeafIndex, TagBuild>;

/// What is kept of voters, by the election's rules.
#[derive(Clone, Debug)]
pub enum Voted {
    Once { numbers: NumberSet, tags: TagSet },
    Capped { cap: u16, cast: HashMap<VoterTag, u16, TagBuild>, keys: Keys },
    LastCounts { last: HashMap<VoterTag, LastBallot, TagBuild>, keys: Keys },
}

impl Voted {
    pub fn once() -> Self {
        Voted::Once { numbers: NumberSet::default(), tags: TagSet::default() }
    }

    /// Ballots this voter has cast that count.
    pub fn ballots_of(&self, voter: &Voter) -> u16 {
        match self {
            Voted::Once { numbers, tags } => match voter.number {
                Some(number) => u16::from(numbers.contains(number)),
                None => u16::from(tags.contains(&voter.tag)),
            },
            Voted::Capped { cast, .. } => cast.get(&voter.tag).copied().unwrap_or(0),
            Voted::LastCounts { last, .. } => u16::from(last.contains_key(&voter.tag)),
        }
    }

    /// The leaf this voter's key stands for, where keys are kept.
    pub fn leaf_of_key(&self, voter: &Voter, key: IdempotencyKey) -> Option<LeafIndex> {
        match self {
            Voted::Once { .. } => None,
            Voted::Capped { keys, .. } | Voted::LastCounts { keys, .. } => {
                (!key.is_none()).then(|| keys.get(&(voter.tag, key)).copied()).flatten()
            }
        }
    }

    /// Voters who have cast at least one ballot.
    pub fn voters(&self) -> u64 {
        match self {
            Voted::Once { numbers, tags } => numbers.len() + tags.len() as u64,
            Voted::Capped { cast, .. } => cast.len() as u64,
            Voted::LastCounts { last, .. } => last.len() as u64,
        }
    }
}
