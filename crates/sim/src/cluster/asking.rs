//! What people ask of the nodes: ballots, bulk requests, acts, reads, and changes of the cluster's members.

use super::{Asked, ClusterSim};
use crate::ballots::{Wish, prepare, prepare_rubbish};
use crate::invariants::acknowledged::index_of;
use cluster::{NodeId, Seat};
use election::command::write_officer;
use election::{ElectionId, Hlc, OfficerCommand};
use node::PreparedChunk;
use node::cluster_view::ClusterRequest;
use node::core::{ChunkBallot, Event};
use node::replica::Input;

impl ClusterSim {
    /// What reaches the nodes in this step. Each wish goes to some node; a double click may go to two in the same
    /// instant.
    pub(super) fn load(&mut self) {
        let awake = self.awake();
        if awake.is_empty() {
            return;
        }
        if self.chance.edge.one_in(10) {
            let node = *self.chance.edge.pick(&awake);
            self.officers_at(node);
        }
        for wish in self.people.wishes(&self.model, self.step) {
            let node = *self.chance.edge.pick(&awake);
            if let Some(paper) = self.paper(node, &wish) {
                self.cast(node, paper);
            }
        }
        if self.chance.edge.one_in(20)
            && let Some(election) = self.people.bulk_election(&self.model)
        {
            let node = *self.chance.edge.pick(&awake);
            let wishes = self.people.chunk(&self.model, election);
            self.chunk(node, election, &wishes);
        }
        if self.chance.edge.one_in(6) {
            let session = self.chance.edge.index(self.sessions.len());
            if !self.sessions[session].1 {
                let node = *self.chance.edge.pick(&awake);
                self.sessions[session].1 = true;
                self.stats.note("read asked");
                let ticket = self.ticket(node, Asked::Read(session, self.model.position));
                self.give(node, Input::Read(ticket));
            }
        }
        self.operate();
    }

    pub(super) fn give(&mut self, node: NodeId, input: Input<u64>) {
        self.places.get_mut(&node).expect("only who is up is asked").inbox.push(input);
    }

    pub(super) fn officers_at(&mut self, node: NodeId) {
        let place = self.places.get_mut(&node).expect("it is up");
        let now = place.clock.read().now;
        let replica = place.replica.as_ref().expect("it is up");
        if replica.core().state().ledger.is_none() {
            return;
        }
        let acts = self.officers.acts(&mut self.model, replica, now);
        acts.into_iter().for_each(|act| self.act(node, act));
    }

    pub(super) fn act(&mut self, node: NodeId, command: OfficerCommand) {
        self.count_command("act sent");
        let stamp = self.stamp(node);
        let mut name = Vec::new();
        write_officer(&mut name, stamp, &command);
        self.acts.insert(name.clone(), None);
        let ticket = self.ticket(node, Asked::Act(name));
        self.give(node, Input::Event(Event::Officer(stamp, Box::new(command), ticket)));
    }

    pub(super) fn cast(&mut self, node: NodeId, paper: usize) {
        self.wait(paper);
        let ticket = self.ticket(node, Asked::Cast(paper));
        let ballot = self.papers.get(paper).ballot.clone();
        self.give(node, Input::Event(Event::Cast(ballot, ticket)));
    }

    fn wait(&mut self, paper: usize) {
        let view = self.model.judge(&self.papers, paper);
        self.waiting.insert(paper, vec![view]);
        let wish = &self.papers.get(paper).wish;
        self.waiting_of.entry((wish.election, wish.voter)).or_default().insert(paper);
    }

    pub(super) fn waits_no_more(&mut self, paper: usize) -> crate::invariants::refused::Views {
        let wish = &self.papers.get(paper).wish;
        let key = (wish.election, wish.voter);
        if let Some(papers) = self.waiting_of.get_mut(&key) {
            papers.remove(&paper);
            if papers.is_empty() {
                self.waiting_of.remove(&key);
            }
        }
        self.waiting.remove(&paper).unwrap_or_default()
    }

    pub(super) fn chunk(&mut self, node: NodeId, election: usize, wishes: &[Wish]) {
        let mut chunk = PreparedChunk {
            election: index_of(election),
            bytes: Vec::new(),
            ballots: Vec::new(),
            with_receipts: self.chance.edge.one_in(4),
        };
        let mut papers = Vec::new();
        for wish in wishes {
            let Some(paper) = self.paper(node, wish) else { continue };
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
            self.wait(paper);
            papers.push(paper);
        }
        let ticket = self.ticket(node, Asked::Chunk(papers));
        self.give(node, Input::Event(Event::Chunk(chunk, ticket)));
    }

    /// A wish written down and stamped at a node; sometimes it is spoilt on the way.
    pub(super) fn paper(&mut self, node: NodeId, wish: &Wish) -> Option<usize> {
        let election = self.model.elections.get(wish.election)?;
        // A node's edge can make ballots only for elections that have come to it.
        let replica = self.places[&node].replica.as_ref()?;
        replica.core().state().election(index_of(wish.election))?;
        let id = ElectionId::derive(replica.identity().ledger, &election.plan.slug);
        let is_rubbish = self.is_under_load && self.people.is_rubbish();
        let mut wish = wish.clone();
        if is_rubbish && !wish.key.is_none() {
            wish.key = self.people.fresh_key();
        }
        let stamp = self.stamp(node);
        let plan = &self.model.elections[wish.election].plan;
        let make = if is_rubbish { prepare_rubbish } else { prepare };
        let paper = make(&mut self.chance.edge, plan, id, &wish, stamp);
        // Every edge draws a nonce, so no two ballots have the same bytes.
        if self.papers.find(&paper.ballot.opening).is_some() {
            return None;
        }
        self.count_command(if is_rubbish { "rubbish sent" } else { "ballot sent" });
        Some(self.papers.add(paper))
    }

    /// Only what is asked under faults is counted as work.
    fn count_command(&mut self, what: &str) {
        self.stats.note(what);
        if self.is_under_load {
            self.stats.note("under load: command");
        }
    }

    fn stamp(&mut self, node: NodeId) -> Hlc {
        let place = self.places.get_mut(&node).expect("only who is up stamps");
        place.hlc = place.hlc.next(place.clock.read().now);
        place.hlc
    }

    /// Operators hand over, take members out, and let new machines in.
    fn operate(&mut self) {
        if self.chance.lives.one_in(150) {
            let voters: Vec<NodeId> = self.members.with_seat(Seat::Voter).collect();
            if let Some(to) = (!voters.is_empty()).then(|| *self.chance.lives.pick(&voters)) {
                self.note("hand-over asked");
                self.handed_over_at = self.step;
                self.request(ClusterRequest::Transfer(to.0));
            }
        }
        let members = self.members.members().count();
        if self.removes && self.lost.is_none() && self.chance.lives.one_in(300) && members > 3 {
            let ids: Vec<NodeId> = self.members.members().map(|(id, _)| id).collect();
            let id = *self.chance.lives.pick(&ids);
            self.note("removal asked");
            self.handed_over_at = self.step;
            self.request(ClusterRequest::Remove(id.0));
        }
        if self.homeless.is_empty() && members < self.size + 1 && self.chance.lives.one_in(350) {
            self.new_machine();
        }
    }

    fn request(&mut self, request: ClusterRequest) {
        let awake = self.awake();
        if awake.is_empty() {
            return;
        }
        let node = *self.chance.lives.pick(&awake);
        let ticket = self.ticket(node, Asked::Change);
        self.give(node, Input::Change(request, ticket));
    }

    /// Who waited for an answer at a node that died asks again, somewhere.
    pub(super) fn forget_tickets(&mut self, node: NodeId) {
        let gone: Vec<u64> =
            self.asked.iter().filter(|(_, (at, _))| *at == node).map(|(ticket, _)| *ticket).collect();
        for ticket in gone {
            match self.asked.remove(&ticket).expect("just listed").1 {
                Asked::Cast(paper) => self.forget_paper(paper),
                Asked::Chunk(papers) => papers.into_iter().for_each(|paper| self.forget_paper(paper)),
                Asked::Read(session, _) => self.sessions[session].1 = false,
                Asked::Act(_) | Asked::Change | Asked::Join(_) => {}
            }
        }
    }

    fn forget_paper(&mut self, paper: usize) {
        self.waits_no_more(paper);
        self.ask_again(paper);
    }

    pub(super) fn ask_again(&mut self, paper: usize) {
        if let Some(wish) = crate::people::wish_of(&self.papers, paper) {
            self.people.has_no_answer(&wish, self.step);
        }
    }
}
