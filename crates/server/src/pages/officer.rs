//! Officers' pages: log in, a poll in under a minute, elections through their states, a room's screen.

use super::ballot::events_of;
use super::figures::{ContestTable, ElectionLine, Head, Turnout, contest_tables, rules, shown_sentence};
use super::screen::{code_grouped, join_address};
use super::session::{Session, forged};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::api::elections::definition_problem;
use crate::api::rooms::{add, show_screen};
use crate::app::{App, with_edge};
use crate::auth;
use crate::cookies::Purpose;
use crate::input::{Form, Input};
use crate::problem::{self, Problem};
use crate::views;
use askama::Template;
use axum::response::Response;
use election::definition::{Draw, RawChoice, RawChoose, RawContest, RawDefinition};
use election::room::{Pace, Room, RoomCode, Screen, Show};
use election::{ElectionState, Slug, UnixMillis, Viewer};
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView, OfficerRequest};
use std::sync::Arc;

/// Names tried for a quick poll whose first name is taken.
const SLUG_TRIES: u32 = 100;
const LOGIN: &str = "login";
const OFFICER: &str = "officer";

#[derive(Template)]
#[template(path = "admin_login.html")]
struct LoginPage<'a> {
    shell: Shell,
    fault: Option<&'a str>,
    token_allowed: bool,
    form_token: String,
    code: &'a str,
}

#[derive(Template)]
#[template(path = "admin.html")]
struct AdminPage<'a> {
    shell: Shell,
    done: Option<Done>,
    alarms: Vec<&'a str>,
    form_token: String,
    draft: Draft,
    pairing_code: Option<String>,
    pairing_minutes: u32,
    base: &'a str,
    elections: Vec<ElectionLine>,
    rooms: Vec<RoomLine>,
}

/// What an act came to, told once.
struct Done {
    class: &'static str,
    title: &'static str,
    text: String,
}

#[derive(Default)]
struct Draft {
    title: String,
    choices: String,
}

struct RoomLine {
    code: String,
    title: String,
    shows: String,
}

#[derive(Template)]
#[template(path = "admin_election.html")]
struct ElectionPage<'a> {
    shell: Shell,
    head: Head,
    done: Option<Done>,
    slug: &'a str,
    form_token: String,
    acts: Vec<ActForm>,
    base: &'a str,
    rooms: Vec<RoomLine>,
    events: String,
    turnout: Turnout,
    contests: Vec<ContestTable>,
    shown: String,
    rules: Vec<(String, String)>,
}

/// One thing that can be done now.
struct ActForm {
    name: &'static str,
    text: &'static str,
    button: &'static str,
    danger: bool,
    quiet: bool,
}

#[derive(Template)]
#[template(path = "admin_room.html")]
struct AdminRoomPage<'a> {
    shell: Shell,
    title: &'a str,
    done: Option<Done>,
    join_address: String,
    code: &'a str,
    code_grouped: String,
    base: &'a str,
    shows: String,
    screens: &'a [(&'a str, &'a str)],
    form_token: String,
    elections: Vec<RoomElectionLine>,
}

struct RoomElectionLine {
    slug: String,
    title: String,
    state: String,
    state_class: &'static str,
    voters: String,
    acts: Vec<ActForm>,
}

/// An officer's browser: its cookie, which its forms are bound to.
struct Officer {
    cookie: String,
}

impl Officer {
    fn of(input: &Input) -> Option<Officer> {
        let app = &input.app;
        let cookie = app.cookies.get(&input.headers, Purpose::Officer, input.caller.is_secure)?;
        app.officers.is_logged_in(cookie, app.now_ms()).then(|| Officer { cookie: cookie.to_owned() })
    }

    fn form_token(&self) -> String {
        with_edge(|edge| edge.form_token(&self.cookie, OFFICER))
    }

    /// The officer who posted a form, and the form, known to be from one of our pages.
    async fn posting(input: Input) -> Result<(Input, Officer, Form), Refusal> {
        let (input, form) = input.with_form().await?;
        let Some(officer) = Officer::of(&input) else {
            return Err(Refusal::new(&input, Problem::new(&problem::FORBIDDEN, "log in first")));
        };
        let is_ours = input.is_same_origin()
            && with_edge(|edge| edge.verify_form_token(form.get("form"), &officer.cookie, OFFICER));
        if is_ours { Ok((input, officer, form)) } else { Err(Refusal::new(&input, forged())) }
    }
}

/// The list of elections, or the login.
pub async fn front(input: Input) -> Page {
    let query = input.query(&["code"]).or_page(&input)?;
    match Officer::of(&input) {
        Some(officer) => Ok(list(&input, &officer, None, Draft::default(), None)),
        None => login(&input, None, query.get("code").unwrap_or_default()),
    }
}

/// The officer token may be typed over HTTPS, or on the server's own machine.
fn is_token_allowed(input: &Input) -> bool {
    input.caller.is_secure || input.caller.is_local
}

fn login(input: &Input, fault: Option<&str>, code: &str) -> Page {
    let session = Session::of(input)?;
    let login = LoginPage {
        shell: Shell::of(input),
        fault,
        token_allowed: is_token_allowed(input),
        form_token: session.form_token(LOGIN),
        code,
    };
    let status = if fault.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Ok(with_cookie(page(status, &login), session.cookie))
}

/// A login form that this browser was served.
async fn login_form(input: Input) -> Result<(Input, Form), Refusal> {
    let session = Session::of(&input)?;
    let (input, form) = input.with_form().await?;
    let is_ours = input.is_same_origin() && session.check_form(&form, LOGIN).is_ok();
    if is_ours { Ok((input, form)) } else { Err(Refusal::new(&input, forged())) }
}

pub async fn log_in(input: Input) -> Page {
    let (input, form) = login_form(input).await?;
    if !is_token_allowed(&input) {
        return login(&input, Some("Over this connection a pairing code is needed."), "");
    }
    match auth::check_officer_token(&input.app, form.get("token").trim()) {
        Ok(()) => Ok(begin(&input)),
        Err(problem) if problem.code == &problem::UNAUTHORIZED => {
            login(&input, Some("This is not the officer token."), "")
        }
        Err(problem) => Err(Refusal::new(&input, problem)),
    }
}

pub async fn pair(input: Input) -> Page {
    let (input, form) = login_form(input).await?;
    let app = &input.app;
    if app.officers.use_code(form.get("code"), app.now_ms()) {
        return Ok(begin(&input));
    }
    app.rates.logins.take(0, app.now_ms()).map_err(crate::ballots::rate_limited).or_page(&input)?;
    login(&input, Some("This code is wrong, used, or too old. Make a new one."), "")
}

/// Logs the browser in. The cookie is new at each login.
fn begin(input: &Input) -> Response {
    let app = &input.app;
    let cookie = app.officers.log_in(app.now_ms());
    let seconds = u64::from(app.limits().officer_session_hours) * 3600;
    let cookie = app.cookies.set(Purpose::Officer, input.caller.is_secure, &cookie, Some(seconds));
    with_cookie(see_other("/admin"), Some(cookie))
}

pub async fn log_out(input: Input) -> Page {
    let (input, officer, _) = Officer::posting(input).await?;
    input.app.officers.log_out(&officer.cookie);
    let cookie = input.app.cookies.remove(Purpose::Officer, input.caller.is_secure);
    Ok(with_cookie(see_other("/admin"), Some(cookie)))
}

pub async fn pairing_code(input: Input) -> Page {
    let (input, officer, _) = Officer::posting(input).await?;
    let code = input.app.officers.new_code(input.app.now_ms());
    Ok(list(&input, &officer, None, Draft::default(), Some(code)))
}

fn list(
    input: &Input,
    officer: &Officer,
    done: Option<Done>,
    draft: Draft,
    pairing_code: Option<String>,
) -> Response {
    let app = &input.app;
    let (directory, status) = (app.node.directory(), app.node.status());
    let mut alarms = Vec::new();
    if !status.clock_steady {
        alarms.push("The machine's clock made a step. Deadlines wait until it is confirmed with `hustings clock confirm`.");
    }
    if status.storage_full {
        alarms.push("The disk is full: votes are refused until there is space.");
    }
    let is_fault = done.as_ref().is_some_and(|done| done.class == "note-bad");
    let admin = AdminPage {
        shell: Shell::of(input),
        done,
        alarms,
        form_token: officer.form_token(),
        draft,
        pairing_code,
        pairing_minutes: app.limits().pairing_code_minutes,
        base: &app.base_url,
        elections: directory
            .by_index
            .iter()
            .rev()
            .map(|e| ElectionLine::new(input.texts(), e, &e.view()))
            .collect(),
        rooms: directory.rooms.values().map(room_line).collect(),
    };
    page(if is_fault { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK }, &admin)
}

fn room_line(room: &Room) -> RoomLine {
    RoomLine { code: room.code.to_string(), title: room.title.clone(), shows: shows_text(&room.screen) }
}

fn shows_text(screen: &Screen) -> String {
    let election = screen.election.as_ref().map_or_else(String::new, |slug| format!(" of {slug}"));
    match screen.show {
        Show::Lobby => "the lobby".to_owned(),
        Show::Election => format!("the question{election}"),
        Show::Results => format!("the results{election}"),
        Show::Black => "nothing".to_owned(),
    }
}

/// Makes a poll, opens it, gives it a room, and shows it on the room's screen.
pub async fn quick_poll(input: Input) -> Page {
    let (input, officer, form) = Officer::posting(input).await?;
    let draft = Draft { title: form.get("title").trim().to_owned(), choices: form.get("choices").to_owned() };
    match make_poll(&input.app, &form).await {
        Ok(code) => Ok(see_other(&format!("/admin/r/{code}"))),
        Err(problem) if problem.code.status < 500 => {
            let done = Done { class: "note-bad", title: "Not made.", text: problem.detail.into_owned() };
            Ok(list(&input, &officer, Some(done), draft, None))
        }
        Err(problem) => Err(Refusal::new(&input, problem)),
    }
}

async fn make_poll(app: &Arc<App>, form: &Form) -> Result<String, Problem> {
    let title = form.get("title").trim();
    let names = form.get("choices").lines().map(str::trim).filter(|name| !name.is_empty());
    let max = form.get("max").trim();
    let max: u16 = if max.is_empty() { 1 } else { max.parse().unwrap_or(0) };
    let results = Some(form.get("results").to_owned()).filter(|results| !results.is_empty());
    let contest = RawContest {
        id: Some("question".to_owned()),
        title: title.to_owned(),
        choose: Some(RawChoose { min: Some(0), max: Some(max) }),
        choices: names.map(|name| RawChoice::Name(name.to_owned())).collect(),
        ..RawContest::default()
    };
    let raw = RawDefinition {
        title: title.to_owned(),
        results,
        contest: vec![contest],
        ..RawDefinition::default()
    };
    let slug = create_with_free_slug(app, title, raw).await?;
    let act = |request| async move { app.node.act(request).await.map_err(|error| views::refusal(&error)) };
    act(OfficerRequest::Open(slug.clone())).await?;
    let request = OfficerRequest::CreateRoom {
        title: title.to_owned(),
        pace: Pace::Led,
        elections: vec![slug.clone()],
    };
    let code = act(request).await?.room.expect("making a room answers with its code");
    show_screen(app, code.clone(), Screen { show: Show::Election, election: Some(slug) }).await?;
    Ok(code.to_string())
}

/// Makes the election under a name made from its title, with a number behind it if that is taken.
async fn create_with_free_slug(app: &App, title: &str, raw: RawDefinition) -> Result<Slug, Problem> {
    let stem = election::ids::slugify(title).unwrap_or_else(|| "poll".to_owned());
    let stem: Slug = stem.parse().map_err(|_| Problem::plain(&problem::INTERNAL))?;
    for number in 1..=SLUG_TRIES {
        let slug = if number == 1 { stem.clone() } else { stem.with_suffix(&format!("-{number}")) };
        let raw = RawDefinition { slug: slug.to_string(), ..raw.clone() };
        let definition = raw.check().map_err(|error| definition_problem(&error))?;
        match app.node.act(OfficerRequest::Create(Box::new(definition), Vec::new())).await {
            Ok(_) => return Ok(slug),
            Err(error) if error.code() == "election_exists" => {}
            Err(error) => return Err(views::refusal(&error)),
        }
    }
    Err(Problem::new(&problem::ELECTION_EXISTS, "give the poll another title: this one is used up"))
}

pub async fn election(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let Some(officer) = Officer::of(&input) else { return login(&input, None, "") };
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let view = election.view();
    Ok(show_election(&input, &officer, &election, &view, None))
}

fn show_election(
    input: &Input,
    officer: &Officer,
    election: &ElectionHandle,
    view: &ElectionView,
    done: Option<Done>,
) -> Response {
    let (app, t) = (&input.app, input.texts());
    let directory = app.node.directory();
    let rooms = directory.rooms.values().filter(|room| room.elections.contains(&election.slug));
    let is_fault = done.as_ref().is_some_and(|done| done.class == "note-bad");
    let shown = ElectionPage {
        shell: Shell::of(input),
        head: Head::new(input.texts(), election, view),
        done,
        slug: election.slug.as_str(),
        form_token: officer.form_token(),
        acts: acts(election, view),
        base: &app.base_url,
        rooms: rooms.map(room_line).collect(),
        events: events_of(election.slug.as_str()),
        turnout: Turnout::new(t, &view.results),
        contests: contest_tables(t, election, view, Viewer::Officer),
        shown: shown_sentence(t, &election.definition),
        rules: rules(t, election),
    };
    page(if is_fault { StatusCode::CONFLICT } else { StatusCode::OK }, &shown)
}

/// What can be done now, as buttons. The node decides again when one is pressed.
fn acts(election: &ElectionHandle, view: &ElectionView) -> Vec<ActForm> {
    let act = |name, text, button| ActForm { name, text, button, danger: false, quiet: true };
    let danger = |name, text, button| ActForm { name, text, button, danger: true, quiet: false };
    let open =
        ActForm { quiet: false, ..act("open", "From opening on the definition is frozen.", "Open the vote") };
    let close = danger(
        "close",
        "Ends the vote at once and counts it. It cannot be opened again.",
        "Close the vote now",
    );
    let cancel = danger("cancel", "Ends the election without a result.", "Cancel the election");
    let extend = act("extend", "Sets a new closing time.", "Change the closing time");
    let publish = ActForm {
        quiet: false,
        ..act("publish", "Publishes the result with the record.", "Publish the result")
    };
    let draw =
        act("draw", "A tie waits for the lot: enter the seed from dice or the named source.", "Draw the lot");
    let repeat = act("repeat", "Makes round 2: the same question, a new election.", "Repeat as a new round");
    let rehearse = act("rehearse", "Makes a copy to try; nothing in it counts.", "Make a rehearsal");
    let is_open_to_all = election.roll.is_none();
    match view.state {
        ElectionState::Draft if is_open_to_all => vec![open, rehearse, cancel],
        ElectionState::Draft => vec![open, cancel],
        ElectionState::Open => {
            vec![
                close,
                act("pause", "Takes no votes until it is opened again.", "Pause the vote"),
                extend,
                cancel,
            ]
        }
        ElectionState::Paused => vec![
            ActForm { button: "Open the vote again", text: "Votes are taken again.", ..open },
            close,
            extend,
            cancel,
        ],
        ElectionState::Closing => vec![close],
        ElectionState::Closed if view.needs_draw && election.definition.draw == Draw::Public => vec![draw],
        ElectionState::Closed if is_open_to_all => vec![publish, repeat],
        ElectionState::Closed => vec![publish],
        ElectionState::Published if is_open_to_all => vec![repeat],
        ElectionState::Published | ElectionState::Cancelled => Vec::new(),
    }
}

/// One of [`acts`], done.
pub async fn act(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let name = input.param("act").to_owned();
    let (input, officer, form) = Officer::posting(input).await?;
    let slug = election.slug.clone();
    let request = match request_of(&name, slug, &form) {
        Ok(request) => request,
        Err(problem) if problem.code == &problem::NOT_FOUND => return Err(Refusal::new(&input, problem)),
        Err(problem) => return Ok(not_done(&input, &officer, &election, problem)),
    };
    match input.app.node.act(request).await {
        Ok(acted) => {
            let view = views::view_after(&election, &acted).await;
            if let Some(made) = acted.slug.filter(|made| *made != election.slug) {
                return Ok(see_other(&format!("/admin/e/{made}")));
            }
            if let Ok(code) = form.get("room").parse::<RoomCode>() {
                return Ok(see_other(&format!("/admin/r/{code}")));
            }
            let sentences = view.results.sentences();
            let done = match name.as_str() {
                "close" | "draw" => Done { class: "note-good", title: "Closed.", text: sentences.join(" ") },
                "publish" => Done { class: "note-good", title: "Published.", text: sentences.join(" ") },
                _ => return Ok(see_other(&format!("/admin/e/{}", election.slug))),
            };
            Ok(show_election(&input, &officer, &election, &view, Some(done)))
        }
        Err(error) => {
            let problem = views::refusal(&error);
            match problem.code.status {
                500.. => Err(Refusal::new(&input, problem)),
                _ => Ok(not_done(&input, &officer, &election, problem)),
            }
        }
    }
}

fn not_done(input: &Input, officer: &Officer, election: &ElectionHandle, problem: Problem) -> Response {
    let done = Done { class: "note-bad", title: "Not done.", text: problem.detail.into_owned() };
    show_election(input, officer, election, &election.view(), Some(done))
}

/// An act by the name of its form. What cannot be undone has to be confirmed.
fn request_of(name: &str, slug: Slug, form: &Form) -> Result<OfficerRequest, Problem> {
    let is_sure = || match form.get("sure") {
        "yes" => Ok(()),
        _ => Err(Problem::new(&problem::INVALID_VALUE, "Tick the box to say that you are sure.")),
    };
    match name {
        "open" => Ok(OfficerRequest::Open(slug)),
        "pause" => Ok(OfficerRequest::Pause(slug)),
        "close" => is_sure().map(|()| OfficerRequest::Close(slug)),
        "publish" => Ok(OfficerRequest::Publish(slug)),
        "cancel" => {
            let reason: String = form.get("reason").trim().chars().take(300).collect();
            is_sure().map(|()| OfficerRequest::Cancel(slug, reason))
        }
        "extend" => {
            let at = UnixMillis::parse_rfc3339(form.get("closes_at").trim());
            let at = at.ok_or_else(|| {
                Problem::new(&problem::INVALID_VALUE, "Write the time like 2027-03-01T18:00:00Z.")
            })?;
            Ok(OfficerRequest::Extend(slug, at))
        }
        "draw" => {
            let seed = election::from_hex::<32>(form.get("seed").trim());
            let seed = seed
                .ok_or_else(|| Problem::new(&problem::INVALID_VALUE, "A seed is 64 hexadecimal digits."))?;
            Ok(OfficerRequest::Draw(slug, seed))
        }
        "rehearse" => Ok(OfficerRequest::Rehearse(slug, Vec::new())),
        "repeat" => Ok(OfficerRequest::Repeat(slug, None, Vec::new())),
        _ => Err(Problem::plain(&problem::NOT_FOUND)),
    }
}

pub async fn room(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let Some(officer) = Officer::of(&input) else { return login(&input, None, "") };
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    Ok(show_room(&input, &officer, &room, None))
}

fn show_room(input: &Input, officer: &Officer, room: &Room, done: Option<Done>) -> Response {
    let app = &input.app;
    let line = |slug: &Slug| {
        let election = app.node.election(slug.as_str())?;
        let view = election.view();
        let line = ElectionLine::new(input.texts(), &election, &view);
        let quick =
            acts(&election, &view).into_iter().filter(|act| matches!(act.name, "open" | "pause" | "close"));
        let (slug, title, state, state_class, voters) =
            (line.slug, line.title, line.state, line.state_class, line.voters);
        Some(RoomElectionLine { slug, title, state, state_class, voters, acts: quick.collect() })
    };
    let is_fault = done.as_ref().is_some_and(|done| done.class == "note-bad");
    let shown = AdminRoomPage {
        shell: Shell::of(input),
        title: &room.title,
        done,
        join_address: join_address(app),
        code: room.code.as_str(),
        code_grouped: code_grouped(room),
        base: &app.base_url,
        shows: shows_text(&room.screen),
        screens: &[("lobby", "Show the lobby"), ("black", "Show nothing")],
        form_token: officer.form_token(),
        elections: room.elections.iter().filter_map(line).collect(),
    };
    page(if is_fault { StatusCode::CONFLICT } else { StatusCode::OK }, &shown)
}

pub async fn screen(input: Input) -> Page {
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    let (input, officer, form) = Officer::posting(input).await?;
    let show = match form.get("show") {
        "lobby" => Show::Lobby,
        "election" => Show::Election,
        "results" => Show::Results,
        "black" => Show::Black,
        _ => return Err(Refusal::new(&input, Problem::plain(&problem::INVALID_ROOM))),
    };
    let election = form.get("election").parse().ok();
    let outcome = show_screen(&input.app, room.code.clone(), Screen { show, election }).await;
    after_room_act(&input, &officer, &room, outcome)
}

pub async fn add_election(input: Input) -> Page {
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    let (input, officer, form) = Officer::posting(input).await?;
    let outcome = match form.get("slug").trim().parse::<Slug>() {
        Ok(slug) => add(&input.app, room.code.clone(), slug).await,
        Err(error) => Err(Problem::new(&problem::NO_SUCH_ELECTION, error.to_string())),
    };
    after_room_act(&input, &officer, &room, outcome)
}

fn after_room_act(input: &Input, officer: &Officer, room: &Room, outcome: Result<(), Problem>) -> Page {
    match outcome {
        Ok(()) => Ok(see_other(&format!("/admin/r/{}", room.code))),
        Err(problem) if problem.code.status < 500 => {
            let done = Done { class: "note-bad", title: "Not done.", text: problem.detail.into_owned() };
            Ok(show_room(input, officer, room, Some(done)))
        }
        Err(problem) => Err(Refusal::new(input, problem)),
    }
}
