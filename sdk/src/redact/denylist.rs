//! Names whose values are secret until somebody says otherwise.
//!
//! 1. Sentry's list for data collection: a name that contains one of these words, in any case, with or without `-`, `_`
//!    and `.` between its letters (getsentry/sentry-docs, `client/data-collection`).
//! 2. OpenTelemetry's list for `url.query`: the signatures and credentials of signed URLs (semantic conventions, `url`).

/// Words of Sentry's list, and the words in OpenTelemetry's names, by their first letter.
fn words(first: u8) -> &'static [&'static [u8]] {
    match first {
        b'a' => &[b"auth"],
        b'b' => &[b"bearer"],
        b'c' => &[b"csrf", b"credential", b"cookie"],
        b'i' => &[b"identity"],
        b'j' => &[b"jwt"],
        b'k' => &[b"key"],
        b'p' => &[b"password", b"passwd", b"pwd", b"passphrase"],
        b's' => &[b"secret", b"sso", b"saml", b"session", b"sid", b"signature"],
        b't' => &[b"token"],
        b'x' => &[b"xsrf"],
        _ => &[],
    }
}

/// Whole names of OpenTelemetry's list that hold none of the words.
const NAMES: [&[u8]; 1] = [b"sig"];

/// Names that are longer are nobody's: they count as sensitive, unread.
const LONGEST: usize = 1024;

/// Whether the value under this name is secret. The name is decoded already.
pub fn is_sensitive(name: &[u8]) -> bool {
    if name.len() > LONGEST {
        return true;
    }
    let mut plain = Vec::with_capacity(name.len());
    for byte in name {
        if byte.is_ascii_alphanumeric() {
            plain.push(byte.to_ascii_lowercase());
        }
    }
    let begins = |(at, first): (usize, &u8)| {
        let rest = plain.get(at..).unwrap_or_default();
        words(*first).iter().any(|word| rest.starts_with(word))
    };
    NAMES.contains(&plain.as_slice()) || plain.iter().enumerate().any(begins)
}

/// Whether a text assigns to a sensitive name within itself: `…token=x`, `"password": "x"`, `api-key: x`.
pub(super) fn assigns_sensitive(text: &[u8]) -> bool {
    let mut seen = 0;
    text.iter().enumerate().any(|(at, byte)| {
        if !matches!(byte, b'=' | b':') {
            return false;
        }
        let before = text.get(seen..at).unwrap_or_default();
        seen = at + 1;
        is_sensitive(last_word(before))
    })
}

/// The word at the end of a text, quotes and blanks after it left out.
fn last_word(text: &[u8]) -> &[u8] {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let is_gap = |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'\\' | b']' | b'[');
    let end = text
        .iter()
        .rposition(|byte| !is_gap(byte))
        .map_or(0, |at| at + 1);
    let word = text.get(..end).unwrap_or_default();
    let start = word
        .iter()
        .rposition(|byte| !is_part(byte))
        .map_or(0, |at| at + 1);
    word.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    /// The lists as they are published, name by name.
    #[wasm_bindgen_test(unsupported = test)]
    fn the_lists_of_sentry_and_opentelemetry_are_whole() {
        const SENTRY: [&str; 17] = [
            "auth",
            "token",
            "secret",
            "password",
            "passwd",
            "pwd",
            "key",
            "jwt",
            "bearer",
            "sso",
            "saml",
            "csrf",
            "xsrf",
            "credentials",
            "session",
            "sid",
            "identity",
        ];
        const OPENTELEMETRY: [&str; 7] = [
            "AWSAccessKeyId",
            "Signature",
            "sig",
            "X-Goog-Signature",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
        ];
        for name in SENTRY.into_iter().chain(OPENTELEMETRY) {
            assert!(is_sensitive(name.as_bytes()), "{name}");
        }
        // Sentry's words count anywhere in a name.
        for word in SENTRY {
            for name in [
                format!("x-{word}"),
                format!("{word}_id"),
                format!("my{word}"),
            ] {
                assert!(is_sensitive(name.to_ascii_uppercase().as_bytes()), "{name}");
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn names_are_sensitive_by_word_in_any_spelling() {
        for name in [
            "Authorization",
            "proxy-authorization",
            "x-api-key",
            "apiKey",
            "api_key",
            "ACCESS_TOKEN",
            "pass-word",
            "sessionid",
            "JSESSIONID",
            "x-csrf-token",
            "X-XSRF",
            "saml_response",
            "connect.sid",
            "user_identity",
            "db_credentials",
            "jwt",
            "sig",
            "Signature",
            "X-Amz-Signature",
            "X-Amz-Credential",
            "X-Amz-Security-Token",
            "AWSAccessKeyId",
            "X-Goog-Signature",
            "pwd",
            "sso",
        ] {
            assert!(is_sensitive(name.as_bytes()), "{name}");
        }
        for name in [
            "",
            "q",
            "page",
            "x-tenant",
            "user-agent",
            "sign",
            "sigma",
            "accept",
            "\u{fffd}",
        ] {
            assert!(!is_sensitive(name.as_bytes()), "{name}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn assignments_within_a_text_are_seen() {
        for (text, expected) in [
            ("https://x.example/?a=1&access_token=abc", true),
            (r#"{"user":"a","password" : "b"}"#, true),
            ("user[api_key]=x", true),
            ("Authorization: Basic abc", true),
            ("a=b", false),
            ("12:30", false),
            ("keyboard", false),
            ("=", false),
        ] {
            assert_eq!(assigns_sensitive(text.as_bytes()), expected, "{text}");
        }
    }
}
