//! What breaks, and what people do about it.

use super::*;

/// Where entries begin in a file of the log.
const ENTRIES_FROM: usize = 8192;

impl World {
    pub(super) fn break_something(&mut self) {
        let ids = self.ids();
        let Some(mut id) = self.random.pick(&ids) else { return };
        if let Some(leader) = self.last_leader
            && self.nodes.contains_key(&leader)
            && self.random.one_in(2)
        {
            id = leader;
        }
        let until = self.now + 10 + self.random.below(150);
        match self.random.below(self.calm) {
            0 => {
                self.stats.count("partition");
                let side: BTreeSet<NodeId> = ids.iter().filter(|_| self.random.one_in(2)).copied().collect();
                for (from, to) in pairs(&ids) {
                    if side.contains(&from) != side.contains(&to) {
                        self.cuts.insert((from, to), until);
                    }
                }
            }
            1 => {
                self.stats.count("one-way partition");
                for (from, to) in pairs(&ids) {
                    if from == id && self.random.below(4) > 0 {
                        self.cuts.insert((from, to), until);
                    }
                }
            }
            2 => {
                self.stats.count("pause");
                self.nodes.get_mut(&id).expect("listed").paused_until = until;
            }
            3..7 => self.die_soon(id),
            7 => {
                self.stats.count("failing sync");
                let nth = 1 + self.random.below(4);
                let node = self.nodes.get_mut(&id).expect("listed");
                node.storage.fail_sync(nth);
                node.sick = true;
            }
            8 if self.random.one_in(3) => {
                self.stats.count("all at once");
                ids.iter().for_each(|id| self.power_off(*id));
            }
            10..14 => {
                self.stats.count("full disk");
                let room = self.random.below(60_000);
                let node = self.nodes.get_mut(&id).expect("listed");
                node.storage.set_space(Some(room));
                node.full_until = until;
            }
            14..16 => self.clock_jump(id, until),
            16..18 => self.lose_disk(id),
            18..22 => self.isolate(id, until),
            22..24 => self.change_program(id),
            9 => {
                self.stats.count("kill");
                self.power_off(id);
            }
            _ => {}
        }
    }

    /// The machine dies within one of its next operations on the disk.
    pub(super) fn die_soon(&mut self, id: NodeId) {
        self.die_within(id, 8);
    }

    fn die_within(&mut self, id: NodeId, operations: u64) {
        let nth = 1 + self.random.below(operations);
        let node = self.nodes.get_mut(&id).expect("listed");
        node.storage.crash_at_operation(node.storage.operations() + nth);
        node.sick = true;
    }

    pub(super) fn power_off(&mut self, id: NodeId) {
        let crash = match self.random.below(6) {
            0 => Crash::KeepAll,
            1 => Crash::LoseAll,
            2 => Crash::KeepOfLastWrite(self.random.below(400) as usize),
            3 => Crash::LoseOfLastWrite(self.random.below(400) as usize),
            _ => Crash::AnySector(self.random.next()),
        };
        self.stats.count("crash");
        let back_at = self.now + 1 + self.random.below(120);
        let space =
            if self.nodes[&id].full_until > self.now { Some(self.random.below(60_000)) } else { None };
        let is_member = self.members.contains_key(&id);
        let node = self.nodes.get_mut(&id).expect("listed");
        node.member = None;
        node.storage.crash(crash);
        node.storage.set_space(space);
        (node.back_at, node.sick) = (back_at, false);
        if !is_member && !self.members.is_empty() {
            self.nodes.remove(&id);
        }
    }

    /// A clock runs ahead by some election timeouts at once, or stands still, while messages come and go.
    pub(super) fn clock_jump(&mut self, id: NodeId, until: u64) {
        self.stats.count("clock jump");
        if self.random.one_in(2) {
            self.nodes.get_mut(&id).expect("listed").slow_until = until;
            return;
        }
        for _ in 0..1 + self.random.below(5 * ELECTION_TICKS as u64) {
            self.step(id, Input::Tick);
        }
        self.turn(id);
    }

    /// A leader that nobody hears goes on writing what will be taken back; it dies while it does that.
    pub(super) fn isolate(&mut self, id: NodeId, until: u64) {
        self.stats.count("isolation");
        for (from, to) in pairs(&self.ids()) {
            if from == id || to == id {
                self.cuts.insert((from, to), until);
            }
        }
        if self.random.one_in(2) {
            self.ambushes.insert(until, id);
        }
    }

    pub(super) fn ambush(&mut self) {
        while let Some(first) = self.ambushes.first_entry().filter(|first| *first.key() <= self.now) {
            let id = first.remove();
            if self.nodes.contains_key(&id) {
                self.die_within(id, 20);
            }
        }
    }

    /// Another version of the program is started: mostly the newer one, and sometimes by mistake the older one.
    pub(super) fn change_program(&mut self, id: NodeId) {
        let program = if self.random.one_in(4) { 1 } else { 2 };
        self.newest = self.newest.max(program);
        self.power_off(id);
        if let Some(node) = self.nodes.get_mut(&id) {
            node.program = program;
        }
    }

    /// A bit flips in what was confirmed, or the disk is replaced by an empty one.
    pub(super) fn lose_disk(&mut self, id: NodeId) {
        let voters = self.with_seat(Seat::Voter).len();
        // Of a membership that only the lost one knows to be committed, nobody would know.
        let latest = |member: &Member<FaultyStorage>| {
            member
                .core()
                .membership()
                .members()
                .map(|(id, info)| (id, info.seat))
                .eq(self.members.iter().map(|(id, seat)| (*id, *seat)))
        };
        let knows =
            |id: &NodeId| self.nodes.get(id).and_then(|node| node.member.as_ref()).is_some_and(latest);
        let enough = self.members.keys().all(knows) && (voters > 3 || (voters == 3 && !self.removes));
        let node = &self.nodes[&id];
        if !enough || self.lost.is_some() || node.sick || node.full_until > self.now {
            return;
        }
        let storage = node.storage.clone();
        if self.random.one_in(3) {
            self.stats.count("blank disk");
            self.lost = Some(id);
            let storage = FaultyStorage::new(self.random.next());
            self.power_off(id);
            if let Some(node) = self.nodes.get_mut(&id) {
                (node.storage, node.damaged) = (storage, true);
            }
            return;
        }
        // So that all of it is marked: the very last write cannot be told from one that was cut short.
        self.idle(id);
        if self.nodes.get(&id).is_none_or(|node| node.member.is_none()) {
            return;
        }
        let contents = storage.contents();
        let segments: Vec<&String> = contents.keys().filter(|name| name.ends_with(".seg")).collect();
        let name = segments[self.random.below(segments.len() as u64) as usize];
        let end = contents[name].iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        if end > ENTRIES_FROM {
            self.stats.count("flipped bit");
            let at = ENTRIES_FROM + self.random.below((end - ENTRIES_FROM) as u64) as usize;
            storage.flip(name, at, 1 << self.random.below(8));
            self.lost = Some(id);
            self.nodes.get_mut(&id).expect("just seen").damaged = true;
        }
    }

    /// The process has ended with an error that has its reason.
    pub(super) fn ends(&mut self, id: NodeId, error: &LedgerError) {
        let node = &self.nodes[&id];
        if let LedgerError::NewerEntry { .. } = error {
            assert_eq!(node.program, 1, "{error}");
            self.stats.count("older program ended");
            self.power_off(id);
            if let Some(node) = self.nodes.get_mut(&id) {
                node.program = 2;
            }
            return;
        }
        if error.is_damage() && node.damaged {
            self.stats.count("damage read");
        } else if error.is_fatal() && node.full_until >= self.now {
            // The end of its log was being replaced: that is done whole, or again at the next start.
            self.stats.count("ended for want of room");
        } else {
            assert!(node.sick, "node {id} fails without a reason: {error}");
        }
        self.power_off(id);
    }

    pub(super) fn cannot_start(&mut self, id: NodeId, error: &LedgerError) {
        let node = &self.nodes[&id];
        let is_blank = matches!(error, LedgerError::NoLedger { .. });
        let (sick, damaged, program, storage) = (node.sick, node.damaged, node.program, node.storage.clone());
        if damaged && is_blank && self.fence == Fence::Broken {
            let config = self.config(id, program);
            let member = Member::join(storage.clone(), LEDGER, config).unwrap();
            self.nodes.insert(id, Node::up(storage, member, program));
            self.lost = None;
        } else if damaged && is_blank {
            // It joins anew, and somebody says that the old one is gone.
            self.stats.count("replacement");
            self.nodes.remove(&id);
            storage.crash(Crash::KeepAll);
            storage.set_space(None);
            self.spare.push(storage);
        } else if damaged && error.is_damage() {
            self.stats.count("damage found at start");
            match ledger::set_aside(&storage) {
                Ok(_) => self.nodes.get_mut(&id).expect("just seen").back_at = self.now + 1,
                Err(error) => {
                    assert!(sick, "node {id} cannot move its log aside: {error}");
                    self.power_off(id);
                }
            }
        } else if let LedgerError::NewerEntry { .. } = error {
            self.ends(id, error);
        } else if let LedgerError::Full { .. } = error {
            self.stats.count("no room to start");
            self.nodes.get_mut(&id).expect("just seen").back_at = self.now + 5;
        } else {
            assert!(sick, "node {id} cannot start again: {error}");
            self.stats.count("crash while starting");
            self.power_off(id);
        }
    }

    pub(super) fn replace_lost(&mut self) {
        self.ambush();
        for node in self.nodes.values_mut().filter(|node| node.full_until == self.now) {
            node.storage.set_space(None);
        }
        let Some(lost) = self.lost.filter(|lost| !self.nodes.contains_key(lost)) else { return };
        if !self.members.contains_key(&lost) {
            self.lost = None;
            return;
        }
        if let Some(leader) = self.ids().into_iter().find(|id| self.leads(*id)) {
            let change = Change::Remove(lost);
            self.step(leader, Input::Change { change, epoch: 1, stamp: self.now });
        }
    }
}
