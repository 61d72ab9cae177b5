//! Simulated voters at all three servers, who ask another one with the same key when theirs does not answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::{Client, Token, election_path};
use crate::clock;

pub const CHOICES: [&str; 3] = ["Yes, it is", "It never stopped", "What was killed?"];
const CHOICE_IDS: [&str; 3] = ["yes-it-is", "it-never-stopped", "what-was-killed"];
const VOTERS: usize = 6;
const PAUSE: Duration = Duration::from_millis(150);

#[derive(Clone, Copy, Debug)]
pub struct Figures {
    pub acknowledged: u64,
    pub since_last: Duration,
    pub longest_gap: Duration,
    /// The longest time without a vote since the last fault that was asked for.
    pub gap_of_fault: Option<Duration>,
}

struct Counted {
    acknowledged: u64,
    last: Instant,
    longest_gap: Duration,
    fault: Option<(Instant, Duration)>,
}

pub struct Voters {
    counted: Arc<Mutex<Counted>>,
    is_over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

fn lock(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    counted.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Voters {
    pub fn start(clients: &[Client], slug: &'static str) -> Self {
        let counted = Arc::new(Mutex::new(Counted {
            acknowledged: 0,
            last: clock::now(),
            longest_gap: Duration::ZERO,
            fault: None,
        }));
        let is_over = Arc::new(AtomicBool::new(false));
        let vote = |number: usize| {
            let clients: Vec<Client> = clients.iter().map(|client| client.with_token(None)).collect();
            let (counted, is_over) = (Arc::clone(&counted), Arc::clone(&is_over));
            thread::spawn(move || vote_on_and_on(&clients, slug, number, &counted, &is_over))
        };
        let threads = (0..VOTERS).map(vote).collect();
        Self { counted, is_over, threads }
    }

    /// From here on the gap of a fault is counted.
    pub fn mark(&self) {
        lock(&self.counted).fault = Some((clock::now(), Duration::ZERO));
    }

    pub fn figures(&self) -> Figures {
        let counted = lock(&self.counted);
        let since_last = counted.last.elapsed();
        let gap_of_fault = counted.fault.map(|(at, gap)| gap.max(since_last.min(at.elapsed())));
        Figures {
            acknowledged: counted.acknowledged,
            since_last,
            longest_gap: counted.longest_gap.max(since_last),
            gap_of_fault,
        }
    }

    pub fn stop(&mut self) -> Figures {
        let figures = self.figures();
        self.is_over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        Figures { acknowledged: lock(&self.counted).acknowledged, ..figures }
    }
}

fn vote_on_and_on(
    clients: &[Client],
    slug: &str,
    number: usize,
    counted: &Mutex<Counted>,
    is_over: &AtomicBool,
) {
    let mut at = number % clients.len();
    let mut votes = number;
    while !is_over.load(Ordering::Relaxed) {
        votes += 1;
        let key = format!("demo-{number}-{votes}");
        let mut token: Option<Token> = None;
        while !is_over.load(Ordering::Relaxed) {
            if cast(&clients[at], slug, &mut token, &key, CHOICE_IDS[votes % CHOICE_IDS.len()]).is_some() {
                count(counted);
                break;
            }
            at = (at + 1) % clients.len();
            thread::sleep(Duration::from_millis(30));
        }
        thread::sleep(PAUSE);
    }
}

/// A session, once, and a vote with it.
fn cast(client: &Client, slug: &str, token: &mut Option<Token>, key: &str, choice: &str) -> Option<()> {
    if token.is_none() {
        let session = client.post(&election_path(slug, "/sessions"), None).ok()?;
        *token = Token::new(session["token"].as_str()?).ok();
    }
    let body = json!({"choices": {"answer": [choice]}});
    let voter = client.with_token(token.clone());
    voter.post_with(&election_path(slug, "/ballots"), Some(&body), &[("idempotency-key", key)]).ok()?;
    Some(())
}

fn count(counted: &Mutex<Counted>) {
    let mut counted = lock(counted);
    let gap = counted.last.elapsed();
    counted.longest_gap = counted.longest_gap.max(gap);
    if let Some((at, longest)) = &mut counted.fault {
        *longest = (*longest).max(gap.min(at.elapsed()));
    }
    counted.acknowledged += 1;
    counted.last = clock::now();
}
