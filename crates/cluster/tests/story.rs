//! What a cluster does and refuses, told one by one.

#[path = "support/nodes.rs"]
mod nodes;

use bytes::Bytes;
use cluster::{Change, Input, Member, MembershipError, NodeId, NodeInfo, Refused, Role, Seat, Turn};
use ledger::{ENTRY_BYTES_MAX, LedgerError, LogReader as _, Position};
use nodes::{ELECTION_TICKS, NEWER, Nodes, VOTE, config, info};

fn change(change: Change) -> Input {
    Input::Change { change, epoch: 1, stamp: 0 }
}

fn propose(bytes: usize) -> Input {
    Input::Propose { kind: VOTE, epoch: 1, stamp: 0, payload: Bytes::from(vec![7; bytes]), urgent: false }
}

fn last_committed(nodes: &Nodes, id: NodeId) -> Position {
    nodes.up[&id].reader().committed()
}

#[test]
fn who_founds_leads_at_once_and_takes_votes() {
    let mut nodes = Nodes::formed(1);
    assert_eq!(nodes.leader(), Some(NodeId(1)));
    nodes.propose(NodeId(1), "ann: yes");
    nodes.run(1);
    assert_eq!(nodes.votes(NodeId(1)), ["ann: yes"]);
    nodes.stop(NodeId(1));
    nodes.start(NodeId(1));
    nodes.run(2 * ELECTION_TICKS);
    assert_eq!(nodes.leader(), Some(NodeId(1)));
    assert_eq!(nodes.votes(NodeId(1)), ["ann: yes"]);
}

#[test]
fn leadership_is_handed_over_within_a_tick() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(1));
    nodes.step(NodeId(1), Input::Transfer(NodeId(2))).unwrap();
    assert_eq!(nodes.step(NodeId(1), propose(5)), Err(Refused::NotReady), "nothing is taken meanwhile");
    nodes.run(1);
    assert_eq!(nodes.leader(), Some(NodeId(2)));
    assert_eq!(nodes.step(NodeId(1), propose(5)), Err(Refused::NotLeader(NodeId(2))));
}

#[test]
fn a_dead_leader_is_replaced_by_the_highest_within_two_timeouts() {
    for seed in 0..20 {
        let mut nodes = Nodes::formed(5);
        nodes.prefer(NodeId(1));
        nodes.run(seed);
        nodes.stop(NodeId(1));
        nodes.run(2 * ELECTION_TICKS);
        assert_eq!(nodes.leader(), Some(NodeId(5)));
    }
}

#[test]
fn a_leader_without_a_majority_steps_down_and_answers_no_read() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(3));
    nodes.cut.insert(NodeId(3));
    let committed = last_committed(&nodes, NodeId(3));
    nodes.step(NodeId(3), propose(5)).unwrap();
    nodes.step(NodeId(3), Input::Read(1)).unwrap();
    nodes.run(2 * ELECTION_TICKS + 1);
    let status = nodes.up[&NodeId(3)].status();
    assert!(status.role != Role::Leader && status.leader.is_none(), "{status:?}");
    assert_eq!(last_committed(&nodes, NodeId(3)), committed);
    assert!(nodes.reads.is_empty(), "{:?}", nodes.reads);
    nodes.run(2 * ELECTION_TICKS);
    let leader = nodes.leader().unwrap();
    assert_ne!(leader, NodeId(3));
    nodes.propose(leader, "bob: no");
    nodes.run(1);
    let term = nodes.up[&leader].status().term;
    nodes.cut.clear();
    nodes.run(2 * ELECTION_TICKS);
    assert_eq!((nodes.leader(), nodes.up[&leader].status().term), (Some(leader), term), "it disturbs nobody");
    assert_eq!(nodes.votes(NodeId(3)), ["bob: no"], "and its own unacknowledged entry is gone");
}

#[test]
fn a_read_at_a_follower_sees_what_the_leader_acknowledged() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(1));
    nodes.propose(NodeId(1), "ann: yes");
    nodes.run(1);
    let acknowledged = last_committed(&nodes, NodeId(1));
    for (read, id) in (1..).zip([NodeId(1), NodeId(2), NodeId(3)]) {
        nodes.step(id, Input::Read(read)).unwrap();
        nodes.run(2);
        let (node, answer) = nodes.reads.pop().expect("an answer");
        assert_eq!((node, answer.id), (id, read));
        assert!(answer.position >= acknowledged);
    }
}

#[test]
fn members_change_one_at_a_time_and_only_when_it_is_safe() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(1));
    let leader = NodeId(1);
    assert_eq!(nodes.step(leader, change(Change::Remove(leader))), Err(Refused::Leads(leader)));
    let unknown = MembershipError::Unknown(NodeId(9));
    assert_eq!(nodes.step(leader, change(Change::Promote(NodeId(9)))), Err(unknown.clone().into()));
    assert_eq!(nodes.step(leader, Input::Transfer(NodeId(9))), Err(unknown.into()));
    let add = || change(Change::Add(info("n4")));
    nodes.step(leader, add()).unwrap();
    assert_eq!(nodes.step(leader, add()), Err(Refused::ChangePending));
    nodes.run(2);
    let fourth = NodeId(4);
    assert_eq!(nodes.up[&leader].core().membership().get(fourth).unwrap().seat, Seat::Learner);
    assert_eq!(nodes.step(leader, change(Change::Promote(fourth))), Err(Refused::Behind(fourth)));
    assert_eq!(nodes.step(leader, Input::Transfer(fourth)), Err(Refused::Behind(fourth)));
    nodes.add(fourth);
    nodes.run(10);
    nodes.step(leader, change(Change::Promote(fourth))).unwrap();
    nodes.run(2);
    nodes.step(leader, change(Change::Remove(NodeId(2)))).unwrap();
    nodes.run(2);
    let membership = nodes.up[&fourth].core().membership().clone();
    assert_eq!(membership.with_seat(Seat::Voter).collect::<Vec<_>>(), [leader, NodeId(3), fourth]);
    // Who was removed disturbs nobody.
    let term = nodes.up[&leader].status().term;
    nodes.run(10 * ELECTION_TICKS);
    assert_eq!((nodes.leader(), nodes.up[&leader].status().term), (Some(leader), term));
}

#[test]
fn in_a_cluster_of_two_one_leaves_first_and_the_other_goes_on() {
    let mut nodes = Nodes::formed(2);
    nodes.prefer(NodeId(2));
    nodes.step(NodeId(2), Input::Transfer(NodeId(1))).unwrap();
    nodes.run(1);
    nodes.step(NodeId(1), change(Change::Remove(NodeId(2)))).unwrap();
    nodes.run(2);
    nodes.stop(NodeId(2));
    nodes.propose(NodeId(1), "ann: yes");
    nodes.run(1);
    assert_eq!(nodes.votes(NodeId(1)), ["ann: yes"]);
}

#[test]
fn entries_of_every_size_pass_through_messages_of_limited_size() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(3));
    let too_large = Refused::TooLarge { bytes: ENTRY_BYTES_MAX + 1, max: ENTRY_BYTES_MAX };
    assert_eq!(nodes.step(NodeId(3), propose(ENTRY_BYTES_MAX + 1)), Err(too_large));
    let before = last_committed(&nodes, NodeId(3)).0;
    for bytes in [0, 1, ENTRY_BYTES_MAX, 700_000, 700_000, 5, ENTRY_BYTES_MAX, 1 << 20, 3] {
        nodes.step(NodeId(3), propose(bytes)).unwrap();
    }
    nodes.run(20);
    for id in [NodeId(1), NodeId(2), NodeId(3)] {
        assert_eq!(last_committed(&nodes, id).0, before + 9);
    }
    // And once more from the disk, to a node that has nothing.
    nodes.stop(NodeId(3));
    nodes.start(NodeId(3));
    nodes.run(4 * ELECTION_TICKS);
    nodes.prefer(NodeId(3));
    nodes.step(NodeId(3), change(Change::Add(info("n4")))).unwrap();
    nodes.add(NodeId(4));
    nodes.run(60);
    assert_eq!(last_committed(&nodes, NodeId(4)), last_committed(&nodes, NodeId(3)));
}

#[test]
fn too_much_at_once_is_refused_and_later_taken() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(3));
    nodes.cut.extend([NodeId(1), NodeId(2)]);
    let refused =
        (0..30).map(|_| nodes.step(NodeId(3), propose(ENTRY_BYTES_MAX))).find(|result| result.is_err());
    assert_eq!(refused, Some(Err(Refused::Overloaded)));
    nodes.cut.clear();
    nodes.run(60);
    nodes.step(NodeId(3), propose(ENTRY_BYTES_MAX)).unwrap();
}

#[test]
fn a_node_whose_log_cannot_be_read_ends() {
    let mut nodes = Nodes::formed(1);
    (0..5).for_each(|_| nodes.step(NodeId(1), propose(3000)).unwrap());
    nodes.run(1);
    nodes.stop(NodeId(1));
    nodes.start(NodeId(1));
    nodes.run(2 * ELECTION_TICKS);
    // Below what is in memory after the start.
    nodes.disks[&NodeId(1)].flip("0000000000000001.seg", 8192 + 1500, 1);
    nodes.step(NodeId(1), change(Change::Add(info("n2")))).unwrap();
    nodes.add(NodeId(2));
    let mut from_second = Vec::new();
    for _ in 0..100 {
        let first = nodes.up.get_mut(&NodeId(1)).unwrap();
        first.step(Input::Tick).unwrap();
        from_second.drain(..).for_each(|message| first.step(Input::Message(message)).unwrap());
        let mut turn = Turn::default();
        if let Err(error) = first.turn(&mut turn) {
            assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
            return;
        }
        let second = nodes.up.get_mut(&NodeId(2)).unwrap();
        turn.messages.into_iter().for_each(|message| second.step(Input::Message(message)).unwrap());
        let mut turn = Turn::default();
        second.turn(&mut turn).unwrap();
        from_second = turn.messages;
    }
    panic!("it sends what it cannot read");
}

#[test]
fn what_not_all_versions_know_is_proposed_once_they_do_and_ends_who_does_not() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(3));
    let newer = || Input::Propose {
        kind: NEWER,
        epoch: 1,
        stamp: 0,
        payload: Bytes::from_static(b"new"),
        urgent: false,
    };
    let refused = |node| Err(Refused::NotAllKnow { node: NodeId(node), has: 1, needed: 2 });
    assert_eq!(nodes.step(NodeId(3), newer()), refused(1));
    for id in [1, 2, 3] {
        let upgraded = NodeInfo { version: 2, ..info("n") };
        nodes.step(NodeId(3), change(Change::Describe(NodeId(id), upgraded))).unwrap();
        assert_eq!(nodes.step(NodeId(3), newer()), refused(id), "it counts once it is committed");
        nodes.run(2);
    }
    nodes.step(NodeId(3), newer()).unwrap();
    nodes.run(2);
    let older = MembershipError::Older { version: 1, floor: 2 };
    assert_eq!(nodes.step(NodeId(3), change(Change::Add(info("n4")))), Err(older.into()));
    // Somebody starts the older program on the disk of the newer one: with the entry known as committed, and not.
    let mut older = config(NodeId(1));
    older.core.kinds = &[(VOTE, 1)];
    let is_newer = |error: &LedgerError| matches!(error, LedgerError::NewerEntry { kind: NEWER, .. });
    nodes.stop(NodeId(1));
    let disk = nodes.disks[&NodeId(1)].copy();
    let mut member = Member::open(disk, older, |_| Ok::<_, LedgerError>(())).unwrap();
    let ended = (0..20).find_map(|_| {
        let mut turn = Turn::default();
        nodes.step(NodeId(3), Input::Tick).unwrap();
        nodes.up.get_mut(&NodeId(3)).unwrap().turn(&mut turn).unwrap();
        let for_it = turn.messages.into_iter().filter(|message| message.to() == NodeId(1));
        for_it.for_each(|message| member.step(Input::Message(message)).unwrap());
        member.turn(&mut Turn::default()).err()
    });
    assert!(is_newer(&ended.expect("a leader speaks within 20 ticks")));
    nodes.start(NodeId(1));
    nodes.run(10);
    nodes.up.get_mut(&NodeId(1)).unwrap().idle().unwrap();
    nodes.stop(NodeId(1));
    let refused =
        Member::open(nodes.disks[&NodeId(1)].clone(), older, |_| Ok::<_, LedgerError>(())).unwrap_err();
    assert!(is_newer(&refused), "{refused}");
}

#[test]
fn a_founding_that_was_cut_short_is_finished_at_the_next_start() {
    let id = NodeId(1);
    for operation in 1..60 {
        let disk = ledger::faulty::FaultyStorage::new(operation);
        disk.crash_at_operation(operation);
        let found = |disk: &ledger::faulty::FaultyStorage| {
            Member::found(disk.clone(), ledger::LedgerId([5; 16]), config(id), &info("n1"), 1, 0)
        };
        if found(&disk).is_ok() {
            assert!(operation > 10, "{operation}");
            return;
        }
        disk.crash(ledger::faulty::Crash::AnySector(operation));
        let mut member = match found(&disk) {
            Err(LedgerError::AlreadyExists { .. }) => {
                Member::open(disk, config(id), |_| Ok::<_, LedgerError>(())).unwrap()
            }
            found => found.unwrap(),
        };
        for _ in 0..2 * ELECTION_TICKS {
            member.step(Input::Tick).unwrap();
            member.turn(&mut Turn::default()).unwrap();
        }
        assert_eq!(member.status().role, Role::Leader);
    }
    panic!("a founding takes fewer operations");
}
