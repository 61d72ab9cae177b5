//! One node of a cluster: core, desk, consensus and caches in one turn at a time. No threads, clock or network of its
//! own; the writer thread and the simulator call the same [`Replica::turn`].
//!
//! ```text
//! voters, officers ─▶ desk ── parcels ──▶ leader: core orders, pre-checks, batches ─▶ consensus
//!                      ▲                                                                  │
//!                      └── answers ◀── core applies ◀── committed, on every node ◀────────┘
//! ```
//!
//! Every node applies every committed entry, and answers and signs for those who came to it. What a leader does with a
//! parcel is never the answer, but for "I did not propose it".

use crate::caches::{Caches, Disks, ElectionReaders, Snapshot, SnapshotTree};
use crate::clock::ClockReading;
use crate::cluster_view::{ClusterError, ClusterRequest};
use crate::core::{Answer, Core, Effects, Event, PreparedChunk, Returned, leaf_hashes};
use crate::desk::{Desk, Outgoing, name_of};
use crate::engine::{EngineConfig, KIND_COMMANDS, Replay, Replayer, proof_key};
use crate::error::NodeError;
use crate::identity::Identity;
use crate::letters::{
    ChangeLetter, ChangeRefused, DescribeLetter, Lane, LetterError, NodeReport, read_json, read_order,
    read_parcel, read_returned, write_json, write_order, write_parcel, write_returned,
};
use crate::postmark::Postmarks;
use bytes::Bytes;
use cluster::{
    Change, CoreConfig, KIND_TERM, Member, MemberConfig, Membership, Message, NodeId, NodeInfo, Refused,
    Role, RoomConfig, Seat, Status, Turn,
};
use election::command::{EpochReason, write_officer};
use election::{ElectionIndex, Hlc, OfficerCommand};
use ledger::index::IndexReader;
use ledger::{
    Entry, EntryKind, LedgerError, LedgerId, LogPoint, LogReader as _, Position, Reader, ReplicatedLedger,
    ReplicatedLog as _, Scan as _, Storage,
};
use proof::Hash;
use proof::receipt::Promise;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap};

/// Which kinds of entries this program applies, and the version of the program that brought each.
pub const KINDS: &[(EntryKind, u32)] = &[(KIND_COMMANDS, 1)];
/// What this program says of itself to the others: which kinds of entries it knows.
pub const PROGRAM_VERSION: u32 = 1;
/// A node says this often how it is.
const REPORT_MILLIS: u64 = 500;
/// What a leader does about members without being asked, it looks at this often.
const CARE_MILLIS: u64 = 250;
/// An operator's request that has not come true after this long: nobody knows.
const CHANGE_MILLIS: u64 = 10_000;
/// A member that was heard within so many ticks of consensus is there.
const SILENT_TICKS: u64 = 150;
/// A higher voter leads after it has been up to date for so long, where that is wanted.
const PREFER_AFTER_MILLIS: u64 = 30_000;
/// One that was asked to lead and does not is asked again after this long.
const PREFER_AGAIN_MILLIS: u64 = 600_000;
/// Rounds of one turn: on a cluster of one each commits what the one before proposed.
const ROUNDS_MAX: usize = 4;

/// How a node comes to its place in the cluster.
#[derive(Clone, Debug)]
pub enum Begin {
    /// Number 1 of a cluster that is made now.
    Found(LedgerId),
    /// Admitted by a leader under a new number; its folder is empty.
    Join(LedgerId),
    /// Has a place already.
    Resume,
}

/// An epoch that a node begins as soon as it leads: its log was made of a backup, or of what was left of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewEpoch {
    /// Nothing is begun where the ledger's epoch is this one already, or a later one.
    pub epoch: u32,
    pub reason: EpochReason,
}

#[derive(Debug)]
pub struct ReplicaConfig {
    pub engine: EngineConfig,
    pub core: CoreConfig,
    pub room: RoomConfig,
    pub begin: Begin,
    /// What this node says of itself.
    pub info: NodeInfo,
}

/// What comes in.
#[derive(Debug)]
pub enum Input<T> {
    /// A ballot, a chunk or an officer's act that came to this node.
    Event(Event<T>),
    /// A position behind all that was acknowledged anywhere is wanted.
    Read(T),
    /// From another node.
    Letter {
        from: NodeId,
        lane: u8,
        bytes: Bytes,
    },
    Change(ClusterRequest, T),
    /// A blank node asks the leader for a place.
    Join(NodeInfo, T),
    /// The time that consensus counts in has passed.
    Tick,
    /// What this node tells of itself; positions are filled in.
    Report(NodeReport),
}

/// To another node.
#[derive(Clone, Debug)]
pub struct Letter {
    pub to: NodeId,
    pub lane: Lane,
    pub bytes: Bytes,
}

/// What a turn wants done. Letters may go, and answers be given, once the turn has returned.
#[derive(Debug)]
pub struct Out<T> {
    pub effects: Effects<T>,
    pub letters: Vec<Letter>,
    /// Who belongs to the cluster, where that has changed.
    pub membership: Option<Membership>,
}

impl<T> Out<T> {
    pub fn new() -> Self {
        Out { effects: Effects::new(), letters: Vec::new(), membership: None }
    }
}

impl<T> Default for Out<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// A replica ready for its first turn.
#[derive(Debug)]
pub struct Opened<S: Storage, T> {
    pub replica: Replica<S, T>,
    pub notes: Vec<String>,
}

/// An operator's request, until it has come true.
struct Wanted<T> {
    number: u64,
    request: ClusterRequest,
    ticket: T,
    since: u64,
    is_sent: bool,
}

struct Parcel {
    from: NodeId,
    slip: u64,
    leaves: Vec<Hash>,
}

struct Joining<T> {
    info: NodeInfo,
    ticket: T,
    since: u64,
    is_proposed: bool,
    /// Its number, once its place is in the log.
    admitted: Option<NodeId>,
}

/// What the others have said of themselves.
#[derive(Clone, Debug)]
pub struct Heard {
    pub report: NodeReport,
    pub at: u64,
}

pub struct Replica<S: Storage, T> {
    core: Core<T>,
    member: Member<S>,
    caches: Caches<S>,
    desk: Desk<T>,
    config: ReplicaFacts,
    applied: Position,
    /// Term of the last entry that began one.
    applied_term: u64,
    /// What this leader has proposed and not yet seen committed.
    proposal: Option<(Position, u64)>,
    /// Parcels that the core is putting in order.
    parcels: HashMap<u64, Parcel>,
    parcels_begun: u64,
    postmarks: Postmarks,
    wanted: Vec<Wanted<T>>,
    joining: Vec<Joining<T>>,
    heard: BTreeMap<NodeId, Heard>,
    own_report: Option<NodeReport>,
    reported_at: u64,
    cared_at: u64,
    registered_at: u64,
    requests: u64,
    ballots_since_snapshot: u64,
    is_full: bool,
    has_new_membership: bool,
    preference: Option<Preference>,
    /// Whether an operator wants it to lead no more until it is started again.
    is_drained: bool,
    new_epoch: Option<NewEpoch>,
    now: u64,
}

/// The voter that would lead rather, and since when it has been fit to.
#[derive(Default)]
struct Preference {
    fit_since: Option<(NodeId, u64)>,
    /// When it was last asked to lead: one that failed is not asked again for a while.
    asked_at: Option<u64>,
}

struct ReplicaFacts {
    id: NodeId,
    info: NodeInfo,
    log: LedgerId,
    officer: Option<String>,
    founding_officer: String,
    key: String,
    snapshot_every_ballots: u64,
}

impl<S: Storage, T> std::fmt::Debug for Replica<S, T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replica").field("member", &self.member.status()).finish_non_exhaustive()
    }
}

impl<S: Storage, T> Replica<S, T> {
    /// Takes its place on `disks`: founds, joins or opens, and replays what is known to be committed. The rest comes
    /// with the turns.
    pub fn open(
        disks: &Disks<S>,
        config: ReplicaConfig,
        clock: ClockReading,
    ) -> Result<Opened<S, T>, NodeError> {
        let member_config =
            MemberConfig { core: config.core, options: config.engine.options, room: config.room };
        let mut notes = Vec::new();
        let begun = match config.begin {
            Begin::Resume => Ok(false),
            Begin::Found(ledger) => {
                let stamp = Hlc::default().next(clock.now).0;
                Member::found(disks.ledger.clone(), ledger, member_config, &config.info, 1, stamp)
                    .map(|_| true)
            }
            Begin::Join(ledger) => Member::join(disks.ledger.clone(), ledger, member_config).map(|_| true),
        };
        match begun {
            Ok(false) => {}
            Ok(true) => Caches::wipe(disks)?,
            // A process ended between the beginning and the note of it; whether the number is right is checked below.
            Err(LedgerError::AlreadyExists { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let snapshot = Snapshot::read(&disks.cache);
        let replayed = match replay(disks, &config.engine, member_config, snapshot) {
            Err(Replay::StaleCache) => {
                notes.push("the caches do not fit the ledger; they are made anew from it".to_owned());
                replay(disks, &config.engine, member_config, None)
            }
            other => other,
        };
        let (member, mut core, caches, applied_term) = match replayed {
            Ok(replayed) => replayed,
            Err(Replay::Failed(error)) => return Err(error),
            Err(Replay::StaleCache) => return Err(NodeError::EntriesMissing),
        };
        notes.extend(member.recovery().and_then(|found| found.cut.as_ref()).map(ToString::to_string));
        core.set_promise(Promise::Majority);
        let applied = member.log().reader().committed();
        let engine = config.engine;
        let facts = ReplicaFacts {
            id: config.core.id,
            info: config.info,
            log: member.log().id(),
            officer: engine.officer,
            founding_officer: engine.founding_officer,
            key: proof_key(&engine.keys),
            snapshot_every_ballots: engine.snapshot_every_ballots,
        };
        let replica = Replica {
            core,
            member,
            caches,
            desk: Desk::new(),
            config: facts,
            applied,
            applied_term,
            proposal: None,
            parcels: HashMap::new(),
            parcels_begun: 0,
            postmarks: Postmarks::new(config.core.seed),
            wanted: Vec::new(),
            joining: Vec::new(),
            heard: BTreeMap::new(),
            own_report: None,
            reported_at: 0,
            cared_at: 0,
            registered_at: 0,
            requests: 0,
            ballots_since_snapshot: 0,
            is_full: false,
            has_new_membership: true,
            preference: None,
            is_drained: false,
            new_epoch: None,
            now: clock.now.0,
        };
        Ok(Opened { replica, notes })
    }

    /// Whether a leader hands over to the highest voter, once that one has been up to date for half a minute.
    pub fn prefer_highest(&mut self, prefers: bool) {
        self.preference = prefers.then(Preference::default);
    }

    /// Before the first turn: the first thing that this node does as a leader. Until then it takes nothing.
    pub fn begin_epoch(&mut self, new: NewEpoch) {
        self.new_epoch = Some(new);
    }

    pub fn core(&self) -> &Core<T> {
        &self.core
    }

    pub fn core_mut(&mut self) -> &mut Core<T> {
        &mut self.core
    }

    pub fn status(&self) -> Status {
        self.member.status()
    }

    pub fn membership(&self) -> &Membership {
        self.member.core().membership()
    }

    /// What other nodes last said of themselves, and when by this node's clock.
    pub fn heard(&self) -> &BTreeMap<NodeId, Heard> {
        &self.heard
    }

    /// The epoch is 0, and the ledger named after the log, until the founding has come here.
    pub fn identity(&self) -> Identity {
        let log = election::LedgerId(self.config.log.0);
        let facts = self.core.state().ledger.as_ref();
        let (ledger, epoch) = facts.map_or((log, 0), |facts| (facts.ledger, facts.epoch));
        let key = &self.core.keys().node;
        Identity { ledger, log, epoch, node: key.node(), key: key.public() }
    }

    /// What this node has applied; all of it is committed.
    pub fn applied(&self) -> Position {
        self.applied
    }

    /// Whether this node's disk has no room, or the leader said so of the last batch.
    pub fn is_full(&self) -> bool {
        self.is_full || self.member.status().short_of_room
    }

    pub fn has_work(&self) -> bool {
        self.core.has_work()
    }

    /// Whether somebody who came to this node waits for an answer.
    pub fn is_awaited(&self) -> bool {
        self.desk.has_work() || !self.wanted.is_empty()
    }

    pub fn reader(&self) -> Reader<S> {
        self.member.reader()
    }

    pub fn readers(&mut self, election: ElectionIndex) -> Result<ElectionReaders<S>, NodeError> {
        self.caches.readers(election)
    }

    pub fn voters(&self) -> IndexReader<S> {
        self.caches.voters()
    }

    /// Takes what came in, does what consensus wants, applies what is committed, and answers. After an error for which
    /// [`NodeError::is_fatal`] holds, nothing of `out` may be used, and the process has to end.
    pub fn turn(
        &mut self,
        clock: ClockReading,
        inputs: impl Iterator<Item = Input<T>>,
        out: &mut Out<T>,
    ) -> Result<(), NodeError> {
        let mut posted = Vec::new();
        let done = self.turn_posting(clock, inputs, out, &mut |letter| posted.push(letter));
        if done.is_ok() {
            // All of them could have gone before any that rests on a sync.
            posted.append(&mut out.letters);
            out.letters = posted;
        }
        done
    }

    /// As [`turn`](Self::turn), but letters that need not wait for this node's disk go to `post` at once.
    pub fn turn_posting(
        &mut self,
        clock: ClockReading,
        inputs: impl Iterator<Item = Input<T>>,
        out: &mut Out<T>,
        post: &mut dyn FnMut(Letter),
    ) -> Result<(), NodeError> {
        self.now = self.now.max(clock.now.0);
        for input in inputs {
            self.take(input, out);
        }
        for _ in 0..ROUNDS_MAX {
            self.follow_leader();
            self.ask();
            self.send(out);
            self.propose(clock, out);
            let applied = self.applied;
            out.letters.drain(..).for_each(&mut *post);
            self.do_consensus(out, post)?;
            self.desk.settle(&mut self.core, self.applied, &mut out.effects);
            self.return_parcels(out);
            if self.applied == applied {
                break;
            }
        }
        self.core.step(Event::Clock(clock), &mut out.effects);
        self.desk.look_over(&mut self.core, self.now, &mut out.effects);
        self.look_at_requests(out);
        self.care(clock, out);
        if !out.effects.checkpoints.is_empty() && !self.is_registered() {
            // Nobody could check them.
            out.effects.checkpoints.clear();
        }
        if std::mem::take(&mut self.has_new_membership) {
            out.membership = Some(self.membership().clone());
        }
        Ok(())
    }

    fn take(&mut self, input: Input<T>, out: &mut Out<T>) {
        match input {
            Input::Event(Event::Cast(ballot, ticket)) => {
                self.core.note_stamp(ballot.stamp);
                self.desk.cast(&self.core, ballot, ticket, self.now);
            }
            Input::Event(Event::Chunk(chunk, ticket)) => {
                self.desk.chunk(&mut self.core, chunk, ticket, self.now, &mut out.effects);
            }
            Input::Event(Event::Officer(stamp, command, ticket)) => {
                self.core.note_stamp(stamp);
                self.desk.act(stamp, command, ticket, self.now);
            }
            Input::Event(_) => unreachable!("the replica steps its core itself"),
            Input::Read(ticket) => self.desk.read(ticket, self.now),
            Input::Letter { from, lane, bytes } => {
                if let Err(error) = self.read_letter(from, lane, &bytes, out) {
                    tracing::warn!(node = from.0, lane, %error, "a letter was dropped");
                }
            }
            Input::Change(request, ticket) => {
                self.requests += 1;
                let number = self.requests;
                self.wanted.push(Wanted { number, request, ticket, since: self.now, is_sent: false });
            }
            Input::Join(info, ticket) => self.joining.push(Joining {
                info,
                ticket,
                since: self.now,
                is_proposed: false,
                admitted: None,
            }),
            Input::Tick => self.member.step(cluster::Input::Tick).expect("time is never refused"),
            Input::Report(report) => self.own_report = Some(report),
        }
    }

    fn read_letter(
        &mut self,
        from: NodeId,
        lane: u8,
        bytes: &Bytes,
        out: &mut Out<T>,
    ) -> Result<(), LetterError> {
        let lane = Lane::from_number(lane).ok_or(LetterError("its lane is not known"))?;
        let (mut term, mut slip, mut bytes) = (0, 0, bytes.clone());
        if matches!(lane, Lane::Parcel | Lane::Order | Lane::Returned) {
            let Some(opened) = self.postmarks.open(from, bytes)? else { return Ok(()) };
            (term, slip, bytes) = (opened.term, opened.slip, opened.letter);
        }
        // What was written for the leader of another term may have been answered for meanwhile.
        let is_for_now = self.is_ready() && self.member.status().term == term;
        let bytes = &bytes;
        match lane {
            Lane::Consensus => {
                let message =
                    Message::decode(bytes).map_err(|_| LetterError("a consensus message cannot be read"))?;
                if message.from() == from {
                    let _ = self.member.step(cluster::Input::Message(message));
                }
            }
            Lane::Parcel => {
                let chunk = read_parcel(bytes)?;
                if is_for_now {
                    self.order_parcel(from, slip, chunk, out);
                } else {
                    let leaves: Vec<_> =
                        chunk.ballots.iter().map(|ballot| (ballot.leaf, Returned::NotLeading)).collect();
                    self.post(out, from, Lane::Returned, slip, &write_returned(None, &leaves));
                }
            }
            Lane::Order => {
                let (stamp, command) = read_order(bytes)?;
                if is_for_now {
                    self.core.step(Event::Order(stamp, command), &mut out.effects);
                } else {
                    self.post(
                        out,
                        from,
                        Lane::Returned,
                        slip,
                        &write_returned(Some(name_of(stamp, &command)), &[]),
                    );
                }
            }
            Lane::Returned => {
                let (act, leaves) = read_returned(bytes)?;
                self.desk.returned(&mut self.core, slip, &leaves, &mut out.effects);
                if let Some(act) = act {
                    self.desk.act_returned(act, slip);
                }
            }
            Lane::Status => {
                let report = read_json(bytes)?;
                self.heard.insert(from, Heard { report, at: self.now });
            }
            Lane::Change => {
                let ChangeLetter { number, request } = read_json(bytes)?;
                if let Err(refused) = self.change(&request) {
                    let reason = refused.to_string();
                    let refusal = write_json(&ChangeRefused { number, reason });
                    letter(out, from, Lane::ChangeRefused, refusal);
                }
            }
            Lane::Describe => {
                let DescribeLetter { address, http_address, version } = read_json(bytes)?;
                self.describe(from, NodeInfo { address, http_address, version });
            }
            // The clock is the shell's, not the log's.
            Lane::Time => {}
            Lane::ChangeRefused => {
                let ChangeRefused { number, reason } = read_json(bytes)?;
                if let Some(at) = self.wanted.iter().position(|wanted| wanted.number == number) {
                    let wanted = self.wanted.swap_remove(at);
                    let answer = Answer::NotChanged(ClusterError::Refused(reason));
                    out.effects.answers.push((wanted.ticket, answer));
                }
            }
        }
        Ok(())
    }

    /// Leads, and has applied everything that was committed before its term.
    fn leads(&self) -> bool {
        let status = self.member.status();
        status.role == Role::Leader && self.applied_term == status.term
    }

    /// Leads, and may take what others want in the log.
    fn is_ready(&self) -> bool {
        self.leads() && self.owed_epoch().is_none()
    }

    fn owed_epoch(&self) -> Option<NewEpoch> {
        let known = self.core.state().ledger.as_ref()?.epoch;
        self.new_epoch.filter(|new| new.epoch > known)
    }

    fn follow_leader(&mut self) {
        let status = self.member.status();
        if status.role != Role::Leader {
            let was_leading =
                self.proposal.take().is_some() || !self.parcels.is_empty() || self.core.has_work();
            if was_leading {
                self.parcels.clear();
                self.core.step(Event::Deposed, &mut Effects::new());
            }
        } else if self.proposal.is_some_and(|(_, term)| term != status.term) {
            // Lost and won again within a turn: what was proposed in between is looked for in the log by who waits.
            self.proposal = None;
            self.parcels.clear();
            self.core.step(Event::Deposed, &mut Effects::new());
        }
        self.desk.follow(status.leader.map(|leader| (leader, status.term)));
    }

    fn ask(&mut self) {
        let Some(number) = self.desk.question(self.now) else { return };
        if self.member.step(cluster::Input::Read(number)).is_err() {
            self.desk.not_asked();
        }
    }

    /// What waits at the desk goes to the leader.
    fn send(&mut self, out: &mut Out<T>) {
        let status = self.member.status();
        let Some(leader) = status.leader else { return };
        let is_own = leader == self.config.id;
        // A node whose key is not registered could not sign what it is to answer.
        if (is_own && !self.is_ready()) || !self.is_registered() {
            return;
        }
        for outgoing in self.desk.outgoing(&self.core, self.now) {
            match outgoing {
                Outgoing::Parcel(slip, chunk) if is_own => self.order_parcel(leader, slip, chunk, out),
                Outgoing::Order(_, stamp, command) if is_own => {
                    self.core.step(Event::Order(stamp, command), &mut out.effects);
                }
                Outgoing::Parcel(slip, chunk) => {
                    self.post(out, leader, Lane::Parcel, slip, &write_parcel(&chunk));
                }
                Outgoing::Order(slip, stamp, command) => {
                    self.post(out, leader, Lane::Order, slip, &write_order(stamp, &command));
                }
            }
        }
    }

    /// A letter that must not count twice.
    fn post(&mut self, out: &mut Out<T>, to: NodeId, lane: Lane, slip: u64, bytes: &Bytes) {
        let marked = self.postmarks.mark(self.member.status().term, slip, bytes);
        letter(out, to, lane, marked);
    }

    fn order_parcel(&mut self, from: NodeId, slip: u64, chunk: PreparedChunk, out: &mut Out<T>) {
        self.parcels_begun += 1;
        let number = self.parcels_begun;
        let leaves = chunk.ballots.iter().map(|ballot| ballot.leaf).collect();
        self.parcels.insert(number, Parcel { from, slip, leaves });
        self.core.step(Event::Parcel { number, chunk }, &mut out.effects);
    }

    /// What the core did not propose goes back to where it came from.
    fn return_parcels(&mut self, out: &mut Out<T>) {
        for (number, lines) in std::mem::take(&mut out.effects.returned) {
            let Some(Parcel { from, slip, leaves }) = self.parcels.remove(&number) else { continue };
            if lines.is_empty() {
                continue;
            }
            let returned: Vec<(Hash, Returned)> =
                lines.into_iter().map(|(line, why)| (leaves[line as usize], why)).collect();
            if from == self.config.id {
                self.desk.returned(&mut self.core, slip, &returned, &mut out.effects);
            } else {
                self.post(out, from, Lane::Returned, slip, &write_returned(None, &returned));
            }
        }
    }

    /// A leader that is ready makes the next batch, one at a time.
    fn propose(&mut self, clock: ClockReading, out: &mut Out<T>) {
        if !self.leads() || self.proposal.is_some() {
            return;
        }
        if let Some(new) = self.owed_epoch() {
            return self.propose_epoch(new, clock);
        }
        self.core.step(Event::Flush(clock), &mut out.effects);
        let Some((stamp, payload)) = self.core.proposal() else { return };
        let epoch = self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch);
        let payload = Bytes::copy_from_slice(payload);
        // Acts end votes, so there is a reserve of room for them.
        let urgent = self.core.proposes_acts_alone();
        let propose = cluster::Input::Propose { kind: KIND_COMMANDS, epoch, stamp: stamp.0, payload, urgent };
        match self.member.step(propose) {
            Ok(()) => {
                let status = self.member.status();
                self.proposal = Some((status.last, status.term));
                self.is_full = false;
                self.core.step(Event::Proposed, &mut out.effects);
            }
            Err(Refused::DiskFull) => {
                self.is_full = true;
                self.core.step(Event::NoRoom, &mut out.effects);
            }
            // Handing over, or too much waits: the same batch is offered again at the next turn, or its ballots are
            // sent to the next leader by who waits for them.
            Err(error) => tracing::debug!(%error, "a batch waits"),
        }
    }

    /// Alone in its entry, and before a deadline that has passed meanwhile closes anything.
    fn propose_epoch(&mut self, NewEpoch { epoch, reason }: NewEpoch, clock: ClockReading) {
        let stamp = self.core.hlc().next(clock.now);
        let (node, key) = (self.core.keys().node.node(), self.config.key.clone());
        let mut payload = Vec::new();
        write_officer(&mut payload, stamp, &OfficerCommand::Epoch { epoch, reason, node, key });
        let (kind, stamp, payload) = (KIND_COMMANDS, stamp.0, payload.into());
        let propose = cluster::Input::Propose { kind, epoch, stamp, payload, urgent: true };
        // Refused for want of room, say: the next turn asks again.
        if self.member.step(propose).is_ok() {
            let status = self.member.status();
            self.proposal = Some((status.last, status.term));
        }
    }

    fn do_consensus(&mut self, out: &mut Out<T>, post: &mut dyn FnMut(Letter)) -> Result<(), NodeError> {
        let mut turn = Turn::default();
        let consensus = |message: Message| Letter {
            to: message.to(),
            lane: Lane::Consensus,
            bytes: message.encode().into(),
        };
        self.member.turn_posting(&mut turn, &mut |message| post(consensus(message)))?;
        out.letters.extend(turn.messages.into_iter().map(consensus));
        for entry in turn.committed {
            self.apply(&entry, out)?;
        }
        for read in turn.reads {
            self.desk.answered(read.id, read.position);
        }
        Ok(())
    }

    fn apply(&mut self, entry: &cluster::Committed, out: &mut Out<T>) -> Result<(), NodeError> {
        let position = entry.position;
        match entry.kind {
            KIND_COMMANDS => {
                let failed = |what: String| NodeError::Entry { position: position.0, what };
                let leaves = leaf_hashes(&entry.payload);
                let effects = &mut out.effects;
                self.core
                    .take(position, &entry.payload, &leaves, &mut self.desk, effects)
                    .map_err(|error| failed(error.to_string()))?;
                self.ballots_since_snapshot += effects.leaves.len() as u64;
                // The index wants to know how far it reaches; the hash there is for people who look at its files.
                self.caches.write(LogPoint { position, hash: Hash::default() }, effects);
            }
            KIND_TERM => self.applied_term = entry.term,
            // A membership: the others are refused when they are committed.
            _ => self.has_new_membership = true,
        }
        self.applied = position;
        if self.proposal.is_some_and(|(proposed, _)| proposed <= position) {
            self.proposal = None;
            self.core.step(Event::Settled, &mut out.effects);
        }
        Ok(())
    }

    /// Whether this node's key stands in the ledger, so that others can check what it signs.
    pub fn is_registered(&self) -> bool {
        let facts = self.core.state().ledger.as_ref();
        let node = self.core.keys().node.node();
        facts.is_some_and(|facts| {
            let mut of_epoch = facts.keys.iter().filter(|known| known.epoch == facts.epoch);
            of_epoch.any(|known| known.node == node && known.key == self.config.key)
        })
    }

    /// What nobody has to ask for.
    fn care(&mut self, clock: ClockReading, out: &mut Out<T>) {
        let (report_due, care_due) =
            (self.now >= self.reported_at + REPORT_MILLIS, self.now >= self.cared_at + CARE_MILLIS);
        if report_due && let Some(mut report) = self.own_report.clone() {
            self.reported_at = self.now;
            (report.applied, report.synced) = (self.applied.0, self.member.log().last().position.0);
            let report = write_json(&report);
            let others: Vec<NodeId> =
                self.membership().members().map(|(id, _)| id).filter(|id| *id != self.config.id).collect();
            for to in others {
                letter(out, to, Lane::Status, report.clone());
            }
        }
        if !care_due {
            return;
        }
        self.cared_at = self.now;
        self.register(clock, out);
        self.describe_oneself(out);
        if self.is_ready() {
            self.found(clock, out);
            self.promote_learners();
            self.hand_over_to_highest();
            self.hand_over_if_drained();
            self.heard.retain(|id, _| self.member.core().membership().get(*id).is_some());
        }
    }

    /// The first command of a new ledger; and a new officer token, where this node was started with another and is the
    /// only one: as the first of a restored cluster. Among several it would be one word against the other.
    fn found(&mut self, clock: ClockReading, out: &mut Out<T>) {
        if self.core.has_work() {
            return;
        }
        let command = match &self.core.state().ledger {
            None => OfficerCommand::Found {
                ledger: election::LedgerId(self.config.log.0),
                node: self.core.keys().node.node(),
                key: self.config.key.clone(),
                officer: self.config.officer.clone().unwrap_or_else(|| self.config.founding_officer.clone()),
            },
            Some(facts) => match &self.config.officer {
                Some(officer) if *officer != facts.officer && self.membership().members().count() == 1 => {
                    OfficerCommand::OfficerToken { officer: officer.clone() }
                }
                _ => return,
            },
        };
        let stamp = self.core.hlc().next(clock.now);
        self.core.step(Event::Order(stamp, Box::new(command)), &mut out.effects);
    }

    fn register(&mut self, clock: ClockReading, out: &mut Out<T>) {
        let is_member = self.membership().get(self.config.id).is_some();
        let is_founded = self.core.state().ledger.is_some();
        let begins_epoch = self.owed_epoch().is_some();
        let is_known = self.is_registered() || begins_epoch;
        if is_known || !is_member || !is_founded || self.now < self.registered_at + 1_000 {
            return;
        }
        self.registered_at = self.now;
        let stamp = self.core.hlc().next(clock.now);
        self.core.note_stamp(stamp);
        let node = self.core.keys().node.node();
        let command = OfficerCommand::Node { node, key: self.config.key.clone() };
        let Some(leader) = self.member.status().leader else { return };
        if leader == self.config.id {
            if self.is_ready() {
                self.core.step(Event::Order(stamp, Box::new(command)), &mut out.effects);
            }
        } else {
            self.post(out, leader, Lane::Order, 0, &write_order(stamp, &command));
        }
    }

    /// Tells the cluster where this node is reached and what it runs, where that has changed.
    fn describe_oneself(&mut self, out: &mut Out<T>) {
        let (id, info) = (self.config.id, &self.config.info);
        let Some(known) = self.membership().get(id) else { return };
        let is_same = known.address == info.address
            && known.http_address == info.http_address
            && known.version == info.version;
        let Some(leader) = self.member.status().leader.filter(|_| !is_same) else { return };
        let NodeInfo { address, http_address, version } = info.clone();
        if leader == id {
            self.describe(id, NodeInfo { address, http_address, version });
        } else {
            let described = DescribeLetter { address, http_address, version };
            letter(out, leader, Lane::Describe, write_json(&described));
        }
    }

    fn describe(&mut self, id: NodeId, info: NodeInfo) {
        let epoch = self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch);
        let (change, stamp) = (Change::Describe(id, info), self.core.hlc().0);
        // Refused while another change is under way, or by who does not lead: it is asked again.
        let _ = self.member.step(cluster::Input::Change { change, epoch, stamp });
    }

    /// The highest voter leads, where that is wanted: a preference, never a condition.
    fn hand_over_to_highest(&mut self) {
        let Some(preference) = &mut self.preference else { return };
        let (status, now) = (self.member.status(), self.now);
        let highest = self.member.core().membership().with_seat(Seat::Voter).last();
        let fit = highest.filter(|id| {
            let known = status.progress.get(id);
            *id > status.id
                && known.is_some_and(|known| {
                    let is_heard = known.heard_ticks_ago.is_some_and(|ago| ago < SILENT_TICKS);
                    is_heard && !known.short_of_room && known.synced >= status.committed
                })
        });
        preference.fit_since = match (fit, preference.fit_since) {
            (Some(id), Some((known, since))) if id == known => Some((id, since)),
            (fit, _) => fit.map(|id| (id, now)),
        };
        let is_tired = preference.asked_at.is_some_and(|at| now < at + PREFER_AGAIN_MILLIS);
        if let Some((id, since)) = preference.fit_since
            && now >= since + PREFER_AFTER_MILLIS
            && !is_tired
        {
            preference.asked_at = Some(now);
            // Refused, it goes on leading.
            let _ = self.member.step(cluster::Input::Transfer(id));
        }
    }

    fn promote_learners(&mut self) {
        let status = self.member.status();
        let learners: Vec<NodeId> = self.membership().with_seat(Seat::Learner).collect();
        for id in learners {
            let has_caught_up =
                status.progress.get(&id).is_some_and(|known| known.synced >= status.committed);
            if has_caught_up {
                // Refused while another change is under way: then later.
                let _ = self.change(&ClusterRequest::Promote(id.0));
            }
        }
    }

    /// Asks the consensus for what an operator wants; on the leader.
    fn change(&mut self, request: &ClusterRequest) -> Result<(), Refused> {
        let epoch = self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch);
        let stamp = self.core.hlc().0;
        match request {
            ClusterRequest::Promote(id) => {
                let change = Change::Promote(NodeId(*id));
                self.member.step(cluster::Input::Change { change, epoch, stamp })
            }
            ClusterRequest::Remove(id) if NodeId(*id) == self.config.id => match self.successor() {
                // Who leads cannot leave: another one leads first, and is asked again.
                Some(to) => self.member.step(cluster::Input::Transfer(to)),
                None => Err(Refused::Leads(self.config.id)),
            },
            ClusterRequest::Remove(id) => {
                let change = Change::Remove(NodeId(*id));
                self.member.step(cluster::Input::Change { change, epoch, stamp })
            }
            ClusterRequest::Transfer(id) => self.member.step(cluster::Input::Transfer(NodeId(*id))),
            ClusterRequest::Drain(_) => {
                self.is_drained = true;
                self.hand_over_if_drained();
                Ok(())
            }
        }
    }

    /// A node that is drained leads only where no other can.
    fn hand_over_if_drained(&mut self) {
        if self.is_drained
            && self.member.status().role == Role::Leader
            && let Some(to) = self.successor()
        {
            // Refused while one is under way already.
            let _ = self.member.step(cluster::Input::Transfer(to));
        }
    }

    /// The voter that would lead best after this one: the highest of those that are up to date.
    fn successor(&self) -> Option<NodeId> {
        let status = self.member.status();
        let voters = self.membership().with_seat(Seat::Voter).filter(|id| *id != self.config.id);
        voters.max_by_key(|id| (status.progress.get(id).map(|known| known.synced), *id))
    }

    /// Requests end when what they wanted is so, by what is committed; or after a while, when nobody knows.
    fn look_at_requests(&mut self, out: &mut Out<T>) {
        let status = self.member.status();
        let mut still = Vec::new();
        for mut wanted in std::mem::take(&mut self.wanted) {
            let members = self.member.core().membership();
            let is_known = |id: &u64| members.get(NodeId(*id)).is_some();
            let is_done = match &wanted.request {
                ClusterRequest::Promote(id) => {
                    members.get(NodeId(*id)).is_some_and(|info| info.seat == Seat::Voter)
                }
                ClusterRequest::Remove(id) => !is_known(id),
                ClusterRequest::Transfer(id) => status.leader == Some(NodeId(*id)),
                ClusterRequest::Drain(id) => {
                    wanted.is_sent && status.leader.is_some() && status.leader != Some(NodeId(*id))
                }
            };
            let is_unknown = match &wanted.request {
                // One that has left already is as wanted.
                ClusterRequest::Remove(_) => false,
                ClusterRequest::Promote(id) | ClusterRequest::Transfer(id) | ClusterRequest::Drain(id) => {
                    !is_known(id)
                }
            };
            let answer = if is_unknown {
                let (ClusterRequest::Promote(id)
                | ClusterRequest::Transfer(id)
                | ClusterRequest::Drain(id)
                | ClusterRequest::Remove(id)) = wanted.request;
                Some(Answer::NotChanged(ClusterError::UnknownNode(id)))
            } else if is_done {
                Some(Answer::Changed)
            } else if self.now >= wanted.since + CHANGE_MILLIS {
                Some(Answer::NotChanged(match wanted.is_sent {
                    true => ClusterError::NotKnownYet,
                    false => ClusterError::NoLeader,
                }))
            } else {
                self.forward_request(&mut wanted, &status, out)
            };
            match answer {
                Some(answer) => out.effects.answers.push((wanted.ticket, answer)),
                None => still.push(wanted),
            }
        }
        self.wanted.append(&mut still);
        self.look_at_joins(out);
    }

    fn forward_request(
        &mut self,
        wanted: &mut Wanted<T>,
        status: &Status,
        out: &mut Out<T>,
    ) -> Option<Answer> {
        // To be drained is a node's own matter, everything else the leader's.
        let asked = match wanted.request {
            ClusterRequest::Drain(id) => NodeId(id),
            _ => status.leader?,
        };
        let is_removal = matches!(wanted.request, ClusterRequest::Remove(_));
        if asked == self.config.id {
            // Removals may need a new leader first, so they are asked for until they are done.
            if !wanted.is_sent || is_removal {
                match self.change(&wanted.request) {
                    Ok(()) => wanted.is_sent = true,
                    Err(Refused::NotReady | Refused::ChangePending | Refused::Behind(_)) => {}
                    Err(refused) => {
                        return Some(Answer::NotChanged(ClusterError::Refused(refused.to_string())));
                    }
                }
            }
        } else if !wanted.is_sent || (is_removal && self.now.is_multiple_of(4)) {
            wanted.is_sent = true;
            let (number, request) = (wanted.number, wanted.request.clone());
            letter(out, asked, Lane::Change, write_json(&ChangeLetter { number, request }));
        }
        None
    }

    /// A blank node gets a place under a new number. Whoever had its address before has lost its disk, and is taken out.
    fn look_at_joins(&mut self, out: &mut Out<T>) {
        if self.joining.is_empty() {
            return;
        }
        let status = self.member.status();
        let is_ready = self.is_ready();
        let mut still = Vec::new();
        for mut joining in std::mem::take(&mut self.joining) {
            let members = self.member.core().membership();
            let of_address: Vec<NodeId> = members
                .members()
                .filter(|(_, info)| info.address == joining.info.address)
                .map(|(id, _)| id)
                .collect();
            let newest = of_address.last().copied();
            let is_in = joining.is_proposed && newest.is_some_and(|id| Some(id) >= joining.admitted);
            if let (true, Some(id)) = (is_in, newest) {
                out.effects.answers.push((joining.ticket, Answer::Joined(id)));
                continue;
            }
            if !is_ready {
                let error = match status.leader {
                    Some(leader) => ClusterError::Refused(format!("node {leader} leads")),
                    None => ClusterError::NoLeader,
                };
                out.effects.answers.push((joining.ticket, Answer::NotChanged(error)));
                continue;
            }
            if self.now >= joining.since + CHANGE_MILLIS {
                out.effects.answers.push((joining.ticket, Answer::NotChanged(ClusterError::NotKnownYet)));
                continue;
            }
            // Whoever is there now has not lost its disk: two machines were given one address.
            let heard = newest.and_then(|id| status.progress.get(&id)?.heard_ticks_ago);
            if let (false, Some(old), true) =
                (joining.is_proposed, newest, heard.is_some_and(|ago| ago < SILENT_TICKS))
            {
                out.effects
                    .answers
                    .push((joining.ticket, Answer::NotChanged(ClusterError::AddressTaken(old.0))));
                continue;
            }
            if !joining.is_proposed {
                let refused = match newest {
                    Some(old) => self.change(&ClusterRequest::Remove(old.0)),
                    None => {
                        let next = members.next();
                        let epoch = self.core.state().ledger.as_ref().map_or(1, |facts| facts.epoch);
                        let (change, stamp) = (Change::Add(joining.info.clone()), self.core.hlc().0);
                        let added = self.member.step(cluster::Input::Change { change, epoch, stamp });
                        if added.is_ok() {
                            (joining.is_proposed, joining.admitted) = (true, Some(next));
                        }
                        added
                    }
                };
                if let Err(Refused::Membership(error)) = refused {
                    let error = ClusterError::Refused(error.to_string());
                    out.effects.answers.push((joining.ticket, Answer::NotChanged(error)));
                    continue;
                }
            }
            still.push(joining);
        }
        self.joining = still;
    }

    /// To be called when nothing waits: marks what is synced and known to be committed, and takes a snapshot when one is
    /// due.
    pub fn idle(&mut self) -> Result<(), NodeError> {
        match self.member.idle() {
            Ok(()) | Err(LedgerError::Full { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        self.caches.catch_up();
        if self.ballots_since_snapshot >= self.config.snapshot_every_ballots
            && let Err(error) = self.snapshot()
        {
            // Only a cache: a disk without room for it is no reason to stop.
            tracing::warn!(error = &error as &dyn std::error::Error, "no snapshot was taken");
            self.ballots_since_snapshot = 0;
        }
        Ok(())
    }

    /// Takes a snapshot now. Cost: linear in voters; the writer waits.
    pub fn snapshot(&mut self) -> Result<(), NodeError> {
        let state = self.core.state();
        if state.ledger.is_none() {
            return Ok(());
        }
        let mut scan = self.member.reader().scan(self.applied);
        let Some(entry) = scan.next()? else { return Ok(()) };
        let point = entry.point();
        let tree = |election: &election::Election| {
            let tree = self.core.tree(election.index);
            SnapshotTree {
                edge: tree.edge.clone(),
                acts: tree.acts.to_vec(),
                closing_root: tree.closing_root,
            }
        };
        let trees = state.elections().iter().map(tree).collect();
        let snapshot = Snapshot { point, hlc: self.core.hlc().0, trees, state: state.clone() };
        self.caches.snapshot(&snapshot)?;
        self.ballots_since_snapshot = 0;
        Ok(())
    }

    /// Tells those who still wait that it is not known what becomes of their requests.
    pub fn give_up(&mut self, effects: &mut Effects<T>) {
        self.desk.give_up(&mut self.core, effects);
        for wanted in std::mem::take(&mut self.wanted) {
            effects.answers.push((wanted.ticket, Answer::NotChanged(ClusterError::NotKnownYet)));
        }
        for joining in std::mem::take(&mut self.joining) {
            effects.answers.push((joining.ticket, Answer::NotChanged(ClusterError::NotKnownYet)));
        }
    }

    /// Marks, takes a snapshot and lets go of the folder. A cache that cannot be written does not matter.
    pub fn close(mut self) -> Result<(), NodeError> {
        match self.member.idle() {
            // Only the last mark found no room: everything is synced.
            Ok(()) | Err(LedgerError::Full { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if self.ballots_since_snapshot > 0 {
            let _ = self.snapshot();
        }
        Ok(())
    }
}

fn letter<T>(out: &mut Out<T>, to: NodeId, lane: Lane, bytes: Bytes) {
    out.letters.push(Letter { to, lane, bytes });
}

type Replayed<S, T> = (Member<S>, Core<T>, Caches<S>, u64);

/// Opens the member, and folds what it knows to be committed, from the beginning or from a snapshot on.
fn replay<S: Storage, T>(
    disks: &Disks<S>,
    config: &EngineConfig,
    member: MemberConfig,
    snapshot: Option<Snapshot>,
) -> Result<Replayed<S, T>, Replay> {
    let log = ReplicatedLedger::kept_in(&disks.ledger)?.map(|kept| kept.ledger);
    let (mut replayer, start) = Replayer::begin(disks, config, snapshot, log)?;
    let mut has_seen_start = start == LogPoint::START;
    let mut applied_term = 0;
    let member = Member::open(disks.ledger.clone(), member, |entry: Entry<'_>| -> Result<(), Replay> {
        let position = entry.header.position;
        if entry.header.kind == KIND_TERM {
            applied_term = entry.header.term;
        }
        if position <= start.position {
            has_seen_start |= position == start.position;
            let is_other = position == start.position && entry.hash != start.hash;
            return if is_other { Err(Replay::StaleCache) } else { Ok(()) };
        }
        if entry.header.kind == KIND_COMMANDS {
            replayer.take(entry.point(), entry.payload, &leaf_hashes(entry.payload))?;
        }
        Ok(())
    })?;
    if !has_seen_start {
        // The snapshot was taken of entries that were on disk as committed: this is a loss.
        return Err(Replay::Failed(NodeError::EntriesMissing));
    }
    let (core, caches) = replayer.end(member.log().id())?;
    Ok((member, core, caches, applied_term))
}
