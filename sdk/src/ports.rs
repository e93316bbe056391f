//! The narrow ports through which a policy reads what it cannot be told in advance.
//!
//! 1. **State** is shared by all workers of a proxy. One verb writes: [`State::update`], compare-and-set with its retries.
//!    Keys get the prefix of plugin and instance from the edge, since in Istio all plugins of a proxy share one key space.
//! 2. **Tally**: a counter or gauge reads back as the sum over all workers, for a twentieth of the cost of shared state.
//! 3. **Random** numbers.
//! 4. Envoy ignores compare-and-set on an absent key: two workers that create one both believe that they won. So read
//!    again in a later callback before you rely on it, as [`Lease`] does. Write no state at configure.

use std::time::Duration;

use crate::metric::{Counter, Gauge};

/// The host's side of the ports. Implemented by the edge and, natively, by [`crate::fake::Host`].
pub trait Ports {
    /// A shared value with its version (never zero).
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)>;
    /// Writes if the version is still this one (`None`: absent). Returns whether it was written.
    fn compare_and_set(&mut self, key: &str, version: Option<u32>, value: &[u8]) -> bool;
    /// Writes whatever was there. A host that can do this without reading first should.
    fn overwrite(&mut self, key: &str, value: &[u8]) -> bool {
        let version = self.shared(key).map(|(_, version)| version);
        self.compare_and_set(key, version, value)
    }
    /// A counter's value over all workers.
    fn counter(&mut self, counter: Counter) -> u64;
    /// A gauge's value over all workers.
    fn gauge(&mut self, gauge: Gauge) -> u64;
    /// A random number.
    fn random(&mut self) -> u64;
}

/// Shared state under a prefix.
pub struct State<'a> {
    ports: &'a mut dyn Ports,
    prefix: &'a str,
}

const RETRIES: usize = 16;

impl<'a> State<'a> {
    /// State whose keys begin with `prefix`.
    pub fn new(ports: &'a mut dyn Ports, prefix: &'a str) -> Self {
        Self { ports, prefix }
    }

    /// The value of a key. An empty value counts as absent: the host cannot remove a key.
    pub fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let (value, _) = self.ports.shared(&self.key(key))?;
        (!value.is_empty()).then_some(value)
    }

    /// Replaces a value by what `change` makes of the old one; `None` leaves it. Tries again when another worker was
    /// faster, at most 16 times. Returns what was written, or `None` where nothing was.
    pub fn update(
        &mut self,
        key: &str,
        mut change: impl FnMut(Option<&[u8]>) -> Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let key = self.key(key);
        for _ in 0..RETRIES {
            let old = self.ports.shared(&key);
            let present = old
                .as_ref()
                .map(|(value, _)| value.as_slice())
                .filter(|value| !value.is_empty());
            let new = change(present)?;
            if self
                .ports
                .compare_and_set(&key, old.as_ref().map(|(_, version)| *version), &new)
            {
                return Some(new);
            }
        }
        None
    }

    /// Writes a value whatever was there: only for keys with one writer.
    pub fn put(&mut self, key: &str, value: &[u8]) -> bool {
        let key = self.key(key);
        self.ports.overwrite(&key, value)
    }

    fn key(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }
}

/// The right to do once per proxy what every worker could do: held in shared state, renewed by its holder, taken over
/// when it expired.
///
/// A lease taken on one tick is used from the next on, if it is still ours, since on an absent key every worker believes
/// that it won. Times are `mono`, which is the same for all workers of a process.
#[derive(Debug)]
pub struct Lease {
    key: String,
    holder: u64,
    ttl: Duration,
}

impl Lease {
    /// A lease under `key`. `holder` is a random number drawn once per VM; `ttl` should be about two and a half ticks.
    /// Put the config's digest into the key where an old configuration's VMs, which live on while their listener drains,
    /// must not act for the new one.
    pub fn new(key: impl Into<String>, holder: u64, ttl: Duration) -> Self {
        Self {
            key: key.into(),
            holder,
            ttl,
        }
    }

    /// Takes or renews the lease; whether this VM held it already before this call and holds it on.
    pub fn hold(&self, state: &mut State<'_>, mono: Duration) -> bool {
        let now = nanos(mono);
        let mut held = false;
        let expires = now.saturating_add(nanos(self.ttl));
        let written = state.update(&self.key, |old| {
            let (holder, until) = old.and_then(decode_lease).unwrap_or((self.holder, 0));
            // An expiry further ahead than one term comes from another clock: the process was replaced.
            let live = until > now && until - now <= nanos(self.ttl).saturating_mul(2);
            held = live && holder == self.holder;
            (held || !live).then(|| encode_lease(self.holder, expires))
        });
        held && written.is_some()
    }
}

const LEASE_VERSION: u8 = 1;

fn encode_lease(holder: u64, until: u64) -> Vec<u8> {
    let mut bytes = vec![LEASE_VERSION];
    bytes.extend_from_slice(&holder.to_le_bytes());
    bytes.extend_from_slice(&until.to_le_bytes());
    bytes
}

fn decode_lease(bytes: &[u8]) -> Option<(u64, u64)> {
    let (version, rest) = bytes.split_first()?;
    let (holder, until) = rest.split_at_checked(8)?;
    let until = <[u8; 8]>::try_from(until).ok()?;
    (*version == LEASE_VERSION).then_some((
        u64::from_le_bytes(<[u8; 8]>::try_from(holder).ok()?),
        u64::from_le_bytes(until),
    ))
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
