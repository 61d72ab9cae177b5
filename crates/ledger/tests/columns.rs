//! Columns and tiles: readers see what was published, and a tree can be taken back and grown again.

use ledger::columns::{ColumnWriter, Place, TileWriter};
use ledger::faulty::{Crash, FaultyStorage};
use ledger::{FileStorage, Position, files};
use proof::{Edge, LeafKind, TreeSize, leaf_hash, root_at};
use proptest::prelude::*;

#[test]
fn rows_are_seen_once_published() {
    let folder = tempfile::tempdir().unwrap();
    let storage = FileStorage::new(folder.path()).unwrap();
    let mut column = ColumnWriter::open(&storage, "places", Place::BYTES).unwrap();
    let reader = column.reader();
    let place = |row: u64| Place { entry: Position(row / 10 + 1), offset: row as u32 * 7, length: 106 };
    let mut out = Vec::new();
    assert!(!reader.read(0, 1, &mut out).unwrap());
    for from in [0, 10, 20] {
        let rows: Vec<u8> = (from..from + 10).flat_map(|row| place(row).to_bytes()).collect();
        column.append(&rows).unwrap();
        assert_eq!(reader.rows(), from + 10);
    }
    assert!(!reader.read(25, 6, &mut out).unwrap(), "one too many");
    assert!(!reader.read(u64::MAX, 2, &mut out).unwrap());
    assert!(out.is_empty());
    assert!(reader.read(25, 5, &mut out).unwrap());
    let (rows, _) = out.as_chunks();
    assert_eq!(
        rows.iter().map(Place::from_bytes).collect::<Vec<_>>(),
        (25..30).map(place).collect::<Vec<_>>()
    );
    column.truncate(12).unwrap();
    column.sync().unwrap();
    drop(column);
    let column = ColumnWriter::open(&storage, "places", Place::BYTES).unwrap();
    assert_eq!(column.rows(), 12);
}

#[test]
fn a_piece_of_a_row_is_not_a_row() {
    let storage = FaultyStorage::new(1);
    let mut column = ColumnWriter::open(&storage, "c", 16).unwrap();
    storage.set_space(Some(40));
    column.append(&[1; 64]).unwrap_err();
    assert_eq!(column.rows(), 0, "what failed is not published");
    storage.set_space(None);
    drop(column);
    let mut column = ColumnWriter::open(&storage, "c", 16).unwrap();
    assert_eq!(column.rows(), 2);
    column.append(&[2; 16]).unwrap();
    let mut out = Vec::new();
    assert!(column.reader().read(2, 1, &mut out).unwrap());
    assert_eq!(out, [2; 16]);
}

/// Appends leaves as the node does: leaf hashes to level 0, finished subtrees as the edge reports them.
fn grow(tree: &mut TileWriter<FaultyStorage>, edge: &mut Edge, to: u64) {
    for leaf in edge.size().0..to {
        let hash = leaf_hash(LeafKind::Ballot, &leaf.to_be_bytes());
        tree.push(0, &hash).unwrap();
        edge.append_with(hash, |level, hash| tree.push(level, &hash).unwrap());
    }
    tree.publish().unwrap();
}

#[test]
fn tiles_give_the_roots_of_all_sizes_beside_their_writer() {
    let storage = FaultyStorage::new(1);
    let mut tree = TileWriter::open(storage.clone(), "board").unwrap();
    let tiles = tree.reader();
    let mut edge = Edge::new();
    for size in [1, 2, 255, 256, 257, 1000, 65_535, 65_536, 65_537, 70_000] {
        grow(&mut tree, &mut edge, size);
        assert_eq!(root_at(TreeSize(size), &tiles).unwrap(), edge.root());
    }
    assert_eq!([0, 1, 2, 3].map(|level| tiles.rows(level)), [70_000, 273, 1, 0]);
    assert_eq!(tree.whole_leaves(), 70_000);
    tree.sync().unwrap();
    drop(tree);

    let mut tree = TileWriter::open(storage, "board").unwrap();
    assert_eq!(tree.whole_leaves(), 70_000);
    assert_eq!(root_at(TreeSize(70_000), &tree.reader()).unwrap(), edge.root());
    tree.truncate(600).unwrap();
    assert_eq!([0, 1, 2].map(|level| tree.rows(level)), [600, 2, 0]);
    let mut edge = Edge::new();
    for leaf in 0..600_u64 {
        edge.append(leaf_hash(LeafKind::Ballot, &leaf.to_be_bytes()));
    }
    grow(&mut tree, &mut edge, 66_000);
    assert_eq!(root_at(TreeSize(66_000), &tree.reader()).unwrap(), edge.root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Whatever a crash leaves of files that were not synced, `whole_leaves` never promises a missing hash.
    #[test]
    fn whole_leaves_are_whole(seed in any::<u64>(), size in 1_u64..3000) {
        let storage = FaultyStorage::new(seed);
        let mut tree = TileWriter::open(storage.clone(), "t").unwrap();
        let mut edge = Edge::new();
        for step in 1..=5 {
            grow(&mut tree, &mut edge, size * step / 5);
        }
        drop(tree);
        storage.crash(Crash::AnySector(seed));
        let mut tree = TileWriter::open(storage, "t").unwrap();
        let whole = tree.whole_leaves();
        prop_assert!(whole <= size);
        tree.truncate(whole).unwrap();
        prop_assert_eq!(tree.rows(0), whole);
        prop_assert_eq!(tree.rows(1), whole / 256);
    }
}

#[test]
fn a_file_is_replaced_whole_or_not_at_all() {
    let (old, new) = (b"the old snapshot".as_slice(), [7; 5000].as_slice());
    let prepared = FaultyStorage::new(0);
    assert_eq!(files::read(&prepared, "snapshot").unwrap(), None);
    files::replace(&prepared, "snapshot", &[old]).unwrap();
    let before = prepared.operations();
    files::replace(&prepared.copy(), "snapshot", &[&new[..10], &new[10..]]).unwrap();
    for operation in 1.. {
        let storage = prepared.copy();
        storage.crash_at_operation(before + operation);
        let result = files::replace(&storage, "snapshot", &[new]);
        if result.is_ok() {
            assert!(operation > 4);
            break;
        }
        for crash in [Crash::KeepAll, Crash::LoseAll].into_iter().chain((0..20).map(Crash::AnySector)) {
            let storage = storage.copy();
            storage.crash(crash);
            let found = files::read(&storage, "snapshot").unwrap().expect("one of them is there");
            assert!(found == old || found == new);
            files::replace(&storage, "snapshot", &[b"again"]).unwrap();
            assert_eq!(files::read(&storage, "snapshot").unwrap().unwrap(), b"again");
        }
    }
}
