//! A refusal has its reason and leaves no trace (design: "Overload, bad input and lost machines give clear errors; they
//! never give a wrong count"; `docs/formats.md`: a refused command changes nothing but the time).
//!
//! An answer is held against what the plain model says of that very paper: at its place in the log, or, for one that
//! never got there, in one of the states it was looked at in. That a refused paper is not counted follows from the
//! model's leaves being the node's.

use crate::broken::{Broken, Promise};
use crate::lookup::Resolved;
use crate::model::{ActVerdict, Model, OF_ROOMS, Verdict};
use node::{Acted, SubmitError};

/// What was answered to one paper, boiled down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answered {
    Accepted { leaf: u64, ballot: u64 },
    Repeated(Resolved),
    Refused(SubmitError),
}

/// What the model said of a paper while it waited, without doublets.
pub type Views = Vec<Verdict>;

/// Whether the answer to `paper` is the right one. `now` is the model's view after the turn.
pub fn check_answer(
    model: &Model,
    paper: usize,
    views: &Views,
    now: Verdict,
    answered: &Answered,
) -> Result<(), Broken> {
    let logged = model.logged.get(&paper);
    let tell =
        || format!("paper {paper} was answered {answered:?}; logged {logged:?}, seen {views:?}, now {now:?}");
    let is_reason = |code: &str| {
        let fits = |verdict: &Verdict| match verdict {
            Verdict::Refused(expected) => *expected == code,
            Verdict::Rubbish => true,
            _ => false,
        };
        match logged {
            Some(verdict) => fits(verdict),
            None => views.iter().any(fits),
        }
    };
    let is_accepted = matches!(logged, Some(Verdict::Accepted { .. }));
    match answered {
        Answered::Accepted { leaf, ballot } => {
            let is_there = logged == Some(&Verdict::Accepted { leaf: *leaf, ballot: *ballot });
            Promise::OnlyCommitted.check(is_there, tell)
        }
        Answered::Refused(SubmitError::StorageFull) => Promise::Refused.check(logged.is_none(), tell),
        Answered::Refused(SubmitError::Rejected(rejection)) => {
            Promise::Refused.check(!is_accepted && is_reason(rejection.code()), tell)
        }
        Answered::Refused(_) => Err(Promise::Serves.broken(tell())),
        Answered::Repeated(Resolved::Same { leaf, .. }) => {
            Promise::Retry.check(!is_accepted && now == Verdict::Repeat { leaf: *leaf }, tell)
        }
        Answered::Repeated(Resolved::KeyReused) => {
            let is_reused = matches!(now, Verdict::KeyReused | Verdict::Rubbish);
            Promise::Retry.check(!is_accepted && is_reused, tell)
        }
        Answered::Repeated(Resolved::Refused(rejection)) => {
            Promise::Retry.check(!matches!(now, Verdict::Repeat { .. } | Verdict::KeyReused), tell)?;
            Promise::Refused.check(!is_accepted && is_reason(rejection.code()), tell)
        }
        Answered::Repeated(Resolved::Unreadable(_)) => Err(Promise::Serves.broken(tell())),
    }
}

/// Whether an officer was told what became of the act.
pub fn check_act(expected: &ActVerdict, answered: &Result<Box<Acted>, SubmitError>) -> Result<(), Broken> {
    let tell = || format!("an act was answered {answered:?} instead of {expected:?}");
    let is_right = match (&expected.outcome, answered) {
        (Ok(stage), Ok(acted)) => {
            stage.map(|stage| stage.as_str()) == acted.state.map(|state| state.as_str())
        }
        (Err(OF_ROOMS), _) => true,
        // Which field of a definition is at fault is not the model's to know.
        (Err("a refused definition"), Err(SubmitError::Rejected(rejection))) => {
            matches!(rejection.code(), "invalid_definition" | "not_supported")
        }
        (Err(code), Err(SubmitError::Rejected(rejection))) => *code == rejection.code(),
        _ => false,
    };
    Promise::Refused.check(is_right, tell)
}
