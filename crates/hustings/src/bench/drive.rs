//! The load generator: one thread, one epoll loop, many keep-alive connections, raw HTTP/1.1.
//!
//! Closed loop: a connection (*lane*) sends its next request when the last one is answered. A request is built in
//! the lane's own buffer, where the constant part of the last one may stay. An answer is read only as far as needed
//! to know its status and its end. One `read` and one `write` per request, like `wrk`; docs/decisions/0020 has the
//! comparison. Generator and server share the machine, so what is spent here is taken from the server.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::clock;
use super::histogram::Histogram;
use super::http::{self, Parsed};
use super::machine;

const EVENTS_PER_POLL: usize = 512;
const READ_BYTES: usize = 512 * 1024;
const UNEXPECTED_KEPT: usize = 3;
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// What the lanes send, and who hears the answers.
pub trait Traffic {
    /// Puts the next request of `lane` into `request`, which holds the lane's last one.
    fn next(&mut self, lane: usize, request: &mut Vec<u8>) -> Next;
    /// Hears the answer to the lane's last request; `body` is without transfer coding.
    fn answered(&mut self, lane: usize, request: &[u8], status: u16, body: &[u8]);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    Send,
    /// Nothing before this moment; the lane is asked again then.
    NotBefore(Instant),
    /// This lane has no more to send.
    Done,
}

/// What a run came to.
pub struct Load {
    pub answers: u64,
    pub by_status: BTreeMap<u16, u64>,
    pub elapsed: Duration,
    pub latencies: Histogram,
    /// Processor time of this thread over the run.
    pub generator: Duration,
    /// The first few bodies of answers that are not 2xx.
    pub unexpected: Vec<String>,
}

impl Load {
    pub fn per_second(&self) -> f64 {
        self.answers as f64 / self.elapsed.as_secs_f64()
    }

    pub fn generator_micros_each(&self) -> f64 {
        self.generator.as_secs_f64() * 1e6 / self.answers.max(1) as f64
    }

    pub fn all_answered(&self, status: u16) -> bool {
        self.by_status.keys().all(|seen| *seen == status)
    }

    /// `201: 2000000, 503: 12`, and the first unexpected answers.
    pub fn statuses(&self) -> String {
        let counts = self.by_status.iter().map(|(status, count)| format!("{status}: {count}"));
        let mut text = counts.collect::<Vec<_>>().join(", ");
        for body in &self.unexpected {
            text.push_str(" | ");
            text.push_str(body);
        }
        text
    }
}

struct Lane {
    stream: TcpStream,
    request: Vec<u8>,
    written: usize,
    /// Bytes of an answer that is not complete yet.
    partial: Vec<u8>,
    sent_at: Instant,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting(Instant),
    InFlight,
    Done,
}

struct Driver<'a, T> {
    traffic: &'a mut T,
    lanes: Vec<Lane>,
    scratch: Vec<u8>,
    decoded: Vec<u8>,
    load: Load,
    ends_at: Option<Instant>,
    open_lanes: usize,
    last_answer: Instant,
}

/// Drives `traffic` over `connections` lanes until each is done; after `secs` no new request is sent.
///
/// # Errors
/// When a connection cannot be made or breaks, an answer is not HTTP/1.1, or the server is silent for a minute.
pub fn drive(
    address: SocketAddr,
    connections: usize,
    length: Option<Duration>,
    traffic: &mut impl Traffic,
) -> anyhow::Result<Load> {
    drive_all(&[address], connections, length, traffic)
}

/// As [`drive`], the lanes dealt out to several servers in turn.
pub fn drive_all(
    addresses: &[SocketAddr],
    connections: usize,
    length: Option<Duration>,
    traffic: &mut impl Traffic,
) -> anyhow::Result<Load> {
    let mut poll = Poll::new()?;
    let began = clock::now();
    let mut lanes = Vec::with_capacity(connections);
    for index in 0..connections {
        lanes.push(connect(addresses[index % addresses.len()], index, &poll, began)?);
    }
    let began = clock::now();
    let cpu_before = machine::thread_time();
    let mut driver = Driver {
        traffic,
        lanes,
        scratch: vec![0; READ_BYTES],
        decoded: Vec::new(),
        load: Load {
            answers: 0,
            by_status: BTreeMap::new(),
            elapsed: Duration::ZERO,
            latencies: Histogram::new(),
            generator: Duration::ZERO,
            unexpected: Vec::new(),
        },
        ends_at: length.map(|length| began + length),
        open_lanes: connections,
        last_answer: began,
    };
    driver.run(&mut poll)?;
    let mut load = driver.load;
    load.elapsed = driver.last_answer - began;
    load.generator = machine::thread_time().saturating_sub(cpu_before);
    Ok(load)
}

fn connect(address: SocketAddr, index: usize, poll: &Poll, now: Instant) -> anyhow::Result<Lane> {
    let stream = std::net::TcpStream::connect(address)
        .with_context(|| format!("cannot open connection {index} to {address}"))?;
    stream.set_nodelay(true)?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
    Ok(Lane {
        stream,
        request: Vec::new(),
        written: 0,
        partial: Vec::new(),
        sent_at: now,
        state: State::Waiting(now),
    })
}

impl<T: Traffic> Driver<'_, T> {
    fn run(&mut self, poll: &mut Poll) -> anyhow::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut wake_at = Some(clock::now());
        while self.open_lanes > 0 {
            if wake_at.is_some_and(|at| at <= clock::now()) {
                wake_at = self.start_waiting()?;
            }
            if self.open_lanes == 0 {
                break;
            }
            let timeout = wake_at.map_or(SILENCE_MAX, |at| at.saturating_duration_since(clock::now()));
            match poll.poll(&mut events, Some(timeout)) {
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                polled => polled.context("cannot wait for the connections")?,
            }
            if events.is_empty() && self.last_answer.elapsed() > SILENCE_MAX && wake_at.is_none() {
                bail!("no answer for {} s", SILENCE_MAX.as_secs());
            }
            for event in &events {
                let lane = event.token().0;
                if event.is_readable() {
                    self.read(lane)?;
                }
                if event.is_writable() {
                    self.write(lane)?;
                }
                if let State::Waiting(at) = self.lanes[lane].state {
                    wake_at = Some(wake_at.map_or(at, |earlier| earlier.min(at)));
                }
            }
        }
        Ok(())
    }

    /// Starts the lanes whose moment has come; gives the next moment one waits for.
    fn start_waiting(&mut self) -> anyhow::Result<Option<Instant>> {
        let now = clock::now();
        for lane in 0..self.lanes.len() {
            if matches!(self.lanes[lane].state, State::Waiting(at) if at <= now) {
                self.send_next(lane, now)?;
            }
        }
        let waiting = self.lanes.iter().filter_map(|lane| match lane.state {
            State::Waiting(at) => Some(at),
            _ => None,
        });
        Ok(waiting.min())
    }

    fn send_next(&mut self, lane_index: usize, now: Instant) -> anyhow::Result<()> {
        let lane = &mut self.lanes[lane_index];
        let is_over = self.ends_at.is_some_and(|end| now >= end);
        let next = if is_over { Next::Done } else { self.traffic.next(lane_index, &mut lane.request) };
        match next {
            Next::Send => {
                lane.state = State::InFlight;
                lane.written = 0;
                lane.sent_at = now;
                self.write(lane_index)?;
            }
            Next::NotBefore(at) => lane.state = State::Waiting(at),
            Next::Done => {
                lane.state = State::Done;
                self.open_lanes -= 1;
            }
        }
        Ok(())
    }

    fn write(&mut self, lane_index: usize) -> anyhow::Result<()> {
        let lane = &mut self.lanes[lane_index];
        while lane.state == State::InFlight && lane.written < lane.request.len() {
            match lane.stream.write(&lane.request[lane.written..]) {
                Ok(written) => lane.written += written,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // A server that refuses a body may answer and close: the answer is read first.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => break,
                Err(error) => return Err(error).context(format!("cannot write on connection {lane_index}")),
            }
        }
        Ok(())
    }

    fn read(&mut self, lane_index: usize) -> anyhow::Result<()> {
        loop {
            let lane = &mut self.lanes[lane_index];
            let read = match lane.stream.read(&mut self.scratch) {
                Ok(0) if lane.state != State::InFlight => return Ok(()),
                Ok(0) => bail!("the server closed connection {lane_index} without an answer"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context(format!("cannot read on connection {lane_index}")),
            };
            self.take(lane_index, read)?;
            // A short read has emptied the socket: what comes later raises a new event (epoll(7), question 9).
            if read < self.scratch.len() {
                return Ok(());
            }
        }
    }

    /// Takes `read` bytes from the scratch buffer; when they complete the answer, the next request goes out.
    fn take(&mut self, lane_index: usize, read: usize) -> anyhow::Result<()> {
        let lane = &mut self.lanes[lane_index];
        let is_first_part = lane.partial.is_empty();
        if !is_first_part {
            lane.partial.extend_from_slice(&self.scratch[..read]);
        }
        let bytes = if is_first_part { &self.scratch[..read] } else { &lane.partial[..] };
        let Some(Parsed { status, body, length }) = http::parse(bytes, &mut self.decoded)? else {
            if is_first_part {
                lane.partial.extend_from_slice(&self.scratch[..read]);
            }
            return Ok(());
        };
        if lane.state != State::InFlight || length != bytes.len() {
            bail!("connection {lane_index} received more than one answer to one request");
        }
        let now = clock::now();
        let body = body.of(bytes, &self.decoded);
        self.load.latencies.record(now - lane.sent_at);
        self.load.answers += 1;
        *self.load.by_status.entry(status).or_default() += 1;
        if !(200..300).contains(&status) && self.load.unexpected.len() < UNEXPECTED_KEPT {
            self.load.unexpected.push(String::from_utf8_lossy(body).into_owned());
        }
        self.traffic.answered(lane_index, &lane.request, status, body);
        lane.partial.clear();
        self.last_answer = now;
        self.send_next(lane_index, now)
    }
}
