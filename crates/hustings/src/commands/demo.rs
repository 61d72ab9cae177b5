//! `demo`: a room with three ready elections, and everything a person needs to try them.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context as _, Result};
use node::OfficerToken;
use serde_json::{Value, json};

use crate::addresses;
use crate::cli::DemoArgs;
use crate::client::{Client, ServerOptions, Token, election_path};
use crate::commands::election::save_record;
use crate::commands::results::sentences;
use crate::commands::serve::officer_token_from_environment;
use crate::config::{self, Config, DEFAULT_PORT, LogForm};
use crate::exit::{Exit, Failure};
use crate::hosting::{self, Hosted, StopSignals};
use crate::output::{Form, count, note, thousands};
use crate::qr;
use crate::simulate::{Ballots, Crowd};

/// File in the data folder that remembers the room, so that `--data` goes on where it was.
const ROOM_FILE: &str = "room.json";
/// Polls of one question in one folder.
const SAME_NAME_MAX: u32 = 1_000;
const LOOK_EVERY: Duration = Duration::from_millis(300);
const ZMQ_AT_LOOPBACK: &str = "tcp://127.0.0.1:0";

/// What the first ten simulated voters choose: a winner with 3 votes, a tie, a motion that just passes.
static SIMULATED: [Ballots; 3] = [
    Ballots {
        slug: "best-sandwich",
        contest: "sandwich",
        first: &[PBJ, "club", PBJ, "blt", "grilled-cheese", PBJ, "club", "blt", "grilled-cheese", "falafel"],
        choices: &[PBJ, PBJ, "grilled-cheese", "blt", "club", "falafel"],
    },
    Ballots {
        slug: "favourite-film-hero",
        contest: "hero",
        first: &[
            HARRY,
            VADER,
            "ripley",
            HARRY,
            VADER,
            "indiana-jones",
            VADER,
            HARRY,
            "ripley",
            "indiana-jones",
        ],
        choices: &[HARRY, VADER, "ripley", "indiana-jones", "mulan"],
    },
    Ballots {
        slug: "pizza-fridays",
        contest: "pizza",
        first: &["yes", "no", "yes", "yes", "no", "yes", "yes", "yes", "no", "yes"],
        choices: &["yes", "yes", "yes", "no", "abstain"],
    },
];
const PBJ: &str = "peanut-butter-and-jelly";
const HARRY: &str = "harry-potter";
const VADER: &str = "darth-vader";

fn definitions(wait_for: u64) -> [Value; 3] {
    let election = |slug: &str, title: &str, contest: Value| {
        json!({"slug": slug, "title": title, "secrecy": "open", "eligibility": "open", "results": "at-close",
               "draw": "none", "closing": {"after_voters": wait_for}, "contest": [contest]})
    };
    [
        election(
            "best-sandwich",
            "Best sandwich?",
            json!({"id": "sandwich", "title": "Best sandwich?", "method": "plurality",
                   "choices": ["Peanut Butter and Jelly", "Grilled Cheese", "BLT", "Club", "Falafel"]}),
        ),
        election(
            "favourite-film-hero",
            "Favourite film hero?",
            json!({"id": "hero", "title": "Favourite film hero?", "method": "plurality",
                   "choices": ["Harry Potter", "Darth Vader", "Ripley", "Indiana Jones", "Mulan"]}),
        ),
        election(
            "pizza-fridays",
            "Pizza on Fridays?",
            json!({"id": "pizza", "title": "Shall there be pizza on Fridays?", "method": "motion",
                   "majority": ">=2/3", "base": "yes-no"}),
        ),
    ]
}

pub fn run(args: DemoArgs, options: ServerOptions, form: Form) -> Result<Exit> {
    let fresh = args.data.is_none();
    let data = data_folder(args.data, "demo")?;
    let zmq = args.zmq.as_deref().map_or(Some(ZMQ_AT_LOOPBACK.to_owned()), config::zmq_address);
    let stage = Stage::start(&data, args.listen, args.public_url, zmq, true, options)?;
    let room = match known_room(&data) {
        Some(room) => room,
        None => stage.open_room(&data, "Hustings demo", &definitions(args.wait_for))?,
    };
    let shown = Shown { room: &room, what: "demo", wait_for: Some(args.wait_for), simulated: args.voters };
    stage.announce(&shown, form);
    let crowd = (args.voters > 0).then(|| Crowd::start(&stage.client, args.voters, &SIMULATED));
    stage.run_until_stopped(&room, crowd, fresh, form)
}

/// A room that is open: its code and its elections in order.
#[derive(Clone, Debug)]
pub struct Room {
    pub code: String,
    pub slugs: Vec<String>,
}

/// What is said at the start.
pub struct Shown<'a> {
    pub room: &'a Room,
    pub what: &'static str,
    pub wait_for: Option<u64>,
    pub simulated: u64,
}

/// A server with its officer in one process: what `demo` and `poll` run on.
#[derive(Debug)]
pub struct Stage {
    hosted: Hosted,
    stop: StopSignals,
    /// The officer, over HTTP like any other.
    pub client: Client,
    token: String,
    data: PathBuf,
}

impl Stage {
    pub fn start(
        data: &Path,
        listen: Option<SocketAddr>,
        public_url: Option<String>,
        zmq: Option<String>,
        is_demo: bool,
        options: ServerOptions,
    ) -> Result<Self> {
        let wanted = listen.unwrap_or(SocketAddr::from(([0, 0, 0, 0], DEFAULT_PORT)));
        let config = stage_config(data, wanted, public_url, zmq, is_demo)?;
        hosting::log_to_stderr(&config)?;
        let stop = StopSignals::catch()?;
        let listener = match listen {
            Some(address) if address.port() == 0 => hosting::listen(address)?,
            _ => hosting::listen_nearby(wanted)?,
        };
        let officer =
            officer_token_from_environment()?.unwrap_or_else(|| OfficerToken::from_random(rand::random()));
        let token = officer.text().to_owned();
        let hosted = hosting::host(config, listener, Some(officer))?;
        let options = ServerOptions { server: hosted.local_url(), officer_token_file: None, ..options };
        let client = Client::new(&options)?.with_token(Some(Token::new(&token)?));
        Ok(Self { hosted, stop, client, token, data: data.to_owned() })
    }

    /// Makes the elections, opens them, and puts them in a room.
    pub fn open_room(&self, data: &Path, title: &str, definitions: &[Value]) -> Result<Room> {
        let mut slugs = Vec::new();
        for definition in definitions {
            let slug = self.create(definition)?;
            self.client.post(&election_path(&slug, "/open"), None)?;
            slugs.push(slug);
        }
        let body = json!({"title": title, "pace": "own", "elections": slugs});
        let room = self.client.post("/api/v1/rooms", Some(&body))?;
        let code = room["code"].as_str().context("a room has a code")?.to_owned();
        let text = json!({"code": code, "elections": slugs}).to_string() + "\n";
        std::fs::write(data.join(ROOM_FILE), text)
            .with_context(|| format!("cannot write `{}`", data.join(ROOM_FILE).display()))?;
        Ok(Room { code, slugs })
    }

    /// Puts the first election on the screen: its question, and its results as soon as they may be seen.
    pub fn show_results(&self, room: &Room) -> Result<()> {
        let body = json!({"show": "results", "election": room.slugs[0]});
        self.client.post(&format!("/api/v1/rooms/{}/screen", room.code), Some(&body)).map(|_| ())
    }

    /// Makes an election; one of the same name from an earlier evening gets a number behind it.
    fn create(&self, definition: &Value) -> Result<String> {
        let stem = definition["slug"].as_str().context("a definition has a slug")?;
        let mut definition = definition.clone();
        for round in 2.. {
            let error = match self.client.post("/api/v1/elections", Some(&definition)) {
                Ok(_) => break,
                Err(error) => error,
            };
            let code = error.downcast_ref::<Failure>().and_then(|failure| failure.code.as_deref());
            if code != Some("election_exists") || round > SAME_NAME_MAX {
                return Err(error);
            }
            definition["slug"] = json!(format!("{stem}-{round}"));
        }
        Ok(definition["slug"].as_str().unwrap_or(stem).to_owned())
    }

    pub fn announce(&self, shown: &Shown<'_>, form: Form) {
        let base = self.hosted.base_url();
        let Room { code, slugs } = shown.room;
        let pairing = self.hosted.pairing_code();
        let local = self.hosted.local_url();
        let program = program_name();
        let first = &slugs[0];
        let audit =
            format!("{program} election record {first} --server {local} && {program} audit {first}.record");
        let others: Vec<String> = self
            .hosted
            .addresses
            .iter()
            .map(|address| addresses::base_url(self.hosted.scheme, *address))
            .filter(|url| url != base)
            .collect();
        let value = json!({
            "url": local, "public_url": base, "code": code, "elections": slugs, "data": self.data,
            "voter_url": format!("{base}/j/{code}"), "screen_url": format!("{base}/r/{code}/screen"),
            "officer_url": format!("{base}/admin"), "pairing_code": pairing, "officer_token": self.token,
            "zmq": self.hosted.zmq_address(), "audit": audit, "room_for_people": self.hosted.room,
        });
        form.result(&value, || {
            let mut text = format!("\n  Vote        {base}/j/{code}\n");
            for other in &others {
                text += &format!("              {other}/j/{code}\n");
            }
            text += &format!("  Projector   {base}/r/{code}/screen\n");
            text += &format!("  Officer     {base}/admin  (pairing code {pairing})\n");
            text += &format!("              {local}/admin?code={pairing}  (on this computer; works once)\n");
            text += &format!("  Join code   {code}\n\n");
            match (shown.wait_for, shown.simulated) {
                (Some(number), 0) => text += &format!("Results appear when {} voted.\n", have_people(number)),
                (Some(number), simulated) => {
                    let crowd = count(simulated, "simulated voter");
                    text += &format!(
                        "Results appear when {} voted; {crowd} will be among them.\n",
                        have_people(number)
                    );
                }
                (None, _) => {}
            }
            text += &format!(
                "Room for about {} people. Data: {}\n",
                thousands(self.hosted.room),
                self.data.display()
            );
            if let Some(zmq) = self.hosted.zmq_address() {
                text += &format!("Live feed over ZeroMQ: {zmq}\n");
            }
            text += &format!(
                "\nOfficer's commands: export HUSTINGS_SERVER={local} HUSTINGS_OFFICER_TOKEN={}\n",
                self.token
            );
            text + &format!("Check the count yourself: {audit}\n")
        });
        if !form.is_json() {
            self.announce_to_people(&format!("{base}/j/{code}"), shown.what);
        }
    }

    /// What only helps where a person looks: the QR code and the hints.
    fn announce_to_people(&self, voter_url: &str, what: &str) {
        if let Some(lines) = qr::terminal_columns().and_then(|columns| qr::lines(voter_url, columns)) {
            note(format!("\n{}", lines.join("\n")));
        }
        note("\nIf a phone cannot open the address:");
        for hint in
            addresses::phone_hints(self.hosted.addresses.first().copied().unwrap_or(self.hosted.address()))
        {
            note(format!("  - {hint}"));
        }
        note("\nAlone? The pages offer \"vote as another person on this device\".");
        note(format!("Ctrl-C ends the {what}.\n"));
    }

    /// Shows what happens until a signal comes; then outcomes, records and where they are.
    pub fn run_until_stopped(
        self,
        room: &Room,
        crowd: Option<Crowd>,
        fresh: bool,
        form: Form,
    ) -> Result<Exit> {
        let ended = Arc::new(AtomicBool::new(false));
        let reporter = self.report(room, Arc::clone(&ended), form);
        let Self { hosted, stop, client, data, .. } = self;
        stop.wait();
        ended.store(true, Ordering::Relaxed);
        if let Some(crowd) = crowd {
            crowd.stop();
        }
        let _ = reporter.join();
        note("");
        if let Err(error) = conclude(&client, &data, room, fresh, form) {
            note(format!("The records could not be kept: {error:#}"));
        }
        hosted.stop()?;
        note(format!("Everything is kept in {}", data.display()));
        if !fresh {
            note(format!("Go on with --data {}", data.display()));
        }
        Ok(Exit::Ok)
    }

    /// Tells each outcome when its election closes, and the turnout on a terminal.
    fn report(&self, room: &Room, ended: Arc<AtomicBool>, form: Form) -> JoinHandle<()> {
        let (client, slugs) = (self.client.clone(), room.slugs.clone());
        thread::spawn(move || {
            let mut open: Vec<String> = slugs.clone();
            let mut turnout = Turnout::new();
            while !ended.load(Ordering::Relaxed) && !open.is_empty() {
                let mut ballots = 0;
                open.retain(|slug| match client.get(&election_path(slug, "/results")) {
                    Ok(results) if is_over(&results) => {
                        turnout.clear();
                        tell_outcome(&results, form);
                        false
                    }
                    Ok(results) => {
                        ballots += results["ballots"].as_u64().unwrap_or(0);
                        true
                    }
                    Err(_) => true,
                });
                turnout.show(ballots, open.len());
                thread::sleep(LOOK_EVERY);
            }
            turnout.clear();
        })
    }
}

/// Closes what is still open in a folder that nobody will come back to, and keeps every record that can be had.
fn conclude(client: &Client, data: &Path, room: &Room, fresh: bool, form: Form) -> Result<()> {
    for slug in &room.slugs {
        let mut results = client.get(&election_path(slug, "/results"))?;
        if !is_over(&results) && fresh {
            client.post(&election_path(slug, "/close"), None)?;
            results = client.get(&election_path(slug, "/results"))?;
            tell_outcome(&results, form);
        }
        if is_over(&results) {
            let path = data.join(format!("{slug}.record"));
            save_record(client.stream(&election_path(slug, "/record"), &[])?, &path)?;
            note(format!("Check it: {} audit {}", program_name(), path.display()));
        }
    }
    Ok(())
}

fn is_over(results: &Value) -> bool {
    matches!(results["state"].as_str(), Some("closed" | "published" | "cancelled"))
}

fn tell_outcome(results: &Value, form: Form) {
    let title = crate::commands::results::title(results).to_owned();
    let outcome = sentences(results).join(". ");
    let outcome = if outcome.is_empty() { "closed".to_owned() } else { outcome };
    let value = json!({"slug": results["slug"], "state": results["state"], "ballots": results["ballots"],
        "outcomes": sentences(results)});
    form.result(&value, || format!("{title}  {outcome}"));
}

/// One line on a terminal that is rewritten while people vote.
struct Turnout {
    is_terminal: bool,
    shown: String,
}

impl Turnout {
    fn new() -> Self {
        Self { is_terminal: std::io::stderr().is_terminal(), shown: String::new() }
    }

    fn show(&mut self, ballots: u64, open: usize) {
        let text = format!("{} in {}", count(ballots, "ballot"), count(open as u64, "open election"));
        if self.is_terminal && open > 0 && text != self.shown {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K{text}");
            self.shown = text;
        }
    }

    fn clear(&mut self) {
        if self.is_terminal && !self.shown.is_empty() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
            self.shown.clear();
        }
    }
}

fn have_people(number: u64) -> String {
    match number {
        1 => "one person has".to_owned(),
        _ => format!("{} people have", thousands(number)),
    }
}

fn known_room(data: &Path) -> Option<Room> {
    let text = std::fs::read_to_string(data.join(ROOM_FILE)).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let slugs: Vec<String> =
        value["elections"].as_array()?.iter().filter_map(|slug| slug.as_str().map(str::to_owned)).collect();
    let code = value["code"].as_str()?.to_owned();
    (!slugs.is_empty()).then_some(Room { code, slugs })
}

/// The given folder, or a fresh one under the system's temporary folder.
pub fn data_folder(given: Option<PathBuf>, what: &str) -> Result<PathBuf> {
    if let Some(data) = given {
        std::fs::create_dir_all(&data)
            .map_err(|error| Failure::usage(format!("cannot make folder `{}`: {error}", data.display())))?;
        return Ok(data);
    }
    let stamp = crate::clock::wall().strftime("%Y%m%d-%H%M%S").to_string();
    for attempt in 0..100 {
        let data =
            std::env::temp_dir().join(format!("hustings-{what}-{stamp}-{}-{attempt}", std::process::id()));
        match std::fs::DirBuilder::new().mode(0o700).create(&data) {
            Ok(()) => return Ok(data),
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let text =
                    format!("cannot make a folder under `{}`: {error}", std::env::temp_dir().display());
                return Err(Failure::usage(text).hint("Name one with --data DIR.").into());
            }
        }
    }
    Err(Failure::usage("no fresh folder could be made").hint("Name one with --data DIR.").into())
}

/// Settings of a server for one evening: quiet logs, everything else as usual.
fn stage_config(
    data: &Path,
    listen: SocketAddr,
    public_url: Option<String>,
    zmq: Option<String>,
    is_demo: bool,
) -> Result<Config> {
    if let Some(url) = public_url.as_deref().filter(|url| !config::is_public_url(url)) {
        return Err(
            Failure::usage(format!("`{url}` is not http:// or https:// and a host, without a path")).into()
        );
    }
    let mut config = config::standard().check()?;
    config.data = data.to_owned();
    config.log = std::env::var("HUSTINGS_LOG").unwrap_or_else(|_| "warn".to_owned());
    config.log_form = LogForm::Human;
    config.listen = listen;
    config.server.base_url = public_url;
    config.server.zmq = zmq;
    config.server.demo = is_demo;
    Ok(config)
}

/// How the program was called, so that what is printed can be pasted.
pub fn program_name() -> String {
    std::env::args().next().filter(|name| !name.contains(' ')).unwrap_or_else(|| "hustings".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_simulated_voters_make_a_winner_a_tie_and_a_motion_that_just_passes() {
        let votes = |slug: &str, choice: &str| {
            let ballots = SIMULATED.iter().find(|ballots| ballots.slug == slug).expect("is there");
            assert_eq!(ballots.first.len(), 10);
            ballots.first.iter().filter(|chosen| **chosen == choice).count()
        };
        assert_eq!(votes("best-sandwich", PBJ), 3);
        assert_eq!((votes("favourite-film-hero", HARRY), votes("favourite-film-hero", VADER)), (3, 3));
        assert_eq!((votes("pizza-fridays", "yes"), votes("pizza-fridays", "no")), (7, 3));
    }

    #[test]
    fn simulated_voters_choose_what_there_is() {
        for (definition, ballots) in definitions(10).iter().zip(&SIMULATED) {
            let definition = election::Definition::from_json(&definition.to_string()).expect("valid");
            assert_eq!(definition.slug.as_str(), ballots.slug);
            let (_, contest) = definition.contest(ballots.contest).expect("is there");
            for choice in ballots.first.iter().chain(ballots.choices) {
                assert!(contest.choices.iter().any(|known| known.id == *choice), "{choice}");
            }
        }
    }

    #[test]
    fn every_demo_gets_a_fresh_folder() {
        let (one, two) = (data_folder(None, "test").expect("made"), data_folder(None, "test").expect("made"));
        assert_ne!(one, two);
        std::fs::remove_dir(one).expect("empty");
        std::fs::remove_dir(two).expect("empty");
    }
}
