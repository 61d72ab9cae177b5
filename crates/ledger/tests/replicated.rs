//! A log whose end is replaced, and a crash at every operation on the disk meanwhile.

mod support;

use std::panic::{AssertUnwindSafe, catch_unwind};

use ledger::faulty::{Crash, FaultyStorage};
use ledger::mutation::{Mutation, switch_off};
use ledger::{
    EntryKind, HardState, Ledger, LedgerError, Log as _, LogReader as _, NewEntry, Position,
    ReplicatedLedger, ReplicatedLog as _,
};
use support::{DATA, ID, TINY, append, payload};

/// What a log should hold.
#[derive(Clone, PartialEq, Debug, Default)]
struct Model {
    /// Of each entry, which with its position says what is in it.
    terms: Vec<u64>,
    term: u64,
    vote: u64,
}

/// What a run had been told when it ended: any of these may be found, and `committed` entries of each are the same.
#[derive(Clone, Debug, Default)]
struct Told {
    allowed: Vec<Model>,
    committed: usize,
}

type Log = ReplicatedLedger<FaultyStorage>;

#[derive(Clone, Copy)]
enum Step {
    Vote(u64, u64),
    Group(usize),
    Truncate(usize),
    Commit(usize),
    Idle,
    Reopen,
}

/// Groups within a segment, over its end, and longer than one; cuts within a group, at its edges, at the edge of a
/// segment, over two segments, and to nothing.
const SCRIPT: &[Step] = {
    use Step::{Commit, Group, Idle, Reopen, Truncate, Vote};
    &[
        Vote(1, 1),
        Group(4),
        Truncate(0),
        Group(1),
        Group(6),
        Commit(3),
        Idle,
        Group(9),
        Vote(2, 0),
        Vote(2, 2),
        Truncate(9),
        Group(3),
        Commit(10),
        Reopen,
        Group(20),
        Idle,
        Truncate(11),
        Vote(3, 3),
        Truncate(10),
        Group(14),
        Commit(15),
        Truncate(15),
        Reopen,
        Group(2),
        Truncate(16),
        Idle,
        Group(12),
        Commit(20),
    ]
};

fn entry_payload(position: u64, term: u64) -> &'static [u8] {
    payload((position * 5 + term * 3) % 64)
}

fn group(log: &mut Log, count: usize) -> Result<Position, LedgerError> {
    let term = log.hard_state().term;
    let first = log.last().position.0 + 1;
    let entries: Vec<_> = (first..first + count as u64)
        .map(|position| NewEntry {
            epoch: 1,
            term,
            stamp: term << 16,
            kind: EntryKind(1),
            payload: entry_payload(position, term),
        })
        .collect();
    log.append_group(&entries)
}

fn open(storage: &FaultyStorage) -> Result<Log, LedgerError> {
    let mut visited = 0;
    let opened = ReplicatedLedger::open(storage.clone(), TINY, |entry| {
        visited += 1;
        assert_eq!(entry.header.position.0, visited);
        Ok::<_, LedgerError>(())
    });
    let (log, _) = opened?;
    assert_eq!(log.committed().0, visited, "only what is committed is handed out");
    Ok(log)
}

/// What is there, every entry read and compared.
fn found(log: &Log) -> Model {
    let mut bytes = Vec::new();
    let read = |position| {
        let header = log.read_synced(Position(position), &mut bytes).unwrap();
        assert!(bytes == entry_payload(position, header.term), "entry {position} is of term {}", header.term);
        assert_eq!(log.term(Position(position)), Some(header.term));
        header.term
    };
    let terms = (1..=log.last().position.0).map(read).collect();
    let HardState { term, vote, .. } = log.hard_state();
    Model { terms, term, vote }
}

fn run_script(storage: &FaultyStorage, told: &mut Told) -> Result<(), LedgerError> {
    told.allowed = vec![Model::default()];
    let mut log = ReplicatedLedger::create(storage.clone(), ID, TINY)?;
    for step in SCRIPT {
        let now = told.allowed.last().expect("there is a newest").clone();
        match *step {
            Step::Vote(term, vote) => {
                told.allowed.push(Model { term, vote, ..now });
                log.save_hard_state(HardState { term, vote, committed: log.committed() })?;
            }
            Step::Group(count) => {
                let grown = (1..=count).map(|more| {
                    let mut grown = now.clone();
                    grown.terms.extend(vec![now.term; more]);
                    grown
                });
                told.allowed.extend(grown);
                group(&mut log, count)?;
            }
            Step::Truncate(length) => {
                let mut cut = now;
                cut.terms.truncate(length);
                told.allowed.push(cut);
                log.truncate_after(Position(length as u64))?;
            }
            Step::Commit(length) => {
                log.commit_to(Position(length as u64));
                told.committed = length;
            }
            Step::Idle => log.idle()?,
            Step::Reopen => {
                drop(log);
                log = open(storage)?;
                log.commit_to(Position(told.committed as u64));
            }
        }
        told.allowed = vec![told.allowed.pop().expect("there is a newest")];
        assert_eq!(found(&log), told.allowed[0]);
    }
    log.idle()
}

/// The disk and what was told when the machine died at each operation in turn, not yet crashed.
fn dying_scripts() -> impl Iterator<Item = (FaultyStorage, Told)> {
    let storage = FaultyStorage::new(0);
    run_script(&storage, &mut Told::default()).unwrap();
    let operations = storage.operations();
    assert!(operations > 150, "{operations}");
    (1..=operations).map(|operation| {
        let storage = FaultyStorage::new(operation);
        storage.crash_at_operation(operation);
        let mut told = Told::default();
        run_script(&storage, &mut told).expect_err("the disk dies within the script");
        (storage, told)
    })
}

fn recover(storage: &FaultyStorage, told: &Told) {
    let mut log = match open(storage) {
        Ok(log) => log,
        Err(LedgerError::NoLedger { .. }) if told.allowed == [Model::default()] => return,
        Err(error) => panic!("{error} ({told:?})"),
    };
    let model = found(&log);
    assert!(told.allowed.contains(&model), "{model:?} is none of {told:?}");
    assert!(log.committed().0 <= told.committed as u64, "nothing becomes committed by a crash");
    // And goes on, with another end.
    let keep = told.committed as u64;
    log.commit_to(Position(keep));
    log.save_hard_state(HardState { term: 9, vote: 4, committed: Position(keep) }).unwrap();
    log.truncate_after(Position(keep)).unwrap();
    group(&mut log, 5).unwrap();
    drop(log);
    storage.crash(Crash::LoseAll);
    let mut terms = model.terms[..keep as usize].to_vec();
    terms.extend([9; 5]);
    assert_eq!(found(&open(storage).unwrap()), Model { terms, term: 9, vote: 4 });
}

#[test]
fn a_crash_at_any_operation_leaves_what_was_told() {
    for (storage, told) in dying_scripts() {
        for crash in [Crash::KeepAll, Crash::LoseAll].into_iter().chain((0..12).map(Crash::AnySector)) {
            let storage = storage.copy();
            storage.crash(crash);
            recover(&storage, &told);
        }
    }
}

#[test]
fn a_write_cut_at_any_byte_leaves_what_was_told() {
    for (number, (storage, told)) in dying_scripts().enumerate() {
        let Some(written) = storage.last_write_bytes() else { continue };
        let inside = (number % 7..240).step_by(7).chain((240..=written).step_by(1 + written / 12));
        for bytes in inside.filter(|bytes| *bytes <= written) {
            for crash in [Crash::KeepOfLastWrite(bytes), Crash::LoseOfLastWrite(bytes)] {
                let storage = storage.copy();
                storage.crash(crash);
                recover(&storage, &told);
            }
        }
    }
}

#[test]
fn a_crash_while_recovering_leaves_what_was_told() {
    let mut crashes_while_recovering = 0;
    for (storage, told) in dying_scripts() {
        for seed in 0..3 {
            let crashed = storage.copy();
            crashed.crash(Crash::AnySector(seed));
            for operation in 1.. {
                let storage = crashed.copy();
                storage.crash_at_operation(storage.operations() + operation);
                if !matches!(open(&storage), Err(LedgerError::SyncFailed { .. } | LedgerError::Io { .. })) {
                    break;
                }
                crashes_while_recovering += 1;
                storage.crash(Crash::AnySector(seed + 10));
                recover(&storage, &told);
            }
        }
    }
    assert!(crashes_while_recovering > 100, "{crashes_while_recovering}");
}

/// A log of three entries of term 1, of which the last group is not marked.
fn small_log() -> (FaultyStorage, Log) {
    let storage = FaultyStorage::new(0);
    let mut log = ReplicatedLedger::create(storage.clone(), ID, TINY).unwrap();
    log.save_hard_state(HardState { term: 1, vote: 1, committed: Position::NONE }).unwrap();
    group(&mut log, 1).unwrap();
    group(&mut log, 2).unwrap();
    (storage, log)
}

#[test]
fn what_one_node_wrote_alone_is_committed() {
    let storage = FaultyStorage::new(0);
    let mut alone = Ledger::create(storage.clone(), ID, TINY).unwrap();
    (1..=5).for_each(|position| _ = append(&mut alone, position).unwrap());
    drop(alone);
    let mut visited = 0;
    let (log, _) = ReplicatedLedger::open(storage, TINY, |_| {
        visited += 1;
        Ok::<_, LedgerError>(())
    })
    .unwrap();
    assert_eq!((log.committed().0, visited), (5, 5));
}

#[test]
fn a_group_of_one_is_written_as_one_node_writes_it() {
    let (one, other) = (FaultyStorage::new(0), FaultyStorage::new(0));
    let mut alone = Ledger::create(one.clone(), ID, TINY).unwrap();
    let mut replicated = ReplicatedLedger::create(other.clone(), ID, TINY).unwrap();
    for position in 1..=20 {
        append(&mut alone, position).unwrap();
        let entry = NewEntry {
            epoch: 1,
            term: 0,
            stamp: position << 16,
            kind: EntryKind(1),
            payload: payload(position),
        };
        replicated.append(entry).unwrap();
    }
    assert!(one.contents() == other.contents());
}

#[test]
fn a_log_without_its_vote_is_refused() {
    let (storage, log) = small_log();
    drop(log);
    let mut contents = storage.contents();
    contents.remove("vote").expect("term and vote are in a file of their own");
    let error = open(&FaultyStorage::with_contents(1, &contents)).unwrap_err();
    assert!(matches!(error, LedgerError::VoteLost { term: 1, .. }), "{error}");
    storage.flip("vote", 30, 1);
    assert!(matches!(open(&storage), Err(LedgerError::NoteDamaged { .. })));
}

#[test]
fn a_log_shorter_than_what_was_committed_is_refused() {
    let (storage, mut log) = small_log();
    log.commit_to(Position(3));
    log.idle().unwrap();
    drop(log);
    // As if the mark had been lost together with the last entry.
    let mut contents = storage.contents();
    let segment = contents.get_mut("0000000000000001.seg").unwrap();
    segment[4096..8192].fill(0);
    let third = DATA + 2 * 104 + entry_payload(1, 1).len() + entry_payload(2, 1).len();
    segment[third..third + 104 + entry_payload(3, 1).len()].fill(0);
    let error = open(&FaultyStorage::with_contents(1, &contents)).unwrap_err();
    assert!(matches!(error, LedgerError::Missing { from: Position(3), to: Position(3), .. }), "{error}");
}

#[test]
fn damage_below_a_later_group_is_refused_and_in_the_last_one_cut() {
    let (storage, mut log) = small_log();
    let second = DATA + 104 + entry_payload(1, 1).len();
    let damaged = storage.copy();
    damaged.crash(Crash::KeepAll);
    damaged.flip("0000000000000001.seg", second + 20, 1);
    assert_eq!(found(&open(&damaged).unwrap()).terms, [1], "it may never have been whole");
    group(&mut log, 1).unwrap();
    storage.crash(Crash::KeepAll);
    storage.flip("0000000000000001.seg", second + 20, 1);
    assert!(matches!(open(&storage), Err(LedgerError::Damaged { position: Position(2), .. })));
}

#[test]
fn reading_without_opening_says_that_a_cut_is_pending() {
    let (storage, mut log) = small_log();
    // The note has its name after a create, a write, a sync and a rename.
    storage.crash_at_operation(storage.operations() + 5);
    log.truncate_after(Position(1)).unwrap_err();
    storage.crash(Crash::KeepAll);
    let checked = Ledger::check(&storage, TINY.threads, |_| Ok::<_, LedgerError>(()));
    assert!(matches!(checked, Err(LedgerError::CutPending { .. })));
    assert_eq!(found(&open(&storage).unwrap()).terms, [1]);
    Ledger::check(&storage, TINY.threads, |_| Ok::<_, LedgerError>(())).unwrap();
}

#[test]
fn a_full_disk_keeps_what_fits_and_goes_on_later() {
    for space in (0..9000).step_by(31) {
        let (storage, mut log) = small_log();
        storage.set_space(Some(space));
        let before = log.last().position.0;
        let error = loop {
            if let Err(error) = group(&mut log, 4) {
                break error;
            }
        };
        assert!(matches!(error, LedgerError::Full { .. }), "{error}");
        let kept = log.last().position.0;
        assert!(kept >= before);
        found(&log);
        let crashed = storage.copy();
        crashed.crash(Crash::AnySector(space));
        crashed.set_space(None);
        assert_eq!(open(&crashed).unwrap().last().position.0, kept);
        storage.set_space(None);
        group(&mut log, 4).unwrap();
        assert_eq!(found(&log).terms.len() as u64, kept + 4);
    }
}

#[test]
fn readers_go_on_while_the_end_is_replaced() {
    let (_storage, mut log) = small_log();
    let reader = log.reader();
    let mut scan = reader.scan(Position(1));
    let mut seen = Vec::new();
    for round in 2..40 {
        log.save_hard_state(HardState { term: round, vote: 0, committed: log.committed() }).unwrap();
        group(&mut log, 6).unwrap();
        let committed = Position(log.committed().0 + 1 + round % 3);
        log.commit_to(committed);
        while let Some(entry) = ledger::Scan::next(&mut scan).unwrap() {
            assert!(entry.payload == entry_payload(entry.header.position.0, entry.header.term));
            seen.push(entry.header.term);
        }
        log.truncate_after(committed).unwrap();
        assert_eq!(found(&log).terms, seen, "what was read is what stays");
    }
}

fn a_vote_survives_a_power_failure() {
    let (storage, log) = small_log();
    drop(log);
    storage.crash(Crash::LoseAll);
    assert_eq!(open(&storage).unwrap().hard_state().vote, 1);
}

fn a_synced_group_survives_a_power_failure() {
    let (storage, log) = small_log();
    drop(log);
    storage.crash(Crash::LoseAll);
    assert_eq!(open(&storage).unwrap().last().position.0, 3);
}

fn what_is_committed_cannot_be_taken_back() {
    let (_, mut log) = small_log();
    log.commit_to(Position(2));
    let refused = catch_unwind(AssertUnwindSafe(|| log.truncate_after(Position(1)))).is_err();
    assert!(refused && log.last().position.0 == 3);
}

#[test]
fn a_safeguard_of_the_replicated_log_that_is_switched_off_is_missed() {
    let pairs: [(Mutation, fn()); 4] = [
        (Mutation::CutNote, a_crash_at_any_operation_leaves_what_was_told),
        (Mutation::Sync, a_synced_group_survives_a_power_failure),
        (Mutation::HardState, a_vote_survives_a_power_failure),
        (Mutation::TruncateCommitted, what_is_committed_cannot_be_taken_back),
    ];
    for (mutation, check) in pairs {
        check();
        switch_off(mutation);
        let noticed = catch_unwind(AssertUnwindSafe(check)).is_err();
        switch_off(Mutation::None);
        assert!(noticed, "{mutation:?} switched off, and nobody noticed");
    }
}
