//! `sentry-trace` (Sentry SDK specification, trace propagation): `traceid-spanid[-sampled]`.
//!
//! 1. 32 and 16 hex digits, then nothing (decision deferred), `-1` or `-0`.
//! 2. A header that stands twice, and a malformed one, count as absent.

use super::{SpanId, TraceId, trim};
use crate::headers::Headers;

/// A valid `sentry-trace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SentryTrace {
    /// Trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub span_id: SpanId,
    /// The caller's decision; `None` where it is deferred.
    pub sampled: Option<bool>,
}

impl SentryTrace {
    /// Reads the header, which must be there exactly once.
    pub fn read(headers: &Headers) -> Option<Self> {
        Self::parse(headers.only("sentry-trace")?)
    }

    /// Parses a header value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut fields = trim(value).split(|byte| *byte == b'-');
        let trace_id = TraceId::parse(&fields.next()?.to_ascii_lowercase())?;
        let span_id = SpanId::parse(&fields.next()?.to_ascii_lowercase())?;
        let sampled = match fields.next() {
            None => None,
            Some(b"1") => Some(true),
            Some(b"0") => Some(false),
            Some(_) => return None,
        };
        fields.next().is_none().then_some(Self {
            trace_id,
            span_id,
            sampled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    #[wasm_bindgen_test(unsupported = test)]
    fn only_well_formed_values_are_read() {
        let ids = "771a43a4192642f0b136d5159a501700-7c2e2d1b5a0a4e8f";
        for (value, sampled) in [
            (ids.to_owned(), Some(None)),
            (format!("{ids}-1"), Some(Some(true))),
            (format!(" {ids}-0\t"), Some(Some(false))),
            (format!("{ids}-"), None),
            (format!("{ids}-2"), None),
            (format!("{ids}-1-1"), None),
            ("1".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(
                SentryTrace::parse(value.as_bytes()).map(|trace| trace.sampled),
                sampled,
                "{value}"
            );
        }
    }
}
