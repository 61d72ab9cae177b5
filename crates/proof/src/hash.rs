//! SHA-256 in the few shapes the formats use, the two fixed-length ones without a streaming buffer.

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::block_api::compress256;
use sha2::{Digest, Sha256};

/// Length of a SHA-256 digest in bytes.
pub const HASH_BYTES: usize = 32;

/// Version of the leaf layout; the first byte after the domain byte of each leaf.
pub const LEAF_VERSION: u8 = 1;

/// A SHA-256 digest. Written as 64 lowercase hexadecimal digits everywhere.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; HASH_BYTES]);

impl Hash {
    /// Thirty-two zero bytes: where a format says "none", never the hash of anything known.
    pub const ZERO: Hash = Hash([0; HASH_BYTES]);

    pub fn as_bytes(&self) -> &[u8; HASH_BYTES] {
        &self.0
    }

    pub fn to_hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl AsRef<[u8]> for Hash {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_hex())
    }
}

/// A text is not a hash: anything but 64 lowercase hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a hash is 64 lowercase hexadecimal digits")]
pub struct HashTextError;

impl FromStr for Hash {
    type Err = HashTextError;

    fn from_str(text: &str) -> Result<Hash, HashTextError> {
        bytes_from_hex(text).map(Hash).ok_or(HashTextError)
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = [0; 2 * HASH_BYTES];
        HEXLOWER.encode_mut(&self.0, &mut text);
        serializer.serialize_str(std::str::from_utf8(&text).expect("hexadecimal digits are ASCII"))
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
        hex_array::deserialize(deserializer).map(Hash)
    }
}

/// Reads exactly `2 * N` lowercase hexadecimal digits.
pub(crate) fn bytes_from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N {
        return None;
    }
    let written = HEXLOWER.decode_mut(text.as_bytes(), &mut bytes).ok()?;
    (written == N).then_some(bytes)
}

/// Serde form of a fixed number of bytes: lowercase hexadecimal text. Use with `#[serde(with = "hex_array")]`.
pub(crate) mod hex_array {
    use super::*;

    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        struct HexVisitor<const N: usize>;
        impl<const N: usize> de::Visitor<'_> for HexVisitor<N> {
            type Value = [u8; N];

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{} lowercase hexadecimal digits", 2 * N)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<[u8; N], E> {
                bytes_from_hex(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(HexVisitor)
    }
}

/// SHA-256 of the parts one after the other, with nothing between them.
pub fn sha256(parts: &[&[u8]]) -> Hash {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    Hash(hasher.finalize().into())
}

/// SHA-256 over bytes that arrive piece by piece, for files larger than memory.
#[derive(Clone, Default)]
pub struct Sha256Stream(Sha256);

impl Sha256Stream {
    pub fn new() -> Sha256Stream {
        Sha256Stream::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Digest of everything so far; the stream may go on.
    pub fn digest(&self) -> Hash {
        Hash(self.0.clone().finalize().into())
    }
}

impl fmt::Debug for Sha256Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sha256Stream").finish_non_exhaustive()
    }
}

/// What an entry of an election's tree is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(u8)]
pub enum LeafKind {
    Ballot = 1,
    Act = 2,
}

/// Leaf hash of `opening`: `H(0x00 ‖ version ‖ kind ‖ H(opening))`, an RFC 6962 leaf (section 2.1) over 34 bytes.
///
/// One form for every secrecy level, so that leaf hashes can be public while openings are not.
pub fn leaf_hash(kind: LeafKind, opening: &[u8]) -> Hash {
    leaf_hash_of_digest(kind, &sha256(&[opening]))
}

/// Leaf hash where only the digest of the opening is at hand.
pub fn leaf_hash_of_digest(kind: LeafKind, opening_digest: &Hash) -> Hash {
    let mut block = [0; 64];
    block[1] = LEAF_VERSION;
    block[2] = kind as u8;
    block[3..35].copy_from_slice(&opening_digest.0);
    block[35] = 0x80;
    block[56..].copy_from_slice(&(35u64 * 8).to_be_bytes());
    compress_from_start(&[block])
}

/// Hash of an inner node, RFC 6962 section 2.1: `H(0x01 ‖ left ‖ right)`.
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    let mut blocks = [[0; 64]; 2];
    blocks[0][0] = 1;
    blocks[0][1..33].copy_from_slice(&left.0);
    blocks[0][33..].copy_from_slice(&right.0[..31]);
    blocks[1][0] = right.0[31];
    blocks[1][1] = 0x80;
    blocks[1][56..].copy_from_slice(&(65u64 * 8).to_be_bytes());
    compress_from_start(&blocks)
}

/// SHA-256 over blocks that already carry their padding (FIPS 180-4, section 5.1.1).
fn compress_from_start(padded: &[[u8; 64]]) -> Hash {
    // FIPS 180-4, section 5.3.3.
    let mut state: [u32; 8] = [
        0x6a09_e667,
        0xbb67_ae85,
        0x3c6e_f372,
        0xa54f_f53a,
        0x510e_527f,
        0x9b05_688c,
        0x1f83_d9ab,
        0x5be0_cd19,
    ];
    compress256(&mut state, padded);
    let mut digest = [0; HASH_BYTES];
    for (bytes, word) in digest.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    Hash(digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fixed_length_hashes_equal_the_streaming_ones() {
        let left = sha256(&[b"left"]);
        let right = sha256(&[b"right"]);
        assert_eq!(node_hash(&left, &right), sha256(&[&[1], &left.0, &right.0]));
        let opening = b"an opening";
        let expected = sha256(&[&[0, 1, 1], &sha256(&[opening]).0]);
        assert_eq!(leaf_hash(LeafKind::Ballot, opening), expected);
        assert_ne!(leaf_hash(LeafKind::Act, opening), expected);
    }

    #[test]
    fn sha256_gives_the_known_answer_of_fips_180() {
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(&[b"a", b"bc"]).to_string(), abc);
        let mut stream = Sha256Stream::new();
        stream.update(b"ab");
        stream.update(b"c");
        assert_eq!(stream.digest(), abc.parse().unwrap());
    }

    #[test]
    fn hash_text_is_64_lowercase_hexadecimal_digits() {
        let hash = sha256(&[b"x"]);
        assert_eq!(hash.to_string().parse(), Ok(hash));
        for text in ["", "00", &hash.to_hex().to_uppercase(), &format!("{hash}0"), &format!(" {hash}")] {
            assert_eq!(text.parse::<Hash>(), Err(HashTextError));
        }
    }
}
