//! Officers' pages, the room they lead and its frames, as a browser without script meets them.

mod common;

use common::{Browser, Reply, Site, lunch};
use serde_json::json;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

#[test]
fn an_officer_leads_a_poll_from_the_browser() {
    let site = Site::new();
    let mut officer = Browser::new(&site);
    let wrong = {
        let form = officer.get("/admin").hidden("form");
        officer.post("/admin/login", &[("form", &form), ("token", "wrong")])
    };
    assert!(wrong.status == 403 && wrong.text().contains("Not logged in."));
    for place in ["/admin/e/x", "/admin/r/ABCDEF", "/admin/r/ABCDEF/remote", "/admin/e/x/results.csv"] {
        assert!(officer.get(place).text().contains("Officer login"), "{place}");
    }
    officer.log_in();
    let form = officer.get("/admin").hidden("form");
    let empty = officer.post("/admin/polls", &[("form", &form), ("title", "Where?"), ("choices", " ")]);
    assert_eq!(empty.status, 422);
    assert!(empty.text().contains("value=\"Where?\""), "what was typed stays");
    assert!(empty.text().contains("<a href=\"#choices\">"), "the field at fault is named");
    let fields =
        [("form", &*form), ("title", "Where?"), ("choices", "Park\r\nRiver\r\n"), ("results", "live")];
    let made = officer.post("/admin/polls", &fields);
    assert_eq!(made.status, 303, "{}", made.text());
    let room = made.header("location").to_owned();
    assert!(officer.get(&room).text().contains("Where?"));
    assert_eq!(site.get("/api/v1/elections/where").json()["state"], "open");
    let second = officer.post("/admin/polls", &fields);
    assert_eq!(second.status, 303);
    assert_eq!(site.get("/api/v1/elections/where-2").json()["state"], "open");
    Browser::new(&site).vote("where", &[("c.question", "river")]);
    let unsure = officer.post("/admin/e/where/close", &[("form", &form)]);
    assert!(unsure.status == 409 && unsure.text().contains("Not done."));
    let closed = officer.post("/admin/e/where/close", &[("form", &form), ("sure", "yes")]);
    assert!(closed.text().contains("The winner is River with 1 vote"), "{}", closed.text());
    let published = officer.post("/admin/e/where/publish", &[("form", &form), ("sure", "yes")]);
    assert!(published.text().contains("Published."));
    let code = room.rsplit('/').next().unwrap();
    let shown = officer.post(
        &format!("/admin/r/{code}/screen"),
        &[("form", &form), ("show", "results"), ("election", "where")],
    );
    assert_eq!(shown.status, 303);
    assert!(site.get(&format!("/r/{code}/screen")).text().contains("The winner is River"));
    for place in ["/admin/polls", "/admin/e/where/repeat", &format!("/admin/r/{code}/black")] {
        let forged = officer.post(place, &[("title", "x"), ("kind", "yes-no"), ("sure", "yes")]);
        assert_eq!(forged.status, 403, "no form token: {place}");
    }
    assert_eq!(officer.get(&format!("/admin/r/{code}/black")).status, 405, "no GET changes anything");
    officer.post("/admin/logout", &[("form", &form)]);
    assert!(officer.get("/admin").text().contains("Officer login"));
}

/// What the officer's browser posts to a room.
struct Remote<'b, 's> {
    officer: &'b mut Browser<'s>,
    form: String,
    room: String,
}

impl Remote<'_, '_> {
    fn press(&mut self, act: &str, election: &str) -> Reply {
        let fields = [("form", &*self.form), ("back", "remote"), ("election", election), ("sure", "yes")];
        self.officer.post(&format!("{}/{act}", self.room), &fields)
    }

    fn screen(&self) -> serde_json::Value {
        let code = self.room.rsplit('/').next().unwrap();
        self.officer.site.get(&format!("/api/v1/rooms/{code}")).json()["screen"].clone()
    }
}

#[test]
fn a_room_is_led_from_the_remote_and_results_stay_hidden_until_they_are_revealed() {
    let site = Site::new();
    for slug in ["tea", "cake"] {
        let reply = site.officer_post("/api/v1/elections", lunch(slug, "on-reveal"));
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    let room = json!({ "title": "Hall", "pace": "led", "elections": ["tea", "cake"] });
    let code = site.officer_post("/api/v1/rooms", room).json()["code"].as_str().unwrap().to_owned();
    let mut officer = Browser::new(&site);
    officer.log_in();
    let form = officer.get("/admin").hidden("form");
    let wall = || site.get(&format!("/r/{code}/screen")).text();
    let mut remote = Remote { officer: &mut officer, form, room: format!("/admin/r/{code}") };
    let pressed = remote.press("next", "");
    assert_eq!(pressed.header("location"), format!("/admin/r/{code}/remote"));
    assert_eq!(remote.screen(), json!({ "show": "election", "election": "tea" }));
    remote.press("start", "tea");
    assert_eq!(site.get("/api/v1/elections/tea").json()["state"], "open");
    site.vote("tea", json!({ "meal": ["pizza"] }));
    site.vote("tea", json!({ "meal": ["sushi"] }));
    remote.press("close", "tea");
    assert!(!wall().contains("tie"), "closed is not revealed");
    let desk = remote.officer.get(&format!("/admin/r/{code}")).text();
    assert!(desk.contains("Only you see these counts.") && desk.contains("tie between"), "{desk}");
    remote.press("black", "tea");
    assert_eq!(remote.screen()["show"], "black");
    remote.press("black", "tea");
    assert_eq!(remote.screen(), json!({ "show": "election", "election": "tea" }), "light brings no results");
    remote.press("reveal", "tea");
    assert!(wall().contains("tie between Pizza (1 vote) and Sushi (1 vote)"), "{}", wall());
    remote.press("hide", "tea");
    assert!(!wall().contains("tie"));
    remote.press("next", "tea");
    remote.press("next", "tea");
    assert_eq!(remote.screen()["election"], "cake", "pressed twice in a hurry, it goes one further");
    remote.press("previous", "cake");
    assert!(!wall().contains("tie"), "hidden stays hidden across elections");
    remote.press("reveal", "tea");
    remote.press("run-off", "tea");
    assert_eq!(site.get("/api/v1/elections/tea-2").json()["state"], "open");
    assert_eq!(remote.screen(), json!({ "show": "election", "election": "tea-2" }), "in one act");
    remote.press("pause", "tea-2");
    assert_eq!(site.get("/api/v1/elections/tea-2").json()["state"], "paused");
    remote.press("start", "tea-2");
    remote.press("lock", "");
    assert!(site.get(&format!("/api/v1/rooms/{code}")).json()["locked_at"].is_string());
    let late = Browser::new(&site).get(&format!("/j/{code}"));
    assert!(late.status == 403 && late.text().contains("Joining is closed"), "{}", late.text());
    remote.press("unlock", "");
    assert_eq!(Browser::new(&site).get(&format!("/j/{code}")).header("location"), "/e/tea-2");
    remote.press("close", "tea-2");
    remote.press("repeat", "tea-2");
    assert_eq!(site.get("/api/v1/elections/tea-3").json()["definition"]["round"], 3);
    assert_eq!(site.get("/api/v1/elections/tea-2").json()["state"], "closed", "the earlier round stays");
    assert_eq!(remote.screen()["election"], "tea-3");
    assert_eq!(remote.press("dance", "tea").status, 404);
    let csv = remote.officer.get(&format!("/admin/r/{code}/results.csv"));
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let line = "\"tea\",\"Lunch\",1,closed,2,\"What is for lunch?\",\"Pizza\",1\r\n";
    assert!(csv.text().contains(line), "{}", csv.text());
    assert_eq!(remote.officer.get("/admin/e/tea/results.json").json()["slug"], "tea");
}

#[test]
fn every_kind_of_poll_is_made_from_the_form() {
    let site = Site::new();
    let mut officer = Browser::new(&site);
    officer.log_in();
    let form = officer.get("/admin").hidden("form");
    for (kind, method) in [
        ("yes-no", "plurality"),
        ("choice", "plurality"),
        ("approval", "approval"),
        ("rating", "rating"),
        ("motion", "motion"),
    ] {
        let fields = [
            ("form", &*form),
            ("kind", kind),
            ("title", kind),
            ("choices", "A\nB\nC"),
            ("max", "2"),
            ("majority", ">=2/3"),
            ("after", "7"),
            ("minutes", "3"),
            ("do", "start"),
        ];
        let made = officer.post("/admin/polls", &fields);
        assert_eq!(made.status, 303, "{}", made.text());
        let election = site.get(&format!("/api/v1/elections/{kind}")).json();
        assert_eq!(election["definition"]["contest"][0]["method"], method, "{election}");
        assert_eq!((&election["state"], &election["revealed"]), (&json!("open"), &json!(false)));
        assert!(election["closes_at"].is_string());
        assert_eq!(election["definition"]["closing"]["after_voters"], 7);
        let copy = officer.get(&format!("/admin?from={kind}")).text();
        assert!(copy.contains(&format!("value=\"{kind}\"")), "{copy}");
    }
    for template in ["yes-no", "feedback", "pick-one", "dates", "motion"] {
        let ready = officer.get(&format!("/admin?template={template}"));
        let title =
            ready.text().split("id=\"title\"").nth(1).unwrap().split("value=\"").nth(1).unwrap().to_owned();
        assert!(!title.starts_with('"'), "{template} has a question");
    }
    let draft =
        [("form", &*form), ("kind", "yes-no"), ("title", "Later?"), ("minutes", "5"), ("do", "draft")];
    let refused = officer.post("/admin/polls", &draft);
    assert!(refused.status == 422 && refused.text().contains("<a href=\"#minutes\">"), "{}", refused.text());
    let kept = officer.post("/admin/polls", &[&draft[..3], &[("room", "none"), ("do", "draft")]].concat());
    assert_eq!(kept.header("location"), "/admin/e/later");
    let extended = |officer: &mut Browser<'_>, name: &str, value: &str| {
        officer.post("/admin/e/rating/extend", &[("form", &form), (name, value)])
    };
    assert_eq!(extended(&mut officer, "minutes", "90").status, 303);
    assert_eq!(extended(&mut officer, "closes_at", "2999-03-01T18:00").status, 303);
    assert_eq!(site.get("/api/v1/elections/rating").json()["closes_at"], "2999-03-01T18:00:00.000Z");
    assert_eq!(extended(&mut officer, "closes_at", "soon").status, 409);
    assert_eq!(extended(&mut officer, "closes_at", "2000-03-01T18:00").status, 409, "in the past");
}

#[test]
fn a_definition_is_uploaded_and_its_fault_named() {
    let site = Site::new();
    let mut officer = Browser::new(&site);
    officer.log_in();
    let form = officer.get("/admin").hidden("form");
    let mut upload = |text: &str| {
        let body = format!(
            "--b\r\nContent-Disposition: form-data; name=\"form\"\r\n\r\n{form}\r\n\
             --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"x\"\r\n\r\n{text}\r\n--b--\r\n"
        );
        let request = site.request("POST", "/admin/files").cookie(&officer.line());
        officer.keep(request.body("multipart/form-data; boundary=b", body).send())
    };
    let toml =
        "slug = \"board\"\ntitle = \"Board\"\n[[contest]]\ntitle = \"Who?\"\nchoices = [\"Ann\", \"Bob\"]\n";
    assert_eq!(upload(toml).header("location"), "/admin/e/board");
    let taken = upload(&lunch("board", "live").to_string());
    assert_eq!(taken.status, 422);
    let json = upload(&lunch("lunch", "live").to_string());
    assert_eq!(json.header("location"), "/admin/e/lunch");
    let wrong = upload(&toml.replace("\n[[", "\nresults = \"never\"\n[["));
    assert!(wrong.status == 422 && wrong.text().contains("`results`"), "{}", wrong.text());
    let unknown = upload(&toml.replace("\n[[", "\ncolour = \"red\"\n[["));
    assert!(unknown.status == 400 || unknown.text().contains("`colour`"), "{}", unknown.text());
    assert!(upload("slug = ").text().contains("line 1"));
    let made = site.get("/api/v1/elections/board").json();
    assert_eq!(made["state"], "draft");
    let copied = officer.post("/admin/e/board/duplicate", &[("form", &form)]);
    assert_eq!(copied.header("location"), "/admin/e/board-2");
    let rehearsal = officer.post("/admin/e/board/rehearse", &[("form", &form)]);
    assert_eq!(rehearsal.header("location"), "/admin/e/board-rehearsal");
}

#[test]
fn frames_are_for_the_origins_that_the_server_was_started_with() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    assert_eq!(site.get("/e/lunch/embed").status, 404);
    let origins = ["https://one.example", "https://two.example:8443"];
    let site = Site::with(|config| config.embed_origins = origins.map(str::to_owned).to_vec());
    site.open(lunch("lunch", "live"));
    let room = site.officer_post("/api/v1/rooms", json!({ "title": "Hall", "elections": ["lunch"] })).json();
    let code = room["code"].as_str().unwrap();
    for place in ["/e/lunch/embed", &format!("/r/{code}/embed")] {
        let frame = site.get(place);
        assert_eq!(frame.status, 200, "{place}");
        let policy = frame.header("content-security-policy");
        assert!(
            policy.ends_with("; frame-ancestors https://one.example https://two.example:8443"),
            "{policy}"
        );
        assert!(frame.header("set-cookie").is_empty() && frame.text().contains("Pizza"));
        assert!(!frame.text().contains("<form"), "results only");
    }
    for place in ["/e/lunch", "/e/lunch/results", "/admin", &format!("/r/{code}/screen")] {
        assert_eq!(site.get(place).header("content-security-policy"), POLICY, "{place}");
    }
}

#[test]
fn the_servers_page_is_for_officers_and_no_get_changes_anything() {
    let site = Site::new();
    let mut officer = Browser::new(&site);
    assert!(officer.get("/cluster").text().contains("Officer login"));
    officer.log_in();
    assert!(officer.get("/admin").text().contains("<a href=\"/cluster\">Servers</a>"));
    let page = officer.get("/cluster");
    assert!(page.text().contains("This server keeps its ledger alone."), "{}", page.text());
    assert!(page.text().contains(&site.origin()), "its address");
    assert_eq!(page.header("content-security-policy"), POLICY);
    let form = officer.get("/admin").hidden("form");
    let back = officer.get("/cluster/remove");
    assert_eq!((back.status, back.header("location")), (303, "/cluster"));
    assert_eq!(
        officer.post("/cluster/remove", &[("server", "1"), ("sure", "yes")]).status,
        403,
        "no form token"
    );
    let unsure = officer.post("/cluster/drain", &[("form", &form), ("server", "1")]);
    assert!(unsure.status == 409 && unsure.text().contains("this asks once"), "{}", unsure.text());
    let alone = officer.post("/cluster/drain", &[("form", &form), ("server", "1"), ("sure", "yes")]);
    assert!(alone.status == 409 && alone.text().contains("keeps its ledger alone"), "{}", alone.text());
    assert_eq!(
        officer.post("/cluster/fly", &[("form", &form), ("server", "1"), ("sure", "yes")]).status,
        404
    );
    let untrue = officer.get("/cluster?did=remove&server=1");
    assert!(!untrue.text().contains("has left the cluster"), "only what is so is said");
}
