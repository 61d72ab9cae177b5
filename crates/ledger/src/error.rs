//! Everything that can go wrong with a ledger, in sentences an operator can act on.

use std::io;
use std::path::PathBuf;

use crate::{LedgerId, Position};

#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    #[error("there is no ledger in `{}`", folder.display())]
    NoLedger { folder: PathBuf },
    #[error("`{}` already holds a ledger", folder.display())]
    AlreadyExists { folder: PathBuf },
    #[error("{0}")]
    Locked(#[from] crate::LockError),
    #[error("cannot {step} `{}`", path.display())]
    Io {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },

    /// Nothing has changed; the same append may succeed once there is room.
    #[error("no room on the disk for the next entry in `{}`", path.display())]
    Full {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// Cached pages may lie after a failed sync, so the process has to end and read the disk again.
    #[error("the disk failed to keep `{}`; the process must end and start again", path.display())]
    SyncFailed {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the ledger in `{}` has failed and takes nothing more until it is opened again", folder.display())]
    Poisoned { folder: PathBuf },
    #[error("an entry of {bytes} bytes is over the limit of {max}")]
    TooLarge { bytes: usize, max: usize },

    /// Bytes that had been confirmed as written have changed.
    #[error(
        "entry {position} is damaged ({what}) in `{}` at byte {offset}, after it had been confirmed as written; \
         nothing was changed: keep this folder, and start from a backup with `hustings restore`",
        path.display()
    )]
    Damaged { position: Position, path: PathBuf, offset: u64, what: &'static str },
    /// Whole and well-formed, but not the entry that belongs here: somebody or something put it there.
    #[error(
        "entry {position} in `{}` at byte {offset} does not follow from the entry before it ({what}); \
         nothing was changed: keep this folder, and start from a backup with `hustings restore`",
        path.display()
    )]
    BrokenChain { position: Position, path: PathBuf, offset: u64, what: &'static str },
    #[error(
        "`{}` is damaged ({what}), so entries from {position} on cannot be read; \
         nothing was changed: keep this folder, and start from a backup with `hustings restore`",
        path.display()
    )]
    SegmentDamaged { position: Position, path: PathBuf, what: &'static str },
    #[error(
        "entries {from} to {to} are missing: no file in `{}` holds them; \
         put the file back, or start from a backup with `hustings restore`",
        folder.display()
    )]
    Missing { from: Position, to: Position, folder: PathBuf },
    #[error(
        "`{}` is damaged, and with it what this server must not forget; nothing was changed: keep this folder, and let \
         the server join anew with an empty one",
        path.display()
    )]
    NoteDamaged { path: PathBuf },
    /// Entries of a term are there, the term and the vote are not.
    #[error(
        "the ledger in `{}` has entries of term {term}, but what this server voted for in that term is lost; keep this \
         folder, and let the server join anew with an empty one",
        folder.display()
    )]
    VoteLost { folder: PathBuf, term: u64 },
    #[error(
        "the end of the ledger in `{}` was being replaced when the process stopped; start the server on it once, which \
         finishes that",
        folder.display()
    )]
    CutPending { folder: PathBuf },
    #[error("`{}` has format {version}, written by a newer hustings; start that one", path.display())]
    NewerFormat { path: PathBuf, version: u8 },
    #[error(
        "entry {position} is of kind {}, which this version does not know; start the newer hustings that wrote it",
        kind.0
    )]
    NewerEntry { position: Position, kind: crate::EntryKind },
    #[error("`{}` belongs to ledger {found}, not to {expected}", path.display())]
    OtherLedger { path: PathBuf, found: LedgerId, expected: LedgerId },
    /// The number was given to the log of another node.
    #[error(
        "the log in `{}` is node {found}'s, not node {expected}'s; start each server with its own folder",
        folder.display()
    )]
    OtherNode { folder: PathBuf, found: u64, expected: u64 },
    #[error("`{}` is not a segment of a ledger; move it out of the folder", path.display())]
    ForeignFile { path: PathBuf },

    #[error("entry {position} is not in the log, whose last is {committed}")]
    NotCommitted { position: Position, committed: Position },
    #[error("bytes {offset} to {} are outside entry {position}, which has {length}", offset + wanted)]
    OutOfRange { position: Position, offset: u64, wanted: u64, length: u64 },
}

impl LedgerError {
    /// The same, where only a new start can go on.
    pub(crate) fn into_fatal(self) -> Self {
        match self {
            Self::Full { path, source } => Self::SyncFailed { path, source },
            other => other,
        }
    }

    /// True when the disk has lost or changed what it had confirmed. A node of a cluster fetches it from the others, with
    /// an empty log and under another number: see [`set_aside`](crate::set_aside).
    #[must_use]
    pub fn is_damage(&self) -> bool {
        matches!(
            self,
            Self::Damaged { .. }
                | Self::BrokenChain { .. }
                | Self::SegmentDamaged { .. }
                | Self::Missing { .. }
                | Self::NoteDamaged { .. }
                | Self::VoteLost { .. }
        )
    }

    /// True when the process has to end: the ledger cannot know any more what the disk holds.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        matches!(self, Self::SyncFailed { .. } | Self::Poisoned { .. })
    }
}

/// True where the disk or the quota is used up.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
