//! What reaches the node: acts, ballots, bulk requests.

use super::{Asked, Sim};
use crate::ballots::{Wish, prepare, prepare_rubbish};
use crate::invariants::acknowledged::index_of;
use crate::people::wish_of;
use election::{ElectionId, Hlc, OfficerCommand};
use node::PreparedChunk;
use node::core::{ChunkBallot, Event};

impl Sim {
    /// What reaches the node in this step.
    pub(super) fn events(&mut self) -> Vec<Event<u64>> {
        let now = self.clock.read().now;
        let engine = self.engine.as_ref().expect("a step has an engine");
        let acts = self.officers.acts(&mut self.model, engine, now);
        let mut events: Vec<Event<u64>> = acts.into_iter().map(|act| self.act(act)).collect();
        for wish in self.people.wishes(&self.model, self.step) {
            let Some(paper) = self.paper(&wish) else { continue };
            if self.chance.edge.one_in(10) {
                let arrives = self.step + self.chance.edge.between(1, 4);
                self.on_the_way.push((arrives, paper));
            } else {
                events.push(self.cast(paper));
            }
        }
        let step = self.step;
        let (arrived, rest) =
            std::mem::take(&mut self.on_the_way).into_iter().partition(|(at, _)| *at <= step);
        self.on_the_way = rest;
        let arrived: Vec<(u64, usize)> = arrived;
        events.extend(arrived.into_iter().map(|(_, paper)| self.cast(paper)));
        if self.chance.edge.one_in(8)
            && let Some(election) = self.people.bulk_election(&self.model)
        {
            let wishes = self.people.chunk(&self.model, election);
            events.push(self.chunk(election, &wishes));
        }
        events
    }

    pub(super) fn act(&mut self, command: OfficerCommand) -> Event<u64> {
        self.stats.note("act sent");
        let (stamp, ticket) = (self.stamp(), self.ticket(Asked::Act));
        Event::Officer(stamp, Box::new(command), ticket)
    }

    pub(super) fn cast(&mut self, paper: usize) -> Event<u64> {
        self.waiting.insert(paper, Vec::new());
        let ticket = self.ticket(Asked::Cast(paper));
        Event::Cast(self.papers.get(paper).ballot.clone(), ticket)
    }

    pub(super) fn chunk(&mut self, election: usize, wishes: &[Wish]) -> Event<u64> {
        let mut chunk = PreparedChunk {
            election: index_of(election),
            bytes: Vec::new(),
            ballots: Vec::new(),
            with_receipts: self.chance.edge.one_in(2),
        };
        let mut papers = Vec::new();
        for wish in wishes {
            let Some(paper) = self.paper(wish) else { continue };
            let ballot = &self.papers.get(paper).ballot;
            if ballot.election != chunk.election {
                // Rubbish for another election cannot be said within a chunk.
                continue;
            }
            chunk.ballots.push(ChunkBallot {
                stamp: ballot.stamp,
                number: ballot.number,
                tag: ballot.tag,
                key: ballot.key,
                leaf: ballot.leaf,
                start: u32::try_from(chunk.bytes.len()).expect("small"),
                length: u32::try_from(ballot.opening.len()).expect("small"),
            });
            chunk.bytes.extend_from_slice(&ballot.opening);
            self.waiting.insert(paper, Vec::new());
            papers.push(paper);
        }
        let ticket = self.ticket(Asked::Chunk(papers));
        Event::Chunk(chunk, ticket)
    }

    /// A wish written down, stamped now; sometimes it is spoilt on the way.
    pub(super) fn paper(&mut self, wish: &Wish) -> Option<usize> {
        let election = self.model.elections.get(wish.election)?;
        let ledger = self.engine.as_ref()?.identity().ledger;
        let id = ElectionId::derive(ledger, &election.plan.slug);
        let is_rubbish = !self.is_ending && self.people.is_rubbish();
        let mut wish = wish.clone();
        if is_rubbish && !wish.key.is_none() {
            wish.key = self.people.fresh_key();
        }
        let same_instant = !self.is_ending && self.chance.edge.one_in(12);
        let stamp = if same_instant { self.hlc } else { self.stamp() };
        let plan = &self.model.elections[wish.election].plan;
        let make = if is_rubbish { prepare_rubbish } else { prepare };
        let paper = make(&mut self.chance.edge, plan, id, &wish, stamp);
        self.stats.note(if is_rubbish { "rubbish sent" } else { "ballot sent" });
        Some(self.papers.add(paper))
    }

    fn stamp(&mut self) -> Hlc {
        self.hlc = self.hlc.next(self.clock.read().now);
        self.hlc
    }

    fn ticket(&mut self, asked: Asked) -> u64 {
        self.next_ticket += 1;
        self.asked.insert(self.next_ticket, asked);
        self.next_ticket
    }

    pub(super) fn ask_again(&mut self, paper: usize) {
        if let Some(wish) = wish_of(&self.papers, paper) {
            self.people.has_no_answer(&wish, self.step);
        }
    }

    /// Whoever waits for an answer gets none.
    pub(super) fn forget_tickets(&mut self) {
        let papers: Vec<usize> = std::mem::take(&mut self.waiting).into_keys().collect();
        self.asked.clear();
        papers.into_iter().for_each(|paper| self.ask_again(paper));
        let lost = std::mem::take(&mut self.on_the_way);
        lost.into_iter().for_each(|(_, paper)| self.ask_again(paper));
    }
}
