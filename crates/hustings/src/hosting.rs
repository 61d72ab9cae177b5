//! A server inside this process, for `serve`, `demo` and `poll`: the port taken, the node started, the HTTP side
//! put on it, a stop asked for by signal, and everything ended in order.

use std::io::{self, IsTerminal as _};
use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use ledger::LedgerOptions;
use node::cluster_shell::Place;
use node::folder::DataFolder;
use node::{Handle, Node, NodeConfig, NodeError, OfficerToken, Started};
use server::{Running, ServerError};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing_subscriber::EnvFilter;
use zeroize::Zeroizing;

use crate::addresses;
use crate::clustering::{self, Lines};
use crate::commands::manifest::ledger_failure;
use crate::config::{ClusterSettings, Config, LogForm};
use crate::exit::{Exit, Failure};
use crate::output::note;

/// Connections the system keeps while the server has not accepted them yet.
const BACKLOG: i32 = 4_096;
/// Further ports that `demo` and `poll` try.
pub const PORTS_TRIED: u16 = 20;

/// Takes the port, or says which one cannot be had.
pub fn listen(address: SocketAddr) -> Result<TcpListener, Failure> {
    let listener = TcpListener::bind(address).map_err(|error| cannot_listen(address, &error))?;
    // The standard library asks for a short queue; a crowd that comes at once needs a longer one.
    rustix::net::listen(&listener, BACKLOG).map_err(|error| cannot_listen(address, &error.into()))?;
    Ok(listener)
}

/// Takes the port or one of the next twenty. `None` port to begin with: any free one.
pub fn listen_nearby(address: SocketAddr) -> Result<TcpListener, Failure> {
    let first = match listen(address) {
        Ok(listener) => return Ok(listener),
        Err(failure) if failure.code.as_deref() == Some(PORT_TAKEN) => failure,
        Err(failure) => return Err(failure),
    };
    for step in 1..=PORTS_TRIED {
        let Some(port) = address.port().checked_add(step) else {
            break;
        };
        if let Ok(listener) = listen(SocketAddr::new(address.ip(), port)) {
            note(format!("Port {} is taken, so this runs on port {port}.", address.port()));
            return Ok(listener);
        }
    }
    Err(first.hint(format!("So are the next {PORTS_TRIED}. Choose another with --listen ADDR:PORT.")))
}

const PORT_TAKEN: &str = "port_taken";

fn cannot_listen(address: SocketAddr, error: &io::Error) -> Failure {
    let port = address.port();
    match error.kind() {
        io::ErrorKind::AddrInUse => Failure::new(Exit::Unavailable, format!("port {port} is taken"))
            .code(PORT_TAKEN)
            .hint(format!("Another program listens on {address}. End it, or choose another port with --listen ADDR:PORT.")),
        io::ErrorKind::PermissionDenied => {
            Failure::new(Exit::Unavailable, format!("port {port} may not be used by this account"))
                .hint("Ports below 1024 need rights; choose a higher one with --listen ADDR:PORT.")
        }
        io::ErrorKind::AddrNotAvailable => {
            Failure::usage(format!("{} is not an address of this machine", address.ip()))
                .hint("0.0.0.0 listens on all of its addresses.")
        }
        _ => Failure::new(Exit::Unavailable, format!("cannot listen on {address}: {error}")),
    }
}

/// Sends logs to standard error.
pub fn log_to_stderr(config: &Config) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&config.log)
        .map_err(|error| Failure::usage(format!("setting `log` is not a filter: {error}")))?;
    let logger = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| UnfailingStderr)
        .log_internal_errors(false)
        .with_ansi(io::stderr().is_terminal());
    let set = match config.log_form {
        LogForm::Human => logger.with_target(false).try_init(),
        LogForm::Json => logger.json().try_init(),
    };
    set.map_err(|error| Failure::new(Exit::Internal, format!("cannot start the log: {error}")))
}

/// Standard error that takes everything: a log on a full disk, or a pipe that nobody reads any more, must not
/// bring down the thread that wanted to say something.
struct UnfailingStderr;

impl io::Write for UnfailingStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = io::stderr().lock().write_all(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Name of the node's thread that writes the log.
const WRITER_THREAD: &str = "writer";

/// A panic of the writer ends the process: a server that takes ballots and never answers is worse than none.
fn end_with_the_writer() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        let is_writer = std::thread::current().name() == Some(WRITER_THREAD);
        if !is_writer {
            return usual(panic);
        }
        note(format!("hustings: a fault of the program in the writer: {panic}"));
        std::process::exit(Exit::Internal as i32);
    }));
}

/// A server at work in this process.
#[derive(Debug)]
pub struct Hosted {
    node: Node,
    running: Running,
    pub handle: Handle,
    /// Addresses under which others reach it, the best first.
    pub addresses: Vec<SocketAddr>,
    pub scheme: &'static str,
    /// Made at the first start; printed once, then known as a hash only.
    pub new_officer_token: Option<String>,
    /// How many people there is room for.
    pub room: u64,
    pub cluster: Option<InCluster>,
}

/// What a server in a cluster has besides.
#[derive(Debug)]
pub struct InCluster {
    /// Ended after the node, whose letters it carries.
    _lines: Lines,
    pub name: String,
    pub node: u64,
    /// Where the other servers reach this one.
    pub node_address: String,
    /// Made just now; printed once.
    pub new_join_key: Option<Zeroizing<String>>,
}

/// Starts a node on the data folder and serves it on `listener`.
pub fn host(config: Config, listener: TcpListener, officer_token: Option<OfficerToken>) -> Result<Hosted> {
    let site = Site::of(config, &listener)?;
    clustering::refuse_to_go_alone(&site.config.data)?;
    let started = Node::start(site.node_config(officer_token)).map_err(node_failure)?;
    site.serve(listener, started, None)
}

/// The same in a cluster: takes the port for the other servers, its place among them, and then serves. Waits where the
/// place is not to be had yet.
pub fn host_in_cluster(
    config: Config,
    settings: &ClusterSettings,
    is_first: bool,
    listener: TcpListener,
    officer_token: Option<OfficerToken>,
) -> Result<Hosted> {
    let mut site = Site::of(config, &listener)?;
    let was_there = DataFolder::new(&site.config.data).cluster().exists();
    let kept = clustering::kept_place(&site.config.data, settings)?;
    let key = clustering::join_key(&site.config.data, is_first)?;
    let new_join_key = key.is_new.then(|| key.key.to_text());
    let lines = Lines::open(settings, key.key)?;
    let http_address = site.server_config.base_url.clone().unwrap_or_default();
    let data = &site.config.data;
    let begin = |kept: Option<Place>, lines: &Lines| -> Result<Started> {
        let cluster =
            clustering::take_place(lines, settings, data, kept, was_there, is_first, &http_address)?;
        Ok(Node::start_in_cluster(site.node_config(officer_token.clone()), cluster)?)
    };
    let started = match begin(kept, &lines) {
        Err(error) if can_be_fetched(data)? && error.downcast_ref().is_some_and(NodeError::is_damage) => {
            let suffix = Place::give_up(&DataFolder::new(data)).map_err(node_failure)?;
            note(format!(
                "This server's ledger is damaged: {error}. It is kept beside as *{suffix}; the server joins anew, under \
                 another number, and fetches everything from the others."
            ));
            begin(None, &lines)
        }
        other => other,
    };
    let started = started.map_err(|error| match error.downcast::<NodeError>() {
        Ok(error) => node_failure(error).into(),
        Err(error) => error,
    })?;
    let name = settings.name.as_str().to_owned();
    let node = started.handle.cluster("").this;
    lines.serve(&started.handle, &name);
    site.server_config.picture_source = Some(lines.pictures(&started.handle));
    let node_address = lines.network.config().advertised.clone();
    site.serve(listener, started, Some(InCluster { _lines: lines, name, node, node_address, new_join_key }))
}

/// Whether other servers of the cluster have what this one has lost. One alone keeps its damaged ledger where it is.
fn can_be_fetched(data: &std::path::Path) -> Result<bool> {
    Ok(Place::read(&DataFolder::new(data)).map_err(node_failure)?.is_some_and(|place| place.others))
}

/// What is known before the node runs.
struct Site {
    config: Config,
    server_config: server::ServerConfig,
    addresses: Vec<SocketAddr>,
    scheme: &'static str,
    room: u64,
}

impl Site {
    fn of(mut config: Config, listener: &TcpListener) -> Result<Self> {
        end_with_the_writer();
        let address = listener.local_addr().context("the listener has no address")?;
        let mut server_config = std::mem::replace(&mut config.server, server::ServerConfig::plain());
        let room = server::room_for_people(&server_config.limits);
        let scheme = if server_config.tls.is_some() { "https" } else { "http" };
        let addresses = addresses::reachable(address);
        if server_config.base_url.is_none() {
            let best = addresses.first().copied().unwrap_or(address);
            server_config.base_url = Some(addresses::base_url(scheme, best));
        }
        Ok(Self { config, server_config, addresses, scheme, room })
    }

    fn node_config(&self, officer_token: Option<OfficerToken>) -> NodeConfig {
        let config = &self.config;
        NodeConfig {
            max_concurrent: config.max_concurrent,
            queue_max: config.queue_max,
            officer_token,
            snapshot_every_ballots: config.snapshot_every_ballots,
            ledger: LedgerOptions { segment_bytes_max: config.segment_bytes_max, ..LedgerOptions::STANDARD },
            ..NodeConfig::standard(config.data.clone())
        }
    }

    fn serve(self, listener: TcpListener, started: Started, cluster: Option<InCluster>) -> Result<Hosted> {
        let Started { node, handle, notes, new_officer_token } = started;
        for line in notes {
            note(line);
        }
        let running = match server::start(listener, self.server_config, handle.clone()) {
            Ok(running) => running,
            Err(error) => {
                let _ = node.stop();
                return Err(server_failure(error).into());
            }
        };
        Ok(Hosted {
            node,
            running,
            handle,
            addresses: self.addresses,
            scheme: self.scheme,
            new_officer_token: new_officer_token.map(|token| token.text().to_owned()),
            room: self.room,
            cluster,
        })
    }
}

impl Hosted {
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    /// Scheme and authority of the links it writes.
    pub fn base_url(&self) -> &str {
        self.running.base_url()
    }

    /// An address that this machine itself can use, whatever voters use.
    pub fn local_url(&self) -> String {
        let own = self.addresses.last().copied().unwrap_or(self.address());
        addresses::base_url(self.scheme, own)
    }

    pub fn zmq_address(&self) -> Option<&str> {
        self.running.zmq_address()
    }

    pub fn pairing_code(&self) -> String {
        self.running.new_pairing_code()
    }

    /// Hands over what it leads, answers what it accepted, then closes the log.
    pub fn stop(self) -> Result<()> {
        if self.cluster.is_some() {
            clustering::leave(&self.handle)?;
        }
        self.running.stop();
        drop(self.handle);
        let stopped = self.node.stop().map_err(node_failure);
        drop(self.cluster);
        Ok(stopped?)
    }
}

/// Ctrl-C and SIGTERM, caught from the moment this is made.
#[derive(Debug)]
pub struct StopSignals {
    runtime: tokio::runtime::Runtime,
    interrupt: Signal,
    terminate: Signal,
}

impl StopSignals {
    /// Catches the signals; to be called before anything is promised to anybody.
    pub fn catch() -> Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().context("no runtime")?;
        let inside = runtime.enter();
        let interrupt = signal(SignalKind::interrupt()).context("cannot catch Ctrl-C")?;
        let terminate = signal(SignalKind::terminate()).context("cannot catch SIGTERM")?;
        drop(inside);
        Ok(Self { runtime, interrupt, terminate })
    }

    /// Waits for one. A second one ends the process at once; what was acknowledged is on disk.
    pub fn wait(mut self) {
        self.next();
        std::thread::spawn(move || {
            self.next();
            note("Ended at once.");
            std::process::exit(Exit::Unavailable as i32);
        });
    }

    fn next(&mut self) {
        let Self { runtime, interrupt, terminate } = self;
        runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        });
    }
}

/// The exit code of a node's error.
pub fn node_failure(error: NodeError) -> Failure {
    let is_damage = error.is_damage();
    match error {
        NodeError::Ledger(error) => ledger_failure(error),
        error => {
            let exit = match &error {
                _ if is_damage => Exit::Damaged,
                NodeError::NotEmpty(_) | NodeError::NoLedger(_) | NodeError::Secret { .. } => Exit::Usage,
                NodeError::File { .. } | NodeError::Cache(_) => Exit::Io,
                _ => Exit::Internal,
            };
            let cause =
                std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
            Failure::new(exit, format!("{error}{cause}"))
        }
    }
}

fn server_failure(error: ServerError) -> Failure {
    let exit = match &error {
        ServerError::TlsFile { .. } | ServerError::TlsContent { .. } | ServerError::TlsPair(_) => Exit::Usage,
        ServerError::Listen(_) | ServerError::Zmq { .. } => Exit::Unavailable,
        ServerError::Thread(_) | ServerError::Node(_) => Exit::Internal,
    };
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(exit, format!("{error}{cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_named_and_the_next_one_found() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let taken = listen(any).expect("a free port");
        let address = taken.local_addr().expect("bound");
        let failure = listen(address).expect_err("is taken");
        assert_eq!(
            (failure.exit, failure.message),
            (Exit::Unavailable, format!("port {} is taken", address.port()))
        );
        let near = listen_nearby(address).expect("one of the next twenty is free");
        assert_ne!(near.local_addr().expect("bound").port(), address.port());
    }
}
