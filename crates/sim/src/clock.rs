//! The machine's clocks, simulated: a monotonic one that only goes on, and a wall clock that drifts and steps.

use node::ClockReading;
use node::clock::Follower;

/// 2026-11-20T10:00:00Z.
const START_MILLIS: u64 = 1_795_168_800_000;

/// Both clocks, and the node's own time that follows them.
#[derive(Clone, Debug)]
pub struct Clock {
    /// Milliseconds since the simulation began: what really passes.
    elapsed: u64,
    wall: u64,
    /// Milliseconds the wall clock gains in 1,000.
    drift: i64,
    follower: Follower,
}

impl Clock {
    pub fn new() -> Self {
        Clock { elapsed: 0, wall: START_MILLIS, drift: 0, follower: Follower::new(START_MILLIS, 0) }
    }

    pub fn advance(&mut self, millis: u64) {
        self.elapsed += millis;
        let gained = i64::try_from(millis).expect("steps are small") * self.drift / 1_000;
        self.wall = self.wall.saturating_add(millis).saturating_add_signed(gained);
    }

    /// The wall clock is set, by an operator or by a time server.
    pub fn step_wall(&mut self, millis: i64) {
        self.wall = self.wall.saturating_add_signed(millis);
    }

    pub fn set_drift(&mut self, permille: i64) {
        self.drift = permille;
    }

    /// The wall clock is put right and keeps time from now on.
    pub fn heal(&mut self) {
        self.wall = START_MILLIS + self.elapsed;
        self.drift = 0;
    }

    /// A new process knows only the wall clock.
    pub fn restart(&mut self) {
        self.follower = Follower::new(self.wall, self.elapsed);
    }

    pub fn read(&mut self) -> ClockReading {
        self.follower.read(self.wall, self.elapsed)
    }

    /// An officer says that the wall clock is right.
    pub fn confirm(&mut self) {
        self.follower.confirm(self.wall);
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}
