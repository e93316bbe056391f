//! What becomes of a sensitive value.

use crate::config::Decode;

use crate::hash::Key;

/// What becomes of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Redaction {
    /// It stays, apart from what a detector finds in it.
    Keep,
    /// It is left out with its name.
    Drop,
    /// `[redacted]` stands in its place.
    Mask,
    /// `[redacted]` and its last four characters; of a value shorter than 12 characters nothing.
    Last4,
    /// HMAC-SHA256 with the configured key, in lower-case hex: the same value gives the same text.
    Hmac,
}

/// What stands in place of a value.
pub const MASK: &str = "[redacted]";

const SHOWN: usize = 4;
const LAST4_FROM: usize = 12;

impl Redaction {
    /// Applies the mode; `None` where the value is left out. Without a key `Hmac` masks.
    pub fn apply(self, value: &[u8], key: Option<&Key>) -> Option<Vec<u8>> {
        match self {
            Self::Keep => Some(value.to_vec()),
            Self::Drop => None,
            Self::Mask => Some(MASK.into()),
            Self::Last4 => Some(last4(value)),
            Self::Hmac => Some(key.map_or_else(
                || MASK.into(),
                |key| key.mac_plain(value).hex(32).into_bytes(),
            )),
        }
    }
}

fn last4(value: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(value);
    let count = text.chars().count();
    let mut shown = String::from(MASK);
    if count >= LAST4_FROM {
        shown.extend(text.chars().skip(count - SHOWN));
    }
    shown.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn each_mode_does_what_it_says() {
        let key = Key::new(b"key");
        let fox = &b"The quick brown fox jumps over the lazy dog"[..];
        for (mode, value, expected) in [
            (Redaction::Keep, &b"a\xff"[..], Some(&b"a\xff"[..])),
            (Redaction::Drop, b"a", None),
            (Redaction::Mask, b"a", Some(b"[redacted]")),
            (
                Redaction::Last4,
                b"4111111111111111",
                Some(b"[redacted]1111"),
            ),
            (Redaction::Last4, b"12345678901", Some(b"[redacted]")),
            (
                Redaction::Last4,
                "ääääääääääää".as_bytes(),
                Some("[redacted]ääää".as_bytes()),
            ),
            (Redaction::Last4, b"", Some(b"[redacted]")),
            // The vector that everybody quotes.
            (
                Redaction::Hmac,
                fox,
                Some(b"f7bc83f430538424b13298e6aa6fb143ef4d59a14946175997479dbc2d1a3cd8"),
            ),
        ] {
            assert_eq!(
                mode.apply(value, Some(&key)).as_deref(),
                expected,
                "{mode:?}"
            );
        }
        assert_eq!(Redaction::Hmac.apply(fox, None).unwrap(), b"[redacted]");
    }
}
