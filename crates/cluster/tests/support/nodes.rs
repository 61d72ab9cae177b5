//! A few members on a network that loses nothing, for stories.

#![allow(dead_code, reason = "each test file uses its part")]

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use cluster::{
    Change, CoreConfig, Input, Member, MemberConfig, Message, NodeId, NodeInfo, ReadAnswer, Refused, Role,
    RoomConfig, Seat, Turn,
};
use ledger::faulty::{Crash, FaultyStorage};
use ledger::{EntryKind, LedgerError, LedgerId, LedgerOptions, LogReader as _};

pub const VOTE: EntryKind = EntryKind(1);
/// Came with version 2.
pub const NEWER: EntryKind = EntryKind(9);
pub const ELECTION_TICKS: usize = 20;

/// Members on a network that loses nothing.
pub struct Nodes {
    pub disks: BTreeMap<NodeId, FaultyStorage>,
    pub up: BTreeMap<NodeId, Member<FaultyStorage>>,
    /// Who hears nothing and is not heard.
    pub cut: BTreeSet<NodeId>,
    pub reads: Vec<(NodeId, ReadAnswer)>,
}

impl Nodes {
    pub fn formed(size: usize) -> Self {
        let disk = FaultyStorage::new(1);
        let founder =
            Member::found(disk.clone(), LedgerId([5; 16]), config(NodeId(1)), &info("n1"), 1, 0).unwrap();
        let mut nodes = Self {
            disks: [(NodeId(1), disk)].into(),
            up: [(NodeId(1), founder)].into(),
            cut: BTreeSet::new(),
            reads: Vec::new(),
        };
        for _ in 0..600 {
            let Some(leader) = nodes.leader() else {
                nodes.run(1);
                continue;
            };
            let membership = nodes.up[&leader].core().membership().clone();
            let learner = membership.with_seat(Seat::Learner).next();
            let change = match learner {
                Some(id) => Change::Promote(id),
                None if membership.members().count() < size => Change::Add(info("n")),
                None => return nodes,
            };
            if let Some(id) = learner
                && !nodes.up.contains_key(&id)
            {
                nodes.add(id);
            }
            let leader = nodes.up.get_mut(&leader).expect("it leads");
            // Refused until the change before is done, or the learner up to date.
            let _ = leader.step(Input::Change { change, epoch: 1, stamp: 0 });
            nodes.run(1);
        }
        panic!("a healthy cluster is formed by now");
    }

    pub fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            let ids: Vec<NodeId> = self.up.keys().copied().collect();
            for id in ids {
                self.step(id, Input::Tick).expect("time is never refused");
                self.deliver(id);
            }
        }
    }

    /// Lets `id` do its work, and everybody answer until nothing is left to say.
    fn deliver(&mut self, id: NodeId) {
        let mut wire = self.turn(id);
        while let Some(message) = wire.pop_front() {
            let (from, to) = (message.from(), message.to());
            let heard = !self.cut.contains(&from) && !self.cut.contains(&to) && self.up.contains_key(&to);
            if heard {
                let message = Message::decode(&message.encode()).expect("what was encoded");
                self.step(to, Input::Message(message)).expect("messages are never refused");
                wire.extend(self.turn(to));
            }
        }
    }

    pub fn step(&mut self, id: NodeId, input: Input) -> Result<(), Refused> {
        self.up.get_mut(&id).expect("it is up").step(input)
    }

    fn turn(&mut self, id: NodeId) -> VecDeque<Message> {
        let mut turn = Turn::default();
        self.up.get_mut(&id).expect("it is up").turn(&mut turn).expect("a healthy disk");
        self.reads.extend(turn.reads.iter().map(|read| (id, *read)));
        turn.messages.into()
    }

    pub fn add(&mut self, id: NodeId) {
        let disk = FaultyStorage::new(id.0);
        let member = Member::join(disk.clone(), LedgerId([5; 16]), config(id)).expect("a blank disk");
        self.disks.insert(id, disk);
        self.up.insert(id, member);
    }

    /// Of those who say that they lead, the one of the latest term.
    pub fn leader(&self) -> Option<NodeId> {
        let leads = self.up.iter().filter(|(_, member)| member.status().role == Role::Leader);
        leads.max_by_key(|(_, member)| member.status().term).map(|(id, _)| *id)
    }

    /// Lets `id` lead.
    pub fn prefer(&mut self, id: NodeId) {
        let leader = self.leader().expect("a formed cluster has a leader");
        if leader != id {
            self.up.get_mut(&leader).expect("it leads").step(Input::Transfer(id)).unwrap();
            self.run(30);
        }
        assert_eq!(self.leader(), Some(id));
    }

    pub fn propose(&mut self, id: NodeId, vote: &'static str) {
        let payload = Bytes::from_static(vote.as_bytes());
        let propose = Input::Propose { kind: VOTE, epoch: 1, stamp: 0, payload, urgent: false };
        self.up.get_mut(&id).expect("it leads").step(propose).unwrap();
    }

    pub fn stop(&mut self, id: NodeId) {
        self.up.remove(&id);
        self.disks[&id].crash(Crash::LoseAll);
    }

    pub fn start(&mut self, id: NodeId) {
        let opened = Member::open(self.disks[&id].clone(), config(id), |_| Ok::<_, LedgerError>(()));
        self.up.insert(id, opened.unwrap());
    }

    pub fn votes(&self, id: NodeId) -> Vec<String> {
        let reader = self.up[&id].reader();
        let mut votes = Vec::new();
        let mut payload = Vec::new();
        for position in 1..=reader.committed().0 {
            if reader.read(ledger::Position(position), &mut payload).unwrap().kind == VOTE {
                votes.push(String::from_utf8(payload.clone()).unwrap());
            }
        }
        votes
    }
}

pub fn config(id: NodeId) -> MemberConfig {
    MemberConfig {
        core: CoreConfig {
            id,
            election_ticks: ELECTION_TICKS,
            heartbeat_ticks: 4,
            seed: id.0,
            kinds: &[(VOTE, 1), (NEWER, 2)],
        },
        room: RoomConfig { stop_free_bytes: 100_000, reserve_bytes: 50_000 },
        options: LedgerOptions { threads: ledger::Threads::CallerOnly, ..LedgerOptions::STANDARD },
    }
}

pub fn info(address: &str) -> NodeInfo {
    NodeInfo { address: address.into(), http_address: format!("http://{address}"), version: 1 }
}
