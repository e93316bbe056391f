//! The scenario file: plugins, the world around them, and cases.
//!
//! 1. A file names its plugins in request order, the clusters they and the routes reach, and cases.
//! 2. The cases of a file run in order on the same VMs, as they would in one gateway; a case with
//!    `fresh: true` (or with a config of its own) gets new ones.
//! 3. Nothing in here knows a host: the emulator and the real Envoy read the same types.
//! 4. Unknown fields are refused, so that a misspelt expectation cannot pass.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::expect::{Expect, LogMatch};
use super::step::{Request, Step};
use super::text::{Bytes, Headers, Span};

/// One scenario file.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Launchgate scenario")]
pub struct Scenario {
    /// What this file shows, in a sentence. Printed with failures.
    #[serde(default)]
    pub about: String,
    /// The plugins in request order (responses pass them in reverse).
    pub plugins: Vec<Plugin>,
    /// The clusters Envoy knows, by name. A cluster that is not here is unknown to it.
    /// Without any, there is one cluster `app` that answers 200 with the body `ok`.
    #[serde(default)]
    pub clusters: BTreeMap<String, Cluster>,
    /// The routes in order of match. Without any, every path goes to `app`, or to the first cluster by name.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// The listener and its HTTP connection manager.
    #[serde(default)]
    pub listener: Listener,
    /// Worker counts to run with, one after the other. Expectations must hold for each, and for every
    /// assignment of requests to workers.
    #[serde(default = "default_workers")]
    pub workers: Vec<u32>,
    /// Wall clock at the start (RFC 3339). Only the emulator can set it; the default is 2026-01-01T00:00:00Z.
    #[serde(default)]
    pub clock: Option<String>,
    /// Log level of the plugins.
    #[serde(default)]
    pub log_level: Level,
    /// Label names that Envoy extracts from stat names (`stats_tags`), each with the regex `(k=\.=(.*?);\.;)`.
    /// They shape the Prometheus text; `metrics:` expectations work without.
    #[serde(default)]
    pub labels: Vec<String>,
    /// What may happen in any case without being expected.
    #[serde(default)]
    pub allow: Allow,
    /// Stats that depend on real time or chance, so that emulator and Envoy are not compared in them.
    #[serde(default)]
    pub unsteady: Vec<Unsteady>,
    /// The cases, run in order.
    pub cases: Vec<Case>,
    /// `false` when no real Envoy can run this file (hours of virtual time, faults). Needs a `reason`.
    #[serde(default = "yes")]
    pub envoy: bool,
    /// Why `envoy` is `false`.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A plugin in the chain.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    /// A plugin name (`health` is `dist/health.wasm`) or a path to a `.wasm` or `.wat` file, relative to the scenario.
    pub plugin: String,
    /// Name in Envoy's config, stats and properties (`plugin_name`). The default is `plugin` without folder and suffix.
    #[serde(default)]
    pub name: Option<String>,
    /// Root id (`plugin_root_id`). The default is empty.
    #[serde(default)]
    pub root_id: String,
    /// VM id: plugins with the same id (and code) share one VM and its shared data. Istio sets none.
    #[serde(default)]
    pub vm_id: String,
    /// Plugin configuration: a mapping becomes JSON, a string is passed as it is, absent is no configuration.
    #[serde(default)]
    pub config: Option<Value>,
    /// VM configuration, as for `config`.
    #[serde(default)]
    pub vm_config: Option<Value>,
    /// Environment of the VM (`vm_config.environment_variables`).
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// What Envoy does when the VM has died.
    #[serde(default)]
    pub failure_policy: FailurePolicy,
    /// Base interval of `fail_reload`; Envoy adds up to half of it as jitter (the emulator adds none).
    #[serde(default)]
    pub reload_backoff: Option<Span>,
    /// Let body callbacks run while the headers are held (`allow_on_headers_stop_iteration`).
    #[serde(default)]
    pub allow_on_headers_stop_iteration: bool,
    /// Instructions that one callback may use before the emulator ends it (an endless loop). Default 1,000,000,000.
    #[serde(default)]
    pub max_instructions: Option<u64>,
    /// Memory limit of the VM in bytes. Default 1 GiB, as in Envoy.
    #[serde(default)]
    pub max_memory: Option<u64>,
}

impl Plugin {
    /// A plugin of this name with a configuration, and nothing else said of it.
    pub fn plain(plugin: &str, config: Option<Value>) -> Self {
        Plugin {
            plugin: plugin.to_owned(),
            name: None,
            root_id: String::new(),
            vm_id: String::new(),
            config,
            vm_config: None,
            env: BTreeMap::new(),
            failure_policy: FailurePolicy::default(),
            reload_backoff: None,
            allow_on_headers_stop_iteration: false,
            max_instructions: None,
            max_memory: None,
        }
    }
}

/// Envoy's failure policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailurePolicy {
    /// A dead VM answers 503 to everything (Envoy's default).
    #[default]
    FailClosed,
    /// A dead VM is bypassed.
    FailOpen,
    /// A dead VM is replaced at the next stream after the back-off.
    FailReload,
}

/// A cluster and how its upstream behaves.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Cluster {
    /// The answer to every request that nothing below decides.
    #[serde(default)]
    pub reply: Reply,
    /// Answers for the first requests, in order. One that no request asked for fails the case.
    #[serde(default)]
    pub sequence: Vec<Reply>,
    /// Answers by request path (exact, query not counted); they win over `sequence`.
    #[serde(default)]
    pub paths: BTreeMap<String, Reply>,
    /// `false`: the cluster exists and has no host (503 `no healthy upstream`; a call-out is refused at once).
    #[serde(default = "yes_some")]
    pub hosts: Option<bool>,
}

/// One answer of an upstream.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Headers beside `:status`; `content-length` is added when there is a body and no `chunks`.
    pub headers: Headers,
    /// Body.
    pub body: Bytes,
    /// Body in pieces (chunked encoding), instead of `body`.
    pub chunks: Vec<Bytes>,
    /// Trailers, after `chunks`.
    pub trailers: Headers,
    /// Time from the request's end to the headers.
    pub latency: Span,
    /// Fail instead of answering.
    pub fail: Option<Failure>,
}

impl Default for Reply {
    fn default() -> Self {
        Reply {
            status: 200,
            headers: Headers::default(),
            body: Bytes::from("ok"),
            chunks: Vec::new(),
            trailers: Headers::default(),
            latency: Span::default(),
            fail: None,
        }
    }
}

/// Ways in which an upstream fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Failure {
    /// Nothing listens: connection refused.
    Refused,
    /// The connection closes before the response headers.
    Reset,
    /// Headers and half of the body, then the connection closes.
    ResetMidBody,
    /// No answer, ever.
    Hang,
}

/// A route: first match wins.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Name (`xds.route_name`).
    #[serde(default)]
    pub name: String,
    /// Path prefix. The default is `/`.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Headers that must be there with exactly this value.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// To this cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    /// To the cluster that this request header names.
    #[serde(default)]
    pub cluster_header: Option<String>,
    /// To one of these clusters by weight.
    #[serde(default)]
    pub weighted: Option<Weighted>,
    /// Answered by Envoy itself.
    #[serde(default)]
    pub direct_response: Option<DirectResponse>,
    /// Upstream time limit; default 15 s, as in Envoy.
    #[serde(default)]
    pub timeout: Option<Span>,
    /// Switch plugins off on this route (`typed_per_filter_config`), by plugin name.
    #[serde(default)]
    pub disabled: Vec<String>,
}

/// Weighted clusters.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Weighted {
    /// Request header whose number (modulo the total weight) picks the cluster (`header_name`).
    #[serde(default)]
    pub header: Option<String>,
    /// Cluster and weight, in order.
    pub clusters: Vec<WeightedCluster>,
}

/// One weighted cluster.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WeightedCluster {
    /// Cluster name.
    pub name: String,
    /// Weight.
    pub weight: u32,
}

/// A response that Envoy makes itself.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DirectResponse {
    /// Status code.
    pub status: u16,
    /// Body.
    #[serde(default)]
    pub body: Bytes,
}

/// The listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Listener {
    /// HTTP connection manager's `use_remote_address`: the peer is the connection, and `x-forwarded-for` is appended.
    pub use_remote_address: bool,
    /// `xff_num_trusted_hops`.
    pub xff_num_trusted_hops: u32,
    /// `normalize_path` and `merge_slashes`.
    pub normalize_path: bool,
    /// `per_connection_buffer_limit_bytes`.
    pub buffer_limit: u64,
    /// The listener is plain TCP, proxied to this cluster: the plugins are network filters, and steps are a `connection` each.
    pub tcp: Option<String>,
}

impl Default for Listener {
    fn default() -> Self {
        Listener {
            use_remote_address: true,
            xff_num_trusted_hops: 0,
            normalize_path: false,
            buffer_limit: 1 << 20,
            tcp: None,
        }
    }
}

/// A case: a name, a request (or steps), and what must come of it.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// A sentence. In a table, `<column>` in it (and anywhere in the case) is replaced by the row's value.
    pub name: String,
    /// Rows: the case runs once for each, with `<column>` replaced. A string that is nothing but `<column>` takes the
    /// value with its type.
    #[serde(default)]
    pub table: Vec<BTreeMap<String, Value>>,
    /// New VMs, clusters and shared state for this case.
    #[serde(default)]
    pub fresh: bool,
    /// Configuration of the (first) plugin instead of the file's. Implies `fresh`.
    #[serde(default)]
    pub config: Option<Value>,
    /// JSON merge patch (RFC 7396) on the first plugin's configuration. Implies `fresh`.
    #[serde(default)]
    pub config_patch: Option<Value>,
    /// Environment of the first plugin's VM, added to the file's. Implies `fresh`.
    #[serde(default)]
    pub env: Option<BTreeMap<String, String>>,
    /// What must come of loading the plugins. Only in a case that is fresh, or the first one.
    #[serde(default)]
    pub load: Option<Load>,
    /// Cluster behaviour for this case, instead of the file's.
    #[serde(default)]
    pub clusters: BTreeMap<String, Cluster>,
    /// What may happen in this case without being expected.
    #[serde(default)]
    pub allow: Allow,
    /// The only request (shorthand for one step).
    #[serde(default)]
    pub request: Option<Request>,
    /// Expectations on `request`; with `steps`, on everything since the case began.
    #[serde(default)]
    pub expect: Expect,
    /// The steps, in order, instead of `request`.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Limits of what the plugins may use, over the whole case, for each callback.
    #[serde(default)]
    pub budget: Budget,
    /// `false` when no real Envoy can run this case. Needs a `reason`.
    #[serde(default = "yes")]
    pub envoy: bool,
    /// Why `envoy` is `false`.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What must come of loading.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Load {
    /// `true`: `on_vm_start` or `on_configure` refuses, and Envoy would not start.
    #[serde(default)]
    pub refused: bool,
    /// Log lines that must appear while loading.
    #[serde(default)]
    pub logs: Vec<LogMatch>,
}

/// A stat that no two runs share.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unsteady {
    /// The stat's name without labels.
    pub stat: String,
    /// Why it differs.
    pub reason: String,
}

/// What may happen unexpected.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Allow {
    /// Clusters that plugins may call out to without an expectation.
    #[serde(default)]
    pub callouts: Vec<String>,
    /// Error and critical log lines (regex) that do not fail the case.
    #[serde(default)]
    pub logs: Vec<String>,
    /// A request may hang, or be cut off, without `reset` being expected.
    #[serde(default)]
    pub hang: bool,
    /// A plugin may trap.
    #[serde(default)]
    pub trap: bool,
    /// A plugin may make host calls in phases in which Envoy refuses them.
    #[serde(default)]
    pub phase: bool,
}

/// Limits on what a callback may use. Counted by the emulator, the same on every machine.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Budget {
    /// WebAssembly instructions by callback (`on_request_headers: 20000`).
    #[serde(default)]
    pub instructions: BTreeMap<String, u64>,
    /// Host calls by callback.
    #[serde(default)]
    pub host_calls: BTreeMap<String, u64>,
    /// Bytes copied in and out by callback.
    #[serde(default)]
    pub bytes: BTreeMap<String, u64>,
}

/// A log level of the plugin ABI.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "lowercase")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Level {
    Trace,
    Debug,
    #[default]
    Info,
    Warn,
    Error,
    Critical,
}

fn default_workers() -> Vec<u32> {
    vec![1, 2]
}

fn yes() -> bool {
    true
}

fn yes_some() -> Option<bool> {
    Some(true)
}
