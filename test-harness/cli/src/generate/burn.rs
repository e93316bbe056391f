//! Burn rates: how many times faster than allowed an error budget is spent.
//!
//! Windows and factors are those of the Site Reliability Workbook, chapter 5, "Multiwindow, multi-burn-rate alerts": the
//! long window says that it matters, the short one that it still goes on.

use launchgate_metrics::Objective;

/// A pair of windows.
pub(super) struct Window {
    pub(super) long: &'static str,
    pub(super) short: &'static str,
    /// Burn rate in tenths.
    tenths: u64,
}

/// Somebody must look now.
pub(super) const FAST: [Window; 2] = [
    Window {
        long: "1h",
        short: "5m",
        tenths: 144,
    },
    Window {
        long: "6h",
        short: "30m",
        tenths: 60,
    },
];
/// Somebody must look soon.
pub(super) const SLOW: [Window; 2] = [
    Window {
        long: "1d",
        short: "2h",
        tenths: 30,
    },
    Window {
        long: "3d",
        short: "6h",
        tenths: 10,
    },
];
/// All windows that ratios are recorded for.
pub(super) const RATIOS: [&str; 7] = ["5m", "30m", "1h", "2h", "6h", "1d", "3d"];
/// The long windows, that traffic is recorded for.
pub(super) const TRAFFIC: [&str; 4] = ["1h", "6h", "1d", "3d"];

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
