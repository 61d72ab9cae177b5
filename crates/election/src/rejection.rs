//! Why a command is refused. A refusal is an outcome, not a fault.

use crate::answers::AnswerError;
use crate::definition::DefinitionError;
use crate::ids::{LeafIndex, Slug};
use crate::state::ElectionState;
use crate::time::UnixMillis;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    #[error("there is no election `{0}`")]
    NoSuchElection(String),
    #[error("an election `{0}` exists already; choose another slug")]
    ElectionExists(Slug),
    #[error("voting in `{slug}` is not open: it is {state}; the ballot was not cast")]
    NotOpen { slug: Slug, state: ElectionState },
    #[error("voting in `{slug}` closed at {closed_at}; the ballot was not cast")]
    DeadlinePassed { slug: Slug, closed_at: UnixMillis },
    #[error("this voter has voted already; the earlier ballot counts")]
    AlreadyVoted,
    #[error("this voter has cast all {cap} ballots allowed; the earlier ones count")]
    AllBallotsCast { cap: u16 },
    /// The voter's idempotency key stands for this leaf already.
    #[error("this request was answered before")]
    KeySeen(LeafIndex),
    #[error("this voter is not on the list of `{0}`")]
    NotOnList(Slug),
    #[error("`{0}` takes voters from its list only: ask for a session with a voter id")]
    ListOnly(Slug),
    #[error("the election has no group `{0}`")]
    NoSuchGroup(String),
    #[error(transparent)]
    Answers(#[from] AnswerError),
    #[error("the ballot cannot be read: {0}")]
    MalformedBallot(String),
    #[error(transparent)]
    Definition(#[from] DefinitionError),
    #[error("a voter stands on the list twice")]
    VoterTwice,
    #[error("a list has 1 to {max} voters, an open election none")]
    ListSize { max: usize },
    #[error("`{slug}` is {state}: {hint}")]
    WrongState { slug: Slug, state: ElectionState, hint: &'static str },
    #[error("the new closing time must be later than now")]
    ClosesInThePast,
    #[error("the deadline of `{0}` has not passed")]
    DeadlineNotReached(Slug),
    #[error("`{0}` has no tie to draw")]
    NothingToDraw(Slug),
    #[error("`{0}` needs no run-off: no contest for seats ended in a tie or without a majority")]
    NoRunOff(Slug),
    #[error("joining is locked; this session began after that and cannot vote in `{0}`")]
    RoomLocked(Slug),
    #[error("there is no room `{0}`")]
    NoSuchRoom(String),
    #[error("a room `{0}` exists already")]
    RoomExists(String),
    #[error("{0}")]
    InvalidRoom(&'static str),
    #[error("this server has reached its limit of {0} elections")]
    TooManyElections(usize),
    #[error("the ledger is founded already, or not yet")]
    Founding,
    #[error("epochs only grow")]
    EpochOrder,
    #[error(
        "node {0} signs with another key in this epoch; a node whose key is lost joins under a new number"
    )]
    NodeHasKey(u16),
    #[error("a node has a number from 1 to 65535, and a key of 64 lower-case hexadecimal digits")]
    MalformedNodeKey,
}

impl Rejection {
    /// Stable code for programs; listed in `docs/errors.md`.
    pub fn code(&self) -> &'static str {
        match self {
            Rejection::NoSuchElection(_) => "no_such_election",
            Rejection::ElectionExists(_) => "election_exists",
            Rejection::NotOpen { .. } | Rejection::DeadlinePassed { .. } => "election_not_open",
            Rejection::AlreadyVoted | Rejection::AllBallotsCast { .. } | Rejection::KeySeen(_) => {
                "already_voted"
            }
            Rejection::NotOnList(_) => "not_on_list",
            Rejection::ListOnly(_) => "list_only",
            Rejection::NoSuchGroup(_) => "no_such_group",
            Rejection::Answers(error) => error.code(),
            Rejection::MalformedBallot(_) => "invalid_ballot",
            Rejection::Definition(error) => error.code(),
            Rejection::VoterTwice | Rejection::ListSize { .. } => "invalid_definition",
            Rejection::WrongState { .. } => "wrong_state",
            Rejection::ClosesInThePast => "closes_in_the_past",
            Rejection::DeadlineNotReached(_) => "deadline_not_reached",
            Rejection::NothingToDraw(_) => "nothing_to_draw",
            Rejection::NoRunOff(_) => "no_run_off",
            Rejection::RoomLocked(_) => "room_locked",
            Rejection::NoSuchRoom(_) => "no_such_room",
            Rejection::RoomExists(_) => "room_exists",
            Rejection::InvalidRoom(_) => "invalid_room",
            Rejection::TooManyElections(_) => "too_many_elections",
            Rejection::Founding | Rejection::EpochOrder => "wrong_state",
            Rejection::NodeHasKey(_) => "node_has_key",
            Rejection::MalformedNodeKey => "invalid_node_key",
        }
    }

    /// The field at fault, where one is.
    pub fn field(&self) -> Option<String> {
        match self {
            Rejection::Answers(error) => Some(format!("choices.{}", error.contest())),
            Rejection::Definition(error) => Some(error.field().to_owned()),
            Rejection::NoSuchGroup(_) => Some("group".to_owned()),
            Rejection::VoterTwice | Rejection::ListSize { .. } => Some("voters".to_owned()),
            Rejection::ClosesInThePast => Some("closes_at".to_owned()),
            _ => None,
        }
    }
}
