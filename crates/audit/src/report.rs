//! What an audit found: a verdict for each numbered check.

use std::fmt;

use serde::Serialize;

use crate::evidence::Evidence;
use crate::signed::Signed;

/// Findings that a check spells out; the rest are counted.
pub const FINDINGS_MAX: usize = 10;

macro_rules! checks {
    ($($number:literal $check:ident $name:literal $about:literal;)*) => {
        /// The checks of `docs/formats.md`, by name.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum Check {
            $(#[doc = $about] $check = $number,)*
        }

        impl Check {
            /// Every check in the order of its number, from 1.
            pub const ALL: &[Check] = &[$(Check::$check),*];

            /// Name in reports.
            pub fn name(self) -> &'static str {
                match self { $(Check::$check => $name),* }
            }

            /// What passes, as a sentence.
            pub fn about(self) -> &'static str {
                match self { $(Check::$check => $about),* }
            }
        }
    };
}

checks! {
    1 Form "form" "every line is in its place and the file is complete";
    2 Digest "digest" "the file is as its node signed it";
    3 Definition "definition" "the definition is the one that was opened";
    4 Roll "roll" "the roll is the one that was opened";
    5 Acts "acts" "the officers' acts are lawful where they stand";
    6 Epochs "epochs" "epochs and node keys are those of the acts";
    7 Tree "tree" "the leaves have the root of every checkpoint";
    8 Checkpoints "checkpoints" "every checkpoint is signed by a node of this election";
    9 Ballots "ballots" "every ballot is well-formed and obeys the definition";
    10 Eligibility "eligibility" "every voter is entitled, with the right weight and group";
    11 Once "once" "no voter has more ballots than allowed";
    12 Time "time" "every ballot was cast while the vote was open";
    13 Turnout "turnout" "ballots and voters are as many as the close says";
    14 Tally "tally" "the counts are those of the ballots";
    15 Draw "draw" "the lot, drawn again, gives the same winners";
    16 Outcome "outcome" "every outcome follows from its counts";
    17 Publication "publication" "the result is the one that was published";
    18 Receipts "receipts" "every receipt given is in the record";
    19 KeptCheckpoints "kept-checkpoints" "the record continues every checkpoint given";
}

impl Check {
    /// Number in reports and in `docs/formats.md`, from 1.
    pub fn number(self) -> u8 {
        self as u8
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Passed,
    Failed,
    /// There was nothing to check, or an earlier failure left nothing to check against.
    Skipped,
}

/// One fault, and where it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Finding {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf: Option<u64>,
    /// Number among the ballots, from 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ballot: Option<u64>,
    pub what: String,
}

impl Finding {
    pub fn new(what: impl Into<String>) -> Finding {
        Finding { leaf: None, ballot: None, what: what.into() }
    }

    pub fn at_leaf(leaf: u64, what: impl Into<String>) -> Finding {
        Finding { leaf: Some(leaf), ballot: None, what: what.into() }
    }

    pub fn at_ballot(leaf: u64, ballot: u64, what: impl Into<String>) -> Finding {
        Finding { leaf: Some(leaf), ballot: Some(ballot), what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.leaf, self.ballot) {
            (Some(leaf), Some(ballot)) => write!(f, "ballot {ballot} (leaf {leaf}): {}", self.what),
            (Some(leaf), None) => write!(f, "leaf {leaf}: {}", self.what),
            _ => f.write_str(&self.what),
        }
    }
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CheckReport {
    pub number: u8,
    pub name: &'static str,
    pub verdict: Verdict,
    /// The first `FINDINGS_MAX` faults, or why the check was skipped.
    pub findings: Vec<Finding>,
    /// Faults besides.
    pub more: u64,
}

/// What the record says it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Facts {
    pub ledger: String,
    pub election: String,
    pub slug: String,
    pub definition_hash: String,
    pub leaves: u64,
    pub ballots: u64,
    /// Voters as recounted; `None` where ballots could not be read.
    pub voters: Option<u64>,
    /// Root over all leaves, 64 hexadecimal digits.
    pub root: Option<String>,
    /// Public keys of the nodes as the acts name them, to compare with what one knows from elsewhere.
    pub keys: Vec<String>,
}

/// A contest and its recomputed outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Sentence {
    pub contest: String,
    pub title: String,
    pub sentence: String,
}

/// Verdicts of all checks, in order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Report {
    pub clean: bool,
    pub record: Facts,
    /// Who signed what of it, and of what was given beside it; empty where the record cannot be read.
    pub signed: Vec<Signed>,
    pub checks: Vec<CheckReport>,
    /// Outcomes of the recount, one a contest; empty where there are none yet or the ballots could not be counted.
    pub outcomes: Vec<Sentence>,
    /// One for each valid receipt whose ballot is not in the record.
    pub evidence: Vec<Evidence>,
}

impl Report {
    /// 0: no check failed. 1: one did. (2, not a record, is an [`crate::AuditError`].)
    pub fn exit_code(&self) -> i32 {
        i32::from(!self.clean)
    }

    /// The checks that failed.
    pub fn failed(&self) -> impl Iterator<Item = &CheckReport> {
        self.checks.iter().filter(|check| check.verdict == Verdict::Failed)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Facts { slug, leaves, ballots, .. } = &self.record;
        writeln!(f, "Record of `{slug}`: {ballots} ballots, {leaves} leaves")?;
        for (check, report) in Check::ALL.iter().zip(&self.checks) {
            let word = match report.verdict {
                Verdict::Passed => "passed ",
                Verdict::Failed => "FAILED ",
                Verdict::Skipped => "skipped",
            };
            writeln!(f, "{:>3}  {word}  {:<17} {}", report.number, report.name, check.about())?;
            for finding in &report.findings {
                writeln!(f, "                                - {finding}")?;
            }
            if report.more > 0 {
                writeln!(f, "                                - and {} more", report.more)?;
            }
        }
        for signed in &self.signed {
            writeln!(f, "{signed}")?;
        }
        for Sentence { title, sentence, .. } in &self.outcomes {
            writeln!(f, "Recounted: {title} {sentence}")?;
        }
        let failed = self.failed().count();
        match failed {
            0 => writeln!(f, "Clean: no check failed."),
            1 => writeln!(f, "NOT clean: 1 check failed."),
            _ => writeln!(f, "NOT clean: {failed} checks failed."),
        }
    }
}

/// Verdicts while they are being found. A check passes unless something says otherwise.
#[derive(Debug)]
pub(crate) struct Verdicts(Vec<CheckReport>);

impl Verdicts {
    pub fn new() -> Verdicts {
        let passed = |check: &Check| CheckReport {
            number: check.number(),
            name: check.name(),
            verdict: Verdict::Passed,
            findings: Vec::new(),
            more: 0,
        };
        Verdicts(Check::ALL.iter().map(passed).collect())
    }

    pub fn fail(&mut self, check: Check, finding: Finding) {
        let report = self.of(check);
        if report.verdict == Verdict::Skipped {
            report.findings.clear();
        }
        report.verdict = Verdict::Failed;
        if report.findings.len() < FINDINGS_MAX {
            report.findings.push(finding);
        } else {
            report.more += 1;
        }
    }

    /// Skips a check that has not failed.
    pub fn skip(&mut self, check: Check, why: &str) {
        let report = self.of(check);
        if report.verdict == Verdict::Passed {
            report.verdict = Verdict::Skipped;
            report.findings.push(Finding::new(why));
        }
    }

    pub fn into_reports(self) -> Vec<CheckReport> {
        self.0
    }

    fn of(&mut self, check: Check) -> &mut CheckReport {
        &mut self.0[check as usize - 1]
    }
}
