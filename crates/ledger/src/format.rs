//! The bytes on disk, version 1; all integers big-endian. `docs/formats.md`, "Ledger segments", says the same.

use crate::{EntryHeader, EntryKind, LedgerId, LogPoint, Position};
use proof::{Hash, sha256};

pub const FORMAT_VERSION: u8 = 1;

/// A segment's header; the rest of its first page is zeros, so that no later write touches the header's page.
pub const SEGMENT_HEADER_BYTES: usize = 76;
/// Unit in which a disk or a page cache loses bytes. Header, mark and entries of a segment have no page in common.
pub const PAGE_BYTES: u64 = 4096;
/// Where a segment's mark stands: the only bytes of a segment that are ever written twice.
pub const MARK_OFFSET: u64 = PAGE_BYTES;
/// Where the first entry of a segment begins.
pub const SEGMENT_DATA_OFFSET: u64 = 2 * PAGE_BYTES;
const SEGMENT_MAGIC: [u8; 4] = *b"HuSg";

/// An entry's header; its payload follows, the next header follows that, without padding.
pub const ENTRY_HEADER_BYTES: usize = 104;
const ENTRY_MAGIC: [u8; 4] = *b"HuEn";
const TERM_OFFSET: usize = 40;
const MARK_FIELD_OFFSET: usize = 56;

/// First page of a segment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SegmentHeader {
    pub ledger: LedgerId,
    /// Length of the file, header included.
    pub bytes: u64,
    /// Position of the segment's first entry.
    pub first: Position,
    /// Hash of the entry before that.
    pub previous: Hash,
}

/// Why bytes are not a segment's header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentHeaderError {
    Damaged(&'static str),
    Newer(u8),
}

impl SegmentHeader {
    /// `magic 4 | version 1 | zeros 3 | bytes 8 | ledger 16 | first 8 | previous 32 | crc32c of these 4`.
    pub fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[0..4].copy_from_slice(&SEGMENT_MAGIC);
        out[4] = FORMAT_VERSION;
        out[8..16].copy_from_slice(&self.bytes.to_be_bytes());
        out[16..32].copy_from_slice(&self.ledger.0);
        out[32..40].copy_from_slice(&self.first.0.to_be_bytes());
        out[40..72].copy_from_slice(&self.previous.0);
        let sum = crc32c::crc32c(&out[..72]);
        out[72..].copy_from_slice(&sum.to_be_bytes());
        out
    }

    /// Reads the first page of a segment; checks its zeros too.
    pub fn decode(page: &[u8]) -> Result<Self, SegmentHeaderError> {
        assert_eq!(page.len() as u64, PAGE_BYTES, "a segment header is read with its whole page");
        let (header, rest) = page.split_at(SEGMENT_HEADER_BYTES);
        if header[..4] != SEGMENT_MAGIC {
            return Err(SegmentHeaderError::Damaged("its first bytes are not those of a segment"));
        }
        if u32_at(header, 72) != crc32c::crc32c(&header[..72]) {
            return Err(SegmentHeaderError::Damaged("the checksum of its header does not match"));
        }
        if header[4] != FORMAT_VERSION {
            return Err(SegmentHeaderError::Newer(header[4]));
        }
        if header[5..8] != [0; 3] || !is_zero(rest) {
            return Err(SegmentHeaderError::Damaged("bytes that must be zero are not"));
        }
        Ok(Self {
            bytes: u64_at(header, 8),
            ledger: LedgerId(array_at(header, 16)),
            first: Position(u64_at(header, 32)),
            previous: Hash(array_at(header, 40)),
        })
    }
}

/// `magic 4 | version 1 | kind 1 | zeros 2 | length 4 | epoch 4 | ledger 16 | position 8 | term 8 | stamp 8 | mark 8 |
/// previous 32 | crc32c of the payload 4 | crc32c of all these 4`.
///
/// The two sums together cover header and payload; apart, they let a reader of a few bytes trust a header alone, and
/// let recovery know how far a torn batch reached.
pub fn encode_entry_header(
    ledger: LedgerId,
    header: &EntryHeader,
    payload: &[u8],
) -> [u8; ENTRY_HEADER_BYTES] {
    assert_eq!(header.length as usize, payload.len(), "the header names the payload's length");
    let mut out = [0; ENTRY_HEADER_BYTES];
    out[0..4].copy_from_slice(&ENTRY_MAGIC);
    out[4] = FORMAT_VERSION;
    out[5] = header.kind.0;
    out[8..12].copy_from_slice(&header.length.to_be_bytes());
    out[12..16].copy_from_slice(&header.epoch.to_be_bytes());
    out[16..32].copy_from_slice(&ledger.0);
    out[32..40].copy_from_slice(&header.position.0.to_be_bytes());
    out[40..48].copy_from_slice(&header.term.to_be_bytes());
    out[48..56].copy_from_slice(&header.stamp.to_be_bytes());
    out[56..64].copy_from_slice(&header.mark.0.to_be_bytes());
    out[64..96].copy_from_slice(&header.previous.0);
    out[96..100].copy_from_slice(&crc32c::crc32c(payload).to_be_bytes());
    let sum = crc32c::crc32c(&out[..100]);
    out[100..].copy_from_slice(&sum.to_be_bytes());
    out
}

/// An entry's header whose own sum matches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StoredHeader {
    pub header: EntryHeader,
    pub ledger: LedgerId,
    pub payload_sum: u32,
}

impl StoredHeader {
    /// `None` where the bytes are not a whole header.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; ENTRY_HEADER_BYTES] = bytes.first_chunk()?;
        let sound = bytes[..4] == ENTRY_MAGIC
            && u32_at(bytes, 100) == crc32c::crc32c(&bytes[..100])
            && bytes[4] == FORMAT_VERSION
            && bytes[6..8] == [0; 2];
        sound.then(|| Self {
            header: EntryHeader {
                kind: EntryKind(bytes[5]),
                length: u32_at(bytes, 8),
                epoch: u32_at(bytes, 12),
                position: Position(u64_at(bytes, 32)),
                term: u64_at(bytes, 40),
                stamp: u64_at(bytes, 48),
                mark: Position(u64_at(bytes, 56)),
                previous: Hash(array_at(bytes, 64)),
            },
            ledger: LedgerId(array_at(bytes, 16)),
            payload_sum: u32_at(bytes, 96),
        })
    }

    /// Header and payload, in bytes.
    pub fn total_bytes(&self) -> u64 {
        ENTRY_HEADER_BYTES as u64 + u64::from(self.header.length)
    }

    /// What a segment's mark says is synced; `None` where these bytes are not a mark of `ledger`: there is none, or
    /// the machine stopped while it was written.
    pub fn decode_mark(bytes: &[u8], ledger: LedgerId) -> Option<LogPoint> {
        let stored = Self::decode(bytes)?;
        let header = &stored.header;
        let sound =
            stored.ledger == ledger && header.kind == EntryKind::MARK && header.position == header.mark;
        sound.then_some(LogPoint { position: header.position, hash: header.previous })
    }
}

/// What the next entry repeats of this one. Several nodes write the same entry with marks of their own, so where it has
/// a term the mark, and the sum that covers it, count as zeros: equal logs have equal hashes.
pub fn entry_hash(header: &[u8], payload: &[u8]) -> Hash {
    if u64_at(header, TERM_OFFSET) == 0 {
        return sha256(&[header, payload]);
    }
    let (before_mark, behind_mark) = (&header[..MARK_FIELD_OFFSET], &header[MARK_FIELD_OFFSET + 8..100]);
    sha256(&[before_mark, &[0; 8], behind_mark, &[0; 4], payload])
}

/// The record that says everything up to `last` is synced. It has the shape of an entry without a payload.
pub fn encode_mark(ledger: LedgerId, last: LogPoint, epoch: u32, term: u64) -> [u8; ENTRY_HEADER_BYTES] {
    let header = EntryHeader {
        kind: EntryKind::MARK,
        epoch,
        term,
        position: last.position,
        stamp: 0,
        mark: last.position,
        previous: last.hash,
        length: 0,
    };
    encode_entry_header(ledger, &header, &[])
}

/// Where in `bytes` a whole header of `ledger` begins, at or after `from`; for telling a torn end from damage in the
/// middle.
pub fn find_header(bytes: &[u8], from: usize, ledger: LedgerId) -> Option<usize> {
    let last = bytes.len().checked_sub(ENTRY_HEADER_BYTES)?;
    (from..=last).find(|&at| {
        bytes[at..at + 4] == ENTRY_MAGIC
            && StoredHeader::decode(&bytes[at..]).is_some_and(|stored| stored.ledger == ledger)
    })
}

pub fn is_zero(bytes: &[u8]) -> bool {
    let (chunks, rest) = bytes.as_chunks::<32>();
    chunks.iter().all(|chunk| *chunk == [0; 32]) && rest.iter().all(|&byte| byte == 0)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range has N bytes")
}

pub fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

pub fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array_at(bytes, at))
}
