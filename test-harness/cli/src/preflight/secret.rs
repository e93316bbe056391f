//! Where a secret stands that should not: by the form of the value, by the name of its field or variable, and by its disorder.
//!
//! 1. Forms are few and sure: a private key, a JWT, tokens with a vendor's prefix, a DSN or webhook with its key, a password in a URL.
//! 2. A field or variable whose name says secret must hold a `${reference}`, or nothing.
//! 3. In a plugin's configuration, 32 and more characters of at least 3.5 bits each are a key, unless the field is a digest.
//! 4. What is found is told by its place, its kind and its length. The value is never told.

use std::{collections::BTreeMap, sync::OnceLock};

use regex::Regex;
use serde_json::Value;

const FORMS: &[(&str, &str)] = &[
    ("a private key", "-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    (
        "a JSON web token",
        r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
    ),
    ("an AWS access key", r"\b(AKIA|ASIA)[0-9A-Z]{16}\b"),
    (
        "a GitHub token",
        r"\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{40,})",
    ),
    ("a Slack token", r"\bxox[abprs]-[A-Za-z0-9-]{10,}"),
    (
        "a Slack webhook",
        r"hooks\.slack\.com/services/T[A-Z0-9]+/B[A-Z0-9]+/[A-Za-z0-9]{16,}",
    ),
    ("a Sentry DSN", r"https?://[0-9a-f]{32}(:[0-9a-f]{32})?@"),
    (
        "a password in a URL",
        r"[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@$]+@",
    ),
    ("a bearer token", r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{16,}"),
];

const NAMES: &[&str] = &[
    "secret",
    "token",
    "dsn",
    "password",
    "passwd",
    "webhook",
    "credential",
    "api_key",
    "apikey",
    "private_key",
    "hmac_key",
    "authorization",
];

/// Fields that name something public although they look like a secret.
const PUBLIC: &[&str] = &[
    "sha256",
    "digest",
    "fingerprint",
    "rollout",
    "tokens",
    "token_path",
];

const KEY_LENGTH: usize = 32;
const KEY_BITS: f64 = 3.5;

/// Paths of a plugin's configuration at which a secret stands as text.
pub(super) fn literals(config: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(config, &mut String::new(), &mut |path, text| {
        if let Some(kind) = kind(path, text) {
            found.push(tell(path, kind, text));
        }
    });
    found
}

/// Variables whose value stands in the gateway's configuration although their name says secret.
pub(super) fn variables(variables: &BTreeMap<String, String>) -> Vec<String> {
    let bad = variables.iter().filter(|(_, value)| !value.is_empty());
    bad.filter_map(|(name, value)| {
        let kind =
            form(value).or_else(|| is_secret_name(name).then_some("a secret by its name"))?;
        Some(tell(&format!("environment variable {name}"), kind, value))
    })
    .collect()
}

/// Secrets of a known form anywhere in a dump but in the plugins, which have rules of their own.
pub(super) fn outside_of_plugins(dump: &Value) -> Vec<String> {
    let mut found = Vec::new();
    walk(dump, &mut String::new(), &mut |path, text| {
        let plugins = path.contains(".vm_config.") || path.ends_with(".configuration.value");
        if let Some(kind) = form(text).filter(|_| !plugins) {
            found.push(tell(path, kind, text));
        }
    });
    found.sort();
    found.dedup();
    found
}

/// `${NAME}` without a default, with the path where it stands.
pub(super) fn required_variables(config: &Value) -> Vec<(String, String)> {
    static REFERENCE: OnceLock<Option<Regex>> = OnceLock::new();
    let reference =
        REFERENCE.get_or_init(|| Regex::new(r"\$(\$?)\{([A-Za-z_][A-Za-z0-9_]*)(:-[^}]*)?\}").ok());
    let mut found = Vec::new();
    walk(config, &mut String::new(), &mut |path, text| {
        for one in reference.iter().flat_map(|r| r.captures_iter(text)) {
            let is_literal = one.get(1).is_some_and(|m| !m.is_empty());
            if !is_literal && one.get(3).is_none() {
                found.push((path.to_owned(), one[2].to_owned()));
            }
        }
    });
    found
}

fn kind(path: &str, text: &str) -> Option<&'static str> {
    // Under `redact` the names are those of what shall be hidden, the values how.
    if text.is_empty() || text.contains("${") || path.contains("redact.") {
        return None;
    }
    let field = path.rsplit('.').next().unwrap_or(path);
    let field = field.split('[').next().unwrap_or(field);
    if PUBLIC.contains(&field) {
        return None;
    }
    form(text)
        .or_else(|| is_secret_name(field).then_some("a secret by the name of its field"))
        .or_else(|| is_key(text).then_some("a random key by its disorder"))
}

fn form(text: &str) -> Option<&'static str> {
    static COMPILED: OnceLock<Vec<(&'static str, Regex)>> = OnceLock::new();
    // The expressions are part of the program; a test compiles them.
    let forms = COMPILED.get_or_init(|| {
        FORMS
            .iter()
            .filter_map(|(kind, form)| Some((*kind, Regex::new(form).ok()?)))
            .collect()
    });
    forms
        .iter()
        .find(|(_, form)| form.is_match(text))
        .map(|(kind, _)| *kind)
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    NAMES.iter().any(|secret| name.contains(secret)) || name.ends_with("_key")
}

fn is_key(text: &str) -> bool {
    let alphabet =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'_' | b'-');
    let mixed =
        text.bytes().any(|b| b.is_ascii_digit()) && text.bytes().any(|b| b.is_ascii_alphabetic());
    text.len() >= KEY_LENGTH && mixed && text.bytes().all(alphabet) && bits(text) >= KEY_BITS
}

/// Shannon's entropy of the bytes, each.
fn bits(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    text.bytes().for_each(|b| counts[usize::from(b)] += 1);
    let length = text.len() as f64;
    let share = counts
        .iter()
        .filter(|c| **c > 0)
        .map(|c| f64::from(*c) / length);
    share.map(|p| -p * p.log2()).sum()
}

fn tell(path: &str, kind: &str, text: &str) -> String {
    format!("{path}: {kind}, {} bytes", text.len())
}

fn walk(value: &Value, path: &mut String, visit: &mut dyn FnMut(&str, &str)) {
    let length = path.len();
    match value {
        Value::String(text) => visit(path, text),
        Value::Array(items) => items.iter().enumerate().for_each(|(at, item)| {
            path.push_str(&format!("[{at}]"));
            walk(item, path, visit);
            path.truncate(length);
        }),
        Value::Object(map) => map.iter().for_each(|(key, item)| {
            if !path.is_empty() {
                path.push('.');
            }
            path.push_str(key);
            walk(item, path, visit);
            path.truncate(length);
        }),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_form_compiles_and_finds_its_example() {
        let examples = [
            "-----BEGIN EC PRIVATE KEY-----",
            "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl",
            "AKIAIOSFODNN7EXAMPLE",
            "ghp_0123456789abcdefghijklmnopqrstuvwxyz",
            "xoxb-1234567890-abc",
            "https://hooks.slack.com/services/T000/B000/abcdefghijklmnop",
            "https://0123456789abcdef0123456789abcdef@sentry.example.org/1",
            "redis://user:pass@db:6379",
            "Bearer abcdefghijklmnopq",
        ];
        assert_eq!(examples.len(), FORMS.len());
        for (example, (kind, _)) in examples.iter().zip(FORMS) {
            assert_eq!(form(example), Some(*kind), "{example}");
        }
    }

    #[test]
    fn what_is_told_never_holds_the_value() {
        let value = "s3cr3t-s3cr3t-s3cr3t";
        let told = literals(&json!({"control": {"token": value}, "service": "checkout"}));
        assert_eq!(
            told,
            ["control.token: a secret by the name of its field, 20 bytes"]
        );
    }

    #[test]
    fn references_digests_and_plain_words_are_no_secrets() {
        let digest = "b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c";
        let config = json!({
            "dsn": "${SENTRY_DSN}", "token": "", "hmac_key": "${K:-}",
            "client_cert": [{"sha256": [digest]}],
            "access_log": {"redact": {"query": {"token": "mask"}}},
            "content": "a sentence of more than thirty-two characters",
            "cluster": "outbound|8080||checkout.shop.svc.cluster.local",
        });
        assert_eq!(literals(&config), Vec::<String>::new());
    }

    #[test]
    fn a_key_is_found_by_its_disorder() {
        let told = literals(&json!({"labels": {"x": "q8Zr2LmX0vB7nT5cYw1KdHs9PfGj3Ae6"}}));
        assert_eq!(told, ["labels.x: a random key by its disorder, 32 bytes"]);
    }

    #[test]
    fn variables_with_a_default_and_escaped_ones_are_not_required() {
        let config = json!({"a": "${A} and ${B:-b} and $${C}", "d": ["${D}"]});
        let wanted = [("a", "A"), ("d[0]", "D")].map(|(p, n)| (p.to_owned(), n.to_owned()));
        assert_eq!(required_variables(&config), wanted);
    }
}
