//! What the connection proves: its version and the server name of its handshake.

use launchgate_harness::envoy::{Connection, Envoy, Reply, Request, TlsClient, Upstream};
use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::gateway::{API, Certificates, SHOP, ask, count, count_of, over_tls, shipped};

#[test]
fn a_request_on_the_connection_of_another_name_is_misdirected() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(shipped(&certificates, &app)).unwrap();
    for (server_name, host, status) in [
        (SHOP, SHOP, 200),
        (SHOP, "SHOP.example.org:10443", 200),
        (SHOP, "shop.example.org.", 200),
        (SHOP, API, 421),
        (API, SHOP, 421),
        (API, API, 200),
        ("other.example.org", SHOP, 421),
        (SHOP, "other.example.org", 200),
    ] {
        let client = TlsClient::new(server_name);
        let response = ask(&envoy, "tls", &client, &Request::get("/").host(host));
        assert_eq!(response.status, status, "{server_name} {host}");
    }
    assert_eq!(
        count_of(&envoy, "rejected_total", "reason", "misdirected"),
        3
    );
    assert_eq!(count(&envoy, "unknown_sni_total"), 0);
    let nameless = TlsClient::new(SHOP).without_sni();
    let response = ask(&envoy, "tls", &nameless, &Request::get("/").host(SHOP));
    assert_eq!(
        (response.status, count(&envoy, "unknown_sni_total")),
        (200, 1)
    );
}

#[test]
fn one_connection_serves_its_own_name_again_after_a_421() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(shipped(&certificates, &app)).unwrap();
    let address = envoy.listener("tls").unwrap();
    let mut connection = Connection::open_tls(address, &certificates.client(SHOP)).unwrap();
    for (host, status) in [(SHOP, 200), (API, 421), (SHOP, 200)] {
        let response = connection.exchange(&Request::get("/").host(host)).unwrap();
        assert_eq!(response.status, status, "{host}");
    }
    assert_eq!(app.received().len(), 2);
}

#[test]
fn without_the_inspector_the_name_is_not_known_and_nothing_is_misdirected() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"misdirected": {"listeners": [SHOP, API]}});
    let blind = over_tls(&config, &certificates, &app).edit(|document| {
        document["static_resources"]["listeners"][0]["listener_filters"] = json!([]);
    });
    let envoy = Envoy::start(blind).unwrap();
    let response = ask(
        &envoy,
        "gateway",
        &TlsClient::new(SHOP),
        &Request::get("/").host(API),
    );
    assert_eq!(
        (response.status, count(&envoy, "unknown_sni_total")),
        (200, 1)
    );
}

#[test]
fn a_client_below_the_floor_gets_a_sentence_instead_of_a_broken_handshake() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    for (floor, old_status) in [("1.2", 200), ("1.3", 403)] {
        let gateway = over_tls(&json!({"min_version": floor}), &certificates, &app);
        let envoy = Envoy::start(gateway).unwrap();
        let answer = |client: TlsClient, request: Request| {
            ask(&envoy, "gateway", &client, &request.host(SHOP))
        };
        let (old, new) = (
            TlsClient::new(SHOP).version(&TLS12),
            TlsClient::new(SHOP).version(&TLS13),
        );
        let response = answer(old.clone(), Request::get("/"));
        assert_eq!(response.status, old_status, "{floor}");
        assert_eq!(
            response.all("strict-transport-security").len(),
            1,
            "{floor}"
        );
        assert_eq!(answer(new, Request::get("/")).status, 200, "{floor}");
        let versions =
            ["1.2", "1.3"].map(|version| count_of(&envoy, "requests_total", "version", version));
        assert_eq!(versions, [1, 1], "{floor}");
        let refused = count_of(&envoy, "rejected_total", "reason", "version");
        assert_eq!(refused, u64::from(old_status == 403), "{floor}");
        if old_status == 403 {
            assert_eq!(response.text(), "TLS 1.3 or later is required");
            let grpc = Request::new("POST", "/a.B/C").header("content-type", "application/grpc");
            let refusal = answer(old, grpc);
            assert_eq!(
                (refusal.status, refusal.header("grpc-status").as_deref()),
                (200, Some("7"))
            );
        }
    }
}

#[test]
fn the_shipped_listener_speaks_no_version_below_1_2_and_no_old_cipher() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let gateway = shipped(&certificates, &app);
    let text = gateway.document().to_string();
    for old in ["TLSv1_0", "TLSv1_1", "TLS_AUTO", "CBC", "-SHA]", "\"RC4"] {
        assert!(!text.contains(old), "{old}");
    }
    let envoy = Envoy::start(gateway).unwrap();
    for version in [&TLS12, &TLS13] {
        let client = certificates.client(SHOP).version(version);
        let response = ask(&envoy, "tls", &client, &Request::get("/").host(SHOP));
        assert_eq!(response.status, 200, "{version:?}");
    }
}
