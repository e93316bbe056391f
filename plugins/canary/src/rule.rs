//! Who is sent somewhere by name: `match` and `never` rules.
//!
//! 1. Inside a rule all conditions hold (AND), of several rules one does (OR), as in Istio, Flagger and Argo Rollouts.
//! 2. Header names have no case, cookie names, parameter names and all values do.
//! 3. Of several values of one name (a client can send them) one must match; `present: false` wants none.
//! 4. A rule with ranges or a token cannot be met by who has neither: the peer is a real connection's, the token is
//!    compared in constant time.

use launchgate_sdk::config::ConfigErrors;
use launchgate_sdk::cookie::cookies;
use launchgate_sdk::headers::{InvalidHeader, is_token_byte};
use launchgate_sdk::path::query;
use launchgate_sdk::percent_encoding::decode_form;
use launchgate_sdk::{Attribute, Cidr, Peer, RequestView, Secret};

use crate::config::{RuleConfig, TextConfig};

const SHORTEST_TOKEN: usize = 16;

/// What a text must be.
#[derive(Debug, Clone, PartialEq, Eq)]
enum TextRule {
    Exact(String),
    Prefix(String),
    Suffix(String),
    Present,
    Absent,
    Glob(String),
}

/// A checked rule.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    headers: Vec<(String, TextRule)>,
    cookies: Vec<(String, TextRule)>,
    query: Vec<(String, TextRule)>,
    allow: Vec<Cidr>,
    token: Option<(String, Secret)>,
}

impl Rule {
    /// Checks a rule at `at`. Notes every mistake.
    pub(crate) fn new(config: RuleConfig, at: &str, errors: &mut ConfigErrors) -> Self {
        let conditions = config.headers.len() + config.cookies.len() + config.query.len();
        let open = conditions == 0 && config.allow.is_empty() && config.token.is_none();
        errors.check(!open, at, "expected at least one condition");
        for name in config.headers.keys() {
            errors.check(
                InvalidHeader::check(name, b"").is_ok(),
                format!("{at}.headers.{name}"),
                "expected a header name",
            );
        }
        for name in config.cookies.keys() {
            let valid = !name.is_empty() && name.bytes().all(is_token_byte);
            errors.check(
                valid,
                format!("{at}.cookies.{name}"),
                "expected a cookie name",
            );
        }
        let token = config.token.map(|token| {
            let header = if token.header.is_empty() {
                "x-canary-token".to_owned()
            } else {
                token.header.to_ascii_lowercase()
            };
            errors.check(
                is_plain_header(&header),
                format!("{at}.token.header"),
                "expected a header name",
            );
            let bytes = token.value.expose().as_bytes();
            if bytes.len() < SHORTEST_TOKEN || !bytes.iter().all(u8::is_ascii_graphic) {
                errors.push_hidden(
                    format!("{at}.token.value"),
                    "expected at least 16 printable ASCII characters without blanks",
                );
            }
            (header, token.value)
        });
        let mut texts = |kind: &str, map: launchgate_sdk::map::Map<String, TextConfig>| {
            map.into_iter()
                .map(|(name, text)| {
                    let rule = TextRule::new(text, &format!("{at}.{kind}.{name}"), errors);
                    (
                        if kind == "headers" {
                            name.to_ascii_lowercase()
                        } else {
                            name
                        },
                        rule,
                    )
                })
                .collect()
        };
        let (headers, cookies) = (
            texts("headers", config.headers),
            texts("cookies", config.cookies),
        );
        let query = texts("query", config.query);
        Self {
            headers,
            cookies,
            query,
            allow: config.allow,
            token,
        }
    }

    /// Whether a request meets the rule.
    pub(crate) fn is_met(&self, view: &RequestView<'_>, trust_envoy_xff: bool) -> bool {
        let headers = view.headers();
        self.headers
            .iter()
            .all(|(name, rule)| rule.holds(headers.all(name)))
            && self.cookies.iter().all(|(name, rule)| {
                rule.holds(
                    cookies(headers)
                        .filter(|(own, _)| *own == name.as_bytes())
                        .map(|(_, value)| value),
                )
            })
            && self
                .query
                .iter()
                .all(|(name, rule)| rule.holds_owned(parameters(headers.path(), name)))
            && self.token.as_ref().is_none_or(|(name, token)| {
                headers
                    .only(name)
                    .is_some_and(|offered| token.matches(offered))
            })
            && (self.allow.is_empty() || {
                Peer::read(
                    view.attribute(Attribute::SourceAddress).as_deref(),
                    trust_envoy_xff,
                )
                .is_in(&self.allow)
            })
    }

    /// The header of the token, which must not go upstream.
    pub(crate) fn token_header(&self) -> Option<&str> {
        self.token.as_ref().map(|(header, _)| header.as_str())
    }
}

/// Whether a name is a header's and no pseudo-header's.
pub(crate) fn is_plain_header(name: &str) -> bool {
    !name.starts_with(':') && InvalidHeader::check(name, b"").is_ok()
}

/// The values of a query parameter.
fn parameters<'a>(
    path: &'a [u8],
    name: &'a str,
) -> impl Iterator<Item = std::borrow::Cow<'a, [u8]>> {
    query(path)
        .split(|byte| *byte == b'&')
        .filter_map(move |pair| {
            let end = pair
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(pair.len());
            let (own, value) = pair.split_at_checked(end)?;
            let value = value.strip_prefix(b"=").unwrap_or(value);
            (!pair.is_empty() && *decode_form(own) == *name.as_bytes()).then(|| decode_form(value))
        })
}

impl TextRule {
    fn new(config: TextConfig, at: &str, errors: &mut ConfigErrors) -> Self {
        let glob = config.glob.as_ref().is_none_or(|glob| glob.len() <= 256);
        errors.check(glob, format!("{at}.glob"), "expected at most 256 bytes");
        let TextConfig {
            exact,
            prefix,
            suffix,
            present,
            glob,
        } = config;
        let mut rules: Vec<Self> = [
            exact.map(Self::Exact),
            prefix.map(Self::Prefix),
            suffix.map(Self::Suffix),
            present.map(|present| if present { Self::Present } else { Self::Absent }),
            glob.map(Self::Glob),
        ]
        .into_iter()
        .flatten()
        .collect();
        errors.check(
            rules.len() == 1,
            at,
            "expected exactly one of exact, prefix, suffix, present, glob",
        );
        rules.pop().unwrap_or(Self::Present)
    }

    fn holds<'a>(&self, mut values: impl Iterator<Item = &'a [u8]>) -> bool {
        match self {
            Self::Absent => values.next().is_none(),
            _ => values.any(|value| self.fits(value)),
        }
    }

    fn holds_owned<'a>(
        &self,
        mut values: impl Iterator<Item = std::borrow::Cow<'a, [u8]>>,
    ) -> bool {
        match self {
            Self::Absent => values.next().is_none(),
            _ => values.any(|value| self.fits(&value)),
        }
    }

    fn fits(&self, value: &[u8]) -> bool {
        match self {
            Self::Exact(text) => value == text.as_bytes(),
            Self::Prefix(text) => value.starts_with(text.as_bytes()),
            Self::Suffix(text) => value.ends_with(text.as_bytes()),
            Self::Present => true,
            Self::Absent => false,
            Self::Glob(glob) => fits_glob(glob.as_bytes(), value),
        }
    }
}

/// `*` is any run of bytes, `?` any one byte. Goes back to the last `*` only, so it takes at most |glob| × |value| steps.
fn fits_glob(glob: &[u8], value: &[u8]) -> bool {
    let (mut at, mut position) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while let Some(byte) = value.get(position) {
        match glob.get(at) {
            Some(b'*') => {
                star = Some((at + 1, position));
                at += 1;
            }
            Some(own) if *own == b'?' || own == byte => {
                at += 1;
                position += 1;
            }
            _ => {
                let Some((after, from)) = star else {
                    return false;
                };
                star = Some((after, from + 1));
                at = after;
                position = from + 1;
            }
        }
    }
    glob.iter().skip(at).all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_match_whole_values() {
        for (glob, value, expected) in [
            ("", "", true),
            ("", "a", false),
            ("*", "", true),
            ("*", "anything", true),
            ("a*", "abc", true),
            ("a*c", "abc", true),
            ("a*c", "abcd", false),
            ("*b*", "abc", true),
            ("a?c", "abc", true),
            ("a?c", "ac", false),
            ("**a", "bba", true),
            ("*aab", "aaaab", true),
            ("a.c", "abc", false),
            ("?", "", false),
        ] {
            assert_eq!(
                fits_glob(glob.as_bytes(), value.as_bytes()),
                expected,
                "{glob} {value}"
            );
        }
        assert!(fits_glob(b"\xff*", b"\xff\xfe\x01"));
    }

    #[test]
    fn parameters_are_decoded_and_told_apart() {
        let read = |path: &'static str, name: &'static str| {
            parameters(path.as_bytes(), name)
                .map(|value| String::from_utf8_lossy(&value).into_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(read("/a?x=1&y=2&x=%33", "x"), ["1", "3"]);
        assert_eq!(read("/a?%78=1+2", "x"), ["1 2"]);
        assert_eq!(read("/a?x&x=&xx=1&=2", "x"), ["", ""]);
        assert!(read("/a", "x").is_empty());
        assert!(read("/a?&&", "").is_empty());
    }

    proptest::proptest! {
        #[test]
        fn a_glob_of_the_value_itself_fits(value in "[a-z]{0,20}", cut in 0_usize..20) {
            let cut = cut.min(value.len());
            let (head, tail) = value.split_at(cut);
            proptest::prop_assert!(fits_glob(value.as_bytes(), value.as_bytes()));
            let starred = format!("{head}*{tail}");
            proptest::prop_assert!(fits_glob(starred.as_bytes(), value.as_bytes()));
        }

        #[test]
        fn no_bytes_stop_a_glob(glob in proptest::collection::vec(0_u8..=255, 0..40), value in proptest::collection::vec(0_u8..=255, 0..40)) {
            let _ = fits_glob(&glob, &value);
        }
    }
}
