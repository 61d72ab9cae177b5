//! Slow, silent, large and hostile clients.

mod common;

use common::{Site, exchange, lunch, read_reply, wait_for};
use serde_json::json;
use std::io::{BufReader, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

fn connect(site: &Site) -> TcpStream {
    let stream = TcpStream::connect(site.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

/// Whether the server closes the connection while we say no more.
fn is_closed(mut stream: &TcpStream) -> bool {
    matches!(stream.read(&mut [0; 1024]), Ok(0) | Err(_))
}

#[test]
fn a_half_sent_request_is_given_up() {
    let site = Site::with(|config| config.limits.header_timeout_seconds = 1);
    let mut stream = connect(&site);
    stream.write_all(b"GET /api/v1 HT").unwrap();
    assert!(is_closed(&stream));
    assert_eq!(site.get("/readyz").status, 200);
}

#[test]
fn an_idle_connection_is_closed_and_an_active_one_kept() {
    let site = Site::with(|config| config.limits.idle_timeout_seconds = 1);
    let mut stream = connect(&site);
    for _ in 0..2 {
        stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let reply = read_reply(&mut BufReader::new(stream.try_clone().unwrap()));
        assert_eq!(reply.status, 200);
    }
    assert!(is_closed(&stream));
}

#[test]
fn a_body_that_does_not_come_is_answered_408() {
    let site = Site::with(|config| config.limits.body_timeout_seconds = 1);
    site.open(lunch("lunch", "live"));
    let token = site.session("lunch");
    let head = format!(
        "POST /api/v1/elections/lunch/ballots HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 40\r\n\r\n{{\"choices\""
    );
    exchange(site.address, head.as_bytes()).expect_problem(408, "request_timeout");
}

#[test]
fn a_body_in_small_pieces_is_taken() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let token = site.session("lunch");
    let body = "{\"choices\":{\"meal\":[\"pizza\"]}}";
    let mut stream = connect(&site);
    let head = format!(
        "POST /api/v1/elections/lunch/ballots HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    for piece in body.as_bytes().chunks(3) {
        stream.write_all(format!("{:x}\r\n", piece.len()).as_bytes()).unwrap();
        stream.write_all(piece).unwrap();
        stream.write_all(b"\r\n").unwrap();
    }
    stream.write_all(b"0\r\n\r\n").unwrap();
    assert_eq!(read_reply(&mut BufReader::new(stream)).status, 201);
}

#[test]
fn a_reader_that_stops_reading_holds_nobody_up() {
    let site = Site::with(|config| {
        config.workers = Some(1);
        config.limits.idle_timeout_seconds = 2;
        config.limits.snapshots_per_second = 1000;
    });
    site.open(lunch("lunch", "live"));
    let mut deaf = Vec::new();
    for _ in 0..20 {
        let mut stream = connect(&site);
        stream.write_all(&site.request("GET", "/api/v1/elections/lunch/events").bytes()).unwrap();
        deaf.push(stream);
    }
    for _ in 0..50 {
        site.vote("lunch", json!({ "meal": ["pizza"] }));
    }
    assert_eq!(site.get("/api/v1/elections/lunch/results").json()["ballots"], 50);
    wait_for(|| site.get("/metrics").text().contains("hustings_ballots_accepted_total{by=\"single\"} 50\n"));
}

#[test]
fn a_slow_download_of_a_record_is_cut_when_nothing_moves() {
    let site = Site::with(|config| config.limits.idle_timeout_seconds = 1);
    site.open(lunch("lunch", "live"));
    let lines: String = (0..60_000)
        .map(|number| format!("{{\"voter\":\"v{number}\",\"choices\":{{\"meal\":[\"pizza\"]}}}}\n"))
        .collect();
    let bulk = site.request("POST", "/api/v1/elections/lunch/ballots/bulk").officer();
    assert_eq!(bulk.body("application/x-ndjson", lines).send().status, 200);
    let mut stream = connect(&site);
    stream.write_all(&site.request("GET", "/api/v1/elections/lunch/record").bytes()).unwrap();
    // It fills the socket's buffers, and then nothing moves.
    wait_for(|| site.get("/metrics").text().contains("hustings_connections_overdue_total 1\n"));
    let whole = site.get("/api/v1/elections/lunch/record");
    assert!(whole.text().lines().last().unwrap().starts_with("{\"end\""));
}

#[test]
fn too_many_connections_are_told_so() {
    let site = Site::with(|config| config.limits.connections_max = 3);
    let held: Vec<TcpStream> = (0..3).map(|_| connect(&site)).collect();
    wait_for(|| {
        let reply = exchange(site.address, b"");
        reply.status == 503 && reply.code() == "overloaded" && reply.header("retry-after") == "2"
    });
    drop(held);
    wait_for(|| {
        let mut stream = connect(&site);
        let _ = stream.write_all(b"GET /livez HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        let mut text = String::new();
        let _ = stream.read_to_string(&mut text);
        text.starts_with("HTTP/1.1 200")
    });
}

#[test]
fn a_voter_who_hammers_is_slowed_and_others_are_not() {
    let site = Site::with(|config| {
        config.limits.ballots_per_voter_per_second = 1;
        config.limits.ballots_per_voter_burst = 3;
    });
    site.open(lunch("lunch", "live"));
    let token = site.session("lunch");
    let replies: Vec<_> =
        (0..6).map(|_| site.cast("lunch", &token, json!({ "meal": ["pizza"] })).status).collect();
    assert_eq!(replies[0], 201);
    assert!(replies.contains(&409) && replies.contains(&429), "{replies:?}");
    site.vote("lunch", json!({ "meal": ["sushi"] }));
}

#[test]
fn sessions_of_one_address_are_limited_softly() {
    let site = Site::with(|config| {
        config.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
        config.limits.sessions_per_address_per_second = 1;
        config.limits.sessions_per_address_burst = 2;
    });
    site.open(lunch("lunch", "live"));
    let from = |address: &str| {
        let request = site.request("POST", "/api/v1/elections/lunch/sessions");
        request.header("x-forwarded-for", address).send().status
    };
    assert_eq!([from("203.0.113.9"), from("203.0.113.9"), from("203.0.113.9")], [201, 201, 429]);
    assert_eq!(from("203.0.113.10"), 201);
}

#[test]
fn wrong_officer_tokens_are_limited_and_right_ones_are_not() {
    let site = Site::with(|config| config.limits.logins_per_minute = 3);
    let status = |token: &str| site.request("POST", "/api/v1/clock/confirm").bearer(token).send().status;
    let wrong: Vec<u16> = (0..8).map(|_| status("wrong")).collect();
    assert!(wrong.contains(&401) && wrong.contains(&429), "{wrong:?}");
    site.open(lunch("lunch", "live"));
    let guess = site.cast("lunch", "a-guess-at-the-officer-token", json!({ "meal": [] }));
    guess.expect_problem(429, "rate_limited");
    let mistyped = site.cast("lunch", &"A".repeat(63), json!({ "meal": [] }));
    mistyped.expect_problem(401, "unauthorized");
    assert_eq!(status(common::OFFICER), 200);
}

#[test]
fn request_ids_are_kept_or_given() {
    let site = Site::new();
    site.open(lunch("lunch", "live"));
    let given = site.request("GET", "/livez").header("x-request-id", "abc-1").send();
    assert_eq!(given.header("x-request-id"), "abc-1");
    let odd = site.request("GET", "/livez").header("x-request-id", "a b\"c").send();
    assert_eq!(odd.header("x-request-id").len(), 16);
    let ballot = site.request("POST", "/api/v1/elections/lunch/ballots").bearer(&site.session("lunch"));
    let ballot = ballot.header("x-request-id", "vote-7").json(&json!({ "choices": { "meal": [] } })).send();
    assert_eq!((ballot.status, ballot.header("x-request-id")), (201, "vote-7"));
}

#[test]
fn tls_is_served_with_given_files() {
    use rustls::pki_types::pem::PemObject;
    let data = |name: &str| -> std::path::PathBuf {
        format!("{}/tests/data/{name}", env!("CARGO_MANIFEST_DIR")).into()
    };
    let site = Site::with(|config| {
        config.tls = Some(server::TlsFiles { certificates: data("test.crt"), key: data("test.key") });
    });
    let certificate = rustls::pki_types::CertificateDer::from_pem_file(data("test.crt"));
    let mut roots = rustls::RootCertStore::empty();
    roots.add(certificate.unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = "localhost".try_into().unwrap();
    let client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = rustls::StreamOwned::new(client, connect(&site));
    stream.write_all(b"GET /e/none HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
    let reply = read_reply(&mut BufReader::new(stream));
    assert_eq!(reply.status, 404);
    assert!(!reply.text().contains("not encrypted"));
    // Somebody who speaks plain HTTP to it holds nobody up.
    let mut plain = connect(&site);
    plain.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert!(is_closed(&plain) || is_closed(&plain));
}

#[test]
fn wrong_certificate_files_are_named_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = server::ServerConfig::plain();
    let certificates = folder.path().join("none.crt");
    config.tls = Some(server::TlsFiles { certificates: certificates.clone(), key: certificates });
    let started = node::Node::start(node::NodeConfig::standard(folder.path().join("data"))).unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let error = server::start(listener, config, started.handle.clone()).unwrap_err();
    assert!(error.to_string().contains("none.crt"), "{error}");
}
