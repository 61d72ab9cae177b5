//! Reading committed entries, beside the writer.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use crate::format::{ENTRY_HEADER_BYTES, SEGMENT_DATA_OFFSET, StoredHeader, entry_hash};
use crate::mutation::{Mutation, is_off};
use crate::scan::{Chain, Record};
use crate::segment::Segment;
use crate::{
    Entry, EntryHeader, LedgerError, LedgerId, LogPoint, LogReader, Position, Scan, Storage, StorageFile,
};

/// Read at once while looking for a header among small entries.
const LOCATE_BYTES: u64 = 8 << 10;
/// Read at once by a scan.
const SCAN_BYTES: u64 = 256 << 10;

/// An entry's segment, where it begins in that, and its header.
pub(crate) type EntryPlace<F> = (Arc<Segment<F>>, u64, StoredHeader);

/// What writer and readers share.
pub(crate) struct Shared<F> {
    folder: PathBuf,
    ledger: LedgerId,
    /// Position of the last synced entry. Stored after everything a reader of it needs.
    pub committed: AtomicU64,
    segments: ArcSwap<Vec<Arc<Segment<F>>>>,
}

impl<F: StorageFile> Shared<F> {
    pub fn new(
        folder: PathBuf,
        ledger: LedgerId,
        segments: Vec<Arc<Segment<F>>>,
        committed: Position,
    ) -> Self {
        let committed = AtomicU64::new(committed.0);
        Self { folder, ledger, committed, segments: ArcSwap::from_pointee(segments) }
    }

    pub fn add_segment(&self, segment: Arc<Segment<F>>) {
        let mut segments = Vec::clone(&self.segments.load());
        segments.push(segment);
        self.segments.store(Arc::new(segments));
    }

    /// Puts `segments` in place of all there were.
    pub fn replace_segments(&self, segments: Vec<Arc<Segment<F>>>) {
        self.segments.store(Arc::new(segments));
    }

    pub fn segments(&self) -> Arc<Vec<Arc<Segment<F>>>> {
        self.segments.load_full()
    }

    pub fn committed(&self) -> Position {
        Position(self.committed.load(Ordering::Acquire))
    }

    fn check_committed(&self, position: Position) -> Result<(), LedgerError> {
        let committed = self.committed();
        if position == Position::NONE || (position > committed && !is_off(Mutation::OnlyCommitted)) {
            return Err(LedgerError::NotCommitted { position, committed });
        }
        Ok(())
    }

    /// The segment that holds `position`, which is committed.
    fn segment_of(&self, position: Position) -> Arc<Segment<F>> {
        let segments = self.segments.load();
        let behind = segments.partition_point(|segment| segment.first <= position);
        segments[behind.checked_sub(1).expect("the first segment begins with entry 1")].clone()
    }

    /// Header and payload of a synced entry.
    pub fn read_synced(&self, position: Position, payload: &mut Vec<u8>) -> Result<EntryHeader, LedgerError> {
        let (segment, offset, stored) = self.locate_synced(position)?;
        payload.resize(stored.header.length as usize, 0);
        self.read_at(&segment, payload, offset + ENTRY_HEADER_BYTES as u64)?;
        if crc32c::crc32c(payload) != stored.payload_sum {
            return Err(self.damaged(&segment, position, offset));
        }
        Ok(stored.header)
    }

    fn read_at(&self, segment: &Segment<F>, out: &mut [u8], offset: u64) -> Result<(), LedgerError> {
        segment.file.read_at(out, offset).map_err(|source| LedgerError::Io {
            step: "read",
            path: self.path(segment),
            source,
        })
    }

    fn path(&self, segment: &Segment<F>) -> PathBuf {
        self.folder.join(segment.name())
    }

    fn damaged(&self, segment: &Segment<F>, position: Position, offset: u64) -> LedgerError {
        let what = "its checksum does not match";
        LedgerError::Damaged { position, path: self.path(segment), offset, what }
    }

    /// Where the committed entry at `position` begins: from the nearest noted place, headers lead on.
    fn locate(&self, position: Position) -> Result<EntryPlace<F>, LedgerError> {
        self.check_committed(position)?;
        self.locate_synced(position)
    }

    /// The same for any synced entry; only the writer knows which those are.
    pub fn locate_synced(&self, position: Position) -> Result<EntryPlace<F>, LedgerError> {
        let segment = self.segment_of(position);
        let (mut here, mut offset) = segment.nearest(position);
        let mut window = Vec::new();
        let mut window_offset = offset;
        loop {
            let in_window = (offset - window_offset) as usize;
            if in_window + ENTRY_HEADER_BYTES > window.len() {
                window.resize(LOCATE_BYTES.min(segment.bytes.saturating_sub(offset)) as usize, 0);
                self.read_at(&segment, &mut window, offset)?;
                window_offset = offset;
            }
            let header = window.get((offset - window_offset) as usize..).and_then(StoredHeader::decode);
            let Some(stored) = header.filter(|stored| stored.ledger == self.ledger) else {
                return Err(self.damaged(&segment, here, offset));
            };
            if stored.header.position != here {
                return Err(self.damaged(&segment, here, offset));
            }
            if here == position {
                return Ok((segment, offset, stored));
            }
            here = here.next();
            offset += stored.total_bytes();
        }
    }
}

/// Reads the committed entries of a [`Ledger`](crate::Ledger). Cheap to clone; stays good while the ledger is open,
/// and for what was committed even after.
pub struct Reader<S: Storage> {
    shared: Arc<Shared<S::File>>,
}

impl<S: Storage> Reader<S> {
    pub(crate) fn new(shared: Arc<Shared<S::File>>) -> Self {
        Self { shared }
    }
}

impl<S: Storage> Clone for Reader<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Storage> fmt::Debug for Reader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").field("committed", &self.shared.committed()).finish_non_exhaustive()
    }
}

impl<S: Storage> LogReader for Reader<S> {
    type Scan = ReaderScan<S>;

    fn committed(&self) -> Position {
        self.shared.committed()
    }

    fn read(&self, position: Position, payload: &mut Vec<u8>) -> Result<EntryHeader, LedgerError> {
        self.shared.check_committed(position)?;
        self.shared.read_synced(position, payload)
    }

    fn read_range(&self, position: Position, offset: u32, out: &mut [u8]) -> Result<(), LedgerError> {
        let (segment, entry_offset, stored) = self.shared.locate(position)?;
        let (offset, wanted, length) = (u64::from(offset), out.len() as u64, u64::from(stored.header.length));
        if offset + wanted > length {
            return Err(LedgerError::OutOfRange { position, offset, wanted, length });
        }
        self.shared.read_at(&segment, out, entry_offset + ENTRY_HEADER_BYTES as u64 + offset)
    }

    fn scan(&self, from: Position) -> ReaderScan<S> {
        ReaderScan {
            shared: self.shared.clone(),
            next: from.max(Position(1)),
            place: None,
            chain: None,
            buffer: Buffer::default(),
        }
    }
}

/// A segment, and an offset in it.
type RecordPlace<F> = (Arc<Segment<F>>, u64);

/// A walk over committed entries; see [`Scan`].
pub struct ReaderScan<S: Storage> {
    shared: Arc<Shared<S::File>>,
    next: Position,
    /// Where the next record begins.
    place: Option<RecordPlace<S::File>>,
    chain: Option<Chain>,
    buffer: Buffer,
}

/// A stretch of a segment.
#[derive(Default)]
struct Buffer {
    offset: u64,
    bytes: Vec<u8>,
    /// What was committed before the bytes were read; records above that may have been half written then.
    committed: Position,
}

impl<S: Storage> Scan for ReaderScan<S> {
    fn next(&mut self) -> Result<Option<Entry<'_>>, LedgerError> {
        let Some((record, offset)) = self.advance()? else { return Ok(None) };
        let from = (offset - self.buffer.offset) as usize + ENTRY_HEADER_BYTES;
        let payload = &self.buffer.bytes[from..from + record.stored.header.length as usize];
        Ok(Some(Entry { header: record.stored.header, hash: record.hash, payload }))
    }
}

impl<S: Storage> ReaderScan<S> {
    /// Brings the next entry into the buffer; it begins at the returned offset of its segment.
    fn advance(&mut self) -> Result<Option<(Record, u64)>, LedgerError> {
        if self.next > self.shared.committed() {
            return Ok(None);
        }
        let (segment, offset) = self.find_place()?;
        let record = self.load_record(&segment, offset)?;
        let chain = self.chain.get_or_insert_with(|| trust_first(self.next, &record, self.shared.ledger));
        chain.follow(&record).map_err(|what| LedgerError::BrokenChain {
            position: self.next,
            path: self.shared.path(&segment),
            offset,
            what,
        })?;
        self.place = Some((segment, offset + record.stored.total_bytes()));
        self.next = self.next.next();
        Ok(Some((record, offset)))
    }

    fn find_place(&mut self) -> Result<RecordPlace<S::File>, LedgerError> {
        let segment = self.shared.segment_of(self.next);
        match &self.place {
            Some((current, offset)) if current.first == segment.first => Ok((segment, *offset)),
            _ => {
                self.buffer.bytes.clear();
                if segment.first == self.next {
                    return Ok((segment, SEGMENT_DATA_OFFSET));
                }
                let (segment, offset, _) = self.shared.locate(self.next)?;
                Ok((segment, offset))
            }
        }
    }

    fn load_record(&mut self, segment: &Segment<S::File>, offset: u64) -> Result<Record, LedgerError> {
        let header = self.load(segment, offset, ENTRY_HEADER_BYTES as u64)?;
        let Some(stored) = StoredHeader::decode(header) else {
            return Err(self.shared.damaged(segment, self.next, offset));
        };
        let bytes = self.load(segment, offset, stored.total_bytes())?;
        let (header, payload) = bytes.split_at(ENTRY_HEADER_BYTES);
        if crc32c::crc32c(payload) != stored.payload_sum {
            return Err(self.shared.damaged(segment, self.next, offset));
        }
        Ok(Record { at: 0, stored, hash: entry_hash(header, payload), payload_sound: true })
    }

    /// `bytes` bytes of the segment from `offset` on, as they were at or after the commit of the next entry.
    fn load(&mut self, segment: &Segment<S::File>, offset: u64, bytes: u64) -> Result<&[u8], LedgerError> {
        let left = segment.bytes - offset;
        if bytes > left {
            return Err(self.shared.damaged(segment, self.next, offset));
        }
        let buffer = &mut self.buffer;
        let held = buffer.committed >= self.next
            && buffer.offset <= offset
            && offset + bytes <= buffer.offset + buffer.bytes.len() as u64;
        if !held {
            buffer.committed = self.shared.committed();
            buffer.offset = offset;
            buffer.bytes.resize(bytes.max(SCAN_BYTES).min(left) as usize, 0);
            self.shared.read_at(segment, &mut buffer.bytes, offset)?;
        }
        let from = (offset - buffer.offset) as usize;
        Ok(&buffer.bytes[from..from + bytes as usize])
    }
}

impl<S: Storage> fmt::Debug for ReaderScan<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReaderScan").field("next", &self.next).finish_non_exhaustive()
    }
}

/// A scan that begins in the middle takes its first entry's word for what came before.
fn trust_first(next: Position, record: &Record, ledger: LedgerId) -> Chain {
    Chain::start(ledger, LogPoint { position: next.previous(), hash: record.stored.header.previous })
}
