//! A crash at every operation on the disk: what comes back is a beginning of what was asked for, and holds everything
//! that was confirmed.

mod support;

use ledger::faulty::{Crash, FaultyStorage};
use ledger::{Ledger, LedgerError, Log as _};
use support::{ID, TINY, append, ledger_with, open_and_check};

const ENTRIES: u64 = 26;

/// What a run had been told when it ended.
#[derive(Clone, Copy, Default, Debug)]
struct Told {
    created: bool,
    confirmed: u64,
}

/// Creates, appends, idles, closes and reopens, until all is done or the disk fails.
fn run_script(storage: &FaultyStorage, told: &mut Told) -> Result<(), LedgerError> {
    let mut ledger = Ledger::create(storage.clone(), ID, TINY)?;
    told.created = true;
    for position in 1..=ENTRIES {
        if position == 12 || position == 20 {
            if position == 12 {
                ledger.close()?;
            } else {
                drop(ledger);
            }
            ledger = open_and_check(storage)?.0;
        }
        assert_eq!(append(&mut ledger, position)?.0, position);
        told.confirmed = position;
        if position % 5 == 0 {
            ledger.idle()?;
        }
    }
    ledger.close()
}

fn operations_of_script() -> u64 {
    let storage = FaultyStorage::new(0);
    let mut told = Told::default();
    run_script(&storage, &mut told).unwrap();
    assert_eq!(told.confirmed, ENTRIES);
    storage.operations()
}

/// The disk and what was told when the machine died at each operation of the script in turn, not yet crashed.
fn dying_scripts() -> impl Iterator<Item = (FaultyStorage, Told)> {
    (1..=operations_of_script()).map(|operation| {
        let storage = FaultyStorage::new(operation);
        storage.crash_at_operation(operation);
        let mut told = Told::default();
        run_script(&storage, &mut told).expect_err("the disk dies within the script");
        (storage, told)
    })
}

fn crashed(storage: &FaultyStorage, crash: Crash) -> FaultyStorage {
    let storage = storage.copy();
    storage.crash(crash);
    storage
}

/// Opens after a crash, checks what is there against what was told, and goes on from there.
fn recover(storage: &FaultyStorage, told: Told) {
    let mut ledger = match open_and_check(storage) {
        Ok((ledger, _)) => ledger,
        Err(LedgerError::NoLedger { .. }) if !told.created => {
            Ledger::create(storage.clone(), ID, TINY).unwrap()
        }
        Err(error) => panic!("{error} ({told:?})"),
    };
    let found = ledger.committed().0;
    assert!(found >= told.confirmed, "{told:?}, but only {found} entries came back");
    assert!(found <= told.confirmed + 1, "{told:?}, but {found} entries came back");
    for position in found + 1..=found + 3 {
        append(&mut ledger, position).unwrap();
    }
    drop(ledger);
    storage.crash(Crash::LoseAll);
    let (ledger, recovery) = open_and_check(storage).unwrap();
    assert_eq!(ledger.committed().0, found + 3);
    assert_eq!(recovery.cut, None, "what was confirmed was whole");
}

#[test]
fn a_crash_at_any_operation_loses_nothing_confirmed() {
    for (storage, told) in dying_scripts() {
        for crash in [Crash::KeepAll, Crash::LoseAll].into_iter().chain((0..10).map(Crash::AnySector)) {
            recover(&crashed(&storage, crash), told);
        }
    }
}

/// Every operation with every third byte, so that three neighbours together take every byte.
#[test]
fn a_write_cut_at_any_byte_loses_nothing_confirmed() {
    for (number, (storage, told)) in dying_scripts().enumerate() {
        let Some(written) = storage.last_write_bytes() else { continue };
        let inside = (number % 3..120).step_by(3).chain((120..=written).step_by(1 + written / 8));
        for bytes in inside.filter(|bytes| *bytes <= written) {
            for crash in [Crash::KeepOfLastWrite(bytes), Crash::LoseOfLastWrite(bytes)] {
                recover(&crashed(&storage, crash), told);
            }
        }
    }
}

#[test]
fn a_crash_while_recovering_loses_nothing_confirmed() {
    let mut crashes_while_recovering = 0;
    for (storage, told) in dying_scripts() {
        for seed in 0..4 {
            let crashed = crashed(&storage, Crash::AnySector(seed));
            for operation in 1.. {
                let storage = crashed.copy();
                storage.crash_at_operation(storage.operations() + operation);
                if !matches!(
                    open_and_check(&storage),
                    Err(LedgerError::SyncFailed { .. } | LedgerError::Io { .. })
                ) {
                    break;
                }
                crashes_while_recovering += 1;
                storage.crash(Crash::AnySector(seed));
                recover(&storage, told);
            }
        }
    }
    assert!(crashes_while_recovering > 100, "{crashes_while_recovering}");
}

#[test]
fn an_unfinished_record_is_cut_and_told() {
    let storage = ledger_with(3, false);
    let before = storage.operations();
    let (mut ledger, _) = {
        storage.crash(Crash::KeepAll);
        open_and_check(&storage).unwrap()
    };
    storage.crash_at_operation(storage.operations() + 1);
    append(&mut ledger, 4).unwrap_err();
    drop(ledger);
    storage.crash(Crash::KeepOfLastWrite(200));
    assert!(storage.operations() > before);
    let (_, recovery) = open_and_check(&storage).unwrap();
    let cut = recovery.cut.expect("the torn record is cut");
    assert_eq!((cut.position.0, cut.bytes), (4, 200));
    assert_eq!(
        cut.to_string(),
        "cut the unfinished record at position 4 (200 bytes at byte 9955 of `/faulty/0000000000000001.seg`), whose \
         write had not ended when the process stopped; the log ends with entry 3"
    );
}

/// A failed sync leaves pages that are seen and will never be written. Reopening must not trust them.
#[test]
fn what_a_failed_sync_left_behind_is_written_again() {
    let storage = ledger_with(3, true);
    storage.crash(Crash::KeepAll);
    let (mut ledger, _) = open_and_check(&storage).unwrap();
    storage.fail_sync(1);
    assert!(matches!(append(&mut ledger, 4), Err(LedgerError::SyncFailed { .. })));
    assert!(matches!(append(&mut ledger, 4), Err(LedgerError::Poisoned { .. })));
    assert!(matches!(ledger.idle(), Err(LedgerError::Poisoned { .. })));
    assert_eq!(ledger.committed().0, 3);
    drop(ledger);
    let (ledger, _) = open_and_check(&storage).unwrap();
    assert_eq!(ledger.committed().0, 4, "the process starts again and finds the entry in the cache");
    drop(ledger);
    storage.crash(Crash::LoseAll);
    let (ledger, _) = open_and_check(&storage).unwrap();
    assert_eq!(ledger.committed().0, 4, "and it survives the power failure that follows");
}
