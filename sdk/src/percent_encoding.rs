//! Percent-encoding (RFC 3986 section 2.1), read leniently as servers do.
//!
//! 1. `%` with two hex digits is a byte; any other `%` stands for itself.
//! 2. In a form-encoded query `+` is a space.

use std::borrow::Cow;

/// Decodes once.
pub fn decode(text: &[u8]) -> Cow<'_, [u8]> {
    decode_with(text, false)
}

/// Decodes once, with `+` as space.
pub fn decode_form(text: &[u8]) -> Cow<'_, [u8]> {
    decode_with(text, true)
}

/// Decodes until nothing changes, at most four times: what a chain of servers might make of it.
pub fn decode_fully(text: &[u8]) -> Cow<'_, [u8]> {
    let mut decoded = decode_form(text);
    for _ in 0..3 {
        match decode(&decoded) {
            Cow::Owned(further) if *further != *decoded => decoded = Cow::Owned(further),
            _ => break,
        }
    }
    decoded
}

fn decode_with(text: &[u8], form: bool) -> Cow<'_, [u8]> {
    if !text
        .iter()
        .any(|byte| *byte == b'%' || (form && *byte == b'+'))
    {
        return Cow::Borrowed(text);
    }
    let mut decoded = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => {
                    decoded.push(high << 4 | low);
                    rest = after;
                }
                _ => decoded.push(b'%'),
            },
            (b'+', _) if form => decoded.push(b' '),
            _ => decoded.push(*byte),
        }
    }
    Cow::Owned(decoded)
}

/// Value of a hex digit.
pub(crate) fn hex(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn escapes_are_read_and_broken_ones_stay() {
        for (text, once, form) in [
            (&b""[..], &b""[..], &b""[..]),
            (b"a+b", b"a+b", b"a b"),
            (b"%74oken", b"token", b"token"),
            (b"%7", b"%7", b"%7"),
            (b"%", b"%", b"%"),
            (b"%zz%41", b"%zzA", b"%zzA"),
            (b"%ff%FF", b"\xff\xff", b"\xff\xff"),
            (b"%2574", b"%74", b"%74"),
        ] {
            assert_eq!((&*decode(text), &*decode_form(text)), (once, form));
        }
        assert_eq!(&*decode_fully(b"%25252574oken"), b"token");
    }
}
