//! What was counted lately, over all workers.
//!
//! 1. Envoy's counters are the tallies: read back they are sums over all workers, and they outlive a config reload.
//! 2. The window is a ring of readings of them in shared state; what was counted in a span is the newest reading minus the
//!    one at its begin. One worker, the holder of the lease, writes it.
//! 3. At most 64 readings, evenly spaced over the window.
//! 4. Counters that went back were reset: the ring begins anew.

use std::time::Duration;

/// Counts of one variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Tally {
    /// Responses judged.
    pub(crate) requests: u64,
    /// Of these, 5xx and failed gRPC calls.
    pub(crate) errors: u64,
    /// Of these, slower than the limit.
    pub(crate) slow: u64,
}

impl std::fmt::Display for Tally {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            requests,
            errors,
            slow,
        } = self;
        write!(f, "{requests} requests, {errors} errors, {slow} slow")
    }
}

impl Tally {
    fn since(self, earlier: Self) -> Option<Self> {
        Some(Self {
            requests: self.requests.checked_sub(earlier.requests)?,
            errors: self.errors.checked_sub(earlier.errors)?,
            slow: self.slow.checked_sub(earlier.slow)?,
        })
    }
}

/// Counts of both variants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub(crate) struct Tallies {
    /// The canary.
    pub(crate) canary: Tally,
    /// Stable.
    pub(crate) stable: Tally,
}

impl Tallies {
    fn since(self, earlier: Self) -> Option<Self> {
        Some(Self {
            canary: self.canary.since(earlier.canary)?,
            stable: self.stable.since(earlier.stable)?,
        })
    }

    fn numbers(self) -> [u64; 6] {
        let Self { canary, stable } = self;
        [
            canary.requests,
            canary.errors,
            canary.slow,
            stable.requests,
            stable.errors,
            stable.slow,
        ]
    }

    fn of(numbers: [u64; 6]) -> Self {
        let tally = |requests, errors, slow| Tally {
            requests,
            errors,
            slow,
        };
        let [a, b, c, d, e, f] = numbers;
        Self {
            canary: tally(a, b, c),
            stable: tally(d, e, f),
        }
    }
}

/// The readings.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Window {
    /// When the first response of the canary was there to judge, nanoseconds of `mono`.
    first: u64,
    readings: Vec<(u64, Tallies)>,
}

const VERSION: u8 = 1;
const READINGS: u32 = 60;
const MOST_READINGS: usize = 64;
const READING_SIZE: usize = 56;

impl Window {
    /// Takes a reading, if it is time for one. `span` is the length of the window.
    pub(crate) fn read(&mut self, mono: Duration, span: Duration, now: Tallies) {
        let at = nanos(mono);
        let newest = self.readings.last().copied();
        let stale = newest.is_some_and(|(time, known)| time > at || now.since(known).is_none());
        if stale {
            *self = Self::default();
        }
        if self.first == 0
            && newest.is_some_and(|(_, known)| now.canary.requests > known.canary.requests)
        {
            self.first = at;
        }
        // A tick that is a little early counts: otherwise every second reading would be left out.
        let spacing = nanos(span / READINGS) / 10 * 9;
        if stale || newest.is_none_or(|(time, _)| at - time >= spacing) {
            self.readings.push((at, now));
        }
        // One reading from before the window stays, as its begin.
        let begin = at.saturating_sub(nanos(span));
        let before = self
            .readings
            .iter()
            .take_while(|(time, _)| *time <= begin)
            .count();
        let surplus = self.readings.len().saturating_sub(MOST_READINGS);
        self.readings.drain(..before.saturating_sub(1).max(surplus));
    }

    /// What was counted in the last `span`, or since the first reading where that is later.
    pub(crate) fn counted(&self, mono: Duration, span: Duration, now: Tallies) -> Tallies {
        let begin = nanos(mono).saturating_sub(nanos(span));
        let base = self
            .readings
            .iter()
            .rev()
            .find(|(time, _)| *time <= begin)
            .or_else(|| self.readings.first());
        base.and_then(|(_, base)| now.since(*base))
            .unwrap_or_default()
    }

    /// How many windows there were since the canary's first response, this one included.
    pub(crate) fn age(&self, mono: Duration, span: Duration) -> u64 {
        if self.first == 0 {
            return 1;
        }
        nanos(mono).saturating_sub(self.first) / nanos(span).max(1) + 1
    }

    /// As bytes for shared state: version, number of readings, first, readings.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(10 + self.readings.len() * READING_SIZE);
        bytes.push(VERSION);
        bytes.push(u8::try_from(self.readings.len()).unwrap_or(u8::MAX));
        bytes.extend_from_slice(&self.first.to_le_bytes());
        for (at, tallies) in &self.readings {
            for number in std::iter::once(*at).chain(tallies.numbers()) {
                bytes.extend_from_slice(&number.to_le_bytes());
            }
        }
        bytes
    }

    /// From shared state; anything else than what [`Window::encode`] wrote counts as absent.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_at_checked(10)?;
        let (version, count) = (*head.first()?, usize::from(*head.get(1)?));
        if version != VERSION || rest.len() != count * READING_SIZE || count > MOST_READINGS {
            return None;
        }
        let number = |bytes: &[u8]| bytes.try_into().ok().map(u64::from_le_bytes);
        let readings = rest.chunks_exact(READING_SIZE).map(|reading| {
            let mut numbers = [0; 7];
            for (slot, chunk) in numbers.iter_mut().zip(reading.chunks_exact(8)) {
                *slot = number(chunk)?;
            }
            let [at, a, b, c, d, e, f] = numbers;
            Some((at, Tallies::of([a, b, c, d, e, f])))
        });
        Some(Self {
            first: number(head.get(2..)?)?,
            readings: readings.collect::<Option<_>>()?,
        })
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn canary(requests: u64) -> Tallies {
        Tallies {
            canary: Tally {
                requests,
                errors: requests / 10,
                slow: 0,
            },
            stable: Tally {
                requests: requests * 2,
                ..Tally::default()
            },
        }
    }

    #[test]
    fn spans_are_counted_from_their_begin() {
        let mut window = Window::default();
        for second in 0..200 {
            window.read(
                Duration::from_secs(1000 + second),
                MINUTE,
                canary(second * 10),
            );
        }
        let now = Duration::from_secs(1199);
        for (span, requests) in [(60, 600), (15, 150), (4, 40), (0, 0)] {
            let counted = window.counted(now, Duration::from_secs(span), canary(1990));
            assert_eq!(
                (
                    counted.canary.requests,
                    counted.canary.errors,
                    counted.stable.requests
                ),
                (requests, requests / 10, requests * 2),
                "{span}"
            );
        }
        assert!(
            window.readings.len() <= MOST_READINGS,
            "{}",
            window.readings.len()
        );
        assert_eq!(window.age(now, MINUTE), 4);
        assert_eq!(Window::decode(&window.encode()), Some(window));
    }

    #[test]
    fn a_young_window_counts_from_its_first_reading() {
        let mut window = Window::default();
        assert_eq!(
            window.counted(MINUTE, MINUTE, canary(50)),
            Tallies::default()
        );
        window.read(MINUTE, MINUTE, canary(100));
        assert_eq!(
            (
                window.counted(MINUTE, MINUTE, canary(130)).canary.requests,
                window.age(MINUTE, MINUTE)
            ),
            (30, 1)
        );
    }

    #[test]
    fn counters_that_were_reset_begin_a_new_window() {
        let mut window = Window::default();
        window.read(MINUTE, MINUTE, canary(100));
        window.read(MINUTE * 2, MINUTE, canary(200));
        window.read(MINUTE * 3, MINUTE, canary(10));
        assert_eq!(
            window
                .counted(MINUTE * 3, MINUTE, canary(40))
                .canary
                .requests,
            30
        );
        window.read(MINUTE, MINUTE, canary(50));
        assert_eq!(
            window.counted(MINUTE, MINUTE, canary(50)),
            Tallies::default()
        );
    }

    #[test]
    fn foreign_bytes_count_as_absent() {
        for bytes in [
            &b""[..],
            b"x",
            &[1; 10],
            &[1, 0, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            &[255; 66],
        ] {
            assert_eq!(Window::decode(bytes), None, "{bytes:?}");
        }
        assert_eq!(
            Window::decode(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            Some(Window::default())
        );
    }
}
