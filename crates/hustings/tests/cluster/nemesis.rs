//! Faults, one after the other and now and then two at once, from a seed; after each the cluster must become whole.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use crate::delay::SlowLines;
use crate::hall::{Cuts, Hall, PATIENCE};
use crate::history::At;
use crate::machine::EXIT_IO;
use crate::random::Random;
use crate::support::now;
use crate::voters::Stage;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    KillLeader,
    KillFollower,
    KillMajority,
    KillAll,
    FreezeLeader,
    FreezeFollower,
    CutLeaderOff,
    Split,
    LeaderDeaf,
    LeaderMute,
    AllApart,
    Loss,
    SlowLines,
    ClockJump,
    ClockDrift,
    FailedSync,
    FullDisk,
    EmptyCaches,
    Transfer,
    RollingRestart,
    Replace,
}

impl Kind {
    /// The most telling first: a short run begins with these.
    pub const ALL: [Kind; 21] = [
        Kind::KillLeader,
        Kind::CutLeaderOff,
        Kind::FreezeLeader,
        Kind::Transfer,
        Kind::FailedSync,
        Kind::Split,
        Kind::LeaderMute,
        Kind::Replace,
        Kind::LeaderDeaf,
        Kind::Loss,
        Kind::KillMajority,
        Kind::RollingRestart,
        Kind::FullDisk,
        Kind::SlowLines,
        Kind::KillFollower,
        Kind::ClockJump,
        Kind::EmptyCaches,
        Kind::AllApart,
        Kind::FreezeFollower,
        Kind::KillAll,
        Kind::ClockDrift,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Kind::KillLeader => "kill -9 of the leader",
            Kind::KillFollower => "kill -9 of a follower",
            Kind::KillMajority => "kill -9 of a majority",
            Kind::KillAll => "kill -9 of all",
            Kind::FreezeLeader => "SIGSTOP of the leader",
            Kind::FreezeFollower => "SIGSTOP of a follower",
            Kind::CutLeaderOff => "leader cut off",
            Kind::Split => "majority and minority apart",
            Kind::LeaderDeaf => "leader hears nobody (one way)",
            Kind::LeaderMute => "nobody hears the leader (one way)",
            Kind::AllApart => "nobody hears anybody",
            Kind::Loss => "5 to 25 % of packets lost",
            Kind::SlowLines => "20 to 120 ms each way",
            Kind::ClockJump => "a clock jumps and comes back",
            Kind::ClockDrift => "a clock runs 2 % fast",
            Kind::FailedSync => "a sync fails",
            Kind::FullDisk => "a full disk",
            Kind::EmptyCaches => "restart without caches",
            Kind::Transfer => "planned transfer",
            Kind::RollingRestart => "drain, stop, start",
            Kind::Replace => "remove, empty disk, join",
        }
    }

    pub fn is_kill(self) -> bool {
        use Kind::*;
        matches!(self, KillLeader | KillFollower | KillMajority | KillAll | EmptyCaches | Replace)
    }

    pub fn is_partition(self) -> bool {
        use Kind::*;
        matches!(self, CutLeaderOff | Split | LeaderDeaf | LeaderMute | AllApart)
    }

    /// Whether a second fault on top leaves both as they are meant.
    fn goes_with_others(self) -> bool {
        use Kind::*;
        matches!(self, Loss | ClockJump | ClockDrift | FullDisk | FreezeFollower | KillFollower)
    }
}

/// A fault that was made and undone.
#[derive(Clone, Debug)]
pub struct Done {
    pub kind: Kind,
    /// Another one that was in force at the same time.
    pub with: Option<Kind>,
    pub begun: At,
    /// When all was undone, and when the cluster was whole again.
    pub undone: At,
    pub whole: At,
}

/// What ends a fault.
#[derive(Clone, Copy, Debug)]
enum Undo {
    Start(usize),
    Thaw(usize),
    Mend,
    SetClockRight(usize),
    FreeDisk(usize),
}

pub struct Nemesis<'a> {
    stage: &'a Stage,
    hall: &'a mut Hall,
    random: Random,
    slow: SlowLines,
    key: String,
    bag: Vec<Kind>,
    pub done: Vec<Done>,
}

impl<'a> Nemesis<'a> {
    pub fn new(stage: &'a Stage, hall: &'a mut Hall, seed: u64) -> Self {
        let slow = SlowLines::new(hall);
        let key = hall.machines[0].join_key();
        Self { stage, hall, random: Random::new(seed), slow, key, bag: Vec::new(), done: Vec::new() }
    }

    /// Makes faults for so long; the one under way is finished.
    pub fn run(mut self, duration: Duration) -> Vec<Done> {
        let begun = now();
        while begun.elapsed() < duration {
            let kind = self.next();
            let with = (self.random.below(4) == 0).then(|| self.next_beside(kind)).flatten();
            self.make(kind, with);
            thread::sleep(Duration::from_millis(300 + self.random.below(1_200)));
        }
        self.done
    }

    /// Every kind once, in another order each round; the first round in the order of [`Kind::ALL`], a little shaken.
    fn next(&mut self) -> Kind {
        if self.bag.is_empty() {
            self.bag = Kind::ALL.to_vec();
            match self.done.is_empty() {
                true => self.bag.chunks_mut(7).for_each(|chunk| self.random.shuffle(chunk)),
                false => self.random.shuffle(&mut self.bag),
            }
            self.bag.reverse();
        }
        self.bag.pop().expect("just filled")
    }

    fn next_beside(&mut self, kind: Kind) -> Option<Kind> {
        let place = self.bag.iter().rposition(|other| other.goes_with_others() && *other != kind)?;
        kind.goes_with_others().then(|| self.bag.remove(place))
    }

    fn make(&mut self, kind: Kind, with: Option<Kind>) {
        let begun = self.stage.clock.now();
        let both = with.map_or_else(String::new, |with| format!(" and {}", with.words()));
        eprintln!("{:8.3} s  {}{both}", begun as f64 / 1e6, kind.words());
        let mut undo = self.begin(kind);
        if let Some(with) = with {
            undo.extend(self.begin(with));
        }
        if !undo.is_empty() {
            thread::sleep(Duration::from_millis(800 + self.random.below(3_000)));
        }
        undo.into_iter().for_each(|step| self.undo(step));
        let undone = self.stage.clock.now();
        self.hall.settle();
        self.first_vote_after(undone);
        let whole = self.stage.clock.now();
        eprintln!("{:8.3} s    whole again", whole as f64 / 1e6);
        self.done.push(Done { kind, with, begun, undone, whole });
    }

    /// It is not whole before votes count.
    fn first_vote_after(&self, _undone: At) {
        let (before, until) = (self.stage.acknowledged.load(Ordering::Relaxed), now() + PATIENCE);
        while self.stage.acknowledged.load(Ordering::Relaxed) == before {
            assert!(now() < until, "no vote was taken any more:\n{}", self.hall.told());
            thread::sleep(Duration::from_millis(10));
        }
    }

    fn leader(&self) -> usize {
        let until = now() + PATIENCE;
        loop {
            if let Some(leader) = self.hall.leader().filter(|place| self.hall.machines[*place].is_running()) {
                return leader;
            }
            assert!(now() < until, "nobody leads:\n{}", self.hall.told());
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn follower(&mut self) -> usize {
        let leader = self.leader();
        let running = |place: &usize| *place != leader && self.hall.machines[*place].is_running();
        let followers: Vec<usize> = (0..self.hall.len()).filter(running).collect();
        *self.random.pick(&followers)
    }

    fn anybody(&mut self) -> usize {
        self.random.below(self.hall.len() as u64) as usize
    }

    fn begin(&mut self, kind: Kind) -> Vec<Undo> {
        match kind {
            Kind::KillLeader => vec![self.kill(self.leader())],
            Kind::KillFollower => {
                let follower = self.follower();
                vec![self.kill(follower)]
            }
            Kind::KillMajority => {
                let leader = self.leader();
                let many = self.hall.len() / 2 + 1;
                (0..many).map(|step| self.kill((leader + step) % self.hall.len())).collect()
            }
            Kind::KillAll => (0..self.hall.len()).map(|place| self.kill(place)).collect(),
            Kind::FreezeLeader => self.freeze(self.leader()),
            Kind::FreezeFollower => {
                let follower = self.follower();
                self.freeze(follower)
            }
            Kind::CutLeaderOff => self.part(BTreeSet::from([self.leader()])),
            Kind::Split => {
                let mut places: Vec<usize> = (0..self.hall.len()).collect();
                self.random.shuffle(&mut places);
                self.part(places[..(self.hall.len() - 1) / 2].iter().copied().collect())
            }
            Kind::LeaderDeaf => {
                let leader = self.leader();
                let deaf_to = (0..self.hall.len()).filter(|other| *other != leader).collect();
                self.hall.cut(leader, &Cuts { deaf_to, ..Cuts::default() });
                vec![Undo::Mend]
            }
            Kind::LeaderMute => {
                let leader = self.leader();
                for place in (0..self.hall.len()).filter(|place| *place != leader) {
                    self.hall.cut(place, &Cuts { deaf_to: BTreeSet::from([leader]), ..Cuts::default() });
                }
                vec![Undo::Mend]
            }
            Kind::AllApart => {
                let all: BTreeSet<usize> = (0..self.hall.len()).collect();
                self.everywhere(&Cuts { deaf_to: all, ..Cuts::default() })
            }
            Kind::Loss => {
                let loss_percent = 5 + self.random.below(21) as u8;
                self.everywhere(&Cuts { loss_percent, ..Cuts::default() })
            }
            Kind::SlowLines => {
                self.slow.set(Duration::from_millis(20 + self.random.below(101)));
                // What stands goes on undisturbed by a detour: it has to be made anew.
                let slow = Cuts { is_slow: true, ..Cuts::default() };
                self.everywhere(&Cuts { resets: true, ..slow.clone() });
                thread::sleep(Duration::from_millis(200));
                self.everywhere(&slow)
            }
            Kind::ClockJump => {
                let place = self.anybody();
                let seconds = 2 + self.random.below(600);
                let sign = if self.random.below(2) == 0 { '+' } else { '-' };
                self.hall.machines[place].set_clock(&format!("{sign}{seconds}"));
                vec![Undo::SetClockRight(place)]
            }
            Kind::ClockDrift => {
                let place = self.anybody();
                self.hall.machines[place].set_clock("+0 x1.02");
                vec![Undo::SetClockRight(place)]
            }
            Kind::FailedSync => {
                let place = self.anybody();
                self.hall.machines[place].fail_next_sync();
                let status = self.hall.machines[place].wait();
                assert_eq!(status.code(), Some(EXIT_IO), "{}", self.hall.machines[place].last_words());
                vec![Undo::Start(place)]
            }
            Kind::FullDisk => {
                let small = self.hall.machines.iter().position(|machine| machine.has_small_disk());
                let Some(place) = small.filter(|place| self.hall.machines[*place].is_running()) else {
                    return Vec::new();
                };
                self.hall.machines[place].fill_disk();
                vec![Undo::FreeDisk(place)]
            }
            Kind::EmptyCaches => {
                let place = self.anybody();
                let undo = self.kill(place);
                self.hall.machines[place].forget_caches();
                vec![undo]
            }
            Kind::Transfer => {
                let (leader, to) = (self.leader(), self.follower());
                let id = self.hall.id(to).expect("it runs");
                // Asked of any server.
                let asked = if self.random.below(2) == 0 { leader } else { to };
                self.insist(asked, "transfer", id);
                Vec::new()
            }
            Kind::RollingRestart => {
                let place = self.anybody();
                let id = self.hall.id(place).expect("it runs");
                self.insist(place, "drain", id);
                let status = self.hall.machines[place].stop();
                assert!(status.success(), "{status}: {}", self.hall.machines[place].last_words());
                vec![Undo::Start(place)]
            }
            Kind::Replace => {
                let (place, other) = (self.follower(), self.leader());
                let id = self.hall.id(place).expect("it runs");
                self.kill(place);
                self.insist(other, "remove", id);
                self.hall.machines[place].empty_disk();
                self.stage.starts[place].fetch_add(1, Ordering::SeqCst);
                let key = self.key.clone();
                self.hall.join(place, &key);
                Vec::new()
            }
        }
    }

    /// Asks it of the cluster until it is done.
    fn insist(&mut self, place: usize, what: &str, id: u64) {
        let until = now() + PATIENCE;
        loop {
            let answer = self.hall.ask(place, what, id);
            match &answer {
                Ok((200, _)) => return,
                // Removed already, by a request whose answer was lost.
                Ok((404, _)) if what == "remove" => return,
                _ => {}
            }
            assert!(now() < until, "{what} {id}: {answer:?}\n{}", self.hall.told());
            thread::sleep(Duration::from_millis(200));
        }
    }

    fn kill(&mut self, place: usize) -> Undo {
        self.hall.machines[place].kill();
        Undo::Start(place)
    }

    fn freeze(&mut self, place: usize) -> Vec<Undo> {
        self.hall.machines[place].freeze();
        vec![Undo::Thaw(place)]
    }

    /// `few` and the others do not hear each other.
    fn part(&mut self, few: BTreeSet<usize>) -> Vec<Undo> {
        for place in 0..self.hall.len() {
            let deaf_to = (0..self.hall.len()).filter(|other| few.contains(other) != few.contains(&place));
            self.hall.cut(place, &Cuts { deaf_to: deaf_to.collect(), ..Cuts::default() });
        }
        vec![Undo::Mend]
    }

    fn everywhere(&mut self, cuts: &Cuts) -> Vec<Undo> {
        for place in 0..self.hall.len() {
            self.hall.cut(place, cuts);
        }
        vec![Undo::Mend]
    }

    fn undo(&mut self, step: Undo) {
        match step {
            Undo::Start(place) => {
                self.stage.starts[place].fetch_add(1, Ordering::SeqCst);
                self.hall.machines[place].start_again();
            }
            Undo::Thaw(place) => self.hall.machines[place].thaw(),
            Undo::Mend => {
                self.hall.mend();
                self.slow.set(Duration::ZERO);
            }
            Undo::SetClockRight(place) => self.hall.machines[place].set_clock("+0"),
            Undo::FreeDisk(place) => self.hall.machines[place].free_disk(),
        }
    }
}
