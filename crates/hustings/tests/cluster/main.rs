//! Real servers in network namespaces, under load and faults: kill -9, stopped processes, partitions, loss, delay, clocks,
//! failing syncs, full disks, planned and unplanned changes of the cluster. Every answer that a client got is held
//! against the record of every server.
//!
//! `cargo xtask test --only cluster`. `HUSTINGS_CLUSTER_SECONDS` of faults (120; 600 with `--full`), `HUSTINGS_CLUSTER_SEED`
//! repeats a schedule. Needs a network of its own (the suite makes one), nftables, libfaketime.

#![cfg(target_os = "linux")]

mod check;
mod delay;
mod discovery;
mod drills;
mod hall;
mod history;
mod machine;
mod nemesis;
mod officer;
mod planted;
mod random;
mod report;
#[path = "../support/mod.rs"]
mod support;
mod voters;

use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use hall::{Hall, is_wanted};
use history::History;
use nemesis::Nemesis;
use officer::Officer;
use voters::{Client, Stage};

/// Threads of voters at each server.
const CLIENTS_PER_SERVER: usize = 4;
const SMALL_DISK_MEBIBYTES: u32 = 384;

/// Of the whole time, how much goes to three servers; the rest to five.
const SHARE_OF_THREE: f64 = 0.6;

fn seconds() -> f64 {
    std::env::var("HUSTINGS_CLUSTER_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(120.0)
}

fn seed() -> u64 {
    let given = std::env::var("HUSTINGS_CLUSTER_SEED").ok().and_then(|text| text.parse().ok());
    given.unwrap_or_else(|| u64::from(std::process::id()))
}

#[test]
fn three_servers_keep_their_promises_through_faults() {
    if is_wanted() {
        through_faults("three", 3, seed(), Duration::from_secs_f64(seconds() * SHARE_OF_THREE));
    }
}

#[test]
fn five_servers_keep_their_promises_through_faults() {
    if is_wanted() {
        through_faults("five", 5, seed() ^ 5, Duration::from_secs_f64(seconds() * (1.0 - SHARE_OF_THREE)));
    }
}

fn through_faults(name: &str, servers: usize, seed: u64, duration: Duration) {
    println!("{servers} servers, {} s of faults: HUSTINGS_CLUSTER_SEED={seed}", duration.as_secs());
    let mut hall = Hall::new(servers);
    hall.machines[servers - 1].mount_small_disk(SMALL_DISK_MEBIBYTES);
    hall.found();
    hall.settle();
    let stage = Stage::new(name, hall.bases());
    let mut officer = Officer::new(&stage, seed ^ 1);
    officer.open_one();

    let (done, history) = thread::scope(|scope| {
        let stage = &stage;
        let officer = scope.spawn(move || officer.run());
        let voters: Vec<_> = (0..servers * CLIENTS_PER_SERVER)
            .map(|number| {
                let client =
                    Client::new(stage, number % servers, number < servers, seed ^ (100 + number as u64));
                scope.spawn(move || client.run())
            })
            .collect();
        let bulk = scope.spawn(move || voters::bulk(stage, seed ^ 2, 200));
        let readers: Vec<_> = (0..servers)
            .map(|place| scope.spawn(move || voters::read(stage, place, seed ^ place as u64)))
            .collect();
        let leaders = scope.spawn(move || voters::watch_leaders(stage));
        let over = Over(stage);
        let done = Nemesis::new(stage, &mut hall, seed).run(duration);
        drop(over);
        let mut history = History::default();
        for voter in voters {
            history.casts.extend(voter.join().expect("a voter ends well"));
        }
        history.casts.extend(bulk.join().expect("the files end well"));
        for reader in readers {
            history.readings.extend(reader.join().expect("a reader ends well"));
        }
        history.leaders = leaders.join().expect("the watch ends well");
        history.acts = officer.join().expect("the officer ends well");
        (done, history)
    });
    let mut history = history;
    hall.settle();
    voters::ask_again(&stage, &mut history.casts, seed);
    let history = History { wrong: stage.wrong.lock().expect("nobody panicked").clone(), ..history };

    let (faults, checked) = check::check(&stage, &hall, &history);
    let changes = history.leaders.len().saturating_sub(1);
    println!("{}", report::faults(&history, &done));
    println!("{}", report::answers(&history));
    let requests: usize = history.casts.iter().map(|cast| cast.attempts.len()).sum();
    println!(
        "{servers} servers, seed {seed}: {} faults, {changes} leader changes, {requests} requests for {} ballots, \
         {} counted in {} elections, {} audits, {} officers' acts in {} requests, {} reads; {} broken promises",
        done.len(),
        history.casts.len(),
        checked.ballots,
        checked.elections,
        checked.audits,
        history.acts.len(),
        history.acts.iter().map(|act| act.requests).sum::<u32>(),
        history.readings.len(),
        faults.len()
    );
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    let of = |wanted: fn(nemesis::Kind) -> bool| {
        done.iter().filter(|fault| wanted(fault.kind) || fault.with.is_some_and(wanted)).count()
    };
    let (kills, partitions) = (of(nemesis::Kind::is_kill), of(nemesis::Kind::is_partition));
    assert!(
        kills > 0 && partitions > 0 && changes > 0 && checked.ballots > 0,
        "tested nothing: {kills} kills, {partitions} partitions, {changes} leader changes, {} ballots",
        checked.ballots
    );
    for machine in &mut hall.machines {
        assert!(machine.stop().success(), "{}", machine.last_words());
    }
}

/// Ends all clients, also where a fault could not be undone.
struct Over<'a>(&'a Stage);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::Relaxed);
    }
}
