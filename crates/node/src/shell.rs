//! The thin shell: one writer thread around the engine, and the handles that reach it.

use crate::clock::{ClockReading, SystemClock};
use crate::cluster_shell::{ClusterConfig, ELECTION_TICKS, HEARTBEAT_TICKS, Place, Steward, TICK_MILLIS};
use crate::cluster_view::{ClusterError, ClusterRequest, ClusterView, NodeRole, NodeView};
use crate::core::{
    Acted, Answer, BulkAnswer, CoreLimits, Effects, Event, OfficerRequest, PreparedBallot, PreparedChunk,
    SubmitError,
};
use crate::edge::{Edge, ListedVoter};
use crate::engine::{Engine, EngineConfig};
use crate::error::NodeError;
use crate::folder::DataFolder;
use crate::identity::{Identity, Keys, OfficerToken, system_random, tag_of_text};
use crate::keeper::{Keeper, Member};
use crate::letters::Lane;
use crate::lookup;
use crate::receipt::{CastReceipt, ReceiptContext};
use crate::refound;
use crate::replica::{Begin, Input, KINDS, Out, Replica, ReplicaConfig};
use crate::views::{Directory, ElectionHandle, ElectionView, FeedEvent, ReadError, public_key};
use arc_swap::{ArcSwap, ArcSwapOption};
use bytes::Bytes;
use cluster::time::Adjustment;
use cluster::{CoreConfig, NodeId, NodeInfo, RoomConfig};
use election::command::{DrawSource, EpochReason};
use election::definition::Eligibility;
use election::results::shown_to;
use election::roll::RollEntry;
use election::room::RoomCode;
use election::{
    ElectionId, ElectionIndex, ElectionState, Hlc, OfficerCommand, Rejection, Results, Shown, Slug, State,
    UnixMillis, Viewer, Voter,
};
use ledger::index::IndexReader;
use ledger::{FileStorage, LedgerOptions, Position};
use proof::Hash;
use rand::seq::SliceRandom;
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, broadcast, oneshot, watch};

/// The process ends with this code when the disk fails to keep what was written (`EX_IOERR` of sysexits.h).
pub const EXIT_DISK_FAILED: i32 = 74;
/// A writer with nothing to do wakes this often for deadlines and checkpoints.
const IDLE_MILLIS: u64 = 250;
/// Views of a busy election are replaced at most this often.
const VIEW_MILLIS: u64 = 5;
/// Letters of other nodes that may wait for the writer.
const LETTER_BYTES_MAX: usize = 256 << 20;
/// Events a slow follower of the feed may fall behind.
const FEED_EVENTS: usize = 1 << 16;

/// How a node runs.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    pub data: PathBuf,
    /// Ballots in work at once, at most 4,096; 5 gives the classic behaviour.
    pub max_concurrent: usize,
    /// Ballots that may wait besides those in work.
    pub queue_max: usize,
    /// `None`: the ledger's own; a new ledger gets one made for it.
    pub officer_token: Option<OfficerToken>,
    pub snapshot_every_ballots: u64,
    pub ledger: LedgerOptions,
}

impl NodeConfig {
    /// The standard sizes.
    pub fn standard(data: impl Into<PathBuf>) -> Self {
        NodeConfig {
            data: data.into(),
            max_concurrent: crate::core::BATCH_BALLOTS_MAX,
            queue_max: 65_536,
            officer_token: None,
            snapshot_every_ballots: 5_000_000,
            ledger: LedgerOptions::STANDARD,
        }
    }
}

/// A running node.
#[derive(Debug)]
pub struct Node {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<Result<(), NodeError>>>,
}

#[derive(Debug)]
pub struct Started {
    pub node: Node,
    pub handle: Handle,
    /// Lines an operator should see.
    pub notes: Vec<String>,
    /// A token made for a new ledger: to be printed once.
    pub new_officer_token: Option<OfficerToken>,
}

/// What edges, mailboxes, readers and the writer share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub keys: Arc<Keys>,
    pub directory: ArcSwap<Directory>,
    directory_watch: watch::Sender<Arc<Directory>>,
    identity: ArcSwap<Identity>,
    /// `None` for a node alone.
    cluster: ArcSwapOption<ClusterView>,
    folder: DataFolder,
    inbox: Inbox,
    posts: Mutex<Vec<Arc<PostBox>>>,
    clock: Mutex<SystemClock>,
    hlc: AtomicU64,
    voters: IndexReader<FileStorage>,
    feed: broadcast::Sender<FeedEvent>,
    gauges: Gauges,
}

#[derive(Debug, Default)]
struct Gauges {
    position: AtomicU64,
    is_full: AtomicBool,
    is_steady: AtomicBool,
    batches: AtomicU64,
    ballots: AtomicU64,
}

/// The way to the writer: bounded by ballots.
#[derive(Debug)]
struct Inbox {
    queue: Mutex<InboxQueue>,
    is_ready: Condvar,
    /// Ballots handed in and not answered yet.
    ballots: AtomicUsize,
    ballots_max: usize,
}

#[derive(Debug, Default)]
struct InboxQueue {
    events: Vec<Input<Ticket>>,
    /// Of the letters among them.
    letter_bytes: usize,
    is_stopping: bool,
}

/// Where an answer goes: to a worker's post box, to be handed out there.
#[derive(Debug)]
struct Ticket {
    post: Option<Arc<PostBox>>,
    ballots: usize,
    reply: oneshot::Sender<Answer>,
}

/// Answers for one worker: filled once a batch, with one wake.
#[derive(Debug, Default)]
struct PostBox {
    answers: Mutex<Vec<(oneshot::Sender<Answer>, Answer)>>,
    notify: Notify,
    is_closed: AtomicBool,
}

/// Figures of a node for operators; never anything of a vote's content.
#[derive(Clone, Debug, serde::Serialize)]
pub struct NodeStatus {
    pub position: u64,
    pub ballots_waiting: usize,
    pub ballots_waiting_max: usize,
    pub batches: u64,
    pub ballots_accepted: u64,
    pub storage_full: bool,
    /// False while the wall clock has stepped away and deadlines wait for an officer.
    pub clock_steady: bool,
    pub now: UnixMillis,
    pub elections: usize,
}

/// Whether and how a voter has voted.
#[derive(Clone, Debug)]
pub struct VoterStatus {
    /// Receipts of the voter's ballots, oldest first.
    pub receipts: Vec<CastReceipt>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left behind is whole: every critical section here only moves values.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    pub fn now(&self) -> UnixMillis {
        self.read_clock().now
    }

    fn read_clock(&self) -> ClockReading {
        lock(&self.clock).read()
    }

    pub fn stamp(&self) -> Hlc {
        self.stamps(1)
    }

    /// The first of `count` stamps in a row, which nobody else gets.
    pub fn stamps(&self, count: u64) -> Hlc {
        let now = self.now();
        let next = |last: u64| Some(Hlc(last).next(now).0 + count - 1);
        let last = self.hlc.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        Hlc(last.unwrap_or_else(|last| last)).next(now)
    }
}

impl Inbox {
    /// Hands in an event, unless too many ballots wait.
    fn push(&self, event: Event<Ticket>, ballots: usize) -> Result<(), SubmitError> {
        self.hand_in(Input::Event(event), ballots)
    }

    fn hand_in(&self, event: Input<Ticket>, ballots: usize) -> Result<(), SubmitError> {
        let waiting = self.ballots.fetch_add(ballots, Ordering::AcqRel);
        if waiting + ballots > self.ballots_max {
            self.ballots.fetch_sub(ballots, Ordering::AcqRel);
            return Err(SubmitError::Overloaded { retry_after_seconds: 1 });
        }
        let mut queue = lock(&self.queue);
        if queue.is_stopping {
            self.ballots.fetch_sub(ballots, Ordering::AcqRel);
            return Err(SubmitError::Stopping);
        }
        let was_empty = queue.events.is_empty();
        queue.events.push(event);
        drop(queue);
        if was_empty {
            self.is_ready.notify_one();
        }
        Ok(())
    }

    /// Waits for events, at most `timeout`; takes all there are. True while the node is to go on.
    fn take(&self, events: &mut Vec<Input<Ticket>>, timeout: Duration) -> bool {
        let mut queue = lock(&self.queue);
        if queue.events.is_empty() && !queue.is_stopping && !timeout.is_zero() {
            let waited = self.is_ready.wait_timeout(queue, timeout);
            queue = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        std::mem::swap(&mut queue.events, events);
        queue.letter_bytes = 0;
        !queue.is_stopping
    }

    fn stop(&self) {
        lock(&self.queue).is_stopping = true;
        self.is_ready.notify_one();
    }
}

impl Node {
    /// Opens or founds the ledger in the data folder, replays it, and starts the writer. Returns when ballots can
    /// be taken.
    pub fn start(config: NodeConfig) -> Result<Started, NodeError> {
        Self::start_in_epoch(config, None)
    }

    fn start_in_epoch(config: NodeConfig, new_epoch: Option<EpochReason>) -> Result<Started, NodeError> {
        let folder = DataFolder::new(&config.data);
        folder.create()?;
        let keys = folder.keys()?;
        let made = OfficerToken::from_random(system_random()?);
        let mut clock = SystemClock::start();
        let engine_config = EngineConfig {
            keys: keys.clone(),
            limits: CoreLimits { max_concurrent: config.max_concurrent },
            options: config.ledger,
            seed: system_random()?,
            officer: config.officer_token.as_ref().map(OfficerToken::hash),
            founding_officer: made.hash(),
            new_epoch,
            snapshot_every_ballots: config.snapshot_every_ballots,
        };
        let opened = Engine::open(folder.disks()?, engine_config, clock.read())?;
        let new_officer_token = (opened.is_new && config.officer_token.is_none()).then_some(made);
        let keeper = Keeper::Alone(Box::new(opened.engine));
        Self::run(&config, folder, keys, clock, keeper, opened.notes, new_officer_token)
    }

    /// Takes the node's place in a cluster, replays what is known to be committed, and starts the writer. Returns before
    /// a leader is known: until then ballots wait, and after five seconds are told that they are not known yet.
    ///
    /// Letters of other nodes go to [`Handle::letter`].
    pub fn start_in_cluster(config: NodeConfig, cluster: ClusterConfig) -> Result<Started, NodeError> {
        let ClusterConfig { name, node, begin, info, courier, mut clock, time, prefer_highest } = cluster;
        let folder = DataFolder::new(&config.data);
        folder.create()?;
        let number = u16::try_from(node.0).map_err(|_| NodeError::TooManyNodes)?;
        let keys = folder.keys_of(number)?;
        let made = OfficerToken::from_random(system_random()?);
        let both = clock.both();
        clock.join_cluster(time, both);
        let disks = folder.disks()?;
        let is_founding = matches!(begin, Begin::Found(_));
        let mut place = match &begin {
            Begin::Found(ledger) | Begin::Join(ledger) => {
                let place = Place::new(name.clone(), *ledger, node);
                place.write(&folder)?;
                place
            }
            Begin::Resume => Place::read(&folder)?.ok_or_else(|| NodeError::NoLedger(config.data.clone()))?,
        };
        let engine = EngineConfig {
            keys: keys.clone(),
            limits: CoreLimits { max_concurrent: config.max_concurrent },
            options: config.ledger,
            seed: system_random()?,
            officer: config.officer_token.as_ref().map(OfficerToken::hash),
            founding_officer: made.hash(),
            new_epoch: None,
            snapshot_every_ballots: config.snapshot_every_ballots,
        };
        let seed = u64::from_be_bytes(system_random()?);
        let core = CoreConfig {
            id: node,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: HEARTBEAT_TICKS,
            seed,
            kinds: KINDS,
        };
        let replica = ReplicaConfig { engine, core, room: RoomConfig::STANDARD, begin, info };
        let mut opened = Replica::open(&disks, replica, clock.read())?;
        if let Some(new) = place.new_epoch {
            opened.replica.begin_epoch(new);
        }
        place.begun = true;
        place.write(&folder)?;
        let steward = Steward::new(name, courier, time, disks.ledger.clone());
        let mut replica = opened.replica;
        replica.prefer_highest(prefer_highest);
        let member = Member { replica, out: Out::new(), steward };
        let new_officer_token = (is_founding && config.officer_token.is_none()).then_some(made);
        let keeper = Keeper::Among(Box::new(member));
        Self::run(&config, folder, keys, clock, keeper, opened.notes, new_officer_token)
    }

    fn run(
        config: &NodeConfig,
        folder: DataFolder,
        keys: Keys,
        clock: SystemClock,
        mut keeper: Keeper<Ticket>,
        notes: Vec<String>,
        new_officer_token: Option<OfficerToken>,
    ) -> Result<Started, NodeError> {
        let shared = Arc::new(Shared {
            identity: ArcSwap::from_pointee(keeper.identity()),
            cluster: ArcSwapOption::empty(),
            folder,
            keys: Arc::new(keys),
            directory: ArcSwap::from_pointee(Directory::default()),
            directory_watch: watch::Sender::new(Arc::default()),
            inbox: Inbox {
                queue: Mutex::default(),
                is_ready: Condvar::new(),
                ballots: AtomicUsize::new(0),
                ballots_max: config.queue_max + config.max_concurrent,
            },
            posts: Mutex::default(),
            clock: Mutex::new(clock),
            hlc: AtomicU64::new(keeper.core().hlc().0),
            voters: keeper.voters(),
            feed: broadcast::Sender::new(FEED_EVENTS),
            gauges: Gauges::default(),
        });
        let mut publisher = Publisher::new(Arc::clone(&shared));
        publisher.publish_all(&mut keeper)?;
        let writer =
            Writer { shared: Arc::clone(&shared), has_others: None, keeper, publisher, is_unnoted: false };
        writer.look_at_cluster_first();
        let thread = std::thread::Builder::new().name("writer".to_owned());
        let writer = thread.spawn(move || writer.run()).map_err(NodeError::Thread)?;
        let node = Node { shared: Arc::clone(&shared), writer: Some(writer) };
        Ok(Started { node, handle: Handle { shared }, notes, new_officer_token })
    }

    /// Stops: answers what it accepted, marks, takes a snapshot, lets go of the folder.
    pub fn stop(mut self) -> Result<(), NodeError> {
        self.shared.inbox.stop();
        let writer = self.writer.take().expect("a node is stopped once");
        writer.join().map_err(|_| NodeError::ThreadDied)?
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.shared.inbox.stop();
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Begins a new epoch in a data folder that was restored from a backup: opens it, logs the epoch, stops.
pub fn begin_epoch(data: &Path, reason: EpochReason) -> Result<Identity, NodeError> {
    if !DataFolder::new(data).has_ledger() {
        return Err(NodeError::NoLedger(data.to_owned()));
    }
    let started = Node::start_in_epoch(NodeConfig::standard(data), Some(reason))?;
    let identity = Identity::clone(&started.handle.identity());
    started.node.stop()?;
    Ok(identity)
}

struct Writer {
    shared: Arc<Shared>,
    keeper: Keeper<Ticket>,
    publisher: Publisher,
    /// Whether the place on disk says that there are other members.
    has_others: Option<bool>,
    /// That it could not be written down what is committed was said already.
    is_unnoted: bool,
}

impl Writer {
    fn run(mut self) -> Result<(), NodeError> {
        // The writer mostly waits for the disk: let it go on as soon as it is there.
        ledger::prefer_short_turns();
        if let Err(error) = self.work() {
            // Nothing after the failure was answered. What the disk holds is unknown, and after a failed sync the
            // cached pages may lie, so this process must not go on.
            let cause =
                std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            tracing::error!("{error}{cause}");
            // Not `eprintln!`, which panics where standard error is gone or full.
            let _ = writeln!(std::io::stderr(), "hustings: {error}{cause}");
            std::process::exit(EXIT_DISK_FAILED);
        }
        self.keeper.close()
    }

    fn work(&mut self) -> Result<(), NodeError> {
        let mut inputs = Vec::new();
        let mut effects = Effects::new();
        let mut goes_on = true;
        while goes_on || self.keeper.has_work() || !inputs.is_empty() {
            goes_on = self.shared.inbox.take(&mut inputs, self.patience());
            let clock = self.shared.read_clock();
            let is_idle = inputs.is_empty();
            self.keeper.core_mut().wants_feed = self.shared.feed.receiver_count() > 0;
            self.keeper.turn(clock, &mut inputs, &mut effects)?;
            self.shared.hlc.fetch_max(self.keeper.core().hlc().0, Ordering::AcqRel);
            self.publisher.publish(&mut self.keeper, &mut effects, clock)?;
            self.deliver(&mut effects);
            self.look_at_cluster(clock.now);
            if is_idle && !self.keeper.has_work() {
                self.keeper.idle()?;
            }
        }
        if let Keeper::Among(member) = &mut self.keeper {
            member.replica.give_up(&mut effects);
            self.deliver(&mut effects);
        }
        self.note_committed();
        self.close_posts();
        Ok(())
    }

    /// Before the first turn, so that there is always something to see.
    fn look_at_cluster_first(&self) {
        if let Keeper::Among(member) = &self.keeper {
            let view = member.steward.first_look(&member.replica, self.shared.now());
            self.shared.cluster.store(Some(Arc::new(view)));
        }
    }

    /// A few times a second, also where nothing has changed: that it is fresh is worth as much as the figure.
    fn note_committed(&mut self) {
        let Keeper::Among(member) = &self.keeper else { return };
        let (log, applied) = (member.replica.identity().log, member.replica.applied());
        let noted = refound::note_committed(&self.shared.folder, log, applied);
        if let (Err(error), false) = (&noted, self.is_unnoted) {
            tracing::warn!(%error, "backups of this server stay behind for now");
        }
        self.is_unnoted = noted.is_err();
    }

    fn look_at_cluster(&mut self, now: UnixMillis) {
        let Keeper::Among(member) = &mut self.keeper else { return };
        if let Some(view) = member.steward.look(&member.replica, now) {
            let mut clock = lock(&self.shared.clock);
            if let Some(adjustment) = member.steward.keep_time(&member.replica, clock.both()) {
                clock.adjust(adjustment);
            }
            member.steward.note_clock(clock.offset());
            drop(clock);
            let others = view.nodes.len() > 1;
            // A node that has only just joined knows nobody yet, and has others all the same.
            if !view.nodes.is_empty() && self.has_others != Some(others) {
                self.has_others = Some(others);
                if let Err(error) = Place::note_others(&self.shared.folder, others) {
                    tracing::warn!(%error, "who else belongs is not written down");
                }
            }
            self.shared.cluster.store(Some(view));
            self.note_committed();
        }
    }

    /// How long to wait for events.
    fn patience(&self) -> Duration {
        if self.keeper.has_work() {
            return Duration::ZERO;
        }
        let core = self.keeper.core();
        let mut millis = if self.publisher.has_waiting() { VIEW_MILLIS } else { IDLE_MILLIS };
        if let Keeper::Among(_) = self.keeper {
            millis = millis.min(TICK_MILLIS);
        }
        if let Some(at) = core.next_deadline() {
            millis = millis.min(at.0.saturating_sub(self.shared.now().0).max(5));
        }
        Duration::from_millis(millis)
    }

    fn deliver(&self, effects: &mut Effects<Ticket>) {
        if effects.answers.is_empty() {
            return;
        }
        let posts: Vec<Arc<PostBox>> = lock(&self.shared.posts).clone();
        let mut bundles: Vec<Vec<(oneshot::Sender<Answer>, Answer)>> =
            posts.iter().map(|_| Vec::new()).collect();
        let mut answered = 0;
        for (ticket, answer) in effects.answers.drain(..) {
            answered += ticket.ballots;
            let post = ticket.post.and_then(|post| posts.iter().position(|known| Arc::ptr_eq(known, &post)));
            match post {
                Some(at) => bundles[at].push((ticket.reply, answer)),
                // An asker that has gone away is not an error: what was decided stands in the log.
                None => drop(ticket.reply.send(answer)),
            }
        }
        self.shared.inbox.ballots.fetch_sub(answered, Ordering::AcqRel);
        for (post, mut bundle) in posts.iter().zip(bundles) {
            if !bundle.is_empty() {
                lock(&post.answers).append(&mut bundle);
                post.notify.notify_one();
            }
        }
    }

    fn close_posts(&self) {
        for post in lock(&self.shared.posts).iter() {
            post.is_closed.store(true, Ordering::Release);
            post.notify.notify_one();
        }
    }
}

/// Turns the core's changes into what readers see.
struct Publisher {
    shared: Arc<Shared>,
    handles: Vec<Arc<ElectionHandle>>,
    waiting: BTreeSet<ElectionIndex>,
    published_at: u64,
    version: u64,
}

impl Publisher {
    fn new(shared: Arc<Shared>) -> Self {
        Publisher { shared, handles: Vec::new(), waiting: BTreeSet::new(), published_at: 0, version: 0 }
    }

    fn has_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn publish_all(&mut self, engine: &mut Keeper<Ticket>) -> Result<(), NodeError> {
        let count = engine.core().state().elections().len();
        self.waiting =
            (0..count).map(|index| ElectionIndex(u32::try_from(index).expect("limited"))).collect();
        self.publish_directory(engine)?;
        self.publish_views(engine);
        self.set_gauges(engine, ClockReading { now: UnixMillis(0), is_steady: true, error_millis: 0 });
        Ok(())
    }

    fn publish(
        &mut self,
        engine: &mut Keeper<Ticket>,
        effects: &mut Effects<Ticket>,
        clock: ClockReading,
    ) -> Result<(), NodeError> {
        self.waiting.append(&mut effects.changed);
        if effects.directory_changed {
            effects.directory_changed = false;
            self.publish_directory(engine)?;
        }
        for (election, note) in effects.checkpoints.drain(..) {
            let handle = &self.handles[election.0 as usize];
            let mut view = ElectionView::clone(&handle.view.load());
            view.checkpoint = Some(note.into());
            handle.view.store(Arc::new(view));
            self.waiting.insert(election);
        }
        let monotonic = lock(&self.shared.clock).monotonic();
        let is_quiet = !engine.is_awaited() && lock(&self.shared.inbox.queue).events.is_empty();
        // Who asked for what is true now looks at the views next.
        let is_read = effects.answers.iter().any(|(_, answer)| matches!(answer, Answer::ReadAt(_)));
        if !self.waiting.is_empty() && (is_quiet || is_read || monotonic >= self.published_at + VIEW_MILLIS) {
            self.published_at = monotonic;
            self.publish_views(engine);
        }
        for item in effects.feed.drain(..) {
            let election = Arc::clone(&self.handles[item.election.0 as usize]);
            let event = FeedEvent {
                election,
                position: item.position,
                at: item.at,
                leaf_index: item.leaf.0,
                what: item.what,
            };
            // Nobody listening is fine.
            let _ = self.shared.feed.send(event);
        }
        self.set_gauges(engine, clock);
        Ok(())
    }

    fn set_gauges(&self, engine: &Keeper<Ticket>, clock: ClockReading) {
        let gauges = &self.shared.gauges;
        let position = engine.committed().0;
        if gauges.position.swap(position, Ordering::Relaxed) != position {
            gauges.batches.fetch_add(1, Ordering::Relaxed);
            let ballots = engine.core().state().elections().iter().map(|election| election.ballots).sum();
            gauges.ballots.store(ballots, Ordering::Relaxed);
        }
        gauges.is_full.store(engine.is_full(), Ordering::Relaxed);
        gauges.is_steady.store(clock.is_steady, Ordering::Relaxed);
    }

    fn publish_directory(&mut self, engine: &mut Keeper<Ticket>) -> Result<(), NodeError> {
        while self.handles.len() < engine.core().state().elections().len() {
            let index = ElectionIndex(u32::try_from(self.handles.len()).expect("elections are limited"));
            let handle = self.new_handle(engine, index)?;
            self.handles.push(Arc::new(handle));
        }
        let state = engine.core().state();
        // A node that has only just joined has not heard of the founding yet.
        let Some(facts) = state.ledger.as_ref() else { return Ok(()) };
        let identity = engine.identity();
        if self.shared.identity.load().epoch != identity.epoch {
            self.shared.identity.store(Arc::new(identity));
        }
        self.note_locks(state);
        self.handles
            .iter()
            .for_each(|handle| handle.note_signing(&engine.core().tree(handle.index).context, facts));
        self.version += 1;
        let directory = Arc::new(Directory {
            version: self.version,
            elections: self.handles.iter().map(|handle| (handle.slug.clone(), Arc::clone(handle))).collect(),
            by_index: self.handles.clone(),
            rooms: state.rooms().clone(),
            officer: facts.officer.clone(),
            epoch: facts.epoch,
            signing: facts.signing().filter_map(public_key).collect(),
        });
        self.shared.directory.store(Arc::clone(&directory));
        self.shared.directory_watch.send_replace(directory);
        Ok(())
    }

    /// Tells each open election from when on nobody joins it: the earliest lock of the rooms that hold it.
    fn note_locks(&self, state: &State) {
        let mut locks = vec![u32::MAX; self.handles.len()];
        for room in state.rooms().values() {
            let Some(locked_at) = room.locked_at else { continue };
            let second = u32::try_from(locked_at.0 / 1000).unwrap_or(u32::MAX);
            for election in room.elections.iter().filter_map(|slug| state.by_slug(slug.as_str())) {
                let lock = &mut locks[election.index.0 as usize];
                *lock = second.min(*lock);
            }
        }
        for (handle, lock) in self.handles.iter().zip(locks) {
            if handle.definition.eligibility == Eligibility::Open {
                handle.locked_after.store(lock, Ordering::Relaxed);
            }
        }
    }

    fn new_handle(
        &self,
        engine: &mut Keeper<Ticket>,
        index: ElectionIndex,
    ) -> Result<ElectionHandle, NodeError> {
        let readers = engine.readers(index)?;
        let ledger = engine.reader();
        let view = Arc::new(view_of(engine, index, None));
        let core = engine.core();
        let election = core.state().election(index).expect("the election exists");
        let definition_json: Arc<str> = election.definition.to_json().into();
        let facts = core.state().ledger.as_ref().expect("an open engine is founded");
        let context: Arc<ReceiptContext> = Arc::clone(&core.tree(index).context);
        Ok(ElectionHandle {
            index,
            id: election.id,
            slug: election.definition.slug.clone(),
            definition: Arc::clone(&election.definition),
            definition_hash: Hash(election.definition.hash()),
            definition_json,
            roll: election.roll.clone(),
            tag_key: self.shared.keys.voter_tags(election.id),
            readers,
            ledger,
            keys: Arc::clone(&self.shared.keys),
            context: ArcSwap::new(context),
            node_keys: ArcSwap::from_pointee(facts.keys.clone()),
            locked_after: AtomicU32::new(u32::MAX),
            watch: watch::Sender::new(Arc::clone(&view)),
            view: ArcSwap::new(view),
        })
    }

    fn publish_views(&mut self, engine: &Keeper<Ticket>) {
        for election in std::mem::take(&mut self.waiting) {
            let handle = &self.handles[election.0 as usize];
            let checkpoint = handle.view.load().checkpoint.clone();
            let view = Arc::new(view_of(engine, election, checkpoint));
            handle.view.store(Arc::clone(&view));
            handle.watch.send_replace(view);
        }
    }
}

fn view_of(engine: &Keeper<Ticket>, index: ElectionIndex, checkpoint: Option<Arc<str>>) -> ElectionView {
    let core = engine.core();
    let election = core.state().election(index).expect("the election exists");
    let tree = core.tree(index);
    let has_leaves = tree.edge.size().0 > 0;
    ElectionView {
        state: election.state,
        position: engine.committed(),
        at: core.state().now,
        closes_at: election.closes_at,
        opened_at: election.opened_at,
        closed_at: election.closed_at,
        tree_size: tree.edge.size().0,
        root: tree.edge.root(),
        ballots_accepted: election.ballots,
        checkpoint: checkpoint.or_else(|| has_leaves.then(|| core.checkpoint(index).into())),
        results: Arc::new(Results::of(election)),
        acts: Arc::clone(&tree.acts),
        epochs: election.epochs.clone(),
        needs_draw: election.needs_draw(),
        revealed: election.revealed,
        closing_root: tree.closing_root,
    }
}

/// Reaches a running node from anywhere. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    shared: Arc<Shared>,
}

impl Handle {
    pub fn now(&self) -> UnixMillis {
        self.shared.now()
    }

    /// In a cluster the epoch is 0 until the founding has come here.
    pub fn identity(&self) -> Arc<Identity> {
        self.shared.identity.load_full()
    }

    /// Where the node keeps its data.
    pub fn folder(&self) -> &DataFolder {
        &self.shared.folder
    }

    pub fn directory(&self) -> Arc<Directory> {
        self.shared.directory.load_full()
    }

    /// Follows elections and rooms as they are made and changed.
    pub fn directory_watch(&self) -> watch::Receiver<Arc<Directory>> {
        self.shared.directory_watch.subscribe()
    }

    pub fn election(&self, slug: &str) -> Option<Arc<ElectionHandle>> {
        self.shared.directory.load().election(slug).cloned()
    }

    /// Every accepted ballot and act from now on; a follower that is slower than 65,536 events loses the oldest.
    pub fn feed(&self) -> broadcast::Receiver<FeedEvent> {
        self.shared.feed.subscribe()
    }

    pub fn status(&self) -> NodeStatus {
        let gauges = &self.shared.gauges;
        NodeStatus {
            position: gauges.position.load(Ordering::Relaxed),
            ballots_waiting: self.shared.inbox.ballots.load(Ordering::Relaxed),
            ballots_waiting_max: self.shared.inbox.ballots_max,
            batches: gauges.batches.load(Ordering::Relaxed),
            ballots_accepted: gauges.ballots.load(Ordering::Relaxed),
            storage_full: gauges.is_full.load(Ordering::Relaxed),
            clock_steady: gauges.is_steady.load(Ordering::Relaxed),
            now: self.now(),
            elections: self.directory().by_index.len(),
        }
    }

    /// The cluster as this node knows it. `address` is where voters reach this node, for a node without others.
    pub fn cluster(&self, address: &str) -> Arc<ClusterView> {
        if let Some(view) = self.shared.cluster.load_full() {
            return view;
        }
        let Identity { log, node, .. } = &*self.identity();
        let (position, this) = (self.shared.gauges.position.load(Ordering::Relaxed), u64::from(*node));
        let alone = NodeView {
            id: this,
            role: NodeRole::Leader,
            address: address.to_owned(),
            node_address: None,
            position,
            clock_offset_ms: 0,
            clock_error_ms: None,
            heard_ms_ago: Some(0),
            disk_free_bytes: None,
            version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        };
        Arc::new(ClusterView {
            name: None,
            cluster: election::hex(&log.0),
            this,
            leader: Some(this),
            term: 0,
            position,
            can_lose: Some(0),
            nodes: vec![alone],
            elections: Vec::new(),
            troubles: Vec::new(),
            at: self.now(),
        })
    }

    /// An operator's request; answered once the cluster has done it.
    pub async fn change_cluster(&self, request: ClusterRequest) -> Result<(), ClusterError> {
        match self.ask_writer(|ticket| Input::Change(request, ticket)).await {
            Some(Answer::Changed) => Ok(()),
            Some(Answer::NotChanged(error)) => Err(error),
            _ => Err(ClusterError::NotKnownYet),
        }
    }

    /// Gives a blank node its place, where this node leads; its number.
    pub async fn admit(&self, info: NodeInfo) -> Result<NodeId, ClusterError> {
        match self.ask_writer(|ticket| Input::Join(info, ticket)).await {
            Some(Answer::Joined(id)) => Ok(id),
            Some(Answer::NotChanged(error)) => Err(error),
            _ => Err(ClusterError::NotKnownYet),
        }
    }

    /// Waits until everything that was acknowledged anywhere before this call can be seen here.
    ///
    /// A node alone answers at once; in a cluster it costs a word of a majority.
    pub async fn catch_up(&self) -> Result<Position, SubmitError> {
        if self.shared.cluster.load().is_none() {
            return Ok(Position(self.shared.gauges.position.load(Ordering::Relaxed)));
        }
        match self.ask_writer(Input::Read).await {
            Some(Answer::ReadAt(position)) => Ok(position),
            Some(Answer::Refused(error)) => Err(error),
            _ => Err(SubmitError::Stopping),
        }
    }

    /// From another node of the cluster. Dropped where too much waits: who sent it sends it again.
    pub fn letter(&self, from: NodeId, lane: u8, bytes: Bytes) {
        if lane == Lane::Time as u8 {
            match Adjustment::decode(&bytes) {
                Ok(adjustment) => lock(&self.shared.clock).adjust(adjustment),
                Err(error) => tracing::warn!(node = from.0, %error, "a letter about the time was dropped"),
            }
            return;
        }
        let mut queue = lock(&self.shared.inbox.queue);
        if queue.letter_bytes + bytes.len() > LETTER_BYTES_MAX || queue.is_stopping {
            return;
        }
        queue.letter_bytes += bytes.len();
        queue.events.push(Input::Letter { from, lane, bytes });
        let is_first = queue.events.len() == 1;
        drop(queue);
        if is_first {
            self.shared.inbox.is_ready.notify_one();
        }
    }

    async fn ask_writer(&self, input: impl FnOnce(Ticket) -> Input<Ticket>) -> Option<Answer> {
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { post: None, ballots: 0, reply };
        self.shared.inbox.hand_in(input(ticket), 0).ok()?;
        answer.await.ok()
    }

    /// An officer says that the wall clock is right after it stepped.
    pub fn confirm_clock(&self) {
        lock(&self.shared.clock).confirm();
    }

    /// Random-looking bytes that every node of the cluster makes of the same `minute` and `draw`: for one-time codes that
    /// any of them knows again.
    pub fn pairing_bytes(&self, minute: u64, draw: u8) -> [u8; 32] {
        self.shared.keys.forms().mac(&[b"pairing\0", &minute.to_be_bytes(), &[draw]])
    }

    /// An edge for one worker.
    pub fn edge(&self) -> Result<Edge, NodeError> {
        Ok(Edge::new(Arc::clone(&self.shared), system_random()?))
    }

    /// A mailbox for one worker. To be called within the worker's tokio runtime.
    pub fn mailbox(&self) -> Mailbox {
        let post = Arc::new(PostBox::default());
        lock(&self.shared.posts).push(Arc::clone(&post));
        tokio::spawn(hand_out(Arc::clone(&post)));
        Mailbox { shared: Arc::clone(&self.shared), post }
    }

    /// An officer's act; answered once it is committed.
    pub async fn act(&self, request: OfficerRequest) -> Result<Acted, SubmitError> {
        let command = self.command(request)?;
        let (reply, answer) = oneshot::channel();
        let ticket = Ticket { post: None, ballots: 0, reply };
        self.shared.inbox.push(Event::Officer(self.shared.stamp(), Box::new(command), ticket), 0)?;
        match answer.await {
            Ok(Answer::Acted(acted)) => Ok(*acted),
            Ok(Answer::Refused(error)) => Err(error),
            _ => Err(SubmitError::Stopping),
        }
    }

    fn command(&self, request: OfficerRequest) -> Result<OfficerCommand, SubmitError> {
        Ok(match request {
            OfficerRequest::Create(definition, voters) => self.create(&definition, voters)?,
            OfficerRequest::Open(slug) => OfficerCommand::Open { slug },
            OfficerRequest::Pause(slug) => OfficerCommand::Pause { slug },
            OfficerRequest::Close(slug) => OfficerCommand::Close { slug },
            OfficerRequest::Publish(slug) => OfficerCommand::Publish { slug },
            OfficerRequest::Cancel(slug, reason) => OfficerCommand::Cancel { slug, reason },
            OfficerRequest::Extend(slug, closes_at) => OfficerCommand::Extend { slug, closes_at },
            OfficerRequest::Reveal(slug) => OfficerCommand::Reveal { slug },
            OfficerRequest::Hide(slug) => OfficerCommand::Hide { slug },
            OfficerRequest::Draw(slug, seed) => self.draw(slug, &seed)?,
            OfficerRequest::Rehearse(slug, voters) => {
                let definition = self.found(&slug)?.definition.rehearsal();
                self.create(&definition, voters)?
            }
            OfficerRequest::Repeat(slug, next, voters) => {
                let definition = self.found(&slug)?.definition.repeat(next);
                self.create(&definition, voters)?
            }
            OfficerRequest::RunOff(slug, next, voters) => {
                let definition = self.run_off(&slug, next)?;
                self.create(&definition, voters)?
            }
            OfficerRequest::CreateRoom { title, pace, elections } => {
                let code = RoomCode::from_random(system_random().map_err(|_| SubmitError::Unreadable)?);
                OfficerCommand::CreateRoom { code, title, pace, elections }
            }
            OfficerRequest::AddToRoom { code, slug } => OfficerCommand::AddToRoom { code, slug },
            OfficerRequest::ShowScreen { code, screen } => OfficerCommand::ShowScreen { code, screen },
            OfficerRequest::LockRoom(code) => OfficerCommand::LockRoom { code },
            OfficerRequest::UnlockRoom(code) => OfficerCommand::UnlockRoom { code },
            OfficerRequest::RemoveFromRoom { code, slug } => OfficerCommand::RemoveFromRoom { code, slug },
        })
    }

    fn found(&self, slug: &Slug) -> Result<Arc<ElectionHandle>, SubmitError> {
        let missing = || SubmitError::Rejected(Rejection::NoSuchElection(slug.to_string()));
        self.election(slug.as_str()).ok_or_else(missing)
    }

    /// The run-off of an election whose results are public: its choices tell who is left.
    fn run_off(&self, slug: &Slug, next: Option<Slug>) -> Result<election::Definition, SubmitError> {
        let election = self.found(slug)?;
        let view = election.view();
        let refused = |hint| {
            let rejection = Rejection::WrongState { slug: slug.clone(), state: view.state, hint };
            Err(SubmitError::Rejected(rejection))
        };
        if !matches!(view.state, ElectionState::Closed | ElectionState::Published) {
            return refused("a run-off follows from the results of a closed election");
        }
        let shown = shown_to(&election.definition, view.state, view.curtain(), Viewer::Public);
        if shown != Shown::Counts {
            return refused("its results are not public yet, and a run-off would tell them; show them first");
        }
        let definition = election::run_off::run_off(&election.definition, &view.results, next);
        definition.ok_or_else(|| SubmitError::Rejected(Rejection::NoRunOff(slug.clone())))
    }

    /// A list becomes a roll here: ids turn into tags, and places are dealt in shuffled order.
    fn create(
        &self,
        definition: &election::Definition,
        voters: Vec<ListedVoter>,
    ) -> Result<OfficerCommand, SubmitError> {
        if definition.eligibility == Eligibility::Open && !voters.is_empty() {
            let max = election::roll::ROLL_VOTERS_MAX;
            return Err(SubmitError::Rejected(Rejection::ListSize { max }));
        }
        let id = ElectionId::derive(self.shared.identity.load().ledger, &definition.slug);
        let key = self.shared.keys.voter_tags(id);
        let entry = |voter: &ListedVoter| RollEntry {
            voter: tag_of_text(&key, &voter.id),
            weight: voter.weight,
            group: None,
        };
        let mut roll: Vec<RollEntry> = voters.iter().map(entry).collect();
        roll.shuffle(&mut rand::rng());
        Ok(OfficerCommand::Create { definition: definition.to_json(), roll })
    }

    fn draw(&self, slug: Slug, seed: &[u8; 32]) -> Result<OfficerCommand, SubmitError> {
        let root = self.found(&slug)?.view().closing_root;
        let root = root.ok_or_else(|| SubmitError::Rejected(Rejection::NothingToDraw(slug.clone())))?;
        let (seed, closing_root) = (election::hex(seed), root.to_hex());
        Ok(OfficerCommand::Draw { slug, source: DrawSource::Public, seed, closing_root })
    }
}

/// Hands answers out on the worker that waits for them.
async fn hand_out(post: Arc<PostBox>) {
    loop {
        post.notify.notified().await;
        let answers = std::mem::take(&mut *lock(&post.answers));
        for (reply, answer) in answers {
            // A voter who has gone away may ask again with the same key.
            let _ = reply.send(answer);
        }
        if post.is_closed.load(Ordering::Acquire) {
            return;
        }
    }
}

/// One worker's way to the writer and back.
#[derive(Clone, Debug)]
pub struct Mailbox {
    shared: Arc<Shared>,
    post: Arc<PostBox>,
}

impl Mailbox {
    /// Casts one ballot. `Ok` once it is committed.
    pub async fn cast(&self, ballot: PreparedBallot) -> Result<CastReceipt, SubmitError> {
        let (ticket, answer) = self.ticket(1);
        self.shared.inbox.push(Event::Cast(ballot, ticket), 1)?;
        match answer.await {
            Ok(Answer::Cast(receipt)) => Ok(*receipt),
            Ok(Answer::Refused(error)) => Err(error),
            Ok(Answer::Repeated(repeat)) => {
                let election = self.election(repeat.election)?;
                lookup::resolve(&election, &self.shared.voters, &repeat, self.shared.now())
            }
            _ => Err(SubmitError::Stopping),
        }
    }

    /// Casts the ballots of one bulk request; answers in their order.
    pub async fn cast_many(&self, chunk: PreparedChunk) -> Result<Vec<BulkAnswer>, SubmitError> {
        let ballots = chunk.ballots.len();
        let election = self.election(chunk.election)?;
        let (ticket, answer) = self.ticket(ballots);
        self.shared.inbox.push(Event::Chunk(chunk, ticket), ballots)?;
        let Ok(Answer::Chunk(mut answers)) = answer.await else { return Err(SubmitError::Stopping) };
        for answer in &mut answers {
            if let BulkAnswer::Repeated(repeat) = answer {
                *answer = lookup::resolve_line(&election, &self.shared.voters, repeat, self.shared.now());
            }
        }
        Ok(answers)
    }

    /// Whether a voter has voted, with receipts. Reads the disk; does not bother the writer.
    pub fn voter(&self, election: &ElectionHandle, voter: &Voter) -> Result<VoterStatus, ReadError> {
        let mut receipts = Vec::new();
        for leaf in lookup::leaves_of(election, &self.shared.voters, voter.tag)? {
            let opening = election.ballot_opening(leaf)?;
            receipts.push(lookup::receipt_of(election, leaf, &opening, self.shared.now())?);
        }
        Ok(VoterStatus { receipts })
    }

    fn election(&self, index: ElectionIndex) -> Result<Arc<ElectionHandle>, SubmitError> {
        let directory = self.shared.directory.load();
        let missing = || SubmitError::Rejected(Rejection::NoSuchElection(index.0.to_string()));
        directory.by_index.get(index.0 as usize).cloned().ok_or_else(missing)
    }

    fn ticket(&self, ballots: usize) -> (Ticket, oneshot::Receiver<Answer>) {
        let (reply, answer) = oneshot::channel();
        (Ticket { post: Some(Arc::clone(&self.post)), ballots, reply }, answer)
    }
}
