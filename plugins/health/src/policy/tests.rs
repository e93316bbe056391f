use super::*;
use launchgate_sdk::config::Environment;
use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Attribute, Headers, Member};
use serde_json::Value;

type Gateway = Host<Member<Health>>;

const TWO: &str = r#"{"service": "checkout", "dependencies": [
    {"name": "database", "kind": "http", "cluster": "db-health", "path": "/ping", "authority": "db", "interval": "1s", "timeout": "500ms"},
    {"name": "redis", "kind": "envoy", "cluster": "redis", "admin_cluster": "envoy_admin", "interval": "1s", "required": false}
  ], "details": {"allow": ["127.0.0.0/8"], "token": "details-token-0123"}, "drain": {"token": "drain-token-012345", "allow": ["10.0.0.0/8"]}}"#;

fn response(status: u16, body: &str) -> Answer {
    let headers = Headers::from_pairs([(":status", status.to_string())]);
    Answer::Response {
        status,
        headers,
        body: body.as_bytes().to_vec(),
        trailers: Headers::default(),
    }
}

fn redis(failed: bool) -> Answer {
    let health = format!(r#"{{"failed_active_health_check": {failed}}}"#);
    response(
        200,
        &format!(
            r#"{{"cluster_statuses": [{{"name": "redis", "host_statuses": [{{"health_status": {health}}}]}}]}}"#
        ),
    )
}

fn load(config: &str) -> Gateway {
    Gateway::load(config).unwrap()
}

/// Ticks until calls wait, then answers them all by cluster.
fn check(gateway: &mut Gateway, answer: impl Fn(&str) -> Answer) {
    while gateway.calls.is_empty() {
        gateway.advance(Duration::from_millis(100));
        gateway.tick();
    }
    while let Some((_, call)) = gateway.calls.first() {
        let answer = answer(&call.cluster.clone());
        gateway.answer(answer);
    }
}

fn both(cluster: &str) -> Answer {
    if cluster == "envoy_admin" {
        redis(false)
    } else {
        response(204, "")
    }
}

fn send(gateway: &mut Gateway, exchange: Exchange<Member<Health>>) -> Option<Reply> {
    let mut exchange = exchange;
    match gateway.exchange(&mut exchange, Duration::from_millis(1)) {
        Verdict::Reply(reply) => Some(reply),
        _ => None,
    }
}

fn get(gateway: &mut Gateway, path: &str) -> Option<Reply> {
    send(gateway, Exchange::get(path))
}

fn status(gateway: &mut Gateway, path: &str) -> Option<u16> {
    get(gateway, path).map(|reply| reply.status)
}

fn text(reply: &Reply) -> String {
    String::from_utf8(reply.body.clone()).unwrap()
}

fn json(reply: &Reply) -> Value {
    serde_json::from_slice(&reply.body).unwrap()
}

#[test]
fn without_dependencies_everything_is_healthy_at_once() {
    for config in ["", "{}"] {
        let mut gateway = load(config);
        for path in ["/livez", "/healthz", "/readyz", "/startupz", "/healthz?x=1"] {
            let reply = get(&mut gateway, path).unwrap();
            assert_eq!(
                (reply.status, text(&reply).as_str()),
                (200, r#"{"status":"healthy","timestamp":"2026-11-22T12:00:00.000Z","dependencies":{}}"#).clone(),
                "{path}"
            );
            gateway = load(config);
        }
        assert_eq!(gateway.tick, None, "nothing to check");
    }
}

#[test]
fn the_reply_is_the_one_that_users_know() {
    let mut gateway = load(TWO);
    check(&mut gateway, |cluster| {
        if cluster == "envoy_admin" {
            redis(true)
        } else {
            response(200, "pong")
        }
    });
    let reply = get(&mut gateway, "/healthz").unwrap();
    let expected = r#"{"status":"degraded","timestamp":"2026-11-22T12:00:00.200Z","dependencies":{"database":"connected","redis":"unavailable"}}"#;
    assert_eq!((reply.status, text(&reply).as_str()), (200, expected));
    assert_eq!(reply.first("content-type"), Some(&b"application/json"[..]));
    assert_eq!(reply.first("cache-control"), Some(&b"no-store"[..]));
    assert_eq!(reply.grpc_status, Some(0));
}

#[test]
fn nothing_checked_yet_is_alive_and_not_ready() {
    let mut gateway = load(TWO);
    let states: Vec<_> = [
        "/livez",
        "/healthz",
        "/readyz",
        "/startupz",
        "/readyz/database",
    ]
    .map(|path| status(&mut gateway, path))
    .into();
    assert_eq!(
        states,
        [Some(200), Some(503), Some(503), Some(503), Some(503)]
    );
    assert_eq!(
        json(&get(&mut gateway, "/readyz").unwrap())["dependencies"]["redis"],
        "unknown"
    );
    assert_eq!(
        get(&mut gateway, "/readyz").unwrap().grpc_status,
        Some(14),
        "a gRPC client is not told OK"
    );
}

#[test]
fn only_the_exact_paths_are_answered() {
    let mut gateway = load(TWO);
    check(&mut gateway, both);
    for (path, expected) in [
        ("/livez", Some(200)),
        ("/healthz?verbose", Some(200)),
        ("/healthz/database", Some(200)),
        ("/readyz/redis", Some(200)),
        ("/readyz/nothing", Some(404)),
        ("/readyz/%72edis", Some(404)),
        ("/healthzx", None),
        ("/healthz/", None),
        ("/healthz//", None),
        ("/healthz/../x", None),
        ("/healthz/..", None),
        ("/healthz/%2e%2e", None),
        ("/healthz/a/b", None),
        ("/livez/database", None),
        ("/HEALTHZ", None),
        ("/", None),
        ("", None),
    ] {
        assert_eq!(status(&mut gateway, path), expected, "{path}");
    }
    let odd = Exchange::new(&[(":method", "GET")]).header(":path", b"/healthz\xff\x01");
    assert!(send(&mut gateway, odd).is_none());
}

#[test]
fn other_methods_are_told_which_are_allowed() {
    let mut gateway = load(TWO);
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "get", ""] {
        let reply = send(
            &mut gateway,
            Exchange::new(&[(":method", method), (":path", "/healthz")]),
        )
        .unwrap();
        assert_eq!(
            (reply.status, reply.first("allow")),
            (405, Some(&b"GET, HEAD"[..])),
            "{method}"
        );
    }
    let head = send(
        &mut gateway,
        Exchange::new(&[(":method", "HEAD"), (":path", "/livez")]),
    )
    .unwrap();
    assert_eq!(head.status, 200);
}

#[test]
fn a_state_changes_by_the_thresholds_and_is_counted() {
    let mut gateway = load(TWO);
    check(&mut gateway, both);
    for expected in [200, 200, 503] {
        check(&mut gateway, |cluster| {
            if cluster == "envoy_admin" {
                redis(false)
            } else {
                Answer::Timeout
            }
        });
        assert_eq!(status(&mut gateway, "/readyz"), Some(expected));
    }
    check(&mut gateway, both);
    assert_eq!(
        status(&mut gateway, "/readyz"),
        Some(200),
        "one success is enough"
    );
    let number = |stat: &str| gateway.shared.number(stat);
    assert_eq!(
        number("launchgate_health_checks_totaldependency=.=database;.;result=.=failure;.;"),
        3
    );
    assert_eq!(
        number("launchgate_health_checks_totaldependency=.=database;.;result=.=success;.;"),
        2
    );
    assert_eq!(
        number("launchgate_health_dependency_updependency=.=database;.;"),
        1
    );
    assert_eq!(
        number("launchgate_health_replies_totalendpoint=.=ready;.;status=.=503;.;"),
        1
    );
    let lines: Vec<_> = gateway
        .lines
        .iter()
        .map(|(level, line)| (*level, line.as_str()))
        .filter(|(_, line)| line.contains("database"))
        .collect();
    assert_eq!(
        lines,
        [
            (
                Level::Info,
                "dependency became connected, dependency=database"
            ),
            (
                Level::Warn,
                "dependency became unavailable, dependency=database reason=timeout"
            ),
            (
                Level::Info,
                "dependency became connected, dependency=database"
            ),
        ]
    );
}

#[test]
fn an_old_result_is_unknown_and_on_stale_decides() {
    for (on_stale, expected) in [("degraded", 200), ("unhealthy", 503)] {
        let config = TWO.replacen(
            '{',
            &format!(r#"{{"max_age": "3s", "on_stale": "{on_stale}","#),
            1,
        );
        let mut gateway = load(&config);
        check(&mut gateway, both);
        gateway.advance(Duration::from_millis(2900));
        assert_eq!(
            json(&get(&mut gateway, "/healthz").unwrap())["status"],
            "healthy"
        );
        gateway.advance(Duration::from_millis(200));
        let reply = get(&mut gateway, "/healthz").unwrap();
        assert_eq!(
            (reply.status, &json(&reply)["dependencies"]["database"]),
            (expected, &Value::from("unknown"))
        );
        assert_eq!(status(&mut gateway, "/startupz"), Some(200), "it did start");
    }
}

#[test]
fn the_text_form_is_that_of_kubernetes() {
    let mut gateway = load(TWO);
    check(&mut gateway, |cluster| {
        if cluster == "envoy_admin" {
            redis(true)
        } else {
            Answer::Unreachable
        }
    });
    for (path, status, expected) in [
        (
            "/readyz?verbose",
            503,
            "[-]database failed: reason withheld\n[-]redis failed (optional): reason withheld\nreadyz check failed\n",
        ),
        (
            "/healthz?exclude=database",
            200,
            "[+]database excluded: ok\n[-]redis failed (optional): reason withheld\nhealthz check passed\n",
        ),
        (
            "/healthz?exclude=database&exclude=redis&verbose=1",
            200,
            "[+]database excluded: ok\n[+]redis excluded: ok\nhealthz check passed\n",
        ),
        (
            "/readyz?exclude=database&exclude=n%0aope\"<",
            200,
            "[+]database excluded: ok\n[-]redis failed (optional): reason withheld\nwarn: some health checks cannot be excluded: no matches for \"n%0aope??\"\nreadyz check passed\n",
        ),
        ("/livez?verbose", 200, "[+]ping ok\nlivez check passed\n"),
        (
            "/readyz/redis?verbose",
            503,
            "[-]redis failed (optional): reason withheld\nreadyz/redis check failed\n",
        ),
    ] {
        let reply = get(&mut gateway, path).unwrap();
        assert_eq!(
            (reply.status, text(&reply).as_str()),
            (status, expected),
            "{path}"
        );
        assert_eq!(
            reply.first("content-type"),
            Some(&b"text/plain; charset=utf-8"[..])
        );
    }
    let mut connected = load(TWO);
    check(&mut connected, both);
    let reply = get(&mut connected, "/readyz?exclude=nope").unwrap();
    let expected = "[+]database ok\n[+]redis ok\nwarn: some health checks cannot be excluded: no matches for \"nope\"\nreadyz check passed\n";
    assert_eq!((reply.status, text(&reply).as_str()), (200, expected));
}

#[test]
fn details_are_for_the_entitled_only() {
    let mut gateway = load(TWO);
    check(&mut gateway, |cluster| {
        if cluster == "envoy_admin" {
            redis(false)
        } else {
            response(500, "secret stack trace")
        }
    });
    let from = |address: &str| Exchange::get("/healthz").with(Attribute::SourceAddress, address);
    for (name, exchange, entitled) in [
        ("in a range", from("127.0.0.1:4000"), true),
        ("address out of a header", from("127.0.0.1:0"), false),
        (
            "a forged x-forwarded-for",
            from("192.0.2.7:4000").header("x-forwarded-for", "127.0.0.1"),
            false,
        ),
        (
            "the token",
            from("192.0.2.7:4000").header("authorization", "Bearer details-token-0123"),
            true,
        ),
        (
            "a wrong token",
            from("192.0.2.7:4000").header("authorization", "Bearer details-token-9999"),
            false,
        ),
        ("somebody", from("192.0.2.7:4000"), false),
    ] {
        let body = json(&send(&mut gateway, exchange).unwrap());
        assert_eq!(body.get("details").is_some(), entitled, "{name}");
        assert!(
            !body.to_string().contains("secret"),
            "the body of a dependency is never shown"
        );
        if entitled {
            let details = &body["details"]["database"];
            assert_eq!(
                (&details["reason"], &details["kind"], &body["service"]),
                (&"status_500".into(), &"http".into(), &"checkout".into()),
                "{name}"
            );
        }
    }
    let verbose = Exchange::get("/readyz?verbose").with(Attribute::SourceAddress, "127.0.0.1:4000");
    assert!(
        text(&send(&mut gateway, verbose).unwrap()).starts_with("[-]database failed: status_500\n")
    );
}

#[test]
fn drain_withdraws_readiness_and_nothing_else() {
    let mut gateway = load(TWO);
    check(&mut gateway, both);
    let ask = |method, token: &str, address: &str| {
        let exchange = Exchange::new(&[(":method", method), (":path", "/launchgate/drain")]);
        exchange
            .header("authorization", token)
            .with(Attribute::SourceAddress, address)
    };
    let (token, inside) = ("Bearer drain-token-012345", "10.0.0.1:99");
    for (method, token, address, expected) in [
        ("PUT", "Bearer drain-token-999999", inside, 404),
        ("PUT", token, "192.0.2.1:99", 404),
        ("GET", "", inside, 404),
        ("POST", token, inside, 405),
        ("GET", token, inside, 200),
    ] {
        assert_eq!(
            send(&mut gateway, ask(method, token, address))
                .unwrap()
                .status,
            expected,
            "{method} {token} {address}"
        );
        assert_eq!(status(&mut gateway, "/readyz"), Some(200));
    }
    assert_eq!(
        gateway
            .shared
            .number("launchgate_health_drain_refused_total"),
        3
    );

    assert_eq!(
        text(&send(&mut gateway, ask("PUT", token, inside)).unwrap()),
        r#"{"draining":true}"#
    );
    assert_eq!(
        [
            status(&mut gateway, "/readyz"),
            status(&mut gateway, "/livez"),
            status(&mut gateway, "/startupz")
        ],
        [Some(503), Some(200), Some(200)]
    );
    assert_eq!(
        json(&get(&mut gateway, "/healthz").unwrap())["draining"],
        true
    );
    assert_eq!(gateway.shared.number("launchgate_health_draining"), 1);
    assert!(
        text(&get(&mut gateway, "/readyz?verbose").unwrap())
            .contains("[-]drain failed: draining\nreadyz check failed")
    );

    assert_eq!(
        text(&send(&mut gateway, ask("DELETE", token, inside)).unwrap()),
        r#"{"draining":false}"#
    );
    assert_eq!(status(&mut gateway, "/readyz"), Some(200));
    let mut without = load("{}");
    assert!(
        send(&mut without, ask("PUT", token, inside)).is_none(),
        "without a token there is no endpoint"
    );
}

#[test]
fn report_changes_nothing_and_off_sees_nothing() {
    let with_mode = |mode| TWO.replacen('{', &format!(r#"{{"mode": "{mode}","#), 1);
    let mut report = load(&with_mode("report"));
    check(&mut report, both);
    assert_eq!(
        (
            status(&mut report, "/healthz"),
            status(&mut report, "/livez")
        ),
        (None, None)
    );
    let drain = Exchange::new(&[(":method", "PUT"), (":path", "/launchgate/drain")]);
    assert!(
        send(
            &mut report,
            drain
                .header("authorization", "Bearer drain-token-012345")
                .with(Attribute::SourceAddress, "10.0.0.1:9")
        )
        .is_none()
    );
    assert!(
        report
            .shared
            .values()
            .keys()
            .all(|key| !key.contains("drain")),
        "report does not drain"
    );
    assert_eq!(
        report
            .shared
            .number("launchgate_health_would_reply_totalendpoint=.=ready;.;"),
        1
    );
    let mut off = load(&with_mode("off"));
    off.tick();
    assert_eq!((status(&mut off, "/healthz"), off.calls.len()), (None, 0));
    let mut scoped = load(r#"{"scope": {"hosts": ["health.example.org"]}}"#);
    assert_eq!(status(&mut scoped, "/healthz"), None);
}

#[test]
fn eight_workers_make_one_check_an_interval() {
    let shared = Shared::default();
    let worker = |seed| Gateway::load_with(TWO, &Environment::new(), shared.clone(), seed).unwrap();
    let mut workers: Vec<Gateway> = (1..=9).map(worker).collect();
    let mut by_worker = [0; 9];
    let mut run = |workers: &mut Vec<Gateway>, millis: usize| {
        let mut checks = 0;
        for step in 0..millis / 10 {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.advance(Duration::from_millis(10));
                // Each ticks five times a second at a phase of its own.
                if step % 20 == index * 2 {
                    worker.tick();
                }
                while let Some((_, call)) = worker.calls.first() {
                    checks += usize::from(call.cluster == "db-health");
                    by_worker[index] += 1;
                    let answer = both(&call.cluster.clone());
                    worker.answer(answer);
                }
            }
        }
        checks
    };
    assert!((1..=2).contains(&run(&mut workers, 1000)));
    let checks = run(&mut workers, 20_000);
    assert!(
        (19..=21).contains(&checks),
        "{checks} checks in 20 intervals"
    );
    let holder = (0..9).find(|index| by_worker[*index] > 0).unwrap();
    assert_eq!(
        by_worker.iter().filter(|count| **count > 0).count(),
        1,
        "one holder makes all checks: {by_worker:?}"
    );
    workers.remove(holder);
    let run = |workers: &mut Vec<Gateway>| {
        (0..300).find(|step| {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.advance(Duration::from_millis(10));
                if step % 20 == index * 2 {
                    worker.tick();
                }
            }
            workers.iter().any(|worker| !worker.calls.is_empty())
        })
    };
    let steps = run(&mut workers).expect("another worker takes over within 3 intervals");
    assert!(steps <= 180, "after {steps}0 ms");
}

#[test]
fn every_worker_answers_from_the_shared_record() {
    let shared = Shared::default();
    let mut first = Gateway::load_with(TWO, &Environment::new(), shared.clone(), 1).unwrap();
    let mut second = Gateway::load_with(TWO, &Environment::new(), shared, 2).unwrap();
    check(&mut first, both);
    second.now = first.now;
    assert_eq!(
        (status(&mut second, "/healthz"), second.calls.len()),
        (Some(200), 0)
    );
}

#[test]
fn passive_dependencies_are_judged_by_live_traffic() {
    let config = r#"{"dependencies": [{"name": "pay", "kind": "passive", "cluster": "payments", "interval": "1s", "failure_threshold": 1, "min_requests": 4}]}"#;
    let mut gateway = load(config);
    let window = |gateway: &mut Gateway, answers: &[(&str, &str, u64)]| {
        for (cluster, code, flags) in answers {
            let exchange = Exchange::get("/pay")
                .respond(&[(":status", code)])
                .with(Attribute::ClusterName, cluster);
            let exchange = exchange
                .with_integer(Attribute::ResponseFlags, *flags)
                .with_integer(Attribute::ResponseCode, code.parse().unwrap());
            let reached = if *flags == 0 { "192.0.2.9:80" } else { "" };
            send(gateway, exchange.with(Attribute::UpstreamAddress, reached));
        }
        for _ in 0..12 {
            gateway.advance(Duration::from_millis(100));
            gateway.tick();
        }
        status(gateway, "/readyz")
    };
    assert_eq!(status(&mut gateway, "/readyz"), Some(503), "not judged yet");
    assert_eq!(
        window(&mut gateway, &[]),
        Some(200),
        "no traffic is no evidence"
    );
    assert_eq!(
        window(&mut gateway, &[("payments", "500", 0); 3]),
        Some(200),
        "too few"
    );
    assert_eq!(
        window(&mut gateway, &[("other", "500", 0); 9]),
        Some(200),
        "another cluster"
    );
    assert_eq!(
        window(&mut gateway, &[("payments", "503", 1 << 11); 9]),
        Some(200),
        "a rate limit of the gateway's own"
    );
    assert_eq!(
        window(&mut gateway, &[("payments", "503", 1 << 5); 4]),
        Some(503),
        "connection failures"
    );
    assert_eq!(
        window(
            &mut gateway,
            &[
                ("payments", "200", 0),
                ("payments", "404", 0),
                ("payments", "500", 0),
                ("payments", "200", 0)
            ]
        ),
        Some(200)
    );
    assert_eq!(
        gateway
            .shared
            .number("launchgate_health_observed_totaldependency=.=pay;.;result=.=failure;.;"),
        8
    );
}

#[test]
fn every_mistake_of_a_config_is_named_at_once() {
    let config = r#"{"dependencies": [
        {"name": "a b", "kind": "http", "cluster": "", "interval": "1ms", "service": "x", "expected_status": [700]},
        {"name": "x", "kind": "envoy", "cluster": "c", "path": "/", "failure_threshold": 0, "timeout": "2h"},
        {"name": "x", "kind": "passive", "cluster": "c", "timeout": "1s"}],
        "paths": {"live": ["/livez", "livez"], "ready": ["/livez", "/r/"]}, "details": {"token": "hunter2"}, "drain": {"path": "/startupz"}}"#;
    let message = Gateway::load(config).err().unwrap().to_string();
    for expected in [
        r#"paths.live[1]: "livez": expected a path"#,
        r#"paths.ready[0]: "/livez": expected a path of its own"#,
        r#"paths.ready[1]: "/r/": expected a path"#,
        r#"drain.path: "/startupz": expected a path of its own"#,
        r#"dependencies[0].name: "a b": expected 1 to 64 letters"#,
        r#"dependencies[0].cluster: "": expected the name"#,
        r#"dependencies[0].interval: "1ms": expected 50ms to 1h"#,
        r#"dependencies[0].service: "x": expected no such key for this kind"#,
        r#"dependencies[0].expected_status[0]: 700: expected 100 to 599"#,
        r#"dependencies[1].admin_cluster: expected the cluster"#,
        r#"dependencies[1].path: "/": expected no such key"#,
        r#"dependencies[1].failure_threshold: 0: expected 1 to 1000"#,
        r#"dependencies[1].timeout: "2h": expected 1ms to 1m"#,
        r#"dependencies[2].name: "x": expected a name of its own"#,
        r#"dependencies[2].timeout: "1s": expected no such key"#,
        r#"details.token: expected at least 16"#,
    ] {
        assert!(message.contains(expected), "{expected}\nin {message}");
    }
    assert!(
        !message.contains("hunter2") && !message.contains('\n'),
        "{message}"
    );
    let unknown = Gateway::load(
        r#"{"dependencies": [{"name": "a", "kind": "tcp", "cluster": "c"}], "max_age": "5 s"}"#,
    )
    .err()
    .unwrap()
    .to_string();
    assert!(
        unknown.contains(r#"dependencies[0].kind: "tcp": expected one of"#)
            && unknown.contains(r#"max_age: "5 s""#),
        "{unknown}"
    );
}

#[test]
fn surprising_settings_are_said_at_load() {
    let gateway = load(&TWO.replacen('{', r#"{"max_age": "500ms","#, 1));
    let lines: Vec<_> = gateway
        .lines
        .iter()
        .map(|(_, line)| line.as_str())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        "dependency database is checked less often than max_age: it counts as unknown in between"
    );
}
