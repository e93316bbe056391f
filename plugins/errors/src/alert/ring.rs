//! Occurrences in a window that slides by a sixtieth of its length.

/// Occurrences by slot of time, the oldest first.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Ring(pub(super) Vec<(u64, u64)>);

const SLOTS: u64 = 60;

impl Ring {
    /// Adds occurrences, and forgets what is older than the window.
    pub(crate) fn add(&mut self, window: u64, mono: u64, count: u64) {
        let slot = mono / (window / SLOTS).max(1);
        self.0.retain(|(own, _)| own.saturating_add(SLOTS) > slot);
        match self.0.last_mut() {
            Some((own, sum)) if *own == slot => *sum = sum.saturating_add(count),
            _ if count > 0 => self.0.push((slot, count)),
            _ => {}
        }
    }

    /// Occurrences in the window.
    pub(crate) fn sum(&self, window: u64, mono: u64) -> u64 {
        let slot = mono / (window / SLOTS).max(1);
        self.0
            .iter()
            .filter(|(own, _)| own.saturating_add(SLOTS) > slot)
            .fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}
