//! PostgreSQL's own INSERT of a vote: the durable peer to beat, without HTTP.

use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::Signal;

use super::Round;
use crate::bench::process::Running;

pub const HOW_TO_INSTALL: &str = "apt-get install postgresql (macOS: brew install postgresql)";

/// What PostgreSQL is told beyond its defaults: more room, the same durability.
pub const SETTINGS: [&str; 6] = [
    "listen_addresses=",
    "fsync=on",
    "synchronous_commit=on",
    "shared_buffers=512MB",
    "max_wal_size=8GB",
    "max_connections=100",
];

const TABLE: &str = "CREATE TABLE votes (election int NOT NULL, voter bigint NOT NULL, choice smallint NOT NULL, \
                     at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (election, voter))";
const SCRIPT: &str = "\\set voter random(1, 4611686018427387904)\n\
                      INSERT INTO votes (election, voter, choice) VALUES (1, :voter, 3);\n";
/// One transaction in so many has its latency written down.
const LATENCY_SAMPLE: &str = "0.02";

/// A cluster of its own in a temporary folder, reached by a socket in that folder; stopped when dropped.
pub struct Postgres {
    bin: PathBuf,
    folder: tempfile::TempDir,
    account: Option<Account>,
    _server: Stopping,
}

/// The account it runs under when the benchmark is root, which PostgreSQL refuses to be.
#[derive(Clone, Copy)]
struct Account {
    user: u32,
    group: u32,
}

struct Stopping(Running);

impl Drop for Stopping {
    fn drop(&mut self) {
        // SIGINT is PostgreSQL's fast shutdown; SIGTERM would wait for its clients.
        self.0.signal(Signal::INT);
        let _ = self.0.wait(Duration::from_secs(30));
    }
}

/// The folder with `initdb`, `postgres` and `pgbench`, newest version first.
pub fn find() -> Option<PathBuf> {
    let versions = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt"].iter().flat_map(|parent| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let mut folders: Vec<PathBuf> = entries.map(|entry| entry.path().join("bin")).collect();
        folders.sort();
        folders.reverse();
        folders
    });
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = std::env::split_paths(&path).collect();
    versions
        .chain(on_path)
        .find(|bin| ["initdb", "postgres", "pgbench"].iter().all(|tool| bin.join(tool).is_file()))
}

impl Postgres {
    pub fn start(bin: &Path, parent: &Path) -> anyhow::Result<Self> {
        let account = Account::needed()?;
        let folder = tempfile::Builder::new().prefix("hustings-bench-pg-").tempdir_in(parent)?;
        if let Some(Account { user, group }) = account {
            chown(folder.path(), Some(user), Some(group))?;
        }
        let data = folder.path().join("data");
        let mut initdb = tool(bin, "initdb", account, folder.path());
        initdb
            .args(["--auth=trust", "--username=bench", "--no-sync", "--encoding=UTF8", "--locale=C", "-D"])
            .arg(&data);
        finished("initdb", &mut initdb)?;

        let mut command = tool(bin, "postgres", account, folder.path());
        command.arg("-D").arg(&data).arg("-k").arg(folder.path());
        SETTINGS.iter().for_each(|setting| {
            command.args(["-c", setting]);
        });
        command.stdout(Stdio::null()).stderr(fs::File::create(folder.path().join("log"))?);
        let mut server = Stopping(Running::start("postgres", &mut command)?);
        let ask = || psql(bin, account, folder.path(), "SELECT 1").is_ok();
        server.0.wait_until(Duration::from_secs(30), ask)?;
        psql(bin, account, folder.path(), TABLE)?;
        let script = folder.path().join("vote.sql");
        fs::write(&script, SCRIPT)?;
        Ok(Self { bin: bin.to_owned(), folder, account, _server: server })
    }

    pub fn version(&self) -> anyhow::Result<String> {
        let output = finished("psql", &mut self.psql("SHOW server_version"))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// INSERTs for `secs` over `clients` connections; each is committed before its client goes on.
    pub fn round(&self, clients: usize, secs: u64) -> anyhow::Result<Round> {
        self.query("CHECKPOINT")?;
        let folder = self.folder.path();
        let mut command = tool(&self.bin, "pgbench", self.account, folder);
        command.current_dir(folder).arg("-h").arg(folder).args(["-U", "bench", "-n", "-M", "prepared", "-f"]);
        command.arg(folder.join("vote.sql")).args(["-c", &clients.to_string(), "-T", &secs.to_string()]);
        command.args(["-l", "--log-prefix=latency", "--sampling-rate", LATENCY_SAMPLE, "postgres"]);
        let output = finished("pgbench", &mut command)?;
        let text = String::from_utf8_lossy(&output.stdout);
        let tps = text.lines().find_map(|line| line.strip_prefix("tps = ")?.split(' ').next()?.parse().ok());
        // A round of a second on a crowded machine may end before its first commit; pgbench then names no rate.
        let is_empty = text.contains("number of transactions actually processed: 0");
        let per_second: f64 = tps
            .or(is_empty.then_some(0.0))
            .with_context(|| format!("no `tps` in what pgbench printed: {text}"))?;
        let mut micros = Vec::new();
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("latency.")) {
                let text = fs::read_to_string(&path)?;
                micros.extend(text.lines().filter_map(|line| line.split(' ').nth(2)?.parse::<u64>().ok()));
                fs::remove_file(path)?;
            }
        }
        micros.sort_unstable();
        let quantile = |share: f64| {
            let place = (micros.len() as f64 * share) as usize;
            micros.get(place).map_or(f64::NAN, |micros| *micros as f64 / 1e3)
        };
        Ok(Round { per_second, p50_millis: quantile(0.5), p99_millis: quantile(0.99) })
    }

    fn query(&self, sql: &str) -> anyhow::Result<String> {
        let output = finished("psql", &mut self.psql(sql))?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    fn psql(&self, sql: &str) -> Command {
        psql_command(&self.bin, self.account, self.folder.path(), sql)
    }
}

impl Account {
    /// `postgres`, else `nobody`, when this process is root; nothing otherwise.
    fn needed() -> anyhow::Result<Option<Self>> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let accounts = fs::read_to_string("/etc/passwd").context("cannot read /etc/passwd")?;
        let find = |name: &str| {
            let line = accounts.lines().find(|line| line.split(':').next() == Some(name))?;
            let mut fields = line.split(':').skip(2);
            Some(Self { user: fields.next()?.parse().ok()?, group: fields.next()?.parse().ok()? })
        };
        match find("postgres").or_else(|| find("nobody")) {
            Some(account) => Ok(Some(account)),
            None => bail!("PostgreSQL does not run as root, and there is no account `postgres` or `nobody`"),
        }
    }
}

fn tool(bin: &Path, name: &str, account: Option<Account>, folder: &Path) -> Command {
    let mut command = Command::new(bin.join(name));
    command.current_dir(folder).env("LC_ALL", "C");
    if let Some(Account { user, group }) = account {
        command.uid(user).gid(group);
    }
    command
}

fn psql_command(bin: &Path, account: Option<Account>, folder: &Path, sql: &str) -> Command {
    let mut command = tool(bin, "psql", account, folder);
    command.arg("-h").arg(folder).args(["-U", "bench", "-X", "-A", "-t", "-q", "-c", sql, "postgres"]);
    command
}

fn psql(bin: &Path, account: Option<Account>, folder: &Path, sql: &str) -> anyhow::Result<Output> {
    finished("psql", &mut psql_command(bin, account, folder, sql))
}

/// Runs it to its end; an error with what it said when it fails.
fn finished(name: &str, command: &mut Command) -> anyhow::Result<Output> {
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot start {name}"))?;
    if !output.status.success() {
        bail!("{name} ended with {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output)
}
