//! Taking back the end of a log that was never committed.
//!
//! ```text
//! note where to cut (aside, synced, renamed) ──▶ mark ──▶ zeros ──▶ later files go ──▶ note goes
//! ```
//!
//! Zeros reach the disk in any order, so a crash among them leaves what would be damage anywhere else. The note says
//! that it is not: whoever finds one does the whole work again. `docs/formats.md`, "Ledger segments", has its bytes.

use std::io;
use std::sync::Arc;

use crate::error::is_full;
use crate::files;
use crate::format::{MARK_OFFSET, PAGE_BYTES, encode_mark, u32_at, u64_at};
use crate::ledger::write_zeros;
use crate::mutation::{Mutation, is_off};
use crate::open::segment_files;
use crate::segment::{Segment, segment_name};
use crate::{Ledger, LedgerError, LedgerId, LogPoint, Position, Storage, StorageFile};
use proof::Hash;

/// Name of the note.
const NOTE_NAME: &str = "cut";
const NOTE_MAGIC: [u8; 4] = *b"HuCt";
const NOTE_VERSION: u8 = 1;
const NOTE_BYTES: usize = 96;

/// Where a log is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Note {
    ledger: LedgerId,
    /// The last entry that stays.
    last: LogPoint,
    epoch: u32,
    term: u64,
    /// The segment that holds it, or would hold entry 1.
    segment: Position,
    /// Where it ends in that segment.
    end: u64,
}

impl Note {
    /// `magic 4 | version 1 | zeros 3 | ledger 16 | position 8 | hash 32 | epoch 4 | term 8 | segment 8 | end 8 |
    /// crc32c of these 4`.
    fn encode(&self) -> [u8; NOTE_BYTES] {
        let mut out = [0; NOTE_BYTES];
        out[..4].copy_from_slice(&NOTE_MAGIC);
        out[4] = NOTE_VERSION;
        out[8..24].copy_from_slice(&self.ledger.0);
        out[24..32].copy_from_slice(&self.last.position.0.to_be_bytes());
        out[32..64].copy_from_slice(&self.last.hash.0);
        out[64..68].copy_from_slice(&self.epoch.to_be_bytes());
        out[68..76].copy_from_slice(&self.term.to_be_bytes());
        out[76..84].copy_from_slice(&self.segment.0.to_be_bytes());
        out[84..92].copy_from_slice(&self.end.to_be_bytes());
        let sum = crc32c::crc32c(&out[..92]);
        out[92..].copy_from_slice(&sum.to_be_bytes());
        out
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; NOTE_BYTES] = bytes.try_into().ok()?;
        let sound = bytes[..4] == NOTE_MAGIC
            && bytes[4] == NOTE_VERSION
            && bytes[5..8] == [0; 3]
            && u32_at(bytes, 92) == crc32c::crc32c(&bytes[..92]);
        sound.then(|| Self {
            ledger: LedgerId(bytes[8..24].try_into().expect("16 bytes")),
            last: LogPoint {
                position: Position(u64_at(bytes, 24)),
                hash: Hash(bytes[32..64].try_into().expect("32 bytes")),
            },
            epoch: u32_at(bytes, 64),
            term: u64_at(bytes, 68),
            segment: Position(u64_at(bytes, 76)),
            end: u64_at(bytes, 84),
        })
    }
}

/// Does what a note found in the folder asks for; without one, nothing.
pub fn finish<S: Storage>(storage: &S) -> Result<(), LedgerError> {
    let Some(note) = read_note(storage)? else { return Ok(()) };
    let file = storage.open(&segment_name(note.segment));
    let file = file.map_err(|source| error(storage, note.segment, source))?;
    carry_out(storage, &note, &file)
}

/// Refuses a folder in which a cut was begun: reading it without finishing the cut would call the rest damage.
pub fn check_none_pending<S: Storage>(storage: &S) -> Result<(), LedgerError> {
    match read_note(storage)? {
        Some(_) => Err(LedgerError::CutPending { folder: storage.folder() }),
        None => Ok(()),
    }
}

fn read_note<S: Storage>(storage: &S) -> Result<Option<Note>, LedgerError> {
    let path = storage.path(NOTE_NAME);
    let bytes = files::read(storage, NOTE_NAME).map_err(|source| LedgerError::Io {
        step: "read",
        path: path.clone(),
        source,
    })?;
    // A note gets its name only once it is synced, so one that is not whole was damaged.
    bytes.map(|bytes| Note::decode(&bytes).ok_or(LedgerError::NoteDamaged { path })).transpose()
}

/// Every step may be done again; the note goes last.
fn carry_out<S: Storage>(storage: &S, note: &Note, file: &S::File) -> Result<(), LedgerError> {
    let failed = |source| error(storage, note.segment, source);
    if note.last.position >= note.segment {
        let mark = encode_mark(note.ledger, note.last, note.epoch, note.term);
        file.write_at(&[&mark], MARK_OFFSET).map_err(failed)?;
    } else {
        write_zeros(file, MARK_OFFSET, MARK_OFFSET + PAGE_BYTES).map_err(failed)?;
    }
    let bytes = file.bytes().map_err(failed)?;
    write_zeros(file, note.end, end_of_writing(file, note.end, bytes).map_err(failed)?).map_err(failed)?;
    file.sync_data().map_err(failed)?;
    for (first, _) in segment_files(storage)? {
        if first > note.segment {
            storage.remove(&segment_name(first)).map_err(failed)?;
        }
    }
    storage.sync_folder().map_err(failed)?;
    files::remove_if_there(storage, NOTE_NAME).map_err(failed)?;
    storage.sync_folder().map_err(failed)
}

/// One past the last byte that is not zero, from `from` on: there may be 64 MiB of zeros behind it already.
fn end_of_writing<F: StorageFile>(file: &F, from: u64, bytes: u64) -> io::Result<u64> {
    let mut end = from;
    let mut buffer = Vec::new();
    let mut offset = from;
    while offset < bytes {
        buffer.resize((bytes - offset).min(1 << 20) as usize, 0);
        file.read_at(&mut buffer, offset)?;
        if let Some(last) = buffer.iter().rposition(|&byte| byte != 0) {
            end = offset + last as u64 + 1;
        }
        offset += buffer.len() as u64;
    }
    Ok(end)
}

fn error<S: Storage>(storage: &S, segment: Position, source: io::Error) -> LedgerError {
    let path = storage.path(&segment_name(segment));
    if is_full(&source) {
        LedgerError::Full { path, source }
    } else {
        LedgerError::SyncFailed { path, source }
    }
}

impl<S: Storage> Ledger<S> {
    /// Takes every entry above `position` off the log, for good before this returns. The caller knows that none of them
    /// is committed.
    ///
    /// After [`LedgerError::Full`] nothing has changed.
    pub(crate) fn cut_after(&mut self, position: Position) -> Result<(), LedgerError> {
        self.check_alive()?;
        if position >= self.last.position {
            return Ok(());
        }
        let note = self.note(position)?;
        let noted = match is_off(Mutation::CutNote) {
            true => Ok(()),
            false => files::replace(&self.storage, NOTE_NAME, &[&note.encode()]),
        };
        match noted {
            Ok(()) => {}
            Err(source) if is_full(&source) => {
                return Err(LedgerError::Full { path: self.storage.path(NOTE_NAME), source });
            }
            Err(source) => return Err(self.poison(source)),
        }
        // From here on only the whole will do: an error leaves the note, and the next start goes on from it.
        self.carry_out_own(&note).map_err(|source| {
            self.poisoned = true;
            source.into_fatal()
        })
    }

    fn note(&self, position: Position) -> Result<Note, LedgerError> {
        let (_, _, next) = self.shared.locate_synced(position.next())?;
        let last = LogPoint { position, hash: next.header.previous };
        let (ledger, first) = (self.id, Position(1));
        if position == Position::NONE {
            let end = crate::format::SEGMENT_DATA_OFFSET;
            return Ok(Note { ledger, last, epoch: 0, term: 0, segment: first, end });
        }
        let (segment, offset, stored) = self.shared.locate_synced(position)?;
        let (epoch, term) = (stored.header.epoch, stored.header.term);
        let end = offset + stored.total_bytes();
        Ok(Note { ledger, last, epoch, term, segment: segment.first, end })
    }

    fn carry_out_own(&mut self, note: &Note) -> Result<(), LedgerError> {
        let file = self.storage.open(&segment_name(note.segment));
        let file = file.map_err(|source| error(&self.storage, note.segment, source))?;
        carry_out(&self.storage, note, &file)?;
        let segments = self.shared.segments();
        let mut kept: Vec<Arc<Segment<S::File>>> =
            segments.iter().filter(|segment| segment.first < note.segment).cloned().collect();
        let old = segments.iter().find(|segment| segment.first == note.segment);
        let old = old.expect("the entry before the cut was found in it");
        self.segment = Arc::new(old.shortened(note.last.position, file));
        kept.push(self.segment.clone());
        self.shared.replace_segments(kept);
        (self.last, self.epoch, self.term) = (note.last, note.epoch, note.term);
        (self.tail, self.spoiled_until) = (note.end, note.end);
        self.marked = note.last.position;
        Ok(())
    }
}
