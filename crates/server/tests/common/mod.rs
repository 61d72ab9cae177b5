//! A server on a node of its own in a temporary folder, and a client that speaks plain HTTP/1.1.
#![allow(dead_code)] // every test file takes what it needs

use node::{Node, NodeConfig, OfficerToken};
use serde_json::{Value, json};
use server::{Running, ServerConfig};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

pub const OFFICER: &str = "an-officer-token-for-tests";

pub struct Site {
    pub address: SocketAddr,
    pub running: Option<Running>,
    node: Option<Node>,
    pub handle: node::Handle,
    config: ServerConfig,
    folder: tempfile::TempDir,
}

impl Site {
    pub fn new() -> Site {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut ServerConfig)) -> Site {
        let mut config = ServerConfig::plain();
        config.workers = Some(2);
        change(&mut config);
        Self::start(tempfile::tempdir().unwrap(), config)
    }

    fn start(folder: tempfile::TempDir, config: ServerConfig) -> Site {
        let started = Node::start(Self::node_config(&folder)).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let running = server::start(listener, config.clone(), started.handle.clone()).unwrap();
        Site {
            address: running.address(),
            running: Some(running),
            node: Some(started.node),
            handle: started.handle,
            config,
            folder,
        }
    }

    /// Two servers of one ledger, each with an address of its own, that know of each other.
    pub fn pair() -> (Site, Site) {
        let listen = |host: &str| TcpListener::bind((host, 0)).unwrap();
        let (here, there) = (listen("127.0.0.1"), listen("127.0.0.2"));
        let url = |listener: &TcpListener| format!("http://{}", listener.local_addr().unwrap());
        let config = |also: &TcpListener| {
            let mut config = ServerConfig::plain();
            config.workers = Some(1);
            config.also_at = vec![url(also)];
            config
        };
        let (config_here, config_there) = (config(&there), config(&here));
        let folder = tempfile::tempdir().unwrap();
        let started = Node::start(Self::node_config(&folder)).unwrap();
        let (node, handle) = (started.node, started.handle);
        let site = |listener, config: ServerConfig, node, folder| {
            let running = server::start(listener, config.clone(), handle.clone()).unwrap();
            Site {
                address: running.address(),
                running: Some(running),
                node,
                handle: handle.clone(),
                config,
                folder,
            }
        };
        let first = site(here, config_here, Some(node), folder);
        (first, site(there, config_there, None, tempfile::tempdir().unwrap()))
    }

    /// Scheme and authority, as browsers send it.
    pub fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    fn node_config(folder: &tempfile::TempDir) -> NodeConfig {
        let mut config = NodeConfig::standard(folder.path().join("data"));
        config.officer_token = Some(OfficerToken::new(OFFICER.to_owned()).unwrap());
        config
    }

    /// Stops, and starts again with the same data at another port.
    pub fn restart(&mut self) {
        self.stop();
        let folder = std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap());
        let again = Self::start(folder, self.config.clone());
        let emptied = std::mem::replace(self, again);
        drop(emptied);
    }

    pub fn data(&self) -> std::path::PathBuf {
        self.folder.path().join("data")
    }

    fn stop(&mut self) {
        if let Some(running) = self.running.take() {
            running.stop();
        }
        if let Some(node) = self.node.take() {
            node.stop().unwrap();
        }
    }

    pub fn request(&self, method: &str, path: &str) -> Request {
        Request {
            address: self.address,
            method: method.to_owned(),
            path: path.to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    pub fn get(&self, path: &str) -> Reply {
        self.request("GET", path).send()
    }

    pub fn officer_post(&self, path: &str, body: Value) -> Reply {
        self.request("POST", path).officer().json(&body).send()
    }

    /// An election, opened.
    pub fn open(&self, definition: Value) {
        let slug = definition["slug"].as_str().unwrap().to_owned();
        let reply = self.officer_post("/api/v1/elections", definition);
        assert_eq!(reply.status, 201, "{}", reply.text());
        let reply = self.request("POST", &format!("/api/v1/elections/{slug}/open")).officer().send();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    pub fn session(&self, slug: &str) -> String {
        let reply = self.request("POST", &format!("/api/v1/elections/{slug}/sessions")).send();
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    pub fn cast(&self, slug: &str, token: &str, choices: Value) -> Reply {
        self.request("POST", &format!("/api/v1/elections/{slug}/ballots"))
            .bearer(token)
            .json(&json!({ "choices": choices }))
            .send()
    }

    /// Casts one ballot of a new session and returns its receipt.
    pub fn vote(&self, slug: &str, choices: Value) -> Value {
        let reply = self.cast(slug, &self.session(slug), choices);
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.json()
    }

    pub fn act(&self, slug: &str, act: &str) -> Reply {
        self.request("POST", &format!("/api/v1/elections/{slug}/{act}")).officer().send()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.stop();
    }
}

pub fn lunch(slug: &str, results: &str) -> Value {
    json!({ "slug": slug, "title": "Lunch", "results": results,
            "contest": [{ "id": "meal", "title": "What is for lunch?", "choices": ["Pizza", "Sushi"] }] })
}

#[derive(Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub fn header(mut self, name: &str, value: &str) -> Request {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn bearer(self, token: &str) -> Request {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub fn officer(self) -> Request {
        self.bearer(OFFICER)
    }

    pub fn cookie(self, cookie: &str) -> Request {
        self.header("cookie", cookie)
    }

    pub fn json(self, body: &Value) -> Request {
        self.body("application/json", body.to_string())
    }

    pub fn form(self, fields: &[(&str, &str)]) -> Request {
        let encode = |text: &str| -> String {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            text.bytes()
                .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
                .collect()
        };
        let pairs: Vec<String> =
            fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        self.body("application/x-www-form-urlencoded", pairs.join("&"))
    }

    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Request {
        let body = body.into();
        Request { body, ..self.header("content-type", content_type) }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut head =
            format!("{} {} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n", self.method, self.path);
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !self.body.is_empty() {
            head += &format!("content-length: {}\r\n", self.body.len());
        }
        [head.as_bytes(), b"\r\n", &self.body].concat()
    }

    pub fn send(&self) -> Reply {
        exchange(self.address, &self.bytes())
    }
}

/// Sends bytes and reads the answer to its end.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> Reply {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let _ = stream.write_all(bytes);
    read_reply(&mut BufReader::new(stream))
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, Vec<String>>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |values| &values[0])
    }

    pub fn code(&self) -> String {
        self.json()["code"].as_str().unwrap_or_default().to_owned()
    }

    /// The cookies set, as a browser would send them back.
    pub fn cookies(&self) -> String {
        let set = self.headers.get("set-cookie").cloned().unwrap_or_default();
        let pairs: Vec<String> =
            set.iter().map(|cookie| cookie.split(';').next().unwrap().to_owned()).collect();
        pairs.join("; ")
    }

    /// The value of the first hidden field called `name`.
    pub fn hidden(&self, name: &str) -> String {
        let text = self.text();
        let start = format!("name=\"{name}\" value=\"");
        let rest = text.split(&start).nth(1).unwrap_or_else(|| panic!("no field {name} in {text}"));
        rest.split('"').next().unwrap().to_owned()
    }

    /// A problem document with this code and status.
    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["type"], format!("/errors#{code}"));
        problem
    }
}

pub fn read_reply(reader: &mut impl BufRead) -> Reply {
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in `{line}`")).parse().unwrap();
    let mut headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.entry(name.to_ascii_lowercase()).or_default().push(value.to_owned());
    }
    let mut body = Vec::new();
    if headers.contains_key("transfer-encoding") {
        while let Some(chunk) = read_chunk(reader) {
            body.extend_from_slice(&chunk);
        }
    } else if let Some(length) = headers.get("content-length") {
        body.resize(length[0].parse().unwrap(), 0);
        if reader.read_exact(&mut body).is_err() {
            body.clear(); // an answer to HEAD
        }
    }
    Reply { status, headers, body }
}

/// One chunk of a chunked body; `None` at its end.
pub fn read_chunk(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut size = String::new();
    reader.read_line(&mut size).ok()?;
    let size = usize::from_str_radix(size.trim(), 16).ok()?;
    let mut chunk = vec![0; size + 2];
    reader.read_exact(&mut chunk).ok()?;
    chunk.truncate(size);
    (size > 0).then_some(chunk)
}

/// Waits, bounded, until `condition` holds.
#[track_caller]
pub fn wait_for(condition: impl Fn() -> bool) {
    #[allow(clippy::disallowed_methods)] // a bound for a test's patience
    let until = Instant::now() + Duration::from_secs(20);
    while !condition() {
        #[allow(clippy::disallowed_methods)]
        let now = Instant::now();
        assert!(now < until, "waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A browser: keeps its cookies.
pub struct Browser<'s> {
    pub site: &'s Site,
    /// Names and values. Paths are not looked at: a test's browser keeps the draft of one election at a time.
    pub cookies: Vec<(String, String)>,
}

impl<'s> Browser<'s> {
    pub fn new(site: &'s Site) -> Self {
        Browser { site, cookies: Vec::new() }
    }

    pub fn keep(&mut self, reply: Reply) -> Reply {
        for cookie in reply.headers.get("set-cookie").into_iter().flatten() {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(known, _)| known != name);
            self.cookies.push((name.to_owned(), value.to_owned()));
        }
        reply
    }

    pub fn line(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }

    pub fn get(&mut self, path: &str) -> Reply {
        let reply = self.site.request("GET", path).cookie(&self.line()).send();
        self.keep(reply)
    }

    pub fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.site.request("POST", path).cookie(&self.line()).form(fields).send();
        self.keep(reply)
    }

    /// Sends marks to the review and goes where that leads.
    pub fn review(&mut self, slug: &str, fields: &[(&str, &str)]) -> Reply {
        let reply = self.post(&format!("/e/{slug}/review"), fields);
        match reply.status {
            303 => self.get(reply.header("location")),
            _ => reply,
        }
    }

    /// From the ballot to the receipt.
    pub fn vote(&mut self, slug: &str, choices: &[(&str, &str)]) -> Reply {
        let ballot = self.get(&format!("/e/{slug}"));
        assert_eq!(ballot.status, 200, "{}", ballot.text());
        let form = ballot.hidden("form");
        let mut fields = vec![("form", form.as_str())];
        fields.extend_from_slice(choices);
        let review = self.review(slug, &fields);
        assert_eq!(review.status, 200, "{}", review.text());
        assert!(review.text().contains("Nothing has been cast yet."));
        let (form, key) = (review.hidden("form"), review.hidden("key"));
        let mut fields = vec![("form", form.as_str()), ("key", key.as_str())];
        fields.extend_from_slice(choices);
        let cast = self.post(&format!("/e/{slug}/cast"), &fields);
        assert_eq!(
            (cast.status, cast.header("location")),
            (303, &*format!("/e/{slug}/receipt")),
            "{}",
            cast.text()
        );
        self.get(&format!("/e/{slug}/receipt"))
    }

    pub fn log_in(&mut self) {
        let login = self.get("/admin");
        let form = login.hidden("form");
        let reply = self.post("/admin/login", &[("form", &form), ("token", OFFICER)]);
        assert_eq!((reply.status, reply.header("location")), (303, "/admin"), "{}", reply.text());
    }
}
