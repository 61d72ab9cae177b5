//! Who signed what: told beside the verdicts, as a record of several nodes carries the signatures of several.

use std::collections::BTreeMap;
use std::fmt;

use proof::checkpoint::Checkpoint;
use proof::{NodePublicKey, receipt};
use serde::Serialize;

use crate::acts::Acts;
use crate::judge::is_end_signed;
use crate::pass::Rest;
use crate::receipts::Receipts;
use crate::run::Kept;

/// What a node of an epoch signed of what was audited; signatures that do not hold are not counted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Signed {
    pub epoch: u32,
    pub node: u16,
    /// Public key, 64 hexadecimal digits.
    pub key: String,
    /// Whether the end of the record is signed by this key.
    pub record: bool,
    /// Checkpoints of the record.
    pub checkpoints: u64,
    /// Checkpoints given to the auditor.
    pub kept_checkpoints: u64,
    /// Receipts given to the auditor.
    pub receipts: u64,
}

impl fmt::Display for Signed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Signed { epoch, node, record, checkpoints, kept_checkpoints, receipts, .. } = self;
        let count = |count: u64, what: &str| match count {
            0 => None,
            1 => Some(format!("1 {what}")),
            _ => Some(format!("{count} {what}s")),
        };
        let parts = [
            record.then(|| "the record".to_owned()),
            count(*checkpoints, "checkpoint"),
            count(*kept_checkpoints, "kept checkpoint"),
            count(*receipts, "receipt"),
        ];
        let parts: Vec<String> = parts.into_iter().flatten().collect();
        let what = if parts.is_empty() { "nothing of this".to_owned() } else { parts.join(", ") };
        write!(f, "Node {node} of epoch {epoch} signed {what}")
    }
}

/// One entry for each node and epoch that the acts name, by epoch and then in the acts' order.
pub(crate) fn signed(acts: &Acts, rest: &Rest, kept: &[Kept], receipts: &Receipts<'_>) -> Vec<Signed> {
    let in_record = by_whom(acts, rest.checkpoints.iter());
    let given = by_whom(acts, kept.iter().map(|kept| &kept.text));
    let mut answered: BTreeMap<(u32, NodePublicKey), u64> = BTreeMap::new();
    for receipt in receipts.readable().filter(|receipt| receipt::verify(receipt, None).is_ok()) {
        *answered.entry((receipt.epoch, receipt.public_key())).or_default() += 1;
    }
    let end = acts.last_key(rest.end.node).filter(|key| is_end_signed(&rest.end, key));
    let last_epoch = |key: &NodePublicKey| {
        let named = acts.epochs.iter().rev().find(|epoch| epoch.nodes.contains(key));
        named.map(|epoch| epoch.epoch)
    };
    let mut all = Vec::new();
    for epoch in &acts.epochs {
        for key in &epoch.nodes {
            let of = |counts: &BTreeMap<_, u64>| counts.get(&(epoch.epoch, *key)).copied().unwrap_or(0);
            all.push(Signed {
                epoch: epoch.epoch,
                node: key.node,
                key: data_encoding::HEXLOWER.encode(&key.key),
                record: end == Some(*key) && last_epoch(key) == Some(epoch.epoch),
                checkpoints: of(&in_record),
                kept_checkpoints: of(&given),
                receipts: of(&answered),
            });
        }
    }
    all
}

/// Notes by the epoch they name and by each of its nodes that has signed them.
fn by_whom<'a>(acts: &Acts, notes: impl Iterator<Item = &'a String>) -> BTreeMap<(u32, NodePublicKey), u64> {
    let mut counts = BTreeMap::new();
    for note in notes {
        let Ok(Checkpoint { origin, .. }) = Checkpoint::parse(note) else { continue };
        for key in acts.nodes_of_epoch(origin.epoch) {
            if Checkpoint::verify(note, &[key]).is_ok() {
                *counts.entry((origin.epoch, key)).or_default() += 1;
            }
        }
    }
    counts
}
