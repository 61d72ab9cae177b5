//! A disk in memory that loses, tears, flips, fills and fails, the same way for the same seed. For tests and the
//! simulator.
//!
//! What is written is seen at once, as through a page cache. What survives [`FaultyStorage::crash`] is decided sector by
//! sector for bytes not synced, and for names not synced by keeping the first few changes. A failed sync forgets that
//! the bytes were ever to be written, as Linux does: they are still seen, and gone after a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

use crate::{FileInfo, LockError, Storage, StorageFile};

/// Unit in which a disk keeps or loses bytes.
pub const SECTOR_BYTES: u64 = 512;

/// What a crash does to everything not synced.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Crash {
    /// The process died, the machine did not: all is kept.
    KeepAll,
    LoseAll,
    /// Each sector is kept, lost or torn, by the disk's seed and this one.
    AnySector(u64),
    /// All is kept, but of the last write only the first bytes.
    KeepOfLastWrite(usize),
    /// All is kept, but of the last write the first bytes are lost.
    LoseOfLastWrite(usize),
}

/// A folder in memory. Clones share it.
#[derive(Clone)]
pub struct FaultyStorage {
    disk: Arc<Mutex<Disk>>,
}

#[derive(Clone)]
struct Disk {
    random: SplitMix64,
    files: BTreeMap<u64, Bytes>,
    next_file: u64,
    names: BTreeMap<String, u64>,
    synced_names: BTreeMap<String, u64>,
    name_changes: Vec<NameChange>,
    last_write: Option<LastWrite>,
    operations: u64,
    syncs: u64,
    /// Counts crashes; what was opened before one is dead.
    life: u64,
    crash_at: Option<u64>,
    crashed: bool,
    failing_sync: Option<u64>,
    space: Option<u64>,
    locked: bool,
}

#[derive(Clone, Default)]
struct Bytes {
    seen: Vec<u8>,
    synced: Vec<u8>,
    unsynced_sectors: BTreeSet<u64>,
}

#[derive(Clone)]
enum NameChange {
    Put { name: String, file: u64 },
    Rename { from: String, to: String },
    Take { name: String },
}

#[derive(Clone)]
struct LastWrite {
    file: u64,
    offset: u64,
    before: Vec<u8>,
}

impl FaultyStorage {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let disk = Disk {
            random: SplitMix64(seed),
            files: BTreeMap::new(),
            next_file: 0,
            names: BTreeMap::new(),
            synced_names: BTreeMap::new(),
            name_changes: Vec::new(),
            last_write: None,
            operations: 0,
            syncs: 0,
            life: 0,
            crash_at: None,
            crashed: false,
            failing_sync: None,
            space: None,
            locked: false,
        };
        Self { disk: Arc::new(Mutex::new(disk)) }
    }

    /// Changing operations so far: creates, writes, syncs, renames, removes.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.disk().operations
    }

    /// Lets the operation with this number (from 1) be the last: it takes effect in memory, fails, and so does every
    /// later one until [`crash`](Self::crash).
    pub fn crash_at_operation(&self, operation: u64) {
        self.disk().crash_at = Some(operation);
    }

    /// Switches the machine off and on. Everything opened before is dead.
    pub fn crash(&self, how: Crash) {
        self.disk().crash(how);
    }

    /// Room for so many more bytes to be written, in whatever file; `None` for no limit.
    pub fn set_space(&self, bytes: Option<u64>) {
        self.disk().space = bytes;
    }

    /// Lets the `nth` sync from now on (1 is the next) fail.
    pub fn fail_sync(&self, nth: u64) {
        let mut disk = self.disk();
        disk.failing_sync = Some(disk.syncs + nth);
    }

    /// Flips the bits of `mask` in one byte, on disk and as seen.
    ///
    /// # Panics
    /// Where there is no such byte.
    pub fn flip(&self, name: &str, offset: usize, mask: u8) {
        let mut disk = self.disk();
        let file = disk.names[name];
        let bytes = disk.files.get_mut(&file).expect("a named file exists");
        bytes.seen[offset] ^= mask;
        if let Some(byte) = bytes.synced.get_mut(offset) {
            *byte ^= mask;
        }
    }

    /// All files as seen, by name.
    #[must_use]
    pub fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        let disk = self.disk();
        disk.names.iter().map(|(name, file)| (name.clone(), disk.files[file].seen.clone())).collect()
    }

    /// A disk of its own with these files, all synced.
    #[must_use]
    pub fn with_contents(seed: u64, contents: &BTreeMap<String, Vec<u8>>) -> Self {
        let storage = Self::new(seed);
        let mut disk = storage.disk();
        for (name, seen) in contents {
            let file = disk.new_file();
            let bytes = Bytes { seen: seen.clone(), synced: seen.clone(), unsynced_sectors: BTreeSet::new() };
            disk.files.insert(file, bytes);
            disk.names.insert(name.clone(), file);
            disk.synced_names.insert(name.clone(), file);
        }
        drop(disk);
        storage
    }

    /// A disk of its own in the same state, what is not synced included. Files open on this one stay with this one.
    #[must_use]
    pub fn copy(&self) -> Self {
        let copy = self.disk().clone();
        Self { disk: Arc::new(Mutex::new(copy)) }
    }

    /// Length of the last write, where nothing was synced since.
    #[must_use]
    pub fn last_write_bytes(&self) -> Option<usize> {
        self.disk().last_write.as_ref().map(|write| write.before.len())
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().expect("no operation on this disk panics")
    }

    fn file(&self, disk: &Disk, file: u64) -> FaultyFile {
        FaultyFile { disk: self.disk.clone(), file, life: disk.life }
    }
}

impl fmt::Debug for FaultyStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disk = self.disk();
        f.debug_struct("FaultyStorage").field("files", &disk.names.keys()).finish_non_exhaustive()
    }
}

impl Disk {
    /// Counts a changing operation; true where the machine dies with it.
    fn step(&mut self) -> io::Result<bool> {
        self.check_alive()?;
        self.operations += 1;
        self.crashed = self.crash_at == Some(self.operations);
        Ok(self.crashed)
    }

    fn check_alive(&self) -> io::Result<()> {
        if self.crashed { Err(dead()) } else { Ok(()) }
    }

    fn new_file(&mut self) -> u64 {
        self.next_file += 1;
        self.files.insert(self.next_file, Bytes::default());
        self.next_file
    }

    fn change_name(&mut self, change: NameChange) {
        apply_name_change(&mut self.names, &change);
        self.name_changes.push(change);
    }

    fn write(&mut self, file: u64, bytes: &[u8], offset: u64) -> io::Result<()> {
        let room = self.space.unwrap_or(u64::MAX).min(bytes.len() as u64) as usize;
        let target = self.files.get_mut(&file).expect("an open file exists");
        let (start, end) = (offset as usize, offset as usize + room);
        if target.seen.len() < end {
            target.seen.resize(end, 0);
        }
        let before = target.seen[start..end].to_vec();
        target.seen[start..end].copy_from_slice(&bytes[..room]);
        target.touch(offset, end as u64);
        self.last_write = Some(LastWrite { file, offset, before });
        if let Some(space) = &mut self.space {
            *space -= room as u64;
        }
        if room < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// What a file took is free again.
    fn give_back(&mut self, name: &str) {
        let bytes = self.files[&self.names[name]].seen.len() as u64;
        if let Some(space) = &mut self.space {
            *space += bytes;
        }
    }

    /// Counts a sync; true where it is to fail.
    fn count_sync(&mut self) -> bool {
        self.syncs += 1;
        self.failing_sync == Some(self.syncs)
    }

    fn crash(&mut self, how: Crash) {
        self.undo_part_of_last_write(how);
        let Self { random, files, name_changes, synced_names, .. } = self;
        if let Crash::AnySector(seed) = how {
            random.0 ^= SplitMix64(seed).next();
        }
        for bytes in files.values_mut() {
            bytes.crash(how, random);
        }
        let kept = match how {
            Crash::LoseAll => 0,
            Crash::AnySector(_) => random.below(name_changes.len() as u64 + 1) as usize,
            _ => name_changes.len(),
        };
        for change in &name_changes[..kept] {
            apply_name_change(synced_names, change);
        }
        self.names.clone_from(&self.synced_names);
        let named: BTreeSet<u64> = self.names.values().copied().collect();
        self.files.retain(|file, _| named.contains(file));
        self.name_changes.clear();
        self.last_write = None;
        self.life += 1;
        (self.crashed, self.crash_at, self.failing_sync, self.locked) = (false, None, None, false);
    }

    fn undo_part_of_last_write(&mut self, how: Crash) {
        let Some(LastWrite { file, offset, before }) = self.last_write.take() else { return };
        let lost = match how {
            Crash::KeepOfLastWrite(kept) => kept.min(before.len())..before.len(),
            Crash::LoseOfLastWrite(lost) => 0..lost.min(before.len()),
            _ => return,
        };
        if let Some(bytes) = self.files.get_mut(&file) {
            let start = offset as usize;
            bytes.seen[start + lost.start..start + lost.end].copy_from_slice(&before[lost]);
        }
    }
}

impl Bytes {
    fn touch(&mut self, from: u64, to: u64) {
        if from < to {
            self.unsynced_sectors.extend(from / SECTOR_BYTES..=(to - 1) / SECTOR_BYTES);
        }
    }

    fn sync(&mut self) {
        self.synced.resize(self.seen.len(), 0);
        for sector in std::mem::take(&mut self.unsynced_sectors) {
            let start = (sector * SECTOR_BYTES) as usize;
            let end = (start + SECTOR_BYTES as usize).min(self.seen.len());
            if start < end {
                self.synced[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
    }

    fn crash(&mut self, how: Crash, random: &mut SplitMix64) {
        let keeps_length = match how {
            Crash::LoseAll => false,
            Crash::AnySector(_) => random.below(2) == 0,
            _ => true,
        };
        if keeps_length {
            self.synced.resize(self.seen.len(), 0);
        }
        for sector in std::mem::take(&mut self.unsynced_sectors) {
            let kept = match how {
                Crash::LoseAll => 0,
                Crash::AnySector(_) => match random.below(3) {
                    0 => 0,
                    1 => SECTOR_BYTES,
                    _ => random.below(SECTOR_BYTES),
                },
                _ => SECTOR_BYTES,
            };
            let start = (sector * SECTOR_BYTES) as usize;
            let end = (start + kept as usize).min(self.seen.len()).min(self.synced.len());
            if start < end {
                self.synced[start..end].copy_from_slice(&self.seen[start..end]);
            }
        }
        self.seen.clone_from(&self.synced);
    }
}

fn apply_name_change(names: &mut BTreeMap<String, u64>, change: &NameChange) {
    match change {
        NameChange::Put { name, file } => _ = names.insert(name.clone(), *file),
        NameChange::Take { name } => _ = names.remove(name),
        NameChange::Rename { from, to } => {
            if let Some(file) = names.remove(from) {
                names.insert(to.clone(), file);
            }
        }
    }
}

fn dead() -> io::Error {
    io::Error::other("the machine is off")
}

fn sync_failed() -> io::Error {
    // EIO, as a dying disk gives it.
    io::Error::from_raw_os_error(5)
}

impl Storage for FaultyStorage {
    type File = FaultyFile;
    type Lock = FaultyLock;

    fn folder(&self) -> PathBuf {
        "/faulty".into()
    }

    fn list(&self) -> io::Result<Vec<FileInfo>> {
        let disk = self.disk();
        disk.check_alive()?;
        let info = |(name, file): (&String, &u64)| FileInfo {
            name: name.clone(),
            bytes: disk.files[file].seen.len() as u64,
        };
        Ok(disk.names.iter().map(info).collect())
    }

    fn create(&self, name: &str) -> io::Result<FaultyFile> {
        let mut disk = self.disk();
        disk.check_alive()?;
        if disk.names.contains_key(name) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let dies = disk.step()?;
        let file = disk.new_file();
        disk.change_name(NameChange::Put { name: name.to_owned(), file });
        if dies { Err(dead()) } else { Ok(self.file(&disk, file)) }
    }

    fn open(&self, name: &str) -> io::Result<FaultyFile> {
        let disk = self.disk();
        disk.check_alive()?;
        let file = disk.names.get(name).ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(&disk, *file))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check_alive()?;
        if !disk.names.contains_key(from) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let dies = disk.step()?;
        disk.change_name(NameChange::Rename { from: from.to_owned(), to: to.to_owned() });
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut disk = self.disk();
        disk.check_alive()?;
        if !disk.names.contains_key(name) {
            return Err(io::ErrorKind::NotFound.into());
        }
        let dies = disk.step()?;
        disk.give_back(name);
        disk.change_name(NameChange::Take { name: name.to_owned() });
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn sync_folder(&self) -> io::Result<()> {
        let mut disk = self.disk();
        if disk.step()? {
            return Err(dead());
        }
        if disk.count_sync() {
            return Err(sync_failed());
        }
        let changes = std::mem::take(&mut disk.name_changes);
        changes.iter().for_each(|change| apply_name_change(&mut disk.synced_names, change));
        Ok(())
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = self.disk();
        disk.check_alive()?;
        Ok(disk.space.unwrap_or(u64::MAX))
    }

    fn lock(&self) -> Result<FaultyLock, LockError> {
        let mut disk = self.disk();
        if disk.locked {
            return Err(LockError::Held { folder: self.folder(), holder: None });
        }
        disk.locked = true;
        Ok(FaultyLock { disk: self.disk.clone(), life: disk.life })
    }
}

/// An open file of a [`FaultyStorage`].
pub struct FaultyFile {
    disk: Arc<Mutex<Disk>>,
    file: u64,
    life: u64,
}

impl FaultyFile {
    fn disk(&self) -> io::Result<MutexGuard<'_, Disk>> {
        let disk = self.disk.lock().expect("no operation on this disk panics");
        if disk.life != self.life {
            return Err(dead());
        }
        disk.check_alive()?;
        Ok(disk)
    }
}

impl fmt::Debug for FaultyFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FaultyFile").field("file", &self.file).finish_non_exhaustive()
    }
}

impl StorageFile for FaultyFile {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.disk()?.files[&self.file].seen.len() as u64)
    }

    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        let mut disk = self.disk()?;
        let dies = disk.step()?;
        disk.write(self.file, &parts.concat(), offset)?;
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        let disk = self.disk()?;
        let seen = &disk.files[&self.file].seen;
        let bytes = seen.get(offset as usize..).and_then(|rest| rest.get(..out.len()));
        out.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.disk()?;
        let dies = disk.step()?;
        let file = disk.files.get_mut(&self.file).expect("an open file exists");
        let before = file.seen.len() as u64;
        file.seen.resize(bytes as usize, 0);
        file.touch(before.min(bytes), before.max(bytes));
        if dies { Err(dead()) } else { Ok(()) }
    }

    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()> {
        self.write_at(&[&vec![0; bytes as usize]], 0)?;
        self.sync_data()
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut disk = self.disk()?;
        if disk.step()? {
            return Err(dead());
        }
        let fails = disk.count_sync();
        let file = disk.files.get_mut(&self.file).expect("an open file exists");
        if fails {
            // The bytes on disk stay as they were, and nothing will write these any more.
            file.unsynced_sectors.clear();
            disk.last_write = None;
            return Err(sync_failed());
        }
        file.sync();
        disk.last_write = None;
        Ok(())
    }
}

/// Holds a [`FaultyStorage`] until dropped, or until the machine dies.
pub struct FaultyLock {
    disk: Arc<Mutex<Disk>>,
    life: u64,
}

impl fmt::Debug for FaultyLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FaultyLock")
    }
}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        if let Ok(mut disk) = self.disk.lock()
            && disk.life == self.life
        {
            disk.locked = false;
        }
    }
}

/// Steele, Lea and Flood: Fast splittable pseudorandom number generators, OOPSLA 2014. Good enough to choose sectors.
#[derive(Clone)]
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}
