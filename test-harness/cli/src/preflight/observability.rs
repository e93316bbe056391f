//! Check 5: what happens is seen: metrics, access records, errors, alerts.

use serde_json::Value;

use super::{
    facts::{Facts, Prometheus},
    rule::{Area, Judged, Rule, Severity, broken, holds, not_checked, unless},
};

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        Area::Observability,
        "observability.metrics",
        Severity::Error,
        "Metrics have their labels",
        "Add the `stats_tags` that `launchgate generate telemetry` writes (Istio: its annotations).",
        "plugins/metrics/README.md",
        metrics,
    ),
    Rule::new(
        Area::Observability,
        "observability.scrape",
        Severity::Error,
        "Prometheus scrapes the gateway",
        "Add `/stats/prometheus` of the admin interface, or the plugin's `endpoint`, as a target.",
        "plugins/metrics/README.md",
        scrape,
    ),
    Rule::new(
        Area::Observability,
        "observability.rules",
        Severity::Error,
        "Prometheus has the alert rules, and an Alertmanager to tell",
        "Load what `launchgate generate telemetry` writes under `rule_files`, and name the Alertmanager under `alerting`.",
        "docs/operations.md",
        rules,
    ),
    Rule::new(
        Area::Observability,
        "observability.records",
        Severity::Error,
        "Every access record parses",
        "Print the plugin's line alone: `%FILTER_STATE(wasm.launchgate.access_log:PLAIN)%`, with the CEL filter that leaves out exchanges without record.",
        "plugins/access-log/README.md",
        records,
    ),
    Rule::new(
        Area::Observability,
        "observability.trace",
        Severity::Error,
        "An access record carries the caller's trace id",
        "Keep `traceparent` among the formats of access-log's `trace`; see that sampling keeps the record.",
        "plugins/access-log/README.md",
        trace,
    ),
    Rule::new(
        Area::Observability,
        "observability.errors",
        Severity::Error,
        "Error reports reach their sink",
        "See that `cluster` of errors leads to the DSN's host, and that the DSN is handed over; `launchgate_errors_send_failures_total` names the reason.",
        "plugins/errors/README.md",
        errors,
    ),
    Rule::new(
        Area::Observability,
        "observability.alert",
        Severity::Error,
        "A test alert arrives",
        "See that the Alertmanager's API answers and takes alerts.",
        "docs/operations.md",
        alert,
    ),
];

fn metrics(facts: &Facts) -> Judged {
    let admin = facts.admin()?;
    let mut ours = admin
        .samples
        .iter()
        .filter(|s| s.name.starts_with("launchgate_"));
    let encoded: Vec<_> = ours
        .clone()
        .filter(|s| s.name.contains("___") || s.name.contains("=.="))
        .collect();
    match (ours.next(), encoded.first()) {
        (None, _) => broken("the exposition has no launchgate_ metric"),
        (_, Some(one)) => broken(format!(
            "{} metrics have their labels in the name, such as {}",
            encoded.len(),
            one.name
        )),
        _ => holds("labels are labels"),
    }
}

fn scrape(facts: &Facts) -> Judged {
    let Prometheus {
        up,
        down,
        request_series,
        ..
    } = facts.prometheus()?;
    let mut broken: Vec<_> = down
        .iter()
        .map(|(url, error)| format!("{url} is down: {error}"))
        .collect();
    if *request_series == 0 {
        broken.push("it has no request counter of a Launchgate gateway".to_owned());
    }
    unless(
        broken,
        format!(
            "{} targets up, {request_series} series of requests",
            up.len()
        ),
    )
}

fn rules(facts: &Facts) -> Judged {
    let prometheus = facts.prometheus()?;
    let mut broken: Vec<_> = prometheus
        .broken_rules
        .iter()
        .map(|r| format!("{r} cannot be evaluated"))
        .collect();
    if prometheus.alert_rules.is_empty() {
        broken.push("no alert rule whose name begins with Launchgate is loaded".to_owned());
    }
    if prometheus.alertmanagers == 0 {
        broken.push("it has no active Alertmanager".to_owned());
    }
    unless(
        broken,
        format!("{} alert rules", prometheus.alert_rules.len()),
    )
}

fn records(facts: &Facts) -> Judged {
    let log = facts.access_log()?;
    if log.lines.is_empty() {
        return broken("the file has no line");
    }
    let bad = |line: &&String| serde_json::from_str::<Value>(line).map_or(true, |v| !v.is_object());
    let bad: Vec<_> = log
        .lines
        .iter()
        .enumerate()
        .filter(|(_, l)| bad(l))
        .collect();
    match bad.first() {
        None => holds(format!("{} records", log.lines.len())),
        Some((at, line)) => broken(format!(
            "{} of {} lines are no JSON object, the first is the {}. of them, {} bytes",
            bad.len(),
            log.lines.len(),
            at + 1,
            line.len()
        )),
    }
}

fn trace(facts: &Facts) -> Judged {
    let log = facts.access_log()?;
    match log.lines.iter().any(|line| line.contains(&log.trace_id)) {
        true => holds(format!("found {}", log.trace_id)),
        false => broken(format!(
            "no record has {}, which preflight sent as traceparent",
            log.trace_id
        )),
    }
}

fn errors(facts: &Facts) -> Judged {
    let admin = facts.admin()?;
    let config = admin.policy("errors")?;
    if config["dsn"].as_str().is_none_or(str::is_empty)
        && config["notifiers"].as_object().is_none_or(|n| n.is_empty())
    {
        return broken("neither dsn nor notifiers are set: failures are only counted");
    }
    let delivered =
        admin.sum("launchgate_errors_sent_total") + admin.sum("launchgate_errors_notices_total");
    let lost: f64 = admin
        .samples
        .iter()
        .filter(|s| s.name == "launchgate_errors_discarded_total")
        .filter(|s| {
            s.labels.get("reason").is_some_and(|r| {
                matches!(
                    r.as_str(),
                    "network_error" | "send_error" | "queue_overflow"
                )
            })
        })
        .map(|s| s.value)
        .sum();
    let failed = admin.sum("launchgate_errors_send_failures_total");
    if lost > 0.0 || (failed > 0.0 && delivered == 0.0) {
        return broken(format!(
            "{failed} sends failed, {lost} reports lost, {delivered} delivered"
        ));
    }
    match delivered {
        0.0 => not_checked("nothing was reported yet: let one request fail, then run again"),
        count => holds(format!("{count} delivered, none lost")),
    }
}

fn alert(facts: &Facts) -> Judged {
    let alertmanager = facts.alertmanager()?;
    match &alertmanager.test_alert {
        None => not_checked("needs --send-test-alert"),
        Some(Ok(())) => holds(format!(
            "Alertmanager {} took LaunchgatePreflight and resolved it",
            alertmanager.version
        )),
        Some(Err(reason)) => broken(reason.clone()),
    }
}
