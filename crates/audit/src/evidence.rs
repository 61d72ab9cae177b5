//! Evidence against a node: a valid receipt, and a signed tree without its ballot.
//!
//! It stands on the node's own signatures, so a third party checks it without server, record or trust in whoever
//! shows it.

use data_encoding::HEXLOWER;
use proof::checkpoint::Checkpoint;
use proof::receipt::{self, Receipt};
use proof::{Hash, LeafIndex, NodePublicKey, verify_inclusion};
use serde::{Deserialize, Serialize};

use crate::form::hex_array;

const EVIDENCE_VERSION: u32 = 1;

/// The file. Binary fields are lowercase hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Version of this form: 1.
    pub hustings_evidence: u32,
    /// What it shows, for people.
    pub claim: String,
    pub receipt: Receipt,
    /// The bytes that were hashed for the receipt's leaf in its batch.
    pub statement: String,
    /// The bytes that the receipt's signature is over.
    pub batch_message: String,
    pub record: SignedRecord,
    /// The record's last checkpoint.
    pub checkpoint: String,
    /// The leaf at the receipt's place in the checkpoint's tree; `None` where the tree ends before it.
    pub found: Option<Found>,
}

/// The record that lacks the ballot, by its signed end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SignedRecord {
    pub sha256: Hash,
    pub node: u16,
    #[serde(with = "hex_array")]
    pub key: [u8; 32],
    #[serde(with = "hex_array")]
    pub signature: [u8; 64],
    pub leaves: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Found {
    pub leaf: Hash,
    /// Inclusion proof of `leaf` at the receipt's leaf index.
    pub path: Vec<Hash>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EvidenceError {
    #[error("this is not evidence of a known version")]
    Version,
    #[error("the receipt does not hold: {0}")]
    Receipt(String),
    #[error("the statement or the batch message is not that of the receipt")]
    Statement,
    #[error("the checkpoint does not hold: {0}")]
    Checkpoint(String),
    #[error("the checkpoint is of another ledger, election or shard")]
    Elsewhere,
    #[error(
        "the tree of the checkpoint has a leaf at the receipt's place, and the evidence does not show which"
    )]
    NothingShown,
    #[error("the leaf that the evidence shows is not in the checkpoint's tree")]
    NotInTree,
    #[error("the ballot is in the tree: nothing is missing")]
    BallotIsThere,
}

impl Evidence {
    pub(crate) fn new(
        receipt: &Receipt,
        record: SignedRecord,
        checkpoint: String,
        found: Option<Found>,
    ) -> Evidence {
        let (leaf, slug) = (receipt.leaf_index, &receipt.slug);
        let node = receipt.node;
        let other = if record.node == node { String::new() } else { format!("node {} ", record.node) };
        let claim = match found {
            Some(_) => format!(
                "Node {node} accepted a ballot in `{slug}` as leaf {leaf} and {other}signed a tree with another leaf there."
            ),
            None => format!(
                "Node {node} accepted a ballot in `{slug}` as leaf {leaf} and {other}signed a final tree that ends before it."
            ),
        };
        Evidence {
            hustings_evidence: EVIDENCE_VERSION,
            claim,
            statement: HEXLOWER.encode(&receipt.statement().encode()),
            batch_message: HEXLOWER.encode(&batch_message(receipt)),
            receipt: receipt.clone(),
            record,
            checkpoint,
            found,
        }
    }

    /// Does this evidence show that the ballot of its receipt is missing? Needs nothing else. That the keys were the
    /// nodes' is for the reader to know; where they are two (see [`Evidence::is_by_one_key`]), the record's acts name
    /// both.
    pub fn verify(&self) -> Result<(), EvidenceError> {
        let receipt = &self.receipt;
        if self.hustings_evidence != EVIDENCE_VERSION {
            return Err(EvidenceError::Version);
        }
        receipt::verify(receipt, None).map_err(|error| EvidenceError::Receipt(error.to_string()))?;
        let is_statement = self.statement == HEXLOWER.encode(&receipt.statement().encode());
        if !is_statement || self.batch_message != HEXLOWER.encode(&batch_message(receipt)) {
            return Err(EvidenceError::Statement);
        }
        let (checkpoint, _) =
            Checkpoint::verify(&self.checkpoint, &[receipt.public_key(), self.record_key()])
                .map_err(|error| EvidenceError::Checkpoint(error.to_string()))?;
        let Checkpoint { origin, size, root } = checkpoint;
        let same_tree = (origin.ledger, origin.election, origin.shard)
            == (receipt.ledger, receipt.election, receipt.shard);
        if !same_tree {
            return Err(EvidenceError::Elsewhere);
        }
        let LeafIndex(place) = receipt.leaf_index;
        match &self.found {
            None if place < size.0 => Err(EvidenceError::NothingShown),
            None => Ok(()),
            Some(Found { leaf, .. }) if *leaf == receipt.leaf => Err(EvidenceError::BallotIsThere),
            Some(Found { leaf, path }) => verify_inclusion(leaf, receipt.leaf_index, size, path, &root)
                .map_err(|_| EvidenceError::NotInTree),
        }
    }
}

impl Evidence {
    /// Whether receipt and record are signed by the same key, so that the node contradicts itself. Otherwise two nodes
    /// of the ledger contradict each other, or an epoch lies between.
    pub fn is_by_one_key(&self) -> bool {
        self.receipt.public_key() == self.record_key()
    }

    fn record_key(&self) -> NodePublicKey {
        NodePublicKey { node: self.record.node, key: self.record.key }
    }
}

fn batch_message(receipt: &Receipt) -> Vec<u8> {
    let Receipt { ledger, epoch, node, batch, .. } = receipt;
    receipt::batch_message(ledger, *epoch, *node, batch.size, &batch.root)
}
