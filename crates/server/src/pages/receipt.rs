//! "Your vote is cast": the receipt, what happens next, and the results when they may be seen.

use super::ballot::{may_vote_again, purpose};
use super::figures::{ContestTable, Head, Moment, Qr, Voted, shown_sentence, tables_for};
use super::session::{Followed, Session, receipts, voter};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::api::json_bytes;
use crate::ballots::receipt_bytes;
use crate::input::Input;
use crate::language::Texts;
use crate::views;
use askama::Template;
use election::definition::{Definition, Revote};
use election::room::Pace;
use election::{ElectionState, Viewer};
use hyper::StatusCode;
use hyper::header::{CONTENT_DISPOSITION, HeaderValue};
use node::{CastReceipt, ElectionHandle};
use std::borrow::Cow;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "receipt.html")]
struct ReceiptPage<'a> {
    shell: Shell,
    head: Head,
    slug: &'a str,
    receipt: Stub,
    secrecy: Cow<'static, str>,
    next: Option<Next>,
    /// Label of the way back to the ballot, where the rules allow it.
    again: Option<Cow<'static, str>>,
    again_text: String,
    follow: Followed,
    moving: bool,
    counts: &'a str,
    own: Option<u64>,
    before: bool,
    voted: Voted,
    contests: Vec<ContestTable>,
    shown: String,
    another: bool,
    form_token: String,
}

struct Stub {
    tracker: String,
    number: String,
    at: Moment,
    qr: Option<Qr>,
}

struct Next {
    slug: String,
    title: String,
}

pub async fn receipt(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let session = Session::of(&input)?;
    let Some((newest, count)) = newest_receipt(&input, &session, &election)? else {
        return Ok(with_cookie(see_other(&format!("/e/{}", election.slug)), session.cookie));
    };
    let (t, view) = (input.texts(), election.view());
    let (slug, definition) = (election.slug.as_str(), &election.definition);
    let tables = tables_for(t, &election, &view, Viewer::Voted);
    let is_over =
        matches!(view.state, ElectionState::Closed | ElectionState::Published | ElectionState::Cancelled);
    let may_again = may_vote_again(definition, count) && view.state == ElectionState::Open;
    let again = if definition.revote == Revote::LastCounts { "change-my-vote" } else { "vote-again" };
    let receipt_page = ReceiptPage {
        shell: Shell::of(&input),
        head: Head::new(t, &election, &view).counting_down(&input, &view),
        slug,
        receipt: stub(&input, t, &election, &newest),
        secrecy: t.say("secrecy-receipt"),
        next: next_in_room(&input, &session, &election)?,
        again: may_again.then(|| t.say(again)),
        again_text: again_text(t, definition, count, view.state),
        follow: Followed::of(&input, &election),
        moving: !is_over || tables.are_hidden,
        counts: if tables.are_public { "shown" } else { "hidden" },
        // Counts for voters alone are not in the public feed: the page has those of its making, of so many ballots.
        own: (!tables.are_public && !tables.are_hidden).then_some(view.results.ballots),
        before: tables.are_hidden,
        voted: Voted::new(t, definition, &view.results),
        contests: tables.contests,
        shown: shown_sentence(t, definition),
        another: input.app.config.demo,
        form_token: session.form_token(&purpose(slug)),
    };
    Ok(with_cookie(page(StatusCode::OK, &receipt_page), session.cookie))
}

/// Whether and how the vote can be changed.
fn again_text(t: Texts, definition: &Definition, count: usize, state: ElectionState) -> String {
    let is_open = matches!(state, ElectionState::Open | ElectionState::Paused);
    let several = u64::from(definition.ballots_per_voter);
    match definition.revote {
        Revote::LastCounts if is_open => t.say("change-allowed").into_owned(),
        Revote::LastCounts => t.say("change-over").into_owned(),
        Revote::Forbid if several > 1 => {
            t.fill("ballots-of-yours", [("n", count.into()), ("max", several.into())])
        }
        Revote::Forbid => t.say("change-forbidden").into_owned(),
    }
}

fn stub(input: &Input, t: Texts, election: &ElectionHandle, receipt: &CastReceipt) -> Stub {
    let tracker = proof::receipt::tracker(&receipt.leaf);
    let check = format!("{}/e/{}/record?tracker={tracker}", input.app.base_url, election.slug);
    Stub {
        qr: Qr::of(&check),
        tracker,
        number: t.with("receipt-number", "n", receipt.ballot_index + 1),
        at: Moment::new(t, "cast-at", receipt.at),
    }
}

fn newest_receipt(
    input: &Input,
    session: &Session,
    election: &ElectionHandle,
) -> Result<Option<(CastReceipt, usize)>, Refusal> {
    let Some(voter) = voter(input, session, election) else { return Ok(None) };
    let mut receipts = receipts(input, election, &voter)?;
    let count = receipts.len();
    Ok(receipts.pop().map(|newest| (newest, count)))
}

/// The next open election of a room this one is in, which this browser has not voted in. A led room's officer says
/// what comes next.
fn next_in_room(
    input: &Input,
    session: &Session,
    election: &ElectionHandle,
) -> Result<Option<Next>, Refusal> {
    let directory = input.app.node.directory();
    let rooms = directory.rooms.values();
    let rooms = rooms.filter(|room| room.pace == Pace::Own && room.elections.contains(&election.slug));
    for slug in rooms.flat_map(|room| &room.elections) {
        let Some(other) = directory.election(slug.as_str()).map(Arc::clone) else { continue };
        if other.index == election.index || other.view().state != ElectionState::Open {
            continue;
        }
        if newest_receipt(input, session, &other)?.is_none() {
            return Ok(Some(Next { slug: slug.to_string(), title: other.definition.title.clone() }));
        }
    }
    Ok(None)
}

/// The receipt as a file, to the browser that cast it.
pub async fn download(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).await.or_page(&input)?;
    let session = Session::of(&input)?;
    let Some((newest, _)) = newest_receipt(&input, &session, &election)? else {
        return Ok(see_other(&format!("/e/{}", election.slug)));
    };
    let mut response = json_bytes(StatusCode::OK, receipt_bytes(&newest));
    let tracker = proof::receipt::tracker(&newest.leaf);
    let name = format!("attachment; filename=\"receipt-{}-{tracker}.json\"", election.slug);
    let name = HeaderValue::try_from(name).expect("slugs and trackers are plain ASCII");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}
