//! Names and numbers: each a type of its own, so that swapped arguments do not compile.

use crate::{from_hex, hex, sha256};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

pub const SLUG_CHARS_MAX: usize = 40;
pub const NAME_CHARS_MAX: usize = 200;

/// Public name of an election, as in URLs: 1 to 40 of `a-z`, `0-9`, `-`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Slug(String);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a name for an address: use 1 to 40 of a-z, 0-9 and -")]
pub struct SlugError(pub String);

impl Slug {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This name with `suffix` appended, shortened so that it stays a valid slug.
    pub fn with_suffix(&self, suffix: &str) -> Slug {
        let room = SLUG_CHARS_MAX - suffix.len();
        let stem = &self.0[..self.0.len().min(room)];
        Slug(format!("{stem}{suffix}"))
    }
}

impl FromStr for Slug {
    type Err = SlugError;
    fn from_str(text: &str) -> Result<Self, SlugError> {
        if is_slug(text) {
            Ok(Slug(text.to_owned()))
        } else {
            Err(SlugError(text.chars().take(60).collect()))
        }
    }
}

impl TryFrom<String> for Slug {
    type Error = SlugError;
    fn try_from(text: String) -> Result<Self, SlugError> {
        text.parse()
    }
}

impl From<Slug> for String {
    fn from(slug: Slug) -> String {
        slug.0
    }
}

impl fmt::Display for Slug {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for Slug {
    fn borrow(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is 1 to 40 of `a-z`, `0-9`, `-`: the form of slugs, contest ids and choice ids.
pub fn is_slug(text: &str) -> bool {
    (1..=SLUG_CHARS_MAX).contains(&text.len())
        && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'))
}

/// A slug made from a name: ASCII letters and digits lowered, the rest one `-` each run; `None` if nothing is left.
pub fn slugify(name: &str) -> Option<String> {
    let mut slug = String::new();
    for letter in name.chars() {
        if letter.is_ascii_alphanumeric() {
            slug.push(letter.to_ascii_lowercase());
        } else if letter != '\'' && !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
        if slug.len() == SLUG_CHARS_MAX {
            break;
        }
    }
    let slug = slug.trim_end_matches('-');
    (!slug.is_empty()).then(|| slug.to_owned())
}

macro_rules! hex_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub [u8; $bytes]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&hex(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), hex(&self.0))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                hex(&id.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;
            fn try_from(text: String) -> Result<Self, String> {
                from_hex(&text).map($name).ok_or_else(|| format!("expected {} hexadecimal digits", $bytes * 2))
            }
        }
    };
}

hex_id!(
    /// Which ledger: 16 random bytes drawn when it was founded.
    LedgerId,
    16
);
hex_id!(
    /// Which election, in every ledger: see [`ElectionId::derive`].
    ElectionId,
    16
);
hex_id!(
    /// A voter under one election's key: says nothing about who it is, and nothing across elections.
    VoterTag,
    16
);
hex_id!(
    /// What a client sent as `Idempotency-Key`, hashed and cut to 16 bytes; zeros when none was sent.
    IdempotencyKey,
    16
);

impl ElectionId {
    /// First 16 bytes of SHA-256 over `"hustings election v1\n" ‖ ledger id ‖ slug`.
    pub fn derive(ledger: LedgerId, slug: &Slug) -> Self {
        let digest = sha256(&[b"hustings election v1\n", &ledger.0, slug.as_str().as_bytes()]);
        ElectionId(digest[..16].try_into().expect("a digest is longer than 16 bytes"))
    }
}

impl IdempotencyKey {
    pub const NONE: IdempotencyKey = IdempotencyKey([0; 16]);

    /// First 16 bytes of SHA-256 over the text that the client chose.
    pub fn from_text(text: &str) -> Self {
        let digest = sha256(&[text.as_bytes()]);
        IdempotencyKey(digest[..16].try_into().expect("a digest is longer than 16 bytes"))
    }

    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

/// Place of an election in its ledger, by order of creation, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ElectionIndex(pub u32);

/// Position of a leaf in its election's tree, from 0; officers' acts are leaves too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LeafIndex(pub u64);

/// Number of an accepted ballot within its election, from 0; acts are not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct BallotIndex(pub u64);

/// A voter as commands name one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Voter {
    pub tag: VoterTag,
    /// Dense number, where the voter holds a token of ours or stands on the roll; kept in a bit set.
    /// `None` for a voter a gateway named by text, kept by tag.
    pub number: Option<u64>,
}
