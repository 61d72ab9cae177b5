//! The simulation itself: one loop of time, people, faults, turns and checks.

mod asking;
mod ending;
mod harm;
mod lives;
mod turn;

use crate::ballots::Papers;
use crate::broken::Broken;
use crate::clock::Clock;
use crate::disks::Machine;
use crate::invariants::acknowledged::Ack;
use crate::invariants::closed::Ends;
use crate::invariants::refused::Views;
use crate::lookup::SimEngine;
use crate::model::Model;
use crate::officers::Officers;
use crate::people::People;
use crate::random::Random;
use crate::stats::Stats;
use election::{ElectionIndex, Hlc, hex};
use proof::Sha256Stream;
use std::collections::BTreeMap;

/// Which faults a stretch of the simulation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    Any,
    None,
}

/// Steps between two full checks, which replay the log from nothing.
const FULL_CHECK_STEPS: u64 = 40;
/// What a finished simulation leaves.
#[derive(Debug)]
pub struct Finished {
    /// Over every answer and the last state: the same for the same seed.
    pub digest: String,
    pub stats: Stats,
    /// Records by slug, of every election that was opened.
    pub records: BTreeMap<String, String>,
    /// Receipt files by slug, some of each election.
    pub receipts: BTreeMap<String, Vec<String>>,
    /// Signed notes by slug.
    pub checkpoints: BTreeMap<String, Vec<String>>,
    /// The ledger's files, durable.
    pub ledger: BTreeMap<String, Vec<u8>>,
    /// Text of the secret and of the node's key, as in a data folder.
    pub secret: String,
    pub node_key: String,
}

/// What a ticket stands for.
#[derive(Debug)]
enum Asked {
    Cast(usize),
    Chunk(Vec<usize>),
    Act,
}

/// What was done to the machine and has not been undone.
#[derive(Clone, Copy, Debug, Default)]
struct Sabotage {
    crash: bool,
    sync: bool,
    full_until: Option<u64>,
}

/// One part of the simulation each, so that a change to one does not reshuffle the others.
struct Chance {
    time: Random,
    edge: Random,
    faults: Random,
    answers: Random,
    lives: Random,
}

/// A node over faulty disks, its voters and its officers.
pub struct Sim {
    seed: u64,
    is_traced: bool,
    step: u64,
    chance: Chance,
    clock: Clock,
    machine: Machine,
    engine: Option<SimEngine>,
    secret: [u8; 32],
    node_seed: [u8; 32],
    officer: String,
    max_concurrent: usize,
    snapshot_every: u64,
    model: Model,
    papers: Papers,
    people: People,
    officers: Officers,
    /// Ballots on their way from an edge, with the step at which they arrive.
    on_the_way: Vec<(u64, usize)>,
    asked: BTreeMap<u64, Asked>,
    next_ticket: u64,
    /// Papers without an answer, and what the model said of them while they waited.
    waiting: BTreeMap<usize, Views>,
    hlc: Hlc,
    acks: Vec<Ack>,
    receipts: BTreeMap<String, Vec<String>>,
    checkpoints: BTreeMap<String, Vec<String>>,
    /// Payload of each committed entry, from position 1.
    payloads: Vec<Vec<u8>>,
    /// The last entry that a mark on disk confirms.
    marked: u64,
    ends: Ends,
    sabotage: Sabotage,
    /// Whether the feed is listened to in this life.
    wants_feed: bool,
    /// Caches may wait for room on the disk; until they have caught up, they are not looked at.
    caches_lag: bool,
    /// Everybody behaves well from now on.
    is_ending: bool,
    digest: Sha256Stream,
    stats: Stats,
}

impl std::fmt::Debug for Sim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sim").field("seed", &self.seed).field("stats", &self.stats).finish_non_exhaustive()
    }
}

impl Sim {
    /// Sizes, delays, faults, load: all from the seed.
    pub fn new(seed: u64) -> Result<Self, Broken> {
        Self::founded(seed, Faults::Any)
    }

    /// As [`Sim::new`], on a machine that does not fail before the first step.
    pub fn new_in_peace(seed: u64) -> Result<Self, Broken> {
        Self::founded(seed, Faults::None)
    }

    fn founded(seed: u64, faults: Faults) -> Result<Self, Broken> {
        let mut random = Random::new(seed);
        let machine = Machine::new(&mut random);
        let mut sim = Sim {
            seed,
            is_traced: std::env::var_os("SIM_TRACE").is_some(),
            step: 0,
            clock: Clock::new(),
            machine,
            engine: None,
            secret: random.bytes(),
            node_seed: random.bytes(),
            officer: hex(&random.bytes::<32>()),
            max_concurrent: *random.pick(&[3, 5, 16, 64, 4096]),
            snapshot_every: *random.pick(&[5, 20, 60, 1_000_000]),
            model: Model::default(),
            papers: Papers::default(),
            people: People::new(random.fork()),
            officers: Officers::new(random.fork()),
            on_the_way: Vec::new(),
            asked: BTreeMap::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            hlc: Hlc::default(),
            acks: Vec::new(),
            receipts: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            payloads: Vec::new(),
            marked: 0,
            ends: Ends::default(),
            sabotage: Sabotage::default(),
            wants_feed: false,
            caches_lag: false,
            is_ending: false,
            digest: Sha256Stream::new(),
            stats: Stats::default(),
            chance: Chance {
                time: random.fork(),
                edge: random.fork(),
                faults: random.fork(),
                answers: random.fork(),
                lives: random.fork(),
            },
        };
        sim.open(faults)?;
        Ok(sim)
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Goes on for so many steps. After each, every invariant holds.
    pub fn run(&mut self, faults: Faults, steps: u64) -> Result<(), Broken> {
        if faults == Faults::None {
            self.heal()?;
        }
        for _ in 0..steps {
            self.step(faults)?;
        }
        Ok(())
    }

    fn step(&mut self, faults: Faults) -> Result<(), Broken> {
        self.step += 1;
        self.stats.note("step");
        self.let_time_pass();
        if faults == Faults::Any {
            self.do_harm();
        }
        let events = self.events();
        if self.turn(events)? && self.settle_some()? {
            let is_quiet = !self.engine_ref().core().has_work();
            if is_quiet && self.chance.time.one_in(2) {
                self.idle()?;
            }
            if self.step.is_multiple_of(FULL_CHECK_STEPS) {
                self.check_fully()?;
            }
            if faults == Faults::Any {
                self.end_a_life()?;
            }
        }
        Ok(())
    }

    fn let_time_pass(&mut self) {
        let random = &mut self.chance.time;
        let millis = match random.below(20) {
            0 => random.between(1_000, 20_000),
            1..=3 => 0,
            _ => random.between(1, 300),
        };
        self.clock.advance(millis);
    }

    /// Turns until the node has no work or patience ends. False where the process died.
    fn settle_some(&mut self) -> Result<bool, Broken> {
        for _ in 0..self.chance.time.below(6) {
            if !self.engine_ref().core().has_work() {
                break;
            }
            if !self.turn(Vec::new())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn slug(&self, election: ElectionIndex) -> String {
        self.model.elections[election.0 as usize].plan.slug.to_string()
    }

    fn engine_ref(&self) -> &SimEngine {
        self.engine.as_ref().expect("a node is running")
    }

    /// Notes what happened; with `SIM_TRACE` set, it is printed with its step.
    fn note(&mut self, what: &str) {
        self.stats.note(what);
        if self.is_traced {
            eprintln!("step {:>4}, entry {:>4}: {what}", self.step, self.model.position);
        }
    }

    fn tell(&mut self, what: &str) {
        self.digest.update(what.as_bytes());
        self.digest.update(b"\n");
    }
}
