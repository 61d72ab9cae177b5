//! The key of a backup: what nobody but its holder may read of a backup is sealed with it.
//!
//! The key is as long as a join key and written like one, so nobody has to think of a passphrase, and no slow
//! derivation has to make up for a short one.

use std::path::Path;

use anyhow::Result;
use cluster::net::JoinKey;
use proof::sha256;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use zeroize::Zeroizing;

use crate::exit::{Exit, Failure};

/// Where `backup` and `restore` look for the key.
pub const BACKUP_KEY_VARIABLE: &str = "HUSTINGS_BACKUP_KEY";
const MAGIC: &[u8] = b"hustings sealed v1\n";

/// Opens and seals the keys in a backup. Nothing of it can be printed but by [`BackupKey::text`].
pub struct BackupKey(JoinKey);

impl std::fmt::Debug for BackupKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("BackupKey")
    }
}

impl BackupKey {
    pub fn new() -> Result<Self> {
        Ok(Self(JoinKey::from_random(node::identity::system_random()?)))
    }

    /// The one in the environment; `None` where there is none.
    pub fn from_environment() -> Result<Option<Self>> {
        let given = std::env::var(BACKUP_KEY_VARIABLE).ok().map(Zeroizing::new);
        let Some(text) = given.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let key = JoinKey::from_text(text.trim()).map_err(|_| {
            Failure::usage(format!("what {BACKUP_KEY_VARIABLE} holds is no backup key, or was mistyped"))
                .code("invalid_backup_key")
                .hint("It is the one that `hustings backup` printed when it was made.")
        })?;
        Ok(Some(Self(key)))
    }

    pub fn text(&self) -> Zeroizing<String> {
        self.0.to_text()
    }

    /// Eight characters that tell keys apart and tell nothing of them.
    pub fn name(&self) -> String {
        let hash = sha256(&[b"hustings backup key, name\n", self.text().as_bytes()]);
        election::hex(&hash.0[..4])
    }

    /// `magic 19 | nonce 12 | bytes, encrypted | tag 16`; ChaCha20-Poly1305 (RFC 8439) under the SHA-256 of
    /// `hustings backup key, version 1`, a newline and the key's text, with the file's name as further data.
    pub fn seal(&self, name: &str, bytes: &[u8]) -> Result<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = node::identity::system_random()?;
        let mut sealed = Zeroizing::new(bytes.to_vec());
        let tag = self.cipher().seal_in_place_separate_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(name.as_bytes()),
            &mut sealed,
        );
        let tag = tag.expect("a key file is far below the limit of the cipher");
        Ok([MAGIC, &nonce, &sealed, tag.as_ref()].concat())
    }

    pub fn open(&self, name: &str, path: &Path, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let damaged = || Failure::new(Exit::Damaged, format!("`{}` is no sealed file", path.display()));
        let rest = sealed.strip_prefix(MAGIC).ok_or_else(damaged)?;
        let (nonce, rest) = rest.split_first_chunk::<NONCE_LEN>().ok_or_else(damaged)?;
        let mut bytes = Zeroizing::new(rest.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.cipher().open_in_place(nonce, Aad::from(name.as_bytes()), &mut bytes);
        let length = opened.map(|opened| opened.len()).map_err(|_| {
            let sentence = format!("the backup key {} does not open `{}`", self.name(), path.display());
            Failure::usage(sentence)
                .code("wrong_backup_key")
                .hint("`backup.json` in the backup names its key in the field `key`.")
        })?;
        bytes.truncate(length);
        Ok(bytes)
    }

    fn cipher(&self) -> LessSafeKey {
        let key = Zeroizing::new(sha256(&[b"hustings backup key, version 1\n", self.text().as_bytes()]).0);
        LessSafeKey::new(UnboundKey::new(&CHACHA20_POLY1305, key.as_ref()).expect("32 bytes are a key"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_its_key_opens_a_sealed_file_and_only_under_its_name() {
        let (key, other) = (BackupKey::new().expect("random"), BackupKey::new().expect("random"));
        let path = Path::new("secret.sealed");
        let sealed = key.seal("secret", b"of all things").expect("sealed");
        assert!(!sealed.windows(6).any(|part| part == b"of all"));
        assert_eq!(key.open("secret", path, &sealed).expect("opens").as_slice(), b"of all things");
        for (key, name) in [(&other, "secret"), (&key, "node-key")] {
            let error = key.open(name, path, &sealed).expect_err("stays closed");
            assert_eq!(crate::exit::exit_of(&error), Exit::Usage);
        }
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open("secret", path, &changed).is_err(), "byte {at}");
        }
        assert!(key.open("secret", path, b"").is_err());
        assert_ne!(key.name(), other.name());
    }
}
