//! What the endpoints answer.

use super::*;

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
