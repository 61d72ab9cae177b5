//! Elections: made, listed, led through their states, and their results.

use super::{Answer, evidence, json};
use crate::app::{App, count, mailbox, with_edge};
use crate::counters::bump;
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::wire::{self, ResultsBody};
use crate::{auth, ballots, feed, views};
use election::definition::{Definition, DefinitionError, RawDefinition, eligibility_text, results_text};
use election::{Slug, UnixMillis, Viewer};
use hyper::StatusCode;
use hyper::header::{HeaderValue, LOCATION};
use node::{ElectionHandle, ListedVoter, OfficerRequest};
use serde_json::Value;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::Arc;

const ELECTIONS_A_PAGE: u64 = 1_000;
const VOTER_ID_CHARS_MAX: usize = 200;

pub async fn list(input: Input) -> Answer {
    input.accepts_json()?;
    let query = input.query(&["after", "limit"])?;
    let limit = query.number("limit")?.unwrap_or(ELECTIONS_A_PAGE);
    if !(1..=ELECTIONS_A_PAGE).contains(&limit) {
        let sentence = format!("a page has 1 to {ELECTIONS_A_PAGE} elections");
        return Err(Problem::new(&problem::MALFORMED_QUERY, sentence).at("limit"));
    }
    let directory = input.app.node.directory();
    let after = query.get("after").unwrap_or_default();
    let rest = directory.elections.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
    let page: Vec<_> =
        rest.take(limit as usize + 1).map(|(_, election)| (election, election.view())).collect();
    let has_more = page.len() as u64 > limit;
    let page = &page[..page.len().min(limit as usize)];
    let elections = page
        .iter()
        .map(|(election, view)| wire::ElectionSummary {
            slug: election.slug.as_str(),
            title: &election.definition.title,
            state: view.state.as_str(),
            results: results_text(election.definition.results),
            eligibility: eligibility_text(election.definition.eligibility),
            closes_at: view.closes_at.map(|at| at.to_string()),
            ballots: view.results.ballots,
            voters: view.results.voters,
        })
        .collect();
    let next = page.last().filter(|_| has_more).map(|(election, _)| election.slug.as_str());
    Ok(json(StatusCode::OK, &wire::ElectionsBody { elections, next }))
}

pub async fn create(input: Input) -> Answer {
    input.no_query()?;
    auth::officer(&input.app, &input.headers)?;
    let (app, bytes_max) = (Arc::clone(&input.app), input.app.limits().definition_bytes_max);
    let Value::Object(members) = input.json::<Value>(bytes_max).await? else {
        return Err(Problem::new(&problem::MALFORMED_JSON, "a definition is an object").at("definition"));
    };
    let (definition, voters) = read_definition(&app, members).await?;
    let slug = definition.slug.clone();
    acted(&app, OfficerRequest::Create(Box::new(definition), voters), Some(slug), StatusCode::CREATED).await
}

/// A definition and its list of voters, strictly, with the pictures that it names; the problem names the field at fault.
pub async fn read_definition(
    app: &Arc<App>,
    mut members: serde_json::Map<String, Value>,
) -> Result<(Definition, Vec<ListedVoter>), Problem> {
    let voters = members.remove("voters").map(listed_voters).transpose()?.unwrap_or_default();
    let contests = members.get("contest").unwrap_or(&Value::Null);
    wire::expect_objects(contests, "contest", &["choose"])?;
    for contest in contests.as_array().into_iter().flatten() {
        wire::expect_objects(&contest["choices"], "contest.choices", &[])?;
    }
    if members.get("closing").is_some_and(Value::is_array) {
        return Err(Problem::new(&problem::MALFORMED_JSON, "expected an object, not an array").at("closing"));
    }
    let raw: RawDefinition = serde_path_to_error::deserialize(Value::Object(members))
        .map_err(|error| wire::malformed_json(Some(error.path().to_string()), &error.inner().to_string()))?;
    let definition = raw.check().map_err(|error| definition_problem(&error))?;
    if app.pictures.has_source() {
        let (app, definition) = (Arc::clone(app), definition.clone());
        // A failure shows in the check.
        let _ = tokio::task::spawn_blocking(move || app.pictures.fetch_missing(&definition)).await;
    }
    app.pictures.check(&definition)?;
    Ok((definition, voters))
}

/// The list of an election's voters: ids, or ids with weights and groups.
fn listed_voters(value: Value) -> Result<Vec<ListedVoter>, Problem> {
    wire::expect_objects(&value, "voters", &[])?;
    let lines: Vec<VoterLine> = serde_path_to_error::deserialize(value).map_err(|error| {
        let path = format!("voters{}", error.path());
        wire::malformed_json(Some(path), &error.inner().to_string())
    })?;
    let voters = lines.into_iter().enumerate().map(|(place, line)| {
        let voter = match line {
            VoterLine::Id(id) => ListedVoter { id, weight: 1 },
            VoterLine::Table(VoterTable { id, weight }) => ListedVoter { id, weight: weight.unwrap_or(1) },
        };
        let is_id = !voter.id.trim().is_empty() && voter.id.chars().count() <= VOTER_ID_CHARS_MAX;
        if is_id && voter.weight > 0 {
            return Ok(voter);
        }
        let sentence = "a voter has an id of 1 to 200 characters, and a weight of at least 1";
        Err(Problem::new(&problem::INVALID_DEFINITION, sentence).at(format!("voters[{place}]")))
    });
    voters.collect()
}

#[derive(serde::Deserialize)]
#[serde(untagged, expecting = "an id, or an object with id and weight")]
enum VoterLine {
    Id(String),
    Table(VoterTable),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct VoterTable {
    id: String,
    weight: Option<u32>,
}

pub fn definition_problem(error: &DefinitionError) -> Problem {
    Problem::new(problem::code_named(error.code()), error.to_string()).at(error.field().to_owned())
}

pub async fn show(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let view = election.view();
    let definition: &serde_json::value::RawValue =
        serde_json::from_str(&election.definition_json).expect("the node keeps canonical JSON");
    let body = wire::ElectionBody {
        slug: election.slug.as_str(),
        title: &election.definition.title,
        state: view.state.as_str(),
        election: election.id.to_string(),
        definition_hash: election.definition_hash,
        definition,
        closes_at: view.closes_at.map(|at| at.to_string()),
        revealed: wire::revealed(&election.definition, view.curtain()),
        ballots: view.results.ballots,
        voters: view.results.voters,
        eligible: view.results.eligible,
        size: view.tree_size,
        root: view.root,
    };
    Ok(json(StatusCode::OK, &body))
}

pub async fn open(input: Input) -> Answer {
    plain_act(input, OfficerRequest::Open).await
}

pub async fn pause(input: Input) -> Answer {
    plain_act(input, OfficerRequest::Pause).await
}

pub async fn close(input: Input) -> Answer {
    plain_act(input, OfficerRequest::Close).await
}

pub async fn reveal(input: Input) -> Answer {
    plain_act(input, OfficerRequest::Reveal).await
}

pub async fn hide(input: Input) -> Answer {
    plain_act(input, OfficerRequest::Hide).await
}

pub async fn publish(input: Input) -> Answer {
    plain_act(input, OfficerRequest::Publish).await
}

async fn plain_act(input: Input, request: fn(Slug) -> OfficerRequest) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let _: wire::NothingRequest = input.optional_json().await?;
    acted(&app, request(slug.clone()), Some(slug), StatusCode::OK).await
}

pub async fn cancel(input: Input) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let body: wire::CancelRequest = input.optional_json().await?;
    let reason = body.reason.unwrap_or_default();
    if reason.chars().count() > election::definition::TITLE_CHARS_MAX {
        return Err(Problem::new(&problem::INVALID_VALUE, "a reason has at most 300 characters").at("reason"));
    }
    acted(&app, OfficerRequest::Cancel(slug.clone(), reason), Some(slug), StatusCode::OK).await
}

pub async fn extend(input: Input) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let bytes_max = app.limits().body_bytes_max;
    let body: wire::ExtendRequest = input.json(bytes_max).await?;
    let closes_at = UnixMillis::parse_rfc3339(&body.closes_at).ok_or_else(|| {
        Problem::new(&problem::INVALID_VALUE, "write a time like 2027-03-01T18:00:00Z").at("closes_at")
    })?;
    acted(&app, OfficerRequest::Extend(slug.clone(), closes_at), Some(slug), StatusCode::OK).await
}

pub async fn draw(input: Input) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let bytes_max = app.limits().body_bytes_max;
    let body: wire::DrawRequest = input.json(bytes_max).await?;
    let seed = election::from_hex::<32>(&body.seed)
        .ok_or_else(|| Problem::new(&problem::INVALID_VALUE, "a seed is 64 hexadecimal digits").at("seed"))?;
    acted(&app, OfficerRequest::Draw(slug.clone(), seed), Some(slug), StatusCode::OK).await
}

pub async fn rehearse(input: Input) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let body: wire::RehearseRequest = input.optional_json().await?;
    let voters = body.voters.map(listed_voters).transpose()?.unwrap_or_default();
    acted(&app, OfficerRequest::Rehearse(slug, voters), None, StatusCode::CREATED).await
}

pub async fn repeat(input: Input) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let body: wire::RepeatRequest = input.optional_json().await?;
    let voters = body.voters.map(listed_voters).transpose()?.unwrap_or_default();
    acted(&app, OfficerRequest::Repeat(slug, body.slug, voters), None, StatusCode::CREATED).await
}

pub async fn run_off(input: Input) -> Answer {
    let (app, slug) = officers_election(&input).await?;
    let body: wire::RepeatRequest = input.optional_json().await?;
    let voters = body.voters.map(listed_voters).transpose()?.unwrap_or_default();
    acted(&app, OfficerRequest::RunOff(slug, body.slug, voters), None, StatusCode::CREATED).await
}

/// The officer's credential first: whether an election exists is told to anybody, but acts are not.
fn officers_election(
    input: &Input,
) -> impl Future<Output = Result<(Arc<App>, Slug), Problem>> + Send + use<> {
    let checked = input
        .accepts_json()
        .and_then(|()| input.no_query())
        .and_then(|()| auth::officer(&input.app, &input.headers));
    let (app, slug) = (Arc::clone(&input.app), input.param("slug").to_owned());
    // Without the request itself, whose body cannot be lent to another thread.
    async move {
        checked?;
        let slug = views::election(&app, &slug).await?.slug.clone();
        Ok((app, slug))
    }
}

/// Does it, and answers with the election's figures as they are then.
async fn acted(app: &App, request: OfficerRequest, slug: Option<Slug>, status: StatusCode) -> Answer {
    let acted = app.node.act(request).await.map_err(|error| views::refusal(&error))?;
    let slug = acted.slug.clone().or(slug).expect("an act on an election names it");
    let election = views::election(app, slug.as_str()).await?;
    let view = views::view_after(&election, &acted).await;
    let body = ResultsBody::new(&views::figures(&election, &view, Viewer::Officer));
    let mut response = json(status, &body);
    if status == StatusCode::CREATED {
        let place = format!("/api/v1/elections/{slug}");
        let place = HeaderValue::try_from(place).expect("a slug is plain ASCII");
        response.headers_mut().insert(LOCATION, place);
    }
    Ok(response)
}

pub async fn sessions(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let (app, address) = (Arc::clone(&input.app), input.caller.address);
    let body: wire::SessionRequest = input.optional_json().await?;
    let token = new_voter_token(&app, address, &election, body.voter.as_deref())?;
    let body = wire::SessionBody { token: &token, election: election.slug.as_str() };
    Ok(json(StatusCode::CREATED, &body))
}

/// A token for one voter of `election`: a new session where all may vote, else the listed voter's.
pub fn new_voter_token(
    app: &App,
    address: IpAddr,
    election: &ElectionHandle,
    voter: Option<&str>,
) -> Result<String, Problem> {
    take_session(app, address, u64::from(election.index.0))?;
    let is_listed = election.definition.eligibility == election::definition::Eligibility::List;
    let token = match voter {
        Some(_) if !is_listed => {
            let sentence = "anybody may vote here: leave the voter id out";
            return Err(Problem::new(&problem::INVALID_VALUE, sentence).at("voter"));
        }
        Some(voter) => with_edge(|edge| edge.list_token(election, voter)),
        None => with_edge(|edge| edge.new_session(Some(election))),
    };
    token.map_err(|rejection| views::rejection(&rejection))
}

/// Takes one of the sessions that the rates allow. Loopback is exempt from the rate by address: it is the
/// operator, or a proxy that we were not told to trust, behind which everybody has that address.
pub fn take_session(app: &App, address: IpAddr, election: u64) -> Result<(), Problem> {
    let now_ms = app.now_ms();
    if !address.is_loopback() {
        app.rates.sessions_of_address.take(address_key(address), now_ms).map_err(ballots::rate_limited)?;
    }
    app.rates.sessions_of_election.take(election, now_ms).map_err(ballots::rate_limited)?;
    count(|counters| bump(&counters.sessions));
    Ok(())
}

/// An address as a key; of IPv6 the first 64 bits, which one household has.
fn address_key(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(address.to_bits()),
        IpAddr::V6(address) => (address.to_bits() >> 64) as u64,
    }
}

/// The voter's own: whether the token's holder has voted, with the receipt.
pub async fn own_ballot(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let auth::Caster::Voter(shown) = auth::caster(&input.app, &input.headers, &election)? else {
        return Err(Problem::new(&problem::FORBIDDEN, "only a voter's own token shows a voter's ballot"));
    };
    // "You have not voted" must not be older than the question.
    input.app.node.catch_up().await.map_err(|error| views::refusal(&error))?;
    let status = mailbox().voter(&election, &shown.voter).map_err(|error| evidence::read_problem(&error))?;
    let voted = !status.receipts.is_empty();
    let receipt = status.receipts.last().map(|receipt| {
        let text = String::from_utf8(ballots::receipt_bytes(receipt)).expect("receipts are written as UTF-8");
        serde_json::value::RawValue::from_string(text).expect("receipts are written as JSON")
    });
    Ok(json(StatusCode::OK, &wire::VotedBody { voted, receipt }))
}

pub async fn results(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let viewer = viewer(&input, &election)?;
    let view = election.view();
    Ok(json(StatusCode::OK, &ResultsBody::new(&views::figures(&election, &view, viewer))))
}

/// Who asks for results: officers and voters may show a token; without one it is the public.
fn viewer(input: &Input, election: &ElectionHandle) -> Result<Viewer, Problem> {
    if !auth::has_credential(&input.headers) {
        return Ok(Viewer::Public);
    }
    match auth::caster(&input.app, &input.headers, election)? {
        auth::Caster::Officer => Ok(Viewer::Officer),
        auth::Caster::Gateway => Ok(Viewer::Public),
        auth::Caster::Voter(shown) => {
            let status =
                mailbox().voter(election, &shown.voter).map_err(|error| evidence::read_problem(&error))?;
            Ok(if status.receipts.is_empty() { Viewer::Public } else { Viewer::Voted })
        }
    }
}

pub async fn events(input: Input) -> Answer {
    input.accepts(&["text/event-stream"])?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let last = input.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    feed::follow(&input.app, feed::FeedKey::Election(election.slug.clone()), last)
}
