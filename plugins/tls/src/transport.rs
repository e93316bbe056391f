//! Is a request secure?
//!
//! 1. The connection's own TLS proves it (`connection.tls_version`), whatever headers say.
//! 2. On plaintext, a peer that is proven to be in `trusted_proxies` may say so by `x-forwarded-proto`. All values of all such
//!    fields are read; the last one is the peer's own, any before it came from further away and prove nothing.
//! 3. A peer is proven by `source.address` with a port. Where Envoy took that address from `x-forwarded-for` (port 0), the
//!    filter state `launchgate.direct_peer` proves it, which only the operator's `set_filter_state` filter can write.
//! 4. `https` claimed by anyone else changes nothing and is told to the policy.

use launchgate_sdk::{Attribute, Cidr, Headers, Peer, RequestView};

use crate::config::TlsVersion;

/// How a request came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    /// Over TLS that ends here.
    Tls(Version),
    /// In plaintext from a trusted proxy, which got it over TLS.
    Forwarded,
    /// In plaintext.
    Plaintext {
        /// Whether the peer claimed https without being trusted.
        untrusted_claim: bool,
    },
}

impl Transport {
    /// Whether the client's own connection is secure, as far as it can be proven.
    pub(crate) fn is_secure(self) -> bool {
        !matches!(self, Self::Plaintext { .. })
    }
}

/// TLS version of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    /// One that this plugin does not know; below every other.
    Other,
    /// TLS 1.0 to 1.3.
    Known(TlsVersion),
}

impl Version {
    /// Reads `connection.tls_version`.
    pub(crate) fn read(text: &[u8]) -> Self {
        match text {
            b"TLSv1" | b"TLSv1.0" => Self::Known(TlsVersion::V1_0),
            b"TLSv1.1" => Self::Known(TlsVersion::V1_1),
            b"TLSv1.2" => Self::Known(TlsVersion::V1_2),
            b"TLSv1.3" => Self::Known(TlsVersion::V1_3),
            _ => Self::Other,
        }
    }
}

/// Filter state with the address of the connection itself, see rule 3.
const DIRECT_PEER: [&str; 2] = ["filter_state", "launchgate.direct_peer"];

/// Who may speak of its own downstream.
#[derive(Debug)]
pub(crate) struct Trust {
    /// Address ranges.
    pub(crate) proxies: Vec<Cidr>,
    /// Whether Envoy's own hop settings are believed.
    pub(crate) envoy_xff: bool,
}

impl Trust {
    /// How a request came.
    pub(crate) fn transport(&self, view: &RequestView<'_>) -> Transport {
        if let Some(version) = view
            .attribute(Attribute::TlsVersion)
            .filter(|text| !text.is_empty())
        {
            return Transport::Tls(Version::read(&version));
        }
        let trusted = match last_proto(view.headers()) {
            Some(last) if is_https(last) => self.is_trusted(view),
            _ => {
                return Transport::Plaintext {
                    untrusted_claim: claims_https(view.headers()) && !self.is_trusted(view),
                };
            }
        };
        if trusted {
            Transport::Forwarded
        } else {
            Transport::Plaintext {
                untrusted_claim: true,
            }
        }
    }

    /// Whether the connection's other end is proven to be a trusted proxy.
    pub(crate) fn is_trusted(&self, view: &RequestView<'_>) -> bool {
        if self.proxies.is_empty() {
            return false;
        }
        let source = view.attribute(Attribute::SourceAddress);
        Peer::read(source.as_deref(), self.envoy_xff).is_in(&self.proxies)
            || view
                .property(&DIRECT_PEER)
                .is_some_and(|direct| Peer::read(Some(&direct), false).is_in(&self.proxies))
    }

    /// The peer's address for a log line, proven or not.
    pub(crate) fn claimed_peer(&self, view: &RequestView<'_>) -> String {
        let direct = view
            .property(&DIRECT_PEER)
            .and_then(|direct| Peer::read(Some(&direct), false).ip());
        let source = view.attribute(Attribute::SourceAddress);
        match direct.or_else(|| Peer::read(source.as_deref(), self.envoy_xff).claimed_ip()) {
            Some(ip) => ip.to_string(),
            None => "unknown".to_owned(),
        }
    }
}

fn protos(headers: &Headers) -> impl Iterator<Item = &[u8]> {
    let values = headers
        .all("x-forwarded-proto")
        .flat_map(|field| field.split(|byte| *byte == b','));
    values
        .map(<[u8]>::trim_ascii)
        .filter(|value| !value.is_empty())
}

fn last_proto(headers: &Headers) -> Option<&[u8]> {
    protos(headers).last()
}

fn claims_https(headers: &Headers) -> bool {
    protos(headers).any(is_https)
}

/// `wss` is https that becomes a WebSocket.
fn is_https(proto: &[u8]) -> bool {
    proto.eq_ignore_ascii_case(b"https") || proto.eq_ignore_ascii_case(b"wss")
}
