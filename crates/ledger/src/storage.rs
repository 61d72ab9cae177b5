//! The disk as an argument: one flat folder of files.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Zeros are written in pieces of this size, and synced every [`ZERO_SYNC_BYTES`], so that a batch waiting for its own
/// sync meanwhile is not behind 64 MiB of them.
const ZERO_PIECE_BYTES: usize = 256 << 10;
const ZERO_SYNC_BYTES: u64 = 4 << 20;

/// A file of a folder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileInfo {
    pub name: String,
    pub bytes: u64,
}

/// One folder. `FileStorage` is the real one; the simulator's loses, tears, fails and fills.
///
/// What is written, created, renamed or removed counts as on disk only after `sync_data` (bytes) and `sync_folder`
/// (names). Writing assumes what ext4, XFS, APFS and every common database assume: a write that is cut short by a
/// power failure damages no byte outside its own range.
pub trait Storage: Clone + Send + Sync + 'static {
    type File: StorageFile;
    /// Held while the folder is in use; dropping it frees the folder.
    type Lock: Send + Sync + std::fmt::Debug + 'static;

    /// Where this folder is, for messages.
    fn folder(&self) -> PathBuf;
    fn list(&self) -> io::Result<Vec<FileInfo>>;
    /// A new, empty file; fails where one of that name exists.
    fn create(&self, name: &str) -> io::Result<Self::File>;
    fn open(&self, name: &str) -> io::Result<Self::File>;
    /// Replaces `to` where it exists, in one step.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Makes every create, rename and remove so far survive a power failure.
    fn sync_folder(&self) -> io::Result<()>;
    /// Bytes that this process may still use on the disk of this folder.
    fn free_bytes(&self) -> io::Result<u64>;
    /// Takes the folder for this process.
    fn lock(&self) -> Result<Self::Lock, LockError>;

    /// Path of `name`, for messages.
    fn path(&self, name: &str) -> PathBuf {
        self.folder().join(name)
    }
}

/// An open file, shared by one writer and many readers.
pub trait StorageFile: Send + Sync + 'static {
    fn bytes(&self) -> io::Result<u64>;
    /// Writes `parts` one after the other from `offset` on; after an error any part of them may have been written.
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()>;
    /// Fills `out` from `offset` on; an end of file before that is an error.
    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()>;
    fn set_bytes(&self, bytes: u64) -> io::Result<()>;
    /// Makes the file `bytes` long, all of it zeros that are really on disk (not a hole), and syncs it.
    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()>;
    fn sync_data(&self) -> io::Result<()>;
}

/// Why a folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error(
        "`{}` is in use by another process{}; stop that one first, or choose another folder",
        folder.display(),
        holder.map(|pid| format!(" (process {pid})")).unwrap_or_default()
    )]
    Held { folder: PathBuf, holder: Option<u32> },
    #[error("cannot lock `{}`", path.display())]
    Io {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

/// A real folder.
#[derive(Clone, Debug)]
pub struct FileStorage {
    folder: Arc<PathBuf>,
    lock_file: Arc<PathBuf>,
}

impl FileStorage {
    /// Uses `folder`, made where it is missing (mode 0700: it holds ballots); its lock is the file `lock` in it.
    pub fn new(folder: impl Into<PathBuf>) -> io::Result<Self> {
        let folder = folder.into();
        create_private_folder(&folder)?;
        let lock_file = folder.join("lock");
        Ok(Self { folder: Arc::new(folder), lock_file: Arc::new(lock_file) })
    }

    /// Takes `file` as the lock instead, so that one lock covers a data folder with all its subfolders.
    #[must_use]
    pub fn locked_by(self, file: impl Into<PathBuf>) -> Self {
        Self { lock_file: Arc::new(file.into()), ..self }
    }
}

fn create_private_folder(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    if let Some(parent) = folder.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

impl Storage for FileStorage {
    type File = File;
    type Lock = FolderLock;

    fn folder(&self) -> PathBuf {
        (*self.folder).clone()
    }

    fn list(&self) -> io::Result<Vec<FileInfo>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&*self.folder)? {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if let (true, Ok(name)) = (metadata.is_file(), entry.file_name().into_string()) {
                files.push(FileInfo { name, bytes: metadata.len() });
            }
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(files)
    }

    fn create(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(self.path(name))
    }

    fn open(&self, name: &str) -> io::Result<File> {
        OpenOptions::new().read(true).write(true).open(self.path(name))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path(name))
    }

    fn sync_folder(&self) -> io::Result<()> {
        File::open(&*self.folder)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(&*self.folder)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }

    fn lock(&self) -> Result<FolderLock, LockError> {
        FolderLock::take(&self.lock_file)
    }
}

impl StorageFile for File {
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    #[cfg(target_os = "linux")]
    fn write_at(&self, parts: &[&[u8]], mut offset: u64) -> io::Result<()> {
        let mut slices: Vec<io::IoSlice<'_>> = parts.iter().map(|part| io::IoSlice::new(part)).collect();
        let mut left = &mut slices[..];
        io::IoSlice::advance_slices(&mut left, 0);
        while !left.is_empty() {
            match rustix::io::pwritev(self, left, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    io::IoSlice::advance_slices(&mut left, written);
                    offset += written as u64;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    #[cfg(not(target_os = "linux"))]
    fn write_at(&self, parts: &[&[u8]], offset: u64) -> io::Result<()> {
        self.write_all_at(&parts.concat(), offset)
    }

    fn read_at(&self, out: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(out, offset)
    }

    fn set_bytes(&self, bytes: u64) -> io::Result<()> {
        self.set_len(bytes)
    }

    fn fill_with_zeros(&self, bytes: u64) -> io::Result<()> {
        reserve(self, bytes)?;
        let zeros = vec![0; ZERO_PIECE_BYTES];
        let mut offset = 0;
        let mut synced = 0;
        while offset < bytes {
            let piece = (bytes - offset).min(ZERO_PIECE_BYTES as u64);
            self.write_all_at(&zeros[..piece as usize], offset)?;
            offset += piece;
            if offset - synced >= ZERO_SYNC_BYTES {
                File::sync_data(self)?;
                synced = offset;
            }
        }
        self.sync_all()
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }
}

/// Asks for the room first, so that a full disk says so before 64 MiB have been written, and in few pieces. The blocks
/// alone would not do: the first write into a reserved block is a change of the file's map, which the journal has to
/// take with each sync (measured: decision 0001).
#[cfg(target_os = "linux")]
fn reserve(file: &File, bytes: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    use rustix::io::Errno;
    match fallocate(file, FallocateFlags::empty(), 0, bytes) {
        Ok(()) | Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn reserve(_file: &File, _bytes: u64) -> io::Result<()> {
    Ok(())
}

/// A file under `flock`, with the holder's process number in it. The system frees it when the process ends, however.
#[derive(Debug)]
pub struct FolderLock {
    _file: File,
}

impl FolderLock {
    /// Locks `path`, made where it is missing, and writes this process's number into it.
    pub fn take(path: &Path) -> Result<Self, LockError> {
        let failed = |source| LockError::Io { path: path.to_owned(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path)
            .map_err(failed)?;
        match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let folder = path.parent().unwrap_or(path).to_owned();
                return Err(LockError::Held { folder, holder: read_holder(&mut file) });
            }
            Err(error) => return Err(failed(error.into())),
        }
        file.set_len(0).map_err(failed)?;
        writeln!(file, "{}", std::process::id()).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

fn read_holder(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
