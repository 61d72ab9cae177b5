//! The bytes between two nodes, inside TLS: a greeting each way, then frames. Drawn in `docs/dev/cluster-wire.md`.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use ledger::LedgerId;

use super::LinkError;
use crate::NodeId;
use crate::time::ClockSample;

/// Most bytes that one frame carries.
pub const FRAME_BYTES_MAX: usize = 64 << 20;
/// Most bytes of what is asked, and of an answer.
pub const ASK_BYTES_MAX: usize = 16 << 20;
pub(crate) const FRAME_HEADER_BYTES: usize = 12;
pub(crate) const GREETING_BYTES: usize = 44;
pub(crate) const REPLY_BYTES: usize = 36;
const MAGIC: [u8; 4] = *b"HuNt";
pub(crate) const VERSION: u8 = 1;

/// What a connection is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Frames of one member to another, for as long as it stands.
    Stream = 1,
    /// One question, one answer.
    Ask = 2,
}

/// The first that the side which connected says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Greeting {
    pub purpose: Purpose,
    pub from: NodeId,
    /// Who is meant; 0 for whoever is there.
    pub to: NodeId,
    pub ledger: LedgerId,
}

/// What the other side says to a greeting.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reply {
    pub verdict: Verdict,
    pub node: NodeId,
    pub ledger: LedgerId,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Welcome = 0,
    /// The version of the greeting is not spoken here.
    Version = 1,
    OtherName = 2,
    OtherLedger = 3,
    /// Another node than the one that was meant.
    OtherNode = 4,
    NotMember = 5,
    /// The certificate names another node than the greeting.
    Impostor = 6,
    Busy = 7,
}

impl Verdict {
    const ALL: [Self; 8] = [
        Self::Welcome,
        Self::Version,
        Self::OtherName,
        Self::OtherLedger,
        Self::OtherNode,
        Self::NotMember,
        Self::Impostor,
        Self::Busy,
    ];
}

impl Greeting {
    /// `magic 4 | version 1 | purpose 1 | 0 2 | from 8 | to 8 | ledger 16 | crc32c of these 4`
    pub(crate) fn encode(&self) -> [u8; GREETING_BYTES] {
        let mut out = [0; GREETING_BYTES];
        let mut rest = &mut out[..];
        rest.put_slice(&MAGIC);
        rest.put_slice(&[VERSION, self.purpose as u8, 0, 0]);
        rest.put_u64(self.from.0);
        rest.put_u64(self.to.0);
        rest.put_slice(&self.ledger.0);
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8; GREETING_BYTES]) -> Result<Self, LinkError> {
        let mut rest = opened(bytes)?;
        let purpose = match rest.get_u8() {
            1 => Purpose::Stream,
            2 => Purpose::Ask,
            _ => return Err(LinkError::Malformed("the purpose of a greeting is not known")),
        };
        rest.advance(2);
        let (from, to) = (NodeId(rest.get_u64()), NodeId(rest.get_u64()));
        Ok(Self { purpose, from, to, ledger: ledger(&mut rest) })
    }
}

impl Reply {
    /// `magic 4 | version 1 | verdict 1 | 0 2 | node 8 | ledger 16 | crc32c of these 4`
    pub(crate) fn encode(&self) -> [u8; REPLY_BYTES] {
        let mut out = [0; REPLY_BYTES];
        let mut rest = &mut out[..];
        rest.put_slice(&MAGIC);
        rest.put_slice(&[VERSION, self.verdict as u8, 0, 0]);
        rest.put_u64(self.node.0);
        rest.put_slice(&self.ledger.0);
        seal(&mut out);
        out
    }

    pub(crate) fn decode(bytes: &[u8; REPLY_BYTES]) -> Result<Self, LinkError> {
        let mut rest = opened(bytes)?;
        let verdict = rest.get_u8();
        let verdict = Verdict::ALL.into_iter().find(|one| *one as u8 == verdict);
        let verdict = verdict.ok_or(LinkError::Malformed("an answer to a greeting is not known"))?;
        rest.advance(2);
        Ok(Self { verdict, node: NodeId(rest.get_u64()), ledger: ledger(&mut rest) })
    }
}

fn seal(bytes: &mut [u8]) {
    let content = bytes.len() - 4;
    let sum = crc32c::crc32c(&bytes[..content]);
    bytes[content..].copy_from_slice(&sum.to_be_bytes());
}

/// What stands behind the version.
fn opened(bytes: &[u8]) -> Result<&[u8], LinkError> {
    let (content, sum) = bytes.split_at(bytes.len() - 4);
    if content[..4] != MAGIC {
        return Err(LinkError::Malformed("a greeting begins with other bytes"));
    }
    if content[4] != VERSION {
        return Err(LinkError::Version(content[4]));
    }
    if sum != crc32c::crc32c(content).to_be_bytes() {
        return Err(LinkError::Malformed("the checksum of a greeting does not match"));
    }
    Ok(&content[5..])
}

fn ledger(rest: &mut &[u8]) -> LedgerId {
    let mut id = [0; 16];
    rest.copy_to_slice(&mut id);
    LedgerId(id)
}

/// One frame that came in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Frame {
    Message { lane: u8, payload: Bytes },
    Ping(Ping),
    Pong(Pong),
}

/// Sent twice a second on every stream; when, by the sender's monotonic clock.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Ping {
    pub sent_us: u64,
}

/// Sent back at once, with both clocks of the one who answers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Pong {
    pub sent_us: u64,
    pub system_us: i64,
    pub monotonic_us: u64,
}

impl Pong {
    /// What it says of the other's clock, by ours now.
    pub(crate) fn sample(&self, monotonic_us: u64) -> Option<ClockSample> {
        ClockSample::of_exchange(self.sent_us, monotonic_us, self.system_us, self.monotonic_us)
    }
}

const MESSAGE: u8 = 1;
const PING: u8 = 2;
const PONG: u8 = 3;

/// `length of the payload 4 | kind 1 | lane 1 | 0 2 | crc32c of these and the payload 4`
pub(crate) fn header(kind: u8, lane: u8, payload: &[u8]) -> [u8; FRAME_HEADER_BYTES] {
    let length = u32::try_from(payload.len()).expect("a frame is limited where it is queued");
    let mut out = [0; FRAME_HEADER_BYTES];
    out[..4].copy_from_slice(&length.to_be_bytes());
    out[4] = kind;
    out[5] = lane;
    let sum = crc32c::crc32c_append(crc32c::crc32c(&out[..8]), payload);
    out[8..].copy_from_slice(&sum.to_be_bytes());
    out
}

pub(crate) fn message_header(lane: u8, payload: &[u8]) -> [u8; FRAME_HEADER_BYTES] {
    header(MESSAGE, lane, payload)
}

pub(crate) fn put_ping(out: &mut BytesMut, ping: Ping) {
    let payload = ping.sent_us.to_be_bytes();
    out.put_slice(&header(PING, 0, &payload));
    out.put_slice(&payload);
}

pub(crate) fn put_pong(out: &mut BytesMut, pong: Pong) {
    let mut payload = [0; 24];
    payload[..8].copy_from_slice(&pong.sent_us.to_be_bytes());
    payload[8..16].copy_from_slice(&pong.system_us.to_be_bytes());
    payload[16..].copy_from_slice(&pong.monotonic_us.to_be_bytes());
    out.put_slice(&header(PONG, 0, &payload));
    out.put_slice(&payload);
}

/// Takes the first whole frame out of `buffer`, without copying what it carries.
pub(crate) fn take_frame(buffer: &mut BytesMut) -> Result<Option<Frame>, LinkError> {
    let Some(needed) = needed(buffer)? else { return Ok(None) };
    if buffer.len() < needed {
        return Ok(None);
    }
    let header = buffer.split_to(FRAME_HEADER_BYTES);
    let payload = buffer.split_to(needed - FRAME_HEADER_BYTES).freeze();
    if header[8..] != crc32c::crc32c_append(crc32c::crc32c(&header[..8]), &payload).to_be_bytes() {
        return Err(LinkError::Malformed("the checksum of a frame does not match"));
    }
    let number = |at: usize| payload[at..at + 8].try_into().expect("eight bytes");
    match (header[4], payload.len()) {
        (MESSAGE, _) => Ok(Some(Frame::Message { lane: header[5], payload })),
        (PING, 8) => Ok(Some(Frame::Ping(Ping { sent_us: u64::from_be_bytes(number(0)) }))),
        (PONG, 24) => Ok(Some(Frame::Pong(Pong {
            sent_us: u64::from_be_bytes(number(0)),
            system_us: i64::from_be_bytes(number(8)),
            monotonic_us: u64::from_be_bytes(number(16)),
        }))),
        _ => Err(LinkError::Malformed("the kind of a frame is not known")),
    }
}

/// Bytes of the first frame in `buffer` with its header, once the header is there.
pub(crate) fn needed(buffer: &[u8]) -> Result<Option<usize>, LinkError> {
    if buffer.len() < FRAME_HEADER_BYTES {
        return Ok(None);
    }
    let length = u32::from_be_bytes(buffer[..4].try_into().expect("four bytes")) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(LinkError::Malformed("a frame is longer than frames may be"));
    }
    Ok(Some(FRAME_HEADER_BYTES + length))
}

/// How long nothing may be heard before a connection counts as dead.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(2_500);
pub(crate) const PING_EVERY: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn frames(mut bytes: &[u8], step: usize) -> Result<Vec<Frame>, LinkError> {
        let mut buffer = BytesMut::new();
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let (now, rest) = bytes.split_at(step.min(bytes.len()));
            buffer.extend_from_slice(now);
            bytes = rest;
            while let Some(frame) = take_frame(&mut buffer)? {
                out.push(frame);
            }
        }
        Ok(out)
    }

    fn three() -> (Vec<u8>, Vec<Frame>) {
        let payload = Bytes::from_static(b"some votes");
        let pong = Pong { sent_us: 7, system_us: -3, monotonic_us: 9 };
        let mut out = BytesMut::new();
        put_ping(&mut out, Ping { sent_us: 5 });
        out.put_slice(&message_header(4, &payload));
        out.put_slice(&payload);
        put_pong(&mut out, pong);
        let frames =
            vec![Frame::Ping(Ping { sent_us: 5 }), Frame::Message { lane: 4, payload }, Frame::Pong(pong)];
        (out.to_vec(), frames)
    }

    #[test]
    fn frames_come_back_however_the_bytes_are_cut() {
        let (bytes, expected) = three();
        for step in 1..=bytes.len() {
            assert_eq!(frames(&bytes, step).unwrap(), expected);
        }
    }

    #[test]
    fn a_flipped_bit_anywhere_gives_no_frame_that_was_not_sent() {
        let (bytes, expected) = three();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                match frames(&other, bytes.len()) {
                    Ok(got) => {
                        assert!(got.len() < expected.len() && got == expected[..got.len()], "{got:?}")
                    }
                    Err(error) => assert!(matches!(error, LinkError::Malformed(_))),
                }
            }
        }
    }

    #[test]
    fn a_frame_that_says_it_is_huge_is_refused_before_anything_is_kept_for_it() {
        let mut bytes = BytesMut::new();
        bytes.put_u32(u32::try_from(FRAME_BYTES_MAX).unwrap() + 1);
        bytes.put_slice(&[MESSAGE, 0, 0, 0, 0, 0, 0, 0]);
        assert!(matches!(take_frame(&mut bytes), Err(LinkError::Malformed(_))));
    }

    #[test]
    fn greetings_come_back_and_flipped_bits_are_noticed() {
        let greeting =
            Greeting { purpose: Purpose::Ask, from: NodeId(1), to: NodeId(2), ledger: LedgerId([3; 16]) };
        let reply = Reply { verdict: Verdict::Busy, node: NodeId(4), ledger: LedgerId([5; 16]) };
        assert_eq!(Greeting::decode(&greeting.encode()).unwrap(), greeting);
        assert_eq!(Reply::decode(&reply.encode()).unwrap(), reply);
        for at in 0..GREETING_BYTES * 8 {
            let mut bytes = greeting.encode();
            bytes[at / 8] ^= 1 << (at % 8);
            assert!(Greeting::decode(&bytes).is_err());
        }
        let mut newer = greeting.encode();
        newer[4] = 9;
        assert!(matches!(Greeting::decode(&newer), Err(LinkError::Version(9))));
    }
}
