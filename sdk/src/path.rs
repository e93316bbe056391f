//! Paths in a configuration, and request paths that are too odd to trust.
//!
//! 1. A configured path that ends in `/` is a prefix, any other is exact.
//! 2. The query is no part of a path.
//! 3. A request path with `.` or `..` segments, `//`, `\`, `%2e`, `%2f` or `%5c` is ambiguous: another server may read it
//!    as a different path. It matches no exemption, and counts as inside every protected prefix.

use crate::config::Decode;

/// A request path without its query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestPath<'a> {
    bytes: &'a [u8],
    ambiguous: bool,
}

impl<'a> RequestPath<'a> {
    /// Reads `:path`.
    pub fn read(path_and_query: &'a [u8]) -> Self {
        let end = path_and_query
            .iter()
            .position(|byte| matches!(byte, b'?' | b'#'))
            .unwrap_or(path_and_query.len());
        let bytes = path_and_query.get(..end).unwrap_or_default();
        Self {
            bytes,
            ambiguous: is_ambiguous(bytes),
        }
    }

    /// The bytes of the path.
    pub fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// Whether another server may read it as a different path.
    pub fn is_ambiguous(self) -> bool {
        self.ambiguous
    }
}

/// The query of `:path`, without `?`, empty where there is none.
pub fn query(path_and_query: &[u8]) -> &[u8] {
    let start = path_and_query
        .iter()
        .position(|byte| *byte == b'?')
        .map_or(path_and_query.len(), |at| at + 1);
    path_and_query.get(start..).unwrap_or_default()
}

fn is_ambiguous(path: &[u8]) -> bool {
    let mut rest = path;
    let mut before = 0;
    // Dots of the segment so far, while it has nothing else.
    let mut dots = Some(0_u32);
    while let Some((&byte, after)) = rest.split_first() {
        match byte {
            b'/' if before == b'/' || is_dots(dots) => return true,
            b'/' => dots = Some(0),
            b'\\' => return true,
            b'%' if is_escape(after) => return true,
            b'.' => dots = dots.map(|count| count + 1),
            _ => dots = None,
        }
        before = byte;
        rest = after;
    }
    is_dots(dots)
}

/// `.` or `..`
fn is_dots(dots: Option<u32>) -> bool {
    matches!(dots, Some(1 | 2))
}

/// What follows a `%` that hides a dot, a slash or a backslash.
fn is_escape(after: &[u8]) -> bool {
    matches!(
        after,
        [b'2', b'e' | b'E' | b'f' | b'F', ..] | [b'5', b'c' | b'C', ..]
    )
}

/// A path of the configuration: exact, or a prefix where it ends in `/`.
#[derive(Debug, Clone, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(try_from = "String")]
pub struct PathRule(String);

impl PathRule {
    /// Reads a rule; it must begin with `/`.
    pub fn parse(text: &str) -> Option<Self> {
        (text.starts_with('/') && !text.contains(['?', '#'])).then(|| Self(text.to_owned()))
    }

    /// The text as configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// For exemptions: whether the path surely matches. An ambiguous path never does.
    pub fn exempts(&self, path: RequestPath<'_>) -> bool {
        !path.is_ambiguous() && self.covers(path.bytes())
    }

    /// For protected prefixes: whether the path may match. An ambiguous path always does.
    pub fn protects(&self, path: RequestPath<'_>) -> bool {
        path.is_ambiguous() || self.covers(path.bytes())
    }

    fn covers(&self, path: &[u8]) -> bool {
        let rule = self.0.as_bytes();
        if rule.last() == Some(&b'/') {
            path.starts_with(rule)
        } else {
            path == rule
        }
    }
}

impl TryFrom<String> for PathRule {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text).ok_or("expected a path that begins with \"/\" and has no query")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn rules_match_exactly_or_by_prefix() {
        for (rule, path, exempts, protects) in [
            ("/healthz", "/healthz", true, true),
            ("/healthz", "/healthz?x=1", true, true),
            ("/healthz", "/healthzx", false, false),
            ("/healthz", "/healthz/", false, false),
            ("/internal/", "/internal/x", true, true),
            ("/internal/", "/internal", false, false),
            ("/internal/", "/x/../internal/y", false, true),
            ("/internal/", "/internal/../x", false, true),
            ("/", "/%2E%2e/x", false, true),
            ("/", "/a//b", false, true),
            ("/", "/a\\b", false, true),
            ("/", "/a%5Cb", false, true),
            ("/", "/a?b=../c", true, true),
            ("/", "/a.b/..c", true, true),
        ] {
            let (rule, path) = (
                PathRule::parse(rule).unwrap(),
                RequestPath::read(path.as_bytes()),
            );
            assert_eq!(
                (rule.exempts(path), rule.protects(path)),
                (exempts, protects),
                "{rule:?} {path:?}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_query_is_what_follows_the_first_question_mark() {
        assert_eq!((query(b"/a?b?c"), query(b"/a")), (&b"b?c"[..], &b""[..]));
    }
}
