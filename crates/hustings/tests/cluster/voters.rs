//! Load: voters who retry elsewhere, click twice at two servers, come back later and lie; bulk files; readers.
//! What each ballot says is unlike every other, so that a record tells by itself whose ballots it holds.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::hall::PATIENCE;
use crate::history::{Answer, Attempt, Cast, Clock, Reading};
use crate::random::Random;
use crate::support::{OFFICER, now, post};

/// Bits of a ballot's content: 20 tell the voter, 4 which of the voter's ballots it is.
pub const CONTENT_BITS: u32 = 24;
pub const VOTER_BITS: u32 = 20;
const CLIENT_TIMEOUT: Duration = Duration::from_secs(2);
const CLIENTS_ASKING_AGAIN: usize = 4;
const BULK_TIMEOUT: Duration = Duration::from_secs(20);

/// The election as far as the clients know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Open,
    Paused,
    Closed,
}

/// What all clients share.
#[derive(Debug)]
pub struct Stage {
    pub bases: Vec<String>,
    pub clock: Clock,
    /// By number; the name follows from it.
    pub elections: RwLock<Vec<Phase>>,
    pub is_over: AtomicBool,
    /// How often the server of each machine was started.
    pub starts: Vec<AtomicU32>,
    pub acknowledged: AtomicU64,
    pub wrong: Mutex<Vec<String>>,
    next_voter: AtomicU32,
    name: String,
}

impl Stage {
    /// `name`: what its elections' names begin with.
    pub fn new(name: &str, bases: Vec<String>) -> Self {
        Self {
            clock: Clock::new(),
            elections: RwLock::default(),
            is_over: AtomicBool::new(false),
            starts: bases.iter().map(|_| AtomicU32::new(1)).collect(),
            bases,
            acknowledged: AtomicU64::new(0),
            wrong: Mutex::default(),
            next_voter: AtomicU32::new(1),
            name: name.to_owned(),
        }
    }

    pub fn slug(&self, election: usize) -> String {
        format!("{}-{election}", self.name)
    }

    pub fn url(&self, place: usize, election: usize, what: &str) -> String {
        format!("{}/api/v1/elections/{}{what}", self.bases[place], self.slug(election))
    }

    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    pub fn complain(&self, what: String) {
        self.wrong.lock().expect("no client panics").push(what);
    }

    pub fn voter(&self) -> u32 {
        let voter = self.next_voter.fetch_add(1, Ordering::Relaxed);
        assert!(voter < 1 << VOTER_BITS, "as many voters as ballots can tell apart");
        voter
    }

    pub fn other_place(&self, place: usize, random: &mut Random) -> usize {
        let step = 1 + random.below(self.bases.len() as u64 - 1) as usize;
        (place + step) % self.bases.len()
    }

    /// One that is open, as far as one knows; now and then one that is not.
    fn election(&self, random: &mut Random) -> Option<usize> {
        let elections = self.elections.read().expect("no client panics");
        let wants_open = random.below(100) < 96;
        let fitting: Vec<usize> =
            (0..elections.len()).filter(|number| (elections[*number] == Phase::Open) == wants_open).collect();
        (!fitting.is_empty()).then(|| fitting[random.below(fitting.len() as u64) as usize])
    }
}

/// The definition of every election here: one contest with a choice for each bit.
pub fn definition(slug: &str) -> Value {
    let choice = |bit: u32| json!({"id": format!("b{bit}"), "name": format!("Bit {bit}")});
    let choices: Vec<Value> = (0..CONTENT_BITS).map(choice).collect();
    json!({
        "slug": slug, "title": "Faults", "results": "live",
        "contest": [{"id": "n", "title": "Which number?", "method": "approval", "choices": choices}],
    })
}

pub fn choices(content: u32) -> Value {
    let set: Vec<String> =
        (0..CONTENT_BITS).filter(|bit| content >> bit & 1 == 1).map(|bit| format!("b{bit}")).collect();
    json!({"n": set})
}

pub fn client(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .timeout_global(Some(timeout))
        .build()
        .into()
}

/// A person with a device.
pub struct Client<'a> {
    stage: &'a Stage,
    agent: ureq::Agent,
    random: Random,
    /// The server it goes to first.
    home: usize,
    /// Whether it always does: what a fault elsewhere costs these is the fault's, not their own patience.
    stays: bool,
    pub casts: Vec<Cast>,
}

impl<'a> Client<'a> {
    pub fn new(stage: &'a Stage, home: usize, stays: bool, seed: u64) -> Self {
        let agent = client(CLIENT_TIMEOUT);
        Self { stage, agent, random: Random::new(seed), home, stays, casts: Vec::new() }
    }

    /// Votes for one voter after another until all is over; each ballot is followed up until its answer is final.
    pub fn run(mut self) -> Vec<Cast> {
        while !self.stage.is_over() {
            match self.stage.election(&mut self.random) {
                Some(election) => self.vote(election),
                None => thread::sleep(Duration::from_millis(50)),
            }
            thread::sleep(Duration::from_millis(10 + self.random.below(40)));
        }
        self.casts
    }

    fn vote(&mut self, election: usize) {
        let voter = self.stage.voter();
        let token = match self.random.below(4) {
            0 => match self.session(election) {
                Some(token) => Some(token),
                None => return,
            },
            _ => None,
        };
        let ballot = |variant: u32| {
            let content = voter | variant << VOTER_BITS;
            let key = Some(format!("key-{content}-{election}"));
            Cast { election, content, voter, token: token.clone(), key, attempts: Vec::new(), receipt: None }
        };
        let first = ballot(0);
        match self.random.below(100) {
            // A double click at two servers, with the same key: one ballot.
            0..10 => self.two_at_once(first.clone(), first),
            // Without a key.
            10..16 => self.follow_up(Cast { key: None, ..first }),
            16..20 => {
                let keyless = Cast { key: None, ..first };
                self.two_at_once(keyless.clone(), keyless);
            }
            // Two ballots at once, at two servers: one of them counts.
            20..26 => {
                let second = ballot(1);
                self.two_at_once(first, second);
            }
            // Another ballot under the same key, later and elsewhere.
            26..32 => {
                let lie = Cast { key: first.key.clone(), ..ballot(2) };
                self.follow_up(first);
                self.follow_up(lie);
            }
            // Another ballot under another key.
            32..36 => {
                let lie = ballot(3);
                self.follow_up(first);
                self.follow_up(lie);
            }
            // The same again, later.
            36..44 => {
                self.follow_up(first.clone());
                self.follow_up(first);
            }
            _ => self.follow_up(first),
        }
    }

    /// A voter's token of a server's own making.
    fn session(&mut self, election: usize) -> Option<String> {
        let place = self.random.below(self.stage.bases.len() as u64) as usize;
        let answer = post(&self.agent, &self.stage.url(place, election, "/sessions"), None, None, &json!({}));
        let (_, body) = answer.ok()?;
        body["token"].as_str().map(str::to_owned)
    }

    fn two_at_once(&mut self, mut one: Cast, mut other: Cast) {
        let place = self.first_place();
        let elsewhere = self.stage.other_place(place, &mut self.random);
        let (stage, agent) = (self.stage, self.agent.clone());
        let attempts = thread::scope(|scope| {
            let second = scope.spawn(|| attempt(stage, &agent, elsewhere, &other));
            let first = attempt(stage, &self.agent, place, &one);
            [first, second.join().expect("no client panics")]
        });
        let [first, second] = attempts;
        take(stage, &mut one, first);
        take(stage, &mut other, second);
        self.follow_up(one);
        self.follow_up(other);
    }

    fn first_place(&mut self) -> usize {
        match self.random.below(4) {
            0 if !self.stays => self.random.below(self.stage.bases.len() as u64) as usize,
            _ => self.home,
        }
    }

    /// Asks until the answer is final, each time at another server.
    fn follow_up(&mut self, mut cast: Cast) {
        let until = now() + PATIENCE;
        let mut place = match cast.attempts.last() {
            Some(last) => self.stage.other_place(last.place, &mut self.random),
            None => self.first_place(),
        };
        while !cast.attempts.last().is_some_and(|attempt| is_final(&attempt.answer)) {
            if now() > until {
                break;
            }
            if !cast.attempts.is_empty() {
                thread::sleep(Duration::from_millis(20 + self.random.below(80)));
            }
            let attempt = attempt(self.stage, &self.agent, place, &cast);
            take(self.stage, &mut cast, attempt);
            place = self.stage.other_place(place, &mut self.random);
        }
        self.casts.push(cast);
    }
}

/// Who was told that a vote is not open asks once more when all is over and closed: by then the answer is final.
pub fn ask_again(stage: &Stage, casts: &mut [Cast], seed: u64) -> usize {
    let was_refused =
        |cast: &&mut Cast| *cast.final_answer() == Answer::Refused("election_not_open".to_owned());
    let has_key = |cast: &&mut Cast| cast.key.as_ref().is_some_and(|key| !key.starts_with("bulk"));
    let mut refused: Vec<&mut Cast> = casts.iter_mut().filter(was_refused).filter(has_key).collect();
    let count = refused.len();
    let share = count.div_ceil(CLIENTS_ASKING_AGAIN).max(1);
    thread::scope(|scope| {
        for (number, casts) in refused.chunks_mut(share).enumerate() {
            scope.spawn(move || {
                let (agent, mut random) = (client(BULK_TIMEOUT), Random::new(seed + number as u64));
                for cast in casts {
                    let (mut place, until) =
                        (random.below(stage.bases.len() as u64) as usize, now() + PATIENCE);
                    loop {
                        let again = attempt(stage, &agent, place, cast);
                        take(stage, cast, again);
                        if is_final(cast.final_answer()) || now() > until {
                            break;
                        }
                        place = stage.other_place(place, &mut random);
                    }
                }
            });
        }
    });
    count
}

fn is_final(answer: &Answer) -> bool {
    !matches!(answer, Answer::Open(_))
}

fn take(stage: &Stage, cast: &mut Cast, (attempt, receipt): (Attempt, Option<Value>)) {
    if receipt.is_some() {
        stage.acknowledged.fetch_add(1, Ordering::Relaxed);
        cast.receipt = receipt;
    }
    cast.attempts.push(attempt);
}

/// One request, and the receipt if there was one.
fn attempt(stage: &Stage, agent: &ureq::Agent, place: usize, cast: &Cast) -> (Attempt, Option<Value>) {
    let mut body = json!({"choices": choices(cast.content)});
    let token = cast.token.as_deref().unwrap_or_else(|| {
        body["voter"] = json!(format!("v{}", cast.voter));
        OFFICER
    });
    let begun = stage.clock.now();
    let answer =
        post(agent, &stage.url(place, cast.election, "/ballots"), Some(token), cast.key.as_deref(), &body);
    let ended = stage.clock.now();
    let (answer, receipt) = match answer {
        Ok((200 | 201, receipt)) if receipt["leaf"].is_string() => {
            let index = receipt["leaf_index"].as_u64().expect("a receipt has a place");
            let leaf = receipt["leaf"].as_str().expect("just seen").to_owned();
            (Answer::Recorded { index, leaf }, Some(receipt))
        }
        Ok((429 | 503, problem)) => (Answer::Open(code(&problem)), None),
        Ok((status, problem)) => {
            if !(400..500).contains(&status) {
                stage.complain(format!("{status} {problem} to {cast:?}"));
            }
            (Answer::Refused(code(&problem)), None)
        }
        Err(error) => (Answer::Open(short(&error)), None),
    };
    (Attempt { place, begun, ended, answer }, receipt)
}

pub fn code(problem: &Value) -> String {
    problem["code"].as_str().unwrap_or("no_code").to_owned()
}

fn short(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(_) => "no answer in time".to_owned(),
        _ => "connection broken".to_owned(),
    }
}

/// Bulk files of an officer's program: each is sent again, elsewhere, until every line is answered for good.
pub fn bulk(stage: &Stage, seed: u64, lines: u64) -> Vec<Cast> {
    let (agent, mut random, mut casts) = (client(BULK_TIMEOUT), Random::new(seed), Vec::new());
    let mut number = 0;
    while !stage.is_over() {
        let Some(election) = stage.election(&mut random) else {
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        number += 1;
        let count = 20 + random.below(lines);
        let mut file: Vec<Cast> = (0..count)
            .map(|_| {
                let voter = stage.voter();
                let key = Some(format!("bulk-{number}-{voter}"));
                Cast {
                    election,
                    content: voter,
                    voter,
                    token: None,
                    key,
                    attempts: Vec::new(),
                    receipt: None,
                }
            })
            .collect();
        send_until_final(stage, &agent, &mut random, &mut file);
        casts.extend(file);
        thread::sleep(Duration::from_millis(300 + random.below(700)));
    }
    casts
}

pub fn send_until_final(stage: &Stage, agent: &ureq::Agent, random: &mut Random, file: &mut [Cast]) {
    let until = now() + PATIENCE;
    let mut place = random.below(stage.bases.len() as u64) as usize;
    let is_open = |cast: &Cast| !cast.attempts.last().is_some_and(|last| is_final(&last.answer));
    while file.iter().any(is_open) && now() < until {
        send(stage, agent, place, file);
        place = stage.other_place(place, random);
        thread::sleep(Duration::from_millis(20 + random.below(100)));
    }
}

/// The whole file, as somebody sends it again who does not know what became of it.
fn send(stage: &Stage, agent: &ureq::Agent, place: usize, file: &mut [Cast]) {
    let line = |cast: &Cast| {
        let line =
            json!({"voter": format!("v{}", cast.voter), "key": cast.key, "choices": choices(cast.content)});
        line.to_string() + "\n"
    };
    let body: String = file.iter().map(line).collect();
    let begun = stage.clock.now();
    let answers = post_lines(agent, &stage.url(place, file[0].election, "/ballots/bulk"), body);
    let ended = stage.clock.now();
    for (number, cast) in file.iter_mut().enumerate() {
        let answer = match &answers {
            Ok(lines) => match lines.get(number) {
                Some(line) if line["ok"] == true => {
                    stage.acknowledged.fetch_add(1, Ordering::Relaxed);
                    let index = line["leaf_index"].as_u64().expect("a place");
                    Answer::Recorded { index, leaf: String::new() }
                }
                Some(line) if is_passing(&code(line)) => Answer::Open(code(line)),
                Some(line) => Answer::Refused(code(line)),
                None => Answer::Open("no line".to_owned()),
            },
            Err(why) => Answer::Open(why.clone()),
        };
        cast.attempts.push(Attempt { place, begun, ended, answer });
    }
}

/// Whether a code asks to come back.
fn is_passing(code: &str) -> bool {
    [
        "not_known_yet",
        "overloaded",
        "storage_full",
        "no_leader",
        "stopping",
        "rate_limited",
        "request_timeout",
    ]
    .contains(&code)
}

fn post_lines(agent: &ureq::Agent, url: &str, body: String) -> Result<Vec<Value>, String> {
    let mut answer = agent
        .post(url)
        .header("content-type", "application/x-ndjson")
        .header("authorization", format!("Bearer {OFFICER}"))
        .send(body)
        .map_err(|error| short(&error))?;
    let text =
        answer.body_mut().with_config().limit(1 << 28).read_to_string().map_err(|error| short(&error))?;
    let status = answer.status().as_u16();
    if status != 200 {
        let problem: Value = serde_json::from_str(&text).unwrap_or_default();
        return Err(format!("{status} {}", code(&problem)));
    }
    Ok(text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect())
}

/// Somebody who watches the turnout at one server.
pub fn read(stage: &Stage, place: usize, seed: u64) -> Vec<Reading> {
    let (agent, mut random, mut readings) = (client(CLIENT_TIMEOUT), Random::new(seed), Vec::new());
    while !stage.is_over() {
        thread::sleep(Duration::from_millis(60 + random.below(80)));
        let Some(election) = stage.election(&mut random) else { continue };
        let start = stage.starts[place].load(Ordering::SeqCst);
        let Ok(mut answer) = agent.get(stage.url(place, election, "/results")).call() else { continue };
        let at = stage.clock.now();
        let Ok(text) = answer.body_mut().read_to_string() else { continue };
        // What began before a restart and ended after it belongs to neither.
        if start != stage.starts[place].load(Ordering::SeqCst) || answer.status().as_u16() != 200 {
            continue;
        }
        let body: Value = serde_json::from_str(&text).expect("results are JSON");
        let number = |name: &str| body[name].as_u64().expect("a number");
        readings.push(Reading {
            place,
            start,
            election,
            at,
            position: number("position"),
            ballots: number("ballots"),
        });
    }
    readings
}

/// Who led when, as the servers say.
pub fn watch_leaders(stage: &Stage) -> Vec<(u64, u64)> {
    let mut leaders = Vec::new();
    while !stage.is_over() {
        for base in &stage.bases {
            let Some(view) = crate::hall::view_of(base) else { continue };
            let changes = view["elections"].as_array().cloned().unwrap_or_default();
            let seen = changes
                .iter()
                .filter_map(|change| Some((change["term"].as_u64()?, change["leader"].as_u64()?)));
            for pair in seen {
                if !leaders.contains(&pair) {
                    leaders.push(pair);
                }
            }
        }
        thread::sleep(Duration::from_millis(200));
    }
    leaders
}
