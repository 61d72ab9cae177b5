//! One turn of one node, and the log that comes out of it: each entry goes into the model once, from whichever node
//! has it first, and every node's leaves, trees and checkpoints are held against it.

use super::{ClusterSim, Place};
use crate::broken::{Broken, Promise};
use crate::invariants::{acknowledged, elections_of_leaders, same_log};
use crate::model::Leaf;
use cluster::{KIND_MEMBERSHIP, Membership, NodeId};
use election::command::{Batch, write_officer};
use election::{Command, OfficerCommand};
use ledger::{LogReader, Position, Scan};
use node::core::Effects;
use node::engine::KIND_COMMANDS;
use node::replica::{Input, Out};
use std::collections::BTreeSet;

/// Checkpoints kept of each election, for its audit.
const CHECKPOINTS_KEPT: usize = 12;

impl ClusterSim {
    pub(super) fn turn(&mut self, id: NodeId) -> Result<(), Broken> {
        let now = self.step;
        let place = self.places.get_mut(&id).expect("listed");
        if place.paused_until > now {
            return Ok(());
        }
        let Some(replica) = &mut place.replica else { return Ok(()) };
        let stands = place.slow_until > now || (self.is_under_load && self.chance.net.one_in(40));
        let mut inputs = std::mem::take(&mut place.inbox);
        if !stands {
            inputs.push(Input::Tick);
        }
        let clock = place.clock.read();
        let mut out = Out::new();
        let mut posted = Vec::new();
        let outcome =
            replica.turn_posting(clock, inputs.into_iter(), &mut out, &mut |letter| posted.push(letter));
        let outcome = match outcome {
            Ok(()) if !replica.has_work() && self.chance.lives.one_in(12) => replica.idle(),
            outcome => outcome,
        };
        let is_dead = place.machine.is_dead();
        place.hlc = place.hlc.max(replica.core().hlc());
        // What was posted has left, whatever became of the machine after that.
        self.send(id, posted);
        if let Err(error) = outcome {
            return self.died(id, &error);
        }
        if is_dead {
            // One disk has stopped, and with it the machine: nothing more has left it.
            self.power_off(id);
            return Ok(());
        }
        self.follow(id, out)
    }

    fn follow(&mut self, id: NodeId, out: Out<u64>) -> Result<(), Broken> {
        if !self.read_log(id)? {
            return Ok(());
        }
        let place = self.places.get_mut(&id).expect("it has just taken its turn");
        let replica = place.replica.as_ref().expect("it is up");
        let (applied, status) = (replica.applied().0, replica.status());
        Promise::SameLog
            .check(applied >= place.applied, || format!("node {id} went back to entry {applied}"))?;
        place.applied = applied;
        // Nothing is applied before it is on the node's own disk.
        place.synced = applied;
        if elections_of_leaders::check(&mut self.leaders, id, &status)? {
            self.note("leader change");
        }
        let place = &self.places[&id];
        let replica = place.replica.as_ref().expect("it is up");
        same_log::check_turn(&self.model, &self.roots, id, replica, &out.effects)?;
        let Effects { answers, checkpoints, .. } = out.effects;
        let key = replica.core().keys().node.public();
        for (election, note) in checkpoints {
            let is_verified = self.chance.answers.one_in(16);
            same_log::check_checkpoint(&self.roots, election, &note, is_verified.then_some(&key))?;
            let slug = self.model.elections[election.0 as usize].plan.slug.to_string();
            let kept = self.checkpoints.entry(slug).or_default();
            if kept.len() < CHECKPOINTS_KEPT {
                kept.push(note);
            }
        }
        self.answer(id, answers)?;
        self.send(id, out.letters);
        Ok(())
    }

    /// Takes what this node is the first to have applied. False where a bit has flipped there: the machine goes down, as if
    /// it had read that itself.
    pub(super) fn read_log(&mut self, id: NodeId) -> Result<bool, Broken> {
        let replica = self.places[&id].replica.as_ref().expect("it is up");
        let applied = replica.applied().0;
        if applied <= self.model.position {
            return Ok(true);
        }
        let mut scan = replica.reader().scan(Position(self.model.position + 1));
        while self.model.position < applied {
            let entry = match scan.next() {
                Err(error) if error.is_damage() && self.places[&id].is_damaged => {
                    self.note("damage read");
                    self.power_off(id);
                    return Ok(false);
                }
                entry => entry.map_err(|error| Promise::SameLog.broken(error.to_string()))?,
            };
            let entry = entry.ok_or_else(|| Promise::SameLog.broken("what is applied is not in the log"))?;
            let (position, hash) = (entry.header.position.0, entry.hash);
            match entry.header.kind {
                KIND_COMMANDS => {
                    let before = self.leaf_counts();
                    let verdicts = self.model.enter(&self.papers, position, hash, entry.payload)?;
                    let names = act_names(entry.payload);
                    for ((name, command), verdict) in names.into_iter().zip(verdicts) {
                        let by_node = verdict.is_rule || matches!(command, OfficerCommand::Node { .. });
                        let act = self.acts.get_mut(&name);
                        Promise::Once.check(by_node || act.is_some(), || {
                            format!("entry {position} has an act that nobody sent: {command:?}")
                        })?;
                        if let Some(act) = act {
                            Promise::Once.check(act.is_none(), || {
                                format!("an act is done again in entry {position}: {command:?}")
                            })?;
                            *act = Some(verdict);
                        }
                    }
                    self.note_views(&before);
                }
                kind => {
                    self.model.pass(position, hash);
                    if kind == KIND_MEMBERSHIP {
                        let members = Membership::decode(entry.payload);
                        self.members = members.map_err(|error| Promise::SameLog.broken(error.to_string()))?;
                        self.members_at = self.step;
                        self.note("membership change");
                    }
                }
            }
            self.stats.note("entry");
        }
        let replica = self.places[&id].replica.as_ref().expect("it is up");
        acknowledged::note_leaves(replica, &mut self.model, &self.papers)?;
        self.roots.grow(&self.model);
        Ok(true)
    }

    fn leaf_counts(&self) -> Vec<usize> {
        self.model.elections.iter().map(|election| election.leaves.len()).collect()
    }

    /// What the model says now of the papers that wait and that this entry may have changed something for.
    fn note_views(&mut self, before: &[usize]) {
        let mut touched: BTreeSet<usize> = BTreeSet::new();
        for (index, election) in self.model.elections.iter().enumerate() {
            let known = before.get(index).copied().unwrap_or(0);
            for leaf in &election.leaves[known..] {
                match leaf {
                    Leaf::Ballot(paper) => {
                        let voter = self.papers.get(*paper).wish.voter;
                        touched.extend(self.waiting_of.get(&(index, voter)).into_iter().flatten());
                    }
                    Leaf::Act(_) => {
                        let of_election = self.waiting_of.range((index, 0)..=(index, usize::MAX));
                        touched.extend(of_election.flat_map(|(_, papers)| papers));
                    }
                }
            }
        }
        for paper in touched {
            let view = self.model.judge(&self.papers, paper);
            let views = self.waiting.get_mut(&paper).expect("both lists are one");
            if views.last() != Some(&view) {
                views.push(view);
            }
        }
    }

    /// Nodes that have applied equally much are equal to the last bit.
    pub(super) fn compare_states(&mut self) -> Result<(), Broken> {
        self.stats.note("comparison of states");
        let up = |(id, place): (&NodeId, &Place)| Some((*id, place.replica.as_ref()?.applied()));
        let mut nodes: Vec<_> = self.places.iter().filter_map(up).collect();
        nodes.sort_by_key(|(id, applied)| (*applied, *id));
        for pair in nodes.windows(2).filter(|pair| pair[0].1 == pair[1].1) {
            let replica = |at: usize| self.places[&pair[at].0].replica.as_ref().expect("it is up");
            same_log::check_equal(&self.model, replica(0), replica(1))?;
            self.stats.note("equal states");
        }
        Ok(())
    }
}

/// The acts of a batch in order, each by the bytes that it has in the log.
fn act_names(payload: &[u8]) -> Vec<(Vec<u8>, OfficerCommand)> {
    let mut names = Vec::new();
    for logged in Batch::new(payload).flatten() {
        if let Command::Officer(command) = logged.command {
            let mut name = Vec::new();
            write_officer(&mut name, logged.stamp, &command);
            names.push((name, *command));
        }
    }
    names
}
