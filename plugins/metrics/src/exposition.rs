//! The own exposition: OpenMetrics 1.0 and Prometheus text 0.0.4 from the same numbers.
//!
//! 1. A family stands in one piece: HELP, TYPE, in OpenMetrics UNIT, then its samples. A family without samples is left out.
//! 2. Buckets are cumulative and end with `+Inf`, which equals `_count`. Sums are exact decimals in seconds or bytes.
//! 3. A counter's family is named without `_total` in OpenMetrics and with it in text.
//! 4. Exemplars (OpenMetrics only) show a sampled trace in the bucket that its value belongs to.
//! 5. Bounds are written as canonical floats (`0.25`, `1.0`) in both, so that a series does not change with the format.

use launchgate_sdk::hash::hex;

use crate::accept::Format;
use crate::cell::{Cell, Distribution, Exemplar, Kind};
use crate::families::{self, Own};
use crate::ledger::Sum;
use crate::series;
use crate::settings::Settings;

/// Renders everything.
pub(crate) fn render(sum: &Sum, settings: &Settings, format: Format) -> Vec<u8> {
    let mut page = Page {
        text: String::with_capacity(1024 + sum.part.cells.len() * 2048),
        format,
    };
    let names = settings.label_names();
    let labelled: Vec<(String, &Cell)> = sum
        .part
        .cells
        .iter()
        .filter(|(_, cell)| cell.requests > 0)
        .map(|(values, cell)| (labels(&names, values), cell))
        .collect();
    page.counters(
        families::OWN_REQUESTS,
        labelled
            .iter()
            .map(|(labels, cell)| (labels.as_str(), cell.requests)),
    );
    page.head(families::OWN_IN_FLIGHT, "gauge");
    page.sample(families::OWN_IN_FLIGHT.name, "", "", sum.in_flight);
    for kind in Kind::ALL {
        page.distributions(kind, settings, &labelled);
    }
    let objectives: Vec<(String, _)> = sum
        .part
        .events
        .iter()
        .map(|(name, events)| (labels(&["slo", "objective", "route"], name), events))
        .collect();
    page.counters(
        families::OWN_SLO_EVENTS,
        objectives
            .iter()
            .map(|(labels, events)| (labels.as_str(), events.all)),
    );
    page.counters(
        families::OWN_SLO_ERRORS,
        objectives
            .iter()
            .map(|(labels, events)| (labels.as_str(), events.bad)),
    );
    page.counters(
        families::OWN_DROPPED,
        std::iter::once(("", sum.part.dropped)),
    );
    if format == Format::OpenMetrics {
        page.text.push_str("# EOF\n");
    }
    page.text.into_bytes()
}

/// `method="GET",route="/"` from values joined by NUL. The values were escaped when they became labels.
fn labels(names: &[&str], values: &[u8]) -> String {
    let mut text = String::with_capacity(values.len() + names.len() * 12);
    for (name, value) in names.iter().zip(values.split(|byte| *byte == 0)) {
        if !text.is_empty() {
            text.push(',');
        }
        text.push_str(name);
        text.push_str("=\"");
        text.push_str(std::str::from_utf8(value).unwrap_or_default());
        text.push('"');
    }
    text
}

struct Page {
    text: String,
    format: Format,
}

impl Page {
    fn head(&mut self, family: Own, kind: &str) {
        let suffix = if kind == "counter" && self.format == Format::Text {
            "_total"
        } else {
            ""
        };
        self.line(&["# HELP ", family.name, suffix, " ", family.help]);
        self.line(&["# TYPE ", family.name, suffix, " ", kind]);
        if self.format == Format::OpenMetrics && !family.unit.is_empty() {
            self.line(&["# UNIT ", family.name, " ", family.unit]);
        }
    }

    fn counters<'a>(&mut self, family: Own, samples: impl Iterator<Item = (&'a str, u64)>) {
        for (position, (labels, value)) in samples.enumerate() {
            if position == 0 {
                self.head(family, "counter");
            }
            self.sample(family.name, "_total", labels, value);
        }
    }

    fn distributions(&mut self, kind: Kind, settings: &Settings, labelled: &[(String, &Cell)]) {
        let family = families::own_of(kind);
        let seen = labelled
            .iter()
            .map(|(labels, cell)| (labels, cell.of(kind)))
            .filter(|(_, distribution)| distribution.count() > 0);
        let bounds: Vec<String> = series::bounds(settings, kind)
            .iter()
            .map(|bound| bound_text(kind, *bound))
            .chain(["+Inf".to_owned()])
            .collect();
        for (position, (labels, distribution)) in seen.enumerate() {
            if position == 0 {
                self.head(family, "histogram");
            }
            self.distribution(family, kind, labels, &bounds, distribution);
        }
    }

    fn distribution(
        &mut self,
        family: Own,
        kind: Kind,
        labels: &str,
        bounds: &[String],
        distribution: &Distribution,
    ) {
        let mut total: u64 = 0;
        for (position, bound) in bounds.iter().enumerate() {
            total += distribution.buckets.get(position).copied().unwrap_or(0);
            let comma = if labels.is_empty() { "" } else { "," };
            self.line_open(&[
                family.name,
                "_bucket{",
                labels,
                comma,
                "le=\"",
                bound,
                "\"} ",
                &total.to_string(),
            ]);
            let exemplar = u8::try_from(position)
                .ok()
                .and_then(|bucket| distribution.exemplars.get(&bucket));
            if let (Format::OpenMetrics, Some(exemplar)) = (self.format, exemplar) {
                self.exemplar(exemplar);
            }
            self.text.push('\n');
        }
        let sum = if series::is_time(kind) {
            decimal(distribution.sum, 9)
        } else {
            distribution.sum.to_string()
        };
        let (open, close) = if labels.is_empty() {
            ("", "")
        } else {
            ("{", "}")
        };
        self.line(&[family.name, "_sum", open, labels, close, " ", &sum]);
        self.sample(family.name, "_count", labels, total);
    }

    fn exemplar(&mut self, exemplar: &Exemplar) {
        let (value, at) = (
            decimal(exemplar.value.into(), 9),
            decimal(exemplar.at.into(), 3),
        );
        let trace = hex(&exemplar.trace);
        self.line_open(&[" # {trace_id=\"", &trace, "\"} ", &value, " ", &at]);
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str, value: u64) {
        let (open, close) = if labels.is_empty() {
            ("", "")
        } else {
            ("{", "}")
        };
        self.line(&[name, suffix, open, labels, close, " ", &value.to_string()]);
    }

    fn line(&mut self, parts: &[&str]) {
        self.line_open(parts);
        self.text.push('\n');
    }

    fn line_open(&mut self, parts: &[&str]) {
        parts.iter().for_each(|part| self.text.push_str(part));
    }
}

/// A bound as a label value: seconds or bytes, as a canonical float.
pub(crate) fn bound_text(kind: Kind, bound: u64) -> String {
    if series::is_time(kind) {
        decimal(bound.into(), 3)
    } else {
        format!("{bound}.0")
    }
}

/// A number of the `places`-th decimal part of one as a decimal: `decimal(1500, 3)` is `1.5`, `decimal(1000, 3)` is `1.0`.
pub(crate) fn decimal(number: u128, places: usize) -> String {
    let scale = 10_u128.pow(places as u32);
    let text = format!("{}.{:0places$}", number / scale, number % scale);
    let short = text.trim_end_matches('0');
    if short.ends_with('.') {
        format!("{short}0")
    } else {
        short.to_owned()
    }
}
