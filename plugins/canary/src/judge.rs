//! Whether the canary is guilty, by what was counted.
//!
//! 1. Nothing is decided on fewer than `min_requests` responses of the canary.
//! 2. Guilty of **errors**: a 5xx share above `max_5xx_percent`. Guilty of being **slow**: more than 1 % of responses that take
//!    longer than `max_p99`, which is exactly what "P99 above `max_p99`" says. Guilty of a **surge**: from 5 errors up, an error
//!    share above `surge_factor` times that of stable.
//! 3. "Above" means: the lower bound at `confidence` is above. Where stable has `min_requests` too, the canary's lower bound
//!    must also be above stable's upper bound, and where it has fewer, above its share as it is: a shared outage blames
//!    nobody, from its first second on.
//! 4. Repeated looks are accounted for. The judge looks every tick at the window, its last quarter and its last sixteenth
//!    (so that what begins late is not diluted). In the rollout's first window, when a bad release shows, the whole
//!    window is looked at by the score bound with the full risk. Every other look is exact and takes a share of the risk:
//!    in the n-th window risk / (16 n (n + 1)), so that all looks of all windows together take no more than the risk once more.
//! 5. With `confidence` 0 shares are compared as they are, in whole numbers, over the whole window: exactly the limit is
//!    not above it.

use crate::bounds::{Bound, exceeds};
use crate::window::{Tallies, Tally};

/// What convicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Fewer responses decide nothing.
    pub(crate) min_requests: u64,
    /// Most errors, in millionths.
    pub(crate) errors: u32,
    /// Whether slowness convicts.
    pub(crate) slow: bool,
    /// Times the share of stable, in thousandths.
    pub(crate) surge: Option<u32>,
    /// Risk of a wrong conviction in billionths; `None` for the plain comparison.
    pub(crate) risk: Option<u32>,
}

/// Why the canary is guilty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guilt {
    /// Too many 5xx.
    Errors,
    /// Too slow.
    Slow,
    /// Far more errors than stable.
    Surge,
}

/// Looks of the same window: three spans, a handful of them independent.
const LOOKS: f64 = 16.0;
const SURGE_ERRORS: u64 = 5;
const MILLION: u64 = 1_000_000;
/// A 99th percentile above the limit: more than 1 % beyond it.
const P99: u32 = 10_000;

/// How one look compares.
#[derive(Debug, Clone, Copy)]
enum Test {
    Plain,
    Bounds(Bound, f64),
}

/// Judges the spans, the whole window first, in the `age`-th window of the rollout.
pub(crate) fn judge(spans: &[Tallies], age: u64, limits: &Limits) -> Option<(Guilt, Tallies)> {
    let Some(risk) = limits.risk.map(|risk| f64::from(risk) / 1e9) else {
        return look(*spans.first()?, Test::Plain, limits);
    };
    let age_f = age.max(1) as f64;
    let exact = Test::Bounds(Bound::Exact, risk / (LOOKS * age_f * (age_f + 1.0)));
    let first = Test::Bounds(Bound::Score, risk);
    spans.iter().enumerate().find_map(|(index, span)| {
        let test = if index == 0 && age <= 1 { first } else { exact };
        look(*span, test, limits)
    })
}

fn look(counted: Tallies, test: Test, limits: &Limits) -> Option<(Guilt, Tallies)> {
    let Tallies { canary, stable } = counted;
    if canary.requests < limits.min_requests.max(1) {
        return None;
    }
    let comparable = stable.requests >= limits.min_requests.max(1);
    let worse = |bad: fn(&Tally) -> u64| {
        let (own, other) = (bad(&canary), bad(&stable));
        test.is_worse((own, canary.requests), (other, stable.requests), comparable)
    };
    let errors = |tally: &Tally| tally.errors;
    let slow = |tally: &Tally| tally.slow;
    let guilt = if test.is_over(canary.errors, canary.requests, limits.errors) && worse(errors) {
        Guilt::Errors
    } else if limits.slow && test.is_over(canary.slow, canary.requests, P99) && worse(slow) {
        Guilt::Slow
    } else {
        let surge = limits
            .surge
            .filter(|_| comparable && canary.errors >= SURGE_ERRORS)?;
        let surges = test.is_above(
            (canary.errors, canary.requests),
            (stable.errors, stable.requests),
            surge,
        );
        surges.then_some(Guilt::Surge)?
    };
    Some((guilt, counted))
}

impl Test {
    /// Whether the share `bad` of `all` is above a limit in millionths.
    fn is_over(self, bad: u64, all: u64, limit: u32) -> bool {
        // In whole numbers; and no lower bound is above a limit that the share itself is not above.
        let plain = u128::from(bad) * u128::from(MILLION) > u128::from(all) * u128::from(limit);
        plain
            && match self {
                Self::Plain => true,
                Self::Bounds(Bound::Exact, risk) => exceeds(bad, all, f64::from(limit) / 1e6, risk),
                Self::Bounds(bound, risk) => bound.lower(bad, all, risk) > f64::from(limit) / 1e6,
            }
    }

    /// Whether the canary's share is above that of stable, which counts as it is where it is too small to be bounded.
    fn is_worse(self, canary: (u64, u64), stable: (u64, u64), comparable: bool) -> bool {
        let (bad, all) = canary;
        let (stable_bad, stable_all) = stable;
        match self {
            _ if stable_all == 0 => true,
            Self::Bounds(bound, risk) if !comparable => {
                bound.lower(bad, all, risk) > stable_bad as f64 / stable_all as f64
            }
            _ => self.is_above(canary, stable, 1000),
        }
    }

    /// Whether one share is above `factor` thousandths of another.
    fn is_above(
        self,
        (bad, all): (u64, u64),
        (other_bad, other_all): (u64, u64),
        factor: u32,
    ) -> bool {
        let own = u128::from(bad) * u128::from(other_all) * 1000;
        let plain = own > u128::from(other_bad) * u128::from(all) * u128::from(factor);
        plain
            && match self {
                Self::Plain => true,
                Self::Bounds(bound, risk) => {
                    bound.lower(bad, all, risk)
                        > bound.upper(other_bad, other_all, risk) * f64::from(factor) / 1000.0
                }
            }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        min_requests: 50,
        errors: 10_000,
        slow: true,
        surge: Some(3000),
        risk: Some(1_000_000),
    };
    const PLAIN: Limits = Limits {
        risk: None,
        ..LIMITS
    };

    fn tally(requests: u64, errors: u64, slow: u64) -> Tally {
        Tally {
            requests,
            errors,
            slow,
        }
    }

    fn verdict(canary: Tally, stable: Tally, age: u64, limits: &Limits) -> Option<Guilt> {
        judge(&[Tallies { canary, stable }], age, limits).map(|(guilt, _)| guilt)
    }

    #[test]
    fn plain_shares_are_compared_strictly() {
        let nobody = Tally::default();
        for (name, canary, stable, expected) in [
            ("no traffic", nobody, nobody, None),
            ("exactly 1 %", tally(100, 1, 0), nobody, None),
            (
                "just above 1 %",
                tally(199, 2, 0),
                nobody,
                Some(Guilt::Errors),
            ),
            ("exactly 1 % slow", tally(1000, 0, 10), nobody, None),
            (
                "just above 1 % slow",
                tally(999, 0, 10),
                nobody,
                Some(Guilt::Slow),
            ),
            ("1 error in 3 requests", tally(3, 1, 0), nobody, None),
            ("49 requests, all failed", tally(49, 49, 49), nobody, None),
            (
                "50 requests, one failed",
                tally(50, 1, 0),
                nobody,
                Some(Guilt::Errors),
            ),
            (
                "stable has as many",
                tally(50, 10, 0),
                tally(1000, 200, 0),
                None,
            ),
            (
                "stable has fewer",
                tally(50, 11, 0),
                tally(1000, 200, 0),
                Some(Guilt::Errors),
            ),
            (
                "stable is small, and fails too",
                tally(50, 10, 0),
                tally(10, 2, 0),
                None,
            ),
            (
                "stable is small, and fails less",
                tally(50, 11, 0),
                tally(10, 2, 0),
                Some(Guilt::Errors),
            ),
            (
                "four errors are no surge",
                tally(1000, 4, 0),
                tally(1000, 0, 0),
                None,
            ),
            (
                "five are",
                tally(1000, 5, 0),
                tally(1000, 1, 0),
                Some(Guilt::Surge),
            ),
            (
                "three times is no surge",
                tally(1000, 6, 0),
                tally(1000, 2, 0),
                None,
            ),
            (
                "a surge needs a baseline",
                tally(1000, 9, 0),
                tally(49, 0, 0),
                None,
            ),
        ] {
            assert_eq!(verdict(canary, stable, 1, &PLAIN), expected, "{name}");
        }
    }

    #[test]
    fn a_conviction_needs_evidence() {
        let nobody = Tally::default();
        for (name, canary, stable, age, expected) in [
            ("no traffic", nobody, nobody, 1, None),
            ("1 error in 3 requests", tally(3, 1, 0), nobody, 1, None),
            ("2 errors in 50", tally(50, 2, 0), nobody, 1, None),
            (
                "3 errors in 60, in the first window",
                tally(60, 3, 0),
                nobody,
                1,
                Some(Guilt::Errors),
            ),
            ("3 errors in 60, later", tally(60, 3, 0), nobody, 2, None),
            (
                "5 % of 400, at the end of the schedule",
                tally(400, 20, 0),
                nobody,
                45,
                Some(Guilt::Errors),
            ),
            ("5 % slow", tally(400, 0, 20), nobody, 40, Some(Guilt::Slow)),
            ("1.2 % of 1,000", tally(1000, 12, 0), nobody, 1, None),
            (
                "1.2 % of 100,000",
                tally(100_000, 1200, 0),
                nobody,
                1,
                Some(Guilt::Errors),
            ),
            (
                "both versions fail",
                tally(400, 200, 0),
                tally(4000, 2000, 0),
                1,
                None,
            ),
            (
                "both versions fail, and stable is still small",
                tally(52, 17, 0),
                tally(46, 15, 0),
                1,
                None,
            ),
            (
                "stable has one error of a few",
                tally(60, 60, 0),
                tally(3, 1, 0),
                1,
                Some(Guilt::Errors),
            ),
            (
                "stable fails a little",
                tally(400, 200, 0),
                tally(4000, 100, 0),
                5,
                Some(Guilt::Errors),
            ),
            (
                "a surge below the limit",
                tally(20_000, 160, 0),
                tally(100_000, 100, 0),
                5,
                Some(Guilt::Surge),
            ),
            (
                "twice as many is no surge",
                tally(20_000, 40, 0),
                tally(100_000, 100, 0),
                5,
                None,
            ),
        ] {
            assert_eq!(verdict(canary, stable, age, &LIMITS), expected, "{name}");
        }
    }

    #[test]
    fn what_is_switched_off_does_not_convict() {
        let off = Limits {
            errors: 1_000_000,
            slow: false,
            surge: None,
            ..LIMITS
        };
        assert_eq!(
            verdict(tally(1000, 1000, 1000), tally(1000, 0, 0), 1, &off),
            None
        );
        assert_eq!(
            verdict(
                tally(1000, 1000, 1000),
                tally(1000, 0, 0),
                1,
                &Limits { risk: None, ..off }
            ),
            None
        );
    }

    #[test]
    fn a_late_fault_shows_in_the_last_part_of_the_window() {
        let whole = Tallies {
            canary: tally(12_000, 40, 0),
            stable: Tally::default(),
        };
        let last = Tallies {
            canary: tally(800, 40, 0),
            stable: Tally::default(),
        };
        assert_eq!(judge(&[whole], 30, &LIMITS), None);
        assert_eq!(
            judge(&[whole, last], 30, &LIMITS),
            Some((Guilt::Errors, last))
        );
        assert_eq!(judge(&[whole, last], 30, &PLAIN), None);
    }

    proptest::proptest! {
        #[test]
        fn more_errors_never_acquit(requests in 50_u64..5000, errors in 0_u64..100, age in 1_u64..100) {
            let errors = errors.min(requests - 1);
            let nobody = Tally::default();
            if verdict(tally(requests, errors, 0), nobody, age, &LIMITS).is_some() {
                proptest::prop_assert!(verdict(tally(requests, errors + 1, 0), nobody, age, &LIMITS).is_some());
            }
        }
    }
}
