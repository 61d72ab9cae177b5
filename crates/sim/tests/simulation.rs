//! A node under everything at once, seed by seed.

use sim::{Broken, Faults, Finished, Sim, each_seed};

fn whole_run(seed: u64) -> Result<Finished, Broken> {
    let mut sim = Sim::new(seed)?;
    sim.run(Faults::Any, 160)?;
    sim.run(Faults::None, 30)?;
    sim.finish()
}

#[test]
fn a_node_keeps_its_promises_under_faults() {
    each_seed("a_node_keeps_its_promises_under_faults", 12, |seed| {
        let finished = whole_run(seed)?;
        println!("seed {seed}: {:?}", finished.stats);
        Ok(())
    });
}
