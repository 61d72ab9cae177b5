//! Ballots one at a time: the hot path, from the request's bytes to the receipt's, past the router.
//!
//! No lock, one hash lookup, two small allocations of its own: the encoded answers and the receipt.

use crate::app::{App, count, mailbox, with_edge};
use crate::body::{BodyLimit, ResponseBody, read_all};
use crate::counters::bump;
use crate::problem::{self, Problem};
use crate::receipt_json::{ReceiptParts, write_receipt};
use crate::worker::{REQUEST_ID, request_id};
use crate::{auth, views, wire};
use bytes::Bytes;
use election::{GivenAnswers, IdempotencyKey, Rejection, Voter};
use hyper::body::Body;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use node::{CastReceipt, ElectionHandle, PreparedBallot};
use serde::Deserialize;
use std::borrow::Cow;

const BEFORE_SLUG: &str = "/api/v1/elections/";
const AFTER_SLUG: &str = "/ballots";
const IDEMPOTENCY_KEY_BYTES_MAX: usize = 255;

static NOSNIFF: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));

/// `POST …/ballots`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BallotRequest<'a> {
    #[serde(borrow)]
    choices: GivenAnswers<'a>,
    /// Officers and gateways name the voter.
    #[serde(borrow, default)]
    voter: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    group: Option<Cow<'a, str>>,
}

/// The election a ballot is posted to; `None` for any other request.
pub fn slug_of<'p>(method: &Method, path: &'p str) -> Option<&'p str> {
    let slug = path.strip_prefix(BEFORE_SLUG)?.strip_suffix(AFTER_SLUG)?;
    (method == Method::POST && !slug.contains('/')).then_some(slug)
}

/// Answers `POST …/ballots` with a receipt or a problem.
pub async fn answer<B: Body<Data = Bytes>>(app: &App, request: Request<B>) -> Response<ResponseBody> {
    let given_id = request.headers().contains_key(&REQUEST_ID).then(|| request_id(&request));
    let mut response = match cast(app, request).await {
        Ok(receipt) => created(receipt_bytes(&receipt)),
        Err(problem) => {
            count(|counters| counters.ballot_refused(problem.code));
            problem.into_hyper()
        }
    };
    if let Some(id) = given_id {
        response.headers_mut().insert(&REQUEST_ID, id.0);
    }
    response
}

async fn cast<B: Body<Data = Bytes>>(app: &App, request: Request<B>) -> Result<CastReceipt, Problem> {
    let (head, body) = request.into_parts();
    let slug = slug_of(&head.method, head.uri.path()).unwrap_or_default();
    refuse_query(head.uri.query())?;
    let election = views::election(app, slug).await?;
    let who = auth::caster(app, &head.headers, &election)?;
    let key = idempotency_key(&head.headers)?;
    wire::expect_json(&head.headers)?;
    let limits = app.limits();
    let limit =
        BodyLimit { bytes_max: limits.ballot_bytes_max, timeout_seconds: limits.body_timeout_seconds };
    let body = read_all(body, limit).await?;
    let prepared = prepare(app, &election, &who, key, &parse(&body)?)?;
    cast_prepared(prepared).await
}

/// Hands a ballot to the writer and waits until it is committed.
pub async fn cast_prepared(prepared: PreparedBallot) -> Result<CastReceipt, Problem> {
    let arrived = prepared.stamp.wall();
    let receipt = mailbox().cast(prepared).await.map_err(|error| views::refusal(&error))?;
    count(|counters| {
        bump(&counters.ballots_accepted);
        counters.ballot_took(receipt.at.0.saturating_sub(arrived.0));
    });
    Ok(receipt)
}

/// The ballot as the writer takes it.
fn prepare(
    app: &App,
    election: &ElectionHandle,
    who: &auth::Caster,
    key: IdempotencyKey,
    request: &BallotRequest<'_>,
) -> Result<PreparedBallot, Problem> {
    let (voter, group) = match (who, &request.voter) {
        (auth::Caster::Voter(shown), None) => {
            if request.group.is_some() {
                let sentence = "only an officer or a gateway names the group";
                return Err(Problem::new(&problem::FORBIDDEN, sentence).at("group"));
            }
            election.admits(shown.issued).map_err(|rejection| views::rejection(&rejection))?;
            (shown.voter, None)
        }
        (auth::Caster::Voter(_), Some(_)) => {
            let sentence = "a voter's token casts the voter's own ballot only";
            return Err(Problem::new(&problem::FORBIDDEN, sentence).at("voter"));
        }
        (auth::Caster::Gateway | auth::Caster::Officer, None) => {
            let sentence = "an officer or a gateway has to name the voter";
            return Err(Problem::new(&problem::INVALID_VALUE, sentence).at("voter"));
        }
        (auth::Caster::Gateway | auth::Caster::Officer, Some(text)) => {
            named_voter(election, text, request.group.as_deref()).map_err(|error| views::rejection(&error))?
        }
    };
    let answers = election::answers::encode(&election.definition, &request.choices)
        .map_err(|error| views::rejection(&error.into()))?;
    let prepared = with_edge(|edge| edge.prepare(election, voter, key, &answers, group));
    let is_own = matches!(who, auth::Caster::Voter(_));
    take_ballot(app, &prepared, is_own)?;
    Ok(prepared)
}

/// A voter and a group as officers and gateways name them.
pub fn named_voter(
    election: &ElectionHandle,
    text: &str,
    group: Option<&str>,
) -> Result<(Voter, Option<u16>), Rejection> {
    with_edge(|edge| {
        let voter = edge.voter_by_text(election, text)?;
        let group = group.map(|name| edge.group_by_name(election, name)).transpose()?;
        Ok((voter, group))
    })
}

/// Takes the ballot from what the rates allow; its own stamp is the time, so that no clock is read for it.
pub fn take_ballot(app: &App, prepared: &PreparedBallot, is_own: bool) -> Result<(), Problem> {
    let now_ms = prepared.stamp.wall().0;
    let election = u64::from(prepared.election.0);
    app.rates.ballots_of_election.take(election, now_ms).map_err(rate_limited)?;
    if is_own {
        let voter = u64::from_be_bytes(prepared.tag.0[..8].try_into().expect("a tag has 16 bytes"));
        app.rates.ballots_of_voter.take(voter, now_ms).map_err(rate_limited)?;
    }
    Ok(())
}

fn parse(body: &Bytes) -> Result<BallotRequest<'_>, Problem> {
    wire::expect_object(body)?;
    serde_json::from_slice(body).map_err(|error| {
        // Once more, slowly, to name the member.
        let mut deserializer = serde_json::Deserializer::from_slice(body);
        let again: Result<BallotRequest<'_>, _> = serde_path_to_error::deserialize(&mut deserializer);
        let path = again.err().map(|error| error.path().to_string());
        wire::malformed_json(path, &error.to_string())
    })
}

pub fn refuse_query(query: Option<&str>) -> Result<(), Problem> {
    match query.filter(|query| !query.is_empty()) {
        None => Ok(()),
        Some(query) => {
            let name: String = query.split(['=', '&']).next().unwrap_or_default().chars().take(60).collect();
            Err(Problem::new(&problem::MALFORMED_QUERY, "this address takes no such parameter").at(name))
        }
    }
}

/// The key that a client sent to make its request repeatable; all zeros when none was.
pub fn idempotency_key(headers: &HeaderMap) -> Result<IdempotencyKey, Problem> {
    let Some(value) = headers.get("idempotency-key") else {
        return Ok(IdempotencyKey::NONE);
    };
    let text = value.to_str().unwrap_or_default();
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > IDEMPOTENCY_KEY_BYTES_MAX || !is_visible {
        let sentence = "an idempotency key has 1 to 255 visible ASCII characters and no spaces";
        return Err(Problem::new(&problem::MALFORMED_HEADER, sentence).at("Idempotency-Key"));
    }
    Ok(IdempotencyKey::from_text(text))
}

pub fn rate_limited(retry_after_seconds: u32) -> Problem {
    Problem::plain(&problem::RATE_LIMITED).retry_after(retry_after_seconds)
}

/// The receipt as JSON.
pub fn receipt_bytes(receipt: &CastReceipt) -> Vec<u8> {
    let (context, batch) = (&*receipt.context, &*receipt.batch);
    let (path, tracker, at) =
        (batch.path(receipt.index), proof::receipt::tracker(&receipt.leaf), receipt.at.to_string());
    write_receipt(&ReceiptParts {
        ledger: &context.ledger,
        epoch: context.epoch,
        node: context.node,
        election: &context.election,
        slug: &context.slug,
        definition: &context.definition,
        shard: 0,
        leaf_index: receipt.leaf_index,
        ballot_index: receipt.ballot_index,
        leaf: &receipt.leaf,
        nonce: &receipt.nonce,
        tracker: &tracker,
        promise: context.promise,
        batch_size: batch.size(),
        batch_index: receipt.index,
        path: &path,
        root: batch.root(),
        signature: batch.signature(),
        key: &batch.public().key,
        at: &at,
    })
}

fn created(receipt: Vec<u8>) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::full(Bytes::from(receipt)));
    *response.status_mut() = StatusCode::CREATED;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(&NOSNIFF.0, NOSNIFF.1.clone());
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_ballot_of_one_election_takes_the_short_way() {
        assert_eq!(slug_of(&Method::POST, "/api/v1/elections/board/ballots"), Some("board"));
        assert_eq!(slug_of(&Method::GET, "/api/v1/elections/board/ballots"), None);
        assert_eq!(slug_of(&Method::POST, "/api/v1/elections/board/ballots/bulk"), None);
        assert_eq!(slug_of(&Method::POST, "/api/v1/elections/a/b/ballots"), None);
    }

    #[test]
    fn a_malformed_ballot_names_the_member() {
        let field = |body: &'static str| parse(&Bytes::from_static(body.as_bytes())).err().unwrap().field;
        assert_eq!(field("{}").as_deref(), Some("choices"));
        assert_eq!(field(r#"{"choices":{"chair":"ann"}}"#).as_deref(), Some("choices.chair"));
        assert_eq!(field(r#"{"choices":{},"voter":3}"#).as_deref(), Some("voter"));
        assert_eq!(field(r#"{"choices":{},"hat":3}"#).as_deref(), Some("hat"));
    }
}
