//! Who is the peer?
//!
//! 1. `source.address` is what Envoy derived. Port 0 means that the address came from a header: it proves nothing, and
//!    such a peer is in no range, unless the operator set `trust_envoy_xff` because Envoy's own hop settings are right.
//! 2. Ranges are CIDR blocks (RFC 4632, RFC 4291). An IPv4-mapped IPv6 address is read as IPv4.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::{Decode, Json, Mistakes};

/// The connection's other end, as far as it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    ip: Option<IpAddr>,
    proven: bool,
}

impl Peer {
    /// Reads `source.address`. `trust_envoy_xff`: whether an address from a header counts, since Envoy checked the hops.
    pub fn read(source_address: Option<&[u8]>, trust_envoy_xff: bool) -> Self {
        let address = source_address.and_then(|bytes| std::str::from_utf8(bytes).ok());
        match address.and_then(parse_address) {
            Some((ip, port)) => Self {
                ip: Some(ip),
                proven: port != 0 || trust_envoy_xff,
            },
            None => Self {
                ip: None,
                proven: false,
            },
        }
    }

    /// The address, proven or not: for a log record that says so, never for a decision.
    pub fn claimed_ip(self) -> Option<IpAddr> {
        self.ip
    }

    /// The address, if it is that of a real connection (or the operator trusts Envoy's hops).
    pub fn ip(self) -> Option<IpAddr> {
        self.ip.filter(|_| self.proven)
    }

    /// Whether the peer is proven to be in one of the ranges.
    pub fn is_in(self, ranges: &[Cidr]) -> bool {
        self.ip()
            .is_some_and(|ip| ranges.iter().any(|range| range.contains(ip)))
    }
}

/// `10.0.0.1:443`, `[::1]:443`; a bare address counts as port 0.
fn parse_address(text: &str) -> Option<(IpAddr, u16)> {
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Some((canonical(address.ip()), address.port()));
    }
    text.parse::<IpAddr>().ok().map(|ip| (canonical(ip), 0))
}

fn canonical(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    }
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cidr {
    network: IpAddr,
    length: u8,
}

impl Cidr {
    /// Parses `10.0.0.0/8`, `::1/128`, or a single address. Host bits must be zero, so that no one is let in by a slip.
    pub fn parse(text: &str) -> Option<Self> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let network: IpAddr = address.parse().ok()?;
        let bits = if network.is_ipv4() { 32 } else { 128 };
        let length = match length {
            None => bits,
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().ok()?
            }
            Some(_) => return None,
        };
        (length <= bits && mask(network, length) == network).then_some(Self { network, length })
    }

    /// Whether the address is inside.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let ip = canonical(ip);
        ip.is_ipv4() == self.network.is_ipv4() && mask(ip, self.length) == self.network
    }
}

fn mask(ip: IpAddr, length: u8) -> IpAddr {
    match ip {
        IpAddr::V4(v4) => {
            let mask = u32::MAX
                .checked_shl(32 - u32::from(length.min(32)))
                .unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from(u32::from(v4) & mask))
        }
        IpAddr::V6(v6) => {
            let mask = u128::MAX
                .checked_shl(128 - u32::from(length.min(128)))
                .unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from(u128::from(v6) & mask))
        }
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.length)
    }
}

impl Decode for Cidr {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.noted(
            json.as_str().and_then(Self::parse),
            "expected an address range such as \"10.0.0.0/8\" without host bits",
        )
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Cidr {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cidr".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({"type": "string", "description": "An address range in CIDR notation, without host bits, such as `10.0.0.0/8`."})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn only_a_real_connection_is_in_a_range() {
        let ranges = [
            Cidr::parse("127.0.0.0/8").unwrap(),
            Cidr::parse("fd00::/8").unwrap(),
        ];
        for (address, trust, inside) in [
            (Some("127.0.0.1:5000"), false, true),
            (Some("127.0.0.1:0"), false, false),
            (Some("127.0.0.1:0"), true, true),
            (Some("[fd00::1]:80"), false, true),
            (Some("[::ffff:127.0.0.9]:80"), false, true),
            (Some("128.0.0.1:80"), true, false),
            (Some("/var/run/socket"), true, false),
            (Some("127.0.0.1"), false, false),
            (Some(""), true, false),
            (None, true, false),
        ] {
            assert_eq!(
                Peer::read(address.map(str::as_bytes), trust).is_in(&ranges),
                inside,
                "{address:?}"
            );
        }
        assert!(!Peer::read(Some(b"\xff\xfe"), true).is_in(&ranges));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn ranges_are_read_strictly() {
        for text in [
            "10.0.0.0/8",
            "0.0.0.0/0",
            "::/0",
            "::1/128",
            "192.168.1.1",
            "10.0.0.0/32",
        ] {
            assert!(Cidr::parse(text).is_some(), "{text}");
        }
        for text in [
            "",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "10.0.0/8",
            "::1/129",
            "x",
            "1.2.3.4/08x",
        ] {
            assert!(Cidr::parse(text).is_none(), "{text}");
        }
    }
}
