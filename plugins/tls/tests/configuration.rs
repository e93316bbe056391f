//! Modes, scope, and what is refused at load.

mod support;

use std::time::Duration;

use launchgate_sdk::{Attribute, Verdict};

use support::{Gateway, gateway, over_tls, request};

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
            Verdict::Pass,
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
            "redirect.port: 70000: expected a whole number from 0 to 65535",
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
