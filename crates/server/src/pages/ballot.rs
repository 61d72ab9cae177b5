//! The ballot: every contest in one form, one step each.
//!
//! All steps are on the page from the beginning, so that going on, back and reloading need no request and no script;
//! the style sheet shows the step that the address names, or else [`Opened::At`].

use super::draft::Draft;
use super::figures::{Head, choice_name, hint, shown_sentence};
use super::session::{Session, led_room, receipts, shown_voter};
use super::waiting::{Tried, identify, locked, waiting};
use super::{OrPage, Page, Shell, page, see_other, with_cookie};
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::views;
use askama::Template;
use axum::response::Response;
use election::definition::{Choice, Contest, Definition, Method, Revote, is_picture_path};
use election::order::{choice_order, seed_of};
use election::{ElectionState, Voter};
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView};
use std::borrow::Cow;

#[derive(Template)]
#[template(path = "ballot.html")]
struct BallotPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    events: String,
    /// Where the room's leader is, for who cannot vote here any more.
    room: Option<String>,
    faults: Vec<Fault>,
    description: Option<&'a str>,
    form_token: String,
    steps: Vec<Step<'a>>,
    /// On the way back to the review: every step leads there, not to the next step.
    direct: bool,
    secrecy: Cow<'static, str>,
    shown: String,
    another: bool,
}

/// What is wrong with the answer to one contest, in the voter's words.
#[derive(Debug)]
pub struct Fault {
    pub contest: String,
    pub title: String,
    pub message: String,
}

/// How a ballot is come to.
#[derive(Debug)]
pub enum Opened {
    /// At its first contest.
    Anew,
    /// From the review, to change the answer to this contest.
    At(String),
    /// With answers that cannot be counted.
    Wrong(Vec<Fault>),
}

struct Step<'a> {
    id: &'a str,
    title: &'a str,
    /// Shown where the address names no step.
    is_first: bool,
    progress: Option<String>,
    back: Option<&'a str>,
    next: Option<&'a str>,
    description: Option<&'a str>,
    hint: String,
    fault: Option<String>,
    control: &'static str,
    /// Where marks beyond this many are held back.
    max: Option<u16>,
    options: Vec<Choosable<'a>>,
    /// Whether "leave this blank" is on offer, and marked.
    blank: Option<bool>,
    scale: Option<Scale>,
}

struct Choosable<'a> {
    id: &'a str,
    /// A rating's level: its number.
    name: &'a str,
    more: Option<String>,
    photo: Option<&'a str>,
    /// Address, and the host that is shown of it.
    link: Option<(&'a str, &'a str)>,
    chosen: bool,
}

/// What the ends of a rating's scale are called.
struct Scale {
    low: String,
    high: String,
}

pub fn purpose(slug: &str) -> String {
    format!("e/{slug}")
}

pub fn events_of(slug: &str) -> String {
    format!("/api/v1/elections/{slug}/events")
}

/// Whether the rules let a voter with so many ballots cast another; the node decides.
pub fn may_vote_again(definition: &Definition, ballots: usize) -> bool {
    ballots > 0
        && (definition.revote == Revote::LastCounts || ballots < usize::from(definition.ballots_per_voter))
}

pub async fn ballot(input: Input) -> Page {
    let query = input.query(&["again", "change"]).or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let session = Session::of(&input)?;
    let (shown, view) = (shown_voter(&input, &session, &election), election.view());
    let cast = match &shown {
        Some(shown) => receipts(&input, &election, &shown.voter)?.len(),
        None => 0,
    };
    let wants_again = query.get("again").is_some() && may_vote_again(&election.definition, cast);
    let response = if cast > 0 && !(wants_again && view.state == ElectionState::Open) {
        see_other(&format!("/e/{}/receipt", election.slug))
    } else if view.state != ElectionState::Open {
        waiting(&input, &election, &view, &session, Tried::Nothing)
    } else {
        match &shown {
            None => identify(&input, &election, &view, &session, None),
            Some(shown) if election.admits(shown.issued).is_err() => {
                locked(&input, &election, &view, &session, Tried::Nothing)
            }
            Some(shown) => {
                let (who, session) = (&shown.voter, &session);
                let opened = query.get("change").map_or(Opened::Anew, |id| Opened::At(id.to_owned()));
                let draft = Draft::of(&input, &election, session);
                let form = draft.map_or(Form(Vec::new()), |draft| draft.form);
                Ballot { input: &input, election: &election, view: &view, session, who }.show(&form, opened)
            }
        }
    };
    Ok(with_cookie(response, session.cookie))
}

/// Addresses of the voter's way that take forms only: a reload, or a link to them, begins at the ballot.
pub async fn begin_again(input: Input) -> Page {
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    Ok(see_other(&format!("/e/{}", election.slug)))
}

/// A ballot for somebody.
pub struct Ballot<'a> {
    pub input: &'a Input,
    pub election: &'a ElectionHandle,
    pub view: &'a ElectionView,
    pub session: &'a Session,
    pub who: &'a Voter,
}

impl Ballot<'_> {
    /// The ballot with the marks that are in `form`.
    pub fn show(&self, form: &Form, opened: Opened) -> Response {
        let t = self.input.texts();
        let (definition, slug) = (&self.election.definition, self.election.slug.as_str());
        let direct = !matches!(opened, Opened::Anew);
        let (first, faults) = match opened {
            Opened::Anew => (None, Vec::new()),
            Opened::At(contest) => (Some(contest), Vec::new()),
            Opened::Wrong(faults) => (faults.first().map(|fault| fault.contest.clone()), faults),
        };
        let first = first.and_then(|id| definition.contest(&id)).map_or(0, |(place, _)| place);
        let status = if faults.is_empty() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
        let mut steps: Vec<Step<'_>> =
            (0..definition.contests.len()).map(|place| self.step(t, place, form)).collect();
        steps[first].is_first = true;
        if direct {
            steps.iter_mut().for_each(|step| (step.back, step.next) = (None, None));
        }
        for fault in &faults {
            if let Some(step) = steps.iter_mut().find(|step| step.id == fault.contest) {
                step.fault = Some(fault.message.clone());
            }
        }
        let room = led_room(self.input, self.election);
        let ballot = BallotPage {
            shell: Shell::of(self.input),
            head: Head::new(t, self.election, self.view).counting_down(self.input, self.view),
            slug,
            events: events_of(slug),
            room: room.map(|room| room.code.to_string()),
            faults,
            description: definition.description.as_deref(),
            form_token: self.session.form_token(&purpose(slug)),
            steps,
            direct,
            secrecy: t.say("secrecy-open"),
            shown: shown_sentence(t, definition),
            another: self.input.app.config.demo,
        };
        page(status, &ballot)
    }

    fn step<'d>(&'d self, t: Texts, place: usize, form: &Form) -> Step<'d> {
        let contests = &self.election.definition.contests;
        let (contest, count) = (&contests[place], contests.len());
        let field = field_of(contest);
        let neighbour = |place: Option<usize>| Some(contests.get(place?)?.id.as_str());
        let is_marked = |id: &str| form.0.iter().any(|(name, value)| *name == field && value == id);
        let order = choice_order(contest, &self.election.definition_hash.0, &seed_of(&self.who.tag));
        let is_rating = contest.method == Method::Rating;
        let options = order.into_iter().map(|index| &contest.choices[index]).map(|choice| Choosable {
            id: &choice.id,
            name: if is_rating { &choice.id } else { &choice.name },
            more: if is_rating {
                Some(&choice.name).filter(|name| **name != choice.id).cloned()
            } else {
                more(choice)
            },
            photo: choice.photo.as_deref().filter(|photo| is_picture_path(photo)),
            link: choice.link.as_deref().map(|link| (link, host(link))),
            chosen: is_marked(&choice.id),
        });
        let is_radio = contest.choose_max == 1;
        let is_limited = !is_radio && usize::from(contest.choose_max) < contest.choices.len();
        // A radio that was marked cannot be unmarked, so blank is a choice of its own; a motion has "abstain" for that.
        let has_blank = is_radio && contest.method != Method::Motion;
        Step {
            id: &contest.id,
            title: &contest.title,
            is_first: false,
            progress: (count > 1)
                .then(|| t.fill("contest-of", [("n", (place + 1).into()), ("count", count.into())])),
            back: neighbour(place.checked_sub(1)),
            next: neighbour(Some(place + 1)),
            description: contest.description.as_deref(),
            hint: hint(t, contest),
            fault: None,
            control: if is_radio { "radio" } else { "checkbox" },
            max: is_limited.then_some(contest.choose_max),
            options: options.collect(),
            blank: has_blank.then(|| is_marked("")),
            scale: is_rating.then(|| scale(t, contest)),
        }
    }
}

fn more(choice: &Choice) -> Option<String> {
    let parts: Vec<&str> =
        [&choice.party, &choice.description].into_iter().flatten().map(String::as_str).collect();
    (!parts.is_empty()).then(|| parts.join(" · "))
}

/// `example.org` of `https://example.org/people/ann`.
fn host(link: &str) -> &str {
    let rest = link.split_once("://").map_or(link, |(_, rest)| rest);
    if rest.starts_with('/') { rest } else { rest.split(['/', '?', '#']).next().unwrap_or(rest) }
}

fn scale(t: Texts, contest: &Contest) -> Scale {
    let end = |choice: Option<&Choice>, id: &str| match choice {
        Some(choice) if choice.name != choice.id => choice_name(contest, choice),
        Some(choice) => t.with(id, "level", &choice.id),
        None => String::new(),
    };
    Scale {
        low: end(contest.choices.first(), "rating-low"),
        high: end(contest.choices.last(), "rating-high"),
    }
}

/// Name of a contest's field in the forms.
pub fn field_of(contest: &Contest) -> String {
    format!("c.{}", contest.id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_link_its_host_is_shown() {
        assert_eq!(host("https://example.org/ann?x=1"), "example.org");
        assert_eq!(host("http://example.org"), "example.org");
        assert_eq!(host("/about/ann"), "/about/ann");
    }
}
