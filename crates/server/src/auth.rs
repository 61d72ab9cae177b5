//! Bearer tokens of the interface: who is it that asks? The node knows; this only reads the header.

use crate::app::{App, with_edge};
use crate::problem::{self, Problem};
use hyper::HeaderMap;
use hyper::header::AUTHORIZATION;
use node::ElectionHandle;
use node::edge::ShownVoter;
use node::token::TOKEN_CHARS;

/// Who may cast with the credential of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caster {
    /// A voter, for itself.
    Voter(ShownVoter),
    /// A program that names its voters, in one election.
    Gateway,
    /// An officer, who may do the same in any.
    Officer,
}

pub fn has_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(AUTHORIZATION)
}

/// The token of `Authorization: Bearer TOKEN`.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let value = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = value.and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    });
    token.ok_or_else(|| Problem::new(&problem::UNAUTHORIZED, "send `Authorization: Bearer TOKEN`"))
}

/// Who casts in `election` with this credential. A voter costs two keyed hashes, all others a little more.
pub fn caster(app: &App, headers: &HeaderMap, election: &ElectionHandle) -> Result<Caster, Problem> {
    let token = bearer(headers)?;
    let known = with_edge(|edge| {
        edge.verify_voter(token, election)
            .map(Caster::Voter)
            .or_else(|error| {
                edge.verify_gateway(token, election).map(|()| Caster::Gateway).map_err(|_| error)
            })
            .or_else(|error| edge.verify_officer(token).map(|()| Caster::Officer).map_err(|_| error))
    });
    known.or_else(|error| {
        // What does not even look like a voter's token may be somebody guessing the officer's.
        if token.len() != TOKEN_CHARS {
            app.rates.logins.take(0, app.now_ms()).map_err(crate::ballots::rate_limited)?;
        }
        Err(Problem::new(&problem::UNAUTHORIZED, error.to_string()))
    })
}

/// Refuses everybody but officers. Wrong tokens are rate limited, right ones never.
pub fn officer(app: &App, headers: &HeaderMap) -> Result<(), Problem> {
    let token = bearer(headers)?;
    check_officer_token(app, token)
}

/// As [`officer`], for a token from a form.
pub fn check_officer_token(app: &App, token: &str) -> Result<(), Problem> {
    if with_edge(|edge| edge.verify_officer(token)).is_ok() {
        return Ok(());
    }
    app.rates.logins.take(0, app.now_ms()).map_err(crate::ballots::rate_limited)?;
    Err(Problem::new(&problem::UNAUTHORIZED, "this is not the officer token"))
}
