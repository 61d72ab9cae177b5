//! What a simulation fails with: a promise that was broken, and how.

use std::fmt;

/// The promises, each with its file under `invariants`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    Acknowledged,
    OneVoter,
    OnlyCommitted,
    Replay,
    Retry,
    Tally,
    Closed,
    Refused,
    Serves,
    OneLeader,
    SameLog,
    Reads,
    Once,
    Kept,
}

#[derive(Debug, thiserror::Error)]
#[error("broken promise `{promise}`: {what}")]
pub struct Broken {
    pub promise: Promise,
    pub what: String,
}

impl Promise {
    pub fn broken(self, what: impl Into<String>) -> Broken {
        Broken { promise: self, what: what.into() }
    }

    /// Fails where `holds` is false.
    pub fn check(self, holds: bool, what: impl FnOnce() -> String) -> Result<(), Broken> {
        if holds { Ok(()) } else { Err(self.broken(what())) }
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Promise::Acknowledged => "an acknowledged ballot stays at its leaf",
            Promise::OneVoter => "one voter, one counted ballot",
            Promise::OnlyCommitted => "nothing is answered that is not committed",
            Promise::Replay => "equal logs give equal bytes",
            Promise::Retry => "a retry gets the same leaf",
            Promise::Tally => "the counts are those of the ballots",
            Promise::Closed => "closed stays closed, and a deadline holds",
            Promise::Refused => "a refusal has its reason and leaves no trace",
            Promise::Serves => "faults end, and the node serves",
            Promise::OneLeader => "a term has one leader",
            Promise::SameLog => "all nodes have one history",
            Promise::Reads => "a read sees what was committed before it",
            Promise::Kept => "what is on disk stays, and who comes back disturbs nobody",
            Promise::Once => "what is asked once is done once",
        })
    }
}
