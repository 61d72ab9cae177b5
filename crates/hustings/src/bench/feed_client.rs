//! Many subscribers of one live feed, in a process of their own: it has its own limit of open files.
//!
//! It prints `ready` when every subscriber has its first snapshot, follows until its standard input ends, and then
//! writes what came when: one line of JSON with the snapshots seen, then 16 bytes for each reception.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, bail};
use election::UnixMillis;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use serde::{Deserialize, Serialize};

use super::clock;

const LOOK_AT_INPUT_EVERY: Duration = Duration::from_millis(50);
const READ_BYTES: usize = 64 * 1024;

#[derive(clap::Args, Debug)]
pub struct FeedClientArgs {
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    path: String,
    #[arg(long)]
    subscribers: usize,
    #[arg(long)]
    out: PathBuf,
}

/// A snapshot, the same for all subscribers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Its stamp, unix microseconds.
    pub at_micros: u64,
    /// Ballots it counts.
    pub ballots: u64,
}

/// One snapshot reaching one subscriber. Both numbers point into the list of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reception {
    pub snapshot: u32,
    /// What this subscriber had seen last.
    pub previous: u32,
    pub at_micros: u64,
}

/// All that the subscribers received.
#[derive(Default)]
pub struct Received {
    pub snapshots: Vec<Snapshot>,
    pub receptions: Vec<Reception>,
    /// Subscribers whose last snapshot is the newest of all.
    pub up_to_date: usize,
    pub unreadable: u64,
}

#[derive(Serialize, Deserialize)]
struct Head {
    snapshots: Vec<Snapshot>,
    up_to_date: usize,
    unreadable: u64,
}

struct Subscriber {
    stream: TcpStream,
    partial: Vec<u8>,
    last: Option<u32>,
}

#[derive(Default)]
struct Follower {
    received: Received,
    /// By the feed's id.
    known: HashMap<Vec<u8>, u32>,
    first_snapshots: usize,
}

pub fn run(args: &FeedClientArgs) -> anyhow::Result<()> {
    let is_over = watch_input();
    let mut poll = Poll::new()?;
    let mut subscribers = Vec::with_capacity(args.subscribers);
    for index in 0..args.subscribers {
        subscribers.push(subscribe(args, index, &poll)?);
    }
    let mut follower = Follower::default();
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; READ_BYTES];
    let mut is_ready = false;
    while !is_over.load(Ordering::Relaxed) {
        match poll.poll(&mut events, Some(LOOK_AT_INPUT_EVERY)) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            follower.read(&mut subscribers[event.token().0], &mut scratch)?;
        }
        if !is_ready && follower.first_snapshots == args.subscribers {
            is_ready = true;
            println!("ready");
        }
    }
    let newest = follower.received.snapshots.len().checked_sub(1).map(|index| index as u32);
    follower.received.up_to_date = subscribers.iter().filter(|subscriber| subscriber.last == newest).count();
    follower.received.write(&args.out)
}

fn watch_input() -> Arc<AtomicBool> {
    let is_over = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&is_over);
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        flag.store(true, Ordering::Relaxed);
    });
    is_over
}

fn subscribe(args: &FeedClientArgs, index: usize, poll: &Poll) -> anyhow::Result<Subscriber> {
    let mut stream =
        std::net::TcpStream::connect(args.address).with_context(|| format!("subscriber {index}"))?;
    let request =
        format!("GET {} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/event-stream\r\n\r\n", args.path);
    stream.write_all(request.as_bytes())?;
    stream.set_nonblocking(true)?;
    let mut stream = TcpStream::from_std(stream);
    poll.registry().register(&mut stream, Token(index), Interest::READABLE)?;
    Ok(Subscriber { stream, partial: Vec::new(), last: None })
}

impl Follower {
    fn read(&mut self, subscriber: &mut Subscriber, scratch: &mut [u8]) -> anyhow::Result<()> {
        let read = match subscriber.stream.read(scratch) {
            Ok(0) => bail!("the server ended a feed: {}", String::from_utf8_lossy(&subscriber.partial)),
            Ok(read) => read,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        let now = clock::unix_micros();
        subscriber.partial.extend_from_slice(&scratch[..read]);
        let mut from = 0;
        while let Some(end) = subscriber.partial[from..].windows(2).position(|pair| pair == b"\n\n") {
            let snapshot = self.snapshot(&subscriber.partial[from..from + end]);
            from += end + 2;
            let Some(snapshot) = snapshot else { continue };
            match subscriber.last.replace(snapshot) {
                None => self.first_snapshots += 1,
                Some(previous) if previous != snapshot => {
                    self.received.receptions.push(Reception { snapshot, previous, at_micros: now });
                }
                Some(_) => {}
            }
        }
        subscriber.partial.drain(..from);
        Ok(())
    }

    /// The snapshot that a frame holds; the JSON is read once for each id.
    fn snapshot(&mut self, frame: &[u8]) -> Option<u32> {
        let id = field(frame, b"id:")?;
        if let Some(known) = self.known.get(id) {
            return Some(*known);
        }
        let data = field(frame, b"data:")?;
        let Some(snapshot) = Snapshot::read(data) else {
            self.received.unreadable += 1;
            return None;
        };
        let index = self.received.snapshots.len() as u32;
        self.received.snapshots.push(snapshot);
        self.known.insert(id.to_vec(), index);
        Some(index)
    }
}

/// The value of the first line that begins with `name`; lines of the transfer coding begin otherwise.
fn field<'a>(frame: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    frame
        .split(|byte| *byte == b'\n')
        .find_map(|line| line.strip_prefix(name))
        .map(|value| value.trim_ascii())
}

impl Snapshot {
    /// From a snapshot's data; `None` when it counts no ballots or bears no time.
    fn read(data: &[u8]) -> Option<Self> {
        let data: serde_json::Value = serde_json::from_slice(data).ok()?;
        let at = UnixMillis::parse_rfc3339(data["at"].as_str()?)?;
        Some(Self { at_micros: at.0 * 1000, ballots: data["ballots"].as_u64()? })
    }
}

impl Received {
    fn write(&self, path: &Path) -> anyhow::Result<()> {
        let mut out = BufWriter::new(File::create(path)?);
        let head = Head {
            snapshots: self.snapshots.clone(),
            up_to_date: self.up_to_date,
            unreadable: self.unreadable,
        };
        serde_json::to_writer(&mut out, &head)?;
        out.write_all(b"\n")?;
        for Reception { snapshot, previous, at_micros } in &self.receptions {
            out.write_all(&snapshot.to_le_bytes())?;
            out.write_all(&previous.to_le_bytes())?;
            out.write_all(&at_micros.to_le_bytes())?;
        }
        out.flush().context("cannot write what was received")
    }

    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let mut file = BufReader::new(File::open(path)?);
        let mut line = String::new();
        file.read_line(&mut line)?;
        let Head { snapshots, up_to_date, unreadable } = serde_json::from_str(&line)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let receptions = bytes.chunks_exact(16).map(|chunk| {
            let word = |at: usize| u32::from_le_bytes(chunk[at..at + 4].try_into().expect("four bytes"));
            let at_micros = u64::from_le_bytes(chunk[8..].try_into().expect("eight bytes"));
            Reception { snapshot: word(0), previous: word(4), at_micros }
        });
        Ok(Self { snapshots, receptions: receptions.collect(), up_to_date, unreadable })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_known_by_its_id_and_read_once() {
        let mut follower = Follower::default();
        let frame =
            b"4f\r\nid: 7-1\nevent: snapshot\ndata: {\"at\":\"2026-11-20T10:00:00.250Z\",\"ballots\":12}";
        assert_eq!(follower.snapshot(frame), Some(0));
        assert_eq!(follower.snapshot(b"\r\n3\r\nid: 7-1\ndata: not read again"), Some(0));
        assert_eq!(follower.snapshot(b"\r\n: still here"), None);
        assert_eq!(follower.received.snapshots.len(), 1);
        assert_eq!(follower.received.snapshots[0].ballots, 12);
        assert_eq!(follower.received.snapshots[0].at_micros % 1_000_000, 250_000);
    }

    #[test]
    fn what_was_received_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("received");
        let received = Received {
            snapshots: vec![Snapshot { at_micros: 1, ballots: 2 }],
            receptions: vec![Reception { snapshot: 0, previous: 9, at_micros: 1 << 50 }],
            up_to_date: 3,
            unreadable: 4,
        };
        received.write(&path).unwrap();
        let read = Received::read(&path).unwrap();
        assert_eq!(read.snapshots, received.snapshots);
        assert_eq!(read.receptions, received.receptions);
        assert_eq!((read.up_to_date, read.unreadable), (3, 4));
    }
}
