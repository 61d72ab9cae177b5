//! The live feed and ZeroMQ.

mod common;

use common::{Request, Site, lunch, read_chunk, wait_for};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::time::Duration;

/// A follower of a feed.
struct Follower {
    reader: BufReader<TcpStream>,
    waiting: String,
    pub head: String,
}

#[derive(Debug, Default, Clone)]
struct Event {
    id: String,
    kind: String,
    data: String,
    retry: Option<u64>,
    is_comment: bool,
}

impl Event {
    fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap()
    }
}

impl Follower {
    fn new(site: &Site, request: Request) -> Follower {
        let mut stream = TcpStream::connect(site.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(&request.bytes()).unwrap();
        let mut reader = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            reader.read_line(&mut head).unwrap();
        }
        Follower { reader, waiting: String::new(), head }
    }

    fn of(site: &Site, slug: &str) -> Follower {
        Self::new(site, site.request("GET", &format!("/api/v1/elections/{slug}/events")))
    }

    /// The next block of lines; `None` when the feed has ended.
    fn next(&mut self) -> Option<Event> {
        while !self.waiting.contains("\n\n") {
            let chunk = read_chunk(&mut self.reader)?;
            self.waiting.push_str(&String::from_utf8(chunk).unwrap());
        }
        let (block, rest) = self.waiting.split_once("\n\n").unwrap();
        let mut event = Event::default();
        for line in block.lines() {
            match line.split_once(": ") {
                Some(("id", value)) => event.id = value.to_owned(),
                Some(("event", value)) => event.kind = value.to_owned(),
                Some(("data", value)) => event.data = value.to_owned(),
                Some(("retry", value)) => event.retry = value.parse().ok(),
                _ => event.is_comment |= line.starts_with(':'),
            }
        }
        self.waiting = rest.to_owned();
        Some(event)
    }

    fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Event {
        self.until_kind("snapshot", wanted)
    }

    fn until_room(&mut self, wanted: impl Fn(&Value) -> bool) -> Event {
        self.until_kind("room", wanted)
    }

    fn until_kind(&mut self, kind: &str, wanted: impl Fn(&Value) -> bool) -> Event {
        loop {
            let event = self.next().expect("the feed goes on");
            if event.kind == kind && wanted(&event.json()) {
                return event;
            }
        }
    }
}

#[test]
fn a_follower_sees_absolute_snapshots_and_the_end() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut follower = Follower::of(&site, "lunch");
    assert!(follower.head.contains("content-type: text/event-stream"));
    let first = follower.next().unwrap();
    assert!(first.retry.is_some_and(|ms| (2_000..=4_000).contains(&ms)));
    assert_eq!(first.kind, "snapshot");
    assert_eq!(first.json()["ballots"], 0);
    for _ in 0..3 {
        site.vote("lunch", json!({ "meal": ["sushi"] }));
    }
    let third = follower.until(|snapshot| snapshot["ballots"] == 3);
    let snapshot = third.json();
    assert_eq!(snapshot["counts_visible"], true);
    assert_eq!(snapshot["contests"][0]["counts"][1]["votes"], 3);
    site.act("lunch", "close");
    let last = follower.until(|snapshot| snapshot["state"] == "closed").json();
    assert_eq!(last["contests"][0]["outcome"]["sentence"], "The winner is Sushi with 3 votes");
    assert!(last["checkpoint"].as_str().unwrap().starts_with("hustings/"));
}

/// A page that waits must be able to show the end from what it has: a request from each of ten thousand waiting
/// clients at the same moment would be a storm.
#[test]
fn the_snapshot_after_the_close_holds_all_that_a_page_shows() {
    let site = Site::new();
    let mut definition = lunch("lunch", "on-reveal");
    definition["groups"] = json!(["North", "South"]);
    let more = [
        json!({ "id": "mood", "title": "Mood?", "method": "rating" }),
        json!({ "id": "fence", "title": "A fence", "method": "motion" }),
    ];
    definition["contest"].as_array_mut().unwrap().extend(more);
    site.open(definition);
    let mut follower = Follower::of(&site, "lunch");
    for (meal, mood) in [("sushi", "5"), ("pizza", "4")] {
        site.vote("lunch", json!({ "meal": [meal], "mood": [mood], "fence": ["yes"] }));
    }
    site.act("lunch", "close");
    let closed = follower.until(|snapshot| snapshot["state"] == "closed").json();
    assert_eq!((&closed["revealed"], &closed["counts_visible"]), (&json!(false), &json!(false)));
    assert!(closed["contests"].as_array().unwrap().iter().all(|contest| contest["outcome"].is_null()));
    site.act("lunch", "reveal");
    let shown = follower.until(|snapshot| snapshot["revealed"] == json!(true)).json();
    let (turnout, base) = (&shown["voters"], &shown["contests"][0]["share_base"]);
    assert_eq!((turnout, base, &shown["weight"]), (&json!(2), &json!(2), &json!(2)));
    // Pages say it in their own language, from the same event.
    let mut outcomes: Vec<serde_json::Value> =
        shown["contests"].as_array().unwrap().iter().map(|contest| contest["outcome"].clone()).collect();
    let texts: Vec<serde_json::Value> = outcomes
        .iter_mut()
        .map(|outcome| outcome.as_object_mut().unwrap().remove("texts").unwrap())
        .collect();
    assert_eq!(texts[0]["de"], "Gleichstand zwischen Pizza (1 Stimme) und Sushi (1 Stimme)");
    assert_eq!(texts[1]["fr"], "Moyenne 4,5 sur 5 pour 2 notes");
    assert!(texts.iter().all(|texts| texts.as_object().unwrap().len() == 3));
    let results = site.get("/api/v1/elections/lunch/results").json();
    assert_eq!(results["contests"][0]["outcome"], outcomes[0], "the interface keeps to one language");
    assert_eq!(
        outcomes[0],
        json!({ "kind": "tie", "sentence": "It's a tie between Pizza (1 vote) and Sushi (1 vote)",
            "winners": [], "tied": ["pizza", "sushi"] })
    );
    assert_eq!(shown["contests"][0]["groups"].as_array().unwrap().len(), 2);
    assert_eq!(
        outcomes[1],
        json!({ "kind": "rated", "sentence": "Average 4.5 of 5 from 2 ratings", "winners": [], "tied": [],
            "base": 2, "points": 9 })
    );
    assert_eq!(shown["contests"][1]["counts"][4], json!({ "choice": "5", "name": "5", "votes": 1 }));
    assert_eq!(
        outcomes[2],
        json!({ "kind": "passed", "sentence": "Motion passed: 2 of 2, needed 2", "winners": ["yes"],
            "tied": [], "needed": 2, "base": 2 })
    );
    site.act("lunch", "hide");
    let hidden = follower.until(|snapshot| snapshot["revealed"] == json!(false)).json();
    assert!(hidden["contests"].as_array().unwrap().iter().all(|contest| contest["outcome"].is_null()));
    assert!(!hidden.to_string().contains("votes"), "{hidden}");
}

#[test]
fn who_comes_back_with_the_newest_id_gets_nothing_twice() {
    let site = Site::with(|config| config.limits.heartbeat_seconds = 1);
    site.open(lunch("lunch", "live"));
    let first = Follower::of(&site, "lunch").next().unwrap();
    assert!(!first.id.is_empty());
    let resume = |id: &str| {
        let request = site.request("GET", "/api/v1/elections/lunch/events").header("last-event-id", id);
        Follower::new(&site, request)
    };
    let mut same = resume(&first.id);
    assert!(same.next().unwrap().is_comment);
    let beat = same.next().unwrap();
    assert!(beat.is_comment && beat.data.is_empty(), "a sign of life: {beat:?}");
    site.vote("lunch", json!({ "meal": ["sushi"] }));
    assert_eq!(same.until(|_| true).json()["ballots"], 1);
    let mut stale = resume(&first.id);
    assert_eq!(stale.next().unwrap().json()["ballots"], 1);
}

#[test]
fn snapshots_are_coalesced() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut follower = Follower::of(&site, "lunch");
    let lines: String = (0..20_000)
        .map(|number| format!("{{\"voter\":\"v{number}\",\"choices\":{{\"meal\":[\"pizza\"]}}}}\n"))
        .collect();
    let bulk = site.request("POST", "/api/v1/elections/lunch/ballots/bulk").officer();
    bulk.body("application/x-ndjson", lines).send();
    let mut snapshots = 0;
    loop {
        let event = follower.next().unwrap();
        snapshots += 1;
        if event.json()["ballots"] == 20_000 {
            break;
        }
    }
    assert!(snapshots < 40, "{snapshots} snapshots for 20,000 ballots");
}

#[test]
fn a_room_feed_says_when_its_screen_changes() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    site.open(lunch("tea", "on-reveal"));
    let room =
        site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch", "tea"] })).json();
    let code = room["code"].as_str().unwrap();
    let mut follower = Follower::new(&site, site.request("GET", &format!("/r/{code}/events")));
    let first = follower.next().unwrap();
    let version = |event: &Event| event.json()["version"].as_str().unwrap().to_owned();
    assert_eq!(
        first.json(),
        json!({ "version": version(&first), "pace": "own", "show": "lobby", "election": null, "locked": false,
            "connected": 1, "elections": [
                { "slug": "lunch", "state": "open", "voters": 0 },
                { "slug": "tea", "state": "open", "voters": 0, "revealed": false } ] })
    );
    let page = site.get(&format!("/r/{code}/screen")).text();
    assert!(page.contains(&format!("data-version=\"{}\"", version(&first))), "the page knows its version");
    site.vote("lunch", json!({ "meal": ["pizza"] }));
    let voted = follower.until_room(|room| room["elections"][0]["voters"] == 1);
    assert_eq!(version(&voted), version(&first), "turnout makes no page anew");
    site.officer_post(&format!("/api/v1/rooms/{code}/screen"), json!({ "show": "black" }));
    let changed = follower.until_room(|room| room["show"] == "black");
    assert_ne!(version(&changed), version(&first));
    let mut newest = version(&changed);
    assert!(site.get(&format!("/r/{code}/screen")).text().contains(&version(&changed)));
    for (path, wanted) in [
        ("rooms/CODE/lock", json!({ "locked": true })),
        ("elections/tea/reveal", json!({ "revealed": true })),
        ("elections/tea/close", json!({ "state": "closed" })),
    ] {
        site.officer_post(&format!("/api/v1/{}", path.replace("CODE", code)), json!({}));
        let holds = |room: &Value| {
            let all = [&room["elections"][1], room];
            let (name, value) = wanted.as_object().unwrap().iter().next().unwrap();
            all.iter().any(|part| part[name] == *value)
        };
        let before = std::mem::replace(&mut newest, version(&follower.until_room(holds)));
        assert_ne!(newest, before, "{path}");
    }
}

#[test]
fn a_room_feed_carries_figures_of_the_election_on_the_screen_only() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    site.open(lunch("tea", "live"));
    let room =
        site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch", "tea"] })).json();
    let code = room["code"].as_str().unwrap();
    site.vote("lunch", json!({ "meal": ["pizza"] }));
    site.officer_post(
        &format!("/api/v1/rooms/{code}/screen"),
        json!({ "show": "election", "election": "tea" }),
    );
    let mut follower = Follower::new(&site, site.request("GET", &format!("/r/{code}/events")));
    site.vote("lunch", json!({ "meal": ["pizza"] }));
    site.vote("tea", json!({ "meal": ["sushi"] }));
    loop {
        let event = follower.next().unwrap();
        if event.kind == "room" {
            assert!(!event.data.contains("counts"), "{}", event.data);
            continue;
        }
        assert_eq!(event.json()["slug"], "tea");
        if event.json()["contests"][0]["counts"][1]["votes"] == 1 {
            break;
        }
    }
}

#[test]
fn a_room_feed_counts_its_followers() {
    let site = Site::with(|config| config.limits.heartbeat_seconds = 1);
    let code = |title: &str| {
        let made = site.officer_post("/api/v1/rooms", json!({ "title": title })).json();
        made["code"].as_str().unwrap().to_owned()
    };
    let (hall, annex) = (code("Hall"), code("Annex"));
    let follow = |code: &str| Follower::new(&site, site.request("GET", &format!("/r/{code}/events")));
    let (mut one, _other) = (follow(&hall), follow(&annex));
    let two = follow(&hall);
    one.until_room(|room| room["connected"] == 2);
    drop(two);
    one.until_room(|room| room["connected"] == 1);
}

#[test]
fn there_is_room_for_so_many_followers_and_a_place_is_given_back() {
    let site = Site::with(|config| config.limits.subscribers_max = 2);
    site.open(lunch("lunch", "live"));
    let (one, _two) = (Follower::of(&site, "lunch"), Follower::of(&site, "lunch"));
    let full = site.get("/api/v1/elections/lunch/events");
    full.expect_problem(503, "overloaded");
    assert_eq!(full.header("retry-after"), "10");
    drop(one);
    // The place is free once the server has noticed, at the next thing it sends.
    wait_for(|| {
        site.vote("lunch", json!({ "meal": ["pizza"] }));
        Follower::of(&site, "lunch").head.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn a_stop_ends_feeds_and_answers_what_is_in_work() {
    let mut site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut follower = Follower::of(&site, "lunch");
    follower.next().unwrap();
    site.running.take().unwrap().stop();
    while let Some(event) = follower.next() {
        assert!(event.is_comment || event.kind == "snapshot");
    }
    assert!(TcpStream::connect(site.address).is_err());
}

/// A subscriber of ZMTP 3.0 with the NULL mechanism, by hand: greeting, READY, SUBSCRIBE, then messages.
struct Subscriber {
    stream: BufReader<TcpStream>,
}

impl Subscriber {
    fn new(address: &str, topic: &str) -> Subscriber {
        let stream = TcpStream::connect(address.strip_prefix("tcp://").unwrap()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut subscriber = Subscriber { stream: BufReader::new(stream) };
        let mut greeting = [0; 64];
        greeting[..10].copy_from_slice(&[0xff, 0, 0, 0, 0, 0, 0, 0, 1, 0x7f]);
        greeting[10] = 3;
        greeting[12..16].copy_from_slice(b"NULL");
        subscriber.stream.get_mut().write_all(&greeting).unwrap();
        subscriber.read_exact(64);
        let ready = b"\x05READY\x0bSocket-Type\x00\x00\x00\x03SUB";
        subscriber.send(4, ready);
        subscriber.frame();
        subscriber.send(0, &[&[1], topic.as_bytes()].concat());
        subscriber
    }

    fn send(&mut self, flags: u8, body: &[u8]) {
        let frame = [&[flags, u8::try_from(body.len()).unwrap()], body].concat();
        self.stream.get_mut().write_all(&frame).unwrap();
    }

    fn read_exact(&mut self, count: usize) -> Vec<u8> {
        use std::io::Read;
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    fn frame(&mut self) -> Vec<u8> {
        let flags = self.read_exact(1)[0];
        let length = match flags & 2 {
            0 => usize::from(self.read_exact(1)[0]),
            _ => u64::from_be_bytes(self.read_exact(8).try_into().unwrap()) as usize,
        };
        self.read_exact(length)
    }

    fn message(&mut self) -> Value {
        let topic = self.frame();
        assert_eq!(topic, b"lunch");
        serde_json::from_slice(&self.frame()).unwrap()
    }
}

/// Acts until the subscriber is known to hear: PUB forgets what it says before it knows who listens.
fn joined(site: &Site) -> Subscriber {
    let address = site.running.as_ref().unwrap().zmq_address().unwrap().to_owned();
    let mut subscriber = Subscriber::new(&address, "lunch");
    subscriber.stream.get_ref().set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    wait_for(|| {
        site.act("lunch", "pause");
        site.act("lunch", "open");
        subscriber.stream.get_ref().peek(&mut [0]).is_ok()
    });
    subscriber.stream.get_ref().set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert!(subscriber.message()["act"].is_object());
    subscriber
}

#[test]
fn zeromq_carries_each_ballot_of_a_live_election() {
    let site = Site::with(|config| config.zmq = Some("127.0.0.1:0".to_owned()));
    site.open(lunch("lunch", "live"));
    let mut subscriber = joined(&site);
    let receipt = site.vote("lunch", json!({ "meal": ["sushi"] }));
    let ballot = loop {
        let message = subscriber.message();
        if message["act"].is_null() {
            break message;
        }
    };
    assert_eq!(ballot["choices"], json!({ "meal": ["sushi"] }));
    assert_eq!(ballot["leaf_index"], receipt["leaf_index"]);
    assert!(ballot["position"].as_u64().unwrap() > 0);
}

#[test]
fn zeromq_carries_turnout_only_where_counts_are_hidden() {
    for results in ["at-close", "own-ballot", "on-publish", "on-reveal"] {
        let site = Site::with(|config| config.zmq = Some("tcp://127.0.0.1:0".to_owned()));
        site.open(lunch("lunch", results));
        if results == "on-reveal" {
            // Revealed counts are not ballots one by one.
            assert_eq!(site.act("lunch", "reveal").status, 200);
        }
        let mut subscriber = joined(&site);
        site.vote("lunch", json!({ "meal": ["sushi"] }));
        let message = loop {
            let message = subscriber.message();
            if message["act"].is_null() {
                break message;
            }
        };
        assert_eq!(message["turnout"], json!({ "ballots": 1, "voters": 1 }), "{results}");
        assert!(!message.to_string().contains("sushi"));
    }
}
