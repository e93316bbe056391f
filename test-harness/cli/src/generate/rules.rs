//! Prometheus rules: error ratios and traffic by window, burn-rate alerts, and alerts on the plugin itself.

use launchgate_metrics::Settings;
use serde_json::{Value, json};

use super::burn::{FAST, RATIOS, SLOW, TRAFFIC, Watched, Window, watched};
use super::clock::{self, Clock, MINUTE};
use super::names::Names;

const BY: &str = "sum by (slo, objective, route)";

/// The rule file.
pub(super) fn rules(settings: &Settings, names: &Names, clock: Clock) -> Value {
    let mut groups = Vec::new();
    if !settings.slo.is_empty() {
        let interval = clock.text(30);
        groups.push(json!({"name": "launchgate-slo-ratios", "interval": interval, "rules": recorded(names, clock)}));
        let alerts: Vec<Value> = watched(&settings.slo).iter().flat_map(alerts).collect();
        groups
            .push(json!({"name": "launchgate-slo-alerts", "interval": interval, "rules": alerts}));
    }
    groups.push(json!({"name": "launchgate-metrics", "rules": [overflow(names, clock)]}));
    json!({"groups": groups})
}

fn recorded(names: &Names, clock: Clock) -> Vec<Value> {
    let ratio = |window: &u64| {
        let (name, window) = (clock::name(*window), clock.text(*window));
        json!({
            "record": format!("launchgate:slo_errors:ratio_rate{name}"),
            "expr": format!("{BY} (rate({}[{window}])) / {BY} (rate({}[{window}]))", names.slo_errors, names.slo_events),
        })
    };
    let traffic = |window: &u64| {
        let (name, window) = (clock::name(*window), clock.text(*window));
        json!({
            "record": format!("launchgate:slo_events:increase{name}"),
            "expr": format!("{BY} (increase({}[{window}]))", names.slo_events),
        })
    };
    RATIOS
        .iter()
        .map(ratio)
        .chain(TRAFFIC.iter().map(traffic))
        .collect()
}

fn alerts(watched: &Watched<'_>) -> Vec<Value> {
    let alert = |name: &str, severity: &str, windows: &[Window]| {
        let expr: Vec<String> = windows
            .iter()
            .map(|window| condition(watched, window))
            .collect();
        json!({
            "alert": name,
            "expr": expr.join("\nor\n"),
            // With slo and objective: promtool refuses two alerts of one name and the same labels.
            "labels": {"slo": watched.slo.name, "objective": watched.objective, "severity": severity},
            "annotations": {"summary": summary(watched, "{{ $labels.route }}"), "description": DESCRIPTION},
        })
    };
    vec![
        alert(FAST_ALERT, "page", &FAST),
        alert(SLOW_ALERT, "ticket", &SLOW),
    ]
}

/// Name of the alert that pages.
pub(super) const FAST_ALERT: &str = "LaunchgateSloBurnsFast";
/// Name of the alert that opens a ticket.
pub(super) const SLOW_ALERT: &str = "LaunchgateSloBurnsSlowly";
/// Name of the alert on the cap.
pub(super) const OVERFLOW_ALERT: &str = "LaunchgateMetricsSeriesOverflow";
/// What every burn-rate alert explains.
pub(super) const DESCRIPTION: &str = "The error budget is spent several times faster than the objective allows, over a long and a short window.";
/// What the alert on the cap explains.
pub(super) const OVERFLOW_SUMMARY: &str = "Requests are counted in the overflow series: the labels have more values than max_series allows.";

/// The summary of a burn-rate alert for a route.
pub(super) fn summary(watched: &Watched<'_>, route: &str) -> String {
    format!(
        "Route {route} burns the error budget of {} ({})",
        watched.slo.name,
        watched.words()
    )
}

fn condition(watched: &Watched<'_>, window: &Window) -> String {
    let (selector, threshold) = (watched.selector(), watched.threshold(window));
    let (long, short) = (clock::name(window.long), clock::name(window.short));
    format!(
        "(launchgate:slo_errors:ratio_rate{long}{{{selector}}} >= {threshold} and launchgate:slo_errors:ratio_rate{short}{{{selector}}} >= {threshold} and launchgate:slo_events:increase{long}{{{selector}}} >= {})",
        watched.slo.minimum_requests
    )
}

fn overflow(names: &Names, clock: Clock) -> Value {
    json!({
        "alert": OVERFLOW_ALERT,
        "expr": format!("sum (increase({}[{}])) > 0", names.dropped, clock.text(15 * MINUTE)),
        "labels": {"severity": "ticket"},
        "annotations": {"summary": OVERFLOW_SUMMARY},
    })
}
