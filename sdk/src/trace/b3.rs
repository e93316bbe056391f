//! Zipkin's B3 (openzipkin/b3-propagation).
//!
//! 1. `b3: traceid-spanid[-sampled[-parentspanid]]`, or only the sampling state. It goes before the multiple headers
//!    `x-b3-traceid`, `x-b3-spanid`, `x-b3-sampled`, `x-b3-flags`.
//! 2. A trace id has 32 or 16 hex digits (the shorter is padded with zeros to the left), a span id has 16.
//! 3. Sampling: `1` or `d` (debug) yes, `0` no; `true` and `false` are read too. `x-b3-flags: 1` is debug.
//! 4. A header that stands twice counts as absent; so does a malformed `b3`, and then the multiple headers count.

use super::{SpanId, TraceId, trim};
use crate::headers::Headers;

/// What B3 headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct B3 {
    /// Trace and the caller's span; `None` where only a sampling state was sent.
    pub ids: Option<(TraceId, SpanId)>,
    /// The caller's decision; `None` where it is deferred.
    pub sampled: Option<bool>,
    /// Whether the caller forces the trace.
    pub debug: bool,
}

impl B3 {
    /// Reads the single header, else the multiple ones.
    pub fn read(headers: &Headers) -> Option<Self> {
        headers
            .only("b3")
            .and_then(Self::parse)
            .or_else(|| Self::read_multiple(headers))
    }

    /// Parses the value of `b3`.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut fields = trim(value).split(|byte| *byte == b'-');
        let first = fields.next()?;
        let Some(second) = fields.next() else {
            let (sampled, debug) = parse_state(first)?;
            return Some(Self {
                ids: None,
                sampled: Some(sampled),
                debug,
            });
        };
        let ids = (TraceId::parse_padded(first)?, parse_span(second)?);
        let state = fields
            .next()
            .map(|field| parse_state(field).ok_or(()))
            .transpose()
            .ok()?;
        let parent_fits = fields
            .next()
            .is_none_or(|field| parse_span(field).is_some());
        if !parent_fits || fields.next().is_some() {
            return None;
        }
        Some(Self {
            ids: Some(ids),
            sampled: state.map(|(sampled, _)| sampled),
            debug: state.is_some_and(|(_, debug)| debug),
        })
    }

    fn read_multiple(headers: &Headers) -> Option<Self> {
        let field = |name: &str| headers.only(name).map(trim);
        let ids = field("x-b3-traceid")
            .and_then(TraceId::parse_padded)
            .zip(field("x-b3-spanid").and_then(parse_span));
        let debug = field("x-b3-flags") == Some(b"1");
        let sampled = if debug {
            Some(true)
        } else {
            field("x-b3-sampled")
                .and_then(parse_state)
                .map(|(sampled, _)| sampled)
        };
        (ids.is_some() || sampled.is_some()).then_some(Self {
            ids,
            sampled,
            debug,
        })
    }
}

fn parse_span(text: &[u8]) -> Option<SpanId> {
    SpanId::parse(&text.to_ascii_lowercase())
}

/// Sampled, and whether by debug.
fn parse_state(text: &[u8]) -> Option<(bool, bool)> {
    match text {
        b"1" | b"true" => Some((true, false)),
        b"0" | b"false" => Some((false, false)),
        b"d" => Some((true, true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    const LONG: &str = "80f198ee56343ba864fe8b2a57d3eff7";
    const SPAN: &str = "e457b5a2e4d86bd1";

    #[wasm_bindgen_test(unsupported = test)]
    fn the_single_header_is_read() {
        for (value, id, sampled, debug) in [
            (
                format!("{LONG}-{SPAN}-1-05e3ac9a4f6e3b90"),
                Some(LONG),
                Some(true),
                false,
            ),
            (format!("{LONG}-{SPAN}-d"), Some(LONG), Some(true), true),
            (format!("{LONG}-{SPAN}-0"), Some(LONG), Some(false), false),
            (format!(" {LONG}-{SPAN} "), Some(LONG), None, false),
            (
                format!("64FE8B2A57D3EFF7-{SPAN}"),
                Some("000000000000000064fe8b2a57d3eff7"),
                None,
                false,
            ),
            ("0".to_owned(), None, Some(false), false),
            ("d".to_owned(), None, Some(true), true),
        ] {
            let b3 = B3::parse(value.as_bytes()).unwrap();
            assert_eq!(
                (b3.ids.map(|(id, _)| id.to_string()), b3.sampled, b3.debug),
                (id.map(str::to_owned), sampled, debug),
                "{value}"
            );
        }
        for value in [
            "",
            "x",
            "-",
            "0-",
            LONG,
            &format!("{LONG}-{SPAN}-2"),
            &format!("{LONG}-{SPAN}-1-"),
            &format!("{LONG}-{SPAN}-1-{SPAN}-"),
            &format!("{LONG}-{}", "0".repeat(16)),
        ] {
            assert_eq!(B3::parse(value.as_bytes()), None, "{value}");
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn the_single_header_goes_before_the_multiple_ones() {
        let short = "463ac35c9f6413ad";
        let multiple = [
            ("x-b3-traceid", short),
            ("X-B3-SpanId", SPAN),
            ("x-b3-sampled", "true"),
        ];
        let single = format!("{LONG}-{SPAN}-0");
        let id = |headers: &Headers| {
            B3::read(headers)
                .and_then(|b3| b3.ids)
                .map(|(id, _)| id.to_string())
        };
        let headers = |extra: &[(&'static str, &str)]| {
            Headers::from_pairs(multiple.iter().copied().chain(extra.iter().copied()))
        };
        assert_eq!(id(&headers(&[])), Some(format!("0000000000000000{short}")));
        assert_eq!(id(&headers(&[("b3", &single)])), Some(LONG.to_owned()));
        assert_eq!(
            id(&headers(&[("b3", "broken")])),
            Some(format!("0000000000000000{short}"))
        );
        assert_eq!(id(&headers(&[("x-b3-traceid", short)])), None);
        assert_eq!(
            B3::read(&headers(&[("x-b3-flags", "1")])).map(|b3| (b3.sampled, b3.debug)),
            Some((Some(true), true))
        );
        assert_eq!(B3::read(&Headers::default()), None);
    }
}
