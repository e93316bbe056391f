//! Which errors were seen, and how many events each may send: shared by all workers.
//!
//! 1. 64 sets of up to 64 fingerprints, 4,096 in all, each set one shared value. In a full set the fingerprint that was
//!    not seen for the longest time goes.
//! 2. What goes is remembered for 24 to 48 hours in one of two Bloom filters (64 Kibit, 4 bits a fingerprint), so that
//!    it does not count as new again. A filter that says "seen" by chance makes a new error fire no `first_seen` alert.
//! 3. A fingerprint has a window: its first `burst` events pass, the first one at once; the others are counted. When the
//!    window is over, whoever looks first gets the number for a summary, and the next event begins a new window.
//! 4. Times are `mono`: a wall clock that steps makes nothing new and opens no window.

use std::time::Duration;

use launchgate_sdk::State;

use crate::codec::{Reader, Writer};

/// How many events pass in a window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Throttle {
    /// Events that pass.
    pub burst: u32,
    /// Length of the window.
    pub window: Duration,
}

/// The moment of a call, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    /// `mono`.
    pub mono: u64,
    /// `wall`.
    pub wall: u64,
}

/// Some occurrences of one error.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Batch {
    /// All of them.
    pub count: u64,
    /// Those that are not sampled out.
    pub kept: u64,
    /// Of these, those that could be sent now.
    pub offered: u32,
}

/// What becomes of some occurrences of one error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admission {
    /// Never seen before.
    pub is_new: bool,
    /// How long it was not seen, where it is known.
    pub quiet: Option<Duration>,
    /// Events that may be sent.
    pub tokens: u32,
    /// End of the window, milliseconds of `mono`.
    pub window_ends: u64,
    /// What the window before held back.
    pub summary: Option<Summary>,
    /// Another fingerprint had to go.
    pub evicted: bool,
}

/// What a window held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Summary {
    /// Events not sent.
    pub suppressed: u64,
    /// When the first of them happened, milliseconds of `wall`.
    pub since: u64,
}

const SETS: u64 = 64;
const WAYS: usize = 64;
const VERSION: u8 = 1;
const GHOSTS: [&str; 2] = ["ghost/0", "ghost/1"];
const GHOST_BYTES: usize = 8192;
const GHOST_TERM: u64 = 24 * 3600 * 1000;

/// Creates what is absent, so that compare-and-set has something to compare with: Envoy ignores it on an absent key.
pub(crate) fn prepare(state: &mut State<'_>) {
    let empty = Writer::new(VERSION).finish();
    let sets = (0..SETS).map(set_key);
    for key in sets.chain(GHOSTS.iter().map(|key| (*key).to_owned())) {
        state.update(&key, |old| old.is_none().then(|| empty.clone()));
    }
}

/// Notes occurrences of an error. An empty batch only closes a window that is over, and creates nothing. `None` where
/// other workers were faster again and again.
pub(crate) fn admit(
    state: &mut State<'_>,
    fingerprint: u64,
    now: Moment,
    throttle: Throttle,
    batch: Batch,
) -> Option<Admission> {
    let key = set_key(fingerprint % SETS);
    let is_known = state
        .get(&key)
        .is_some_and(|bytes| Set::decode(&bytes).position(fingerprint).is_some());
    if !is_known && batch.count == 0 {
        return None;
    }
    let is_ghost = !is_known
        && GHOSTS.iter().any(|key| {
            state
                .get(key)
                .is_some_and(|bytes| Ghost::decode(&bytes).contains(fingerprint, now.mono))
        });
    let mut outcome = None;
    state.update(&key, |old| {
        let mut set = old.map(Set::decode).unwrap_or_default();
        outcome = Some(set.note(fingerprint, now, throttle, batch, is_ghost));
        Some(set.encode())
    })?;
    let (mut admission, evicted) = outcome?;
    if let Some(evicted) = evicted {
        admission.evicted = true;
        bury(state, evicted, now.mono);
    }
    Some(admission)
}

fn set_key(set: u64) -> String {
    format!("seen/{set}")
}

/// Remembers a fingerprint that went: in the younger filter, or, when that is a day old, in the older one, emptied.
fn bury(state: &mut State<'_>, fingerprint: u64, mono: u64) {
    let ages = GHOSTS.map(|key| {
        state
            .get(key)
            .map(|bytes| Ghost::decode(&bytes))
            .unwrap_or_default()
    });
    let [first, second] = &ages;
    let (young, old, since) = if second.since > first.since {
        (1, 0, second.since)
    } else {
        (0, 1, first.since)
    };
    let target = if since == 0 || mono.saturating_sub(since) < GHOST_TERM {
        young
    } else {
        old
    };
    let Some(key) = GHOSTS.get(target) else {
        return;
    };
    state.update(key, |value| {
        let mut ghost = value.map(Ghost::decode).unwrap_or_default();
        if ghost.since == 0 || mono.saturating_sub(ghost.since) >= GHOST_TERM {
            ghost = Ghost {
                since: mono.max(1),
                bits: vec![0; GHOST_BYTES],
            };
        }
        ghost.insert(fingerprint);
        Some(ghost.encode())
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Entry {
    fingerprint: u64,
    last_seen: u64,
    window_start: u64,
    used: u32,
    suppressed: u64,
    since: u64,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Set(Vec<Entry>);

impl Set {
    fn decode(bytes: &[u8]) -> Self {
        let mut entries = Vec::new();
        if let Some(mut reader) = Reader::new(bytes, VERSION) {
            while entries.len() < WAYS
                && let Some(entry) = Entry::read(&mut reader)
            {
                entries.push(entry);
            }
        }
        Self(entries)
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        for entry in &self.0 {
            [
                entry.fingerprint,
                entry.last_seen,
                entry.window_start,
                entry.suppressed,
                entry.since,
            ]
            .iter()
            .for_each(|number| writer.u64(*number));
            writer.u32(entry.used);
        }
        writer.finish()
    }

    fn position(&self, fingerprint: u64) -> Option<usize> {
        self.0
            .iter()
            .position(|entry| entry.fingerprint == fingerprint)
    }

    fn note(
        &mut self,
        fingerprint: u64,
        now: Moment,
        throttle: Throttle,
        batch: Batch,
        is_ghost: bool,
    ) -> (Admission, Option<u64>) {
        let mut evicted = None;
        let mut known = self.position(fingerprint).map(|at| self.0.swap_remove(at));
        if known.is_none() && self.0.len() >= WAYS {
            let oldest =
                (0..self.0.len()).min_by_key(|at| self.0.get(*at).map(|entry| entry.last_seen));
            evicted = oldest.map(|at| self.0.swap_remove(at).fingerprint);
        }
        let is_new = known.is_none() && !is_ghost;
        let quiet =
            known.map(|entry| Duration::from_millis(now.mono.saturating_sub(entry.last_seen)));
        let window = u64::try_from(throttle.window.as_millis()).unwrap_or(u64::MAX);
        let entry = known.get_or_insert(Entry {
            fingerprint,
            last_seen: now.mono,
            window_start: now.mono,
            used: 0,
            suppressed: 0,
            since: 0,
        });
        let mut summary = None;
        if now.mono.saturating_sub(entry.window_start) >= window {
            summary = (entry.suppressed > 0).then_some(Summary {
                suppressed: entry.suppressed,
                since: entry.since,
            });
            (
                entry.window_start,
                entry.used,
                entry.suppressed,
                entry.since,
            ) = (now.mono, 0, 0, 0);
        }
        let tokens = batch.offered.min(throttle.burst.saturating_sub(entry.used));
        entry.used += tokens;
        let held_back = batch.kept.saturating_sub(u64::from(tokens));
        if held_back > 0 && entry.suppressed == 0 {
            entry.since = now.wall;
        }
        entry.suppressed = entry.suppressed.saturating_add(held_back);
        if batch.count > 0 {
            entry.last_seen = now.mono;
        }
        let window_ends = entry.window_start.saturating_add(window);
        self.0.extend(known);
        (
            Admission {
                is_new,
                quiet,
                tokens,
                window_ends,
                summary,
                evicted: false,
            },
            evicted,
        )
    }
}

impl Entry {
    fn read(reader: &mut Reader<'_>) -> Option<Self> {
        let [fingerprint, last_seen, window_start, suppressed, since] = [
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
            reader.u64()?,
        ];
        Some(Self {
            fingerprint,
            last_seen,
            window_start,
            used: reader.u32()?,
            suppressed,
            since,
        })
    }
}

/// A Bloom filter with the time of its first entry (milliseconds of `mono`, zero: none).
#[derive(Debug, Default)]
struct Ghost {
    since: u64,
    bits: Vec<u8>,
}

impl Ghost {
    fn decode(bytes: &[u8]) -> Self {
        let read = || {
            let mut reader = Reader::new(bytes, VERSION)?;
            Some(Self {
                since: reader.u64()?,
                bits: reader.bytes(GHOST_BYTES)?.to_vec(),
            })
        };
        read().unwrap_or_default()
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        writer.u64(self.since);
        writer.bytes(&self.bits);
        writer.finish()
    }

    /// Four places of 16 bits each: a fingerprint is a cryptographic hash already.
    fn places(fingerprint: u64) -> impl Iterator<Item = (usize, u8)> {
        fingerprint
            .to_le_bytes()
            .chunks_exact(2)
            .map(|pair| {
                pair.iter()
                    .fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte))
            })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|place| (place / 8, 1 << (place % 8)))
    }

    fn insert(&mut self, fingerprint: u64) {
        for (at, bit) in Self::places(fingerprint) {
            if let Some(byte) = self.bits.get_mut(at) {
                *byte |= bit;
            }
        }
    }

    fn contains(&self, fingerprint: u64, mono: u64) -> bool {
        self.since > 0
            && mono.saturating_sub(self.since) < 2 * GHOST_TERM
            && Self::places(fingerprint)
                .all(|(at, bit)| self.bits.get(at).is_some_and(|byte| byte & bit != 0))
    }
}

#[cfg(test)]
mod tests;
