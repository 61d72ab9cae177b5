//! The library's types and ours, turned into each other; and our log as its storage.
//!
//! An entry of the library carries kind, epoch and stamp in its context; a membership stands there too, because the
//! library wants a change of its own making in the data. An entry without context is the first of a term.

use std::cell::RefCell;
use std::collections::VecDeque;

use bytes::Bytes;
use ledger::{EntryKind, LedgerError, Position};
use raft::eraftpb::{
    ConfChangeSingle, ConfChangeType, ConfChangeV2, ConfState, Entry, EntryType, HardState, Message as Raw,
    MessageType, Snapshot,
};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};

use crate::core::{LogEntry, Past};
use crate::membership::{Membership, NodeId, Seat};
use crate::wire::{Kind, Message};
use crate::{KIND_MEMBERSHIP, KIND_TERM};

/// Entries kept in memory behind what is applied, for followers that are nearly up to date.
const WINDOW_ENTRIES: usize = 1024;
/// And their bytes.
const WINDOW_BYTES: usize = 8 << 20;
const META_BYTES: usize = 13;

fn meta(entry: &LogEntry) -> Vec<u8> {
    let mut out = Vec::with_capacity(META_BYTES);
    out.push(entry.kind.0);
    out.extend_from_slice(&entry.epoch.to_be_bytes());
    out.extend_from_slice(&entry.stamp.to_be_bytes());
    out
}

pub fn to_engine(entry: &LogEntry) -> Entry {
    let mut raw = Entry { index: entry.position.0, term: entry.term, ..Entry::default() };
    if entry.kind == KIND_TERM {
        return raw;
    }
    let mut context = meta(entry);
    if entry.kind == KIND_MEMBERSHIP {
        raw.set_entry_type(EntryType::EntryConfChangeV2);
        context.extend_from_slice(&entry.payload);
    } else {
        raw.data = entry.payload.clone();
    }
    raw.context = context.into();
    raw
}

/// The entry, of a term's first one without epoch and stamp.
pub fn from_engine(raw: &Entry) -> LogEntry {
    let (position, term) = (Position(raw.index), raw.term);
    let Some((meta, rest)) = raw.context.split_at_checked(META_BYTES) else {
        return LogEntry { position, term, kind: KIND_TERM, epoch: 0, stamp: 0, payload: Bytes::new() };
    };
    let kind = EntryKind(meta[0]);
    let payload = if kind == KIND_MEMBERSHIP { Bytes::copy_from_slice(rest) } else { raw.data.clone() };
    LogEntry {
        position,
        term,
        kind,
        epoch: u32::from_be_bytes(meta[1..5].try_into().expect("four bytes")),
        stamp: u64::from_be_bytes(meta[5..13].try_into().expect("eight bytes")),
        payload,
    }
}

/// A proposal; its position and term come from the library.
pub fn proposal(kind: EntryKind, epoch: u32, stamp: u64, payload: Bytes) -> (Vec<u8>, Bytes) {
    let entry = LogEntry { position: Position::NONE, term: 0, kind, epoch, stamp, payload };
    (meta(&entry), entry.payload)
}

/// What turns `old` into `new`, for the library. One step by construction of [`Membership::changed`], but the first
/// membership that a new node reads may have several members. A member that is only described anew is given the seat
/// that it has.
pub fn steps(old: &Membership, new: &Membership) -> Vec<ConfChangeV2> {
    let single = |id: NodeId, kind| {
        let mut step = ConfChangeSingle { node_id: id.0, ..ConfChangeSingle::default() };
        step.set_change_type(kind);
        let mut change = ConfChangeV2::default();
        change.set_changes(vec![step].into());
        change
    };
    let gone = old.members().filter(|(id, _)| new.get(*id).is_none());
    let kept = new.members().filter(|(id, info)| old.get(*id) != Some(*info));
    let kept = kept.map(|(id, info)| match info.seat {
        Seat::Voter => single(id, ConfChangeType::AddNode),
        Seat::Learner => single(id, ConfChangeType::AddLearnerNode),
    });
    kept.chain(gone.map(|(id, _)| single(id, ConfChangeType::RemoveNode))).collect()
}

pub fn conf_state(membership: &Membership) -> ConfState {
    let ids = |seat| membership.with_seat(seat).map(|id| id.0).collect::<Vec<_>>();
    ConfState::from((ids(Seat::Voter), ids(Seat::Learner)))
}

const KINDS: [(Kind, MessageType); 9] = [
    (Kind::Append, MessageType::MsgAppend),
    (Kind::AppendAnswer, MessageType::MsgAppendResponse),
    (Kind::Vote, MessageType::MsgRequestVote),
    (Kind::VoteAnswer, MessageType::MsgRequestVoteResponse),
    (Kind::PreVote, MessageType::MsgRequestPreVote),
    (Kind::PreVoteAnswer, MessageType::MsgRequestPreVoteResponse),
    (Kind::Heartbeat, MessageType::MsgHeartbeat),
    (Kind::HeartbeatAnswer, MessageType::MsgHeartbeatResponse),
    (Kind::TakeOver, MessageType::MsgTimeoutNow),
];

pub fn message_from_engine(raw: &Raw) -> Message {
    let kind = KINDS.iter().find(|(_, of_engine)| *of_engine == raw.get_msg_type());
    let (kind, _) = kind.expect("proposals, reads and snapshots never leave the core");
    Message {
        kind: *kind,
        from: NodeId(raw.from),
        to: NodeId(raw.to),
        term: raw.term,
        log_term: raw.log_term,
        index: raw.index,
        committed: raw.commit,
        committed_term: raw.commit_term,
        reject: raw.reject,
        short_of_room: false,
        urgent: false,
        reject_hint: raw.reject_hint,
        context: raw.context.to_vec(),
        entries: raw.entries.iter().map(from_engine_for_wire).collect(),
    }
}

/// The first entry of a term goes over the wire without epoch and stamp: the receiver has the entry before it.
fn from_engine_for_wire(raw: &Entry) -> LogEntry {
    let entry = from_engine(raw);
    assert!(entry.kind != KIND_TERM || entry.epoch == 0, "only what is stored has them");
    entry
}

/// `None` for what the library never hears of.
pub fn message_to_engine(message: Message) -> Option<Raw> {
    let (_, kind) = KINDS.iter().find(|(kind, _)| *kind == message.kind)?;
    let mut raw = Raw {
        from: message.from.0,
        to: message.to.0,
        term: message.term,
        log_term: message.log_term,
        index: message.index,
        commit: message.committed,
        commit_term: message.committed_term,
        reject: message.reject,
        reject_hint: message.reject_hint,
        context: message.context.into(),
        ..Raw::default()
    };
    raw.set_msg_type(*kind);
    raw.set_entries(message.entries.iter().map(to_engine).collect::<Vec<_>>().into());
    Some(raw)
}

/// The log as the library reads it: terms and the newest entries from memory, the rest from the past.
pub struct Store<P> {
    /// Where each term begins, in order.
    terms: Vec<(u64, u64)>,
    last: u64,
    /// Without gaps, up to `last`; all that is not applied, and some before it.
    window: VecDeque<LogEntry>,
    window_bytes: usize,
    past: P,
    initial: RaftState,
    /// The first failure to read the past.
    failed: RefCell<Option<LedgerError>>,
}

impl<P: Past> Store<P> {
    pub fn new(
        past: P,
        hard_state: ledger::HardState,
        membership: &Membership,
        last: Position,
        terms: Vec<(Position, u64)>,
    ) -> Self {
        let hard = HardState {
            term: hard_state.term,
            vote: hard_state.vote,
            commit: hard_state.committed.0,
            ..HardState::default()
        };
        Self {
            terms: terms.into_iter().map(|(first, term)| (first.0, term)).collect(),
            last: last.0,
            window: VecDeque::new(),
            window_bytes: 0,
            past,
            initial: RaftState::new(hard, conf_state(membership)),
            failed: RefCell::new(None),
        }
    }

    pub fn take_failure(&self) -> Option<LedgerError> {
        self.failed.borrow_mut().take()
    }

    /// Takes entries that the library has made or been sent, over any that they replace; fills in what the first entry
    /// of a term repeats of the one before it.
    pub fn append(&mut self, raw: &[Entry]) -> Result<Vec<LogEntry>, LedgerError> {
        let mut appended = Vec::with_capacity(raw.len());
        for raw in raw {
            self.truncate(raw.index - 1);
            let mut entry = from_engine(raw);
            if entry.kind == KIND_TERM && raw.index > 1 {
                let before = self.entry(raw.index - 1)?;
                (entry.epoch, entry.stamp) = (before.epoch, before.stamp);
            }
            if self.terms.last().is_none_or(|(_, term)| *term != entry.term) {
                self.terms.push((raw.index, entry.term));
            }
            self.last = raw.index;
            self.window_bytes += entry.payload.len();
            self.window.push_back(entry.clone());
            appended.push(entry);
        }
        Ok(appended)
    }

    fn truncate(&mut self, last: u64) {
        while self.window.back().is_some_and(|entry| entry.position.0 > last) {
            let entry = self.window.pop_back().expect("there is a last");
            self.window_bytes -= entry.payload.len();
        }
        self.terms.retain(|(first, _)| *first <= last);
        self.last = self.last.min(last);
    }

    /// Lets go of what is applied and over the window's limits.
    pub fn forget(&mut self, applied: u64) {
        while self.window.front().is_some_and(|entry| entry.position.0 <= applied)
            && (self.window.len() > WINDOW_ENTRIES || self.window_bytes > WINDOW_BYTES)
        {
            let entry = self.window.pop_front().expect("there is a first");
            self.window_bytes -= entry.payload.len();
        }
    }

    /// An entry as it is on disk.
    pub fn stored(&self, index: u64) -> Result<LogEntry, LedgerError> {
        self.entry(index)
    }

    fn entry(&self, index: u64) -> Result<LogEntry, LedgerError> {
        let first = self.window.front().map_or(u64::MAX, |entry| entry.position.0);
        match index.checked_sub(first) {
            Some(offset) => Ok(self.window[offset as usize].clone()),
            None => self.past.read(Position(index)),
        }
    }
}

impl<P: Past> Storage for Store<P> {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(self.initial.clone())
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        let max_size = max_size.into().unwrap_or(u64::MAX);
        let mut bytes = 0;
        let mut entries = Vec::new();
        for index in low..high {
            let entry = match self.entry(index) {
                Ok(entry) => entry,
                Err(error) => {
                    self.failed.borrow_mut().get_or_insert(error);
                    // The node ends with the failure before anything is said. Meanwhile the library waits for ever where
                    // it can, and takes less than it asked for where it would panic.
                    return match context.can_async() {
                        true => Err(Error::Store(StorageError::LogTemporarilyUnavailable)),
                        false => Ok(entries),
                    };
                }
            };
            bytes += (META_BYTES + entry.payload.len()) as u64;
            if bytes > max_size && !entries.is_empty() {
                break;
            }
            entries.push(to_engine(&entry));
        }
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index > self.last {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let behind = self.terms.partition_point(|(first, _)| *first <= index);
        Ok(behind.checked_sub(1).map_or(0, |at| self.terms[at].1))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last)
    }

    fn snapshot(&self, _: u64, _: u64) -> raft::Result<Snapshot> {
        Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable))
    }
}
