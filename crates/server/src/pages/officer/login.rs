//! Ways in for officers: the token over HTTPS or on the server's own machine, else a one-time pairing code.

use super::super::session::{Session, forged};
use super::super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use super::{Officer, front};
use crate::auth;
use crate::cookies::Purpose;
use crate::input::{Form, Input};
use crate::problem;
use askama::Template;
use axum::response::Response;
use hyper::StatusCode;
use std::borrow::Cow;

const LOGIN: &str = "login";

#[derive(Template)]
#[template(path = "admin_login.html")]
struct LoginPage<'a> {
    shell: Shell,
    fault: Option<Cow<'a, str>>,
    token_allowed: bool,
    form_token: String,
    code: &'a str,
}

/// The officer token may be typed over HTTPS, or on the server's own machine.
fn is_token_allowed(input: &Input) -> bool {
    input.caller.is_secure || input.caller.is_local
}

/// `fault` is the id of a sentence; `code` is put into its field, where it was in the link.
pub fn login(input: &Input, fault: Option<&str>, code: &str) -> Page {
    let session = Session::of(input)?;
    let shell = Shell::of(input);
    let login = LoginPage {
        fault: fault.map(|id| shell.t.say(id)),
        shell,
        token_allowed: is_token_allowed(input),
        form_token: session.form_token(LOGIN),
        code,
    };
    let status = if fault.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    Ok(with_cookie(page(status, &login), session.cookie))
}

/// A login form that this browser was served.
async fn login_form(input: Input) -> Result<(Input, Form), Refusal> {
    let session = Session::of(&input)?;
    let (input, form) = input.with_form().await?;
    let is_ours = input.is_own_page() && session.check_form(&form, LOGIN).is_ok();
    if is_ours { Ok((input, form)) } else { Err(Refusal::new(&input, forged())) }
}

pub async fn log_in(input: Input) -> Page {
    let (input, form) = login_form(input).await?;
    if !is_token_allowed(&input) {
        return login(&input, Some("login-needs-code"), "");
    }
    match auth::check_officer_token(&input.app, form.get("token").trim()) {
        Ok(()) => Ok(begin(&input)),
        Err(problem) if problem.code == &problem::UNAUTHORIZED => {
            login(&input, Some("login-wrong-token"), "")
        }
        Err(problem) => Err(Refusal::new(&input, problem)),
    }
}

pub async fn pair(input: Input) -> Page {
    let (input, form) = login_form(input).await?;
    let app = &input.app;
    if app.officers.use_code(&app.node, form.get("code"), app.now_ms()) {
        return Ok(begin(&input));
    }
    app.rates.logins.take(0, app.now_ms()).map_err(crate::ballots::rate_limited).or_page(&input)?;
    login(&input, Some("login-wrong-code"), "")
}

/// Logs the browser in. The cookie is new at each login.
fn begin(input: &Input) -> Response {
    let app = &input.app;
    let cookie = app.officers.log_in();
    let seconds = u64::from(app.limits().officer_session_hours) * 3600;
    let cookie = app.cookies.set(Purpose::Officer, input.caller.is_secure, &cookie, Some(seconds));
    with_cookie(see_other("/admin"), Some(cookie))
}

pub async fn log_out(input: Input) -> Page {
    let (input, officer, _) = Officer::posting(input).await?;
    input.app.officers.log_out(&officer.cookie, input.app.now_ms());
    let cookie = input.app.cookies.remove(Purpose::Officer, input.caller.is_secure);
    Ok(with_cookie(see_other("/admin"), Some(cookie)))
}

pub async fn pairing_code(input: Input) -> Page {
    let (input, officer, _) = Officer::posting(input).await?;
    let code = input.app.officers.new_code(&input.app.node, input.app.now_ms());
    Ok(front::list(&input, &officer, front::Said { pairing_code: Some(code), ..front::Said::default() }))
}
