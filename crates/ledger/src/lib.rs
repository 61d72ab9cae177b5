//! The log is the election: the contract every log keeps, and the embedded log that keeps it on one disk.
//!
//! - [`Log`] proposes batches and knows what is committed; [`LogReader`] reads committed entries back.
//! - [`Ledger`] is the embedded log: append-only segments in one folder, one write and one sync per batch, a hash
//!   chain from the first entry to the last. `docs/formats.md` has its bytes, decision 0001 its reasons.
//! - [`ReplicatedLedger`] is the same log where several nodes keep it: committed comes later than synced, and the end
//!   may be replaced until then.
//! - [`Storage`] is the disk as an argument: [`FileStorage`] for machines, `faulty::FaultyStorage` for tests.
//! - [`index`] and [`columns`] are caches beside the log, which can be deleted; [`files`] replaces a file whole.
//!
//! ```text
//! append:  header + payload ──one write──▶ segment ──one sync──▶ committed ──▶ readers
//! idle:    mark("everything up to here is synced") ──one write, one sync──▶
//! open:    read ▶ check sums ▶ check chain ▶ hand each entry to the caller ▶ judge the tail
//! ```

mod aside;
pub mod columns;
#[cfg(any(test, feature = "testing"))]
pub mod contract;
mod error;
#[cfg(any(test, feature = "testing"))]
pub mod faulty;
pub mod files;
mod format;
pub mod index;
mod ledger;
mod log;
pub mod mutation;
mod open;
mod pipeline;
mod prepare;
mod reader;
mod replicated;
mod reserve;
mod scan;
mod segment;
mod storage;
mod sync;
mod truncate;
mod turns;

pub use aside::set_aside;
pub use error::LedgerError;
pub use ledger::{Ledger, LedgerOptions, Threads};
pub use log::{
    ENTRY_BYTES_MAX, Entry, EntryHeader, EntryKind, LedgerId, Log, LogPoint, LogReader, NewEntry, Position,
    Scan,
};
pub use open::{Cut, Recovery};
pub use proof::Hash;
pub use reader::{Reader, ReaderScan};
pub use replicated::{HardState, Kept, ReplicatedLedger, ReplicatedLog, SyncedReader};
pub use storage::{FileInfo, FileStorage, FolderLock, LockError, Storage, StorageFile};
pub use turns::prefer_short_turns;
