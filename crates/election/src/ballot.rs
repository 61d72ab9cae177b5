//! A ballot's opening: the bytes that its leaf commits to, that the ledger stores and the record publishes.
//!
//! Layout, integers big-endian (`docs/formats.md`, "Ballot opening"):
//! nonce 32 ‖ election id 16 ‖ shard u32 ‖ voter tag 16 ‖ idempotency key 16 ‖ flags u8 ‖ [weight u32]
//! [group u16] [stamp u64] [click ms u64 ‖ served ms u64] ‖ answers or ciphertext.

use crate::ids::{ElectionId, IdempotencyKey, VoterTag};
use crate::time::{Hlc, UnixMillis};

pub const FIXED_BYTES: usize = 32 + 16 + 4 + 16 + 16 + 1;
pub const OPENING_BYTES_MAX: usize = 128 * 1024;

const FLAG_WEIGHT: u8 = 1;
const FLAG_GROUP: u8 = 1 << 1;
const FLAG_STAMP: u8 = 1 << 2;
const FLAG_CLICK: u8 = 1 << 3;
const FLAG_CIPHERTEXT: u8 = 1 << 4;

/// When the voter clicked and when the page was served, by the server's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Click {
    pub clicked: UnixMillis,
    pub served: UnixMillis,
}

/// The optional fields of an opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extras {
    /// 1 is not written.
    pub weight: u32,
    /// Index in the definition's `groups`.
    pub group: Option<u16>,
    /// Arrival; left out where order and time must stay secret.
    pub stamp: Option<Hlc>,
    pub click: Option<Click>,
}

impl Extras {
    pub const NONE: Extras = Extras { weight: 1, group: None, stamp: None, click: None };
}

/// What goes into an opening besides its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OpeningFields {
    /// 32 random bytes drawn at the edge; without them a leaf could be guessed from its hash.
    pub nonce: [u8; 32],
    pub election: ElectionId,
    pub shard: u32,
    pub voter: VoterTag,
    pub key: IdempotencyKey,
    pub extras: Extras,
}

/// A parsed opening, borrowing its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opening<'a> {
    pub fields: OpeningFields,
    pub body: Body<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body<'a> {
    Answers(&'a [u8]),
    Ciphertext(&'a [u8]),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpeningError {
    #[error("the opening is too short")]
    Short,
    #[error("the opening carries flags this version does not know")]
    Flags,
    #[error("the opening writes out a weight of 1, which is left out")]
    Weight,
}

/// Appends the opening of a ballot with plain answers to `bytes`.
pub fn write_opening(bytes: &mut Vec<u8>, fields: &OpeningFields, answers: &[u8]) {
    let OpeningFields { nonce, election, shard, voter, key, extras } = fields;
    bytes.reserve(FIXED_BYTES + 30 + answers.len());
    bytes.extend_from_slice(nonce);
    bytes.extend_from_slice(&election.0);
    bytes.extend_from_slice(&shard.to_be_bytes());
    bytes.extend_from_slice(&voter.0);
    bytes.extend_from_slice(&key.0);
    let flag = |set: bool, flag: u8| if set { flag } else { 0 };
    bytes.push(
        flag(extras.weight != 1, FLAG_WEIGHT)
            | flag(extras.group.is_some(), FLAG_GROUP)
            | flag(extras.stamp.is_some(), FLAG_STAMP)
            | flag(extras.click.is_some(), FLAG_CLICK),
    );
    if extras.weight != 1 {
        bytes.extend_from_slice(&extras.weight.to_be_bytes());
    }
    if let Some(group) = extras.group {
        bytes.extend_from_slice(&group.to_be_bytes());
    }
    if let Some(stamp) = extras.stamp {
        bytes.extend_from_slice(&stamp.0.to_be_bytes());
    }
    if let Some(Click { clicked, served }) = extras.click {
        bytes.extend_from_slice(&clicked.0.to_be_bytes());
        bytes.extend_from_slice(&served.0.to_be_bytes());
    }
    bytes.extend_from_slice(answers);
}

impl<'a> Opening<'a> {
    /// Parses an opening; its answers are checked against the definition by [`crate::answers::visit`].
    pub fn parse(bytes: &'a [u8]) -> Result<Self, OpeningError> {
        let mut rest = bytes;
        let nonce = take::<32>(&mut rest)?;
        let election = ElectionId(take(&mut rest)?);
        let shard = u32::from_be_bytes(take(&mut rest)?);
        let voter = VoterTag(take(&mut rest)?);
        let key = IdempotencyKey(take(&mut rest)?);
        let [flags] = take::<1>(&mut rest)?;
        if flags & !(FLAG_WEIGHT | FLAG_GROUP | FLAG_STAMP | FLAG_CLICK | FLAG_CIPHERTEXT) != 0 {
            return Err(OpeningError::Flags);
        }
        let mut extras = Extras::NONE;
        if flags & FLAG_WEIGHT != 0 {
            extras.weight = u32::from_be_bytes(take(&mut rest)?);
            if extras.weight == 1 {
                return Err(OpeningError::Weight);
            }
        }
        if flags & FLAG_GROUP != 0 {
            extras.group = Some(u16::from_be_bytes(take(&mut rest)?));
        }
        if flags & FLAG_STAMP != 0 {
            extras.stamp = Some(Hlc(u64::from_be_bytes(take(&mut rest)?)));
        }
        if flags & FLAG_CLICK != 0 {
            let clicked = UnixMillis(u64::from_be_bytes(take(&mut rest)?));
            let served = UnixMillis(u64::from_be_bytes(take(&mut rest)?));
            extras.click = Some(Click { clicked, served });
        }
        let body = if flags & FLAG_CIPHERTEXT != 0 { Body::Ciphertext(rest) } else { Body::Answers(rest) };
        Ok(Opening { fields: OpeningFields { nonce, election, shard, voter, key, extras }, body })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], OpeningError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(OpeningError::Short)?;
    *rest = tail;
    Ok(*head)
}
