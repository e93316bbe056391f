//! The way to Sentry (Sentry SDK specification, "Transport").
//!
//! 1. One call at a time from each worker, always from the root context, so that no exchange waits.
//! 2. Before each call the shared rate limits are read; what is limited is dropped and counted.
//! 3. A network error is tried again, three times in all, with back-off. Any status is final: 2xx arrived, 429 is counted
//!    by Sentry itself, anything else is a `send_error`.
//! 4. Losses ride with the next envelope, or go alone every 30 s, but never while errors are limited; a report that did
//!    not arrive is put back.

use std::time::Duration;

use launchgate_sdk::json_tree::Value;
use launchgate_sdk::outbox::{Limits, Overflow, Settlement};
use launchgate_sdk::{Answer, Level, Outbox, RootContext};

use crate::envelope::Envelope;
use crate::losses::{Losses, Reason};
use crate::metrics::{DISCARDED, SEND_FAILURES, SENT};
use crate::policy::Tag;
use crate::rate_limit::{Category, Deadlines};
use crate::sentry::Sentry;
use crate::settings::Settings;

/// A payload on its way.
#[derive(Debug)]
pub(crate) struct Item {
    /// What it is.
    pub category: Category,
    /// Its `event_id`.
    pub id: String,
    /// Its dynamic sampling context.
    pub trace: Option<Value>,
    /// The payload.
    pub payload: Vec<u8>,
}

/// The way to Sentry.
pub(crate) struct Sender {
    outbox: Outbox<Item>,
    bound: usize,
    limits: Deadlines,
    losses: Losses,
    reports: bool,
    attached: Losses,
    reporting: bool,
    reported: Option<Duration>,
    is_failing: bool,
}

/// Key of the shared rate limits.
pub(crate) const LIMITS: &str = "limits";
const REPORT_EVERY: Duration = Duration::from_secs(30);
const ATTEMPTS: u32 = 3;

impl Sender {
    /// With an empty queue.
    pub(crate) fn new(settings: &Settings) -> Self {
        let (items, bytes) = settings.queue;
        let limits = Limits {
            items,
            bytes,
            batch_items: 1,
            batch_bytes: bytes,
            attempts: ATTEMPTS,
            overflow: Overflow::Newest,
            ..Limits::default()
        };
        Self {
            outbox: Outbox::new(limits),
            bound: items,
            limits: Deadlines::default(),
            losses: Losses::default(),
            reports: settings.client_reports,
            attached: Losses::default(),
            reporting: false,
            reported: None,
            is_failing: false,
        }
    }

    /// Counts a loss, in reports and metrics alike. A lost transaction is also a lost span.
    pub(crate) fn lose<T>(
        &mut self,
        reason: Reason,
        category: Category,
        quantity: u64,
        cx: &mut RootContext<'_, T>,
    ) {
        let also = (category == Category::Transaction).then_some(Category::Span);
        for category in [category].into_iter().chain(also) {
            if self.reports {
                self.losses.add(reason, category, quantity);
            }
            let counter = cx.metrics.counter(
                &DISCARDED,
                &[reason.as_str().as_bytes(), category.as_str().as_bytes()],
            );
            cx.fx.add(counter, quantity);
        }
    }

    /// Queues a payload, or counts it as lost. Transactions fill at most half of the queue.
    pub(crate) fn push<T>(&mut self, item: Item, cx: &mut RootContext<'_, T>) {
        let category = item.category;
        if self.limits.is_limited(category, cx.now.mono) {
            return self.lose(Reason::RatelimitBackoff, category, 1, cx);
        }
        if category == Category::Transaction && self.outbox.len() >= self.bound.div_ceil(2) {
            return self.lose(Reason::QueueOverflow, category, 1, cx);
        }
        let size = item.payload.len() + item.id.len() + 256;
        for dropped in self.outbox.push(item, size, cx.now.mono) {
            self.lose(Reason::QueueOverflow, dropped.category, 1, cx);
        }
    }

    /// Sends what is due.
    pub(crate) fn pump(&mut self, sentry: &Sentry, cx: &mut RootContext<'_, Tag>) {
        let now = cx.now.mono;
        let since = *self.reported.get_or_insert(now);
        let report_is_due = !self.losses.is_empty() && now.saturating_sub(since) >= REPORT_EVERY;
        if self.reporting || self.outbox.is_busy() || (self.outbox.is_empty() && !report_is_due) {
            return;
        }
        self.read_limits(cx);
        if let Some([item]) = self.outbox.batch(now).as_deref() {
            let kind = if item.category == Category::Transaction {
                "transaction"
            } else {
                "event"
            };
            let envelope = Envelope::new(Some(&item.id), item.trace.as_ref(), cx.now.wall)
                .item(kind, &item.payload);
            let envelope = self.attach(envelope, cx);
            cx.call(Tag::Envelope, sentry.call(envelope));
        } else if report_is_due
            && !self.limits.is_limited(Category::Error, now)
            && !self.limits.is_limited(Category::Default, now)
        {
            let envelope = self.attach(Envelope::new(None, None, cx.now.wall), cx);
            self.reporting = true;
            cx.call(Tag::Report, sentry.call(envelope));
        }
    }

    fn attach(&mut self, envelope: Envelope, cx: &mut RootContext<'_, Tag>) -> Vec<u8> {
        if self.losses.is_empty() {
            return envelope.finish();
        }
        self.attached = self.losses.take();
        self.reported = Some(cx.now.mono);
        envelope
            .item(
                "client_report",
                self.attached.payload(cx.now.wall).to_string().as_bytes(),
            )
            .finish()
    }

    /// Takes over what other workers were told, and drops what is limited now.
    fn read_limits(&mut self, cx: &mut RootContext<'_, Tag>) {
        let now = cx.now.mono;
        if let Some(bytes) = cx.state().get(LIMITS) {
            self.limits.merge(&Deadlines::decode(&bytes, now));
        }
        if !self.limits.is_any(now) {
            return;
        }
        let limits = self.limits;
        for item in self
            .outbox
            .remove(|item| limits.is_limited(item.category, now))
        {
            self.lose(Reason::RatelimitBackoff, item.category, 1, cx);
        }
    }

    /// Tells all workers what an answer asks for.
    fn share_limits(&mut self, answer: &Answer, cx: &mut RootContext<'_, Tag>) {
        let Answer::Response {
            status, headers, ..
        } = answer
        else {
            return;
        };
        let now = cx.now.mono;
        let asked = Deadlines::read(*status, headers, cx.now.wall, now);
        if !asked.is_any(now) {
            return;
        }
        self.limits.merge(&asked);
        let own = self.limits;
        let written = cx.state().update(LIMITS, |old| {
            let mut limits = old
                .map(|bytes| Deadlines::decode(bytes, now))
                .unwrap_or_default();
            limits.merge(&own);
            Some(limits.encode())
        });
        cx.log(Level::Warn, || {
            format!(
                "Sentry asked for a pause; status={status} shared={}",
                written.is_some()
            )
        });
    }

    /// The answer to an envelope with a payload.
    pub(crate) fn settle(&mut self, answer: &Answer, cx: &mut RootContext<'_, Tag>) {
        self.settle_report(answer, cx);
        let (now, random) = (cx.now.mono, cx.ports.random());
        let (settlement, reason) = match answer.status() {
            Some(200..=299) => (Settlement::Delivered, None),
            Some(429) => (Settlement::Refused, None),
            Some(_) => (Settlement::Refused, Some(Reason::SendError)),
            None => (
                Settlement::Retry(Duration::ZERO),
                Some(Reason::NetworkError),
            ),
        };
        if settlement == Settlement::Delivered {
            let category = self
                .outbox
                .flying()
                .first()
                .map_or(Category::Default, |item| item.category);
            let counter = cx.metrics.counter(&SENT, &[category.as_str().as_bytes()]);
            cx.fx.count(counter);
        }
        for item in self.outbox.settle(settlement, now, random) {
            if let Some(reason) = reason {
                self.lose(reason, item.category, 1, cx);
            }
        }
    }

    /// The answer to an envelope, as far as reports, limits and statistics are concerned.
    pub(crate) fn settle_report(&mut self, answer: &Answer, cx: &mut RootContext<'_, Tag>) {
        self.reporting = false;
        self.share_limits(answer, cx);
        let attached = self.attached.take();
        let reason = match answer.status() {
            Some(200..=299) => None,
            Some(429) => Some("rate_limited"),
            Some(_) => Some("status"),
            None => Some(answer.reason()),
        };
        let is_failing = reason.is_some_and(|reason| reason != "rate_limited");
        if is_failing != self.is_failing {
            self.is_failing = is_failing;
            let level = if is_failing { Level::Warn } else { Level::Info };
            cx.log(level, || {
                format!(
                    "sending to Sentry {}; reason={} status={}",
                    if is_failing { "failed" } else { "works again" },
                    reason.unwrap_or("none"),
                    answer.status().unwrap_or(0)
                )
            });
        }
        if let Some(reason) = reason {
            self.losses.restore(attached);
            let counter = cx.metrics.counter(&SEND_FAILURES, &[reason.as_bytes()]);
            cx.fx.count(counter);
        }
    }
}
