//! Sentry's rate limits (Sentry SDK specification, "Rate limiting").
//!
//! 1. `X-Sentry-Rate-Limits` counts on any status: groups `retry_after:categories:scope:reason:namespaces` separated by
//!    `,`; seconds may have decimals, unreadable ones mean 60; blanks are ignored; categories are separated by `;`, none
//!    mean all; unknown ones are left out and never mean all.
//! 2. Without it, a 429 with `Retry-After` limits everything that long, one without limits everything for 60 s.
//! 3. The longer limit wins. No limit is longer than a day.
//! 4. The deadlines are shared by all workers: one 429 stops every one of them.

use std::time::Duration;

use launchgate_sdk::headers::Headers;
use launchgate_sdk::json_tree;
use launchgate_sdk::{Timestamp, retry_after};

use crate::codec::{Reader, Writer};

/// What is limited: Sentry's data categories, as far as this plugin sends them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Category {
    /// Events.
    Error,
    /// Transactions.
    Transaction,
    /// Spans, the transaction's own included.
    Span,
    /// Client reports and whatever else has no category.
    Default,
}

impl Category {
    const ALL: [Self; 4] = [Self::Error, Self::Transaction, Self::Span, Self::Default];

    /// As Sentry names it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Transaction => "transaction",
            Self::Span => "span",
            Self::Default => "default",
        }
    }

    fn index(self) -> usize {
        self as usize
    }
}

/// Until when nothing of a category may be sent, in milliseconds of the `mono` clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Deadlines([u64; 4]);

const DEFAULT: Duration = Duration::from_secs(60);
const VERSION: u8 = 1;

impl Deadlines {
    /// What an answer asks for.
    pub(crate) fn read(status: u16, headers: &Headers, wall: Timestamp, mono: Duration) -> Self {
        let mut deadlines = Self::default();
        if headers.contains("x-sentry-rate-limits") {
            for value in headers
                .all("x-sentry-rate-limits")
                .filter_map(|value| std::str::from_utf8(value).ok())
            {
                value
                    .split(',')
                    .for_each(|group| deadlines.read_group(group, mono));
            }
        } else if status == 429 {
            let wait = retry_after::read(headers, wall).unwrap_or(DEFAULT);
            Category::ALL
                .iter()
                .for_each(|category| deadlines.limit(*category, wait, mono));
        }
        deadlines
    }

    fn read_group(&mut self, group: &str, mono: Duration) {
        let group: String = group
            .chars()
            .filter(|letter| !letter.is_whitespace())
            .collect();
        if group.is_empty() {
            return;
        }
        let mut fields = group.split(':');
        let seconds = json_tree::number(fields.next().unwrap_or_default());
        let seconds = seconds.map_or(DEFAULT, |seconds| {
            Duration::from_secs_f64(seconds.clamp(0.0, retry_after::LONGEST.as_secs_f64()))
        });
        let categories = fields.next().unwrap_or_default();
        for category in Category::ALL {
            if categories.is_empty() || categories.split(';').any(|name| name == category.as_str())
            {
                self.limit(category, seconds, mono);
            }
        }
    }

    fn limit(&mut self, category: Category, wait: Duration, mono: Duration) {
        let until = millis(mono.saturating_add(wait.min(retry_after::LONGEST)));
        if let Some(deadline) = self.0.get_mut(category.index()) {
            *deadline = until.max(*deadline);
        }
    }

    /// The longer of each.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.0
            .iter_mut()
            .zip(other.0)
            .for_each(|(own, other)| *own = other.max(*own));
    }

    /// Whether nothing of a category may be sent. A transaction is also stopped by a limit on spans only where it has
    /// some besides its own, which it never has here.
    pub(crate) fn is_limited(&self, category: Category, mono: Duration) -> bool {
        self.0
            .get(category.index())
            .is_some_and(|until| *until > millis(mono))
    }

    /// Whether any deadline lies ahead.
    pub(crate) fn is_any(&self, mono: Duration) -> bool {
        Category::ALL
            .iter()
            .any(|category| self.is_limited(*category, mono))
    }

    /// For shared state.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new(VERSION);
        self.0.iter().for_each(|deadline| writer.u64(*deadline));
        writer.finish()
    }

    /// From shared state; what is no such value is no limit, and so is a deadline further ahead than a day, which comes
    /// from another clock.
    pub(crate) fn decode(bytes: &[u8], mono: Duration) -> Self {
        let read = || {
            let mut reader = Reader::new(bytes, VERSION)?;
            let deadlines = [reader.u64()?, reader.u64()?, reader.u64()?, reader.u64()?];
            Some(Self(deadlines))
        };
        let mut deadlines = read().unwrap_or_default();
        let furthest = millis(mono.saturating_add(retry_after::LONGEST));
        deadlines
            .0
            .iter_mut()
            .filter(|deadline| **deadline > furthest)
            .for_each(|deadline| *deadline = 0);
        deadlines
    }
}

/// Milliseconds, rounded up: a limit never ends early.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONO: Duration = Duration::from_secs(1000);
    const NONE: &[(Category, u64)] = &[];
    const ALL_60: &[(Category, u64)] = &[
        (Category::Error, 60),
        (Category::Transaction, 60),
        (Category::Span, 60),
        (Category::Default, 60),
    ];

    fn read(status: u16, headers: &[(&str, &str)]) -> Deadlines {
        Deadlines::read(
            status,
            &Headers::from_pairs(headers.iter().copied()),
            Timestamp::from_seconds(1_795_348_800),
            MONO,
        )
    }

    #[test]
    fn limits_are_read_as_the_specification_says() {
        use Category::{Error, Span, Transaction};
        let limits = "x-sentry-rate-limits";
        for (name, status, headers, expected) in [
            ("nothing asked", 200, vec![], NONE),
            ("a bare 429 is 60 s of everything", 429, vec![], ALL_60),
            (
                "retry-after in seconds",
                429,
                vec![("retry-after", "60")],
                ALL_60,
            ),
            (
                "retry-after as a date",
                429,
                vec![("retry-after", "Sun, 22 Nov 2026 12:01:00 GMT")],
                ALL_60,
            ),
            (
                "an unreadable retry-after",
                429,
                vec![("retry-after", "soon")],
                ALL_60,
            ),
            (
                "retry-after on another status is no limit",
                503,
                vec![("retry-after", "60")],
                NONE,
            ),
            (
                "limits beat retry-after",
                429,
                vec![("retry-after", "5"), (limits, "60::key")],
                ALL_60,
            ),
            (
                "limits without effect beat retry-after too",
                429,
                vec![("retry-after", "5"), (limits, "60:attachment:key")],
                NONE,
            ),
            (
                "limits on a 200",
                200,
                vec![(limits, "60:error:key")],
                &[(Error, 60)],
            ),
            (
                "no categories mean all",
                200,
                vec![(limits, "60::organization")],
                ALL_60,
            ),
            ("seconds only", 200, vec![(limits, "60")], ALL_60),
            (
                "unknown categories do not mean all",
                200,
                vec![(limits, "60:replay;monitor:key")],
                NONE,
            ),
            (
                "Bugsink's",
                200,
                vec![(limits, "86400:transaction;span:organization")],
                &[(Transaction, 86_400), (Span, 86_400)],
            ),
            (
                "several groups, blanks, the longer wins",
                200,
                vec![(
                    limits,
                    " 10 : error ; transaction : key , 20:error:key,5:error",
                )],
                &[(Error, 20), (Transaction, 10)],
            ),
            (
                "several headers",
                200,
                vec![(limits, "10:error"), (limits, "20:transaction")],
                &[(Error, 10), (Transaction, 20)],
            ),
            (
                "decimals round up",
                200,
                vec![(limits, "9.0:error")],
                &[(Error, 9)],
            ),
            (
                "unreadable seconds mean 60",
                200,
                vec![(limits, "x:error")],
                &[(Error, 60)],
            ),
            (
                "infinite seconds mean 60",
                200,
                vec![(limits, "inf:error")],
                &[(Error, 60)],
            ),
            (
                "negative seconds are none",
                200,
                vec![(limits, "-5:error")],
                NONE,
            ),
            (
                "never more than a day",
                200,
                vec![(limits, "1e300:error")],
                &[(Error, 86_400)],
            ),
            ("an empty header", 429, vec![(limits, "")], NONE),
            (
                "namespaces are left alone",
                200,
                vec![(limits, "60:error:key:quota:custom")],
                &[(Error, 60)],
            ),
        ] {
            let deadlines = read(status, &headers);
            for category in Category::ALL {
                let seconds = expected
                    .iter()
                    .find(|(own, _)| *own == category)
                    .map_or(0, |(_, seconds)| *seconds);
                let before =
                    MONO + Duration::from_secs(seconds).saturating_sub(Duration::from_millis(1));
                assert_eq!(
                    deadlines.is_limited(category, before),
                    seconds > 0,
                    "{name}: {category:?} before"
                );
                assert!(
                    !deadlines.is_limited(category, MONO + Duration::from_secs(seconds)),
                    "{name}: {category:?} after"
                );
            }
        }
    }

    #[test]
    fn the_longer_limit_stays() {
        let mut deadlines = read(200, &[("x-sentry-rate-limits", "60:error")]);
        deadlines.merge(&read(200, &[("x-sentry-rate-limits", "5:error")]));
        assert!(deadlines.is_limited(Category::Error, MONO + Duration::from_secs(59)));
    }

    #[test]
    fn shared_state_is_read_back_and_garbage_is_no_limit() {
        let deadlines = read(429, &[]);
        assert_eq!(Deadlines::decode(&deadlines.encode(), MONO), deadlines);
        for bytes in [
            &b""[..],
            b"\x01",
            b"garbage-garbage-garbage-garbage-garbage-garbage",
        ] {
            assert_eq!(Deadlines::decode(bytes, MONO), Deadlines::default());
        }
        assert_eq!(
            Deadlines::decode(&Deadlines([u64::MAX; 4]).encode(), MONO),
            Deadlines::default()
        );
    }

    proptest::proptest! {
        #[test]
        fn no_header_stops_the_reader(value in proptest::collection::vec(0_u8..=255, 0..80), status in 100_u16..600) {
            let headers = Headers::from_pairs([("x-sentry-rate-limits", value.as_slice()), ("retry-after", value.as_slice())]);
            let deadlines = Deadlines::read(status, &headers, Timestamp::default(), MONO);
            proptest::prop_assert!(!deadlines.is_limited(Category::Error, MONO + Duration::from_secs(86_401)));
        }
    }
}
