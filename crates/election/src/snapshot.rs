//! A state as bytes: a cache that makes a restart fast, and a way to compare two states. It can be deleted.
//!
//! Layout: `"hustings snapshot v1\n"`, length u64 ‖ JSON of everything small, then per election its voters,
//! integers big-endian, sets sorted, so that equal states are equal bytes.

use crate::definition::Definition;
use crate::ids::{ElectionId, ElectionIndex, IdempotencyKey, LeafIndex, VoterTag};
use crate::roll::{Roll, RollEntry};
use crate::room::Room;
use crate::state::{Drawn, Election, ElectionState, LedgerFacts, State};
use crate::tally::Tally;
use crate::time::UnixMillis;
use crate::voted::{LastBallot, NumberSet, TagSet, Voted};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

const MAGIC: &[u8] = b"hustings snapshot v1\n";

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the snapshot cannot be read: {0}")]
pub struct SnapshotError(String);

#[derive(Serialize, Deserialize)]
struct Small {
    now: UnixMillis,
    ledger: Option<LedgerFacts>,
    rooms: Vec<Room>,
    elections: Vec<SmallElection>,
}

#[derive(Serialize, Deserialize)]
struct SmallElection {
    id: ElectionId,
    definition: String,
    state: ElectionState,
    closes_at: Option<UnixMillis>,
    roll: Option<Vec<RollEntry>>,
    tally: Tally,
    draw: Option<Drawn>,
    leaves: u64,
    ballots: u64,
    closing_size: Option<u64>,
    epochs: Vec<(u32, u64)>,
    opened_at: Option<UnixMillis>,
    closed_at: Option<UnixMillis>,
    /// Left out where it does not hold, so that snapshots of elections without it are as they were.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    revealed: bool,
}

impl State {
    /// Cost: linear in voters; sets named by tag are sorted first.
    pub fn to_snapshot(&self) -> Vec<u8> {
        let small = Small {
            now: self.now,
            ledger: self.ledger.clone(),
            rooms: self.rooms().values().cloned().collect(),
            elections: self.elections().iter().map(small_election).collect(),
        };
        let json = serde_json::to_vec(&small).expect("a state holds nothing that JSON cannot");
        let mut bytes = MAGIC.to_vec();
        put_u64(&mut bytes, json.len() as u64);
        bytes.extend_from_slice(&json);
        for election in self.elections() {
            write_voted(&mut bytes, &election.voted);
        }
        bytes
    }

    pub fn from_snapshot(bytes: &[u8]) -> Result<State, SnapshotError> {
        let rest =
            bytes.strip_prefix(MAGIC).ok_or_else(|| damaged("it is not a snapshot of this version"))?;
        let mut reader = Reader(rest);
        let length = reader.u64()?;
        let small: Small =
            serde_json::from_slice(reader.bytes(length)?).map_err(|error| damaged(&error.to_string()))?;
        let mut elections = Vec::with_capacity(small.elections.len());
        for (index, small) in small.elections.into_iter().enumerate() {
            let index = ElectionIndex(u32::try_from(index).map_err(|_| damaged("too many elections"))?);
            elections.push(election(index, small, &mut reader)?);
        }
        if !reader.0.is_empty() {
            return Err(damaged("it carries bytes too many"));
        }
        let rooms = small.rooms.into_iter().map(|room| (room.code.clone(), room)).collect();
        Ok(State::from_parts(small.now, small.ledger, elections, rooms))
    }
}

fn small_election(election: &Election) -> SmallElection {
    SmallElection {
        id: election.id,
        definition: election.definition.to_json(),
        state: election.state,
        closes_at: election.closes_at,
        roll: election.roll.as_ref().map(|roll| roll.entries().to_vec()),
        tally: election.tally.clone(),
        draw: election.draw.clone(),
        leaves: election.leaves,
        ballots: election.ballots,
        closing_size: election.closing_size,
        epochs: election.epochs.clone(),
        opened_at: election.opened_at,
        closed_at: election.closed_at,
        revealed: election.revealed,
    }
}

fn election(
    index: ElectionIndex,
    small: SmallElection,
    reader: &mut Reader<'_>,
) -> Result<Election, SnapshotError> {
    let definition = Definition::from_json(&small.definition).map_err(|error| damaged(&error.to_string()))?;
    let roll =
        small.roll.map(|entries| Roll::new(entries).ok_or_else(|| damaged("a voter is on a roll twice")));
    Ok(Election {
        index,
        id: small.id,
        definition: Arc::new(definition),
        state: small.state,
        closes_at: small.closes_at,
        roll: roll.transpose()?.map(Arc::new),
        tally: small.tally,
        voted: read_voted(reader)?,
        draw: small.draw,
        leaves: small.leaves,
        ballots: small.ballots,
        closing_size: small.closing_size,
        epochs: small.epochs,
        opened_at: small.opened_at,
        closed_at: small.closed_at,
        revealed: small.revealed,
    })
}

fn write_voted(bytes: &mut Vec<u8>, voted: &Voted) {
    match voted {
        Voted::Once { numbers, tags } => {
            bytes.push(0);
            write_numbers(bytes, numbers);
            put_u64(bytes, tags.len() as u64);
            tags.iter().for_each(|tag| bytes.extend_from_slice(&tag.0));
        }
        Voted::Capped { cap, cast, keys } => {
            bytes.push(1);
            put_u64(bytes, u64::from(*cap));
            let mut sorted: Vec<_> = cast.iter().collect();
            sorted.sort_unstable();
            put_u64(bytes, sorted.len() as u64);
            for (tag, count) in sorted {
                bytes.extend_from_slice(&tag.0);
                put_u64(bytes, u64::from(*count));
            }
            write_keys(bytes, keys);
        }
        Voted::LastCounts { last, keys } => {
            bytes.push(2);
            let mut sorted: Vec<_> = last.iter().collect();
            sorted.sort_unstable_by_key(|(tag, _)| **tag);
            put_u64(bytes, sorted.len() as u64);
            for (tag, ballot) in sorted {
                bytes.extend_from_slice(&tag.0);
                put_u64(bytes, ballot.leaf.0);
                put_u64(bytes, u64::from(ballot.weight));
                put_u64(bytes, ballot.group.map_or(u64::MAX, u64::from));
                put_u64(bytes, ballot.answers.len() as u64);
                bytes.extend_from_slice(&ballot.answers);
            }
            write_keys(bytes, keys);
        }
    }
}

fn write_numbers(bytes: &mut Vec<u8>, numbers: &NumberSet) {
    let blocks: Vec<_> = numbers.blocks().collect();
    put_u64(bytes, blocks.len() as u64);
    for (block, words) in blocks {
        put_u64(bytes, block);
        words.iter().for_each(|word| put_u64(bytes, *word));
    }
}

fn write_keys(bytes: &mut Vec<u8>, keys: &crate::voted::Keys) {
    let mut sorted: Vec<_> = keys.iter().collect();
    sorted.sort_unstable();
    put_u64(bytes, sorted.len() as u64);
    for ((tag, key), leaf) in sorted {
        bytes.extend_from_slice(&tag.0);
        bytes.extend_from_slice(&key.0);
        put_u64(bytes, leaf.0);
    }
}

fn read_voted(reader: &mut Reader<'_>) -> Result<Voted, SnapshotError> {
    match reader.array::<1>()? {
        [0] => {
            let numbers = read_numbers(reader)?;
            let count = reader.count(16)?;
            let mut tags = TagSet::with_capacity(count);
            for _ in 0..count {
                tags.insert(VoterTag(reader.array()?));
            }
            Ok(Voted::Once { numbers, tags })
        }
        [1] => {
            let cap = u16::try_from(reader.u64()?).map_err(|_| damaged("a cap is too large"))?;
            let mut cast = std::collections::HashMap::default();
            for _ in 0..reader.count(24)? {
                let tag = VoterTag(reader.array()?);
                cast.insert(tag, u16::try_from(reader.u64()?).map_err(|_| damaged("a count is too large"))?);
            }
            Ok(Voted::Capped { cap, cast, keys: read_keys(reader)? })
        }
        [2] => {
            let mut last = std::collections::HashMap::default();
            for _ in 0..reader.count(48)? {
                let tag = VoterTag(reader.array()?);
                let leaf = LeafIndex(reader.u64()?);
                let weight = u32::try_from(reader.u64()?).map_err(|_| damaged("a weight is too large"))?;
                let group = u16::try_from(reader.u64()?).ok();
                let length = reader.u64()?;
                last.insert(tag, LastBallot { leaf, weight, group, answers: reader.bytes(length)?.into() });
            }
            Ok(Voted::LastCounts { last, keys: read_keys(reader)? })
        }
        _ => Err(damaged("it keeps voters in a form that is not known")),
    }
}

fn read_numbers(reader: &mut Reader<'_>) -> Result<NumberSet, SnapshotError> {
    let mut numbers = NumberSet::default();
    for _ in 0..reader.count(8)? {
        let block = reader.u64()?;
        let mut words = [0; 1024];
        for word in &mut words {
            *word = reader.u64()?;
        }
        numbers.insert_block(block, words);
    }
    Ok(numbers)
}

fn read_keys(reader: &mut Reader<'_>) -> Result<crate::voted::Keys, SnapshotError> {
    let mut keys = crate::voted::Keys::default();
    for _ in 0..reader.count(40)? {
        let voter = VoterTag(reader.array()?);
        let key = IdempotencyKey(reader.array()?);
        keys.insert((voter, key), LeafIndex(reader.u64()?));
    }
    Ok(keys)
}

fn put_u64(bytes: &mut Vec<u8>, value: u64) {
    bytes.extend_from_slice(&value.to_be_bytes());
}

fn damaged(what: &str) -> SnapshotError {
    SnapshotError(what.to_owned())
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], SnapshotError> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or_else(|| damaged("it ends early"))?;
        self.0 = tail;
        Ok(*head)
    }

    fn u64(&mut self) -> Result<u64, SnapshotError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn bytes(&mut self, length: u64) -> Result<&'a [u8], SnapshotError> {
        let length = usize::try_from(length).map_err(|_| damaged("a length is too large"))?;
        let (head, tail) = self.0.split_at_checked(length).ok_or_else(|| damaged("it ends early"))?;
        self.0 = tail;
        Ok(head)
    }

    /// A count of items of at least `bytes_each`, so that rubbish cannot ask for endless memory.
    fn count(&mut self, bytes_each: usize) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.u64()?).map_err(|_| damaged("a count is too large"))?;
        if count > self.0.len() / bytes_each {
            return Err(damaged("it ends early"));
        }
        Ok(count)
    }
}
