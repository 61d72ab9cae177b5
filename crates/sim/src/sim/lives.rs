//! How the process ends, and how it comes back.

use super::{Faults, Sim};
use crate::broken::{Broken, Promise};
use crate::invariants::serves;
use crate::lookup::SimEngine;
use crate::random::Random;
use election::command::EpochReason;
use election::hex;
use ledger::faulty::Crash;
use ledger::{LedgerOptions, LogReader, Position, Scan, Threads};
use node::NodeError;
use node::core::CoreLimits;
use node::engine::{Engine, EngineConfig};
use node::identity::Keys;
use proof::{NodeKey, Secret};

const REASONS: [EpochReason; 2] = [EpochReason::Restored, EpochReason::Recovered];

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// In peace: it answers what it has accepted, and lets go of the folder.
    Stop,
    /// The machine goes on.
    Kill,
    PowerCut(Crash),
}

impl Sim {
    /// Now and then the process is stopped or killed, or the power fails after a turn and before its answers.
    pub(super) fn end_a_life(&mut self) -> Result<(), Broken> {
        let random = &mut self.chance.lives;
        if !random.permille(45) {
            return Ok(());
        }
        let end = match random.below(3) {
            0 => End::Stop,
            1 => End::Kill,
            _ => End::PowerCut(draw_crash(random)),
        };
        self.restart(end)
    }

    /// The process ended by itself.
    pub(super) fn died(&mut self, error: &NodeError) -> Result<(), Broken> {
        serves::check_death(error, self.sabotage.crash || self.sabotage.sync)?;
        let random = &mut self.chance.lives;
        let is_killed = self.sabotage.sync && !self.sabotage.crash && random.one_in(2);
        let end = if is_killed { End::Kill } else { End::PowerCut(draw_crash(random)) };
        self.note("death");
        if self.is_traced {
            eprintln!("{error}");
        }
        self.restart(end)
    }

    /// The machine has stopped in the middle of something.
    pub(super) fn lose_power(&mut self) -> Result<(), Broken> {
        let how = draw_crash(&mut self.chance.lives);
        self.restart(End::PowerCut(how))
    }

    fn restart(&mut self, end: End) -> Result<(), Broken> {
        let mut is_stopped = false;
        match end {
            End::Stop => {
                if !self.answer_all()? {
                    // It died on the way, and is running again.
                    return Ok(());
                }
                self.arm_a_crash_while_stopping();
                let engine = self.engine.take().expect("a running node is stopped");
                is_stopped = match engine.close() {
                    Ok(()) => !self.machine.is_dead(),
                    Err(error) if serves::is_disk_full(&error) => false,
                    Err(error) => {
                        serves::check_death(&error, self.sabotage.crash || self.sabotage.sync)?;
                        false
                    }
                };
                if is_stopped && self.sabotage.full_until.is_none() {
                    self.marked = self.model.position;
                }
                self.note("stop");
            }
            End::Kill => {
                self.engine = None;
                self.note("fault: kill");
            }
            End::PowerCut(_) => {
                self.engine = None;
                self.note("fault: power cut");
            }
        }
        let cut = match end {
            End::PowerCut(how) => Some(how),
            // A machine that was to die dies now; nothing more is written before.
            _ if self.sabotage.crash => Some(Crash::KeepAll),
            _ => None,
        };
        if let Some(how) = cut {
            self.crash(how);
        }
        self.forget_tickets();
        self.damage_disks(is_stopped)?;
        self.open(Faults::Any)
    }

    pub(super) fn try_open(&mut self) -> Result<SimEngine, NodeError> {
        let config = self.config(None);
        let clock = self.clock.read();
        Engine::open(self.machine.disks(), config, clock).map(|opened| opened.engine)
    }

    pub(super) fn config(&mut self, new_epoch: Option<EpochReason>) -> EngineConfig {
        EngineConfig {
            keys: self.keys(),
            limits: CoreLimits { max_concurrent: self.max_concurrent },
            options: LedgerOptions {
                segment_bytes_first: 16 << 10,
                segment_bytes_max: 64 << 10,
                threads: Threads::CallerOnly,
            },
            seed: self.chance.lives.bytes(),
            officer: Some(self.officer.clone()),
            founding_officer: self.officer.clone(),
            new_epoch,
            snapshot_every_ballots: self.snapshot_every,
        }
    }

    fn keys(&self) -> Keys {
        let node = NodeKey::new(1, &Secret::from_bytes(self.node_seed));
        Keys::new(Secret::from_bytes(self.secret), node)
    }

    /// The power may fail while the snapshot is written, or the last mark.
    fn arm_a_crash_while_stopping(&mut self) {
        let random = &mut self.chance.lives;
        if !self.sabotage.crash && random.one_in(3) {
            let machine = &self.machine;
            let disk = *random.pick(&[&machine.cache, &machine.cache, &machine.index, &machine.ledger]);
            disk.crash_at_operation(disk.operations() + random.between(1, 20));
            self.sabotage.crash = true;
        }
    }

    /// Starts a process on the machine as it is, again and again if it dies on the way, and checks all it comes up with.
    pub(super) fn open(&mut self, faults: Faults) -> Result<(), Broken> {
        self.caches_lag = self.sabotage.full_until.is_some();
        self.clock.restart();
        let may_be_sabotaged = self.step > 0;
        let random = &mut self.chance.lives;
        let new_epoch = (may_be_sabotaged && random.one_in(12)).then(|| *random.pick(&REASONS));
        if may_be_sabotaged && random.one_in(15) {
            self.node_seed = random.bytes();
        }
        if may_be_sabotaged && random.one_in(15) {
            self.officer = hex(&random.bytes::<32>());
        }
        for attempt in 0.. {
            let random = &mut self.chance.lives;
            if faults == Faults::Any && !self.sabotage.crash && attempt < 3 && random.one_in(6) {
                let disk = *random.pick(&[&self.machine.ledger, &self.machine.cache]);
                disk.crash_at_operation(disk.operations() + random.between(1, 15));
                self.sabotage.crash = true;
            }
            let config = self.config(new_epoch);
            let clock = self.clock.read();
            match Engine::open(self.machine.disks(), config, clock) {
                Ok(opened) if !self.machine.is_dead() => {
                    self.take_over(opened.engine);
                    break;
                }
                Ok(_) => self.power_cut(),
                Err(error) if self.sabotage.full_until.is_some() && serves::is_disk_full(&error) => {
                    // Without room it need not start, but nothing may come of the attempt.
                    self.note("start without room");
                    self.machine.set_space(None);
                    self.sabotage.full_until = None;
                }
                Err(error) => {
                    serves::check_death(&error, self.sabotage.crash || self.sabotage.sync)?;
                    self.power_cut();
                }
            }
        }
        self.check_opened()
    }

    fn take_over(&mut self, mut engine: SimEngine) {
        self.wants_feed = self.chance.lives.one_in(2);
        engine.core_mut().wants_feed = self.wants_feed;
        self.engine = Some(engine);
    }

    fn power_cut(&mut self) {
        self.note("fault: power cut");
        let how = draw_crash(&mut self.chance.lives);
        self.crash(how);
    }

    /// The machine is switched off and on; what was armed is gone.
    fn crash(&mut self, how: Crash) {
        self.note(&format!("crash: {}", name_of(how)));
        self.machine.crash(&mut self.chance.lives, how);
        (self.sabotage.crash, self.sabotage.sync) = (false, false);
    }

    fn check_opened(&mut self) -> Result<(), Broken> {
        let engine = self.engine.as_mut().expect("just opened");
        let found = engine.committed().0;
        Promise::Acknowledged.check(found >= self.model.position, || {
            format!("{} entries were committed, {found} came back", self.model.position)
        })?;
        if let Some(hash) = self.model.hash {
            let mut scan = engine.reader().scan(Position(self.model.position));
            let entry = scan.next().map_err(|error| Promise::Replay.broken(error.to_string()))?;
            let same = entry.is_some_and(|entry| entry.hash == hash);
            Promise::Acknowledged.check(same, || "the log's committed part has changed".to_owned())?;
        }
        self.hlc = self.hlc.max(engine.core().hlc());
        self.read_log()?;
        self.check_state()?;
        if self.sabotage.crash {
            // Reading the caches would run into the crash that is to come.
            return Ok(());
        }
        self.check_evidence()
    }

    /// Undoes every fault. A machine that was about to die does so, and comes back.
    pub(super) fn heal(&mut self) -> Result<(), Broken> {
        self.machine.set_space(None);
        let is_armed = self.sabotage.crash || self.sabotage.sync;
        self.sabotage.full_until = None;
        self.clock.heal();
        self.clock.confirm();
        if is_armed {
            self.engine = None;
            self.note("fault: power cut");
            self.crash(Crash::LoseAll);
            self.forget_tickets();
            self.open_in_peace()?;
        }
        Ok(())
    }

    /// A start without faults.
    pub(super) fn open_in_peace(&mut self) -> Result<(), Broken> {
        self.caches_lag = false;
        self.clock.restart();
        let engine = self.try_open();
        let engine = engine.map_err(|error| Promise::Serves.broken(format!("it does not start: {error}")))?;
        self.take_over(engine);
        self.check_opened()
    }
}

fn name_of(how: Crash) -> &'static str {
    match how {
        Crash::KeepAll => "keep all",
        Crash::LoseAll => "lose all",
        Crash::AnySector(_) => "any sector",
        Crash::KeepOfLastWrite(_) => "keep of last write",
        Crash::LoseOfLastWrite(_) => "lose of last write",
    }
}

fn draw_crash(random: &mut Random) -> Crash {
    match random.below(10) {
        0..=2 => Crash::LoseAll,
        3..=5 => Crash::AnySector(random.next()),
        6 => Crash::KeepAll,
        7 | 8 => Crash::KeepOfLastWrite(random.index(600)),
        _ => Crash::LoseOfLastWrite(random.index(600)),
    }
}
