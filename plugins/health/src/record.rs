//! What all workers of a proxy know of one dependency, as it stands in shared state.
//!
//! 1. **Claim.** A check is made by the worker that moves `due` forward with compare-and-set: exactly one can. Its holder, the
//!    worker that made the last check, may claim from `due` on; the others only half an interval later. So one worker makes
//!    all checks (and keeps one connection), and when its VM dies another follows within one and a half intervals.
//! 2. **Grid.** Checks stand on a grid of intervals, each up to a tenth of an interval late at random, so that proxies do not
//!    ask together and n intervals hold n checks. After a pause of more than an interval the grid starts anew: no burst.
//! 3. **First write.** On an absent key compare-and-set lets everybody win, so the worker that creates a record claims
//!    nothing; the first claim comes with a later tick.
//! 4. **Result.** The first one decides at once, later ones by the thresholds.
//! 5. Anything that does not decode counts as absent.

use std::time::Duration;

use crate::dependency::Dependency;

const VERSION: u8 = 1;
/// Longest reason kept, bytes.
const LONGEST_REASON: usize = 48;

/// The shared record. Times are `mono` in nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Record {
    /// The grid point of the next check.
    pub(crate) grid: u64,
    /// When the next check is due: the grid point and its jitter.
    pub(crate) due: u64,
    /// Who made the last check.
    pub(crate) holder: u64,
    /// When the last result came; 0 before the first.
    pub(crate) checked: u64,
    /// Whether it counts as connected.
    pub(crate) connected: bool,
    /// Failures in a row.
    pub(crate) failures: u32,
    /// Successes in a row.
    pub(crate) successes: u32,
    /// Duration of the last check, microseconds.
    pub(crate) latency: u32,
    /// Requests seen by a passive check until its last window.
    pub(crate) seen: u64,
    /// Of these, failed.
    pub(crate) failed: u64,
    /// Why the last check failed; empty after a success.
    pub(crate) reason: String,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The dependency works.
    Success,
    /// It does not, for this reason: a word and perhaps a number, never text of the dependency.
    Failure(String),
}

impl Record {
    /// The record of a dependency that nobody knows yet: the first check is due at once.
    pub(crate) fn fresh(now: Duration) -> Self {
        let now = nanos(now);
        Self {
            grid: now,
            due: now,
            ..Self::default()
        }
    }

    /// Whether this worker may make the next check now.
    pub(crate) fn is_due(&self, worker: u64, interval: Duration, now: Duration) -> bool {
        let grace = if self.holder == worker || self.holder == 0 {
            0
        } else {
            nanos(interval) / 2
        };
        nanos(now) >= self.due.saturating_add(grace)
    }

    /// Claims the next check for this worker and sets the one after it. `dice` is random.
    pub(crate) fn claim(&mut self, worker: u64, interval: Duration, now: Duration, dice: u64) {
        let (interval, now) = (nanos(interval), nanos(now));
        let next = self.grid.saturating_add(interval);
        self.grid = if next > now {
            next
        } else {
            now.saturating_add(interval)
        };
        self.due = self.grid.saturating_add(dice % (interval / 10).max(1));
        self.holder = worker;
    }

    /// Takes a result in.
    pub(crate) fn take(
        &mut self,
        outcome: &Outcome,
        latency: Duration,
        dependency: &Dependency,
        now: Duration,
    ) {
        let first = self.checked == 0;
        self.checked = nanos(now).max(1);
        self.latency = u32::try_from(latency.as_micros()).unwrap_or(u32::MAX);
        match outcome {
            Outcome::Success => {
                self.successes = self.successes.saturating_add(1);
                self.failures = 0;
                self.reason.clear();
                self.connected |= first || self.successes >= dependency.success_threshold;
            }
            Outcome::Failure(reason) => {
                self.failures = self.failures.saturating_add(1);
                self.successes = 0;
                self.reason = reason
                    .chars()
                    .take(LONGEST_REASON)
                    .filter(char::is_ascii_graphic)
                    .collect();
                self.connected &= !first && self.failures < dependency.failure_threshold;
            }
        }
    }

    /// Time since the last result; `None` before the first.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        (self.checked > 0).then(|| Duration::from_nanos(nanos(now).saturating_sub(self.checked)))
    }

    /// Version, length of the rest, then the fields in order, numbers little-endian.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut rest = Vec::with_capacity(64);
        for number in [
            self.grid,
            self.due,
            self.holder,
            self.checked,
            self.seen,
            self.failed,
        ] {
            rest.extend_from_slice(&number.to_le_bytes());
        }
        for number in [self.failures, self.successes, self.latency] {
            rest.extend_from_slice(&number.to_le_bytes());
        }
        rest.push(u8::from(self.connected));
        rest.extend_from_slice(self.reason.as_bytes());
        let length = u16::try_from(rest.len()).unwrap_or(u16::MAX).to_le_bytes();
        [&[VERSION][..], &length, &rest].concat()
    }

    /// The record in these bytes, if they hold one.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let mut fields = Fields(bytes);
        let ([version], length) = (fields.take::<1>()?, fields.take::<2>()?);
        if version != VERSION || usize::from(u16::from_le_bytes(length)) != fields.0.len() {
            return None;
        }
        let record = Self {
            grid: fields.long()?,
            due: fields.long()?,
            holder: fields.long()?,
            checked: fields.long()?,
            seen: fields.long()?,
            failed: fields.long()?,
            failures: fields.short()?,
            successes: fields.short()?,
            latency: fields.short()?,
            connected: fields.take::<1>()? == [1],
            reason: String::from_utf8(fields.0.to_vec()).ok()?,
        };
        Some(record)
    }
}

struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_at_checked(N)?;
        self.0 = rest;
        taken.try_into().ok()
    }

    fn long(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn short(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
