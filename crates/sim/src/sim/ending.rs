//! The end of a simulation: healed, everybody is answered, every election is over, one more is held.

use super::{Finished, Sim};
use crate::broken::{Broken, Promise};
use crate::disks::CacheFate;
use crate::invariants::acknowledged::index_of;
use crate::invariants::serves;
use crate::model::{PlainElection, Stage};
use crate::record::record;
use election::OfficerCommand;
use ledger::faulty::Crash;
use node::core::Event;
use proof::Secret;
use std::collections::BTreeMap;

/// Turns that a healthy node may take to answer everything.
const TURNS_TO_ANSWER: u32 = 2_000;

impl Sim {
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
        self.note_sizes();
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

    /// Turns until nothing waits. False where the process died and was started again.
    pub(super) fn answer_all(&mut self) -> Result<bool, Broken> {
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

    fn note_sizes(&mut self) {
        for election in &self.model.elections {
            if election.leaves.len() > 256 {
                self.stats.note("tree of more than one tile");
            }
        }
        let engine = self.engine.as_ref().expect("a node is running");
        for index in 0..self.model.elections.len() {
            for (_, act) in engine.core().tree(index_of(index)).acts.iter() {
                for reason in ["officer", "voters", "deadline"] {
                    if act.contains(&format!(r#""reason":"{reason}","ballots""#)) {
                        self.stats.note(&format!("closed by {reason}"));
                    }
                }
            }
        }
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
        let before = self.stats.get("ballot accepted");
        let wishes = self.people.chunk(&self.model, last);
        let chunk = self.chunk(last, &wishes);
        self.peaceful_turn(vec![chunk])?;
        self.peaceful_answers()?;
        Promise::Serves.check(self.stats.get("ballot accepted") > before, || {
            "a new election takes no ballot".to_owned()
        })?;
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
                let text =
                    record(engine, index_of(index)).map_err(|what| Promise::Acknowledged.broken(what))?;
                records.insert(election.plan.slug.to_string(), text);
            }
        }
        Ok(records)
    }
}
