//! Flat files of fixed-width rows beside the log: tile levels of the trees, and where each leaf stands in the log.
//!
//! One writer appends, any number of readers see what it has published. Nothing is synced while running: these are
//! caches, made again from the log. After a power failure the rows are only to be trusted up to a number that was
//! written down after [`ColumnWriter::sync`]; [`truncate`](ColumnWriter::truncate) to that number, and replay the rest.

use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use proof::{Hash, TileError, TileReader};

use crate::{Position, Storage, StorageFile};

/// Levels kept of a tree: 256⁴ leaves, over four thousand million, have their root in the last.
pub const TILE_LEVELS: u8 = 5;

struct Shared<F> {
    file: F,
    row_bytes: u64,
    /// Rows that readers may see.
    rows: AtomicU64,
}

/// The one writer of a column.
pub struct ColumnWriter<S: Storage> {
    shared: Arc<Shared<S::File>>,
}

impl<S: Storage> ColumnWriter<S> {
    /// Opens the column `name`, made where it is missing; a piece of a row at its end is cut off.
    pub fn open(storage: &S, name: &str, row_bytes: usize) -> io::Result<Self> {
        assert!(row_bytes > 0, "a row has at least one byte");
        let file = match storage.open(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => storage.create(name)?,
            file => file?,
        };
        let row_bytes = row_bytes as u64;
        let rows = AtomicU64::new(file.bytes()? / row_bytes);
        Ok(Self { shared: Arc::new(Shared { file, row_bytes, rows }) })
    }

    #[must_use]
    pub fn rows(&self) -> u64 {
        self.shared.rows.load(Ordering::Relaxed)
    }

    /// Appends whole rows and publishes them: one write, no sync. After an error nothing is published.
    pub fn append(&mut self, rows: &[u8]) -> io::Result<()> {
        let Shared { file, row_bytes, .. } = &*self.shared;
        assert!((rows.len() as u64).is_multiple_of(*row_bytes), "only whole rows are appended");
        if rows.is_empty() {
            return Ok(());
        }
        let before = self.rows();
        file.write_at(&[rows], before * row_bytes)?;
        self.shared.rows.store(before + rows.len() as u64 / row_bytes, Ordering::Release);
        Ok(())
    }

    /// Forgets all rows from number `rows` on; there must be so many. Not beside readers that hold on to later rows.
    pub fn truncate(&mut self, rows: u64) -> io::Result<()> {
        assert!(rows <= self.rows(), "a column is cut, not stretched");
        self.shared.rows.store(rows, Ordering::Release);
        self.shared.file.set_bytes(rows * self.shared.row_bytes)
    }

    /// Puts all rows on disk; before a snapshot names their number.
    pub fn sync(&self) -> io::Result<()> {
        self.shared.file.sync_data()
    }

    #[must_use]
    pub fn reader(&self) -> ColumnReader<S> {
        ColumnReader { shared: self.shared.clone() }
    }
}

/// Reads what the writer has published.
pub struct ColumnReader<S: Storage> {
    shared: Arc<Shared<S::File>>,
}

impl<S: Storage> ColumnReader<S> {
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.shared.rows.load(Ordering::Acquire)
    }

    /// Appends the rows `from` to `from + count` to `out`; false, and nothing appended, where not all are there.
    pub fn read(&self, from: u64, count: usize, out: &mut Vec<u8>) -> io::Result<bool> {
        let Shared { file, row_bytes, .. } = &*self.shared;
        if from.checked_add(count as u64).is_none_or(|end| end > self.rows()) {
            return Ok(false);
        }
        let held = out.len();
        out.resize(held + count * *row_bytes as usize, 0);
        let read = file.read_at(&mut out[held..], from * row_bytes);
        if read.is_err() {
            out.truncate(held);
        }
        read.map(|()| true)
    }
}

impl<S: Storage> Clone for ColumnReader<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Storage> fmt::Debug for ColumnReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnReader").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

impl<S: Storage> fmt::Debug for ColumnWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ColumnWriter").field("rows", &self.rows()).finish_non_exhaustive()
    }
}

/// Where the bytes of a leaf stand in the log: a row of 16 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    pub entry: Position,
    /// From the start of the entry's payload.
    pub offset: u32,
    pub length: u32,
}

impl Place {
    /// Bytes of a row.
    pub const BYTES: usize = 16;

    #[must_use]
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..8].copy_from_slice(&self.entry.0.to_be_bytes());
        out[8..12].copy_from_slice(&self.offset.to_be_bytes());
        out[12..].copy_from_slice(&self.length.to_be_bytes());
        out
    }

    #[must_use]
    pub fn from_bytes(bytes: &[u8; Self::BYTES]) -> Self {
        use crate::format::{u32_at, u64_at};
        Self { entry: Position(u64_at(bytes, 0)), offset: u32_at(bytes, 8), length: u32_at(bytes, 12) }
    }
}

type Levels<S> = [OnceLock<ColumnReader<S>>; TILE_LEVELS as usize];

/// Writes the stored hashes of one tree: files `<name>.0` (leaves), `<name>.1` (roots of 256 leaves) and so on, the
/// higher ones once they have a hash.
pub struct TileWriter<S: Storage> {
    storage: S,
    name: String,
    levels: Vec<Level<S>>,
    readers: Arc<Levels<S>>,
}

struct Level<S: Storage> {
    column: ColumnWriter<S>,
    /// Pushed and not yet published.
    waiting: Vec<u8>,
}

impl<S: Storage> TileWriter<S> {
    /// Opens the tree `name`, as far as its files reach.
    pub fn open(storage: S, name: impl Into<String>) -> io::Result<Self> {
        let readers = Arc::new(Levels::default());
        let mut writer = Self { storage, name: name.into(), levels: Vec::new(), readers };
        writer.add_level()?;
        while writer.rows(writer.levels.len() as u8 - 1) >= 256
            && writer.levels.len() < usize::from(TILE_LEVELS)
        {
            writer.add_level()?;
        }
        Ok(writer)
    }

    fn add_level(&mut self) -> io::Result<()> {
        let column = self.open_level()?;
        self.register(column);
        Ok(())
    }

    /// A level that the leaves did not reach until now. What stands in its file is from before a crash that took the
    /// leaves under it.
    fn begin_level(&mut self) -> io::Result<()> {
        let mut column = self.open_level()?;
        column.truncate(0)?;
        self.register(column);
        Ok(())
    }

    fn open_level(&self) -> io::Result<ColumnWriter<S>> {
        ColumnWriter::open(&self.storage, &format!("{}.{}", self.name, self.levels.len()), size_of::<Hash>())
    }

    fn register(&mut self, column: ColumnWriter<S>) {
        assert!(self.readers[self.levels.len()].set(column.reader()).is_ok(), "a level is added once");
        self.levels.push(Level { column, waiting: Vec::new() });
    }

    /// Published hashes of a level; of level 0, the leaves.
    #[must_use]
    pub fn rows(&self, level: u8) -> u64 {
        self.levels.get(usize::from(level)).map_or(0, |level| level.column.rows())
    }

    /// Leaves whose hashes are there on every level; fewer than level 0 has after a crash. Where it is less than a
    /// snapshot says, the tree has to be made again.
    #[must_use]
    pub fn whole_leaves(&self) -> u64 {
        let mut leaves = self.rows(0);
        for level in 1..TILE_LEVELS {
            let subtrees = self.rows(level);
            if subtrees < leaves >> (8 * level) {
                leaves = (subtrees << (8 * level)) + (1 << (8 * level)) - 1;
            }
        }
        leaves
    }

    /// Takes a hash of `level`, as `proof::Edge::append` reports them; nobody sees it before [`publish`](Self::publish).
    pub fn push(&mut self, level: u8, hash: &Hash) -> io::Result<()> {
        assert!(level < TILE_LEVELS, "a tree has at most 256⁵ leaves");
        while self.levels.len() <= usize::from(level) {
            self.begin_level()?;
        }
        self.levels[usize::from(level)].waiting.extend_from_slice(&hash.0);
        Ok(())
    }

    /// Writes and publishes what was pushed: one write per level touched. May be repeated after an error.
    pub fn publish(&mut self) -> io::Result<()> {
        for level in &mut self.levels {
            level.column.append(&level.waiting)?;
            level.waiting.clear();
        }
        Ok(())
    }

    /// Goes back to a tree of `leaves` leaves, at most [`whole_leaves`](Self::whole_leaves).
    pub fn truncate(&mut self, leaves: u64) -> io::Result<()> {
        for (level, Level { column, waiting }) in self.levels.iter_mut().enumerate() {
            waiting.clear();
            column.truncate(leaves >> (8 * level))?;
        }
        Ok(())
    }

    /// Puts everything published on disk.
    pub fn sync(&self) -> io::Result<()> {
        self.levels.iter().try_for_each(|level| level.column.sync())
    }

    #[must_use]
    pub fn reader(&self) -> Tiles<S> {
        Tiles { levels: self.readers.clone() }
    }
}

impl<S: Storage> fmt::Debug for TileWriter<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TileWriter")
            .field("name", &self.name)
            .field("leaves", &self.rows(0))
            .finish_non_exhaustive()
    }
}

/// Reads the stored hashes of one tree, beside its writer.
pub struct Tiles<S: Storage> {
    levels: Arc<Levels<S>>,
}

impl<S: Storage> Tiles<S> {
    /// Published hashes of a level.
    #[must_use]
    pub fn rows(&self, level: u8) -> u64 {
        self.level(level).map_or(0, ColumnReader::rows)
    }

    /// Appends the 32-byte hashes `from` to `from + count` of a level to `out`, as a tile has them; false where not
    /// all are there.
    pub fn read(&self, level: u8, from: u64, count: usize, out: &mut Vec<u8>) -> io::Result<bool> {
        self.level(level).map_or(Ok(false), |column| column.read(from, count, out))
    }

    fn level(&self, level: u8) -> Option<&ColumnReader<S>> {
        self.levels.get(usize::from(level))?.get()
    }
}

impl<S: Storage> TileReader for Tiles<S> {
    fn hashes(&self, level: u8, from: u64, count: usize, out: &mut Vec<Hash>) -> Result<(), TileError> {
        let mut bytes = Vec::with_capacity(count * size_of::<Hash>());
        match self.read(level, from, count, &mut bytes) {
            Ok(true) => {}
            Ok(false) => return Err(TileError::Missing { level, from, count }),
            Err(source) => return Err(TileError::Read { level, from, source }),
        }
        let (rows, _) = bytes.as_chunks();
        out.extend(rows.iter().map(|row| Hash(*row)));
        Ok(())
    }
}

impl<S: Storage> Clone for Tiles<S> {
    fn clone(&self) -> Self {
        Self { levels: self.levels.clone() }
    }
}

impl<S: Storage> fmt::Debug for Tiles<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tiles").field("leaves", &self.rows(0)).finish_non_exhaustive()
    }
}
