//! A core with its log: the order of writing and saying that safety rests on, in one place.

use std::fmt;

use ledger::{
    Entry, HardState, LedgerError, LedgerId, LedgerOptions, Log as _, NewEntry, Position, Reader, Recovery,
    ReplicatedLedger, ReplicatedLog as _, Storage, SyncedReader,
};

use crate::KIND_MEMBERSHIP;
use crate::core::{
    Committed, Core, CoreConfig, Input, LogEntry, Past, ReadAnswer, Refused, Start, Status, check_known,
};
use crate::membership::{Membership, NodeId, NodeInfo};
use crate::mutation::{Mutation, is_off};
use crate::room::{RoomConfig, Unwritten, Waiting, may_go};
use crate::wire::Message;

impl<S: Storage> Past for SyncedReader<S> {
    fn read(&self, position: Position) -> Result<LogEntry, LedgerError> {
        let mut payload = Vec::new();
        let header = SyncedReader::read(self, position, &mut payload)?;
        let (kind, term, epoch, stamp) = (header.kind, header.term, header.epoch, header.stamp);
        Ok(LogEntry { position, term, kind, epoch, stamp, payload: payload.into() })
    }
}

/// How a member is run.
#[derive(Clone, Copy, Debug)]
pub struct MemberConfig {
    pub core: CoreConfig,
    pub options: LedgerOptions,
    pub room: RoomConfig,
}

/// What a turn brought. After an error it holds what was done before it.
#[derive(Debug, Default)]
pub struct Turn {
    /// May be sent.
    pub messages: Vec<Message>,
    /// Are committed, and follow those of the turn before without a gap.
    pub committed: Vec<Committed>,
    pub reads: Vec<ReadAnswer>,
    /// Entries that were taken back: another leader's took their place.
    pub taken_back: u64,
}

/// One node of a cluster, with its disk.
pub struct Member<S: Storage> {
    core: Core<SyncedReader<S>>,
    log: ReplicatedLedger<S>,
    recovery: Option<Recovery>,
    room: RoomConfig,
    has_reserve: bool,
    /// A vote for which there was no room yet; nothing is said or written meanwhile.
    unsaved: Option<HardState>,
    waiting: Waiting,
    /// Time has passed since the last turn.
    ticked: bool,
}

impl<S: Storage> Member<S> {
    /// Founds a cluster with the ledger `ledger`: number 1, the one voter. Where a process ended during a founding, this
    /// goes on with it.
    ///
    /// # Panics
    /// If the number is not 1.
    pub fn found(
        storage: S,
        ledger: LedgerId,
        config: MemberConfig,
        info: &NodeInfo,
        epoch: u32,
        stamp: u64,
    ) -> Result<Self, LedgerError> {
        assert_eq!(config.core.id, NodeId(1), "who founds is number 1");
        let mut log =
            match ReplicatedLedger::open(storage.clone(), config.options, |_| Ok::<_, LedgerError>(())) {
                Err(LedgerError::NoLedger { .. }) => {
                    ReplicatedLedger::create(storage.clone(), ledger, config.options)?
                }
                Ok((log, _)) if log.last().position == Position::NONE => log,
                Ok(_) => return Err(LedgerError::AlreadyExists { folder: storage.folder() }),
                Err(error) => return Err(error),
            };
        log.set_node(config.core.id.0)?;
        let payload = Membership::founding(info).expect("an address that others can be told").encode();
        log.save_hard_state(HardState { term: 1, vote: 1, committed: Position::NONE })?;
        log.append(NewEntry { epoch, term: 1, stamp, kind: KIND_MEMBERSHIP, payload: &payload })?;
        drop(log);
        Self::open(storage, config, |_| Ok::<_, LedgerError>(()))
    }

    /// An empty log for a node that has been given its number by the leader. It knows nobody yet; the leader sends it
    /// everything. Where a process ended during this, it goes on with it.
    ///
    /// The number has to be a new one: what the node acknowledged under an earlier number is not in this log.
    pub fn join(storage: S, ledger: LedgerId, config: MemberConfig) -> Result<Self, LedgerError> {
        let opened = ReplicatedLedger::open(storage.clone(), config.options, |_| Ok::<_, LedgerError>(()));
        let mut log = match opened {
            Err(LedgerError::NoLedger { .. }) => ReplicatedLedger::create(storage, ledger, config.options)?,
            Ok((log, _)) if log.last().position == Position::NONE && log.node().is_none() => log,
            Ok(_) => return Err(LedgerError::AlreadyExists { folder: storage.folder() }),
            Err(error) => return Err(error),
        };
        log.set_node(config.core.id.0)?;
        Self::assemble(config, log, Membership::none())
    }

    /// Opens what was founded or joined before, under the number that it has. `visit` sees what is known to be
    /// committed; what follows comes out of the turns.
    ///
    /// Where the log is damaged ([`LedgerError::is_damage`]) or gone, this node is not what it was: it must not vote with
    /// less than it has acknowledged. It takes what is left out of the way ([`ledger::set_aside`]) and
    /// [joins](Self::join) under a new number, and the leader removes the old one.
    pub fn open<E: From<LedgerError>>(
        storage: S,
        config: MemberConfig,
        mut visit: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<Self, E> {
        let mut membership = Membership::none();
        let folder = storage.folder();
        let (log, recovery) = ReplicatedLedger::open(storage, config.options, |entry| -> Result<(), E> {
            check_known(config.core.kinds, entry.header.kind, entry.header.position)?;
            if entry.header.kind == KIND_MEMBERSHIP {
                membership = decode(entry.payload);
            }
            visit(entry)
        })?;
        let node = log.node().unwrap_or(0);
        if node != config.core.id.0 {
            return Err(LedgerError::OtherNode { folder, found: node, expected: config.core.id.0 }.into());
        }
        let mut member = Self::assemble(config, log, membership)?;
        member.recovery = Some(recovery);
        member.commit_own_founding(config)?;
        Ok(member)
    }

    /// Who founds is a majority by itself: the first entry is committed as soon as it is synced.
    fn commit_own_founding(&mut self, config: MemberConfig) -> Result<(), LedgerError> {
        let mut payload = Vec::new();
        if self.log.committed() > Position::NONE || self.log.last().position == Position::NONE {
            return Ok(());
        }
        let first = self.log.read_synced(Position(1), &mut payload)?;
        if first.kind != KIND_MEMBERSHIP {
            return Ok(());
        }
        let founded = decode(&payload);
        if founded.members().map(|(id, _)| id).eq([config.core.id]) {
            let state = HardState { committed: Position(1), ..self.log.hard_state() };
            self.log.save_hard_state(state)?;
            self.log.commit_to(Position(1));
            // What was founded is handed out like anything else, so nothing counts as applied.
            self.core = new_core(config, &self.log, Membership::none(), Position::NONE);
        }
        Ok(())
    }

    fn assemble(
        config: MemberConfig,
        mut log: ReplicatedLedger<S>,
        membership: Membership,
    ) -> Result<Self, LedgerError> {
        let core = new_core(config, &log, membership, log.committed());
        let room = config.room;
        let has_reserve = room.reserve_bytes > 0 && log.keep_reserve(room.reserve_bytes)?;
        let waiting = Waiting::default();
        let (unsaved, ticked) = (None, false);
        let mut member = Self { core, log, recovery: None, room, has_reserve, unsaved, waiting, ticked };
        member.look_for_room()?;
        Ok(member)
    }

    pub fn core(&self) -> &Core<SyncedReader<S>> {
        &self.core
    }

    pub fn status(&self) -> Status {
        self.core.status()
    }

    pub fn log(&self) -> &ReplicatedLedger<S> {
        &self.log
    }

    /// What opening found; `None` for what was just made.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.recovery.as_ref()
    }

    /// A reader of what is committed.
    pub fn reader(&self) -> Reader<S> {
        self.log.reader()
    }

    /// Takes what happened; see [`Core::step`]. Nothing is on disk or sent before [`turn`](Self::turn).
    pub fn step(&mut self, input: Input) -> Result<(), Refused> {
        match &input {
            Input::Tick => self.ticked = true,
            Input::Message(message) if self.waiting.refuses(message) => return Ok(()),
            _ => {}
        }
        self.core.step(input)
    }

    /// Does all that is to be done. After an error the member has to be dropped and opened again. A disk without room is
    /// no error: what is missing is written when there is room, and nothing is acknowledged before.
    pub fn turn(&mut self, out: &mut Turn) -> Result<(), LedgerError> {
        let mut posted = Vec::new();
        let done = self.turn_posting(out, &mut |message| posted.push(message));
        if done.is_ok() {
            // All of them could have gone before any that rests on a sync.
            posted.append(&mut out.messages);
            out.messages = posted;
        }
        done
    }

    /// As [`turn`](Self::turn), but what need not wait for this node's own disk goes to `post` before that is written:
    /// the others write the same entries meanwhile.
    pub fn turn_posting(&mut self, out: &mut Turn, post: &mut dyn FnMut(Message)) -> Result<(), LedgerError> {
        if std::mem::take(&mut self.ticked) {
            self.save_vote()?;
            self.write(out)?;
            self.look_for_room()?;
        }
        while let Some(mut work) = self.core.work()? {
            if is_off(Mutation::SyncBeforeAnswer) {
                work.after_sync.drain(..).for_each(&mut *post);
            }
            self.unsaved = work.hard_state.or(self.unsaved);
            self.save_vote()?;
            if self.unsaved.is_none() {
                work.messages.drain(..).for_each(&mut *post);
            }
            self.waiting.push(&mut work);
            self.write(out)?;
            if self.unsaved.is_none() {
                work.messages.drain(..).for_each(&mut *post);
                let all_written = self.waiting.is_empty() || is_off(Mutation::FullDisk);
                work.after_sync.retain(|message| all_written || may_go(message));
                out.messages.append(&mut work.after_sync);
            }
            if let Some(last) = work.committed.last() {
                self.log.commit_to(last.position);
                self.save_membership(&work.committed)?;
            }
            out.committed.append(&mut work.committed);
            out.reads.append(&mut work.reads);
        }
        Ok(())
    }

    /// Writes the vote that there was no room for.
    fn save_vote(&mut self) -> Result<(), LedgerError> {
        let Some(state) = self.unsaved else { return Ok(()) };
        let state = HardState { committed: self.log.committed(), ..state };
        loop {
            match self.log.save_hard_state(state) {
                Ok(()) => break self.unsaved = None,
                Err(LedgerError::Full { .. }) if self.give_back_reserve()? => {}
                Err(LedgerError::Full { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes what waits, as far as there is room. A term is on disk before its entries.
    fn write(&mut self, out: &mut Turn) -> Result<(), LedgerError> {
        while self.unsaved.is_none()
            && let Some(part) = self.waiting.first()
        {
            match write_part(&mut self.log, part, &mut out.taken_back) {
                Ok(()) => {
                    self.core.synced(part.number);
                    self.waiting.first_is_done();
                }
                Err(LedgerError::Full { .. }) if self.waiting.is_urgent() && self.give_back_reserve()? => {}
                Err(LedgerError::Full { .. }) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// That a membership is in force is on disk at once: of nodes that have forgotten it together, those that it made
    /// dispensable would be needed again.
    fn save_membership(&mut self, committed: &[Committed]) -> Result<(), LedgerError> {
        let unchanged = committed.iter().all(|entry| entry.kind != KIND_MEMBERSHIP);
        if unchanged || is_off(Mutation::CommitBeforeMembership) {
            return Ok(());
        }
        let committed = self.log.committed();
        match save_committed(&mut self.log, committed) {
            Err(LedgerError::Full { .. }) => Ok(()),
            result => result,
        }
    }

    /// True where there was one.
    fn give_back_reserve(&mut self) -> Result<bool, LedgerError> {
        if std::mem::take(&mut self.has_reserve) {
            self.log.give_back_reserve()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Looks whether the disk is nearly full, and keeps a reserve again as soon as there is room for it.
    fn look_for_room(&mut self) -> Result<(), LedgerError> {
        let RoomConfig { stop_free_bytes, reserve_bytes } = self.room;
        let missing = if self.has_reserve { 0 } else { reserve_bytes };
        let waits = self.unsaved.is_some() || !self.waiting.is_empty();
        let short = waits || self.log.free_bytes()? < stop_free_bytes.saturating_add(missing);
        if !short && missing > 0 {
            self.has_reserve = self.log.keep_reserve(reserve_bytes)?;
        }
        self.core.set_short_of_room(short);
        Ok(())
    }

    /// To be called when nothing is waiting, and before stopping.
    pub fn idle(&mut self) -> Result<(), LedgerError> {
        match self.log.idle() {
            // A mark that was not written is written later.
            Err(LedgerError::Full { .. }) => Ok(()),
            result => result,
        }
    }
}

/// What is written of a part is taken out of it, also where there was no room for all.
fn write_part<S: Storage>(
    log: &mut ReplicatedLedger<S>,
    part: &mut Unwritten,
    taken_back: &mut u64,
) -> Result<(), LedgerError> {
    let Some(first) = part.entries.first() else { return Ok(()) };
    let behind = log.last().position.next();
    if !part.begun && first.position < behind {
        log.truncate_after(first.position.previous())?;
        *taken_back += behind.0 - first.position.0;
    }
    part.begun = true;
    let result = append(log, &part.entries, part.known_committed);
    let last = log.last().position;
    part.entries.retain(|entry| entry.position > last);
    result
}

/// A membership is in force once it is committed. A node that has one in its log, and has forgotten that the one before is
/// committed, would start again two memberships behind and could elect itself with votes that mean nothing any more. So
/// what is committed is on disk before the next membership is. The leader proposes no other before.
fn append<S: Storage>(
    log: &mut ReplicatedLedger<S>,
    entries: &[LogEntry],
    known_committed: Position,
) -> Result<(), LedgerError> {
    for part in entries.chunk_by(|_, entry| entry.kind != KIND_MEMBERSHIP) {
        if part[0].kind == KIND_MEMBERSHIP && !is_off(Mutation::CommitBeforeMembership) {
            save_committed(log, known_committed.min(log.last().position))?;
        }
        let new: Vec<NewEntry<'_>> = part
            .iter()
            .map(|entry| NewEntry {
                epoch: entry.epoch,
                term: entry.term,
                stamp: entry.stamp,
                kind: entry.kind,
                payload: &entry.payload,
            })
            .collect();
        let last = log.append_group(&new)?;
        assert_eq!(Some(last), part.last().map(|entry| entry.position), "positions agree");
    }
    Ok(())
}

fn save_committed<S: Storage>(log: &mut ReplicatedLedger<S>, committed: Position) -> Result<(), LedgerError> {
    let state = log.hard_state();
    if committed > state.committed {
        log.save_hard_state(HardState { committed, ..state })?;
    }
    Ok(())
}

fn new_core<S: Storage>(
    config: MemberConfig,
    log: &ReplicatedLedger<S>,
    membership: Membership,
    applied: Position,
) -> Core<SyncedReader<S>> {
    let start = Start {
        hard_state: HardState { committed: log.committed(), ..log.hard_state() },
        membership,
        applied,
        last: log.last().position,
        terms: log.terms().to_vec(),
    };
    Core::new(config.core, start, log.synced_reader())
}

fn decode(payload: &[u8]) -> Membership {
    Membership::decode(payload).expect("checked before it was appended, and its sum again now")
}

impl<S: Storage> fmt::Debug for Member<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("core", &self.core).field("log", &self.log).finish()
    }
}
