//! One connection: made, greeted, or given up with a reason.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_rustls::client::TlsStream;

use super::frame::{Greeting, Purpose, REPLY_BYTES, Reply, Verdict};
use super::key::ClusterName;
use super::{Shared, tls};
use crate::NodeId;

/// Why two nodes cannot talk, or not any more.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    #[error("there is no connection")]
    Connection(#[source] io::Error),
    #[error(
        "the two nodes have different join keys: the certificate was made with another join key than this node's"
    )]
    OtherKey,
    #[error(
        "the clocks of the two machines are days apart, so that a certificate is not valid: set the clocks"
    )]
    Clock,
    #[error("the other end does not speak TLS 1.3, as nodes do")]
    NotTls,
    #[error("the certificate names no node of a cluster")]
    Certificate,
    #[error("the other node belongs to cluster `{theirs}`, this one to `{ours}`")]
    OtherName { theirs: ClusterName, ours: ClusterName },
    #[error("the other node belongs to another cluster of the same name and join key")]
    OtherLedger,
    #[error("node {found} is at this address, not node {meant}")]
    OtherNode { found: NodeId, meant: NodeId },
    #[error("this node is no member, as the other one knows the cluster")]
    NotMember,
    #[error("the node gives another number than its certificate")]
    Impostor,
    #[error("the other node speaks version {0} of the nodes' protocol: bring both to the same release")]
    Version(u8),
    #[error("the other node has too much to do")]
    Busy,
    #[error("what came is malformed: {0}")]
    Malformed(&'static str),
    #[error("nothing was heard for too long")]
    Silent,
    #[error("there was no answer in time")]
    TimedOut,
    #[error("what is asked or answered is longer than {} bytes", super::ASK_BYTES_MAX)]
    TooLarge,
    #[error("this node became another, or ends")]
    Stopped,
}

const SEND_BUFFER_BYTES: usize = 512 << 10;

/// A connection from the side that asked for it.
pub(crate) type Outgoing = TlsStream<TcpStream>;

/// Connects to `address`, checks who is there, and greets; the answer is not read yet.
pub(crate) async fn connect(
    shared: &Shared,
    address: &str,
    purpose: Purpose,
    to: NodeId,
) -> Result<Outgoing, LinkError> {
    let own = shared.own();
    let tcp = TcpStream::connect(address).await.map_err(LinkError::Connection)?;
    tcp.set_nodelay(true).map_err(LinkError::Connection)?;
    // What the system has taken cannot be overtaken: with megabytes of it a ping would come too late on a slow line.
    let limited = rustix::net::sockopt::set_socket_send_buffer_size(&tcp, SEND_BUFFER_BYTES);
    limited.map_err(|error| LinkError::Connection(error.into()))?;
    let connector = tokio_rustls::TlsConnector::from(shared.identity.client.clone());
    let unused = ServerName::try_from("node.invalid").expect("a name of the right form");
    let mut stream = connector.connect(unused, tcp).await.map_err(tls::meaning)?;
    let found = shared.identity.node_of(stream.get_ref().1.peer_certificates())?;
    if to != super::NEWCOMER && found != to {
        return Err(LinkError::OtherNode { found, meant: to });
    }
    let greeting = Greeting { purpose, from: own.node, to, ledger: own.ledger };
    stream.write_all(&greeting.encode()).await.map_err(tls::meaning)?;
    Ok(stream)
}

/// Reads what the other side says to the greeting.
pub(crate) async fn welcomed(stream: &mut Outgoing, meant: NodeId) -> Result<Reply, LinkError> {
    let mut bytes = [0; REPLY_BYTES];
    stream.read_exact(&mut bytes).await.map_err(tls::meaning)?;
    let reply = Reply::decode(&bytes)?;
    match reply.verdict {
        Verdict::Welcome => Ok(reply),
        Verdict::Version => Err(LinkError::Version(bytes[4])),
        Verdict::OtherName => Err(LinkError::Certificate),
        Verdict::OtherLedger => Err(LinkError::OtherLedger),
        Verdict::OtherNode => Err(LinkError::OtherNode { found: reply.node, meant }),
        Verdict::NotMember => Err(LinkError::NotMember),
        Verdict::Impostor => Err(LinkError::Impostor),
        Verdict::Busy => Err(LinkError::Busy),
    }
}

/// How often the same complaint about the same address is logged.
const COMPLAIN_EVERY: Duration = Duration::from_mins(1);
const COMPLAINTS_MAX: usize = 256;

/// Logs what went wrong with whom once a minute, however often it does.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Mutex<BTreeMap<String, Instant>>);

impl Complaints {
    pub(crate) fn log(&self, with: &str, error: &LinkError) {
        let text = in_full(error);
        let now = Instant::now();
        let mut logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        logged.retain(|_, at| now.duration_since(*at) < COMPLAIN_EVERY);
        let key = format!("{with}: {text}");
        if logged.len() < COMPLAINTS_MAX && !logged.contains_key(&key) {
            logged.insert(key, now);
            tracing::warn!(with, "a connection between nodes failed: {text}");
        }
    }

    /// Those of the last minute, each once, with whom first.
    pub(crate) fn recent(&self) -> Vec<String> {
        let now = Instant::now();
        let logged = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let is_recent = |at: &Instant| now.duration_since(*at) < COMPLAIN_EVERY;
        logged.iter().filter(|(_, at)| is_recent(at)).map(|(text, _)| text.clone()).collect()
    }
}

/// An error with what caused it.
pub(crate) fn in_full(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
