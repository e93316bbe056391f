//! Configuration of `metrics`, as it is spelled in JSON.

use launchgate_sdk::config::Decode;
use launchgate_sdk::map::Map;
use launchgate_sdk::path::PathRule;
use launchgate_sdk::route::RouteTemplate;
use launchgate_sdk::{Cidr, Percent, Period, Secret};

/// The configuration.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Labels of every series, each at most once. Default: `method`, `route`, `status_class`.
    pub labels: Vec<Label>,
    /// Route templates such as `/users/{id}`: `{name}` is one segment, a last `*` the rest. A request that matches none
    /// gets Envoy's route name, or `_OTHER`; never its raw path. At most 10000. Default: none.
    pub routes: Vec<RouteTemplate>,
    /// Labels whose value a request header gives. At most 8. Default: none.
    pub custom_labels: Vec<CustomLabel>,
    /// Upper bounds of the duration histograms, ascending, whole milliseconds. At most 30.
    /// Default: 5ms, 10ms, 25ms, 50ms, 100ms, 250ms, 500ms, 1s, 2.5s, 5s, 10s.
    pub buckets: Vec<Period>,
    /// Upper bounds of the histogram of streams, ascending, whole milliseconds. At most 30.
    /// Default: 1s, 10s, 30s, 1m, 5m, 15m, 1h, 6h, 1d.
    pub stream_buckets: Vec<Period>,
    /// Upper bounds of the size histograms in bytes, ascending. At most 30. Default: 100, 1000, 10000, 100000, 1000000, 10000000.
    pub size_buckets: Vec<u64>,
    /// Which histograms are kept; the durations of requests and streams always are. Each one costs a host call or two a
    /// request. Default: `upstream_duration`, `request_size`, `response_size`.
    pub histograms: Vec<Extra>,
    /// Paths that are not counted: exact, or a prefix where they end in `/`. The own endpoint never is.
    /// Default: `/livez`, `/healthz`, `/readyz`, `/startupz`, `/metrics`.
    pub exclude: Vec<PathRule>,
    /// How many label sets a proxy may have, from 1 to 10000; what comes later is counted in one series whose labels are
    /// all `_OVERFLOW`. Default: 2000.
    pub max_series: u32,
    /// Whether the numbers go to Envoy's stats. `false`: they do not, and only `endpoint` and `otlp` give them. Default: true.
    pub envoy_stats: bool,
    /// The plugin's own exposition. Default: none, the path belongs to the application.
    pub endpoint: Option<Endpoint>,
    /// Push of the same numbers over OTLP/HTTP with JSON. Default: none.
    pub otlp: Option<Otlp>,
    /// Service level objectives. Default: none.
    pub slo: Vec<Slo>,
}

/// A label of the fixed vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Method, `_OTHER` for one that is not known.
    Method,
    /// Route template, Envoy's route name or `_OTHER`.
    Route,
    /// Status as sent; `499` for a client that left, `0` where nothing was sent.
    Status,
    /// `1xx` to `5xx`; `4xx` for a client that left; `other` for anything else.
    StatusClass,
    /// Who answered: `upstream`, `gateway`, or `client_abort`.
    Source,
    /// Envoy's response flags joined by `.`, `-` where there are none.
    Flags,
    /// gRPC status code as a number, empty for what is not gRPC, `_OTHER` for an unknown one.
    GrpcCode,
    /// Attempts to reach the upstream, `10` for ten and more.
    Attempts,
}

impl Label {
    /// The name in a series.
    pub fn name(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Route => "route",
            Self::Status => "status",
            Self::StatusClass => "status_class",
            Self::Source => "source",
            Self::Flags => "flags",
            Self::GrpcCode => "grpc_code",
            Self::Attempts => "attempts",
        }
    }
}

/// A histogram besides the durations of requests and streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Extra {
    /// From the first byte sent upstream to the last received.
    UpstreamDuration,
    /// Bytes of request bodies.
    RequestSize,
    /// Bytes of response bodies.
    ResponseSize,
}

/// A label whose value a request header gives.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CustomLabel {
    /// Name of the label: letters, digits and `_`; no suffix of another label's name, nor the other way round. Required.
    pub name: String,
    /// Request header; absent gives an empty value, several fields give `_OTHER`. Required.
    pub header: String,
    /// The values that are let through; any other becomes `_OTHER`. Empty: see `max_values`.
    pub allow: Vec<String>,
    /// Without `allow`: how many different values a proxy lets through, from 1 to 1000; later ones become `_OTHER`. Default: 100.
    pub max_values: Option<u32>,
}

/// The plugin's own exposition.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Endpoint {
    /// Exact path. Default: `/metrics`.
    pub path: Option<PathRule>,
    /// Address ranges that may read it; anyone else gets 404. Default: none.
    pub allow: Vec<Cidr>,
}

/// OTLP/HTTP push of the metrics.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Otlp {
    /// Cluster of the host's configuration that the push goes to. Required.
    pub cluster: String,
    /// Host name sent. Default: that of `url`, else the name of the cluster.
    pub authority: String,
    /// Path. Default: that of `url`, else `/v1/metrics`.
    pub path: Secret,
    /// Further headers, such as `authorization`.
    pub headers: Map<String, Secret>,
    /// Time until the whole answer must be there, from 1ms to 60s. Default: 2s.
    pub timeout: Option<Period>,
    /// An `http` or `https` address that fills `authority` and `path`.
    pub url: Secret,
    /// Time between two pushes, from 1s to 1h. Default: 30s.
    pub interval: Option<Period>,
    /// `service.name` of the resource. Default: `launchgate`.
    pub service: Option<String>,
}

/// An objective, kept for each of its routes.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Slo {
    /// Name: letters, digits, `_` and `-`. Required, once each.
    pub name: String,
    /// Routes as the label `route` shows them. `*` stands for every route that no other objective names. Required.
    pub routes: Vec<String>,
    /// Share of requests that must not fail (5xx, or a gRPC code that is the server's fault). Above 0, below 100. Required.
    pub availability_percent: Option<Percent>,
    /// Share of requests that must be fast. Default: none.
    pub latency: Option<Latency>,
    /// Requests in an alert's long window below which it stays silent. Default: 100.
    pub minimum_requests: Option<u32>,
}

/// How fast how many requests must be.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Latency {
    /// A request that takes longer is slow. Must be one of `buckets`. Required.
    pub threshold: Option<Period>,
    /// Share of requests that must not be slow. Above 0, below 100. Required.
    pub percent: Option<Percent>,
}

impl Default for Config {
    fn default() -> Self {
        let paths = ["/livez", "/healthz", "/readyz", "/startupz", "/metrics"];
        Self {
            labels: vec![Label::Method, Label::Route, Label::StatusClass],
            routes: Vec::new(),
            custom_labels: Vec::new(),
            buckets: [5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000]
                .map(Period::millis)
                .to_vec(),
            stream_buckets: [1, 10, 30, 60, 300, 900, 3600, 21_600, 86_400]
                .map(Period::seconds)
                .to_vec(),
            size_buckets: vec![100, 1000, 10_000, 100_000, 1_000_000, 10_000_000],
            histograms: vec![
                Extra::UpstreamDuration,
                Extra::RequestSize,
                Extra::ResponseSize,
            ],
            exclude: paths.into_iter().filter_map(PathRule::parse).collect(),
            max_series: 2000,
            envoy_stats: true,
            endpoint: None,
            otlp: None,
            slo: Vec::new(),
        }
    }
}
