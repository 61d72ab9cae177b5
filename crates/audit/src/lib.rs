//! Checks and recounts an election from its published record alone.
//!
//! The record's form and the checks, with their numbers, stand in `docs/formats.md`. Of the rest of the product only
//! the hashing, proofs and signatures (`proof`) and the parsing of definitions and openings (`election`) are used;
//! the count and the outcomes are done again here, plainly, and never by the code that made them.
//!
//! ```no_run
//! let record = std::io::BufReader::new(std::fs::File::open("board.record")?);
//! let report = audit::run(record, &[], &[])?;
//! print!("{report}");
//! std::process::exit(report.exit_code());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod acts;
mod again;
mod checkpoints;
mod count;
pub mod evidence;
mod form;
mod judge;
mod lines;
pub mod mirror;
mod outcome;
mod pass;
mod receipts;
mod report;
mod run;
mod signed;
mod voters;

pub use report::{Check, CheckReport, Facts, Finding, Report, Sentence, Verdict};
pub use run::{AuditError, Kept, Progress, run, run_with_progress};
pub use signed::Signed;
