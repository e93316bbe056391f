//! Cookies of a response, hardened.
//!
//! 1. `Secure`, `HttpOnly` and `SameSite` are added where missing, by the cookie's name. A `SameSite` that browsers do not
//!    know counts as missing. What is there stays; a field that needs nothing is not rewritten.
//! 2. `SameSite=None` needs `Secure`, or browsers drop the cookie: it is added.
//! 3. The name prefixes demand what browsers demand of them: `__Secure-` gets `Secure`, `__Host-` also `Path=/` and loses
//!    `Domain`. Without that the browser would drop the cookie (RFC 6265bis section 4.1.3).

use launchgate_sdk::cookie::{Prefix, SameSite, SetCookie};
use launchgate_sdk::{ConfigErrors, Headers};

use crate::config::CookiesConfig;

/// What cookies get.
#[derive(Debug)]
pub(crate) struct Cookies {
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
    names: Vec<Pattern>,
    except: Vec<Pattern>,
}

impl Cookies {
    /// Checks the rules; `None` where cookies are left alone.
    pub(crate) fn new(config: CookiesConfig, errors: &mut ConfigErrors) -> Option<Self> {
        let CookiesConfig {
            secure,
            http_only,
            same_site,
            names,
            except,
        } = config;
        if same_site == Some(SameSite::None) && !secure {
            errors.push(
                "cookies.same_site",
                "expected \"Strict\" or \"Lax\", or \"secure\": true with \"None\"",
            );
        }
        let names = patterns("cookies.names", &names, errors);
        let except = patterns("cookies.except", &except, errors);
        (secure || http_only || same_site.is_some()).then_some(Self {
            secure,
            http_only,
            same_site,
            names,
            except,
        })
    }

    /// All `set-cookie` fields of a response as they should be, or `None` where all are so already.
    pub(crate) fn harden(&self, response: &Headers) -> Option<Vec<Vec<u8>>> {
        let mut changed = false;
        let harden = |field: &[u8]| match self.hardened(field) {
            Some(field) => {
                changed = true;
                field
            }
            None => field.to_vec(),
        };
        let fields: Vec<Vec<u8>> = response.all("set-cookie").map(harden).collect();
        changed.then_some(fields)
    }

    fn hardened(&self, field: &[u8]) -> Option<Vec<u8>> {
        let mut cookie = SetCookie::parse(field);
        let listed = |patterns: &[Pattern]| {
            patterns
                .iter()
                .any(|pattern| pattern.is_match(cookie.name()))
        };
        if !listed(&self.names) || listed(&self.except) {
            return None;
        }
        if let Some(same_site) = self.same_site
            && cookie
                .attribute("SameSite")
                .and_then(SameSite::parse)
                .is_none()
        {
            cookie.set("SameSite", Some(same_site.as_str()));
        }
        let anywhere =
            cookie.attribute("SameSite").and_then(SameSite::parse) == Some(SameSite::None);
        let prefix = cookie.prefix();
        if (self.secure || anywhere || prefix.is_some()) && !cookie.has("Secure") {
            cookie.set("Secure", None);
        }
        if self.http_only && !cookie.has("HttpOnly") {
            cookie.set("HttpOnly", None);
        }
        if prefix == Some(Prefix::Host) {
            cookie.set("Path", Some("/"));
            cookie.remove("Domain");
        }
        cookie.is_changed().then(|| cookie.encode())
    }
}

/// A cookie's name, with `*` for any text at its begin or end.
#[derive(Debug)]
struct Pattern {
    text: String,
    any_before: bool,
    any_after: bool,
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let inner = text.strip_prefix('*').unwrap_or(text);
        let middle = inner.strip_suffix('*').unwrap_or(inner);
        let valid = !text.is_empty() && !middle.contains('*');
        valid.then(|| Self {
            text: middle.to_owned(),
            any_before: text.starts_with('*'),
            any_after: text.ends_with('*'),
        })
    }

    fn is_match(&self, name: &[u8]) -> bool {
        let text = self.text.as_bytes();
        match (self.any_before, self.any_after) {
            (false, false) => name == text,
            (false, true) => name.starts_with(text),
            (true, false) => name.ends_with(text),
            (true, true) => text.is_empty() || name.windows(text.len()).any(|part| part == text),
        }
    }
}

fn patterns(path: &str, texts: &[String], errors: &mut ConfigErrors) -> Vec<Pattern> {
    let mut read = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        match Pattern::parse(text) {
            Some(pattern) => read.push(pattern),
            None => errors.push(
                format!("{path}[{index}]"),
                "expected a cookie name, with \"*\" at its begin or end only",
            ),
        }
    }
    read
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cookies(config: &str) -> Cookies {
        let mut errors = ConfigErrors::default();
        let cookies = Cookies::new(launchgate_sdk::config::read(config).unwrap(), &mut errors);
        assert!(errors.is_empty(), "{errors}");
        cookies.unwrap()
    }

    #[test]
    fn attributes_are_added_where_missing() {
        let all = cookies(
            r#"{"secure": true, "http_only": true, "same_site": "Lax", "except": ["XSRF-*"]}"#,
        );
        for (field, expected) in [
            ("a=b", Some("a=b; SameSite=Lax; Secure; HttpOnly")),
            (
                "a=b; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT",
                Some(
                    "a=b; Path=/; Expires=Wed, 21 Oct 2026 07:28:00 GMT; SameSite=Lax; Secure; HttpOnly",
                ),
            ),
            ("a=b;secure;httponly;samesite=strict", None),
            ("a=b; Secure; HttpOnly; SameSite=None", None),
            (
                "a=b; HttpOnly; SameSite=bogus",
                Some("a=b; HttpOnly; SameSite=Lax; Secure"),
            ),
            (
                "a=b; HttpOnly; SameSite",
                Some("a=b; HttpOnly; SameSite=Lax; Secure"),
            ),
            ("a=b; Secure=no; HttpOnly; SameSite=Lax", None),
            (
                "__Host-id=1; Path=/app; Domain=example.org; HttpOnly; SameSite=Lax",
                Some("__Host-id=1; HttpOnly; SameSite=Lax; Secure; Path=/"),
            ),
            ("__Host-id=1; path=/; secure; HttpOnly; SameSite=Lax", None),
            (
                "__Secure-id=1; Domain=example.org; HttpOnly; SameSite=Lax",
                Some("__Secure-id=1; Domain=example.org; HttpOnly; SameSite=Lax; Secure"),
            ),
            ("XSRF-TOKEN=1", None),
            (
                "xsrf-token=1; Secure; HttpOnly",
                Some("xsrf-token=1; Secure; HttpOnly; SameSite=Lax"),
            ),
            ("nameless", Some("nameless; SameSite=Lax; Secure; HttpOnly")),
        ] {
            assert_eq!(
                all.hardened(field.as_bytes())
                    .map(|field| String::from_utf8(field).unwrap())
                    .as_deref(),
                expected,
                "{field}"
            );
        }
    }

    #[test]
    fn each_switch_works_alone() {
        for (config, field, expected) in [
            (r#"{"secure": true}"#, "a=b", Some("a=b; Secure")),
            (r#"{"http_only": true}"#, "a=b", Some("a=b; HttpOnly")),
            (
                r#"{"http_only": true}"#,
                "a=b; HttpOnly; SameSite=None",
                Some("a=b; HttpOnly; SameSite=None; Secure"),
            ),
            (
                r#"{"http_only": true}"#,
                "__Secure-a=b; HttpOnly",
                Some("__Secure-a=b; HttpOnly; Secure"),
            ),
            (
                r#"{"same_site": "Strict"}"#,
                "a=b",
                Some("a=b; SameSite=Strict"),
            ),
            (
                r#"{"secure": true, "names": ["sess*", "*_id"]}"#,
                "a=b",
                None,
            ),
            (
                r#"{"secure": true, "names": ["sess*", "*_id"]}"#,
                "session=b",
                Some("session=b; Secure"),
            ),
            (
                r#"{"secure": true, "names": ["sess*", "*_id"]}"#,
                "user_id=b",
                Some("user_id=b; Secure"),
            ),
        ] {
            assert_eq!(
                cookies(config)
                    .hardened(field.as_bytes())
                    .map(|field| String::from_utf8(field).unwrap())
                    .as_deref(),
                expected,
                "{config} {field}"
            );
        }
    }

    #[test]
    fn bytes_that_are_no_text_stay_and_other_fields_too() {
        let hardened = cookies(r#"{"secure": true}"#).harden(&Headers::from_pairs([
            ("set-cookie", &b"a=\xff\xfe"[..]),
            ("x", b"y"),
            ("set-cookie", b"c=d; Secure"),
        ]));
        assert_eq!(
            hardened,
            Some(vec![
                b"a=\xff\xfe; Secure".to_vec(),
                b"c=d; Secure".to_vec()
            ])
        );
        assert_eq!(
            cookies(r#"{"secure": true}"#)
                .harden(&Headers::from_pairs([("set-cookie", "c=d; Secure")])),
            None
        );
    }
}
