//! Officers' pages: who is logged in, and what their forms carry.
//!
//! [`front`] lists and makes, [`election`] leads one election through its states, [`room`] leads a room with its
//! screen, from a desk or from a phone, [`export`] takes results out, and [`cluster`] shows the servers. Nothing changes by a GET; every form has a
//! token that is bound to the officer's cookie.

pub mod cluster;
pub mod create;
pub mod election;
pub mod export;
pub mod front;
pub mod login;
pub mod room;

use super::Refusal;
use super::session::forged;
use crate::app::with_edge;
use crate::cookies::Purpose;
use crate::input::{Form, Input};
use crate::language::Texts;
use crate::problem::{self, Problem};
use hyper::StatusCode;

const OFFICER: &str = "officer";

/// An officer's browser: its cookie, which its forms are bound to.
pub struct Officer {
    cookie: String,
}

impl Officer {
    pub fn of(input: &Input) -> Option<Officer> {
        let app = &input.app;
        let cookie = app.cookies.get(&input.headers, Purpose::Officer, input.caller.is_secure)?;
        app.officers.is_logged_in(cookie, app.now_ms()).then(|| Officer { cookie: cookie.to_owned() })
    }

    pub fn form_token(&self) -> String {
        with_edge(|edge| edge.form_token(&self.cookie, OFFICER))
    }

    /// The officer who posted a form, and the form, known to be from one of our pages.
    pub async fn posting(input: Input) -> Result<(Input, Officer, Form), Refusal> {
        let (input, form) = input.with_form().await?;
        let officer = Officer::sending(&input, form.get("form"))?;
        Ok((input, officer, form))
    }

    /// The officer whose browser sent this with the form token `token`.
    pub fn sending(input: &Input, token: &str) -> Result<Officer, Refusal> {
        let Some(officer) = Officer::of(input) else {
            return Err(Refusal::new(input, Problem::new(&problem::FORBIDDEN, "log in first")));
        };
        let is_ours =
            input.is_own_page() && with_edge(|edge| edge.verify_form_token(token, &officer.cookie, OFFICER));
        if is_ours { Ok(officer) } else { Err(Refusal::new(input, forged())) }
    }
}

/// What an act came to, told once.
pub struct Done {
    pub is_fault: bool,
    pub title: String,
    pub text: String,
    /// The id of the field at fault, for the link to it.
    pub field: Option<String>,
    /// The text is the core's own, in English.
    pub is_english: bool,
}

impl Done {
    pub fn good(t: Texts, title: &str, text: String) -> Done {
        let title = t.say(title).into_owned();
        Done { is_fault: false, title, text, field: None, is_english: false }
    }

    /// A refusal that can be mended on the page; the others are pages of their own.
    pub fn refused(t: Texts, problem: Problem) -> Done {
        Done {
            is_fault: true,
            title: t.say("done-not").into_owned(),
            text: problem.detail.into_owned(),
            field: None,
            is_english: true,
        }
    }

    pub fn fault(t: Texts, text: String) -> Done {
        let title = t.say("done-not").into_owned();
        Done { is_fault: true, title, text, field: None, is_english: false }
    }

    pub fn status(done: Option<&Done>, fault: StatusCode) -> StatusCode {
        if done.is_some_and(|done| done.is_fault) { fault } else { StatusCode::OK }
    }
}

/// A problem as a line on the page that sent the form, or as a page of its own if the fault is not the form's.
pub fn on_page(input: &Input, problem: Problem) -> Result<Done, Refusal> {
    match problem.code.status {
        500.. | 404 => Err(Refusal::new(input, problem)),
        _ => Ok(Done::refused(input.texts(), problem)),
    }
}
