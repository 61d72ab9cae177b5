//! Pages for people: server-rendered, complete without script. Handlers gather, templates show.

pub mod ballot;
mod figures;
pub mod officer;
pub mod receipt;
pub mod record;
pub mod results;
pub mod room;
pub mod screen;
mod session;

use crate::assets::{ASSETS, Encoding};
use crate::cookies::LANGUAGE_COOKIE;
use crate::input::Input;
use crate::language::{Language, Texts};
use crate::problem::{CODES, Code, Problem, Refused};
use askama::Template;
use axum::response::{IntoResponse, Response};
use hyper::header::{
    ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    REFERER, RETRY_AFTER, SET_COOKIE, VARY,
};
use hyper::{HeaderMap, StatusCode};

/// Only our own style, script and pictures; nothing inline, nothing framed, forms to ourselves.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// What a page handler answers with.
pub type Page = Result<Response, Refusal>;

/// What every page needs.
#[derive(Clone, Copy, Debug)]
pub struct Shell {
    pub style: &'static str,
    pub screen_style: &'static str,
    pub officer_style: &'static str,
    pub script: &'static str,
    pub icon: &'static str,
    pub secure: bool,
    /// The page's own sentences, in the reader's language.
    pub t: Texts,
}

impl Shell {
    pub fn of(input: &Input) -> Self {
        Self {
            style: &ASSETS.style.path,
            screen_style: &ASSETS.screen_style.path,
            officer_style: &ASSETS.officer_style.path,
            script: &ASSETS.script.path,
            icon: &ASSETS.icon.path,
            secure: input.caller.is_secure,
            t: input.texts(),
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
    title: &'a str,
    text: &'a str,
    detail: Option<&'a str>,
    links: &'a [(&'a str, &'a str)],
}

fn refusal_page(shell: Shell, problem: &Problem) -> Response {
    let full = format!(
        "{} Your vote was not cast by this request. Try again in {} s.",
        problem.code.advice,
        problem.retry_after_seconds.unwrap_or(5)
    );
    let text = match problem.code.status {
        503 | 429 => &full,
        _ => problem.code.advice_for_people(),
    };
    let detail = (problem.detail != problem.code.title).then_some(&*problem.detail);
    let links: &[(&str, &str)] = &[("/", "Enter a code")];
    let message = Message { shell, title: problem.code.title, text, detail, links };
    let mut response = page(problem.status(), &message);
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response.extensions_mut().insert(Refused(problem.code));
    response
}

impl Code {
    /// Advice without what only a program can do.
    fn advice_for_people(&self) -> &'static str {
        match self.name {
            "not_found" => "The address may be mistyped, or what was here is gone.",
            "no_such_election" => {
                "The address may be mistyped; the code on the screen leads to what is open now."
            }
            "no_such_room" => "Check the code on the screen: letters and digits, capitals do not matter.",
            "method_not_allowed" => "This address is for forms. Go back and send the form again.",
            "forbidden" => {
                "The form is older than this session, or was sent from another site. Go back, reload the page and send it again."
            }
            _ => self.advice,
        }
    }
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
    (!path.starts_with("//") && input.is_same_origin()).then(|| path.to_owned())
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
