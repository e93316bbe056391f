//! What the plugin counts.

use launchgate_sdk::{Counter, Family, Gauge, Histogram, Setup};

pub(crate) const REPLIES: Family = Family::counter(
    "launchgate_health_replies_total",
    &["endpoint", "status"],
    "Replies by endpoint and status code.",
);
pub(crate) const WOULD_REPLY: Family = Family::counter(
    "launchgate_health_would_reply_total",
    &["endpoint"],
    "Requests that would be answered, in mode report.",
);
pub(crate) const CHECKS: Family = Family::counter(
    "launchgate_health_checks_total",
    &["dependency", "result"],
    "Checks by dependency and result: success or failure.",
);
pub(crate) const LATENCY: Family = Family::histogram(
    "launchgate_health_check_duration_milliseconds",
    &["dependency"],
    "Duration of checks.",
);
pub(crate) const UP: Family = Family::gauge(
    "launchgate_health_dependency_up",
    &["dependency"],
    "1 while a dependency is connected, 0 while it is unavailable.",
);
pub(crate) const OBSERVED: Family = Family::counter(
    "launchgate_health_observed_total",
    &["dependency", "result"],
    "Requests that a passive check saw, by result.",
);
pub(crate) const DRAINING: Family = Family::gauge(
    "launchgate_health_draining",
    &[],
    "1 while readiness is withdrawn.",
);
pub(crate) const REFUSED: Family = Family::counter(
    "launchgate_health_drain_refused_total",
    &[],
    "Requests to the drain endpoint without its token or outside of its ranges.",
);

/// All of them.
pub(crate) const FAMILIES: &[Family] = &[
    REPLIES,
    WOULD_REPLY,
    CHECKS,
    LATENCY,
    UP,
    OBSERVED,
    DRAINING,
    REFUSED,
];

/// Series and state key of one dependency.
pub(crate) struct Series {
    pub(crate) key: String,
    pub(crate) success: Counter,
    pub(crate) failure: Counter,
    pub(crate) latency: Histogram,
    pub(crate) up: Gauge,
}

impl Series {
    /// Defines the series of the dependency of this name.
    pub(crate) fn define(name: &str, setup: &mut Setup<'_>) -> Self {
        let name_label = name.as_bytes();
        Self {
            key: format!("dependency/{name}"),
            success: setup.metrics.counter(&CHECKS, &[name_label, b"success"]),
            failure: setup.metrics.counter(&CHECKS, &[name_label, b"failure"]),
            latency: setup.metrics.histogram(&LATENCY, &[name_label]),
            up: setup.metrics.gauge(&UP, &[name_label]),
        }
    }
}
