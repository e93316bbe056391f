//! The same numbers as OTLP/HTTP with JSON (opentelemetry-proto, `metrics/v1`; JSON mapping of OTLP 1.0).
//!
//! 1. Temporality is cumulative (2) since the first worker began, so a push that fails loses nothing: the next one says it
//!    all again.
//! 2. Integers of 64 bits are strings, enums integers, times nanoseconds.
//! 3. Names are such that the usual translation to Prometheus gives those of the own exposition.
//! 4. A bucket that met a sampled trace has it as an exemplar; its value is in seconds.
//! 5. One push holds at most 200 label sets, so that no body grows without bound.

use launchgate_sdk::hash::hex;
use launchgate_sdk::json::{self, List, Object};

use crate::cell::{Cell, Distribution, Exemplar, Kind};
use crate::exposition::decimal;
use crate::ledger::Sum;
use crate::part::Events;
use crate::series;
use crate::settings::Settings;

const CUMULATIVE: u64 = 2;
const CHUNK: usize = 200;

/// When the numbers began and when they were read, milliseconds since the epoch.
#[derive(Clone, Copy)]
struct Span {
    since: u64,
    now: u64,
}

/// The bodies of one push.
pub(crate) fn bodies(sum: &Sum, settings: &Settings, service: &str, now: u64) -> Vec<Vec<u8>> {
    let span = Span {
        since: sum.since,
        now,
    };
    let names = settings.label_names();
    let cells: Vec<(&[u8], &Cell)> = sum
        .part
        .cells
        .iter()
        .filter(|(_, cell)| cell.requests > 0)
        .map(|(values, cell)| (values.as_ref(), cell))
        .collect();
    let mut bodies: Vec<Vec<u8>> = cells
        .chunks(CHUNK)
        .map(|chunk| {
            body(service, |metrics| {
                requests(metrics, chunk, settings, &names, span)
            })
        })
        .collect();
    bodies.push(body(service, |metrics| {
        gauge(metrics, sum.in_flight, span);
        counter(
            metrics,
            "launchgate.http.series.dropped",
            span,
            &[],
            std::iter::once((&b""[..], sum.part.dropped)),
        );
        let objective = ["slo", "objective", "route"];
        let events = |pick: fn(&Events) -> u64| {
            sum.part
                .events
                .iter()
                .map(move |(name, events)| (name.as_ref(), pick(events)))
        };
        counter(
            metrics,
            "launchgate.http.slo.events",
            span,
            &objective,
            events(|events| events.all),
        );
        counter(
            metrics,
            "launchgate.http.slo.errors",
            span,
            &objective,
            events(|events| events.bad),
        );
    }));
    bodies
}

fn body(service: &str, fill: impl FnOnce(&mut List<'_>)) -> Vec<u8> {
    let request = json::object(|o| {
        o.list("resourceMetrics", |l| {
            l.object(|o| {
                o.object("resource", |o| {
                    o.list("attributes", |l| attribute(l, "service.name", service))
                });
                o.list("scopeMetrics", |l| {
                    l.object(|o| {
                        o.object("scope", |o| {
                            o.text("name", "launchgate.metrics");
                            o.text("version", env!("CARGO_PKG_VERSION"));
                        });
                        o.list("metrics", fill);
                    });
                });
            });
        });
    });
    request.into_bytes()
}

fn requests(
    metrics: &mut List<'_>,
    cells: &[(&[u8], &Cell)],
    settings: &Settings,
    names: &[&str],
    span: Span,
) {
    counter(
        metrics,
        "launchgate.http.requests",
        span,
        names,
        cells.iter().map(|(values, cell)| (*values, cell.requests)),
    );
    for kind in Kind::ALL {
        let seen: Vec<_> = cells
            .iter()
            .map(|(values, cell)| (*values, cell.of(kind)))
            .filter(|(_, seen)| seen.count() > 0)
            .collect();
        if seen.is_empty() {
            continue;
        }
        metrics.object(|o| {
            let (name, unit) = name_and_unit(kind);
            o.text("name", name);
            o.text("unit", unit);
            o.object("histogram", |o| {
                o.integer("aggregationTemporality", CUMULATIVE);
                o.list("dataPoints", |l| {
                    for (values, distribution) in seen {
                        l.object(|o| {
                            histogram_point(o, kind, settings, names, values, distribution, span)
                        });
                    }
                });
            });
        });
    }
}

fn name_and_unit(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Duration => ("launchgate.http.request.duration", "s"),
        Kind::Upstream => ("launchgate.http.upstream.duration", "s"),
        Kind::Stream => ("launchgate.http.stream.duration", "s"),
        Kind::RequestSize => ("launchgate.http.request.size", "By"),
        Kind::ResponseSize => ("launchgate.http.response.size", "By"),
    }
}

fn histogram_point(
    o: &mut Object<'_>,
    kind: Kind,
    settings: &Settings,
    names: &[&str],
    values: &[u8],
    seen: &Distribution,
    span: Span,
) {
    point(o, names, values, span);
    o.text("count", seen.count().to_string());
    o.raw(
        "sum",
        &if series::is_time(kind) {
            decimal(seen.sum, 9)
        } else {
            seen.sum.to_string()
        },
    );
    o.list("bucketCounts", |l| {
        seen.buckets
            .iter()
            .for_each(|count| l.text(count.to_string()))
    });
    let bounds = series::bounds(settings, kind);
    o.list("explicitBounds", |l| {
        bounds.iter().for_each(|bound| {
            l.raw(&if series::is_time(kind) {
                decimal((*bound).into(), 3)
            } else {
                bound.to_string()
            })
        })
    });
    if !seen.exemplars.is_empty() {
        o.list("exemplars", |l| {
            seen.exemplars
                .values()
                .for_each(|seen| l.object(|o| exemplar(o, seen)))
        });
    }
}

fn exemplar(o: &mut Object<'_>, exemplar: &Exemplar) {
    o.text("timeUnixNano", format!("{}000000", exemplar.at));
    o.raw("asDouble", &decimal(exemplar.value.into(), 9));
    o.text("traceId", hex(&exemplar.trace));
}

fn counter<'a>(
    metrics: &mut List<'_>,
    name: &str,
    span: Span,
    names: &[&str],
    points: impl Iterator<Item = (&'a [u8], u64)>,
) {
    metrics.object(|o| {
        o.text("name", name);
        o.object("sum", |o| {
            o.integer("aggregationTemporality", CUMULATIVE);
            o.flag("isMonotonic", true);
            o.list("dataPoints", |l| {
                for (values, value) in points {
                    l.object(|o| {
                        point(o, names, values, span);
                        o.text("asInt", value.to_string());
                    });
                }
            });
        });
    });
}

fn gauge(metrics: &mut List<'_>, value: u64, span: Span) {
    metrics.object(|o| {
        o.text("name", "launchgate.http.requests.in_flight");
        o.object("gauge", |o| {
            o.list("dataPoints", |l| {
                l.object(|o| {
                    point(o, &[], b"", span);
                    o.text("asInt", value.to_string());
                });
            });
        });
    });
}

fn point(o: &mut Object<'_>, names: &[&str], values: &[u8], span: Span) {
    o.list("attributes", |l| {
        for (name, value) in names.iter().zip(values.split(|byte| *byte == 0)) {
            attribute(l, name, std::str::from_utf8(value).unwrap_or_default());
        }
    });
    o.text("startTimeUnixNano", format!("{}000000", span.since));
    o.text("timeUnixNano", format!("{}000000", span.now));
}

fn attribute(list: &mut List<'_>, key: &str, value: &str) {
    list.object(|o| {
        o.text("key", key);
        o.object("value", |o| o.text("stringValue", value));
    });
}
