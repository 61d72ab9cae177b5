//! Results for everybody: turnout always, counts when the election's rule shows them.

use super::ballot::events_of;
use super::figures::{ContestTable, Head, Turnout, contest_tables, shown_sentence};
use super::session::{Session, receipts, voter};
use super::{OrPage, Page, Shell, page};
use crate::cookies::Purpose;
use crate::input::Input;
use crate::text::grouped;
use crate::views;
use askama::Template;
use election::definition::ResultsMode;
use election::{ElectionState, Viewer};
use hyper::StatusCode;

#[derive(Template)]
#[template(path = "results.html")]
struct ResultsPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    moving: bool,
    votable: bool,
    events: String,
    counts: &'a str,
    own: Option<u64>,
    turnout: Turnout,
    contests: Vec<ContestTable>,
    shown: String,
    definition_hash: String,
    root: String,
}

pub async fn results(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let (t, view) = (input.texts(), election.view());
    let mut viewer = Viewer::Public;
    let shows_cookie =
        input.app.cookies.get(&input.headers, Purpose::Voter, input.caller.is_secure).is_some();
    if election.definition.results == ResultsMode::OwnBallot && shows_cookie {
        let session = Session::of(&input)?;
        if let Some(voter) = voter(&input, &session, &election)
            && !receipts(&input, &election, &voter)?.is_empty()
        {
            viewer = Viewer::Voted;
        }
    }
    let public_counts = contest_tables(t, &election, &view, Viewer::Public);
    let turnout = Turnout::new(t, &view.results);
    let slug = election.slug.as_str();
    let is_over =
        matches!(view.state, ElectionState::Closed | ElectionState::Published | ElectionState::Cancelled);
    let contests = contest_tables(t, &election, &view, viewer);
    let own = (public_counts.is_empty() && !contests.is_empty()).then_some(view.results.ballots);
    let results = ResultsPage {
        own,
        shell: Shell::of(&input),
        head: Head::new(input.texts(), &election, &view),
        slug,
        moving: !is_over,
        votable: view.state == ElectionState::Open,
        events: events_of(slug),
        counts: if public_counts.is_empty() { "hidden" } else { "shown" },
        turnout,
        contests,
        shown: shown_sentence(t, &election.definition),
        definition_hash: grouped(&election.definition_hash.to_string()),
        root: grouped(&view.root.to_string()),
    };
    Ok(page(StatusCode::OK, &results))
}
