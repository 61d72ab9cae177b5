//! The cases of `testdata/audit`: the files are those the generator makes, and each has the verdict it should.
//!
//! `FIXTURES=write cargo test -p audit --test fixtures` writes them anew.

mod support;

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

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
fn a_report_tells_who_signed_what() {
    let told = |name: &str| {
        let case = cases::all().into_iter().find(|case| case.name == name).unwrap();
        let report = audit_case(&case);
        report.signed.iter().map(|signed| format!("{signed}\n")).collect::<String>()
    };
    assert_eq!(
        told("clean/cluster-restored"),
        "Node 1 of epoch 1 signed 1 checkpoint, 1 kept checkpoint, 1 receipt\n\
         Node 3 of epoch 1 signed 1 receipt\n\
         Node 2 of epoch 1 signed 1 kept checkpoint, 1 receipt\n\
         Node 2 of epoch 2 signed 1 checkpoint\n\
         Node 1 of epoch 2 signed the record, 3 checkpoints, 2 kept checkpoints\n"
    );
    let strangers = told("tampered/18-receipts-node");
    assert!(strangers.starts_with("Node 1 of epoch 1 signed 2 checkpoints, 6 receipts\n"), "{strangers}");
    assert!(!strangers.contains("Node 4"), "{strangers}");
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

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tools/audit.py")
}

fn has_python() -> bool {
    let has_python =
        Command::new("python3").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_python {
        eprintln!("skipped: there is no python3");
    }
    has_python
}

/// Audits many records in one Python process. Each: paths of the record, of receipts and of checkpoints. The answers
/// are reports as `tools/audit.py --json` prints them, or `null` where it would end with 2.
fn python(cases: &Value) -> Vec<Value> {
    const LOOP: &str = "
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location('audit', sys.argv[1])
audit = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(audit)
read = lambda names: [(name, open(name, encoding='utf-8', newline='').read()) for name in names]
def run(record, receipts, checkpoints):
    try:
        return audit.Audit(open(record, 'rb'), read(receipts), read(checkpoints)).run()
    except audit.MALFORMED:
        return None
print(json.dumps([run(*case) for case in json.load(sys.stdin)]))
";
    let mut command = Command::new("python3");
    command.args(["-c", LOOP]).arg(script()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(cases.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Number, name and verdict of each check in a report.
fn verdicts(report: &Value) -> Vec<(u64, String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    checks.map(|it| (it["number"].as_u64().unwrap(), text(&it["name"]), text(&it["verdict"]))).collect()
}

#[test]
fn the_auditor_in_python_gives_the_same_verdicts() {
    if !has_python() {
        return;
    }
    let cases = cases::all();
    let paths = |case: &Case| {
        let of = |kind: &str| -> Vec<PathBuf> {
            let paths = files(case).into_iter().map(|(path, _)| folder().join(path));
            paths.filter(|path| path.extension().is_some_and(|extension| extension == kind)).collect()
        };
        json!([of("record")[0], of("receipt"), of("checkpoint")])
    };
    let reports = python(&cases.iter().map(paths).collect());
    for (case, report) in cases.iter().zip(&reports) {
        let ours = serde_json::to_value(audit_case(case)).unwrap();
        assert_eq!(verdicts(report), verdicts(&ours), "{}", case.name);
        if case.fails.is_none() {
            assert_eq!(report["outcomes"], ours["outcomes"], "{}", case.name);
        }
    }
}

#[test]
fn the_auditor_in_python_ends_with_the_documented_codes() {
    if !has_python() {
        return;
    }
    let code = |path: &str| {
        let path = folder().join(path);
        let output = Command::new("python3").arg("-B").arg(script()).arg(path).output().unwrap();
        output.status.code().unwrap()
    };
    assert_eq!(code("clean/motion.record"), 0);
    assert_eq!(code("tampered/14-tally-votes.record"), 1);
    assert_eq!(code("cases.json"), 2);
    assert_eq!(code("no-such-file"), 2);
}

/// Records with one changed byte, signed again, so that more than check 2 has to find it.
#[test]
fn both_auditors_find_the_same_in_damaged_records() {
    if !has_python() {
        return;
    }
    // `AUDIT_DAMAGED=5000` takes more of them.
    let count: u64 = std::env::var("AUDIT_DAMAGED").map_or(60, |count| count.parse().unwrap());
    let temporary = std::env::temp_dir().join(format!("hustings-damaged-{}", std::process::id()));
    std::fs::create_dir_all(&temporary).unwrap();
    let clean = cases::clean();
    let mut paths = Vec::new();
    let mut ours = Vec::new();
    for number in 0..count {
        let random = proof::sha256(&[b"damage", &number.to_be_bytes()]).0;
        let pick = |at: usize, below: usize| {
            u32::from_be_bytes(random[at..at + 4].try_into().unwrap()) as usize % below
        };
        let (name, _, draft) = &clean[pick(0, clean.len())];
        let mut record = draft.write().into_bytes();
        let end = record.len() - record.rsplit(|byte| *byte == b'\n').nth(1).unwrap().len() - 1;
        // A byte that occurs in records, at any place.
        let (at, from) = (pick(4, end), pick(8, end));
        record[at] = if random[12] < 128 { record[from] } else { record[at] ^ (1 << (random[12] % 8)) };
        support::sign_again(&mut record, end, &draft.end_key);
        let path = temporary.join(format!("{number}-{name}.record"));
        std::fs::write(&path, &record).unwrap();
        paths.push(json!([path, [], []]));
        ours.push(audit::run(Cursor::new(&record), &[], &[]).ok());
    }
    let theirs = python(&Value::Array(paths.clone()));
    let mut differing = String::new();
    for ((theirs, ours), path) in theirs.iter().zip(&ours).zip(&paths) {
        let ours = serde_json::to_value(ours).unwrap();
        if theirs.is_null() || ours.is_null() {
            if theirs != &ours {
                differing += &format!("{path}: only one of them can read it\n");
            }
            continue;
        }
        for (number, (theirs, ours)) in verdicts(theirs).iter().zip(verdicts(&ours)).enumerate() {
            if *theirs != ours {
                differing += &format!("{path}: check {}: python {}, rust {}\n", number + 1, theirs.2, ours.2);
            }
        }
    }
    assert!(differing.is_empty(), "{differing}");
    std::fs::remove_dir_all(&temporary).unwrap();
}
