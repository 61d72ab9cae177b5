//! `backup` and `restore`: a data folder copied, beside a running server or not, and a new one made of the copy.
//!
//! The newest segment is copied from its end to its beginning: whatever the copy holds of the end was on disk
//! before what stands in front of it is read, so the copy is a prefix of the log however fast the server writes.
//! At most its last batch is unfinished, as after a crash. Then the copy is read and checked as at a start.

use std::fs::{self, File};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;

use anyhow::{Context as _, Result};
use election::command::EpochReason;
use election::definition::is_picture_path;
use ledger::{FileStorage, Ledger, LedgerError, LogPoint, Recovery, Threads};
use proof::{Hash, Sha256Stream};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cli::{BackupArgs, RestoreArgs};
use crate::clock;
use crate::exit::{Exit, Failure};
use crate::hosting::node_failure;
use crate::output::{Form, Progress, note, thousands};

const MANIFEST: &str = "backup.json";
const LEDGER_FOLDER: &str = "ledger";
/// Pictures of choices, each named by the hash of its bytes, so a copy beside a running server is whole or not there.
const PICTURES_FOLDER: &str = "pictures";
/// Files of a data folder that cannot be made again. Everything under `cache` can.
const KEY_FILES: [&str; 2] = ["secret", "node-key"];
const CONFIG_FILES: [&str; 1] = [crate::config::CONFIG_FILE];
/// One page at a time, from the end: a page is read in far less time than a batch is synced.
const PAGE_BYTES: u64 = 4_096;
/// Header and mark of a segment; entries begin behind them.
const HEAD_BYTES: u64 = 8 * 1024;
/// Copies of the newest segment before giving up.
const ATTEMPTS_MAX: u32 = 5;

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
    pub files: Vec<BackupFile>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupFile {
    pub name: String,
    pub bytes: u64,
    pub sha256: Hash,
}

pub fn run(args: BackupArgs, form: Form) -> Result<Exit> {
    if !args.data.join(LEDGER_FOLDER).is_dir() {
        return Err(no_data_folder(&args.data).into());
    }
    new_folder(&args.out)?;
    let manifest = match make(&args.data, &args.out) {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = fs::remove_dir_all(&args.out);
            return Err(error);
        }
    };
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let value = json!({"backup": args.out, "ledger": manifest.ledger, "position": manifest.position,
        "hash": manifest.hash, "files": manifest.files.len(), "bytes": bytes});
    form.result(&value, || {
        format!("{}: entries up to {}, checked", args.out.display(), thousands(manifest.position))
    });
    note("It holds the server's keys: keep it where only officers can read it.");
    note(format!("Make a server of it with: hustings restore {} --data NEW", args.out.display()));
    Ok(Exit::Ok)
}

pub fn no_data_folder(data: &Path) -> Failure {
    Failure::usage(format!(
        "`{}` is not the data folder of a server: there is no ledger in it",
        data.display()
    ))
    .hint("Name the folder that `hustings serve --data DIR` uses.")
}

/// Copies all of `data` that counts into the empty folder `out`, checks it, and writes its manifest last.
fn make(data: &Path, out: &Path) -> Result<Manifest> {
    let checked = copy_ledger(&data.join(LEDGER_FOLDER), &out.join(LEDGER_FOLDER))?;
    for name in KEY_FILES.iter().chain(&CONFIG_FILES) {
        copy_if_there(&data.join(name), &out.join(name))?;
    }
    copy_pictures(&data.join(PICTURES_FOLDER), &out.join(PICTURES_FOLDER))?;
    let manifest = Manifest {
        hustings_backup: 1,
        ledger: checked.id(),
        epoch: checked.epoch,
        position: checked.last.position.0,
        hash: checked.last.hash,
        made_at: clock::wall().to_string(),
        files: digests(out)?,
    };
    let path = out.join(MANIFEST);
    let mut file = private_file(&path)?;
    file.write_all(serde_json::to_string_pretty(&manifest)?.as_bytes())
        .with_context(|| cannot_write(&path))?;
    file.sync_all().with_context(|| cannot_write(&path))?;
    sync_folder(out)?;
    Ok(manifest)
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
    let storage = FileStorage::new(folder).with_context(|| format!("cannot open `{}`", folder.display()))?;
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

fn copy_ledger(from: &Path, to: &Path) -> Result<Checked> {
    new_folder(to)?;
    let mut names: Vec<String> = segment_names(from)?;
    names.sort();
    let Some(newest) = names.pop() else {
        return Err(no_data_folder(from.parent().unwrap_or(from)).into());
    };
    // The newest first: older ones are complete by the time they are read.
    let mut attempt = 1;
    copy_segment(&from.join(&newest), &to.join(&newest))?;
    for (index, name) in names.iter().enumerate() {
        Progress::new("backup").at(index as u64, Some(names.len() as u64), "segments");
        copy_segment(&from.join(name), &to.join(name))?;
    }
    sync_folder(to)?;
    loop {
        match check_ledger(to) {
            Ok(checked) => {
                if checked.cut.is_some() {
                    note("The batch that was being written is not in the backup.");
                }
                return Ok(checked);
            }
            Err(error) if attempt < ATTEMPTS_MAX => {
                // Two pages of a batch read in the very moment it was written; or real damage, which stays.
                attempt += 1;
                let newest = to.join(&newest);
                fs::remove_file(&newest).with_context(|| cannot_write(&newest))?;
                copy_segment(&from.join(newest.file_name().unwrap_or_default()), &newest)?;
                note(format!("Copying the newest segment again ({error})."));
            }
            Err(error) => return Err(error),
        }
    }
}

fn segment_names(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot read folder `{}`", folder.display());
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name().to_string_lossy().into_owned();
        if is_segment(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// `0000000000000001.seg`; what is only being made has another name.
fn is_segment(name: &str) -> bool {
    name.strip_suffix(".seg")
        .is_some_and(|number| number.len() == 16 && number.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// Copies a segment beside its writer; pages of zeros stay holes.
///
/// The head first: its mark then names nothing that the pages read afterwards do not hold. The rest from the end: a
/// batch written meanwhile lacks its end in the copy, and is cut as unfinished.
fn copy_segment(from: &Path, to: &Path) -> Result<()> {
    let source = File::open(from).with_context(|| format!("cannot read `{}`", from.display()))?;
    let bytes = source.metadata().with_context(|| format!("cannot read `{}`", from.display()))?.len();
    let copy = private_file(to)?;
    copy.set_len(bytes).with_context(|| cannot_write(to))?;
    let head = HEAD_BYTES.min(bytes);
    copy_part(&source, &copy, 0, head).with_context(|| cannot_copy(from, to))?;
    let mut end = bytes;
    while end > head {
        let start = ((end - 1) / PAGE_BYTES * PAGE_BYTES).max(head);
        copy_part(&source, &copy, start, end).with_context(|| cannot_copy(from, to))?;
        end = start;
    }
    copy.sync_all().with_context(|| cannot_write(to))
}

fn copy_part(source: &File, copy: &File, start: u64, end: u64) -> std::io::Result<()> {
    let mut part = vec![0; (end - start) as usize];
    source.read_exact_at(&mut part, start)?;
    if part.iter().all(|byte| *byte == 0) { Ok(()) } else { copy.write_all_at(&part, start) }
}

fn cannot_copy(from: &Path, to: &Path) -> String {
    format!("cannot copy `{}` to `{}`", from.display(), to.display())
}

fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    let mut bytes = Vec::new();
    match File::open(from) {
        Ok(mut file) => {
            file.read_to_end(&mut bytes).with_context(|| format!("cannot read `{}`", from.display()))?
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", from.display())),
    };
    let mut copy = private_file(to)?;
    copy.write_all(&bytes).and_then(|()| copy.sync_all()).with_context(|| cannot_write(to))
}

fn copy_pictures(from: &Path, to: &Path) -> Result<()> {
    let names = picture_names(from)?;
    if names.is_empty() {
        return Ok(());
    }
    new_folder(to)?;
    for name in names {
        copy_if_there(&from.join(&name), &to.join(&name))?;
    }
    sync_folder(to)
}

/// The pictures in a folder, which need not be there; what is only being written has another name.
fn picture_names(folder: &Path) -> Result<Vec<String>> {
    let cannot = || format!("cannot read folder `{}`", folder.display());
    let mut names = Vec::new();
    if !folder.is_dir() {
        return Ok(names);
    }
    for entry in fs::read_dir(folder).with_context(cannot)? {
        let name = entry.with_context(cannot)?.file_name().to_string_lossy().into_owned();
        if is_picture_path(&format!("/{PICTURES_FOLDER}/{name}")) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Every file of a backup with its digest, sorted by name, the manifest left out.
fn digests(backup: &Path) -> Result<Vec<BackupFile>> {
    let mut names: Vec<String> =
        KEY_FILES.iter().chain(&CONFIG_FILES).map(|name| (*name).to_owned()).collect();
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

/// `restore`: verifies the backup, makes the folder, and begins a new epoch there.
pub fn restore(args: RestoreArgs, form: Form) -> Result<Exit> {
    if let Some(data) = args.data.as_deref().filter(|data| !is_fresh(data)) {
        return Err(Failure::usage(format!(
            "`{}` is not empty, and a restore never goes over data",
            data.display()
        ))
        .hint("Name a folder that is not there yet; put it in place when the server is stopped.")
        .into());
    }
    let manifest = verify(&args.backup)?;
    let mut value = json!({"backup": args.backup, "ledger": manifest.ledger, "position": manifest.position,
        "made_at": manifest.made_at, "verified": true});
    let entries = thousands(manifest.position);
    let mut text =
        format!("{}: whole, entries up to {entries}, made {}\n", args.backup.display(), manifest.made_at);
    if let Some(data) = &args.data {
        unpack(&args.backup, &manifest, data)?;
        let identity = node::begin_epoch(data, EpochReason::Restored).map_err(node_failure)?;
        if args.verify {
            check_ledger(&data.join(LEDGER_FOLDER))?;
        }
        value["data"] = json!(data);
        value["epoch"] = json!(identity.epoch);
        text += &format!("{}: restored, epoch {} begins\n", data.display(), identity.epoch);
        note("Ballots taken after the backup was made are not in it; the new epoch shows that to everybody.");
        note(format!("Start it with: hustings serve --data {}", data.display()));
    }
    form.result(&value, || text);
    Ok(Exit::Ok)
}

/// Copies a verified backup into the new folder `data`.
pub fn unpack(backup: &Path, manifest: &Manifest, data: &Path) -> Result<()> {
    new_folder(data)?;
    new_folder(&data.join(LEDGER_FOLDER))?;
    let pictures = data.join(PICTURES_FOLDER);
    if manifest.files.iter().any(|file| file.name.starts_with(PICTURES_FOLDER)) {
        new_folder(&pictures)?;
    }
    for file in &manifest.files {
        let (from, to) = (backup.join(&file.name), data.join(&file.name));
        match file.name.starts_with(LEDGER_FOLDER) {
            true => copy_segment(&from, &to)?,
            false => copy_if_there(&from, &to)?,
        }
    }
    sync_folder(&data.join(LEDGER_FOLDER))?;
    if pictures.is_dir() {
        sync_folder(&pictures)?;
    }
    sync_folder(data)
}

/// Makes a folder that must not hold anything yet; only its owner can look inside.
fn new_folder(path: &Path) -> Result<()> {
    let is_empty = fs::read_dir(path).map(|mut entries| entries.next().is_none());
    match is_empty {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(Failure::usage(format!("`{}` is not empty, and nothing is ever overwritten", path.display()))
                .hint("Name a folder that is not there yet.")
                .into())
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
                Failure::usage(format!("cannot make folder `{}`: {error}", path.display())).into()
            })
        }
        Err(error) => Err(Failure::usage(format!("cannot use folder `{}`: {error}", path.display())).into()),
    }
}

fn private_file(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.write(true).create_new(true).mode(0o600).open(path).with_context(|| cannot_write(path))
}

fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}

/// Folders that `restore` must never write into: anything that holds something.
pub fn is_fresh(data: &Path) -> bool {
    fs::read_dir(data).map_or(!data.exists(), |mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ledger::{EntryKind, LedgerId, LedgerOptions, Log as _, NewEntry};

    fn data_folder(folder: &Path, entries: u64) -> Ledger<FileStorage> {
        fs::write(folder.join("secret"), "00").expect("written");
        let storage = FileStorage::new(folder.join(LEDGER_FOLDER)).expect("a folder");
        let storage = storage.locked_by(folder.join("lock"));
        let options = LedgerOptions {
            segment_bytes_first: 1 << 16,
            segment_bytes_max: 1 << 16,
            ..LedgerOptions::STANDARD
        };
        let mut ledger = Ledger::create(storage, LedgerId([9; 16]), options).expect("created");
        append(&mut ledger, entries);
        ledger
    }

    fn append(ledger: &mut Ledger<FileStorage>, entries: u64) {
        for index in 0..entries {
            let payload = format!("entry {index} {}", "x".repeat(500));
            let entry =
                NewEntry { epoch: 1, term: 0, stamp: index, kind: EntryKind(1), payload: payload.as_bytes() };
            ledger.append(entry).expect("appended");
        }
    }

    fn code(error: &anyhow::Error) -> Exit {
        crate::exit::exit_of(error)
    }

    #[test]
    fn a_backup_beside_a_writer_is_a_prefix_of_its_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("made");
        let mut ledger = data_folder(&data, 100);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    append(&mut ledger, 10);
                }
            });
            for index in 0..5 {
                let out = folder.path().join(format!("backup-{index}"));
                new_folder(&out).expect("made");
                let manifest = make(&data, &out).expect("a backup");
                assert!(manifest.position >= 100, "{}", manifest.position);
                verify(&out).expect("whole");
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn a_changed_byte_in_a_backup_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, out) = (folder.path().join("data"), folder.path().join("out"));
        fs::create_dir(&data).expect("made");
        drop(data_folder(&data, 10));
        new_folder(&out).expect("made");
        let manifest = make(&data, &out).expect("a backup");
        let segment = out.join(&manifest.files[0].name);
        let mut bytes = fs::read(&segment).expect("readable");
        bytes[5_000] ^= 1;
        fs::write(&segment, bytes).expect("written");
        assert_eq!(code(&verify(&out).expect_err("is damaged")), Exit::Damaged);
    }

    #[test]
    fn pictures_are_in_a_backup_and_come_back_with_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, out, new) =
            (folder.path().join("data"), folder.path().join("out"), folder.path().join("new"));
        fs::create_dir_all(data.join(PICTURES_FOLDER)).expect("made");
        drop(data_folder(&data, 10));
        let name = format!("{PICTURES_FOLDER}/{}.png", "0f".repeat(32));
        fs::write(data.join(&name), b"a picture").expect("written");
        fs::write(data.join(PICTURES_FOLDER).join("new"), b"half a").expect("written");
        new_folder(&out).expect("made");
        let manifest = make(&data, &out).expect("a backup");
        verify(&out).expect("whole");
        unpack(&out, &manifest, &new).expect("unpacked");
        assert_eq!(fs::read(new.join(&name)).expect("came back"), b"a picture");
        assert!(!new.join(PICTURES_FOLDER).join("new").exists());
        fs::write(out.join(&name), b"another").expect("written");
        assert_eq!(code(&verify(&out).expect_err("was changed")), Exit::Damaged);
    }

    #[test]
    fn nothing_is_ever_overwritten() {
        let folder = tempfile::tempdir().expect("a folder");
        let (data, out, new) =
            (folder.path().join("data"), folder.path().join("out"), folder.path().join("new"));
        fs::create_dir(&data).expect("made");
        drop(data_folder(&data, 10));
        new_folder(&out).expect("made");
        let manifest = make(&data, &out).expect("a backup");
        assert_eq!(code(&unpack(&out, &manifest, &data).expect_err("is not empty")), Exit::Usage);
        unpack(&out, &manifest, &new).expect("unpacked");
        let (old, copy) = (check_ledger(&data.join("ledger")), check_ledger(&new.join("ledger")));
        assert_eq!(old.expect("whole").last, copy.expect("whole").last);
        assert!(!is_fresh(&data) && is_fresh(&folder.path().join("other")));
    }

    #[test]
    fn what_is_no_backup_is_said_to_be_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(code(&verify(folder.path()).expect_err("no manifest")), Exit::Usage);
        let args = BackupArgs { out: folder.path().join("out"), data: "/nonexistent".into() };
        assert_eq!(code(&run(args, Form::Json).expect_err("no data")), Exit::Usage);
    }
}
