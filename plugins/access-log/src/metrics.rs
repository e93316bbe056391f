//! The plugin's own metrics.

use launchgate_sdk::{Counter, Family, Registry};

use crate::record::Severity;

const RECORDS: Family = Family::counter(
    "launchgate_access_log_records_total",
    &["level"],
    "Records written, summaries included.",
);
const SAMPLED_OUT: Family = Family::counter(
    "launchgate_access_log_sampled_out_total",
    &[],
    "Exchanges that sampling left out.",
);
const SUPPRESSED: Family = Family::counter(
    "launchgate_access_log_suppressed_total",
    &[],
    "Errors that a storm's limit left out; summaries count them.",
);
const TRUNCATED: Family = Family::counter(
    "launchgate_access_log_truncated_total",
    &[],
    "Records that were cut to the line budget.",
);
const WOULD_WRITE: Family = Family::counter(
    "launchgate_access_log_would_write_total",
    &[],
    "Records that would be written, in mode report.",
);
/// Records that a sink took.
pub(crate) const SENT: Family = Family::counter(
    "launchgate_access_log_sent_total",
    &["sink"],
    "Records that a sink took.",
);
/// Records that were lost.
pub(crate) const DROPPED: Family = Family::counter(
    "launchgate_access_log_dropped_total",
    &["sink", "reason"],
    "Records that were lost on the way to a sink: queue_full, gave_up, refused, rejected.",
);
/// Batches by what came of them.
pub(crate) const BATCHES: Family = Family::counter(
    "launchgate_access_log_batches_total",
    &["sink", "result"],
    "Batches by result: delivered, retried, gave_up, refused.",
);
/// Records that wait.
pub(crate) const QUEUED: Family = Family::gauge(
    "launchgate_access_log_queued_records",
    &["sink"],
    "Records that wait for a sink, all workers together.",
);
/// Bytes that wait.
pub(crate) const QUEUED_BYTES: Family = Family::gauge(
    "launchgate_access_log_queued_bytes",
    &["sink"],
    "Bytes of records that wait for a sink, all workers together.",
);

/// All families.
pub(crate) const ALL: &[Family] = &[
    RECORDS,
    SAMPLED_OUT,
    SUPPRESSED,
    TRUNCATED,
    WOULD_WRITE,
    SENT,
    DROPPED,
    BATCHES,
    QUEUED,
    QUEUED_BYTES,
];

/// Handles of the series without a sink.
#[derive(Debug)]
pub(crate) struct Counters {
    records: [Counter; 3],
    /// See [`SAMPLED_OUT`].
    pub(crate) sampled_out: Counter,
    /// See [`SUPPRESSED`].
    pub(crate) suppressed: Counter,
    /// See [`TRUNCATED`].
    pub(crate) truncated: Counter,
    /// See [`WOULD_WRITE`].
    pub(crate) would_write: Counter,
}

impl Counters {
    /// Defines the series.
    pub(crate) fn new(metrics: &mut Registry) -> Self {
        Self {
            records: [Severity::Info, Severity::Warn, Severity::Error]
                .map(|level| metrics.counter(&RECORDS, &[level.as_str().as_bytes()])),
            sampled_out: metrics.counter(&SAMPLED_OUT, &[]),
            suppressed: metrics.counter(&SUPPRESSED, &[]),
            truncated: metrics.counter(&TRUNCATED, &[]),
            would_write: metrics.counter(&WOULD_WRITE, &[]),
        }
    }

    /// The counter of written records of a level.
    pub(crate) fn records(&self, severity: Severity) -> Counter {
        let [info, warn, error] = self.records;
        match severity {
            Severity::Info => info,
            Severity::Warn => warn,
            Severity::Error => error,
        }
    }
}
