//! A request as handlers take it, and the strict readers of its parts: what is not documented is refused.

use crate::app::App;
use crate::body::{BodyLimit, read_all};
use crate::caller::Caller;
use crate::pages::{OrPage, Refusal};
use crate::problem::{self, Problem};
use crate::wire;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, RawPathParams};
use bytes::Bytes;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, ORIGIN};
use hyper::{HeaderMap, Uri};
use serde::de::DeserializeOwned;
use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

const FORM_FIELDS_MAX: usize = 4_096;

/// One request.
#[derive(Debug)]
pub struct Input {
    pub app: Arc<App>,
    pub headers: HeaderMap,
    pub uri: Uri,
    pub caller: Caller,
    /// The session that this request was given, for the pages of its answer.
    pub new_voter: OnceLock<String>,
    params: Vec<(String, String)>,
    body: Body,
}

impl FromRequest<Arc<App>> for Input {
    type Rejection = Infallible;

    async fn from_request(request: axum::extract::Request, app: &Arc<App>) -> Result<Self, Infallible> {
        let (mut head, body) = request.into_parts();
        let params = RawPathParams::from_request_parts(&mut head, app).await;
        let params = params
            .map(|params| params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect());
        let caller = head.extensions.get::<Caller>().copied();
        Ok(Input {
            app: Arc::clone(app),
            caller: caller.expect("the worker says who calls before it asks the router"),
            new_voter: OnceLock::new(),
            params: params.unwrap_or_default(),
            headers: head.headers,
            uri: head.uri,
            body,
        })
    }
}

impl Input {
    /// A part of the path; empty if it is not UTF-8, which matches nothing.
    pub fn param(&self, name: &str) -> &str {
        self.params.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    /// A part of the path that has to be a number.
    pub fn number(&self, name: &str) -> Result<u64, Problem> {
        plain_number(self.param(name)).ok_or_else(|| {
            let sentence = format!("`{name}` in the address is not a whole number");
            Problem::new(&problem::NO_SUCH_LEAF, sentence).at(name.to_owned())
        })
    }

    /// The query's parameters; any that is not in `known`, or comes twice, is refused.
    pub fn query(&self, known: &[&str]) -> Result<Query, Problem> {
        let pairs = parse_form(self.uri.query().unwrap_or_default().as_bytes());
        let refused = |name: &str, sentence: &'static str| {
            let name: String = name.chars().take(60).collect();
            Problem::new(&problem::MALFORMED_QUERY, sentence).at(name)
        };
        let pairs = pairs.ok_or_else(|| refused("query", "the query is not valid percent-encoded UTF-8"))?;
        for (place, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(&name.as_str()) {
                return Err(refused(name, "this address takes no such parameter"));
            }
            if pairs[..place].iter().any(|(earlier, _)| earlier == name) {
                return Err(refused(name, "this parameter may come once"));
            }
        }
        Ok(Query(pairs))
    }

    /// Refuses any query.
    pub fn no_query(&self) -> Result<(), Problem> {
        self.query(&[]).map(|_| ())
    }

    /// Refuses a request that accepts none of the types an answer can have.
    pub fn accepts(&self, types: &[&str]) -> Result<(), Problem> {
        let accepted: Vec<&str> =
            self.headers.get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
        let is_accepted = |range: &str| {
            let range = range.split(';').next().unwrap_or_default().trim();
            range == "*/*"
                || types.iter().any(|kind| {
                    range.eq_ignore_ascii_case(kind)
                        || range.strip_suffix("/*").is_some_and(|main| kind.split('/').next() == Some(main))
                })
        };
        if accepted.is_empty() || accepted.iter().flat_map(|line| line.split(',')).any(is_accepted) {
            return Ok(());
        }
        let sentence = format!("this answers with {}", types.join(" or "));
        Err(Problem::new(&problem::NOT_ACCEPTABLE, sentence).at("Accept"))
    }

    pub fn accepts_json(&self) -> Result<(), Problem> {
        self.accepts(&["application/json", "application/problem+json"])
    }

    /// The whole body.
    pub async fn bytes(self, bytes_max: usize) -> Result<Bytes, Problem> {
        let timeout_seconds = self.app.limits().body_timeout_seconds;
        read_all(self.body, BodyLimit { bytes_max, timeout_seconds }).await
    }

    /// A JSON body of at most `bytes_max`.
    pub async fn json<T: DeserializeOwned>(self, bytes_max: usize) -> Result<T, Problem> {
        wire::expect_json(&self.headers)?;
        wire::parse(&self.bytes(bytes_max).await?)
    }

    /// A JSON body that may be left out.
    pub async fn optional_json<T: DeserializeOwned + Default>(self) -> Result<T, Problem> {
        let bytes_max = self.app.limits().body_bytes_max;
        let is_json = wire::expect_json(&self.headers);
        let body = self.bytes(bytes_max).await?;
        if body.is_empty() {
            return Ok(T::default());
        }
        is_json?;
        wire::parse(&body)
    }

    /// The body as a stream, for those that read line by line.
    pub fn into_body(self) -> Body {
        self.body
    }

    /// The request without its body, and the body's reader.
    fn split(mut self) -> (Input, Input) {
        let rest = Input {
            app: Arc::clone(&self.app),
            headers: self.headers.clone(),
            uri: self.uri.clone(),
            caller: self.caller,
            new_voter: self.new_voter.clone(),
            params: std::mem::take(&mut self.params),
            body: Body::empty(),
        };
        (rest, self)
    }

    /// The form, and the request without it.
    pub async fn with_form(self) -> Result<(Input, Form), Refusal> {
        let (rest, reader) = self.split();
        let form = reader.form().await.or_page(&rest)?;
        Ok((rest, form))
    }

    /// The body of at most `bytes_max`, and the request without it.
    pub async fn with_bytes(self, bytes_max: usize) -> Result<(Input, Bytes), Refusal> {
        let (rest, reader) = self.split();
        let bytes = reader.bytes(bytes_max).await.or_page(&rest)?;
        Ok((rest, bytes))
    }

    /// A form as browsers post it.
    pub async fn form(self) -> Result<Form, Problem> {
        let is_form =
            self.headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|text| {
                text.split(';').next().unwrap_or_default().trim() == "application/x-www-form-urlencoded"
            });
        if !is_form {
            let sentence = "send the form as application/x-www-form-urlencoded";
            return Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, sentence).at("Content-Type"));
        }
        let bytes_max = self.app.limits().body_bytes_max;
        let body = self.bytes(bytes_max).await?;
        parse_form(&body).map(Form).ok_or_else(|| {
            Problem::new(&problem::MALFORMED_REQUEST, "the form is not valid percent-encoded UTF-8")
        })
    }

    /// Whether the page that sent this, where the browser says which, is one of ours, or of another server of the cluster.
    pub fn is_own_page(&self) -> bool {
        let Some(origin) = self.headers.get(ORIGIN) else {
            return true;
        };
        let Ok(origin) = origin.to_str() else {
            return false;
        };
        if self.app.members().others.iter().any(|other| other == origin) {
            return true;
        }
        let host = self.headers.get(HOST).and_then(|host| host.to_str().ok());
        let authority = origin.split_once("://").map(|(_, authority)| authority);
        origin == self.app.base_url || (authority.is_some() && authority == host)
    }
}

/// Parameters of a query, each known and at most once.
#[derive(Debug)]
pub struct Query(Vec<(String, String)>);

impl Query {
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Result<Option<u64>, Problem> {
        let Some(text) = self.get(name) else { return Ok(None) };
        let refused =
            || Problem::new(&problem::MALFORMED_QUERY, "this is not a whole number").at(name.to_owned());
        plain_number(text).map(Some).ok_or_else(refused)
    }
}

/// Fields of a posted form.
#[derive(Debug)]
pub struct Form(pub Vec<(String, String)>);

impl Form {
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// Digits only: no sign, no spaces.
fn plain_number(text: &str) -> Option<u64> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| text.parse().ok()).flatten()
}

/// Pairs of `application/x-www-form-urlencoded` (URL Standard, section 5.1); `None` if they are not UTF-8 or too many.
pub fn parse_form(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let mut pairs = Vec::new();
    for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == FORM_FIELDS_MAX {
            return None;
        }
        let split = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = match split {
            Some(at) => (&pair[..at], &pair[at + 1..]),
            None => (pair, &[][..]),
        };
        pairs.push((percent_decode(name)?, percent_decode(value)?));
    }
    Some(pairs)
}

fn percent_decode(text: &[u8]) -> Option<String> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).map(|digit| digit as u8);
    let mut decoded = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match text[at] {
            b'+' => decoded.push(b' '),
            b'%' => {
                let (high, low) = (digit(text.get(at + 1)?)?, digit(text.get(at + 2)?)?);
                decoded.push(high << 4 | low);
                at += 2;
            }
            byte => decoded.push(byte),
        }
        at += 1;
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_decoded() {
        let pairs = parse_form("a=1&b=x+y%26z&c&a=%C3%A9".as_bytes()).unwrap();
        let text: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}:{value}")).collect();
        assert_eq!(text, ["a:1", "b:x y&z", "c:", "a:é"]);
        for malformed in ["a=%", "a=%4", "a=%zz", "a=%ff"] {
            assert!(parse_form(malformed.as_bytes()).is_none(), "{malformed}");
        }
    }

    #[test]
    fn numbers_in_addresses_are_digits() {
        assert_eq!(plain_number("18446744073709551615"), Some(u64::MAX));
        for odd in ["", "+1", "-1", " 1", "1e3", "18446744073709551616"] {
            assert_eq!(plain_number(odd), None, "{odd}");
        }
    }
}
