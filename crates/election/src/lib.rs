//! Elections as a pure state machine: ordered commands in, outcomes out.
//!
//! Nothing here reads a clock, a disk, the network or a random source, and nothing uses floats: equal
//! commands give equal bytes on every node, in the simulator and in the audit. [`State::apply`] is the one
//! place where anything changes.

pub mod act;
pub mod answers;
pub mod ballot;
pub mod command;
pub mod definition;
pub mod ids;
pub mod methods;
pub mod mutation;
pub mod order;
pub mod rejection;
pub mod results;
pub mod roll;
pub mod room;
pub mod run_off;
pub mod snapshot;
pub mod state;
pub mod tags;
pub mod tally;
pub mod time;
pub mod voted;

pub use answers::{EncodedAnswers, GivenAnswer, GivenAnswers};
pub use ballot::{Extras, Opening, OpeningFields};
pub use command::{Cast, Command, OfficerCommand};
pub use definition::{Definition, DefinitionError};
pub use ids::{
    BallotIndex, ElectionId, ElectionIndex, IdempotencyKey, LeafIndex, LedgerId, Slug, Voter, VoterTag,
};
pub use rejection::Rejection;
pub use results::{Curtain, Results, Shown, Viewer};
pub use state::{Election, ElectionState, Event, EventKind, Outcome, State};
pub use time::{Hlc, UnixMillis};

/// Version of the counting rules that elections opened by this build are counted under, for ever.
pub const RULES_VERSION: u16 = 1;

/// SHA-256 over the parts in order (FIPS 180-4).
pub fn sha256(parts: &[&[u8]]) -> [u8; 32] {
    use sha2::Digest;
    let mut hasher = sha2::Sha256::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Lowercase hexadecimal of any bytes.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}

/// Bytes of lowercase or uppercase hexadecimal of exactly `N` bytes; `None` for anything else.
pub fn from_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let high = char::from(pair[0]).to_digit(16)?;
        let low = char::from(pair[1]).to_digit(16)?;
        *byte = u8::try_from(high * 16 + low).ok()?;
    }
    Some(bytes)
}
