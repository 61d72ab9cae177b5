//! Safeguards that tests may switch off one at a time, to prove that the suite notices (feature `mutation`).
//!
//! Without the feature every question answers "keep it" as a constant, so a product build has no switch.

/// A safeguard of this crate that a mutation removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None = 0,
    /// A vote or an acknowledgement is sent before what it rests on is synced.
    SyncBeforeAnswer = 1,
    /// What is appended is handed out at once, committed or not.
    OnlyCommitted = 2,
    /// Reads are answered with what is committed here, without asking anybody.
    ReadQuorum = 3,
    /// A membership is appended before it is on disk that the one before is committed.
    CommitBeforeMembership = 4,
    /// What was not written for want of room is acknowledged all the same.
    FullDisk = 5,
    /// A leader takes its own disk for a majority.
    Quorum = 10,
    /// Who was cut off raises the term without asking whether anybody would follow.
    PreVote = 11,
    /// Whatever a message says is taken as said in the present term.
    TermCheck = 12,
    /// A node that is bound to found with some binds itself to others as well.
    Bound = 6,
    /// A cluster is founded when all but one have agreed.
    EveryPromise = 7,
}

#[cfg(feature = "mutation")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static OFF: Cell<Mutation> = const { Cell::new(Mutation::None) };
    }

    /// Removes one safeguard on this thread until it is set to [`Mutation::None`] again.
    pub fn switch_off(mutation: Mutation) {
        OFF.with(|off| off.set(mutation));
    }

    pub(crate) fn is_off(mutation: Mutation) -> bool {
        OFF.with(|off| off.get() == mutation)
    }
}

#[cfg(feature = "mutation")]
pub(crate) use switch::is_off;
#[cfg(feature = "mutation")]
pub use switch::switch_off;

#[cfg(not(feature = "mutation"))]
#[inline(always)]
pub(crate) const fn is_off(_: Mutation) -> bool {
    false
}
