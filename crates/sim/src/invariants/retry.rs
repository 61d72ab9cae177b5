//! "A retry with the same idempotency key gets a receipt for the same leaf" (design, "Life of a ballot"), also after a
//! restart, and also once the vote is over: who did not get the answer must be able to ask again.
//!
//! Answers are checked one by one where they are given (`refused`); here every key that was ever acknowledged is asked
//! for again, on an engine that has just been opened.

use crate::ballots::Papers;
use crate::broken::{Broken, Promise};
use crate::invariants::acknowledged::Ack;
use crate::lookup::{Resolved, Served, resolve};
use election::Rejection;
use node::core::Repeat;

const PROMISE: Promise = Promise::Retry;

pub fn check(engine: &mut impl Served, papers: &Papers, acks: &[Ack]) -> Result<(), Broken> {
    for ack in acks {
        let ballot = &papers.get(ack.paper).ballot;
        if ballot.key.is_none() {
            continue;
        }
        let repeat = Repeat {
            rejection: Rejection::AlreadyVoted,
            election: ballot.election,
            tag: ballot.tag,
            key: ballot.key,
            opening: ballot.opening.clone(),
        };
        let resolved = resolve(engine, &repeat);
        PROMISE.check(resolved == Resolved::Same { leaf: ack.leaf, hash: ack.hash }, || {
            format!("paper {} was acknowledged at leaf {}; asked again: {resolved:?}", ack.paper, ack.leaf)
        })?;
    }
    Ok(())
}
