//! `audit RECORD` and `evidence FILE`: the checks are in the crate `audit`; here files are read and answers printed.

use std::fs::File;
use std::io::{BufReader, Cursor, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use audit::evidence::Evidence;
use audit::{AuditError, Kept, Report};
use serde_json::json;

use crate::cli::{AuditArgs, EvidenceArgs};
use crate::exit::{Exit, Failure};
use crate::output::{Form, Progress, note};

const BUFFER_BYTES: usize = 1 << 20;
/// Receipts, checkpoints and evidence are small; anything larger is another file.
const KEPT_BYTES_MAX: u64 = 1 << 20;

pub fn run(args: AuditArgs, form: Form) -> Result<Exit> {
    let receipts = args.receipt.iter().map(|path| kept(path)).collect::<Result<Vec<_>>>()?;
    let checkpoints = args.checkpoint.iter().map(|path| kept(path)).collect::<Result<Vec<_>>>()?;
    let report = audit_file(&args.record, &receipts, &checkpoints)?;
    form.result(&serde_json::to_value(&report)?, || report_text(&report));
    if let Some(path) = &args.evidence
        && !report.evidence.is_empty()
    {
        write_evidence(path, &report.evidence)?;
    }
    Ok(if report.clean { Exit::Ok } else { Exit::No })
}

fn audit_file(record: &Path, receipts: &[Kept], checkpoints: &[Kept]) -> Result<Report> {
    let mut progress = Progress::new("audit");
    let mut show = |at: audit::Progress| progress.at(at.leaves, Some(at.of), "leaves");
    let answer = if record == Path::new("-") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read the record from standard input")?;
        audit::run_with_progress(Cursor::new(bytes), receipts, checkpoints, &mut show)
    } else {
        let file = File::open(record).map_err(|error| unreadable(record, &error))?;
        if file.metadata().is_ok_and(|meta| meta.is_dir()) {
            return Err(Failure::usage(format!("`{}` is a folder, not a record", record.display())).into());
        }
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        audit::run_with_progress(reader, receipts, checkpoints, &mut show)
    };
    answer.map_err(|error| match error {
        AuditError::Read(source) => unreadable(record, &source).into(),
        AuditError::NotARecord(_) => Failure::usage(format!("`{}`: {error}", record.display()))
            .hint("A record comes from `hustings election record SLUG` or an election's record page.")
            .into(),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    let why = match error.kind() {
        std::io::ErrorKind::NotFound => "no such file".to_owned(),
        _ => error.to_string(),
    };
    Failure::usage(format!("cannot read `{}`: {why}", path.display()))
}

fn kept(path: &Path) -> Result<Kept> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    file.take(KEPT_BYTES_MAX).read_to_string(&mut text).map_err(|error| unreadable(path, &error))?;
    Ok(Kept { name: path.display().to_string(), text })
}

fn report_text(report: &Report) -> String {
    let mut text = report.to_string();
    for evidence in &report.evidence {
        text += &format!("\n{}\n", evidence.claim);
        text += &serde_json::to_string_pretty(evidence).unwrap_or_default();
        text += "\nAnybody can check this without server or record: keep it with --evidence FILE, then run\n\
                 `hustings evidence FILE`.\n";
    }
    text
}

/// One file for one piece of evidence, numbered ones for more.
fn write_evidence(path: &Path, all: &[Evidence]) -> Result<()> {
    for (index, evidence) in all.iter().enumerate() {
        let path = match index {
            0 => path.to_owned(),
            _ => PathBuf::from(format!("{}.{}", path.display(), index + 1)),
        };
        let text = serde_json::to_string_pretty(evidence)? + "\n";
        std::fs::write(&path, text)
            .map_err(|error| Failure::usage(format!("cannot write `{}`: {error}", path.display())))?;
        note(format!("Evidence kept in {}", path.display()));
    }
    Ok(())
}

/// Who signed the two statements that contradict each other.
fn whose_keys(evidence: &Evidence) -> String {
    let (node, key) = (evidence.receipt.node, evidence.receipt.public_key());
    if evidence.is_by_one_key() {
        return format!(
            "Both statements are signed by the key of node {node}; that the key was the node's is for you to know:\n{key:?}"
        );
    }
    format!(
        "The receipt is signed by node {node} with the key\n{key:?}\nand the record by node {} with another key: two nodes of the ledger \
         contradict each other, or a later epoch its earlier one. The record's acts name both keys.",
        evidence.record.node
    )
}

/// Checks what an audit printed, for somebody who was not there.
pub fn check_evidence(args: EvidenceArgs, form: Form) -> Result<Exit> {
    let Kept { name, text } = kept(&args.file)?;
    let evidence: Evidence = serde_json::from_str(&text)
        .map_err(|error| Failure::usage(format!("`{name}` is not evidence: {error}")))?;
    let verdict = evidence.verify();
    let value = json!({"holds": verdict.is_ok(), "claim": evidence.claim,
        "why_not": verdict.as_ref().err().map(ToString::to_string), "key": evidence.receipt.public_key()});
    form.result(&value, || match &verdict {
        Ok(()) => format!("It holds: {}\n{}", evidence.claim, whose_keys(&evidence)),
        Err(why) => format!("It does not hold: {why}"),
    });
    Ok(if verdict.is_ok() { Exit::Ok } else { Exit::No })
}
