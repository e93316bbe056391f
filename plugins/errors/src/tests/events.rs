//! What an event says, and what it never says.

use super::*;

fn only_event(config: &str, exchange: Exchange<Member<Errors>>) -> Value {
    let mut proxy = Proxy::start(1, config);
    run(&mut proxy.workers[0], exchange);
    proxy.pass_well(2, 250);
    let [event] = &proxy.items("event")[..] else {
        panic!("one event, got {}", proxy.items("event").len())
    };
    event.clone()
}

#[test]
fn an_event_has_what_sentry_wants_to_know() {
    let config = format!(
        r#"{DSN}, "routes": ["/users/{{id}}"], "tags": {{"team": "a"}}, "server_name": "gw-1", "dist": "7""#
    );
    let exchange = failing("/users/42?page=2", "503")
        .header("accept", "text/html")
        .with_integer(Attribute::ResponseFlags, 0)
        .with(Attribute::ResponseCodeDetails, "via_upstream")
        .with_integer(Attribute::UpstreamAttempts, 3);
    let event = only_event(&config, exchange);
    for (pointer, expected) in [
        ("/platform", "other"),
        ("/level", "error"),
        ("/timestamp", "2026-11-22T12:00:00.001Z"),
        ("/environment", "production"),
        ("/release", "v1.2.3"),
        ("/dist", "7"),
        ("/server_name", "gw-1"),
        ("/transaction", "GET /users/{id}"),
        ("/request/method", "GET"),
        ("/request/url", "http://example.org/users/42"),
        ("/request/query_string", "page=2"),
        ("/request/headers/accept", "text/html"),
        ("/exception/values/0/type", "HTTP 503"),
        (
            "/exception/values/0/value",
            "GET /users/{id} ended with HTTP 503",
        ),
        ("/tags/http.status_code", "503"),
        ("/tags/http.route", "/users/{id}"),
        ("/tags/envoy.cluster", "app"),
        ("/tags/team", "a"),
        ("/contexts/trace/op", "http.server"),
        ("/contexts/trace/status", "unavailable"),
        ("/contexts/gateway/code_details", "via_upstream"),
    ] {
        assert_eq!(
            event.pointer(pointer).and_then(Value::as_str),
            Some(expected),
            "{pointer} in {event}"
        );
    }
    assert_eq!(event["contexts"]["response"]["status_code"], 503);
    assert_eq!(event["contexts"]["gateway"]["attempts"], 3);
    assert_eq!(
        event["exception"]["values"][0]["mechanism"]["handled"],
        false
    );
    assert_eq!(
        event["fingerprint"],
        serde_json::json!(["gateway", "GET", "/users/{id}", "503", ""])
    );
    assert_eq!(event.get("user"), None, "no personal data by default");
}

#[test]
fn an_exchange_is_a_failure_by_status_code_or_duration_and_a_client_that_left_is_none() {
    let grpc = |code: &str| {
        let request = [
            (":method", "POST"),
            (":path", "/svc/M"),
            (":authority", "h"),
            ("content-type", "application/grpc"),
        ];
        let mut exchange =
            Exchange::<Member<Errors>>::new(&request).with_integer(Attribute::ResponseCode, 200);
        exchange.facts.trailers = Headers::from_pairs([("grpc-status", code)]);
        exchange
    };
    let took = |seconds: u64, exchange| (exchange, Duration::from_secs(seconds));
    let at_once = |exchange| took(0, exchange);
    let aborted = Exchange::get("/").with_integer(Attribute::ResponseFlags, 1 << 14);
    let event_stream =
        failing("/", "200").respond(&[(":status", "200"), ("content-type", "text/event-stream")]);
    for (name, (exchange, duration), failures) in [
        ("a 500", at_once(failing("/", "500")), 1),
        ("a 599", at_once(failing("/", "599")), 1),
        ("a 404 is none", at_once(failing("/", "404")), 0),
        ("a 499 is none", at_once(failing("/", "499")), 0),
        ("an abort is none", at_once(aborted), 0),
        (
            "a long abort is none",
            took(
                60,
                failing("/", "200").with_integer(Attribute::ResponseFlags, 1 << 14),
            ),
            0,
        ),
        ("gRPC unavailable", at_once(grpc("14")), 1),
        ("gRPC not found is none", at_once(grpc("5")), 0),
        ("gRPC nonsense is none", at_once(grpc("x")), 0),
        ("a long gRPC stream is none", took(60, grpc("0")), 0),
        (
            "a grpc-status of plain HTTP is none",
            at_once(failing("/", "200").respond(&[(":status", "200"), ("grpc-status", "14")])),
            0,
        ),
        ("a slow one", took(10, failing("/", "200")), 1),
        ("just below slow", took(9, failing("/", "200")), 0),
        ("an upgrade is not slow", took(60, failing("/", "101")), 0),
        ("an event stream is not slow", took(60, event_stream), 0),
        ("an ignored path", at_once(failing("/livez", "500")), 0),
        (
            "an ignored path that is ambiguous is not ignored",
            at_once(failing("/x/../livez", "500")),
            1,
        ),
        (
            "an ignored host",
            at_once(failing("/", "500").header(":authority", "x")),
            1,
        ),
        (
            "the own call to Sentry by cluster",
            at_once(failing("/", "500").with(Attribute::ClusterName, "sentry")),
            0,
        ),
        (
            "the own call to Sentry by address",
            at_once({
                let request = [
                    (":method", "POST"),
                    (":path", "/api/7/envelope/"),
                    (":authority", "o1.ingest.example"),
                ];
                Exchange::new(&request).with_integer(Attribute::ResponseCode, 500)
            }),
            0,
        ),
    ] {
        let config = format!(
            r#"{DSN}, "report": {{"slower_than": "10s"}}, "ignore": [{{"path": "/livez"}}]"#
        );
        let mut proxy = Proxy::start(1, &config);
        let mut exchange = exchange;
        proxy.workers[0].exchange(&mut exchange, duration);
        proxy.pass_well(2, 250);
        assert_eq!(proxy.items("event").len(), failures, "{name}");
    }
}

#[test]
fn no_secret_leaves_the_gateway() {
    const SECRET: &str = "hunter2";
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJodW50ZXIyIn0.c2lnbmF0dXJl";
    let path = format!(
        "/reset/{SECRET}/x/{jwt}?token={SECRET}&%74oken={SECRET}&page=1&next=https%3A%2F%2Fu%3A{SECRET}%40h%2F%3Fpassword%3D{SECRET}&X-Amz-Signature={SECRET}"
    );
    let mut exchange = failing(&path, "500");
    for (name, value) in [
        ("authorization", "Bearer hunter2".to_owned()),
        ("proxy-authorization", "Basic hunter2".to_owned()),
        (
            "cookie",
            "session=hunter2; theme=hunter2; hunter2".to_owned(),
        ),
        ("x-api-key", SECRET.to_owned()),
        ("x-csrf-token", SECRET.to_owned()),
        ("x-amz-security-token", SECRET.to_owned()),
        ("x-my-secret-thing", SECRET.to_owned()),
        ("x-internal", SECRET.to_owned()),
        ("x-forwarded-for", "203.0.113.99".to_owned()),
        ("x-real-ip", "203.0.113.99".to_owned()),
        ("forwarded", "for=203.0.113.99".to_owned()),
        ("x-user-id", "anna@example.org".to_owned()),
        ("referer", format!("https://u:{SECRET}@h/?token={SECRET}")),
        ("x-note", format!("Bearer {jwt}")),
        ("user-agent", "curl/8 anna@example.org".to_owned()),
    ] {
        exchange = exchange.header(name, value);
    }
    let answer = [
        (":status", "500"),
        ("set-cookie", "sid=hunter2; Path=/"),
        ("location", "/x?access_token=hunter2"),
        ("x-auth", "hunter2"),
    ];
    let exchange = exchange
        .respond(&answer)
        .with(Attribute::SourceAddress, "203.0.113.99:5000");
    let notifier = r#""notifiers": {"ops": {"cluster": "ops"}}, "alerts": [{"name": "new", "when": {"kind": "first_seen"}, "notify": ["ops"]}, {"name": "vip", "when": {"kind": "match", "header": "x-user-id"}, "notify": ["ops"]}]"#;
    let config = format!(
        r#"{DSN}, "scrub": {{"headers": ["x-internal"], "paths": ["/reset/*"]}}, "user": {{"header": "x-user-id"}}, "traces_sample_rate": 1, {notifier}"#
    );
    let mut proxy = Proxy::start(1, &config);
    run(&mut proxy.workers[0], exchange);
    proxy.pass_well(4, 250);
    assert_eq!(
        (
            proxy.items("event").len(),
            proxy.items("transaction").len(),
            proxy.notices().len()
        ),
        (1, 1, 2)
    );
    for call in &proxy.sent {
        let body = String::from_utf8_lossy(&call.body);
        for secret in [
            SECRET,
            "203.0.113.99",
            "anna@example.org",
            jwt,
            "c2lnbmF0dXJl",
        ] {
            assert!(!body.contains(secret), "{secret} in {body}");
        }
    }
    for (_, line) in &proxy.workers[0].lines {
        assert!(!line.contains(SECRET) && !line.contains("k3y"), "{line}");
    }
    let event = &proxy.items("event")[0];
    assert_eq!(event["request"]["headers"]["authorization"], "[Filtered]");
    assert_eq!(
        event["request"]["cookies"],
        serde_json::json!({"session": "[Filtered]", "theme": "[Filtered]", "[Filtered]": "[Filtered]"})
    );
    assert!(
        event["request"]["query_string"]
            .as_str()
            .unwrap()
            .contains("token=[Filtered]"),
        "the name stays: {event}"
    );
    assert_eq!(
        event["user"]["id"].as_str().unwrap().len(),
        32,
        "a hash names the user"
    );
}

#[test]
fn personal_data_is_sent_where_it_is_asked_for_and_the_denylist_holds() {
    let config = format!(
        r#"{DSN}, "send_default_pii": true, "user": {{"header": "x-user-id", "send": "plain"}}"#
    );
    let exchange = failing("/", "500")
        .header("cookie", "theme=dark; session=hunter2")
        .header("x-forwarded-for", "203.0.113.99")
        .header("x-user-id", "42")
        .header("authorization", "hunter2");
    let event = only_event(&config, exchange);
    assert_eq!(
        event["user"],
        serde_json::json!({"id": "42", "ip_address": "192.0.2.1"})
    );
    assert_eq!(
        event["request"]["cookies"],
        serde_json::json!({"theme": "dark", "session": "[Filtered]"})
    );
    assert_eq!(
        event["request"]["headers"]["x-forwarded-for"],
        "203.0.113.99"
    );
    assert_eq!(event["request"]["headers"]["authorization"], "[Filtered]");
}

#[test]
fn an_address_from_a_header_is_no_address() {
    let config =
        |trust: bool| format!(r#"{DSN}, "send_default_pii": true, "trust_envoy_xff": {trust}"#);
    let forged = || failing("/", "500").with(Attribute::SourceAddress, "10.0.0.1:0");
    assert_eq!(only_event(&config(false), forged()).get("user"), None);
    assert_eq!(
        only_event(&config(true), forged())["user"]["ip_address"],
        "10.0.0.1"
    );
}

#[test]
fn hostile_bytes_stop_nothing_and_an_event_stays_small() {
    let every: Vec<u8> = (1..=255)
        .filter(|byte| !matches!(byte, b'\r' | b'\n'))
        .collect();
    let mut exchange = failing("/", "500")
        .header(":path", &every)
        .header(":path", [b"/".as_slice(), &every].concat())
        .header("x-odd", &every)
        .header("x-odd", &every)
        .header("x-empty", "");
    for number in 0..300 {
        exchange = exchange.header(&format!("x-{number}"), vec![0xff; 4000]);
    }
    exchange = exchange
        .header("cookie", &every)
        .header("sentry-trace", &every)
        .header("baggage", &every)
        .header("traceparent", &every)
        .header("x-user-id", &every);
    let config = format!(r#"{DSN}, "user": {{"header": "x-user-id"}}, "traces_sample_rate": 1"#);
    let event = only_event(&config, exchange);
    assert!(
        event.to_string().len() < 256 * 1024,
        "{}",
        event.to_string().len()
    );
    assert!(event["request"]["headers"].as_object().unwrap().len() <= 64);

    let mut proxy = Proxy::start(1, &config);
    run(
        &mut proxy.workers[0],
        Exchange::new(&[]).with_integer(Attribute::ResponseCode, 503),
    );
    proxy.pass_well(2, 250);
    assert_eq!(
        proxy.items("event").len(),
        1,
        "an exchange without request headers is reported too"
    );
}

#[test]
fn rules_drop_and_change_events() {
    let rules = r#""rules": [
        {"when": {"path": "/noise/"}, "drop": true},
        {"when": {"statuses": [501]}, "level": "info", "tags": {"kind": "todo"}, "fingerprint": ["not-implemented"]},
        {"when": {"header": "x-probe", "values": ["1"]}, "sample_rate": 0}]"#;
    let mut proxy = Proxy::start(1, &format!("{DSN}, {rules}"));
    for exchange in [
        failing("/noise/1", "500"),
        failing("/a", "501"),
        failing("/b", "500").header("x-probe", "1"),
        failing("/c", "500").header("x-probe", "2"),
    ] {
        run(&mut proxy.workers[0], exchange);
    }
    proxy.pass_well(2, 250);
    let events = proxy.items("event");
    assert_eq!(events.len(), 2);
    let changed = events
        .iter()
        .find(|event| event["level"] == "info")
        .unwrap();
    assert_eq!(
        (&changed["tags"]["kind"], &changed["fingerprint"]),
        (&"todo".into(), &serde_json::json!(["not-implemented"]))
    );
    proxy.pass_well(1, 30_000);
    assert_eq!(
        (
            proxy.losses("before_send", "error"),
            proxy.losses("sample_rate", "error")
        ),
        (1, 1)
    );
}

#[test]
fn a_continued_trace_is_in_event_and_transaction() {
    let config = format!(r#"{DSN}, "traces_sample_rate": 0, "routes": ["/users/{{id}}"]"#);
    let mut proxy = Proxy::start(1, &config);
    let traced = failing("/users/1", "500").header("sentry-trace", "771a43a4192642f0b136d5159a501700-7c2e2d1b5a0a4e8f-1").header("baggage", "sentry-trace_id=771a43a4192642f0b136d5159a501700,sentry-public_key=k,sentry-sample_rate=0.5");
    run(&mut proxy.workers[0], traced);
    run(&mut proxy.workers[0], failing("/users/1", "200"));
    proxy.pass_well(3, 250);
    let ([event], [transaction]) = (&proxy.items("event")[..], &proxy.items("transaction")[..])
    else {
        panic!("one of each")
    };
    for payload in [event, transaction] {
        assert_eq!(
            payload["contexts"]["trace"]["trace_id"],
            "771a43a4192642f0b136d5159a501700"
        );
        assert_eq!(
            payload["contexts"]["trace"]["parent_span_id"],
            "7c2e2d1b5a0a4e8f"
        );
    }
    assert_eq!(
        (
            &transaction["type"],
            &transaction["transaction"],
            &transaction["transaction_info"]["source"]
        ),
        (
            &"transaction".into(),
            &"GET /users/{id}".into(),
            &"route".into()
        )
    );
    assert_eq!(
        (&transaction["start_timestamp"], &transaction["timestamp"]),
        (
            &"2026-11-22T12:00:00.000Z".into(),
            &"2026-11-22T12:00:00.001Z".into()
        )
    );
    let header: Value = serde_json::from_slice(
        proxy.sent[1]
            .body
            .split(|byte| *byte == b'\n')
            .next()
            .unwrap(),
    )
    .unwrap();
    assert_eq!(
        header["trace"]["public_key"], "k",
        "the caller's context is passed on"
    );
    proxy.pass_well(1, 30_000);
    assert_eq!(
        (
            proxy.losses("sample_rate", "transaction"),
            proxy.losses("sample_rate", "span")
        ),
        (1, 1),
        "rate 0 is not unset"
    );
}
