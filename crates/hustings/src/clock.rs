//! The one place of the binary that asks the system for the time: progress, pacing and latency figures only.
//! Nothing that decides about an election goes through here.

use std::time::Instant;

#[allow(clippy::disallowed_methods)] // Progress and latency on screen; no rule depends on it.
pub fn now() -> Instant {
    Instant::now()
}

/// Wall clock, for file names and for turning `--by 10m` into a time.
pub fn wall() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
