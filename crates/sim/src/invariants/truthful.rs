//! Every answer is true of some moment between question and answer, whatever node gives it (issue: "recorded, refused
//! (why), or not known yet; never rolled back"; "a refusal that is final for the voter is confirmed like a linearizable
//! read").
//!
//! `views` are all that the plain model said of the paper from the state in which it was sent to the one in which it was
//! answered. Who was told that a ballot is refused must not find it counted later: the model remembers who was turned
//! away.

use crate::broken::{Broken, Promise};
use crate::invariants::refused::{Answered, Views};
use crate::lookup::Resolved;
use crate::model::{Model, Verdict};
use node::SubmitError;

pub fn check(model: &Model, paper: usize, views: &Views, answered: &Answered) -> Result<(), Broken> {
    let logged = model.logged.get(&paper);
    let tell = || format!("paper {paper} was answered {answered:?}; logged {logged:?}, seen {views:?}");
    let is_accepted = matches!(logged, Some(Verdict::Accepted { .. }));
    let was = |fits: &dyn Fn(&Verdict) -> bool| logged.is_some_and(fits) || views.iter().any(fits);
    let is_reason = |code: &str| {
        was(&|verdict| match verdict {
            Verdict::Refused(expected) => *expected == code,
            Verdict::Rubbish => true,
            _ => false,
        })
    };
    match answered {
        Answered::Accepted { leaf, ballot } => {
            let is_there = logged == Some(&Verdict::Accepted { leaf: *leaf, ballot: *ballot });
            Promise::OnlyCommitted.check(is_there, tell)
        }
        // True whatever has become of it; the voter asks again with the same key.
        Answered::Refused(SubmitError::NotKnownYet) => Ok(()),
        Answered::Refused(SubmitError::StorageFull) => Promise::Refused.check(!is_accepted, tell),
        Answered::Refused(SubmitError::Rejected(rejection)) => {
            Promise::Refused.check(!is_accepted && is_reason(rejection.code()), tell)
        }
        Answered::Refused(_) => Err(Promise::Serves.broken(tell())),
        Answered::Repeated(Resolved::Same { leaf, .. }) => {
            let is_repeat = was(&|verdict| *verdict == Verdict::Repeat { leaf: *leaf });
            // A copy of this very paper may be the one at the leaf: then it is no repeat, and as good.
            let is_own = matches!(logged, Some(Verdict::Accepted { leaf: own, .. }) if own == leaf);
            Promise::Retry.check(is_repeat || is_own, tell)
        }
        Answered::Repeated(Resolved::KeyReused) => {
            let is_reused = was(&|verdict| matches!(verdict, Verdict::KeyReused | Verdict::Rubbish));
            Promise::Retry.check(!is_accepted && is_reused, tell)
        }
        Answered::Repeated(Resolved::Refused(rejection)) => {
            Promise::Refused.check(!is_accepted && is_reason(rejection.code()), tell)
        }
        Answered::Repeated(Resolved::Unreadable(_)) => Err(Promise::Serves.broken(tell())),
    }
}
