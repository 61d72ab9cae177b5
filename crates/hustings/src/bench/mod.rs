//! `hustings bench`: measures what the documents promise, on the machine it runs on. The method of each benchmark is
//! printed with its figures; docs/dev/benchmarks.md explains them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

mod apply;
mod bulk;
mod clock;
mod drive;
mod generator;
mod histogram;
mod http;
mod machine;
mod peers;
mod process;
mod report;
mod responder;
mod restart;
mod server;
mod voter;
mod votes;

use report::Report;

/// Measures this machine: votes, bulk, apply, restart, audit, the live feed, and what others reach beside it.
#[derive(clap::Args, Debug)]
pub struct BenchArgs {
    #[command(subcommand)]
    what: What,
    /// Prints the reports as JSON.
    #[arg(long, global = true)]
    json: bool,
    /// Small sizes: shows that each benchmark works, not what the machine can do.
    #[arg(long, global = true)]
    quick: bool,
    /// Folder for the data of the runs, on the disk to be measured; removed afterwards. Default: the system's
    /// folder for temporary files.
    #[arg(long, global = true)]
    dir: Option<PathBuf>,
}

#[derive(clap::Subcommand, Debug)]
enum What {
    /// The load generator alone, against a server that does nothing.
    Generator(generator::GeneratorArgs),
    /// Single votes over HTTP, each with its receipt.
    Votes(votes::VotesArgs),
    /// The Voter workload: phone numbers, contestants, totals per state.
    Voter(voter::VoterArgs),
    /// The rules alone, with and without hashing.
    Apply(apply::ApplyArgs),
    /// Votes as NDJSON bodies.
    Bulk(bulk::BulkArgs),
    /// Time to ready of a server with a large ledger.
    Restart(restart::RestartArgs),
    /// The audit of a large record.
    Audit(restart::RestartArgs),
    /// PostgreSQL and Redis beside single votes, in turns.
    Peers(peers::PeersArgs),
    #[command(hide = true)]
    Responder {
        #[arg(long)]
        listen: SocketAddr,
    },
}

/// What every benchmark is given: where its data may lie, and whether to stay small.
pub struct Context {
    folder: tempfile::TempDir,
    quick: bool,
}

impl Context {
    fn new(args: &BenchArgs) -> anyhow::Result<Self> {
        let parent = args.dir.clone().unwrap_or_else(std::env::temp_dir);
        let folder = tempfile::Builder::new()
            .prefix("hustings-bench-")
            .tempdir_in(&parent)
            .with_context(|| format!("cannot make a folder in {}", parent.display()))?;
        Ok(Self { folder, quick: args.quick })
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// `whole`, or `small` under `--quick`.
    fn size(&self, whole: u64, small: u64) -> u64 {
        if self.quick { small } else { whole }
    }
}

/// Runs the benchmark asked for and prints its report; fails when one of its checks does not hold.
pub fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    machine::raise_open_files();
    if let What::Responder { listen } = args.what {
        responder::serve(listen, |_| ())?;
        return Ok(ExitCode::SUCCESS);
    }
    let context = Context::new(&args)?;
    let reports: Vec<Report> = match &args.what {
        What::Generator(args) => vec![generator::run(&context, args)?],
        What::Votes(args) => vec![votes::run(&context, args)?],
        What::Voter(args) => vec![voter::run(&context, args)?],
        What::Apply(args) => vec![apply::run(&context, args)?],
        What::Bulk(args) => vec![bulk::run(&context, args)?],
        What::Restart(args) => vec![restart::run(&context, args)?],
        What::Audit(args) => vec![restart::run_audit(&context, args)?],
        What::Peers(args) => vec![peers::run(&context, args)?],
        What::Responder { .. } => unreachable!("handled above"),
    };
    report::print(&reports, args.json)
}

/// Votes of a choice in a results document; 0 where it is not there.
fn votes_of(results: &serde_json::Value, contest: usize, choice: &str) -> u64 {
    let counts = results["contests"][contest]["counts"].as_array();
    let count = counts.and_then(|counts| counts.iter().find(|count| count["choice"] == choice));
    count.and_then(|count| count["votes"].as_u64()).unwrap_or(0)
}
