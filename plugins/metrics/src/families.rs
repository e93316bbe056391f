//! The names of all families, in Envoy's stats and in the own exposition, in one place.

use launchgate_sdk::Family;

use crate::cell::Kind;

/// The value of every label of the overflow series.
pub const OVERFLOW: &str = "_OVERFLOW";

const LABELS: &[&str] = &[
    "method",
    "route",
    "status",
    "status_class",
    "source",
    "flags",
    "grpc_code",
    "attempts",
];

/// Requests; of the labels those that are configured, and custom ones.
pub const REQUESTS: Family = Family::counter(
    "launchgate_metrics_requests_total",
    LABELS,
    "Requests, with the labels that are configured.",
);
/// Durations of requests.
pub const DURATION: Family = Family::histogram(
    "launchgate_metrics_request_duration_milliseconds",
    LABELS,
    "Time from the request headers to the end of the exchange, streams aside.",
);
/// Durations at the upstream.
pub const UPSTREAM: Family = Family::histogram(
    "launchgate_metrics_upstream_duration_milliseconds",
    LABELS,
    "Time from the first byte sent upstream to the last received.",
);
/// Durations of streams.
pub const STREAM: Family = Family::histogram(
    "launchgate_metrics_stream_duration_milliseconds",
    LABELS,
    "Life of upgrades, CONNECT tunnels and event streams.",
);
/// Sizes of requests.
pub const REQUEST_SIZE: Family = Family::histogram(
    "launchgate_metrics_request_size_bytes",
    LABELS,
    "Bytes of request bodies.",
);
/// Sizes of responses.
pub const RESPONSE_SIZE: Family = Family::histogram(
    "launchgate_metrics_response_size_bytes",
    LABELS,
    "Bytes of response bodies.",
);
/// Requests in flight.
pub const IN_FLIGHT: Family = Family::gauge(
    "launchgate_metrics_requests_in_flight",
    &[],
    "Requests that reached the filter and have not ended.",
);
/// Requests in the overflow series.
pub const DROPPED: Family = Family::counter(
    "launchgate_metrics_series_dropped_total",
    &[],
    "Requests counted in the overflow series, because the cap on series was reached.",
);
/// Requests not counted.
pub const EXCLUDED: Family = Family::counter(
    "launchgate_metrics_excluded_total",
    &[],
    "Requests to excluded paths and to the own endpoint, which are counted nowhere else.",
);
/// Events of objectives.
pub const SLO_EVENTS: Family = Family::counter(
    "launchgate_metrics_slo_events_total",
    &["slo", "objective", "route"],
    "Requests that an objective judges.",
);
/// Bad events of objectives.
pub const SLO_ERRORS: Family = Family::counter(
    "launchgate_metrics_slo_errors_total",
    &["slo", "objective", "route"],
    "Requests that failed an objective.",
);
/// Requests to the own endpoint.
pub const SCRAPES: Family = Family::counter(
    "launchgate_metrics_scrapes_total",
    &["outcome"],
    "Requests to the own endpoint: answered, denied or wrong_method.",
);
/// Requests to the own endpoint in mode report.
pub const WOULD_ANSWER: Family = Family::counter(
    "launchgate_metrics_would_answer_total",
    &[],
    "Requests to the own endpoint that would be answered, in mode report.",
);
/// Writes that shared state refused.
pub const STATE_ERRORS: Family = Family::counter(
    "launchgate_metrics_state_errors_total",
    &[],
    "Writes that shared state did not take; the numbers wait for the next tick.",
);
/// Workers folded.
pub const FOLDED: Family = Family::counter(
    "launchgate_metrics_workers_folded_total",
    &[],
    "Workers that gave no sign of life for ten seconds and whose part was folded into the total.",
);
/// Pushes.
pub const PUSHES: Family = Family::counter(
    "launchgate_metrics_otlp_pushes_total",
    &["outcome"],
    "OTLP pushes: ok, refused, partial, or why there was no answer.",
);

/// All of them.
pub const ALL: &[Family] = &[
    REQUESTS,
    DURATION,
    UPSTREAM,
    STREAM,
    REQUEST_SIZE,
    RESPONSE_SIZE,
    IN_FLIGHT,
    DROPPED,
    EXCLUDED,
    SLO_EVENTS,
    SLO_ERRORS,
    SCRAPES,
    WOULD_ANSWER,
    STATE_ERRORS,
    FOLDED,
    PUSHES,
];

/// Envoy's family of a distribution.
pub(crate) fn of(kind: Kind) -> &'static Family {
    match kind {
        Kind::Duration => &DURATION,
        Kind::Upstream => &UPSTREAM,
        Kind::Stream => &STREAM,
        Kind::RequestSize => &REQUEST_SIZE,
        Kind::ResponseSize => &RESPONSE_SIZE,
    }
}

/// A family of the own exposition: base name (without `_total`), unit or nothing, help.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Own {
    pub(crate) name: &'static str,
    pub(crate) unit: &'static str,
    pub(crate) help: &'static str,
}

pub(crate) const OWN_REQUESTS: Own = Own {
    name: "launchgate_http_requests",
    unit: "",
    help: "Requests.",
};
pub(crate) const OWN_IN_FLIGHT: Own = Own {
    name: "launchgate_http_requests_in_flight",
    unit: "",
    help: "Requests that reached the gateway and have not ended.",
};
pub(crate) const OWN_DROPPED: Own = Own {
    name: "launchgate_http_series_dropped",
    unit: "",
    help: "Requests counted in the overflow series, because the cap on series was reached.",
};
pub(crate) const OWN_SLO_EVENTS: Own = Own {
    name: "launchgate_http_slo_events",
    unit: "",
    help: "Requests that an objective judges.",
};
pub(crate) const OWN_SLO_ERRORS: Own = Own {
    name: "launchgate_http_slo_errors",
    unit: "",
    help: "Requests that failed an objective.",
};

/// The own family of a distribution.
pub(crate) fn own_of(kind: Kind) -> Own {
    match kind {
        Kind::Duration => Own {
            name: "launchgate_http_request_duration_seconds",
            unit: "seconds",
            help: "Time from the request headers to the end of the exchange, streams aside.",
        },
        Kind::Upstream => Own {
            name: "launchgate_http_upstream_duration_seconds",
            unit: "seconds",
            help: "Time from the first byte sent upstream to the last received.",
        },
        Kind::Stream => Own {
            name: "launchgate_http_stream_duration_seconds",
            unit: "seconds",
            help: "Life of upgrades, CONNECT tunnels and event streams.",
        },
        Kind::RequestSize => Own {
            name: "launchgate_http_request_size_bytes",
            unit: "bytes",
            help: "Bytes of request bodies.",
        },
        Kind::ResponseSize => Own {
            name: "launchgate_http_response_size_bytes",
            unit: "bytes",
            help: "Bytes of response bodies.",
        },
    }
}
