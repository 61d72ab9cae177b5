//! Addresses under which others can reach this machine, for links and QR codes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// The addresses a phone may use for a server that listens on `listen`: the one of the default route first.
/// For a server on all interfaces that is found by connecting a UDP socket to a documentation address:
/// the kernel picks the route, nothing is sent.
pub fn reachable(listen: SocketAddr) -> Vec<SocketAddr> {
    if !listen.ip().is_unspecified() {
        return vec![listen];
    }
    let mut found = Vec::new();
    if let Some(v4) = route_source(Ipv4Addr::UNSPECIFIED.into(), Ipv4Addr::new(192, 0, 2, 1).into()) {
        found.push(v4);
    }
    if listen.is_ipv6() {
        let documentation = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
        found.extend(route_source(Ipv6Addr::UNSPECIFIED.into(), documentation.into()));
    }
    found.push(Ipv4Addr::LOCALHOST.into());
    found.dedup();
    found.into_iter().map(|ip| SocketAddr::new(ip, listen.port())).collect()
}

/// `http://ADDRESS:PORT`, without the port where it is the scheme's own.
pub fn base_url(scheme: &str, address: SocketAddr) -> String {
    match (scheme, address.port()) {
        ("http", 80) | ("https", 443) => match address.ip() {
            IpAddr::V4(ip) => format!("{scheme}://{ip}"),
            IpAddr::V6(ip) => format!("{scheme}://[{ip}]"),
        },
        _ => format!("{scheme}://{address}"),
    }
}

/// What to try when a phone cannot open the address.
pub fn phone_hints(first: SocketAddr) -> Vec<String> {
    if first.ip().is_loopback() {
        return vec![
            "Only this machine can open these addresses: it has no network, or the server listens on loopback."
                .to_owned(),
        ];
    }
    vec![
        "Phones must be in the same Wi-Fi as this machine; mobile data will not do.".to_owned(),
        format!("A firewall here must let TCP port {} in.", first.port()),
        "Guest networks often keep devices apart (\"client isolation\"): use another Wi-Fi or a phone's hotspot."
            .to_owned(),
    ]
}

fn route_source(from: IpAddr, to: IpAddr) -> Option<IpAddr> {
    let socket = UdpSocket::bind((from, 0)).ok()?;
    socket.connect((to, 9)).ok()?;
    let ip = socket.local_addr().ok()?.ip();
    (!ip.is_unspecified() && !ip.is_loopback()).then_some(ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_one_address_is_reached_there_alone() {
        let listen: SocketAddr = "127.0.0.1:8700".parse().expect("an address");
        assert_eq!(reachable(listen), vec![listen]);
    }

    #[test]
    fn a_server_on_all_interfaces_is_always_reached_by_loopback_last() {
        let all = reachable("0.0.0.0:8701".parse().expect("an address"));
        assert_eq!(all.last().map(ToString::to_string).as_deref(), Some("127.0.0.1:8701"));
        assert!(all.iter().all(|address| address.port() == 8701 && !address.ip().is_unspecified()));
    }

    #[test]
    fn the_schemes_own_port_is_left_out() {
        let url = |scheme, address: &str| base_url(scheme, address.parse().expect("an address"));
        assert_eq!(url("http", "10.0.0.2:8700"), "http://10.0.0.2:8700");
        assert_eq!(url("http", "10.0.0.2:80"), "http://10.0.0.2");
        assert_eq!(url("https", "[2001:db8::2]:443"), "https://[2001:db8::2]");
    }
}
