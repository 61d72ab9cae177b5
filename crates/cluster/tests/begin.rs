//! Nodes with empty data folders that found a cluster or join one, over real sockets of this machine.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use cluster::founding::Member;
use cluster::net::{
    Begin, BeginConfig, BeginError, Beginning, JoinKey, Mode, NEWCOMER, NO_LEDGER, Network, NetworkConfig,
    PROMISE_NAME,
};
use cluster::time::ClockReading;
use cluster::{Admission, JoinReply, JoinRequest, NodeId};
use ledger::LedgerId;

const PATIENCE: Duration = Duration::from_secs(60);
const LEDGER: LedgerId = LedgerId([5; 16]);

fn network(key: u8, seeds: &[String]) -> Arc<Network> {
    started(key, seeds, None)
}

/// With beacons on that port, within this machine.
#[allow(clippy::disallowed_methods)] // the tests' clocks
fn started(key: u8, seeds: &[String], beacon_port: Option<u16>) -> Arc<Network> {
    let start = Instant::now();
    let clocks = Box::new(move || ClockReading {
        system_us: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap(),
        monotonic_us: u64::try_from(start.elapsed().as_micros()).unwrap(),
    });
    let config = NetworkConfig {
        name: "hall".parse().unwrap(),
        key: JoinKey::from_random([key; 16]),
        listen: "127.0.0.1:0".parse().unwrap(),
        advertised: "127.0.0.1:0".into(),
        seeds: seeds.to_vec(),
        beacons: beacon_port.is_some(),
        beacon_port: beacon_port.unwrap_or(0),
    };
    let bound = Network::bind(config).unwrap();
    Arc::new(Network::start(bound, NEWCOMER, NO_LEDGER, clocks, Box::new(|_, _, _| {})).unwrap())
}

fn begin(network: &Network, folder: &Path, mode: Mode) -> Result<Beginning, BeginError> {
    let request = JoinRequest {
        address: network.config().advertised.clone(),
        http_address: "http://127.0.0.1:1".into(),
        public_key: network.config().advertised.clone().into_bytes(),
        version: "0.1.0".into(),
    };
    network.begin(BeginConfig { mode, folder: folder.to_owned(), request })
}

/// A member that admits whoever asks, under the next number.
fn serve(network: &Network) {
    let ask_at = network.config().advertised.clone();
    let next = AtomicU64::new(2);
    let own = (NodeId(1), ask_at.clone());
    network.set_own(NodeId(1), LEDGER).unwrap();
    network.on_ask(move |asker, question| {
        let member = Member { ledger: LEDGER, node: NodeId(1), ask_at: ask_at.clone() };
        let answer = member.answers(&question).unwrap_or_else(|| {
            let request = JoinRequest::decode(&question).expect("nothing else is asked").unwrap();
            assert_eq!((asker.node, asker.is_member), (NEWCOMER, false));
            let node = NodeId(next.fetch_add(1, Ordering::Relaxed));
            let members = vec![own.clone(), (node, request.address)];
            let secret = vec![7; 64].into();
            let admission = Admission { ledger: LEDGER, node, secret, name: "hall".into(), members };
            JoinReply::Admitted(admission).encode().to_vec()
        });
        async move { Bytes::from(answer) }
    });
}

#[allow(clippy::disallowed_methods)] // the tests' clocks
fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn begun(beginning: &mut Beginning) -> Result<Begin, BeginError> {
    eventually("it begins", || beginning.try_outcome())
}

fn addresses(networks: &[Arc<Network>]) -> Vec<String> {
    networks.iter().map(|network| network.config().advertised.clone()).collect()
}

#[test]
fn three_blank_nodes_found_one_cluster_and_two_of_them_join_it() {
    let folders: Vec<_> = (0..3).map(|_| tempfile::tempdir().unwrap()).collect();
    let first = network(1, &[]);
    let second = network(1, &addresses(std::slice::from_ref(&first)));
    let networks = [first.clone(), second.clone(), network(1, &addresses(&[first, second]))];
    let start = |at: usize| begin(&networks[at], folders[at].path(), Mode::Expect(3)).unwrap();
    let mut beginnings: Vec<Beginning> = vec![start(0), start(1)];
    eventually("two see each other", || {
        beginnings[0].waits_for().starts_with("2 of 3 nodes are there").then_some(())
    });
    assert!(beginnings[1].try_outcome().is_none());
    beginnings.push(start(2));
    let founder = eventually("one founds", || {
        beginnings.iter_mut().position(|one| match one.try_outcome() {
            Some(outcome) => {
                assert_eq!(outcome.unwrap(), Begin::Found);
                true
            }
            None => false,
        })
    });
    serve(&networks[founder]);
    let mut numbers = Vec::new();
    for (at, beginning) in beginnings.iter_mut().enumerate().filter(|(at, _)| *at != founder) {
        let Begin::Join(admission) = begun(beginning).unwrap() else { panic!("{at} founds as well") };
        assert_eq!((admission.ledger, admission.secret.to_vec()), (LEDGER, vec![7; 64]));
        assert_eq!(admission.members.len(), 2);
        numbers.push(admission.node.0);
    }
    numbers.sort_unstable();
    assert_eq!(numbers, [2, 3]);
}

#[test]
fn a_node_that_was_started_again_keeps_its_promise_and_the_others_wait_for_it() {
    let folders: Vec<_> = (0..2).map(|_| tempfile::tempdir().unwrap()).collect();
    let one = network(1, &[]);
    let two = network(1, &addresses(std::slice::from_ref(&one)));
    // Bound on disk, and ended before anybody heard of it: it comes back as the same node.
    let bound = {
        let mut lone = begin(&one, folders[0].path(), Mode::Expect(2)).unwrap();
        let mut other = begin(&two, folders[1].path(), Mode::Expect(2)).unwrap();
        eventually("one of the two founds", || lone.try_outcome().or(other.try_outcome())).unwrap();
        promises(&folders)
    };
    drop((one, two));
    let one = network(1, &[]);
    let mut again = begin(&one, folders[0].path(), Mode::Expect(2)).unwrap();
    eventually("it waits for the other it is bound with", || {
        let words = again.waits_for();
        (words.contains("waiting for the agreement of") || words.contains("to found the cluster"))
            .then_some(())
    });
    assert!(again.try_outcome().is_none());
    assert_eq!(promises(&folders), bound, "nothing was bound anew");
    let two = network(1, &addresses(std::slice::from_ref(&one)));
    let mut other = begin(&two, folders[1].path(), Mode::Expect(2)).unwrap();
    eventually("and founds with it", || again.try_outcome().or(other.try_outcome())).unwrap();
}

fn promises(folders: &[tempfile::TempDir]) -> Vec<Vec<u8>> {
    folders.iter().map(|folder| std::fs::read(folder.path().join(PROMISE_NAME)).unwrap()).collect()
}

#[test]
fn a_node_finds_the_leader_by_being_sent_on_and_waits_until_it_is_let_in() {
    let (leader, follower) = (network(1, &[]), network(1, &[]));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(begun(&mut begin(&leader, folder.path(), Mode::First).unwrap()).unwrap(), Begin::Found);
    assert!(!folder.path().join(PROMISE_NAME).exists(), "nothing is promised to anybody");
    serve(&leader);
    let (ask_at, sent_on) = (follower.config().advertised.clone(), leader.config().advertised.clone());
    let replies = Mutex::new(vec![JoinReply::NotLeader(sent_on), JoinReply::NotYet("nobody leads".into())]);
    follower.on_ask(move |_, question| {
        let member = Member { ledger: LEDGER, node: NodeId(9), ask_at: ask_at.clone() };
        let next = || replies.lock().unwrap().pop().expect("it was sent on").encode().to_vec();
        let answer = member.answers(&question).unwrap_or_else(next);
        async move { Bytes::from(answer) }
    });
    let nowhere = "127.0.0.1:1".to_owned();
    let joiner = network(1, &[nowhere, follower.config().advertised.clone()]);
    let mut joining = begin(&joiner, folder.path(), Mode::Join).unwrap();
    let Begin::Join(admission) = begun(&mut joining).unwrap() else { panic!("it founds") };
    assert_eq!(admission.node, NodeId(2));
}

#[test]
fn a_node_that_is_not_taken_ends_and_says_why() {
    let leader = network(1, &[]);
    let ask_at = leader.config().advertised.clone();
    leader.on_ask(move |_, question| {
        let member = Member { ledger: LEDGER, node: NodeId(1), ask_at: ask_at.clone() };
        let refused = || JoinReply::Refused("the cluster is full".into()).encode().to_vec();
        let answer = member.answers(&question).unwrap_or_else(refused);
        async move { Bytes::from(answer) }
    });
    let folder = tempfile::tempdir().unwrap();
    let joiner = network(1, &addresses(std::slice::from_ref(&leader)));
    let refused = begun(&mut begin(&joiner, folder.path(), Mode::Expect(3)).unwrap());
    assert!(matches!(refused, Err(BeginError::Refused(why)) if why == "the cluster is full"));
}

#[test]
fn a_node_with_another_join_key_is_told_so_while_it_waits() {
    let (one, stranger) = (network(1, &[]), network(2, &[]));
    serve(&one);
    let folder = tempfile::tempdir().unwrap();
    let lost = network(2, &addresses(&[one.clone(), stranger.clone()]));
    let waiting = begin(&lost, folder.path(), Mode::Join).unwrap();
    eventually("it says that the keys differ", || {
        waiting.waits_for().contains("different join keys").then_some(())
    });
    assert!(waiting.waits_for().starts_with("no cluster of this name is seen yet"));
    drop((one, stranger));
}

#[test]
fn a_cluster_is_found_by_its_beacons_and_one_with_another_key_is_noticed() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let leader = started(1, &[], Some(port));
    serve(&leader);
    let folder = tempfile::tempdir().unwrap();
    let joiner = started(1, &[], Some(port));
    let Begin::Join(admission) = begun(&mut begin(&joiner, folder.path(), Mode::Join).unwrap()).unwrap()
    else {
        panic!("it founds")
    };
    assert_eq!(admission.members[0].1, leader.config().advertised);
    let stranger = started(2, &[], Some(port));
    let waiting = begin(&stranger, folder.path(), Mode::Join).unwrap();
    eventually("other keys are noticed", || {
        waiting.waits_for().contains("beacons under another join key").then_some(())
    });
}

#[test]
fn a_damaged_promise_is_an_error_and_not_a_free_node() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(PROMISE_NAME), b"HuFo rubbish").unwrap();
    let error = begin(&network(1, &[]), folder.path(), Mode::Expect(3)).unwrap_err();
    assert!(matches!(error, BeginError::Damaged { .. }));
    let error = begin(&network(1, &[]), &folder.path().join(PROMISE_NAME), Mode::Expect(3)).unwrap_err();
    assert!(matches!(error, BeginError::Promise { .. }));
    for expect in [0, 17] {
        let error = begin(&network(1, &[]), folder.path(), Mode::Expect(expect)).unwrap_err();
        assert!(matches!(error, BeginError::Expect(given) if given == expect));
    }
}
