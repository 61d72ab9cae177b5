//! Receipts as JSON, written by hand into one buffer: the same bytes as `proof::receipt::Receipt` serialises
//! to (a test compares), at a tenth of the cost.

use proof::Hash;
use proof::receipt::Promise;

const DIGITS: &[u8; 16] = b"0123456789abcdef";
/// What a receipt with a path of 12 hashes needs, and a little room.
const RECEIPT_BYTES: usize = 2_048;

/// What a receipt says, borrowed from where it is.
#[derive(Clone, Copy, Debug)]
pub struct ReceiptParts<'a> {
    pub ledger: &'a [u8; 16],
    pub epoch: u32,
    pub node: u16,
    pub election: &'a [u8; 16],
    pub slug: &'a str,
    pub definition: &'a Hash,
    pub shard: u32,
    pub leaf_index: u64,
    pub ballot_index: u64,
    pub leaf: &'a Hash,
    pub nonce: &'a [u8; 32],
    pub tracker: &'a str,
    pub promise: Promise,
    pub batch_size: u32,
    pub batch_index: u32,
    pub path: &'a [Hash],
    pub root: &'a Hash,
    pub signature: &'a [u8; 64],
    pub key: &'a [u8; 32],
    pub at: &'a str,
}

fn put_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    let start = out.len();
    out.resize(start + 2 * bytes.len(), 0);
    for (pair, byte) in out[start..].chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Appends `number` in decimal.
pub fn put_number(out: &mut Vec<u8>, mut number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Writes the receipt. Slug, tracker and time are of characters that JSON takes as they are.
pub fn write_receipt(parts: &ReceiptParts<'_>) -> Vec<u8> {
    let mut buffer = Vec::with_capacity(RECEIPT_BYTES);
    let out = &mut buffer;
    let promise = match parts.promise {
        Promise::Synced => "synced",
        Promise::Majority => "majority",
        Promise::Held => "held",
    };
    out.extend_from_slice(b"{\"receipt\":1,\"ledger\":\"");
    put_hex(out, parts.ledger);
    out.extend_from_slice(b"\",\"epoch\":");
    put_number(out, u64::from(parts.epoch));
    out.extend_from_slice(b",\"node\":");
    put_number(out, u64::from(parts.node));
    out.extend_from_slice(b",\"election\":\"");
    put_hex(out, parts.election);
    out.extend_from_slice(b"\",\"slug\":\"");
    out.extend_from_slice(parts.slug.as_bytes());
    out.extend_from_slice(b"\",\"definition\":\"");
    put_hex(out, &parts.definition.0);
    out.extend_from_slice(b"\",\"shard\":");
    put_number(out, u64::from(parts.shard));
    out.extend_from_slice(b",\"leaf_index\":");
    put_number(out, parts.leaf_index);
    out.extend_from_slice(b",\"ballot_index\":");
    put_number(out, parts.ballot_index);
    out.extend_from_slice(b",\"leaf\":\"");
    put_hex(out, &parts.leaf.0);
    out.extend_from_slice(b"\",\"nonce\":\"");
    put_hex(out, parts.nonce);
    out.extend_from_slice(b"\",\"tracker\":\"");
    out.extend_from_slice(parts.tracker.as_bytes());
    out.extend_from_slice(b"\",\"promise\":\"");
    out.extend_from_slice(promise.as_bytes());
    out.extend_from_slice(b"\",\"batch\":{\"size\":");
    put_number(out, u64::from(parts.batch_size));
    out.extend_from_slice(b",\"index\":");
    put_number(out, u64::from(parts.batch_index));
    out.extend_from_slice(b",\"path\":[");
    for (place, hash) in parts.path.iter().enumerate() {
        out.extend_from_slice(if place == 0 { b"\"" } else { b",\"" });
        put_hex(out, &hash.0);
        out.push(b'"');
    }
    out.extend_from_slice(b"],\"root\":\"");
    put_hex(out, &parts.root.0);
    out.extend_from_slice(b"\",\"signature\":\"");
    put_hex(out, parts.signature);
    out.extend_from_slice(b"\"},\"key\":\"");
    put_hex(out, parts.key);
    out.extend_from_slice(b"\",\"at\":\"");
    out.extend_from_slice(parts.at.as_bytes());
    out.extend_from_slice(b"\"}");
    buffer
}

#[cfg(test)]
mod tests {
    use super::*;
    use proof::LeafIndex;
    use proof::receipt::{Evidence, Receipt};

    #[test]
    fn the_bytes_are_those_that_the_receipt_type_serialises_to() {
        for count in 0..3 {
            let hash = |byte: u8| Hash([byte; 32]);
            let receipt = Receipt {
                receipt: 1,
                ledger: [0xab; 16],
                epoch: 3,
                node: 65_535,
                election: [2; 16],
                slug: "board-2027".to_owned(),
                definition: hash(3),
                shard: 0,
                leaf_index: LeafIndex(u64::MAX),
                ballot_index: 0,
                leaf: hash(4),
                nonce: [5; 32],
                tracker: "ABCD-EFGH-JKMN".to_owned(),
                promise: Promise::Synced,
                batch: Evidence {
                    size: 4_096,
                    index: 10,
                    path: (0..count).map(hash).collect(),
                    root: hash(6),
                    signature: [7; 64],
                },
                key: [8; 32],
                at: "2026-11-20T10:00:00.000Z".to_owned(),
            };
            let parts = ReceiptParts {
                ledger: &receipt.ledger,
                epoch: receipt.epoch,
                node: receipt.node,
                election: &receipt.election,
                slug: &receipt.slug,
                definition: &receipt.definition,
                shard: receipt.shard,
                leaf_index: receipt.leaf_index.0,
                ballot_index: receipt.ballot_index,
                leaf: &receipt.leaf,
                nonce: &receipt.nonce,
                tracker: &receipt.tracker,
                promise: receipt.promise,
                batch_size: receipt.batch.size,
                batch_index: receipt.batch.index,
                path: &receipt.batch.path,
                root: &receipt.batch.root,
                signature: &receipt.batch.signature,
                key: &receipt.key,
                at: &receipt.at,
            };
            let written = String::from_utf8(write_receipt(&parts)).unwrap();
            assert_eq!(written, serde_json::to_string(&receipt).unwrap());
        }
    }
}
