//! The plugin `errors` in the real Envoy: against a strict receiver, and against a real Sentry-compatible server.

#[path = "errors/bugsink.rs"]
mod bugsink;
#[path = "errors/receiver.rs"]
mod receiver;

use std::time::Duration;

use bugsink::Bugsink;
use launchgate_harness::envoy::{
    Answer, Bootstrap, Envoy, Launch, Plugin, Reply, Request, Upstream, built_module, workspace,
};
use receiver::{items, losses};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(60);
const KEY: &str = "abcdef0123456789abcdef0123456789";

fn config(more: &Value) -> Value {
    let mut config = json!({
        "dsn": format!("http://{KEY}@sentry.example.org/7"), "cluster": "sentry", "release": "v1.2.3", "routes": ["/users/{id}"],
        "notifiers": {"ops": {"kind": "slack", "cluster": "slack", "url": "https://hooks.example.org/services/T0/B0/hunter2"}},
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// A gateway with the plugin; `/dead/…` leads to clusters that refuse.
fn gateway(
    config: &Value,
    workers: u32,
    app: &Upstream,
    sentry: &Upstream,
    slack: &Upstream,
) -> Envoy {
    let plugin = Plugin::new("errors", built_module("errors").unwrap()).config(config);
    let bootstrap = Bootstrap::gateway(&[plugin])
        .upstream("app", app)
        .upstream("sentry", sentry)
        .upstream("slack", slack);
    Launch::new(dead_clusters(bootstrap))
        .concurrency(workers)
        .start()
        .unwrap()
}

fn dead_clusters(bootstrap: Bootstrap) -> Bootstrap {
    bootstrap.edit(|document| {
        let resources = &mut document["static_resources"];
        let routes = "/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";
        let routes = resources.pointer_mut(routes).unwrap().as_array_mut().unwrap();
        for name in ["one", "two"] {
            routes.insert(0, json!({"match": {"prefix": format!("/dead/{name}/")}, "route": {"cluster": name}}));
        }
        for name in ["one", "two"] {
            let cluster = json!({"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9}}}}]}]}});
            resources["clusters"].as_array_mut().unwrap().push(cluster);
        }
    })
}

fn failing_app() -> Upstream {
    let app = Upstream::always(Reply::status(200)).unwrap();
    app.script(|request| {
        if request.path.contains("fail") {
            Reply::status(500).body("boom").into()
        } else {
            Reply::status(200).body("fine").into()
        }
    });
    app
}

fn ok() -> Upstream {
    Upstream::always(Reply::status(200).body("ok")).unwrap()
}

fn stat(envoy: &Envoy, name: &str) -> u64 {
    envoy
        .admin()
        .stat(&format!("wasmcustom.launchgate_errors_{name}"))
        .unwrap_or(0)
}

/// Waits until the workers have met twice, so that shared state is there.
fn settle(envoy: &Envoy) {
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(envoy.get("/").unwrap().status, 200);
}

#[test]
fn ten_thousand_equal_failures_on_four_workers_are_one_issue_and_one_notice() {
    let (app, sentry, slack) = (failing_app(), receiver::start(), ok());
    let alerts = json!({
        "throttle": {"burst": 5, "window": "5s"},
        "alerts": [{"name": "new-error", "when": {"kind": "first_seen"}, "notify": ["ops"]}],
    });
    let envoy = gateway(&config(&alerts), 4, &app, &sentry, &slack);
    settle(&envoy);
    let mut connections = envoy.connection_per_worker("gateway").unwrap();
    assert_eq!(connections.len(), 4);
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        for connection in &mut connections {
            scope.spawn(move || {
                for number in 0..2_500 {
                    let answer = connection
                        .exchange(&Request::get(format!("/users/{number}/fail")))
                        .unwrap();
                    assert_eq!(answer.status, 500);
                }
            });
        }
    });
    let windows = start.elapsed().as_secs() / 5 + 1;
    envoy
        .await_value(SOON, || {
            Ok((stat(&envoy, "summaries_total") >= windows.min(1)
                && losses_known(&envoy) == 10_000)
                .then_some(()))
        })
        .unwrap();
    let events = items(&sentry, KEY, "event");
    let (summaries, single): (Vec<Value>, Vec<Value>) = events
        .into_iter()
        .partition(|event| event.get("extra").is_some());
    assert!(
        single.len() as u64 <= 5 * windows && single.len() >= 5,
        "{} events in {windows} windows",
        single.len()
    );
    let held_back: u64 = summaries
        .iter()
        .map(|summary| summary["extra"]["suppressed_count"].as_u64().unwrap())
        .sum();
    assert!(held_back + single.len() as u64 <= 10_000);
    let fingerprint = &single[0]["fingerprint"];
    assert!(
        single
            .iter()
            .chain(&summaries)
            .all(|event| event["fingerprint"] == *fingerprint),
        "one issue"
    );
    assert_eq!(slack.received().len(), 1, "one notice");
    let notice: Value = serde_json::from_slice(&slack.received()[0].body).unwrap();
    assert!(
        notice["text"]
            .as_str()
            .unwrap()
            .starts_with("[FIRING] new-error: HTTP 500 on GET /users/{id}/fail for the first time"),
        "{notice}"
    );
    println!(
        "{} events, {} summaries, {windows} windows of 5 s, {:?}",
        single.len(),
        summaries.len(),
        start.elapsed()
    );
}

/// Failures that were sent as events of their own or held back.
fn losses_known(envoy: &Envoy) -> u64 {
    let summaries = stat(envoy, "summaries_total");
    let held_back = stat(
        envoy,
        "discarded_totalreason=.=event_processor;.;category=.=error;.;",
    );
    (stat(envoy, "sent_totalcategory=.=error;.;") + held_back).saturating_sub(summaries)
}

#[test]
fn two_dead_clusters_are_two_issues() {
    let (app, sentry, slack) = (ok(), receiver::start(), ok());
    let envoy = gateway(&config(&json!({})), 2, &app, &sentry, &slack);
    settle(&envoy);
    for path in ["/dead/one/a", "/dead/two/b", "/dead/one/c/7", "/dead/two/d"] {
        assert_eq!(envoy.get(path).unwrap().status, 503);
    }
    sentry.await_received(4, SOON).unwrap();
    let mut issues: Vec<String> = items(&sentry, KEY, "event")
        .iter()
        .map(|event| event["fingerprint"].to_string())
        .collect();
    issues.sort();
    issues.dedup();
    assert_eq!(
        issues,
        [
            r#"["gateway","availability","one"]"#,
            r#"["gateway","availability","two"]"#
        ]
    );
    let event = &items(&sentry, KEY, "event")[0];
    assert!(
        event["contexts"]["gateway"]["flags"]
            .as_str()
            .unwrap()
            .contains("UF"),
        "{event}"
    );
}

#[test]
fn after_a_429_no_worker_sends_for_its_time_and_then_the_exact_losses_are_reported() {
    let (app, sentry, slack) = (failing_app(), receiver::start(), ok());
    sentry.answer(Reply::status(429).header("retry-after", "35"));
    let envoy = gateway(&config(&json!({})), 4, &app, &sentry, &slack);
    settle(&envoy);
    assert_eq!(envoy.get("/first/fail").unwrap().status, 500);
    sentry.await_received(1, SOON).unwrap();
    envoy
        .await_log(SOON, |line| {
            line.text.contains("Sentry asked for a pause")
        })
        .unwrap();
    let limited = std::time::Instant::now();
    sentry.answer(receiver::accepted());
    for (number, connection) in envoy
        .connection_per_worker("gateway")
        .unwrap()
        .iter_mut()
        .enumerate()
    {
        for letter in ["a", "b", "c"] {
            assert_eq!(
                connection
                    .exchange(&Request::get(format!(
                        "/{}/{letter}/fail",
                        ["w", "x", "y", "z"][number]
                    )))
                    .unwrap()
                    .status,
                500
            );
        }
    }
    while limited.elapsed() < Duration::from_secs(33) {
        assert_eq!(
            sentry.received().len(),
            1,
            "a call within the pause, after {:?}",
            limited.elapsed()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
    envoy
        .await_value(SOON, || {
            Ok((losses(&sentry, KEY, "ratelimit_backoff", "error") == 12).then_some(()))
        })
        .unwrap();
    assert_eq!(
        stat(
            &envoy,
            "discarded_totalreason=.=ratelimit_backoff;.;category=.=error;.;"
        ),
        12
    );
    assert_eq!(items(&sentry, KEY, "event").len(), 1);
}

#[test]
fn a_sentry_that_is_down_slow_or_resetting_is_no_clients_business() {
    let (app, sentry, slack) = (failing_app(), receiver::start(), ok());
    let envoy = gateway(
        &config(&json!({"timeout": "300ms", "traces_sample_rate": 1})),
        2,
        &app,
        &sentry,
        &slack,
    );
    settle(&envoy);
    for (name, answer) in [
        ("slow", Some(Answer::Hang)),
        ("resetting", Some(Answer::Reset)),
        ("closing", Some(Answer::Close)),
        ("refusing", None),
    ] {
        match answer {
            Some(answer) => sentry.answer(answer),
            None => sentry.refuse(),
        }
        for number in 0..50 {
            let start = std::time::Instant::now();
            let (path, status) = if number % 2 == 0 {
                (format!("/{name}/fail"), 500)
            } else {
                (format!("/{name}"), 200)
            };
            assert_eq!(envoy.get(&path).unwrap().status, status, "{name}");
            assert!(
                start.elapsed() < Duration::from_secs(5),
                "{name}: {:?}",
                start.elapsed()
            );
        }
    }
    let network = "discarded_totalreason=.=network_error;.;category=.=";
    envoy
        .await_value(SOON, || {
            Ok((stat(&envoy, &format!("{network}error;.;"))
                + stat(&envoy, &format!("{network}transaction;.;"))
                > 0)
            .then_some(()))
        })
        .unwrap();
}

#[test]
fn transactions_and_seeded_secrets() {
    let (app, sentry, slack) = (failing_app(), receiver::start(), ok());
    let more = json!({
        "traces_sample_rate": 1, "user": {"header": "x-user-id"},
        "alerts": [{"name": "vip", "when": {"kind": "match", "header": "x-user-id", "values": ["hunter2-user"]}, "notify": ["ops"]}],
    });
    let envoy = gateway(&config(&more), 1, &app, &sentry, &slack);
    settle(&envoy);
    let mut request = Request::get(
        "/users/42/fail?token=hunter2&%74oken=hunter2&page=1&next=https%3A%2F%2Fu%3Ahunter2%40h%2F",
    )
    .header("x-user-id", "hunter2-user");
    for (name, value) in [
        ("authorization", "Bearer hunter2"),
        ("cookie", "session=hunter2; hunter2"),
        ("x-api-key", "hunter2"),
        ("x-csrf-token", "hunter2"),
        ("proxy-authorization", "Basic hunter2"),
        ("x-amz-security-token", "hunter2"),
        ("x-forwarded-for", "203.0.113.99"),
        (
            "sentry-trace",
            "771a43a4192642f0b136d5159a501700-7c2e2d1b5a0a4e8f-1",
        ),
        ("x-odd", "\u{80}"),
    ] {
        request = request.header(name, value);
    }
    assert_eq!(envoy.send(&request).unwrap().status, 500);
    envoy
        .await_value(SOON, || {
            Ok((items(&sentry, KEY, "event").len() == 1
                && items(&sentry, KEY, "transaction").len() >= 2
                && slack.received().len() == 1)
                .then_some(()))
        })
        .unwrap();
    for request in sentry.received().iter().chain(&slack.received()) {
        let body = String::from_utf8_lossy(&request.body);
        assert!(
            !body.contains("hunter2") && !body.contains("203.0.113.99"),
            "{body}"
        );
    }
    for line in envoy.log() {
        assert!(
            !line.text.contains("hunter2") && !line.text.contains(KEY),
            "{}",
            line.text
        );
    }
    let transactions = items(&sentry, KEY, "transaction");
    let traced = transactions
        .iter()
        .find(|transaction| {
            transaction["contexts"]["trace"]["trace_id"] == "771a43a4192642f0b136d5159a501700"
        })
        .unwrap();
    assert_eq!(
        traced["contexts"]["trace"]["parent_span_id"],
        "7c2e2d1b5a0a4e8f"
    );
    let event = &items(&sentry, KEY, "event")[0];
    assert_eq!(
        event["contexts"]["trace"]["trace_id"],
        "771a43a4192642f0b136d5159a501700"
    );
    assert!(event["user"]["id"].is_string() && event["user"].get("ip_address").is_none());
}

#[test]
fn the_shipped_bootstrap_reports_and_alerts() {
    let (sentry, slack) = (receiver::start(), ok());
    let bootstrap = Bootstrap::read(&workspace().join("envoy-configs/envoy/errors.yaml"))
        .unwrap()
        .file("errors.wasm", built_module("errors").unwrap());
    let envoy = Launch::new(
        bootstrap
            .upstream("sentry", &sentry)
            .upstream("slack", &slack),
    )
    .concurrency(2)
    .start()
    .unwrap();
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(envoy.get("/boom").unwrap().status, 500);
    assert_eq!(envoy.get("/dead").unwrap().status, 503);
    envoy
        .await_value(SOON, || {
            Ok(
                (items(&sentry, "public", "event").len() == 2 && slack.received().len() == 2)
                    .then_some(()),
            )
        })
        .unwrap();
    let text = envoy.admin().prometheus().unwrap();
    assert!(
        text.contains(r#"launchgate_errors_failures_total{failure="status"} 2"#),
        "{text}"
    );
}

#[test]
fn a_real_server_ingests_every_kind_of_event_and_relay_has_nothing_to_scrub() {
    let bugsink = Bugsink::start();
    let (app, slack) = (failing_app(), ok());
    app.script(|request| match request.header("content-type").as_deref() {
        Some("application/grpc") => Reply::status(200)
            .header("content-type", "application/grpc")
            .header("grpc-status", "14")
            .into(),
        _ if request.path.contains("slow") => Reply::status(200)
            .latency(Duration::from_millis(300))
            .into(),
        _ if request.path.contains("fail") => Reply::status(500)
            .header("set-cookie", "sid=hunter2")
            .body("boom")
            .into(),
        _ => Reply::status(200).into(),
    });
    let mut config = config(
        &json!({"report": {"slower_than": "200ms"}, "throttle": {"burst": 1, "window": "2s"}, "user": {"header": "x-user-id"}}),
    );
    config["dsn"] = json!(bugsink.dsn());
    let plugin = Plugin::new("errors", built_module("errors").unwrap()).config(&config);
    let copy = receiver::start();
    let bootstrap = Bootstrap::gateway(&[plugin])
        .upstream("app", &app)
        .endpoint("sentry", bugsink.address())
        .upstream("slack", &slack);
    let envoy = Launch::new(dead_clusters(bootstrap))
        .concurrency(2)
        .start()
        .unwrap();
    settle(&envoy);
    let secretive = Request::get("/users/7/fail?password=hunter2")
        .header("authorization", "Bearer hunter2")
        .header("cookie", "sid=hunter2")
        .header("x-user-id", "anna@example.org");
    assert_eq!(envoy.send(&secretive).unwrap().status, 500);
    assert_eq!(envoy.send(&secretive).unwrap().status, 500);
    assert_eq!(envoy.get("/dead/one/x").unwrap().status, 503);
    assert_eq!(envoy.get("/dead/two/x").unwrap().status, 503);
    assert_eq!(envoy.get("/slow").unwrap().status, 200);
    let grpc = Request::new("POST", "/svc/Method")
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    assert_eq!(envoy.send(&grpc).unwrap().status, 200);
    envoy
        .await_value(SOON, || {
            Ok((stat(&envoy, "sent_totalcategory=.=error;.;") == 6).then_some(()))
        })
        .unwrap();
    assert_eq!(
        (
            stat(&envoy, "send_failures_totalreason=.=status;.;"),
            copy.received().len()
        ),
        (0, 0)
    );
    let issues = bugsink.issues(5);
    let summed = issues
        .iter()
        .map(|issue| issue["digested_event_count"].as_u64().unwrap())
        .sum::<u64>();
    assert_eq!(
        summed, 6,
        "five issues: a failure with its summary, two dead clusters, a slow one, gRPC: {issues:?}"
    );
    bugsink.judge_events(6);
}
