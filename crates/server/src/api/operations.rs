//! What operators and programs ask of the server itself.

use super::{Answer, json, typed};
use crate::auth;
use crate::counters::{MetricsPage, write_counters};
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::wire;
use hyper::StatusCode;
use serde_json::json as value;
use std::sync::atomic::Ordering::Relaxed;

/// The interface as OpenAPI 3.1; a test holds it equal to the routes.
pub const OPENAPI: &str = include_str!("../../openapi.json");

pub async fn about(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let identity = input.app.node.identity();
    let directory = input.app.node.directory();
    let body = wire::AboutBody {
        name: "hustings",
        version: env!("CARGO_PKG_VERSION"),
        ledger: identity.ledger.to_string(),
        epoch: directory.epoch,
        node: identity.node,
        key: election::hex(&identity.key.key),
        nodes: &directory.signing,
        base: &input.app.base_url,
        now: input.app.node.now().to_string(),
    };
    Ok(json(StatusCode::OK, &body))
}

pub async fn openapi(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    Ok(typed(StatusCode::OK, "application/json", OPENAPI))
}

pub async fn livez(input: Input) -> Answer {
    input.no_query()?;
    Ok(json(StatusCode::OK, &value!({ "live": true })))
}

/// 200 when votes are taken.
pub async fn readyz(input: Input) -> Answer {
    input.no_query()?;
    let status = input.app.node.status();
    if input.app.is_stopping() {
        return Err(Problem::plain(&problem::STOPPING).retry_after(5));
    }
    if status.storage_full {
        return Err(Problem::plain(&problem::STORAGE_FULL).retry_after(10));
    }
    if input.app.node.cluster(&input.app.base_url).leader.is_none() {
        return Err(Problem::plain(&problem::NO_LEADER).retry_after(1));
    }
    Ok(json(StatusCode::OK, &value!({ "ready": true })))
}

pub async fn status(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    operators_only(&input)?;
    let (app, status) = (&input.app, input.app.node.status());
    let directory = app.node.directory();
    let body = value!({
        "position": status.position,
        "batches": status.batches,
        "ballots": status.ballots_accepted,
        "queue": { "waiting": status.ballots_waiting, "max": status.ballots_waiting_max },
        "clock": { "now": status.now.to_string(), "steady": status.clock_steady },
        "storage": { "full": status.storage_full },
        "elections": status.elections,
        "rooms": directory.rooms.len(),
        "connections": app.connections.load(Relaxed),
        "subscribers": app.subscribers.load(Relaxed),
    });
    Ok(json(StatusCode::OK, &body))
}

pub async fn confirm_clock(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    auth::officer(&input.app, &input.headers)?;
    let app = std::sync::Arc::clone(&input.app);
    let _: wire::NothingRequest = input.optional_json().await?;
    app.node.confirm_clock();
    let steady = app.node.status().clock_steady;
    Ok(json(StatusCode::OK, &value!({ "now": app.node.now().to_string(), "steady": steady })))
}

/// Figures for operators stay on this machine, or need the officer token.
fn operators_only(input: &Input) -> Result<(), Problem> {
    if input.caller.is_local { Ok(()) } else { auth::officer(&input.app, &input.headers) }
}

pub async fn metrics(input: Input) -> Answer {
    input.no_query()?;
    operators_only(&input)?;
    let (app, status) = (&input.app, input.app.node.status());
    let mut page = MetricsPage::default();
    write_counters(&mut page, &app.counters);
    page.single("hustings_feed_subscribers", "gauge", "Followers now.", app.subscribers.load(Relaxed) as u64);
    page.single("hustings_log_position", "counter", "Last committed entry of the ledger.", status.position);
    page.single(
        "hustings_log_batches_total",
        "counter",
        "Batches committed since the start.",
        status.batches,
    );
    page.single(
        "hustings_queue_ballots",
        "gauge",
        "Ballots handed in, not yet answered.",
        status.ballots_waiting as u64,
    );
    page.single("hustings_queue_ballots_max", "gauge", "Room for them.", status.ballots_waiting_max as u64);
    page.single(
        "hustings_storage_full",
        "gauge",
        "1 while the disk is full.",
        u64::from(status.storage_full),
    );
    page.single("hustings_clock_steady", "gauge", "0 while the clock waits.", u64::from(status.clock_steady));
    // Turnout is public in every mode; counts are not here in any.
    let directory = app.node.directory();
    page.family("hustings_voters", "gauge", "Voters who have cast a ballot, by election.");
    for election in &directory.by_index {
        let voters = election.view().results.voters;
        page.sample("hustings_voters", &[("election", election.slug.as_str())], voters);
    }
    Ok(typed(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page.finish()))
}
