//! Room kept back on the disk: a file of zeros that is given back when entries that must not wait find none.

use crate::error::is_full;
use crate::files::remove_if_there;
use crate::{LedgerError, ReplicatedLedger, Storage, StorageFile};

/// Name of the file. Nothing is ever read from it.
const RESERVE_NAME: &str = "reserve";

impl<S: Storage> ReplicatedLedger<S> {
    /// Bytes that this process may still use on the disk.
    pub fn free_bytes(&self) -> Result<u64, LedgerError> {
        let storage = &self.ledger.storage;
        let failed = |source| LedgerError::Io { step: "ask for room in", path: storage.folder(), source };
        storage.free_bytes().map_err(failed)
    }

    /// Sees to it that a reserve of `bytes` is there; false where the disk has no room for it.
    pub fn keep_reserve(&mut self, bytes: u64) -> Result<bool, LedgerError> {
        let storage = self.ledger.storage.clone();
        let kept = || {
            let there =
                storage.list()?.into_iter().any(|file| file.name == RESERVE_NAME && file.bytes == bytes);
            if there {
                return Ok(());
            }
            remove_if_there(&storage, RESERVE_NAME)?;
            storage.create(RESERVE_NAME)?.fill_with_zeros(bytes)
        };
        match kept() {
            Ok(()) => Ok(true),
            Err(source) if is_full(&source) => {
                self.give_back_reserve()?;
                Ok(false)
            }
            Err(source) => Err(LedgerError::SyncFailed { path: storage.path(RESERVE_NAME), source }),
        }
    }

    /// Frees what was kept.
    pub fn give_back_reserve(&mut self) -> Result<(), LedgerError> {
        let storage = &self.ledger.storage;
        let failed = |source| LedgerError::Io { step: "remove", path: storage.path(RESERVE_NAME), source };
        remove_if_there(storage, RESERVE_NAME).map_err(failed)
    }
}
