//! One other member: what waits to be sent to it, and the connection that is kept to it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::frame::{
    FRAME_BYTES_MAX, Frame, PING_EVERY, Ping, Purpose, SILENCE_MAX, message_header, put_ping, take_frame,
};
use super::link::{LinkError, Outgoing, connect, in_full, welcomed};
use super::{NEWCOMER, Own, Shared, tls};
use crate::NodeId;
use crate::random::Random;
use crate::time::{ClockReading, ClockSample};

/// Most bytes that wait for one peer; a single frame may be larger.
pub const QUEUE_BYTES_MAX: usize = 64 << 20;
/// Most frames that wait for one peer.
pub const QUEUE_FRAMES_MAX: usize = 16 << 10;
/// Lanes from here on overtake what waits on the others: for what is small and late when it waits.
pub const URGENT_LANES_FROM: u8 = 128;
/// What is kept for a peer that is not connected, the newest.
const OFFLINE_FRAMES_MAX: usize = 256;
const OFFLINE_BYTES_MAX: usize = 4 << 20;
/// Frames up to this length are written together; copying them costs less than a record each.
const SMALL_BYTES: usize = 16 << 10;
const WRITE_BYTES: usize = 64 << 10;
const CONNECT_MAX: Duration = Duration::from_secs(3);
const PAUSE_FIRST_MS: u64 = 50;
const PAUSE_MAX_MS: u64 = 1_000;
/// A connection that stood this long was a good one: the next is tried at once.
const GOOD_AFTER: Duration = Duration::from_secs(2);
/// The clock samples that are kept: those of four seconds.
const SAMPLES_MAX: usize = 8;

/// A member as this node sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerStatus {
    pub id: NodeId,
    pub address: String,
    pub is_connected: bool,
    /// Milliseconds since anything came from it; `None` for never.
    pub heard_ms_ago: Option<u64>,
    /// Of the last ping.
    pub round_trip: Option<Duration>,
    /// The best of the last few, for [`crate::time`].
    pub clock: Option<ClockSample>,
    /// Its wall clock less ours, in microseconds, and by how much that may be wrong.
    pub clock_offset_us: Option<(i64, u64)>,
    /// Frames that were never sent: the queue was full, or there was no connection.
    pub dropped: u64,
    /// Bytes that wait.
    pub queued_bytes: usize,
    /// Why there is no connection, in words for operators.
    pub trouble: Option<String>,
}

pub(crate) struct Peer {
    id: NodeId,
    address: String,
    queue: Mutex<Queue>,
    /// Something waits to be sent.
    wake: Notify,
    /// It may be worth while to connect now.
    retry: Notify,
    known: Mutex<Known>,
    task: Mutex<Option<tokio::task::AbortHandle>>,
}

#[derive(Default)]
struct Queue {
    urgent: VecDeque<(u8, Bytes)>,
    ordinary: VecDeque<(u8, Bytes)>,
    bytes: usize,
    is_connected: bool,
    dropped: u64,
}

#[derive(Default)]
struct Known {
    heard_us: Option<u64>,
    round_trip_us: Option<u64>,
    samples: VecDeque<ClockSample>,
    trouble: Option<String>,
}

impl Queue {
    /// False if it had to be dropped.
    fn push(&mut self, lane: u8, payload: Bytes) -> bool {
        let frames = self.urgent.len() + self.ordinary.len();
        let is_full = frames == QUEUE_FRAMES_MAX || self.bytes + payload.len() > QUEUE_BYTES_MAX;
        if payload.len() > FRAME_BYTES_MAX || (is_full && frames > 0) {
            self.dropped += 1;
            return false;
        }
        self.bytes += payload.len();
        let lanes = if lane < URGENT_LANES_FROM { &mut self.ordinary } else { &mut self.urgent };
        lanes.push_back((lane, payload));
        if !self.is_connected {
            self.forget_beyond(OFFLINE_FRAMES_MAX, OFFLINE_BYTES_MAX);
        }
        true
    }

    fn pop(&mut self) -> Option<(u8, Bytes)> {
        let next = self.urgent.pop_front().or_else(|| self.ordinary.pop_front())?;
        self.bytes -= next.1.len();
        Some(next)
    }

    /// Drops the oldest until no more than that is left, or a single one.
    fn forget_beyond(&mut self, frames: usize, bytes: usize) {
        while self.urgent.len() + self.ordinary.len() > frames.max(1)
            || (self.bytes > bytes && self.urgent.len() + self.ordinary.len() > 1)
        {
            let oldest = self.ordinary.pop_front().or_else(|| self.urgent.pop_front());
            self.bytes -= oldest.map_or(0, |(_, payload)| payload.len());
            self.dropped += 1;
        }
    }
}

impl Peer {
    /// With a task that keeps a connection to it until [`Self::stop`].
    pub(crate) fn start(id: NodeId, address: String, shared: Arc<Shared>, runtime: &Handle) -> Arc<Self> {
        let peer = Arc::new(Self {
            id,
            address,
            queue: Mutex::default(),
            wake: Notify::new(),
            retry: Notify::new(),
            known: Mutex::default(),
            task: Mutex::default(),
        });
        let task = runtime.spawn(keep_connected(shared, peer.clone())).abort_handle();
        *peer.task.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
        peer
    }

    pub(crate) fn stop(&self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) fn send(&self, lane: u8, payload: Bytes) {
        if self.queue().push(lane, payload) {
            self.wake.notify_one();
        }
    }

    /// Something came from it, so it is there: a connection to it may be tried now.
    pub(crate) fn heard(&self, monotonic_us: u64) {
        self.known().heard_us = Some(monotonic_us);
        if !self.queue().is_connected {
            self.retry.notify_one();
        }
    }

    pub(crate) fn status(&self, now: ClockReading) -> PeerStatus {
        let (is_connected, dropped, queued_bytes) = {
            let queue = self.queue();
            (queue.is_connected, queue.dropped, queue.bytes)
        };
        let known = self.known();
        let clock = known.samples.iter().min_by_key(|sample| sample.error_us(now.monotonic_us)).copied();
        PeerStatus {
            id: self.id,
            address: self.address.clone(),
            is_connected,
            heard_ms_ago: known.heard_us.map(|at| now.monotonic_us.saturating_sub(at) / 1_000),
            round_trip: known.round_trip_us.map(Duration::from_micros),
            clock,
            clock_offset_us: clock.map(|sample| sample.offset(now)),
            dropped,
            queued_bytes,
            trouble: known.trouble.clone(),
        }
    }

    fn connected(&self) {
        self.queue().is_connected = true;
        self.known().trouble = None;
    }

    /// What waited is old by the time there is a connection again, so most of it goes.
    fn lost(&self, error: &LinkError) {
        let mut queue = self.queue();
        queue.is_connected = false;
        queue.forget_beyond(OFFLINE_FRAMES_MAX, OFFLINE_BYTES_MAX);
        drop(queue);
        let mut known = self.known();
        known.trouble = Some(in_full(error));
        known.samples.clear();
    }

    fn sampled(&self, sample: ClockSample, now: ClockReading) {
        let mut known = self.known();
        known.heard_us = Some(now.monotonic_us);
        known.round_trip_us = Some(sample.round_trip_us);
        if known.samples.len() == SAMPLES_MAX {
            known.samples.pop_front();
        }
        known.samples.push_back(sample);
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn keep_connected(shared: Arc<Shared>, peer: Arc<Peer>) {
    let mut own = shared.own.subscribe();
    let start = (shared.clocks)();
    let mut random = Random::new(start.monotonic_us ^ peer.id.0 << 48 ^ start.system_us.cast_unsigned());
    let mut failures = 0;
    loop {
        let me = *own.borrow_and_update();
        if me.node == NEWCOMER {
            // Without a number there is nothing that members would listen to.
            if own.changed().await.is_err() {
                return;
            }
            continue;
        }
        let began = Instant::now();
        let error = tokio::select! {
            error = converse(&shared, &peer) => error,
            () = became_another(&mut own, me) => LinkError::Stopped,
        };
        peer.lost(&error);
        if !matches!(error, LinkError::Stopped) {
            shared.complaints.log(&format!("node {} at {}", peer.id, peer.address), &error);
        }
        failures = if began.elapsed() > GOOD_AFTER + CONNECT_MAX { 0 } else { failures + 1 };
        let longest =
            PAUSE_FIRST_MS.saturating_mul(1 << u32::saturating_sub(failures, 1).min(10)).min(PAUSE_MAX_MS);
        let pause = longest / 2 + random.next() % (longest / 2 + 1);
        tokio::select! {
            () = tokio::time::sleep(Duration::from_millis(pause)) => {}
            () = async {
                peer.retry.notified().await;
                tokio::time::sleep(Duration::from_millis(2 * PAUSE_FIRST_MS)).await;
            } => {}
        }
    }
}

async fn became_another(own: &mut tokio::sync::watch::Receiver<Own>, me: Own) {
    while own.changed().await.is_ok() {
        if *own.borrow_and_update() != me {
            return;
        }
    }
}

/// Connects, and sends and listens until that fails.
async fn converse(shared: &Shared, peer: &Peer) -> LinkError {
    let opening = async {
        let mut stream = connect(shared, &peer.address, Purpose::Stream, peer.id).await?;
        stream.flush().await.map_err(tls::meaning)?;
        welcomed(&mut stream, peer.id).await?;
        Ok::<_, LinkError>(stream)
    };
    let stream = match timeout(CONNECT_MAX, opening).await.unwrap_or(Err(LinkError::TimedOut)) {
        Ok(stream) => stream,
        Err(error) => return error,
    };
    peer.connected();
    let (mut reader, mut writer) = tokio::io::split(stream);
    tokio::select! {
        Err(error) = write(shared, peer, &mut writer) => error,
        Err(error) = read(shared, peer, &mut reader) => error,
    }
}

type Endless = std::convert::Infallible;

/// Everything that waits goes out together, with one flush at the end; a ping is due every half second.
async fn write(shared: &Shared, peer: &Peer, stream: &mut WriteHalf<Outgoing>) -> Result<Endless, LinkError> {
    let mut together = BytesMut::with_capacity(WRITE_BYTES);
    let mut ping = tokio::time::interval(PING_EVERY);
    ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = peer.wake.notified() => {}
            _ = ping.tick() => put_ping(&mut together, Ping { sent_us: (shared.clocks)().monotonic_us }),
        }
        let mut last_ping = Instant::now();
        loop {
            let next = peer.queue().pop();
            let Some((lane, payload)) = next else { break };
            together.put_slice(&message_header(lane, &payload));
            if payload.len() <= SMALL_BYTES {
                together.put_slice(&payload);
            }
            if together.len() >= WRITE_BYTES - SMALL_BYTES || payload.len() > SMALL_BYTES {
                stream.write_all(&together).await.map_err(tls::meaning)?;
                together.clear();
            }
            if payload.len() > SMALL_BYTES {
                stream.write_all(&payload).await.map_err(tls::meaning)?;
            }
            // Under a load that never ends, the outer loop never comes round.
            if last_ping.elapsed() >= PING_EVERY {
                last_ping = Instant::now();
                put_ping(&mut together, Ping { sent_us: (shared.clocks)().monotonic_us });
            }
        }
        stream.write_all(&together).await.map_err(tls::meaning)?;
        together.clear();
        stream.flush().await.map_err(tls::meaning)?;
    }
}

async fn read(shared: &Shared, peer: &Peer, stream: &mut ReadHalf<Outgoing>) -> Result<Endless, LinkError> {
    let mut buffer = BytesMut::with_capacity(1 << 10);
    loop {
        while let Some(frame) = take_frame(&mut buffer)? {
            let Frame::Pong(pong) = frame else {
                return Err(LinkError::Malformed("no answer was asked for"));
            };
            let now = (shared.clocks)();
            if let Some(sample) = pong.sample(now.monotonic_us) {
                peer.sampled(sample, now);
            }
        }
        let read = timeout(SILENCE_MAX, stream.read_buf(&mut buffer)).await.map_err(|_| LinkError::Silent)?;
        if read.map_err(tls::meaning)? == 0 {
            return Err(LinkError::Connection(std::io::ErrorKind::UnexpectedEof.into()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Bytes {
        Bytes::from(vec![0; bytes])
    }

    #[test]
    fn a_queue_drops_and_counts_what_is_too_much() {
        let mut queue = Queue { is_connected: true, ..Queue::default() };
        assert!(queue.push(1, frame(FRAME_BYTES_MAX)), "an empty queue takes a frame of any size");
        assert!(!queue.push(1, frame(1)), "QUEUE_BYTES_MAX is reached");
        assert_eq!(queue.pop().map(|(_, payload)| payload.len()), Some(FRAME_BYTES_MAX));
        for _ in 0..QUEUE_FRAMES_MAX {
            assert!(queue.push(1, frame(1)));
        }
        assert!(!queue.push(1, frame(1)));
        assert_eq!((queue.bytes, queue.dropped), (QUEUE_FRAMES_MAX, 2));
    }

    #[test]
    fn urgent_lanes_overtake_and_the_others_keep_their_order() {
        let mut queue = Queue { is_connected: true, ..Queue::default() };
        for lane in [1, URGENT_LANES_FROM, 2, 255, 3] {
            assert!(queue.push(lane, frame(1)));
        }
        let order: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|(lane, _)| lane).collect();
        assert_eq!(order, [URGENT_LANES_FROM, 255, 1, 2, 3]);
        assert_eq!(queue.bytes, 0);
    }

    #[test]
    fn of_what_waits_without_a_connection_the_newest_is_kept() {
        let mut queue = Queue::default();
        for lane in 0..100 {
            assert!(queue.push(lane, frame(100 << 10)));
        }
        let kept: Vec<u8> = std::iter::from_fn(|| queue.pop()).map(|(lane, _)| lane).collect();
        assert_eq!(kept.last(), Some(&99));
        assert_eq!(kept.len(), OFFLINE_BYTES_MAX / (100 << 10));
        assert_eq!(queue.dropped, 100 - kept.len() as u64);
    }
}
