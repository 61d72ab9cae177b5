//! How nodes come, go, come back, and are replaced.

use super::{Asked, ClusterSim, ELECTION_TICKS, Fence, HEAL_STEPS, Place};
use crate::broken::{Broken, Promise};
use crate::clock::Clock;
use crate::disks::{CacheFate, Machine};
use crate::invariants::kept;
use cluster::{CoreConfig, NodeId, NodeInfo, Role, RoomConfig, Seat};
use election::Hlc;
use ledger::faulty::Crash;
use ledger::{LedgerError, LedgerId, LedgerOptions, Storage, Threads};
use node::NodeError;
use node::core::CoreLimits;
use node::engine::EngineConfig;
use node::identity::Keys;
use node::letters::NodeReport;
use node::replica::{Begin, Input, KINDS, PROGRAM_VERSION, Replica, ReplicaConfig};
use proof::{NodeKey, Secret};

const LEDGER: LedgerId = LedgerId([7; 16]);
/// So that files of the log begin often, and end without room.
const OPTIONS: LedgerOptions =
    LedgerOptions { segment_bytes_first: 64 << 10, segment_bytes_max: 1 << 20, threads: Threads::CallerOnly };
const ROOM: RoomConfig = RoomConfig { stop_free_bytes: 200_000, reserve_bytes: 100_000 };

impl ClusterSim {
    /// One founds, the others join and are promoted; an election is opened.
    pub(super) fn found(&mut self) -> Result<(), Broken> {
        self.new_machine();
        let mut first = self.homeless.pop().expect("just made");
        first.begin = Begin::Found(LEDGER);
        self.places.insert(NodeId(1), first);
        for _ in 0..HEAL_STEPS {
            self.step()?;
            let members = self.members.members().count();
            if self.homeless.is_empty() && members < self.size && self.leader().is_some() {
                self.new_machine();
            }
            if self.members.with_seat(Seat::Voter).count() == self.size {
                return Ok(());
            }
        }
        self.serves(false, "the cluster is not formed")
    }

    pub(super) fn new_machine(&mut self) {
        self.machines += 1;
        let mut clock = Clock::new();
        clock.advance(self.step * super::STEP_MILLIS);
        clock.restart();
        self.homeless.push(Place {
            address: format!("machine-{}", self.machines),
            machine: Machine::new(&mut self.chance.lives),
            replica: None,
            begin: Begin::Join(LEDGER),
            clock,
            hlc: Hlc::default(),
            inbox: Vec::new(),
            applied: 0,
            synced: 0,
            back_at: 0,
            paused_until: 0,
            slow_until: 0,
            full_until: 0,
            is_sick: false,
            is_damaged: false,
            caches_lag: false,
            log_end: (String::new(), 0),
        });
    }

    fn config(&mut self, id: NodeId, address: &str, begin: Begin) -> ReplicaConfig {
        let number = u16::try_from(id.0).expect("few nodes");
        let mut node_secret = self.secret;
        node_secret[..8].copy_from_slice(&id.0.to_be_bytes());
        let keys = Keys::new(
            Secret::from_bytes(self.secret),
            NodeKey::new(number, &Secret::from_bytes(node_secret)),
        );
        ReplicaConfig {
            engine: EngineConfig {
                keys,
                limits: CoreLimits { max_concurrent: self.max_concurrent },
                options: OPTIONS,
                seed: self.chance.lives.bytes(),
                officer: None,
                founding_officer: self.officer.clone(),
                new_epoch: None,
                snapshot_every_ballots: self.snapshot_every,
            },
            core: CoreConfig {
                id,
                election_ticks: ELECTION_TICKS,
                heartbeat_ticks: 4,
                seed: self.chance.lives.next(),
                kinds: KINDS,
            },
            room: ROOM,
            begin,
            info: info(address),
        }
    }

    /// Machines without a place ask the leader for one.
    pub(super) fn house_the_homeless(&mut self) {
        let is_asking = self.asked.values().any(|(_, asked)| matches!(asked, Asked::Join(_)));
        let Some(place) = self.homeless.first() else { return };
        if is_asking || place.back_at > self.step {
            return;
        }
        let address = place.address.clone();
        if let Some(leader) = self.leader().filter(|id| self.places[id].paused_until <= self.step) {
            let ticket = self.ticket(leader, Asked::Join(address.clone()));
            self.give(leader, Input::Join(info(&address), ticket));
        }
    }

    pub(super) fn joined(&mut self, address: &str, id: NodeId) -> Result<(), Broken> {
        let Some(at) = self.homeless.iter().position(|place| place.address == address) else { return Ok(()) };
        let mut place = self.homeless.remove(at);
        Promise::Once.check(!self.places.contains_key(&id), || format!("number {id} is given twice"))?;
        self.note("join");
        place.begin = Begin::Join(LEDGER);
        place.back_at = 0;
        self.places.insert(id, place);
        Ok(())
    }

    /// Starts what is down and due, and switches off who was taken out.
    pub(super) fn bring_back(&mut self) -> Result<(), Broken> {
        if let Some(lost) = self.lost
            && self.members.get(lost).is_none()
            && !self.places.contains_key(&lost)
        {
            self.lost = None;
        }
        for id in self.ids() {
            let is_out = self.members.members().next().is_some()
                && self.members.get(id).is_none()
                && self.members.next() > id
                && self.step > self.members_at + 100;
            if is_out {
                self.note("machine of a removed node goes");
                self.places.remove(&id);
                self.forget_tickets(id);
                continue;
            }
            let place = self.places.get_mut(&id).expect("listed");
            if place.full_until > 0 && place.full_until <= self.step {
                place.full_until = 0;
                place.machine.set_space(None);
            }
            if place.replica.is_none() && place.back_at <= self.step {
                self.start(id)?;
            }
        }
        Ok(())
    }

    fn start(&mut self, id: NodeId) -> Result<(), Broken> {
        let place = &self.places[&id];
        let (address, begin) = (place.address.clone(), place.begin.clone());
        let config = self.config(id, &address, begin);
        let place = self.places.get_mut(&id).expect("listed");
        place.clock.restart();
        let clock = place.clock.read();
        let has_cut = place.machine.ledger.open("cut").is_ok();
        match Replica::open(&place.machine.disks(), config, clock) {
            Ok(opened) if !place.machine.is_dead() => {
                place.applied = opened.replica.applied().0;
                kept::check_start(id, place.synced, opened.replica.status().last.0)?;
                place.begin = Begin::Resume;
                let is_torn = opened.notes.iter().any(|note| note.starts_with("cut the unfinished record"));
                place.replica = Some(opened.replica);
                let version = "sim".to_owned();
                place.inbox.push(Input::Report(NodeReport {
                    applied: 0,
                    synced: 0,
                    disk_free_bytes: None,
                    version,
                    clock: None,
                }));
                if is_torn {
                    self.note("torn tail");
                }
                if has_cut {
                    self.note("cut to be finished");
                }
                if self.lost == Some(id) {
                    // It has read every byte: what had flipped was taken back since.
                    self.lost = None;
                    self.places.get_mut(&id).expect("listed").is_damaged = false;
                }
                self.read_log(id).map(drop)
            }
            Ok(_) => {
                self.note("death at start");
                self.power_off(id);
                Ok(())
            }
            Err(error) => self.cannot_start(id, &error),
        }
    }

    fn cannot_start(&mut self, id: NodeId, error: &NodeError) -> Result<(), Broken> {
        let place = self.places.get_mut(&id).expect("listed");
        let NodeError::Ledger(ledger) = error else {
            let holds = place.is_sick || place.is_damaged;
            Promise::Serves.check(holds, || format!("node {id} cannot start: {error}"))?;
            if place.is_damaged {
                return self.replace(id);
            }
            self.power_off(id);
            return Ok(());
        };
        let is_blank = matches!(ledger, LedgerError::NoLedger { .. });
        if place.is_damaged && is_blank && self.fence == Fence::Broken {
            place.begin = Begin::Join(LEDGER);
            (place.is_damaged, place.back_at) = (false, self.step + 1);
            self.lost = None;
            return Ok(());
        }
        if place.is_damaged && (is_blank || ledger.is_damage()) {
            return self.replace(id);
        }
        if let LedgerError::Full { .. } = ledger {
            self.stats.note("no room to start");
            place.back_at = self.step + 5;
            return Ok(());
        }
        // Its founding or joining was cut short: it begins again with what there is.
        Promise::Serves.check(place.is_sick, || format!("node {id} cannot start: {error}"))?;
        self.note("death at start");
        self.power_off(id);
        Ok(())
    }

    /// Its log is damaged or gone: what is left is moved aside, and the machine asks for a new place.
    fn replace(&mut self, id: NodeId) -> Result<(), Broken> {
        let place = self.places.get_mut(&id).expect("listed");
        if let Err(error) = ledger::set_aside(&place.machine.ledger) {
            Promise::Serves
                .check(place.is_sick, || format!("node {id} cannot move its log aside: {error}"))?;
            self.power_off(id);
            return Ok(());
        }
        self.note("replacement");
        let mut place = self.places.remove(&id).expect("listed");
        place.machine.crash(&mut self.chance.lives, Crash::KeepAll);
        place.machine.set_space(None);
        place.machine.change_caches(&mut self.chance.lives, CacheFate::Deleted);
        place.begin = Begin::Join(LEDGER);
        (place.is_damaged, place.is_sick, place.caches_lag) = (false, false, false);
        (place.applied, place.synced, place.full_until) = (0, 0, 0);
        (place.hlc, place.log_end) = (Hlc::default(), (String::new(), 0));
        place.inbox.clear();
        self.homeless.push(place);
        Ok(())
    }

    /// The process has ended by itself.
    pub(super) fn died(&mut self, id: NodeId, error: &NodeError) -> Result<(), Broken> {
        let place = &self.places[&id];
        let is_full = place.full_until > 0 && error.is_fatal();
        let is_found = place.is_damaged && matches!(error, NodeError::Ledger(error) if error.is_damage());
        let holds = place.is_sick || is_full || is_found;
        Promise::Serves.check(holds, || format!("node {id} ends without a reason: {error}"))?;
        self.note(if is_found { "damage read" } else { "death" });
        self.power_off(id);
        Ok(())
    }

    /// The machine is off, and comes back later.
    pub(super) fn power_off(&mut self, id: NodeId) {
        let random = &mut self.chance.lives;
        let place = self.places.get_mut(&id).expect("listed");
        let of_last = place.machine.ledger.last_write_bytes().unwrap_or(400) as u64;
        let how = match random.below(8) {
            0 => Crash::KeepAll,
            1 => Crash::LoseAll,
            2..5 => Crash::KeepOfLastWrite(random.below(of_last.max(1)) as usize),
            5 => Crash::LoseOfLastWrite(random.below(of_last.max(1)) as usize),
            _ => Crash::AnySector(random.next()),
        };
        place.replica = None;
        place.inbox.clear();
        place.machine.crash(random, how);
        let fate = match random.below(12) {
            0 => CacheFate::Deleted,
            1 => CacheFate::FileDeleted,
            2 => CacheFate::FileTorn,
            3 => CacheFate::SnapshotDamaged,
            _ => CacheFate::Kept,
        };
        place.machine.change_caches(random, fate);
        place.machine.set_space(if place.full_until > self.step { Some(random.below(60_000)) } else { None });
        place.is_sick = false;
        place.back_at = self.step + 1 + random.below(50);
        self.stats.note("fault: power lost");
        self.forget_tickets(id);
    }

    /// Whether all members that count know who the members are, so that one of them may be lost.
    pub(super) fn all_know_the_members(&self) -> bool {
        let knows = |(id, _): (NodeId, _)| {
            let replica = self.places.get(&id).and_then(|place| place.replica.as_ref());
            replica.is_some_and(|replica| *replica.membership() == self.members)
        };
        self.members.members().all(knows)
    }

    pub(super) fn leads(&self, id: NodeId) -> bool {
        let replica = self.places[&id].replica.as_ref();
        replica.is_some_and(|replica| replica.status().role == Role::Leader)
    }
}

pub(super) fn info(address: &str) -> NodeInfo {
    NodeInfo {
        address: address.to_owned(),
        http_address: format!("http://{address}"),
        version: PROGRAM_VERSION,
    }
}
