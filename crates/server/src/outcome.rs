//! Outcome sentences in the reader's language, from the same facts as the sentence in the record.
//!
//! The English one is the record's own, word for word; the others say the same.

use crate::language::{Language, Texts, Value};
use election::definition::{Contest, Draw, Method};
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
            let average = average(t, outcome.points.unwrap_or(0).into(), base.into());
            rated(t, average, highest(contest).to_string(), base)
        }
        OutcomeKind::NoQuorum => {
            t.fill("outcome-no-quorum", [("cast", base.into()), ("needed", needed.into())])
        }
    })
}

/// A rating's average while voting goes on; `None` for other methods, and before the first rating.
pub fn average_so_far(t: Texts, contest: &Contest, results: &ContestResults) -> Option<String> {
    let ratings: u64 = results.counts.iter().map(|count| count.votes).sum();
    if contest.method != Method::Rating || ratings == 0 {
        return None;
    }
    let levels = contest.choices.iter().map(|choice| u128::from(choice.level().unwrap_or(0)));
    let points = levels.zip(&results.counts).map(|(level, count)| level * u128::from(count.votes)).sum();
    Some(rated(t, average(t, points, ratings.into()), highest(contest).to_string(), ratings))
}

/// The sentence of a rating's average for each plural of its ratings, as JSON, `{average}` standing for the average.
pub fn rated_forms(t: Texts, contest: &Contest) -> String {
    // A text stands for the highest level meanwhile, so that a sample is not taken for a part of it.
    const PLACE: &str = "\u{1}";
    let say = |_: &str, ratings: u64| rated(t, "{average}".to_owned(), PLACE.to_owned(), ratings);
    t.plurals_around("outcome-rated", say).replace("\\u0001", &highest(contest).to_string())
}

fn rated(t: Texts, average: String, highest: String, ratings: u64) -> String {
    t.fill("outcome-rated", [("average", average.into()), ("highest", highest.into()), ("n", ratings.into())])
}

fn highest(contest: &Contest) -> u64 {
    contest.choices.last().and_then(|choice| choice.level()).unwrap_or(0)
}

/// Rounded half up to tenths, as the record has it.
fn average(t: Texts, points: u128, ratings: u128) -> String {
    let ratings = ratings.max(1);
    let tenths = (20 * points + ratings) / (2 * ratings);
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

#[cfg(test)]
mod tests {
    use super::*;
    use election::definition::Definition;

    #[test]
    fn the_script_gets_a_ratings_sentence_for_every_plural() {
        let levels = (0..=10).map(|level| level.to_string()).collect::<Vec<_>>();
        let json = serde_json::json!({ "slug": "talk", "title": "Talk",
            "contest": [{ "id": "talk", "title": "Talk", "method": "rating", "choices": levels }] });
        let definition = Definition::from_json(&json.to_string()).unwrap();
        let forms = |language| -> serde_json::Value {
            serde_json::from_str(&rated_forms(Texts(language), &definition.contests[0])).unwrap()
        };
        assert_eq!(forms(Language::English)["one"], "Average {average} of 10 from {n} rating");
        assert_eq!(forms(Language::English)["other"], "Average {average} of 10 from {n} ratings");
        assert_eq!(forms(Language::Arabic).as_object().unwrap().len(), 6);
    }
}
