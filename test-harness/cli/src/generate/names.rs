//! What the series of a source are called.

use launchgate_metrics::Settings;
use serde_json::{Value, json};

use super::Source;

/// Names of one source.
pub(super) struct Names {
    pub(super) source: Source,
    pub(super) requests: &'static str,
    pub(super) duration: &'static str,
    pub(super) upstream: &'static str,
    pub(super) stream: &'static str,
    pub(super) request_size: &'static str,
    pub(super) response_size: &'static str,
    pub(super) in_flight: &'static str,
    pub(super) dropped: &'static str,
    pub(super) slo_events: &'static str,
    pub(super) slo_errors: &'static str,
    /// Grafana's unit of a duration.
    pub(super) time_unit: &'static str,
}

impl Names {
    pub(super) fn new(source: Source) -> Self {
        match source {
            Source::Envoy => Self {
                source,
                requests: "launchgate_metrics_requests_total",
                duration: "launchgate_metrics_request_duration_milliseconds",
                upstream: "launchgate_metrics_upstream_duration_milliseconds",
                stream: "launchgate_metrics_stream_duration_milliseconds",
                request_size: "launchgate_metrics_request_size_bytes",
                response_size: "launchgate_metrics_response_size_bytes",
                in_flight: "launchgate_metrics_requests_in_flight",
                dropped: "launchgate_metrics_series_dropped_total",
                slo_events: "launchgate_metrics_slo_events_total",
                slo_errors: "launchgate_metrics_slo_errors_total",
                time_unit: "ms",
            },
            Source::Endpoint => Self {
                source,
                requests: "launchgate_http_requests_total",
                duration: "launchgate_http_request_duration_seconds",
                upstream: "launchgate_http_upstream_duration_seconds",
                stream: "launchgate_http_stream_duration_seconds",
                request_size: "launchgate_http_request_size_bytes",
                response_size: "launchgate_http_response_size_bytes",
                in_flight: "launchgate_http_requests_in_flight",
                dropped: "launchgate_http_series_dropped_total",
                slo_events: "launchgate_http_slo_events_total",
                slo_errors: "launchgate_http_slo_errors_total",
                time_unit: "s",
            },
        }
    }

    /// A scrape job for a gateway on this machine.
    pub(super) fn scrape(&self, settings: &Settings) -> Value {
        let (path, target) = match self.source {
            Source::Envoy => ("/stats/prometheus", "127.0.0.1:9901"),
            Source::Endpoint => (
                settings
                    .endpoint
                    .as_ref()
                    .map_or("/metrics", |(path, _)| path.as_str()),
                "127.0.0.1:10000",
            ),
        };
        json!({"scrape_configs": [{
            "job_name": "launchgate", "metrics_path": path, "scrape_interval": "15s", "static_configs": [{"targets": [target]}],
        }]})
    }
}
