//! Ways in: the code, the room behind it, and short links.

use super::figures::ElectionLine;
use super::session::{Session, forged, receipts, voter};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::views;
use askama::Template;
use election::ElectionState;
use election::room::{Pace, Room, RoomCode, Show};
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "home.html")]
struct HomePage<'a> {
    shell: Shell,
    problem: Option<&'a str>,
    typed: &'a str,
}

#[derive(Template)]
#[template(path = "room.html")]
struct RoomPage<'a> {
    shell: Shell,
    title: &'a str,
    code: &'a str,
    version: String,
    elections: Vec<ElectionLine>,
    another: bool,
    form_token: String,
}

pub async fn home(input: Input) -> Page {
    Ok(page(StatusCode::OK, &HomePage { shell: Shell::of(&input), problem: None, typed: "" }))
}

/// The form's way to a room: a typed code becomes its address.
pub async fn enter_code(input: Input) -> Page {
    let query = input.query(&["code"]).or_page(&input)?;
    let shell = Shell::of(&input);
    let Some(typed) = query.get("code") else {
        return Ok(page(StatusCode::OK, &HomePage { shell, problem: None, typed: "" }));
    };
    match views::room(&input.app, typed) {
        Ok(room) => Ok(see_other(&format!("/j/{}", room.code))),
        Err(_) => {
            let problem = Some("There is no room with this code. Look at the screen again.");
            Ok(page(StatusCode::NOT_FOUND, &HomePage { shell, problem, typed }))
        }
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
    let mut lines = room_lines(&input, &session, &room)?;
    mark_next(&room, &mut lines);
    if let [only] = &lines[..]
        && only.next
    {
        // One election: its ballot is one tap nearer.
        return Ok(with_cookie(see_other(&format!("/e/{}", only.slug)), session.cookie));
    }
    let code = room.code.as_str();
    let room_page = RoomPage {
        shell: Shell::of(&input),
        title: &room.title,
        code,
        version: views::room_version(&input.app, &room),
        elections: lines,
        another: input.app.config.demo,
        form_token: session.form_token(&purpose(&room.code)),
    };
    Ok(with_cookie(page(StatusCode::OK, &room_page), session.cookie))
}

fn purpose(code: &RoomCode) -> String {
    format!("j/{code}")
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

/// In a led room the election on the screen is next, else the first that is open and not voted in.
fn mark_next(room: &Room, lines: &mut [ElectionLine]) {
    let on_screen = match (room.pace, room.screen.show) {
        (Pace::Led, Show::Election) => room.screen.election.as_ref(),
        _ => None,
    };
    let is_open = |line: &ElectionLine| line.state_class == ElectionState::Open.as_str() && !line.voted;
    let next = on_screen
        .and_then(|slug| lines.iter().position(|line| line.slug == slug.as_str() && is_open(line)))
        .or_else(|| lines.iter().position(is_open));
    if let Some(place) = next {
        lines[place].next = true;
    }
}

/// Begins a new session, so that another person can vote on this device. For trying out alone.
pub async fn another(input: Input) -> Page {
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    if !input.app.config.demo {
        return Err(Refusal::new(&input, Problem::plain(&problem::NOT_FOUND)));
    }
    let session = Session::of(&input)?;
    let (input, form) = input.with_form().await?;
    if !input.is_same_origin() {
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
