//! The embedded log where several nodes keep it: synced is not yet committed, and what is not committed may be
//! replaced.
//!
//! ```text
//!  1 ……………… committed ……………… last
//!  never replaced │ synced here, may be taken back (`truncate_after`)
//!  readers see it │ only the writer reads it (`read_synced`)
//! ```
//!
//! Beside the segments stands the *hard state*: term, vote and what was known committed, in a file of its own. A vote
//! must not be forgotten, so it is on disk before anything is answered that rests on it, and a log whose hard state is
//! missing or older than its entries is refused: the server that wrote it must not vote under its number again.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::error::is_full;
use crate::files;
use crate::format::{encode_entry_header, entry_hash, u32_at, u64_at};
use crate::ledger::check_entry;
use crate::mutation::{Mutation, is_off};
use crate::reader::Shared;
use crate::{
    Entry, EntryHeader, Ledger, LedgerError, LedgerId, LedgerOptions, Log, LogPoint, NewEntry, Position,
    Reader, Recovery, Storage, StorageFile,
};

/// Name of the file that holds the hard state.
const HARD_STATE_NAME: &str = "vote";
const HARD_STATE_MAGIC: [u8; 4] = *b"HuVt";
const HARD_STATE_VERSION: u8 = 1;
const HARD_STATE_BYTES: usize = 60;

/// What a node must not forget between two starts, besides the entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct HardState {
    /// The latest term this node has seen.
    pub term: u64,
    /// Whom it voted for in that term; 0 for nobody.
    pub vote: u64,
    /// A position known to be committed; the truth may be further.
    pub committed: Position,
}

impl HardState {
    /// `magic 4 | version 1 | zeros 3 | ledger 16 | term 8 | vote 8 | committed 8 | node 8 | crc32c of these 4`.
    fn encode(&self, ledger: LedgerId, node: u64) -> [u8; HARD_STATE_BYTES] {
        let mut out = [0; HARD_STATE_BYTES];
        out[..4].copy_from_slice(&HARD_STATE_MAGIC);
        out[4] = HARD_STATE_VERSION;
        out[8..24].copy_from_slice(&ledger.0);
        out[24..32].copy_from_slice(&self.term.to_be_bytes());
        out[32..40].copy_from_slice(&self.vote.to_be_bytes());
        out[40..48].copy_from_slice(&self.committed.0.to_be_bytes());
        out[48..56].copy_from_slice(&node.to_be_bytes());
        let sum = crc32c::crc32c(&out[..56]);
        out[56..].copy_from_slice(&sum.to_be_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<(LedgerId, Self, u64)> {
        let bytes: &[u8; HARD_STATE_BYTES] = bytes.try_into().ok()?;
        let sound = bytes[..4] == HARD_STATE_MAGIC
            && bytes[4] == HARD_STATE_VERSION
            && bytes[5..8] == [0; 3]
            && u32_at(bytes, 56) == crc32c::crc32c(&bytes[..56]);
        sound.then(|| {
            let ledger = LedgerId(bytes[8..24].try_into().expect("16 bytes"));
            let committed = Position(u64_at(bytes, 40));
            (ledger, Self { term: u64_at(bytes, 24), vote: u64_at(bytes, 32), committed }, u64_at(bytes, 48))
        })
    }
}

/// What stands beside a replicated log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Kept {
    /// Name of the log.
    pub ledger: LedgerId,
    /// Number of the node that keeps it; 0 where none was given yet.
    pub node: u64,
    pub hard_state: HardState,
}

/// A log with an end that may be replaced, and the hard state of the node that keeps it.
pub trait ReplicatedLog: Log {
    /// Proposes `entries` in this order; they are synced when this returns, not committed. One write and one sync for
    /// all that fit a segment.
    ///
    /// After [`LedgerError::Full`] those up to [`last`](Self::last) are in the log, and the rest may be appended later.
    ///
    /// # Panics
    /// If an epoch or a term falls, or a kind is reserved.
    fn append_group(&mut self, entries: &[NewEntry<'_>]) -> Result<Position, LedgerError>;

    /// The last synced entry.
    fn last(&self) -> LogPoint;

    /// Makes everything up to `position` committed; an earlier one than before changes nothing.
    ///
    /// # Panics
    /// If `position` is not synced.
    fn commit_to(&mut self, position: Position);

    /// Takes all entries above `position` back, for good before this returns.
    ///
    /// # Panics
    /// If one of them is committed.
    fn truncate_after(&mut self, position: Position) -> Result<(), LedgerError>;

    /// Term of the synced entry at `position`, 0 at [`Position::NONE`]; from memory.
    fn term(&self, position: Position) -> Option<u64>;

    /// The synced entry at `position`, committed or not.
    fn read_synced(&self, position: Position, payload: &mut Vec<u8>) -> Result<EntryHeader, LedgerError>;

    /// As last saved, or as found.
    fn hard_state(&self) -> HardState;

    /// On disk before this returns. Two syncs.
    ///
    /// # Panics
    /// If the term falls, or the vote changes within a term.
    fn save_hard_state(&mut self, state: HardState) -> Result<(), LedgerError>;
}

/// The embedded [`ReplicatedLog`]: a [`Ledger`] whose commits somebody else decides.
///
/// Any ledger can be opened as one. What one node wrote alone (term 0) is committed.
pub struct ReplicatedLedger<S: Storage> {
    pub(crate) ledger: Ledger<S>,
    /// Where each term begins, in order.
    terms: Vec<(Position, u64)>,
    hard_state: HardState,
    /// 0 where none was given yet.
    node: u64,
}

impl<S: Storage> ReplicatedLedger<S> {
    /// Makes a new, empty log called `id` in a folder that holds none.
    pub fn create(storage: S, id: LedgerId, options: LedgerOptions) -> Result<Self, LedgerError> {
        let folder = storage.clone();
        let mut ledger = Ledger::create(storage, id, options)?;
        ledger.is_replicated = true;
        // What an earlier log in this folder left.
        files::remove_if_there(&folder, HARD_STATE_NAME).and_then(|()| folder.sync_folder()).map_err(
            |source| LedgerError::Io { step: "remove", path: folder.path(HARD_STATE_NAME), source },
        )?;
        Ok(Self { ledger, terms: Vec::new(), hard_state: HardState::default(), node: 0 })
    }

    /// What stands beside the log in `storage`, without taking the folder or reading an entry; `None` where nothing was
    /// kept yet.
    pub fn kept_in(storage: &S) -> Result<Option<Kept>, LedgerError> {
        let found = read_hard_state(storage)?;
        Ok(found.map(|(ledger, hard_state, node)| Kept { ledger, node, hard_state }))
    }

    /// Opens as [`Ledger::open`] does; `visit` sees the entries that are known to be committed, the rest can be read
    /// and may be replaced.
    ///
    /// Refuses a log that has lost committed entries or the vote of a term it has entries of.
    pub fn open<E: From<LedgerError>>(
        storage: S,
        options: LedgerOptions,
        mut visit: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), E> {
        let folder = storage.clone();
        let found = read_hard_state(&folder)?;
        let (hard_state, node) = found.map(|(_, state, node)| (state, node)).unwrap_or_default();
        let mut terms: Vec<(Position, u64)> = Vec::new();
        let mut committed = hard_state.committed;
        let (mut ledger, recovery) = Ledger::open(storage, options, |entry| {
            let EntryHeader { position, term, .. } = entry.header;
            if terms.last().is_none_or(|(_, last)| *last != term) {
                terms.push((position, term));
            }
            if term == 0 {
                committed = committed.max(position);
            }
            if position <= committed { visit(entry) } else { Ok(()) }
        })?;
        ledger.is_replicated = true;
        let last = recovery.last.position;
        if let Some((id, ..)) = found.filter(|(id, ..)| *id != ledger.id()) {
            let path = folder.path(HARD_STATE_NAME);
            return Err(LedgerError::OtherLedger { path, found: id, expected: ledger.id() }.into());
        }
        if is_off(Mutation::MarkCheck) {
            committed = committed.min(last);
        }
        if committed > last {
            let folder = folder.folder();
            return Err(LedgerError::Missing { from: last.next(), to: committed, folder }.into());
        }
        let term = terms.last().map_or(0, |(_, term)| *term);
        if term > hard_state.term {
            return Err(LedgerError::VoteLost { folder: folder.folder(), term }.into());
        }
        ledger.shared.committed.store(committed.0, Ordering::Release);
        // The file may be seen without being on disk yet, where the process ended before the folder was synced.
        folder.sync_folder().map_err(|source| LedgerError::SyncFailed { path: folder.folder(), source })?;
        Ok((Self { ledger, terms, hard_state: HardState { committed, ..hard_state }, node }, recovery))
    }

    /// Its name for ever.
    #[must_use]
    pub fn id(&self) -> LedgerId {
        self.ledger.id()
    }

    /// The number of the node that keeps this log, where it was given one. It stands beside the vote, so that a disk
    /// that has lost what the node acknowledged has lost the number too.
    #[must_use]
    pub fn node(&self) -> Option<u64> {
        Some(self.node).filter(|node| *node != 0)
    }

    /// Gives the log's node its number, on disk before this returns. Two syncs.
    ///
    /// # Panics
    /// If it has another one, or this is 0.
    pub fn set_node(&mut self, node: u64) -> Result<(), LedgerError> {
        assert!(node != 0 && (self.node == 0 || self.node == node), "a log is of one node for ever");
        self.node = node;
        self.save_hard_state(self.hard_state)
    }

    /// A reader of what is committed, now and later.
    #[must_use]
    pub fn reader(&self) -> Reader<S> {
        self.ledger.reader()
    }

    /// A reader of everything synced, for the writer's own side.
    #[must_use]
    pub fn synced_reader(&self) -> SyncedReader<S> {
        SyncedReader { shared: self.ledger.shared.clone() }
    }

    /// Where each term begins in the log, in order.
    #[must_use]
    pub fn terms(&self) -> &[(Position, u64)] {
        &self.terms
    }

    /// One write and one sync for as many of `entries` as fit the segment; tells how many.
    fn append_here(&mut self, entries: &[NewEntry<'_>]) -> Result<usize, LedgerError> {
        let ledger = &mut self.ledger;
        let mark = ledger.last.position;
        let mut last = ledger.last;
        let mut heads = Vec::new();
        let mut tail = ledger.tail;
        for entry in entries {
            let header = EntryHeader {
                kind: entry.kind,
                epoch: entry.epoch,
                term: entry.term,
                position: last.position.next(),
                stamp: entry.stamp,
                mark,
                previous: last.hash,
                length: u32::try_from(entry.payload.len()).expect("checked against ENTRY_BYTES_MAX"),
            };
            let head = encode_entry_header(ledger.id, &header, entry.payload);
            let bytes = (head.len() + entry.payload.len()) as u64;
            if tail + bytes > ledger.segment.bytes {
                break;
            }
            last = LogPoint { position: header.position, hash: entry_hash(&head, entry.payload) };
            heads.push((head, tail));
            tail += bytes;
        }
        let parts: Vec<&[u8]> = heads
            .iter()
            .zip(entries)
            .flat_map(|((head, _), entry)| [head.as_slice(), entry.payload])
            .collect();
        let Some(newest) = entries[..heads.len()].last() else { return Ok(0) };
        if let Err(source) = ledger.segment.file.write_at(&parts, ledger.tail) {
            return Err(ledger.take_back((tail - ledger.tail) as usize, source));
        }
        if !is_off(Mutation::Sync) {
            ledger.segment.file.sync_data().map_err(|source| ledger.poison(source))?;
        }
        for (number, (_, offset)) in heads.iter().enumerate() {
            ledger.segment.note(Position(mark.0 + 1 + number as u64), *offset);
        }
        (ledger.last, ledger.marked) = (last, mark);
        (ledger.epoch, ledger.term) = (newest.epoch, newest.term);
        (ledger.tail, ledger.spoiled_until) = (tail, tail);
        ledger.prepare_early();
        Ok(heads.len())
    }

    fn note_terms(&mut self, first: Position, entries: &[NewEntry<'_>]) {
        for (number, entry) in entries.iter().enumerate() {
            if self.terms.last().is_none_or(|(_, term)| *term != entry.term) {
                self.terms.push((Position(first.0 + number as u64), entry.term));
            }
        }
    }
}

/// Reads what is synced, committed or not, of a [`ReplicatedLedger`]. Only who knows what is synced may use it: the
/// writer, between its own calls.
pub struct SyncedReader<S: Storage> {
    shared: Arc<Shared<S::File>>,
}

impl<S: Storage> SyncedReader<S> {
    /// The entry at `position`, which is synced and has not been taken back.
    pub fn read(&self, position: Position, payload: &mut Vec<u8>) -> Result<EntryHeader, LedgerError> {
        self.shared.read_synced(position, payload)
    }
}

impl<S: Storage> fmt::Debug for SyncedReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SyncedReader")
    }
}

impl<S: Storage> ReplicatedLog for ReplicatedLedger<S> {
    fn append_group(&mut self, entries: &[NewEntry<'_>]) -> Result<Position, LedgerError> {
        self.ledger.check_alive()?;
        let (mut epoch, mut term) = (self.ledger.epoch, self.ledger.term);
        for entry in entries {
            assert!(entry.epoch >= epoch, "an epoch never falls");
            assert!(entry.term >= term, "a term never falls");
            assert!(entry.term <= self.hard_state.term, "a term is on disk before its entries");
            (epoch, term) = (entry.epoch, entry.term);
            check_entry(entry)?;
        }
        let mut rest = entries;
        while !rest.is_empty() {
            self.ledger.wipe_spoiled()?;
            let first = self.ledger.last.position.next();
            let mut appended = self.append_here(rest)?;
            if appended == 0 {
                // It begins the next segment: alone, so that the file's name proves it.
                self.ledger.try_append(rest[0])?;
                appended = 1;
            }
            self.note_terms(first, &rest[..appended]);
            rest = &rest[appended..];
        }
        Ok(self.ledger.last.position)
    }

    fn last(&self) -> LogPoint {
        self.ledger.last
    }

    fn commit_to(&mut self, position: Position) {
        assert!(position <= self.ledger.last.position, "only what is synced here is committed here");
        if position > self.committed() {
            self.ledger.shared.committed.store(position.0, Ordering::Release);
        }
    }

    fn truncate_after(&mut self, position: Position) -> Result<(), LedgerError> {
        let keeps_committed = position >= self.committed();
        assert!(
            keeps_committed || is_off(Mutation::TruncateCommitted),
            "what is committed is never replaced"
        );
        self.ledger.cut_after(position)?;
        self.terms.retain(|(first, _)| *first <= position);
        Ok(())
    }

    fn term(&self, position: Position) -> Option<u64> {
        if position > self.ledger.last.position {
            return None;
        }
        let behind = self.terms.partition_point(|(first, _)| *first <= position);
        Some(behind.checked_sub(1).map_or(0, |index| self.terms[index].1))
    }

    fn read_synced(&self, position: Position, payload: &mut Vec<u8>) -> Result<EntryHeader, LedgerError> {
        if position == Position::NONE || position > self.ledger.last.position {
            return Err(LedgerError::NotCommitted { position, committed: self.ledger.last.position });
        }
        self.ledger.shared.read_synced(position, payload)
    }

    fn hard_state(&self) -> HardState {
        self.hard_state
    }

    fn save_hard_state(&mut self, state: HardState) -> Result<(), LedgerError> {
        let old = self.hard_state;
        assert!(state.term >= old.term, "a term never falls");
        let same_vote = old.vote == 0 || state.vote == old.vote;
        assert!(state.term > old.term || same_vote, "a vote is given once in a term");
        self.ledger.check_alive()?;
        let state = HardState { committed: state.committed.max(old.committed), ..state };
        let storage = &self.ledger.storage;
        match replace_hard_state(storage, &state.encode(self.ledger.id, self.node)) {
            Ok(()) => {}
            Err(source) if is_full(&source) => {
                return Err(LedgerError::Full { path: storage.path(HARD_STATE_NAME), source });
            }
            Err(source) => return Err(self.ledger.poison(source)),
        }
        self.hard_state = state;
        Ok(())
    }
}

impl<S: Storage> Log for ReplicatedLedger<S> {
    /// One entry alone; see [`ReplicatedLog::append_group`].
    fn append(&mut self, entry: NewEntry<'_>) -> Result<Position, LedgerError> {
        self.append_group(&[entry])
    }

    fn committed(&self) -> Position {
        self.ledger.shared.committed()
    }

    /// Also writes down what is committed by now, where that has moved.
    fn idle(&mut self) -> Result<(), LedgerError> {
        self.ledger.idle()?;
        let committed = self.committed();
        if committed > self.hard_state.committed && self.hard_state.term > 0 {
            self.save_hard_state(HardState { committed, ..self.hard_state })?;
        }
        Ok(())
    }
}

impl<S: Storage> fmt::Debug for ReplicatedLedger<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicatedLedger")
            .field("ledger", &self.ledger)
            .field("committed", &self.committed())
            .field("hard_state", &self.hard_state)
            .finish_non_exhaustive()
    }
}

fn replace_hard_state<S: Storage>(storage: &S, bytes: &[u8]) -> std::io::Result<()> {
    if !is_off(Mutation::HardState) {
        return files::replace(storage, HARD_STATE_NAME, &[bytes]);
    }
    let aside = files::aside_name(HARD_STATE_NAME);
    files::remove_if_there(storage, &aside)?;
    storage.create(&aside)?.write_at(&[bytes], 0)?;
    storage.rename(&aside, HARD_STATE_NAME)
}

fn read_hard_state<S: Storage>(storage: &S) -> Result<Option<(LedgerId, HardState, u64)>, LedgerError> {
    let path = storage.path(HARD_STATE_NAME);
    let bytes = files::read(storage, HARD_STATE_NAME).map_err(|source| LedgerError::Io {
        step: "read",
        path: path.clone(),
        source,
    })?;
    bytes.map(|bytes| HardState::decode(&bytes).ok_or(LedgerError::NoteDamaged { path })).transpose()
}
