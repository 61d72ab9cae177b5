//! One beacon: what a node calls out to the network, signed under the join key. A hint, never a proof of anything.

use hmac::{Hmac, KeyInit, Mac};
use ledger::LedgerId;
use sha2::Sha256;
use zeroize::Zeroizing;

use super::NO_LEDGER;
use super::key::{ClusterName, JoinKey};
use crate::fields::{Fields, FieldsError, put_bytes};
use crate::{MEMBER_ADDRESS_BYTES_MAX, NodeId};

/// Fits a datagram that nobody has to cut.
pub(crate) const BEACON_BYTES_MAX: usize = 512;
const MAGIC: &[u8; 4] = b"HuBc";
const VERSION: u8 = 1;
const SIGNATURE_BYTES: usize = 32;

/// What a node says of itself to whoever listens.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Beacon {
    pub name: ClusterName,
    /// [`NO_LEDGER`] while it belongs to no cluster.
    pub ledger: LedgerId,
    pub node: NodeId,
    /// Host and port under which other nodes reach it.
    pub address: String,
    pub is_leading: bool,
    pub term: u64,
    /// Last position of its log.
    pub last: u64,
    /// Drawn once by each process, so that its own beacons are known when they come back.
    pub nonce: [u8; 16],
}

/// Signs and checks beacons.
pub(crate) struct Signer(Zeroizing<[u8; 32]>);

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

impl Beacon {
    #[must_use]
    pub fn is_blank(&self) -> bool {
        self.ledger == NO_LEDGER
    }
}

impl Signer {
    pub(crate) fn new(key: &JoinKey) -> Self {
        Self(key.derived("beacons"))
    }

    /// `magic 4 | version 1 | name | ledger 16 | node 8 | address | leading 1 | term 8 | last 8 | nonce 16 |
    /// HMAC-SHA256 of all these 32`, name and address behind their length in 2.
    pub(crate) fn encode(&self, beacon: &Beacon) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        put_bytes(&mut out, beacon.name.as_str().as_bytes());
        out.extend_from_slice(&beacon.ledger.0);
        out.extend_from_slice(&beacon.node.0.to_be_bytes());
        put_bytes(&mut out, beacon.address.as_bytes());
        out.push(u8::from(beacon.is_leading));
        out.extend_from_slice(&beacon.term.to_be_bytes());
        out.extend_from_slice(&beacon.last.to_be_bytes());
        out.extend_from_slice(&beacon.nonce);
        let signature = self.mac(&out).finalize().into_bytes();
        out.extend_from_slice(&signature);
        out
    }

    /// `None` for what is no beacon of a node with this join key.
    pub(crate) fn decode(&self, bytes: &[u8]) -> Option<Beacon> {
        if bytes.len() > BEACON_BYTES_MAX {
            return None;
        }
        let (content, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE_BYTES)?)?;
        self.mac(content).verify_slice(signature).ok()?;
        read(content.strip_prefix(MAGIC)?).ok()
    }

    fn mac(&self, content: &[u8]) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.as_ref()).expect("a key of any length will do");
        mac.update(content);
        mac
    }
}

fn read(bytes: &[u8]) -> Result<Beacon, FieldsError> {
    let mut fields = Fields::of(bytes, VERSION)?;
    let name = fields.text(40)?.parse().map_err(|_| FieldsError::Malformed("its name is none"))?;
    let ledger = fields.ledger()?;
    let node = NodeId(fields.number()?);
    let address = fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned();
    let is_leading = fields.flag()?;
    let (term, last) = (fields.number()?, fields.number()?);
    let nonce = fields.array()?;
    fields.end()?;
    Ok(Beacon { name, ledger, node, address, is_leading, term, last, nonce })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacon() -> Beacon {
        Beacon {
            name: "hall".parse().unwrap(),
            ledger: LedgerId([2; 16]),
            node: NodeId(3),
            address: "192.0.2.7:8701".into(),
            is_leading: true,
            term: 4,
            last: 5,
            nonce: [6; 16],
        }
    }

    #[test]
    fn a_beacon_comes_back_under_its_key_and_no_changed_bit_passes() {
        let signer = |seed| Signer::new(&JoinKey::from_random([seed; 16]));
        let bytes = signer(1).encode(&beacon());
        assert_eq!(signer(1).decode(&bytes), Some(beacon()));
        assert_eq!(signer(2).decode(&bytes), None);
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert_eq!(signer(1).decode(&other), None);
        }
        assert!((0..bytes.len()).all(|end| signer(1).decode(&bytes[..end]).is_none()));
        let longest = Beacon { name: "x".repeat(40).parse().unwrap(), address: "a".repeat(255), ..beacon() };
        let bytes = signer(1).encode(&longest);
        assert!(bytes.len() <= BEACON_BYTES_MAX);
        assert_eq!(signer(1).decode(&bytes), Some(longest));
    }
}
