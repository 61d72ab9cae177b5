//! The one place that asks the system for the time.
//!
//! A running node advances by the monotonic clock and slews to the wall clock. A step of the wall clock of more
//! than a second is not followed: it raises an alarm, and no deadline fires until the step is undone or an officer
//! confirms it.

use cluster::time::{Adjustment, ClusterClock, TimeConfig};
use election::UnixMillis;

/// A wall clock that is further off than this has stepped.
pub const STEP_MILLIS: u64 = 1_000;
/// Share by which the node's clock is slewed: at most 1 ms in 200.
const SLEW_DIVISOR: u64 = 200;

/// The time as a node may use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClockReading {
    pub now: UnixMillis,
    /// False while the wall clock has stepped away, or no majority's clocks agree: deadlines wait.
    pub is_steady: bool,
    /// By how much `now` may be wrong, as far as clocks were compared; 0 on a node alone. A deadline has passed once
    /// `now` less this has.
    pub error_millis: u64,
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
        ClockReading { now: UnixMillis(self.shown), is_steady: self.is_steady, error_millis: 0 }
    }

    /// An officer says that the wall clock is right: forward at once, backwards by standing still until it is there.
    pub fn confirm(&mut self, wall: u64) {
        self.now = wall;
        self.is_steady = true;
    }
}

/// The machine's clocks, behind a [`Follower`], or behind the time that a cluster agrees on.
#[derive(Debug)]
pub struct SystemClock {
    follower: Follower,
    started: std::time::Instant,
    cluster: Option<InCluster>,
}

#[derive(Debug)]
struct InCluster {
    clock: ClusterClock,
    shown: u64,
}

impl SystemClock {
    #[allow(clippy::disallowed_methods)] // the one place that may
    pub fn start() -> Self {
        let started = std::time::Instant::now();
        SystemClock { follower: Follower::new(wall_millis(), 0), started, cluster: None }
    }

    /// From now on a cluster's time is followed, and the wall clock is only one of those that it is agreed from.
    pub fn join_cluster(&mut self, config: TimeConfig, now: cluster::time::ClockReading) {
        self.cluster = Some(InCluster { clock: ClusterClock::new(config, now), shown: 0 });
    }

    pub fn read(&mut self) -> ClockReading {
        let monotonic = self.monotonic();
        match &mut self.cluster {
            None => self.follower.read(wall_millis(), monotonic),
            Some(InCluster { clock, shown }) => {
                let time = clock.read(monotonic_micros(self.started));
                *shown = (*shown).max(time.now_ms);
                let (now, error_millis) = (UnixMillis(*shown), time.error_ms);
                ClockReading { now, is_steady: time.is_agreed, error_millis }
            }
        }
    }

    /// What the cluster's leader says of the time. Nothing on a node alone.
    pub fn adjust(&mut self, adjustment: Adjustment) {
        if let Some(InCluster { clock, .. }) = &mut self.cluster {
            clock.adjust(adjustment, monotonic_micros(self.started));
        }
    }

    /// The system's clock less cluster time in milliseconds, and by how much that may be wrong; `None` on a node alone,
    /// and before clocks were compared.
    pub fn offset(&mut self) -> Option<(i64, u64)> {
        let InCluster { clock, .. } = self.cluster.as_mut()?;
        let time = clock.read(monotonic_micros(self.started));
        let offset = i64::try_from(wall_millis()).ok()?.checked_sub(i64::try_from(time.now_ms).ok()?)?;
        (time.error_ms < u64::MAX).then_some((offset, time.error_ms))
    }

    /// Both clocks of the machine, as those of a cluster are compared.
    #[allow(clippy::disallowed_methods)] // the one place that may
    pub fn both(&self) -> cluster::time::ClockReading {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        cluster::time::ClockReading {
            system_us: i64::try_from(unix.as_micros()).unwrap_or(i64::MAX),
            monotonic_us: monotonic_micros(self.started),
        }
    }

    /// Another clock with the same beginning.
    pub fn twin(&self) -> Self {
        SystemClock { follower: self.follower, started: self.started, cluster: None }
    }

    /// Reads [`both`](Self::both) from anywhere.
    pub fn reader(&self) -> impl Fn() -> cluster::time::ClockReading + Send + Sync + 'static {
        let clock = self.twin();
        move || clock.both()
    }

    pub fn confirm(&mut self) {
        match &mut self.cluster {
            None => self.follower.confirm(wall_millis()),
            Some(InCluster { clock, .. }) => clock.confirm(monotonic_micros(self.started)),
        }
    }

    /// Milliseconds since the start, whatever the wall clock does.
    pub fn monotonic(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

fn monotonic_micros(started: std::time::Instant) -> u64 {
    u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX)
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
        assert_eq!(
            clock.read(1_000_100, 100),
            ClockReading { now: UnixMillis(1_000_100), is_steady: true, error_millis: 0 }
        );
        let stepped = clock.read(5_000_200, 200);
        assert_eq!(stepped, ClockReading { now: UnixMillis(1_000_200), is_steady: false, error_millis: 0 });
        let back = clock.read(1_000_300, 300);
        assert_eq!(back, ClockReading { now: UnixMillis(1_000_300), is_steady: true, error_millis: 0 });
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
        let waiting = ClockReading { now: UnixMillis(5_000_010), is_steady: true, error_millis: 0 };
        assert_eq!(clock.read(1_010_000, 10_000), waiting);
        assert!(!clock.read(9_000, 20_000).is_steady, "another step");
        assert_eq!(clock.read(1_030_000, 30_000), waiting);
        let caught_up = ClockReading { now: UnixMillis(5_001_000), is_steady: true, error_millis: 0 };
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
        assert_eq!(reading, ClockReading { now: UnixMillis(1_009_950), is_steady: true, error_millis: 0 });
    }
}
