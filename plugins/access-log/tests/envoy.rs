//! The built module in the real Envoy, with the shipped bootstrap and Envoy's own file access logger.
//! Needs `make build` and `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

mod gateway;
mod oracle;

use std::time::Duration;

use gateway::{Gateway, SOON};
use launchgate_harness::envoy::{Answer, Connection, Reply, Request, Upstream};
use oracle::{check_ecs, jq_lines, otlp_records};
use serde_json::{Value, json};

const SECRETS: [&str; 14] = [
    "s3cr3t-query",
    "s3cr3t-encoded",
    "s3cr3t-cookie",
    "s3cr3t-path",
    "s3cr3t-user",
    "s3cr3t-fragment",
    "s3cr3t-nested",
    "s3cr3t-bearer",
    "s3cr3t-header",
    "s3cr3t-key",
    "4111111111111111",
    "4111-1111-1111-1111",
    "jane.doe@example.org",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTEifQ.c2lnbmF0dXJl",
];

/// A request that has every secret of the list somewhere.
fn leaky(path: &str) -> Request {
    let jwt = SECRETS[13];
    let target = format!(
        "{path}/password-reset/s3cr3t-path?token=s3cr3t-query&%74OKEN=s3cr3t-encoded&next=%2Fcb%3Fapi_key%3Ds3cr3t-nested&n=4111-1111-1111-1111&m=jane.doe%40example.org&j={jwt}"
    );
    Request::get(target)
        .header("authorization", format!("Bearer {jwt}"))
        .header("cookie", "session=s3cr3t-cookie; theme=dark")
        .header(
            "referer",
            "https://u:s3cr3t-user@example.org/?sig=s3cr3t-query#access_token=s3cr3t-fragment",
        )
        .header(
            "user-agent",
            format!("agent/1 Bearer s3cr3t-bearer 4111111111111111 jane.doe@example.org {jwt}"),
        )
        .header("x-tenant", "jane.doe@example.org")
        .header("x-auth-token", "s3cr3t-header")
        .header("x-api-key", "s3cr3t-key")
}

fn leaky_config(format: &str) -> Value {
    json!({
        "service": "user-api", "format": format,
        "user_id": {"jwt": {"source": "header"}},
        "fields": {
            "tenant": {"header": "x-tenant"}, "auth_token": {"header": "x-auth-token"}, "api_key": {"header": "x-api-key"},
            "cookies": {"header": "cookie"}, "authorization": {"header": "authorization"}, "set_cookie": {"response_header": "set-cookie"},
            "zone": {"value": "eu-1"}, "answer": {"response_header": "x-answer", "type": "integer"},
        },
        "redact": {"headers": {"x-api-key": "drop"}, "query": {"token": "mask"}, "path": {"/a/password-reset/*": "mask"}},
    })
}

#[test]
fn every_exchange_gives_one_line_that_parses_and_holds_no_secret() {
    for format in ["launchgate", "ecs", "otlp"] {
        let app = Upstream::always(
            Reply::status(200)
                .header("x-answer", "42")
                .header("set-cookie", "sid=s3cr3t-cookie; Path=/")
                .body("hi"),
        )
        .unwrap();
        let gateway = Gateway::start(&leaky_config(format), &app, None);
        let mut exchanges = 0;
        for round in 0..20 {
            assert_eq!(gateway.envoy.send(&leaky("/a")).unwrap().status, 200);
            app.answer(Reply::status(if round % 2 == 0 { 503 } else { 404 }));
            gateway.envoy.send(&leaky("/a")).unwrap();
            app.answer(
                Reply::status(200)
                    .header("x-answer", "42")
                    .header("set-cookie", "sid=s3cr3t-cookie; Path=/"),
            );
            exchanges += 2;
        }
        exchanges += gateway.odd_exchanges(&app);
        let lines = gateway.lines(exchanges);
        jq_lines(&lines);
        for secret in SECRETS {
            let leak = lines.iter().find(|line| line.contains(secret));
            assert_eq!(leak, None, "{format}: {secret}");
        }
        assert_eq!(gateway.records(), exchanges as u64, "{format}");
    }
}

#[test]
fn every_byte_in_every_place_gives_lines_that_parse() {
    for format in ["launchgate", "ecs", "otlp"] {
        let app = Upstream::always(Reply::status(200)).unwrap();
        let mut config = leaky_config(format);
        config["trace"] = json!(["traceparent", "b3", "sentry_trace"]);
        let gateway = Gateway::start(&config, &app, None);
        let mut exchanges = 0;
        for byte in 1..=255_u8 {
            let odd = [b'a', byte, b'z'];
            let mut request = Request::get([b"/p", &odd[..], b"?q=", &odd].concat());
            for name in [
                "user-agent",
                "referer",
                "cookie",
                "x-tenant",
                "authorization",
                "traceparent",
                "b3",
                "sentry-trace",
                "x-request-id",
                "x-forwarded-for",
            ] {
                request = request.header(name, odd);
            }
            // Envoy itself refuses some of these with 400: a line all the same.
            let _ = gateway.envoy.send(&request);
            exchanges += 1;
        }
        let lines = gateway.lines_at_least(exchanges);
        jq_lines(&lines);
        assert_eq!(lines.len() as u64, gateway.records(), "{format}");
    }
}

#[test]
fn a_record_has_the_keys_of_the_contract() {
    let app = Upstream::always(Reply::status(200).body("hi")).unwrap();
    let gateway = Gateway::start(&leaky_config("launchgate"), &app, None);
    let traced = leaky("/a")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .header("x-forwarded-for", "203.0.113.9");
    gateway.envoy.send(&traced).unwrap();
    let line: Value = serde_json::from_str(&gateway.lines(1)[0]).unwrap();
    for (key, expected) in [
        ("level", json!("info")),
        ("service", json!("user-api")),
        ("message", json!("GET /a/password-reset/[redacted] 200")),
        ("trace_id", json!("4bf92f3577b34da6a3ce929d0e0e4736")),
        ("span_id", json!("00f067aa0ba902b7")),
        ("method", json!("GET")),
        ("path", json!("/a/password-reset/[redacted]")),
        ("status", json!(200)),
        ("outcome", json!("success")),
        ("user_id", json!("user-1")),
        ("user_id_verified", json!(false)),
        ("client_ip", json!("127.0.0.1")),
        ("route", json!("everything")),
        ("upstream_cluster", json!("app")),
        ("seq", json!(1)),
        ("zone", json!("eu-1")),
        ("tenant", json!("[redacted]")),
    ] {
        assert_eq!(line[key], expected, "{key}");
    }
    assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(line["duration_ms"].is_u64());
    assert_eq!(line.get("api_key"), None);
}

#[test]
fn ecs_lines_pass_the_specification_of_ecs_logging() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let gateway = Gateway::start(&leaky_config("ecs"), &app, None);
    gateway
        .envoy
        .send(&leaky("/a").header("b3", "80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1"))
        .unwrap();
    let odd = gateway.odd_exchanges(&app);
    for line in gateway.lines(odd + 1) {
        check_ecs(&line);
    }
}

#[test]
fn sampling_keeps_errors_and_slow_exchanges_and_nothing_prints_for_the_rest() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"sample": {"rate_percent": 10, "keep_slower_than": "300ms"}});
    let gateway = Gateway::start(&config, &app, None);
    let traced = |byte: u8| {
        Request::get("/").header(
            "traceparent",
            format!(
                "00-{}-00f067aa0ba902b7-01",
                format!("{byte:02x}").repeat(16)
            ),
        )
    };
    for byte in 1..=255 {
        assert_eq!(gateway.envoy.send(&traced(byte)).unwrap().status, 200);
    }
    // 0x01 to 0x19: below a tenth of 256.
    let sampled = 25;
    app.answer(Reply::status(503));
    for _ in 0..10 {
        gateway.envoy.send(&traced(0xff)).unwrap();
    }
    app.answer(Reply::status(200).latency(Duration::from_millis(400)));
    gateway.envoy.send(&traced(0xff)).unwrap();
    let lines = gateway.lines(sampled + 11);
    jq_lines(&lines);
    let rates: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["sample_rate_percent"].clone())
        .collect();
    assert_eq!(
        rates.iter().filter(|rate| **rate == json!(10.0)).count(),
        sampled
    );
    assert_eq!(
        rates.iter().filter(|rate| **rate == json!(100.0)).count(),
        11
    );
    assert_eq!(gateway.stat("launchgate_access_log_sampled_out_total"), 230);
}

#[test]
fn rate_zero_keeps_the_errors() {
    let app = Upstream::always(Reply::status(503)).unwrap();
    let gateway = Gateway::start(&json!({"sample": {"rate_percent": 0}}), &app, None);
    for _ in 0..20 {
        gateway.envoy.get("/").unwrap();
    }
    app.answer(Reply::status(200));
    for _ in 0..20 {
        gateway.envoy.get("/").unwrap();
    }
    assert_eq!(gateway.lines(20).len(), 20);
}

#[test]
fn a_storm_is_capped_and_its_summary_counts_the_rest() {
    let app = Upstream::always(Reply::status(503)).unwrap();
    let gateway = Gateway::start(
        &json!({"storm": {"max_records": 3, "window": "2s"}}),
        &app,
        Some(1),
    );
    for _ in 0..50 {
        gateway.envoy.get("/").unwrap();
    }
    std::thread::sleep(Duration::from_secs(3));
    app.answer(Reply::status(200));
    gateway.envoy.get("/").unwrap();
    let lines = gateway.lines_at_least(5);
    jq_lines(&lines);
    let read: Vec<Value> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let suppressed: u64 = read
        .iter()
        .filter_map(|line| line["suppressed"].as_u64())
        .sum();
    let errors = read
        .iter()
        .filter(|line| line["status"] == 503 && line.get("suppressed").is_none())
        .count() as u64;
    assert_eq!(errors + suppressed, 50);
    assert_eq!(
        gateway.stat("launchgate_access_log_suppressed_total"),
        suppressed
    );
}

#[test]
fn a_forged_address_is_never_the_clients() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let forged = Request::get("/").header("x-forwarded-for", "203.0.113.9");
    let gateway = Gateway::start(&json!({}), &app, None);
    gateway.envoy.send(&forged).unwrap();
    let line: Value = serde_json::from_str(&gateway.lines(1)[0]).unwrap();
    assert_eq!(
        (&line["client_ip"], line.get("client_ip_claimed")),
        (&json!("127.0.0.1"), None)
    );

    // A connection manager that takes the address from the header.
    for (trusted, key) in [(false, "client_ip_claimed"), (true, "client_ip")] {
        let gateway = Gateway::start_edited(
            &json!({"trust_envoy_xff": trusted}),
            &app,
            None,
            |manager| {
                manager["use_remote_address"] = json!(false);
            },
        );
        gateway.envoy.send(&forged).unwrap();
        let line: Value = serde_json::from_str(&gateway.lines(1)[0]).unwrap();
        assert_eq!(line[key], "203.0.113.9", "{line}");
    }
}

#[test]
fn sinks_get_strict_otlp_loki_pushes_and_bulk_requests() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let collector = Upstream::always(Reply::status(200).body("{}")).unwrap();
    let gateway = Gateway::start_shipped(&app, &collector);
    for _ in 0..30 {
        gateway
            .envoy
            .send(&leaky("").header(
                "traceparent",
                "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            ))
            .unwrap();
    }
    let total =
        |sink: &str| gateway.stat(&format!("launchgate_access_log_sent_totalsink=.={sink};.;"));
    let arrived = gateway.envoy.await_value(SOON, || {
        Ok(["otlp", "loki", "elasticsearch"]
            .iter()
            .all(|sink| total(sink) == 30)
            .then_some(()))
    });
    arrived.unwrap();
    let bodies = |path: &str| -> Vec<String> {
        let received = collector.received();
        received
            .iter()
            .filter(|request| request.path.starts_with(path))
            .map(|request| String::from_utf8(request.body.to_vec()).unwrap())
            .collect()
    };
    assert_eq!(otlp_records(&bodies("/v1/logs")), 30);
    let pushes: Vec<Value> = bodies("/loki/")
        .iter()
        .map(|body| serde_json::from_str(body).unwrap())
        .collect();
    let values = pushes
        .iter()
        .flat_map(|push| push["streams"][0]["values"].as_array().unwrap().clone());
    let lines: Vec<Value> = values
        .map(|value| serde_json::from_str(value[1].as_str().unwrap()).unwrap())
        .collect();
    assert_eq!(
        (lines.len(), &lines[0]["service"]),
        (30, &json!("user-api"))
    );
    let bulk: Vec<String> = bodies("/logs-gateway/_bulk")
        .concat()
        .lines()
        .map(str::to_owned)
        .collect();
    assert_eq!((bulk.len(), bulk[0].as_str()), (60, r#"{"create":{}}"#));
    for request in collector.received() {
        let body = String::from_utf8_lossy(&request.body).into_owned();
        assert_eq!(SECRETS.iter().find(|secret| body.contains(**secret)), None);
    }
}

#[test]
fn a_sink_that_is_down_costs_no_exchange_and_every_record_is_counted() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let collector = Upstream::always(Reply::status(200).body("{}")).unwrap();
    collector.refuse();
    let config = json!({"sinks": [{
        "kind": "otlp", "cluster": "collector", "batch": {"max_records": 10, "max_age": "50ms"},
        "queue": {"max_bytes": 20_000}, "retry": {"attempts": 1000, "min": "100ms", "max": "200ms"},
    }]});
    let gateway = Gateway::start_with_collector(&config, &app, &collector);
    for _ in 0..300 {
        assert_eq!(gateway.envoy.get("/").unwrap().status, 200);
    }
    let stat = |name: &str| gateway.stat(&format!("launchgate_access_log_{name}"));
    let dropped = || stat("dropped_totalsink=.=otlp;.;reason=.=queue_full;.;");
    let queued = || stat("queued_recordssink=.=otlp;.;");
    assert!(stat("queued_bytessink=.=otlp;.;") <= 40_000);
    assert!(dropped() > 0);
    assert_eq!(dropped() + queued(), 300);
    collector.accept().unwrap();
    let sent = || stat("sent_totalsink=.=otlp;.;");
    gateway
        .envoy
        .await_value(SOON, || Ok((queued() == 0).then_some(())))
        .unwrap();
    assert_eq!(sent() + dropped(), 300);
    let bodies: Vec<String> = collector
        .received()
        .iter()
        .map(|request| String::from_utf8(request.body.to_vec()).unwrap())
        .collect();
    assert_eq!(otlp_records(&bodies) as u64, sent());
}

#[test]
fn mode_report_prints_nothing() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let gateway = Gateway::start(&json!({"mode": "report"}), &app, None);
    for _ in 0..5 {
        gateway.envoy.get("/").unwrap();
    }
    assert_eq!(gateway.stat("launchgate_access_log_would_write_total"), 5);
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(gateway.lines(0), Vec::<String>::new());
}

#[test]
fn a_client_that_left_is_recorded_as_such() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    app.answer(Answer::Hang);
    let gateway = Gateway::start(&json!({}), &app, None);
    let mut client = Connection::open(gateway.envoy.port(10000).unwrap()).unwrap();
    client.write(&Request::get("/slow").encode()).unwrap();
    app.await_received(1, SOON).unwrap();
    drop(client);
    let line: Value = serde_json::from_str(&gateway.lines(1)[0]).unwrap();
    assert_eq!(
        (
            &line["reason"],
            &line["outcome"],
            &line["level"],
            line.get("status")
        ),
        (
            &json!("client_abort"),
            &json!("failure"),
            &json!("info"),
            None
        )
    );
}
