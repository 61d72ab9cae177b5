//! Each safeguard switched off in turn: the checks of the other test files notice.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ledger::faulty::Crash;
use ledger::mutation::{Mutation, switch_off};
use ledger::{EntryKind, Ledger, LedgerError, Log as _, LogReader as _, NewEntry, Position};
use support::{DATA, TINY, append, ledger_with, open_and_check};

fn what_is_confirmed_survives_a_power_failure() {
    let storage = ledger_with(5, false);
    storage.crash(Crash::LoseAll);
    let (ledger, _) = open_and_check(&storage).unwrap();
    assert_eq!(ledger.committed().0, 5);
}

fn damage_below_the_mark_is_refused() {
    let storage = ledger_with(3, true);
    storage.crash(Crash::KeepAll);
    storage.flip("0000000000000001.seg", DATA + 20, 1);
    open_and_check(&storage).unwrap_err();
}

fn what_is_not_committed_is_not_read() {
    let storage = ledger_with(3, true);
    storage.crash(Crash::KeepAll);
    let (mut ledger, _) = open_and_check(&storage).unwrap();
    let reader = ledger.reader();
    storage.fail_sync(1);
    append(&mut ledger, 4).unwrap_err();
    assert!(matches!(reader.read(Position(4), &mut Vec::new()), Err(LedgerError::NotCommitted { .. })));
}

fn a_torn_record_is_gone_for_good() {
    let storage = ledger_with(3, true);
    storage.crash(Crash::KeepAll);
    let (mut ledger, _) = open_and_check(&storage).unwrap();
    storage.crash_at_operation(storage.operations() + 1);
    append(&mut ledger, 4).unwrap_err();
    drop(ledger);
    storage.crash(Crash::LoseOfLastWrite(100));
    let (mut ledger, recovery) = open_and_check(&storage).unwrap();
    assert!(recovery.cut.is_some());
    ledger.append(NewEntry { epoch: 1, term: 0, stamp: 0, kind: EntryKind(1), payload: &[] }).unwrap();
    drop(ledger);
    let (_, recovery) = Ledger::open(storage, TINY, |_| Ok::<_, LedgerError>(())).unwrap();
    assert_eq!(recovery.cut, None);
}

fn what_a_failed_sync_left_behind_is_not_trusted() {
    let storage = ledger_with(3, true);
    storage.crash(Crash::KeepAll);
    let (mut ledger, _) = open_and_check(&storage).unwrap();
    storage.fail_sync(1);
    append(&mut ledger, 4).unwrap_err();
    drop(ledger);
    let found = open_and_check(&storage).unwrap().0.committed();
    storage.crash(Crash::LoseAll);
    assert_eq!(open_and_check(&storage).unwrap().0.committed(), found);
}

fn a_full_disk_leaves_no_remains() {
    let storage = ledger_with(2, true);
    storage.crash(Crash::KeepAll);
    let (mut ledger, _) = open_and_check(&storage).unwrap();
    storage.set_space(Some(300));
    let big = NewEntry { epoch: 1, term: 0, stamp: 0, kind: EntryKind(1), payload: &[1; 500] };
    assert!(matches!(ledger.append(big), Err(LedgerError::Full { .. })));
    storage.set_space(None);
    ledger.append(NewEntry { payload: &[], ..big }).unwrap();
    drop(ledger);
    let (_, recovery) = Ledger::open(storage, TINY, |_| Ok::<_, LedgerError>(())).unwrap();
    assert_eq!(recovery.cut, None);
}

#[test]
fn a_safeguard_that_is_switched_off_is_missed() {
    let pairs: [(Mutation, fn()); 6] = [
        (Mutation::Sync, what_is_confirmed_survives_a_power_failure),
        (Mutation::MarkCheck, damage_below_the_mark_is_refused),
        (Mutation::OnlyCommitted, what_is_not_committed_is_not_read),
        (Mutation::Cut, a_torn_record_is_gone_for_good),
        (Mutation::WriteAgain, what_a_failed_sync_left_behind_is_not_trusted),
        (Mutation::Wipe, a_full_disk_leaves_no_remains),
    ];
    for (mutation, check) in pairs {
        check();
        switch_off(mutation);
        let noticed = catch_unwind(AssertUnwindSafe(check)).is_err();
        switch_off(Mutation::None);
        assert!(noticed, "{mutation:?} switched off, and nobody noticed");
    }
}
