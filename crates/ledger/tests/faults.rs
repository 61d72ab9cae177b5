//! Full disks, failing disks, and two processes at one folder.

mod support;

use ledger::faulty::{Crash, FaultyStorage};
use ledger::{
    FileStorage, Ledger, LedgerError, LedgerOptions, Log as _, LogReader as _, Position, Storage as _,
    StorageFile as _,
};
use support::{ID, TINY, append, ledger_with, open_and_check};

/// Appends until the disk is full, at every possible number of free bytes; then gives room and goes on.
#[test]
fn a_full_disk_refuses_and_goes_on_when_there_is_room() {
    for space in (0..3000).step_by(7).chain((3000..60_000).step_by(1013)) {
        let storage = ledger_with(2, false);
        storage.crash(Crash::KeepAll);
        let (mut ledger, _) = open_and_check(&storage).unwrap();
        storage.set_space(Some(space));
        let mut position = 3;
        let error = loop {
            match append(&mut ledger, position) {
                Ok(_) => position += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(error, LedgerError::Full { .. }), "{error}");
        assert!(matches!(append(&mut ledger, position), Err(LedgerError::Full { .. })), "and again");
        assert_eq!(ledger.committed().0, position - 1, "nothing has changed");
        ledger.reader().read(Position(position - 1), &mut Vec::new()).expect("reading goes on");

        // Power fails here: nothing of the refused entry comes back.
        let after_crash = storage.copy();
        for crash in [Crash::KeepAll, Crash::LoseAll, Crash::AnySector(space)] {
            let storage = after_crash.copy();
            storage.crash(crash);
            storage.set_space(None);
            let (ledger, _) = open_and_check(&storage).unwrap();
            assert_eq!(ledger.committed().0, position - 1);
        }

        // Or there is room again, for another, shorter entry than the one refused.
        storage.set_space(None);
        ledger
            .append(ledger::NewEntry {
                epoch: 1,
                term: 0,
                stamp: 0,
                kind: ledger::EntryKind(9),
                payload: b"short",
            })
            .unwrap();
        drop(ledger);
        let mut entries = 0;
        let (ledger, recovery) = Ledger::open(storage, TINY, |entry| {
            entries += 1;
            assert_eq!(entry.payload == b"short", entries == position);
            Ok::<_, LedgerError>(())
        })
        .unwrap();
        assert_eq!((ledger.committed().0, entries, recovery.cut), (position, position, None));
    }
}

#[test]
fn any_failing_sync_ends_the_ledger_and_loses_nothing_confirmed() {
    for nth in 1..80 {
        let storage = ledger_with(0, false);
        storage.crash(Crash::KeepAll);
        let (mut ledger, _) = open_and_check(&storage).unwrap();
        storage.fail_sync(nth);
        let mut confirmed = 0;
        let error = loop {
            let result = append(&mut ledger, confirmed + 1);
            match result {
                Ok(_) => confirmed += 1,
                Err(error) => break error,
            }
        };
        // Preparing a segment touches nothing that was confirmed, so failing there is no reason to die.
        match error {
            LedgerError::SyncFailed { .. } => {
                assert!(error.is_fatal());
                assert!(append(&mut ledger, confirmed + 1).unwrap_err().is_fatal(), "it takes nothing more");
            }
            LedgerError::Io { .. } => {
                assert_eq!(append(&mut ledger, confirmed + 1).unwrap().0, confirmed + 1)
            }
            error => panic!("{error}"),
        }
        assert!(ledger.committed().0 <= confirmed + 1);
        drop(ledger);
        for crash in [Crash::KeepAll, Crash::LoseAll, Crash::AnySector(nth)] {
            let storage = storage.copy();
            storage.crash(crash);
            let (ledger, _) = open_and_check(&storage).unwrap();
            assert!((confirmed..=confirmed + 1).contains(&ledger.committed().0));
        }
    }
}

#[test]
fn a_second_process_is_told_who_holds_the_folder() {
    let folder = tempfile::tempdir().unwrap();
    let storage =
        || FileStorage::new(folder.path().join("ledger")).unwrap().locked_by(folder.path().join("lock"));
    let ledger = Ledger::create(storage(), ID, LedgerOptions::STANDARD).unwrap();
    let error = open_and_check(&storage()).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "`{}` is in use by another process (process {}); stop that one first, or choose another folder",
            folder.path().display(),
            std::process::id()
        )
    );
    ledger.close().unwrap();
    open_and_check(&storage()).expect("the folder is free again");
}

#[test]
fn a_folder_without_a_ledger_says_so_and_a_ledger_is_never_overwritten() {
    let storage = FaultyStorage::new(0);
    assert!(matches!(open_and_check(&storage), Err(LedgerError::NoLedger { .. })));
    Ledger::create(storage.clone(), ID, TINY).unwrap();
    assert!(matches!(Ledger::create(storage, ID, TINY), Err(LedgerError::AlreadyExists { .. })));
}

#[test]
fn small_ledgers_stay_small_and_segments_grow() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path()).unwrap();
    let options = LedgerOptions { segment_bytes_max: 4 << 20, ..LedgerOptions::STANDARD };
    let sizes = || -> Vec<u64> {
        let files = storage.list().unwrap();
        files.iter().filter(|file| file.name.ends_with(".seg")).map(|file| file.bytes >> 20).collect()
    };
    let mut ledger = Ledger::create(storage.clone(), ID, options).unwrap();
    let payload = vec![1; 100_000];
    let entry =
        ledger::NewEntry { epoch: 1, term: 0, stamp: 0, kind: ledger::EntryKind(1), payload: &payload };
    ledger.append(entry).unwrap();
    assert_eq!(sizes(), [1]);
    for _ in 0..160 {
        ledger.append(entry).unwrap();
    }
    assert_eq!(sizes(), [1, 2, 4, 4, 4, 4]);
    ledger.append(ledger::NewEntry { payload: &vec![2; ledger::ENTRY_BYTES_MAX], ..entry }).unwrap();
    assert_eq!(sizes().last(), Some(&8), "an entry larger than a segment gets its own");
    ledger.append(entry).unwrap();
    ledger.close().unwrap();
    assert!(storage.open("next.new").is_err(), "the prepared segment goes when the ledger is closed");
    let (ledger, recovery) = Ledger::open(storage.clone(), options, |_| Ok::<_, LedgerError>(())).unwrap();
    assert_eq!((ledger.committed().0, recovery.cut), (163, None));
}

#[test]
fn checking_changes_nothing_and_needs_no_lock() {
    let storage = ledger_with(5, false);
    let name = storage.contents().keys().next().unwrap().clone();
    let end = storage.contents()[&name].iter().rposition(|&byte| byte != 0).unwrap() as u64 + 1;
    storage.open(&name).unwrap().write_at(&[b"torn"], end).unwrap();
    let before = storage.contents();
    let _lock = storage.lock().unwrap();
    let threads = ledger::Threads::Helpers;
    let recovery = Ledger::check(&storage, threads, |_| Ok::<_, LedgerError>(())).unwrap();
    assert_eq!(recovery.last.position.0, 5);
    assert_eq!(recovery.cut.map(|cut| cut.bytes), Some(4));
    assert!(storage.contents() == before);
}

#[test]
fn readers_keep_up_with_a_writer_on_other_threads() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path()).unwrap();
    let options = LedgerOptions {
        segment_bytes_first: 64 << 10,
        segment_bytes_max: 256 << 10,
        ..LedgerOptions::STANDARD
    };
    let mut ledger = Ledger::create(storage, ID, options).unwrap();
    let reader = ledger.reader();
    let entries = 600;
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let reader = reader.clone();
            scope.spawn(move || {
                use ledger::Scan as _;
                let mut scan = reader.scan(Position(1));
                let mut payload = Vec::new();
                let mut seen = 0;
                while seen < entries {
                    while let Some(entry) = scan.next().unwrap() {
                        seen += 1;
                        assert_eq!(entry.header.position.0, seen);
                        assert!(entry.payload == support::payload(seen % 64));
                    }
                    let any = 1 + seen / 2;
                    if reader.read(Position(any), &mut payload).is_ok() {
                        assert!(payload == support::payload(any % 64));
                    }
                    std::thread::yield_now();
                }
            });
        }
        for position in 1..=entries {
            let payload = support::payload(position % 64);
            let kind = ledger::EntryKind(1);
            ledger.append(ledger::NewEntry { epoch: 1, term: 0, stamp: 0, kind, payload }).unwrap();
            if position % 50 == 0 {
                ledger.idle().unwrap();
            }
        }
    });
}

#[test]
fn a_check_beside_a_running_writer_sees_a_sound_prefix() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path()).unwrap();
    let mut ledger = Ledger::create(storage.clone(), ID, LedgerOptions::STANDARD).unwrap();
    let writing = std::sync::atomic::AtomicBool::new(true);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut seen = 0;
            for round in 0.. {
                let running = writing.load(std::sync::atomic::Ordering::Relaxed);
                let recovery =
                    Ledger::check(&storage, ledger::Threads::Helpers, |_| Ok::<_, LedgerError>(())).unwrap();
                assert!(recovery.last.position.0 >= seen, "round {round}");
                seen = recovery.last.position.0;
                if !running {
                    break;
                }
            }
            assert_eq!(seen, 1500);
        });
        let payload = vec![0x55; 30_000];
        for number in 0..1500 {
            let payload = &payload[..number * 17 % 30_000];
            let kind = ledger::EntryKind(1);
            ledger.append(ledger::NewEntry { epoch: 1, term: 0, stamp: 0, kind, payload }).unwrap();
            if number % 3 == 0 {
                ledger.idle().unwrap();
            }
        }
        writing.store(false, std::sync::atomic::Ordering::Relaxed);
    });
}
