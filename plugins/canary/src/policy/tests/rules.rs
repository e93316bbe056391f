//! Rules decide before shares.

use super::*;

#[test]
fn rules_decide_before_shares() {
    let config = r#"{"rollout": "r", "stages": [{"percent": 0}],
        "never": [{"headers": {"x-canary": {"exact": "never"}}}, {"cookies": {"canary": {"exact": "never"}}}],
        "match": [{"headers": {"X-Canary": {"exact": "always"}}}, {"cookies": {"canary": {"exact": "always"}}},
                  {"headers": {"x-team": {"prefix": "qa-"}}, "query": {"preview": {"present": true}}},
                  {"headers": {"x-tenant": {"glob": "t-*-eu"}}}, {"headers": {"x-agent": {"suffix": "/beta"}}},
                  {"headers": {"x-office": {"present": true}}, "allow": ["192.0.2.0/24"]},
                  {"headers": {"x-ip": {"present": true}}, "allow": ["10.0.0.0/8"]},
                  {"token": {"value": "${TOKEN}"}}]}"#;
    for (name, path, headers, expected) in [
        ("nothing", "/", &[][..], "stable"),
        ("always", "/", &[("x-canary", &b"always"[..])], "canary"),
        (
            "the name's case does not matter",
            "/",
            &[("X-CANARY", b"always")],
            "canary",
        ),
        (
            "the value's case does",
            "/",
            &[("x-canary", b"Always")],
            "stable",
        ),
        (
            "another value falls through",
            "/",
            &[("x-canary", b"badheadervalue")],
            "stable",
        ),
        (
            "hostile bytes",
            "/",
            &[("x-canary", b"always\xff")],
            "stable",
        ),
        (
            "a comma is no second value",
            "/",
            &[("x-canary", b"always,never")],
            "stable",
        ),
        (
            "never",
            "/",
            &[("x-canary", b"never"), ("x-tenant", b"t-1-eu")],
            "stable",
        ),
        (
            "never wins over always",
            "/",
            &[("x-canary", b"always"), ("x-canary", b"never")],
            "stable",
        ),
        (
            "a cookie",
            "/",
            &[("cookie", b"a=b; canary=always")],
            "canary",
        ),
        (
            "a second cookie field",
            "/",
            &[("cookie", b"a=b"), ("cookie", b"canary=always")],
            "canary",
        ),
        (
            "another cookie's value",
            "/",
            &[("cookie", b"xcanary=always; canary=maybe")],
            "stable",
        ),
        (
            "a bad header and a good cookie",
            "/",
            &[("x-canary", b"x"), ("cookie", b"canary=always")],
            "canary",
        ),
        (
            "one of two conditions",
            "/",
            &[("x-team", b"qa-1")],
            "stable",
        ),
        (
            "both conditions",
            "/a?preview",
            &[("x-team", b"qa-1")],
            "canary",
        ),
        ("a glob", "/", &[("x-tenant", b"t-42-eu")], "canary"),
        ("a suffix", "/", &[("x-agent", b"app/beta")], "canary"),
        ("in the range", "/", &[("x-office", b"")], "canary"),
        (
            "not in the range, whatever it says",
            "/",
            &[("x-ip", b""), ("x-forwarded-for", b"10.1.1.1")],
            "stable",
        ),
        (
            "the token",
            "/",
            &[("x-canary-token", TOKEN.as_bytes())],
            "canary",
        ),
        (
            "a wrong token",
            "/",
            &[("x-canary-token", b"0123456789abcdeF")],
            "stable",
        ),
        (
            "the token twice",
            "/",
            &[
                ("x-canary-token", TOKEN.as_bytes()),
                ("x-canary-token", b"x"),
            ],
            "stable",
        ),
    ] {
        let mut proxy = Proxy::start(config);
        let mut exchange = Exchange::get(path);
        for (header, value) in headers {
            exchange = exchange.header(header, value);
        }
        proxy.0[0].request(&mut exchange);
        assert_eq!(variant(&exchange), Some(expected), "{name}");
        assert!(
            !exchange.facts.request.contains("x-canary-token"),
            "{name}: the token stays here"
        );
    }
}

#[test]
fn an_address_from_a_header_is_in_no_range() {
    let config = |trust: bool| {
        format!(
            r#"{{"rollout": "r", "match": [{{"allow": ["10.0.0.0/8"]}}], "trust_envoy_xff": {trust}}}"#
        )
    };
    for (address, trust, expected) in [
        ("10.0.0.1:4711", false, "canary"),
        ("10.0.0.1:0", false, "stable"),
        ("10.0.0.1:0", true, "canary"),
        ("11.0.0.1:1", true, "stable"),
    ] {
        let mut proxy = Proxy::start(&config(trust));
        let exchange = proxy.send(
            0,
            Exchange::get("/").with(Attribute::SourceAddress, address),
        );
        assert_eq!(variant(&exchange), Some(expected), "{address} {trust}");
    }
}
