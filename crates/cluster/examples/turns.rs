//! What a turn costs: three members in one thread over real files, entries of 4,096 ballots of 200 bytes, one at a time.
//!
//! `cargo run --release -p cluster --example turns -- FOLDER ENTRIES`, under `perf stat -e instructions:u` where clocks
//! mean little. On a folder in memory this is the processor's part; elsewhere the disk's syncs are in it, one after the
//! other, which on three machines are at the same time.

use bytes::Bytes;
use cluster::{
    Change, CoreConfig, Input, Member, MemberConfig, Message, NodeId, NodeInfo, Role, RoomConfig, Seat, Turn,
};
use ledger::{EntryKind, FileStorage, LedgerId, LedgerOptions};
use std::collections::BTreeMap;
use std::path::Path;

const KIND: EntryKind = EntryKind(1);
const LEDGER: LedgerId = LedgerId([5; 16]);

struct Three {
    members: BTreeMap<NodeId, Member<FileStorage>>,
    committed: u64,
    turns: u64,
}

fn config(id: NodeId) -> MemberConfig {
    MemberConfig {
        core: CoreConfig { id, election_ticks: 20, heartbeat_ticks: 4, seed: id.0, kinds: &[(KIND, 1)] },
        options: LedgerOptions::STANDARD,
        room: RoomConfig { stop_free_bytes: 0, reserve_bytes: 0 },
    }
}

impl Three {
    /// Everybody works until nobody has anything to say.
    fn settle(&mut self) {
        loop {
            let mut letters: Vec<Message> = Vec::new();
            for member in self.members.values_mut() {
                let mut turn = Turn::default();
                member.turn(&mut turn).expect("a healthy disk");
                self.turns += 1;
                letters.append(&mut turn.messages);
                self.committed = self.committed.max(turn.committed.last().map_or(0, |last| last.position.0));
            }
            if letters.is_empty() {
                return;
            }
            for letter in letters {
                let letter = Message::decode(&letter.encode()).expect("what was encoded");
                if let Some(member) = self.members.get_mut(&letter.to()) {
                    member.step(Input::Message(letter)).expect("messages are never refused");
                }
            }
        }
    }

    fn tick(&mut self) {
        for member in self.members.values_mut() {
            member.step(Input::Tick).expect("time is never refused");
        }
        self.settle();
    }

    fn leader(&mut self) -> Option<&mut Member<FileStorage>> {
        self.members.values_mut().find(|member| member.status().role == Role::Leader)
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, folder, entries] = arguments.as_slice() else { panic!("turns FOLDER ENTRIES") };
    let entries: u64 = entries.parse().expect("a number of entries");
    let storage = |id: u64| FileStorage::new(Path::new(folder).join(format!("node-{id}"))).expect("a folder");
    let info = NodeInfo { address: "n".into(), http_address: String::new(), version: 1 };
    let founder = Member::found(storage(1), LEDGER, config(NodeId(1)), &info, 1, 0).expect("an empty folder");
    let mut three = Three { members: [(NodeId(1), founder)].into(), committed: 0, turns: 0 };
    while three.members[&NodeId(1)].core().membership().with_seat(Seat::Voter).count() < 3 {
        three.tick();
        let Some(leader) = three.leader() else { continue };
        let members = leader.core().membership().clone();
        let learner = members.with_seat(Seat::Learner).next();
        let change = learner.map_or_else(|| Change::Add(info.clone()), Change::Promote);
        if learner.is_some() || members.members().count() < 3 {
            // Refused until the one before is done.
            let _ = leader.step(Input::Change { change, epoch: 1, stamp: 0 });
        }
        let next = members.next().0;
        for id in (2..next).filter(|id| !three.members.contains_key(&NodeId(*id))).collect::<Vec<_>>() {
            let member = Member::join(storage(id), LEDGER, config(NodeId(id))).expect("an empty folder");
            three.members.insert(NodeId(id), member);
        }
    }
    let payload = Bytes::from(vec![7; 4096 * 200]);
    let (before, turns) = (three.committed, three.turns);
    for _ in 0..entries {
        let leader = three.leader().expect("somebody leads");
        let propose =
            Input::Propose { kind: KIND, epoch: 1, stamp: 0, payload: payload.clone(), urgent: false };
        leader.step(propose).expect("a leader takes it");
        three.settle();
    }
    println!("{} entries committed in {} turns", three.committed - before, three.turns - turns);
}
