//! Small ledgers on faulty disks.

#![allow(dead_code, reason = "each test file uses its part")]

use std::sync::LazyLock;

use ledger::faulty::FaultyStorage;
use ledger::{
    EntryKind, Ledger, LedgerError, LedgerId, LedgerOptions, Log, NewEntry, Position, Recovery, Storage,
    Threads,
};

/// Where entries begin in a segment.
pub const DATA: usize = 8192;

pub const ID: LedgerId = LedgerId([0xab; 16]);

/// Segments small enough that a few entries fill one.
pub const TINY: LedgerOptions = LedgerOptions {
    segment_bytes_first: 16 << 10,
    segment_bytes_max: 24 << 10,
    threads: Threads::CallerOnly,
};

/// The payload of entry `position`: its length and bytes follow from the position.
pub fn payload(position: u64) -> &'static [u8] {
    static PAYLOADS: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| (0..64).map(make_payload).collect());
    &PAYLOADS[position as usize]
}

fn make_payload(position: u64) -> Vec<u8> {
    let bytes = match position % 8 {
        0 => 0,
        1 => 40,
        2 => 511,
        3 => 900,
        5 => 2500,
        7 if position % 16 == 7 => 20_000,
        other => 200 + other * 13,
    };
    (0..bytes).map(|at| (at * 7 + position * 13 + 1) as u8).collect()
}

pub fn append<S: Storage>(ledger: &mut Ledger<S>, position: u64) -> Result<Position, LedgerError> {
    let payload = payload(position);
    ledger.append(NewEntry { epoch: 1, term: 0, stamp: position << 16, kind: EntryKind(1), payload })
}

/// Opens, and checks that what is there is entries 1 to n of the script; returns n.
pub fn open_and_check<S: Storage>(storage: &S) -> Result<(Ledger<S>, Recovery), LedgerError> {
    let mut seen = 0;
    let opened = Ledger::open(storage.clone(), TINY, |entry| {
        seen += 1;
        assert_eq!(entry.header.position.0, seen);
        assert!(entry.payload == payload(seen), "entry {seen} is as it was written");
        Ok::<_, LedgerError>(())
    });
    if let Ok((ledger, recovery)) = &opened {
        assert_eq!(ledger.committed().0, seen);
        assert_eq!(recovery.last, ledger.last());
    }
    opened
}

/// A ledger with `entries` entries; closed with a mark, or left without one.
pub fn ledger_with(entries: u64, marked: bool) -> FaultyStorage {
    let storage = FaultyStorage::new(0);
    let mut ledger = Ledger::create(storage.clone(), ID, TINY).unwrap();
    for position in 1..=entries {
        append(&mut ledger, position).unwrap();
    }
    if marked {
        ledger.idle().unwrap();
    }
    storage
}
