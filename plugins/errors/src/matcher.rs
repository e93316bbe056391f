//! Whether an exchange is one of those that a rule is about. All given keys must fit.

use launchgate_sdk::headers::{Headers, InvalidHeader};
use launchgate_sdk::path::{PathRule, RequestPath};
use launchgate_sdk::scope::{HostRule, without_port};
use launchgate_sdk::{ConfigErrors, response_flags};

use crate::config;
use crate::status::StatusRange;

/// A checked matcher.
#[derive(Debug, Clone)]
pub(crate) struct Matcher {
    path: Option<PathRule>,
    host: Option<HostRule>,
    method: String,
    statuses: Vec<StatusRange>,
    cluster: String,
    flags: u64,
    header: String,
    values: Vec<String>,
}

/// What is matched.
pub(crate) struct Facts<'a> {
    /// Request headers.
    pub request: &'a Headers,
    /// Status sent.
    pub status: Option<u16>,
    /// Upstream cluster.
    pub cluster: &'a str,
    /// Response flags.
    pub flags: u64,
}

impl Matcher {
    /// Checks a matcher, notes every mistake.
    pub(crate) fn check(config: &config::Matcher, at: &str, errors: &mut ConfigErrors) -> Self {
        let mut flags = 0;
        for (position, flag) in config.flags.iter().enumerate() {
            match response_flags::NAMES.iter().position(|name| name == flag) {
                Some(bit) => flags |= 1 << bit,
                None => errors.push(
                    format!("{at}.flags[{position}]"),
                    "expected a response flag of Envoy such as \"UF\"",
                ),
            }
        }
        let valid = config.header.is_empty() || InvalidHeader::check(&config.header, b"").is_ok();
        errors.check(valid, format!("{at}.header"), "expected a header name");
        errors.check(
            config.values.is_empty() || !config.header.is_empty(),
            format!("{at}.values"),
            "expected header beside values",
        );
        let matcher = Self {
            path: config.path.clone(),
            host: config.host.clone(),
            method: config.method.clone(),
            statuses: config.statuses.clone(),
            cluster: config.cluster.clone(),
            flags,
            header: config.header.to_ascii_lowercase(),
            values: config.values.clone(),
        };
        errors.check(
            !matcher.is_empty() || !config.flags.is_empty(),
            at,
            "expected at least one of path, host, method, statuses, cluster, flags, header",
        );
        matcher
    }

    fn is_empty(&self) -> bool {
        self.path.is_none()
            && self.host.is_none()
            && self.method.is_empty()
            && self.statuses.is_empty()
            && self.cluster.is_empty()
            && self.flags == 0
            && self.header.is_empty()
    }

    /// Whether an exchange fits.
    pub(crate) fn is_match(&self, facts: &Facts<'_>) -> bool {
        let request = facts.request;
        self.path
            .as_ref()
            .is_none_or(|rule| rule.exempts(RequestPath::read(request.path())))
            && self
                .host
                .as_ref()
                .is_none_or(|rule| rule.is_match(without_port(request.authority())))
            && (self.method.is_empty() || self.method.as_bytes() == request.method())
            && (self.statuses.is_empty()
                || facts
                    .status
                    .is_some_and(|status| self.statuses.iter().any(|range| range.contains(status))))
            && (self.cluster.is_empty() || self.cluster == facts.cluster)
            && (self.flags == 0 || self.flags & facts.flags != 0)
            && (self.header.is_empty()
                || request.all(&self.header).any(|value| {
                    self.values.is_empty() || self.values.iter().any(|own| own.as_bytes() == value)
                }))
    }
}
