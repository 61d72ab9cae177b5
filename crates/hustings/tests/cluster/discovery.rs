//! Servers that find each other by themselves: beacons by multicast and broadcast over a real network.

use std::collections::BTreeSet;

use crate::hall::{Hall, is_wanted};
use crate::support::wait_for;

fn clusters(hall: &Hall) -> BTreeSet<String> {
    let name = |place| hall.view(place).and_then(|view| Some(view["cluster"].as_str()?.to_owned()));
    (0..hall.len()).filter_map(name).collect()
}

#[test]
fn three_machines_in_three_commands() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::new(3);
    hall.machines[0].start(&["--first"], None);
    hall.machines[0].wait_until_ready();
    let key = hall.machines[0].join_key();
    assert!(hall.machines[0].said().contains(&key), "the first start prints the join key");
    for place in 1..3 {
        hall.machines[place].start(&[], Some(&key));
    }
    hall.settle();
    assert_eq!(clusters(&hall).len(), 1);
}

#[test]
fn two_clusters_of_one_name_see_each_other_and_never_merge() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::new(3);
    hall.machines[0].start(&["--first"], None);
    hall.machines[0].wait_until_ready();
    let key = hall.machines[0].join_key();
    hall.machines[1].start(&["--first"], Some(&key));
    hall.machines[1].wait_until_ready();
    for place in 0..2 {
        wait_for("each says that it sees the other", || {
            let view = hall.view(place).unwrap_or_default();
            let troubles = view["troubles"].as_array().cloned().unwrap_or_default();
            troubles.iter().any(|trouble| trouble["code"] == "other_cluster")
        });
    }
    // Restarted, each stays what it was.
    let before: Vec<_> =
        (0..2).map(|place| hall.view(place).expect("it answers")["cluster"].clone()).collect();
    for place in 0..2 {
        hall.machines[place].kill();
        hall.machines[place].start_again();
        hall.machines[place].wait_until_ready();
    }
    let after: Vec<_> =
        (0..2).map(|place| hall.view(place).expect("it answers")["cluster"].clone()).collect();
    assert_eq!(before, after);
    assert_ne!(after[0], after[1]);
    for place in 0..2 {
        assert_eq!(hall.view(place).expect("it answers")["nodes"].as_array().map(Vec::len), Some(1));
    }
}

#[test]
fn three_expected_machines_found_one_cluster_together() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::new(3);
    // One machine makes the key; here from a cluster that is thrown away.
    hall.machines[0].start(&["--first"], None);
    hall.machines[0].wait_until_ready();
    let key = hall.machines[0].join_key();
    hall.machines[0].kill();
    hall.machines[0].empty_disk();
    for place in 0..3 {
        hall.machines[place].start(&["--expect", "3"], Some(&key));
    }
    hall.settle();
    assert_eq!(clusters(&hall).len(), 1);
    // Started again they are what they were, and found nothing anew.
    let before = clusters(&hall);
    for place in 0..3 {
        hall.machines[place].kill();
    }
    for place in 0..3 {
        hall.machines[place].start_again();
    }
    hall.settle();
    assert_eq!(clusters(&hall), before);
}

#[test]
fn two_of_three_expected_machines_found_nothing() {
    if !is_wanted() {
        return;
    }
    let mut hall = Hall::new(3);
    hall.machines[0].start(&["--first"], None);
    hall.machines[0].wait_until_ready();
    let key = hall.machines[0].join_key();
    hall.machines[0].kill();
    hall.machines[0].empty_disk();
    for place in 0..2 {
        hall.machines[place].start(&["--expect", "3"], Some(&key));
    }
    // They say what they wait for.
    for place in 0..2 {
        wait_for("it says that it waits", || hall.machines[place].said().to_lowercase().contains("waiting"));
        assert!(hall.view(place).is_none(), "it founded a cluster without the third");
    }
    hall.machines[2].start(&["--expect", "3"], Some(&key));
    hall.settle();
    assert_eq!(clusters(&hall).len(), 1);
}
