//! What the operator's guide tells to do, done; and what must be told in words when it goes wrong.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hall::{HTTP_PORT, Hall, NODE_PORT, PATIENCE, is_wanted};
use crate::history::{Answer, Cast};
use crate::machine::program;
use crate::random::Random;
use crate::support::{OFFICER, Record, agent, hustings, now, post, run, wait_for};
use crate::voters::{Stage, choices, client, definition, send_until_final};

const SLUG: &str = "drill";

fn open_election(hall: &Hall, place: usize) {
    for (path, body) in [("".to_owned(), definition(SLUG)), (format!("/{SLUG}/open"), json!({}))] {
        let url = format!("{}/api/v1/elections{path}", hall.machines[place].base);
        let (status, answer) = post(&agent(), &url, Some(OFFICER), None, &body).expect("an answer");
        assert!(status < 300, "{status} {answer}");
    }
}

/// Votes at `place`, asking again there until the answer is final.
#[track_caller]
fn vote(hall: &Hall, place: usize, voter: u32) -> Value {
    let url = format!("{}/api/v1/elections/{SLUG}/ballots", hall.machines[place].base);
    let body = json!({"voter": format!("v{voter}"), "choices": choices(voter)});
    let (agent, until) = (client(Duration::from_secs(8)), now() + PATIENCE);
    loop {
        match post(&agent, &url, Some(OFFICER), Some(&format!("key-{voter}")), &body) {
            Ok((201, receipt)) => return receipt,
            Ok((status, answer)) if status < 500 => panic!("{status} {answer}"),
            other => assert!(now() < until, "no vote at machine {}: {other:?}\n{}", place + 1, hall.told()),
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Closes the election, and finds every receipt's ballot in the record of every server that runs.
fn all_there(hall: &Hall, receipts: &[Value]) {
    let closer = (0..hall.len()).find(|place| hall.machines[*place].is_running()).expect("one runs");
    hall.cli(closer, &["election", "close", SLUG]).ok();
    for place in (0..hall.len()).filter(|place| hall.machines[*place].is_running()) {
        let path = hall.record(place, SLUG);
        run(hustings().arg("audit").arg(&path)).ok();
        let ballots = Record::read(&path).ballots();
        for receipt in receipts {
            let found = ballots.iter().find(|(index, _)| receipt["leaf_index"] == *index);
            let (_, opening) = found.unwrap_or_else(|| panic!("lost at machine {}: {receipt}", place + 1));
            assert_eq!(receipt["leaf"], crate::support::ballot_leaf(opening));
        }
        assert_eq!(ballots.len(), receipts.len(), "as many ballots as receipts");
    }
}

fn ids(hall: &Hall, place: usize) -> BTreeSet<u64> {
    let view = hall.view(place).expect("it answers");
    view["nodes"].as_array().expect("a list").iter().filter_map(|node| node["id"].as_u64()).collect()
}

#[test]
fn of_two_servers_one_that_stops_leaves_and_comes_back_under_a_new_number() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::with_cluster(2);
    open_election(&hall, 1);
    let mut receipts = vec![vote(&hall, 0, 1), vote(&hall, 1, 2)];

    let leader = hall.leader().expect("somebody leads");
    let (goes, stays) = (leader, 1 - leader);
    let old = hall.id(goes).expect("it runs");
    assert!(hall.machines[goes].stop().success());
    receipts.push(vote(&hall, stays, 3));
    wait_for("the one that stopped has left", || !ids(&hall, stays).contains(&old));

    hall.machines[goes].start_again();
    hall.settle();
    let new = hall.id(goes).expect("it runs");
    assert!(new > old && !ids(&hall, stays).contains(&old), "{new} after {old}");
    receipts.push(vote(&hall, goes, 4));
    all_there(&hall, &receipts);
}

#[test]
fn a_machine_with_a_new_disk_takes_the_place_of_the_old_one() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::with_cluster(3);
    open_election(&hall, 0);
    let mut receipts: Vec<Value> = (0..6).map(|voter| vote(&hall, voter % 3, voter as u32 + 1)).collect();
    let key = hall.machines[0].join_key();
    let leader = hall.leader().expect("somebody leads");
    let lost = (leader + 1) % 3;
    let old = hall.id(lost).expect("it runs");

    // The guide's steps: the disk is gone; take the old number out; start with the join key.
    hall.machines[lost].kill();
    hall.machines[lost].empty_disk();
    receipts.push(vote(&hall, leader, 10));
    hall.cli(leader, &["cluster", "remove", &old.to_string()]).ok();
    hall.join(lost, &key);
    hall.settle();

    let new = hall.id(lost).expect("it runs");
    assert!(new > old, "{new} after {old}");
    assert!(!ids(&hall, leader).contains(&old));
    receipts.push(vote(&hall, lost, 11));
    all_there(&hall, &receipts);
}

#[test]
fn a_rolling_restart_stops_no_vote() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::with_cluster(3);
    open_election(&hall, 0);
    let mut receipts = Vec::new();
    for place in 0..3 {
        let id = hall.id(place).expect("it runs").to_string();
        hall.cli(place, &["cluster", "drain", &id]).ok();
        receipts.push(vote(&hall, place, 10 * place as u32 + 1));
        assert!(hall.machines[place].stop().success());
        receipts.push(vote(&hall, (place + 1) % 3, 10 * place as u32 + 2));
        hall.machines[place].start_again();
        hall.settle();
        receipts.push(vote(&hall, place, 10 * place as u32 + 3));
    }
    all_there(&hall, &receipts);
}

#[test]
fn status_says_who_leads_what_is_missing_and_ends_with_1_where_something_is_wrong() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::with_cluster(3);
    let well = hall.cli(0, &["--json", "cluster", "status"]).ok().json();
    assert_eq!(well["can_lose"], 1, "{well}");
    let leader = hall.leader().expect("somebody leads");
    let lost = (leader + 1) % 3;
    let id = hall.id(lost).expect("it runs");
    hall.machines[lost].kill();
    let told = || hall.cli(leader, &["cluster", "status"]);
    wait_for("the lost server is told", || told().code == 1);
    let words = told().stdout;
    assert!(words.contains(&id.to_string()), "{words}");
    let members = hall.cli(leader, &["cluster", "members"]).ok().stdout;
    assert!(members.contains(&hall.machines[lost].base), "{members}");
    let to = hall.id((leader + 2) % 3).expect("it runs");
    hall.cli(leader, &["cluster", "transfer", &to.to_string()]).ok();
    wait_for("the other one leads", || hall.leader() == Some((leader + 2) % 3));
}

#[test]
fn a_wrong_join_key_is_told_in_words_on_both_sides() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::new(2);
    hall.machines[0].start(&["--first", "--discovery", "off"], None);
    hall.machines[0].wait_until_ready();
    let right = hall.machines[0].join_key();
    // A key of another cluster: well-formed, and not this one's.
    let mut other = Hall::new(1);
    other.machines[0].start(&["--first", "--discovery", "off"], None);
    other.machines[0].wait_until_ready();
    let wrong = other.machines[0].join_key();
    assert_ne!(right, wrong);

    hall.join(1, &wrong);
    wait_for("the newcomer says so", || hall.machines[1].said().contains("join key"));
    wait_for("the cluster says so", || hall.machines[0].said().contains("join key"));
    hall.machines[1].kill();
    hall.machines[1].empty_disk();
    let typo = format!("{}x", &right[..right.len() - 1]);
    hall.join(1, &typo);
    let status = hall.machines[1].wait();
    assert_eq!(status.code(), Some(2), "{}", hall.machines[1].last_words());
    hall.join(1, &right);
    hall.settle();
}

#[test]
fn a_taken_port_ends_the_start_and_is_named() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::new(1);
    hall.machines[0].start(&["--first", "--discovery", "off"], None);
    hall.machines[0].wait_until_ready();
    for (listen, node_listen, taken) in
        [(HTTP_PORT, NODE_PORT + 10, HTTP_PORT), (HTTP_PORT + 10, NODE_PORT, NODE_PORT)]
    {
        let mut second = hall.machines[0].inside("env");
        second.arg("HUSTINGS_OFFICER_TOKEN=another-officer-token").arg(program());
        second.args(["serve", "--cluster", "hall", "--first", "--discovery", "off", "--data"]);
        second.arg(hall.folder().join("second"));
        second.args([
            "--listen",
            &format!("0.0.0.0:{listen}"),
            "--node-listen",
            &format!("0.0.0.0:{node_listen}"),
        ]);
        let ran = run(&mut second);
        assert_eq!(ran.code, 69, "{ran:?}");
        assert!(
            ran.stderr.contains(&taken.to_string()) && ran.stderr.contains("port_taken"),
            "{}",
            ran.stderr
        );
    }
}

const BULK_LINES: u32 = 10_000;

#[test]
fn a_bulk_file_whose_leader_is_killed_and_that_is_sent_again_counts_each_line_once() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::with_cluster(3);
    let stage = Stage::new("bulk", hall.bases());
    let mut officer = crate::officer::Officer::new(&stage, 1);
    officer.open_one();
    let mut file: Vec<Cast> = (1..=BULK_LINES)
        .map(|voter| Cast {
            election: 0,
            content: voter,
            voter,
            token: None,
            key: Some(format!("bulk-{voter}")),
            attempts: Vec::new(),
            receipt: None,
        })
        .collect();
    let leader = hall.leader().expect("somebody leads");
    let results = |hall: &Hall, place: usize| {
        let answer = crate::support::ureq_get(&stage.url(place, 0, "/results")).ok()?;
        serde_json::from_str::<Value>(&answer.1).ok()?["ballots"].as_u64().filter(|_| hall.len() == 3)
    };
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            send_until_final(&stage, &client(Duration::from_secs(30)), &mut Random::new(7), &mut file);
        });
        // In the middle of it.
        let follower = (leader + 1) % 3;
        wait_for("the first lines count", || results(&hall, follower).is_some_and(|ballots| ballots > 0));
        hall.machines[leader].kill();
        sender.join().expect("the file is sent");
        hall.machines[leader].start_again();
    });
    hall.settle();
    let requests = file[0].attempts.len();
    for cast in &file {
        let answer = cast.final_answer();
        let is_known = matches!(answer, Answer::Recorded { .. } | Answer::Refused(_));
        assert!(is_known, "{cast:?}");
    }
    officer.act(0, crate::history::ActKind::Close);
    stage.is_over.store(true, Ordering::Relaxed);
    let history = crate::history::History { casts: file, acts: officer.acts, ..Default::default() };
    *stage.elections.write().expect("nobody panicked") = vec![crate::voters::Phase::Closed];
    let (faults, checked) = crate::check::check(&stage, &hall, &history);
    println!("{} lines, {requests} requests, {} ballots counted", BULK_LINES, checked.ballots);
    assert!(faults.is_empty(), "{}", faults[..faults.len().min(20)].join("\n"));
    assert_eq!(checked.ballots, BULK_LINES as usize);
}

#[test]
fn a_plain_connection_to_the_port_between_servers_gets_no_answer() {
    use std::io::{Read as _, Write as _};
    if !is_wanted() {
        return;
    }
    let hall = Hall::with_cluster(2);
    let mut plain = std::net::TcpStream::connect(hall.node_address(0)).expect("the port is open");
    plain.set_read_timeout(Some(PATIENCE)).expect("set");
    plain.write_all(b"GET /api/v1/cluster HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.windows(4).any(|bytes| bytes == b"HTTP"), "{}", String::from_utf8_lossy(&answer));
}
