//! Motions: yes, no, abstain, against a required majority of a named base, if the quorum is met.

use super::{ContestOutcome, OutcomeKind, no_votes, votes_text};
use crate::definition::{Base, Contest};
use crate::tally::{ContestTally, Counts};

pub(super) fn outcome(
    contest: &Contest,
    counts: &Counts,
    tally: &ContestTally,
    eligible: u64,
) -> ContestOutcome {
    let [yes, no, ..] = tally.votes[..] else { panic!("a motion has the choices yes, no, abstain") };
    let quorum = contest.quorum.map(|quorum| quorum.needed(eligible));
    if let Some(quorum) = quorum.filter(|quorum| counts.weight < *quorum) {
        let sentence = format!("No quorum: {} cast, needed {quorum}", votes_text(counts.weight));
        return ContestOutcome {
            kind: OutcomeKind::NoQuorum,
            sentence,
            winners: Vec::new(),
            tied: Vec::new(),
            needed: Some(quorum),
            base: Some(counts.weight),
            points: None,
        };
    }
    let base = match contest.base {
        Base::YesNo => yes + no,
        Base::Cast => counts.weight,
        Base::Eligible => eligible,
    };
    if base == 0 {
        return no_votes();
    }
    let needed = contest.majority.needed(base);
    let passed = yes >= needed;
    let (kind, word) = if passed { (OutcomeKind::Passed, "passed") } else { (OutcomeKind::Failed, "failed") };
    ContestOutcome {
        kind,
        sentence: format!("Motion {word}: {yes} of {base}, needed {needed}"),
        winners: if passed { vec![contest.choices[0].id.clone()] } else { Vec::new() },
        tied: Vec::new(),
        needed: Some(needed),
        base: Some(base),
        points: None,
    }
}
