//! What clients saw: every request with the time at which it was begun and answered. One clock for all of them.

use std::time::Instant;

use serde_json::Value;

use crate::support::now;

/// Microseconds since the run began.
pub type At = u64;

#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn new() -> Self {
        Self(now())
    }

    pub fn now(&self) -> At {
        u64::try_from(self.0.elapsed().as_micros()).expect("not that long")
    }
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It stands in the log, at this leaf. Single ballots have its hash, too.
    Recorded { index: u64, leaf: String },
    /// Stable code.
    Refused(String),
    /// `not_known_yet`, one of the answers that ask to come back, or none at all.
    Open(String),
}

/// One request of a ballot.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Machine that was asked.
    pub place: usize,
    pub begun: At,
    pub ended: At,
    pub answer: Answer,
}

/// One ballot that somebody wanted to cast, with all requests for it.
#[derive(Clone, Debug)]
pub struct Cast {
    pub election: usize,
    /// What the ballot says: unlike for every voter and every variant of a voter's ballot.
    pub content: u32,
    pub voter: u32,
    /// The voter's own; else a gateway names the voter.
    pub token: Option<String>,
    pub key: Option<String>,
    pub attempts: Vec<Attempt>,
    /// As the server gave it, of the last attempt that was recorded.
    pub receipt: Option<Value>,
}

impl Cast {
    pub fn final_answer(&self) -> &Answer {
        &self.attempts.last().expect("every ballot is tried").answer
    }

    pub fn begun(&self) -> At {
        self.attempts.first().expect("every ballot is tried").begun
    }

    /// When it was first known to be recorded, and where.
    pub fn recorded(&self) -> Option<(At, u64)> {
        self.attempts.iter().find_map(|attempt| match attempt.answer {
            Answer::Recorded { index, .. } => Some((attempt.ended, index)),
            _ => None,
        })
    }
}

/// What officers did. Between `begun` and `ended` it happened.
#[derive(Clone, Debug)]
pub struct Act {
    pub election: usize,
    pub what: ActKind,
    pub begun: At,
    pub ended: At,
    pub requests: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActKind {
    Create,
    Open,
    Pause,
    Close,
}

impl ActKind {
    pub fn word(self) -> &'static str {
        match self {
            ActKind::Create => "create",
            ActKind::Open => "open",
            ActKind::Pause => "pause",
            ActKind::Close => "close",
        }
    }
}

/// What somebody read who asked one server again and again.
#[derive(Clone, Debug)]
pub struct Reading {
    pub place: usize,
    /// How often that server had been started.
    pub start: u32,
    pub election: usize,
    pub at: At,
    pub position: u64,
    pub ballots: u64,
}

/// Everything.
#[derive(Debug, Default)]
pub struct History {
    pub casts: Vec<Cast>,
    pub acts: Vec<Act>,
    pub readings: Vec<Reading>,
    /// Who led in which term, as any server said at any time.
    pub leaders: Vec<(u64, u64)>,
    /// Answers that must not be, whatever the record says.
    pub wrong: Vec<String>,
}
