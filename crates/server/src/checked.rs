//! Which ballots were looked up here with their receipts: a public figure, so that voters see that others check, too.
//!
//! A bit per leaf, in pages that are made when they are first needed. Kept in a small file beside the ledger, so that a
//! restart does not begin at none; it is written aside and renamed every few seconds while it changes, and at the stop.
//! Nothing rests on it: a file that is missing or damaged reads as none.

use node::folder::replace_file;
use proof::{Hash, sha256};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Leaves of one page: half a kilobyte.
const PAGE_LEAVES: u64 = 4_096;
const PAGE_BYTES: usize = PAGE_LEAVES as usize / 8;
/// Pages held at most, 4 MB: further ballots are found as ever, and counted no more.
const PAGES_MAX: usize = 8_192;
/// While looking up goes on, the file is written this often.
const SAVE_EVERY: Duration = Duration::from_secs(3);
const MAGIC: &[u8] = b"hustings checked v1\n";
/// Election id, number of the page, the page.
const RECORD_BYTES: usize = 16 + 8 + PAGE_BYTES;

type ElectionKey = [u8; 16];
type Pages = BTreeMap<(ElectionKey, u64), Box<[u8; PAGE_BYTES]>>;

/// The ballots that were looked up, of all elections.
#[derive(Debug)]
pub struct Checked {
    path: PathBuf,
    state: Mutex<State>,
    has_news: Condvar,
}

#[derive(Debug, Default)]
struct State {
    pages: Pages,
    is_changed: bool,
    is_stopping: bool,
}

impl Checked {
    /// Reads the file at `path`; begins with none where there is no whole one.
    pub fn open(path: PathBuf) -> Self {
        let pages = read(&path).unwrap_or_default();
        Checked { path, state: Mutex::new(State { pages, ..State::default() }), has_news: Condvar::new() }
    }

    /// Notes that the ballot at `leaf` was looked up.
    pub fn mark(&self, election: ElectionKey, leaf: u64) {
        let mut state = self.state();
        let key = (election, leaf / PAGE_LEAVES);
        if !state.pages.contains_key(&key) && state.pages.len() >= PAGES_MAX {
            return;
        }
        let page = state.pages.entry(key).or_insert_with(|| Box::new([0; PAGE_BYTES]));
        let (byte, bit) = ((leaf % PAGE_LEAVES / 8) as usize, 1_u8 << (leaf % 8));
        if page[byte] & bit == 0 {
            page[byte] |= bit;
            state.is_changed = true;
            self.has_news.notify_one();
        }
    }

    /// How many of an election's ballots were looked up. Cost: linear in the pages it has.
    pub fn count(&self, election: ElectionKey) -> u64 {
        let state = self.state();
        let pages = state.pages.range((election, 0)..=(election, u64::MAX));
        pages.flat_map(|(_, page)| page.iter()).map(|byte| u64::from(byte.count_ones())).sum()
    }

    /// Keeps the file up to date until [`Checked::stop`]. A thread of its own runs this.
    pub fn keep(&self) {
        loop {
            let waiting =
                self.has_news.wait_while(self.state(), |state| !state.is_changed && !state.is_stopping);
            let state = waiting.unwrap_or_else(PoisonError::into_inner);
            let pause = self.has_news.wait_timeout_while(state, SAVE_EVERY, |state| !state.is_stopping);
            let (mut state, _) = pause.unwrap_or_else(PoisonError::into_inner);
            let is_stopping = state.is_stopping;
            let bytes = std::mem::take(&mut state.is_changed).then(|| write(&state.pages));
            drop(state);
            let aside = self.path.with_extension("new");
            if let Some(Err(error)) = bytes.map(|bytes| replace_file(&self.path, &aside, &bytes)) {
                tracing::warn!(%error, "the count of checked receipts cannot be kept on disk");
            }
            if is_stopping {
                return;
            }
        }
    }

    /// Lets [`Checked::keep`] write once more and return.
    pub fn stop(&self) {
        self.state().is_stopping = true;
        self.has_news.notify_all();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The file: magic, pages in ascending order, SHA-256 of all before.
fn write(pages: &Pages) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + pages.len() * RECORD_BYTES + 32);
    bytes.extend_from_slice(MAGIC);
    for ((election, number), page) in pages {
        bytes.extend_from_slice(election);
        bytes.extend_from_slice(&number.to_be_bytes());
        bytes.extend_from_slice(&page[..]);
    }
    let Hash(hash) = sha256(&[&bytes]);
    bytes.extend_from_slice(&hash);
    bytes
}

/// `None` where the file is missing, of another version, or not as it was written.
fn read(path: &Path) -> Option<Pages> {
    let bytes = std::fs::read(path).ok()?;
    let (content, hash) = bytes.split_last_chunk::<32>()?;
    let pages = content.strip_prefix(MAGIC)?;
    let is_whole = sha256(&[content]) == Hash(*hash) && pages.len() % RECORD_BYTES == 0;
    if !is_whole || pages.len() / RECORD_BYTES > PAGES_MAX {
        tracing::warn!("the file of checked receipts is damaged; it is begun anew");
        return None;
    }
    let page = |record: &[u8]| {
        let (election, rest) = record.split_first_chunk::<16>()?;
        let (number, page) = rest.split_first_chunk::<8>()?;
        Some(((*election, u64::from_be_bytes(*number)), Box::new(*page.first_chunk()?)))
    };
    pages.chunks_exact(RECORD_BYTES).map(page).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOARD: ElectionKey = [7; 16];

    /// Marks, and writes as at a stop.
    fn kept(path: &Path, leaves: &[u64]) {
        let checked = Checked::open(path.to_owned());
        leaves.iter().for_each(|leaf| checked.mark(BOARD, *leaf));
        checked.stop();
        checked.keep();
    }

    #[test]
    fn a_ballot_counts_once_and_is_remembered_over_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checked");
        kept(&path, &[1, 5, 5, 4_096, 9_000_000]);
        kept(&path, &[5, 6]);
        let checked = Checked::open(path);
        assert_eq!(checked.count(BOARD), 5);
        assert_eq!(checked.count([8; 16]), 0);
    }

    #[test]
    fn a_damaged_file_reads_as_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checked");
        kept(&path, &[1, 5]);
        let whole = std::fs::read(&path).unwrap();
        for cut in [0, 10, MAGIC.len(), whole.len() - 1] {
            std::fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(Checked::open(path.clone()).count(BOARD), 0);
        }
        let mut flipped = whole.clone();
        flipped[MAGIC.len() + 30] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert_eq!(Checked::open(path.clone()).count(BOARD), 0);
        std::fs::write(&path, &whole).unwrap();
        assert_eq!(Checked::open(path).count(BOARD), 2);
    }

    #[test]
    fn memory_is_bounded() {
        let checked = Checked::open(PathBuf::from("/nonexistent/checked"));
        for page in 0..PAGES_MAX as u64 + 10 {
            checked.mark(BOARD, page * PAGE_LEAVES);
        }
        assert_eq!(checked.count(BOARD), PAGES_MAX as u64);
    }
}
