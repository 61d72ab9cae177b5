//! A voter's own entry, found on disk: what a repeated request and "have I voted?" are answered from.

use crate::caches::leaf_of_value;
use crate::core::{BulkAnswer, BulkReceipt, Repeat, SubmitError};
use crate::receipt::CastReceipt;
use crate::views::{ElectionHandle, ReadError};
use election::ballot::Opening;
use election::{LeafIndex, Rejection, UnixMillis, VoterTag};
use ledger::FileStorage;
use ledger::index::IndexReader;
use proof::receipt::BatchSigner;
use proof::{LeafKind, leaf_hash};
use std::sync::Arc;

/// Leaves of a voter's ballots in one election, oldest first.
pub fn leaves_of(
    election: &ElectionHandle,
    voters: &IndexReader<FileStorage>,
    voter: VoterTag,
) -> Result<Vec<u64>, ReadError> {
    let mut values = Vec::new();
    voters.lookup(&voter.0, &mut values)?;
    Ok(values.into_iter().filter_map(|value| leaf_of_value(value, election.index)).collect())
}

/// Answers a request that was refused because its voter has voted: if the voter's entry carries the same key and
/// the same content, it is the same request, and gets a receipt for the same leaf.
pub fn resolve(
    election: &ElectionHandle,
    voters: &IndexReader<FileStorage>,
    repeat: &Repeat,
    now: UnixMillis,
) -> Result<CastReceipt, SubmitError> {
    let unreadable = |error: ReadError| {
        if let ReadError::NoSuchLeaf { .. } = error {
            // It counts, and the caches stay behind for now: a full disk. Here, later, or elsewhere it is found.
            return SubmitError::NotKnownYet;
        }
        tracing::error!(error = &error as &dyn std::error::Error, "a voter's entry cannot be read");
        SubmitError::Unreadable
    };
    let leaves = match repeat.rejection {
        Rejection::KeySeen(leaf) => vec![leaf.0],
        _ => leaves_of(election, voters, repeat.tag).map_err(unreadable)?,
    };
    for leaf in leaves {
        let stored = election.ballot_opening(leaf).map_err(unreadable)?;
        // A bit that has flipped on the disk must not make another ballot of it.
        let is_sound = leaf_hash(LeafKind::Ballot, &stored) == election.leaf(leaf).map_err(unreadable)?;
        if !is_sound {
            return Err(unreadable(ReadError::Mismatch));
        }
        match compare(&stored, repeat) {
            Compared::OtherKey => {}
            Compared::OtherContent => return Err(SubmitError::IdempotencyKeyReused),
            Compared::Same => return receipt_of(election, leaf, &stored, now).map_err(unreadable),
        }
    }
    Err(SubmitError::Rejected(repeat.rejection.clone()))
}

/// As [`resolve`], for one line of a bulk request.
pub fn resolve_line(
    election: &ElectionHandle,
    voters: &IndexReader<FileStorage>,
    repeat: &Repeat,
    now: UnixMillis,
) -> BulkAnswer {
    match resolve(election, voters, repeat, now) {
        Ok(receipt) => BulkAnswer::Accepted(BulkReceipt {
            leaf_index: receipt.leaf_index,
            ballot_index: receipt.ballot_index,
            receipt: Some(receipt),
        }),
        Err(error) => BulkAnswer::Refused(error),
    }
}

/// A receipt for a ballot that is in the tree, signed anew as a batch of one.
pub fn receipt_of(
    election: &ElectionHandle,
    leaf: u64,
    opening: &[u8],
    now: UnixMillis,
) -> Result<CastReceipt, ReadError> {
    let hash = leaf_hash(LeafKind::Ballot, opening);
    if election.leaf(leaf)? != hash {
        return Err(ReadError::Mismatch);
    }
    let context = election.context.load_full();
    let mut signer = BatchSigner::new();
    let index = signer.push(&context.statement(LeafIndex(leaf), hash));
    let batch = signer.sign(&election.keys.node).expect("one statement was pushed");
    let acts_before = election.view().acts.partition_point(|(act, _)| act.0 < leaf);
    Ok(CastReceipt {
        context,
        batch: Arc::new(batch),
        index,
        leaf_index: leaf,
        ballot_index: leaf - acts_before as u64,
        leaf: hash,
        nonce: *opening.first_chunk().ok_or(ReadError::Mismatch)?,
        at: now,
        is_repeat: true,
    })
}

enum Compared {
    OtherKey,
    OtherContent,
    Same,
}

fn compare(stored: &[u8], repeat: &Repeat) -> Compared {
    let (Ok(stored), Ok(sent)) = (Opening::parse(stored), Opening::parse(&repeat.opening)) else {
        return Compared::OtherKey;
    };
    let is_mine = stored.fields.voter == repeat.tag && stored.fields.key == repeat.key;
    let (a, b) = (stored.fields.extras, sent.fields.extras);
    let is_same = stored.body == sent.body && a.group == b.group && a.weight == b.weight;
    match (is_mine, is_same) {
        (false, _) => Compared::OtherKey,
        (true, false) => Compared::OtherContent,
        (true, true) => Compared::Same,
    }
}
