//! Verifiers of inclusion and consistency proofs, written from the algorithms of RFC 9162 and not from the provers.

use crate::hash::{Hash, node_hash, sha256};
use crate::tree::{LeafIndex, TreeSize};

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    #[error("leaf {leaf} is not in a tree of {size} leaves")]
    NoSuchLeaf { leaf: LeafIndex, size: TreeSize },
    #[error("the later tree, of {to} leaves, is smaller than the earlier, of {from}")]
    Backwards { from: TreeSize, to: TreeSize },
    #[error("the proof has a wrong number of hashes ({0})")]
    Length(usize),
    #[error("the proof leads to another root than that of the earlier tree")]
    OldRoot,
    #[error("the proof leads to another root")]
    Root,
}

/// Does `path` lead from `leaf` at `index` to `root` of the tree of `size` leaves? RFC 9162 section 2.1.3.2.
pub fn verify_inclusion(
    leaf: &Hash,
    index: LeafIndex,
    size: TreeSize,
    path: &[Hash],
    root: &Hash,
) -> Result<(), ProofError> {
    if index.0 >= size.0 {
        return Err(ProofError::NoSuchLeaf { leaf: index, size });
    }
    let mut position = index.0;
    let mut last = size.0 - 1;
    let mut node = *leaf;
    for sibling in path {
        if last == 0 {
            return Err(ProofError::Length(path.len()));
        }
        if position & 1 == 1 || position == last {
            node = node_hash(sibling, &node);
            // On the right edge, levels without a sibling are passed over.
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            node = node_hash(&node, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(path.len()));
    }
    if node == *root { Ok(()) } else { Err(ProofError::Root) }
}

/// Is the tree of `to` leaves with `new_root` a continuation of that of `from` leaves with `old_root`?
/// RFC 9162 section 2.1.4.2.
///
/// Every tree continues the empty one, and a tree itself; both with an empty proof.
pub fn verify_consistency(
    from: TreeSize,
    old_root: &Hash,
    to: TreeSize,
    new_root: &Hash,
    path: &[Hash],
) -> Result<(), ProofError> {
    if from > to {
        return Err(ProofError::Backwards { from, to });
    }
    if from.0 == 0 || from == to {
        let expected_old = if from.0 == 0 { &sha256(&[]) } else { new_root };
        return match (path.is_empty(), old_root == expected_old) {
            (false, _) => Err(ProofError::Length(path.len())),
            (true, false) => Err(ProofError::OldRoot),
            (true, true) => Ok(()),
        };
    }
    // Where the old tree is one perfect subtree, its root starts the path and is not repeated in it.
    let mut siblings = path.iter();
    let start = if from.0.is_power_of_two() { Some(old_root) } else { siblings.next() };
    let Some(start) = start else { return Err(ProofError::Length(path.len())) };
    let shift = (from.0 - 1).trailing_ones();
    let mut position = (from.0 - 1) >> shift;
    let mut last = (to.0 - 1) >> shift;
    let (mut old, mut new) = (*start, *start);
    for sibling in siblings {
        if last == 0 {
            return Err(ProofError::Length(path.len()));
        }
        if position & 1 == 1 || position == last {
            old = node_hash(sibling, &old);
            new = node_hash(sibling, &new);
            while position & 1 == 0 && position != 0 {
                position >>= 1;
                last >>= 1;
            }
        } else {
            new = node_hash(&new, sibling);
        }
        position >>= 1;
        last >>= 1;
    }
    if last != 0 {
        return Err(ProofError::Length(path.len()));
    }
    match (old == *old_root, new == *new_root) {
        (false, _) => Err(ProofError::OldRoot),
        (true, false) => Err(ProofError::Root),
        (true, true) => Ok(()),
    }
}
