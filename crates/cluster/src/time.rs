//! Time that a cluster agrees on.

/// Both clocks of one machine at one moment, as the caller reads them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReading {
    /// The wall clock: microseconds since 1970, wrong by any amount.
    pub system_us: i64,
    /// Microseconds since some moment of this process; never goes back.
    pub monotonic_us: u64,
}

/// What one question and its answer told of another machine's clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockSample {
    /// By our monotonic clock, the middle between question and answer: the other's clocks were read then, give or
    /// take half of `round_trip_us`.
    pub at_us: u64,
    pub round_trip_us: u64,
    pub peer_system_us: i64,
    pub peer_monotonic_us: u64,
}

impl ClockSample {
    /// Of a question sent and an answer received at these monotonic times of ours; `None` if that is impossible.
    #[must_use]
    pub fn of_exchange(
        sent_us: u64,
        received_us: u64,
        peer_system_us: i64,
        peer_monotonic_us: u64,
    ) -> Option<Self> {
        let round_trip_us = received_us.checked_sub(sent_us)?;
        Some(Self { at_us: sent_us + round_trip_us / 2, round_trip_us, peer_system_us, peer_monotonic_us })
    }

    /// By how much the other's wall clock is ahead of ours, and by how much that may be wrong at `now`.
    #[must_use]
    pub fn offset(&self, now: ClockReading) -> (i64, u64) {
        let age_us = now.monotonic_us.saturating_sub(self.at_us);
        let ours_then = now.system_us.saturating_sub_unsigned(age_us);
        (self.peer_system_us.saturating_sub(ours_then), self.error_us(now.monotonic_us))
    }

    /// Half of the round trip, and what two clocks drift apart since.
    #[must_use]
    pub fn error_us(&self, monotonic_us: u64) -> u64 {
        self.round_trip_us.div_ceil(2) + drift_us(monotonic_us.saturating_sub(self.at_us))
    }
}

/// What a clock may be off after running freely for so long: 200 parts in a million, a bad quartz.
pub(crate) fn drift_us(age_us: u64) -> u64 {
    (age_us / 5_000).saturating_add(1)
}
