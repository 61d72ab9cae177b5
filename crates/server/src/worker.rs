//! A worker: one thread with its own runtime, which serves the connections it is handed until the stop.

use crate::adopt::{self, adopt};
use crate::app::{App, Local, count, install, with_local};
use crate::body::ResponseBody;
use crate::caller::Caller;
use crate::connection::{Phase, Pulse, Ticks, Watched};
use crate::counters::bump;
use crate::problem::{self, Problem, Refused};
use crate::{ballots, feed, members, routes};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue, SET_COOKIE, STRICT_TRANSPORT_SECURITY};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use node::Edge;
use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::task::AbortHandle;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt;

/// What a connection buffers at most, each way; a request line with its headers must fit.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
const TLS_HANDSHAKE_SECONDS: u64 = 10;
/// How long a page waits for what its browser has seen at another server already, and how often it looks.
const CATCH_UP_MS: u64 = 1_000;
const CATCH_UP_EVERY_MS: u64 = 5;
/// How often a stopping worker looks whether its connections are done.
const DRAIN_EVERY_MS: u64 = 20;

pub static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// A connection on its way from the accept thread.
pub type Accepted = (std::net::TcpStream, SocketAddr);

/// What a worker needs to begin.
pub struct Worker {
    pub app: Arc<App>,
    pub number: usize,
    /// Drawn before the thread starts, so that a system without randomness fails the start.
    pub edge: Option<Edge>,
    pub accepted: mpsc::Receiver<Accepted>,
    pub tls: Option<TlsAcceptor>,
    /// Turns true when the server is to stop.
    pub stop: watch::Receiver<bool>,
}

impl std::fmt::Debug for Worker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("number", &self.number).finish_non_exhaustive()
    }
}

/// What all requests of one connection share.
struct Line {
    app: Arc<App>,
    router: axum::Router,
    peer: SocketAddr,
    pulse: Arc<Pulse>,
}

struct Slot {
    pulse: Arc<Pulse>,
    task: AbortHandle,
}

impl Worker {
    /// Runs until the stop is asked for and every answer is out, or the time for that is up.
    pub fn run(self) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .max_blocking_threads(self.app.limits().record_downloads_max + 8)
            .thread_name("hustings-blocking")
            .build()
            .expect("a runtime needs a few file descriptors, and the room for them was checked");
        runtime.block_on(self.serve());
        runtime.shutdown_timeout(Duration::from_millis(100));
    }

    async fn serve(mut self) {
        let counters = Arc::clone(&self.app.counters[self.number]);
        let mailbox = self.app.node.mailbox();
        let edge = self.edge.take().expect("a worker begins once, with an edge");
        install(Local { mailbox, edge: RefCell::new(edge), counters, feeds: feed::Feeds::default() });
        let router = routes::router(Arc::clone(&self.app));
        let ticks = Arc::new(Ticks::default());
        let mut slots: Vec<Slot> = Vec::new();
        let mut sweep = tokio::time::interval(Duration::from_secs(1));
        let mut stop = self.stop.clone();
        loop {
            let accepted = tokio::select! {
                accepted = self.accepted.recv() => accepted,
                _ = sweep.tick() => {
                    self.sweep(&mut slots, &ticks);
                    continue;
                }
                () = stopped(&mut stop) => None,
            };
            match accepted {
                Some(accepted) => slots.extend(self.take(accepted, &router, &ticks)),
                None => break,
            }
        }
        with_local(|local| local.feeds.end());
        self.drain(slots).await;
    }

    /// Begins to serve a connection.
    fn take(&self, (stream, peer): Accepted, router: &axum::Router, ticks: &Arc<Ticks>) -> Option<Slot> {
        let stream = TcpStream::from_std(stream).ok();
        let Some(stream) = stream else {
            self.app.connections.fetch_sub(1, Relaxed);
            return None;
        };
        count(|counters| bump(&counters.connections_opened));
        let pulse = Arc::new(Pulse::new(ticks.now()));
        let line =
            Line { app: Arc::clone(&self.app), router: router.clone(), peer, pulse: Arc::clone(&pulse) };
        let (ticks, counted) = (Arc::clone(ticks), Counted(Arc::clone(&self.app)));
        let task = match self.tls.clone() {
            None => tokio::spawn(async move {
                let _counted = counted;
                serve_connection(stream, line, ticks).await;
            }),
            Some(tls) => tokio::spawn(async move {
                let _counted = counted;
                let handshake = Duration::from_secs(TLS_HANDSHAKE_SECONDS);
                if let Ok(Ok(stream)) = tokio::time::timeout(handshake, tls.accept(stream)).await {
                    serve_connection(stream, line, ticks).await;
                }
            }),
        };
        Some(Slot { pulse, task: task.abort_handle() })
    }

    /// Closes connections whose time is up, and forgets those that ended.
    fn sweep(&self, slots: &mut Vec<Slot>, ticks: &Ticks) {
        ticks.advance();
        let (now, limits) = (ticks.now(), self.app.limits());
        slots.retain(|slot| {
            if slot.pulse.is_overdue(now, limits.header_timeout_seconds, limits.idle_timeout_seconds) {
                count(|counters| bump(&counters.connections_overdue));
                slot.task.abort();
                return false;
            }
            !slot.task.is_finished()
        });
    }

    /// Lets answers in work go out; connections that only wait are closed at once.
    async fn drain(mut self, mut slots: Vec<Slot>) {
        self.accepted.close();
        while let Some((_, _)) = self.accepted.recv().await {
            self.app.connections.fetch_sub(1, Relaxed);
        }
        let rounds = u64::from(self.app.limits().stop_timeout_seconds) * 1000 / DRAIN_EVERY_MS;
        for round in 0..rounds {
            slots.retain(|slot| {
                // An answer that was just finished gets one round to leave.
                let is_waiting = slot.pulse.phase() != Phase::Busy && round > 1;
                if is_waiting && !slot.pulse.is_sending() {
                    slot.task.abort();
                }
                slot.pulse.forget_sending();
                !slot.task.is_finished()
            });
            if slots.is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(DRAIN_EVERY_MS)).await;
        }
        tracing::warn!(connections = slots.len(), "stopped with answers still in work");
    }
}

/// Waits for the stop, or for the end of whoever would ask for it.
pub async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Takes one off the count of connections when dropped.
struct Counted(Arc<App>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, Relaxed);
        count(|counters| bump(&counters.connections_closed));
    }
}

async fn serve_connection<S>(stream: S, line: Line, ticks: Arc<Ticks>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let watched = Watched::new(stream, Arc::clone(&line.pulse), ticks);
    let header_bytes_max = line.app.limits().header_bytes_max;
    let line = Arc::new(line);
    let service = hyper::service::service_fn(move |request| answer(Arc::clone(&line), request));
    // Errors here are clients that left or sent what is not HTTP; they have been answered.
    let _ = hyper::server::conn::http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(header_bytes_max)
        .max_buf_size(BUFFER_BYTES_MAX)
        // Answers are small: copied behind their headers they cost one plain write, 2 to 8 % less in all.
        .writev(false)
        .serve_connection(TokioIo::new(watched), service)
        .await;
}

/// Answers one request: ballots on the short way, everything else through the router.
async fn answer(line: Arc<Line>, request: Request<Incoming>) -> Result<Response<ResponseBody>, Infallible> {
    line.pulse.set(Phase::Busy);
    let admitted = line.app.members().admitted(request.headers(), request.uri().path());
    let mut response = match ballots::slug_of(request.method(), request.uri().path()) {
        Some(_) => ballots::answer(&line.app, request).await,
        None if admitted.is_some() && members::is_preflight(request.method(), request.headers()) => {
            members::preflight(request.uri().path())
        }
        None => through_router(&line, request).await,
    };
    if let Some(origin) = admitted {
        members::admit(response.headers_mut(), origin);
    }
    count(|counters| {
        counters.responded(response.status());
        if let Some(Refused(code)) = response.extensions().get::<Refused>() {
            counters.refused(code);
        }
    });
    if line.app.is_stopping() {
        response.headers_mut().insert(hyper::header::CONNECTION, HeaderValue::from_static("close"));
    }
    line.pulse.set(Phase::Quiet);
    Ok(response)
}

async fn through_router(line: &Line, mut request: Request<Incoming>) -> Response<ResponseBody> {
    let app = &line.app;
    let caller = Caller::of(line.peer, request.headers(), &app.config, app.is_tls);
    let id = request_id(&request);
    request.extensions_mut().insert(caller);
    request.extensions_mut().insert(id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let is_head = method == Method::HEAD;
    let (request, cookies) = match adopt(app, request, caller.is_secure).await {
        Ok(adopted) => adopted,
        Err(problem) => return problem.into_hyper(),
    };
    let is_cluster = app.members().is_cluster && !path.starts_with("/api/");
    let is_behind = is_cluster && !catch_up(app, request.headers(), caller.is_secure).await;
    let answered = catch_panic(line.router.clone().oneshot(request)).await;
    let mut response = match answered {
        Some(Ok(response)) => response.map(ResponseBody::Streamed),
        Some(Err(never)) => match never {},
        None => {
            tracing::error!(request = id.0.to_str().unwrap_or(""), %method, path, "a handler panicked");
            Problem::plain(&problem::INTERNAL).into_hyper()
        }
    };
    if response.status().is_server_error() && !is_head {
        tracing::warn!(
            request = id.0.to_str().unwrap_or(""),
            %method,
            path,
            status = response.status().as_u16(),
            "refused"
        );
    } else {
        tracing::debug!(
            request = id.0.to_str().unwrap_or(""),
            %method,
            path,
            status = response.status().as_u16(),
        );
    }
    response.headers_mut().insert(&REQUEST_ID, id.0);
    app.members().open_page(response.headers_mut());
    let has_news =
        is_cluster && (is_behind || (method == Method::POST && !response.status().is_server_error()));
    let seen = has_news.then(|| app.cookies.seen(app.node.status().position, caller.is_secure));
    for cookie in cookies.into_iter().chain(seen) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    if caller.is_secure {
        response
            .headers_mut()
            .insert(STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    } else if !caller.is_local {
        // Browsers ignore it over plain HTTP from another host, and complain of it on every page.
        response.headers_mut().remove("cross-origin-opener-policy");
    }
    response
}

/// Waits until this server has all that the browser has seen at another one; false if that takes too long.
async fn catch_up(app: &App, headers: &hyper::HeaderMap, is_secure: bool) -> bool {
    let Some(seen) = adopt::seen(app, headers, is_secure) else { return true };
    for _ in 0..CATCH_UP_MS / CATCH_UP_EVERY_MS {
        if app.node.status().position >= seen {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(CATCH_UP_EVERY_MS)).await;
    }
    false
}

/// The id of a request, for its log lines and its answer.
#[derive(Clone, Debug)]
pub struct RequestId(pub HeaderValue);

/// What the client or a proxy sent as id if it is short and plain, else a new one.
pub fn request_id<B>(request: &Request<B>) -> RequestId {
    let is_plain = |value: &&HeaderValue| {
        let bytes = value.as_bytes();
        (1..=64).contains(&bytes.len())
            && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
    };
    let given = request.headers().get(&REQUEST_ID).filter(is_plain).cloned();
    RequestId(given.unwrap_or_else(|| {
        let id = format!("{:016x}", rand::random::<u64>());
        HeaderValue::try_from(id).expect("hexadecimal digits are a header value")
    }))
}

/// Runs `future`; `None` if it panicked, so that one bad request does not take its connection's others along.
async fn catch_panic<F: Future>(future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    std::future::poll_fn(|cx| match std::panic::catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(Poll::Pending) => Poll::Pending,
        Ok(Poll::Ready(output)) => Poll::Ready(Some(output)),
        Err(_) => Poll::Ready(None),
    })
    .await
}
