//! Whether a cluster has hosts that can take requests, as Envoy's own admin interface says.
//!
//! 1. `/clusters?format=json&filter=…` answers the two clusters on Envoy 1.40; older Envoys ignore the filter and list all.
//! 2. A host counts unless it failed its active health check, was ejected as an outlier, or EDS says so. A cluster that is
//!    not listed has none.
//! 3. An answer that is none changes nothing.

use launchgate_sdk::config::{self, Decode};
use launchgate_sdk::{Answer, Call};

use crate::config::ClustersConfig;
use crate::fleet::{Silence, percent_encode};

/// Which of the two clusters have hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hosts {
    /// The canary's.
    pub(crate) canary: bool,
    /// Stable's.
    pub(crate) stable: bool,
}

#[derive(Decode)]
struct Reply {
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

#[derive(Decode, Default)]
#[serde(default)]
struct Health {
    failed_active_health_check: bool,
    failed_outlier_check: bool,
    pending_dynamic_removal: bool,
    eds_health_status: String,
}

impl Host {
    fn is_healthy(&self) -> bool {
        let Health {
            failed_active_health_check,
            failed_outlier_check,
            pending_dynamic_removal,
            eds_health_status,
        } = &self.health_status;
        let eds = matches!(
            eds_health_status.as_str(),
            "" | "HEALTHY" | "DEGRADED" | "UNKNOWN"
        );
        !failed_active_health_check && !failed_outlier_check && !pending_dynamic_removal && eds
    }
}

/// The question.
pub(crate) fn ask(admin: &str, clusters: &ClustersConfig) -> Call {
    let names = [&clusters.canary, &clusters.stable]
        .map(|name| escape(name))
        .join("|");
    Call::get(
        admin,
        "admin",
        &format!(
            "/clusters?format=json&filter={}",
            percent_encode(&format!("^({names})$"))
        ),
    )
}

/// The answer.
pub(crate) fn read(answer: &Answer, clusters: &ClustersConfig) -> Result<Hosts, Silence> {
    let Answer::Response { status, body, .. } = answer else {
        return Err(answer.reason());
    };
    if *status != 200 {
        return Err("status");
    }
    let reply: Reply = config::read(body).map_err(|_| "malformed")?;
    let has = |name: &str| {
        reply.cluster_statuses.iter().any(|cluster| {
            cluster.name == name && cluster.host_statuses.iter().any(Host::is_healthy)
        })
    };
    Ok(Hosts {
        canary: has(&clusters.canary),
        stable: has(&clusters.stable),
    })
}

/// A name as a regular expression (RE2).
fn escape(name: &str) -> String {
    let mut escaped = String::with_capacity(name.len() + 8);
    for letter in name.chars() {
        if letter.is_ascii_punctuation() && letter != '_' {
            escaped.push('\\');
        }
        escaped.push(letter);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use launchgate_sdk::Headers;

    #[test]
    fn hosts_count_unless_something_says_otherwise() {
        let clusters = ClustersConfig::default();
        let read = |body: &str| {
            read(
                &Answer::read(
                    Headers::from_pairs([(":status", "200")]),
                    body.as_bytes().to_vec(),
                    Headers::default(),
                ),
                &clusters,
            )
        };
        let list = |host: &str| {
            format!(
                r#"{{"cluster_statuses":[{{"name":"canary","host_statuses":[{host}]}},{{"name":"stable","host_statuses":[{{"health_status":{{"eds_health_status":"HEALTHY"}}}}]}}]}}"#
            )
        };
        for (host, canary) in [
            (r#"{"health_status":{"eds_health_status":"HEALTHY"}}"#, true),
            (r#"{"health_status":{}}"#, true),
            (
                r#"{"health_status":{"eds_health_status":"UNHEALTHY"}}"#,
                false,
            ),
            (
                r#"{"health_status":{"eds_health_status":"HEALTHY","failed_active_health_check":true}}"#,
                false,
            ),
            (r#"{"health_status":{"failed_outlier_check":true}}"#, false),
            (
                r#"{"health_status":{"failed_outlier_check":true}},{}"#,
                true,
            ),
            ("", false),
        ] {
            assert_eq!(
                read(&list(host)),
                Ok(Hosts {
                    canary,
                    stable: true
                }),
                "{host}"
            );
        }
        assert_eq!(
            read("{}"),
            Ok(Hosts {
                canary: false,
                stable: false
            })
        );
        assert_eq!(read("canary::1.2.3.4"), Err("malformed"));
    }

    #[test]
    fn a_name_is_no_pattern() {
        let clusters = ClustersConfig {
            canary: "outbound|80|v2|a.b".to_owned(),
            stable: "s".to_owned(),
        };
        let call = ask("admin", &clusters);
        let path =
            launchgate_sdk::percent_encoding::decode(call.path.expose().as_bytes()).into_owned();
        assert_eq!(
            String::from_utf8(path).unwrap(),
            r"/clusters?format=json&filter=^(outbound\|80\|v2\|a\.b|s)$"
        );
    }
}
