//! Pictures: officers add them, anybody sees them.

use super::{Answer, json};
use crate::auth;
use crate::input::Input;
use crate::pages::{OrPage, Page, Refusal, set_security_headers};
use crate::pictures::Kind;
use crate::problem::{self, Problem};
use axum::response::IntoResponse;
use hyper::StatusCode;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use serde_json::json as value;
use std::sync::Arc;

/// A picture is never run, whatever is in it.
const PICTURE_POLICY: &str = "default-src 'none'; sandbox";

pub async fn add(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    auth::officer(&input.app, &input.headers)?;
    let content_type = input.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = content_type.and_then(Kind::named).ok_or_else(|| {
        let sentence = "send the picture as image/png, image/jpeg or image/webp";
        Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, sentence).at("Content-Type")
    })?;
    let (app, bytes_max) = (Arc::clone(&input.app), input.app.limits().picture_bytes_max);
    let bytes = input.bytes(bytes_max).await?;
    let added = tokio::task::spawn_blocking(move || app.pictures.add(kind, &bytes)).await;
    let photo = added.map_err(|_| Problem::plain(&problem::INTERNAL))??;
    Ok(json(StatusCode::CREATED, &value!({ "photo": photo })))
}

pub async fn show(input: Input) -> Page {
    input.no_query().or_page(&input)?;
    let (app, name) = (Arc::clone(&input.app), input.param("name").to_owned());
    let found = tokio::task::spawn_blocking(move || app.picture(&name)).await.ok().flatten();
    let Some((bytes, content_type)) = found else {
        return Err(Refusal::new(&input, Problem::plain(&problem::NOT_FOUND)));
    };
    let mut response = bytes.into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable"));
    set_security_headers(headers);
    let policy = HeaderName::from_static("content-security-policy");
    headers.insert(policy, HeaderValue::from_static(PICTURE_POLICY));
    Ok(response)
}
