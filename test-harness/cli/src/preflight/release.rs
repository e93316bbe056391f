//! Check 6: a release that goes wrong takes itself back.

use std::time::Duration;

use serde_json::Value;

use super::{
    facts::{Admin, Facts},
    rule::{Area, Judged, Rule, Severity, broken, holds, unless},
};

/// A first stage above this is no canary.
const FIRST_PERCENT: f64 = 25.0;
const RUNBOOK: &str = "docs/canary-runbook.md";

pub(super) const RULES: &[Rule] = &[
    Rule::new(
        Area::Release,
        "release.schedule",
        Severity::Warning,
        "The stages rise from a small share to everybody, each longer than the window",
        "Begin with a few percent, end with 100, and give each stage a `for` longer than `rollback.window`.",
        RUNBOOK,
        schedule,
    ),
    Rule::new(
        Area::Release,
        "release.sticky",
        Severity::Error,
        "A user stays with one version",
        "Give `key` a header, claim or cookie that tells users apart; end it with a cookie that is issued.",
        RUNBOOK,
        sticky,
    ),
    Rule::new(
        Area::Release,
        "release.rollback",
        Severity::Error,
        "The rollback is armed",
        "Set `rollback.max_5xx_percent` below 100, and `min_requests` to what a stage's traffic reaches.",
        RUNBOOK,
        rollback,
    ),
    Rule::new(
        Area::Release,
        "release.routes",
        Severity::Error,
        "The steering header leads to the canary's cluster",
        "Add the route that reads `steer.header`, and the clusters that `clusters` names.",
        RUNBOOK,
        routes,
    ),
    Rule::new(
        Area::Release,
        "release.state",
        Severity::Error,
        "The rollout was neither rolled back nor aborted",
        "Take `abort` out of the configuration, or find the cause in `launchgate_canary_rollbacks_total`; a mended release needs a new `rollout` id.",
        RUNBOOK,
        state,
    ),
];

fn schedule(facts: &Facts) -> Judged {
    let config = facts.admin()?.policy("canary")?;
    let stages = config["stages"]
        .as_array()
        .map_or(&[] as &[Value], Vec::as_slice);
    let percents: Vec<f64> = stages
        .iter()
        .map(|s| s["percent"].as_f64().unwrap_or(0.0))
        .collect();
    let (Some(first), Some(last)) = (percents.first(), percents.last()) else {
        return broken("there are no stages: only `match` rules send anybody to the canary");
    };
    let mut broken = Vec::new();
    if *first > FIRST_PERCENT {
        broken.push(format!(
            "the first stage is {first} %, expected at most {FIRST_PERCENT} %"
        ));
    }
    if *last < 100.0 {
        broken.push(format!(
            "the last stage is {last} %: the release never ends"
        ));
    }
    let window = duration(&config["rollback"]["window"]).unwrap_or(Duration::from_secs(60));
    for (at, stage) in stages.iter().enumerate() {
        if let Some(length) = duration(&stage["for"]).filter(|length| *length < window) {
            broken.push(format!(
                "stage {} takes {}, shorter than the window of {}",
                at + 1,
                humantime::format_duration(length),
                humantime::format_duration(window)
            ));
        }
    }
    let told: Vec<_> = percents.iter().map(|p| format!("{p} %")).collect();
    unless(broken, told.join(", "))
}

/// `15m`, `250ms`: the SDK's spelling is one that humantime reads.
fn duration(value: &Value) -> Option<Duration> {
    humantime::parse_duration(value.as_str()?).ok()
}

fn sticky(facts: &Facts) -> Judged {
    let config = facts.admin()?.policy("canary")?;
    let keys = config["key"].as_array().map_or(0, Vec::len);
    if keys == 0 {
        return broken("`key` is empty: every request is drawn anew");
    }
    if config["keyless"] == "random" {
        return broken("`keyless` is random: a user without key changes between versions");
    }
    holds(format!("{keys} keys"))
}

fn rollback(facts: &Facts) -> Judged {
    let config = facts.admin()?.policy("canary")?;
    let rollback = &config["rollback"];
    let errors = rollback["max_5xx_percent"].as_f64().unwrap_or(1.0);
    let slow = rollback["max_p99"].as_str().unwrap_or("800ms");
    let surge = rollback["surge_factor"].as_f64().unwrap_or(3.0);
    let is_slow_off = duration(&rollback["max_p99"]).is_some_and(|d| d.is_zero());
    match errors >= 100.0 && is_slow_off && surge == 0.0 {
        true => broken("all three judges are off: max_5xx_percent, max_p99, surge_factor"),
        false if errors >= 100.0 => broken("max_5xx_percent is 100: errors never convict"),
        false => holds(format!(
            "above {errors} % of 5xx, or 1 % slower than {slow}"
        )),
    }
}

fn routes(facts: &Facts) -> Judged {
    let admin = facts.admin()?;
    let config = admin.policy("canary")?;
    let name = |at: &str, default: &str| {
        config["clusters"][at]
            .as_str()
            .unwrap_or(default)
            .to_owned()
    };
    let header = config["steer"]["header"]
        .as_str()
        .unwrap_or("x-launchgate-variant");
    let mut broken: Vec<_> = [name("canary", "canary"), name("stable", "stable")]
        .into_iter()
        .filter(|cluster| !has_cluster(admin, cluster))
        .map(|cluster| format!("there is no cluster {cluster}"))
        .collect();
    if !is_routed(&admin.dump, header) {
        broken.push(format!("no route reads {header}"));
    }
    unless(broken, format!("{header} is read by a route"))
}

fn has_cluster(admin: &Admin, wanted: &str) -> bool {
    fn any(value: &Value, wanted: &str) -> bool {
        match value {
            Value::Array(items) => items.iter().any(|v| any(v, wanted)),
            Value::Object(map) => {
                (map.contains_key("cluster") && value["cluster"]["name"] == wanted)
                    || map.values().any(|v| any(v, wanted))
            }
            _ => false,
        }
    }
    any(&admin.dump, wanted)
}

/// Whether a route matches on the header, or takes the cluster or the weight from it.
fn is_routed(value: &Value, header: &str) -> bool {
    match value {
        Value::Array(items) => items.iter().any(|v| is_routed(v, header)),
        Value::Object(map) => {
            let matched = value["match"]["headers"].as_array();
            matched.into_iter().flatten().any(|h| h["name"] == header)
                || value["route"]["cluster_header"] == header
                || value["weighted_clusters"]["header_name"] == header
                || map.values().any(|v| is_routed(v, header))
        }
        _ => false,
    }
}

fn state(facts: &Facts) -> Judged {
    let admin = facts.admin()?;
    let config = admin.policy("canary")?;
    let rollout = config["rollout"].as_str().unwrap_or_default();
    let counts = |name: &str| {
        admin.samples.iter().any(|s| {
            s.name == name && s.value > 0.0 && s.labels.get("rollout").is_none_or(|r| r == rollout)
        })
    };
    // An operator's abort is a rollback by its counter, but not by its gauge: it is no verdict that the fleet shares.
    if counts("launchgate_canary_rolled_back") || counts("launchgate_canary_rollbacks_total") {
        return broken(format!("{rollout} is rolled back or aborted"));
    }
    match config["abort"] == true {
        true => broken(format!("{rollout} is aborted by the configuration")),
        false => holds(format!("{rollout} stands")),
    }
}
