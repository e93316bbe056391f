//! Facts of a gateway with everything right.

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::{
    index::Index,
    preflight::{
        exposition,
        facts::{
            AccessLog, Admin, Alertmanager, Facts, Gateway, IndexFile, Loaded, Manifests,
            Prometheus, Reply, Signature, Tls,
        },
    },
};

const DIGEST: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const IMAGE: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

pub(super) fn ready(status: &str, redis: &str) -> String {
    json!({"status": status, "timestamp": "2026-11-22T12:00:00.000Z", "dependencies": {"redis": redis}}).to_string()
}

fn reply(status: u16, headers: &[(&str, &str)], body: &str) -> Reply {
    let headers = headers
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
    Reply {
        status,
        headers: headers.collect(),
        body: body.to_owned(),
    }
}

pub(super) fn facts() -> Facts {
    Facts {
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_812_800),
        url: "https://shop.example.org".into(),
        host: "shop.example.org".into(),
        gateway: gateway(),
        admin: Some(admin()),
        index: Some(index()),
        manifests: Some(Manifests {
            resources: 14,
            findings: Vec::new(),
            images: vec![("suite".into(), IMAGE.into())],
        }),
        signatures: Some(vec![Signature {
            of: "index.json".into(),
            valid: Ok(()),
        }]),
        prometheus: Some(Prometheus {
            up: vec!["http://gateway:9901/stats/prometheus".into()],
            request_series: 3,
            alert_rules: vec!["LaunchgateErrorBudgetBurn".into()],
            alertmanagers: 1,
            ..Prometheus::default()
        }),
        alertmanager: Some(Alertmanager {
            version: "0.25.0".into(),
            test_alert: Some(Ok(())),
        }),
        access_log: Some(AccessLog {
            lines: vec![json!({"trace_id": TRACE}).to_string()],
            trace_id: TRACE.into(),
        }),
    }
}

fn gateway() -> Gateway {
    let page = [
        (
            "strict-transport-security",
            "max-age=31536000; includeSubDomains",
        ),
        (
            "content-security-policy",
            "default-src 'none'; frame-ancestors 'none'",
        ),
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
    ];
    Gateway {
        tls: Some(Tls {
            versions: vec!["1.2", "1.3"],
            not_after: SystemTime::UNIX_EPOCH + Duration::from_secs(1_763_812_800 + 60 * 86_400),
            names: vec!["shop.example.org".into()],
            chain: Ok(2),
            name: Ok(()),
        }),
        plain: Some(reply(301, &[("location", "https://shop.example.org/")], "")),
        page: reply(200, &page, "hello"),
        live: reply(200, &[], ""),
        ready: reply(200, &[], &ready("healthy", "connected")),
        startup: reply(200, &[], ""),
        misdirected: Some(("api.example.org".into(), reply(421, &[], ""))),
    }
}

fn admin() -> Admin {
    let route = json!({"match": {"prefix": "/", "headers": [{"name": "x-launchgate-variant"}]}, "route": {"cluster": "canary"}});
    let clusters = ["canary", "stable"].map(|name| json!({"cluster": {"name": name}}));
    let exposition = "launchgate_build_info{plugin=\"suite\",version=\"0.1.0\"} 1\nlaunchgate_errors_sent_total{category=\"error\"} 2\nlaunchgate_canary_rolled_back{rollout=\"checkout-v1\"} 1\n";
    Admin {
        plugins: vec![Loaded {
            plugin: "suite".into(),
            name: "suite".into(),
            config: config(),
            host_variables: vec!["SENTRY_DSN".into()],
            inline_variables: Default::default(),
            failure_policy: "FAIL_RELOAD".into(),
            digest: Ok(DIGEST.into()),
        }],
        address: Some("127.0.0.1:9901".into()),
        dump: json!({"configs": [{"routes": [route], "static_clusters": clusters}]}),
        samples: exposition::parse(exposition),
        checks: (3, 4),
    }
}

fn config() -> Value {
    json!({
        "metrics": {},
        "access_log": {"service": "checkout"},
        "errors": {"dsn": "${SENTRY_DSN}", "cluster": "sentry"},
        "tls": {"misdirected": {"listeners": ["shop.example.org", "api.example.org"]}},
        "health": {"dependencies": [{"name": "redis", "kind": "envoy", "cluster": "redis", "required": false}]},
        "canary": {
            "rollout": "checkout-v2", "key": [{"header": "x-user-id"}],
            "stages": [{"percent": 5, "for": "15m"}, {"percent": 100}], "rollback": {"window": "1m"},
            "steer": {"kind": "header", "header": "x-launchgate-variant"}, "clusters": {"canary": "canary", "stable": "stable"},
        },
    })
}

fn index() -> IndexFile {
    let entry = json!({"name": "suite", "version": "0.1.0", "file": "suite.wasm", "sha256": DIGEST, "size": 1, "manifest_digest": format!("sha256:{IMAGE}")});
    let index = json!({"schema_version": 1, "plugins": [entry]});
    let sections = [
        "metrics",
        "access_log",
        "errors",
        "tls",
        "health",
        "canary",
        "mode",
    ];
    let properties = sections.map(|name| (name.to_owned(), json!({})));
    let schema = json!({"type": "object", "additionalProperties": false, "properties": Value::Object(properties.into_iter().collect())});
    IndexFile {
        index: Index::parse(index.to_string().as_bytes()).unwrap(),
        schemas: [("suite".to_owned(), schema)].into(),
    }
}
