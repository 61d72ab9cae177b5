//! The simulation itself: one loop of time, people, faults, turns and checks.

use crate::ballots::{Papers, Wish, prepare, prepare_rubbish};
use crate::broken::{Broken, Promise};
use crate::clock::Clock;
use crate::disks::{CacheFate, Machine};
use crate::invariants::acknowledged::{self, Ack, index_of};
use crate::invariants::closed::Ends;
use crate::invariants::refused::{self, Answered, Views};
use crate::invariants::{closed, one_voter, only_committed, replay, retry, serves, tally};
use crate::lookup::{Resolved, SimEngine, resolve};
use crate::model::{ActVerdict, Model, PlainElection, Stage};
use crate::officers::Officers;
use crate::people::{People, wish_of};
use crate::random::Random;
use crate::record::record;
use election::command::EpochReason;
use election::{ElectionId, ElectionIndex, Hlc, OfficerCommand, hex};
use ledger::faulty::Crash;
use ledger::{LedgerOptions, LogReader, Position, Scan, Storage, StorageFile, Threads};
use node::core::{Answer, BulkAnswer, ChunkBallot, CoreLimits, Effects, Event};
use node::engine::{Engine, EngineConfig};
use node::identity::Keys;
use node::{NodeError, PreparedChunk, SubmitError};
use proof::{NodeKey, Secret, Sha256Stream};
use std::collections::BTreeMap;

/// Which faults a stretch of the simulation has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Faults {
    Any,
    None,
}

/// Steps between two full checks, which replay the log from nothing.
const FULL_CHECK_STEPS: u64 = 40;
/// Turns that a healthy node may take to answer everything.
const TURNS_TO_ANSWER: u32 = 200;

/// What happened, for people.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    pub steps: u64,
    pub turns: u64,
    pub ballots_sent: u64,
    pub ballots_accepted: u64,
    pub refusals: u64,
    pub repeats: u64,
    pub acts: u64,
    pub lost_answers: u64,
    pub power_cuts: u64,
    pub kills: u64,
    pub stops: u64,
    pub full_disks: u64,
    pub failed_syncs: u64,
    pub clock_faults: u64,
    pub damaged: u64,
    pub caches_hurt: u64,
    pub full_checks: u64,
}

impl Stats {
    /// Faults of all kinds.
    pub fn faults(&self) -> u64 {
        self.power_cuts
            + self.kills
            + self.full_disks
            + self.failed_syncs
            + self.clock_faults
            + self.damaged
            + self.caches_hurt
    }

    pub fn add(&mut self, other: &Stats) {
        let Stats { steps, turns, ballots_sent, ballots_accepted, refusals, repeats, .. } = other;
        self.steps += steps;
        self.turns += turns;
        self.ballots_sent += ballots_sent;
        self.ballots_accepted += ballots_accepted;
        self.refusals += refusals;
        self.repeats += repeats;
        let Stats { acts, lost_answers, power_cuts, kills, stops, full_disks, .. } = other;
        self.acts += acts;
        self.lost_answers += lost_answers;
        self.power_cuts += power_cuts;
        self.kills += kills;
        self.stops += stops;
        self.full_disks += full_disks;
        let Stats { failed_syncs, clock_faults, damaged, caches_hurt, full_checks, .. } = other;
        self.failed_syncs += failed_syncs;
        self.clock_faults += clock_faults;
        self.damaged += damaged;
        self.caches_hurt += caches_hurt;
        self.full_checks += full_checks;
    }
}

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

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Stop,
    Kill,
    PowerCut(Crash),
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
        let mut random = Random::new(seed);
        let machine = Machine::new(&mut random);
        let mut sim = Sim {
            seed,
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
        sim.open()?;
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
        self.stats.steps += 1;
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
            if self.stats.steps % FULL_CHECK_STEPS == 0 {
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

    /// Arms what will go wrong during the next turns.
    fn do_harm(&mut self) {
        let random = &mut self.chance.faults;
        if let Some(until) = self.sabotage.full_until {
            if self.stats.steps >= until {
                self.machine.set_space(None);
                self.sabotage.full_until = None;
            }
        } else if random.permille(15) {
            self.sabotage.full_until = Some(self.stats.steps + random.between(1, 12));
            self.caches_lag = true;
            self.stats.full_disks += 1;
            for disk in [&self.machine.ledger, &self.machine.cache, &self.machine.index] {
                if random.one_in(2) {
                    disk.set_space(Some(random.below(3_000)));
                }
            }
        }
        if !self.sabotage.crash && random.permille(25) {
            self.sabotage.crash = true;
            let disk = match random.below(4) {
                0 => &self.machine.cache,
                1 => &self.machine.index,
                _ => &self.machine.ledger,
            };
            disk.crash_at_operation(disk.operations() + random.between(1, 12));
        }
        if !self.sabotage.sync && random.permille(10) {
            // A cache that cannot be synced ends nothing.
            let is_cache = random.one_in(4);
            self.sabotage.sync = !is_cache;
            let disk = if is_cache { &self.machine.cache } else { &self.machine.ledger };
            disk.fail_sync(random.between(1, 6));
        }
        if random.permille(20) {
            self.stats.clock_faults += 1;
            match random.below(5) {
                0 => self.clock.set_drift(i64::try_from(random.below(400)).expect("small") - 200),
                1 => self.clock.step_wall(i64::try_from(random.below(4_000_000)).expect("small")),
                2 => self.clock.step_wall(-i64::try_from(random.below(4_000_000)).expect("small")),
                3 => self.clock.confirm(),
                _ => self.clock.heal(),
            }
        }
    }

    /// What reaches the node in this step.
    fn events(&mut self) -> Vec<Event<u64>> {
        let now = self.clock.read().now;
        let engine = self.engine.as_ref().expect("a step has an engine");
        let acts = self.officers.acts(&mut self.model, engine, now);
        let mut events: Vec<Event<u64>> = acts.into_iter().map(|act| self.act(act)).collect();
        for wish in self.people.wishes(&self.model, self.stats.steps) {
            let Some(paper) = self.paper(&wish) else { continue };
            if self.chance.edge.one_in(10) {
                let arrives = self.stats.steps + self.chance.edge.between(1, 4);
                self.on_the_way.push((arrives, paper));
            } else {
                events.push(self.cast(paper));
            }
        }
        let step = self.stats.steps;
        let (arrived, rest) = std::mem::take(&mut self.on_the_way).into_iter().partition(|(at, _)| *at <= step);
        self.on_the_way = rest;
        let arrived: Vec<(u64, usize)> = arrived;
        events.extend(arrived.into_iter().map(|(_, paper)| self.cast(paper)));
        if self.chance.edge.one_in(8)
            && let Some(election) = self.people.bulk_election(&self.model)
        {
            let wishes = self.people.chunk(&self.model, election);
            events.push(self.chunk(election, &wishes));
        }
        events
    }

    fn act(&mut self, command: OfficerCommand) -> Event<u64> {
        self.stats.acts += 1;
        let (stamp, ticket) = (self.stamp(), self.ticket(Asked::Act));
        Event::Officer(stamp, Box::new(command), ticket)
    }

    fn cast(&mut self, paper: usize) -> Event<u64> {
        self.waiting.insert(paper, Vec::new());
        let ticket = self.ticket(Asked::Cast(paper));
        Event::Cast(self.papers.get(paper).ballot.clone(), ticket)
    }

    fn chunk(&mut self, election: usize, wishes: &[Wish]) -> Event<u64> {
        let mut chunk = PreparedChunk {
            election: index_of(election),
            bytes: Vec::new(),
            ballots: Vec::new(),
            with_receipts: self.chance.edge.one_in(2),
        };
        let mut papers = Vec::new();
        for wish in wishes {
            let Some(paper) = self.paper(wish) else { continue };
            let ballot = &self.papers.get(paper).ballot;
            if ballot.election != chunk.election {
                // Rubbish for another election cannot be said within a chunk.
                continue;
            }
            chunk.ballots.push(ChunkBallot {
                stamp: ballot.stamp,
                number: ballot.number,
                tag: ballot.tag,
                key: ballot.key,
                leaf: ballot.leaf,
                start: u32::try_from(chunk.bytes.len()).expect("small"),
                length: u32::try_from(ballot.opening.len()).expect("small"),
            });
            chunk.bytes.extend_from_slice(&ballot.opening);
            self.waiting.insert(paper, Vec::new());
            papers.push(paper);
        }
        let ticket = self.ticket(Asked::Chunk(papers));
        Event::Chunk(chunk, ticket)
    }

    /// A wish written down, stamped now; sometimes it is spoilt on the way.
    fn paper(&mut self, wish: &Wish) -> Option<usize> {
        let election = self.model.elections.get(wish.election)?;
        let ledger = self.engine.as_ref()?.identity().ledger;
        let id = ElectionId::derive(ledger, &election.plan.slug);
        let is_rubbish = !self.is_ending && self.people.is_rubbish();
        let mut wish = wish.clone();
        if is_rubbish && !wish.key.is_none() {
            wish.key = self.people.fresh_key();
        }
        let same_instant = !self.is_ending && self.chance.edge.one_in(12);
        let stamp = if same_instant { self.hlc } else { self.stamp() };
        let plan = &self.model.elections[wish.election].plan;
        let make = if is_rubbish { prepare_rubbish } else { prepare };
        let paper = make(&mut self.chance.edge, plan, id, &wish, stamp);
        self.stats.ballots_sent += 1;
        Some(self.papers.add(paper))
    }

    fn stamp(&mut self) -> Hlc {
        self.hlc = self.hlc.next(self.clock.read().now);
        self.hlc
    }

    fn ticket(&mut self, asked: Asked) -> u64 {
        self.next_ticket += 1;
        self.asked.insert(self.next_ticket, asked);
        self.next_ticket
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

    /// One turn of the node, and every check that goes with it. False where the process died.
    fn turn(&mut self, events: Vec<Event<u64>>) -> Result<bool, Broken> {
        self.stats.turns += 1;
        let clock = self.clock.read();
        let mut effects = Effects::new();
        let engine = self.engine.as_mut().expect("a turn has an engine");
        let outcome = engine.turn(clock, events.into_iter(), &mut effects);
        if let Err(error) = outcome {
            self.died(&error)?;
            return Ok(false);
        }
        if self.machine.is_dead() {
            // One disk has stopped: the machine has, and the answers never left it.
            let how = draw_crash(&mut self.chance.lives);
            self.restart(End::PowerCut(how))?;
            return Ok(false);
        }
        self.hlc = self.hlc.max(engine.core().hlc());
        self.take_turn(effects)?;
        Ok(true)
    }

    fn take_turn(&mut self, effects: Effects<u64>) -> Result<(), Broken> {
        self.note_views();
        let acts = self.read_log()?;
        self.check_state()?;
        let key = self.engine_ref().core().keys().node.public();
        for (election, note) in &effects.checkpoints {
            acknowledged::check_checkpoint(&self.model, *election, note, &key)?;
            let slug = self.slug(*election);
            self.checkpoints.entry(slug).or_default().push(note.clone());
        }
        if !effects.answers.is_empty() || !effects.checkpoints.is_empty() {
            only_committed::check(&self.machine, &self.model)?;
        }
        self.deliver(effects.answers, acts)
    }

    /// What the model says of every waiting paper before this turn's entry.
    fn note_views(&mut self) {
        for (paper, views) in &mut self.waiting {
            let view = self.model.judge(&self.papers, *paper);
            if views.last() != Some(&view) {
                views.push(view);
            }
        }
    }

    /// Reads what was committed since the last look; returns what must have become of the acts in it.
    fn read_log(&mut self) -> Result<Vec<ActVerdict>, Broken> {
        let engine = self.engine.as_mut().expect("the log is read from an engine");
        let mut scan = engine.reader().scan(Position(self.model.position + 1));
        let mut acts = Vec::new();
        loop {
            let entry = scan.next().map_err(|error| Promise::Replay.broken(error.to_string()))?;
            let Some(entry) = entry else { break };
            let position = entry.header.position.0;
            acts.extend(self.model.enter(&self.papers, position, entry.hash, entry.payload)?);
            self.payloads.push(entry.payload.to_vec());
        }
        acknowledged::note_leaves(engine, &mut self.model, &self.papers)?;
        Ok(acts)
    }

    fn check_state(&mut self) -> Result<(), Broken> {
        let state = self.engine_ref().core().state();
        tally::check(state, &self.model, &self.papers)?;
        let state = self.engine.as_ref().expect("just used").core().state();
        self.ends.check(state)
    }

    fn deliver(&mut self, answers: Vec<(u64, Answer)>, acts: Vec<ActVerdict>) -> Result<(), Broken> {
        let mut acts = acts.into_iter().filter(|act| !act.is_rule);
        for (ticket, answer) in answers {
            let asked = self.asked.remove(&ticket);
            let asked = asked.ok_or_else(|| {
                Promise::Serves.broken(format!("ticket {ticket} is answered twice, or nobody has it"))
            })?;
            match (asked, answer) {
                (Asked::Cast(paper), answer) => {
                    let answered = self.answered(paper, answer)?;
                    self.take_answer(paper, &answered)?;
                }
                (Asked::Chunk(papers), Answer::Chunk(lines)) => {
                    Promise::Serves
                        .check(papers.len() == lines.len(), || "a line has no answer".to_owned())?;
                    for (paper, line) in papers.into_iter().zip(lines) {
                        let answered = self.line_answered(paper, line)?;
                        self.take_answer(paper, &answered)?;
                    }
                }
                (Asked::Act, Answer::Refused(SubmitError::StorageFull)) => self.tell("full"),
                (Asked::Act, answer) => {
                    let answered = match answer {
                        Answer::Acted(acted) => Ok(acted),
                        Answer::Refused(error) => Err(error),
                        other => return Err(Promise::Serves.broken(format!("an act came to {other:?}"))),
                    };
                    self.tell(&format!("{:?}", answered.as_ref().map(|acted| (&acted.position, &acted.state))));
                    let expected = acts.next();
                    let expected = expected.ok_or_else(|| {
                        Promise::OnlyCommitted.broken(format!("{answered:?} is for an act not in the log"))
                    })?;
                    refused::check_act(&expected, &answered)?;
                }
                (asked, answer) => {
                    return Err(Promise::Serves.broken(format!("{asked:?} was answered {answer:?}")));
                }
            }
        }
        let left = acts.next();
        Promise::Serves.check(left.is_none(), || format!("an act in the log was not answered: {left:?}"))
    }

    fn answered(&mut self, paper: usize, answer: Answer) -> Result<Answered, Broken> {
        Ok(match answer {
            Answer::Cast(receipt) => {
                self.check_receipt(paper, &receipt)?;
                Answered::Accepted { leaf: receipt.leaf_index, ballot: receipt.ballot_index }
            }
            Answer::Refused(error) => Answered::Refused(error),
            Answer::Repeated(repeat) => Answered::Repeated(self.resolve(&repeat)),
            other => return Err(Promise::Serves.broken(format!("a ballot came to {other:?}"))),
        })
    }

    fn line_answered(&mut self, paper: usize, answer: BulkAnswer) -> Result<Answered, Broken> {
        Ok(match answer {
            BulkAnswer::Accepted(accepted) => {
                if let Some(receipt) = &accepted.receipt {
                    self.check_receipt(paper, receipt)?;
                }
                Answered::Accepted { leaf: accepted.leaf_index, ballot: accepted.ballot_index }
            }
            BulkAnswer::Refused(error) => Answered::Refused(error),
            BulkAnswer::Repeated(repeat) => Answered::Repeated(self.resolve(&repeat)),
        })
    }

    fn resolve(&mut self, repeat: &node::core::Repeat) -> Resolved {
        resolve(self.engine.as_mut().expect("answers come from an engine"), repeat)
    }

    /// Signatures are slow to check, so of most batches only the first receipt is.
    fn check_receipt(&mut self, paper: usize, receipt: &node::CastReceipt) -> Result<(), Broken> {
        if receipt.index > 0 && !self.chance.answers.one_in(10) {
            return Ok(());
        }
        let key = self.engine_ref().core().keys().node.public();
        acknowledged::check_receipt(&self.model, &self.papers, paper, receipt, &key)?;
        let kept = self.receipts.entry(receipt.context.slug.clone()).or_default();
        if kept.len() < 20 {
            let file = serde_json::to_string(&receipt.to_receipt()).expect("a receipt is JSON");
            kept.push(file);
        }
        Ok(())
    }

    /// Checks an answer to a ballot, and lets the voter have it, or not.
    fn take_answer(&mut self, paper: usize, answered: &Answered) -> Result<(), Broken> {
        if self.caches_lag && matches!(answered, Answered::Repeated(Resolved::Unreadable(_))) {
            // The caches wait for room; the voter asks again.
            self.waiting.remove(&paper);
            self.ask_again(paper);
            return Ok(());
        }
        let views = self.waiting.remove(&paper).unwrap_or_default();
        let now = self.model.judge(&self.papers, paper);
        refused::check_answer(&self.model, paper, &views, now, answered)?;
        self.tell(&format!("{answered:?}"));
        let hash = |leaf: u64| {
            let election = &self.model.elections[self.papers.get(paper).wish.election];
            election.hashes[usize::try_from(leaf).expect("few leaves")]
        };
        match answered {
            Answered::Accepted { leaf, .. } => {
                self.stats.ballots_accepted += 1;
                self.acks.push(Ack { paper, leaf: *leaf, hash: hash(*leaf) });
            }
            Answered::Repeated(Resolved::Same { leaf, hash }) => {
                self.stats.repeats += 1;
                self.acks.push(Ack { paper, leaf: *leaf, hash: *hash });
            }
            _ => {
                self.stats.refusals += 1;
                if !self.model.logged.contains_key(&paper) {
                    self.model.turned_away.insert(paper);
                }
            }
        }
        let Some(wish) = wish_of(&self.papers, paper) else { return Ok(()) };
        let is_retried = *answered == Answered::Refused(SubmitError::StorageFull);
        if is_retried || self.chance.answers.one_in(12) {
            self.stats.lost_answers += u64::from(!is_retried);
            self.people.has_no_answer(&wish, self.stats.steps);
        } else {
            self.people.has_answer(&self.model, &wish, self.stats.steps);
        }
        Ok(())
    }

    fn ask_again(&mut self, paper: usize) {
        if let Some(wish) = wish_of(&self.papers, paper) {
            self.people.has_no_answer(&wish, self.stats.steps);
        }
    }

    fn tell(&mut self, what: &str) {
        self.digest.update(what.as_bytes());
        self.digest.update(b"\n");
    }

    fn idle(&mut self) -> Result<(), Broken> {
        let engine = self.engine.as_mut().expect("an idle node has an engine");
        match engine.idle() {
            Ok(()) if self.machine.is_dead() => {
                let how = draw_crash(&mut self.chance.lives);
                self.restart(End::PowerCut(how))
            }
            Ok(()) => {
                if self.sabotage.full_until.is_none() {
                    self.marked = self.model.position;
                    self.caches_lag = false;
                }
                Ok(())
            }
            Err(error) => self.died(&error),
        }
    }

    /// Now and then the process is stopped or killed, or the power fails after a turn and before its answers.
    fn end_a_life(&mut self) -> Result<(), Broken> {
        let random = &mut self.chance.lives;
        if !random.permille(45) {
            return Ok(());
        }
        let end = match random.below(3) {
            0 => End::Stop,
            1 => End::Kill,
            _ => End::PowerCut(draw_crash(random)),
        };
        self.restart(end)
    }

    /// The process ended by itself.
    fn died(&mut self, error: &NodeError) -> Result<(), Broken> {
        serves::check_death(error, self.sabotage.crash || self.sabotage.sync)?;
        let random = &mut self.chance.lives;
        let is_killed = self.sabotage.sync && !self.sabotage.crash && random.one_in(2);
        let end = if is_killed { End::Kill } else { End::PowerCut(draw_crash(random)) };
        if self.sabotage.sync {
            self.stats.failed_syncs += 1;
        }
        self.restart(end)
    }

    fn restart(&mut self, end: End) -> Result<(), Broken> {
        let mut is_stopped = false;
        match end {
            End::Stop => {
                if !self.answer_all()? {
                    // It died on the way, and is running again.
                    return Ok(());
                }
                let engine = self.engine.take().expect("a running node is stopped");
                is_stopped = match engine.close() {
                    Ok(()) => true,
                    Err(error) if serves::is_disk_full(&error) => false,
                    Err(error) => {
                        serves::check_death(&error, self.sabotage.crash || self.sabotage.sync)?;
                        false
                    }
                };
                if is_stopped && self.sabotage.full_until.is_none() {
                    self.marked = self.model.position;
                }
                self.stats.stops += 1;
            }
            End::Kill => {
                self.engine = None;
                self.stats.kills += 1;
            }
            End::PowerCut(_) => {
                self.engine = None;
                self.stats.power_cuts += 1;
            }
        }
        let cut = match end {
            End::PowerCut(how) => Some(how),
            // A machine that was to die dies now; nothing more is written before.
            _ if self.sabotage.crash => Some(Crash::KeepAll),
            _ => None,
        };
        if let Some(how) = cut {
            self.crash(how);
        }
        self.forget_tickets();
        self.damage_caches(is_stopped)?;
        self.open()
    }

    /// Whoever waits for an answer gets none.
    fn forget_tickets(&mut self) {
        let papers: Vec<usize> = std::mem::take(&mut self.waiting).into_keys().collect();
        self.asked.clear();
        papers.into_iter().for_each(|paper| self.ask_again(paper));
        let lost = std::mem::take(&mut self.on_the_way);
        lost.into_iter().for_each(|(_, paper)| self.ask_again(paper));
    }

    fn damage_caches(&mut self, is_stopped: bool) -> Result<(), Broken> {
        let random = &mut self.chance.lives;
        let was_limited = self.sabotage.full_until.take().is_some();
        if was_limited {
            self.machine.set_space(None);
        }
        let fate = match random.below(10) {
            0..=4 => CacheFate::Kept,
            5 | 6 => CacheFate::Deleted,
            7 => CacheFate::FileDeleted,
            8 => CacheFate::FileTorn,
            _ => CacheFate::SnapshotDamaged,
        };
        self.stats.caches_hurt += u64::from(fate != CacheFate::Kept);
        self.machine.change_caches(random, fate);
        if self.sabotage.sync {
            // The next sync may fail, whatever it is for.
            return Ok(());
        }
        if self.chance.lives.one_in(6) {
            self.damage_the_ledger()?;
        }
        if is_stopped && fate == CacheFate::Kept && self.chance.lives.one_in(3) {
            self.lose_the_last_segment()?;
        }
        Ok(())
    }

    /// Flips bits in an entry that was confirmed. The node has to refuse to start, and to start once they are back.
    fn damage_the_ledger(&mut self) -> Result<(), Broken> {
        let last = self.model.position;
        let confirmed = if self.marked == last { last } else { last.saturating_sub(1) };
        if confirmed == 0 {
            return Ok(());
        }
        let random = &mut self.chance.lives;
        let position = if random.one_in(2) { confirmed } else { random.between(1, confirmed) };
        let payload = &self.payloads[usize::try_from(position - 1).expect("few entries")];
        let (name, start) = find(&self.machine.ledger.contents(), payload).ok_or_else(|| {
            Promise::Acknowledged.broken(format!("entry {position} is not in the durable image any more"))
        })?;
        let head = ENTRY_HEAD_BYTES.min(start);
        let at = start - head + random.index(head + payload.len());
        let mask = 1 << random.below(8);
        self.machine.ledger.flip(&name, at, mask);
        self.stats.damaged += 1;
        let opened = self.try_open();
        match opened {
            Err(error) if error.is_damage() => {
                self.machine.ledger.flip(&name, at, mask);
                Ok(())
            }
            Err(error) => Err(Promise::Acknowledged.broken(format!("entry {position} is damaged, but: {error}"))),
            Ok(engine) => Err(Promise::Acknowledged.broken(format!(
                "entry {position} was confirmed and is damaged, and the node started with {} entries",
                engine.committed()
            ))),
        }
    }

    /// The file with the last entries is gone, and the caches show it: the node has to refuse to start.
    fn lose_the_last_segment(&mut self) -> Result<(), Broken> {
        let contents = self.machine.ledger.contents();
        let segments: Vec<&String> = contents.keys().filter(|name| name.ends_with(".seg")).collect();
        let has_snapshot = self.machine.cache.contents().contains_key("snapshot");
        let (true, [_, .., last]) = (has_snapshot && self.snapshot_is_newest(), segments.as_slice()) else {
            return Ok(());
        };
        let disk = &self.machine.ledger;
        disk.remove(last).expect("the file is there");
        self.stats.damaged += 1;
        let opened = self.try_open();
        let disk = &self.machine.ledger;
        match opened {
            Err(error) if error.is_damage() => {
                let put_back = || {
                    let file = disk.create(last)?;
                    file.write_at(&[&contents[*last]], 0)?;
                    file.sync_data()?;
                    disk.sync_folder()
                };
                put_back().expect("the machine is in order");
                Ok(())
            }
            Err(error) => Err(Promise::Acknowledged.broken(format!("the last file is gone, but: {error}"))),
            Ok(engine) => Err(Promise::Acknowledged.broken(format!(
                "the ledger's last file is gone, its caches know of {} entries, and the node started with {}",
                self.model.position,
                engine.committed()
            ))),
        }
    }

    /// Whether the snapshot on disk is of the last entry.
    fn snapshot_is_newest(&self) -> bool {
        node::caches::Snapshot::read(&self.machine.cache)
            .is_some_and(|snapshot| snapshot.point.position.0 == self.model.position)
    }

    fn try_open(&mut self) -> Result<SimEngine, NodeError> {
        let config = self.config(None);
        let clock = self.clock.read();
        Engine::open(self.machine.disks(), config, clock).map(|opened| opened.engine)
    }

    fn config(&mut self, new_epoch: Option<EpochReason>) -> EngineConfig {
        EngineConfig {
            keys: self.keys(),
            limits: CoreLimits { max_concurrent: self.max_concurrent },
            options: LedgerOptions {
                segment_bytes_first: 16 << 10,
                segment_bytes_max: 64 << 10,
                threads: Threads::CallerOnly,
            },
            seed: self.chance.lives.bytes(),
            officer: Some(self.officer.clone()),
            founding_officer: self.officer.clone(),
            new_epoch,
            snapshot_every_ballots: self.snapshot_every,
        }
    }

    fn keys(&self) -> Keys {
        let node = NodeKey::new(1, &Secret::from_bytes(self.node_seed));
        Keys::new(Secret::from_bytes(self.secret), node)
    }

    /// Starts a process on the machine as it is, again and again if it dies on the way, and checks all it comes up with.
    fn open(&mut self) -> Result<(), Broken> {
        self.caches_lag = false;
        self.clock.restart();
        let may_be_sabotaged = self.stats.steps > 0;
        let random = &mut self.chance.lives;
        let new_epoch = (may_be_sabotaged && random.one_in(12)).then(|| *random.pick(&REASONS));
        if may_be_sabotaged && random.one_in(15) {
            self.node_seed = random.bytes();
        }
        if may_be_sabotaged && random.one_in(15) {
            self.officer = hex(&random.bytes::<32>());
        }
        for attempt in 0.. {
            let random = &mut self.chance.lives;
            let dies = attempt < 3 && random.one_in(6);
            if dies {
                let disk = *random.pick(&[&self.machine.ledger, &self.machine.cache]);
                disk.crash_at_operation(disk.operations() + random.between(1, 15));
            }
            let config = self.config(new_epoch);
            let clock = self.clock.read();
            match Engine::open(self.machine.disks(), config, clock) {
                Ok(opened) if !self.machine.is_dead() => {
                    self.sabotage.crash = dies;
                    self.engine = Some(opened.engine);
                    break;
                }
                Ok(_) => self.power_cut(),
                Err(error) => {
                    serves::check_death(&error, dies || self.sabotage.sync)?;
                    self.power_cut();
                }
            }
        }
        self.check_opened()
    }

    fn power_cut(&mut self) {
        self.stats.power_cuts += 1;
        let how = draw_crash(&mut self.chance.lives);
        self.crash(how);
    }

    /// The machine is switched off and on; what was armed is gone.
    fn crash(&mut self, how: Crash) {
        self.machine.crash(&mut self.chance.lives, how);
        (self.sabotage.crash, self.sabotage.sync) = (false, false);
    }

    fn check_opened(&mut self) -> Result<(), Broken> {
        let engine = self.engine.as_mut().expect("just opened");
        let found = engine.committed().0;
        Promise::Acknowledged.check(found >= self.model.position, || {
            format!("{} entries were committed, {found} came back", self.model.position)
        })?;
        if let Some(hash) = self.model.hash {
            let mut scan = engine.reader().scan(Position(self.model.position));
            let entry = scan.next().map_err(|error| Promise::Replay.broken(error.to_string()))?;
            let same = entry.is_some_and(|entry| entry.hash == hash);
            Promise::Acknowledged.check(same, || "the log's committed part has changed".to_owned())?;
        }
        self.hlc = self.hlc.max(engine.core().hlc());
        self.read_log()?;
        self.check_state()?;
        if self.sabotage.crash {
            // Reading the caches would run into the crash that is to come.
            return Ok(());
        }
        self.check_evidence()
    }

    /// Trees, stored ballots, every acknowledgement, every key.
    fn check_evidence(&mut self) -> Result<(), Broken> {
        let engine = self.engine.as_mut().expect("a node is running");
        acknowledged::check_acks(&self.model, &self.papers, &self.acks)?;
        closed::check_leaves(&self.model, &self.papers)?;
        if self.caches_lag {
            return Ok(());
        }
        acknowledged::check_leaves(engine, &self.model, &self.papers)?;
        one_voter::check(engine, &self.model)?;
        retry::check(engine, &self.papers, &self.acks)
    }

    /// Everything, and the log replayed from nothing.
    fn check_fully(&mut self) -> Result<(), Broken> {
        self.stats.full_checks += 1;
        self.check_evidence()?;
        if self.caches_lag {
            return Ok(());
        }
        let (config, clock) = (self.config(None), self.clock.read());
        let live = self.engine.as_mut().expect("a node is running");
        let mut fresh = replay::check(&self.machine, live, &self.model, config, clock)?;
        retry::check(&mut fresh, &self.papers, &self.acks)
    }

    /// Undoes every fault. A machine that was about to die does so, and comes back.
    fn heal(&mut self) -> Result<(), Broken> {
        self.machine.set_space(None);
        let is_armed = self.sabotage.crash || self.sabotage.sync;
        self.sabotage.full_until = None;
        self.clock.heal();
        self.clock.confirm();
        if is_armed {
            self.engine = None;
            self.stats.power_cuts += 1;
            self.crash(Crash::LoseAll);
            self.forget_tickets();
            self.open_in_peace()?;
        }
        Ok(())
    }

    /// A start without faults.
    fn open_in_peace(&mut self) -> Result<(), Broken> {
        self.caches_lag = false;
        self.clock.restart();
        let engine = self.try_open();
        self.engine = Some(engine.map_err(|error| Promise::Serves.broken(format!("it does not start: {error}")))?);
        self.check_opened()
    }

    /// Turns until nothing waits. False where the process died and was started again.
    fn answer_all(&mut self) -> Result<bool, Broken> {
        for _ in 0..TURNS_TO_ANSWER {
            if !self.engine_ref().core().has_work() {
                Promise::Serves.check(self.asked.is_empty(), || {
                    format!("{} requests wait, and the node has no work", self.asked.len())
                })?;
                return Ok(true);
            }
            if !self.turn(Vec::new())? {
                return Ok(false);
            }
        }
        Err(Promise::Serves.broken("the node does not come to an end with its work"))
    }

    /// Heals, answers everybody, brings every election to its end, serves one more, and checks what is left: states,
    /// records, audits, restarts with and without caches.
    pub fn finish(mut self) -> Result<Finished, Broken> {
        self.heal()?;
        self.is_ending = true;
        self.answer_everybody()?;
        self.end_elections()?;
        self.hold_one_more_election()?;
        self.check_fully()?;
        let before = self.records()?;
        for delete_caches in [false, true] {
            self.restart_in_peace(delete_caches)?;
            self.check_silence()?;
            let after = self.records()?;
            Promise::Replay.check(before == after, || "a restart changes a record".to_owned())?;
        }
        let state = self.engine_ref().core().state().to_snapshot();
        self.digest.update(&state);
        let durable = self.machine.ledger.copy();
        durable.crash(Crash::LoseAll);
        Ok(Finished {
            digest: self.digest.digest().to_hex(),
            stats: self.stats,
            records: before,
            receipts: self.receipts,
            checkpoints: self.checkpoints,
            ledger: durable.contents(),
            secret: Secret::from_bytes(self.secret).to_text().to_string(),
            node_key: Secret::from_bytes(self.node_seed).to_text().to_string(),
        })
    }

    /// Sends what anybody still wants to send, until nobody waits.
    fn answer_everybody(&mut self) -> Result<(), Broken> {
        for _ in 0..10 {
            self.clock.advance(100);
            let mut events = Vec::new();
            for wish in self.people.rest() {
                let Some(paper) = self.paper(&wish) else { continue };
                events.push(self.cast(paper));
            }
            for (_, paper) in std::mem::take(&mut self.on_the_way) {
                events.push(self.cast(paper));
            }
            self.peaceful_turn(events)?;
            self.peaceful_answers()?;
        }
        Ok(())
    }

    fn end_elections(&mut self) -> Result<(), Broken> {
        for _ in 0..6 {
            self.clock.advance(2_000);
            let mut events = Vec::new();
            for index in 0..self.model.elections.len() {
                let engine = self.engine.as_ref().expect("a node is running");
                if let Some(act) = self.officers.finish(&self.model.elections[index], index, engine) {
                    events.push(self.act(act));
                }
            }
            self.peaceful_turn(events)?;
            self.peaceful_answers()?;
            self.idle()?;
        }
        let clock = self.clock.read();
        serves::check_converged(self.engine_ref(), &self.model, clock)?;
        let is_over = |stage: Stage| matches!(stage, Stage::Published | Stage::Cancelled);
        match self.model.elections.iter().find(|election| !is_over(election.stage)) {
            None => Ok(()),
            Some(PlainElection { plan, stage, leaves, .. }) => Err(Promise::Serves.broken(format!(
                "{} is still {}: {:?} with {} leaves",
                plan.slug,
                stage.as_str(),
                plan.lot,
                leaves.len()
            ))),
        }
    }

    /// A healthy node takes a new election from its creation to its publication.
    fn hold_one_more_election(&mut self) -> Result<(), Broken> {
        let now = self.clock.read().now;
        let last = self.model.elections.len();
        for _ in 0..100 {
            let engine = self.engine.as_ref().expect("a node is running");
            let create = self.officers.create(&mut self.model, engine, self.hlc.wall().max(now));
            let event = self.act(create);
            self.peaceful_turn(vec![event])?;
            if self.model.elections.len() > last {
                break;
            }
        }
        let made = self.model.elections.get(last);
        let slug = made.map(|election| election.plan.slug.clone());
        let slug = slug.ok_or_else(|| Promise::Serves.broken("no new election can be made"))?;
        let open = self.act(OfficerCommand::Open { slug });
        self.peaceful_turn(vec![open])?;
        let before = self.stats.ballots_accepted;
        let wishes = self.people.chunk(&self.model, last);
        let chunk = self.chunk(last, &wishes);
        self.peaceful_turn(vec![chunk])?;
        self.peaceful_answers()?;
        Promise::Serves
            .check(self.stats.ballots_accepted > before, || "a new election takes no ballot".to_owned())?;
        self.end_elections()
    }

    /// A node that nobody asks anything, and that has nothing left to do, writes nothing.
    fn check_silence(&mut self) -> Result<(), Broken> {
        let before = self.model.position;
        for _ in 0..3 {
            self.clock.advance(10_000);
            self.peaceful_turn(Vec::new())?;
            self.idle()?;
        }
        Promise::Serves.check(self.model.position == before, || {
            format!("a node with nothing to do logged {} entries", self.model.position - before)
        })
    }

    fn peaceful_turn(&mut self, events: Vec<Event<u64>>) -> Result<(), Broken> {
        let lives = self.turn(events)?;
        Promise::Serves.check(lives, || "the node died without a fault".to_owned())
    }

    fn peaceful_answers(&mut self) -> Result<(), Broken> {
        let lives = self.answer_all()?;
        Promise::Serves.check(lives, || "the node died without a fault".to_owned())
    }

    fn restart_in_peace(&mut self, delete_caches: bool) -> Result<(), Broken> {
        let engine = self.engine.take().expect("a node is running");
        engine.close().map_err(|error| Promise::Serves.broken(format!("it does not stop: {error}")))?;
        if delete_caches {
            self.machine.change_caches(&mut self.chance.lives, CacheFate::Deleted);
        }
        self.open_in_peace()
    }

    fn records(&mut self) -> Result<BTreeMap<String, String>, Broken> {
        let engine = self.engine.as_mut().expect("a node is running");
        let mut records = BTreeMap::new();
        for (index, election) in self.model.elections.iter().enumerate() {
            if !election.leaves.is_empty() {
                let text = record(engine, index_of(index)).map_err(|what| Promise::Acknowledged.broken(what))?;
                records.insert(election.plan.slug.to_string(), text);
            }
        }
        Ok(records)
    }

    fn slug(&self, election: ElectionIndex) -> String {
        self.model.elections[election.0 as usize].plan.slug.to_string()
    }

    fn engine_ref(&self) -> &SimEngine {
        self.engine.as_ref().expect("a node is running")
    }
}

const REASONS: [EpochReason; 2] = [EpochReason::Restored, EpochReason::Recovered];
/// Bytes of an entry before its payload.
const ENTRY_HEAD_BYTES: usize = 104;

fn draw_crash(random: &mut Random) -> Crash {
    match random.below(10) {
        0..=2 => Crash::LoseAll,
        3..=5 => Crash::AnySector(random.next()),
        6 => Crash::KeepAll,
        7 | 8 => Crash::KeepOfLastWrite(random.index(600)),
        _ => Crash::LoseOfLastWrite(random.index(600)),
    }
}

/// Where a payload stands among the segments.
fn find(files: &BTreeMap<String, Vec<u8>>, payload: &[u8]) -> Option<(String, usize)> {
    files.iter().filter(|(name, _)| name.ends_with(".seg")).find_map(|(name, bytes)| {
        let at = bytes.windows(payload.len()).position(|window| window == payload)?;
        Some((name.clone(), at))
    })
}

