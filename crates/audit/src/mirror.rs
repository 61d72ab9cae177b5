//! Following a vote from outside: does each new checkpoint continue the one kept before?

use proof::checkpoint::{Checkpoint, CheckpointError, Origin};
use proof::{Hash, NodePublicKey, ProofError, TreeSize, verify_consistency};

/// What a new checkpoint is, next to the one kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The first one: to be kept.
    First(Checkpoint),
    /// The same tree; nothing new.
    Same,
    /// The tree has grown, and continues the one kept: to be kept.
    Grown { from: TreeSize, now: Checkpoint },
}

/// Why a new checkpoint does not continue the one kept. All but `Malformed` and `Unsigned` are evidence, as both notes
/// are signed: keep both.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Inconsistent {
    #[error("the checkpoint cannot be read or is not signed by a known node: {0}")]
    Note(#[source] CheckpointError),
    #[error("the checkpoint is of `{new}`, and the one kept of `{kept}`")]
    Elsewhere { kept: Origin, new: Origin },
    #[error("the epoch went back from {kept} to {new}")]
    EpochBack { kept: u32, new: u32 },
    #[error("the tree shrank from {kept} to {new} leaves: ballots were taken back")]
    Shrunk { kept: TreeSize, new: TreeSize },
    #[error("the tree of {new} leaves does not continue the one of {kept}: history was changed ({why})")]
    Forked { kept: TreeSize, new: TreeSize, why: ProofError },
}

/// The tree that a new note continues from: what a consistency proof is to be asked for. Sizes are equal, or the kept
/// one is smaller; anything else needs no proof to be refused.
pub fn proof_needed(kept: &Checkpoint, new: &Checkpoint) -> Option<(TreeSize, TreeSize)> {
    (kept.size < new.size && kept.size.0 > 0).then_some((kept.size, new.size))
}

/// Compares `new`, a signed note, with the checkpoint kept before. `proof` is the consistency proof between their
/// sizes, empty where [`proof_needed`] asks for none; `keys` are the nodes' keys as the mirror knows them.
///
/// A new epoch (a restored backup) is consistent as long as the tree goes on; where it lost leaves it is not.
pub fn step(
    kept: Option<&Checkpoint>,
    new: &str,
    proof: &[Hash],
    keys: &[NodePublicKey],
) -> Result<Step, Inconsistent> {
    let (new, _) = Checkpoint::verify(new, keys).map_err(Inconsistent::Note)?;
    let Some(kept) = kept else { return Ok(Step::First(new)) };
    let tree = |origin: &Origin| (origin.ledger, origin.election, origin.shard);
    if tree(&kept.origin) != tree(&new.origin) {
        return Err(Inconsistent::Elsewhere { kept: kept.origin, new: new.origin });
    }
    if new.origin.epoch < kept.origin.epoch {
        return Err(Inconsistent::EpochBack { kept: kept.origin.epoch, new: new.origin.epoch });
    }
    if new.size < kept.size {
        return Err(Inconsistent::Shrunk { kept: kept.size, new: new.size });
    }
    verify_consistency(kept.size, &kept.root, new.size, &new.root, proof)
        .map_err(|why| Inconsistent::Forked { kept: kept.size, new: new.size, why })?;
    let is_same = new.size == kept.size;
    Ok(if is_same { Step::Same } else { Step::Grown { from: kept.size, now: new } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::{MemoryTiles, NodeKey, Secret, consistency, root_at, sha256};

    fn key() -> NodeKey {
        NodeKey::new(1, &Secret::from_bytes([5; 32]))
    }

    fn tiles(seed: u8, size: u64) -> MemoryTiles {
        let mut tiles = MemoryTiles::new();
        (0..size).for_each(|leaf| tiles.append(sha256(&[&[seed], &leaf.to_be_bytes()])));
        tiles
    }

    fn at(tiles: &MemoryTiles, epoch: u32, size: u64) -> Checkpoint {
        let origin = Origin { ledger: [1; 16], epoch, election: [2; 16], shard: 0 };
        Checkpoint { origin, size: TreeSize(size), root: root_at(TreeSize(size), tiles).unwrap() }
    }

    #[test]
    fn a_growing_tree_is_followed_from_step_to_step() {
        let tiles = tiles(1, 20);
        let keys = [key().public()];
        let first = at(&tiles, 1, 7);
        assert_eq!(step(None, &first.sign(&key()), &[], &keys), Ok(Step::First(first)));
        assert_eq!(step(Some(&first), &first.sign(&key()), &[], &keys), Ok(Step::Same));
        let next = at(&tiles, 2, 20);
        assert_eq!(proof_needed(&first, &next), Some((TreeSize(7), TreeSize(20))));
        let proof = consistency(TreeSize(7), TreeSize(20), &tiles).unwrap();
        let grown = Step::Grown { from: TreeSize(7), now: next };
        assert_eq!(step(Some(&first), &next.sign(&key()), &proof, &keys), Ok(grown));
    }

    #[test]
    fn another_history_is_noticed() {
        let (tiles, others) = (tiles(1, 20), tiles(2, 20));
        let keys = [key().public()];
        let kept = at(&tiles, 2, 7);
        let refused = |new: &Checkpoint, proof: &[Hash]| {
            step(Some(&kept), &new.sign(&key()), proof, &keys).unwrap_err()
        };
        let forked = at(&others, 2, 20);
        let proof = consistency(TreeSize(7), TreeSize(20), &others).unwrap();
        assert!(matches!(refused(&forked, &proof), Inconsistent::Forked { .. }));
        assert!(matches!(refused(&at(&others, 2, 7), &[]), Inconsistent::Forked { .. }));
        assert!(matches!(refused(&at(&tiles, 2, 6), &[]), Inconsistent::Shrunk { .. }));
        assert!(matches!(refused(&at(&tiles, 1, 20), &[]), Inconsistent::EpochBack { .. }));
        let mut elsewhere = at(&tiles, 2, 20);
        elsewhere.origin.election = [3; 16];
        assert!(matches!(refused(&elsewhere, &[]), Inconsistent::Elsewhere { .. }));
        let stranger = NodeKey::new(1, &Secret::from_bytes([6; 32]));
        let unsigned = step(Some(&kept), &at(&tiles, 2, 20).sign(&stranger), &[], &keys);
        assert!(matches!(unsigned, Err(Inconsistent::Note(_))));
    }
}
