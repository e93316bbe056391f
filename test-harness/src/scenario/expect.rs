//! Expectations: effects that a client, an upstream or an operator can see, never the order of host calls.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::matcher::TextMatch;
use super::schema::Level;

/// What must have happened in a step.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Expect {
    /// Status the client got: `200`, `"2xx"`, or a list of those.
    pub status: Option<StatusMatch>,
    /// Response headers the client got, by name (`null`: absent). Headers not named may be anything.
    pub headers: BTreeMap<String, TextMatch>,
    /// Response body the client got.
    pub body: Option<TextMatch>,
    /// Response trailers the client got.
    pub trailers: BTreeMap<String, TextMatch>,
    /// `true`: the client's stream ended without a whole response.
    pub reset: Option<bool>,
    /// The request as an upstream saw it; `none: true` when it must not have reached one.
    pub upstream: Option<UpstreamExpect>,
    /// Response code details, as in `%RESPONSE_CODE_DETAILS%`.
    pub details: Option<TextMatch>,
    /// Change of stats since the step began, by name: `launchgate_tls_redirects_total{reason="plaintext"}: 1`.
    /// Labels are written in any order. Exact; `0` says that it must not move. Stats not named may do anything.
    pub metrics: BTreeMap<String, MetricMatch>,
    /// Each of these must match the Prometheus text somewhere (regex, multi-line).
    pub prometheus: Vec<String>,
    /// Log lines that must have appeared. An error or critical line that none of these (nor `allow`) matches fails the case.
    pub logs: Vec<LogMatch>,
    /// Shared data of the first plugin's VM id, by key (`null`: absent). Emulator only.
    pub shared_data: BTreeMap<String, TextMatch>,
    /// Call-outs that must have been made, in any order. One that none of these (nor `allow`) matches fails the case.
    pub callouts: Vec<CalloutMatch>,
    /// Filter state that plugins wrote with `set_property`, by name without Envoy's `wasm.` (the access record).
    pub filter_state: BTreeMap<String, TextMatch>,
    /// `true`: a VM died in this step.
    pub trap: Option<bool>,
}

/// The request as the upstream saw it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamExpect {
    /// `true`: no upstream saw the request.
    pub none: bool,
    /// Which cluster got it.
    pub cluster: Option<TextMatch>,
    /// Method.
    pub method: Option<TextMatch>,
    /// Path.
    pub path: Option<TextMatch>,
    /// Authority.
    pub authority: Option<TextMatch>,
    /// Headers by name (`null`: absent).
    pub headers: BTreeMap<String, TextMatch>,
    /// Body.
    pub body: Option<TextMatch>,
}

/// A call-out that must have been made.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CalloutMatch {
    /// To this cluster.
    pub cluster: String,
    /// Method.
    pub method: Option<TextMatch>,
    /// Path.
    pub path: Option<TextMatch>,
    /// Authority.
    pub authority: Option<TextMatch>,
    /// Headers by name (`null`: absent).
    pub headers: BTreeMap<String, TextMatch>,
    /// Body.
    pub body: Option<TextMatch>,
    /// How many of them: a number, or `{min, max}`. The default is one.
    pub count: Option<Count>,
}

/// A log line that must have appeared.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct LogMatch {
    /// At this level; any if absent.
    pub level: Option<Level>,
    /// Regex on the message (without Envoy's prefix).
    pub matches: Option<String>,
    /// Text in the message.
    pub contains: Option<String>,
    /// How many lines (`0`: none): a number, or `{min, max}`. The default is at least one.
    pub count: Option<Count>,
}

/// A number, or bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Count {
    /// Exactly.
    Exactly(u64),
    /// Within bounds.
    Between(Bounds),
}

/// Bounds, both included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// At least.
    pub min: Option<u64>,
    /// At most.
    pub max: Option<u64>,
}

/// What a stat must have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum MetricMatch {
    /// Changed by exactly this (a histogram: this many samples).
    Delta(i64),
    /// Something else.
    Detail(MetricDetail),
}

/// Other statements about a stat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MetricDetail {
    /// Its value now (gauges).
    pub value: Option<u64>,
    /// Changed by at least.
    pub min: Option<i64>,
    /// Changed by at most.
    pub max: Option<i64>,
    /// Sum of the samples since the step began (histograms; emulator only, a real Envoy keeps no exact sum).
    pub sum: Option<u64>,
}

/// One status, a class, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusMatch {
    /// Exactly.
    Code(u16),
    /// A class, `"2xx"`.
    Class(String),
    /// Any of these.
    Any(Vec<StatusMatch>),
}

/// A JSON path (`a.b.0` or `/a/b/0`) and what its value must be: a literal, or a mapping of `matches`, `contains`,
/// `present`, `absent`, `min`, `max`, `length`.
pub type JsonExpect = BTreeMap<String, Value>;
