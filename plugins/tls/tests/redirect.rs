//! Where plaintext goes.

mod support;

use launchgate_sdk::fake::Exchange;
use launchgate_sdk::{Attribute, Verdict};

use support::{gateway, outcome, over_tls, request};

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
