//! Results for everybody: turnout always, counts when the election's rule shows them.

use super::figures::{ContestTable, Head, Turnout, Voted, rules, shown_sentence, state_name, tables_for};
use super::session::{Followed, Session, receipts, voter};
use super::{OrPage, Page, Shell, page};
use crate::cookies::Purpose;
use crate::input::Input;
use crate::language::Texts;
use crate::text::grouped;
use crate::views;
use askama::Template;
use election::definition::ResultsMode;
use election::{ElectionState, Viewer};
use hyper::StatusCode;
use node::ElectionHandle;

#[derive(Template)]
#[template(path = "results.html")]
struct ResultsPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    title: &'a str,
    /// Id and title of the only contest, whose outcome is the page's heading.
    single: Option<(&'a str, &'a str)>,
    outcome: Option<String>,
    moving: bool,
    votable: bool,
    follow: Followed,
    counts: &'a str,
    own: Option<u64>,
    before: bool,
    voted: Voted,
    turnout: Turnout,
    contests: Vec<ContestTable>,
    shown: String,
    as_of: String,
    rounds: Vec<Round>,
    rules: Vec<(String, String)>,
    definition_hash: String,
    root: String,
}

/// An earlier or later round.
struct Round {
    slug: String,
    title: String,
    state: String,
}

pub async fn results(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let (t, view) = (input.texts(), election.view());
    let definition = &election.definition;
    let mut viewer = Viewer::Public;
    let shows_cookie =
        input.app.cookies.get(&input.headers, Purpose::Voter, input.caller.is_secure).is_some();
    if definition.results == ResultsMode::OwnBallot && shows_cookie {
        let session = Session::of(&input)?;
        if let Some(voter) = voter(&input, &session, &election)
            && !receipts(&input, &election, &voter)?.is_empty()
        {
            viewer = Viewer::Voted;
        }
    }
    let slug = election.slug.as_str();
    let is_over =
        matches!(view.state, ElectionState::Closed | ElectionState::Published | ElectionState::Cancelled);
    let mut tables = tables_for(t, &election, &view, viewer);
    let single = match &definition.contests[..] {
        [only] => Some((only.id.as_str(), only.title.as_str())),
        _ => None,
    };
    let outcome = single.and_then(|_| tables.contests[0].outcome.clone());
    let heading = if single.is_some() { None } else { Some("h2") };
    for table in &mut tables.contests {
        table.heading = heading;
        table.shows_caption = single.is_some_and(|(_, title)| title != definition.title && outcome.is_some());
    }
    let results = ResultsPage {
        shell: Shell::of(&input),
        head: Head::new(t, &election, &view).counting_down(&input, &view),
        slug,
        title: &definition.title,
        single,
        outcome,
        moving: !is_over || tables.are_hidden,
        votable: view.state == ElectionState::Open,
        follow: Followed::of(&input, &election),
        counts: if tables.are_public { "shown" } else { "hidden" },
        own: (!tables.are_public && !tables.are_hidden).then_some(view.results.ballots),
        before: tables.are_hidden,
        voted: Voted::new(t, definition, &view.results),
        turnout: Turnout::new(t, &view.results),
        contests: tables.contests,
        shown: shown_sentence(t, definition),
        as_of: t.with("as-of", "n", view.results.ballots),
        rounds: rounds(&input, t, &election),
        rules: rules(t, &election)
            .into_iter()
            .filter(|(name, _)| *name != t.say("rule-definition"))
            .collect(),
        definition_hash: grouped(&election.definition_hash.to_string()),
        root: grouped(&view.root.to_string()),
    };
    Ok(page(StatusCode::OK, &results))
}

/// The round before this one, and those that follow it: repeats and run-offs, all created later.
fn rounds(input: &Input, t: Texts, election: &ElectionHandle) -> Vec<Round> {
    let directory = input.app.node.directory();
    let before = election.definition.follows.as_ref().and_then(|slug| directory.election(slug.as_str()));
    let later = directory.by_index.iter().skip(election.index.0 as usize + 1);
    let after = later.filter(|other| other.definition.follows.as_ref() == Some(&election.slug));
    let round = |other: &std::sync::Arc<ElectionHandle>| {
        let number = t.with("round", "n", u64::from(other.definition.round));
        Round {
            slug: other.slug.to_string(),
            title: format!("{number}: {}", other.definition.title),
            state: state_name(t, other.view().state),
        }
    };
    before.into_iter().chain(after).map(round).collect()
}
