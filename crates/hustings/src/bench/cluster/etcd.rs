//! Three etcd servers: the durable, replicated peer. Asked over HTTP with JSON, as we are.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use data_encoding::BASE64;

use super::gaps::Asking;
use crate::bench::drive::{Next, Traffic};
use crate::bench::http;
use crate::bench::process::{Running, free_address};

pub const HOW_TO_INSTALL: &str = "apt-get install etcd-server";
const READY_WITHIN: Duration = Duration::from_secs(60);
/// A vote as it stands in our log: opening and head.
const VALUE_BYTES: usize = 150;

pub fn is_installed() -> bool {
    Command::new("etcd").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

pub struct Etcd {
    members: Vec<Member>,
    clients: Vec<SocketAddr>,
    peers: Vec<SocketAddr>,
    folder: std::path::PathBuf,
}

struct Member {
    running: Option<Running>,
}

impl Etcd {
    /// Three members with etcd's own defaults, which sync before they answer.
    pub fn start(folder: &Path) -> anyhow::Result<Self> {
        let addresses = || (0..3).map(|_| free_address()).collect::<anyhow::Result<Vec<_>>>();
        let (clients, peers) = (addresses()?, addresses()?);
        let mut etcd = Self { members: Vec::new(), clients, peers, folder: folder.join("etcd") };
        std::fs::create_dir_all(&etcd.folder)?;
        for number in 0..3 {
            let running = etcd.launch(number, "new")?;
            etcd.members.push(Member { running: Some(running) });
        }
        let clients = etcd.clients.clone();
        let is_ready = || clients.iter().all(|client| status(*client).is_some_and(|leads| leads.1));
        etcd.members[0].running.as_mut().expect("just started").wait_until(READY_WITHIN, is_ready)?;
        Ok(etcd)
    }

    fn launch(&self, number: usize, state: &str) -> anyhow::Result<Running> {
        let (client, peer) =
            (format!("http://{}", self.clients[number]), format!("http://{}", self.peers[number]));
        let all: Vec<String> =
            self.peers.iter().enumerate().map(|(other, peer)| format!("e{other}=http://{peer}")).collect();
        let mut command = Command::new("etcd");
        command.args(["--name", &format!("e{number}"), "--log-level", "error", "--data-dir"]);
        command.arg(self.folder.join(format!("e{number}")));
        command.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &all.join(","), "--initial-cluster-state", state]);
        command.args(["--quota-backend-bytes", "8000000000"]);
        command.stdin(Stdio::null()).stdout(Stdio::null());
        command.stderr(std::fs::File::create(self.folder.join(format!("e{number}.log")))?);
        Running::start("etcd", &mut command)
    }

    pub fn version() -> String {
        let output = Command::new("etcd").arg("--version").output();
        let text =
            output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        text.lines().next().unwrap_or_default().trim_start_matches("etcd Version:").trim().to_owned()
    }

    pub fn addresses(&self) -> &[SocketAddr] {
        &self.clients
    }

    pub fn leader(&self) -> anyhow::Result<usize> {
        let leads = |client: &SocketAddr| status(*client).is_some_and(|(leads, _)| leads);
        self.clients.iter().position(leads).context("no etcd server leads")
    }

    pub fn pid(&self, number: usize) -> Option<u32> {
        self.members[number].running.as_ref().map(Running::pid)
    }

    pub fn kill(&mut self, number: usize) {
        self.members[number].running = None;
    }

    /// Starts a member that was killed, and waits until it follows.
    pub fn run(&mut self, number: usize) -> anyhow::Result<()> {
        let mut running = self.launch(number, "existing")?;
        let client = self.clients[number];
        running.wait_until(READY_WITHIN, || status(client).is_some_and(|(_, has_leader)| has_leader))?;
        self.members[number].running = Some(running);
        Ok(())
    }
}

/// Whether this member leads, and whether it knows of a leader.
fn status(client: SocketAddr) -> Option<(bool, bool)> {
    let (code, text) = http::call(client, "POST", "/v3/maintenance/status", None, Some("{}")).ok()?;
    let answer: serde_json::Value = serde_json::from_slice(&text).ok().filter(|_| code == 200)?;
    let leader = answer["leader"].as_str().filter(|leader| *leader != "0");
    Some((leader.is_some() && answer["header"]["member_id"].as_str() == leader, leader.is_some()))
}

/// One put of one vote, under a key of its own.
fn put(number: u64, host: SocketAddr) -> Vec<u8> {
    let key = BASE64.encode(format!("vote/{number:016}").as_bytes());
    let value = BASE64.encode(&[b'v'; VALUE_BYTES]);
    let body = format!(r#"{{"key":"{key}","value":"{value}"}}"#);
    format!(
        "POST /v3/kv/put HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// Puts, one after the other on every lane, until `left` are sent.
pub struct Puts {
    pub host: SocketAddr,
    pub next: u64,
}

impl Traffic for Puts {
    fn next(&mut self, _: usize, request: &mut Vec<u8>) -> Next {
        *request = put(self.next, self.host);
        self.next += 1;
        Next::Send
    }

    fn answered(&mut self, _: usize, _: &[u8], _: u16, _: &[u8]) {}
}

/// The same for clients that ask again.
pub struct PutsAgain;

impl Asking for PutsAgain {
    fn request(&self, number: u64, host: SocketAddr) -> Vec<u8> {
        put(number, host)
    }

    fn is_acknowledged(&self, answer: &[u8]) -> bool {
        answer.starts_with(b"HTTP/1.1 200")
    }
}
