//! Makes records: small elections run by the real state machine, with fixed keys and nonces, written as
//! `docs/formats.md` says and signed, faults included where a case wants one.
#![allow(dead_code, reason = "each test file uses its own part")]

pub mod cases;

use data_encoding::BASE64URL_NOPAD;
use election::ballot::{Extras, OpeningFields, write_opening};
use election::command::EpochReason;
use election::roll::RollEntry;
use election::{
    Cast, Command, ElectionId, ElectionIndex, Hlc, IdempotencyKey, LedgerId, OfficerCommand, Results, Slug,
    State, UnixMillis, VoterTag,
};
use proof::checkpoint::{Checkpoint, Origin};
use proof::receipt::{BatchSigner, ForPeople, Promise, Receipt, Statement};
use proof::{Hash, LeafIndex, LeafKind, NodeKey, Secret, TreeSize, leaf_hash, merkle_root, sha256};
use serde_json::{Value, json};
use std::collections::BTreeSet;

pub const LEDGER: [u8; 16] = [0x1e; 16];
/// 2027-03-01T10:00:00Z.
pub const START: UnixMillis = UnixMillis(1_803_895_200_000);

/// Node 1's key in an epoch.
pub fn node_key(epoch: u32) -> NodeKey {
    key_of(1, epoch)
}

/// A node's key in an epoch.
pub fn key_of(node: u16, epoch: u32) -> NodeKey {
    NodeKey::new(node, &Secret::from_bytes([((node - 1) << 4) as u8 | epoch as u8; 32]))
}

/// The public part of [`key_of`] in hexadecimal.
pub fn key_hex(node: u16, epoch: u32) -> String {
    election::hex(&key_of(node, epoch).public().key)
}

/// Voter `number`'s tag.
pub fn tag(number: u64) -> VoterTag {
    VoterTag(sha256(&[b"voter", &number.to_be_bytes()]).0[..16].try_into().unwrap())
}

#[derive(Clone, Debug, PartialEq)]
pub enum Leaf {
    Act(String),
    Ballot(Vec<u8>),
}

impl Leaf {
    pub fn hash(&self) -> Hash {
        match self {
            Leaf::Act(json) => leaf_hash(LeafKind::Act, json.as_bytes()),
            Leaf::Ballot(opening) => leaf_hash(LeafKind::Ballot, opening),
        }
    }
}

/// One ballot to cast.
#[derive(Clone, Debug)]
pub struct Ballot<'a> {
    pub voter: u64,
    /// Choice indices, a list per contest.
    pub marks: &'a [&'a [u16]],
    pub key: &'a str,
}

/// A ballot's opening, whether or not it would be accepted.
pub fn make_opening(slug: &Slug, nonce: [u8; 32], ballot: &Ballot<'_>, extras: Extras) -> Vec<u8> {
    let key =
        if ballot.key.is_empty() { IdempotencyKey::NONE } else { IdempotencyKey::from_text(ballot.key) };
    let election = ElectionId::derive(LedgerId(LEDGER), slug);
    let fields = OpeningFields { nonce, election, shard: 0, voter: tag(ballot.voter), key, extras };
    let marks: Vec<Vec<u16>> = ballot.marks.iter().map(|marks| marks.to_vec()).collect();
    let mut bytes = Vec::new();
    write_opening(&mut bytes, &fields, election::answers::encode_indices(&marks).as_bytes());
    bytes
}

/// An election under way in the real state machine.
pub struct Vote {
    state: State,
    /// Milliseconds since [`START`].
    clock: u64,
    epoch: u32,
    slug: Slug,
    nonces: u64,
    leaves: Vec<Leaf>,
}

impl Vote {
    /// Creates and opens an election; `roll` as weight and group of voters 0, 1, 2 …
    pub fn open(definition: Value, roll: &[(u32, Option<u16>)]) -> Vote {
        Vote::open_with(&[], definition, roll)
    }

    /// As [`Vote::open`]; these nodes have joined before.
    pub fn open_with(nodes: &[u16], definition: Value, roll: &[(u32, Option<u16>)]) -> Vote {
        let slug = definition["slug"].as_str().unwrap().parse().unwrap();
        let mut vote =
            Vote { state: State::default(), clock: 0, epoch: 1, slug, nonces: 0, leaves: Vec::new() };
        let officer = "00".repeat(32);
        vote.act(OfficerCommand::Found { ledger: LedgerId(LEDGER), node: 1, key: key_hex(1, 1), officer });
        nodes.iter().for_each(|node| vote.join(*node));
        let entry = |(voter, (weight, group)): (usize, &(u32, Option<u16>))| RollEntry {
            voter: tag(voter as u64),
            weight: *weight,
            group: *group,
        };
        let roll = roll.iter().enumerate().map(entry).collect();
        vote.act(OfficerCommand::Create { definition: definition.to_string(), roll });
        vote.act(OfficerCommand::Open { slug: vote.slug.clone() });
        vote
    }

    pub fn slug(&self) -> Slug {
        self.slug.clone()
    }

    /// Lets time pass.
    pub fn wait(&mut self, seconds: u64) {
        self.clock += seconds * 1_000;
    }

    fn stamp(&mut self) -> Hlc {
        self.clock += 137;
        Hlc::at(UnixMillis(START.0 + self.clock))
    }

    /// Does what an officer or a rule does.
    pub fn act(&mut self, command: OfficerCommand) {
        let stamp = self.stamp();
        let event = self.state.apply(stamp, &Command::Officer(Box::new(command))).unwrap();
        self.leaves.extend(event.acts.into_iter().map(|act| Leaf::Act(act.json)));
    }

    pub fn epoch(&mut self, epoch: u32, reason: EpochReason) {
        self.epoch_by(1, epoch, reason);
    }

    /// A new epoch that this node begins.
    pub fn epoch_by(&mut self, node: u16, epoch: u32, reason: EpochReason) {
        self.epoch = epoch;
        self.act(OfficerCommand::Epoch { epoch, reason, node, key: key_hex(node, epoch) });
    }

    /// A further node joins.
    pub fn join(&mut self, node: u16) {
        self.act(OfficerCommand::Node { node, key: key_hex(node, self.epoch) });
    }

    /// Casts for a voter.
    pub fn cast(&mut self, ballot: Ballot<'_>) {
        assert!(self.try_cast(ballot), "the ballot is refused");
    }

    /// Casts for a voter, if the rules allow it.
    pub fn try_cast(&mut self, ballot: Ballot<'_>) -> bool {
        let stamp = self.stamp();
        let entry = self.roll_entry(ballot.voter);
        let (weight, group) = entry.map_or((1, None), |entry| (entry.weight, entry.group));
        let has_groups = !self.state.elections()[0].definition.groups.is_empty();
        let is_open = self.state.elections()[0].roll.is_none();
        let group = if has_groups && is_open { Some((ballot.voter % 2) as u16) } else { group };
        let number = self.state.elections()[0].roll.as_ref().map(|_| ballot.voter);
        self.nonces += 1;
        let nonce = sha256(&[b"nonce", self.slug.as_str().as_bytes(), &self.nonces.to_be_bytes()]).0;
        let extras = Extras { weight, group, stamp: Some(stamp), click: None };
        let opening = make_opening(&self.slug, nonce, &ballot, extras);
        let cast = Cast { election: ElectionIndex(0), number, opening: &opening };
        let Ok(event) = self.state.apply(stamp, &Command::Cast(cast)) else { return false };
        self.leaves.push(Leaf::Ballot(opening));
        self.leaves.extend(event.acts.into_iter().map(|act| Leaf::Act(act.json)));
        true
    }

    pub fn is_running(&self) -> bool {
        self.state.elections()[0].is_running()
    }

    pub fn needs_draw(&self) -> bool {
        self.state.elections()[0].needs_draw()
    }

    /// Casts one ballot for each line of marks, by voters 0, 1, 2 …
    pub fn cast_all(&mut self, ballots: &[&[&[u16]]]) {
        for (voter, marks) in ballots.iter().enumerate() {
            self.cast(Ballot { voter: voter as u64, marks, key: "" });
        }
    }

    fn roll_entry(&self, voter: u64) -> Option<RollEntry> {
        self.state.elections()[0].roll.as_ref()?.entry(voter).cloned()
    }

    pub fn draw(&mut self, source: election::command::DrawSource) {
        let size = self.state.elections()[0].closing_size.unwrap() as usize;
        let hashes: Vec<Hash> = self.leaves[..size].iter().map(Leaf::hash).collect();
        let closing_root = merkle_root(&hashes).to_hex();
        let seed = sha256(&[b"dice"]).to_hex();
        self.act(OfficerCommand::Draw { slug: self.slug(), source, seed, closing_root });
    }

    /// Shows the counts if they are hidden, hides them if they are shown.
    pub fn turn_curtain(&mut self) {
        let slug = self.slug();
        self.act(match self.state.elections()[0].revealed {
            true => OfficerCommand::Hide { slug },
            false => OfficerCommand::Reveal { slug },
        });
    }

    pub fn close(&mut self) {
        self.act(OfficerCommand::Close { slug: self.slug() });
    }

    pub fn publish(&mut self) {
        self.act(OfficerCommand::Publish { slug: self.slug() });
    }

    /// The record as it stands.
    pub fn record(&self) -> Draft {
        let election = &self.state.elections()[0];
        let facts = self.state.ledger.as_ref().unwrap();
        let epochs = election.epochs.iter().map(|(epoch, first_leaf)| {
            let keys: Vec<_> = facts.keys.iter().filter(|key| key.epoch == *epoch).collect();
            let nodes: Vec<Value> =
                keys.iter().map(|key| json!({"node": key.node, "key": key.key})).collect();
            json!({"epoch": epoch, "reason": keys[0].reason.as_str(), "first_leaf": first_leaf, "nodes": nodes})
        });
        let after_acts = (0..self.leaves.len()).filter(|leaf| matches!(self.leaves[*leaf], Leaf::Act(_)));
        let mut checkpoint_sizes: Vec<u64> = after_acts.map(|leaf| leaf as u64 + 1).collect();
        if checkpoint_sizes.last() != Some(&(self.leaves.len() as u64)) {
            checkpoint_sizes.push(self.leaves.len() as u64);
        }
        Draft {
            slug: self.slug.to_string(),
            election: election.id.0,
            definition: election.definition.to_json(),
            definition_hash: Hash(election.definition.hash()),
            roll: election.roll.as_ref().map_or(String::new(), |roll| roll.lines()),
            leaves: self.leaves.clone(),
            leaf_numbers: (0..self.leaves.len() as u64).collect(),
            signed_leaves: None,
            epochs: epochs.collect(),
            epoch_starts: election.epochs.clone(),
            checkpoint_sizes,
            receipt_nodes: vec![1],
            checkpoint_nodes: vec![1],
            change_checkpoint: |_, note| note,
            result: Results::of(election).to_json(),
            header_leaves: None,
            end_key: node_key(self.epoch),
            change_end: |end| end,
        }
    }
}

/// A record before it is written. A case changes a part; writing signs everything again.
#[derive(Clone)]
pub struct Draft {
    pub slug: String,
    pub election: [u8; 16],
    pub definition: String,
    pub definition_hash: Hash,
    pub roll: String,
    pub leaves: Vec<Leaf>,
    pub leaf_numbers: Vec<u64>,
    /// Leaves that the checkpoints are of, where others are written.
    pub signed_leaves: Option<Vec<Leaf>>,
    pub epochs: Vec<Value>,
    pub epoch_starts: Vec<(u32, u64)>,
    pub checkpoint_sizes: Vec<u64>,
    /// Nodes that sign receipts: of the first three ballots, of the next three, and so on, in turns.
    pub receipt_nodes: Vec<u16>,
    /// Nodes that sign checkpoints, in turns by size.
    pub checkpoint_nodes: Vec<u16>,
    pub change_checkpoint: fn(usize, String) -> String,
    pub result: String,
    pub header_leaves: Option<u64>,
    pub end_key: NodeKey,
    pub change_end: fn(String) -> String,
}

impl Draft {
    pub fn hashes(&self) -> Vec<Hash> {
        self.signed_leaves.as_ref().unwrap_or(&self.leaves).iter().map(Leaf::hash).collect()
    }

    fn epoch_of(&self, size: u64) -> u32 {
        self.epoch_starts.iter().rev().find(|(_, first)| *first < size).unwrap().0
    }

    /// Signed note at a size.
    pub fn checkpoint(&self, size: u64) -> String {
        let origin = Origin { ledger: LEDGER, epoch: self.epoch_of(size), election: self.election, shard: 0 };
        let root = merkle_root(&self.hashes()[..size as usize]);
        let node = self.checkpoint_nodes[size as usize % self.checkpoint_nodes.len()];
        Checkpoint { origin, size: TreeSize(size), root }.sign(&key_of(node, origin.epoch))
    }

    pub fn ballots(&self) -> usize {
        self.leaves.iter().filter(|leaf| matches!(leaf, Leaf::Ballot(_))).count()
    }

    /// Receipts of the first epoch's ballots, a batch for each node that signs some.
    pub fn receipts(&self) -> Vec<Receipt> {
        let epoch = self.epoch_starts[0].0;
        let node_of = |number: usize| self.receipt_nodes[number / 3 % self.receipt_nodes.len()];
        let mut receipts = Vec::new();
        for node in self.receipt_nodes.iter().collect::<BTreeSet<_>>() {
            let (mut signer, mut statements) = (BatchSigner::new(), Vec::new());
            for number in (0..self.ballots()).filter(|number| node_of(*number) == *node) {
                let leaf = self.ballot_leaf(number);
                let Leaf::Ballot(opening) = &self.leaves[leaf] else { unreachable!("it is a ballot's leaf") };
                let statement = Statement {
                    ledger: LEDGER,
                    epoch: self.epoch_of(leaf as u64 + 1),
                    node: *node,
                    election: self.election,
                    definition: self.definition_hash,
                    shard: 0,
                    leaf_index: LeafIndex(leaf as u64),
                    leaf: self.leaves[leaf].hash(),
                    promise: Promise::Synced,
                };
                if statement.epoch == epoch {
                    signer.push(&statement);
                    statements.push((statement, number as u64, opening[..32].try_into().unwrap()));
                }
            }
            let Some(batch) = signer.sign(&key_of(*node, epoch)) else { continue };
            for (index, (statement, ballot_index, nonce)) in statements.into_iter().enumerate() {
                let at = UnixMillis(START.0 + 60_000).to_string();
                let people = ForPeople { slug: self.slug.clone(), ballot_index, nonce, at };
                receipts.push(Receipt::new(&statement, &batch, index as u32, people));
            }
        }
        receipts
    }

    /// Puts the hash of the result into the `published` act.
    pub fn publish_again(&mut self) {
        let hash = sha256(&[self.result.as_bytes()]).to_hex();
        self.change_act("published", |act| act["result"] = json!(hash));
    }

    /// Changes the first act of a kind. Its fields keep their order.
    pub fn change_act(&mut self, name: &str, change: impl FnOnce(&mut Value)) {
        let start = format!("{{\"act\":\"{name}\"");
        let act = self.leaves.iter_mut().find_map(|leaf| match leaf {
            Leaf::Act(json) if json.starts_with(&start) => Some(json),
            _ => None,
        });
        let act = act.unwrap();
        let mut value: Value = serde_json::from_str(act).unwrap();
        let before = value.clone();
        change(&mut value);
        for (field, new) in value.as_object().unwrap() {
            let old = &before[field];
            if old != new {
                *act = act.replacen(&format!("\"{field}\":{old}"), &format!("\"{field}\":{new}"), 1);
            }
        }
    }

    /// Takes a leaf in; what was drawn and published of the old tree is not made again.
    pub fn insert(&mut self, at: usize, leaf: Leaf) {
        self.leaves.insert(at, leaf);
        self.leaf_numbers = (0..self.leaves.len() as u64).collect();
        for size in &mut self.checkpoint_sizes {
            *size += u64::from(*size > at as u64);
        }
    }

    /// Leaf of the n-th ballot.
    pub fn ballot_leaf(&self, number: usize) -> usize {
        let ballots = self.leaves.iter().enumerate().filter(|(_, leaf)| matches!(leaf, Leaf::Ballot(_)));
        ballots.map(|(leaf, _)| leaf).nth(number).unwrap()
    }

    pub fn opening_mut(&mut self, number: usize) -> &mut Vec<u8> {
        let leaf = self.ballot_leaf(number);
        match &mut self.leaves[leaf] {
            Leaf::Ballot(opening) => opening,
            Leaf::Act(_) => unreachable!(),
        }
    }

    /// The whole file, signed.
    pub fn write(&self) -> String {
        let mut text = String::new();
        let mut line = |line: String| {
            text.push_str(&line);
            text.push('\n');
        };
        let epochs: Vec<String> = self.epochs.iter().map(epoch_json).collect();
        line(format!(
            r#"{{"hustings_record":1,"ledger":"{}","election":"{}","slug":"{}","shard":0,"secrecy":"open","definition_hash":"{}","leaves":{},"ballots":{},"roll":{},"epochs":[{}]}}"#,
            election::hex(&LEDGER),
            election::hex(&self.election),
            self.slug,
            self.definition_hash,
            self.header_leaves.unwrap_or(self.leaves.len() as u64),
            self.ballots(),
            self.roll.lines().count(),
            epochs.join(","),
        ));
        line(self.definition.clone());
        self.roll.lines().for_each(|entry| line(entry.to_owned()));
        for (leaf, number) in self.leaves.iter().zip(&self.leaf_numbers) {
            line(match leaf {
                Leaf::Act(json) => format!(r#"{{"leaf":{number},"act":{json}}}"#),
                Leaf::Ballot(opening) => {
                    format!(r#"{{"leaf":{number},"ballot":"{}"}}"#, BASE64URL_NOPAD.encode(opening))
                }
            });
        }
        for (index, size) in self.checkpoint_sizes.iter().enumerate() {
            let note = (self.change_checkpoint)(index, self.checkpoint(*size));
            line(format!(r#"{{"checkpoint":{}}}"#, Value::from(note)));
        }
        line(format!(r#"{{"result":{}}}"#, self.result));
        let end = end_line(text.as_bytes(), &self.end_key);
        text.push_str(&(self.change_end)(end));
        text.push('\n');
        text
    }
}

/// End line of a record whose other lines are `lines`, without its line feed.
fn end_line(lines: &[u8], key: &NodeKey) -> String {
    let digest = sha256(&[lines]);
    let signature = election::hex(&key.sign(&[&b"hustings record v1\n"[..], &digest.0].concat()));
    format!(r#"{{"end":{{"sha256":"{digest}","node":{},"signature":"{signature}"}}}}"#, key.node())
}

/// Gives a record whose bytes before `end` were changed a new end line.
pub fn sign_again(record: &mut Vec<u8>, end: usize, key: &NodeKey) {
    record.truncate(end);
    let line = end_line(record, key);
    record.extend_from_slice(line.as_bytes());
    record.push(b'\n');
}

/// An epoch of the header with its fields in order.
fn epoch_json(epoch: &Value) -> String {
    let nodes: Vec<String> = epoch["nodes"].as_array().unwrap().iter().map(node_json).collect();
    format!(
        r#"{{"epoch":{},"reason":{},"first_leaf":{},"nodes":[{}]}}"#,
        epoch["epoch"],
        epoch["reason"],
        epoch["first_leaf"],
        nodes.join(",")
    )
}

fn node_json(node: &Value) -> String {
    format!(r#"{{"node":{},"key":{}}}"#, node["node"], node["key"])
}
