//! Backup, restore, lost servers and upgrades of a cluster, with real processes: the drills of the operator's guide.

mod support;

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::{Value, json};
use support::{OFFICER, Server, folder, hustings, program, run, signal, text, ureq_get, wait_for};

const NAME: &str = "hall";

/// A program that can be started as a server of a cluster.
struct Member {
    data: PathBuf,
    listen: String,
    node_listen: String,
}

impl Member {
    fn new(folder: &Path, name: &str) -> Self {
        Member { data: folder.join(name), listen: free_address(), node_listen: free_address() }
    }

    fn start(&self, key: Option<&str>, seeds: &[&Member], first: bool) -> Server {
        self.start_build(hustings(), key, seeds, first)
    }

    fn start_build(&self, build: Command, key: Option<&str>, seeds: &[&Member], first: bool) -> Server {
        Server::start_build(build, &self.data, &self.listen, |command| {
            command.args(["--cluster", NAME, "--discovery", "off", "--node-listen", &self.node_listen]);
            if first {
                command.arg("--first");
            }
            if let Some(key) = key {
                command.env("HUSTINGS_JOIN_KEY", key);
            }
            if !seeds.is_empty() {
                let seeds: Vec<&str> = seeds.iter().map(|seed| seed.node_listen.as_str()).collect();
                command.args(["--seeds", &seeds.join(",")]);
            }
        })
    }
}

/// Free a moment ago: a server that is started again needs the same one.
fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("bound").to_string()
}

/// Three servers that can lose one, with an open election.
struct Hall {
    members: Vec<Member>,
    servers: Vec<Server>,
    key: String,
}

impl Hall {
    fn voting(folder: &Path) -> Self {
        Self::voting_on(folder, &hustings)
    }

    fn voting_on(folder: &Path, build: &dyn Fn() -> Command) -> Self {
        let members = ["n1", "n2", "n3"].map(|name| Member::new(folder, name));
        let first = members[0].start_build(build(), None, &[], true);
        let key = first.started["cluster"]["join_key"].as_str().expect("made just now").to_owned();
        let mut servers = vec![first];
        for member in &members[1..] {
            servers.push(member.start_build(build(), Some(&key), &[&members[0]], false));
        }
        let hall = Hall { members: members.into(), servers, key };
        wait_for_spare(&hall.servers[0], 1);
        hall.servers[0].run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
        hall
    }

    fn leader(&self) -> usize {
        let leader = cluster(&self.servers[0])["leader"].as_u64().expect("somebody leads");
        usize::try_from(leader - 1).expect("a small number")
    }
}

fn cluster(server: &Server) -> Value {
    let (_, body) = ureq_get(&format!("{}/api/v1/cluster", server.base)).expect("it answers");
    serde_json::from_str(&body).expect("JSON")
}

fn wait_for_spare(server: &Server, spare: u64) {
    wait_for("servers that can be lost", || cluster(server)["can_lose"] == json!(spare));
}

/// Waits until so many servers count, and this one knows what they know.
fn wait_for_voters(server: &Server, voters: usize) {
    wait_for("voters", || {
        cluster(server)["nodes"].as_array().is_some_and(|nodes| {
            nodes.len() == voters && nodes.iter().all(|node| node["role"] != json!("learner"))
        })
    });
}

fn vote(server: &Server, choice: &str) {
    server.run(&["vote", "--candidate", choice, "--election-id", "100"]).ok();
}

fn ballots(server: &Server) -> u64 {
    let about = server.run(&["--json", "election", "show", "100"]).ok().json();
    about["ballots"].as_u64().expect("a number")
}

/// Closes, and audits the record together with the receipts; its epochs and why they began.
fn audited(server: &Server, folder: &Path, receipts: &[&Path]) -> Vec<(u64, String)> {
    let record = folder.join(format!("{}.record", server.port()));
    server.run(&["election", "close", "100"]).ok();
    server.run(&["election", "record", "100", "--out", text(&record)]).ok();
    let mut audit = hustings();
    audit.args(["audit", text(&record)]);
    for receipt in receipts {
        audit.args(["--receipt", text(receipt)]);
    }
    run(&mut audit).ok();
    let lines = std::fs::read_to_string(&record).expect("readable");
    let header: Value = serde_json::from_str(lines.lines().next().expect("a header")).expect("JSON");
    let epochs = header["epochs"].as_array().expect("a list").iter();
    epochs
        .map(|epoch| {
            let reason = epoch["reason"].as_str().expect("text").to_owned();
            (epoch["epoch"].as_u64().expect("a number"), reason)
        })
        .collect()
}

#[test]
fn a_running_cluster_is_backed_up_and_restored_alone_or_as_a_new_cluster() {
    let folder = folder();
    let folder = folder.path();
    let hall = Hall::voting(folder);
    let leader = hall.leader();
    let receipt = folder.join("ann.receipt");
    let cast = ["vote", "--candidate", "Ann", "--election-id", "100", "--receipt", text(&receipt)];
    hall.servers[0].run(&cast).ok();

    // Votes go on while the backups are made; what was answered before is in them.
    let (stop, answered) = (AtomicBool::new(false), AtomicU64::new(1));
    let (mut before, mut key) = (0, String::new());
    let places = [("of-leader", leader), ("of-follower", (leader + 1) % 3)];
    std::thread::scope(|scope| {
        for server in &hall.servers[..2] {
            let (stop, answered) = (&stop, &answered);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    vote(server, "Bob");
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        wait_for("votes", || answered.load(Ordering::Relaxed) > 5);
        before = answered.load(Ordering::Relaxed);
        for (name, at) in places {
            let mut command = hustings();
            command
                .args(["--json", "backup", text(&folder.join(name)), "--data"])
                .arg(&hall.members[at].data);
            if !key.is_empty() {
                command.env("HUSTINGS_BACKUP_KEY", &key);
            }
            let made = run(&mut command).ok().json();
            assert_eq!(made["cluster"]["name"], json!(NAME), "{made}");
            assert_eq!(made["cluster"]["members"].as_array().map(Vec::len), Some(3), "{made}");
            assert_eq!(made["backup_key"].is_string(), key.is_empty(), "printed where it was made: {made}");
            key = made["backup_key"].as_str().unwrap_or(&key).to_owned();
        }
        stop.store(true, Ordering::Relaxed);
    });
    let after = answered.load(Ordering::Relaxed);
    for (name, at) in places {
        let secret = std::fs::read(hall.members[at].data.join("secret")).expect("readable");
        for file in std::fs::read_dir(folder.join(name)).expect("a folder") {
            let path = file.expect("a file").path();
            let bytes = std::fs::read(&path).unwrap_or_default();
            assert!(!bytes.windows(secret.len()).any(|part| part == secret), "the secret is in {path:?}");
        }
    }
    let old = cluster(&hall.servers[0]);
    drop(hall);

    let backup = folder.join("of-leader");
    let restore = |backup: &Path, data: &Path, more: &[&str], key: &str| {
        let mut command = hustings();
        command.args(["--json", "restore", text(backup), "--data", text(data)]).args(more);
        run(command.env("HUSTINGS_BACKUP_KEY", key))
    };
    let (alone, again) = (folder.join("alone"), folder.join("again"));
    let sealed = restore(&backup, &alone, &[], "");
    assert_eq!((sealed.code, sealed.stderr.contains("backup_key_missing")), (2, true), "{sealed:#?}");
    assert!(!alone.exists(), "nothing was made");
    let over = restore(&backup, &folder.join("n1"), &["--cluster", "hall"], &key);
    assert_eq!(over.code, 2, "never over data: {over:#?}");

    // A server alone.
    assert_eq!(restore(&folder.join("of-follower"), &alone, &[], &key).ok().json()["epoch"], json!(2));
    let server = Server::start(&alone);
    let count = ballots(&server);
    assert!((1..=after).contains(&count), "{count}");
    vote(&server, "Bob");
    let epochs = audited(&server, folder, &[&receipt]);
    assert_eq!(epochs, [(1, "founded".to_owned()), (2, "restored".to_owned())]);
    assert!(server.stop().success());

    // A new cluster: another name of its own, another join key, the same evidence.
    let told = restore(&backup, &again, &["--cluster", NAME], &key).ok().json();
    let join_key = told["founded"]["join_key"].as_str().expect("shown once").to_owned();
    let first = Member { data: again.clone(), ..Member::new(folder, "again") };
    let second = Member::new(folder, "again-2");
    let server = first.start(None, &[], false);
    let other = second.start(Some(&join_key), &[&first], false);
    wait_for_voters(&other, 2);
    assert_ne!(cluster(&server)["cluster"], old["cluster"], "a new cluster");
    let count = ballots(&server);
    assert!((before..=after).contains(&count), "{before} <= {count} <= {after}");
    vote(&other, "Bob");
    vote(&server, "Bob");
    let late = folder.join("late.receipt");
    let cast = ["vote", "--candidate", "Ann", "--election-id", "100", "--receipt", text(&late)];
    other.run(&cast).ok();
    let epochs = audited(&other, folder, &[&receipt, &late]);
    assert_eq!(epochs, [(1, "founded".to_owned()), (2, "restored".to_owned())]);
    // Both start again from what they kept: in a cluster of two, each needs the other.
    server.kill();
    other.kill();
    let server = std::thread::scope(|scope| {
        let other = scope.spawn(|| second.start(None, &[&first], false));
        (first.start(None, &[], false), other.join().expect("started"))
    });
    assert_eq!(ballots(&server.0), count + 3);
}

#[test]
fn a_lost_server_is_replaced_and_a_lost_majority_is_given_up_aloud() {
    let folder = folder();
    let folder = folder.path();
    let mut hall = Hall::voting(folder);
    let receipt = folder.join("ann.receipt");
    let cast = ["vote", "--candidate", "Ann", "--election-id", "100", "--receipt", text(&receipt)];
    hall.servers[0].run(&cast).ok();

    // A minority: nothing is lost.
    hall.servers.pop().expect("three").kill();
    vote(&hall.servers[0], "Bob");
    hall.servers[0].run(&["cluster", "remove", "3"]).ok();
    let fourth = Member::new(folder, "n4");
    let server = fourth.start(Some(&hall.key), &[&hall.members[0], &hall.members[1]], false);
    wait_for_spare(&server, 1);
    assert_eq!(ballots(&server), 2);

    // A majority.
    server.kill();
    hall.servers.pop().expect("two").kill();
    let survivor = hall.servers.pop().expect("one");
    let (data, into) = (hall.members[0].data.clone(), folder.join("n1-recovered"));
    let recover = |more: &[&str]| {
        run(hustings().args(["--json", "cluster", "recover", "--data", text(&data)]).args(more))
    };
    let act = ["--into", text(&into), "--i-know-that-votes-may-be-lost"];
    let running = recover(&act);
    assert_eq!(running.code, 69, "the server has the folder: {running:#?}");
    signal(survivor.pid(), "KILL");
    drop(survivor);
    let looked = recover(&[]);
    assert_eq!((looked.code, looked.stderr.contains("recovery_not_confirmed")), (2, true), "{looked:#?}");
    assert!(looked.stdout.contains("known_committed"), "it tells what is there: {looked:#?}");
    assert!(!into.exists(), "nothing was made");
    let done = recover(&act).ok();
    assert_eq!(done.json()["epoch"], json!(2), "{done:#?}");
    assert!(done.stderr.contains("Tell everybody"), "{done:#?}");
    let over = recover(&act);
    assert_eq!((over.code, over.stderr.contains("goes on in")), (2, true), "once: {over:#?}");

    let first = Member { data: into, ..Member::new(folder, "again") };
    let server = first.start(None, &[], false);
    assert_eq!(ballots(&server), 2, "all that the survivor had");
    let second = Member::new(folder, "n5");
    let other = second.start(Some(&hall.key), &[&first], false);
    wait_for_voters(&other, 2);
    vote(&other, "Bob");
    let epochs = audited(&server, folder, &[&receipt]);
    assert_eq!(epochs, [(1, "founded".to_owned()), (2, "recovered".to_owned())]);

    let old = &hall.members[0];
    let mut serve = hustings();
    serve.args(["serve", "--cluster", NAME, "--discovery", "off", "--listen", &old.listen, "--node-listen"]);
    serve.arg(&old.node_listen).args(["--data", text(&old.data)]).env("HUSTINGS_OFFICER_TOKEN", OFFICER);
    let refused = run(&mut serve);
    assert_eq!((refused.code, refused.stderr.contains("goes on in")), (2, true), "{refused:#?}");
}

/// `HUSTINGS_UPGRADE_FROM` is a build of the first version that had clusters; `cargo xtask test --full --only upgrade`
/// makes it.
#[test]
#[ignore = "needs another build: cargo xtask test --full --only upgrade"]
fn a_cluster_is_upgraded_one_server_at_a_time_while_votes_go_on() {
    let old = std::env::var_os("HUSTINGS_UPGRADE_FROM").map(PathBuf::from).expect("HUSTINGS_UPGRADE_FROM");
    let folder = folder();
    let folder = folder.path();
    let Hall { members, servers, .. } = Hall::voting_on(folder, &|| program(&old));
    let mut servers: Vec<Option<Server>> = servers.into_iter().map(Some).collect();
    let receipt = folder.join("old.receipt");
    let cast = ["vote", "--candidate", "Ann", "--election-id", "100", "--receipt", text(&receipt)];
    servers[0].as_ref().expect("up").run(&cast).ok();
    let mut votes = 1;
    // The leader last, as the guide says.
    let leader = cluster(servers[0].as_ref().expect("up"))["leader"].as_u64().expect("somebody leads") - 1;
    let leader = usize::try_from(leader).expect("small");
    let order: Vec<usize> = (0..3).filter(|at| *at != leader).chain([leader]).collect();
    for at in order {
        assert!(servers[at].take().expect("up").stop().success());
        let other = servers[(at + 1) % 3].as_ref().expect("up");
        vote(other, "Bob");
        servers[at] = Some(members[at].start(None, &[], false));
        let upgraded = servers[at].as_ref().expect("up");
        wait_for_spare(upgraded, 1);
        vote(upgraded, "Bob");
        votes += 2;
    }
    let server = servers[0].as_ref().expect("up");
    assert_eq!(ballots(server), votes, "nothing is lost on the way");
    assert_eq!(audited(server, folder, &[&receipt]), [(1, "founded".to_owned())]);
}
