//! What a run showed, as tables.

use std::collections::BTreeMap;

use crate::history::{Answer, At, History};
use crate::nemesis::{Done, Kind};

#[derive(Debug, Default)]
struct Row {
    count: usize,
    /// Longest time without an acknowledged vote in each fault's span, in microseconds.
    gaps: Vec<At>,
    /// From the end of the fault to a whole cluster.
    recoveries: Vec<At>,
    votes: usize,
    bulk: usize,
    acts: usize,
    reads: usize,
    /// Requests that had to be asked again.
    again: usize,
}

/// A line per kind of fault: how often, the longest time without a vote, and what was done and asked again meanwhile.
pub fn faults(history: &History, done: &[Done]) -> String {
    let votes = times(history, |key| !key.starts_with("bulk"));
    let bulk = times(history, |key| key.starts_with("bulk"));
    let mut any: Vec<At> = votes.iter().chain(&bulk).copied().collect();
    any.sort_unstable();
    let again = doubts(history);
    let acts: Vec<At> = history.acts.iter().map(|act| act.ended).collect();
    let reads: Vec<At> = history.readings.iter().map(|reading| reading.at).collect();
    let mut rows: BTreeMap<(Kind, bool), Row> = BTreeMap::new();
    for fault in done {
        let row = rows.entry((fault.kind, fault.with.is_some())).or_default();
        row.count += 1;
        row.gaps.push(longest_gap(&any, fault.begun, fault.whole));
        row.recoveries.push(fault.whole - fault.undone);
        let within = |times: &[At]| times.iter().filter(|at| (fault.begun..fault.whole).contains(at)).count();
        row.votes += within(&votes);
        row.bulk += within(&bulk);
        row.acts += within(&acts);
        row.reads += within(&reads);
        row.again += within(&again);
    }
    let mut text = format!(
        "{:<36} {:>5} {:>9} {:>9} {:>9} {:>7} {:>7} {:>6} {:>7} {:>7}\n",
        "fault", "times", "gap med", "gap max", "whole in", "votes", "bulk", "acts", "reads", "again"
    );
    for ((kind, is_double), mut row) in rows {
        row.gaps.sort_unstable();
        let name = format!("{}{}", kind.words(), if is_double { " + another" } else { "" });
        text += &format!(
            "{:<36} {:>5} {:>8.2}s {:>8.2}s {:>8.2}s {:>7} {:>7} {:>6} {:>7} {:>7}\n",
            name,
            row.count,
            seconds(row.gaps[row.gaps.len() / 2]),
            seconds(*row.gaps.last().expect("not empty")),
            seconds(row.recoveries.into_iter().max().expect("not empty")),
            row.votes,
            row.bulk,
            row.acts,
            row.reads,
            row.again
        );
    }
    text
}

fn seconds(at: At) -> f64 {
    at as f64 / 1e6
}

/// When ballots were first acknowledged, in order.
fn times(history: &History, wants: impl Fn(&str) -> bool) -> Vec<At> {
    let casts = history.casts.iter().filter(|cast| wants(cast.key.as_deref().unwrap_or_default()));
    let mut times: Vec<At> = casts.filter_map(|cast| Some(cast.recorded()?.0)).collect();
    times.sort_unstable();
    times
}

fn doubts(history: &History) -> Vec<At> {
    let attempts = history.casts.iter().flat_map(|cast| &cast.attempts);
    attempts
        .filter(|attempt| matches!(attempt.answer, Answer::Open(_)))
        .map(|attempt| attempt.ended)
        .collect()
}

/// Longest time without one of `times`, of those spans that touch `from..to`.
fn longest_gap(times: &[At], from: At, to: At) -> At {
    let before = times.partition_point(|at| *at < from).saturating_sub(1);
    let spans = times[before.min(times.len())..].windows(2).take_while(|pair| pair[0] < to);
    spans.map(|pair| pair[1] - pair[0]).max().unwrap_or(to - from)
}

/// How requests of ballots ended, by answer.
pub fn answers(history: &History) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for attempt in history.casts.iter().flat_map(|cast| &cast.attempts) {
        let name = match &attempt.answer {
            Answer::Recorded { .. } => "recorded".to_owned(),
            Answer::Refused(code) => format!("refused: {code}"),
            Answer::Open(why) => format!("asked again: {why}"),
        };
        *counts.entry(name).or_default() += 1;
    }
    counts.into_iter().map(|(name, count)| format!("{count:>9}  {name}\n")).collect()
}
