//! A hall of phones in one room, through the pages: join, read, vote, receipt, result. And the ballot page alone.

use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::drive::{Next, Traffic, drive};
use super::histogram::Histogram;
use super::machine::{self, Machine};
use super::phones::{Seen, Step};
use super::process::Running;
use super::report::{Aim, Report};
use super::server::{Server, program};
use super::{Context, clock};

const SLUG: &str = "hall";
const CHOICES: [&str; 4] = ["alpha", "bravo", "delta", "gamma"];
/// After the last vote, for the results to come.
const PATIENCE_SECS: u64 = 60;
const STEP_P99_MS: f64 = 1_000.0;
const LANES: usize = 64;

#[derive(clap::Args, Debug)]
pub struct RoomArgs {
    #[arg(long, value_name = "N")]
    pub phones: Option<usize>,
    /// All have voted after so long.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub secs: u64,
    /// Draws when phones come and what they choose.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
}

pub fn run(context: &Context, args: &RoomArgs) -> anyhow::Result<Report> {
    let phones = args.phones.unwrap_or(context.size(10_000, 50) as usize);
    let secs = context.size(args.secs, 2);
    let mut report = Report::new("room", &Machine::read(context.folder()));
    report.method(format!(
        "{phones} phones, one connection each, in one client process: join by code, ballot page, stylesheet, script, \
         review, cast, receipt page, then the live feed; they come over {} s and have all voted after {secs} s; the last \
         vote closes the election; every latency is from a request to its whole answer at the phone",
        secs / 2
    ));
    let server = Server::start(&context.folder().join("room"))?;
    let code = open_room(&server, phones as u64)?;
    let resident_before = resident(&server);
    let seen = vote(context, &server, &code, phones, secs, args.seed)?;

    for (place, (_, name)) in Step::TIMED.iter().enumerate() {
        let mut latencies = Histogram::new();
        seen.micros[place].iter().for_each(|micros| latencies.record(Duration::from_micros(*micros)));
        report.latencies(name, &latencies, Some(STEP_P99_MS));
    }
    let mut waits = Histogram::new();
    let since = |at: &u64| Duration::from_micros(at.saturating_sub(seen.last_cast));
    seen.results.iter().for_each(|at| waits.record(since(at)));
    report.latencies("result after the last vote's answer", &waits, None);
    report.aimed(
        "the last phone has the result after",
        super::report::millis(waits.max()),
        "ms",
        Aim::AtMost(2_000.0),
    );
    report.figure("server before", resident_before as f64 / (1024.0 * 1024.0), "MiB resident");
    let peak = machine::peak_bytes(server.pid()).unwrap_or(0) as f64 / (1024.0 * 1024.0);
    report.aimed("server at most", peak, "MiB resident", Aim::AtMost(500.0));
    report.figure("server", server.cpu_time().as_secs_f64(), "s of a core");

    let faults = seen.faults.first().map_or_else(String::new, |first| format!("; the first: {first}"));
    report.check(
        "every phone gets its receipt",
        seen.receipts == phones,
        format!("{} of {phones}, {} gave up{faults}", seen.receipts, seen.faults.len()),
    );
    report.check(
        "every phone gets the result",
        seen.results.len() == phones,
        format!("{} of {phones}", seen.results.len()),
    );
    let results = server.results(SLUG)?;
    let counted = results["ballots"].as_u64().unwrap_or(0);
    report.check("every ballot is counted", counted == phones as u64, format!("{counted} of {phones}"));
    server.stop()?;
    ballot_page(context, &mut report)?;
    Ok(report)
}

/// An election that closes when all have voted, in a led room, on its screen. Answers the room's code.
fn open_room(server: &Server, phones: u64) -> anyhow::Result<String> {
    server.create_and_open(&json!({
        "slug": SLUG, "title": "What shall it be?", "results": "at-close", "draw": "none",
        "closing": { "after_voters": phones },
        "contest": [{ "id": "one", "title": "What shall it be?", "method": "plurality", "choices": CHOICES }],
    }))?;
    let room = json!({ "title": "Hall", "pace": "led", "elections": [SLUG] });
    let room = server.officer("POST", "/api/v1/rooms", Some(&room.to_string()))?;
    let code = room["code"].as_str().context("a room has a code")?.to_owned();
    let screen = json!({ "show": "election", "election": SLUG });
    server.officer("POST", &format!("/api/v1/rooms/{code}/screen"), Some(&screen.to_string()))?;
    Ok(code)
}

fn vote(
    context: &Context,
    server: &Server,
    code: &str,
    phones: usize,
    secs: u64,
    seed: u64,
) -> anyhow::Result<Seen> {
    let out = context.folder().join("seen");
    let mut command = Command::new(program()?);
    command.args(["bench", "phones", "--address", &server.address().to_string(), "--code", code]);
    command.args(["--phones", &phones.to_string(), "--secs", &secs.to_string(), "--seed", &seed.to_string()]);
    command.args(["--at-most-secs", &(secs + PATIENCE_SECS).to_string(), "--out"]).arg(&out);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut client = Running::start("the phones", &mut command)?;
    let stdout = client.child().stdout.take().context("it is piped")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let status = client.wait(Duration::from_secs(secs + 2 * PATIENCE_SECS))?;
    if line.trim() != "ready" || !status.success() {
        bail!("the phones ended with {status}");
    }
    Ok(serde_json::from_slice(&std::fs::read(&out)?)?)
}

fn resident(server: &Server) -> u64 {
    machine::resident_bytes(server.pid()).unwrap_or(0)
}

/// Ballot pages at a steady pace, each for a browser that comes for the first time.
struct Pages {
    request: Vec<u8>,
    interval: Duration,
    due: Instant,
    ends_at: Instant,
}

impl Traffic for Pages {
    fn next(&mut self, _: usize, request: &mut Vec<u8>) -> Next {
        let now = clock::now();
        if now >= self.ends_at {
            return Next::Done;
        }
        if now < self.due {
            return Next::NotBefore(self.due);
        }
        self.due += self.interval;
        if request.is_empty() {
            request.extend_from_slice(&self.request);
        }
        Next::Send
    }

    fn answered(&mut self, _: usize, _: &[u8], _: u16, _: &[u8]) {}
}

/// The voter's page at 2,000 requests a second from one serving thread.
fn ballot_page(context: &Context, report: &mut Report) -> anyhow::Result<()> {
    let (rate, secs) = (context.size(2_000, 200), context.size(10, 1));
    let server = Server::start_with(&context.folder().join("page"), &[("HUSTINGS_WORKERS", "1")])?;
    open_room(&server, u64::MAX >> 12)?;
    let now = clock::now();
    let cpu_before = server.cpu_time();
    let mut pages = Pages {
        request: format!("GET /e/{SLUG} HTTP/1.1\r\nhost: 127.0.0.1\r\naccept: text/html\r\n\r\n")
            .into_bytes(),
        interval: Duration::from_secs(1) / u32::try_from(rate)?,
        due: now,
        ends_at: now + Duration::from_secs(secs),
    };
    let load = drive(server.address(), LANES, None, &mut pages)?;
    report.note(format!(
        "ballot page alone: {rate} requests/s for {secs} s, one serving thread, each a new browser"
    ));
    report.latencies("ballot page alone", &load.latencies, Some(5.0));
    report.figure("ballot pages", load.per_second(), "/s");
    let each = server.cpu_time().saturating_sub(cpu_before).as_secs_f64() * 1e6 / load.answers.max(1) as f64;
    report.figure("ballot page, server", each, "us of a core each");
    report.check("every page is 200", load.all_answered(200), load.statuses());
    server.stop()
}
