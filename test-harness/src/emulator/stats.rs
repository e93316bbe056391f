//! Metrics as Envoy keeps them: one set of stats for all VMs, and ids a VM has for them.
//!
//! 1. Defining a name again gives a new id of the same stat. Ids carry the type in their low two bits: counters 4, 8, …,
//!    gauges 5, 9, …, histograms 6, 10, ….
//! 2. Counters: increment must be above zero; record *adds*. Gauges: increment may be negative and wraps. Histograms: record
//!    only; they cannot be read back.
//! 3. Counters and gauges of one name are two stats.
//! 4. The Prometheus name is the stat name with each `(k=\.=(.*?);\.;)` taken out as a label, and every other illegal
//!    character replaced by `_`.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::status::Status;
use crate::scenario::host::Stat;

/// A metric type of the ABI.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Takes samples.
    Histogram,
}

impl Kind {
    /// From the ABI's number.
    pub fn from_abi(number: u32) -> Option<Self> {
        [Kind::Counter, Kind::Gauge, Kind::Histogram]
            .get(number as usize)
            .copied()
    }

    fn of_id(id: u32) -> Option<Self> {
        Kind::from_abi(id & 3)
    }
}

/// The stats of the process.
#[derive(Debug, Clone, Default)]
pub struct Stats {
    values: BTreeMap<(String, Kind), Value>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Value {
    value: u64,
    samples: u64,
}

/// The metric ids of one VM.
#[derive(Debug, Clone, Default)]
pub struct MetricIds {
    names: BTreeMap<u32, String>,
    defined: [u32; 3],
}

impl MetricIds {
    /// Defines a metric; the stat appears at once with value 0.
    pub fn define(&mut self, stats: &mut Stats, kind: Kind, name: String) -> u32 {
        let slot = match kind {
            Kind::Counter => &mut self.defined[0],
            Kind::Gauge => &mut self.defined[1],
            Kind::Histogram => &mut self.defined[2],
        };
        *slot += 1;
        let id = *slot * 4 + kind as u32;
        stats.values.entry((name.clone(), kind)).or_default();
        self.names.insert(id, name);
        id
    }

    fn find<'a>(&self, stats: &'a mut Stats, id: u32) -> Result<(Kind, &'a mut Value), Status> {
        let kind = Kind::of_id(id).ok_or(Status::BadArgument)?;
        let name = self.names.get(&id).ok_or(Status::NotFound)?;
        let value = stats
            .values
            .get_mut(&(name.clone(), kind))
            .ok_or(Status::NotFound)?;
        Ok((kind, value))
    }

    /// `proxy_increment_metric`.
    pub fn increment(&self, stats: &mut Stats, id: u32, by: i64) -> Status {
        if Kind::of_id(id) == Some(Kind::Histogram) {
            return Status::BadArgument;
        }
        match self.find(stats, id) {
            Err(status) => status,
            Ok((Kind::Counter, value)) => match u64::try_from(by) {
                Ok(by) if by > 0 => {
                    value.value = value.value.wrapping_add(by);
                    Status::Ok
                }
                _ => Status::BadArgument,
            },
            Ok((_, value)) => {
                value.value = value.value.wrapping_add_signed(by);
                Status::Ok
            }
        }
    }

    /// `proxy_record_metric`.
    pub fn record(&self, stats: &mut Stats, id: u32, sample: u64) -> Status {
        if Kind::of_id(id).is_none() {
            return Status::NotFound;
        }
        match self.find(stats, id) {
            Err(status) => status,
            Ok((kind, value)) => {
                match kind {
                    Kind::Gauge => value.value = sample,
                    Kind::Counter | Kind::Histogram => {
                        value.value = value.value.wrapping_add(sample)
                    }
                }
                value.samples += 1;
                Status::Ok
            }
        }
    }

    /// `proxy_get_metric`.
    pub fn get(&self, stats: &mut Stats, id: u32) -> Result<u64, Status> {
        if Kind::of_id(id) == Some(Kind::Histogram) {
            return Err(Status::BadArgument);
        }
        self.find(stats, id).map(|(_, value)| value.value)
    }
}

impl Stats {
    /// All stats by name. A counter wins over a gauge of the same name.
    pub fn totals(&self) -> BTreeMap<String, Stat> {
        let mut totals = BTreeMap::new();
        // Of two kinds by one name the later is shown; one without a name is not listed.
        for ((name, kind), value) in self.values.iter().filter(|((name, _), _)| !name.is_empty()) {
            let stat = match kind {
                Kind::Counter => Stat::Counter(value.value),
                Kind::Gauge => Stat::Gauge(value.value),
                Kind::Histogram => Stat::Histogram {
                    count: value.samples,
                    sum: value.value,
                },
            };
            totals.insert(name.clone(), stat);
        }
        totals
    }

    /// The Prometheus text, with these label names extracted.
    pub fn prometheus(&self, labels: &[String]) -> String {
        let mut families: BTreeMap<(String, Kind), Vec<(String, Value)>> = BTreeMap::new();
        for ((name, kind), value) in &self.values {
            let (name, pairs) = extract(name, labels);
            families
                .entry((name, *kind))
                .or_default()
                .push((label_text(&pairs), *value));
        }
        let mut text = String::new();
        for ((name, kind), series) in families {
            let kind_name = match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            let _ = writeln!(text, "# TYPE {name} {kind_name}");
            for (labels, value) in series {
                let _ = match kind {
                    Kind::Histogram => writeln!(
                        text,
                        "{name}_sum{labels} {}\n{name}_count{labels} {}",
                        value.value, value.samples
                    ),
                    _ => writeln!(text, "{name}{labels} {}", value.value),
                };
            }
        }
        text
    }
}

fn label_text(pairs: &[(String, String)]) -> String {
    if pairs.is_empty() {
        return "{}".to_owned();
    }
    let inner: Vec<String> = pairs
        .iter()
        .map(|(k, v)| format!("{k}=\"{}\"", escape(v)))
        .collect();
    format!("{{{}}}", inner.join(","))
}

fn escape(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

/// Takes each label's `k=.=v;.;` out of the name, wherever it stands first.
fn extract(name: &str, labels: &[String]) -> (String, Vec<(String, String)>) {
    let mut rest = name.to_owned();
    let mut pairs = Vec::new();
    for label in labels {
        let open = format!("{label}=.=");
        let Some((before, after)) = rest.split_once(&open) else {
            continue;
        };
        let Some((value, tail)) = after.split_once(";.;") else {
            continue;
        };
        pairs.push((label.clone(), value.to_owned()));
        rest = format!("{before}{tail}");
    }
    (sanitize(&rest), pairs)
}

fn sanitize(name: &str) -> String {
    let legal = |c: char| {
        if c.is_ascii_alphanumeric() || c == '_' || c == ':' {
            c
        } else {
            '_'
        }
    };
    let text: String = name.chars().map(legal).collect();
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{text}")
    } else {
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_statuses_are_those_of_envoy() {
        let (mut ids, mut stats) = (MetricIds::default(), Stats::default());
        let counter = ids.define(&mut stats, Kind::Counter, "probe_counter".into());
        let again = ids.define(&mut stats, Kind::Counter, "probe_counter".into());
        let gauge = ids.define(&mut stats, Kind::Gauge, "g".into());
        let histogram = ids.define(&mut stats, Kind::Histogram, "h".into());
        assert_eq!((counter, again, gauge, histogram), (4, 8, 5, 6));
        assert_eq!(
            ids.define(&mut stats, Kind::Gauge, "probe_counter".into()),
            9
        );
        assert_eq!(ids.increment(&mut stats, counter, 0), Status::BadArgument);
        assert_eq!(ids.increment(&mut stats, counter, 1), Status::Ok);
        assert_eq!(ids.increment(&mut stats, counter, -1), Status::BadArgument);
        assert_eq!(ids.record(&mut stats, counter, 5), Status::Ok);
        assert_eq!(ids.get(&mut stats, again), Ok(6));
        assert_eq!(ids.increment(&mut stats, gauge, 3), Status::Ok);
        assert_eq!(ids.increment(&mut stats, gauge, -5), Status::Ok);
        assert_eq!(ids.get(&mut stats, gauge), Ok(18_446_744_073_709_551_614));
        assert_eq!(ids.increment(&mut stats, histogram, 1), Status::BadArgument);
        assert_eq!(ids.get(&mut stats, histogram), Err(Status::BadArgument));
        assert_eq!(ids.increment(&mut stats, 40_000, 1), Status::NotFound);
    }

    #[test]
    fn labels_leave_the_name_and_reach_the_text() {
        let (mut ids, mut stats) = (MetricIds::default(), Stats::default());
        let id = ids.define(
            &mut stats,
            Kind::Counter,
            "launchgate_x_totalmethod=.=GET;.;code=.=200;.;".into(),
        );
        ids.increment(&mut stats, id, 2);
        let text = stats.prometheus(&["method".into(), "code".into()]);
        assert_eq!(
            text,
            "# TYPE launchgate_x_total counter\nlaunchgate_x_total{method=\"GET\",code=\"200\"} 2\n"
        );
    }
}
