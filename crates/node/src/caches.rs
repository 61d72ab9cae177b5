//! Caches beside the ledger: tiles, places of leaves, voters' leaves, snapshots. All can be deleted.

use crate::core::{Effects, NewLeaf};
use crate::error::NodeError;
use election::{ElectionIndex, LeafIndex, State};
use ledger::columns::{ColumnReader, ColumnWriter, Place, TileWriter, Tiles};
use ledger::index::{Index, IndexReader};
use ledger::{LedgerId, LogPoint, Position, Storage, Threads, files};
use proof::{Edge, Hash, TreeSize, sha256};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

const SNAPSHOT: &str = "snapshot";
/// Start of the names of an election's files; its number follows.
const ELECTION_FILES: &str = "election-";
const SNAPSHOT_MAGIC: &[u8] = b"hustings node snapshot v1\n";
/// An index value: election in the upper 24 bits, leaf in the lower 40.
const LEAF_BITS: u32 = 40;

/// The folders an engine works in.
#[derive(Clone, Debug)]
pub struct Disks<S> {
    pub ledger: S,
    pub cache: S,
    pub index: S,
}

/// Writers of all caches; one owner, the engine.
pub struct Caches<S: Storage> {
    storage: S,
    elections: Vec<ElectionCache<S>>,
    index: Index<S>,
    /// Entries up to here are in the index already.
    indexed: Position,
    /// Per election, what is not written yet.
    waiting: Vec<Waiting>,
    touched: BTreeSet<ElectionIndex>,
    /// Complete through here once the index has been told.
    unindexed: Option<LogPoint>,
    is_behind: bool,
    /// A sync has failed: what it was to keep may be lost without another error, so no snapshot may name it.
    has_lost_sync: bool,
}

#[derive(Default)]
struct Waiting {
    /// Tile level and hash.
    hashes: VecDeque<(u8, Hash)>,
    rows: Vec<u8>,
}

struct ElectionCache<S: Storage> {
    tiles: TileWriter<S>,
    places: ColumnWriter<S>,
}

/// Readers of one election's caches, for any thread.
#[derive(Debug)]
pub struct ElectionReaders<S: Storage> {
    pub tiles: Tiles<S>,
    pub places: ColumnReader<S>,
}

impl<S: Storage> Clone for ElectionReaders<S> {
    fn clone(&self) -> Self {
        ElectionReaders { tiles: self.tiles.clone(), places: self.places.clone() }
    }
}

impl<S: Storage> ElectionReaders<S> {
    /// Where a leaf's opening stands; `None` for a leaf that is not there.
    pub fn place(&self, leaf: u64) -> std::io::Result<Option<Place>> {
        let mut row = Vec::with_capacity(Place::BYTES);
        let is_there = self.places.read(leaf, 1, &mut row)?;
        Ok(is_there.then(|| Place::from_bytes(row.first_chunk().expect("a whole row was read"))))
    }
}

impl<S: Storage> std::fmt::Debug for Caches<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Caches").field("elections", &self.elections.len()).finish_non_exhaustive()
    }
}

impl<S: Storage> Caches<S> {
    /// Opens the caches as they are; [`Caches::fit`] says whether they go with a snapshot.
    pub fn open(disks: &Disks<S>, ledger: LedgerId, threads: Threads) -> Result<Self, NodeError> {
        let storage = disks.cache.clone();
        let index = Index::open(disks.index.clone(), ledger, threads)?;
        let indexed = index.through().position;
        Ok(Caches {
            storage,
            elections: Vec::new(),
            index,
            indexed,
            waiting: Vec::new(),
            touched: BTreeSet::new(),
            unindexed: None,
            is_behind: false,
            has_lost_sync: false,
        })
    }

    /// Cuts every cache back to the snapshot's sizes; false where one holds less, so all must be made anew.
    pub fn fit(&mut self, snapshot: &Snapshot) -> Result<bool, NodeError> {
        if self.indexed < snapshot.point.position {
            return Ok(false);
        }
        self.remove_elections_from(snapshot.trees.len()).map_err(NodeError::Cache)?;
        for (index, tree) in snapshot.trees.iter().enumerate() {
            let election = ElectionIndex(u32::try_from(index).expect("elections are limited"));
            let cache = self.election(election)?;
            let size = tree.edge.size().0;
            if cache.tiles.whole_leaves() < size || cache.places.rows() < size {
                return Ok(false);
            }
            cache.tiles.truncate(size).map_err(NodeError::Cache)?;
            cache.places.truncate(size).map_err(NodeError::Cache)?;
        }
        Ok(true)
    }

    /// Elections made after a snapshot are replayed from nothing, so what an earlier process wrote of them must go.
    fn remove_elections_from(&self, first: usize) -> std::io::Result<()> {
        for file in self.storage.list()? {
            let number = file.name.strip_prefix(ELECTION_FILES).and_then(|rest| rest.split('.').next());
            if number.and_then(|number| number.parse().ok()).is_some_and(|number: usize| number >= first) {
                self.storage.remove(&file.name)?;
            }
        }
        Ok(())
    }

    /// Removes every file of the caches in `storage`.
    pub fn wipe(disks: &Disks<S>) -> Result<(), NodeError> {
        for storage in [&disks.cache, &disks.index] {
            for file in storage.list().map_err(NodeError::Cache)? {
                storage.remove(&file.name).map_err(NodeError::Cache)?;
            }
        }
        Ok(())
    }

    /// Takes in what an entry added, and writes it: one write per file touched, no sync.
    ///
    /// A cache that cannot be written (a full disk, say) stays behind and is written later: what is committed is
    /// committed. Until then proofs of the newest leaves cannot be read. What waits is bounded by what the ledger
    /// can still take in without room on the disk: one segment.
    pub fn write<T>(&mut self, point: LogPoint, effects: &mut Effects<T>) {
        let is_indexed = point.position <= self.indexed;
        for NewLeaf { election, leaf, hash, place, voter } in effects.leaves.drain(..) {
            let waiting = self.waiting(election);
            waiting.hashes.push_back((0, hash));
            waiting.rows.extend_from_slice(&place.to_bytes());
            if let Some(voter) = voter.filter(|_| !is_indexed) {
                self.index.insert(&voter.0, index_value(election, leaf));
            }
        }
        for (election, level, root) in effects.subtrees.drain(..) {
            self.waiting(election).hashes.push_back((level, root));
        }
        if !is_indexed {
            self.unindexed = Some(point);
        }
        for election in &effects.changed {
            self.touched.insert(*election);
        }
        self.catch_up();
    }

    /// Writes what waits, as far as the disk allows.
    pub fn catch_up(&mut self) {
        if let Err(error) = self.try_write() {
            if !self.is_behind {
                tracing::warn!(error = &error as &dyn std::error::Error, "caches stay behind for now");
            }
            self.is_behind = true;
        } else {
            self.is_behind = false;
        }
    }

    fn try_write(&mut self) -> Result<(), NodeError> {
        while let Some(election) = self.touched.first().copied() {
            self.election(election)?;
            let at = election.0 as usize;
            let ElectionCache { tiles, places } = &mut self.elections[at];
            if let Some(waiting) = self.waiting.get_mut(at) {
                while let Some((level, hash)) = waiting.hashes.front() {
                    tiles.push(*level, hash).map_err(NodeError::Cache)?;
                    waiting.hashes.pop_front();
                }
                tiles.publish().map_err(NodeError::Cache)?;
                places.append(&waiting.rows).map_err(NodeError::Cache)?;
                waiting.rows.clear();
            }
            self.touched.pop_first();
        }
        if let Some(point) = self.unindexed {
            self.index.advance(point)?;
            self.unindexed = None;
        }
        Ok(())
    }

    fn waiting(&mut self, election: ElectionIndex) -> &mut Waiting {
        let at = election.0 as usize;
        if self.waiting.len() <= at {
            self.waiting.resize_with(at + 1, Waiting::default);
        }
        &mut self.waiting[at]
    }

    pub fn readers(&mut self, election: ElectionIndex) -> Result<ElectionReaders<S>, NodeError> {
        let cache = self.election(election)?;
        Ok(ElectionReaders { tiles: cache.tiles.reader(), places: cache.places.reader() })
    }

    pub fn voters(&self) -> IndexReader<S> {
        self.index.reader()
    }

    /// Puts all caches on disk, then a snapshot that names their sizes. After a failed sync no later one succeeds: the
    /// next process reads the caches up to the last snapshot and makes the rest anew.
    pub fn snapshot(&mut self, snapshot: &Snapshot) -> Result<(), NodeError> {
        self.try_write()?;
        self.index.flush()?;
        self.sync()?;
        let bytes = snapshot.to_bytes();
        files::replace(&self.storage, SNAPSHOT, &[&bytes, &sha256(&[&bytes]).0]).map_err(NodeError::Cache)
    }

    fn sync(&mut self) -> Result<(), NodeError> {
        if self.has_lost_sync {
            return Err(NodeError::Cache(std::io::Error::other("an earlier sync has failed")));
        }
        let sync = |cache: &ElectionCache<S>| cache.tiles.sync().and_then(|()| cache.places.sync());
        let synced = self.elections.iter().try_for_each(sync);
        self.has_lost_sync = synced.is_err();
        synced.map_err(NodeError::Cache)
    }

    fn election(&mut self, election: ElectionIndex) -> Result<&mut ElectionCache<S>, NodeError> {
        let wanted = election.0 as usize;
        while self.elections.len() <= wanted {
            let name = format!("{ELECTION_FILES}{:06}", self.elections.len());
            let tiles =
                TileWriter::open(self.storage.clone(), format!("{name}.tile")).map_err(NodeError::Cache)?;
            let places = ColumnWriter::open(&self.storage, &format!("{name}.places"), Place::BYTES)
                .map_err(NodeError::Cache)?;
            self.elections.push(ElectionCache { tiles, places });
        }
        Ok(&mut self.elections[wanted])
    }
}

fn index_value(election: ElectionIndex, leaf: LeafIndex) -> u64 {
    assert!(leaf.0 < 1 << LEAF_BITS, "a tree has at most 256⁵ leaves");
    u64::from(election.0) << LEAF_BITS | leaf.0
}

/// The leaf behind an index value, if it is of this election.
pub fn leaf_of_value(value: u64, election: ElectionIndex) -> Option<u64> {
    (value >> LEAF_BITS == u64::from(election.0)).then_some(value & ((1 << LEAF_BITS) - 1))
}

/// A state and its trees' edges at one point of the log.
#[derive(Debug)]
pub struct Snapshot {
    pub point: LogPoint,
    pub hlc: u64,
    pub trees: Vec<SnapshotTree>,
    pub state: State,
}

#[derive(Debug)]
pub struct SnapshotTree {
    pub edge: Edge,
    pub acts: Vec<(LeafIndex, Arc<str>)>,
    pub closing_root: Option<Hash>,
}

#[derive(Serialize, Deserialize)]
struct SnapshotHead {
    ledger: election::LedgerId,
    position: u64,
    hash: Hash,
    hlc: u64,
    trees: Vec<HeadTree>,
}

#[derive(Serialize, Deserialize)]
struct HeadTree {
    size: u64,
    nodes: Vec<Hash>,
    acts: Vec<(u64, String)>,
    closing_root: Option<Hash>,
}

impl Snapshot {
    fn to_bytes(&self) -> Vec<u8> {
        let tree = |tree: &SnapshotTree| HeadTree {
            size: tree.edge.size().0,
            nodes: tree.edge.nodes().to_vec(),
            acts: tree.acts.iter().map(|(leaf, json)| (leaf.0, json.to_string())).collect(),
            closing_root: tree.closing_root,
        };
        let head = SnapshotHead {
            ledger: self.state.ledger.as_ref().expect("a snapshot is of a founded ledger").ledger,
            position: self.point.position.0,
            hash: self.point.hash,
            hlc: self.hlc,
            trees: self.trees.iter().map(tree).collect(),
        };
        let head = serde_json::to_vec(&head).expect("a snapshot's head holds nothing that JSON cannot");
        let mut bytes = SNAPSHOT_MAGIC.to_vec();
        bytes.extend_from_slice(&(head.len() as u64).to_be_bytes());
        bytes.extend_from_slice(&head);
        bytes.extend_from_slice(&self.state.to_snapshot());
        bytes
    }

    /// Reads the newest snapshot; `None` where there is none or it cannot be read, as it is only a cache.
    pub fn read<S: Storage>(storage: &S) -> Option<Snapshot> {
        let bytes = files::read(storage, SNAPSHOT).ok()??;
        let (body, sum) = bytes.split_last_chunk::<32>()?;
        if sha256(&[body]).0 != *sum {
            return None;
        }
        let rest = body.strip_prefix(SNAPSHOT_MAGIC)?;
        let (length, rest) = rest.split_first_chunk::<8>()?;
        let (head, state) = rest.split_at_checked(usize::try_from(u64::from_be_bytes(*length)).ok()?)?;
        let head: SnapshotHead = serde_json::from_slice(head).ok()?;
        let state = State::from_snapshot(state).ok()?;
        let trees = head.trees.into_iter().map(read_tree).collect::<Option<Vec<_>>>()?;
        let is_whole = trees.len() == state.elections().len()
            && state.ledger.as_ref().is_some_and(|facts| facts.ledger == head.ledger);
        let point = LogPoint { position: Position(head.position), hash: head.hash };
        is_whole.then_some(Snapshot { point, hlc: head.hlc, trees, state })
    }
}

fn read_tree(tree: HeadTree) -> Option<SnapshotTree> {
    let edge = Edge::from_nodes(TreeSize(tree.size), tree.nodes).ok()?;
    let acts = tree.acts.into_iter().map(|(leaf, json)| (LeafIndex(leaf), json.into())).collect();
    Some(SnapshotTree { edge, acts, closing_root: tree.closing_root })
}
