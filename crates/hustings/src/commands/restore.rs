//! `restore`: a new data folder made of a backup, for a server alone or for the first server of a new cluster. It never
//! goes over data, and the ledger begins a new epoch there, which everybody sees.

use std::fs;
use std::path::Path;

use anyhow::Result;
use cluster::NodeInfo;
use cluster::net::{ClusterName, JoinKey};
use election::command::EpochReason;
use ledger::{LedgerId, Position};
use node::cluster_shell::Place;
use node::folder::DataFolder;
use node::refound::{self, Copied, NewLog};
use node::replica::{NewEpoch, PROGRAM_VERSION};
use serde_json::json;
use zeroize::Zeroizing;

use crate::cli::RestoreArgs;
use crate::clustering::JOIN_KEY_FILE;
use crate::commands::backup::{
    CONFIG_FILES, KEY_FILES, LEDGER_FOLDER, PICTURES_FOLDER, SEALED, SECRET_FILE, copy_if_there,
    copy_pictures, copy_segment, new_folder, read_if_there, segment_names, storage, sync_folder, write_new,
};
use crate::commands::manifest::{Manifest, check_ledger, verify};
use crate::exit::{Exit, Failure};
use crate::hosting::node_failure;
use crate::output::{Form, Progress, note, thousands};
use crate::sealing::{BACKUP_KEY_VARIABLE, BackupKey};

/// Stands for the first server's address until it is started and says its own.
const NOT_STARTED_YET: &str = "not-started-yet.invalid:8701";

/// Verifies the backup, makes the folder, and begins a new epoch there.
pub fn run(args: RestoreArgs, form: Form) -> Result<Exit> {
    if let Some(data) = args.data.as_deref().filter(|data| !is_fresh(data)) {
        return Err(Failure::usage(format!(
            "`{}` is not empty, and a restore never goes over data",
            data.display()
        ))
        .hint("Name a folder that is not there yet; put it in place when the server is stopped.")
        .into());
    }
    let name = args.cluster.as_deref().map(cluster_name).transpose()?;
    let manifest = verify(&args.backup)?;
    let key = BackupKey::from_environment()?;
    let keys = match (&key, &args.data) {
        // Without a folder to make only what is there is looked at.
        (None, None) => None,
        (key, _) => Some(open_keys(&args.backup, key.as_ref())?),
    };
    let mut value = json!({"backup": args.backup, "ledger": manifest.ledger, "position": manifest.position,
        "made_at": manifest.made_at, "cluster": manifest.cluster, "verified": true});
    let entries = thousands(manifest.position);
    let mut text =
        format!("{}: whole, entries up to {entries}, made {}\n", args.backup.display(), manifest.made_at);
    if let Some(of) = &manifest.cluster {
        text += &format!("It is of the cluster `{}`, as of position {}.\n", of.name, thousands(of.position));
    }
    if let (Some(data), Some(keys)) = (&args.data, keys) {
        let shown = data.display();
        let epoch = match &name {
            None => alone(&args.backup, &manifest, &keys, data)?,
            Some(name) => {
                let made = of_cluster(&args.backup, &manifest, &keys, data, name)?;
                value["founded"] =
                    json!({"name": name.as_str(), "log": made.log, "join_key": made.join_key.as_str()});
                text += &format!(
                    "{shown}: the new cluster `{}`\n\nIts join key, shown this once; who has it can add \
                     servers:\n\n    {}\n\n",
                    name.as_str(),
                    made.join_key.as_str()
                );
                made.epoch
            }
        };
        if args.verify {
            check_ledger(&data.join(LEDGER_FOLDER))?;
        }
        value["data"] = json!(data);
        value["epoch"] = json!(epoch);
        text += &format!("{shown}: restored, epoch {epoch} begins\n");
        note("Ballots taken after the backup was made are not in it; the new epoch shows that to everybody.");
        if CONFIG_FILES.iter().any(|file| data.join(file).exists()) {
            note(format!(
                "Look at the settings that came along: {shown}/{} (addresses, cluster).",
                CONFIG_FILES[0]
            ));
        }
        match &name {
            None => note(format!("Start it with: hustings serve --data {shown}")),
            Some(name) => {
                note(format!("Start it with: hustings serve --cluster {} --data {shown}", name.as_str()));
                note("Then the further servers, each with that join key and an empty folder.");
            }
        }
    }
    form.result(&value, || text);
    Ok(Exit::Ok)
}

fn cluster_name(text: &str) -> Result<ClusterName> {
    text.parse().map_err(|error| Failure::usage(format!("the cluster cannot be named so: {error}")).into())
}

/// The key files of a backup, opened: names and bytes.
pub type Keys = Vec<(&'static str, Zeroizing<Vec<u8>>)>;

pub fn open_keys(backup: &Path, key: Option<&BackupKey>) -> Result<Keys> {
    let mut keys = Keys::new();
    for name in KEY_FILES {
        let path = backup.join(format!("{name}{SEALED}"));
        let bytes = match (read_if_there(&path)?, key) {
            (Some(sealed), Some(key)) => Some(key.open(name, &path, &sealed)?),
            (Some(_), None) => {
                return Err(Failure::usage("the keys in this backup are sealed")
                    .code("backup_key_missing")
                    .hint(format!(
                        "Set {BACKUP_KEY_VARIABLE} to the backup key that `hustings backup` printed."
                    ))
                    .into());
            }
            // Version 1 held them as they are.
            (None, _) => read_if_there(&backup.join(name))?,
        };
        keys.extend(bytes.map(|bytes| (name, bytes)));
    }
    Ok(keys)
}

/// Makes the folder of a server alone, and logs the new epoch there.
fn alone(backup: &Path, manifest: &Manifest, keys: &Keys, data: &Path) -> Result<u32> {
    unpack(backup, manifest, keys, data)?;
    let identity = node::begin_epoch(data, EpochReason::Restored).map_err(node_failure)?;
    Ok(identity.epoch)
}

/// Copies a verified backup into the new folder `data`.
pub fn unpack(backup: &Path, manifest: &Manifest, keys: &Keys, data: &Path) -> Result<()> {
    let (from, to) = (backup.join(LEDGER_FOLDER), data.join(LEDGER_FOLDER));
    new_folder(data)?;
    new_folder(&to)?;
    for segment in segment_names(&from)? {
        copy_segment(&from.join(&segment), &to.join(&segment))?;
    }
    sync_folder(&to)?;
    for (name, bytes) in keys {
        // The key of a cluster's node is of its number there.
        if *name == SECRET_FILE || manifest.cluster.is_none() {
            write_new(&data.join(name), bytes)?;
        }
    }
    copy_rest(backup, data)
}

/// A cluster whose first server has not been started yet.
#[derive(Debug)]
pub struct Founded {
    pub epoch: u32,
    /// The cluster's own name in hex.
    pub log: String,
    pub join_key: Zeroizing<String>,
    pub copied: Copied,
}

fn of_cluster(
    backup: &Path,
    manifest: &Manifest,
    keys: &Keys,
    data: &Path,
    name: &ClusterName,
) -> Result<Founded> {
    let join_key = JoinKey::from_random(node::identity::system_random()?);
    new_folder(data)?;
    copy_rest(backup, data)?;
    let secret = keys.iter().find(|(name, _)| *name == SECRET_FILE).map(|(_, bytes)| bytes.as_slice());
    let (founder, reason) = (not_started_yet(), EpochReason::Restored);
    let new = NewCluster { name, founder, secret, join_key: &join_key, reason };
    new.found(&backup.join(LEDGER_FOLDER), Position(manifest.position), data)
}

/// A first server that says its addresses when it is started.
pub fn not_started_yet() -> NodeInfo {
    NodeInfo { address: NOT_STARTED_YET.to_owned(), http_address: String::new(), version: PROGRAM_VERSION }
}

/// What a cluster is made of, besides a log.
pub struct NewCluster<'a> {
    pub name: &'a ClusterName,
    pub founder: NodeInfo,
    pub secret: Option<&'a [u8]>,
    pub join_key: &'a JoinKey,
    pub reason: EpochReason,
}

impl NewCluster<'_> {
    /// Makes a cluster of one in the folder `data`, which holds no ledger yet: new name, number 1, a new signing key, and
    /// the commands of the log in `from` up to `up_to`. The place is written last: a folder without one is not taken for
    /// a cluster's.
    pub fn found(self, from: &Path, up_to: Position, data: &Path) -> Result<Founded> {
        let log = LedgerId(node::identity::system_random()?);
        let to = data.join(LEDGER_FOLDER);
        new_folder(&to)?;
        let target = storage(&to)?;
        let mut progress = Progress::new("restore");
        let copied = refound::copy(
            &storage(from)?,
            up_to,
            |_| NewLog::of_cluster(target, log, &self.founder),
            |position| progress.at(position.0, None, "entries"),
        )
        .map_err(node_failure)?;
        let Some(copied) = copied else {
            let sentence = format!("`{}` holds no ledger that was founded", from.display());
            return Err(Failure::usage(sentence).into());
        };
        sync_folder(&to)?;
        if let Some(secret) = self.secret {
            write_new(&data.join(SECRET_FILE), secret)?;
        }
        let join_key = self.join_key.to_text();
        write_new(&data.join(JOIN_KEY_FILE), join_key.as_bytes())?;
        let epoch = copied.epoch + 1;
        let place = Place {
            begun: true,
            new_epoch: Some(NewEpoch { epoch, reason: self.reason }),
            ..Place::new(self.name.as_str().to_owned(), log, cluster::NodeId(1))
        };
        place.write(&DataFolder::new(data)).map_err(node_failure)?;
        Ok(Founded { epoch, log: place.ledger, join_key, copied })
    }
}

/// What is not the log and no key.
pub fn copy_rest(from: &Path, data: &Path) -> Result<()> {
    for name in CONFIG_FILES {
        copy_if_there(&from.join(name), &data.join(name))?;
    }
    copy_pictures(&from.join(PICTURES_FOLDER), &data.join(PICTURES_FOLDER))?;
    sync_folder(data)
}

/// Whether nothing is lost by writing there: a folder that is not there, or holds nothing.
pub fn is_fresh(data: &Path) -> bool {
    fs::read_dir(data).map_or(!data.exists(), |mut entries| entries.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_empty_is_fresh() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(is_fresh(folder.path()) && is_fresh(&folder.path().join("other")));
        fs::write(folder.path().join("file"), "").expect("written");
        assert!(!is_fresh(folder.path()) && !is_fresh(&folder.path().join("file")));
    }
}
