//! The record and the receipt check: what can be known without trusting this server, and what it can show at once.

use super::figures::Head;
use super::{OrPage, Page, Shell, page};
use crate::api::evidence::read_problem;
use crate::app::App;
use crate::input::Input;
use crate::language::Texts;
use crate::multipart;
use crate::problem::{self, Problem};
use crate::text::grouped;
use crate::views;
use askama::Template;
use axum::response::Response;
use election::ballot::{Body, Opening};
use hyper::StatusCode;
use hyper::header::CONTENT_TYPE;
use node::{ElectionHandle, ProofView, ReadError};
use proof::receipt::{Receipt, tracker_from_typed, verify};
use proof::{Hash, LeafIndex, LeafKind, TreeSize, verify_inclusion};
use std::borrow::Cow;
use std::sync::Arc;

const TILE_LEAVES: u64 = 256;
/// How far back a code is searched: 4 million leaves, some 50 ms.
const TILES_SEARCHED_MAX: u64 = 16_384;
const TYPED_CHARS_MAX: usize = 30;

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    title: &'a str,
    base: &'a str,
    typed: &'a str,
    finding: Option<Finding>,
    /// How many ballots were checked here, as a sentence.
    checked: String,
    ballots: String,
    leaves: String,
    definition_hash: String,
    root: String,
    ledger: String,
    epoch: u32,
    key: String,
    checkpoint: Option<&'a str>,
    openings: Cow<'static, str>,
    downloadable: bool,
    definition_json: &'a str,
}

/// What a check came to.
#[derive(Debug)]
struct Finding {
    class: &'static str,
    title: Cow<'static, str>,
    text: String,
    checks: Vec<Check>,
    proof: Option<ProofSteps>,
    /// The ballot that was found.
    ballot: Option<u64>,
}

/// One thing that holds or does not, and what it means.
#[derive(Debug)]
struct Check {
    class: &'static str,
    verdict: Cow<'static, str>,
    text: String,
    meaning: Cow<'static, str>,
}

/// The way from a ballot's fingerprint to that of the record.
#[derive(Debug)]
struct ProofSteps {
    leaf: String,
    path: Vec<String>,
    root: String,
}

impl Finding {
    fn new(class: &'static str, title: Cow<'static, str>, text: impl Into<String>) -> Self {
        Finding { class, title, text: text.into(), checks: Vec::new(), proof: None, ballot: None }
    }

    /// A finding of two sentences from the catalogue.
    fn plain(t: Texts, class: &'static str, title: &str, text: &str) -> Self {
        Self::new(class, t.say(title), t.say(text))
    }
}

fn check(t: Texts, holds: bool, id: &str, meaning: &str) -> Check {
    let (class, verdict) = if holds { ("ok", "check-holds") } else { ("no", "check-fails") };
    Check { class, verdict: t.say(verdict), text: t.say(id).into_owned(), meaning: t.say(meaning) }
}

/// The record, with the ballot that a link names. Counts nothing.
pub async fn record(input: Input) -> Page {
    let query = input.query(&["tracker"]).or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let typed: String = query.get("tracker").unwrap_or_default().chars().take(TYPED_CHARS_MAX).collect();
    let finding = match typed.trim() {
        "" => None,
        typed => Some(find_by_code(&input.app, input.texts(), &election, typed).await.or_page(&input)?),
    };
    Ok(show(&input, &election, &typed, finding))
}

/// Checks a code, or a receipt that was uploaded or pasted. Changes nothing but how many were checked.
pub async fn check_receipt(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let content_type = input.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let content_type = content_type.unwrap_or_default().to_owned();
    let bytes_max = input.app.limits().body_bytes_max;
    let (input, body) = input.with_bytes(bytes_max).await?;
    let fields = multipart::fields(&content_type, &body).ok_or_else(|| {
        Problem::new(&problem::MALFORMED_REQUEST, "the form could not be read; send it again")
    });
    let fields = fields.or_page(&input)?;
    let given = |name: &str| fields.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    // A ballot that was acknowledged elsewhere a moment ago must not look like one that is not there.
    input.app.catch_up().await;
    let t = input.texts();
    let typed: String = given("tracker").unwrap_or_default().chars().take(TYPED_CHARS_MAX).collect();
    let finding = if !typed.is_empty() {
        find_by_code(&input.app, t, &election, &typed).await.or_page(&input)?
    } else if let Some(text) = given("file").or_else(|| given("receipt")) {
        judge(&input, &election, text).or_page(&input)?
    } else {
        Finding::plain(t, "note-warn", "nothing-to-check", "nothing-to-check-text")
    };
    if let Some(leaf) = finding.ballot.filter(|_| input.is_own_page()) {
        input.app.checked.mark(election.id.0, leaf);
    }
    Ok(show(&input, &election, &typed, Some(finding)))
}

fn show(input: &Input, election: &ElectionHandle, typed: &str, finding: Option<Finding>) -> Response {
    let (t, view, identity) = (input.texts(), election.view(), input.app.node.identity());
    let are_shown = election.are_openings_shown();
    let checked = input.app.checked.count(election.id.0).min(view.ballots_accepted);
    let record = RecordPage {
        shell: Shell::of(input),
        head: Head::new(t, election, &view),
        slug: election.slug.as_str(),
        title: &election.definition.title,
        base: &input.app.base_url,
        typed,
        finding,
        checked: t.fill("checked-here", [("n", checked.into()), ("max", view.ballots_accepted.into())]),
        ballots: t.number(&view.ballots_accepted),
        leaves: t.number(&view.tree_size),
        definition_hash: grouped(&election.definition_hash.to_string()),
        root: grouped(&view.root.to_string()),
        ledger: grouped(&identity.ledger.to_string()),
        epoch: identity.epoch,
        key: grouped(&election::hex(&identity.key.key)),
        checkpoint: view.checkpoint.as_deref(),
        openings: t.say(if are_shown { "record-open" } else { "record-closed" }),
        downloadable: are_shown,
        definition_json: &election.definition_json,
    };
    page(StatusCode::OK, &record)
}

async fn find_by_code(
    app: &App,
    t: Texts,
    election: &Arc<ElectionHandle>,
    typed: &str,
) -> Result<Finding, Problem> {
    let Some(tracker) = tracker_from_typed(typed) else {
        return Ok(Finding::plain(t, "note-warn", "not-a-code", "not-a-code-text"));
    };
    let permit = Arc::clone(&app.searches).try_acquire_owned();
    let permit = permit.map_err(|_| Problem::plain(&problem::OVERLOADED).retry_after(3))?;
    let (searched, code) = (Arc::clone(election), tracker.clone());
    let found = tokio::task::spawn_blocking(move || {
        let _permit = permit;
        search(&searched, &code)
    });
    let found = found.await.map_err(|_| Problem::plain(&problem::INTERNAL))?;
    let Some(leaf) = found.map_err(|error| read_problem(&error))? else {
        return Ok(Finding::new(
            "note-bad",
            t.say("code-not-found"),
            t.with("code-not-found-text", "code", &tracker),
        ));
    };
    let view = election.proof(leaf).map_err(|error| read_problem(&error))?;
    let title = if view.kind == LeafKind::Ballot { "ballot-found" } else { "act-found" };
    let place = t.fill(
        "ballot-found-text",
        [("code", (&tracker).into()), ("leaf", (leaf + 1).into()), ("size", view.size.into())],
    );
    let text = [Some(place), says(t, election, &view)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let is_included = included(&view.leaf, &view);
    Ok(Finding {
        checks: vec![check(t, is_included, "check-included", "check-included-meaning")],
        proof: Some(steps(&view.leaf, &view)),
        ballot: (is_included && view.kind == LeafKind::Ballot).then_some(leaf),
        ..Finding::new("note-good", t.say(title), text)
    })
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
            let hash = Hash(hash.try_into().expect("chunks are of 32 bytes"));
            proof::receipt::tracker(&hash) == tracker
        };
        if let Some(place) = hashes.chunks_exact(32).position(wanted) {
            return Ok(Some(tile * TILE_LEAVES + place as u64));
        }
    }
    Ok(None)
}

fn included(leaf: &Hash, view: &ProofView) -> bool {
    verify_inclusion(leaf, LeafIndex(view.leaf_index), TreeSize(view.size), &view.path, &view.root).is_ok()
}

fn steps(leaf: &Hash, view: &ProofView) -> ProofSteps {
    ProofSteps {
        leaf: grouped(&leaf.to_string()),
        path: view.path.iter().map(|hash| grouped(&hash.to_string())).collect(),
        root: grouped(&view.root.to_string()),
    }
}

/// What a ballot marks, in a sentence, where it may be seen.
fn says(t: Texts, election: &ElectionHandle, view: &ProofView) -> Option<String> {
    let opening = view.opening.as_deref().filter(|_| view.kind == LeafKind::Ballot)?;
    let Body::Answers(answers) = Opening::parse(opening).ok()?.body else { return None };
    let marked = election::answers::decode(&election.definition, answers).ok()?;
    let contests = election.definition.contests.iter().zip(marked).map(|(contest, marked)| {
        let names: Vec<&str> = marked.iter().map(|index| contest.choices[*index].name.as_str()).collect();
        let names = if names.is_empty() { t.say("blank").into_owned() } else { names.join(", ") };
        if election.definition.contests.len() == 1 { names } else { format!("{}: {names}", contest.title) }
    });
    Some(t.with("ballot-says", "answers", contests.collect::<Vec<_>>().join("; ")))
}

fn judge(input: &Input, election: &ElectionHandle, text: &str) -> Result<Finding, Problem> {
    let t = input.texts();
    let Ok(receipt) = serde_json::from_str::<Receipt>(text) else {
        return Ok(Finding::plain(t, "note-bad", "not-a-receipt", "not-a-receipt-text"));
    };
    let identity = input.app.node.identity();
    let signer = election.node_key(receipt.epoch, receipt.node);
    let is_signed = signer.is_some_and(|key| verify(&receipt, Some(&key)).is_ok());
    let is_here = receipt.ledger == identity.ledger.0 && receipt.election == election.id.0;
    let is_same = receipt.definition == election.definition_hash;
    let mut checks = vec![
        check(t, is_here, "check-here", "check-here-meaning"),
        check(t, is_same, "check-definition", "check-definition-meaning"),
        check(t, is_signed, "check-signed", "check-signed-meaning"),
    ];
    let view = match is_here.then(|| election.proof(receipt.leaf_index.0)) {
        None => None,
        Some(Ok(view)) => Some(view),
        Some(Err(ReadError::NoSuchLeaf { .. })) => None,
        Some(Err(error)) => return Err(read_problem(&error)),
    };
    let is_included = view.as_ref().is_some_and(|view| included(&receipt.leaf, view));
    if is_here {
        checks.push(check(t, is_included, "check-included", "check-included-meaning"));
    }
    let proof = view.as_ref().filter(|_| is_included).map(|view| steps(&receipt.leaf, view));
    if checks.iter().any(|check| check.class != "ok") {
        let finding = Finding::plain(t, "note-bad", "receipt-does-not-fit", "receipt-does-not-fit-text");
        return Ok(Finding { checks, proof, ..finding });
    }
    let view = view.expect("an included ballot was looked up");
    let place = t.fill("ballot-place", [("leaf", (view.leaf_index + 1).into()), ("size", view.size.into())]);
    let text = [Some(place), says(t, election, &view)].into_iter().flatten().collect::<Vec<_>>().join(" ");
    let finding = Finding::new("note-good", t.say("receipt-fits"), text);
    Ok(Finding { checks, proof, ballot: Some(view.leaf_index), ..finding })
}
