//! What the nodes answered, held against the model, and given to the people who asked.

use super::{Asked, ClusterSim};
use crate::broken::{Broken, Promise};
use crate::invariants::acknowledged::{self, Ack};
use crate::invariants::refused::{self, Answered};
use crate::invariants::{reads, truthful};
use crate::lookup::{Resolved, resolve};
use crate::people::wish_of;
use cluster::NodeId;
use node::core::{Answer, BulkAnswer, Repeat};
use node::{CastReceipt, SubmitError};

/// Receipts kept of each election, for its audit.
const RECEIPTS_KEPT: usize = 12;

impl ClusterSim {
    pub(super) fn answer(&mut self, id: NodeId, answers: Vec<(u64, Answer)>) -> Result<(), Broken> {
        for (ticket, answer) in answers {
            let asked = self.asked.remove(&ticket);
            let (_, asked) = asked.ok_or_else(|| {
                Promise::Once
                    .broken(format!("ticket {ticket} is answered twice, or nobody has it: {answer:?}"))
            })?;
            match (asked, answer) {
                (Asked::Cast(paper), answer) => {
                    let answered = self.answered(id, paper, answer)?;
                    self.take_answer(id, paper, &answered)?;
                }
                (Asked::Chunk(papers), Answer::Chunk(lines)) => {
                    self.serves(papers.len() == lines.len(), "a line has no answer")?;
                    for (paper, line) in papers.into_iter().zip(lines) {
                        let answered = self.line_answered(id, paper, line)?;
                        self.take_answer(id, paper, &answered)?;
                    }
                }
                (Asked::Act(name), answer) => self.take_act(&name, answer)?,
                (Asked::Read(session, asked_at), Answer::ReadAt(position)) => {
                    let (last, _) = self.sessions[session];
                    reads::check(position.0, asked_at, last)?;
                    self.sessions[session] = (position.0, false);
                    self.stats.note("read answered");
                    self.tell(&format!("read {position}"));
                }
                (Asked::Read(session, _), Answer::Refused(SubmitError::NotKnownYet)) => {
                    self.sessions[session].1 = false;
                    self.stats.note("read not answered");
                }
                (Asked::Change, Answer::Changed | Answer::NotChanged(_)) => {}
                (Asked::Join(address), Answer::Joined(number)) => self.joined(&address, number)?,
                (Asked::Join(_), Answer::NotChanged(_)) => {}
                (asked, answer) => {
                    return Err(Promise::Serves.broken(format!("{asked:?} was answered {answer:?}")));
                }
            }
        }
        Ok(())
    }

    fn take_act(&mut self, name: &[u8], answer: Answer) -> Result<(), Broken> {
        let expected = self.acts.get(name).expect("it was sent").clone();
        let answered = match answer {
            Answer::Acted(acted) => Ok(acted),
            Answer::Refused(SubmitError::NotKnownYet) => {
                self.stats.note("act not known yet");
                return Ok(());
            }
            Answer::Refused(error) => Err(error),
            other => return Err(Promise::Serves.broken(format!("an act came to {other:?}"))),
        };
        self.tell(&format!("{:?}", answered.as_ref().map(|acted| (&acted.position, &acted.state))));
        let expected = expected.ok_or_else(|| {
            Promise::OnlyCommitted.broken(format!("{answered:?} is for an act not in the log"))
        })?;
        refused::check_act(&expected, &answered)?;
        match &answered {
            Err(error) => self.stats.note(&format!("act refused: {}", error.code())),
            Ok(_) => self.stats.note("act done"),
        }
        Ok(())
    }

    fn answered(&mut self, id: NodeId, paper: usize, answer: Answer) -> Result<Answered, Broken> {
        Ok(match answer {
            Answer::Cast(receipt) => {
                self.check_receipt(id, paper, &receipt)?;
                Answered::Accepted { leaf: receipt.leaf_index, ballot: receipt.ballot_index }
            }
            Answer::Refused(error) => Answered::Refused(error),
            Answer::Repeated(repeat) => Answered::Repeated(self.resolve(id, &repeat)),
            other => return Err(Promise::Serves.broken(format!("a ballot came to {other:?}"))),
        })
    }

    fn line_answered(&mut self, id: NodeId, paper: usize, answer: BulkAnswer) -> Result<Answered, Broken> {
        Ok(match answer {
            BulkAnswer::Accepted(accepted) => {
                if let Some(receipt) = &accepted.receipt {
                    self.check_receipt(id, paper, receipt)?;
                }
                Answered::Accepted { leaf: accepted.leaf_index, ballot: accepted.ballot_index }
            }
            BulkAnswer::Refused(error) => Answered::Refused(error),
            BulkAnswer::Repeated(repeat) => Answered::Repeated(self.resolve(id, &repeat)),
        })
    }

    /// From the disk of the node that answers, as it does.
    fn resolve(&mut self, id: NodeId, repeat: &Repeat) -> Resolved {
        let place = self.places.get_mut(&id).expect("answers come from somebody");
        resolve(place.replica.as_mut().expect("it is up"), repeat)
    }

    /// Signatures are slow to check, so of most batches none is.
    fn check_receipt(&mut self, id: NodeId, paper: usize, receipt: &CastReceipt) -> Result<(), Broken> {
        let sent = self.papers.get(paper);
        Promise::Acknowledged
            .check(receipt.leaf == sent.ballot.leaf, || "a receipt is for another ballot".into())?;
        if !self.chance.answers.one_in(60) {
            return Ok(());
        }
        let replica = self.places[&id].replica.as_ref().expect("it is up");
        let key = replica.core().keys().node.public();
        acknowledged::check_receipt(&self.model, &self.papers, paper, receipt, &key)?;
        Promise::Acknowledged
            .check(replica.is_registered(), || format!("node {id} signs, and nobody knows its key"))?;
        let kept = self.receipts.entry(receipt.context.slug.clone()).or_default();
        if kept.len() < RECEIPTS_KEPT {
            kept.push(serde_json::to_string(&receipt.to_receipt()).expect("a receipt is JSON"));
        }
        Ok(())
    }

    /// Checks an answer to a ballot, and lets the voter have it, or not.
    fn take_answer(&mut self, id: NodeId, paper: usize, answered: &Answered) -> Result<(), Broken> {
        let mut views = self.waits_no_more(paper);
        let place = &self.places[&id];
        let may_lag = place.caches_lag || place.full_until > 0 || place.is_damaged;
        if may_lag && matches!(answered, Answered::Repeated(Resolved::Unreadable(_))) {
            // The caches wait for room, or a bit has flipped there; the voter asks again.
            self.ask_again(paper);
            return Ok(());
        }
        let now = self.model.judge(&self.papers, paper);
        if views.last() != Some(&now) {
            views.push(now);
        }
        truthful::check(&self.model, paper, &views, answered)?;
        self.tell(&format!("{answered:?}"));
        match answered {
            Answered::Accepted { leaf, .. } => {
                self.stats.note("ballot accepted");
                let wish = &self.papers.get(paper).wish;
                let hash =
                    self.model.elections[wish.election].hashes[usize::try_from(*leaf).expect("few leaves")];
                self.acks.push(Ack { paper, leaf: *leaf, hash });
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
        let is_unknown = *answered == Answered::Refused(SubmitError::NotKnownYet);
        let is_taken =
            matches!(answered, Answered::Accepted { .. } | Answered::Repeated(Resolved::Same { .. }));
        if !is_taken && !is_unknown {
            self.model.turned_away.insert(paper);
        }
        let Some(wish) = wish_of(&self.papers, paper) else { return Ok(()) };
        let is_retried = is_unknown || *answered == Answered::Refused(SubmitError::StorageFull);
        if is_retried || self.chance.answers.one_in(15) {
            self.people.has_no_answer(&wish, self.step);
        } else {
            self.people.has_answer(&self.model, &wish, self.step);
        }
        Ok(())
    }
}
