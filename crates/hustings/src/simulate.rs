//! Simulated voters for the demo: each gets a session and casts a ballot in every election, over real HTTP, at the
//! pace of people with phones in their hands.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Result;
use rand::RngExt as _;
use serde_json::{Value, json};

use crate::client::{Client, Token, election_path};
use crate::exit::Failure;

/// Voters at work at the same time.
const AT_ONCE_MAX: u64 = 16;
/// All of them together take about this long, however many they are.
const WHOLE_MILLIS: u64 = 25_000;
const PAUSE_MILLIS_MAX: u64 = 900;

/// An election they vote in: what the first voters choose, so that a small demo ends as a demo should, and what
/// there is to choose at random after that.
#[derive(Clone, Debug)]
pub struct Ballots {
    pub slug: &'static str,
    pub contest: &'static str,
    pub first: &'static [&'static str],
    pub choices: &'static [&'static str],
}

/// Voters on their threads.
#[derive(Debug)]
pub struct Crowd {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Crowd {
    /// Begins to vote: `voters` in all elections.
    pub fn start(client: &Client, voters: u64, ballots: &'static [Ballots]) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let next = Arc::new(AtomicU64::new(0));
        let at_once = voters.min(AT_ONCE_MAX);
        let pause = (WHOLE_MILLIS * at_once / voters.max(1)).min(PAUSE_MILLIS_MAX);
        let threads = (0..at_once).map(|_| {
            let (client, stop, next) = (client.with_token(None), Arc::clone(&stop), Arc::clone(&next));
            thread::spawn(move || {
                loop {
                    let voter = next.fetch_add(1, Ordering::Relaxed);
                    if voter >= voters || stop.load(Ordering::Relaxed) {
                        return;
                    }
                    vote_everywhere(&client, voter, ballots, pause, &stop);
                }
            })
        });
        Self { threads: threads.collect(), stop }
    }

    /// Tells them to stop and waits until they have.
    pub fn stop(self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let _ = thread.join();
        }
    }
}

/// A refusal (closed meanwhile) is part of the game; what cannot be reached is tried no further.
fn vote_everywhere(client: &Client, voter: u64, ballots: &[Ballots], pause: u64, stop: &AtomicBool) {
    for election in ballots {
        think(pause, stop);
        if stop.load(Ordering::Relaxed) {
            return;
        }
        if let Err(error) = vote(client, election, choice_of(election, voter)) {
            let code = error.downcast_ref::<Failure>().and_then(|failure| failure.code.clone());
            tracing::debug!(voter, election = election.slug, code, "a simulated ballot was not taken");
        }
    }
}

fn think(pause: u64, stop: &AtomicBool) {
    let mut left = rand::rng().random_range(pause / 3..=pause * 5 / 3 + 1);
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let step = left.min(50);
        thread::sleep(Duration::from_millis(step));
        left -= step;
    }
}

fn choice_of(election: &Ballots, voter: u64) -> &'static str {
    let first = usize::try_from(voter).ok().and_then(|voter| election.first.get(voter));
    match first {
        Some(choice) => choice,
        None => election.choices[rand::rng().random_range(0..election.choices.len())],
    }
}

fn vote(client: &Client, election: &Ballots, choice: &str) -> Result<Value> {
    let session = client.post(&election_path(election.slug, "/sessions"), Some(&json!({})))?;
    let token = Token::new(session["token"].as_str().unwrap_or_default())?;
    let body = json!({"choices": {election.contest: [choice]}});
    client.with_token(Some(token)).post(&election_path(election.slug, "/ballots"), Some(&body))
}
