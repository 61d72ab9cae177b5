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
        let payload = Membership::founding(info).expect("an address that others can be told").encode();
        log.save_hard_state(HardState { term: 1, vote: 1, committed: Position::NONE })?;
        log.append(NewEntry { epoch, term: 1, stamp, kind: KIND_MEMBERSHIP, payload: &payload })?;
        drop(log);
        Self::open(storage, config, |_| Ok(()))
    }

    /// An empty log for a node that has been given its number by the leader. It knows nobody yet; the leader sends it
    /// everything.
    pub fn join(storage: S, ledger: LedgerId, config: MemberConfig) -> Result<Self, LedgerError> {
        let log = ReplicatedLedger::create(storage, ledger, config.options)?;
        Ok(Self::assemble(config, log, Membership::none()))
    }

    /// Opens what was founded or joined before. `visit` sees what is known to be committed; what follows comes out of
    /// the turns.
    pub fn open(
        storage: S,
        config: MemberConfig,
        mut visit: impl FnMut(Entry<'_>) -> Result<(), LedgerError>,
    ) -> Result<Self, LedgerError> {
        let mut membership = Membership::none();
        let (log, recovery) = ReplicatedLedger::open(storage, config.options, |entry| {
            check_known(config.core.kinds, entry.header.kind, entry.header.position)?;
            if entry.header.kind == KIND_MEMBERSHIP {
                membership = decode(entry.payload);
            }
            visit(entry)
        })?;
        let mut member = Self::assemble(config, log, membership);
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

    fn assemble(config: MemberConfig, log: ReplicatedLedger<S>, membership: Membership) -> Self {
        let applied = log.committed();
        Self { core: new_core(config, &log, membership, applied), log, recovery: None }
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
        self.core.step(input)
    }

    /// Does all that is to be done. After an error the member has to be dropped and opened again.
    pub fn turn(&mut self, out: &mut Turn) -> Result<(), LedgerError> {
        while let Some(mut work) = self.core.work()? {
            out.messages.append(&mut work.messages);
            if is_off(Mutation::SyncBeforeAnswer) {
                out.messages.append(&mut work.after_sync);
            }
            if let Some(state) = work.hard_state {
                self.log.save_hard_state(HardState { committed: self.log.committed(), ..state })?;
            }
            out.taken_back += self.append(&work.entries, work.known_committed)?;
            self.core.synced(work.number);
            out.messages.append(&mut work.after_sync);
            if let Some(last) = work.committed.last() {
                self.log.commit_to(last.position);
            }
            out.committed.append(&mut work.committed);
            out.reads.append(&mut work.reads);
        }
        Ok(())
    }

    /// Tells how many entries had to go for these.
    ///
    /// A membership is in force once it is committed. A node that has one in its log, and has forgotten that the one
    /// before is committed, would start again two memberships behind and could elect itself with votes that mean nothing
    /// any more. So what is committed is on disk before the next membership is. The leader proposes no other before.
    fn append(&mut self, entries: &[LogEntry], known_committed: Position) -> Result<u64, LedgerError> {
        let Some(first) = entries.first() else { return Ok(0) };
        let behind = self.log.last().position.next();
        if first.position < behind {
            self.log.truncate_after(first.position.previous())?;
        }
        for part in entries.chunk_by(|_, entry| entry.kind != KIND_MEMBERSHIP) {
            if part[0].kind == KIND_MEMBERSHIP && !is_off(Mutation::CommitBeforeMembership) {
                self.save_committed(known_committed.min(self.log.last().position))?;
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
            let last = self.log.append_group(&new)?;
            assert_eq!(Some(last), part.last().map(|entry| entry.position), "positions agree");
        }
        Ok(behind.0 - first.position.0)
    }

    fn save_committed(&mut self, committed: Position) -> Result<(), LedgerError> {
        let state = self.log.hard_state();
        if committed > state.committed {
            self.log.save_hard_state(HardState { committed, ..state })?;
        }
        Ok(())
    }

    /// To be called when nothing is waiting, and before stopping.
    pub fn idle(&mut self) -> Result<(), LedgerError> {
        self.log.idle()
    }
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
