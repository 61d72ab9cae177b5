//! Connections that others make: who they are, what they want, what they send.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;

use super::frame::{
    self, Frame, GREETING_BYTES, Greeting, Pong, Purpose, Reply, SILENCE_MAX, Verdict, put_pong, take_frame,
};
use super::link::LinkError;
use super::{Asker, CONNECTIONS_MAX, NEWCOMER, Shared, ask, tls};
use crate::NodeId;

/// How long a connection may take to say who it is, and a question to arrive.
const INTRODUCTION_MAX: Duration = Duration::from_secs(10);
/// How long an answer may take; who asked has given up long before.
const ANSWER_MAX: Duration = Duration::from_mins(2);
/// Room for small frames; one that is larger gets its own.
const READ_BYTES: usize = 64 << 10;
/// Room kept for a frame before any of it has come.
const READ_AHEAD_BYTES_MAX: usize = 1 << 20;

/// Takes connections for as long as the network runs.
pub(crate) async fn listen(shared: Arc<Shared>, listener: TcpListener) {
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let room = connections.clone().acquire_owned().await.expect("never closed");
        match listener.accept().await {
            Ok((tcp, from)) => {
                let shared = shared.clone();
                tokio::spawn(async move {
                    if let Err(error) = serve(&shared, tcp, from).await {
                        shared.complaints.log(&from.ip().to_string(), &error);
                    }
                    drop(room);
                });
            }
            // Out of file descriptors, for one: it passes, and is no reason to spin.
            Err(error) => {
                tracing::warn!(%error, "a connection of another node could not be taken");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

type Incoming = TlsStream<TcpStream>;

async fn serve(shared: &Arc<Shared>, tcp: TcpStream, from: SocketAddr) -> Result<(), LinkError> {
    let introduction = timeout(INTRODUCTION_MAX, introduced(shared, tcp)).await;
    let (mut stream, greeting) = introduction.unwrap_or(Err(LinkError::TimedOut))?;
    match greeting.purpose {
        Purpose::Stream => {
            say(&mut stream, shared, Verdict::Welcome).await?;
            receive(shared, stream, greeting.from).await
        }
        Purpose::Ask => answer(shared, stream, greeting, from).await,
    }
}

/// Shakes hands, reads the greeting, and refuses where it has to, with the reason on both sides.
async fn introduced(shared: &Shared, tcp: TcpStream) -> Result<(Incoming, Greeting), LinkError> {
    tcp.set_nodelay(true).map_err(LinkError::Connection)?;
    let acceptor = tokio_rustls::TlsAcceptor::from(shared.identity.server.clone());
    let mut stream = match acceptor.accept(tcp).into_fallible().await {
        Ok(stream) => stream,
        Err((error, mut tcp)) => {
            heard_out(&mut tcp).await;
            return Err(tls::meaning(error));
        }
    };
    let named = match shared.identity.node_of(stream.get_ref().1.peer_certificates()) {
        Ok(named) => named,
        Err(error) => {
            // The other side sees as much in our certificate, and may be gone already.
            _ = refuse(shared, stream, Verdict::OtherName).await;
            return Err(error);
        }
    };
    let mut bytes = [0; GREETING_BYTES];
    stream.read_exact(&mut bytes).await.map_err(tls::meaning)?;
    let greeting = match Greeting::decode(&bytes) {
        Ok(greeting) => greeting,
        Err(error @ LinkError::Version(_)) => {
            refuse(shared, stream, Verdict::Version).await?;
            return Err(error);
        }
        Err(error) => return Err(error),
    };
    if let Err((verdict, error)) = judge(shared, named, &greeting) {
        refuse(shared, stream, verdict).await?;
        return Err(error);
    }
    Ok((stream, greeting))
}

async fn refuse(shared: &Shared, mut stream: Incoming, verdict: Verdict) -> Result<(), LinkError> {
    say(&mut stream, shared, verdict).await?;
    farewell(stream).await
}

/// Ends a connection so that what was said last arrives.
async fn farewell(mut stream: Incoming) -> Result<(), LinkError> {
    stream.shutdown().await.map_err(tls::meaning)?;
    heard_out(&mut stream.into_inner().0).await;
    Ok(())
}

/// Reads to the end what nobody wants any more: closing before would make the system reset the connection, and
/// the other side would lose the reason.
async fn heard_out(tcp: &mut TcpStream) {
    let mut unwanted = [0; 16 << 10];
    let to_the_end = async { while matches!(tcp.read(&mut unwanted).await, Ok(1..)) {} };
    _ = timeout(Duration::from_secs(2), to_the_end).await;
}

fn judge(shared: &Shared, named: NodeId, greeting: &Greeting) -> Result<(), (Verdict, LinkError)> {
    let own = shared.own();
    if named != greeting.from {
        return Err((Verdict::Impostor, LinkError::Impostor));
    }
    if greeting.purpose == Purpose::Ask {
        return Ok(());
    }
    if greeting.to != own.node || own.node == NEWCOMER {
        let error = LinkError::OtherNode { found: own.node, meant: greeting.to };
        return Err((Verdict::OtherNode, error));
    }
    if greeting.ledger != own.ledger {
        return Err((Verdict::OtherLedger, LinkError::OtherLedger));
    }
    if named == own.node || !shared.members.borrow().contains_key(&named) {
        return Err((Verdict::NotMember, LinkError::NotMember));
    }
    Ok(())
}

async fn say(stream: &mut Incoming, shared: &Shared, verdict: Verdict) -> Result<(), LinkError> {
    let own = shared.own();
    let reply = Reply { verdict, node: own.node, ledger: own.ledger };
    stream.write_all(&reply.encode()).await.map_err(tls::meaning)?;
    stream.flush().await.map_err(tls::meaning)
}

/// Delivers what a member sends until it stops, or is no member any more.
async fn receive(shared: &Arc<Shared>, mut stream: Incoming, from: NodeId) -> Result<(), LinkError> {
    let mut own = shared.own.subscribe();
    let mut members = shared.members.subscribe();
    let began_as = *own.borrow_and_update();
    let mut buffer = BytesMut::with_capacity(READ_BYTES);
    let mut pongs = BytesMut::new();
    heard(shared, from);
    loop {
        while let Some(frame) = take_frame(&mut buffer)? {
            match frame {
                Frame::Message { lane, payload } => (shared.deliver)(from, lane, payload),
                Frame::Ping(ping) => {
                    let now = (shared.clocks)();
                    let (system_us, monotonic_us) = (now.system_us, now.monotonic_us);
                    put_pong(&mut pongs, Pong { sent_us: ping.sent_us, system_us, monotonic_us });
                }
                Frame::Pong(_) => return Err(LinkError::Malformed("an answer to no question")),
            }
        }
        if !pongs.is_empty() {
            let written = async {
                stream.write_all(&pongs).await?;
                stream.flush().await
            };
            timeout(SILENCE_MAX, written).await.map_err(|_| LinkError::Silent)?.map_err(tls::meaning)?;
            pongs.clear();
        }
        reserve(&mut buffer)?;
        tokio::select! {
            read = timeout(SILENCE_MAX, stream.read_buf(&mut buffer)) => {
                match read.map_err(|_| LinkError::Silent)? {
                    Ok(0) => return Ok(()),
                    Ok(_) => heard(shared, from),
                    // Whoever is killed says no farewell; that it is gone is seen on our own connection to it.
                    Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(()),
                    Err(error) => return Err(tls::meaning(error)),
                }
            }
            _ = members.changed() => {
                if !members.borrow_and_update().contains_key(&from) {
                    return Ok(());
                }
            }
            _ = own.changed() => {
                if *own.borrow_and_update() != began_as {
                    return Ok(());
                }
            }
        }
    }
}

/// Room for what is missing of the first frame, in growing steps: its length is only a claim until it has come.
fn reserve(buffer: &mut BytesMut) -> Result<(), LinkError> {
    let missing = frame::needed(buffer)?.map_or(READ_BYTES, |needed| needed - buffer.len());
    buffer.reserve(missing.clamp(READ_BYTES, READ_AHEAD_BYTES_MAX.max(buffer.len())));
    Ok(())
}

fn heard(shared: &Shared, from: NodeId) {
    if let Some(peer) = shared.peers().get(&from) {
        peer.heard((shared.clocks)().monotonic_us);
    }
}

async fn answer(
    shared: &Shared,
    mut stream: Incoming,
    greeting: Greeting,
    from: SocketAddr,
) -> Result<(), LinkError> {
    let handler = shared.on_ask.read().unwrap_or_else(PoisonError::into_inner).clone();
    let (Some(handler), Ok(_room)) = (handler, shared.asks.try_acquire()) else {
        say(&mut stream, shared, Verdict::Busy).await?;
        return farewell(stream).await;
    };
    let question =
        timeout(INTRODUCTION_MAX, ask::take(&mut stream)).await.unwrap_or(Err(LinkError::TimedOut))?;
    let is_member =
        greeting.ledger == shared.own().ledger && shared.members.borrow().contains_key(&greeting.from);
    let asker = Asker { node: greeting.from, is_member, ledger: greeting.ledger, from };
    let answer = timeout(ANSWER_MAX, handler(asker, question)).await.map_err(|_| LinkError::TimedOut)?;
    say(&mut stream, shared, Verdict::Welcome).await?;
    ask::put(&mut stream, &answer).await?;
    farewell(stream).await
}
