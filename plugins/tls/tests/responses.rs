//! What responses get and lose.

#![allow(clippy::panic, reason = "in a test a panic is the message")]

mod support;

use std::time::Duration;

use support::{Gateway, HSTS, all, gateway as load, response};

/// RFC 6797 sections 7.1, 7.2 and 8.1.1.
#[test]
fn hsts_is_sent_once_over_secure_transport_for_names_only() {
    const OWN: &str = "max-age=31536000; includeSubDomains";
    for (config, authority, tls, upstream, expected) in [
        ("{}", "example.org", true, &[][..], &[OWN][..]),
        ("{}", "EXAMPLE.org.:10443", true, &[], &[OWN]),
        ("{}", "example.org", false, &[], &[]),
        ("{}", "example.org", false, &["max-age=5"], &[]),
        ("{}", "192.0.2.1", true, &[], &[]),
        ("{}", "192.0.2.1:443", true, &["max-age=5"], &[]),
        ("{}", "[::1]:443", true, &[], &[]),
        ("{}", "2130706433", true, &[], &[]),
        ("{}", "0x7f.0.0.1", true, &[], &[]),
        ("{}", "", true, &[], &[]),
        ("{}", "example.org", true, &["max-age=5"], &[OWN]),
        (
            "{}",
            "example.org",
            true,
            &["max-age=5", "max-age=6"],
            &[OWN],
        ),
        ("{}", "example.org", true, &[OWN, OWN], &[OWN]),
        (
            r#"{"hsts": {"upstream": "keep"}}"#,
            "example.org",
            true,
            &["max-age=5"],
            &["max-age=5"],
        ),
        (
            r#"{"hsts": {"upstream": "keep"}}"#,
            "example.org",
            true,
            &["max-age=5", "max-age=6"],
            &["max-age=5"],
        ),
        (
            r#"{"hsts": {"upstream": "keep"}}"#,
            "example.org",
            true,
            &[],
            &[OWN],
        ),
        (
            r#"{"hsts": {"upstream": "keep"}}"#,
            "example.org",
            false,
            &["max-age=5"],
            &[],
        ),
        (
            r#"{"hsts": {"enabled": false}}"#,
            "example.org",
            true,
            &[],
            &[],
        ),
        (
            r#"{"hsts": {"enabled": false}}"#,
            "example.org",
            true,
            &["max-age=5"],
            &["max-age=5"],
        ),
        (
            r#"{"hsts": {"enabled": false}}"#,
            "example.org",
            false,
            &["max-age=5"],
            &[],
        ),
        (
            r#"{"hsts": {"kill": true}}"#,
            "example.org",
            true,
            &["max-age=5"],
            &["max-age=0"],
        ),
    ] {
        let fields: Vec<_> = upstream.iter().map(|value| (HSTS, *value)).collect();
        let response = response(&mut load(config), authority, tls, &fields);
        assert_eq!(
            all(&response, HSTS),
            expected,
            "{config} {authority} {tls} {upstream:?}"
        );
    }
}

#[test]
fn the_ramp_follows_the_clock() {
    let mut gateway = load(
        r#"{"hsts": {"max_age": "5m", "include_subdomains": false, "ramp": [{"from": "2026-12-01T00:00:00Z", "max_age": "7d"}]}}"#,
    );
    assert_eq!(
        all(&response(&mut gateway, "a.example", true, &[]), HSTS),
        ["max-age=300"]
    );
    gateway.advance(Duration::from_secs(9 * 86_400));
    assert_eq!(
        all(&response(&mut gateway, "a.example", true, &[]), HSTS),
        ["max-age=604800"]
    );
}

#[test]
fn own_headers_come_before_the_preset_s() {
    let mut gateway = load(
        r#"{"headers": {"set": {"X-Team": "gateway", "server": "gate"}, "add_if_absent": {"X-Frame-Options": "SAMEORIGIN", "x-new": "1"},
            "remove": ["Referrer-Policy", "x-gone"], "keep": ["x-powered-by"]}}"#,
    );
    let upstream = [
        ("x-team", "app"),
        ("x-team", "two"),
        ("referrer-policy", "origin"),
        ("x-gone", "1"),
        ("x-powered-by", "php"),
        ("x-new", "0"),
        ("server", "app"),
        ("x-generator", "cms"),
    ];
    let response = response(&mut gateway, "example.org", true, &upstream);
    for (name, expected) in [
        ("x-team", &["gateway"][..]),
        ("server", &["gate"]),
        ("x-frame-options", &["SAMEORIGIN"]),
        ("x-new", &["0"]),
        ("referrer-policy", &[]),
        ("x-gone", &[]),
        ("x-powered-by", &["php"]),
        ("x-generator", &[]),
    ] {
        assert_eq!(all(&response, name), expected, "{name}");
    }
}

#[test]
fn leaking_headers_go_and_server_gives_one_warning() {
    let upstream = [
        ("server", "nginx/1.2"),
        ("x-powered-by", "PHP"),
        ("x-powered-by", "ASP"),
        ("x-envoy-upstream-service-time", "3"),
        ("content-type", "text/html"),
    ];
    let mut gateway = load("{}");
    let sent = response(&mut gateway, "example.org", true, &upstream);
    for name in ["server", "x-powered-by", "x-envoy-upstream-service-time"] {
        assert_eq!(all(&sent, name), [""; 0], "{name}");
    }
    assert_eq!(all(&sent, "content-type"), ["text/html"]);
    assert_eq!(
        gateway
            .shared
            .number("launchgate_tls_edits_totalkind=.=leak;.;"),
        1
    );
    let warned = |config: &str| {
        load(config)
            .lines
            .iter()
            .filter(|(_, line)| line.contains("PASS_THROUGH"))
            .count()
    };
    assert_eq!(warned("{}"), 1);
    assert_eq!(warned(r#"{"headers": {"server_pass_through": true}}"#), 0);
    assert_eq!(warned(r#"{"headers": {"preset": "none"}}"#), 0);
    assert_eq!(
        warned(r#"{"headers": {"preset": "none", "remove": ["Server"]}}"#),
        1
    );
    assert_eq!(warned(r#"{"headers": {"keep": ["server"]}}"#), 0);
}

#[test]
fn cookies_and_location_are_changed_and_the_rest_is_not() {
    let mut gateway = load(
        r#"{"cookies": {"secure": true, "http_only": true, "same_site": "Lax"}, "headers": {"preset": "none"}}"#,
    );
    let upstream = [
        ("set-cookie", "a=1"),
        ("x-other", "y"),
        ("set-cookie", "b=2; Secure; HttpOnly; SameSite=Strict"),
        ("location", "http://example.org/next"),
    ];
    let sent = response(&mut gateway, "example.org:10443", true, &upstream);
    assert_eq!(
        all(&sent, "set-cookie"),
        [
            "a=1; SameSite=Lax; Secure; HttpOnly",
            "b=2; Secure; HttpOnly; SameSite=Strict"
        ]
    );
    assert_eq!(all(&sent, "location"), ["https://example.org:10443/next"]);
    assert_eq!(all(&sent, "x-other"), ["y"]);

    let plain = response(&mut gateway, "example.org", false, &upstream);
    assert_eq!(all(&plain, "location"), ["http://example.org/next"]);
    let off = response(
        &mut load(r#"{"rewrite_location": false}"#),
        "example.org",
        true,
        &upstream,
    );
    assert_eq!(
        (all(&off, "location"), all(&off, "set-cookie")[0]),
        (vec!["http://example.org/next"], "a=1")
    );
}

/// A second pass over its own output finds nothing to change.
#[test]
fn a_response_that_is_as_it_should_be_is_not_touched() {
    for preset in ["api", "web", "strict"] {
        let mut gateway = load(&format!(
            r#"{{"headers": {{"preset": "{preset}"}}, "cookies": {{"secure": true, "same_site": "Lax"}}}}"#
        ));
        let once = response(
            &mut gateway,
            "example.org",
            true,
            &[("set-cookie", "a=b"), ("server", "x")],
        );
        let edits = |gateway: &Gateway| {
            gateway
                .shared
                .numbers()
                .iter()
                .filter(|(stat, _)| stat.starts_with("launchgate_tls_edits"))
                .map(|(_, count)| count)
                .sum::<u64>()
        };
        let before = edits(&gateway);
        let fields: Vec<(&str, &str)> = once
            .iter()
            .skip(1)
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(
            response(&mut gateway, "example.org", true, &fields),
            once,
            "{preset}"
        );
        assert_eq!(edits(&gateway), before, "{preset}");
    }
}
