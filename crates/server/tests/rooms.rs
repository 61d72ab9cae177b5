//! Rooms that are locked, elections that leave them, and run-offs.

mod common;

use common::{Site, lunch, wait_for};
use serde_json::{Value, json};

fn room(site: &Site, elections: &[&str]) -> String {
    let room = json!({ "title": "Hall", "elections": elections });
    let made = site.officer_post("/api/v1/rooms", room).json();
    format!("/api/v1/rooms/{}", made["code"].as_str().unwrap())
}

fn ask_for_session(site: &Site, slug: &str) -> common::Reply {
    site.request("POST", &format!("/api/v1/elections/{slug}/sessions")).send()
}

/// Locks the room, and waits until the second of the lock is over: who joined within it still counts as before.
fn lock(site: &Site, room: &str, slug: &str) {
    let locked = site.officer_post(&format!("{room}/lock"), json!({}));
    assert!(locked.json()["locked_at"].is_string(), "{}", locked.text());
    wait_for(|| ask_for_session(site, slug).status == 409);
}

/// A browser's session, which is good for every open election.
fn browser_session(site: &Site) -> String {
    site.handle.edge().unwrap().new_session(None).unwrap()
}

#[test]
fn who_joins_after_the_lock_cannot_vote_and_who_was_there_can() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    site.open(lunch("tea", "live"));
    let room = room(&site, &["lunch"]);
    let (early, early_browser) = (site.session("lunch"), browser_session(&site));
    lock(&site, &room, "lunch");
    ask_for_session(&site, "lunch").expect_problem(409, "room_locked");
    let late_browser = browser_session(&site);
    let pizza = || json!({ "meal": ["pizza"] });
    site.cast("lunch", &late_browser, pizza()).expect_problem(409, "room_locked");
    assert_eq!(site.cast("lunch", &early, pizza()).status, 201);
    assert_eq!(site.cast("lunch", &early_browser, pizza()).status, 201);
    assert_eq!(site.cast("tea", &late_browser, pizza()).status, 201, "another election is not locked");
    let results = site.request("GET", "/api/v1/elections/lunch/results").bearer(&late_browser).send();
    assert_eq!(results.status, 200, "looking is for everybody");
    let line = json!({ "voter": "+49 1", "choices": pizza() }).to_string();
    let by_gateway = site.request("POST", "/api/v1/elections/lunch/ballots/bulk").officer();
    let by_gateway = by_gateway.body("application/x-ndjson", line).send();
    assert!(by_gateway.text().contains("\"ok\":true"), "a gateway's callers have no sessions to be late");
    let metrics = site.get("/metrics").text();
    assert!(metrics.contains("hustings_ballots_refused_total{code=\"room_locked\"} 1\n"), "{metrics}");

    let other =
        site.officer_post("/api/v1/rooms", json!({ "title": "Annex", "elections": ["lunch"] })).json();
    let other = format!("/api/v1/rooms/{}", other["code"].as_str().unwrap());
    site.officer_post(&format!("{room}/unlock"), json!({}));
    assert_eq!(site.get(&room).json()["locked_at"], Value::Null);
    lock(&site, &other, "lunch");
    site.officer_post(&format!("{other}/elections/lunch/remove"), json!({}));
    assert_eq!(site.cast("lunch", &late_browser, pizza()).status, 201, "no locked room holds it any more");
}

#[test]
fn lists_are_not_locked() {
    let site = Site::new();
    let mut definition = lunch("board", "at-close");
    definition["eligibility"] = json!("list");
    definition["voters"] = json!(["ann", "bob"]);
    site.open(definition);
    site.open(lunch("lunch", "live"));
    let room = room(&site, &["lunch", "board"]);
    lock(&site, &room, "lunch");
    let session = site.request("POST", "/api/v1/elections/board/sessions").json(&json!({ "voter": "ann" }));
    let token = session.send().json()["token"].as_str().unwrap().to_owned();
    assert_eq!(site.cast("board", &token, json!({ "meal": ["pizza"] })).status, 201);
}

#[test]
fn an_election_leaves_a_room_and_the_screen_goes_to_the_lobby() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let room = room(&site, &["lunch"]);
    site.officer_post(&format!("{room}/screen"), json!({ "show": "results", "election": "lunch" }));
    let anybody = site.request("POST", &format!("{room}/elections/lunch/remove")).send();
    anybody.expect_problem(401, "unauthorized");
    let left = site.officer_post(&format!("{room}/elections/lunch/remove"), json!({})).json();
    assert_eq!((&left["elections"], &left["screen"]["show"]), (&json!([]), &json!("lobby")));
    site.officer_post(&format!("{room}/elections/lunch/remove"), json!({}))
        .expect_problem(422, "invalid_room");
    site.officer_post(&format!("{room}/lock"), json!({ "for": "ever" }))
        .expect_problem(400, "malformed_json");
    assert_eq!(site.get("/api/v1/elections/lunch").status, 200, "the election itself stays");
}

#[test]
fn a_run_off_follows_from_a_tie_once_its_results_are_public() {
    let site = Site::new();
    let mut definition = lunch("lunch", "on-reveal");
    definition["contest"][0]["choices"] = json!(["Pizza", "Sushi", "Soup"]);
    site.open(definition);
    for meal in ["pizza", "sushi"] {
        site.vote("lunch", json!({ "meal": [meal] }));
    }
    site.act("lunch", "run-off").expect_problem(409, "wrong_state");
    site.act("lunch", "close");
    let hidden = site.act("lunch", "run-off").expect_problem(409, "wrong_state");
    assert!(hidden["detail"].as_str().unwrap().contains("not public yet"), "{hidden}");
    site.act("lunch", "reveal");
    let made = site.act("lunch", "run-off");
    assert_eq!((made.status, made.header("location")), (201, "/api/v1/elections/lunch-2"), "{}", made.text());
    let run_off = site.get("/api/v1/elections/lunch-2").json();
    let definition = &run_off["definition"];
    assert_eq!(
        (&run_off["state"], &definition["round"], &definition["follows"], &definition["title"]),
        (&json!("draft"), &json!(2), &json!("lunch"), &json!("Lunch"))
    );
    let choices = definition["contest"][0]["choices"].as_array().unwrap();
    assert_eq!(choices.iter().map(|choice| &choice["id"]).collect::<Vec<_>>(), ["pizza", "sushi"]);
    site.act("lunch", "run-off").expect_problem(409, "election_exists");
    let named = site.officer_post("/api/v1/elections/lunch/run-off", json!({ "slug": "last-call" }));
    assert_eq!(named.json()["slug"], "last-call");

    site.act("lunch-2", "open");
    site.vote("lunch-2", json!({ "meal": ["sushi"] }));
    site.act("lunch-2", "close");
    site.act("lunch-2", "reveal");
    site.act("lunch-2", "run-off").expect_problem(409, "no_run_off");
}

#[test]
fn a_run_off_of_a_list_takes_the_list_again() {
    let site = Site::new();
    let mut definition = lunch("board", "at-close");
    definition["eligibility"] = json!("list");
    definition["voters"] = json!(["ann", "bob"]);
    site.open(definition);
    for (voter, meal) in [("ann", "pizza"), ("bob", "sushi")] {
        let session =
            site.request("POST", "/api/v1/elections/board/sessions").json(&json!({ "voter": voter }));
        let token = session.send().json()["token"].as_str().unwrap().to_owned();
        assert_eq!(site.cast("board", &token, json!({ "meal": [meal] })).status, 201);
    }
    site.act("board", "close");
    site.act("board", "run-off").expect_problem(422, "invalid_definition");
    let made = site.officer_post("/api/v1/elections/board/run-off", json!({ "voters": ["ann", "bob"] }));
    assert_eq!(made.json()["eligible"], json!({ "voters": 2, "weight": 2 }), "{}", made.text());
}
