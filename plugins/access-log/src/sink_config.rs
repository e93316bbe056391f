//! Configuration of a sink.

use launchgate_sdk::map::Map;
use std::time::Duration;

use launchgate_sdk::call_config::{CallConfig, CallTarget};
use launchgate_sdk::config::Decode;
use launchgate_sdk::outbox::{Limits, Overflow};
use launchgate_sdk::{ConfigErrors, Period, Secret};

/// A sink: records go there in batches, by HTTP POST.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SinkConfig {
    /// `otlp` (default): OTLP/HTTP with JSON. `ndjson`: lines of the configured format, by `template`.
    pub kind: SinkKind,
    /// Name in metrics. Default: the kind. Two sinks need two names.
    pub name: String,
    /// Cluster of the host's configuration. Required.
    pub cluster: String,
    /// Host name sent. Default: that of `url`, else the name of the cluster.
    pub authority: String,
    /// Path with query. Default: that of `url`, else `/v1/logs` for `otlp` and `/` for `ndjson`.
    pub path: Secret,
    /// Further headers, such as `authorization`.
    pub headers: Map<String, Secret>,
    /// Time until the whole answer must be there, from 1ms to 60s. Default: 2s.
    pub timeout: Option<Period>,
    /// An address that fills `authority` and `path`.
    pub url: Secret,
    /// When a batch leaves.
    pub batch: BatchConfig,
    /// What waits, in each worker.
    pub queue: QueueConfig,
    /// What happens after a refusal.
    pub retry: RetryConfig,
    /// The body of a batch, for `ndjson`.
    pub template: TemplateConfig,
}

/// Kind of a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SinkKind {
    /// OTLP/HTTP with JSON (the default).
    #[default]
    Otlp,
    /// Newline-delimited JSON, or what `template` makes of it.
    Ndjson,
}

impl SinkKind {
    /// Its name in a configuration.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Otlp => "otlp",
            Self::Ndjson => "ndjson",
        }
    }
}

/// When a batch leaves: as soon as one of the bounds is reached.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct BatchConfig {
    /// Records, from 1 to 10000. Default: 500.
    pub max_records: u32,
    /// Bytes of records, from 1024 to 4194304. Default: 524288.
    pub max_bytes: u32,
    /// Time that the oldest record waited, from 10ms to 5m. Default: 1s.
    pub max_age: Period,
}

impl Default for BatchConfig {
    fn default() -> Self {
        Self {
            max_records: 500,
            max_bytes: 524_288,
            max_age: Period::seconds(1),
        }
    }
}

/// What waits, in each worker.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct QueueConfig {
    /// Records, from 1 to 1000000. Default: 10000.
    pub max_records: u32,
    /// Bytes of records, from 1024 to 67108864. Default: 1048576.
    pub max_bytes: u32,
    /// What is dropped from a full queue: `oldest` (default) or `newest`.
    pub overflow: QueueOverflow,
}

impl Default for QueueConfig {
    fn default() -> Self {
        Self {
            max_records: 10_000,
            max_bytes: 1_048_576,
            overflow: QueueOverflow::Oldest,
        }
    }
}

/// What is dropped from a full queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum QueueOverflow {
    /// The record that waited longest (the default).
    #[default]
    Oldest,
    /// The new record.
    Newest,
}

/// What happens after a refusal. 429, 502, 503, 504 and no answer are tried again, with `Retry-After`; any other status is
/// final.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// How often a batch is tried, from 1 to 1000. Default: 10.
    pub attempts: u32,
    /// First wait, doubled each time. Default: 1s.
    pub min: Period,
    /// Longest wait. Default: 30s.
    pub max: Period,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 10,
            min: Period::seconds(1),
            max: Period::seconds(30),
        }
    }
}

/// The body of a batch: `prefix`, each record by `line`, `separator` between them, `suffix`. In each, `%SERVICE%` stands
/// for the name of the service, and in `line` also `%RECORD%` for the record as JSON, `%RECORD_STRING%` for it as a JSON
/// string, `%TIME_NS%` and `%TIME_MS%` for its time since 1970, `%LEVEL%` for its level.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TemplateConfig {
    /// Before the first record.
    pub prefix: String,
    /// One record. Default: `%RECORD%`.
    pub line: String,
    /// Between two records. Default: a line feed.
    pub separator: String,
    /// After the last record. Default: a line feed.
    pub suffix: String,
    /// `content-type` of the body. Default: `application/x-ndjson`.
    pub content_type: String,
}

impl Default for TemplateConfig {
    fn default() -> Self {
        Self {
            prefix: String::new(),
            line: "%RECORD%".to_owned(),
            separator: "\n".to_owned(),
            suffix: "\n".to_owned(),
            content_type: "application/x-ndjson".to_owned(),
        }
    }
}

impl SinkConfig {
    /// Its name in metrics.
    pub(crate) fn name(&self) -> &str {
        if self.name.is_empty() {
            self.kind.as_str()
        } else {
            &self.name
        }
    }

    /// Checks the target. Notes every mistake, with paths below `at`.
    pub(crate) fn target(&self, at: &str, errors: &mut ConfigErrors) -> Option<CallTarget> {
        let call = CallConfig {
            cluster: self.cluster.clone(),
            authority: self.authority.clone(),
            path: self.path.clone(),
            headers: self.headers.clone(),
            timeout: self.timeout,
            url: self.url.clone(),
        };
        let default_path = match self.kind {
            SinkKind::Otlp => "/v1/logs",
            SinkKind::Ndjson => "/",
        };
        call.target(at, default_path, errors)
    }

    /// Checks the bounds. Notes every mistake, with paths below `at`.
    pub(crate) fn limits(&self, at: &str, errors: &mut ConfigErrors) -> Limits {
        let Self {
            batch,
            queue,
            retry,
            ..
        } = self;
        let mut number = |value: u32, key: &str, first: u32, last: u32| {
            errors.check(
                (first..=last).contains(&value),
                format!("{at}.{key}"),
                format!("expected a number from {first} to {last}"),
            );
        };
        number(batch.max_records, "batch.max_records", 1, 10_000);
        number(batch.max_bytes, "batch.max_bytes", 1024, 4_194_304);
        number(queue.max_records, "queue.max_records", 1, 1_000_000);
        number(queue.max_bytes, "queue.max_bytes", 1024, 67_108_864);
        number(retry.attempts, "retry.attempts", 1, 1000);
        let age = batch.max_age.0 >= Duration::from_millis(10)
            && batch.max_age.0 <= Duration::from_secs(300);
        errors.check(
            age,
            format!("{at}.batch.max_age"),
            "expected a duration from 10ms to 5m",
        );
        let (min, max) = (retry.min.0, retry.max.0);
        errors.check(
            min >= Duration::from_millis(10) && min <= Duration::from_secs(3600),
            format!("{at}.retry.min"),
            "expected a duration from 10ms to 1h",
        );
        errors.check(
            max >= min && max <= Duration::from_secs(3600),
            format!("{at}.retry.max"),
            "expected a duration from retry.min to 1h",
        );
        Limits {
            items: queue.max_records as usize,
            bytes: queue.max_bytes as usize,
            batch_items: batch.max_records as usize,
            batch_bytes: batch.max_bytes as usize,
            linger: batch.max_age.0,
            attempts: retry.attempts,
            backoff: (min, max),
            overflow: match queue.overflow {
                QueueOverflow::Oldest => Overflow::Oldest,
                QueueOverflow::Newest => Overflow::Newest,
            },
        }
    }
}
