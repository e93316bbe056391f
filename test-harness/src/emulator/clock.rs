//! Virtual time, and what falls due in it.
//!
//! The wall clock can be stepped back and forth; what falls due does not notice.
//! Time moves only when the emulator moves it; events at one instant happen in the order in which they were scheduled.

use std::collections::BTreeMap;

/// Wall clock at the start unless a scenario says otherwise: 2026-01-01T00:00:00Z, in nanoseconds.
pub const DEFAULT_START: u64 = 1_767_225_600 * 1_000_000_000;

/// How long the machine has run at the start: the monotonic clock begins there.
const UPTIME: u64 = 1_000 * 1_000_000_000;

/// A clock with a queue of events `E`.
#[derive(Debug)]
pub struct Clock<E> {
    start: u64,
    uptime: u64,
    now: u64,
    next: u64,
    events: BTreeMap<(u64, u64), E>,
}

impl<E> Clock<E> {
    /// A clock that starts at this wall time (nanoseconds since 1970).
    pub fn new(start: u64) -> Self {
        Clock {
            start,
            uptime: UPTIME,
            now: 0,
            next: 0,
            events: BTreeMap::new(),
        }
    }

    /// The same clock, with its monotonic time equal to the wall's. At 1970 it keeps its own: Go's runtime dies of a monotonic
    /// clock that stands at zero.
    #[must_use]
    pub fn in_step(self) -> Self {
        match self.start {
            0 => self,
            start => Clock {
                uptime: start,
                ..self
            },
        }
    }

    /// Monotonic time in nanoseconds.
    pub fn monotonic(&self) -> u64 {
        self.uptime.saturating_add(self.now)
    }

    /// Nanoseconds since the start.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Wall time in nanoseconds.
    pub fn wall(&self) -> u64 {
        self.start.saturating_add(self.now)
    }

    /// Steps the wall clock, never to before 1970.
    pub fn leap(&mut self, nanos: u64, back: bool) {
        self.start = match back {
            true => self.start.saturating_sub(nanos),
            false => self.start.saturating_add(nanos),
        };
    }

    /// Lets an event fall due after so many nanoseconds.
    pub fn after(&mut self, nanos: u64, event: E) {
        let due = self.now.saturating_add(nanos);
        self.events.insert((due, self.next), event);
        self.next += 1;
    }

    /// Takes the next event that is due up to `until` (since the start), moving the clock to it.
    pub fn pop(&mut self, until: u64) -> Option<E> {
        let entry = self
            .events
            .first_entry()
            .filter(|entry| entry.key().0 <= until)?;
        self.now = self.now.max(entry.key().0);
        Some(entry.remove())
    }

    /// Moves on to this instant, if it lies ahead.
    pub fn advance_to(&mut self, instant: u64) {
        self.now = self.now.max(instant);
    }

    /// Forgets events.
    pub fn retain(&mut self, keep: impl FnMut(&E) -> bool) {
        let mut keep = keep;
        self.events.retain(|_, event| keep(event));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_in_step_with_1970_is_not_at_zero() {
        let monotonic = |start| Clock::<()>::new(start).in_step().monotonic();
        assert_eq!((monotonic(0), monotonic(7)), (UPTIME, 7));
    }
}
