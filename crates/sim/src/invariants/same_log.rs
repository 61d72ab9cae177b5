//! All nodes have one history: what any has applied, every other applies at the same place (Ongaro 2014, figure 3.2:
//! state machine safety), and nothing was ever signed over an entry that was replaced later (design, "Evidence":
//! a checkpoint is of a tree that stays a beginning of every later one).
//!
//! The model has folded each entry when the first node applied it. Every leaf, every tree and every signed checkpoint of
//! every node is held against that, and whole states against each other.

use crate::broken::{Broken, Promise};
use crate::invariants::acknowledged::index_of;
use crate::lookup::SimReplica;
use crate::model::Model;
use cluster::NodeId;
use election::ElectionIndex;
use ledger::{LogReader, Position, Scan};
use node::core::Effects;
use proof::checkpoint::Checkpoint;
use proof::{Edge, Hash, NodePublicKey};

const PROMISE: Promise = Promise::SameLog;

/// The root of every tree at every size.
#[derive(Debug, Default)]
pub struct Roots {
    edges: Vec<Edge>,
    roots: Vec<Vec<Hash>>,
}

impl Roots {
    /// Takes the leaves that the model has and this has not.
    pub fn grow(&mut self, model: &Model) {
        for (index, election) in model.elections.iter().enumerate() {
            if index == self.edges.len() {
                self.edges.push(Edge::new());
                self.roots.push(vec![Edge::new().root()]);
            }
            for hash in &election.hashes[self.roots[index].len() - 1..] {
                self.edges[index].append(*hash);
                self.roots[index].push(self.edges[index].root());
            }
        }
    }

    fn at(&self, election: ElectionIndex, size: u64) -> Option<&Hash> {
        self.roots.get(election.0 as usize)?.get(usize::try_from(size).ok()?)
    }
}

/// The leaves and trees that a turn has brought to a node.
pub fn check_turn(
    model: &Model,
    roots: &Roots,
    id: NodeId,
    replica: &SimReplica,
    effects: &Effects<u64>,
) -> Result<(), Broken> {
    for leaf in &effects.leaves {
        let hashes = &model.elections[leaf.election.0 as usize].hashes;
        let is_same = hashes.get(leaf.leaf.0 as usize) == Some(&leaf.hash);
        PROMISE.check(is_same, || {
            format!("leaf {} of election {} is another one on node {id}", leaf.leaf.0, leaf.election.0)
        })?;
    }
    for election in &effects.changed {
        let edge = &replica.core().tree(*election).edge;
        PROMISE.check(roots.at(*election, edge.size().0) == Some(&edge.root()), || {
            format!("the tree of election {} is another one on node {id}", election.0)
        })?;
    }
    Ok(())
}

/// A checkpoint is of a tree that everybody has; with a key, its signature is checked too.
pub fn check_checkpoint(
    roots: &Roots,
    election: ElectionIndex,
    note: &str,
    key: Option<&NodePublicKey>,
) -> Result<(), Broken> {
    let checkpoint = match key {
        Some(key) => Checkpoint::verify(note, &[*key]).map(|(checkpoint, _)| checkpoint),
        None => Checkpoint::parse(note),
    };
    let checkpoint = checkpoint.map_err(|error| PROMISE.broken(error.to_string()))?;
    PROMISE.check(roots.at(election, checkpoint.size.0) == Some(&checkpoint.root), || {
        format!("a checkpoint of {} leaves of election {} is of another tree", checkpoint.size.0, election.0)
    })
}

/// Two nodes that have applied equally much.
pub fn check_equal(model: &Model, a: &SimReplica, b: &SimReplica) -> Result<(), Broken> {
    let is_equal = a.core().state().to_snapshot() == b.core().state().to_snapshot();
    PROMISE.check(is_equal, || format!("two nodes differ at entry {}", a.applied()))?;
    for index in 0..model.elections.len().min(a.core().state().elections().len()) {
        let (left, right) = (a.core().tree(index_of(index)), b.core().tree(index_of(index)));
        let is_equal = left.edge.nodes() == right.edge.nodes()
            && left.edge.size() == right.edge.size()
            && left.acts == right.acts
            && left.closing_root == right.closing_root;
        PROMISE.check(is_equal, || format!("two nodes differ in tree {index}"))?;
    }
    Ok(())
}

/// The hash of the last entry stands for all before it.
pub fn check_chains<'a>(model: &Model, replicas: impl Iterator<Item = &'a SimReplica>) -> Result<(), Broken> {
    for replica in replicas {
        let mut scan = replica.reader().scan(Position(model.position));
        let last = scan.next().map_err(|error| PROMISE.broken(error.to_string()))?;
        let hash = last.map(|entry| entry.hash);
        PROMISE.check(hash == model.hash, || {
            format!(
                "entry {} is another one on {replica:?}: {}",
                model.position,
                replica.reader().committed()
            )
        })?;
    }
    Ok(())
}
