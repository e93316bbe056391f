//! What responses get and lose.

#![allow(clippy::panic, reason = "in a test a panic is the message")]

use std::time::Duration;

use launchgate_sdk::fake::{Exchange, Host};
use launchgate_sdk::{Attribute, Member};
use launchgate_tls::Tls;

type Gateway = Host<Member<Tls>>;

fn load(config: &str) -> Gateway {
    Host::load(config).unwrap_or_else(|errors| panic!("{config}: {errors}"))
}

/// The response to a request for a host, over TLS or not, that passes.
fn response(
    gateway: &mut Gateway,
    authority: &str,
    tls: bool,
    upstream: &[(&str, &str)],
) -> Vec<(String, String)> {
    let mut fields = vec![(":status", "200")];
    fields.extend(upstream);
    let mut exchange: Exchange<Member<Tls>> = Exchange::new(&[
        (":method", "GET"),
        (":path", "/healthz"),
        (":authority", authority),
    ])
    .respond(&fields);
    if tls {
        exchange = exchange.with(Attribute::TlsVersion, "TLSv1.3");
    }
    gateway.exchange(&mut exchange, Duration::ZERO);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    exchange
        .facts
        .response
        .iter()
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

fn all<'a>(response: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    response
        .iter()
        .filter(|(own, _)| own == name)
        .map(|(_, value)| value.as_str())
        .collect()
}

const HSTS: &str = "strict-transport-security";

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
fn every_preset_adds_what_is_missing_once() {
    for (preset, names) in [
        (
            "api",
            &[
                "content-security-policy",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
                "cross-origin-resource-policy",
            ][..],
        ),
        (
            "web",
            &[
                "content-security-policy",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
                "cross-origin-opener-policy",
                "cross-origin-resource-policy",
                "x-permitted-cross-domain-policies",
            ],
        ),
        (
            "strict",
            &[
                "content-security-policy",
                "x-content-type-options",
                "x-frame-options",
                "referrer-policy",
                "cross-origin-opener-policy",
                "cross-origin-embedder-policy",
                "cross-origin-resource-policy",
                "permissions-policy",
                "cache-control",
                "x-dns-prefetch-control",
                "x-permitted-cross-domain-policies",
            ],
        ),
        ("none", &[]),
    ] {
        let mut gateway = load(&format!(r#"{{"headers": {{"preset": "{preset}"}}}}"#));
        for tls in [true, false] {
            let response = response(&mut gateway, "example.org", tls, &[]);
            let added: Vec<&str> = response
                .iter()
                .map(|(name, _)| name.as_str())
                .filter(|name| !matches!(*name, ":status" | HSTS))
                .collect();
            assert_eq!(added, names, "{preset} {tls}");
        }
    }
}

/// What Mozilla's HTTP Observatory looks at (its rules of 2026-08): a policy without `unsafe` whose `default-src` is `'none'`
/// alone, framing forbidden by it, a private referrer policy, and for isolation the three cross-origin policies.
#[test]
fn observatory_s_rules_hold_for_api_and_strict() {
    for preset in ["api", "strict"] {
        let response = response(
            &mut load(&format!(r#"{{"headers": {{"preset": "{preset}"}}}}"#)),
            "example.org",
            true,
            &[],
        );
        let [policy] = all(&response, "content-security-policy")[..] else {
            panic!("one policy")
        };
        let directives: Vec<Vec<&str>> = policy
            .split(';')
            .map(|directive| directive.split_whitespace().collect())
            .collect();
        let names: std::collections::BTreeSet<&str> =
            directives.iter().map(|directive| directive[0]).collect();
        assert_eq!(names.len(), directives.len(), "no directive twice");
        assert!(directives.contains(&vec!["default-src", "'none'"]));
        assert!(directives.contains(&vec!["frame-ancestors", "'none'"]));
        for directive in &directives {
            assert!(
                directive[1..]
                    .iter()
                    .all(|source| matches!(*source, "'none'" | "'self'")),
                "{directive:?}"
            );
        }
        assert_eq!(all(&response, "referrer-policy"), ["no-referrer"]);
        assert_eq!(all(&response, "x-content-type-options"), ["nosniff"]);
        assert_eq!(all(&response, "x-frame-options"), ["DENY"]);
        assert_eq!(
            all(&response, "cross-origin-resource-policy"),
            ["same-origin"]
        );
        assert_eq!(
            all(&response, HSTS),
            ["max-age=31536000; includeSubDomains"]
        );
        if preset == "strict" {
            assert_eq!(
                all(&response, "cross-origin-opener-policy"),
                ["same-origin"]
            );
            assert_eq!(
                all(&response, "cross-origin-embedder-policy"),
                ["require-corp"]
            );
        }
    }
}

#[test]
fn an_upstream_s_own_policy_stays_where_it_is_one() {
    for (name, upstream, expected) in [
        (
            "content-security-policy",
            &["default-src 'self'"][..],
            &["default-src 'self'"][..],
        ),
        (
            "content-security-policy",
            &["default-src 'self'", "script-src 'self'"],
            &["default-src 'self'", "script-src 'self'"],
        ),
        (
            "content-security-policy",
            &["default-src 'self'", "default-src 'self'"],
            &["default-src 'self'"],
        ),
        ("x-content-type-options", &["nosniff"], &["nosniff"]),
        (
            "x-content-type-options",
            &["nosniff", "nosniff"],
            &["nosniff"],
        ),
        (
            "x-content-type-options",
            &["nosniff, nosniff"],
            &["nosniff"],
        ),
        ("x-content-type-options", &["none"], &["nosniff"]),
        ("x-frame-options", &["SAMEORIGIN"], &["SAMEORIGIN"]),
        ("x-frame-options", &["DENY", "DENY"], &["DENY"]),
        ("x-frame-options", &["SAMEORIGIN", "DENY"], &["DENY"]),
        (
            "x-frame-options",
            &["ALLOW-FROM https://a.example"],
            &["DENY"],
        ),
        (
            "cross-origin-resource-policy",
            &["cross-origin"],
            &["cross-origin"],
        ),
        ("cross-origin-resource-policy", &["bogus"], &["same-origin"]),
        ("referrer-policy", &["origin"], &["origin"]),
    ] {
        let fields: Vec<_> = upstream.iter().map(|value| (name, *value)).collect();
        assert_eq!(
            all(
                &response(&mut load("{}"), "example.org", true, &fields),
                name
            ),
            expected,
            "{name} {upstream:?}"
        );
    }
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
