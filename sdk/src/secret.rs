//! A value that is never shown.
//!
//! 1. `Debug` and `Display` print `[redacted]`.
//! 2. The text itself is reached only by [`Secret::expose`], so that each use can be found by name.

use std::fmt;

use crate::config::{Decode, Json, Mistakes};

/// A secret string from the configuration: a token, a key, a webhook address.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secret(String);

impl Decode for Secret {
    fn decode(json: &Json, mistakes: &mut Mistakes) -> Option<Self> {
        mistakes.text(json).map(Self::new)
    }
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text. The caller must not let it reach a log, metric, event, reply or error.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether the text is empty, as from `${NAME:-}` without a value.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares with bytes from a client in a time that depends on the lengths only.
    pub fn matches(&self, offered: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let mut difference = u8::from(own.len() != offered.len());
        for (position, byte) in offered.iter().enumerate() {
            let expected = own.get(position % own.len().max(1)).copied().unwrap_or(0);
            difference |= byte ^ expected;
        }
        std::hint::black_box(difference) == 0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(not(target_family = "wasm"))]
impl schemars::JsonSchema for Secret {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Secret".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A secret. Give it by `${NAME}` from the environment of the VM, never inline.",
            "writeOnly": true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn a_secret_is_never_printed() {
        let secret = Secret::new("hunter2");
        assert_eq!(
            format!("{secret} {secret:?} {:?}", Some(&secret)),
            "[redacted] [redacted] Some([redacted])"
        );
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn only_the_same_bytes_match() {
        let secret = Secret::new("0123456789abcdef");
        assert!(secret.matches(b"0123456789abcdef"));
        for offered in [
            &b""[..],
            b"0",
            b"0123456789abcdeF",
            b"0123456789abcdef0123456789abcdef",
            b"0123456789abcde",
        ] {
            assert!(!secret.matches(offered), "{offered:?}");
        }
        assert!(!Secret::default().matches(b"x"));
    }
}
