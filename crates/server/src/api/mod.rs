//! Handlers of `/api/v1`: wire types in, a question to the node, wire types out.

pub mod bulk;
pub mod cluster;
pub mod elections;
pub mod evidence;
pub mod operations;
pub mod pictures;
pub mod rooms;

use crate::problem::Problem;
use axum::response::{IntoResponse, Response};
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde::Serialize;

/// What every handler answers with.
pub type Answer = Result<Response, Problem>;

/// A JSON answer that nobody may store: what it says may be another thing a moment later.
pub fn json(status: StatusCode, body: &impl Serialize) -> Response {
    json_bytes(status, serde_json::to_vec(body).expect("wire types always serialise"))
}

pub fn json_bytes(status: StatusCode, body: Vec<u8>) -> Response {
    typed(status, "application/json", body)
}

pub fn typed(status: StatusCode, content_type: &'static str, body: impl IntoResponse) -> Response {
    let mut response = body.into_response();
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
    response
}
