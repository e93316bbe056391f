//! A storm of equal errors: the first of a window are recorded, the others counted, and a summary says how many.
//!
//! 1. Equal are errors with the same status, method, route and flags. What does not fit into `max_keys` is one kind.
//! 2. A window begins with its first error. When it is over, a kind with suppressed errors gives one summary.

use launchgate_sdk::map::Map;
use std::time::Duration;

use launchgate_sdk::Timestamp;

use crate::config::StormConfig;

/// What makes errors equal.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Kind {
    /// Status, 0 where there was none.
    pub(crate) status: u16,
    /// Method, redacted and at most 16 bytes.
    pub(crate) method: Vec<u8>,
    /// Route, at most 64 bytes.
    pub(crate) route: Vec<u8>,
    /// Response flags.
    pub(crate) flags: u64,
}

/// What was not recorded of a kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Summary {
    /// The kind; the default kind stands for all that did not fit.
    pub(crate) kind: Kind,
    /// How many.
    pub(crate) suppressed: u64,
    /// Begin of the window.
    pub(crate) since: Timestamp,
}

#[derive(Debug)]
struct Window {
    begin: Duration,
    since: Timestamp,
    recorded: u32,
    suppressed: u64,
}

/// The counts of the running windows.
#[derive(Debug)]
pub(crate) struct Storm {
    limit: u32,
    window: Duration,
    max_keys: usize,
    windows: Map<Kind, Window>,
}

impl Storm {
    /// From the configuration.
    pub(crate) fn new(config: &StormConfig) -> Self {
        Self {
            limit: config.max_records,
            window: config.window.into(),
            max_keys: config.max_keys as usize,
            windows: Map::new(),
        }
    }

    /// Whether there is a limit at all.
    pub(crate) fn is_limited(&self) -> bool {
        self.limit > 0
    }

    /// Counts an error; whether it is recorded.
    pub(crate) fn admit(&mut self, kind: Kind, mono: Duration, wall: Timestamp) -> bool {
        if !self.is_limited() {
            return true;
        }
        let kind = if self.windows.contains_key(&kind) || self.windows.len() < self.max_keys {
            kind
        } else {
            Kind::default()
        };
        let window = self.windows.or_insert_with(kind, || Window {
            begin: mono,
            since: wall,
            recorded: 0,
            suppressed: 0,
        });
        let admitted = window.recorded < self.limit;
        if admitted {
            window.recorded += 1;
        } else {
            window.suppressed += 1;
        }
        admitted
    }

    /// Ends the windows that are over; at most `limit` summaries, the others come next time.
    pub(crate) fn close(&mut self, mono: Duration, limit: usize) -> Vec<Summary> {
        let mut summaries = Vec::new();
        let span = self.window;
        self.windows.retain(|kind, window| {
            let over = mono.saturating_sub(window.begin) >= span;
            if over && window.suppressed > 0 {
                if summaries.len() >= limit {
                    return true;
                }
                summaries.push(Summary {
                    kind: kind.clone(),
                    suppressed: window.suppressed,
                    since: window.since,
                });
            }
            !over
        });
        summaries
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::Period;

    fn storm(max_records: u32, max_keys: u32) -> Storm {
        Storm::new(&StormConfig {
            max_records,
            window: Period::seconds(10),
            max_keys,
        })
    }

    fn kind(status: u16) -> Kind {
        Kind {
            status,
            ..Kind::default()
        }
    }

    #[test]
    fn the_first_of_a_window_are_recorded_and_the_others_counted() {
        let mut storm = storm(2, 8);
        let start = Timestamp::from_seconds(1000);
        let admitted = (0..5)
            .filter(|second| storm.admit(kind(503), Duration::from_secs(*second), start))
            .count();
        assert_eq!(admitted, 2);
        assert!(storm.admit(kind(500), Duration::from_secs(5), start));
        assert_eq!(storm.close(Duration::from_secs(9), 8), []);
        assert_eq!(
            storm.close(Duration::from_secs(10), 8),
            [Summary {
                kind: kind(503),
                suppressed: 3,
                since: start
            }]
        );
        assert!(storm.admit(kind(503), Duration::from_secs(10), start));
        assert_eq!(storm.close(Duration::from_secs(60), 8), []);
    }

    #[test]
    fn kinds_are_bounded_and_nothing_is_lost() {
        let mut storm = storm(1, 4);
        let admitted = (0..100)
            .filter(|status| storm.admit(kind(500 + status), Duration::ZERO, Timestamp::default()))
            .count();
        let mut summaries = storm.close(Duration::from_secs(10), 1);
        summaries.extend(storm.close(Duration::from_secs(10), 1));
        assert_eq!(storm.windows.len(), 0);
        assert_eq!(
            (admitted as u64)
                + summaries
                    .iter()
                    .map(|summary| summary.suppressed)
                    .sum::<u64>(),
            100
        );
        assert_eq!(admitted, 5);
    }

    #[test]
    fn without_a_limit_everything_is_recorded() {
        let mut storm = storm(0, 4);
        assert!((0..1000).all(|_| storm.admit(kind(503), Duration::ZERO, Timestamp::default())));
    }
}
