//! The simulator: one node over faulty disks, with voters, officers, faults and time from one seed.
//!
//! It drives [`node::engine::Engine`], the very turn of the real writer thread, over
//! [`ledger::faulty::FaultyStorage`]. After every turn the promises of the design are checked, one file each under
//! `invariants`, against a plain model that shares no rule with `election`. `docs/dev/simulation.md` says how to read a
//! failure.
//!
//! ```
//! use sim::{Faults, Sim};
//! let mut sim = Sim::new(7)?;
//! sim.run(Faults::Any, 20)?;   // after every turn, every invariant holds
//! sim.run(Faults::None, 10)?;  // healed: it must converge and serve
//! let finished = sim.finish()?;
//! assert!(finished.stats.get("ballot sent") > 0);
//! # Ok::<(), sim::Broken>(())
//! ```

mod ballots;
mod broken;
mod clock;
mod cluster;
mod disks;
mod invariants;
mod lookup;
mod model;
mod officers;
mod people;
mod plans;
mod random;
mod record;
mod runs;
mod sim;
mod stats;

pub use crate::cluster::{ClusterFinished, ClusterSim, Fence};
pub use broken::{Broken, Promise};
pub use runs::{each_seed, seeds};
pub use sim::{Faults, Finished, Sim};
pub use stats::Stats;
