//! Pages, as a browser without script meets them.

mod common;

use common::{Browser, Site, lunch, wait_for};
use serde_json::json;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The officer locked joining while a late browser had the form open.
#[test]
fn a_form_from_a_session_after_the_lock_casts_nothing() {
    // The demo's pages have a form even where there is no ballot: its token serves for a ballot made by hand.
    let site = Site::with(|config| config.demo = true);
    site.open(lunch("lunch", "live"));
    let room = site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch"] })).json();
    let code = room["code"].as_str().unwrap();
    let mut early = Browser::new(&site);
    early.get("/e/lunch");
    site.officer_post(&format!("/api/v1/rooms/{code}/lock"), json!({}));
    let ask = || site.request("POST", "/api/v1/elections/lunch/sessions").send().status;
    common::wait_for(|| ask() == 409);
    let mut late = Browser::new(&site);
    let told = late.get("/e/lunch");
    assert!(told.text().contains("Joining is locked."), "{}", told.text());
    let cast = late.post("/e/lunch/cast", &[("form", &told.hidden("form")), ("c.meal", "pizza")]);
    assert_eq!(cast.status, 409, "{}", cast.text());
    assert!(cast.text().contains("Joining is locked.</strong> Your vote was not cast."), "{}", cast.text());
    early.vote("lunch", &[("c.meal", "pizza")]);
    assert_eq!(site.get("/api/v1/elections/lunch").json()["ballots"], 1);
}

/// Blanks out what differs from run to run.
fn settled(page: &str) -> String {
    let mut text = String::new();
    for line in page.lines().filter(|line| !line.trim().is_empty()) {
        let mut line = line.to_owned();
        for (start, end) in [
            ("name=\"form\" value=\"", "\""),
            ("name=\"key\" value=\"", "\""),
            ("/assets/", "\""),
            ("<p class=\"tracker\">", "<"),
            ("tracker=", "\""),
            ("receipt-lunch-", "\""),
            ("data-copy=\"", "\""),
            ("class=\"hash\">", "<"),
            ("datetime=\"", "\""),
            (" UTC", ""),
            ("127.0.0.1:", "/"),
            ("data-version=\"", "\""),
            ("name=\"tracker\" value=\"", "\""),
            ("<path d=\"M4 ", "\""),
            ("viewBox=\"0 0 4", "\""),
        ] {
            let mut after = 0;
            while let Some(at) = line[after..].find(start) {
                let from = after + at + start.len();
                let length = line[from..].find(end).unwrap_or(0);
                line.replace_range(from..from + length, "…");
                after = from;
            }
        }
        let at = line.find("</time>").unwrap_or(0);
        if at > 20 {
            line.replace_range(at - 20..at, "…");
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[test]
fn a_voter_votes_and_finds_the_receipt_again() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    let mut voter = Browser::new(&site);
    insta::assert_snapshot!("ballot", settled(&voter.get("/e/lunch").text()));
    let receipt = voter.vote("lunch", &[("c.meal", "sushi")]);
    assert!(receipt.text().contains("Your vote is cast"));
    insta::assert_snapshot!("receipt", settled(&receipt.text()));
    let again = voter.get("/e/lunch");
    assert_eq!((again.status, again.header("location")), (303, "/e/lunch/receipt"));
    let file = voter.get("/e/lunch/receipt.json").json();
    assert!(
        receipt.text().contains(&format!("<p class=\"tracker\">{}</p>", file["tracker"].as_str().unwrap()))
    );
    let rows = receipt.text();
    let cells: Vec<&str> = rows.split("<td class=\"n\" data-votes>").skip(1).collect();
    assert!(
        cells.len() == 2 && cells.iter().all(|cell| cell.starts_with("</td>")),
        "no counts before the close"
    );
    site.act("lunch", "close");
    let after = voter.get("/e/lunch/receipt");
    assert!(after.text().contains("The winner is Sushi with 1 vote"));
    insta::assert_snapshot!("results", settled(&voter.get("/e/lunch/results").text()));
}

#[test]
fn a_second_click_on_cast_leads_to_the_same_receipt() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut voter = Browser::new(&site);
    voter.vote("lunch", &[("c.meal", "sushi")]);
    let mut other_tab = Browser { site: &site, cookies: voter.cookies.clone() };
    let form = voter.get("/e/lunch/receipt");
    assert_eq!(form.status, 200);
    // The review page of the other tab is still there.
    let purposeful = {
        let fresh = Browser::new(&site).get("/e/lunch").hidden("form");
        other_tab.post("/e/lunch/cast", &[("form", &fresh), ("c.meal", "pizza")])
    };
    assert_eq!(purposeful.status, 403, "another session's form is refused");
    assert_eq!(site.get("/api/v1/elections/lunch/results").json()["ballots"], 1);
}

#[test]
fn a_ballot_with_too_many_marks_comes_back_with_its_marks() {
    let site = Site::new();
    let mut definition = lunch("lunch", "live");
    definition["contest"][0]["choose"] = json!({ "min": 1, "max": 1 });
    site.open(definition);
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    let fields = [("form", form.as_str()), ("c.meal", "pizza"), ("c.meal", "sushi")];
    let review = voter.review("lunch", &fields);
    assert_eq!(review.status, 422);
    let text = review.text();
    assert!(text.contains("<title>Error: ") && text.contains("Your vote has not been cast."), "{text}");
    assert!(text.contains("value=\"pizza\" checked"));
}

#[test]
fn a_vote_that_comes_too_late_is_told_that_it_was_not_cast() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    site.act("lunch", "close");
    for step in ["review", "cast"] {
        let reply = voter.post(&format!("/e/lunch/{step}"), &[("form", &form), ("c.meal", "pizza")]);
        assert_eq!(reply.status, 409, "{step}");
        assert!(reply.text().contains("Your vote was not cast."), "{step}");
    }
    let closed = Browser::new(&site).get("/e/lunch");
    assert!(closed.text().contains("No vote was cast from this browser."));
    site.officer_post("/api/v1/elections", lunch("later", "live"));
    assert!(voter.get("/e/later").text().contains("Voting has not opened yet."));
}

#[test]
fn forms_from_elsewhere_are_refused() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    let fields: [(&str, &str); 2] = [("form", form.as_str()), ("c.meal", "pizza")];
    let no_token = voter.post("/e/lunch/cast", &[("c.meal", "pizza")]);
    assert_eq!(no_token.status, 403);
    let no_cookie = site.request("POST", "/e/lunch/cast").form(&fields).send();
    assert_eq!(no_cookie.status, 403);
    let elsewhere = site.request("POST", "/e/lunch/cast").cookie(&voter.line()).form(&fields);
    let elsewhere = elsewhere.header("origin", "https://evil.example").send();
    assert_eq!(elsewhere.status, 403);
    let null = site.request("POST", "/e/lunch/cast").cookie(&voter.line()).form(&fields);
    assert_eq!(null.header("origin", "null").send().status, 403);
    assert_eq!(site.get("/api/v1/elections/lunch/results").json()["ballots"], 0);
    let ours = site.request("POST", "/e/lunch/cast").cookie(&voter.line()).form(&fields);
    assert_eq!(ours.header("origin", "http://test").send().status, 303);
}

#[test]
fn another_site_cannot_choose_the_language_nor_where_it_leads() {
    let site = Site::new();
    let choose = |origin: &str, referer: &str| {
        let request = site.request("POST", "/language");
        let request = request.form(&[("language", "de")]).header("referer", referer);
        request.header("origin", origin).send()
    };
    let elsewhere = choose("https://evil.example", "https://evil.example/e/lunch");
    assert_eq!(elsewhere.status, 403);
    assert!(elsewhere.header("set-cookie").is_empty(), "{}", elsewhere.header("set-cookie"));
    let ours = choose("http://test", "http://test/e/lunch?again=1");
    assert_eq!((ours.status, ours.header("location")), (303, "/e/lunch"));
    assert_eq!(choose("http://test", "http://test//evil.example/").header("location"), "/");
}

#[test]
fn every_page_carries_the_security_headers_and_no_inline_code() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let room = site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch"] })).json();
    let screen = format!("/r/{}/screen", room["code"].as_str().unwrap());
    let mut voter = Browser::new(&site);
    voter.vote("lunch", &[("c.meal", "pizza")]);
    let mut pages =
        vec!["/", "/j", "/e/lunch/receipt", "/e/lunch/results", "/e/lunch/record", "/admin", "/errors"];
    pages.extend(["/nothing", "/e/none", "/j/ZZZZZZ", &screen]);
    for path in pages {
        let page = voter.get(path);
        assert_eq!(page.header("content-security-policy"), POLICY, "{path}");
        assert_eq!(page.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(page.header("cross-origin-opener-policy"), "same-origin", "{path}");
        assert_eq!(page.header("referrer-policy"), "same-origin", "{path}");
        assert_eq!(page.header("cache-control"), "no-store", "{path}");
        let text = page.text();
        assert_eq!(text.matches("<h1").count(), 1, "{path}");
        for forbidden in [" style=\"", " onclick", "<script>", "<style"] {
            assert!(!text.contains(forbidden), "{path} has {forbidden}");
        }
    }
    let page = voter.get("/").text();
    let style = page.split("href=\"/assets/").nth(1).unwrap().split('"').next().unwrap();
    let style = voter.get(&format!("/assets/{style}"));
    assert_eq!(style.status, 200);
    assert!(style.header("cache-control").contains("immutable"));
}

#[test]
fn no_get_changes_anything() {
    let site = Site::with(|config| config.demo = true);
    site.open(lunch("lunch", "live"));
    let room = site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch"] })).json();
    let code = room["code"].as_str().unwrap();
    let mut browser = Browser::new(&site);
    browser.log_in();
    browser.get("/e/lunch");
    let before = site.handle.status().position;
    for route in server::ROUTES {
        if route.path.ends_with("/events") {
            continue;
        }
        let path = route.path.replace("{slug}", "lunch").replace("{code}", code).replace("{act}", "close");
        let path = path.replace("{number}", "1").replace("{index}", "0").replace("{level}", "0");
        let path = path.replace("{width}", "1").replace("{name}", "x");
        for method in ["GET", "HEAD"] {
            let reply = site.request(method, &path).cookie(&browser.line()).officer().send();
            assert!(reply.status < 500, "{method} {path}: {}", reply.text());
        }
    }
    assert_eq!(site.handle.status().position, before);
    assert_eq!(site.get("/api/v1/elections/lunch").json()["state"], "open");
}

#[test]
fn a_voter_on_the_list_enters_an_id() {
    let site = Site::new();
    let mut definition = lunch("board", "at-close");
    definition["eligibility"] = json!("list");
    definition["voters"] = json!(["u1", "u2"]);
    site.open(definition);
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/board").hidden("form");
    let wrong = voter.post("/e/board/enter", &[("form", &form), ("voter", "u7")]);
    assert_eq!(wrong.status, 403);
    assert!(wrong.text().contains("Not on the list."));
    let entered = voter.post("/e/board/enter", &[("form", &form), ("voter", " u1 ")]);
    assert_eq!(entered.header("location"), "/e/board");
    assert!(voter.vote("board", &[("c.meal", "pizza")]).text().contains("Your vote is cast"));
    let mut same = Browser::new(&site);
    let form = same.get("/e/board").hidden("form");
    same.post("/e/board/enter", &[("form", &form), ("voter", "u1")]);
    assert_eq!(same.get("/e/board").header("location"), "/e/board/receipt", "one voter, two devices");
}

#[test]
fn a_room_leads_to_the_next_election() {
    let site = Site::with(|config| config.demo = true);
    site.open(lunch("lunch", "at-close"));
    site.open(lunch("dinner", "at-close"));
    let room = json!({ "title": "Hall", "elections": ["lunch", "dinner"] });
    let code = site.officer_post("/api/v1/rooms", room).json()["code"].as_str().unwrap().to_owned();
    let mut voter = Browser::new(&site);
    let typed = format!("/j?code={}-{}", &code[..3].to_lowercase(), &code[3..]);
    assert_eq!(voter.get(&typed).header("location"), format!("/j/{code}"));
    let unknown = voter.get("/j?code=nope");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("There is no room with this code."));
    let lobby = voter.get(&format!("/j/{code}"));
    assert!(lobby.text().contains("href=\"/e/lunch\">Vote now"), "{}", lobby.text());
    let receipt = voter.vote("lunch", &[("c.meal", "pizza")]);
    assert!(
        receipt.text().contains("<a class=\"button\" href=\"/e/dinner\">Next:&nbsp;<bdi>Lunch</bdi></a>"),
        "{}",
        receipt.text()
    );
    assert!(voter.get(&format!("/j/{code}")).text().contains("href=\"/e/dinner\">Vote now"));
    assert_eq!(voter.get("/poll/2").header("location"), "/e/dinner");
    assert_eq!(voter.get("/poll/3").status, 404);
    let form = voter.get(&format!("/j/{code}")).hidden("form");
    let another = voter.post(&format!("/j/{code}/another"), &[("form", &form)]);
    assert_eq!(another.header("location"), format!("/j/{code}"));
    assert!(voter.get(&format!("/j/{code}")).text().contains("href=\"/e/lunch\">Vote now"), "a new person");
    let screen = voter.get(&format!("/r/{code}/screen")).text();
    let spaced = format!("{} {}", &code[..3], &code[3..]);
    insta::assert_snapshot!("screen", settled(&screen.replace(&code, "CODE").replace(&spaced, "COD E")));
}

#[test]
fn another_person_is_offered_in_the_demo_only() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut voter = Browser::new(&site);
    let ballot = voter.get("/e/lunch");
    assert!(!ballot.text().contains("another person"));
    let form = ballot.hidden("form");
    assert_eq!(voter.post("/e/lunch/another", &[("form", &form)]).status, 404);
}

#[test]
fn over_plain_http_officers_need_the_machine_itself_or_a_pairing_code() {
    let site = Site::with(|config| config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()]);
    let from_afar =
        |method: &str, path: &str| site.request(method, path).header("x-forwarded-for", "192.0.2.7");
    let login = from_afar("GET", "/admin").send();
    assert!(!login.text().contains("name=\"token\""), "the token is not asked for");
    let (form, cookie) = (login.hidden("form"), login.cookies());
    let post =
        |path: &str, fields: &[(&str, &str)]| from_afar("POST", path).cookie(&cookie).form(fields).send();
    let refused = post("/admin/login", &[("form", &form), ("token", common::OFFICER)]);
    assert_eq!(refused.status, 403);
    assert_eq!(post("/admin/pair", &[("form", &form), ("code", "AAAA-AAAA")]).status, 403);
    let code = site.running.as_ref().unwrap().new_pairing_code();
    let paired = post("/admin/pair", &[("form", &form), ("code", &code)]);
    assert_eq!(paired.header("location"), "/admin");
    assert_eq!(post("/admin/pair", &[("form", &form), ("code", &code)]).status, 403, "once");
    let secure = from_afar("GET", "/admin").header("x-forwarded-proto", "https").send();
    assert!(secure.text().contains("name=\"token\""));
    assert!(secure.header("set-cookie").starts_with("__Host-hustings-"));
    assert!(secure.header("set-cookie").ends_with("; Secure"));
    assert_eq!(secure.header("strict-transport-security"), "max-age=31536000");
    assert_eq!(login.header("strict-transport-security"), "");
    assert!(login.header("set-cookie").starts_with("hustings-"));
    assert!(login.text().contains("This connection is not encrypted"));
    assert!(!secure.text().contains("This connection is not encrypted"));
}

#[test]
fn links_come_from_the_configured_address_never_from_host() {
    let site = Site::with(|config| config.base_url = Some("https://vote.example/".to_owned()));
    site.open(lunch("lunch", "live"));
    let room = site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch"] })).json();
    assert!(room["join_url"].as_str().unwrap().starts_with("https://vote.example/j/"));
    let record = site.get("/e/lunch/record").text();
    assert!(record.contains("https://vote.example/api/v1/elections/lunch/record"));
    assert!(site.get("/e/lunch").header("set-cookie").starts_with("__Host-"));
    wait_for(|| site.get("/readyz").status == 200);
}
