//! Who sees more, drain, and the modes.

use super::*;

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
