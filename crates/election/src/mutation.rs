//! Checks that tests may switch off one at a time, to prove that the suite notices (feature `mutation`).
//!
//! Without the feature every question answers "keep it" as a constant, so a product build has no switch.

/// A check of this crate that a mutation removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None = 0,
    VotedCheck = 1,
    IdempotencyCheck = 2,
}

#[cfg(feature = "mutation")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static OFF: Cell<Mutation> = const { Cell::new(Mutation::None) };
    }

    /// Removes one check on this thread until it is set to [`Mutation::None`] again.
    pub fn switch_off(mutation: Mutation) {
        OFF.with(|off| off.set(mutation));
    }

    pub fn is_off(mutation: Mutation) -> bool {
        OFF.with(|off| off.get() == mutation)
    }
}

#[cfg(feature = "mutation")]
pub use switch::{is_off, switch_off};

#[cfg(not(feature = "mutation"))]
#[inline(always)]
pub const fn is_off(_: Mutation) -> bool {
    false
}
