//! A damaged log is moved out of the way, whole: nothing is ever deleted because it could not be read.

use crate::open::segment_files;
use crate::segment::segment_name;
use crate::{LedgerError, Storage};

/// What stands behind the name of a file that was moved, before the number of the move.
const ASIDE_SUFFIX: &str = ".damaged-";

/// Renames every file of the log in `storage`, so that the folder holds none, and returns the end of their new names:
/// `.damaged-1`, where there is one already `.damaged-2`. For a node of a cluster whose log is damaged: it comes back
/// with an empty log and **under another number**, for what it once acknowledged is gone from it.
///
/// The first segment goes first and what the node voted for goes last, so that a folder in which this was cut short is
/// never taken for a shorter log.
pub fn set_aside<S: Storage>(storage: &S) -> Result<String, LedgerError> {
    let _lock = storage.lock()?;
    let failed = |name: &str| {
        let path = storage.path(name);
        move |source| LedgerError::Io { step: "move aside", path, source }
    };
    let files = storage.list().map_err(failed(""))?;
    let number_of = |name: &str| name.rsplit_once(ASIDE_SUFFIX)?.1.parse::<u32>().ok();
    let newest = files.iter().filter_map(|file| number_of(&file.name)).max().unwrap_or(0);
    let suffix = format!("{ASIDE_SUFFIX}{}", newest + 1);
    let segments = segment_files(storage)?;
    let segments = segments.iter().map(|(first, _)| segment_name(*first));
    let notes = ["cut", "vote"].map(str::to_owned);
    for name in segments.chain(notes).filter(|name| files.iter().any(|file| file.name == *name)) {
        storage.rename(&name, &format!("{name}{suffix}")).map_err(failed(&name))?;
        storage.sync_folder().map_err(failed(&name))?;
    }
    Ok(suffix)
}
