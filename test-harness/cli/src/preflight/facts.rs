//! What is known of a gateway: plain data, so that every rule can be tried without one.

use std::{collections::BTreeMap, time::SystemTime};

use serde_json::Value;

use super::{exposition::Sample, rule::NotChecked};
use crate::index::Index;

/// Everything gathered. A source that was not named is `None`.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) now: SystemTime,
    pub(crate) url: String,
    pub(crate) host: String,
    pub(crate) gateway: Gateway,
    pub(crate) admin: Option<Admin>,
    pub(crate) index: Option<IndexFile>,
    pub(crate) manifests: Option<Manifests>,
    /// `None`: no key was given. One entry for each thing that should be signed.
    pub(crate) signatures: Option<Vec<Signature>>,
    pub(crate) prometheus: Option<Prometheus>,
    pub(crate) alertmanager: Option<Alertmanager>,
    pub(crate) access_log: Option<AccessLog>,
}

impl Facts {
    pub(crate) fn admin(&self) -> Result<&Admin, NotChecked> {
        needs(self.admin.as_ref(), "--admin")
    }

    pub(crate) fn index(&self) -> Result<&IndexFile, NotChecked> {
        needs(self.index.as_ref(), "--index")
    }

    pub(crate) fn manifests(&self) -> Result<&Manifests, NotChecked> {
        needs(self.manifests.as_ref(), "--manifests")
    }

    pub(crate) fn prometheus(&self) -> Result<&Prometheus, NotChecked> {
        needs(self.prometheus.as_ref(), "--prometheus")
    }

    pub(crate) fn alertmanager(&self) -> Result<&Alertmanager, NotChecked> {
        needs(self.alertmanager.as_ref(), "--alertmanager")
    }

    pub(crate) fn access_log(&self) -> Result<&AccessLog, NotChecked> {
        needs(self.access_log.as_ref(), "--access-log")
    }

    pub(crate) fn tls(&self) -> Result<&Tls, NotChecked> {
        needs(self.gateway.tls.as_ref(), "an https:// URL")
    }
}

fn needs<'a, T>(source: Option<&'a T>, option: &str) -> Result<&'a T, NotChecked> {
    source.ok_or_else(|| NotChecked(format!("needs {option}")))
}

/// What the gateway itself answers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Gateway {
    pub(crate) tls: Option<Tls>,
    /// `GET` of the URL's path without TLS. `None`: nobody said where.
    pub(crate) plain: Option<Reply>,
    /// The same over the URL as given.
    pub(crate) page: Reply,
    pub(crate) live: Reply,
    pub(crate) ready: Reply,
    pub(crate) startup: Reply,
    /// Another listener's host over this listener's connection: host, answer.
    pub(crate) misdirected: Option<(String, Reply)>,
}

/// A response.
#[derive(Debug, Clone, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// All values of a header.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.headers
            .iter()
            .filter(move |(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The first value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }
}

/// What handshakes showed.
#[derive(Debug, Clone)]
pub(crate) struct Tls {
    /// Of 1.0 to 1.3, those that the gateway accepts.
    pub(crate) versions: Vec<&'static str>,
    pub(crate) not_after: SystemTime,
    pub(crate) names: Vec<String>,
    /// Whether the chain leads to a trusted root, at a time within its validity.
    pub(crate) chain: Result<usize, String>,
    pub(crate) name: Result<(), String>,
}

/// What the admin interface tells.
#[derive(Debug, Clone, Default)]
pub(crate) struct Admin {
    pub(crate) plugins: Vec<Loaded>,
    /// Where the admin interface itself listens, as the dump has it.
    pub(crate) address: Option<String>,
    /// The whole `/config_dump`.
    pub(crate) dump: Value,
    pub(crate) samples: Vec<Sample>,
    /// `launchgate_health_checks_total` at the start and at the end of the run.
    pub(crate) checks: (u64, u64),
}

impl Admin {
    /// The configuration of a policy: a plugin's own, or its section of `suite`.
    pub(crate) fn policy(&self, name: &str) -> Result<&Value, NotChecked> {
        let section = name.replace('-', "_");
        self.plugins
            .iter()
            .find_map(|plugin| match plugin.plugin.as_str() {
                "suite" => plugin.config.get(&section),
                own => (own == name).then_some(&plugin.config),
            })
            .ok_or_else(|| NotChecked(format!("the gateway has no {name}")))
    }

    /// Sum of a statistic's samples; absent counts as 0.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples
            .iter()
            .filter(|s| s.name == name)
            .map(|s| s.value)
            .sum()
    }
}

/// A plugin of the gateway, as its configuration names it.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// Which one it is: `health`, `suite`.
    pub(crate) plugin: String,
    /// The name that the gateway's configuration gives it.
    pub(crate) name: String,
    pub(crate) config: Value,
    /// Variables handed over by name.
    pub(crate) host_variables: Vec<String>,
    /// Variables whose value stands in the configuration.
    pub(crate) inline_variables: BTreeMap<String, String>,
    pub(crate) failure_policy: String,
    /// SHA-256 of the module, or why it is not known.
    pub(crate) digest: Result<String, String>,
}

/// An index and the schemas beside it.
#[derive(Debug, Clone)]
pub(crate) struct IndexFile {
    pub(crate) index: Index,
    /// By plugin.
    pub(crate) schemas: BTreeMap<String, Value>,
}

/// What `launchgate check` says of the manifests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manifests {
    pub(crate) resources: usize,
    /// Rule and the rest of the line.
    pub(crate) findings: Vec<(&'static str, String)>,
    /// Plugin, version, digest as pinned, of each image.
    pub(crate) images: Vec<(String, String)>,
}

/// One thing that should be signed.
#[derive(Debug, Clone)]
pub(crate) struct Signature {
    pub(crate) of: String,
    pub(crate) valid: Result<(), String>,
}

/// What Prometheus knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Prometheus {
    /// Targets that are up, and the last error of those that are not.
    pub(crate) up: Vec<String>,
    pub(crate) down: Vec<(String, String)>,
    /// Series of the gateway's request counters.
    pub(crate) request_series: u64,
    /// Alert rules whose name begins with `Launchgate`, and those that cannot be evaluated.
    pub(crate) alert_rules: Vec<String>,
    pub(crate) broken_rules: Vec<String>,
    pub(crate) alertmanagers: usize,
}

/// What Alertmanager knows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Alertmanager {
    pub(crate) version: String,
    /// `None`: none was sent.
    pub(crate) test_alert: Option<Result<(), String>>,
}

/// The end of the access log.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessLog {
    pub(crate) lines: Vec<String>,
    /// The trace id that preflight's own request carried.
    pub(crate) trace_id: String,
}
