//! Members, their disks and the network between them, all in one thread and from one seed.
//!
//! After every turn: one leader a term; what is handed out as committed is the same everywhere, without gaps, and never
//! changes; reads see what was acknowledged before they were asked. The members are the product's own.

#![allow(dead_code, reason = "each test file uses its part")]

mod chance;
mod harm;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use cluster::{
    Change, CoreConfig, Input, LogEntry, Member, MemberConfig, Message, NodeId, NodeInfo, Refused, Role,
    RoomConfig, Seat, Turn,
};
use ledger::faulty::{Crash, FaultyStorage};
use ledger::{EntryKind, LedgerError, LedgerId, LedgerOptions, LogReader as _, Position, Scan as _, Threads};

use chance::Fnv;
pub use chance::{Random, Stats};

const LEDGER: LedgerId = LedgerId([3; 16]);
const ELECTION_TICKS: usize = 20;
/// A healed cluster commits again within as many ticks: a few elections, and a log sent to all.
pub const HEAL_TICKS: u64 = 40 * ELECTION_TICKS as u64;
const NODES_MAX: usize = 7;
/// Less than a segment, so that the log meets an end of room on either side of the mark.
const ROOM: RoomConfig = RoomConfig { stop_free_bytes: 30_000, reserve_bytes: 40_000 };
static KINDS: [(EntryKind, u32); 2] = [(EntryKind(1), 1), (EntryKind(9), 2)];

fn info(address: &str, version: u32) -> NodeInfo {
    NodeInfo { address: address.into(), http_address: String::new(), version }
}

struct Node {
    storage: FaultyStorage,
    member: Option<Member<FaultyStorage>>,
    /// Up again at this tick.
    back_at: u64,
    /// Hears and does nothing until then, as a stopped process.
    paused_until: u64,
    /// Entries handed out in this life, those of before included.
    applied: usize,
    committed: Position,
    /// A fault is armed that may end it.
    sick: bool,
    /// A bit of what it has confirmed has flipped, or its disk is another one, and it has not noticed yet.
    damaged: bool,
    /// No room on its disk until then.
    full_until: u64,
    /// Its clock stands still until then.
    slow_until: u64,
    /// Version of the program that is started next, or runs.
    program: u32,
}

/// What becomes of a node whose disk is empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fence {
    /// It joins under a new number.
    Kept,
    /// It goes on under its old number: a rule of this crate is broken.
    Broken,
}

/// What faults there are at present.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Faults {
    Any,
    None,
}

pub struct World {
    random: Random,
    now: u64,
    nodes: BTreeMap<NodeId, Node>,
    /// Bytes on their way, by when they arrive.
    wire: BTreeMap<(u64, u64), (NodeId, NodeId, Vec<u8>)>,
    sent: u64,
    /// Who is not heard by whom, and until when.
    cuts: BTreeMap<(NodeId, NodeId), u64>,
    leaders: BTreeMap<u64, NodeId>,
    last_leader: Option<NodeId>,
    /// What was handed out as committed by anybody, and so acknowledged.
    committed: Vec<(u64, u64)>,
    /// Reads under way, and what was acknowledged when they were asked.
    reads: BTreeMap<u64, usize>,
    read_count: u64,
    /// Members as of the longest history handed out.
    members: BTreeMap<NodeId, Seat>,
    /// Ten faults in so many ticks: under the most, there is hardly ever a majority.
    calm: u64,
    /// Whose disk is lost or damaged: one at a time, until it is replaced. Two of three would be lost for good.
    lost: Option<NodeId>,
    /// Members are removed that are not lost, too.
    removes: bool,
    /// Disks of nodes that were replaced, with what was moved aside on them.
    spare: Vec<FaultyStorage>,
    /// Who is to die soon, and when.
    ambushes: BTreeMap<u64, NodeId>,
    /// What members say of themselves.
    versions: BTreeMap<NodeId, u32>,
    /// The newest program that anybody has started.
    newest: u32,
    fence: Fence,
    pub stats: Stats,
    trace: u64,
}

fn digest(entry: &LogEntry) -> u64 {
    let mut hash = Fnv(0xcbf2_9ce4_8422_2325);
    hash.mix(&entry.position.0.to_be_bytes());
    hash.mix(&[entry.kind.0]);
    hash.mix(&entry.epoch.to_be_bytes());
    hash.mix(&entry.stamp.to_be_bytes());
    hash.mix(&entry.payload);
    hash.0
}

impl World {
    /// A cluster of three or five, formed by founding and joins.
    pub fn new(seed: u64, fence: Fence) -> Self {
        let mut world = Self {
            random: Random(seed),
            now: 0,
            nodes: BTreeMap::new(),
            wire: BTreeMap::new(),
            sent: 0,
            cuts: BTreeMap::new(),
            leaders: BTreeMap::new(),
            last_leader: None,
            committed: Vec::new(),
            reads: BTreeMap::new(),
            read_count: 0,
            members: BTreeMap::new(),
            calm: [200, 600, 1500][(seed % 3) as usize],
            lost: None,
            removes: seed.is_multiple_of(2),
            spare: Vec::new(),
            ambushes: BTreeMap::new(),
            versions: BTreeMap::new(),
            newest: if seed.is_multiple_of(5) { 2 } else { 1 },
            fence,
            stats: Stats::default(),
            trace: 0,
        };
        let storage = FaultyStorage::new(world.random.next());
        let program = world.newest;
        let config = world.config(NodeId(1), program);
        let founder = Member::found(storage.clone(), LEDGER, config, &info("n1", program), 1, 0).unwrap();
        world.nodes.insert(NodeId(1), Node::up(storage, founder, program));
        let size = if world.random.one_in(2) { 3 } else { 5 };
        world.run_until("the cluster is formed", |world| {
            let voters = world.members.values().filter(|seat| **seat == Seat::Voter).count();
            if voters < size {
                world.grow(size);
            }
            voters == size
        });
        world
    }

    fn config(&mut self, id: NodeId, program: u32) -> MemberConfig {
        let options = LedgerOptions {
            segment_bytes_first: 16 << 10,
            segment_bytes_max: 64 << 10,
            threads: Threads::CallerOnly,
        };
        let seed = self.random.next();
        let kinds: &[_] = if program == 1 { &KINDS[..1] } else { &KINDS };
        let core = CoreConfig { id, election_ticks: ELECTION_TICKS, heartbeat_ticks: 4, seed, kinds };
        MemberConfig { core, options, room: ROOM }
    }

    pub fn run(&mut self, faults: Faults, ticks: u64) {
        for _ in 0..ticks {
            if faults == Faults::Any {
                self.break_something();
            }
            self.tick(faults);
        }
    }

    /// Repairs everything; then something new has to be acknowledged, and everybody has to know it.
    pub fn heal(&mut self) {
        self.cuts.clear();
        self.ambushes.clear();
        for node in self.nodes.values_mut() {
            node.back_at = node.back_at.min(self.now);
            (node.paused_until, node.full_until, node.slow_until) = (0, 0, 0);
            node.storage.set_space(None);
            if node.member.is_none() {
                node.program = self.newest;
            }
        }
        // What it has not noticed it notices at its next start.
        if let Some(lost) = self.lost.filter(|lost| self.nodes.contains_key(lost)) {
            self.power_off(lost);
        }
        let before = self.committed.len();
        self.run_until("a healed cluster serves again", |world| {
            world.load();
            if let Some(lost) = world.lost.filter(|lost| world.nodes.contains_key(lost)) {
                world.nodes.get_mut(&lost).expect("just seen").back_at = 0;
            }
            let voter = |id: &NodeId| world.members.contains_key(id);
            let all = world.nodes.iter().filter(|(id, _)| voter(id));
            let missing = |node: &Node| node.member.is_none() || node.applied < world.committed.len();
            let behind = all.filter(|(_, node)| missing(node)).count();
            world.committed.len() > before + 3 && behind == 0 && world.lost.is_none()
        });
        self.check_logs();
    }

    fn run_until(&mut self, what: &str, mut done: impl FnMut(&mut Self) -> bool) {
        let deadline = self.now + HEAL_TICKS;
        while !done(self) {
            assert!(self.now < deadline, "{what}: not within {HEAL_TICKS} ticks\n{}", self.show());
            self.tick(Faults::None);
        }
    }

    fn show(&self) -> String {
        let of_node = |(id, node): (&NodeId, &Node)| match &node.member {
            Some(member) => format!("{id}: applied {} {:?}\n", node.applied, member.status()),
            None => format!("{id}: down\n"),
        };
        let nodes: String = self.nodes.iter().map(of_node).collect();
        format!("tick {}, committed {}, members {:?}\n{nodes}", self.now, self.committed.len(), self.members)
    }

    fn tick(&mut self, faults: Faults) {
        self.now += 1;
        self.cuts.retain(|_, until| *until > self.now);
        self.bring_back();
        self.replace_lost();
        if faults == Faults::Any {
            self.load();
            self.change_members();
        }
        let due: Vec<_> = self.wire.range(..=(self.now, u64::MAX)).map(|(key, _)| *key).collect();
        for key in due {
            let (from, to, bytes) = self.wire.remove(&key).expect("just listed");
            let cut = self.cuts.contains_key(&(from, to));
            let message = Message::decode(&bytes).expect("the network changes no bytes");
            if !cut && self.step(to, Input::Message(message)).is_some() {
                self.turn(to);
            }
        }
        for id in self.ids() {
            // Clocks do not run alike.
            let stands = self.nodes[&id].slow_until > self.now;
            if faults == Faults::None || !(stands || self.random.one_in(30)) {
                self.step(id, Input::Tick);
            }
            self.turn(id);
            if self.random.one_in(60) {
                self.idle(id);
            }
        }
    }

    fn ids(&self) -> Vec<NodeId> {
        self.nodes.keys().copied().collect()
    }

    /// `None` where nobody is there to hear it.
    fn step(&mut self, id: NodeId, input: Input) -> Option<Result<(), Refused>> {
        let now = self.now;
        let node = self.nodes.get_mut(&id).filter(|node| node.paused_until <= now)?;
        Some(node.member.as_mut()?.step(input))
    }

    fn turn(&mut self, id: NodeId) {
        let now = self.now;
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.paused_until <= now) else { return };
        let Some(member) = &mut node.member else { return };
        let mut turn = Turn::default();
        let result = member.turn(&mut turn);
        let status = member.status();
        assert!(status.committed >= node.committed, "committed only moves forward");
        node.committed = status.committed;
        if status.role == Role::Leader {
            let leads = *self.leaders.entry(status.term).or_insert(id);
            assert_eq!(leads, id, "term {} has one leader\n{}", status.term, self.show());
            if self.last_leader != Some(id) {
                self.last_leader = Some(id);
                self.stats.count("leader change");
            }
        }
        self.stats.add("entry taken back", turn.taken_back);
        if turn.taken_back > 0 {
            self.stats.count("truncation");
        }
        self.take_committed(id, &turn.committed);
        for read in turn.reads {
            if let Some(acknowledged) = self.reads.remove(&read.id) {
                assert!(read.position.0 as usize >= acknowledged, "a read misses what was acknowledged");
                self.stats.count("read");
            }
        }
        turn.messages.into_iter().for_each(|message| self.send(&message));
        if let Err(error) = result {
            self.ends(id, &error);
        }
    }

    fn take_committed(&mut self, id: NodeId, entries: &[LogEntry]) {
        for entry in entries {
            let node = self.nodes.get_mut(&id).expect("it has just taken its turn");
            let index = entry.position.0 as usize - 1;
            assert_eq!(index, node.applied, "node {id} is handed one after the other");
            node.applied += 1;
            let known = (entry.term, digest(entry));
            self.trace = (self.trace ^ known.1 ^ id.0).wrapping_mul(0x0100_0000_01b3);
            match self.committed.get(index) {
                Some(before) => {
                    assert_eq!(*before, known, "committed entry {} changed on node {id}", index + 1)
                }
                None => {
                    assert_eq!(index, self.committed.len(), "nothing is left out");
                    self.committed.push(known);
                    self.stats.count("committed");
                }
            }
            if entry.kind == cluster::KIND_MEMBERSHIP && index + 1 == self.committed.len() {
                self.members_changed(&cluster::Membership::decode(&entry.payload).unwrap());
            }
        }
    }

    fn members_changed(&mut self, membership: &cluster::Membership) {
        self.stats.count("membership change");
        let before = std::mem::take(&mut self.members);
        self.members = membership.members().map(|(id, info)| (id, info.seat)).collect();
        self.versions = membership.members().map(|(id, info)| (id, info.version)).collect();
        for id in before.keys().filter(|id| !self.members.contains_key(id)) {
            self.stats.count("removal");
            // It may not know yet, and goes on for a while; then its machine is switched off for good.
            if let Some(node) = self.nodes.get_mut(id) {
                node.sick = true;
            }
        }
        for id in self.members.keys().copied().collect::<Vec<_>>() {
            if !before.contains_key(&id) && !self.nodes.contains_key(&id) {
                self.stats.count("join");
                let storage = match self.spare.pop() {
                    Some(storage) if self.random.one_in(2) => storage,
                    _ => FaultyStorage::new(self.random.next()),
                };
                let config = self.config(id, self.newest);
                let member = Member::join(storage.clone(), LEDGER, config).unwrap();
                self.nodes.insert(id, Node::up(storage, member, self.newest));
            }
        }
    }

    fn send(&mut self, message: &Message) {
        let bytes = message.encode();
        let mut hash = Fnv(self.trace);
        hash.mix(&bytes);
        self.trace = hash.0;
        self.stats.count("message");
        let copies = match self.random.below(100) {
            0..5 => {
                self.stats.count("loss");
                0
            }
            5..8 => {
                self.stats.count("duplicate");
                2
            }
            _ => 1,
        };
        for _ in 0..copies {
            let delay = match self.random.below(20) {
                0 => self.random.below(60),
                _ => self.random.below(3),
            };
            self.sent += 1;
            let key = (self.now + 1 + delay, self.sent);
            self.wire.insert(key, (message.from(), message.to(), bytes.clone()));
        }
    }

    /// Somebody's proposal and somebody's read, at any node.
    fn load(&mut self) {
        let ids = self.ids();
        for id in &ids {
            let bytes = if self.random.one_in(40) { 9000 } else { self.random.below(600) };
            let number = self.random.next();
            let payload: Bytes = (0..bytes).map(|at| (number >> (at % 8 * 8)) as u8).collect();
            let leads = self.leads(*id);
            if leads && self.random.one_in(2) {
                let newer = self.nodes[id].program == 2 && self.random.one_in(10);
                let kind = EntryKind(if newer { 9 } else { 1 });
                let urgent = self.random.one_in(8);
                let propose = Input::Propose { kind, epoch: 1, stamp: self.now, payload, urgent };
                match self.step(*id, propose) {
                    Some(Err(Refused::DiskFull)) => self.stats.count("refused for want of room"),
                    Some(Err(Refused::NotAllKnow { .. })) => self.stats.count("refused for versions"),
                    Some(Ok(())) if newer => self.stats.count("newer entry"),
                    _ => {}
                }
            }
        }
        if self.random.one_in(5)
            && let Some(id) = self.random.pick(&ids)
        {
            self.read_count += 1;
            let (read, acknowledged) = (self.read_count, self.committed.len());
            if self.step(id, Input::Read(read)).is_some_and(|result| result.is_ok()) {
                self.reads.insert(read, acknowledged);
            }
        }
    }

    fn leads(&self, id: NodeId) -> bool {
        let member = self.nodes[&id].member.as_ref();
        member.is_some_and(|member| member.status().role == Role::Leader)
    }

    fn grow(&mut self, size: usize) {
        let learner = self.members.iter().find(|(_, seat)| **seat == Seat::Learner).map(|(id, _)| *id);
        let change = match learner {
            Some(id) => Change::Promote(id),
            None if self.members.len() < size => {
                Change::Add(info(&format!("n{}", self.members.len() + 1), self.newest))
            }
            None => return,
        };
        for id in self.ids() {
            if self.leads(id) {
                self.step(id, Input::Change { change: change.clone(), epoch: 1, stamp: self.now });
            }
        }
    }

    fn change_members(&mut self) {
        let voters: Vec<NodeId> = self.with_seat(Seat::Voter);
        let learners = self.with_seat(Seat::Learner);
        let Some(leader) = self.ids().into_iter().find(|id| self.leads(*id)) else { return };
        if self.random.one_in(120)
            && let Some(to) = self.random.pick(&voters)
        {
            self.stats.count("transfer asked");
            self.step(leader, Input::Transfer(to));
        }
        if !self.random.one_in(60) || self.lost.is_some() {
            return;
        }
        let said = |id: &NodeId| self.versions.get(id).copied().unwrap_or(0);
        let program = |id: &NodeId| self.nodes.get(id).map_or(0, |node| node.program);
        if let Some(id) = self.members.keys().copied().find(|id| program(id) > said(id))
            && self.random.one_in(2)
        {
            self.stats.count("upgrade told");
            let change = Change::Describe(id, info(&format!("n{id}"), program(&id)));
            self.step(leader, Input::Change { change, epoch: 1, stamp: self.now });
            return;
        }
        let all: Vec<NodeId> = voters.iter().chain(&learners).copied().collect();
        let change = match self.random.below(3) {
            0 if self.nodes.len() < NODES_MAX => Change::Add(info(&format!("n{}", self.now), self.newest)),
            1 if self.removes && (all.len() > 3 || voters.len() > 3) => match self.random.pick(&all) {
                Some(id) if voters.len() > 2 || learners.contains(&id) => Change::Remove(id),
                _ => return,
            },
            _ => match self.random.pick(&learners) {
                Some(id) => Change::Promote(id),
                None => return,
            },
        };
        self.step(leader, Input::Change { change, epoch: 1, stamp: self.now });
    }

    fn with_seat(&self, seat: Seat) -> Vec<NodeId> {
        self.members.iter().filter(|(_, of)| **of == seat).map(|(id, _)| *id).collect()
    }

    fn bring_back(&mut self) {
        for id in self.ids() {
            let node = &self.nodes[&id];
            if node.member.is_some() || node.back_at > self.now {
                continue;
            }
            let storage = node.storage.clone();
            if storage.contents().contains_key("cut") {
                self.stats.count("cut to be finished");
            }
            let program = node.program;
            let config = self.config(id, program);
            let mut handed_out = Vec::new();
            let opened = Member::open(storage, config, |entry| {
                let header = entry.header;
                handed_out.push(LogEntry {
                    position: header.position,
                    term: header.term,
                    kind: header.kind,
                    epoch: header.epoch,
                    stamp: header.stamp,
                    payload: Bytes::copy_from_slice(entry.payload),
                });
                Ok::<_, LedgerError>(())
            });
            let member = match opened {
                Ok(member) => member,
                Err(error) => {
                    self.cannot_start(id, &error);
                    continue;
                }
            };
            if member.recovery().is_some_and(|recovery| recovery.cut.is_some()) {
                self.stats.count("torn tail");
            }
            let node = self.nodes.get_mut(&id).expect("listed");
            // A fault that was to come at its start may still come.
            // It has read every byte: what had flipped was taken back since.
            let Node { sick, full_until, slow_until, .. } = *node;
            *node = Node { sick, full_until, slow_until, ..Node::up(node.storage.clone(), member, program) };
            if self.lost == Some(id) {
                self.lost = None;
            }
            // What was committed is there again; and the last of it may be what nobody had come to hand out before.
            self.take_committed(id, &handed_out);
        }
    }

    fn idle(&mut self, id: NodeId) {
        let Some(node) = self.nodes.get_mut(&id) else { return };
        if let Some(member) = &mut node.member
            && let Err(error) = member.idle()
        {
            self.ends(id, &error);
        }
    }

    /// Entry for entry and hash for hash, all logs are one.
    fn check_logs(&self) {
        let mut hashes = BTreeSet::new();
        for (id, node) in self.nodes.iter().filter(|(id, _)| self.members.contains_key(id)) {
            let member = node.member.as_ref().expect("all are up");
            assert!(member.log().committed_entries() >= self.committed.len() as u64, "node {id} has all");
            let mut scan = member.reader().scan(Position(1));
            let mut last = None;
            for (term, known) in &self.committed {
                let entry = scan.next().unwrap().expect("up to what is committed");
                let of_log = LogEntry {
                    position: entry.header.position,
                    term: entry.header.term,
                    kind: entry.header.kind,
                    epoch: entry.header.epoch,
                    stamp: entry.header.stamp,
                    payload: Bytes::copy_from_slice(entry.payload),
                };
                assert_eq!((*term, *known), (of_log.term, digest(&of_log)));
                last = Some(entry.hash.0);
            }
            hashes.insert(last.expect("something is committed"));
        }
        assert_eq!(hashes.len(), 1, "the chain is the same on all");
    }

    /// All that was sent and handed out, in one number.
    pub fn trace(&self) -> u64 {
        self.trace
    }
}

/// What a log of a member holds, for the checks.
trait CommittedEntries {
    fn committed_entries(&self) -> u64;
}

impl CommittedEntries for ledger::ReplicatedLedger<FaultyStorage> {
    fn committed_entries(&self) -> u64 {
        ledger::Log::committed(self).0
    }
}

impl Node {
    fn up(storage: FaultyStorage, member: Member<FaultyStorage>, program: u32) -> Self {
        Self {
            storage,
            committed: Position::NONE,
            member: Some(member),
            back_at: 0,
            paused_until: 0,
            applied: 0,
            sick: false,
            damaged: false,
            full_until: 0,
            slow_until: 0,
            program,
        }
    }
}

fn pairs(ids: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    ids.iter()
        .flat_map(|from| ids.iter().map(move |to| (*from, *to)))
        .filter(|(from, to)| from != to)
        .collect()
}

/// One seed from the founding to the healing, with so many ticks of faults before each, or as many as `SIM_TICKS` says.
pub fn whole_run(seed: u64, fence: Fence) -> (Stats, u64) {
    let mut world = World::new(seed, fence);
    let ticks = number("SIM_TICKS").unwrap_or(500);
    for _ in 0..3 {
        world.run(Faults::Any, ticks);
        world.heal();
    }
    (world.stats.clone(), world.trace())
}

/// The seeds of a test: `1..=count`, or as many as `SIM_SEEDS` says, or the one of `SIM_SEED` alone.
pub fn seeds(count: u64) -> std::ops::RangeInclusive<u64> {
    match number("SIM_SEED") {
        Some(seed) => seed..=seed,
        None => 1..=number("SIM_SEEDS").unwrap_or(count),
    }
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.trim().parse().ok()
}

/// Says how to repeat a run, unless it ends well.
pub struct Told {
    pub test: &'static str,
    pub seed: u64,
}

impl Drop for Told {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("repeat it with: SIM_SEED={} cargo test -p cluster {}", self.seed, self.test);
        }
    }
}
