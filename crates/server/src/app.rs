//! What all workers share, and what belongs to one of them.

use crate::buckets::{Buckets, Rate};
use crate::checked::Checked;
use crate::config::ServerConfig;
use crate::cookies::Cookies;
use crate::counters::Counters;
use crate::feed::{Feeds, Present};
use crate::limits::Limits;
use crate::members::Members;
use crate::officers::Officers;
use crate::pictures::{Pictures, names_in};
use arc_swap::ArcSwap;
use node::{Edge, Handle, Mailbox};
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use tokio::sync::Semaphore;

/// Cells of the bucket tables: a voter shares two of 65,536 with others, half a megabyte in all.
const VOTER_CELLS: usize = 65_536;
const ADDRESS_CELLS: usize = 16_384;
const ELECTION_CELLS: usize = 1_024;
const SEARCHES_MAX: usize = 2;

/// Rate limits, by whom they hold for.
#[derive(Debug)]
pub struct Rates {
    pub ballots_of_voter: Buckets,
    pub ballots_of_election: Buckets,
    pub sessions_of_election: Buckets,
    pub sessions_of_address: Buckets,
    pub logins: Buckets,
}

impl Rates {
    fn new(limits: &Limits, seed: u64) -> Self {
        let rate = |per_second, burst| Rate { per_second, burst };
        Self {
            ballots_of_voter: Buckets::new(
                rate(limits.ballots_per_voter_per_second, limits.ballots_per_voter_burst),
                VOTER_CELLS,
                seed,
            ),
            ballots_of_election: Buckets::new(
                rate(limits.ballots_per_election_per_second, limits.ballots_per_election_burst),
                ELECTION_CELLS,
                seed,
            ),
            sessions_of_election: Buckets::new(
                rate(limits.sessions_per_election_per_second, limits.sessions_per_election_burst),
                ELECTION_CELLS,
                seed,
            ),
            sessions_of_address: Buckets::new(
                rate(limits.sessions_per_address_per_second, limits.sessions_per_address_burst),
                ADDRESS_CELLS,
                seed,
            ),
            logins: Buckets::single(rate(1.max(limits.logins_per_minute / 60), limits.logins_per_minute)),
        }
    }
}

/// Shared by all workers.
#[derive(Debug)]
pub struct App {
    pub config: ServerConfig,
    pub node: Handle,
    /// Where people reach this server, without a slash at the end.
    pub base_url: String,
    pub is_tls: bool,
    pub cookies: Cookies,
    pub officers: Officers,
    pub rates: Rates,
    pub counters: Vec<Arc<Counters>>,
    pub connections: AtomicUsize,
    pub subscribers: Arc<AtomicUsize>,
    /// Who follows which room.
    pub present: Arc<Present>,
    pub record_downloads: Arc<Semaphore>,
    pub bulk_chunks: Arc<Semaphore>,
    /// Searches for a code, which read a whole tree.
    pub searches: Arc<Semaphore>,
    /// Ballots that were looked up with their receipts.
    pub checked: Checked,
    pub pictures: Pictures,
    members: ArcSwap<Members>,
    pub is_stopping: AtomicBool,
}

impl App {
    pub fn new(config: ServerConfig, node: Handle, base_url: String, workers: usize, seed: u64) -> Self {
        let limits = &config.limits;
        let members = Members::of(&node.cluster(&base_url), &base_url, &config.also_at);
        Self {
            base_url,
            is_tls: config.tls.is_some(),
            cookies: Cookies::new(&node.identity().log.to_string()),
            officers: Officers::new(
                limits.officer_logouts_max,
                limits.officer_session_hours,
                limits.pairing_code_minutes,
            ),
            rates: Rates::new(limits, seed),
            counters: (0..workers).map(|_| Arc::default()).collect(),
            connections: AtomicUsize::new(0),
            subscribers: Arc::default(),
            present: Arc::default(),
            record_downloads: Arc::new(Semaphore::new(limits.record_downloads_max)),
            bulk_chunks: Arc::new(Semaphore::new(limits.bulk_chunks_max)),
            searches: Arc::new(Semaphore::new(SEARCHES_MAX)),
            checked: Checked::open(node.folder().checked()),
            pictures: Pictures::new(node.folder().pictures(), limits, config.picture_source.clone()),
            members: ArcSwap::from_pointee(members),
            is_stopping: AtomicBool::new(false),
            node,
            config,
        }
    }

    /// The servers beside this one, as of a moment ago.
    pub fn members(&self) -> arc_swap::Guard<Arc<Members>> {
        self.members.load()
    }

    /// Takes over who belongs to the cluster now. Asked a few times a second, so that no request has to.
    pub fn look_at_members(&self) {
        let members = Members::of(&self.node.cluster(&self.base_url), &self.base_url, &self.config.also_at);
        if **self.members.load() != members {
            self.members.store(Arc::new(members));
        }
    }

    /// A picture that an election shows, or that was added here; with its content type. Blocking, for seconds where
    /// another server is asked.
    pub fn picture(&self, name: &str) -> Option<(bytes::Bytes, &'static str)> {
        let is_named = || {
            let directory = self.node.directory();
            let mut elections = directory.by_index.iter();
            elections.any(|election| names_in(&election.definition).any(|known| known == name))
        };
        self.pictures.find_anywhere(name, is_named)
    }

    pub fn limits(&self) -> &Limits {
        &self.config.limits
    }

    /// Waits until this server shows everything that was acknowledged before now. Where no majority is heard of, what
    /// it shows is as old as it says.
    pub async fn catch_up(&self) {
        if let Err(error) = self.node.catch_up().await {
            tracing::debug!(%error, "what is shown may be old");
        }
    }

    pub fn now_ms(&self) -> u64 {
        self.node.now().0
    }

    pub fn is_stopping(&self) -> bool {
        self.is_stopping.load(Relaxed)
    }
}

/// One worker's own: what needs no lock because only its thread touches it.
///
/// Kept in a thread-local, because handlers have to be `Send` for the router although they never leave
/// their thread: the worker's runtime has no other.
#[derive(Debug)]
pub struct Local {
    pub mailbox: Mailbox,
    pub edge: RefCell<Edge>,
    pub counters: Arc<Counters>,
    pub feeds: Feeds,
}

thread_local! {
    static LOCAL: RefCell<Option<Local>> = const { RefCell::new(None) };
}

/// Gives this thread its own; called once, when a worker starts. It goes with the thread.
pub fn install(local: Local) {
    LOCAL.with(|cell| *cell.borrow_mut() = Some(local));
}

/// Asks this worker's own.
pub fn with_local<R>(ask: impl FnOnce(&Local) -> R) -> R {
    LOCAL.with(|cell| {
        let local = cell.borrow();
        ask(local.as_ref().expect("handlers run on worker threads, which install theirs first"))
    })
}

/// Asks this worker's edge.
pub fn with_edge<R>(ask: impl FnOnce(&mut Edge) -> R) -> R {
    with_local(|local| ask(&mut local.edge.borrow_mut()))
}

/// Counts something on this worker.
pub fn count(counter: impl FnOnce(&Counters)) {
    with_local(|local| counter(&local.counters));
}

/// This worker's way to the writer.
pub fn mailbox() -> Mailbox {
    with_local(|local| local.mailbox.clone())
}
