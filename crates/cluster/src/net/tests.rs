//! Nodes that talk over real sockets of this machine.

use std::net::TcpStream as Plain;
use std::sync::mpsc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::frame::{Greeting, Purpose, REPLY_BYTES, Reply, Verdict, message_header};
use super::*;

const LEDGER: LedgerId = LedgerId([7; 16]);
/// The lane on which [`reaches`] sends.
const KNOCK: u8 = 9;
const PATIENCE: Duration = Duration::from_secs(60);
/// Where nothing listens: the port of TCP's multiplexer, which nobody runs.
const NOWHERE: &str = "127.0.0.1:1";

struct Node {
    network: Arc<Network>,
    delivered: mpsc::Receiver<(NodeId, u8, Bytes)>,
}

#[allow(clippy::disallowed_methods)] // the tests' clocks
fn clocks() -> Clocks {
    let start = Instant::now();
    Box::new(move || ClockReading {
        system_us: i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap(),
        monotonic_us: u64::try_from(start.elapsed().as_micros()).unwrap(),
    })
}

fn config(name: &str, key: u8, listen: &str) -> NetworkConfig {
    NetworkConfig {
        name: name.parse().unwrap(),
        key: JoinKey::from_random([key; JOIN_KEY_BYTES]),
        listen: listen.parse().unwrap(),
        advertised: "127.0.0.1:0".to_owned(),
        seeds: Vec::new(),
        beacons: false,
        beacon_port: 0,
    }
}

fn started(config: NetworkConfig, own: u64, ledger: LedgerId) -> Node {
    let (sender, delivered) = mpsc::channel();
    let deliver = Box::new(move |from, lane, bytes| _ = sender.send((from, lane, bytes)));
    let bound = Network::bind(config).unwrap();
    let network = Network::start(bound, NodeId(own), ledger, clocks(), deliver).unwrap();
    Node { network: Arc::new(network), delivered }
}

fn node(own: u64) -> Node {
    started(config("hall", 1, "127.0.0.1:0"), own, LEDGER)
}

impl Node {
    fn address(&self) -> String {
        self.network.address().to_string()
    }

    /// The next that is no `there?` of [`reaches`].
    fn next(&self) -> (u64, u8, Bytes) {
        loop {
            let (from, lane, bytes) = self.delivered.recv_timeout(PATIENCE).expect("something is delivered");
            if lane != KNOCK {
                return (from.0, lane, bytes);
            }
        }
    }

    fn peer(&self, id: u64) -> PeerStatus {
        self.network.peers().into_iter().find(|peer| peer.id == NodeId(id)).expect("it is a member")
    }

    fn ask(&self, address: &str, question: &'static [u8]) -> Result<Bytes, LinkError> {
        let asked = self.network.ask_blocking(address, Bytes::from_static(question), PATIENCE);
        asked.map_err(|error| error.reason)
    }

    /// Waits for a trouble with all of these words in it.
    fn complains(&self, words: &str) {
        eventually(words, || self.network.troubles().iter().any(|text| text.contains(words)));
    }
}

#[allow(clippy::disallowed_methods)] // the tests' clocks
fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn introduce(nodes: &[(u64, &Node)]) {
    let members: Vec<_> = nodes.iter().map(|(id, node)| (NodeId(*id), node.address())).collect();
    nodes.iter().for_each(|(_, node)| node.network.set_members(&members));
}

/// Sends until it arrives: what is sent may be lost.
fn reaches(from: &Node, to: u64, node: &Node) {
    eventually("a message arrives", || {
        from.network.send(NodeId(to), KNOCK, Bytes::from_static(b"there?"));
        node.delivered.recv_timeout(Duration::from_millis(20)).is_ok()
    });
}

#[test]
fn members_hear_each_other_in_order_and_measure_their_clocks() {
    let (one, two) = (node(1), node(2));
    introduce(&[(1, &one), (2, &two)]);
    reaches(&one, 2, &two);
    reaches(&two, 1, &one);
    for number in 0..5_000_u32 {
        one.network.send(NodeId(2), 3, Bytes::copy_from_slice(&number.to_be_bytes()));
    }
    for number in 0..5_000_u32 {
        assert_eq!(two.next(), (1, 3, Bytes::copy_from_slice(&number.to_be_bytes())));
    }
    eventually("clocks are compared", || one.peer(2).clock_offset_us.is_some());
    let peer = one.peer(2);
    let (offset, error) = peer.clock_offset_us.unwrap();
    // Both clocks cannot be read at one moment, and a busy machine may pause in between.
    assert!(offset.unsigned_abs() <= error + 500_000, "one machine has one clock: {offset} ± {error} µs");
    assert!(peer.is_connected && peer.heard_ms_ago.is_some() && peer.trouble.is_none());
    assert_eq!(peer.dropped, 0);
}

#[test]
fn large_frames_arrive_whole_and_in_order() {
    let (one, two) = (node(1), node(2));
    introduce(&[(1, &one), (2, &two)]);
    reaches(&one, 2, &two);
    let large = |fill: u8| Bytes::from(vec![fill; 1 << 20]);
    for fill in 0..40 {
        one.network.send(NodeId(2), 1, large(fill));
    }
    one.network.send(NodeId(2), URGENT_LANES_FROM, Bytes::from_static(b"now"));
    let got: Vec<_> = (0..41).map(|_| two.next()).collect();
    assert_eq!(got.iter().filter(|(_, lane, _)| *lane == URGENT_LANES_FROM).count(), 1);
    let fills: Vec<u8> = got.iter().filter(|(_, lane, _)| *lane == 1).map(|(_, _, bytes)| bytes[9]).collect();
    assert_eq!(fills, (0..40).collect::<Vec<u8>>());
    one.network.send(NodeId(2), 1, Bytes::from(vec![5; FRAME_BYTES_MAX]));
    assert!(two.next().2 == vec![5; FRAME_BYTES_MAX]);
    one.network.send(NodeId(2), 1, Bytes::from(vec![5; FRAME_BYTES_MAX + 1]));
    assert_eq!(one.peer(2).dropped, 1, "no frame is that large");
}

#[test]
fn a_peer_that_is_away_is_noticed_and_found_again() {
    let one = node(1);
    let two = node(2);
    let listen = two.address();
    introduce(&[(1, &one), (2, &two)]);
    reaches(&one, 2, &two);
    drop(two);
    eventually("its end is noticed", || !one.peer(2).is_connected);
    assert!(one.peer(2).trouble.is_some());
    let before = one.peer(2).dropped;
    for _ in 0..1_000 {
        one.network.send(NodeId(2), 1, Bytes::from_static(b"lost"));
    }
    assert!(one.peer(2).dropped >= before + 700, "few are kept for who is not there");
    let again = started(config("hall", 1, &listen), 2, LEDGER);
    again.network.set_members(&[(NodeId(1), one.address())]);
    reaches(&one, 2, &again);
    reaches(&again, 1, &one);
    assert!(one.peer(2).is_connected);
}

#[test]
fn a_silent_peer_counts_as_dead() {
    let one = node(1);
    let two = node(2);
    introduce(&[(1, &one), (2, &two)]);
    reaches(&one, 2, &two);
    // Its thread is held up, as that of a stopped process is: the connection stands, and nothing comes.
    let (release, held) = mpsc::channel::<()>();
    let held = Mutex::new(held);
    two.network.on_ask(move |_, question| {
        _ = held.lock().unwrap().recv();
        async move { question }
    });
    let asking = one.network.ask(&two.address(), Bytes::new(), PATIENCE);
    eventually("silence is noticed", || !one.peer(2).is_connected);
    drop(release);
    drop(asking);
    reaches(&one, 2, &two);
}

#[test]
fn another_join_key_is_refused_and_both_sides_say_so() {
    let one = node(1);
    let stranger = started(config("hall", 2, "127.0.0.1:0"), 2, LEDGER);
    let refused = stranger.ask(&one.address(), b"let me in").unwrap_err();
    assert!(matches!(refused, LinkError::OtherKey), "{refused}");
    one.complains("another join key");
    introduce(&[(1, &one), (2, &stranger)]);
    eventually("the peer's state says so", || {
        stranger.peer(1).trouble.is_some_and(|trouble| trouble.contains("another join key"))
    });
    assert!(!stranger.peer(1).is_connected);
}

#[test]
fn clocks_that_are_days_apart_are_named_on_both_sides_and_hours_do_no_harm() {
    let one = node(1);
    one.network.on_ask(|_, question| async move { question });
    let ask_with_clock_off_by = |hours: i64| {
        let right = clocks();
        let off: Clocks = Box::new(move || ClockReading {
            system_us: right().system_us + hours * 3_600_000_000,
            ..right()
        });
        let bound = Network::bind(config("hall", 1, "127.0.0.1:0")).unwrap();
        let network = Network::start(bound, NodeId(2), LEDGER, off, Box::new(|_, _, _| {})).unwrap();
        network.ask_blocking(&one.address(), Bytes::from_static(b"?"), PATIENCE).map_err(|error| error.reason)
    };
    for hours in [-48, 48] {
        assert_eq!(ask_with_clock_off_by(hours).unwrap(), "?");
    }
    for days in [-30, 30] {
        let refused = ask_with_clock_off_by(24 * days).unwrap_err();
        assert!(matches!(refused, LinkError::Clock), "{refused:?}");
    }
    one.complains("the clocks of the two machines are days apart");
}

#[test]
fn another_cluster_of_the_same_key_is_refused_by_name_and_by_ledger() {
    let one = node(1);
    let court = started(config("court", 1, "127.0.0.1:0"), 2, LEDGER);
    let refused = court.ask(&one.address(), b"?").unwrap_err();
    assert!(refused.to_string().contains("cluster `hall`, this one to `court`"), "{refused}");
    one.complains("cluster `court`, this one to `hall`");
    let elsewhere = started(config("hall", 1, "127.0.0.1:0"), 2, LedgerId([8; 16]));
    introduce(&[(1, &one), (2, &elsewhere)]);
    eventually("the other ledger is refused", || {
        let trouble = elsewhere.peer(1).trouble.unwrap_or_default();
        trouble.contains("another cluster of the same name")
    });
    one.complains("another cluster of the same name");
}

#[test]
fn bytes_without_tls_are_refused_and_harm_nobody() {
    let one = node(1);
    for bytes in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0x16; 4096], &[0; 64], b"HuNt\x01\x01"] {
        let mut plain = Plain::connect(one.network.address()).unwrap();
        plain.set_read_timeout(Some(PATIENCE)).unwrap();
        plain.write_all(bytes).unwrap();
        plain.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        _ = plain.read_to_end(&mut answer); // closed or reset, and nothing but an alert before
        assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    }
    one.complains("does not speak TLS 1.3");
    let two = node(2);
    introduce(&[(1, &one), (2, &two)]);
    reaches(&two, 1, &one);
}

/// What happens to one who holds the join key, greets so, and then writes these bytes.
fn knock(at: &Node, greeting: Greeting, then: &[u8]) -> (Option<Verdict>, bool) {
    let knocker = node(5);
    let address = at.address();
    let (shared, then) = (knocker.network.shared.clone(), then.to_vec());
    let (answer, answered) = mpsc::channel();
    knocker.network.runtime.spawn(async move {
        let purpose = greeting.purpose;
        // Greets by itself as node 5; a wrong greeting is written in its place by changing who we are.
        shared.own.send_replace(Own { node: greeting.from, ledger: greeting.ledger });
        let mut stream = link::connect(&shared, &address, purpose, greeting.to).await.unwrap();
        stream.write_all(&then).await.unwrap();
        stream.flush().await.unwrap();
        let mut reply = [0; REPLY_BYTES];
        let verdict = match stream.read_exact(&mut reply).await {
            Ok(_) => Some(Reply::decode(&reply).unwrap().verdict),
            Err(_) => None,
        };
        let mut rest = Vec::new();
        let read = stream.read_to_end(&mut rest).await;
        answer.send((verdict, read.is_ok() || rest.is_empty())).unwrap();
    });
    answered.recv_timeout(PATIENCE).expect("it is answered or closed")
}

#[test]
fn a_connection_is_judged_by_its_certificate_and_the_membership() {
    let one = node(1);
    one.network.set_members(&[(NodeId(1), one.address()), (NodeId(5), NOWHERE.to_owned())]);
    let stream =
        |from, to| Greeting { purpose: Purpose::Stream, from: NodeId(from), to: NodeId(to), ledger: LEDGER };
    let verdict = |greeting| knock(&one, greeting, b"").0;
    assert_eq!(verdict(stream(6, 1)), Some(Verdict::Impostor), "the certificate says 5");
    assert_eq!(verdict(Greeting { ledger: NO_LEDGER, ..stream(5, 1) }), Some(Verdict::OtherLedger));
    one.network.set_members(&[(NodeId(1), one.address()), (NodeId(6), NOWHERE.to_owned())]);
    assert_eq!(verdict(stream(5, 1)), Some(Verdict::NotMember));
    one.complains("this node is no member");
    one.complains("another number than its certificate");
}

#[test]
fn rubbish_of_a_member_closes_that_connection_and_nothing_else() {
    let one = node(1);
    one.network.set_members(&[(NodeId(1), one.address()), (NodeId(5), NOWHERE.to_owned())]);
    let greeting = Greeting { purpose: Purpose::Stream, from: NodeId(5), to: NodeId(1), ledger: LEDGER };
    let mut wrong_sum = message_header(1, b"votes").to_vec();
    wrong_sum.extend_from_slice(b"vetos");
    let mut unknown_kind = message_header(1, b"").to_vec();
    unknown_kind[4] = 77;
    for rubbish in [&wrong_sum, &unknown_kind, &vec![0xff; 4096]] {
        assert_eq!(knock(&one, greeting, rubbish), (Some(Verdict::Welcome), true));
    }
    one.complains("what came is malformed: the checksum of a frame does not match");
    one.complains("what came is malformed: a frame is longer than frames may be");
    assert!(one.delivered.try_recv().is_err(), "nothing of it was delivered");
}

#[test]
fn a_wrong_node_at_an_address_is_not_spoken_to() {
    let (one, three) = (node(1), node(3));
    one.network.set_members(&[(NodeId(2), three.address())]);
    eventually("the number is compared", || {
        one.peer(2).trouble.is_some_and(|trouble| trouble.contains("node 3 is at this address, not node 2"))
    });
}

#[test]
fn a_newcomer_may_ask_and_nothing_else_until_it_has_a_number() {
    let one = node(1);
    one.network.on_ask(|asker, question| async move {
        assert_eq!((asker.is_member, asker.from.ip().is_loopback()), (asker.ledger == LEDGER, true));
        Bytes::from(format!("{} asks {}", asker.node, question.len()))
    });
    let newcomer = started(config("hall", 1, "127.0.0.1:0"), 0, NO_LEDGER);
    introduce(&[(1, &one), (2, &newcomer)]);
    assert_eq!(newcomer.ask(&one.address(), b"join?").unwrap(), "0 asks 5");
    newcomer.network.send(NodeId(1), 1, Bytes::from_static(b"?"));
    eventually("it cannot be reached under a number it does not have", || {
        one.peer(2).trouble.is_some_and(|trouble| trouble.contains("node 0 is at this address, not node 2"))
    });
    assert!(one.delivered.try_recv().is_err());
    newcomer.network.set_own(NodeId(2), LEDGER).unwrap();
    reaches(&newcomer, 1, &one);
    reaches(&one, 2, &newcomer);
    assert_eq!(newcomer.ask(&one.address(), b"again").unwrap(), "2 asks 5");
}

#[test]
fn a_node_that_learns_its_number_after_the_membership_does_not_call_itself() {
    let (one, two) = (started(config("hall", 1, "127.0.0.1:0"), 0, NO_LEDGER), node(2));
    introduce(&[(1, &one), (2, &two)]);
    one.network.set_own(NodeId(1), LEDGER).unwrap();
    assert_eq!(one.network.peers().iter().map(|peer| peer.id.0).collect::<Vec<_>>(), [2]);
    reaches(&one, 2, &two);
}

#[test]
fn whoever_is_removed_is_cut_off() {
    let (one, two) = (node(1), node(2));
    introduce(&[(1, &one), (2, &two)]);
    reaches(&two, 1, &one);
    one.network.set_members(&[(NodeId(1), one.address())]);
    eventually("it is told", || two.peer(1).trouble.is_some_and(|trouble| trouble.contains("no member")));
    two.network.send(NodeId(1), 1, Bytes::from_static(b"still here"));
    std::thread::sleep(Duration::from_millis(300)); // nothing to wait for: that nothing comes is the point
    assert!(one.delivered.try_iter().all(|(_, lane, _)| lane == KNOCK));
}

#[test]
fn questions_are_limited_in_length_time_and_number() {
    let (one, two) = (node(1), node(2));
    assert!(matches!(two.ask(&one.address(), b"?"), Err(LinkError::Busy)), "nobody answers yet");
    one.network.on_ask(|_, question| async move { question });
    let largest = Bytes::from(vec![9; ASK_BYTES_MAX]);
    let answer = two.network.ask_blocking(&one.address(), largest.clone(), PATIENCE).unwrap();
    assert!(answer == largest);
    let larger = Bytes::from(vec![9; ASK_BYTES_MAX + 1]);
    let refused = two.network.ask_blocking(&one.address(), larger, PATIENCE).unwrap_err();
    assert!(matches!(refused.reason, LinkError::TooLarge));
    assert_eq!(refused.address, one.address());
    assert!(matches!(two.ask(NOWHERE, b"?"), Err(LinkError::Connection(_))));

    let gate = Arc::new(Semaphore::new(0));
    let (arrived, arrivals) = mpsc::channel();
    let waiting = gate.clone();
    one.network.on_ask(move |_, question| {
        arrived.send(()).unwrap();
        let gate = waiting.clone();
        async move {
            drop(gate.acquire().await);
            question
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let asked: Vec<_> = (0..ASKS_MAX)
        .map(|_| runtime.spawn(two.network.ask(&one.address(), Bytes::from_static(b"slow"), PATIENCE)))
        .collect();
    (0..ASKS_MAX).for_each(|_| arrivals.recv_timeout(PATIENCE).unwrap());
    assert!(matches!(two.ask(&one.address(), b"one more"), Err(LinkError::Busy)));
    gate.add_permits(ASKS_MAX);
    for answer in asked {
        assert_eq!(runtime.block_on(answer).unwrap().unwrap(), "slow");
    }
    one.network.on_ask(|_, _| std::future::pending());
    let short = Duration::from_millis(50);
    let late = two.network.ask_blocking(&one.address(), Bytes::new(), short).unwrap_err();
    assert!(matches!(late.reason, LinkError::TimedOut));
}

#[test]
fn a_renewed_certificate_serves_at_once_and_breaks_nothing() {
    let (one, two) = (node(1), node(2));
    one.network.on_ask(|_, question| async move { question });
    introduce(&[(1, &one), (2, &two)]);
    reaches(&one, 2, &two);
    one.network.renew().unwrap();
    two.network.renew().unwrap();
    assert_eq!(two.ask(&one.address(), b"new").unwrap(), "new");
    one.network.send(NodeId(2), 1, Bytes::from_static(b"the old connection"));
    assert_eq!(two.next().2, "the old connection");
}

#[test]
fn a_taken_port_is_named() {
    let one = node(1);
    let address = one.network.address();
    let error = Network::bind(config("hall", 1, &address.to_string())).unwrap_err();
    assert!(matches!(error, NetError::PortTaken { address: taken } if taken == address));
    assert!(error.to_string().contains(&format!("port {}", address.port())));
    let bound = Network::bind(config("hall", 1, "127.0.0.1:0")).unwrap();
    assert_eq!(bound.advertised(), bound.address().to_string());
}

/// With beacons within this machine, on a port that this test alone uses.
fn calling(key: u8, own: u64, ledger: LedgerId, beacon_port: u16) -> Node {
    let config = NetworkConfig { beacons: true, beacon_port, ..config("hall", key, "127.0.0.1:0") };
    started(config, own, ledger)
}

#[test]
fn nodes_hear_each_others_beacons_and_two_clusters_each_say_that_they_see_the_other() {
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let one = calling(1, 1, LEDGER, port);
    one.network.set_standing(Standing { is_leading: true, term: 3, last: 40 });
    let blank = calling(1, 0, NO_LEDGER, port);
    let other = calling(1, 1, LedgerId([9; 16]), port);
    let stranger = calling(2, 1, LedgerId([9; 16]), port);
    eventually("the blank node sees the leader", || {
        blank.network.sightings().iter().any(|Sighting { beacon, .. }| {
            beacon.address == one.address() && (beacon.term, beacon.last, beacon.is_leading) == (3, 40, true)
        })
    });
    let sees = |node: &Node, cluster: &[u8; 16], address: &str| {
        node.network.other_clusters().iter().any(|it| it.cluster.0 == *cluster && it.address == address)
    };
    eventually("one sees the other cluster", || sees(&one, &[9; 16], &other.address()));
    eventually("and is seen by it", || sees(&other, &LEDGER.0, &one.address()));
    one.complains("another cluster of the same name and join key");
    eventually("beacons under another key are counted", || one.network.beacons_refused() > 0);
    assert!(one.network.sightings().iter().all(|sighting| sighting.beacon.address != stranger.address()));
    assert_eq!(
        blank.network.other_clusters(),
        [],
        "a blank node has no cluster that another could be other than"
    );
    assert_eq!(stranger.network.sightings(), []);
}
