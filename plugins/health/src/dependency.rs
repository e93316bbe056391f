//! A dependency without invalid state: what is checked, how and how often.

use std::time::Duration;

use launchgate_sdk::{ConfigErrors, Percent};

use crate::config::{Kind, RawDependency};

/// The longest name, bytes.
const LONGEST_NAME: usize = 64;

/// A dependency of the service.
#[derive(Debug, Clone)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) required: bool,
    pub(crate) interval: Duration,
    pub(crate) failure_threshold: u32,
    pub(crate) success_threshold: u32,
    pub(crate) probe: Probe,
}

/// How it is checked.
#[derive(Debug, Clone)]
pub(crate) enum Probe {
    /// `GET path` answers one of `expected`; any 2xx where that is empty.
    Http {
        target: Target,
        path: String,
        expected: Vec<u16>,
    },
    /// `grpc.health.v1.Health/Check` answers SERVING.
    Grpc { target: Target, service: String },
    /// Envoy's admin interface calls enough hosts of `cluster` healthy.
    Envoy {
        target: Target,
        cluster: String,
        min_healthy: Option<Percent>,
    },
    /// Not too many requests to `cluster` failed in a window.
    Passive {
        cluster: String,
        max_errors: Percent,
        min_requests: u64,
    },
}

/// Where a call-out goes.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) cluster: String,
    pub(crate) authority: String,
    pub(crate) timeout: Duration,
}

impl Probe {
    /// As the configuration spells it.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Http { .. } => "http",
            Self::Grpc { .. } => "grpc",
            Self::Envoy { .. } => "envoy",
            Self::Passive { .. } => "passive",
        }
    }
}

impl Dependency {
    /// Builds the dependency at `path` of the configuration, or notes everything that is wrong with it.
    pub(crate) fn build(raw: RawDependency, path: &str, errors: &mut ConfigErrors) -> Self {
        check_common(&raw, path, errors);
        check_keys(&raw, path, errors);
        let timeout = raw
            .timeout
            .map_or(raw.interval.0.min(Duration::from_secs(1)), |timeout| {
                timeout.0
            });
        let target = |cluster: &str| Target {
            cluster: cluster.to_owned(),
            authority: raw.authority.clone().unwrap_or_else(|| cluster.to_owned()),
            timeout,
        };
        let probe = match raw.kind {
            Kind::Http => Probe::Http {
                target: target(&raw.cluster),
                path: raw.path.clone().unwrap_or_else(|| "/".to_owned()),
                expected: raw.expected_status.clone().unwrap_or_default(),
            },
            Kind::Grpc => Probe::Grpc {
                target: target(&raw.cluster),
                service: raw.service.clone().unwrap_or_default(),
            },
            Kind::Envoy => Probe::Envoy {
                target: target(raw.admin_cluster.as_deref().unwrap_or_default()),
                cluster: raw.cluster.clone(),
                min_healthy: raw.min_healthy,
            },
            Kind::Passive => Probe::Passive {
                cluster: raw.cluster.clone(),
                max_errors: raw.max_errors.unwrap_or(Percent::whole(50)),
                min_requests: u64::from(raw.min_requests.unwrap_or(10)),
            },
        };
        Self {
            name: raw.name,
            required: raw.required,
            interval: raw.interval.0,
            failure_threshold: raw.failure_threshold,
            success_threshold: raw.success_threshold,
            probe,
        }
    }
}

fn check_common(raw: &RawDependency, path: &str, errors: &mut ConfigErrors) {
    let is_name_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    let valid_name = !raw.name.is_empty()
        && raw.name.len() <= LONGEST_NAME
        && raw.name.bytes().all(is_name_byte);
    errors.check(
        valid_name,
        format!("{path}.name"),
        "expected 1 to 64 letters, digits, \"_\" or \"-\"",
    );
    errors.check(
        !raw.cluster.is_empty(),
        format!("{path}.cluster"),
        "expected the name of a cluster",
    );
    let sane = Duration::from_millis(50)..=Duration::from_secs(3600);
    errors.check(
        sane.contains(&raw.interval.0),
        format!("{path}.interval"),
        "expected 50ms to 1h",
    );
    let sane = Duration::from_millis(1)..=Duration::from_secs(60);
    let valid_timeout = raw.timeout.is_none_or(|timeout| sane.contains(&timeout.0));
    errors.check(
        valid_timeout,
        format!("{path}.timeout"),
        "expected 1ms to 1m",
    );
    for (key, threshold) in [
        ("failure_threshold", raw.failure_threshold),
        ("success_threshold", raw.success_threshold),
    ] {
        errors.check(
            (1..=1000).contains(&threshold),
            format!("{path}.{key}"),
            "expected 1 to 1000",
        );
    }
}

/// Keys that belong to another kind would be ignored in silence: refuse them.
fn check_keys(raw: &RawDependency, path: &str, errors: &mut ConfigErrors) {
    use Kind::{Envoy, Grpc, Http, Passive};
    let keys: [(&str, bool, &[Kind]); 9] = [
        ("timeout", raw.timeout.is_some(), &[Http, Grpc, Envoy]),
        ("path", raw.path.is_some(), &[Http]),
        ("authority", raw.authority.is_some(), &[Http, Grpc, Envoy]),
        ("expected_status", raw.expected_status.is_some(), &[Http]),
        ("service", raw.service.is_some(), &[Grpc]),
        ("admin_cluster", raw.admin_cluster.is_some(), &[Envoy]),
        ("min_healthy", raw.min_healthy.is_some(), &[Envoy]),
        ("max_errors", raw.max_errors.is_some(), &[Passive]),
        ("min_requests", raw.min_requests.is_some(), &[Passive]),
    ];
    for (key, present, kinds) in keys {
        errors.check(
            !present || kinds.contains(&raw.kind),
            format!("{path}.{key}"),
            "expected no such key for this kind",
        );
    }
    let has_admin = raw
        .admin_cluster
        .as_deref()
        .is_some_and(|cluster| !cluster.is_empty());
    errors.check(
        raw.kind != Envoy || has_admin,
        format!("{path}.admin_cluster"),
        "expected the cluster of the admin interface",
    );
    let valid_path =
        |text: &String| text.starts_with('/') && text.bytes().all(|byte| byte.is_ascii_graphic());
    errors.check(
        raw.path.as_ref().is_none_or(valid_path),
        format!("{path}.path"),
        "expected a path that begins with \"/\", without blanks",
    );
    let valid_authority =
        |text: &String| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
    errors.check(
        raw.authority.as_ref().is_none_or(valid_authority),
        format!("{path}.authority"),
        "expected a host name, without blanks",
    );
    for (index, status) in raw.expected_status.iter().flatten().enumerate() {
        errors.check(
            (100..600).contains(status),
            format!("{path}.expected_status[{index}]"),
            "expected 100 to 599",
        );
    }
    let some_status = raw
        .expected_status
        .as_ref()
        .is_none_or(|statuses| !statuses.is_empty());
    errors.check(
        some_status,
        format!("{path}.expected_status"),
        "expected at least one status",
    );
    errors.check(
        raw.service
            .as_ref()
            .is_none_or(|service| service.len() <= 256),
        format!("{path}.service"),
        "expected at most 256 bytes",
    );
}
