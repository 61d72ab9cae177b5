//! The one place that asks the system for the time.
//!
//! A running node advances by the monotonic clock and slews to the wall clock. A step of the wall clock of more
//! than a second is not followed: it raises an alarm, and no deadline fires until the step is undone or an officer
//! confirms it.

use election::UnixMillis;

/// A wall clock that is further off than this has stepped.
pub const STEP_MILLIS: u64 = 1_000;
/// Share by which the node's clock is slewed: at most 1 ms in 200.
const SLEW_DIVISOR: u64 = 200;

/// The time as a node may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    pub now: UnixMillis,
    /// False while the wall clock has stepped away: deadlines wait.
    pub is_steady: bool,
}

/// Follows a wall clock without ever going back or jumping. Pure: both clocks are arguments.
#[derive(Clone, Copy, Debug)]
pub struct Follower {
    /// What it follows the wall clock with; an officer may set it back.
    now: u64,
    /// What was shown last, which never goes back.
    shown: u64,
    monotonic: u64,
    is_steady: bool,
    /// Milliseconds passed that no slewing has been done for yet.
    unslewed: u64,
}

impl Follower {
    /// Starts at `wall`; both in milliseconds.
    pub fn new(wall: u64, monotonic: u64) -> Self {
        Follower { now: wall, shown: wall, monotonic, is_steady: true, unslewed: 0 }
    }

    /// Advances to `monotonic` and slews towards `wall`.
    pub fn read(&mut self, wall: u64, monotonic: u64) -> ClockReading {
        let elapsed = monotonic.saturating_sub(self.monotonic);
        self.monotonic = monotonic.max(self.monotonic);
        let expected = self.now + elapsed;
        let off = wall.abs_diff(expected);
        self.is_steady = off <= STEP_MILLIS;
        // Summed up, because readings come closer together than the 200 ms that allow one of slewing.
        self.unslewed = (self.unslewed + elapsed).min(10_000);
        let slew = if self.is_steady { off.min(self.unslewed / SLEW_DIVISOR) } else { 0 };
        self.unslewed -= slew * SLEW_DIVISOR;
        self.now = if wall >= expected { expected + slew } else { expected - slew };
        self.shown = self.shown.max(self.now);
        ClockReading { now: UnixMillis(self.shown), is_steady: self.is_steady }
    }

    /// An officer says that the wall clock is right: forward at once, backwards by standing still until it is there.
    pub fn confirm(&mut self, wall: u64) {
        self.now = wall;
        self.is_steady = true;
    }
}

/// The machine's clocks, behind a [`Follower`].
#[derive(Debug)]
pub struct SystemClock {
    follower: Follower,
    started: std::time::Instant,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that may
    pub fn start() -> Self {
        let started = std::time::Instant::now();
        SystemClock { follower: Follower::new(wall_millis(), 0), started }
    }

    pub fn read(&mut self) -> ClockReading {
        let monotonic = self.monotonic();
        self.follower.read(wall_millis(), monotonic)
    }

    pub fn confirm(&mut self) {
        self.follower.confirm(wall_millis());
    }

    /// Milliseconds since the start, whatever the wall clock does.
    pub fn monotonic(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

#[allow(clippy::disallowed_methods)] // the one place that may
fn wall_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_of_the_wall_clock_raises_an_alarm_and_is_not_followed() {
        let mut clock = Follower::new(1_000_000, 0);
        assert_eq!(clock.read(1_000_100, 100), ClockReading { now: UnixMillis(1_000_100), is_steady: true });
        let stepped = clock.read(5_000_200, 200);
        assert_eq!(stepped, ClockReading { now: UnixMillis(1_000_200), is_steady: false });
        let back = clock.read(1_000_300, 300);
        assert_eq!(back, ClockReading { now: UnixMillis(1_000_300), is_steady: true });
    }

    #[test]
    fn a_confirmed_step_is_followed_forwards_at_once_and_never_backwards() {
        let mut clock = Follower::new(1_000_000, 0);
        clock.read(5_000_000, 10);
        clock.confirm(5_000_000);
        assert!(clock.read(5_000_010, 20).is_steady);
        clock.read(1_000_000, 30);
        clock.confirm(1_000_000);
        assert!(clock.read(1_000_010, 40).now >= UnixMillis(5_000_000));
    }

    #[test]
    fn a_confirmed_step_backwards_is_waited_for_without_an_alarm() {
        let mut clock = Follower::new(5_000_000, 0);
        assert!(!clock.read(1_000_010, 10).is_steady);
        clock.confirm(1_000_010);
        let waiting = ClockReading { now: UnixMillis(5_000_010), is_steady: true };
        assert_eq!(clock.read(1_010_000, 10_000), waiting);
        assert!(!clock.read(9_000, 20_000).is_steady, "another step");
        assert_eq!(clock.read(1_030_000, 30_000), waiting);
        let caught_up = ClockReading { now: UnixMillis(5_001_000), is_steady: true };
        assert_eq!(clock.read(5_001_000, 4_001_000), caught_up);
    }

    #[test]
    fn slewing_does_not_depend_on_how_often_the_clock_is_read() {
        let mut clock = Follower::new(1_000_000, 0);
        let readings = (1..=10_000).map(|millis| clock.read(1_000_000 + millis - 500, millis));
        assert_eq!(readings.last().unwrap().now, UnixMillis(1_009_950));
    }

    #[test]
    fn a_slow_wall_clock_is_approached_by_slewing() {
        let mut clock = Follower::new(1_000_000, 0);
        let reading = clock.read(1_009_500, 10_000);
        assert_eq!(reading, ClockReading { now: UnixMillis(1_009_950), is_steady: true });
    }
}
