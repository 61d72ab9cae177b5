//! Receipts that somebody kept: is each ballot in the record, where its receipt says?

use std::collections::HashMap;

use proof::receipt::{self, Receipt};
use proof::{Hash, LeafIndex};

use crate::acts::Acts;
use crate::form::Header;
use crate::report::{Check, Finding, Verdicts};
use crate::run::Kept;

/// A leaf of the record that a receipt asks for.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    pub hash: Hash,
    /// Of a ballot; `None` for an act.
    pub nonce: Option<[u8; 32]>,
}

/// Receipts as far as they can be read.
pub struct Receipts<'a> {
    read: Vec<(&'a str, Result<Receipt, String>)>,
}

impl<'a> Receipts<'a> {
    pub fn read(kept: &'a [Kept]) -> Receipts<'a> {
        let read = |kept: &'a Kept| {
            let receipt = serde_json::from_str(&kept.text).map_err(|error| error.to_string());
            (kept.name.as_str(), receipt)
        };
        Receipts { read: kept.iter().map(read).collect() }
    }

    /// Leaves to look out for.
    pub fn leaves(&self) -> impl Iterator<Item = u64> {
        self.readable().map(|receipt| receipt.leaf_index.0)
    }

    /// Those that can be read.
    pub fn readable(&self) -> impl Iterator<Item = &Receipt> {
        self.read.iter().filter_map(|(_, receipt)| receipt.as_ref().ok())
    }

    /// Check 18. Returns the valid receipts whose ballots are not in the record.
    pub fn check(
        &self,
        header: &Header,
        acts: &Acts,
        seen: &HashMap<u64, Seen>,
        verdicts: &mut Verdicts,
    ) -> Vec<&Receipt> {
        if self.read.is_empty() {
            verdicts.skip(Check::Receipts, "no receipt was given");
        }
        let mut missing = Vec::new();
        for (name, receipt) in &self.read {
            let fault = match receipt {
                Err(error) => Err(format!("this is not a receipt: {error}")),
                Ok(receipt) => check_signed(receipt, header, acts).and_then(|()| {
                    let is_there = check_there(receipt, seen);
                    if is_there.is_err() {
                        missing.push(receipt);
                    }
                    is_there.and_then(|seen| check_leaf(receipt, acts, seen))
                }),
            };
            if let Err(what) = fault {
                verdicts.fail(Check::Receipts, Finding::new(format!("{name}: {what}")));
            }
        }
        missing
    }
}

/// Is it a valid receipt of this election, by a node that the record's acts name?
fn check_signed(receipt: &Receipt, header: &Header, acts: &Acts) -> Result<(), String> {
    let of_this_election = receipt.ledger == header.ledger
        && receipt.election == header.election
        && receipt.shard == header.shard
        && receipt.definition == header.definition_hash;
    if !of_this_election {
        return Err("it is of another ledger, election, shard or definition".to_owned());
    }
    receipt::verify(receipt, None).map_err(|error| error.to_string())?;
    if !acts.nodes_of_epoch(receipt.epoch).contains(&receipt.public_key()) {
        let Receipt { node, epoch, .. } = receipt;
        return Err(format!("no act names this key for node {node} in epoch {epoch}"));
    }
    Ok(())
}

fn check_there(receipt: &Receipt, seen: &HashMap<u64, Seen>) -> Result<Seen, String> {
    let LeafIndex(leaf) = receipt.leaf_index;
    match seen.get(&leaf) {
        None => Err(format!("the record has no leaf {leaf}: the ballot was dropped")),
        Some(seen) if seen.hash != receipt.leaf => {
            Err(format!("another leaf stands at {leaf}: the ballot was dropped or changed"))
        }
        Some(seen) => Ok(*seen),
    }
}

fn check_leaf(receipt: &Receipt, acts: &Acts, seen: Seen) -> Result<(), String> {
    // A later epoch may give a receipt for an earlier ballot, when its voter asks again.
    if acts.epoch_of_leaf(receipt.leaf_index.0).is_none_or(|epoch| epoch.epoch > receipt.epoch) {
        return Err("its leaf is of a later epoch".to_owned());
    }
    match seen.nonce {
        None => Err("its leaf is an act".to_owned()),
        Some(nonce) if nonce != receipt.nonce => Err("its nonce is not that of the ballot".to_owned()),
        Some(_) => Ok(()),
    }
}
