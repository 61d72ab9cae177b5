//! The benchmark's clocks: measuring is the one thing it is for.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Microseconds of the wall clock, which two processes on one machine share.
#[allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]
pub fn unix_micros() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
}
