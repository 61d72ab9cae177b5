//! Faults of network, disks, clocks and processes. The leader is hit as often as all others together.

use super::ClusterSim;
use crate::broken::Broken;
use crate::disks::Machine;
use crate::lookup::SimReplica;
use cluster::{NodeId, Seat};
use ledger::Storage;
use ledger::faulty::FaultyStorage;
use std::collections::BTreeSet;

/// Where entries begin in a file of the log.
const ENTRIES_FROM: usize = 8192;

impl ClusterSim {
    pub(super) fn do_harm(&mut self) -> Result<(), Broken> {
        if !self.chance.faults.one_in(17) {
            return Ok(());
        }
        let ids = self.ids();
        let random = &mut self.chance.faults;
        let mut id = *random.pick(&ids);
        let until = self.step + random.between(10, 70);
        let (kind, hits_leader) = (random.below(100), random.one_in(2));
        if let Some(leader) = self.leader().filter(|_| hits_leader) {
            id = leader;
        }
        match kind {
            0..22 => self.partition(until),
            22..29 => self.cut_one_way(id, until),
            29..40 => self.isolate(id, until),
            40..66 => self.die_soon(id),
            66..71 => {
                self.note("fault: kill");
                self.power_off(id);
            }
            71..73 => {
                self.note("fault: all at once");
                ids.iter().for_each(|id| self.power_off(*id));
            }
            73..79 => {
                self.note("fault: pause");
                self.places.get_mut(&id).expect("listed").paused_until = until;
            }
            79..83 => {
                self.note("fault: failing sync");
                let nth = 1 + self.chance.faults.below(3);
                let place = self.places.get_mut(&id).expect("listed");
                place.machine.ledger.fail_sync(nth);
                place.is_sick = true;
            }
            83..88 => self.fill_disk(id, until),
            88..93 => self.turn_clock(id, until),
            93..98 => self.lose_disk(id),
            _ => {
                self.note("fault: clock confirmed");
                self.places.values_mut().for_each(|place| place.clock.confirm());
            }
        }
        Ok(())
    }

    pub(super) fn note_log_ends(&mut self) {
        for place in self.places.values_mut() {
            // All that is there is committed, so none of it is ever replaced.
            let is_final = |replica: &SimReplica| {
                let status = replica.status();
                status.last == replica.applied() && !status.short_of_room
            };
            if place.replica.as_ref().is_some_and(is_final) {
                place.log_end = log_end(&place.machine.ledger);
            }
        }
    }

    fn partition(&mut self, until: u64) {
        self.note("fault: partition");
        let ids = self.ids();
        let side: BTreeSet<NodeId> = ids.iter().filter(|_| self.chance.faults.one_in(2)).copied().collect();
        for (from, to) in pairs(&ids) {
            if side.contains(&from) != side.contains(&to) {
                self.cuts.insert((from, to), until);
            }
        }
    }

    fn cut_one_way(&mut self, id: NodeId, until: u64) {
        self.note("fault: one-way partition");
        let hears = self.chance.faults.one_in(2);
        for (from, to) in pairs(&self.ids()) {
            let is_cut = if hears { from == id } else { to == id };
            if is_cut && !self.chance.faults.one_in(4) {
                self.cuts.insert((from, to), until);
            }
        }
    }

    /// What it writes alone is taken back later; it may die while that is done.
    fn isolate(&mut self, id: NodeId, until: u64) {
        self.note("fault: isolation");
        for (from, to) in pairs(&self.ids()) {
            if from == id || to == id {
                self.cuts.insert((from, to), until);
            }
        }
    }

    /// The machine dies at one of its next changes on a disk, mostly within a write to the log.
    fn die_soon(&mut self, id: NodeId) {
        self.note("fault: death soon");
        let random = &mut self.chance.faults;
        let place = self.places.get_mut(&id).expect("listed");
        let Machine { ledger, cache, index } = &place.machine;
        let (disk, within) = match random.below(8) {
            0 => (cache, 6),
            1 => (index, 6),
            2 | 3 => (ledger, 20),
            _ => (ledger, 2),
        };
        disk.crash_at_operation(disk.operations() + 1 + random.below(within));
        place.is_sick = true;
    }

    fn fill_disk(&mut self, id: NodeId, until: u64) {
        self.note("fault: full disk");
        let room = self.chance.faults.below(300_000);
        let place = self.places.get_mut(&id).expect("listed");
        place.machine.set_space(Some(room));
        (place.full_until, place.caches_lag) = (until, true);
    }

    fn turn_clock(&mut self, id: NodeId, until: u64) {
        self.note("fault: clock");
        let random = &mut self.chance.faults;
        let place = self.places.get_mut(&id).expect("listed");
        match random.below(3) {
            0 => place.clock.set_drift(i64::try_from(random.below(200)).expect("small") - 100),
            1 => place.clock.step_wall(i64::try_from(random.below(20_000)).expect("small") - 10_000),
            _ => place.slow_until = until,
        }
    }

    /// A bit flips in what was confirmed, or the disk is replaced by an empty one. One at a time: two of three are a lost
    /// majority.
    fn lose_disk(&mut self, id: NodeId) {
        let voters = self.members.with_seat(Seat::Voter).count();
        let enough = voters > 3 || (voters == 3 && !self.removes);
        let place = &self.places[&id];
        let is_calm = self.lost.is_none() && !place.is_sick && place.full_until == 0 && !self.leads(id);
        if !enough || !is_calm || !self.all_know_the_members() || !self.homeless.is_empty() {
            return;
        }
        if self.chance.faults.one_in(4) {
            self.note("fault: blank disk");
            self.lost = Some(id);
            self.power_off(id);
            let machine = Machine::new(&mut self.chance.faults);
            let place = self.places.get_mut(&id).expect("listed");
            (place.machine, place.is_damaged) = (machine, true);
            return;
        }
        let ledger = self.places[&id].machine.ledger.clone();
        let (name, now) = log_end(&ledger);
        let (old_name, old_end) = self.places[&id].log_end.clone();
        let (name, end) = if name == old_name && now > old_end {
            // Behind this stands what was written later, and says that this was synced.
            (name, old_end)
        } else {
            // The very last write cannot be told from one that was cut short; so all of it is marked first.
            let place = self.places.get_mut(&id).expect("listed");
            let replica = place.replica.as_mut().expect("it knows the members");
            if replica.idle().is_err() || place.machine.is_dead() {
                self.power_off(id);
                return;
            }
            let files = ledger.list().expect("the machine is on");
            let segments: Vec<String> =
                files.into_iter().map(|file| file.name).filter(|name| name.ends_with(".seg")).collect();
            let name = self.chance.faults.pick(&segments).clone();
            let end = end_of(&ledger.contents()[&name]);
            (name, end)
        };
        if end > ENTRIES_FROM {
            let at = ENTRIES_FROM + self.chance.faults.index(end - ENTRIES_FROM);
            ledger.flip(&name, at, 1 << self.chance.faults.below(8));
            self.lost = Some(id);
            self.places.get_mut(&id).expect("listed").is_damaged = true;
            self.note("fault: flipped bit");
            // Found at the next start, or when somebody is sent what stands there.
            if self.chance.faults.one_in(2) {
                self.power_off(id);
            }
        }
    }
}

fn end_of(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// The last file of a log, and where it ends.
fn log_end(ledger: &FaultyStorage) -> (String, usize) {
    let contents = ledger.contents();
    let last = contents.iter().rfind(|(name, _)| name.ends_with(".seg"));
    last.map_or((String::new(), 0), |(name, bytes)| (name.clone(), end_of(bytes)))
}

fn pairs(ids: &[NodeId]) -> Vec<(NodeId, NodeId)> {
    let all = ids.iter().flat_map(|from| ids.iter().map(move |to| (*from, *to)));
    all.filter(|(from, to)| from != to).collect()
}
