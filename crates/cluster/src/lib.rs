//! Several nodes keep one log: consensus as a state machine without clock, disk, network or threads. The one part
//! that has a network, timers and a thread is [`net`], which knows nothing of what it carries.
//!
//! - [`Core`] is one node's part: [`Core::step`] takes what happened, [`Core::work`] says what is to be done about it.
//! - [`Member`] is a core with its [`ledger::ReplicatedLedger`]: one [`Member::turn`] does the work on the disk in the
//!   order that safety rests on, and returns what is to be sent, and what is committed. The simulator and a server
//!   call the same.
//! - [`Membership`] is who belongs, in the log; [`Message`] what nodes say to each other, in bytes of our own.
//! - [`net::Network`] carries such messages, questions and their answers between nodes that share a [`net::JoinKey`].
//!
//! ```text
//! messages, proposals, ticks ──▶ Core ──▶ messages that may go at once
//!                                  ├────▶ term and vote ──sync──▶ entries ──sync──▶ Core::synced
//!                                  ├────▶ messages that rest on that
//!                                  └────▶ committed entries ──▶ apply, sign, feed, answer
//! ```
//!
//! The library underneath (decision 40) is seen in `engine` and `core` only. Nothing of it is on disk or on the wire.

mod core;
mod engine;
mod fields;
pub mod founding;
mod join;
mod member;
mod membership;
pub mod mutation;
pub mod net;
mod random;
mod room;
pub mod time;
mod wire;

pub use crate::core::{
    Committed, Core, CoreConfig, Input, LogEntry, Past, Progress, ReadAnswer, Refused, Role, Start, Status,
    Work,
};
pub use fields::FieldsError;
pub use join::{Admission, JoinReply, JoinRequest, QUESTION_JOIN, QUESTION_OTHER_FROM, SECRET_BYTES_MAX};
pub use member::{Member, MemberConfig, Turn};
pub use membership::{
    Change, MEMBER_ADDRESS_BYTES_MAX, MEMBERS_MAX, MemberInfo, Membership, MembershipError, NodeId, NodeInfo,
    Seat,
};
pub use room::RoomConfig;
pub use wire::{MESSAGE_BYTES_MAX, Message, WireError};

use ledger::EntryKind;

/// An entry that says who belongs to the cluster from there on.
pub const KIND_MEMBERSHIP: EntryKind = EntryKind(2);
/// The first entry of a leader's term, without payload; epoch and stamp are those of the entry before it.
pub const KIND_TERM: EntryKind = EntryKind(3);
