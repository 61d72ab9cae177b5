//! The HTTP interface, from outside.

mod common;

use common::{Site, exchange, lunch};
use proof::receipt::{Receipt, verify};
use serde_json::json;

#[test]
fn a_ballot_is_answered_with_a_receipt_that_holds() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let receipt = site.vote("lunch", json!({ "meal": ["pizza"] }));
    let receipt: Receipt = serde_json::from_value(receipt).unwrap();
    verify(&receipt, Some(&site.handle.identity().key)).unwrap();
    let proof = site.get(&format!("/api/v1/elections/lunch/proof/{}", receipt.leaf_index.0)).json();
    assert_eq!(proof["leaf"], receipt.leaf.to_string());
}

#[test]
fn one_voter_has_one_ballot_and_a_repeat_with_the_same_key_the_same_leaf() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let token = site.session("lunch");
    let cast = |key: &str, meal: &str| {
        site.request("POST", "/api/v1/elections/lunch/ballots")
            .bearer(&token)
            .header("idempotency-key", key)
            .json(&json!({ "choices": { "meal": [meal] } }))
            .send()
    };
    let first = cast("k1", "pizza");
    assert_eq!(first.status, 201);
    let again = cast("k1", "pizza");
    assert_eq!(again.status, 201, "{}", again.text());
    assert_eq!(again.json()["leaf_index"], first.json()["leaf_index"]);
    cast("k1", "sushi").expect_problem(422, "idempotency_key_reused");
    cast("k2", "pizza").expect_problem(409, "already_voted");
    let own = site.request("GET", "/api/v1/elections/lunch/ballot").bearer(&token).send().json();
    assert_eq!(own["voted"], true);
    assert_eq!(own["receipt"]["leaf"], first.json()["leaf"]);
}

#[test]
fn refusals_name_the_field() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let token = site.session("lunch");
    let field = |choices: serde_json::Value, status, code| {
        let problem = site.cast("lunch", &token, choices).expect_problem(status, code);
        problem["field"].as_str().unwrap().to_owned()
    };
    assert_eq!(field(json!({ "meal": ["soup"] }), 422, "no_such_choice"), "choices.meal");
    assert_eq!(field(json!({ "drink": ["tea"] }), 422, "no_such_contest"), "choices.drink");
    assert_eq!(field(json!({}), 422, "invalid_ballot"), "choices.meal");
    assert_eq!(field(json!({ "meal": ["pizza", "sushi"] }), 422, "invalid_ballot"), "choices.meal");
    assert_eq!(field(json!({ "meal": "pizza" }), 400, "malformed_json"), "choices.meal");
    let ballots = "/api/v1/elections/lunch/ballots";
    let post =
        |body: &str| site.request("POST", ballots).bearer(&token).body("application/json", body).send();
    assert_eq!(
        post("{\"choices\":{},\"colour\":1}").expect_problem(400, "malformed_json")["field"],
        "colour"
    );
    post("{\"choices\":").expect_problem(400, "malformed_json");
    post("").expect_problem(400, "malformed_json");
    let typed = site.request("POST", ballots).bearer(&token).body("text/plain", "{}").send();
    assert_eq!(typed.expect_problem(415, "unsupported_media_type")["field"], "Content-Type");
    let query = site.request("POST", &format!("{ballots}?x=1")).bearer(&token).send();
    assert_eq!(query.expect_problem(400, "malformed_query")["field"], "x");
    site.request("POST", ballots).json(&json!({})).send().expect_problem(401, "unauthorized");
    site.request("POST", ballots).bearer("wrong").json(&json!({})).send().expect_problem(401, "unauthorized");
    site.request("POST", "/api/v1/elections/none/ballots").send().expect_problem(404, "no_such_election");
}

#[test]
fn definitions_are_refused_with_the_member_at_fault() {
    let site = Site::new();
    let create = |body| site.officer_post("/api/v1/elections", body);
    let mut secret = lunch("a", "live");
    secret["secrecy"] = json!("private");
    create(secret).expect_problem(422, "not_supported");
    let mut odd = lunch("a", "live");
    odd["contest"][0]["choices"] = json!([]);
    assert_eq!(create(odd).expect_problem(422, "invalid_definition")["field"], "contest[0].choices");
    let mut unknown = lunch("a", "live");
    unknown["colour"] = json!("red");
    assert_eq!(create(unknown).expect_problem(400, "malformed_json")["field"], "colour");
    create(json!([])).expect_problem(400, "malformed_json");
    assert_eq!(create(lunch("a", "live")).header("location"), "/api/v1/elections/a");
    create(lunch("a", "live")).expect_problem(409, "election_exists");
    let as_voter =
        site.request("POST", "/api/v1/elections").bearer("nobody").json(&lunch("b", "live")).send();
    as_voter.expect_problem(401, "unauthorized");
}

#[test]
fn every_stray_request_gets_a_problem_document() {
    let site = Site::with(|config| config.limits.ballot_bytes_max = 1_000);
    site.open(lunch("lunch", "live"));
    site.get("/api/v1/nothing").expect_problem(404, "not_found");
    let wrong_method = site.request("DELETE", "/api/v1/elections/lunch").send();
    wrong_method.expect_problem(405, "method_not_allowed");
    assert_eq!(wrong_method.header("allow"), "GET,HEAD");
    let token = site.session("lunch");
    let large = format!("{{\"choices\":{{\"meal\":[\"{}\"]}}}}", "x".repeat(2_000));
    site.request("POST", "/api/v1/elections/lunch/ballots")
        .bearer(&token)
        .body("application/json", large)
        .send()
        .expect_problem(413, "body_too_large");
    site.request("GET", "/api/v1")
        .header("x-long", &"y".repeat(20_000))
        .send()
        .expect_problem(431, "headers_too_large");
    site.request("GET", "/api/v1").header("accept", "image/png").send().expect_problem(406, "not_acceptable");
    let long = format!("/api/v1/{}", "z".repeat(70_000));
    let reply = site.get(&long);
    assert!([414, 431].contains(&reply.status), "{}", reply.status);
    for garbage in
        ["NONSENSE\r\n\r\n", "GET /api/v1 HTTP/1.1\r\nbad header\r\n\r\n", "GET  /\x01 HTTP/1.1\r\n\r\n"]
    {
        exchange(site.address, garbage.as_bytes()).expect_problem(400, "malformed_request");
    }
    site.get("/api/v1/elections?limit=0").expect_problem(400, "malformed_query");
    site.get("/api/v1/elections/lunch/consistency").expect_problem(400, "malformed_query");
    site.get("/api/v1/elections/lunch/proof/x").expect_problem(404, "no_such_leaf");
    site.get("/api/v1/elections/lunch/proof/99").expect_problem(404, "no_such_leaf");
}

#[test]
fn an_election_goes_through_its_states_and_closing_says_the_outcome() {
    let site = Site::new();
    site.officer_post("/api/v1/elections", lunch("lunch", "at-close"));
    let refused = site.request("POST", "/api/v1/elections/lunch/ballots").bearer(&site.session("lunch"));
    refused.json(&json!({"choices":{"meal":[]}})).send().expect_problem(409, "election_not_open");
    assert_eq!(site.act("lunch", "open").json()["state"], "open");
    site.vote("lunch", json!({ "meal": ["pizza"] }));
    assert_eq!(site.act("lunch", "pause").json()["state"], "paused");
    assert_eq!(site.act("lunch", "open").json()["state"], "open");
    let closed = site.act("lunch", "close").json();
    assert_eq!(closed["state"], "closed");
    assert_eq!(closed["contests"][0]["outcome"]["sentence"], "The winner is Pizza with 1 vote");
    assert_eq!(closed["contests"][0]["counts"][0], json!({ "choice": "pizza", "name": "Pizza", "votes": 1 }));
    assert_eq!(site.act("lunch", "publish").json()["state"], "published");
    site.act("lunch", "close").expect_problem(409, "wrong_state");
    let repeat = site.act("lunch", "repeat");
    assert_eq!((repeat.status, repeat.json()["slug"].as_str().unwrap()), (201, "lunch-2"));
    let rehearsal = site.act("lunch", "rehearse");
    assert_eq!((rehearsal.status, rehearsal.json()["slug"].as_str().unwrap()), (201, "lunch-rehearsal"));
    let list = site.get("/api/v1/elections?limit=2").json();
    assert_eq!(list["elections"].as_array().unwrap().len(), 2);
    assert_eq!(list["next"], "lunch-2");
    let rest = site.get("/api/v1/elections?after=lunch-2").json();
    assert_eq!(rest["elections"][0]["slug"], "lunch-rehearsal");
    assert_eq!(rest["next"], json!(null));
}

#[test]
fn a_list_election_takes_its_voters_only() {
    let site = Site::new();
    let mut definition = lunch("board", "at-close");
    definition["eligibility"] = json!("list");
    definition["voters"] = json!(["u1", { "id": "u2", "weight": 3 }]);
    site.open(definition);
    let sessions = "/api/v1/elections/board/sessions";
    site.request("POST", sessions).send().expect_problem(403, "list_only");
    let session = |id: &str| site.request("POST", sessions).json(&json!({ "voter": id })).send();
    session("u9").expect_problem(403, "not_on_list");
    let token = session("u2").json()["token"].as_str().unwrap().to_owned();
    assert_eq!(site.cast("board", &token, json!({ "meal": ["sushi"] })).status, 201);
    let by_officer = |voter: &str| {
        site.officer_post(
            "/api/v1/elections/board/ballots",
            json!({ "voter": voter, "choices": { "meal": ["pizza"] } }),
        )
    };
    assert_eq!(by_officer("u1").status, 201);
    by_officer("u2").expect_problem(409, "already_voted");
    by_officer("u3").expect_problem(403, "not_on_list");
    let results = site.act("board", "close").json();
    assert_eq!(results["weight"], 4);
    assert_eq!(results["eligible"], json!({ "voters": 2, "weight": 4 }));
    let named = site.request("POST", "/api/v1/elections/board/ballots").bearer(&token);
    named.json(&json!({ "voter": "u1", "choices": {} })).send().expect_problem(403, "forbidden");
}

#[test]
fn bulk_answers_every_line_in_its_place() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut body = String::new();
    for number in 0..10_000 {
        body += &format!("{{\"voter\":\"v{number}\",\"choices\":{{\"meal\":[\"pizza\"]}}}}\n");
        if number % 1000 == 7 {
            body += "not json\n\n{\"voter\":\"v7\",\"choices\":{\"meal\":[\"soup\"]}}\n";
        }
    }
    body += "{\"voter\":\"v0\",\"choices\":{\"meal\":[\"sushi\"]}}";
    let reply = site
        .request("POST", "/api/v1/elections/lunch/ballots/bulk")
        .officer()
        .body("application/x-ndjson", body)
        .send();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let text = reply.text();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 10_021);
    assert_eq!(lines[8]["code"], "malformed_json");
    assert_eq!(lines[9]["code"], "no_such_choice");
    assert_eq!(lines[10]["ok"], true);
    assert_eq!(lines[10_020]["code"], "already_voted");
    assert_eq!(lines.iter().filter(|line| line["ok"] == true).count(), 10_000);
    let mut leaves: Vec<u64> = lines.iter().filter_map(|line| line["leaf_index"].as_u64()).collect();
    leaves.sort_unstable();
    leaves.dedup();
    assert_eq!(leaves.len(), 10_000);
    assert_eq!(site.get("/api/v1/elections/lunch/results").json()["ballots"], 10_000);
    let as_voter =
        site.request("POST", "/api/v1/elections/lunch/ballots/bulk").bearer(&site.session("lunch"));
    as_voter.body("application/x-ndjson", "{}\n").send().expect_problem(403, "forbidden");
}

#[test]
fn evidence_is_consistent_from_outside() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    for _ in 0..5 {
        site.vote("lunch", json!({ "meal": ["pizza"] }));
    }
    let election = site.get("/api/v1/elections/lunch").json();
    assert_eq!(election["size"], 6);
    let note = site.get("/api/v1/elections/lunch/checkpoint");
    assert!(note.header("content-type").starts_with("text/plain"));
    assert!(note.text().starts_with("hustings/"));
    let consistency = site.get("/api/v1/elections/lunch/consistency?from=2&to=6").json();
    assert!(consistency["path"].as_array().unwrap().len() >= 2);
    let tile = site.get("/api/v1/elections/lunch/tile/0/0/6");
    assert_eq!((tile.status, tile.body.len()), (200, 192));
    site.get("/api/v1/elections/lunch/tile/0/0").expect_problem(404, "no_such_leaf");
    let proof = site.get("/api/v1/elections/lunch/proof/0").json();
    assert!(proof["opening"]["act"].as_str().unwrap().starts_with("{\"act\":\"opened\""));
    site.act("lunch", "close");
    let record = site.get("/api/v1/elections/lunch/record");
    let text = record.text();
    assert_eq!(record.header("content-type"), "application/x-ndjson");
    assert!(
        text.starts_with("{\"hustings_record\":1") && text.lines().last().unwrap().starts_with("{\"end\"")
    );
}

#[test]
fn rooms_lead_to_elections() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let room =
        site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "pace": "led", "elections": ["lunch"] }));
    assert_eq!(room.status, 201, "{}", room.text());
    let code = room.json()["code"].as_str().unwrap().to_owned();
    let path = format!("/api/v1/rooms/{code}");
    assert_eq!(site.get(&path).json()["screen"]["show"], "lobby");
    let shown =
        site.officer_post(&format!("{path}/screen"), json!({ "show": "election", "election": "lunch" }));
    assert_eq!(shown.json()["screen"], json!({ "show": "election", "election": "lunch" }));
    site.officer_post(&format!("{path}/screen"), json!({ "show": "results" }))
        .expect_problem(422, "invalid_room");
    site.officer_post(&format!("{path}/elections"), json!({ "slug": "none" }))
        .expect_problem(404, "no_such_election");
    site.get("/api/v1/rooms/ZZZZZZ").expect_problem(404, "no_such_room");
}

#[test]
fn operators_see_figures_and_no_votes() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    site.vote("lunch", json!({ "meal": ["pizza"] }));
    let token = site.session("lunch");
    site.cast("lunch", &token, json!({ "meal": ["soup"] })).expect_problem(422, "no_such_choice");
    let lines =
        "{\"voter\":\"a\",\"choices\":{\"meal\":[]}}\n{\"voter\":\"a\",\"choices\":{\"meal\":[]}}\n[]\n";
    let bulk = site.request("POST", "/api/v1/elections/lunch/ballots/bulk").officer();
    assert_eq!(bulk.body("application/x-ndjson", lines).send().status, 200);
    assert_eq!(site.get("/livez").status, 200);
    assert_eq!(site.get("/readyz").status, 200);
    let metrics = site.get("/metrics").text();
    assert!(metrics.contains("hustings_voters{election=\"lunch\"} 2\n"), "{metrics}");
    for code in ["no_such_choice", "already_voted", "malformed_json"] {
        let line = format!("hustings_ballots_refused_total{{code=\"{code}\"}} 1\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    let refused = metrics.lines().filter(|line| line.starts_with("hustings_ballots_refused_total{"));
    assert_eq!(refused.count(), 3, "codes that never came up have no line: {metrics}");
    assert!(metrics.contains("hustings_ballots_accepted_total{by=\"single\"} 1\n"), "{metrics}");
    assert!(!metrics.contains("pizza"));
    assert_eq!(site.get("/api/v1/status").json()["ballots"], 2);
    let forwarded = site.request("GET", "/metrics").header("x-forwarded-for", "203.0.113.9").send();
    forwarded.expect_problem(401, "unauthorized");
    assert_eq!(site.request("POST", "/api/v1/clock/confirm").officer().send().json()["steady"], true);
}
