//! The built module in the real Envoy. Needs `make build` and `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

use std::time::{Duration, Instant};

use anyhow::Result;
use launchgate_harness::envoy::{
    Answer, Bootstrap, Connection, Envoy, Launch, Plugin, Reply, Request, Upstream, built_module,
    workspace,
};
use serde_json::{Value, json};

const SOON: Duration = Duration::from_secs(30);

fn health(config: &Value) -> Plugin {
    Plugin::new("health", built_module("health").unwrap()).config(config)
}

fn ok() -> Upstream {
    Upstream::always(Reply::status(200).body("app")).unwrap()
}

fn one(kind: &Value) -> Value {
    let mut dependency =
        json!({"name": "database", "cluster": "db", "interval": "500ms", "failure_threshold": 1});
    dependency
        .as_object_mut()
        .unwrap()
        .extend(kind.as_object().unwrap().clone());
    json!({"dependencies": [dependency]})
}

fn state(envoy: &Envoy) -> Result<(u16, String)> {
    let reply = envoy.get("/healthz")?;
    let state = reply.json()?["dependencies"]["database"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok((reply.status, state))
}

/// Waits for a state of the dependency `database` and gives the status of the reply that showed it.
fn await_state(envoy: &Envoy, wanted: &str) -> u16 {
    let seen = envoy.await_value(SOON, || {
        state(envoy).map(|(status, state)| (state == wanted).then_some(status))
    });
    seen.unwrap_or_else(|error| panic!("{wanted}: {error:#}, last {:?}", state(envoy)))
}

#[test]
fn the_shipped_bootstrap_answers_and_lets_the_rest_pass() {
    let shipped = Bootstrap::read(&workspace().join("envoy-configs/envoy/health.yaml")).unwrap();
    let envoy = Envoy::start(shipped.file("health.wasm", built_module("health").unwrap())).unwrap();
    assert_eq!(await_state(&envoy, "connected"), 200);
    // Redis is not there: optional, so the service is degraded.
    let reply = envoy.await_value(SOON, || {
        let reply = envoy.get("/readyz")?;
        Ok((reply.json()?["dependencies"]["redis"] == "unavailable").then_some(reply))
    });
    let reply = reply.unwrap();
    assert_eq!(
        (reply.status, &reply.json().unwrap()["status"]),
        (200, &json!("degraded"))
    );
    assert_eq!(reply.all("content-type"), ["application/json"]);
    assert_eq!(reply.all("cache-control"), ["no-store"]);
    assert_eq!(
        envoy.get("/healthzx").unwrap().text(),
        "hello from the service\n"
    );
    let head = envoy.send(&Request::new("HEAD", "/livez")).unwrap();
    let length = envoy.get("/livez").unwrap().body.len().to_string();
    assert_eq!(
        (head.status, head.body.len(), head.header("content-length")),
        (200, 0, Some(length))
    );
    let post = envoy
        .send(&Request::new("POST", "/healthz").body("x"))
        .unwrap();
    assert_eq!(
        (post.status, post.header("allow").as_deref()),
        (405, Some("GET, HEAD"))
    );
    let text = envoy.admin().prometheus().unwrap();
    assert!(
        text.contains(r#"launchgate_health_replies_total{endpoint="ready",status="405"} 1"#),
        "{text}"
    );
}

#[test]
fn an_empty_or_absent_config_answers_200() {
    for plugin in [
        health(&json!({})),
        Plugin::new("health", built_module("health").unwrap()),
    ] {
        let envoy = Envoy::start(Bootstrap::gateway(&[plugin]).upstream("app", &ok())).unwrap();
        for path in ["/livez", "/healthz"] {
            assert_eq!(envoy.get(path).unwrap().status, 200, "{path}");
        }
    }
}

#[test]
fn every_header_byte_leaves_both_workers_alive() {
    let app = ok();
    let plugin = health(
        &json!({"details": {"allow": ["127.0.0.0/8"], "token": "0123456789abcdef"}, "drain": {"token": "0123456789abcdef"}}),
    );
    let envoy = Envoy::start(Bootstrap::gateway(&[plugin]).upstream("app", &app)).unwrap();
    let failures = || {
        envoy
            .admin()
            .matching_stats("^wasm.*(fail|error|crash|reload).*")
            .unwrap()
    };
    let before = failures();
    let mut let_through = 0;
    for byte in 1..=255_u8 {
        for path in ["/healthz", "/x", "/launchgate/drain"] {
            let value = [b'a', byte, b'z'];
            let requests = [
                Request::get(path)
                    .header("x-odd", value)
                    .header("x-odd", [byte])
                    .header("authorization", [b"Bearer ", &value[..]].concat()),
                Request::get(path).header([&b"x-"[..], &[byte]].concat(), "1"),
                Request::get([path.as_bytes(), b"?exclude=", &value].concat())
                    .header("content-type", value),
                Request::get([path.as_bytes(), &[byte]].concat()).header("x-forwarded-for", value),
            ];
            for request in requests {
                let mut connection = Connection::open(envoy.gateway().unwrap()).unwrap();
                connection.write(&request.encode()).unwrap();
                // Envoy refuses some itself (400, 426 or a closed connection); the rest must be answered in its own way.
                if let Ok(answer) = connection.read() {
                    assert!(
                        matches!(answer.status, 200 | 400 | 404 | 426),
                        "{byte:#x} {path}: {}",
                        answer.status
                    );
                    let_through += u32::from(matches!(answer.status, 200 | 404));
                }
            }
        }
    }
    assert!(
        let_through > 1000,
        "only {let_through} requests reached the plugin"
    );
    for mut connection in envoy.connection_per_worker("gateway").unwrap() {
        for _ in 0..250 {
            assert_eq!(
                connection
                    .exchange(&Request::get("/healthz"))
                    .unwrap()
                    .status,
                200
            );
            assert_eq!(
                connection.exchange(&Request::get("/x")).unwrap().text(),
                "app"
            );
        }
    }
    assert_eq!(
        envoy
            .admin()
            .stat("wasmcustom.launchgate_panics_total")
            .unwrap(),
        0
    );
    assert_eq!(failures(), before);
}

#[test]
fn a_bad_config_is_refused_in_one_line_with_every_path_and_no_secret() {
    for (config, expected) in [
        (r#"{"max_agee": "1s"}"#, &["max_agee"][..]),
        (
            r#"{"max_age": "5 seconds"}"#,
            &[r#"max_age: "5 seconds": expected a duration"#],
        ),
        (
            r#"{"dependencies": [{"name": "a", "kind": "tcp", "cluster": "c"}]}"#,
            &[r#"dependencies[0].kind: "tcp""#],
        ),
        (
            r#"{"details": {"token": "${NO_SUCH_TOKEN}"}}"#,
            &["details.token", "NO_SUCH_TOKEN"],
        ),
        (
            r#"{"on_stale": "maybe", "details": {"token": "hunter2-hunter2-hunter2 "}, "dependencies": [{"name": "a b", "kind": "http", "cluster": "c"}]}"#,
            &[
                r#"on_stale: "maybe""#,
                r#"dependencies[0].name: "a b""#,
                "details.token",
            ],
        ),
    ] {
        let plugin = Plugin::new("health", built_module("health").unwrap()).config_text(config);
        let validation = Launch::new(Bootstrap::gateway(&[plugin]).upstream("app", &ok()))
            .validate()
            .unwrap();
        assert!(!validation.accepted, "{config}");
        let naming = |text: &str| expected.iter().all(|part| text.contains(part));
        assert!(
            validation
                .log
                .iter()
                .any(|line| naming(&line.text) && !line.text.contains('\n')),
            "{config}: {:#?}",
            validation.log
        );
        assert!(
            validation
                .log
                .iter()
                .all(|line| !line.text.contains("hunter2")),
            "{config}"
        );
    }
    let good = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.json"))
        .unwrap();
    let plugin = Plugin::new("health", built_module("health").unwrap()).config_text(&good);
    assert!(
        Launch::new(Bootstrap::gateway(&[plugin]).upstream("app", &ok()))
            .validate()
            .unwrap()
            .accepted
    );
}

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

#[test]
fn eight_workers_make_twenty_checks_in_twenty_intervals() {
    let (app, database) = (ok(), Upstream::always(Reply::status(200)).unwrap());
    let config = one(&json!({"kind": "http"}));
    let bootstrap = Bootstrap::gateway(&[health(&config)])
        .upstream("app", &app)
        .upstream("db", &database);
    let envoy = Launch::new(bootstrap).concurrency(8).start().unwrap();
    assert_eq!(await_state(&envoy, "connected"), 200);
    database.forget();
    std::thread::sleep(20 * Duration::from_millis(500));
    let checks = database.received().len();
    assert!(
        (19..=21).contains(&checks),
        "{checks} checks in 20 intervals"
    );
}

#[test]
fn an_address_in_a_header_opens_no_details() {
    let (app, database) = (ok(), Upstream::always(Reply::status(200)).unwrap());
    let allow = |range: &str, plugin: &Value| {
        let mut config = plugin.clone();
        config["details"] = json!({"allow": [range], "token": "${HEALTH_TOKEN}"});
        health(&config).environment("HEALTH_TOKEN", "a-token-of-16-bytes")
    };
    let start = |range: &str, remote: bool| {
        let bootstrap = Bootstrap::gateway(&[allow(range, &one(&json!({"kind": "http"})))])
            .upstream("app", &app)
            .upstream("db", &database);
        let bootstrap = bootstrap.edit(|document| {
            let manager = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config/use_remote_address";
            *document.pointer_mut(manager).unwrap() = json!(remote);
        });
        Envoy::start(bootstrap).unwrap()
    };
    let entitled = |envoy: &Envoy, request: Request| {
        envoy
            .send(&request)
            .unwrap()
            .json()
            .unwrap()
            .get("details")
            .is_some()
    };
    let forged = || Request::get("/healthz").header("x-forwarded-for", "10.9.8.7");
    for remote in [true, false] {
        let envoy = start("10.0.0.0/8", remote);
        assert!(!entitled(&envoy, forged()), "use_remote_address: {remote}");
        assert!(!entitled(&envoy, Request::get("/healthz")));
        assert!(entitled(
            &envoy,
            Request::get("/healthz").header("authorization", "Bearer a-token-of-16-bytes")
        ));
    }
    let local = start("127.0.0.0/8", true);
    assert!(entitled(&local, Request::get("/healthz")));
}

#[test]
fn drain_reaches_every_worker_at_once() {
    let app = ok();
    let plugin = health(&json!({"drain": {"token": "a-token-of-16-bytes"}}));
    let envoy = Launch::new(Bootstrap::gateway(&[plugin]).upstream("app", &app))
        .concurrency(3)
        .start()
        .unwrap();
    let drain = |method| {
        Request::new(method, "/launchgate/drain")
            .header("authorization", "Bearer a-token-of-16-bytes")
    };
    let mut workers = envoy.connection_per_worker("gateway").unwrap();
    for (method, ready) in [("PUT", 503), ("DELETE", 200)] {
        assert_eq!(envoy.send(&drain(method)).unwrap().status, 200);
        for worker in &mut workers {
            assert_eq!(
                worker.exchange(&Request::get("/readyz")).unwrap().status,
                ready
            );
            assert_eq!(
                worker.exchange(&Request::get("/livez")).unwrap().status,
                200
            );
        }
    }
    let wrong = Request::new("PUT", "/launchgate/drain").header("authorization", "Bearer wrong");
    assert_eq!(envoy.send(&wrong).unwrap().status, 404);
}
