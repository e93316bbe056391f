//! What every plugin's configuration has besides its own keys: `scope`, `mode` and `trust_envoy_xff`.
//!
//! 1. `scope` absent means everything. Inside are requests whose host, port and path all match; `exclude` wins.
//! 2. `mode`: `enforce`; `report` (nothing changes, `would_…` counters tell); `off`.
//! 3. On a shared gateway a plugin must not shadow every application: out of scope it does not see the exchange.

use crate::config::Decode;

use crate::attribute::Attribute;
use crate::path::{PathRule, RequestPath};
use crate::view::{EndView, RequestView};

/// Whether a plugin acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Acts (the default).
    #[default]
    Enforce,
    /// Decides and counts what it would do, changes nothing.
    Report,
    /// Does nothing.
    Off,
}

impl Mode {
    /// Of two modes the one that does less: a composition's mode holds for all its parts.
    pub fn stricter(self, other: Self) -> Self {
        match (self, other) {
            (Self::Off, _) | (_, Self::Off) => Self::Off,
            (Self::Report, _) | (_, Self::Report) => Self::Report,
            (Self::Enforce, Self::Enforce) => Self::Enforce,
        }
    }
}

/// The keys that every plugin's configuration has.
#[derive(Debug, Clone, Default, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Common {
    /// Which requests the plugin sees. Default: all.
    pub scope: Scope,
    /// `enforce` (default), `report` or `off`.
    pub mode: Mode,
    /// Whether an address that Envoy derived from `x-forwarded-for` counts as the peer's. Default: false.
    pub trust_envoy_xff: bool,
}

/// Which requests a plugin sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Hosts without port, `*.example.org` for all below a domain. Empty: all.
    pub hosts: Vec<HostRule>,
    /// Local ports. Empty: all.
    pub ports: Vec<u16>,
    /// Paths.
    pub paths: PathScope,
}

/// Paths inside and outside of a scope.
#[derive(Debug, Clone, Default, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct PathScope {
    /// Paths inside; a trailing `/` means prefix. Empty: all.
    pub include: Vec<PathRule>,
    /// Paths outside, although included.
    pub exclude: Vec<PathRule>,
}

/// A host, or with `*.` all hosts below it.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub struct HostRule(String);

impl PathScope {
    fn is_empty(&self) -> bool {
        self.include.is_empty() && self.exclude.is_empty()
    }
}

impl HostRule {
    /// Whether a host (without port, any case) matches.
    pub fn is_match(&self, host: &[u8]) -> bool {
        match self.0.strip_prefix('*') {
            Some("") => true,
            Some(suffix) => host
                .split_at_checked(host.len().wrapping_sub(suffix.len()))
                .is_some_and(|(label, end)| {
                    !label.is_empty() && end.eq_ignore_ascii_case(suffix.as_bytes())
                }),
            None => host.eq_ignore_ascii_case(self.0.as_bytes()),
        }
    }

    /// The rule as configured, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for HostRule {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let name = text.strip_prefix("*.").unwrap_or(&text);
        let valid = text == "*" || (!name.is_empty() && !name.contains(['*', '/', ' ']));
        if valid {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err("expected a host such as \"example.org\" or \"*.example.org\"")
        }
    }
}

/// A host without its port; brackets of an IPv6 address stay.
pub fn without_port(authority: &[u8]) -> &[u8] {
    let Some(colon) = authority.iter().rposition(|byte| *byte == b':') else {
        return authority;
    };
    let (host, port) = authority.split_at(colon);
    let is_bare_ipv6 = host.contains(&b':') && !host.ends_with(b"]");
    if is_bare_ipv6 || !port.iter().skip(1).all(u8::is_ascii_digit) {
        authority
    } else {
        host
    }
}

impl Scope {
    /// Whether everything is inside, so that nothing need be read.
    pub fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Whether a request is inside.
    pub fn contains(&self, view: &RequestView<'_>) -> bool {
        self.is_everything()
            || (self
                .contains_port(view.integer_if(!self.ports.is_empty(), Attribute::DestinationPort))
                && (self.hosts.is_empty()
                    || self.contains_host(&view.peek(":authority").unwrap_or_default()))
                && (self.paths.is_empty()
                    || self.contains_path(&view.peek(":path").unwrap_or_default())))
    }

    /// Whether an exchange is inside of which the filters never saw a request.
    pub fn contains_end(&self, view: &EndView<'_>) -> bool {
        self.is_everything()
            || (self
                .contains_port(view.integer_if(!self.ports.is_empty(), Attribute::DestinationPort))
                && self.contains_host(view.request().authority())
                && self.contains_path(view.request().path()))
    }

    fn contains_port(&self, port: Option<u64>) -> bool {
        self.ports.is_empty()
            || port.is_some_and(|port| self.ports.iter().any(|own| u64::from(*own) == port))
    }

    fn contains_host(&self, authority: &[u8]) -> bool {
        let host = without_port(authority);
        self.hosts.is_empty() || self.hosts.iter().any(|rule| rule.is_match(host))
    }

    fn contains_path(&self, path: &[u8]) -> bool {
        let PathScope { include, exclude } = &self.paths;
        let path = RequestPath::read(path);
        (include.is_empty() || include.iter().any(|rule| rule.protects(path)))
            && !exclude.iter().any(|rule| rule.exempts(path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn hosts_match_without_regard_to_case_and_by_whole_labels() {
        for (rule, host, expected) in [
            ("example.org", "EXAMPLE.org", true),
            ("example.org", "a.example.org", false),
            ("*.example.org", "a.example.org", true),
            ("*.example.org", "a.b.example.org", true),
            ("*.example.org", "example.org", false),
            ("*.example.org", ".example.org", false),
            ("*.example.org", "notexample.org", false),
            ("*", "anything", true),
        ] {
            assert_eq!(
                HostRule::try_from(rule.to_owned())
                    .unwrap()
                    .is_match(host.as_bytes()),
                expected,
                "{rule} {host}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_port_is_cut_off_but_no_address() {
        for (authority, host) in [
            ("a:80", "a"),
            ("a", "a"),
            ("[::1]:80", "[::1]"),
            ("[::1]", "[::1]"),
            ("::1", "::1"),
            ("a:", "a"),
            ("a:x", "a:x"),
        ] {
            assert_eq!(
                without_port(authority.as_bytes()),
                host.as_bytes(),
                "{authority}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn an_odd_path_is_inside_every_include_and_no_exclude() {
        let scope = Scope {
            paths: PathScope {
                include: vec![PathRule::parse("/api/").unwrap()],
                exclude: vec![PathRule::parse("/api/x").unwrap()],
            },
            ..Scope::default()
        };
        for (path, expected) in [
            ("/api/y", true),
            ("/api/x", false),
            ("/api/x?q", false),
            ("/other", false),
            ("/a/../api/x", true),
        ] {
            assert_eq!(scope.contains_path(path.as_bytes()), expected, "{path}");
        }
    }
}
