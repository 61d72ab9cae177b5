//! Clusters under everything at once, seed by seed.

mod support;

use support::{Fence, Stats, Told, seeds, whole_run};

#[test]
fn a_cluster_keeps_its_promises_under_faults() {
    let mut total = Stats::default();
    for seed in seeds(24) {
        let _told = Told { test: "a_cluster_keeps_its_promises_under_faults", seed };
        total.sum(&whole_run(seed, Fence::Kept).0);
    }
    println!("{total:#?}");
    if std::env::var_os("SIM_SEED").is_none() {
        assert_reached(&total);
    }
}

/// A simulation in which nothing happens keeps every promise.
fn assert_reached(total: &Stats) {
    let wanted = [
        ("committed", 3000),
        ("read", 300),
        ("leader change", 50),
        ("truncation", 10),
        ("entry taken back", 20),
        ("torn tail", 10),
        ("crash", 100),
        ("kill", 5),
        ("all at once", 2),
        ("failing sync", 5),
        ("full disk", 100),
        ("refused for want of room", 100),
        ("ended for want of room", 5),
        ("blank disk", 2),
        ("flipped bit", 4),
        ("damage found at start", 4),
        ("replacement", 8),
        ("clock jump", 80),
        ("isolation", 150),
        ("upgrade told", 15),
        ("newer entry", 20),
        ("refused for versions", 80),
        ("partition", 20),
        ("one-way partition", 20),
        ("pause", 20),
        ("loss", 1000),
        ("duplicate", 1000),
        ("join", 80),
        ("removal", 10),
        ("membership change", 200),
        ("transfer asked", 20),
    ];
    for (what, least) in wanted {
        assert!(total.get(what) >= least, "{what}: only {} times, of {least}\n{total:#?}", total.get(what));
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in seeds(3) {
        assert_eq!(whole_run(seed, Fence::Kept), whole_run(seed, Fence::Kept), "seed {seed}");
    }
}
