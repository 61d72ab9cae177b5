//! The voter's way: ballot, review, cast. Each step is a form; only the last one changes anything.

use super::figures::{Head, hint, shown_sentence, time_text};
use super::session::{Session, forged, receipts, shown_voter, voter};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::api::elections::new_voter_token;
use crate::app::{count, with_edge};
use crate::ballots::{cast_prepared, take_ballot};
use crate::cookies::Purpose;
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::problem::{self, Problem};
use crate::views;
use askama::Template;
use axum::response::Response;
use election::answers::AnswerError;
use election::definition::{Contest, Definition, Revote};
use election::{ElectionState, EncodedAnswers, GivenAnswer, GivenAnswers, IdempotencyKey, Voter};
use hyper::StatusCode;
use node::{ElectionHandle, ElectionView};
use std::borrow::Cow;
use std::sync::Arc;

const LISTED_COOKIE_SECONDS: u64 = 7 * 24 * 3600;

#[derive(Template)]
#[template(path = "ballot.html")]
struct BallotPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    events: String,
    fault: Option<Fault>,
    description: Option<&'a str>,
    form_token: String,
    contests: Vec<ContestForm<'a>>,
    secrecy: Cow<'static, str>,
    shown: String,
    another: bool,
}

struct Fault {
    message: String,
    contest: String,
}

struct ContestForm<'a> {
    id: &'a str,
    title: &'a str,
    progress: Option<String>,
    description: Option<&'a str>,
    hint: String,
    control: &'static str,
    choices: Vec<ChoiceForm<'a>>,
}

struct ChoiceForm<'a> {
    id: &'a str,
    name: &'a str,
    more: Option<String>,
    chosen: bool,
}

#[derive(Template)]
#[template(path = "identify.html")]
struct IdentifyPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    form_token: String,
    fault: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    events: String,
    form_token: String,
    key: String,
    fields: Vec<(String, String)>,
    answers: Vec<Answered<'a>>,
}

struct Answered<'a> {
    title: &'a str,
    names: Vec<&'a str>,
}

#[derive(Template)]
#[template(path = "waiting.html")]
struct WaitingPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    events: String,
    class: &'a str,
    sentence: String,
    text: &'a str,
    results: bool,
    another: bool,
    form_token: String,
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
    let query = input.query(&["again"]).or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let session = Session::of(&input)?;
    let (who, view) = (voter(&input, &session, &election), election.view());
    let cast = match &who {
        Some(who) => receipts(&input, &election, who)?.len(),
        None => 0,
    };
    let wants_again = query.get("again").is_some() && may_vote_again(&election.definition, cast);
    let response = if cast > 0 && !(wants_again && view.state == ElectionState::Open) {
        see_other(&format!("/e/{}/receipt", election.slug))
    } else if view.state != ElectionState::Open {
        waiting(&input, &election, &view, &session, false)
    } else if who.is_none() {
        identify(&input, &election, &view, &session, None)
    } else {
        show_ballot(&input, &election, &view, &session, &Form(Vec::new()), None)
    };
    Ok(with_cookie(response, session.cookie))
}

fn show_ballot(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    form: &Form,
    fault: Option<Fault>,
) -> Response {
    let t = input.texts();
    let definition = &election.definition;
    let count = definition.contests.len();
    let contests = definition.contests.iter().enumerate();
    let status = if fault.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let ballot = BallotPage {
        shell: Shell::of(input),
        head: Head::new(input.texts(), election, view),
        slug: election.slug.as_str(),
        events: events_of(election.slug.as_str()),
        fault,
        description: definition.description.as_deref(),
        form_token: session.form_token(&purpose(election.slug.as_str())),
        contests: contests
            .map(|(place, contest)| {
                let progress = (count > 1)
                    .then(|| t.fill("contest-of", [("n", (place + 1).into()), ("count", count.into())]));
                contest_form(t, contest, progress, form)
            })
            .collect(),
        secrecy: t.say("secrecy-open"),
        shown: shown_sentence(t, definition),
        another: input.app.config.demo,
    };
    page(status, &ballot)
}

fn contest_form<'a>(
    t: Texts,
    contest: &'a Contest,
    progress: Option<String>,
    form: &Form,
) -> ContestForm<'a> {
    let field = field_of(contest);
    let more = |choice: &election::definition::Choice| {
        let parts: Vec<&str> =
            [&choice.party, &choice.description].into_iter().flatten().map(String::as_str).collect();
        (!parts.is_empty()).then(|| parts.join(" · "))
    };
    ContestForm {
        id: &contest.id,
        title: &contest.title,
        progress,
        description: contest.description.as_deref(),
        hint: hint(t, contest),
        control: if contest.choose_max == 1 { "radio" } else { "checkbox" },
        choices: contest
            .choices
            .iter()
            .map(|choice| ChoiceForm {
                id: &choice.id,
                name: &choice.name,
                more: more(choice),
                chosen: form.all(&field).any(|chosen| chosen == choice.id),
            })
            .collect(),
    }
}

/// Name of a contest's field in the forms.
fn field_of(contest: &Contest) -> String {
    format!("c.{}", contest.id)
}

fn identify(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    fault: Option<&str>,
) -> Response {
    let slug = election.slug.as_str();
    let status = if fault.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let (shell, head) = (Shell::of(input), Head::new(input.texts(), election, view));
    page(status, &IdentifyPage { shell, head, slug, form_token: session.form_token(&purpose(slug)), fault })
}

/// What is said where no ballot can be cast. `was_casting`: somebody just tried to.
pub fn waiting(
    input: &Input,
    election: &ElectionHandle,
    view: &ElectionView,
    session: &Session,
    was_casting: bool,
) -> Response {
    let not_cast = "Your vote was not cast.";
    let (class, sentence, text) = match view.state {
        ElectionState::Draft => {
            ("", "Voting has not opened yet.".to_owned(), "This page shows the ballot when it does.")
        }
        ElectionState::Paused | ElectionState::Open => {
            let text = "Your vote has not been cast. The ballot comes back when voting goes on.";
            ("note-warn", "Voting is paused.".to_owned(), text)
        }
        ElectionState::Cancelled => {
            ("note-bad", "This election was cancelled.".to_owned(), "No vote in it counts.")
        }
        ElectionState::Closing | ElectionState::Closed | ElectionState::Published => {
            let at = view.closed_at.map_or_else(String::new, |at| format!(" at {}", time_text(at)));
            let text = if was_casting { not_cast } else { "No vote was cast from this browser." };
            ("note-bad", format!("Voting closed{at}."), text)
        }
    };
    let slug = election.slug.as_str();
    let is_over = matches!(view.state, ElectionState::Closed | ElectionState::Published);
    let waiting = WaitingPage {
        shell: Shell::of(input),
        head: Head::new(input.texts(), election, view),
        slug,
        events: events_of(slug),
        class,
        sentence,
        text,
        results: is_over,
        another: input.app.config.demo && !is_over,
        form_token: session.form_token(&purpose(slug)),
    };
    page(if was_casting { StatusCode::CONFLICT } else { StatusCode::OK }, &waiting)
}

/// A form of the voter's way: its election, session and fields, known to be from the session itself.
struct Step {
    /// The request without its body.
    input: Input,
    election: Arc<ElectionHandle>,
    view: Arc<ElectionView>,
    session: Session,
    form: Form,
}

impl Step {
    async fn of(input: Input) -> Result<Step, Refusal> {
        input.no_query().or_page(&input)?;
        let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
        let session = Session::of(&input)?;
        let (input, form) = input.with_form().await?;
        if !input.is_same_origin() {
            return Err(Refusal::new(&input, forged()));
        }
        session.check_form(&form, &purpose(election.slug.as_str())).or_page(&input)?;
        let view = election.view();
        Ok(Step { input, election, view, session, form })
    }

    fn voter(&self) -> Option<Voter> {
        voter(&self.input, &self.session, &self.election)
    }

    fn ballot(&self, fault: Option<Fault>) -> Response {
        show_ballot(&self.input, &self.election, &self.view, &self.session, &self.form, fault)
    }

    /// The form's answers, or what is wrong with them.
    fn answers(&self) -> Result<EncodedAnswers, Fault> {
        let contests = self.election.definition.contests.iter();
        let fields: Vec<(&Contest, String)> = contests.map(|contest| (contest, field_of(contest))).collect();
        let given = fields.iter().map(|(contest, field)| {
            let chosen = self.form.all(field).map(Cow::Borrowed).collect();
            (Cow::Borrowed(contest.id.as_str()), GivenAnswer::Choices(chosen))
        });
        let given = GivenAnswers(given.collect());
        election::answers::encode(&self.election.definition, &given)
            .map_err(|error| fault(&self.election, &error))
    }
}

/// What is wrong with a ballot, in the voter's words.
fn fault(election: &ElectionHandle, error: &AnswerError) -> Fault {
    let title =
        election.definition.contest(error.contest()).map_or("", |(_, contest)| contest.title.as_str());
    let message = match error {
        AnswerError::Count { min, max, given, .. } => {
            let allowed = if min == max { format!("{max}") } else { format!("{min} to {max}") };
            format!("“{title}” takes {allowed} marks, and {given} are set.")
        }
        other => format!("{other}."),
    };
    Fault { message, contest: error.contest().to_owned() }
}

pub async fn enter(input: Input) -> Page {
    let step = Step::of(input).await?;
    let Step { input, election, view, session, form } = &step;
    let typed = form.get("voter").trim();
    let token = match new_voter_token(&input.app, input.caller.address, election, Some(typed)) {
        Ok(token) => token,
        Err(problem) if problem.code == &problem::NOT_ON_LIST => {
            let sentence = "There is no such id on the list. Check it for typing mistakes.";
            return Ok(identify(input, election, view, session, Some(sentence)));
        }
        Err(problem) => return Err(Refusal::new(input, problem)),
    };
    let id = election.id.to_string();
    let cookie = input.app.cookies.set(
        Purpose::Listed(&id),
        input.caller.is_secure,
        &token,
        Some(LISTED_COOKIE_SECONDS),
    );
    Ok(with_cookie(see_other(&format!("/e/{}", election.slug)), Some(cookie)))
}

/// Shows the answers once more. Changes nothing.
pub async fn review(input: Input) -> Page {
    let step = Step::of(input).await?;
    if step.view.state != ElectionState::Open {
        return Ok(waiting(&step.input, &step.election, &step.view, &step.session, true));
    }
    if step.voter().is_none() {
        return Ok(identify(&step.input, &step.election, &step.view, &step.session, None));
    }
    if let Err(fault) = step.answers() {
        return Ok(step.ballot(Some(fault)));
    }
    let contests = &step.election.definition.contests;
    let chosen = |contest: &Contest| {
        let field = field_of(contest);
        let ids: Vec<String> = step.form.all(&field).map(str::to_owned).collect();
        ids
    };
    let names = |contest: &'_ Contest| chosen(contest);
    let fields = contests
        .iter()
        .flat_map(|contest| chosen(contest).into_iter().map(move |id| (field_of(contest), id)))
        .collect();
    let answers = contests
        .iter()
        .map(|contest| {
            let ids = names(contest);
            let marked = contest.choices.iter().filter(|choice| ids.contains(&choice.id));
            Answered { title: &contest.title, names: marked.map(|choice| choice.name.as_str()).collect() }
        })
        .collect();
    let slug = step.election.slug.as_str();
    let review = ReviewPage {
        shell: Shell::of(&step.input),
        head: Head::new(step.input.texts(), &step.election, &step.view),
        slug,
        events: events_of(slug),
        form_token: step.session.form_token(&purpose(slug)),
        key: format!("{:032x}", rand::random::<u128>()),
        fields,
        answers,
    };
    Ok(page(StatusCode::OK, &review))
}

/// Back to the ballot, marks kept.
pub async fn change(input: Input) -> Page {
    let step = Step::of(input).await?;
    if step.view.state != ElectionState::Open {
        return Ok(waiting(&step.input, &step.election, &step.view, &step.session, true));
    }
    Ok(step.ballot(None))
}

pub async fn cast(input: Input) -> Page {
    let step = Step::of(input).await?;
    let Some(shown) = shown_voter(&step.input, &step.session, &step.election) else {
        return Ok(identify(&step.input, &step.election, &step.view, &step.session, None));
    };
    if let Err(rejection) = step.election.admits(shown.issued) {
        return refused(&step, views::rejection(&rejection));
    }
    let answers = match step.answers() {
        Ok(answers) => answers,
        Err(fault) => return Ok(step.ballot(Some(fault))),
    };
    let key = match step.form.get("key") {
        "" => IdempotencyKey::NONE,
        text => IdempotencyKey::from_text(text),
    };
    let prepared = with_edge(|edge| edge.prepare(&step.election, shown.voter, key, &answers, None));
    let app = Arc::clone(&step.input.app);
    let outcome = match take_ballot(&app, &prepared, true) {
        Ok(()) => cast_prepared(prepared).await,
        Err(problem) => Err(problem),
    };
    match outcome {
        Ok(_) => Ok(see_other(&format!("/e/{}/receipt", step.election.slug))),
        Err(problem) => refused(&step, problem),
    }
}

/// A ballot that was not taken: the page that says so, and what is the case instead.
fn refused(step: &Step, problem: Problem) -> Page {
    count(|counters| counters.ballot_refused(problem.code));
    match problem.code.name {
        // Sent twice, or cast in another tab: the first one stands, and its receipt says so.
        "already_voted" => Ok(see_other(&format!("/e/{}/receipt", step.election.slug))),
        "election_not_open" => {
            let view = step.election.view();
            Ok(waiting(&step.input, &step.election, &view, &step.session, true))
        }
        _ => Err(Refusal::new(&step.input, problem)),
    }
}

/// Begins a new session, so that another person can vote on this device. For trying out alone.
pub async fn another(input: Input) -> Page {
    let step = Step::of(input).await?;
    if !step.input.app.config.demo {
        return Err(Refusal::new(&step.input, Problem::plain(&problem::NOT_FOUND)));
    }
    let session = Session::new(&step.input)?;
    let id = step.election.id.to_string();
    let listed = step.input.app.cookies.remove(Purpose::Listed(&id), step.input.caller.is_secure);
    let response = see_other(&format!("/e/{}", step.election.slug));
    Ok(with_cookie(with_cookie(response, session.cookie), Some(listed)))
}
