//! The audit itself: one pass over the record, then judgement.

use std::io::{self, BufRead, Seek};

use crate::checkpoints::{kept_sizes, sizes_at_end};
use crate::judge::{form_failed, judge};
use crate::lines::Lines;
use crate::pass::{NumberedLines, Pass, Stop, read_header};
use crate::receipts::Receipts;
use crate::report::Report;

#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    #[error("cannot read the record")]
    Read(#[source] io::Error),
    #[error("this is not a record of a known version: {0}")]
    NotARecord(String),
}

/// A receipt or a checkpoint that somebody kept.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Names it in findings; a file name.
    pub name: String,
    /// Its file's content.
    pub text: String,
}

/// How far an audit is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub leaves: u64,
    /// As the header says.
    pub of: u64,
}

/// Checks a record, with the receipts and checkpoints that somebody kept.
///
/// The record is read twice at its end (checkpoints), otherwise once, and a second time only to place a fault. Memory:
/// 16 bytes a voter and 4 MiB; with more than one ballot a voter, or the last counting, some 60 to 100 bytes a voter.
/// Speed: above a million ballots a second on two cores. What cannot be read as a record is an error, every other
/// fault a finding.
pub fn run(
    record: impl BufRead + Seek,
    receipts: &[Kept],
    checkpoints: &[Kept],
) -> Result<Report, AuditError> {
    run_with_progress(record, receipts, checkpoints, &mut |_| ())
}

/// [`run`], telling `progress` every 65,536 leaves.
pub fn run_with_progress(
    mut record: impl BufRead + Seek,
    receipts: &[Kept],
    checkpoints: &[Kept],
    progress: &mut dyn FnMut(Progress),
) -> Result<Report, AuditError> {
    let receipts = Receipts::read(receipts);
    let mut sizes = sizes_at_end(&mut record).map_err(AuditError::Read)?;
    sizes.extend(kept_sizes(checkpoints));
    let length = record.stream_position().map_err(AuditError::Read)?;
    let length = record.seek(io::SeekFrom::End(0)).map_err(AuditError::Read)?.max(length);
    record.rewind().map_err(AuditError::Read)?;

    let mut lines = NumberedLines { lines: Lines::new(&mut record), number: 0 };
    let header = read_header(&mut lines)?;
    let mut pass = Pass::new(header, length, sizes, receipts.leaves());
    let read = pass.read(&mut lines, progress);
    drop(lines);
    match read {
        Ok(rest) => judge(pass, rest, &mut record, &receipts, checkpoints),
        Err(Stop::Read(error)) => Err(AuditError::Read(error)),
        Err(Stop::Form(finding)) => Ok(form_failed(pass, finding)),
    }
}
