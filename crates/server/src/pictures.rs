//! Pictures of choices: kept in the data folder under the hash of their bytes, so that a definition that names one has
//! frozen what it shows. The ledger does not hold them; a backup does.

use crate::problem::{self, Problem};
use bytes::Bytes;
use election::definition::{Definition, is_picture_path};
use node::folder::replace_file;
use proof::sha256;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Pictures held in memory, so that a hall of phones reads the disk once: up to this many bytes, then none more.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The pictures of a server.
#[derive(Debug)]
pub struct Pictures {
    folder: PathBuf,
    bytes_total_max: u64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of all pictures on disk; `None` until they were counted.
    bytes_total: Option<u64>,
    /// Names to bytes.
    cache: BTreeMap<String, Bytes>,
    cached_bytes: usize,
}

/// A kind of picture, by what its files begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Png,
    Jpeg,
    Webp,
}

impl Kind {
    /// The kind with this content type.
    pub fn named(content_type: &str) -> Option<Kind> {
        let kind = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        [Kind::Png, Kind::Jpeg, Kind::Webp].into_iter().find(|known| known.content_type() == kind)
    }

    fn ending(self) -> &'static str {
        match self {
            Kind::Png => "png",
            Kind::Jpeg => "jpg",
            Kind::Webp => "webp",
        }
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Kind::Png => "image/png",
            Kind::Jpeg => "image/jpeg",
            Kind::Webp => "image/webp",
        }
    }

    fn begins(self, bytes: &[u8]) -> bool {
        match self {
            Kind::Png => bytes.starts_with(b"\x89PNG\r\n\x1a\n"),
            Kind::Jpeg => bytes.starts_with(b"\xff\xd8\xff"),
            Kind::Webp => bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP"),
        }
    }
}

impl Pictures {
    pub fn new(folder: PathBuf, bytes_total_max: u64) -> Self {
        Pictures { folder, bytes_total_max, state: Mutex::default() }
    }

    /// Keeps a picture and returns its path: `/pictures/HASH.png`. One that is there already is not written again.
    /// Blocking; one at a time.
    pub fn add(&self, kind: Kind, bytes: &[u8]) -> Result<String, Problem> {
        if !kind.begins(bytes) {
            let sentence = format!("the bytes do not begin as those of {} do", kind.content_type());
            return Err(Problem::new(&problem::INVALID_PICTURE, sentence));
        }
        let name = format!("{}.{}", sha256(&[bytes]).to_hex(), kind.ending());
        let path = format!("/pictures/{name}");
        let mut state = self.state();
        if self.folder.join(&name).is_file() {
            return Ok(path);
        }
        let kept = self.keep(&mut state, &name, bytes);
        kept.map_err(|error| {
            tracing::error!(%error, "a picture cannot be kept");
            Problem::plain(&problem::INTERNAL)
        })?
        .then_some(path)
        .ok_or_else(|| {
            let sentence = format!("pictures may have {} bytes together", self.bytes_total_max);
            Problem::new(&problem::TOO_MANY_PICTURES, sentence)
        })
    }

    /// Writes a picture; false if there is no room for it.
    fn keep(&self, state: &mut State, name: &str, bytes: &[u8]) -> io::Result<bool> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
        let total = match state.bytes_total {
            Some(total) => total,
            None => self.bytes_on_disk()?,
        };
        let with_this = total + bytes.len() as u64;
        state.bytes_total = Some(total);
        if with_this > self.bytes_total_max {
            return Ok(false);
        }
        replace_file(&self.folder.join(name), &self.folder.join("new"), bytes)?;
        state.bytes_total = Some(with_this);
        Ok(true)
    }

    fn bytes_on_disk(&self) -> io::Result<u64> {
        std::fs::read_dir(&self.folder)?.map(|entry| entry?.metadata().map(|facts| facts.len())).sum()
    }

    /// The picture called `name`, with its content type; `None` if there is none. Blocking the first time.
    pub fn find(&self, name: &str) -> Option<(Bytes, &'static str)> {
        if !is_picture_path(&format!("/pictures/{name}")) {
            return None;
        }
        let kinds = [Kind::Png, Kind::Jpeg, Kind::Webp];
        let kind = kinds.into_iter().find(|kind| name.ends_with(kind.ending()))?;
        if let Some(bytes) = self.state().cache.get(name) {
            return Some((bytes.clone(), kind.content_type()));
        }
        let bytes = Bytes::from(std::fs::read(self.folder.join(name)).ok()?);
        let mut state = self.state();
        if state.cached_bytes + bytes.len() <= CACHE_BYTES_MAX && !state.cache.contains_key(name) {
            state.cached_bytes += bytes.len();
            state.cache.insert(name.to_owned(), bytes.clone());
        }
        Some((bytes, kind.content_type()))
    }

    /// Refuses a definition that names a picture which is not here: voters would see an empty frame.
    pub fn check(&self, definition: &Definition) -> Result<(), Problem> {
        for (contest_place, contest) in definition.contests.iter().enumerate() {
            for (place, choice) in contest.choices.iter().enumerate() {
                let Some(photo) = choice.photo.as_deref().filter(|photo| is_picture_path(photo)) else {
                    continue;
                };
                let name = photo.trim_start_matches("/pictures/");
                if !self.folder.join(name).is_file() {
                    let field = format!("contest[{contest_place}].choices[{place}].photo");
                    let sentence = format!("`{field}`: there is no such picture here; add it first");
                    return Err(Problem::new(&problem::INVALID_DEFINITION, sentence).at(field));
                }
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
