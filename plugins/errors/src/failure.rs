//! What went wrong, and which failures are the same.
//!
//! 1. An exchange is a failure by its gRPC code (only where its content type is `application/grpc`), by its status, or
//!    by its duration. A client that left before a response is none; a stream or an upgrade is never slow.
//! 2. The same failures have the same fingerprint: gateway, method, route template, status, flags. Where a cluster cannot
//!    be reached (502, 503, 504 with a flag of Envoy that says so), one fingerprint stands for the whole cluster.
//! 3. A path that no template matches is shown with `{id}` for each segment that is not a plain word.

use std::time::Duration;

use launchgate_sdk::hash::Digest;
use launchgate_sdk::headers::Headers;
use launchgate_sdk::last_words::LastWords;
use launchgate_sdk::method;
use launchgate_sdk::notifier::clean;
use launchgate_sdk::path::RequestPath;
use launchgate_sdk::response_flags::{DC, DR, NC, UC, UF, UH, UO, UR, URX, UT, names};

use crate::alert::Title;
use crate::config::Availability;
use crate::settings::Settings;

/// Why an exchange is a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// Its HTTP status.
    Status,
    /// Its gRPC code.
    Grpc(u32),
    /// Its duration.
    Slow,
    /// The VM of a plugin died.
    Panic,
}

impl Kind {
    /// As a label and tag.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Status => "status",
            Self::Grpc(_) => "grpc",
            Self::Slow => "slow",
            Self::Panic => "panic",
        }
    }
}

/// A failed exchange, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failure {
    /// Why.
    pub kind: Kind,
    /// Status sent.
    pub status: Option<u16>,
    /// Response flags.
    pub flags: u64,
    /// Method, `_OTHER` for an unknown one.
    pub method: &'static str,
    /// Route template.
    pub route: String,
    /// Upstream cluster, may be empty.
    pub cluster: String,
    /// Type of the exception: `HTTP 503`.
    pub what: String,
    /// Value of the exception: one sentence without client data.
    pub value: String,
    /// Fingerprint.
    pub fingerprint: Vec<String>,
}

const UNREACHABLE: u64 = UF | UH | UT | UR | UC | UO | URX | NC;
const GRPC_CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// Whether a status or gRPC code is a failure.
pub(crate) fn kind(settings: &Settings, status: u16, grpc: Option<u32>) -> Option<Kind> {
    if let Some(code) = grpc.filter(|code| settings.grpc.contains(code)) {
        return Some(Kind::Grpc(code));
    }
    settings
        .statuses
        .iter()
        .any(|range| range.contains(status))
        .then_some(Kind::Status)
}

/// Whether a duration alone makes a failure of it. `flags` tells whether the client left.
pub(crate) fn is_slow(
    settings: &Settings,
    status: u16,
    duration: impl FnOnce() -> Duration,
    request: &Headers,
) -> bool {
    let is_stream = || {
        status == 101
            || request.contains("upgrade")
            || request.method() == b"CONNECT"
            || request.is_grpc()
    };
    (settings.slower_than).is_some_and(|limit| duration() >= limit && !is_stream())
}

/// Whether the client left in the middle.
pub(crate) fn client_left(flags: u64) -> bool {
    flags & (DC | DR) != 0
}

impl Failure {
    /// Names a failed exchange.
    pub(crate) fn new(
        kind: Kind,
        settings: &Settings,
        request: &Headers,
        status: Option<u16>,
        flags: u64,
        cluster: String,
    ) -> Self {
        let method = method(request);
        let route = route(settings, request);
        let away = kind_is_availability(kind, status, flags)
            && settings.availability == Availability::Cluster;
        let code = status.map_or_else(|| "no status".to_owned(), |status| status.to_string());
        // That the client also left says nothing of the failure.
        let flag_names = names(flags & !(DC | DR)).collect::<Vec<_>>().join(",");
        let what = match kind {
            Kind::Grpc(code) => format!(
                "gRPC {code} {}",
                GRPC_CODES.get(code as usize).unwrap_or(&"UNKNOWN")
            ),
            Kind::Slow => "Slow exchange".to_owned(),
            Kind::Status if away => "Upstream unavailable".to_owned(),
            Kind::Status | Kind::Panic => format!("HTTP {code}"),
        };
        let because = if flag_names.is_empty() {
            String::new()
        } else {
            format!(" ({flag_names})")
        };
        let value = match kind {
            Kind::Status if away => format!(
                "cluster {} could not be reached: HTTP {code}{because}",
                or_unknown(&cluster)
            ),
            Kind::Slow => format!(
                "{method} {route} took longer than {:?}",
                settings.slower_than.unwrap_or_default()
            ),
            _ => format!("{method} {route} ended with {what}{because}"),
        };
        let mut fingerprint = vec!["gateway".to_owned()];
        match kind {
            Kind::Status if away => {
                fingerprint.extend(["availability".to_owned(), cluster.clone()])
            }
            Kind::Status | Kind::Panic => {
                fingerprint.extend([method.to_owned(), route.clone(), code, flag_names])
            }
            Kind::Grpc(code) => {
                fingerprint.extend(["grpc".to_owned(), route.clone(), code.to_string()])
            }
            Kind::Slow => fingerprint.extend(["slow".to_owned(), method.to_owned(), route.clone()]),
        }
        Self {
            kind,
            status,
            flags,
            method,
            route,
            cluster,
            what,
            value,
            fingerprint,
        }
    }

    /// Names the death of a plugin's VM.
    pub(crate) fn panic(words: &LastWords) -> Self {
        let (plugin, version, place) = (
            clean(&words.plugin, 64),
            clean(&words.version, 32),
            clean(&words.place, 200),
        );
        Self {
            kind: Kind::Panic,
            status: None,
            flags: 0,
            method: method::OTHER,
            route: format!("plugin {plugin}"),
            cluster: String::new(),
            what: "Plugin panic".to_owned(),
            value: format!(
                "plugin {plugin} {version} panicked at {place}; the VM of this worker ended"
            ),
            fingerprint: vec!["gateway".to_owned(), "panic".to_owned(), plugin, place],
        }
    }

    /// What notices call it.
    pub(crate) fn title(&self) -> Title {
        let route = if self.kind == Kind::Panic {
            self.route.clone()
        } else {
            format!("{} {}", self.method, self.route)
        };
        let away = self
            .fingerprint
            .get(1)
            .is_some_and(|part| part == "availability");
        let route = if away { "any route".to_owned() } else { route };
        Title {
            what: clean(&self.what, 64),
            route: clean(&route, 200),
            cluster: clean(&self.cluster, 100),
        }
    }
}

/// The same for the same fingerprint.
pub(crate) fn digest(fingerprint: &[String]) -> u64 {
    let framed: Vec<u8> = fingerprint
        .iter()
        .flat_map(|part| [part.as_bytes(), b"\0"].concat())
        .collect();
    Digest::sha256(&framed)
        .bytes()
        .iter()
        .take(8)
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn kind_is_availability(kind: Kind, status: Option<u16>, flags: u64) -> bool {
    kind == Kind::Status && matches!(status, Some(502..=504)) && flags & UNREACHABLE != 0
}

fn or_unknown(cluster: &str) -> &str {
    if cluster.is_empty() {
        "(unknown)"
    } else {
        cluster
    }
}

/// The method as a known word.
pub(crate) fn method(request: &Headers) -> &'static str {
    method::position(request.method())
        .and_then(|at| method::KNOWN.get(at).copied())
        .unwrap_or(method::OTHER)
}

/// The route template of a request, or its path with variable segments as `{id}`.
pub(crate) fn route(settings: &Settings, request: &Headers) -> String {
    let path = RequestPath::read(request.path());
    if let Some(template) = settings
        .routes
        .find(path)
        .and_then(|at| settings.templates.get(at))
    {
        return template.clone();
    }
    if path.is_ambiguous() {
        return "(ambiguous path)".to_owned();
    }
    collapse(path.bytes())
}

const SEGMENTS: usize = 8;
const WORD: usize = 24;

fn collapse(path: &[u8]) -> String {
    let mut shown = String::new();
    for (position, segment) in path.split(|byte| *byte == b'/').skip(1).enumerate() {
        shown.push('/');
        if position >= SEGMENTS {
            shown.push('*');
            break;
        }
        shown.push_str(
            std::str::from_utf8(segment)
                .ok()
                .filter(|text| is_word(text))
                .unwrap_or("{id}"),
        );
    }
    if shown.is_empty() {
        "/".to_owned()
    } else {
        shown
    }
}

/// A word of letters, `-`, `_` and `.`, or a version such as `v2`.
fn is_word(text: &str) -> bool {
    let letters = text.len() <= WORD
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphabetic() || b"-_.".contains(&byte));
    let version = text.strip_prefix('v').is_some_and(|number| {
        (1..=2).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
    });
    letters || version
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_words_of_a_path_are_shown() {
        for (path, shown) in [
            ("/", "/"),
            ("", "/"),
            ("/users/42", "/users/{id}"),
            (
                "/api/v2/users/3f2b8c1e-9d0a-4b7e-8a55-0c1d2e3f4a5b/items",
                "/api/v2/users/{id}/items",
            ),
            ("/reset/eyJhbGciOiJIUzI1NiJ9.e30.x", "/reset/{id}"),
            ("/mail/anna@example.org", "/mail/{id}"),
            ("/aVeryLongSegmentOfLettersOnly", "/{id}"),
            ("/\u{e9}", "/{id}"),
            ("/a/b/c/d/e/f/g/h/i/j", "/a/b/c/d/e/f/g/h/*"),
            ("/a/", "/a/"),
        ] {
            assert_eq!(collapse(path.as_bytes()), shown, "{path}");
        }
        assert_eq!(collapse(b"/\xff\xfe/x"), "/{id}/x");
    }

    #[test]
    fn fingerprints_are_told_apart_by_their_parts() {
        let digest = |parts: &[&str]| {
            digest(
                &parts
                    .iter()
                    .map(|part| (*part).to_owned())
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(digest(&["a", "b"]), digest(&["a", "b"]));
        for other in [&["a", "c"][..], &["ab"], &["a", "b", ""], &["b", "a"]] {
            assert_ne!(digest(&["a", "b"]), digest(other));
        }
    }
}
