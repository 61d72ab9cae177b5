//! One question and its answer, over a connection of its own.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{ASK_BYTES_MAX, Purpose};
use super::link::{LinkError, connect, welcomed};
use super::{NEWCOMER, Shared, tls};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask the node at {address}")]
pub struct AskError {
    pub address: String,
    #[source]
    pub reason: LinkError,
}

pub(crate) async fn ask(
    shared: &Shared,
    address: String,
    question: Bytes,
    timeout: Duration,
) -> Result<Bytes, AskError> {
    let exchange = async {
        if question.len() > ASK_BYTES_MAX {
            return Err(LinkError::TooLarge);
        }
        let mut stream = connect(shared, &address, Purpose::Ask, NEWCOMER).await?;
        // A refusal may come while the question is still being written; it says more than the broken pipe.
        let written = put(&mut stream, &question).await;
        if let Err(refused) = welcomed(&mut stream, NEWCOMER).await {
            return Err(written
                .err()
                .filter(|_| matches!(refused, LinkError::Connection(_)))
                .unwrap_or(refused));
        }
        written?;
        take(&mut stream).await
    };
    let outcome = tokio::time::timeout(timeout, exchange).await.unwrap_or(Err(LinkError::TimedOut));
    outcome.map_err(|reason| AskError { address: address.clone(), reason })
}

/// `length 4 | crc32c 4 | bytes`
pub(crate) async fn put(stream: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> Result<(), LinkError> {
    if bytes.len() > ASK_BYTES_MAX {
        return Err(LinkError::TooLarge);
    }
    let length = u32::try_from(bytes.len()).expect("below ASK_BYTES_MAX");
    let mut header = [0; 8];
    header[..4].copy_from_slice(&length.to_be_bytes());
    header[4..].copy_from_slice(&crc32c::crc32c(bytes).to_be_bytes());
    stream.write_all(&header).await.map_err(tls::meaning)?;
    stream.write_all(bytes).await.map_err(tls::meaning)?;
    stream.flush().await.map_err(tls::meaning)
}

pub(crate) async fn take(stream: &mut (impl AsyncRead + Unpin)) -> Result<Bytes, LinkError> {
    let mut header = [0; 8];
    stream.read_exact(&mut header).await.map_err(tls::meaning)?;
    let (length, sum) = header.split_at(4);
    let length = u32::from_be_bytes(length.try_into().expect("four bytes")) as usize;
    if length > ASK_BYTES_MAX {
        return Err(LinkError::TooLarge);
    }
    // Room grows with what has come, not with what was announced.
    let mut bytes = BytesMut::new();
    while bytes.len() < length {
        bytes.reserve((length - bytes.len()).min(bytes.len().max(64 << 10)));
        let missing = length - bytes.len();
        let read = stream.take(missing as u64).read_buf(&mut bytes).await.map_err(tls::meaning)?;
        if read == 0 {
            return Err(LinkError::Malformed("it ends too early"));
        }
    }
    if sum != crc32c::crc32c(&bytes).to_be_bytes() {
        return Err(LinkError::Malformed("the checksum of a question or an answer does not match"));
    }
    Ok(bytes.freeze())
}
