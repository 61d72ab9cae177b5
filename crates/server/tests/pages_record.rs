//! The record's page: receipts checked by code and by file, and how many were.

mod common;

use common::{Browser, Reply, Site, lunch, wait_for};
use serde_json::{Value, json};

/// Sends a receipt file, as a browser does.
fn check_file(site: &Site, text: &str) -> String {
    let body = format!(
        "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"r\"\r\n\r\n{text}\r\n\
         --b\r\nContent-Disposition: form-data; name=\"receipt\"\r\n\r\n\r\n--b--\r\n"
    );
    site.request("POST", "/e/lunch/record").body("multipart/form-data; boundary=b", body).send().text()
}

fn check_code(site: &Site, code: &str) -> Reply {
    site.request("POST", "/e/lunch/record").form(&[("tracker", code)]).send()
}

/// The sentence that says how many were checked.
fn counted(page: &str) -> String {
    let start = "<p class=\"counted\"><strong>";
    page.split(start).nth(1).unwrap_or_else(|| panic!("{page}")).split('<').next().unwrap().to_owned()
}

fn tracker(receipt: &Value) -> &str {
    receipt["tracker"].as_str().unwrap()
}

#[test]
fn a_receipt_is_checked_by_code_or_by_file_with_its_proof() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let receipt = site.vote("lunch", json!({ "meal": ["pizza"] }));
    site.vote("lunch", json!({ "meal": ["sushi"] }));
    let typed = tracker(&receipt).to_lowercase().replace('-', "+");
    let found = site.get(&format!("/e/lunch/record?tracker={typed}")).text();
    assert!(
        found.contains("This ballot is on record.") && found.contains("The ballot says: Pizza."),
        "{found}"
    );
    assert!(found.contains("Show each step of the proof"), "{found}");
    assert!(site.get("/e/lunch/record?tracker=0000-0000-0000").text().contains("Not found."));
    assert!(site.get("/e/lunch/record?tracker=hm").text().contains("This is not a code."));
    let whole = check_file(&site, &receipt.to_string());
    assert!(whole.contains("This ballot is on record.") && whole.matches(">Holds<").count() == 4, "{whole}");
    let mut forged = receipt.clone();
    forged["leaf_index"] = json!(2);
    let answer = check_file(&site, &forged.to_string());
    assert!(answer.contains("This receipt does not fit.") && answer.contains(">Fails<"), "{answer}");
    assert!(check_file(&site, "{}").contains("This is not a receipt."));
    assert!(check_file(&site, "").contains("Nothing to check."));
    let arabic = site.request("GET", "/e/lunch/record").header("accept-language", "ar").send().text();
    assert!(arabic.contains("dir=\"rtl\"") && arabic.contains("سجل التصويت"));
}

#[test]
fn ballots_count_as_checked_once_each_and_never_by_a_link() {
    let site = Site::new();
    site.open(lunch("lunch", "at-close"));
    let mut voter = Browser::new(&site);
    let page = voter.vote("lunch", &[("c.meal", "pizza")]).text();
    let second = site.vote("lunch", json!({ "meal": ["sushi"] }));
    let third = site.vote("lunch", json!({ "meal": ["sushi"] }));
    // The receipt's QR code and links lead here.
    let shown = site.get(&format!("/e/lunch/record?tracker={}", tracker(&second))).text();
    assert!(shown.contains("This ballot is on record."));
    assert_eq!(counted(&shown), "0 of 3 ballots have been checked here.");
    // The receipt page's button.
    let own = page.split("name=\"tracker\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let checked = voter.post("/e/lunch/record", &[("tracker", own)]);
    assert_eq!(counted(&checked.text()), "1 of 3 ballots has been checked here.");
    for _ in 0..2 {
        check_code(&site, tracker(&second));
        check_file(&site, &second.to_string());
    }
    check_code(&site, "0000-0000-0000");
    let elsewhere = site.request("POST", "/e/lunch/record").form(&[("tracker", tracker(&third))]);
    elsewhere.header("origin", "https://evil.example").send();
    assert_eq!(counted(&site.get("/e/lunch/record").text()), "2 of 3 ballots have been checked here.");
    let before_close = site.get("/e/lunch/record").text();
    assert!(!before_close.contains("The ballot says"), "openings stay hidden until the counts are shown");
}

#[test]
fn what_was_checked_is_remembered_over_a_restart() {
    let mut site = Site::new();
    site.open(lunch("lunch", "live"));
    let receipts = [(); 3].map(|()| site.vote("lunch", json!({ "meal": ["pizza"] })));
    check_code(&site, tracker(&receipts[0]));
    check_file(&site, &receipts[2].to_string());
    site.restart();
    assert_eq!(counted(&site.get("/e/lunch/record").text()), "2 of 3 ballots have been checked here.");
    std::fs::write(site.data().join("checked"), "damaged").unwrap();
    site.restart();
    wait_for(|| site.get("/readyz").status == 200);
    assert_eq!(counted(&site.get("/e/lunch/record").text()), "0 of 3 ballots have been checked here.");
}
