//! Pages for people: server-rendered, complete without script. Handlers gather, templates show.

pub mod ballot;
pub mod casting;
mod draft;
pub mod elsewhere;
mod figures;
pub mod officer;
pub mod receipt;
pub mod record;
pub mod results;
pub mod room;
pub mod screen;
mod session;
mod waiting;

use crate::assets::{ASSETS, Encoding};
use crate::cookies::LANGUAGE_COOKIE;
use crate::input::Input;
use crate::language::{Language, Texts};
use crate::problem::{CODES, Code, Problem, Refused};
use askama::Template;
use axum::response::{IntoResponse, Response};
use elsewhere::Elsewhere;
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERER, RETRY_AFTER, SET_COOKIE, VARY,
};
use hyper::{HeaderMap, StatusCode};
use std::borrow::Cow;
use std::sync::Arc;

/// Only our own style, script and pictures; nothing inline, nothing framed, forms to ourselves.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page handler answers with.
pub type Page = Result<Response, Refusal>;

/// What every page needs.
#[derive(Clone, Debug)]
pub struct Shell {
    pub style: &'static str,
    pub screen_style: &'static str,
    pub officer_style: &'static str,
    pub script: &'static str,
    pub stage_script: &'static str,
    pub elsewhere_script: &'static str,
    pub icon: &'static str,
    pub secure: bool,
    /// Where else to go on if this server falls silent; `None` where there is nowhere.
    pub elsewhere: Option<Arc<Elsewhere>>,
    /// The page's own sentences, in the reader's language.
    pub t: Texts,
}

impl Shell {
    pub fn of(input: &Input) -> Self {
        Self {
            secure: input.caller.is_secure,
            elsewhere: Elsewhere::of(input).map(Arc::new),
            ..Self::in_language(input.texts().0)
        }
    }

    /// For a page that nobody in particular asked for, over an encrypted connection.
    fn in_language(language: Language) -> Self {
        Self {
            style: &ASSETS.style.path,
            screen_style: &ASSETS.screen_style.path,
            officer_style: &ASSETS.officer_style.path,
            script: &ASSETS.script.path,
            stage_script: &ASSETS.stage_script.path,
            elsewhere_script: &ASSETS.elsewhere_script.path,
            icon: &ASSETS.icon.path,
            secure: true,
            elsewhere: None,
            t: Texts(language),
        }
    }

    pub fn languages(&self) -> [Language; 4] {
        Language::ALL
    }
}

impl Input {
    /// The pages' sentences in the language a person chose, else in the browser's.
    pub fn texts(&self) -> Texts {
        let chosen = self.app.cookies.language(&self.headers);
        Texts(chosen.and_then(Language::from_code).unwrap_or_else(|| Language::accepted(&self.headers)))
    }
}

/// A refusal on its way to a person: the same problem as for programs, as a page.
#[derive(Debug)]
pub struct Refusal(Box<(Shell, Problem)>);

impl Refusal {
    pub fn new(input: &Input, problem: Problem) -> Self {
        Self(Box::new((Shell::of(input), problem)))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (shell, problem) = *self.0;
        refusal_page(shell, &problem)
    }
}

/// `?` on problems in page handlers.
pub trait OrPage<T> {
    fn or_page(self, input: &Input) -> Result<T, Refusal>;
}

impl<T> OrPage<T> for Result<T, Problem> {
    fn or_page(self, input: &Input) -> Result<T, Refusal> {
        self.map_err(|problem| Refusal::new(input, problem))
    }
}

pub fn refuse(input: &Input, problem: Problem) -> Response {
    Refusal::new(input, problem).into_response()
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    shell: Shell,
    title: Cow<'a, str>,
    text: Cow<'a, str>,
    /// What became of a vote that was on its way, and when to come back.
    again: Option<String>,
    detail: Option<&'a str>,
}

fn refusal_page(shell: Shell, problem: &Problem) -> Response {
    let code = problem.code;
    let (title, text) = match words_for_people(code.name) {
        Some((title, text)) => (shell.t.say(title), shell.t.say(text)),
        None => (Cow::Borrowed(code.title), Cow::Borrowed(code.advice)),
    };
    let seconds = u64::from(problem.retry_after_seconds.unwrap_or(5));
    let is_full = matches!(code.status, 503 | 429);
    let again = is_full.then(|| shell.t.with("problem-again", "seconds", seconds));
    let is_said = problem.detail == code.title || is_full || words_for_people(code.name).is_some();
    let detail = (!is_said).then_some(&*problem.detail);
    let message = Message { shell, title, text, again, detail };
    let mut response = page(problem.status(), &message);
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(Refused(code));
    response
}

/// Title and advice for people, in the catalogue, of the codes that a voter can meet. What only programs and officers
/// meet stays in the words of the interface.
fn words_for_people(code: &str) -> Option<(&'static str, &'static str)> {
    Some(match code {
        "not_found" => ("problem-not-found", "problem-not-found-text"),
        "no_such_election" => ("problem-no-such-election", "problem-no-such-election-text"),
        "no_such_room" => ("problem-no-such-room", "problem-no-such-room-text"),
        "method_not_allowed" => ("problem-method-not-allowed", "problem-method-not-allowed-text"),
        "forbidden" => ("problem-forbidden", "problem-forbidden-text"),
        "not_on_list" | "list_only" => ("not-on-list", "not-on-list-text"),
        "results_hidden" => ("problem-results-hidden", "problem-results-hidden-text"),
        "room_locked" => ("waiting-locked", "waiting-locked-text"),
        "idempotency_key_reused" => ("problem-key-reused", "problem-key-reused-text"),
        "malformed_request" | "malformed_query" | "unsupported_media_type" | "uri_too_long" => {
            ("problem-malformed", "problem-malformed-text")
        }
        "request_timeout" => ("problem-timeout", "problem-timeout-text"),
        "body_too_large" => ("problem-too-large", "problem-too-large-text"),
        "rate_limited" => ("problem-rate-limited", "problem-rate-limited-text"),
        "overloaded" => ("problem-overloaded", "problem-overloaded-text"),
        "storage_full" => ("problem-storage-full", "problem-storage-full-text"),
        "no_leader" => ("problem-no-leader", "problem-no-leader-text"),
        "not_known_yet" => ("not-known-title", "not-known-text"),
        "stopping" => ("problem-stopping", "problem-stopping-text"),
        "internal" => ("problem-internal", "problem-internal-text"),
        _ => return None,
    })
}

/// Renders a template with the headers of every page.
pub fn page(status: StatusCode, template: &impl Template) -> Response {
    let html = match template.render() {
        Ok(html) => html,
        Err(error) => {
            tracing::error!(%error, "a page cannot be rendered");
            return StatusCode::INTERNAL_SERVER_ERROR.into_response();
        }
    };
    let mut response = html.into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    set_security_headers(headers);
    response
}

pub fn set_security_headers(headers: &mut HeaderMap) {
    let fixed = [
        ("content-security-policy", CONTENT_SECURITY_POLICY),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "same-origin"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cross-origin-resource-policy", "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// 303: the browser goes on with a GET.
pub fn see_other(place: &str) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let place = HeaderValue::try_from(place).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(LOCATION, place);
    set_security_headers(response.headers_mut());
    response
}

pub fn with_cookie(mut response: Response, cookie: Option<HeaderValue>) -> Response {
    if let Some(cookie) = cookie {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Lets pages of exactly these origins show this one in a frame.
pub fn embeddable(mut response: Response, origins: &[String]) -> Response {
    let ancestors = format!("frame-ancestors {}", origins.join(" "));
    let policy = CONTENT_SECURITY_POLICY.replace("frame-ancestors 'none'", &ancestors);
    if let Ok(policy) = HeaderValue::try_from(policy) {
        response.headers_mut().insert(HeaderName::from_static("content-security-policy"), policy);
    }
    response
}

pub async fn asset(input: Input) -> Page {
    let found = ASSETS.find(input.uri.path());
    let asset = found.ok_or(Problem::plain(&crate::problem::NOT_FOUND)).or_page(&input)?;
    let (bytes, encoding) = asset.encoded(input.headers.get(ACCEPT_ENCODING));
    let mut response = bytes.clone().into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.content_type));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    set_security_headers(headers);
    Ok(response)
}

/// Remembers the language a person chose, in the browser, and goes back to the page it was chosen on.
pub async fn choose_language(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let back = own_path(&input).unwrap_or("/".to_owned());
    let (input, form) = input.with_form().await?;
    if !input.is_own_page() {
        return Err(Refusal::new(&input, session::forged()));
    }
    let problem = || Problem::new(&crate::problem::INVALID_VALUE, "there is no such language").at("language");
    let chosen = Language::from_code(form.get("language")).ok_or_else(problem).or_page(&input)?;
    let cookie =
        format!("{LANGUAGE_COOKIE}={}; Path=/; HttpOnly; SameSite=Lax; Max-Age=31536000", chosen.code());
    Ok(with_cookie(see_other(&back), HeaderValue::try_from(cookie).ok()))
}

/// The path of the page that sent a form, if it is one of ours: browsers send it to the same origin only.
fn own_path(input: &Input) -> Option<String> {
    let referer = input.headers.get(REFERER)?.to_str().ok()?;
    let (_, rest) = referer.split_once("://")?;
    let path = &rest[rest.find('/')?..];
    let path = path.split(['?', '#']).next()?;
    (!path.starts_with("//")).then(|| path.to_owned())
}

#[derive(Template)]
#[template(path = "errors.html")]
struct Errors {
    shell: Shell,
    codes: &'static [&'static Code],
}

pub async fn errors(input: Input) -> Page {
    Ok(page(StatusCode::OK, &Errors { shell: Shell::of(&input), codes: CODES }))
}
