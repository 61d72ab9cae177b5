//! Who keeps the log for the writer thread: an engine alone, or a replica among others.

use crate::caches::ElectionReaders;
use crate::clock::ClockReading;
use crate::cluster_shell::Steward;
use crate::cluster_view::ClusterError;
use crate::core::{Answer, Core, Effects};
use crate::engine::Engine;
use crate::error::NodeError;
use crate::identity::Identity;
use crate::replica::{Input, Out, Replica};
use election::ElectionIndex;
use ledger::index::IndexReader;
use ledger::{FileStorage, Position, Reader};

pub(crate) enum Keeper<T> {
    Alone(Box<Engine<FileStorage, T>>),
    Among(Box<Member<T>>),
}

/// A replica, and what carries its letters.
pub(crate) struct Member<T> {
    pub replica: Replica<FileStorage, T>,
    pub out: Out<T>,
    pub steward: Steward,
}

impl<T: Send> Keeper<T> {
    pub fn core(&self) -> &Core<T> {
        match self {
            Keeper::Alone(engine) => engine.core(),
            Keeper::Among(member) => member.replica.core(),
        }
    }

    pub fn core_mut(&mut self) -> &mut Core<T> {
        match self {
            Keeper::Alone(engine) => engine.core_mut(),
            Keeper::Among(member) => member.replica.core_mut(),
        }
    }

    pub fn identity(&self) -> Identity {
        match self {
            Keeper::Alone(engine) => engine.identity(),
            Keeper::Among(member) => member.replica.identity(),
        }
    }

    /// The last position that is committed and applied.
    pub fn committed(&self) -> Position {
        match self {
            Keeper::Alone(engine) => engine.committed(),
            Keeper::Among(member) => member.replica.applied(),
        }
    }

    pub fn is_full(&self) -> bool {
        match self {
            Keeper::Alone(engine) => engine.is_full(),
            Keeper::Among(member) => member.replica.is_full(),
        }
    }

    pub fn reader(&self) -> Reader<FileStorage> {
        match self {
            Keeper::Alone(engine) => engine.reader(),
            Keeper::Among(member) => member.replica.reader(),
        }
    }

    pub fn readers(&mut self, election: ElectionIndex) -> Result<ElectionReaders<FileStorage>, NodeError> {
        match self {
            Keeper::Alone(engine) => engine.readers(election),
            Keeper::Among(member) => member.replica.readers(election),
        }
    }

    pub fn voters(&self) -> IndexReader<FileStorage> {
        match self {
            Keeper::Alone(engine) => engine.voters(),
            Keeper::Among(member) => member.replica.voters(),
        }
    }

    /// Whether a turn now would find something to do.
    pub fn has_work(&self) -> bool {
        match self {
            Keeper::Alone(engine) => engine.core().has_work(),
            // What is under way there ends with letters, or with time.
            Keeper::Among(_) => false,
        }
    }

    /// Whether somebody waits for an answer.
    pub fn is_awaited(&self) -> bool {
        match self {
            Keeper::Alone(engine) => engine.core().has_work(),
            Keeper::Among(member) => member.replica.is_awaited(),
        }
    }

    /// One turn; letters are sent before this returns.
    pub fn turn(
        &mut self,
        clock: ClockReading,
        inputs: &mut Vec<Input<T>>,
        effects: &mut Effects<T>,
    ) -> Result<(), NodeError> {
        match self {
            Keeper::Alone(engine) => {
                let mut others = Vec::new();
                let events = inputs.drain(..).filter_map(|input| match input {
                    Input::Event(event) => Some(event),
                    other => {
                        others.push(other);
                        None
                    }
                });
                engine.turn(clock, events, effects)?;
                for input in others {
                    match input {
                        // Alone, everything that was acknowledged is applied.
                        Input::Read(ticket) => {
                            effects.answers.push((ticket, Answer::ReadAt(engine.committed())));
                        }
                        Input::Change(_, ticket) | Input::Join(_, ticket) => {
                            effects.answers.push((ticket, Answer::NotChanged(ClusterError::NotACluster)));
                        }
                        _ => {}
                    }
                }
                Ok(())
            }
            Keeper::Among(member) => {
                let Member { replica, out, steward } = &mut **member;
                std::mem::swap(&mut out.effects, effects);
                steward.add_ticks(inputs);
                let done =
                    replica.turn_posting(clock, inputs.drain(..), out, &mut |letter| steward.send(letter));
                std::mem::swap(&mut out.effects, effects);
                done?;
                steward.carry(out);
                Ok(())
            }
        }
    }

    pub fn idle(&mut self) -> Result<(), NodeError> {
        match self {
            Keeper::Alone(engine) => engine.idle(),
            Keeper::Among(member) => match member.steward.is_quiet(member.replica.applied()) {
                true => member.replica.idle(),
                false => Ok(()),
            },
        }
    }

    pub fn close(self) -> Result<(), NodeError> {
        match self {
            Keeper::Alone(engine) => engine.close(),
            Keeper::Among(member) => member.replica.close(),
        }
    }
}
