//! A sorted, immutable file of rows. `docs/formats.md` does not describe it: it is a cache, made again from the log.
//!
//! Blocks of 4,096 bytes, each closed by a CRC-32C of the rest. Block 0 is the header: magic 4, version 1, zeros 3, ledger
//! 16, after 8, through 8, hash at through 32, rows 8, zeros. The others hold 170 rows of key 16 and value 8 each.

use std::io;
use std::path::PathBuf;

use super::buffer::Row;
use super::{IndexError, IndexKey};
use crate::files::{aside_name, remove_if_there};
use crate::format::{u32_at, u64_at};
use crate::{LedgerId, LogPoint, Position, Storage, StorageFile};
use proof::Hash;

const MAGIC: [u8; 4] = *b"HuIx";
const VERSION: u8 = 1;
const BLOCK_BYTES: usize = 4096;
const ROW_BYTES: usize = 24;
const BLOCK_ROWS: u64 = 170;
/// Blocks written or read at once in a merge: 256 KiB.
const BATCH_BLOCKS: u64 = 64;

/// The entries whose keys a run holds: those behind `after`, up to `through`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub after: Position,
    pub through: LogPoint,
}

impl Span {
    fn name(&self) -> String {
        format!("{:016}-{:016}.run", self.after.0, self.through.position.0)
    }
}

/// An open run.
pub struct Run<F> {
    pub span: Span,
    pub rows: u64,
    path: PathBuf,
    file: F,
}

impl<F: StorageFile> Run<F> {
    /// Appends the values of `key`, in order.
    pub fn lookup(&self, key: &IndexKey, values: &mut Vec<u64>) -> Result<(), IndexError> {
        let key = u128::from_be_bytes(*key);
        let mut block = [0; BLOCK_BYTES];
        let mut number = self.first_block_reaching(key, &mut block)?;
        while number < self.blocks() {
            self.read_block(number, &mut block)?;
            for (row_key, value) in self.rows_of(number, &block) {
                if row_key > key {
                    return Ok(());
                }
                if row_key == key {
                    values.push(value);
                }
            }
            number += 1;
        }
        Ok(())
    }

    /// The first block whose last key is not below `key`. Guesses by proportion, as keys are hashes; halves where that
    /// does not help.
    fn first_block_reaching(&self, key: u128, block: &mut [u8; BLOCK_BYTES]) -> Result<u64, IndexError> {
        let (mut low, mut high) = (0, self.blocks());
        let (mut low_key, mut high_key) = (0_u64, u64::MAX);
        let wanted = (key >> 64) as u64;
        let mut tries = 0;
        while low < high {
            let guess =
                if tries < 4 { proportion(wanted, low_key, high_key, high - low) } else { (high - low) / 2 };
            let number = low + guess.min(high - low - 1);
            self.read_block(number, block)?;
            let first = key_at(block, 0);
            let last = key_at(block, self.rows_in(number) - 1);
            if last < key {
                (low, low_key) = (number + 1, (last >> 64) as u64);
            } else if first < key {
                return Ok(number);
            } else {
                (high, high_key) = (number, (first >> 64) as u64);
            }
            tries += 1;
        }
        Ok(low)
    }

    fn blocks(&self) -> u64 {
        self.rows.div_ceil(BLOCK_ROWS)
    }

    fn rows_in(&self, block: u64) -> usize {
        (self.rows - block * BLOCK_ROWS).min(BLOCK_ROWS) as usize
    }

    fn rows_of<'a>(
        &self,
        number: u64,
        block: &'a [u8; BLOCK_BYTES],
    ) -> impl Iterator<Item = Row> + use<'a, F> {
        (0..self.rows_in(number)).map(move |row| (key_at(block, row), u64_at(block, row * ROW_BYTES + 16)))
    }

    fn read_block(&self, number: u64, block: &mut [u8; BLOCK_BYTES]) -> Result<(), IndexError> {
        self.read_file(block, number + 1)?;
        self.check_block(block)
    }

    fn read_file(&self, out: &mut [u8], block: u64) -> Result<(), IndexError> {
        self.file.read_at(out, block * BLOCK_BYTES as u64).map_err(|source| match source.kind() {
            io::ErrorKind::UnexpectedEof => IndexError::Damaged { path: self.path.clone() },
            _ => IndexError::Io { step: "read", path: self.path.clone(), source },
        })
    }

    fn check_block(&self, block: &[u8; BLOCK_BYTES]) -> Result<(), IndexError> {
        if !is_closed(block) {
            return Err(IndexError::Damaged { path: self.path.clone() });
        }
        Ok(())
    }
}

/// Where in `blocks` blocks a key stands between two keys, if keys lie evenly.
fn proportion(key: u64, low: u64, high: u64, blocks: u64) -> u64 {
    let (Some(distance), Some(width)) = (key.checked_sub(low), high.checked_sub(low)) else { return 0 };
    (u128::from(distance) * u128::from(blocks) / (u128::from(width) + 1)) as u64
}

fn key_at(block: &[u8; BLOCK_BYTES], row: usize) -> u128 {
    let at = row * ROW_BYTES;
    u128::from_be_bytes(block[at..at + 16].try_into().expect("the range has 16 bytes"))
}

fn close(block: &mut [u8; BLOCK_BYTES]) {
    let sum = crc32c::crc32c(&block[..BLOCK_BYTES - 4]);
    block[BLOCK_BYTES - 4..].copy_from_slice(&sum.to_be_bytes());
}

fn is_closed(block: &[u8; BLOCK_BYTES]) -> bool {
    u32_at(block, BLOCK_BYTES - 4) == crc32c::crc32c(&block[..BLOCK_BYTES - 4])
}

/// All rows of a run in order, read in large pieces.
pub struct RunRows<'a, F> {
    run: &'a Run<F>,
    next_block: u64,
    rows: std::vec::IntoIter<Row>,
}

impl<'a, F: StorageFile> RunRows<'a, F> {
    pub fn new(run: &'a Run<F>) -> Self {
        Self { run, next_block: 0, rows: Vec::new().into_iter() }
    }

    /// The next row, `None` at the end.
    pub fn next(&mut self) -> Result<Option<Row>, IndexError> {
        if let Some(row) = self.rows.next() {
            return Ok(Some(row));
        }
        let count = BATCH_BLOCKS.min(self.run.blocks() - self.next_block);
        let mut bytes = vec![0; count as usize * BLOCK_BYTES];
        self.run.read_file(&mut bytes, self.next_block + 1)?;
        let mut rows = Vec::with_capacity((count * BLOCK_ROWS) as usize);
        for block in bytes.as_chunks().0 {
            self.run.check_block(block)?;
            rows.extend(self.run.rows_of(self.next_block, block));
            self.next_block += 1;
        }
        self.rows = rows.into_iter();
        Ok(self.rows.next())
    }
}

/// Writes the run of `span` with the rows that `fill` pushes; `None` where `fill` says false. What fails or is given up
/// is removed from the disk.
pub fn write_run<S: Storage>(
    storage: &S,
    ledger: LedgerId,
    span: Span,
    fill: impl FnOnce(&mut RunWriter<'_, S>) -> Result<bool, IndexError>,
) -> Result<Option<Run<S::File>>, IndexError> {
    let mut writer = RunWriter::new(storage, ledger, span)?;
    let written = match fill(&mut writer) {
        Ok(true) => writer.finish().map(Some),
        Ok(false) => Ok(None),
        Err(error) => Err(error),
    };
    if !matches!(written, Ok(Some(_))) {
        // What cannot be removed now goes at the next opening.
        let _ = remove_if_there(storage, &aside_name(&span.name()));
    }
    written
}

/// Writes a run under another name, until [`finish`](Self::finish).
pub struct RunWriter<'a, S: Storage> {
    storage: &'a S,
    file: S::File,
    span: Span,
    ledger: LedgerId,
    rows: u64,
    offset: u64,
    /// Whole blocks, and a last one being filled.
    bytes: Vec<u8>,
}

impl<'a, S: Storage> RunWriter<'a, S> {
    fn new(storage: &'a S, ledger: LedgerId, span: Span) -> Result<Self, IndexError> {
        let aside = aside_name(&span.name());
        let failed = |source| IndexError::Io { step: "make", path: storage.path(&aside), source };
        remove_if_there(storage, &aside).map_err(failed)?;
        let file = storage.create(&aside).map_err(failed)?;
        Ok(Self { storage, file, span, ledger, rows: 0, offset: BLOCK_BYTES as u64, bytes: Vec::new() })
    }

    pub fn push(&mut self, (key, value): Row) -> Result<(), IndexError> {
        self.bytes.extend_from_slice(&key.to_be_bytes());
        self.bytes.extend_from_slice(&value.to_be_bytes());
        self.rows += 1;
        if self.rows.is_multiple_of(BLOCK_ROWS) {
            self.close_block();
            if self.bytes.len() as u64 >= BATCH_BLOCKS * BLOCK_BYTES as u64 {
                self.write_blocks()?;
            }
        }
        Ok(())
    }

    fn close_block(&mut self) {
        let start = self.bytes.len() / BLOCK_BYTES * BLOCK_BYTES;
        self.bytes.resize(start + BLOCK_BYTES, 0);
        let block = self.bytes[start..].as_mut_array().expect("one block was appended");
        close(block);
    }

    fn write_blocks(&mut self) -> Result<(), IndexError> {
        self.file.write_at(&[&self.bytes], self.offset).map_err(|source| self.error("write", source))?;
        self.offset += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Writes the header, syncs, and gives the run its name.
    fn finish(mut self) -> Result<Run<S::File>, IndexError> {
        if !self.rows.is_multiple_of(BLOCK_ROWS) {
            self.close_block();
        }
        self.write_blocks()?;
        let header = encode_header(self.ledger, &self.span, self.rows);
        let written = self.file.write_at(&[&header], 0).and_then(|()| self.file.sync_data());
        written.map_err(|source| self.error("write", source))?;
        let name = self.span.name();
        self.storage
            .rename(&aside_name(&name), &name)
            .and_then(|()| self.storage.sync_folder())
            .map_err(|source| self.error("name", source))?;
        Ok(Run { span: self.span, rows: self.rows, path: self.storage.path(&name), file: self.file })
    }

    fn error(&self, step: &'static str, source: io::Error) -> IndexError {
        IndexError::Io { step, path: self.storage.path(&self.span.name()), source }
    }
}

fn encode_header(ledger: LedgerId, span: &Span, rows: u64) -> [u8; BLOCK_BYTES] {
    let mut block = [0; BLOCK_BYTES];
    block[0..4].copy_from_slice(&MAGIC);
    block[4] = VERSION;
    block[8..24].copy_from_slice(&ledger.0);
    block[24..32].copy_from_slice(&span.after.0.to_be_bytes());
    block[32..40].copy_from_slice(&span.through.position.0.to_be_bytes());
    block[40..72].copy_from_slice(&span.through.hash.0);
    block[72..80].copy_from_slice(&rows.to_be_bytes());
    close(&mut block);
    block
}

/// `None` for anything but a header of `ledger`.
fn decode_header(block: &[u8; BLOCK_BYTES], ledger: LedgerId) -> Option<(Span, u64)> {
    let known = block[..4] == MAGIC && block[4] == VERSION && block[8..24] == ledger.0 && is_closed(block);
    known.then(|| {
        let hash = Hash(block[40..72].try_into().expect("the range has 32 bytes"));
        let through = LogPoint { position: Position(u64_at(block, 32)), hash };
        (Span { after: Position(u64_at(block, 24)), through }, u64_at(block, 72))
    })
}

/// The runs of a folder that lead on from the log's start without a gap. All other files of the index are deleted:
/// what a crash left aside, what a merge has superseded, what is damaged and what comes behind it.
pub fn open_runs<S: Storage>(storage: &S, ledger: LedgerId) -> Result<Vec<Run<S::File>>, IndexError> {
    let failed = |source| IndexError::Io { step: "list", path: storage.folder(), source };
    let mut found = Vec::new();
    for file in storage.list().map_err(failed)? {
        if file.name.ends_with(".run.new") {
            remove_if_there(storage, &file.name).map_err(failed)?;
        } else if file.name.ends_with(".run") {
            match open_run(storage, &file.name, file.bytes, ledger)? {
                Some(run) => found.push(run),
                None => remove_if_there(storage, &file.name).map_err(failed)?,
            }
        }
    }
    found.sort_by_key(|run| (run.span.after, std::cmp::Reverse(run.span.through.position)));
    let mut runs: Vec<Run<S::File>> = Vec::new();
    for run in found {
        let reached = runs.last().map_or(Position::NONE, |last| last.span.through.position);
        if run.span.after == reached && run.span.through.position > reached {
            runs.push(run);
        } else {
            remove(storage, &run)?;
        }
    }
    Ok(runs)
}

fn open_run<S: Storage>(
    storage: &S,
    name: &str,
    bytes: u64,
    ledger: LedgerId,
) -> Result<Option<Run<S::File>>, IndexError> {
    let path = storage.path(name);
    let failed = |source| IndexError::Io { step: "open", path: path.clone(), source };
    if bytes < BLOCK_BYTES as u64 {
        return Ok(None);
    }
    let file = storage.open(name).map_err(failed)?;
    let mut block = [0; BLOCK_BYTES];
    file.read_at(&mut block, 0).map_err(failed)?;
    let Some((span, rows)) = decode_header(&block, ledger) else { return Ok(None) };
    let whole =
        rows.div_ceil(BLOCK_ROWS).checked_add(1).and_then(|blocks| blocks.checked_mul(BLOCK_BYTES as u64));
    let sound = whole == Some(bytes) && span.name() == name;
    Ok(sound.then(|| Run { span, rows, path: path.clone(), file }))
}

/// Deletes a run's file; open readers keep what they hold.
pub fn remove<S: Storage, F>(storage: &S, run: &Run<F>) -> Result<(), IndexError> {
    remove_if_there(storage, &run.span.name()).map_err(|source| IndexError::Io {
        step: "remove",
        path: run.path.clone(),
        source,
    })
}
