//! Pictures of choices: added by officers, named by their bytes, shown on the ballot, never run.

mod common;

use common::{Browser, OFFICER, Reply, Site, lunch};
use serde_json::json;

/// A PNG of one pixel.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90wS\xde\
    \x00\x00\x00\x0cIDATx\x9cc\xf8\xcf\xc0\x00\x00\x03\x01\x01\x00\xc9\xfe\x92\xef\x00\x00\x00\x00IEND\xaeB`\x82";

fn add(site: &Site, content_type: &str, bytes: &[u8]) -> Reply {
    site.request("POST", "/api/v1/pictures").officer().body(content_type, bytes).send()
}

fn added(site: &Site, content_type: &str, bytes: &[u8]) -> String {
    let reply = add(site, content_type, bytes);
    assert_eq!(reply.status, 201, "{}", reply.text());
    reply.json()["photo"].as_str().unwrap().to_owned()
}

#[test]
fn a_picture_is_named_by_its_bytes_and_served_as_one_that_never_runs() {
    let mut site = Site::new();
    let photo = added(&site, "image/png", PNG);
    assert!(photo.starts_with("/pictures/") && photo.ends_with(".png") && photo.len() == 78, "{photo}");
    assert_eq!(added(&site, "image/png", PNG), photo, "the same bytes, the same name");
    assert!(added(&site, "image/jpeg", b"\xff\xd8\xff\xe0 jpeg").ends_with(".jpg"));
    assert!(added(&site, "image/webp", b"RIFF\x08\x00\x00\x00WEBPVP8 ").ends_with(".webp"));
    for _ in 0..2 {
        let served = site.get(&photo);
        assert_eq!((served.status, served.header("content-type")), (200, "image/png"));
        assert_eq!(served.body, PNG);
        assert_eq!(served.header("content-security-policy"), "default-src 'none'; sandbox");
        assert_eq!(served.header("x-content-type-options"), "nosniff");
        assert!(served.header("cache-control").contains("immutable"));
        site.restart();
    }
    for gone in ["/pictures/x.png", "/pictures/..%2fsecret", "/pictures/new", &photo.replace(".png", ".jpg")]
    {
        assert_eq!(site.get(gone).status, 404, "{gone}");
    }
}

#[test]
fn what_is_not_a_small_picture_from_an_officer_is_refused() {
    let site = Site::with(|config| config.limits.pictures_bytes_total_max = 1_000);
    add(&site, "image/svg+xml", b"<svg/>").expect_problem(415, "unsupported_media_type");
    add(&site, "image/png", b"<svg/>").expect_problem(422, "invalid_picture");
    add(&site, "image/jpeg", PNG).expect_problem(422, "invalid_picture");
    let large = [PNG, &[0; 256 * 1024]].concat();
    add(&site, "image/png", &large).expect_problem(413, "body_too_large");
    add(&site, "image/png", &[PNG, &[0; 1_000]].concat()).expect_problem(409, "too_many_pictures");
    let nobody = site.request("POST", "/api/v1/pictures").body("image/png", PNG).send();
    nobody.expect_problem(401, "unauthorized");
    let wrong = site.request("POST", "/api/v1/pictures").bearer(&OFFICER.replace('a', "b"));
    wrong.body("image/png", PNG).send().expect_problem(401, "unauthorized");
    assert!(!site.data().join("pictures").join("new").exists());
}

#[test]
fn a_ballot_shows_the_servers_own_pictures_and_no_others() {
    let site = Site::new();
    let photo = added(&site, "image/png", PNG);
    let mut definition = lunch("lunch", "live");
    definition["contest"][0]["choices"] = json!([
        { "name": "Pizza", "photo": photo, "link": "https://example.org/pizza" },
        { "name": "Sushi", "photo": "https://elsewhere.example/sushi.png" },
    ]);
    site.open(definition.clone());
    let ballot = Browser::new(&site).get("/e/lunch").text();
    assert!(ballot.contains(&format!("<img src=\"{photo}\" alt=\"\"")), "{ballot}");
    assert_eq!(ballot.matches("<img").count(), 1);
    assert!(!ballot.contains("elsewhere.example"), "who votes is not told to another host");
    assert!(
        ballot.contains("href=\"https://example.org/pizza\" target=\"_blank\" rel=\"noopener noreferrer\"")
    );
    definition["slug"] = json!("missing");
    definition["contest"][0]["choices"][0]["photo"] = json!(format!("/pictures/{}.png", "0".repeat(64)));
    let missing = site.officer_post("/api/v1/elections", definition);
    assert_eq!(missing.expect_problem(422, "invalid_definition")["field"], "contest[0].choices[0].photo");
}
