//! Configuration of `health`, as it is spelled in JSON.

use launchgate_sdk::config::Decode;
use launchgate_sdk::{Cidr, Percent, Period, Secret};

/// The configuration.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the service, shown with the details. Default: `gateway`.
    pub service: String,
    /// The paths that are answered.
    pub paths: Paths,
    /// What the service depends on. Default: nothing, then ready is always 200.
    pub dependencies: Vec<RawDependency>,
    /// A result older than this counts as `unknown`. Default: `30s`. Should be longer than every interval.
    pub max_age: Period,
    /// What a required dependency with an old result makes of the service: `degraded` (default, still 200) or `unhealthy` (503).
    pub on_stale: Fallback,
    /// What the service is when all required dependencies, two or more, are out together: `unhealthy` (default, 503), or
    /// `degraded` (200), so that a shared outage does not take every instance out of the load balancer.
    pub on_total_failure: Fallback,
    /// Who sees reasons, latencies and ages. Default: nobody.
    pub details: Details,
    /// The drain endpoint. Default: off, since it has no token.
    pub drain: Drain,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: "gateway".to_owned(),
            paths: Paths::default(),
            dependencies: Vec::new(),
            max_age: Period::seconds(30),
            on_stale: Fallback::Degraded,
            on_total_failure: Fallback::Unhealthy,
            details: Details::default(),
            drain: Drain::default(),
        }
    }
}

/// The paths that are answered, each matched exactly. An empty list switches an endpoint off.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// Liveness. Default: `/livez`.
    pub live: Vec<String>,
    /// Readiness; `<path>/<name>` asks for one dependency. Default: `/healthz` and `/readyz`.
    pub ready: Vec<String>,
    /// Startup. Default: `/startupz`.
    pub startup: Vec<String>,
}

impl Default for Paths {
    fn default() -> Self {
        let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
        Self {
            live: list(&["/livez"]),
            ready: list(&["/healthz", "/readyz"]),
            startup: list(&["/startupz"]),
        }
    }
}

/// One dependency. Which keys it has besides the common ones depends on its kind.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct RawDependency {
    /// Name in replies, paths and metrics: letters, digits, `_` and `-`.
    pub name: String,
    /// How it is checked.
    pub kind: Kind,
    /// The Envoy cluster: of the dependency itself; for kind `envoy` and `passive` the one whose health counts.
    pub cluster: String,
    /// Whether the service is unhealthy without it (default), or only degraded (false).
    #[serde(default = "yes")]
    pub required: bool,
    /// Time between two checks; for kind `passive` the window. Default: `5s`. Each check comes up to a tenth later, at random.
    #[serde(default = "five_seconds")]
    pub interval: Period,
    /// Time for one check. Default: `1s`, or the interval where that is shorter. Not for `passive`.
    #[serde(default)]
    pub timeout: Option<Period>,
    /// Failures in a row until a connected dependency is unavailable. Default: 3.
    #[serde(default = "three")]
    pub failure_threshold: u32,
    /// Successes in a row until an unavailable dependency is connected. Default: 1.
    #[serde(default = "one")]
    pub success_threshold: u32,
    /// Kind `http`: request path. Default: `/`.
    #[serde(default)]
    pub path: Option<String>,
    /// Kind `http`, `grpc` and `envoy`: `:authority` of the check. Default: the cluster's name.
    #[serde(default)]
    pub authority: Option<String>,
    /// Kind `http`: statuses of a healthy answer. Default: 200 to 299.
    #[serde(default)]
    pub expected_status: Option<Vec<u16>>,
    /// Kind `grpc`: the service asked for (grpc.health.v1). Default: empty, the whole server.
    #[serde(default)]
    pub service: Option<String>,
    /// Kind `envoy`, required there: the cluster of Envoy's own admin interface.
    #[serde(default)]
    pub admin_cluster: Option<String>,
    /// Kind `envoy`: share of hosts that must be healthy, in percent. Default: one host is enough.
    #[serde(default)]
    pub min_healthy: Option<Percent>,
    /// Kind `passive`: share of failed requests in a window that makes it failed, in percent. Default: 50.
    #[serde(default)]
    pub max_errors: Option<Percent>,
    /// Kind `passive`: with fewer requests in a window there is no evidence against the cluster. Default: 10.
    #[serde(default)]
    pub min_requests: Option<u32>,
}

/// How a dependency is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An HTTP request.
    Http,
    /// The gRPC health protocol, over a cluster that speaks HTTP/2.
    Grpc,
    /// The health that Envoy itself gives a cluster, by its admin interface; active health checks included.
    Envoy,
    /// Live traffic to a cluster.
    Passive,
}

/// What stale results or a total failure make of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Fallback {
    /// Still 200.
    Degraded,
    /// 503.
    Unhealthy,
}

/// Who sees reasons, latencies and ages: a range or the token is enough.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Details {
    /// Address ranges. Default: none.
    pub allow: Vec<Cidr>,
    /// Bearer token of at least 16 bytes. Default: none.
    pub token: Secret,
}

/// The drain endpoint: `PUT` switches it on, `DELETE` off, `GET` tells. Range and token where both are set.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Drain {
    /// Its path. Default: `/launchgate/drain`.
    pub path: String,
    /// Address ranges. Default: every address that has the token.
    pub allow: Vec<Cidr>,
    /// Bearer token of at least 16 bytes. Default: none, and then the endpoint is off.
    pub token: Secret,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            path: "/launchgate/drain".to_owned(),
            allow: Vec::new(),
            token: Secret::default(),
        }
    }
}

fn yes() -> bool {
    true
}

fn five_seconds() -> Period {
    Period::seconds(5)
}

fn three() -> u32 {
    3
}

fn one() -> u32 {
    1
}
