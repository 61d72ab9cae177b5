//! `demo --cluster`: three servers on this machine with a vote under way, and keys that kill one to see it go on.

use std::io::{BufRead as _, IsTerminal as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, atomic::AtomicBool, atomic::Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use node::OfficerToken;
use ratatui::crossterm::event::{self, Event as Input, KeyCode, KeyModifiers};
use serde_json::{Value, json};

use crate::cli::DemoArgs;
use crate::client::{Client, ServerOptions, Token, election_path};
use crate::clock;
use crate::commands::serve::officer_token_from_environment;
use crate::exit::{Exit, Failure};
use crate::hosting::StopSignals;
use crate::output::{Form, data, note};

mod servers;
mod view;
mod voters;

use servers::Servers;
use voters::Voters;

pub const SERVERS: usize = 3;
const SLUG: &str = "still-voting";
const FRAME_EVERY: Duration = Duration::from_millis(150);
const LINE_EVERY: Duration = Duration::from_secs(1);
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// What somebody wants to see happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    KillLeader,
    /// Kills that server, or starts it again.
    Toggle(usize),
    Transfer,
    Leave,
}

impl Wish {
    fn of_key(key: char) -> Option<Self> {
        match key {
            'k' => Some(Wish::KillLeader),
            't' => Some(Wish::Transfer),
            'q' => Some(Wish::Leave),
            '1'..='3' => Some(Wish::Toggle(key as usize - '1' as usize)),
            _ => None,
        }
    }
}

/// What is shown.
pub struct Seen {
    /// `GET /api/v1/cluster` of a server that answers.
    pub cluster: Value,
    pub results: Value,
    /// Whether each server's process runs.
    pub runs: [bool; SERVERS],
    pub addresses: Vec<String>,
    pub voters: voters::Figures,
    /// What happened last, the newest at the end.
    pub news: Vec<String>,
}

pub fn run(args: DemoArgs, options: ServerOptions, form: Form) -> Result<Exit> {
    let stop = StopSignals::catch()?;
    let is_stopped = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&is_stopped);
    thread::spawn(move || {
        stop.wait();
        stopped.store(true, Ordering::Relaxed);
    });
    let token = match officer_token_from_environment()? {
        Some(token) => token,
        None => OfficerToken::from_random(rand::random()),
    };
    let folder = tempfile::Builder::new().prefix("hustings-demo-").tempdir()?;
    let parent = args.data.unwrap_or_else(|| folder.path().to_owned());
    std::fs::create_dir_all(&parent).with_context(|| format!("cannot make `{}`", parent.display()))?;
    note("Starting three servers …");
    let mut demo = Demo::start(parent, token.text(), options, args.listen.map(|listen| listen.ip()))?;
    demo.say(format!("voting is open; vote yourself at {}/e/{SLUG}", demo.servers.voters_url(0)));
    let is_screen = !form.is_json() && std::io::stdout().is_terminal() && std::io::stdin().is_terminal();
    let result = if is_screen { demo.screen(&is_stopped) } else { demo.lines(form, &is_stopped) };
    demo.end()?;
    result
}

struct Demo {
    servers: Servers,
    clients: Vec<Client>,
    voters: Voters,
    news: Vec<String>,
    last_leader: Option<u64>,
}

impl Demo {
    fn start(
        parent: PathBuf,
        token: &str,
        options: ServerOptions,
        ip: Option<std::net::IpAddr>,
    ) -> Result<Self> {
        let servers = Servers::start(parent, token, ip)?;
        // A server that was killed answers nobody, and another one is asked soon.
        let client = |number| -> Result<Client> {
            let server = servers.local_url(number);
            let options =
                ServerOptions { server, officer_token_file: None, timeout_seconds: 3, ..options.clone() };
            Ok(Client::new(&options)?.with_token(Some(Token::new(token)?)))
        };
        let clients = (0..SERVERS).map(client).collect::<Result<Vec<_>>>()?;
        wait_until_whole(&clients)?;
        let definition = json!({
            "slug": SLUG, "title": "Is the vote still going on?", "results": "live",
            "contest": [{"id": "answer", "title": "Is the vote still going on?", "choices": voters::CHOICES}],
        });
        clients[0].post("/api/v1/elections", Some(&definition))?;
        clients[0].post(&election_path(SLUG, "/open"), None)?;
        let voters = Voters::start(&clients, SLUG);
        Ok(Self { servers, clients, voters, news: Vec::new(), last_leader: None })
    }

    fn say(&mut self, text: String) {
        self.news.push(text);
        let surplus = self.news.len().saturating_sub(6);
        self.news.drain(..surplus);
    }

    /// The newest of what the servers that run have to say.
    fn look(&mut self) -> Seen {
        let runs = self.servers.running();
        let answers = |path: &str| {
            let ask = |(client, _): (&Client, &bool)| client.get(path).ok();
            self.clients.iter().zip(&runs).filter(|(_, runs)| **runs).find_map(ask).unwrap_or(Value::Null)
        };
        let cluster = answers("/api/v1/cluster");
        let results = answers(&election_path(SLUG, "/results"));
        let leader = cluster["leader"].as_u64();
        if leader != self.last_leader {
            match leader {
                Some(leader) => self.say(format!("server {leader} leads")),
                None => self.say("nobody leads: the others are electing".to_owned()),
            }
            self.last_leader = leader;
        }
        Seen {
            cluster,
            results,
            runs,
            addresses: (0..SERVERS).map(|number| self.servers.voters_url(number)).collect(),
            voters: self.voters.figures(),
            news: self.news.clone(),
        }
    }

    /// Does it, and tells.
    fn do_it(&mut self, wish: Wish, seen: &Seen) {
        let done = match wish {
            Wish::KillLeader => match place_of(&seen.cluster, seen.cluster["leader"].as_u64(), &self.servers)
            {
                Some(number) => self.toggle(number),
                None => Err(anyhow::anyhow!("nobody leads at present")),
            },
            Wish::Toggle(number) => self.toggle(number),
            Wish::Transfer => self.transfer(seen),
            Wish::Leave => Ok(()),
        };
        if let Err(error) = done {
            self.say(format!("not done: {error:#}"));
        }
    }

    fn toggle(&mut self, number: usize) -> Result<()> {
        if self.servers.running()[number] {
            self.servers.kill(number);
            self.voters.mark();
            self.say(format!("killed the server at {} (kill -9)", self.servers.voters_url(number)));
        } else {
            self.servers.run(number)?;
            self.say(format!("started the server at {} again", self.servers.voters_url(number)));
        }
        Ok(())
    }

    fn transfer(&mut self, seen: &Seen) -> Result<()> {
        let leader = seen.cluster["leader"].as_u64();
        let mut nodes = seen.cluster["nodes"].as_array().into_iter().flatten();
        let next =
            nodes.rfind(|node| node["role"] == "follower" && node["heard_ms_ago"].as_u64() < Some(1_000));
        let next = next.and_then(|node| node["id"].as_u64()).context("there is no other server to lead")?;
        let number = place_of(&seen.cluster, leader, &self.servers).unwrap_or(0);
        self.voters.mark();
        self.clients[number].post("/api/v1/cluster/transfer", Some(&json!({"node": next})))?;
        self.say(format!("let server {next} lead"));
        Ok(())
    }

    fn screen(&mut self, is_stopped: &AtomicBool) -> Result<Exit> {
        let mut terminal = ratatui::try_init().context("cannot use the terminal")?;
        let mut show = || -> Result<()> {
            while !is_stopped.load(Ordering::Relaxed) {
                let seen = self.look();
                terminal.draw(|frame| view::draw(frame, &seen)).context("cannot draw")?;
                match pressed()? {
                    Some(Wish::Leave) => break,
                    Some(wish) => self.do_it(wish, &seen),
                    None => {}
                }
            }
            Ok(())
        };
        let result = show();
        ratatui::restore();
        result.map(|()| Exit::Ok)
    }

    /// One line a second; wishes come as lines, `k`, `1`, `t`, `q`.
    fn lines(&mut self, form: Form, is_stopped: &AtomicBool) -> Result<Exit> {
        let wishes = lines_of_stdin();
        let mut said = clock::now();
        let mut last_news = 0;
        loop {
            let seen = self.look();
            for line in self.news.iter().skip(last_news) {
                note(line);
            }
            last_news = self.news.len();
            if said.elapsed() >= LINE_EVERY {
                said = clock::now();
                form.result(&view::json(&seen), || view::line(&seen));
            }
            match wishes.recv_timeout(FRAME_EVERY) {
                Ok(line) => match line.trim().chars().next().and_then(Wish::of_key) {
                    Some(Wish::Leave) => return Ok(Exit::Ok),
                    Some(wish) => self.do_it(wish, &seen),
                    None => note(
                        "Type k to kill the leader, 1 to 3 to kill or start a server, t to let another lead, q to end.",
                    ),
                },
                Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
                Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => thread::sleep(FRAME_EVERY),
            }
            // Old lines fall away at the front.
            last_news = last_news.min(self.news.len());
            if is_stopped.load(Ordering::Relaxed) {
                return Ok(Exit::Ok);
            }
        }
    }

    /// Nothing acknowledged may be missing: says so, or fails.
    fn end(mut self) -> Result<()> {
        let figures = self.voters.stop();
        for number in 0..SERVERS {
            if !self.servers.running()[number] {
                self.servers.run(number)?;
            }
        }
        wait_until_whole(&self.clients)?;
        let results = self.clients[0].get(&election_path(SLUG, "/results"))?;
        let counted = results["ballots"].as_u64().unwrap_or(0);
        let acknowledged = figures.acknowledged;
        if counted < acknowledged {
            return Err(Failure::new(
                Exit::Internal,
                format!("{acknowledged} votes were acknowledged, but {counted} are counted"),
            )
            .into());
        }
        data(&format!(
            "{acknowledged} simulated votes were acknowledged, {counted} are counted (yours included); \
             the longest time without one was {:.1} s.",
            figures.longest_gap.as_secs_f64()
        ));
        Ok(())
    }
}

fn wait_until_whole(clients: &[Client]) -> Result<()> {
    let began = clock::now();
    loop {
        let is_whole = |client: &Client| {
            let Ok(view) = client.get("/api/v1/cluster") else { return false };
            let nodes = view["nodes"].as_array().map_or(&[][..], Vec::as_slice);
            let is_here = |node: &&Value| {
                node["role"] != "learner" && node["heard_ms_ago"].as_u64().is_some_and(|ago| ago < 1_000)
            };
            view["leader"].is_u64() && nodes.iter().filter(is_here).count() == SERVERS
        };
        if clients.iter().all(is_whole) {
            return Ok(());
        }
        anyhow::ensure!(
            began.elapsed() < WHOLE_WITHIN,
            "the three servers did not find each other in a minute"
        );
        thread::sleep(Duration::from_millis(50));
    }
}

/// Which of the three a node is.
fn place_of(cluster: &Value, id: Option<u64>, servers: &Servers) -> Option<usize> {
    let mut nodes = cluster["nodes"].as_array()?.iter();
    let node = nodes.find(|node| node["id"].as_u64() == id && id.is_some())?;
    (0..SERVERS).find(|number| node["address"] == *servers.voters_url(*number))
}

fn pressed() -> Result<Option<Wish>> {
    if !event::poll(FRAME_EVERY).context("cannot read the keyboard")? {
        return Ok(None);
    }
    let Input::Key(key) = event::read().context("cannot read the keyboard")? else { return Ok(None) };
    let is_interrupt = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
    Ok(match key.code {
        _ if is_interrupt => Some(Wish::Leave),
        KeyCode::Esc => Some(Wish::Leave),
        KeyCode::Char(key) => Wish::of_key(key),
        _ => None,
    })
}

fn lines_of_stdin() -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    receiver
}
