//! The engine: core, ledger and caches in one turn at a time. No threads, clock or channels of its own; the
//! writer thread and the simulator call the same [`Engine::turn`].

use crate::caches::{Caches, Disks, ElectionReaders, Snapshot, SnapshotTree};
use crate::clock::ClockReading;
use crate::core::{Core, CoreLimits, Effects, Event, leaf_hashes};
use crate::error::NodeError;
use crate::identity::{Identity, Keys};
#[cfg(feature = "mutation")]
use crate::mutation::{Mutation, is_off};
use election::command::{EpochReason, write_officer};
use election::{ElectionIndex, Hlc, OfficerCommand};
use ledger::index::IndexReader;
use ledger::{
    Entry, EntryKind, Ledger, LedgerError, LedgerId, LedgerOptions, Log, LogPoint, NewEntry, Position,
    Reader, Recovery, Storage, Threads,
};
use proof::Hash;
use std::sync::mpsc::{channel, sync_channel};

/// Entries hashed ahead of those that are applied, at a start.
const ENTRIES_AHEAD: usize = 8;
/// Entries of this kind hold a batch of `election` commands.
pub const KIND_COMMANDS: EntryKind = EntryKind(1);

/// What an engine needs from outside, besides its disks.
#[derive(Debug)]
pub struct EngineConfig {
    pub keys: Keys,
    pub limits: CoreLimits,
    pub options: LedgerOptions,
    /// 32 random bytes: where a new ledger's id and server draws come from.
    pub seed: [u8; 32],
    /// SHA-256 of the officer token in hex; replaces the ledger's where it differs.
    pub officer: Option<String>,
    /// The same of the token that a new ledger is founded with, where `officer` names none.
    pub founding_officer: String,
    /// Begin a new epoch, after a restore or a forced recovery.
    pub new_epoch: Option<EpochReason>,
    /// Ballots after which a snapshot is taken.
    pub snapshot_every_ballots: u64,
}

pub struct Engine<S: Storage, T> {
    core: Core<T>,
    ledger: Ledger<S>,
    caches: Caches<S>,
    snapshot_every_ballots: u64,
    ballots_since_snapshot: u64,
    is_full: bool,
}

/// An engine ready for its first turn.
#[derive(Debug)]
pub struct Opened<S: Storage, T> {
    pub engine: Engine<S, T>,
    /// Lines an operator should see: what was cut, whether caches were made anew.
    pub notes: Vec<String>,
    pub is_new: bool,
}

impl<S: Storage, T> std::fmt::Debug for Engine<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("core", &self.core).finish_non_exhaustive()
    }
}

/// Why a replay stopped.
pub(crate) enum Replay {
    Failed(NodeError),
    /// The snapshot or the index is of another history; without them the log itself is still good.
    StaleCache,
}

impl From<LedgerError> for Replay {
    fn from(error: LedgerError) -> Self {
        Replay::Failed(error.into())
    }
}

impl<S: Storage, T: Send> Engine<S, T> {
    /// Opens or founds the ledger on `disks`, and replays it.
    pub fn open(
        disks: Disks<S>,
        config: EngineConfig,
        clock: ClockReading,
    ) -> Result<Opened<S, T>, NodeError> {
        let mut notes = Vec::new();
        let snapshot = Snapshot::read(&disks.cache);
        let replayed = match replay::<S, T>(&disks, &config, snapshot) {
            Err(Replay::StaleCache) => {
                notes.push("the caches do not fit the ledger; they are made anew from it".to_owned());
                replay::<S, T>(&disks, &config, None)
            }
            other => other,
        };
        let mut engine = match replayed {
            Ok((engine, cut)) => {
                notes.extend(cut);
                engine
            }
            Err(Replay::Failed(NodeError::Ledger(LedgerError::NoLedger { .. }))) => make(&disks, &config)?,
            Err(Replay::Failed(error)) => return Err(error),
            Err(Replay::StaleCache) => return Err(NodeError::EntriesMissing),
        };
        let is_new = engine.core.state().ledger.is_none();
        if is_new {
            engine.log_founding(&config, clock)?;
        }
        engine.settle_facts(&config, clock)?;
        Ok(Opened { engine, notes, is_new })
    }

    pub fn core(&self) -> &Core<T> {
        &self.core
    }

    pub fn core_mut(&mut self) -> &mut Core<T> {
        &mut self.core
    }

    pub fn identity(&self) -> Identity {
        let facts = self.core.state().ledger.as_ref().expect("an open engine is founded");
        let key = &self.core.keys().node;
        let log = election::LedgerId(self.ledger.id().0);
        Identity { ledger: facts.ledger, log, epoch: facts.epoch, node: key.node(), key: key.public() }
    }

    pub fn committed(&self) -> Position {
        self.ledger.committed()
    }

    pub fn is_full(&self) -> bool {
        self.is_full
    }

    pub fn reader(&self) -> Reader<S> {
        self.ledger.reader()
    }

    pub fn readers(&mut self, election: ElectionIndex) -> Result<ElectionReaders<S>, NodeError> {
        self.caches.readers(election)
    }

    pub fn voters(&self) -> IndexReader<S> {
        self.caches.voters()
    }

    /// Takes what came in, forms a batch, appends and syncs it, applies it, writes the caches.
    ///
    /// Answers in `effects` may be given once this returns. After an error for which
    /// [`NodeError::is_fatal`] holds, nothing may be answered and the process has to end.
    pub fn turn(
        &mut self,
        clock: ClockReading,
        events: impl Iterator<Item = Event<T>>,
        effects: &mut Effects<T>,
    ) -> Result<(), NodeError> {
        for event in events {
            self.core.step(event, effects);
        }
        self.core.step(Event::Flush(clock), effects);
        #[cfg(feature = "mutation")]
        if is_off(Mutation::OnlyCommitted) {
            return self.answer_before_appending(effects);
        }
        let Some((stamp, payload)) = self.core.proposal() else { return Ok(()) };
        let epoch = self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch);
        let entry = NewEntry { epoch, term: 0, stamp: stamp.0, kind: KIND_COMMANDS, payload };
        match self.ledger.append(entry) {
            Ok(position) => {
                assert!(self.ledger.committed() >= position, "one node commits what it has synced");
                self.is_full = false;
                self.core.step(Event::Committed(position), effects);
                self.ballots_since_snapshot += effects.leaves.len() as u64;
                self.caches.write(self.ledger.last(), effects);
            }
            Err(LedgerError::Full { .. }) => {
                self.is_full = true;
                self.core.step(Event::Full, effects);
            }
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The second half of a turn the wrong way round.
    #[cfg(feature = "mutation")]
    fn answer_before_appending(&mut self, effects: &mut Effects<T>) -> Result<(), NodeError> {
        let Some((stamp, payload)) = self.core.proposal() else { return Ok(()) };
        let (stamp, payload) = (stamp.0, payload.to_vec());
        let epoch = self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch);
        self.core.step(Event::Committed(self.ledger.committed().next()), effects);
        match self.ledger.append(NewEntry { epoch, term: 0, stamp, kind: KIND_COMMANDS, payload: &payload }) {
            Ok(_) => self.caches.write(self.ledger.last(), effects),
            Err(LedgerError::Full { .. }) => self.is_full = true,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// To be called when nothing waits: marks what is synced, and takes a snapshot when one is due.
    pub fn idle(&mut self) -> Result<(), NodeError> {
        match self.ledger.idle() {
            Err(LedgerError::Full { .. }) => self.is_full = true,
            other => other?,
        }
        self.caches.catch_up();
        if self.ballots_since_snapshot >= self.snapshot_every_ballots {
            // Only a cache: a disk without room for it is no reason to stop.
            if let Err(error) = self.snapshot() {
                tracing::warn!(error = &error as &dyn std::error::Error, "no snapshot was taken");
                self.ballots_since_snapshot = 0;
            }
        }
        Ok(())
    }

    /// Takes a snapshot now. Cost: linear in voters; the writer waits.
    pub fn snapshot(&mut self) -> Result<(), NodeError> {
        let state = self.core.state();
        let tree = |election: &election::Election| {
            let tree = self.core.tree(election.index);
            SnapshotTree {
                edge: tree.edge.clone(),
                acts: tree.acts.to_vec(),
                closing_root: tree.closing_root,
            }
        };
        let trees = state.elections().iter().map(tree).collect();
        let snapshot =
            Snapshot { point: self.ledger.last(), hlc: self.core.hlc().0, trees, state: state.clone() };
        self.caches.snapshot(&snapshot)?;
        self.ballots_since_snapshot = 0;
        Ok(())
    }

    /// Marks, takes a snapshot and lets go of the folder. A cache that cannot be written does not matter.
    pub fn close(mut self) -> Result<(), NodeError> {
        if self.ballots_since_snapshot > 0 {
            let _ = self.snapshot();
        }
        match self.ledger.close() {
            // Only the last mark found no room: everything is synced, and the next start says so.
            Err(LedgerError::Full { .. }) => Ok(()),
            other => Ok(other?),
        }
    }

    fn log_founding(&mut self, config: &EngineConfig, clock: ClockReading) -> Result<(), NodeError> {
        let command = OfficerCommand::Found {
            ledger: election::LedgerId(self.ledger.id().0),
            node: config.keys.node.node(),
            key: proof_key(&config.keys),
            officer: config.officer.clone().unwrap_or_else(|| config.founding_officer.clone()),
        };
        self.log_own(&command, clock)
    }

    /// Logs a new epoch or officer token, where the configuration asks for one.
    fn settle_facts(&mut self, config: &EngineConfig, clock: ClockReading) -> Result<(), NodeError> {
        let facts = self.core.state().ledger.as_ref().expect("an open engine is founded").clone();
        let key = proof_key(&config.keys);
        let mut commands = Vec::new();
        let node = config.keys.node.node();
        let is_known = facts.is_registered(node, &key);
        let reason = config.new_epoch.or((!is_known).then_some(EpochReason::Recovered));
        if let Some(reason) = reason {
            commands.push(OfficerCommand::Epoch { epoch: facts.epoch + 1, reason, node, key });
        }
        if let Some(officer) = config.officer.clone().filter(|officer| *officer != facts.officer) {
            commands.push(OfficerCommand::OfficerToken { officer });
        }
        for command in commands {
            self.log_own(&command, clock)?;
        }
        Ok(())
    }

    fn log_own(&mut self, command: &OfficerCommand, clock: ClockReading) -> Result<(), NodeError> {
        let stamp = self.core.hlc().next(clock.now);
        let mut payload = Vec::new();
        write_officer(&mut payload, stamp, command);
        let epoch = match command {
            OfficerCommand::Epoch { epoch, .. } => *epoch,
            _ => self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch),
        };
        let entry = NewEntry { epoch, term: 0, stamp: stamp.0, kind: KIND_COMMANDS, payload: &payload };
        let position = self.ledger.append(entry)?;
        let mut effects = Effects::new();
        self.core
            .replay(position, &payload, &mut effects)
            .map_err(|error| NodeError::Entry { position: position.0, what: error.to_string() })?;
        self.caches.write(self.ledger.last(), &mut effects);
        Ok(())
    }
}

fn make<S: Storage, T>(disks: &Disks<S>, config: &EngineConfig) -> Result<Engine<S, T>, NodeError> {
    let digest = proof::sha256(&[b"hustings ledger id v1\n", &config.seed]);
    let id = LedgerId(*digest.0.first_chunk().expect("a digest is longer than 16 bytes"));
    Caches::wipe(disks)?;
    let ledger = Ledger::create(disks.ledger.clone(), id, config.options)?;
    let caches = Caches::open(disks, id, config.options.threads)?;
    let core = Core::new(config.keys.clone(), config.limits, config.seed);
    Ok(engine(core, ledger, caches, config))
}

/// Folds the log, from its beginning or from a snapshot on.
pub(crate) struct Replayer<'a, S: Storage, T> {
    disks: &'a Disks<S>,
    config: &'a EngineConfig,
    core: Core<T>,
    caches: Option<Caches<S>>,
    effects: Effects<T>,
    /// What the caches are named after; `None` for the ledger's own name, once it is founded.
    log: Option<LedgerId>,
}

impl<'a, S: Storage, T> Replayer<'a, S, T> {
    /// Where a snapshot stands, or at the beginning.
    pub(crate) fn begin(
        disks: &'a Disks<S>,
        config: &'a EngineConfig,
        snapshot: Option<Snapshot>,
        log: Option<LedgerId>,
    ) -> Result<(Self, LogPoint), Replay> {
        let core: Core<T> = Core::new(config.keys.clone(), config.limits, config.seed);
        let mut replayer = Replayer { disks, config, core, caches: None, effects: Effects::new(), log };
        let Some(snapshot) = snapshot else {
            Caches::wipe(disks).map_err(Replay::Failed)?;
            return Ok((replayer, LogPoint::START));
        };
        let id = snapshot.state.ledger.as_ref().expect("a snapshot is of a founded ledger").ledger;
        let mut opened = open_caches(disks, log.unwrap_or(LedgerId(id.0)), config)?;
        if !opened.fit(&snapshot).map_err(Replay::Failed)? {
            return Err(Replay::StaleCache);
        }
        replayer.caches = Some(opened);
        replayer.core.restore(snapshot.state, snapshot.trees, Hlc(snapshot.hlc));
        Ok((replayer, snapshot.point))
    }

    /// What was folded. A ledger without entries was made and killed before its founding was logged.
    pub(crate) fn end(self, ledger: LedgerId) -> Result<(Core<T>, Caches<S>), Replay> {
        let caches = match self.caches {
            Some(caches) => caches,
            None => open_caches(self.disks, ledger, self.config)?,
        };
        Ok((self.core, caches))
    }

    pub(crate) fn take(&mut self, point: LogPoint, payload: &[u8], leaves: &[Hash]) -> Result<(), Replay> {
        let failed = |what: String| Replay::Failed(NodeError::Entry { position: point.position.0, what });
        self.core
            .replay_hashed(point.position, payload, leaves, &mut self.effects)
            .map_err(|error| failed(error.to_string()))?;
        if self.caches.is_none()
            && let Some(facts) = &self.core.state().ledger
        {
            let name = self.log.unwrap_or(LedgerId(facts.ledger.0));
            self.caches = Some(open_caches(self.disks, name, self.config)?);
        }
        let caches = self.caches.as_mut();
        let caches =
            caches.ok_or_else(|| failed("the ledger does not begin with its founding".to_owned()))?;
        caches.write(point, &mut self.effects);
        self.effects.changed.clear();
        Ok(())
    }
}

/// An entry on its way from the thread that reads and hashes to the one that applies.
#[derive(Default)]
struct Hashed {
    point: Option<LogPoint>,
    payload: Vec<u8>,
    leaves: Vec<Hash>,
}

fn replay<S: Storage, T: Send>(
    disks: &Disks<S>,
    config: &EngineConfig,
    snapshot: Option<Snapshot>,
) -> Result<(Engine<S, T>, Option<String>), Replay> {
    let (mut replayer, start) = Replayer::begin(disks, config, snapshot, None)?;
    let (ledger, recovery) = match config.options.threads {
        Threads::CallerOnly => {
            let take = |point, payload: &[u8]| replayer.take(point, payload, &leaf_hashes(payload));
            open_from(disks, config, start, take)?
        }
        Threads::Helpers => open_hashing_ahead(disks, config, start, &mut replayer)?,
    };
    let (core, caches) = replayer.end(ledger.id())?;
    Ok((engine(core, ledger, caches, config), recovery.cut.map(|cut| cut.to_string())))
}

/// Opens the ledger and hands every entry behind `start` to `take`.
fn open_from<S: Storage>(
    disks: &Disks<S>,
    config: &EngineConfig,
    start: LogPoint,
    mut take: impl FnMut(LogPoint, &[u8]) -> Result<(), Replay>,
) -> Result<(Ledger<S>, Recovery), Replay> {
    let mut has_seen_start = start == LogPoint::START;
    let visit = |entry: Entry<'_>| -> Result<(), Replay> {
        let position = entry.header.position;
        if position <= start.position {
            has_seen_start |= position == start.position;
            let is_other = position == start.position && entry.hash != start.hash;
            return if is_other { Err(Replay::StaleCache) } else { Ok(()) };
        }
        if entry.header.kind != KIND_COMMANDS {
            let what = format!("its kind {} is not known", entry.header.kind.0);
            return Err(Replay::Failed(NodeError::Entry { position: position.0, what }));
        }
        take(entry.point(), entry.payload)
    };
    let opened = Ledger::open(disks.ledger.clone(), config.options, visit)?;
    if !has_seen_start {
        // The snapshot was taken of entries that had been committed: this is a loss, not a cache to be thrown away.
        return Err(Replay::Failed(NodeError::EntriesMissing));
    }
    Ok(opened)
}

/// As [`open_from`], with reading and hashing on this thread and applying on another: half the time on two cores.
fn open_hashing_ahead<S: Storage, T: Send>(
    disks: &Disks<S>,
    config: &EngineConfig,
    start: LogPoint,
    replayer: &mut Replayer<'_, S, T>,
) -> Result<(Ledger<S>, Recovery), Replay> {
    std::thread::scope(|scope| {
        let (send, received) = sync_channel::<Hashed>(ENTRIES_AHEAD);
        let (give_back, spare) = channel::<Hashed>();
        let applying = scope.spawn(move || -> Result<(), Replay> {
            for entry in received {
                replayer.take(entry.point.expect("set when sent"), &entry.payload, &entry.leaves)?;
                // The reader may have ended; then nobody needs the buffers.
                let _ = give_back.send(entry);
            }
            Ok(())
        });
        let opened = open_from(disks, config, start, |point, payload| {
            let mut entry = spare.try_recv().unwrap_or_default();
            entry.point = Some(point);
            entry.payload.clear();
            entry.payload.extend_from_slice(payload);
            entry.leaves = leaf_hashes(payload);
            // The other side only ends early with an error of its own, which is the one that counts.
            send.send(entry).map_err(|_| Replay::StaleCache)
        });
        drop(send);
        applying.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        opened
    })
}

fn open_caches<S: Storage>(
    disks: &Disks<S>,
    id: LedgerId,
    config: &EngineConfig,
) -> Result<Caches<S>, Replay> {
    Caches::open(disks, id, config.options.threads).map_err(Replay::Failed)
}

fn engine<S: Storage, T>(
    core: Core<T>,
    ledger: Ledger<S>,
    caches: Caches<S>,
    config: &EngineConfig,
) -> Engine<S, T> {
    Engine {
        core,
        ledger,
        caches,
        snapshot_every_ballots: config.snapshot_every_ballots,
        ballots_since_snapshot: 0,
        is_full: false,
    }
}

pub(crate) fn proof_key(keys: &Keys) -> String {
    election::hex(&keys.node.public().key)
}
