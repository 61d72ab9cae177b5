//! Phones of a room, in a process of their own: each joins with the code, opens the ballot, reads it, votes, keeps its
//! receipt, and waits for the result without asking again.
//!
//! What a phone does is what a browser without cached files does with the server's own pages: it follows redirects,
//! keeps cookies, sends back the forms it was served, and then follows the feed that the page names.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{BufWriter, ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde::{Deserialize, Serialize};

use super::http::{self, contains};
use super::{clock, page};

const READ_BYTES: usize = 64 * 1024;
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(clap::Args, Debug)]
pub struct PhonesArgs {
    #[arg(long)]
    address: SocketAddr,
    /// Join code of the room.
    #[arg(long)]
    code: String,
    #[arg(long)]
    phones: usize,
    /// All have voted after so long.
    #[arg(long)]
    secs: u64,
    /// Ends the run, with whatever has come.
    #[arg(long)]
    at_most_secs: u64,
    #[arg(long)]
    seed: u64,
    #[arg(long)]
    out: PathBuf,
}

/// What a phone does next, or waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    Join,
    Ballot,
    Style,
    Script,
    Review,
    ReviewPage,
    Cast,
    Receipt,
    Feed,
}

impl Step {
    pub const TIMED: [(Step, &str); 8] = [
        (Step::Join, "join"),
        (Step::Ballot, "ballot page"),
        (Step::Style, "stylesheet"),
        (Step::Script, "script"),
        (Step::Review, "review"),
        (Step::ReviewPage, "review page"),
        (Step::Cast, "cast"),
        (Step::Receipt, "receipt page"),
    ];
}

/// All that the phones saw.
#[derive(Default, Serialize, Deserialize)]
pub struct Seen {
    /// Microseconds from request to answer, by step in the order of [`Step::TIMED`].
    pub micros: [Vec<u64>; Step::TIMED.len()],
    pub receipts: usize,
    /// Unix microseconds at which each phone had the result.
    pub results: Vec<u64>,
    /// Unix microseconds of the last cast's acknowledgement, which closed the vote.
    pub last_cast: u64,
    pub faults: Vec<String>,
}

struct Phone {
    stream: TcpStream,
    step: Step,
    sent_at: Instant,
    inbox: Vec<u8>,
    outbox: Vec<u8>,
    cookies: Vec<(String, String)>,
    page: String,
    slug: String,
    style: String,
    script: String,
    has_result: bool,
}

struct Crowd<'a> {
    args: &'a PhonesArgs,
    poll: Poll,
    phones: Vec<Option<Phone>>,
    due: BinaryHeap<Reverse<(Instant, usize)>>,
    random: StdRng,
    seen: Seen,
    ends_at: Instant,
}

pub fn run(args: &PhonesArgs) -> anyhow::Result<()> {
    let began = clock::now();
    let mut crowd = Crowd {
        args,
        poll: Poll::new()?,
        phones: (0..args.phones).map(|_| None).collect(),
        due: BinaryHeap::new(),
        random: StdRng::seed_from_u64(args.seed),
        seen: Seen::default(),
        ends_at: began + Duration::from_secs(args.secs),
    };
    // They come in the first half, and vote when they have read, until the end of the second.
    let arrival = Duration::from_secs(args.secs) / 2;
    for phone in 0..args.phones {
        let at = began + arrival.mul_f64(crowd.random.random::<f64>());
        crowd.due.push(Reverse((at, phone)));
    }
    println!("ready");
    let mut events = Events::with_capacity(1024);
    let mut scratch = vec![0; READ_BYTES];
    let stops_at = began + Duration::from_secs(args.at_most_secs);
    while crowd.seen.results.len() + crowd.seen.faults.len() < args.phones && clock::now() < stops_at {
        let until_due = crowd
            .due
            .peek()
            .map_or(LOOK_EVERY, |Reverse((at, _))| at.saturating_duration_since(clock::now()));
        match crowd.poll.poll(&mut events, Some(until_due.min(LOOK_EVERY))) {
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            polled => polled?,
        }
        for event in &events {
            crowd.ready(event.token().0, &mut scratch);
        }
        while crowd.due.peek().is_some_and(|Reverse((at, _))| *at <= clock::now()) {
            let Some(Reverse((_, phone))) = crowd.due.pop() else { break };
            crowd.wake(phone);
        }
    }
    let mut out = BufWriter::new(File::create(&args.out)?);
    serde_json::to_writer(&mut out, &crowd.seen)?;
    out.flush().context("cannot write what the phones saw")
}

impl Crowd<'_> {
    /// A phone whose moment has come: it arrives, or has read its ballot.
    fn wake(&mut self, index: usize) {
        let woken = match self.phones[index] {
            None => self.arrive(index),
            Some(_) => self.review(index),
        };
        self.note(index, woken);
    }

    fn note(&mut self, index: usize, outcome: anyhow::Result<()>) {
        if let Err(error) = outcome {
            let step = self.phones[index].as_ref().map(|phone| phone.step);
            self.seen.faults.push(format!("phone {index}, {step:?}: {error:#}"));
            if let Some(mut phone) = self.phones[index].take() {
                let _ = self.poll.registry().deregister(&mut phone.stream);
            }
        }
    }

    fn arrive(&mut self, index: usize) -> anyhow::Result<()> {
        let stream = std::net::TcpStream::connect(self.args.address).context("connect")?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let mut stream = TcpStream::from_std(stream);
        self.poll.registry().register(&mut stream, Token(index), Interest::READABLE | Interest::WRITABLE)?;
        self.phones[index] = Some(Phone {
            stream,
            step: Step::Join,
            sent_at: clock::now(),
            inbox: Vec::new(),
            outbox: Vec::new(),
            cookies: Vec::new(),
            page: String::new(),
            slug: String::new(),
            style: String::new(),
            script: String::new(),
            has_result: false,
        });
        let path = format!("/j/{}", self.args.code);
        self.send(index, Step::Join, "GET", &path, None)
    }

    fn review(&mut self, index: usize) -> anyhow::Result<()> {
        let phone = self.phones[index].as_ref().context("it is there")?;
        let action = format!("/e/{}/review", phone.slug);
        let mut fields = page::hidden_fields(&phone.page, &action).context("the ballot's form is missing")?;
        let choices = page::choices(&phone.page);
        if choices.is_empty() {
            bail!("the ballot offers nothing");
        }
        let chosen = self.random.random_range(0..choices.len());
        fields.push(choices[chosen].clone());
        self.send(index, Step::Review, "POST", &action, Some(&fields))
    }

    fn send(
        &mut self,
        index: usize,
        step: Step,
        method: &str,
        path: &str,
        form: Option<&[(String, String)]>,
    ) -> anyhow::Result<()> {
        let phone = self.phones[index].as_mut().context("it is there")?;
        let accept = if step == Step::Feed { "text/event-stream" } else { "text/html" };
        let mut request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {}\r\naccept: {accept}\r\naccept-encoding: gzip\r\naccept-language: en\r\n",
            self.args.address
        );
        if !phone.cookies.is_empty() {
            let pairs: Vec<String> =
                phone.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
            request.push_str(&format!("cookie: {}\r\n", pairs.join("; ")));
        }
        let body = form.map_or_else(String::new, page::encode);
        if form.is_some() {
            let length = body.len();
            request.push_str(&format!(
                "content-type: application/x-www-form-urlencoded\r\ncontent-length: {length}\r\n"
            ));
        }
        request.push_str("\r\n");
        request.push_str(&body);
        phone.outbox.extend_from_slice(request.as_bytes());
        phone.step = step;
        phone.sent_at = clock::now();
        phone.flush()
    }

    fn ready(&mut self, index: usize, scratch: &mut [u8]) {
        let outcome = self.read(index, scratch);
        self.note(index, outcome);
    }

    fn read(&mut self, index: usize, scratch: &mut [u8]) -> anyhow::Result<()> {
        loop {
            let Some(phone) = self.phones[index].as_mut() else { return Ok(()) };
            phone.flush()?;
            match phone.stream.read(scratch) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => phone.inbox.extend_from_slice(&scratch[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            }
            if phone.step == Step::Feed {
                self.follow(index)?;
            } else {
                self.answer(index)?;
            }
        }
    }

    /// Takes an answer that has come whole, and does what a browser does next.
    fn answer(&mut self, index: usize) -> anyhow::Result<()> {
        let mut decoded = Vec::new();
        let phone = self.phones[index].as_mut().context("it is there")?;
        let Some(parsed) = http::parse(&phone.inbox, &mut decoded)? else { return Ok(()) };
        let body = parsed.body.of(&phone.inbox, &decoded).to_vec();
        let head = String::from_utf8_lossy(&phone.inbox[..parsed.length.min(4096)]).into_owned();
        phone.inbox.drain(..parsed.length);
        let micros = phone.sent_at.elapsed().as_micros() as u64;
        if let Some(place) = Step::TIMED.iter().position(|(step, _)| *step == phone.step) {
            self.seen.micros[place].push(micros);
        }
        page::keep_cookies(&head, &mut phone.cookies);
        let location = page::header(&head, "location").map(str::to_owned);
        let wanted = match phone.step {
            Step::Join | Step::Review | Step::Cast => 303,
            _ => 200,
        };
        if parsed.status != wanted {
            bail!(
                "answered {}, not {wanted}: {}",
                parsed.status,
                page::title(&String::from_utf8_lossy(&body))
            );
        }
        match phone.step {
            Step::Join => {
                let path = location.context("joining leads somewhere")?;
                phone.slug = path.trim_start_matches("/e/").to_owned();
                self.send(index, Step::Ballot, "GET", &path, None)
            }
            Step::Ballot => {
                phone.page = String::from_utf8(body).context("pages are UTF-8")?;
                phone.style =
                    page::attribute(&phone.page, "rel=\"stylesheet\" href=\"").context("a stylesheet")?;
                phone.script = page::attribute(&phone.page, "type=\"module\" src=\"").context("a script")?;
                let path = phone.style.clone();
                self.send(index, Step::Style, "GET", &path, None)
            }
            Step::Style => {
                let path = phone.script.clone();
                self.send(index, Step::Script, "GET", &path, None)
            }
            Step::Script => {
                let left = self.ends_at.saturating_duration_since(clock::now());
                let read = left.mul_f64(self.random.random::<f64>());
                self.due.push(Reverse((clock::now() + read, index)));
                Ok(())
            }
            Step::Review => {
                let path = location.context("the marks lead to their review")?;
                self.send(index, Step::ReviewPage, "GET", &path, None)
            }
            Step::ReviewPage => {
                let action = format!("/e/{}/cast", phone.slug);
                let text = String::from_utf8(body).context("pages are UTF-8")?;
                let fields = page::hidden_fields(&text, &action).context("the review's form is missing")?;
                self.send(index, Step::Cast, "POST", &action, Some(&fields))
            }
            Step::Cast => {
                let path = location.context("casting leads to the receipt")?;
                self.seen.receipts += usize::from(path.ends_with("/receipt"));
                if self.seen.receipts == self.args.phones {
                    self.seen.last_cast = clock::unix_micros();
                }
                self.send(index, Step::Receipt, "GET", &path, None)
            }
            Step::Receipt => {
                phone.page = String::from_utf8(body).context("pages are UTF-8")?;
                if !phone.page.contains("class=\"tracker\"") {
                    bail!("the receipt has no code");
                }
                let feed =
                    page::attribute(&phone.page, "data-events=\"").context("the page follows no feed")?;
                phone.page = String::new();
                self.send(index, Step::Feed, "GET", &feed, None)
            }
            Step::Feed => Ok(()),
        }
    }

    fn follow(&mut self, index: usize) -> anyhow::Result<()> {
        let phone = self.phones[index].as_mut().context("it is there")?;
        if phone.inbox.starts_with(b"HTTP/1.1 ") && !phone.inbox.starts_with(b"HTTP/1.1 200") {
            bail!(
                "the feed answered {}",
                String::from_utf8_lossy(&phone.inbox[..phone.inbox.len().min(200)])
            );
        }
        let Some(end) = phone.inbox.windows(2).rposition(|pair| pair == b"\n\n") else { return Ok(()) };
        let has_result = phone.inbox[..end].split(|byte| *byte == b'\n').any(|line| {
            line.starts_with(b"data:")
                && contains(line, b"\"state\":\"closed\"")
                && contains(line, b"\"outcome\":{")
        });
        phone.inbox.drain(..end + 2);
        if has_result && !phone.has_result {
            phone.has_result = true;
            self.seen.results.push(clock::unix_micros());
        }
        Ok(())
    }
}

impl Phone {
    fn flush(&mut self) -> anyhow::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(written) => drop(self.outbox.drain(..written)),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::NotConnected) => {
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
