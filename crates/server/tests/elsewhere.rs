//! Two servers of one ledger with an address each: what pages, forms and feeds of one may do at the other.

mod common;

use common::{Browser, OFFICER, Reply, Request, Site, lunch};
use serde_json::json;

/// All hidden fields that a page's forms carry, for another server.
fn carried(page: &Reply) -> Vec<(String, String)> {
    let text = page.text();
    let mut fields: Vec<(String, String)> = Vec::new();
    for field in text.split("<input type=\"hidden\" name=\"as-").skip(1) {
        let mut parts = field.split('"');
        let (name, value) = (parts.next().unwrap(), parts.nth(1).unwrap());
        let field = (format!("as-{name}"), value.to_owned());
        if !fields.contains(&field) {
            fields.push(field);
        }
    }
    fields
}

/// A form from a page of `from`, posted to `to` as a browser does: without cookies of the other host.
fn posted(
    from: &Site,
    to: &Site,
    path: &str,
    fields: &[(&str, &str)],
    carried: &[(String, String)],
) -> Request {
    let own = carried.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let all: Vec<(&str, &str)> = fields.iter().copied().chain(own).collect();
    to.request("POST", path).header("origin", &from.origin()).form(&all)
}

#[test]
fn a_page_names_the_other_server_in_its_policy_and_for_people_without_script() {
    let (here, there) = Site::pair();
    here.open(lunch("lunch", "live"));
    let page = Browser::new(&here).get("/e/lunch");
    let policy = page.header("content-security-policy");
    for directive in ["connect-src", "form-action"] {
        assert!(policy.contains(&format!("{directive} 'self' {};", there.origin())), "{policy}");
    }
    assert_eq!(page.header("referrer-policy"), "strict-origin-when-cross-origin");
    let text = page.text();
    assert!(text.contains(&format!("formaction=\"{}/go-on\"", there.origin())), "{text}");
    assert!(text.contains(&format!("formaction=\"{}/e/lunch/review\"", there.origin())));
    assert!(text.contains(&format!("data-others=\"{}\"", there.origin())));
    assert_eq!(carried(&page).len(), 1, "the session, though its cookie is only being set");
    let alone = Site::new();
    assert!(!alone.get("/").text().contains("/go-on"));
}

#[test]
fn a_vote_begun_at_one_server_is_cast_once_at_the_other() {
    let (here, there) = Site::pair();
    here.open(lunch("lunch", "live"));
    let mut browser = Browser::new(&here);
    let form = browser.get("/e/lunch").hidden("form");
    let review = browser.review("lunch", &[("form", &form), ("c.meal", "pizza")]);
    let (form, key, own) = (review.hidden("form"), review.hidden("key"), carried(&review));
    let fields = [("form", &*form), ("key", &*key), ("c.meal", "pizza")];
    let cast = posted(&here, &there, "/e/lunch/cast", &fields, &own).send();
    assert_eq!((cast.status, cast.header("location")), (303, "/e/lunch/receipt"), "{}", cast.text());
    let receipt = there.request("GET", "/e/lunch/receipt").cookie(&cast.cookies()).send();
    assert!(receipt.status == 200 && receipt.text().contains("Your vote is cast"), "{}", receipt.text());
    let again = browser.post("/e/lunch/cast", &fields);
    assert_eq!((again.status, again.header("location")), (303, "/e/lunch/receipt"));
    assert_eq!(here.get("/api/v1/elections/lunch").json()["ballots"], json!(1));
}

#[test]
fn marks_reach_the_other_servers_review() {
    let (here, there) = Site::pair();
    here.open(lunch("lunch", "live"));
    let ballot = Browser::new(&here).get("/e/lunch");
    let form = ballot.hidden("form");
    let fields = [("form", &*form), ("c.meal", "sushi")];
    let sent = posted(&here, &there, "/e/lunch/review", &fields, &carried(&ballot)).send();
    assert_eq!((sent.status, sent.header("location")), (303, "/e/lunch/review"), "{}", sent.text());
    let review = there.request("GET", "/e/lunch/review").cookie(&sent.cookies()).send();
    assert!(review.text().contains("Sushi"), "{}", review.text());
}

#[test]
fn no_other_site_can_fill_in_a_session() {
    let (here, there) = Site::pair();
    here.open(lunch("lunch", "live"));
    let ballot = Browser::new(&here).get("/e/lunch");
    let (form, own) = (ballot.hidden("form"), carried(&ballot));
    let fields = [("form", &*form), ("c.meal", "pizza"), ("key", "k")];
    let mut all: Vec<(&str, &str)> = fields.to_vec();
    all.extend(own.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    for origin in [Some("http://evil.example"), Some("null"), None] {
        let request = there.request("POST", "/e/lunch/cast").form(&all);
        let request = origin.into_iter().fold(request, |request, origin| request.header("origin", origin));
        let reply = request.send();
        assert_eq!(reply.status, 403, "{origin:?}: {}", reply.text());
        let kept = reply.headers.get("set-cookie").cloned().unwrap_or_default();
        assert!(kept.iter().all(|cookie| !cookie.contains(&own[0].1)), "{origin:?}: {kept:?}");
    }
    let odd =
        vec![("as-voter".to_owned(), "made-up".to_owned()), ("as-officer".to_owned(), own[0].1.clone())];
    let reply = posted(&here, &there, "/go-on", &[("path", "//evil.example")], &odd).send();
    assert_eq!((reply.status, reply.header("location")), (303, "/"));
    assert_eq!(reply.cookies(), "", "nothing that this cluster has not made becomes a cookie");
    assert_eq!(here.get("/api/v1/elections/lunch").json()["ballots"], json!(0));
}

#[test]
fn somebody_on_a_list_stays_who_they_are() {
    let (here, there) = Site::pair();
    let mut definition = lunch("lunch", "live");
    definition["eligibility"] = json!("list");
    definition["voters"] = json!([{ "id": "u1" }]);
    here.open(definition);
    let mut browser = Browser::new(&here);
    let form = browser.get("/e/lunch").hidden("form");
    assert_eq!(browser.post("/e/lunch/enter", &[("form", &form), ("voter", "u1")]).status, 303);
    let ballot = browser.get("/e/lunch");
    let (form, own) = (ballot.hidden("form"), carried(&ballot));
    assert_eq!(own.len(), 2, "{own:?}");
    let fields = [("form", &*form), ("c.meal", "pizza"), ("key", "k")];
    let cast = posted(&here, &there, "/e/lunch/cast", &fields, &own).send();
    assert_eq!((cast.status, cast.header("location")), (303, "/e/lunch/receipt"), "{}", cast.text());
}

#[test]
fn an_officer_goes_on_at_the_other_server() {
    let (here, there) = Site::pair();
    let mut officer = Browser::new(&here);
    officer.log_in();
    assert!(
        carried(&officer.get("/")).iter().all(|(name, _)| name != "as-officer"),
        "voters' pages do not carry it"
    );
    let own = carried(&officer.get("/admin"));
    assert!(own.iter().any(|(name, _)| name == "as-officer"), "{own:?}");
    let moved = posted(&here, &there, "/go-on", &[("path", "/admin")], &own).send();
    assert_eq!((moved.status, moved.header("location")), (303, "/admin"));
    let desk = there.request("GET", "/admin").cookie(&moved.cookies()).send();
    assert!(desk.text().contains("Polls and rooms"), "{}", desk.text());
    let form = officer.get("/admin").hidden("form");
    officer.post("/admin/logout", &[("form", &form)]);
    let late = posted(&there, &here, "/go-on", &[("path", "/admin")], &own).send();
    assert!(!late.cookies().contains("officer"), "who logged out here is not let in again by a form");
}

#[test]
fn a_pairing_code_of_one_server_lets_in_at_the_other_and_once_there() {
    let (here, there) = Site::pair();
    let code = here.running.as_ref().unwrap().new_pairing_code();
    let pair = |code: &str| {
        let mut phone = Browser::new(&there);
        let form = phone.get("/admin").hidden("form");
        phone.post("/admin/pair", &[("form", &form), ("code", code)]).status
    };
    assert_eq!(pair("2222-2222"), 403);
    assert_eq!(pair(&code.to_lowercase().replace('-', " ")), 303);
    assert_eq!(pair(&code), 403);
}

#[test]
fn an_officer_stays_logged_in_over_a_restart() {
    let mut site = Site::new();
    let cookies = {
        let mut officer = Browser::new(&site);
        officer.log_in();
        officer.line()
    };
    site.restart();
    let desk = site.request("GET", "/admin").cookie(&cookies).send();
    assert!(desk.text().contains("Polls and rooms") && !desk.text().contains("Officer login"));
    assert!(!cookies.contains(OFFICER));
}

#[test]
fn feeds_ballots_and_readiness_are_open_to_the_other_servers_pages_without_cookies() {
    let (here, there) = Site::pair();
    here.open(lunch("lunch", "live"));
    let asked = |method: &str, path: &str, origin: &str| there.request(method, path).header("origin", origin);
    let ready = asked("GET", "/readyz", &here.origin()).send();
    assert_eq!((ready.status, ready.header("access-control-allow-origin")), (200, &*here.origin()));
    assert_eq!(ready.header("access-control-allow-credentials"), "");
    assert_eq!(ready.header("vary"), "origin");
    let ballots = "/api/v1/elections/lunch/ballots";
    let preflight =
        asked("OPTIONS", ballots, &here.origin()).header("access-control-request-method", "POST").send();
    assert_eq!((preflight.status, preflight.header("access-control-allow-methods")), (204, "POST"));
    assert!(preflight.header("access-control-allow-headers").contains("idempotency-key"));
    let token = here.session("lunch");
    let cast = asked("POST", ballots, &here.origin()).bearer(&token);
    let cast = cast.json(&json!({ "choices": { "meal": ["pizza"] } })).send();
    assert_eq!((cast.status, cast.header("access-control-allow-origin")), (201, &*here.origin()));
    for (method, path, origin) in [
        ("GET", "/readyz", "http://evil.example".to_owned()),
        ("GET", "/e/lunch/receipt", here.origin()),
        ("GET", "/api/v1/status", here.origin()),
        ("POST", "/e/lunch/cast", here.origin()),
    ] {
        assert_eq!(asked(method, path, &origin).send().header("access-control-allow-origin"), "", "{path}");
    }
    let refused =
        asked("OPTIONS", ballots, "http://evil.example").header("access-control-request-method", "POST");
    assert_eq!(refused.send().status, 405);
}
