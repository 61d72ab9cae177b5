//! Machines on one network, each a network namespace with an address of its own, joined by a bridge. The test stands on
//! the bridge: it reaches every machine, whatever the machines do not hear of each other.
//!
//! ```text
//!   clients, officer, proxy          10.77.K.254 on the bridge
//!        │
//!   ─────┴──────┬───────────────┬──────────────┬───
//!          10.77.K.1       10.77.K.2      10.77.K.3        nft in each namespace drops what a fault says
//! ```

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::machine::Machine;
use crate::support::{OFFICER, Ran, agent, hustings, now, run, wait_for};

/// Where voters reach a server.
pub const HTTP_PORT: u16 = 8700;
/// Where the other servers reach it.
pub const NODE_PORT: u16 = 8701;
pub const CLUSTER: &str = "hall";
/// Longer than any recovery takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);
/// The host on the bridge.
const TEST_HOST: u8 = 254;

static HALLS: AtomicU32 = AtomicU32::new(0);

/// What does not get through to a machine, and what leaves it by a detour.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cuts {
    /// Machines that it does not hear.
    pub deaf_to: BTreeSet<usize>,
    /// Packets of a hundred that never arrive from other machines.
    pub loss_percent: u8,
    /// Connections to other machines go by the slow proxy on the bridge.
    pub is_slow: bool,
    /// Connections between machines that stand are reset.
    pub resets: bool,
}

/// A network of machines. Gone when dropped, also by a panic.
#[derive(Debug)]
pub struct Hall {
    prefix: String,
    number: u32,
    pub machines: Vec<Machine>,
    folder: TempDir,
    bridge: String,
}

impl Hall {
    /// `machines` of them, switched on, with nothing running.
    pub fn new(machines: usize) -> Self {
        let number = HALLS.fetch_add(1, Ordering::Relaxed);
        let prefix = format!("h{}x{number}", std::process::id());
        let bridge = format!("{prefix}b");
        let folder = tempfile::Builder::new().prefix("hustings-hall-").tempdir().expect("a folder");
        let mut hall = Self { prefix, number, machines: Vec::new(), folder, bridge };
        ip(&["link", "set", "lo", "up"]);
        ip(&["link", "add", &hall.bridge, "type", "bridge", "mcast_snooping", "0"]);
        let own = format!("{}/24", hall.address(TEST_HOST));
        ip(&["address", "add", &own, "dev", &hall.bridge]);
        ip(&["link", "set", &hall.bridge, "up"]);
        for place in 0..machines {
            let machine = hall.plug_in(place);
            hall.machines.push(machine);
        }
        hall
    }

    /// A cluster with a server on every machine, all of them voters.
    pub fn with_cluster(machines: usize) -> Self {
        let mut hall = Self::new(machines);
        hall.found();
        hall.settle();
        hall
    }

    /// The first machine founds, the others join by its address.
    pub fn found(&mut self) {
        let seeds = self.seeds(0);
        self.machines[0].start(&["--first", "--seeds", &seeds, "--discovery", "off"], None);
        self.machines[0].wait_until_ready();
        let key = self.machines[0].join_key();
        for place in 1..self.machines.len() {
            self.join(place, &key);
        }
    }

    /// Starts the server of `place` so that it finds the others by their addresses.
    pub fn join(&mut self, place: usize, key: &str) {
        let seeds = self.seeds(place);
        self.machines[place].start(&["--seeds", &seeds, "--discovery", "off"], Some(key));
    }

    /// The other machines' addresses.
    fn seeds(&self, place: usize) -> String {
        let others = (0..self.len()).filter(|other| *other != place);
        others.map(|other| self.node_address(other)).collect::<Vec<_>>().join(",")
    }

    fn plug_in(&mut self, place: usize) -> Machine {
        let namespace = format!("{}m{}", self.prefix, place + 1);
        let (here, there) =
            (format!("{}v{}", self.prefix, place + 1), format!("{}w{}", self.prefix, place + 1));
        let host = u8::try_from(place + 1).expect("few machines");
        let (address, gateway) = (self.address(host), self.address(TEST_HOST));
        ip(&["netns", "add", &namespace]);
        ip(&["link", "add", &here, "type", "veth", "peer", "name", &there]);
        ip(&["link", "set", &there, "netns", &namespace]);
        ip(&["link", "set", &here, "master", &self.bridge, "up"]);
        let inside = |words: &[&str]| ip(&[&["-n", &namespace], words].concat());
        inside(&["link", "set", "lo", "up"]);
        inside(&["address", "add", &format!("{address}/24"), "broadcast", "+", "dev", &there]);
        inside(&["link", "set", &there, "up"]);
        inside(&["route", "add", "default", "via", &gateway]);
        Machine::new(namespace, address, self.folder.path().join(format!("m{}", place + 1)))
    }

    fn address(&self, host: u8) -> String {
        format!("10.77.{}.{host}", self.number % 250)
    }

    /// Address of the test's own end of the network.
    pub fn own_address(&self) -> String {
        self.address(TEST_HOST)
    }

    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub fn len(&self) -> usize {
        self.machines.len()
    }

    pub fn node_address(&self, place: usize) -> String {
        format!("{}:{NODE_PORT}", self.machines[place].address)
    }

    /// Bases of all machines' HTTP addresses.
    pub fn bases(&self) -> Vec<String> {
        self.machines.iter().map(|machine| machine.base.clone()).collect()
    }

    /// Puts `cuts` in force at `place`, instead of what was.
    pub fn cut(&self, place: usize, cuts: &Cuts) {
        let (mut input, mut output, mut detours) = (String::new(), String::new(), String::new());
        for other in (0..self.len()).filter(|other| *other != place) {
            let address = &self.machines[other].address;
            if cuts.deaf_to.contains(&other) {
                input += &format!("ip saddr {address} drop\n");
            }
            if cuts.loss_percent > 0 {
                input += &format!("ip saddr {address} numgen random mod 100 < {} drop\n", cuts.loss_percent);
            }
            if cuts.resets {
                output += &format!("ip daddr {address} meta l4proto tcp reject with tcp reset\n");
            }
            if cuts.is_slow {
                let (proxy, port) = (self.own_address(), crate::delay::port_of(other));
                detours += &format!("ip daddr {address} tcp dport {NODE_PORT} dnat to {proxy}:{port}\n");
            }
        }
        let rules = format!(
            "table inet cuts\ndelete table inet cuts\ntable inet cuts {{\n\
             chain incoming {{ type filter hook input priority 0;\n{input}}}\n\
             chain outgoing {{ type filter hook output priority 0;\n{output}}}\n}}\n\
             table ip detours\ndelete table ip detours\ntable ip detours {{\n\
             chain outgoing {{ type nat hook output priority -100;\n{detours}}}\n}}\n"
        );
        let mut nft = self.machines[place].inside("nft");
        let mut child = nft.args(["-f", "-"]).stdin(Stdio::piped()).spawn().expect("nft runs");
        child.stdin.take().expect("piped").write_all(rules.as_bytes()).expect("written");
        assert!(child.wait().expect("waited for").success(), "nft refused:\n{rules}");
    }

    /// Everybody hears everybody.
    pub fn mend(&self) {
        for place in 0..self.len() {
            self.cut(place, &Cuts::default());
        }
    }

    /// The cluster as the server of `place` sees it; `None` where it does not answer.
    pub fn view(&self, place: usize) -> Option<Value> {
        view_of(&self.machines[place].base)
    }

    /// The machine whose server leads, as most see it.
    pub fn leader(&self) -> Option<usize> {
        let views: Vec<Value> = (0..self.len()).filter_map(|place| self.view(place)).collect();
        let newest =
            views.iter().filter(|view| view["leader"].is_u64()).max_by_key(|view| view["term"].as_u64())?;
        let leader = newest["leader"].as_u64()?;
        let nodes = newest["nodes"].as_array()?;
        let node = nodes.iter().find(|node| node["id"] == leader)?;
        self.machines.iter().position(|machine| node["address"] == machine.base.as_str())
    }

    /// Number of the server of `place` in its cluster.
    pub fn id(&self, place: usize) -> Option<u64> {
        self.view(place)?["this"].as_u64()
    }

    /// Asks something of the cluster at `place`.
    pub fn ask(&self, place: usize, what: &str, node: u64) -> Result<(u16, Value), ureq::Error> {
        let url = format!("{}/api/v1/cluster/{what}", self.machines[place].base);
        crate::support::post(&agent(), &url, Some(OFFICER), None, &json!({"node": node}))
    }

    /// Whether every running server is a voter, agrees with all others on who leads, and no machine more than the rest
    /// of them can be lost.
    pub fn is_whole(&self) -> bool {
        let running = self.machines.iter().filter(|machine| machine.is_running()).count() as u64;
        let mut leaders = BTreeSet::new();
        for place in (0..self.len()).filter(|place| self.machines[*place].is_running()) {
            let Some(view) = self.view(place) else { return false };
            let Some(nodes) = view["nodes"].as_array() else { return false };
            let voters = nodes.iter().filter(|node| node["role"] != "learner").count() as u64;
            let can_lose = running - (running / 2 + 1);
            let is_well = voters == running && nodes.len() as u64 == running && view["can_lose"] == can_lose;
            if !is_well || view["leader"].is_null() {
                return false;
            }
            leaders.insert((view["leader"].as_u64(), view["term"].as_u64()));
        }
        leaders.len() == 1
    }

    /// Waits until the cluster [is whole](Self::is_whole); how long that took.
    #[track_caller]
    pub fn settle(&mut self) -> Duration {
        let begun = now();
        while !self.is_whole() {
            for machine in &mut self.machines {
                machine.must_not_have_ended();
            }
            assert!(begun.elapsed() < PATIENCE, "the cluster did not become whole again:\n{}", self.told());
            std::thread::sleep(Duration::from_millis(100));
        }
        begun.elapsed()
    }

    /// What every server says of itself, for the report of a failure.
    pub fn told(&self) -> String {
        let mut text = String::new();
        for (place, machine) in self.machines.iter().enumerate() {
            let view = self.view(place).map_or_else(|| "no answer".to_owned(), |view| view.to_string());
            text += &format!("-- machine {}: {view}\n{}\n", place + 1, machine.last_words());
        }
        text
    }

    /// A command of an operator or officer who stands at the bridge.
    pub fn cli(&self, place: usize, words: &[&str]) -> Ran {
        let mut command = hustings();
        command
            .args(words)
            .env("HUSTINGS_SERVER", &self.machines[place].base)
            .env("HUSTINGS_OFFICER_TOKEN", OFFICER);
        run(&mut command)
    }

    /// Downloads the record of a closed `election` as the server of `place` tells it, once that knows of the close.
    pub fn record(&self, place: usize, election: &str) -> PathBuf {
        let state =
            || self.cli(place, &["--json", "election", "results", election]).ok().json()["state"].clone();
        wait_for("the server knows that the election is closed", || state() == "closed");
        let path = self.folder().join(format!("{election}-of-{}.record", place + 1));
        let out = path.to_str().expect("UTF-8");
        self.cli(place, &["election", "record", election, "--out", out]).ok();
        path
    }
}

pub fn view_of(base: &str) -> Option<Value> {
    let mut answer = short_agent()
        .get(format!("{base}/api/v1/cluster"))
        .header("authorization", format!("Bearer {OFFICER}"))
        .call()
        .ok()?;
    if answer.status().as_u16() != 200 {
        return None;
    }
    serde_json::from_str(&answer.body_mut().read_to_string().ok()?).ok()
}

fn short_agent() -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(Duration::from_secs(3)))
        .build()
        .into()
}

impl Drop for Hall {
    fn drop(&mut self) {
        let failed = std::thread::panicking();
        if failed {
            eprintln!("{}", self.told());
        }
        let namespaces: Vec<String> = self.machines.iter().map(|machine| machine.namespace.clone()).collect();
        // The processes first.
        self.machines.clear();
        for namespace in namespaces {
            let _ = Command::new("ip").args(["netns", "delete", &namespace]).status();
        }
        let _ = Command::new("ip").args(["link", "delete", &self.bridge]).status();
        if failed && let Some(keep) = std::env::var_os("HUSTINGS_CLUSTER_KEEP") {
            let _ = fs::create_dir_all(&keep);
            let _ = Command::new("cp").arg("-r").arg(self.folder.path()).arg(&keep).status();
        }
    }
}

#[track_caller]
pub fn ip(words: &[&str]) {
    let output = Command::new("ip").args(words).output().expect("ip runs");
    assert!(output.status.success(), "ip {words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether these tests were asked for. They make networks, so they run in a network of their own only.
pub fn is_wanted() -> bool {
    if std::env::var_os("HUSTINGS_CLUSTER_SECONDS").is_none() {
        eprintln!("left out: run `cargo xtask test --only cluster` (needs root or user namespaces)");
        return false;
    }
    let links = Command::new("ip").args(["-brief", "link"]).output().expect("ip runs").stdout;
    let links = String::from_utf8(links).expect("text");
    let is_own = links.lines().all(|line| line.starts_with("lo ") || line.starts_with(&own_prefix()));
    assert!(is_own, "not on a machine's own network: run this by `cargo xtask test --only cluster`");
    true
}

fn own_prefix() -> String {
    format!("h{}x", std::process::id())
}
