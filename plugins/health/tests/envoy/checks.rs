//! Checks in the background: each kind, how many, and that no reply waits for one.

use std::time::{Duration, Instant};

use launchgate_harness::envoy::{
    Answer, Bootstrap, Connection, Envoy, Launch, Reply, Request, Upstream,
};
use serde_json::json;

use crate::gateway::{SOON, await_state, health, ok, one, state};

#[test]
fn each_kind_sees_its_dependency_come_and_go() {
    let (app, plain) = (ok(), Upstream::always(Reply::status(204)).unwrap());
    let grpc = Upstream::always_http2(Reply::grpc(&[8, 1], 0)).unwrap();
    let plugins = [
        ("http", one(&json!({"kind": "http", "path": "/ping"}))),
        ("grpc", one(&json!({"kind": "grpc", "service": "a.B"}))),
        (
            "envoy",
            one(&json!({"kind": "envoy", "admin_cluster": "envoy_admin"})),
        ),
    ];
    for (kind, config) in plugins {
        let database = if kind == "grpc" { &grpc } else { &plain };
        database.accept().unwrap();
        let bootstrap = Bootstrap::gateway(&[health(&config)])
            .upstream("app", &app)
            .upstream("db", database)
            .admin_cluster("envoy_admin");
        let bootstrap = bootstrap.edit(|document| {
            if kind == "envoy" {
                let clusters = document["static_resources"]["clusters"].as_array_mut().unwrap();
                let db = clusters.iter_mut().find(|cluster| cluster["name"] == "db").unwrap();
                db["health_checks"] = json!([{"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s", "unhealthy_threshold": 1,
                    "healthy_threshold": 1, "tcp_health_check": {}}]);
            }
        });
        let envoy = Envoy::start(bootstrap).unwrap();
        assert_eq!(await_state(&envoy, "connected"), 200, "{kind}");
        database.refuse();
        assert_eq!(await_state(&envoy, "unavailable"), 503, "{kind}");
        database.accept().unwrap();
        assert_eq!(await_state(&envoy, "connected"), 200, "{kind}");
    }
    let asked = grpc.received();
    assert_eq!(
        (asked[0].path.as_str(), &asked[0].body[..]),
        (
            "/grpc.health.v1.Health/Check",
            &b"\0\0\0\0\x05\x0a\x03a.B"[..]
        )
    );
    assert_eq!(
        asked[0].header("content-type").as_deref(),
        Some("application/grpc")
    );
}

#[test]
fn live_traffic_decides_a_passive_dependency() {
    let app = ok();
    let config = json!({"dependencies": [{"name": "database", "kind": "passive", "cluster": "app", "interval": "500ms", "failure_threshold": 1, "min_requests": 3}]});
    let envoy = Envoy::start(Bootstrap::gateway(&[health(&config)]).upstream("app", &app)).unwrap();
    assert_eq!(await_state(&envoy, "connected"), 200);
    app.answer(Reply::status(500));
    let failed = envoy.await_value(SOON, || {
        for _ in 0..20 {
            envoy.get("/x")?;
        }
        Ok((state(&envoy)?.1 == "unavailable").then_some(()))
    });
    failed.unwrap();
    app.answer(Reply::status(200));
    assert_eq!(await_state(&envoy, "connected"), 200);
}

#[test]
fn a_hanging_dependency_delays_no_reply() {
    let (app, hanging) = (ok(), Upstream::always(Answer::Hang).unwrap());
    let config = one(&json!({"kind": "http", "interval": "2s", "timeout": "2s"}));
    let envoy = Envoy::start(
        Bootstrap::gateway(&[health(&config)])
            .upstream("app", &app)
            .upstream("db", &hanging),
    )
    .unwrap();
    hanging.await_received(1, SOON).unwrap();
    for expected in ["unknown", "unavailable"] {
        await_state(&envoy, expected);
        let mut connection = Connection::open(envoy.gateway().unwrap()).unwrap();
        let start = Instant::now();
        for _ in 0..20 {
            assert_eq!(
                connection
                    .exchange(&Request::get("/healthz"))
                    .unwrap()
                    .status,
                503
            );
        }
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "20 replies took {:?}",
            start.elapsed()
        );
    }
}

/// One worker checks for all, whether the dependency answers or hangs.
#[test]
fn eight_workers_make_twenty_checks_in_twenty_intervals() {
    let app = ok();
    let (answering, hanging) = (ok(), Upstream::always(Answer::Hang).unwrap());
    let check = |name: &str, cluster: &str| json!({"name": name, "kind": "http", "cluster": cluster, "interval": "500ms"});
    let config = json!({"dependencies": [check("database", "db"), check("queue", "mq")]});
    let bootstrap = Bootstrap::gateway(&[health(&config)])
        .upstream("app", &app)
        .upstream("db", &answering)
        .upstream("mq", &hanging);
    let envoy = Launch::new(bootstrap).concurrency(8).start().unwrap();
    let first = envoy.await_value(SOON, || {
        let seen = envoy.get("/healthz")?.json()?["dependencies"].take();
        Ok((seen == json!({"database": "connected", "queue": "unavailable"})).then_some(()))
    });
    first.unwrap();
    answering.forget();
    hanging.forget();
    std::thread::sleep(20 * Duration::from_millis(500));
    let checks = [&answering, &hanging].map(|dependency| dependency.received().len());
    assert!(
        checks.iter().all(|count| (19..=21).contains(count)),
        "{checks:?} checks in 20 intervals"
    );
}
