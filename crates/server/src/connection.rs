//! One connection's bytes: notes when something moved, so that a sweep closes what stands still, and turns
//! the bare answers that the HTTP library gives to malformed requests into problem documents.
//!
//! A timer per request costs more than the whole sweep: here a request stores three integers.

use crate::problem::{self, Problem};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Seconds since the worker started, advanced by its sweep.
#[derive(Debug, Default)]
pub struct Ticks(AtomicU32);

impl Ticks {
    pub fn now(&self) -> u32 {
        self.0.load(Relaxed)
    }

    pub fn advance(&self) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// Where a connection is between two requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Phase {
    /// New, idle, or sending an answer that is ready.
    Quiet = 0,
    /// The first bytes of a request have come, its headers not all.
    Head = 1,
    /// A handler works on it, which has its own limits of time.
    Busy = 2,
}

/// What the worker sees of a connection.
#[derive(Debug, Default)]
pub struct Pulse {
    phase: AtomicU8,
    head_since: AtomicU32,
    moved_at: AtomicU32,
    has_sent: AtomicBool,
}

impl Pulse {
    /// Of a connection accepted at tick `now`: the sweep may look before its task has begun, and must not take it for
    /// one that has been idle for ever.
    pub fn new(now: u32) -> Self {
        Self { moved_at: AtomicU32::new(now), ..Self::default() }
    }

    pub fn phase(&self) -> Phase {
        match self.phase.load(Relaxed) {
            0 => Phase::Quiet,
            1 => Phase::Head,
            _ => Phase::Busy,
        }
    }

    pub fn set(&self, phase: Phase) {
        self.phase.store(phase as u8, Relaxed);
    }

    /// Whether bytes have gone out since [`Pulse::forget_sending`].
    pub fn is_sending(&self) -> bool {
        self.has_sent.load(Relaxed)
    }

    pub fn forget_sending(&self) {
        self.has_sent.store(false, Relaxed);
    }

    /// Ticks since bytes last moved in either direction.
    pub fn still_for(&self, now: u32) -> u32 {
        now.saturating_sub(self.moved_at.load(Relaxed))
    }

    /// Whether this connection has used up its time.
    pub fn is_overdue(&self, now: u32, header_timeout: u32, idle_timeout: u32) -> bool {
        match self.phase() {
            Phase::Quiet => self.still_for(now) > idle_timeout,
            Phase::Head => now.saturating_sub(self.head_since.load(Relaxed)) > header_timeout,
            Phase::Busy => false,
        }
    }
}

/// A stream that keeps its [`Pulse`].
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    pulse: Arc<Pulse>,
    ticks: Arc<Ticks>,
    /// A problem document on its way out in the place of a bare refusal.
    substitute: Option<Substitute>,
}

#[derive(Debug)]
struct Substitute {
    bytes: Vec<u8>,
    sent: usize,
}

impl<S> Watched<S> {
    pub fn new(stream: S, pulse: Arc<Pulse>, ticks: Arc<Ticks>) -> Self {
        Self { stream, pulse, ticks, substitute: None }
    }

    fn note_read(&self) {
        let now = self.ticks.now();
        self.pulse.moved_at.store(now, Relaxed);
        if self.pulse.phase() == Phase::Quiet {
            self.pulse.head_since.store(now, Relaxed);
            self.pulse.set(Phase::Head);
        }
    }
}

/// The problem for a refusal that the HTTP library wrote itself; `None` for anything else.
fn problem_for(bare: &[u8]) -> Option<Problem> {
    let status = bare.strip_prefix(b"HTTP/1.1 ").or_else(|| bare.strip_prefix(b"HTTP/1.0 "))?.get(..3)?;
    match status {
        b"400" => Some(Problem::plain(&problem::MALFORMED_REQUEST)),
        b"414" => Some(Problem::plain(&problem::URI_TOO_LONG)),
        b"431" => Some(Problem::plain(&problem::HEADERS_TOO_LARGE)),
        _ => None,
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let result = Pin::new(&mut self.stream).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.note_read();
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> Watched<S> {
    /// Notes progress, and writes a problem document where a bare refusal of `offered` bytes was to go.
    fn poll_write_with(
        &mut self,
        cx: &mut Context<'_>,
        first: &[u8],
        offered: usize,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        // Nothing but the HTTP library itself answers before a handler has begun.
        if self.substitute.is_none() && self.pulse.phase() == Phase::Head {
            self.substitute =
                problem_for(first).map(|problem| Substitute { bytes: problem.raw_response(), sent: 0 });
        }
        if let Some(substitute) = &mut self.substitute {
            while substitute.sent < substitute.bytes.len() {
                let rest = &substitute.bytes[substitute.sent..];
                match Pin::new(&mut self.stream).poll_write(cx, rest) {
                    Poll::Ready(Ok(written)) if written > 0 => substitute.sent += written,
                    other => return other,
                }
            }
            return Poll::Ready(Ok(offered));
        }
        let result = write(Pin::new(&mut self.stream), cx);
        if matches!(result, Poll::Ready(Ok(written)) if written > 0) {
            self.pulse.moved_at.store(self.ticks.now(), Relaxed);
            self.pulse.has_sent.store(true, Relaxed);
        }
        result
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_with(cx, buf, buf.len(), |stream, cx| stream.poll_write(cx, buf))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = bufs.first().map_or(&[][..], |slice| &slice[..]);
        let offered = bufs.iter().map(|slice| slice.len()).sum();
        self.poll_write_with(cx, first, offered, |stream, cx| stream.poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_overdue_by_its_phase() {
        let pulse = Pulse::default();
        assert!(!pulse.is_overdue(75, 10, 75));
        assert!(pulse.is_overdue(76, 10, 75));
        pulse.set(Phase::Head);
        pulse.head_since.store(70, Relaxed);
        assert!(!pulse.is_overdue(80, 10, 75));
        assert!(pulse.is_overdue(81, 10, 75));
        pulse.set(Phase::Busy);
        assert!(!pulse.is_overdue(10_000, 10, 75));
    }

    #[test]
    fn a_bare_refusal_becomes_a_problem_document() {
        let problem = problem_for(b"HTTP/1.1 431 Request Header Fields Too Large\r\n").unwrap();
        assert_eq!(problem.code, &problem::HEADERS_TOO_LARGE);
        assert!(problem_for(b"HTTP/1.1 200 OK\r\n").is_none());
    }
}
