//! The numbers of all workers of a proxy, added up through shared state without losing or doubling one.
//!
//! 1. Each worker writes what it has counted to one key of its own, `vm/<id>`. It is the only writer, so it needs no
//!    compare-and-set.
//! 2. The `roster` names the living workers, each with the time of its last sign of life and its requests in flight, and
//!    says where the `total` of the dead ones is. It is small and changed by compare-and-set only.
//! 3. A worker without a sign of life for ten seconds is dead. Whoever notices writes a new total, which includes its part,
//!    to a key of its own, and then in **one** compare-and-set takes the worker off the roster and points to that total.
//!    A sign of life in between makes it fail: so a part is either in the total or on the roster, never both, never none.
//! 4. A worker that was only stalled finds itself folded. It goes on under a new id, with what it has counted since its
//!    last flush. (The last 16 folded workers are remembered for that.)
//! 5. A reader looks at the roster before and after; where it changed meanwhile it reads again.

use std::time::Duration;

use launchgate_sdk::{State, Time};

use crate::part::Part;
use crate::wire::{Reader, Writer};

/// How long without a sign of life a worker counts as dead.
pub(crate) const DEAD: Duration = Duration::from_secs(10);
const MOST_WORKERS: usize = 1024;
const FOLDED_REMEMBERED: usize = 16;
const READS: usize = 8;

/// A worker on the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Worker {
    id: u64,
    beat: u64,
    in_flight: u64,
}

/// Where the total of the dead is: whose key, and which of its two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Total {
    owner: u64,
    side: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Roster {
    /// Milliseconds since the epoch of the first worker's first sign of life.
    since: u64,
    total: Option<Total>,
    living: Vec<Worker>,
    folded: Vec<u64>,
}

impl Roster {
    fn read(state: &mut State<'_>, key: &str) -> Self {
        state
            .get(key)
            .and_then(|value| Self::decode(&value))
            .unwrap_or_default()
    }

    fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        writer.number(self.since);
        writer.length(usize::from(self.total.is_some()));
        if let Some(total) = self.total {
            writer.number(total.owner);
            writer.number(total.side);
        }
        writer.length(self.living.len());
        for worker in &self.living {
            writer.number(worker.id);
            writer.number(worker.beat);
            writer.number(worker.in_flight);
        }
        writer.length(self.folded.len());
        self.folded.iter().for_each(|id| writer.number(*id));
        writer.finish()
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let mut reader = Reader::open(value)?;
        let mut roster = Self {
            since: reader.number()?,
            ..Self::default()
        };
        if reader.length()? > 0 {
            roster.total = Some(Total {
                owner: reader.number()?,
                side: reader.number()?,
            });
        }
        for _ in 0..reader.length()? {
            roster.living.push(Worker {
                id: reader.number()?,
                beat: reader.number()?,
                in_flight: reader.number()?,
            });
        }
        for _ in 0..reader.length()? {
            roster.folded.push(reader.number()?);
        }
        reader.is_empty().then_some(roster)
    }

    /// Who is on it and where the total is; signs of life aside.
    fn composition(&self) -> (Option<Total>, Vec<u64>) {
        (
            self.total,
            self.living.iter().map(|worker| worker.id).collect(),
        )
    }
}

/// What a sign of life found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sign {
    /// All is well.
    Alive,
    /// This worker had been folded; so many of its requests in flight were taken off.
    WasFolded(u64),
    /// Shared state took no write.
    Refused,
}

/// The sum over all workers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) part: Part,
    pub(crate) in_flight: u64,
    /// Milliseconds since the epoch from which it counts.
    pub(crate) since: u64,
}

/// One worker's side.
#[derive(Debug)]
pub(crate) struct Ledger {
    id: u64,
    shape: String,
    in_flight: u64,
}

impl Ledger {
    /// `id` is a random number; `shape` tells label sets and bounds that do not add up apart.
    pub(crate) fn new(id: u64, shape: u32) -> Self {
        Self {
            id,
            shape: format!("{shape:08x}/"),
            in_flight: 0,
        }
    }

    /// A key of this shape.
    pub(crate) fn key(&self, name: &str) -> String {
        format!("{}{name}", self.shape)
    }

    fn part_key(&self, id: u64) -> String {
        format!("{}vm/{id:016x}", self.shape)
    }

    fn total_key(&self, total: Total) -> String {
        format!("{}total/{:016x}/{}", self.shape, total.owner, total.side)
    }

    /// Gives a sign of life. Where the worker had been folded meanwhile, `part` is left with what came since its last
    /// flush, and the worker has a new id.
    pub(crate) fn beat(
        &mut self,
        state: &mut State<'_>,
        now: Time,
        in_flight: u64,
        part: &mut Part,
    ) -> Sign {
        let key = self.key("roster");
        let sign = if Roster::read(state, &key).folded.contains(&self.id) {
            if let Some(flushed) = state
                .get(&self.part_key(self.id))
                .and_then(|value| Part::decode(&value))
            {
                part.subtract(&flushed);
            }
            self.id = self.id.wrapping_add(0x9e37_79b9_7f4a_7c15);
            Sign::WasFolded(std::mem::take(&mut self.in_flight))
        } else {
            Sign::Alive
        };
        let own = Worker {
            id: self.id,
            beat: nanos(now.mono),
            in_flight,
        };
        let written = state.update(&key, |old| {
            let mut roster = old.and_then(Roster::decode).unwrap_or(Roster {
                since: now.wall.millis(),
                ..Roster::default()
            });
            if roster.folded.contains(&own.id) {
                return None;
            }
            match roster.living.iter_mut().find(|worker| worker.id == own.id) {
                Some(worker) => *worker = own,
                None => roster.living.push(own),
            }
            if roster.living.len() > MOST_WORKERS {
                return None;
            }
            Some(roster.encode())
        });
        if written.is_none() {
            return Sign::Refused;
        }
        self.in_flight = in_flight;
        sign
    }

    /// Writes this worker's part, after a sign of life.
    pub(crate) fn flush(&self, state: &mut State<'_>, part: &Part) -> bool {
        state.put(&self.part_key(self.id), &part.encode())
    }

    /// Folds one dead worker into the total, if there is one. Gives how many requests it had in flight.
    pub(crate) fn fold(&self, state: &mut State<'_>, now: Time) -> Option<u64> {
        let key = self.key("roster");
        let seen = Roster::read(state, &key);
        let is_dead = |worker: &&Worker| {
            worker.id != self.id && nanos(now.mono).saturating_sub(worker.beat) > nanos(DEAD)
        };
        let dead = *seen.living.iter().find(is_dead)?;
        let mut sum = seen
            .total
            .and_then(|total| self.read(state, &self.total_key(total)))
            .unwrap_or_default();
        if let Some(part) = self.read(state, &self.part_key(dead.id)) {
            sum.merge(&part);
        }
        // Never over the total that readers are pointed to.
        let side = seen
            .total
            .filter(|total| total.owner == self.id)
            .map_or(0, |total| 1 - total.side.min(1));
        let total = Total {
            owner: self.id,
            side,
        };
        if !state.put(&self.total_key(total), &sum.encode()) {
            return None;
        }
        let before = seen.composition();
        let mut forgotten = Vec::new();
        let written = state.update(&key, |old| {
            let mut roster = old.and_then(Roster::decode)?;
            if roster.composition() != before || !roster.living.contains(&dead) {
                return None;
            }
            roster.living.retain(|worker| worker.id != dead.id);
            roster.total = Some(total);
            roster.folded.push(dead.id);
            let surplus = roster.folded.len().saturating_sub(FOLDED_REMEMBERED);
            forgotten = roster.folded.drain(..surplus).collect();
            Some(roster.encode())
        });
        written?;
        // Shared state frees no key, but an empty value takes no room. A reader of the old total will see the new roster.
        let stale = forgotten
            .into_iter()
            .map(|id| self.part_key(id))
            .chain(seen.total.map(|total| self.total_key(total)));
        for key in stale.collect::<Vec<_>>() {
            state.put(&key, b"");
        }
        Some(dead.in_flight)
    }

    /// The sum over the living and the dead; `own` stands for this worker's part.
    pub(crate) fn sum(&self, state: &mut State<'_>, own: &Part) -> Sum {
        let key = self.key("roster");
        let mut roster = Roster::read(state, &key);
        let mut sum = Sum::default();
        for _ in 0..READS {
            sum = self.add_up(state, &roster, own);
            let after = Roster::read(state, &key);
            if after.composition() == roster.composition() {
                break;
            }
            roster = after;
        }
        sum
    }

    fn add_up(&self, state: &mut State<'_>, roster: &Roster, own: &Part) -> Sum {
        let mut part = roster
            .total
            .and_then(|total| self.read(state, &self.total_key(total)))
            .unwrap_or_default();
        for worker in &roster.living {
            if worker.id == self.id {
                part.merge(own);
            } else if let Some(other) = self.read(state, &self.part_key(worker.id)) {
                part.merge(&other);
            }
        }
        Sum {
            part,
            in_flight: roster.living.iter().map(|worker| worker.in_flight).sum(),
            since: roster.since,
        }
    }

    fn read(&self, state: &mut State<'_>, key: &str) -> Option<Part> {
        state.get(key).and_then(|value| Part::decode(&value))
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
