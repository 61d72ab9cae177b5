//! The desk of a node in a cluster: what voters and officers brought here, until the log says what became of it.
//!
//! Ballots that the committed state here would take go to the leader. What it would not take is asked again of a state
//! that is not older than the question (a quorum read): what was opened a moment ago elsewhere must not be refused here.
//! Each ballot is recognised in the log by its leaf, which its random nonce makes unlike every other, so it does not
//! matter which leader wrote it, nor how often it was sent.

use crate::core::{
    Answer, BulkAnswer, Claim, Claims, Core, Effects, PreparedBallot, PreparedChunk, Refused, Returned,
    SubmitError, bulk_refusal, refuse,
};
use crate::letters::{chunk_of, chunk_of_lines};
use cluster::NodeId;
use election::command::write_officer;
use election::{Cast, ElectionIndex, Hlc, OfficerCommand, Rejection, State};
use ledger::Position;
use proof::{Hash, sha256};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// After this long without news it is not known what became of a ballot or act.
const NOT_KNOWN_AFTER_MILLIS: u64 = 5_000;
/// A parcel that its leader has not answered for in this time is sent again: the line to it may have broken.
const SEND_AGAIN_MILLIS: u64 = 1_000;
/// A quorum read is asked again after this long.
const READ_AGAIN_MILLIS: u64 = 250;

/// Who leads, and in which term: what was sent to one is not with another.
pub type Lead = (NodeId, u64);

/// What is on its way to the leader.
#[derive(Debug)]
pub enum Outgoing {
    Parcel(u64, PreparedChunk),
    Order(u64, Hlc, Box<OfficerCommand>),
}

#[derive(Debug)]
pub struct Desk<T> {
    ballots: HashMap<Hash, Waiting<T>, BuildHasherDefault<LeafHasher>>,
    acts: BTreeMap<Hash, WaitingAct<T>>,
    /// Not sent yet, in the order in which they came.
    unsent: Vec<Hash>,
    unsent_acts: Vec<Hash>,
    /// Refused by a state that may be old.
    doubtful: Vec<Hash>,
    reads: Vec<WaitingRead<T>>,
    /// The quorum read that is under way, and when it was asked.
    asked: Option<(u64, u64)>,
    /// Where a read that has come back looks, and how many of the doubtful and of the reads it is good for.
    answered: Option<Answered>,
    last_read: u64,
    asked_for: (usize, usize),
    looked_over_at: u64,
    lead: Option<Lead>,
    /// Of the letters written last.
    slip: u64,
}

#[derive(Debug)]
struct Answered {
    position: Position,
    doubtful: usize,
    reads: usize,
}

#[derive(Debug)]
struct Waiting<T> {
    claim: Claim<T>,
    /// `None` for a line, which stands in its chunk.
    ballot: Option<PreparedBallot>,
    since: u64,
    sent: Option<(Lead, u64)>,
    /// Of the letter with the latest copy, 0 once that has come back.
    slip: u64,
    /// Copies that are with this leader, or on their way to it: while there is one, nothing is final but the log.
    copies: u32,
    /// Sent twice it counts once.
    is_repeatable: bool,
}

#[derive(Debug)]
struct WaitingAct<T> {
    ticket: T,
    stamp: Hlc,
    command: Box<OfficerCommand>,
    since: u64,
    /// Of the letter that it is in, 0 before it is in one.
    slip: u64,
}

#[derive(Debug)]
struct WaitingRead<T> {
    ticket: T,
    since: u64,
}

/// Leaves are SHA-256 already.
#[derive(Default)]
pub struct LeafHasher(u64);

impl Hasher for LeafHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The length, which is always the same.
    fn write_usize(&mut self, _: usize) {}
}

impl<T> Desk<T> {
    pub fn new() -> Self {
        Desk {
            ballots: HashMap::default(),
            acts: BTreeMap::new(),
            unsent: Vec::new(),
            unsent_acts: Vec::new(),
            doubtful: Vec::new(),
            reads: Vec::new(),
            asked: None,
            answered: None,
            last_read: 0,
            asked_for: (0, 0),
            looked_over_at: 0,
            lead: None,
            slip: 0,
        }
    }

    /// Whether anybody waits.
    pub fn has_work(&self) -> bool {
        !self.ballots.is_empty() || !self.acts.is_empty() || !self.reads.is_empty()
    }

    pub fn cast(&mut self, core: &Core<T>, ballot: PreparedBallot, ticket: T, now: u64) {
        let (leaf, is_repeatable) = (ballot.leaf, is_repeatable(core.state(), ballot.election, ballot.key));
        let checked = check(core.state(), &ballot);
        let waiting = Waiting {
            claim: Claim::Cast(ticket),
            ballot: Some(ballot),
            since: now,
            sent: None,
            slip: 0,
            copies: 0,
            is_repeatable,
        };
        self.ballots.insert(leaf, waiting);
        self.sort(leaf, checked);
    }

    pub fn chunk(
        &mut self,
        core: &mut Core<T>,
        chunk: PreparedChunk,
        ticket: T,
        now: u64,
        effects: &mut Effects<T>,
    ) {
        if chunk.ballots.is_empty() {
            effects.answers.push((ticket, Answer::Chunk(Vec::new())));
            return;
        }
        let slot = core.hold_chunk(chunk, ticket);
        let chunk = core.held_chunk(slot);
        for (line, ballot) in chunk.ballots.iter().enumerate() {
            let cast = Cast { election: chunk.election, number: ballot.number, opening: chunk.opening(line) };
            let checked = core.state().check_cast(ballot.stamp, &cast);
            let is_repeatable = is_repeatable(core.state(), chunk.election, ballot.key);
            let line = u32::try_from(line).expect("chunks are limited");
            let claim = Claim::Line { slot, line };
            let waiting =
                Waiting { claim, ballot: None, since: now, sent: None, slip: 0, copies: 0, is_repeatable };
            self.ballots.insert(ballot.leaf, waiting);
            self.sort(ballot.leaf, checked);
        }
    }

    pub fn act(&mut self, stamp: Hlc, command: Box<OfficerCommand>, ticket: T, now: u64) {
        let name = name_of(stamp, &command);
        self.acts.insert(name, WaitingAct { ticket, stamp, command, since: now, slip: 0 });
        self.unsent_acts.push(name);
    }

    /// Answered with a position behind everything that was acknowledged anywhere before now.
    pub fn read(&mut self, ticket: T, now: u64) {
        self.reads.push(WaitingRead { ticket, since: now });
    }

    fn sort(&mut self, leaf: Hash, checked: Result<(), Rejection>) {
        match checked {
            Ok(()) => self.unsent.push(leaf),
            Err(_) => self.doubtful.push(leaf),
        }
    }

    /// Who leads now; `None` while nobody does. What was with another goes to the new one.
    pub fn follow(&mut self, lead: Option<Lead>) {
        if self.lead == lead {
            return;
        }
        self.lead = lead;
        self.asked = None;
        if lead.is_some() {
            for (leaf, waiting) in &mut self.ballots {
                // What was written for an earlier term is not put in order any more; what was is in the new leader's log.
                waiting.copies = 0;
                if waiting.is_repeatable && waiting.sent.take().is_some() {
                    self.unsent.push(*leaf);
                }
            }
            // The order of a hash map is nobody's business.
            self.unsent.sort_unstable();
        }
    }

    /// The leader did not put these of the letters `slip` in order.
    pub fn returned(
        &mut self,
        core: &mut Core<T>,
        slip: u64,
        leaves: &[(Hash, Returned)],
        effects: &mut Effects<T>,
    ) {
        for (leaf, why) in leaves {
            let Some(waiting) = self.ballots.get_mut(leaf).filter(|waiting| waiting.sent.is_some()) else {
                continue;
            };
            if waiting.slip == slip {
                waiting.slip = 0;
            } else if waiting.copies < 2 {
                // It came back before, or belongs to an earlier term.
                continue;
            }
            waiting.copies = waiting.copies.saturating_sub(1);
            // While another copy may still be put in order, this is not the end.
            if waiting.copies > 0 {
                continue;
            }
            waiting.sent = None;
            match why {
                Returned::Refused => self.doubtful.push(*leaf),
                Returned::NotLeading => self.unsent.push(*leaf),
                Returned::Full => {
                    let waiting = self.ballots.remove(leaf).expect("just found");
                    waiting.fail(core, SubmitError::StorageFull, effects);
                }
            }
        }
    }

    /// Officers' acts that a node did not take, because it does not lead: nothing was done with them.
    pub fn act_returned(&mut self, name: Hash, slip: u64) {
        if let Some(act) = self.acts.get_mut(&name).filter(|act| act.slip == slip) {
            act.slip = 0;
            self.unsent_acts.push(name);
        }
    }

    /// What goes to the leader now: nothing while nobody leads. Ballots of one election go together.
    pub fn outgoing(&mut self, core: &Core<T>, now: u64) -> Vec<Outgoing> {
        let Some(lead) = self.lead else { return Vec::new() };
        let mut out = Vec::new();
        self.slip += 1;
        let slip = self.slip;
        for name in std::mem::take(&mut self.unsent_acts) {
            if let Some(act) = self.acts.get_mut(&name) {
                act.slip = slip;
                out.push(Outgoing::Order(slip, act.stamp, act.command.clone()));
            }
        }
        let mut casts: BTreeMap<ElectionIndex, Vec<&PreparedBallot>> = BTreeMap::new();
        let mut lines: BTreeMap<usize, Vec<u32>> = BTreeMap::new();
        let unsent = std::mem::take(&mut self.unsent);
        for leaf in &unsent {
            let Some(waiting) = self.ballots.get_mut(leaf) else { continue };
            waiting.sent = Some((lead, now));
            waiting.slip = slip;
            waiting.copies += 1;
        }
        for leaf in &unsent {
            match self.ballots.get(leaf) {
                Some(Waiting { ballot: Some(ballot), .. }) => {
                    casts.entry(ballot.election).or_default().push(ballot);
                }
                Some(Waiting { claim: Claim::Line { slot, line }, .. }) => {
                    lines.entry(*slot).or_default().push(*line);
                }
                _ => {}
            }
        }
        for (election, ballots) in casts {
            let chunks = chunk_of(election, &ballots).into_iter();
            out.extend(chunks.map(|chunk| Outgoing::Parcel(slip, chunk)));
        }
        for (slot, lines) in lines {
            out.push(Outgoing::Parcel(slip, chunk_of_lines(core.held_chunk(slot), &lines)));
        }
        out
    }

    /// A quorum read to be asked for now, by its number.
    pub fn question(&mut self, now: u64) -> Option<u64> {
        if self.doubtful.is_empty() && self.reads.is_empty() {
            return None;
        }
        let waits = self.asked.is_some_and(|(_, at)| now < at + READ_AGAIN_MILLIS);
        if waits || self.answered.is_some() || self.lead.is_none() {
            return None;
        }
        self.last_read += 1;
        self.asked = Some((self.last_read, now));
        self.asked_for = (self.doubtful.len(), self.reads.len());
        Some(self.last_read)
    }

    /// The read could not be asked.
    pub fn not_asked(&mut self) {
        self.asked = None;
    }

    /// The read `number` sees everything at `position`.
    pub fn answered(&mut self, number: u64, position: Position) {
        if self.asked.is_some_and(|(asked, _)| asked == number) {
            self.asked = None;
            let (doubtful, reads) = self.asked_for;
            self.answered = Some(Answered { position, doubtful, reads });
        }
    }

    /// Settles what a read was asked for, once its position is applied here.
    pub fn settle(&mut self, core: &mut Core<T>, applied: Position, effects: &mut Effects<T>) {
        let Some(Answered { doubtful, reads, .. }) = self.answered.take_if(|read| read.position <= applied)
        else {
            return;
        };
        for read in self.reads.drain(..reads.min(self.reads.len())) {
            effects.answers.push((read.ticket, Answer::ReadAt(applied)));
        }
        let doubtful: Vec<Hash> = self.doubtful.drain(..doubtful.min(self.doubtful.len())).collect();
        for leaf in doubtful {
            let Some(waiting) = self.ballots.get(&leaf) else { continue };
            match waiting.check(core) {
                Ok(()) => self.unsent.push(leaf),
                Err(rejection) => {
                    let waiting = self.ballots.remove(&leaf).expect("just found");
                    waiting.refuse(core, rejection, effects);
                }
            }
        }
    }

    /// Sends again what may be lost, and says of what has waited too long that it is not known.
    pub fn look_over(&mut self, core: &mut Core<T>, now: u64, effects: &mut Effects<T>) {
        if now < self.looked_over_at + READ_AGAIN_MILLIS {
            return;
        }
        self.looked_over_at = now;
        let is_late = |since: u64| now >= since + NOT_KNOWN_AFTER_MILLIS;
        let mut late = Vec::new();
        for (leaf, waiting) in &mut self.ballots {
            if is_late(waiting.since) {
                late.push(*leaf);
            } else if waiting.is_repeatable
                && waiting.sent.is_some_and(|(_, at)| now >= at + SEND_AGAIN_MILLIS)
            {
                waiting.sent = None;
                self.unsent.push(*leaf);
            }
        }
        late.sort_unstable();
        self.unsent.sort_unstable();
        for leaf in late {
            let waiting = self.ballots.remove(&leaf).expect("just found");
            waiting.fail(core, SubmitError::NotKnownYet, effects);
        }
        let late_acts: Vec<Hash> =
            self.acts.iter().filter(|(_, act)| is_late(act.since)).map(|(name, _)| *name).collect();
        for name in late_acts {
            let act = self.acts.remove(&name).expect("just found");
            effects.answers.push((act.ticket, Answer::Refused(SubmitError::NotKnownYet)));
        }
        let late_reads = self.reads.iter().take_while(|read| is_late(read.since)).count();
        if late_reads > 0 {
            for read in self.reads.drain(..late_reads) {
                effects.answers.push((read.ticket, Answer::Refused(SubmitError::NotKnownYet)));
            }
            // What is under way was counted with those that have gone.
            (self.asked, self.answered) = (None, None);
        }
    }

    /// Nothing more is waited for: the node stops.
    pub fn give_up(&mut self, core: &mut Core<T>, effects: &mut Effects<T>) {
        let mut waiting: Vec<(Hash, Waiting<T>)> = self.ballots.drain().collect();
        waiting.sort_unstable_by_key(|(leaf, _)| *leaf);
        for (_, waiting) in waiting {
            waiting.fail(core, SubmitError::NotKnownYet, effects);
        }
        for (_, act) in std::mem::take(&mut self.acts) {
            effects.answers.push((act.ticket, Answer::Refused(SubmitError::NotKnownYet)));
        }
        for read in self.reads.drain(..) {
            effects.answers.push((read.ticket, Answer::Refused(SubmitError::Stopping)));
        }
    }
}

impl<T> Default for Desk<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Claims<T> for Desk<T> {
    fn ballot(&mut self, leaf: &Hash) -> Option<Claim<T>> {
        if self.ballots.is_empty() {
            return None;
        }
        self.ballots.remove(leaf).map(|waiting| waiting.claim)
    }

    fn act(&mut self, stamp: Hlc, command: &OfficerCommand) -> Option<T> {
        if self.acts.is_empty() {
            return None;
        }
        self.acts.remove(&name_of(stamp, command)).map(|act| act.ticket)
    }
}

impl<T> Waiting<T> {
    fn check(&self, core: &Core<T>) -> Result<(), Rejection> {
        match (&self.claim, &self.ballot) {
            (_, Some(ballot)) => check(core.state(), ballot),
            (Claim::Line { slot, line }, None) => {
                let chunk = core.held_chunk(*slot);
                let ballot = &chunk.ballots[*line as usize];
                let (election, opening) = (chunk.election, chunk.opening(*line as usize));
                core.state().check_cast(ballot.stamp, &Cast { election, number: ballot.number, opening })
            }
            (Claim::Cast(_), None) => unreachable!("a single ballot is kept with its claim"),
        }
    }

    fn refuse(self, core: &mut Core<T>, rejection: Rejection, effects: &mut Effects<T>) {
        match (self.claim, self.ballot) {
            (Claim::Cast(ticket), Some(ballot)) => {
                effects.answers.push((ticket, refuse(rejection, ballot.into())));
            }
            (Claim::Line { slot, line }, _) => {
                let chunk = core.held_chunk(slot);
                let refused =
                    Refused { election: chunk.election, opening: chunk.opening(line as usize).to_vec() };
                core.answer_line(slot, line, bulk_refusal(rejection, refused), effects);
            }
            (Claim::Cast(_), None) => unreachable!("a single ballot is kept with its claim"),
        }
    }

    fn fail(self, core: &mut Core<T>, error: SubmitError, effects: &mut Effects<T>) {
        match self.claim {
            Claim::Cast(ticket) => effects.answers.push((ticket, Answer::Refused(error))),
            Claim::Line { slot, line } => {
                core.answer_line(slot, line, BulkAnswer::Refused(error), effects);
            }
        }
    }
}

/// An act is named by its bytes in the log, its stamp among them.
pub fn name_of(stamp: Hlc, command: &OfficerCommand) -> Hash {
    let mut bytes = Vec::new();
    write_officer(&mut bytes, stamp, command);
    sha256(&[&bytes])
}

fn check(state: &State, ballot: &PreparedBallot) -> Result<(), Rejection> {
    let PreparedBallot { election, number, stamp, ref opening, .. } = *ballot;
    state.check_cast(stamp, &Cast { election, number, opening })
}

/// A second copy of the same ballot is refused where a voter has one, or where a key tells that it is the same.
fn is_repeatable(state: &State, election: ElectionIndex, key: election::IdempotencyKey) -> bool {
    let has_one = state.election(election).is_some_and(|election| {
        let definition = &election.definition;
        definition.ballots_per_voter == 1 && definition.revote == election::definition::Revote::Forbid
    });
    has_one || !key.is_none()
}
