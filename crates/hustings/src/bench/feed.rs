//! The live feed: thousands follow one election while votes come in.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use super::drive::{Next, Traffic, drive};
use super::feed_client::{Received, Reception};
use super::histogram::Histogram;
use super::machine::{self, Machine};
use super::process::Running;
use super::report::{Aim, Report};
use super::server::{Server, program};
use super::votes::{self, Ballots};
use super::{Context, clock};

const LANES: usize = 64;
const ENDED_WITHIN: Duration = Duration::from_secs(60);
/// After the last vote: the last snapshot is on its way.
const SETTLE: Duration = Duration::from_secs(1);
const BALLOT_INDEX: &[u8] = b"\"ballot_index\":";

#[derive(clap::Args, Debug)]
pub struct FeedArgs {
    #[arg(long, value_name = "N")]
    pub subscribers: Option<usize>,
    /// Votes a second meanwhile.
    #[arg(long, default_value_t = 2_000, value_name = "N")]
    pub rate: u64,
    #[arg(long, default_value_t = 20, value_name = "SECONDS")]
    pub secs: u64,
}

/// Votes at a steady pace; remembers when each was acknowledged.
struct Paced<'a> {
    ballots: &'a mut Ballots,
    interval: Duration,
    due: Instant,
    ends_at: Instant,
    /// Unix microseconds of the acknowledgement, by ballot index; 0 where none came.
    acknowledged: Vec<u64>,
}

impl Traffic for Paced<'_> {
    fn next(&mut self, lane: usize, request: &mut Vec<u8>) -> Next {
        let now = clock::now();
        if now >= self.ends_at {
            return Next::Done;
        }
        if now < self.due {
            return Next::NotBefore(self.due);
        }
        self.due += self.interval;
        self.ballots.next(lane, request)
    }

    fn answered(&mut self, lane: usize, request: &[u8], status: u16, body: &[u8]) {
        let now = clock::unix_micros();
        let at = body.windows(BALLOT_INDEX.len()).position(|window| window == BALLOT_INDEX);
        if let Some(at) = at.filter(|_| status == 201) {
            let digits = body[at + BALLOT_INDEX.len()..].iter().take_while(|byte| byte.is_ascii_digit());
            let index = digits.fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
            if index >= self.acknowledged.len() {
                self.acknowledged.resize(index + 1, 0);
            }
            self.acknowledged[index] = now;
        }
        self.ballots.answered(lane, request, status, body);
    }
}

pub fn run(context: &Context, args: &FeedArgs) -> anyhow::Result<Report> {
    let subscribers = args.subscribers.unwrap_or(context.size(10_000, 100) as usize);
    let secs = context.size(args.secs, 1);
    let rate = context.size(args.rate, 200);
    let mut report = Report::new("feed", &Machine::read(context.folder()));
    report.method(format!(
        "{subscribers} subscribers of one election's live feed in one client process, {rate} single votes a second for \
         {secs} s from another; latency until the subscriber's process has read the snapshot, of every snapshot and \
         subscriber",
    ));
    let server = votes::open_election(context)?;
    let mut ballots = votes::mint(&server, rate * (secs + 2), LANES)?;
    let mut acknowledged = Vec::new();
    // Buffers that the first votes need are no subscriber's.
    pace(&server, &mut ballots, rate, Duration::from_secs(1), &mut acknowledged)?;
    let resident_before = resident(&server);

    let out = context.folder().join("received");
    let mut client = start_client(&server, subscribers, &out)?;
    std::thread::sleep(SETTLE);
    let resident_idle = resident(&server);
    let (client_before, server_before, began) = (client.cpu_time(), server.cpu_time(), clock::now());
    let load = pace(&server, &mut ballots, rate, Duration::from_secs(secs), &mut acknowledged)?;
    let elapsed = began.elapsed().as_secs_f64();
    let resident_after = resident(&server);
    let cores = |after: Duration, before: Duration| (after.saturating_sub(before)).as_secs_f64() / elapsed;
    let (client_cores, server_cores) =
        (cores(client.cpu_time(), client_before), cores(server.cpu_time(), server_before));
    std::thread::sleep(SETTLE);
    drop(client.child().stdin.take());
    let status = client.wait(ENDED_WITHIN)?;
    if !status.success() {
        bail!("the feed client ended with {status}");
    }

    let received = Received::read(&out)?;
    let (from_stamp, from_acknowledgement) = latencies(&received, &acknowledged);
    report.figure("receptions", received.receptions.len() as f64 / elapsed, "/s");
    let each_second = received.receptions.len() as f64 / elapsed / subscribers.max(1) as f64;
    report.figure("snapshots", each_second, "/s and subscriber");
    report.latencies("from the snapshot's stamp", &from_stamp, Some(100.0));
    report.latencies("from the oldest new ballot's acknowledgement", &from_acknowledgement, Some(300.0));
    let each = |after: u64| after.saturating_sub(resident_before) as f64 / 1024.0 / subscribers as f64;
    report.figure("server, each subscriber, idle", each(resident_idle), "KiB resident");
    report.aimed("server, each subscriber", each(resident_after), "KiB resident", Aim::AtMost(25.0));
    report.figure("server", server_cores, "cores");
    report.figure("client of the subscribers", client_cores, "cores");
    report.figure("votes meanwhile", load.per_second(), "/s");
    report.latencies("vote meanwhile", &load.latencies, None);
    report.check("every vote is answered 201", load.all_answered(201), load.statuses());
    let up_to_date = received.up_to_date;
    report.check(
        "every subscriber has the last snapshot",
        up_to_date == subscribers && received.unreadable == 0,
        format!("{up_to_date} of {subscribers}, {} frames unreadable", received.unreadable),
    );
    let last = received.snapshots.last().map_or(0, |snapshot| snapshot.ballots);
    let cast: u64 = ballots.cast.iter().sum();
    report.check("the last snapshot counts every vote", last == cast, format!("{last} of {cast}"));
    server.stop()?;
    Ok(report)
}

fn resident(server: &Server) -> u64 {
    machine::resident_bytes(server.pid()).unwrap_or(0)
}

fn pace(
    server: &Server,
    ballots: &mut Ballots,
    rate: u64,
    length: Duration,
    acknowledged: &mut Vec<u64>,
) -> anyhow::Result<super::drive::Load> {
    let now = clock::now();
    let mut paced = Paced {
        ballots,
        interval: Duration::from_secs(1) / u32::try_from(rate.max(1))?,
        due: now,
        ends_at: now + length,
        acknowledged: std::mem::take(acknowledged),
    };
    let load = drive(server.address(), LANES, None, &mut paced)?;
    *acknowledged = paced.acknowledged;
    Ok(load)
}

fn start_client(server: &Server, subscribers: usize, out: &std::path::Path) -> anyhow::Result<Running> {
    let mut command = Command::new(program()?);
    command.args(["bench", "feed-client", "--address", &server.address().to_string()]);
    command.args(["--path", &format!("/api/v1/elections/{}/events", votes::SLUG)]);
    command.args(["--subscribers", &subscribers.to_string(), "--out"]).arg(out);
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut client = Running::start("the feed client", &mut command)?;
    let stdout = client.child().stdout.take().context("it is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    if line.trim() != "ready" {
        bail!("the feed client did not become ready");
    }
    Ok(client)
}

/// For every reception: since the snapshot's stamp, and since the acknowledgement of the oldest ballot that the
/// subscriber had not seen counted.
fn latencies(received: &Received, acknowledged: &[u64]) -> (Histogram, Histogram) {
    let (mut from_stamp, mut from_acknowledgement) = (Histogram::new(), Histogram::new());
    for Reception { snapshot, previous, at_micros } in &received.receptions {
        let snapshot = received.snapshots[*snapshot as usize];
        let previous = received.snapshots[*previous as usize];
        from_stamp.record(Duration::from_micros(at_micros.saturating_sub(snapshot.at_micros)));
        let oldest = acknowledged.get(previous.ballots as usize).copied().unwrap_or(0);
        if snapshot.ballots > previous.ballots && oldest > 0 {
            from_acknowledgement.record(Duration::from_micros(at_micros.saturating_sub(oldest)));
        }
    }
    (from_stamp, from_acknowledgement)
}

#[cfg(test)]
mod tests {
    use super::super::feed_client::Snapshot;
    use super::*;

    #[test]
    fn a_snapshot_is_as_late_as_its_oldest_new_ballot() {
        let received = Received {
            snapshots: vec![
                Snapshot { at_micros: 1_000, ballots: 2 },
                Snapshot { at_micros: 9_000, ballots: 4 },
                Snapshot { at_micros: 9_500, ballots: 4 },
            ],
            receptions: vec![
                Reception { snapshot: 1, previous: 0, at_micros: 10_000 },
                Reception { snapshot: 2, previous: 1, at_micros: 10_000 },
            ],
            ..Received::default()
        };
        let (from_stamp, from_acknowledgement) = latencies(&received, &[100, 200, 4_000, 8_000]);
        assert_eq!(from_stamp.max(), Duration::from_millis(1));
        assert_eq!((from_acknowledgement.count(), from_acknowledgement.max()), (1, Duration::from_millis(6)));
    }
}
