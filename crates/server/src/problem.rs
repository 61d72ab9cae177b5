//! Problem documents (RFC 9457): each refusal has one stable code, listed in [`CODES`] and `docs/errors.md`.

use crate::body::ResponseBody;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Serialize;
use std::borrow::Cow;

pub const CONTENT_TYPE_PROBLEM: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A reason for refusing a request: what clients may branch on, for ever.
#[derive(Debug, PartialEq, Eq)]
pub struct Code {
    pub name: &'static str,
    pub status: u16,
    /// One short sentence, the same for every occurrence.
    pub title: &'static str,
    /// What to do about it, for `docs/errors.md` and `/errors`.
    pub advice: &'static str,
}

macro_rules! codes {
    ($($constant:ident $name:literal $status:literal $title:literal $advice:literal)*) => {
        $(pub static $constant: Code = Code { name: $name, status: $status, title: $title, advice: $advice };)*
        /// Every code that this server can answer with.
        pub static CODES: &[&Code] = &[$(&$constant),*];
    };
}

codes! {
    MALFORMED_REQUEST "malformed_request" 400 "The request is not valid HTTP"
        "Send a request line and headers as HTTP/1.1 defines them."
    MALFORMED_JSON "malformed_json" 400 "The body is not the JSON asked for"
        "`field` names the member that is missing, unknown or of the wrong type; `detail` says what was expected."
    MALFORMED_QUERY "malformed_query" 400 "A query parameter is missing, unknown or malformed"
        "`field` names the parameter."
    MALFORMED_HEADER "malformed_header" 400 "A header has a value that cannot be used"
        "`field` names the header."
    UNAUTHORIZED "unauthorized" 401 "The credential is missing, wrong or for another election"
        "Send `Authorization: Bearer TOKEN` with a token for this election, or the officer token for officers' acts."
    FORBIDDEN "forbidden" 403 "This credential does not allow that"
        "Use a credential that does: the officer token for officers' acts, a voter's own token for a voter's ballot."
    NOT_ON_LIST "not_on_list" 403 "This voter is not on the list of the election"
        "Check the id for typing mistakes, or ask the election's officer."
    RESULTS_HIDDEN "results_hidden" 403 "This is not shown yet"
        "The election's `results` rule says when; turnout is in `GET …/results` at any time."
    NOT_FOUND "not_found" 404 "There is nothing at this address"
        "The paths are listed in `/openapi.json`."
    NO_SUCH_ELECTION "no_such_election" 404 "There is no election of this name"
        "Check the name in the address; `GET /api/v1/elections` lists them."
    NO_SUCH_ROOM "no_such_room" 404 "There is no room with this code"
        "Check the code: letters and digits, case does not matter."
    UNKNOWN_NODE "unknown_node" 404 "No such node belongs to this cluster"
        "`GET /api/v1/cluster` lists the nodes. One that left does not come back under its number."
    NO_SUCH_LEAF "no_such_leaf" 404 "The tree has no such leaf, tile or size"
        "Sizes and indexes go up to the `size` of the newest checkpoint."
    METHOD_NOT_ALLOWED "method_not_allowed" 405 "This address does not take that method"
        "The `Allow` header lists the methods it takes."
    NOT_ACCEPTABLE "not_acceptable" 406 "The answer has no form that the request accepts"
        "Accept the content type that `/openapi.json` names for this path, or leave `Accept` out."
    REQUEST_TIMEOUT "request_timeout" 408 "The body took too long to arrive"
        "Send it again, faster or in smaller parts. Nothing of a single ballot was counted; of a bulk body the answered lines were."
    ELECTION_EXISTS "election_exists" 409 "An election of this name exists"
        "Choose another `slug`; an election is never overwritten."
    ELECTION_NOT_OPEN "election_not_open" 409 "The election is not open for votes"
        "The ballot was not counted. `detail` says in which state the election is."
    ALREADY_VOTED "already_voted" 409 "This voter has already voted"
        "The first ballot stands. `GET …/ballot` with the voter's token gives its receipt again."
    WRONG_STATE "wrong_state" 409 "The election is not in a state that allows this"
        "`detail` names the state; drafts are opened, open elections paused, extended and closed, closed ones published."
    ROOM_EXISTS "room_exists" 409 "A room with this code exists"
        "Leave the code out, and one is drawn."
    ROOM_LOCKED "room_locked" 409 "Joining is locked"
        "The officer lets nobody join any more; who joined before still votes. Ask the officer to unlock the room."
    NODE_HAS_KEY "node_has_key" 409 "This node number has another key in this epoch"
        "A number keeps its key. A node that lost its disk joins again and is given a new number; it never takes its old one."
    NO_RUN_OFF "no_run_off" 409 "There is nothing to run off"
        "A run-off takes a contest for seats that ended in a tie, or whose one winner has no more than half. `repeat` makes the same election once more."
    NOTHING_TO_DRAW "nothing_to_draw" 409 "There is no tie that this lot could decide"
        "Only a closed election with a tie and `draw = \"public\"` takes a seed."
    DEADLINE_NOT_REACHED "deadline_not_reached" 409 "The closing time has not come"
        "Close it by hand, or wait."
    TOO_MANY_ELECTIONS "too_many_elections" 409 "The server holds as many elections as it may"
        "Start another server for new elections; `config show` prints the limits."
    TOO_MANY_PICTURES "too_many_pictures" 409 "The server holds as many pictures as it may"
        "Make the picture smaller, or raise `limits.pictures_bytes_total_max`; `config show` prints the limits."
    NOT_A_CLUSTER "not_a_cluster" 409 "This server keeps its ledger alone"
        "Start servers with `--cluster` to have others beside it; a lone server has nothing to hand over."
    CLUSTER_REFUSED "cluster_refused" 409 "The cluster does not do that now"
        "`detail` says why, such as a node that is not caught up, or one that cannot be spared."
    CLOCK_ALARM "clock_alarm" 409 "The server's clock made a step and waits to be confirmed"
        "Look at the clock of the machine, then `POST /api/v1/clock/confirm`."
    BODY_TOO_LARGE "body_too_large" 413 "The body is larger than allowed"
        "`config show` prints the limits; a bulk file may be split at any line."
    URI_TOO_LONG "uri_too_long" 414 "The address is longer than allowed"
        "No address of this server needs more than a few hundred characters."
    UNSUPPORTED_MEDIA_TYPE "unsupported_media_type" 415 "The body has a content type that is not taken here"
        "Send `Content-Type: application/json`, `application/x-ndjson` for bulk, or an image's own for pictures."
    IDEMPOTENCY_KEY_REUSED "idempotency_key_reused" 422 "This idempotency key came with another ballot before"
        "The first ballot stands. Use a new key for a new request."
    INVALID_BALLOT "invalid_ballot" 422 "The ballot does not keep the rules of a contest"
        "`field` names the contest; `detail` the rule. Nothing was counted."
    NO_SUCH_GROUP "no_such_group" 422 "The ballot names a group that the election does not have"
        "`GET /api/v1/elections/{slug}` gives the groups."
    LIST_ONLY "list_only" 403 "This election takes voters from its list only"
        "Ask for a session with `{\"voter\":\"…\"}`, an id on the list."
    CLOSES_IN_THE_PAST "closes_in_the_past" 422 "The new closing time has passed already"
        "Send a time later than now."
    INVALID_ROOM "invalid_room" 422 "The room breaks a rule"
        "`detail` says which."
    NO_SUCH_CONTEST "no_such_contest" 422 "The ballot names a contest that the election does not have"
        "`GET /api/v1/elections/{slug}` gives the contests."
    NO_SUCH_CHOICE "no_such_choice" 422 "The ballot names a choice that the contest does not have"
        "`GET /api/v1/elections/{slug}` gives the choices."
    INVALID_DEFINITION "invalid_definition" 422 "The definition breaks a rule"
        "`field` names the member, `detail` the rule."
    INVALID_PICTURE "invalid_picture" 422 "The body is not a picture of the kind that it says"
        "Send the bytes of a PNG, JPEG or WebP file with its own content type; `detail` says what does not fit."
    INVALID_NODE_KEY "invalid_node_key" 422 "This is not a node's number and public key"
        "A number from 1 to 65535, and 64 lower-case hexadecimal digits."
    INVALID_VALUE "invalid_value" 422 "A value has the right form but cannot be used"
        "`field` names the member, `detail` says why."
    NOT_SUPPORTED "not_supported" 422 "This build does not offer that yet"
        "`field` names what is not honoured; it is refused so that it is never ignored."
    RATE_LIMITED "rate_limited" 429 "Too many requests"
        "Wait the seconds of `Retry-After`. A ballot that was refused so was not counted."
    HEADERS_TOO_LARGE "headers_too_large" 431 "The headers are larger than allowed"
        "Send fewer or shorter headers."
    INTERNAL "internal" 500 "The server made a mistake"
        "It is logged under the request id of the answer. Send the same request again with the same idempotency key."
    OVERLOADED "overloaded" 503 "The server has as much work as it can hold"
        "Wait the seconds of `Retry-After`, then send the same request again. It was not counted."
    STORAGE_FULL "storage_full" 503 "The server cannot store more at the moment"
        "The ballot was not counted. Votes are taken again when there is space; reading goes on."
    NOT_KNOWN_YET "not_known_yet" 503 "It is not known yet whether this was recorded"
        "Send the same request again with the same idempotency key: it counts once, and the answer is the truth then. After a request to the cluster, look at its members first."
    NO_LEADER "no_leader" 503 "No server of the cluster leads at present"
        "Wait the seconds of `Retry-After`, then send the same request again. A ballot refused so was not counted."
    STOPPING "stopping" 503 "The server is stopping"
        "The ballot was not counted. Send the same request again in a few seconds."
}

/// The code called `name`; [`INTERNAL`] for a name that is not in the table, which a test excludes.
pub fn code_named(name: &str) -> &'static Code {
    CODES.iter().find(|code| code.name == name).copied().unwrap_or(&INTERNAL)
}

/// One refusal on its way to the client.
#[derive(Debug, Clone)]
pub struct Problem {
    pub code: &'static Code,
    /// What happened this time, in one sentence.
    pub detail: Cow<'static, str>,
    /// The member, parameter or header at fault.
    pub field: Option<Cow<'static, str>>,
    pub retry_after_seconds: Option<u32>,
    /// The methods a path takes, for 405.
    pub allow: Option<HeaderValue>,
}

/// The wire form of a [`Problem`].
#[derive(Serialize)]
struct ProblemBody<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
}

impl Problem {
    pub fn new(code: &'static Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { code, detail: detail.into(), field: None, retry_after_seconds: None, allow: None }
    }

    /// A problem whose title says it all.
    pub fn plain(code: &'static Code) -> Self {
        Self::new(code, code.title)
    }

    pub fn at(mut self, field: impl Into<Cow<'static, str>>) -> Self {
        self.field = Some(field.into());
        self
    }

    pub fn retry_after(mut self, seconds: u32) -> Self {
        self.retry_after_seconds = Some(seconds);
        self
    }

    pub fn status(&self) -> hyper::StatusCode {
        hyper::StatusCode::from_u16(self.code.status).expect("the table holds valid statuses, see the test")
    }

    pub fn body(&self) -> Bytes {
        let body = ProblemBody {
            r#type: format!("/errors#{}", self.code.name),
            title: self.code.title,
            status: self.code.status,
            code: self.code.name,
            detail: &self.detail,
            field: self.field.as_deref(),
        };
        Bytes::from(serde_json::to_vec(&body).expect("strings and numbers always serialise"))
    }

    /// Adds what goes beside the body: retry time, challenge, methods.
    pub fn set_headers(&self, headers: &mut hyper::HeaderMap) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers
            .insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.code.status == 401 {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"hustings\""));
        }
        if let Some(allow) = &self.allow {
            headers.insert(hyper::header::ALLOW, allow.clone());
        }
    }

    pub fn into_hyper(self) -> hyper::Response<ResponseBody> {
        let mut response = hyper::Response::new(ResponseBody::full(self.body()));
        *response.status_mut() = self.status();
        response.headers_mut().insert(CONTENT_TYPE, CONTENT_TYPE_PROBLEM);
        self.set_headers(response.headers_mut());
        response.extensions_mut().insert(Refused(self.code));
        response
    }

    /// The whole response as bytes on the wire, for connections that no request came through.
    pub fn raw_response(&self) -> Vec<u8> {
        let body = self.body();
        let status = self.status();
        let retry = self.retry_after_seconds.map_or_else(String::new, |s| format!("retry-after: {s}\r\n"));
        let head = format!(
            "HTTP/1.1 {} {}\r\ncontent-type: application/problem+json\r\ncontent-length: {}\r\n\
             cache-control: no-store\r\nx-content-type-options: nosniff\r\n{retry}connection: close\r\n\r\n",
            status.as_str(),
            status.canonical_reason().unwrap_or("Refused"),
            body.len(),
        );
        [head.as_bytes(), &body].concat()
    }
}

/// Left on a response so that the worker can count refusals by code.
#[derive(Clone, Copy, Debug)]
pub struct Refused(pub &'static Code);

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        self.into_hyper().map(axum::body::Body::new)
    }
}

/// `docs/errors.md`, whole.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Errors\n\n\
         Every refusal of the HTTP interface is a problem document (RFC 9457, `application/problem+json`):\n\n\
         ```json\n\
         {\"type\":\"/errors#no_such_choice\",\"title\":\"…\",\"status\":422,\"code\":\"no_such_choice\",\"detail\":\"…\",\"field\":\"choices.chair\"}\n\
         ```\n\n\
         Programs branch on `code`, which never changes its meaning; `title` and `detail` are for people and may be reworded.\n\
         `field` names the member, query parameter or header at fault where there is one. A ballot that was answered with\n\
         any of these was not counted by that request, but for `not_known_yet`, where only asking again tells; the same\n\
         request may be sent again, best with the same `Idempotency-Key`.\n\n\
         This page is written from the table in `crates/server/src/problem.rs`, and a test holds them equal.\n\n\
         | code | status | meaning | what to do |\n|---|---|---|---|\n",
    );
    for code in CODES {
        page.push_str(&format!(
            "| <a id=\"{name}\"></a>`{name}` | {status} | {title} | {advice} |\n",
            name = code.name,
            status = code.status,
            title = code.title,
            advice = code.advice
        ));
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_listed_once_with_a_valid_status() {
        let mut names: Vec<_> = CODES.iter().map(|code| code.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CODES.len());
        for code in CODES {
            assert!(hyper::StatusCode::from_u16(code.status).is_ok(), "{}", code.name);
        }
    }

    #[test]
    fn a_problem_names_code_status_and_field() {
        let body = Problem::new(&INVALID_BALLOT, "choose at most 1").at("choices.chair").body();
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(json["type"], "/errors#invalid_ballot");
        assert_eq!(json["status"], 422);
        assert_eq!(json["field"], "choices.chair");
    }

    #[test]
    fn the_errors_page_of_the_documentation_lists_exactly_these_codes() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/errors.md");
        let expected = crate::problem::markdown();
        if std::env::var_os("HUSTINGS_BLESS").is_some() {
            std::fs::write(path, &expected).unwrap();
        }
        let found = std::fs::read_to_string(path).unwrap();
        assert_eq!(
            found, expected,
            "docs/errors.md is stale: HUSTINGS_BLESS=1 cargo test -p server rewrites it"
        );
    }
}
