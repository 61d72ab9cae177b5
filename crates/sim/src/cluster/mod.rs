//! Voters over a cluster: three or five production replicas over faulty disks and a faulty network, in one thread and
//! from one seed.
//!
//! ```text
//! voters, officers, operators ──▶ any node ─┐
//! network: late, twice, never ──▶ letters ──┼─▶ Replica::turn ──▶ answers ──▶ checks ──▶ people
//! disks: full, torn, failing, flipped ──────┘        └──▶ committed entries ──▶ the plain model
//! ```
//!
//! The plain model folds each committed entry as soon as any node has applied it. From then on every node must have
//! applied the same there, and every answer must be true of some state between question and answer.

mod answers;
mod asking;
mod ending;
mod harm;
mod lives;
mod log;
mod net;

use crate::ballots::Papers;
use crate::broken::{Broken, Promise};
use crate::clock::Clock;
use crate::disks::Machine;
use crate::invariants::acknowledged::Ack;
use crate::invariants::refused::Views;
use crate::invariants::{elections_of_leaders::Leaders, same_log::Roots};
use crate::lookup::SimReplica;
use crate::model::{ActVerdict, Model};
use crate::officers::Officers;
use crate::people::People;
use crate::random::Random;
use crate::stats::Stats;
use bytes::Bytes;
use cluster::{Membership, NodeId};
use election::Hlc;
use node::replica::{Begin, Input};
use proof::Sha256Stream;
use std::collections::{BTreeMap, BTreeSet};

/// Simulated milliseconds in a step, in which consensus counts one tick.
const STEP_MILLIS: u64 = 20;
const ELECTION_TICKS: usize = 20;
/// A healed cluster has answered everybody, and all its nodes are equal, within so many steps: twice the five seconds
/// after which nobody waits any more, and some elections.
const HEAL_STEPS: u64 = 1_500;
/// Steps between two comparisons of whole states.
const COMPARE_STEPS: u64 = 150;
/// Steps between two looks at where logs end.
const LOOK_STEPS: u64 = 60;
const SESSIONS: usize = 6;
/// Before the names of what happened while ballots came in and faults were armed; only that is work.
const UNDER_LOAD: &str = "under load: ";

/// What a finished simulation leaves.
#[derive(Debug)]
pub struct ClusterFinished {
    /// Over every letter, every answer and the last states and disks: the same for the same seed.
    pub digest: String,
    pub stats: Stats,
    /// Records by slug, of every election that was opened, as one of the nodes tells them.
    pub records: BTreeMap<String, String>,
    /// Receipt files by slug, some of each election.
    pub receipts: BTreeMap<String, Vec<String>>,
    /// Signed notes by slug, some of each election.
    pub checkpoints: BTreeMap<String, Vec<String>>,
}

/// What becomes of a node whose disk is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fence {
    /// It joins under a new number.
    Kept,
    /// It goes on under its old number: the rule is broken on purpose.
    Broken,
}

/// A machine with its process.
struct Place {
    address: String,
    machine: Machine,
    replica: Option<SimReplica>,
    /// How the next start begins.
    begin: Begin,
    clock: Clock,
    hlc: Hlc,
    inbox: Vec<Input<u64>>,
    applied: u64,
    /// Up to here it has what is committed, and has said so.
    synced: u64,
    back_at: u64,
    paused_until: u64,
    slow_until: u64,
    full_until: u64,
    /// A fault is armed that may end the process.
    is_sick: bool,
    /// A bit of what it had confirmed has flipped, or its disk is another one.
    is_damaged: bool,
    /// Its caches may wait for room.
    caches_lag: bool,
    /// The last file of its log some time ago, and where that ended.
    log_end: (String, usize),
}

/// What a ticket stands for.
#[derive(Debug)]
enum Asked {
    Cast(usize),
    Chunk(Vec<usize>),
    Act(Vec<u8>),
    /// By a session, when so much was committed.
    Read(usize, u64),
    Change,
    Join(String),
}

struct Chance {
    net: Random,
    faults: Random,
    lives: Random,
    edge: Random,
    answers: Random,
}

/// Replicas, their disks and clocks, the network, voters, officers and operators.
pub struct ClusterSim {
    seed: u64,
    is_traced: bool,
    step: u64,
    chance: Chance,
    secret: [u8; 32],
    officer: String,
    max_concurrent: usize,
    snapshot_every: u64,
    /// Members wanted.
    size: usize,
    fence: Fence,
    places: BTreeMap<NodeId, Place>,
    /// Machines that have lost their place: they ask for a new one.
    homeless: Vec<Place>,
    wire: BTreeMap<(u64, u64), (NodeId, NodeId, u8, Bytes)>,
    sent: u64,
    cuts: BTreeMap<(NodeId, NodeId), u64>,
    leaders: Leaders,
    members: Membership,
    members_at: u64,
    lost: Option<NodeId>,
    removes: bool,
    /// When a hand-over was last asked for.
    handed_over_at: u64,
    machines: u64,
    model: Model,
    papers: Papers,
    people: People,
    officers: Officers,
    roots: Roots,
    asked: BTreeMap<u64, (NodeId, Asked)>,
    next_ticket: u64,
    /// Papers without an answer, and what the model has said of them since they were sent.
    waiting: BTreeMap<usize, Views>,
    waiting_of: BTreeMap<(usize, usize), BTreeSet<usize>>,
    /// Acts that officers have sent, and what must have become of them once they are in the log.
    acts: BTreeMap<Vec<u8>, Option<ActVerdict>>,
    sessions: [(u64, bool); SESSIONS],
    acks: Vec<Ack>,
    receipts: BTreeMap<String, Vec<String>>,
    checkpoints: BTreeMap<String, Vec<String>>,
    is_under_load: bool,
    digest: Sha256Stream,
    stats: Stats,
}

impl std::fmt::Debug for ClusterSim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClusterSim")
            .field("seed", &self.seed)
            .field("stats", &self.stats)
            .finish_non_exhaustive()
    }
}

impl ClusterSim {
    /// A cluster of three or five, formed by a founding and joins. Sizes, delays, faults, load: all from the seed.
    pub fn new(seed: u64, fence: Fence) -> Result<Self, Broken> {
        let mut random = Random::new(seed);
        let mut sim = ClusterSim {
            seed,
            is_traced: std::env::var_os("SIM_TRACE").is_some(),
            step: 0,
            secret: random.bytes(),
            officer: election::hex(&random.bytes::<32>()),
            max_concurrent: *random.pick(&[64, 500, 4096]),
            snapshot_every: *random.pick(&[100, 1_000, 1_000_000]),
            size: *random.pick(&[3, 3, 5]),
            fence,
            places: BTreeMap::new(),
            homeless: Vec::new(),
            wire: BTreeMap::new(),
            sent: 0,
            cuts: BTreeMap::new(),
            leaders: Leaders::default(),
            members: Membership::none(),
            members_at: 0,
            lost: None,
            removes: random.one_in(2),
            handed_over_at: 0,
            machines: 0,
            model: Model { has_copies: true, ..Model::default() },
            papers: Papers::default(),
            people: People::new(random.fork()),
            officers: Officers::of_a_cluster(random.fork()),
            roots: Roots::default(),
            asked: BTreeMap::new(),
            next_ticket: 0,
            waiting: BTreeMap::new(),
            waiting_of: BTreeMap::new(),
            acts: BTreeMap::new(),
            sessions: [(0, false); SESSIONS],
            acks: Vec::new(),
            receipts: BTreeMap::new(),
            checkpoints: BTreeMap::new(),
            is_under_load: false,
            digest: Sha256Stream::new(),
            stats: Stats::default(),
            chance: Chance {
                net: random.fork(),
                faults: random.fork(),
                lives: random.fork(),
                edge: random.fork(),
                answers: random.fork(),
            },
        };
        sim.found()?;
        Ok(sim)
    }

    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Goes on under faults and load for so many steps.
    pub fn run(&mut self, steps: u64) -> Result<(), Broken> {
        self.is_under_load = true;
        for _ in 0..steps {
            self.do_harm()?;
            self.load();
            self.step()?;
            if self.step.is_multiple_of(LOOK_STEPS) {
                self.note_log_ends();
            }
            if self.step.is_multiple_of(COMPARE_STEPS) {
                self.compare_states()?;
            }
        }
        self.is_under_load = false;
        Ok(())
    }

    /// One step: time passes, what is due arrives, and every node takes one turn.
    fn step(&mut self) -> Result<(), Broken> {
        self.step += 1;
        let now = self.step;
        self.stats.note("step");
        self.cuts.retain(|_, until| *until > now);
        self.places.values_mut().chain(&mut self.homeless).for_each(|place| place.clock.advance(STEP_MILLIS));
        self.bring_back()?;
        self.house_the_homeless();
        self.deliver();
        for id in self.ids() {
            self.turn(id)?;
        }
        Ok(())
    }

    fn ids(&self) -> Vec<NodeId> {
        self.places.keys().copied().collect()
    }

    /// Who is up and hears.
    fn awake(&self) -> Vec<NodeId> {
        let is_awake = |place: &Place| place.replica.is_some() && place.paused_until <= self.step;
        self.places.iter().filter(|(_, place)| is_awake(place)).map(|(id, _)| *id).collect()
    }

    fn leader(&self) -> Option<NodeId> {
        let leads = |place: &Place| {
            let status = place.replica.as_ref()?.status();
            (status.role == cluster::Role::Leader).then_some(status.term)
        };
        let leading = self.places.iter().filter_map(|(id, place)| Some((leads(place)?, *id)));
        leading.max().map(|(_, id)| id)
    }

    fn ticket(&mut self, node: NodeId, asked: Asked) -> u64 {
        self.next_ticket += 1;
        self.asked.insert(self.next_ticket, (node, asked));
        self.next_ticket
    }

    /// Notes what happened; with `SIM_TRACE` set, it is printed with its step.
    fn note(&mut self, what: &str) {
        self.stats.note(what);
        if self.is_under_load {
            self.stats.note(&format!("{UNDER_LOAD}{what}"));
        }
        if self.is_traced {
            eprintln!("step {:>5}, entry {:>5}: {what}", self.step, self.model.position);
        }
    }

    fn tell(&mut self, what: &str) {
        self.digest.update(what.as_bytes());
        self.digest.update(b"\n");
    }

    fn show(&self) -> String {
        let of_place = |(id, place): (&NodeId, &Place)| match &place.replica {
            Some(replica) => format!(
                "{id}: applied {}, registered {}, work {}, waits {}, full {}, {:?}\n",
                replica.applied(),
                replica.is_registered(),
                replica.has_work(),
                replica.is_awaited(),
                replica.is_full(),
                replica.status()
            ),
            None => format!("{id}: down until {}\n", place.back_at),
        };
        let places: String = self.places.iter().map(of_place).collect();
        let asked: Vec<_> = self.asked.keys().take(5).collect();
        format!(
            "step {}, entry {}, lost {:?}, without a place {}, asked {asked:?}, members {:?}\n{places}",
            self.step,
            self.model.position,
            self.lost,
            self.homeless.len(),
            self.members
        )
    }

    fn serves(&self, holds: bool, what: &str) -> Result<(), Broken> {
        Promise::Serves.check(holds, || format!("{what}\n{}", self.show()))
    }
}
