//! One machine's disks: three folders that fail together.

use crate::random::Random;
use ledger::faulty::{Crash, FaultyStorage};
use ledger::{Storage, StorageFile};
use node::caches::Disks;

#[derive(Clone, Debug)]
pub struct Machine {
    pub ledger: FaultyStorage,
    pub cache: FaultyStorage,
    pub index: FaultyStorage,
}

/// What becomes of the caches between two lives of the process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheFate {
    Kept,
    Deleted,
    /// One file is gone.
    FileDeleted,
    /// One file lost its end.
    FileTorn,
    /// Bits flipped in the snapshot.
    SnapshotDamaged,
}

impl Machine {
    pub fn new(random: &mut Random) -> Self {
        let mut disk = || FaultyStorage::new(random.next());
        Machine { ledger: disk(), cache: disk(), index: disk() }
    }

    pub fn disks(&self) -> Disks<FaultyStorage> {
        Disks { ledger: self.ledger.clone(), cache: self.cache.clone(), index: self.index.clone() }
    }

    /// The same ledger on another machine without caches; what is not synced stays unsynced.
    pub fn ledger_alone(&self) -> Machine {
        Machine { ledger: self.ledger.copy(), cache: FaultyStorage::new(0), index: FaultyStorage::new(0) }
    }

    /// Power off and on.
    pub fn crash(&self, random: &mut Random, how: Crash) {
        self.ledger.crash(how);
        for disk in [&self.cache, &self.index] {
            let how = match how {
                Crash::KeepAll | Crash::LoseAll => how,
                _ => Crash::AnySector(random.next()),
            };
            disk.crash(how);
        }
    }

    /// Whether a disk has stopped, and with it the machine.
    pub fn is_dead(&self) -> bool {
        self.all().any(|disk| disk.list().is_err())
    }

    pub fn set_space(&self, bytes: Option<u64>) {
        self.all().for_each(|disk| disk.set_space(bytes));
    }

    /// Takes back what was to happen at a later operation.
    pub fn disarm(&self) {
        for disk in self.all() {
            disk.crash_at_operation(u64::MAX);
            disk.fail_sync(u64::MAX / 2);
        }
    }

    pub fn change_caches(&self, random: &mut Random, fate: CacheFate) {
        match fate {
            CacheFate::Kept => {}
            CacheFate::Deleted => [&self.cache, &self.index].into_iter().for_each(delete_all),
            CacheFate::FileDeleted => {
                if let Some((disk, name, _)) = self.some_cache_file(random) {
                    disk.remove(&name).expect("the file is there");
                }
            }
            CacheFate::FileTorn => {
                if let Some((disk, name, bytes)) = self.some_cache_file(random).filter(|file| file.2 > 0) {
                    let file = disk.open(&name).expect("the file is there");
                    file.set_bytes(random.below(bytes)).expect("a file can be cut");
                }
            }
            CacheFate::SnapshotDamaged => {
                if let Some(bytes) = self.cache.contents().get("snapshot").filter(|bytes| !bytes.is_empty()) {
                    self.cache.flip("snapshot", random.index(bytes.len()), 1 << random.below(8));
                }
            }
        }
    }

    fn some_cache_file(&self, random: &mut Random) -> Option<(&FaultyStorage, String, u64)> {
        let files = |disk: &FaultyStorage| disk.list().expect("the machine is on");
        let cache = files(&self.cache).into_iter().map(|file| (&self.cache, file.name, file.bytes));
        let index = files(&self.index).into_iter().map(|file| (&self.index, file.name, file.bytes));
        let mut all: Vec<_> = cache.chain(index).collect();
        (!all.is_empty()).then(|| all.swap_remove(random.index(all.len())))
    }

    fn all(&self) -> impl Iterator<Item = &FaultyStorage> {
        [&self.ledger, &self.cache, &self.index].into_iter()
    }
}

fn delete_all(disk: &FaultyStorage) {
    for file in disk.list().expect("the machine is on") {
        disk.remove(&file.name).expect("the file is there");
    }
}
