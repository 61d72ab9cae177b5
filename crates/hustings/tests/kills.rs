//! kill -9 in a loop under load: every acknowledged ballot is in the record at the place its receipt names, none is
//! there twice, and the audit passes. `HUSTINGS_KILLS` kills (3 unless set; 10 in CI, 200 in the full suite).

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use support::{Record, Server, agent, ballot_leaf, folder, hustings, now, post, run, text, voter_tag, write};

const CLIENTS: usize = 6;
const CHOICES: [&str; 3] = ["ann", "bob", "eve"];
/// Under load between a restart and the next kill.
const LOAD: Duration = Duration::from_millis(250);

const ELECTION: &str = r#"
slug = "kills"
title = "Kills"
results = "live"
[[contest]]
id = "who"
title = "Who?"
choices = ["Ann", "Bob", "Eve"]
"#;

fn kills() -> u32 {
    std::env::var("HUSTINGS_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(3)
}

/// A ballot that was answered with a receipt.
struct Acknowledged {
    receipt: Value,
}

struct Load {
    url: String,
    stop: AtomicBool,
    acknowledged: AtomicUsize,
}

#[test]
fn every_acknowledged_ballot_survives_every_kill() {
    let folder = folder();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let file = write(folder.path(), "kills.toml", ELECTION);
    server.run(&["election", "create", text(&file), "--open"]).ok();
    let listen = format!("127.0.0.1:{}", server.port());
    let load = Load {
        url: format!("{}/api/v1/elections/kills/ballots", server.base),
        stop: AtomicBool::new(false),
        acknowledged: AtomicUsize::new(0),
    };
    let tokens = mint(&data, 10_000 * (kills() as usize + 2));

    let (acknowledged, server) = thread::scope(|scope| {
        let chunk = tokens.len() / CLIENTS;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let (load, tokens) = (&load, &tokens[number * chunk..(number + 1) * chunk]);
                scope.spawn(move || cast_until_stopped(load, number, tokens))
            })
            .collect();
        let mut server = server;
        for kill in 0..kills() {
            under_load(&load, kill);
            server.kill();
            server = Server::start_with(&data, &listen, lift_rates);
        }
        under_load(&load, kills());
        load.stop.store(true, Ordering::Relaxed);
        let answers: Vec<Acknowledged> =
            clients.into_iter().flat_map(|client| client.join().expect("a client ends well")).collect();
        (answers, server)
    });

    server.run(&["election", "close", "kills"]).ok();
    let record = folder.path().join("kills.record");
    server.run(&["election", "record", "kills", "--out", text(&record)]).ok();
    check(&acknowledged, &Record::read(&record));
    audit(folder.path(), &record, &acknowledged);
    assert!(server.stop().success());
    println!("{} kills, {} acknowledged, 0 lost, 0 doubled", kills(), acknowledged.len());
}

/// Load generators come from one address and are faster than people.
fn lift_rates(_: &mut std::process::Command) {}

fn mint(data: &Path, count: usize) -> Vec<String> {
    let count = count.to_string();
    let mut command = hustings();
    command.args(["token", "mint", "--election", "kills", "--count", &count, "--data"]).arg(data);
    run(&mut command).ok().stdout.lines().map(str::to_owned).collect()
}

/// Lets the clients work for a while, at a length that differs from kill to kill, and at least one ballot long.
fn under_load(load: &Load, kill: u32) {
    let before = load.acknowledged.load(Ordering::Relaxed);
    thread::sleep(LOAD + Duration::from_millis(u64::from(kill * 37 % 101)));
    support::wait_for("a ballot is acknowledged", || load.acknowledged.load(Ordering::Relaxed) > before);
}

/// One client: casts for voter after voter, each with a key of its own, and repeats until there is an answer.
fn cast_until_stopped(load: &Load, number: usize, tokens: &[String]) -> Vec<Acknowledged> {
    let mut agent = agent();
    let mut answers = Vec::new();
    for (index, token) in tokens.iter().enumerate() {
        if load.stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("client-{number}-voter-{index}");
        let body = json!({"choices": {"who": [CHOICES[(number + index) % 3]]}});
        let receipt = cast(load, &mut agent, token, &key, &body);
        if index % 50 == 0 {
            // A double click: the same key gets the same leaf.
            let again = cast(load, &mut agent, token, &key, &body);
            assert_eq!((&again["leaf_index"], &again["leaf"]), (&receipt["leaf_index"], &receipt["leaf"]));
        }
        load.acknowledged.fetch_add(1, Ordering::Relaxed);
        answers.push(Acknowledged { receipt });
    }
    answers
}

fn cast(load: &Load, agent: &mut ureq::Agent, token: &str, key: &str, body: &Value) -> Value {
    let until = now() + support::PATIENCE;
    loop {
        match post(agent, &load.url, Some(token), Some(key), body) {
            Ok((200 | 201, receipt)) if receipt["leaf"].is_string() => return receipt,
            // The answer broke off, the server is away or not ready yet: the same ballot again.
            Ok((429 | 503, _)) | Err(_) => {}
            Ok((status, answer)) => panic!("{key}: {status} {answer}"),
        }
        assert!(now() < until, "{key} never got an answer");
        thread::sleep(Duration::from_millis(5));
    }
}

fn check(acknowledged: &[Acknowledged], record: &Record) {
    let ballots: BTreeMap<u64, Vec<u8>> = record.ballots().into_iter().collect();
    let mut places = BTreeSet::new();
    for Acknowledged { receipt } in acknowledged {
        let place = receipt["leaf_index"].as_u64().expect("a place");
        let opening = ballots.get(&place).unwrap_or_else(|| panic!("lost: {receipt}"));
        assert_eq!(receipt["leaf"], ballot_leaf(opening), "another ballot stands at the place of {receipt}");
        assert!(places.insert(place), "two receipts name leaf {place}");
    }
    let voters: BTreeSet<[u8; 16]> = ballots.values().map(|opening| voter_tag(opening)).collect();
    assert_eq!(voters.len(), ballots.len(), "a voter's ballot is there twice");
    assert_eq!(ballots.len(), acknowledged.len(), "every ballot was answered in the end");
    assert_eq!(record.result()["ballots"], json!(acknowledged.len()));
}

fn audit(folder: &Path, record: &Path, acknowledged: &[Acknowledged]) {
    let mut command = hustings();
    command.arg("audit").arg(record);
    for (index, Acknowledged { receipt }) in
        acknowledged.iter().enumerate().step_by(acknowledged.len() / 20 + 1)
    {
        let path = write(folder, &format!("{index}.receipt"), &receipt.to_string());
        command.arg("--receipt").arg(path);
    }
    run(&mut command).ok();
}
