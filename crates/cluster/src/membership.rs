//! Who belongs to the cluster: an entry of the log, in bytes of our own.

use std::collections::BTreeMap;
use std::fmt;

/// Most members, learners included.
pub const MEMBERS_MAX: usize = 16;
/// Most bytes of a member's address.
pub const MEMBER_ADDRESS_BYTES_MAX: usize = 255;
const VERSION: u8 = 1;

/// Number of a node in its cluster, from 1. Each join gets the next one, and none is given twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u64);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a member counts for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Seat {
    /// Counts towards every majority.
    Voter = 1,
    /// Is sent the log and counts for nothing yet.
    Learner = 2,
}

/// What a node says of itself when it joins, and again when that has changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeInfo {
    /// Where the other nodes reach it, 1 to 255 bytes; not interpreted here.
    pub address: String,
    /// Where voters reach it, at most 255 bytes; not interpreted here.
    pub http_address: String,
    /// Which kinds of entries it knows: see [`CoreConfig::kinds`](crate::CoreConfig::kinds).
    pub version: u32,
}

/// A member as the others see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MemberInfo {
    pub seat: Seat,
    /// As in [`NodeInfo`].
    pub address: String,
    pub http_address: String,
    pub version: u32,
}

/// One step from a membership to the next. One node at a time, so that any two majorities share a node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A new learner, under the next number.
    Add(NodeInfo),
    /// A learner becomes a voter.
    Promote(NodeId),
    Remove(NodeId),
    /// A member has moved, or runs another version.
    Describe(NodeId, NodeInfo),
}

/// All members, and the number of the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Membership {
    members: BTreeMap<NodeId, MemberInfo>,
    next: NodeId,
}

/// Why a membership cannot be changed so, or bytes are none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum MembershipError {
    #[error("node {0} does not belong to the cluster")]
    Unknown(NodeId),
    #[error("node {0} is a voter already")]
    VoterAlready(NodeId),
    #[error("node {0} is the last voter")]
    LastVoter(NodeId),
    #[error("a cluster has at most {MEMBERS_MAX} members")]
    Full,
    #[error("an address has 1 to {MEMBER_ADDRESS_BYTES_MAX} bytes")]
    Address,
    /// The log may hold what it does not know.
    #[error("every member runs version {floor} or later, this node {version}; start a newer one")]
    Older { version: u32, floor: u32 },
    #[error("these bytes are not a membership: {0}")]
    Malformed(&'static str),
}

impl MemberInfo {
    fn new(seat: Seat, NodeInfo { address, http_address, version }: &NodeInfo) -> Self {
        let (address, http_address) = (address.clone(), http_address.clone());
        Self { seat, address, http_address, version: *version }
    }
}

impl Membership {
    /// Nobody yet: what a node knows that has just joined.
    #[must_use]
    pub fn none() -> Self {
        Self { members: BTreeMap::new(), next: NodeId(1) }
    }

    /// One voter, number 1.
    pub fn founding(info: &NodeInfo) -> Result<Self, MembershipError> {
        let mut founded = Self::none();
        let id = founded.add(info)?;
        founded.members.get_mut(&id).expect("just added").seat = Seat::Voter;
        Ok(founded)
    }

    pub fn members(&self) -> impl Iterator<Item = (NodeId, &MemberInfo)> {
        self.members.iter().map(|(id, info)| (*id, info))
    }

    #[must_use]
    pub fn get(&self, id: NodeId) -> Option<&MemberInfo> {
        self.members.get(&id)
    }

    /// From the lowest number to the highest.
    pub fn with_seat(&self, seat: Seat) -> impl Iterator<Item = NodeId> {
        self.members.iter().filter(move |(_, info)| info.seat == seat).map(|(id, _)| *id)
    }

    /// Number of the next node to join.
    #[must_use]
    pub fn next(&self) -> NodeId {
        self.next
    }

    /// How many voters stand above `id`: 0 for the highest, which leads where it can.
    #[must_use]
    pub fn rank(&self, id: NodeId) -> usize {
        self.with_seat(Seat::Voter).filter(|voter| *voter > id).count()
    }

    /// The membership after `change`.
    pub fn changed(&self, change: &Change) -> Result<Self, MembershipError> {
        let mut changed = self.clone();
        match change {
            Change::Add(info) => _ = changed.add(info)?,
            Change::Describe(id, info) => {
                self.check(info)?;
                let member = changed.members.get_mut(id).ok_or(MembershipError::Unknown(*id))?;
                *member = MemberInfo::new(member.seat, info);
            }
            Change::Promote(id) => {
                let info = changed.members.get_mut(id).ok_or(MembershipError::Unknown(*id))?;
                if info.seat == Seat::Voter {
                    return Err(MembershipError::VoterAlready(*id));
                }
                info.seat = Seat::Voter;
            }
            Change::Remove(id) => {
                changed.members.remove(id).ok_or(MembershipError::Unknown(*id))?;
                if changed.with_seat(Seat::Voter).next().is_none() {
                    return Err(MembershipError::LastVoter(*id));
                }
            }
        }
        Ok(changed)
    }

    fn add(&mut self, info: &NodeInfo) -> Result<NodeId, MembershipError> {
        if self.members.len() == MEMBERS_MAX {
            return Err(MembershipError::Full);
        }
        self.check(info)?;
        let id = self.next;
        self.members.insert(id, MemberInfo::new(Seat::Learner, info));
        self.next = NodeId(id.0 + 1);
        Ok(id)
    }

    /// The lowest version of all members, which never falls: entries of every kind that it knows may be in the log.
    #[must_use]
    pub fn floor(&self) -> u32 {
        self.members.values().map(|info| info.version).min().unwrap_or(0)
    }

    fn check(&self, NodeInfo { address, http_address, version }: &NodeInfo) -> Result<(), MembershipError> {
        let too_long = address.len().max(http_address.len()) > MEMBER_ADDRESS_BYTES_MAX;
        if address.is_empty() || too_long {
            return Err(MembershipError::Address);
        }
        let floor = self.floor();
        if *version < floor {
            return Err(MembershipError::Older { version: *version, floor });
        }
        Ok(())
    }

    /// `version 1 | next 8 | count 1 |` each: `number 8 | seat 1 | version 4 | length 1 | address |
    /// length 1 | http address`, by rising number.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        out.extend_from_slice(&self.next.0.to_be_bytes());
        out.push(u8::try_from(self.members.len()).expect("at most MEMBERS_MAX"));
        for (id, info) in &self.members {
            out.extend_from_slice(&id.0.to_be_bytes());
            out.push(info.seat as u8);
            out.extend_from_slice(&info.version.to_be_bytes());
            for address in [&info.address, &info.http_address] {
                out.push(u8::try_from(address.len()).expect("at most MEMBER_ADDRESS_BYTES_MAX"));
                out.extend_from_slice(address.as_bytes());
            }
        }
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, MembershipError> {
        let mut rest = bytes;
        let mut take = |count: usize| {
            let (taken, left) =
                rest.split_at_checked(count).ok_or(MembershipError::Malformed("it ends too early"))?;
            rest = left;
            Ok::<_, MembershipError>(taken)
        };
        let number = |bytes: &[u8]| NodeId(u64::from_be_bytes(bytes.try_into().expect("eight bytes")));
        if take(1)? != [VERSION] {
            return Err(MembershipError::Malformed("its version is not known"));
        }
        let next = number(take(8)?);
        let count = take(1)?[0];
        let mut members = BTreeMap::new();
        for _ in 0..count {
            let id = number(take(8)?);
            let seat = match take(1)?[0] {
                1 => Seat::Voter,
                2 => Seat::Learner,
                _ => return Err(MembershipError::Malformed("a seat is not known")),
            };
            let version = u32::from_be_bytes(take(4)?.try_into().expect("four bytes"));
            let mut text = || {
                let length = take(1)?[0];
                let text = std::str::from_utf8(take(usize::from(length))?);
                Ok(text.map_err(|_| MembershipError::Malformed("an address is not text"))?.to_owned())
            };
            members.insert(id, MemberInfo { seat, address: text()?, http_address: text()?, version });
        }
        let membership = Self { members, next };
        // Written again it is the same: so order, count, numbers and the end are right.
        let sound = membership.encode() == bytes
            && membership.members.len() <= MEMBERS_MAX
            && membership.members.keys().all(|id| id.0 > 0 && *id < next)
            && membership.members.values().all(|info| !info.address.is_empty());
        if sound { Ok(membership) } else { Err(MembershipError::Malformed("it contradicts itself")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(address: &str) -> NodeInfo {
        NodeInfo { address: address.into(), http_address: format!("http://{address}"), version: 2 }
    }

    fn three() -> Membership {
        let add = |of: Membership, address: &str| of.changed(&Change::Add(info(address))).unwrap();
        let three = add(add(Membership::founding(&info("a:1")).unwrap(), "b:2"), "c:3");
        three.changed(&Change::Promote(NodeId(3))).unwrap()
    }

    #[test]
    fn a_number_is_never_given_twice() {
        let three = three();
        let two = three.changed(&Change::Remove(NodeId(2))).unwrap();
        let again = two.changed(&Change::Add(info("b:2"))).unwrap();
        assert_eq!(again.members().map(|(id, _)| id.0).collect::<Vec<_>>(), [1, 3, 4]);
        assert_eq!(
            (again.rank(NodeId(1)), again.rank(NodeId(3))),
            (1, 0),
            "learners have no rank of their own"
        );
    }

    #[test]
    fn what_would_leave_no_majority_or_makes_no_sense_is_refused() {
        let one = Membership::founding(&info("a:1")).unwrap();
        assert_eq!(one.changed(&Change::Remove(NodeId(1))), Err(MembershipError::LastVoter(NodeId(1))));
        assert_eq!(one.changed(&Change::Promote(NodeId(1))), Err(MembershipError::VoterAlready(NodeId(1))));
        assert_eq!(one.changed(&Change::Promote(NodeId(2))), Err(MembershipError::Unknown(NodeId(2))));
        assert_eq!(one.changed(&Change::Add(info(""))), Err(MembershipError::Address));
        let long = NodeInfo { http_address: "h".repeat(256), ..info("a") };
        assert_eq!(one.changed(&Change::Add(long)), Err(MembershipError::Address));
        let full = (1..MEMBERS_MAX)
            .fold(one, |of, number| of.changed(&Change::Add(info(&format!("n:{number}")))).unwrap());
        assert_eq!(full.changed(&Change::Add(info("x"))), Err(MembershipError::Full));
    }

    #[test]
    fn what_all_members_know_is_known_for_ever() {
        let older = NodeInfo { version: 1, ..info("d:4") };
        let newer = NodeInfo { version: 3, ..info("a:1") };
        let refused = Err(MembershipError::Older { version: 1, floor: 2 });
        assert_eq!(three().changed(&Change::Add(older.clone())), refused);
        assert_eq!(three().changed(&Change::Describe(NodeId(2), older)), refused);
        let nobody = Change::Describe(NodeId(9), newer.clone());
        assert_eq!(three().changed(&nobody), Err(MembershipError::Unknown(NodeId(9))));
        let all = [1, 2, 3]
            .iter()
            .fold(three(), |of, id| of.changed(&Change::Describe(NodeId(*id), newer.clone())).unwrap());
        assert_eq!((three().floor(), all.floor()), (2, 3));
        assert_eq!(all.with_seat(Seat::Voter).collect::<Vec<_>>(), [NodeId(1), NodeId(3)], "seats stay");
    }

    #[test]
    fn bytes_come_back_and_any_other_byte_is_noticed_or_means_something_else() {
        let three = three();
        let bytes = three.encode();
        assert_eq!(Membership::decode(&bytes), Ok(three.clone()));
        assert_eq!(Membership::decode(&Membership::none().encode()), Ok(Membership::none()));
        for at in 0..bytes.len() {
            assert!(Membership::decode(&bytes[..at]).is_err());
            for bit in 0..8 {
                let mut other = bytes.clone();
                other[at] ^= 1 << bit;
                assert_ne!(Membership::decode(&other), Ok(three.clone()));
            }
        }
    }
}
