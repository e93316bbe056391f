//! What the plugin counts of itself.

use launchgate_sdk::Family;

/// Exchanges seen.
pub(crate) const EXCHANGES: Family = Family::counter(
    "launchgate_errors_exchanges_total",
    &[],
    "Exchanges in scope that ended.",
);
/// Failures by kind.
pub(crate) const FAILURES: Family = Family::counter(
    "launchgate_errors_failures_total",
    &["failure"],
    "Failures that were not ignored, by kind: status, grpc, slow, panic.",
);
/// Payloads that Sentry took.
pub(crate) const SENT: Family = Family::counter(
    "launchgate_errors_sent_total",
    &["category"],
    "Payloads that Sentry accepted, by data category.",
);
/// Losses, as in client reports.
pub(crate) const DISCARDED: Family = Family::counter(
    "launchgate_errors_discarded_total",
    &["reason", "category"],
    "Payloads that were not sent, by Sentry's reason and data category, as in client reports.",
);
/// Attempts without success.
pub(crate) const SEND_FAILURES: Family = Family::counter(
    "launchgate_errors_send_failures_total",
    &["reason"],
    "Calls to Sentry without success: timeout, unreachable, reset, not_sent, rate_limited, status.",
);
/// Summaries.
pub(crate) const SUMMARIES: Family = Family::counter(
    "launchgate_errors_summaries_total",
    &[],
    "Summaries of what the throttle held back.",
);
/// Notices that arrived.
pub(crate) const NOTICES: Family = Family::counter(
    "launchgate_errors_notices_total",
    &["notifier"],
    "Notices that arrived, by notifier.",
);
/// Notices that did not.
pub(crate) const NOTICES_DROPPED: Family = Family::counter(
    "launchgate_errors_notices_dropped_total",
    &["reason"],
    "Notices that were not delivered: limit, queue_overflow, refused, unreachable.",
);
/// Fingerprints that went.
pub(crate) const EVICTED: Family = Family::counter(
    "launchgate_errors_fingerprints_evicted_total",
    &[],
    "Fingerprints that left the bounded set of those seen.",
);
/// Failures beyond the local bound.
pub(crate) const OVERFLOW: Family = Family::counter(
    "launchgate_errors_fingerprints_overflow_total",
    &[],
    "Failures not looked at because a worker met too many different ones between two ticks.",
);
/// Shared writes that lost.
pub(crate) const CONFLICTS: Family = Family::counter(
    "launchgate_errors_state_conflicts_total",
    &[],
    "Writes of shared state put off because other workers were faster.",
);
/// In mode `report`: events that would be sent.
pub(crate) const WOULD_REPORT: Family = Family::counter(
    "launchgate_errors_would_report_total",
    &["category"],
    "Payloads that would be queued, in mode report, by data category.",
);
/// In mode `report`: notices that would be sent.
pub(crate) const WOULD_NOTIFY: Family = Family::counter(
    "launchgate_errors_would_notify_total",
    &[],
    "Notices that would be sent, in mode report.",
);

/// All of them.
pub(crate) const ALL: &[Family] = &[
    EXCHANGES,
    FAILURES,
    SENT,
    DISCARDED,
    SEND_FAILURES,
    SUMMARIES,
    NOTICES,
    NOTICES_DROPPED,
    EVICTED,
    OVERFLOW,
    CONFLICTS,
    WOULD_REPORT,
    WOULD_NOTIFY,
];
