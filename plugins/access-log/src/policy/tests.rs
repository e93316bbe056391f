use launchgate_sdk::map::Map;
use std::time::Duration;

use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Answer, Attribute, Headers, Member};
use serde_json::{Value as Json, json};

use super::*;

type Module = Member<AccessLog>;
const KEY: &str = "launchgate.access_log";
const SECOND: Duration = Duration::from_secs(1);

fn host(config: &Json) -> Host<Module> {
    Host::load(&config.to_string()).unwrap()
}

fn record(exchange: &Exchange<Module>) -> Json {
    let line = exchange.record(KEY).expect("a record");
    serde_json::from_slice(&line)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&line)))
}

fn get(path: &str) -> Exchange<Module> {
    Exchange::get(path).with_integer(Attribute::ResponseCode, 200)
}

fn run(config: &Json, mut exchange: Exchange<Module>) -> Exchange<Module> {
    host(config).exchange(&mut exchange, Duration::from_millis(12));
    exchange
}

fn errors(config: &str) -> String {
    Host::<Module>::load(config)
        .err()
        .map(|errors| errors.to_string())
        .unwrap_or_default()
}

#[test]
fn a_record_says_what_happened() {
    let exchange = get("/users/1?page=2")
        .header(
            "traceparent",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
        .header("x-request-id", "r-1")
        .header("user-agent", "agent/1")
        .with(Attribute::RouteName, "users")
        .with_integer(Attribute::ResponseFlags, 0)
        .with_integer(Attribute::UpstreamAttempts, 2);
    let read = record(&run(&json!({"service": "user-api"}), exchange));
    assert_eq!(
        read,
        json!({
            "timestamp": "2026-11-22T12:00:00.000Z", "level": "info", "service": "user-api", "message": "GET /users/1 200",
            "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": "00f067aa0ba902b7", "request_id": "r-1", "trace_source": "traceparent",
            "method": "GET", "scheme": "http", "host": "example.org", "path": "/users/1", "query": "page=2", "status": 200, "outcome": "success",
            "duration_ms": 12, "route": "users", "attempts": 2, "client_ip": "192.0.2.1", "user_agent": "agent/1", "sample_rate_percent": 100.0,
            "worker": read["worker"], "seq": 1,
        })
    );
}

#[test]
fn level_outcome_and_reason_follow_status_grpc_and_flags() {
    const DC: u64 = 1 << 14;
    for (name, status, grpc, flags, level, outcome, reason) in [
        ("success", Some(204), None, 0, "info", "success", None),
        ("redirect", Some(302), None, 0, "info", "success", None),
        ("client error", Some(404), None, 0, "warn", "failure", None),
        ("server error", Some(503), None, 0, "error", "failure", None),
        (
            "grpc internal",
            Some(200),
            Some(13),
            0,
            "error",
            "failure",
            None,
        ),
        (
            "grpc not found",
            Some(200),
            Some(5),
            0,
            "warn",
            "failure",
            None,
        ),
        ("grpc ok", Some(200), Some(0), 0, "info", "success", None),
        (
            "client left before headers",
            None,
            None,
            DC,
            "info",
            "failure",
            Some("client_abort"),
        ),
        (
            "client left in the body",
            Some(200),
            None,
            DC,
            "info",
            "failure",
            Some("client_abort"),
        ),
        (
            "no response",
            None,
            None,
            0,
            "error",
            "failure",
            Some("no_response"),
        ),
    ] {
        let mut exchange = Exchange::<Module>::get("/")
            .with_integer(Attribute::ResponseFlags, flags)
            .with_integer(Attribute::ResponseGrpcStatus, grpc.unwrap_or(2));
        exchange = match status {
            Some(status) => exchange.with_integer(Attribute::ResponseCode, status),
            None => exchange.respond(&[]),
        };
        if grpc.is_some() {
            exchange = exchange.header("content-type", "application/grpc+proto");
        }
        let read = record(&run(&json!({}), exchange));
        assert_eq!(
            (
                read["level"].as_str(),
                read["outcome"].as_str(),
                read["reason"].as_str()
            ),
            (Some(level), Some(outcome), reason),
            "{name}"
        );
        assert_eq!(
            (read["status"].as_u64(), read["grpc_status"].as_u64()),
            (status, grpc),
            "{name}"
        );
    }
}

#[test]
fn an_exchange_that_never_reached_the_filters_is_recorded() {
    let mut host = host(&json!({}));
    let mut exchange = Exchange::<Module>::new(&[])
        .with_integer(Attribute::ResponseCode, 400)
        .with_integer(Attribute::RequestDuration, 3_000_000);
    host.end(&mut exchange);
    let read = record(&exchange);
    assert_eq!(
        (
            &read["message"],
            &read["status"],
            &read["level"],
            &read["duration_ms"]
        ),
        (
            &json!("request not understood 400"),
            &json!(400),
            &json!("warn"),
            &json!(3)
        )
    );
    assert!(read["trace_id"].as_str().is_some_and(|id| id.len() == 32));
    assert!(read.get("method").is_none() && read.get("path").is_none());
}

#[test]
fn what_the_client_sent_is_recorded_although_later_filters_change_it() {
    let mut host = host(&json!({}));
    let mut exchange = get("/before");
    host.request(&mut exchange);
    exchange.facts.request = Headers::from_pairs([(":method", "GET"), (":path", "/after")]);
    host.response(&mut exchange);
    host.end(&mut exchange);
    assert_eq!(record(&exchange)["path"], "/before");
}

#[test]
fn the_user_is_named_with_whether_it_is_proven() {
    // {"sub":"user-1"}
    let token = "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c2VyLTEifQ.x";
    let metadata = [
        "metadata",
        "filter_metadata",
        "envoy.filters.http.jwt_authn",
        "payload",
        "sub",
    ];
    let exchange = || {
        get("/")
            .header("authorization", token)
            .header("x-user", "someone")
            .property(&metadata, "verified-user")
    };
    let mac = launchgate_sdk::hash::Key::new(b"0123456789abcdef")
        .mac_plain(b"user-1")
        .hex(32);
    for (config, id, verified) in [
        (json!({}), None, None),
        (
            json!({"jwt": {"source": "header"}}),
            Some("user-1"),
            Some(false),
        ),
        (
            json!({"jwt": {"source": "metadata"}}),
            Some("verified-user"),
            Some(true),
        ),
        (json!({"header": "X-User"}), Some("someone"), Some(false)),
        (
            json!({"jwt": {"claim": "absent", "source": "header"}, "header": "x-user"}),
            Some("someone"),
            Some(false),
        ),
        (
            json!({"jwt": {"source": "header"}, "mode": "hmac"}),
            Some(mac.as_str()),
            Some(false),
        ),
        (
            json!({"jwt": {"source": "header"}, "mode": "drop"}),
            None,
            None,
        ),
        (json!({"header": "x-absent"}), None, None),
    ] {
        let read = record(&run(
            &json!({"user_id": config, "hmac_key": "0123456789abcdef"}),
            exchange(),
        ));
        assert_eq!(
            (read["user_id"].as_str(), read["user_id_verified"].as_bool()),
            (id, verified),
            "{config}"
        );
    }
}

#[test]
fn only_a_connection_proves_the_clients_address() {
    for (address, trust, proven, claimed) in [
        ("198.51.100.7:4711", false, Some("198.51.100.7"), None),
        ("203.0.113.9:0", false, None, Some("203.0.113.9")),
        ("203.0.113.9:0", true, Some("203.0.113.9"), None),
        ("[2001:db8::1]:80", false, Some("2001:db8::1"), None),
        ("[::ffff:10.0.0.1]:80", false, Some("10.0.0.1"), None),
        ("/var/run/x.sock", false, None, None),
    ] {
        let exchange = get("/")
            .header("x-forwarded-for", "1.2.3.4")
            .with(Attribute::SourceAddress, address);
        let read = record(&run(&json!({"trust_envoy_xff": trust}), exchange));
        assert_eq!(
            (
                read["client_ip"].as_str(),
                read["client_ip_claimed"].as_str()
            ),
            (proven, claimed),
            "{address} {trust}"
        );
    }
}

#[test]
fn fields_come_from_headers_attributes_and_constants_and_keep_their_type() {
    let config = json!({"fields": {
        "tenant": {"header": "X-Tenant"}, "kind": {"response_header": "x-kind"}, "zone": {"value": "eu"}, "shard": {"header": "x-shard", "type": "integer"},
        "proxy": {"attribute": "xds.node.id"}, "conn": {"attribute": "connection.id", "type": "integer"}, "tls": {"attribute": "connection.mtls", "type": "flag"},
    }});
    let exchange = |shard: &str| {
        get("/")
            .header("x-tenant", "a")
            .header("x-tenant", "b")
            .header("x-shard", shard)
            .respond(&[(":status", "200"), ("x-kind", "gold")])
            .with(Attribute::NodeId, "proxy-1")
            .with_integer(Attribute::ConnectionId, 7)
            .property(&["connection", "mtls"], [1])
    };
    let read = record(&run(&config, exchange("12")));
    let expected = [
        ("tenant", json!("a, b")),
        ("kind", json!("gold")),
        ("zone", json!("eu")),
        ("shard", json!(12)),
        ("proxy", json!("proxy-1")),
        ("conn", json!(7)),
        ("tls", json!(true)),
    ];
    for (key, value) in expected {
        assert_eq!(read[key], value, "{key}");
    }
    assert_eq!(record(&run(&config, exchange("twelve"))).get("shard"), None);
}

#[test]
fn omitted_fields_are_left_out() {
    let read = record(&run(
        &json!({"omit": ["user_agent", "worker", "client_ip", "query"]}),
        get("/a?b=c").header("user-agent", "x"),
    ));
    for key in ["user_agent", "worker", "client_ip", "query"] {
        assert_eq!(read.get(key), None, "{key}");
    }
}

#[test]
fn redaction_goes_before_truncation() {
    let long = format!("/a?x={}&token=s3cr3t", "y".repeat(5000));
    let exchange = run(
        &json!({"max_line_bytes": 1024}),
        get(&long).header("user-agent", format!("{}4111111111111111", "z".repeat(400))),
    );
    let line = String::from_utf8(exchange.record(KEY).unwrap()).unwrap();
    assert!(
        line.len() <= 1024 && !line.contains("s3cr3t") && !line.contains("41111"),
        "{line}"
    );
    assert_eq!(
        record(&exchange)["truncated"],
        json!(["query", "user_agent"])
    );
}

#[test]
fn every_worker_numbers_its_records_without_gaps() {
    let mut host = host(&json!({"sample": {"rate_percent": 50}}));
    let mut numbers = Vec::new();
    for byte in 1..=200_u8 {
        let mut exchange = get("/").header(
            "traceparent",
            format!(
                "00-{}-00f067aa0ba902b7-01",
                format!("{byte:02x}").repeat(16)
            ),
        );
        host.exchange(&mut exchange, Duration::ZERO);
        numbers.extend(
            exchange
                .record(KEY)
                .map(|_| record(&exchange)["seq"].as_u64().unwrap()),
        );
    }
    assert_eq!(numbers, (1..=127).collect::<Vec<_>>());
    assert_eq!(
        host.shared
            .number("launchgate_access_log_sampled_out_total"),
        73
    );
}

#[test]
fn mode_report_writes_nothing() {
    let mut host = host(&json!({"mode": "report", "sinks": [{"cluster": "c"}]}));
    let mut exchange = get("/");
    host.exchange(&mut exchange, SECOND);
    host.advance(SECOND);
    host.tick();
    assert_eq!((exchange.record(KEY), host.calls.len()), (None, 0));
    assert_eq!(
        host.shared
            .number("launchgate_access_log_would_write_total"),
        1
    );
}

#[test]
fn mode_report_counts_no_exchange_as_left_out() {
    let mut host = host(&json!({
        "mode": "report", "sample": {"rate_percent": 0}, "storm": {"max_records": 2, "window": "10s"},
    }));
    for _ in 0..5 {
        host.exchange(&mut get("/"), Duration::ZERO);
        let mut failed = get("/").with_integer(Attribute::ResponseCode, 503);
        host.exchange(&mut failed, Duration::ZERO);
    }
    host.advance(Duration::from_secs(10));
    host.tick();
    // Two errors, and the summary of the other three.
    let expected = Map::from([("launchgate_access_log_would_write_total".to_owned(), 3)]);
    let counted: Map<String, u64> = host
        .shared
        .numbers()
        .into_iter()
        .filter(|(_, count)| *count > 0)
        .collect();
    assert_eq!(counted, expected);
}

fn sunk(host: &mut Host<Module>, count: u64) {
    for _ in 0..count {
        host.exchange(&mut get("/"), Duration::ZERO);
    }
}

fn answer(status: u16, headers: &[(&str, &str)], body: &str) -> Answer {
    let headers = Headers::from_pairs(
        [(":status", status.to_string())]
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .chain(headers.iter().copied())
            .chain([("server", "x"), ("date", "x"), ("content-type", "x")]),
    );
    Answer::Response {
        status,
        headers,
        body: body.into(),
        trailers: Headers::default(),
    }
}

fn tally(host: &Host<Module>) -> Map<String, u64> {
    let names = host.shared.numbers();
    let sink = |name: &str| {
        name.strip_prefix("launchgate_access_log_")
            .filter(|name| name.contains("sink=.="))
            .map(|name| {
                name.replace("sink=.=otlp;.;", " ")
                    .replace("reason=.=", "")
                    .replace("result=.=", "")
                    .replace(";.;", "")
            })
    };
    names
        .into_iter()
        .filter_map(|(name, value)| Some((sink(&name)?, value)))
        .filter(|(_, value)| *value > 0)
        .collect()
}

#[test]
fn batches_leave_by_count_and_by_age() {
    let mut host = host(
        &json!({"sinks": [{"cluster": "collector", "batch": {"max_records": 3, "max_age": "1s"}}]}),
    );
    assert_eq!(host.tick, Some(Duration::from_millis(250)));
    sunk(&mut host, 4);
    host.tick();
    let call = host.answer(answer(200, &[], "{}")).unwrap();
    assert_eq!(
        (call.cluster.as_str(), call.path.expose(), call.method),
        ("collector", "/v1/logs", "POST")
    );
    let body: Json = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(
        body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
            .as_array()
            .unwrap()
            .len(),
        3
    );
    assert_eq!(host.calls.len(), 0);
    host.advance(SECOND);
    host.tick();
    assert!(host.answer(answer(200, &[], "{}")).is_some());
    assert_eq!(
        host.shared
            .number("launchgate_access_log_sent_totalsink=.=otlp;.;"),
        4
    );
}

#[test]
fn refusals_wait_and_final_ones_are_counted() {
    let config = json!({"sinks": [{"cluster": "c", "batch": {"max_records": 2, "max_age": "10ms"}, "retry": {"attempts": 3}}]});
    for (name, answers, expected) in [
        (
            "delivered",
            vec![answer(200, &[], "")],
            json!({"sent_total ": 2, "batches_total delivered": 1}),
        ),
        (
            "refused",
            vec![answer(400, &[], "")],
            json!({"dropped_total refused": 2, "batches_total refused": 1}),
        ),
        (
            "tried again",
            vec![answer(503, &[], ""), answer(200, &[], "{}")],
            json!({"sent_total ": 2, "batches_total delivered": 1, "batches_total retried": 1}),
        ),
        (
            "gave up",
            vec![Answer::NotSent, Answer::Timeout, Answer::Unreachable],
            json!({"dropped_total gave_up": 2, "batches_total retried": 2, "batches_total gave_up": 1}),
        ),
        (
            "partial",
            vec![answer(
                200,
                &[],
                r#"{"partialSuccess":{"rejectedLogRecords":"1"}}"#,
            )],
            json!({"sent_total ": 1, "dropped_total rejected": 1, "batches_total delivered": 1}),
        ),
        (
            "partial in the past",
            vec![answer(
                200,
                &[],
                r#"{"errors":true,"items":[{"create":{"status":201}},{"create":{"status":400,"error":{}}}]}"#,
            )],
            json!({"sent_total ": 1, "dropped_total rejected": 1, "batches_total delivered": 1}),
        ),
        (
            "nonsense",
            vec![answer(
                200,
                &[],
                r#"{"partialSuccess":{"rejectedLogRecords":"99"}}"#,
            )],
            json!({"dropped_total rejected": 2, "batches_total delivered": 1}),
        ),
    ] {
        let mut host = host(&config);
        sunk(&mut host, 2);
        for answer in answers {
            host.advance(Duration::from_secs(60));
            host.tick();
            assert!(host.answer(answer).is_some(), "{name}");
        }
        host.advance(Duration::from_secs(600));
        host.tick();
        assert_eq!(host.calls.len(), 0, "{name}");
        assert_eq!(json!(tally(&host)), expected, "{name}");
    }
}

#[test]
fn retry_after_is_obeyed() {
    let mut host = host(&json!({"sinks": [{"cluster": "c", "batch": {"max_age": "10ms"}}]}));
    sunk(&mut host, 1);
    host.advance(SECOND);
    host.tick();
    let _ = host.answer(answer(429, &[("retry-after", "30")], ""));
    host.advance(Duration::from_secs(29));
    host.tick();
    assert_eq!(host.calls.len(), 0);
    host.advance(Duration::from_secs(32));
    host.tick();
    assert_eq!(host.calls.len(), 1);
}

#[test]
fn ten_minutes_without_a_sink_lose_nothing_that_is_not_counted() {
    let mut host = host(
        &json!({"sinks": [{"cluster": "c", "queue": {"max_bytes": 50_000}, "retry": {"attempts": 5}}]}),
    );
    let mut written = 0;
    for _ in 0..(600 * 4) {
        sunk(&mut host, 25);
        written += 25;
        host.advance(Duration::from_millis(250));
        host.tick();
        if !host.calls.is_empty() {
            let _ = host.answer(Answer::Unreachable);
        }
        let queued = host
            .shared
            .number("launchgate_access_log_queued_bytessink=.=otlp;.;");
        assert!(queued <= 50_000, "{queued}");
    }
    let number = |name: &str| host.shared.number(&format!("launchgate_access_log_{name}"));
    let dropped = number("dropped_totalsink=.=otlp;.;reason=.=queue_full;.;")
        + number("dropped_totalsink=.=otlp;.;reason=.=gave_up;.;");
    assert_eq!(dropped + number("queued_recordssink=.=otlp;.;"), written);
    assert_eq!(number("records_totallevel=.=info;.;"), written);
}

#[test]
fn a_template_serves_loki_and_elasticsearch() {
    let mut host = host(&json!({"service": "svc", "sinks": [
        {"kind": "ndjson", "name": "loki", "cluster": "c", "path": "/loki/api/v1/push", "batch": {"max_age": "10ms"}, "template": {
            "prefix": r#"{"streams":[{"stream":{"service":"%SERVICE%"},"values":["#, "line": r#"["%TIME_NS%",%RECORD_STRING%]"#, "separator": ",", "suffix": "]}]}", "content_type": "application/json"}},
        {"kind": "ndjson", "name": "es", "cluster": "c", "path": "/_bulk", "batch": {"max_age": "10ms"}, "template": {"line": "{\"create\":{}}\n%RECORD%"}},
    ]}));
    sunk(&mut host, 2);
    host.advance(SECOND);
    host.tick();
    let loki = host.answer(answer(204, &[], "")).unwrap();
    let push: Json = serde_json::from_slice(&loki.body).unwrap();
    assert_eq!(push["streams"][0]["stream"], json!({"service": "svc"}));
    let [time, line] = &push["streams"][0]["values"][1].as_array().unwrap()[..] else {
        panic!("a pair")
    };
    assert_eq!(
        (
            time.as_str(),
            serde_json::from_str::<Json>(line.as_str().unwrap()).unwrap()["seq"].as_u64()
        ),
        (Some("1795348800000000000"), Some(2))
    );
    let bulk = String::from_utf8(
        host.answer(answer(200, &[], r#"{"errors":false}"#))
            .unwrap()
            .body,
    )
    .unwrap();
    let lines: Vec<&str> = bulk.split('\n').collect();
    assert_eq!(
        (lines.len(), lines[0], lines[2], lines[4]),
        (5, r#"{"create":{}}"#, r#"{"create":{}}"#, "")
    );
}

#[test]
fn a_storm_gives_a_summary_through_every_way_out() {
    let mut host = host(
        &json!({"storm": {"max_records": 2, "window": "10s"}, "sinks": [{"cluster": "c", "batch": {"max_age": "10ms"}}]}),
    );
    let failed = || get("/x").with_integer(Attribute::ResponseCode, 503);
    for _ in 0..10 {
        host.exchange(&mut failed(), Duration::ZERO);
    }
    host.advance(Duration::from_secs(10));
    host.tick();
    let body: Json =
        serde_json::from_slice(&host.answer(answer(200, &[], "")).unwrap().body).unwrap();
    let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"]
        .as_array()
        .unwrap()
        .clone();
    assert_eq!(
        (records.len(), records[2]["body"]["stringValue"].as_str()),
        (
            3,
            Some("8 errors GET 503 not recorded since 2026-11-22T12:00:00.000Z")
        )
    );
    let mut next = get("/");
    host.exchange(&mut next, Duration::ZERO);
    let lines = String::from_utf8(next.record(KEY).unwrap()).unwrap();
    let read: Vec<Json> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(
        (read.len(), &read[0]["suppressed"], &read[1]["status"]),
        (2, &json!(8), &json!(200))
    );
    assert_eq!(
        host.shared.number("launchgate_access_log_suppressed_total"),
        8
    );
}

#[test]
fn workers_have_names_of_their_own() {
    let shared = Shared::default();
    let names: Vec<Json> = [1, 2]
        .map(|seed| {
            let mut host =
                Host::<Module>::load_with("", &Environment::new(), shared.clone(), seed).unwrap();
            let mut exchange = get("/");
            host.exchange(&mut exchange, Duration::ZERO);
            record(&exchange)["worker"].clone()
        })
        .into();
    assert_ne!(names[0], names[1]);
}

#[test]
fn wrong_values_are_refused_with_their_paths() {
    for (config, message) in [
        (
            r#"{"service": ""}"#,
            r#"service: "": expected 1 to 128 printable ASCII characters without \ and quotes"#,
        ),
        (
            r#"{"hmac_key": "short"}"#,
            "hmac_key: expected at least 16 bytes",
        ),
        (
            r#"{"user_id": {"mode": "hmac"}}"#,
            r#"user_id.mode: "hmac": expected hmac_key beside the mode hmac"#,
        ),
        (
            r#"{"redact": {"query": {"a": "hmac"}}}"#,
            r#"redact.query.a: "hmac": expected hmac_key beside the mode hmac"#,
        ),
        (
            r#"{"hmac_key": "${LOG_HMAC_KEY:-}", "redact": {"cookies": {"a": "hmac"}}}"#,
            r#"redact.cookies.a: "hmac": expected hmac_key beside the mode hmac"#,
        ),
        (
            r#"{"fields": {"status": {"value": "x"}}}"#,
            "fields.status: an object: expected a name that no field of the model has",
        ),
        (
            r#"{"fields": {"a": {}}}"#,
            "fields.a: an object: expected exactly one of header, response_header, attribute, value",
        ),
        (
            r#"{"omit": ["nothing"]}"#,
            r#"omit[0]: "nothing": expected the name of a field of the model such as "referer""#,
        ),
        (
            r#"{"max_line_bytes": 10}"#,
            "max_line_bytes: 10: expected a number from 1024 to 1048576",
        ),
        (
            r#"{"sinks": [{"kind": "otlp"}]}"#,
            "sinks[0].cluster: expected the name of a cluster",
        ),
        (
            r#"{"sinks": [{"cluster": "c"}, {"cluster": "d"}]}"#,
            "sinks[1].name: expected a name that no other sink has",
        ),
        (
            r#"{"sinks": [{"kind": "ndjson", "cluster": "c", "template": {"line": "%NOPE%"}}]}"#,
            r#"sinks[0].template.line: "%NOPE%": expected an operator among RECORD, RECORD_STRING, TIME_NS, TIME_MS, LEVEL, SERVICE"#,
        ),
        (
            r#"{"filter_state_key": ""}"#,
            "expected a key, or at least one sink",
        ),
    ] {
        let found = errors(config);
        assert!(found.contains(message), "{config}\n  {found}\n  {message}");
    }
    assert!(errors(include_str!("../../config.example.json")).is_empty());
}

proptest::proptest! {
    #[test]
    fn any_bytes_give_one_line_of_json(
        values in proptest::collection::vec(proptest::collection::vec(0_u8..=255, 0..80), 8),
        format in proptest::sample::select(vec!["launchgate", "ecs", "otlp"]),
    ) {
        let names = [":path", ":method", ":authority", "user-agent", "referer", "x-request-id", "authorization", "x-tenant"];
        let mut host = host(&json!({"format": format, "user_id": {"jwt": {"source": "header"}}, "fields": {"tenant": {"header": "x-tenant"}}}));
        let mut exchange = Exchange::<Module>::new(&[]).with_integer(Attribute::ResponseCode, 200);
        exchange.facts.request = Headers::from_pairs(names.iter().zip(&values));
        host.exchange(&mut exchange, Duration::ZERO);
        let line = String::from_utf8(exchange.record(KEY).unwrap()).unwrap();
        let broken = line.contains(['\n', '\r', '\0']);
        proptest::prop_assert!(!broken);
        proptest::prop_assert!(serde_json::from_str::<Json>(&line).is_ok(), "{}", line);
    }
}
