//! Plain recursive definitions of RFC 6962, slow and obvious, to compare with.

use crate::hash::{Hash, node_hash, sha256};

/// A leaf hash that differs with each number.
pub fn leaf(number: u64) -> Hash {
    sha256(&[&[0], &number.to_be_bytes()])
}

fn split(size: usize) -> usize {
    let mut power = 1;
    while power * 2 < size {
        power *= 2;
    }
    power
}

/// MTH of RFC 6962 section 2.1.
pub fn plain_root(leaves: &[Hash]) -> Hash {
    match leaves {
        [] => sha256(&[]),
        [leaf] => *leaf,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node_hash(&plain_root(left), &plain_root(right))
        }
    }
}

/// PATH of RFC 6962 section 2.1.1.
pub fn plain_inclusion(index: usize, leaves: &[Hash]) -> Vec<Hash> {
    if leaves.len() == 1 {
        return Vec::new();
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    let (mut path, other) = if index < middle {
        (plain_inclusion(index, left), right)
    } else {
        (plain_inclusion(index - middle, right), left)
    };
    path.push(plain_root(other));
    path
}

/// PROOF of RFC 6962 section 2.1.2.
pub fn plain_consistency(from: usize, leaves: &[Hash]) -> Vec<Hash> {
    fn subproof(from: usize, leaves: &[Hash], whole: bool) -> Vec<Hash> {
        if from == leaves.len() {
            return if whole { Vec::new() } else { vec![plain_root(leaves)] };
        }
        let middle = split(leaves.len());
        let (left, right) = leaves.split_at(middle);
        let (mut path, other) = if from <= middle {
            (subproof(from, left, whole), right)
        } else {
            (subproof(from - middle, right, false), left)
        };
        path.push(plain_root(other));
        path
    }
    subproof(from, leaves, true)
}
