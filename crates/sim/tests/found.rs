//! What the simulation has found, each as small as it gets, so that it stays found.

use election::answers::encode_indices;
use election::ballot::{Extras, OpeningFields, write_opening};
use election::{
    Definition, ElectionId, ElectionIndex, Hlc, IdempotencyKey, OfficerCommand, Slug, UnixMillis, VoterTag,
};
use ledger::columns::TileWriter;
use ledger::faulty::{Crash, FaultyStorage};
use ledger::{LedgerOptions, Storage, StorageFile, Threads};
use node::caches::Disks;
use node::core::{Answer, CoreLimits, Effects, Event};
use node::engine::{Engine, EngineConfig};
use node::identity::Keys;
use node::{ClockReading, NodeError, PreparedBallot};
use proof::{Edge, Hash, LeafKind, NodeKey, Secret, TreeSize, leaf_hash, root_at};

/// A machine with a node on it, and time that only goes on.
struct Machine {
    disks: Disks<FaultyStorage>,
    engine: Option<Engine<FaultyStorage, u64>>,
    millis: u64,
}

impl Machine {
    fn new() -> Self {
        let disk = FaultyStorage::new;
        let disks = Disks { ledger: disk(1), cache: disk(2), index: disk(3) };
        let mut machine = Machine { disks, engine: None, millis: 1_000 };
        machine.start().unwrap();
        machine
    }

    fn start(&mut self) -> Result<(), NodeError> {
        let secret = || Secret::from_bytes([7; 32]);
        let config = EngineConfig {
            keys: Keys::new(secret(), NodeKey::new(1, &secret())),
            limits: CoreLimits { max_concurrent: 16 },
            options: LedgerOptions {
                segment_bytes_first: 16 << 10,
                segment_bytes_max: 16 << 10,
                threads: Threads::CallerOnly,
            },
            seed: [1; 32],
            officer: None,
            founding_officer: String::new(),
            new_epoch: None,
            snapshot_every_ballots: 1_000_000,
        };
        let clock = self.clock();
        self.engine = Some(Engine::open(self.disks.clone(), config, clock)?.engine);
        Ok(())
    }

    fn kill(&mut self) {
        self.engine = None;
    }

    fn stop(&mut self) {
        self.engine.take().unwrap().close().unwrap();
    }

    fn cut_power(&mut self) {
        self.kill();
        [&self.disks.ledger, &self.disks.cache, &self.disks.index]
            .into_iter()
            .for_each(|disk| disk.crash(Crash::LoseAll));
    }

    fn clock(&mut self) -> ClockReading {
        self.millis += 100;
        ClockReading { now: UnixMillis(self.millis), is_steady: true, error_millis: 0 }
    }

    fn engine(&mut self) -> &mut Engine<FaultyStorage, u64> {
        self.engine.as_mut().unwrap()
    }

    fn committed(&mut self) -> u64 {
        self.engine().committed().0
    }

    fn try_turn(&mut self, event: Option<Event<u64>>) -> Result<Option<Answer>, NodeError> {
        let (clock, mut effects) = (self.clock(), Effects::new());
        self.engine().turn(clock, event.into_iter(), &mut effects)?;
        Ok(effects.answers.pop().map(|(_, answer)| answer))
    }

    fn act(&mut self, command: OfficerCommand) -> Result<Option<Answer>, NodeError> {
        let stamp = Hlc::at(UnixMillis(self.millis));
        self.try_turn(Some(Event::Officer(stamp, Box::new(command), 0)))
    }

    fn open(&mut self, slug: &str, more: &str) -> ElectionIndex {
        let json = format!(
            r#"{{"slug":"{slug}","title":"T",{more}"contest":[{{"id":"c","title":"C","choices":["A","B"]}}]}}"#
        );
        let definition = Definition::from_json(&json).unwrap().to_json();
        self.act(OfficerCommand::Create { definition, roll: Vec::new() }).unwrap();
        self.act(OfficerCommand::Open { slug: slug_of(slug) }).unwrap();
        self.engine().core().state().by_slug(slug).unwrap().index
    }

    fn ballot(&mut self, election: ElectionIndex, voter: u8, choice: u16) -> Event<u64> {
        let id: ElectionId = self.engine().core().state().election(election).unwrap().id;
        let stamp = Hlc::at(UnixMillis(self.millis));
        let extras = Extras { stamp: Some(stamp), ..Extras::NONE };
        let (tag, key) = (VoterTag([voter; 16]), IdempotencyKey([voter; 16]));
        let fields = OpeningFields { nonce: [voter; 32], election: id, shard: 0, voter: tag, key, extras };
        let mut opening = Vec::new();
        write_opening(&mut opening, &fields, encode_indices(&[vec![choice]]).as_bytes());
        let leaf = leaf_hash(LeafKind::Ballot, &opening);
        let ballot = PreparedBallot { election, stamp, number: None, tag, key, opening, leaf };
        Event::Cast(ballot, 0)
    }

    fn cast(&mut self, election: ElectionIndex, voter: u8, choice: u16) -> Answer {
        let event = self.ballot(election, voter, choice);
        self.try_turn(Some(event)).unwrap().expect("a ballot is answered in its turn")
    }

    /// Root of the stored tree, and places stored.
    fn stored(&mut self, election: ElectionIndex) -> (proof::Hash, u64) {
        let size = self.engine().core().tree(election).edge.size();
        let readers = self.engine().readers(election).unwrap();
        (proof::root_at(size, &readers.tiles).unwrap(), readers.places.rows())
    }

    fn check_stored(&mut self, election: ElectionIndex) {
        let edge = self.engine().core().tree(election).edge.clone();
        assert_eq!(self.stored(election), (edge.root(), edge.size().0));
    }
}

fn slug_of(text: &str) -> Slug {
    text.parse().unwrap()
}

#[test]
fn who_lost_the_answer_may_ask_again_after_the_close() {
    let mut machine = Machine::new();
    let election = machine.open("lunch", r#""closing":{"after_voters":1},"#);
    assert!(matches!(machine.cast(election, 1, 0), Answer::Cast(_)));
    assert!(matches!(machine.cast(election, 1, 0), Answer::Repeated(_)));
    assert!(matches!(machine.cast(election, 2, 0), Answer::Repeated(_)), "only the disk can tell");
}

#[test]
fn an_election_made_after_the_snapshot_is_cached_once() {
    let mut machine = Machine::new();
    machine.open("first", "");
    machine.stop();
    machine.start().unwrap();
    let second = machine.open("second", "");
    (0..3).for_each(|voter| drop(machine.cast(second, voter, 0)));
    machine.kill();
    machine.start().unwrap();
    machine.check_stored(second);
}

#[test]
fn a_ledger_that_lost_its_last_file_is_refused_while_its_caches_know() {
    let mut machine = Machine::new();
    let election = machine.open("lunch", "");
    let segments = |machine: &Machine| {
        let files = machine.disks.ledger.list().unwrap();
        files.into_iter().map(|file| file.name).filter(|name| name.ends_with(".seg")).collect::<Vec<_>>()
    };
    for voter in 0..=255 {
        machine.cast(election, voter, 0);
        if segments(&machine).len() > 1 {
            break;
        }
    }
    machine.stop();
    machine.disks.ledger.remove(segments(&machine).last().unwrap()).unwrap();
    let refused = machine.start().unwrap_err();
    assert!(refused.is_damage(), "{refused}");
}

#[test]
fn a_cache_whose_sync_failed_is_in_no_snapshot() {
    let mut machine = Machine::new();
    let election = machine.open("lunch", "");
    // More leaves than a sector holds hashes, so that what comes later touches others.
    (0..40).for_each(|voter| drop(machine.cast(election, voter, 0)));
    machine.disks.cache.fail_sync(1);
    assert!(machine.engine().snapshot().is_err());
    machine.cast(election, 40, 1);
    // The disk seems well again; what it forgot it does not say.
    let _ = machine.engine().snapshot();
    machine.cut_power();
    machine.start().unwrap();
    machine.check_stored(election);
}

#[test]
fn a_mark_whose_sync_failed_is_written_again() {
    let mut machine = Machine::new();
    let election = machine.open("lunch", "");
    machine.cast(election, 77, 0);
    machine.disks.ledger.fail_sync(1);
    assert!(machine.engine().idle().unwrap_err().is_fatal());
    machine.kill();
    machine.start().unwrap();
    machine.cut_power();
    let (name, at) = machine
        .disks
        .ledger
        .contents()
        .into_iter()
        .find_map(|(name, bytes)| {
            let nonce = bytes.windows(32).position(|window| window == [77; 32])?;
            Some((name, nonce))
        })
        .unwrap();
    machine.disks.ledger.flip(&name, at, 1);
    let refused = machine.start().unwrap_err();
    assert!(refused.is_damage(), "{refused}");
}

#[test]
fn a_tile_level_left_by_a_crash_that_took_its_leaves_begins_anew() {
    let storage = FaultyStorage::new(1);
    storage.create("tree.1").unwrap().write_at(&[&[0; 32]], 0).unwrap();
    let mut tiles = TileWriter::open(storage, "tree").unwrap();
    let mut edge = Edge::new();
    for leaf in 0..=255 {
        let hash = Hash([leaf; 32]);
        tiles.push(0, &hash).unwrap();
        edge.append_with(hash, |level, root| tiles.push(level, &root).unwrap());
    }
    tiles.publish().unwrap();
    assert_eq!(root_at(TreeSize(256), &tiles.reader()).unwrap(), edge.root());
}

#[test]
fn a_lot_that_was_drawn_is_not_drawn_at_each_start() {
    let mut machine = Machine::new();
    let election = machine.open("lunch", r#""draw":"server","#);
    (0..2).for_each(|voter| drop(machine.cast(election, voter, voter.into())));
    machine.act(OfficerCommand::Close { slug: slug_of("lunch") }).unwrap();
    machine.try_turn(None).unwrap();
    assert!(machine.engine().core().state().election(election).unwrap().draw.is_some());
    let before = machine.committed();
    machine.kill();
    machine.start().unwrap();
    machine.try_turn(None).unwrap();
    assert_eq!(machine.committed(), before);
}

#[test]
fn a_segment_named_by_a_killed_process_survives_the_power_cut_after_it() {
    let mut machine = Machine::new();
    let election = machine.open("lunch", "");
    let mut voter = 0;
    // A new segment takes three syncs: of its zeros, of its first entry, and of the folder with its name.
    loop {
        let before = machine.disks.ledger.list().unwrap().len();
        let event = machine.ballot(election, voter, 0);
        machine.disks.ledger.fail_sync(3);
        let outcome = machine.try_turn(Some(event));
        voter += 1;
        if outcome.is_err() {
            assert!(machine.disks.ledger.list().unwrap().len() > before, "it ended with a new segment");
            break;
        }
    }
    machine.kill();
    machine.start().unwrap();
    assert!(matches!(machine.cast(election, 255, 0), Answer::Cast(_)));
    let committed = machine.committed();
    machine.cut_power();
    machine.start().unwrap();
    assert_eq!(machine.committed(), committed);
}
