//! Real processes over real sockets: starting a server on a free port, running the command line, waiting for
//! conditions. Every child is waited for.

#![allow(dead_code)] // each test file uses its part of it

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

pub const OFFICER: &str = "officer-token-of-the-tests";
/// What seals and opens the backups of tests that do not ask for a key of their own.
pub const BACKUP_KEY: &str = "000g-40r4-0m30-e209-185g-r38e-1zkz-0nm0";
/// Nothing here takes longer on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

#[allow(clippy::disallowed_methods)] // Real processes are waited for in real time.
pub fn now() -> Instant {
    Instant::now()
}

/// The program with a clean environment.
pub fn hustings() -> Command {
    program(Path::new(env!("CARGO_BIN_EXE_hustings")))
}

/// The same of another build.
pub fn program(build: &Path) -> Command {
    let mut command = Command::new(build);
    for (name, _) in std::env::vars() {
        if name.starts_with("HUSTINGS_") {
            command.env_remove(name);
        }
    }
    command.env("HUSTINGS_LOG", "warn").env_remove("HTTP_PROXY").env_remove("http_proxy");
    command.stdin(Stdio::null());
    command
}

/// What a command answered.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error} in {self:#?}"))
    }

    /// The only allowed outcome in a story: it worked.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:#?}");
        self
    }

    /// Exit code and what was said, for snapshots; `places` are replaced by their names.
    pub fn told(&self, places: &[(&str, &str)]) -> String {
        let mut text = format!("exit {}\n{}{}", self.code, self.stdout, self.stderr);
        for (place, name) in places {
            text = text.replace(place, name);
        }
        text.trim_end().to_owned()
    }
}

pub fn run(command: &mut Command) -> Ran {
    let Output { status, stdout, stderr } = command.output().expect("the program starts");
    let text = |bytes| String::from_utf8(bytes).expect("it prints text");
    Ran { code: status.code().unwrap_or(-1), stdout: text(stdout), stderr: text(stderr) }
}

/// A running `hustings serve`. Killed when dropped; a test that wants a graceful end calls [`Server::stop`].
#[derive(Debug)]
pub struct Server {
    child: Option<Child>,
    stdout: Option<BufReader<ChildStdout>>,
    pub base: String,
    pub started: Value,
}

impl Server {
    pub fn start(data: &Path) -> Self {
        Self::start_with(data, "127.0.0.1:0", |_| {})
    }

    /// Starts on `listen` with changes to the command; returns when votes are taken.
    pub fn start_with(data: &Path, listen: &str, change: impl FnOnce(&mut Command)) -> Self {
        Self::start_build(hustings(), data, listen, change)
    }

    /// The same of the build that `command` names.
    pub fn start_build(
        mut command: Command,
        data: &Path,
        listen: &str,
        change: impl FnOnce(&mut Command),
    ) -> Self {
        command.args(["--json", "serve", "--listen", listen, "--data"]).arg(data);
        let log = data.with_extension("stderr");
        let stderr =
            std::fs::File::options().create(true).append(true).open(&log).expect("a log beside the data");
        command.env("HUSTINGS_OFFICER_TOKEN", OFFICER).stdout(Stdio::piped()).stderr(stderr);
        change(&mut command);
        let mut child = command.spawn().expect("the server starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        let started: Value = match serde_json::from_str(&line) {
            Ok(started) => started,
            Err(_) => {
                let said = std::fs::read_to_string(&log).unwrap_or_default();
                panic!("the server did not start: {line:?}, {:?}\n{said}", child.wait())
            }
        };
        let base = started["url"].as_str().expect("it says where it listens").to_owned();
        let server = Self { child: Some(child), stdout: Some(stdout), base, started };
        if server.base.starts_with("https:") {
            return server; // nobody here trusts its certificate
        }
        wait_for("readyz", || {
            ureq_get(&format!("{}/readyz", server.base)).is_ok_and(|(status, _)| status == 200)
        });
        server
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("running").id()
    }

    pub fn port(&self) -> u16 {
        self.base.rsplit(':').next().and_then(|port| port.parse().ok()).expect("an address with a port")
    }

    /// A client command for this server, as the officer.
    pub fn cli(&self, args: &[&str]) -> Command {
        let mut command = hustings();
        command.args(args).env("HUSTINGS_SERVER", &self.base).env("HUSTINGS_OFFICER_TOKEN", OFFICER);
        command
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        run(&mut self.cli(args))
    }

    /// SIGTERM, and its exit.
    pub fn stop(mut self) -> ExitStatus {
        signal(self.pid(), "TERM");
        self.wait()
    }

    /// SIGKILL, and its end.
    pub fn kill(mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().expect("killed");
        child.wait().expect("waited for");
    }

    /// Waits for its end, at most [`PATIENCE`].
    pub fn wait(&mut self) -> ExitStatus {
        let mut child = self.child.take().expect("running");
        let until = now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().expect("waited for") {
                return status;
            }
            if now() > until {
                child.kill().expect("killed");
                child.wait().expect("waited for");
                panic!("the server did not end");
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A child that does not outlive its test.
#[derive(Debug)]
pub struct Killed(pub Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Sends a signal to one process of ours.
pub fn signal(pid: u32, name: &str) {
    let status =
        Command::new("kill").args([format!("-{name}"), pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "kill -{name} {pid}");
}

/// Waits, bounded, until `condition` holds.
#[track_caller]
pub fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let until = now() + PATIENCE;
    while !condition() {
        assert!(now() < until, "waited in vain for: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .max_redirects(0)
        .timeout_global(Some(Duration::from_secs(20)))
        .build()
        .into()
}

pub fn ureq_get(url: &str) -> Result<(u16, String), ureq::Error> {
    let mut answer = agent().get(url).call()?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), text))
}

/// POST with a JSON body; status and body.
pub fn post(
    agent: &ureq::Agent,
    url: &str,
    token: Option<&str>,
    key: Option<&str>,
    body: &Value,
) -> Result<(u16, Value), ureq::Error> {
    let mut request = agent.post(url).header("content-type", "application/json");
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    let mut answer = request.send(body.to_string())?;
    let text = answer.body_mut().read_to_string()?;
    Ok((answer.status().as_u16(), serde_json::from_str(&text).unwrap_or(Value::Null)))
}

/// A folder of this test's own.
pub fn folder() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("hustings-test-").tempdir().expect("a folder")
}

pub fn write(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path
}

pub fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// A published record, taken apart.
#[derive(Debug)]
pub struct Record {
    pub lines: Vec<Value>,
    raw: Vec<String>,
}

impl Record {
    pub fn read(path: &Path) -> Self {
        let raw: Vec<String> =
            std::fs::read_to_string(path).expect("readable").lines().map(str::to_owned).collect();
        let lines = raw.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        Self { lines, raw }
    }

    /// Leaf index and opening of every ballot, in order.
    pub fn ballots(&self) -> Vec<(u64, Vec<u8>)> {
        let ballot = |line: &Value| {
            let text = line["ballot"].as_str()?;
            let opening = data_encoding::BASE64URL_NOPAD.decode(text.as_bytes()).expect("base64url");
            Some((line["leaf"].as_u64().expect("a number"), opening))
        };
        self.lines.iter().filter_map(ballot).collect()
    }

    pub fn result(&self) -> &Value {
        self.lines
            .iter()
            .find(|line| line["result"].is_object())
            .map(|line| &line["result"])
            .expect("a result")
    }
}

/// Voter tag inside a ballot's opening (format of `docs/formats.md`): nonce 32, election 16, shard 4, tag 16.
pub fn voter_tag(opening: &[u8]) -> [u8; 16] {
    opening[52..68].try_into().expect("16 bytes")
}

/// Leaf hash of a ballot's opening, in hexadecimal.
pub fn ballot_leaf(opening: &[u8]) -> String {
    proof::leaf_hash(proof::LeafKind::Ballot, opening).to_hex()
}
