//! Replicas in one thread, on disks in memory and a network that loses what it is told to: what a cluster answers.

use cluster::{CoreConfig, NodeId, NodeInfo, Role, RoomConfig, Seat};
use election::answers::{GivenAnswer, GivenAnswers, encode};
use election::ballot::{Extras, OpeningFields, write_opening};
use election::command::EpochReason;
use election::{Definition, ElectionIndex, Hlc, IdempotencyKey, OfficerCommand, UnixMillis, VoterTag};
use ledger::faulty::{Crash, FaultyStorage};
use ledger::{EntryKind, LedgerId, LedgerOptions, Threads};
use node::caches::Disks;
use node::core::{Answer, ChunkBallot, CoreLimits, Event, PreparedBallot, PreparedChunk};
use node::engine::EngineConfig;
use node::identity::Keys;
use node::letters::Lane;
use node::refound::{self, NewLog};
use node::replica::{Begin, Input, KINDS, Letter, NewEpoch, Out, PROGRAM_VERSION, Replica, ReplicaConfig};
use node::{BulkAnswer, ClockReading, ClusterError, ClusterRequest, SubmitError};
use proof::{LeafKind, NodeKey, Secret, leaf_hash};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const LUNCH: &str = r#"{"slug":"lunch","title":"Lunch?","results":"live","contest":[{"id":"food","title":"Food","choices":["Pizza","Sushi"]}]}"#;
const LEDGER: LedgerId = LedgerId([9; 16]);

struct Group {
    disks: BTreeMap<NodeId, Disks<FaultyStorage>>,
    up: BTreeMap<NodeId, Replica<FaultyStorage, u64>>,
    wire: VecDeque<(NodeId, Letter)>,
    cut: BTreeSet<NodeId>,
    /// Parcels that the network keeps for now, where it does.
    held: Option<Vec<(NodeId, Letter)>>,
    answers: BTreeMap<u64, Answer>,
    now: u64,
    tickets: u64,
    nonces: u8,
}

fn config(id: NodeId, begin: Begin) -> ReplicaConfig {
    let number = u16::try_from(id.0).unwrap();
    let keys =
        Keys::new(Secret::from_bytes([1; 32]), NodeKey::new(number, &Secret::from_bytes([number as u8; 32])));
    ReplicaConfig {
        engine: EngineConfig {
            keys,
            limits: CoreLimits { max_concurrent: 4096 },
            options: LedgerOptions { threads: Threads::CallerOnly, ..LedgerOptions::STANDARD },
            seed: [number as u8; 32],
            officer: None,
            founding_officer: "00".repeat(32),
            new_epoch: None,
            snapshot_every_ballots: 1_000,
        },
        core: CoreConfig { id, election_ticks: 20, heartbeat_ticks: 4, seed: id.0, kinds: KINDS },
        room: RoomConfig { stop_free_bytes: 0, reserve_bytes: 0 },
        begin,
        info: info(id),
    }
}

fn blank(seed: u64) -> Disks<FaultyStorage> {
    let disk = |number| FaultyStorage::new(seed + number);
    Disks { ledger: disk(0), cache: disk(100), index: disk(200) }
}

fn info(id: NodeId) -> NodeInfo {
    NodeInfo { address: format!("n{id}:1"), http_address: format!("http://n{id}"), version: PROGRAM_VERSION }
}

impl Group {
    fn empty() -> Self {
        Group {
            disks: BTreeMap::new(),
            up: BTreeMap::new(),
            wire: VecDeque::new(),
            cut: BTreeSet::new(),
            held: None,
            answers: BTreeMap::new(),
            now: 1_000_000,
            tickets: 0,
            nonces: 0,
        }
    }

    /// A cluster of `size` voters, with one open election.
    fn voting(size: u64) -> Self {
        let mut group = Group::empty();
        group.start(NodeId(1), Begin::Found(LEDGER));
        group.run(60);
        for id in (2..=size).map(NodeId) {
            let ticket = group.ticket();
            let leader = group.leader();
            group.give(leader, Input::Join(info(id), ticket));
            group.run(10);
            assert!(matches!(group.answers.remove(&ticket), Some(Answer::Joined(joined)) if joined == id));
            group.start(id, Begin::Join(LEDGER));
            group.run(200);
        }
        let leader = group.leader();
        let voters = group.up[&leader].membership().with_seat(Seat::Voter).count() as u64;
        assert_eq!(voters, size, "learners are promoted by themselves");
        for id in 1..=size {
            assert!(group.up[&NodeId(id)].is_registered(), "node {id} may sign");
        }
        let create = OfficerCommand::Create {
            definition: Definition::from_json(LUNCH).unwrap().to_json(),
            roll: Vec::new(),
        };
        group.act(NodeId(1), create);
        group.act(NodeId(size), OfficerCommand::Open { slug: "lunch".parse().unwrap() });
        group
    }

    fn start(&mut self, id: NodeId, begin: Begin) {
        let disks = self.disks.entry(id).or_insert_with(|| blank(id.0));
        let opened = Replica::open(disks, config(id, begin), clock(self.now)).unwrap();
        self.up.insert(id, opened.replica);
    }

    /// Power off.
    fn kill(&mut self, id: NodeId) {
        self.up.remove(&id).expect("it is up");
        let Disks { ledger, cache, index } = &self.disks[&id];
        [ledger, cache, index].into_iter().for_each(|disk| disk.crash(Crash::LoseAll));
    }

    fn ticket(&mut self) -> u64 {
        self.tickets += 1;
        self.tickets
    }

    fn give(&mut self, id: NodeId, input: Input<u64>) {
        let mut out = Out::new();
        let replica = self.up.get_mut(&id).expect("it is up");
        replica.turn(clock(self.now), std::iter::once(input), &mut out).unwrap();
        self.answers.extend(out.effects.answers);
        self.wire.extend(out.letters.into_iter().map(|letter| (id, letter)));
    }

    fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.now += 20;
            for id in self.up.keys().copied().collect::<Vec<_>>() {
                self.give(id, Input::Tick);
            }
            while let Some((from, Letter { to, lane, bytes })) = self.wire.pop_front() {
                if let Some(held) = self.held.as_mut().filter(|_| lane == Lane::Parcel) {
                    held.push((from, Letter { to, lane, bytes }));
                    continue;
                }
                let is_heard =
                    !self.cut.contains(&from) && !self.cut.contains(&to) && self.up.contains_key(&to);
                if is_heard {
                    self.give(to, Input::Letter { from, lane: lane as u8, bytes });
                }
            }
        }
    }

    fn leader(&self) -> NodeId {
        let leads = self
            .up
            .iter()
            .filter(|(id, replica)| replica.status().role == Role::Leader && !self.cut.contains(id));
        *leads.max_by_key(|(_, replica)| replica.status().term).expect("somebody leads").0
    }

    fn act(&mut self, id: NodeId, command: OfficerCommand) {
        let ticket = self.ticket();
        let stamp = self.up[&id].core().hlc().next(UnixMillis(self.now));
        self.give(id, Input::Event(Event::Officer(stamp, Box::new(command), ticket)));
        self.run(20);
        let answer = self.answers.remove(&ticket);
        assert!(matches!(answer, Some(Answer::Acted(_))), "{answer:?}");
    }

    fn ballot(&mut self, voter: u8, choice: &str, key: IdempotencyKey) -> PreparedBallot {
        self.nonces += 1;
        let replica = self.up.values().next().expect("one is up");
        let election = replica.core().state().election(ElectionIndex(0)).unwrap();
        let given = GivenAnswers(vec![("food".into(), GivenAnswer::Choices(vec![choice.into()]))]);
        let answers = encode(&election.definition, &given).unwrap();
        let stamp = Hlc::default().next(UnixMillis(self.now));
        let extras = Extras { stamp: Some(stamp), ..Extras::NONE };
        let tag = VoterTag([voter; 16]);
        let fields = OpeningFields {
            nonce: [self.nonces; 32],
            election: election.id,
            shard: 0,
            voter: tag,
            key,
            extras,
        };
        let mut opening = Vec::new();
        write_opening(&mut opening, &fields, answers.as_bytes());
        let leaf = leaf_hash(LeafKind::Ballot, &opening);
        PreparedBallot { election: ElectionIndex(0), stamp, number: None, tag, key, opening, leaf }
    }

    fn cast(&mut self, id: NodeId, ballot: PreparedBallot) -> u64 {
        let ticket = self.ticket();
        self.give(id, Input::Event(Event::Cast(ballot, ticket)));
        ticket
    }

    /// Everybody has applied the same, and counts the same.
    fn assert_equal(&self, votes: u64) {
        for (id, replica) in &self.up {
            let election = replica.core().state().election(ElectionIndex(0)).unwrap();
            assert_eq!(election.ballots, votes, "ballots on node {id}");
        }
        let roots: BTreeSet<_> = self
            .up
            .values()
            .map(|replica| replica.core().tree(ElectionIndex(0)).edge.root().to_hex())
            .collect();
        assert_eq!(roots.len(), 1, "one tree");
    }
}

fn clock(now: u64) -> ClockReading {
    ClockReading { now: UnixMillis(now), is_steady: true, error_millis: 0 }
}

fn key(number: u8) -> IdempotencyKey {
    IdempotencyKey([number; 16])
}

#[test]
fn any_node_takes_ballots_and_signs_what_it_answers() {
    let mut group = Group::voting(3);
    let mut tickets = Vec::new();
    for voter in 1..=9 {
        let ballot = group.ballot(voter, "pizza", key(voter));
        let id = NodeId(u64::from(voter % 3) + 1);
        tickets.push((id, group.cast(id, ballot)));
    }
    group.run(20);
    for (id, ticket) in tickets {
        let Some(Answer::Cast(receipt)) = group.answers.remove(&ticket) else { panic!("no receipt") };
        let public = group.up[&id].core().keys().node.public();
        proof::receipt::verify(&receipt.to_receipt(), Some(&public)).unwrap();
    }
    group.assert_equal(9);
}

#[test]
fn the_same_voter_at_two_nodes_in_the_same_instant_counts_once() {
    let mut group = Group::voting(3);
    let (first, second) = (group.ballot(1, "pizza", key(1)), group.ballot(1, "sushi", key(2)));
    let tickets = [group.cast(NodeId(1), first), group.cast(NodeId(2), second)];
    group.run(20);
    let accepted = tickets.iter().filter(|ticket| matches!(group.answers[ticket], Answer::Cast(_))).count();
    assert_eq!(accepted, 1);
    group.assert_equal(1);
}

#[test]
fn a_node_that_moved_says_so_when_it_is_back() {
    let mut group = Group::voting(3);
    group.kill(NodeId(2));
    let moved = NodeInfo { http_address: "http://elsewhere".to_owned(), ..info(NodeId(2)) };
    let changed = ReplicaConfig { info: moved, ..config(NodeId(2), Begin::Resume) };
    let opened = Replica::open(&group.disks[&NodeId(2)], changed, clock(group.now)).unwrap();
    group.up.insert(NodeId(2), opened.replica);
    group.run(150);
    for replica in group.up.values() {
        assert_eq!(replica.membership().get(NodeId(2)).unwrap().http_address, "http://elsewhere");
    }
}

#[test]
fn a_blank_node_at_a_known_address_gets_a_new_number_and_the_old_one_is_gone() {
    let mut group = Group::voting(3);
    let leader = group.leader();
    let lost = *group.up.keys().find(|id| **id != leader).unwrap();
    group.kill(lost);
    let leader = group.leader();
    let early = group.ticket();
    group.give(leader, Input::Join(info(lost), early));
    assert!(
        matches!(group.answers[&early], Answer::NotChanged(ClusterError::AddressTaken(_))),
        "it may be alive"
    );
    group.run(200);
    let leader = group.leader();
    let ticket = group.ticket();
    group.give(leader, Input::Join(info(lost), ticket));
    group.run(50);
    assert!(matches!(group.answers.remove(&ticket), Some(Answer::Joined(NodeId(4)))));
    let membership = group.up[&leader].membership();
    assert!(membership.get(lost).is_none() && membership.get(NodeId(4)).is_some());
}

#[test]
fn the_highest_leads_where_that_is_wanted_and_never_stands_in_the_way() {
    let mut group = Group::voting(3);
    group.run(2_000);
    assert_eq!(group.leader(), NodeId(1), "joining deposes nobody");
    for replica in group.up.values_mut() {
        replica.prefer_highest(true);
    }
    group.run(1_000);
    assert_eq!(group.leader(), NodeId(1), "it is not stable for long enough");
    group.run(1_000);
    assert_eq!(group.leader(), NodeId(3));
    group.kill(NodeId(3));
    group.run(3_000);
    assert_ne!(group.leader(), NodeId(3), "without the highest another one leads");
}

#[test]
fn a_drained_node_leads_no_more_until_it_is_started_again() {
    let mut group = Group::voting(3);
    let leader = group.leader();
    let other = *group.up.keys().find(|id| **id != leader).unwrap();
    let ticket = group.ticket();
    group.give(other, Input::Change(ClusterRequest::Drain(leader.0), ticket));
    group.run(60);
    assert!(matches!(group.answers.remove(&ticket), Some(Answer::Changed)));
    let next = group.leader();
    assert_ne!(next, leader);
    let ticket = group.ticket();
    group.give(next, Input::Change(ClusterRequest::Transfer(leader.0), ticket));
    group.run(100);
    assert_ne!(group.leader(), leader, "it hands over whatever it is given");
}

#[test]
fn a_ballot_on_its_way_when_the_leader_dies_is_recorded_by_the_next_one() {
    let mut group = Group::voting(3);
    let leader = group.leader();
    let other = *group.up.keys().find(|id| **id != leader).unwrap();
    let ballot = group.ballot(1, "pizza", key(1));
    let ticket = group.cast(other, ballot);
    // The parcel is on the wire, and goes down with the leader.
    group.kill(leader);
    group.run(150);
    assert!(matches!(group.answers[&ticket], Answer::Cast(_)), "{:?}", group.answers.get(&ticket));
    group.assert_equal(1);
    group.start(leader, Begin::Resume);
    group.run(100);
    group.assert_equal(1);
}

#[test]
fn without_a_majority_nobody_knows_and_the_retry_ends_in_the_truth() {
    let mut group = Group::voting(3);
    let leader = group.leader();
    let others: Vec<NodeId> = group.up.keys().copied().filter(|id| *id != leader).collect();
    group.cut.insert(leader);
    let ballot = group.ballot(1, "pizza", key(1));
    let ticket = group.cast(leader, ballot);
    group.run(400);
    let answer = group.answers.remove(&ticket);
    assert!(matches!(answer, Some(Answer::Refused(SubmitError::NotKnownYet))), "{answer:?}");
    // Asked again elsewhere, with the same key and answers, and a nonce of that node.
    let again = group.ballot(1, "pizza", key(1));
    let ticket = group.cast(others[0], again);
    group.run(20);
    assert!(matches!(group.answers[&ticket], Answer::Cast(_)));
    group.cut.clear();
    group.run(100);
    group.assert_equal(1);
}

#[test]
fn a_refusal_is_not_older_than_the_question() {
    let mut group = Group::voting(3);
    let leader = group.leader();
    let behind = *group.up.keys().find(|id| **id != leader).unwrap();
    group.act(leader, OfficerCommand::Pause { slug: "lunch".parse().unwrap() });
    // This one does not hear that voting goes on.
    group.cut.insert(behind);
    group.act(leader, OfficerCommand::Open { slug: "lunch".parse().unwrap() });
    let ballot = group.ballot(1, "pizza", key(1));
    let ticket = group.cast(behind, ballot);
    group.run(20);
    assert!(!group.answers.contains_key(&ticket), "it does not refuse what it cannot know");
    group.cut.clear();
    group.run(100);
    assert!(matches!(group.answers[&ticket], Answer::Cast(_)), "{:?}", group.answers.get(&ticket));
}

#[test]
fn a_bulk_request_at_a_follower_is_answered_line_by_line() {
    let mut group = Group::voting(3);
    let follower = *group.up.keys().find(|id| **id != group.leader()).unwrap();
    let ballots = [
        group.ballot(1, "pizza", key(1)),
        group.ballot(2, "sushi", key(2)),
        group.ballot(1, "sushi", key(3)),
    ];
    let mut chunk = PreparedChunk {
        election: ElectionIndex(0),
        bytes: Vec::new(),
        ballots: Vec::new(),
        with_receipts: true,
    };
    for ballot in &ballots {
        let PreparedBallot { stamp, number, tag, key, leaf, .. } = *ballot;
        let (start, length) = (chunk.bytes.len() as u32, ballot.opening.len() as u32);
        chunk.bytes.extend_from_slice(&ballot.opening);
        chunk.ballots.push(ChunkBallot { stamp, number, tag, key, leaf, start, length });
    }
    let ticket = group.ticket();
    group.give(follower, Input::Event(Event::Chunk(chunk, ticket)));
    group.run(20);
    let Some(Answer::Chunk(answers)) = group.answers.remove(&ticket) else { panic!("no answer") };
    assert!(matches!(
        answers[..],
        [BulkAnswer::Accepted(_), BulkAnswer::Accepted(_), BulkAnswer::Repeated(_)]
    ));
    group.assert_equal(2);
}

#[test]
fn every_node_keeps_what_it_answered_over_a_loss_of_power_of_all() {
    let mut group = Group::voting(3);
    for voter in 1..=20 {
        let ballot = group.ballot(voter, "pizza", key(voter));
        group.cast(NodeId(u64::from(voter % 3) + 1), ballot);
        group.run(2);
    }
    group.run(20);
    group.assert_equal(20);
    for id in [1, 2, 3].map(NodeId) {
        group.kill(id);
    }
    for id in [1, 2, 3].map(NodeId) {
        group.start(id, Begin::Resume);
    }
    group.run(150);
    group.assert_equal(20);
}

/// A parcel that is late is sent again. While one copy may still be put in order, that the other was refused is not the
/// end of it.
#[test]
fn who_is_told_that_a_ballot_is_refused_does_not_find_it_counted_later() {
    let mut group = Group::voting(3);
    let leader = group.leader();
    let node = NodeId(if leader == NodeId(1) { 2 } else { 1 });
    group.held = Some(Vec::new());
    let ballot = group.ballot(1, "pizza", key(1));
    let ticket = group.cast(node, ballot);
    group.run(60);
    let late = group.held.replace(Vec::new()).unwrap();
    assert_eq!(late.len(), 2, "it is sent again after a second");
    let slug = || "lunch".parse().unwrap();
    group.act(leader, OfficerCommand::Pause { slug: slug() });
    group.held = None;
    let mut late = late.into_iter();
    group.wire.extend(late.next());
    group.run(10);
    assert!(!group.answers.contains_key(&ticket), "the other copy may still come");
    group.act(leader, OfficerCommand::Open { slug: slug() });
    group.wire.extend(late);
    group.run(20);
    assert!(matches!(group.answers.remove(&ticket), Some(Answer::Cast(_))));
    group.assert_equal(1);
}

#[test]
fn a_cluster_made_of_anothers_log_begins_its_epoch_before_anything_else() {
    let mut group = Group::voting(3);
    for voter in 1..=3 {
        let ballot = group.ballot(voter, "pizza", key(voter));
        group.cast(NodeId(u64::from(voter)), ballot);
    }
    group.run(20);
    let (from, up_to) = (group.disks[&NodeId(2)].ledger.clone(), group.up[&NodeId(2)].applied());
    let (disks, log) = (blank(50), LedgerId([7; 16]));
    let begin = |ledger| {
        assert_eq!(ledger, LEDGER, "the name in all evidence stays");
        NewLog::of_cluster(disks.ledger.clone(), log, &info(NodeId(1)))
    };
    let copied = refound::copy(&from, up_to, begin, |_| {}).unwrap().unwrap();
    assert_eq!((copied.read.position, copied.epoch), (up_to, 1));
    assert_eq!(copied.membership.unwrap().members().count(), 3);

    let new = NewEpoch { epoch: 2, reason: EpochReason::Restored };
    let mut again = Group { now: group.now, nonces: 100, ..Group::empty() };
    let first = config(NodeId(1), Begin::Resume);
    let officer = "11".repeat(32);
    let engine = EngineConfig { officer: Some(officer.clone()), ..first.engine };
    let opened = Replica::open(&disks, ReplicaConfig { engine, ..first }, clock(again.now)).unwrap();
    again.disks.insert(NodeId(1), disks);
    again.up.insert(NodeId(1), opened.replica);
    again.up.get_mut(&NodeId(1)).unwrap().begin_epoch(new);
    let ballot = again.ballot(9, "sushi", key(9));
    let early = again.cast(NodeId(1), ballot);
    again.run(60);
    let Some(Answer::Cast(receipt)) = again.answers.remove(&early) else { panic!("no receipt") };
    assert_eq!(receipt.to_receipt().epoch, 2, "what came first waits for the epoch");
    again.assert_equal(4);
    let ticket = again.ticket();
    again.give(NodeId(1), Input::Join(info(NodeId(2)), ticket));
    again.run(10);
    again.start(NodeId(2), Begin::Join(log));
    again.run(200);
    again.assert_equal(4);
    for replica in again.up.values_mut() {
        let identity = replica.identity();
        assert_eq!((identity.ledger.0, identity.log.0, identity.epoch), (LEDGER.0, log.0, 2));
        assert!(replica.is_registered());
        assert_eq!(replica.core().state().ledger.as_ref().unwrap().officer, officer);
        replica.idle().unwrap();
        replica.snapshot().unwrap();
    }
    // Started again, both find their caches in order, and no other epoch begins.
    again.up.clear();
    for id in [NodeId(1), NodeId(2)] {
        let opened = Replica::open(&again.disks[&id], config(id, Begin::Resume), clock(again.now)).unwrap();
        assert_eq!(opened.notes, Vec::<String>::new());
        again.up.insert(id, opened.replica);
        again.up.get_mut(&id).unwrap().begin_epoch(new);
    }
    again.run(200);
    let ballot = again.ballot(10, "sushi", key(10));
    again.cast(NodeId(2), ballot);
    again.run(20);
    again.assert_equal(5);
    assert_eq!(again.up[&NodeId(1)].identity().epoch, 2);
}

#[test]
fn what_a_newer_program_brings_waits_until_every_node_runs_it() {
    const NEWER: &[(EntryKind, u32)] = &[(EntryKind(1), 1), (EntryKind(9), 2)];
    let newer = |id, begin| {
        let older = config(id, begin);
        let core = CoreConfig { kinds: NEWER, seed: id.0 + 100, ..older.core };
        let engine = EngineConfig { seed: [id.0 as u8 + 100; 32], ..older.engine };
        ReplicaConfig { engine, core, info: NodeInfo { version: 2, ..info(id) }, ..older }
    };
    let mut group = Group::voting(3);
    for (done, id) in (0..).zip([NodeId(3), NodeId(2), NodeId(1)]) {
        let floor = group.up[&group.leader()].membership().floor();
        assert_eq!(floor, 1, "one still runs the older program");
        group.kill(id);
        group.run(100);
        let opened = Replica::open(&group.disks[&id], newer(id, Begin::Resume), clock(group.now)).unwrap();
        group.up.insert(id, opened.replica);
        group.run(150);
        let ballot = group.ballot(done + 1, "pizza", key(done + 1));
        let ticket = group.cast(id, ballot);
        group.run(60);
        let answer = group.answers.remove(&ticket);
        assert!(matches!(answer, Some(Answer::Cast(_))), "{answer:?}");
        group.assert_equal(u64::from(done) + 1);
    }
    let leader = group.leader();
    assert_eq!(group.up[&leader].membership().floor(), 2, "all know what is new");
    let ticket = group.ticket();
    group.give(leader, Input::Join(info(NodeId(4)), ticket));
    group.run(20);
    let answer = group.answers.remove(&ticket);
    assert!(matches!(answer, Some(Answer::NotChanged(ClusterError::Refused(_)))), "{answer:?}");
}
