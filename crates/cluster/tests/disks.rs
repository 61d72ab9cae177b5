//! What a node does whose disk fills up, fails or changes.

#[path = "support/nodes.rs"]
mod nodes;

use bytes::Bytes;
use cluster::{Change, Input, Member, NodeId, Refused, Role, Seat, Turn};
use ledger::{LedgerError, LogReader as _, Position, Storage as _};
use nodes::{ELECTION_TICKS, Nodes, VOTE, config, info};

const ONE: NodeId = NodeId(1);
const TWO: NodeId = NodeId(2);
const THREE: NodeId = NodeId(3);

fn propose(bytes: usize, urgent: bool) -> Input {
    Input::Propose { kind: VOTE, epoch: 1, stamp: 0, payload: Bytes::from(vec![7; bytes]), urgent }
}

fn committed(nodes: &Nodes, id: NodeId) -> Position {
    nodes.up[&id].reader().committed()
}

fn led_by_three() -> Nodes {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(THREE);
    nodes
}

/// Fills the log's present file, so that the next entry of a megabyte needs another one.
fn fill_file(nodes: &mut Nodes) {
    nodes.step(THREE, propose(900_000, false)).unwrap();
    nodes.run(2);
}

#[test]
fn a_leader_that_is_nearly_full_takes_only_what_is_urgent_and_lets_another_lead() {
    let mut nodes = led_by_three();
    nodes.disks[&THREE].set_space(Some(120_000));
    nodes.cut.extend([ONE, TWO]);
    nodes.run(1);
    assert_eq!(nodes.step(THREE, propose(5, false)), Ok(()), "over the mark");
    nodes.disks[&THREE].set_space(Some(90_000));
    nodes.run(1);
    assert!(nodes.up[&THREE].status().short_of_room);
    assert_eq!(nodes.step(THREE, propose(5, false)), Err(Refused::DiskFull));
    assert_eq!(nodes.step(THREE, propose(5, true)), Ok(()));
    nodes.cut.clear();
    nodes.run(2 * ELECTION_TICKS);
    assert_eq!(nodes.leader(), Some(TWO), "the highest with room");
    nodes.propose(TWO, "ann: yes");
    nodes.run(1);
    assert_eq!(nodes.votes(THREE).last().unwrap(), "ann: yes", "there is room below the mark");
    let progress = nodes.up[&TWO].status().progress;
    assert!(progress[&THREE].short_of_room && !progress[&ONE].short_of_room, "{progress:?}");
    nodes.stop(TWO);
    nodes.run(4 * ELECTION_TICKS);
    assert_eq!(nodes.leader(), Some(ONE), "the lower one leads if the higher has no room");
    nodes.disks[&ONE].set_space(Some(90_000));
    nodes.run(1);
    assert_eq!(nodes.step(ONE, propose(5, false)), Err(Refused::DiskFull));
    nodes.disks[&THREE].set_space(None);
    nodes.run(2 * ELECTION_TICKS);
    assert_eq!(nodes.leader(), Some(THREE));
    assert_eq!(nodes.step(THREE, propose(5, false)), Err(Refused::DiskFull), "one of two is no majority");
    nodes.disks[&ONE].set_space(None);
    nodes.run(8);
    assert_eq!(nodes.step(THREE, propose(5, false)), Ok(()), "it goes on by itself");
}

#[test]
fn with_a_majority_nearly_full_only_what_is_urgent_is_taken_and_the_reserve_is_spent_on_it() {
    let mut nodes = led_by_three();
    for id in [ONE, TWO] {
        nodes.disks[&id].set_space(Some(0));
    }
    nodes.run(8);
    assert_eq!(nodes.step(THREE, propose(5, false)), Err(Refused::DiskFull));
    let before = committed(&nodes, THREE);
    nodes.step(THREE, propose(5, true)).unwrap();
    nodes.run(10);
    assert_eq!(committed(&nodes, THREE), before.next());
    let has_reserve = |nodes: &Nodes, id: NodeId| nodes.disks[&id].contents().contains_key("reserve");
    assert_eq!([ONE, TWO, THREE].map(|id| has_reserve(&nodes, id)), [false, false, true]);
    for id in [ONE, TWO] {
        nodes.disks[&id].set_space(None);
    }
    nodes.run(8);
    assert_eq!(nodes.step(THREE, propose(5, false)), Ok(()));
    assert_eq!([ONE, TWO, THREE].map(|id| has_reserve(&nodes, id)), [true, true, true]);
}

#[test]
fn a_full_follower_acknowledges_nothing_reads_and_votes_on_and_catches_up() {
    let mut nodes = led_by_three();
    fill_file(&mut nodes);
    nodes.disks[&ONE].set_space(Some(0));
    nodes.stop(TWO);
    let before = committed(&nodes, THREE);
    nodes.step(THREE, propose(200_000, false)).unwrap();
    nodes.run(10 * ELECTION_TICKS);
    assert_eq!(committed(&nodes, THREE), before, "the only other voter has not written it");
    assert_eq!(nodes.leader(), Some(THREE), "and yet it is there");
    nodes.step(ONE, Input::Read(7)).unwrap();
    nodes.run(2);
    assert_eq!(nodes.reads.last().unwrap().1.id, 7, "reads go on");
    nodes.disks[&ONE].set_space(None);
    nodes.run(8);
    assert_eq!(committed(&nodes, THREE), before.next());
    assert_eq!(committed(&nodes, ONE), before.next());
}

#[test]
fn on_full_disks_a_new_leader_is_elected_and_what_waits_is_replaced() {
    let mut nodes = led_by_three();
    fill_file(&mut nodes);
    nodes.disks[&ONE].set_space(Some(0));
    nodes.step(THREE, propose(200_000, false)).unwrap();
    nodes.run(1);
    nodes.stop(THREE);
    nodes.run(4 * ELECTION_TICKS);
    assert_eq!(nodes.leader(), Some(TWO), "with the vote of the full one");
    nodes.start(THREE);
    nodes.run(2 * ELECTION_TICKS);
    nodes.disks[&ONE].set_space(None);
    nodes.propose(TWO, "ann: yes");
    nodes.run(2 * ELECTION_TICKS);
    for id in [ONE, TWO, THREE] {
        assert_eq!(nodes.votes(id).last().unwrap(), "ann: yes");
    }
}

#[test]
fn a_failing_sync_ends_the_node_before_anything_is_said() {
    let mut nodes = led_by_three();
    nodes.disks[&THREE].fail_sync(1);
    let member = nodes.up.get_mut(&THREE).unwrap();
    member.step(propose(5, false)).unwrap();
    let mut turn = Turn::default();
    let error = member.turn(&mut turn).unwrap_err();
    assert!(error.is_fatal(), "{error}");
    assert!(turn.committed.is_empty() && turn.messages.is_empty());
    assert!(member.step(propose(5, false)).is_ok(), "it is only dropped that helps");
    assert!(matches!(member.turn(&mut turn), Err(LedgerError::Poisoned { .. })));
}

#[test]
fn a_damaged_log_is_moved_aside_and_its_node_comes_back_under_a_new_number() {
    let mut nodes = led_by_three();
    for _ in 0..4 {
        nodes.step(THREE, propose(3000, false)).unwrap();
        nodes.run(1);
    }
    nodes.stop(ONE);
    let disk = nodes.disks[&ONE].clone();
    disk.flip("0000000000000001.seg", 8192 + 4000, 1);
    let open = |id| Member::open(disk.clone(), config(NodeId(id)), |_| Ok::<_, LedgerError>(()));
    let error = open(1).unwrap_err();
    assert!(error.is_damage(), "{error}");
    let before = disk.contents();
    assert_eq!(ledger::set_aside(&disk).unwrap(), ".damaged-1");
    let after = disk.contents();
    for name in ["0000000000000001.seg", "vote"] {
        assert_eq!(before[name], after[&format!("{name}.damaged-1")], "nothing is deleted");
    }
    assert!(matches!(open(1), Err(LedgerError::NoLedger { .. })), "it has no number any more");
    nodes.step(THREE, Input::Change { change: Change::Remove(ONE), epoch: 1, stamp: 0 }).unwrap();
    nodes.run(2);
    nodes.step(THREE, Input::Change { change: Change::Add(info("n1")), epoch: 1, stamp: 0 }).unwrap();
    nodes.run(2);
    let fourth = NodeId(4);
    let member = Member::join(disk.clone(), ledger::LedgerId([5; 16]), config(fourth)).unwrap();
    nodes.disks.insert(fourth, disk.clone());
    nodes.up.insert(fourth, member);
    nodes.run(20);
    nodes.step(THREE, Input::Change { change: Change::Promote(fourth), epoch: 1, stamp: 0 }).unwrap();
    nodes.run(2);
    assert_eq!(nodes.votes(fourth), nodes.votes(THREE));
    let members = nodes.up[&fourth].core().membership().clone();
    assert_eq!(members.with_seat(Seat::Voter).collect::<Vec<_>>(), [TWO, THREE, fourth]);
    nodes.stop(fourth);
    let wrong = Member::open(disk, config(THREE), |_| Ok::<_, LedgerError>(())).unwrap_err();
    assert!(matches!(wrong, LedgerError::OtherNode { found: 4, expected: 3, .. }), "{wrong}");
}

/// However far the moving aside came, what is left is not taken for a shorter log.
#[test]
fn a_moving_aside_that_was_cut_short_leaves_no_log_to_vote_with() {
    for operation in 1.. {
        let mut nodes = led_by_three();
        for _ in 0..5 {
            nodes.step(THREE, propose(700_000, false)).unwrap();
            nodes.run(1);
        }
        nodes.stop(ONE);
        let disk = nodes.disks[&ONE].clone();
        assert!(disk.list().unwrap().iter().filter(|file| file.name.ends_with(".seg")).count() > 2);
        disk.crash_at_operation(disk.operations() + operation);
        let moved = ledger::set_aside(&disk);
        disk.crash(ledger::faulty::Crash::AnySector(operation));
        let opened = Member::open(disk.clone(), config(ONE), |_| Ok::<_, LedgerError>(()));
        if moved.is_ok() {
            assert!(matches!(opened, Err(LedgerError::NoLedger { .. })));
            assert!(operation > 6, "{operation}");
            return;
        }
        match opened {
            Ok(member) => assert!(member.log().node() == Some(1), "nothing has moved yet"),
            Err(LedgerError::NoLedger { .. }) => {}
            Err(error) => {
                assert!(error.is_damage(), "{error}");
                ledger::set_aside(&disk).unwrap();
            }
        }
    }
}

#[test]
fn a_leader_says_how_many_it_can_lose_and_when_it_heard_of_each() {
    let mut nodes = led_by_three();
    nodes.run(8);
    let status = nodes.up[&THREE].status();
    assert_eq!((status.role, status.can_lose, status.handing_over_to), (Role::Leader, Some(1), None));
    nodes.stop(ONE);
    nodes.run(ELECTION_TICKS);
    let status = nodes.up[&THREE].status();
    assert_eq!(status.can_lose, Some(0));
    assert!(status.progress[&ONE].heard_ticks_ago.unwrap() >= ELECTION_TICKS as u64);
    assert_eq!(status.progress[&THREE].heard_ticks_ago, Some(0));
    nodes.step(THREE, Input::Transfer(ONE)).unwrap();
    assert_eq!(nodes.up[&THREE].status().handing_over_to, Some(ONE));
    assert_eq!(nodes.up[&TWO].status().can_lose, None, "a follower does not know");
}
