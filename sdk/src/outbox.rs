//! A bounded queue in front of a sink.
//!
//! 1. Bounded by items and by bytes. What does not fit is dropped, the oldest or the newest as configured; an item larger
//!    than the whole queue is always dropped. Every dropped item is given back, so that its owner can count it exactly.
//! 2. Items leave in batches, bounded by items and by bytes, as soon as one is full or the oldest has waited `linger`.
//!    One batch is on its way at a time; its items still count against the bounds.
//! 3. After a refusal the batch stays in front and waits: what the server asks for with `Retry-After`, and at least the
//!    back-off, which doubles from `backoff.0` to `backoff.1` with full jitter in its upper half.
//! 4. A batch is tried `attempts` times, then given back. Times are `mono`; random numbers are arguments.

use std::collections::VecDeque;
use std::time::Duration;

use crate::call::Answer;
use crate::retry_after;
use crate::time::Timestamp;

/// Bounds of an outbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Items in the queue, the batch on its way included.
    pub items: usize,
    /// Bytes in the queue, likewise.
    pub bytes: usize,
    /// Items of a batch.
    pub batch_items: usize,
    /// Bytes of a batch; a larger single item goes alone.
    pub batch_bytes: usize,
    /// How long an item may wait for its batch to fill.
    pub linger: Duration,
    /// How often a batch is tried, at least once.
    pub attempts: u32,
    /// First and longest wait after a refusal.
    pub backoff: (Duration, Duration),
    /// What is dropped when the queue is full.
    pub overflow: Overflow,
}

impl Default for Limits {
    /// 1,000 items, 1 MiB, batches of 100 items and 256 KiB, no linger, 5 attempts, 1 s to 60 s, the oldest dropped.
    fn default() -> Self {
        Self {
            items: 1000,
            bytes: 1 << 20,
            batch_items: 100,
            batch_bytes: 256 << 10,
            linger: Duration::ZERO,
            attempts: 5,
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            overflow: Overflow::Oldest,
        }
    }
}

/// What is dropped when the queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// The items that waited longest.
    Oldest,
    /// The new item.
    Newest,
}

/// What becomes of the batch on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It arrived.
    Delivered,
    /// It may be tried again, after this wait at the earliest.
    Retry(Duration),
    /// The sink will never take it.
    Refused,
}

impl Settlement {
    /// The rule of OTLP and of most sinks: 2xx arrived; 429, 502, 503, 504 and no answer may be tried again, with
    /// `Retry-After`; any other status is final (OpenTelemetry protocol, "Failures").
    pub fn of(answer: &Answer, now: Timestamp) -> Self {
        match answer {
            Answer::Response {
                status: 200..=299, ..
            } => Self::Delivered,
            Answer::Response {
                status: 429 | 502..=504,
                headers,
                ..
            } => Self::Retry(retry_after::read(headers, now).unwrap_or_default()),
            Answer::Response { .. } => Self::Refused,
            _ => Self::Retry(Duration::ZERO),
        }
    }
}

/// The queue.
#[derive(Debug)]
pub struct Outbox<T> {
    limits: Limits,
    waiting: VecDeque<Entry<T>>,
    flying: Vec<Entry<T>>,
    bytes: usize,
    attempt: u32,
    not_before: Duration,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    size: usize,
    since: Duration,
}

impl<T> Outbox<T> {
    /// An empty queue.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            waiting: VecDeque::new(),
            flying: Vec::new(),
            bytes: 0,
            attempt: 0,
            not_before: Duration::ZERO,
        }
    }

    /// Queues an item of `size` bytes; gives back what was dropped for it, which may be the item itself.
    #[must_use = "what is dropped must be counted"]
    pub fn push(&mut self, item: T, size: usize, now: Duration) -> Vec<T> {
        let mut dropped = Vec::new();
        if size > self.limits.bytes {
            dropped.push(item);
            return dropped;
        }
        while self.len() >= self.limits.items || self.bytes + size > self.limits.bytes {
            let oldest = match self.limits.overflow {
                Overflow::Oldest => self.waiting.pop_front(),
                Overflow::Newest => None,
            };
            let Some(oldest) = oldest else {
                dropped.push(item);
                return dropped;
            };
            self.bytes -= oldest.size;
            dropped.push(oldest.item);
        }
        self.bytes += size;
        self.waiting.push_back(Entry {
            item,
            size,
            since: now,
        });
        dropped
    }

    /// The next batch to send, which then is on its way until [`Outbox::settle`]. `None` while another is, while it
    /// waits after a refusal, and while no batch is due.
    pub fn batch(&mut self, now: Duration) -> Option<Vec<&T>> {
        if !self.flying.is_empty() || now < self.not_before || !self.is_due(now) {
            return None;
        }
        let mut bytes = 0;
        while let Some(entry) = self.waiting.front() {
            let fits = self.flying.len() < self.limits.batch_items.max(1)
                && bytes + entry.size <= self.limits.batch_bytes;
            if !fits && !self.flying.is_empty() {
                break;
            }
            bytes += entry.size;
            self.flying.extend(self.waiting.pop_front());
        }
        Some(self.flying.iter().map(|entry| &entry.item).collect())
    }

    fn is_due(&self, now: Duration) -> bool {
        let Some(oldest) = self.waiting.front() else {
            return false;
        };
        self.attempt > 0
            || now.saturating_sub(oldest.since) >= self.limits.linger
            || self.waiting.len() >= self.limits.batch_items
            || self.waiting_bytes() >= self.limits.batch_bytes
    }

    /// Settles the batch on its way; gives back the items that will not be tried again, with a refusal or after the last
    /// attempt. `random` is any random number.
    #[must_use = "what is dropped must be counted"]
    pub fn settle(&mut self, settlement: Settlement, now: Duration, random: u64) -> Vec<T> {
        let wait = match settlement {
            Settlement::Delivered => {
                self.bytes -= self.flying_bytes();
                self.flying.clear();
                self.attempt = 0;
                return Vec::new();
            }
            Settlement::Refused => {
                self.attempt = 0;
                return self.give_up();
            }
            Settlement::Retry(wait) => wait,
        };
        self.attempt += 1;
        self.not_before = self.not_before.max(now + wait.max(self.backoff(random)));
        if self.attempt >= self.limits.attempts.max(1) {
            self.attempt = 0;
            return self.give_up();
        }
        for entry in self.flying.drain(..).rev() {
            self.waiting.push_front(entry);
        }
        Vec::new()
    }

    /// Sends nothing for at least this long.
    pub fn hold(&mut self, wait: Duration, now: Duration) {
        self.not_before = self.not_before.max(now + wait);
    }

    /// Takes out the waiting items that `unwanted` names, for example those of a category that the sink refuses for now.
    #[must_use = "what is dropped must be counted"]
    pub fn remove(&mut self, mut unwanted: impl FnMut(&T) -> bool) -> Vec<T> {
        let (out, stay): (Vec<_>, Vec<_>) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|entry| unwanted(&entry.item));
        self.waiting = stay.into();
        self.bytes -= out.iter().map(|entry| entry.size).sum::<usize>();
        out.into_iter().map(|entry| entry.item).collect()
    }

    /// Items in the queue, the batch on its way included.
    pub fn len(&self) -> usize {
        self.waiting.len() + self.flying.len()
    }

    /// Whether nothing waits and nothing is on its way.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The batch on its way.
    pub fn flying(&self) -> Vec<&T> {
        self.flying.iter().map(|entry| &entry.item).collect()
    }

    /// Whether a batch is on its way.
    pub fn is_busy(&self) -> bool {
        !self.flying.is_empty()
    }

    /// Items of the batch on its way.
    pub fn flying_len(&self) -> usize {
        self.flying.len()
    }

    /// Bytes in the queue, the batch on its way included.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    fn give_up(&mut self) -> Vec<T> {
        self.bytes -= self.flying_bytes();
        self.flying.drain(..).map(|entry| entry.item).collect()
    }

    fn flying_bytes(&self) -> usize {
        self.flying.iter().map(|entry| entry.size).sum()
    }

    fn waiting_bytes(&self) -> usize {
        self.bytes - self.flying_bytes()
    }

    /// From half of the step to the whole step, so that proxies that failed together do not come back together.
    fn backoff(&self, random: u64) -> Duration {
        let (first, longest) = self.limits.backoff;
        let step = first
            .saturating_mul(1 << (self.attempt.saturating_sub(1)).min(20))
            .min(longest);
        let half = step / 2;
        let nanos = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX);
        step - half + Duration::from_nanos(random % nanos.saturating_add(1).max(1))
    }
}

#[cfg(test)]
mod tests;
