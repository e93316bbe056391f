//! Service level objectives, checked.
//!
//! 1. A share of 100 % leaves no budget to burn and is refused, as is one of nothing.
//! 2. A latency threshold is one of the bounds, so that dashboards and objectives speak of the same requests.

use launchgate_sdk::{ConfigErrors, Percent};

use crate::config::Slo;

/// An objective.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    /// Name.
    pub name: String,
    /// Routes named, without `*`.
    pub routes: Vec<String>,
    /// Whether `*` is named.
    pub others: bool,
    /// Share of requests that must not fail, parts of a million.
    pub availability: u32,
    /// Threshold in milliseconds, and share in parts of a million.
    pub latency: Option<(u64, u32)>,
    /// Requests in the long window below which alerts stay silent.
    pub minimum_requests: u32,
}

/// Checks all objectives.
pub(crate) fn objectives(
    slo: &[Slo],
    buckets: &[u64],
    errors: &mut ConfigErrors,
) -> Vec<Objective> {
    let mut objectives: Vec<Objective> = Vec::new();
    errors.check(slo.len() <= 50, "slo", "expected at most 50 objectives");
    for (position, slo) in slo.iter().enumerate() {
        let at = |key: &str| format!("slo[{position}].{key}");
        let named = !slo.name.is_empty()
            && slo.name.len() <= 64
            && slo
                .name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
        errors.check(
            named,
            at("name"),
            "expected letters, digits, \"_\" and \"-\"",
        );
        errors.check(
            objectives.iter().all(|other| other.name != slo.name),
            at("name"),
            "expected each name once",
        );
        errors.check(
            !slo.routes.is_empty(),
            at("routes"),
            "expected at least one route, or \"*\"",
        );
        let share = |percent: Option<Percent>, key: &str, errors: &mut ConfigErrors| {
            let share = percent.map_or(0, Percent::millionths);
            errors.check(
                (1..1_000_000).contains(&share),
                at(key),
                "expected a percent number above 0 and below 100",
            );
            share
        };
        let availability = share(slo.availability_percent, "availability_percent", errors);
        let latency = slo.latency.as_ref().map(|latency| {
            let nanos = latency
                .threshold
                .map_or(0, |threshold| threshold.0.as_nanos());
            let millis = u64::try_from(nanos / 1_000_000).unwrap_or(u64::MAX);
            let known = nanos.is_multiple_of(1_000_000) && buckets.contains(&millis);
            errors.check(known, at("latency.threshold"), "expected one of buckets");
            (millis, share(latency.percent, "latency.percent", errors))
        });
        objectives.push(Objective {
            name: slo.name.clone(),
            routes: slo
                .routes
                .iter()
                .filter(|route| *route != "*")
                .cloned()
                .collect(),
            others: slo.routes.iter().any(|route| route == "*"),
            availability,
            latency,
            minimum_requests: slo.minimum_requests.unwrap_or(100),
        });
    }
    objectives
}
