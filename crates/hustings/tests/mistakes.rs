//! What people do wrong, and what they are told: messages and exit codes, without a server.

mod support;

use support::{folder, hustings, run, text, write};

fn told(args: &[&str]) -> String {
    run(hustings().args(args)).told(&[])
}

#[test]
fn no_server_says_what_to_start() {
    insta::assert_snapshot!(told(&["--server", "http://127.0.0.1:9", "election", "list"]), @r"
    exit 3
    hustings: cannot reach the server at http://127.0.0.1:9: connection refused
    No server listens there. Start one with `hustings serve` (or `hustings demo`), or name another with --server URL.
    ");
}

#[test]
fn errors_are_json_where_results_are() {
    let ran = run(hustings().args(["--json", "--server", "127.0.0.1:9", "election", "list"]));
    let error: serde_json::Value = serde_json::from_str(&ran.stderr).expect("JSON");
    assert_eq!((ran.code, ran.stdout.as_str(), &error["error"]["exit"]), (3, "", &serde_json::json!(3)));
}

#[test]
fn what_a_command_needs_is_said_before_anything_is_sent() {
    for (args, needed) in [
        (&["election", "reveal"][..], "<SLUG>"),
        (&["election", "run-off"], "<SLUG>"),
        (&["room", "lock"], "<CODE>"),
        (&["cluster", "remove"], "<NODE>"),
        (&["room", "remove", "ABC234"], "<SLUG>"),
    ] {
        let ran = run(hustings().args(args));
        assert!(ran.code == 2 && ran.stderr.contains(needed), "{ran:#?}");
    }
    for args in [["election", "hide"], ["election", "run-off"], ["room", "unlock"], ["cluster", "add"]] {
        let help = run(hustings().args(args).arg("--help")).ok().stdout;
        assert!(help.contains("Usage: hustings"), "{help}");
    }
}

#[test]
fn a_wrong_address_is_explained() {
    insta::assert_snapshot!(told(&["--server", "ftp://x", "election", "list"]), @r"
    exit 2
    hustings: `ftp://x` is not the address of a server: it must begin with http:// or https://
    An address looks like http://127.0.0.1:8700 or https://vote.example.org.
    ");
}

#[test]
fn an_election_file_with_a_mistake_is_shown_with_its_line() {
    let folder = folder();
    let file = write(folder.path(), "board.toml", "slug = \"board\"\ntitle = Board 2027\n");
    let ran = run(hustings().args(["election", "create", text(&file)]));
    insta::assert_snapshot!(ran.told(&[(text(folder.path()), "FOLDER")]), @r"
    exit 2
    hustings: `FOLDER/board.toml`: it is not valid TOML
    TOML parse error at line 2, column 9
      |
    2 | title = Board 2027
      |         ^^^^^^^^^^
    string values must be quoted, expected literal string
    ");
}

#[test]
fn a_missing_file_is_named() {
    insta::assert_snapshot!(told(&["election", "create", "nowhere.toml"]), @r"
    exit 2
    hustings: cannot read election file `nowhere.toml`: no such file
    ");
    insta::assert_snapshot!(told(&["election", "create"]), @r"
    exit 2
    hustings: give an election file, or --id and --candidates
    For example: hustings election create --id 100 --candidates Ann Bob --authorized-users u1 u2
    ");
}

#[test]
fn an_officer_token_is_never_a_flag() {
    let ran = run(hustings().args(["--officer-token", "secret", "election", "list"]));
    assert_eq!(ran.code, 2);
    assert!(ran.stderr.contains("--officer-token-file"), "{ran:#?}");
}

#[test]
fn config_show_prints_each_value_with_its_origin() {
    let folder = folder();
    let data = folder.path();
    write(data, "hustings.toml", "queue_max = 1000\n[limits]\nballot_bytes_max = 4096\n");
    let mut command = hustings();
    command.args(["config", "show", "--data", text(data), "--listen", "127.0.0.1:9000"]);
    command.env("HUSTINGS_MAX_CONCURRENT", "5").env_remove("HUSTINGS_LOG");
    let shown = run(&mut command).ok().stdout.replace(text(data), "DATA");
    let chosen: Vec<String> = shown
        .lines()
        .filter(|line| {
            [
                "setting ",
                "data ",
                "listen ",
                "max_concurrent ",
                "queue_max ",
                "zmq ",
                "limits.ballot_bytes_max ",
                "limits.contests_max ",
            ]
            .iter()
            .any(|key| line.starts_with(key))
        })
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(chosen.join("\n"), @r"
    setting value origin
    data DATA flag
    listen 127.0.0.1:9000 flag
    max_concurrent 5 environment HUSTINGS_MAX_CONCURRENT
    queue_max 1000 file DATA/hustings.toml
    zmq - default
    limits.ballot_bytes_max 4096 file DATA/hustings.toml
    limits.contests_max 50 built in
    ");
}

#[test]
fn an_unknown_key_in_the_configuration_is_refused() {
    let folder = folder();
    write(folder.path(), "hustings.toml", "listen = \"127.0.0.1:1\"\nport = 80\n");
    let ran = run(hustings().args(["config", "show", "--data", text(folder.path())]));
    assert_eq!(ran.code, 2, "{ran:#?}");
    assert!(ran.stderr.contains("line 2") && ran.stderr.contains("unknown field `port`"), "{ran:#?}");
}

#[test]
fn the_doctor_has_a_line_for_each_thing() {
    let folder = folder();
    let ran = run(hustings().args([
        "doctor",
        "--listen",
        "127.0.0.1:0",
        "--data",
        text(&folder.path().join("data")),
    ]));
    let names: Vec<&str> = ran.stdout.lines().map(|line| line[6..18].trim()).collect();
    assert_eq!(
        names,
        ["data folder", "keys", "disk sync", "disk space", "clock", "open files", "port"],
        "{ran:#?}"
    );
    assert_eq!(ran.code, 0, "{ran:#?}");
}

#[test]
fn help_has_examples_and_exit_codes() {
    let help = run(hustings().arg("--help")).ok().stdout;
    assert!(help.contains("Exit codes:") && help.contains("hustings demo"), "{help}");
    for command in ["demo", "poll", "serve", "vote", "audit", "mirror"] {
        run(hustings().args([command, "--help"])).ok();
    }
    let script = run(hustings().args(["completions", "bash"])).ok().stdout;
    assert!(script.contains("_hustings"));
}

#[test]
fn what_is_not_a_record_or_a_backup_is_said_to_be_none() {
    let folder = folder();
    let nothing = write(folder.path(), "notes.txt", "hello\n");
    let audit = run(hustings().args(["audit", text(&nothing)]));
    assert!(matches!(audit.code, 1 | 2), "{audit:#?}");
    let missing = run(hustings().args(["audit", "nowhere.record"]));
    assert_eq!(missing.code, 2, "{missing:#?}");
    let restore = run(hustings().args(["restore", text(folder.path()), "--verify"]));
    assert_eq!(restore.code, 2, "{restore:#?}");
    let backup =
        run(hustings().args(["backup", text(&folder.path().join("out")), "--data", text(folder.path())]));
    assert_eq!(backup.code, 2, "{backup:#?}");
}

#[test]
fn the_join_key_is_shown_from_a_servers_own_folder_only() {
    let folder = folder();
    let told = run(hustings().args(["cluster", "add", "--data", text(folder.path())]));
    insta::assert_snapshot!(told.told(&[(text(folder.path()), "FOLDER")]), @r"
    exit 2
    hustings: `FOLDER` is no data folder of a cluster's server
    Name the one that `hustings serve` on this machine uses.
    ");
}
