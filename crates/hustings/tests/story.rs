//! The whole story of an election through the command line, from definition to checked record: real processes,
//! real sockets.

mod support;

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use support::{
    BACKUP_KEY, Killed, Record, Server, agent, ballot_leaf, folder, hustings, post, run, signal, text,
    wait_for, write,
};

const BOARD: &str = r#"
slug = "board"
title = "Board 2027"
results = "at-close"

[[contest]]
id = "chair"
title = "Who chairs?"
method = "plurality"
choices = ["Ann", "Bob"]

[[contest]]
id = "budget"
title = "Accept the budget?"
method = "motion"
quorum = 2
"#;

#[test]
fn an_election_goes_from_definition_to_checked_record() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let board = write(folder.path(), "board.toml", BOARD);

    server.run(&["election", "create", text(&board)]).ok();
    let list = server.run(&["election", "list"]).ok();
    insta::assert_snapshot!(list.stdout, @r"
    slug   state  ballots  title
    board  draft  0        Board 2027
    ");
    let early =
        server.run(&["vote", "--election-id", "board", "--choice", "chair=Ann", "--choice", "budget=yes"]);
    assert_eq!((early.code, early.stderr.contains("election_not_open")), (4, true), "{early:#?}");

    server.run(&["election", "open", "board"]).ok();
    let again = server.run(&["election", "open", "board"]).ok();
    assert_eq!(again.stdout, "Election `board` is open already.\n");
    let receipt = folder.path().join("first.receipt");
    for (chair, budget, receipt) in
        [("Ann", "yes", Some(&receipt)), ("ann", "no", None), ("Bob", "yes", None)]
    {
        let (chair, budget) = (format!("chair={chair}"), format!("budget={budget}"));
        let mut args = vec!["vote", "--election-id", "board", "--choice", &chair, "--choice", &budget];
        args.extend(receipt.iter().flat_map(|path| ["--receipt", text(path)]));
        let cast = server.run(&args).ok();
        assert!(cast.stdout.starts_with("Your vote is cast.\nReceipt code: "), "{cast:#?}");
    }
    let hidden =
        run(server.cli(&["--json", "election", "results", "board"]).env_remove("HUSTINGS_OFFICER_TOKEN"));
    let hidden = hidden.ok().json();
    assert_eq!(
        (&hidden["ballots"], &hidden["counts_visible"]),
        (&json!(3), &json!(false)),
        "turnout, no counts"
    );

    let closed = server.run(&["election", "close", "board"]).ok();
    insta::assert_snapshot!(closed.stdout, @r"
    closed: 3 voters, 3 ballots

    Who chairs?
    The winner is Ann with 2 votes
      Ann  2  ██████████████████████████████
      Bob  1  ███████████████

    Accept the budget?
    Motion passed: 2 of 3, needed 2
      Yes      2  ██████████████████████████████
      No       1  ███████████████
      Abstain  0
    ");
    let late = server.run(&["vote", "--election-id", "board", "--blank"]);
    assert_eq!((late.code, late.stderr.contains("election_not_open")), (4, true), "{late:#?}");
    server.run(&["election", "publish", "board"]).ok();

    let record = folder.path().join("board.record");
    server.run(&["election", "record", "board", "--out", text(&record)]).ok();
    let audit = run(hustings().args(["audit", text(&record), "--receipt", text(&receipt)])).ok();
    assert!(audit.stdout.contains("receipts"), "{audit:#?}");
    assert!(server.stop().success());
    one_changed_byte_is_found(&record);
}

fn one_changed_byte_is_found(record: &Path) {
    let mut bytes = fs::read(record).expect("readable");
    let at = String::from_utf8_lossy(&bytes).find("\"votes\":2").expect("a count") + 8;
    bytes[at] = b'3';
    let changed = record.with_extension("changed");
    fs::write(&changed, bytes).expect("written");
    let audit = run(hustings().args(["audit", text(&changed)]));
    assert_eq!(audit.code, 1, "{audit:#?}");
}

#[test]
fn the_short_form_makes_an_election_for_listed_voters() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let create =
        ["election", "create", "--id", "100", "--candidates", "Ann", "Bob", "--authorized-users", "u1", "u2"];
    server.run(&create).ok();
    let vote = |id: &str, candidate: &str, election: &str| {
        server.run(&["vote", "--id", id, "--candidate", candidate, "--election-id", election])
    };
    vote("u1", "Ann", "100").ok();
    let places = [(server.base.as_str(), "SERVER")];
    insta::assert_snapshot!(server.run(&create).told(&places), @"
    exit 4
    hustings: an election `100` exists already; choose another slug (election_exists)
    ");
    insta::assert_snapshot!(vote("u1", "Bob", "100").told(&places), @"
    exit 4
    hustings: this voter has voted already; the earlier ballot counts (already_voted)
    ");
    insta::assert_snapshot!(vote("u3", "Ann", "100").told(&places), @"
    exit 4
    hustings: this voter is not on the list of `100` (not_on_list)
    ");
    insta::assert_snapshot!(vote("u2", "Eve", "100").told(&places), @"
    exit 4
    hustings: contest `choice` has no choice `Eve` (field `choices.choice`) (no_such_choice)
    There is: Ann, Bob.
    ");
    insta::assert_snapshot!(vote("u2", "Ann", "999").told(&places), @"
    exit 4
    hustings: there is no election `999` (no_such_election)
    `hustings election list` shows what there is.
    ");
    vote("u2", "Bob", "100").ok();
    let closed = server.run(&["--json", "election", "close", "100"]).ok().json();
    assert_eq!(closed["contests"][0]["outcome"]["kind"], "tie", "{closed}");
}

#[test]
fn minted_tokens_vote_beside_a_running_server() {
    let folder = folder();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let board = write(folder.path(), "board.toml", BOARD);
    server.run(&["election", "create", text(&board), "--open"]).ok();
    let minted = run(hustings().args([
        "token",
        "mint",
        "--election",
        "board",
        "--count",
        "50",
        "--data",
        text(&data),
    ]));
    let minted = minted.ok();
    let tokens: Vec<&str> = minted.stdout.lines().collect();
    assert_eq!(tokens.len(), 50);
    let url = format!("{}/api/v1/elections/board/ballots", server.base);
    let body = json!({"choices": {"chair": ["ann"], "budget": ["yes"]}});
    for token in &tokens {
        let (status, answer) = post(&agent(), &url, Some(token), None, &body).expect("an answer");
        assert_eq!(status, 201, "{answer}");
    }
    let (status, answer) = post(&agent(), &url, Some(tokens[0]), None, &body).expect("an answer");
    assert_eq!((status, &answer["code"]), (409, &json!("already_voted")));
    let wrong = run(hustings().args([
        "token",
        "mint",
        "--election",
        "nothing",
        "--count",
        "1",
        "--data",
        text(&data),
    ]));
    assert_eq!(wrong.code, 2, "{wrong:#?}");
}

#[test]
fn the_officer_token_is_printed_once() {
    let folder = folder();
    let data = folder.path().join("data");
    let first = Server::start_with(&data, "127.0.0.1:0", |command| {
        command.env_remove("HUSTINGS_OFFICER_TOKEN");
    });
    let token = first.started["officer_token"].as_str().expect("made at the first start").to_owned();
    let create = ["election", "create", "--id", "a", "--candidates", "X", "Y"];
    run(first.cli(&create).env("HUSTINGS_OFFICER_TOKEN", &token)).ok();
    let file = write(folder.path(), "token", &format!("{token}\n"));
    let list = run(first
        .cli(&["election", "close", "a", "--officer-token-file", text(&file)])
        .env_remove("HUSTINGS_OFFICER_TOKEN"));
    list.ok();
    let wrong = first.run(&create);
    assert_eq!((wrong.code, wrong.stderr.contains("unauthorized")), (4, true), "{wrong:#?}");
    assert!(first.stop().success());
    let second = Server::start_with(&data, "127.0.0.1:0", |command| {
        command.env_remove("HUSTINGS_OFFICER_TOKEN");
    });
    assert_eq!(second.started["officer_token"], Value::Null);
    run(second.cli(&["election", "publish", "a"]).env("HUSTINGS_OFFICER_TOKEN", &token)).ok();
}

#[test]
fn a_graceful_stop_answers_what_it_accepted_and_a_restart_keeps_everything() {
    let folder = folder();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    let board = write(folder.path(), "board.toml", BOARD);
    server.run(&["election", "create", text(&board), "--open"]).ok();
    let minted = run(hustings().args([
        "token",
        "mint",
        "--election",
        "board",
        "--count",
        "4000",
        "--data",
        text(&data),
    ]));
    let tokens: Vec<String> = minted.ok().stdout.lines().map(str::to_owned).collect();
    let url = format!("{}/api/v1/elections/board/ballots", server.base);
    let receipts: Mutex<Vec<Value>> = Mutex::default();
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let agent = agent();
                let body = json!({"choices": {"chair": ["ann"], "budget": ["no"]}});
                while let Some(token) = tokens.get(next.fetch_add(1, Ordering::Relaxed)) {
                    match post(&agent, &url, Some(token), None, &body) {
                        Ok((201, receipt)) => receipts.lock().expect("no panic").push(receipt),
                        Ok((503, _)) | Err(_) => return,
                        Ok((status, answer)) => panic!("{status} {answer}"),
                    }
                }
            });
        }
        wait_for("some ballots", || receipts.lock().expect("no panic").len() >= 100);
        assert!(server.stop().success());
    });
    let receipts = receipts.into_inner().expect("no panic");

    let server = Server::start(&data);
    let results = server.run(&["--json", "election", "close", "board"]).ok().json();
    assert_eq!(results["ballots"], json!(receipts.len()), "all that was accepted was answered");
    let path = folder.path().join("board.record");
    server.run(&["election", "record", "board", "--out", text(&path)]).ok();
    let ballots = Record::read(&path).ballots();
    for receipt in &receipts {
        let (_, opening) = ballots.iter().find(|(leaf, _)| receipt["leaf_index"] == *leaf).expect("is there");
        assert_eq!(receipt["leaf"], ballot_leaf(opening));
    }
    run(hustings().args(["audit", text(&path)])).ok();
}

#[test]
fn a_taken_port_is_named_by_serve_and_passed_over_by_the_demo() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let listen = format!("127.0.0.1:{}", server.port());
    let second =
        run(hustings().args(["serve", "--listen", &listen, "--data", text(&folder.path().join("other"))]));
    let port = server.port().to_string();
    insta::assert_snapshot!(second.told(&[(port.as_str(), "PORT")]), @r"
    exit 69
    hustings: port PORT is taken (port_taken)
    Another program listens on 127.0.0.1:PORT. End it, or choose another port with --listen ADDR:PORT.
    ");
    assert!(!folder.path().join("other").exists(), "nothing was made");
    let demo = Demo::start(&["demo", "--listen", &listen, "--data", text(&folder.path().join("demo"))]);
    assert_ne!(demo.started["url"], json!(server.base));
    let in_use = run(hustings().args([
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data",
        text(&folder.path().join("data")),
    ]));
    assert_eq!(in_use.code, 69, "{in_use:#?}");
    assert!(in_use.stderr.contains("in use by another process"), "{in_use:#?}");
    demo.interrupt();
}

/// A demo or poll as a child.
struct Demo {
    child: std::process::Child,
    stdout: BufReader<std::process::ChildStdout>,
    started: Value,
}

impl Demo {
    fn start(args: &[&str]) -> Self {
        let mut command = hustings();
        let mut child = command
            .arg("--json")
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("starts");
        let mut stdout = BufReader::new(child.stdout.take().expect("piped"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("readable");
        let started = serde_json::from_str(&line).unwrap_or_else(|_| {
            let mut stderr = String::new();
            let _ = child.stderr.take().expect("piped").read_to_string(&mut stderr);
            panic!("did not start: {line:?} {stderr}, {:?}", child.wait())
        });
        Self { child, stdout, started }
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("readable");
        serde_json::from_str(&line).expect("JSON")
    }

    /// Ctrl-C; everything it said on standard error.
    fn interrupt(mut self) -> String {
        signal(self.child.id(), "INT");
        let mut stderr = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut stderr).expect("readable");
        let status = self.child.wait().expect("waited for");
        assert!(status.success(), "{status:?} {stderr}");
        stderr
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_demo_shows_a_winner_a_tie_and_a_motion_when_the_tenth_has_voted() {
    let folder = folder();
    let data = folder.path().join("demo");
    let mut demo = Demo::start(&["demo", "--listen", "127.0.0.1:0", "--voters", "10", "--data", text(&data)]);
    let mut outcomes: Vec<String> =
        (0..3).map(|_| demo.line()["outcomes"][0].as_str().expect("a sentence").to_owned()).collect();
    outcomes.sort();
    insta::assert_snapshot!(outcomes.join("\n"), @r"
    It's a tie between Harry Potter (3 votes) and Darth Vader (3 votes)
    Motion passed: 7 of 10, needed 7
    The winner is Peanut Butter and Jelly with 3 votes
    ");
    let url = demo.started["url"].as_str().expect("an address").to_owned();
    let (status, _) = support::ureq_get(&format!("{url}/poll/1")).expect("an answer");
    assert!(matches!(status, 200 | 302 | 303 | 307), "/poll/1 leads to the demo: {status}");
    let told = demo.interrupt();
    assert!(told.contains("Everything is kept in"), "{told}");
    for slug in ["best-sandwich", "favourite-film-hero", "pizza-fridays"] {
        run(hustings().arg("audit").arg(data.join(format!("{slug}.record")))).ok();
    }
}

#[test]
fn a_poll_takes_one_command_and_ends_with_its_outcome() {
    let folder = folder();
    let data = folder.path().join("poll");
    let mut poll = Demo::start(&[
        "poll",
        "Lunch?",
        "Pizza",
        "Sushi",
        "--wait-for",
        "2",
        "--listen",
        "127.0.0.1:0",
        "--data",
        text(&data),
    ]);
    let url = poll.started["url"].as_str().expect("an address").to_owned();
    assert!(poll.started["voter_url"].as_str().is_some_and(|url| url.contains("/j/")), "{}", poll.started);
    for candidate in ["Pizza", "pizza"] {
        run(hustings().args(["--server", &url, "vote", "--election-id", "lunch", "--candidate", candidate]))
            .ok();
    }
    assert_eq!(poll.line()["outcomes"], json!(["The winner is Pizza with 2 votes"]));
    poll.interrupt();
    run(hustings().arg("audit").arg(data.join("lunch.record"))).ok();
}

#[test]
fn a_backup_beside_a_running_server_is_restored_into_a_new_epoch() {
    let folder = folder();
    let (data, backup, new) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let server = Server::start(&data);
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100"]).ok();
    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "backup",
        text(&backup),
        "--data",
        text(&data),
    ]))
    .ok();
    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args(["restore", text(&backup), "--verify"])).ok();
    let over = run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "restore",
        text(&backup),
        "--data",
        text(&data),
    ]));
    assert_eq!(over.code, 2, "never over data: {over:#?}");
    assert!(server.stop().success());

    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "restore",
        text(&backup),
        "--data",
        text(&new),
        "--verify",
    ]))
    .ok();
    let server = Server::start(&new);
    let about = run(&mut server.cli(&["--json", "election", "show", "100"])).ok().json();
    assert_eq!((&about["state"], &about["ballots"]), (&json!("open"), &json!(1)), "{about}");
    server.run(&["vote", "--candidate", "Bob", "--election-id", "100"]).ok();
    server.run(&["election", "close", "100"]).ok();
    let record = folder.path().join("100.record");
    server.run(&["election", "record", "100", "--out", text(&record)]).ok();
    assert_eq!(Record::read(&record).lines[0]["epochs"].as_array().map(Vec::len), Some(2), "a new epoch");
    run(hustings().args(["audit", text(&record)])).ok();
}

#[test]
fn a_mirror_keeps_checkpoints_that_later_records_must_continue() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    let (url, kept) = (format!("{}/e/100", server.base), folder.path().join("kept"));
    let mirror = || {
        let seen = run(hustings().args(["--json", "mirror", &url, text(&kept), "--once"])).ok();
        seen.json()["file"].as_str().map(str::to_owned)
    };
    let first = mirror().expect("a checkpoint is kept");
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100"]).ok();
    wait_for("the next checkpoint", || {
        let seen = run(hustings().args(["--json", "mirror", &url, text(&kept), "--once"])).ok();
        !seen.stdout.is_empty()
    });
    server.run(&["election", "close", "100"]).ok();
    server.run(&["election", "publish", "100"]).ok();
    let followed = run(hustings().args(["mirror", &url, text(&kept)])).ok();
    assert!(followed.stderr.contains("is published"), "{followed:#?}");
    let record = folder.path().join("100.record");
    server.run(&["election", "record", "100", "--out", text(&record)]).ok();
    run(hustings().args(["audit", text(&record), "--checkpoint", &first])).ok();
}

#[test]
fn a_mirror_convicts_a_server_that_lost_ballots() {
    let folder = folder();
    let (data, backup, new) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let server = Server::start(&data);
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "backup",
        text(&backup),
        "--data",
        text(&data),
    ]))
    .ok();
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100"]).ok();
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100"]).ok();
    server.run(&["election", "pause", "100"]).ok();
    let (url, kept) = (format!("{}/e/100", server.base), folder.path().join("kept"));
    run(hustings().args(["mirror", &url, text(&kept), "--once"])).ok();
    let listen = format!("127.0.0.1:{}", server.port());
    assert!(server.stop().success());

    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "restore",
        text(&backup),
        "--data",
        text(&new),
    ]))
    .ok();
    let _server = Server::start_with(&new, &listen, |_| {});
    let convicted = run(hustings().args(["mirror", &url, text(&kept), "--once"]));
    assert_eq!(
        (convicted.code, convicted.stderr.contains("ballots were taken back")),
        (1, true),
        "{convicted:#?}"
    );
    let evidence = fs::read_to_string(kept.join("CONTRADICTION.txt")).expect("written");
    assert_eq!(evidence.matches("/node/1 ").count(), 2, "two signed notes: {evidence}");
}

#[test]
fn a_server_with_a_certificate_speaks_tls_alone() {
    let folder = folder();
    let tls = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tls");
    let certificate = tls.join("certificate.pem");
    let server = Server::start_with(&folder.path().join("data"), "127.0.0.1:0", |command| {
        command.arg("--tls-cert").arg(&certificate).arg("--tls-key").arg(tls.join("key.pem"));
    });
    assert!(server.base.starts_with("https://127.0.0.1:"), "{}", server.base);

    let list = |trusted: bool| {
        let mut command = hustings();
        command.args(["--server", &server.base, "election", "list"]);
        if trusted {
            command.env("HUSTINGS_CA_CERT", &certificate);
        }
        run(&mut command)
    };
    let stranger = list(false);
    assert_eq!((stranger.code, stranger.stderr.contains("--ca-cert FILE")), (3, true), "{stranger:#?}");
    list(true).ok();
    assert!(server.stop().success());
    let half = run(hustings().args(["serve", "--tls-cert", text(&certificate)]));
    assert_eq!((half.code, half.stderr.contains("needs tls_key")), (2, true), "{half:#?}");
}

#[test]
fn a_tie_is_drawn_from_a_public_seed_and_the_draw_is_audited() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let file = write(folder.path(), "tie.toml", &BOARD.replace("results =", "draw = \"public\"\nresults ="));
    server.run(&["election", "create", text(&file), "--open"]).ok();
    for chair in ["chair=Ann", "chair=Bob"] {
        server.run(&["vote", "--election-id", "board", "--choice", chair, "--choice", "budget=yes"]).ok();
    }
    let closed = server.run(&["election", "close", "board"]).ok();
    assert!(closed.stdout.contains("tie between Ann"), "{closed:#?}");
    let short = server.run(&["election", "draw", "board", "--seed", "4162"]);
    assert_eq!(short.code, 2, "{short:#?}");
    let drawn = server.run(&["--json", "election", "draw", "board", "--seed", &"4a".repeat(32)]).ok().json();
    assert_eq!(drawn["contests"][0]["outcome"]["kind"], "drawn", "{drawn}");
    let record = folder.path().join("board.record");
    server.run(&["election", "record", "board", "--out", text(&record)]).ok();
    run(hustings().args(["audit", text(&record)])).ok();
}

#[test]
fn a_receipt_without_its_ballot_is_evidence_that_anybody_can_check() {
    let folder = folder();
    let (data, backup, new) =
        (folder.path().join("data"), folder.path().join("backup"), folder.path().join("new"));
    let server = Server::start(&data);
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "backup",
        text(&backup),
        "--data",
        text(&data),
    ]))
    .ok();
    let receipt = folder.path().join("mine.receipt");
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100", "--receipt", text(&receipt)]).ok();
    server.kill();
    // The operator goes on from an old copy, as if nothing had been.
    run(hustings().env("HUSTINGS_BACKUP_KEY", BACKUP_KEY).args([
        "restore",
        text(&backup),
        "--data",
        text(&new),
    ]))
    .ok();
    let server = Server::start(&new);
    server.run(&["vote", "--candidate", "Bob", "--election-id", "100"]).ok();
    server.run(&["election", "close", "100"]).ok();
    let (record, evidence) = (folder.path().join("100.record"), folder.path().join("evidence.json"));
    server.run(&["election", "record", "100", "--out", text(&record)]).ok();
    let audit = ["audit", text(&record), "--receipt", text(&receipt), "--evidence", text(&evidence)];
    let found = run(hustings().args(audit));
    assert_eq!(found.code, 1, "{found:#?}");
    let judged = run(hustings().args(["evidence", text(&evidence)])).ok();
    assert!(judged.stdout.starts_with("It holds: Node 1 accepted a ballot"), "{judged:#?}");
}

#[test]
fn a_watcher_sees_the_vote_until_it_closes() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    let watch = server.cli(&["watch", "100", "--plain"]).stdout(Stdio::piped()).spawn();
    let mut watch = Killed(watch.expect("starts"));
    let mut lines = BufReader::new(watch.0.stdout.take().expect("piped")).lines();
    let first = lines.next().expect("a line").expect("readable");
    assert_eq!(first, "open  0 ballots  Ann 0, Bob 0");
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100"]).ok();
    let second = lines.next().expect("a line").expect("readable");
    assert_eq!(second, "open  1 ballot  Ann 1, Bob 0");
    server.run(&["election", "close", "100"]).ok();
    let last = lines.last().expect("a line").expect("readable");
    assert_eq!(last, "closed  1 ballot  Ann 1, Bob 0  The winner is Ann with 1 vote");
    assert!(watch.0.wait().expect("waited for").success());
}

#[test]
fn rooms_lead_to_elections() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    let room = server.run(&["--json", "room", "create", "Meeting", "100", "--pace", "led"]).ok().json();
    let code = room["code"].as_str().expect("a code");
    server.run(&["room", "screen", code, "results", "100"]).ok();
    let shown = server.run(&["room", "show", code]).ok();
    insta::assert_snapshot!(shown.told(&[(code, "CODE")]), @r"
    exit 0
    Meeting  (CODE, pace led)
    screen: results 100
      100
    ");
    let locked = server.run(&["room", "lock", code]).ok();
    assert_eq!(locked.stdout, "Joining is locked: who joins from now on cannot vote here.\n");
    let shown = server.run(&["room", "show", code]).ok();
    assert!(shown.stdout.contains("joining locked since 20"), "{shown:#?}");
    let unlocked = server.run(&["--json", "room", "unlock", code]).ok().json();
    assert_eq!(unlocked["locked_at"], Value::Null);
    let removed = server.run(&["room", "remove", code, "100"]).ok();
    assert_eq!(removed.stdout, "`100` is no longer in the room.\n");
    let again = server.run(&["room", "remove", code, "100"]);
    insta::assert_snapshot!(again.told(&[]), @"
    exit 4
    hustings: the room does not hold this election (invalid_room)
    ");
    let nowhere = server.run(&["room", "lock", "ZZZZ"]);
    insta::assert_snapshot!(nowhere.told(&[]), @"
    exit 4
    hustings: There is no room with this code (no_such_room)
    ");
}

const MOOD: &str = r#"
slug = "mood"
title = "Mood"
results = "on-reveal"
[[contest]]
id = "talk"
title = "How was the talk?"
method = "rating"
[[contest]]
id = "next"
title = "What next?"
order = "shuffled"
choices = ["Tea", "Coffee"]
"#;

#[test]
fn an_officer_reveals_hides_and_runs_off() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let mood = write(folder.path(), "mood.toml", MOOD);
    server.run(&["election", "create", text(&mood), "--open"]).ok();
    for (level, next) in [("4", "tea"), ("5", "coffee")] {
        let (talk, next) = (format!("talk={level}"), format!("next={next}"));
        server.run(&["vote", "--election-id", "mood", "--choice", &talk, "--choice", &next]).ok();
    }
    let hidden = server.run(&["election", "hide", "mood"]);
    insta::assert_snapshot!(hidden.told(&[]), @"
    exit 4
    hustings: `mood` is open: its results are hidden already (wrong_state)
    ");
    let revealed = server.run(&["election", "reveal", "mood"]).ok();
    insta::assert_snapshot!(revealed.told(&[]), @"
    exit 0
    Everybody sees the counts of `mood`.
    open: 2 voters, 2 ballots

    How was the talk?
      1  0
      2  0
      3  0
      4  1  ██████████████████████████████
      5  1  ██████████████████████████████

    What next?
      Tea     1  ██████████████████████████████
      Coffee  1  ██████████████████████████████
    ");
    assert_eq!(server.run(&["--json", "election", "show", "mood"]).ok().json()["revealed"], true);
    let hidden = server.run(&["--json", "election", "hide", "mood"]).ok().json();
    assert_eq!((&hidden["revealed"], &hidden["state"]), (&json!(false), &json!("open")));
    server.run(&["election", "close", "mood"]).ok();
    let early = server.run(&["election", "run-off", "mood"]);
    insta::assert_snapshot!(early.told(&[]), @"
    exit 4
    hustings: `mood` is closed: its results are not public yet, and a run-off would tell them; show them first (wrong_state)
    ");
    let revealed = server.run(&["election", "reveal", "mood"]).ok();
    insta::assert_snapshot!(revealed.told(&[]), @"
    exit 0
    Everybody sees the counts of `mood`.
    closed: 2 voters, 2 ballots

    How was the talk?
    Average 4.5 of 5 from 2 ratings
      1  0
      2  0
      3  0
      4  1  ██████████████████████████████
      5  1  ██████████████████████████████

    What next?
    It's a tie between Tea (1 vote) and Coffee (1 vote)
      Tea     1  ██████████████████████████████
      Coffee  1  ██████████████████████████████
    ");
    let run_off = server.run(&["election", "run-off", "mood"]).ok();
    assert_eq!(run_off.stdout, "Election `mood-2` is made and draft.\n");
    let shown = server.run(&["--json", "election", "show", "mood-2"]).ok().json();
    let contests = shown["definition"]["contest"].as_array().expect("contests");
    assert_eq!((contests.len(), &contests[0]["id"]), (1, &json!("next")), "a rating is never run off");
    let named = server.run(&["--json", "election", "run-off", "mood", "--as", "last-call"]).ok().json();
    assert_eq!(named["slug"], "last-call");
    server.run(&["election", "publish", "mood"]).ok();
    let record = folder.path().join("mood.record");
    server.run(&["election", "record", "mood", "--out", text(&record)]).ok();
    let audit = run(hustings().args(["audit", text(&record)])).ok();
    assert!(audit.stdout.contains("Average 4.5 of 5 from 2 ratings"), "{audit:#?}");
}

#[test]
fn an_operator_asks_how_the_server_is() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let status = server.run(&["--json", "status"]).ok().json();
    assert!(status.is_object(), "{status}");
    server.run(&["clock", "confirm"]).ok();
    let nobody = run(server.cli(&["clock", "confirm"]).env_remove("HUSTINGS_OFFICER_TOKEN"));
    assert_eq!((nobody.code, nobody.stderr.contains("HUSTINGS_OFFICER_TOKEN")), (4, true), "{nobody:#?}");
}

#[test]
fn officers_pause_extend_rehearse_repeat_and_cancel() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let board = write(folder.path(), "board.toml", BOARD);
    server.run(&["election", "create", text(&board)]).ok();
    let rehearsal = server.run(&["--json", "election", "rehearse", "board"]).ok().json();
    assert_eq!(rehearsal["slug"], "board-rehearsal");
    server.run(&["election", "open", "board"]).ok();
    server.run(&["election", "extend", "board", "--until", "2099-01-01T12:00:00+01:00"]).ok();
    server.run(&["election", "extend", "board", "--by", "30m"]).ok();
    let shown = server.run(&["--json", "election", "show", "board"]).ok().json();
    assert!(shown["closes_at"].as_str().is_some_and(|at| at.starts_with("2099-01-01T11:30:00")), "{shown}");
    let paused = server.run(&["election", "pause", "board"]).ok();
    assert_eq!(paused.stdout, "Election `board` is paused.\n");
    server.run(&["election", "open", "board"]).ok();
    server.run(&["election", "cancel", "board", "--reason", "wrong list"]).ok();
    let again = server.run(&["--json", "election", "repeat", "board", "--as", "board-again"]).ok().json();
    assert_eq!(again["slug"], "board-again");
}

#[test]
fn damaged_data_is_refused_with_its_own_code() {
    let folder = folder();
    let data = folder.path().join("data");
    let server = Server::start(&data);
    server.run(&["election", "create", "--id", "100", "--candidates", "Ann", "Bob"]).ok();
    server.run(&["vote", "--candidate", "Ann", "--election-id", "100"]).ok();
    assert!(server.stop().success());
    let segment =
        fs::read_dir(data.join("ledger")).expect("readable").next().expect("one").expect("readable").path();
    let mut bytes = fs::read(&segment).expect("readable");
    let at = bytes.windows(6).position(|window| window == b"create").expect("an act");
    bytes[at] ^= 1;
    fs::write(&segment, bytes).expect("written");
    let refused = run(hustings().args(["serve", "--listen", "127.0.0.1:0", "--data", text(&data)]));
    assert_eq!(refused.code, 5, "{refused:#?}");
    assert!(refused.stderr.contains("hustings restore"), "it says what to do: {refused:#?}");
}

#[test]
fn a_server_that_is_not_ready_to_stop_twice_stops_once() {
    let folder = folder();
    let mut server = Server::start(&folder.path().join("data"));
    signal(server.pid(), "TERM");
    std::thread::sleep(Duration::from_millis(1));
    assert!(server.wait().success());
}

#[test]
fn a_server_alone_is_shown_as_a_cluster_of_itself_and_changes_nothing() {
    let folder = folder();
    let server = Server::start(&folder.path().join("data"));
    let address = format!("http://127.0.0.1:{}", server.port());
    let status = server.run(&["cluster", "status"]).ok();
    assert!(status.stdout.contains("one server, no cluster: server 1 leads"), "{status:#?}");
    let members = server.run(&["--json", "cluster", "members"]).ok().json();
    assert_eq!((&members[0]["id"], &members[0]["address"]), (&json!(1), &json!(address)));
    for args in [&["cluster", "add"][..], &["cluster", "drain", "1"], &["cluster", "transfer", "2"]] {
        let refused = server.run(args);
        assert_eq!((refused.code, refused.stderr.contains("(not_a_cluster)")), (4, true), "{refused:#?}");
    }
    let odd = server.run(&["cluster", "remove", "two"]);
    assert_eq!((odd.code, odd.stderr.contains("<NODE>")), (2, true), "{odd:#?}");
    assert!(server.stop().success());
}

#[test]
fn the_demo_of_a_cluster_goes_on_voting_when_its_leader_is_killed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = hustings()
        .args(["demo", "--cluster", "--json", "--listen", "127.0.0.1:0", "--data", text(folder.path())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    let mut keys = child.stdin.take().expect("it is piped");
    let lines = std::io::BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let mut press = |key: &str| writeln!(keys, "{key}").expect("it listens");
    let mut killed_at = None;
    let mut seen = None;
    let mut last = String::new();
    for line in lines.map(|line| line.expect("text")) {
        last = line;
        let Ok(figures) = serde_json::from_str::<Value>(&last) else { continue };
        let (leader, votes) = (figures["leader"].as_u64(), figures["acknowledged"].as_u64().unwrap_or(0));
        match killed_at {
            None if leader == Some(1) && votes > 20 => {
                killed_at = Some(votes);
                press("k");
            }
            Some(before) if leader.is_some_and(|leader| leader != 1) && votes > before + 20 => {
                seen = Some(votes);
                press("q");
            }
            _ => {}
        }
    }
    assert!(child.wait().expect("it ends").success(), "{last}");
    assert!(seen.is_some(), "another server led, and votes went on: {last}");
    assert!(last.contains("votes were acknowledged"), "{last}");
}
