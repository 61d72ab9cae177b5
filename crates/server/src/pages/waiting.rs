//! Where there is no ballot to fill in: who somebody is has to be asked first, or voting is not open.

use super::ballot::purpose;
use super::figures::{Head, Moment};
use super::session::{Followed, Session};
use super::{Shell, page};
use crate::input::Input;
use askama::Template;
use axum::response::Response;
use election::ElectionState;
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView};

#[derive(Template)]
#[template(path = "identify.html")]
struct IdentifyPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    form_token: String,
    is_wrong: bool,
    typed: &'a str,
}

#[derive(Template)]
#[template(path = "waiting.html")]
struct WaitingPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    follow: Followed,
    class: &'a str,
    sentence: String,
    closed: Option<Moment>,
    /// What became of the vote, if one was on its way.
    text: String,
    results: bool,
    has_receipt: bool,
    another: bool,
    form_token: String,
}

/// What somebody did who is told to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tried {
    Nothing,
    /// Sent answers, to check or to cast.
    Voting,
    /// As [`Tried::Voting`], with a ballot cast before.
    VotingAgain,
}

/// Asks for the id on the list. `wrong`: what was typed and is not on it.
pub fn identify(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    wrong: Option<&str>,
) -> Response {
    let slug = election.slug.as_str();
    let status = if wrong.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let identify = IdentifyPage {
        shell: Shell::of(input),
        head: Head::new(input.texts(), election, view),
        slug,
        form_token: session.form_token(&purpose(slug)),
        is_wrong: wrong.is_some(),
        typed: wrong.unwrap_or_default(),
    };
    page(status, &identify)
}

/// Says why there is no ballot, and whether a vote was cast.
pub fn waiting(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    tried: Tried,
) -> Response {
    let (class, sentence, text) = match view.state {
        ElectionState::Draft => ("", "waiting-draft", "waiting-draft-text"),
        ElectionState::Paused | ElectionState::Open => ("note-warn", "waiting-paused", "waiting-paused-text"),
        ElectionState::Cancelled => ("note-bad", "waiting-cancelled", "waiting-cancelled-text"),
        ElectionState::Closing | ElectionState::Closed | ElectionState::Published => {
            let text = match tried {
                Tried::Nothing => "no-vote-cast-here",
                Tried::Voting => "vote-not-cast",
                Tried::VotingAgain => "vote-not-cast-again",
            };
            ("note-bad", "waiting-closed", text)
        }
    };
    say(input, election, view, session, tried, [class, sentence, text])
}

/// Says that this browser came after joining was locked.
pub fn locked(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    tried: Tried,
) -> Response {
    let text = if tried == Tried::Nothing { "waiting-locked-text" } else { "vote-not-cast" };
    say(input, election, view, session, tried, ["note-warn", "waiting-locked", text])
}

fn say(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    tried: Tried,
    [class, sentence, text]: [&'static str; 3],
) -> Response {
    let t = input.texts();
    let slug = election.slug.as_str();
    let is_over = matches!(view.state, ElectionState::Closed | ElectionState::Published);
    let waiting = WaitingPage {
        shell: Shell::of(input),
        head: Head::new(t, election, view),
        slug,
        follow: Followed::of(input, election),
        class,
        sentence: t.say(sentence).into_owned(),
        closed: view.closed_at.filter(|_| is_over).map(|at| Moment::new(t, "closed-at", at)),
        text: t.say(text).into_owned(),
        results: is_over,
        has_receipt: tried == Tried::VotingAgain,
        another: input.app.config.demo && !is_over,
        form_token: session.form_token(&purpose(slug)),
    };
    let status = match tried {
        Tried::Nothing => StatusCode::OK,
        Tried::Voting | Tried::VotingAgain => StatusCode::CONFLICT,
    };
    page(status, &waiting)
}
