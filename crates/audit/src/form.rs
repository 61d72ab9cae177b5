//! The lines of a record, as `docs/formats.md` writes them: read strictly, so that nothing has two forms.

use proof::{Hash, NodePublicKey};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;

/// First line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    pub hustings_record: u32,
    #[serde(with = "hex_array")]
    pub ledger: [u8; 16],
    #[serde(with = "hex_array")]
    pub election: [u8; 16],
    pub slug: String,
    pub shard: u32,
    pub secrecy: String,
    pub definition_hash: Hash,
    pub leaves: u64,
    pub ballots: u64,
    pub roll: u64,
    pub epochs: Vec<HeaderEpoch>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderEpoch {
    pub epoch: u32,
    pub reason: String,
    pub first_leaf: u64,
    pub nodes: Vec<NodePublicKey>,
}

/// A roll line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RollLine {
    #[serde(with = "hex_array")]
    pub voter: [u8; 16],
    pub weight: u32,
    pub group: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckpointLine {
    pub checkpoint: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndLine {
    pub end: End,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct End {
    pub sha256: Hash,
    pub node: u16,
    #[serde(with = "hex_array")]
    pub signature: [u8; 64],
}

/// The result object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Published {
    pub state: String,
    pub ballots: u64,
    pub voters: u64,
    pub weight: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub eligible: Option<Eligible>,
    pub contests: Vec<PublishedContest>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Eligible {
    pub voters: u64,
    pub weight: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishedContest {
    pub id: String,
    pub title: String,
    pub method: String,
    pub rules: u16,
    pub blank: u64,
    pub counts: Vec<ChoiceVotes>,
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub groups: Vec<GroupVotes>,
    pub outcome: Option<Outcome>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceVotes {
    pub choice: String,
    pub name: String,
    pub votes: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupVotes {
    pub group: String,
    pub weight: u64,
    pub blank: u64,
    pub votes: Vec<u64>,
}

/// Reads a compact line: `None` unless writing it again gives the same bytes, and its numbers are below 2^53.
pub fn compact<T: Serialize + DeserializeOwned>(line: &[u8]) -> Option<T> {
    if !has_small_numbers(line) {
        return None;
    }
    let value: T = serde_json::from_slice(line).ok()?;
    let again = serde_json::to_vec(&value).expect("lines hold nothing that JSON cannot");
    (again == line).then_some(value)
}

/// Whether every number outside of texts is below 2^53, so that sums of a few cannot overflow and every language reads
/// the same.
pub fn has_small_numbers(json: &[u8]) -> bool {
    let mut is_text = false;
    let mut at = 0;
    while at < json.len() {
        match json[at] {
            b'"' => is_text = !is_text,
            b'\\' if is_text => at += 1,
            b'0'..=b'9' if !is_text => match plain_number(&json[at..]) {
                Some((_, rest)) => at = json.len() - rest.len() - 1,
                None => return false,
            },
            _ => {}
        }
        at += 1;
    }
    true
}

/// What a leaf line holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leaf<'a> {
    /// Base64url of the opening.
    Ballot(&'a [u8]),
    /// The act's JSON.
    Act(&'a [u8]),
}

/// Reads `{"leaf":12,"ballot":"…"}` or `{"leaf":0,"act":…}`; its number and what it holds.
pub fn leaf_line(line: &[u8]) -> Option<(u64, Leaf<'_>)> {
    let rest = line.strip_prefix(b"{\"leaf\":")?;
    let (number, rest) = plain_number(rest)?;
    if let Some(rest) = rest.strip_prefix(b",\"ballot\":\"") {
        return rest.strip_suffix(b"\"}").map(|opening| (number, Leaf::Ballot(opening)));
    }
    let act = rest.strip_prefix(b",\"act\":")?.strip_suffix(b"}")?;
    std::str::from_utf8(act).ok()?;
    Some((number, Leaf::Act(act)))
}

/// A decimal number below 2^53 without leading zeros, and what follows it.
fn plain_number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let length = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (digits, rest) = bytes.split_at(length);
    if length == 0 || length > 16 || (length > 1 && digits[0] == b'0') {
        return None;
    }
    let number = digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'));
    (number < 1 << 53).then_some((number, rest))
}

/// The object's bytes in a line `{"result":…}`.
pub fn result_bytes(line: &[u8]) -> Option<&[u8]> {
    line.strip_prefix(b"{\"result\":")?.strip_suffix(b"}")
}

/// Serde form of a fixed number of bytes: lowercase hexadecimal text.
pub mod hex_array {
    use data_encoding::HEXLOWER;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use std::borrow::Cow;

    pub fn serialize<S: Serializer, const N: usize>(
        bytes: &[u8; N],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(bytes))
    }

    pub fn deserialize<'de, D: Deserializer<'de>, const N: usize>(
        deserializer: D,
    ) -> Result<[u8; N], D::Error> {
        let text = Cow::<str>::deserialize(deserializer)?;
        let bytes = HEXLOWER.decode(text.as_bytes()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| D::Error::custom(format!("expected {} lowercase hexadecimal digits", 2 * N)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_line_has_one_form() {
        assert_eq!(leaf_line(br#"{"leaf":12,"ballot":"AA"}"#), Some((12, Leaf::Ballot(b"AA"))));
        assert_eq!(leaf_line(br#"{"leaf":0,"act":{"a":1}}"#), Some((0, Leaf::Act(br#"{"a":1}"#))));
        for wrong in [
            &br#"{"leaf":012,"ballot":"AA"}"#[..],
            br#"{"leaf": 12,"ballot":"AA"}"#,
            br#"{"leaf":12,"ballot":"AA"} "#,
            br#"{"leaf":-1,"ballot":"AA"}"#,
            br#"{"leaf":,"ballot":"AA"}"#,
            br#"{"leaf":9007199254740992,"ballot":"AA"}"#,
            br#"{"leaf":12}"#,
            b"{\"leaf\":0,\"act\":\xff}",
        ] {
            assert_eq!(leaf_line(wrong), None);
        }
    }

    #[test]
    fn numbers_are_below_two_to_the_53() {
        assert!(has_small_numbers(
            br#"{"a":9007199254740991,"b":[0,1],"c":"9007199254740992 \" 99999999999999999"}"#
        ));
        for wrong in [&br#"{"a":9007199254740992}"#[..], b"[123456789012345678901]", b"[1,01]"] {
            assert!(!has_small_numbers(wrong));
        }
    }

    #[test]
    fn a_compact_line_is_the_one_that_is_written() {
        let line = br#"{"voter":"00112233445566778899aabbccddeeff","weight":2,"group":null}"#;
        assert_eq!(compact::<RollLine>(line).unwrap().weight, 2);
        for wrong in [
            &br#"{"voter":"00112233445566778899AABBCCDDEEFF","weight":2,"group":null}"#[..],
            br#"{"voter":"00112233445566778899aabbccddeeff", "weight":2,"group":null}"#,
            br#"{"weight":2,"voter":"00112233445566778899aabbccddeeff","group":null}"#,
            br#"{"voter":"00112233445566778899aabbccddeeff","weight":2,"group":null,"x":1}"#,
            br#"{"voter":"00112233445566778899aabbccddeeff","weight":2}"#,
        ] {
            assert!(compact::<RollLine>(wrong).is_none());
        }
    }
}
