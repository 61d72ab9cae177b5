//! A server with a large ledger: how soon it takes votes again, and how fast its record is audited.

use std::fs;
use std::path::Path;

use super::bulk::{self, BulkArgs, Filled};
use super::machine::{self, Machine};
use super::report::{Aim, Report};
use super::server::{Server, audit};
use super::{Context, clock, votes_of};

#[derive(clap::Args, Debug)]
pub struct RestartArgs {
    /// Ballots in the ledger.
    #[arg(long, value_name = "N")]
    pub ballots: Option<u64>,
}

impl RestartArgs {
    fn bulk(&self) -> BulkArgs {
        BulkArgs { voters: self.ballots, lines: 4_000, connections: 8 }
    }
}

/// Bulk, restarts and audit over one ledger: what `all` runs, so that ten million ballots are cast only once.
pub fn run_all(context: &Context, args: &RestartArgs) -> anyhow::Result<Vec<Report>> {
    let machine = Machine::read(context.folder());
    let mut reports =
        [Report::new("bulk", &machine), Report::new("restart", &machine), Report::new("audit", &machine)];
    let filled = bulk::measure(context, &args.bulk(), &mut reports[0])?;
    let server = restarts(filled, &mut reports[1])?;
    audits(context, server, &mut reports[2])?;
    Ok(reports.into())
}

pub fn run(context: &Context, args: &RestartArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("restart", &Machine::read(context.folder()));
    let filled = fill(context, args)?;
    restarts(filled, &mut report)?.stop()?;
    Ok(report)
}

pub fn run_audit(context: &Context, args: &RestartArgs) -> anyhow::Result<Report> {
    let mut report = Report::new("audit", &Machine::read(context.folder()));
    let filled = fill(context, args)?;
    audits(context, filled.server, &mut report)?;
    Ok(report)
}

fn fill(context: &Context, args: &RestartArgs) -> anyhow::Result<Filled> {
    let ballots = args.ballots.unwrap_or(context.size(10_000_000, 20_000));
    bulk::fill(context, ballots, &args.bulk())
}

fn restarts(filled: Filled, report: &mut Report) -> anyhow::Result<Server> {
    let ballots = filled.lines.accepted;
    let server = filled.server;
    let data = server.data().to_owned();
    report.method(format!(
        "a ledger of {ballots} ballots of an open election, made in bulk; from the start of the process to the first \
         200 of /readyz; the ledger's pages are in the page cache but where `cold` is said"
    ));
    report.figure(
        "ledger",
        folder_bytes(&data.join("ledger")) as f64 / ballots as f64,
        "bytes/ballot on disk",
    );
    report.figure(
        "caches",
        folder_bytes(&data.join("cache")) as f64 / ballots as f64,
        "bytes/ballot on disk",
    );
    let before = server.results(bulk::SLUG)?;
    let resident = machine::anonymous_bytes(server.pid()).unwrap_or(0);
    report.figure("server after the load", resident as f64 / ballots as f64, "bytes/ballot resident");
    server.stop()?;

    let server = Server::start(&data)?;
    report.aimed("ready with snapshot", server.ready_after.as_secs_f64(), "s", Aim::AtMost(1.0));
    check_counts(&server, &before, "with snapshot", report)?;
    let resident = machine::anonymous_bytes(server.pid()).unwrap_or(0);
    report.figure("server after the restart", resident as f64 / ballots as f64, "bytes/ballot resident");
    server.kill();

    let server = Server::start(&data)?;
    report.figure("ready after a kill, with snapshot", server.ready_after.as_secs_f64(), "s");
    server.kill();

    fs::remove_dir_all(data.join("cache"))?;
    let server = Server::start(&data)?;
    report.aimed("ready without any cache", server.ready_after.as_secs_f64(), "s", Aim::AtMost(5.0));
    check_counts(&server, &before, "without any cache", report)?;
    server.kill();

    fs::remove_dir_all(data.join("cache"))?;
    forget_pages(&data.join("ledger"))?;
    let server = Server::start(&data)?;
    report.figure("ready without any cache, cold", server.ready_after.as_secs_f64(), "s");
    Ok(server)
}

fn check_counts(
    server: &Server,
    before: &serde_json::Value,
    when: &str,
    report: &mut Report,
) -> anyhow::Result<()> {
    let after = server.results(bulk::SLUG)?;
    let holds = after["contests"] == before["contests"] && after["ballots"] == before["ballots"];
    report.check(format!("the counts are those of before ({when})"), holds, after["ballots"].to_string());
    Ok(())
}

fn audits(context: &Context, server: Server, report: &mut Report) -> anyhow::Result<()> {
    server.act(bulk::SLUG, "close")?;
    let results = server.results(bulk::SLUG)?;
    let ballots: u64 =
        ["alpha", "bravo", "delta", "gamma"].iter().map(|choice| votes_of(&results, 0, choice)).sum();
    let record = context.folder().join("bulk.record");
    let downloading = clock::now();
    let bytes = server.record(bulk::SLUG, &record)?;
    report.figure("record downloaded", bytes as f64 / 1e6 / downloading.elapsed().as_secs_f64(), "MB/s");
    report.figure("record", bytes as f64 / ballots as f64, "bytes/ballot");
    server.stop()?;
    let audited = audit(&record, &[])?;
    report.method(format!(
        "the record of {ballots} ballots, re-checked by `hustings audit` from the file alone"
    ));
    report.aimed(
        "audit",
        ballots as f64 / audited.elapsed.as_secs_f64(),
        "ballots/s",
        Aim::AtLeast(1_000_000.0),
    );
    report.figure("audit took", audited.elapsed.as_secs_f64(), "s");
    report.figure("audit's memory at most", audited.peak_bytes as f64 / ballots as f64, "bytes/ballot");
    let last = audited.said.lines().last().unwrap_or_default();
    report.check("the record audits clean", audited.passed, last);
    fs::remove_file(record)?;
    Ok(())
}

fn folder_bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => folder_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// Asks the kernel to drop the pages of the folder's files, which are all on disk.
fn forget_pages(folder: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(folder)? {
        let file = fs::File::open(entry?.path())?;
        #[cfg(target_os = "linux")]
        rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed)?;
        drop(file);
    }
    Ok(())
}
