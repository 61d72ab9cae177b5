//! Who sees counts when: the same rule on every interface.

mod common;

use common::{Site, lunch, wait_for};
use serde_json::json;
use std::io::{BufReader, Write};
use std::net::TcpStream;

/// The first event of a feed, as text.
fn first_event(site: &Site, path: &str) -> String {
    let mut stream = TcpStream::connect(site.address).unwrap();
    stream.write_all(&site.request("GET", path).bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    while line != "\r\n" {
        line.clear();
        std::io::BufRead::read_line(&mut reader, &mut line).unwrap();
    }
    String::from_utf8(common::read_chunk(&mut reader).unwrap()).unwrap()
}

/// Everything that anybody can read about the election, by where it is read.
fn public_texts(site: &Site, code: &str, leaf: u64) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let paths = [
        "/api/v1/elections".to_owned(),
        "/api/v1/elections/lunch".to_owned(),
        "/api/v1/elections/lunch/results".to_owned(),
        "/api/v1/elections/lunch/record".to_owned(),
        format!("/api/v1/elections/lunch/proof/{leaf}"),
        "/api/v1/elections/lunch/checkpoint".to_owned(),
        "/metrics".to_owned(),
        "/api/v1/status".to_owned(),
        "/e/lunch/results".to_owned(),
        "/e/lunch/record".to_owned(),
        format!("/j/{code}"),
        format!("/r/{code}/screen"),
    ];
    for path in paths {
        texts.push((path.clone(), site.get(&path).text()));
    }
    for path in ["/api/v1/elections/lunch/events".to_owned(), format!("/r/{code}/events")] {
        texts.push((path.clone(), first_event(site, &path)));
    }
    texts
}

/// Where counts or ballots show: the numbers 3 and 2 beside the choices, an outcome, or an opening.
fn leaks(texts: &[(String, String)]) -> Vec<&str> {
    let shows = |text: &str| {
        [
            "\"votes\":3",
            "data-votes>3<",
            "The winner is",
            "\"ballot\":\"",
            "\"opening\":{\"ballot\"",
            "share_base",
        ]
        .iter()
        .any(|mark| text.contains(mark))
    };
    texts.iter().filter(|(_, text)| shows(text)).map(|(path, _)| path.as_str()).collect()
}

fn voted_site(results: &str) -> (Site, String, u64, String) {
    let site = Site::new();
    site.open(lunch("lunch", results));
    let room = json!({ "title": "Hall", "elections": ["lunch"] });
    let code = site.officer_post("/api/v1/rooms", room).json()["code"].as_str().unwrap().to_owned();
    let screen = json!({ "show": "results", "election": "lunch" });
    site.officer_post(&format!("/api/v1/rooms/{code}/screen"), screen);
    let mut leaf = 0;
    for meal in ["sushi", "sushi", "sushi", "pizza"] {
        leaf = site.vote("lunch", json!({ "meal": [meal] }))["leaf_index"].as_u64().unwrap();
    }
    let token = site.session("lunch");
    let last = site.cast("lunch", &token, json!({ "meal": ["pizza"] }));
    assert_eq!(last.status, 201);
    (site, code, leaf, token)
}

fn results_as(site: &Site, token: &str) -> bool {
    let reply = site.request("GET", "/api/v1/elections/lunch/results").bearer(token).send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    assert_eq!(reply.json()["voters"], 5, "turnout is always there");
    reply.json()["counts_visible"].as_bool().unwrap()
}

#[test]
fn hidden_counts_are_hidden_everywhere_until_they_are_not() {
    for results in ["own-ballot", "at-close", "on-publish"] {
        let (site, code, leaf, token) = voted_site(results);
        assert_eq!(leaks(&public_texts(&site, &code, leaf)), Vec::<&str>::new(), "{results}, open");
        site.get("/api/v1/elections/lunch/record").expect_problem(403, "results_hidden");
        assert_eq!(results_as(&site, &token), results == "own-ballot", "{results}, to one who has voted");
        assert!(!results_as(&site, &site.session("lunch")), "{results}, to one who has not");
        assert!(!results_as(&site, common::OFFICER), "{results}, to the officer before the close");
        site.act("lunch", "close");
        assert!(results_as(&site, common::OFFICER), "{results}, to the officer after the close");
        let after_close = leaks(&public_texts(&site, &code, leaf)).len();
        if results == "on-publish" {
            assert_eq!(after_close, 0, "on-publish, closed");
            site.act("lunch", "publish");
        }
        let shown = public_texts(&site, &code, leaf);
        let shown = leaks(&shown);
        for path in ["/api/v1/elections/lunch/results", "/api/v1/elections/lunch/record", "/e/lunch/results"]
        {
            assert!(shown.contains(&path), "{results}: {path} shows the result");
        }
        assert!(shown.contains(&"/api/v1/elections/lunch/events") && shown.len() >= 7, "{shown:?}");
    }
}

/// The public paths on which counts are read, and whether each shows them.
#[track_caller]
fn expect_counts(site: &Site, code: &str, leaf: u64, when: &str, is_shown: bool) {
    // Feeds are made a few times a second; what is asked for anew is there at once.
    let room_events = format!("/r/{code}/events");
    let feeds = ["/api/v1/elections/lunch/events", room_events.as_str()];
    wait_for(|| {
        let texts = feeds.map(|path| (path.to_owned(), first_event(site, path)));
        leaks(&texts).len() == if is_shown { feeds.len() } else { 0 }
    });
    let texts = public_texts(site, code, leaf);
    let shown = leaks(&texts);
    if !is_shown {
        return assert_eq!(shown, Vec::<&str>::new(), "{when}");
    }
    for path in ["/api/v1/elections/lunch/results", "/e/lunch/results", feeds[0], feeds[1]] {
        assert!(shown.contains(&path), "{when}: {path} shows the counts; shown: {shown:?}");
    }
    assert!(!shown.contains(&"/metrics") && !shown.contains(&"/api/v1/status"), "{when}");
}

#[test]
fn counts_on_reveal_come_and_go_on_every_interface() {
    let (site, code, leaf, token) = voted_site("on-reveal");
    let has_record = || site.get("/api/v1/elections/lunch/record").status == 200;
    let officer_has_record =
        || site.request("GET", "/api/v1/elections/lunch/record").bearer(common::OFFICER).send().status == 200;
    let revealed = || site.get("/api/v1/elections/lunch").json()["revealed"].clone();
    let state = |act: &str, status: u16| {
        let reply = site.act("lunch", act);
        assert_eq!(reply.status, status, "{act}: {}", reply.text());
        reply
    };
    expect_counts(&site, &code, leaf, "open", false);
    assert!(!results_as(&site, &token), "one's own ballot shows nothing of the others");
    assert!(results_as(&site, common::OFFICER), "the officer leads the room by the counts");
    assert_eq!(revealed(), json!(false));
    site.act("lunch", "hide").expect_problem(409, "wrong_state");
    assert_eq!(state("reveal", 200).json()["revealed"], json!(true));
    assert_eq!(revealed(), json!(true));
    expect_counts(&site, &code, leaf, "open, revealed", true);
    assert!(results_as(&site, &token));
    assert!(
        !has_record() && !officer_has_record(),
        "ballots one by one stay where they are while it is open"
    );
    let proof = site.get(&format!("/api/v1/elections/lunch/proof/{leaf}")).text();
    assert!(!proof.contains("\"ballot\":"), "{proof}");
    site.act("lunch", "reveal").expect_problem(409, "wrong_state");
    state("hide", 200);
    expect_counts(&site, &code, leaf, "open, hidden again", false);
    state("close", 200);
    expect_counts(&site, &code, leaf, "closed", false);
    assert!(!has_record() && !officer_has_record());
    state("reveal", 200);
    expect_counts(&site, &code, leaf, "closed, revealed", true);
    assert!(has_record());
    state("hide", 200);
    expect_counts(&site, &code, leaf, "closed, hidden again", false);
    assert!(!has_record());
    state("publish", 200);
    expect_counts(&site, &code, leaf, "published", true);
    assert!(has_record());
    site.act("lunch", "hide").expect_problem(409, "wrong_state");
    assert_eq!(
        site.get("/api/v1/elections/lunch/results").json()["contests"][0]["outcome"]["kind"],
        json!("winner")
    );
}

#[test]
fn only_elections_on_reveal_are_revealed() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    site.act("lunch", "reveal").expect_problem(409, "wrong_state");
    assert!(site.get("/api/v1/elections/lunch").json().get("revealed").is_none());
    let anybody = site.request("POST", "/api/v1/elections/lunch/reveal").send();
    anybody.expect_problem(401, "unauthorized");
}

/// Who knows a room's other facts must not find hidden results by trying: its version is made without them.
#[test]
fn the_version_of_a_room_tells_nothing_of_hidden_results() {
    let version = |meal: &str| {
        let site = Site::new();
        site.open(lunch("lunch", "on-publish"));
        let room = json!({ "title": "Hall", "elections": ["lunch"] });
        let code = site.officer_post("/api/v1/rooms", room).json()["code"].as_str().unwrap().to_owned();
        site.vote("lunch", json!({ "meal": [meal] }));
        site.act("lunch", "close");
        let event = first_event(&site, &format!("/r/{code}/events"));
        let version = event.split("\"version\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        (code, version)
    };
    let (code, pizza) = version("pizza");
    let facts = format!(
        "{{\"code\":\"{code}\",\"title\":\"Hall\",\"pace\":\"own\",\"elections\":[\"lunch\"],\"screen\":{{\"show\":\"lobby\",\"election\":null}}}}closed"
    );
    let with = |rest: &str| proof::sha256(&[facts.as_bytes(), rest.as_bytes()]).to_hex()[..16].to_owned();
    assert_ne!(pizza, with("The winner is Pizza with 1 vote"));
    assert_eq!(pizza, with("2"), "made of the room, the state, and the number of acts");
}

#[test]
fn live_counts_are_shown_while_voting_goes_on() {
    let (site, code, leaf, _) = voted_site("live");
    let shown = public_texts(&site, &code, leaf);
    let shown = leaks(&shown);
    for path in ["/api/v1/elections/lunch/results", "/e/lunch/results", "/api/v1/elections/lunch/events"] {
        assert!(shown.contains(&path), "{shown:?}");
    }
    assert!(!shown.contains(&"/metrics") && !shown.contains(&"/api/v1/status"));
}
