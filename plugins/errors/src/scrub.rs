//! What leaves the gateway of an exchange, filtered (Sentry SDK specification, "Data collection").
//!
//! 1. Values of names on Sentry's denylist are `[Filtered]`, the names stay: headers, cookies one by one, query keys.
//!    What looks like a credential in any value, path or text is filtered too. No configured name overrides this.
//! 2. Without `send_default_pii` cookie values are filtered, headers that tell of the client (`forwarded`, `-ip`,
//!    `remote-`, `via`, `-user`), and IP addresses in headers, paths, queries and what Envoy says of an upstream (Relay's
//!    rule `@ip`; it spares `user-agent` too, whose versions look like addresses).
//! 3. Bodies are never read. Filtered first, cut afterwards.

use launchgate_sdk::map::Map;
use std::net::{Ipv4Addr, Ipv6Addr};

use launchgate_sdk::ConfigErrors;
use launchgate_sdk::headers::Headers;
use launchgate_sdk::json_tree::{Object, Value};
use launchgate_sdk::notifier::clean;
use launchgate_sdk::redact::{MASK, RedactConfig, Redaction, Redactor};

use crate::config::Scrub;

/// What stands for a filtered value.
pub(crate) const FILTERED: &str = "[Filtered]";
const VALUE_LIMIT: usize = 512;
const FIELDS_LIMIT: usize = 64;
const EXTENDED: [&str; 5] = ["forwarded", "-ip", "remote-", "via", "-user"];

/// The redactor of a configuration.
pub(crate) fn redactor(scrub: &Scrub, errors: &mut ConfigErrors) -> Redactor {
    let masked = |names: &[String]| {
        // Inserted one by one: collecting into a map brings a sort of its own into the module.
        let mut modes = Map::new();
        for name in names {
            modes.insert(name.clone(), Redaction::Mask);
        }
        modes
    };
    let config = RedactConfig {
        headers: masked(&scrub.headers),
        cookies: masked(&scrub.cookies),
        query: masked(&scrub.query),
        path: masked(&scrub.paths),
        ..RedactConfig::default()
    };
    config.redactor(None, "scrub", errors)
}

/// Bytes as text for an event. A masked credential goes with its scheme: Relay takes any word after `Bearer` for one.
pub(crate) fn text(bytes: &[u8], limit: usize) -> String {
    let text = String::from_utf8_lossy(bytes);
    // Three searches over every text are most of what an event costs; few texts hold a mask.
    if !bytes.contains(&b'[') {
        return clean(&text, limit);
    }
    let mut text = text.replace(MASK, FILTERED);
    for scheme in ["Bearer [Filtered]", "bearer [Filtered]"] {
        text = text.replace(scheme, FILTERED);
    }
    clean(&text, limit)
}

/// Headers by name in lower case, without pseudo headers and cookies.
pub(crate) fn headers(headers: &Headers, redactor: &Redactor, send_pii: bool) -> Value {
    let mut shown: Object = Map::new();
    for (name, value) in headers.iter() {
        let name = text(name, 128).to_ascii_lowercase();
        if name.is_empty()
            || name.starts_with(':')
            || name == "cookie"
            || (shown.len() >= FIELDS_LIMIT && !shown.contains_key(&name))
        {
            continue;
        }
        let personal = !send_pii && EXTENDED.iter().any(|part| holds(&name, part));
        let value = if personal || (name == "set-cookie" && !send_pii) {
            FILTERED.to_owned()
        } else {
            let value = text(
                &redactor.header(&name, value).unwrap_or_default(),
                VALUE_LIMIT,
            );
            match name.as_str() {
                "user-agent" => value,
                _ => anonymous(value, send_pii),
            }
        };
        match shown.get_mut(&name) {
            Some(Value::String(known)) => *known = clean(&format!("{known}, {value}"), VALUE_LIMIT),
            _ => drop(shown.insert(name, value.into())),
        }
    }
    Value::Object(shown)
}

/// Whether a text holds a part; for short ones, without the set-up of a search.
fn holds(text: &str, part: &str) -> bool {
    let mut windows = text.as_bytes().windows(part.len());
    windows.any(|window| window == part.as_bytes())
}

/// The cookies of a request by name, as the event schema wants them. What is no cookie has neither name nor value.
pub(crate) fn cookies(headers: &Headers, redactor: &Redactor, send_pii: bool) -> Value {
    let mut shown: Object = Map::new();
    for field in headers.all("cookie") {
        let cookies = text(&redactor.cookies(field), usize::MAX);
        for cookie in cookies.split("; ").filter(|cookie| !cookie.is_empty()) {
            let (name, value) = match cookie.split_once('=') {
                Some((name, value)) if send_pii => (clean(name, 128), clean(value, VALUE_LIMIT)),
                Some((name, _)) => (clean(name, 128), FILTERED.to_owned()),
                None => (FILTERED.to_owned(), FILTERED.to_owned()),
            };
            if shown.len() < FIELDS_LIMIT {
                shown.or_insert_with(name, || value.into());
            }
        }
    }
    Value::Object(shown)
}

/// A path without its query.
pub(crate) fn path(path: &[u8], redactor: &Redactor, send_pii: bool) -> String {
    anonymous(text(&redactor.path(path), 2 * VALUE_LIMIT), send_pii)
}

/// A query.
pub(crate) fn query(query: &[u8], redactor: &Redactor, send_pii: bool) -> Option<String> {
    let shown = || anonymous(text(&redactor.query(query), 2 * VALUE_LIMIT), send_pii);
    (!query.is_empty()).then(shown)
}

/// A text without IP addresses, unless personal data is sent.
pub(crate) fn anonymous(text: String, send_pii: bool) -> String {
    let is_part = |letter: char| letter.is_ascii_hexdigit() || matches!(letter, '.' | ':');
    if send_pii || !text.contains(is_part) {
        return text;
    }
    let mut out = String::with_capacity(text.len());
    let (mut rest, mut before) = (text.as_str(), None);
    while let Some(letter) = rest.chars().next() {
        let is_run = is_part(letter);
        let end = rest
            .find(|letter| is_part(letter) != is_run)
            .unwrap_or(rest.len());
        let (run, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let is_word = |letter: Option<char>| letter.is_some_and(char::is_alphanumeric);
        if is_run && !is_word(before) && !is_word(after.chars().next()) && is_address(run) {
            out.push_str(FILTERED);
        } else {
            out.push_str(run);
        }
        (rest, before) = (after, run.chars().next_back());
    }
    out
}

/// Whether this is an address, with a port or at the end of a sentence too.
fn is_address(run: &str) -> bool {
    let run = run.trim_end_matches(['.', ':']);
    let host = run.split(':').next().unwrap_or_default();
    host.parse::<Ipv4Addr>().is_ok() || run.parse::<Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_filtered_and_nothing_else_is() {
        for (text, shown) in [
            ("10.0.0.1", "[Filtered]"),
            ("10.0.0.1:8080", "[Filtered]"),
            ("http://10.0.0.1:80/a", "http://[Filtered]/a"),
            ("ip=8.8.8.8&page=2", "ip=[Filtered]&page=2"),
            ("from 2001:db8::7, 10.0.0.1.", "from [Filtered], [Filtered]"),
            ("[2001:db8::7]:443", "[[Filtered]]:443"),
            ("12:30:45", "12:30:45"),
            ("1.2.3", "1.2.3"),
            ("1.2.3.4.5", "1.2.3.4.5"),
            ("v1.2.3.4", "v1.2.3.4"),
            ("std::net", "std::net"),
            ("connection refused", "connection refused"),
            ("\u{e9}10.0.0.1", "\u{e9}10.0.0.1"),
            ("", ""),
        ] {
            assert_eq!(anonymous(text.to_owned(), false), shown, "{text}");
        }
        assert_eq!(anonymous("10.0.0.1".to_owned(), true), "10.0.0.1");
    }
}
