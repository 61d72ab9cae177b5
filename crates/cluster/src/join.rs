//! How a node comes into a cluster that exists: what it says of itself, and what it is told.

use std::fmt;

use ledger::LedgerId;
use zeroize::Zeroizing;

use crate::fields::{Fields, FieldsError, put_bytes};
use crate::{MEMBER_ADDRESS_BYTES_MAX, MEMBERS_MAX, NodeId};

/// First byte of a question that is a [`JoinRequest`].
pub const QUESTION_JOIN: u8 = 2;
/// First bytes from here on are free for questions that this crate does not know.
pub const QUESTION_OTHER_FROM: u8 = 16;
/// Most bytes of the secret that is handed over.
pub const SECRET_BYTES_MAX: usize = 4096;
/// Most bytes of a public key, and of the text of a refusal, a version or a name.
const SHORT_BYTES_MAX: usize = 1024;
const VERSION: u8 = 1;

/// What a node without a number says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JoinRequest {
    /// Host and port under which the other nodes reach it.
    pub address: String,
    /// Under which voters reach it, `http://192.0.2.7:8700`.
    pub http_address: String,
    /// The key it signs with; not interpreted here. The same key asking again is the same node.
    pub public_key: Vec<u8>,
    /// Of its program.
    pub version: String,
}

/// What it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JoinReply {
    Admitted(Admission),
    /// Ask there.
    NotLeader(String),
    /// Ask again soon; why, in words.
    NotYet(String),
    /// Do not ask again; why, in words.
    Refused(String),
}

/// Everything a node needs to begin as a member.
#[derive(Clone, PartialEq, Eq)]
pub struct Admission {
    pub ledger: LedgerId,
    /// Its number from now on.
    pub node: NodeId,
    /// The voting secret; not interpreted here.
    pub secret: Zeroizing<Vec<u8>>,
    /// Of the cluster.
    pub name: String,
    /// Who belongs, itself included.
    pub members: Vec<(NodeId, String)>,
}

impl fmt::Debug for Admission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admission")
            .field("ledger", &self.ledger)
            .field("node", &self.node)
            .field("name", &self.name)
            .field("members", &self.members)
            .finish_non_exhaustive()
    }
}

impl JoinRequest {
    /// `2 1 | version 1 = 1 | address | HTTP address | public key | version`, each of these behind its length in 2.
    ///
    /// # Panics
    /// On a field of more than 1,024 bytes, or an address of more than [`MEMBER_ADDRESS_BYTES_MAX`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        assert!(
            self.address.len() <= MEMBER_ADDRESS_BYTES_MAX,
            "an address is limited where it is configured"
        );
        let short = [self.http_address.len(), self.public_key.len(), self.version.len()];
        assert!(short.iter().all(|length| *length <= SHORT_BYTES_MAX), "a field is too long");
        let mut out = vec![QUESTION_JOIN, VERSION];
        put_bytes(&mut out, self.address.as_bytes());
        put_bytes(&mut out, self.http_address.as_bytes());
        put_bytes(&mut out, &self.public_key);
        put_bytes(&mut out, self.version.as_bytes());
        out
    }

    /// `None` if the question is another one.
    pub fn decode(question: &[u8]) -> Option<Result<Self, FieldsError>> {
        let (&QUESTION_JOIN, rest) = question.split_first()? else { return None };
        Some(Self::of(rest))
    }

    fn of(bytes: &[u8]) -> Result<Self, FieldsError> {
        let mut fields = Fields::of(bytes, VERSION)?;
        let address = fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned();
        let http_address = fields.text(SHORT_BYTES_MAX)?.to_owned();
        let public_key = fields.bytes(SHORT_BYTES_MAX)?.to_owned();
        let version = fields.text(SHORT_BYTES_MAX)?.to_owned();
        fields.end()?;
        if address.is_empty() {
            return Err(FieldsError::Malformed("an address is empty"));
        }
        Ok(Self { address, http_address, public_key, version })
    }
}

impl JoinReply {
    /// `version 1 = 1 | kind 1 |` and for 1 `ledger 16 | node 8 | secret | name | count 1 |` each `number 8 | address`;
    /// for 2 an address, for 3 and 4 a text. Texts, addresses and the secret stand behind their length in 2.
    ///
    /// # Panics
    /// On a secret of more than [`SECRET_BYTES_MAX`] or more members than there may be.
    #[must_use]
    pub fn encode(&self) -> Zeroizing<Vec<u8>> {
        // Room enough from the start: a vector that grows leaves copies of the secret behind.
        let mut out = Zeroizing::new(Vec::with_capacity(64 << 10));
        out.push(VERSION);
        let mut text = |kind, text: &str| {
            out.push(kind);
            put_bytes(&mut out, shortened(text).as_bytes());
        };
        match self {
            Self::NotLeader(address) => text(2, address),
            Self::NotYet(reason) => text(3, reason),
            Self::Refused(reason) => text(4, reason),
            Self::Admitted(admission) => {
                assert!(admission.secret.len() <= SECRET_BYTES_MAX && admission.members.len() <= MEMBERS_MAX);
                out.push(1);
                out.extend_from_slice(&admission.ledger.0);
                out.extend_from_slice(&admission.node.0.to_be_bytes());
                put_bytes(&mut out, &admission.secret);
                put_bytes(&mut out, admission.name.as_bytes());
                out.push(u8::try_from(admission.members.len()).expect("at most MEMBERS_MAX"));
                for (id, address) in &admission.members {
                    out.extend_from_slice(&id.0.to_be_bytes());
                    put_bytes(&mut out, address.as_bytes());
                }
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, FieldsError> {
        let mut fields = Fields::of(bytes, VERSION)?;
        let reply = match fields.byte()? {
            1 => Self::Admitted(admission(&mut fields)?),
            2 => Self::NotLeader(fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned()),
            3 => Self::NotYet(fields.text(SHORT_BYTES_MAX)?.to_owned()),
            4 => Self::Refused(fields.text(SHORT_BYTES_MAX)?.to_owned()),
            _ => return Err(FieldsError::Malformed("the kind of an answer is not known")),
        };
        fields.end()?;
        Ok(reply)
    }
}

fn admission(fields: &mut Fields<'_>) -> Result<Admission, FieldsError> {
    let ledger = fields.ledger()?;
    let node = NodeId(fields.number()?);
    let secret = Zeroizing::new(fields.bytes(SECRET_BYTES_MAX)?.to_owned());
    let name = fields.text(SHORT_BYTES_MAX)?.to_owned();
    let count = usize::from(fields.byte()?);
    if count > MEMBERS_MAX {
        return Err(FieldsError::Malformed("it names more members than there may be"));
    }
    let mut members = Vec::with_capacity(count);
    for _ in 0..count {
        members.push((NodeId(fields.number()?), fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned()));
    }
    if node.0 == 0 || members.iter().any(|(id, _)| id.0 == 0) {
        return Err(FieldsError::Malformed("0 is no member's number"));
    }
    Ok(Admission { ledger, node, secret, name, members })
}

/// As much of a text for people as has room.
fn shortened(text: &str) -> &str {
    let mut end = text.len().min(SHORT_BYTES_MAX);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn request() -> JoinRequest {
        JoinRequest {
            address: "192.0.2.7:8701".into(),
            http_address: "http://192.0.2.7:8700".into(),
            public_key: vec![1, 2, 3],
            version: "0.1.0".into(),
        }
    }

    fn replies() -> Vec<JoinReply> {
        let members = vec![(NodeId(1), "192.0.2.6:8701".into()), (NodeId(2), "[2001:db8::7]:8701".into())];
        vec![
            JoinReply::Admitted(Admission {
                ledger: LedgerId([4; 16]),
                node: NodeId(2),
                secret: Zeroizing::new(vec![0xee; 96]),
                name: "hall".into(),
                members,
            }),
            JoinReply::NotLeader("192.0.2.6:8701".into()),
            JoinReply::NotYet("nobody leads".into()),
            JoinReply::Refused("the cluster is full".into()),
        ]
    }

    #[test]
    fn requests_and_replies_come_back_and_none_is_cut_off() {
        let bytes = request().encode();
        assert_eq!(JoinRequest::decode(&bytes), Some(Ok(request())));
        assert_eq!(JoinRequest::decode(b""), None);
        assert_eq!(JoinRequest::decode(&[QUESTION_OTHER_FROM, 1]), None);
        assert!(
            (1..bytes.len()).all(|end| JoinRequest::decode(&bytes[..end]).is_some_and(|got| got.is_err()))
        );
        for reply in replies() {
            let bytes = reply.encode();
            assert_eq!(JoinReply::decode(&bytes), Ok(reply));
            assert!((0..bytes.len()).all(|end| JoinReply::decode(&bytes[..end]).is_err()));
            let longer = [&bytes[..], &[0]].concat();
            assert!(JoinReply::decode(&longer).is_err());
        }
    }

    #[test]
    fn rubbish_is_refused_or_means_what_it_says() {
        let mut random = Random::new(5);
        let good: Vec<Vec<u8>> = replies().iter().map(|reply| reply.encode().to_vec()).collect();
        for _ in 0..20_000 {
            let mut bytes = good[random.below(good.len())].clone();
            for _ in 0..=random.below(3) {
                let at = random.below(bytes.len());
                bytes[at] = random.next() as u8;
            }
            if let Ok(reply) = JoinReply::decode(&bytes) {
                assert_eq!(*reply.encode(), bytes);
            }
            if let Some(Ok(request)) = JoinRequest::decode(&bytes) {
                assert_eq!(request.encode(), bytes);
            }
        }
    }

    #[test]
    fn an_admission_is_printed_without_its_secret_and_long_words_are_cut() {
        assert!(!format!("{:?}", replies()[0]).contains("238"));
        let long = JoinReply::Refused("ü".repeat(2_000));
        let Ok(JoinReply::Refused(text)) = JoinReply::decode(&long.encode()) else { panic!("it comes back") };
        assert_eq!(text, "ü".repeat(512));
    }
}
