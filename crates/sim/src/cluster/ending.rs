//! The end: every fault is undone, everybody is answered, and all nodes are one.

use super::{ClusterFinished, ClusterSim};
use crate::broken::{Broken, Promise};
use crate::invariants::acknowledged::{self, index_of};
use crate::invariants::{closed, kept, one_voter, retry, same_log, tally};
use crate::record::record;
use cluster::NodeId;
use ledger::Storage;
use std::collections::BTreeMap;

use super::HEAL_STEPS;

impl ClusterSim {
    /// Undoes every fault; then it has to serve again: somebody's ballot or act is in the log, everybody has an answer,
    /// and all members have applied the same.
    pub fn heal(&mut self) -> Result<(), Broken> {
        self.note("healing");
        self.cuts.clear();
        for place in self.places.values_mut().chain(&mut self.homeless) {
            place.back_at = place.back_at.min(self.step);
            (place.paused_until, place.slow_until, place.full_until) = (0, 0, 0);
            place.machine.set_space(None);
            place.machine.disarm();
            place.clock.heal();
            place.clock.confirm();
        }
        // What has flipped unseen is seen at the next start.
        if let Some(lost) = self.lost.filter(|lost| self.places.contains_key(lost)) {
            self.power_off(lost);
        }
        let settled = self.settled_leader();
        self.ask_something();
        let before = self.model.position;
        let since = self.step;
        while !(self.is_well() && self.model.position > before) {
            self.serves(self.step < since + HEAL_STEPS, "a healed cluster does not serve again")?;
            self.places.values_mut().for_each(|place| place.back_at = place.back_at.min(self.step + 10));
            if self.step.is_multiple_of(100) {
                self.ask_something();
            }
            self.step()?;
            if let Some((id, term)) = settled.filter(|_| self.step < since + 100) {
                self.stats.note("settled leader stays");
                let replica = self.places.get(&id).and_then(|place| place.replica.as_ref());
                kept::check_stays(term, replica.map(|replica| replica.status().term))?;
            }
        }
        self.stats.note("healed");
        let awake = self.awake();
        for id in awake {
            let place = self.places.get_mut(&id).expect("it is up");
            let idle = place.replica.as_mut().expect("it is up").idle();
            if let Err(error) = idle {
                self.died(id, &error)?;
                continue;
            }
            let place = self.places.get_mut(&id).expect("it is up");
            (place.caches_lag, place.is_sick) = (false, place.is_sick);
        }
        Ok(())
    }

    /// An officer makes another election: that is in the log whatever comes of it.
    fn ask_something(&mut self) {
        let Some(node) = self.awake().first().copied() else { return };
        let place = self.places.get_mut(&node).expect("it is up");
        let now = place.clock.read().now;
        let replica = place.replica.as_ref().expect("it is up");
        if replica.core().state().ledger.is_some() {
            let create = self.officers.create(&mut self.model, replica, now);
            self.act(node, create);
        }
    }

    /// Who leads undisputed, with its term, where nothing is on the way that would change that.
    fn settled_leader(&self) -> Option<(NodeId, u64)> {
        let id = self.leader()?;
        let place = &self.places[&id];
        let status = place.replica.as_ref()?.status();
        let is_calm = !place.is_sick && !place.is_damaged && self.step > self.handed_over_at + 700;
        (is_calm && kept::is_settled(&status, 4)).then_some((id, status.term))
    }

    fn is_well(&self) -> bool {
        let all_there = self.members.members().all(|(id, _)| {
            let replica = self.places.get(&id).and_then(|place| place.replica.as_ref());
            replica.is_some_and(|replica| replica.applied().0 == self.model.position)
        });
        all_there && self.asked.is_empty() && self.lost.is_none() && self.homeless.is_empty()
    }

    /// Heals, checks everything on every node, and ends.
    pub fn finish(mut self) -> Result<ClusterFinished, Broken> {
        self.heal()?;
        for wish in self.people.rest() {
            let awake = self.awake();
            let node = *self.chance.edge.pick(&awake);
            if let Some(paper) = self.paper(node, &wish) {
                self.cast(node, paper);
            }
        }
        self.heal()?;
        acknowledged::check_acks(&self.model, &self.papers, &self.acks)?;
        closed::check_leaves(&self.model, &self.papers)?;
        self.compare_states()?;
        let ids: Vec<NodeId> = self.members.members().map(|(id, _)| id).collect();
        let mut records = BTreeMap::new();
        for (at, id) in ids.iter().enumerate() {
            let place = self.places.get_mut(id).expect("all members are up");
            let replica = place.replica.as_mut().expect("all members are up");
            tally::check(replica.core().state(), &self.model, &self.papers)?;
            // What stands in the files of each is costly to read; one node a seed shows it.
            if at == (self.seed % ids.len() as u64) as usize {
                acknowledged::check_leaves(replica, &self.model, &self.papers)?;
                one_voter::check(replica, &self.model)?;
                retry::check(replica, &self.papers, &self.acks)?;
                for (index, election) in self.model.elections.iter().enumerate() {
                    if !election.leaves.is_empty() {
                        let record = record(replica, index_of(index));
                        let record = record.map_err(|what| Promise::Acknowledged.broken(what))?;
                        records.insert(election.plan.slug.to_string(), record);
                    }
                }
            }
        }
        same_log::check_chains(&self.model, self.places.values().filter_map(|place| place.replica.as_ref()))?;
        for place in self.places.values() {
            let replica = place.replica.as_ref().expect("all are up");
            self.digest.update(&replica.core().state().to_snapshot());
            for (name, bytes) in place.machine.ledger.contents() {
                self.digest.update(name.as_bytes());
                self.digest.update(&bytes);
            }
            Promise::Serves.check(place.machine.ledger.list().is_ok(), || "a disk is off".to_owned())?;
        }
        let Self { digest, stats, receipts, checkpoints, .. } = self;
        Ok(ClusterFinished { digest: digest.digest().to_hex(), stats, records, receipts, checkpoints })
    }
}
