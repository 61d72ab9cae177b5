//! Rules that tests may switch off one at a time, to prove that the suite notices. Without the feature `mutation` none
//! of this exists.

use std::cell::Cell;

/// A rule of this crate that a mutation removes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    None = 0,
    /// A batch is applied and answered before it is in the log.
    OnlyCommitted = 1,
}

thread_local! {
    static OFF: Cell<Mutation> = const { Cell::new(Mutation::None) };
}

/// Removes one rule on this thread until it is set to [`Mutation::None`] again.
pub fn switch_off(mutation: Mutation) {
    OFF.with(|off| off.set(mutation));
}

pub(crate) fn is_off(mutation: Mutation) -> bool {
    OFF.with(|off| off.get() == mutation)
}
