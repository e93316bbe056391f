//! Keyed hashes: who is the same user, without saying who.
//!
//! 1. HMAC-SHA256 (RFC 2104, FIPS 180-4). The parts of a message are framed by their lengths, so that no two lists of
//!    parts have the same message.
//! 2. [`Digest::bucket`]: an even number below `n`. Without the key nobody can tell which bucket a user has.
//! 3. MACs are compared in a time that does not depend on where they differ.

use std::fmt;

use hmac::{Hmac, Mac as _};
use sha2::{Digest as _, Sha256};

/// A key, ready to use: its two padded blocks are hashed once.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// A key of any length. An empty key gives hashes that anybody can compute.
    pub fn new(secret: &[u8]) -> Self {
        // `new` takes one block; longer keys are hashed first (RFC 2104 section 2), shorter ones padded with zeros.
        let mut block = [0_u8; 64];
        let hashed = Sha256::digest(secret);
        let source: &[u8] = if secret.len() > block.len() {
            &hashed
        } else {
            secret
        };
        block
            .iter_mut()
            .zip(source)
            .for_each(|(slot, byte)| *slot = *byte);
        Self(<Hmac<Sha256> as hmac::digest::KeyInit>::new(&block.into()))
    }

    /// HMAC of the parts, each preceded by its length as 64 bits big-endian.
    pub fn mac(&self, parts: &[&[u8]]) -> Digest {
        let mut mac = self.0.clone();
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        Digest(mac.finalize().into_bytes().into())
    }

    /// HMAC of one message, without framing, as RFC 2104 has it.
    pub fn mac_plain(&self, message: &[u8]) -> Digest {
        let mut mac = self.0.clone();
        mac.update(message);
        Digest(mac.finalize().into_bytes().into())
    }
}

/// Never shows the key.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// 32 bytes of hash.
#[derive(Debug, Clone, Copy)]
pub struct Digest([u8; 32]);

impl Digest {
    /// SHA-256 of a message.
    pub fn sha256(message: &[u8]) -> Self {
        Self(Sha256::digest(message).into())
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Lower-case hex of the first `length` bytes.
    pub fn hex(&self, length: usize) -> String {
        hex(self.0.get(..length).unwrap_or(&self.0))
    }

    /// A number from 0 to `n - 1`, from the first 64 bits (off from even by at most n / 2^64); 0 for `n` = 0.
    pub fn bucket(&self, n: u64) -> u64 {
        let first = self.0.first_chunk::<8>().copied().unwrap_or_default();
        u64::from_be_bytes(first).checked_rem(n).unwrap_or(0)
    }

    /// Whether these bytes are the first bytes of the hash, at least 16 of them, in constant time.
    pub fn matches(&self, offered: &[u8]) -> bool {
        offered.len() >= 16
            && self
                .0
                .get(..offered.len())
                .is_some_and(|own| same(own, offered))
    }
}

/// Whether two byte strings are the same, in a time that depends on their lengths only.
pub fn same(one: &[u8], other: &[u8]) -> bool {
    let difference = one
        .iter()
        .zip(other)
        .fold(u8::from(one.len() != other.len()), |sum, (a, b)| {
            sum | (a ^ b)
        });
    std::hint::black_box(difference) == 0
}

/// Lower-case hex.
pub fn hex(bytes: &[u8]) -> String {
    let digit = |digit: u8| digit + if digit < 10 { b'0' } else { b'a' - 10 };
    let mut text = vec![0; 2 * bytes.len()];
    for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
        if let [high, low] = pair {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
    }
    String::from_utf8(text).unwrap_or_default()
}

/// Reads lower- or upper-case hex; `None` for anything else.
pub fn unhex(text: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| {
        char::from(byte)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    if !text.len().is_multiple_of(2) {
        return None;
    }
    text.chunks(2)
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    /// RFC 4231 sections 4.2 to 4.8 (section 4.6 truncates).
    #[wasm_bindgen_test(unsupported = test)]
    fn hmac_sha256_is_that_of_rfc_4231() {
        let long_key = [0xaa; 131];
        for (key, message, expected) in [
            (
                &[0x0b; 20][..],
                &b"Hi There"[..],
                "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
            ),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 20],
                &[0xdd; 50],
                "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe",
            ),
            (
                &long_key,
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ] {
            assert_eq!(Key::new(key).mac_plain(message).hex(32), expected);
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn parts_are_told_apart() {
        let key = Key::new(b"secret");
        assert_ne!(
            key.mac(&[b"ab", b"c"]).bytes(),
            key.mac(&[b"a", b"bc"]).bytes()
        );
        assert_ne!(key.mac(&[b"ab"]).bytes(), key.mac(&[b"ab", b""]).bytes());
        assert_ne!(
            key.mac(&[b"ab"]).bytes(),
            Key::new(b"other").mac(&[b"ab"]).bytes()
        );
        assert_eq!(format!("{key:?}"), "[redacted]");
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn only_the_hash_itself_matches_and_no_short_prefix() {
        let digest = Key::new(b"secret").mac(&[b"message"]);
        let bytes = *digest.bytes();
        assert!(digest.matches(&bytes) && digest.matches(&bytes[..16]));
        let mut wrong = bytes;
        wrong[31] ^= 1;
        for offered in [&wrong[..], &bytes[..15], b"", &[&bytes[..], b"x"].concat()] {
            assert!(!digest.matches(offered), "{offered:?}");
        }
        assert!(same(b"", b"") && same(b"a", b"a") && !same(b"a", b"b") && !same(b"a", b"ab"));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn hex_is_read_back_and_nothing_else_is() {
        assert_eq!(hex(b"\x00\xff\x1a"), "00ff1a");
        assert_eq!(unhex(b"00FF1a"), Some(vec![0, 255, 26]));
        for text in [&b"0"[..], b"0g", b"+1", b"\xff\xff"] {
            assert_eq!(unhex(text), None, "{text:?}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn buckets_are_even() {
        let key = Key::new(b"secret");
        let below = (0..20_000_u32)
            .filter(|id| key.mac(&[&id.to_be_bytes()]).bucket(1_000_000) < 50_000)
            .count();
        assert!((900..1100).contains(&below), "{below}");
        assert_eq!(key.mac(&[b"x"]).bucket(0), 0);
        assert_eq!(key.mac(&[b"x"]).bucket(1), 0);
    }
}
