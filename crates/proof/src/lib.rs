//! Evidence: hashes, the Merkle tree, checkpoints, keys and receipts. Pure functions over bytes.
//!
//! The tree is that of RFC 6962 (history tree with domain-separated SHA-256), its stored form that of C2SP
//! tlog-tiles with tiles of 256 hashes, checkpoints are C2SP signed notes. Every byte layout is written down in
//! `docs/formats.md`; nothing here reads a clock, a file or a random source.

pub mod checkpoint;
mod hash;
pub mod keys;
pub mod receipt;
#[cfg(test)]
mod tests_common;
mod tiles;
mod tree;
mod verify;

pub use hash::{
    HASH_BYTES, Hash, HashTextError, LEAF_VERSION, LeafKind, Sha256Stream, leaf_hash, leaf_hash_of_digest,
    node_hash, sha256,
};
pub use keys::{Key, KeyError, NodeKey, NodePublicKey, Secret};
pub use tiles::{
    MemoryTiles, TILE_HASHES, TILE_HEIGHT, TileError, TileReader, consistency, inclusion, root_at,
};
pub use tree::{Edge, EdgeError, LeafIndex, TreeSize, merkle_root};
pub use verify::{ProofError, verify_consistency, verify_inclusion};
