//! Faults end, and the node serves: "Overload, bad input and lost machines give clear errors" (promise 5). Every request
//! is answered once, a full disk ends no process, nothing is left waiting, and an election that should have ended has.

use crate::broken::{Broken, Promise};
use crate::lookup::SimEngine;
use crate::model::{Model, Stage};
use node::{ClockReading, NodeError};
use std::error::Error;
use std::io;

const PROMISE: Promise = Promise::Serves;

/// Whether an error comes from a disk without room.
pub fn is_disk_full(error: &NodeError) -> bool {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::StorageFull) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// An error that ended the process, with what had been done to the disks.
pub fn check_death(error: &NodeError, was_sabotaged: bool) -> Result<(), Broken> {
    PROMISE.check(!is_disk_full(error), || format!("a full disk ended the node: {error:?}"))?;
    PROMISE.check(was_sabotaged, || format!("the node ended without a fault: {error:?}"))
}

/// A healthy node that has had its time: deadlines and lots are done.
pub fn check_converged(engine: &SimEngine, model: &Model, clock: ClockReading) -> Result<(), Broken> {
    PROMISE.check(!engine.core().has_work(), || "the node still has work".to_owned())?;
    PROMISE.check(!engine.is_full(), || "the node still says its disk is full".to_owned())?;
    for (index, election) in model.elections.iter().enumerate() {
        let is_late = election.closes_at.is_some_and(|at| clock.now.0 > at + 1_000);
        let is_running = matches!(election.stage, Stage::Open | Stage::Paused);
        PROMISE.check(!(is_late && is_running && clock.is_steady), || {
            format!("election {index} is open past its deadline")
        })?;
    }
    Ok(())
}
