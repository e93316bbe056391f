//! The plugin's series.

use launchgate_sdk::{Counter, Family, Gauge, Registry};

use crate::outcome::{UNJUDGED, Unjudged};
use crate::rollout::Cause;
use crate::steer::Variant;

const DECISIONS: Family = Family::counter(
    "launchgate_canary_decisions_total",
    &["variant", "reason"],
    "Requests steered, by variant and reason.",
);
const WOULD_STEER: Family = Family::counter(
    "launchgate_canary_would_steer_total",
    &["variant", "reason"],
    "Requests that would be steered, in mode report.",
);
const FORGED: Family = Family::counter(
    "launchgate_canary_forged_headers_total",
    &[],
    "Requests that came with a steering header of the client's own.",
);
const REQUESTS: Family = Family::counter(
    "launchgate_canary_requests_total",
    &["rollout", "variant"],
    "Responses judged, by the cluster really used.",
);
const ERRORS: Family = Family::counter(
    "launchgate_canary_errors_total",
    &["rollout", "variant"],
    "Responses judged that were 5xx or failed gRPC calls.",
);
const SLOW: Family = Family::counter(
    "launchgate_canary_slow_total",
    &["rollout", "variant"],
    "Responses judged that took longer than max_p99.",
);
const UNJUDGED_TOTAL: Family = Family::counter(
    "launchgate_canary_unjudged_total",
    &["reason"],
    "Responses left out of the judgement.",
);
const ROLLED_BACK: Family = Family::gauge(
    "launchgate_canary_rolled_back",
    &["rollout"],
    "1 once this rollout was rolled back on this proxy.",
);
const ROLLBACKS: Family = Family::counter(
    "launchgate_canary_rollbacks_total",
    &["rollout", "cause"],
    "Rollbacks and aborts, by cause.",
);
const WOULD_ROLL_BACK: Family = Family::counter(
    "launchgate_canary_would_roll_back_total",
    &["cause"],
    "Convictions that changed nothing, in mode report.",
);
const WITHHELD: Family = Family::counter(
    "launchgate_canary_withheld_total",
    &["reason"],
    "Convictions that were only reported.",
);
const STAGE: Family = Family::gauge(
    "launchgate_canary_stage",
    &["rollout"],
    "Stage, 0 before the start.",
);
const SHARE: Family = Family::gauge(
    "launchgate_canary_share_millionths",
    &["rollout"],
    "Share of users that get the canary.",
);
const REVISION: Family = Family::gauge(
    "launchgate_canary_revision",
    &["rollout"],
    "Changes whenever the workers' shared state does.",
);
const FAILURES: Family = Family::gauge(
    "launchgate_canary_connection_failures",
    &["rollout", "variant"],
    "Connection failures in a row.",
);
const FALLBACK: Family = Family::gauge(
    "launchgate_canary_fallback_active",
    &["rollout"],
    "Above 0 while requests for the canary go to stable: 1 after connection failures, 2 by the admin interface.",
);
const FALLBACKS: Family = Family::counter(
    "launchgate_canary_fallbacks_total",
    &[],
    "Times that requests for the canary began to go to stable.",
);
const COOKIES: Family = Family::counter(
    "launchgate_canary_cookies_total",
    &["result"],
    "Cookies issued and deleted.",
);
const CONTROL: Family = Family::counter(
    "launchgate_canary_control_total",
    &["result"],
    "Requests to the control endpoint.",
);
const POLLS: Family = Family::counter(
    "launchgate_canary_polls_total",
    &["target", "result"],
    "Questions to Prometheus and to the admin interface.",
);
const NOTICES: Family = Family::counter(
    "launchgate_canary_notices_total",
    &["result"],
    "Notices sent to notifiers.",
);

/// All families.
pub(crate) const FAMILIES: &[Family] = &[
    DECISIONS,
    WOULD_STEER,
    FORGED,
    REQUESTS,
    ERRORS,
    SLOW,
    UNJUDGED_TOTAL,
    ROLLED_BACK,
    ROLLBACKS,
    WOULD_ROLL_BACK,
    WITHHELD,
    STAGE,
    SHARE,
    REVISION,
    FAILURES,
    FALLBACK,
    FALLBACKS,
    COOKIES,
    CONTROL,
    POLLS,
    NOTICES,
];

/// Why a request got its variant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A `never` rule.
    Never,
    /// A `match` rule.
    Match,
    /// The bucket.
    Share,
    /// There was no key.
    Keyless,
    /// Stage 0, or no stages.
    NotStarted,
    /// The rollout was rolled back.
    RolledBack,
    /// It was aborted.
    Aborted,
    /// The canary cannot be reached.
    Fallback,
}

const REASONS: [(Reason, &str); 8] = [
    (Reason::Never, "never"),
    (Reason::Match, "match"),
    (Reason::Share, "share"),
    (Reason::Keyless, "keyless"),
    (Reason::NotStarted, "not_started"),
    (Reason::RolledBack, "rolled_back"),
    (Reason::Aborted, "aborted"),
    (Reason::Fallback, "fallback"),
];

/// Series of one variant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct VariantSeries {
    pub(crate) requests: Counter,
    pub(crate) errors: Counter,
    pub(crate) slow: Counter,
    pub(crate) failures: Gauge,
    decisions: [Counter; 8],
}

/// Handles of all series that are known at load.
#[derive(Debug)]
pub(crate) struct Series {
    rollout: String,
    canary: VariantSeries,
    stable: VariantSeries,
    unjudged: [Counter; 5],
    pub(crate) forged: Counter,
    pub(crate) rolled_back: Gauge,
    pub(crate) stage: Gauge,
    pub(crate) share: Gauge,
    pub(crate) revision: Gauge,
    pub(crate) fallback: Gauge,
    pub(crate) fallbacks: Counter,
    pub(crate) issued: Counter,
    pub(crate) deleted: Counter,
}

impl Series {
    /// Numbers the series of a rollout. `report`: decisions are only what would be.
    pub(crate) fn new(metrics: &mut Registry, rollout: &str, report: bool) -> Self {
        let id = rollout.as_bytes();
        let mut variant = |variant: Variant| {
            let name = variant.as_str().as_bytes();
            let family = if report { &WOULD_STEER } else { &DECISIONS };
            VariantSeries {
                requests: metrics.counter(&REQUESTS, &[id, name]),
                errors: metrics.counter(&ERRORS, &[id, name]),
                slow: metrics.counter(&SLOW, &[id, name]),
                failures: metrics.gauge(&FAILURES, &[id, name]),
                decisions: REASONS
                    .map(|(_, reason)| metrics.counter(family, &[name, reason.as_bytes()])),
            }
        };
        Self {
            canary: variant(Variant::Canary),
            stable: variant(Variant::Stable),
            unjudged: UNJUDGED
                .map(|(_, reason)| metrics.counter(&UNJUDGED_TOTAL, &[reason.as_bytes()])),
            forged: metrics.counter(&FORGED, &[]),
            rolled_back: metrics.gauge(&ROLLED_BACK, &[id]),
            stage: metrics.gauge(&STAGE, &[id]),
            share: metrics.gauge(&SHARE, &[id]),
            revision: metrics.gauge(&REVISION, &[id]),
            fallback: metrics.gauge(&FALLBACK, &[id]),
            fallbacks: metrics.counter(&FALLBACKS, &[]),
            issued: metrics.counter(&COOKIES, &[b"issued"]),
            deleted: metrics.counter(&COOKIES, &[b"deleted"]),
            rollout: rollout.to_owned(),
        }
    }

    /// The series of a variant.
    pub(crate) fn of(&self, variant: Variant) -> &VariantSeries {
        match variant {
            Variant::Canary => &self.canary,
            Variant::Stable => &self.stable,
        }
    }

    /// The counter of a decision.
    pub(crate) fn decision(&self, variant: Variant, reason: Reason) -> Option<Counter> {
        let index = REASONS.iter().position(|(known, _)| *known == reason)?;
        self.of(variant).decisions.get(index).copied()
    }

    /// The counter of what was left out.
    pub(crate) fn unjudged(&self, reason: Unjudged) -> Option<Counter> {
        let index = UNJUDGED.iter().position(|(known, _)| *known == reason)?;
        self.unjudged.get(index).copied()
    }

    /// The counter of rollbacks.
    pub(crate) fn rollbacks(&self, metrics: &mut Registry, cause: Cause) -> Counter {
        metrics.counter(
            &ROLLBACKS,
            &[self.rollout.as_bytes(), cause.as_str().as_bytes()],
        )
    }
}

/// The counter of convictions in mode report.
pub(crate) fn would_roll_back(metrics: &mut Registry, cause: Cause) -> Counter {
    metrics.counter(&WOULD_ROLL_BACK, &[cause.as_str().as_bytes()])
}

/// The counter of convictions that were only reported: `full` or `stable_empty`.
pub(crate) fn withheld(metrics: &mut Registry, reason: &str) -> Counter {
    metrics.counter(&WITHHELD, &[reason.as_bytes()])
}

/// The counter of requests to the control endpoint.
pub(crate) fn control(metrics: &mut Registry, result: &str) -> Counter {
    metrics.counter(&CONTROL, &[result.as_bytes()])
}

/// The counter of polls.
pub(crate) fn polls(metrics: &mut Registry, target: &str, result: &str) -> Counter {
    metrics.counter(&POLLS, &[target.as_bytes(), result.as_bytes()])
}

/// The counter of notices.
pub(crate) fn notices(metrics: &mut Registry, result: &str) -> Counter {
    metrics.counter(&NOTICES, &[result.as_bytes()])
}
