//! Outcome sentences in the reader's language, from the same facts as the sentence in the record.
//!
//! The English one is the record's own, word for word; the others say the same.

use crate::language::{Language, Texts, Value};
use election::definition::{Contest, Draw};
use election::methods::OutcomeKind;
use election::results::ContestResults;

/// The outcome of a contest in one sentence; `None` while there is none.
pub fn sentence(t: Texts, contest: &Contest, draw: Draw, results: &ContestResults) -> Option<String> {
    let outcome = results.outcome.as_ref()?;
    if t.0 == Language::English {
        return Some(outcome.sentence.clone());
    }
    let winners = || with_votes(t, results, &outcome.winners);
    let needed = outcome.needed.unwrap_or(0);
    let base = outcome.base.unwrap_or(0);
    Some(match outcome.kind {
        OutcomeKind::NoVotes => t.say("outcome-no-votes").into_owned(),
        OutcomeKind::Winner => elected(t, results, &outcome.winners),
        OutcomeKind::Tie => {
            let tie = t.with("outcome-tie", "names", with_votes(t, results, &outcome.tied));
            let is_plain = outcome.winners.is_empty() && contest.seats == 1;
            let open = usize::from(contest.seats).saturating_sub(outcome.winners.len());
            let tie = match (is_plain, outcome.winners.is_empty()) {
                (true, _) => tie,
                (_, true) => t.fill("outcome-tie-seats", [("tie", tie.into()), ("n", open.into())]),
                _ => t.fill(
                    "outcome-elected-and-tie",
                    [("elected", winners().into()), ("tie", tie.into()), ("n", open.into())],
                ),
            };
            if draw == Draw::None { tie } else { t.with("outcome-to-be-drawn", "tie", tie) }
        }
        OutcomeKind::Drawn => t.fill(
            if draw == Draw::Server { "outcome-drawn-by-server" } else { "outcome-drawn" },
            [
                ("elected", elected(t, results, &outcome.winners).into()),
                ("names", list(t, &names(results, &outcome.tied)).into()),
            ],
        ),
        OutcomeKind::Passed | OutcomeKind::Failed => {
            let yes = results.counts.first().map_or(0, |count| count.votes);
            let id = if outcome.kind == OutcomeKind::Passed { "outcome-passed" } else { "outcome-failed" };
            t.fill(id, [("yes", yes.into()), ("base", base.into()), ("needed", needed.into())])
        }
        OutcomeKind::Rated => {
            let highest = contest.choices.last().and_then(|choice| choice.level()).unwrap_or(0);
            t.fill(
                "outcome-rated",
                [
                    ("average", average(t, outcome.points.unwrap_or(0), base).into()),
                    ("highest", highest.into()),
                    ("n", base.into()),
                ],
            )
        }
        OutcomeKind::NoQuorum => {
            t.fill("outcome-no-quorum", [("cast", base.into()), ("needed", needed.into())])
        }
    })
}

/// Rounded half up to tenths, as the record has it.
fn average(t: Texts, points: u64, ratings: u64) -> String {
    let ratings = u128::from(ratings.max(1));
    let tenths = (20 * u128::from(points) + ratings) / (2 * ratings);
    format!("{}{}{}", tenths / 10, t.0.decimal_mark(), tenths % 10)
}

fn elected(t: Texts, results: &ContestResults, ids: &[String]) -> String {
    match ids {
        [one] => t.fill(
            "outcome-winner",
            [("name", Value::from(name(results, one).to_owned())), ("n", votes(results, one).into())],
        ),
        several => t.with("outcome-winners", "names", with_votes(t, results, several)),
    }
}

fn with_votes(t: Texts, results: &ContestResults, ids: &[String]) -> String {
    let text = |id: &String| {
        let votes = t.with("votes", "n", votes(results, id));
        format!("{} ({votes})", name(results, id))
    };
    list(t, &ids.iter().map(text).collect::<Vec<_>>())
}

fn names(results: &ContestResults, ids: &[String]) -> Vec<String> {
    ids.iter().map(|id| name(results, id).to_owned()).collect()
}

fn name<'r>(results: &'r ContestResults, id: &'r str) -> &'r str {
    results.counts.iter().find(|count| count.choice == id).map_or(id, |count| &count.name)
}

fn votes(results: &ContestResults, id: &str) -> u64 {
    results.counts.iter().find(|count| count.choice == id).map_or(0, |count| count.votes)
}

/// `A`, `A and B`, `A, B and C`, as the language puts it.
pub fn list(t: Texts, names: &[String]) -> String {
    match names {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => {
            let comma = t.say("list-comma");
            let head = head.join(&format!("{comma} "));
            t.fill("list-and", [("head", head.into()), ("last", last.into())])
        }
    }
}
