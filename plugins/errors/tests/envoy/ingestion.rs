//! A real server takes every kind of event, and Sentry's own normaliser and scrubber have nothing to say.

use std::time::Duration;

use launchgate_harness::envoy::{
    Bootstrap, Launch, Reply, Request, Upstream, built_module, workspace,
};
use serde_json::json;

use crate::bugsink::Bugsink;
use crate::gateway::{Gateway, SOON};
use crate::receiver::{self, items};
use crate::secrets::{SECRETS, leaky};

#[test]
fn a_real_server_takes_every_kind_of_event_and_nothing_is_left_to_scrub() {
    let bugsink = Bugsink::start();
    let config = json!({
        "report": {"slower_than": "200ms"}, "throttle": {"burst": 1, "window": "2s"},
        "traces_sample_rate": 1, "user": {"header": "x-user-id"}, "scrub": {"paths": ["/users/*/fail/reset/*"]},
    });
    let gateway = Gateway::start_with(2, &config, Some(bugsink.entrance()), Vec::new());
    gateway
        .app
        .script(|request| match request.header("content-type").as_deref() {
            Some("application/grpc") => Reply::status(200)
                .header("content-type", "application/grpc")
                .header("grpc-status", "14")
                .into(),
            _ if request.path.contains("slow") => Reply::status(200)
                .latency(Duration::from_millis(300))
                .into(),
            _ => Reply::status(500)
                .header("set-cookie", "sid=s3cr3t-cookie")
                .body("boom")
                .into(),
        });
    for _ in 0..2 {
        assert_eq!(
            gateway.envoy.send(&leaky("/users/7/fail")).unwrap().status,
            500
        );
    }
    assert_eq!(gateway.get("/dead/one/x"), 503);
    assert_eq!(gateway.get("/dead/two/x"), 503);
    assert_eq!(gateway.get("/slow"), 200);
    let grpc = Request::new("POST", "/svc/Method")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    assert_eq!(gateway.envoy.send(&grpc).unwrap().status, 200);
    gateway.until("six events", || gateway.sent() == 6);
    assert_eq!(
        gateway.count("send_failures_total", &[("reason", "status")]),
        0
    );
    let issues = bugsink.issues(5);
    let digested = issues
        .iter()
        .map(|issue| issue["digested_event_count"].as_u64().unwrap());
    assert_eq!(
        digested.sum::<u64>(),
        6,
        "five issues: a failure with its summary, two dead clusters, a slow one, gRPC: {issues:?}"
    );
    let mut kinds: Vec<_> = (issues.iter())
        .map(|issue| issue["calculated_type"].as_str().unwrap())
        .collect();
    kinds.sort_unstable();
    assert_eq!(
        kinds,
        [
            "HTTP 500",
            "Slow exchange",
            "Upstream unavailable",
            "Upstream unavailable",
            "gRPC 14 UNAVAILABLE"
        ]
    );
    let events = bugsink.events();
    bugsink.judge(&events);
    assert_eq!(events.len(), 6);
    let text = serde_json::to_string(&events).unwrap();
    assert_eq!(SECRETS.iter().find(|secret| text.contains(**secret)), None);
}

#[test]
fn the_shipped_bootstrap_reports_and_alerts() {
    let slack = Upstream::always(Reply::status(200).body("ok")).unwrap();
    let sentry = receiver::start();
    let bootstrap = Bootstrap::read(&workspace().join("envoy-configs/envoy/errors.yaml")).unwrap();
    let bootstrap = bootstrap
        .file("errors.wasm", built_module("errors").unwrap())
        .upstream("sentry", &sentry)
        .upstream("slack", &slack);
    let envoy = Launch::new(bootstrap).concurrency(2).start().unwrap();
    assert_eq!(envoy.get("/boom").unwrap().status, 500);
    assert_eq!(envoy.get("/dead").unwrap().status, 503);
    let both = || items(&sentry, "public", "event").len() == 2 && slack.received().len() == 2;
    envoy
        .await_value(SOON, || Ok(both().then_some(())))
        .unwrap();
    let text = envoy.admin().prometheus().unwrap();
    let line = r#"launchgate_errors_failures_total{failure="status"} 2"#;
    assert!(text.contains(line), "{text}");
}
