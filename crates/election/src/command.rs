//! Commands: everything that changes an election, and how a batch of them is written in the ledger.
//!
//! A batch is a run of commands, each: tag u8 (1 cast, 2 officer) ‖ stamp u64 ‖ body, integers big-endian.
//! Cast body: election index u32 ‖ voter number u64 (all ones: none) ‖ length u32 ‖ opening.
//! Officer body: length u32 ‖ JSON of [`OfficerCommand`].

use crate::ids::{ElectionIndex, LedgerId, Slug};
use crate::roll::RollEntry;
use crate::room::{Pace, RoomCode, Screen};
use crate::time::{Hlc, UnixMillis};
use serde::{Deserialize, Serialize};

const TAG_CAST: u8 = 1;
const TAG_OFFICER: u8 = 2;
const NO_NUMBER: u64 = u64::MAX;
/// Bytes of a cast before its opening.
pub const CAST_HEAD_BYTES: usize = 1 + 8 + 4 + 8 + 4;
const OFFICER_HEAD_BYTES: usize = 1 + 8 + 4;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command<'a> {
    Cast(Cast<'a>),
    Officer(Box<OfficerCommand>),
}

/// One ballot. The voter's tag, the key and the answers stand in the opening.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cast<'a> {
    pub election: ElectionIndex,
    /// Dense number of the voter; `None` for one kept by tag.
    pub number: Option<u64>,
    pub opening: &'a [u8],
}

/// What officers do, and what the node itself logs (founding, epochs, deadlines).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum OfficerCommand {
    /// First command of a ledger.
    Found {
        ledger: LedgerId,
        node: u16,
        key: String,
        officer: String,
    },
    /// A new epoch after a restore or a forced recovery.
    Epoch {
        epoch: u32,
        reason: EpochReason,
        node: u16,
        key: String,
    },
    /// A further node signs in the current epoch, with its own key: logged when it joins. A number keeps its key for
    /// the whole epoch; the same again changes nothing.
    Node {
        node: u16,
        /// Ed25519 public key, 64 lower-case hex digits.
        key: String,
    },
    /// SHA-256 of the officer token, in hex.
    OfficerToken {
        officer: String,
    },
    Create {
        definition: String,
        roll: Vec<RollEntry>,
    },
    Open {
        slug: Slug,
    },
    Pause {
        slug: Slug,
    },
    Close {
        slug: Slug,
    },
    /// The deadline has passed by the node's clock.
    Deadline {
        slug: Slug,
    },
    Extend {
        slug: Slug,
        closes_at: UnixMillis,
    },
    Publish {
        slug: Slug,
    },
    Cancel {
        slug: Slug,
        reason: String,
    },
    /// Shows the counts of an election with `results = "on-reveal"` to all.
    Reveal {
        slug: Slug,
    },
    /// Takes them away again.
    Hide {
        slug: Slug,
    },
    /// Seed and closing root, in hex.
    Draw {
        slug: Slug,
        source: DrawSource,
        seed: String,
        closing_root: String,
    },
    CreateRoom {
        code: RoomCode,
        title: String,
        pace: Pace,
        elections: Vec<Slug>,
    },
    AddToRoom {
        code: RoomCode,
        slug: Slug,
    },
    ShowScreen {
        code: RoomCode,
        screen: Screen,
    },
    /// Nobody joins any more: sessions given out from now on do not count in the room's open elections.
    LockRoom {
        code: RoomCode,
    },
    UnlockRoom {
        code: RoomCode,
    },
    /// Takes an election out of a room's list; the election itself stays.
    RemoveFromRoom {
        code: RoomCode,
        slug: Slug,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EpochReason {
    Founded,
    Restored,
    Recovered,
}

impl EpochReason {
    pub fn as_str(self) -> &'static str {
        match self {
            EpochReason::Founded => "founded",
            EpochReason::Restored => "restored",
            EpochReason::Recovered => "recovered",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrawSource {
    Server,
    Public,
}

/// A command read back from a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged<'a> {
    pub stamp: Hlc,
    pub command: Command<'a>,
    /// Where a cast's opening begins within the batch's payload; 0 for officer commands.
    pub opening_offset: u32,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the batch cannot be read at byte {offset}: {what}")]
pub struct BatchError {
    pub offset: usize,
    pub what: String,
}

/// Appends a cast to a batch; returns where its opening begins.
pub fn write_cast(batch: &mut Vec<u8>, stamp: Hlc, cast: &Cast<'_>) -> u32 {
    batch.push(TAG_CAST);
    batch.extend_from_slice(&stamp.0.to_be_bytes());
    batch.extend_from_slice(&cast.election.0.to_be_bytes());
    batch.extend_from_slice(&cast.number.unwrap_or(NO_NUMBER).to_be_bytes());
    batch.extend_from_slice(&u32::try_from(cast.opening.len()).expect("openings are limited").to_be_bytes());
    let offset = u32::try_from(batch.len()).expect("batches are limited");
    batch.extend_from_slice(cast.opening);
    offset
}

pub fn write_officer(batch: &mut Vec<u8>, stamp: Hlc, command: &OfficerCommand) {
    let json = serde_json::to_vec(command).expect("officer commands hold nothing that JSON cannot");
    batch.push(TAG_OFFICER);
    batch.extend_from_slice(&stamp.0.to_be_bytes());
    batch.extend_from_slice(&u32::try_from(json.len()).expect("definitions are limited").to_be_bytes());
    batch.extend_from_slice(&json);
}

/// Hands each cast to `visit`, as far as the batch can be read; officers' commands are skipped.
pub fn visit_casts(payload: &[u8], mut visit: impl FnMut(Cast<'_>)) {
    let mut rest = payload;
    while let Some(tag) = rest.first() {
        let head = if *tag == TAG_CAST { CAST_HEAD_BYTES } else { OFFICER_HEAD_BYTES };
        let Some((start, after)) = rest.split_at_checked(head) else { return };
        let (before, length) = start.split_last_chunk::<4>().expect("every head ends with a length");
        let Some((body, after)) = after.split_at_checked(u32::from_be_bytes(*length) as usize) else {
            return;
        };
        if *tag == TAG_CAST {
            let head: &[u8; 12] = before[9..].first_chunk().expect("a cast's head names election and number");
            let (election, number) = head.split_first_chunk::<4>().expect("12 bytes are 4 and 8");
            let number = u64::from_be_bytes(number.try_into().expect("12 bytes are 4 and 8"));
            visit(Cast {
                election: ElectionIndex(u32::from_be_bytes(*election)),
                number: (number != NO_NUMBER).then_some(number),
                opening: body,
            });
        }
        rest = after;
    }
}

/// Reads a batch's commands in order; stops after the first that cannot be read.
#[derive(Clone, Debug)]
pub struct Batch<'a> {
    payload: &'a [u8],
    offset: usize,
}

impl<'a> Batch<'a> {
    pub fn new(payload: &'a [u8]) -> Self {
        Self { payload, offset: 0 }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], BatchError> {
        let bytes = self.payload[self.offset..].first_chunk::<N>().copied();
        let bytes = bytes.ok_or_else(|| self.error("it ends early"))?;
        self.offset += N;
        Ok(bytes)
    }

    fn take_sized(&mut self) -> Result<&'a [u8], BatchError> {
        let length = u32::from_be_bytes(self.take()?) as usize;
        let bytes = self.payload[self.offset..].get(..length).ok_or_else(|| self.error("it ends early"))?;
        self.offset += length;
        Ok(bytes)
    }

    fn error(&self, what: impl Into<String>) -> BatchError {
        BatchError { offset: self.offset, what: what.into() }
    }

    fn read(&mut self) -> Result<Logged<'a>, BatchError> {
        let [tag] = self.take::<1>()?;
        let stamp = Hlc(u64::from_be_bytes(self.take()?));
        match tag {
            TAG_CAST => {
                let election = ElectionIndex(u32::from_be_bytes(self.take()?));
                let number = u64::from_be_bytes(self.take()?);
                let opening_offset =
                    u32::try_from(self.offset + 4).map_err(|_| self.error("it is too large"))?;
                let opening = self.take_sized()?;
                let number = (number != NO_NUMBER).then_some(number);
                Ok(Logged {
                    stamp,
                    command: Command::Cast(Cast { election, number, opening }),
                    opening_offset,
                })
            }
            TAG_OFFICER => {
                let json = self.take_sized()?;
                let command = serde_json::from_slice(json).map_err(|error| self.error(error.to_string()))?;
                Ok(Logged { stamp, command: Command::Officer(Box::new(command)), opening_offset: 0 })
            }
            _ => Err(self.error(format!("command tag {tag} is not known"))),
        }
    }
}

impl<'a> Iterator for Batch<'a> {
    type Item = Result<Logged<'a>, BatchError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.offset >= self.payload.len() {
            return None;
        }
        let read = self.read();
        if read.is_err() {
            self.offset = self.payload.len();
        }
        Some(read)
    }
}
