//! Each safeguard switched off in turn: the simulation has to notice. With all of them on, the same runs pass.
//!
//! `cargo test -p cluster --features mutation --test mutations`

#![cfg(feature = "mutation")]

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use support::{Fence, whole_run};

/// Seeds within which a missing safeguard has to show.
const SEEDS: u64 = 1000;

/// The first seed whose run fails. A safeguard of the library that panics has noticed as well.
fn first_failure(fence: Fence) -> Option<u64> {
    first_of(SEEDS, fence)
}

fn first_of(seeds: u64, fence: Fence) -> Option<u64> {
    (1..=seeds).find(|seed| catch_unwind(AssertUnwindSafe(|| whole_run(*seed, fence))).is_err())
}

fn assert_caught(what: &str) {
    let seed = first_failure(Fence::Kept).unwrap_or_else(|| panic!("{SEEDS} seeds pass without {what}"));
    println!("without {what}, seed {seed} fails");
}

#[test]
fn with_every_safeguard_the_runs_pass() {
    assert_eq!(first_of(60, Fence::Kept), None);
}

#[test]
fn an_empty_disk_under_the_old_number_is_noticed() {
    let seed = first_failure(Fence::Broken);
    println!("with its old number on an empty disk, seed {seed:?} fails");
    assert!(seed.is_some());
}

#[test]
fn what_a_full_disk_did_not_take_and_is_acknowledged_is_noticed() {
    cluster::mutation::switch_off(cluster::mutation::Mutation::FullDisk);
    assert_caught("acknowledging only what was written");
}

#[test]
fn a_log_that_is_not_synced_is_noticed() {
    ledger::mutation::switch_off(ledger::mutation::Mutation::Sync);
    assert_caught("the sync");
}

#[test]
fn a_vote_that_is_not_synced_is_noticed() {
    ledger::mutation::switch_off(ledger::mutation::Mutation::HardState);
    assert_caught("the sync of the vote");
}

#[test]
fn answers_before_the_sync_are_noticed() {
    cluster::mutation::switch_off(cluster::mutation::Mutation::SyncBeforeAnswer);
    assert_caught("the sync before the answer");
}

#[test]
fn handing_out_what_is_not_committed_is_noticed() {
    cluster::mutation::switch_off(cluster::mutation::Mutation::OnlyCommitted);
    assert_caught("the rule of only what is committed");
}

#[test]
fn reads_that_ask_nobody_are_noticed() {
    cluster::mutation::switch_off(cluster::mutation::Mutation::ReadQuorum);
    assert_caught("the majority behind a read");
}

#[test]
fn a_membership_before_its_forerunner_is_known_committed_is_noticed() {
    cluster::mutation::switch_off(cluster::mutation::Mutation::CommitBeforeMembership);
    assert_caught("what is committed being on disk before the next membership");
}
