//! Decides which suites run, runs them, and adds up what they report.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::counts::Counts;
use crate::needs::{self, Need, Place};
use crate::process::run_shown;
use crate::suites::{Reader, SUITES, Suite};

/// What `cargo xtask test` was asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Options {
    pub install: bool,
    pub strict: bool,
    pub full: bool,
    /// Names of suites; none means all.
    pub only: Vec<String>,
}

impl Options {
    pub fn parse(arguments: &[String]) -> Result<Options, String> {
        let mut options = Options { install: false, strict: false, full: false, only: Vec::new() };
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.as_str() {
                "--install" => options.install = true,
                "--strict" => options.strict = true,
                "--full" => options.full = true,
                "--only" => options.only.push(suite_name(rest.next())?),
                other => return Err(format!("`test` has no option `{other}`")),
            }
        }
        Ok(options)
    }

    fn chooses(&self, suite: &Suite) -> bool {
        self.only.is_empty() || self.only.iter().any(|name| name == suite.name)
    }
}

fn suite_name(given: Option<&String>) -> Result<String, String> {
    let names: Vec<&str> = SUITES.iter().map(|suite| suite.name).collect();
    match given {
        Some(name) if names.contains(&name.as_str()) => Ok(name.clone()),
        _ => Err(format!("`--only` takes one of {}", names.join(", "))),
    }
}

/// Why a suite did not run.
#[derive(Debug, PartialEq, Eq)]
pub enum Left {
    No,
    Missing(Vec<String>),
    OnlyFull,
}

/// One suite's line in the report.
#[derive(Debug)]
pub struct Row {
    pub suite: &'static str,
    pub left: Left,
    pub counts: Counts,
    pub seconds: f64,
    pub note: String,
}

/// What became of every chosen suite.
#[derive(Debug, Default)]
pub struct Report {
    pub rows: Vec<Row>,
}

impl Report {
    /// Tests of a row that nobody ran: those its runner skipped, and ignored ones that no other suite ran.
    /// A suite left out for something missing counts as one.
    pub fn skipped(&self, row: &Row) -> u64 {
        let ran: BTreeSet<&String> = self.rows.iter().flat_map(|row| &row.counts.ran).collect();
        let never_ran = row.counts.ignored.iter().filter(|test| !ran.contains(test)).count();
        let whole = u64::from(matches!(row.left, Left::Missing(_)));
        row.counts.skipped + never_ran as u64 + whole
    }

    /// Passed, failed and skipped over all suites.
    pub fn totals(&self) -> (u64, u64, u64) {
        let sum = |figure: &dyn Fn(&Row) -> u64| self.rows.iter().map(figure).sum();
        (sum(&|row| row.counts.passed), sum(&|row| row.counts.failed), sum(&|row| self.skipped(row)))
    }
}

/// Runs the chosen suites one after the other; a failing one does not stop the rest.
pub fn run(root: &Path, options: &Options) -> Result<Report> {
    let place = Place::new(root, options.full);
    let chosen: Vec<&Suite> = SUITES.iter().filter(|suite| options.chooses(suite)).collect();
    let running = |suite: &&&Suite| options.full || !suite.only_full;
    let needs: BTreeSet<Need> =
        chosen.iter().filter(running).flat_map(|suite| suite.needs).copied().collect();
    let needs: Vec<Need> = needs.into_iter().collect();
    if options.install
        && let Err(error) = needs::install(&place, &needs)
    {
        // The suites that lack something are left out by name below.
        eprintln!("error: {error:#}");
    }
    say_what_is_missing(&place, &needs);
    let rows = chosen.iter().map(|suite| row(&place, suite)).collect::<Result<Vec<_>>>()?;
    say_what_is_missing(&place, &needs);
    Ok(Report { rows })
}

fn row(place: &Place, suite: &Suite) -> Result<Row> {
    let missing: Vec<String> =
        suite.needs.iter().filter(|need| !need.present(place)).map(|need| need.name().to_owned()).collect();
    let mut row = Row {
        suite: suite.name,
        left: Left::No,
        counts: Counts::default(),
        seconds: 0.0,
        note: String::new(),
    };
    if suite.only_full && !place.full {
        row.left = Left::OnlyFull;
    } else if missing.is_empty() {
        println!("\n== {}: {}", suite.name, suite.about);
        let begun = now();
        row.counts = run_suite(place, suite)?;
        row.seconds = now().duration_since(begun).as_secs_f64();
    } else {
        row.left = Left::Missing(missing);
    }
    Ok(row)
}

fn run_suite(place: &Place, suite: &Suite) -> Result<Counts> {
    let mut counts = Counts::default();
    for mut step in (suite.steps)(place) {
        let finished = run_shown(&mut step.command)?;
        counts.add(step.reader.read(&finished.output, finished.succeeded));
        if step.reader == Reader::Prepares && !finished.succeeded {
            break;
        }
    }
    Ok(counts)
}

fn say_what_is_missing(place: &Place, needs: &[Need]) {
    let missing: Vec<Need> = needs.iter().filter(|need| !need.present(place)).copied().collect();
    if missing.is_empty() {
        return;
    }
    let names: Vec<&str> = missing.iter().map(|need| need.name()).collect();
    println!("\nmissing here: {}", names.join(", "));
    if let Some(line) = needs::system_line(&missing) {
        println!("system packages: {line}");
    }
    println!("all of it: cargo xtask test --install");
}

/// Prints the suites with their needs, marking what is missing.
pub fn list(root: &Path) {
    let place = Place::new(root, true);
    for suite in SUITES {
        let when = if suite.only_full { " (only with --full)" } else { "" };
        println!("{}{when}: {}", suite.name, suite.about);
        for need in suite.needs {
            let state = if need.present(&place) { "there" } else { "missing" };
            println!("    {state:<8} {}", need.name());
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a suite took is told to people, nothing rests on it")]
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(suite: &'static str, left: Left, counts: Counts) -> Row {
        Row { suite, left, counts, seconds: 0.0, note: String::new() }
    }

    #[test]
    fn an_ignored_test_that_another_suite_runs_is_not_skipped() {
        let kills = || BTreeSet::from(["tests/kills.rs::nothing_is_lost".to_owned()]);
        let first = Counts { passed: 2, ignored: kills(), ..Counts::default() };
        let second = Counts { passed: 1, ran: kills(), ..Counts::default() };
        let mut report = Report { rows: vec![row("rust", Left::No, first)] };
        assert_eq!(report.totals(), (2, 0, 1));
        report.rows.push(row("kill-loop", Left::No, second));
        assert_eq!(report.totals(), (3, 0, 0));
    }

    #[test]
    fn a_suite_left_out_counts_as_one_skipped() {
        let left = Left::Missing(vec!["Chromium".to_owned()]);
        let report = Report { rows: vec![row("browser", left, Counts::default())] };
        assert_eq!(report.totals(), (0, 0, 1));
    }

    #[test]
    fn options_are_read_and_unknown_ones_refused() {
        let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let options = Options::parse(&words("--install --strict --only rust")).unwrap();
        assert!(options.install && options.strict && !options.full);
        assert_eq!(options.only, ["rust"]);
        assert!(Options::parse(&words("--only nonsense")).unwrap_err().contains("rust"));
        assert!(Options::parse(&words("--fast")).is_err());
    }
}
