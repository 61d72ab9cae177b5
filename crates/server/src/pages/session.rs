//! Browser sessions: cookies in, voters out, and forms that only the session itself can have sent.

use super::ballot::events_of;
use super::{OrPage, Refusal};
use crate::api::elections::take_session;
use crate::api::evidence::read_problem;
use crate::app::{mailbox, with_edge};
use crate::cookies::Purpose;
use crate::input::{Form, Input};
use crate::problem::{self, Problem};
use election::Voter;
use election::definition::Eligibility;
use election::room::{Pace, Room, Show};
use hyper::header::HeaderValue;
use node::edge::ShownVoter;
use node::{CastReceipt, ElectionHandle};

/// Sessions of the pages are limited together, as those of one more election.
const PAGES: u64 = u64::MAX;
/// A receipt stays findable from the same browser for this long.
const VOTER_COOKIE_SECONDS: u64 = 30 * 24 * 3600;

/// A browser's session: its token, and the cookie to set if it is new.
#[derive(Debug)]
pub struct Session {
    pub token: String,
    pub cookie: Option<HeaderValue>,
}

impl Session {
    /// The session the browser shows, or a new one. Nothing is stored: the token carries its own proof.
    pub fn of(input: &Input) -> Result<Session, Refusal> {
        let app = &input.app;
        let shown = app.cookies.get(&input.headers, Purpose::Voter, input.caller.is_secure);
        if let Some(token) = shown.filter(|token| with_edge(|edge| edge.verify_session(token)).is_ok()) {
            return Ok(Session { token: token.to_owned(), cookie: None });
        }
        Self::new(input)
    }

    /// A new session, in the place of any other.
    pub fn new(input: &Input) -> Result<Session, Refusal> {
        take_session(&input.app, input.caller.address, PAGES).or_page(input)?;
        let token = with_edge(|edge| edge.new_session(None))
            .map_err(|rejection| Refusal::new(input, crate::views::rejection(&rejection)))?;
        let _ = input.new_voter.set(token.clone());
        let cookie =
            input.app.cookies.set(Purpose::Voter, input.caller.is_secure, &token, Some(VOTER_COOKIE_SECONDS));
        Ok(Session { token, cookie: Some(cookie) })
    }

    pub fn form_token(&self, purpose: &str) -> String {
        with_edge(|edge| edge.form_token(&self.token, purpose))
    }

    /// Refuses a form that this session was not served.
    pub fn check_form(&self, form: &Form, purpose: &str) -> Result<(), Problem> {
        let is_ours = self.cookie.is_none()
            && with_edge(|edge| edge.verify_form_token(form.get("form"), &self.token, purpose));
        if is_ours { Ok(()) } else { Err(forged()) }
    }
}

/// The answer to a form that may come from elsewhere.
pub fn forged() -> Problem {
    Problem::new(&problem::FORBIDDEN, "nothing was done")
}

/// Who votes in `election` with this browser: the session itself, or whom it entered from the list.
pub fn voter(input: &Input, session: &Session, election: &ElectionHandle) -> Option<Voter> {
    shown_voter(input, session, election).map(|shown| shown.voter)
}

/// As [`voter`], with the second at which the session began.
pub fn shown_voter(input: &Input, session: &Session, election: &ElectionHandle) -> Option<ShownVoter> {
    if election.definition.eligibility == Eligibility::Open {
        return with_edge(|edge| edge.verify_voter(&session.token, election)).ok();
    }
    let id = election.id.to_string();
    let token = input.app.cookies.get(&input.headers, Purpose::Listed(&id), input.caller.is_secure)?;
    with_edge(|edge| edge.verify_voter(token, election)).ok()
}

/// The room in which an officer leads from election to election, this one among them.
pub fn led_room(input: &Input, election: &ElectionHandle) -> Option<Room> {
    let directory = input.app.node.directory();
    let is_in = |room: &&Room| {
        let is_shown = room.screen.election.as_ref() == Some(&election.slug);
        room.pace == Pace::Led && (is_shown || room.elections.contains(&election.slug))
    };
    directory.rooms.values().find(is_in).cloned()
}

/// The feed that a page of somebody who waits follows: the election's own, or that of the room that is led.
#[derive(Debug)]
pub struct Followed {
    pub events: String,
    pub room: Option<FollowedRoom>,
}

#[derive(Debug)]
pub struct FollowedRoom {
    pub code: String,
    /// The election on the room's screen now; empty for none. The page goes along when another one comes.
    pub on_screen: String,
}

impl Followed {
    pub fn of(input: &Input, election: &ElectionHandle) -> Self {
        match led_room(input, election) {
            None => Followed { events: events_of(election.slug.as_str()), room: None },
            Some(room) => {
                let on_screen = room.screen.election.filter(|_| room.screen.show == Show::Election);
                Followed {
                    events: format!("/r/{}/events", room.code),
                    room: Some(FollowedRoom {
                        code: room.code.to_string(),
                        on_screen: on_screen.map_or_else(String::new, |slug| slug.to_string()),
                    }),
                }
            }
        }
    }
}

/// Receipts of the voter's ballots, oldest first.
pub fn receipts(
    input: &Input,
    election: &ElectionHandle,
    voter: &Voter,
) -> Result<Vec<CastReceipt>, Refusal> {
    let status = mailbox().voter(election, voter).map_err(|error| read_problem(&error)).or_page(input)?;
    Ok(status.receipts)
}
