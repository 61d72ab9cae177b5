//! Secrets and keys: one root secret, subkeys by purpose, keyed hashes, and a node's signing key.

use std::fmt;

use data_encoding::HEXLOWER;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::hash::{bytes_from_hex, hex_array, sha256};

/// Shortest truncated keyed hash that [`Key::verify`] accepts, in bytes.
pub const MAC_BYTES_MIN: usize = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("a secret is 64 lowercase hexadecimal digits and a line feed")]
    SecretText,
    #[error("these 32 bytes are not an Ed25519 public key")]
    PublicKey,
    #[error("the signature does not belong to the key and the text")]
    Signature,
}

/// Thirty-two secret bytes, wiped when dropped. Neither `Debug` nor `Display` shows them.
#[derive(Clone)]
pub struct Secret(Zeroizing<[u8; 32]>);

impl Secret {
    /// Bytes from the system's random source, or as stored.
    pub fn from_bytes(bytes: [u8; 32]) -> Secret {
        Secret(Zeroizing::new(bytes))
    }

    /// Reads the file form: 64 lowercase hexadecimal digits, and a line feed that may be missing.
    pub fn from_text(text: &str) -> Result<Secret, KeyError> {
        let digits = text.strip_suffix('\n').unwrap_or(text);
        bytes_from_hex(digits).map(Secret::from_bytes).ok_or(KeyError::SecretText)
    }

    /// File form: 64 lowercase hexadecimal digits and a line feed.
    pub fn to_text(&self) -> Zeroizing<String> {
        let mut text = HEXLOWER.encode(self.0.as_ref());
        text.push('\n');
        Zeroizing::new(text)
    }

    /// Subkey for keyed hashes, by HKDF-SHA256 (RFC 5869) without salt and with
    /// `info = "hustings key v1\n" ‖ purpose ‖ 0x00 ‖ context`.
    pub fn key(&self, purpose: &str, context: &[u8]) -> Key {
        Key::from_bytes(&self.subkey(purpose, context))
    }

    /// The 32 bytes behind [`Secret::key`], for ciphers and seeds.
    ///
    /// # Panics
    /// If `purpose` holds a zero byte, as two purposes could then meet.
    pub fn subkey(&self, purpose: &str, context: &[u8]) -> Zeroizing<[u8; 32]> {
        assert!(!purpose.contains('\0'), "a purpose has no zero byte");
        let mut okm = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, self.0.as_ref())
            .expand_multi_info(&[b"hustings key v1\n", purpose.as_bytes(), &[0], context], okm.as_mut())
            .expect("32 bytes are within the 8,160 that HKDF-SHA256 gives");
        okm
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// A key for keyed hashes (HMAC-SHA256, RFC 2104), with its padded blocks already absorbed.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    pub fn from_bytes(bytes: &[u8; 32]) -> Key {
        Key(Hmac::new_from_slice(bytes).expect("HMAC takes keys of every length"))
    }

    /// HMAC-SHA256 over the parts one after the other. Short texts cost two compressions, about 100 ns.
    pub fn mac(&self, parts: &[&[u8]]) -> [u8; 32] {
        self.over(parts).finalize().into_bytes().into()
    }

    /// Whether `mac` is the keyed hash of the parts or a beginning of it, at least [`MAC_BYTES_MIN`] long. Takes the
    /// same time whichever byte differs.
    pub fn verify(&self, parts: &[&[u8]], mac: &[u8]) -> bool {
        mac.len() >= MAC_BYTES_MIN && self.over(parts).verify_truncated_left(mac).is_ok()
    }

    fn over(&self, parts: &[&[u8]]) -> Hmac<Sha256> {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(part);
        }
        hmac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// A node's signing key: Ed25519 (RFC 8032), deterministic.
#[derive(Clone)]
pub struct NodeKey {
    node: u16,
    key: SigningKey,
}

impl NodeKey {
    /// `seed` is the 32-byte private key of RFC 8032.
    pub fn new(node: u16, seed: &Secret) -> NodeKey {
        NodeKey { node, key: SigningKey::from_bytes(&seed.0) }
    }

    pub fn node(&self) -> u16 {
        self.node
    }

    pub fn public(&self) -> NodePublicKey {
        NodePublicKey { node: self.node, key: self.key.verifying_key().to_bytes() }
    }

    /// Signature over `message`; about 13 µs.
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.key.sign(message).to_bytes()
    }
}

impl fmt::Debug for NodeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// What everybody knows of a node: its number and its Ed25519 public key, as in acts and record headers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct NodePublicKey {
    pub node: u16,
    #[serde(with = "hex_array")]
    pub key: [u8; 32],
}

impl NodePublicKey {
    /// Verifies strictly: besides RFC 8032 section 5.1.7 without the cofactor, keys and signature points of small
    /// order and a key that is not in its one canonical form are refused, so that every verifier agrees.
    pub fn verify(&self, message: &[u8], signature: &[u8; 64]) -> Result<(), KeyError> {
        let key = VerifyingKey::from_bytes(&self.key).map_err(|_| KeyError::PublicKey)?;
        if key.to_edwards().compress().to_bytes() != self.key {
            return Err(KeyError::PublicKey);
        }
        key.verify_strict(message, &Signature::from_bytes(signature)).map_err(|_| KeyError::Signature)
    }

    /// Name of this node's key in signed notes: `hustings/<ledger id, 32 hexadecimal digits>/node/<number>`.
    pub fn note_name(&self, ledger: &[u8; 16]) -> String {
        format!("hustings/{}/node/{}", HEXLOWER.encode(ledger), self.node)
    }

    /// Key id of C2SP signed-note: `SHA-256(name ‖ "\n" ‖ 0x01 ‖ public key)[..4]`, 0x01 being Ed25519.
    pub fn note_key_id(&self, name: &str) -> [u8; 4] {
        let digest = sha256(&[name.as_bytes(), b"\n", &[1], &self.key]);
        digest.0[..4].try_into().expect("a digest has 4 bytes")
    }

    /// Verifier key text of C2SP signed-note, for other tools: `name+key id in hex+base64(0x01 ‖ public key)`.
    pub fn note_verifier(&self, ledger: &[u8; 16]) -> String {
        let name = self.note_name(ledger);
        let id = HEXLOWER.encode(&self.note_key_id(&name));
        let typed_key = [&[1][..], &self.key].concat();
        format!("{name}+{id}+{}", data_encoding::BASE64.encode(&typed_key))
    }
}

impl fmt::Debug for NodePublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodePublicKey {{ node: {}, key: {} }}", self.node, HEXLOWER.encode(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keyed_hashes_give_the_known_answer_of_rfc_4231() {
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe"); // HMAC pads with zeros, so the padded key is the same key.
        let key = Key::from_bytes(&key);
        let mac = key.mac(&[b"what do ya want ", b"for nothing?"]);
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(HEXLOWER.encode(&mac), expected);
        let parts: &[&[u8]] = &[b"what do ya want for nothing?"];
        assert!(key.verify(parts, &mac) && key.verify(parts, &mac[..16]));
        assert!(!key.verify(parts, &mac[..15]) && !key.verify(parts, &[]) && !key.verify(parts, &mac[1..17]));
    }

    #[test]
    fn signatures_give_the_known_answer_of_rfc_8032() {
        let seed =
            Secret::from_text("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7").unwrap();
        let key = NodeKey::new(1, &seed);
        let public = "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025";
        assert_eq!(HEXLOWER.encode(&key.public().key), public);
        let signature = key.sign(&[0xaf, 0x82]);
        assert_eq!(
            HEXLOWER.encode(&signature),
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac\
             18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        );
        assert_eq!(key.public().verify(&[0xaf, 0x82], &signature), Ok(()));
        assert_eq!(key.public().verify(&[0xaf, 0x83], &signature), Err(KeyError::Signature));
    }

    #[test]
    fn weak_and_malformed_public_keys_are_refused() {
        let identity = {
            let mut key = [0; 32];
            key[0] = 1;
            key
        };
        let zero_signature = [0; 64];
        let weak = NodePublicKey { node: 1, key: identity };
        assert!(weak.verify(b"anything", &zero_signature).is_err());
        let not_canonical = {
            let mut key = [0xff; 32];
            key[0] = 0xee;
            key[31] = 0x7f;
            key
        }; // p + 1, the identity
        let twin = NodePublicKey { node: 1, key: not_canonical };
        assert_eq!(twin.verify(b"anything", &zero_signature), Err(KeyError::PublicKey));
    }

    #[test]
    fn subkeys_differ_by_purpose_and_context_and_stay_the_same_for_ever() {
        let secret = Secret::from_bytes([7; 32]);
        let tag = secret.subkey("voter-tag", &[1; 16]);
        assert_ne!(*tag, *secret.subkey("voter-tag", &[2; 16]));
        assert_ne!(*tag, *secret.subkey("token", &[1; 16]));
        assert_eq!(
            HEXLOWER.encode(tag.as_ref()),
            "84ac9373f142577dc38e4e874828ba728f38c0b06fb215581d803c87b771f615"
        );
        assert_eq!(Key::from_bytes(&tag).mac(&[b"x"]), secret.key("voter-tag", &[1; 16]).mac(&[b"x"]));
    }

    #[test]
    fn a_secret_survives_its_file_and_shows_nothing() {
        let secret = Secret::from_bytes([0xab; 32]);
        assert_eq!(*secret.to_text(), format!("{}\n", "ab".repeat(32)));
        assert_eq!(Secret::from_text(&secret.to_text()).unwrap().0, secret.0);
        assert!(Secret::from_text("ab\n").is_err() && Secret::from_text(&"AB".repeat(32)).is_err());
        let shown = format!("{secret:?} {:?} {:?}", secret.key("x", b""), NodeKey::new(1, &secret));
        assert!(!shown.contains("abab") && !shown.contains("171"), "{shown}");
    }
}
