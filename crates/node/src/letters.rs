//! What nodes of a cluster write to each other besides consensus: ballots and acts for the leader, what it gives back,
//! and what each says of itself. Bytes of our own, versioned and limited; `docs/formats.md` lists them.

use crate::cluster_view::ClusterRequest;
use crate::core::{BATCH_BALLOTS_MAX, ChunkBallot, PreparedBallot, PreparedChunk, Returned};
use bytes::Bytes;
use election::ballot::{OPENING_BYTES_MAX, Opening};
use election::command::{Batch, Command, write_officer};
use election::{ElectionIndex, Hlc, OfficerCommand};
use proof::Hash;
use serde::{Deserialize, Serialize};

/// On which line a letter goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Lane {
    /// Goes before all that waits on the other lanes: lanes from 128 on do.
    Consensus = 129,
    Parcel = 1,
    Order = 2,
    Returned = 3,
    Status = 4,
    Change = 5,
    ChangeRefused = 6,
    Describe = 7,
    /// Cluster time, from the leader. Goes before the rest: its age counts.
    Time = 130,
}

impl Lane {
    const ALL: [Lane; 9] = [
        Lane::Consensus,
        Lane::Parcel,
        Lane::Order,
        Lane::Returned,
        Lane::Status,
        Lane::Change,
        Lane::ChangeRefused,
        Lane::Describe,
        Lane::Time,
    ];

    pub fn from_number(number: u8) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| *lane as u8 == number)
    }
}

const VERSION: u8 = 1;
const NO_NUMBER: u64 = u64::MAX;
/// Bytes of one ballot in a parcel before its opening.
const BALLOT_HEAD_BYTES: usize = 8 + 8 + 32 + 4;
/// Most bytes of a parcel: what one bulk request may hold, and its heads.
const PARCEL_BYTES_MAX: usize = 48 << 20;

/// Bytes from another node are not a letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a letter between nodes is malformed: {0}")]
pub struct LetterError(pub &'static str);

/// What a node says of itself, twice a second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NodeReport {
    /// Last position it has applied.
    pub applied: u64,
    /// Last position on its disk.
    pub synced: u64,
    pub disk_free_bytes: Option<u64>,
    pub version: String,
    /// Its system's clock less cluster time, and by how much that may be wrong; `None` before clocks were compared.
    pub clock: Option<(i64, u64)>,
}

/// Ballots of one election as one chunk or, where there are many, several.
pub fn chunk_of(election: ElectionIndex, ballots: &[&PreparedBallot]) -> Vec<PreparedChunk> {
    let chunk = |ballots: &[&PreparedBallot]| {
        let mut chunk =
            PreparedChunk { election, bytes: Vec::new(), ballots: Vec::new(), with_receipts: false };
        for ballot in ballots {
            let PreparedBallot { stamp, number, tag, key, leaf, opening, .. } = ballot;
            push(
                &mut chunk,
                ChunkBallot {
                    stamp: *stamp,
                    number: *number,
                    tag: *tag,
                    key: *key,
                    leaf: *leaf,
                    start: 0,
                    length: 0,
                },
                opening,
            );
        }
        chunk
    };
    ballots.chunks(BATCH_BALLOTS_MAX).map(chunk).collect()
}

/// Some lines of a chunk as one of their own.
pub fn chunk_of_lines(from: &PreparedChunk, lines: &[u32]) -> PreparedChunk {
    if lines.len() == from.ballots.len() {
        return PreparedChunk { with_receipts: false, ..from.clone() };
    }
    let mut chunk = PreparedChunk {
        election: from.election,
        bytes: Vec::new(),
        ballots: Vec::new(),
        with_receipts: false,
    };
    for line in lines {
        push(&mut chunk, from.ballots[*line as usize], from.opening(*line as usize));
    }
    chunk
}

fn push(chunk: &mut PreparedChunk, ballot: ChunkBallot, opening: &[u8]) {
    let start = u32::try_from(chunk.bytes.len()).expect("a chunk is limited");
    let length = u32::try_from(opening.len()).expect("an opening is limited");
    chunk.bytes.extend_from_slice(opening);
    chunk.ballots.push(ChunkBallot { start, length, ..ballot });
}

/// `version 1 | election 4 | count 4 |` each: `stamp 8 | voter number 8 | leaf 32 | length 4 | opening`.
pub fn write_parcel(chunk: &PreparedChunk) -> Bytes {
    let mut out = Vec::with_capacity(9 + chunk.ballots.len() * BALLOT_HEAD_BYTES + chunk.bytes.len());
    out.push(VERSION);
    out.extend_from_slice(&chunk.election.0.to_be_bytes());
    out.extend_from_slice(&u32::try_from(chunk.ballots.len()).expect("a chunk is limited").to_be_bytes());
    for (line, ballot) in chunk.ballots.iter().enumerate() {
        out.extend_from_slice(&ballot.stamp.0.to_be_bytes());
        out.extend_from_slice(&ballot.number.unwrap_or(NO_NUMBER).to_be_bytes());
        out.extend_from_slice(&ballot.leaf.0);
        out.extend_from_slice(&ballot.length.to_be_bytes());
        out.extend_from_slice(chunk.opening(line));
    }
    out.into()
}

pub fn read_parcel(bytes: &[u8]) -> Result<PreparedChunk, LetterError> {
    if bytes.len() > PARCEL_BYTES_MAX {
        return Err(LetterError("a parcel is too long"));
    }
    let mut letter = Reading::new(bytes)?;
    let election = ElectionIndex(u32::from_be_bytes(letter.array()?));
    let count = u32::from_be_bytes(letter.array()?) as usize;
    if count > BATCH_BALLOTS_MAX {
        return Err(LetterError("a parcel has too many ballots"));
    }
    let mut chunk = PreparedChunk { election, bytes: Vec::new(), ballots: Vec::new(), with_receipts: false };
    for _ in 0..count {
        let stamp = Hlc(letter.number()?);
        let voter = letter.number()?;
        let leaf = Hash(letter.array()?);
        let length = u32::from_be_bytes(letter.array()?) as usize;
        if length > OPENING_BYTES_MAX {
            return Err(LetterError("an opening is too long"));
        }
        let opening = letter.take(length)?;
        let fields = Opening::parse(opening).map_err(|_| LetterError("an opening cannot be read"))?.fields;
        let number = (voter != NO_NUMBER).then_some(voter);
        let (tag, key) = (fields.voter, fields.key);
        push(&mut chunk, ChunkBallot { stamp, number, tag, key, leaf, start: 0, length: 0 }, opening);
    }
    letter.end()?;
    Ok(chunk)
}

/// `version 1 |` the act as in a batch of the ledger.
pub fn write_order(stamp: Hlc, command: &OfficerCommand) -> Bytes {
    let mut out = vec![VERSION];
    write_officer(&mut out, stamp, command);
    out.into()
}

pub fn read_order(bytes: &[u8]) -> Result<(Hlc, Box<OfficerCommand>), LetterError> {
    let Reading { rest } = Reading::new(bytes)?;
    let mut batch = Batch::new(rest);
    match (batch.next(), batch.next()) {
        (Some(Ok(logged)), None) => match logged.command {
            Command::Officer(command) => Ok((logged.stamp, command)),
            Command::Cast(_) => Err(LetterError("an order is an officer's act")),
        },
        _ => Err(LetterError("an order is one act")),
    }
}

/// `version 1 | act's name 32, zeros for none | count 4 |` each: `leaf 32 | why 1`.
pub fn write_returned(act: Option<Hash>, leaves: &[(Hash, Returned)]) -> Bytes {
    let mut out = vec![VERSION];
    out.extend_from_slice(&act.unwrap_or_default().0);
    out.extend_from_slice(&u32::try_from(leaves.len()).expect("a parcel is limited").to_be_bytes());
    for (leaf, why) in leaves {
        out.extend_from_slice(&leaf.0);
        out.push(*why as u8);
    }
    out.into()
}

/// An act's name, and ballots with the reason why they come back.
pub type ReturnedLetter = (Option<Hash>, Vec<(Hash, Returned)>);

pub fn read_returned(bytes: &[u8]) -> Result<ReturnedLetter, LetterError> {
    let mut letter = Reading::new(bytes)?;
    let act = Hash(letter.array()?);
    let count = u32::from_be_bytes(letter.array()?) as usize;
    if count > BATCH_BALLOTS_MAX {
        return Err(LetterError("more comes back than a parcel holds"));
    }
    let mut leaves = Vec::with_capacity(count);
    for _ in 0..count {
        let leaf = Hash(letter.array()?);
        let [why] = letter.array()?;
        let why = [Returned::Refused, Returned::Full, Returned::NotLeading]
            .into_iter()
            .find(|known| *known as u8 == why)
            .ok_or(LetterError("a reason is not known"))?;
        leaves.push((leaf, why));
    }
    letter.end()?;
    Ok(((act != Hash::default()).then_some(act), leaves))
}

/// `version 1 |` JSON.
pub fn write_json<J: Serialize>(value: &J) -> Bytes {
    let mut out = vec![VERSION];
    serde_json::to_writer(&mut out, value).expect("a letter holds nothing that JSON cannot");
    out.into()
}

pub fn read_json<J: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<J, LetterError> {
    let Reading { rest } = Reading::new(bytes)?;
    serde_json::from_slice(rest).map_err(|_| LetterError("its JSON cannot be read"))
}

/// A request for the leader, with the asker's number for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeLetter {
    pub number: u64,
    pub request: ClusterRequest,
}

/// The leader's reason not to do it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeRefused {
    pub number: u64,
    pub reason: String,
}

/// Where a member is reached now, and which program it runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DescribeLetter {
    pub address: String,
    pub http_address: String,
    pub version: u32,
}

struct Reading<'a> {
    rest: &'a [u8],
}

impl<'a> Reading<'a> {
    fn new(bytes: &'a [u8]) -> Result<Self, LetterError> {
        match bytes.split_first() {
            Some((&VERSION, rest)) => Ok(Reading { rest }),
            Some(_) => Err(LetterError("its version is not known")),
            None => Err(LetterError("it is empty")),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], LetterError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(LetterError("it ends too early"))?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LetterError> {
        Ok(self.take(N)?.try_into().expect("as many as were taken"))
    }

    fn number(&mut self) -> Result<u64, LetterError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    fn end(&self) -> Result<(), LetterError> {
        if self.rest.is_empty() { Ok(()) } else { Err(LetterError("it goes on after its end")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use election::ballot::{Extras, OpeningFields, write_opening};
    use election::{ElectionId, IdempotencyKey, VoterTag};

    fn ballot(number: u8) -> PreparedBallot {
        let (tag, key) = (VoterTag([number; 16]), IdempotencyKey([number; 16]));
        let fields = OpeningFields {
            nonce: [number; 32],
            election: ElectionId([1; 16]),
            shard: 0,
            voter: tag,
            key,
            extras: Extras::NONE,
        };
        let mut opening = Vec::new();
        write_opening(&mut opening, &fields, &[number]);
        PreparedBallot {
            election: ElectionIndex(3),
            stamp: Hlc(u64::from(number)),
            number: number.is_multiple_of(2).then_some(7),
            tag,
            key,
            opening,
            leaf: Hash([number; 32]),
        }
    }

    #[test]
    fn letters_come_back_and_cut_ones_are_refused() {
        let ballots = [ballot(1), ballot(2), ballot(3)];
        let chunk = chunk_of(ElectionIndex(3), &ballots.iter().collect::<Vec<_>>()).remove(0);
        let parcel = write_parcel(&chunk);
        assert_eq!(format!("{:?}", read_parcel(&parcel).unwrap()), format!("{chunk:?}"));
        let returned = write_returned(Some(Hash([5; 32])), &[(Hash([6; 32]), Returned::Full)]);
        assert_eq!(
            read_returned(&returned),
            Ok((Some(Hash([5; 32])), vec![(Hash([6; 32]), Returned::Full)]))
        );
        let command = OfficerCommand::OfficerToken { officer: "x".to_owned() };
        let order = write_order(Hlc(4), &command);
        assert_eq!(read_order(&order), Ok((Hlc(4), Box::new(command))));
        for cut in 0..parcel.len() {
            assert!(read_parcel(&parcel[..cut]).is_err());
        }
        for letter in [&returned, &order] {
            for cut in 0..letter.len() {
                assert!(read_returned(&letter[..cut]).is_err() && read_order(&letter[..cut]).is_err());
            }
        }
    }

    #[test]
    fn some_lines_of_a_chunk_are_a_chunk() {
        let ballots = [ballot(1), ballot(2), ballot(3)];
        let chunk = chunk_of(ElectionIndex(3), &ballots.iter().collect::<Vec<_>>()).remove(0);
        let two = chunk_of_lines(&chunk, &[0, 2]);
        assert_eq!(two.ballots.iter().map(|ballot| ballot.leaf.0[0]).collect::<Vec<_>>(), [1, 3]);
        assert_eq!(two.opening(1), chunk.opening(2));
    }
}
