//! How blank nodes found one cluster together, and never two: a state machine without clock, disk or network.
//!
//! Each of exactly `expect` blank nodes says again and again which others it sees, and to which set it is bound.
//!
//! ```text
//! all see the same set ──▶ the lowest writes "bound to this set", then says so
//!                          ──▶ each other one writes it, then says so ──▶ all have said so: the lowest founds
//! ```
//!
//! A node binds itself once and for good, on its disk, before anybody hears of it. A cluster is founded only when
//! all of a set are bound to it. Two sets of `expect` nodes among fewer than twice as many share a node, and that one
//! is bound to one of them only: so there are never two foundings, whatever is lost, late, repeated or restarted.
//! A node that belongs to a cluster says so instead, and whoever hears it joins that cluster.

use std::collections::{BTreeMap, BTreeSet};

use ledger::LedgerId;

use crate::fields::{Fields, FieldsError, put_bytes};
use crate::mutation::{Mutation, is_off};
use crate::{MEMBER_ADDRESS_BYTES_MAX, MEMBERS_MAX, NodeId};

/// First byte of a question that is a [`Say`].
pub const QUESTION_FOUNDING: u8 = 1;
/// How often a node speaks, in milliseconds.
pub const SAY_EVERY_MS: u64 = 500;
/// A node that was not heard for this long is not there.
const HEARD_FOR_MS: u64 = 3_000;
/// The same set is seen by all for this long before anybody binds itself: one more may just be starting.
const SETTLE_MS: u64 = 2_000;
const HEARD_MAX: usize = 64;
const VERSION: u8 = 1;
const FILE_MAGIC: &[u8; 4] = b"HuFo";

/// Names a blank node: 16 random bytes, drawn when its data folder is first used, and kept there.
pub type Nonce = [u8; 16];
/// Who founds together, with the address of each at the time.
pub type Founders = BTreeMap<Nonce, String>;

/// What a blank node keeps on its disk before anybody hears of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Promise {
    pub nonce: Nonce,
    /// The one set that it will ever found with; nobody while it is free.
    pub bound: Founders,
}

/// What a node says to another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Say {
    Blank(Blank),
    Member(Member),
}

/// Said by a node without a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Blank {
    pub nonce: Nonce,
    /// Where it is reached.
    pub address: String,
    /// How many nodes it expects, itself included; 0 if it waits for a cluster that others found.
    pub expect: u8,
    /// The expecting nodes that it sees, itself included.
    pub sees: BTreeSet<Nonce>,
    /// What it is bound to.
    pub bound: Founders,
    /// Whether the same is wanted of the other.
    pub wants_answer: bool,
}

/// Said by a node of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    pub ledger: LedgerId,
    pub node: NodeId,
    /// Where to ask for a seat: the leader, or this node if it knows none.
    pub ask_at: String,
}

/// What is to be done, in this order; what follows a [`Effect::Write`] only once that is synced.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    Write(Promise),
    Say {
        to: String,
        say: Say,
    },
    /// Found a cluster of one: the others come. Nothing more follows.
    Found,
    /// Ask to join at this address. Nothing more follows.
    Join(String),
}

/// A blank node.
#[derive(Debug)]
pub struct Founding {
    address: String,
    expect: u8,
    promise: Promise,
    heard: BTreeMap<Nonce, Heard>,
    /// Since when all see the same complete set.
    settled_since: Option<u64>,
    /// Who was heard to be bound as we are. What is true of a bound node stays true.
    confirmed: BTreeSet<Nonce>,
    /// Two addresses under one nonce, and when that was seen.
    twins: Option<(String, String, u64)>,
    is_done: bool,
}

#[derive(Debug)]
struct Heard {
    at: u64,
    blank: Blank,
}

impl Founding {
    /// A node at `address` with what its disk holds; `expect` is 0 for one that only joins. Times are milliseconds
    /// of any monotonic clock.
    #[must_use]
    pub fn new(address: &str, expect: u8, promise: Promise) -> Self {
        Self {
            address: address.to_owned(),
            expect,
            promise,
            heard: BTreeMap::new(),
            settled_since: None,
            confirmed: BTreeSet::new(),
            twins: None,
            is_done: false,
        }
    }

    /// To be called every [`SAY_EVERY_MS`], with the addresses at which somebody may be.
    pub fn tick(&mut self, now: u64, hints: &[String]) -> Vec<Effect> {
        let mut effects = self.consider(now);
        if !self.is_done {
            let say = self.state(now, true);
            let targets = self.targets(hints);
            effects.extend(targets.into_iter().map(|to| Effect::Say { to, say: say.clone() }));
        }
        effects
    }

    /// What somebody says.
    pub fn heard(&mut self, now: u64, say: &Say) -> Vec<Effect> {
        if self.is_done {
            return Vec::new();
        }
        let blank = match say {
            Say::Member(member) => {
                self.is_done = true;
                return vec![Effect::Join(member.ask_at.clone())];
            }
            Say::Blank(blank) => blank,
        };
        self.note(now, blank);
        let mut effects = self.consider(now);
        if blank.wants_answer && !self.is_done {
            effects.push(Effect::Say { to: blank.address.clone(), say: self.state(now, false) });
        }
        effects
    }

    /// What this node would say now.
    #[must_use]
    pub fn state(&self, now: u64, wants_answer: bool) -> Say {
        Say::Blank(Blank {
            nonce: self.promise.nonce,
            address: self.address.clone(),
            expect: self.expect,
            sees: self.sees(now),
            bound: self.promise.bound.clone(),
            wants_answer,
        })
    }

    fn note(&mut self, now: u64, blank: &Blank) {
        let known = if blank.nonce == self.promise.nonce {
            Some(&self.address)
        } else {
            self.fresh(now).find(|heard| heard.nonce == blank.nonce).map(|heard| &heard.address)
        };
        if let Some(known) = known.filter(|known| **known != blank.address) {
            self.twins = Some((known.clone(), blank.address.clone(), now));
        }
        if blank.nonce == self.promise.nonce {
            return;
        }
        if !self.promise.bound.is_empty() && is_same(&blank.bound, &self.promise.bound) {
            self.confirmed.insert(blank.nonce);
        }
        self.heard.retain(|_, heard| now.saturating_sub(heard.at) < HEARD_FOR_MS);
        if self.heard.len() < HEARD_MAX || self.heard.contains_key(&blank.nonce) {
            self.heard.insert(blank.nonce, Heard { at: now, blank: blank.clone() });
        }
    }

    fn consider(&mut self, now: u64) -> Vec<Effect> {
        if self.is_done || self.expect == 0 || self.has_twins(now) {
            self.settled_since = None;
            return Vec::new();
        }
        if !self.promise.bound.is_empty() && !is_off(Mutation::Bound) {
            return self.found_if_all_confirmed();
        }
        let sees = self.sees(now);
        if !self.is_agreed(now, &sees) {
            self.settled_since = None;
            return if self.promise.bound.is_empty() { Vec::new() } else { self.found_if_all_confirmed() };
        }
        let since = *self.settled_since.get_or_insert(now);
        let lowest = *sees.first().expect("it sees itself");
        let is_called = if lowest == self.promise.nonce {
            now.saturating_sub(since) >= SETTLE_MS
        } else {
            self.heard.get(&lowest).is_some_and(|heard| heard.blank.bound.keys().eq(&sees))
        };
        if !is_called {
            return Vec::new();
        }
        let address =
            |nonce: &Nonce| self.heard.get(nonce).map_or(&self.address, |heard| &heard.blank.address);
        self.promise.bound = sees.iter().map(|nonce| (*nonce, address(nonce).clone())).collect();
        // Who bound itself before us has said so already.
        self.confirmed = self
            .fresh(now)
            .filter(|blank| is_same(&blank.bound, &self.promise.bound))
            .map(|blank| blank.nonce)
            .collect();
        let mut effects = vec![Effect::Write(self.promise.clone())];
        effects.extend(self.found_if_all_confirmed());
        effects
    }

    fn found_if_all_confirmed(&mut self) -> Vec<Effect> {
        let bound = &self.promise.bound;
        let is_lowest = bound.keys().next() == Some(&self.promise.nonce);
        let missing =
            bound.keys().filter(|one| **one != self.promise.nonce && !self.confirmed.contains(*one)).count();
        let is_confirmed = missing == 0 || (is_off(Mutation::EveryPromise) && missing == 1);
        if !(is_lowest && is_confirmed) {
            return Vec::new();
        }
        self.is_done = true;
        vec![Effect::Found]
    }

    /// Whether exactly as many as expected are there, and each of them says the same.
    fn is_agreed(&self, now: u64, sees: &BTreeSet<Nonce>) -> bool {
        sees.len() == usize::from(self.expect)
            && self.expecting(now).all(|other| {
                let is_free = other.bound.is_empty() || other.bound.keys().eq(sees);
                other.expect == self.expect && other.sees == *sees && is_free
            })
    }

    fn sees(&self, now: u64) -> BTreeSet<Nonce> {
        let mut sees: BTreeSet<Nonce> = self.expecting(now).map(|blank| blank.nonce).collect();
        if self.expect > 0 {
            sees.insert(self.promise.nonce);
        }
        sees
    }

    fn fresh(&self, now: u64) -> impl Iterator<Item = &Blank> {
        let is_fresh = move |heard: &&Heard| now.saturating_sub(heard.at) < HEARD_FOR_MS;
        self.heard.values().filter(is_fresh).map(|heard| &heard.blank)
    }

    fn expecting(&self, now: u64) -> impl Iterator<Item = &Blank> {
        self.fresh(now).filter(|blank| blank.expect > 0)
    }

    fn has_twins(&self, now: u64) -> bool {
        self.twins.as_ref().is_some_and(|(_, _, at)| now.saturating_sub(*at) < HEARD_FOR_MS)
    }

    /// Everybody who may be there: hints, those that spoke, and those that this node is bound to.
    fn targets(&self, hints: &[String]) -> BTreeSet<String> {
        let spoke = self.heard.values().map(|heard| &heard.blank.address);
        let all = hints.iter().chain(spoke).chain(self.promise.bound.values());
        all.filter(|address| **address != self.address).take(HEARD_MAX).cloned().collect()
    }

    /// What this node waits for, in words for whoever started it.
    #[must_use]
    pub fn waits_for(&self, now: u64) -> String {
        if let Some((one, other, _)) = self.twins.as_ref().filter(|_| self.has_twins(now)) {
            return format!(
                "the nodes at {one} and {other} began with copies of one data folder: give one of them an empty one"
            );
        }
        if self.expect == 0 {
            return "no cluster of this name is seen yet".to_owned();
        }
        if !self.promise.bound.is_empty() { self.bound_words(now) } else { self.free_words(now) }
    }

    fn bound_words(&self, now: u64) -> String {
        let ours = &self.promise.bound;
        let elsewhere = |blank: &&Blank| !blank.bound.is_empty() && !is_same(&blank.bound, ours);
        if let Some(other) = self.expecting(now).find(elsewhere) {
            return format!(
                "the node at {} has agreed to found a cluster with other nodes than this one has: \
                 stop all, empty the data folders of those that hold no votes, and start them together",
                other.address
            );
        }
        let lowest = ours.keys().next().expect("not empty");
        if *lowest == self.promise.nonce {
            let missing = ours.iter().filter(|(one, _)| !self.confirmed.contains(*one) && *one != lowest);
            let missing: Vec<&str> = missing.map(|(_, address)| address.as_str()).collect();
            return format!("waiting for the agreement of {}", missing.join(" and "));
        }
        format!("waiting for the node at {} to found the cluster", ours[lowest])
    }

    fn free_words(&self, now: u64) -> String {
        let (expect, seen) = (usize::from(self.expect), self.sees(now).len());
        if let Some(other) = self.expecting(now).find(|other| other.expect != self.expect) {
            return format!(
                "the node at {} expects {} nodes, this one {expect}: start all with the same --expect",
                other.address, other.expect
            );
        }
        let others: Vec<&str> = self.expecting(now).map(|blank| blank.address.as_str()).collect();
        let with = if others.is_empty() { String::new() } else { format!(" ({})", others.join(", ")) };
        if seen > expect {
            return format!(
                "{seen} nodes are there{with}, but {expect} are expected: stop {}, or start all with --expect {seen}",
                seen - expect
            );
        }
        if seen < expect {
            return format!("{seen} of {expect} nodes are there{with}: waiting for {} more", expect - seen);
        }
        let sees = self.sees(now);
        let is_elsewhere = |other: &&Blank| !other.bound.is_empty() && !other.bound.keys().eq(&sees);
        if let Some(other) = self.expecting(now).find(is_elsewhere) {
            return format!("the node at {} has agreed to found a cluster with others", other.address);
        }
        match self.expecting(now).find(|other| other.sees != sees) {
            Some(other) => format!("the node at {} does not see the same {expect} nodes yet", other.address),
            None => format!("all {expect} nodes are there and agree"),
        }
    }
}

impl Member {
    /// What a member answers to a question about founding; `None` if it is another question, or none.
    #[must_use]
    pub fn answers(self, question: &[u8]) -> Option<Vec<u8>> {
        Say::decode(question)?.ok().map(|_| Say::Member(self).encode())
    }
}

/// The same founders; addresses may change.
fn is_same(one: &Founders, other: &Founders) -> bool {
    one.keys().eq(other.keys())
}

impl Promise {
    /// A file: `magic "HuFo" 4 | version 1 = 1 | nonce 16 | count 1 |` each `nonce 16 | address` behind its length in
    /// 2; `| crc32c of all these 4`.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = FILE_MAGIC.to_vec();
        out.push(VERSION);
        out.extend_from_slice(&self.nonce);
        put_founders(&mut out, &self.bound);
        let sum = crc32c::crc32c(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, FieldsError> {
        let split = bytes.len().checked_sub(4).and_then(|content| bytes.split_at_checked(content));
        let (content, sum) = split.ok_or(FieldsError::Malformed("it ends too early"))?;
        if sum != crc32c::crc32c(content).to_be_bytes() {
            return Err(FieldsError::Malformed("its checksum does not match"));
        }
        let content = content.strip_prefix(FILE_MAGIC);
        let mut fields =
            Fields::of(content.ok_or(FieldsError::Malformed("it begins with other bytes"))?, VERSION)?;
        let promise = Self { nonce: fields.array()?, bound: founders(&mut fields)? };
        fields.end()?;
        Ok(promise)
    }
}

impl Say {
    /// `1 1 | version 1 = 1 | kind 1 |` and for a blank node (1) `nonce 16 | address | expect 1 | wants answer 1 |
    /// count 1 |` each seen `nonce 16`, `| count 1 |` each it is bound to `nonce 16 | address`; for a member (2)
    /// `ledger 16 | node 8 | address to ask at`. Addresses stand behind their length in 2.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![QUESTION_FOUNDING, VERSION];
        match self {
            Self::Blank(blank) => {
                out.push(1);
                out.extend_from_slice(&blank.nonce);
                put_bytes(&mut out, blank.address.as_bytes());
                out.extend_from_slice(&[blank.expect, u8::from(blank.wants_answer)]);
                out.push(u8::try_from(blank.sees.len()).expect("at most HEARD_MAX and oneself"));
                blank.sees.iter().for_each(|nonce| out.extend_from_slice(nonce));
                put_founders(&mut out, &blank.bound);
            }
            Self::Member(member) => {
                out.push(2);
                out.extend_from_slice(&member.ledger.0);
                out.extend_from_slice(&member.node.0.to_be_bytes());
                put_bytes(&mut out, member.ask_at.as_bytes());
            }
        }
        out
    }

    /// `None` if the question is another one.
    pub fn decode(question: &[u8]) -> Option<Result<Self, FieldsError>> {
        let (&QUESTION_FOUNDING, rest) = question.split_first()? else { return None };
        Some(Self::of(rest))
    }

    fn of(bytes: &[u8]) -> Result<Self, FieldsError> {
        let mut fields = Fields::of(bytes, VERSION)?;
        let say = match fields.byte()? {
            1 => Self::Blank(blank(&mut fields)?),
            2 => Self::Member(Member {
                ledger: fields.ledger()?,
                node: NodeId(fields.number()?),
                ask_at: fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned(),
            }),
            _ => return Err(FieldsError::Malformed("nothing is known of who says it")),
        };
        fields.end()?;
        Ok(say)
    }
}

fn blank(fields: &mut Fields<'_>) -> Result<Blank, FieldsError> {
    let nonce = fields.array()?;
    let address = fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned();
    let expect = fields.byte()?;
    let wants_answer = fields.flag()?;
    let count = usize::from(fields.byte()?);
    let sees: BTreeSet<Nonce> = (0..count).map(|_| fields.array()).collect::<Result<_, _>>()?;
    if sees.len() != count {
        return Err(FieldsError::Malformed("a node is seen twice"));
    }
    Ok(Blank { nonce, address, expect, sees, bound: founders(fields)?, wants_answer })
}

fn put_founders(out: &mut Vec<u8>, founders: &Founders) {
    out.push(u8::try_from(founders.len()).expect("as many as are expected"));
    for (nonce, address) in founders {
        out.extend_from_slice(nonce);
        put_bytes(out, address.as_bytes());
    }
}

fn founders(fields: &mut Fields<'_>) -> Result<Founders, FieldsError> {
    let count = usize::from(fields.byte()?);
    let mut founders = Founders::new();
    for _ in 0..count {
        founders.insert(fields.array()?, fields.text(MEMBER_ADDRESS_BYTES_MAX)?.to_owned());
    }
    let is_sound = founders.len() == count && count <= MEMBERS_MAX;
    if is_sound { Ok(founders) } else { Err(FieldsError::Malformed("founders are named twice, or too many")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn nonce(number: u8) -> Nonce {
        [number; 16]
    }

    fn founders(numbers: &[u8]) -> Founders {
        numbers.iter().map(|number| (nonce(*number), format!("n:{number}"))).collect()
    }

    fn node(number: u8, expect: u8) -> Founding {
        let promise = Promise { nonce: nonce(number), bound: Founders::new() };
        Founding::new(&format!("n:{number}"), expect, promise)
    }

    fn said(number: u8, expect: u8, sees: &[u8], bound: &[u8]) -> Say {
        Say::Blank(Blank {
            nonce: nonce(number),
            address: format!("n:{number}"),
            expect,
            sees: sees.iter().map(|number| nonce(*number)).collect(),
            bound: founders(bound),
            wants_answer: false,
        })
    }

    #[test]
    fn a_promise_is_written_before_it_is_said_and_nobody_founds_before_all_are_bound() {
        let mut one = node(1, 3);
        let sees = [1, 2, 3];
        for other in [2, 3] {
            assert_eq!(one.heard(0, &said(other, 3, &sees, &[])), []);
        }
        assert_eq!(one.tick(1_999, &[]).iter().filter(|it| matches!(it, Effect::Write(_))).count(), 0);
        let effects = one.tick(2_000, &[]);
        let Effect::Write(promise) = &effects[0] else { panic!("{effects:?}") };
        assert_eq!(promise.bound, founders(&sees));
        let Effect::Say { say: Say::Blank(blank), .. } = &effects[1] else { panic!("{effects:?}") };
        assert_eq!(blank.bound, founders(&sees));
        assert_eq!(one.heard(2_100, &said(2, 3, &sees, &sees)), []);
        assert_eq!(one.heard(2_100, &said(3, 3, &sees, &[1, 3, 4])), [], "bound to others");
        assert_eq!(one.heard(9_900, &said(3, 3, &sees, &sees)), [Effect::Found]);
        assert_eq!(one.tick(10_000, &[]), []);

        let mut two = node(2, 3);
        assert_eq!(two.heard(0, &said(3, 3, &sees, &[])), []);
        assert_eq!(two.heard(0, &said(1, 3, &sees, &[])), []);
        assert!(matches!(two.heard(1, &said(1, 3, &sees, &sees))[..], [Effect::Write(_)]));
        assert_eq!(two.heard(2, &said(3, 3, &sees, &sees)), [], "only the lowest founds");
    }

    #[test]
    fn a_bound_node_binds_itself_to_nobody_else() {
        let promise = Promise { nonce: nonce(2), bound: founders(&[1, 2, 3]) };
        let mut two = Founding::new("n:2", 3, promise);
        for other in [3, 4] {
            assert_eq!(two.heard(0, &said(other, 3, &[2, 3, 4], &[])), []);
        }
        assert!(two.tick(5_000, &[]).iter().all(|effect| matches!(effect, Effect::Say { .. })));
    }

    #[test]
    fn a_cluster_that_is_there_is_joined_by_whoever_sees_it() {
        let member = Say::Member(Member { ledger: LedgerId([1; 16]), node: NodeId(4), ask_at: "n:9".into() });
        let bound = Promise { nonce: nonce(2), bound: founders(&[1, 2]) };
        for mut node in [node(1, 0), node(1, 3), Founding::new("n:2", 2, bound)] {
            assert_eq!(node.heard(5, &member), [Effect::Join("n:9".into())]);
            assert_eq!(node.tick(10, &["n:5".into()]), [], "nothing follows");
        }
    }

    #[test]
    fn it_says_in_words_what_it_waits_for() {
        let mut one = node(1, 3);
        assert_eq!(one.waits_for(0), "1 of 3 nodes are there: waiting for 2 more");
        one.heard(0, &said(2, 3, &[1, 2], &[]));
        assert_eq!(one.waits_for(0), "2 of 3 nodes are there (n:2): waiting for 1 more");
        one.heard(0, &said(3, 3, &[1, 3], &[]));
        assert_eq!(one.waits_for(0), "the node at n:2 does not see the same 3 nodes yet");
        one.heard(0, &said(4, 3, &[], &[]));
        assert!(
            one.waits_for(0).starts_with("4 nodes are there (n:2, n:3, n:4), but 3 are expected: stop 1")
        );
        one.heard(0, &said(4, 5, &[], &[]));
        assert!(one.waits_for(0).starts_with("the node at n:4 expects 5 nodes, this one 3"));
        assert_eq!(one.waits_for(9_000), "1 of 3 nodes are there: waiting for 2 more", "silence is absence");
        let mut bound = Founding::new("n:1", 3, Promise { nonce: nonce(1), bound: founders(&[1, 2, 3]) });
        assert_eq!(bound.waits_for(0), "waiting for the agreement of n:2 and n:3");
        bound.heard(0, &said(2, 3, &[], &[2, 3, 4]));
        assert!(bound.waits_for(0).contains("n:2 has agreed to found a cluster with other nodes"));
        let Say::Blank(mut twin) = said(2, 3, &[], &[]) else { unreachable!() };
        twin.address = "n:7".into();
        bound.heard(0, &Say::Blank(twin));
        assert!(bound.waits_for(0).starts_with("the nodes at n:2 and n:7 began with copies"));
        assert_eq!(node(1, 0).waits_for(0), "no cluster of this name is seen yet");
    }

    #[test]
    fn promises_and_sayings_come_back_and_rubbish_does_not_pass() {
        let promise = Promise { nonce: nonce(9), bound: founders(&[3, 9]) };
        let bytes = promise.encode();
        assert_eq!(Promise::decode(&bytes), Ok(promise));
        for at in 0..bytes.len() * 8 {
            let mut other = bytes.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert!(Promise::decode(&other).is_err());
        }
        let member = Say::Member(Member { ledger: LedgerId([1; 16]), node: NodeId(4), ask_at: "n:9".into() });
        let mut random = Random::new(3);
        for say in [said(1, 3, &[1, 2], &[1, 2, 4]), member] {
            let bytes = say.encode();
            assert_eq!(Say::decode(&bytes), Some(Ok(say)));
            assert!((1..bytes.len()).all(|end| Say::decode(&bytes[..end]).is_some_and(|said| said.is_err())));
            for _ in 0..10_000 {
                let mut other = bytes.clone();
                let at = random.below(other.len());
                other[at] = random.next() as u8;
                if let Some(Ok(said)) = Say::decode(&other) {
                    assert!(said.encode().len() == other.len());
                }
            }
        }
        assert_eq!(Say::decode(&[2, 1, 1]), None);
    }
}
