//! What the connection proves.

mod support;

use launchgate_sdk::Attribute;

use support::{gateway, outcome, over_tls, request};

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
