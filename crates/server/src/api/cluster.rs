//! The cluster: what anybody may know of it, what operators see, and what officers ask of it.
//!
//! Anybody reads who leads, the members' roles, positions, clocks and the addresses that voters use: pages, programs and
//! balancers need them, and they say nothing of any ballot. Addresses between the nodes, disks, versions, the history of
//! leaders and what is wrong stay with operators: on the server's own machine, or with the officer token.

use super::{Answer, json};
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::{auth, wire};
use hyper::StatusCode;
use node::{ClusterError, ClusterRequest};
use std::sync::Arc;

pub async fn show(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    if auth::has_credential(&input.headers) {
        auth::officer(&input.app, &input.headers)?;
    }
    Ok(json(StatusCode::OK, &body(&input)))
}

fn body(input: &Input) -> wire::ClusterBody {
    let is_operator = input.caller.is_local || auth::has_credential(&input.headers);
    wire::ClusterBody::new(&input.app.node.cluster(&input.app.base_url), is_operator)
}

pub async fn promote(input: Input) -> Answer {
    change(input, ClusterRequest::Promote).await
}

pub async fn remove(input: Input) -> Answer {
    change(input, ClusterRequest::Remove).await
}

pub async fn transfer(input: Input) -> Answer {
    change(input, ClusterRequest::Transfer).await
}

pub async fn drain(input: Input) -> Answer {
    change(input, ClusterRequest::Drain).await
}

/// Asks it of the cluster; the answer shows the cluster afterwards.
async fn change(input: Input, request: impl FnOnce(u64) -> ClusterRequest) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    auth::officer(&input.app, &input.headers)?;
    let (app, bytes_max) = (Arc::clone(&input.app), input.app.limits().body_bytes_max);
    let asked: wire::ClusterNodeRequest = input.json(bytes_max).await?;
    app.node.change_cluster(request(asked.node)).await.map_err(|error| refusal(&error))?;
    Ok(json(StatusCode::OK, &wire::ClusterBody::new(&app.node.cluster(&app.base_url), true)))
}

/// Why the cluster did not do it.
pub fn refusal(error: &ClusterError) -> Problem {
    let problem = Problem::new(problem::code_named(error.code()), error.to_string());
    match error {
        ClusterError::UnknownNode(_) => problem.at("node"),
        ClusterError::NoLeader | ClusterError::NotKnownYet => problem.retry_after(1),
        ClusterError::NotACluster | ClusterError::Refused(_) | ClusterError::AddressTaken(_) => problem,
    }
}
