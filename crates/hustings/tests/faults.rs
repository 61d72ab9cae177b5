//! Faults of the real machine, on the real binary: a full disk, a failing sync, slow clients, a crowd.
//! Run with `HUSTINGS_FAULTS=1`, as root (it mounts a small tmpfs).

#![cfg(target_os = "linux")]

mod support;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Record, Server, agent, ballot_leaf, folder, hustings, now, post, run, text, wait_for, write};

const ELECTION: &str = r#"
slug = "faults"
title = "Faults"
results = "live"
[[contest]]
id = "who"
title = "Who?"
choices = ["Ann", "Bob"]
"#;

/// Documented exit code of a server whose disk failed.
const EXIT_IO: i32 = 74;

fn is_wanted() -> bool {
    let wanted = std::env::var_os("HUSTINGS_FAULTS").is_some_and(|value| value == "1");
    if !wanted {
        eprintln!("left out: set HUSTINGS_FAULTS=1 (needs root)");
    }
    wanted
}

fn open_election(server: &Server, folder: &Path) {
    let file = write(folder, "faults.toml", ELECTION);
    server.run(&["election", "create", text(&file), "--open"]).ok();
}

fn mint(data: &Path, count: usize) -> Vec<String> {
    let mut command = hustings();
    command
        .args(["token", "mint", "--election", "faults", "--count", &count.to_string(), "--data"])
        .arg(data);
    run(&mut command).ok().stdout.lines().map(str::to_owned).collect()
}

fn vote(server: &Server, token: &str) -> Result<(u16, Value), ureq::Error> {
    let url = format!("{}/api/v1/elections/faults/ballots", server.base);
    post(&agent(), &url, Some(token), None, &json!({"choices": {"who": ["ann"]}}))
}

/// Every receipt is in the record of this server, and the record audits.
fn nothing_is_lost(server: &Server, folder: &Path, receipts: &[Value]) {
    server.run(&["election", "close", "faults"]).ok();
    let path = folder.join("faults.record");
    server.run(&["election", "record", "faults", "--out", text(&path)]).ok();
    run(hustings().arg("audit").arg(&path)).ok();
    let ballots = Record::read(&path).ballots();
    for receipt in receipts {
        let found = ballots.iter().find(|(leaf, _)| receipt["leaf_index"] == *leaf);
        let (_, opening) = found.unwrap_or_else(|| panic!("lost: {receipt}"));
        assert_eq!(receipt["leaf"], ballot_leaf(opening));
    }
}

/// A small disk that is taken away again.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: &Path, mebibytes: u32) -> Self {
        fs::create_dir_all(path).expect("made");
        let size = format!("size={mebibytes}m");
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(path).status();
        assert!(status.expect("mount runs").success(), "a tmpfs needs root");
        Self(path.to_owned())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_refuses_votes_answers_reads_loses_nothing_and_goes_on() {
    if !is_wanted() {
        return;
    }
    let folder = folder();
    // The server's log lies on the same disk: not being able to say something must not stop it.
    let disk = SmallDisk::mount(&folder.path().join("disk"), 96);
    let data = disk.0.join("data");
    let server = Server::start(&data);
    open_election(&server, folder.path());
    let tokens = mint(&data, 200_000);
    let mut tokens = tokens.iter();
    let mut receipts = Vec::new();
    for _ in 0..50 {
        let (status, receipt) = vote(&server, tokens.next().expect("enough")).expect("an answer");
        assert_eq!(status, 201, "{receipt}");
        receipts.push(receipt);
    }

    let ballast = disk.0.join("ballast");
    fill(&ballast);
    let url = format!("{}/api/v1/elections/faults/ballots/bulk", server.base);
    let until = now() + support::PATIENCE;
    let refused = loop {
        assert!(now() < until, "the disk never filled");
        // Bulk ballots use up what was reserved ahead; then a single one is refused.
        let _ = bulk(&url, receipts.len());
        let (status, answer) = vote(&server, tokens.next().expect("enough")).expect("an answer");
        match status {
            201 => receipts.push(answer),
            _ => break (status, answer),
        }
    };
    assert_eq!((refused.0, &refused.1["code"]), (503, &json!("storage_full")), "{}", refused.1);
    let results = server.run(&["--json", "election", "results", "faults"]).ok().json();
    assert!(results["ballots"].as_u64() >= Some(receipts.len() as u64), "reads go on");

    fs::remove_file(&ballast).expect("removed");
    wait_for("votes are taken again", || {
        let (status, answer) = vote(&server, tokens.next().expect("enough")).expect("an answer");
        if status == 201 {
            receipts.push(answer);
        }
        status == 201
    });
    nothing_is_lost(&server, folder.path(), &receipts);
    assert!(server.stop().success());
}

fn fill(path: &Path) {
    let mut file = fs::File::create(path).expect("created");
    let block = vec![1; 64 << 10];
    while file.write_all(&block).is_ok() {}
    // The last pages too.
    while file.write_all(&[1; 512]).is_ok() {}
}

/// Ballots of voters that nobody else names; what comes of each is not asked.
fn bulk(url: &str, round: usize) -> Result<(), ureq::Error> {
    let line = |n: usize| {
        json!({"voter": format!("bulk {round} {n}"), "choices": {"who": ["bob"]}}).to_string() + "\n"
    };
    let body: String = (0..20_000).map(line).collect();
    let mut answer = agent()
        .post(url)
        .header("content-type", "application/x-ndjson")
        .header("authorization", format!("Bearer {}", support::OFFICER))
        .send(body)?;
    answer.body_mut().with_config().limit(1 << 28).read_to_vec().map(drop)
}

#[test]
fn a_failed_sync_ends_the_process_at_once_and_nothing_acknowledged_is_lost() {
    if !is_wanted() {
        return;
    }
    let folder = folder();
    let (data, trigger) = (folder.path().join("data"), folder.path().join("trigger"));
    let shim = build_shim(folder.path());
    let mut server = Server::start_with(&data, "127.0.0.1:0", |command| {
        command.env("LD_PRELOAD", &shim).env("HUSTINGS_TEST_FAIL_SYNC", &trigger);
    });
    open_election(&server, folder.path());
    let tokens = mint(&data, 100);
    let mut receipts = Vec::new();
    for token in &tokens[..20] {
        let (status, receipt) = vote(&server, token).expect("an answer");
        assert_eq!(status, 201, "{receipt}");
        receipts.push(receipt);
    }

    fs::write(&trigger, "").expect("written");
    let answer = vote(&server, &tokens[20]);
    assert!(!matches!(answer, Ok((201, _))), "a ballot that was not synced is not acknowledged: {answer:?}");
    assert_eq!(server.wait().code(), Some(EXIT_IO));

    let server = Server::start(&data);
    let (status, receipt) = vote(&server, &tokens[21]).expect("an answer");
    assert_eq!(status, 201, "{receipt}");
    receipts.push(receipt);
    nothing_is_lost(&server, folder.path(), &receipts);
}

fn build_shim(folder: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fail_sync.c");
    let shim = folder.join("fail_sync.so");
    let status =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl").status();
    assert!(status.expect("cc runs").success());
    shim
}

#[test]
fn slow_and_half_open_clients_hold_nobody_up() {
    if !is_wanted() {
        return;
    }
    let folder = folder();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    open_election(&server, folder.path());
    let tokens = mint(&data, 20);
    let address = ("127.0.0.1", server.port());
    let mut idle = Vec::new();
    for number in 0..600 {
        let mut stream = TcpStream::connect(address).expect("connected");
        // Nothing at all, half a request line, a body that never comes, a body byte by byte.
        let start: &[u8] = match number % 4 {
            0 => b"",
            1 => b"POST /api/v1/elections/faul",
            2 => b"POST /api/v1/elections/faults/ballots HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n",
            _ => b"POST /api/v1/elections/faults/ballots HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{",
        };
        stream.write_all(start).expect("sent");
        idle.push(stream);
    }
    for token in &tokens {
        let started = now();
        let (status, answer) = vote(&server, token).expect("an answer");
        assert_eq!(status, 201, "{answer}");
        // Far below the seconds that a slow client may take, far above what a busy machine needs.
        assert!(started.elapsed() < Duration::from_secs(5), "{:?} behind slow clients", started.elapsed());
    }
    assert!(server.stop().success(), "a stop does not wait for them");
}

const CROWD: usize = 10_000;
/// Files that the test has open beside the crowd's connections.
const OTHER_FILES: usize = 100;
const QUEUE: usize = 500;

#[test]
fn ten_thousand_clients_at_once_are_answered_or_asked_to_come_back() {
    if !is_wanted() {
        return;
    }
    let crowd = CROWD.min(raise_open_files().saturating_sub(OTHER_FILES));
    assert!(
        crowd > 4 * QUEUE,
        "{crowd} open files are too few to try this: raise the hard limit (ulimit -Hn)"
    );
    let folder = folder();
    let data = folder.path().join("data");
    let server = Server::start_with(&data, "127.0.0.1:0", |command| {
        command.args(["--max-concurrent", "100", "--queue-max", &QUEUE.to_string()]);
    });
    open_election(&server, folder.path());
    let tokens = mint(&data, crowd);
    let mut clients: Vec<TcpStream> =
        tokens.iter().map(|_| TcpStream::connect(("127.0.0.1", server.port())).expect("connected")).collect();
    let body = r#"{"choices":{"who":["ann"]}}"#;
    for (stream, token) in clients.iter_mut().zip(&tokens) {
        let request = format!(
            "POST /api/v1/elections/faults/ballots HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
    }
    let (mut accepted, mut later, mut receipts) = (0, 0, Vec::new());
    for stream in &mut clients {
        stream.set_read_timeout(Some(support::PATIENCE)).expect("set");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).unwrap_or_default();
        match status {
            "201" => {
                accepted += 1;
                let receipt = answer.split("\r\n\r\n").nth(1).expect("a body");
                receipts
                    .push(serde_json::from_str(receipt).unwrap_or_else(|error| panic!("{error}: {answer}")));
            }
            "503" => {
                assert!(answer.to_lowercase().contains("\r\nretry-after: "), "{answer}");
                later += 1;
            }
            _ => panic!("{answer}"),
        }
    }
    assert_eq!(accepted + later, crowd);
    assert!(accepted > 0);
    let peak = peak_memory_kibibytes(server.pid());
    println!("{accepted} accepted, {later} asked to come back, peak {peak} KiB");
    assert!(peak < 1 << 20, "memory is bounded: {peak} KiB");
    nothing_is_lost(&server, folder.path(), &receipts);
}

/// Raises the soft limit of open files to the hard one; gives the limit now in force.
fn raise_open_files() -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).expect("raised");
    limit.maximum.map_or(usize::MAX, |maximum| usize::try_from(maximum).unwrap_or(usize::MAX))
}

fn peak_memory_kibibytes(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("readable");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("there");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
