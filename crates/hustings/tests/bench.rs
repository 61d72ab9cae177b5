//! Every benchmark at a tiny size: it runs to its end and its checks hold. What it measures here means nothing.

use std::process::Command;

use serde_json::Value;

/// Runs `hustings bench WORDS --quick --json`; gives its reports.
fn bench(words: &[&str]) -> Vec<Value> {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hustings"));
    command.arg("bench").args(words).args(["--quick", "--json", "--dir"]).arg(folder.path());
    let output = command.output().expect("it starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{words:?} ended with {}: {out}{err}", output.status);
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder is there").collect();
    assert!(left.is_empty(), "{words:?} left {left:?}");
    serde_json::from_str(&out).expect("reports as JSON")
}

fn figure(report: &Value, name: &str) -> f64 {
    let figures = report["figures"].as_array().expect("a report has figures");
    let figure = figures.iter().find(|figure| figure["name"] == name);
    figure.and_then(|figure| figure["value"].as_f64()).unwrap_or_else(|| panic!("no `{name}` in {figures:?}"))
}

#[test]
fn votes_are_cast_counted_and_audited_with_sessions_and_without() {
    let reports = bench(&["votes", "--sessions"]);
    assert!(figure(&reports[0], "votes") > 0.0);
    assert!(figure(&reports[0], "session + vote") > 0.0);
    let checks = reports[0]["checks"].as_array().expect("a report has checks");
    assert_eq!(checks.len(), 4);
    assert!(checks.iter().all(|check| check["holds"] == true));
}

#[test]
fn bulk_votes_are_all_accepted_and_counted() {
    assert!(figure(&bench(&["bulk"])[0], "bulk votes") > 0.0);
}

#[test]
fn the_voter_workload_comes_to_the_generators_own_totals() {
    assert!(figure(&bench(&["voter"])[0], "single calls") > 0.0);
}

#[test]
fn the_rules_are_measured_without_a_server() {
    assert!(figure(&bench(&["apply"])[0], "10000 voters, hashed") > 0.0);
}

#[test]
fn a_server_comes_back_with_the_same_counts() {
    assert!(figure(&bench(&["restart"])[0], "ready without any cache") > 0.0);
}

#[test]
fn a_hall_of_phones_gets_its_receipts_and_the_result() {
    let reports = bench(&["room"]);
    assert!(figure(&reports[0], "cast p50") > 0.0);
    assert!(figure(&reports[0], "ballot pages") > 0.0);
}

#[test]
fn a_large_record_audits_clean() {
    assert!(figure(&bench(&["audit"])[0], "audit") > 0.0);
}

#[test]
fn subscribers_see_every_vote() {
    assert!(figure(&bench(&["feed"])[0], "receptions") > 0.0);
}

#[test]
fn the_generator_is_measured_alone() {
    assert!(figure(&bench(&["generator"])[0], "requests") > 0.0);
}
