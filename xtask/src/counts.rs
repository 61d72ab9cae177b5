//! Reads how many tests passed, failed and were skipped from what the test runners print.

use std::collections::BTreeSet;

/// What one suite's runners reported.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Counts {
    pub passed: u64,
    pub failed: u64,
    /// Skipped tests that have no name here (pytest, node).
    pub skipped: u64,
    /// `#[ignore]`d Rust tests, as `file::test`: another suite may run them.
    pub ignored: BTreeSet<String>,
    /// Rust tests that really ran, as `file::test`.
    pub ran: BTreeSet<String>,
}

impl Counts {
    pub fn add(&mut self, other: Counts) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.ignored.extend(other.ignored);
        self.ran.extend(other.ran);
    }

    /// A command that counts as one check by its exit status.
    pub fn one_check(succeeded: bool) -> Counts {
        if succeeded {
            Counts { passed: 1, ..Counts::default() }
        } else {
            Counts { failed: 1, ..Counts::default() }
        }
    }

    /// A runner that ended badly without naming a failed test (it did not compile, it crashed) is one failure.
    pub fn with_exit(mut self, succeeded: bool) -> Counts {
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

/// Reads `cargo test`'s output, standard error included: the `Running` lines there tell the files apart.
/// What passed in the files `elsewhere` is not counted here, because another suite runs them; what failed is.
pub fn cargo(output: &str, elsewhere: &[&str]) -> Counts {
    let mut counts = Counts::default();
    let mut file = String::new();
    for line in output.lines().map(str::trim) {
        if let Some(rest) = line.strip_prefix("Running ") {
            file = rest.split(" (").next().unwrap_or(rest).trim_start_matches("unittests ").to_owned();
        } else if let Some(rest) = line.strip_prefix("Doc-tests ") {
            file = format!("doc {rest}");
        } else if let Some(summary) = line.strip_prefix("test result: ") {
            if !elsewhere.contains(&file.as_str()) {
                counts.passed += number_before(summary, "passed");
            }
            counts.failed += number_before(summary, "failed");
        } else if let Some(rest) = line.strip_prefix("test ")
            && let Some((name, verdict)) = rest.split_once(" ... ")
        {
            let id = format!("{file}::{name}");
            if verdict.starts_with("ignored") {
                counts.ignored.insert(id);
            } else {
                counts.ran.insert(id);
            }
        }
    }
    counts
}

/// Reads pytest's last summary line: `3 failed, 12 passed, 1 skipped in 4.20s`.
pub fn pytest(output: &str) -> Counts {
    let summary = output
        .lines()
        .rev()
        .map(|line| line.trim_matches(['=', ' ']))
        .find(|line| line.contains(" in ") && number_before(line, "passed") + errors(line) > 0);
    let Some(line) = summary else { return Counts::default() };
    Counts {
        passed: number_before(line, "passed") + number_before(line, "xfailed"),
        failed: errors(line),
        skipped: number_before(line, "skipped"),
        ..Counts::default()
    }
}

fn errors(line: &str) -> u64 {
    ["failed", "error", "errors", "xpassed"].iter().map(|word| number_before(line, word)).sum()
}

/// Reads the closing lines of node's test runner in TAP: `# pass 12`, `# fail 0`, `# cancelled 0`, `# skipped 1`.
pub fn node(output: &str) -> Counts {
    let closing = |word: &str| {
        let lines = output.lines().rev().map(str::trim);
        lines
            .filter_map(|line| line.strip_prefix("# ")?.strip_prefix(word)?.strip_prefix(' '))
            .find_map(|number| number.parse().ok())
            .unwrap_or(0)
    };
    Counts {
        passed: closing("pass"),
        failed: closing("fail") + closing("cancelled"),
        skipped: closing("skipped") + closing("todo"),
        ..Counts::default()
    }
}

/// The number that stands before a word of its own: 12 in `3 failed, 12 passed; …` for `passed`.
fn number_before(line: &str, word: &str) -> u64 {
    let mut previous = 0;
    for token in line.split_whitespace() {
        if token.trim_end_matches([',', ';', '.']) == word {
            return previous;
        }
        previous = token.parse().unwrap_or(0);
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKSPACE: &str = "\
     Running unittests src/lib.rs (target/debug/deps/proof-1)
test tree::empty ... ok
test tree::big ... ignored, long
test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
     Running tests/kills.rs (target/debug/deps/kills-2)
test no_acknowledged_ballot_is_lost ... FAILED
test a_stop_answers_first ... ok
test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s
";

    #[test]
    fn cargo_summaries_add_up_over_files() {
        let counts = cargo(WORKSPACE, &[]);
        assert_eq!((counts.passed, counts.failed), (2, 1));
        assert_eq!(counts.ignored.iter().collect::<Vec<_>>(), ["src/lib.rs::tree::big"]);
        assert!(counts.ran.contains("tests/kills.rs::no_acknowledged_ballot_is_lost"));
    }

    #[test]
    fn what_another_suite_runs_is_counted_there() {
        let counts = cargo(WORKSPACE, &["tests/kills.rs"]);
        assert_eq!((counts.passed, counts.failed), (1, 1));
    }

    #[test]
    fn pytest_summaries_are_read_with_and_without_failures() {
        let counts = pytest("...\n==== 2 failed, 12 passed, 1 skipped, 1 error in 4.20s ====\n");
        assert_eq!((counts.passed, counts.failed, counts.skipped), (12, 3, 1));
        assert_eq!(pytest("7 passed in 0.10s\n").passed, 7);
        assert_eq!(pytest("no tests ran in 0.01s\n"), Counts::default());
    }

    #[test]
    fn nodes_closing_lines_are_read() {
        let counts =
            node("ok 1 - votes\n# tests 4\n# pass 2\n# fail 1\n# cancelled 0\n# skipped 1\n# todo 0\n");
        assert_eq!((counts.passed, counts.failed, counts.skipped), (2, 1, 1));
    }

    #[test]
    fn a_runner_that_crashes_is_one_failure() {
        assert_eq!(Counts::default().with_exit(false).failed, 1);
        assert_eq!(Counts { failed: 3, ..Counts::default() }.with_exit(false).failed, 3);
        assert_eq!(Counts::default().with_exit(true), Counts::default());
    }
}
