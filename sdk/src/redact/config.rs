//! Redaction as a configuration spells it.

use crate::map::Map;

use crate::config::Decode;

use super::path::PathPattern;
use super::{Detector, Redaction, Redactor};
use crate::config::ConfigErrors;
use crate::hash::Key;
use crate::headers::InvalidHeader;

/// What is redacted, and how. Names are compared without regard to case, after percent-decoding.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct RedactConfig {
    /// Mode by header name. Goes before the denylist; `authorization` and `proxy-authorization` cannot be kept.
    pub headers: Map<String, Redaction>,
    /// Mode by cookie name. Goes before the denylist.
    pub cookies: Map<String, Redaction>,
    /// Mode by query key; `a[b]` is known as `a`, as `b` and as a whole. Goes before the denylist.
    pub query: Map<String, Redaction>,
    /// Mode by path pattern such as `/reset/*`: the segments under `*` are redacted. A pattern covers all longer paths.
    pub path: Map<String, Redaction>,
    /// Forms of secrets that are masked in every text. Default: `jwt`, `bearer`, `card`, `email`.
    pub detectors: Vec<Detector>,
    /// Whether names on Sentry's and OpenTelemetry's denylists are masked. Default: true.
    pub denylist: bool,
    /// The address of the client: `keep` (default), `truncate`, `hmac` or `drop`.
    pub client_ip: IpRedaction,
}

/// What becomes of an IP address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum IpRedaction {
    /// It stays (the default).
    #[default]
    Keep,
    /// Of IPv4 the first 24 bits stay, of IPv6 the first 48; the rest is zero.
    Truncate,
    /// HMAC-SHA256 with the configured key, in lower-case hex.
    Hmac,
    /// It is left out.
    Drop,
}

impl Default for RedactConfig {
    fn default() -> Self {
        Self {
            headers: Map::new(),
            cookies: Map::new(),
            query: Map::new(),
            path: Map::new(),
            detectors: Detector::ALL.to_vec(),
            denylist: true,
            client_ip: IpRedaction::Keep,
        }
    }
}

impl RedactConfig {
    /// Checks the config at `at` (a path such as `redact`). `key` is for the mode `hmac`; what needs it and has none is
    /// a mistake.
    pub fn redactor(&self, key: Option<Key>, at: &str, errors: &mut ConfigErrors) -> Redactor {
        for (part, modes) in [
            ("headers", &self.headers),
            ("cookies", &self.cookies),
            ("query", &self.query),
            ("path", &self.path),
        ] {
            for (name, mode) in modes {
                errors.check(
                    *mode != Redaction::Hmac || key.is_some(),
                    format!("{at}.{part}.{name}"),
                    "expected hmac_key beside the mode hmac",
                );
            }
        }
        errors.check(
            self.client_ip != IpRedaction::Hmac || key.is_some(),
            format!("{at}.client_ip"),
            "expected hmac_key beside the mode hmac",
        );
        for (name, mode) in &self.headers {
            let path = || format!("{at}.headers.{name}");
            errors.check(
                InvalidHeader::check(name, b"").is_ok(),
                path(),
                "expected a header name",
            );
            let credential = ["authorization", "proxy-authorization"]
                .iter()
                .any(|known| name.eq_ignore_ascii_case(known));
            errors.check(
                !credential || *mode != Redaction::Keep,
                path(),
                "expected a mode other than keep for credentials",
            );
        }
        let mut patterns = Vec::new();
        for (pattern, mode) in &self.path {
            match PathPattern::parse(pattern) {
                Some(parsed) => patterns.push((parsed, *mode)),
                None => errors.push(
                    format!("{at}.path.{pattern}"),
                    "expected a path with a segment \"*\", such as \"/reset/*\"",
                ),
            }
        }
        Redactor {
            headers: lower(&self.headers),
            cookies: lower(&self.cookies),
            query: lower(&self.query),
            path: patterns,
            detectors: self.detectors.clone(),
            denylist: self.denylist,
            client_ip: self.client_ip,
            key,
        }
    }
}

fn lower(modes: &Map<String, Redaction>) -> Map<Vec<u8>, Redaction> {
    // Inserted one by one: `collect` would bring a sort into the module.
    let mut lower = Map::new();
    for (name, mode) in modes {
        lower.insert(name.to_ascii_lowercase().into_bytes(), *mode);
    }
    lower
}
