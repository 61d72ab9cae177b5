//! The projector: what the room's screen shows, without controls.

use super::figures::{ContestTable, ElectionLine, Qr, Turnout, contest_tables, shown_sentence, state_text};
use super::{OrPage, Page, Shell, page};
use crate::api::Answer;
use crate::app::App;
use crate::feed::{FeedKey, follow};
use crate::input::Input;
use crate::language::Texts;
use crate::views;
use askama::Template;
use election::Viewer;
use election::room::{Room, Show};
use hyper::StatusCode;
use node::ElectionHandle;

/// Elections that the lobby lists; more would not be legible.
const LOBBY_LINES_MAX: usize = 6;

#[derive(Template)]
#[template(path = "screen.html")]
struct ScreenPage<'a> {
    shell: Shell,
    title: &'a str,
    code: &'a str,
    code_grouped: String,
    version: String,
    join_address: String,
    qr: Option<Qr>,
    black: bool,
    shown: Option<ShownElection>,
    elections: Vec<ElectionLine>,
}

struct ShownElection {
    slug: String,
    title: String,
    state: String,
    state_class: &'static str,
    questions: Vec<(String, Vec<String>)>,
    contests: Vec<ContestTable>,
    sentence: Option<String>,
    turnout: Turnout,
}

pub async fn screen(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    let app = &input.app;
    let election = room.screen.election.as_ref().and_then(|slug| app.node.election(slug.as_str()));
    let shown = match (room.screen.show, election) {
        (Show::Election, Some(election)) => Some(question(input.texts(), &election)),
        (Show::Results, Some(election)) => Some(counts(input.texts(), &election)),
        _ => None,
    };
    let lines = room.elections.iter().filter_map(|slug| app.node.election(slug.as_str()));
    let screen = ScreenPage {
        shell: Shell::of(&input),
        title: &room.title,
        code: room.code.as_str(),
        code_grouped: code_grouped(&room),
        version: views::room_version(app, &room),
        join_address: join_address(app),
        qr: Qr::of(&format!("{}/j/{}", app.base_url, room.code)),
        black: room.screen.show == Show::Black,
        shown,
        elections: lines
            .take(LOBBY_LINES_MAX)
            .map(|e| ElectionLine::new(input.texts(), &e, &e.view()))
            .collect(),
    };
    Ok(page(StatusCode::OK, &screen))
}

/// The room's code in groups of three, as it is read aloud.
pub fn code_grouped(room: &Room) -> String {
    let letters = room.code.as_str().as_bytes();
    let groups: Vec<&str> =
        letters.chunks(3).map(|group| std::str::from_utf8(group).expect("codes are ASCII")).collect();
    groups.join(" ")
}

/// Where to type the code: the address without its scheme.
pub fn join_address(app: &App) -> String {
    let base = app.base_url.split_once("://").map_or(&*app.base_url, |(_, rest)| rest);
    format!("{base}/j")
}

fn question(t: Texts, election: &ElectionHandle) -> ShownElection {
    let names = |contest: &election::definition::Contest| {
        contest.choices.iter().map(|choice| choice.name.clone()).collect()
    };
    let contests = election.definition.contests.iter();
    let questions = contests.map(|contest| (contest.title.clone(), names(contest))).collect();
    ShownElection { questions, sentence: None, ..counts_for(t, election, Vec::new()) }
}

fn counts(t: Texts, election: &ElectionHandle) -> ShownElection {
    let tables = contest_tables(t, election, &election.view(), Viewer::Public);
    let sentence = tables.is_empty().then(|| shown_sentence(t, &election.definition));
    ShownElection { sentence, ..counts_for(t, election, tables) }
}

fn counts_for(t: Texts, election: &ElectionHandle, contests: Vec<ContestTable>) -> ShownElection {
    let view = election.view();
    ShownElection {
        slug: election.slug.to_string(),
        title: election.definition.title.clone(),
        state: state_text(t, view.state, view.closes_at),
        state_class: view.state.as_str(),
        questions: Vec::new(),
        contests,
        sentence: None,
        turnout: Turnout::new(t, &view.results),
    }
}

/// The feed of a room's pages: when to show something else, and the turnout meanwhile.
pub async fn events(input: Input) -> Answer {
    input.accepts(&["text/event-stream"])?;
    let room = views::room(&input.app, input.param("code"))?;
    let last = input.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    follow(&input.app, FeedKey::Room(room.code), last)
}
