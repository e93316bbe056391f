//! What was not sent, counted exactly (Sentry SDK specification, "Client reports").
//!
//! 1. Each loss has Sentry's reason and category. A lost transaction also counts as its spans, itself included.
//! 2. A report takes all losses at once; where it does not arrive, they are put back.
//! 3. A report has at most one line for each reason and category, so it is always below 4 KiB.

use launchgate_sdk::map::Map;

use launchgate_sdk::Timestamp;
use launchgate_sdk::json_tree::{Value, json};

use crate::rate_limit::Category;

/// Why something was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    /// The queue was full.
    QueueOverflow,
    /// Sentry had asked for a pause.
    RatelimitBackoff,
    /// No answer, after all attempts.
    NetworkError,
    /// Refused with a status other than 429.
    SendError,
    /// Sampled out.
    SampleRate,
    /// A rule of the configuration dropped it.
    BeforeSend,
    /// The throttle held it back; the summary of its window has the number.
    EventProcessor,
}

impl Reason {
    #[cfg(test)]
    const ALL: [Self; 7] = [
        Self::QueueOverflow,
        Self::RatelimitBackoff,
        Self::NetworkError,
        Self::SendError,
        Self::SampleRate,
        Self::BeforeSend,
        Self::EventProcessor,
    ];

    /// As Sentry names it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::QueueOverflow => "queue_overflow",
            Self::RatelimitBackoff => "ratelimit_backoff",
            Self::NetworkError => "network_error",
            Self::SendError => "send_error",
            Self::SampleRate => "sample_rate",
            Self::BeforeSend => "before_send",
            Self::EventProcessor => "event_processor",
        }
    }
}

/// Losses not yet reported.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Losses(Map<(Reason, Category), u64>);

impl Losses {
    /// Counts losses.
    pub(crate) fn add(&mut self, reason: Reason, category: Category, quantity: u64) {
        if quantity > 0 {
            let sum = self.0.or_insert_with((reason, category), Default::default);
            *sum = sum.saturating_add(quantity);
        }
    }

    /// Puts back what a report had taken.
    pub(crate) fn restore(&mut self, taken: Self) {
        for ((reason, category), quantity) in taken.0 {
            self.add(reason, category, quantity);
        }
    }

    /// Takes all losses.
    pub(crate) fn take(&mut self) -> Self {
        std::mem::take(self)
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The payload of a report.
    pub(crate) fn payload(&self, now: Timestamp) -> Value {
        let line = |((reason, category), quantity): (&(Reason, Category), &u64)| json!({"reason": reason.as_str(), "category": category.as_str(), "quantity": *quantity});
        json!({"timestamp": now.to_string(), "discarded_events": self.0.iter().map(line).collect::<Vec<_>>()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_every_loss_once_and_what_was_taken_can_be_put_back() {
        let mut losses = Losses::default();
        losses.add(Reason::SampleRate, Category::Transaction, 2);
        losses.add(Reason::SampleRate, Category::Transaction, 1);
        losses.add(Reason::NetworkError, Category::Error, 0);
        let taken = losses.take();
        assert!(losses.is_empty());
        losses.add(Reason::SampleRate, Category::Transaction, 4);
        losses.restore(taken);
        assert_eq!(
            losses.payload(Timestamp::from_seconds(1_795_348_800)),
            json!({"timestamp": "2026-11-22T12:00:00.000Z", "discarded_events": [{"reason": "sample_rate", "category": "transaction", "quantity": 7}]})
        );
    }

    #[test]
    fn the_longest_report_is_below_four_kibibytes() {
        let mut losses = Losses::default();
        for reason in Reason::ALL {
            for category in [
                Category::Error,
                Category::Transaction,
                Category::Span,
                Category::Default,
            ] {
                losses.add(reason, category, u64::MAX);
            }
        }
        assert!(losses.payload(Timestamp::default()).to_string().len() < 4096);
    }
}
