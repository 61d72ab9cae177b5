//! Voting methods: from counts to an outcome, each a module.

mod elect;
mod motion;
mod rating;

use crate::definition::{Contest, Method};
use crate::tally::{ContestTally, Counts};
use serde::{Deserialize, Serialize};

/// How a contest came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutcomeKind {
    Winner,
    Tie,
    /// A tie that the lot has decided.
    Drawn,
    Passed,
    Failed,
    NoQuorum,
    NoVotes,
    /// A rating's average.
    Rated,
}

/// A contest's outcome with its working, in plain words and for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContestOutcome {
    pub kind: OutcomeKind,
    pub sentence: String,
    /// Ids of the choices elected, most votes first, equal ones in the definition's order.
    pub winners: Vec<String>,
    /// Ids of the choices that tie for the last seats, in the definition's order; kept after a draw.
    pub tied: Vec<String>,
    /// Motions: votes needed, and the base the share is taken of; for a missed quorum, the quorum and the votes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<u64>,
    /// Of a rating the ratings given; like votes, the sum of their weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<u64>,
    /// Ratings: sum of weight times level. The average is `points / base`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub points: Option<u64>,
}

/// How a tie is dealt with when it is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TieBreak<'a> {
    /// The tie is declared.
    Declared,
    /// The lot is still to be drawn.
    Pending,
    /// Drawn: per contest the choices' indices in the drawn order, and whether the server drew.
    Drawn { order: &'a [usize], by_server: bool },
}

/// Counts one contest. `eligible` is the weight of everybody on the list, 0 where there is none.
pub fn outcome(
    contest: &Contest,
    counts: &Counts,
    tally: &ContestTally,
    eligible: u64,
    tie: TieBreak<'_>,
) -> ContestOutcome {
    match contest.method {
        Method::Plurality | Method::Approval => elect::outcome(contest, tally, tie),
        Method::Motion => motion::outcome(contest, counts, tally, eligible),
        Method::Rating => rating::outcome(contest, tally),
    }
}

/// Nobody has voted, whatever the method.
fn no_votes() -> ContestOutcome {
    ContestOutcome {
        kind: OutcomeKind::NoVotes,
        sentence: "No votes were cast".to_owned(),
        winners: Vec::new(),
        tied: Vec::new(),
        needed: None,
        base: None,
        points: None,
    }
}

/// The lot: choices in ascending order of
/// `H("hustings draw v1\n" ‖ seed ‖ closing root ‖ contest id ‖ 0 ‖ choice id)`.
///
/// Nobody knows the closing root before the vote is closed, and nobody can choose it once the seed is known.
pub fn draw_order(contest: &Contest, seed: &[u8; 32], closing_root: &[u8; 32]) -> Vec<usize> {
    let key = |index: &usize| {
        let choice = contest.choices[*index].id.as_bytes();
        crate::sha256(&[b"hustings draw v1\n", seed, closing_root, contest.id.as_bytes(), &[0], choice])
    };
    let mut order: Vec<usize> = (0..contest.choices.len()).collect();
    order.sort_by_cached_key(key);
    order
}

/// `1 vote`, `3 votes`.
pub(crate) fn votes_text(votes: u64) -> String {
    if votes == 1 { "1 vote".to_owned() } else { format!("{votes} votes") }
}

/// `A`, `A and B`, `A, B and C`.
pub(crate) fn and_list(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
