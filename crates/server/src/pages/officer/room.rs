//! Leading a room: what its screen shows, the one thing to do next, and the list of its elections. One set of buttons,
//! on a desk's page and on a phone's.

use super::super::figures::{ContestTable, ElectionLine, Qr, contest_tables, shown_sentence, state_text};
use super::super::screen::{Progress, code_grouped, join_address, public_outcome};
use super::super::{OrPage, Page, Shell, page, see_other};
use super::create::start;
use super::election::{Fault, needs_run_off, perform};
use super::front::shows_text;
use super::login::login;
use super::{Done, Officer};
use crate::api::rooms::show_screen;
use crate::app::App;
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::problem::{self, Problem};
use crate::views;
use askama::Template;
use axum::response::Response;
use election::definition::ResultsMode;
use election::room::{Pace, Room, RoomCode, Screen, Show};
use election::{ElectionState, Shown, Slug, Viewer};
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView, OfficerRequest};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "admin_room.html")]
struct RoomPage<'a> {
    shell: Shell,
    done: Option<Done>,
    lead: Lead<'a>,
    elections: Vec<RoomElection>,
    /// Elections that are not in the room yet.
    others: Vec<(String, String)>,
    embeds: bool,
    qr: Option<Qr>,
}

#[derive(Template)]
#[template(path = "remote.html")]
struct RemotePage<'a> {
    shell: Shell,
    done: Option<Done>,
    lead: Lead<'a>,
}

/// What both pages lead by.
struct Lead<'a> {
    title: &'a str,
    code: &'a str,
    code_grouped: String,
    join_address: String,
    version: String,
    form_token: String,
    /// `room` or `remote`: where a button leads back to.
    back: &'static str,
    shows: String,
    connected: usize,
    locked: bool,
    pace: String,
    current: Option<Current>,
    /// `2 of 5`
    place: Option<String>,
    presses: Vec<Press>,
    /// The keys, for the list of them.
    keys: Vec<(&'static str, String)>,
}

/// The election on the screen, or behind a dark one.
struct Current {
    slug: String,
    title: String,
    state: String,
    state_word: &'static str,
    progress: Progress,
    closes_in_ms: Option<u64>,
    ballots: u64,
    contests: Vec<ContestTable>,
    is_for_officer_only: bool,
    is_rehearsal: bool,
    shown: String,
}

/// One button.
struct Press {
    act: &'static str,
    /// The election it acts on, so that a page that is a moment old never acts on another.
    election: String,
    button: String,
    /// A line below the button's words.
    hint: Option<String>,
    key: &'static str,
    class: &'static str,
    /// Asked once before it is done, and the words of the button that does it then.
    ask: Option<(String, String)>,
    is_possible: bool,
    /// For those that stay down, such as the lock.
    is_down: Option<bool>,
}

struct RoomElection {
    line: ElectionLine,
    on_screen: bool,
    has_results: bool,
    round: Option<String>,
}

pub async fn show(input: Input) -> Page {
    shown(input, "room").await
}

pub async fn remote(input: Input) -> Page {
    shown(input, "remote").await
}

async fn shown(input: Input, back: &'static str) -> Page {
    input.no_query().or_page(&input)?;
    let Some(officer) = Officer::of(&input) else { return login(&input, None, "") };
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    Ok(room_page(&input, &officer, &room, back, None))
}

fn room_page(
    input: &Input,
    officer: &Officer,
    room: &Room,
    back: &'static str,
    done: Option<Done>,
) -> Response {
    let (app, t) = (&input.app, input.texts());
    let status = Done::status(done.as_ref(), StatusCode::CONFLICT);
    let lead = lead(app, t, officer, room, back);
    if back == "remote" {
        return page(status, &RemotePage { shell: Shell::of(input), done, lead });
    }
    let in_room = room.elections.iter().filter_map(|slug| app.node.election(slug.as_str()));
    let directory = app.node.directory();
    let others = directory.by_index.iter().rev().filter(|election| !room.elections.contains(&election.slug));
    let room_page = RoomPage {
        shell: Shell::of(input),
        done,
        lead,
        elections: in_room.map(|election| room_election(t, room, &election)).collect(),
        others: others.map(|e| (e.slug.to_string(), e.definition.title.clone())).collect(),
        embeds: !app.config.embed_origins.is_empty(),
        qr: Qr::of(&format!("{}/j/{}", app.base_url, room.code)),
    };
    page(status, &room_page)
}

fn room_election(t: Texts, room: &Room, election: &ElectionHandle) -> RoomElection {
    let view = election.view();
    let round = election.definition.round;
    RoomElection {
        line: ElectionLine {
            outcome: public_outcome(t, election, &view),
            ..ElectionLine::new(t, election, &view)
        },
        on_screen: room.screen.election.as_ref() == Some(&election.slug),
        has_results: view.state != ElectionState::Draft,
        round: (round > 1).then(|| t.with("round", "n", u64::from(round))),
    }
}

fn lead<'a>(app: &App, t: Texts, officer: &Officer, room: &'a Room, back: &'static str) -> Lead<'a> {
    let place = place(room);
    Lead {
        title: &room.title,
        code: room.code.as_str(),
        code_grouped: code_grouped(room),
        join_address: join_address(app),
        version: views::room_version(app, room),
        form_token: officer.form_token(),
        back,
        shows: shows_text(t, &room.screen),
        connected: app.present.count(&room.code),
        locked: room.locked_at.is_some(),
        pace: t.say(if room.pace == Pace::Led { "pace-led" } else { "pace-own" }).into_owned(),
        current: at(app, room, place).map(|election| current(app, t, &election)),
        place: place.map(|place| {
            t.fill("place-of", [("n", (place + 1).into()), ("count", room.elections.len().into())])
        }),
        presses: presses(app, t, room),
        keys: [
            ("→", "key-next"),
            ("←", "key-previous"),
            ("S", "key-start"),
            ("P", "key-pause"),
            ("C", "key-close"),
            ("R", "key-reveal"),
            ("B", "key-black"),
            ("L", "key-lock"),
            ("?", "key-help"),
        ]
        .map(|(key, id)| (key, t.say(id).into_owned()))
        .to_vec(),
    }
}

/// Where in the room's order the screen is.
fn place(room: &Room) -> Option<usize> {
    let slug = room.screen.election.as_ref()?;
    room.elections.iter().position(|held| held == slug)
}

fn at(app: &App, room: &Room, place: Option<usize>) -> Option<Arc<ElectionHandle>> {
    app.node.election(room.elections.get(place?)?.as_str())
}

fn current(app: &App, t: Texts, election: &ElectionHandle) -> Current {
    let view = election.view();
    let contests = contest_tables(t, election, &view, Viewer::Officer);
    let is_public = views::shown(election, &view, Viewer::Public) == Shown::Counts;
    let takes_votes = view.state == ElectionState::Open;
    Current {
        slug: election.slug.to_string(),
        title: election.definition.title.clone(),
        state: state_text(t, view.state, None),
        state_word: view.state.as_str(),
        progress: Progress::of(t, election, &view),
        closes_in_ms: view.closes_at.filter(|_| takes_votes).map(|at| at.0.saturating_sub(app.node.now().0)),
        ballots: view.results.ballots,
        is_for_officer_only: !contests.is_empty() && !is_public,
        contests,
        is_rehearsal: election.definition.is_rehearsal(),
        shown: shown_sentence(t, &election.definition),
    }
}

/// Whether the screen shows, or would show, counts of this election.
fn is_revealed(room: &Room, election: &ElectionHandle, view: &ElectionView) -> bool {
    let is_public = views::shown(election, view, Viewer::Public) == Shown::Counts;
    is_public && room.screen.show == Show::Results
}

/// The buttons of this moment, in a fixed order, so that a thumb finds them without looking.
fn presses(app: &App, t: Texts, room: &Room) -> Vec<Press> {
    let place = place(room);
    let next_place = place.map_or(0, |place| place + 1);
    let (here, next) = (at(app, room, place), at(app, room, Some(next_place)));
    let press = |act, id: &str, key, election: Option<&ElectionHandle>| Press {
        act,
        election: election.map_or_else(String::new, |election| election.slug.to_string()),
        button: t.say(id).into_owned(),
        hint: None,
        key,
        class: "quiet",
        ask: None,
        is_possible: election.is_some(),
        is_down: None,
    };
    let title =
        |election: &Option<Arc<ElectionHandle>>| election.as_ref().map(|e| e.definition.title.clone());
    let previous = Press {
        is_possible: place.is_some(),
        hint: match place {
            Some(0) | None => Some(t.say("shows-lobby").into_owned()),
            Some(place) => title(&at(app, room, Some(place - 1))),
        },
        ..press("previous", "press-previous", "ArrowLeft", here.as_deref())
    };
    let next_press = Press {
        is_possible: next.is_some(),
        hint: title(&next),
        ..press("next", "press-next", "ArrowRight", here.as_deref())
    };
    let state = here.as_ref().map(|election| election.view().state);
    // Started is what is shown; where that is over or nothing is shown, what comes next.
    let starts_here = matches!(state, Some(ElectionState::Draft | ElectionState::Paused));
    let to_start = if starts_here { here.as_deref() } else { next.as_deref() };
    let can_start = to_start.is_some_and(|election| {
        matches!(election.view().state, ElectionState::Draft | ElectionState::Paused)
    });
    let runs = matches!(state, Some(ElectionState::Open | ElectionState::Paused));
    let is_paused = state == Some(ElectionState::Paused);
    let start = Press {
        is_possible: can_start && (starts_here || !runs),
        hint: to_start.filter(|_| !starts_here && can_start && !runs).map(|e| e.definition.title.clone()),
        ..press("start", if is_paused { "press-resume" } else { "press-start" }, "s", to_start)
    };
    let pause = Press {
        is_possible: state == Some(ElectionState::Open),
        ..press("pause", "press-pause", "p", here.as_deref())
    };
    let close = Press {
        is_possible: runs,
        class: "danger",
        ask: Some((t.say("act-close-ask").into_owned(), t.say("act-close").into_owned())),
        ..press("close", "press-close", "c", here.as_deref())
    };
    let curtain = curtain(t, room, here.as_deref(), press("reveal", "press-reveal", "r", here.as_deref()));
    let is_over = matches!(state, Some(ElectionState::Closed | ElectionState::Published));
    // One of them is the next thing to do: start, close, show the results, run off, go on.
    let run_off = here.as_deref().filter(|election| needs_run_off(election, &election.view()));
    let lead = match (is_over, runs) {
        (true, _) if curtain.act == "reveal" && curtain.is_possible => "reveal",
        (true, _) if run_off.is_some() => "run-off",
        (_, true) => "close",
        _ if start.is_possible => "start",
        _ => "next",
    };
    let mut presses = vec![previous, next_press, start, pause, close, curtain];
    if let Some(election) = run_off {
        let hint = t.say("press-run-off-hint").into_owned();
        presses.push(Press { hint: Some(hint), ..press("run-off", "press-run-off", "", Some(election)) });
    }
    if let Some(election) = here.as_deref().filter(|election| is_over && election.roll.is_none()) {
        let ask = Some((t.say("act-repeat-ask").into_owned(), t.say("act-repeat").into_owned()));
        presses.push(Press { ask, ..press("repeat", "press-repeat", "", Some(election)) });
    }
    for press in presses.iter_mut().filter(|press| press.act == lead && press.class == "quiet") {
        press.class = "primary";
    }
    let is_black = room.screen.show == Show::Black;
    let is_locked = room.locked_at.is_some();
    presses.push(Press {
        is_possible: true,
        is_down: Some(is_black),
        ..press("black", if is_black { "press-light" } else { "press-black" }, "b", here.as_deref())
    });
    presses.push(Press {
        is_possible: true,
        is_down: Some(is_locked),
        ..press(
            if is_locked { "unlock" } else { "lock" },
            if is_locked { "press-unlock" } else { "press-lock" },
            "l",
            None,
        )
    });
    presses.push(Press {
        is_possible: room.screen.show != Show::Lobby,
        ..press("lobby", "press-lobby", "", here.as_deref())
    });
    for press in presses.iter_mut().filter(|press| !press.is_possible) {
        press.ask = None;
    }
    presses
}

/// Reveal or hide again: the officer's act where results wait for it, and the screen in any case.
fn curtain(t: Texts, room: &Room, here: Option<&ElectionHandle>, reveal: Press) -> Press {
    let Some(election) = here else { return reveal };
    let view = election.view();
    let waits_for_officer = election.definition.results == ResultsMode::OnReveal;
    let has_begun = !matches!(view.state, ElectionState::Draft | ElectionState::Cancelled);
    if is_revealed(room, election, &view) {
        let button = t.say("press-hide").into_owned();
        return Press { act: "hide", button, is_possible: true, ..reveal };
    }
    let is_public = views::shown(election, &view, Viewer::Public) == Shown::Counts;
    let is_possible = is_public || (waits_for_officer && has_begun);
    let hint = (!is_possible && has_begun).then(|| shown_sentence(t, &election.definition));
    Press { is_possible, hint, ..reveal }
}

/// One of [`presses`], done.
pub async fn act(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    let name = input.param("act").to_owned();
    let (input, officer, form) = Officer::posting(input).await?;
    let back = if form.get("back") == "remote" { "remote" } else { "room" };
    let done = match press(&input.app, input.texts(), &room, &name, &form).await {
        Ok(()) => {
            let end = if back == "remote" { "/remote" } else { "" };
            return Ok(see_other(&format!("/admin/r/{}{end}", room.code)));
        }
        Err(fault) => fault.on_page(&input)?,
    };
    let room = views::room(&input.app, room.code.as_str()).or_page(&input)?;
    Ok(room_page(&input, &officer, &room, back, Some(done)))
}

/// Does what a button says.
async fn press(app: &App, t: Texts, room: &Room, name: &str, form: &Form) -> Result<(), Fault> {
    let slug = form.get("election").parse::<Slug>().ok();
    let nothing = || Fault::from(Problem::plain(&problem::NOT_FOUND));
    let election = || slug.as_ref().and_then(|slug| app.node.election(slug.as_str())).ok_or_else(nothing);
    let code = room.code.clone();
    let request = match name {
        "next" | "previous" | "lobby" | "black" | "screen" => {
            let screen = screen_after(app, room, name, slug, form).ok_or_else(nothing)?;
            OfficerRequest::ShowScreen { code, screen }
        }
        "lock" => OfficerRequest::LockRoom(code),
        "unlock" => OfficerRequest::UnlockRoom(code),
        "remove" => OfficerRequest::RemoveFromRoom { code, slug: slug.ok_or_else(nothing)? },
        "elections" => {
            let slug = form.get("slug").trim().parse::<Slug>();
            let slug = slug.map_err(|error| Problem::new(&problem::INVALID_ROOM, error.to_string()))?;
            OfficerRequest::AddToRoom { code, slug }
        }
        "start" => return Ok(start(app, &room.code, &election()?.slug).await?),
        "reveal" | "hide" => return Ok(draw_curtain(app, &room.code, &*election()?, name == "reveal").await?),
        "pause" | "close" | "run-off" | "repeat" | "extend" => {
            perform(app, t, &*election()?, name, form).await?;
            return Ok(());
        }
        _ => return Err(nothing()),
    };
    app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    Ok(())
}

/// What the screen shows after a button; `None` if there is no such thing.
fn screen_after(app: &App, room: &Room, name: &str, from: Option<Slug>, form: &Form) -> Option<Screen> {
    // Counted from where the page was when the button was pressed: twice in a hurry goes one further, not two.
    let place = from.as_ref().and_then(|slug| room.elections.iter().position(|held| held == slug));
    let question = |place: usize| {
        let slug = room.elections.get(place)?.clone();
        Some(Screen { show: Show::Election, election: Some(slug) })
    };
    match name {
        "next" => question(place.map_or(0, |place| place + 1)),
        "previous" => match place {
            None | Some(0) => Some(Screen { show: Show::Lobby, election: None }),
            Some(place) => question(place - 1),
        },
        "lobby" => Some(Screen { show: Show::Lobby, election: None }),
        "black" if room.screen.show == Show::Black => Some(lit_again(app, room)),
        "black" => Some(Screen { show: Show::Black, election: room.screen.election.clone() }),
        _ => {
            let show = match form.get("show") {
                "lobby" => Show::Lobby,
                "election" => Show::Election,
                "results" => Show::Results,
                "black" => Show::Black,
                _ => return None,
            };
            Some(Screen { show, election: from })
        }
    }
}

/// What was behind a dark screen: counts that were shown on purpose, else the question, else the lobby. Counts that
/// nobody has seen yet never come up with the light.
fn lit_again(app: &App, room: &Room) -> Screen {
    let Some(election) = at(app, room, place(room)) else {
        return Screen { show: Show::Lobby, election: None };
    };
    let view = election.view();
    let was_shown = match election.definition.results {
        ResultsMode::OnReveal => view.revealed,
        ResultsMode::Live => view.state == ElectionState::Open,
        _ => false,
    };
    let show = if was_shown { Show::Results } else { Show::Election };
    Screen { show, election: Some(election.slug.clone()) }
}

async fn draw_curtain(
    app: &App,
    code: &RoomCode,
    election: &ElectionHandle,
    reveals: bool,
) -> Result<(), Problem> {
    let view = election.view();
    let waits_for_officer = election.definition.results == ResultsMode::OnReveal;
    if waits_for_officer && view.revealed != reveals && view.state != ElectionState::Published {
        let slug = election.slug.clone();
        let request = if reveals { OfficerRequest::Reveal(slug) } else { OfficerRequest::Hide(slug) };
        let acted = app.node.act(request).await.map_err(|error| views::refusal(&error))?;
        views::view_after(election, &acted).await;
    }
    let show = if reveals { Show::Results } else { Show::Election };
    show_screen(app, code.clone(), Screen { show, election: Some(election.slug.clone()) }).await
}
