//! `backup`: a data folder copied, beside a running server or not, and what a copy says of itself.
//!
//! The ledger of a server alone is copied as it is. The newest segment is copied from its end to its beginning: whatever the copy holds of the end was on disk
//! before what stands in front of it is read, so the copy is a prefix of the log however fast the server writes.
//! At most its last batch is unfinished, as after a crash. Then the copy is read and checked as at a start.
//!
//! The end of a cluster's log may still be replaced, so of that the commands are copied that are known to be committed,
//! into a log as a server alone has one. Which of the two a backup was made of makes no difference later.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use cluster::{Membership, Seat};
use election::definition::is_picture_path;
use ledger::FileStorage;
use node::cluster_shell::Place;
use node::folder::DataFolder;
use node::refound::{self, Copied, NewLog};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::BackupArgs;
use crate::clock;
use crate::commands::manifest::{
    Checked, MANIFEST, Manifest, OfCluster, OfMember, VERSION, check_ledger, digests, no_data_folder,
};
use crate::exit::{Exit, Failure};
use crate::hosting::node_failure;
use crate::output::{Form, Progress, note, thousands};
use crate::sealing::{BACKUP_KEY_VARIABLE, BackupKey};

pub const LEDGER_FOLDER: &str = "ledger";
/// Pictures of choices, each named by the hash of its bytes, so a copy beside a running server is whole or not there.
pub const PICTURES_FOLDER: &str = "pictures";
/// Files of a data folder that cannot be made again, and that nobody may read. Everything under `cache` can be made.
pub const KEY_FILES: [&str; 2] = [SECRET_FILE, "node-key"];
pub const SECRET_FILE: &str = "secret";
/// Behind the name of a key file that is sealed.
pub const SEALED: &str = ".sealed";
pub const CONFIG_FILES: [&str; 1] = [crate::config::CONFIG_FILE];
/// One page at a time, from the end: a page is read in far less time than a batch is synced.
const PAGE_BYTES: u64 = 4_096;
/// Header and mark of a segment; entries begin behind them.
const HEAD_BYTES: u64 = 8 * 1024;
/// Copies of what is being written before giving up.
const ATTEMPTS_MAX: u32 = 5;
/// A server of a cluster writes down what is committed five times a second; one that is not running does not.
const NOTE_WAIT: Duration = Duration::from_secs(10);
const NOTE_OLD: Duration = Duration::from_secs(10);

pub fn run(args: BackupArgs, form: Form) -> Result<Exit> {
    if !args.data.join(LEDGER_FOLDER).is_dir() {
        return Err(no_data_folder(&args.data).into());
    }
    let (key, is_new) = match BackupKey::from_environment()? {
        Some(key) => (key, false),
        None => (BackupKey::new()?, true),
    };
    new_folder(&args.out)?;
    let manifest = match make(&args.data, &args.out, &key) {
        Ok(manifest) => manifest,
        Err(error) => {
            let _ = fs::remove_dir_all(&args.out);
            return Err(error);
        }
    };
    let bytes: u64 = manifest.files.iter().map(|file| file.bytes).sum();
    let mut value = json!({"backup": args.out, "ledger": manifest.ledger, "epoch": manifest.epoch,
        "position": manifest.position, "hash": manifest.hash, "cluster": manifest.cluster,
        "files": manifest.files.len(), "bytes": bytes, "key": manifest.key});
    if is_new {
        value["backup_key"] = json!(key.text().as_str());
    }
    form.result(&value, || {
        let mut text = match &manifest.cluster {
            Some(of) => format!(
                "{}: cluster `{}` as of position {} on server {}, checked",
                args.out.display(),
                of.name,
                thousands(of.position),
                of.node
            ),
            None => {
                format!("{}: entries up to {}, checked", args.out.display(), thousands(manifest.position))
            }
        };
        if is_new {
            let key = key.text();
            let key = key.as_str();
            text += &format!(
                "\n\nBackup key, shown this once; without it nobody can restore this backup:\n\n    {key}\n\n\
                 Keep it apart from the backup. Later ones take it, too: export {BACKUP_KEY_VARIABLE}={key}"
            );
        }
        text
    });
    note(format!("Make a server of it with: hustings restore {} --data NEW", args.out.display()));
    Ok(Exit::Ok)
}

/// Copies all of `data` that counts into the empty folder `out`, checks it, and writes its manifest last.
pub fn make(data: &Path, out: &Path, key: &BackupKey) -> Result<Manifest> {
    let (from, to) = (data.join(LEDGER_FOLDER), out.join(LEDGER_FOLDER));
    let (checked, cluster) = match Place::read(&DataFolder::new(data)).map_err(node_failure)? {
        None => (copy_ledger(&from, &to)?, None),
        Some(place) => {
            let copied = copy_committed(data, out)?;
            let checked = check_ledger(&to)?;
            assert_eq!(checked.last, copied.written, "what was written is what is read");
            (checked, Some(of_cluster(place, copied)))
        }
    };
    for name in KEY_FILES {
        if let Some(bytes) = read_if_there(&data.join(name))? {
            let sealed = key.seal(name, &bytes)?;
            write_new(&out.join(format!("{name}{SEALED}")), &sealed)?;
        }
    }
    for name in CONFIG_FILES {
        copy_if_there(&data.join(name), &out.join(name))?;
    }
    copy_pictures(&data.join(PICTURES_FOLDER), &out.join(PICTURES_FOLDER))?;
    let manifest = Manifest {
        hustings_backup: VERSION,
        ledger: checked.id(),
        epoch: checked.epoch,
        position: checked.last.position.0,
        hash: checked.last.hash,
        made_at: clock::wall().to_string(),
        key: Some(key.name()),
        cluster,
        files: digests(out)?,
    };
    write_new(&out.join(MANIFEST), serde_json::to_string_pretty(&manifest)?.as_bytes())?;
    sync_folder(out)?;
    Ok(manifest)
}

fn of_cluster(place: Place, copied: Copied) -> OfCluster {
    let membership = copied.membership.unwrap_or_else(Membership::none);
    let member = |(node, info): (cluster::NodeId, &cluster::MemberInfo)| OfMember {
        node: node.0,
        role: if info.seat == Seat::Voter { "voter" } else { "learner" }.to_owned(),
        address: info.http_address.clone(),
        node_address: info.address.clone(),
    };
    let members = membership.members().map(member).collect();
    OfCluster {
        name: place.name,
        log: place.ledger,
        node: place.node,
        position: copied.read.position.0,
        members,
    }
}

/// Copies what is known to be committed of the log in `data`, beside its server or not.
fn copy_committed(data: &Path, out: &Path) -> Result<Copied> {
    let folder = DataFolder::new(data);
    wait_for_note(&folder, out);
    let up_to = refound::known_committed(&folder).map_err(node_failure)?;
    let (from, to) = (storage(&data.join(LEDGER_FOLDER))?, out.join(LEDGER_FOLDER));
    let mut attempt = 1;
    loop {
        new_folder(&to)?;
        let target = storage(&to)?;
        let mut progress = Progress::new("backup");
        let copied = refound::copy(
            &from,
            up_to,
            |ledger| Ok(NewLog::alone(target, ledger)?),
            |position| progress.at(position.0, Some(up_to.0), "entries"),
        );
        match copied {
            Ok(Some(copied)) if copied.read.position == up_to => {
                sync_folder(&to)?;
                return Ok(copied);
            }
            Ok(Some(_) | None) if attempt == ATTEMPTS_MAX => {
                return Err(Failure::new(
                    Exit::Unavailable,
                    format!("nothing is known to be committed in `{}` yet", data.display()),
                )
                .hint("Start the server, and make the backup when it has joined its cluster.")
                .into());
            }
            Err(error) if attempt == ATTEMPTS_MAX => return Err(node_failure(error).into()),
            // The end of the log was replaced, or a new segment begun, while it was read; or real damage, which stays.
            _ => {
                attempt += 1;
                fs::remove_dir_all(&to).with_context(|| cannot_write(&to))?;
            }
        }
    }
}

/// Waits for a running server's next word of what is committed, so that everything it has answered by now is in. Where
/// the last word is old, no server runs.
fn wait_for_note(folder: &DataFolder, out: &Path) {
    let changed = |path: &Path| fs::metadata(path).and_then(|of| of.modified()).ok();
    let Some(begun) = changed(out) else { return };
    let until = clock::now() + NOTE_WAIT;
    while let Some(noted) = changed(&folder.committed())
        && noted <= begun
        && begun.duration_since(noted).is_ok_and(|age| age < NOTE_OLD)
        && clock::now() < until
    {
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn storage(folder: &Path) -> Result<FileStorage> {
    FileStorage::new(folder).with_context(|| format!("cannot open `{}`", folder.display()))
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

pub fn segment_names(folder: &Path) -> Result<Vec<String>> {
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
pub fn copy_segment(from: &Path, to: &Path) -> Result<()> {
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

pub fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    match read_if_there(from)? {
        Some(bytes) => write_new(to, &bytes),
        None => Ok(()),
    }
}

/// Bytes that may be secret.
pub fn read_if_there(from: &Path) -> Result<Option<Zeroizing<Vec<u8>>>> {
    match fs::read(from) {
        Ok(bytes) => Ok(Some(bytes.into())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read `{}`", from.display())),
    }
}

/// A file that is not there yet, on disk before this returns.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = private_file(path)?;
    file.write_all(bytes).and_then(|()| file.sync_all()).with_context(|| cannot_write(path))
}

pub fn copy_pictures(from: &Path, to: &Path) -> Result<()> {
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
pub fn picture_names(folder: &Path) -> Result<Vec<String>> {
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

/// Makes a folder that must not hold anything yet; only its owner can look inside.
pub fn new_folder(path: &Path) -> Result<()> {
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

pub fn sync_folder(path: &Path) -> Result<()> {
    File::open(path).and_then(|folder| folder.sync_all()).with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write `{}`", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::manifest::verify;
    use crate::commands::restore::{open_keys, unpack};
    use ledger::{EntryKind, Ledger, LedgerId, LedgerOptions, Log as _, NewEntry};

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

    fn key() -> BackupKey {
        BackupKey::new().expect("random bytes")
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
                let manifest = make(&data, &out, &key()).expect("a backup");
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
        let manifest = make(&data, &out, &key()).expect("a backup");
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
        let key = key();
        let manifest = make(&data, &out, &key).expect("a backup");
        verify(&out).expect("whole");
        let keys = open_keys(&out, Some(&key)).expect("opened");
        unpack(&out, &manifest, &keys, &new).expect("unpacked");
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
        let key = key();
        let manifest = make(&data, &out, &key).expect("a backup");
        let keys = open_keys(&out, Some(&key)).expect("opened");
        assert_eq!(code(&unpack(&out, &manifest, &keys, &data).expect_err("is not empty")), Exit::Usage);
        unpack(&out, &manifest, &keys, &new).expect("unpacked");
        assert_eq!(fs::read(new.join("secret")).expect("came back"), b"00");
        assert!(!out.join("secret").exists(), "the backup holds it sealed only");
        assert_eq!(code(&open_keys(&out, None).expect_err("sealed")), Exit::Usage);
        let (old, copy) = (check_ledger(&data.join("ledger")), check_ledger(&new.join("ledger")));
        assert_eq!(old.expect("whole").last, copy.expect("whole").last);
    }

    #[test]
    fn what_is_no_backup_is_said_to_be_none() {
        let folder = tempfile::tempdir().expect("a folder");
        assert_eq!(code(&verify(folder.path()).expect_err("no manifest")), Exit::Usage);
        let args = BackupArgs { out: folder.path().join("out"), data: "/nonexistent".into() };
        assert_eq!(code(&run(args, Form::Json).expect_err("no data")), Exit::Usage);
    }
}
