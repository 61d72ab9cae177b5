//! What nodes say to each other, in bytes of our own: versioned, limited, checked.

use crate::core::LogEntry;
use crate::membership::{Membership, NodeId};
use crate::{KIND_MEMBERSHIP, KIND_TERM};
use bytes::Bytes;
use ledger::{ENTRY_BYTES_MAX, EntryKind, Position};

/// Most bytes of one message: an entry of the largest size and, before it, others of 1 MiB together.
pub const MESSAGE_BYTES_MAX: usize = ENTRY_BYTES_MAX + (2 << 20);
/// Most bytes that identify a read.
const CONTEXT_BYTES_MAX: usize = 16;
const MAGIC: [u8; 4] = *b"HuRf";
const VERSION: u8 = 1;
const HEADER_BYTES: usize = 84;
const ENTRY_HEADER_BYTES: usize = 25;
const SUM_BYTES: usize = 4;

/// What a message is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Kind {
    Append = 1,
    AppendAnswer = 2,
    Vote = 3,
    VoteAnswer = 4,
    PreVote = 5,
    PreVoteAnswer = 6,
    Heartbeat = 7,
    HeartbeatAnswer = 8,
    /// The leader tells its successor to stand for election now.
    TakeOver = 9,
    /// A follower asks its leader for a position to read at.
    Read = 10,
    ReadAnswer = 11,
}

impl Kind {
    const ALL: [Self; 11] = [
        Self::Append,
        Self::AppendAnswer,
        Self::Vote,
        Self::VoteAnswer,
        Self::PreVote,
        Self::PreVoteAnswer,
        Self::Heartbeat,
        Self::HeartbeatAnswer,
        Self::TakeOver,
        Self::Read,
        Self::ReadAnswer,
    ];
}

/// One message from one node to another. Only this crate reads what is in it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    pub(crate) kind: Kind,
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) term: u64,
    pub(crate) log_term: u64,
    pub(crate) index: u64,
    pub(crate) committed: u64,
    pub(crate) committed_term: u64,
    pub(crate) reject: bool,
    /// The sender's disk is short of room.
    pub(crate) short_of_room: bool,
    /// These entries are worth the receiver's reserve of room.
    pub(crate) urgent: bool,
    pub(crate) reject_hint: u64,
    /// Which read a heartbeat confirms; for [`Kind::TakeOver`]'s election, that it is wanted.
    pub(crate) context: Vec<u8>,
    /// Without gaps, the first behind `index`.
    pub(crate) entries: Vec<LogEntry>,
}

/// Why bytes are not a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WireError {
    #[error("a message of version {0} came from a newer server")]
    Newer(u8),
    #[error("a message between nodes is malformed: {0}")]
    Malformed(&'static str),
}

impl Message {
    #[must_use]
    pub fn from(&self) -> NodeId {
        self.from
    }

    #[must_use]
    pub fn to(&self) -> NodeId {
        self.to
    }

    /// `magic 4 | version 1 | kind 1 | flags 1 (1 reject, 2 short of room, 4 urgent) | context length 1 | from 8 | to 8 | term 8 | log term 8 | index 8 |
    /// committed 8 | committed term 8 | reject hint 8 | entries 4 | bytes of all entries 8 | context | entries |
    /// crc32c of all these 4`; each entry `term 8 | kind 1 | epoch 4 | stamp 8 | length 4 | payload`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let entry_bytes: usize =
            self.entries.iter().map(|entry| ENTRY_HEADER_BYTES + entry.payload.len()).sum();
        let mut out = Vec::with_capacity(HEADER_BYTES + self.context.len() + entry_bytes + SUM_BYTES);
        out.extend_from_slice(&MAGIC);
        let context = u8::try_from(self.context.len()).expect("a context is short");
        let flags = u8::from(self.reject) | u8::from(self.short_of_room) << 1 | u8::from(self.urgent) << 2;
        out.extend_from_slice(&[VERSION, self.kind as u8, flags, context]);
        let numbers = [
            self.from.0,
            self.to.0,
            self.term,
            self.log_term,
            self.index,
            self.committed,
            self.committed_term,
            self.reject_hint,
        ];
        numbers.iter().for_each(|number| out.extend_from_slice(&number.to_be_bytes()));
        let count = u32::try_from(self.entries.len()).expect("a message is limited");
        out.extend_from_slice(&count.to_be_bytes());
        out.extend_from_slice(&(entry_bytes as u64).to_be_bytes());
        out.extend_from_slice(&self.context);
        for entry in &self.entries {
            out.extend_from_slice(&entry.term.to_be_bytes());
            out.push(entry.kind.0);
            out.extend_from_slice(&entry.epoch.to_be_bytes());
            out.extend_from_slice(&entry.stamp.to_be_bytes());
            let length = u32::try_from(entry.payload.len()).expect("an entry is limited");
            out.extend_from_slice(&length.to_be_bytes());
            out.extend_from_slice(&entry.payload);
        }
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        assert!(out.len() <= MESSAGE_BYTES_MAX, "a message is limited where it is made");
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        use WireError::Malformed;
        if bytes.len() < HEADER_BYTES + SUM_BYTES || bytes.len() > MESSAGE_BYTES_MAX {
            return Err(Malformed("its length is impossible"));
        }
        let (content, sum) = bytes.split_at(bytes.len() - SUM_BYTES);
        if content[..4] != MAGIC {
            return Err(Malformed("it begins with other bytes"));
        }
        if sum != crc32c::crc32c(content).to_be_bytes() {
            return Err(Malformed("its checksum does not match"));
        }
        if content[4] != VERSION {
            return Err(WireError::Newer(content[4]));
        }
        let kind = Kind::ALL.into_iter().find(|kind| *kind as u8 == content[5]);
        let kind = kind.ok_or(Malformed("its kind is not known"))?;
        let flags = content[6];
        if flags > 7 {
            return Err(Malformed("a flag in it is not known"));
        }
        let number = |index: usize| u64_at(content, 8 + index * 8);
        let count = u32_at(content, 72);
        let entry_bytes = u64_at(content, 76);
        let context_length = usize::from(content[7]);
        let rest = &content[HEADER_BYTES..];
        if context_length > CONTEXT_BYTES_MAX || (context_length as u64) + entry_bytes != rest.len() as u64 {
            return Err(Malformed("its lengths contradict each other"));
        }
        if kind != Kind::Append && count > 0 {
            return Err(Malformed("only an append carries entries"));
        }
        let (context, entries) = rest.split_at(context_length);
        let message = Self {
            kind,
            from: NodeId(number(0)),
            to: NodeId(number(1)),
            term: number(2),
            log_term: number(3),
            index: number(4),
            committed: number(5),
            committed_term: number(6),
            reject: flags & 1 != 0,
            short_of_room: flags & 2 != 0,
            urgent: flags & 4 != 0,
            reject_hint: number(7),
            context: context.to_vec(),
            entries: decode_entries(number(4), number(3), number(2), count, entries)?,
        };
        if message.from.0 == 0 || message.to.0 == 0 || message.from == message.to {
            return Err(Malformed("its sender or receiver is impossible"));
        }
        Ok(message)
    }
}

fn decode_entries(
    index: u64,
    log_term: u64,
    term: u64,
    count: u32,
    mut rest: &[u8],
) -> Result<Vec<LogEntry>, WireError> {
    use WireError::Malformed;
    let mut entries: Vec<LogEntry> = Vec::new();
    for _ in 0..count {
        let (header, behind) =
            rest.split_at_checked(ENTRY_HEADER_BYTES).ok_or(Malformed("it ends within an entry"))?;
        let length = u32_at(header, 21) as usize;
        if length > ENTRY_BYTES_MAX {
            return Err(Malformed("an entry is too long"));
        }
        let (payload, behind) =
            behind.split_at_checked(length).ok_or(Malformed("it ends within an entry"))?;
        rest = behind;
        let position =
            index.checked_add(entries.len() as u64 + 1).ok_or(Malformed("a position overflows"))?;
        let entry = LogEntry {
            position: Position(position),
            term: u64_at(header, 0),
            kind: EntryKind(header[8]),
            epoch: u32_at(header, 9),
            stamp: u64_at(header, 13),
            payload: Bytes::copy_from_slice(payload),
        };
        let term_before = entries.last().map_or(log_term, |entry| entry.term);
        if entry.term < term_before || entry.term > term {
            return Err(Malformed("the terms of its entries are impossible"));
        }
        if entry.kind.0 == 0 || entry.kind == EntryKind::MARK {
            return Err(Malformed("an entry is of no kind"));
        }
        if entry.kind == KIND_TERM && (length, entry.epoch, entry.stamp) != (0, 0, 0) {
            return Err(Malformed("the first entry of a term says something"));
        }
        if entry.kind == KIND_MEMBERSHIP && Membership::decode(payload).is_err() {
            return Err(Malformed("a membership in it is malformed"));
        }
        entries.push(entry);
    }
    if rest.is_empty() { Ok(entries) } else { Err(Malformed("bytes follow its entries")) }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::membership::NodeInfo;

    fn message() -> Message {
        let entry = |number: u64, kind, payload: &[u8]| LogEntry {
            position: Position(40 + number),
            term: 6 + number,
            kind,
            epoch: if kind == KIND_TERM { 0 } else { 3 },
            stamp: if kind == KIND_TERM { 0 } else { 77 },
            payload: Bytes::copy_from_slice(payload),
        };
        let info = NodeInfo { address: "a:1".into(), http_address: "http://a".into(), version: 1 };
        let membership = Membership::founding(&info).unwrap().encode();
        Message {
            kind: Kind::Append,
            from: NodeId(1),
            to: NodeId(2),
            term: 9,
            log_term: 6,
            index: 40,
            committed: 38,
            committed_term: 0,
            reject: false,
            short_of_room: true,
            urgent: true,
            reject_hint: 5,
            context: vec![1; 16],
            entries: vec![
                entry(1, EntryKind(1), b"ballots"),
                entry(2, KIND_TERM, b""),
                entry(3, KIND_MEMBERSHIP, &membership),
            ],
        }
    }

    #[test]
    fn a_message_comes_back_and_no_changed_byte_passes() {
        let bytes = message().encode();
        assert_eq!(Message::decode(&bytes), Ok(message()));
        for at in 0..bytes.len() {
            assert!(Message::decode(&bytes[..at]).is_err());
            let mut other = bytes.clone();
            other[at] ^= 0x11;
            assert!(Message::decode(&other).is_err());
        }
    }

    /// With the sum made right again, so that what stands behind it is reached.
    #[test]
    fn noise_is_refused_or_read_as_what_it_says() {
        let bytes = message().encode();
        let mut random = crate::random::Random::new(1);
        let mut read = 0;
        for _ in 0..200_000 {
            let mut other = bytes.clone();
            for _ in 0..1 + random.below(3) {
                let at = random.below(other.len());
                other[at] = random.next() as u8;
            }
            other.truncate(other.len() - random.below(2) * random.below(40));
            if let Some(content) = other.len().checked_sub(SUM_BYTES) {
                let sum = crc32c::crc32c(&other[..content]).to_be_bytes();
                other[content..].copy_from_slice(&sum);
            }
            if let Ok(message) = Message::decode(&other) {
                assert_eq!(message.encode(), other);
                read += 1;
            }
        }
        assert!(read > 1000, "{read}");
    }

    #[test]
    fn a_newer_version_is_named() {
        let mut bytes = message().encode();
        bytes[4] = 2;
        let content = bytes.len() - SUM_BYTES;
        let sum = crc32c::crc32c(&bytes[..content]).to_be_bytes();
        bytes[content..].copy_from_slice(&sum);
        assert_eq!(Message::decode(&bytes), Err(WireError::Newer(2)));
    }
}
