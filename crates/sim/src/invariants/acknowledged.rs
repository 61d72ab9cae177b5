//! Promise 1: an acknowledged ballot is where its receipt says it is, and in every later record.
//!
//! A receipt names a leaf and its hash. From then on, in every state, before and after every restart, that leaf must
//! have that hash in the tree, and the stored opening behind it must be the voter's very ballot.

use crate::ballots::Papers;
use crate::broken::{Broken, Promise};
use crate::lookup::{Served, opening_of};
use crate::model::{Leaf, Model};
use election::ElectionIndex;
use node::CastReceipt;
use proof::checkpoint::Checkpoint;
use proof::{
    Hash, LeafIndex, LeafKind, NodePublicKey, TileReader, TreeSize, consistency, inclusion, leaf_hash,
    merkle_root, verify_consistency, verify_inclusion,
};

const PROMISE: Promise = Promise::Acknowledged;

/// What a voter was told.
#[derive(Clone, Copy, Debug)]
pub struct Ack {
    /// The attempt that was answered; an earlier one may be the one at the leaf.
    pub paper: usize,
    pub leaf: u64,
    pub hash: Hash,
}

/// New leaves get the hash they must keep; acts are read from the node, ballots are known.
pub fn note_leaves(engine: &impl Served, model: &mut Model, papers: &Papers) -> Result<(), Broken> {
    for (index, election) in model.elections.iter_mut().enumerate() {
        for leaf in election.hashes.len()..election.leaves.len() {
            let hash = match election.leaves[leaf] {
                Leaf::Ballot(paper) => papers.get(paper).ballot.leaf,
                Leaf::Act(name) => act_hash(engine, index, leaf as u64, name)?,
            };
            election.hashes.push(hash);
        }
    }
    Ok(())
}

fn act_hash(engine: &impl Served, election: usize, leaf: u64, name: &str) -> Result<Hash, Broken> {
    let acts = &engine.core().tree(index_of(election)).acts;
    let act = acts.iter().find(|(at, _)| at.0 == leaf).map(|(_, json)| json);
    let is_expected = act.is_some_and(|json| json.starts_with(&format!(r#"{{"act":"{name}","#)));
    PROMISE.check(is_expected, || {
        format!("leaf {leaf} of election {election} is not the act `{name}`: {act:?}")
    })?;
    Ok(leaf_hash(LeafKind::Act, act.expect("just checked").as_bytes()))
}

/// Trees and stored openings of all elections, against what was first seen.
pub fn check_leaves(engine: &mut impl Served, model: &Model, papers: &Papers) -> Result<(), Broken> {
    for (index, election) in model.elections.iter().enumerate() {
        let root = engine.core().tree(index_of(index)).edge.root();
        PROMISE.check(root == merkle_root(&election.hashes), || {
            format!("the tree of election {index} has another root than its leaves")
        })?;
        let tiles = engine.readers(index_of(index)).map_err(|e| PROMISE.broken(e.to_string()))?.tiles;
        let mut hashes = Vec::new();
        let read = tiles.hashes(0, 0, election.hashes.len(), &mut hashes);
        PROMISE.check(read.is_ok() && hashes == election.hashes, || {
            format!("the tiles of election {index} do not hold its leaves: {read:?}")
        })?;
        PROMISE.check(tiles.rows(0) == election.hashes.len() as u64, || {
            format!(
                "the tiles of election {index} hold {} leaves of {}",
                tiles.rows(0),
                election.hashes.len()
            )
        })?;
        let root_of_tiles = proof::root_at(TreeSize(election.hashes.len() as u64), &tiles);
        PROMISE.check(root_of_tiles.as_ref().is_ok_and(|of_tiles| *of_tiles == root), || {
            format!("the tiles of election {index} have another root than its tree: {root_of_tiles:?}")
        })?;
        check_proofs(&tiles, &election.hashes, root)
            .map_err(|what| PROMISE.broken(format!("in election {index} {what}")))?;
        for (leaf, paper) in election.ballots() {
            let opening = opening_of(engine, index_of(index), leaf).map_err(|what| PROMISE.broken(what))?;
            PROMISE.check(opening == papers.get(paper).ballot.opening, || {
                format!("leaf {leaf} of election {index} is stored as another ballot")
            })?;
        }
    }
    Ok(())
}

/// A proof of one leaf, and of one earlier tree, as anybody may ask for them.
fn check_proofs(tiles: &impl TileReader, hashes: &[Hash], root: Hash) -> Result<(), String> {
    let (size, leaf, earlier) = (hashes.len(), hashes.len() / 2, hashes.len() * 2 / 3);
    if earlier == 0 {
        return Ok(());
    }
    let (to, from) = (TreeSize(size as u64), TreeSize(earlier as u64));
    let index = LeafIndex(leaf as u64);
    let path = inclusion(to, index, tiles).map_err(|error| error.to_string())?;
    verify_inclusion(&hashes[leaf], index, to, &path, &root)
        .map_err(|error| format!("leaf {leaf} of {size} has a wrong proof: {error}"))?;
    let path = consistency(from, to, tiles).map_err(|error| error.to_string())?;
    verify_consistency(from, &merkle_root(&hashes[..earlier]), to, &root, &path)
        .map_err(|error| format!("{earlier} leaves are not proved to be in {size}: {error}"))
}

/// Every acknowledgement ever given.
pub fn check_acks(model: &Model, papers: &Papers, acks: &[Ack]) -> Result<(), Broken> {
    acks.iter().try_for_each(|ack| check_ack(model, papers, ack))
}

fn check_ack(model: &Model, papers: &Papers, ack: &Ack) -> Result<(), Broken> {
    let wish = &papers.get(ack.paper).wish;
    let election = &model.elections[wish.election];
    let leaf = usize::try_from(ack.leaf).expect("few leaves");
    let is_there = election.hashes.get(leaf) == Some(&ack.hash);
    let is_mine = matches!(election.leaves.get(leaf), Some(Leaf::Ballot(paper))
        if papers.get(*paper).wish.voter == wish.voter && papers.get(*paper).wish.has_same_content(wish));
    PROMISE.check(is_there && is_mine, || {
        format!("paper {} was acknowledged at leaf {leaf} of election {}", ack.paper, wish.election)
    })
}

/// A receipt is signed by this node for exactly this ballot.
pub fn check_receipt(
    model: &Model,
    papers: &Papers,
    paper: usize,
    receipt: &CastReceipt,
    key: &NodePublicKey,
) -> Result<(), Broken> {
    let paper = papers.get(paper);
    let file = receipt.to_receipt();
    proof::receipt::verify(&file, Some(key)).map_err(|error| PROMISE.broken(error.to_string()))?;
    let is_mine = receipt.leaf == paper.ballot.leaf && paper.ballot.opening.starts_with(&receipt.nonce);
    PROMISE.check(is_mine && file.epoch == model.epoch, || "a receipt is for another ballot".to_owned())
}

/// A checkpoint is of a tree that is there.
pub fn check_checkpoint(
    model: &Model,
    election: ElectionIndex,
    note: &str,
    key: &NodePublicKey,
) -> Result<(), Broken> {
    let (checkpoint, _) =
        Checkpoint::verify(note, &[*key]).map_err(|error| PROMISE.broken(error.to_string()))?;
    let hashes = &model.elections[election.0 as usize].hashes;
    let size = usize::try_from(checkpoint.size.0).expect("few leaves");
    let is_true = hashes.get(..size).is_some_and(|leaves| merkle_root(leaves) == checkpoint.root);
    PROMISE.check(is_true, || {
        format!("a checkpoint of {size} leaves of election {} is of another tree", election.0)
    })
}

pub fn index_of(election: usize) -> ElectionIndex {
    ElectionIndex(u32::try_from(election).expect("few elections"))
}
