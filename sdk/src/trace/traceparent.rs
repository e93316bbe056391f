//! W3C `traceparent` (Trace Context section 3.2).
//!
//! 1. `version-traceid-parentid-flags`: 2, 32, 16 and 2 lower-case hex digits.
//! 2. Version `ff` is invalid. Version `00` has nothing behind the flags. A higher version may have, after a `-`, and is
//!    read by its first four fields.
//! 3. An id of zeros is invalid. More than one header counts as none. White space around the value is tolerated.

use super::id::parse_hex;
use super::{SpanId, TraceId, trim};
use crate::headers::Headers;

/// A valid `traceparent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    /// Version as received.
    pub version: u8,
    /// Trace.
    pub trace_id: TraceId,
    /// The caller's span.
    pub parent_id: SpanId,
    /// Flags as received: bit 0 sampled, bit 1 random (level 2).
    pub flags: u8,
}

const LENGTH: usize = 55;

impl TraceParent {
    /// Reads the header, which must be there exactly once.
    pub fn read(headers: &Headers) -> Option<Self> {
        Self::parse(headers.only("traceparent")?)
    }

    /// Parses a header value.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = trim(value).split_at_checked(LENGTH)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let [version] = parse_hex(fields.next()?)?;
        let trace_id = TraceId::parse(fields.next()?)?;
        let parent_id = SpanId::parse(fields.next()?)?;
        let [flags] = parse_hex(fields.next()?)?;
        let ends = match version {
            0 => rest.is_empty(),
            0xff => false,
            _ => matches!(rest.first(), None | Some(b'-')),
        };
        (ends && fields.next().is_none()).then_some(Self {
            version,
            trace_id,
            parent_id,
            flags,
        })
    }

    /// Whether the caller may have recorded its part.
    pub fn is_sampled(self) -> bool {
        self.flags & 1 == 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_bindgen_test::wasm_bindgen_test;

    const ID: &str = "12345678901234567890123456789012";
    const PARENT: &str = "1234567890123456";

    /// The table of w3c/trace-context `test/test.py`, as to `traceparent`.
    #[wasm_bindgen_test(unsupported = test)]
    fn the_table_of_the_w3c_holds() {
        for (value, valid) in [
            (format!("00-{ID}-{PARENT}-01"), true),
            (format!("00-{ID}-{PARENT}-02"), true),
            (format!("00-{ID}-{PARENT}-ff"), true),
            (format!("00-{ID}-{PARENT}-01."), false),
            (
                format!("00-{ID}-{PARENT}-01-what-the-future-will-be-like"),
                false,
            ),
            (format!("00-{ID}-{PARENT}-01-"), false),
            (format!("cc-{ID}-{PARENT}-01"), true),
            (
                format!("cc-{ID}-{PARENT}-01-what-the-future-will-be-like"),
                true,
            ),
            (
                format!("cc-{ID}-{PARENT}-01.what-the-future-will-be-like"),
                false,
            ),
            (format!("ff-{ID}-{PARENT}-01"), false),
            (format!(".0-{ID}-{PARENT}-01"), false),
            (format!("0.-{ID}-{PARENT}-01"), false),
            (format!("000-{ID}-{PARENT}-01"), false),
            (format!("0000-{ID}-{PARENT}-01"), false),
            (format!("0-{ID}-{PARENT}-01"), false),
            (format!("00-{}-{PARENT}-01", "0".repeat(32)), false),
            (
                format!("00-.2345678901234567890123456789012-{PARENT}-01"),
                false,
            ),
            (
                format!("00-1234567890123456789012345678901.-{PARENT}-01"),
                false,
            ),
            (format!("00-{ID}3-{PARENT}-01"), false),
            (
                format!("00-1234567890123456789012345678901-{PARENT}-01"),
                false,
            ),
            (format!("00-{ID}-{}-01", "0".repeat(16)), false),
            (format!("00-{ID}-.234567890123456-01"), false),
            (format!("00-{ID}-123456789012345.-01"), false),
            (format!("00-{ID}-{PARENT}7-01"), false),
            (format!("00-{ID}-123456789012345-01"), false),
            (format!("00-{ID}-{PARENT}-.0"), false),
            (format!("00-{ID}-{PARENT}-0."), false),
            (format!("00-{ID}-{PARENT}-001"), false),
            (format!("00-{ID}-{PARENT}-1"), false),
            (format!(" 00-{ID}-{PARENT}-01"), true),
            (format!("\t00-{ID}-{PARENT}-01"), true),
            (format!("00-{ID}-{PARENT}-01 "), true),
            (format!("00-{ID}-{PARENT}-01\t"), true),
            (format!("\t 00-{ID}-{PARENT}-01 \t"), true),
            // The grammar's own edges.
            (
                format!("00-{}-{PARENT}-01", "ABCDEFabcdef12345678901234567890"),
                false,
            ),
            (format!("0A-{ID}-{PARENT}-01"), false),
            (format!("00-{ID}-{PARENT}-0A"), false),
            (format!("00_{ID}_{PARENT}_01"), false),
            (format!("00-{ID}-{PARENT}-01,00-{ID}-{PARENT}-01"), false),
            (String::new(), false),
        ] {
            let parsed = TraceParent::parse(value.as_bytes());
            assert_eq!(parsed.is_some(), valid, "{value:?}");
            if let Some(parent) = parsed {
                assert_eq!(
                    (
                        parent.trace_id.to_string().as_str(),
                        parent.parent_id.to_string().as_str()
                    ),
                    (ID, PARENT),
                    "{value:?}"
                );
            }
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn two_headers_count_as_none_and_names_have_no_case() {
        let value = format!("00-{ID}-{PARENT}-01");
        let twice = Headers::from_pairs([("traceparent", &value), ("traceparent", &value)]);
        assert_eq!(TraceParent::read(&twice), None);
        for (name, read) in [
            ("TraceParent", true),
            ("TRACEPARENT", true),
            ("trace-parent", false),
            ("trace.parent", false),
        ] {
            assert_eq!(
                TraceParent::read(&Headers::from_pairs([(name, &value)])).is_some(),
                read,
                "{name}"
            );
        }
    }

    #[wasm_bindgen_test(unsupported = test)]
    fn flags_are_bits() {
        for (flags, sampled) in [("00", false), ("01", true), ("02", false), ("03", true)] {
            assert_eq!(
                TraceParent::parse(format!("00-{ID}-{PARENT}-{flags}").as_bytes())
                    .map(TraceParent::is_sampled),
                Some(sampled)
            );
        }
    }
}
