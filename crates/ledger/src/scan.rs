//! Reading segments in order: chunks of whole records, their sums, and the chain that binds them.
//!
//! ```text
//! walk (find where records begin) ──▶ weigh (sums and hashes, any number of threads) ──▶ chain (in order)
//! ```

use std::io;

use crate::format::{
    ENTRY_HEADER_BYTES, SEGMENT_DATA_OFFSET, StoredHeader, entry_hash, find_header, is_zero,
};
use crate::pipeline::ScanPlace;
use crate::segment::Segment;
use crate::{ENTRY_BYTES_MAX, EntryKind, LedgerId, LogPoint, Position, StorageFile};
use proof::Hash;

/// Read at once; a larger record makes its chunk larger. Fits a core's second-level cache.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A record whose header is whole.
#[derive(Clone, Copy)]
pub struct Record {
    /// Where it begins in its chunk.
    pub at: usize,
    pub stored: StoredHeader,
    /// Set by [`Chunk::weigh`].
    pub hash: Hash,
    /// Set by [`Chunk::weigh`]: the payload's sum matches.
    pub payload_sound: bool,
}

/// How a segment's records end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SegmentEnd {
    /// Only zeros up to the end of the file.
    Zeros { offset: u64 },
    /// Something that is not a record begins at `offset`.
    Unreadable { offset: u64 },
}

/// Whole records of one segment, one after the other.
#[derive(Default)]
pub struct Chunk {
    pub segment: usize,
    /// Where `bytes` begins in the file.
    pub offset: u64,
    pub bytes: Vec<u8>,
    pub records: Vec<Record>,
    /// Set in the last chunk of a segment.
    pub end: Option<SegmentEnd>,
}

impl Chunk {
    /// Checks each payload's sum and takes each entry's hash: nearly all the work of a scan, and no chunk needs
    /// another.
    pub fn weigh(&mut self) {
        for record in &mut self.records {
            let bytes = &self.bytes[record.at..record.at + record.stored.total_bytes() as usize];
            let (header, payload) = bytes.split_at(ENTRY_HEADER_BYTES);
            record.payload_sound = crc32c::crc32c(payload) == record.stored.payload_sum;
            if record.payload_sound {
                record.hash = entry_hash(header, payload);
            }
        }
    }

    pub fn payload(&self, record: &Record) -> &[u8] {
        let from = record.at + ENTRY_HEADER_BYTES;
        &self.bytes[from..from + record.stored.header.length as usize]
    }
}

/// Cuts segments into chunks of whole records.
pub struct Walk<'a, F> {
    segments: &'a [Segment<F>],
    segment: usize,
    offset: u64,
}

impl<'a, F: StorageFile> Walk<'a, F> {
    pub fn new(segments: &'a [Segment<F>], from: ScanPlace) -> Self {
        Self { segments, segment: from.segment, offset: from.offset }
    }

    /// Fills `chunk` with what comes next; false at the end of the last segment, or behind unreadable bytes.
    pub fn next(&mut self, chunk: &mut Chunk) -> Result<bool, WalkError> {
        let Some(segment) = self.segments.get(self.segment) else { return Ok(false) };
        let failed = |source| WalkError { segment: self.segment, source };
        chunk.segment = self.segment;
        chunk.offset = self.offset;
        chunk.end = None;
        fill_chunk(segment, chunk).map_err(failed)?;
        let taken = chunk.records.last().map_or(0, |last| last.at as u64 + last.stored.total_bytes());
        self.offset += taken;
        match chunk.end {
            None => {}
            Some(SegmentEnd::Zeros { .. }) => {
                self.segment += 1;
                self.offset = SEGMENT_DATA_OFFSET;
            }
            Some(SegmentEnd::Unreadable { .. }) => self.segment = self.segments.len(),
        }
        Ok(true)
    }
}

/// A segment that could not be read.
#[derive(Debug)]
pub struct WalkError {
    pub segment: usize,
    pub source: io::Error,
}

/// Reads from `chunk.offset` on, at least one whole record where there is one.
fn fill_chunk<F: StorageFile>(segment: &Segment<F>, chunk: &mut Chunk) -> io::Result<()> {
    let left = segment.bytes - chunk.offset;
    let mut wanted = left.min(CHUNK_BYTES as u64) as usize;
    loop {
        chunk.bytes.resize(wanted, 0);
        segment.file.read_at(&mut chunk.bytes, chunk.offset)?;
        match parse_records(&chunk.bytes, left, &mut chunk.records) {
            Parsed::More => return Ok(()),
            Parsed::Longer(bytes) => wanted = bytes,
            Parsed::NoRecord(at) => {
                let offset = chunk.offset + at as u64;
                let only_zeros = is_zero(&chunk.bytes[at..])
                    && is_zero_from(segment, chunk.offset + chunk.bytes.len() as u64)?;
                chunk.end = Some(if only_zeros {
                    SegmentEnd::Zeros { offset }
                } else {
                    SegmentEnd::Unreadable { offset }
                });
                return Ok(());
            }
        }
    }
}

enum Parsed {
    /// The rest of the chunk is the beginning of a record.
    More,
    /// Not even the first record fits; read this many bytes.
    Longer(usize),
    /// What begins here is not a record.
    NoRecord(usize),
}

/// Finds the whole records in `bytes`, after which the file has `left` bytes from the start of `bytes`.
fn parse_records(bytes: &[u8], left: u64, records: &mut Vec<Record>) -> Parsed {
    records.clear();
    let mut at = 0;
    loop {
        let rest = &bytes[at..];
        if rest.len() < ENTRY_HEADER_BYTES {
            let file_goes_on = left - at as u64 >= ENTRY_HEADER_BYTES as u64;
            return if file_goes_on { Parsed::More } else { Parsed::NoRecord(at) };
        }
        let Some(stored) = StoredHeader::decode(rest) else { return Parsed::NoRecord(at) };
        let total = stored.total_bytes();
        if total > left - at as u64 || stored.header.length as usize > ENTRY_BYTES_MAX {
            return Parsed::NoRecord(at);
        }
        if total > rest.len() as u64 {
            return if at == 0 { Parsed::Longer(total as usize) } else { Parsed::More };
        }
        records.push(Record { at, stored, hash: Hash([0; 32]), payload_sound: false });
        at += total as usize;
    }
}

fn is_zero_from<F: StorageFile>(segment: &Segment<F>, from: u64) -> io::Result<bool> {
    let mut bytes = Vec::new();
    let mut offset = from;
    while offset < segment.bytes {
        bytes.resize((segment.bytes - offset).min(CHUNK_BYTES as u64) as usize, 0);
        segment.file.read_at(&mut bytes, offset)?;
        if !is_zero(&bytes) {
            return Ok(false);
        }
        offset += bytes.len() as u64;
    }
    Ok(true)
}

/// What an unreadable end looks like, beyond the fact.
pub struct Wreck {
    /// One past the last byte that is not zero.
    pub end: u64,
    /// The highest mark in a whole header of this ledger behind it: that record was written when everything up to there
    /// had been synced.
    pub mark_behind: Option<Position>,
    /// The header at its start names a term: others may have been written in the same write.
    pub may_be_group: bool,
    /// The header at its start is whole and says where its record ends.
    pub header_end: Option<u64>,
}

/// Looks at everything from the unreadable `offset` to the end of the file.
pub fn examine_wreck<F: StorageFile>(
    segment: &Segment<F>,
    offset: u64,
    ledger: LedgerId,
) -> io::Result<Wreck> {
    let mut bytes = vec![0; (segment.bytes - offset) as usize];
    segment.file.read_at(&mut bytes, offset)?;
    let end = offset + bytes.iter().rposition(|&byte| byte != 0).map_or(0, |last| last as u64 + 1);
    let header = StoredHeader::decode(&bytes).filter(|stored| stored.ledger == ledger);
    let header_end = header.map(|stored| offset + stored.total_bytes());
    let mut search_from = header_end.map_or(1, |header_end| (header_end - offset) as usize);
    let mut mark_behind = None;
    while let Some(at) = find_header(&bytes, search_from, ledger) {
        let stored = StoredHeader::decode(&bytes[at..]).expect("a found header is whole");
        mark_behind = mark_behind.max(Some(stored.header.mark));
        search_from = at + 1;
    }
    let may_be_group = header.is_some_and(|stored| stored.header.term > 0);
    Ok(Wreck { end, mark_behind, may_be_group, header_end })
}

/// Follows the hash chain.
#[derive(Clone, Copy, Debug)]
pub struct Chain {
    pub ledger: LedgerId,
    pub last: LogPoint,
    pub epoch: u32,
    pub term: u64,
    /// The highest mark seen in an entry.
    pub mark: Position,
}

impl Chain {
    pub fn start(ledger: LedgerId, last: LogPoint) -> Self {
        Self { ledger, last, epoch: 0, term: 0, mark: Position::NONE }
    }

    /// Takes the next record, whose sums match, or says why it does not belong here.
    pub fn follow(&mut self, record: &Record) -> Result<(), &'static str> {
        let header = &record.stored.header;
        if record.stored.ledger != self.ledger {
            return Err("it belongs to another ledger");
        }
        if header.kind == EntryKind::MARK {
            return Err("it is a mark where an entry belongs");
        }
        if header.position != self.last.position.next() {
            return Err("its position is not the next one");
        }
        if header.previous != self.last.hash {
            return Err("it names another entry as the one before it");
        }
        if header.epoch < self.epoch || header.term < self.term {
            return Err("its epoch or term is lower than the one before it");
        }
        if header.mark >= header.position || header.mark < self.mark {
            return Err("its mark is impossible");
        }
        self.last = LogPoint { position: header.position, hash: record.hash };
        (self.epoch, self.term, self.mark) = (header.epoch, header.term, header.mark);
        Ok(())
    }
}
