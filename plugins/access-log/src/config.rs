//! Configuration of `access-log`, as it is spelled in JSON.

use launchgate_sdk::map::Map;

use launchgate_sdk::claim::ClaimConfig;
use launchgate_sdk::config::Decode;
use launchgate_sdk::redact::{RedactConfig, Redaction};
use launchgate_sdk::trace::TraceFormat;
use launchgate_sdk::{Percent, Period, Secret};

use crate::sink_config::SinkConfig;

/// The configuration.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Name of the service that the records are about, 1 to 128 characters. Default: `gateway`.
    pub service: String,
    /// Version of the service; absent by default.
    pub version: String,
    /// Deployment environment such as `production`; absent by default.
    pub environment: String,
    /// Form of a line: `launchgate` (default), `ecs` or `otlp`.
    pub format: Format,
    /// Filter state that gets the line: Envoy's file access logger prints it with `%FILTER_STATE(wasm.<key>:PLAIN)%`.
    /// Default: `launchgate.access_log`. Empty: none, only sinks.
    pub filter_state_key: String,
    /// Key of the mode `hmac`, at least 16 bytes. Give it by `${NAME}`.
    pub hmac_key: Secret,
    /// Where the user id comes from. Default: nowhere.
    pub user_id: UserIdConfig,
    /// Further fields by name. In `ecs` they stand under `labels`, in `otlp` among the attributes.
    pub fields: Map<String, FieldConfig>,
    /// Fields of the model to leave out, by their `launchgate` name.
    pub omit: Vec<String>,
    /// Formats of trace headers, the first valid one wins. Default: `traceparent`, `b3`.
    pub trace: Vec<TraceFormat>,
    /// What is redacted, and how.
    pub redact: RedactConfig,
    /// Which exchanges are recorded.
    pub sample: SampleConfig,
    /// How many equal errors are recorded. Default: all.
    pub storm: StormConfig,
    /// Longest line in bytes, from 1024 to 1048576. Default: 16384, where container runtimes split lines.
    pub max_line_bytes: u32,
    /// Where records go besides the filter state.
    pub sinks: Vec<SinkConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            service: "gateway".to_owned(),
            version: String::new(),
            environment: String::new(),
            format: Format::Launchgate,
            filter_state_key: "launchgate.access_log".to_owned(),
            hmac_key: Secret::default(),
            user_id: UserIdConfig::default(),
            fields: Map::new(),
            omit: Vec::new(),
            trace: vec![TraceFormat::Traceparent, TraceFormat::B3],
            redact: RedactConfig::default(),
            sample: SampleConfig::default(),
            storm: StormConfig::default(),
            max_line_bytes: 16_384,
            sinks: Vec::new(),
        }
    }
}

/// Form of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Flat JSON.
    #[default]
    Launchgate,
    /// Elastic Common Schema, valid by the ecs-logging specification.
    Ecs,
    /// OTLP/JSON: a line is a `LogsData` message.
    Otlp,
}

/// Where the user id comes from. With both, the claim goes before the header.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct UserIdConfig {
    /// A claim of a JWT. Verified only with `"source": "metadata"`.
    pub jwt: Option<ClaimConfig>,
    /// A request header; what it says is recorded as unverified.
    pub header: String,
    /// `keep` (default), `mask`, `last4`, `hmac` or `drop`.
    pub mode: Redaction,
}

impl Default for UserIdConfig {
    fn default() -> Self {
        Self {
            jwt: None,
            header: String::new(),
            mode: Redaction::Keep,
        }
    }
}

/// A further field. Exactly one of its sources is set.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FieldConfig {
    /// A request header, as the client sent it; several values are joined by `, `.
    pub header: String,
    /// A response header.
    pub response_header: String,
    /// An attribute of Envoy such as `xds.route_name`; a part with dots in brackets, as in
    /// `metadata.filter_metadata.[envoy.lb].zone`.
    pub attribute: String,
    /// A constant.
    pub value: String,
    /// `text` (default), `integer` or `flag`. A value that is not of the type is left out: a field never changes its type.
    pub r#type: FieldType,
}

/// Type of a further field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// A string (the default).
    #[default]
    Text,
    /// A whole number from 0 to 2^64 - 1; a 64-bit number of an attribute, or decimal digits.
    Integer,
    /// A truth value: one byte of an attribute, or `true`, `false`, `1`, `0`.
    Flag,
}

/// Which exchanges are recorded.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SampleConfig {
    /// Share of the exchanges that are neither errors nor slow, decided by trace id. Default: 100.
    pub rate_percent: Percent,
    /// An exchange that takes at least this long is always recorded; absent: no exchange counts as slow.
    pub keep_slower_than: Option<Period>,
}

impl Default for SampleConfig {
    fn default() -> Self {
        Self {
            rate_percent: Percent::ALL,
            keep_slower_than: None,
        }
    }
}

/// How many equal errors are recorded. Equal are errors with the same status, method, route and response flags.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StormConfig {
    /// Equal errors that are recorded in a window, in each worker. 0 (default): all.
    pub max_records: u32,
    /// The window, from 1s to 1h. Default: 10s.
    pub window: Period,
    /// Kinds of errors told apart at a time, from 1 to 4096; further ones count as one kind. Default: 256.
    pub max_keys: u32,
}

impl Default for StormConfig {
    fn default() -> Self {
        Self {
            max_records: 0,
            window: Period::seconds(10),
            max_keys: 256,
        }
    }
}
