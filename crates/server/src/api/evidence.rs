//! Evidence: the record, checkpoints, proofs and tiles.

use super::{Answer, json, typed};
use crate::input::Input;
use crate::problem::{self, Problem};
use crate::{auth, views, wire};
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use data_encoding::BASE64URL_NOPAD;
use election::Viewer;
use hyper::StatusCode;
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_DISPOSITION, HeaderValue};
use node::{ElectionHandle, ReadError, RecordReader};
use proof::LeafKind;
use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::{OwnedSemaphorePermit, mpsc};

/// A record is read in pieces of this size; a slow reader holds two of them.
const PIECE_BYTES: usize = 64 * 1024;

/// A refusal to read, as a problem. What the disk said goes to the log, not to the client.
pub fn read_problem(error: &ReadError) -> Problem {
    match error {
        ReadError::NoSuchLeaf { .. } | ReadError::NoSuchSize { .. } | ReadError::NoSuchTile => {
            Problem::new(&problem::NO_SUCH_LEAF, error.to_string())
        }
        ReadError::Hidden => Problem::new(&problem::RESULTS_HIDDEN, error.to_string()),
        ReadError::NotOpened => Problem::new(&problem::WRONG_STATE, error.to_string()),
        _ => {
            tracing::error!(error = error as &dyn std::error::Error, "evidence cannot be read");
            Problem::plain(&problem::INTERNAL)
        }
    }
}

/// Reads from disk beside the worker.
async fn reading<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, ReadError> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(read).await {
        Ok(result) => result.map_err(|error| read_problem(&error)),
        Err(_) => Err(Problem::plain(&problem::INTERNAL)),
    }
}

pub async fn checkpoint(input: Input) -> Answer {
    input.accepts(&["text/plain"])?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    match &election.view().checkpoint {
        Some(note) => Ok(typed(StatusCode::OK, "text/plain; charset=utf-8", note.to_string())),
        None => Err(read_problem(&ReadError::NotOpened)),
    }
}

pub async fn proof(input: Input) -> Answer {
    input.accepts_json()?;
    input.no_query()?;
    let (election, leaf) = (views::election(&input.app, input.param("slug")).await?, input.number("index")?);
    let view = reading(move || election.proof(leaf)).await?;
    let opening = view.opening.map(|bytes| match view.kind {
        LeafKind::Ballot => wire::OpeningBody::Ballot(BASE64URL_NOPAD.encode(&bytes)),
        LeafKind::Act => wire::OpeningBody::Act(String::from_utf8_lossy(&bytes).into_owned()),
    });
    let body = wire::ProofBody {
        leaf_index: view.leaf_index,
        leaf: view.leaf,
        size: view.size,
        path: &view.path,
        checkpoint: Some(&view.checkpoint),
        opening,
    };
    Ok(json(StatusCode::OK, &body))
}

pub async fn consistency(input: Input) -> Answer {
    input.accepts_json()?;
    let query = input.query(&["from", "to"])?;
    let from = query
        .number("from")?
        .ok_or_else(|| Problem::new(&problem::MALFORMED_QUERY, "say which size to begin at").at("from"))?;
    let to = query.number("to")?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let size = to.unwrap_or(election.view().tree_size);
    let path = reading(move || election.consistency(from, Some(size))).await?;
    Ok(json(StatusCode::OK, &wire::ConsistencyBody { from, to: size, path }))
}

pub async fn tile(input: Input) -> Answer {
    input.accepts(&["application/octet-stream"])?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    let level = u8::try_from(input.number("level")?).map_err(|_| read_problem(&ReadError::NoSuchTile))?;
    let index = input.number("index")?;
    let width = match input.param("width") {
        "" => None,
        _ => {
            let width = input.number("width")?;
            Some(u16::try_from(width).map_err(|_| read_problem(&ReadError::NoSuchTile))?)
        }
    };
    let bytes = reading(move || election.tile(level, index, width)).await?;
    let mut response = typed(StatusCode::OK, "application/octet-stream", bytes);
    if width.is_none() {
        // A full tile never changes.
        let forever = HeaderValue::from_static("public, max-age=31536000, immutable");
        response.headers_mut().insert(CACHE_CONTROL, forever);
    }
    Ok(response)
}

/// The record holds the ballots' openings: it is for those who may see the counts.
fn expect_visible(input: &Input, election: &ElectionHandle) -> Result<(), Problem> {
    let viewer = match auth::has_credential(&input.headers) {
        true => match auth::caster(&input.app, &input.headers, election)? {
            auth::Caster::Officer => Viewer::Officer,
            auth::Caster::Voter(_) | auth::Caster::Gateway => Viewer::Public,
        },
        false => Viewer::Public,
    };
    match election.are_openings_shown_to(viewer) {
        true => Ok(()),
        false => Err(read_problem(&ReadError::Hidden)),
    }
}

/// The record as a stream: a thread reads it, the connection takes it at its own pace.
pub async fn record(input: Input) -> Answer {
    input.accepts(&["application/x-ndjson"])?;
    input.no_query()?;
    let election = views::election(&input.app, input.param("slug")).await?;
    expect_visible(&input, &election)?;
    let permit = Arc::clone(&input.app.record_downloads).try_acquire_owned().map_err(|_| {
        Problem::new(&problem::OVERLOADED, "as many records are being downloaded as this server allows")
            .retry_after(10)
    })?;
    input.app.catch_up().await;
    let name = format!("attachment; filename=\"{}.record\"", election.slug);
    let reader = reading(move || RecordReader::new(election)).await?;
    let (pieces, taken) = mpsc::channel(1);
    tokio::task::spawn_blocking(move || send_pieces(reader, &pieces, permit));
    let body = Body::new(Pieces(taken));
    let mut response: Response = typed(StatusCode::OK, "application/x-ndjson", body);
    let name = HeaderValue::try_from(name).expect("a slug is plain ASCII");
    response.headers_mut().insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

fn send_pieces(
    mut reader: impl Read,
    pieces: &mpsc::Sender<Result<Bytes, std::io::Error>>,
    permit: OwnedSemaphorePermit,
) {
    loop {
        let mut piece = Vec::with_capacity(PIECE_BYTES);
        let piece = match Read::by_ref(&mut reader).take(PIECE_BYTES as u64).read_to_end(&mut piece) {
            Ok(0) => break,
            Ok(_) => Ok(Bytes::from(piece)),
            Err(error) => {
                tracing::error!(%error, "a record cannot be read to its end");
                Err(error)
            }
        };
        let is_last = piece.is_err();
        // Fails when the client has gone.
        if pieces.blocking_send(piece).is_err() || is_last {
            break;
        }
    }
    drop(permit);
}

/// Pieces from a thread as a body. An error ends the connection, so that nobody takes a part for the whole.
struct Pieces(mpsc::Receiver<Result<Bytes, std::io::Error>>);

impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, std::io::Error>>> {
        self.0.poll_recv(cx).map(|piece| piece.map(|piece| piece.map(Frame::data)))
    }
}
