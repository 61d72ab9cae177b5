//! Voters over a cluster under everything at once, seed by seed.

use sim::{Broken, ClusterFinished, ClusterSim, Fence, Stats, each_seed};
use std::io::Cursor;

/// Two stretches under load, each healed.
fn whole_run(seed: u64, steps: u64) -> Result<ClusterFinished, Broken> {
    let mut sim = ClusterSim::new(seed, Fence::Kept)?;
    sim.run(steps * 2 / 3)?;
    sim.heal()?;
    sim.run(steps / 3)?;
    sim.finish()
}

/// Steps of a short run, or as many as `SIM_STEPS` says; those of the release run are more.
fn steps() -> u64 {
    let said = std::env::var("SIM_STEPS").ok().and_then(|text| text.trim().parse().ok());
    said.unwrap_or(500)
}

/// Every record, with receipts and checkpoints that several nodes gave, has to audit clean.
fn audit_all(finished: &ClusterFinished) {
    for (slug, record) in &finished.records {
        let kept = |texts: Option<&Vec<String>>| -> Vec<audit::Kept> {
            let kept = |text: &String| audit::Kept { name: slug.clone(), text: text.clone() };
            texts.into_iter().flatten().map(kept).collect()
        };
        let receipts = kept(finished.receipts.get(slug));
        let checkpoints = kept(finished.checkpoints.get(slug));
        let report = audit::run(Cursor::new(record.as_bytes()), &receipts, &checkpoints).unwrap();
        assert!(report.clean, "{report}");
    }
}

#[test]
fn a_cluster_of_voters_keeps_its_promises_under_faults() {
    let mut total = Stats::default();
    each_seed("a_cluster_of_voters_keeps_its_promises_under_faults", 6, |seed| {
        let finished = whole_run(seed, steps())?;
        audit_all(&finished);
        total.add(&finished.stats);
        Ok(())
    });
    println!("{} faults\n{total}", total.faults());
    if std::env::var_os("SIM_SEED").is_none() {
        assert_reached(&total, &SHORT);
    }
}

/// What has to have happened in the short runs: a simulation in which nothing does keeps every promise.
const SHORT: [(&str, u64); 19] = [
    ("under load: command", 8_000),
    ("under load: leader change", 12),
    ("under load: fault: partition", 12),
    ("under load: fault: one-way partition", 4),
    ("under load: fault: isolation", 5),
    ("under load: fault: death soon", 15),
    ("under load: fault: full disk", 2),
    ("under load: fault: clock", 2),
    ("under load: fault: failing sync", 1),
    ("under load: membership change", 2),
    ("fault: letter lost", 200),
    ("fault: letter twice", 200),
    ("torn tail", 1),
    ("ballot accepted", 2_000),
    ("repeat answered", 200),
    ("refused: already_voted", 500),
    ("refused: not_known_yet", 50),
    ("act done", 50),
    ("read answered", 100),
];

fn assert_reached(total: &Stats, wanted: &[(&str, u64)]) {
    for (what, least) in wanted {
        let happened = total.get(what);
        assert!(happened >= *least, "tested nothing: {what} only {happened} times, of {least}\n{total}");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    each_seed("the_same_seed_gives_the_same_bytes", 1, |seed| {
        let (first, second) = (whole_run(seed, steps())?, whole_run(seed, steps())?);
        assert_eq!((first.digest, first.records), (second.digest, second.records), "seed {seed}");
        Ok(())
    });
}

/// The run before a release: `cargo test --release -p sim --test cluster release -- --ignored --nocapture`. Only what
/// happened under load is counted.
#[test]
#[ignore = "half an hour"]
fn the_run_before_a_release() {
    let mut total = Stats::default();
    let mut seeds = 0;
    each_seed("the_run_before_a_release", RELEASE_SEEDS, |seed| {
        let finished = whole_run(seed, RELEASE_STEPS)?;
        if seed.is_multiple_of(50) {
            audit_all(&finished);
            let counts: Vec<String> =
                OF_ALL.iter().map(|(what, _)| format!("{} {what}", total.get(what))).collect();
            println!("{seeds} seeds: {}", counts.join(", "));
        }
        total.add(&finished.stats);
        seeds += 1;
        Ok(())
    });
    println!("{seeds} seeds, {} faults\n{total}", total.faults());
    if std::env::var_os("SIM_SEED").is_none() {
        assert_reached(&total, &OF_ALL.map(|(what, least)| (what, least * seeds / RELEASE_SEEDS)));
    }
}

/// What has to have happened in all of these seeds.
const OF_ALL: [(&str, u64); 5] = [
    ("under load: command", 10_000 * RELEASE_SEEDS),
    ("under load: leader change", 20_000),
    ("under load: torn tail", 5_000),
    ("under load: fault: partition", 20_000),
    ("under load: membership change", 1_000),
];
const RELEASE_SEEDS: u64 = 2_000;
const RELEASE_STEPS: u64 = 1_500;
