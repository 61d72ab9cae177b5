//! `/admin`: a poll in under a minute, the rooms and the elections.

use super::super::figures::ElectionLine;
use super::super::{OrPage, Page, Shell, page};
use super::create::{KINDS, MAJORITIES, PollForm, RESULTS, TEMPLATES};
use super::login::login;
use super::{Done, Officer};
use crate::input::Input;
use crate::language::Texts;
use askama::Template;
use axum::response::Response;
use election::room::{Room, Screen, Show};
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage {
    shell: Shell,
    done: Option<Done>,
    alarms: Vec<String>,
    form_token: String,
    draft: PollForm,
    templates: Vec<Choice>,
    kinds: Vec<Choice>,
    results: Vec<Choice>,
    majorities: Vec<Choice>,
    in_rooms: Vec<Choice>,
    /// Unfolds what most polls leave as it is.
    is_particular: bool,
    pairing_code: Option<String>,
    pairing_text: String,
    elections: Vec<ElectionLine>,
    rooms: Vec<RoomLine>,
}

/// One of several, in a form or as a link.
pub struct Choice {
    pub value: String,
    pub name: String,
    pub chosen: bool,
}

pub struct RoomLine {
    pub code: String,
    pub title: String,
    pub shows: String,
    pub locked: bool,
}

/// What the page says besides its lists.
#[derive(Default)]
pub struct Said {
    pub done: Option<Done>,
    pub draft: Option<PollForm>,
    pub pairing_code: Option<String>,
}

/// The lists, or the login.
pub async fn front(input: Input) -> Page {
    let query = input.query(&["code", "template", "from", "room"]).or_page(&input)?;
    let Some(officer) = Officer::of(&input) else {
        return login(&input, None, query.get("code").unwrap_or_default());
    };
    let t = input.texts();
    let template = query.get("template").and_then(|name| PollForm::template(t, name));
    let from = query.get("from").and_then(|slug| input.app.node.election(slug));
    let like = from.and_then(|election| PollForm::like(&election.definition));
    let mut draft = template.or(like);
    if let Some(code) = query.get("room") {
        draft.get_or_insert_with(PollForm::empty).room = code.to_owned();
    }
    Ok(list(&input, &officer, Said { draft, ..Said::default() }))
}

pub fn list(input: &Input, officer: &Officer, said: Said) -> Response {
    let (app, t) = (&input.app, input.texts());
    let (directory, status) = (app.node.directory(), app.node.status());
    let mut alarms = Vec::new();
    if !status.clock_steady {
        alarms.push(t.say("alarm-clock").into_owned());
    }
    if status.storage_full {
        alarms.push(t.say("alarm-disk").into_owned());
    }
    let http = Done::status(said.done.as_ref(), StatusCode::UNPROCESSABLE_ENTITY);
    let draft = said.draft.unwrap_or_else(PollForm::empty);
    let choice = |value: &str, id: &str, chosen: &str| Choice {
        value: value.to_owned(),
        name: t.say(id).into_owned(),
        chosen: value == chosen,
    };
    let empty = PollForm::empty();
    let admin = AdminPage {
        shell: Shell::of(input),
        done: said.done,
        alarms,
        form_token: officer.form_token(),
        templates: TEMPLATES.iter().map(|name| choice(name, template_name(name), "")).collect(),
        kinds: KINDS.iter().map(|kind| choice(kind, kind_name(kind), &draft.kind)).collect(),
        results: RESULTS.iter().map(|mode| choice(mode, results_name(mode), &draft.results)).collect(),
        majorities: MAJORITIES
            .iter()
            .map(|share| choice(share, majority_name(share), &draft.majority))
            .collect(),
        in_rooms: directory
            .rooms
            .values()
            .map(|room| Choice {
                value: room.code.to_string(),
                name: format!("{} · {}", room.title, room.code),
                chosen: draft.room == room.code.as_str(),
            })
            .collect(),
        is_particular: draft.results != empty.results || !draft.after.is_empty() || !draft.minutes.is_empty(),
        draft,
        pairing_text: t.fill(
            "device-code",
            [
                ("address", format!("{}/admin", app.base_url).into()),
                ("n", u64::from(app.limits().pairing_code_minutes).into()),
            ],
        ),
        pairing_code: said.pairing_code,
        elections: directory.by_index.iter().rev().map(|e| ElectionLine::new(t, e, &e.view())).collect(),
        rooms: directory.rooms.values().map(|room| room_line(t, room)).collect(),
    };
    page(http, &admin)
}

fn template_name(name: &str) -> &'static str {
    match name {
        "yes-no" => "ready-yes-no",
        "feedback" => "ready-feedback",
        "pick-one" => "ready-pick-one",
        "dates" => "ready-dates",
        _ => "ready-motion",
    }
}

fn kind_name(kind: &str) -> &'static str {
    match kind {
        "yes-no" => "kind-yes-no",
        "choice" => "kind-choice",
        "approval" => "kind-approval",
        "rating" => "kind-rating",
        _ => "kind-motion",
    }
}

fn results_name(mode: &str) -> &'static str {
    match mode {
        "on-reveal" => "shown-on-reveal",
        "live" => "shown-live",
        "at-close" => "shown-at-close",
        "own-ballot" => "shown-own-ballot",
        _ => "shown-on-publish",
    }
}

fn majority_name(share: &str) -> &'static str {
    match share {
        ">1/2" => "majority-more-half",
        ">=1/2" => "majority-half",
        ">=3/5" => "majority-three-fifths",
        ">=2/3" => "majority-two-thirds",
        _ => "majority-three-quarters",
    }
}

pub fn room_line(t: Texts, room: &Room) -> RoomLine {
    RoomLine {
        code: room.code.to_string(),
        title: room.title.clone(),
        shows: shows_text(t, &room.screen),
        locked: room.locked_at.is_some(),
    }
}

/// What a room's screen shows, in a few words.
pub fn shows_text(t: Texts, screen: &Screen) -> String {
    let id = match screen.show {
        Show::Lobby => "shows-lobby",
        Show::Election => "shows-question",
        Show::Results => "shows-results",
        Show::Black => "shows-nothing",
    };
    t.say(id).into_owned()
}
