//! Promise 3: equal logs give equal results, on any machine; and caches can be deleted.
//!
//! The durable image of the ledger alone, opened on a machine without caches, must come to the same state bytes, the
//! same trees and acts, and the same records as the node that has been running all the time.

use crate::broken::{Broken, Promise};
use crate::disks::Machine;
use crate::invariants::acknowledged::index_of;
use crate::lookup::SimEngine;
use crate::model::Model;
use crate::record::record;
use ledger::faulty::Crash;
use node::ClockReading;
use node::engine::{Engine, EngineConfig};

const PROMISE: Promise = Promise::Replay;

/// Opens a copy of the ledger without its caches and compares. Returns the fresh engine for more questions.
pub fn check(
    machine: &Machine,
    live: &mut SimEngine,
    model: &Model,
    config: EngineConfig,
    clock: ClockReading,
) -> Result<SimEngine, Broken> {
    let copy = machine.ledger_alone();
    copy.ledger.crash(Crash::LoseAll);
    copy.set_space(None);
    let opened = Engine::open(copy.disks(), config, clock);
    let mut fresh =
        opened.map_err(|error| PROMISE.broken(format!("the log cannot be replayed: {error}")))?.engine;
    PROMISE.check(fresh.committed().0 == model.position, || {
        format!("{} entries were committed, {} are found", model.position, fresh.committed())
    })?;
    compare(live, &mut fresh, model)?;
    Ok(fresh)
}

/// Two engines over the same log.
pub fn compare(a: &mut SimEngine, b: &mut SimEngine, model: &Model) -> Result<(), Broken> {
    let is_equal = a.core().state().to_snapshot() == b.core().state().to_snapshot();
    PROMISE.check(is_equal, || "two replays of one log have different states".to_owned())?;
    for (index, election) in model.elections.iter().enumerate() {
        let index = index_of(index);
        let (left, right) = (a.core().tree(index), b.core().tree(index));
        let is_equal = left.edge.nodes() == right.edge.nodes()
            && left.edge.size() == right.edge.size()
            && left.acts == right.acts
            && left.closing_root == right.closing_root;
        PROMISE.check(is_equal, || format!("two replays of one log differ in tree {}", index.0))?;
        if !election.leaves.is_empty() {
            let (left, right) = (record(a, index), record(b, index));
            let what = || format!("two replays of one log differ in the record of election {}", index.0);
            PROMISE.check(left.is_ok() && left == right, what)?;
        }
    }
    Ok(())
}
