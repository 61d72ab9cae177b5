//! Others beside ourselves, in one run: rounds are short and take turns, because a machine is noisy.

use std::time::Duration;

use super::Context;
use super::drive::drive;
use super::machine::Machine;
use super::report::{Aim, Report, millis, number};
use super::server::Server;
use super::votes::{self, Ballots};

mod postgres;
mod redis;

use postgres::Postgres;
use redis::Redis;

/// The count of clients that the comparison is about; the others are shown beside it.
const CLIENTS: usize = 32;
const OTHER_CLIENTS: [usize; 3] = [1, 8, 64];
/// Our own lanes: as `bench votes`, and as many as PostgreSQL's clients.
const LANES: usize = 256;
const REDIS_VOTES_PER_SECOND: u64 = 50_000;
/// Tokens for a round: more than a machine of the time can use up.
const TOKENS_PER_SECOND: u64 = 150_000;

#[derive(clap::Args, Debug)]
pub struct PeersArgs {
    /// Rounds of each, taking turns.
    #[arg(long, default_value_t = 5, value_name = "N")]
    pub rounds: usize,
    /// Length of a round.
    #[arg(long, default_value_t = 4, value_name = "SECONDS")]
    pub secs: u64,
}

/// One round of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub per_second: f64,
    pub p50_millis: f64,
    pub p99_millis: f64,
}

/// The rounds of everybody who takes part.
#[derive(Default)]
struct Rounds {
    ours: Vec<Round>,
    ours_with_as_many_clients: Vec<Round>,
    postgres: Vec<Round>,
    redis: Vec<Round>,
}

pub fn run(context: &Context, args: &PeersArgs) -> anyhow::Result<Report> {
    let (rounds, secs) = if context.quick { (1, 1) } else { (args.rounds, args.secs) };
    let mut report = Report::new("peers", &Machine::read(context.folder()));
    let postgres = start_postgres(context, &mut report)?;
    let redis = start_redis(context, &mut report)?;
    let server = votes::open_election(context)?;
    let tokens = TOKENS_PER_SECOND * secs * 2 * rounds as u64;
    let mut ballots = votes::mint(&server, tokens, LANES)?;
    report.method(format!(
        "{rounds} rounds of {secs} s each, taking turns on one machine; medians. Hustings: `bench votes`, {LANES} \
         keep-alive connections, HTTP, every vote checked, synced, in the tree and answered with its receipt"
    ));

    if let Some(postgres) = &postgres {
        for clients in OTHER_CLIENTS {
            let round = postgres.round(clients, secs)?;
            add_round(&mut report, &format!("PostgreSQL, clients: {clients}"), round);
        }
    }
    let mut all = Rounds::default();
    for _ in 0..rounds {
        if let Some(postgres) = &postgres {
            all.postgres.push(postgres.round(CLIENTS, secs)?);
        }
        all.ours.push(our_round(&server, &mut ballots, LANES, secs, &mut report)?);
        if let Some(redis) = &redis {
            all.redis.push(redis.round(REDIS_VOTES_PER_SECOND * secs)?);
        }
        all.ours_with_as_many_clients.push(our_round(&server, &mut ballots, CLIENTS, secs, &mut report)?);
    }
    compare(&all, &mut report);
    server.stop()?;
    Ok(report)
}

fn start_postgres(context: &Context, report: &mut Report) -> anyhow::Result<Option<Postgres>> {
    let Some(bin) = postgres::find() else {
        report.note(format!("PostgreSQL is not installed: {}", postgres::HOW_TO_INSTALL));
        return Ok(None);
    };
    let postgres = Postgres::start(&bin, &context.parent()?)?;
    report.method(format!(
        "PostgreSQL {}: pgbench over a local socket, prepared INSERT of one vote a transaction, primary key \
         (election, voter), {}; no HTTP, no receipt",
        postgres.version()?,
        postgres::SETTINGS.join(", ")
    ));
    Ok(Some(postgres))
}

fn start_redis(context: &Context, report: &mut Report) -> anyhow::Result<Option<Redis>> {
    if !redis::is_installed() {
        report.note(format!("Redis is not installed: {}", redis::HOW_TO_INSTALL));
        return Ok(None);
    }
    let redis = Redis::start(context.folder())?;
    report.method(format!(
        "Redis {}: appendfsync always, redis-benchmark with 50 connections, a Lua script a vote (set of voters, \
         count per choice); no HTTP, no receipt",
        redis.version()?
    ));
    Ok(Some(redis))
}

fn our_round(
    server: &Server,
    ballots: &mut Ballots,
    lanes: usize,
    secs: u64,
    report: &mut Report,
) -> anyhow::Result<Round> {
    let load = drive(server.address(), lanes, Some(Duration::from_secs(secs)), ballots)?;
    if !load.all_answered(201) {
        report.check("every vote is answered 201", false, load.statuses());
    }
    Ok(Round {
        per_second: load.per_second(),
        p50_millis: millis(load.latencies.quantile(0.5)),
        p99_millis: millis(load.latencies.quantile(0.99)),
    })
}

fn compare(all: &Rounds, report: &mut Report) {
    let ours = median(&all.ours);
    let ours_with_as_many_clients = median(&all.ours_with_as_many_clients);
    add_round(report, &format!("Hustings, clients: {LANES}"), ours);
    add_round(report, &format!("Hustings, clients: {CLIENTS}"), ours_with_as_many_clients);
    report.note(format!("Hustings, rounds: {}", listed(&all.ours)));
    if !all.postgres.is_empty() {
        let postgres = median(&all.postgres);
        add_round(report, &format!("PostgreSQL, clients: {CLIENTS}"), postgres);
        report.note(format!("PostgreSQL, rounds: {}", listed(&all.postgres)));
        let ratio = ours.per_second / postgres.per_second;
        report.aimed("Hustings to PostgreSQL", ratio, "times", Aim::AtLeast(2.0));
        let ratio = ours_with_as_many_clients.per_second / postgres.per_second;
        report.figure(format!("the same, both with {CLIENTS} clients"), ratio, "times");
    }
    if !all.redis.is_empty() {
        let redis = median(&all.redis);
        add_round(report, "Redis, clients: 50", redis);
        report.note(format!("Redis, rounds: {}", listed(&all.redis)));
        report.figure("Hustings to Redis", ours.per_second / redis.per_second, "times");
    }
}

fn add_round(report: &mut Report, name: &str, round: Round) {
    report.figure(name, round.per_second, "votes/s");
    report.figure(format!("{name}, p50"), round.p50_millis, "ms");
    report.figure(format!("{name}, p99"), round.p99_millis, "ms");
}

/// Of each figure by itself.
fn median(rounds: &[Round]) -> Round {
    let of = |figure: fn(&Round) -> f64| {
        let mut figures: Vec<f64> = rounds.iter().map(figure).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
    };
    Round {
        per_second: of(|round| round.per_second),
        p50_millis: of(|round| round.p50_millis),
        p99_millis: of(|round| round.p99_millis),
    }
}

fn listed(rounds: &[Round]) -> String {
    rounds.iter().map(|round| number(round.per_second)).collect::<Vec<_>>().join("; ")
}
