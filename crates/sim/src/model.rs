//! The plain model: what the log must come to, by the simplest rules that say it. It shares no code with `election`
//! but the reading of a batch, and it counts by going over the ballots again each time.

use crate::ballots::{Papers, Wish};
use crate::broken::{Broken, Promise};
use crate::plans::{Lot, Plan, PlannedKind};
use election::command::{Batch, DrawSource};
use election::{Command, Hlc, OfficerCommand};
use proof::Hash;
use std::collections::{BTreeMap, BTreeSet};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    Draft,
    Open,
    Paused,
    Closed,
    Published,
    Cancelled,
}

impl Stage {
    pub fn as_str(self) -> &'static str {
        match self {
            Stage::Draft => "draft",
            Stage::Open => "open",
            Stage::Paused => "paused",
            Stage::Closed => "closed",
            Stage::Published => "published",
            Stage::Cancelled => "cancelled",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf {
    Act(&'static str),
    /// Number of the paper.
    Ballot(usize),
}

/// What must become of a ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Accepted {
        leaf: u64,
        ballot: u64,
    },
    /// The same request as before: a receipt for this leaf.
    Repeat {
        leaf: u64,
    },
    KeyReused,
    Refused(&'static str),
    /// Refused, with whatever code.
    Rubbish,
}

/// Rooms change no election; what becomes of acts on them is not modelled.
pub const OF_ROOMS: &str = "rooms";

/// What must become of an officer's act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActVerdict {
    /// Logged by the node itself; nobody waits for it.
    pub is_rule: bool,
    /// The election's stage afterwards, or the code of the refusal.
    pub outcome: Result<Option<Stage>, &'static str>,
}

#[derive(Clone, Debug)]
pub struct PlainElection {
    pub plan: Plan,
    pub stage: Stage,
    pub opened_at: Option<u64>,
    pub closes_at: Option<u64>,
    pub leaves: Vec<Leaf>,
    /// Ballots of each voter: leaf and paper.
    pub by_voter: BTreeMap<usize, Vec<(u64, usize)>>,
    pub ballot_count: u64,
    /// Leaf hashes as first seen.
    pub hashes: Vec<Hash>,
    pub is_drawn: bool,
    pub is_revealed: bool,
    pub closing_size: Option<u64>,
}

/// Sums of one contest, weights included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainContest {
    pub votes: Vec<u64>,
    pub blank: u64,
}

/// A count from nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlainCount {
    pub ballots: u64,
    pub weight: u64,
    pub contests: Vec<PlainContest>,
}

#[derive(Debug, Default)]
pub struct Model {
    /// Entries read so far, and the hash of the last.
    pub position: u64,
    pub hash: Option<Hash>,
    pub now: u64,
    pub epoch: u32,
    /// Number and key of each node that may sign in this epoch.
    pub nodes: BTreeMap<u16, String>,
    pub elections: Vec<PlainElection>,
    /// Plans by the definition that was sent; what is not here nobody sent.
    pub plans: BTreeMap<String, Plan>,
    /// What became of each paper that is in the log.
    pub logged: BTreeMap<usize, Verdict>,
    /// Papers that were refused without a word in the log; they must never come up in it.
    pub turned_away: BTreeSet<usize>,
    /// In a cluster a paper may come into the log again with the next leader; only once may it be accepted.
    pub has_copies: bool,
}

impl PlainElection {
    fn new(plan: Plan) -> Self {
        PlainElection {
            stage: Stage::Draft,
            opened_at: None,
            closes_at: plan.closes_at,
            plan,
            leaves: Vec::new(),
            by_voter: BTreeMap::new(),
            ballot_count: 0,
            hashes: Vec::new(),
            is_drawn: false,
            is_revealed: false,
            closing_size: None,
        }
    }

    pub fn is_running(&self) -> bool {
        matches!(self.stage, Stage::Open | Stage::Paused)
    }

    /// Papers at leaves, in their order, with their leaves.
    pub fn ballots(&self) -> impl Iterator<Item = (u64, usize)> {
        (0..).zip(&self.leaves).filter_map(|(leaf, what)| match what {
            Leaf::Ballot(paper) => Some((leaf, *paper)),
            Leaf::Act(_) => None,
        })
    }

    /// Papers that count.
    pub fn counted(&self, papers: &Papers) -> Vec<usize> {
        if !self.plan.last_counts {
            return self.ballots().map(|(_, paper)| paper).collect();
        }
        let mut last = BTreeMap::new();
        for (_, paper) in self.ballots() {
            last.insert(papers.get(paper).wish.voter, paper);
        }
        last.into_values().collect()
    }

    pub fn voters(&self) -> usize {
        self.by_voter.len()
    }

    /// Counts all ballots anew, or those of one group.
    pub fn count(&self, papers: &Papers, group: Option<u16>) -> PlainCount {
        let contest = |contest: &crate::plans::PlannedContest| PlainContest {
            votes: vec![0; usize::from(contest.choices)],
            blank: 0,
        };
        let contests = self.plan.contests.iter().map(contest).collect();
        let mut count = PlainCount { ballots: 0, weight: 0, contests };
        for paper in self.counted(papers) {
            let wish = &papers.get(paper).wish;
            let voter = &self.plan.voters[wish.voter];
            let own_group = if self.plan.is_list { voter.group } else { wish.group };
            if group.is_some() && own_group != group {
                continue;
            }
            let weight = u64::from(voter.weight);
            count.ballots += 1;
            count.weight += weight;
            for (sums, choices) in count.contests.iter_mut().zip(&wish.choices) {
                if choices.is_empty() {
                    sums.blank += weight;
                }
                choices.iter().for_each(|choice| sums.votes[usize::from(*choice)] += weight);
            }
        }
        count
    }

    /// Whether a tie waits for the lot.
    pub fn needs_draw(&self, papers: &Papers) -> bool {
        if self.plan.lot == Lot::None || self.is_drawn || self.closing_size.is_none() {
            return false;
        }
        let count = self.count(papers, None);
        self.plan.contests.iter().zip(&count.contests).any(|(plan, sums)| {
            let is_tied = |votes: &u64| {
                let above = sums.votes.iter().filter(|other| *other > votes).count();
                let equal = sums.votes.iter().filter(|other| *other == votes).count();
                *votes > 0 && above < plan.seats && plan.seats < above + equal
            };
            plan.kind == PlannedKind::Seats && sums.votes.iter().any(is_tied)
        })
    }

    fn judge(&self, papers: &Papers, wish: &Wish, stamp: Hlc) -> Verdict {
        let earlier = self.by_voter.get(&wish.voter).map_or(&[][..], Vec::as_slice);
        let has_key = |paper: usize| !wish.key.is_none() && papers.get(paper).wish.key == wish.key;
        if let Some((leaf, paper)) = earlier.iter().find(|(_, paper)| has_key(*paper)) {
            let is_same = papers.get(*paper).wish.has_same_content(wish);
            return if is_same { Verdict::Repeat { leaf: *leaf } } else { Verdict::KeyReused };
        }
        let is_early = self.opened_at.is_some_and(|at| stamp.wall().0 < at);
        let is_late = self.closes_at.is_some_and(|at| stamp.wall().0 > at);
        if self.stage != Stage::Open || is_early || is_late {
            return Verdict::Refused("election_not_open");
        }
        if !self.plan.last_counts && earlier.len() >= self.plan.ballots_per_voter {
            return Verdict::Refused("already_voted");
        }
        Verdict::Accepted { leaf: self.leaves.len() as u64, ballot: self.ballot_count }
    }

    /// `name` is that of the act: `revealed` or `hidden`.
    fn turn_curtain(&mut self, name: &'static str) -> Result<(), &'static str> {
        let has_results = matches!(self.stage, Stage::Open | Stage::Paused | Stage::Closed);
        let reveals = name == "revealed";
        if !self.plan.is_on_reveal || !has_results || self.is_revealed == reveals {
            return Err("wrong_state");
        }
        self.is_revealed = reveals;
        self.act(name);
        Ok(())
    }

    fn act(&mut self, name: &'static str) {
        self.leaves.push(Leaf::Act(name));
    }

    fn close(&mut self) {
        self.stage = Stage::Closed;
        self.act("closed");
        self.closing_size = Some(self.leaves.len() as u64);
    }
}

impl Model {
    /// What must become of a paper if it were looked at now.
    pub fn judge(&self, papers: &Papers, paper: usize) -> Verdict {
        let paper = papers.get(paper);
        let Some(election) = self.elections.get(paper.wish.election) else {
            return Verdict::Refused("no_such_election");
        };
        if !paper.is_sound {
            return Verdict::Rubbish;
        }
        election.judge(papers, &paper.wish, paper.ballot.stamp)
    }

    /// Takes a committed entry; returns what must have become of its acts, in order.
    pub fn enter(
        &mut self,
        papers: &Papers,
        position: u64,
        hash: Hash,
        payload: &[u8],
    ) -> Result<Vec<ActVerdict>, Broken> {
        assert_eq!(position, self.position + 1, "entries are read in order");
        let mut acts = Vec::new();
        let mut last = Hlc::default();
        for logged in Batch::new(payload) {
            let logged = logged.map_err(|error| Promise::Replay.broken(error.to_string()))?;
            Promise::Replay
                .check(logged.stamp >= last, || format!("entry {position} is not in the order of time"))?;
            last = logged.stamp;
            self.now = self.now.max(logged.stamp.wall().0);
            match logged.command {
                Command::Cast(cast) => self.cast(papers, position, cast.opening)?,
                Command::Officer(command) => acts.push(self.officer(papers, &command)),
            }
        }
        self.position = position;
        self.hash = Some(hash);
        Ok(acts)
    }

    /// Takes an entry that holds no commands.
    pub fn pass(&mut self, position: u64, hash: Hash) {
        assert_eq!(position, self.position + 1, "entries are read in order");
        (self.position, self.hash) = (position, Some(hash));
    }

    fn cast(&mut self, papers: &Papers, position: u64, opening: &[u8]) -> Result<(), Broken> {
        let paper = papers.find(opening);
        let paper = paper
            .ok_or_else(|| Promise::OneVoter.broken(format!("entry {position} has a ballot nobody sent")))?;
        let verdict = self.judge(papers, paper);
        let counts = !self.has_copies || matches!(verdict, Verdict::Accepted { .. });
        Promise::Refused.check(!(counts && self.turned_away.contains(&paper)), || {
            format!("paper {paper} was turned away, and is in the log all the same, in entry {position}")
        })?;
        let before = self.logged.get(&paper);
        Promise::OneVoter.check(before.is_none() || self.has_copies, || {
            format!("paper {paper} is in the log twice, again in entry {position}")
        })?;
        let was_accepted = matches!(before, Some(Verdict::Accepted { .. }));
        Promise::OneVoter.check(!(was_accepted && counts), || {
            format!("paper {paper} is counted twice, again in entry {position}")
        })?;
        if !was_accepted {
            self.logged.insert(paper, verdict);
        }
        if matches!(verdict, Verdict::Accepted { .. }) {
            let election = &mut self.elections[papers.get(paper).wish.election];
            let leaf = election.leaves.len() as u64;
            election.leaves.push(Leaf::Ballot(paper));
            election.by_voter.entry(papers.get(paper).wish.voter).or_default().push((leaf, paper));
            election.ballot_count += 1;
            if election.plan.after_voters.is_some_and(|wanted| election.voters() >= wanted) {
                election.close();
            }
        }
        Ok(())
    }

    fn officer(&mut self, papers: &Papers, command: &OfficerCommand) -> ActVerdict {
        let is_rule = match command {
            OfficerCommand::Deadline { .. } | OfficerCommand::Found { .. } => true,
            OfficerCommand::Epoch { .. } | OfficerCommand::OfficerToken { .. } => true,
            OfficerCommand::Draw { source, .. } => *source == DrawSource::Server,
            _ => false,
        };
        ActVerdict { is_rule, outcome: self.act(papers, command) }
    }

    fn act(&mut self, papers: &Papers, command: &OfficerCommand) -> Result<Option<Stage>, &'static str> {
        let now = self.now;
        match command {
            OfficerCommand::Found { node, key, .. } => {
                self.epoch = 1;
                self.nodes.insert(*node, key.clone());
                return Ok(None);
            }
            OfficerCommand::Epoch { epoch, node, key, .. } => {
                self.epoch = *epoch;
                self.nodes = BTreeMap::from([(*node, key.clone())]);
                self.act_everywhere("epoch");
                return Ok(None);
            }
            OfficerCommand::Node { node, key } => {
                match self.nodes.get(node) {
                    Some(known) if known == key => {}
                    Some(_) => return Err("node_has_key"),
                    None => {
                        self.nodes.insert(*node, key.clone());
                        self.act_everywhere("node");
                    }
                }
                return Ok(None);
            }
            OfficerCommand::OfficerToken { .. } => return Ok(None),
            OfficerCommand::Create { definition, .. } => return self.create(definition),
            OfficerCommand::CreateRoom { .. }
            | OfficerCommand::AddToRoom { .. }
            | OfficerCommand::ShowScreen { .. }
            | OfficerCommand::LockRoom { .. }
            | OfficerCommand::UnlockRoom { .. }
            | OfficerCommand::RemoveFromRoom { .. } => return Err(OF_ROOMS),
            _ => {}
        }
        let slug = slug_of(command).ok_or("not simulated")?;
        let election = self.elections.iter_mut().find(|election| election.plan.slug.as_str() == slug);
        let election = election.ok_or("no_such_election")?;
        let (stage, is_running) = (election.stage, election.is_running());
        let allowed = |is_allowed: bool| if is_allowed { Ok(()) } else { Err("wrong_state") };
        match command {
            OfficerCommand::Open { .. } => {
                allowed(matches!(stage, Stage::Draft | Stage::Paused))?;
                if stage == Stage::Draft && election.closes_at.is_some_and(|at| at <= now) {
                    return Err("closes_in_the_past");
                }
                election.act(if stage == Stage::Draft { "opened" } else { "resumed" });
                election.opened_at = election.opened_at.or(Some(now));
                election.stage = Stage::Open;
            }
            OfficerCommand::Pause { .. } => {
                allowed(stage == Stage::Open)?;
                election.act("paused");
                election.stage = Stage::Paused;
            }
            OfficerCommand::Close { .. } => {
                allowed(is_running)?;
                election.close();
            }
            OfficerCommand::Deadline { .. } => {
                allowed(is_running)?;
                if election.closes_at.is_none_or(|at| now < at) {
                    return Err("deadline_not_reached");
                }
                election.close();
            }
            OfficerCommand::Extend { closes_at, .. } => {
                allowed(is_running)?;
                if closes_at.0 <= now {
                    return Err("closes_in_the_past");
                }
                election.closes_at = Some(closes_at.0);
                election.act("extended");
            }
            OfficerCommand::Publish { .. } => {
                allowed(stage == Stage::Closed && !election.needs_draw(papers))?;
                election.act("published");
                election.stage = Stage::Published;
            }
            OfficerCommand::Cancel { .. } => {
                allowed(is_running || stage == Stage::Draft)?;
                if is_running {
                    election.act("cancelled");
                }
                election.stage = Stage::Cancelled;
            }
            OfficerCommand::Reveal { .. } => election.turn_curtain("revealed")?,
            OfficerCommand::Hide { .. } => election.turn_curtain("hidden")?,
            OfficerCommand::Draw { source, .. } => {
                let fits = match election.plan.lot {
                    Lot::Server => *source == DrawSource::Server,
                    Lot::Public => *source == DrawSource::Public,
                    Lot::None => false,
                };
                if stage != Stage::Closed || !election.needs_draw(papers) || !fits {
                    return Err("nothing_to_draw");
                }
                election.act("drawn");
                election.is_drawn = true;
            }
            _ => return Err("not simulated"),
        }
        Ok(Some(election.stage))
    }

    /// An act that every tree with leaves is told of.
    fn act_everywhere(&mut self, name: &'static str) {
        self.elections
            .iter_mut()
            .filter(|election| !election.leaves.is_empty())
            .for_each(|election| election.act(name));
    }

    fn create(&mut self, definition: &str) -> Result<Option<Stage>, &'static str> {
        let plan = self.plans.get(definition).ok_or("nobody sent it")?;
        if !plan.is_valid {
            return Err("a refused definition");
        }
        if self.elections.iter().any(|election| election.plan.slug == plan.slug) {
            return Err("election_exists");
        }
        self.elections.push(PlainElection::new(plan.clone()));
        Ok(Some(Stage::Draft))
    }
}

fn slug_of(command: &OfficerCommand) -> Option<&str> {
    match command {
        OfficerCommand::Open { slug }
        | OfficerCommand::Pause { slug }
        | OfficerCommand::Close { slug }
        | OfficerCommand::Deadline { slug }
        | OfficerCommand::Extend { slug, .. }
        | OfficerCommand::Publish { slug }
        | OfficerCommand::Cancel { slug, .. }
        | OfficerCommand::Reveal { slug }
        | OfficerCommand::Hide { slug }
        | OfficerCommand::Draw { slug, .. } => Some(slug.as_str()),
        _ => None,
    }
}
