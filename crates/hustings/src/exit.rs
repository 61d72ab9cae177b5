//! How the program ends: documented exit codes, and the error that carries one.

use std::fmt;

use crate::output::note;

/// Exit codes of `hustings`, the same for every command.
///
/// | code | name          | meaning |
/// |------|---------------|---------|
/// | 0    | `Ok`          | done, and where a question was asked the answer is yes |
/// | 1    | `No`          | the answer is no: an audit, a mirror, a doctor or a verification found something |
/// | 2    | `Usage`       | wrong arguments, file or configuration; nothing was done |
/// | 3    | `Unreachable` | the server cannot be reached |
/// | 4    | `Refused`     | the server understood and refused (4xx); its code is in the message |
/// | 5    | `Damaged`     | data damaged: a ledger, backup or answer that cannot be what was written |
/// | 69   | `Unavailable` | a service cannot be given now: port taken, folder in use, server overloaded or full |
/// | 70   | `Internal`    | a fault of the program itself |
/// | 74   | `Io`          | the disk failed: read, write or sync; a server ends at once with this |
/// | 75   | `NotKnown`    | it is not known yet whether it was recorded; the same request again tells |
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Ok = 0,
    No = 1,
    Usage = 2,
    Unreachable = 3,
    Refused = 4,
    Damaged = 5,
    Unavailable = 69,
    Internal = 70,
    Io = 74,
    NotKnown = 75,
}

/// The table above for `hustings --help`.
pub const EXIT_CODES_HELP: &str = "\
Exit codes:
   0  done; where a question was asked, the answer is yes
   1  the answer is no: an audit, mirror, doctor or verification found something
   2  wrong arguments, file or configuration; nothing was done
   3  the server cannot be reached
   4  the server refused; its code is in the message
   5  data damaged: a ledger, a backup or an answer
  69  not available now: port taken, folder in use, server overloaded or full
  70  a fault of the program itself
  74  the disk failed; a server ends at once with this
  75  it is not known yet whether it was recorded; the same command with the same key tells";

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        std::process::ExitCode::from(exit as u8)
    }
}

/// An error with its exit code, a stable code where a server gave one, and what to do about it.
#[derive(Debug)]
pub struct Failure {
    pub exit: Exit,
    pub message: String,
    /// Stable code of a problem document, such as `already_voted`.
    pub code: Option<String>,
    /// One sentence that says what to do; printed on a line of its own.
    pub hint: Option<String>,
}

impl Failure {
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), code: None, hint: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// Exit code of an error: that of the [`Failure`] in its chain, 74 for a bare input/output error, else 70.
pub fn exit_of(error: &anyhow::Error) -> Exit {
    if let Some(failure) = failure_in(error) {
        return failure.exit;
    }
    match error.chain().any(|cause| cause.is::<std::io::Error>()) {
        true => Exit::Io,
        false => Exit::Internal,
    }
}

/// Prints the error once, on standard error: sentences for people, one JSON object for programs.
pub fn print_error(error: &anyhow::Error, json: bool) {
    let exit = exit_of(error);
    let message = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
    let failure = failure_in(error);
    let hint = failure.and_then(|failure| failure.hint.as_deref());
    let code = failure.and_then(|failure| failure.code.as_deref());
    if json {
        let body = serde_json::json!({"error": {"exit": exit as u8, "code": code, "message": message, "hint": hint}});
        return note(body.to_string());
    }
    match code {
        Some(code) => note(format!("hustings: {message} ({code})")),
        None => note(format!("hustings: {message}")),
    }
    if let Some(hint) = hint {
        note(hint);
    }
}

fn failure_in(error: &anyhow::Error) -> Option<&Failure> {
    error.chain().find_map(|cause| cause.downcast_ref::<Failure>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context as _;

    #[test]
    fn a_failure_keeps_its_exit_code_under_context() {
        let error = Err::<(), _>(Failure::usage("no such file")).context("reading").expect_err("is an error");
        assert_eq!(exit_of(&error), Exit::Usage);
    }

    #[test]
    fn a_bare_disk_error_is_74_and_anything_else_70() {
        assert_eq!(exit_of(&std::io::Error::other("disk").into()), Exit::Io);
        assert_eq!(exit_of(&anyhow::anyhow!("a bug")), Exit::Internal);
    }

    #[test]
    fn the_help_lists_every_code() {
        for exit in [
            Exit::Ok,
            Exit::No,
            Exit::Usage,
            Exit::Unreachable,
            Exit::Refused,
            Exit::Damaged,
            Exit::Unavailable,
            Exit::Internal,
            Exit::Io,
            Exit::NotKnown,
        ] {
            let number = format!("{:>4}  ", exit as u8);
            assert!(EXIT_CODES_HELP.contains(&number), "{number} is not in the help");
        }
    }
}
