//! Who this node is, and the keys it derives from the ledger's secret.

use crate::error::NodeError;
use election::{ElectionId, LedgerId, VoterTag};
use proof::{Key, NodeKey, NodePublicKey, Secret, sha256};
use subtle::ConstantTimeEq;

/// Public facts of a node.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The ledger's name in all evidence: receipts, checkpoints, records. It stays when a backup is restored.
    pub ledger: LedgerId,
    /// Name of the log that is written: of the cluster, where there is one. A cluster made of a backup has a new one.
    pub log: LedgerId,
    pub epoch: u32,
    pub node: u16,
    pub key: NodePublicKey,
}

/// Keys of the ledger and of this node. Nothing of it can be printed.
#[derive(Clone, Debug)]
pub struct Keys {
    secret: Secret,
    pub node: NodeKey,
    tokens: Key,
    forms: Key,
}

impl Keys {
    pub fn new(secret: Secret, node: NodeKey) -> Self {
        let (tokens, forms) = (secret.key("token", b""), secret.key("form", b""));
        Keys { secret, node, tokens, forms }
    }

    pub fn tokens(&self) -> &Key {
        &self.tokens
    }

    pub fn forms(&self) -> &Key {
        &self.forms
    }

    /// Key under which an election's voters get their tags.
    pub fn voter_tags(&self, election: ElectionId) -> Key {
        self.secret.key("voter-tag", &election.0)
    }
}

/// Tag of a voter who holds a numbered session.
pub fn tag_of_number(key: &Key, number: u64) -> VoterTag {
    cut(key.mac(&[&[0], &number.to_be_bytes()]))
}

/// Tag of a voter named by text: an id on a list, a phone number at a gateway.
pub fn tag_of_text(key: &Key, text: &str) -> VoterTag {
    cut(key.mac(&[&[1], text.as_bytes()]))
}

fn cut(mac: [u8; 32]) -> VoterTag {
    VoterTag(mac[..16].try_into().expect("a keyed hash is longer than 16 bytes"))
}

/// What officers show to act. Its `Debug` prints nothing of it; the ledger holds its hash.
#[derive(Clone)]
pub struct OfficerToken(String);

impl OfficerToken {
    pub const CHARS_MIN: usize = 16;

    /// A token from the environment or a file: at least 16 characters, all visible ASCII.
    pub fn new(text: String) -> Result<Self, &'static str> {
        let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        if text.len() >= Self::CHARS_MIN && text.len() <= 200 && is_visible {
            Ok(OfficerToken(text))
        } else {
            Err("an officer token has 16 to 200 visible ASCII characters and no spaces")
        }
    }

    /// 160 random bits in words of five letters.
    pub fn from_random(bytes: [u8; 20]) -> Self {
        let text = data_encoding::BASE32_NOPAD.encode(&bytes).to_lowercase();
        let words: Vec<&str> = text
            .as_bytes()
            .chunks(8)
            .map(|word| std::str::from_utf8(word).expect("base32 is ASCII"))
            .collect();
        OfficerToken(words.join("-"))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    /// SHA-256 of the token in hex, as the ledger keeps it.
    pub fn hash(&self) -> String {
        sha256(&[b"hustings officer v1\n", self.0.as_bytes()]).to_hex()
    }
}

impl std::fmt::Debug for OfficerToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("OfficerToken(…)")
    }
}

/// Whether a shown token is the one whose hash the ledger holds; takes the same time whichever letter differs.
pub fn is_officer(shown: &str, hash: &str) -> bool {
    let shown = sha256(&[b"hustings officer v1\n", shown.as_bytes()]).to_hex();
    shown.as_bytes().ct_eq(hash.as_bytes()).into()
}

/// Random bytes from the system.
pub fn system_random<const N: usize>() -> Result<[u8; N], NodeError> {
    use rand::TryRng;
    use rand::rngs::SysRng;
    let mut bytes = [0; N];
    SysRng.try_fill_bytes(&mut bytes).map_err(|_| NodeError::Random)?;
    Ok(bytes)
}
