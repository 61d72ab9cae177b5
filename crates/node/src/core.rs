//! The core: queue, order, pre-check, batch, apply, receipts. No tasks, channels, timers, clock or disk.
//!
//! Ballots wait in arrival order. A window of at most `max_concurrent` of them is taken, ordered by hybrid time
//! (ties by voter tag, then key), filtered against the committed state, and proposed as one batch. When the batch
//! is committed its commands are applied, put into trees and answered; nothing before.

use crate::caches::SnapshotTree;
use crate::clock::ClockReading;
use crate::identity::Keys;
use crate::receipt::{CastReceipt, ReceiptContext};
use election::ballot::Opening;
use election::command::{Batch, BatchError, DrawSource, visit_casts, write_cast, write_officer};
use election::definition::Draw;
use election::{
    Cast, Command, ElectionIndex, ElectionState, Event as Outcome, EventKind, Hlc, IdempotencyKey, LeafIndex,
    OfficerCommand, Rejection, Results, Slug, State, UnixMillis, Voter, VoterTag,
};
use ledger::Position;
use ledger::columns::Place;
use proof::checkpoint::{Checkpoint, Origin};
use proof::receipt::{BatchSigner, Promise};
use proof::{Edge, Hash, LeafKind, leaf_hash};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Most ballots in one batch: a receipt's path has at most 12 hashes.
pub const BATCH_BALLOTS_MAX: usize = 4096;
/// Payload bytes after which no more is added to a batch.
const BATCH_BYTES_SOFT: usize = 2 << 20;
/// Ballots that arrived before a deadline may still be on their way from an edge for this long.
const DEADLINE_SETTLE_MILLIS: u64 = 50;
/// At most one checkpoint a second, besides those at each act.
const CHECKPOINT_MILLIS: u64 = 1_000;

/// A ballot made ready at the edge: parsed, its voter known, its nonce drawn, its leaf hashed.
#[derive(Clone, Debug)]
pub struct PreparedBallot {
    pub election: ElectionIndex,
    pub stamp: Hlc,
    pub number: Option<u64>,
    pub tag: VoterTag,
    pub key: IdempotencyKey,
    pub opening: Vec<u8>,
    pub leaf: Hash,
}

/// One ballot of a chunk, its opening in the chunk's bytes.
#[derive(Clone, Copy, Debug)]
pub struct ChunkBallot {
    pub stamp: Hlc,
    pub number: Option<u64>,
    pub tag: VoterTag,
    pub key: IdempotencyKey,
    pub leaf: Hash,
    pub start: u32,
    pub length: u32,
}

/// Ballots of one bulk request, at most [`BATCH_BALLOTS_MAX`].
#[derive(Clone, Debug)]
pub struct PreparedChunk {
    pub election: ElectionIndex,
    pub bytes: Vec<u8>,
    pub ballots: Vec<ChunkBallot>,
    /// Whether each ballot gets a signed receipt, not just its leaf index.
    pub with_receipts: bool,
}

impl PreparedChunk {
    pub fn opening(&self, line: usize) -> &[u8] {
        let ballot = &self.ballots[line];
        &self.bytes[ballot.start as usize..][..ballot.length as usize]
    }
}

/// What officers ask for, before it becomes a command.
#[derive(Clone, Debug)]
pub enum OfficerRequest {
    Create(Box<election::Definition>, Vec<crate::edge::ListedVoter>),
    Open(Slug),
    Pause(Slug),
    Close(Slug),
    Publish(Slug),
    Cancel(Slug, String),
    Extend(Slug, UnixMillis),
    Reveal(Slug),
    Hide(Slug),
    Draw(Slug, [u8; 32]),
    /// A list is needed again where there is one: ids are not kept.
    Rehearse(Slug, Vec<crate::edge::ListedVoter>),
    Repeat(Slug, Option<Slug>, Vec<crate::edge::ListedVoter>),
    RunOff(Slug, Option<Slug>, Vec<crate::edge::ListedVoter>),
    CreateRoom {
        title: String,
        pace: election::room::Pace,
        elections: Vec<Slug>,
    },
    AddToRoom {
        code: election::room::RoomCode,
        slug: Slug,
    },
    ShowScreen {
        code: election::room::RoomCode,
        screen: election::room::Screen,
    },
    LockRoom(election::room::RoomCode),
    UnlockRoom(election::room::RoomCode),
    RemoveFromRoom {
        code: election::room::RoomCode,
        slug: Slug,
    },
}

/// What an officer's act came to.
#[derive(Clone, Debug)]
pub struct Acted {
    pub position: Position,
    pub at: UnixMillis,
    /// The election acted on, or made.
    pub election: Option<ElectionIndex>,
    pub slug: Option<Slug>,
    pub state: Option<ElectionState>,
    /// Join code of the room acted on, or made.
    pub room: Option<election::room::RoomCode>,
    /// The count, once the election is closed.
    pub results: Option<Results>,
}

/// Why nothing was recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    #[error("{0}")]
    Rejected(Rejection),
    #[error(
        "this idempotency key was used for another ballot of this voter; send a new key for a new ballot"
    )]
    IdempotencyKeyReused,
    #[error("more ballots are waiting than this server takes; try again in {retry_after_seconds} s")]
    Overloaded { retry_after_seconds: u32 },
    #[error("the server's disk is full; the ballot was not recorded; try again later")]
    StorageFull,
    #[error("it is not known yet whether this was recorded; ask again with the same idempotency key")]
    NotKnownYet,
    #[error("the server is stopping; the ballot was not recorded; try again with the same idempotency key")]
    Stopping,
    #[error("the server could not read its own records; try again with the same idempotency key")]
    Unreadable,
}

impl SubmitError {
    /// Stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            SubmitError::Rejected(rejection) => rejection.code(),
            SubmitError::IdempotencyKeyReused => "idempotency_key_reused",
            SubmitError::Overloaded { .. } => "overloaded",
            SubmitError::StorageFull => "storage_full",
            SubmitError::NotKnownYet => "not_known_yet",
            SubmitError::Stopping => "stopping",
            SubmitError::Unreadable => "internal",
        }
    }
}

/// A refused ballot that may be a repeated request: whether it is, the voter's entry on disk tells.
#[derive(Clone, Debug)]
pub struct Repeat {
    pub rejection: Rejection,
    pub election: ElectionIndex,
    pub tag: VoterTag,
    pub key: IdempotencyKey,
    pub opening: Vec<u8>,
}

#[derive(Clone, Debug)]
pub struct BulkReceipt {
    pub leaf_index: u64,
    pub ballot_index: u64,
    pub receipt: Option<CastReceipt>,
}

#[derive(Clone, Debug)]
pub enum BulkAnswer {
    Accepted(BulkReceipt),
    Refused(SubmitError),
    Repeated(Box<Repeat>),
}

#[derive(Clone, Debug)]
pub enum Answer {
    Cast(Box<CastReceipt>),
    Refused(SubmitError),
    Repeated(Box<Repeat>),
    Chunk(Vec<BulkAnswer>),
    Acted(Box<Acted>),
    /// Everything that was acknowledged before the question is applied here, and the log this far.
    ReadAt(Position),
    /// In a cluster: the number of the node that was admitted.
    Joined(cluster::NodeId),
    /// In a cluster: what an operator asked for is done.
    Changed,
    /// In a cluster: it is not done, with the reason.
    NotChanged(crate::cluster_view::ClusterError),
}

/// A leaf that a committed entry added.
#[derive(Clone, Copy, Debug)]
pub struct NewLeaf {
    pub election: ElectionIndex,
    pub leaf: LeafIndex,
    pub hash: Hash,
    /// Where a ballot's opening stands; an act has length 0.
    pub place: Place,
    /// The voter, for ballots.
    pub voter: Option<VoterTag>,
}

/// A ballot or act for programs that follow along.
#[derive(Clone, Debug)]
pub struct FeedItem {
    pub election: ElectionIndex,
    pub position: Position,
    pub at: UnixMillis,
    pub leaf: LeafIndex,
    pub what: FeedWhat,
}

#[derive(Clone, Debug)]
pub enum FeedWhat {
    Ballot { ballot: u64, answers: Box<[u8]> },
    Act { json: Box<str> },
}

/// What a turn wants done, in this order: caches written, views published, answers given.
#[derive(Debug)]
pub struct Effects<T> {
    pub leaves: Vec<NewLeaf>,
    /// Roots of full subtrees that the leaves completed: tile levels above 0.
    pub subtrees: Vec<(ElectionIndex, u8, Hash)>,
    pub changed: BTreeSet<ElectionIndex>,
    pub directory_changed: bool,
    pub checkpoints: Vec<(ElectionIndex, String)>,
    pub feed: Vec<FeedItem>,
    pub answers: Vec<(T, Answer)>,
    /// Parcels that are through, each with the lines that were not proposed, if any.
    pub returned: Vec<(u64, Vec<(u32, Returned)>)>,
}

impl<T> Effects<T> {
    pub fn new() -> Self {
        Effects {
            leaves: Vec::new(),
            subtrees: Vec::new(),
            changed: BTreeSet::new(),
            directory_changed: false,
            checkpoints: Vec::new(),
            feed: Vec::new(),
            answers: Vec::new(),
            returned: Vec::new(),
        }
    }
}

impl<T> Default for Effects<T> {
    fn default() -> Self {
        Self::new()
    }
}

/// What comes in.
#[derive(Debug)]
pub enum Event<T> {
    Cast(PreparedBallot, T),
    Chunk(PreparedChunk, T),
    Officer(Hlc, Box<OfficerCommand>, T),
    /// All that is ready has been handed in: form a batch, if none is under way.
    Flush(ClockReading),
    /// The proposal is committed at this position.
    Committed(Position),
    /// The proposal found no room; nothing of it is in the log.
    Full,
    /// In a cluster: time passes for who does not propose.
    Clock(ClockReading),
    /// In a cluster, for the leader: ballots to be put in order. Who sent them sees in the log what became of them; only
    /// what is refused beforehand comes back, as [`Effects::returned`].
    Parcel {
        number: u64,
        chunk: PreparedChunk,
    },
    /// In a cluster, for the leader: an officer's act to be put in order.
    Order(Hlc, Box<OfficerCommand>),
    /// In a cluster: the proposal is on its way; who waits for its ballots is elsewhere.
    Proposed,
    /// In a cluster: there is no room but for acts. Ballots go back to where they came from, acts are proposed again.
    NoRoom,
    /// In a cluster: what became of the proposal is known, so that the next one may be made.
    Settled,
    /// In a cluster: this node does not lead any more; nothing is left to be put in order.
    Deposed,
}

/// Why ballots of a parcel were not proposed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Returned {
    /// The leader's state refuses them.
    Refused,
    /// The leader's disk is full.
    Full,
    /// The node does not lead, or not yet; nothing was done.
    NotLeading,
}

/// Who waits on this node for what an entry brings. For a log that others write, too.
pub trait Claims<T> {
    /// The ballot with this leaf, which is not asked for again.
    fn ballot(&mut self, leaf: &Hash) -> Option<Claim<T>>;
    /// The act with this stamp.
    fn act(&mut self, stamp: Hlc, command: &OfficerCommand) -> Option<T>;
}

/// Where a ballot's answer goes.
#[derive(Debug)]
pub enum Claim<T> {
    Cast(T),
    /// A line of a chunk that [`Core::hold_chunk`] keeps.
    Line {
        slot: usize,
        line: u32,
    },
}

/// Nobody waits for anything.
#[derive(Debug)]
pub struct NoClaims;

impl<T> Claims<T> for NoClaims {
    fn ballot(&mut self, _: &Hash) -> Option<Claim<T>> {
        None
    }

    fn act(&mut self, _: Hlc, _: &OfficerCommand) -> Option<T> {
        None
    }
}

/// One election's tree.
#[derive(Clone, Debug)]
pub struct Tree {
    pub edge: Edge,
    pub acts: Arc<Vec<(LeafIndex, Arc<str>)>>,
    pub context: Arc<ReceiptContext>,
    /// Root just after the close.
    pub closing_root: Option<Hash>,
    checkpoint_at: UnixMillis,
    wants_checkpoint: bool,
}

/// How much the core keeps waiting, and what it reports.
#[derive(Clone, Copy, Debug)]
pub struct CoreLimits {
    /// Ballots in work at once; 5 gives the classic behaviour.
    pub max_concurrent: usize,
}

enum Waiting<T> {
    Cast(PreparedBallot, T),
    Officer(Hlc, Box<OfficerCommand>, Option<T>),
    /// A chunk with lines left to take.
    Chunk(usize),
}

/// A command of the batch under way, in the batch's order.
enum Item<T> {
    Cast {
        ticket: T,
        leaf: Hash,
    },
    Line {
        chunk: usize,
        line: u32,
        leaf: Hash,
    },
    Officer(Option<T>),
    /// Read back from the log, its leaf hashed beforehand; nobody waits for it.
    Replayed {
        leaf: Hash,
    },
}

struct ChunkProgress<T> {
    chunk: PreparedChunk,
    owner: ChunkOwner<T>,
    next_line: usize,
    unanswered: usize,
}

enum ChunkOwner<T> {
    /// Somebody here waits for an answer a line.
    Here { ticket: T, answers: Vec<Option<BulkAnswer>> },
    /// A parcel: only what is returned matters.
    Parcel { number: u64, returned: Vec<(u32, Returned)> },
}

struct InFlight<T> {
    stamp: Hlc,
    payload: Vec<u8>,
    items: Vec<Item<T>>,
}

/// A receipt that waits for its batch's signature.
struct Pending<T> {
    to: To<T>,
    context: Arc<ReceiptContext>,
    index: u32,
    leaf_index: u64,
    ballot_index: u64,
    leaf: Hash,
    nonce: [u8; 32],
}

enum To<T> {
    Ticket(T),
    Line { chunk: usize, line: u32 },
}

pub struct Core<T> {
    state: State,
    trees: Vec<Tree>,
    keys: Keys,
    limits: CoreLimits,
    rng: StdRng,
    hlc: Hlc,
    waiting: VecDeque<Waiting<T>>,
    chunks: Vec<Option<ChunkProgress<T>>>,
    in_flight: Option<InFlight<T>>,
    spare: Vec<u8>,
    deadlines: BTreeMap<ElectionIndex, UnixMillis>,
    draws: BTreeSet<ElectionIndex>,
    dirty: BTreeSet<ElectionIndex>,
    signer: BatchSigner,
    /// Whether anybody listens to the feed.
    pub wants_feed: bool,
    clock: ClockReading,
    promise: Promise,
}

impl<T> std::fmt::Debug for Core<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core").field("waiting", &self.waiting.len()).finish_non_exhaustive()
    }
}

impl<T> Core<T> {
    /// An empty core. `seed` is where server draws come from: 32 random bytes, or a simulation's.
    pub fn new(keys: Keys, limits: CoreLimits, seed: [u8; 32]) -> Self {
        Core {
            state: State::default(),
            trees: Vec::new(),
            keys,
            limits: CoreLimits { max_concurrent: limits.max_concurrent.clamp(1, BATCH_BALLOTS_MAX) },
            rng: StdRng::from_seed(seed),
            hlc: Hlc::default(),
            waiting: VecDeque::new(),
            chunks: Vec::new(),
            in_flight: None,
            spare: Vec::new(),
            deadlines: BTreeMap::new(),
            draws: BTreeSet::new(),
            dirty: BTreeSet::new(),
            signer: BatchSigner::new(),
            wants_feed: false,
            clock: ClockReading { now: UnixMillis(0), is_steady: true, error_millis: 0 },
            promise: Promise::Synced,
        }
    }

    /// What receipts say from now on; [`Promise::Synced`] unless said otherwise.
    pub fn set_promise(&mut self, promise: Promise) {
        self.promise = promise;
        self.renew_contexts();
    }

    fn renew_contexts(&mut self) {
        for index in 0..self.trees.len() {
            let election = ElectionIndex(u32::try_from(index).expect("elections are limited"));
            self.trees[index].context = self.context_of(election);
        }
    }

    pub fn state(&self) -> &State {
        &self.state
    }

    pub fn tree(&self, election: ElectionIndex) -> &Tree {
        &self.trees[election.0 as usize]
    }

    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Latest stamp seen; new ones must be later.
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// Whether ballots or acts wait for a batch.
    pub fn has_work(&self) -> bool {
        !self.waiting.is_empty() || self.in_flight.is_some()
    }

    /// When the next deadline wants a look, if any.
    pub fn next_deadline(&self) -> Option<UnixMillis> {
        self.deadlines.values().min().map(|at| UnixMillis(at.0 + DEADLINE_SETTLE_MILLIS))
    }

    /// The batch to append, while one is under way: its stamp and payload.
    pub fn proposal(&self) -> Option<(Hlc, &[u8])> {
        self.in_flight.as_ref().map(|batch| (batch.stamp, batch.payload.as_slice()))
    }

    /// Whether the batch under way holds acts alone.
    pub fn proposes_acts_alone(&self) -> bool {
        let is_act = |item: &Item<T>| matches!(item, Item::Officer(_));
        self.in_flight.as_ref().is_some_and(|batch| batch.items.iter().all(is_act))
    }

    /// Puts back a state from a snapshot; its trees' edges and acts come along.
    pub fn restore(&mut self, state: State, trees: Vec<SnapshotTree>, hlc: Hlc) {
        assert_eq!(state.elections().len(), trees.len(), "a snapshot has one tree an election");
        self.state = state;
        self.hlc = hlc;
        self.trees.clear();
        for (index, SnapshotTree { edge, acts, closing_root }) in trees.into_iter().enumerate() {
            let election = ElectionIndex(u32::try_from(index).expect("elections are limited"));
            let mut tree = self.new_tree(election);
            tree.edge = edge;
            tree.acts = Arc::new(acts);
            tree.closing_root = closing_root;
            self.trees.push(tree);
            self.note_timers(election);
        }
    }

    /// One step. What must be done about it is added to `effects`.
    pub fn step(&mut self, event: Event<T>, effects: &mut Effects<T>) {
        match event {
            Event::Cast(ballot, ticket) => {
                self.hlc = self.hlc.max(ballot.stamp);
                self.waiting.push_back(Waiting::Cast(ballot, ticket));
            }
            Event::Chunk(chunk, ticket) => self.take_chunk(chunk, ticket, effects),
            Event::Officer(stamp, command, ticket) => {
                self.hlc = self.hlc.max(stamp);
                self.waiting.push_back(Waiting::Officer(stamp, command, Some(ticket)));
            }
            Event::Flush(clock) => self.flush(clock, effects),
            Event::Committed(position) => {
                self.committed(position, effects);
                self.make_checkpoints(effects);
            }
            Event::Full => self.full(effects),
            Event::Clock(clock) => {
                self.clock = clock;
                self.make_checkpoints(effects);
            }
            Event::Parcel { number, chunk } => {
                if chunk.ballots.is_empty() {
                    effects.returned.push((number, Vec::new()));
                    return;
                }
                let slot = self.keep_chunk(chunk, ChunkOwner::Parcel { number, returned: Vec::new() });
                self.waiting.push_back(Waiting::Chunk(slot));
            }
            Event::Order(stamp, command) => {
                self.hlc = self.hlc.max(stamp);
                self.waiting.push_back(Waiting::Officer(stamp, command, None));
            }
            Event::Proposed => self.proposed(effects),
            Event::Settled => {
                self.spare = self.in_flight.take().map(|batch| batch.payload).unwrap_or_default()
            }
            Event::NoRoom => self.no_room(effects),
            Event::Deposed => self.deposed(),
        }
    }

    fn take_chunk(&mut self, chunk: PreparedChunk, ticket: T, effects: &mut Effects<T>) {
        if chunk.ballots.is_empty() {
            effects.answers.push((ticket, Answer::Chunk(Vec::new())));
            return;
        }
        let slot = self.hold_chunk(chunk, ticket);
        self.waiting.push_back(Waiting::Chunk(slot));
    }

    /// Keeps a chunk whose lines are answered one by one; returns its slot. In a cluster they come back through
    /// [`Claims`], or are answered by [`answer_line`](Self::answer_line).
    ///
    /// # Panics
    /// If it has no lines.
    pub fn hold_chunk(&mut self, chunk: PreparedChunk, ticket: T) -> usize {
        let answers = chunk.ballots.iter().map(|_| None).collect();
        self.keep_chunk(chunk, ChunkOwner::Here { ticket, answers })
    }

    fn keep_chunk(&mut self, chunk: PreparedChunk, owner: ChunkOwner<T>) -> usize {
        assert!(!chunk.ballots.is_empty(), "a chunk without lines is answered at once");
        self.hlc = chunk.ballots.iter().map(|ballot| ballot.stamp).fold(self.hlc, Hlc::max);
        let unanswered = chunk.ballots.len();
        let progress = ChunkProgress { chunk, owner, next_line: 0, unanswered };
        let slot = match self.chunks.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                self.chunks.push(None);
                self.chunks.len() - 1
            }
        };
        self.chunks[slot] = Some(progress);
        slot
    }

    /// A chunk that is held.
    ///
    /// # Panics
    /// If the slot is empty.
    pub fn held_chunk(&self, slot: usize) -> &PreparedChunk {
        &self.chunks[slot].as_ref().expect("a chunk stays until it is answered").chunk
    }

    /// Answers one line of a chunk that is held.
    pub fn answer_line(&mut self, slot: usize, line: u32, answer: BulkAnswer, effects: &mut Effects<T>) {
        let progress = self.chunks[slot].as_mut().expect("a chunk stays until it is answered");
        progress.answer(line as usize, answer);
        self.finish_chunk(slot, effects);
    }

    /// Stamps seen elsewhere: later ones here are greater.
    pub fn note_stamp(&mut self, stamp: Hlc) {
        self.hlc = self.hlc.max(stamp);
    }

    /// The proposal's items are let go: who waits for them finds them in the log.
    fn proposed(&mut self, effects: &mut Effects<T>) {
        let Some(batch) = &mut self.in_flight else { return };
        let items = std::mem::take(&mut batch.items);
        for item in items {
            if let Item::Line { chunk, .. } = item {
                let progress = self.chunks[chunk].as_mut().expect("a chunk stays until it is through");
                progress.unanswered -= 1;
                self.finish_chunk(chunk, effects);
            }
        }
    }

    fn no_room(&mut self, effects: &mut Effects<T>) {
        let Some(batch) = self.in_flight.take() else { return };
        for logged in Batch::new(&batch.payload).flatten() {
            if let Command::Officer(command) = logged.command {
                self.waiting.push_back(Waiting::Officer(logged.stamp, command, None));
            }
        }
        self.in_flight = Some(batch);
        self.full(effects);
    }

    fn deposed(&mut self) {
        self.waiting.clear();
        if let Some(batch) = self.in_flight.take() {
            self.spare = batch.payload;
        }
        for slot in &mut self.chunks {
            if matches!(slot, Some(ChunkProgress { owner: ChunkOwner::Parcel { .. }, .. })) {
                *slot = None;
            }
        }
        self.note_draws();
    }

    /// Lots that wait to be drawn by the server.
    fn note_draws(&mut self) {
        let waits = |election: &&election::Election| {
            election.state == ElectionState::Closed && election.needs_draw() && has_server_draw(election)
        };
        self.draws = self.state.elections().iter().filter(waits).map(|election| election.index).collect();
    }

    fn flush(&mut self, clock: ClockReading, effects: &mut Effects<T>) {
        self.clock = clock;
        self.make_checkpoints(effects);
        if self.in_flight.is_some() {
            return;
        }
        let mut window = Window { items: Vec::new(), bytes: 0 };
        self.fill_window(&mut window, effects);
        self.add_rules(&mut window);
        if !window.items.is_empty() {
            self.propose(window);
        }
    }

    /// Takes what waits, oldest first, up to the limit; what the state refuses already is answered here.
    fn fill_window(&mut self, window: &mut Window<T>, effects: &mut Effects<T>) {
        while window.items.len() < self.limits.max_concurrent && window.bytes < BATCH_BYTES_SOFT {
            let Some(next) = self.waiting.pop_front() else { return };
            match next {
                Waiting::Officer(stamp, command, ticket) => {
                    window.bytes += 4096;
                    window.items.push(WindowItem::Officer(stamp, command, ticket));
                }
                Waiting::Cast(ballot, ticket) => {
                    let cast =
                        Cast { election: ballot.election, number: ballot.number, opening: &ballot.opening };
                    match self.state.check_cast(ballot.stamp, &cast) {
                        Ok(()) => {
                            window.bytes += ballot.opening.len();
                            window.items.push(WindowItem::Cast(ballot, ticket));
                        }
                        Err(rejection) => effects.answers.push((ticket, refuse(rejection, ballot.into()))),
                    }
                }
                Waiting::Chunk(slot) => self.fill_from_chunk(slot, window, effects),
            }
        }
    }

    fn fill_from_chunk(&mut self, slot: usize, window: &mut Window<T>, effects: &mut Effects<T>) {
        let progress = self.chunks[slot].as_mut().expect("a waiting chunk has its slot");
        let lines = progress.chunk.ballots.len();
        let ahead = progress.chunk.ballots.iter().skip(progress.next_line).take(self.limits.max_concurrent);
        let voter = |ballot: &ChunkBallot| Voter { tag: ballot.tag, number: ballot.number };
        ahead.for_each(|ballot| self.state.touch(progress.chunk.election, &voter(ballot)));
        while progress.next_line < lines {
            if window.items.len() >= self.limits.max_concurrent || window.bytes >= BATCH_BYTES_SOFT {
                self.waiting.push_front(Waiting::Chunk(slot));
                return;
            }
            let line = progress.next_line;
            progress.next_line += 1;
            let ballot = progress.chunk.ballots[line];
            let cast = Cast {
                election: progress.chunk.election,
                number: ballot.number,
                opening: progress.chunk.opening(line),
            };
            match self.state.check_cast(ballot.stamp, &cast) {
                Ok(()) => {
                    window.bytes += ballot.length as usize;
                    let line = u32::try_from(line).expect("chunks are limited");
                    window.items.push(WindowItem::Line {
                        chunk: slot,
                        line,
                        stamp: ballot.stamp,
                        tag: ballot.tag,
                    });
                }
                Err(rejection) => progress.refuse(line, rejection),
            }
        }
        self.finish_chunk(slot, effects);
    }

    /// Deadlines that have passed and lots that wait, as commands of the node itself.
    fn add_rules(&mut self, window: &mut Window<T>) {
        if !self.clock.is_steady {
            return;
        }
        let ClockReading { now, error_millis, .. } = self.clock;
        let oldest_waiting = self.waiting.front().map(|waiting| self.stamp_of(waiting).wall());
        let is_due = |at: &UnixMillis| {
            now.0.saturating_sub(error_millis) > at.0 + DEADLINE_SETTLE_MILLIS
                && oldest_waiting.is_none_or(|oldest| oldest > *at)
        };
        let due: Vec<ElectionIndex> =
            self.deadlines.iter().filter(|(_, at)| is_due(at)).map(|(election, _)| *election).collect();
        for election in due {
            let slug = self.slug_of(election);
            self.add_rule(window, OfficerCommand::Deadline { slug });
        }
        for election in std::mem::take(&mut self.draws) {
            let mut seed = [0; 32];
            self.rng.fill_bytes(&mut seed);
            if let Some(command) = self.draw_command(election, DrawSource::Server, &seed) {
                self.add_rule(window, command);
            }
        }
    }

    fn add_rule(&mut self, window: &mut Window<T>, command: OfficerCommand) {
        self.hlc = self.hlc.next(self.clock.now);
        window.items.push(WindowItem::Officer(self.hlc, Box::new(command), None));
    }

    /// The command that draws a lot, with the closing root as this node's tree has it.
    pub fn draw_command(
        &self,
        election: ElectionIndex,
        source: DrawSource,
        seed: &[u8; 32],
    ) -> Option<OfficerCommand> {
        let slug = self.slug_of(election);
        let root = self.tree(election).closing_root?;
        let (seed, closing_root) = (election::hex(seed), root.to_hex());
        Some(OfficerCommand::Draw { slug, source, seed, closing_root })
    }

    /// Writes the window as one batch, in the order of hybrid time.
    fn propose(&mut self, window: Window<T>) {
        let mut items = window.items;
        let order = |item: &WindowItem<T>| item.order(&self.chunks);
        if !items.is_sorted_by_key(order) {
            items.sort_by_key(order);
        }
        let mut payload = std::mem::take(&mut self.spare);
        payload.clear();
        let mut batch = Vec::with_capacity(items.len());
        let mut stamp = Hlc::default();
        for item in items {
            stamp = stamp.max(item.stamp());
            batch.push(match item {
                WindowItem::Cast(ballot, ticket) => {
                    let PreparedBallot { election, number, stamp, leaf, ref opening, .. } = ballot;
                    write_cast(&mut payload, stamp, &Cast { election, number, opening });
                    Item::Cast { ticket, leaf }
                }
                WindowItem::Line { chunk, line, stamp, .. } => {
                    let progress = self.chunks[chunk].as_ref().expect("a chunk stays until it is answered");
                    let ballot = &progress.chunk.ballots[line as usize];
                    let opening = progress.chunk.opening(line as usize);
                    let election = progress.chunk.election;
                    write_cast(&mut payload, stamp, &Cast { election, number: ballot.number, opening });
                    Item::Line { chunk, line, leaf: ballot.leaf }
                }
                WindowItem::Officer(stamp, command, ticket) => {
                    write_officer(&mut payload, stamp, &command);
                    Item::Officer(ticket)
                }
            });
        }
        self.in_flight = Some(InFlight { stamp, payload, items: batch });
    }

    fn full(&mut self, effects: &mut Effects<T>) {
        let Some(batch) = self.in_flight.take() else { return };
        for item in batch.items {
            match item {
                Item::Cast { ticket, .. } | Item::Officer(Some(ticket)) => {
                    effects.answers.push((ticket, Answer::Refused(SubmitError::StorageFull)));
                }
                // A rule without a ticket is proposed again: a lot from its set, a deadline by the clock.
                Item::Officer(None) | Item::Replayed { .. } => {}
                Item::Line { chunk, line, .. } => {
                    let progress = self.chunks[chunk].as_mut().expect("a chunk stays until it is answered");
                    match &mut progress.owner {
                        ChunkOwner::Here { .. } => {
                            progress.answer(line as usize, BulkAnswer::Refused(SubmitError::StorageFull));
                        }
                        ChunkOwner::Parcel { returned, .. } => {
                            returned.push((line, Returned::Full));
                            progress.unanswered -= 1;
                        }
                    }
                    self.finish_chunk(chunk, effects);
                }
            }
        }
        self.note_draws();
        self.spare = batch.payload;
    }

    fn committed(&mut self, position: Position, effects: &mut Effects<T>) {
        let Some(batch) = self.in_flight.take() else { return };
        let InFlight { payload, items, .. } = batch;
        let mut pending = Vec::with_capacity(items.len());
        let mut items = items.into_iter();
        for logged in Batch::new(&payload) {
            let logged = logged.expect("this node wrote the batch");
            let item = items.next().expect("a batch has an item a command");
            self.apply_one(position, logged, Some(item), &mut pending, effects);
        }
        self.answer_pending(pending, effects);
        self.spare = payload;
    }

    /// Applies an entry read back from the log; nobody waits for it.
    pub fn replay(
        &mut self,
        position: Position,
        payload: &[u8],
        effects: &mut Effects<T>,
    ) -> Result<(), BatchError> {
        self.replay_hashed(position, payload, &leaf_hashes(payload), effects)
    }

    /// As [`Core::replay`], with the leaves of the entry's ballots from [`leaf_hashes`].
    pub fn replay_hashed(
        &mut self,
        position: Position,
        payload: &[u8],
        leaves: &[Hash],
        effects: &mut Effects<T>,
    ) -> Result<(), BatchError> {
        self.take(position, payload, leaves, &mut NoClaims, effects)
    }

    /// Applies a committed entry that any node may have written, and answers those here who wait for what is in it.
    /// Checkpoints are left to the next [`Event::Clock`] or [`Event::Flush`].
    pub fn take(
        &mut self,
        position: Position,
        payload: &[u8],
        leaves: &[Hash],
        claims: &mut impl Claims<T>,
        effects: &mut Effects<T>,
    ) -> Result<(), BatchError> {
        visit_casts(payload, |Cast { election, number, opening }| {
            if let Some(tag) = opening.get(52..68).and_then(|tag| tag.try_into().ok()) {
                self.state.touch(election, &Voter { tag: VoterTag(tag), number });
            }
        });
        let mut leaves = leaves.iter();
        let mut pending = Vec::new();
        for logged in Batch::new(payload) {
            let logged = logged?;
            self.hlc = self.hlc.max(logged.stamp);
            let item = match &logged.command {
                Command::Cast(_) => leaves.next().map(|leaf| match claims.ballot(leaf) {
                    Some(Claim::Cast(ticket)) => Item::Cast { ticket, leaf: *leaf },
                    Some(Claim::Line { slot, line }) => Item::Line { chunk: slot, line, leaf: *leaf },
                    None => Item::Replayed { leaf: *leaf },
                }),
                Command::Officer(command) => {
                    claims.act(logged.stamp, command).map(|ticket| Item::Officer(Some(ticket)))
                }
            };
            self.apply_one(position, logged, item, &mut pending, effects);
        }
        self.answer_pending(pending, effects);
        Ok(())
    }

    fn apply_one(
        &mut self,
        position: Position,
        logged: election::command::Logged<'_>,
        item: Option<Item<T>>,
        pending: &mut Vec<Pending<T>>,
        effects: &mut Effects<T>,
    ) {
        let outcome = self.state.apply(logged.stamp, &logged.command);
        match (&logged.command, outcome) {
            (Command::Cast(cast), Ok(outcome)) => {
                let offset = logged.opening_offset;
                self.accept(position, cast, offset, &outcome, item, pending, effects);
                self.add_acts(position, &outcome, effects);
            }
            (Command::Cast(cast), Err(rejection)) => self.refuse_applied(cast, rejection, item, effects),
            (Command::Officer(command), Ok(outcome)) => {
                self.note_officer(command, &outcome, effects);
                self.add_acts(position, &outcome, effects);
                if let Some(Item::Officer(Some(ticket))) = item {
                    let acted = self.acted(position, command, &outcome);
                    effects.answers.push((ticket, Answer::Acted(Box::new(acted))));
                }
            }
            (Command::Officer(_), Err(rejection)) => {
                if let Some(Item::Officer(Some(ticket))) = item {
                    effects.answers.push((ticket, Answer::Refused(SubmitError::Rejected(rejection))));
                }
            }
        }
    }

    #[allow(clippy::too_many_arguments)] // one ballot's way from the log into tree, caches, feed and receipt
    fn accept(
        &mut self,
        position: Position,
        cast: &Cast<'_>,
        offset: u32,
        outcome: &Outcome,
        item: Option<Item<T>>,
        pending: &mut Vec<Pending<T>>,
        effects: &mut Effects<T>,
    ) {
        let EventKind::Cast { ballot, leaf, .. } = outcome.kind else {
            unreachable!("a cast is accepted as a cast");
        };
        let hash = match &item {
            Some(Item::Cast { leaf, .. } | Item::Line { leaf, .. } | Item::Replayed { leaf }) => *leaf,
            _ => leaf_hash(LeafKind::Ballot, cast.opening),
        };
        let tree = &mut self.trees[cast.election.0 as usize];
        tree.edge.append_with(hash, |level, root| effects.subtrees.push((cast.election, level, root)));
        let length = u32::try_from(cast.opening.len()).expect("openings are limited");
        let voter =
            VoterTag(cast.opening[52..68].try_into().expect("an accepted opening has its fixed part"));
        let place = Place { entry: position, offset, length };
        effects.leaves.push(NewLeaf { election: cast.election, leaf, hash, place, voter: Some(voter) });
        effects.changed.insert(cast.election);
        self.dirty.insert(cast.election);
        if self.wants_feed {
            let opening = Opening::parse(cast.opening).expect("an accepted opening parses");
            let election::ballot::Body::Answers(answers) = opening.body else {
                unreachable!("only plain answers are accepted")
            };
            let what = FeedWhat::Ballot { ballot: ballot.0, answers: answers.into() };
            let at = self.clock.now;
            effects.feed.push(FeedItem { election: cast.election, position, at, leaf, what });
        }
        let to = match item {
            Some(Item::Cast { ticket, .. }) => To::Ticket(ticket),
            Some(Item::Line { chunk, line, .. }) => {
                let progress = self.chunks[chunk].as_mut().expect("a chunk stays until it is answered");
                if !progress.chunk.with_receipts {
                    let receipt = BulkReceipt { leaf_index: leaf.0, ballot_index: ballot.0, receipt: None };
                    progress.answer(line as usize, BulkAnswer::Accepted(receipt));
                    self.finish_chunk(chunk, effects);
                    return;
                }
                To::Line { chunk, line }
            }
            _ => return,
        };
        let context = Arc::clone(&tree.context);
        let index = self.signer.push(&context.statement(leaf, hash));
        let nonce = *cast.opening.first_chunk().expect("an accepted opening has its nonce");
        pending.push(Pending {
            to,
            context,
            index,
            leaf_index: leaf.0,
            ballot_index: ballot.0,
            leaf: hash,
            nonce,
        });
    }

    /// One signature for all receipts of the batch.
    fn answer_pending(&mut self, pending: Vec<Pending<T>>, effects: &mut Effects<T>) {
        let Some(batch) = self.signer.sign(&self.keys.node) else { return };
        let batch = Arc::new(batch);
        let at = self.clock.now;
        for Pending { to, context, index, leaf_index, ballot_index, leaf, nonce } in pending {
            let batch = Arc::clone(&batch);
            let receipt = CastReceipt {
                context,
                batch,
                index,
                leaf_index,
                ballot_index,
                leaf,
                nonce,
                at,
                is_repeat: false,
            };
            match to {
                To::Ticket(ticket) => effects.answers.push((ticket, Answer::Cast(Box::new(receipt)))),
                To::Line { chunk, line } => {
                    let progress = self.chunks[chunk].as_mut().expect("a chunk stays until it is answered");
                    let answer = BulkReceipt { leaf_index, ballot_index, receipt: Some(receipt) };
                    progress.answer(line as usize, BulkAnswer::Accepted(answer));
                    self.finish_chunk(chunk, effects);
                }
            }
        }
    }

    fn refuse_applied(
        &mut self,
        cast: &Cast<'_>,
        rejection: Rejection,
        item: Option<Item<T>>,
        effects: &mut Effects<T>,
    ) {
        match item {
            Some(Item::Cast { ticket, .. }) => {
                let refused = Refused { election: cast.election, opening: cast.opening.to_vec() };
                effects.answers.push((ticket, refuse(rejection, refused)));
            }
            Some(Item::Line { chunk, line, .. }) => {
                let progress = self.chunks[chunk].as_mut().expect("a chunk stays until it is answered");
                progress.refuse(line as usize, rejection);
                self.finish_chunk(chunk, effects);
            }
            _ => {}
        }
    }

    fn add_acts(&mut self, position: Position, outcome: &Outcome, effects: &mut Effects<T>) {
        for act in &outcome.acts {
            let hash = leaf_hash(LeafKind::Act, act.json.as_bytes());
            let json: Arc<str> = act.json.as_str().into();
            let tree = &mut self.trees[act.election.0 as usize];
            tree.edge.append_with(hash, |level, root| effects.subtrees.push((act.election, level, root)));
            let closing_size = self.state.election(act.election).and_then(|election| election.closing_size);
            if closing_size == Some(tree.edge.size().0) {
                tree.closing_root = Some(tree.edge.root());
            }
            Arc::make_mut(&mut tree.acts).push((act.leaf, Arc::clone(&json)));
            tree.wants_checkpoint = true;
            let place = Place { entry: position, offset: 0, length: 0 };
            effects.leaves.push(NewLeaf { election: act.election, leaf: act.leaf, hash, place, voter: None });
            effects.changed.insert(act.election);
            self.dirty.insert(act.election);
            self.note_timers(act.election);
            if self.wants_feed {
                let what = FeedWhat::Act { json: act.json.as_str().into() };
                let at = self.clock.now;
                effects.feed.push(FeedItem { election: act.election, position, at, leaf: act.leaf, what });
            }
        }
    }

    fn note_officer(&mut self, command: &OfficerCommand, outcome: &Outcome, effects: &mut Effects<T>) {
        effects.directory_changed = true;
        if let Some(election) = outcome.election {
            effects.changed.insert(election);
            if outcome.kind == EventKind::Created {
                let tree = self.new_tree(election);
                self.trees.push(tree);
            }
        }
        if matches!(command, OfficerCommand::Epoch { .. }) {
            self.renew_contexts();
        }
    }

    /// Keeps the lists of deadlines and lots in step with an election.
    fn note_timers(&mut self, index: ElectionIndex) {
        let Some(election) = self.state.election(index) else { return };
        match election.closes_at.filter(|_| election.is_running()) {
            Some(at) => self.deadlines.insert(index, at),
            None => self.deadlines.remove(&index),
        };
        if election.state == ElectionState::Closed && has_server_draw(election) && election.needs_draw() {
            self.draws.insert(index);
        } else {
            self.draws.remove(&index);
        }
    }

    fn acted(&self, position: Position, command: &OfficerCommand, outcome: &Outcome) -> Acted {
        let election = outcome.election.and_then(|index| self.state.election(index));
        let is_over =
            |e: &&election::Election| matches!(e.state, ElectionState::Closed | ElectionState::Published);
        Acted {
            position,
            at: self.state.now,
            election: outcome.election,
            slug: election.map(|election| election.definition.slug.clone()),
            state: election.map(|election| election.state),
            room: match command {
                OfficerCommand::CreateRoom { code, .. }
                | OfficerCommand::AddToRoom { code, .. }
                | OfficerCommand::ShowScreen { code, .. }
                | OfficerCommand::LockRoom { code }
                | OfficerCommand::UnlockRoom { code }
                | OfficerCommand::RemoveFromRoom { code, .. } => Some(code.clone()),
                _ => None,
            },
            results: election.filter(is_over).map(Results::of),
        }
    }

    fn make_checkpoints(&mut self, effects: &mut Effects<T>) {
        if self.dirty.is_empty() {
            return;
        }
        let now = self.clock.now;
        let dirty: Vec<ElectionIndex> = self.dirty.iter().copied().collect();
        for election in dirty {
            let tree = &mut self.trees[election.0 as usize];
            let is_due = tree.wants_checkpoint || now.0 >= tree.checkpoint_at.0 + CHECKPOINT_MILLIS;
            if !is_due {
                continue;
            }
            tree.wants_checkpoint = false;
            tree.checkpoint_at = now;
            self.dirty.remove(&election);
            let note = self.checkpoint(election);
            effects.checkpoints.push((election, note));
            effects.changed.insert(election);
        }
    }

    /// A signed checkpoint of an election's tree as it is.
    pub fn checkpoint(&self, election: ElectionIndex) -> String {
        let Tree { edge, context, .. } = self.tree(election);
        let ReceiptContext { ledger, epoch, election, .. } = **context;
        let origin = Origin { ledger, epoch, election, shard: 0 };
        Checkpoint { origin, size: edge.size(), root: edge.root() }.sign(&self.keys.node)
    }

    fn new_tree(&self, election: ElectionIndex) -> Tree {
        Tree {
            edge: Edge::new(),
            acts: Arc::default(),
            context: self.context_of(election),
            closing_root: None,
            checkpoint_at: UnixMillis(0),
            wants_checkpoint: false,
        }
    }

    fn context_of(&self, index: ElectionIndex) -> Arc<ReceiptContext> {
        let facts = self.state.ledger.as_ref().expect("a ledger with elections is founded");
        let election = self.state.election(index).expect("the election exists");
        Arc::new(ReceiptContext {
            ledger: facts.ledger.0,
            epoch: facts.epoch,
            node: self.keys.node.node(),
            election: election.id.0,
            slug: election.definition.slug.to_string(),
            definition: Hash(election.definition.hash()),
            promise: self.promise,
        })
    }

    fn slug_of(&self, election: ElectionIndex) -> Slug {
        self.state.election(election).expect("the election exists").definition.slug.clone()
    }

    fn stamp_of(&self, waiting: &Waiting<T>) -> Hlc {
        match waiting {
            Waiting::Cast(ballot, _) => ballot.stamp,
            Waiting::Officer(stamp, ..) => *stamp,
            Waiting::Chunk(slot) => {
                let progress = self.chunks[*slot].as_ref().expect("a waiting chunk has its slot");
                progress.chunk.ballots[progress.next_line].stamp
            }
        }
    }

    fn finish_chunk(&mut self, slot: usize, effects: &mut Effects<T>) {
        let is_done = self.chunks[slot].as_ref().is_some_and(|progress| progress.unanswered == 0);
        if !is_done {
            return;
        }
        let progress = self.chunks[slot].take().expect("it was there a line above");
        match progress.owner {
            ChunkOwner::Here { ticket, answers } => {
                let answers = answers.into_iter().map(|answer| answer.expect("every line is answered"));
                effects.answers.push((ticket, Answer::Chunk(answers.collect())));
            }
            ChunkOwner::Parcel { number, returned } => effects.returned.push((number, returned)),
        }
    }
}

impl<T> ChunkProgress<T> {
    /// # Panics
    /// If the line has an answer, or nobody here waits for one.
    fn answer(&mut self, line: usize, answer: BulkAnswer) {
        let ChunkOwner::Here { answers, .. } = &mut self.owner else {
            panic!("a parcel's lines have no answers")
        };
        let slot = &mut answers[line];
        assert!(slot.is_none(), "a line is answered once");
        *slot = Some(answer);
        self.unanswered -= 1;
    }

    fn refuse(&mut self, line: usize, rejection: Rejection) {
        match &mut self.owner {
            ChunkOwner::Here { .. } => {
                let refused = repeat_of(self, line);
                self.answer(line, bulk_refusal(rejection, refused));
            }
            ChunkOwner::Parcel { returned, .. } => {
                returned.push((u32::try_from(line).expect("chunks are limited"), Returned::Refused));
                self.unanswered -= 1;
            }
        }
    }
}

/// Leaf hashes of a batch's ballots, in order. Needs no state, so it can be done ahead and on another thread.
pub fn leaf_hashes(payload: &[u8]) -> Vec<Hash> {
    let mut leaves = Vec::new();
    visit_casts(payload, |cast| leaves.push(leaf_hash(LeafKind::Ballot, cast.opening)));
    leaves
}

struct Window<T> {
    items: Vec<WindowItem<T>>,
    bytes: usize,
}

enum WindowItem<T> {
    Cast(PreparedBallot, T),
    Line { chunk: usize, line: u32, stamp: Hlc, tag: VoterTag },
    Officer(Hlc, Box<OfficerCommand>, Option<T>),
}

impl<T> WindowItem<T> {
    fn stamp(&self) -> Hlc {
        match self {
            WindowItem::Cast(ballot, _) => ballot.stamp,
            WindowItem::Line { stamp, .. } | WindowItem::Officer(stamp, ..) => *stamp,
        }
    }

    /// Lower hybrid time first, ties by voter, then by key; acts before ballots of the same instant.
    fn order(&self, chunks: &[Option<ChunkProgress<T>>]) -> (Hlc, VoterTag, IdempotencyKey) {
        match self {
            WindowItem::Cast(ballot, _) => (ballot.stamp, ballot.tag, ballot.key),
            WindowItem::Officer(stamp, ..) => (*stamp, VoterTag([0; 16]), IdempotencyKey::NONE),
            WindowItem::Line { chunk, line, stamp, tag } => {
                let key = chunks[*chunk].as_ref().map(|progress| progress.chunk.ballots[*line as usize].key);
                (*stamp, *tag, key.unwrap_or(IdempotencyKey::NONE))
            }
        }
    }
}

/// A refused ballot, as much as a look at the voter's entry needs.
pub(crate) struct Refused {
    pub election: ElectionIndex,
    pub opening: Vec<u8>,
}

impl From<PreparedBallot> for Refused {
    fn from(ballot: PreparedBallot) -> Self {
        Refused { election: ballot.election, opening: ballot.opening }
    }
}

fn repeat_of<T>(progress: &ChunkProgress<T>, line: usize) -> Refused {
    Refused { election: progress.chunk.election, opening: progress.chunk.opening(line).to_vec() }
}

/// With a key, a refusal for having voted may be a repeated request, and so may one because the vote is not open any
/// more: who lost the answer asks again after the close, too. The voter's entry on disk tells.
fn may_be_repeat(rejection: Rejection, refused: Refused) -> Result<Repeat, Rejection> {
    let may_have_voted = matches!(
        rejection,
        Rejection::AlreadyVoted
            | Rejection::KeySeen(_)
            | Rejection::NotOpen { .. }
            | Rejection::DeadlinePassed { .. }
    );
    let fields =
        may_have_voted.then(|| Opening::parse(&refused.opening).ok().map(|opening| opening.fields)).flatten();
    match fields {
        Some(fields) if !fields.key.is_none() => Ok(Repeat {
            rejection,
            election: refused.election,
            tag: fields.voter,
            key: fields.key,
            opening: refused.opening,
        }),
        _ => Err(rejection),
    }
}

pub(crate) fn refuse(rejection: Rejection, refused: Refused) -> Answer {
    match may_be_repeat(rejection, refused) {
        Ok(repeat) => Answer::Repeated(Box::new(repeat)),
        Err(rejection) => Answer::Refused(SubmitError::Rejected(rejection)),
    }
}

pub(crate) fn bulk_refusal(rejection: Rejection, refused: Refused) -> BulkAnswer {
    match may_be_repeat(rejection, refused) {
        Ok(repeat) => BulkAnswer::Repeated(Box::new(repeat)),
        Err(rejection) => BulkAnswer::Refused(SubmitError::Rejected(rejection)),
    }
}

fn has_server_draw(election: &election::Election) -> bool {
    election.definition.draw == Draw::Server
}
