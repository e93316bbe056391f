//! Which trace an exchange belongs to, and whether it becomes a transaction (Sentry SDK specification, "Trace propagation").
//!
//! 1. `sentry-trace` first, then `traceparent`; what is malformed gives a new trace. Nothing is added to the request.
//! 2. A trace of another organisation is not continued: `sentry-org_id` in `baggage` differs from the own, or, with
//!    `strict_trace_continuation`, only one of them is known.
//! 3. The decision of a caller that speaks `sentry-trace` is kept. Otherwise `sample_rand`, from `baggage` where it is
//!    given, is compared with `traces_sample_rate`.

use launchgate_sdk::Rate;
use launchgate_sdk::headers::Headers;
use launchgate_sdk::json_tree::{Object, Value};
use launchgate_sdk::trace::{Baggage, SpanId, TraceContext, TraceFormat, TraceId};

use crate::settings::Continuation;

/// The trace of an exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trace {
    /// Trace.
    pub trace_id: TraceId,
    /// The gateway's own span.
    pub span_id: SpanId,
    /// The caller's span, where the trace is continued.
    pub parent_span_id: Option<SpanId>,
    /// The caller's decision.
    parent_sampled: Option<bool>,
    /// `sample_rand` in parts of a million.
    sample_share: u32,
    /// Sentry's members of the baggage of a continued trace.
    context: Object,
}

const ORDER: [TraceFormat; 2] = [TraceFormat::SentryTrace, TraceFormat::Traceparent];
const CONTEXT_KEYS: [&str; 9] = [
    "trace_id",
    "public_key",
    "sample_rate",
    "sample_rand",
    "sampled",
    "release",
    "environment",
    "transaction",
    "org_id",
];

impl Trace {
    /// The trace that the request headers tell of, or a new one. `random` draws a random number.
    pub(crate) fn read(
        headers: &Headers,
        continuation: &Continuation,
        random: &mut dyn FnMut() -> u64,
    ) -> Self {
        let span_id = span_id(random);
        let baggage = Baggage::read(headers);
        let parent = TraceContext::read(headers, &ORDER)
            .filter(|_| continuation.admits(baggage.get("sentry-org_id")));
        let drawn = u32::try_from((u128::from(random()) * 1_000_000) >> 64).unwrap_or(0);
        let Some(parent) = parent else {
            return Self {
                trace_id: trace_id(random),
                span_id,
                parent_span_id: None,
                parent_sampled: None,
                sample_share: drawn,
                context: Object::new(),
            };
        };
        let known = |key: &&str| {
            Some((
                (*key).to_owned(),
                Value::from(baggage.get(&format!("sentry-{key}"))?),
            ))
        };
        Self {
            trace_id: parent.trace_id,
            span_id,
            parent_span_id: Some(parent.span_id),
            parent_sampled: parent
                .sampled
                .filter(|_| parent.format == TraceFormat::SentryTrace),
            sample_share: baggage
                .get("sentry-sample_rand")
                .and_then(sample_share)
                .unwrap_or(drawn),
            context: CONTEXT_KEYS.iter().filter_map(known).collect(),
        }
    }

    /// Whether it becomes a transaction, at this rate.
    pub(crate) fn is_sampled(&self, rate: Rate) -> bool {
        self.parent_sampled
            .unwrap_or_else(|| self.sample_share < rate.millionths())
    }

    /// The dynamic sampling context of an envelope's header: the caller's, frozen, or the own.
    pub(crate) fn context(&self, own: impl FnOnce() -> Object) -> Value {
        if self.context.contains_key("trace_id") && self.context.contains_key("public_key") {
            return Value::Object(self.context.clone());
        }
        let mut context = own();
        context.insert("trace_id".to_owned(), plain(&self.trace_id).into());
        context.insert(
            "sample_rand".to_owned(),
            format!("0.{:06}", self.sample_share).into(),
        );
        Value::Object(context)
    }
}

/// Reads a `sample_rand`: at least 0, below 1. In parts of a million, cut.
fn sample_share(text: &str) -> Option<u32> {
    let value = launchgate_sdk::json_tree::number(text)?;
    (0.0..1.0)
        .contains(&value)
        .then_some((value * 1_000_000.0) as u32)
}

impl Continuation {
    fn admits(&self, theirs: Option<&str>) -> bool {
        match (self.org_id.as_deref(), theirs) {
            (Some(own), Some(theirs)) => own == theirs,
            (None, None) => true,
            _ => !self.strict,
        }
    }
}

/// An id of 32 hex digits.
pub(crate) fn plain(id: &TraceId) -> String {
    id.to_string()
}

fn trace_id(random: &mut dyn FnMut() -> u64) -> TraceId {
    loop {
        let bytes = (u128::from(random()) << 64 | u128::from(random()) | 1).to_be_bytes();
        if let Some(id) = TraceId::new(bytes) {
            return id;
        }
    }
}

fn span_id(random: &mut dyn FnMut() -> u64) -> SpanId {
    loop {
        if let Some(id) = SpanId::new((random() | 1).to_be_bytes()) {
            return id;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENTRY: &str = "771a43a4192642f0b136d5159a501700-7c2e2d1b5a0a4e8f";
    const W3C: &str = "00-11111111111111111111111111111111-2222222222222222-01";

    fn read(headers: &[(&str, &str)], org: Option<&str>, strict: bool) -> Trace {
        let continuation = Continuation {
            org_id: org.map(str::to_owned),
            strict,
        };
        let mut dice = 0_u64;
        Trace::read(
            &Headers::from_pairs(headers.iter().copied()),
            &continuation,
            &mut || {
                dice = dice.wrapping_add(0x9e37_79b9_7f4a_7c15);
                dice
            },
        )
    }

    #[test]
    fn a_sample_rand_is_at_least_0_and_below_1() {
        for (text, share) in [
            ("0.25", Some(250_000)),
            ("0", Some(0)),
            ("1", None),
            ("-0.1", None),
            ("NaN", None),
            ("", None),
        ] {
            assert_eq!(sample_share(text), share, "{text}");
        }
    }

    #[test]
    fn a_trace_is_continued_unless_it_is_malformed_or_another_organisations() {
        let org = |id: &'static str| ("baggage", id);
        for (name, headers, own, strict, continued) in [
            (
                "sentry's",
                vec![("sentry-trace", SENTRY)],
                None,
                false,
                Some('7'),
            ),
            ("W3C's", vec![("traceparent", W3C)], None, false, Some('1')),
            (
                "sentry's goes first",
                vec![("traceparent", W3C), ("sentry-trace", SENTRY)],
                None,
                false,
                Some('7'),
            ),
            (
                "a malformed one is a new trace",
                vec![("sentry-trace", "zz")],
                None,
                false,
                None,
            ),
            (
                "two are a new trace",
                vec![("sentry-trace", SENTRY), ("sentry-trace", SENTRY)],
                None,
                false,
                None,
            ),
            (
                "the same organisation",
                vec![("sentry-trace", SENTRY), org("sentry-org_id=1")],
                Some("1"),
                true,
                Some('7'),
            ),
            (
                "another organisation",
                vec![("sentry-trace", SENTRY), org("sentry-org_id=2")],
                Some("1"),
                false,
                None,
            ),
            (
                "an unknown organisation",
                vec![("sentry-trace", SENTRY)],
                Some("1"),
                false,
                Some('7'),
            ),
            (
                "an unknown organisation, strictly",
                vec![("sentry-trace", SENTRY)],
                Some("1"),
                true,
                None,
            ),
            (
                "theirs only, strictly",
                vec![("sentry-trace", SENTRY), org("sentry-org_id=2")],
                None,
                true,
                None,
            ),
            (
                "none at all, strictly",
                vec![("sentry-trace", SENTRY)],
                None,
                true,
                Some('7'),
            ),
        ] {
            let trace = read(&headers, own, strict);
            let first = plain(&trace.trace_id).chars().next();
            assert_eq!(
                trace.parent_span_id.is_some().then_some(first).flatten(),
                continued,
                "{name}"
            );
        }
    }

    #[test]
    fn the_callers_decision_is_kept_and_its_dice_too() {
        let rate = |text: &str| launchgate_sdk::config::read::<Rate>(text).unwrap();
        let yes = format!("{SENTRY}-1");
        let no = format!("{SENTRY}-0");
        for (name, headers, at, sampled) in [
            (
                "yes at rate 0",
                vec![("sentry-trace", yes.as_str())],
                "0",
                true,
            ),
            (
                "no at rate 1",
                vec![("sentry-trace", no.as_str())],
                "1",
                false,
            ),
            (
                "deferred, below the rate",
                vec![
                    ("sentry-trace", SENTRY),
                    ("baggage", "sentry-sample_rand=0.19"),
                ],
                "0.2",
                true,
            ),
            (
                "deferred, at the rate",
                vec![
                    ("sentry-trace", SENTRY),
                    ("baggage", "sentry-sample_rand=0.2"),
                ],
                "0.2",
                false,
            ),
            (
                "a W3C flag decides nothing",
                vec![("traceparent", W3C)],
                "0",
                false,
            ),
            ("a new trace at rate 1", vec![], "1", true),
            ("a new trace at rate 0", vec![], "0", false),
        ] {
            assert_eq!(
                read(&headers, None, false).is_sampled(rate(at)),
                sampled,
                "{name}"
            );
        }
    }
}
