//! What Prometheus and Alertmanager know, by their HTTP APIs.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Http, await_value, now};
use crate::preflight::facts::{Alertmanager, Prometheus};

const TEST_ALERT: &str = "LaunchgatePreflight";
/// Either way out of the metrics plugin.
const REQUESTS: &str = "count({__name__=~\"launchgate_(metrics|http)_requests_total\"})";

pub(super) fn prometheus(http: &Http, url: &str) -> anyhow::Result<Prometheus> {
    let targets = http.get_json(url, "/api/v1/targets?state=active")?;
    let mut found = Prometheus::default();
    for target in items(&targets["data"]["activeTargets"]) {
        let name = text(&target["scrapeUrl"]);
        match target["health"].as_str() {
            Some("up") => found.up.push(name),
            // A target that was not scraped yet is neither.
            Some("down") => found.down.push((name, text(&target["lastError"]))),
            _ => {}
        }
    }
    let answer = http.get_json(url, &format!("/api/v1/query?query={}", encode(REQUESTS)))?;
    let count = answer["data"]["result"][0]["value"][1].as_str();
    found.request_series = count.and_then(|c| c.parse().ok()).unwrap_or(0);
    let rules = http.get_json(url, "/api/v1/rules?type=alert")?;
    let ours = items(&rules["data"]["groups"]).flat_map(|group| items(&group["rules"]));
    for rule in ours.filter(|r| text(&r["name"]).starts_with("Launchgate")) {
        match rule["health"].as_str() {
            Some("err") => found.broken_rules.push(text(&rule["name"])),
            _ => found.alert_rules.push(text(&rule["name"])),
        }
    }
    let managers = http.get_json(url, "/api/v1/alertmanagers")?;
    found.alertmanagers = items(&managers["data"]["activeAlertmanagers"]).count();
    Ok(found)
}

pub(super) fn alertmanager(http: &Http, url: &str, send: bool) -> anyhow::Result<Alertmanager> {
    let status = http.get_json(url, "/api/v2/status")?;
    let test_alert = send.then(|| test(http, url).map_err(|e| format!("{e:#}")));
    Ok(Alertmanager {
        version: text(&status["versionInfo"]["version"]),
        test_alert,
    })
}

/// Fires, sees it active, resolves, sees it gone.
fn test(http: &Http, url: &str) -> anyhow::Result<()> {
    let begin = now();
    let post = |end: SystemTime| -> anyhow::Result<()> {
        let time = |t| humantime::format_rfc3339_millis(t).to_string();
        let alert = json!([{
            "labels": {"alertname": TEST_ALERT, "severity": "info"},
            "annotations": {"summary": "A test of launchgate preflight. Nothing is wrong."},
            "startsAt": time(begin), "endsAt": time(end),
        }]);
        let status = http.post_json(url, "/api/v2/alerts", &alert)?;
        anyhow::ensure!(
            status == 200,
            "the test alert was answered {status}, expected 200"
        );
        Ok(())
    };
    let is_active = || -> anyhow::Result<bool> {
        let path = format!(
            "/api/v2/alerts?filter={}",
            encode(&format!("alertname=\"{TEST_ALERT}\""))
        );
        Ok(items(&http.get_json(url, &path)?).next().is_some())
    };
    post(begin + Duration::from_secs(300))?;
    await_value(|| Ok(is_active()?.then_some(())))?
        .context("the test alert was taken, but does not show")?;
    post(now())?;
    await_value(|| Ok((!is_active()?).then_some(())))?.context("the test alert does not resolve")
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    text.bytes()
        .map(|b| {
            if plain(b) {
                char::from(b).to_string()
            } else {
                format!("%{b:02X}")
            }
        })
        .collect()
}
