//! Ids of traces and spans: lower-case hex outside, bytes inside, never all zero.

use std::fmt;

use crate::percent_encoding::hex;

/// 128 bits that name a trace.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TraceId([u8; 16]);

/// 64 bits that name a span.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// From bytes; `None` for all zero.
    pub fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    /// Parses 32 lower-case hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::new(parse_hex(text)?)
    }

    /// Parses 32 or 16 hex digits, the shorter with zeros to its left, in any case (B3).
    pub fn parse_padded(text: &[u8]) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        match lower.len() {
            16 => {
                let half: [u8; 8] = parse_hex(&lower)?;
                let mut bytes = [0; 16];
                bytes
                    .iter_mut()
                    .skip(8)
                    .zip(half)
                    .for_each(|(target, byte)| *target = byte);
                Self::new(bytes)
            }
            _ => Self::parse(&lower),
        }
    }

    /// The bytes, most significant first.
    pub fn bytes(self) -> [u8; 16] {
        self.0
    }

    /// A number from 0 to 999,999 that is the same wherever the same trace is sampled: the low 56 bits, which W3C Trace
    /// Context level 2 asks to be random, as a share of a million.
    pub fn share(self) -> u32 {
        let low = self
            .0
            .iter()
            .skip(9)
            .fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
        u32::try_from((u128::from(low) * 1_000_000) >> 56).unwrap_or(u32::MAX)
    }
}

impl SpanId {
    /// From bytes; `None` for all zero.
    pub fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    /// Parses 16 lower-case hex digits.
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::new(parse_hex(text)?)
    }

    /// The bytes, most significant first.
    pub fn bytes(self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hash::hex(&self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::hash::hex(&self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Parses exactly `2 * N` lower-case hex digits.
pub(super) fn parse_hex<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    if text.len() != 2 * N || text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    let mut bytes = [0; N];
    for (target, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        let [high, low] = pair else { return None };
        *target = hex(*high)? << 4 | hex(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn the_share_follows_the_random_bits() {
        for (id, share) in [
            ("ffffffffffffffffff00000000000000", 0),
            ("0000000000000000ff80000000000000", 500_000),
            ("0000000000000000ffffffffffffffff", 999_999),
            ("00000000000000000000000000000001", 0),
        ] {
            assert_eq!(
                TraceId::parse(id.as_bytes()).unwrap().share(),
                share,
                "{id}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn short_ids_are_padded_to_the_left() {
        assert_eq!(
            TraceId::parse_padded(b"463AC35C9F6413AD")
                .unwrap()
                .to_string(),
            "0000000000000000463ac35c9f6413ad"
        );
        for text in [
            "",
            "463ac35c9f6413a",
            "463ac35c9f6413ag",
            "0000000000000000",
            "463ac35c9f6413ad0",
        ] {
            assert_eq!(TraceId::parse_padded(text.as_bytes()), None, "{text}");
        }
    }
}
