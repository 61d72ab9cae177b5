//! The server under test: a child process of this very program, with a data folder of its own.

use std::fs;
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::process::{Running, free_address};
use super::{clock, http};

const OFFICER_TOKEN: &str = "bench-officer-token-of-a-server-that-lives-for-minutes";
const READY_WITHIN: Duration = Duration::from_secs(300);
const STOPPED_WITHIN: Duration = Duration::from_secs(60);
/// Lifted for a load that comes from one address; the limits per voter stay as they are.
const LIMITS: &str = "sessions_per_election_per_second=0,sessions_per_address_per_second=0";

/// A running server; dropped, it is killed.
pub struct Server {
    running: Running,
    data: PathBuf,
    address: SocketAddr,
    /// From the start of the process to the first 200 of `/readyz`.
    pub ready_after: Duration,
}

impl Server {
    /// Starts on `data`, which may hold a ledger already, and waits until votes are taken.
    pub fn start(data: &Path) -> anyhow::Result<Self> {
        Self::start_with(data, &[])
    }

    /// As [`Server::start`], with settings from the environment.
    pub fn start_with(data: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        Self::start_at(free_address()?, data, settings)
    }

    pub fn start_at(address: SocketAddr, data: &Path, settings: &[(&str, &str)]) -> anyhow::Result<Self> {
        fs::create_dir_all(data)?;
        let log = data.with_extension("log");
        let mut command = Command::new(program()?);
        command.arg("serve").arg("--data").arg(data).args(["--listen", &address.to_string()]);
        command.env("HUSTINGS_OFFICER_TOKEN", OFFICER_TOKEN).env("HUSTINGS_LIMIT", LIMITS);
        command.envs(settings.iter().copied());
        command.env("HUSTINGS_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(fs::File::options().create(true).append(true).open(&log)?);
        let began = clock::now();
        let mut running = Running::start("the server", &mut command)?;
        let ready = || matches!(http::call(address, "GET", "/readyz", None, None), Ok((200, _)));
        running.wait_until(READY_WITHIN, ready).with_context(|| {
            let said = fs::read_to_string(&log).unwrap_or_default();
            format!("the server said: {}", said.trim())
        })?;
        Ok(Self { running, data: data.to_owned(), address, ready_after: began.elapsed() })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn data(&self) -> &Path {
        &self.data
    }

    pub fn pid(&self) -> u32 {
        self.running.pid()
    }

    pub fn cpu_time(&self) -> Duration {
        self.running.cpu_time()
    }

    pub fn signal(&self, signal: rustix::process::Signal) {
        self.running.signal(signal);
    }

    /// Stops it as an operator would, which writes a snapshot.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let status = self.running.stop(STOPPED_WITHIN)?;
        if !status.success() {
            bail!("the server stopped with {status}");
        }
        Ok(())
    }

    /// Ends it without warning (SIGKILL).
    pub fn kill(self) {
        drop(self.running);
    }

    pub fn create_and_open(&self, definition: &Value) -> anyhow::Result<()> {
        let slug = definition["slug"].as_str().context("the definition has no slug")?;
        self.officer("POST", "/api/v1/elections", Some(&definition.to_string()))?;
        self.act(slug, "open")?;
        Ok(())
    }

    pub fn act(&self, slug: &str, act: &str) -> anyhow::Result<Value> {
        self.officer("POST", &format!("/api/v1/elections/{slug}/{act}"), None)
    }

    pub fn results(&self, slug: &str) -> anyhow::Result<Value> {
        self.officer("GET", &format!("/api/v1/elections/{slug}/results"), None)
    }

    /// A call with the officer's token; an error unless it is answered with 2xx.
    pub fn officer(&self, method: &str, path: &str, body: Option<&str>) -> anyhow::Result<Value> {
        let (status, text) = http::call(self.address, method, path, Some(OFFICER_TOKEN), body)?;
        if !(200..300).contains(&status) {
            bail!("{method} {path} answered {status}: {}", String::from_utf8_lossy(&text));
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&text).with_context(|| format!("answer to {method} {path}"))
    }

    pub fn officer_token(&self) -> &'static str {
        OFFICER_TOKEN
    }

    /// Streams the record into a file; gives its bytes.
    pub fn record(&self, slug: &str, file: &Path) -> anyhow::Result<u64> {
        http::download(self.address, &format!("/api/v1/elections/{slug}/record"), Some(OFFICER_TOKEN), file)
    }

    /// `count` voter tokens of one election, minted by a child beside the running server.
    pub fn mint(&self, slug: &str, count: u64) -> anyhow::Result<Tokens> {
        let mut command = Command::new(program()?);
        command.args(["token", "mint", "--election", slug, "--count", &count.to_string(), "--data"]);
        let mut child = Running::start("token mint", command.arg(&self.data).stdout(Stdio::piped()))?;
        let mut text = Vec::with_capacity(count as usize * 64);
        child.child().stdout.take().expect("it is piped").read_to_end(&mut text)?;
        let status = child.wait(STOPPED_WITHIN)?;
        if !status.success() {
            bail!("token mint ended with {status}");
        }
        Tokens::new(text)
    }
}

/// This program, or the one that `HUSTINGS_BENCH_PROGRAM` names: to measure another build with the same generator.
pub fn program() -> anyhow::Result<PathBuf> {
    match std::env::var_os("HUSTINGS_BENCH_PROGRAM") {
        Some(path) => Ok(path.into()),
        None => std::env::current_exe().context("cannot find this program's own file"),
    }
}

/// Minted tokens, all of one length, in one piece of memory.
pub struct Tokens {
    text: Vec<u8>,
    length: usize,
    used: usize,
}

impl Tokens {
    fn new(text: Vec<u8>) -> anyhow::Result<Self> {
        let length = text.iter().position(|byte| *byte == b'\n').context("no tokens were minted")?;
        if !text.chunks(length + 1).all(|line| line.len() == length + 1 && line[length] == b'\n') {
            bail!("the minted tokens are not all of one length");
        }
        Ok(Self { text, length, used: 0 })
    }

    pub fn length(&self) -> usize {
        self.length
    }

    pub fn left(&self) -> usize {
        self.text.len() / (self.length + 1) - self.used
    }

    /// The next token nobody has used.
    pub fn take(&mut self) -> Option<&[u8]> {
        let from = self.used * (self.length + 1);
        let token = self.text.get(from..from + self.length)?;
        self.used += 1;
        Some(token)
    }
}

/// What the audit of a record came to.
pub struct Audited {
    pub passed: bool,
    pub elapsed: Duration,
    pub said: String,
    pub peak_bytes: u64,
}

/// Audits a record as an outsider would: `hustings audit FILE`, with receipts kept by voters.
pub fn audit(record: &Path, receipts: &[PathBuf]) -> anyhow::Result<Audited> {
    let mut command = Command::new(program()?);
    command.arg("audit").arg(record);
    receipts.iter().for_each(|receipt| {
        command.arg("--receipt").arg(receipt);
    });
    let began = clock::now();
    let mut child = Running::start("the audit", command.stdout(Stdio::piped()).stderr(Stdio::piped()))?;
    let pid = child.pid();
    let mut peak_bytes = 0;
    let reader = {
        let (mut out, mut err) = (child.child().stdout.take(), child.child().stderr.take());
        std::thread::spawn(move || {
            let mut said = String::new();
            let read = |stream: &mut dyn std::io::Read, said: &mut String| stream.read_to_string(said);
            let _ = out.as_mut().map(|out| read(out, &mut said));
            let _ = err.as_mut().map(|err| read(err, &mut said));
            said
        })
    };
    let status = loop {
        peak_bytes = peak_bytes.max(super::machine::anonymous_bytes(pid).unwrap_or(0));
        if let Some(status) = child.child().try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let elapsed = began.elapsed();
    let said = reader.join().unwrap_or_default().trim().to_owned();
    Ok(Audited { passed: status.success(), elapsed, said, peak_bytes })
}
