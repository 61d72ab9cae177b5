//! What readers see: immutable facts of an election, its newest committed numbers, proofs, tiles.
//!
//! Readers never touch the writer: views are replaced as a whole, caches are read from their published rows.

use crate::caches::ElectionReaders;
use crate::core::FeedWhat;
use crate::identity::Keys;
use crate::receipt::ReceiptContext;
use arc_swap::ArcSwap;
use election::definition::Definition;
use election::results::openings_shown;
use election::roll::Roll;
use election::room::{Room, RoomCode};
use election::state::{LedgerFacts, RegisteredKey};
use election::{
    Curtain, ElectionId, ElectionIndex, ElectionState, LeafIndex, Rejection, Results, Slug, UnixMillis,
    Viewer,
};
use ledger::{FileStorage, LedgerError, LogReader, Position, Reader};
use proof::{Hash, Key, LeafKind, NodePublicKey, TileError, TreeSize, leaf_hash};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::watch;

/// One election's newest committed numbers. Replaced once a batch, at most every few milliseconds under load.
#[derive(Clone, Debug)]
pub struct ElectionView {
    pub state: ElectionState,
    /// The log's position that this view is of.
    pub position: Position,
    pub at: UnixMillis,
    pub closes_at: Option<UnixMillis>,
    pub opened_at: Option<UnixMillis>,
    pub closed_at: Option<UnixMillis>,
    pub tree_size: u64,
    pub root: Hash,
    /// Ballots accepted, replaced ones included: the leaves that are ballots.
    pub ballots_accepted: u64,
    /// Newest signed checkpoint; may cover fewer leaves than `tree_size`.
    pub checkpoint: Option<Arc<str>>,
    pub results: Arc<Results>,
    /// Officers' and rules' acts with their leaves.
    pub acts: Arc<Vec<(LeafIndex, Arc<str>)>>,
    /// Epochs and the first leaf of each.
    pub epochs: Vec<(u32, u64)>,
    pub needs_draw: bool,
    /// Whether an officer shows the counts, where `results = "on-reveal"`.
    pub revealed: bool,
    /// Root of the tree just after the close.
    pub closing_root: Option<Hash>,
}

impl ElectionView {
    pub fn curtain(&self) -> Curtain {
        if self.revealed { Curtain::Revealed } else { Curtain::Hidden }
    }
}

/// One election: immutable facts, its view, and readers of its evidence.
#[derive(Debug)]
pub struct ElectionHandle {
    pub index: ElectionIndex,
    pub id: ElectionId,
    pub slug: Slug,
    pub definition: Arc<Definition>,
    /// Canonical JSON; its SHA-256 is `definition_hash`.
    pub definition_json: Arc<str>,
    pub definition_hash: Hash,
    pub roll: Option<Arc<Roll>>,
    pub(crate) tag_key: Key,
    pub(crate) readers: ElectionReaders<FileStorage>,
    pub(crate) ledger: Reader<FileStorage>,
    pub(crate) keys: Arc<Keys>,
    pub(crate) context: ArcSwap<ReceiptContext>,
    /// Keys of all nodes and epochs of the ledger, in the log's order.
    pub(crate) node_keys: ArcSwap<Vec<RegisteredKey>>,
    /// Unix second after which nobody joins; `u32::MAX` where joining is not locked.
    pub(crate) locked_after: AtomicU32,
    pub(crate) view: ArcSwap<ElectionView>,
    pub(crate) watch: watch::Sender<Arc<ElectionView>>,
}

/// Why evidence cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the election has {size} leaves; there is no leaf {leaf}")]
    NoSuchLeaf { leaf: u64, size: u64 },
    #[error("the election has {size} leaves; there is no tree of {asked}")]
    NoSuchSize { asked: u64, size: u64 },
    #[error("there is no such tile")]
    NoSuchTile,
    #[error("the ballots may not be seen yet")]
    Hidden,
    #[error("the election has not been opened")]
    NotOpened,
    #[error("a stored ballot does not match its leaf")]
    Mismatch,
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    #[error(transparent)]
    Index(#[from] ledger::index::IndexError),
    #[error("cannot read a cache")]
    Cache(#[from] io::Error),
    #[error("cannot read the tree")]
    Tiles(#[from] TileError),
}

/// One leaf with its proof.
#[derive(Clone, Debug)]
pub struct ProofView {
    pub leaf_index: u64,
    pub leaf: Hash,
    pub kind: LeafKind,
    /// Size of the tree that `path` leads to the root of.
    pub size: u64,
    pub path: Vec<Hash>,
    pub root: Hash,
    /// A signed checkpoint of exactly that tree.
    pub checkpoint: String,
    /// What the leaf commits to, where it may be seen.
    pub opening: Option<Vec<u8>>,
}

impl ElectionHandle {
    /// Newest committed numbers. No lock.
    pub fn view(&self) -> Arc<ElectionView> {
        self.view.load_full()
    }

    /// Follows the views; a slow follower sees the newest.
    pub fn watch(&self) -> watch::Receiver<Arc<ElectionView>> {
        self.watch.subscribe()
    }

    pub fn roll_size(&self) -> Option<u64> {
        self.roll.as_ref().map(|roll| roll.entries().len() as u64)
    }

    /// Whether ballots' openings may be seen by anybody now.
    pub fn are_openings_shown(&self) -> bool {
        self.are_openings_shown_to(Viewer::Public)
    }

    pub fn are_openings_shown_to(&self, viewer: Viewer) -> bool {
        let view = self.view.load();
        openings_shown(&self.definition, view.state, view.curtain(), viewer)
    }

    /// Whether a session given out at this Unix second may vote here: not after a room that holds the election was
    /// locked. Lists are not affected. Cost: one relaxed load.
    pub fn admits(&self, issued: u32) -> Result<(), Rejection> {
        if issued <= self.locked_after.load(Ordering::Relaxed) {
            Ok(())
        } else {
            Err(Rejection::RoomLocked(self.slug.clone()))
        }
    }

    /// Takes over what signs from now on: after a new epoch, and after a node was registered.
    pub(crate) fn note_signing(&self, context: &Arc<ReceiptContext>, facts: &LedgerFacts) {
        if !Arc::ptr_eq(&self.context.load(), context) {
            self.context.store(Arc::clone(context));
        }
        // Keys are only ever added.
        if self.node_keys.load().len() != facts.keys.len() {
            self.node_keys.store(Arc::new(facts.keys.clone()));
        }
    }

    /// Key of a node in an epoch, if it signs in it.
    pub fn node_key(&self, epoch: u32, node: u16) -> Option<NodePublicKey> {
        let keys = self.node_keys.load();
        keys.iter().find(|known| known.epoch == epoch && known.node == node).and_then(public_key)
    }

    /// A leaf and the path to the root of the tree as it is. Cost: O(log n) reads.
    pub fn proof(&self, leaf: u64) -> Result<ProofView, ReadError> {
        let view = self.view();
        let size = view.tree_size;
        if leaf >= size {
            return Err(ReadError::NoSuchLeaf { leaf, size });
        }
        let path = proof::inclusion(TreeSize(size), proof::LeafIndex(leaf), &self.readers.tiles)?;
        let hash = self.leaf(leaf)?;
        let (kind, opening) = self.opening(&view, leaf, hash)?;
        Ok(ProofView {
            leaf_index: leaf,
            leaf: hash,
            kind,
            size,
            path,
            root: view.root,
            checkpoint: self.checkpoint_at(size, view.root),
            opening: opening.filter(|_| kind == LeafKind::Act || self.are_openings_shown()),
        })
    }

    /// Proof that the tree of `to` leaves (now, if `None`) continues that of `from`.
    pub fn consistency(&self, from: u64, to: Option<u64>) -> Result<Vec<Hash>, ReadError> {
        let size = self.view().tree_size;
        let to = to.unwrap_or(size);
        if to > size || from > to {
            return Err(ReadError::NoSuchSize { asked: from.max(to), size });
        }
        Ok(proof::consistency(TreeSize(from), TreeSize(to), &self.readers.tiles)?)
    }

    /// A tile of 256 hashes (8,192 bytes), or the first `width` of one that is not full yet.
    pub fn tile(&self, level: u8, index: u64, width: Option<u16>) -> Result<Vec<u8>, ReadError> {
        let rows = (self.view().tree_size).checked_shr(8 * u32::from(level)).unwrap_or(0);
        let first = index.checked_mul(256).ok_or(ReadError::NoSuchTile)?;
        let count = u64::from(width.unwrap_or(256));
        let is_there = (1..=256).contains(&count) && first.checked_add(count).is_some_and(|end| end <= rows);
        let mut bytes = Vec::new();
        if is_there && self.readers.tiles.read(level, first, usize::from(width.unwrap_or(256)), &mut bytes)? {
            Ok(bytes)
        } else {
            Err(ReadError::NoSuchTile)
        }
    }

    pub(crate) fn leaf(&self, leaf: u64) -> Result<Hash, ReadError> {
        let mut row = Vec::with_capacity(32);
        let is_there = self.readers.tiles.read(0, leaf, 1, &mut row)?;
        match row.first_chunk() {
            Some(hash) if is_there => Ok(Hash(*hash)),
            _ => Err(ReadError::NoSuchLeaf { leaf, size: self.readers.tiles.rows(0) }),
        }
    }

    /// A leaf's kind and opening, checked against its hash.
    fn opening(
        &self,
        view: &ElectionView,
        leaf: u64,
        hash: Hash,
    ) -> Result<(LeafKind, Option<Vec<u8>>), ReadError> {
        if let Ok(at) = view.acts.binary_search_by_key(&leaf, |(leaf, _)| leaf.0) {
            return Ok((LeafKind::Act, Some(view.acts[at].1.as_bytes().to_vec())));
        }
        let opening = self.ballot_opening(leaf)?;
        if leaf_hash(LeafKind::Ballot, &opening) != hash {
            return Err(ReadError::Mismatch);
        }
        Ok((LeafKind::Ballot, Some(opening)))
    }

    pub(crate) fn ballot_opening(&self, leaf: u64) -> Result<Vec<u8>, ReadError> {
        let place = self.readers.place(leaf)?.ok_or(ReadError::NoSuchLeaf { leaf, size: 0 })?;
        let mut opening = vec![0; place.length as usize];
        self.ledger.read_range(place.entry, place.offset, &mut opening)?;
        Ok(opening)
    }

    pub(crate) fn checkpoint_at(&self, size: u64, root: Hash) -> String {
        use proof::checkpoint::{Checkpoint, Origin};
        let context = self.context.load();
        let ReceiptContext { ledger, epoch, election, .. } = **context;
        let origin = Origin { ledger, epoch, election, shard: 0 };
        Checkpoint { origin, size: TreeSize(size), root }.sign(&self.keys.node)
    }
}

/// A registered key as `proof` knows it; none where the log has one that is no key, which only a founding can bring.
pub(crate) fn public_key(known: &RegisteredKey) -> Option<NodePublicKey> {
    Some(NodePublicKey { node: known.node, key: election::from_hex(&known.key)? })
}

/// All elections and rooms.
#[derive(Clone, Debug, Default)]
pub struct Directory {
    /// Grows with each change; a follower that sees another number looks again.
    pub version: u64,
    pub elections: BTreeMap<Slug, Arc<ElectionHandle>>,
    /// In the order of creation.
    pub by_index: Vec<Arc<ElectionHandle>>,
    pub rooms: BTreeMap<RoomCode, Room>,
    /// SHA-256 of the officer token in hex.
    pub officer: String,
    pub epoch: u32,
    /// Keys of the nodes that sign in this epoch, in the order they were registered; the first began it.
    pub signing: Vec<NodePublicKey>,
}

impl Directory {
    pub fn election(&self, slug: &str) -> Option<&Arc<ElectionHandle>> {
        self.elections.get(slug)
    }
}

/// A ballot or act for programs that follow along, with where it stands in the log.
#[derive(Clone, Debug)]
pub struct FeedEvent {
    pub election: Arc<ElectionHandle>,
    pub position: Position,
    pub at: UnixMillis,
    pub leaf_index: u64,
    pub what: FeedWhat,
}
