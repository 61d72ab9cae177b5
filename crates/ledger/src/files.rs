//! Replacing a small file whole: written aside, synced, renamed, and its folder synced. A crash leaves the old file or
//! the new one, never a mixture.

use std::io;

use crate::{Storage, StorageFile};

/// Replaces `name` by `parts`, one after the other. Two syncs.
pub fn replace<S: Storage>(storage: &S, name: &str, parts: &[&[u8]]) -> io::Result<()> {
    let aside = aside_name(name);
    remove_if_there(storage, &aside)?;
    let file = storage.create(&aside)?;
    let written = file.write_at(parts, 0).and_then(|()| file.sync_data());
    drop(file);
    if let Err(error) = written {
        remove_if_there(storage, &aside)?;
        return Err(error);
    }
    storage.rename(&aside, name)?;
    storage.sync_folder()
}

/// All of `name`; `None` where there is no such file.
pub fn read<S: Storage>(storage: &S, name: &str) -> io::Result<Option<Vec<u8>>> {
    let file = match storage.open(name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file?,
    };
    let length = usize::try_from(file.bytes()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    file.read_at(&mut bytes, 0)?;
    Ok(Some(bytes))
}

/// Removes `name`; a file that is not there is fine.
pub fn remove_if_there<S: Storage>(storage: &S, name: &str) -> io::Result<()> {
    match storage.remove(name) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Where a file is written before it takes its name.
pub fn aside_name(name: &str) -> String {
    format!("{name}.new")
}
