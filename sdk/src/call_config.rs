//! Where a call-out goes, as every plugin's configuration spells it.
//!
//! 1. `{"cluster", "authority", "path", "headers": {}, "timeout": "2s"}`. `cluster` is the one of the host's configuration
//!    that knows addresses and TLS; a cluster that is unknown when the call is sent is no config error.
//! 2. `url` fills authority and path where they are absent; its scheme is not used (the cluster decides on TLS).
//! 3. Without either, the authority is the name of the cluster and the path is the plugin's default.
//! 4. Paths, addresses and header values can be secret (webhooks carry their token there): they are never shown.

use crate::map::Map;
use std::time::Duration;

use crate::config::Decode;

use crate::call::Call;
use crate::config::{ConfigErrors, Period};
use crate::headers::InvalidHeader;
use crate::secret::Secret;

/// A call-out's target in a configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct CallConfig {
    /// Cluster of the host's configuration that the call goes to. Required.
    pub cluster: String,
    /// Host name sent. Default: that of `url`, else the name of the cluster.
    pub authority: String,
    /// Path with query, begins with `/`. Default: that of `url`, else the plugin's own.
    pub path: Secret,
    /// Further headers, such as `authorization`.
    pub headers: Map<String, Secret>,
    /// Time until the whole answer must be there, from 1ms to 60s. Default: 2s.
    pub timeout: Option<Period>,
    /// An `http` or `https` address that fills `authority` and `path`.
    pub url: Secret,
}

/// A checked target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallTarget {
    cluster: String,
    authority: String,
    path: Secret,
    headers: Vec<(String, Secret)>,
    timeout: Duration,
}

const LONGEST_TIMEOUT: Duration = Duration::from_secs(60);

impl CallConfig {
    /// Checks the target at `at` (a path such as `push`, empty for the outermost). Notes every mistake.
    pub fn target(
        &self,
        at: &str,
        default_path: &str,
        errors: &mut ConfigErrors,
    ) -> Option<CallTarget> {
        let name = |key: &str| {
            if at.is_empty() {
                key.to_owned()
            } else {
                format!("{at}.{key}")
            }
        };
        let before = errors.iter().count();
        errors.check(
            !self.cluster.is_empty(),
            name("cluster"),
            "expected the name of a cluster",
        );
        let url = if self.url.is_empty() {
            None
        } else {
            Url::parse(self.url.expose())
        };
        if !self.url.is_empty() && url.as_ref().is_none_or(|url| url.user.is_some()) {
            errors.push_hidden(
                name("url"),
                "expected an address such as \"https://hooks.example.org/path\" without user info",
            );
        }
        let authority = [
            self.authority.as_str(),
            url.as_ref().map_or("", |url| &url.authority),
            &self.cluster,
        ]
        .into_iter()
        .find(|text| !text.is_empty());
        let authority = authority.unwrap_or_default();
        errors.check(
            is_authority(authority) || authority.is_empty(),
            name("authority"),
            "expected a host with an optional port",
        );
        let path = [
            self.path.expose(),
            url.as_ref().map_or("", |url| &url.path),
            default_path,
        ]
        .into_iter()
        .find(|text| !text.is_empty());
        let path = path.unwrap_or("/");
        if !is_path(path) {
            errors.push_hidden(
                name("path"),
                "expected a path that begins with \"/\", without blanks and control characters",
            );
        }
        for (header, value) in &self.headers {
            if header.starts_with(':')
                || InvalidHeader::check(header, value.expose().as_bytes()).is_err()
            {
                errors.push_hidden(
                    format!("{}.{header}", name("headers")),
                    "expected a header name, and a value without CR, LF and NUL",
                );
            }
        }
        let timeout = self.timeout.map_or(Duration::from_secs(2), Duration::from);
        let possible = timeout >= Duration::from_millis(1) && timeout <= LONGEST_TIMEOUT;
        errors.check(
            possible,
            name("timeout"),
            "expected a duration from 1ms to 60s",
        );
        (errors.iter().count() == before).then(|| CallTarget {
            cluster: self.cluster.clone(),
            authority: authority.to_owned(),
            path: Secret::new(path),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
                .collect(),
            timeout,
        })
    }
}

impl CallTarget {
    /// A GET of the target.
    pub fn get(&self) -> Call {
        let mut call =
            Call::get(&self.cluster, &self.authority, self.path.expose()).timeout(self.timeout);
        call.headers.extend(self.headers.iter().cloned());
        call
    }

    /// A POST to the target. A configured `content-type` wins.
    pub fn post(&self, content_type: &str, body: Vec<u8>) -> Call {
        let mut call = self.get();
        call.method = "POST";
        call.body = body;
        if !call.headers.iter().any(|(name, _)| name == "content-type") {
            call.headers
                .push(("content-type".to_owned(), Secret::new(content_type)));
        }
        call
    }

    /// The cluster.
    pub fn cluster(&self) -> &str {
        &self.cluster
    }

    /// The host name sent.
    pub fn authority(&self) -> &str {
        &self.authority
    }
}

/// An `http` or `https` address in its parts (RFC 3986 section 3). A fragment is refused.
#[derive(Clone, PartialEq, Eq)]
pub struct Url {
    /// Whether the scheme is `https`.
    pub secure: bool,
    /// User info, which is secret.
    pub user: Option<Secret>,
    /// Host and port.
    pub authority: String,
    /// Path with query, empty where the address has none. May be secret.
    pub path: String,
}

impl Url {
    /// Reads an address.
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, rest) = text.split_once("://")?;
        let secure = scheme.eq_ignore_ascii_case("https");
        if !secure && !scheme.eq_ignore_ascii_case("http") {
            return None;
        }
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (whole, path) = rest.split_at_checked(end)?;
        let (user, authority) = match whole.rsplit_once('@') {
            Some((user, authority)) => (Some(Secret::new(user)), authority),
            None => (None, whole),
        };
        let path = if path.starts_with('?') {
            format!("/{path}")
        } else {
            path.to_owned()
        };
        let valid = is_authority(authority) && (path.is_empty() || is_path(&path));
        valid.then(|| Self {
            secure,
            user,
            authority: authority.to_owned(),
            path,
        })
    }
}

fn is_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.contains('#')
        && text.bytes().all(|byte| (b'!'..=b'~').contains(&byte))
}

/// A host and an optional port: letters, digits, `.`, `-`, `_` and, in brackets, an IPv6 address.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (text, None),
    };
    let address = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    let host_is_valid = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            !host.is_empty()
                && host
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte))
        }
    };
    host_is_valid
        && port.is_none_or(|port| {
            port.bytes().all(|byte| byte.is_ascii_digit())
                && port.parse::<u16>().is_ok_and(|port| port > 0)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn call(config: &str) -> Result<Call, String> {
        let config: CallConfig = crate::config::read(config).unwrap();
        let mut errors = ConfigErrors::default();
        let target = config.target("push", "/v1/logs", &mut errors);
        target
            .map(|target| target.post("application/json", b"{}".to_vec()))
            .ok_or_else(|| errors.to_string())
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn authority_and_path_come_from_the_keys_the_url_or_the_defaults() {
        for (name, config, authority, path) in [
            ("defaults", r#"{"cluster": "otel"}"#, "otel", "/v1/logs"),
            (
                "keys",
                r#"{"cluster": "c", "authority": "otel.example.org:4318", "path": "/x?y"}"#,
                "otel.example.org:4318",
                "/x?y",
            ),
            (
                "a url",
                r#"{"cluster": "c", "url": "https://hooks.slack.example/services/T/B/x"}"#,
                "hooks.slack.example",
                "/services/T/B/x",
            ),
            (
                "a url without a path",
                r#"{"cluster": "c", "url": "http://[::1]:4318"}"#,
                "[::1]:4318",
                "/v1/logs",
            ),
            (
                "keys win over a url",
                r#"{"cluster": "c", "url": "http://a/b", "authority": "d"}"#,
                "d",
                "/b",
            ),
        ] {
            let call = call(config).unwrap();
            assert_eq!(
                (call.authority.as_str(), call.path.expose()),
                (authority, path),
                "{name}"
            );
            assert_eq!(
                (call.method, call.timeout),
                ("POST", Duration::from_secs(2)),
                "{name}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn a_configured_content_type_wins_and_headers_are_sent() {
        let call = call(r#"{"cluster": "c", "timeout": "5s", "headers": {"Content-Type": "application/x", "Authorization": "Bearer t"}}"#).unwrap();
        let sent: Vec<_> = call
            .headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.expose()))
            .collect();
        assert_eq!(
            sent,
            [
                ("authorization", "Bearer t"),
                ("content-type", "application/x")
            ]
        );
        assert_eq!(call.timeout, Duration::from_secs(5));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn what_cannot_be_a_target_is_refused_and_no_secret_is_shown() {
        for (config, message) in [
            ("{}", "push.cluster: expected the name of a cluster"),
            (
                r#"{"cluster": "c", "authority": "a b"}"#,
                "push.authority: expected a host with an optional port",
            ),
            (
                r#"{"cluster": "c", "path": "hunter2"}"#,
                "push.path: expected a path that begins with \"/\", without blanks and control characters",
            ),
            (
                r#"{"cluster": "c", "url": "ftp://hunter2/"}"#,
                "push.url: expected an address such as \"https://hooks.example.org/path\" without user info",
            ),
            (
                r#"{"cluster": "c", "url": "http://hunter2@a/"}"#,
                "push.url: expected an address such as \"https://hooks.example.org/path\" without user info",
            ),
            (
                r#"{"cluster": "c", "timeout": "61s"}"#,
                "push.timeout: expected a duration from 1ms to 60s",
            ),
            (
                r#"{"cluster": "c", "headers": {"a b": "hunter2"}}"#,
                "push.headers.a b: expected a header name, and a value without CR, LF and NUL",
            ),
        ] {
            assert_eq!(call(config).unwrap_err(), message, "{config}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn odd_addresses_are_refused() {
        for text in [
            "",
            "http://",
            "http:///x",
            "http://a:0/",
            "http://a:x/",
            "http://a:70000/",
            "http://a b/",
            "http://a/b c",
            "http://a/#f",
            "http://[::1/",
            "//a/b",
            "http://a\r\nb/",
            "http://a/é\u{7f}",
        ] {
            assert!(Url::parse(text).is_none(), "{text:?}");
        }
        let url = Url::parse("HTTPS://key:pass@o1.example.org:443?x=1").unwrap();
        assert_eq!(
            (
                url.secure,
                url.authority.as_str(),
                url.path.as_str(),
                url.user.unwrap().expose()
            ),
            (true, "o1.example.org:443", "/?x=1", "key:pass")
        );
    }
}
