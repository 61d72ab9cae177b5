//! Pictures of choices: kept in the data folder under the hash of their bytes, so that a definition that names one has
//! frozen what it shows. The ledger does not hold them; a backup does. In a cluster a server that lacks one which an
//! election names gets it from another, and believes only its hash.

use crate::limits::Limits;
use crate::problem::{self, Problem};
use bytes::Bytes;
use election::definition::{Definition, is_picture_path};
use node::folder::replace_file;
use proof::sha256;
use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

const KINDS: [Kind; 3] = [Kind::Png, Kind::Jpeg, Kind::Webp];
/// A picture that no other server had is asked for again after this long.
const MISSED: Duration = Duration::from_secs(10);
const MISSED_MAX: usize = 1_024;
/// Pictures held in memory, so that a hall of phones reads the disk once: up to this many bytes, then none more.
const CACHE_BYTES_MAX: usize = 16 * 1024 * 1024;

/// Where else pictures are: the other servers of a cluster.
pub trait PictureSource: std::fmt::Debug + Send + Sync {
    /// The bytes of the file called `name` (its hash in hex, a dot, an ending) from whichever server has it first.
    /// They are not trusted. Blocking, for some seconds at most.
    fn fetch(&self, name: &str) -> Option<Bytes>;
}

/// The pictures of a server.
#[derive(Debug)]
pub struct Pictures {
    folder: PathBuf,
    bytes_total_max: u64,
    bytes_max: usize,
    source: Option<Arc<dyn PictureSource>>,
    /// One at a time: a hall of phones asks once.
    fetching: Mutex<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Bytes of all pictures on disk; `None` until they were counted.
    bytes_total: Option<u64>,
    /// Names to bytes.
    cache: BTreeMap<String, Bytes>,
    cached_bytes: usize,
    /// Names that no other server had, and when that was.
    missed: BTreeMap<String, Instant>,
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
        KINDS.into_iter().find(|known| known.content_type() == kind)
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
    pub fn new(folder: PathBuf, limits: &Limits, source: Option<Arc<dyn PictureSource>>) -> Self {
        Pictures {
            folder,
            bytes_total_max: limits.pictures_bytes_total_max,
            bytes_max: limits.picture_bytes_max,
            source,
            fetching: Mutex::default(),
            state: Mutex::default(),
        }
    }

    /// Whether there are other servers to get pictures from.
    pub fn has_source(&self) -> bool {
        self.source.is_some()
    }

    /// Gets the pictures that `definition` names and this server lacks. Blocking, for seconds.
    pub fn fetch_missing(&self, definition: &Definition) {
        for name in names_in(definition) {
            self.fetch(name);
        }
    }

    /// Gets one from another server, if it is not here; whether it is here then.
    fn fetch(&self, name: &str) -> bool {
        let is_here = || self.folder.join(name).is_file();
        let Some(source) = self.source.as_ref().filter(|_| !is_here()) else { return is_here() };
        let _one = self.fetching.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let is_missed = {
            let mut state = self.state();
            state.missed.retain(|_, at| at.elapsed() < MISSED);
            state.missed.contains_key(name)
        };
        if is_here() || is_missed {
            return is_here();
        }
        let fits = |bytes: &Bytes| {
            let (hash, ending) = name.split_once('.').unwrap_or_default();
            let kind = KINDS.into_iter().find(|kind| kind.ending() == ending);
            bytes.len() <= self.bytes_max
                && sha256(&[bytes]).to_hex() == hash
                && kind.is_some_and(|kind| kind.begins(bytes))
        };
        let fetched = source.fetch(name).filter(fits);
        let mut state = self.state();
        match fetched.map(|bytes| self.keep(&mut state, name, &bytes)) {
            Some(Ok(true)) => return true,
            Some(Ok(false)) => tracing::warn!(name, "there is no room for another server's picture"),
            Some(Err(error)) => tracing::error!(%error, "another server's picture cannot be kept"),
            None => tracing::debug!(name, "no other server has this picture"),
        }
        if state.missed.len() < MISSED_MAX {
            state.missed.insert(name.to_owned(), now);
        }
        false
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
        let kind = KINDS.into_iter().find(|kind| name.ends_with(kind.ending()))?;
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

    /// As [`Pictures::find`]; where it is not here, and `is_named` (an election shows it), from another server.
    pub fn find_anywhere(
        &self,
        name: &str,
        is_named: impl FnOnce() -> bool,
    ) -> Option<(Bytes, &'static str)> {
        let found = self.find(name);
        if found.is_some() || self.source.is_none() || !is_picture_path(&format!("/pictures/{name}")) {
            return found;
        }
        if is_named() && self.fetch(name) { self.find(name) } else { None }
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

/// The files of this server's own kind that a definition names.
pub fn names_in(definition: &Definition) -> impl Iterator<Item = &str> {
    let choices = definition.contests.iter().flat_map(|contest| &contest.choices);
    let photos = choices.filter_map(|choice| choice.photo.as_deref()).filter(|photo| is_picture_path(photo));
    photos.map(|photo| photo.trim_start_matches("/pictures/"))
}

/// The bytes of a picture in the data folder `root`, for another server; `None` for any other name. Blocking.
pub fn read_for_another(folder: &Path, name: &str) -> Option<Bytes> {
    let is_one = is_picture_path(&format!("/pictures/{name}"));
    is_one.then(|| std::fs::read(folder.join(name)).ok()).flatten().map(Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JPEG: &[u8] = b"\xff\xd8\xff\xe0 jpeg";

    /// Another server that says these bytes whatever it is asked for.
    #[derive(Debug)]
    struct Says(&'static [u8]);

    impl PictureSource for Says {
        fn fetch(&self, _: &str) -> Option<Bytes> {
            Some(Bytes::from_static(self.0))
        }
    }

    fn pictures(folder: &tempfile::TempDir, said: &'static [u8]) -> Pictures {
        Pictures::new(folder.path().join("pictures"), &Limits::STANDARD, Some(Arc::new(Says(said))))
    }

    #[test]
    fn a_picture_of_another_server_is_kept_if_its_hash_is_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let name = format!("{}.jpg", sha256(&[JPEG]).to_hex());
        let found = pictures(&folder, JPEG).find_anywhere(&name, || true).unwrap();
        assert_eq!((&found.0[..], found.1), (JPEG, "image/jpeg"));
        let again = Pictures::new(folder.path().join("pictures"), &Limits::STANDARD, None);
        assert!(again.find(&name).is_some(), "it stays without the other server");
    }

    #[test]
    fn what_is_not_the_picture_that_was_asked_for_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let hash = sha256(&[JPEG]).to_hex();
        let name = format!("{hash}.jpg");
        assert!(pictures(&folder, b"\xff\xd8\xff another").find_anywhere(&name, || true).is_none());
        assert!(pictures(&folder, JPEG).find_anywhere(&format!("{hash}.png"), || true).is_none());
        assert!(pictures(&folder, JPEG).find_anywhere(&name, || false).is_none(), "no election names it");
        assert!(pictures(&folder, JPEG).find_anywhere("../secret", || true).is_none());
        assert!(read_for_another(folder.path(), "../secret").is_none());
        assert!(!folder.path().join("pictures").join(&name).exists());
    }
}
