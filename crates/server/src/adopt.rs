//! Forms from pages of the cluster's other servers: what those servers' cookies said comes along as hidden fields, is
//! checked here, and becomes cookies of this server.
//!
//! Only the `Origin` that the browser sends makes a form one of ours; any other site could fill in a session, too.

use crate::app::{App, with_edge};
use crate::body::{BodyLimit, read_all};
use crate::cookies::Purpose;
use crate::input::{Form, parse_form};
use crate::problem::{self, Problem};
use bytes::Bytes;
use hyper::Request;
use hyper::body::Body;
use hyper::header::{CONTENT_TYPE, COOKIE, HeaderValue, ORIGIN};
use std::sync::Arc;

/// How the names of such fields begin; the rest is the cookie's purpose.
pub const FIELD: &str = "as-";
const SEEN: &str = "seen";
/// Lists that one browser is entered on and carries along.
const LISTS_MAX: usize = 20;
const VOTER_COOKIE_SECONDS: u64 = 30 * 24 * 3600;

/// What a browser's cookies say, as fields for forms to other servers. `with_officer`: on officers' own pages.
pub fn fields(
    app: &App,
    headers: &hyper::HeaderMap,
    is_secure: bool,
    with_officer: bool,
) -> Vec<(String, String)> {
    let carried = app.cookies.carried(headers, is_secure).into_iter();
    let fits = |purpose: &str| match purpose {
        "voter" | SEEN => true,
        "officer" => with_officer,
        list => list.starts_with("list-"),
    };
    let fields = carried.filter(|(purpose, _)| fits(purpose));
    fields
        .map(|(purpose, value)| (format!("{FIELD}{purpose}"), value.to_owned()))
        .take(LISTS_MAX + 3)
        .collect()
}

/// A form posted from a page of another server, its fields as cookies of the request; and the cookies to set for good.
/// Any other request is left as it is.
pub async fn adopt<B>(
    app: &Arc<App>,
    request: Request<B>,
    is_secure: bool,
) -> Result<(Request<axum::body::Body>, Vec<HeaderValue>), Problem>
where
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    if !is_from_another_server(app, &request) {
        return Ok((request.map(axum::body::Body::new), Vec::new()));
    }
    let (mut head, body) = request.into_parts();
    let limits = app.limits();
    let limit = BodyLimit { bytes_max: limits.body_bytes_max, timeout_seconds: limits.body_timeout_seconds };
    let bytes = read_all(body, limit).await?;
    let form = parse_form(&bytes).map(Form).ok_or_else(|| Problem::plain(&problem::MALFORMED_REQUEST))?;
    let mut adopted = Vec::new();
    for (name, value) in form.0.iter().take(4_096) {
        let Some(purpose) = name.strip_prefix(FIELD).filter(|_| adopted.len() < LISTS_MAX + 3) else {
            continue;
        };
        if is_good(app, purpose, value) && app.cookies.raw(&head.headers, purpose, is_secure) != Some(value) {
            adopted.push((purpose.to_owned(), value.clone()));
        }
    }
    let mut cookies = Vec::new();
    let mut shown = String::new();
    for (purpose, value) in &adopted {
        let hours = u64::from(limits.officer_session_hours);
        let age = if purpose == "officer" { hours * 3600 } else { VOTER_COOKIE_SECONDS };
        shown += &format!("{}={value}; ", app.cookies.raw_name(purpose, is_secure));
        cookies.push(app.cookies.set_raw(purpose, is_secure, value, Some(age)));
    }
    // The first of two cookies of one name is the one that is read.
    if let Ok(line) = HeaderValue::try_from(shown.trim_end_matches("; ")) {
        let rest: Vec<HeaderValue> = head.headers.get_all(COOKIE).iter().cloned().collect();
        head.headers.insert(COOKIE, line);
        rest.into_iter().for_each(|line| _ = head.headers.append(COOKIE, line));
    }
    Ok((Request::from_parts(head, axum::body::Body::from(bytes)), cookies))
}

fn is_from_another_server<B>(app: &App, request: &Request<B>) -> bool {
    let members = app.members();
    let header = |name| request.headers().get(name);
    !members.others.is_empty()
        && *request.method() == hyper::Method::POST
        && !request.uri().path().starts_with("/api/")
        && header(ORIGIN).is_some_and(|origin| members.knows(origin))
        && header(CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"))
}

/// Whether a field holds what only a server of this cluster can have made.
fn is_good(app: &App, purpose: &str, value: &str) -> bool {
    match purpose {
        "voter" => with_edge(|edge| edge.verify_session(value)).is_ok(),
        "officer" => app.officers.is_logged_in(value, app.now_ms()),
        SEEN => value.len() <= 20 && value.bytes().all(|byte| byte.is_ascii_digit()),
        list => {
            let Some(id) = list.strip_prefix("list-").filter(|id| id.len() == 16) else { return false };
            let directory = app.node.directory();
            let mut elections = directory.by_index.iter();
            let election = elections.find(|election| election.id.to_string().starts_with(id));
            election.is_some_and(|election| with_edge(|edge| edge.verify_voter(value, election)).is_ok())
        }
    }
}

/// The position up to which a browser has seen the ledger.
pub fn seen(app: &App, headers: &hyper::HeaderMap, is_secure: bool) -> Option<u64> {
    app.cookies.get(headers, Purpose::Seen, is_secure)?.parse().ok()
}
