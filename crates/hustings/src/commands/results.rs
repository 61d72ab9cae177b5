//! Results as people read them: the outcome first, then a table with bars.

use serde_json::Value;

use crate::output::{count, thousands};

const BAR_CELLS_MAX: u64 = 30;

/// The whole answer of `GET …/results` as text.
pub fn text(results: &Value) -> String {
    let state = results["state"].as_str().unwrap_or("unknown");
    let ballots = results["ballots"].as_u64().unwrap_or(0);
    let voters = results["voters"].as_u64().unwrap_or(ballots);
    let mut text = format!("{state}: {}, {}\n", count(voters, "voter"), count(ballots, "ballot"));
    if results["counts_visible"] == Value::Bool(false) {
        text += "The counts are not shown yet.\n";
        return text;
    }
    for contest in results["contests"].as_array().into_iter().flatten() {
        text.push('\n');
        text += &contest_text(contest);
    }
    text
}

/// The outcome sentences, one a line; empty where there is none yet.
pub fn sentences(results: &Value) -> Vec<String> {
    let contests = results["contests"].as_array().map(Vec::as_slice).unwrap_or_default();
    let named = contests.len() > 1;
    contests
        .iter()
        .filter_map(|contest| {
            let sentence = contest["outcome"]["sentence"].as_str()?;
            Some(match named {
                true => format!("{}: {sentence}", title(contest)),
                false => sentence.to_owned(),
            })
        })
        .collect()
}

pub fn title(value: &Value) -> &str {
    value["title"].as_str().or(value["id"].as_str()).or(value["slug"].as_str()).unwrap_or("?")
}

fn contest_text(contest: &Value) -> String {
    let mut text = format!("{}\n", title(contest));
    if let Some(sentence) = contest["outcome"]["sentence"].as_str() {
        text += &format!("{sentence}\n");
    }
    let counts = contest["counts"].as_array().map(Vec::as_slice).unwrap_or_default();
    let votes = |count: &Value| count["votes"].as_u64().unwrap_or(0);
    let most = counts.iter().map(votes).max().unwrap_or(0).max(1);
    let name = |count: &Value| count["name"].as_str().or(count["choice"].as_str()).unwrap_or("?").to_owned();
    let name_width = counts.iter().map(|count| name(count).chars().count()).max().unwrap_or(0);
    let votes_width = thousands(most).len();
    for count in counts {
        let bar = "█".repeat((votes(count) * BAR_CELLS_MAX).div_ceil(most) as usize);
        let line =
            format!("  {:<name_width$}  {:>votes_width$}  {bar}", name(count), thousands(votes(count)));
        text += &format!("{}\n", line.trim_end());
    }
    match contest["blank"].as_u64().unwrap_or(0) {
        0 => {}
        blank => text += &format!("  {}\n", count(blank, "blank ballot")),
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_outcome_comes_first_then_the_table() {
        let results = json!({"state": "closed", "ballots": 1004, "voters": 1004, "contests": [{
            "id": "sandwich", "title": "Best sandwich?", "blank": 1,
            "counts": [{"choice": "pbj", "name": "Peanut Butter and Jelly", "votes": 1000},
                       {"choice": "blt", "name": "BLT", "votes": 3}, {"choice": "ham", "name": "Ham", "votes": 0}],
            "outcome": {"kind": "winner", "sentence": "The winner is Peanut Butter and Jelly with 1000 votes"}}]});
        insta::assert_snapshot!(text(&results), @r"
        closed: 1,004 voters, 1,004 ballots

        Best sandwich?
        The winner is Peanut Butter and Jelly with 1000 votes
          Peanut Butter and Jelly  1,000  ██████████████████████████████
          BLT                          3  █
          Ham                          0
          1 blank ballot
        ");
        assert_eq!(sentences(&results), vec!["The winner is Peanut Butter and Jelly with 1000 votes"]);
    }

    #[test]
    fn hidden_counts_are_said_to_be_hidden() {
        let results = json!({"state": "open", "ballots": 1, "voters": 1, "counts_visible": false});
        assert_eq!(text(&results), "open: 1 voter, 1 ballot\nThe counts are not shown yet.\n");
    }
}
