//! Many ballots in one request: NDJSON in, one answer line per ballot, in their order.
//!
//! Lines are prepared in chunks while earlier chunks are being committed. The answer is sent when the whole
//! body has been read: a client that first writes everything and then reads would otherwise wait for us
//! while we wait for it.

use super::{Answer, typed};
use crate::app::{App, count, mailbox, with_edge};
use crate::body::next_piece;
use crate::counters::add;
use crate::input::Input;
use crate::problem::{self, Code, Problem};
use crate::receipt_json::put_number;
use crate::{auth, views, wire};
use bytes::Bytes;
use election::{GivenAnswers, IdempotencyKey, Rejection};
use hyper::StatusCode;
use hyper::body::Body as _;
use hyper::header::CONTENT_TYPE;
use node::core::BATCH_BALLOTS_MAX;
use node::{BulkAnswer, ElectionHandle, PreparedChunk, SubmitError};
use serde::Deserialize;
use std::borrow::Cow;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;

/// Chunks of one request under way at once: one is prepared while others are synced.
const CHUNKS_AHEAD: usize = 3;
/// A chunk is sent when its openings have this size, however few they are.
const CHUNK_BYTES_SOFT: usize = 1 << 20;
const NDJSON: [&str; 3] = ["application/x-ndjson", "application/ndjson", "application/jsonl"];

/// One line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BulkLine<'a> {
    #[serde(borrow)]
    voter: Cow<'a, str>,
    #[serde(borrow)]
    choices: GivenAnswers<'a>,
    #[serde(borrow, default)]
    group: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    key: Option<Cow<'a, str>>,
}

/// Lines taken together: those that are sent, and what is answered for those refused here.
struct Chunk {
    prepared: PreparedChunk,
    /// Place among all lines of the chunk, and its answer.
    refused: Vec<(usize, Vec<u8>)>,
    lines: usize,
}

/// A chunk on its way, with the answers for its refused lines.
struct Sent {
    answers: JoinHandle<Result<Vec<BulkAnswer>, SubmitError>>,
    refused: Vec<(usize, Vec<u8>)>,
    lines: usize,
}

struct Bulk {
    app: Arc<App>,
    election: Arc<ElectionHandle>,
    chunk: Chunk,
    sent: VecDeque<Sent>,
    out: Vec<u8>,
    accepted: u64,
}

pub async fn cast(input: Input) -> Answer {
    input.accepts(&["application/x-ndjson"])?;
    input.no_query()?;
    let app = Arc::clone(&input.app);
    let election = views::election(&app, input.param("slug")).await?;
    if let auth::Caster::Voter(_) = auth::caster(&input.app, &input.headers, &election)? {
        let sentence = "many ballots at once need an officer's or a gateway's token";
        return Err(Problem::new(&problem::FORBIDDEN, sentence));
    }
    expect_ndjson(&input)?;
    let limits = app.limits().clone();
    let body = input.into_body();
    if body.size_hint().lower() > limits.bulk_bytes_max as u64 {
        let sentence = format!("a bulk body may have at most {} bytes; split it", limits.bulk_bytes_max);
        return Err(Problem::new(&problem::BODY_TOO_LARGE, sentence));
    }
    let mut bulk = Bulk::new(Arc::clone(&app), election);
    let mut body = pin!(body);
    let mut rest: Vec<u8> = Vec::new();
    let mut taken = 0;
    let timeout = Duration::from_secs(u64::from(limits.body_timeout_seconds));
    let end = loop {
        let piece = match tokio::time::timeout(timeout, next_piece(&mut body)).await {
            Err(_) => break Some(Problem::plain(&problem::REQUEST_TIMEOUT)),
            Ok(Err(problem)) => break Some(problem),
            Ok(Ok(None)) => break None,
            Ok(Ok(Some(piece))) => piece,
        };
        taken += piece.len();
        if taken > limits.bulk_bytes_max {
            break Some(Problem::plain(&problem::BODY_TOO_LARGE));
        }
        bulk.take_piece(piece, &mut rest, limits.bulk_line_bytes_max).await;
    };
    if end.is_none() {
        bulk.take_line(&rest).await;
    }
    bulk.finish(end).await
}

fn expect_ndjson(input: &Input) -> Result<(), Problem> {
    let Some(value) = input.headers.get(CONTENT_TYPE) else {
        return Ok(());
    };
    let kind = value.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    if NDJSON.iter().any(|known| kind.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    let sentence = "send one JSON object a line as application/x-ndjson";
    Err(Problem::new(&problem::UNSUPPORTED_MEDIA_TYPE, sentence).at("Content-Type"))
}

impl Bulk {
    fn new(app: Arc<App>, election: Arc<ElectionHandle>) -> Self {
        let chunk = Chunk::new(&election);
        Bulk { app, election, chunk, sent: VecDeque::new(), out: Vec::new(), accepted: 0 }
    }

    /// Takes the lines that end in `piece`; what follows the last newline waits in `rest`.
    async fn take_piece(&mut self, piece: Bytes, rest: &mut Vec<u8>, line_bytes_max: usize) {
        let mut lines = piece.split(|byte| *byte == b'\n');
        let mut line = lines.next().unwrap_or_default();
        for next in lines {
            if rest.is_empty() {
                self.take_line(line).await;
            } else {
                rest.extend_from_slice(line);
                self.take_line(rest).await;
                rest.clear();
            }
            line = next;
        }
        // Of a line that is too long no more is kept than shows that it is.
        let room = (line_bytes_max + 1).saturating_sub(rest.len());
        rest.extend_from_slice(&line[..line.len().min(room)]);
    }

    async fn take_line(&mut self, line: &[u8]) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let prepared = match line.len() > self.app.limits().bulk_line_bytes_max {
            true => Err(refused_line(&problem::BODY_TOO_LARGE, "this line is longer than allowed")),
            false => prepare(&mut self.chunk.prepared, &self.election, line),
        };
        if let Err(answer) = prepared {
            self.chunk.refused.push((self.chunk.lines, answer));
        }
        self.chunk.lines += 1;
        if self.chunk.lines == BATCH_BALLOTS_MAX || self.chunk.prepared.bytes.len() >= CHUNK_BYTES_SOFT {
            self.send().await;
        }
    }

    /// Sends the chunk at hand, and collects the oldest answers if enough are under way.
    async fn send(&mut self) {
        let Chunk { prepared, refused, lines } =
            std::mem::replace(&mut self.chunk, Chunk::new(&self.election));
        let (mailbox, places) = (mailbox(), Arc::clone(&self.app.bulk_chunks));
        let answers = tokio::spawn(async move {
            if prepared.ballots.is_empty() {
                return Ok(Vec::new());
            }
            let _place = places.acquire_owned().await;
            mailbox.cast_many(prepared).await
        });
        self.sent.push_back(Sent { answers, refused, lines });
        if self.sent.len() > CHUNKS_AHEAD {
            self.collect().await;
        }
    }

    /// Writes the answers of the oldest chunk.
    async fn collect(&mut self) {
        let Some(sent) = self.sent.pop_front() else { return };
        let answers = sent.answers.await.unwrap_or(Err(SubmitError::Stopping));
        let mut refused = sent.refused.into_iter().peekable();
        let mut answers = answers.map(Vec::into_iter);
        for line in 0..sent.lines {
            if let Some((_, answer)) = refused.next_if(|(place, _)| *place == line) {
                self.out.extend_from_slice(&answer);
                continue;
            }
            match &mut answers {
                Ok(answers) => {
                    let answer = answers.next().expect("the node answers every line of a chunk");
                    self.write(&answer);
                }
                Err(error) => self.out.extend_from_slice(&refused_by(error)),
            }
        }
    }

    fn write(&mut self, answer: &BulkAnswer) {
        match answer {
            BulkAnswer::Accepted(receipt) => {
                self.accepted += 1;
                self.out.extend_from_slice(b"{\"ok\":true,\"leaf_index\":");
                put_number(&mut self.out, receipt.leaf_index);
                self.out.extend_from_slice(b",\"ballot_index\":");
                put_number(&mut self.out, receipt.ballot_index);
                self.out.extend_from_slice(b"}\n");
            }
            BulkAnswer::Refused(error) => self.out.extend_from_slice(&refused_by(error)),
            BulkAnswer::Repeated(repeat) => {
                self.out.extend_from_slice(&refused_by(&SubmitError::Rejected(repeat.rejection.clone())));
            }
        }
    }

    /// All answers; `end` says why the body was not read to its end, in a line of its own.
    async fn finish(mut self, end: Option<Problem>) -> Answer {
        if self.chunk.lines > 0 {
            self.send().await;
        }
        while !self.sent.is_empty() {
            self.collect().await;
        }
        if let Some(problem) = end {
            self.out.extend_from_slice(&refused(problem.code, &problem.detail));
        }
        count(|counters| add(&counters.bulk_ballots_accepted, self.accepted));
        Ok(typed(StatusCode::OK, "application/x-ndjson", self.out))
    }
}

impl Chunk {
    fn new(election: &ElectionHandle) -> Self {
        let prepared = with_edge(|edge| edge.new_chunk(election, false));
        Chunk { prepared, refused: Vec::new(), lines: 0 }
    }
}

/// Parses a line and adds its ballot to `chunk`; `Err` is the line's answer.
fn prepare(chunk: &mut PreparedChunk, election: &ElectionHandle, line: &[u8]) -> Result<(), Vec<u8>> {
    wire::expect_object(line)
        .map_err(|problem| refused_line(problem.code, "the line is not a JSON object"))?;
    let line: BulkLine<'_> = serde_json::from_slice(line).map_err(|error| {
        refused_line(&problem::MALFORMED_JSON, &wire::malformed_json(None, &error.to_string()).detail)
    })?;
    let by_rule = |rejection: Rejection| refused_by(&SubmitError::Rejected(rejection));
    let answers = election::answers::encode(&election.definition, &line.choices)
        .map_err(|error| by_rule(error.into()))?;
    let key = line.key.as_deref().map_or(IdempotencyKey::NONE, IdempotencyKey::from_text);
    with_edge(|edge| {
        let voter = edge.voter_by_text(election, &line.voter)?;
        let group = line.group.as_deref().map(|name| edge.group_by_name(election, name)).transpose()?;
        edge.prepare_line(chunk, election, voter, key, &answers, group);
        Ok(())
    })
    .map_err(by_rule)
}

fn refused_by(error: &SubmitError) -> Vec<u8> {
    refused_line(problem::code_named(error.code()), &error.to_string())
}

/// The answer to one ballot, counted as refused.
fn refused_line(code: &'static Code, detail: &str) -> Vec<u8> {
    count(|counters| counters.ballot_refused(code));
    refused(code, detail)
}

fn refused(code: &Code, detail: &str) -> Vec<u8> {
    let detail = serde_json::Value::from(detail);
    format!("{{\"ok\":false,\"code\":\"{}\",\"detail\":{detail}}}\n", code.name).into_bytes()
}
