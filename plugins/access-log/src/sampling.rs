//! Which exchanges are recorded.
//!
//! 1. Errors and slow exchanges always.
//! 2. The rest by trace id: the same trace is kept or left out by every gateway with the same rate, and a gateway with a
//!    higher rate keeps all that one with a lower rate keeps.

use std::time::Duration;

use launchgate_sdk::trace::TraceId;

use crate::config::SampleConfig;

const ALL: u32 = 1_000_000;

/// The rule.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampling {
    rate: u32,
    slow: Option<Duration>,
}

impl Sampling {
    /// From the configuration.
    pub(crate) fn new(config: &SampleConfig) -> Self {
        Self {
            rate: config.rate_percent.millionths(),
            slow: config.keep_slower_than.map(Duration::from),
        }
    }

    /// In millionths, the rate at which exchanges like this one are recorded; `None` where it is not recorded.
    pub(crate) fn decide(
        self,
        is_error: bool,
        duration: Duration,
        trace: Option<TraceId>,
    ) -> Option<u32> {
        let slow = self.slow.is_some_and(|limit| duration >= limit);
        if is_error || slow {
            return Some(ALL);
        }
        let share = trace.map_or(0, TraceId::share);
        (share < self.rate).then_some(self.rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::{Percent, Period};

    fn sampling(percent: u32, slow: Option<u64>) -> Sampling {
        Sampling::new(&SampleConfig {
            rate_percent: Percent::whole(percent),
            keep_slower_than: slow.map(Period::millis),
        })
    }

    fn trace(byte: u8) -> Option<TraceId> {
        TraceId::new([byte; 16])
    }

    #[test]
    fn errors_and_slow_exchanges_are_kept_at_rate_zero() {
        let (fast, slow) = (Duration::from_millis(999), Duration::from_secs(1));
        for (name, percent, error, duration, byte, expected) in [
            ("an error", 0, true, fast, 0x01, Some(1_000_000)),
            ("slow", 0, false, slow, 0x01, Some(1_000_000)),
            ("neither", 0, false, fast, 0x01, None),
            ("everything", 100, false, fast, 0xff, Some(1_000_000)),
            ("below the rate", 50, false, fast, 0x7f, Some(500_000)),
            ("above the rate", 50, false, fast, 0x80, None),
        ] {
            assert_eq!(
                sampling(percent, Some(1000)).decide(error, duration, trace(byte)),
                expected,
                "{name}"
            );
        }
    }

    #[test]
    fn a_lower_rate_keeps_a_part_of_what_a_higher_one_keeps() {
        for byte in 1..=255 {
            let kept = |percent| {
                sampling(percent, None)
                    .decide(false, Duration::ZERO, trace(byte))
                    .is_some()
            };
            assert!(!kept(10) || kept(20), "{byte}");
        }
    }
}
