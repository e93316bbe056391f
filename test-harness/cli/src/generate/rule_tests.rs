//! promtool unit tests of the generated rules, for each objective: it fires, it keeps silent, it resolves.

use launchgate_metrics::Settings;
use serde_json::{Value, json};

use super::burn::{Watched, watched};
use super::clock::{Clock, MINUTE};
use super::names::Names;
use super::rules::{
    DESCRIPTION, FAST_ALERT, OVERFLOW_ALERT, OVERFLOW_SUMMARY, SLOW_ALERT, summary,
};

/// The test file, beside the rule file.
pub(super) fn tests(settings: &Settings, names: &Names, clock: Clock) -> Value {
    let mut tests: Vec<Value> = watched(&settings.slo)
        .iter()
        .flat_map(|watched| of(watched, names, clock))
        .collect();
    tests.push(json!({
        "name": "the overflow series is in use",
        "interval": clock.text(MINUTE),
        "input_series": [{"series": names.dropped, "values": "0+1x30"}],
        "alert_rule_test": [{"eval_time": clock.text(20 * MINUTE), "alertname": OVERFLOW_ALERT, "exp_alerts": [
            {"exp_labels": {"severity": "ticket"}, "exp_annotations": {"summary": OVERFLOW_SUMMARY}},
        ]}],
    }));
    json!({"rule_files": ["rules.yaml"], "evaluation_interval": clock.text(MINUTE), "tests": tests})
}

fn of(watched: &Watched<'_>, names: &Names, clock: Clock) -> Vec<Value> {
    let route = watched.slo.routes.first().map_or("_OTHER", String::as_str);
    let busy = u64::from(watched.slo.minimum_requests).max(60) * 10;
    let quiet = u64::from(watched.slo.minimum_requests).saturating_sub(1);
    let test = |name: &str, events: String, errors: String, expected: &[(u64, &str, bool)]| {
        let series = |family: &str, values: String| json!({"series": format!("{family}{{{},route=\"{route}\"}}", watched.selector()), "values": values});
        let expect = |(minutes, alert, fires): &(u64, &str, bool)| {
            let severity = if *alert == FAST_ALERT {
                "page"
            } else {
                "ticket"
            };
            let alerts = json!([{
                "exp_labels": {"slo": watched.slo.name, "objective": watched.objective, "route": route, "severity": severity},
                "exp_annotations": {"summary": summary(watched, route), "description": DESCRIPTION},
            }]);
            json!({"eval_time": clock.text(minutes * MINUTE), "alertname": alert, "exp_alerts": if *fires { alerts } else { json!([]) }})
        };
        json!({
            "name": format!("{} {}: {name}", watched.slo.name, watched.objective),
            "interval": clock.text(MINUTE),
            "input_series": [series(names.slo_events, events), series(names.slo_errors, errors)],
            "alert_rule_test": expected.iter().map(expect).collect::<Vec<_>>(),
        })
    };
    let half_the_budget = watched.budget / 2;
    let mut tests = vec![
        test(
            "everything fails, then nothing",
            format!("0+{busy}x600"),
            format!("0+{busy}x90 {}+0x510", busy * 90),
            &[
                (80, FAST_ALERT, true),
                (80, SLOW_ALERT, true),
                // 40 minutes later neither short window of the fast alert holds an error.
                (131, FAST_ALERT, false),
            ],
        ),
        test(
            "half of the budget is spent",
            "0+1000000x600".to_owned(),
            format!("0+{half_the_budget}x600"),
            &[(500, FAST_ALERT, false), (500, SLOW_ALERT, false)],
        ),
    ];
    if quiet > 0 {
        // One request fewer than the minimum, all of them bad, long ago enough for every window to hold them.
        tests.push(test(
            "too few requests to judge",
            format!("0 {quiet}+0x60"),
            format!("0 {quiet}+0x60"),
            &[(3, FAST_ALERT, false), (3, SLOW_ALERT, false)],
        ));
    }
    tests
}
