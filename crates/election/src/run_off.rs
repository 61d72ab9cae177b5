//! Run-offs: the next round, between those whom the last one left undecided.

use crate::definition::{Contest, Definition, Method};
use crate::ids::Slug;
use crate::methods::{ContestOutcome, OutcomeKind};
use crate::results::{ContestResults, Results, share_base};

/// The run-off that follows from the results of a closed election; `None` if no contest needs one. `slug` defaults to
/// this one's with its round, as in [`Definition::repeat`].
///
/// A contest for seats is run off between its tied choices, for the seats that are still to fill; and where one seat
/// was won with no more than half of what its shares are of ([`share_base`]), between the winner and all choices that
/// stand second. Choices without a vote never come into it, and a tie that the lot has decided is decided.
pub fn run_off(definition: &Definition, results: &Results, slug: Option<Slug>) -> Option<Definition> {
    let counted = definition.contests.iter().zip(&results.contests);
    let contests: Vec<Contest> =
        counted.filter_map(|(contest, counted)| undecided(definition, results, contest, counted)).collect();
    (!contests.is_empty()).then(|| definition.next_round(contests, slug))
}

/// The contest as it is run off, if it is.
fn undecided(
    definition: &Definition,
    results: &Results,
    contest: &Contest,
    counted: &ContestResults,
) -> Option<Contest> {
    let outcome = counted.outcome.as_ref().filter(|_| contest.method.has_seats())?;
    let elected = u16::try_from(outcome.winners.len()).expect("CHOICES_MAX fits in 16 bits");
    let (seats, runners) = match outcome.kind {
        OutcomeKind::Tie => (contest.seats - elected, indices(contest, &outcome.tied)),
        OutcomeKind::Winner if contest.seats == 1 => {
            (1, without_majority(outcome, counted, share_base(definition, results, counted))?)
        }
        _ => return None,
    };
    let choices = runners.into_iter().map(|index| contest.choices[index].clone()).collect();
    Some(Contest {
        method: Method::Plurality,
        choose_min: 0,
        choose_max: seats,
        seats,
        choices,
        ..contest.clone()
    })
}

/// The winner and all second ones, if the winner has no more than half of `base`; in the definition's order.
fn without_majority(outcome: &ContestOutcome, counted: &ContestResults, base: u64) -> Option<Vec<usize>> {
    let is_winner = |choice: &str| outcome.winners.iter().any(|winner| winner == choice);
    let of_winner = counted.counts.iter().find(|count| is_winner(&count.choice))?.votes;
    let second =
        counted.counts.iter().filter(|count| !is_winner(&count.choice)).map(|count| count.votes).max()?;
    let has_majority = u128::from(of_winner) * 2 > u128::from(base);
    let runs = |index: &usize| counted.counts[*index].votes >= second;
    (second > 0 && !has_majority).then(|| (0..counted.counts.len()).filter(runs).collect())
}

fn indices(contest: &Contest, ids: &[String]) -> Vec<usize> {
    (0..contest.choices.len()).filter(|index| ids.contains(&contest.choices[*index].id)).collect()
}
