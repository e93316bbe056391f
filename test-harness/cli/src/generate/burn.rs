//! Burn rates: how many times faster than allowed an error budget is spent.
//!
//! Windows and factors are those of the Site Reliability Workbook, chapter 5, "Multiwindow, multi-burn-rate alerts": the
//! long window says that it matters, the short one that it still goes on.

use launchgate_metrics::Objective;

use super::clock::{DAY, HOUR, MINUTE};

/// A pair of windows, in seconds.
pub(super) struct Window {
    pub(super) long: u64,
    pub(super) short: u64,
    /// Burn rate in tenths.
    tenths: u64,
}

/// Somebody must look now.
pub(super) const FAST: [Window; 2] = [
    Window {
        long: HOUR,
        short: 5 * MINUTE,
        tenths: 144,
    },
    Window {
        long: 6 * HOUR,
        short: 30 * MINUTE,
        tenths: 60,
    },
];
/// Somebody must look soon.
pub(super) const SLOW: [Window; 2] = [
    Window {
        long: DAY,
        short: 2 * HOUR,
        tenths: 30,
    },
    Window {
        long: 3 * DAY,
        short: 6 * HOUR,
        tenths: 10,
    },
];
/// All windows that ratios are recorded for.
pub(super) const RATIOS: [u64; 7] = [
    5 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    6 * HOUR,
    DAY,
    3 * DAY,
];
/// The long windows, that traffic is recorded for.
pub(super) const TRAFFIC: [u64; 4] = [HOUR, 6 * HOUR, DAY, 3 * DAY];

const MILLION: u64 = 1_000_000;

/// An objective that an alert watches: the availability or the latency of an SLO.
pub(super) struct Watched<'a> {
    pub(super) slo: &'a Objective,
    pub(super) objective: &'static str,
    /// Share of events that may be bad, parts of a million.
    pub(super) budget: u64,
}

/// What all SLOs watch.
pub(super) fn watched(slo: &[Objective]) -> Vec<Watched<'_>> {
    let of = |slo| {
        move |(objective, share): (&'static str, u32)| Watched {
            slo,
            objective,
            budget: MILLION - u64::from(share),
        }
    };
    slo.iter()
        .flat_map(|slo| {
            let latency = slo.latency.map(|(_, share)| ("latency", share));
            [Some(("availability", slo.availability)), latency]
                .into_iter()
                .flatten()
                .map(of(slo))
        })
        .collect()
}

impl Watched<'_> {
    /// The share of bad events from which a pair of windows alerts, as a decimal. No share is above one: with a large budget
    /// a high burn rate cannot be reached, and the alert means that everything fails.
    pub(super) fn threshold(&self, window: &Window) -> String {
        let ten_millionths = (self.budget * window.tenths).min(10 * MILLION);
        let text = format!(
            "{}.{:07}",
            ten_millionths / 10_000_000,
            ten_millionths % 10_000_000
        );
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    }

    /// The labels that pick its series.
    pub(super) fn selector(&self) -> String {
        format!("slo=\"{}\",objective=\"{}\"", self.slo.name, self.objective)
    }

    /// The objective in words: `99.9% available`.
    pub(super) fn words(&self) -> String {
        let share = MILLION - self.budget;
        let percent = format!("{}.{:04}", share / 10_000, share % 10_000);
        let percent = percent.trim_end_matches('0').trim_end_matches('.');
        match (self.objective, self.slo.latency) {
            ("latency", Some((millis, _))) => format!("{percent}% within {millis} ms"),
            _ => format!("{percent}% available"),
        }
    }
}
