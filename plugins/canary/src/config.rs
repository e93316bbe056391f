//! Configuration of `canary`, as it is spelled in JSON. `settings.rs` checks what the types cannot.

use launchgate_sdk::map::Map;

use launchgate_sdk::claim::ClaimConfig;
use launchgate_sdk::config::Decode;
use launchgate_sdk::cookie::SameSite;
use launchgate_sdk::notifier::NotifierConfig;
use launchgate_sdk::path::PathRule;
use launchgate_sdk::{Cidr, Percent, Period, Secret};

use crate::number::{Confidence, Factor};

/// The configuration.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Id of this rollout, 1 to 64 characters of `A-Z a-z 0-9 _ . -`. Required. It salts the buckets, and a rollback is
    /// remembered under it: a new attempt needs a new id.
    pub rollout: String,
    /// When stage 1 begins, RFC 3339. Absent or empty: the rollout holds at stage 1 until it is promoted.
    pub start: Option<String>,
    /// Key of the buckets and of the issued cookie's MAC. Required where a cookie is issued.
    pub secret: Secret,
    /// Who always gets the canary: any rule that matches. Default: none.
    #[serde(rename = "match")]
    pub matches: Vec<RuleConfig>,
    /// Who never gets the canary: any rule that matches. It wins over `match`. Default: none.
    pub never: Vec<RuleConfig>,
    /// What makes a user the same user, tried in order. Default: none, every request is drawn anew by `keyless`.
    pub key: Vec<KeyConfig>,
    /// A request in which no key is found. Default: `stable`; `random` where `key` is empty.
    pub keyless: Option<Keyless>,
    /// Shares over time. Default: none, so that only `match` gets the canary.
    pub stages: Vec<StageConfig>,
    /// For the whole fleet: never go beyond this stage (1 is the first). Default: no bound.
    pub hold_at: Option<u32>,
    /// For the whole fleet: be at least at this stage (1 is the first). Default: none.
    pub promote_to: Option<u32>,
    /// For the whole fleet: everybody gets stable as long as this stands. Default: false.
    pub abort: bool,
    /// How the choice is told to Envoy.
    pub steer: SteerConfig,
    /// Names of the clusters, by which responses are told apart.
    pub clusters: ClustersConfig,
    /// When the rollout ends by itself.
    pub rollback: RollbackConfig,
    /// When single requests go to stable because the canary cannot be reached.
    pub fallback: FallbackConfig,
    /// What all proxies know together. Default: none.
    pub fleet: Option<FleetConfig>,
    /// The control endpoint of this proxy. Default: none.
    pub control: Option<ControlConfig>,
    /// What is never judged.
    pub ignore: IgnoreConfig,
    /// Who is told of a rollback, by name. Default: nobody.
    pub notifiers: Map<String, NotifierConfig>,
}

/// A rule: all of its conditions hold.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RuleConfig {
    /// Request headers by name (any case). Of several values one must match.
    pub headers: Map<String, TextConfig>,
    /// Cookies by name (case-sensitive). Of several values one must match.
    pub cookies: Map<String, TextConfig>,
    /// Query parameters by name, percent-decoded. Of several values one must match.
    pub query: Map<String, TextConfig>,
    /// Ranges of which the peer must be in one. Default: any peer.
    pub allow: Vec<Cidr>,
    /// A token that the request must carry. Default: none.
    pub token: Option<TokenConfig>,
}

/// A token of a rule. Its header does not go upstream.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TokenConfig {
    /// Request header that carries it. Default: `x-canary-token`.
    pub header: String,
    /// The token, at least 16 printable ASCII characters. Required. Compared in constant time.
    pub value: Secret,
}

/// What a text must be: exactly one of these.
#[derive(Debug, Clone, Default, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct TextConfig {
    /// Equal, case-sensitive.
    pub exact: Option<String>,
    /// Begins with.
    pub prefix: Option<String>,
    /// Ends with.
    pub suffix: Option<String>,
    /// There (`true`) or not there (`false`).
    pub present: Option<bool>,
    /// The whole text, where `*` is any run of bytes and `?` any one byte.
    pub glob: Option<String>,
}

/// Where a user's key is read: exactly one of these.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct KeyConfig {
    /// A request header that stands exactly once and is not empty.
    pub header: Option<String>,
    /// A cookie.
    pub cookie: Option<CookieConfig>,
    /// A claim of a JWT.
    pub jwt: Option<ClaimConfig>,
    /// The peer's address, where it is that of a real connection (see `trust_envoy_xff`).
    pub client_ip: bool,
}

/// A cookie as a key.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CookieConfig {
    /// Its name. Default: `launchgate_id`.
    pub name: String,
    /// Whether the gateway issues it, signed, to who has none. Must then be the last key. Default: false.
    pub issue: bool,
    /// How long an issued cookie lives, from 1m to 400d. Default: 30d.
    pub max_age: Period,
    /// `Path` of an issued cookie. Default: `/`.
    pub path: String,
    /// `Domain` of an issued cookie. Default: none, the host itself.
    pub domain: String,
    /// `SameSite` of an issued cookie. Default: `Lax`.
    pub same_site: SameSite,
    /// Whether an issued cookie is `Partitioned`. Default: false.
    pub partitioned: bool,
    /// Whether the cookie is deleted at the client once this rollout is rolled back or aborted. Default: false: the id
    /// names a browser, not a variant, and the next rollout draws its buckets anew.
    pub expire: bool,
}

impl Default for CookieConfig {
    fn default() -> Self {
        Self {
            name: "launchgate_id".to_owned(),
            issue: false,
            max_age: Period::seconds(30 * 86_400),
            path: "/".to_owned(),
            domain: String::new(),
            same_site: SameSite::Lax,
            partitioned: false,
            expire: false,
        }
    }
}

/// What a request without key gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Keyless {
    /// Stable, until the share is 100 %.
    Stable,
    /// A bucket of its own: the share holds, but not for the same users.
    Random,
}

/// A stage.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct StageConfig {
    /// Share of users that get the canary, at least that of the stage before. Required.
    pub percent: Option<Percent>,
    /// How long the stage lasts. Absent: until it is promoted. Of the last stage it means nothing.
    #[serde(rename = "for")]
    pub lasts: Option<Period>,
}

/// How the choice is told to Envoy.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct SteerConfig {
    /// `header` (default), `cluster_header` or `weight_header`.
    pub kind: SteerKind,
    /// Request header that carries the choice; the client's own is always removed. Default: `x-launchgate-variant`.
    pub header: String,
    /// Its value for the canary. Default: `canary`, the canary's cluster, or `999999`, by kind.
    pub canary: Option<String>,
    /// Its value for stable. Default: `stable`, the stable cluster, or `0`, by kind.
    pub stable: Option<String>,
}

impl Default for SteerConfig {
    fn default() -> Self {
        Self {
            kind: SteerKind::Header,
            header: "x-launchgate-variant".to_owned(),
            canary: None,
            stable: None,
        }
    }
}

/// What reads the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SteerKind {
    /// Routes that match the header (Envoy, an Istio `VirtualService`, an `HTTPRoute`).
    #[default]
    Header,
    /// A route with `cluster_header`: the value is the name of the cluster.
    ClusterHeader,
    /// A route with `weighted_clusters.header_name`: the value is a number, taken modulo the sum of the weights. With
    /// stable listed first and a sum that divides 1,000,000, the defaults 0 and 999999 choose the first and the last.
    WeightHeader,
}

/// Names of the clusters.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ClustersConfig {
    /// Cluster of the canary. Default: `canary`.
    pub canary: String,
    /// Cluster of stable. Default: `stable`.
    pub stable: String,
}

impl Default for ClustersConfig {
    fn default() -> Self {
        Self {
            canary: "canary".to_owned(),
            stable: "stable".to_owned(),
        }
    }
}

/// When the rollout ends by itself.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RollbackConfig {
    /// Responses of the last so long are judged, from 1s to 1h. Default: 1m.
    pub window: Period,
    /// Fewer responses of the canary decide nothing. Default: 50.
    pub min_requests: u32,
    /// More 5xx (or failed gRPC calls) than this share convict; exactly this share does not. 100: off. Default: 1.
    pub max_5xx_percent: Percent,
    /// A 99th percentile above this convicts, that is, more than 1 % of responses that take longer. `0s`: off. Default: 800ms.
    pub max_p99: Period,
    /// From 5 errors up, more than so many times the share of stable convicts, also below `max_5xx_percent`. 0: off. Default: 3.
    pub surge_factor: Factor,
    /// How sure a conviction must be that it is no accident, from 0.5 to less than 1. 0: plain comparison of shares. Default: 0.999.
    pub confidence: Confidence,
    /// Whether a conviction at a share of 100 % rolls back too; otherwise it is only reported. Default: false.
    pub at_full: bool,
    /// How long a rollback takes to bring the share down to 0, so that stable is not flooded. Default: 0s, at once.
    pub gradual: Period,
    /// Whether `match` still gives the canary after a rollback or abort, to look into it. Default: false.
    pub keep_forced: bool,
}

impl Default for RollbackConfig {
    fn default() -> Self {
        Self {
            window: Period::seconds(60),
            min_requests: 50,
            max_5xx_percent: Percent::whole(1),
            max_p99: Period::millis(800),
            surge_factor: Factor::whole(3),
            confidence: Confidence::DEFAULT,
            at_full: false,
            gradual: Period::seconds(0),
            keep_forced: false,
        }
    }
}

/// When single requests go to stable because the canary cannot be reached.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FallbackConfig {
    /// After so many connection failures of the canary in a row. 0: never. Default: 3.
    pub after: u32,
    /// After so long the canary is tried again; one more failure falls back again. Default: 10s.
    pub retry: Period,
    /// Cluster that leads to Envoy's admin interface. Set: its health of the canary's hosts decides too, and no rollback
    /// goes to a stable without hosts. Default: none.
    pub admin_cluster: String,
    /// How often the admin interface is asked, from 1s. Default: 5s.
    pub interval: Period,
}

impl Default for FallbackConfig {
    fn default() -> Self {
        Self {
            after: 3,
            retry: Period::seconds(10),
            admin_cluster: String::new(),
            interval: Period::seconds(5),
        }
    }
}

/// Prometheus as the memory of all proxies.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct FleetConfig {
    /// Cluster that leads to Prometheus. Required.
    pub cluster: String,
    /// Host name sent. Default: that of `url`, else the name of the cluster.
    pub authority: String,
    /// Path of the query API. Default: that of `url`, else `/api/v1/query`.
    pub path: Secret,
    /// Further headers, such as `authorization`.
    pub headers: Map<String, Secret>,
    /// Time until the whole answer must be there, from 1ms to 60s. Default: 2s.
    pub timeout: Option<Period>,
    /// An `http` or `https` address that fills `authority` and `path`.
    pub url: Secret,
    /// How often it is asked, from 1s. Default: 5s.
    pub interval: Period,
    /// How far each query looks back. Default: 5m.
    pub lookback: Period,
    /// How far the first query after a start looks back. Default: 7d.
    pub history: Period,
    /// Whether the rates of the whole fleet are judged, beside those of this proxy. Default: false.
    pub judge: bool,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            cluster: String::new(),
            authority: String::new(),
            path: Secret::default(),
            headers: Map::new(),
            timeout: None,
            url: Secret::default(),
            interval: Period::seconds(5),
            lookback: Period::seconds(300),
            history: Period::seconds(7 * 86_400),
            judge: false,
        }
    }
}

/// The control endpoint of this proxy.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct ControlConfig {
    /// Its exact path. Default: `/launchgate/canary`.
    pub path: String,
    /// Ranges of which the peer must be in one. Default: none, any peer that has the token.
    pub allow: Vec<Cidr>,
    /// Bearer token, at least 16 characters. Empty: the endpoint is off.
    pub token: Secret,
}

impl Default for ControlConfig {
    fn default() -> Self {
        Self {
            path: "/launchgate/canary".to_owned(),
            allow: Vec::new(),
            token: Secret::default(),
        }
    }
}

/// What is never judged.
#[derive(Debug, Clone, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct IgnoreConfig {
    /// Paths of probes. Default: `/livez`, `/healthz`, `/readyz`, `/startupz`.
    pub paths: Vec<PathRule>,
    /// Beginnings of the `user-agent` of probes. Default: `kube-probe/`, `Envoy/HC`, `GoogleHC/`, `ELB-HealthChecker/`.
    pub user_agents: Vec<String>,
}

impl Default for IgnoreConfig {
    fn default() -> Self {
        let paths = ["/livez", "/healthz", "/readyz", "/startupz"];
        let agents = ["kube-probe/", "Envoy/HC", "GoogleHC/", "ELB-HealthChecker/"];
        Self {
            paths: paths.into_iter().filter_map(PathRule::parse).collect(),
            user_agents: agents.map(str::to_owned).to_vec(),
        }
    }
}
