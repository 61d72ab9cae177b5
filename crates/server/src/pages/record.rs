//! The record and the receipt check: what can be known without trusting this server, and what it can show at once.

use super::figures::Head;
use super::{OrPage, Page, Shell, page};
use crate::api::evidence::read_problem;
use crate::app::App;
use crate::input::Input;
use crate::multipart;
use crate::problem::{self, Problem};
use crate::text::{grouped, thousands};
use crate::views;
use askama::Template;
use axum::response::Response;
use election::ballot::{Body, Opening};
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use node::{ElectionHandle, ProofView, ReadError};
use proof::receipt::{Receipt, tracker_from_typed, verify};
use proof::{LeafKind, TreeSize, verify_inclusion};
use std::sync::Arc;

const TILE_LEAVES: u64 = 256;
/// How far back a code is searched: 4 million leaves, some 50 ms.
const TILES_SEARCHED_MAX: u64 = 16_384;

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    base: &'a str,
    typed: &'a str,
    finding: Option<Finding>,
    ballots: String,
    leaves: String,
    definition_hash: String,
    root: String,
    ledger: String,
    epoch: u32,
    key: String,
    checkpoint: Option<&'a str>,
    openings: &'a str,
    downloadable: bool,
    definition_json: &'a str,
}

/// What a check came to.
#[derive(Debug)]
struct Finding {
    class: &'static str,
    title: &'static str,
    text: String,
    checks: Vec<Check>,
}

#[derive(Debug)]
struct Check {
    class: &'static str,
    verdict: &'static str,
    text: String,
}

impl Finding {
    fn plain(class: &'static str, title: &'static str, text: impl Into<String>) -> Self {
        Finding { class, title, text: text.into(), checks: Vec::new() }
    }
}

fn check(is_passed: bool, text: impl Into<String>) -> Check {
    let (class, verdict) = if is_passed { ("ok", "Holds") } else { ("no", "Fails") };
    Check { class, verdict, text: text.into() }
}

pub async fn record(input: Input) -> Page {
    let query = input.query(&["tracker"]).or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let typed = query.get("tracker").unwrap_or_default().chars().take(30).collect::<String>();
    let finding = match typed.trim() {
        "" => None,
        typed => Some(find_by_code(&input.app, &election, typed).await.or_page(&input)?),
    };
    Ok(show(&input, &election, &typed, finding))
}

fn show(input: &Input, election: &ElectionHandle, typed: &str, finding: Option<Finding>) -> Response {
    let (view, identity) = (election.view(), input.app.node.identity());
    let openings = match election.are_openings_shown() {
        true => "The record holds every ballot under its code.",
        false => {
            "Ballots are added to the record when the counts may be seen; before that it cannot be downloaded."
        }
    };
    let record = RecordPage {
        shell: Shell::of(input),
        head: Head::new(input.texts(), election, &view),
        slug: election.slug.as_str(),
        base: &input.app.base_url,
        typed,
        finding,
        ballots: thousands(view.ballots_accepted),
        leaves: thousands(view.tree_size),
        definition_hash: grouped(&election.definition_hash.to_string()),
        root: grouped(&view.root.to_string()),
        ledger: grouped(&identity.ledger.to_string()),
        epoch: identity.epoch,
        key: grouped(&election::hex(&identity.key.key)),
        checkpoint: view.checkpoint.as_deref(),
        openings,
        downloadable: election.are_openings_shown(),
        definition_json: &election.definition_json,
    };
    page(StatusCode::OK, &record)
}

async fn find_by_code(app: &App, election: &Arc<ElectionHandle>, typed: &str) -> Result<Finding, Problem> {
    let Some(tracker) = tracker_from_typed(typed) else {
        let text = "A code has twelve letters and digits, like ABCD-EFGH-JKMN.";
        return Ok(Finding::plain("note-warn", "This is not a code.", text));
    };
    let permit = Arc::clone(&app.searches).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::plain(&problem::OVERLOADED).retry_after(3))?;
    let (searched, code) = (Arc::clone(election), tracker.clone());
    let found = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        search(&searched, &code)
    });
    let found = found.await.map_err(|_| Problem::plain(&problem::INTERNAL))?;
    match found.map_err(|error| read_problem(&error))? {
        Some(leaf) => {
            let view = election.proof(leaf).map_err(|error| read_problem(&error))?;
            let kind = if view.kind == LeafKind::Ballot { "A ballot" } else { "An officer's act" };
            let marks =
                marks(election, &view).map_or_else(String::new, |marks| format!(" It says: {marks}."));
            let text = format!(
                "{kind} with the code {tracker} is leaf {} of {}.{marks}",
                thousands(leaf),
                thousands(view.size)
            );
            Ok(Finding::plain("note-good", "Found.", text))
        }
        None => {
            let text = format!("No leaf has the code {tracker}. If you hold a receipt file, check it below.");
            Ok(Finding::plain("note-bad", "Not found.", text))
        }
    }
}

/// Looks for the leaf that a code belongs to, newest first. Blocking.
fn search(election: &ElectionHandle, tracker: &str) -> Result<Option<u64>, ReadError> {
    let size = election.view().tree_size;
    let tiles = size.div_ceil(TILE_LEAVES);
    for tile in (tiles.saturating_sub(TILES_SEARCHED_MAX)..tiles).rev() {
        let width = (size - tile * TILE_LEAVES).min(TILE_LEAVES);
        let partial = u16::try_from(width).ok().filter(|width| u64::from(*width) < TILE_LEAVES);
        let hashes = election.tile(0, tile, partial)?;
        let wanted = |hash: &[u8]| {
            let hash = proof::Hash(hash.try_into().expect("chunks are of 32 bytes"));
            proof::receipt::tracker(&hash) == tracker
        };
        if let Some(place) = hashes.chunks_exact(32).position(wanted) {
            return Ok(Some(tile * TILE_LEAVES + place as u64));
        }
    }
    Ok(None)
}

/// What a ballot marks, where it may be seen.
fn marks(election: &ElectionHandle, view: &ProofView) -> Option<String> {
    let opening = view.opening.as_deref().filter(|_| view.kind == LeafKind::Ballot)?;
    let Body::Answers(answers) = Opening::parse(opening).ok()?.body else { return None };
    let marked = election::answers::decode(&election.definition, answers).ok()?;
    let contests = election.definition.contests.iter().zip(marked).map(|(contest, marked)| {
        let names: Vec<&str> = marked.iter().map(|index| contest.choices[*index].name.as_str()).collect();
        let names = if names.is_empty() { "blank".to_owned() } else { names.join(", ") };
        if election.definition.contests.len() == 1 { names } else { format!("{}: {names}", contest.title) }
    });
    Some(contests.collect::<Vec<_>>().join("; "))
}

/// Checks a receipt that was uploaded or pasted. Changes nothing.
pub async fn check_receipt(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let content_type = input.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let (input, body) = input.with_bytes().await?;
    let fields = multipart::fields(&content_type, &body).ok_or_else(|| {
        Problem::new(&problem::MALFORMED_REQUEST, "the form could not be read; send it again")
    });
    let fields = fields.or_page(&input)?;
    let texts = ["file", "receipt"].iter().filter_map(|name| fields.get(*name));
    let text = texts.map(|text| text.trim()).find(|text| !text.is_empty());
    let finding = match text {
        None => Finding::plain("note-warn", "Nothing to check.", "Choose a receipt file, or paste its text."),
        Some(text) => judge(&input, &election, text).or_page(&input)?,
    };
    Ok(show(&input, &election, "", Some(finding)))
}

fn judge(input: &Input, election: &ElectionHandle, text: &str) -> Result<Finding, Problem> {
    let receipt: Receipt = match serde_json::from_str(text) {
        Ok(receipt) => receipt,
        Err(error) => {
            let text = format!("It cannot be read as one: {error}.");
            return Ok(Finding::plain("note-bad", "This is not a receipt.", text));
        }
    };
    let identity = input.app.node.identity();
    let is_signed = verify(&receipt, Some(&identity.key));
    let is_here = receipt.ledger == identity.ledger.0 && receipt.election == election.id.0;
    let mut checks = vec![
        check(is_here, "It is of this election on this ledger."),
        check(receipt.definition == election.definition_hash, "It names the definition that is frozen here."),
        match &is_signed {
            Ok(()) => check(true, "It is signed with this server's key."),
            Err(error) => check(false, format!("It is signed with this server's key: {error}.")),
        },
    ];
    let mut found = String::new();
    if is_here {
        match election.proof(receipt.leaf_index.0) {
            Ok(view) => {
                let size = thousands(view.size);
                let index = proof::LeafIndex(view.leaf_index);
                let is_included =
                    verify_inclusion(&receipt.leaf, index, TreeSize(view.size), &view.path, &view.root)
                        .is_ok();
                let text = format!(
                    "Its ballot is leaf {} of {size}, under the root shown here.",
                    thousands(index.0)
                );
                checks.push(check(is_included, text));
                found = marks(election, &view)
                    .filter(|_| is_included)
                    .map_or_else(String::new, |marks| format!(" The ballot says: {marks}."));
            }
            Err(ReadError::NoSuchLeaf { size, .. }) => {
                let text =
                    format!("Its ballot is in the tree: the tree has only {} leaves.", thousands(size));
                checks.push(check(false, text));
            }
            Err(error) => return Err(read_problem(&error)),
        }
    }
    let is_good = checks.iter().all(|check| check.class == "ok");
    let (class, title, text) = match is_good {
        true => ("note-good", "This ballot is on record.", format!("Every check holds.{found}")),
        false => {
            let text = "Keep the file: if it is signed by this server and its ballot is missing, it is evidence against it.";
            ("note-bad", "This receipt does not fit.", text.to_owned())
        }
    };
    Ok(Finding { class, title, text, checks })
}
