//! Secrets that are known by their form, wherever they stand.
//!
//! 1. `jwt`: a run of the JWT alphabet that begins with `eyJ` (`{"` in base64url) and has a dot (RFC 7519; JWE too).
//! 2. `bearer`: what follows the word `Bearer` or `Basic` (RFC 6750, RFC 7617). The word stays.
//! 3. `card`: 13 to 19 digits that a card network may have issued and that pass the check digit (ISO/IEC 7812-1, Luhn),
//!    as one run or in the usual groups with ` `, `-` or `.` between them.
//! 4. `email`: an address with a dot in its domain (RFC 5322 dot-atom; letters beyond ASCII too).

use std::ops::Range;

use super::marks::Marks;
use crate::config::Decode;

/// A form of secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Detector {
    /// JSON Web Tokens.
    Jwt,
    /// Credentials after `Bearer` or `Basic`.
    Bearer,
    /// Payment card numbers.
    Card,
    /// E-mail addresses.
    Email,
}

impl Detector {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Jwt, Self::Bearer, Self::Card, Self::Email];

    /// The first secret of this form at or after `from`.
    pub fn find(self, text: &[u8], from: usize) -> Option<Range<usize>> {
        match self {
            Self::Jwt => find_jwt(text, from),
            Self::Bearer => find_bearer(text, from),
            Self::Card => find_card(text, from),
            Self::Email => find_email(text, from),
        }
    }
}

/// All secrets in a text, in order, overlapping ones joined.
pub fn find_all(text: &[u8], detectors: &[Detector]) -> Vec<Range<usize>> {
    let mut found: Vec<Range<usize>> = Vec::new();
    let marks = Marks::of(text);
    let mut heads: Vec<(Detector, Option<Range<usize>>)> = Vec::new();
    for detector in detectors.iter().filter(|detector| marks.allow(**detector)) {
        // Most texts hold none: they cost no allocation.
        if let Some(first) = detector.find(text, 0) {
            heads.push((*detector, Some(first)));
        }
    }
    // Merges the detectors' findings, so that nothing need be sorted and the cost grows with the text only.
    loop {
        let first = heads
            .iter_mut()
            .filter(|(_, head)| head.is_some())
            .min_by_key(|(_, head)| head.as_ref().map(|range| range.start));
        let Some((detector, head)) = first else {
            return found;
        };
        let Some(range) = head.take() else {
            return found;
        };
        *head = detector.find(text, range.end.max(range.start + 1));
        match found.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => found.push(range),
        }
    }
}

fn run(text: &[u8], from: usize, is_part: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.iter()
        .position(|byte| !is_part(*byte))
        .map_or(text.len(), |at| from + at)
}

fn find_jwt(text: &[u8], from: usize) -> Option<Range<usize>> {
    let mut start = from;
    loop {
        start += text
            .get(start..)?
            .windows(3)
            .position(|part| part == b"eyJ")?;
        let end = run(text, start, |byte| {
            byte.is_ascii_alphanumeric() || b"-_.=+/".contains(&byte)
        });
        if text.get(start..end)?.contains(&b'.') {
            return Some(start..end);
        }
        // Nothing in this run can be one: looking at each `eyJ` in it would cost its square.
        start = end;
    }
}

fn find_bearer(text: &[u8], from: usize) -> Option<Range<usize>> {
    let rest = text.get(from..)?;
    let begins = rest.iter().enumerate();
    let mut begins = begins.filter(|(_, byte)| matches!(byte, b'b' | b'B'));
    begins.find_map(|(at, _)| {
        let tail = rest.get(at..)?;
        let word = [&b"bearer"[..], b"basic"].into_iter().find(|word| {
            tail.get(..word.len())
                .is_some_and(|head| head.eq_ignore_ascii_case(word))
        })?;
        let gap = from + at + word.len();
        let start = run(text, gap, |byte| matches!(byte, b' ' | b'\t'));
        let end = run(text, start, |byte| {
            byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)
        });
        (start > gap && end > start).then_some(start..end)
    })
}

fn find_card(text: &[u8], from: usize) -> Option<Range<usize>> {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    // A number begins where a run of digits does: not within the run that `from` may stand in.
    let mut start = match from.checked_sub(1).and_then(|before| text.get(before)) {
        Some(before) if is_digit(*before) => run(text, from, is_digit),
        _ => from,
    };
    loop {
        start = run(text, start, |byte| !is_digit(byte));
        let first = text.get(start)?;
        if ISSUED.contains(first)
            && let Some(end) = card_end(text, start)
        {
            return Some(start..end);
        }
        start = run(text, start, is_digit);
    }
}

/// First digits of card networks.
const ISSUED: std::ops::RangeInclusive<u8> = b'2'..=b'6';

const GROUPS: [&[usize]; 5] = [
    &[4, 4, 4, 4],
    &[4, 6, 5],
    &[4, 6, 4],
    &[4, 4, 4, 4, 3],
    &[6, 13],
];

/// Where a card number that begins at `start` ends.
fn card_end(text: &[u8], start: usize) -> Option<usize> {
    let (mut digits, mut groups, mut at) = (Vec::with_capacity(19), Vec::new(), start);
    let mut candidate = None;
    while digits.len() <= 19 {
        let end = run(text, at, |byte| byte.is_ascii_digit());
        digits.extend(text.get(at..end)?.iter().map(|byte| byte - b'0'));
        groups.push(end - at);
        let grouped = groups.len() == 1 || GROUPS.contains(&groups.as_slice());
        if grouped && is_card(&digits) {
            candidate = Some(end);
        }
        let separated = text.get(end).is_some_and(|byte| b" -.".contains(byte))
            && text.get(end + 1).is_some_and(u8::is_ascii_digit);
        if !separated || groups.len() >= 5 {
            break;
        }
        at = end + 1;
    }
    candidate
}

/// Length, first digit of a card network, and check digit.
fn is_card(digits: &[u8]) -> bool {
    let issued = match digits.first() {
        Some(4) => digits.len() >= 13,
        Some(2 | 3 | 5 | 6) => digits.len() >= 14,
        _ => false,
    };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            if place % 2 == 1 {
                u32::from(digit * 2 / 10 + digit * 2 % 10)
            } else {
                u32::from(*digit)
            }
        })
        .sum();
    issued && digits.len() <= 19 && sum.is_multiple_of(10)
}

fn find_email(text: &[u8], from: usize) -> Option<Range<usize>> {
    let is_local =
        |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b"._%+-'".contains(&byte);
    let is_domain =
        |byte: u8| byte.is_ascii_alphanumeric() || byte >= 0x80 || b".-".contains(&byte);
    let rest = text.get(from..)?;
    rest.iter()
        .enumerate()
        .filter(|(_, byte)| **byte == b'@')
        .find_map(|(at, _)| {
            let at = from + at;
            let start = text
                .get(from..at)?
                .iter()
                .rposition(|byte| !is_local(*byte))
                .map_or(from, |before| from + before + 1);
            let end = run(text, at + 1, is_domain);
            let domain = text.get(at + 1..end)?;
            let has_top = domain
                .iter()
                .rposition(|byte| *byte == b'.')
                .is_some_and(|dot| dot > 0 && dot + 1 < domain.len());
            let has_top = has_top
                || domain
                    .strip_suffix(b".")
                    .is_some_and(|shorter| shorter.contains(&b'.'));
            (start < at && has_top).then_some(start..end)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn found(detector: Detector, text: &str) -> Vec<&str> {
        find_all(text.as_bytes(), &[detector])
            .into_iter()
            .map(|range| text.get(range).unwrap())
            .collect()
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn tokens_are_found() {
        let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
        assert_eq!(
            found(Detector::Jwt, &format!("/a/{jwt}?x={jwt}")),
            [jwt, jwt]
        );
        assert_eq!(
            found(Detector::Jwt, "eyJhbGciOiJkaXIifQ..iv.text.tag"),
            ["eyJhbGciOiJkaXIifQ..iv.text.tag"]
        );
        assert!(found(Detector::Jwt, "eyJ eyJabc keyJ").is_empty());
        assert_eq!(
            found(
                Detector::Bearer,
                "Authorization: bearer \t abc.def~x=, Basic dTpw"
            ),
            ["abc.def~x=", "dTpw"]
        );
        assert!(found(Detector::Bearer, "bearer, basics bearer").is_empty());
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn cards_are_told_from_other_numbers() {
        for card in [
            "4111111111111111",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "4111.1111.1111.1111",
            "378282246310005",
            "3782 822463 10005",
            "5555555555554444",
            "2223003122003222",
            "6011111111111117",
            "30569309025904",
            "4222222222222",
            "3530111333300000",
            "6200000000000005",
        ] {
            for text in [
                card.to_owned(),
                format!("card={card};"),
                format!("x{card}y"),
                format!("1,{card},2"),
            ] {
                assert_eq!(found(Detector::Card, &text), [card], "{text}");
            }
        }
        for other in [
            "4111111111111112",
            "1795348800000",
            "1795348800000000000",
            "550e8400-e29b-41d4-a716-446655440000",
            "411111111111111",
            "41111111111111111111111",
            "4111-11-11-11",
            "0000000000000000",
            "",
        ] {
            assert!(found(Detector::Card, other).is_empty(), "{other}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn addresses_are_found() {
        assert_eq!(
            found(Detector::Email, "to=a.b+c@mail.example.org&x=ö@ü.example,"),
            ["a.b+c@mail.example.org", "ö@ü.example"]
        );
        for other in ["@example.org", "a@b", "a@.", "a@", "@", "a@b."] {
            assert!(found(Detector::Email, other).is_empty(), "{other}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_longest_texts_are_read_in_one_pass() {
        // With a square in it, a single one of these would take minutes.
        for part in [
            "eyJ",
            "bearer ",
            "4 ",
            "4111-",
            "a@",
            "a@b.c ",
            "basic x a@b.c ",
        ] {
            let text = part.repeat(1_000_000 / part.len());
            let _ = find_all(text.as_bytes(), &Detector::ALL);
        }
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn ranges_are_ordered_and_inside(text in proptest::collection::vec(proptest::prop_oneof![0_u8..=255, proptest::sample::select(b"eyJ. bearer @1-4".to_vec())], 0..200)) {
            let mut end = 0;
            for range in find_all(&text, &Detector::ALL) {
                proptest::prop_assert!(range.start >= end && range.end > range.start && range.end <= text.len());
                end = range.end;
            }
        }
    }
}
