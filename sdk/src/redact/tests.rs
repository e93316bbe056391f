use super::*;
use crate::config::ConfigErrors;
use wasm_bindgen_test::wasm_bindgen_test;

const KEY: &[u8] = b"0123456789abcdef";

fn redactor(config: &str) -> Redactor {
    let config: RedactConfig = crate::config::read(config).unwrap();
    let mut errors = ConfigErrors::default();
    let redactor = config.redactor(Some(Key::new(KEY)), "redact", &mut errors);
    assert!(errors.is_empty(), "{errors}");
    redactor
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8_lossy(&bytes).into_owned()
}

#[wasm_bindgen_test(unsupported = test)]
fn urls_are_redacted_by_key_place_and_form() {
    let redactor = redactor(
        r#"{"query": {"code": "mask", "sid2": "keep", "drop_me": "drop", "card4": "last4"}, "path": {"/reset/*": "mask"}}"#,
    );
    let jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln";
    for (url, expected) in [
        ("/", "/"),
        ("/a/b?q=1&r=2", "/a/b?q=1&r=2"),
        ("/a?token=s3cr3t", "/a?token=[redacted]"),
        ("/a?%74oken=s3cr3t", "/a?%74oken=[redacted]"),
        ("/a?%2574oken=s3cr3t", "/a?%2574oken=[redacted]"),
        (
            "/a?TOKEN=s3cr3t&token=s3cr3t;token=s3cr3t",
            "/a?TOKEN=[redacted]&token=[redacted];token=[redacted]",
        ),
        (
            "/a?user[password]=s3cr3t&x[]=1",
            "/a?user[password]=[redacted]&x[]=1",
        ),
        (
            "/a?code=s3cr3t&c[code]=s3cr3t&%43ode=s3cr3t",
            "/a?code=[redacted]&c[code]=[redacted]&%43ode=[redacted]",
        ),
        ("/a?sid2=kept", "/a?sid2=kept"),
        ("/a?x=1&drop_me=s3cr3t&y=2", "/a?x=1&y=2"),
        ("/a?drop_me=s3cr3t", "/a?"),
        ("/a?card4=1234567890123456", "/a?card4=[redacted]3456"),
        ("/a?token", "/a?token"),
        ("/a?=s3", "/a?=s3"),
        ("/a??token=s3cr3t", "/a??token=[redacted]"),
        ("/a#access_token=s3cr3t", "/a#access_token=[redacted]"),
        ("/a?x=1#token=s3cr3t", "/a?x=1#token=[redacted]"),
        (
            "/a?next=https%3A%2F%2Fb%2F%3Ftoken%3Ds3cr3t",
            "/a?next=[redacted]",
        ),
        ("/a?next=%2Fcb%3Fcode%3Ds3cr3t", "/a?next=[redacted]"),
        (r#"/a?q={"password":"s3cr3t"}"#, "/a?q=[redacted]"),
        ("/a?to=me%40example.org", "/a?to=[redacted]"),
        ("/a?to=me@example.org&z=1", "/a?to=[redacted]&z=1"),
        ("/a?n=4111+1111+1111+1111", "/a?n=[redacted]"),
        ("/a?h=Bearer%20s3cr3t", "/a?h=[redacted]"),
        (
            "/a;jsessionid=s3cr3t/b;v=1",
            "/a;jsessionid=[redacted]/b;v=1",
        ),
        ("/a/token=s3cr3t/b", "/a/token=[redacted]/b"),
        ("/reset/s3cr3t?x=1", "/reset/[redacted]?x=1"),
        ("//reset/s3cr3t", "//reset/[redacted]"),
        ("/reset/s3cr3t://y", "/reset/[redacted]//[redacted]"),
        (
            "https://example.org/reset/s3cr3t",
            "https://example.org/reset/[redacted]",
        ),
        ("/x/../reset/s3cr3t", "/x/../reset/[redacted]"),
        ("/users/me@example.org/orders", "/users/[redacted]/orders"),
        ("/users/me%40example.org", "/users/[redacted]"),
        (
            "https://user:s3cr3t@example.org:8443/a?sig=s3cr3t",
            "https://[redacted]@example.org:8443/a?sig=[redacted]",
        ),
        ("//user:s3cr3t@example.org/a", "//[redacted]@example.org/a"),
        ("/a?next=https://u:s3cr3t@h/b", "/a?next=[redacted]"),
        (
            "/a?next=https%3A%2F%2Fu%3As3cr3t%40h%2Fb",
            "/a?next=[redacted]",
        ),
        (
            "/a?next=https%3A%2F%2Fh%2Fb%40c",
            "/a?next=https%3A%2F%2Fh%2Fb%40c",
        ),
        ("https://example.org", "https://example.org"),
        ("", ""),
    ] {
        assert_eq!(text(redactor.url(url.as_bytes())), expected, "{url}");
    }
    assert_eq!(
        text(redactor.url(format!("/t/{jwt}/x?y={jwt}").as_bytes())),
        "/t/[redacted]/x?y=[redacted]"
    );
    assert_eq!(redactor.url(b"/\xff?\xfe=\xfd"), b"/\xff?\xfe=\xfd");
}

#[wasm_bindgen_test(unsupported = test)]
fn headers_are_redacted_by_name_and_form() {
    let redactor = redactor(
        r#"{"headers": {"X-Api-Key": "drop", "x-plan": "mask", "x-session-kind": "keep", "x-user": "hmac"}, "cookies": {"theme": "keep", "cart": "drop", "mysid": "last4"}}"#,
    );
    for (name, value, expected) in [
        ("authorization", "Basic dTpw", Some("[redacted]")),
        ("Proxy-Authorization", "x", Some("[redacted]")),
        ("x-api-key", "s3cr3t", None),
        ("x-plan", "gold", Some("[redacted]")),
        ("x-session-kind", "web", Some("web")),
        ("x-other-token", "s3cr3t", Some("[redacted]")),
        ("x-tenant", "acme", Some("acme")),
        (
            "x-note",
            "mail me@example.org now",
            Some("mail [redacted] now"),
        ),
        ("x-note", "password: hunter2", Some("[redacted]")),
        ("x-note", "see ftp://u:s3cr3t@h/", Some("[redacted]")),
        (
            "x-user",
            "42",
            Some("8d24a2a526d5f556469db8b6280e3a7b877a41155ca536be3a1f2a9d2be0eacd"),
        ),
        (
            "referer",
            "https://a:b@c/d?token=s3cr3t",
            Some("https://[redacted]@c/d?token=[redacted]"),
        ),
        (
            "cookie",
            "theme=dark; sessionid=s3cr3t;cart=1; broken; mysid=1234567890abcdef; a=b=c",
            Some("theme=dark; sessionid=[redacted]; [redacted]; mysid=[redacted]cdef; a=b=c"),
        ),
        (
            "set-cookie",
            "sid=s3cr3t; Path=/; HttpOnly",
            Some("sid=[redacted]; Path=/; HttpOnly"),
        ),
    ] {
        let redacted = redactor.header(name, value.as_bytes()).map(text);
        assert_eq!(redacted.as_deref(), expected, "{name}: {value}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn the_longest_urls_are_read_in_one_pass() {
    let redactor = redactor(r#"{"query": {"code": "mask"}, "path": {"/*": "mask"}}"#);
    // With a square in it, a single one of these would take minutes.
    for part in ["//a", "/a", "a=b&", "a[", ";a=", "?", "#", "%25", ":"] {
        let url = part.repeat(200_000 / part.len());
        let _ = redactor.url(url.as_bytes());
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn without_lists_and_detectors_values_stay() {
    let redactor = redactor(r#"{"denylist": false, "detectors": []}"#);
    assert_eq!(
        text(redactor.url(b"/a?token=x&m=a@b.example")),
        "/a?token=x&m=a@b.example"
    );
    assert_eq!(
        redactor
            .header("authorization", b"Bearer x")
            .map(text)
            .as_deref(),
        Some("Bearer x")
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn addresses_are_truncated() {
    let truncating = redactor(r#"{"client_ip": "truncate"}"#);
    for (ip, expected) in [
        ("192.0.2.77", "192.0.2.0"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1::"),
        ("::1", "::"),
    ] {
        assert_eq!(
            truncating.ip(ip.parse().unwrap()).as_deref(),
            Some(expected)
        );
    }
    assert_eq!(
        redactor(r#"{"client_ip": "drop"}"#).ip("192.0.2.77".parse().unwrap()),
        None
    );
    assert_eq!(
        redactor("{}").ip("192.0.2.77".parse().unwrap()).as_deref(),
        Some("192.0.2.77")
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn mistakes_are_named_with_their_path() {
    let config: RedactConfig = crate::config::read(r#"{"headers": {"authorization": "keep", "a b": "mask", "x-user": "hmac"}, "path": {"reset": "mask"}, "client_ip": "hmac"}"#).unwrap();
    let mut errors = ConfigErrors::default();
    let _ = config.redactor(None, "redact", &mut errors);
    assert_eq!(
        errors
            .iter()
            .map(|error| error.path.as_str())
            .collect::<Vec<_>>(),
        [
            "redact.headers.x-user",
            "redact.client_ip",
            "redact.headers.a b",
            "redact.headers.authorization",
            "redact.path.reset"
        ]
    );
}

#[cfg(not(target_family = "wasm"))]
proptest::proptest! {
    #[test]
    fn no_bytes_stop_the_redactor_and_a_token_never_survives(
        noise in proptest::collection::vec(0_u8..=255, 0..60),
        upper in proptest::collection::vec(proptest::bool::ANY, 5),
        encoded in proptest::collection::vec(proptest::bool::ANY, 5),
    ) {
        let redactor = redactor(r#"{"path": {"/reset/*": "mask"}}"#);
        let _ = (redactor.url(&noise), redactor.cookies(&noise), redactor.header("x", &noise), redactor.header("set-cookie", &noise));
        let key: String = "token".bytes().zip(upper).zip(encoded).map(|((byte, upper), encoded)| {
            let byte = if upper { byte.to_ascii_uppercase() } else { byte };
            if encoded { format!("%{byte:02X}") } else { char::from(byte).to_string() }
        }).collect();
        let url = [b"/a?", noise.as_slice(), b"&", key.as_bytes(), b"=s3cr3t-value"].concat();
        let shown = text(redactor.url(&url));
        proptest::prop_assert!(!shown.contains("s3cr3t-value"), "{}", shown);
    }

    #[test]
    fn redaction_is_a_fixed_point(path in "/[a-z@.=&?;:%/]{0,40}") {
        let redactor = redactor("{}");
        let once = redactor.url(path.as_bytes());
        proptest::prop_assert_eq!(text(redactor.url(&once)), text(once));
    }
}
