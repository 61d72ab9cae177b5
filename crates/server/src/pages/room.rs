//! Ways in: the code, the room behind it, and short links.

use super::figures::ElectionLine;
use super::session::{Session, forged, receipts, shown_voter, voter};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::views;
use askama::Template;
use election::definition::Eligibility;
use election::room::{Pace, Room, RoomCode, Show};
use hyper::StatusCode;
use node::ElectionHandle;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    shell: Shell,
    is_unknown: bool,
    typed: &'a str,
}

#[derive(Template)]
#[template(path = "room.html")]
struct RoomPage<'a> {
    shell: Shell,
    title: &'a str,
    code: &'a str,
    version: String,
    /// With own pace, or in a led room's lobby: nothing.
    elections: Vec<ElectionLine>,
    /// In a led room: what there is to wait for.
    waiting: Option<Waiting>,
    another: bool,
    form_token: String,
}

/// A voter of a led room between two questions.
struct Waiting {
    /// The election on the screen, if there is one.
    election: Option<ElectionLine>,
}

#[derive(Template)]
#[template(path = "locked.html")]
struct LockedPage<'a> {
    shell: Shell,
    title: &'a str,
    code: &'a str,
    version: String,
}

pub async fn home(input: Input) -> Page {
    Ok(page(StatusCode::OK, &HomePage { shell: Shell::of(&input), is_unknown: false, typed: "" }))
}

/// The form's way to a room: a typed code becomes its address.
pub async fn enter_code(input: Input) -> Page {
    let query = input.query(&["code"]).or_page(&input)?;
    let shell = Shell::of(&input);
    let Some(typed) = query.get("code") else {
        return Ok(page(StatusCode::OK, &HomePage { shell, is_unknown: false, typed: "" }));
    };
    match views::room(&input.app, typed) {
        Ok(room) => Ok(see_other(&format!("/j/{}", room.code))),
        Err(_) => Ok(page(StatusCode::NOT_FOUND, &HomePage { shell, is_unknown: true, typed })),
    }
}

pub async fn join(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let typed = input.param("code").to_owned();
    let room = views::room(&input.app, &typed).or_page(&input)?;
    if room.code.as_str() != typed {
        return Ok(see_other(&format!("/j/{}", room.code)));
    }
    let session = Session::of(&input)?;
    if is_kept_out(&input, &session, &room) {
        let locked = LockedPage {
            shell: Shell::of(&input),
            title: &room.title,
            code: room.code.as_str(),
            version: views::room_version(&input.app, &room),
        };
        return Ok(page(StatusCode::FORBIDDEN, &locked));
    }
    let mut lines = room_lines(&input, &session, &room)?;
    mark_next(&room, &mut lines);
    let to_vote_in = match room.pace {
        Pace::Led => lines.iter().find(|line| line.next),
        // One election: its ballot is one tap nearer.
        Pace::Own => lines.first().filter(|only| only.next && room.elections.len() == 1),
    };
    if let Some(line) = to_vote_in {
        return Ok(with_cookie(see_other(&format!("/e/{}", line.slug)), session.cookie));
    }
    let waiting = (room.pace == Pace::Led).then(|| Waiting { election: on_screen(&room, &mut lines) });
    let room_page = RoomPage {
        shell: Shell::of(&input),
        title: &room.title,
        code: room.code.as_str(),
        version: views::room_version(&input.app, &room),
        elections: lines,
        waiting,
        another: input.app.config.demo,
        form_token: session.form_token(&purpose(&room.code)),
    };
    Ok(with_cookie(page(StatusCode::OK, &room_page), session.cookie))
}

fn purpose(code: &RoomCode) -> String {
    format!("j/{code}")
}

/// Whether this browser came after the room was locked. It is told here, before it fills in a ballot that would be
/// refused; lists have their own door.
fn is_kept_out(input: &Input, session: &Session, room: &Room) -> bool {
    if room.locked_at.is_none() {
        return false;
    }
    let elections = || room.elections.iter().filter_map(|slug| input.app.node.election(slug.as_str()));
    if elections().any(|election| election.definition.eligibility == Eligibility::List) {
        return false;
    }
    let is_late = |election: &ElectionHandle| {
        shown_voter(input, session, election).is_none_or(|shown| election.admits(shown.issued).is_err())
    };
    session.cookie.is_some() || elections().any(|election| is_late(&election))
}

fn room_lines(input: &Input, session: &Session, room: &Room) -> Result<Vec<ElectionLine>, Refusal> {
    let mut lines = Vec::with_capacity(room.elections.len());
    for slug in &room.elections {
        let Some(election) = input.app.node.election(slug.as_str()) else { continue };
        let mut line = ElectionLine::new(input.texts(), &election, &election.view());
        if let Some(voter) = voter(input, session, &election) {
            line.voted = !receipts(input, &election, &voter)?.is_empty();
        }
        lines.push(line);
    }
    Ok(lines)
}

/// In a led room the election on the screen is next, else the first; if it is open and not voted in.
fn mark_next(room: &Room, lines: &mut [ElectionLine]) {
    let is_open = |line: &ElectionLine| line.open && !line.voted;
    let next = match room.pace {
        Pace::Own => lines.iter().position(is_open),
        Pace::Led => {
            let shown = room.screen.election.as_ref().filter(|_| room.screen.show != Show::Lobby);
            shown.and_then(|slug| lines.iter().position(|line| line.slug == slug.as_str() && is_open(line)))
        }
    };
    if let Some(place) = next {
        lines[place].next = true;
    }
}

/// Takes the election on the screen out of `lines`.
fn on_screen(room: &Room, lines: &mut Vec<ElectionLine>) -> Option<ElectionLine> {
    let slug = room.screen.election.as_ref().filter(|_| room.screen.show != Show::Lobby)?;
    let place = lines.iter().position(|line| line.slug == slug.as_str())?;
    Some(lines.swap_remove(place))
}

/// Begins a new session, so that another person can vote on this device. For trying out alone.
pub async fn another(input: Input) -> Page {
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    if !input.app.config.demo {
        return Err(Refusal::new(&input, Problem::plain(&problem::NOT_FOUND)));
    }
    let session = Session::of(&input)?;
    let (input, form) = input.with_form().await?;
    if !input.is_own_page() {
        return Err(Refusal::new(&input, forged()));
    }
    session.check_form(&form, &purpose(&room.code)).or_page(&input)?;
    let fresh = Session::new(&input)?;
    Ok(with_cookie(see_other(&format!("/j/{}", room.code)), fresh.cookie))
}

/// `/poll/1`: the first election of the room that was set up, and so on.
pub async fn poll(input: Input) -> Page {
    let directory = input.app.node.directory();
    let room = match &input.app.config.default_room {
        Some(code) => directory.rooms.get(code),
        None => directory.rooms.values().next(),
    };
    let number: usize = input.param("number").parse().unwrap_or(0);
    let slug = room.and_then(|room| room.elections.get(number.checked_sub(1)?));
    match slug {
        Some(slug) => Ok(see_other(&format!("/e/{slug}"))),
        None => Err(Refusal::new(&input, Problem::plain(&problem::NOT_FOUND))),
    }
}
