//! The command line as types. What each command does is in `commands/`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::client::ServerOptions;
use crate::config::RawConfig;
use crate::definition::{ShortElection, VoterList};
use crate::exit::EXIT_CODES_HELP;

const ABOUT: &str = "Hustings: votes that anybody can check";

const EXAMPLES: &str = "\
Examples:
  hustings demo                                  a room with three votes, at once
  hustings poll \"Lunch?\" Pizza Sushi             one poll with code, QR and projector address
  hustings serve --data /var/lib/hustings        a server for good
  hustings election create board.toml            define a vote on it
  hustings election record board --out board.record
  hustings audit board.record                    re-check it, trusting nobody";

#[derive(Debug, Parser)]
#[command(name = "hustings", version, about = ABOUT, max_term_width = 110,
          after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_CODES_HELP}"))]
pub struct Cli {
    /// Print results as JSON on standard output, errors as JSON on standard error
    #[arg(long, global = true)]
    pub json: bool,

    #[command(flatten)]
    pub server: ServerOptions,

    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show a room with three ready elections, to try everything at once
    #[command(after_help = "\
Examples:
  hustings demo                    results appear when ten people have voted
  hustings demo --voters 9         nine simulated voters; your vote is the tenth
  hustings demo --wait-for 3 --data ./demo
  hustings demo --cluster          three servers; kill the leader and watch the vote go on")]
    Demo(DemoArgs),

    /// Run one poll: a question and its choices
    #[command(after_help = "\
Examples:
  hustings poll \"Lunch?\" Pizza Sushi
  hustings poll \"Which talks?\" A B C D --choose 2 --results at-close")]
    Poll(PollArgs),

    /// Run a server
    #[command(after_help = "\
Every setting can be given as a flag, in the environment (HUSTINGS_…) or in a file: DIR/hustings.toml or
--config FILE. Flags win over the environment, that over the file. `hustings config show` prints what is in force.

The officer token is taken from HUSTINGS_OFFICER_TOKEN; without it, the first start makes one and prints it once.

Examples:
  hustings serve
  hustings serve --data /var/lib/hustings --listen 0.0.0.0:8700 --public-url https://vote.example.org
  hustings serve --cluster hall --first                      the first server of a cluster; it prints the join key
  HUSTINGS_JOIN_KEY=… hustings serve --cluster hall          each further one, on a machine of its own")]
    Serve(ServeArgs),

    /// Define elections, run them, read their results and records
    #[command(subcommand)]
    Election(ElectionCommand),

    /// Cast a ballot
    #[command(after_help = "\
Examples:
  hustings vote --election-id lunch --candidate Pizza
  hustings vote --id u1 --candidate Ann --election-id 100 --receipt u1.receipt
  hustings vote --election-id board --choice chair=ann --choice budget=yes")]
    Vote(VoteArgs),

    /// Watch an election live in the terminal
    Watch(WatchArgs),

    /// Re-check a published record, trusting nothing of the server
    #[command(after_help = "\
Exit code 0: every check passed. 1: a check failed, or a receipt is not in the record. 2: not a record.

Examples:
  hustings audit board.record
  hustings audit board.record --receipt mine.receipt --checkpoint kept.checkpoint")]
    Audit(AuditArgs),

    /// Check the evidence that an audit printed, without server or record
    Evidence(EvidenceArgs),

    /// Follow an election from outside and keep every checkpoint
    #[command(after_help = "\
URL is the election's address, such as http://192.168.1.20:8700/e/lunch. Every checkpoint is verified and shown
to continue the one before; the notes stay in DIR as evidence. Exit code 1: two checkpoints contradict each other.")]
    Mirror(MirrorArgs),

    /// Mint voter tokens
    #[command(subcommand)]
    Token(TokenCommand),

    /// Rooms: one join code for several elections, and what the screen shows
    #[command(subcommand)]
    Room(RoomCommand),

    /// Pictures of choices
    #[command(subcommand)]
    Picture(PictureCommand),

    /// Several servers that keep one ledger: who they are, and what an operator does with them
    #[command(subcommand)]
    Cluster(ClusterCommand),

    /// How a server is: log, queue, clock, storage
    Status,

    /// The server's clock, after it stepped
    #[command(subcommand)]
    Clock(ClockCommand),

    /// The configuration
    #[command(subcommand)]
    Config(ConfigCommand),

    /// Copy a data folder, also beside a running server
    Backup(BackupArgs),

    /// Make a data folder from a backup; the ledger begins a new epoch
    Restore(RestoreArgs),

    /// Check this machine: disk, space, clock, limits, port, data folder
    Doctor(DoctorArgs),

    /// Measure this machine
    Bench(crate::bench::BenchArgs),

    /// Print a completion script for a shell
    #[command(
        after_help = "Example: hustings completions bash > ~/.local/share/bash-completion/completions/hustings"
    )]
    Completions { shell: clap_complete::Shell },
}

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Three servers on this machine with a vote under way: kill the leader and watch it go on
    #[arg(long, conflicts_with_all = ["wait_for", "voters", "public_url", "zmq"])]
    pub cluster: bool,

    /// Data folder; default: a fresh one under the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Address to listen on; if the port is taken the next 20 are tried [default: 0.0.0.0:8700]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    /// Close each election, and show its results, when this many have voted
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub wait_for: u64,

    /// Add this many simulated voters, so that things move
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub voters: u64,

    /// Address that voters see, where it is not this machine's own
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,

    /// ZeroMQ PUB address for the live feed, `off` for none; by default a free port at loopback
    #[arg(long, value_name = "ADDR")]
    pub zmq: Option<String>,
}

#[derive(Debug, Args)]
pub struct PollArgs {
    /// What is asked
    pub question: String,

    /// At least two
    #[arg(required = true, num_args = 2.., value_name = "CHOICE")]
    pub choices: Vec<String>,

    /// How many choices one may tick
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub choose: u64,

    /// When results are seen: live, own-ballot (after one's own vote), at-close or on-reveal (an officer shows them)
    #[arg(long, value_name = "WHEN", default_value = "live")]
    pub results: String,

    /// Close when this many have voted
    #[arg(long, value_name = "N")]
    pub wait_for: Option<u64>,

    /// Close after this many minutes
    #[arg(long, value_name = "MINUTES")]
    pub minutes: Option<u32>,

    /// Data folder; default: a fresh one under the system's temporary folder
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// Address to listen on; if the port is taken the next 20 are tried [default: 0.0.0.0:8700]
    #[arg(long, value_name = "ADDR:PORT")]
    pub listen: Option<SocketAddr>,

    /// Address that voters see, where it is not this machine's own
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// Found the cluster that --cluster names: lead it alone, and take votes at once
    #[arg(long, requires = "cluster", conflicts_with = "expect")]
    pub first: bool,

    #[command(flatten)]
    pub config: ConfigArgs,
}

/// The settings of a server and the file they may come from.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Configuration file (TOML); default DIR/hustings.toml where it exists
    #[arg(long, env = "HUSTINGS_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,

    #[command(flatten)]
    pub settings: RawConfig,

    /// A limit of the HTTP side, see `hustings config show` (repeat for more)
    #[arg(
        long,
        env = "HUSTINGS_LIMIT",
        value_name = "NAME=VALUE",
        value_delimiter = ',',
        help_heading = "Settings",
        hide_env_values = true
    )]
    pub limit: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum ElectionCommand {
    /// Define an election, from a file or from flags
    #[command(after_help = "\
An election as a file (TOML, or the same in JSON):

  slug = \"board-2027\"
  title = \"Board 2027\"
  eligibility = \"open\"          # open | list
  results = \"at-close\"          # live | own-ballot | at-close | on-publish | on-reveal
  [closing]
  at = 2027-03-01T18:00:00Z     # and/or after_voters = 10
  [[contest]]
  id = \"chair\"
  title = \"Who chairs?\"
  method = \"plurality\"          # plurality | approval | motion | rating
  choices = [\"Ann\", \"Bob\"]

Made from a file it is a draft until `election open` (or --open); made from flags it opens at once (not with --draft).

Examples:
  hustings election create board.toml
  hustings election create --id 100 --candidates Ann Bob --authorized-users u1 u2")]
    Create(CreateArgs),
    /// List all elections
    List,
    /// Show one election: state, definition, turnout
    Show(SlugArg),
    /// Open a draft, or go on after a pause
    Open(SlugArg),
    /// Pause: no ballots until it is opened again
    Pause(SlugArg),
    /// Move the deadline to a later time
    #[command(
        after_help = "Examples:\n  hustings election extend board --until 2027-03-01T19:00:00Z\n  hustings election extend board --by 15m"
    )]
    Extend(ExtendArgs),
    /// Show the counts to all (of an election with `results = "on-reveal"`)
    Reveal(SlugArg),
    /// Take the counts away again
    Hide(SlugArg),
    /// Close and print the outcome
    Close(SlugArg),
    /// Publish the result and the record
    Publish(SlugArg),
    /// Cancel: no result
    Cancel(CancelArgs),
    /// Draw by lot after a tie, from a public seed (dice, a beacon)
    Draw(DrawArgs),
    /// Make a rehearsal of a draft: the same election under SLUG-rehearsal
    Rehearse(RehearseArgs),
    /// Make round 2 of an election
    Repeat(RepeatArgs),
    /// Make a run-off: the next round between those who tied, or the two ahead where nobody has more than half
    #[command(after_help = "Example: hustings election run-off board-2027 --as board-run-off")]
    RunOff(RepeatArgs),
    /// Print the results (those one may see)
    Results(SlugArg),
    /// Download the record that `hustings audit` checks
    Record(RecordArgs),
}

#[derive(Debug, Args)]
pub struct SlugArg {
    /// Name of the election in its address
    #[arg(value_name = "SLUG")]
    pub slug: String,
}

#[derive(Debug, Args)]
pub struct CreateArgs {
    /// Election file, FILE.toml or FILE.json, `-` for standard input
    #[arg(value_name = "FILE", conflicts_with = "id")]
    pub file: Option<PathBuf>,

    #[command(flatten)]
    pub short: ShortElection,

    #[command(flatten)]
    pub voters: VoterList,

    /// Open it at once
    #[arg(long)]
    pub open: bool,

    /// Leave it a draft
    #[arg(long, conflicts_with = "open")]
    pub draft: bool,
}

#[derive(Debug, Args)]
pub struct ExtendArgs {
    #[command(flatten)]
    pub election: SlugArg,

    /// New deadline, RFC 3339 with its zone
    #[arg(long, value_name = "TIME", required_unless_present = "by")]
    pub until: Option<String>,

    /// How much later than the deadline in force, such as 10m, 1h30m or PT10M
    #[arg(long, value_name = "DURATION", conflicts_with = "until")]
    pub by: Option<String>,
}

#[derive(Debug, Args)]
pub struct CancelArgs {
    #[command(flatten)]
    pub election: SlugArg,

    /// Why; it stands in the record
    #[arg(long, value_name = "TEXT")]
    pub reason: String,
}

#[derive(Debug, Args)]
pub struct DrawArgs {
    #[command(flatten)]
    pub election: SlugArg,

    /// 32 bytes as 64 hexadecimal digits, made in public after the close
    #[arg(long, value_name = "HEX")]
    pub seed: String,
}

#[derive(Debug, Args)]
pub struct RehearseArgs {
    #[command(flatten)]
    pub election: SlugArg,

    #[command(flatten)]
    pub voters: VoterList,
}

#[derive(Debug, Args)]
pub struct RepeatArgs {
    #[command(flatten)]
    pub election: SlugArg,

    /// Name of the new round; default chosen by the server
    #[arg(long = "as", value_name = "SLUG")]
    pub new_slug: Option<String>,

    #[command(flatten)]
    pub voters: VoterList,
}

#[derive(Debug, Args)]
pub struct RecordArgs {
    #[command(flatten)]
    pub election: SlugArg,

    /// File to write, `-` for standard output [default: SLUG.record]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct VoteArgs {
    /// The election's name in its address
    #[arg(long, alias = "election_id", value_name = "SLUG")]
    pub election_id: String,

    /// Who votes, where the election has a list
    #[arg(long, value_name = "ID")]
    pub id: Option<String>,

    /// Name or id of the choice; more than one where the contest allows. For elections with one contest
    #[arg(long, num_args = 1.., value_name = "NAME", conflicts_with_all = ["choice", "blank"])]
    pub candidate: Vec<String>,

    /// CONTEST=CHOICE, repeated; CONTEST= is blank
    #[arg(long, value_name = "CONTEST=CHOICE", conflicts_with = "blank")]
    pub choice: Vec<String>,

    /// Cast a blank ballot
    #[arg(long)]
    pub blank: bool,

    /// File to keep the receipt in
    #[arg(long, value_name = "FILE")]
    pub receipt: Option<PathBuf>,

    /// File with a voter token, `-` for standard input; else HUSTINGS_VOTER_TOKEN
    #[arg(long, env = "HUSTINGS_VOTER_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Text that makes a retry the same ballot; default: a random one
    #[arg(long, value_name = "TEXT")]
    pub idempotency_key: Option<String>,
}

#[derive(Debug, Args)]
pub struct WatchArgs {
    #[command(flatten)]
    pub election: SlugArg,

    /// Lines instead of a full-screen view
    #[arg(long)]
    pub plain: bool,
}

#[derive(Debug, Args)]
pub struct AuditArgs {
    /// The record, `-` for standard input
    #[arg(value_name = "RECORD")]
    pub record: PathBuf,

    /// A receipt that must be in it (repeat for more)
    #[arg(long, value_name = "FILE")]
    pub receipt: Vec<PathBuf>,

    /// A checkpoint kept earlier that it must continue (repeat for more)
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Vec<PathBuf>,

    /// File to keep the evidence in, where a receipt is not in the record
    #[arg(long, value_name = "FILE")]
    pub evidence: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct EvidenceArgs {
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// Address of the election: http://HOST:PORT/e/SLUG
    #[arg(value_name = "URL")]
    pub url: String,

    /// Folder for the checkpoint notes; made if it is not there
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,

    /// Take one checkpoint and end
    #[arg(long)]
    pub once: bool,
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Mint voter tokens, one a line, beside a running server
    #[command(after_help = "\
Reads DIR/secret and the ledger, changes nothing. Each token is one voter of that election: keep the list as you
would keep a stack of ballot papers.

Example: hustings token mint --data DIR --election big --count 100000 > tokens.txt")]
    Mint(MintArgs),
}

#[derive(Debug, Args)]
pub struct MintArgs {
    /// Data folder of the server
    #[arg(long, env = "HUSTINGS_DATA", value_name = "DIR", default_value = crate::config::DEFAULT_DATA)]
    pub data: PathBuf,

    /// The election they are for
    #[arg(long, value_name = "SLUG")]
    pub election: String,

    /// How many
    #[arg(long, value_name = "N")]
    pub count: u64,
}

#[derive(Debug, Subcommand)]
pub enum PictureCommand {
    /// Add a picture to the server and print the path that a choice's `photo` takes
    #[command(after_help = "Example: hustings picture add ann.jpg")]
    Add(PictureAddArgs),
}

#[derive(Debug, Args)]
pub struct PictureAddArgs {
    /// PNG, JPEG or WebP, at most 256 KiB
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

#[derive(Debug, Subcommand)]
pub enum RoomCommand {
    /// Make a room of elections
    #[command(after_help = "Example: hustings room create \"Annual meeting\" --pace led board-2027 budget")]
    Create(RoomCreateArgs),
    /// Show a room
    Show(CodeArg),
    /// Choose what the room's screen shows
    #[command(after_help = "Example: hustings room screen ABC234 results board-2027")]
    Screen(RoomScreenArgs),
    /// Lock joining: who joins from now on cannot vote in the room's open elections
    #[command(after_help = "Who joined before goes on voting, and lists of voters are not affected.")]
    Lock(CodeArg),
    /// Let people join again
    Unlock(CodeArg),
    /// Take an election out of a room; the election itself stays
    #[command(after_help = "Example: hustings room remove ABC234 board-2027")]
    Remove(RoomRemoveArgs),
}

#[derive(Debug, Args)]
pub struct CodeArg {
    /// Join code
    #[arg(value_name = "CODE")]
    pub code: String,
}

#[derive(Debug, Args)]
pub struct RoomRemoveArgs {
    #[command(flatten)]
    pub room: CodeArg,

    #[command(flatten)]
    pub election: SlugArg,
}

#[derive(Debug, Args)]
pub struct RoomCreateArgs {
    /// What the room is called
    pub title: String,

    /// Elections in it, in order
    #[arg(value_name = "SLUG")]
    pub elections: Vec<String>,

    /// own: voters go through all at leisure; led: the officer leads one at a time
    #[arg(long, default_value = "own", value_parser = ["own", "led"])]
    pub pace: String,
}

#[derive(Debug, Args)]
pub struct RoomScreenArgs {
    #[command(flatten)]
    pub room: CodeArg,

    #[arg(value_parser = ["lobby", "election", "results", "black"])]
    pub show: String,

    /// Which election, for `election` and `results`
    #[arg(value_name = "SLUG")]
    pub election: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum ClusterCommand {
    /// Who leads, how many servers can be lost, how far each has come, what is wrong and what to do
    #[command(after_help = "\
Any server of the cluster answers. What is wrong is shown with the officer token, or on the server's own machine.
Exit code 1: something is wrong that an operator should look at.

Examples:
  hustings cluster status
  hustings --server http://192.168.1.21:8700 --json cluster status")]
    Status,
    /// The servers: number, role, address
    Members,
    /// What a new machine needs to join: checks the cluster, and prints the command to run there
    #[command(after_help = "\
Changes nothing. The new server joins by itself once it is started: it gets the log first, as a learner, and counts
when it has caught up. The join key is in the command only with --data, on a server of the cluster.

Examples:
  hustings cluster add
  hustings cluster add --data /var/lib/hustings      with the join key, for a terminal that nobody looks at")]
    Add(ClusterAddArgs),
    /// Let a learner count towards the majority (a server that has caught up is promoted by itself)
    Promote(NodeArg),
    /// Take a server out for good; it does not come back under its number
    #[command(after_help = "Example: hustings cluster remove 2")]
    Remove(NodeArg),
    /// Let another server lead, within a moment and without a lost vote
    #[command(after_help = "Example: hustings cluster transfer 3")]
    Transfer(NodeArg),
    /// Make a server ready to be stopped: it hands over, and leads no more until it is started again
    #[command(after_help = "Example: hustings cluster drain 1")]
    Drain(NodeArg),
    /// Go on from one server that is left after a majority was lost for good: VOTES MAY BE LOST
    #[command(after_help = "\
Works on the folder of a server that does not run, and asks nobody. Without --i-know-that-votes-may-be-lost it changes
nothing, and tells what the server has: look at every server that is left, and take the one with the highest last term,
among those the one with the highest last entry. It becomes the one server of a new cluster of the same name and join
key, in a new folder and a new epoch, which every later record shows. All others join that one with empty folders.

Where a minority is lost, nothing is: hustings cluster remove NODE, and start a new server.

Examples:
  hustings cluster recover --data /var/lib/hustings
  hustings cluster recover --data /var/lib/hustings --into /var/lib/hustings-2 --i-know-that-votes-may-be-lost")]
    Recover(RecoverArgs),
}

#[derive(Debug, Args)]
pub struct RecoverArgs {
    /// Data folder of the server that is left
    #[arg(long, env = "HUSTINGS_DATA", value_name = "DIR", default_value = crate::config::DEFAULT_DATA)]
    pub data: PathBuf,

    /// New data folder, for the server to go on with; never one that holds anything
    #[arg(long, value_name = "NEW")]
    pub into: Option<PathBuf>,

    /// Give up what only the lost servers had
    #[arg(long, requires = "into")]
    pub i_know_that_votes_may_be_lost: bool,
}

#[derive(Debug, Args)]
pub struct ClusterAddArgs {
    /// Data folder of a server of the cluster, whose join key is printed with the command
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct NodeArg {
    /// Number of the server, as `cluster members` shows it
    #[arg(value_name = "NODE")]
    pub node: u64,
}

#[derive(Debug, Subcommand)]
pub enum ClockCommand {
    /// Say that the machine's clock is right; deadlines go on by it
    Confirm,
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print every setting in force and where it comes from
    Show(ConfigArgs),
}

#[derive(Debug, Args)]
pub struct BackupArgs {
    /// Folder to make the backup in; it must not exist yet
    #[arg(value_name = "OUT")]
    pub out: PathBuf,

    /// Data folder to copy
    #[arg(long, env = "HUSTINGS_DATA", value_name = "DIR", default_value = crate::config::DEFAULT_DATA)]
    pub data: PathBuf,
}

#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The backup folder
    #[arg(value_name = "BACKUP")]
    pub backup: PathBuf,

    /// New data folder; never one that holds anything
    #[arg(long, value_name = "DIR", required_unless_present = "verify")]
    pub data: Option<PathBuf>,

    /// Make the folder of the first server of a new cluster called so; it gets a new join key
    #[arg(long, value_name = "NAME", requires = "data")]
    pub cluster: Option<String>,

    /// Check the backup; without --data nothing else
    #[arg(long)]
    pub verify: bool,
}

#[derive(Debug, Args)]
pub struct DoctorArgs {
    #[command(flatten)]
    pub config: ConfigArgs,
}
