//! The contract: what every log promises, whoever keeps it.

use std::fmt;

use crate::LedgerError;
use proof::Hash;

/// Most payload bytes one entry may carry: 4 MiB.
pub const ENTRY_BYTES_MAX: usize = 4 << 20;

/// Names one ledger for ever: 16 random bytes drawn when it is made.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LedgerId(pub [u8; 16]);

impl fmt::Display for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for LedgerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LedgerId({self})")
    }
}

/// Place of an entry in its log, counted from 1; 0 ([`Position::NONE`]) stands before the first entry.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position(pub u64);

impl Position {
    /// Before the first entry.
    pub const NONE: Self = Self(0);

    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0 + 1)
    }

    #[must_use]
    pub fn previous(self) -> Self {
        Self(self.0.checked_sub(1).expect("nothing stands before position 0"))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An entry and everything before it: two logs that agree here agree on all entries up to here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogPoint {
    pub position: Position,
    /// SHA-256 of the entry at `position`, header and payload, in a log of several nodes without the mark, which is each
    /// node's own; zeros before the first.
    pub hash: Hash,
}

impl LogPoint {
    /// Before the first entry.
    pub const START: Self = Self { position: Position::NONE, hash: Hash([0; 32]) };
}

/// What the payload of an entry is; the caller's own numbering, 1 to 254.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EntryKind(pub u8);

impl EntryKind {
    /// Reserved for the record that says "everything up to here is synced". It is not an entry: it has no position
    /// of its own, stands outside the hash chain and is never handed out.
    pub const MARK: Self = Self(0xff);
}

/// A batch to append: one entry, atomic.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Rises with each restored backup or forced recovery; never falls.
    pub epoch: u32,
    /// Raft's term; never falls. One node alone leaves it at 0.
    pub term: u64,
    /// Hybrid time: Unix milliseconds << 16 | counter.
    pub stamp: u64,
    /// Anything but 0 and [`EntryKind::MARK`].
    pub kind: EntryKind,
    /// At most [`ENTRY_BYTES_MAX`].
    pub payload: &'a [u8],
}

/// What is known of a stored entry beside its payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EntryHeader {
    pub kind: EntryKind,
    pub epoch: u32,
    pub term: u64,
    pub position: Position,
    /// Hybrid time: Unix milliseconds << 16 | counter.
    pub stamp: u64,
    /// The last position known synced when this entry was written.
    pub mark: Position,
    /// Hash of the entry before this one; zeros for the first.
    pub previous: Hash,
    /// Bytes of payload.
    pub length: u32,
}

/// A stored entry, its sums and its place in the chain already checked.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    pub header: EntryHeader,
    /// SHA-256 over this entry's header and payload, as the next entry must repeat it.
    pub hash: Hash,
    pub payload: &'a [u8],
}

impl Entry<'_> {
    /// This entry as a point of the log.
    #[must_use]
    pub fn point(&self) -> LogPoint {
        LogPoint { position: self.header.position, hash: self.hash }
    }
}

/// An ordered, durable, tamper-evident log with one writer.
///
/// What lies above [`committed`](Log::committed) may be replaced, what lies at or below it never. Nothing may be
/// answered, applied or signed before it is committed. `ledger::contract` tests every implementation.
pub trait Log {
    /// Proposes `entry` and returns its position; it counts once [`committed`](Log::committed) reaches it.
    ///
    /// After [`LedgerError::Full`] nothing has changed and a later append may succeed. After
    /// [`LedgerError::SyncFailed`] or [`LedgerError::Poisoned`] the process has to end: what the disk holds is
    /// unknown until it is read again.
    ///
    /// # Panics
    /// If the epoch or the term falls, or the kind is reserved.
    fn append(&mut self, entry: NewEntry<'_>) -> Result<Position, LedgerError>;

    /// The last position that will never be replaced; only moves forward.
    fn committed(&self) -> Position;

    /// To be called when no batch is waiting, and before stopping: writes down that everything so far is synced, so
    /// that later damage to the last entry is told apart from a write that never ended. Costs one sync the first
    /// time after an append, nothing afterwards.
    fn idle(&mut self) -> Result<(), LedgerError>;
}

/// Reads committed entries; any number at once, beside the writer and without holding it up.
pub trait LogReader: Clone + Send + Sync {
    type Scan: Scan;

    /// The last position that can be read.
    fn committed(&self) -> Position;

    /// Reads the entry at `position`, payload into `payload` (replaced), and checks both sums.
    /// About two reads of the disk.
    fn read(&self, position: Position, payload: &mut Vec<u8>) -> Result<EntryHeader, LedgerError>;

    /// Reads `out.len()` bytes from byte `offset` of the payload at `position`. The header is checked, the payload's
    /// sum is not (that would read all of it): the caller knows the hash of what it looks for.
    fn read_range(&self, position: Position, offset: u32, out: &mut [u8]) -> Result<(), LedgerError>;

    /// Entries from `from` on, in order.
    fn scan(&self, from: Position) -> Self::Scan;
}

/// A sequential walk over committed entries that checks sums and hash chain.
pub trait Scan {
    /// The next entry, or `None` when everything committed has been seen; later calls go on where more has come.
    fn next(&mut self) -> Result<Option<Entry<'_>>, LedgerError>;
}
