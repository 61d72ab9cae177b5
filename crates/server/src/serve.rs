//! Start and stop: listens, deals connections out to workers, and ends them in good order.

use crate::app::App;
use crate::config::{ServerConfig, TlsFiles};
use crate::problem::{self, Problem};
use crate::worker::{Accepted, Worker, stopped};
use crate::zmq;
use node::Handle;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio_rustls::TlsAcceptor;

/// Connections that wait for a worker to take them.
const ACCEPTED_MAX: usize = 1_024;
/// How often the members of the cluster are looked at.
const MEMBERS_EVERY: Duration = Duration::from_millis(250);
/// How often new elections are looked at for pictures that are not here.
const PICTURES_EVERY: Duration = Duration::from_secs(1);
/// File descriptors kept for the ledger, logs and runtimes.
const FILES_RESERVED: u64 = 200;

#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("cannot listen")]
    Listen(#[source] io::Error),
    #[error("cannot read `{}`", path.display())]
    TlsFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("`{}` holds no usable certificate or key", path.display())]
    TlsContent { path: PathBuf },
    #[error("the certificate and the key do not go together")]
    TlsPair(#[source] rustls::Error),
    #[error("cannot begin to serve the node")]
    Node(#[from] node::NodeError),
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
    #[error("cannot publish over ZeroMQ at `{address}`: {reason}")]
    Zmq { address: String, reason: String },
}

/// A server at work.
pub struct Running {
    app: Arc<App>,
    address: SocketAddr,
    zmq_address: Option<String>,
    stop: watch::Sender<bool>,
    threads: Vec<JoinHandle<()>>,
    /// Ends the thread that gets pictures, when dropped.
    pictures_stop: std::sync::mpsc::Sender<()>,
    /// Keeps the file of checked receipts; stopped after all others, so that nothing is left out.
    keeper: JoinHandle<()>,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("address", &self.address).finish_non_exhaustive()
    }
}

/// Raises the soft limit of open files to the hard one; returns how many people there is room for.
///
/// Each person holds one connection, or two while the live feed is open beside a request.
pub fn room_for_people(limits: &crate::limits::Limits) -> u64 {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let files = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: files.maximum, maximum: files.maximum };
    if files.current != files.maximum {
        let _ = setrlimit(Resource::Nofile, raised);
    }
    let allowed = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    allowed.saturating_sub(FILES_RESERVED).min(limits.connections_max as u64)
}

/// Serves on `listener` until [`Running::stop`].
pub fn start(listener: TcpListener, config: ServerConfig, node: Handle) -> Result<Running, ServerError> {
    let address = listener.local_addr().map_err(ServerError::Listen)?;
    listener.set_nonblocking(true).map_err(ServerError::Listen)?;
    let tls = config.tls.as_ref().map(tls_acceptor).transpose()?;
    let base_url = base_url(&config, address);
    let cores = std::thread::available_parallelism().map_or(1, |cores| cores.get());
    let workers = config.workers.unwrap_or(cores).max(1);
    let app = Arc::new(App::new(config, node, base_url, workers, rand::random()));
    let (stop, stopped) = watch::channel(false);
    let mut threads = Vec::new();
    let mut zmq_address = None;
    if let Some(address) = &app.config.zmq {
        let (thread, bound) = zmq::start(Arc::clone(&app), address, stopped.clone())?;
        threads.push(thread);
        zmq_address = Some(bound);
    }
    let mut lines = Vec::new();
    for number in 0..workers {
        let (line, accepted) = mpsc::channel(ACCEPTED_MAX);
        lines.push(line);
        let edge = Some(app.node.edge()?);
        let (app, tls, stop) = (Arc::clone(&app), tls.clone(), stopped.clone());
        let worker = Worker { app, number, edge, accepted, tls, stop };
        threads.push(spawn(format!("hustings-http-{number}"), move || worker.run())?);
    }
    let accepting = Accepting { app: Arc::clone(&app), lines, stop: stopped };
    threads.push(spawn("hustings-accept".to_owned(), move || accepting.run(listener))?);
    let (pictures_stop, until) = std::sync::mpsc::channel();
    if app.pictures.has_source() {
        let app = Arc::clone(&app);
        threads.push(spawn("hustings-pictures".to_owned(), move || get_pictures(&app, &until))?);
    }
    let keeping = Arc::clone(&app);
    let keeper = spawn("hustings-checked".to_owned(), move || keeping.checked.keep())?;
    Ok(Running { app, address, zmq_address, stop, threads, pictures_stop, keeper })
}

pub(crate) fn spawn(
    name: String,
    work: impl FnOnce() + Send + 'static,
) -> Result<JoinHandle<()>, ServerError> {
    std::thread::Builder::new().name(name).spawn(work).map_err(ServerError::Thread)
}

/// Gets the pictures of new elections from the server where they were added, so that they outlive it.
fn get_pictures(app: &App, until: &std::sync::mpsc::Receiver<()>) {
    let mut seen = 0;
    while until.recv_timeout(PICTURES_EVERY) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
        let directory = app.node.directory();
        for election in directory.by_index.iter().skip(seen) {
            app.pictures.fetch_missing(&election.definition);
        }
        seen = directory.by_index.len();
    }
}

/// The configured address, or the bound one; an unspecified host reads as loopback.
fn base_url(config: &ServerConfig, bound: SocketAddr) -> String {
    if let Some(url) = &config.base_url {
        return url.trim_end_matches('/').to_owned();
    }
    let scheme = if config.tls.is_some() { "https" } else { "http" };
    let host = match bound {
        bound if !bound.ip().is_unspecified() => bound,
        SocketAddr::V4(_) => SocketAddr::from(([127, 0, 0, 1], bound.port())),
        SocketAddr::V6(_) => SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), bound.port()),
    };
    format!("{scheme}://{host}")
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where ZeroMQ subscribers connect to, with the port that was bound.
    pub fn zmq_address(&self) -> Option<&str> {
        self.zmq_address.as_deref()
    }

    /// Scheme and authority of every link this server writes.
    pub fn base_url(&self) -> &str {
        &self.app.base_url
    }

    /// A one-time code that lets an officer's browser in, also over plain HTTP.
    pub fn new_pairing_code(&self) -> String {
        self.app.officers.new_code(&self.app.node, self.app.now_ms())
    }

    /// Takes no more connections, answers what is in work, and returns when every thread has ended.
    /// Bounded by `stop_timeout_seconds`. The node is stopped after this, by its owner.
    pub fn stop(self) {
        self.app.is_stopping.store(true, Relaxed);
        let _ = self.stop.send(true);
        drop(self.pictures_stop);
        let last = std::iter::once_with(|| {
            self.app.checked.stop();
            self.keeper
        });
        for thread in self.threads.into_iter().chain(last) {
            if thread.join().is_err() {
                tracing::error!("a server thread panicked");
            }
        }
    }
}

/// The accept thread.
struct Accepting {
    app: Arc<App>,
    lines: Vec<mpsc::Sender<Accepted>>,
    stop: watch::Receiver<bool>,
}

impl Accepting {
    fn run(self, listener: TcpListener) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime needs a few file descriptors, and the room for them was checked");
        runtime.block_on(self.accept(listener));
    }

    async fn accept(mut self, listener: TcpListener) {
        let listener = tokio::net::TcpListener::from_std(listener)
            .expect("the listener is not blocking and this thread has a runtime");
        let mut next = 0;
        let mut look = tokio::time::interval(MEMBERS_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = look.tick() => {
                    self.app.look_at_members();
                    continue;
                }
                () = stopped(&mut self.stop) => return,
            };
            match accepted.and_then(|(stream, peer)| Ok((stream.into_std()?, peer))) {
                Ok(accepted) => {
                    self.deal(accepted, next);
                    next = (next + 1) % self.lines.len();
                }
                Err(error) => {
                    // Out of file descriptors, most likely: waiting lets some go.
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    /// Hands a connection to worker `next`, or answers 503 itself if there are too many.
    fn deal(&self, (stream, peer): Accepted, next: usize) {
        let _ = stream.set_nodelay(true);
        let count = self.app.connections.fetch_add(1, Relaxed);
        if count >= self.app.limits().connections_max {
            self.app.connections.fetch_sub(1, Relaxed);
            refuse(&stream);
        } else if let Err(error) = self.lines[next].try_send((stream, peer)) {
            self.app.connections.fetch_sub(1, Relaxed);
            let (mpsc::error::TrySendError::Full((stream, _))
            | mpsc::error::TrySendError::Closed((stream, _))) = error;
            refuse(&stream);
        }
    }
}

/// One small write that fits any send buffer; a client that cannot take it learns from the close.
fn refuse(mut stream: &TcpStream) {
    let problem =
        Problem::new(&problem::OVERLOADED, "the server holds as many connections as it may").retry_after(2);
    let _ = stream.write(&problem.raw_response());
    let _ = stream.shutdown(std::net::Shutdown::Write);
}

fn tls_acceptor(files: &TlsFiles) -> Result<TlsAcceptor, ServerError> {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let read = |path: &PathBuf| {
        std::fs::read(path).map_err(|source| ServerError::TlsFile { path: path.clone(), source })
    };
    let content = |path: &PathBuf| ServerError::TlsContent { path: path.clone() };
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&read(&files.certificates)?)
        .collect::<Result<_, _>>()
        .map_err(|_| content(&files.certificates))?;
    if certificates.is_empty() {
        return Err(content(&files.certificates));
    }
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|_| content(&files.key))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(ServerError::TlsPair)?
        .with_no_client_auth()
        .with_single_cert(certificates, key)
        .map_err(ServerError::TlsPair)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
