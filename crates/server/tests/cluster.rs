//! The cluster over HTTP, on a server that keeps its ledger alone.

mod common;

use common::Site;
use serde_json::json;

const PATH: &str = "/api/v1/cluster";

/// A server behind a proxy: whoever comes through it is not on the server's machine.
fn behind_a_proxy() -> Site {
    Site::with(|config| config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()])
}

#[test]
fn anybody_reads_roles_positions_and_addresses_and_nothing_else() {
    let site = behind_a_proxy();
    let outside = || site.request("GET", PATH).header("x-forwarded-for", "203.0.113.9");
    let cluster = outside().send().json();
    let members: Vec<&str> = cluster.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, ["at", "can_lose", "cluster", "leader", "name", "nodes", "position", "term", "this"]);
    let identity = site.handle.identity();
    assert_eq!(cluster["cluster"], identity.ledger.to_string());
    assert_eq!((&cluster["leader"], &cluster["can_lose"]), (&json!(identity.node), &json!(0)));
    let node = &cluster["nodes"][0];
    let about = site.get("/api/v1").json();
    assert_eq!((&node["role"], &node["address"]), (&json!("leader"), &about["base"]));
    let members: Vec<&str> = node.as_object().unwrap().keys().map(String::as_str).collect();
    let public = ["address", "clock_error_ms", "clock_offset_ms", "heard_ms_ago", "id", "position", "role"];
    assert_eq!(members, public);
    outside().bearer("not-the-officer").send().expect_problem(401, "unauthorized");
    let officers = outside().officer().send().json();
    assert!(officers["troubles"].is_array() && officers["nodes"][0]["operator"]["version"].is_string());
}

#[test]
fn the_position_moves_with_the_ledger() {
    let site = Site::new();
    let position = || site.get(PATH).json()["position"].as_u64().unwrap();
    let before = position();
    site.open(common::lunch("lunch", "live"));
    assert!(position() > before);
}

#[test]
fn only_officers_change_a_cluster_and_a_lone_server_says_that_it_is_none() {
    let site = Site::new();
    for act in ["promote", "remove", "transfer", "drain"] {
        let path = format!("{PATH}/{act}");
        site.request("POST", &path).json(&json!({ "node": 1 })).send().expect_problem(401, "unauthorized");
        site.get(&path).expect_problem(405, "method_not_allowed");
        let missing = site.officer_post(&path, json!({})).expect_problem(400, "malformed_json");
        assert_eq!(missing["field"], "node");
        site.officer_post(&path, json!({ "node": -1 })).expect_problem(400, "malformed_json");
        site.officer_post(&path, json!({ "node": 1, "now": true })).expect_problem(400, "malformed_json");
        site.officer_post(&path, json!({ "node": 1 })).expect_problem(409, "not_a_cluster");
    }
}
