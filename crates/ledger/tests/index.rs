//! The index on disk: what goes in is found, in order, whatever has been written, merged, lost or damaged meanwhile.

use std::collections::BTreeMap;

use ledger::faulty::{Crash, FaultyStorage};
use ledger::index::{BUFFER_ROWS, Index, IndexError};
use ledger::{FileStorage, LedgerId, LogPoint, Position, Storage, Threads};
use proof::Hash;
use proptest::prelude::*;

const ID: LedgerId = LedgerId([3; 16]);

fn point(position: u64) -> LogPoint {
    LogPoint { position: Position(position), hash: Hash([position as u8; 32]) }
}

/// As a keyed hash would spread them; every value of `number / 2` twice.
fn key(number: u64) -> [u8; 16] {
    let mixed = u128::from(number / 2 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    (mixed ^ (mixed >> 64)).to_be_bytes()
}

fn open<S: Storage>(storage: &S) -> Index<S> {
    Index::open(storage.clone(), ID, Threads::CallerOnly).unwrap()
}

fn lookup<S: Storage>(index: &Index<S>, key: &[u8; 16]) -> Vec<u64> {
    let mut values = Vec::new();
    index.reader().lookup(key, &mut values).unwrap();
    values
}

/// Inserts `rows` rows from `from` on, as entries of 1,000 rows.
fn feed<S: Storage>(index: &mut Index<S>, from: u64, rows: u64) {
    for number in from..from + rows {
        index.insert(&key(number), number);
        if number % 1000 == 999 {
            index.advance(point(number / 1000 + 1)).unwrap();
        }
    }
}

fn check_all<S: Storage>(index: &Index<S>, rows: u64) {
    for number in (0..rows).step_by(997).chain(rows - 3..rows) {
        let pair = number / 2 * 2;
        let expected: Vec<u64> = (pair..(pair + 2).min(rows)).collect();
        assert_eq!(lookup(index, &key(number)), expected, "{number}");
    }
    assert!(lookup(index, &[0; 16]).is_empty());
    assert!(lookup(index, &[255; 16]).is_empty());
    assert!(lookup(index, &key(rows + 10)).is_empty());
}

#[test]
fn rows_are_found_in_memory_in_runs_and_in_merged_runs() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path()).unwrap();
    for threads in [Threads::CallerOnly, Threads::Helpers] {
        let mut index = Index::open(storage.clone(), ID, threads).unwrap();
        let rows = BUFFER_ROWS as u64 * 5 + 1500;
        feed(&mut index, 0, rows);
        check_all(&index, rows);
        index.flush().unwrap();
        check_all(&index, rows);
        assert!(index.reader().runs() <= 6, "{}", index.reader().runs());
        drop(index);
        let mut index = Index::open(storage.clone(), ID, threads).unwrap();
        assert_eq!(index.through(), point(rows / 1000));
        check_all(&index, rows);
        index.clear().unwrap();
        assert_eq!(index.through(), LogPoint::START);
        assert!(lookup(&index, &key(0)).is_empty());
        assert!(storage.list().unwrap().is_empty());
    }
}

#[test]
fn after_a_crash_it_says_from_where_to_feed_it() {
    let storage = FaultyStorage::new(1);
    let mut index = open(&storage);
    feed(&mut index, 0, 5000);
    index.flush().unwrap();
    feed(&mut index, 5000, 3000);
    drop(index);
    storage.crash(Crash::LoseAll);
    let mut index = open(&storage);
    assert_eq!(index.through(), point(5));
    check_all(&index, 5000);
    feed(&mut index, 5000, 3000);
    check_all(&index, 8000);
}

#[test]
fn a_crash_at_any_operation_leaves_a_beginning() {
    let script = |storage: &FaultyStorage| -> Result<(), IndexError> {
        let mut index = Index::open(storage.clone(), ID, Threads::CallerOnly)?;
        for round in 0..8 {
            feed(&mut index, round * 1000, 1000);
            index.flush()?;
        }
        Ok(())
    };
    let storage = FaultyStorage::new(0);
    script(&storage).unwrap();
    let operations = storage.operations();
    assert!(storage.contents().len() < 8, "runs were merged");
    for operation in 1..=operations {
        let storage = FaultyStorage::new(operation);
        storage.crash_at_operation(operation);
        script(&storage).unwrap_err();
        for crash in [Crash::KeepAll, Crash::LoseAll].into_iter().chain((0..6).map(Crash::AnySector)) {
            let storage = storage.copy();
            storage.crash(crash);
            let mut index = open(&storage);
            let rounds = index.through().position.0;
            if rounds > 0 {
                check_all(&index, rounds * 1000);
            }
            feed(&mut index, rounds * 1000, 1000);
            index.flush().unwrap();
            check_all(&index, rounds * 1000 + 1000);
            drop(index);
            assert_eq!(open(&storage).through(), point(rounds + 1));
        }
    }
}

#[test]
fn a_full_disk_keeps_rows_in_memory_and_writes_them_later() {
    let storage = FaultyStorage::new(1);
    let mut index = open(&storage);
    storage.set_space(Some(10_000));
    feed(&mut index, 0, 3000);
    assert!(matches!(index.flush(), Err(IndexError::Io { .. })));
    check_all(&index, 3000);
    feed(&mut index, 3000, 1000);
    storage.set_space(None);
    index.flush().unwrap();
    check_all(&index, 4000);
    drop(index);
    let index = open(&storage);
    assert_eq!(index.through(), point(4));
    check_all(&index, 4000);
}

#[test]
fn damage_is_noticed_and_the_index_of_another_ledger_is_not_used() {
    let storage = FaultyStorage::new(1);
    let mut index = open(&storage);
    feed(&mut index, 0, 3000);
    index.flush().unwrap();
    let name = storage.contents().into_keys().next().unwrap();
    storage.flip(&name, 4096 + 5 * 4096 + 1000, 1);
    let mut values = Vec::new();
    let damaged =
        (0..3000).filter(|&number| index.reader().lookup(&key(number), &mut values).is_err()).count();
    assert!(damaged > 0);
    drop(index);

    storage.flip(&name, 50, 1);
    assert_eq!(open(&storage).through(), LogPoint::START, "a damaged header, and the run is dropped");
    assert!(storage.contents().is_empty());

    feed(&mut open(&storage), 0, 1000);
    let mut index = open(&storage);
    feed(&mut index, 0, 1000);
    index.flush().unwrap();
    drop(index);
    let other = Index::open(storage.clone(), LedgerId([4; 16]), Threads::CallerOnly).unwrap();
    assert_eq!(other.through(), LogPoint::START);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Against a plain map: any keys (evenly spread or not), any flushes and reopenings.
    #[test]
    fn it_finds_what_a_map_finds(
        steps in prop::collection::vec((prop::collection::vec((0_u16..400, any::<bool>()), 0..300), 0_u8..4), 1..12),
    ) {
        let storage = FaultyStorage::new(1);
        let mut index = open(&storage);
        let mut map: BTreeMap<[u8; 16], Vec<u64>> = BTreeMap::new();
        let mut value = 0;
        for (position, (keys, action)) in (1..).zip(steps) {
            for (number, clustered) in keys {
                let key = if clustered { u128::from(number).to_be_bytes() } else { key(u64::from(number)) };
                index.insert(&key, value);
                map.entry(key).or_default().push(value);
                value += 1;
            }
            index.advance(point(position)).unwrap();
            match action {
                0 => index.flush().unwrap(),
                1 => {
                    index.flush().unwrap();
                    drop(index);
                    index = open(&storage);
                    prop_assert_eq!(index.through(), point(position));
                }
                _ => {}
            }
            for (key, values) in &map {
                prop_assert_eq!(&lookup(&index, key), values);
            }
        }
    }
}
