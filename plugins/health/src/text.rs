//! The bodies of replies: JSON, and the text form of Kubernetes' API server.
//!
//! 1. JSON as users know it: `status`, `timestamp`, `dependencies` with one word each, in the order of the configuration.
//! 2. Reasons, latencies and ages come with `details`, for the entitled only.
//! 3. Text: one line a dependency, `[+]name ok` or `[-]name failed: reason`; the reason is withheld from the others.

use launchgate_sdk::map::Map;

use launchgate_sdk::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::dependency::Dependency;
use crate::query::Query;
use crate::report::{Finding, State, Status};

/// What a reply is about.
pub(crate) struct Page<'a> {
    pub(crate) status: Status,
    pub(crate) now: Timestamp,
    pub(crate) dependencies: Vec<(&'a Dependency, &'a Finding)>,
    pub(crate) draining: bool,
    /// Service name, for the entitled.
    pub(crate) details: Option<&'a str>,
}

impl Page<'_> {
    /// The JSON form.
    pub(crate) fn json(&self) -> Vec<u8> {
        let body = Body {
            status: self.status.name(),
            timestamp: self.now.to_string(),
            dependencies: Ordered(
                self.dependencies
                    .iter()
                    .map(|(dependency, finding)| (&*dependency.name, finding.state.name()))
                    .collect(),
            ),
            draining: self.draining.then_some(true),
            service: self.details,
            details: self.details.map(|_| {
                self.dependencies
                    .iter()
                    .map(|(dependency, finding)| {
                        (&*dependency.name, Detail::of(dependency, finding))
                    })
                    .collect()
            }),
        };
        serde_json::to_vec(&body).unwrap_or_default()
    }

    /// The text form; `path` is the request path, which is one of the configured ones.
    pub(crate) fn text(&self, query: &Query, path: &str) -> Vec<u8> {
        let mut lines: Vec<String> = Vec::with_capacity(self.dependencies.len() + 4);
        if self.dependencies.is_empty() {
            lines.push("[+]ping ok".to_owned());
        }
        for (position, (dependency, finding)) in self.dependencies.iter().enumerate() {
            lines.push(self.line(dependency, finding, query.excluded.contains(&position)));
        }
        if self.draining {
            lines.push("[-]drain failed: draining".to_owned());
        }
        if !query.unknown.is_empty() {
            let names: Vec<String> = query
                .unknown
                .iter()
                .map(|name| format!("\"{name}\""))
                .collect();
            lines.push(format!(
                "warn: some health checks cannot be excluded: no matches for {}",
                names.join(",")
            ));
        }
        let result = if self.status.code() == 200 {
            "passed"
        } else {
            "failed"
        };
        lines.push(format!("{} check {result}\n", path.trim_start_matches('/')));
        lines.join("\n").into_bytes()
    }

    fn line(&self, dependency: &Dependency, finding: &Finding, excluded: bool) -> String {
        let name = &dependency.name;
        if excluded {
            return format!("[+]{name} excluded: ok");
        }
        if finding.state == State::Connected {
            return format!("[+]{name} ok");
        }
        let optional = if dependency.required {
            ""
        } else {
            " (optional)"
        };
        let reason = match (self.details, finding.state) {
            (None, _) => "reason withheld",
            (_, State::Unchecked) => "not checked yet",
            (_, State::Stale) => "last result too old",
            _ => &finding.record.reason,
        };
        format!("[-]{name} failed{optional}: {reason}")
    }
}

#[derive(Serialize)]
struct Body<'a> {
    status: &'static str,
    timestamp: String,
    dependencies: Ordered<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    draining: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    details: Option<Map<&'a str, Detail<'a>>>,
}

/// A map in the order of the configuration.
struct Ordered<'a>(Vec<(&'a str, &'static str)>);

impl Serialize for Ordered<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, state) in &self.0 {
            map.serialize_entry(name, state)?;
        }
        map.end()
    }
}

#[derive(Serialize)]
struct Detail<'a> {
    kind: &'static str,
    required: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<u32>,
    consecutive_failures: u32,
    #[serde(skip_serializing_if = "str::is_empty")]
    reason: &'a str,
}

impl<'a> Detail<'a> {
    fn of(dependency: &Dependency, finding: &'a Finding) -> Self {
        Self {
            kind: dependency.probe.kind(),
            required: dependency.required,
            state: finding.state.name(),
            age_ms: finding
                .age
                .map(|age| u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            latency_ms: finding.age.map(|_| finding.record.latency / 1000),
            consecutive_failures: finding.record.failures,
            reason: &finding.record.reason,
        }
    }
}
