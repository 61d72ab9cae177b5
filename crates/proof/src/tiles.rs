//! Proofs from stored hashes. Stored are, as in C2SP tlog-tiles with height 8, the leaves and the roots of all full
//! subtrees of 256, 65,536, … leaves; anything between is recomputed from at most 128 of them.

use std::ops::Range;

use crate::hash::{Hash, node_hash};
use crate::tree::{Edge, LeafIndex, TreeSize, fold_right};

/// Tree levels per tile level.
pub const TILE_HEIGHT: u32 = 8;

/// Hashes in a full tile.
pub const TILE_HASHES: usize = 1 << TILE_HEIGHT;

#[derive(Debug, thiserror::Error)]
pub enum TileError {
    #[error("the tree has {size} leaves, and leaf {leaf} was asked for")]
    NoSuchLeaf { leaf: LeafIndex, size: TreeSize },
    #[error("a proof from size {from} to the smaller size {to} was asked for")]
    Backwards { from: TreeSize, to: TreeSize },
    #[error("stored hashes {from} to {} of level {level} are missing", from + *count as u64)]
    Missing { level: u8, from: u64, count: usize },
    #[error("cannot read stored hashes of level {level} from {from}")]
    Read {
        level: u8,
        from: u64,
        #[source]
        source: std::io::Error,
    },
}

/// Reads stored hashes: level 0 = leaves, level 1 = roots of full 256-leaf subtrees, level 2 of 65,536, …
pub trait TileReader {
    /// Appends `count` hashes of `level`, starting with number `from`, to `out`. `count` is 1 to 128 and the range
    /// never crosses a multiple of 256, so it lies in one tile.
    fn hashes(&self, level: u8, from: u64, count: usize, out: &mut Vec<Hash>) -> Result<(), TileError>;
}

/// Every stored hash of one tree in memory, about 32.1 bytes a leaf. For tests and small trees.
#[derive(Clone, Debug, Default)]
pub struct MemoryTiles {
    edge: Edge,
    levels: Vec<Vec<Hash>>,
}

impl MemoryTiles {
    pub fn new() -> MemoryTiles {
        MemoryTiles { edge: Edge::new(), levels: vec![Vec::new(); 1 + (u64::BITS / TILE_HEIGHT) as usize] }
    }

    pub fn append(&mut self, leaf: Hash) {
        if self.levels.is_empty() {
            *self = MemoryTiles::new();
        }
        self.levels[0].push(leaf);
        let levels = &mut self.levels;
        self.edge.append_with(leaf, |level, hash| levels[level as usize].push(hash));
    }

    pub fn edge(&self) -> &Edge {
        &self.edge
    }
}

impl TileReader for MemoryTiles {
    fn hashes(&self, level: u8, from: u64, count: usize, out: &mut Vec<Hash>) -> Result<(), TileError> {
        let missing = TileError::Missing { level, from, count };
        let stored = self.levels.get(level as usize).map_or(&[][..], Vec::as_slice);
        let Ok(start) = usize::try_from(from) else { return Err(missing) };
        match stored.get(start..start.saturating_add(count)) {
            Some(hashes) => out.extend_from_slice(hashes),
            None => return Err(missing),
        }
        Ok(())
    }
}

/// Root of the first `size` leaves.
pub fn root_at(size: TreeSize, tiles: &impl TileReader) -> Result<Hash, TileError> {
    range_root(0..size.0, tiles)
}

/// Inclusion proof of `leaf` in the tree of the first `size` leaves, deepest hash first: RFC 9162 section 2.1.3.1.
///
/// At most 64 hashes; each costs at most 64 reads of up to 128 hashes and as many node hashes.
pub fn inclusion(size: TreeSize, leaf: LeafIndex, tiles: &impl TileReader) -> Result<Vec<Hash>, TileError> {
    if leaf.0 >= size.0 {
        return Err(TileError::NoSuchLeaf { leaf, size });
    }
    let mut path = Vec::new();
    let mut range = 0..size.0;
    while range.end - range.start > 1 {
        let middle = split(&range);
        if leaf.0 < middle {
            path.push(range_root(middle..range.end, tiles)?);
            range.end = middle;
        } else {
            path.push(range_root(range.start..middle, tiles)?);
            range.start = middle;
        }
    }
    path.reverse();
    Ok(path)
}

/// Consistency proof between the trees of the first `from` and the first `to` leaves: RFC 9162 section 2.1.4.1.
///
/// Empty where `from` is 0 or equals `to`.
pub fn consistency(from: TreeSize, to: TreeSize, tiles: &impl TileReader) -> Result<Vec<Hash>, TileError> {
    if from > to {
        return Err(TileError::Backwards { from, to });
    }
    if from.0 == 0 || from == to {
        return Ok(Vec::new());
    }
    let mut path = Vec::new();
    let mut range = 0..to.0;
    // Is the subtree of the old leaves in `range` the whole old tree? Then the verifier has its root already.
    let mut whole_old_tree = true;
    while range.end != from.0 {
        let middle = split(&range);
        if from.0 <= middle {
            path.push(range_root(middle..range.end, tiles)?);
            range.end = middle;
        } else {
            path.push(range_root(range.start..middle, tiles)?);
            range.start = middle;
            whole_old_tree = false;
        }
    }
    if !whole_old_tree {
        path.push(range_root(range, tiles)?);
    }
    path.reverse();
    Ok(path)
}

/// Where RFC 6962 splits `range` of at least two leaves: after the largest power of two below its length.
fn split(range: &Range<u64>) -> u64 {
    let length = range.end - range.start;
    range.start + (1 << (length - 1).ilog2())
}

/// Root over the leaves of `range`, which starts at a multiple of its largest perfect subtree, as all ranges of
/// RFC 6962 do.
fn range_root(range: Range<u64>, tiles: &impl TileReader) -> Result<Hash, TileError> {
    let mut subtrees = Vec::with_capacity(u64::BITS as usize);
    let mut start = range.start;
    while start < range.end {
        let height = (range.end - start).ilog2();
        subtrees.push(perfect_subtree(height, start >> height, tiles)?);
        start += 1 << height;
    }
    Ok(fold_right(&subtrees))
}

/// Root of subtree number `index` among those of 2^`height` leaves.
fn perfect_subtree(height: u32, index: u64, tiles: &impl TileReader) -> Result<Hash, TileError> {
    let (level, above_tile) = ((height / TILE_HEIGHT) as u8, height % TILE_HEIGHT);
    let count = 1 << above_tile;
    let mut hashes = Vec::with_capacity(count);
    let from = index << above_tile;
    tiles.hashes(level, from, count, &mut hashes)?;
    if hashes.len() != count {
        return Err(TileError::Missing { level, from, count });
    }
    while hashes.len() > 1 {
        for pair in 0..hashes.len() / 2 {
            hashes[pair] = node_hash(&hashes[2 * pair], &hashes[2 * pair + 1]);
        }
        hashes.truncate(hashes.len() / 2);
    }
    Ok(hashes[0])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests_common::{leaf, plain_consistency, plain_inclusion, plain_root};
    use crate::{verify_consistency, verify_inclusion};

    fn tiles_of(size: u64) -> (MemoryTiles, Vec<Hash>) {
        let leaves: Vec<Hash> = (0..size).map(leaf).collect();
        let mut tiles = MemoryTiles::new();
        leaves.iter().for_each(|leaf| tiles.append(*leaf));
        (tiles, leaves)
    }

    fn check_inclusion(tiles: &MemoryTiles, leaves: &[Hash], size: u64, index: u64) {
        let root = root_at(TreeSize(size), tiles).unwrap();
        let path = inclusion(TreeSize(size), LeafIndex(index), tiles).unwrap();
        verify_inclusion(&leaves[index as usize], LeafIndex(index), TreeSize(size), &path, &root)
            .unwrap_or_else(|error| panic!("leaf {index} of {size}: {error}"));
    }

    fn check_consistency(tiles: &MemoryTiles, from: u64, to: u64) {
        let path = consistency(TreeSize(from), TreeSize(to), tiles).unwrap();
        let old = root_at(TreeSize(from), tiles).unwrap();
        let new = root_at(TreeSize(to), tiles).unwrap();
        verify_consistency(TreeSize(from), &old, TreeSize(to), &new, &path)
            .unwrap_or_else(|error| panic!("{from} to {to}: {error}"));
    }

    #[test]
    fn every_proof_of_every_small_tree_is_that_of_the_definition_and_holds() {
        let (tiles, leaves) = tiles_of(70);
        for size in 1..=70 {
            let tree = &leaves[..size as usize];
            assert_eq!(root_at(TreeSize(size), &tiles).unwrap(), plain_root(tree));
            for index in 0..size {
                let path = inclusion(TreeSize(size), LeafIndex(index), &tiles).unwrap();
                assert_eq!(path, plain_inclusion(index as usize, tree));
                check_inclusion(&tiles, &leaves, size, index);
            }
            for from in 1..=size {
                let path = consistency(TreeSize(from), TreeSize(size), &tiles).unwrap();
                let expected = if from == size { Vec::new() } else { plain_consistency(from as usize, tree) };
                assert_eq!(path, expected, "{from} to {size}");
            }
            for from in 0..=size {
                check_consistency(&tiles, from, size);
            }
        }
    }

    #[test]
    fn proofs_hold_across_tile_boundaries() {
        let (tiles, leaves) = tiles_of(65_536 + 258);
        let sizes = [255, 256, 257, 511, 512, 513, 1_000, 65_535, 65_536, 65_537, 65_792, 65_793];
        for size in sizes {
            assert_eq!(
                root_at(TreeSize(size), &tiles).unwrap(),
                crate::merkle_root(&leaves[..size as usize])
            );
            for index in [0, 1, 127, 128, 254, 255, 256, 257, 511, 512, 65_535, 65_536, size - 1] {
                if index < size {
                    check_inclusion(&tiles, &leaves, size, index);
                }
            }
            for from in sizes.into_iter().filter(|from| *from <= size) {
                check_consistency(&tiles, from, size);
            }
        }
    }

    #[test]
    fn what_is_not_there_is_an_error() {
        let (tiles, _) = tiles_of(5);
        let no_leaf = inclusion(TreeSize(5), LeafIndex(5), &tiles).unwrap_err();
        assert_eq!(no_leaf.to_string(), "the tree has 5 leaves, and leaf 5 was asked for");
        assert!(matches!(root_at(TreeSize(6), &tiles), Err(TileError::Missing { .. })));
        let backwards = consistency(TreeSize(5), TreeSize(4), &tiles);
        assert!(matches!(backwards, Err(TileError::Backwards { .. })));
    }
}
