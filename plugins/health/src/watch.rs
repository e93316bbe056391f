//! Passive checks: live traffic to a cluster, counted by all workers, judged once a window.
//!
//! 1. An exchange counts for a cluster when it was really sent there: there is an upstream address, or Envoy's response flags
//!    say that the connection failed. A reply of the gateway's own counts for nobody, nor one that the client left.
//! 2. It failed when its status is 500 or above, or, for gRPC, its status is 4 (deadline), 13 (internal) or 14 (unavailable).
//! 3. Envoy's counters read back as the sum over all workers: they are the tally. The record keeps what the last window saw.
//! 4. A window with too few requests is no evidence against the cluster and counts as a success. So a service that was taken
//!    out of the load balancer comes back, and real traffic decides again.

use launchgate_sdk::{Attribute, Counter, EndView, Percent, Setup, StreamContext};

use crate::dependency::Probe;
use crate::metrics::OBSERVED;
use crate::record::{Outcome, Record};
use crate::settings::Settings;

/// Envoy's flags for failures on the way to the upstream: no healthy host, time-out, remote reset, connection failure,
/// connection termination (`envoy/stream_info/stream_info.h`, `CoreResponseFlag`).
const UPSTREAM_FAILURE: u64 = 1 << 1 | 1 << 2 | 1 << 4 | 1 << 5 | 1 << 6;
const GRPC_FAILURE: [u64; 3] = [4, 13, 14];

/// The tallies of one passive dependency.
#[derive(Debug, Clone)]
pub(crate) struct Watch {
    pub(crate) dependency: usize,
    pub(crate) cluster: String,
    pub(crate) passed: Counter,
    pub(crate) failed: Counter,
}

/// Counts an exchange that is over.
pub(crate) fn observe(watches: &[Watch], view: &EndView<'_>, cx: &mut StreamContext<'_>) {
    if watches.is_empty() {
        return;
    }
    let Some(cluster) = view.attribute(Attribute::ClusterName) else {
        return;
    };
    let mut concerned = watches
        .iter()
        .filter(|watch| watch.cluster.as_bytes() == &*cluster)
        .peekable();
    if concerned.peek().is_none() {
        return;
    }
    if let Some(failed) = verdict(view) {
        for watch in concerned {
            cx.fx
                .count(if failed { watch.failed } else { watch.passed });
        }
    }
}

/// Whether the upstream failed; `None` where it was not asked or nobody waited for the answer.
fn verdict(view: &EndView<'_>) -> Option<bool> {
    let status = view.status()?;
    let failed_on_the_way = view.flags() & UPSTREAM_FAILURE != 0;
    if !failed_on_the_way
        && view
            .attribute(Attribute::UpstreamAddress)
            .is_none_or(|address| address.is_empty())
    {
        return None;
    }
    let grpc = || {
        view.response().is_grpc()
            && view
                .integer(Attribute::ResponseGrpcStatus)
                .is_some_and(|code| GRPC_FAILURE.contains(&code))
    };
    Some(failed_on_the_way || status >= 500 || grpc())
}

/// What the window since the last check says, given the tallies over all workers.
pub(crate) fn judge(
    record: &mut Record,
    passed: u64,
    failed: u64,
    max_errors: Percent,
    min_requests: u64,
) -> Outcome {
    let seen = passed.saturating_add(failed);
    // Tallies below the record's come from another process or a metric that was reset: begin anew.
    let (window, errors) = match (
        seen.checked_sub(record.seen),
        failed.checked_sub(record.failed),
    ) {
        (Some(window), Some(errors)) => (window, errors),
        _ => (0, 0),
    };
    record.seen = seen;
    record.failed = failed;
    let too_many = errors.saturating_mul(1_000_000)
        >= window.saturating_mul(u64::from(max_errors.millionths()));
    if window >= min_requests.max(1) && too_many {
        return Outcome::Failure(format!("errors_{errors}_of_{window}"));
    }
    Outcome::Success
}

/// The watches of the passive dependencies.
pub(crate) fn all(settings: &Settings, setup: &mut Setup<'_>) -> Vec<Watch> {
    let mut watches = Vec::new();
    for (dependency, known) in settings.dependencies.iter().enumerate() {
        if let Probe::Passive { cluster, .. } = &known.probe {
            let name = known.name.as_bytes();
            let passed = setup.metrics.counter(&OBSERVED, &[name, b"success"]);
            let failed = setup.metrics.counter(&OBSERVED, &[name, b"failure"]);
            watches.push(Watch {
                dependency,
                cluster: cluster.clone(),
                passed,
                failed,
            });
        }
    }
    watches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_judged_by_its_share_of_errors() {
        for (name, seen, failed, passed_now, failed_now, expected) in [
            ("nothing came", 10, 5, 5, 5, None),
            ("half failed", 0, 0, 5, 5, Some("errors_5_of_10")),
            ("a little less than half", 0, 0, 6, 5, None),
            ("too few to tell", 0, 0, 0, 9, None),
            (
                "only this window counts",
                1000,
                0,
                1000,
                10,
                Some("errors_10_of_10"),
            ),
            ("tallies that went back", 1000, 500, 0, 20, None),
        ] {
            let mut record = Record {
                seen,
                failed,
                ..Record::default()
            };
            let outcome = judge(&mut record, passed_now, failed_now, Percent::whole(50), 10);
            let expected = expected.map_or(Outcome::Success, |reason| {
                Outcome::Failure(reason.to_owned())
            });
            assert_eq!(outcome, expected, "{name}");
            assert_eq!(
                (record.seen, record.failed),
                (passed_now + failed_now, failed_now),
                "{name}"
            );
        }
    }
}
