//! One election through its states: the one thing to do next, what else can be done, figures and results.

use super::super::ballot::events_of;
use super::super::figures::{
    ContestTable, Head, Turnout, contest_tables, rules, sentences, shown_sentence, time_text,
};
use super::super::screen::Progress;
use super::super::{OrPage, Page, Refusal, Shell, page, see_other};
use super::create::{PollForm, duplicate, start};
use super::front::{RoomLine, room_line};
use super::login::login;
use super::{Done, Officer, on_page};
use crate::api::rooms::{add, show_screen};
use crate::app::App;
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::problem::{self, Problem};
use crate::views;
use askama::Template;
use axum::response::Response;
use election::definition::{Draw, ResultsMode};
use election::room::{RoomCode, Screen, Show};
use election::{ElectionState, Shown, Slug, UnixMillis, Viewer};
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView, OfficerRequest};

const REASON_CHARS_MAX: usize = 300;
const MINUTES_MAX: u64 = 60 * 24 * 365;

#[derive(Template)]
#[template(path = "admin_election.html")]
struct ElectionPage<'a> {
    shell: Shell,
    head: Head,
    done: Option<Done>,
    slug: &'a str,
    form_token: String,
    acts: Vec<Act>,
    more: Vec<Act>,
    /// Where the form can hold all of it.
    copy_link: bool,
    now: String,
    base: &'a str,
    rooms: Vec<RoomLine>,
    events: String,
    progress: Progress,
    turnout: Turnout,
    closes_in_ms: Option<u64>,
    contests: Vec<ContestTable>,
    /// The officer sees counts that the public does not.
    is_for_officer_only: bool,
    shown: String,
    rules: Vec<(String, String)>,
}

/// One thing that can be done now.
pub struct Act {
    pub name: &'static str,
    pub button: String,
    /// What it does.
    pub text: String,
    /// The one that comes next.
    pub is_primary: bool,
    /// Asked once before it is done; what cannot be undone.
    pub ask: Option<String>,
    pub is_danger: bool,
}

pub async fn show(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let Some(officer) = Officer::of(&input) else { return login(&input, None, "") };
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let view = election.view();
    Ok(election_page(&input, &officer, &election, &view, None))
}

fn election_page(
    input: &Input,
    officer: &Officer,
    election: &ElectionHandle,
    view: &ElectionView,
    done: Option<Done>,
) -> Response {
    let (app, t) = (&input.app, input.texts());
    let directory = app.node.directory();
    let rooms = directory.rooms.values().filter(|room| room.elections.contains(&election.slug));
    let status = Done::status(done.as_ref(), StatusCode::CONFLICT);
    let public = views::shown(election, view, Viewer::Public) == Shown::Counts;
    let contests = contest_tables(t, election, view, Viewer::Officer);
    let (acts, more) = acts(t, election, view).into_iter().partition(|act| act.is_primary);
    let takes_votes = view.state == ElectionState::Open;
    let shown = ElectionPage {
        shell: Shell::of(input),
        head: Head::new(t, election, view),
        done,
        slug: election.slug.as_str(),
        form_token: officer.form_token(),
        acts,
        more,
        copy_link: PollForm::like(&election.definition).is_some(),
        now: time_text(app.node.now()),
        base: &app.base_url,
        rooms: rooms.map(|room| room_line(t, room)).collect(),
        events: events_of(election.slug.as_str()),
        progress: Progress::of(t, election, view),
        turnout: Turnout::new(t, &view.results),
        closes_in_ms: view.closes_at.filter(|_| takes_votes).map(|at| at.0.saturating_sub(app.node.now().0)),
        is_for_officer_only: !contests.is_empty() && !public,
        contests,
        shown: shown_sentence(t, &election.definition),
        rules: rules(t, election),
    };
    page(status, &shown)
}

/// Whether the results call for a round between those who are left.
pub fn needs_run_off(election: &ElectionHandle, view: &ElectionView) -> bool {
    let is_over = matches!(view.state, ElectionState::Closed | ElectionState::Published);
    let is_public = views::shown(election, view, Viewer::Public) == Shown::Counts;
    is_over
        && is_public
        && !view.needs_draw
        && election.roll.is_none()
        && election::run_off::run_off(&election.definition, &view.results, None).is_some()
}

/// What can be done now. The node decides again when a button is pressed.
pub fn acts(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Vec<Act> {
    let say = |id: &str| t.say(id).into_owned();
    let act = |name, button, text| Act {
        name,
        button: say(button),
        text: say(text),
        is_primary: false,
        ask: None,
        is_danger: false,
    };
    let first = |act: Act| Act { is_primary: true, ..act };
    let ask = |act: Act, id: &str| Act { ask: Some(say(id)), ..act };
    let danger = |act: Act| Act { is_danger: true, ..act };
    let open = act("open", "act-open", "act-open-text");
    let close = danger(ask(act("close", "act-close", "act-close-text"), "act-close-ask"));
    let pause = act("pause", "act-pause", "act-pause-text");
    let extend = act("extend", "act-extend", "act-extend-text");
    let cancel = danger(ask(act("cancel", "act-cancel", "act-cancel-text"), "act-cancel-ask"));
    let reveal = act("reveal", "act-reveal", "act-reveal-text");
    let hide = act("hide", "act-hide", "act-hide-text");
    let publish = ask(act("publish", "act-publish", "act-publish-text"), "act-publish-ask");
    let draw = act("draw", "act-draw", "act-draw-text");
    let repeat = ask(act("repeat", "act-repeat", "act-repeat-text"), "act-repeat-ask");
    let run_off = act("run-off", "act-run-off", "act-run-off-text");
    let rehearse = act("rehearse", "act-rehearse", "act-rehearse-text");
    let duplicate = act("duplicate", "act-duplicate", "act-duplicate-text");
    let is_open_to_all = election.roll.is_none();
    let curtain = match (election.definition.results, view.revealed) {
        (ResultsMode::OnReveal, false) => Some(reveal),
        (ResultsMode::OnReveal, true) => Some(hide),
        _ => None,
    };
    let mut acts = match view.state {
        ElectionState::Draft => {
            let mut acts = vec![first(open)];
            acts.extend(is_open_to_all.then_some(rehearse));
            acts.push(cancel);
            acts
        }
        ElectionState::Open => {
            let mut acts = vec![first(close), pause, extend];
            acts.extend(curtain);
            acts.push(cancel);
            acts
        }
        ElectionState::Paused => {
            let resume = Act { button: say("act-resume"), text: say("act-resume-text"), ..open };
            let mut acts = vec![first(resume), close, extend];
            acts.extend(curtain);
            acts.push(cancel);
            acts
        }
        ElectionState::Closing => vec![first(close)],
        ElectionState::Closed => {
            let needs_lot = view.needs_draw && election.definition.draw == Draw::Public;
            let waits_for_reveal = curtain.is_some() && !view.revealed;
            let mut acts = Vec::new();
            if needs_lot {
                acts.push(first(draw));
            }
            acts.extend(curtain.map(|act| if waits_for_reveal && !needs_lot { first(act) } else { act }));
            let leads = needs_lot || waits_for_reveal;
            if needs_run_off(election, view) {
                acts.push(if leads { run_off } else { first(run_off) });
                acts.push(publish);
            } else {
                acts.push(if leads { publish } else { first(publish) });
            }
            acts.extend(is_open_to_all.then_some(repeat));
            acts
        }
        ElectionState::Published => {
            let mut acts = Vec::new();
            acts.extend(needs_run_off(election, view).then(|| first(run_off)));
            acts.extend(is_open_to_all.then_some(repeat));
            acts
        }
        ElectionState::Cancelled => Vec::new(),
    };
    acts.extend(is_open_to_all.then_some(duplicate));
    acts
}

/// What an act came to.
pub enum Outcome {
    /// The election itself changed; a sentence where there is one to say.
    Changed(Option<Done>),
    /// There is another one now.
    Made(Slug),
}

/// One of [`acts`], done.
pub async fn act(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let name = input.param("act").to_owned();
    let (input, officer, form) = Officer::posting(input).await?;
    match perform(&input.app, input.texts(), &election, &name, &form).await {
        Ok(Outcome::Made(slug)) => Ok(see_other(&place_of(&input.app, &election.slug, &slug))),
        Ok(Outcome::Changed(None)) => Ok(see_other(&format!("/admin/e/{}", election.slug))),
        Ok(Outcome::Changed(done)) => Ok(election_page(&input, &officer, &election, &election.view(), done)),
        Err(fault) => {
            let done = fault.on_page(&input)?;
            Ok(election_page(&input, &officer, &election, &election.view(), Some(done)))
        }
    }
}

/// After a run-off the room is led on; any other new election is looked at first.
fn place_of(app: &App, from: &Slug, made: &Slug) -> String {
    let directory = app.node.directory();
    let mut rooms = directory.rooms.values();
    let led = rooms.find(|room| room.elections.contains(from) && room.screen.election.as_ref() == Some(made));
    led.map_or_else(|| format!("/admin/e/{made}"), |room| format!("/admin/r/{}", room.code))
}

/// Why an act was not done.
pub enum Fault {
    /// Said by us, on the page that asked for it.
    Line(Done),
    /// Said by the rules, or by nobody: there is no such act.
    Problem(Problem),
}

impl From<Problem> for Fault {
    fn from(problem: Problem) -> Fault {
        Fault::Problem(problem)
    }
}

impl Fault {
    /// The line on the page that asked, or a page of its own.
    pub fn on_page(self, input: &Input) -> Result<Done, Refusal> {
        match self {
            Fault::Line(done) => Ok(done),
            Fault::Problem(problem) => on_page(input, problem),
        }
    }
}

/// Does one of [`acts`] for the pages of an election and of a room.
pub async fn perform(
    app: &App,
    t: Texts,
    election: &ElectionHandle,
    name: &str,
    form: &Form,
) -> Result<Outcome, Fault> {
    match name {
        "run-off" => return Ok(Outcome::Made(run_off(app, election).await?)),
        "duplicate" => return Ok(Outcome::Made(duplicate(app, &election.definition).await?)),
        _ => {}
    }
    let request = request_of(t, name, election.slug.clone(), form, app.node.now())?;
    let acted = app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    let view = views::view_after(election, &acted).await;
    if let Some(made) = acted.slug.filter(|made| *made != election.slug) {
        if name == "repeat" {
            in_rooms_of(app, &election.slug, &made).await?;
        }
        return Ok(Outcome::Made(made));
    }
    let sentence = || sentences(t, &election.definition, &view.results).join(" ");
    Ok(Outcome::Changed(match name {
        "close" | "draw" => Some(Done::good(t, "done-closed", sentence())),
        "publish" => Some(Done::good(t, "done-published", sentence())),
        _ => None,
    }))
}

/// The request of an act by the name of its form; what cannot be undone has to be confirmed.
fn request_of(
    t: Texts,
    name: &str,
    slug: Slug,
    form: &Form,
    now: UnixMillis,
) -> Result<OfficerRequest, Fault> {
    let fault = |id: &str, field: &str| {
        let done = Done::fault(t, t.say(id).into_owned());
        Fault::Line(Done { field: Some(field.to_owned()), ..done })
    };
    let sure = |request: OfficerRequest| match form.get("sure") {
        "yes" => Ok(request),
        _ => Err(Fault::Line(Done::fault(t, t.say("form-not-sure").into_owned()))),
    };
    match name {
        "open" => Ok(OfficerRequest::Open(slug)),
        "pause" => Ok(OfficerRequest::Pause(slug)),
        "reveal" => Ok(OfficerRequest::Reveal(slug)),
        "hide" => Ok(OfficerRequest::Hide(slug)),
        "close" => sure(OfficerRequest::Close(slug)),
        "publish" => sure(OfficerRequest::Publish(slug)),
        "repeat" => sure(OfficerRequest::Repeat(slug, None, Vec::new())),
        "rehearse" => Ok(OfficerRequest::Rehearse(slug, Vec::new())),
        "cancel" => {
            let reason: String = form.get("reason").trim().chars().take(REASON_CHARS_MAX).collect();
            if reason.is_empty() {
                return Err(fault("form-no-reason", "reason"));
            }
            sure(OfficerRequest::Cancel(slug, reason))
        }
        "extend" => {
            let at = closing_time(form, now).ok_or_else(|| fault("form-no-time", "minutes"))?;
            Ok(OfficerRequest::Extend(slug, at))
        }
        "draw" => {
            let seed = election::from_hex::<32>(form.get("seed").trim());
            Ok(OfficerRequest::Draw(slug, seed.ok_or_else(|| fault("form-no-seed", "seed"))?))
        }
        _ => Err(Problem::plain(&problem::NOT_FOUND).into()),
    }
}

/// Minutes from now, or a time in UTC as browsers' fields write it: `2027-03-01T18:00`.
fn closing_time(form: &Form, now: UnixMillis) -> Option<UnixMillis> {
    let minutes = form.get("minutes").trim();
    let at = form.get("closes_at").trim();
    if at.is_empty() || !minutes.is_empty() {
        let minutes: u64 = minutes.parse().ok().filter(|minutes| (1..=MINUTES_MAX).contains(minutes))?;
        return Some(UnixMillis(now.0 + minutes * 60_000));
    }
    let is_short = at.len() == "2027-03-01T18:00".len();
    let seconds = if is_short { ":00" } else { "" };
    let zone = if at.ends_with('Z') || at.contains('+') { "" } else { "Z" };
    UnixMillis::parse_rfc3339(&format!("{at}{seconds}{zone}"))
}

/// A run-off in one act: made, put into the rooms of the round before, opened, and on the screens that showed it.
pub async fn run_off(app: &App, election: &ElectionHandle) -> Result<Slug, Problem> {
    let request = OfficerRequest::RunOff(election.slug.clone(), None, Vec::new());
    let acted = app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    let made = acted.slug.ok_or_else(|| Problem::plain(&problem::INTERNAL))?;
    let shown_in = in_rooms_of(app, &election.slug, &made).await?;
    match shown_in {
        Some(code) => start(app, &code, &made).await?,
        None => {
            app.node.act(OfficerRequest::Open(made.clone())).await.map_err(|error| views::refusal(&error))?;
        }
    }
    Ok(made)
}

/// Puts a next round into the rooms of the one before, and its question on the screens that showed that one. Returns
/// one of those rooms.
async fn in_rooms_of(app: &App, before: &Slug, made: &Slug) -> Result<Option<RoomCode>, Problem> {
    let directory = app.node.directory();
    let rooms: Vec<_> =
        directory.rooms.values().filter(|room| room.elections.contains(before)).cloned().collect();
    let mut shown_in = None;
    for room in rooms {
        add(app, room.code.clone(), made.clone()).await?;
        if room.screen.election.as_ref() == Some(before) {
            let screen = Screen { show: Show::Election, election: Some(made.clone()) };
            show_screen(app, room.code.clone(), screen).await?;
            shown_in = Some(room.code);
        }
    }
    Ok(shown_in)
}
