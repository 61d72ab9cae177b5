//! Redis with every write synced before its answer, one Lua script per vote: the other durable peer.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};

use super::Round;
use crate::bench::process::{Running, free_address};

pub const HOW_TO_INSTALL: &str = "apt-get install redis-server (macOS: brew install redis)";

/// One vote: refused when the voter is in the set, else remembered and counted.
const SCRIPT: &str = "if redis.call('SADD', KEYS[1], ARGV[1]) == 0 then return 0 end \
                      redis.call('HINCRBY', KEYS[2], ARGV[2], 1) return 1";
/// `redis-benchmark` draws voters from 0 to this; twice the same are refused by the script, a few in a million.
const VOTERS: &str = "2000000000";

pub struct Redis {
    address: SocketAddr,
    script: String,
    _folder: tempfile::TempDir,
    _server: Running,
}

/// Whether its programs are on the path.
pub fn is_installed() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let has = |name: &str| folders.iter().any(|folder| folder.join(name).is_file());
    ["redis-server", "redis-benchmark", "redis-cli"].into_iter().all(has)
}

impl Redis {
    pub fn start(parent: &Path) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("hustings-bench-redis-").tempdir_in(parent)?;
        let address = free_address()?;
        let mut command = Command::new("redis-server");
        command.args(["--bind", "127.0.0.1", "--port", &address.port().to_string(), "--save", ""]);
        command.args([
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
            "--auto-aof-rewrite-percentage",
            "0",
            "--dir",
        ]);
        command.arg(folder.path()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = Running::start("redis-server", &mut command)?;
        server.wait_until(Duration::from_secs(10), || std::net::TcpStream::connect(address).is_ok())?;
        let script = redis_cli(address, &["SCRIPT", "LOAD", SCRIPT])?;
        Ok(Self { address, script, _folder: folder, _server: server })
    }

    pub fn version(&self) -> anyhow::Result<String> {
        let text = redis_cli(self.address, &["INFO", "server"])?;
        Ok(text.lines().find_map(|line| line.strip_prefix("redis_version:")).unwrap_or("?").trim().to_owned())
    }

    /// `votes` votes over 50 connections, without pipelining.
    pub fn round(&self, votes: u64) -> anyhow::Result<Round> {
        let mut command = Command::new("redis-benchmark");
        command.args(["-h", "127.0.0.1", "-p", &self.address.port().to_string(), "-c", "50", "--csv"]);
        command.args(["-n", &votes.to_string(), "-r", VOTERS]);
        command.args(["evalsha", &self.script, "2", "voted", "tally", "__rand_int__", "alpha"]);
        let output = command.stdin(Stdio::null()).output().context("cannot start redis-benchmark")?;
        let text = String::from_utf8_lossy(&output.stdout);
        // Columns: test, rps, avg, min, p50, p95, p99, max; the first one, the command, is quoted and holds commas.
        let last = text.lines().last().unwrap_or_default();
        let columns: Vec<f64> =
            last.rsplit(',').map_while(|text| text.trim_matches('"').parse().ok()).collect();
        let [_max, p99_millis, _p95, p50_millis, _min, _average, per_second, ..] = columns[..] else {
            bail!("redis-benchmark printed no figures: {text}");
        };
        Ok(Round { per_second, p50_millis, p99_millis })
    }
}

fn redis_cli(address: SocketAddr, words: &[&str]) -> anyhow::Result<String> {
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &address.port().to_string()]).args(words);
    let output = command.stdin(Stdio::null()).output().context("cannot start redis-cli")?;
    if !output.status.success() {
        bail!("redis-cli {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
