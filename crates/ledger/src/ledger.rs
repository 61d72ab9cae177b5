//! The embedded log: one writer, one folder.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use proof::Hash;

use crate::error::is_full;
use crate::format::{
    MARK_OFFSET, SEGMENT_DATA_OFFSET, SEGMENT_HEADER_BYTES, SegmentHeader, encode_entry_header, encode_mark,
    entry_hash,
};
use crate::mutation::{Mutation, is_off};
use crate::open::{Recovery, open_folder, segment_files};
use crate::prepare::{PREPARED_NAME, Prepared, Preparer, discard, prepare};
use crate::reader::{Reader, Shared};
use crate::segment::{Segment, segment_name};
use crate::sync::{OVERLAP_BYTES_MIN, Syncer};
use crate::{
    ENTRY_BYTES_MAX, Entry, EntryHeader, EntryKind, LedgerError, LedgerId, Log, LogPoint, NewEntry, Position,
    Storage, StorageFile,
};

/// Sizes of files and where the work is done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LedgerOptions {
    /// First segment; each next one is twice as long, up to `segment_bytes_max`. At least 16 KiB.
    pub segment_bytes_first: u64,
    /// At most 2 GiB. A batch that needs more gets a segment of its own size.
    pub segment_bytes_max: u64,
    pub threads: Threads,
}

impl LedgerOptions {
    /// 1 MiB doubling to 64 MiB, helper threads.
    pub const STANDARD: Self =
        Self { segment_bytes_first: 1 << 20, segment_bytes_max: 64 << 20, threads: Threads::Helpers };
}

/// Who does the work that need not happen on the writer's thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Threads {
    /// Helper threads prepare segments, sync large entries and check sums.
    Helpers,
    /// The calling thread alone, so that equal calls give equal disk operations in equal order.
    CallerOnly,
}

/// The embedded log. Committed means synced: [`Log::append`] returns after both.
pub struct Ledger<S: Storage> {
    pub(crate) storage: S,
    pub(crate) id: LedgerId,
    pub(crate) options: LedgerOptions,
    pub(crate) shared: Arc<Shared<S::File>>,
    pub(crate) segment: Arc<Segment<S::File>>,
    /// Where the next record goes in `segment`.
    pub(crate) tail: u64,
    /// Up to here a failed write may have left bytes behind the tail, which go before anything else.
    pub(crate) spoiled_until: u64,
    pub(crate) last: LogPoint,
    pub(crate) epoch: u32,
    pub(crate) term: u64,
    /// Up to here a later record, or a mark, says so.
    pub(crate) marked: Position,
    /// Committing is left to [`ReplicatedLedger`](crate::ReplicatedLedger): synced is not enough.
    pub(crate) is_replicated: bool,
    pub(crate) poisoned: bool,
    pub(crate) preparer: Preparer<S>,
    /// Only with [`Threads::Helpers`].
    pub(crate) syncer: Option<Syncer<S::File>>,
    pub(crate) _lock: S::Lock,
}

impl<S: Storage> Ledger<S> {
    /// Makes a new, empty ledger called `id` in a folder that holds none.
    pub fn create(storage: S, id: LedgerId, options: LedgerOptions) -> Result<Self, LedgerError> {
        check_options(&options);
        let lock = storage.lock()?;
        if !segment_files(&storage)?.is_empty() {
            return Err(LedgerError::AlreadyExists { folder: storage.folder() });
        }
        let prepared = prepare(&storage, options.segment_bytes_first)
            .map_err(|source| space_error(&storage, PREPARED_NAME, "make", source))?;
        let first = LogPoint::START;
        let segment = Segment::new(Position(1), prepared.bytes, prepared.file);
        write_segment_header(&segment, id, first)
            .and_then(|()| segment.file.sync_data())
            .map_err(|source| LedgerError::SyncFailed { path: storage.path(PREPARED_NAME), source })?;
        publish_segment(&storage, Position(1))?;
        let parts =
            Parts { segments: vec![segment], tail: SEGMENT_DATA_OFFSET, last: first, epoch: 0, term: 0 };
        Self::assemble(storage, id, options, parts, lock)
    }

    /// Opens the ledger in a folder: checks every byte, hands each entry to `visit` in the same pass, decides about a
    /// torn end, and makes sure that what it found is on disk.
    ///
    /// Only an unfinished last record is cut, and [`Recovery::cut`] tells so; every other damage is refused and
    /// nothing is changed. `visit` sees entries before the whole is known to be sound: on an error, forget them.
    /// Reads at about 2 GB a second with [`Threads::Helpers`] from a warm cache.
    pub fn open<E: From<LedgerError>>(
        storage: S,
        options: LedgerOptions,
        visit: impl FnMut(Entry<'_>) -> Result<(), E>,
    ) -> Result<(Self, Recovery), E> {
        check_options(&options);
        let lock = storage.lock().map_err(LedgerError::from)?;
        let (id, parts, recovery) = open_folder(&storage, options.threads, visit)?;
        let marked = parts.last.position;
        let mut ledger = Self::assemble(storage, id, options, parts, lock)?;
        ledger.marked = marked;
        Ok((ledger, recovery))
    }

    fn assemble(
        storage: S,
        id: LedgerId,
        options: LedgerOptions,
        parts: Parts<S::File>,
        lock: S::Lock,
    ) -> Result<Self, LedgerError> {
        let failed = |source| LedgerError::Io { step: "start threads for", path: storage.folder(), source };
        let (preparer, syncer) = match options.threads {
            Threads::Helpers => {
                let preparer = Preparer::with_thread(storage.clone()).map_err(failed)?;
                (preparer, Some(Syncer::start().map_err(failed)?))
            }
            Threads::CallerOnly => (Preparer::inline(storage.clone()), None),
        };
        let segments: Vec<_> = parts.segments.into_iter().map(Arc::new).collect();
        let segment = segments.last().expect("a ledger has a segment").clone();
        let shared = Arc::new(Shared::new(storage.folder(), id, segments, parts.last.position));
        Ok(Self {
            storage,
            id,
            options,
            shared,
            segment,
            tail: parts.tail,
            spoiled_until: parts.tail,
            last: parts.last,
            epoch: parts.epoch,
            term: parts.term,
            marked: Position::NONE,
            is_replicated: false,
            poisoned: false,
            preparer,
            syncer,
            _lock: lock,
        })
    }

    /// Its name for ever.
    #[must_use]
    pub fn id(&self) -> LedgerId {
        self.id
    }

    /// The last entry, whose hash stands for the whole log.
    #[must_use]
    pub fn last(&self) -> LogPoint {
        self.last
    }

    /// Epoch of the last entry; 0 in an empty ledger.
    #[must_use]
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Reads what is committed, now and later.
    #[must_use]
    pub fn reader(&self) -> Reader<S> {
        Reader::new(self.shared.clone())
    }

    /// Writes a mark if one is due, and frees the folder.
    pub fn close(mut self) -> Result<(), LedgerError> {
        self.idle()
    }

    pub(crate) fn try_append(&mut self, entry: NewEntry<'_>) -> Result<Position, LedgerError> {
        let header = EntryHeader {
            kind: entry.kind,
            epoch: entry.epoch,
            term: entry.term,
            position: self.last.position.next(),
            stamp: entry.stamp,
            mark: self.last.position,
            previous: self.last.hash,
            length: u32::try_from(entry.payload.len()).expect("checked against ENTRY_BYTES_MAX"),
        };
        let head = encode_entry_header(self.id, &header, entry.payload);
        let needed = (head.len() + entry.payload.len()) as u64;
        self.wipe_spoiled()?;
        let (offset, hash) = if self.tail + needed <= self.segment.bytes {
            self.append_here(&head, entry.payload)?
        } else {
            self.append_in_next_segment(&head, entry.payload)?
        };
        self.last = LogPoint { position: header.position, hash };
        (self.epoch, self.term, self.marked) = (header.epoch, header.term, header.mark);
        self.tail = offset + needed;
        self.spoiled_until = self.tail;
        self.segment.note(header.position, offset);
        if !self.is_replicated {
            self.shared.committed.store(header.position.0, Ordering::Release);
        }
        self.prepare_early();
        Ok(header.position)
    }

    fn append_here(&mut self, head: &[u8], payload: &[u8]) -> Result<(u64, Hash), LedgerError> {
        if let Err(source) = self.segment.file.write_at(&[head, payload], self.tail) {
            return Err(self.take_back(head.len() + payload.len(), source));
        }
        let hash = self.sync_and_hash(head, payload).map_err(|source| self.poison(source))?;
        Ok((self.tail, hash))
    }

    /// Syncs what was just written, and takes its hash, at once where that pays.
    fn sync_and_hash(&self, head: &[u8], payload: &[u8]) -> io::Result<Hash> {
        let hash = || entry_hash(head, payload);
        if is_off(Mutation::Sync) {
            return Ok(hash());
        }
        match &self.syncer {
            Some(syncer) if payload.len() >= OVERLAP_BYTES_MIN => syncer.sync_while(&self.segment, hash),
            _ => self.segment.file.sync_data().map(|()| hash()),
        }
    }

    /// After a failed write of `bytes` behind the last entry: what it left goes at once, or before the next write.
    pub(crate) fn take_back(&mut self, bytes: usize, source: io::Error) -> LedgerError {
        if !is_full(&source) {
            return self.poison(source);
        }
        self.spoiled_until = self.tail + bytes as u64;
        match self.wipe_spoiled() {
            Err(error) if error.is_fatal() => error,
            _ => LedgerError::Full { path: self.segment_path(), source },
        }
    }

    /// Puts zeros back where a failed write may have left bytes, so that they are never taken for a record.
    pub(crate) fn wipe_spoiled(&mut self) -> Result<(), LedgerError> {
        if self.spoiled_until == self.tail || is_off(Mutation::Wipe) {
            return Ok(());
        }
        match write_zeros(&self.segment.file, self.tail, self.spoiled_until) {
            Ok(()) => {}
            Err(source) if is_full(&source) => {
                return Err(LedgerError::Full { path: self.segment_path(), source });
            }
            Err(source) => return Err(self.poison(source)),
        }
        self.segment.file.sync_data().map_err(|source| self.poison(source))?;
        self.spoiled_until = self.tail;
        Ok(())
    }

    /// Begins the next segment with this entry: written and synced under the prepared file's name, and only then
    /// renamed. So a segment's file exists under its name only if its first entry is safe.
    pub(crate) fn append_in_next_segment(
        &mut self,
        head: &[u8],
        payload: &[u8],
    ) -> Result<(u64, Hash), LedgerError> {
        let needed = SEGMENT_DATA_OFFSET + (head.len() + payload.len()) as u64;
        let Prepared { file, bytes } = self
            .preparer
            .take(needed, self.next_segment_bytes())
            .map_err(|source| space_error(&self.storage, PREPARED_NAME, "make", source))?;
        let first = self.last.position.next();
        let segment = Segment::new(first, bytes, file);
        let written = write_segment_header(&segment, self.id, self.last)
            .and_then(|()| segment.file.write_at(&[head, payload], SEGMENT_DATA_OFFSET));
        if let Err(source) = written {
            drop(segment);
            if is_full(&source) && discard(&self.storage).is_ok() {
                return Err(LedgerError::Full { path: self.storage.path(PREPARED_NAME), source });
            }
            return Err(self.poison(source));
        }
        segment.file.sync_data().map_err(|source| self.poison(source))?;
        match publish_segment(&self.storage, first) {
            Ok(()) => {}
            Err(error @ LedgerError::Full { .. }) => return Err(error),
            Err(error) => {
                self.poisoned = true;
                return Err(error);
            }
        }
        self.segment = Arc::new(segment);
        self.shared.add_segment(self.segment.clone());
        Ok((SEGMENT_DATA_OFFSET, entry_hash(head, payload)))
    }

    /// A quarter into a segment the next one is begun, off this thread.
    pub(crate) fn prepare_early(&mut self) {
        if self.tail > self.segment.bytes / 4 {
            let bytes = self.next_segment_bytes();
            self.preparer.start(bytes);
        }
    }

    fn next_segment_bytes(&self) -> u64 {
        (self.segment.bytes * 2).min(self.options.segment_bytes_max)
    }

    pub(crate) fn segment_path(&self) -> std::path::PathBuf {
        self.storage.path(&self.segment.name())
    }

    pub(crate) fn poison(&mut self, source: io::Error) -> LedgerError {
        self.poisoned = true;
        LedgerError::SyncFailed { path: self.segment_path(), source }
    }

    pub(crate) fn check_alive(&self) -> Result<(), LedgerError> {
        if self.poisoned {
            return Err(LedgerError::Poisoned { folder: self.storage.folder() });
        }
        Ok(())
    }
}

impl<S: Storage> Log for Ledger<S> {
    /// One write and one sync, of the payload's length plus 104 bytes.
    fn append(&mut self, entry: NewEntry<'_>) -> Result<Position, LedgerError> {
        assert!(entry.epoch >= self.epoch, "an epoch never falls");
        assert!(entry.term >= self.term, "a term never falls");
        self.check_alive()?;
        check_entry(&entry)?;
        self.try_append(entry)
    }

    fn committed(&self) -> Position {
        self.last.position
    }

    fn idle(&mut self) -> Result<(), LedgerError> {
        self.check_alive()?;
        if self.marked == self.last.position {
            return Ok(());
        }
        self.wipe_spoiled()?;
        let mark = encode_mark(self.id, self.last, self.epoch, self.term);
        match self.segment.file.write_at(&[&mark], MARK_OFFSET) {
            Ok(()) => {}
            Err(source) if is_full(&source) => {
                return Err(LedgerError::Full { path: self.segment_path(), source });
            }
            Err(source) => return Err(self.poison(source)),
        }
        self.segment.file.sync_data().map_err(|source| self.poison(source))?;
        self.marked = self.last.position;
        Ok(())
    }
}

impl<S: Storage> fmt::Debug for Ledger<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ledger")
            .field("id", &self.id)
            .field("folder", &self.storage.folder())
            .field("last", &self.last)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// What a new or an opened folder amounts to.
pub(crate) struct Parts<F> {
    pub segments: Vec<Segment<F>>,
    pub tail: u64,
    pub last: LogPoint,
    pub epoch: u32,
    pub term: u64,
}

fn check_options(options: &LedgerOptions) {
    let sizes = options.segment_bytes_first..=options.segment_bytes_max;
    assert!(
        !sizes.is_empty() && *sizes.start() >= 16 << 10 && *sizes.end() <= 2 << 30,
        "segments are of 16 KiB to 2 GiB, the first the smallest"
    );
}

/// What any entry has to be.
pub(crate) fn check_entry(entry: &NewEntry<'_>) -> Result<(), LedgerError> {
    assert!(entry.kind.0 != 0 && entry.kind != EntryKind::MARK, "kinds 0 and 255 are the ledger's own");
    if entry.payload.len() > ENTRY_BYTES_MAX {
        return Err(LedgerError::TooLarge { bytes: entry.payload.len(), max: ENTRY_BYTES_MAX });
    }
    Ok(())
}

fn write_segment_header<F: StorageFile>(
    segment: &Segment<F>,
    ledger: LedgerId,
    last: LogPoint,
) -> io::Result<()> {
    assert_eq!(segment.first, last.position.next(), "a segment goes on where the log ends");
    let header = SegmentHeader { ledger, bytes: segment.bytes, first: segment.first, previous: last.hash };
    let bytes: [u8; SEGMENT_HEADER_BYTES] = header.encode();
    segment.file.write_at(&[&bytes], 0)
}

/// Gives the prepared, synced file its name, for good.
fn publish_segment<S: Storage>(storage: &S, first: Position) -> Result<(), LedgerError> {
    let name = segment_name(first);
    storage.rename(PREPARED_NAME, &name).map_err(|source| {
        // What stands under the prepared name is never read, so the entry in it is as good as unwritten.
        if is_full(&source) {
            LedgerError::Full { path: storage.path(&name), source }
        } else {
            LedgerError::SyncFailed { path: storage.path(&name), source }
        }
    })?;
    storage.sync_folder().map_err(|source| LedgerError::SyncFailed { path: storage.folder(), source })
}

pub(crate) fn write_zeros<F: StorageFile>(file: &F, from: u64, to: u64) -> io::Result<()> {
    let zeros = vec![0; (to - from).min(1 << 20) as usize];
    let mut offset = from;
    while offset < to {
        let piece = (to - offset).min(zeros.len() as u64);
        file.write_at(&[&zeros[..piece as usize]], offset)?;
        offset += piece;
    }
    Ok(())
}

fn space_error<S: Storage>(storage: &S, name: &str, step: &'static str, source: io::Error) -> LedgerError {
    let path = storage.path(name);
    if is_full(&source) { LedgerError::Full { path, source } } else { LedgerError::Io { step, path, source } }
}
