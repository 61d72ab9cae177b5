//! Each safety rule switched off in turn: voters over a cluster have to notice. With all of them on, the same runs pass.
//!
//! `cargo test -p sim --features mutation --test cluster_mutations`

#![cfg(feature = "mutation")]

use cluster::mutation::Mutation as OfCluster;
use election::mutation::Mutation as OfElection;
use ledger::mutation::Mutation as OfLedger;
use sim::{Broken, ClusterSim, Fence};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Seeds within which a missing rule has to show.
const SEEDS: u64 = 1_000;

fn run(seed: u64, fence: Fence) -> Result<(), Broken> {
    let mut sim = ClusterSim::new(seed, fence)?;
    sim.run(400)?;
    sim.heal()?;
    sim.run(200)?;
    sim.finish().map(drop)
}

/// The first seed whose run fails, and with what. A rule of a library that panics has noticed as well.
fn first_failure(seeds: u64, fence: Fence) -> Option<(u64, String)> {
    (1..=seeds).find_map(|seed| match catch_unwind(AssertUnwindSafe(|| run(seed, fence))) {
        Ok(Ok(())) => None,
        Ok(Err(broken)) => Some((seed, broken.to_string().lines().next().unwrap_or_default().to_owned())),
        Err(_) => Some((seed, "a panic".to_owned())),
    })
}

fn assert_caught(rule: &str, fence: Fence) {
    let caught = first_failure(SEEDS, fence);
    let (seed, how) = caught.unwrap_or_else(|| panic!("{SEEDS} seeds pass without {rule}"));
    println!("without {rule}, seed {seed} fails: {how}");
}

#[test]
fn with_every_rule_the_runs_pass() {
    assert_eq!(first_failure(12, Fence::Kept), None);
}

#[test]
fn answers_that_do_not_wait_for_the_sync_are_noticed() {
    cluster::mutation::switch_off(OfCluster::SyncBeforeAnswer);
    assert_caught("the sync before the answer", Fence::Kept);
}

#[test]
fn a_log_that_is_not_synced_is_noticed() {
    ledger::mutation::switch_off(OfLedger::Sync);
    assert_caught("the sync", Fence::Kept);
}

#[test]
fn a_leader_that_asks_no_majority_is_noticed() {
    cluster::mutation::switch_off(OfCluster::Quorum);
    assert_caught("the quorum", Fence::Kept);
}

#[test]
fn reads_that_ask_nobody_are_noticed() {
    cluster::mutation::switch_off(OfCluster::ReadQuorum);
    assert_caught("the majority behind a read", Fence::Kept);
}

#[test]
fn a_missing_idempotency_check_is_noticed() {
    election::mutation::switch_off(OfElection::IdempotencyCheck);
    assert_caught("the idempotency check", Fence::Kept);
}

#[test]
fn a_missing_voted_check_is_noticed() {
    election::mutation::switch_off(OfElection::VotedCheck);
    assert_caught("the voted check", Fence::Kept);
}

#[test]
fn who_comes_back_without_a_pre_vote_is_noticed() {
    cluster::mutation::switch_off(OfCluster::PreVote);
    assert_caught("the pre-vote", Fence::Kept);
}

#[test]
fn a_missing_term_check_is_noticed() {
    cluster::mutation::switch_off(OfCluster::TermCheck);
    assert_caught("the term check", Fence::Kept);
}

#[test]
fn a_missing_mark_check_is_noticed() {
    ledger::mutation::switch_off(OfLedger::MarkCheck);
    assert_caught("the mark check", Fence::Kept);
}

#[test]
fn applying_what_is_not_committed_is_noticed() {
    cluster::mutation::switch_off(OfCluster::OnlyCommitted);
    assert_caught("the rule that only what is committed is applied", Fence::Kept);
}

#[test]
fn an_empty_disk_under_the_old_number_is_noticed() {
    assert_caught("the fence on a blank disk", Fence::Broken);
}
