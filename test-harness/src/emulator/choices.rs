//! What a gateway chooses by itself, or finds on its machine. An emulator that is told of a real Envoy's choices makes the same,
//! so that both can be compared to the letter.

use std::collections::BTreeMap;

/// The machine's own address unless a real one is known (RFC 5737: for documentation).
const MACHINE: &str = "192.0.2.1";

/// The choices of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choices {
    /// The worker of each connection, in order.
    pub workers: Vec<u32>,
    /// The machine's own address: Envoy appends it to `x-forwarded-for` for a client on the loopback.
    pub machine: String,
    /// Addresses of the clusters' hosts.
    pub upstreams: BTreeMap<String, String>,
}

impl Default for Choices {
    fn default() -> Self {
        Choices {
            workers: Vec::new(),
            machine: MACHINE.into(),
            upstreams: BTreeMap::new(),
        }
    }
}
