//! Bodies: one that needs no box on the hot path, and readers with a size and a time limit.

use crate::problem::{self, Problem};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

/// What a response carries: bytes that are at hand, or whatever axum streams.
#[derive(Debug)]
pub enum ResponseBody {
    Full(Option<Bytes>),
    Streamed(axum::body::Body),
}

impl ResponseBody {
    pub fn full(bytes: Bytes) -> Self {
        ResponseBody::Full((!bytes.is_empty()).then_some(bytes))
    }
}

impl Body for ResponseBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        match self.get_mut() {
            ResponseBody::Full(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            ResponseBody::Streamed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            ResponseBody::Full(bytes) => bytes.is_none(),
            ResponseBody::Streamed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            ResponseBody::Full(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64)),
            ResponseBody::Streamed(body) => body.size_hint(),
        }
    }
}

/// How much of a body is taken, and for how long it is waited for.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    pub bytes_max: usize,
    pub timeout_seconds: u32,
}

impl BodyLimit {
    fn too_large(&self) -> Problem {
        Problem::new(
            &problem::BODY_TOO_LARGE,
            format!("a body may have at most {} bytes here", self.bytes_max),
        )
    }
}

/// The next piece of `body`; `None` at its end. Trailers are skipped.
pub async fn next_piece<B>(body: &mut Pin<&mut B>) -> Result<Option<Bytes>, Problem>
where
    B: Body<Data = Bytes>,
{
    loop {
        match std::future::poll_fn(|cx| body.as_mut().poll_frame(cx)).await {
            None => return Ok(None),
            Some(Err(_)) => {
                return Err(Problem::new(
                    &problem::MALFORMED_REQUEST,
                    "the body ended before it was complete",
                ));
            }
            Some(Ok(frame)) => {
                if let Ok(bytes) = frame.into_data() {
                    return Ok(Some(bytes));
                }
            }
        }
    }
}

/// Reads a whole body. The usual one, in the same packet as its headers, costs neither a copy nor a timer.
pub async fn read_all<B>(body: B, limit: BodyLimit) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    if body.size_hint().lower() > limit.bytes_max as u64 {
        return Err(limit.too_large());
    }
    let mut body = pin!(body);
    let timeout = Duration::from_secs(u64::from(limit.timeout_seconds));
    let mut first = Bytes::new();
    if let Some(ready) = now_or_never(next_piece(&mut body)) {
        match ready? {
            None => return Ok(first),
            Some(bytes) if body.is_end_stream() && bytes.len() <= limit.bytes_max => return Ok(bytes),
            Some(bytes) => first = bytes,
        }
    }
    tokio::time::timeout(timeout, read_rest(first, &mut body, limit))
        .await
        .unwrap_or_else(|_| Err(Problem::plain(&problem::REQUEST_TIMEOUT)))
}

async fn read_rest<B>(first: Bytes, body: &mut Pin<&mut B>, limit: BodyLimit) -> Result<Bytes, Problem>
where
    B: Body<Data = Bytes>,
{
    let mut whole = BytesMut::from(&first[..]);
    while let Some(bytes) = next_piece(body).await? {
        if whole.len() + bytes.len() > limit.bytes_max {
            return Err(limit.too_large());
        }
        whole.extend_from_slice(&bytes);
    }
    if whole.len() > limit.bytes_max { Err(limit.too_large()) } else { Ok(whole.freeze()) }
}

/// Polls `future` once. Dropping it when pending is sound for [`next_piece`], which holds no bytes of its own.
fn now_or_never<F: Future>(future: F) -> Option<F::Output> {
    let mut context = Context::from_waker(std::task::Waker::noop());
    match pin!(future).poll(&mut context) {
        Poll::Ready(output) => Some(output),
        Poll::Pending => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::Full;

    fn read(text: &'static str, bytes_max: usize) -> Result<Bytes, Problem> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let limit = BodyLimit { bytes_max, timeout_seconds: 1 };
        runtime.block_on(read_all(Full::new(Bytes::from_static(text.as_bytes())), limit))
    }

    #[test]
    fn a_body_is_read_up_to_its_limit_and_refused_above_it() {
        assert_eq!(read("12345", 5).unwrap(), "12345");
        assert_eq!(read("", 5).unwrap(), "");
        assert_eq!(read("123456", 5).unwrap_err().code, &problem::BODY_TOO_LARGE);
    }
}
