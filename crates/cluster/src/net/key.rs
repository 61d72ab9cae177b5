//! The join key: the one secret that the nodes of a cluster share before they know each other.

use std::fmt;

use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use zeroize::{Zeroize, Zeroizing};

/// Bytes of randomness in a join key.
pub const JOIN_KEY_BYTES: usize = 16;
const CHECK_BYTES: usize = 4;
const GROUP_CHARACTERS: usize = 4;
const TEXT_CHARACTERS: usize = (JOIN_KEY_BYTES + CHECK_BYTES) * 8 / 5;
/// Crockford's base 32: no letter that looks like a digit, and none that makes words.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// 128 random bits from which every key between nodes comes. Whoever holds it can join the cluster.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinKey([u8; JOIN_KEY_BYTES]);

/// Why a text is not a join key. No message repeats any of the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum JoinKeyError {
    #[error("a join key has {TEXT_CHARACTERS} letters and digits, this has {0}")]
    Length(usize),
    #[error("character {0} of the join key is none that a join key has")]
    Character(usize),
    #[error("the join key was mistyped: its last part does not fit the rest")]
    Check,
}

impl JoinKey {
    /// `random` is drawn by the caller, from the system's secure source.
    #[must_use]
    pub fn from_random(random: [u8; JOIN_KEY_BYTES]) -> Self {
        Self(random)
    }

    /// Takes what [`Self::to_text`] gives. Case, spaces and hyphens do not matter; `o` is read as 0, `i` and `l` as 1.
    pub fn from_text(text: &str) -> Result<Self, JoinKeyError> {
        let mut bytes = Zeroizing::new([0u8; JOIN_KEY_BYTES + CHECK_BYTES]);
        let count = text.chars().filter(|one| is_counted(*one)).count();
        if count != TEXT_CHARACTERS {
            return Err(JoinKeyError::Length(count));
        }
        for (at, character) in text.chars().filter(|one| is_counted(*one)).enumerate() {
            let value = value_of(character).ok_or(JoinKeyError::Character(at + 1))?;
            for bit in 0..5 {
                let place = at * 5 + bit;
                bytes[place / 8] |= (value >> (4 - bit) & 1) << (7 - place % 8);
            }
        }
        let (key, check) = bytes.split_at(JOIN_KEY_BYTES);
        let key = Self(key.try_into().expect("split there"));
        if key.check() == check { Ok(key) } else { Err(JoinKeyError::Check) }
    }

    /// Eight groups of four letters and digits, joined by hyphens. A secret.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut bytes = Zeroizing::new([0u8; JOIN_KEY_BYTES + CHECK_BYTES]);
        bytes[..JOIN_KEY_BYTES].copy_from_slice(&self.0);
        bytes[JOIN_KEY_BYTES..].copy_from_slice(&self.check());
        // Its full length at once, so that growing leaves no copy behind.
        let mut text = Zeroizing::new(String::with_capacity(TEXT_CHARACTERS * 5 / 4));
        for at in 0..TEXT_CHARACTERS {
            if at > 0 && at % GROUP_CHARACTERS == 0 {
                text.push('-');
            }
            let places = at * 5..at * 5 + 5;
            let value = places.fold(0, |sum, place| sum << 1 | (bytes[place / 8] >> (7 - place % 8) & 1));
            text.push(char::from(ALPHABET[usize::from(value)]));
        }
        text
    }

    /// A key for one purpose; keys of different purposes tell nothing of each other. HKDF-SHA256, RFC 5869.
    pub(crate) fn derived(&self, purpose: &str) -> Zeroizing<[u8; 32]> {
        let mut out = Zeroizing::new([0u8; 32]);
        Hkdf::<Sha256>::new(Some(b"hustings cluster join key, version 1"), &self.0)
            .expand(purpose.as_bytes(), out.as_mut())
            .expect("32 bytes are a length that HKDF gives");
        out
    }

    fn check(&self) -> [u8; CHECK_BYTES] {
        let mut hash = Sha256::new();
        hash.update(b"hustings join key, check part\n");
        hash.update(self.0);
        hash.finalize()[..CHECK_BYTES].try_into().expect("a hash is longer")
    }
}

impl Drop for JoinKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for JoinKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JoinKey")
    }
}

fn is_counted(character: char) -> bool {
    character != '-' && !character.is_whitespace()
}

fn value_of(character: char) -> Option<u8> {
    let plain = match character.to_ascii_lowercase() {
        'o' => '0',
        'i' | 'l' => '1',
        other => other,
    };
    let at = ALPHABET.iter().position(|one| char::from(*one) == plain)?;
    Some(u8::try_from(at).expect("one of 32"))
}

/// Name of a cluster, as operators type it: 1 to 40 of `a-z`, `0-9`, `-`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ClusterName(String);

/// A text that cannot name a cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the name of a cluster has 1 to 40 of `a-z`, `0-9` and `-`")]
pub struct ClusterNameError;

impl std::str::FromStr for ClusterName {
    type Err = ClusterNameError;

    fn from_str(text: &str) -> Result<Self, ClusterNameError> {
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
        let is_name = (1..=40).contains(&text.len()) && text.bytes().all(is_allowed);
        if is_name { Ok(Self(text.to_owned())) } else { Err(ClusterNameError) }
    }
}

impl ClusterName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClusterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(seed: u8) -> JoinKey {
        JoinKey::from_random(std::array::from_fn(|at| (at as u8).wrapping_mul(37) ^ seed))
    }

    #[test]
    fn a_join_key_comes_back_from_its_text_however_it_is_typed() {
        for seed in 0..=255 {
            let text = key(seed).to_text();
            assert_eq!(JoinKey::from_text(&text), Ok(key(seed)));
            assert_eq!(JoinKey::from_text(&text.to_uppercase().replace('-', " ")), Ok(key(seed)));
            assert_eq!(JoinKey::from_text(&text.replace('0', "o").replace('1', "L")), Ok(key(seed)));
        }
        assert_eq!(key(7).to_text().len(), 39);
        assert_eq!(key(7).to_text().split('-').count(), 8);
    }

    #[test]
    fn one_wrong_letter_or_two_swapped_are_a_mistyped_key_not_another_one() {
        let text = key(3).to_text().replace('-', "");
        for at in 0..TEXT_CHARACTERS {
            for other in ALPHABET.iter().map(|other| char::from(*other)) {
                let mut typed: Vec<char> = text.chars().collect();
                let was = std::mem::replace(&mut typed[at], other);
                let expected = if was == other { Ok(key(3)) } else { Err(JoinKeyError::Check) };
                assert_eq!(JoinKey::from_text(&typed.iter().collect::<String>()), expected);
            }
            let mut swapped: Vec<char> = text.chars().collect();
            swapped.swap(at, (at + 1) % TEXT_CHARACTERS);
            let swapped: String = swapped.iter().collect();
            assert_eq!(JoinKey::from_text(&swapped).is_ok(), swapped == text);
        }
        assert_eq!(JoinKey::from_text(&text[1..]), Err(JoinKeyError::Length(31)));
        assert_eq!(JoinKey::from_text(&text.replacen(&text[4..5], "u", 1)), {
            let first = text.find(&text[4..5]).unwrap();
            Err(JoinKeyError::Character(first + 1))
        });
    }

    #[test]
    fn a_join_key_is_not_printed_and_its_purposes_differ() {
        let text = key(9).to_text();
        let printed = format!("{:?}", key(9));
        assert!(text.split('-').all(|group| !printed.contains(group)));
        assert_ne!(*key(9).derived("a"), *key(9).derived("b"));
        assert_ne!(*key(9).derived("a"), *key(8).derived("a"));
    }

    #[test]
    fn the_name_of_a_cluster_is_short_and_plain() {
        for good in ["a", "town-hall-2", &"x".repeat(40)] {
            assert_eq!(good.parse::<ClusterName>().unwrap().as_str(), good);
        }
        for bad in ["", "Town", "a b", "ü", "a/b", &"x".repeat(41)] {
            assert_eq!(bad.parse::<ClusterName>(), Err(ClusterNameError));
        }
    }
}
