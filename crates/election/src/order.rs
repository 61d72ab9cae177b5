//! The order in which a voter sees a contest's choices, where the definition has it shuffled.
//!
//! Shuffling takes from the first choice on the list what it gets for standing there. The order follows from the
//! definition and a seed of the voter's, so a page that is loaded again shows the same, and anybody can repeat it.
//! Nothing of the count depends on it.

use crate::definition::{ChoiceOrder, Contest};
use crate::ids::VoterTag;
use crate::sha256;

/// Seed of the voter with this tag: `H("hustings order seed v1\n" ‖ voter tag)`. With the record, whose ballots carry
/// tags, anybody can tell in which order the choices stood.
pub fn seed_of(tag: &VoterTag) -> [u8; 32] {
    sha256(&[b"hustings order seed v1\n", &tag.0])
}

/// Indices of the contest's choices in the order in which the holder of `seed` sees them: as written, or ascending by
/// `H("hustings order v1\n" ‖ definition hash ‖ contest id ‖ 0 ‖ choice id ‖ seed)`.
pub fn choice_order(contest: &Contest, definition_hash: &[u8; 32], seed: &[u8; 32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..contest.choices.len()).collect();
    if contest.order == ChoiceOrder::Shuffled {
        order.sort_by_cached_key(|index| {
            let choice = contest.choices[*index].id.as_bytes();
            sha256(&[b"hustings order v1\n", definition_hash, contest.id.as_bytes(), &[0], choice, seed])
        });
    }
    order
}
