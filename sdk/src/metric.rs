//! Metrics with labels that cannot be forged.
//!
//! 1. A [`Family`] is a constant of the plugin: name, kind, labels, help. `dist/<plugin>.metrics.json` lists them.
//! 2. A series is a family with label values. Its Envoy stat name is the family's name followed by `k=.=v;.;` for each
//!    label (Istio's encoding), so that one tag regex of the form `(k=\.=(.*?);\.;)` a label serves Envoy and Istio.
//! 3. Label values are escaped: bytes outside `[A-Za-z0-9_./{}*:-]` become `%XX`, the result is cut at 128 bytes, and the
//!    dot after `cache`, `component`, `tag`, `wasm_filter` and `rbac` and before `istio_dry_run_` and `shadow_` is escaped,
//!    since Istio's own tag regexes bite there.
//! 4. The [`Registry`] numbers the series; the edge defines each at the host once, on first use (Envoy never frees one).

use crate::map::Map;

/// What kind of metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Distribution of integers.
    Histogram,
}

/// A metric family, a constant of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family {
    /// `launchgate_<plugin>_<what>_<unit or total>`.
    pub name: &'static str,
    /// Kind.
    pub kind: Kind,
    /// Label names, in the order of the values.
    pub labels: &'static [&'static str],
    /// One sentence: what is counted.
    pub help: &'static str,
}

impl Family {
    /// A counter family.
    pub const fn counter(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Counter,
            labels,
            help,
        }
    }

    /// A gauge family.
    pub const fn gauge(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Gauge,
            labels,
            help,
        }
    }

    /// A histogram family.
    pub const fn histogram(
        name: &'static str,
        labels: &'static [&'static str],
        help: &'static str,
    ) -> Self {
        Self {
            name,
            kind: Kind::Histogram,
            labels,
            help,
        }
    }
}

/// Panics of a module.
pub const PANICS: Family = Family::counter(
    "launchgate_panics_total",
    &[],
    "Panics of a module, counted before the trap.",
);
/// Refused header writes.
pub const REFUSED_HEADERS: Family = Family::counter(
    "launchgate_refused_headers_total",
    &[],
    "Header writes refused for CR, LF, NUL or a bad name.",
);
/// Version of a module.
pub const BUILD_INFO: Family = Family::gauge(
    "launchgate_build_info",
    &["plugin", "version"],
    "Constant 1 with name and version of the plugin.",
);
/// The families that the edge has in every module.
pub const SHARED: &[Family] = &[PANICS, REFUSED_HEADERS, BUILD_INFO];

/// A series of a counter family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counter(pub(crate) u32);

/// A series of a gauge family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Gauge(pub(crate) u32);

/// A series of a histogram family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Histogram(pub(crate) u32);

/// All series of a VM, by number.
#[derive(Debug, Default)]
pub struct Registry {
    series: Vec<(Kind, String)>,
    by_name: Map<String, u32>,
}

impl Registry {
    /// The counter of `family` with these label values. `family` must be a counter family; the number of values should
    /// be that of its labels (missing ones count as empty, surplus ones are left out).
    pub fn counter(&mut self, family: &Family, values: &[&[u8]]) -> Counter {
        Counter(self.number(Kind::Counter, stat_name(family.name, family.labels, values)))
    }

    /// The gauge of `family` with these label values.
    pub fn gauge(&mut self, family: &Family, values: &[&[u8]]) -> Gauge {
        Gauge(self.number(Kind::Gauge, stat_name(family.name, family.labels, values)))
    }

    /// The histogram of `family` with these label values.
    pub fn histogram(&mut self, family: &Family, values: &[&[u8]]) -> Histogram {
        Histogram(self.number(
            Kind::Histogram,
            stat_name(family.name, family.labels, values),
        ))
    }

    /// A series by its whole stat name, for label sets that the configuration decides (see [`stat_name`]).
    pub fn counter_named(&mut self, stat: String) -> Counter {
        Counter(self.number(Kind::Counter, stat))
    }

    /// As [`Registry::counter_named`], for a gauge.
    pub fn gauge_named(&mut self, stat: String) -> Gauge {
        Gauge(self.number(Kind::Gauge, stat))
    }

    /// As [`Registry::counter_named`], for a histogram.
    pub fn histogram_named(&mut self, stat: String) -> Histogram {
        Histogram(self.number(Kind::Histogram, stat))
    }

    /// Kind and stat name of a series.
    pub fn series(&self, number: u32) -> Option<(Kind, &str)> {
        self.series
            .get(number as usize)
            .map(|(kind, name)| (*kind, name.as_str()))
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.series.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.series.is_empty()
    }

    fn number(&mut self, kind: Kind, stat: String) -> u32 {
        if let Some(number) = self.by_name.get(&stat) {
            return *number;
        }
        let number = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        self.series.push((kind, stat.clone()));
        self.by_name.insert(stat, number);
        number
    }
}

/// The Envoy stat name of a series.
pub fn stat_name<L: AsRef<str>>(name: &str, labels: &[L], values: &[&[u8]]) -> String {
    let mut stat = String::with_capacity(name.len() + labels.len() * 24);
    stat.push_str(name);
    for (position, label) in labels.iter().enumerate() {
        stat.push_str(label.as_ref());
        stat.push_str("=.=");
        stat.push_str(&escape_label(
            values.get(position).copied().unwrap_or_default(),
        ));
        stat.push_str(";.;");
    }
    stat
}

const LABEL_LIMIT: usize = 128;
/// Istio's tag regexes bite the dot after these words, and the dot before the others.
const BITTEN_AFTER: [&str; 5] = ["cache", "component", "tag", "wasm_filter", "rbac"];
const BITTEN_BEFORE: [&[u8]; 2] = [b"istio_dry_run_", b"shadow_"];

/// A label value that cannot add a label, break the stat name or the exposition, whatever bytes come in.
pub fn escape_label(value: &[u8]) -> String {
    let mut text = String::with_capacity(value.len().min(LABEL_LIMIT));
    for (position, byte) in value.iter().enumerate() {
        let plain = byte.is_ascii_alphanumeric() || b"_./{}*:-".contains(byte);
        let after = value.get(position + 1..).unwrap_or_default();
        let bitten = *byte == b'.'
            && (BITTEN_AFTER.iter().any(|word| text.ends_with(word))
                || BITTEN_BEFORE.iter().any(|word| after.starts_with(word)));
        if text.len() + if plain && !bitten { 1 } else { 3 } > LABEL_LIMIT {
            break;
        }
        if plain && !bitten {
            text.push(char::from(*byte));
        } else {
            push_percent(&mut text, *byte);
        }
    }
    text
}

fn push_percent(text: &mut String, byte: u8) {
    text.push('%');
    for digit in [byte >> 4, byte & 15] {
        text.push(
            char::from_digit(u32::from(digit), 16)
                .unwrap_or('0')
                .to_ascii_uppercase(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn no_value_adds_a_label_or_breaks_the_name() {
        for (value, expected) in [
            (&b"GET"[..], "GET"),
            (b"/users/{id}", "/users/{id}"),
            (
                b"evil;.;reporter=.=admin;.;",
                "evil%3B.%3Breporter%3D.%3Dadmin%3B.%3B",
            ),
            (b"\xff\xfe", "%FF%FE"),
            (b"a b\"\n", "a%20b%22%0A"),
            (
                b"component.x tag.y wasm_filter.z",
                "component%2Ex%20tag%2Ey%20wasm_filter%2Ez",
            ),
            (
                b"rbac.allowed a.istio_dry_run_allow_b.shadow_denied",
                "rbac%2Eallowed%20a%2Eistio_dry_run_allow_b%2Eshadow_denied",
            ),
            (b"", ""),
        ] {
            assert_eq!(escape_label(value), expected);
        }
        assert_eq!(escape_label(&[b'a'; 500]).len(), 128);
        assert_eq!(escape_label(&[0xff; 500]).len(), 126);
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_series_is_numbered_once() {
        const REQUESTS: Family =
            Family::counter("launchgate_x_total", &["method", "code"], "Requests.");
        let mut registry = Registry::default();
        let first = registry.counter(&REQUESTS, &[b"GET", b"200"]);
        assert_eq!(registry.counter(&REQUESTS, &[b"GET", b"200"]), first);
        assert_ne!(registry.counter(&REQUESTS, &[b"GET", b"404"]), first);
        assert_eq!(
            registry.series(0),
            Some((
                Kind::Counter,
                "launchgate_x_totalmethod=.=GET;.;code=.=200;.;"
            ))
        );
    }
}
