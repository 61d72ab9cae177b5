//! A disk without room: what waits to be written, and what may be said meanwhile.
//!
//! ```text
//! room ──▶ nearly full (the stop mark): only urgent entries are proposed, leadership is handed over
//!      ──▶ full: the reserve goes for urgent entries, terms, memberships and votes
//!      ──▶ nothing left: what was sent waits in memory, nothing is acknowledged, reads and votes go on
//! ```

use std::collections::VecDeque;

use ledger::Position;

use crate::core::{LogEntry, Work};
use crate::wire::{Kind, Message};

/// When a disk counts as nearly full, and what is kept back on it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RoomConfig {
    /// With less free than this, a leader takes only what is urgent, and lets another node lead.
    pub stop_free_bytes: u64,
    /// Size of a file that is given back to the disk for entries that must not wait.
    pub reserve_bytes: u64,
}

impl RoomConfig {
    /// Stops at 64 MiB, the size of the log's next file, and keeps 8 MiB.
    pub const STANDARD: Self = Self { stop_free_bytes: 64 << 20, reserve_bytes: 8 << 20 };
}

/// Entries that are not on disk yet, oldest first.
#[derive(Debug, Default)]
pub struct Waiting {
    parts: VecDeque<Unwritten>,
}

/// Of one [`Work`], what is to be on disk before it counts as synced.
#[derive(Debug)]
pub struct Unwritten {
    pub entries: Vec<LogEntry>,
    pub known_committed: Position,
    pub urgent: bool,
    pub number: u64,
    /// What it takes the place of is gone.
    pub begun: bool,
}

impl Waiting {
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn push(&mut self, work: &mut Work) {
        let entries = std::mem::take(&mut work.entries);
        let Work { known_committed, urgent, number, .. } = *work;
        match self.parts.back_mut() {
            Some(last) if entries.is_empty() => last.number = number,
            _ => self.parts.push_back(Unwritten { entries, known_committed, urgent, number, begun: false }),
        }
    }

    pub fn first(&mut self) -> Option<&mut Unwritten> {
        self.parts.front_mut()
    }

    pub fn first_is_done(&mut self) {
        self.parts.pop_front();
    }

    /// What came later may be urgent, and has to wait for what came first.
    pub fn is_urgent(&self) -> bool {
        self.parts.iter().any(|part| part.urgent)
    }

    /// While something waits, more entries would only take memory: they are sent again when there is room. That they are
    /// urgent is remembered.
    pub fn refuses(&mut self, message: &Message) -> bool {
        let Some(last) = self.parts.back_mut() else { return false };
        last.urgent |= message.urgent;
        message.kind == Kind::Append
    }
}

/// Whether a message is true although entries wait to be written. A vote for somebody is: whoever asks for it must have
/// what this node has in memory, and that is no less than what it has on disk. To ask for votes it must have written all
/// that it says it has.
pub fn may_go(message: &Message) -> bool {
    !matches!(message.kind, Kind::AppendAnswer | Kind::Vote | Kind::PreVote)
}
