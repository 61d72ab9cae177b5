//! A second look at a record, taken only to place a fault or to make evidence.

use std::io::{BufRead, Seek};
use std::ops::Range;

use proof::receipt::Receipt;
use proof::{Edge, Hash, LeafKind, leaf_hash};

use crate::evidence::{Evidence, Found, SignedRecord};
use crate::form::{Header, Leaf, leaf_line};
use crate::lines::{LineError, Lines};
use crate::pass::{Pass, Rest, decode_base64url};
use crate::report::FINDINGS_MAX;
use crate::run::AuditError;

/// Goes through the leaves once more: leaf, ballots before it, and its opening (`Ok`) or act (`Err`).
pub fn look_again<R: BufRead + Seek>(
    record: &mut R,
    header: &Header,
    mut each: impl FnMut(u64, u64, Result<&[u8], &[u8]>),
) -> Result<(), AuditError> {
    record.rewind().map_err(AuditError::Read)?;
    let mut lines = Lines::unhashed(record);
    let mut opening = Vec::new();
    let mut ballots = 0;
    let before_leaves = 2 + header.roll;
    for number in 0..before_leaves + header.leaves {
        let line = match lines.next() {
            Ok(Some(line)) => line,
            Err(LineError::Read(error)) => return Err(AuditError::Read(error)),
            Ok(None) | Err(_) => break,
        };
        let Some(leaf) = number.checked_sub(before_leaves) else { continue };
        match leaf_line(line) {
            Some((_, Leaf::Act(json))) => each(leaf, ballots, Err(json)),
            Some((_, Leaf::Ballot(text))) => {
                decode_base64url(text, &mut opening);
                each(leaf, ballots, Ok(&opening));
                ballots += 1;
            }
            None => break,
        }
    }
    Ok(())
}

/// Evidence for the first receipts whose ballots are missing, with the inclusion proofs of what stands in their places.
pub fn gather<R: BufRead + Seek>(
    pass: &Pass,
    rest: &Rest,
    missing: &[&Receipt],
    record: &mut R,
) -> Result<Vec<Evidence>, AuditError> {
    let (Some(checkpoint), Some(key)) = (rest.checkpoints.last(), pass.acts.last_key(rest.end.node)) else {
        return Ok(Vec::new());
    };
    let size = pass.header.leaves;
    let missing = &missing[..missing.len().min(FINDINGS_MAX)];
    let mut paths: Vec<PathFinder> =
        missing.iter().map(|receipt| PathFinder::new(receipt.leaf_index.0, size)).collect();
    look_again(record, &pass.header, |leaf, _, opening| {
        let hash = match opening {
            Ok(opening) => leaf_hash(LeafKind::Ballot, opening),
            Err(act) => leaf_hash(LeafKind::Act, act),
        };
        paths.iter_mut().for_each(|path| path.leaf(leaf, hash));
    })?;
    let signed = SignedRecord {
        sha256: rest.end.sha256,
        node: rest.end.node,
        key: key.key,
        signature: rest.end.signature,
        leaves: size,
    };
    let evidence = missing.iter().zip(paths).map(|(receipt, path)| {
        let found =
            pass.seen.get(&receipt.leaf_index.0).map(|seen| Found { leaf: seen.hash, path: path.finish() });
        Evidence::new(receipt, signed.clone(), checkpoint.clone(), found)
    });
    Ok(evidence.collect())
}

/// Inclusion proof of one leaf, made while all leaves pass by: one edge for each subtree beside its way to the root.
struct PathFinder {
    /// Range of leaves and their tree so far, deepest first.
    siblings: Vec<(Range<u64>, Edge)>,
}

impl PathFinder {
    fn new(leaf: u64, size: u64) -> PathFinder {
        let mut siblings = Vec::new();
        let mut range = 0..size;
        while leaf < size && range.end - range.start > 1 {
            let middle = range.start + (range.end - range.start).next_power_of_two() / 2;
            let sibling = if leaf < middle { middle..range.end } else { range.start..middle };
            range = if leaf < middle { range.start..middle } else { middle..range.end };
            siblings.push((sibling, Edge::new()));
        }
        siblings.reverse();
        PathFinder { siblings }
    }

    fn leaf(&mut self, leaf: u64, hash: Hash) {
        if let Some((_, edge)) = self.siblings.iter_mut().find(|(range, _)| range.contains(&leaf)) {
            edge.append(hash);
        }
    }

    fn finish(self) -> Vec<Hash> {
        self.siblings.into_iter().map(|(_, edge)| edge.root()).collect()
    }
}
