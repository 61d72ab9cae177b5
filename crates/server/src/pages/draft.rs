//! What is marked and not cast: kept in a cookie of the voter's own browser, so that the way back, a reload and another
//! language find it, and no page of the voter's way is one that a browser asks to send again.
//!
//! The cookie is bound to the session, so that nobody can put marks there for somebody else, and goes with the cast.

use super::ballot::field_of;
use super::session::Session;
use crate::app::with_edge;
use crate::input::{Form, Input};
use election::definition::{Contest, Definition};
use hyper::header::HeaderValue;
use node::ElectionHandle;

/// Browsers keep cookies of 4,096 bytes, name and attributes included.
const DRAFT_BYTES_MAX: usize = 3_500;
/// Stands for "leave this blank".
const BLANK: &str = "_";

/// Marks on their way through ballot and review.
#[derive(Debug)]
pub struct Draft {
    /// The idempotency key under which exactly these marks are cast.
    pub key: String,
    /// The marks, as the ballot's form sends them.
    pub form: Form,
}

impl Draft {
    /// The draft that the browser shows, if it is the session's own and fits the election.
    pub fn of(input: &Input, election: &ElectionHandle, session: &Session) -> Option<Draft> {
        let shown = input.app.cookies.draft(&input.headers)?;
        let (proof, content) = shown.split_once('~')?;
        let is_own =
            with_edge(|edge| edge.verify_form_token(proof, &session.token, &purpose(election, content)));
        let mut parts = content.split('~').filter(|_| is_own);
        let key = parts.next()?.to_owned();
        let mut fields = Vec::new();
        for part in parts {
            let (contest, choices) = part.split_once(':')?;
            let (_, contest) = election.definition.contest(contest)?;
            for choice in choices.split('.') {
                let value = if choice == BLANK { "" } else { choice };
                fields.push((field_of(contest), value.to_owned()));
            }
        }
        Some(Draft { key, form: Form(fields) })
    }

    /// The marks of a posted form under a new key; `None` where a cookie cannot hold them.
    pub fn new(form: &Form, definition: &Definition) -> Option<Draft> {
        let key = format!("{:032x}", rand::random::<u128>());
        let mut fields = Vec::new();
        for contest in &definition.contests {
            let field = field_of(contest);
            let values = form.0.iter().filter(|(name, _)| *name == field).map(|(_, value)| value);
            for value in values {
                is_known(contest, value).then_some(())?;
                fields.push((field.clone(), value.clone()));
            }
        }
        Some(Draft { key, form: Form(fields) })
            .filter(|draft| draft.content(definition).len() <= DRAFT_BYTES_MAX)
    }

    /// The cookie that keeps it.
    pub fn cookie(&self, input: &Input, election: &ElectionHandle, session: &Session) -> HeaderValue {
        let content = self.content(&election.definition);
        let proof = with_edge(|edge| edge.form_token(&session.token, &purpose(election, &content)));
        let value = format!("{proof}~{content}");
        input.app.cookies.set_draft(election.slug.as_str(), &value, input.caller.is_secure)
    }

    /// The key, and per contest with marks its id with those of the choices.
    fn content(&self, definition: &Definition) -> String {
        let mut content = self.key.clone();
        for contest in &definition.contests {
            let field = field_of(contest);
            let values = self.form.0.iter().filter(|(name, _)| *name == field);
            let values: Vec<&str> =
                values.map(|(_, value)| if value.is_empty() { BLANK } else { value }).collect();
            if !values.is_empty() {
                content += &format!("~{}:{}", contest.id, values.join("."));
            }
        }
        content
    }
}

/// The cookie that removes a draft.
pub fn forget(input: &Input, election: &ElectionHandle) -> HeaderValue {
    input.app.cookies.set_draft(election.slug.as_str(), "", input.caller.is_secure)
}

fn purpose(election: &ElectionHandle, content: &str) -> String {
    format!("draft/{}/{content}", election.slug)
}

fn is_known(contest: &Contest, value: &str) -> bool {
    value.is_empty() || contest.choices.iter().any(|choice| choice.id == value)
}
