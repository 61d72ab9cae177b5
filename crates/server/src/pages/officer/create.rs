//! Making elections: from the form, from a template, from another election, from a file.

use super::super::{OrPage, Page, Refusal, see_other};
use super::front::{self, Said};
use super::{Done, Officer, on_page};
use crate::api::elections::definition_problem;
use crate::api::rooms::{add, show_screen};
use crate::app::App;
use crate::definition_file;
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::multipart;
use crate::problem::{self, Problem};
use crate::views;
use election::definition::{
    Definition, Eligibility, Method, RawAfterVoters, RawChoice, RawChoose, RawClosing, RawContest,
    RawDefinition, results_text,
};
use election::room::{Pace, RoomCode, Screen, Show};
use election::{Slug, UnixMillis};
use node::OfficerRequest;
use std::sync::Arc;

/// Names tried for a poll whose first name is taken.
const SLUG_TRIES: u32 = 100;
const MINUTES_MAX: u64 = 60 * 24 * 30;

/// What a poll's form holds, as typed.
#[derive(Clone, Debug)]
pub struct PollForm {
    pub kind: String,
    pub title: String,
    pub choices: String,
    pub max: String,
    pub majority: String,
    pub results: String,
    pub after: String,
    pub minutes: String,
    /// A room's code; empty for a new room.
    pub room: String,
    pub pace: String,
}

pub const KINDS: [&str; 5] = ["yes-no", "choice", "approval", "rating", "motion"];
pub const RESULTS: [&str; 5] = ["on-reveal", "live", "at-close", "own-ballot", "on-publish"];
pub const MAJORITIES: [&str; 5] = [">1/2", ">=1/2", ">=3/5", ">=2/3", ">=3/4"];
pub const TEMPLATES: [&str; 5] = ["yes-no", "feedback", "pick-one", "dates", "motion"];

impl PollForm {
    pub fn empty() -> PollForm {
        let text = String::new;
        PollForm {
            kind: "choice".to_owned(),
            title: text(),
            choices: text(),
            max: "1".to_owned(),
            majority: ">1/2".to_owned(),
            results: "on-reveal".to_owned(),
            after: text(),
            minutes: text(),
            room: text(),
            pace: "led".to_owned(),
        }
    }

    fn of(form: &Form) -> PollForm {
        let take = |name: &str| form.get(name).trim().to_owned();
        let or = |name: &str, default: &str| match form.get(name).trim() {
            "" => default.to_owned(),
            text => text.to_owned(),
        };
        PollForm {
            kind: or("kind", "choice"),
            title: take("title"),
            choices: form.get("choices").to_owned(),
            max: or("max", "1"),
            majority: or("majority", ">1/2"),
            results: or("results", "on-reveal"),
            after: take("after"),
            minutes: take("minutes"),
            room: take("room"),
            pace: or("pace", "led"),
        }
    }

    /// A ready poll in the officer's language; `None` if there is none of this name.
    pub fn template(t: Texts, name: &str) -> Option<PollForm> {
        let say = |id: &str| t.say(id).into_owned();
        let empty = PollForm::empty();
        Some(match name {
            "yes-no" => PollForm { kind: "yes-no".into(), title: say("ready-yes-no-question"), ..empty },
            "feedback" => PollForm { kind: "rating".into(), title: say("ready-feedback-question"), ..empty },
            "pick-one" => PollForm {
                title: say("ready-pick-one-question"),
                choices: say("ready-pick-one-choices").replace(" | ", "\n"),
                ..empty
            },
            "dates" => PollForm {
                kind: "approval".into(),
                title: say("ready-dates-question"),
                choices: say("ready-dates-choices").replace(" | ", "\n"),
                ..empty
            },
            "motion" => PollForm {
                kind: "motion".into(),
                title: say("ready-motion-question"),
                majority: ">=2/3".into(),
                results: "at-close".into(),
                ..empty
            },
            _ => return None,
        })
    }

    /// Another election's question and rules, to be changed; `None` for one that the form cannot hold.
    pub fn like(definition: &Definition) -> Option<PollForm> {
        let [contest] = &definition.contests[..] else { return None };
        let is_plain = contest.choices.iter().all(|choice| {
            choice.description.is_none()
                && choice.photo.is_none()
                && choice.link.is_none()
                && choice.party.is_none()
        });
        let is_simple = is_plain
            && contest.title == definition.title
            && contest.description.is_none()
            && definition.description.is_none()
            && definition.groups.is_empty()
            && definition.eligibility == Eligibility::Open
            && definition.ballots_per_voter == 1
            && contest.seats == 1
            && contest.quorum.is_none();
        if !is_simple {
            return None;
        }
        let kind = match contest.method {
            Method::Plurality => "choice",
            Method::Approval => "approval",
            Method::Motion => "motion",
            Method::Rating if contest.choices.len() == 5 && contest.choices[0].level() == Some(1) => "rating",
            Method::Rating => return None,
        };
        let names: Vec<&str> = contest.choices.iter().map(|choice| choice.name.as_str()).collect();
        let after = definition.closing.after_voters.and_then(|after| match after {
            election::definition::AfterVoters::Number(number) => Some(number.to_string()),
            election::definition::AfterVoters::All => None,
        });
        Some(PollForm {
            kind: kind.to_owned(),
            title: definition.title.clone(),
            choices: if matches!(kind, "choice" | "approval") { names.join("\n") } else { String::new() },
            max: contest.choose_max.to_string(),
            majority: contest.majority.to_string(),
            results: results_text(definition.results).to_owned(),
            after: after.unwrap_or_default(),
            ..PollForm::empty()
        })
    }

    /// The definition, without its slug. `now` is what a time limit begins at.
    fn definition(&self, t: Texts, now: UnixMillis, starts: bool) -> Result<RawDefinition, Problem> {
        let fault = |field: &'static str, id: &str| {
            Err(Problem::new(&problem::INVALID_DEFINITION, t.say(id)).at(field))
        };
        let number = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
        if self.title.is_empty() {
            return fault("title", "form-no-question");
        }
        let lines = self.choices.lines().map(str::trim).filter(|name| !name.is_empty());
        let names: Vec<String> = lines.map(str::to_owned).collect();
        let takes_choices = matches!(&*self.kind, "choice" | "approval");
        if takes_choices && names.len() < 2 {
            return fault("choices", "form-no-choices");
        }
        let Some(max) = number(&self.max).and_then(|max| u16::try_from(max).ok()) else {
            return fault("max", "form-no-number");
        };
        let choice = |name: &str| RawChoice::Name(name.to_owned());
        let contest = RawContest {
            id: Some("question".to_owned()),
            title: self.title.clone(),
            ..RawContest::default()
        };
        let contest = match &*self.kind {
            "yes-no" => RawContest {
                choices: vec![choice(&t.say("choice-yes")), choice(&t.say("choice-no"))],
                ..contest
            },
            "approval" => RawContest {
                method: Some("approval".to_owned()),
                choices: names.iter().map(|name| choice(name)).collect(),
                ..contest
            },
            "rating" => RawContest { method: Some("rating".to_owned()), ..contest },
            "motion" => RawContest {
                method: Some("motion".to_owned()),
                majority: Some(self.majority.clone()),
                ..contest
            },
            _ => RawContest {
                choose: Some(RawChoose { min: Some(0), max: Some(max.min(names.len().max(1) as u16)) }),
                choices: names.iter().map(|name| choice(name)).collect(),
                ..contest
            },
        };
        let after_voters = match &*self.after {
            "" => None,
            text => match number(text) {
                Some(number) => Some(RawAfterVoters::Number(number)),
                None => return fault("after", "form-no-number"),
            },
        };
        let at = match (&*self.minutes, number(&self.minutes)) {
            ("", _) => None,
            (_, None) => return fault("minutes", "form-no-number"),
            (_, Some(minutes)) if minutes > MINUTES_MAX => return fault("minutes", "form-too-long"),
            // A draft's time would run before anybody can vote.
            (_, Some(_)) if !starts => return fault("minutes", "form-draft-has-no-limit"),
            (_, Some(minutes)) => Some(UnixMillis(now.0 + minutes * 60_000).to_string()),
        };
        Ok(RawDefinition {
            title: self.title.clone(),
            results: Some(self.results.clone()),
            closing: Some(RawClosing { at, after_voters, click_grace_seconds: None }),
            contest: vec![contest],
            ..RawDefinition::default()
        })
    }
}

/// Makes a poll and puts it into a room; `start` also opens it and shows it on the room's screen.
pub async fn poll(input: Input) -> Page {
    let (input, officer, form) = Officer::posting(input).await?;
    let draft = PollForm::of(&form);
    let starts = form.get("do") != "draft";
    match make_poll(&input.app, input.texts(), &draft, starts).await {
        Ok(place) => Ok(see_other(&place)),
        Err(problem) => {
            let field = problem.field.clone();
            let is_ours = problem.code == &problem::INVALID_DEFINITION && field.is_some();
            let mut done = on_page(&input, problem)?;
            done.is_english &= !is_ours;
            done.field = field.map(|field| form_field(&field).to_owned());
            Ok(front::list(
                &input,
                &officer,
                Said { done: Some(done), draft: Some(draft), ..Said::default() },
            ))
        }
    }
}

/// The form's field behind a definition's.
fn form_field(field: &str) -> &str {
    match field {
        "title" | "choices" | "max" | "after" | "minutes" | "room" | "results" => field,
        field if field.contains("choices") => "choices",
        field if field.contains("choose") => "max",
        field if field.contains("after_voters") => "after",
        field if field.contains("closing") => "minutes",
        _ => "title",
    }
}

async fn make_poll(app: &App, t: Texts, draft: &PollForm, starts: bool) -> Result<String, Problem> {
    let room = match &*draft.room {
        "" | "none" => None,
        code => Some(views::room(app, code)?),
    };
    let raw = draft.definition(t, app.node.now(), starts)?;
    let slug = create_with_free_slug(app, &draft.title, raw).await?;
    let code = match room {
        Some(room) => {
            add(app, room.code.clone(), slug.clone()).await?;
            room.code
        }
        None if draft.room == "none" && !starts => return Ok(format!("/admin/e/{slug}")),
        None => {
            let pace = if draft.pace == "own" { Pace::Own } else { Pace::Led };
            new_room(app, &draft.title, pace, vec![slug.clone()]).await?
        }
    };
    if starts {
        start(app, &code, &slug).await?;
    }
    Ok(format!("/admin/r/{code}"))
}

pub async fn new_room(app: &App, title: &str, pace: Pace, elections: Vec<Slug>) -> Result<RoomCode, Problem> {
    let request = OfficerRequest::CreateRoom { title: title.to_owned(), pace, elections };
    let acted = app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    Ok(acted.room.expect("making a room answers with its code"))
}

/// Opens an election and shows it on the room's screen: its counts at once where they are live.
pub async fn start(app: &App, code: &RoomCode, slug: &Slug) -> Result<(), Problem> {
    app.node.act(OfficerRequest::Open(slug.clone())).await.map_err(|error| views::refusal(&error))?;
    let is_live = app
        .node
        .election(slug.as_str())
        .is_some_and(|election| election.definition.results == election::definition::ResultsMode::Live);
    let show = if is_live { Show::Results } else { Show::Election };
    show_screen(app, code.clone(), Screen { show, election: Some(slug.clone()) }).await
}

/// Makes the election under a name made from its title, with a number behind it if that is taken.
pub async fn create_with_free_slug(app: &App, title: &str, raw: RawDefinition) -> Result<Slug, Problem> {
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

/// A copy of an election as a draft, with all that its definition says but its closing time.
pub async fn duplicate(app: &App, definition: &Definition) -> Result<Slug, Problem> {
    let mut raw: RawDefinition =
        serde_json::from_str(&definition.to_json()).map_err(|_| Problem::plain(&problem::INTERNAL))?;
    raw.round = None;
    raw.follows = None;
    raw.rehearsal_of = None;
    if let Some(closing) = &mut raw.closing {
        closing.at = None;
    }
    create_with_free_slug(app, &definition.title, raw).await
}

/// Makes an empty room.
pub async fn room(input: Input) -> Page {
    let (input, officer, form) = Officer::posting(input).await?;
    let title = form.get("room_title").trim();
    let pace = if form.get("pace") == "own" { Pace::Own } else { Pace::Led };
    let made = match title {
        "" => Err(None),
        title => new_room(&input.app, title, pace, Vec::new()).await.map_err(Some),
    };
    let done = match made {
        Ok(code) => return Ok(see_other(&format!("/admin/r/{code}"))),
        Err(None) => Done::fault(input.texts(), input.texts().say("form-no-title").into_owned()),
        Err(Some(problem)) => on_page(&input, problem)?,
    };
    let done = Done { field: Some("room_title".to_owned()), ..done };
    Ok(front::list(&input, &officer, Said { done: Some(done), ..Said::default() }))
}

/// Makes an election from a file in TOML or JSON, as `hustings election create` does.
pub async fn upload(input: Input) -> Page {
    let content_type = input.headers.get(hyper::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    // A large body is for officers alone, so the cookie is looked at before the form's token can be.
    if Officer::of(&input).is_none() {
        return Err(Refusal::new(&input, Problem::new(&problem::FORBIDDEN, "log in first")));
    }
    let bytes_max = input.app.limits().definition_bytes_max;
    let (input, body) = input.with_bytes(bytes_max).await?;
    let fields = multipart::fields(&content_type, &body);
    let malformed = || Problem::new(&problem::MALFORMED_REQUEST, "send the form with a text file");
    let fields = fields.ok_or_else(malformed).or_page(&input)?;
    let get = |name: &str| fields.get(name).map_or("", String::as_str);
    let officer = Officer::sending(&input, get("form"))?;
    match make_from_file(&input.app, get("file"), get("room")).await {
        Ok(place) => Ok(see_other(&place)),
        Err(problem) => {
            let at = problem.field.clone();
            let mut done = on_page(&input, problem)?;
            if let Some(at) = at.filter(|at| *at != "file" && !done.text.contains(&format!("`{at}`"))) {
                done.text = format!("{at}: {}", done.text);
            }
            done.field = Some("file".to_owned());
            Ok(front::list(&input, &officer, Said { done: Some(done), ..Said::default() }))
        }
    }
}

async fn make_from_file(app: &Arc<App>, text: &str, room: &str) -> Result<String, Problem> {
    if text.trim().is_empty() {
        return Err(
            Problem::new(&problem::INVALID_DEFINITION, "choose a file with an election in it").at("file")
        );
    }
    let room = match room {
        "" => None,
        code => Some(views::room(app, code)?),
    };
    let members = definition_file::read(text)
        .map_err(|why| Problem::new(&problem::INVALID_DEFINITION, why).at("file"))?;
    let (definition, voters) = crate::api::elections::read_definition(app, members).await?;
    let slug = definition.slug.clone();
    let request = OfficerRequest::Create(Box::new(definition), voters);
    app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    match room {
        Some(room) => {
            add(app, room.code.clone(), slug).await?;
            Ok(format!("/admin/r/{}", room.code))
        }
        None => Ok(format!("/admin/e/{slug}")),
    }
}
