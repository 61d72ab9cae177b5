//! The forms of the voter's way: who somebody is, review, change, cast. Only the last one changes anything.
//!
//! Each leads on by a redirect, so that a reload or the way back never asks to send a form again.

use super::ballot::{Ballot, Fault, Opened, events_of, field_of, may_vote_again, purpose};
use super::draft::{Draft, forget};
use super::figures::{Head, choice_name};
use super::session::{Session, forged, receipts, shown_voter, voter};
use super::waiting::{Tried, identify, locked, waiting};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::api::elections::new_voter_token;
use crate::app::{count, with_edge};
use crate::ballots::{cast_prepared, take_ballot};
use crate::cookies::Purpose;
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::problem::{self, Problem, Refused};
use crate::views;
use askama::Template;
use axum::response::{IntoResponse, Response};
use election::answers::AnswerError;
use election::definition::Contest;
use election::{ElectionState, EncodedAnswers, GivenAnswer, GivenAnswers, IdempotencyKey, Voter};
use hyper::StatusCode;
use hyper::header::{HeaderValue, RETRY_AFTER};
use node::{ElectionHandle, ElectionView};
use std::borrow::Cow;
use std::sync::Arc;

const LISTED_COOKIE_SECONDS: u64 = 7 * 24 * 3600;

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    title: &'a str,
    events: String,
    form_token: String,
    key: String,
    fields: Vec<(String, &'a str)>,
    answers: Vec<Answered<'a>>,
    /// The cluster cannot say yet whether these answers were cast; the same form again tells.
    is_unknown: bool,
}

struct Answered<'a> {
    id: &'a str,
    title: &'a str,
    names: Vec<String>,
    /// "Leave this blank" was chosen, so nothing has to be pointed out.
    is_blank_chosen: bool,
}

/// One posted form, known to be from the session itself.
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
        let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
        let session = Session::of(&input)?;
        let (input, form) = input.with_form().await?;
        if !input.is_own_page() {
            return Err(Refusal::new(&input, forged()));
        }
        session.check_form(&form, &purpose(election.slug.as_str())).or_page(&input)?;
        let view = election.view();
        Ok(Step { input, election, view, session, form })
    }

    /// Who fills in the form; else what they are answered instead.
    fn voter(&self) -> Result<Voter, Box<Response>> {
        if self.view.state != ElectionState::Open {
            return Err(Box::new(self.not_open().unwrap_or_else(Refusal::into_response)));
        }
        let Some(who) = voter(&self.input, &self.session, &self.election) else {
            return Err(Box::new(self.identify()));
        };
        match receipts(&self.input, &self.election, &who) {
            Ok(cast) if cast.is_empty() || may_vote_again(&self.election.definition, cast.len()) => Ok(who),
            Ok(_) => Err(Box::new(self.to_receipt())),
            Err(refusal) => Err(Box::new(refusal.into_response())),
        }
    }

    fn to_receipt(&self) -> Response {
        see_other(&format!("/e/{}/receipt", self.election.slug))
    }

    /// For somebody whose answers come while voting is not open. Who has cast a ballot before, here or in another tab,
    /// must not read that there is none.
    fn not_open(&self) -> Page {
        let cast = match voter(&self.input, &self.session, &self.election) {
            Some(who) => receipts(&self.input, &self.election, &who)?.len(),
            None => 0,
        };
        let definition = &self.election.definition;
        if cast > 0 && !may_vote_again(definition, cast) {
            return Ok(self.to_receipt());
        }
        let tried = if cast > 0 { Tried::VotingAgain } else { Tried::Voting };
        // The newest view: the state may have changed while the form was read.
        Ok(waiting(&self.input, &self.election, &self.election.view(), &self.session, tried))
    }

    fn identify(&self) -> Response {
        identify(&self.input, &self.election, &self.view, &self.session, None)
    }

    fn ballot(&self, who: &Voter, opened: Opened) -> Response {
        let Step { input, election, view, session, form } = self;
        Ballot { input, election, view, session, who }.show(form, opened)
    }

    /// The cookie that keeps the form's marks.
    fn draft(&self) -> Option<HeaderValue> {
        let draft = Draft::new(&self.form, &self.election.definition)?;
        Some(draft.cookie(&self.input, &self.election, &self.session))
    }

    /// The answers once more, or the ballot with what is wrong with them. `key`: under which they are cast.
    fn show_review(&self, who: &Voter, key: String) -> Response {
        self.review_page(who, key, false)
    }

    fn review_page(&self, who: &Voter, key: String, is_unknown: bool) -> Response {
        if let Err(faults) = self.answers() {
            return self.ballot(who, Opened::Wrong(faults));
        }
        let contests = &self.election.definition.contests;
        let fields = contests.iter().flat_map(|contest| {
            let field = field_of(contest);
            let values = self.form.0.iter().filter(|(name, _)| *name == field);
            values.map(|(name, value)| (name.clone(), value.as_str())).collect::<Vec<_>>()
        });
        let answers = contests.iter().map(|contest| {
            let (field, ids) = (field_of(contest), self.marked(contest));
            let marked = contest.choices.iter().filter(|choice| ids.contains(&choice.id.as_str()));
            Answered {
                id: &contest.id,
                title: &contest.title,
                names: marked.map(|choice| choice_name(contest, choice)).collect(),
                is_blank_chosen: self.form.0.iter().any(|(name, value)| *name == field && value.is_empty()),
            }
        });
        let slug = self.election.slug.as_str();
        let head = Head::new(self.input.texts(), &self.election, &self.view);
        let review = ReviewPage {
            shell: Shell::of(&self.input),
            head: head.counting_down(&self.input, &self.view),
            slug,
            title: &self.election.definition.title,
            events: events_of(slug),
            form_token: self.session.form_token(&purpose(slug)),
            key,
            fields: fields.collect(),
            answers: answers.collect(),
            is_unknown,
        };
        page(if is_unknown { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK }, &review)
    }

    /// The marks of one contest; the empty value that stands for "leave this blank" is none.
    fn marked<'s>(&'s self, contest: &Contest) -> Vec<&'s str> {
        let field = field_of(contest);
        let values = self.form.0.iter().filter(|(name, value)| *name == field && !value.is_empty());
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// The form's answers, or what is wrong with them, contest by contest.
    fn answers(&self) -> Result<EncodedAnswers, Vec<Fault>> {
        let t = self.input.texts();
        let definition = &self.election.definition;
        let given = |only: Option<&Contest>| {
            let answer = |contest: &'_ Contest| {
                let is_asked = only.is_none_or(|only| only.id == contest.id);
                let marked = if is_asked { self.marked(contest) } else { Vec::new() };
                (
                    Cow::Owned(contest.id.clone()),
                    GivenAnswer::Choices(marked.into_iter().map(Cow::Borrowed).collect()),
                )
            };
            GivenAnswers(definition.contests.iter().map(answer).collect())
        };
        // Blank is always allowed, so a contest alone fails for its own fault only.
        election::answers::encode(definition, &given(None)).map_err(|_| {
            let alone = |contest: &Contest| {
                let error = election::answers::encode(definition, &given(Some(contest))).err()?;
                Some(fault(t, contest, &error))
            };
            definition.contests.iter().filter_map(alone).collect()
        })
    }
}

/// What is wrong with an answer, in the voter's words.
fn fault(t: Texts, contest: &Contest, error: &AnswerError) -> Fault {
    let message = match error {
        AnswerError::Count { min, max, given, .. } => {
            let id = match (*min, *max) {
                (min, max) if min == max => "fault-exactly",
                (0 | 1, _) => "fault-up-to",
                _ => "fault-from-to",
            };
            let (min, max) = (u64::from(*min), u64::from(*max));
            t.fill(id, [("min", min.into()), ("max", max.into()), ("given", (*given).into())])
        }
        _ => t.say("fault-unreadable").into_owned(),
    };
    Fault { contest: contest.id.clone(), title: contest.title.clone(), message }
}

pub async fn enter(input: Input) -> Page {
    let step = Step::of(input).await?;
    let Step { input, election, view, session, form } = &step;
    let typed = form.get("voter").trim();
    let token = match new_voter_token(&input.app, input.caller.address, election, Some(typed)) {
        Ok(token) => token,
        Err(problem) if problem.code == &problem::NOT_ON_LIST => {
            return Ok(identify(input, election, view, session, Some(typed)));
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

/// Takes the marks to the review. Changes nothing but the draft in the browser.
pub async fn review(input: Input) -> Page {
    let step = Step::of(input).await?;
    let who = match step.voter() {
        Ok(who) => who,
        Err(response) => return Ok(*response),
    };
    match step.draft() {
        Some(cookie) => {
            Ok(with_cookie(see_other(&format!("/e/{}/review", step.election.slug)), Some(cookie)))
        }
        // More marks than a cookie holds: the page is the answer to the form.
        None => Ok(step.show_review(&who, format!("{:032x}", rand::random::<u128>()))),
    }
}

/// Shows the answers once more, or what is wrong with them.
pub async fn show_review(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let session = Session::of(&input)?;
    let Some(draft) = Draft::of(&input, &election, &session) else {
        return Ok(with_cookie(see_other(&format!("/e/{}", election.slug)), session.cookie));
    };
    let view = election.view();
    let step = Step { input, election, view, session, form: draft.form };
    match step.voter() {
        Ok(who) => Ok(step.show_review(&who, draft.key)),
        Err(response) => Ok(*response),
    }
}

/// Back to one contest of the ballot, marks kept.
pub async fn change(input: Input) -> Page {
    let step = Step::of(input).await?;
    let who = match step.voter() {
        Ok(who) => who,
        Err(response) => return Ok(*response),
    };
    let contest = step.election.definition.contest(step.form.get("contest")).map_or(0, |(place, _)| place);
    let contest = &step.election.definition.contests[contest].id;
    match step.draft() {
        Some(cookie) => {
            let place = format!("/e/{slug}?change={contest}#contest-{contest}", slug = step.election.slug);
            Ok(with_cookie(see_other(&place), Some(cookie)))
        }
        None => Ok(step.ballot(&who, Opened::At(contest.clone()))),
    }
}

pub async fn cast(input: Input) -> Page {
    let step = Step::of(input).await?;
    let Some(shown) = shown_voter(&step.input, &step.session, &step.election) else {
        return Ok(step.identify());
    };
    if step.election.admits(shown.issued).is_err() {
        count(|counters| counters.ballot_refused(&problem::ROOM_LOCKED));
        return Ok(locked(&step.input, &step.election, &step.view, &step.session, Tried::Voting));
    }
    let answers = match step.answers() {
        Ok(answers) => answers,
        Err(faults) => return Ok(step.ballot(&shown.voter, Opened::Wrong(faults))),
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
        Ok(_) => Ok(with_cookie(step.to_receipt(), Some(forget(&step.input, &step.election)))),
        Err(problem) => refused(&step, &shown.voter, problem),
    }
}

/// A ballot that was not taken: the page that says so, and what is the case instead.
fn refused(step: &Step, who: &Voter, problem: Problem) -> Page {
    count(|counters| counters.ballot_refused(problem.code));
    match problem.code.name {
        // Sent twice, or cast in another tab: the first one stands, and its receipt says so.
        "already_voted" => Ok(step.to_receipt()),
        "election_not_open" => step.not_open(),
        "not_known_yet" => Ok(not_known(step, who, &problem)),
        _ => Err(Refusal::new(&step.input, problem)),
    }
}

/// The same form once more, under the same key: sent again it counts once, and its answer is the truth then.
fn not_known(step: &Step, who: &Voter, problem: &Problem) -> Response {
    let mut response = step.review_page(who, step.form.get("key").to_owned(), true);
    let seconds = problem.retry_after_seconds.unwrap_or(1);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    response.extensions_mut().insert(Refused(problem.code));
    response
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
