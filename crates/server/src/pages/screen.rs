//! What the room's screen shows: the projector, the overlay for streams, and the frame for other sites.
//!
//! None of them has controls. A script turns pages and counts down; without it the projector asks anew by itself.

use super::figures::{
    ContestTable, ElectionLine, Head, Qr, Turnout, contest_tables, sentences, shown_sentence, state_name,
};
use super::{OrPage, Page, Refusal, Shell, embeddable, page};
use crate::api::Answer;
use crate::app::App;
use crate::feed::{FeedKey, follow};
use crate::input::Input;
use crate::language::Texts;
use crate::problem::{self, Problem};
use crate::text::share;
use crate::views;
use askama::Template;
use election::definition::{AfterVoters, Contest, Method};
use election::results::{ContestResults, share_base};
use election::room::{Pace, Room, Show};
use election::{ElectionState, Shown, Viewer};
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView};

/// Elections that the lobby lists; more would not be legible.
const LOBBY_LINES_MAX: usize = 4;
/// Rows that can be read from the back of a hall at once.
const ROWS_A_PAGE: usize = 8;
/// As [`ROWS_A_PAGE`], where a name takes two lines.
const LONG_ROWS_A_PAGE: usize = 5;
const LONG_NAME_CHARS: usize = 34;

#[derive(Template)]
#[template(path = "screen.html")]
struct ScreenPage<'a> {
    shell: Shell,
    stage: Stage<'a>,
}

#[derive(Template)]
#[template(path = "overlay.html")]
struct OverlayPage<'a> {
    shell: Shell,
    stage: Stage<'a>,
}

#[derive(Template)]
#[template(path = "embed.html")]
struct EmbedPage<'a> {
    shell: Shell,
    events: String,
    /// Of a room; an election's frame has none.
    version: Option<String>,
    title: &'a str,
    elections: Vec<EmbeddedElection>,
    base: &'a str,
}

struct EmbeddedElection {
    head: Head,
    slug: String,
    turnout: Turnout,
    contests: Vec<ContestTable>,
    shown: String,
}

/// What a room shows now.
struct Stage<'a> {
    title: &'a str,
    code: &'a str,
    code_grouped: String,
    version: String,
    join_address: String,
    qr: Option<Qr>,
    connected: usize,
    black: bool,
    shown: Option<ShownElection>,
    /// In the lobby of a room with own pace: what can be voted in.
    elections: Vec<ElectionLine>,
}

/// The election on the screen. The officer's remote shows its parts, too.
pub struct ShownElection {
    pub slug: String,
    pub title: String,
    /// Longer titles are set smaller.
    pub title_class: &'static str,
    pub state: String,
    pub state_word: &'static str,
    pub round: Option<String>,
    pub rehearsal: bool,
    pub progress: Progress,
    /// From now, by the server's clock; only while votes are taken.
    pub closes_in_ms: Option<u64>,
    /// Whether counts are on the screen, or the question.
    pub counted: bool,
    /// Why no counts are there, where they were asked for.
    pub hidden: Option<String>,
    pub pages: Vec<StagePage>,
}

/// How many have voted, and of how many where the vote ends by that.
#[derive(Debug)]
pub struct Progress {
    pub text: String,
    /// The text with any number, for the script.
    pub forms: String,
    pub target: Option<u64>,
    /// Length of the bar.
    pub percent: u64,
}

/// As much as is legible at once: the choices of a contest, or its counts.
pub struct StagePage {
    /// Where the election has several contests.
    pub contest: Option<String>,
    pub contest_id: String,
    pub outcome: Option<String>,
    pub outcome_class: &'static str,
    pub average: Option<Average>,
    pub options: Vec<String>,
    pub rows: Vec<StageRow>,
    /// Rows of every page of this contest, which share one width of names.
    pub is_long: bool,
}

/// `4.2` of `5`
pub struct Average {
    pub value: String,
    pub of: String,
}

pub struct StageRow {
    /// `CONTEST/CHOICE`, by which the script finds it.
    pub id: String,
    pub name: String,
    pub votes: String,
    pub share: String,
    /// Length of the bar, in percent of the longest.
    pub bar: u64,
    /// 1 to 8, by the place in the definition, so that a choice keeps its colour.
    pub colour: usize,
    pub winner: bool,
}

pub async fn screen(input: Input) -> Page {
    let room = shown_room(&input)?;
    let screen = ScreenPage { shell: Shell::of(&input), stage: stage(&input, &room) };
    Ok(page(StatusCode::OK, &screen))
}

/// For streams: what matters of the projector, on nothing.
pub async fn overlay(input: Input) -> Page {
    let room = shown_room(&input)?;
    let overlay = OverlayPage { shell: Shell::of(&input), stage: stage(&input, &room) };
    Ok(page(StatusCode::OK, &overlay))
}

fn shown_room(input: &Input) -> Result<Room, Refusal> {
    input.no_query().or_page(input)?;
    views::room(&input.app, input.param("code")).or_page(input)
}

fn stage<'a>(input: &Input, room: &'a Room) -> Stage<'a> {
    let (app, t) = (&input.app, input.texts());
    let in_room = room.elections.iter().filter_map(|slug| app.node.election(slug.as_str()));
    let is_listed = room.pace == Pace::Own;
    Stage {
        title: &room.title,
        code: room.code.as_str(),
        code_grouped: code_grouped(room),
        version: views::room_version(app, room),
        join_address: join_address(app),
        qr: Qr::of(&format!("{}/j/{}", app.base_url, room.code)),
        connected: app.present.count(&room.code),
        black: room.screen.show == Show::Black,
        shown: shown(app, t, room),
        elections: in_room
            .take(if is_listed { LOBBY_LINES_MAX } else { 0 })
            .map(|election| ElectionLine::new(t, &election, &election.view()))
            .collect(),
    }
}

/// The election that the room's screen shows; `None` in the lobby and in the dark.
pub fn shown(app: &App, t: Texts, room: &Room) -> Option<ShownElection> {
    let is_counted = match room.screen.show {
        Show::Election => false,
        Show::Results => true,
        Show::Lobby | Show::Black => return None,
    };
    let election = app.node.election(room.screen.election.as_ref()?.as_str())?;
    Some(shown_election(app, t, &election, is_counted))
}

/// An election as the public sees it, with its counts if they are asked for and may be seen.
pub fn shown_election(app: &App, t: Texts, election: &ElectionHandle, is_counted: bool) -> ShownElection {
    let view = election.view();
    let definition = &election.definition;
    let may_see = views::shown(election, &view, Viewer::Public) == Shown::Counts;
    let counted = is_counted && may_see;
    let pages = match counted {
        true => counted_pages(t, election, &view),
        false => definition.contests.iter().flat_map(|contest| question_pages(election, contest)).collect(),
    };
    let now = app.node.now().0;
    let takes_votes = view.state == ElectionState::Open;
    ShownElection {
        slug: election.slug.to_string(),
        title: definition.title.clone(),
        title_class: size_class(&definition.title),
        state: state_name(t, view.state),
        state_word: view.state.as_str(),
        round: (definition.round > 1).then(|| t.with("round", "n", u64::from(definition.round))),
        rehearsal: definition.is_rehearsal(),
        progress: Progress::of(t, election, &view),
        closes_in_ms: view.closes_at.filter(|_| takes_votes).map(|at| at.0.saturating_sub(now)),
        counted,
        hidden: (is_counted && !may_see).then(|| shown_sentence(t, definition)),
        pages,
    }
}

impl Progress {
    pub fn of(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Progress {
        let voters = view.results.voters;
        let target = match election.definition.closing.after_voters {
            Some(AfterVoters::Number(number)) => Some(number),
            Some(AfterVoters::All) => election.roll_size(),
            None => view.results.eligible.map(|eligible| eligible.voters),
        };
        let (text, forms) = match target {
            Some(target) => (
                t.fill("voted-of", [("n", voters.into()), ("max", t.number(&target).into())]),
                t.plurals_of("voted-of", "max", target),
            ),
            None => (t.with("voted", "n", voters), t.plurals("voted")),
        };
        let percent = target.map_or(0, |target| (voters * 100 / target.max(1)).min(100));
        Progress { text, forms, target, percent }
    }
}

/// Longer sentences are set smaller, so that they leave room for what they are about.
fn size_class(text: &str) -> &'static str {
    match text.chars().count() {
        0..=60 => "",
        61..=130 => "long",
        _ => "longer",
    }
}

/// The choices, a page at a time.
fn question_pages(election: &ElectionHandle, contest: &Contest) -> Vec<StagePage> {
    let names: Vec<&str> = contest.choices.iter().map(|choice| choice.name.as_str()).collect();
    let is_long = is_long(&names);
    let fit = if is_long { LONG_ROWS_A_PAGE } else { ROWS_A_PAGE };
    // A scale is read as one line, however many levels it has.
    let fit = if contest.method == Method::Rating { names.len() } else { fit };
    let page = |names: &[&str]| StagePage {
        contest: contest_title(election, contest),
        contest_id: contest.id.clone(),
        outcome: None,
        outcome_class: "",
        average: None,
        options: names.iter().map(|name| (*name).to_owned()).collect(),
        rows: Vec::new(),
        is_long,
    };
    names.chunks(fit.max(1)).map(page).collect()
}

/// The contest's title, unless the election's says it already.
fn contest_title(election: &ElectionHandle, contest: &Contest) -> Option<String> {
    (contest.title != election.definition.title).then(|| contest.title.clone())
}

fn is_long(names: &[&str]) -> bool {
    names.iter().any(|name| name.chars().count() > LONG_NAME_CHARS)
}

fn counted_pages(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Vec<StagePage> {
    let contests = view.results.contests.iter();
    let pages = contests.filter_map(|counted| {
        let (_, contest) = election.definition.contest(&counted.id)?;
        Some(contest_pages(t, election, view, contest, counted))
    });
    pages.flatten().collect()
}

fn contest_pages(
    t: Texts,
    election: &ElectionHandle,
    view: &ElectionView,
    contest: &Contest,
    counted: &ContestResults,
) -> Vec<StagePage> {
    let definition = &election.definition;
    let base = share_base(definition, &view.results, counted);
    let most = counted.counts.iter().map(|count| count.votes).max().unwrap_or(0).max(1);
    let winners = counted.outcome.as_ref().map_or(&[][..], |outcome| &outcome.winners);
    let mut rows: Vec<(u64, StageRow)> = counted
        .counts
        .iter()
        .enumerate()
        .map(|(place, count)| {
            let row = StageRow {
                id: format!("{}/{}", contest.id, count.choice),
                name: count.name.clone(),
                votes: t.number(&count.votes),
                share: share(t.0, count.votes, base),
                bar: u64::try_from(u128::from(count.votes) * 100 / u128::from(most)).unwrap_or(100),
                colour: place % 8 + 1,
                winner: winners.contains(&count.choice),
            };
            (count.votes, row)
        })
        .collect();
    // Ranks once they are final; while votes come in, rows that change places could not be read.
    if contest.method.has_seats() && counted.outcome.is_some() {
        rows.sort_by_key(|(votes, _)| std::cmp::Reverse(*votes));
    }
    let rows: Vec<StageRow> = rows.into_iter().map(|(_, row)| row).collect();
    let is_long = is_long(&rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>());
    let fit = if is_long { LONG_ROWS_A_PAGE } else { ROWS_A_PAGE };
    let outcome = counted.outcome.as_ref();
    let outcome = outcome.and_then(|_| crate::outcome::sentence(t, contest, definition.draw, counted));
    let mut pages = Vec::new();
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        pages.push(StagePage {
            contest: contest_title(election, contest),
            contest_id: contest.id.clone(),
            outcome: outcome.clone().filter(|_| pages.is_empty()),
            outcome_class: size_class(outcome.as_deref().unwrap_or_default()),
            average: average(t, contest, counted).filter(|_| pages.is_empty()),
            options: Vec::new(),
            rows: rows.by_ref().take(fit).collect(),
            is_long,
        });
    }
    pages
}

/// The average of a rating's marks so far.
fn average(t: Texts, contest: &Contest, counted: &ContestResults) -> Option<Average> {
    if contest.method != Method::Rating {
        return None;
    }
    let highest = contest.choices.last()?.level()?;
    let levels = contest.choices.iter().zip(&counted.counts);
    let marks = levels.filter_map(|(choice, count)| Some((choice.level()?, count.votes)));
    let (points, ratings) = marks.fold((0u128, 0u128), |(points, ratings), (level, votes)| {
        (points + u128::from(level) * u128::from(votes), ratings + u128::from(votes))
    });
    let value = match ratings {
        0 => "–".to_owned(),
        _ => {
            let tenths = (20 * points + ratings) / (2 * ratings);
            format!("{}{}{}", tenths / 10, t.0.decimal_mark(), tenths % 10)
        }
    };
    Some(Average { value, of: t.with("average-of", "highest", highest) })
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

/// The results of what the room shows, for a frame on another site; of all its elections in the lobby.
pub async fn embed_room(input: Input) -> Page {
    let room = shown_room(&input)?;
    check_embedding(&input)?;
    let t = input.texts();
    let on_screen = room.screen.election.as_ref().filter(|_| room.screen.show != Show::Lobby);
    let slugs = room.elections.iter().filter(|slug| on_screen.is_none_or(|shown| shown == *slug));
    let elections = slugs.filter_map(|slug| input.app.node.election(slug.as_str()));
    let embed = EmbedPage {
        shell: Shell::of(&input),
        events: format!("/r/{}/events", room.code),
        version: Some(views::room_version(&input.app, &room)),
        title: &room.title,
        elections: elections.take(LOBBY_LINES_MAX).map(|election| embedded(t, &election)).collect(),
        base: &input.app.base_url,
    };
    Ok(embeddable(page(StatusCode::OK, &embed), &input.app.config.embed_origins))
}

/// The results of one election, for a frame on another site.
pub async fn embed_election(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    check_embedding(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let embed = EmbedPage {
        shell: Shell::of(&input),
        events: super::ballot::events_of(election.slug.as_str()),
        version: None,
        title: &election.definition.title,
        elections: vec![embedded(input.texts(), &election)],
        base: &input.app.base_url,
    };
    Ok(embeddable(page(StatusCode::OK, &embed), &input.app.config.embed_origins))
}

/// Frames are for those who asked for them at the server's start.
fn check_embedding(input: &Input) -> Result<(), Refusal> {
    match input.app.config.embed_origins.is_empty() {
        true => Err(Refusal::new(input, Problem::plain(&problem::NOT_FOUND))),
        false => Ok(()),
    }
}

fn embedded(t: Texts, election: &ElectionHandle) -> EmbeddedElection {
    let view = election.view();
    EmbeddedElection {
        head: Head::new(t, election, &view),
        slug: election.slug.to_string(),
        turnout: Turnout::new(t, &view.results),
        contests: contest_tables(t, election, &view, Viewer::Public),
        shown: shown_sentence(t, &election.definition),
    }
}

/// The outcome of an election whose counts the public may see, for a page that only names it.
pub fn public_outcome(t: Texts, election: &ElectionHandle, view: &ElectionView) -> Option<String> {
    let is_shown = views::shown(election, view, Viewer::Public) == Shown::Counts;
    let sentences = if is_shown { sentences(t, &election.definition, &view.results) } else { Vec::new() };
    (!sentences.is_empty()).then(|| sentences.join(" · "))
}

/// The feed of a room's pages: when to show something else, and the turnout meanwhile.
pub async fn events(input: Input) -> Answer {
    input.accepts(&["text/event-stream"])?;
    let room = views::room(&input.app, input.param("code"))?;
    let last = input.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    follow(&input.app, FeedKey::Room(room.code), last)
}
