//! What a voter is answered: light within the process, a full receipt file on request.

use election::{LeafIndex, UnixMillis};
use proof::Hash;
use proof::receipt::{ForPeople, Promise, Receipt, SignedBatch, Statement};
use std::sync::Arc;

/// What all receipts of one election share.
#[derive(Clone, Debug)]
pub struct ReceiptContext {
    pub ledger: [u8; 16],
    pub epoch: u32,
    pub node: u16,
    pub election: [u8; 16],
    pub slug: String,
    pub definition: Hash,
    /// What stands behind a receipt: one node's disk, or those of a majority.
    pub promise: Promise,
}

impl ReceiptContext {
    pub fn statement(&self, leaf_index: LeafIndex, leaf: Hash) -> Statement {
        Statement {
            ledger: self.ledger,
            epoch: self.epoch,
            node: self.node,
            election: self.election,
            definition: self.definition,
            shard: 0,
            leaf_index: proof::LeafIndex(leaf_index.0),
            leaf,
            promise: self.promise,
        }
    }
}

/// One ballot's receipt, sharing its batch's signature and tree with the others of the batch.
#[derive(Clone, Debug)]
pub struct CastReceipt {
    pub context: Arc<ReceiptContext>,
    pub batch: Arc<SignedBatch>,
    /// This receipt's index in the batch.
    pub index: u32,
    pub leaf_index: u64,
    pub ballot_index: u64,
    pub leaf: Hash,
    pub nonce: [u8; 32],
    /// When the batch was committed.
    pub at: UnixMillis,
    /// Whether this answers a repeated request: the ballot was cast before.
    pub is_repeat: bool,
}

impl CastReceipt {
    pub fn statement(&self) -> Statement {
        self.context.statement(LeafIndex(self.leaf_index), self.leaf)
    }

    /// The receipt as a file.
    pub fn to_receipt(&self) -> Receipt {
        let people = ForPeople {
            slug: self.context.slug.clone(),
            ballot_index: self.ballot_index,
            nonce: self.nonce,
            at: self.at.to_string(),
        };
        Receipt::new(&self.statement(), &self.batch, self.index, people)
    }
}
