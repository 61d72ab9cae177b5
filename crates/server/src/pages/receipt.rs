//! "Your vote is cast": the receipt, what happens next, and the results when they may be seen.

use super::ballot::{events_of, may_vote_again, purpose};
use super::figures::{ContestTable, Head, Qr, Turnout, contest_tables, shown_sentence, time_text};
use super::session::{Session, receipts, voter};
use super::{OrPage, Page, Refusal, Shell, page, see_other, with_cookie};
use crate::api::json_bytes;
use crate::ballots::receipt_bytes;
use crate::input::Input;
use crate::views;
use askama::Template;
use election::definition::Revote;
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
    again: Option<&'a str>,
    events: String,
    counts: &'a str,
    own: Option<u64>,
    now: &'a str,
    turnout: Turnout,
    contests: Vec<ContestTable>,
    shown: String,
    another: bool,
    form_token: String,
}

struct Stub {
    tracker: String,
    number: u64,
    at: String,
    at_text: String,
    qr: Option<Qr>,
}

struct Next {
    slug: String,
    title: String,
}

pub async fn receipt(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
    let session = Session::of(&input)?;
    let Some((newest, count)) = newest_receipt(&input, &session, &election)? else {
        return Ok(with_cookie(see_other(&format!("/e/{}", election.slug)), session.cookie));
    };
    let (t, view) = (input.texts(), election.view());
    let slug = election.slug.as_str();
    let contests = contest_tables(t, &election, &view, Viewer::Voted);
    let is_over = matches!(view.state, ElectionState::Closed | ElectionState::Published);
    let again = may_vote_again(&election.definition, count) && view.state == ElectionState::Open;
    let again_text =
        if election.definition.revote == Revote::LastCounts { "Change my vote" } else { "Vote again" };
    // Own-ballot counts are not in the public feed: the page shows them as of its making, and for how many ballots.
    let public_counts = contest_tables(t, &election, &view, Viewer::Public);
    let own = (public_counts.is_empty() && !contests.is_empty()).then_some(view.results.ballots);
    let page_of = ReceiptPage {
        own,
        shell: Shell::of(&input),
        head: Head::new(input.texts(), &election, &view),
        slug,
        receipt: stub(&input, &election, &newest),
        secrecy: t.say("secrecy-receipt"),
        next: next_in_room(&input, &session, &election)?,
        again: again.then_some(again_text),
        events: events_of(slug),
        counts: if public_counts.is_empty() { "hidden" } else { "shown" },
        now: if is_over { "Results" } else { "What happens next" },
        turnout: Turnout::new(t, &view.results),
        contests,
        shown: shown_sentence(t, &election.definition),
        another: input.app.config.demo,
        form_token: session.form_token(&purpose(slug)),
    };
    Ok(with_cookie(page(StatusCode::OK, &page_of), session.cookie))
}

fn stub(input: &Input, election: &ElectionHandle, receipt: &CastReceipt) -> Stub {
    let tracker = proof::receipt::tracker(&receipt.leaf);
    let check = format!("{}/e/{}/record?tracker={tracker}", input.app.base_url, election.slug);
    Stub {
        qr: Qr::of(&check),
        tracker,
        number: receipt.ballot_index + 1,
        at: receipt.at.to_string(),
        at_text: time_text(receipt.at),
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

/// The next open election of a room this one is in, which this browser has not voted in.
fn next_in_room(
    input: &Input,
    session: &Session,
    election: &ElectionHandle,
) -> Result<Option<Next>, Refusal> {
    let directory = input.app.node.directory();
    let rooms = directory.rooms.values().filter(|room| room.elections.contains(&election.slug));
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
    let election = views::election(&input.app, input.param("slug")).or_page(&input)?;
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
