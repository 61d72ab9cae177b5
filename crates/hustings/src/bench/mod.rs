//! `hustings bench`: measures what the documents promise, on the machine it runs on. The method of each benchmark is
//! printed with its figures; docs/dev/benchmarks.md explains them.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;

mod apply;
mod bulk;
mod clock;
mod cluster;
mod drive;
mod feed;
mod feed_client;
mod generator;
mod histogram;
mod http;
mod machine;
mod page;
mod peers;
mod phones;
mod process;
mod report;
mod responder;
mod restart;
mod room;
mod server;
mod voter;
mod votes;

use report::{Printer, Report};

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
    /// Thousands of subscribers of one live feed.
    Feed(feed::FeedArgs),
    /// A hall of phones: join, vote, receipt, result, through the pages.
    Room(room::RoomArgs),
    /// Three nodes beside one: votes, bulk, a killed leader, a transfer, a stopped follower, a new node; and etcd.
    Cluster(cluster::ClusterArgs),
    /// PostgreSQL and Redis beside single votes, in turns.
    Peers(peers::PeersArgs),
    /// All of them.
    All,
    #[command(hide = true)]
    FeedClient(feed_client::FeedClientArgs),
    #[command(hide = true)]
    Phones(phones::PhonesArgs),
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

    /// Removes what a benchmark has left, so that the next one finds room and nothing else.
    fn clear(&self) -> anyhow::Result<()> {
        for entry in std::fs::read_dir(self.folder())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                std::fs::remove_dir_all(entry.path())?;
            } else {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The folder that the benchmark's own one lies in.
    fn parent(&self) -> anyhow::Result<PathBuf> {
        Ok(self.folder().parent().context("a folder of its own has a parent")?.to_owned())
    }

    /// `whole`, or `small` under `--quick`.
    fn size(&self, whole: u64, small: u64) -> u64 {
        if self.quick { small } else { whole }
    }
}

/// Runs the benchmark asked for and prints its report; fails when one of its checks does not hold.
///
/// # Errors
/// When a benchmark cannot be run to its end. Checks that do not hold are in the exit code, not an error.
pub fn run(args: BenchArgs) -> anyhow::Result<ExitCode> {
    machine::raise_open_files();
    match &args.what {
        What::Responder { listen } => responder::serve(*listen, |_| ())?,
        What::FeedClient(args) => feed_client::run(args)?,
        What::Phones(args) => phones::run(args)?,
        what => {
            let context = Context::new(&args)?;
            let mut printer = Printer::new(args.json);
            measure(&context, what, &mut |report| printer.add(report))?;
            return printer.finish();
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Hands over each report as soon as it is there.
fn measure(context: &Context, what: &What, add: &mut dyn FnMut(Report)) -> anyhow::Result<()> {
    match what {
        What::Generator(args) => add(generator::run(context, args)?),
        What::Votes(args) => add(votes::run(context, args)?),
        What::Bulk(args) => add(bulk::run(context, args)?),
        What::Voter(args) => add(voter::run(context, args)?),
        What::Apply(args) => add(apply::run(context, args)?),
        What::Restart(args) => add(restart::run(context, args)?),
        What::Audit(args) => add(restart::run_audit(context, args)?),
        What::Feed(args) => add(feed::run(context, args)?),
        What::Room(args) => add(room::run(context, args)?),
        What::Cluster(args) => add(cluster::run(context, args)?),
        What::Peers(args) => add(peers::run(context, args)?),
        What::All => {
            for step in ALL {
                step(context)?.into_iter().for_each(&mut *add);
                context.clear()?;
            }
        }
        What::FeedClient(_) | What::Phones(_) | What::Responder { .. } => {}
    }
    Ok(())
}

type Step = fn(&Context) -> anyhow::Result<Vec<Report>>;

/// What `all` runs; ten million ballots are cast once for bulk, restart and audit.
const ALL: [Step; 9] = [
    |context| Ok(vec![generator::run(context, &defaults())?]),
    |context| Ok(vec![apply::run(context, &defaults())?]),
    |context| Ok(vec![votes::run(context, &votes::VotesArgs { sessions: true, ..defaults() })?]),
    |context| restart::run_all(context, &defaults()),
    |context| Ok(vec![voter::run(context, &defaults())?]),
    |context| Ok(vec![feed::run(context, &defaults())?]),
    |context| Ok(vec![room::run(context, &defaults())?]),
    |context| Ok(vec![cluster::run(context, &defaults())?]),
    |context| Ok(vec![peers::run(context, &defaults())?]),
];

/// The options of a benchmark as when none is given on the command line.
fn defaults<A: clap::Args>() -> A {
    let command = A::augment_args(clap::Command::new("bench"));
    let matches = command.get_matches_from(["bench"]);
    A::from_arg_matches(&matches).expect("every option of a benchmark has a default")
}

/// Votes of a choice in a results document; 0 where it is not there.
fn votes_of(results: &serde_json::Value, contest: usize, choice: &str) -> u64 {
    let counts = results["contests"][contest]["counts"].as_array();
    let count = counts.and_then(|counts| counts.iter().find(|count| count["choice"] == choice));
    count.and_then(|count| count["votes"].as_u64()).unwrap_or(0)
}
