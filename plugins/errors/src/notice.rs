//! From a signal of an alert to what people read: counts, the route template, the cluster, where and which release. No
//! header value, no raw path.

use launchgate_sdk::notifier::{Notice, Status};
use launchgate_sdk::{Period, Timestamp};
use std::time::Duration;

use crate::alert::{Rule, Signal, When};
use crate::settings::Identity;

/// The notice of a signal.
pub(crate) fn notice(rule: &Rule, signal: &Signal, identity: &Identity, now: Timestamp) -> Notice {
    let title = &signal.title;
    let error = format!("{} on {}", title.what, title.route);
    let is_share = matches!(rule.when, When::Percent { .. });
    let is_all = is_share || matches!(rule.when, When::Frequency { all: true, .. });
    let mut labels = Vec::new();
    if !is_all {
        labels.extend([
            ("error", title.what.clone()),
            ("route", title.route.clone()),
        ]);
        labels.extend((!title.cluster.is_empty()).then(|| ("cluster", title.cluster.clone())));
    }
    labels.push(("environment", identity.environment.clone()));
    let mut facts = vec![("count", signal.total.max(signal.measured).to_string())];
    if is_share {
        facts.push(("requests", signal.requests.to_string()));
    }
    for (name, value) in [
        ("release", &identity.release),
        ("server", &identity.server_name),
    ] {
        facts.extend((!value.is_empty()).then(|| (name, value.clone())));
    }
    facts.push((
        "since",
        Timestamp::from_nanos(signal.since.saturating_mul(1_000_000)).to_string(),
    ));
    let ends_by_itself = now.plus(Duration::from_millis(
        rule.interval.saturating_add(rule.resolve_after),
    ));
    Notice {
        source: "errors",
        alert: rule.name.clone(),
        status: signal.status,
        severity: rule.severity,
        summary: summary(rule, signal, &error),
        labels,
        facts,
        since: Timestamp::from_nanos(signal.since.saturating_mul(1_000_000)),
        until: if signal.status == Status::Resolved {
            now
        } else {
            ends_by_itself
        },
    }
}

fn summary(rule: &Rule, signal: &Signal, error: &str) -> String {
    let period = |millis: u64| Period::millis(millis).to_string();
    let what = match rule.when {
        When::FirstSeen => format!("{error} for the first time"),
        When::Regression { quiet } => format!("{error} again after {} of quiet", period(quiet)),
        When::Match => format!("{error} for a request that matches"),
        When::Frequency {
            window, all: false, ..
        } => format!("{} × {error} within {}", signal.measured, period(window)),
        When::Frequency { window, .. } => {
            format!("{} errors within {}", signal.measured, period(window))
        }
        When::UniqueUsers { window, .. } => format!(
            "{} users met {error} within {}",
            signal.measured,
            period(window)
        ),
        When::Percent { window, .. } => {
            let tenths = u128::from(signal.measured) * 1000 / u128::from(signal.requests.max(1));
            format!(
                "{}.{}% of {} requests failed within {}",
                tenths / 10,
                tenths % 10,
                signal.requests,
                period(window)
            )
        }
    };
    match (signal.status, rule.when) {
        (Status::Firing, _) => what,
        (
            Status::Resolved,
            When::Frequency { .. } | When::Percent { .. } | When::UniqueUsers { .. },
        ) => "below the limit again".to_owned(),
        (Status::Resolved, _) => format!("{error} was not seen for {}", period(rule.resolve_after)),
    }
}
