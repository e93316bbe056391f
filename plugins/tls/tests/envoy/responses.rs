//! What responses get and lose, those of Envoy itself too; and what a wrong configuration gets.

use launchgate_harness::envoy::{Envoy, Launch, Reply, Request, Response, Upstream};
use serde_json::json;

use crate::gateway::{API, Certificates, SHOP, ask, count_of, manager, over_tls, plain, shipped};

const HSTS: &str = "max-age=31536000; includeSubDomains";
const API_PRESET: [(&str, &str); 5] = [
    (
        "content-security-policy",
        "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("x-content-type-options", "nosniff"),
    ("x-frame-options", "DENY"),
    ("referrer-policy", "no-referrer"),
    ("cross-origin-resource-policy", "same-origin"),
];

fn assert_hardened(response: &Response, what: &str) {
    assert_eq!(response.all("strict-transport-security"), [HSTS], "{what}");
    for (name, value) in API_PRESET {
        assert_eq!(response.all(name), [value], "{what}");
    }
    for leaking in ["server", "x-powered-by", "x-envoy-upstream-service-time"] {
        assert_eq!(response.all(leaking), [""; 0], "{what} {leaking}");
    }
}

#[test]
fn the_shipped_gateway_hardens_what_the_service_answers() {
    let certificates = Certificates::new();
    let reply = Reply::status(200)
        .header("server", "service/1.2")
        .header("x-powered-by", "x")
        .header("strict-transport-security", "max-age=1")
        .header("strict-transport-security", "max-age=2")
        .header("x-content-type-options", "nosniff")
        .header("x-content-type-options", "nosniff")
        .header("set-cookie", "a=1")
        .header("set-cookie", "b=2; Secure")
        .header("set-cookie", "__Host-c=3; Domain=example.org");
    let app = Upstream::always(reply.body("hello")).unwrap();
    let envoy = Envoy::start(shipped(&certificates, &app)).unwrap();
    for name in [SHOP, API] {
        let client = certificates.client(name);
        let response = ask(&envoy, "tls", &client, &Request::get("/").host(name));
        assert_eq!((response.status, response.text().as_str()), (200, "hello"));
        assert_hardened(&response, name);
        assert_eq!(
            response.all("set-cookie"),
            [
                "a=1; SameSite=Lax; Secure; HttpOnly",
                "b=2; Secure; SameSite=Lax; HttpOnly",
                "__Host-c=3; SameSite=Lax; Secure; HttpOnly; Path=/",
            ],
            "{name}"
        );
    }
    assert_eq!(count_of(&envoy, "requests_total", "version", "1.3"), 2);
}

#[test]
fn envoys_own_replies_are_hardened_too() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let gateway = manager(over_tls(&json!({}), &certificates, &app), |manager| {
        manager["server_header_transformation"] = json!("PASS_THROUGH");
        let routes = manager
            .pointer_mut("/route_config/virtual_hosts/0/routes")
            .unwrap();
        *routes = json!([
            {"match": {"prefix": "/app"}, "route": {"cluster": "app"}},
            {"match": {"path": "/direct"}, "direct_response": {"status": 200, "body": {"inline_string": "x"}}},
            {"match": {"path": "/moved"}, "redirect": {"path_redirect": "/app"}},
        ]);
    });
    let envoy = Envoy::start(gateway).unwrap();
    app.refuse();
    for (path, status) in [
        ("/app", 503),
        ("/direct", 200),
        ("/moved", 301),
        ("/no-route", 404),
    ] {
        let client = certificates.client(SHOP);
        let response = ask(&envoy, "gateway", &client, &Request::get(path).host(SHOP));
        assert_eq!(response.status, status, "{path}");
        assert_hardened(&response, path);
    }
}

#[test]
fn server_goes_only_where_envoy_lets_it_pass_through() {
    let app = Upstream::always(Reply::status(200).header("server", "service/1.2")).unwrap();
    let config = json!({"redirect": {"enabled": false}});
    let warning = "server_header_transformation PASS_THROUGH";
    for (pass_through, word, server, warns) in [
        (false, false, vec!["envoy"], true),
        (true, true, vec![], false),
    ] {
        let mut config = config.clone();
        config["headers"] = json!({"server_pass_through": word});
        let gateway = manager(plain(&config, &app), |manager| {
            if pass_through {
                manager["server_header_transformation"] = json!("PASS_THROUGH");
            }
        });
        let envoy = Envoy::start(gateway).unwrap();
        assert_eq!(envoy.get("/").unwrap().all("server"), server);
        let (_, log) = envoy.stop().unwrap();
        let warned = log.iter().any(|line| line.text.contains(warning));
        assert_eq!(warned, warns, "{log:#?}");
    }
}

#[test]
fn a_location_of_the_own_host_becomes_https() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(shipped(&certificates, &app)).unwrap();
    for (from, to) in [
        (
            "http://shop.example.org/next?a=%20#b",
            "https://shop.example.org:10443/next?a=%20#b",
        ),
        (
            "http://SHOP.example.org:80/",
            "https://SHOP.example.org:10443/",
        ),
        (
            "http://shop.example.org.evil.example/",
            "http://shop.example.org.evil.example/",
        ),
        ("http://api.example.org/", "http://api.example.org/"),
        (
            "http://shop.example.org:8080/",
            "http://shop.example.org:8080/",
        ),
        ("/next", "/next"),
    ] {
        app.answer(Reply::status(302).header("location", from));
        let client = certificates.client(SHOP);
        let request = Request::get("/login").host("shop.example.org:10443");
        let response = ask(&envoy, "tls", &client, &request);
        assert_eq!(response.all("location"), [to], "{from}");
    }
    assert_eq!(count_of(&envoy, "edits_total", "kind", "location"), 2);
}

#[test]
fn a_wrong_config_is_refused_with_path_value_and_expectation() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let wrong = json!({
        "redirect": {"status": 303},
        "hsts": {"preload": true, "max_age": "30d"},
        "client_cert": [{"path": "/x/", "sha256": ["abc"]}],
    });
    let refused = Launch::new(plain(&wrong, &app)).validate().unwrap();
    assert!(!refused.accepted);
    let expected = [
        "redirect.status: 303: expected one of",
        "hsts.max_age: \"30d\": expected at least \"365d\"",
        "client_cert[0].sha256[0]: \"abc\": expected 64 hexadecimal digits",
    ];
    let names_all = |text: &str| expected.iter().all(|part| text.contains(part));
    assert!(
        refused.log.iter().any(|line| names_all(&line.text)),
        "{:#?}",
        refused.log
    );
    let example =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.json"))
            .unwrap();
    let good = plain(&serde_json::from_str(&example).unwrap(), &app);
    assert!(Launch::new(good).validate().unwrap().accepted);
}
