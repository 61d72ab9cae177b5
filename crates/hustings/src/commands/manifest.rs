//! What a backup says of itself, and the check of it from its first to its last byte.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::Path;

use anyhow::{Context as _, Result};
use ledger::{Ledger, LedgerError, LogPoint, Recovery, Threads};
use proof::{Hash, Sha256Stream};
use serde::{Deserialize, Serialize};

use crate::commands::backup::{
    CONFIG_FILES, KEY_FILES, LEDGER_FOLDER, PICTURES_FOLDER, SEALED, picture_names, segment_names, storage,
};
use crate::exit::{Exit, Failure};
use crate::output::Progress;

pub const MANIFEST: &str = "backup.json";
/// Version 1 held the keys as they are, and was of a server alone.
pub const VERSION: u32 = 2;

/// What a backup says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub hustings_backup: u32,
    pub ledger: String,
    pub epoch: u32,
    /// Last entry in it, and the hash that covers all before.
    pub position: u64,
    pub hash: Hash,
    pub made_at: String,
    /// Name of the key that opens the sealed files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The cluster that it is of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<OfCluster>,
    pub files: Vec<BackupFile>,
}

/// A cluster at the time of its backup, for people. Positions in the backup are others: see `position` above.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfCluster {
    pub name: String,
    /// The cluster's own name in hex.
    pub log: String,
    /// The server that it was made on.
    pub node: u64,
    /// The last entry of the cluster's log that is in it: everything up to here was committed, and all of it is in.
    pub position: u64,
    pub members: Vec<OfMember>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OfMember {
    pub node: u64,
    /// `voter` or `learner`.
    pub role: String,
    pub address: String,
    pub node_address: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupFile {
    pub name: String,
    pub bytes: u64,
    pub sha256: Hash,
}

pub fn no_data_folder(data: &Path) -> Failure {
    Failure::usage(format!(
        "`{}` is not the data folder of a server: there is no ledger in it",
        data.display()
    ))
    .hint("Name the folder that `hustings serve --data DIR` uses.")
}

/// A backup that was read from its first to its last byte.
#[derive(Debug)]
pub struct Checked {
    pub ledger: [u8; 16],
    pub epoch: u32,
    pub last: LogPoint,
    /// The unfinished batch at the end, where there is one.
    pub cut: Option<String>,
}

impl Checked {
    pub fn id(&self) -> String {
        self.ledger.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// Reads a ledger folder as at a start, changing nothing.
pub fn check_ledger(folder: &Path) -> Result<Checked> {
    let storage = storage(folder)?;
    let mut epoch = 0;
    let mut progress = Progress::new("checking");
    let recovery: Recovery = Ledger::check(&storage, Threads::Helpers, |entry| {
        epoch = entry.header.epoch;
        progress.at(entry.header.position.0, None, "entries");
        Ok::<(), LedgerError>(())
    })
    .map_err(ledger_failure)?;
    let cut = recovery.cut.map(|cut| cut.to_string());
    Ok(Checked { ledger: recovery.ledger.0, epoch, last: recovery.last, cut })
}

/// The exit code of a ledger's error.
pub fn ledger_failure(error: LedgerError) -> Failure {
    let exit = match &error {
        LedgerError::NoLedger { .. } | LedgerError::NewerFormat { .. } | LedgerError::ForeignFile { .. } => {
            Exit::Usage
        }
        LedgerError::Locked(_) | LedgerError::Full { .. } => Exit::Unavailable,
        LedgerError::Io { .. } | LedgerError::SyncFailed { .. } | LedgerError::Poisoned { .. } => Exit::Io,
        _ => Exit::Damaged,
    };
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    Failure::new(exit, format!("{error}{cause}"))
}

/// Every file of a backup with its digest, sorted by name, the manifest left out.
pub fn digests(backup: &Path) -> Result<Vec<BackupFile>> {
    let mut names: Vec<String> =
        KEY_FILES.iter().chain(&CONFIG_FILES).map(|name| (*name).to_owned()).collect();
    names.extend(KEY_FILES.map(|name| format!("{name}{SEALED}")));
    names.retain(|name| backup.join(name).is_file());
    let segments = segment_names(&backup.join(LEDGER_FOLDER))?;
    names.extend(segments.into_iter().map(|name| format!("{LEDGER_FOLDER}/{name}")));
    let pictures = picture_names(&backup.join(PICTURES_FOLDER))?;
    names.extend(pictures.into_iter().map(|name| format!("{PICTURES_FOLDER}/{name}")));
    names.sort();
    names.into_iter().map(|name| digest(backup, name)).collect()
}

fn digest(backup: &Path, name: String) -> Result<BackupFile> {
    let path = backup.join(&name);
    let cannot = || format!("cannot read `{}`", path.display());
    let mut file = File::open(&path).with_context(cannot)?;
    file.seek(SeekFrom::Start(0)).with_context(cannot)?;
    let (mut hasher, mut bytes) = (Sha256Stream::new(), 0);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer).with_context(cannot)?;
        if read == 0 {
            return Ok(BackupFile { name, bytes, sha256: hasher.digest() });
        }
        hasher.update(&buffer[..read]);
        bytes += read as u64;
    }
}

/// Reads a backup from its first to its last byte: every file as its manifest says, the ledger whole.
pub fn verify(backup: &Path) -> Result<Manifest> {
    let path = backup.join(MANIFEST);
    let text = fs::read_to_string(&path).map_err(|error| {
        Failure::usage(format!("`{}` is not a backup: cannot read {MANIFEST}: {error}", backup.display()))
            .hint("A backup is a folder made by `hustings backup`.")
    })?;
    let manifest: Manifest = serde_json::from_str(&text)
        .map_err(|error| Failure::new(Exit::Damaged, format!("`{}` is damaged: {error}", path.display())))?;
    if !(1..=VERSION).contains(&manifest.hustings_backup) {
        let sentence =
            format!("this backup is of version {}, made by a newer program", manifest.hustings_backup);
        return Err(Failure::usage(sentence).into());
    }
    let found = digests(backup)?;
    for said in &manifest.files {
        let name = &said.name;
        match found.iter().find(|file| file.name == *name) {
            None => {
                return Err(
                    Failure::new(Exit::Damaged, format!("`{name}` is missing from the backup")).into()
                );
            }
            Some(file) if file.sha256 != said.sha256 || file.bytes != said.bytes => {
                return Err(Failure::new(
                    Exit::Damaged,
                    format!("`{name}` is not as it was when the backup was made"),
                )
                .into());
            }
            Some(_) => {}
        }
    }
    if let Some(extra) = found.iter().find(|file| manifest.files.iter().all(|said| said.name != file.name)) {
        return Err(
            Failure::new(Exit::Damaged, format!("`{}` does not belong to the backup", extra.name)).into()
        );
    }
    let checked = check_ledger(&backup.join(LEDGER_FOLDER))?;
    if checked.id() != manifest.ledger
        || checked.last.position.0 != manifest.position
        || checked.last.hash != manifest.hash
    {
        return Err(Failure::new(
            Exit::Damaged,
            "the ledger in the backup is not the one its manifest names",
        )
        .into());
    }
    Ok(manifest)
}
