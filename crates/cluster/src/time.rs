//! Time that a cluster agrees on, as in Gusella and Zatti's Berkeley algorithm (1989), with Marzullo's intersection
//! (1984) in place of the mean, which one wild clock can drag. Samples in, adjustments out; no clock is read here.
//!
//! ```text
//! pings ──▶ ClockSample ──▶ TimeKeeper (leader) ──every 5 s──▶ Adjustment to each member ──▶ its ClusterClock
//! ```
//!
//! The leader asks what time the voters' own clocks show, and takes the time at which the smallest doubt covers a
//! majority of them. Each member is told what its own monotonic clock showed at which cluster time; from there it runs
//! by that, so that a wall clock which is set in between moves nothing. No machine's clock is ever set. Safety never
//! rests on any of this: the log does not know what time it is.

use std::collections::{BTreeMap, VecDeque};

use crate::NodeId;
use crate::fields::{Fields, FieldsError};

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

/// How time is kept; the same on all members.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TimeConfig {
    /// Between two agreements.
    pub interval_us: u64,
    /// A sample that took longer says too little.
    pub round_trip_max_us: u64,
    /// Time that may be wrong by more is not agreed.
    pub error_max_us: u64,
}

impl Default for TimeConfig {
    fn default() -> Self {
        Self { interval_us: 5_000_000, round_trip_max_us: 500_000, error_max_us: 1_000_000 }
    }
}

impl TimeConfig {
    /// Samples and adjustments older than this say nothing of now.
    fn age_max_us(&self) -> u64 {
        self.interval_us.saturating_mul(4)
    }
}

/// Samples kept of each peer.
const SAMPLES_MAX: usize = 16;
const ADJUSTMENT_VERSION: u8 = 1;
/// A clock is slewed by at most 1 ms in 50.
const SLEW_DIVISOR: u64 = 50;

/// The leader's part: what it knows of everybody's clocks.
#[derive(Debug)]
pub struct TimeKeeper {
    config: TimeConfig,
    samples: BTreeMap<NodeId, VecDeque<ClockSample>>,
    due_us: u64,
}

/// What a majority's clocks agree on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Agreement {
    /// For each member whose clocks are known, the leader included.
    pub adjustments: Vec<(NodeId, Adjustment)>,
    /// Each one's wall clock less cluster time, in microseconds, and by how much that may be wrong.
    pub offsets: BTreeMap<NodeId, (i64, u64)>,
    /// By how much cluster time may be wrong at the moment; so far the clocks of a majority are at most apart from it.
    pub error_us: u64,
}

/// Tells a member the cluster time at one moment of its own monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Adjustment {
    /// Of the leader that says so; a member follows the highest.
    pub term: u64,
    /// By the member's monotonic clock.
    pub at_us: u64,
    /// Cluster time then, in microseconds since 1970.
    pub cluster_us: i64,
    pub error_us: u64,
}

impl TimeKeeper {
    /// Knows nothing yet: made anew whenever a node begins to lead.
    #[must_use]
    pub fn new(config: TimeConfig) -> Self {
        Self { config, samples: BTreeMap::new(), due_us: 0 }
    }

    /// Takes what was learnt of a peer. One that contradicts those before replaces them: its clock was set, or it
    /// began anew.
    pub fn sample(&mut self, peer: NodeId, sample: ClockSample) {
        if sample.round_trip_us > self.config.round_trip_max_us {
            return;
        }
        let kept = self.samples.entry(peer).or_default();
        if kept.contains(&sample) {
            return;
        }
        kept.retain(|before| before.agrees_with(&sample));
        if kept.len() == SAMPLES_MAX {
            kept.pop_front();
        }
        kept.push_back(sample);
    }

    /// Once in an interval, what a majority of `voters` (this node, `own`, may be one) agrees on at `now`; adjustments
    /// for `others` as well. `None` before that, or if too few clocks are known, or they are too far apart.
    pub fn poll(
        &mut self,
        now: ClockReading,
        term: u64,
        own: NodeId,
        voters: &[NodeId],
        others: &[NodeId],
    ) -> Option<Agreement> {
        if now.monotonic_us < self.due_us {
            return None;
        }
        let claims: Vec<(i64, u64)> = voters.iter().filter_map(|id| self.claim(*id, own, now)).collect();
        let agreed = agreed(&claims, voters.len() / 2 + 1);
        // Two clocks that are hours apart agree on the middle, which is the time of neither.
        let (time_us, error_us) = agreed.filter(|(_, error_us)| *error_us <= self.config.error_max_us)?;
        self.due_us = now.monotonic_us.saturating_add(self.config.interval_us);
        let mut agreement = Agreement { adjustments: Vec::new(), offsets: BTreeMap::new(), error_us };
        for &id in voters.iter().chain(others) {
            if id == own {
                let adjustment = Adjustment { term, at_us: now.monotonic_us, cluster_us: time_us, error_us };
                agreement.adjustments.push((id, adjustment));
                agreement.offsets.insert(id, (now.system_us.saturating_sub(time_us), error_us));
            } else if let Some(best) = self.best(id, now.monotonic_us) {
                let age_us = now.monotonic_us.saturating_sub(best.at_us);
                let cluster_us = time_us.saturating_sub_unsigned(age_us);
                let error_us = error_us.saturating_add(best.error_us(now.monotonic_us));
                let adjustment = Adjustment { term, at_us: best.peer_monotonic_us, cluster_us, error_us };
                agreement.adjustments.push((id, adjustment));
                agreement.offsets.insert(id, (best.peer_system_us.saturating_sub(cluster_us), error_us));
            }
        }
        Some(agreement)
    }

    /// What a node's wall clock shows at `now`, and by how much that may be wrong.
    fn claim(&self, id: NodeId, own: NodeId, now: ClockReading) -> Option<(i64, u64)> {
        if id == own {
            return Some((now.system_us, 0));
        }
        let best = self.best(id, now.monotonic_us)?;
        let (offset_us, error_us) = best.offset(now);
        Some((now.system_us.saturating_add(offset_us), error_us))
    }

    fn best(&self, id: NodeId, monotonic_us: u64) -> Option<ClockSample> {
        let age = |sample: &&ClockSample| monotonic_us.saturating_sub(sample.at_us);
        let fresh = self.samples.get(&id)?.iter().filter(|sample| age(sample) < self.config.age_max_us());
        fresh.min_by_key(|sample| sample.error_us(monotonic_us)).copied()
    }
}

impl ClockSample {
    /// Whether both may be of the same two clocks, which ran on in between.
    fn agrees_with(&self, other: &Self) -> bool {
        let (early, late) = if self.at_us <= other.at_us { (self, other) } else { (other, self) };
        let passed_us = late.at_us - early.at_us;
        let slack_us = early.error_us(late.at_us).saturating_add(late.error_us(late.at_us));
        let system =
            late.peer_system_us.saturating_sub(early.peer_system_us).saturating_sub_unsigned(passed_us);
        let monotonic = late.peer_monotonic_us.abs_diff(early.peer_monotonic_us.saturating_add(passed_us));
        system.unsigned_abs() <= slack_us && monotonic <= slack_us
    }
}

/// The time that `majority` of the claims share if each is widened by as little as will do, and how far the clocks
/// of that majority are from it at most, beside what is not known of each.
fn agreed(claims: &[(i64, u64)], majority: usize) -> Option<(i64, u64)> {
    let shared = |wider_us: u64| most_shared(claims, wider_us).filter(|(count, _, _)| *count >= majority);
    let (mut too_little, mut enough) = (0, 1 << 62);
    shared(enough)?;
    if shared(0).is_some() {
        enough = 0;
    }
    while too_little + 1 < enough {
        let middle = too_little + (enough - too_little) / 2;
        if shared(middle).is_some() { enough = middle } else { too_little = middle }
    }
    let (_, from, to) = shared(enough)?;
    let half = to.abs_diff(from) / 2;
    Some((from.saturating_add_unsigned(half), half.saturating_add(1).saturating_add(enough)))
}

/// Marzullo's algorithm: the smallest interval that the most claims share, and how many these are.
fn most_shared(claims: &[(i64, u64)], wider_us: u64) -> Option<(usize, i64, i64)> {
    let interval = |(middle, error): &(i64, u64)| {
        let reach = error.saturating_add(wider_us);
        (middle.saturating_sub_unsigned(reach), middle.saturating_add_unsigned(reach))
    };
    let intervals: Vec<(i64, i64)> = claims.iter().map(interval).collect();
    let shared_from = |from: i64| {
        let around = intervals.iter().filter(|(low, high)| *low <= from && from <= *high);
        let to = around.clone().map(|(_, high)| *high).min()?;
        // Whoever begins within makes the shared part begin later: that one is another candidate.
        Some((around.count(), from, to))
    };
    let all = intervals.iter().filter_map(|(low, _)| shared_from(*low));
    all.max_by_key(|(count, from, to)| (*count, std::cmp::Reverse(to.abs_diff(*from)), *from))
}

/// Time as a node may use it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClusterTime {
    /// Milliseconds since 1970. Goes back at the first adjustment only.
    pub now_ms: u64,
    /// By how much that may differ from what the majority's clocks show.
    pub error_ms: u64,
    /// Whether a majority stands behind it, recently and closely enough to close a vote by.
    pub is_agreed: bool,
}

impl ClusterTime {
    /// It is not earlier than this, as far as clocks can be trusted: what a deadline is compared with.
    #[must_use]
    pub fn earliest_ms(&self) -> u64 {
        self.now_ms.saturating_sub(self.error_ms)
    }
}

/// A member's clock: follows adjustments by running a little faster or slower, and its monotonic clock in between.
#[derive(Clone, Copy, Debug)]
pub struct ClusterClock {
    config: TimeConfig,
    now_us: i64,
    shown_us: i64,
    monotonic_us: u64,
    /// Time passed that was not yet used for slewing, since readings come closer together than one slewed microsecond.
    unslewed_us: u64,
    followed: Option<Adjustment>,
}

impl ClusterClock {
    /// Shows the machine's own time until the first adjustment; nobody stands behind that.
    #[must_use]
    pub fn new(config: TimeConfig, now: ClockReading) -> Self {
        let (now_us, monotonic_us) = (now.system_us, now.monotonic_us);
        Self { config, now_us, shown_us: now_us, monotonic_us, unslewed_us: 0, followed: None }
    }

    /// Follows `adjustment` from `monotonic_us` on. The first is followed at once, later ones by slewing. False if it
    /// was not taken: of an older leader, or of a moment that has not been.
    pub fn adjust(&mut self, adjustment: Adjustment, monotonic_us: u64) -> bool {
        self.advance(monotonic_us);
        let is_older = self.followed.is_some_and(|followed| adjustment.term < followed.term);
        if is_older || adjustment.at_us > self.monotonic_us {
            return false;
        }
        if self.followed.is_none() {
            self.now_us = adjustment.time_at(self.monotonic_us);
            self.shown_us = self.now_us;
        }
        self.followed = Some(adjustment);
        true
    }

    /// The time at `monotonic_us`.
    pub fn read(&mut self, monotonic_us: u64) -> ClusterTime {
        self.advance(monotonic_us);
        let now_ms = u64::try_from(self.shown_us / 1_000).unwrap_or(0);
        let Some(followed) = self.followed else {
            return ClusterTime { now_ms, error_ms: u64::MAX, is_agreed: false };
        };
        let age_us = self.monotonic_us.saturating_sub(followed.at_us);
        let away_us = followed.time_at(self.monotonic_us).abs_diff(self.shown_us);
        let error_us = followed.error_us.saturating_add(drift_us(age_us)).saturating_add(away_us);
        let is_agreed = age_us <= self.config.age_max_us() && error_us <= self.config.error_max_us;
        // A millisecond shown is a whole one, cut off.
        ClusterTime { now_ms, error_ms: error_us.div_ceil(1_000).saturating_add(1), is_agreed }
    }

    /// An operator says that the agreed time is right: forward at once, backward by standing still until it is there.
    pub fn confirm(&mut self, monotonic_us: u64) {
        self.advance(monotonic_us);
        if let Some(followed) = self.followed {
            self.now_us = followed.time_at(self.monotonic_us);
        }
    }

    fn advance(&mut self, monotonic_us: u64) {
        let passed_us = monotonic_us.saturating_sub(self.monotonic_us);
        self.monotonic_us = self.monotonic_us.max(monotonic_us);
        self.now_us = self.now_us.saturating_add_unsigned(passed_us);
        self.unslewed_us = self.unslewed_us.saturating_add(passed_us);
        if let Some(followed) = self.followed {
            let away_us = followed.time_at(self.monotonic_us).saturating_sub(self.now_us);
            let slew_us = away_us.unsigned_abs().min(self.unslewed_us / SLEW_DIVISOR);
            self.unslewed_us -= slew_us * SLEW_DIVISOR;
            let slewed =
                if away_us > 0 { i64::saturating_add_unsigned } else { i64::saturating_sub_unsigned };
            self.now_us = slewed(self.now_us, slew_us);
        }
        // What is left over is for the next reading; time in which nothing was to be slewed is not saved up.
        self.unslewed_us = self.unslewed_us.min(SLEW_DIVISOR);
        self.shown_us = self.shown_us.max(self.now_us);
    }
}

impl Adjustment {
    /// Cluster time at a later moment of the member's monotonic clock.
    fn time_at(&self, monotonic_us: u64) -> i64 {
        self.cluster_us.saturating_add_unsigned(monotonic_us.saturating_sub(self.at_us))
    }

    /// `version 1 = 1 | term 8 | monotonic clock 8 | cluster time 8 | error 8`
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![ADJUSTMENT_VERSION];
        out.extend_from_slice(&self.term.to_be_bytes());
        out.extend_from_slice(&self.at_us.to_be_bytes());
        out.extend_from_slice(&self.cluster_us.to_be_bytes());
        out.extend_from_slice(&self.error_us.to_be_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, FieldsError> {
        let mut fields = Fields::of(bytes, ADJUSTMENT_VERSION)?;
        let (term, at_us) = (fields.number()?, fields.number()?);
        let cluster_us = i64::from_be_bytes(fields.array()?);
        let error_us = fields.number()?;
        fields.end()?;
        Ok(Self { term, at_us, cluster_us, error_us })
    }
}

/// What a clock may be off after running freely for so long: 200 parts in a million, a bad quartz.
pub(crate) fn drift_us(age_us: u64) -> u64 {
    (age_us / 5_000).saturating_add(1)
}
