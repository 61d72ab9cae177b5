//! Syncing on a thread of its own while the writer takes the entry's hash: for large entries, where both take about as
//! long (decision 0001).

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use crate::StorageFile;
use crate::segment::Segment;

/// Payloads from this size on are hashed while they are synced; below, waking a thread costs more than it saves.
pub const OVERLAP_BYTES_MIN: usize = 64 << 10;

pub struct Syncer<F> {
    /// `None` once stopping.
    wanted: Option<SyncSender<Arc<Segment<F>>>>,
    done: Receiver<io::Result<()>>,
    thread: Option<JoinHandle<()>>,
}

impl<F: StorageFile> Syncer<F> {
    pub fn start() -> io::Result<Self> {
        let (wanted, orders) = sync_channel::<Arc<Segment<F>>>(1);
        let (answers, done) = sync_channel(1);
        let thread = std::thread::Builder::new().name("ledger-sync".into()).spawn(move || {
            crate::prefer_short_turns();
            for segment in orders {
                if answers.send(segment.file.sync_data()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { wanted: Some(wanted), done, thread: Some(thread) })
    }

    /// Syncs `segment` while `meanwhile` runs; returns when both have ended.
    pub fn sync_while<T>(&self, segment: &Arc<Segment<F>>, meanwhile: impl FnOnce() -> T) -> io::Result<T> {
        let wanted = self.wanted.as_ref().expect("orders stop only when this is dropped");
        wanted.send(segment.clone()).expect("the thread lives as long as its orders");
        let value = meanwhile();
        self.done.recv().expect("the thread answers each order")?;
        Ok(value)
    }
}

impl<F> Drop for Syncer<F> {
    fn drop(&mut self) {
        self.wanted = None;
        if let Some(thread) = self.thread.take() {
            thread.join().expect("syncing does not panic");
        }
    }
}
