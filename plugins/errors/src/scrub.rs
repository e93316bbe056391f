//! What leaves the gateway of an exchange, filtered (Sentry SDK specification, "Data collection").
//!
//! 1. Values of names on Sentry's denylist are `[Filtered]`, the names stay: headers, cookies one by one, query keys.
//!    What looks like a credential in any value, path or text is filtered too. No configured name overrides this.
//! 2. Without `send_default_pii` cookie values are filtered, and headers that tell of the client (`forwarded`, `-ip`,
//!    `remote-`, `via`, `-user`).
//! 3. Bodies are never read. Filtered first, cut afterwards.

use std::collections::BTreeMap;

use launchgate_sdk::ConfigErrors;
use launchgate_sdk::headers::Headers;
use launchgate_sdk::notifier::clean;
use launchgate_sdk::redact::{MASK, RedactConfig, Redaction, Redactor};
use serde_json::{Map, Value};

use crate::config::Scrub;

/// What stands for a filtered value.
pub(crate) const FILTERED: &str = "[Filtered]";
const VALUE_LIMIT: usize = 512;
const FIELDS_LIMIT: usize = 64;
const EXTENDED: [&str; 5] = ["forwarded", "-ip", "remote-", "via", "-user"];

/// The redactor of a configuration.
pub(crate) fn redactor(scrub: &Scrub, errors: &mut ConfigErrors) -> Redactor {
    let masked = |names: &[String]| {
        names
            .iter()
            .map(|name| (name.clone(), Redaction::Mask))
            .collect::<BTreeMap<_, _>>()
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

/// Bytes as text for an event.
pub(crate) fn text(bytes: &[u8], limit: usize) -> String {
    clean(
        &String::from_utf8_lossy(bytes).replace(MASK, FILTERED),
        limit,
    )
}

/// Headers by name in lower case, without pseudo headers and cookies.
pub(crate) fn headers(headers: &Headers, redactor: &Redactor, send_pii: bool) -> Value {
    let mut shown: Map<String, Value> = Map::new();
    for (name, value) in headers.iter() {
        let name = text(name, 128).to_ascii_lowercase();
        if name.is_empty()
            || name.starts_with(':')
            || name == "cookie"
            || (shown.len() >= FIELDS_LIMIT && !shown.contains_key(&name))
        {
            continue;
        }
        let personal = !send_pii && EXTENDED.iter().any(|part| name.contains(part));
        let value = if personal || (name == "set-cookie" && !send_pii) {
            FILTERED.to_owned()
        } else {
            text(
                &redactor.header(&name, value).unwrap_or_default(),
                VALUE_LIMIT,
            )
        };
        match shown.get_mut(&name) {
            Some(Value::String(known)) => *known = clean(&format!("{known}, {value}"), VALUE_LIMIT),
            _ => drop(shown.insert(name, value.into())),
        }
    }
    Value::Object(shown)
}

/// The cookies of a request as one text, name by name.
pub(crate) fn cookies(headers: &Headers, redactor: &Redactor, send_pii: bool) -> Option<String> {
    let mut shown: Vec<String> = Vec::new();
    for field in headers.all("cookie") {
        let cookies = text(&redactor.cookies(field), usize::MAX);
        shown.extend(
            cookies
                .split("; ")
                .filter(|cookie| !cookie.is_empty())
                .map(|cookie| match cookie.split_once('=') {
                    Some((name, _)) if !send_pii => format!("{name}={FILTERED}"),
                    Some(_) => cookie.to_owned(),
                    None => FILTERED.to_owned(),
                }),
        );
    }
    (!shown.is_empty()).then(|| clean(&shown.join("; "), 2 * VALUE_LIMIT))
}

/// A path without its query.
pub(crate) fn path(path: &[u8], redactor: &Redactor) -> String {
    text(&redactor.path(path), 2 * VALUE_LIMIT)
}

/// A query.
pub(crate) fn query(query: &[u8], redactor: &Redactor) -> Option<String> {
    (!query.is_empty()).then(|| text(&redactor.query(query), 2 * VALUE_LIMIT))
}
