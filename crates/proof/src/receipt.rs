//! Receipts: what a voter keeps, and what alone convicts an operator who drops the ballot.
//!
//! ```text
//! statement of each accepted ballot ─ H(0x00 ‖ statement) ─┐
//!                                                          ├ RFC 6962 tree over the batch ─ root ─ one signature
//! statement …                       ─ H(0x00 ‖ statement) ─┘
//! ```
//!
//! A receipt carries its statement's fields, its path in that small tree, the root and the signature.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::hash::{Hash, hex_array, node_hash, sha256};
use crate::keys::{KeyError, NodeKey, NodePublicKey};
use crate::tree::{LeafIndex, TreeSize};
use crate::verify::{ProofError, verify_inclusion};

/// Receipts under one signature at most; a path is then at most 12 hashes.
pub const BATCH_RECEIPTS_MAX: usize = 4_096;

const STATEMENT_START: &[u8] = b"hustings receipt v1\n";
const STATEMENT_BYTES: usize = STATEMENT_START.len() + 16 + 4 + 2 + 16 + 32 + 4 + 8 + 32 + 1;
const BATCH_START: &[u8] = b"hustings receipts v1\n";

/// Version of the receipt file.
const RECEIPT_VERSION: u8 = 1;

/// How safely the ballot was stored when its receipt was signed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Promise {
    /// Synced to the disk of one node.
    Synced = 1,
    /// Synced by a majority of the nodes.
    Majority = 2,
    /// Held by all in-sync Kafka replicas.
    Held = 3,
}

/// What a node states about one accepted ballot.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Statement {
    pub ledger: [u8; 16],
    pub epoch: u32,
    pub node: u16,
    pub election: [u8; 16],
    pub definition: Hash,
    pub shard: u32,
    pub leaf_index: LeafIndex,
    pub leaf: Hash,
    pub promise: Promise,
}

impl Statement {
    /// The 135 bytes that are hashed, integers big-endian: `"hustings receipt v1\n" ‖ ledger ‖ epoch u32 ‖ node u16 ‖
    /// election ‖ definition hash ‖ shard u32 ‖ leaf index u64 ‖ leaf hash ‖ promise u8`.
    pub fn encode(&self) -> [u8; STATEMENT_BYTES] {
        let mut bytes = [0; STATEMENT_BYTES];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        };
        put(STATEMENT_START);
        put(&self.ledger);
        put(&self.epoch.to_be_bytes());
        put(&self.node.to_be_bytes());
        put(&self.election);
        put(&self.definition.0);
        put(&self.shard.to_be_bytes());
        put(&self.leaf_index.0.to_be_bytes());
        put(&self.leaf.0);
        put(&[self.promise as u8]);
        assert_eq!(at, STATEMENT_BYTES);
        bytes
    }

    /// Leaf of the batch's tree: `H(0x00 ‖ statement)`.
    pub fn receipt_leaf(&self) -> Hash {
        sha256(&[&[0], &self.encode()])
    }
}

/// The bytes a node signs for a batch: `"hustings receipts v1\n" ‖ ledger ‖ epoch u32 ‖ node u16 ‖ size u32 ‖ root`.
pub fn batch_message(ledger: &[u8; 16], epoch: u32, node: u16, size: u32, root: &Hash) -> Vec<u8> {
    [BATCH_START, ledger, &epoch.to_be_bytes(), &node.to_be_bytes(), &size.to_be_bytes(), &root.0].concat()
}

/// Collects the statements of one committed batch and signs them together.
///
/// The tree lies in one flat buffer, level after level; a signed batch hands out paths from it. 4,096 receipts cost
/// about 1 ms of hashing and one signature.
#[derive(Debug, Default)]
pub struct BatchSigner {
    leaves: Vec<Hash>,
    /// Ledger, epoch and node, which all statements of a batch share.
    signed_for: Option<([u8; 16], u32, u16)>,
}

impl BatchSigner {
    pub fn new() -> BatchSigner {
        BatchSigner::default()
    }

    pub fn len(&self) -> usize {
        self.leaves.len()
    }

    pub fn is_empty(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Adds a statement; returns its index in the batch.
    ///
    /// # Panics
    /// If the batch is full or the statement is of another ledger, epoch or node than those before it.
    pub fn push(&mut self, statement: &Statement) -> u32 {
        assert!(
            self.leaves.len() < BATCH_RECEIPTS_MAX,
            "a batch holds at most {BATCH_RECEIPTS_MAX} receipts"
        );
        let signed_for = (statement.ledger, statement.epoch, statement.node);
        assert_eq!(
            *self.signed_for.get_or_insert(signed_for),
            signed_for,
            "one ledger, epoch and node a batch"
        );
        self.leaves.push(statement.receipt_leaf());
        (self.leaves.len() - 1) as u32
    }

    /// Signs what was pushed and starts anew; `None` if nothing was.
    ///
    /// # Panics
    /// If `key` is another node's than the statements name.
    pub fn sign(&mut self, key: &NodeKey) -> Option<SignedBatch> {
        let (ledger, epoch, node) = self.signed_for.take()?;
        assert_eq!(node, key.node(), "a node signs its own receipts");
        let size = self.leaves.len() as u32;
        let levels = levels_above(std::mem::take(&mut self.leaves));
        let root = *levels.last().expect("a batch with a statement has a root");
        let signature = key.sign(&batch_message(&ledger, epoch, node, size, &root));
        Some(SignedBatch { size, root, signature, public: key.public(), levels })
    }
}

/// Appends to the leaves each level of their RFC 6962 tree up to the root. An odd last node rises unpaired.
fn levels_above(mut nodes: Vec<Hash>) -> Vec<Hash> {
    // The finished tree has fewer than two nodes a leaf and one odd node a level.
    nodes.reserve_exact(nodes.len() + BATCH_RECEIPTS_MAX.ilog2() as usize);
    let mut level = 0..nodes.len();
    while level.len() > 1 {
        let above = nodes.len();
        let mut at = level.start;
        while at + 1 < level.end {
            nodes.push(node_hash(&nodes[at], &nodes[at + 1]));
            at += 2;
        }
        if at < level.end {
            nodes.push(nodes[at]);
        }
        level = above..nodes.len();
    }
    nodes
}

/// A signed batch: evidence for each of its receipts, by index.
#[derive(Clone)]
pub struct SignedBatch {
    size: u32,
    root: Hash,
    signature: [u8; 64],
    public: NodePublicKey,
    /// All levels, leaves first.
    levels: Vec<Hash>,
}

impl SignedBatch {
    pub fn size(&self) -> u32 {
        self.size
    }

    pub fn root(&self) -> &Hash {
        &self.root
    }

    pub fn signature(&self) -> &[u8; 64] {
        &self.signature
    }

    pub fn public(&self) -> &NodePublicKey {
        &self.public
    }

    /// Path of receipt `index` to the root, deepest hash first; at most 12 hashes, nothing hashed.
    ///
    /// # Panics
    /// If the batch has no such receipt.
    pub fn path(&self, index: u32) -> Vec<Hash> {
        assert!(index < self.size, "receipt {index} of a batch of {}", self.size);
        let mut path = Vec::with_capacity(12);
        let (mut start, mut length, mut at) = (0, self.size as usize, index as usize);
        while length > 1 {
            let sibling = at ^ 1;
            if sibling < length {
                path.push(self.levels[start + sibling]);
            }
            start += length;
            length = length.div_ceil(2);
            at /= 2;
        }
        path
    }

    /// Evidence of receipt `index`, as its file carries it.
    pub fn evidence(&self, index: u32) -> Evidence {
        Evidence {
            size: self.size,
            index,
            path: self.path(index),
            root: self.root,
            signature: self.signature,
        }
    }
}

impl fmt::Debug for SignedBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignedBatch")
            .field("size", &self.size)
            .field("root", &self.root)
            .finish_non_exhaustive()
    }
}

/// Place of a receipt in its signed batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    pub size: u32,
    pub index: u32,
    pub path: Vec<Hash>,
    pub root: Hash,
    #[serde(with = "hex_array")]
    pub signature: [u8; 64],
}

/// The receipt file: JSON, binary fields in lowercase hexadecimal.
///
/// `slug`, `ballot_index`, `tracker` and `at` help people; nothing signed covers them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Version of this file's form: 1.
    pub receipt: u8,
    #[serde(with = "hex_array")]
    pub ledger: [u8; 16],
    pub epoch: u32,
    pub node: u16,
    #[serde(with = "hex_array")]
    pub election: [u8; 16],
    pub slug: String,
    pub definition: Hash,
    pub shard: u32,
    pub leaf_index: LeafIndex,
    /// Number of the ballot among the election's ballots, counted from 0.
    pub ballot_index: u64,
    pub leaf: Hash,
    /// First 32 bytes of the ballot's opening.
    #[serde(with = "hex_array")]
    pub nonce: [u8; 32],
    pub tracker: String,
    pub promise: Promise,
    pub batch: Evidence,
    /// The node's public key.
    #[serde(with = "hex_array")]
    pub key: [u8; 32],
    /// When the batch was committed, RFC 3339 in UTC.
    pub at: String,
}

impl Receipt {
    /// Receipt of `statement`, which was number `index` of `batch`.
    pub fn new(statement: &Statement, batch: &SignedBatch, index: u32, people: ForPeople) -> Receipt {
        Receipt {
            receipt: RECEIPT_VERSION,
            ledger: statement.ledger,
            epoch: statement.epoch,
            node: statement.node,
            election: statement.election,
            slug: people.slug,
            definition: statement.definition,
            shard: statement.shard,
            leaf_index: statement.leaf_index,
            ballot_index: people.ballot_index,
            leaf: statement.leaf,
            nonce: people.nonce,
            tracker: tracker(&statement.leaf),
            promise: statement.promise,
            batch: batch.evidence(index),
            key: batch.public.key,
            at: people.at,
        }
    }

    /// What the node stated.
    pub fn statement(&self) -> Statement {
        Statement {
            ledger: self.ledger,
            epoch: self.epoch,
            node: self.node,
            election: self.election,
            definition: self.definition,
            shard: self.shard,
            leaf_index: self.leaf_index,
            leaf: self.leaf,
            promise: self.promise,
        }
    }

    pub fn public_key(&self) -> NodePublicKey {
        NodePublicKey { node: self.node, key: self.key }
    }
}

/// Fields of a receipt that its statement does not have.
#[derive(Clone, Debug)]
pub struct ForPeople {
    pub slug: String,
    pub ballot_index: u64,
    pub nonce: [u8; 32],
    pub at: String,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    #[error("receipts of version {0} are not known here")]
    Version(u8),
    #[error("the batch has {0} receipts, and 1 to {BATCH_RECEIPTS_MAX} are possible")]
    BatchSize(u32),
    #[error("the path does not lead from the statement to the batch's root")]
    Path(#[source] ProofError),
    #[error("the batch is not signed by the receipt's key")]
    Signature(#[source] KeyError),
    #[error("the receipt is signed by node {node} with another key than the one known")]
    OtherKey { node: u16 },
    #[error("the tracker is not that of the leaf")]
    Tracker,
}

/// Is the receipt what a node signed? With `known`, also: by that node and key.
///
/// Whether the node was the election's is for the caller to know; the receipt brings its key along.
pub fn verify(receipt: &Receipt, known: Option<&NodePublicKey>) -> Result<(), ReceiptError> {
    let batch = &receipt.batch;
    if receipt.receipt != RECEIPT_VERSION {
        return Err(ReceiptError::Version(receipt.receipt));
    }
    if batch.size == 0 || batch.size as usize > BATCH_RECEIPTS_MAX {
        return Err(ReceiptError::BatchSize(batch.size));
    }
    let leaf = receipt.statement().receipt_leaf();
    let (index, size) = (LeafIndex(batch.index.into()), TreeSize(batch.size.into()));
    verify_inclusion(&leaf, index, size, &batch.path, &batch.root).map_err(ReceiptError::Path)?;
    let message = batch_message(&receipt.ledger, receipt.epoch, receipt.node, batch.size, &batch.root);
    receipt.public_key().verify(&message, &batch.signature).map_err(ReceiptError::Signature)?;
    if known.is_some_and(|known| *known != receipt.public_key()) {
        return Err(ReceiptError::OtherKey { node: receipt.node });
    }
    if receipt.tracker != tracker(&receipt.leaf) {
        return Err(ReceiptError::Tracker);
    }
    Ok(())
}

/// Crockford's base32: no I, L, O or U.
const TRACKER_DIGITS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const TRACKER_LENGTH: usize = 12;

/// Short code that locates a ballot: the first 60 bits of its leaf hash as 12 Crockford base32 digits in groups of
/// four, `ABCD-EFGH-JKMN`.
pub fn tracker(leaf: &Hash) -> String {
    let first_bits = u64::from_be_bytes(leaf.0[..8].try_into().expect("a hash has 8 bytes")) >> 4;
    let mut text = String::with_capacity(TRACKER_LENGTH + 2);
    for place in 0..TRACKER_LENGTH {
        if place > 0 && place % 4 == 0 {
            text.push('-');
        }
        let digit = (first_bits >> (5 * (TRACKER_LENGTH - 1 - place))) & 31;
        text.push(TRACKER_DIGITS[digit as usize].into());
    }
    text
}

/// The tracker a person typed, in its one form: any case, with or without hyphens and spaces, O for 0, I and L for 1.
pub fn tracker_from_typed(typed: &str) -> Option<String> {
    let mut text = String::with_capacity(TRACKER_LENGTH + 2);
    let mut digits = 0;
    for typed in typed.chars().filter(|typed| !matches!(typed, '-' | ' ')) {
        let digit = match typed.to_ascii_uppercase() {
            'O' => '0',
            'I' | 'L' => '1',
            other => other,
        };
        if !digit.is_ascii() || !TRACKER_DIGITS.contains(&(digit as u8)) {
            return None;
        }
        if digits > 0 && digits % 4 == 0 {
            text.push('-');
        }
        text.push(digit);
        digits += 1;
    }
    (digits == TRACKER_LENGTH).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::Secret;
    use crate::tests_common::{plain_inclusion, plain_root};

    fn key() -> NodeKey {
        NodeKey::new(1, &Secret::from_bytes([9; 32]))
    }

    fn statement(number: u64) -> Statement {
        Statement {
            ledger: [1; 16],
            epoch: 1,
            node: 1,
            election: [2; 16],
            definition: sha256(&[b"definition"]),
            shard: 0,
            leaf_index: LeafIndex(number + 1),
            leaf: sha256(&[&number.to_be_bytes()]),
            promise: Promise::Synced,
        }
    }

    fn receipts(count: u64) -> Vec<Receipt> {
        let mut signer = BatchSigner::new();
        for number in 0..count {
            assert_eq!(u64::from(signer.push(&statement(number))), number);
        }
        let batch = signer.sign(&key()).unwrap();
        assert!(signer.is_empty() && signer.sign(&key()).is_none());
        let receipt = |number: u64| {
            let people = ForPeople {
                slug: "board".to_owned(),
                ballot_index: number,
                nonce: [3; 32],
                at: "2026-11-20T10:00:00.000Z".to_owned(),
            };
            Receipt::new(&statement(number), &batch, number as u32, people)
        };
        (0..count).map(receipt).collect()
    }

    #[test]
    fn every_receipt_of_every_batch_size_holds_and_has_the_path_of_the_definition() {
        for count in 1..=40 {
            let leaves: Vec<Hash> = (0..count).map(|number| statement(number).receipt_leaf()).collect();
            for (index, receipt) in receipts(count).iter().enumerate() {
                assert_eq!(verify(receipt, Some(&key().public())), Ok(()), "{index} of {count}");
                assert_eq!(receipt.batch.root, plain_root(&leaves));
                assert_eq!(receipt.batch.path, plain_inclusion(index, &leaves));
            }
        }
        let full = receipts(BATCH_RECEIPTS_MAX as u64);
        assert!(full.iter().all(|receipt| receipt.batch.path.len() == 12 && verify(receipt, None).is_ok()));
    }

    #[test]
    fn a_receipt_file_is_read_back_and_its_form_stays() {
        let receipt = &receipts(3)[1];
        let text = serde_json::to_string(receipt).unwrap();
        assert_eq!(serde_json::from_str::<Receipt>(&text).unwrap(), *receipt);
        let start = format!(
            r#"{{"receipt":1,"ledger":"{}","epoch":1,"node":1,"election":"{}","slug":"board","definition":"{}","shard":0,"leaf_index":2,"ballot_index":1,"leaf":"{}","nonce":"{}","tracker":"{}","promise":"synced","batch":{{"size":3,"index":1,"path":["#,
            "01".repeat(16),
            "02".repeat(16),
            receipt.definition,
            receipt.leaf,
            "03".repeat(32),
            tracker(&receipt.leaf),
        );
        assert!(text.starts_with(&start), "{text}");
        assert!(text.ends_with(r#"","at":"2026-11-20T10:00:00.000Z"}"#), "{text}");
    }

    #[test]
    fn a_receipt_changed_in_any_stated_field_is_refused() {
        let good = receipts(5)[2].clone();
        let changes: [fn(&mut Receipt); 18] = [
            |r| r.receipt = 2,
            |r| r.ledger[0] ^= 1,
            |r| r.epoch += 1,
            |r| r.node += 1,
            |r| r.election[15] ^= 1,
            |r| r.definition.0[0] ^= 1,
            |r| r.shard += 1,
            |r| r.leaf_index.0 += 1,
            |r| r.leaf.0[31] ^= 1,
            |r| r.promise = Promise::Majority,
            |r| r.batch.size = 6,
            |r| r.batch.index = 3,
            |r| r.batch.path[0].0[0] ^= 1,
            |r| r.batch.path.truncate(1),
            |r| r.batch.root.0[0] ^= 1,
            |r| r.batch.signature[40] ^= 1,
            |r| r.key[0] ^= 1,
            |r| r.tracker.push('0'),
        ];
        for (number, change) in changes.iter().enumerate() {
            let mut receipt = good.clone();
            change(&mut receipt);
            assert!(verify(&receipt, None).is_err(), "change {number}");
        }
        let other = NodeKey::new(1, &Secret::from_bytes([8; 32])).public();
        assert_eq!(verify(&good, Some(&other)), Err(ReceiptError::OtherKey { node: 1 }));
    }

    #[test]
    fn a_tracker_is_the_first_60_bits_and_forgives_typing() {
        let mut leaf = Hash::ZERO;
        leaf.0[..8].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x1f]);
        assert_eq!(tracker(&leaf), "ZZZZ-ZZR0-0001");
        assert_eq!(tracker_from_typed("zzzz zzr0 oool").as_deref(), Some("ZZZZ-ZZR0-0001"));
        assert_eq!(tracker_from_typed("ZZZZZZR00001").as_deref(), Some("ZZZZ-ZZR0-0001"));
        for wrong in ["", "ZZZZ", "ZZZZ-ZZR0-00012", "ZZZZ-ZZU0-0001", "ZZZZ-ZZé0-0001"] {
            assert_eq!(tracker_from_typed(wrong), None, "{wrong}");
        }
    }
}
