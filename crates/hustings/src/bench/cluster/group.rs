//! A cluster under test: child processes of this program on loopback, each with a folder of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use cluster::net::JoinKey;
use serde_json::Value;

use crate::bench::process::free_address;
use crate::bench::server::Server;
use crate::bench::{Context, clock, http};

const WHOLE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(20);

pub struct Group {
    key: String,
    seed: SocketAddr,
    folder: PathBuf,
    places: Vec<Place>,
}

struct Place {
    http: SocketAddr,
    node: SocketAddr,
    server: Option<Server>,
}

impl Group {
    /// `count` voters that all know who leads.
    pub fn start(context: &Context, count: usize) -> anyhow::Result<Self> {
        let key = JoinKey::from_random(rand::random()).to_text().to_string();
        let folder = context.folder().join("cluster");
        let mut group = Self { key, seed: free_address()?, folder, places: Vec::new() };
        for _ in 0..count {
            group.add()?;
        }
        group.wait_until_whole()?;
        Ok(group)
    }

    /// One more node: it joins, and is promoted when it has caught up. Does not wait for that.
    pub fn add(&mut self) -> anyhow::Result<usize> {
        let node = if self.places.is_empty() { self.seed } else { free_address()? };
        self.places.push(Place { http: free_address()?, node, server: None });
        let number = self.places.len() - 1;
        self.run(number)?;
        Ok(number)
    }

    /// Starts the process of a place, on what its folder holds.
    pub fn run(&mut self, number: usize) -> anyhow::Result<()> {
        let place = &self.places[number];
        let (node, seed) = (place.node.to_string(), self.seed.to_string());
        let mut settings = vec![
            ("HUSTINGS_CLUSTER", "bench"),
            ("HUSTINGS_NODE_LISTEN", node.as_str()),
            ("HUSTINGS_DISCOVERY", "off"),
            ("HUSTINGS_JOIN_KEY", self.key.as_str()),
        ];
        settings.push(if number == 0 { ("HUSTINGS_EXPECT", "1") } else { ("HUSTINGS_SEEDS", seed.as_str()) });
        let data = self.folder.join(format!("node-{}", number + 1));
        let server = Server::start_at(place.http, &data, &settings)?;
        self.places[number].server = Some(server);
        Ok(())
    }

    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.places.iter().map(|place| place.http).collect()
    }

    /// # Panics
    /// If that node does not run.
    pub fn server(&self, number: usize) -> &Server {
        self.places[number].server.as_ref().expect("a node that runs is asked for")
    }

    /// Ends a node without warning.
    pub fn kill(&mut self, number: usize) {
        if let Some(server) = self.places[number].server.take() {
            server.kill();
        }
    }

    pub fn stop(self) -> anyhow::Result<()> {
        self.places.into_iter().filter_map(|place| place.server).try_for_each(Server::stop)
    }

    /// What a node that runs says of the cluster.
    pub fn view(&self) -> anyhow::Result<Value> {
        let running = self.places.iter().filter(|place| place.server.is_some());
        for place in running {
            if let Ok((200, text)) = http::call(place.http, "GET", "/api/v1/cluster", None, None) {
                return serde_json::from_slice(&text).context("the cluster's view");
            }
        }
        bail!("no node says how the cluster is");
    }

    /// The place whose node leads, and its id.
    pub fn leader(&self) -> anyhow::Result<(usize, u64)> {
        let view = self.view()?;
        let id = view["leader"].as_u64().context("nobody leads")?;
        Ok((self.place_of(&view, id)?, id))
    }

    /// The id of the node of a place.
    pub fn id_of(&self, number: usize) -> anyhow::Result<u64> {
        let view = self.view()?;
        let address = format!("http://{}", self.places[number].http);
        let mut nodes = view["nodes"].as_array().into_iter().flatten();
        let node = nodes.rfind(|node| node["address"] == *address).context("the node is no member")?;
        node["id"].as_u64().context("a node has an id")
    }

    fn place_of(&self, view: &Value, id: u64) -> anyhow::Result<usize> {
        let mut nodes = view["nodes"].as_array().into_iter().flatten();
        let node = nodes.find(|node| node["id"] == id).context("the leader is no member")?;
        let is_there = |place: &Place| node["address"] == *format!("http://{}", place.http);
        self.places.iter().position(is_there).context("the leader has no place")
    }

    /// Waits until every node that runs is a voter, and all have the same.
    pub fn wait_until_whole(&self) -> anyhow::Result<()> {
        let began = clock::now();
        let running = self.places.iter().filter(|place| place.server.is_some()).count();
        loop {
            let views: Vec<Value> = self
                .places
                .iter()
                .filter(|place| place.server.is_some())
                .filter_map(|place| http::call(place.http, "GET", "/api/v1/cluster", None, None).ok())
                .filter_map(|(_, text)| serde_json::from_slice(&text).ok())
                .collect();
            let is_whole = |view: &Value| {
                let nodes = view["nodes"].as_array().map_or(&[][..], Vec::as_slice);
                let voters = nodes.iter().filter(|node| node["role"] != "learner");
                let heard =
                    voters.clone().filter(|node| node["heard_ms_ago"].as_u64().is_some_and(|ms| ms < 500));
                view["leader"].is_u64() && voters.count() == heard.clone().count() && heard.count() == running
            };
            let positions: Vec<u64> = views.iter().filter_map(|view| view["position"].as_u64()).collect();
            let leaders = views.iter().all(|view| view["leader"] == views[0]["leader"]);
            let (low, high) = (positions.iter().min(), positions.iter().max());
            let is_level = high.zip(low).is_some_and(|(high, low)| high - low <= 8);
            if views.len() == running && leaders && is_level && views.iter().all(is_whole) {
                return Ok(());
            }
            if began.elapsed() > WHOLE_WITHIN {
                bail!("the cluster was not whole after {} s: {views:?}", WHOLE_WITHIN.as_secs());
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// An operator's request, by any node.
    pub fn change(&self, what: &str, node: u64) -> anyhow::Result<()> {
        let path = format!("/api/v1/cluster/{what}");
        let running = self.places.iter().find_map(|place| place.server.as_ref()).context("no node runs")?;
        running.officer("POST", &path, Some(&format!("{{\"node\":{node}}}")))?;
        Ok(())
    }
}
