//! Which trace an exchange belongs to.
//!
//! 1. [`TraceParent`] and [`TraceState`]: W3C Trace Context, level 1 and 2.
//! 2. [`B3`]: Zipkin's headers, single and multi.
//! 3. [`SentryTrace`] and [`Baggage`]: Sentry's own header, and W3C Baggage where Sentry keeps its sampling context.
//! 4. [`TraceContext::read`] tries formats in a given order; the first that is valid wins. What is malformed counts as
//!    absent: nothing here fails.
//!
//! Headers are only read: nothing is propagated or changed.

mod b3;
mod baggage;
mod id;
mod sentry;
mod traceparent;
mod tracestate;

use crate::config::Decode;

pub use b3::B3;
pub use baggage::Baggage;
pub use id::{SpanId, TraceId};
pub use sentry::SentryTrace;
pub use traceparent::TraceParent;
pub use tracestate::TraceState;

use crate::headers::Headers;

/// A format of trace headers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Decode)]
#[cfg_attr(not(target_family = "wasm"), derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum TraceFormat {
    /// W3C `traceparent`.
    Traceparent,
    /// Zipkin's `b3` or `x-b3-…`.
    B3,
    /// Sentry's `sentry-trace`.
    SentryTrace,
}

/// The trace, the caller's span, and whether the caller samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceContext {
    /// Trace.
    pub trace_id: TraceId,
    /// The caller's span: the parent of what happens here.
    pub span_id: SpanId,
    /// The caller's decision; `None` where it is deferred.
    pub sampled: Option<bool>,
    /// Where it was read.
    pub format: TraceFormat,
}

impl TraceContext {
    /// The first valid context among the formats.
    pub fn read(headers: &Headers, order: &[TraceFormat]) -> Option<Self> {
        order
            .iter()
            .find_map(|format| Self::read_format(headers, *format))
    }

    fn read_format(headers: &Headers, format: TraceFormat) -> Option<Self> {
        match format {
            TraceFormat::Traceparent => {
                let parent = TraceParent::read(headers)?;
                Some(Self {
                    trace_id: parent.trace_id,
                    span_id: parent.parent_id,
                    sampled: Some(parent.is_sampled()),
                    format,
                })
            }
            TraceFormat::B3 => {
                let b3 = B3::read(headers)?;
                let (trace_id, span_id) = b3.ids?;
                Some(Self {
                    trace_id,
                    span_id,
                    sampled: b3.sampled,
                    format,
                })
            }
            TraceFormat::SentryTrace => {
                let trace = SentryTrace::read(headers)?;
                Some(Self {
                    trace_id: trace.trace_id,
                    span_id: trace.span_id,
                    sampled: trace.sampled,
                    format,
                })
            }
        }
    }
}

/// Without the optional white space around a field value (RFC 9110 section 5.5).
fn trim(value: &[u8]) -> &[u8] {
    let is_space = |byte: &u8| matches!(byte, b' ' | b'\t');
    let start = value
        .iter()
        .position(|byte| !is_space(byte))
        .unwrap_or(value.len());
    let end = value
        .iter()
        .rposition(|byte| !is_space(byte))
        .map_or(start, |at| at + 1);
    value.get(start..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    const ALL: [TraceFormat; 3] = [
        TraceFormat::Traceparent,
        TraceFormat::B3,
        TraceFormat::SentryTrace,
    ];

    #[wasm_bindgen_test(unsupported = test)]
    fn the_first_valid_format_wins() {
        let parent = (
            "traceparent",
            "00-11111111111111111111111111111111-1111111111111111-01",
        );
        let broken = (
            "traceparent",
            "00-00000000000000000000000000000000-1111111111111111-01",
        );
        let b3 = ("b3", "22222222222222222222222222222222-2222222222222222-0");
        let denied = ("b3", "0");
        let sentry = (
            "sentry-trace",
            "33333333333333333333333333333333-3333333333333333",
        );
        for (name, headers, digit, sampled) in [
            (
                "W3C before the others",
                vec![sentry, b3, parent],
                Some('1'),
                Some(true),
            ),
            (
                "an invalid traceparent counts as absent",
                vec![broken, b3],
                Some('2'),
                Some(false),
            ),
            (
                "a b3 denial has no ids",
                vec![denied, sentry],
                Some('3'),
                None,
            ),
            ("nothing", vec![], None, None),
        ] {
            let context = TraceContext::read(&Headers::from_pairs(headers), &ALL);
            assert_eq!(
                context.map(|c| c.trace_id.to_string()),
                digit.map(|d| d.to_string().repeat(32)),
                "{name}"
            );
            assert_eq!(context.and_then(|c| c.sampled), sampled, "{name}");
        }
    }

    #[cfg(not(target_family = "wasm"))]
    proptest::proptest! {
        #[test]
        fn no_bytes_stop_a_reader(value in proptest::collection::vec(0_u8..=255, 0..120)) {
            for name in ["traceparent", "b3", "x-b3-traceid", "x-b3-spanid", "sentry-trace"] {
                let _ = TraceContext::read(&Headers::from_pairs([(name, value.as_slice())]), &ALL);
            }
            let headers = Headers::from_pairs([("tracestate", value.as_slice()), ("baggage", value.as_slice())]);
            let _ = (TraceState::read(&headers), Baggage::read(&headers));
        }
    }
}
