//! Whose word counts.

mod support;

use std::time::Duration;

use launchgate_sdk::Attribute;
use launchgate_sdk::fake::{Host, Shared};

use support::{Gateway, gateway, outcome, over_tls, request};

/// Only the connection proves TLS, or the last value of a proven trusted proxy.
#[test]
fn x_forwarded_proto_counts_from_the_right_and_from_trusted_peers_only() {
    const TRUSTED: &str = r#"{"trusted_proxies": ["10.0.0.0/8", "fd00::/8"]}"#;
    for (name, source, values, secure, untrusted) in [
        (
            "the proxy says https",
            "10.0.0.9:4711",
            &["https"][..],
            true,
            0,
        ),
        ("in capitals", "10.0.0.9:4711", &["HTTPS"], true, 0),
        ("wss", "10.0.0.9:4711", &["wss"], true, 0),
        ("an IPv6 proxy", "[fd00::1]:4711", &["https"], true, 0),
        (
            "an IPv4-mapped proxy",
            "[::ffff:10.0.0.9]:4711",
            &["https"],
            true,
            0,
        ),
        ("the proxy says http", "10.0.0.9:4711", &["http"], false, 0),
        ("the proxy says ws", "10.0.0.9:4711", &["ws"], false, 0),
        (
            "the proxy says nonsense",
            "10.0.0.9:4711",
            &["bar"],
            false,
            0,
        ),
        ("the proxy says nothing", "10.0.0.9:4711", &[], false, 0),
        ("an empty value", "10.0.0.9:4711", &[""], false, 0),
        (
            "forged in front of the proxy's field",
            "10.0.0.9:4711",
            &["https", "http"],
            false,
            0,
        ),
        (
            "forged in front of the proxy's value",
            "10.0.0.9:4711",
            &["https, http"],
            false,
            0,
        ),
        (
            "a plaintext hop further away",
            "10.0.0.9:4711",
            &["http", "https"],
            true,
            0,
        ),
        (
            "the last of a list",
            "10.0.0.9:4711",
            &["http, https"],
            true,
            0,
        ),
        ("an empty element", "10.0.0.9:4711", &["https,"], true, 0),
        (
            "a stranger says https",
            "192.0.2.1:4711",
            &["https"],
            false,
            1,
        ),
        (
            "a stranger says both",
            "192.0.2.1:4711",
            &["https, http"],
            false,
            1,
        ),
        (
            "a stranger says http",
            "192.0.2.1:4711",
            &["http"],
            false,
            0,
        ),
        (
            "an address from a header",
            "10.0.0.9:0",
            &["https"],
            false,
            1,
        ),
        ("no address", "", &["https"], false, 1),
        (
            "bytes that are no text",
            "192.0.2.1:4711",
            &["\u{fffd}https"],
            false,
            0,
        ),
    ] {
        let mut gateway = gateway(TRUSTED);
        let exchange = request("GET", "example.org", "/").with(Attribute::SourceAddress, source);
        let mut exchange = values.iter().fold(exchange, |exchange, value| {
            exchange.header("x-forwarded-proto", value)
        });
        let status = outcome(&mut gateway, &mut exchange).0;
        assert_eq!(status, if secure { 0 } else { 301 }, "{name}");
        assert_eq!(
            gateway
                .shared
                .number("launchgate_tls_untrusted_proto_total"),
            untrusted,
            "{name}"
        );
    }
}

#[test]
fn an_address_from_a_header_counts_by_the_operators_word_or_with_the_direct_peer() {
    let forwarded = |source: &str| {
        request("GET", "example.org", "/")
            .with(Attribute::SourceAddress, source)
            .header("x-forwarded-proto", "https")
    };
    let trusting = r#"{"trusted_proxies": ["10.0.0.0/8"], "trust_envoy_xff": true}"#;
    assert_eq!(
        outcome(&mut gateway(trusting), &mut forwarded("10.0.0.9:0")).0,
        0
    );
    let strict = r#"{"trusted_proxies": ["10.0.0.0/8"]}"#;
    for (direct, status) in [
        ("10.0.0.9:4711", 0),
        ("192.0.2.7:4711", 301),
        ("10.0.0.9:0", 301),
        ("", 301),
    ] {
        let mut exchange = forwarded("203.0.113.5:0")
            .property(&["filter_state", "launchgate.direct_peer"], direct);
        assert_eq!(
            outcome(&mut gateway(strict), &mut exchange).0,
            status,
            "{direct}"
        );
    }
    let mut tls = over_tls(forwarded("192.0.2.1:1"), "TLSv1.3").header("x-forwarded-proto", "http");
    assert_eq!(
        outcome(&mut gateway(strict), &mut tls).0,
        0,
        "the connection's own TLS comes first"
    );
}

#[test]
fn an_untrusted_claim_is_logged_once_a_minute_by_all_workers_together() {
    let shared = Shared::default();
    let mut workers: Vec<Gateway> = (1..=2)
        .map(|seed| {
            Host::load_with(
                "{}",
                &launchgate_sdk::config::Environment::new(),
                shared.clone(),
                seed,
            )
            .unwrap()
        })
        .collect();
    for (passed, lines) in [(0, 1), (30, 1), (29, 1), (1, 2), (59, 2), (1, 3)] {
        for worker in &mut workers {
            worker.advance(Duration::from_secs(passed));
            for _ in 0..3 {
                worker.request(
                    &mut request("GET", "example.org", "/").header("x-forwarded-proto", "https"),
                );
            }
        }
        let logged: Vec<_> = workers
            .iter()
            .flat_map(|worker| &worker.lines)
            .filter(|(_, line)| line.contains("trusted_proxies"))
            .collect();
        assert_eq!(logged.len(), lines);
        assert!(
            logged
                .iter()
                .all(|(_, line)| line.ends_with("peer=192.0.2.1")),
            "{logged:?}"
        );
    }
    assert_eq!(shared.number("launchgate_tls_untrusted_proto_total"), 36);
    assert_eq!(
        shared.number("launchgate_tls_redirects_totalreason=.=untrusted_proto;.;"),
        36
    );
}
