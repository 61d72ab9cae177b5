//! One segment file, and where its entries begin.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::Position;
use crate::format::{ENTRY_HEADER_BYTES, SEGMENT_DATA_OFFSET};

/// A place is kept for an entry once this many entries or bytes have passed since the last kept one: at most half a
/// byte of memory per entry, or 8 bytes per 64 KiB of log.
const SAMPLE_ENTRIES: u64 = 16;
const SAMPLE_BYTES: u64 = 64 << 10;
const CHUNK_SAMPLES: usize = 1024;

/// Name of the segment whose first entry is `first`: 16 decimal digits and `.seg`.
pub fn segment_name(first: Position) -> String {
    format!("{:016}.seg", first.0)
}

/// The position in a segment's name; `None` for any other name.
pub fn parse_segment_name(name: &str) -> Option<Position> {
    let first = Position(name.strip_suffix(".seg")?.parse().ok()?);
    (segment_name(first) == name).then_some(first)
}

/// A segment in use: one writer appends, readers look places up without waiting.
pub struct Segment<F> {
    pub first: Position,
    pub bytes: u64,
    pub file: F,
    samples: Samples,
}

impl<F> Segment<F> {
    pub fn new(first: Position, bytes: u64, file: F) -> Self {
        assert!(bytes <= u64::from(u32::MAX), "a place in a segment is kept in 32 bits");
        Self { first, bytes, file, samples: Samples::for_segment(bytes) }
    }

    pub fn name(&self) -> String {
        segment_name(self.first)
    }

    /// Notes that the entry at `position` begins at `offset`; called for each entry in order by the one writer.
    pub fn note(&self, position: Position, offset: u64) {
        let delta = position.0 - self.first.0;
        match self.samples.last() {
            Some((last_delta, last_offset))
                if delta - last_delta < SAMPLE_ENTRIES && offset - last_offset < SAMPLE_BYTES => {}
            _ => self.samples.push(delta, offset),
        }
    }

    /// The same segment through another handle, with the places up to `last` alone.
    pub fn shortened(&self, last: Position, file: F) -> Self {
        let shortened = Self::new(self.first, self.bytes, file);
        let kept = (last.0 + 1).saturating_sub(self.first.0);
        self.samples.iter().take_while(|(delta, _)| *delta < kept).for_each(|(delta, offset)| {
            shortened.samples.push(delta, offset);
        });
        shortened
    }

    /// The nearest noted entry at or before `position`, from which headers lead on to it.
    pub fn nearest(&self, position: Position) -> (Position, u64) {
        let delta = position.0 - self.first.0;
        match self.samples.at_or_before(delta) {
            Some((delta, offset)) => (Position(self.first.0 + delta), offset),
            None => (self.first, SEGMENT_DATA_OFFSET),
        }
    }
}

/// Append-only pairs (entries since the segment's first, offset), readable while growing. Memory comes in chunks of
/// 8 KiB as the segment fills.
struct Samples {
    chunks: Box<[OnceLock<Box<[AtomicU64]>>]>,
    count: AtomicUsize,
}

impl Samples {
    fn for_segment(bytes: u64) -> Self {
        let by_entries = bytes / (SAMPLE_ENTRIES * ENTRY_HEADER_BYTES as u64);
        let most = (by_entries + bytes / SAMPLE_BYTES) as usize + 2;
        let chunks = (0..most.div_ceil(CHUNK_SAMPLES)).map(|_| OnceLock::new()).collect();
        Self { chunks, count: AtomicUsize::new(0) }
    }

    fn push(&self, delta: u64, offset: u64) {
        let packed = (delta << 32) | offset;
        let index = self.count.load(Ordering::Relaxed);
        let chunk = self.chunks[index / CHUNK_SAMPLES]
            .get_or_init(|| (0..CHUNK_SAMPLES).map(|_| AtomicU64::new(0)).collect());
        chunk[index % CHUNK_SAMPLES].store(packed, Ordering::Relaxed);
        self.count.store(index + 1, Ordering::Release);
    }

    fn iter(&self) -> impl Iterator<Item = (u64, u64)> {
        (0..self.count.load(Ordering::Acquire)).map(|index| self.get(index))
    }

    fn last(&self) -> Option<(u64, u64)> {
        let count = self.count.load(Ordering::Acquire);
        count.checked_sub(1).map(|index| self.get(index))
    }

    fn at_or_before(&self, delta: u64) -> Option<(u64, u64)> {
        let (mut low, mut high) = (0, self.count.load(Ordering::Acquire));
        while low < high {
            let middle = low.midpoint(high);
            if self.get(middle).0 <= delta { low = middle + 1 } else { high = middle }
        }
        low.checked_sub(1).map(|index| self.get(index))
    }

    fn get(&self, index: usize) -> (u64, u64) {
        let chunk = self.chunks[index / CHUNK_SAMPLES].get().expect("a counted sample has its chunk");
        let packed = chunk[index % CHUNK_SAMPLES].load(Ordering::Relaxed);
        (packed >> 32, packed & u64::from(u32::MAX))
    }
}
