//! An officer who creates, opens, pauses and closes elections, each time at another server.

use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::hall::PATIENCE;
use crate::history::{Act, ActKind};
use crate::random::Random;
use crate::support::{OFFICER, now, post};
use crate::voters::{Phase, Stage, client, code, definition};

/// Elections that are open at the same time.
const OPEN_AT_ONCE: usize = 2;

pub struct Officer<'a> {
    stage: &'a Stage,
    agent: ureq::Agent,
    random: Random,
    pub acts: Vec<Act>,
}

impl<'a> Officer<'a> {
    pub fn new(stage: &'a Stage, seed: u64) -> Self {
        // Longer than a server waits before it says that it does not know yet.
        let agent = client(Duration::from_secs(8));
        Self { stage, agent, random: Random::new(seed), acts: Vec::new() }
    }

    /// Creates and opens the next election.
    pub fn open_one(&mut self) {
        let number = self.stage.elections.read().expect("no client panics").len();
        self.act(number, ActKind::Create);
        self.act(number, ActKind::Open);
        self.stage.elections.write().expect("no client panics").push(Phase::Open);
    }

    /// Until all is over; then closes what is open.
    pub fn run(mut self) -> Vec<Act> {
        while !self.stage.is_over() {
            let open = self.open();
            if open.len() < OPEN_AT_ONCE {
                self.open_one();
            } else if self.random.below(3) == 0 {
                self.change(open[0], ActKind::Close, Phase::Closed);
            } else {
                let election = *self.random.pick(&open);
                self.change(election, ActKind::Pause, Phase::Paused);
                self.rest(400);
                self.change(election, ActKind::Open, Phase::Open);
            }
            self.rest(3_000);
        }
        for election in self.open() {
            self.change(election, ActKind::Close, Phase::Closed);
        }
        self.acts
    }

    fn rest(&mut self, millis: u64) {
        let until = now() + Duration::from_millis(millis / 2 + self.random.below(millis));
        while now() < until && !self.stage.is_over() {
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn open(&self) -> Vec<usize> {
        let elections = self.stage.elections.read().expect("no client panics");
        (0..elections.len()).filter(|number| elections[*number] != Phase::Closed).collect()
    }

    fn change(&mut self, election: usize, what: ActKind, phase: Phase) {
        // Who votes meanwhile may be told either.
        self.act(election, what);
        self.stage.elections.write().expect("no client panics")[election] = phase;
    }

    /// Asks until it is done, each time at another server.
    pub fn act(&mut self, election: usize, what: ActKind) {
        let (mut requests, mut may_be_done, until) = (0, false, now() + PATIENCE);
        let mut place = self.random.below(self.stage.bases.len() as u64) as usize;
        let begun = self.stage.clock.now();
        loop {
            requests += 1;
            let (url, body) = match what {
                ActKind::Create => (
                    format!("{}/api/v1/elections", self.stage.bases[place]),
                    definition(&self.stage.slug(election)),
                ),
                other => (self.stage.url(place, election, &format!("/{}", other.word())), json!({})),
            };
            match post(&self.agent, &url, Some(OFFICER), None, &body) {
                Ok((200 | 201, _)) => break,
                Ok((409, _)) if may_be_done => break,
                Ok((429 | 503, problem)) => may_be_done |= code(&problem) == "not_known_yet",
                Err(_) => may_be_done = true,
                Ok((status, problem)) => {
                    let slug = self.stage.slug(election);
                    self.stage.complain(format!(
                        "officer: {} {slug} at machine {}: {status} {problem}",
                        what.word(),
                        place + 1
                    ));
                    if status != 404 {
                        break;
                    }
                }
            }
            if now() > until {
                self.stage.complain(format!("officer: {} {election} was never answered", what.word()));
                break;
            }
            place = self.stage.other_place(place, &mut self.random);
            thread::sleep(Duration::from_millis(50));
        }
        let ended = self.stage.clock.now();
        self.acts.push(Act { election, what, begun, ended, requests });
    }
}
