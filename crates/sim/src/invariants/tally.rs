//! The counts are those of the ballots: state, leaves, turnout and every sum, against the model's plain count.

use crate::ballots::Papers;
use crate::broken::{Broken, Promise};
use crate::model::{Model, PlainCount};
use election::State;
use election::tally::Counts;

const PROMISE: Promise = Promise::Tally;

pub fn check(state: &State, model: &Model, papers: &Papers) -> Result<(), Broken> {
    let (live, plain) = (state.elections().len(), model.elections.len());
    PROMISE.check(live == plain, || format!("there are {live} elections instead of {plain}"))?;
    PROMISE.check(state.now.0 == model.now, || "the state's time is not the log's".to_owned())?;
    for (index, (live, plain)) in state.elections().iter().zip(&model.elections).enumerate() {
        let facts = (live.state.as_str(), live.leaves, live.ballots, live.closes_at.map(|at| at.0));
        let expected = (plain.stage.as_str(), plain.leaves.len() as u64, plain.ballot_count, plain.closes_at);
        PROMISE.check(facts == expected, || {
            format!("election {index}: state, leaves, ballots, deadline are {facts:?}, not {expected:?}")
        })?;
        let facts = (live.draw.is_some(), live.revealed, live.closing_size, live.voted.voters());
        let expected = (plain.is_drawn, plain.is_revealed, plain.closing_size, plain.voters() as u64);
        PROMISE.check(facts == expected, || {
            format!("election {index}: lot, curtain, closing size, voters are {facts:?}, not {expected:?}")
        })?;
        compare(&live.tally.all, &plain.count(papers, None), &format!("election {index}"))?;
        for (group, counts) in live.tally.groups.iter().enumerate() {
            let number = u16::try_from(group).expect("few groups");
            let plain = plain.count(papers, Some(number));
            compare(counts, &plain, &format!("election {index}, group {group}"))?;
        }
    }
    Ok(())
}

fn compare(live: &Counts, plain: &PlainCount, place: &str) -> Result<(), Broken> {
    let is_equal = live.ballots == plain.ballots
        && live.weight == plain.weight
        && live.contests.len() == plain.contests.len()
        && live
            .contests
            .iter()
            .zip(&plain.contests)
            .all(|(live, plain)| live.votes == plain.votes && live.blank == plain.blank);
    PROMISE.check(is_equal, || format!("{place}: counts are {live:?}, not {plain:?}"))
}
