//! Checkpoints: C2SP tlog-checkpoint texts in C2SP signed notes, signed with Ed25519.
//!
//! ```text
//! hustings/<ledger id>/<epoch>/<election id>/<shard>      origin, ids as 32 lowercase hexadecimal digits
//! 128                                                     number of leaves
//! qINS1GRFhWHwdkUeqLEoP4yEMkTBBzxBkGwGQlVlVcs=            root hash, base64
//!                                                         the signatures cover all above this empty line
//! — hustings/<ledger id>/node/1 <base64(key id ‖ signature)>
//! ```

use std::fmt;
use std::str::FromStr;

use data_encoding::{BASE64, HEXLOWER};

use crate::hash::{HASH_BYTES, Hash, bytes_from_hex};
use crate::keys::{NodeKey, NodePublicKey};
use crate::tree::TreeSize;

/// Longest note that is read, in bytes.
pub const NOTE_BYTES_MAX: usize = 4_096;

const SIGNATURE_LINE_START: &str = "— ";

/// Which tree a checkpoint is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Origin {
    pub ledger: [u8; 16],
    pub epoch: u32,
    pub election: [u8; 16],
    pub shard: u32,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (ledger, election) = (HEXLOWER.encode(&self.ledger), HEXLOWER.encode(&self.election));
        write!(f, "hustings/{ledger}/{}/{election}/{}", self.epoch, self.shard)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Origin {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Origin, CheckpointError> {
        let parts: Vec<&str> = text.split('/').collect();
        let ["hustings", ledger, epoch, election, shard] = parts[..] else {
            return Err(CheckpointError::Origin);
        };
        Ok(Origin {
            ledger: bytes_from_hex(ledger).ok_or(CheckpointError::Origin)?,
            epoch: plain_number(epoch).ok_or(CheckpointError::Origin)?,
            election: bytes_from_hex(election).ok_or(CheckpointError::Origin)?,
            shard: plain_number(shard).ok_or(CheckpointError::Origin)?,
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CheckpointError {
    #[error("the note is not origin, size, root, an empty line and signature lines")]
    Form,
    #[error("the origin is not `hustings/<ledger>/<epoch>/<election>/<shard>`")]
    Origin,
    #[error("the note has no signature by a node of this ledger")]
    NoKnownSignature,
    #[error("the signature by `{0}` does not belong to this text")]
    Signature(String),
}

/// Size and root of one election's tree at one moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    pub origin: Origin,
    pub size: TreeSize,
    pub root: Hash,
}

impl Checkpoint {
    /// Text that is signed: three lines, each ended by a line feed.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(&self.root.0))
    }

    /// Signed note of this checkpoint, ended by a line feed. One signature, about 15 µs.
    pub fn sign(&self, key: &NodeKey) -> String {
        let text = self.text();
        let public = key.public();
        let name = public.note_name(&self.origin.ledger);
        let mut blob = public.note_key_id(&name).to_vec();
        blob.extend_from_slice(&key.sign(text.as_bytes()));
        format!("{text}\n{SIGNATURE_LINE_START}{name} {}\n", BASE64.encode(&blob))
    }

    /// Reads a note without verifying it: what it says, not whether it is true.
    pub fn parse(note: &str) -> Result<Checkpoint, CheckpointError> {
        let (text, signature_lines) = split(note)?;
        signature_lines.lines().try_for_each(|line| parse_signature_line(line).map(|_| ()))?;
        parse_text(text)
    }

    /// Reads a note that at least one of `keys` has signed; number of the first such node.
    ///
    /// As C2SP signed-note says, signatures of unknown keys (witnesses) are passed over, and one wrong signature by
    /// a known key refuses the note.
    pub fn verify(note: &str, keys: &[NodePublicKey]) -> Result<(Checkpoint, u16), CheckpointError> {
        let (text, signature_lines) = split(note)?;
        let checkpoint = parse_text(text)?;
        let mut signed_by = None;
        for line in signature_lines.lines() {
            let (name, blob) = parse_signature_line(line)?;
            let (key_id, signature) = blob.split_at(4);
            let known = keys.iter().find(|key| {
                key.note_name(&checkpoint.origin.ledger) == name && key.note_key_id(name) == key_id
            });
            let Some(key) = known else { continue };
            let wrong = || CheckpointError::Signature(name.to_owned());
            let signature = signature.try_into().map_err(|_| wrong())?;
            key.verify(text.as_bytes(), signature).map_err(|_| wrong())?;
            signed_by.get_or_insert(key.node);
        }
        signed_by.map(|node| (checkpoint, node)).ok_or(CheckpointError::NoKnownSignature)
    }
}

/// Signed text with its last line feed, and the signature lines.
fn split(note: &str) -> Result<(&str, &str), CheckpointError> {
    if note.len() > NOTE_BYTES_MAX || !note.ends_with('\n') {
        return Err(CheckpointError::Form);
    }
    let empty_line = note.find("\n\n").ok_or(CheckpointError::Form)?;
    let (text, signatures) = (&note[..=empty_line], &note[empty_line + 2..]);
    if signatures.is_empty() {
        return Err(CheckpointError::Form);
    }
    Ok((text, signatures))
}

fn parse_text(text: &str) -> Result<Checkpoint, CheckpointError> {
    let lines: Vec<&str> = text.split('\n').collect();
    let [origin, size, root, ""] = lines[..] else { return Err(CheckpointError::Form) };
    let root = BASE64.decode(root.as_bytes()).map_err(|_| CheckpointError::Form)?;
    let root: [u8; HASH_BYTES] = root.try_into().map_err(|_| CheckpointError::Form)?;
    let size = plain_number(size).ok_or(CheckpointError::Form)?;
    Ok(Checkpoint { origin: origin.parse()?, size: TreeSize(size), root: Hash(root) })
}

/// Key name, and key id with signature: at least 5 bytes.
fn parse_signature_line(line: &str) -> Result<(&str, Vec<u8>), CheckpointError> {
    let rest = line.strip_prefix(SIGNATURE_LINE_START).ok_or(CheckpointError::Form)?;
    let (name, blob) = rest.split_once(' ').ok_or(CheckpointError::Form)?;
    let blob = BASE64.decode(blob.as_bytes()).map_err(|_| CheckpointError::Form)?;
    if name.is_empty() || name.contains('+') || blob.len() < 5 {
        return Err(CheckpointError::Form);
    }
    Ok((name, blob))
}

/// A decimal number in its one form: no sign, no leading zero.
fn plain_number<N: FromStr + ToString>(text: &str) -> Option<N> {
    let number: N = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::sha256;
    use crate::keys::Secret;

    fn example() -> Checkpoint {
        let origin = Origin { ledger: [0xab; 16], epoch: 2, election: [0x12; 16], shard: 0 };
        Checkpoint { origin, size: TreeSize(128), root: sha256(&[b"root"]) }
    }

    fn key(node: u16) -> NodeKey {
        NodeKey::new(node, &Secret::from_bytes([node as u8; 32]))
    }

    #[test]
    fn a_signed_checkpoint_is_read_back_by_who_knows_the_key() {
        let note = example().sign(&key(1));
        assert_eq!(Checkpoint::parse(&note), Ok(example()));
        assert_eq!(Checkpoint::verify(&note, &[key(2).public(), key(1).public()]), Ok((example(), 1)));
        assert_eq!(Checkpoint::verify(&note, &[key(2).public()]), Err(CheckpointError::NoKnownSignature));
        let expected_text = format!(
            "hustings/{}/2/{}/0\n128\n{}\n",
            "ab".repeat(16),
            "12".repeat(16),
            BASE64.encode(&example().root.0)
        );
        assert!(
            note.starts_with(&format!("{expected_text}\n— hustings/{}/node/1 ", "ab".repeat(16))),
            "{note}"
        );
    }

    #[test]
    fn signatures_of_witnesses_are_passed_over() {
        let note = example().sign(&key(1)) + "— witness.example/w AAAAAAAAAAAA\n";
        assert_eq!(Checkpoint::verify(&note, &[key(1).public()]), Ok((example(), 1)));
    }

    #[test]
    fn any_changed_byte_of_a_note_is_refused() {
        let note = example().sign(&key(1));
        for at in 0..note.len() {
            for bit in 0..8 {
                let mut bytes = note.clone().into_bytes();
                bytes[at] ^= 1 << bit;
                let Ok(changed) = String::from_utf8(bytes) else { continue };
                assert!(Checkpoint::verify(&changed, &[key(1).public()]).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn a_note_in_another_form_is_refused() {
        let note = example().sign(&key(1));
        let refused = [
            note.trim_end().to_owned(),
            note.replace("\n128\n", "\n0128\n"),
            note.replace("\n128\n", "\n+128\n"),
            note.replace("\n128\n", "\n128\nextension\n"),
            note.replace("hustings/", "Hustings/"),
            note.split_once("\n\n").unwrap().0.to_owned() + "\n\n",
            String::new(),
            "\n\n".to_owned(),
            "\n".repeat(NOTE_BYTES_MAX + 1),
        ];
        for text in refused {
            assert!(Checkpoint::parse(&text).is_err(), "{text:?}");
        }
    }
}
