//! What clients are answered: endpoints, details, drain, and what hostile bytes do.

use launchgate_harness::envoy::{
    Bootstrap, Connection, Envoy, Launch, Plugin, Reply, Request, Upstream, built_module, workspace,
};
use serde_json::{Value, json};

use crate::gateway::{SOON, await_state, health, ok, one};

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
    let plugin = plugin.failure_policy("FAIL_RELOAD");
    let envoy = Envoy::start(Bootstrap::gateway(&[plugin]).upstream("app", &app)).unwrap();
    let failures = || {
        envoy
            .admin()
            .matching_stats("^wasm.*(fail|error|crash|reload|created).*")
            .unwrap()
    };
    let before = failures();
    assert!(before.contains_key("wasm.health.vm_reload_success"));
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
