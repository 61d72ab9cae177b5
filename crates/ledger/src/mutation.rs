//! Safeguards that tests may switch off one at a time, to prove that the suite notices (feature `mutation`).
//!
//! Without the feature every question answers "keep it" as a constant, so a product build has no switch.

/// A safeguard of this crate that a mutation removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None = 0,
    /// An append counts before it is synced.
    Sync = 1,
    /// Damage to what was confirmed is cut like an unfinished record.
    MarkCheck = 2,
    /// Readers see what is not committed.
    OnlyCommitted = 3,
    /// A torn record is left where it is.
    Cut = 4,
    /// What was read back after a failed sync is trusted.
    WriteAgain = 5,
    /// What a write left behind on a full disk stays.
    Wipe = 6,
    /// Term and vote are written without a sync.
    HardState = 7,
    /// What is committed may be taken back.
    TruncateCommitted = 8,
    /// The end is taken back without a note that says so.
    CutNote = 9,
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
