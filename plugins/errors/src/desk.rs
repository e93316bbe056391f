//! The way to people: a small queue in front of each notifier, emptied from the root context.

use std::time::Duration;

use launchgate_sdk::notifier::{Notice, Notifier};
use launchgate_sdk::outbox::{Limits, Settlement};
use launchgate_sdk::{Answer, Level, Outbox, RootContext};

use crate::metrics::{NOTICES, NOTICES_DROPPED};
use crate::policy::Tag;

/// Queues of notices, one a notifier.
pub(crate) struct Desk {
    queues: Vec<Queue>,
}

struct Queue {
    name: String,
    notifier: Notifier,
    outbox: Outbox<Notice>,
}

const NOTICES_LIMIT: usize = 64;
const ATTEMPTS: u32 = 8;

impl Desk {
    /// Empty queues.
    pub(crate) fn new(notifiers: &[(String, Notifier)]) -> Self {
        let limits = Limits {
            items: NOTICES_LIMIT,
            batch_items: 1,
            attempts: ATTEMPTS,
            backoff: (Duration::from_secs(1), Duration::from_secs(60)),
            ..Limits::default()
        };
        let queue = |(name, notifier): &(String, Notifier)| Queue {
            name: name.clone(),
            notifier: notifier.clone(),
            outbox: Outbox::new(limits.clone()),
        };
        Self {
            queues: notifiers.iter().map(queue).collect(),
        }
    }

    /// Clusters that the notices go to.
    pub(crate) fn clusters(&self) -> impl Iterator<Item = &str> {
        self.queues.iter().map(|queue| queue.notifier.cluster())
    }

    /// Queues a notice for a notifier.
    pub(crate) fn push(&mut self, notifier: usize, notice: Notice, cx: &mut RootContext<'_, Tag>) {
        let Some(queue) = self.queues.get_mut(notifier) else {
            return;
        };
        let dropped = queue.outbox.push(notice, 1024, cx.now.mono);
        count_dropped("queue_overflow", dropped.len(), cx);
    }

    /// Sends what is due.
    pub(crate) fn pump(&mut self, cx: &mut RootContext<'_, Tag>) {
        for (position, queue) in self.queues.iter_mut().enumerate() {
            if let Some([notice]) = queue.outbox.batch(cx.now.mono).as_deref() {
                cx.call(Tag::Notice(position), queue.notifier.call(notice));
            }
        }
    }

    /// The answer of a notifier. A server error is tried again: nobody else counts notices.
    pub(crate) fn settle(
        &mut self,
        notifier: usize,
        answer: &Answer,
        cx: &mut RootContext<'_, Tag>,
    ) {
        let random = cx.ports.random();
        let Some(queue) = self.queues.get_mut(notifier) else {
            return;
        };
        let settlement = match answer.status() {
            Some(500..=599) => Settlement::Retry(Duration::ZERO),
            _ => Settlement::of(answer, cx.now.wall),
        };
        if settlement == Settlement::Delivered {
            let counter = cx.metrics.counter(&NOTICES, &[queue.name.as_bytes()]);
            cx.fx.count(counter);
        }
        let dropped = queue.outbox.settle(settlement, cx.now.mono, random).len();
        let reason = if settlement == Settlement::Refused {
            "refused"
        } else {
            "unreachable"
        };
        if dropped > 0 {
            let (name, status) = (queue.name.clone(), answer.status().unwrap_or(0));
            cx.log(Level::Warn, || {
                format!(
                    "a notice was not delivered; notifier={name} reason={reason} status={status}"
                )
            });
        }
        count_dropped(reason, dropped, cx);
    }
}

/// Counts notices that will not be delivered.
pub(crate) fn count_dropped(reason: &str, quantity: usize, cx: &mut RootContext<'_, Tag>) {
    if quantity > 0 {
        let counter = cx.metrics.counter(&NOTICES_DROPPED, &[reason.as_bytes()]);
        cx.fx.add(counter, quantity as u64);
    }
}
