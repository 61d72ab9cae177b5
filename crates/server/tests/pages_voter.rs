//! The voter's way without script: ballot, review, receipt, and every way in which it can go wrong.

mod common;

use common::{Browser, Reply, Site, lunch, wait_for};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Three contests, one of which takes one or two marks.
fn board(slug: &str) -> Value {
    json!({ "slug": slug, "title": "Board", "organiser": "Club", "description": "For two years.", "contest": [
        { "id": "chair", "title": "Who chairs?", "choices": [
            { "name": "Ann", "party": "Green list", "description": "Treasurer." }, "Bob" ] },
        { "id": "helpers", "title": "Who helps?", "choose": { "max": 2 }, "choices": ["Cy", "Dee", "Eve"] },
        { "id": "mood", "title": "How was it?", "method": "rating",
          "choices": [{ "id": "1", "name": "Poor" }, "2", { "id": "3", "name": "Great" }] } ] })
}

fn marked(page: &Reply) -> BTreeSet<String> {
    let text = page.text();
    let inputs =
        text.split("<input type=\"").skip(1).map(|input| input.split('>').next().unwrap().to_owned());
    inputs
        .filter(|input| input.ends_with(" checked") || input.contains(" checked "))
        .map(|input| input.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned())
        .collect()
}

/// The step that is shown when the address names none.
fn first_step(page: &Reply) -> String {
    let text = page.text();
    text.split("class=\"step first\" id=\"contest-").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn key_of(review: &Reply) -> (String, String) {
    (review.hidden("form"), review.hidden("key"))
}

#[test]
fn each_contest_is_a_step_of_one_form() {
    let site = Site::new();
    site.open(board("board"));
    let page = Browser::new(&site).get("/e/board");
    let text = page.text();
    assert_eq!(text.matches("class=\"step").count(), 3 + 1, "three steps in one form: {text}");
    assert_eq!(first_step(&page), "chair");
    for said in
        ["Contest 1 of 3", "Contest 3 of 3", "href=\"#contest-helpers\">Next", "href=\"#contest-chair\">Back"]
    {
        assert!(text.contains(said), "{said}");
    }
    assert_eq!(text.matches("Check my answers").count(), 1, "on the last step only");
    assert!(text.contains("<bdi>Club</bdi>") && text.contains("Real vote"));
    assert!(text.contains("data-max=\"2\"") && text.contains("1 · Poor") && text.contains("3 · Great"));
    assert!(text.contains("Green list · Treasurer."));
}

#[test]
fn faults_are_all_named_and_lead_to_their_contests_with_the_marks_kept() {
    let site = Site::new();
    let mut definition = board("board");
    definition["contest"][0]["choose"] = json!({ "min": 2, "max": 2 });
    site.open(definition);
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/board").hidden("form");
    let fields = [
        ("form", form.as_str()),
        ("c.chair", "ann"),
        ("c.helpers", "cy"),
        ("c.helpers", "dee"),
        ("c.helpers", "eve"),
        ("c.mood", "2"),
    ];
    let page = voter.review("board", &fields);
    let text = page.text();
    assert_eq!((page.status, first_step(&page).as_str()), (422, "chair"));
    assert!(
        text.contains("<title>Error: Board") && text.contains("role=\"alert\" tabindex=\"-1\" autofocus")
    );
    assert!(
        text.contains("Choose 2: 1 is marked.") && text.contains("Choose up to 2: 3 are marked."),
        "{text}"
    );
    assert!(text.contains("<a href=\"#contest-helpers\"><bdi>Who helps?</bdi>"), "{text}");
    assert_eq!(marked(&page), BTreeSet::from(["ann", "cy", "dee", "eve", "2"].map(str::to_owned)));
    assert_eq!(text.matches(">Check my answers<").count(), 3, "from every step straight back to the review");
    let unknown = voter.review("board", &[("form", &form), ("c.helpers", "nobody")]);
    assert_eq!((unknown.status, first_step(&unknown).as_str()), (422, "helpers"));
}

#[test]
fn the_review_points_out_what_was_left_out_and_each_answer_can_be_changed() {
    let site = Site::new();
    site.open(board("board"));
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/board").hidden("form");
    let review = voter.review("board", &[("form", &form), ("c.chair", ""), ("c.helpers", "dee")]);
    let text = review.text();
    assert!(text.contains("Nothing has been cast yet."));
    assert_eq!(
        text.matches("You have marked nothing here").count(),
        1,
        "the chair was left blank on purpose"
    );
    assert_eq!(text.matches("formaction=\"/e/board/change\" name=\"contest\"").count(), 3);
    let (form, key) = key_of(&review);
    let fields =
        [("form", &*form), ("key", &key), ("c.chair", ""), ("c.helpers", "dee"), ("contest", "helpers")];
    let change = voter.post("/e/board/change", &fields);
    assert_eq!((change.status, change.header("location")), (303, "/e/board?change=helpers#contest-helpers"));
    let ballot = voter.get("/e/board?change=helpers");
    assert_eq!(first_step(&ballot), "helpers");
    assert_eq!(marked(&ballot), BTreeSet::from(["", "dee"].map(str::to_owned)));
    let odd = voter.post("/e/board/change", &[("form", &form), ("contest", "nowhere")]);
    assert_eq!(odd.header("location"), "/e/board?change=chair#contest-chair");
    assert_eq!(site.get("/api/v1/elections/board/results").json()["ballots"], 0, "nothing was cast");
}

/// Back, reload, another language: each is a GET, and finds the marks.
#[test]
fn marks_stay_in_the_browser_until_the_vote_is_cast() {
    let site = Site::new();
    site.open(board("board"));
    site.open(lunch("lunch", "live"));
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/board").hidden("form");
    let fields = [
        ("form", form.as_str()),
        ("c.chair", "bob"),
        ("c.helpers", "cy"),
        ("c.helpers", "eve"),
        ("c.mood", ""),
    ];
    let sent = voter.post("/e/board/review", &fields);
    assert_eq!((sent.status, sent.header("location")), (303, "/e/board/review"));
    let cookie = sent.header("set-cookie");
    assert!(cookie.ends_with("; Path=/e/board; HttpOnly; SameSite=Lax"), "{cookie}");
    let review = voter.get("/e/board/review");
    assert_eq!(key_of(&voter.get("/e/board/review")), key_of(&review), "a reload casts under the same key");
    let all = BTreeSet::from(["bob", "cy", "eve", ""].map(str::to_owned));
    assert_eq!(marked(&voter.get("/e/board")), all);
    // The draft goes with its session and its election.
    let mut other = Browser::new(&site);
    other.get("/e/board");
    let draft = voter.cookies.iter().find(|(name, _)| name.ends_with("-draft")).unwrap().clone();
    other.cookies.push(draft);
    assert_eq!(other.get("/e/board/review").header("location"), "/e/board");
    assert!(marked(&other.get("/e/board")).is_empty());
    assert!(marked(&voter.get("/e/lunch")).is_empty());
    let (form, key) = key_of(&review);
    let mut fields = fields.to_vec();
    fields[0].1 = &form;
    fields.push(("key", &key));
    let cast = voter.post("/e/board/cast", &fields);
    assert!(cast.header("set-cookie").contains("-draft=; Path=/e/board; HttpOnly; SameSite=Lax; Max-Age=0"));
    for path in ["/e/board", "/e/board/review"] {
        let there = voter.get(path);
        assert!(there.header("location").starts_with("/e/board"), "{path}");
    }
    assert_eq!(site.get("/api/v1/elections/board/results").json()["ballots"], 1);
}

/// More marks than a cookie holds come back as they always did, in the answer to the form.
#[test]
fn a_ballot_of_a_thousand_marks_is_reviewed_too() {
    let site = Site::new();
    let mut definition = lunch("lunch", "live");
    let names: Vec<String> = (0..1000).map(|number| format!("Choice number {number}")).collect();
    definition["contest"][0]["choices"] = json!(names);
    definition["contest"][0]["method"] = json!("approval");
    site.open(definition);
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    let ids: Vec<String> = (0..1000).map(|number| format!("choice-number-{number}")).collect();
    let mut fields: Vec<(&str, &str)> = ids.iter().map(|id| ("c.meal", id.as_str())).collect();
    fields.push(("form", &form));
    let review = voter.post("/e/lunch/review", &fields);
    assert_eq!(review.status, 200);
    let (form, key) = key_of(&review);
    fields.extend([("key", key.as_str())]);
    fields.retain(|(name, _)| *name != "form");
    fields.push(("form", &form));
    let change: Vec<(&str, &str)> = fields.iter().copied().chain([("contest", "meal")]).collect();
    assert_eq!(marked(&voter.post("/e/lunch/change", &change)).len(), 1000);
    assert_eq!(voter.post("/e/lunch/cast", &fields).status, 303);
}

#[test]
fn a_reload_of_any_step_leads_back_to_the_ballot() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    for step in ["review", "change", "cast", "enter"] {
        let reply = site.get(&format!("/e/lunch/{step}"));
        assert_eq!((reply.status, reply.header("location")), (303, "/e/lunch"), "{step}");
    }
    assert_eq!(site.get("/e/nowhere/review").status, 404);
}

/// The answer to the cast was lost on the way, and the vote closed meanwhile, by this very ballot.
#[test]
fn a_form_sent_again_after_a_lost_answer_leads_to_its_receipt() {
    let site = Site::new();
    let mut definition = lunch("lunch", "at-close");
    definition["closing"] = json!({ "after_voters": 1 });
    site.open(definition);
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    let (form, key) = key_of(&voter.review("lunch", &[("form", &form), ("c.meal", "pizza")]));
    let fields = [("form", form.as_str()), ("key", key.as_str()), ("c.meal", "pizza")];
    for _ in 0..3 {
        let cast = voter.post("/e/lunch/cast", &fields);
        assert_eq!((cast.status, cast.header("location")), (303, "/e/lunch/receipt"), "{}", cast.text());
    }
    assert!(voter.get("/e/lunch/receipt").text().contains("Your vote is cast"));
    assert_eq!(site.get("/api/v1/elections/lunch/results").json()["ballots"], 1);
}

#[test]
fn a_second_tab_is_told_of_the_vote_that_stands() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    let (again, key) = key_of(&voter.review("lunch", &[("form", &form), ("c.meal", "sushi")]));
    voter.vote("lunch", &[("c.meal", "pizza")]);
    let fields = [("form", again.as_str()), ("key", key.as_str()), ("c.meal", "sushi")];
    for step in ["review", "change", "cast"] {
        let reply = voter.post(&format!("/e/lunch/{step}"), &fields);
        assert_eq!((reply.status, reply.header("location")), (303, "/e/lunch/receipt"), "{step}");
    }
    site.act("lunch", "close");
    let late = voter.post("/e/lunch/cast", &fields);
    assert_eq!(
        late.header("location"),
        "/e/lunch/receipt",
        "who has voted never reads that there is no vote"
    );
    assert_eq!(site.get("/api/v1/elections/lunch/results").json()["contests"][0]["counts"][0]["votes"], 1);
}

#[test]
fn a_change_that_comes_too_late_leaves_the_earlier_vote() {
    let site = Site::new();
    let mut definition = lunch("lunch", "at-close");
    definition["revote"] = json!("last-counts");
    site.open(definition);
    let mut voter = Browser::new(&site);
    assert!(
        voter
            .vote("lunch", &[("c.meal", "pizza")])
            .text()
            .contains("href=\"/e/lunch?again=1\">Change my vote")
    );
    let form = voter.get("/e/lunch?again=1").hidden("form");
    site.act("lunch", "close");
    let late = voter.review("lunch", &[("form", &form), ("c.meal", "sushi")]);
    assert_eq!(late.status, 409);
    assert!(late.text().contains("The one you cast before still counts."), "{}", late.text());
    assert!(late.text().contains("href=\"/e/lunch/receipt\""));
    assert!(voter.get("/e/lunch/receipt").text().contains("The winner is Pizza with 1 vote"));
}

#[test]
fn shuffled_choices_keep_their_order_for_one_voter_wherever_they_look() {
    let mut site = Site::new();
    let mut definition = lunch("lunch", "live");
    let names: Vec<String> = (0..8).map(|number| format!("Choice {number}")).collect();
    definition["contest"][0]["choices"] = json!(names);
    definition["contest"][0]["order"] = json!("shuffled");
    site.open(definition);
    let order = |page: &Reply| -> Vec<String> {
        let text = page.text();
        let values = text.split("name=\"c.meal\" value=\"").skip(1);
        values.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let mut voter = Browser::new(&site);
    let first = order(&voter.get("/e/lunch"));
    assert_eq!(first.len(), 9, "eight choices and blank, which stays last");
    assert_eq!(first[8], "");
    assert_eq!(order(&voter.get("/e/lunch")), first);
    let orders: BTreeSet<Vec<String>> =
        (0..10).map(|_| order(&Browser::new(&site).get("/e/lunch"))).collect();
    assert!(orders.len() > 1, "others see others");
    let cookies = voter.cookies.clone();
    site.restart();
    let mut again = Browser { site: &site, cookies };
    assert_eq!(order(&again.get("/e/lunch")), first);
}

#[test]
fn a_page_that_waits_has_its_tables_and_no_figure_in_them() {
    let site = Site::new();
    for (slug, results) in [("a", "at-close"), ("b", "on-publish"), ("c", "on-reveal"), ("d", "live")] {
        site.open(lunch(slug, results));
        site.vote(slug, json!({ "meal": ["sushi"] }));
        let mut voter = Browser::new(&site);
        let receipt = voter.vote(slug, &[("c.meal", "sushi")]).text();
        for page in [receipt, voter.get(&format!("/e/{slug}/results")).text()] {
            assert_eq!(page.contains("<div data-results hidden>"), results != "live", "{results}");
            assert_eq!(page.contains("data-votes></td>"), results != "live", "{results}");
            assert_eq!(page.contains("100 %"), results == "live", "{results}");
            assert!(page.contains("2 people have voted"), "{results}");
        }
    }
    site.act("c", "reveal");
    wait_for(|| site.get("/e/c/results").text().contains("100 %"));
    site.act("c", "hide");
    wait_for(|| !site.get("/e/c/results").text().contains("100 %"));
}

#[test]
fn a_waiting_page_says_how_many_of_how_many_and_until_when() {
    let site = Site::new();
    let mut definition = lunch("lunch", "at-close");
    definition["closing"] = json!({ "after_voters": 10, "at": "2099-03-01T18:00:00Z" });
    site.open(definition.clone());
    let receipt = Browser::new(&site).vote("lunch", &[("c.meal", "pizza")]).text();
    assert!(
        receipt.contains(">1 of 10 has voted<") && receipt.contains("data-turnout=\"10\" width=\"10%\""),
        "{receipt}"
    );
    assert!(receipt.contains("{n} of 10 have voted"));
    assert!(receipt.contains("Closes when 10 people have voted"));
    assert!(receipt.contains("data-with-utc data-closes>2099-03-01 18:00 UTC</time>"));
    assert!(!receipt.contains("data-closes-in-ms"), "seventy years are not counted down");
    definition["slug"] = json!("soon");
    definition["closing"] = json!({ "at": election::UnixMillis(site.handle.now().0 + 90_000).to_string() });
    site.open(definition);
    let ballot = Browser::new(&site).get("/e/soon").text();
    assert!(ballot.contains("data-closes-in-ms=\"") && ballot.contains(">1:"), "{ballot}");
}

#[test]
fn in_a_led_room_pages_follow_the_room() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    site.open(lunch("dinner", "at-close"));
    let room = json!({ "title": "Hall", "pace": "led", "elections": ["lunch", "dinner"] });
    let code = site.officer_post("/api/v1/rooms", room).json()["code"].as_str().unwrap().to_owned();
    let screen = format!("/api/v1/rooms/{code}/screen");
    site.officer_post(&screen, json!({ "show": "election", "election": "lunch" }));
    let mut voter = Browser::new(&site);
    let receipt = voter.vote("lunch", &[("c.meal", "pizza")]).text();
    let follows = format!("data-events=\"/r/{code}/events\" data-slug=\"lunch\"");
    assert!(receipt.contains(&follows) && receipt.contains("data-follow-room=\"lunch\""), "{receipt}");
    let button = format!("href=\"/j/{code}\">Go to the current question");
    assert!(receipt.contains(&button), "without script");
    assert!(!receipt.contains("href=\"/e/dinner\""), "the officer says what comes next");
    assert!(voter.get("/e/lunch/results").text().contains(&follows));
    site.act("lunch", "close");
    let mut late = Browser::new(&site);
    assert!(late.get("/e/lunch").text().contains(&button));
    let ballot = late.get("/e/dinner").text();
    assert!(
        ballot.contains("data-events=\"/api/v1/elections/dinner/events\""),
        "a form is never led away from"
    );
}

#[test]
fn rounds_are_linked_both_ways() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    for choice in ["pizza", "sushi"] {
        site.vote("lunch", json!({ "meal": [choice] }));
    }
    site.act("lunch", "close");
    assert_eq!(site.act("lunch", "run-off").status, 201);
    let first = site.get("/e/lunch/results").text();
    assert!(first.contains("<a href=\"/e/lunch-2/results\"><bdi>Round 2: Lunch</bdi></a>"), "{first}");
    let second = site.get("/e/lunch-2/results").text();
    assert!(second.contains("<a href=\"/e/lunch/results\"><bdi>Round 1: Lunch</bdi></a>"), "{second}");
}

#[test]
fn a_rating_is_shown_as_an_average_with_its_spread_while_it_goes_on() {
    let site = Site::new();
    site.open(json!({ "slug": "talk", "title": "Talk", "results": "live",
        "contest": [{ "id": "talk", "title": "How was the talk?", "method": "rating" }] }));
    assert!(
        site.get("/e/talk/results")
            .text()
            .contains("data-rated=\"{&#34;one&#34;:&#34;Average {average} of 5")
    );
    for level in ["5", "5", "4"] {
        site.vote("talk", json!({ "talk": [level] }));
    }
    wait_for(|| site.get("/e/talk/results").text().contains(">Average 4.7 of 5 from 3 ratings</h1>"));
    let page = site.get("/e/talk/results").text();
    assert_eq!(page.matches("<tr data-row").count(), 5);
    let german = site.request("GET", "/e/talk/results").header("accept-language", "de").send().text();
    assert!(german.contains("Durchschnitt 4,7 von 5 aus 3 Bewertungen"), "{german}");
    site.open(lunch("lunch", "live"));
    site.vote("lunch", json!({ "meal": ["sushi"] }));
    assert!(!site.get("/e/lunch/results").text().contains("The winner is"), "who leads has not won");
}

#[test]
fn a_voters_page_is_at_most_60_kb_in_all() {
    let site = Site::new();
    site.open(board("board"));
    let mut voter = Browser::new(&site);
    let ballot = voter.get("/e/board");
    let form = ballot.hidden("form");
    let review = voter.review("board", &[("form", &form), ("c.chair", "ann")]);
    let receipt = voter.vote("board", &[("c.chair", "ann")]);
    let rest = ["/e/board/results", "/e/board/record"].map(|path| voter.get(path));
    for page in [ballot, review, receipt].into_iter().chain(rest) {
        let text = page.text();
        let assets: BTreeSet<&str> =
            text.split("\"/assets/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
        let (mut plain, mut packed) = (page.body.len(), page.body.len());
        for asset in assets {
            let get = || site.request("GET", &format!("/assets/{asset}"));
            plain += get().send().body.len();
            packed += get().header("accept-encoding", "gzip").send().body.len();
        }
        assert!(plain <= 60 * 1024 && packed <= 36 * 1024, "{plain} bytes, {packed} with packed files");
    }
}

/// Every page of a voter's, in every language: none falls back to English words.
#[test]
fn voters_pages_speak_four_languages() {
    let site = Site::new();
    site.open(board("board"));
    site.open(lunch("closed", "live"));
    site.act("closed", "close");
    let english = ["Check", "answers", "Voting", "ballot", "Record", "voted", "Blank"];
    for (code, direction) in [("de", "ltr"), ("fr", "ltr"), ("ar", "rtl")] {
        let mut voter = Browser::new(&site);
        let ballot = voter.get("/e/board");
        voter.post("/language", &[("language", code)]);
        voter.cookies.push(("hustings-language".to_owned(), code.to_owned()));
        let form = ballot.hidden("form");
        let review = voter.review("board", &[("form", &form)]);
        let (form, key) = key_of(&review);
        let faulty = voter.review("board", &[("form", &form), ("c.chair", "x")]);
        voter.post("/e/board/cast", &[("form", &form), ("key", &key)]);
        let mut pages = vec![review, faulty];
        for path in [
            "/e/board/receipt",
            "/e/board/results",
            "/e/board/record",
            "/e/closed",
            "/e/nowhere",
            "/e/board/record?tracker=0000-0000-0000",
        ] {
            pages.push(voter.get(path));
        }
        for page in pages {
            let text = page.text();
            assert!(text.contains(&format!("<html lang=\"{code}\" dir=\"{direction}\"")), "{text}");
            let main = text.split("<main").nth(1).unwrap().split("</main>").next().unwrap();
            let main = main.split("<pre").next().unwrap();
            let said: String = main.split('>').skip(1).map(|rest| rest.split('<').next().unwrap()).collect();
            for word in english {
                assert!(!said.contains(word), "{code}: {word} in {said}");
            }
        }
    }
}

#[test]
fn a_full_server_says_when_to_come_back() {
    let site = Site::with(|config| {
        config.limits.ballots_per_voter_per_second = 1;
        config.limits.ballots_per_voter_burst = 1;
    });
    let mut definition = lunch("lunch", "live");
    definition["revote"] = json!("last-counts");
    site.open(definition);
    let mut voter = Browser::new(&site);
    let form = voter.get("/e/lunch").hidden("form");
    let cast = |voter: &mut Browser<'_>| voter.post("/e/lunch/cast", &[("form", &form), ("c.meal", "pizza")]);
    let replies: Vec<Reply> = (0..4).map(|_| cast(&mut voter)).collect();
    let full = replies.iter().find(|reply| reply.status == 429).expect("four at once are too many");
    assert!(full.text().contains("Your vote was not cast by this request. Try again in"), "{}", full.text());
    assert!(!full.header("retry-after").is_empty());
}
