//! The three servers: processes of this very program, ended with the demo.

use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use cluster::net::JoinKey;

use super::SERVERS;
use crate::addresses;

const FIRST_PORT: u16 = 8700;
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

pub struct Servers {
    folder: PathBuf,
    officer_token: String,
    join_key: String,
    places: Vec<Place>,
}

struct Place {
    listen: SocketAddr,
    node: SocketAddr,
    process: Option<Child>,
}

impl Servers {
    pub fn start(folder: PathBuf, officer_token: &str, ip: Option<IpAddr>) -> Result<Self> {
        let ip = ip.unwrap_or(Ipv4Addr::UNSPECIFIED.into());
        let mut servers = Self {
            folder,
            officer_token: officer_token.to_owned(),
            join_key: JoinKey::from_random(rand::random()).to_text().to_string(),
            places: Vec::new(),
        };
        // Held until all are found, so that none is found twice.
        let mut held = Vec::new();
        let mut port = FIRST_PORT;
        while servers.places.len() < SERVERS {
            let listener = TcpListener::bind((ip, port)).or_else(|error| match port {
                0 => Err(error),
                _ if port < FIRST_PORT + 100 => TcpListener::bind((ip, port + 1)),
                _ => TcpListener::bind((ip, 0)),
            })?;
            let node = TcpListener::bind((LOOPBACK, 0))?;
            let listen = listener.local_addr()?;
            port = listen.port().checked_add(1).unwrap_or(0);
            servers.places.push(Place { listen, node: node.local_addr()?, process: None });
            held.push((listener, node));
        }
        drop(held);
        for number in 0..SERVERS {
            servers.run(number)?;
        }
        Ok(servers)
    }

    pub fn run(&mut self, number: usize) -> Result<()> {
        let place = &self.places[number];
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join(format!("{}.log", number + 1)))?;
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--data").arg(self.folder.join(format!("server-{}", number + 1)));
        command.args(["--listen", &place.listen.to_string(), "--node-listen", &place.node.to_string()]);
        command.args(["--cluster", "demo", "--discovery", "off", "--log", "warn"]);
        match number {
            0 => command.args(["--expect", "1"]),
            _ => command.args(["--seeds", &self.places[0].node.to_string()]),
        };
        command.env("HUSTINGS_OFFICER_TOKEN", &self.officer_token).env("HUSTINGS_JOIN_KEY", &self.join_key);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().context("cannot start a server")?;
        self.places[number].process = Some(child);
        Ok(())
    }

    /// As if its power was cut.
    pub fn kill(&mut self, number: usize) {
        if let Some(mut child) = self.places[number].process.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub fn running(&mut self) -> [bool; SERVERS] {
        let runs = |place: &mut Place| match &mut place.process {
            Some(child) => matches!(child.try_wait(), Ok(None)),
            None => false,
        };
        let mut running = [false; SERVERS];
        for (place, running) in self.places.iter_mut().zip(&mut running) {
            *running = runs(place);
        }
        running
    }

    /// For this machine itself.
    pub fn local_url(&self, number: usize) -> String {
        let listen = self.places[number].listen;
        let ip = if listen.ip().is_unspecified() { LOOPBACK } else { listen.ip() };
        addresses::base_url("http", SocketAddr::new(ip, listen.port()))
    }

    /// As the cluster names it to voters.
    pub fn voters_url(&self, number: usize) -> String {
        let listen = self.places[number].listen;
        addresses::base_url("http", addresses::reachable(listen).first().copied().unwrap_or(listen))
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        (0..self.places.len()).for_each(|number| self.kill(number));
    }
}
