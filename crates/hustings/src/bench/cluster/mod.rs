//! Three nodes beside one, and beside three etcd servers, in one run: what replication costs, and how long nobody is
//! served when the leader dies.

use std::net::SocketAddr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::Signal;

use super::bulk::{self, Bodies, EveryVoterOnce};
use super::drive::{Load, drive_all};
use super::machine::Machine;
use super::report::{Aim, Report, millis};
use super::server::{Tokens, audit};
use super::votes::{self, Ballots};
use super::{Context, clock, votes_of};

mod etcd;
mod gaps;
mod group;
mod slow;

use etcd::{Etcd, Puts, PutsAgain};
use gaps::{Asking, Moments, REQUESTS_PER_SECOND, watch};
use group::Group;
use slow::{SlowDisk, WRITES_PER_SECOND};

const NODES: usize = 3;
/// Tokens for a second of single votes: more than two cores can use up.
const TOKENS_PER_SECOND: u64 = 60_000;
/// How long after a fault is looked at.
const AFTER_FAULT: Duration = Duration::from_secs(6);

#[derive(clap::Args, Debug)]
pub struct ClusterArgs {
    /// Rounds of each, taking turns.
    #[arg(long, default_value_t = 3, value_name = "N")]
    pub rounds: usize,
    /// Length of a round.
    #[arg(long, default_value_t = 5, value_name = "SECONDS")]
    pub secs: u64,
    /// Leaders killed with SIGKILL under load.
    #[arg(long, default_value_t = 30, value_name = "N")]
    pub kills: usize,
    /// Ballots that a new node has to fetch.
    #[arg(long, value_name = "N")]
    pub catch_up: Option<u64>,
    #[arg(long, default_value_t = 256, value_name = "N")]
    pub connections: usize,
    /// Leaves etcd out.
    #[arg(long)]
    pub without_etcd: bool,
}

pub fn run(context: &Context, args: &ClusterArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("cluster", &Machine::read(context.folder()));
    let (rounds, secs, kills) = if context.quick { (1, 1, 1) } else { (args.rounds, args.secs, args.kills) };
    report.method(format!(
        "{NODES} nodes, the load and, in turn, one node alone, all on this machine, every one with its own ledger on \
         the same disk, synced; {} keep-alive connections dealt out to the nodes; {rounds} rounds of {secs} s each, \
         taking turns, medians",
        args.connections
    ));
    let mut etcd = start_etcd(context, args, &mut report)?;
    let one = votes::open_election(context)?;
    let mut group = Group::start(context, NODES)?;
    group.server(0).create_and_open(&votes::definition())?;
    group.wait_until_whole()?;

    let watched = AFTER_FAULT.as_secs() * kills as u64 + 20;
    let for_gaps = REQUESTS_PER_SECOND * watched * 5 / 4;
    let tokens = TOKENS_PER_SECOND * secs * (rounds as u64 * 2 + 6) + for_gaps;
    let mut of_one = votes::mint(&one, TOKENS_PER_SECOND * 2 * secs * rounds as u64, args.connections)?;
    let mut minted = group.server(0).mint(votes::SLUG, tokens)?;
    let for_gaps = TokensByNumber::take(&mut minted, for_gaps);
    let mut of_group = Ballots::new(minted, args.connections);

    let length = Some(Duration::from_secs(secs));
    let all = group.addresses();
    let mut rates = Rates::default();
    let mut puts = etcd.as_ref().map(|etcd| Puts { host: etcd.addresses()[0], next: 0 });
    for _ in 0..rounds {
        rates.one.push(round(&[one.address()], args.connections, length, &mut of_one)?);
        rates.group.push(round(&all, args.connections, length, &mut of_group)?);
        if let (Some(etcd), Some(puts)) = (&etcd, &mut puts) {
            rates.etcd.push(round(etcd.addresses(), args.connections, length, puts)?);
        }
    }
    rates.add_to(&mut report);
    one.stop()?;

    stopped_follower(&group, args, length, &mut of_group, &mut report)?;
    slow_disk(context, &group, args, length, &mut of_group, etcd.as_ref().zip(puts.as_mut()), &mut report)?;
    transfers(&group, &for_gaps, kills, &mut report)?;
    killed_leaders(
        &mut group,
        &for_gaps,
        kills,
        etcd.as_mut(),
        puts.as_ref().map_or(0, |puts| puts.next),
        &mut report,
    )?;
    let cast = of_group.cast.iter().sum::<u64>();
    finish(context, &group, cast, &for_gaps, &mut report)?;
    drop(etcd);
    bulk_and_catch_up(context, &mut group, args, &mut report)?;
    group.stop()?;
    Ok(report)
}

fn start_etcd(context: &Context, args: &ClusterArgs, report: &mut Report) -> anyhow::Result<Option<Etcd>> {
    if args.without_etcd {
        return Ok(None);
    }
    if !etcd::is_installed() {
        report.note(format!("etcd is not installed: {}", etcd::HOW_TO_INSTALL));
        return Ok(None);
    }
    let etcd = Etcd::start(context.folder())?;
    report.method(format!(
        "etcd {}: three servers, its own defaults (synced); puts of 150 bytes under keys of their own through its \
         HTTP gateway with JSON, the same generator and connections; no receipt",
        Etcd::version()
    ));
    Ok(Some(etcd))
}

/// Per second, median latency and the 99th percentile in milliseconds.
#[derive(Clone, Copy)]
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
    refused: u64,
}

fn round(
    addresses: &[SocketAddr],
    connections: usize,
    length: Option<Duration>,
    traffic: &mut impl super::drive::Traffic,
) -> anyhow::Result<Round> {
    let load = drive_all(addresses, connections, length, traffic)?;
    Ok(round_of(&load))
}

fn round_of(load: &Load) -> Round {
    let done: u64 =
        load.by_status.iter().filter(|(status, _)| (200..300).contains(*status)).map(|(_, n)| n).sum();
    Round {
        per_second: done as f64 / load.elapsed.as_secs_f64(),
        p50: millis(load.latencies.quantile(0.5)),
        p99: millis(load.latencies.quantile(0.99)),
        refused: load.answers - done,
    }
}

#[derive(Default)]
struct Rates {
    one: Vec<Round>,
    group: Vec<Round>,
    etcd: Vec<Round>,
}

impl Rates {
    fn add_to(&self, report: &mut Report) {
        let of = |rounds: &[Round], what: fn(&Round) -> f64| median(rounds.iter().map(what).collect());
        let rate = |rounds: &[Round]| of(rounds, |round| round.per_second);
        report.figure("votes, one node", rate(&self.one), "/s");
        report.figure("votes, one node, p99", of(&self.one, |round| round.p99), "ms");
        report.aimed("votes, three nodes", rate(&self.group), "/s", Aim::AtLeast(20_000.0));
        report.aimed("votes, three nodes to one", rate(&self.group) / rate(&self.one), "", Aim::AtLeast(0.5));
        report.figure("votes, three nodes, p50", of(&self.group, |round| round.p50), "ms");
        report.aimed("votes, three nodes, p99", of(&self.group, |round| round.p99), "ms", Aim::AtMost(50.0));
        let refused: u64 = self.group.iter().chain(&self.one).map(|round| round.refused).sum();
        report.check("every vote is answered 201", refused == 0, format!("{refused} were not"));
        if !self.etcd.is_empty() {
            report.figure("etcd, puts", rate(&self.etcd), "/s");
            report.figure("etcd, puts, p50", of(&self.etcd, |round| round.p50), "ms");
            report.figure("etcd, puts, p99", of(&self.etcd, |round| round.p99), "ms");
            let ratio = rate(&self.group) / rate(&self.etcd);
            report.aimed("votes to etcd's puts", ratio, "", Aim::AtLeast(2.0));
        }
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// One follower stands still (SIGSTOP): the other two are a majority.
fn stopped_follower(
    group: &Group,
    args: &ClusterArgs,
    length: Option<Duration>,
    ballots: &mut Ballots,
    report: &mut Report,
) -> anyhow::Result<()> {
    let (leader, _) = group.leader()?;
    let still = (0..NODES).find(|place| *place != leader).expect("three nodes have followers");
    let addresses = group.addresses();
    let others: Vec<SocketAddr> =
        (0..NODES).filter(|place| *place != still).map(|place| addresses[place]).collect();
    let before = round(&others, args.connections, length, ballots)?;
    group.server(still).signal(Signal::STOP);
    let with_two = round(&others, args.connections, length, ballots);
    group.server(still).signal(Signal::CONT);
    let with_two = with_two?;
    group.wait_until_whole()?;
    report.figure("votes at two of three nodes, p99", before.p99, "ms");
    report.figure("the same, the third one stopped, p99", with_two.p99, "ms");
    report.aimed("p99, a follower stopped to all running", with_two.p99 / before.p99, "", Aim::AtMost(2.0));
    Ok(())
}

/// One follower of each writes slowly: the other two are a majority.
fn slow_disk(
    context: &Context,
    group: &Group,
    args: &ClusterArgs,
    length: Option<Duration>,
    ballots: &mut Ballots,
    etcd: Option<(&Etcd, &mut Puts)>,
    report: &mut Report,
) -> anyhow::Result<()> {
    let slow = match SlowDisk::new(context.folder()) {
        Ok(slow) => slow,
        Err(error) => {
            report.note(format!("no slow disk was tried: {error:#}"));
            return Ok(());
        }
    };
    report.method(format!("a slow disk: one follower may write {WRITES_PER_SECOND} times a second"));
    let (leader, _) = group.leader()?;
    let follower = (0..NODES).find(|place| *place != leader).expect("three nodes have followers");
    let pid = group.server(follower).pid();
    slow.take(pid)?;
    let ours = round(&group.addresses(), args.connections, length, ballots);
    slow.release(pid);
    let ours = ours?;
    group.wait_until_whole()?;
    report.figure("votes, one slow disk", ours.per_second, "/s");
    report.figure("votes, one slow disk, p99", ours.p99, "ms");
    let Some((etcd, puts)) = etcd else { return Ok(()) };
    let leader = etcd.leader()?;
    let pid = (0..NODES).find(|place| *place != leader).and_then(|place| etcd.pid(place));
    let pid = pid.context("etcd has a follower")?;
    slow.take(pid)?;
    let theirs = round(etcd.addresses(), args.connections, length, puts);
    slow.release(pid);
    let theirs = theirs?;
    report.figure("etcd, puts, one slow disk", theirs.per_second, "/s");
    report.figure("etcd, puts, one slow disk, p99", theirs.p99, "ms");
    let ratio = ours.per_second / theirs.per_second;
    report.aimed("votes to etcd's puts, one slow disk", ratio, "", Aim::AtLeast(2.0));
    Ok(())
}

/// Tokens that clients ask with again and again until they are answered.
struct TokensByNumber {
    tokens: Vec<Vec<u8>>,
    next: AtomicU64,
}

impl TokensByNumber {
    fn take(tokens: &mut Tokens, count: u64) -> Self {
        let taken = (0..count).map_while(|_| tokens.take().map(<[u8]>::to_vec));
        Self { tokens: taken.collect(), next: AtomicU64::new(0) }
    }
}

impl Asking for TokensByNumber {
    fn request(&self, number: u64, host: SocketAddr) -> Vec<u8> {
        let token = &self.tokens[number as usize % self.tokens.len()];
        let token = std::str::from_utf8(token).expect("tokens are text");
        let body = format!(r#"{{"choices":{{"winner":["{}"]}}}}"#, votes::CHOICES[0]);
        format!(
            "POST /api/v1/elections/{}/ballots HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {token}\r\n\
             idempotency-key: again-{number}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            votes::SLUG,
            body.len()
        )
        .into_bytes()
    }

    fn is_acknowledged(&self, answer: &[u8]) -> bool {
        answer.starts_with(b"HTTP/1.1 201") || answer.starts_with(b"HTTP/1.1 200")
    }
}

fn transfers(
    group: &Group,
    asking: &TokensByNumber,
    count: usize,
    report: &mut Report,
) -> anyhow::Result<()> {
    let mut gaps = Vec::new();
    let addresses = group.addresses();
    for _ in 0..count.min(10) {
        let (leader, _) = group.leader()?;
        let next = (0..NODES).find(|place| *place != leader).expect("three nodes have followers");
        let id = group.id_of(next)?;
        let (done, moments) = watch(&addresses, asking, &asking.next, || {
            std::thread::sleep(Duration::from_millis(500));
            let from = clock::now();
            let changed = group.change("transfer", id);
            std::thread::sleep(Duration::from_secs(1));
            changed.map(|()| from)
        });
        gaps.push(millis(moments.longest_gap(done?, Duration::from_secs(1))));
        group.wait_until_whole()?;
    }
    report.aimed(
        "planned transfer, longest time without a vote, median",
        median(gaps.clone()),
        "ms",
        Aim::AtMost(200.0),
    );
    report.figure("planned transfer, the longest", gaps.into_iter().fold(0.0, f64::max), "ms");
    Ok(())
}

fn killed_leaders(
    group: &mut Group,
    asking: &TokensByNumber,
    count: usize,
    etcd: Option<&mut Etcd>,
    puts: u64,
    report: &mut Report,
) -> anyhow::Result<()> {
    report.method(format!(
        "{count} leaders killed with SIGKILL under 8 clients that ask another node after 300 ms; the gap is the \
         longest time without any acknowledgement in the {} s after the kill; the node is started again each time",
        AFTER_FAULT.as_secs()
    ));
    let addresses = group.addresses();
    let (mut gaps, mut acknowledged) = (Vec::new(), 0);
    for _ in 0..count {
        let (leader, _) = group.leader()?;
        let (from, moments) = watch(&addresses, asking, &asking.next, || {
            std::thread::sleep(Duration::from_millis(500));
            group.kill(leader);
            let from = clock::now();
            std::thread::sleep(AFTER_FAULT);
            from
        });
        acknowledged += moments.count();
        gaps.push(gap_of(&moments, from));
        group.run(leader)?;
        group.wait_until_whole()?;
    }
    report.figure("votes acknowledged around the kills", acknowledged as f64, "");
    let longest = gaps.iter().copied().fold(0.0, f64::max);
    let typical = median(gaps);
    report.aimed("killed leader, time without a vote, median", typical, "ms", Aim::AtMost(1_000.0));
    report.aimed("killed leader, the longest", longest, "ms", Aim::AtMost(3_000.0));
    let Some(etcd) = etcd else { return Ok(()) };
    let next = AtomicU64::new(puts);
    let mut gaps = Vec::new();
    for _ in 0..count {
        let leader = etcd.leader()?;
        let addresses = etcd.addresses().to_vec();
        let (from, moments) = watch(&addresses, &PutsAgain, &next, || {
            std::thread::sleep(Duration::from_millis(500));
            etcd.kill(leader);
            let from = clock::now();
            std::thread::sleep(AFTER_FAULT);
            from
        });
        gaps.push(gap_of(&moments, from));
        etcd.run(leader)?;
        std::thread::sleep(Duration::from_millis(500));
    }
    report.figure("etcd, killed leader, the longest", gaps.iter().copied().fold(0.0, f64::max), "ms");
    let theirs = median(gaps);
    report.figure("etcd, killed leader, time without a put, median", theirs, "ms");
    report.aimed("our gap to etcd's", typical / theirs, "", Aim::AtMost(1.0));
    Ok(())
}

fn gap_of(moments: &Moments, from: std::time::Instant) -> f64 {
    millis(moments.longest_gap(from, AFTER_FAULT))
}

/// Every acknowledged vote is counted once, on every node, and the record audits clean.
fn finish(
    context: &Context,
    group: &Group,
    cast: u64,
    asking: &TokensByNumber,
    report: &mut Report,
) -> anyhow::Result<()> {
    let server = group.server(0);
    server.act(votes::SLUG, "close")?;
    group.wait_until_whole()?;
    let results = server.results(votes::SLUG)?;
    let counted: u64 = votes::CHOICES.iter().map(|choice| votes_of(&results, 0, choice)).sum();
    // A client that was ended before its answer may have been counted, and none that was not asked.
    let asked = asking.next.load(std::sync::atomic::Ordering::Relaxed);
    let had = asking.tokens.len() as u64;
    report.check("every client had a voter for each request", asked <= had, format!("{asked} of {had}"));
    report.check(
        "every acknowledged vote is counted, and none that nobody cast",
        counted >= cast && counted <= cast + asked,
        format!("{cast} under load, at most {asked} around faults, {counted} counted"),
    );
    let record = context.folder().join("cluster.record");
    server.record(votes::SLUG, &record)?;
    let audited = audit(&record, &[])?;
    let last = audited.said.lines().last().unwrap_or_default().to_owned();
    report.check("the record audits clean", audited.passed, last);
    std::fs::remove_file(record)?;
    Ok(())
}

/// Bulk into three nodes; then a fourth one fetches all of it while votes go on.
fn bulk_and_catch_up(
    context: &Context,
    group: &mut Group,
    args: &ClusterArgs,
    report: &mut Report,
) -> anyhow::Result<()> {
    let ballots = args.catch_up.unwrap_or(context.size(10_000_000, 20_000));
    group.server(0).create_and_open(&bulk::definition())?;
    group.wait_until_whole()?;
    let mut lines = EveryVoterOnce::default();
    let mut bodies = Bodies {
        lines: &mut lines,
        slug: bulk::SLUG,
        lines_per_body: 4_000,
        left: ballots,
        officer_token: group.server(0).officer_token(),
        torn: 0,
    };
    let load = drive_all(&group.addresses(), 8, None, &mut bodies)?;
    let accepted = lines.accepted as f64;
    report.aimed(
        "bulk into three nodes",
        accepted / load.elapsed.as_secs_f64(),
        "/s",
        Aim::AtLeast(300_000.0),
    );
    report.check(
        "every bulk ballot is acknowledged",
        lines.accepted == ballots,
        format!("{}", lines.accepted),
    );

    let before = group.view()?["position"].as_u64().context("a position")?;
    let began = clock::now();
    let new = group.add()?;
    let mut last = 0;
    loop {
        let view = group.view()?;
        let address = format!("http://{}", group.addresses()[new]);
        let mut nodes = view["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["address"] == *address);
        last = node.and_then(|node| node["position"].as_u64()).unwrap_or(last);
        if last >= before && node.is_some_and(|node| node["role"] != "learner") {
            break;
        }
        anyhow::ensure!(
            began.elapsed() < Duration::from_secs(600),
            "the new node stands at {last} of {before}"
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    let rate = ballots as f64 / began.elapsed().as_secs_f64();
    report.aimed("a new node catches up, ballots", rate, "/s", Aim::AtLeast(500_000.0));
    Ok(())
}
