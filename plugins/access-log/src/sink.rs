//! A sink: a bounded queue in front of a call-out.
//!
//! 1. Records are queued as they will be sent, so that the bounds are those of the memory.
//! 2. One batch is on its way at a time. An answer starts the next one at once; otherwise the tick does.
//! 3. Every record ends in exactly one count: sent, or dropped with its reason. What the sink itself says it rejected
//!    (OTLP `partialSuccess`, Elasticsearch `errors`) counts as dropped.

use launchgate_sdk::call_config::CallTarget;
use launchgate_sdk::json_tree::Value;
use launchgate_sdk::outbox::{Limits, Outbox, Settlement};
use launchgate_sdk::{Answer, Call, ConfigErrors, Counter, Effects, Gauge, Registry, Time};

use crate::metrics::{BATCHES, DROPPED, QUEUED, QUEUED_BYTES, SENT};
use crate::record::Record;
use crate::render::{Resource, otlp};
use crate::sink_config::{SinkConfig, SinkKind};
use crate::template::Template;

/// A checked sink.
#[derive(Debug)]
pub(crate) struct Sink {
    target: CallTarget,
    outbox: Outbox<String>,
    body: Body,
    counters: Counters,
    reported: (usize, usize),
}

/// How a batch becomes a body.
#[derive(Debug)]
enum Body {
    Otlp,
    Lines {
        line: Template,
        prefix: String,
        separator: String,
        suffix: String,
        content_type: String,
    },
}

#[derive(Debug)]
struct Counters {
    sent: Counter,
    queue_full: Counter,
    gave_up: Counter,
    refused: Counter,
    rejected: Counter,
    batches: [Counter; 4],
    queued: Gauge,
    queued_bytes: Gauge,
}

/// Bodies of answers are read up to this size.
const ANSWER_LIMIT: usize = 256 * 1024;

impl Sink {
    /// Checks a sink at `at`. Notes every mistake.
    pub(crate) fn read(
        config: &SinkConfig,
        at: &str,
        resource: &Resource,
        metrics: &mut Registry,
        errors: &mut ConfigErrors,
    ) -> Option<Self> {
        let before = errors.iter().count();
        let target = config.target(at, errors);
        let limits: Limits = config.limits(at, errors);
        let body = match config.kind {
            SinkKind::Otlp => Some(Body::Otlp),
            SinkKind::Ndjson => Body::read(config, at, &resource.service, errors),
        };
        if errors.iter().count() > before {
            return None;
        }
        let counters = Counters::new(config.name().as_bytes(), metrics);
        Some(Self {
            target: target?,
            outbox: Outbox::new(limits),
            body: body?,
            counters,
            reported: (0, 0),
        })
    }

    /// Queues a record. `line` is the record in the configured format.
    pub(crate) fn push(
        &mut self,
        resource: &Resource,
        record: &Record,
        line: &str,
        now: Time,
        fx: &mut Effects,
    ) {
        let item = match &self.body {
            Body::Otlp => otlp::log_record(record),
            Body::Lines { line: template, .. } => template.fill(&resource.service, record, line),
        };
        let size = item.len();
        let dropped = self.outbox.push(item, size, now.mono);
        fx.add(self.counters.queue_full, dropped.len() as u64);
        self.report(fx);
    }

    /// The next batch, if one is due.
    pub(crate) fn next(&mut self, resource: &Resource, now: Time) -> Option<Call> {
        let batch = self.outbox.batch(now.mono)?;
        let (body, content_type) = match &self.body {
            Body::Otlp => (otlp::body(resource, &batch), "application/json"),
            Body::Lines {
                prefix,
                separator,
                suffix,
                content_type,
                ..
            } => {
                let lines: Vec<&str> = batch.into_iter().map(String::as_str).collect();
                (
                    format!("{prefix}{}{suffix}", lines.join(separator)),
                    content_type.as_str(),
                )
            }
        };
        Some(self.target.post(content_type, body.into_bytes()))
    }

    /// What came of the batch on its way.
    pub(crate) fn settle(&mut self, answer: &Answer, now: Time, random: u64, fx: &mut Effects) {
        let records = self.outbox.flying_len() as u64;
        let settlement = Settlement::of(answer, now.wall);
        let lost = self.outbox.settle(settlement, now.mono, random).len() as u64;
        let [delivered, retried, gave_up, refused] = self.counters.batches;
        match settlement {
            Settlement::Delivered => {
                let rejected = rejected(answer).min(records);
                fx.count(delivered);
                fx.add(self.counters.sent, records - rejected);
                fx.add(self.counters.rejected, rejected);
            }
            Settlement::Refused => {
                fx.count(refused);
                fx.add(self.counters.refused, lost);
            }
            Settlement::Retry(_) => {
                fx.count(if lost > 0 { gave_up } else { retried });
                fx.add(self.counters.gave_up, lost);
            }
        }
        self.report(fx);
    }

    fn report(&mut self, fx: &mut Effects) {
        let now = (self.outbox.len(), self.outbox.bytes());
        let change = |new: usize, old: usize| {
            i64::try_from(new).unwrap_or(i64::MAX) - i64::try_from(old).unwrap_or(i64::MAX)
        };
        fx.move_gauge(self.counters.queued, change(now.0, self.reported.0));
        fx.move_gauge(self.counters.queued_bytes, change(now.1, self.reported.1));
        self.reported = now;
    }
}

impl Body {
    fn read(
        config: &SinkConfig,
        at: &str,
        service: &str,
        errors: &mut ConfigErrors,
    ) -> Option<Self> {
        let template = &config.template;
        let mut parse = |key: &str, text: &str| {
            let parsed = Template::parse(text);
            match &parsed {
                Err(expected) => errors.push(format!("{at}.template.{key}"), *expected),
                Ok(parsed) => errors.check(
                    key == "line" || !parsed.needs_record(),
                    format!("{at}.template.{key}"),
                    "expected no operator but SERVICE outside line",
                ),
            }
            parsed.ok()
        };
        let (prefix, line) = (
            parse("prefix", &template.prefix),
            parse("line", &template.line),
        );
        let (separator, suffix) = (
            parse("separator", &template.separator),
            parse("suffix", &template.suffix),
        );
        Some(Self::Lines {
            line: line?,
            prefix: prefix?.fixed(service),
            separator: separator?.fixed(service),
            suffix: suffix?.fixed(service),
            content_type: template.content_type.clone(),
        })
    }
}

impl Counters {
    fn new(sink: &[u8], metrics: &mut Registry) -> Self {
        Self {
            sent: metrics.counter(&SENT, &[sink]),
            queue_full: metrics.counter(&DROPPED, &[sink, b"queue_full"]),
            gave_up: metrics.counter(&DROPPED, &[sink, b"gave_up"]),
            refused: metrics.counter(&DROPPED, &[sink, b"refused"]),
            rejected: metrics.counter(&DROPPED, &[sink, b"rejected"]),
            batches: [&b"delivered"[..], b"retried", b"gave_up", b"refused"]
                .map(|result| metrics.counter(&BATCHES, &[sink, result])),
            queued: metrics.gauge(&QUEUED, &[sink]),
            queued_bytes: metrics.gauge(&QUEUED_BYTES, &[sink]),
        }
    }
}

/// How many records of a batch a sink that took it says it rejected.
fn rejected(answer: &Answer) -> u64 {
    let Answer::Response { body, .. } = answer else {
        return 0;
    };
    if body.is_empty() || body.len() > ANSWER_LIMIT {
        return 0;
    }
    let Ok(answer) = launchgate_sdk::json_tree::read(body) else {
        return 0;
    };
    if let Some(partial) = answer.get("partialSuccess") {
        let count = partial.get("rejectedLogRecords");
        return count
            .and_then(|count| count.as_u64().or_else(|| count.as_str()?.parse().ok()))
            .unwrap_or(0);
    }
    if answer.get("errors") != Some(&Value::Bool(true)) {
        return 0;
    }
    let items = answer.get("items").and_then(Value::as_array);
    let failed = |item: &&Value| {
        item.as_object()
            .is_some_and(|actions| actions.values().any(|action| action.get("error").is_some()))
    };
    items.map_or(0, |items| items.iter().filter(failed).count() as u64)
}
