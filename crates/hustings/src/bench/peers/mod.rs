//! Others beside ourselves, in one run: rounds are short and take turns, because a machine is noisy.

use super::Context;
use super::machine::Machine;
use super::report::{Aim, Report};

pub mod postgres;
pub mod redis;

use postgres::Postgres;
use redis::Redis;

#[derive(clap::Args, Debug)]
pub struct PeersArgs {
    /// Rounds of each.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Length of a round.
    #[arg(long, default_value_t = 4)]
    pub secs: u64,
}

/// One round of one peer.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    pub per_second: f64,
    pub p50_millis: f64,
    pub p99_millis: f64,
}

pub fn run(context: &Context, args: &PeersArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("peers", &Machine::read(context.folder()));
    let bin = postgres::find().unwrap();
    let pg = Postgres::start(&bin, context.folder().parent().unwrap())?;
    let redis = Redis::start(context.folder())?;
    report.method(pg.version()?);
    for _ in 0..args.rounds {
        for clients in [1, 8, 32, 64] {
            report.note(format!("pg {clients} {:?}", pg.round(clients, args.secs)?));
        }
        report.note(format!("redis {:?}", redis.round(200000)?));
    }
    report.note(format!("stored {}", pg.votes_stored()?));
    let _ = Aim::AtLeast(1.0);
    Ok(report)
}
