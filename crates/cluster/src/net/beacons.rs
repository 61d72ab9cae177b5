//! Beacons out and in: broadcast on every network of this machine, multicast where broadcast does not reach.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ledger::LedgerId;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, netdevice, socket_with, sockopt};
use tokio::net::UdpSocket;
use tokio::time::Instant;

use super::beacon::{BEACON_BYTES_MAX, Beacon, Signer};
use super::{NetworkConfig, Shared};

/// The UDP port of beacons.
pub const BEACON_PORT: u16 = 7285;
/// Within the part of the address space that stays on a site (RFC 2365).
const GROUP_V4: Ipv4Addr = Ipv4Addr::new(239, 255, 72, 85);
/// On this link only.
const GROUP_V6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0x4875, 0x5374);
const OFTEN: Duration = Duration::from_secs(1);
const SELDOM: Duration = Duration::from_secs(5);
/// A node that was not heard for this long is not there.
const SIGHTED_FOR: Duration = Duration::from_secs(15);
const SIGHTINGS_MAX: usize = 64;

/// What a beacon says beside who the node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    pub is_leading: bool,
    pub term: u64,
    /// Last position of its log.
    pub last: u64,
}

/// Another node whose beacon was heard in the last 15 seconds. A hint: anybody with the join key can send one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sighting {
    pub beacon: Beacon,
    pub heard_ms_ago: u64,
}

/// Another cluster of the same name and join key on this network: somebody founded twice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OtherCluster {
    pub cluster: LedgerId,
    /// Where one of its nodes is.
    pub address: String,
    pub heard_ms_ago: u64,
}

/// What was heard, and what is called out.
#[derive(Debug)]
pub(crate) struct Air {
    signer: Signer,
    nonce: [u8; 16],
    pub standing: Mutex<Standing>,
    heard: Mutex<BTreeMap<[u8; 16], (Beacon, Instant)>>,
    refused: AtomicU64,
}

impl Air {
    pub(crate) fn new(config: &NetworkConfig, nonce: [u8; 16]) -> Self {
        Self {
            signer: Signer::new(&config.key),
            nonce,
            standing: Mutex::default(),
            heard: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Of this process.
    pub(crate) fn nonce(&self) -> [u8; 16] {
        self.nonce
    }

    /// Datagrams on the beacons' port that were none of a node with this join key.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    pub(crate) fn sightings(&self) -> Vec<Sighting> {
        let now = Instant::now();
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = heard.values().map(|(beacon, at)| (beacon, now.duration_since(*at)));
        let fresh = fresh.filter(|(_, age)| *age < SIGHTED_FOR);
        fresh
            .map(|(beacon, age)| Sighting { beacon: beacon.clone(), heard_ms_ago: age.as_millis() as u64 })
            .collect()
    }

    fn take(&self, shared: &Shared, bytes: &[u8]) {
        let Some(beacon) = self.signer.decode(bytes) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return;
        };
        if beacon.nonce == self.nonce || beacon.name != *shared.identity.name() {
            return;
        }
        let own = shared.own();
        if !beacon.is_blank() && own.ledger != super::NO_LEDGER && beacon.ledger != own.ledger {
            shared.complaints.log(&format!("the node at {}", beacon.address), &super::LinkError::OtherLedger);
        }
        let now = Instant::now();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|_, (_, at)| now.duration_since(*at) < SIGHTED_FOR);
        if heard.len() < SIGHTINGS_MAX || heard.contains_key(&beacon.nonce) {
            heard.insert(beacon.nonce, (beacon, now));
        }
    }

    fn own_beacon(&self, shared: &Shared, advertised: &str) -> Beacon {
        let own = shared.own();
        let standing = *self.standing.lock().unwrap_or_else(PoisonError::into_inner);
        Beacon {
            name: shared.identity.name().clone(),
            ledger: own.ledger,
            node: own.node,
            address: advertised.to_owned(),
            is_leading: standing.is_leading,
            term: standing.term,
            last: standing.last,
            nonce: self.nonce,
        }
    }
}

/// Sends and hears beacons for as long as the network runs. Where the port cannot be had it says so and ends:
/// seeds still lead to others.
pub(crate) async fn run(shared: Arc<Shared>, config: NetworkConfig) {
    let sockets = if config.listen.ip().is_loopback() {
        open_v4(Ipv4Addr::new(127, 255, 255, 255), config.beacon_port).map(|socket| (socket, None))
    } else {
        open_v4(Ipv4Addr::UNSPECIFIED, config.beacon_port)
            .map(|socket| (socket, open_v6(config.beacon_port).ok()))
    };
    let (v4, v6) = match sockets {
        Ok(sockets) => sockets,
        Err(error) => {
            tracing::warn!(%error, port = config.beacon_port, "no beacons: the port cannot be opened; use --seeds");
            return;
        }
    };
    tokio::join!(
        call(&shared, &config, &v4, v6.as_ref()),
        hear(&shared, Some(&v4)),
        hear(&shared, v6.as_ref())
    );
}

async fn hear(shared: &Shared, socket: Option<&UdpSocket>) {
    let Some(socket) = socket else { return };
    let mut buffer = [0; BEACON_BYTES_MAX + 1];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, _)) => shared.air.take(shared, &buffer[..length]),
            Err(_) => tokio::time::sleep(OFTEN).await,
        }
    }
}

async fn call(shared: &Shared, config: &NetworkConfig, v4: &UdpSocket, v6: Option<&UdpSocket>) {
    let mut joined = Vec::new();
    loop {
        let beacon = shared.air.own_beacon(shared, &config.advertised);
        let bytes = shared.air.signer.encode(&beacon);
        for target in targets(config, v4, v6, &mut joined) {
            let socket = if target.is_ipv4() { Some(v4) } else { v6 };
            // A network that is down or takes no broadcast: there are others, and the next second.
            if let Some(socket) = socket {
                _ = socket.send_to(&bytes, target).await;
            }
        }
        let pause = if beacon.is_blank() || beacon.is_leading { OFTEN } else { SELDOM };
        let mut own = shared.own.subscribe();
        own.borrow_and_update();
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            _ = own.changed() => {}
        }
    }
}

/// Where to call: looked up anew each time, since networks come and go. Joins the groups of new ones.
fn targets(
    config: &NetworkConfig,
    v4: &UdpSocket,
    v6: Option<&UdpSocket>,
    joined: &mut Vec<String>,
) -> Vec<SocketAddr> {
    let port = config.beacon_port;
    if config.listen.ip().is_loopback() {
        return vec![SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::new(127, 255, 255, 255), port))];
    }
    let mut targets = vec![SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::BROADCAST, port))];
    for (name, broadcast) in networks_v4(&read("/proc/net/route")) {
        if !joined.contains(&name)
            && let Ok(index) = netdevice::name_to_index(v4, &name)
        {
            _ = sockopt::set_ip_add_membership_with_ifindex(v4, &GROUP_V4, &Ipv4Addr::UNSPECIFIED, index);
            joined.push(name);
        }
        targets.push(SocketAddr::V4(SocketAddrV4::new(broadcast, port)));
    }
    // Multicast goes out where this node is reached; broadcast has gone everywhere.
    let advertised = config.advertised.parse().map(|at: SocketAddr| at.ip());
    if let Ok(IpAddr::V4(at)) = advertised {
        _ = sockopt::set_ip_multicast_if(v4, &at);
        _ = sockopt::set_ip_add_membership(v4, &GROUP_V4, &at);
    }
    targets.push(SocketAddr::V4(SocketAddrV4::new(GROUP_V4, port)));
    for (name, index) in v6.map(|_| links_v6(&read("/proc/net/if_inet6"))).unwrap_or_default() {
        let key = format!("{name} by IPv6");
        if let Some(v6) = v6.filter(|_| !joined.contains(&key)) {
            _ = sockopt::set_ipv6_add_membership(v6, &GROUP_V6, index);
            joined.push(key);
        }
        targets.push(SocketAddr::V6(SocketAddrV6::new(GROUP_V6, port, 0, index)));
    }
    targets
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// Device and broadcast address of each directly connected network in Linux's table of routes.
fn networks_v4(routes: &str) -> Vec<(String, Ipv4Addr)> {
    let network = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let address = |at: usize| u32::from_str_radix(columns.get(at)?, 16).ok().map(u32::to_ne_bytes);
        let (destination, gateway, mask) = (address(1)?, address(2)?, address(7)?);
        let is_network = gateway == [0; 4] && mask != [0; 4] && mask != [255; 4];
        let broadcast: [u8; 4] = std::array::from_fn(|at| destination[at] | !mask[at]);
        is_network.then(|| (columns[0].to_owned(), broadcast.into()))
    };
    routes.lines().skip(1).filter_map(network).collect()
}

/// Device and its index for each link-local address in Linux's table.
fn links_v6(addresses: &str) -> Vec<(String, u32)> {
    let link = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let index = u32::from_str_radix(columns.get(1)?, 16).ok()?;
        let name = (*columns.get(5)?).to_owned();
        columns[0].starts_with("fe80").then_some((name, index))
    };
    addresses.lines().filter_map(link).collect()
}

/// Several servers of one machine share the port.
fn open_v4(at: Ipv4Addr, port: u16) -> io::Result<UdpSocket> {
    let socket = open(AddressFamily::INET)?;
    sockopt::set_socket_broadcast(&socket, true)?;
    sockopt::set_ip_multicast_loop(&socket, true)?;
    // Stays in the house: routers that forward multicast take one from it each.
    sockopt::set_ip_multicast_ttl(&socket, 2)?;
    bind(&socket, &SocketAddrV4::new(at, port))?;
    UdpSocket::from_std(socket.into())
}

fn open_v6(port: u16) -> io::Result<UdpSocket> {
    let socket = open(AddressFamily::INET6)?;
    sockopt::set_ipv6_v6only(&socket, true)?;
    sockopt::set_ipv6_multicast_loop(&socket, true)?;
    bind(&socket, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))?;
    UdpSocket::from_std(socket.into())
}

fn open(family: AddressFamily) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    #[cfg(not(target_os = "linux"))]
    sockopt::set_socket_reuseport(&socket, true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_networks_of_a_machine_are_read_from_its_tables() {
        let line = |destination: [u8; 4], gateway: [u8; 4], mask: [u8; 4]| {
            let hex = |bytes| format!("{:08X}", u32::from_ne_bytes(bytes));
            format!("eth0\t{}\t{}\t0003\t0\t0\t0\t{}\t0\t0\t0\n", hex(destination), hex(gateway), hex(mask))
        };
        let routes = format!(
            "Iface Destination Gateway\n{}{}{}rubbish\n",
            line([0, 0, 0, 0], [192, 0, 2, 1], [0, 0, 0, 0]),
            line([192, 0, 2, 64], [0, 0, 0, 0], [255, 255, 255, 192]),
            line([198, 51, 100, 9], [0, 0, 0, 0], [255, 255, 255, 255]),
        );
        assert_eq!(networks_v4(&routes), [("eth0".to_owned(), Ipv4Addr::new(192, 0, 2, 127))]);
        let addresses = "fd000000000000000000000000000002 04 40 00 82     eth0\n\
                         fe8000000000000000fc00fffe000001 1f 40 20 80     wlan0\nrubbish\n";
        assert_eq!(links_v6(addresses), [("wlan0".to_owned(), 0x1f)]);
    }
}
