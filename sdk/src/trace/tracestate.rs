//! W3C `tracestate` (Trace Context section 3.3, level 2 grammar).
//!
//! 1. All headers of the name are one list, in order; empty members and white space around members are tolerated.
//! 2. A key is a lower-case letter or digit and up to 255 of `a-z 0-9 _ - * / @`; a value is 1 to 256 printable ASCII
//!    characters without `,` and `=`, and does not end in a space.
//! 3. One invalid member, or more than 32, discards the whole list. Of a key that stands twice the first member counts.
//! 4. Without a valid `traceparent` there is no `tracestate`.

use super::{TraceParent, trim};
use crate::headers::Headers;

/// A valid `tracestate`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceState(Vec<(String, String)>);

const MEMBERS: usize = 32;
const KEY: usize = 256;
const VALUE: usize = 256;

impl TraceState {
    /// Reads the headers; `None` where there is no valid `traceparent`, no member, or anything invalid.
    pub fn read(headers: &Headers) -> Option<Self> {
        TraceParent::read(headers)?;
        Self::parse(headers.all("tracestate"))
    }

    /// Parses the values of the header, in order.
    pub fn parse<'a>(values: impl IntoIterator<Item = &'a [u8]>) -> Option<Self> {
        let mut members: Vec<(String, String)> = Vec::new();
        let lists = values
            .into_iter()
            .flat_map(|value| value.split(|byte| *byte == b','));
        for (position, member) in lists
            .map(trim)
            .filter(|member| !member.is_empty())
            .enumerate()
        {
            let (key, value) = parse_member(member).filter(|_| position < MEMBERS)?;
            if !members.iter().any(|(known, _)| known == key) {
                members.push((key.to_owned(), value.to_owned()));
            }
        }
        (!members.is_empty()).then_some(Self(members))
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(known, _)| known == key)
            .map(|(_, value)| value.as_str())
    }

    /// All members, in order.
    pub fn members(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
    }
}

fn parse_member(member: &[u8]) -> Option<(&str, &str)> {
    let (key, value) = std::str::from_utf8(member).ok()?.split_once('=')?;
    let key_fits = key.len() <= KEY
        && key.starts_with(|letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit())
        && key.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-*/@".contains(&byte)
        });
    let value_fits = (1..=VALUE).contains(&value.len())
        && !value.ends_with(' ')
        && value
            .bytes()
            .all(|byte| (0x20..=0x7e).contains(&byte) && byte != b'=');
    (key_fits && value_fits).then_some((key, value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    fn read(values: &[&str]) -> Option<String> {
        let state = TraceState::parse(values.iter().map(|value| value.as_bytes()))?;
        Some(
            state
                .members()
                .map(|(key, value)| format!("{key}={value}"))
                .collect::<Vec<_>>()
                .join(","),
        )
    }

    /// The table of w3c/trace-context `test/test.py`, as to `tracestate`.
    #[wasm_bindgen_test(unsupported = test)]
    fn the_table_of_the_w3c_holds() {
        for (values, expected) in [
            (vec!["foo=1,bar=2"], Some("foo=1,bar=2")),
            (vec![""], None),
            (vec!["foo=1", ""], Some("foo=1")),
            (vec!["", "foo=1"], Some("foo=1")),
            (
                vec!["foo=1,bar=2", "rojo=1,congo=2", "baz=3"],
                Some("foo=1,bar=2,rojo=1,congo=2,baz=3"),
            ),
            (vec!["foo=1,foo=1"], Some("foo=1")),
            (vec!["foo=1,foo=2"], Some("foo=1")),
            (vec!["foo=1", "foo=2"], Some("foo=1")),
            (
                vec!["foo=1 \t , \t bar=2, \t baz=3"],
                Some("foo=1,bar=2,baz=3"),
            ),
            (
                vec!["foo=1\t \t,\t \tbar=2,\t \tbaz=3"],
                Some("foo=1,bar=2,baz=3"),
            ),
            (vec!["\t foo=1 \t"], Some("foo=1")),
            (vec!["foo =1"], None),
            (vec!["FOO=1"], None),
            (vec!["foo.bar=1"], None),
            (vec!["foo@=1,bar=2"], Some("foo@=1,bar=2")),
            (vec!["@foo=1,bar=2"], None),
            (vec!["foo@@bar=1,bar=2"], Some("foo@@bar=1,bar=2")),
            (vec!["foo@bar@baz=1,bar=2"], Some("foo@bar@baz=1,bar=2")),
            (vec!["foo=bar=baz"], None),
            (vec!["foo=,bar=3"], None),
            (vec!["foobarbaz"], None),
            (vec!["foo=\u{e9}"], None),
        ] {
            assert_eq!(read(&values).as_deref(), expected, "{values:?}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn lengths_and_counts_are_bounded() {
        let member = |number: usize| format!("bar{number:02}={number:02}");
        let of = |count: usize| (1..=count).map(member).collect::<Vec<_>>().join(",");
        assert_eq!(read(&[&of(32)]), Some(of(32)));
        assert_eq!(read(&[&of(33)]), None);
        for (key, valid) in [
            ("z".repeat(256), true),
            ("z".repeat(257), false),
            (format!("{}@{}", "t".repeat(241), "v".repeat(14)), true),
        ] {
            assert_eq!(
                read(&["foo=1", &format!("{key}=1")]).is_some(),
                valid,
                "{}",
                key.len()
            );
        }
        for (length, valid) in [(256, true), (257, false)] {
            assert_eq!(
                read(&[&format!("foo={}", "x".repeat(length))]).is_some(),
                valid,
                "{length}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn all_legal_characters_are_kept() {
        let key = "abcdefghijklmnopqrstuvwxyz0123456789_-*/@a-z0-9_-*/";
        let value: String = (0x20..=0x7e_u8)
            .filter(|byte| !b",=".contains(byte))
            .map(char::from)
            .collect();
        let state = TraceState::parse([format!("{key}={value}").as_bytes()]).unwrap();
        assert_eq!(state.get(key), Some(value.as_str()));
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn without_a_traceparent_there_is_none() {
        let parent = (
            "traceparent",
            "00-12345678901234567890123456789012-1234567890123456-00",
        );
        assert!(
            TraceState::read(&Headers::from_pairs([parent, ("tracestate", "foo=1")])).is_some()
        );
        assert!(TraceState::read(&Headers::from_pairs([("tracestate", "foo=1")])).is_none());
    }
}
