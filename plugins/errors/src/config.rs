//! Configuration of `errors`, as it is spelled in JSON. `settings.rs` checks it.

use launchgate_sdk::map::Map;

use launchgate_sdk::claim::ClaimConfig;
use launchgate_sdk::config::Decode;
use launchgate_sdk::notifier::NotifierConfig;
use launchgate_sdk::path::PathRule;
use launchgate_sdk::route::RouteTemplate;
use launchgate_sdk::scope::HostRule;
use launchgate_sdk::{Percent, Period, Secret};

use crate::status::StatusRange;
use launchgate_sdk::Rate;

/// The configuration.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where events go, as Sentry gives it. Empty (default): nowhere; alerts work without.
    pub dsn: Secret,
    /// Cluster of the host's configuration that leads to the DSN's host. Required beside `dsn`.
    pub cluster: String,
    /// Time until Sentry's whole answer must be there, from 1ms to 60s. Default: 5s.
    pub timeout: Period,
    /// Environment, at most 64 characters, without `/` and line breaks. Default: `production`.
    pub environment: String,
    /// Release, at most 200 characters, without `/`, `\` and line breaks. Default: none.
    pub release: String,
    /// Distribution of the release, at most 64 characters. Default: none.
    pub dist: String,
    /// Name of this proxy in events. Default: Envoy's node id.
    pub server_name: String,
    /// Share of errors that are sent, from 0 to 1. Alerts see all of them. Default: 1.
    pub sample_rate: Rate,
    /// Share of exchanges that are sent as transactions, from 0 to 1, unless the caller decided. Absent: no transactions.
    pub traces_sample_rate: Option<Rate>,
    /// Organisation, to continue no trace of another one. Default: that of the DSN's host (`o<id>.…`).
    pub org_id: String,
    /// Whether a trace is continued only where the caller names the same organisation. Default: false.
    pub strict_trace_continuation: bool,
    /// Whether the client's address, cookie values and headers that tell of the client are sent. Default: false.
    pub send_default_pii: bool,
    /// Which exchanges are errors.
    pub report: Report,
    /// Which exchanges never are. Default: none.
    pub ignore: Vec<Matcher>,
    /// Route templates such as `/users/{id}`: `{name}` is one segment, a last `*` the rest. A path that matches none is
    /// shown with its variable segments as `{id}`. Default: none.
    pub routes: Vec<RouteTemplate>,
    /// Tags of every event: names of letters, digits, `_`, `.`, `:` and `-`, at most 32 characters; values below 200. Default: none.
    pub tags: Map<String, String>,
    /// Who a request is made for: `unique_users` counts them, and events name them by a hash. Default: nobody.
    pub user: Option<User>,
    /// What is filtered besides Sentry's denylist, which nothing overrides.
    pub scrub: Scrub,
    /// How errors are grouped.
    pub grouping: Grouping,
    /// Rules that drop or change events, applied in order. Default: none.
    pub rules: Vec<Rule>,
    /// How many events of one error are sent, over all workers.
    pub throttle: Throttle,
    /// The queue of each worker in front of Sentry.
    pub queue: Queue,
    /// Whether losses are reported to Sentry. Default: true.
    pub client_reports: bool,
    /// Where notices go, by name. Default: none.
    pub notifiers: Map<String, NotifierConfig>,
    /// When people are told. Default: never.
    pub alerts: Vec<Alert>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            dsn: Secret::default(),
            cluster: String::new(),
            timeout: Period::seconds(5),
            environment: "production".to_owned(),
            release: String::new(),
            dist: String::new(),
            server_name: String::new(),
            sample_rate: Rate::ALL,
            traces_sample_rate: None,
            org_id: String::new(),
            strict_trace_continuation: false,
            send_default_pii: false,
            report: Report::default(),
            ignore: Vec::new(),
            routes: Vec::new(),
            tags: Map::new(),
            user: None,
            scrub: Scrub::default(),
            grouping: Grouping::default(),
            rules: Vec::new(),
            throttle: Throttle::default(),
            queue: Queue::default(),
            client_reports: true,
            notifiers: Map::new(),
            alerts: Vec::new(),
        }
    }
}

/// Which exchanges are errors. A client that left before a response is none.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Report {
    /// HTTP statuses, `503` or `"500-599"`. Default: `"500-599"`.
    pub statuses: Vec<StatusRange>,
    /// gRPC status codes, of exchanges whose content type is `application/grpc`. Default: 2, 4, 13, 14.
    pub grpc: Vec<u32>,
    /// Exchanges that took this long, from 1ms to 1h; streams, upgrades and gRPC are left out. Default: none.
    pub slower_than: Option<Period>,
}

impl Default for Report {
    fn default() -> Self {
        Self {
            statuses: StatusRange::parse("500-599").into_iter().collect(),
            grpc: vec![2, 4, 13, 14],
            slower_than: None,
        }
    }
}

/// Exchanges by what all given keys say; at least one is required.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Matcher {
    /// Path: exact, or a prefix where it ends in `/`. Ambiguous paths never match.
    pub path: Option<PathRule>,
    /// Host without port, `*.example.org` for all below.
    pub host: Option<HostRule>,
    /// Method, case-sensitive.
    pub method: String,
    /// Any of these statuses.
    pub statuses: Vec<StatusRange>,
    /// Upstream cluster.
    pub cluster: String,
    /// Any of these response flags of Envoy, such as `UF`.
    pub flags: Vec<String>,
    /// A request header that is there, or, with `values`, has one of these values.
    pub header: String,
    /// Values of `header`, compared as a whole. Empty: any.
    pub values: Vec<String>,
}

/// Who a request is made for.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct User {
    /// Request header with the user's id.
    pub header: String,
    /// Claim with the user's id. Give one of `header` and `jwt`.
    pub jwt: Option<ClaimConfig>,
    /// What events say of the user: `hash` (default), `plain` or `none`.
    pub send: SendUser,
    /// Key of the hash, at least 16 bytes. Default: the DSN's public key.
    pub hmac_key: Secret,
}

/// What events say of the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SendUser {
    /// A keyed hash of the id: the same user is counted once, nobody is named.
    #[default]
    Hash,
    /// The id as it is.
    Plain,
    /// Nothing; alerts still count.
    None,
}

/// What is filtered besides Sentry's denylist.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Scrub {
    /// Header names. Default: none.
    pub headers: Vec<String>,
    /// Cookie names. Default: none.
    pub cookies: Vec<String>,
    /// Query keys. Default: none.
    pub query: Vec<String>,
    /// Path patterns such as `/reset/*`: the segments under `*`. Default: none.
    pub paths: Vec<String>,
}

/// How errors are grouped.
#[derive(Debug, Clone, Copy, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Grouping {
    /// Errors of a cluster that cannot be reached (502, 503, 504 with UF, UH, UT, UR, UC, UO, URX or NC): `cluster`
    /// (default) makes one issue a cluster, `route` groups them as all others.
    pub availability: Availability,
}

/// How errors of a cluster that cannot be reached are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Availability {
    /// One issue a cluster.
    #[default]
    Cluster,
    /// By method, route, status and flags.
    Route,
}

/// A rule that drops or changes events.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Rule {
    /// Which events.
    pub when: Matcher,
    /// Whether they are dropped; alerts do not see them either. Default: false.
    pub drop: bool,
    /// Level instead of `error`: `debug`, `info`, `warning`, `error` or `fatal`. Default: as it is.
    pub level: Option<Level>,
    /// Further tags.
    pub tags: Map<String, String>,
    /// Fingerprint instead of the gateway's. Default: as it is.
    pub fingerprint: Vec<String>,
    /// Share instead of `sample_rate`. Default: as it is.
    pub sample_rate: Option<Rate>,
}

/// Level of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the five words of Sentry")]
pub enum Level {
    Debug,
    Info,
    Warning,
    Error,
    Fatal,
}

impl Level {
    /// As Sentry names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Fatal => "fatal",
        }
    }
}

/// How many events of one error are sent.
#[derive(Debug, Clone, Copy, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Events in a window, from 1 to 1000, over all workers; the first is sent at once. Default: 5.
    pub burst: u32,
    /// Window, from 1s to 1d; at its end one summary tells how many were held back. Default: 1m.
    pub window: Period,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            burst: 5,
            window: Period::seconds(60),
        }
    }
}

/// The queue of each worker in front of Sentry.
#[derive(Debug, Clone, Copy, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Queue {
    /// Events and transactions, from 1 to 10000. Transactions fill at most half. Default: 100.
    pub max_events: u32,
    /// Bytes, from 65536 to 67108864. Default: 1048576.
    pub max_bytes: u64,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            max_events: 100,
            max_bytes: 1 << 20,
        }
    }
}

/// When people are told.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Alert {
    /// Name, at most 64 characters, each once. Required.
    pub name: String,
    /// Condition. Required.
    pub when: When,
    /// Names of notifiers, at least one. Required.
    pub notify: Vec<String>,
    /// Quiet time after a notice on the same error, from 1s to 30d. Default: 30m.
    pub interval: Option<Period>,
    /// How long the condition must not hold until the alert is over, from 1s to 30d. Default: `window`, else `interval`.
    pub resolve_after: Option<Period>,
    /// Whether the end is told. Default: true.
    pub resolved: Option<bool>,
    /// `info`, `warning` (default) or `critical`.
    pub severity: Severity,
    /// Notices in an interval, of all errors together, from 1 to 1000. Default: 10.
    pub limit: Option<u32>,
}

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the words say it")]
pub enum Severity {
    Info,
    #[default]
    Warning,
    Critical,
}

/// A condition.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct When {
    /// `first_seen`, `frequency`, `percent`, `regression`, `match` or `unique_users`. Required.
    pub kind: Option<Kind>,
    /// `frequency`: errors, from 1 to 1000000. `unique_users`: users, from 1 to 100. Required there.
    pub count: Option<u64>,
    /// `frequency`, `percent`, `unique_users`: window, from 1s to 1d. Default: 1m, 5m, 1h.
    pub window: Option<Period>,
    /// `frequency`: `issue` (default) counts each error by itself, `all` counts all together.
    pub per: Per,
    /// `percent`: share of failed requests, in percent. Required there.
    pub percent: Option<Percent>,
    /// `percent`: requests in the window below which nothing is judged, from 1 to 1000000000. Default: 50.
    pub min_requests: Option<u64>,
    /// `regression`: how long the error was not seen, from 1s to 30d. Default: 1d.
    pub quiet: Option<Period>,
    /// `match`: request header. Give one of `header` and `tag`.
    pub header: String,
    /// `match`: tag of the event, such as `http.route` or one of `tags`.
    pub tag: String,
    /// `match`: values, compared as a whole, at most 1000. Empty: any.
    pub values: Vec<String>,
}

/// Kind of a condition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An error that was never seen.
    FirstSeen,
    /// Many errors in a window.
    Frequency,
    /// A large share of failed requests in a window with enough traffic.
    Percent,
    /// An error that comes back after a quiet time.
    Regression,
    /// An error of a request that matches.
    Match,
    /// An error that many users met in a window.
    UniqueUsers,
}

/// What is counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Per {
    /// Each error by itself.
    #[default]
    Issue,
    /// All errors.
    All,
}
