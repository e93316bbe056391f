//! Durations as Prometheus spells them, and how fast the generated clock runs.
//!
//! With `--speed-up N` every window, interval and time of the rules and of their tests is divided by N, so that an alert can be
//! seen to fire and to resolve in minutes. Names stay as they are.

use std::num::NonZeroU32;

pub(super) const MINUTE: u64 = 60;
pub(super) const HOUR: u64 = 60 * MINUTE;
pub(super) const DAY: u64 = 24 * HOUR;

/// Unit by unit, the largest first: what a duration must be a multiple of, in milliseconds.
const UNITS: [(u64, &str); 5] = [
    (DAY * 1000, "d"),
    (HOUR * 1000, "h"),
    (MINUTE * 1000, "m"),
    (1000, "s"),
    (1, "ms"),
];

/// How fast the clock of the rules runs.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clock(NonZeroU32);

impl Clock {
    /// A clock that runs so many times faster than usual.
    pub(super) fn new(speed_up: NonZeroU32) -> Self {
        Self(speed_up)
    }

    /// So many seconds of the usual clock, such as `5m`.
    pub(super) fn text(self, seconds: u64) -> String {
        text((seconds * 1000 / u64::from(self.0.get())).max(1))
    }
}

/// The name of a window, whatever the speed.
pub(super) fn name(seconds: u64) -> String {
    text(seconds * 1000)
}

fn text(millis: u64) -> String {
    let whole = |(unit, _): &&(u64, &str)| millis.is_multiple_of(*unit);
    let (unit, suffix) = UNITS.iter().find(whole).unwrap_or(&(1, "ms"));
    format!("{}{suffix}", millis / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_spelled_in_the_largest_unit_that_divides_them() {
        for (seconds, speed_up, expected) in [
            (5 * MINUTE, 1, "5m"),
            (3 * DAY, 1, "3d"),
            (131 * MINUTE, 1, "131m"),
            (30, 1, "30s"),
            (5 * MINUTE, 120, "2500ms"),
            (6 * HOUR, 120, "3m"),
            (30, 120, "250ms"),
            (1, 100_000, "1ms"),
        ] {
            let clock = Clock::new(NonZeroU32::new(speed_up).unwrap());
            assert_eq!(clock.text(seconds), expected, "{seconds} s / {speed_up}");
        }
        assert_eq!(name(HOUR), "1h");
    }
}
