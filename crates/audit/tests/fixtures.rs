//! The cases of `testdata/audit`: the files are those the generator makes, and each has the verdict it should.
//!
//! `FIXTURES=write cargo test -p audit --test fixtures` writes them anew.

mod support;

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use audit::{Check, Kept, Report, Verdict};
use serde_json::{Value, json};
use support::cases::{self, Case};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../testdata/audit")
}

/// Files of a case, by their paths in the folder.
fn files(case: &Case) -> Vec<(String, String)> {
    let mut files = vec![(format!("{}.record", case.name), case.record.clone())];
    for (number, receipt) in case.receipts.iter().enumerate() {
        files.push((format!("{}.{number}.receipt", case.name), receipt.clone()));
    }
    for (number, note) in case.checkpoints.iter().enumerate() {
        files.push((format!("{}.{number}.checkpoint", case.name), note.clone()));
    }
    files
}

/// The list of cases, for auditors in other languages.
fn list(cases: &[Case]) -> String {
    let case = |case: &Case| {
        let names = |kind: &str, count: usize| -> Vec<String> {
            (0..count).map(|number| format!("{}.{number}.{kind}", case.name)).collect()
        };
        json!({
            "name": case.name,
            "about": case.about,
            "record": format!("{}.record", case.name),
            "receipts": names("receipt", case.receipts.len()),
            "checkpoints": names("checkpoint", case.checkpoints.len()),
            "failed": case.fails.iter().collect::<Vec<_>>(),
        })
    };
    let cases: Vec<Value> = cases.iter().map(case).collect();
    serde_json::to_string_pretty(&cases).unwrap() + "\n"
}

fn audit_case(case: &Case) -> Report {
    let kept = |texts: &[String]| -> Vec<Kept> {
        let kept = |(number, text): (usize, &String)| Kept { name: number.to_string(), text: text.clone() };
        texts.iter().enumerate().map(kept).collect()
    };
    let record = Cursor::new(case.record.as_bytes());
    audit::run(record, &kept(&case.receipts), &kept(&case.checkpoints)).unwrap()
}

fn failed(report: &Report) -> Vec<u8> {
    report.failed().map(|check| check.number).collect()
}

#[test]
fn every_case_fails_exactly_the_check_it_is_made_for() {
    let mut wrong = String::new();
    for case in cases::all() {
        let report = audit_case(&case);
        if failed(&report) != Vec::from_iter(case.fails) {
            wrong += &format!("{}: {report}\n", case.name);
        }
        assert_eq!(report.exit_code(), i32::from(!failed(&report).is_empty()));
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_check_has_a_case_that_fails_it() {
    let cases = cases::all();
    for check in Check::ALL {
        let is_there = cases.iter().any(|case| case.fails == Some(check.number()));
        assert!(is_there, "no record fails check {}", check.number());
    }
}

#[test]
fn a_clean_record_skips_nothing_that_can_be_checked() {
    for case in cases::all().iter().filter(|case| case.fails.is_none()) {
        let report = audit_case(case);
        let skipped = report.checks.iter().filter(|check| check.verdict == Verdict::Skipped);
        let skipped: Vec<&str> = skipped.map(|check| check.name).collect();
        assert!(skipped.is_empty() || (skipped == ["receipts"] && case.receipts.is_empty()), "{}", case.name);
    }
}

#[test]
fn the_files_in_testdata_are_those_the_generator_makes() {
    let cases = cases::all();
    let mut files: Vec<(String, String)> = cases.iter().flat_map(files).collect();
    files.push(("cases.json".to_owned(), list(&cases)));
    if std::env::var("FIXTURES").as_deref() == Ok("write") {
        for (path, text) in &files {
            let path = folder().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
    }
    for (path, text) in &files {
        let stored = std::fs::read_to_string(folder().join(path)).unwrap_or_default();
        assert!(stored == *text, "{path} differs: FIXTURES=write cargo test -p audit --test fixtures");
    }
}

#[test]
fn a_missing_ballot_leaves_evidence_that_stands_alone() {
    for name in ["tampered/18-receipts-replaced", "tampered/18-receipts-dropped"] {
        let case = cases::all().into_iter().find(|case| case.name == name).unwrap();
        let report = audit_case(&case);
        assert_eq!(report.evidence.len(), 1, "{name}");
        let text = serde_json::to_string(&report.evidence[0]).unwrap();
        let evidence: audit::evidence::Evidence = serde_json::from_str(&text).unwrap();
        assert_eq!(evidence.verify(), Ok(()), "{name}");

        let mut harmless = evidence.clone();
        if let Some(found) = &mut harmless.found {
            found.leaf = harmless.receipt.leaf;
        } else {
            harmless.receipt.leaf_index.0 = 1;
        }
        assert!(harmless.verify().is_err(), "{name}");
    }
}

/// Numbers and verdicts as `tools/audit.py --json` gives them; `None` where there is no Python.
fn python(case: &Case, folder: &Path) -> Option<Value> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/audit.py");
    let mut command = Command::new("python3");
    command.arg(script).arg("--json").arg(folder.join(format!("{}.record", case.name)));
    for (path, _) in files(case).iter().skip(1) {
        let option = if path.ends_with(".receipt") { "--receipt" } else { "--checkpoint" };
        command.arg(option).arg(folder.join(path));
    }
    let output = command.output().ok()?;
    let code = output.status.code().unwrap();
    assert_eq!(
        code,
        i32::from(case.fails.is_some()),
        "{}: {}",
        case.name,
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn the_auditor_in_python_gives_the_same_verdicts() {
    for case in cases::all() {
        let Some(report) = python(&case, &folder()) else {
            eprintln!("skipped: there is no python3");
            return;
        };
        let verdicts = |checks: &Value| -> Vec<(u64, String, String)> {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let checks = checks.as_array().unwrap().iter();
            checks
                .map(|it| (it["number"].as_u64().unwrap(), text(&it["name"]), text(&it["verdict"])))
                .collect()
        };
        let ours = serde_json::to_value(audit_case(&case)).unwrap();
        assert_eq!(verdicts(&report["checks"]), verdicts(&ours["checks"]), "{}", case.name);
        if case.fails.is_none() {
            assert_eq!(report["outcomes"], ours["outcomes"], "{}", case.name);
        }
    }
}
