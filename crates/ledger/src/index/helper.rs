//! The thread that writes runs, and how the writer waits for it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;

use super::{IndexError, Shared, merge};
use crate::{LedgerId, Storage};

/// What writer and helper tell each other.
#[derive(Default)]
pub struct Signals {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    work: bool,
    stopping: bool,
    /// What went wrong since the writer last looked.
    error: Option<IndexError>,
}

impl Signals {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under this lock")
    }

    /// Asks the helper to write what is frozen.
    pub fn order_work(&self) {
        self.state().work = true;
        self.changed.notify_all();
    }

    /// Tells a waiting writer to look again.
    pub fn announce_progress(&self) {
        drop(self.state());
        self.changed.notify_all();
    }

    pub fn is_stopping(&self) -> bool {
        self.state().stopping
    }

    /// Waits until `done`, or an error, which is returned once.
    pub fn wait_until(&self, done: impl Fn() -> bool) -> Result<(), IndexError> {
        let mut state = self.state();
        loop {
            if let Some(error) = state.error.take() {
                return Err(error);
            }
            if done() {
                return Ok(());
            }
            state = self.changed.wait(state).expect("nothing panics under this lock");
        }
    }

    /// Waits for work; false when it is time to stop.
    fn wait_for_work(&self) -> bool {
        let mut state = self.state();
        loop {
            if state.stopping {
                return false;
            }
            if std::mem::take(&mut state.work) {
                return true;
            }
            state = self.changed.wait(state).expect("nothing panics under this lock");
        }
    }

    fn report(&self, error: IndexError) {
        self.state().error = Some(error);
        self.changed.notify_all();
    }
}

/// The running thread; stops when dropped, in the middle of a merge too.
pub struct Helper {
    stop: Box<dyn Fn(bool) + Send + Sync>,
    thread: Option<JoinHandle<()>>,
}

impl Helper {
    pub fn start<S: Storage>(shared: Arc<Shared<S>>, ledger: LedgerId) -> Result<Self, IndexError> {
        let path = shared.storage.folder();
        let signals = shared.clone();
        let stop = Box::new(move |stopping| {
            signals.signals.state().stopping = stopping;
            signals.signals.changed.notify_all();
        });
        stop(false);
        let thread = std::thread::Builder::new()
            .name("ledger-index".into())
            .spawn(move || {
                while shared.signals.wait_for_work() {
                    if let Err(error) = merge::write_frozen_and_merge(&shared, ledger) {
                        shared.signals.report(error);
                    }
                }
            })
            .map_err(|source| IndexError::Io { step: "start a thread for", path, source })?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        (self.stop)(true);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the index helper does not panic");
        }
    }
}
