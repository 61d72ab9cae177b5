//! What every [`Log`] must keep, as one function for all of them.

use crate::{
    ENTRY_BYTES_MAX, EntryHeader, EntryKind, HardState, LedgerError, Log, LogReader, NewEntry, Position,
    ReplicatedLog, Scan,
};
use proof::Hash;

/// Opens the log under test.
pub trait Harness {
    type Log: Log;
    type Reader: LogReader;

    /// Opens the one log of this harness: empty at first, later with all that was committed before.
    fn open(&mut self) -> (Self::Log, Self::Reader);

    /// Waits, within bounds, until `position` is committed; a log on one disk has nothing to wait for.
    fn settle(&mut self, log: &mut Self::Log, position: Position) {
        let _ = (log, position);
    }
}

/// Runs the whole suite.
///
/// # Panics
/// Where a promise is broken.
pub fn check(harness: &mut impl Harness) {
    let mut written = Vec::new();
    let (mut log, reader) = harness.open();
    an_empty_log_has_nothing_to_read(&log, &reader);
    positions_count_from_one(harness, &mut log, &reader, &mut written);
    what_was_appended_is_read_back(&reader, &written);
    a_scan_goes_on_where_more_has_come(harness, &mut log, &reader, &mut written);
    an_entry_over_the_limit_changes_nothing(harness, &mut log, &reader, &mut written);
    idling_is_not_seen(&mut log, &reader, &written);
    let hash_before = last_hash(&reader);
    drop((log, reader));

    let (mut log, reader) = harness.open();
    assert_eq!(log.committed().0, written.len() as u64, "what was committed is there again");
    assert_eq!(last_hash(&reader), hash_before, "and the same");
    what_was_appended_is_read_back(&reader, &written);
    append(harness, &mut log, &mut written, vec![1; 100]);
    what_was_appended_is_read_back(&reader, &written);
}

/// Runs the suite of logs whose end may be replaced: on a log of its own, opened without anything being committed for it.
///
/// # Panics
/// Where a promise is broken.
pub fn check_replicated<H: Harness<Log: ReplicatedLog>>(harness: &mut H) {
    let (mut log, reader) = harness.open();
    assert_eq!((log.hard_state(), log.term(Position::NONE)), (HardState::default(), Some(0)));
    vote(&mut log, 1, 7);
    append_terms(&mut log, 1, 10);
    assert_eq!(
        (log.committed(), reader.committed()),
        (Position::NONE, Position::NONE),
        "synced, not committed"
    );
    log.commit_to(Position(4));
    log.commit_to(Position(2));
    assert_eq!((log.committed(), reader.committed()), (Position(4), Position(4)), "never back");
    assert!(matches!(reader.read(Position(5), &mut Vec::new()), Err(LedgerError::NotCommitted { .. })));

    vote(&mut log, 3, 0);
    log.truncate_after(Position(6)).expect("a log in good health truncates");
    append_terms(&mut log, 3, 5);
    log.truncate_after(Position(20)).expect("there is nothing above");
    let terms = [1, 1, 1, 1, 1, 1, 3, 3, 3, 3, 3];
    holds(&log, &terms);
    log.commit_to(Position(9));
    chain_is_whole(&reader, 9);
    log.idle().expect("a log in good health idles");
    let (last, state) = (log.last(), log.hard_state());
    assert_eq!(state, HardState { term: 3, vote: 0, committed: Position(9) });
    drop((log, reader));

    let (mut log, reader) = harness.open();
    assert_eq!((log.last(), log.hard_state(), log.committed()), (last, state, Position(9)));
    holds(&log, &terms);
    log.truncate_after(Position(9)).expect("a log in good health truncates");
    holds(&log, &terms[..9]);
    vote(&mut log, 3, 5);
    drop((log, reader));

    let (mut log, reader) = harness.open();
    holds(&log, &terms[..9]);
    assert_eq!(log.hard_state().vote, 5, "a vote is not forgotten");
    append_terms(&mut log, 3, 40);
    log.commit_to(Position(49));
    chain_is_whole(&reader, 49);
}

/// The payload that entry `position` has when it is of `term`.
fn payload_of(position: u64, term: u64) -> Vec<u8> {
    payload((position * 97 % 1500) as usize, (position + term * 1000) as usize)
}

fn vote(log: &mut impl ReplicatedLog, term: u64, vote: u64) {
    let state = HardState { term, vote, committed: log.committed() };
    log.save_hard_state(state).expect("a log in good health keeps a vote");
    assert_eq!(log.hard_state(), state);
}

fn append_terms(log: &mut impl ReplicatedLog, term: u64, count: u64) {
    let first = log.last().position.0 + 1;
    let payloads: Vec<_> = (first..first + count).map(|position| payload_of(position, term)).collect();
    let entries: Vec<_> = payloads
        .iter()
        .map(|payload| NewEntry { epoch: 1, term, stamp: term, kind: EntryKind(1), payload })
        .collect();
    let last = log.append_group(&entries).expect("a log in good health appends");
    assert_eq!((last.0, log.last().position), (first + count - 1, last));
}

fn holds(log: &impl ReplicatedLog, terms: &[u64]) {
    assert_eq!(log.last().position.0, terms.len() as u64);
    let mut payload = Vec::new();
    for (position, term) in (1..).zip(terms) {
        assert_eq!(log.term(Position(position)), Some(*term));
        let header = log.read_synced(Position(position), &mut payload).expect("a synced entry can be read");
        assert_eq!((header.position.0, header.term), (position, *term));
        assert!(payload == payload_of(position, *term), "entry {position} is that of term {term}");
    }
    let behind = log.last().position.next();
    assert_eq!(log.term(behind), None);
    assert!(log.read_synced(behind, &mut payload).is_err());
}

fn chain_is_whole(reader: &impl LogReader, committed: u64) {
    let mut scan = reader.scan(Position(1));
    for position in 1..=committed {
        let entry = scan.next().expect("a sound log scans").expect("up to what is committed");
        assert_eq!(entry.header.position.0, position);
    }
    assert!(scan.next().expect("a sound log scans").is_none(), "and no further");
}

/// What was asked for, to compare with what is read.
struct Written {
    kind: EntryKind,
    epoch: u32,
    term: u64,
    stamp: u64,
    payload: Vec<u8>,
}

fn append<H: Harness>(harness: &mut H, log: &mut H::Log, written: &mut Vec<Written>, payload: Vec<u8>) {
    let number = written.len() as u64;
    let entry = Written {
        kind: EntryKind(1 + (number % 200) as u8),
        epoch: 1 + (number / 10) as u32,
        term: number / 7,
        stamp: number << 16,
        payload,
    };
    let before = log.committed();
    let position = log
        .append(NewEntry {
            epoch: entry.epoch,
            term: entry.term,
            stamp: entry.stamp,
            kind: entry.kind,
            payload: &entry.payload,
        })
        .expect("a log in good health appends");
    assert_eq!(position.0, number + 1, "positions count from 1 without a gap");
    assert!(log.committed() >= before, "committed only moves forward");
    harness.settle(log, position);
    assert_eq!(log.committed(), position);
    written.push(entry);
}

fn an_empty_log_has_nothing_to_read(log: &impl Log, reader: &impl LogReader) {
    assert_eq!(log.committed(), Position::NONE);
    assert_eq!(reader.committed(), Position::NONE);
    assert!(reader.scan(Position(1)).next().expect("an empty log is sound").is_none());
    for position in [0, 1, 2, u64::MAX] {
        assert!(matches!(
            reader.read(Position(position), &mut Vec::new()),
            Err(LedgerError::NotCommitted { .. })
        ));
    }
}

fn positions_count_from_one<H: Harness>(
    harness: &mut H,
    log: &mut H::Log,
    reader: &H::Reader,
    written: &mut Vec<Written>,
) {
    for bytes in (0..60).chain([1000, 10_000, 70_000, 3, 300_000]) {
        append(harness, log, written, payload(bytes, written.len()));
        assert_eq!(reader.committed(), log.committed(), "a reader sees what is committed");
    }
}

fn what_was_appended_is_read_back(reader: &impl LogReader, written: &[Written]) {
    let mut payload = Vec::new();
    for (number, entry) in written.iter().enumerate().rev() {
        let position = Position(number as u64 + 1);
        let header = reader.read(position, &mut payload).expect("a committed entry can be read");
        compare(entry, &header, &payload, position);
        read_a_range(reader, entry, position);
    }
    for from in [1, 2, 17, written.len() as u64] {
        let mut scan = reader.scan(Position(from));
        let mut previous: Option<Hash> = None;
        for (number, entry) in written.iter().enumerate().skip(from as usize - 1) {
            let read = scan.next().expect("a sound log scans").expect("up to the last entry");
            compare(entry, &read.header, read.payload, Position(number as u64 + 1));
            assert!(
                previous.is_none_or(|hash| hash == read.header.previous),
                "each entry names the one before"
            );
            previous = Some(read.hash);
        }
        assert!(scan.next().expect("a sound log scans").is_none());
    }
    let behind = Position(written.len() as u64 + 1);
    assert!(matches!(reader.read(behind, &mut payload), Err(LedgerError::NotCommitted { .. })));
}

fn compare(entry: &Written, header: &EntryHeader, payload: &[u8], position: Position) {
    assert_eq!(
        (header.position, header.kind, header.epoch, header.term, header.stamp),
        (position, entry.kind, entry.epoch, entry.term, entry.stamp)
    );
    assert!(header.mark < position, "a mark names an earlier entry");
    assert_eq!(header.length as usize, payload.len());
    assert!(payload == entry.payload, "the payload of entry {position} comes back unchanged");
}

fn read_a_range(reader: &impl LogReader, entry: &Written, position: Position) {
    let length = entry.payload.len();
    let (from, to) = (length / 3, length - length / 4);
    let mut range = vec![0; to - from];
    reader.read_range(position, from as u32, &mut range).expect("a range of a committed entry can be read");
    assert!(range == entry.payload[from..to]);
    let beyond = reader.read_range(position, length as u32, &mut [0]);
    assert!(matches!(beyond, Err(LedgerError::OutOfRange { .. })));
}

fn a_scan_goes_on_where_more_has_come<H: Harness>(
    harness: &mut H,
    log: &mut H::Log,
    reader: &H::Reader,
    written: &mut Vec<Written>,
) {
    let mut scan = reader.scan(Position(written.len() as u64));
    assert!(scan.next().expect("a sound log scans").is_some());
    for bytes in [5, 500, 100_000, 50] {
        assert!(scan.next().expect("a sound log scans").is_none(), "nothing new yet");
        append(harness, log, written, payload(bytes, written.len()));
        log.idle().expect("a log in good health idles");
        let entry = scan.next().expect("a sound log scans").expect("the new entry");
        compare(written.last().expect("just pushed"), &entry.header, entry.payload, log.committed());
    }
}

fn an_entry_over_the_limit_changes_nothing<H: Harness>(
    harness: &mut H,
    log: &mut H::Log,
    reader: &H::Reader,
    written: &mut Vec<Written>,
) {
    let (epoch, term) = (1000, 1000);
    let payload = vec![7; ENTRY_BYTES_MAX + 1];
    let refused = log.append(NewEntry { epoch, term, stamp: 0, kind: EntryKind(1), payload: &payload });
    assert!(matches!(refused, Err(LedgerError::TooLarge { .. })));
    assert_eq!(log.committed().0, written.len() as u64);
    append(harness, log, written, payload[1..].to_vec());
    assert_eq!(reader.committed(), log.committed());
}

fn idling_is_not_seen(log: &mut impl Log, reader: &impl LogReader, written: &[Written]) {
    for _ in 0..3 {
        log.idle().expect("a log in good health idles");
    }
    assert_eq!(log.committed().0, written.len() as u64);
    what_was_appended_is_read_back(reader, written);
}

fn last_hash(reader: &impl LogReader) -> Hash {
    let mut scan = reader.scan(reader.committed());
    let last = scan.next().expect("a sound log scans");
    last.expect("the log is not empty").hash
}

/// Bytes that differ from entry to entry.
fn payload(bytes: usize, number: usize) -> Vec<u8> {
    (0..bytes).map(|at| (at * 31 + number * 7) as u8).collect()
}
