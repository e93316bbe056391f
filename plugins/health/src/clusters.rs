//! The health of an Envoy cluster, as the admin interface tells it.
//!
//! 1. `GET /clusters?format=json&filter=^name$` gives one cluster on Envoy 1.40; older ones ignore the filter and give all,
//!    so the name is compared here too.
//! 2. A host counts as healthy when its discovery status is not unhealthy and no flag is set: active health check failed or
//!    not made yet, outlier, removed. Source: Envoy's `admin/v3/clusters.proto`, `HostHealthStatus`.
//! 3. An unknown cluster and one without hosts are failures.
//! 4. A body above the limit is not read: the admin interface of a proxy with thousands of clusters has megabytes.

use launchgate_sdk::Percent;
use launchgate_sdk::config::{self, Decode};

use crate::record::Outcome;

/// The largest body that is read, bytes.
pub(crate) const LARGEST_BODY: usize = 256 << 10;

/// The path that asks for one cluster.
pub(crate) fn path(cluster: &str) -> String {
    let mut path = "/clusters?format=json&filter=^".to_owned();
    for byte in cluster.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => path.push(char::from(byte)),
            // An escaped expression character, percent-encoded as a whole.
            byte if byte.is_ascii() => path.push_str(&format!("%5C%{byte:02X}")),
            byte => path.push_str(&format!("%{byte:02X}")),
        }
    }
    path.push('$');
    path
}

/// What the admin interface says of `cluster`.
pub(crate) fn read(
    status: u16,
    body: &[u8],
    cluster: &str,
    min_healthy: Option<Percent>,
) -> Outcome {
    let failure = |reason: &str| Outcome::Failure(reason.to_owned());
    if status != 200 {
        return Outcome::Failure(format!("admin_status_{status}"));
    }
    if body.len() > LARGEST_BODY {
        return failure("admin_body_too_large");
    }
    let Ok(answer) = config::read::<Answer>(body) else {
        return failure("admin_body_unreadable");
    };
    let Some(found) = answer
        .cluster_statuses
        .into_iter()
        .find(|known| known.name == cluster)
    else {
        return failure("cluster_unknown");
    };
    let total = found.host_statuses.len() as u64;
    let healthy = found
        .host_statuses
        .iter()
        .filter(|host| host.health_status.is_healthy())
        .count() as u64;
    let enough = match min_healthy {
        Some(share) => healthy * 1_000_000 >= total * u64::from(share.millionths()),
        None => healthy > 0,
    };
    match (total, enough) {
        (0, _) => failure("no_hosts"),
        (_, true) => Outcome::Success,
        (_, false) => Outcome::Failure(format!("healthy_hosts_{healthy}_of_{total}")),
    }
}

#[derive(Decode)]
struct Answer {
    #[serde(default)]
    cluster_statuses: Vec<Cluster>,
}

#[derive(Decode)]
struct Cluster {
    #[serde(default)]
    name: String,
    #[serde(default)]
    host_statuses: Vec<Host>,
}

#[derive(Decode)]
struct Host {
    #[serde(default)]
    health_status: Health,
}

#[derive(Default, Decode)]
#[serde(default)]
struct Health {
    failed_active_health_check: bool,
    failed_outlier_check: bool,
    pending_dynamic_removal: bool,
    pending_active_hc: bool,
    excluded_via_immediate_hc_fail: bool,
    active_hc_timeout: bool,
    eds_health_status: String,
}

impl Health {
    fn is_healthy(&self) -> bool {
        let flagged = self.failed_active_health_check
            || self.failed_outlier_check
            || self.pending_dynamic_removal
            || self.pending_active_hc
            || self.excluded_via_immediate_hc_fail
            || self.active_hc_timeout;
        !flagged
            && !matches!(
                self.eds_health_status.as_str(),
                "UNHEALTHY" | "TIMEOUT" | "DRAINING"
            )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn answer(hosts: &[Value]) -> Vec<u8> {
        let hosts: Vec<Value> = hosts
            .iter()
            .map(|status| json!({"address": {}, "health_status": status}))
            .collect();
        let other = json!({"name": "redis2", "host_statuses": [{"health_status": {"eds_health_status": "HEALTHY"}}]});
        json!({"cluster_statuses": [other, {"name": "redis", "added_via_api": true, "host_statuses": hosts}]}).to_string().into_bytes()
    }

    #[test]
    fn hosts_are_counted_by_every_flag_that_envoy_has() {
        let healthy = json!({"eds_health_status": "HEALTHY"});
        let failed = json!({"failed_active_health_check": true, "eds_health_status": "HEALTHY"});
        for (name, hosts, share, expected) in [
            (
                "one healthy host is enough",
                vec![healthy.clone(), failed.clone()],
                None,
                None,
            ),
            (
                "none is healthy",
                vec![failed.clone(), failed.clone()],
                None,
                Some("healthy_hosts_0_of_2"),
            ),
            (
                "half is not two thirds",
                vec![healthy.clone(), failed.clone()],
                Some(66),
                Some("healthy_hosts_1_of_2"),
            ),
            (
                "half is half",
                vec![healthy.clone(), failed.clone()],
                Some(50),
                None,
            ),
            (
                "not checked yet",
                vec![json!({"pending_active_hc": true})],
                None,
                Some("healthy_hosts_0_of_1"),
            ),
            (
                "an outlier",
                vec![json!({"failed_outlier_check": true})],
                None,
                Some("healthy_hosts_0_of_1"),
            ),
            (
                "unhealthy by discovery",
                vec![json!({"eds_health_status": "UNHEALTHY"})],
                None,
                Some("healthy_hosts_0_of_1"),
            ),
            (
                "degraded still serves",
                vec![json!({"eds_health_status": "DEGRADED"})],
                None,
                None,
            ),
            ("no hosts", vec![], Some(0), Some("no_hosts")),
        ] {
            let outcome = read(200, &answer(&hosts), "redis", share.map(Percent::whole));
            let expected = expected.map_or(Outcome::Success, |reason| {
                Outcome::Failure(reason.to_owned())
            });
            assert_eq!(outcome, expected, "{name}");
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let large = vec![b' '; LARGEST_BODY + 1];
        for (status, body, reason) in [
            (403, &b""[..], "admin_status_403"),
            (200, b"not json", "admin_body_unreadable"),
            (200, b"{}", "cluster_unknown"),
            (200, &large, "admin_body_too_large"),
        ] {
            assert_eq!(
                read(status, body, "redis", None),
                Outcome::Failure(reason.to_owned()),
                "{reason}"
            );
        }
    }

    #[test]
    fn a_cluster_name_is_no_expression() {
        assert_eq!(path("redis-1"), "/clusters?format=json&filter=^redis-1$");
        assert_eq!(
            path("outbound|80||a.b"),
            "/clusters?format=json&filter=^outbound%5C%7C80%5C%7C%5C%7Ca%5C%2Eb$"
        );
    }
}
