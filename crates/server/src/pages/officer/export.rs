//! Results as files, for the officer: JSON as the interface answers, and a table for spreadsheets.

use super::super::{OrPage, Page};
use super::Officer;
use super::login::login;
use crate::input::Input;
use crate::views;
use crate::wire::ResultsBody;
use axum::response::{IntoResponse, Response};
use election::{Shown, Viewer};
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use node::ElectionHandle;
use std::sync::Arc;

const COLUMNS: &str = "election,title,round,state,voters,contest,choice,votes\r\n";

/// `results.csv` or `results.json` of an election.
pub async fn results(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    if Officer::of(&input).is_none() {
        return login(&input, None, "");
    }
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let slug = election.slug.to_string();
    if input.uri.path().ends_with(".json") {
        let view = election.view();
        let body = ResultsBody::new(&views::figures(&election, &view, Viewer::Officer));
        let json = serde_json::to_string_pretty(&body).expect("figures always serialise");
        return Ok(file(json, "application/json", &format!("{slug}-results.json")));
    }
    Ok(file(table(&[election]), CSV, &format!("{slug}-results.csv")))
}

/// All elections of a room in one table.
pub async fn room_results(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    if Officer::of(&input).is_none() {
        return login(&input, None, "");
    }
    let room = views::room(&input.app, input.param("code")).or_page(&input)?;
    let elections: Vec<_> =
        room.elections.iter().filter_map(|slug| input.app.node.election(slug.as_str())).collect();
    Ok(file(table(&elections), CSV, &format!("room-{}-results.csv", room.code)))
}

const CSV: &str = "text/csv; charset=utf-8";

fn file(text: String, content_type: &'static str, name: &str) -> Response {
    let mut response = text.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    super::super::set_security_headers(headers);
    response
}

/// RFC 4180, with a byte order mark, without which spreadsheets take UTF-8 for something else. Counts that the
/// officer may not see yet are left out.
fn table(elections: &[Arc<ElectionHandle>]) -> String {
    let mut text = format!("\u{feff}{COLUMNS}");
    for election in elections {
        let view = election.view();
        let is_shown = views::shown(election, &view, Viewer::Officer) == Shown::Counts;
        let definition = &election.definition;
        let mut line = |contest: &str, choice: &str, votes: String| {
            let cells = [
                cell(election.slug.as_str()),
                cell(&definition.title),
                definition.round.to_string(),
                view.state.as_str().to_owned(),
                view.results.voters.to_string(),
                cell(contest),
                cell(choice),
                votes,
            ];
            text.push_str(&cells.join(","));
            text.push_str("\r\n");
        };
        for contest in &view.results.contests {
            for count in &contest.counts {
                let votes = if is_shown { count.votes.to_string() } else { String::new() };
                line(&contest.title, &count.name, votes);
            }
        }
    }
    text
}

/// A quoted cell. What a spreadsheet would take for a formula gets an apostrophe before it.
fn cell(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let guard = if is_formula { "'" } else { "" };
    format!("\"{guard}{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::cell;

    #[test]
    fn cells_are_quoted_and_never_formulas() {
        assert_eq!(cell("a \"b\", c"), "\"a \"\"b\"\", c\"");
        assert_eq!(cell("=1+1"), "\"'=1+1\"");
    }
}
