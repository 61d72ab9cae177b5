//! The closing table of `cargo xtask test`.

use std::fmt::Write;

use crate::plan::{Left, Report};

/// Renders one line a suite, aligned, and below it what the left-out suites need.
pub fn render(report: &Report) -> String {
    let mut text = String::from("\n");
    let width = report.rows.iter().map(|row| row.suite.len()).max().unwrap_or(0).max(5);
    push_line(
        &mut text,
        format_args!(
            "{:width$}  {:<8}  {:>6}  {:>6}  {:>7}  {:>7}  note",
            "suite", "state", "passed", "failed", "skipped", "seconds"
        ),
    );
    for row in &report.rows {
        let skipped = report.skipped(row);
        let state = match (&row.left, row.counts.failed) {
            (Left::Missing(_) | Left::OnlyFull, _) => "left out",
            (Left::No, 0) => "passed",
            (Left::No, _) => "FAILED",
        };
        let note = match &row.left {
            Left::Missing(what) => format!("missing: {}", what.join(", ")),
            Left::OnlyFull => "runs with --full".to_owned(),
            Left::No => row.note.clone(),
        };
        push_line(
            &mut text,
            format_args!(
                "{:width$}  {:<8}  {:>6}  {:>6}  {:>7}  {:>7.1}  {}",
                row.suite, state, row.counts.passed, row.counts.failed, skipped, row.seconds, note
            ),
        );
    }
    text.push('\n');
    text
}

fn push_line(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("writing to a string cannot fail");
    // A row without a note would end in spaces.
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}
