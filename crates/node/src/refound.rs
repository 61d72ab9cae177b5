//! A log made anew of what another log holds: a backup, a cluster made of it, a cluster that goes on from one server.
//!
//! The commands are the election, so they are what is taken over: their bytes, stamps and epochs. Who belonged to a
//! cluster, and which terms there were, stays behind. Positions are others afterwards, and no evidence names one.

use crate::engine::KIND_COMMANDS;
use crate::error::NodeError;
use crate::folder::DataFolder;
use cluster::{KIND_MEMBERSHIP, KIND_TERM, Membership, NodeInfo};
use election::command::Batch;
use election::{Command, OfficerCommand};
use ledger::{
    EntryHeader, EntryKind, FileStorage, HardState, Ledger, LedgerError, LedgerId, LedgerOptions, Log as _,
    LogPoint, NewEntry, Position, ReplicatedLedger, ReplicatedLog as _, Storage, Threads,
};
use std::fs::{File, OpenOptions};
use std::io::Read as _;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};

/// One write and one sync for about so many bytes.
const GROUP_BYTES: usize = 4 << 20;
const GROUP_ENTRIES: usize = 4_096;
/// `log 32 hex | space | position 20 | space | sum 16 hex | newline`.
const COMMITTED_BYTES: usize = 71;

/// A log that is being made.
#[derive(Debug)]
pub struct NewLog<S: Storage> {
    log: ReplicatedLedger<S>,
    term: u64,
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// The first entry of a cluster's log.
    membership: Option<Vec<u8>>,
}

#[derive(Debug)]
struct Waiting {
    kind: EntryKind,
    epoch: u32,
    stamp: u64,
    payload: Vec<u8>,
}

impl<S: Storage> NewLog<S> {
    /// For a server alone. The folder holds no log.
    pub fn alone(storage: S, ledger: LedgerId) -> Result<Self, LedgerError> {
        let log = ReplicatedLedger::create(storage, ledger, LedgerOptions::STANDARD)?;
        Ok(NewLog { log, term: 0, waiting: Vec::new(), waiting_bytes: 0, membership: None })
    }

    /// For number 1 of a new cluster, its one voter. The folder holds no log; `ledger` is the cluster's name for ever, so
    /// it is a new one.
    pub fn of_cluster(storage: S, ledger: LedgerId, founder: &NodeInfo) -> Result<Self, NodeError> {
        let membership =
            Membership::founding(founder).map_err(|error| NodeError::Founder(error.to_string()))?;
        let mut log = ReplicatedLedger::create(storage, ledger, LedgerOptions::STANDARD)?;
        log.set_node(1)?;
        log.save_hard_state(HardState { term: 1, vote: 1, committed: Position::NONE })?;
        let membership = Some(membership.encode());
        Ok(NewLog { log, term: 1, waiting: Vec::new(), waiting_bytes: 0, membership })
    }

    /// Takes an entry of the other log over, where it holds commands.
    pub fn take(&mut self, header: &EntryHeader, payload: &[u8]) -> Result<(), LedgerError> {
        if header.kind != KIND_COMMANDS {
            return Ok(());
        }
        let EntryHeader { kind, epoch, stamp, .. } = *header;
        if let Some(membership) = self.membership.take() {
            self.waiting.push(Waiting { kind: KIND_MEMBERSHIP, epoch, stamp, payload: membership });
        }
        self.waiting.push(Waiting { kind, epoch, stamp, payload: payload.to_vec() });
        self.waiting_bytes += payload.len();
        if self.waiting_bytes >= GROUP_BYTES || self.waiting.len() >= GROUP_ENTRIES {
            self.write()?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), LedgerError> {
        let term = self.term;
        let entries: Vec<NewEntry<'_>> = self
            .waiting
            .iter()
            .map(|Waiting { kind, epoch, stamp, payload }| NewEntry {
                epoch: *epoch,
                term,
                stamp: *stamp,
                kind: *kind,
                payload,
            })
            .collect();
        self.log.append_group(&entries)?;
        self.waiting.clear();
        self.waiting_bytes = 0;
        Ok(())
    }

    /// All of it is on disk, and committed. The last entry.
    pub fn end(mut self) -> Result<LogPoint, LedgerError> {
        self.write()?;
        let last = self.log.last();
        if self.term > 0 {
            self.log.save_hard_state(HardState { term: self.term, vote: 1, committed: last.position })?;
        }
        self.log.commit_to(last.position);
        self.log.idle()?;
        Ok(last)
    }
}

/// What was copied from one log to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copied {
    /// The ledger's name in all evidence.
    pub ledger: LedgerId,
    /// Epoch of its last entry.
    pub epoch: u32,
    /// The last entry that was read.
    pub read: LogPoint,
    /// The last entry of the new log.
    pub written: LogPoint,
    /// Who belonged to the cluster at `read`; `None` for the log of a server alone.
    pub membership: Option<Membership>,
}

enum Stop {
    Enough,
    Failed(NodeError),
}

impl From<LedgerError> for Stop {
    fn from(error: LedgerError) -> Self {
        Stop::Failed(error.into())
    }
}

/// Copies the commands of the log in `from`, which may be in use, up to the entry `up_to`: that one has to be committed
/// where somebody writes to it, and the log may also end before it. `begin` makes the new log, from the name of the
/// ledger in all evidence; `progress` is told each position. `None` where the log holds no commands.
pub fn copy<S: Storage, R: Storage>(
    from: &R,
    up_to: Position,
    begin: impl FnOnce(LedgerId) -> Result<NewLog<S>, NodeError>,
    mut progress: impl FnMut(Position),
) -> Result<Option<Copied>, NodeError> {
    let mut begin = Some(begin);
    let mut new: Option<(NewLog<S>, LedgerId)> = None;
    let (mut read, mut epoch, mut membership) = (LogPoint::START, 0, None);
    let checked = Ledger::check(from, Threads::Helpers, |entry| {
        let EntryHeader { position, kind, .. } = entry.header;
        if position > up_to {
            return Err(Stop::Enough);
        }
        (read, epoch) = (entry.point(), entry.header.epoch);
        progress(position);
        let failed = |what: String| Stop::Failed(NodeError::Entry { position: position.0, what });
        match kind {
            KIND_COMMANDS => {
                if let Some(begin) = begin.take() {
                    let ledger = founded_as(entry.payload)
                        .ok_or_else(|| failed("the ledger does not begin with its founding".to_owned()))?;
                    new = Some((begin(ledger).map_err(Stop::Failed)?, ledger));
                }
                let (log, _) = new.as_mut().expect("begun with the first command");
                log.take(&entry.header, entry.payload)?;
            }
            KIND_MEMBERSHIP => {
                let decoded = Membership::decode(entry.payload).map_err(|error| failed(error.to_string()))?;
                membership = Some(decoded);
            }
            KIND_TERM => {}
            EntryKind(other) => return Err(failed(format!("its kind {other} is not known"))),
        }
        Ok(())
    });
    match checked {
        Ok(_) | Err(Stop::Enough) => {}
        Err(Stop::Failed(error)) => return Err(error),
    }
    let Some((log, ledger)) = new else { return Ok(None) };
    let written = log.end()?;
    Ok(Some(Copied { ledger, epoch, read, written, membership }))
}

/// The name of a ledger in all evidence, which its first command gives it.
fn founded_as(payload: &[u8]) -> Option<LedgerId> {
    match Batch::new(payload).next()?.ok()?.command {
        Command::Officer(command) => match *command {
            OfficerCommand::Found { ledger, .. } => Some(LedgerId(ledger.0)),
            _ => None,
        },
        Command::Cast(_) => None,
    }
}

/// Writes down how far `log` is committed, for who copies it beside the running server. Not synced, and nothing rests on
/// it: an old figure makes an older backup, and one that was torn is not taken.
pub fn note_committed(
    folder: &DataFolder,
    log: election::LedgerId,
    position: Position,
) -> std::io::Result<()> {
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(folder.committed())?;
    file.write_all_at(line(LedgerId(log.0), position).as_bytes(), 0)
}

/// How far the log in `folder` is known to be committed: 0 where nothing is known.
pub fn known_committed(folder: &DataFolder) -> Result<Position, NodeError> {
    let failed = |source| NodeError::File { step: "open the folder", path: folder.ledger(), source };
    let storage = FileStorage::new(folder.ledger()).map_err(failed)?;
    let Some(kept) = ReplicatedLedger::kept_in(&storage)? else { return Ok(Position::NONE) };
    let mut text = String::new();
    let read = File::open(folder.committed()).and_then(|mut file| file.read_to_string(&mut text));
    let noted = read.ok().and_then(|_| {
        let position = Position(text.split(' ').nth(1)?.parse().ok()?);
        (line(kept.ledger, position) == text).then_some(position)
    });
    Ok(noted.unwrap_or(Position::NONE).max(kept.hard_state.committed))
}

fn line(log: LedgerId, position: Position) -> String {
    let start = format!("{} {:020} ", election::hex(&log.0), position.0);
    let sum = proof::sha256(&[b"hustings committed v1\n", start.as_bytes()]);
    let line = format!("{start}{}\n", election::hex(&sum.0[..8]));
    assert_eq!(line.len(), COMMITTED_BYTES, "a line replaces the one before");
    line
}
