//! The fields of a `TestSuite` (package `service_extensions_samples.pb`), as far as they state behaviour.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::scenario::text::Bytes;

/// A suite.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSuite {
    #[serde(default)]
    pub env: Env,
    #[serde(deserialize_with = "many", default)]
    pub test: Vec<Test>,
}

/// The plugin's surroundings.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Env {
    pub test_path: Option<String>,
    pub wasm_path: Option<String>,
    pub config_path: Option<String>,
    pub log_level: Option<LogLevel>,
    pub log_path: Option<String>,
    #[serde(deserialize_with = "number")]
    pub time_secs: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub num_additional_streams: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub additional_stream_advance_rate: Option<u64>,
}

/// Log levels by their names in the enum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum LogLevel {
    Undefined,
    Trace,
    Debug,
    Info,
    Warn,
    Error,
    Critical,
}

/// A test: one stream.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Test {
    pub name: String,
    #[serde(deserialize_with = "flag")]
    pub benchmark: bool,
    #[serde(deserialize_with = "number")]
    pub num_chunks: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub chunk_size: Option<u64>,
    #[serde(deserialize_with = "many")]
    pub properties: Vec<Property>,
    pub request_headers: Option<Invocation>,
    #[serde(deserialize_with = "many")]
    pub request_body: Vec<Invocation>,
    pub response_headers: Option<Invocation>,
    #[serde(deserialize_with = "many")]
    pub response_body: Vec<Invocation>,
    pub plugin_init: Expectation,
    pub stream_init: Expectation,
    pub stream_destroy: Expectation,
}

/// An attribute that the plugin can read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Property {
    pub path: String,
    pub value: Bytes,
}

/// A callback: what goes in, what must come of it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Invocation {
    pub input: Input,
    pub result: Expectation,
}

/// What goes in: headers, or serialised HTTP/1 (a body: its bytes), in place or in a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Input {
    #[serde(deserialize_with = "many")]
    pub header: Vec<Header>,
    pub content: Bytes,
    pub file: Option<String>,
}

/// A header.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Header {
    pub key: String,
    pub value: Bytes,
}

/// What must come of a callback.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Expectation {
    #[serde(deserialize_with = "many")]
    pub has_header: Vec<Header>,
    #[serde(deserialize_with = "many")]
    pub no_header: Vec<Header>,
    #[serde(deserialize_with = "many")]
    pub headers: Vec<StringMatcher>,
    #[serde(deserialize_with = "many")]
    pub body: Vec<StringMatcher>,
    pub immediate: Option<Immediate>,
    #[serde(deserialize_with = "many")]
    pub log: Vec<StringMatcher>,
}

/// A text that must be among those there are (`invert`: must not).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StringMatcher {
    #[serde(deserialize_with = "flag")]
    pub invert: bool,
    pub exact: Option<Bytes>,
    pub regex: Option<String>,
    pub file: Option<String>,
}

/// A local reply.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Immediate {
    #[serde(deserialize_with = "number")]
    pub http_status: Option<u64>,
    #[serde(deserialize_with = "number")]
    pub grpc_status: Option<u64>,
    pub details: Option<String>,
}

/// A repeated field: protobuf text writes one element without brackets.
fn many<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Vec<T>, D::Error> {
    let items = match Value::deserialize(from)? {
        Value::Array(items) => items,
        one => vec![one],
    };
    items
        .into_iter()
        .map(|item| serde_json::from_value(item).map_err(D::Error::custom))
        .collect()
}

/// A number, which protobuf's JSON form may write as text.
fn number<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(from)?;
    let number = match &value {
        Value::String(text) => text.parse().ok(),
        other => other.as_u64(),
    };
    match number {
        Some(number) => Ok(Some(number)),
        None => Err(D::Error::custom(format!("{value}: expected a number"))),
    }
}

/// A flag, which may be written as text.
fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    match Value::deserialize(from)? {
        Value::Bool(flag) => Ok(flag),
        Value::String(text) if text == "true" => Ok(true),
        Value::String(text) if text == "false" => Ok(false),
        other => Err(D::Error::custom(format!("{other}: expected true or false"))),
    }
}
