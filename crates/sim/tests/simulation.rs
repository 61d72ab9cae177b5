//! A node under everything at once, seed by seed.

use sim::{Broken, Faults, Finished, Sim, Stats, each_seed};
use std::io::{Cursor, Read};

fn whole_run(seed: u64) -> Result<Finished, Broken> {
    let mut sim = Sim::new(seed)?;
    sim.run(Faults::Any, 160)?;
    sim.run(Faults::None, 30)?;
    sim.finish()
}

/// Every record, with the receipts and checkpoints kept of its election, has to audit clean.
fn audit_all(finished: &Finished) {
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
fn a_node_keeps_its_promises_under_faults() {
    let mut total = Stats::default();
    each_seed("a_node_keeps_its_promises_under_faults", 12, |seed| {
        let finished = whole_run(seed)?;
        audit_all(&finished);
        total.add(&finished.stats);
        Ok(())
    });
    println!("{} faults\n{total}", total.faults());
    if std::env::var_os("SIM_SEED").is_none() {
        assert_reached(&total);
    }
}

/// A simulation that never gets anywhere keeps every promise.
fn assert_reached(total: &Stats) {
    let reached = [
        "act: cancelled",
        "act: closed",
        "act: drawn",
        "act: epoch",
        "act: extended",
        "act: hidden",
        "act: node",
        "act: opened",
        "act: paused",
        "act: published",
        "act: resumed",
        "act: revealed",
        "room act done",
        "closed by deadline",
        "closed by officer",
        "closed by voters",
        "ballot accepted",
        "repeat answered",
        "tree of more than one tile",
        "refused: already_voted",
        "refused: election_not_open",
        "refused: idempotency_key_reused",
        "refused: invalid_ballot",
        "refused: no_such_election",
        "refused: no_such_group",
        "refused: not_on_list",
        "refused: storage_full",
        "fault: clock",
        "fault: damaged entry",
        "fault: failing sync",
        "fault: full disk",
        "fault: kill",
        "fault: power cut",
        "stop",
    ];
    let missing: Vec<&&str> = reached.iter().filter(|name| total.get(name) == 0).collect();
    assert!(missing.is_empty(), "never reached: {missing:?}\n{total}");
}

#[test]
fn a_node_without_faults_serves_everybody() {
    each_seed("a_node_without_faults_serves_everybody", 2, |seed| {
        let mut sim = Sim::new_in_peace(seed)?;
        sim.run(Faults::None, 100)?;
        let finished = sim.finish()?;
        assert_eq!(finished.stats.faults(), 0);
        audit_all(&finished);
        Ok(())
    });
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    each_seed("the_same_seed_gives_the_same_bytes", 1, |seed| {
        let (first, second) = (whole_run(seed)?, whole_run(seed)?);
        assert_eq!(first.digest, second.digest);
        assert_eq!((first.stats, first.records), (second.stats, second.records));
        assert_eq!(first.ledger, second.ledger);
        assert_ne!(first.digest, whole_run(seed + 1)?.digest);
        Ok(())
    });
}

#[tokio::test]
async fn a_real_node_opens_the_simulated_disk_and_gives_the_same_records() {
    let finished = whole_run(3).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    std::fs::create_dir_all(&ledger).unwrap();
    for (name, bytes) in &finished.ledger {
        std::fs::write(ledger.join(name), bytes).unwrap();
    }
    std::fs::write(folder.path().join("secret"), &finished.secret).unwrap();
    std::fs::write(folder.path().join("node-key"), &finished.node_key).unwrap();
    let started = node::Node::start(node::NodeConfig::standard(folder.path())).unwrap();
    for (slug, expected) in &finished.records {
        let election = started.handle.election(slug).unwrap();
        let mut record = String::new();
        node::RecordReader::new(election).unwrap().read_to_string(&mut record).unwrap();
        assert_eq!(record, *expected);
    }
    started.node.stop().unwrap();
}
