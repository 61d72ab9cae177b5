//! Who sees counts when: the same rule on every interface.

mod common;

use common::{Site, lunch};
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
