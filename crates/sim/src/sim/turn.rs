//! One turn of the node, and every check that goes with it.

use super::{Asked, Sim};
use crate::broken::{Broken, Promise};
use crate::invariants::acknowledged::{self, Ack};
use crate::invariants::refused::{self, Answered};
use crate::invariants::{closed, feed, one_voter, only_committed, replay, retry, tally};
use crate::lookup::{Resolved, resolve};
use crate::model::{ActVerdict, Leaf, PlainElection};
use crate::people::wish_of;
use ledger::{LogReader, Position, Scan};
use node::core::{Answer, BulkAnswer, Effects, Event, Repeat};
use node::{CastReceipt, SubmitError};

/// Receipts kept of each election, for its audit.
const RECEIPTS_KEPT: usize = 20;

impl Sim {
    /// One turn of the node, and every check that goes with it. False where the process died.
    pub(super) fn turn(&mut self, events: Vec<Event<u64>>) -> Result<bool, Broken> {
        self.stats.note("turn");
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
            self.lose_power()?;
            return Ok(false);
        }
        self.hlc = self.hlc.max(engine.core().hlc());
        self.take_turn(effects)?;
        Ok(true)
    }

    fn take_turn(&mut self, effects: Effects<u64>) -> Result<(), Broken> {
        self.note_views();
        let before = self.leaf_counts();
        let acts = self.read_log()?;
        self.check_state()?;
        if self.wants_feed {
            feed::check(&self.model, &self.papers, &before, &effects.feed)?;
        }
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

    fn leaf_counts(&self) -> Vec<usize> {
        self.model.elections.iter().map(|election| election.leaves.len()).collect()
    }

    /// Reads what was committed since the last look; returns what must have become of the acts in it.
    pub(super) fn read_log(&mut self) -> Result<Vec<ActVerdict>, Broken> {
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
        let leaves = |election: &PlainElection| election.leaves[election.hashes.len()..].to_vec();
        for leaf in self.model.elections.iter().flat_map(leaves) {
            if let Leaf::Act(name) = leaf {
                self.stats.note(&format!("act: {name}"));
            }
        }
        acknowledged::note_leaves(engine, &mut self.model, &self.papers)?;
        Ok(acts)
    }

    pub(super) fn check_state(&mut self) -> Result<(), Broken> {
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
                    self.tell(&format!(
                        "{:?}",
                        answered.as_ref().map(|acted| (&acted.position, &acted.state))
                    ));
                    let expected = acts.next();
                    let expected = expected.ok_or_else(|| {
                        Promise::OnlyCommitted.broken(format!("{answered:?} is for an act not in the log"))
                    })?;
                    refused::check_act(&expected, &answered)?;
                    match &answered {
                        Err(error) => self.stats.note(&format!("act refused: {}", error.code())),
                        Ok(acted) if acted.room.is_some() => self.stats.note("room act done"),
                        Ok(_) => {}
                    }
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

    fn resolve(&mut self, repeat: &Repeat) -> Resolved {
        resolve(self.engine.as_mut().expect("answers come from an engine"), repeat)
    }

    /// Signatures are slow to check, so of most batches only the first receipt is.
    fn check_receipt(&mut self, paper: usize, receipt: &CastReceipt) -> Result<(), Broken> {
        if receipt.index > 0 && !self.chance.answers.one_in(10) {
            return Ok(());
        }
        let key = self.engine_ref().core().keys().node.public();
        acknowledged::check_receipt(&self.model, &self.papers, paper, receipt, &key)?;
        let kept = self.receipts.entry(receipt.context.slug.clone()).or_default();
        if kept.len() < RECEIPTS_KEPT {
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
                self.stats.note("ballot accepted");
                self.acks.push(Ack { paper, leaf: *leaf, hash: hash(*leaf) });
            }
            Answered::Repeated(Resolved::Same { leaf, hash }) => {
                self.stats.note("repeat answered");
                self.acks.push(Ack { paper, leaf: *leaf, hash: *hash });
            }
            Answered::Repeated(Resolved::KeyReused) => self.stats.note("refused: idempotency_key_reused"),
            Answered::Refused(error) => self.stats.note(&format!("refused: {}", error.code())),
            Answered::Repeated(Resolved::Refused(error)) => {
                self.stats.note(&format!("refused: {}", error.code()));
            }
            Answered::Repeated(Resolved::Unreadable(_)) => {}
        }
        let is_taken =
            matches!(answered, Answered::Accepted { .. } | Answered::Repeated(Resolved::Same { .. }));
        if !is_taken && !self.model.logged.contains_key(&paper) {
            self.model.turned_away.insert(paper);
        }
        let Some(wish) = wish_of(&self.papers, paper) else { return Ok(()) };
        let is_retried = *answered == Answered::Refused(SubmitError::StorageFull);
        if is_retried || self.chance.answers.one_in(12) {
            self.stats.note("lost answer");
            self.people.has_no_answer(&wish, self.step);
        } else {
            self.people.has_answer(&self.model, &wish, self.step);
        }
        Ok(())
    }

    pub(super) fn idle(&mut self) -> Result<(), Broken> {
        let engine = self.engine.as_mut().expect("an idle node has an engine");
        match engine.idle() {
            Ok(()) if self.machine.is_dead() => self.lose_power(),
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

    /// Trees, stored ballots, every acknowledgement, every key.
    pub(super) fn check_evidence(&mut self) -> Result<(), Broken> {
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
    pub(super) fn check_fully(&mut self) -> Result<(), Broken> {
        self.stats.note("full check");
        self.check_evidence()?;
        if self.caches_lag {
            return Ok(());
        }
        let (config, clock) = (self.config(None), self.clock.read());
        let live = self.engine.as_mut().expect("a node is running");
        let mut fresh = replay::check(&self.machine, live, &self.model, config, clock)?;
        retry::check(&mut fresh, &self.papers, &self.acks)
    }
}
