//! Ratings: one mark a ballot on a scale of whole numbers; the outcome is their average.

use super::{ContestOutcome, OutcomeKind, no_votes};
use crate::definition::Contest;
use crate::tally::ContestTally;

pub(super) fn outcome(contest: &Contest, tally: &ContestTally) -> ContestOutcome {
    let base: u64 = tally.votes.iter().sum();
    if base == 0 {
        return no_votes();
    }
    let level = |index: usize| contest.choices[index].level().expect("a rating's ids are its levels");
    // In 128 bits: a list of heavy voters times a scale up to 100 may pass 64.
    let points: u128 =
        (0..).zip(&tally.votes).map(|(index, votes)| u128::from(*votes) * u128::from(level(index))).sum();
    let tenths = (20 * points + u128::from(base)) / (2 * u128::from(base));
    let highest = level(contest.choices.len() - 1);
    let ratings = if base == 1 { "1 rating".to_owned() } else { format!("{base} ratings") };
    ContestOutcome {
        kind: OutcomeKind::Rated,
        sentence: format!("Average {}.{} of {highest} from {ratings}", tenths / 10, tenths % 10),
        winners: Vec::new(),
        tied: Vec::new(),
        needed: None,
        base: Some(base),
        points: Some(u64::try_from(points).unwrap_or(u64::MAX)),
    }
}
