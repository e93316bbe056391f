//! Sealed values, `${sealed:v1.…}`: secrets that must stand in a manifest, as ciphertext.
//!
//! 1. AES-256-GCM (NIST SP 800-38D). The text after `v1.` is base64url of a 12-byte nonce, the ciphertext and the 16-byte tag; the
//!    additional data is `launchgate sealed v1`.
//! 2. The key is 32 bytes in base64 in the VM's variable `LAUNCHGATE_SEAL_KEY`, taken from the proxy's environment. It is no
//!    part of a manifest.
//! 3. Opening needs the cargo feature `sealed`: without it such a value is refused, never taken for text.
//! 4. No error holds key, plaintext or ciphertext.

/// The variable that holds the key.
pub const KEY_VARIABLE: &str = "LAUNCHGATE_SEAL_KEY";

/// Additional data: what the ciphertext is for.
pub const PURPOSE: &[u8] = b"launchgate sealed v1";

/// The plaintext of what stands after `sealed:`; the error says what was expected.
///
/// # Errors
/// A build without the feature, a missing or malformed key, a value of another form, or one that was sealed with another key.
#[cfg(feature = "sealed")]
pub fn open(sealed: &str, key: Option<&str>) -> Result<String, String> {
    use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};

    use crate::base64::decode;

    const NONCE: usize = 12;
    let key = key.ok_or_else(|| {
        format!("expected the key in the variable {KEY_VARIABLE} of the VM, where it is missing")
    })?;
    let key = decode(key.trim().as_bytes()).filter(|key| key.len() == 32);
    let cipher = key.and_then(|key| aes_gcm::Aes256Gcm::new_from_slice(&key).ok());
    let cipher = cipher.ok_or_else(|| format!("expected 32 bytes in base64 in {KEY_VARIABLE}"))?;
    let bytes = sealed
        .strip_prefix("v1.")
        .and_then(|text| decode(text.as_bytes()));
    let parts = bytes
        .as_deref()
        .and_then(|bytes| bytes.split_at_checked(NONCE));
    let (nonce, ciphertext) = parts
        .ok_or_else(|| "expected a value of `launchgate seal`: v1. and base64url".to_owned())?;
    let payload = Payload {
        msg: ciphertext,
        aad: PURPOSE,
    };
    let opened = cipher.decrypt(aes_gcm::Nonce::from_slice(nonce), payload);
    let opened = opened.ok().and_then(|plain| String::from_utf8(plain).ok());
    opened.ok_or_else(|| format!("expected a value that was sealed with the key in {KEY_VARIABLE}"))
}

/// Refuses: this build cannot open sealed values.
///
/// # Errors
/// Always.
#[cfg(not(feature = "sealed"))]
pub fn open(_sealed: &str, _key: Option<&str>) -> Result<String, String> {
    Err("expected a module built with the feature \"sealed\" to open a sealed value".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sealed by another implementation (Python's `cryptography`) with the key 00 01 … 1f and the nonce 00 … 0b.
    #[cfg(feature = "sealed")]
    #[test]
    fn a_value_opens_with_its_key_only() {
        let key = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let sealed = "v1.AAECAwQFBgcICQoLL3e4b6CX8DvkMrfl3skIDPCl8FuCH4TQ7PoUL1kCbYlrbvtcsus";
        assert_eq!(
            open(sealed, Some(key)).as_deref(),
            Ok("hunter2 is no password")
        );
        let other = "AQECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
        let rows = [
            (
                sealed,
                None,
                "expected the key in the variable LAUNCHGATE_SEAL_KEY of the VM, where it is missing",
            ),
            (
                sealed,
                Some("c2hvcnQ="),
                "expected 32 bytes in base64 in LAUNCHGATE_SEAL_KEY",
            ),
            (
                sealed,
                Some(other),
                "expected a value that was sealed with the key in LAUNCHGATE_SEAL_KEY",
            ),
            (
                "v1.AAAA",
                Some(key),
                "expected a value of `launchgate seal`: v1. and base64url",
            ),
            (
                "v2.AAAA",
                Some(key),
                "expected a value of `launchgate seal`: v1. and base64url",
            ),
        ];
        for (sealed, key, expected) in rows {
            assert_eq!(open(sealed, key), Err(expected.to_owned()), "{expected}");
        }
    }

    #[cfg(not(feature = "sealed"))]
    #[test]
    fn without_the_feature_a_sealed_value_is_refused() {
        let error = open("v1.AAAA", Some("AAAA")).unwrap_err();
        assert_eq!(
            error,
            "expected a module built with the feature \"sealed\" to open a sealed value"
        );
    }
}
