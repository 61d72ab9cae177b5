//! Who is at the other end of a connection, as far as the network says.

use crate::config::{AddressRange, ServerConfig};
use hyper::HeaderMap;
use std::net::{IpAddr, SocketAddr};

/// What the network says about a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The client, or the proxy nearest to it that is not trusted.
    pub address: IpAddr,
    /// Whether the client's side of the connection is encrypted.
    pub is_secure: bool,
    /// Whether the client is on this machine, with nothing in between.
    pub is_local: bool,
}

impl Caller {
    /// Reads `X-Forwarded-For` and `X-Forwarded-Proto` from trusted proxies only, from the right.
    pub fn of(peer: SocketAddr, headers: &HeaderMap, config: &ServerConfig, is_tls: bool) -> Self {
        let peer = peer.ip().to_canonical();
        let has_forwarding = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
        let is_public_https = config.base_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        if !is_trusted(&config.trusted_proxies, peer) {
            let is_local = peer.is_loopback() && !has_forwarding;
            return Self { address: peer, is_secure: is_tls || is_public_https, is_local };
        }
        let proto = headers.get_all("x-forwarded-proto").iter().next_back();
        let is_https = proto.is_some_and(|proto| proto.as_bytes().eq_ignore_ascii_case(b"https"));
        let address = forwarded_for(headers, &config.trusted_proxies).unwrap_or(peer);
        Self {
            address,
            is_secure: is_https || (proto.is_none() && is_public_https),
            is_local: !has_forwarding && peer.is_loopback(),
        }
    }
}

fn is_trusted(ranges: &[AddressRange], address: IpAddr) -> bool {
    ranges.iter().any(|range| range.contains(address))
}

/// The rightmost address of `X-Forwarded-For` that is not a trusted proxy.
fn forwarded_for(headers: &HeaderMap, trusted: &[AddressRange]) -> Option<IpAddr> {
    let mut leftmost = None;
    for value in headers.get_all("x-forwarded-for").iter().rev() {
        for text in value.to_str().ok()?.rsplit(',') {
            let address: IpAddr = text.trim().parse().ok()?;
            let address = address.to_canonical();
            leftmost = Some(address);
            if !is_trusted(trusted, address) {
                return leftmost;
            }
        }
    }
    leftmost
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(peer: &str, trusted: &[&str], headers: &[(&'static str, &str)]) -> Caller {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        let mut config = ServerConfig::plain();
        config.trusted_proxies = trusted.iter().map(|range| range.parse().unwrap()).collect();
        Caller::of(SocketAddr::new(peer.parse().unwrap(), 1), &map, &config, false)
    }

    #[test]
    fn forwarding_headers_are_believed_from_trusted_proxies_only() {
        let headers = [("x-forwarded-for", "1.1.1.1, 203.0.113.9"), ("x-forwarded-proto", "https")];
        let outside = caller("198.51.100.1", &[], &headers);
        assert_eq!(outside.address, "198.51.100.1".parse::<IpAddr>().unwrap());
        assert!(!outside.is_secure);
        let inside = caller("127.0.0.1", &["127.0.0.1"], &headers);
        assert_eq!(inside.address, "203.0.113.9".parse::<IpAddr>().unwrap());
        assert!(inside.is_secure && !inside.is_local);
    }

    #[test]
    fn a_proxy_on_this_machine_is_not_a_local_person() {
        assert!(caller("127.0.0.1", &[], &[]).is_local);
        assert!(!caller("127.0.0.1", &[], &[("x-forwarded-for", "203.0.113.9")]).is_local);
        assert!(!caller("192.168.1.7", &[], &[]).is_local);
    }
}
