//! The right edge of an RFC 6962 tree: all that a growing tree must remember.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::{Hash, node_hash, sha256};
use crate::tiles::TILE_HEIGHT;

/// Position of a leaf in its tree, counted from 0. Officers' acts are leaves too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LeafIndex(pub u64);

/// Number of leaves of a tree.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TreeSize(pub u64);

impl fmt::Display for LeafIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for TreeSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of nodes does not fit the size: an edge has one node per set bit of its size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {} edge nodes, not {nodes}", size.0.count_ones())]
pub struct EdgeError {
    pub size: TreeSize,
    pub nodes: usize,
}

/// Right edge of an RFC 6962 tree: the roots of its largest perfect subtrees, left to right. At most 64 hashes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Edge {
    size: u64,
    /// Largest subtree first; as many as `size` has set bits.
    nodes: Vec<Hash>,
}

impl Edge {
    pub fn new() -> Edge {
        Edge { size: 0, nodes: Vec::with_capacity(u64::BITS as usize) }
    }

    /// Takes up an edge that was stored: `nodes` as given by [`Edge::nodes`].
    pub fn from_nodes(size: TreeSize, mut nodes: Vec<Hash>) -> Result<Edge, EdgeError> {
        if nodes.len() != size.0.count_ones() as usize {
            return Err(EdgeError { size, nodes: nodes.len() });
        }
        nodes.reserve(u64::BITS as usize - nodes.len());
        Ok(Edge { size: size.0, nodes })
    }

    /// Adds a leaf hash. Amortised one [`node_hash`], at most 64; never allocates.
    pub fn append(&mut self, leaf: Hash) {
        self.append_with(leaf, |_, _| ());
    }

    /// Adds a leaf hash and reports each stored hash it completes: `(1, root of the last 256 leaves)`, then
    /// `(2, root of the last 65,536)` and so on, as [`crate::TileReader`] levels. The leaf itself is level 0 and is
    /// not reported.
    #[inline]
    pub fn append_with(&mut self, leaf: Hash, mut completed: impl FnMut(u8, Hash)) {
        let mut node = leaf;
        // A carry in the binary number `size`: each trailing one joins two equal subtrees.
        for height in 1..=self.size.trailing_ones() {
            let left = self.nodes.pop().expect("one node per set bit of the size");
            node = node_hash(&left, &node);
            if height % TILE_HEIGHT == 0 {
                completed((height / TILE_HEIGHT) as u8, node);
            }
        }
        self.nodes.push(node);
        self.size += 1;
    }

    pub fn size(&self) -> TreeSize {
        TreeSize(self.size)
    }

    /// Roots of the perfect subtrees, largest first: one per set bit of the size.
    pub fn nodes(&self) -> &[Hash] {
        &self.nodes
    }

    /// Root hash, RFC 6962 section 2.1; of an empty tree the hash of the empty string. At most 63 node hashes.
    pub fn root(&self) -> Hash {
        fold_right(&self.nodes)
    }
}

/// Root over subtrees given left to right, where everything right of a subtree is smaller than it.
pub(crate) fn fold_right(subtrees: &[Hash]) -> Hash {
    let mut from_right = subtrees.iter().rev();
    match from_right.next() {
        None => sha256(&[]),
        Some(last) => from_right.fold(*last, |right, left| node_hash(left, &right)),
    }
}

/// Merkle tree hash of the leaf hashes, RFC 6962 section 2.1; of none: `H("")`.
pub fn merkle_root(leaves: &[Hash]) -> Hash {
    let mut edge = Edge::new();
    for leaf in leaves {
        edge.append(*leaf);
    }
    edge.root()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_common::{leaf, plain_root};

    #[test]
    fn the_edge_has_the_root_of_the_definition_at_every_size() {
        let leaves: Vec<Hash> = (0..600).map(leaf).collect();
        let mut edge = Edge::new();
        for size in 0..leaves.len() {
            assert_eq!(edge.root(), plain_root(&leaves[..size]), "size {size}");
            assert_eq!(edge.nodes().len() as u32, (size as u64).count_ones());
            let again = Edge::from_nodes(edge.size(), edge.nodes().to_vec()).unwrap();
            assert_eq!(again, edge);
            edge.append(leaves[size]);
        }
        assert_eq!(merkle_root(&leaves), edge.root());
    }

    #[test]
    fn every_full_subtree_of_256_and_65536_leaves_is_reported_once() {
        let leaves: Vec<Hash> = (0..65_536 + 300).map(leaf).collect();
        let mut edge = Edge::new();
        let mut reported = Vec::new();
        for leaf in &leaves {
            edge.append_with(*leaf, |level, hash| reported.push((level, hash)));
        }
        let mut expected: Vec<(u8, Hash)> =
            leaves.chunks_exact(256).map(|tile| (1, merkle_root(tile))).collect();
        expected.insert(256, (2, merkle_root(&leaves[..65_536])));
        assert_eq!(reported, expected);
    }

    #[test]
    fn an_edge_with_a_wrong_number_of_nodes_is_refused() {
        let refused = Edge::from_nodes(TreeSize(5), vec![Hash::ZERO]);
        assert_eq!(refused, Err(EdgeError { size: TreeSize(5), nodes: 1 }));
        assert_eq!(refused.unwrap_err().to_string(), "a tree of 5 leaves has 2 edge nodes, not 1");
    }
}
