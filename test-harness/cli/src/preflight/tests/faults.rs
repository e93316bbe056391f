//! Faults to be planted in the facts of a healthy gateway, and the finding that each must be.

use std::time::Duration;

use serde_json::json;

use super::healthy;
use crate::preflight::facts::{Admin, Facts, Loaded, Reply, Signature, Tls};

/// Plants one fault.
type Fault = (&'static str, fn(&mut Facts), &'static str);

pub(super) fn plugin(facts: &mut Facts) -> &mut Loaded {
    &mut facts.admin.as_mut().unwrap().plugins[0]
}

pub(super) fn admin(facts: &mut Facts) -> &mut Admin {
    facts.admin.as_mut().unwrap()
}

fn tls(facts: &mut Facts) -> &mut Tls {
    facts.gateway.tls.as_mut().unwrap()
}

fn sample(facts: &mut Facts, name: &str, labels: &[(&str, &str)], value: f64) {
    let labels = labels
        .iter()
        .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    let sample = crate::preflight::exposition::Sample {
        name: name.to_owned(),
        labels: labels.collect(),
        value,
    };
    admin(facts).samples.push(sample);
}

fn drop_header(reply: &mut Reply, name: &str) {
    reply.headers.retain(|(n, _)| n != name);
}

pub(super) const FAULTS: &[Fault] = &[
    (
        "another module",
        |f| plugin(f).digest = Ok("0".repeat(64)),
        "build.digest",
    ),
    (
        "a manifest pins another image",
        |f| {
            f.manifests
                .as_mut()
                .unwrap()
                .images
                .push(("suite".into(), "1".repeat(64)))
        },
        "build.digest",
    ),
    (
        "signed with another key",
        |f| {
            f.signatures = Some(vec![Signature {
                of: "index.json".into(),
                valid: Err("made with another key".into()),
            }])
        },
        "build.signature",
    ),
    (
        "a field that the schema does not know",
        |f| plugin(f).config["tsl"] = json!({}),
        "build.schema",
    ),
    (
        "no plugin at all",
        |f| {
            f.index = None;
            f.admin.as_mut().unwrap().plugins.clear();
        },
        "configuration.plugins",
    ),
    (
        "a variable that nobody hands over",
        |f| plugin(f).host_variables.clear(),
        "configuration.variables",
    ),
    (
        "a DSN in the configuration",
        |f| {
            plugin(f).config["errors"]["dsn"] =
                json!("https://0123456789abcdef0123456789abcdef@sentry.example.org/1")
        },
        "configuration.secrets",
    ),
    (
        "a token by name in the environment",
        |f| {
            plugin(f)
                .inline_variables
                .insert("DRAIN_TOKEN".into(), "swordfish".into());
        },
        "configuration.secrets",
    ),
    (
        "a private key in a listener",
        |f| admin(f).dump["configs"][0]["inline"] = json!("-----BEGIN PRIVATE KEY-----"),
        "configuration.dump",
    ),
    (
        "a section that only reports",
        |f| plugin(f).config["tls"]["mode"] = json!("report"),
        "configuration.mode",
    ),
    (
        "a VM that stays dead",
        |f| plugin(f).failure_policy = "FAIL_CLOSED".into(),
        "configuration.reload",
    ),
    (
        "an open admin interface",
        |f| admin(f).address = Some("0.0.0.0:9901".into()),
        "configuration.admin",
    ),
    (
        "an overlay that adds a field",
        |f| {
            f.manifests.as_mut().unwrap().findings.push((
                "overlay-structure",
                "spec.x: the base has no such field".into(),
            ))
        },
        "configuration.manifests",
    ),
    (
        "TLS 1.1",
        |f| tls(f).versions.insert(0, "1.1"),
        "tls.versions",
    ),
    (
        "no TLS 1.3",
        |f| tls(f).versions.retain(|v| *v != "1.3"),
        "tls.versions",
    ),
    (
        "no intermediate",
        |f| tls(f).chain = Err("UnknownIssuer".into()),
        "tls.chain",
    ),
    (
        "another name's certificate",
        |f| tls(f).name = Err("NotValidForName".into()),
        "tls.name",
    ),
    (
        "an expired certificate",
        |f| tls(f).not_after = f.now - Duration::from_secs(3600),
        "tls.expiry",
    ),
    (
        "a certificate of ten more days",
        |f| tls(f).not_after = f.now + Duration::from_secs(10 * 86_400),
        "tls.expiry",
    ),
    (
        "a redirect to another host",
        |f| {
            f.gateway.plain.as_mut().unwrap().headers =
                vec![("location".into(), "https://other.example.org/".into())]
        },
        "tls.redirect",
    ),
    (
        "HSTS for a week",
        |f| {
            drop_header(&mut f.gateway.page, "strict-transport-security");
            f.gateway
                .page
                .headers
                .push(("strict-transport-security".into(), "max-age=604800".into()));
        },
        "tls.hsts",
    ),
    (
        "HSTS over plain HTTP",
        |f| {
            f.gateway.plain.as_mut().unwrap().headers.push((
                "strict-transport-security".into(),
                "max-age=31536000".into(),
            ))
        },
        "tls.hsts",
    ),
    (
        "no security policy, and framing",
        |f| {
            drop_header(&mut f.gateway.page, "content-security-policy");
            drop_header(&mut f.gateway.page, "x-frame-options");
        },
        "tls.headers",
    ),
    (
        "another listener's host is served",
        |f| f.gateway.misdirected.as_mut().unwrap().1.status = 200,
        "tls.misdirected",
    ),
    (
        "liveness is 404",
        |f| f.gateway.live.status = 404,
        "health.live",
    ),
    (
        "not ready",
        |f| {
            f.gateway.ready.status = 503;
            f.gateway.ready.body = healthy::ready("unhealthy", "unavailable");
        },
        "health.ready",
    ),
    (
        "readiness is somebody else's page",
        |f| f.gateway.ready.body = "<html>".into(),
        "health.ready",
    ),
    (
        "startup never ends",
        |f| f.gateway.startup.status = 503,
        "health.startup",
    ),
    (
        "an optional dependency is out",
        |f| f.gateway.ready.body = healthy::ready("degraded", "unavailable"),
        "health.dependencies",
    ),
    (
        "checks stand still",
        |f| admin(f).checks = (7, 7),
        "health.checks",
    ),
    (
        "no dependency",
        |f| plugin(f).config["health"]["dependencies"] = json!([]),
        "health.checks",
    ),
    (
        "a panic",
        |f| sample(f, "launchgate_panics_total", &[], 1.0),
        "health.panics",
    ),
    (
        "labels in names",
        |f| {
            sample(
                f,
                "launchgate_health_replies_total_endpoint___live____",
                &[],
                1.0,
            )
        },
        "observability.metrics",
    ),
    (
        "nobody scrapes",
        |f| f.prometheus.as_mut().unwrap().request_series = 0,
        "observability.scrape",
    ),
    (
        "a target is down",
        |f| {
            f.prometheus
                .as_mut()
                .unwrap()
                .down
                .push(("http://gateway:9901".into(), "refused".into()))
        },
        "observability.scrape",
    ),
    (
        "no alert rules",
        |f| f.prometheus.as_mut().unwrap().alert_rules.clear(),
        "observability.rules",
    ),
    (
        "no Alertmanager",
        |f| f.prometheus.as_mut().unwrap().alertmanagers = 0,
        "observability.rules",
    ),
    (
        "a line with Envoy's prefix",
        |f| {
            f.access_log
                .as_mut()
                .unwrap()
                .lines
                .push("[2026-11-22] wasm log: {}".into())
        },
        "observability.records",
    ),
    (
        "a record without trace id",
        |f| f.access_log.as_mut().unwrap().trace_id = "0".repeat(32),
        "observability.trace",
    ),
    (
        "a sink that is away",
        |f| {
            sample(
                f,
                "launchgate_errors_discarded_total",
                &[("reason", "network_error")],
                2.0,
            )
        },
        "observability.errors",
    ),
    (
        "no DSN",
        |f| plugin(f).config["errors"]["dsn"] = json!(""),
        "observability.errors",
    ),
    (
        "an alert that is refused",
        |f| f.alertmanager.as_mut().unwrap().test_alert = Some(Err("answered 400".into())),
        "observability.alert",
    ),
    (
        "everybody at once",
        |f| plugin(f).config["canary"]["stages"] = json!([{"percent": 100}]),
        "release.schedule",
    ),
    (
        "a stage shorter than the window",
        |f| plugin(f).config["canary"]["stages"][0]["for"] = json!("30s"),
        "release.schedule",
    ),
    (
        "no key",
        |f| plugin(f).config["canary"]["key"] = json!([]),
        "release.sticky",
    ),
    (
        "no limit of errors",
        |f| plugin(f).config["canary"]["rollback"]["max_5xx_percent"] = json!(100),
        "release.rollback",
    ),
    (
        "no cluster for the canary",
        |f| plugin(f).config["canary"]["clusters"]["canary"] = json!("canary-v3"),
        "release.routes",
    ),
    (
        "no route reads the header",
        |f| plugin(f).config["canary"]["steer"]["header"] = json!("x-other"),
        "release.routes",
    ),
    (
        "already rolled back",
        |f| {
            sample(
                f,
                "launchgate_canary_rolled_back",
                &[("rollout", "checkout-v2")],
                1.0,
            )
        },
        "release.state",
    ),
    (
        "aborted by the configuration",
        |f| plugin(f).config["canary"]["abort"] = json!(true),
        "release.state",
    ),
    (
        "aborted by an operator",
        |f| {
            let labels = [("rollout", "checkout-v2"), ("cause", "abort")];
            sample(f, "launchgate_canary_rollbacks_total", &labels, 1.0)
        },
        "release.state",
    ),
];
