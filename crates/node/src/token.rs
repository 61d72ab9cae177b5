//! Stateless tokens: what a voter or a gateway shows, checked with one keyed hash and no table.
//!
//! Bytes: version u8 (1) ‖ key version u8 (1) ‖ kind u8 ‖ election id 16 (zeros: any) ‖ number u64 ‖ issued u32
//! (Unix seconds) ‖ MAC 16, integers big-endian; text is base64url without padding, 63 characters.

use data_encoding::BASE64URL_NOPAD;
use election::{ElectionId, UnixMillis};
use proof::Key;

const VERSION: u8 = 1;
const KEY_VERSION: u8 = 1;
const BODY_BYTES: usize = 3 + 16 + 8 + 4;
const MAC_BYTES: usize = 16;
pub const TOKEN_CHARS: usize = 63;
const ANY_ELECTION: ElectionId = ElectionId([0; 16]);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenKind {
    /// A browser's session, good for every open election.
    Session = 0,
    /// A voter of one election.
    Voter = 1,
    /// A program that casts for the voters it names, in one election.
    Gateway = 2,
    /// An officer's browser.
    Officer = 3,
}

/// A token's content, known to be ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Token {
    pub kind: TokenKind,
    /// `None`: every open election.
    pub election: Option<ElectionId>,
    /// Dense number of the voter.
    pub number: u64,
    /// Unix seconds.
    pub issued: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("this is not a token of this server")]
    Unknown,
    #[error("this token is for another election")]
    OtherElection,
    #[error("this token does not allow that")]
    OtherKind,
}

impl Token {
    pub fn new(kind: TokenKind, election: Option<ElectionId>, number: u64, issued: UnixMillis) -> Self {
        let issued = u32::try_from(issued.0 / 1000).unwrap_or(u32::MAX);
        Token { kind, election, number, issued }
    }

    /// The text a voter carries. Cost: one keyed hash.
    pub fn sign(&self, key: &Key) -> String {
        let mut bytes = [0; BODY_BYTES + MAC_BYTES];
        bytes[..BODY_BYTES].copy_from_slice(&self.body());
        let mac = key.mac(&[&bytes[..BODY_BYTES]]);
        bytes[BODY_BYTES..].copy_from_slice(&mac[..MAC_BYTES]);
        BASE64URL_NOPAD.encode(&bytes)
    }

    /// Reads a token. Cost: one keyed hash, no allocation; the compare takes the same time whichever byte differs.
    pub fn verify(text: &str, key: &Key) -> Result<Self, TokenError> {
        let mut bytes = [0; BODY_BYTES + MAC_BYTES];
        if text.len() != TOKEN_CHARS {
            return Err(TokenError::Unknown);
        }
        let decoded = BASE64URL_NOPAD.decode_mut(text.as_bytes(), &mut bytes);
        if decoded != Ok(bytes.len()) || !key.verify(&[&bytes[..BODY_BYTES]], &bytes[BODY_BYTES..]) {
            return Err(TokenError::Unknown);
        }
        let kind = match bytes[..3] {
            [VERSION, KEY_VERSION, 0] => TokenKind::Session,
            [VERSION, KEY_VERSION, 1] => TokenKind::Voter,
            [VERSION, KEY_VERSION, 2] => TokenKind::Gateway,
            [VERSION, KEY_VERSION, 3] => TokenKind::Officer,
            _ => return Err(TokenError::Unknown),
        };
        let election = ElectionId(bytes[3..19].try_into().expect("16 bytes"));
        Ok(Token {
            kind,
            election: (election != ANY_ELECTION).then_some(election),
            number: u64::from_be_bytes(bytes[19..27].try_into().expect("8 bytes")),
            issued: u32::from_be_bytes(bytes[27..31].try_into().expect("4 bytes")),
        })
    }

    fn body(&self) -> [u8; BODY_BYTES] {
        let mut bytes = [0; BODY_BYTES];
        bytes[..3].copy_from_slice(&[VERSION, KEY_VERSION, self.kind as u8]);
        bytes[3..19].copy_from_slice(&self.election.unwrap_or(ANY_ELECTION).0);
        bytes[19..27].copy_from_slice(&self.number.to_be_bytes());
        bytes[27..].copy_from_slice(&self.issued.to_be_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_any_changed_letter_is_refused() {
        let key = Key::from_bytes(&[7; 32]);
        let token = Token::new(TokenKind::Voter, Some(ElectionId([9; 16])), 77, UnixMillis(5_000));
        let text = token.sign(&key);
        assert_eq!(text.len(), TOKEN_CHARS);
        assert_eq!(Token::verify(&text, &key), Ok(token));
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            assert_eq!(Token::verify(&changed, &key), Err(TokenError::Unknown), "letter {at}");
        }
        assert_eq!(Token::verify(&text, &Key::from_bytes(&[8; 32])), Err(TokenError::Unknown));
        assert_eq!(Token::verify("", &key), Err(TokenError::Unknown));
    }
}
