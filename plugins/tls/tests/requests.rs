//! Who passes, who is redirected, who is refused.

use std::time::Duration;

use launchgate_sdk::fake::{Exchange, Host, Shared};
use launchgate_sdk::{Attribute, Member, Verdict};
use launchgate_tls::Tls;

type Gateway = Host<Member<Tls>>;
type Request = Exchange<Member<Tls>>;

fn gateway(config: &str) -> Gateway {
    Host::load(config).unwrap_or_else(|errors| panic!("{config}: {errors}"))
}

fn request(method: &str, authority: &str, path: &str) -> Request {
    Exchange::new(&[
        (":method", method),
        (":path", path),
        (":authority", authority),
        (":scheme", "http"),
    ])
}

fn over_tls(request: Request, version: &str) -> Request {
    request.with(Attribute::TlsVersion, version)
}

/// Status, and `Location` where there is one; `0` for a request that passes.
fn outcome(gateway: &mut Gateway, request: &mut Request) -> (u16, String) {
    match gateway.request(request) {
        Verdict::Reply(reply) => (
            reply.status,
            String::from_utf8_lossy(reply.first("location").unwrap_or_default()).into_owned(),
        ),
        _ => (0, String::new()),
    }
}

/// The facts of Traefik's table for redirects to https, and of RFC 6797 section 8.3: the request's port goes, the configured
/// one comes, 443 is not written.
#[test]
fn the_url_keeps_host_path_and_query_and_gets_the_configured_port() {
    for (authority, port, expected) in [
        ("foo", 443, "https://foo/p"),
        ("foo:8080", 443, "https://foo/p"),
        ("foo", 8443, "https://foo:8443/p"),
        ("foo:8000", 8443, "https://foo:8443/p"),
        ("foo:80", 443, "https://foo/p"),
        ("foo:443", 443, "https://foo/p"),
        ("foo:5678", 443, "https://foo/p"),
        ("[::1]", 443, "https://[::1]/p"),
        ("[::1]", 8443, "https://[::1]:8443/p"),
        ("[::1]:80", 443, "https://[::1]/p"),
        ("[::1]:80", 8443, "https://[::1]:8443/p"),
        ("Example.ORG", 443, "https://Example.ORG/p"),
        ("192.0.2.1:80", 443, "https://192.0.2.1/p"),
    ] {
        let mut gateway = gateway(&format!(r#"{{"redirect": {{"port": {port}}}}}"#));
        assert_eq!(
            outcome(&mut gateway, &mut request("GET", authority, "/p")),
            (301, expected.to_owned()),
            "{authority} {port}"
        );
    }
}

#[test]
fn paths_are_repeated_byte_for_byte_and_nothing_else_is() {
    let mut gateway = gateway("{}");
    for (path, status, expected) in [
        ("/", 301, "https://example.org/"),
        ("/a?b=c&d=%20", 301, "https://example.org/a?b=c&d=%20"),
        (
            "/a/../b//c/./%2e",
            301,
            "https://example.org/a/../b//c/./%2e",
        ),
        (
            "//evil.example/x",
            301,
            "https://example.org//evil.example/x",
        ),
        ("/?u=http://a/b", 301, "https://example.org/?u=http://a/b"),
        ("/a#b", 301, "https://example.org/a"),
        ("*", 301, "https://example.org"),
        ("", 301, "https://example.org"),
        ("/a b", 400, ""),
        ("/a\tb", 400, ""),
        ("/a\u{7f}", 400, ""),
        ("a", 400, ""),
        ("http://evil.example/", 400, ""),
        ("/a\r\nset-cookie: x=y", 400, ""),
    ] {
        assert_eq!(
            outcome(&mut gateway, &mut request("GET", "example.org", path)),
            (status, expected.to_owned()),
            "{path:?}"
        );
    }
    let Verdict::Reply(reply) = gateway.request(
        &mut Exchange::new(&[(":method", "GET"), (":authority", "example.org")])
            .header(":path", b"/\xff\x80?\xfe"),
    ) else {
        panic!("a redirect")
    };
    assert_eq!(
        reply.first("location"),
        Some(&b"https://example.org/\xff\x80?\xfe"[..])
    );
}

#[test]
fn a_host_that_is_none_is_not_repeated() {
    let mut gateway = gateway("{}");
    for authority in [
        "",
        "a b",
        "user@example.org",
        "example.org/x",
        "example.org?x",
        "example.org#x",
        "example.org:99999",
        "[::1",
        "a\r\nb",
        "\u{fc}.example",
    ] {
        assert_eq!(
            outcome(&mut gateway, &mut request("GET", authority, "/")),
            (400, String::new()),
            "{authority:?}"
        );
    }
    let mut twice = request("GET", "example.org", "/").header(":authority", "evil.example");
    assert_eq!(outcome(&mut gateway, &mut twice).0, 400);
    let mut none = Exchange::new(&[(":method", "GET"), (":path", "/")]);
    assert_eq!(outcome(&mut gateway, &mut none).0, 400);
    assert_eq!(
        gateway
            .shared
            .number("launchgate_tls_rejected_totalreason=.=invalid_url;.;"),
        12
    );
}

#[test]
fn the_status_follows_the_method_or_the_configuration() {
    for (config, method, status) in [
        ("{}", "GET", 301),
        ("{}", "HEAD", 301),
        ("{}", "POST", 308),
        ("{}", "DELETE", 308),
        ("{}", "OPTIONS", 308),
        ("{}", "get", 308),
        (r#"{"redirect": {"status": 302}}"#, "POST", 302),
        (r#"{"redirect": {"status": 307}}"#, "GET", 307),
        (r#"{"redirect": {"status": 308.0}}"#, "GET", 308),
        (r#"{"redirect": {"unsafe_methods": "reject"}}"#, "GET", 301),
        (r#"{"redirect": {"unsafe_methods": "reject"}}"#, "HEAD", 301),
        (
            r#"{"redirect": {"unsafe_methods": "reject"}}"#,
            "OPTIONS",
            308,
        ),
        (r#"{"redirect": {"unsafe_methods": "reject"}}"#, "POST", 403),
        (
            r#"{"redirect": {"unsafe_methods": "reject"}}"#,
            "PATCH",
            403,
        ),
        (r#"{"redirect": {"enabled": false}}"#, "GET", 0),
    ] {
        assert_eq!(
            outcome(
                &mut gateway(config),
                &mut request(method, "example.org", "/")
            )
            .0,
            status,
            "{config} {method}"
        );
    }
}

#[test]
fn preflights_and_exempt_paths_pass_and_odd_paths_do_not() {
    for (method, path, headers, status) in [
        (
            "OPTIONS",
            "/",
            &[
                ("origin", "https://a.example"),
                ("access-control-request-method", "PUT"),
            ][..],
            0,
        ),
        ("OPTIONS", "/", &[("origin", "https://a.example")], 308),
        (
            "OPTIONS",
            "/",
            &[("access-control-request-method", "PUT")],
            308,
        ),
        (
            "GET",
            "/",
            &[
                ("origin", "https://a.example"),
                ("access-control-request-method", "PUT"),
            ],
            301,
        ),
        ("GET", "/.well-known/acme-challenge/token", &[], 0),
        ("GET", "/.well-known/acme-challenge", &[], 301),
        ("GET", "/.well-known/acme-challenge/../../x", &[], 301),
        ("GET", "/.well-known/acme-challenge/%2e%2e/x", &[], 301),
        ("GET", "/livez", &[], 0),
        ("GET", "/healthz?verbose", &[], 0),
        ("GET", "/readyz", &[], 0),
        ("GET", "/startupz", &[], 0),
        ("GET", "/healthz/", &[], 301),
        ("GET", "/Healthz", &[], 301),
        ("GET", "//healthz", &[], 301),
        (
            "POST",
            "/x",
            &[("content-type", "application/grpc+proto")],
            403,
        ),
        (
            "POST",
            "/x",
            &[("content-type", "application/grpc-web")],
            308,
        ),
    ] {
        let exchange = headers.iter().fold(
            request(method, "example.org", path),
            |exchange, (name, value)| exchange.header(name, value),
        );
        assert_eq!(
            outcome(&mut gateway("{}"), &mut { exchange }).0,
            status,
            "{method} {path} {headers:?}"
        );
    }
}

#[test]
fn grpc_clients_get_a_status_and_no_location() {
    for (config, plain, code) in [
        ("{}", true, 9),
        (r#"{"min_version": "1.3"}"#, false, 7),
        (
            r#"{"misdirected": {"listeners": ["example.org", "other.example"]}}"#,
            false,
            14,
        ),
        (
            r#"{"client_cert": [{"path": "/", "listener_validates": true}]}"#,
            false,
            7,
        ),
    ] {
        let mut call = request("POST", "example.org", "/a.B/C")
            .header("content-type", "application/grpc")
            .with(Attribute::RequestedServerName, "other.example");
        if !plain {
            call = over_tls(call, "TLSv1.2");
        }
        let Verdict::Reply(reply) = gateway(config).request(&mut call) else {
            panic!("{config}: a reply")
        };
        assert_eq!(
            (reply.grpc_status, reply.first("location")),
            (Some(code), None),
            "{config}"
        );
    }
}

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
                &std::collections::BTreeMap::new(),
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

#[test]
fn connections_below_the_floor_are_refused_or_reported() {
    for (config, version, status, label) in [
        (r#"{"min_version": "1.2"}"#, "TLSv1", 403, "1.0"),
        (r#"{"min_version": "1.2"}"#, "TLSv1.1", 403, "1.1"),
        (r#"{"min_version": "1.2"}"#, "TLSv1.2", 0, "1.2"),
        (r#"{"min_version": "1.3"}"#, "TLSv1.2", 403, "1.2"),
        (r#"{"min_version": "1.3"}"#, "TLSv1.3", 0, "1.3"),
        (r#"{"min_version": "1.0"}"#, "SSLv3", 403, "other"),
        (
            r#"{"min_version": "1.3", "min_version_action": "report"}"#,
            "TLSv1.2",
            0,
            "1.2",
        ),
        ("{}", "TLSv1", 0, "1.0"),
    ] {
        let mut gateway = gateway(config);
        assert_eq!(
            outcome(
                &mut gateway,
                &mut over_tls(request("GET", "example.org", "/"), version)
            )
            .0,
            status,
            "{config} {version}"
        );
        assert_eq!(
            gateway.shared.number(&format!(
                "launchgate_tls_requests_totalversion=.={label};.;"
            )),
            1,
            "{config} {version}"
        );
        let reported = u64::from(config.contains("report"));
        assert_eq!(
            gateway
                .shared
                .number("launchgate_tls_would_reject_totalreason=.=version;.;"),
            reported,
            "{config} {version}"
        );
    }
}

#[test]
fn a_request_for_another_listener_is_421_where_the_server_name_is_known() {
    const LISTENERS: &str =
        r#"{"misdirected": {"listeners": ["*", "second-example.org", "*.wildcard.org"]}}"#;
    for (server_name, host, status, unknown) in [
        (Some("example.org"), "example.org", 0, 0),
        (Some("example.org"), "EXAMPLE.org.:10443", 0, 0),
        (Some("example.org"), "second-example.org", 421, 0),
        (Some("second-example.org"), "Second-Example.org:443", 0, 0),
        (Some("second-example.org"), "example.org", 421, 0),
        (Some("third.wildcard.org"), "fifth.wildcard.org", 0, 0),
        (Some("third.wildcard.org"), "wildcard.org", 421, 0),
        (Some("example.org"), "192.0.2.1", 0, 0),
        (None, "second-example.org", 0, 1),
        (Some(""), "second-example.org", 0, 1),
    ] {
        let mut gateway = gateway(LISTENERS);
        let mut exchange = over_tls(request("GET", host, "/"), "TLSv1.3");
        if let Some(server_name) = server_name {
            exchange = exchange.with(Attribute::RequestedServerName, server_name);
        }
        assert_eq!(
            outcome(&mut gateway, &mut exchange).0,
            status,
            "{server_name:?} {host}"
        );
        assert_eq!(
            gateway.shared.number("launchgate_tls_unknown_sni_total"),
            unknown,
            "{server_name:?} {host}"
        );
    }
}

#[test]
fn a_client_certificate_is_proven_by_the_connection() {
    let digest = "ab".repeat(32);
    let pinned = format!(
        r#"{{"client_cert": [{{"path": "/internal/", "sha256": ["{}"]}}]}}"#,
        digest.to_uppercase()
    );
    let named = r#"{"client_cert": [{"path": "/internal/", "uri_san": ["spiffe://a/b"], "listener_validates": true}]}"#;
    let validated = r#"{"client_cert": [{"path": "/internal/", "listener_validates": true}]}"#;
    let plain = r#"{"redirect": {"enabled": false}, "client_cert": [{"path": "/internal/", "listener_validates": true}]}"#;
    for (name, config, path, mtls, sha256, san, status) in [
        (
            "the pinned one",
            &*pinned,
            "/internal/x",
            true,
            digest.as_str(),
            "",
            0,
        ),
        (
            "another one",
            &pinned,
            "/internal/x",
            true,
            &"cd".repeat(32),
            "",
            403,
        ),
        ("none", &pinned, "/internal/x", false, "", "", 403),
        ("outside of the path", &pinned, "/other", false, "", "", 0),
        (
            "an ambiguous path is inside",
            &pinned,
            "/x/../internal",
            false,
            "",
            "",
            403,
        ),
        (
            "an escaped path is inside",
            &pinned,
            "/x/%2e%2e/internal",
            false,
            "",
            "",
            403,
        ),
        (
            "the named one",
            named,
            "/internal/x",
            true,
            &digest,
            "spiffe://a/b",
            0,
        ),
        (
            "one of another name",
            named,
            "/internal/x",
            true,
            &digest,
            "spiffe://a/bc",
            403,
        ),
        (
            "one without name",
            named,
            "/internal/x",
            true,
            &digest,
            "",
            403,
        ),
        (
            "any, validated",
            validated,
            "/internal/x",
            true,
            &digest,
            "",
            0,
        ),
        (
            "no certificate",
            validated,
            "/internal/x",
            false,
            "",
            "",
            403,
        ),
    ] {
        let mut exchange = over_tls(request("GET", "example.org", path), "TLSv1.3")
            .with(Attribute::Mtls, [u8::from(mtls)]);
        if mtls {
            exchange = exchange
                .with(Attribute::PeerSha256, sha256)
                .with(Attribute::PeerUriSan, san);
        }
        assert_eq!(
            outcome(&mut gateway(config), &mut exchange).0,
            status,
            "{name}"
        );
    }
    assert_eq!(
        outcome(
            &mut gateway(plain),
            &mut request("GET", "example.org", "/internal/")
        )
        .0,
        403
    );
    assert_eq!(
        outcome(
            &mut gateway(validated),
            &mut request("GET", "example.org", "/internal/")
        )
        .0,
        301,
        "plaintext is redirected first"
    );
}

#[test]
fn a_clients_certificate_headers_never_reach_the_upstream() {
    let digest = "ab".repeat(32);
    let pinned =
        format!(r#"{{"client_cert": [{{"path": "/internal/", "sha256": ["{digest}"]}}]}}"#);
    for (name, config, mtls, source, kept) in [
        ("without a certificate", "{}", false, "192.0.2.1:1", &[][..]),
        ("with an unproven one", "{}", true, "192.0.2.1:1", &[]),
        (
            "with a validated one",
            r#"{"certificate_headers": {"listener_validates": true}}"#,
            true,
            "192.0.2.1:1",
            &["x-forwarded-client-cert"],
        ),
        (
            "validated, but none sent",
            r#"{"certificate_headers": {"listener_validates": true}}"#,
            false,
            "192.0.2.1:1",
            &[],
        ),
        (
            "with a pinned one",
            &pinned,
            true,
            "192.0.2.1:1",
            &["x-forwarded-client-cert"],
        ),
        (
            "from a proxy",
            r#"{"trusted_proxies": ["10.0.0.0/8"]}"#,
            false,
            "10.0.0.1:1",
            &[],
        ),
        (
            "from a proxy that may",
            r#"{"trusted_proxies": ["10.0.0.0/8"], "certificate_headers": {"from_trusted_proxies": true}}"#,
            false,
            "10.0.0.1:1",
            &[
                "x-forwarded-client-cert",
                "ssl-client-verify",
                "x_forwarded_client_cert",
            ],
        ),
        (
            "by choice",
            r#"{"certificate_headers": {"strip": ["ssl-client-*"]}}"#,
            false,
            "192.0.2.1:1",
            &["x-forwarded-client-cert", "x_forwarded_client_cert"],
        ),
        (
            "in report mode",
            r#"{"mode": "report"}"#,
            false,
            "192.0.2.1:1",
            &[
                "x-forwarded-client-cert",
                "ssl-client-verify",
                "x_forwarded_client_cert",
            ],
        ),
    ] {
        let mut gateway = gateway(config);
        let mut exchange = over_tls(request("GET", "example.org", "/"), "TLSv1.3")
            .with(Attribute::Mtls, [u8::from(mtls)])
            .with(Attribute::SourceAddress, source);
        if mtls {
            exchange = exchange.with(Attribute::PeerSha256, &digest);
        }
        let forged = [
            "x-forwarded-client-cert",
            "ssl-client-verify",
            "x_forwarded_client_cert",
        ];
        let mut exchange = forged
            .iter()
            .fold(exchange, |exchange, header| {
                exchange.header(header, "forged").header(header, "again")
            })
            .header("x-other", "stays");
        assert_eq!(outcome(&mut gateway, &mut exchange).0, 0, "{name}");
        let left: Vec<&str> = forged
            .into_iter()
            .filter(|header| exchange.facts.request.contains(header))
            .collect();
        assert_eq!(left, kept, "{name}");
        assert!(exchange.facts.request.contains("x-other"), "{name}");
    }
}

#[test]
fn report_mode_counts_and_changes_nothing() {
    let mut gateway = gateway(
        r#"{"mode": "report", "min_version": "1.3", "misdirected": {"listeners": ["a.example", "b.example"]}}"#,
    );
    for mut exchange in [
        request("GET", "a.example", "/"),
        request("POST", "", "/"),
        over_tls(request("GET", "a.example", "/"), "TLSv1.2"),
        over_tls(request("GET", "a.example", "/"), "TLSv1.3")
            .with(Attribute::RequestedServerName, "b.example"),
    ] {
        exchange = exchange.respond(&[
            (":status", "200"),
            ("x-powered-by", "x"),
            ("strict-transport-security", "max-age=1"),
        ]);
        assert_eq!(
            gateway.exchange(&mut exchange, Duration::ZERO),
            Verdict::Continue
        );
        assert_eq!(exchange.facts.response.len(), 3);
    }
    let numbers = gateway.shared.numbers();
    let counted = |stat: &str| numbers.get(stat).copied().unwrap_or(0);
    assert_eq!(
        counted("launchgate_tls_would_redirect_totalreason=.=plaintext;.;"),
        1
    );
    assert_eq!(
        counted("launchgate_tls_would_reject_totalreason=.=invalid_url;.;"),
        1
    );
    assert_eq!(
        counted("launchgate_tls_would_reject_totalreason=.=version;.;"),
        1
    );
    assert_eq!(
        counted("launchgate_tls_would_reject_totalreason=.=misdirected;.;"),
        1
    );
    assert_eq!(counted("launchgate_tls_would_edit_totalkind=.=leak;.;"), 4);
    assert!(
        !numbers
            .keys()
            .any(|stat| stat.starts_with("launchgate_tls_redirects")
                || stat.starts_with("launchgate_tls_rejected")
                || stat.starts_with("launchgate_tls_edits")),
        "{numbers:?}"
    );
}

#[test]
fn what_is_out_of_scope_or_off_is_left_alone() {
    for config in [
        r#"{"mode": "off"}"#,
        r#"{"scope": {"hosts": ["*.example.net"]}}"#,
        r#"{"scope": {"paths": {"exclude": ["/"]}}}"#,
    ] {
        let mut gateway = gateway(config);
        let mut exchange =
            request("GET", "example.org", "/").header("x-forwarded-client-cert", "x");
        assert_eq!(
            gateway.exchange(&mut exchange, Duration::ZERO),
            Verdict::Continue,
            "{config}"
        );
        assert_eq!(
            (
                exchange.facts.response.len(),
                exchange.facts.request.contains("x-forwarded-client-cert")
            ),
            (1, true),
            "{config}"
        );
    }
}

#[test]
fn all_mistakes_of_a_config_are_named_by_path() {
    for (config, message) in [
        (
            r#"{"redirect": {"status": 303}}"#,
            r#"redirect.status: 303: expected one of "auto", 301, 302, 307, 308"#,
        ),
        (
            r#"{"redirect": {"status": "no"}}"#,
            r#"redirect.status: "no": expected one of "auto", 301, 302, 307, 308"#,
        ),
        (
            r#"{"redirect": {"status": true}}"#,
            r#"redirect.status: true: expected one of "auto", 301, 302, 307, 308"#,
        ),
        (
            r#"{"redirect": {"port": 0}}"#,
            "redirect.port: 0: expected a port from 1 to 65535",
        ),
        (
            r#"{"redirect": {"port": 70000}}"#,
            "redirect.port: 70000: expected u16",
        ),
        (
            r#"{"redirect": {"exempt_paths": ["x"]}}"#,
            r#"redirect.exempt_paths[0]: "x": expected a path that begins with "/" and has no query"#,
        ),
        (
            r#"{"min_version": "1.4"}"#,
            r#"min_version: "1.4": expected one of 1.0, 1.1, 1.2, 1.3"#,
        ),
        (
            r#"{"misdirected": {}}"#,
            r#"misdirected.listeners: expected at least one host such as "example.org" or "*""#,
        ),
        (
            r#"{"hsts": {"ramp": [{"from": "tomorrow", "max_age": "1d"}]}}"#,
            r#"hsts.ramp[0].from: "tomorrow": expected a time such as "2026-12-01T00:00:00Z" (RFC 3339)"#,
        ),
        (
            r#"{"hsts": {"ramp": [{"max_age": "1d"}]}}"#,
            "hsts.ramp[0].from: is required",
        ),
        (
            r#"{"hsts": {"preload": true, "max_age": "30d"}}"#,
            r#"hsts.max_age: "30d": expected at least "365d" with preload, or the header would not be eligible (hstspreload.org)"#,
        ),
        (
            r#"{"client_cert": [{"path": "/x/"}]}"#,
            r#"client_cert[0]: an object: expected sha256, uri_san or "listener_validates": true"#,
        ),
        (
            r#"{"client_cert": [{"path": "/x/", "sha256": ["ab"]}]}"#,
            r#"client_cert[0].sha256[0]: "ab": expected 64 hexadecimal digits"#,
        ),
        (
            r#"{"headers": {"set": {"a b": "c"}}}"#,
            r#"headers.set.a b: "c": expected a header name"#,
        ),
        (
            r#"{"headers": {"set": {"a": "b\r\nc"}}}"#,
            r#"headers.set.a: "b\r\nc": expected no CR, LF or NUL"#,
        ),
        (
            r#"{"trusted_proxies": ["10.0.0.1/8"]}"#,
            r#"trusted_proxies[0]: "10.0.0.1/8": expected an address range such as "10.0.0.0/8" without host bits"#,
        ),
        (r#"{"redirct": {}}"#, "redirct: unknown field"),
    ] {
        let errors = Gateway::load(config)
            .err()
            .unwrap_or_else(|| panic!("{config} is refused"))
            .to_string();
        assert!(errors.contains(message), "{config}\n{errors}\n{message}");
    }
    for config in [
        r#"{"headers": {"set": {"strict-transport-security": "max-age=1"}}}"#,
        r#"{"headers": {"set": {"Set-Cookie": "a=b"}}}"#,
        r#"{"headers": {"add_if_absent": {"content-length": "1"}}}"#,
        r#"{"headers": {"set": {"x-a": "1", "X-A": "2"}}}"#,
        r#"{"headers": {"set": {"x-a": "1"}, "remove": ["X-A"]}}"#,
        r#"{"headers": {"remove": [":status"]}}"#,
        r#"{"cookies": {"names": ["a*b"]}}"#,
        r#"{"cookies": {"same_site": "lax"}}"#,
        r#"{"cookies": {"same_site": "None"}}"#,
        r#"{"certificate_headers": {"strip": ["*"]}}"#,
    ] {
        assert!(Gateway::load(config).is_err(), "{config}");
    }
}

#[test]
fn the_contract_s_example_loads() {
    let example = include_str!("../config.example.json");
    let gateway = gateway(example);
    assert!(
        gateway.lines.iter().any(|(_, line)| line.contains("ramp")),
        "{:?}",
        gateway.lines
    );
}

proptest::proptest! {
    /// Whatever a client sends in plaintext, a reply repeats nothing of it outside of `Location`, and that has no line break.
    #[test]
    fn no_bytes_of_a_client_break_out(
        authority in proptest::collection::vec(1_u8..=255, 0..30),
        path in proptest::collection::vec(1_u8..=255, 0..60),
        proto in proptest::collection::vec(proptest::num::u8::ANY, 0..20),
        method in "[A-Z]{0,9}",
    ) {
        let proto: Vec<u8> = proto.into_iter().filter(|byte| !b"\r\n\0".contains(byte)).collect();
        let mut gateway = gateway("{}");
        let mut exchange = Exchange::new(&[(":method", &method)]).header("x-forwarded-proto", &proto);
        for (name, value) in [(":authority", &authority), (":path", &path)] {
            let value: Vec<u8> = value.iter().copied().filter(|byte| !b"\r\n".contains(byte)).collect();
            exchange = exchange.header(name, value);
        }
        if let Verdict::Reply(reply) = gateway.request(&mut exchange) {
            let location = reply.first("location").unwrap_or(b"https://");
            proptest::prop_assert!(location.starts_with(b"https://"));
            proptest::prop_assert!(!location.iter().any(|byte| *byte <= b' ' || *byte == 0x7f));
            proptest::prop_assert_eq!(reply.refused, 0);
        }
    }
}
