//! The state machine. [`State::apply`] takes commands in the log's order; nothing else changes an election.

use crate::act::{self, Act, ActLeaf, By, CloseReason, NamedNode, hex32};
use crate::answers;
use crate::ballot::{Body, Extras, Opening};
use crate::command::{Cast, Command, DrawSource, EpochReason, OfficerCommand};
use crate::definition::{AfterVoters, Definition, Draw, Eligibility, ResultsMode, Revote};
use crate::ids::{BallotIndex, ElectionId, ElectionIndex, LeafIndex, LedgerId, Slug, Voter};
use crate::methods::OutcomeKind;
use crate::mutation::{Mutation, is_off};
use crate::rejection::Rejection;
use crate::results::{Curtain, Results, contest_outcome};
use crate::roll::{ROLL_VOTERS_MAX, Roll, RollEntry};
use crate::room::{ROOM_ELECTIONS_MAX, Room, RoomCode, Screen, Show};
use crate::tally::Tally;
use crate::time::{Hlc, UnixMillis};
use crate::voted::{LastBallot, Voted};
use crate::{from_hex, hex, sha256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Each election keeps a few files open.
pub const ELECTIONS_MAX: usize = 2_000;
pub const ROOMS_MAX: usize = 10_000;

pub type Outcome = Result<Event, Rejection>;

/// draft → open ⇄ paused → closed → published; or cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElectionState {
    Draft,
    Open,
    Paused,
    /// The grace after a deadline; reached once elections carry a click grace.
    Closing,
    Closed,
    Published,
    Cancelled,
}

impl ElectionState {
    pub fn as_str(self) -> &'static str {
        match self {
            ElectionState::Draft => "draft",
            ElectionState::Open => "open",
            ElectionState::Paused => "paused",
            ElectionState::Closing => "closing",
            ElectionState::Closed => "closed",
            ElectionState::Published => "published",
            ElectionState::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for ElectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a command did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub kind: EventKind,
    /// The election concerned; none for rooms and the ledger itself.
    pub election: Option<ElectionIndex>,
    /// Leaves that acts add to trees, in order; a cast's own leaf comes before them.
    pub acts: Vec<ActLeaf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// A ballot was accepted. Its leaf is of kind ballot, its opening the cast's.
    Cast {
        ballot: BallotIndex,
        leaf: LeafIndex,
        replaces: Option<LeafIndex>,
    },
    Created,
    /// The election's state or rules changed; the acts say how.
    Acted,
    RoomChanged,
    /// The ledger's own facts changed: founding, epoch, officer token.
    LedgerChanged,
}

/// A node's signing key in the epoch it was registered in. A later epoch does not take it over: what a restore left
/// behind may sign no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RegisteredKey {
    pub epoch: u32,
    /// Why the epoch began.
    pub reason: EpochReason,
    pub node: u16,
    /// Ed25519 public key, 64 hex digits.
    pub key: String,
}

/// Facts of the ledger itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerFacts {
    pub ledger: LedgerId,
    pub epoch: u32,
    /// In the log's order: of each epoch the node that began it, then those that joined.
    pub keys: Vec<RegisteredKey>,
    /// SHA-256 of the officer token, in hex.
    pub officer: String,
}

impl LedgerFacts {
    /// Nodes that sign in the current epoch, in the order they were registered; the first began it.
    pub fn signing(&self) -> impl Iterator<Item = &RegisteredKey> {
        self.keys.iter().filter(|known| known.epoch == self.epoch)
    }

    /// Whether this node may sign in the current epoch with this key.
    pub fn is_registered(&self, node: u16, key: &str) -> bool {
        self.signing().any(|known| known.node == node && known.key == key)
    }
}

/// A lot that was drawn.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drawn {
    pub source: DrawSource,
    pub seed: [u8; 32],
    pub closing_root: [u8; 32],
}

#[derive(Clone, Debug)]
pub struct Election {
    pub index: ElectionIndex,
    pub id: ElectionId,
    pub definition: Arc<Definition>,
    pub state: ElectionState,
    /// The definition's closing time, or where it was extended to.
    pub closes_at: Option<UnixMillis>,
    pub roll: Option<Arc<Roll>>,
    pub tally: Tally,
    pub voted: Voted,
    pub draw: Option<Drawn>,
    /// Leaves in the tree so far.
    pub leaves: u64,
    /// Ballots accepted so far, replaced ones included.
    pub ballots: u64,
    /// Size of the tree just after the close.
    pub closing_size: Option<u64>,
    /// Epoch and first leaf of each stretch of the tree.
    pub epochs: Vec<(u32, u64)>,
    pub opened_at: Option<UnixMillis>,
    pub closed_at: Option<UnixMillis>,
    /// Whether an officer shows the counts, where `results = "on-reveal"`.
    pub revealed: bool,
}

/// Everything the log says, folded.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Latest time seen; never goes back.
    pub now: UnixMillis,
    pub ledger: Option<LedgerFacts>,
    elections: Vec<Election>,
    by_slug: BTreeMap<Slug, ElectionIndex>,
    rooms: BTreeMap<RoomCode, Room>,
}

/// A ballot that passed every check but the voter's own ballots.
struct Admitted<'a> {
    voter: Voter,
    opening: Opening<'a>,
    answers: &'a [u8],
}

impl State {
    pub fn elections(&self) -> &[Election] {
        &self.elections
    }

    pub fn election(&self, index: ElectionIndex) -> Option<&Election> {
        self.elections.get(index.0 as usize)
    }

    pub fn by_slug(&self, slug: &str) -> Option<&Election> {
        self.by_slug.get(slug).and_then(|index| self.election(*index))
    }

    pub fn rooms(&self) -> &BTreeMap<RoomCode, Room> {
        &self.rooms
    }

    /// Applies one command with its stamp. Equal sequences give equal states and outcomes, everywhere.
    ///
    /// A ballot costs O(answers) and no allocation in an election with one ballot a voter.
    pub fn apply(&mut self, stamp: Hlc, command: &Command<'_>) -> Outcome {
        self.now = self.now.max(stamp.wall());
        match command {
            Command::Cast(cast) => self.cast(stamp, cast),
            Command::Officer(command) => self.officer(command),
        }
    }

    /// Reads where it would stand that this voter has voted, so that it is in the cache when the ballot is checked
    /// and counted. Called for all ballots of a batch in one go, the misses overlap: a third less time a ballot at
    /// 10 M voters named by tag, half at 100 M numbered ones.
    pub fn touch(&self, election: ElectionIndex, voter: &Voter) {
        if let Some(Voted::Once { numbers, tags }) = self.election(election).map(|election| &election.voted) {
            match voter.number {
                Some(number) => std::hint::black_box(numbers.contains(number)),
                None => std::hint::black_box(tags.touch(&voter.tag) != 0),
            };
        }
    }

    /// Whether `apply` would accept this ballot now: a filter in front of the log, never the decision.
    pub fn check_cast(&self, stamp: Hlc, cast: &Cast<'_>) -> Result<(), Rejection> {
        let election = self.find(cast.election)?;
        let admitted = election.admit(stamp, cast)?;
        election.check_voter(&admitted.voter, &admitted.opening).map(|_| ())
    }

    fn cast(&mut self, stamp: Hlc, cast: &Cast<'_>) -> Outcome {
        let now = self.now;
        let election = self
            .elections
            .get_mut(cast.election.0 as usize)
            .ok_or_else(|| Rejection::NoSuchElection(cast.election.0.to_string()))?;
        let Admitted { voter, opening, answers } = election.admit(stamp, cast)?;
        let leaf = LeafIndex(election.leaves);
        let ballot = BallotIndex(election.ballots);
        let replaces = election.record(&voter, &opening, answers, leaf)?;
        let Extras { weight, group, .. } = opening.fields.extras;
        election.tally.add(&election.definition, answers, weight, group);
        election.leaves += 1;
        election.ballots += 1;
        let mut acts = Vec::new();
        if election.all_have_voted() {
            acts.push(election.close(now, CloseReason::Voters));
        }
        Ok(Event { kind: EventKind::Cast { ballot, leaf, replaces }, election: Some(election.index), acts })
    }

    fn officer(&mut self, command: &OfficerCommand) -> Outcome {
        match command {
            OfficerCommand::Found { ledger, node, key, officer } => self.found(*ledger, *node, key, officer),
            OfficerCommand::Epoch { epoch, reason, node, key } => {
                self.begin_epoch(*epoch, *reason, *node, key)
            }
            OfficerCommand::Node { node, key } => self.register(*node, key),
            OfficerCommand::OfficerToken { officer } => {
                self.facts_mut()?.officer = officer.clone();
                Ok(ledger_changed(Vec::new()))
            }
            OfficerCommand::Create { definition, roll } => self.create(definition, roll),
            OfficerCommand::Open { slug } => self.open(slug),
            OfficerCommand::Pause { slug } => self.pause(slug),
            OfficerCommand::Close { slug } => self.close(slug),
            OfficerCommand::Deadline { slug } => self.deadline(slug),
            OfficerCommand::Extend { slug, closes_at } => self.extend(slug, *closes_at),
            OfficerCommand::Publish { slug } => self.publish(slug),
            OfficerCommand::Cancel { slug, reason } => self.cancel(slug, reason),
            OfficerCommand::Reveal { slug } => self.draw_curtain(slug, Curtain::Revealed),
            OfficerCommand::Hide { slug } => self.draw_curtain(slug, Curtain::Hidden),
            OfficerCommand::Draw { slug, source, seed, closing_root } => {
                self.draw(slug, *source, seed, closing_root)
            }
            OfficerCommand::CreateRoom { code, title, pace, elections } => {
                let screen = Screen { show: Show::Lobby, election: None };
                let (code, title, elections) = (code.clone(), title.clone(), elections.clone());
                self.create_room(Room { code, title, pace: *pace, elections, screen, locked_at: None })
            }
            OfficerCommand::AddToRoom { code, slug } => self.add_to_room(code, slug),
            OfficerCommand::ShowScreen { code, screen } => self.show_screen(code, screen),
            OfficerCommand::LockRoom { code } => self.lock_room(code),
            OfficerCommand::UnlockRoom { code } => self.unlock_room(code),
            OfficerCommand::RemoveFromRoom { code, slug } => self.remove_from_room(code, slug),
        }
    }

    fn found(&mut self, ledger: LedgerId, node: u16, key: &str, officer: &str) -> Outcome {
        if self.ledger.is_some() {
            return Err(Rejection::Founding);
        }
        let first = RegisteredKey { epoch: 1, reason: EpochReason::Founded, node, key: key.to_owned() };
        self.ledger = Some(LedgerFacts { ledger, epoch: 1, keys: vec![first], officer: officer.to_owned() });
        Ok(ledger_changed(Vec::new()))
    }

    fn begin_epoch(&mut self, epoch: u32, reason: EpochReason, node: u16, key: &str) -> Outcome {
        let now = self.now;
        let facts = self.facts_mut()?;
        if epoch <= facts.epoch {
            return Err(Rejection::EpochOrder);
        }
        facts.epoch = epoch;
        facts.keys.push(RegisteredKey { epoch, reason, node, key: key.to_owned() });
        let mut acts = Vec::new();
        for election in self.elections.iter_mut().filter(|election| election.leaves > 0) {
            election.epochs.push((epoch, election.leaves));
            let act = Act::Epoch { at: now.to_string(), by: By::Officer, epoch, reason, node, key };
            acts.push(election.add_act(act.to_json()));
        }
        Ok(ledger_changed(acts))
    }

    fn register(&mut self, node: u16, key: &str) -> Outcome {
        let now = self.now;
        let facts = self.facts_mut()?;
        let is_key = from_hex::<32>(key).is_some_and(|bytes| hex(&bytes) == key);
        if node == 0 || !is_key {
            return Err(Rejection::MalformedNodeKey);
        }
        match facts.signing().find(|known| known.node == node) {
            Some(known) if known.key == key => return Ok(ledger_changed(Vec::new())),
            Some(_) => return Err(Rejection::NodeHasKey(node)),
            None => {}
        }
        let LedgerFacts { epoch, keys, .. } = facts;
        let reason = keys.last().expect("a founded ledger has a key").reason;
        keys.push(RegisteredKey { epoch: *epoch, reason, node, key: key.to_owned() });
        let act = Act::Node { at: now.to_string(), by: By::Rule, node, key }.to_json();
        let opened = self.elections.iter_mut().filter(|election| election.leaves > 0);
        Ok(ledger_changed(opened.map(|election| election.add_act(act.clone())).collect()))
    }

    fn create(&mut self, definition: &str, roll: &[RollEntry]) -> Outcome {
        let definition = Definition::from_json(definition)?;
        if self.by_slug.contains_key(&definition.slug) {
            return Err(Rejection::ElectionExists(definition.slug));
        }
        if self.elections.len() >= ELECTIONS_MAX {
            return Err(Rejection::TooManyElections(ELECTIONS_MAX));
        }
        let is_list = definition.eligibility == Eligibility::List;
        let fits = if is_list { (1..=ROLL_VOTERS_MAX).contains(&roll.len()) } else { roll.is_empty() };
        if !fits {
            return Err(Rejection::ListSize { max: ROLL_VOTERS_MAX });
        }
        let has_weights = roll.iter().all(|entry| entry.weight > 0);
        if !has_weights {
            return Err(Rejection::MalformedBallot("a weight is at least 1".to_owned()));
        }
        let roll = Roll::new(roll.to_vec()).ok_or(Rejection::VoterTwice)?;
        let facts = self.ledger.as_ref().ok_or(Rejection::Founding)?;
        let index =
            ElectionIndex(u32::try_from(self.elections.len()).expect("ELECTIONS_MAX fits in 32 bits"));
        let id = ElectionId::derive(facts.ledger, &definition.slug);
        self.by_slug.insert(definition.slug.clone(), index);
        self.elections.push(Election::new(index, id, definition, is_list.then(|| Arc::new(roll))));
        Ok(Event { kind: EventKind::Created, election: Some(index), acts: Vec::new() })
    }

    fn open(&mut self, slug: &Slug) -> Outcome {
        let now = self.now;
        let facts = self.ledger.clone().ok_or(Rejection::Founding)?;
        let election = self.find_mut(slug)?;
        let by = By::Officer;
        let json = match election.state {
            ElectionState::Draft => {
                if election.closes_at.is_some_and(|at| at <= now) {
                    return Err(Rejection::ClosesInThePast);
                }
                let mut signing = facts.signing();
                let first = signing.next().expect("an epoch begins with a key");
                election.opened_at = Some(now);
                election.epochs.push((facts.epoch, 0));
                Act::Opened {
                    at: now.to_string(),
                    by,
                    definition: hex32(&election.definition.hash()),
                    roll: hex32(&election.roll.as_ref().map_or([0; 32], |roll| roll.commitment())),
                    epoch: facts.epoch,
                    node: first.node,
                    key: &first.key,
                    rules: election.definition.rules,
                    nodes: signing.map(|more| NamedNode { node: more.node, key: &more.key }).collect(),
                }
                .to_json()
            }
            ElectionState::Paused => Act::Resumed { at: now.to_string(), by }.to_json(),
            _ => return Err(election.wrong_state("only a draft or a paused election can be opened")),
        };
        election.state = ElectionState::Open;
        Ok(election.acted(json))
    }

    fn pause(&mut self, slug: &Slug) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if election.state != ElectionState::Open {
            return Err(election.wrong_state("only an open election can be paused"));
        }
        election.state = ElectionState::Paused;
        Ok(election.acted(Act::Paused { at: now.to_string(), by: By::Officer }.to_json()))
    }

    fn close(&mut self, slug: &Slug) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if !election.is_running() {
            return Err(election.wrong_state("only an open or paused election can be closed"));
        }
        let act = election.close(now, CloseReason::Officer);
        Ok(Event { kind: EventKind::Acted, election: Some(election.index), acts: vec![act] })
    }

    fn deadline(&mut self, slug: &Slug) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if !election.is_running() {
            return Err(election.wrong_state("only an open or paused election can be closed"));
        }
        if election.closes_at.is_none_or(|at| now < at) {
            return Err(Rejection::DeadlineNotReached(slug.clone()));
        }
        let act = election.close(now, CloseReason::Deadline);
        Ok(Event { kind: EventKind::Acted, election: Some(election.index), acts: vec![act] })
    }

    fn extend(&mut self, slug: &Slug, closes_at: UnixMillis) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if !election.is_running() {
            return Err(election.wrong_state("only an open or paused election can be extended"));
        }
        if closes_at <= now {
            return Err(Rejection::ClosesInThePast);
        }
        election.closes_at = Some(closes_at);
        let closes_at = closes_at.to_string();
        Ok(election.acted(Act::Extended { at: now.to_string(), by: By::Officer, closes_at }.to_json()))
    }

    fn publish(&mut self, slug: &Slug) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if election.state != ElectionState::Closed {
            return Err(election.wrong_state("only a closed election can be published"));
        }
        if election.needs_draw() {
            return Err(election.wrong_state("a tie waits for its draw; draw the lot first"));
        }
        election.state = ElectionState::Published;
        let result = hex(&sha256(&[Results::of(election).to_json().as_bytes()]));
        Ok(election.acted(Act::Published { at: now.to_string(), by: By::Officer, result }.to_json()))
    }

    fn cancel(&mut self, slug: &Slug, reason: &str) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if !election.is_running() && election.state != ElectionState::Draft {
            return Err(election.wrong_state("only a draft or a running election can be cancelled"));
        }
        let was_draft = election.state == ElectionState::Draft;
        election.state = ElectionState::Cancelled;
        election.closed_at = Some(now);
        if was_draft {
            return Ok(Event { kind: EventKind::Acted, election: Some(election.index), acts: Vec::new() });
        }
        Ok(election.acted(Act::Cancelled { at: now.to_string(), by: By::Officer, reason }.to_json()))
    }

    fn draw_curtain(&mut self, slug: &Slug, curtain: Curtain) -> Outcome {
        let at = self.now.to_string();
        let election = self.find_mut(slug)?;
        if election.definition.results != ResultsMode::OnReveal {
            return Err(election.wrong_state(
                "its results follow their own rule; only those of `on-reveal` are revealed and hidden",
            ));
        }
        let by = By::Officer;
        let (act, hint) = match (election.state, curtain) {
            (ElectionState::Published, Curtain::Hidden) => {
                return Err(election.wrong_state("what is published cannot be hidden"));
            }
            (ElectionState::Published, Curtain::Revealed) => {
                return Err(election.wrong_state("its results are public already"));
            }
            (ElectionState::Draft | ElectionState::Cancelled, _) => {
                return Err(election.wrong_state("it has no results to show or to hide"));
            }
            (_, Curtain::Revealed) => (Act::Revealed { at, by }, "its results are revealed already"),
            (_, Curtain::Hidden) => (Act::Hidden { at, by }, "its results are hidden already"),
        };
        if election.curtain() == curtain {
            return Err(election.wrong_state(hint));
        }
        election.revealed = curtain == Curtain::Revealed;
        Ok(election.acted(act.to_json()))
    }

    fn draw(&mut self, slug: &Slug, source: DrawSource, seed: &str, closing_root: &str) -> Outcome {
        let now = self.now;
        let election = self.find_mut(slug)?;
        if election.state != ElectionState::Closed || !election.needs_draw() {
            return Err(Rejection::NothingToDraw(slug.clone()));
        }
        let is_policy = match election.definition.draw {
            Draw::Server => source == DrawSource::Server,
            Draw::Public => source == DrawSource::Public,
            Draw::None => false,
        };
        let (Some(seed_bytes), Some(root_bytes), true) = (from_hex(seed), from_hex(closing_root), is_policy)
        else {
            return Err(Rejection::NothingToDraw(slug.clone()));
        };
        election.draw = Some(Drawn { source, seed: seed_bytes, closing_root: root_bytes });
        let by = if source == DrawSource::Server { By::Rule } else { By::Officer };
        let (seed, closing_root) = (hex32(&seed_bytes), hex32(&root_bytes));
        let at = now.to_string();
        let act = Act::Drawn { at, by, source, seed: &seed, closing_root: &closing_root };
        Ok(election.acted(act.to_json()))
    }

    fn create_room(&mut self, room: Room) -> Outcome {
        if self.rooms.contains_key(&room.code) {
            return Err(Rejection::RoomExists(room.code.to_string()));
        }
        if self.rooms.len() >= ROOMS_MAX {
            return Err(Rejection::InvalidRoom("this server has reached its limit of rooms"));
        }
        if room.title.trim().is_empty() || room.title.chars().count() > crate::definition::TITLE_CHARS_MAX {
            return Err(Rejection::InvalidRoom("a room has a title of 1 to 300 characters"));
        }
        if room.elections.len() > ROOM_ELECTIONS_MAX {
            return Err(Rejection::InvalidRoom("a room has at most 200 elections"));
        }
        for slug in &room.elections {
            self.find_slug(slug)?;
        }
        self.rooms.insert(room.code.clone(), room);
        Ok(room_changed())
    }

    fn add_to_room(&mut self, code: &RoomCode, slug: &Slug) -> Outcome {
        self.find_slug(slug)?;
        let room = self.find_room(code)?;
        if room.elections.len() >= ROOM_ELECTIONS_MAX {
            return Err(Rejection::InvalidRoom("a room has at most 200 elections"));
        }
        if !room.elections.contains(slug) {
            room.elections.push(slug.clone());
        }
        Ok(room_changed())
    }

    fn show_screen(&mut self, code: &RoomCode, screen: &Screen) -> Outcome {
        if let Some(slug) = &screen.election {
            self.find_slug(slug)?;
        }
        let room = self.find_room(code)?;
        if screen.election.as_ref().is_some_and(|slug| !room.elections.contains(slug)) {
            return Err(Rejection::InvalidRoom("the room does not hold this election"));
        }
        if screen.election.is_none() && matches!(screen.show, Show::Election | Show::Results) {
            return Err(Rejection::InvalidRoom("name the election to show"));
        }
        room.screen = screen.clone();
        Ok(room_changed())
    }

    /// A second lock changes nothing: who joined before the first one stays in, who came since stays out.
    fn lock_room(&mut self, code: &RoomCode) -> Outcome {
        let now = self.now;
        let room = self.find_room(code)?;
        room.locked_at = room.locked_at.or(Some(now));
        Ok(room_changed())
    }

    fn unlock_room(&mut self, code: &RoomCode) -> Outcome {
        self.find_room(code)?.locked_at = None;
        Ok(room_changed())
    }

    fn remove_from_room(&mut self, code: &RoomCode, slug: &Slug) -> Outcome {
        let room = self.find_room(code)?;
        if !room.elections.contains(slug) {
            return Err(Rejection::InvalidRoom("the room does not hold this election"));
        }
        room.elections.retain(|held| held != slug);
        if room.screen.election.as_ref() == Some(slug) {
            room.screen = Screen { show: Show::Lobby, election: None };
        }
        Ok(room_changed())
    }

    fn find_room(&mut self, code: &RoomCode) -> Result<&mut Room, Rejection> {
        self.rooms.get_mut(code).ok_or_else(|| Rejection::NoSuchRoom(code.to_string()))
    }

    fn facts_mut(&mut self) -> Result<&mut LedgerFacts, Rejection> {
        self.ledger.as_mut().ok_or(Rejection::Founding)
    }

    fn find(&self, index: ElectionIndex) -> Result<&Election, Rejection> {
        self.election(index).ok_or_else(|| Rejection::NoSuchElection(index.0.to_string()))
    }

    fn find_slug(&self, slug: &Slug) -> Result<ElectionIndex, Rejection> {
        self.by_slug.get(slug).copied().ok_or_else(|| Rejection::NoSuchElection(slug.to_string()))
    }

    fn find_mut(&mut self, slug: &Slug) -> Result<&mut Election, Rejection> {
        let index = self.find_slug(slug)?;
        Ok(&mut self.elections[index.0 as usize])
    }

    pub(crate) fn from_parts(
        now: UnixMillis,
        ledger: Option<LedgerFacts>,
        elections: Vec<Election>,
        rooms: BTreeMap<RoomCode, Room>,
    ) -> Self {
        let by_slug = elections.iter().map(|e| (e.definition.slug.clone(), e.index)).collect();
        State { now, ledger, elections, by_slug, rooms }
    }
}

impl Election {
    fn new(index: ElectionIndex, id: ElectionId, definition: Definition, roll: Option<Arc<Roll>>) -> Self {
        let voted = match (definition.revote, definition.ballots_per_voter) {
            (Revote::LastCounts, _) => {
                Voted::LastCounts { last: Default::default(), keys: Default::default() }
            }
            (Revote::Forbid, 1) => Voted::once(),
            (Revote::Forbid, cap) => {
                Voted::Capped { cap, cast: Default::default(), keys: Default::default() }
            }
        };
        Election {
            index,
            id,
            state: ElectionState::Draft,
            closes_at: definition.closing.at,
            tally: Tally::new(&definition),
            definition: Arc::new(definition),
            roll,
            voted,
            draw: None,
            leaves: 0,
            ballots: 0,
            closing_size: None,
            epochs: Vec::new(),
            opened_at: None,
            closed_at: None,
            revealed: false,
        }
    }

    pub fn curtain(&self) -> Curtain {
        if self.revealed { Curtain::Revealed } else { Curtain::Hidden }
    }

    /// Open or paused.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ElectionState::Open | ElectionState::Paused)
    }

    /// Whether a tie waits for the lot.
    pub fn needs_draw(&self) -> bool {
        let is_pending = self.definition.draw != Draw::None && self.draw.is_none();
        let is_tie = |index| contest_outcome(self, index).kind == OutcomeKind::Tie;
        self.closing_size.is_some() && is_pending && (0..self.definition.contests.len()).any(is_tie)
    }

    /// Every check but the voter's own ballots.
    fn admit<'a>(&self, stamp: Hlc, cast: &Cast<'a>) -> Result<Admitted<'a>, Rejection> {
        if self.state != ElectionState::Open {
            return Err(Rejection::NotOpen { slug: self.definition.slug.clone(), state: self.state });
        }
        // Stamped before the opening, and logged after it: it arrived too early, whatever overtook it since.
        if self.opened_at.is_some_and(|at| stamp.wall() < at) {
            return Err(Rejection::NotOpen {
                slug: self.definition.slug.clone(),
                state: ElectionState::Draft,
            });
        }
        if let Some(closed_at) = self.closes_at.filter(|at| stamp.wall() > *at) {
            return Err(Rejection::DeadlinePassed { slug: self.definition.slug.clone(), closed_at });
        }
        let opening =
            Opening::parse(cast.opening).map_err(|error| Rejection::MalformedBallot(error.to_string()))?;
        let Extras { weight, group, click, .. } = opening.fields.extras;
        if opening.fields.election != self.id || opening.fields.shard != 0 || click.is_some() {
            return Err(Rejection::MalformedBallot("it was made for another election".to_owned()));
        }
        let Body::Answers(answers) = opening.body else {
            return Err(Rejection::MalformedBallot("this election takes plain answers".to_owned()));
        };
        answers::visit(&self.definition, answers, |_, _| {}, |_| {})
            .map_err(|error| Rejection::MalformedBallot(error.to_string()))?;
        self.check_roll(cast.number, &opening, weight, group)?;
        let voter = Voter { tag: opening.fields.voter, number: cast.number };
        Ok(Admitted { voter, opening, answers })
    }

    /// On the list the voter's number, tag, weight and group must agree; without one every weight is 1.
    fn check_roll(
        &self,
        number: Option<u64>,
        opening: &Opening<'_>,
        weight: u32,
        group: Option<u16>,
    ) -> Result<(), Rejection> {
        let Some(roll) = &self.roll else {
            if weight != 1 {
                return Err(Rejection::MalformedBallot("every ballot weighs 1 here".to_owned()));
            }
            let known = group.is_none_or(|group| usize::from(group) < self.definition.groups.len());
            return if known { Ok(()) } else { Err(Rejection::NoSuchGroup(group.unwrap_or(0).to_string())) };
        };
        let entry = number.and_then(|number| roll.entry(number));
        match entry {
            Some(entry) if entry.voter == opening.fields.voter => {
                if entry.weight == weight && entry.group == group {
                    Ok(())
                } else {
                    Err(Rejection::MalformedBallot("its weight or group is not the list's".to_owned()))
                }
            }
            _ => Err(Rejection::NotOnList(self.definition.slug.clone())),
        }
    }

    fn check_voter(&self, voter: &Voter, opening: &Opening<'_>) -> Result<(), Rejection> {
        if let Some(leaf) = self.voted.leaf_of_key(voter, opening.fields.key)
            && !is_off(Mutation::IdempotencyCheck)
        {
            return Err(Rejection::KeySeen(leaf));
        }
        if is_off(Mutation::VotedCheck) {
            return Ok(());
        }
        match &self.voted {
            Voted::Once { .. } if self.voted.ballots_of(voter) > 0 => Err(Rejection::AlreadyVoted),
            Voted::Capped { cap, .. } if self.voted.ballots_of(voter) >= *cap => {
                Err(Rejection::AllBallotsCast { cap: *cap })
            }
            _ => Ok(()),
        }
    }

    /// Notes that a voter has cast this ballot, if the voter still may; returns the leaf it replaces.
    fn record(
        &mut self,
        voter: &Voter,
        opening: &Opening<'_>,
        answers: &[u8],
        leaf: LeafIndex,
    ) -> Result<Option<LeafIndex>, Rejection> {
        let Extras { weight, group, .. } = opening.fields.extras;
        let key = opening.fields.key;
        // One look-up where one ballot a voter is allowed: the insertion itself tells.
        if let Voted::Once { numbers, tags } = &mut self.voted {
            let is_first = match voter.number {
                Some(number) => numbers.insert(number),
                None => tags.insert(voter.tag),
            };
            return if is_first || is_off(Mutation::VotedCheck) {
                Ok(None)
            } else {
                Err(Rejection::AlreadyVoted)
            };
        }
        self.check_voter(voter, opening)?;
        let mut replaces = None;
        let keys = match &mut self.voted {
            Voted::Once { .. } => unreachable!("handled above"),
            Voted::Capped { cast, keys, .. } => {
                *cast.entry(voter.tag).or_insert(0) += 1;
                keys
            }
            Voted::LastCounts { last, keys } => {
                let ballot = LastBallot { leaf, weight, group, answers: answers.into() };
                if let Some(earlier) = last.insert(voter.tag, ballot) {
                    self.tally.subtract(&self.definition, &earlier.answers, earlier.weight, earlier.group);
                    replaces = Some(earlier.leaf);
                }
                keys
            }
        };
        if !key.is_none() {
            keys.insert((voter.tag, key), leaf);
        }
        Ok(replaces)
    }

    fn all_have_voted(&self) -> bool {
        match self.definition.closing.after_voters {
            None => false,
            Some(AfterVoters::Number(number)) => self.voted.voters() >= number,
            Some(AfterVoters::All) => {
                self.roll.as_ref().is_some_and(|roll| self.voted.voters() >= roll.entries().len() as u64)
            }
        }
    }

    fn close(&mut self, now: UnixMillis, reason: CloseReason) -> ActLeaf {
        self.state = ElectionState::Closed;
        self.closed_at = Some(now);
        self.closing_size = Some(self.leaves + 1);
        self.add_act(act::closed(now, reason, self.tally.all.ballots, self.voted.voters()))
    }

    fn add_act(&mut self, json: String) -> ActLeaf {
        let leaf = LeafIndex(self.leaves);
        self.leaves += 1;
        ActLeaf { election: self.index, leaf, json }
    }

    fn acted(&mut self, json: String) -> Event {
        let act = self.add_act(json);
        Event { kind: EventKind::Acted, election: Some(self.index), acts: vec![act] }
    }

    fn wrong_state(&self, hint: &'static str) -> Rejection {
        Rejection::WrongState { slug: self.definition.slug.clone(), state: self.state, hint }
    }
}

fn ledger_changed(acts: Vec<ActLeaf>) -> Event {
    Event { kind: EventKind::LedgerChanged, election: None, acts }
}

fn room_changed() -> Event {
    Event { kind: EventKind::RoomChanged, election: None, acts: Vec::new() }
}
