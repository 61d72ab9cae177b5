//! What the program says: data on standard output, all else on standard error.

use std::io::{self, IsTerminal as _, Write};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::clock;

/// Where and in which form results are printed.
#[derive(Clone, Copy, Debug)]
pub enum Form {
    /// Sentences and tables.
    People,
    /// One JSON value per result.
    Json,
}

impl Form {
    pub fn is_json(self) -> bool {
        matches!(self, Form::Json)
    }

    /// Prints a result: `value` for programs, `text` for people.
    pub fn result(self, value: &Value, text: impl FnOnce() -> String) {
        match self {
            Form::Json => data(&value.to_string()),
            Form::People => data(text().trim_end_matches('\n')),
        }
    }
}

/// One line (or several) of data on standard output. A reader that has gone away ends the program quietly.
pub fn data(text: &str) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{text}").and_then(|()| out.flush()) {
        gone(&error);
    }
}

/// Bytes of data on standard output, as they are.
pub fn bytes(bytes: &[u8]) {
    if let Err(error) = io::stdout().lock().write_all(bytes) {
        gone(&error);
    }
}

fn gone(error: &io::Error) -> ! {
    if error.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(crate::exit::Exit::Ok as i32);
    }
    note(format!("hustings: cannot write to standard output: {error}"));
    std::process::exit(crate::exit::Exit::Io as i32);
}

/// A remark for the person at the terminal.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Columns of text, two spaces apart, the last one unpadded. Widths count characters.
pub fn table(headers: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = headers.iter().map(|header| header.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let padded: Vec<String> =
            cells.zip(&widths).map(|(cell, width)| format!("{cell:<width$}", width = *width)).collect();
        padded.join("  ").trim_end().to_owned() + "\n"
    };
    let mut text = line(&mut headers.iter().copied());
    for row in rows {
        text += &line(&mut row.iter().map(String::as_str));
    }
    text
}

/// `1234567` as `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1` as `1 ballot`, `2` as `2 ballots`.
pub fn count(number: u64, noun: &str) -> String {
    match number {
        1 => format!("1 {noun}"),
        _ => format!("{} {noun}s", thousands(number)),
    }
}

const PROGRESS_EVERY: Duration = Duration::from_millis(100);

/// A line on standard error that is rewritten while work goes on; silent where that is not a terminal.
#[derive(Debug)]
pub struct Progress {
    label: &'static str,
    shown: Option<Instant>,
    terminal: bool,
}

impl Progress {
    pub fn new(label: &'static str) -> Self {
        Self { label, shown: None, terminal: io::stderr().is_terminal() }
    }

    /// Shows `done` of `total` (if known) in `unit`s, at most ten times a second.
    pub fn at(&mut self, done: u64, total: Option<u64>, unit: &str) {
        let now = clock::now();
        if !self.terminal || self.shown.is_some_and(|shown| now - shown < PROGRESS_EVERY) {
            return;
        }
        self.shown = Some(now);
        let _ = write!(io::stderr().lock(), "\r\x1b[K{}", progress_line(self.label, done, total, unit));
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.shown.is_some() {
            let _ = write!(io::stderr().lock(), "\r\x1b[K");
        }
    }
}

const BAR_CELLS: u64 = 24;

fn progress_line(label: &str, done: u64, total: Option<u64>, unit: &str) -> String {
    let Some(total) = total.filter(|total| *total > 0) else {
        return format!("{label}  {} {unit}", thousands(done));
    };
    let done = done.min(total);
    let full = done * BAR_CELLS / total;
    let bar: String = (0..BAR_CELLS).map(|cell| if cell < full { '█' } else { '░' }).collect();
    format!("{label}  {bar} {:>3}%  {} of {} {unit}", done * 100 / total, thousands(done), thousands(total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_lines_its_columns_up() {
        let rows = vec![
            vec!["board-2027".into(), "open".into(), "Board".into()],
            vec!["a".into(), "closed".into(), "Ä".into()],
        ];
        insta::assert_snapshot!(table(&["slug", "state", "title"], &rows), @r"
        slug        state   title
        board-2027  open    Board
        a           closed  Ä
        ");
    }

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000), "1,000");
        assert_eq!(thousands(12_345_678), "12,345,678");
        assert_eq!(count(1, "ballot"), "1 ballot");
        assert_eq!(count(2_000, "ballot"), "2,000 ballots");
    }

    #[test]
    fn progress_knows_its_total_or_does_without() {
        assert_eq!(progress_line("audit", 5, None, "leaves"), "audit  5 leaves");
        assert_eq!(
            progress_line("audit", 50, Some(100), "leaves"),
            "audit  ████████████░░░░░░░░░░░░  50%  50 of 100 leaves"
        );
    }
}
