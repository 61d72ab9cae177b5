//! The data folder: where the ledger, the secret, the node's key and the caches lie.

use crate::caches::Disks;
use crate::error::NodeError;
use crate::identity::{Keys, system_random};
use ledger::FileStorage;
use proof::{NodeKey, Secret};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

pub const NODE_NUMBER: u16 = 1;

/// Paths within a data folder.
#[derive(Clone, Debug)]
pub struct DataFolder {
    root: PathBuf,
}

impl DataFolder {
    pub fn new(root: impl Into<PathBuf>) -> Self {
        DataFolder { root: root.into() }
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn ledger(&self) -> PathBuf {
        self.root.join("ledger")
    }

    pub fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }

    pub fn lock(&self) -> PathBuf {
        self.root.join("lock")
    }

    pub fn secret(&self) -> PathBuf {
        self.root.join("secret")
    }

    pub fn node_key(&self) -> PathBuf {
        self.root.join("node-key")
    }

    /// Which place in which cluster this folder holds.
    pub fn cluster(&self) -> PathBuf {
        self.root.join("cluster")
    }

    /// How far the log of a cluster's node is known to be committed; see [`crate::refound`].
    pub fn committed(&self) -> PathBuf {
        self.root.join("committed")
    }

    /// Pictures of choices, each under the hash of its bytes. The ledger names them and does not hold them.
    pub fn pictures(&self) -> PathBuf {
        self.root.join("pictures")
    }

    /// Which ballots were looked up with their receipts. Nothing rests on it.
    pub fn checked(&self) -> PathBuf {
        self.root.join("checked")
    }

    /// Makes the folder and its parts, readable by its owner only.
    pub fn create(&self) -> Result<(), NodeError> {
        for path in [self.root.clone(), self.ledger(), self.cache(), self.cache().join("voters")] {
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&path)
                .map_err(|source| NodeError::File { step: "make the folder", path, source })?;
        }
        Ok(())
    }

    /// Whether there is a log; one that was set aside does not count.
    pub fn has_ledger(&self) -> bool {
        let is_segment = |entry: io::Result<fs::DirEntry>| {
            entry.is_ok_and(|entry| entry.path().extension().is_some_and(|extension| extension == "seg"))
        };
        fs::read_dir(self.ledger()).is_ok_and(|mut entries| entries.any(is_segment))
    }

    /// The folders an engine works in; opening the ledger takes the lock.
    pub fn disks(&self) -> Result<Disks<FileStorage>, NodeError> {
        let ledger = open_storage(self.ledger())?.locked_by(self.lock());
        Ok(Disks {
            ledger,
            cache: open_storage(self.cache())?,
            index: open_storage(self.cache().join("voters"))?,
        })
    }

    /// Reads the secret and the node's key; makes both where the folder holds no ledger yet.
    pub fn keys(&self) -> Result<Keys, NodeError> {
        self.keys_of(NODE_NUMBER)
    }

    /// As [`keys`](Self::keys), for the node of a cluster with this number.
    pub fn keys_of(&self, number: u16) -> Result<Keys, NodeError> {
        let may_make = !self.has_ledger();
        let secret = read_or_make(&self.secret(), may_make)?;
        // A node's key may be made anew for an old ledger: a restore begins a new epoch with a new key.
        let node = read_or_make(&self.node_key(), true)?;
        Ok(Keys::new(secret, NodeKey::new(number, &node)))
    }

    /// The voting secret as it is handed to a node that joins. Nothing of it may be logged.
    pub fn secret_text(&self) -> Result<zeroize::Zeroizing<String>, NodeError> {
        let path = self.secret();
        let failed = |source| NodeError::File { step: "read", path: path.clone(), source };
        Ok(fs::read_to_string(&path).map_err(failed)?.into())
    }

    /// Takes over the voting secret of a cluster, for a folder without a ledger. The node's key is made anew, too: a
    /// number has one key.
    pub fn adopt_secret(&self, text: &str) -> Result<(), NodeError> {
        let path = self.secret();
        if self.has_ledger() {
            return Err(NodeError::NotEmpty(self.root.clone()));
        }
        Secret::from_text(text)
            .map_err(|error| NodeError::Secret { path: path.clone(), what: error.to_string() })?;
        let failed = |source| NodeError::File { step: "write", path: path.clone(), source };
        replace_file(&path, &path.with_extension("new"), text.as_bytes()).map_err(failed)?;
        match fs::remove_file(self.node_key()) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                Err(NodeError::File { step: "remove", path: self.node_key(), source })
            }
            _ => Ok(()),
        }
    }

    /// Reads the keys of a ledger that exists, and makes none.
    pub fn existing_keys(&self) -> Result<Keys, NodeError> {
        let secret = read_or_make(&self.secret(), false)?;
        let node = read_or_make(&self.node_key(), false)?;
        Ok(Keys::new(secret, NodeKey::new(NODE_NUMBER, &node)))
    }
}

fn open_storage(path: PathBuf) -> Result<FileStorage, NodeError> {
    FileStorage::new(&path).map_err(|source| NodeError::File { step: "open the folder", path, source })
}

fn read_or_make(path: &Path, may_make: bool) -> Result<Secret, NodeError> {
    let file_error = |step, source| NodeError::File { step, path: path.to_owned(), source };
    match fs::read_to_string(path) {
        Ok(text) => Secret::from_text(&text)
            .map_err(|error| NodeError::Secret { path: path.to_owned(), what: error.to_string() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound && may_make => {
            let secret = Secret::from_bytes(system_random()?);
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(path)
                .map_err(|source| file_error("make", source))?;
            file.write_all(secret.to_text().as_bytes()).map_err(|source| file_error("write", source))?;
            file.sync_all().map_err(|source| file_error("sync", source))?;
            sync_parent(path).map_err(|source| file_error("sync the folder of", source))?;
            Ok(secret)
        }
        Err(source) => Err(file_error("read", source)),
    }
}

/// Writes a whole file: aside, synced, renamed, and its folder synced, so that a crash leaves the old one or the new.
/// `aside` is a name in the same folder that nobody else writes to.
pub fn replace_file(path: &Path, aside: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(aside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(aside, path)?;
    sync_parent(path)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) => fs::File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
