//! Opening a folder: every byte is read and checked once, and the end is judged.
//!
//! The writer syncs each record before it writes the next, so a crash leaves at most one unfinished record, at the
//! very end; a replicated log writes several at once and syncs them before the next, each with the mark from before.
//! What is unfinished is cut. Whatever else does not fit was damaged after it had been confirmed, and is refused:
//!
//! | found | verdict |
//! |---|---|
//! | a record that is not whole, zeros behind it | unfinished: cut, and told |
//! | the same, but a whole header behind it carries a mark at or above it | refused: that one was written after this one was synced |
//! | the same, but it reaches further than its own header says, and that names no term | refused: more than one record is involved |
//! | the same, with a term: written at once with those behind it | unfinished, all of them: cut, and told |
//! | the same, but the file's mark names it or a later one | refused: it was confirmed |
//! | only zeros, and the file's mark names a later entry | refused: the same |
//! | the same, as first entry of any segment but the first | refused: it was synced before the file got its name |
//! | the same, in any segment but the last | refused |
//! | a whole record that does not follow from the one before | refused: not a crash |

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::error::is_full;
use crate::format::{
    ENTRY_HEADER_BYTES, MARK_OFFSET, PAGE_BYTES, SEGMENT_DATA_OFFSET, SegmentHeader, SegmentHeaderError,
    StoredHeader, encode_mark,
};
use crate::ledger::{Parts, write_zeros};
use crate::mutation::{Mutation, is_off};
use crate::pipeline::{ScanPlace, scan_segments};
use crate::prepare::discard;
use crate::scan::{Chain, Chunk, Record, SegmentEnd, WalkError, examine_wreck};
use crate::segment::{Segment, parse_segment_name};
use crate::{Entry, Ledger, LedgerError, LedgerId, LogPoint, Position, Storage, StorageFile, Threads};

/// Readings of a place that does not hold a sound record, before it is judged: beside a running writer it may only be
/// being written.
const READINGS_MAX: u32 = 3;

/// What opening found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Recovery {
    pub ledger: LedgerId,
    pub last: LogPoint,
    pub segments: usize,
    /// The unfinished record at the end, if there was one.
    pub cut: Option<Cut>,
}

/// An unfinished record that was taken off the end of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// The position it would have had.
    pub position: Position,
    pub path: PathBuf,
    pub offset: u64,
    pub bytes: u64,
}

impl fmt::Display for Cut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { position, path, offset, bytes } = self;
        let path = path.display();
        write!(
            f,
            "cut the unfinished record at position {position} ({bytes} bytes at byte {offset} of `{path}`), whose write \
             had not ended when the process stopped; the log ends with entry {}",
            position.previous()
        )
    }
}

impl<S: Storage> Ledger<S> {
    /// Reads and checks a whole ledger as [`Ledger::open`] does, without taking the folder and without changing
    /// anything: for backups and doubts. [`Recovery::cut`] then names what opening would cut; beside a running writer
    /// that may be the batch being written.
    pub fn check<E: From<LedgerError>>(
        storage: &S,
        threads: Threads,
        visit: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<Recovery, E> {
        crate::truncate::check_none_pending(storage)?;
        Ok(read_folder(storage, threads, visit)?.recovery())
    }
}

/// Reads everything, cuts an unfinished end, and makes the rest safe.
pub(crate) fn open_folder<S: Storage, E: From<LedgerError>>(
    storage: &S,
    threads: Threads,
    visit: impl FnMut(Entry<'_>) -> Result<(), E>,
) -> Result<(LedgerId, Parts<S::File>, Recovery), E> {
    crate::truncate::finish(storage)?;
    let found = read_folder(storage, threads, visit)?;
    discard(storage).map_err(|source| LedgerError::Io {
        step: "remove the unused segment in",
        path: storage.folder(),
        source,
    })?;
    let recovery = found.recovery();
    found.settle(storage)?;
    let Found { chain, segments, tail, .. } = found;
    let parts = Parts { segments, tail, last: chain.last, epoch: chain.epoch, term: chain.term };
    Ok((chain.ledger, parts, recovery))
}

/// A folder as read.
struct Found<F> {
    segments: Vec<Segment<F>>,
    chain: Chain,
    /// Where the next record goes in the last segment.
    tail: u64,
    /// Where the last group of entries begins in the last segment: what was written at once, on one node the last
    /// entry; `None` where that segment has no entry.
    last_group: Option<u64>,
    /// Mark of the last segment.
    mark: Option<LogPoint>,
    cut: Option<Cut>,
}

impl<F: StorageFile> Found<F> {
    fn recovery(&self) -> Recovery {
        Recovery {
            ledger: self.chain.ledger,
            last: self.chain.last,
            segments: self.segments.len(),
            cut: self.cut.clone(),
        }
    }

    /// Makes the log on disk what was found.
    ///
    /// The last segment's name may not be on disk yet, where the process ended between giving it and syncing the folder.
    /// The last entry, what was written with it, or its mark, may have been read from pages that a failed sync left
    /// behind, which no later sync would write: they are written again, the same bytes, the mark once they are safe.
    fn settle<S: Storage<File = F>>(&self, storage: &S) -> Result<(), LedgerError> {
        let segment = self.segments.last().expect("a ledger has a segment");
        let path = || storage.path(&segment.name());
        let failed = |source| {
            if is_full(&source) {
                LedgerError::Full { path: path(), source }
            } else {
                LedgerError::SyncFailed { path: path(), source }
            }
        };
        storage.sync_folder().map_err(|source| LedgerError::SyncFailed { path: storage.folder(), source })?;
        if let Some(cut) = self.cut.as_ref().filter(|_| !is_off(Mutation::Cut)) {
            write_zeros(&segment.file, cut.offset, cut.offset + cut.bytes).map_err(failed)?;
            segment.file.sync_data().map_err(failed)?;
        }
        let Some(offset) = self.last_group else { return Ok(()) };
        let marked = self.mark == Some(self.chain.last);
        if !marked {
            let mut group = vec![0; (self.tail - offset) as usize];
            segment.file.read_at(&mut group, offset).map_err(|source| read_error(path(), source))?;
            if !is_off(Mutation::WriteAgain) {
                segment.file.write_at(&[&group], offset).map_err(failed)?;
            }
            segment.file.sync_data().map_err(failed)?;
        }
        let mark = encode_mark(self.chain.ledger, self.chain.last, self.chain.epoch, self.chain.term);
        match segment.file.write_at(&[&mark], MARK_OFFSET) {
            // It can be read, and a disk without room need not take it again.
            Err(source) if marked && is_full(&source) => return Ok(()),
            written => written.map_err(failed)?,
        }
        segment.file.sync_data().map_err(failed)
    }
}

/// Names and lengths of the segments, in order of position.
pub(crate) fn segment_files<S: Storage>(storage: &S) -> Result<Vec<(Position, u64)>, LedgerError> {
    let files = storage.list().map_err(|source| read_error(storage.folder(), source))?;
    let mut segments = Vec::new();
    for file in files.iter().filter(|file| file.name.ends_with(".seg")) {
        match parse_segment_name(&file.name) {
            Some(first) => segments.push((first, file.bytes)),
            None => return Err(LedgerError::ForeignFile { path: storage.path(&file.name) }),
        }
    }
    segments.sort_unstable();
    Ok(segments)
}

fn read_folder<S: Storage, E: From<LedgerError>>(
    storage: &S,
    threads: Threads,
    visit: impl FnMut(Entry<'_>) -> Result<(), E>,
) -> Result<Found<S::File>, E> {
    let files = segment_files(storage)?;
    if files.is_empty() {
        return Err(LedgerError::NoLedger { folder: storage.folder() }.into());
    }
    let mut segments = Vec::with_capacity(files.len());
    let mut headers: Vec<SegmentHeader> = Vec::with_capacity(files.len());
    let mut marks = Vec::with_capacity(files.len());
    for (first, bytes) in files {
        let segment = open_segment(storage, first, bytes)?;
        let header = read_segment_header(storage, &segment, headers.first().map(|header| header.ledger))?;
        marks.push(read_mark(storage, &segment, header.ledger)?);
        segments.push(segment);
        headers.push(header);
    }
    let mut reading = Reading {
        storage,
        segments: &segments,
        headers: &headers,
        marks: &marks,
        began: None,
        chain: Chain::start(headers[0].ledger, LogPoint::START),
        tail: SEGMENT_DATA_OFFSET,
        last_group: None,
        cut: None,
        visit,
    };
    let mut place = ScanPlace::START;
    let mut readings = 0;
    while let Some(unsound) = scan_segments(&segments, place, threads, |chunk| match chunk {
        Ok(chunk) => reading.take(chunk),
        Err(WalkError { segment, source }) => {
            Err(read_error(storage.path(&segments[segment].name()), source).into())
        }
    })? {
        readings = if unsound == place { readings + 1 } else { 1 };
        place = unsound;
        if readings == READINGS_MAX {
            reading.judge_wreck(place)?;
            break;
        }
    }
    let Reading { chain, tail, last_group, cut, .. } = reading;
    let last_group = last_group.map(|(offset, _)| offset);
    let mark = *marks.last().expect("a ledger has a segment");
    Ok(Found { segments, chain, tail, last_group, mark, cut })
}

fn open_segment<S: Storage>(
    storage: &S,
    first: Position,
    bytes: u64,
) -> Result<Segment<S::File>, LedgerError> {
    let path = storage.path(&crate::segment::segment_name(first));
    let damaged = |what| LedgerError::SegmentDamaged { position: first, path: path.clone(), what };
    if bytes < SEGMENT_DATA_OFFSET {
        return Err(damaged("it is shorter than its header"));
    }
    if bytes > u64::from(u32::MAX) {
        return Err(damaged("it is longer than any segment"));
    }
    let name = crate::segment::segment_name(first);
    let file = storage.open(&name).map_err(|source| read_error(path.clone(), source))?;
    Ok(Segment::new(first, bytes, file))
}

fn read_segment_header<S: Storage>(
    storage: &S,
    segment: &Segment<S::File>,
    ledger: Option<LedgerId>,
) -> Result<SegmentHeader, LedgerError> {
    let path = storage.path(&segment.name());
    let mut page = vec![0; PAGE_BYTES as usize];
    segment.file.read_at(&mut page, 0).map_err(|source| read_error(path.clone(), source))?;
    let damaged = |what| LedgerError::SegmentDamaged { position: segment.first, path: path.clone(), what };
    let header = SegmentHeader::decode(&page).map_err(|error| match error {
        SegmentHeaderError::Damaged(what) => damaged(what),
        SegmentHeaderError::Newer(version) => LedgerError::NewerFormat { path: path.clone(), version },
    })?;
    if let Some(expected) = ledger.filter(|expected| *expected != header.ledger) {
        return Err(LedgerError::OtherLedger { path, found: header.ledger, expected });
    }
    if header.first != segment.first {
        return Err(damaged("its name and its header disagree about its first entry"));
    }
    if header.bytes != segment.bytes {
        return Err(damaged("it is shorter or longer than it was made"));
    }
    Ok(header)
}

fn read_mark<S: Storage>(
    storage: &S,
    segment: &Segment<S::File>,
    ledger: LedgerId,
) -> Result<Option<LogPoint>, LedgerError> {
    let mut bytes = [0; ENTRY_HEADER_BYTES];
    let read = segment.file.read_at(&mut bytes, MARK_OFFSET);
    read.map_err(|source| read_error(storage.path(&segment.name()), source))?;
    Ok(StoredHeader::decode_mark(&bytes, ledger))
}

fn read_error(path: PathBuf, source: io::Error) -> LedgerError {
    LedgerError::Io { step: "read", path, source }
}

/// The pass over all entries, in order.
struct Reading<'a, S: Storage, V> {
    storage: &'a S,
    segments: &'a [Segment<S::File>],
    headers: &'a [SegmentHeader],
    marks: &'a [Option<LogPoint>],
    /// The segment being read.
    began: Option<usize>,
    chain: Chain,
    tail: u64,
    /// Where the last group begins in this segment, and the mark that all of it carries.
    last_group: Option<(u64, Position)>,
    cut: Option<Cut>,
    visit: V,
}

impl<S: Storage, V> Reading<'_, S, V> {
    /// Takes the next chunk; returns the place of what is not a sound record, if it holds that.
    fn take<E: From<LedgerError>>(&mut self, chunk: &Chunk) -> Result<Option<ScanPlace>, E>
    where
        V: FnMut(Entry<'_>) -> Result<(), E>,
    {
        if chunk.offset == SEGMENT_DATA_OFFSET && self.began != Some(chunk.segment) {
            self.begin_segment(chunk.segment)?;
        }
        for record in &chunk.records {
            let offset = chunk.offset + record.at as u64;
            if !record.payload_sound {
                return Ok(Some(ScanPlace { segment: chunk.segment, offset }));
            }
            self.follow(chunk.segment, offset, record)?;
            let entry =
                Entry { header: record.stored.header, hash: record.hash, payload: chunk.payload(record) };
            (self.visit)(entry)?;
        }
        match chunk.end {
            None => Ok(None),
            Some(SegmentEnd::Zeros { offset }) => {
                self.end_segment(chunk.segment, offset)?;
                Ok(None)
            }
            Some(SegmentEnd::Unreadable { offset }) => Ok(Some(ScanPlace { segment: chunk.segment, offset })),
        }
    }

    fn begin_segment(&mut self, segment: usize) -> Result<(), LedgerError> {
        let header = &self.headers[segment];
        let expected = self.chain.last.position.next();
        if header.first > expected {
            let folder = self.storage.folder();
            return Err(LedgerError::Missing { from: expected, to: header.first.previous(), folder });
        }
        if header.first < expected {
            return Err(self.broken_chain(segment, 0, "two files hold the same entries"));
        }
        if header.previous != self.chain.last.hash {
            return Err(self.broken_chain(segment, 0, "its file names another entry as the one before it"));
        }
        self.began = Some(segment);
        self.tail = SEGMENT_DATA_OFFSET;
        self.last_group = None;
        Ok(())
    }

    fn end_segment(&self, segment: usize, offset: u64) -> Result<(), LedgerError> {
        if self.ends_too_early(segment) {
            return Err(self.damaged(segment, offset, "there are only zeros"));
        }
        Ok(())
    }

    /// The next entry was confirmed, as the file's mark says, or its name does: a segment gets its name only once its
    /// first entry is synced, the ledger's first segment aside.
    fn ends_too_early(&self, segment: usize) -> bool {
        if is_off(Mutation::MarkCheck) {
            return false;
        }
        let below_mark = self.marks[segment].is_some_and(|mark| mark.position > self.chain.last.position);
        below_mark || (segment > 0 && self.last_group.is_none())
    }

    fn follow(&mut self, segment: usize, offset: u64, record: &Record) -> Result<(), LedgerError> {
        let position = record.stored.header.position;
        self.chain.follow(record).map_err(|what| self.broken_chain(segment, offset, what))?;
        if self.marks[segment].is_some_and(|mark| mark.position == position && mark.hash != record.hash) {
            return Err(self.broken_chain(segment, offset, "the mark of its file names another hash"));
        }
        let bytes = record.stored.total_bytes();
        self.segments[segment].note(position, offset);
        let mark = record.stored.header.mark;
        if self.last_group.is_none_or(|(_, of_group)| of_group != mark) {
            self.last_group = Some((offset, mark));
        }
        self.tail = offset + bytes;
        Ok(())
    }

    /// Decides about bytes that are not a sound record: an unfinished write to be cut, or damage to be refused.
    fn judge_wreck(&mut self, ScanPlace { segment, offset }: ScanPlace) -> Result<(), LedgerError> {
        let place = &self.segments[segment];
        let path = self.storage.path(&place.name());
        if segment + 1 < self.segments.len() {
            return Err(self.damaged(segment, offset, "its checksum does not match"));
        }
        let wreck = examine_wreck(place, offset, self.chain.ledger)
            .map_err(|source| read_error(path.clone(), source))?;
        let position = self.chain.last.position.next();
        if wreck.mark_behind >= Some(position) && !is_off(Mutation::MarkCheck) {
            return Err(self.damaged(
                segment,
                offset,
                "its checksum does not match, and a later record follows",
            ));
        }
        let reaches_further = wreck.header_end.is_some_and(|header_end| header_end < wreck.end);
        if reaches_further && !wreck.may_be_group && !is_off(Mutation::MarkCheck) {
            return Err(self.damaged(segment, offset, "its checksum does not match, and other bytes follow"));
        }
        if self.ends_too_early(segment) {
            return Err(self.damaged(segment, offset, "its checksum does not match"));
        }
        assert!(self.chain.mark < position, "an entry's mark lies below the entry");
        self.cut = Some(Cut { position, path, offset, bytes: wreck.end - offset });
        Ok(())
    }

    fn damaged(&self, segment: usize, offset: u64, what: &'static str) -> LedgerError {
        let path = self.storage.path(&self.segments[segment].name());
        LedgerError::Damaged { position: self.chain.last.position.next(), path, offset, what }
    }

    fn broken_chain(&self, segment: usize, offset: u64, what: &'static str) -> LedgerError {
        let path = self.storage.path(&self.segments[segment].name());
        LedgerError::BrokenChain { position: self.chain.last.position.next(), path, offset, what }
    }
}
