//! Any change to a proof, its sizes, positions or hashes is refused.

use proof::{
    Hash, LeafIndex, MemoryTiles, TreeSize, consistency, inclusion, root_at, sha256, verify_consistency,
    verify_inclusion,
};
use proptest::prelude::*;

const LEAVES: u64 = 1_100;

fn leaf(number: u64) -> Hash {
    sha256(&[b"leaf", &number.to_be_bytes()])
}

fn tiles() -> &'static MemoryTiles {
    static TILES: std::sync::OnceLock<MemoryTiles> = std::sync::OnceLock::new();
    TILES.get_or_init(|| {
        let mut tiles = MemoryTiles::new();
        (0..LEAVES).for_each(|number| tiles.append(leaf(number)));
        tiles
    })
}

fn flip(hash: &mut Hash, bit: usize) {
    hash.0[bit / 8 % 32] ^= 1 << (bit % 8);
}

proptest! {
    #[test]
    fn a_tampered_inclusion_proof_is_refused(size in 1..=LEAVES, pick: u64, bit: usize, other: u64) {
        let index = pick % size;
        let root = root_at(TreeSize(size), tiles()).unwrap();
        let path = inclusion(TreeSize(size), LeafIndex(index), tiles()).unwrap();
        let holds = |leaf: &Hash, index: u64, path: &[Hash], root: &Hash| {
            verify_inclusion(leaf, LeafIndex(index), TreeSize(size), path, root).is_ok()
        };
        prop_assert!(holds(&leaf(index), index, &path, &root));

        let mut wrong_leaf = leaf(index);
        flip(&mut wrong_leaf, bit);
        prop_assert!(!holds(&wrong_leaf, index, &path, &root));
        let mut wrong_root = root;
        flip(&mut wrong_root, bit);
        prop_assert!(!holds(&leaf(index), index, &path, &wrong_root));
        prop_assert!(other % (size + 3) == index || !holds(&leaf(index), other % (size + 3), &path, &root));
        if !path.is_empty() {
            let mut wrong_path = path.clone();
            flip(&mut wrong_path[bit % path.len()], bit / 7);
            prop_assert!(!holds(&leaf(index), index, &wrong_path, &root));
            prop_assert!(!holds(&leaf(index), index, &path[1..], &root));
            prop_assert!(!holds(&leaf(index), index, &path[..path.len() - 1], &root));
        }
        let mut longer = path.clone();
        longer.push(root);
        prop_assert!(!holds(&leaf(index), index, &longer, &root));
    }

    #[test]
    fn a_tampered_consistency_proof_is_refused(to in 2..=LEAVES, pick: u64, bit: usize) {
        let from = 1 + pick % (to - 1);
        let old = root_at(TreeSize(from), tiles()).unwrap();
        let new = root_at(TreeSize(to), tiles()).unwrap();
        let path = consistency(TreeSize(from), TreeSize(to), tiles()).unwrap();
        let holds = |old: &Hash, new: &Hash, path: &[Hash]| {
            verify_consistency(TreeSize(from), old, TreeSize(to), new, path).is_ok()
        };
        prop_assert!(holds(&old, &new, &path));

        let (mut wrong_old, mut wrong_new, mut wrong_path) = (old, new, path.clone());
        flip(&mut wrong_old, bit);
        flip(&mut wrong_new, bit);
        flip(&mut wrong_path[bit % path.len()], bit / 7);
        prop_assert!(!holds(&wrong_old, &new, &path));
        prop_assert!(!holds(&old, &wrong_new, &path));
        prop_assert!(!holds(&old, &new, &wrong_path));
        prop_assert!(!holds(&old, &new, &path[1..]));
        prop_assert!(!holds(&old, &new, &path[..path.len() - 1]));
        let mut longer = path.clone();
        longer.push(new);
        prop_assert!(!holds(&old, &new, &longer));
    }
}
