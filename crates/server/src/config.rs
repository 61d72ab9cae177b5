//! What the binary hands over at start.

use crate::limits::Limits;
use crate::pictures::PictureSource;
use election::room::RoomCode;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// How the server meets the outside.
#[derive(Clone, Debug)]
pub struct ServerConfig {
    /// Certificate chain and key, PEM files; plain HTTP without.
    pub tls: Option<TlsFiles>,
    /// Scheme and authority under which people reach this server, without a slash at the end: links and QR
    /// codes are made from it, never from what a client sent. `None`: `http(s)://` and the bound address.
    pub base_url: Option<String>,
    /// Scheme and authority of further servers of the same ledger that the node does not know of. The members of a cluster
    /// come by themselves.
    pub also_at: Vec<String>,
    /// Proxies whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed.
    pub trusted_proxies: Vec<AddressRange>,
    /// Origins (`https://example.org`) whose pages may show results in a frame; nobody's without any.
    pub embed_origins: Vec<String>,
    /// Where ZeroMQ PUB listens, `tcp://127.0.0.1:8701`; off without.
    pub zmq: Option<String>,
    /// Offers "vote as another person on this device".
    pub demo: bool,
    /// The room that `/poll/1` and so on lead into; the oldest room without.
    pub default_room: Option<RoomCode>,
    /// The other servers of a cluster, which may have pictures that this one lacks.
    pub picture_source: Option<Arc<dyn PictureSource>>,
    /// Threads that serve connections; `None`: one per core.
    pub workers: Option<usize>,
    pub limits: Limits,
}

impl ServerConfig {
    /// Plain HTTP, standard limits, nothing else.
    pub fn plain() -> Self {
        Self {
            tls: None,
            base_url: None,
            also_at: Vec::new(),
            trusted_proxies: Vec::new(),
            embed_origins: Vec::new(),
            zmq: None,
            demo: false,
            default_room: None,
            picture_source: None,
            workers: None,
            limits: Limits::STANDARD,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    pub certificates: PathBuf,
    pub key: PathBuf,
}

/// Addresses that share their first `bits` bits: `10.0.0.0/8`, `::1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AddressRange {
    network: IpAddr,
    bits: u8,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not an address or a range like 10.0.0.0/8")]
pub struct AddressRangeError(pub String);

impl std::str::FromStr for AddressRange {
    type Err = AddressRangeError;

    fn from_str(text: &str) -> Result<Self, AddressRangeError> {
        let error = || AddressRangeError(text.to_owned());
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits.parse::<u8>().map_err(|_| error())?)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| error())?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let bits = bits.unwrap_or(width);
        if bits > width { Err(error()) } else { Ok(Self { network, bits }) }
    }
}

impl AddressRange {
    pub fn contains(&self, address: IpAddr) -> bool {
        let shift = |width: u32| width - u32::from(self.bits);
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(shift(32)).unwrap_or(0) == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let differing = network.to_bits() ^ address.to_bits();
                differing.checked_shr(shift(128)).unwrap_or(0) == 0
            }
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_holds_the_addresses_with_its_first_bits() {
        let range: AddressRange = "10.1.0.0/16".parse().unwrap();
        assert!(range.contains("10.1.200.3".parse().unwrap()));
        assert!(range.contains("::ffff:10.1.2.3".parse().unwrap()));
        assert!(!range.contains("10.2.0.1".parse().unwrap()));
        let all: AddressRange = "0.0.0.0/0".parse().unwrap();
        assert!(all.contains("8.8.8.8".parse().unwrap()));
        let one: AddressRange = "::1".parse().unwrap();
        assert!(one.contains("::1".parse().unwrap()) && !one.contains("::2".parse().unwrap()));
        assert!("10.0.0.0/33".parse::<AddressRange>().is_err());
    }
}
