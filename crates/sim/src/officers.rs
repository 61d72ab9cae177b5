//! Officers: they create, open, pause, resume, extend, close, reveal, hide, draw, publish and cancel, sometimes at the wrong moment.
//! Nodes that join are here too, with their keys.

use crate::lookup::Served;
use crate::model::{Model, PlainElection, Stage};
use crate::plans::{self, Lot};
use crate::random::Random;
use election::command::DrawSource;
use election::room::{Pace, RoomCode, Screen, Show};
use election::{ElectionIndex, OfficerCommand, UnixMillis, hex};
use proof::{NodeKey, Secret};

/// Elections of one simulation, about.
const ELECTIONS: usize = 14;

#[derive(Debug)]
pub struct Officers {
    random: Random,
    /// Apart, so that nodes that join do not shift what officers do.
    nodes: Random,
    created: u64,
    /// A large electorate is so many times as large.
    crowd: u64,
    /// Nodes say themselves which keys they have.
    are_nodes_apart: bool,
}

impl Officers {
    pub fn new(random: Random) -> Self {
        let nodes = random.clone().fork();
        Officers { random, nodes, created: 0, crowd: 1, are_nodes_apart: false }
    }

    /// With large electorates, and nodes that register themselves.
    pub fn of_a_cluster(random: Random) -> Self {
        Officers { crowd: 8, are_nodes_apart: true, ..Self::new(random) }
    }

    /// What officers ask for in this step.
    pub fn acts(&mut self, model: &mut Model, engine: &impl Served, now: UnixMillis) -> Vec<OfficerCommand> {
        let open = model.elections.iter().filter(|election| election.stage == Stage::Open).count();
        let is_wanted = model.elections.len() < ELECTIONS && (open < 2 || self.random.one_in(30));
        let mut acts = Vec::new();
        if is_wanted && self.random.one_in(3) {
            acts.push(self.create(model, engine, now));
        }
        if !model.elections.is_empty() && self.random.one_in(2) {
            let index = self.random.index(model.elections.len());
            acts.extend(self.act(&model.elections[index], index, engine, now));
        }
        if self.random.one_in(15) {
            acts.push(self.room_act(model));
        }
        if !self.are_nodes_apart && self.nodes.one_in(40) {
            acts.push(self.node_act());
        }
        acts
    }

    /// A new election, or one under a name that is taken.
    pub fn create(&mut self, model: &mut Model, engine: &impl Served, now: UnixMillis) -> OfficerCommand {
        if !self.random.one_in(10) {
            self.created += 1;
        }
        let name = self.created.max(1);
        let ledger = engine.ledger();
        let plan = plans::draw(&mut self.random, name, ledger, engine.core().keys(), now, self.crowd);
        let command = plan.create();
        model.plans.insert(plan.definition.clone(), plan);
        command
    }

    /// What brings this election to its end, whatever stage it is in.
    pub fn finish(
        &mut self,
        election: &PlainElection,
        index: usize,
        engine: &impl Served,
    ) -> Option<OfficerCommand> {
        let slug = election.plan.slug.clone();
        match election.stage {
            Stage::Draft => Some(OfficerCommand::Cancel { slug, reason: "not needed".to_owned() }),
            Stage::Open | Stage::Paused => Some(OfficerCommand::Close { slug }),
            Stage::Closed => match self.draw(election, index, engine) {
                Some(draw) => Some(draw),
                None => Some(OfficerCommand::Publish { slug }),
            },
            Stage::Published | Stage::Cancelled => None,
        }
    }

    fn act(
        &mut self,
        election: &PlainElection,
        index: usize,
        engine: &impl Served,
        now: UnixMillis,
    ) -> Option<OfficerCommand> {
        let slug = election.plan.slug.clone();
        let kind = match election.stage {
            Stage::Draft if !self.random.one_in(6) => 0,
            Stage::Paused if self.random.one_in(2) => 0,
            Stage::Open | Stage::Paused | Stage::Closed
                if election.plan.is_on_reveal && self.random.one_in(3) =>
            {
                if election.is_revealed {
                    7
                } else {
                    6
                }
            }
            // An open election mostly stays open.
            Stage::Open if !self.random.one_in(4) => return None,
            Stage::Closed if self.random.one_in(2) => 8,
            _ => self.random.below(9),
        };
        Some(match kind {
            0 => OfficerCommand::Open { slug },
            1 => OfficerCommand::Pause { slug },
            2 => OfficerCommand::Close { slug },
            3 => OfficerCommand::Publish { slug },
            4 if self.random.one_in(4) => {
                OfficerCommand::Cancel { slug, reason: "it rained \"hard\"".to_owned() }
            }
            5 => {
                let by = self.random.between(0, 60_000);
                let closes_at = UnixMillis((now.0 + by).saturating_sub(1_000));
                OfficerCommand::Extend { slug, closes_at }
            }
            6 => OfficerCommand::Reveal { slug },
            7 => OfficerCommand::Hide { slug },
            _ => return self.draw(election, index, engine).or(Some(OfficerCommand::Publish { slug })),
        })
    }

    /// A node that joins; numbers and keys are few, so that some come again, and some under another key.
    fn node_act(&mut self) -> OfficerCommand {
        let node = u16::try_from(self.nodes.between(2, 5)).expect("small");
        let spare = if self.nodes.one_in(4) { 0x10 } else { 0 };
        let secret = Secret::from_bytes([u8::try_from(node).expect("small") + spare; 32]);
        OfficerCommand::Node { node, key: hex(&NodeKey::new(node, &secret).public().key) }
    }

    /// Something with rooms; codes are few, so that they are taken, and there to be used.
    fn room_act(&mut self, model: &Model) -> OfficerCommand {
        let code = RoomCode::from_random([0, 0, 0, 0, 0, u8::try_from(self.random.below(4)).expect("small")]);
        let some = (!model.elections.is_empty()).then(|| self.random.index(model.elections.len()));
        let slug = some.map(|index| model.elections[index].plan.slug.clone());
        match (self.random.below(6), slug) {
            (3, _) => OfficerCommand::LockRoom { code },
            (4, _) => OfficerCommand::UnlockRoom { code },
            (5, Some(slug)) => OfficerCommand::RemoveFromRoom { code, slug },
            (1, Some(slug)) => OfficerCommand::AddToRoom { code, slug },
            (2, election) => {
                OfficerCommand::ShowScreen { code, screen: Screen { show: Show::Results, election } }
            }
            (_, slug) => OfficerCommand::CreateRoom {
                code,
                title: "Hall".to_owned(),
                pace: Pace::Led,
                elections: slug.into_iter().collect(),
            },
        }
    }

    /// A public lot, where one is to be drawn and the root is there to draw it with.
    fn draw(
        &mut self,
        election: &PlainElection,
        index: usize,
        engine: &impl Served,
    ) -> Option<OfficerCommand> {
        let index = ElectionIndex(u32::try_from(index).expect("few elections"));
        let is_tied = engine.core().state().election(index)?.needs_draw();
        if election.plan.lot != Lot::Public || !is_tied {
            return None;
        }
        engine.core().draw_command(index, DrawSource::Public, &self.random.bytes())
    }
}
