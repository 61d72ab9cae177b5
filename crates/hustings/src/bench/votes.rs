//! Single votes over HTTP: one voter, one request, one receipt.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::json;

use super::drive::{Load, Next, Traffic, drive};
use super::machine::Machine;
use super::report::{Aim, Report, millis};
use super::server::{Server, Tokens, audit};
use super::{Context, clock, votes_of};

pub const SLUG: &str = "bench";
/// Choice ids of equal length, so that a request is patched in place.
pub const CHOICES: [&str; 4] = ["alpha", "bravo", "delta", "gamma"];
const RECEIPTS_KEPT: usize = 20;

#[derive(clap::Args, Debug)]
pub struct VotesArgs {
    /// Different voters with one ballot each.
    #[arg(long, value_name = "N")]
    pub voters: Option<u64>,
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub connections: usize,
    /// Ends the load after so many seconds, even with voters left.
    #[arg(long, value_name = "SECONDS")]
    pub secs: Option<u64>,
    /// Each voter also asks for a session first: two requests a vote.
    #[arg(long)]
    pub sessions: bool,
}

/// Votes of minted tokens: the token and the choice are patched into the lane's last request.
pub struct Ballots {
    template: Template,
    tokens: Tokens,
    sent: u64,
    pub cast: [u64; CHOICES.len()],
    /// A few receipts, spread over the run.
    pub receipts: Vec<Vec<u8>>,
    keep_every: u64,
    answers: u64,
    choices: Vec<u8>,
}

/// A vote's request with the places of its changing parts.
struct Template {
    bytes: Vec<u8>,
    token_at: usize,
    choice_at: usize,
}

impl Template {
    fn new(token_length: usize) -> Self {
        let token = "T".repeat(token_length);
        let body = format!(r#"{{"choices":{{"winner":["{}"]}}}}"#, CHOICES[0]);
        let bytes = format!(
            "POST /api/v1/elections/{SLUG}/ballots HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer \
             {token}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        );
        let place = |part: &str| bytes.find(part).expect("it was written above");
        let (token_at, choice_at) = (place(&token), place(CHOICES[0]));
        Self { bytes: bytes.into_bytes(), token_at, choice_at }
    }

    fn patch(&self, request: &mut Vec<u8>, token: &[u8], choice: &str) {
        if request.len() != self.bytes.len() {
            request.clear();
            request.extend_from_slice(&self.bytes);
        }
        request[self.token_at..self.token_at + token.len()].copy_from_slice(token);
        request[self.choice_at..self.choice_at + choice.len()].copy_from_slice(choice.as_bytes());
    }
}

impl Ballots {
    pub fn new(tokens: Tokens, lanes: usize) -> Self {
        let keep_every = (tokens.left() / RECEIPTS_KEPT).max(1) as u64;
        Self {
            template: Template::new(tokens.length()),
            tokens,
            sent: 0,
            cast: [0; CHOICES.len()],
            receipts: Vec::new(),
            keep_every,
            answers: 0,
            choices: vec![0; lanes],
        }
    }
}

impl Traffic for Ballots {
    fn next(&mut self, lane: usize, request: &mut Vec<u8>) -> Next {
        let Some(token) = self.tokens.take() else { return Next::Done };
        self.sent += 1;
        let choice = (self.sent % 7 % CHOICES.len() as u64) as u8;
        self.choices[lane] = choice;
        self.template.patch(request, token, CHOICES[usize::from(choice)]);
        Next::Send
    }

    fn answered(&mut self, lane: usize, _: &[u8], status: u16, body: &[u8]) {
        if status == 201 {
            self.cast[usize::from(self.choices[lane])] += 1;
            if self.answers.is_multiple_of(self.keep_every) {
                self.receipts.push(body.to_vec());
            }
        }
        self.answers += 1;
    }
}

/// A session, then a vote with its token, on every lane in turn.
struct SessionsAndBallots {
    session: Vec<u8>,
    template: Option<Template>,
    lanes: Vec<Option<Vec<u8>>>,
    left: u64,
    cast: u64,
}

impl Traffic for SessionsAndBallots {
    fn next(&mut self, lane: usize, request: &mut Vec<u8>) -> Next {
        if let Some(token) = self.lanes[lane].take() {
            let template = self.template.get_or_insert_with(|| Template::new(token.len()));
            template.patch(request, &token, CHOICES[0]);
            return Next::Send;
        }
        let Some(left) = self.left.checked_sub(1) else { return Next::Done };
        self.left = left;
        request.clear();
        request.extend_from_slice(&self.session);
        Next::Send
    }

    fn answered(&mut self, lane: usize, _: &[u8], status: u16, body: &[u8]) {
        const BEFORE: &[u8] = b"\"token\":\"";
        let at = body.windows(BEFORE.len()).position(|window| window == BEFORE).map(|at| at + BEFORE.len());
        let token = at.and_then(|at| body[at..].split(|byte| *byte == b'"').next());
        match token {
            Some(token) if status == 201 => self.lanes[lane] = Some(token.to_vec()),
            _ => self.cast += u64::from(status == 201),
        }
    }
}

/// A server with one open election for votes over HTTP.
pub fn open_election(context: &Context) -> anyhow::Result<Server> {
    let data = context.folder().join("votes");
    // Another benchmark of the same run may have used it.
    if data.exists() {
        std::fs::remove_dir_all(&data)?;
    }
    let server = Server::start(&data)?;
    server.create_and_open(&definition())?;
    Ok(server)
}

pub fn definition() -> serde_json::Value {
    json!({
        "slug": SLUG, "title": "Benchmark", "eligibility": "open", "results": "live", "revote": "forbid",
        "contest": [{"id": "winner", "title": "Who wins?", "method": "plurality", "choices": CHOICES}],
    })
}

pub fn mint(server: &Server, voters: u64, lanes: usize) -> anyhow::Result<Ballots> {
    Ok(Ballots::new(server.mint(SLUG, voters)?, lanes))
}

pub fn run(context: &Context, args: &VotesArgs) -> anyhow::Result<Report> {
    let voters = args.voters.unwrap_or(context.size(2_000_000, 2_000));
    let length = args.secs.map(Duration::from_secs);
    let mut report = Report::new("votes", &Machine::read(context.folder()));
    report.method(format!(
        "single votes over HTTP/1.1 keep-alive on loopback, {} connections, closed loop, one generator thread beside \
         the server; {voters} voters with a token each, minted before; plurality of {} choices, one ballot a voter; \
         each vote is checked, logged, synced, in the tree and answered with its receipt",
        args.connections,
        CHOICES.len()
    ));
    let server = open_election(context)?;
    let minting = clock::now();
    let mut ballots = mint(&server, voters, args.connections)?;
    report.figure("tokens minted", voters as f64 / minting.elapsed().as_secs_f64(), "/s");

    let cpu_before = server.cpu_time();
    let load = drive(server.address(), args.connections, length, &mut ballots)?;
    let cpu = server.cpu_time().saturating_sub(cpu_before);
    add_load(&mut report, "votes", &load, cpu, Some((75_000.0, 20.0)));
    report.check("every vote is answered 201", load.all_answered(201), load.statuses());
    let mut cast = ballots.cast;
    if args.sessions {
        cast[0] += with_sessions(context, &server, args, &mut report)?;
    }
    finish(context, &server, cast, &ballots.receipts, &mut report)?;
    server.stop()?;
    Ok(report)
}

/// Session and vote in one run; gives the votes cast, all for the first choice.
fn with_sessions(
    context: &Context,
    server: &Server,
    args: &VotesArgs,
    report: &mut Report,
) -> anyhow::Result<u64> {
    let voters = context.size(500_000, 500);
    let session = format!(
        "POST /api/v1/elections/{SLUG}/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 0\r\n\r\n"
    );
    let mut traffic = SessionsAndBallots {
        session: session.into_bytes(),
        template: None,
        lanes: vec![None; args.connections],
        left: voters,
        cast: 0,
    };
    let cpu_before = server.cpu_time();
    let load = drive(server.address(), args.connections, None, &mut traffic)?;
    let cpu = server.cpu_time().saturating_sub(cpu_before);
    report.method(format!("then {voters} voters with a session and a vote each, two requests a voter"));
    report.figure("session + vote", traffic.cast as f64 / load.elapsed.as_secs_f64(), "voters/s");
    add_load(report, "session or vote", &load, cpu, None);
    report.check("every session and its vote is answered 201", load.all_answered(201), load.statuses());
    Ok(traffic.cast)
}

fn add_load(report: &mut Report, name: &str, load: &Load, server_cpu: Duration, aims: Option<(f64, f64)>) {
    match aims {
        Some((least, _)) => report.aimed(name, load.per_second(), "/s", Aim::AtLeast(least)),
        None => report.figure(name, load.per_second(), "/s"),
    }
    report.latencies(name, &load.latencies, aims.map(|(_, p99)| p99));
    let each = |cpu: Duration| cpu.as_secs_f64() * 1e6 / load.answers.max(1) as f64;
    report.figure(format!("{name}, server"), each(server_cpu), "us of a core each");
    report.figure(format!("{name}, generator"), each(load.generator), "us of a core each");
}

/// Closes, compares the counts, downloads the record and audits it with receipts of this run.
fn finish(
    context: &Context,
    server: &Server,
    cast: [u64; CHOICES.len()],
    receipts: &[Vec<u8>],
    report: &mut Report,
) -> anyhow::Result<()> {
    server.act(SLUG, "close")?;
    let results = server.results(SLUG)?;
    let counted = CHOICES.map(|choice| votes_of(&results, 0, choice));
    let (answered, counted_all): (u64, u64) = (cast.iter().sum(), counted.iter().sum());
    report.check(
        "exactly the acknowledged votes are counted, each for its choice",
        counted == cast,
        format!("{answered} acknowledged, {counted_all} counted"),
    );

    let record = context.folder().join("votes.record");
    let downloading = clock::now();
    let bytes = server.record(SLUG, &record)?;
    report.figure("record downloaded", bytes as f64 / 1e6 / downloading.elapsed().as_secs_f64(), "MB/s");
    let receipts = keep_receipts(context, receipts)?;
    let audited = audit(&record, &receipts)?;
    report.figure("audit", counted_all as f64 / audited.elapsed.as_secs_f64(), "ballots/s");
    report.figure("audit took", millis(audited.elapsed), "ms");
    let last = audited.said.lines().last().unwrap_or_default();
    report.check(format!("the record and {} receipts audit clean", receipts.len()), audited.passed, last);
    fs::remove_file(record)?;
    Ok(())
}

fn keep_receipts(context: &Context, receipts: &[Vec<u8>]) -> anyhow::Result<Vec<PathBuf>> {
    let write = |(index, receipt): (usize, &Vec<u8>)| {
        let path = context.folder().join(format!("{index}.receipt"));
        fs::write(&path, receipt)?;
        Ok(path)
    };
    receipts.iter().enumerate().map(write).collect()
}
