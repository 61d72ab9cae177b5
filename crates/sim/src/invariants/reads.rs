//! A read that decides something sees all that was committed before it was asked, at whatever node, and a session never
//! goes back (issue: "reads that decide something are linearizable").

use crate::broken::{Broken, Promise};

/// A read was answered at `position`; when it was asked, `committed` entries were known to somebody, and the session had
/// seen `last`.
pub fn check(position: u64, committed: u64, last: u64) -> Result<(), Broken> {
    Promise::Reads.check(position >= committed, || {
        format!("a read sees {position} entries; {committed} were committed when it was asked")
    })?;
    Promise::Reads.check(position >= last, || format!("a session saw {last} entries, and now {position}"))
}
