//! The port between scenarios and the hosts that can run them (the emulator, a real Envoy).
//!
//! A host starts a setup, acts on steps, and says what has happened: effects only. It judges nothing; `check` compares.

use std::collections::BTreeMap;

use super::load::Setup;
use super::schema::{Cluster, Level};
use super::step::Step;

/// Something that can run scenarios.
pub trait ScenarioHost {
    /// Name for reports (`emulator, 2 workers`).
    fn name(&self) -> String;

    /// What this host cannot observe; `check` leaves those expectations out.
    fn blind_spots(&self) -> BlindSpots {
        BlindSpots::default()
    }

    /// Starts the gateway with these plugins. A refused configuration is no error: it is `Started::Refused`.
    fn start(&mut self, setup: &Setup) -> anyhow::Result<Started>;

    /// Gives clusters their behaviour for a case: those named here, all others as in the setup. Sequences begin anew.
    fn set_clusters(&mut self, clusters: &BTreeMap<String, Cluster>) -> anyhow::Result<()>;

    /// Does a step's action. What comes of it is for `observe`.
    fn act(&mut self, step: &Step) -> anyhow::Result<()>;

    /// All that has happened since the last call, and the totals now.
    fn observe(&mut self) -> anyhow::Result<Observed>;

    /// The Prometheus text of the plugins' stats, with these label names extracted.
    fn prometheus(&mut self, labels: &[String]) -> anyhow::Result<String>;
}

/// Whether the gateway came up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// It serves.
    Running,
    /// A plugin refused its configuration, or could not be loaded.
    Refused,
}

/// What a host cannot see or do.
#[derive(Debug, Clone, Copy, Default)]
pub struct BlindSpots {
    /// Cannot read shared data.
    pub shared_data: bool,
    /// Keeps no exact sums of histograms.
    pub histogram_sums: bool,
    /// Cannot see filter state.
    pub filter_state: bool,
}

/// What has happened.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    /// Exchanges that ended (or hang), in the order in which they began.
    pub exchanges: Vec<Exchange>,
    /// Call-outs that reached (or tried to reach) a cluster.
    pub callouts: Vec<UpstreamRequest>,
    /// Log lines of the plugins, without prefix.
    pub logs: Vec<LogLine>,
    /// All plugin stats, total since the start, by stat name without `wasmcustom.`.
    pub stats: BTreeMap<String, Stat>,
    /// Shared data of the first plugin's VM id.
    pub shared_data: BTreeMap<Vec<u8>, Vec<u8>>,
    /// VMs that died, each with its reason and backtrace.
    pub traps: Vec<String>,
    /// Scripted answers that no request has asked for (`cluster app, sequence 2`).
    pub unread: Vec<String>,
    /// Things a host saw that are wrong whatever a scenario says (calls in the wrong phase).
    pub faults: Vec<String>,
    /// Whether a `reload` was refused.
    pub reload_refused: Option<bool>,
    /// What each callback cost since the last call, where the host counts it.
    pub costs: Vec<Cost>,
}

/// One exchange with a client.
#[derive(Debug, Clone, Default)]
pub struct Exchange {
    /// The request's `id`.
    pub id: Option<String>,
    /// What the client got; `None` when there was no response headers.
    pub response: Option<Response>,
    /// Whether the response ended properly.
    pub complete: bool,
    /// Why it hangs, if nothing will ever end it.
    pub hung: Option<String>,
    /// The request as upstreams saw it (several with retries).
    pub upstream: Vec<UpstreamRequest>,
    /// Response code details.
    pub details: String,
    /// Filter state that plugins wrote, by name without `wasm.`.
    pub filter_state: BTreeMap<String, Vec<u8>>,
}

/// A response as the client saw it.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers in order, lower-case names, without `:status`.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
}

/// A request as an upstream saw it.
#[derive(Debug, Clone, Default)]
pub struct UpstreamRequest {
    /// The cluster.
    pub cluster: String,
    /// Method.
    pub method: Vec<u8>,
    /// Path.
    pub path: Vec<u8>,
    /// Authority.
    pub authority: Vec<u8>,
    /// Headers in order, lower-case names, without pseudo-headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
}

/// A log line of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// Level.
    pub level: Level,
    /// The plugin's name.
    pub plugin: String,
    /// Message.
    pub message: String,
}

/// A stat's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stat {
    /// Counter.
    Counter(u64),
    /// Gauge.
    Gauge(u64),
    /// Histogram: samples, and their sum.
    Histogram {
        /// How many samples.
        count: u64,
        /// Their sum.
        sum: u64,
    },
}

/// What one callback cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cost {
    /// The plugin's name.
    pub plugin: String,
    /// The callback, without `proxy_`.
    pub callback: &'static str,
    /// WebAssembly instructions (fuel).
    pub instructions: u64,
    /// Host calls.
    pub host_calls: u64,
    /// Host calls by the function's name.
    pub calls: BTreeMap<&'static str, u64>,
    /// Bytes copied between guest and host.
    pub bytes: u64,
}
