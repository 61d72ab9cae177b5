//! The network between nodes: a thread with sockets, TLS and timers, which knows nothing of what it carries.
//!
//! ```text
//! Network::send ──▶ queue of the peer ──▶ its connection ══TLS══▶ the other's reader ──▶ deliver(from, lane, bytes)
//! Network::ask ───────────────────────▶ one connection ══TLS══▶ on_ask(asker, bytes) ──▶ the answer
//! ```
//!
//! Each member keeps one connection to each other member, for what it sends; what it receives comes over the other's.
//! Anything sent may be lost: a queue that is full drops, a connection that breaks forgets. Who belongs is said by
//! [`Network::set_members`], and a peer is who its certificate says (`tls`).

mod accept;
mod ask;
mod beacon;
mod beacons;
mod begin;
mod frame;
mod key;
mod link;
mod peer;
#[cfg(test)]
mod tests;
mod tls;

use std::collections::BTreeMap;
use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use ledger::LedgerId;
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::NodeId;
use crate::time::ClockReading;
use peer::Peer;
use tls::Identity;

pub use ask::AskError;
pub use beacon::Beacon;
pub use beacons::{BEACON_PORT, OtherCluster, Sighting, Standing};
pub use begin::{Begin, BeginConfig, BeginError, Beginning, Mode, PROMISE_NAME};
pub use frame::{ASK_BYTES_MAX, FRAME_BYTES_MAX};
pub use key::{ClusterName, ClusterNameError, JOIN_KEY_BYTES, JoinKey, JoinKeyError};
pub use link::LinkError;
pub use peer::{PeerStatus, QUEUE_BYTES_MAX, QUEUE_FRAMES_MAX, URGENT_LANES_FROM};

/// A node that has no number yet.
pub const NEWCOMER: NodeId = NodeId(0);
/// The cluster of a node that belongs to none yet.
pub const NO_LEDGER: LedgerId = LedgerId([0; 16]);
/// Questions of others that are answered at one time; more are told to come again.
pub const ASKS_MAX: usize = 64;
/// Connections of others at one time, those that have not said who they are included.
pub const CONNECTIONS_MAX: usize = 256;

/// What a node needs to talk to others.
#[derive(Clone, Debug)]
pub struct NetworkConfig {
    pub name: ClusterName,
    pub key: JoinKey,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// Host and port under which the others reach this node; port 0 stands for the one that was bound.
    pub advertised: String,
    /// Hosts and ports at which members may be, tried beside what beacons tell.
    pub seeds: Vec<String>,
    /// Whether to look for others, and be found, by broadcast and multicast. On a loopback address they stay
    /// within the machine.
    pub beacons: bool,
    /// UDP port of the beacons, the same for all: [`BEACON_PORT`].
    pub beacon_port: u16,
}

/// Gets each message of a member: who sent it, on which lane, and its bytes. Called on the network's thread, so it
/// must not wait.
pub type Deliver = Box<dyn Fn(NodeId, u8, Bytes) + Send + Sync>;
/// Reads both clocks of the machine.
pub type Clocks = Box<dyn Fn() -> ClockReading + Send + Sync>;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asker {
    /// As its certificate says; [`NEWCOMER`] for one that has no number.
    pub node: NodeId,
    /// Whether it is one of [`Network::set_members`], and of the same cluster.
    pub is_member: bool,
    /// Its cluster as it says, [`NO_LEDGER`] for none.
    pub ledger: LedgerId,
    /// Where its connection comes from; not where it listens.
    pub from: SocketAddr,
}

/// Answers what others ask. Runs on the network's thread: it may await, but not block.
pub type OnAsk = Arc<dyn Fn(Asker, Bytes) -> Pin<Box<dyn Future<Output = Bytes> + Send>> + Send + Sync>;

/// Why a network cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error("port {} on {} is taken by another program: choose another with --node-listen, or end that one", address.port(), address.ip())]
    PortTaken { address: SocketAddr },
    #[error("cannot listen for other nodes on {address}")]
    Listen {
        address: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("cannot make this node's certificate")]
    Certificate(#[source] rcgen::Error),
    #[error("cannot prepare TLS between nodes")]
    Tls(#[source] rustls::Error),
    #[error("cannot start the network's thread")]
    Thread(#[source] io::Error),
}

/// A port that is this node's, before anything is said on it.
#[derive(Debug)]
pub struct BoundNetwork {
    config: NetworkConfig,
    listener: TcpListener,
    address: SocketAddr,
}

impl BoundNetwork {
    /// Where it listens, with the port that was found if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Host and port under which the others reach this node.
    #[must_use]
    pub fn advertised(&self) -> &str {
        &self.config.advertised
    }
}

/// Who this node is at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Own {
    pub node: NodeId,
    pub ledger: LedgerId,
}

pub(crate) type Members = Arc<BTreeMap<NodeId, String>>;

/// What the tasks of the network and its handle share.
pub(crate) struct Shared {
    pub identity: Identity,
    pub clocks: Clocks,
    pub deliver: Deliver,
    pub own: watch::Sender<Own>,
    pub members: watch::Sender<Members>,
    pub peers: RwLock<Arc<BTreeMap<NodeId, Arc<Peer>>>>,
    pub on_ask: RwLock<Option<OnAsk>>,
    pub asks: Arc<Semaphore>,
    pub complaints: link::Complaints,
    pub air: beacons::Air,
}

impl Shared {
    pub(crate) fn own(&self) -> Own {
        *self.own.borrow()
    }

    pub(crate) fn peers(&self) -> Arc<BTreeMap<NodeId, Arc<Peer>>> {
        self.peers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn unix(&self) -> Duration {
        Duration::from_micros(u64::try_from((self.clocks)().system_us).unwrap_or(0))
    }
}

/// A running network. Dropped, it ends its thread and closes every connection.
pub struct Network {
    shared: Arc<Shared>,
    runtime: Handle,
    config: NetworkConfig,
    address: SocketAddr,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Network {
    /// Takes the port, so that a second server on it ends before it has touched anything.
    pub fn bind(mut config: NetworkConfig) -> Result<BoundNetwork, NetError> {
        let address = config.listen;
        let listener = TcpListener::bind(address).map_err(|source| match source.kind() {
            io::ErrorKind::AddrInUse => NetError::PortTaken { address },
            _ => NetError::Listen { address, source },
        })?;
        let listen = |source| NetError::Listen { address, source };
        listener.set_nonblocking(true).map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        if let Some(host) = config.advertised.strip_suffix(":0") {
            config.advertised = format!("{host}:{}", address.port());
        }
        Ok(BoundNetwork { config, listener, address })
    }

    /// Begins to listen and to talk. `own` is [`NEWCOMER`] until [`Self::set_own`].
    pub fn start(
        bound: BoundNetwork,
        own: NodeId,
        ledger: LedgerId,
        clocks: Clocks,
        deliver: Deliver,
    ) -> Result<Self, NetError> {
        let BoundNetwork { config, listener, address } = bound;
        let unix = Duration::from_micros(u64::try_from(clocks().system_us).unwrap_or(0));
        let shared = Arc::new(Shared {
            identity: Identity::new(config.name.clone(), &config.key, own, unix)?,
            clocks,
            deliver,
            own: watch::Sender::new(Own { node: own, ledger }),
            members: watch::Sender::default(),
            peers: RwLock::default(),
            on_ask: RwLock::default(),
            asks: Arc::new(Semaphore::new(ASKS_MAX)),
            complaints: link::Complaints::default(),
            air: beacons::Air::new(&config, nonce()?),
        });
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(NetError::Thread)?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)
                .map_err(|source| NetError::Listen { address, source })?
        };
        let handle = runtime.handle().clone();
        runtime.spawn(accept::listen(shared.clone(), listener));
        runtime.spawn(renew_certificates(shared.clone()));
        if config.beacons {
            runtime.spawn(beacons::run(shared.clone(), config.clone()));
        }
        let (stop, stopped) = oneshot::channel();
        let run = move || {
            _ = runtime.block_on(stopped);
            runtime.shutdown_timeout(Duration::from_secs(1));
        };
        let thread =
            std::thread::Builder::new().name("network".to_owned()).spawn(run).map_err(NetError::Thread)?;
        Ok(Self {
            shared,
            runtime: handle,
            config,
            address,
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    #[must_use]
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// This node's number and cluster from now on: makes a certificate with it, and begins connections anew.
    pub fn set_own(&self, node: NodeId, ledger: LedgerId) -> Result<(), NetError> {
        self.shared.identity.renew(node, self.shared.unix())?;
        self.shared.own.send_replace(Own { node, ledger });
        self.keep_peers();
        Ok(())
    }

    /// Makes a new certificate for new connections; those that stand go on. Done by itself once a day.
    pub fn renew(&self) -> Result<(), NetError> {
        self.shared.identity.renew(self.shared.own().node, self.shared.unix())
    }

    /// Who belongs, with the address of each; this node itself may be among them. Connections with anybody else end.
    pub fn set_members(&self, members: &[(NodeId, String)]) {
        self.shared.members.send_replace(Arc::new(members.iter().cloned().collect()));
        self.keep_peers();
    }

    /// One [`Peer`] for each member but this node; those that stay keep their connections.
    fn keep_peers(&self) {
        let mut held = self.shared.peers.write().unwrap_or_else(PoisonError::into_inner);
        let (members, own) = (self.shared.members.borrow().clone(), self.shared.own().node);
        let before = held.clone();
        let mut after = BTreeMap::new();
        for (&id, address) in members.iter().filter(|(id, _)| **id != own) {
            let kept = before.get(&id).filter(|peer| peer.address() == address);
            let start = || Peer::start(id, address.clone(), self.shared.clone(), &self.runtime);
            after.insert(id, kept.cloned().unwrap_or_else(start));
        }
        let is_kept = |peer: &Arc<Peer>| after.values().any(|kept| Arc::ptr_eq(kept, peer));
        before.values().filter(|peer| !is_kept(peer)).for_each(|peer| peer.stop());
        *held = Arc::new(after);
    }

    /// Hands `payload` to the connection to `to`, and never waits. It is dropped, and counted in
    /// [`PeerStatus::dropped`], where the queue is full; to anybody but a member it is dropped uncounted.
    ///
    /// Frames of lanes below [`URGENT_LANES_FROM`] arrive in the order in which they were sent, if they arrive;
    /// those of higher lanes go before all of these that still wait.
    pub fn send(&self, to: NodeId, lane: u8, payload: Bytes) {
        if let Some(peer) = self.shared.peers().get(&to) {
            peer.send(lane, payload);
        }
    }

    /// Each other member, by rising number.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerStatus> {
        let now = (self.shared.clocks)();
        self.shared.peers().values().map(|peer| peer.status(now)).collect()
    }

    /// What this node's beacons say beside who it is.
    pub fn set_standing(&self, standing: Standing) {
        *self.shared.air.standing.lock().unwrap_or_else(PoisonError::into_inner) = standing;
    }

    /// Other nodes of this name and key that were heard lately. Hints.
    #[must_use]
    pub fn sightings(&self) -> Vec<Sighting> {
        self.shared.air.sightings()
    }

    /// Other clusters of this name and key on the network; nothing for a node that belongs to none itself.
    #[must_use]
    pub fn other_clusters(&self) -> Vec<OtherCluster> {
        let own = self.shared.own().ledger;
        let mut others = BTreeMap::new();
        for Sighting { beacon, heard_ms_ago } in self.sightings() {
            if own != NO_LEDGER && !beacon.is_blank() && beacon.ledger != own {
                let cluster = beacon.ledger;
                others.insert(cluster, OtherCluster { cluster, address: beacon.address, heard_ms_ago });
            }
        }
        others.into_values().collect()
    }

    /// Datagrams on the beacons' port that nobody with the join key signed.
    #[must_use]
    pub fn beacons_refused(&self) -> u64 {
        self.shared.air.refused()
    }

    /// Connections that failed or were refused in the last minute, in words: each once, however often it happened.
    #[must_use]
    pub fn troubles(&self) -> Vec<String> {
        self.shared.complaints.recent()
    }

    /// Sets who answers what others ask; before that they are told that this node is busy.
    pub fn on_ask<F, A>(&self, handler: F)
    where
        F: Fn(Asker, Bytes) -> A + Send + Sync + 'static,
        A: Future<Output = Bytes> + Send + 'static,
    {
        let boxed: OnAsk = Arc::new(move |asker, bytes| Box::pin(handler(asker, bytes)));
        *self.shared.on_ask.write().unwrap_or_else(PoisonError::into_inner) = Some(boxed);
    }

    /// Asks whoever is at `address` (host and port), over a connection of its own, and waits for the answer for at
    /// most `timeout`. At most [`ASK_BYTES_MAX`] either way. The future runs anywhere.
    pub fn ask(
        &self,
        address: &str,
        question: Bytes,
        timeout: Duration,
    ) -> impl Future<Output = Result<Bytes, AskError>> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        let address = address.to_owned();
        let (shared, asked) = (self.shared.clone(), address.clone());
        self.runtime.spawn(async move {
            _ = answer.send(ask::ask(&shared, asked, question, timeout).await);
        });
        async move { answered.await.unwrap_or(Err(AskError { address, reason: LinkError::Stopped })) }
    }

    /// [`Self::ask`] for threads that may wait; not for the network's own, nor any other that runs tasks.
    pub fn ask_blocking(&self, address: &str, question: Bytes, timeout: Duration) -> Result<Bytes, AskError> {
        let (answer, answered) = std::sync::mpsc::sync_channel(1);
        let (shared, asked) = (self.shared.clone(), address.to_owned());
        self.runtime.spawn(async move {
            _ = answer.send(ask::ask(&shared, asked, question, timeout).await);
        });
        let stopped = || AskError { address: address.to_owned(), reason: LinkError::Stopped };
        answered.recv().unwrap_or_else(|_| Err(stopped()))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let held = |lock: &Mutex<Option<oneshot::Sender<()>>>| {
            lock.lock().unwrap_or_else(PoisonError::into_inner).take()
        };
        drop(held(&self.stop));
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A handler that holds the last handle runs on the very thread that would be waited for.
        if let Some(thread) = thread.filter(|thread| thread.thread().id() != std::thread::current().id()) {
            _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Network").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Names this process among others; from the source that TLS draws from.
fn nonce() -> Result<[u8; 16], NetError> {
    let mut nonce = [0; 16];
    let random = rustls::crypto::ring::default_provider().secure_random;
    random.fill(&mut nonce).map_err(|error| NetError::Tls(error.into()))?;
    Ok(nonce)
}

async fn renew_certificates(shared: Arc<Shared>) {
    loop {
        tokio::time::sleep(tls::RENEW_EVERY).await;
        if let Err(error) = shared.identity.renew(shared.own().node, shared.unix()) {
            tracing::error!(%error, "this node's certificate could not be renewed");
        }
    }
}
