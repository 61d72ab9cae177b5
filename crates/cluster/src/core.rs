//! One node's part in keeping the log: what happened goes in, what is to be done comes out.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use ledger::{ENTRY_BYTES_MAX, EntryKind, HardState, LedgerError, Position};
use raft::eraftpb::{ConfChangeV2, Entry, EntryType, Message as Raw, MessageType};
use raft::{Config, RawNode, StateRole};

use crate::engine::{self, Store};
use crate::membership::{Change, Membership, MembershipError, NodeId, Seat};
use crate::mutation::{Mutation, is_off};
use crate::random::Random;
use crate::wire::{Kind, Message};
use crate::{KIND_MEMBERSHIP, KIND_TERM};

/// Most bytes of entries in one message, unless a single entry is longer.
const APPEND_BYTES_MAX: u64 = 1 << 20;
/// Most appends on their way to one node.
const APPENDS_IN_FLIGHT_MAX: usize = 64;
/// Most bytes proposed and not yet committed.
const UNCOMMITTED_BYTES_MAX: u64 = 64 << 20;
/// Most reads that wait for a majority.
const READS_MAX: usize = 1024;
/// A draw of the election timeout is at most this many times the shortest one.
const TIMEOUT_FACTOR_MAX: usize = 100;

/// An entry of the log with all it carries.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogEntry {
    pub position: Position,
    pub term: u64,
    pub kind: EntryKind,
    pub epoch: u32,
    pub stamp: u64,
    pub payload: Bytes,
}

/// An entry that a majority has, and that is never replaced.
pub type Committed = LogEntry;

/// Entries that were synced before and that the core has let go of.
pub trait Past {
    fn read(&self, position: Position) -> Result<LogEntry, LedgerError>;
}

/// What does not change while a node runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CoreConfig {
    pub id: NodeId,
    /// Ticks without a word of the leader after which the highest voter stands for election, at the earliest: more than
    /// twice `heartbeat_ticks`.
    pub election_ticks: usize,
    /// Ticks between two words of a leader.
    pub heartbeat_ticks: usize,
    /// From the system's generator, another one at each start: election timeouts and the names of reads come from it.
    pub seed: u64,
    /// Every kind of entry that the caller proposes and applies, with the version of the program that brought it. A kind
    /// is proposed once all members run at least that version, and an entry of another kind ends the node
    /// ([`LedgerError::NewerEntry`]): it is never skipped.
    pub kinds: &'static [(EntryKind, u32)],
}

/// What a node knows when it starts.
#[derive(Clone, Debug)]
pub struct Start {
    pub hard_state: HardState,
    /// As of the last committed entry.
    pub membership: Membership,
    /// Everything up to here has been handed out already; at most `hard_state.committed`.
    pub applied: Position,
    pub last: Position,
    /// Where each term begins in the log, in order.
    pub terms: Vec<(Position, u64)>,
}

/// What may happen to a node.
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed.
    Tick,
    Message(Message),
    /// For the leader: make this an entry. It counts once it comes out as [`Work::committed`]; it may also never do.
    Propose {
        kind: EntryKind,
        epoch: u32,
        stamp: u64,
        payload: Bytes,
        /// Is taken where the disks are nearly full, too, and worth the reserve of room: what ends a vote is.
        urgent: bool,
    },
    /// For the leader: change who belongs to the cluster.
    Change {
        change: Change,
        epoch: u32,
        stamp: u64,
    },
    /// For the leader: let that voter lead.
    Transfer(NodeId),
    /// A position from which a read sees everything that was acknowledged before. Comes out as [`Work::reads`], or,
    /// where a leader is lost meanwhile, never.
    Read(u64),
}

/// What is to be done, in the order of its fields.
#[derive(Debug, Default)]
pub struct Work {
    /// To be sent at once.
    pub messages: Vec<Message>,
    /// Term and vote, to be on disk before the entries are written.
    pub hard_state: Option<HardState>,
    /// To be appended and synced; the first one may replace others from its position on.
    pub entries: Vec<LogEntry>,
    /// They are worth the reserve of room.
    pub urgent: bool,
    /// Known to be committed, as far as it is in the log. Has to be on disk before an entry that changes the membership
    /// is: see [`Member::turn`](crate::Member::turn).
    pub known_committed: Position,
    /// For [`Core::synced`], when both are on disk.
    pub number: u64,
    /// To be sent after that.
    pub after_sync: Vec<Message>,
    /// To be applied, in this order.
    pub committed: Vec<Committed>,
    pub reads: Vec<ReadAnswer>,
}

/// The read `id` sees everything when it looks at `position` or later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadAnswer {
    pub id: u64,
    pub position: Position,
}

/// Why nothing was done. Always before anything was: the same may be asked again, elsewhere or later.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refused {
    #[error("no node leads at present")]
    NoLeader,
    #[error("node {0} leads")]
    NotLeader(NodeId),
    #[error("the leader has only just been elected, or is handing over")]
    NotReady,
    #[error("a change of the cluster's members is not finished yet")]
    ChangePending,
    #[error("node {0} is not up to date yet")]
    Behind(NodeId),
    #[error("node {0} leads; let another one lead first")]
    Leads(NodeId),
    #[error("too much is waiting for a majority")]
    Overloaded,
    #[error("an entry of {bytes} bytes is over the limit of {max}")]
    TooLarge { bytes: usize, max: usize },
    #[error("the disks of a majority, or the leader's own, are nearly full")]
    DiskFull,
    #[error("node {node} runs version {has}, and does not know yet what came with version {needed}")]
    NotAllKnow { node: NodeId, has: u32, needed: u32 },
    #[error(transparent)]
    Membership(#[from] MembershipError),
}

/// What a node is at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    Follower,
    Candidate,
    Leader,
}

/// What a node shows of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Status {
    pub id: NodeId,
    pub role: Role,
    pub term: u64,
    pub leader: Option<NodeId>,
    pub committed: Position,
    pub last: Position,
    /// Its disk is nearly full, or full: it leads only where no other can, and as a leader takes nothing but what is
    /// urgent.
    pub short_of_room: bool,
    /// To whom this leader is handing over.
    pub handing_over_to: Option<NodeId>,
    /// On the leader: how many more voters may fail before nothing is committed any more, counting those as failed that
    /// have not been heard of for an election timeout; `None` elsewhere, and where a majority has failed.
    pub can_lose: Option<usize>,
    /// On the leader: every member, as far as is known.
    pub progress: BTreeMap<NodeId, Progress>,
}

/// What a leader knows of a member.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// The last position on its disk.
    pub synced: Position,
    /// Ticks since its last message; 0 for the leader itself, `None` for never.
    pub heard_ticks_ago: Option<u64>,
    pub short_of_room: bool,
}

/// One node's part; see the crate's documentation.
pub struct Core<P: Past> {
    id: NodeId,
    kinds: &'static [(EntryKind, u32)],
    engine: RawNode<Store<P>>,
    membership: Membership,
    random: Random,
    election_ticks: usize,
    /// The election timeout in force, and what it was drawn for.
    timeout: usize,
    drawn_for: (u64, StateRole),
    /// Reads under way on this leader, by the context that is theirs alone.
    reads: BTreeMap<u64, (NodeId, u64)>,
    /// Term and vote as last handed out to be kept.
    told_vote: (u64, u64),
    /// First half of every context of this start.
    read_nonce: u64,
    reads_begun: u64,
    ticks: u64,
    /// When each member was last heard.
    heard: BTreeMap<NodeId, u64>,
    short_of_room: bool,
    /// Who said the same of itself.
    others_short: BTreeSet<NodeId>,
    /// Entries up to here are worth the reserve of room, those that are committed aside.
    urgent_until: u64,
    /// The tick of the last hand-over for want of room.
    handed_over_at: u64,
    /// What did not come from the library.
    messages: Vec<Message>,
    answers: Vec<ReadAnswer>,
}

impl<P: Past> Core<P> {
    /// # Panics
    /// If `start` contradicts itself.
    pub fn new(config: CoreConfig, start: Start, past: P) -> Self {
        let engine_config = Config {
            id: config.id.0,
            election_tick: config.election_ticks,
            heartbeat_tick: config.heartbeat_ticks,
            min_election_tick: config.election_ticks,
            max_election_tick: config.election_ticks * TIMEOUT_FACTOR_MAX,
            applied: start.applied.0,
            max_size_per_msg: APPEND_BYTES_MAX,
            max_inflight_msgs: APPENDS_IN_FLIGHT_MAX,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            check_quorum: true,
            pre_vote: !is_off(Mutation::PreVote),
            ..Config::default()
        };
        let told_vote = (start.hard_state.term, start.hard_state.vote);
        let store = Store::new(past, start.hard_state, &start.membership, start.last, start.terms);
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let engine =
            RawNode::new(&engine_config, store, &logger).expect("a start that does not contradict itself");
        let own = [KIND_MEMBERSHIP, KIND_TERM, EntryKind::MARK, EntryKind(0)];
        assert!(config.kinds.iter().all(|(kind, _)| !own.contains(kind)), "some kinds are not the caller's");
        let mut random = Random::new(config.seed);
        let read_nonce = random.next();
        let drawn_for = (engine.raft.term, engine.raft.state);
        let mut core = Self {
            id: config.id,
            kinds: config.kinds,
            engine,
            membership: start.membership,
            random,
            election_ticks: config.election_ticks,
            timeout: 0,
            drawn_for,
            reads: BTreeMap::new(),
            told_vote,
            read_nonce,
            reads_begun: 0,
            ticks: 0,
            heard: BTreeMap::new(),
            short_of_room: false,
            others_short: BTreeSet::new(),
            urgent_until: 0,
            handed_over_at: 0,
            messages: Vec::new(),
            answers: Vec::new(),
        };
        core.draw_timeout();
        core
    }

    /// Who belongs to the cluster, as of what has been handed out.
    pub fn membership(&self) -> &Membership {
        &self.membership
    }

    pub fn status(&self) -> Status {
        let raft = &self.engine.raft;
        let role = match raft.state {
            StateRole::Leader => Role::Leader,
            StateRole::Follower => Role::Follower,
            StateRole::Candidate | StateRole::PreCandidate => Role::Candidate,
        };
        let leads = role == Role::Leader;
        let of_members = raft.prs().iter().map(|(id, progress)| {
            let id = NodeId(*id);
            (
                id,
                Progress {
                    synced: Position(progress.matched),
                    heard_ticks_ago: self.heard_ticks_ago(id),
                    short_of_room: self.is_short_of_room(id),
                },
            )
        });
        Status {
            id: self.id,
            role,
            term: raft.term,
            leader: self.leader(),
            committed: Position(raft.raft_log.committed),
            last: Position(raft.raft_log.last_index()),
            short_of_room: self.short_of_room,
            handing_over_to: raft.lead_transferee.map(NodeId),
            can_lose: if leads { self.can_lose() } else { None },
            progress: if leads { of_members.collect() } else { BTreeMap::new() },
        }
    }

    fn heard_ticks_ago(&self, id: NodeId) -> Option<u64> {
        if id == self.id {
            return Some(0);
        }
        self.heard.get(&id).map(|heard| self.ticks - heard)
    }

    fn is_short_of_room(&self, id: NodeId) -> bool {
        if id == self.id { self.short_of_room } else { self.others_short.contains(&id) }
    }

    fn is_heard(&self, id: NodeId) -> bool {
        self.heard_ticks_ago(id).is_some_and(|ago| ago < self.election_ticks as u64)
    }

    /// How many voters over a majority fulfil `what`.
    fn voters_to_spare(&self, what: impl Fn(NodeId) -> bool) -> Option<usize> {
        let voters = self.membership.with_seat(Seat::Voter).count();
        let fit = self.membership.with_seat(Seat::Voter).filter(|id| what(*id)).count();
        fit.checked_sub(voters / 2 + 1)
    }

    /// Of the voters that are there, a majority has room, this node among them.
    fn has_room(&self) -> bool {
        let is_short = |id| self.is_heard(id) && self.is_short_of_room(id);
        let some_short = self.membership.with_seat(Seat::Voter).any(is_short);
        let enough = self.voters_to_spare(|id| self.is_heard(id) && !self.is_short_of_room(id));
        !self.short_of_room && (!some_short || enough.is_some())
    }

    fn can_lose(&self) -> Option<usize> {
        self.voters_to_spare(|id| self.is_heard(id))
    }

    /// Says whether this node's disk has room; what follows from it begins with the next tick.
    pub fn set_short_of_room(&mut self, short: bool) {
        if self.short_of_room != short {
            self.short_of_room = short;
            self.draw_timeout();
        }
    }

    /// A leader without room lets the highest voter lead that has room and all that is committed.
    fn hand_over_for_room(&mut self) {
        let due = self.short_of_room && self.ticks - self.handed_over_at > self.election_ticks as u64;
        if !due || !self.leads() || self.engine.raft.lead_transferee.is_some() {
            return;
        }
        let fit = |id: &NodeId| !self.is_short_of_room(*id) && self.is_heard(*id) && self.is_up_to_date(*id);
        if let Some(to) = self.membership.with_seat(Seat::Voter).filter(fit).last() {
            self.handed_over_at = self.ticks;
            self.engine.transfer_leader(to.0);
        }
    }

    fn leader(&self) -> Option<NodeId> {
        Some(NodeId(self.engine.raft.leader_id)).filter(|id| id.0 != 0)
    }

    fn leads(&self) -> bool {
        self.engine.raft.state == StateRole::Leader
    }

    fn check_leads(&self) -> Result<(), Refused> {
        match self.leader() {
            _ if self.leads() => Ok(()),
            Some(leader) if leader != self.id => Err(Refused::NotLeader(leader)),
            _ => Err(Refused::NoLeader),
        }
    }

    /// Takes what happened. Messages are never refused; those that make no sense here any more change nothing.
    pub fn step(&mut self, input: Input) -> Result<(), Refused> {
        let result = match input {
            Input::Tick => {
                self.tick();
                Ok(())
            }
            Input::Message(message) => {
                self.hear(message);
                Ok(())
            }
            Input::Propose { kind, epoch, stamp, payload, urgent } => {
                self.propose(kind, epoch, stamp, payload, urgent)
            }
            Input::Change { change, epoch, stamp } => self.change(&change, epoch, stamp),
            Input::Transfer(to) => self.transfer(to),
            Input::Read(id) => self.read(self.id, id),
        };
        self.settle();
        result
    }

    fn tick(&mut self) {
        self.ticks += 1;
        self.hand_over_for_room();
        let before = self.engine.raft.election_elapsed;
        self.engine.tick();
        let stood = !self.leads() && self.engine.raft.election_elapsed <= before;
        if stood {
            self.draw_timeout();
        }
    }

    fn hear(&mut self, message: Message) {
        if message.to != self.id {
            return;
        }
        self.heard.insert(message.from, self.ticks);
        match message.short_of_room {
            true => self.others_short.insert(message.from),
            false => self.others_short.remove(&message.from),
        };
        if message.urgent {
            let last = message.index.saturating_add(message.entries.len() as u64);
            self.urgent_until = self.urgent_until.max(last);
        }
        match message.kind {
            Kind::Read => {
                // Refused, it is asked again by whoever waits for it.
                let _ = self.check_leads().and_then(|()| self.read(message.from, message.index));
            }
            Kind::ReadAnswer => {
                self.answers.push(ReadAnswer { id: message.index, position: Position(message.committed) });
            }
            _ => {
                let mut raw = engine::message_to_engine(message).expect("reads were taken out above");
                if is_off(Mutation::TermCheck) && raw.term > 0 {
                    raw.term = self.engine.raft.term;
                }
                // An error says that the sender does not belong to the cluster any more.
                let _ = self.engine.step(raw);
            }
        }
    }

    fn propose(
        &mut self,
        kind: EntryKind,
        epoch: u32,
        stamp: u64,
        payload: Bytes,
        urgent: bool,
    ) -> Result<(), Refused> {
        let known = self.kinds.iter().find(|(known, _)| *known == kind);
        let (_, needed) = *known.expect("the kind of a proposal is one of the caller's own");
        self.check_leads()?;
        let older = self.membership.members().find(|(_, info)| info.version < needed);
        if let Some((node, info)) = older {
            return Err(Refused::NotAllKnow { node, has: info.version, needed });
        }
        if payload.len() > ENTRY_BYTES_MAX {
            return Err(Refused::TooLarge { bytes: payload.len(), max: ENTRY_BYTES_MAX });
        }
        if !urgent && !self.has_room() {
            return Err(Refused::DiskFull);
        }
        let (context, data) = engine::proposal(kind, epoch, stamp, payload);
        self.append(Entry { context: context.into(), data, ..Entry::default() })?;
        if urgent {
            self.urgent_until = self.engine.raft.raft_log.last_index();
        }
        Ok(())
    }

    fn append(&mut self, entry: Entry) -> Result<(), Refused> {
        if self.engine.raft.lead_transferee.is_some() {
            return Err(Refused::NotReady);
        }
        let mut raw = Raw { from: self.id.0, ..Raw::default() };
        raw.set_msg_type(MessageType::MsgPropose);
        raw.set_entries(vec![entry].into());
        self.engine.raft.step(raw).map_err(|_| Refused::Overloaded)
    }

    fn change(&mut self, change: &Change, epoch: u32, stamp: u64) -> Result<(), Refused> {
        self.check_leads()?;
        if !self.engine.raft.commit_to_current_term() {
            return Err(Refused::NotReady);
        }
        if self.engine.raft.has_pending_conf() {
            return Err(Refused::ChangePending);
        }
        match change {
            Change::Remove(id) if *id == self.id => return Err(Refused::Leads(*id)),
            Change::Promote(id) if self.membership.get(*id).is_some() && !self.is_up_to_date(*id) => {
                return Err(Refused::Behind(*id));
            }
            _ => {}
        }
        let changed = self.membership.changed(change)?;
        let step = engine::steps(&self.membership, &changed);
        let [step] = step.as_slice() else { panic!("a change is one step") };
        let (mut context, _) = engine::proposal(KIND_MEMBERSHIP, epoch, stamp, Bytes::new());
        context.extend_from_slice(&changed.encode());
        let mut entry = Entry { context: context.into(), data: encode_step(step), ..Entry::default() };
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        self.append(entry)
    }

    /// Has synced everything that is committed.
    fn is_up_to_date(&self, id: NodeId) -> bool {
        let raft = &self.engine.raft;
        raft.prs().get(id.0).is_some_and(|progress| progress.matched >= raft.raft_log.committed)
    }

    fn transfer(&mut self, to: NodeId) -> Result<(), Refused> {
        self.check_leads()?;
        match self.membership.get(to) {
            Some(info) if info.seat == Seat::Voter => {}
            Some(_) => return Err(Refused::Behind(to)),
            None => return Err(MembershipError::Unknown(to).into()),
        }
        self.engine.transfer_leader(to.0);
        Ok(())
    }

    /// A read for `asker`. The library's own way from follower to leader is not used: it names a read by what the asker
    /// says, and a message that comes twice then confirms what it should not.
    fn read(&mut self, asker: NodeId, id: u64) -> Result<(), Refused> {
        if is_off(Mutation::ReadQuorum) && asker == self.id {
            let position = Position(self.engine.raft.raft_log.committed);
            self.answers.push(ReadAnswer { id, position });
            return Ok(());
        }
        if !self.leads() {
            let leader = self.leader().ok_or(Refused::NoLeader)?;
            self.messages.push(self.read_message(Kind::Read, leader, id, Position::NONE));
            return Ok(());
        }
        if !self.engine.raft.commit_to_current_term() {
            return Err(Refused::NotReady);
        }
        if self.reads.len() >= READS_MAX {
            return Err(Refused::Overloaded);
        }
        self.reads_begun += 1;
        self.reads.insert(self.reads_begun, (asker, id));
        let mut context = self.read_nonce.to_be_bytes().to_vec();
        context.extend_from_slice(&self.reads_begun.to_be_bytes());
        self.engine.read_index(context);
        Ok(())
    }

    fn read_message(&self, kind: Kind, to: NodeId, id: u64, position: Position) -> Message {
        Message {
            kind,
            from: self.id,
            to,
            term: self.engine.raft.term,
            log_term: 0,
            index: id,
            committed: position.0,
            committed_term: 0,
            reject: false,
            short_of_room: self.short_of_room,
            urgent: false,
            reject_hint: 0,
            context: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// After each call of the library: the timeout is ours, and reads end with the leadership.
    fn settle(&mut self) {
        let now = (self.engine.raft.term, self.engine.raft.state);
        if now != self.drawn_for {
            self.drawn_for = now;
            self.draw_timeout();
        }
        self.engine.raft.set_randomized_election_timeout(self.timeout);
        if !self.leads() {
            self.reads.clear();
        }
    }

    /// The highest voter stands first, the next ones later, each at another moment every time. Only a preference: if the
    /// higher ones are gone, or behind, a lower one is elected.
    fn draw_timeout(&mut self) {
        let shortest = self.election_ticks;
        // Without room it stands after all others.
        let behind = if self.short_of_room { self.membership.with_seat(Seat::Voter).count() } else { 0 };
        let rank = self.membership.rank(self.id) + behind;
        let spread = (shortest * 3 / 10).max(1);
        let drawn = shortest + shortest * 4 / 10 * rank + self.random.below(spread);
        self.timeout = drawn.min(shortest * TIMEOUT_FACTOR_MAX - 1);
        self.engine.raft.set_randomized_election_timeout(self.timeout);
    }

    /// What is to be done now; `None` when nothing is. To be done before the next call, but for what
    /// [`Work::number`] names, of which several may be under way, in order.
    ///
    /// An error says that the log could not be read; the node has to end.
    pub fn work(&mut self) -> Result<Option<Work>, LedgerError> {
        if let Some(error) = self.engine.store().take_failure() {
            return Err(error);
        }
        let is_idle = !self.engine.has_ready() && self.messages.is_empty() && self.answers.is_empty();
        if is_idle {
            return Ok(None);
        }
        let before = (self.engine.raft.term, self.engine.raft.vote);
        let mut ready = self.engine.ready();
        if let Some(error) = self.engine.store().take_failure() {
            return Err(error);
        }
        let mut work = Work {
            messages: ready.take_messages().iter().map(|raw| self.outgoing(raw)).collect(),
            number: ready.number(),
            after_sync: ready.take_persisted_messages().iter().map(|raw| self.outgoing(raw)).collect(),
            ..Work::default()
        };
        // The library names its hard state whenever more is committed, too; that alone is not worth a sync.
        if before != self.told_vote {
            self.told_vote = before;
            let (term, vote) = before;
            work.hard_state = Some(HardState { term, vote, committed: Position::NONE });
        }
        let raw = ready.take_entries();
        work.known_committed = Position(self.engine.raft.raft_log.committed);
        work.entries = self.engine.mut_store().append(&raw)?;
        let is_own = |entry: &LogEntry| entry.kind == KIND_MEMBERSHIP || entry.kind == KIND_TERM;
        let first = work.entries.first().map_or(u64::MAX, |entry| entry.position.0);
        work.urgent = first <= self.urgent_until || work.entries.iter().any(is_own);
        let committed = ready.take_committed_entries();
        for state in ready.take_read_states() {
            self.answer_read(&state.request_ctx, Position(state.index));
        }
        self.engine.advance_append_async(ready);
        for raw in &committed {
            work.committed.push(self.commit(raw)?);
        }
        if is_off(Mutation::OnlyCommitted) {
            work.committed = work.entries.clone();
        }
        assert_eq!((self.engine.raft.term, self.engine.raft.vote), before, "handing out changes no vote");
        work.messages.append(&mut self.messages);
        work.reads.append(&mut self.answers);
        self.settle();
        Ok(Some(work))
    }

    fn outgoing(&self, raw: &Raw) -> Message {
        let mut message = engine::message_from_engine(raw);
        message.short_of_room = self.short_of_room;
        let is_own = |entry: &LogEntry| entry.kind == KIND_MEMBERSHIP || entry.kind == KIND_TERM;
        message.urgent = !message.entries.is_empty() && message.index < self.urgent_until
            || message.entries.iter().any(is_own);
        message
    }

    /// Takes an entry that is committed: a membership is in force from here on.
    fn commit(&mut self, raw: &Entry) -> Result<Committed, LedgerError> {
        let entry = self.engine.store().stored(raw.index)?;
        check_known(self.kinds, entry.kind, entry.position)?;
        if entry.kind == KIND_MEMBERSHIP {
            let membership = Membership::decode(&entry.payload).expect("checked before it was appended");
            for step in engine::steps(&self.membership, &membership) {
                self.engine.apply_conf_change(&step).expect("one step at a time fits what was before");
            }
            self.membership = membership;
            let votes = self.membership.get(self.id).is_some_and(|info| info.seat == Seat::Voter);
            if self.leads() && !votes {
                // Its removal was proposed by the leader before it. The library would go on leading, and panic.
                let term = self.engine.raft.term;
                self.engine.raft.become_follower(term, raft::INVALID_ID);
            }
            self.draw_timeout();
        }
        self.engine.advance_apply_to(raw.index);
        self.engine.mut_store().forget(raw.index);
        Ok(entry)
    }

    fn answer_read(&mut self, context: &[u8], position: Position) {
        let Some((nonce, number)) = context.split_first_chunk::<8>() else { return };
        let Ok(number) = number.try_into().map(u64::from_be_bytes) else { return };
        if u64::from_be_bytes(*nonce) != self.read_nonce {
            return;
        }
        let Some((asker, id)) = self.reads.remove(&number) else { return };
        if asker == self.id {
            self.answers.push(ReadAnswer { id, position });
        } else {
            self.messages.push(self.read_message(Kind::ReadAnswer, asker, id, position));
        }
    }

    /// The hard state and the entries of all work up to `number` are on disk.
    pub fn synced(&mut self, number: u64) {
        self.engine.on_persist_ready(number);
        if is_off(Mutation::Quorum) && self.leads() {
            self.pretend_a_majority();
        }
        self.settle();
    }
}

impl<P: Past> Core<P> {
    /// For a mutation: as if as many others had answered as it takes.
    fn pretend_a_majority(&mut self) {
        let voters: Vec<NodeId> = self.membership.with_seat(Seat::Voter).collect();
        let others = voters.iter().filter(|id| **id != self.id).take(voters.len() / 2);
        for from in others {
            let index = self.engine.raft.raft_log.last_index();
            let mut raw =
                Raw { from: from.0, to: self.id.0, term: self.engine.raft.term, index, ..Raw::default() };
            raw.set_msg_type(MessageType::MsgAppendResponse);
            let _ = self.engine.step(raw);
        }
    }
}

/// A kind that came with a later version says something that this one would leave out.
pub(crate) fn check_known(
    kinds: &[(EntryKind, u32)],
    kind: EntryKind,
    position: Position,
) -> Result<(), LedgerError> {
    let known = kind == KIND_MEMBERSHIP || kind == KIND_TERM || kinds.iter().any(|(known, _)| *known == kind);
    if known { Ok(()) } else { Err(LedgerError::NewerEntry { position, kind }) }
}

/// The library reads this again at once, and nobody after that.
fn encode_step(step: &ConfChangeV2) -> Bytes {
    use protobuf::Message as _;
    step.write_to_bytes().expect("a message in memory can be written").into()
}

impl<P: Past> fmt::Debug for Core<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("status", &self.status()).finish_non_exhaustive()
    }
}
