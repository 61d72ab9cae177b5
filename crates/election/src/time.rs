//! Time as data: wall milliseconds and the hybrid logical clock that stamps every command.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    /// Parses RFC 3339 with any offset (`2027-03-01T18:00:00Z`); `None` if it is not such a time or before 1970.
    pub fn parse_rfc3339(text: &str) -> Option<Self> {
        let stamp: jiff::Timestamp = text.parse().ok()?;
        u64::try_from(stamp.as_millisecond()).ok().map(UnixMillis)
    }
}

/// RFC 3339 in UTC with milliseconds, always 24 characters: `2027-03-01T18:00:00.000Z`.
impl fmt::Display for UnixMillis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = i64::try_from(self.0).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_millisecond(millis) {
            Ok(stamp) => write!(f, "{stamp:.3}"),
            Err(_) => write!(f, "9999-12-31T23:59:59.999Z"),
        }
    }
}

/// Hybrid logical time: wall milliseconds in the upper 48 bits, a counter in the lower 16.
///
/// Source: Kulkarni et al., "Logical Physical Clocks", OPODIS 2014, section 3; the counter that overflows
/// carries into the milliseconds, which keeps the order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Hlc(pub u64);

impl Hlc {
    pub fn at(wall: UnixMillis) -> Self {
        Hlc(wall.0 << 16)
    }

    /// The stamp after `self` for an event at `wall`: later than both.
    pub fn next(self, wall: UnixMillis) -> Self {
        Hlc((self.0 + 1).max(wall.0 << 16))
    }

    pub fn wall(self) -> UnixMillis {
        UnixMillis(self.0 >> 16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc_with_milliseconds() {
        let time = UnixMillis::parse_rfc3339("2027-03-01T19:00:00+01:00").unwrap();
        assert_eq!(time.to_string(), "2027-03-01T18:00:00.000Z");
        assert_eq!(UnixMillis(1).to_string(), "1970-01-01T00:00:00.001Z");
    }

    #[test]
    fn hybrid_time_never_goes_back_when_the_wall_clock_does() {
        let first = Hlc::default().next(UnixMillis(1000));
        let second = first.next(UnixMillis(10));
        assert!(second > first);
        assert_eq!(second.wall(), UnixMillis(1000));
    }
}
