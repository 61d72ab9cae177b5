//! Members with clocks of every kind, who agree on a time or say that they cannot.

mod support;

use std::collections::BTreeMap;

use cluster::NodeId;
use cluster::time::{
    Adjustment, ClockReading, ClockSample, ClusterClock, ClusterTime, TimeConfig, TimeKeeper,
};
use support::Random;

const SECOND: i64 = 1_000_000;
const HOUR: i64 = 3_600 * SECOND;
/// Where true time begins, in microseconds since 1970.
const EPOCH: i64 = 1_800_000_000 * SECOND;

/// A machine: its wall clock is off by `off` and runs too fast by `ppm`, and so does its monotonic clock.
struct Machine {
    id: NodeId,
    off: i64,
    ppm: i64,
    /// Of its monotonic clock.
    started: i64,
    clock: ClusterClock,
    /// What it showed last.
    shown: ClusterTime,
}

struct World {
    random: Random,
    now: i64,
    leader: usize,
    term: u64,
    keeper: TimeKeeper,
    machines: Vec<Machine>,
    /// Those that the leader hears.
    reached: Vec<bool>,
    /// Longest time a message takes.
    delay: u64,
    offsets: BTreeMap<NodeId, (i64, u64)>,
}

impl World {
    /// Wall clocks off by so many microseconds, and rates by so many parts in a million.
    fn new(seed: u64, clocks: &[(i64, i64)]) -> Self {
        let config = TimeConfig::default();
        let unread = ClusterTime { now_ms: 0, error_ms: u64::MAX, is_agreed: false };
        let machine = |(at, &(off, ppm)): (usize, &(i64, i64))| {
            let started = -(at as i64 + 1) * 77 * SECOND;
            let now = ClockReading { system_us: EPOCH + off, monotonic_us: started.unsigned_abs() };
            let clock = ClusterClock::new(config, now);
            Machine { id: NodeId(at as u64 + 1), off, ppm, started, clock, shown: unread }
        };
        Self {
            random: Random(seed),
            now: 0,
            leader: 0,
            term: 1,
            keeper: TimeKeeper::new(config),
            machines: clocks.iter().enumerate().map(machine).collect(),
            reached: vec![true; clocks.len()],
            delay: 2_000,
            offsets: BTreeMap::new(),
        }
    }

    fn reading(&self, machine: usize, at: i64) -> ClockReading {
        let Machine { off, ppm, started, .. } = self.machines[machine];
        let fast = at * ppm / 1_000_000;
        ClockReading { system_us: EPOCH + at + fast + off, monotonic_us: (at - started + fast) as u64 }
    }

    /// Half a second: pings, perhaps an agreement, and everybody looks at the clock.
    fn step(&mut self) {
        self.now += SECOND / 2;
        for peer in (0..self.machines.len()).filter(|peer| *peer != self.leader) {
            if self.reached[peer] {
                let there = 1 + self.random.below(self.delay) as i64;
                let back = 1 + self.random.below(self.delay) as i64;
                let sent = self.reading(self.leader, self.now - there - back).monotonic_us;
                let received = self.reading(self.leader, self.now).monotonic_us;
                let theirs = self.reading(peer, self.now - back);
                let sample =
                    ClockSample::of_exchange(sent, received, theirs.system_us, theirs.monotonic_us).unwrap();
                self.keeper.sample(self.machines[peer].id, sample);
            }
        }
        let ids: Vec<NodeId> = self.machines.iter().map(|machine| machine.id).collect();
        let now = self.reading(self.leader, self.now);
        if let Some(agreement) = self.keeper.poll(now, self.term, ids[self.leader], &ids, &[]) {
            self.offsets = agreement.offsets;
            for (id, adjustment) in agreement.adjustments {
                let machine = id.0 as usize - 1;
                if machine == self.leader || self.reached[machine] {
                    let monotonic = self.reading(machine, self.now).monotonic_us;
                    let bytes = Adjustment::decode(&adjustment.encode()).unwrap();
                    assert!(self.machines[machine].clock.adjust(bytes, monotonic));
                }
            }
        }
        for machine in 0..self.machines.len() {
            let monotonic = self.reading(machine, self.now).monotonic_us;
            let machine = &mut self.machines[machine];
            let time = machine.clock.read(monotonic);
            let is_first = machine.shown.error_ms == u64::MAX;
            assert!(is_first || time.now_ms >= machine.shown.now_ms, "time went back");
            machine.shown = time;
        }
    }

    fn run(&mut self, seconds: i64) {
        (0..2 * seconds).for_each(|_| self.step());
    }

    fn lead(&mut self, machine: usize) {
        self.leader = machine;
        self.term += 1;
        self.keeper = TimeKeeper::new(TimeConfig::default());
    }

    /// What a machine shows, less the true time, in milliseconds.
    fn wrong_by(&self, machine: usize) -> i64 {
        self.machines[machine].shown.now_ms as i64 - (EPOCH + self.now) / 1_000
    }

    fn assert_agreed_near(&self, true_offset_ms: i64, within_ms: i64) {
        for machine in 0..self.machines.len() {
            let (shown, wrong) = (self.machines[machine].shown, self.wrong_by(machine));
            assert!(shown.is_agreed, "machine {machine}: {shown:?}");
            assert!((wrong - true_offset_ms).abs() <= within_ms, "machine {machine} is off by {wrong} ms");
            assert!((wrong - true_offset_ms).unsigned_abs() <= shown.error_ms + 1, "{wrong} ms, {shown:?}");
        }
    }
}

#[test]
fn clocks_that_are_off_a_little_agree_and_say_how_well() {
    for seed in 0..200 {
        let mut draw = Random(seed);
        let count = [1, 3, 5][draw.below(3) as usize];
        let clocks: Vec<(i64, i64)> = (0..count)
            .map(|_| (draw.below(200_000) as i64 - 100_000, draw.below(200) as i64 - 100))
            .collect();
        let mut world = World::new(seed, &clocks);
        world.run(120);
        // Somewhere between the earliest and the latest of them, and all show the same.
        let middle = world.wrong_by(0);
        assert!(middle.abs() <= 115, "seed {seed}: off by {middle} ms");
        world.assert_agreed_near(middle, 8);
    }
}

#[test]
fn one_liar_of_three_moves_nothing_and_shows_the_right_time_all_the_same() {
    for lie in [-48 * HOUR, -3 * SECOND, 700_000, 48 * HOUR, i64::MAX / 4] {
        for liar in 0..3 {
            for leader in 0..3 {
                let mut clocks = [(0, 0), (3_000, 40), (-3_000, -40)];
                clocks[liar].0 = lie;
                let mut world = World::new(9, &clocks);
                world.lead(leader);
                world.run(60);
                world.assert_agreed_near(0, 10);
                let (offset, error) = world.offsets[&NodeId(liar as u64 + 1)];
                assert!(
                    offset.abs_diff(lie) <= error + 10_000,
                    "its own clock is shown as {offset}, not {lie}"
                );
                let errors = world.machines.iter().map(|machine| machine.shown.error_ms);
                assert!(errors.max().unwrap() < 20);
            }
        }
    }
}

#[test]
fn three_clocks_of_which_no_two_agree_are_not_agreed() {
    let mut world = World::new(1, &[(0, 0), (HOUR, 0), (-HOUR, 0)]);
    world.run(60);
    assert!(world.machines.iter().all(|machine| !machine.shown.is_agreed));
    let mut two = World::new(1, &[(0, 0), (HOUR, 0)]);
    two.run(60);
    assert!(two.machines.iter().all(|machine| !machine.shown.is_agreed));
    let mut near = World::new(1, &[(0, 0), (SECOND, 0)]);
    near.run(60);
    near.assert_agreed_near(500, 20);
}

#[test]
fn a_leader_that_hears_the_liar_first_waits_for_the_other() {
    let mut world = World::new(3, &[(0, 0), (48 * HOUR, 0), (0, 0)]);
    world.reached = vec![true, true, false];
    world.run(20);
    assert!(world.wrong_by(0).abs() < 10 && !world.machines[0].shown.is_agreed);
    world.reached = vec![true; 3];
    world.run(10);
    world.assert_agreed_near(0, 10);
}

#[test]
fn a_wall_clock_that_is_set_moves_nothing_while_a_majority_stays() {
    for machine in 0..3 {
        for step in [-HOUR, 5 * SECOND, 30 * HOUR] {
            let mut world = World::new(4, &[(0, 0), (0, 20), (0, -20)]);
            world.run(30);
            world.machines[machine].off = step;
            for _ in 0..120 {
                world.step();
                world.assert_agreed_near(0, 10);
            }
        }
    }
}

#[test]
fn when_the_majority_is_set_time_follows_slowly_or_on_an_operators_word() {
    let mut world = World::new(4, &[(0, 0), (0, 0), (0, 0)]);
    world.run(30);
    world.machines[1].off = 5 * SECOND;
    world.machines[2].off = 5 * SECOND;
    world.run(10);
    let shown = world.machines[0].shown;
    assert!(!shown.is_agreed && shown.error_ms > 4_000, "it knows that it is off: {shown:?}");
    assert!(world.wrong_by(0) < 250, "no more than 2 % faster: {}", world.wrong_by(0));
    world.run(260);
    world.assert_agreed_near(5_000, 20);
    world.machines[1].off = -25 * SECOND;
    world.machines[2].off = -25 * SECOND;
    world.run(10);
    for machine in 0..3 {
        let monotonic = world.reading(machine, world.now).monotonic_us;
        world.machines[machine].clock.confirm(monotonic);
    }
    world.run(20);
    assert!((4_700..5_000).contains(&(world.wrong_by(0) + 20_000)), "it stands still: {}", world.wrong_by(0));
    world.run(15);
    world.assert_agreed_near(-25_000, 20);
}

#[test]
fn without_a_majority_time_runs_on_and_is_not_agreed_any_more() {
    let mut world = World::new(5, &[(0, 0), (0, 0), (0, 0)]);
    world.run(30);
    world.assert_agreed_near(0, 10);
    world.reached = vec![true, false, false];
    world.run(60);
    assert!(world.machines.iter().all(|machine| !machine.shown.is_agreed));
    assert!((0..3).all(|machine| world.wrong_by(machine).abs() < 30), "it runs on by itself");
    world.reached = vec![true; 3];
    world.run(10);
    world.assert_agreed_near(0, 10);
    world.reached = vec![true, true, false];
    world.run(60);
    assert!(world.machines[0].shown.is_agreed && world.machines[1].shown.is_agreed, "two of three will do");
}

#[test]
fn slow_answers_widen_the_error_and_too_slow_ones_are_not_counted() {
    let mut world = World::new(6, &[(0, 0), (0, 0), (0, 0)]);
    world.delay = 150_000;
    world.run(60);
    world.assert_agreed_near(0, 160);
    let slow = world.machines[1].shown.error_ms;
    assert!(slow >= 5, "{slow} ms");
    world.delay = 40_000_000;
    world.run(60);
    assert!(world.machines.iter().all(|machine| !machine.shown.is_agreed));
}

#[test]
fn a_member_that_starts_again_is_told_the_time_by_its_new_clock() {
    for seed in 0..90 {
        let other_base = [100, -60, 3_000][seed as usize % 3];
        let mut world = World::new(seed, &[(0, 0), (0, 0), (0, 0)]);
        world.run(28);
        let machine = &mut world.machines[2];
        machine.started -= other_base * SECOND;
        machine.shown = ClusterTime { now_ms: 0, error_ms: u64::MAX, is_agreed: false };
        let now = world.reading(2, world.now);
        world.machines[2].clock = ClusterClock::new(TimeConfig::default(), now);
        for _ in 0..40 {
            world.step();
            let shown = world.machines[2].shown;
            assert!(
                !shown.is_agreed || world.wrong_by(2).abs() <= 10,
                "off by {}: {shown:?}",
                world.wrong_by(2)
            );
        }
        world.assert_agreed_near(0, 10);
    }
}

#[test]
fn another_leader_goes_on_with_the_same_time() {
    for seed in 0..50 {
        let mut world = World::new(seed, &[(40_000, 50), (-10_000, -50), (-80_000, 100)]);
        world.run(60);
        for leader in [1, 2, 0] {
            let before: Vec<i64> = (0..3).map(|machine| world.wrong_by(machine)).collect();
            world.lead(leader);
            for _ in 0..20 {
                world.step();
                for (machine, before) in before.iter().enumerate() {
                    assert!(world.machines[machine].shown.is_agreed);
                    assert!((world.wrong_by(machine) - before).abs() <= 60, "it is slewed, not set");
                }
            }
        }
    }
}

#[test]
fn adjustments_of_an_older_leader_or_of_another_life_are_not_taken() {
    let start = ClockReading { system_us: EPOCH, monotonic_us: 1_000 };
    let mut clock = ClusterClock::new(TimeConfig::default(), start);
    let adjustment =
        |term, at_us| Adjustment { term, at_us, cluster_us: EPOCH + at_us as i64, error_us: 500 };
    assert!(!clock.adjust(adjustment(5, 9_000_000), 2_000_000), "its monotonic clock has not been there");
    assert!(clock.adjust(adjustment(5, 2_000_000), 2_000_000));
    assert!(!clock.adjust(adjustment(4, 3_000_000), 4_000_000), "an older leader");
    assert!(clock.adjust(adjustment(6, 1_500_000), 4_000_000));
    assert!(clock.read(4_000_000).is_agreed);
    assert!(clock.read(4_000_000).earliest_ms() < clock.read(4_000_000).now_ms);
    for length in 0..33 {
        assert!(Adjustment::decode(&adjustment(1, 2).encode()[..length]).is_err());
    }
    assert!(Adjustment::decode(&[2; 33]).is_err(), "a newer version");
}
