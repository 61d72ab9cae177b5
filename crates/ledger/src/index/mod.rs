//! An index on disk from 16-byte keys to numbers: voter tag → leaf. A cache: it can be deleted, and says from which
//! entry of the log on it has to be fed again.
//!
//! ```text
//! insert ─▶ buffer (memory, 262,144 rows) ─▶ sorted run (file) ─▶ four runs of like size merged into one ─▶ …
//! ```
//!
//! Runs are written aside, synced and renamed, and never change; sorting, writing and merging happen on a helper
//! thread. A lookup searches each of the O(log n) runs, about two reads of 4 KiB in each. A key may have several
//! values; they come back in the order they went in.

mod buffer;
mod helper;
mod merge;
mod run;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use arc_swap::ArcSwap;

use crate::{LedgerId, LogPoint, Storage, Threads};
use buffer::Buffer;
use helper::{Helper, Signals};
use run::Run;
pub use run::Span;

/// Rows in the buffer at which it becomes a run; 24 bytes each on disk, about 32 in memory.
pub const BUFFER_ROWS: usize = 262_144;
/// Full buffers that may wait for the helper thread before the writer waits for it.
const WAITING_BUFFERS_MAX: usize = 4;

pub type IndexKey = [u8; 16];

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("cannot {step} the index file `{}`", path.display())]
    Io {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// The index has to be made again.
    #[error("the index file `{}` is damaged; delete it, and it is made again at the next start", path.display())]
    Damaged { path: PathBuf },
}

/// The writer of an index.
pub struct Index<S: Storage> {
    shared: Arc<Shared<S>>,
    ledger: LedgerId,
    /// Everything up to here is inserted.
    through: LogPoint,
    /// Everything up to here is in runs or in buffers on their way there.
    frozen_through: LogPoint,
    active: Arc<Buffer>,
    helper: Option<Helper>,
}

/// What writer, helper and readers share.
struct Shared<S: Storage> {
    storage: S,
    view: ArcSwap<View<S::File>>,
    /// Held while `view` is replaced by a changed copy of itself.
    change: Mutex<()>,
    signals: Signals,
}

/// Everything a lookup needs, oldest first.
struct View<F> {
    runs: Vec<Arc<Run<F>>>,
    frozen: Vec<Frozen>,
    active: Arc<Buffer>,
}

/// A full buffer on its way to a run.
#[derive(Clone)]
struct Frozen {
    buffer: Arc<Buffer>,
    span: Span,
}

impl<F> Clone for View<F> {
    fn clone(&self) -> Self {
        Self { runs: self.runs.clone(), frozen: self.frozen.clone(), active: self.active.clone() }
    }
}

impl<S: Storage> Shared<S> {
    fn change(&self, change: impl FnOnce(&mut View<S::File>)) {
        let _guard = self.lock_change();
        let mut view = View::clone(&self.view.load());
        change(&mut view);
        self.view.store(Arc::new(view));
    }

    fn lock_change(&self) -> MutexGuard<'_, ()> {
        self.change.lock().expect("changing the view does not panic")
    }
}

impl<S: Storage> Index<S> {
    /// Opens the index in a folder of its own. Files that are damaged, superseded or of another ledger are deleted;
    /// [`through`](Self::through) says from where the log has to be read again.
    pub fn open(storage: S, ledger: LedgerId, threads: Threads) -> Result<Self, IndexError> {
        let runs: Vec<_> = run::open_runs(&storage, ledger)?.into_iter().map(Arc::new).collect();
        let through = runs.last().map_or(LogPoint::START, |run| run.span.through);
        let active = Arc::new(Buffer::with_rows(Buffer::ROWS_MIN));
        let view = View { runs, frozen: Vec::new(), active: active.clone() };
        let shared = Arc::new(Shared {
            storage,
            view: ArcSwap::from_pointee(view),
            change: Mutex::new(()),
            signals: Signals::default(),
        });
        let helper = match threads {
            Threads::Helpers => Some(Helper::start(shared.clone(), ledger)?),
            Threads::CallerOnly => None,
        };
        Ok(Self { shared, ledger, through, frozen_through: through, active, helper })
    }

    /// All keys of entries up to here are in. After opening, feed the entries behind it; where the log has another
    /// hash at this position, [`clear`](Self::clear) first.
    #[must_use]
    pub fn through(&self) -> LogPoint {
        self.through
    }

    /// Adds a value to a key. Seen by lookups at once. Tens of nanoseconds.
    pub fn insert(&mut self, key: &IndexKey, value: u64) {
        if !self.active.insert(key, value) {
            self.active = Arc::new(self.active.grown());
            let grown = self.active.clone();
            self.shared.change(|view| view.active = grown);
            assert!(self.active.insert(key, value), "a grown buffer has room");
        }
    }

    /// Says that all keys of the entries up to `point` have been inserted; to be called between entries. Hands a full
    /// buffer to the helper thread. After an error everything inserted can still be looked up, and writing is tried
    /// again later.
    pub fn advance(&mut self, point: LogPoint) -> Result<(), IndexError> {
        assert!(point.position >= self.through.position, "the index follows the log forward");
        self.through = point;
        if self.active.rows() < BUFFER_ROWS {
            return Ok(());
        }
        self.freeze();
        self.write_out(WAITING_BUFFERS_MAX)
    }

    /// Puts everything inserted up to the last [`advance`](Self::advance) into runs on disk, and waits for it.
    pub fn flush(&mut self) -> Result<(), IndexError> {
        if self.through.position > self.frozen_through.position {
            self.freeze();
        }
        self.write_out(0)
    }

    /// Forgets everything, on disk too.
    pub fn clear(&mut self) -> Result<(), IndexError> {
        let with_helper = self.helper.take().is_some();
        self.active = Arc::new(Buffer::with_rows(Buffer::ROWS_MIN));
        let empty = View { runs: Vec::new(), frozen: Vec::new(), active: self.active.clone() };
        let old = self.shared.view.swap(Arc::new(empty));
        (self.through, self.frozen_through) = (LogPoint::START, LogPoint::START);
        // Youngest first, so that a crash in between leaves runs without a gap.
        old.runs.iter().rev().try_for_each(|run| run::remove(&self.shared.storage, run))?;
        if with_helper {
            self.helper = Some(Helper::start(self.shared.clone(), self.ledger)?);
        }
        Ok(())
    }

    #[must_use]
    pub fn reader(&self) -> IndexReader<S> {
        IndexReader { shared: self.shared.clone() }
    }

    fn freeze(&mut self) {
        let span = Span { after: self.frozen_through.position, through: self.through };
        let fresh = Arc::new(Buffer::with_rows(self.active.rows().clamp(Buffer::ROWS_MIN, BUFFER_ROWS)));
        let full = std::mem::replace(&mut self.active, fresh);
        self.frozen_through = self.through;
        let active = self.active.clone();
        self.shared.change(|view| {
            view.frozen.push(Frozen { buffer: full, span });
            view.active = active;
        });
    }

    /// Has frozen buffers written, and waits until no more than `waiting_max` of them are left.
    fn write_out(&mut self, waiting_max: usize) -> Result<(), IndexError> {
        if self.helper.is_none() {
            return merge::write_frozen_and_merge(&self.shared, self.ledger);
        }
        self.shared.signals.order_work();
        self.shared.signals.wait_until(|| self.shared.view.load().frozen.len() <= waiting_max)
    }
}

impl<S: Storage> fmt::Debug for Index<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Index").field("through", &self.through).finish_non_exhaustive()
    }
}

/// Looks keys up, beside the writer and without holding it up.
pub struct IndexReader<S: Storage> {
    shared: Arc<Shared<S>>,
}

impl<S: Storage> IndexReader<S> {
    /// Appends all values of `key` to `values`, in the order they went in.
    pub fn lookup(&self, key: &IndexKey, values: &mut Vec<u64>) -> Result<(), IndexError> {
        let view = self.shared.view.load_full();
        for run in &view.runs {
            run.lookup(key, values)?;
        }
        for frozen in &view.frozen {
            frozen.buffer.lookup(key, values);
        }
        view.active.lookup(key, values);
        Ok(())
    }

    /// Files a lookup has to search; grows with the logarithm of the rows.
    #[must_use]
    pub fn runs(&self) -> usize {
        self.shared.view.load().runs.len()
    }
}

impl<S: Storage> Clone for IndexReader<S> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<S: Storage> fmt::Debug for IndexReader<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexReader").field("runs", &self.runs()).finish_non_exhaustive()
    }
}
