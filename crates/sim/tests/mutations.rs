//! Each safety rule switched off in turn: the simulation has to notice. With all of them on, the same runs pass.
//!
//! `cargo test -p sim --features mutation --test mutations`

#![cfg(feature = "mutation")]

use sim::{Broken, Faults, Sim};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds within which a missing rule has to show.
const SEEDS: u64 = 12;

fn run(seed: u64) -> Result<(), Broken> {
    let mut sim = Sim::new(seed)?;
    sim.run(Faults::Any, 160)?;
    sim.run(Faults::None, 10)?;
    sim.finish().map(drop)
}

/// The first seed whose run fails, and with what. A rule of the node that panics has noticed as well.
fn first_failure() -> Option<(u64, String)> {
    (1..=SEEDS).find_map(|seed| match catch_unwind(AssertUnwindSafe(|| run(seed))) {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some((seed, broken.to_string())),
        Err(_) => Some((seed, "a panic".to_owned())),
    })
}

fn assert_caught(rule: &str) {
    let caught = first_failure();
    let (seed, how) = caught.unwrap_or_else(|| panic!("{SEEDS} seeds pass without {rule}"));
    println!("without {rule}, seed {seed} fails: {how}");
}

#[test]
fn with_every_rule_the_runs_pass() {
    assert_eq!(first_failure(), None);
}

#[test]
fn answers_that_do_not_wait_for_the_sync_are_noticed() {
    ledger::mutation::switch_off(ledger::mutation::Mutation::Sync);
    assert_caught("the sync");
}

#[test]
fn a_missing_mark_check_is_noticed() {
    ledger::mutation::switch_off(ledger::mutation::Mutation::MarkCheck);
    assert_caught("the mark check");
}

#[test]
fn a_missing_voted_check_is_noticed() {
    election::mutation::switch_off(election::mutation::Mutation::VotedCheck);
    assert_caught("the voted check");
}

#[test]
fn a_missing_idempotency_check_is_noticed() {
    election::mutation::switch_off(election::mutation::Mutation::IdempotencyCheck);
    assert_caught("the idempotency check");
}

#[test]
fn answers_for_what_is_not_in_the_log_are_noticed() {
    node::mutation::switch_off(node::mutation::Mutation::OnlyCommitted);
    assert_caught("the rule of only what is committed");
}

#[test]
fn what_a_failed_sync_left_and_nobody_wrote_again_is_noticed() {
    ledger::mutation::switch_off(ledger::mutation::Mutation::WriteAgain);
    assert_caught("writing again");
}
