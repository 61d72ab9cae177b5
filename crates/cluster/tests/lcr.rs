//! LCR, the election of the highest number on a ring (Le Lann 1977, Chang and Roberts 1979), and the acknowledged vote it
//! would lose.
//!
//! ```text
//!        3           Everybody sends its own number clockwise. A number lower than the receiver's own goes no
//!      ↗   ↘         further, a higher one is passed on. Who gets its own number back has the highest, and says so
//!     2  ←  1        in a last round.
//! ```
//!
//! With *n* nodes that takes at most *n*(*n* + 1)/2 messages, and *n* more for the last round. It is right where
//! nothing fails meanwhile and the leader has nothing to know. A log changes that: LCR asks who has the highest number,
//! not who has all that was acknowledged. Here "the highest number leads" is therefore a preference only (the highest
//! voter stands for election first), and who is elected has to have what a majority has.

#[path = "support/nodes.rs"]
mod nodes;

use std::collections::VecDeque;

use cluster::NodeId;
use nodes::Nodes;

#[derive(Clone, Debug)]
struct RingNode {
    number: u64,
    log: Vec<&'static str>,
}

enum Token {
    Number(u64),
    Leader(u64),
}

/// Runs LCR on the nodes in ring order; the leader's number, and how many messages it took.
fn elect(ring: &[RingNode]) -> (u64, usize) {
    let next = |at: usize| (at + 1) % ring.len();
    let mut wire: VecDeque<(usize, Token)> =
        ring.iter().enumerate().map(|(at, node)| (next(at), Token::Number(node.number))).collect();
    let mut messages = wire.len();
    let mut send = |wire: &mut VecDeque<_>, to, token| {
        messages += 1;
        wire.push_back((to, token));
    };
    while let Some((at, token)) = wire.pop_front() {
        let own = ring[at].number;
        match token {
            Token::Number(number) if number > own => send(&mut wire, next(at), Token::Number(number)),
            Token::Number(number) if number == own => send(&mut wire, next(at), Token::Leader(own)),
            Token::Number(_) => {}
            Token::Leader(number) if number == own => return (own, messages),
            Token::Leader(number) => send(&mut wire, next(at), Token::Leader(number)),
        }
    }
    unreachable!("the highest number comes round");
}

fn ring(numbers: &[u64]) -> Vec<RingNode> {
    numbers.iter().map(|number| RingNode { number: *number, log: Vec::new() }).collect()
}

#[test]
fn the_highest_number_is_elected_within_the_known_count_of_messages() {
    for size in 2..=9 {
        let rising: Vec<u64> = (1..=size).collect();
        let falling: Vec<u64> = (1..=size).rev().collect();
        let (leader, best) = elect(&ring(&rising));
        let (same, worst) = elect(&ring(&falling));
        let n = size as usize;
        assert_eq!((leader, same), (size, size));
        assert_eq!(best, 2 * n - 1 + n, "clockwise rising, each lower number stops at once");
        assert_eq!(worst, n * (n + 1) / 2 + n, "clockwise falling, each goes on up to the highest");
    }
}

/// Node 3 is away while a vote is acknowledged by the others, and comes back when the leader dies.
#[test]
fn lcr_loses_a_vote_that_two_of_three_had_acknowledged() {
    let mut nodes = ring(&[1, 2, 3]);
    nodes[0].log.push("ann: yes");
    nodes[1].log.push("ann: yes"); // On two of three disks: acknowledged.
    nodes.remove(0); // Node 1, which led, dies; node 3 is back.
    let (leader, _) = elect(&nodes);
    assert_eq!(leader, 3, "the highest number leads, whatever it knows");
    let of_leader = nodes.iter().find(|node| node.number == leader).expect("elected from these").log.clone();
    nodes.iter_mut().for_each(|node| node.log.clone_from(&of_leader)); // Everybody follows the leader.
    assert!(nodes.iter().all(|node| node.log.is_empty()), "nobody has the acknowledged vote any more");
}

#[test]
fn the_same_story_in_this_cluster_keeps_the_vote() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(1));
    nodes.stop(NodeId(3));
    nodes.propose(NodeId(1), "ann: yes");
    nodes.run(5);
    assert_eq!(nodes.votes(NodeId(1)), ["ann: yes"], "acknowledged");
    nodes.stop(NodeId(1));
    nodes.start(NodeId(3));
    nodes.run(400);
    assert_eq!(nodes.leader(), Some(NodeId(2)), "the highest number stands first, and is not elected");
    for id in [NodeId(2), NodeId(3)] {
        assert_eq!(nodes.votes(id), ["ann: yes"]);
    }
}

#[test]
fn where_all_know_the_same_the_highest_number_leads() {
    let mut nodes = Nodes::formed(3);
    nodes.prefer(NodeId(1));
    nodes.stop(NodeId(1));
    nodes.run(100);
    assert_eq!(nodes.leader(), Some(NodeId(3)));
}
