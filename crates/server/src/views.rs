//! The node's views as this crate asks for them: by name, or with the problem that says why not.

use crate::app::App;
use crate::problem::{self, Problem};
use crate::wire::Figures;
use election::room::{Room, RoomCode};
use election::{Rejection, Shown, Viewer};
use node::{Acted, ElectionHandle, ElectionView, SubmitError};
use std::sync::Arc;
use std::time::Duration;

/// The election called `slug`. A server of a cluster that knows of none may be behind the others, after a start for
/// instance: it says that there is none only once it knows all that was acknowledged anywhere before.
pub async fn election(app: &App, slug: &str) -> Result<Arc<ElectionHandle>, Problem> {
    if let Some(election) = app.node.election(slug) {
        return Ok(election);
    }
    if app.node.cluster("").name.is_some() {
        app.node.catch_up().await.map_err(|error| refusal(&error))?;
    }
    election_here(app, slug)
}

/// The election called `slug`, as far as this server knows.
pub fn election_here(app: &App, slug: &str) -> Result<Arc<ElectionHandle>, Problem> {
    app.node.election(slug).ok_or_else(|| {
        let shown: String = slug.chars().take(60).collect();
        Problem::new(&problem::NO_SUCH_ELECTION, format!("there is no election `{shown}`"))
    })
}

/// The view of an election once it shows what `acted` did.
pub async fn view_after(election: &ElectionHandle, acted: &Acted) -> Arc<ElectionView> {
    let mut watch = election.watch();
    let reached = watch.wait_for(|view| view.position >= acted.position);
    match tokio::time::timeout(Duration::from_secs(1), reached).await {
        Ok(Ok(view)) => Arc::clone(&view),
        _ => election.view(),
    }
}

/// The room with the code `code`, as typed.
pub fn room(app: &App, code: &str) -> Result<Room, Problem> {
    let not_found = || Problem::plain(&problem::NO_SUCH_ROOM);
    let code: RoomCode = code.parse().map_err(|_| not_found())?;
    app.node.directory().rooms.get(&code).cloned().ok_or_else(not_found)
}

/// What `viewer` may be shown of `view`. The rule itself stands in `election`.
pub fn shown(election: &ElectionHandle, view: &ElectionView, viewer: Viewer) -> Shown {
    election::results::shown_to(&election.definition, view.state, view.curtain(), viewer)
}

pub fn figures<'a>(election: &'a ElectionHandle, view: &'a ElectionView, viewer: Viewer) -> Figures<'a> {
    Figures {
        definition: &election.definition,
        results: &view.results,
        shown: shown(election, view, viewer),
        position: view.position.0,
        at: view.at,
        closes_at: view.closes_at,
        curtain: view.curtain(),
    }
}

/// Changes whenever a page of the room has to be made anew: its screen, its elections, their states.
pub fn room_version(app: &App, room: &Room) -> String {
    let mut facts = serde_json::to_string(room).expect("rooms always serialise");
    for slug in &room.elections {
        if let Some(election) = app.node.election(slug.as_str()) {
            let view = election.view();
            facts.push_str(view.state.as_str());
            facts.push_str(&view.closes_at.map_or_else(String::new, |at| at.0.to_string()));
            // Reveals and draws change what a page shows and leave the state as it is. The results themselves stay
            // out: who knows the rest could find hidden ones by trying.
            facts.push_str(&view.acts.len().to_string());
        }
    }
    proof::sha256(&[facts.as_bytes()]).to_hex()[..16].to_owned()
}

/// A refusal by the rules, as a problem.
pub fn rejection(rejection: &Rejection) -> Problem {
    let problem = Problem::new(problem::code_named(rejection.code()), rejection.to_string());
    match rejection.field() {
        Some(field) => problem.at(field),
        None => problem,
    }
}

/// Why the node did not do it, as a problem.
pub fn refusal(error: &SubmitError) -> Problem {
    let problem = Problem::new(problem::code_named(error.code()), error.to_string());
    match error {
        SubmitError::Rejected(rejected) => rejection(rejected),
        SubmitError::Overloaded { retry_after_seconds } => problem.retry_after(*retry_after_seconds),
        SubmitError::StorageFull => problem.retry_after(10),
        SubmitError::NotKnownYet => problem.retry_after(1),
        SubmitError::Stopping => problem.retry_after(5),
        SubmitError::IdempotencyKeyReused => problem.at("Idempotency-Key"),
        SubmitError::Unreadable => Problem::plain(&problem::INTERNAL),
    }
}
