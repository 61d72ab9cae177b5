//! One running node: one writer that takes ballots and acts, orders them, appends them in batches, applies what
//! is committed, and answers.
//!
//! ```text
//! edges (one per worker)            writer thread                                     readers
//! prepare ballot ── inbox ──▶ Engine::turn ─▶ Core: order, pre-check, batch
//!                                          ─▶ Ledger: append, sync  (committed)
//!                                          ─▶ Core: apply, tree, receipts
//!                                          ─▶ Caches: tiles, places, voters
//! receipt ◀── mailbox ──────────────────── ─▶ views, feed ────────────────────────▶ pages, SSE, ZeroMQ
//! ```
//!
//! [`core`] has no tasks, channels or timers, and [`engine`] none either: the simulator drives both. The thread,
//! the clock and the channels are in [`shell`].

pub mod caches;
pub mod clock;
pub mod cluster_shell;
pub mod cluster_view;
pub mod core;
mod desk;
pub mod edge;
pub mod engine;
mod error;
pub mod folder;
pub mod identity;
mod keeper;
pub mod letters;
mod lookup;
#[cfg(feature = "mutation")]
pub mod mutation;
mod postmark;
pub mod receipt;
pub mod record;
pub mod refound;
pub mod replica;
pub mod shell;
pub mod token;
pub mod views;

pub use clock::{ClockReading, SystemClock};
pub use cluster_view::{ClusterError, ClusterRequest, ClusterView};
pub use core::{
    Acted, Answer, BulkAnswer, BulkReceipt, OfficerRequest, PreparedBallot, PreparedChunk, SubmitError,
};
pub use edge::{Edge, ListedVoter};
pub use error::NodeError;
pub use identity::{Identity, OfficerToken};
pub use receipt::CastReceipt;
pub use record::RecordReader;
pub use shell::{
    EXIT_DISK_FAILED, Handle, Mailbox, Node, NodeConfig, NodeStatus, Started, VoterStatus, begin_epoch,
};
pub use views::{Directory, ElectionHandle, ElectionView, FeedEvent, ProofView, ReadError};
