//! The next segment, made ready before it is needed: zeros on disk, so that an append changes bytes and nothing else.

use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::error::is_full;
use crate::files::remove_if_there;
use crate::{Storage, StorageFile};

/// Name of the next segment until its first entry is synced. Nothing in it was ever confirmed, so it may be deleted.
pub const PREPARED_NAME: &str = "next.new";

/// A file of zeros called [`PREPARED_NAME`].
pub struct Prepared<F> {
    pub file: F,
    pub bytes: u64,
}

/// Makes the prepared file, instead of any older one. What a failed attempt took of the disk is given back.
pub fn prepare<S: Storage>(storage: &S, bytes: u64) -> io::Result<Prepared<S::File>> {
    discard(storage)?;
    let file = storage.create(PREPARED_NAME)?;
    match file.fill_with_zeros(bytes) {
        Ok(()) => Ok(Prepared { file, bytes }),
        Err(error) => {
            drop(file);
            discard(storage)?;
            Err(error)
        }
    }
}

/// Removes the prepared file, if there is one.
pub fn discard<S: Storage>(storage: &S) -> io::Result<()> {
    remove_if_there(storage, PREPARED_NAME)
}

/// Prepares on a thread of its own, or, without one, when asked.
pub struct Preparer<S: Storage> {
    storage: S,
    helper: Option<Helper<S>>,
}

struct Helper<S: Storage> {
    /// `None` once stopping.
    wanted: Option<SyncSender<u64>>,
    ready: Receiver<io::Result<Prepared<S::File>>>,
    waiting: bool,
    thread: Option<JoinHandle<()>>,
}

impl<S: Storage> Preparer<S> {
    /// Does all its work inside [`take`](Self::take), in the caller's order of events.
    pub fn inline(storage: S) -> Self {
        Self { storage, helper: None }
    }

    pub fn with_thread(storage: S) -> io::Result<Self> {
        let (wanted, orders) = sync_channel::<u64>(1);
        let (answers, ready) = sync_channel(1);
        let disk = storage.clone();
        let thread = std::thread::Builder::new().name("ledger-prepare".into()).spawn(move || {
            for bytes in orders {
                if answers.send(prepare(&disk, bytes)).is_err() {
                    return;
                }
            }
        })?;
        let helper = Helper { wanted: Some(wanted), ready, waiting: false, thread: Some(thread) };
        Ok(Self { storage, helper: Some(helper) })
    }

    /// Starts on a segment of `bytes` unless one is under way or ready.
    pub fn start(&mut self, bytes: u64) {
        if let Some(helper) = &mut self.helper
            && !helper.waiting
            && let Some(wanted) = &helper.wanted
        {
            helper.waiting = wanted.send(bytes).is_ok();
        }
    }

    /// The prepared segment, of at least `needed` bytes; where none is ready, one of `planned` bytes is made now, or,
    /// on a disk with less room than that, a smaller one.
    pub fn take(&mut self, needed: u64, planned: u64) -> io::Result<Prepared<S::File>> {
        if let Some(helper) = &mut self.helper
            && std::mem::take(&mut helper.waiting)
            && let Ok(Ok(prepared)) = helper.ready.recv()
            && prepared.bytes >= needed
        {
            return Ok(prepared);
        }
        let mut bytes = planned.max(needed.next_power_of_two());
        loop {
            match prepare(&self.storage, bytes) {
                Err(error) if is_full(&error) && bytes / 2 >= needed => bytes /= 2,
                result => return result,
            }
        }
    }
}

impl<S: Storage> Drop for Preparer<S> {
    fn drop(&mut self) {
        let Some(helper) = &mut self.helper else { return };
        helper.wanted = None;
        if let Some(thread) = helper.thread.take() {
            thread.join().expect("preparing a segment does not panic");
        }
        if helper.waiting {
            // Up to 64 MiB of zeros; what cannot be removed now goes at the next opening.
            let _ = discard(&self.storage);
        }
    }
}
