//! What can go wrong with a node as a whole; refusals of ballots and acts are not errors but answers.

use ledger::LedgerError;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error("cannot {step} `{}`", path.display())]
    File {
        step: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot use the secret in `{}`: {what}", path.display())]
    Secret { path: PathBuf, what: String },
    #[error(
        "entry {position} of the ledger cannot be read: {what}; restore a backup, or run the version that wrote it"
    )]
    Entry { position: u64, what: String },
    #[error("the ledger ends before its own cache: entries are missing from its end; restore a backup")]
    EntriesMissing,
    #[error("`{}` is not empty; choose a new folder", .0.display())]
    NotEmpty(PathBuf),
    #[error("`{}` holds no ledger", .0.display())]
    NoLedger(PathBuf),
    #[error("a cache of the ledger cannot be written")]
    Cache(#[source] io::Error),
    #[error(transparent)]
    Index(#[from] ledger::index::IndexError),
    #[error("the cluster has given out all its 65,535 numbers; restore a backup into a new one")]
    TooManyNodes,
    #[error("the address of a cluster's first server cannot be used: {0}")]
    Founder(String),
    #[error("the system gave no random bytes")]
    Random,
    #[error("the node's thread could not be started")]
    Thread(#[source] io::Error),
    #[error("the node's thread ended unexpectedly")]
    ThreadDied,
}

impl NodeError {
    /// Whether the disk can no longer be trusted, so that the process has to end.
    pub fn is_fatal(&self) -> bool {
        matches!(self, NodeError::Ledger(error) if error.is_fatal())
    }

    /// Whether stored data is damaged or missing, so that a start is refused.
    pub fn is_damage(&self) -> bool {
        match self {
            NodeError::EntriesMissing | NodeError::Entry { .. } => true,
            NodeError::Ledger(error) => matches!(
                error,
                LedgerError::Damaged { .. }
                    | LedgerError::BrokenChain { .. }
                    | LedgerError::SegmentDamaged { .. }
                    | LedgerError::Missing { .. }
            ),
            _ => false,
        }
    }
}
