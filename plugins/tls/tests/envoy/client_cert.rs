//! Client certificates: what proves one, and what a client may not say of one.

use launchgate_harness::envoy::{
    Authority, Bootstrap, Envoy, Identity, Reply, Request, TlsClient, Upstream,
};
use serde_json::{Value, json};

use crate::gateway::{
    Certificates, SHOP, ask, count_of, digest, manager, over_tls, shipped, tls_context,
};

const SPIFFE: &str = "spiffe://example.org/ns/a/sa/b";

/// The status of `path`, and the values of `x-forwarded-client-cert` and `ssl-client-verify` that the service saw.
type Seen = (u16, Option<(Vec<String>, Vec<String>)>);

fn send(envoy: &Envoy, listener: &str, identity: Option<&Identity>, path: &str) -> u16 {
    let mut client = TlsClient::new(SHOP);
    if let Some(identity) = identity {
        client = client.identity(identity);
    }
    let forged = Request::get(path)
        .host(SHOP)
        .header("x-forwarded-client-cert", "Hash=forged")
        .header("ssl-client-verify", "SUCCESS");
    ask(envoy, listener, &client, &forged).status
}

fn seen(app: &Upstream, envoy: &Envoy, identity: Option<&Identity>, path: &str) -> Seen {
    app.forget();
    let status = send(envoy, "gateway", identity, path);
    let received = app.received();
    let values = |name: &str| received.first().map(|first| first.all(name));
    let both = values("x-forwarded-client-cert").zip(values("ssl-client-verify"));
    (status, both)
}

/// A TLS listener that asks for a client certificate, in front of a plugin with these rules.
fn asking(
    config: &Value,
    certificates: &Certificates,
    app: &Upstream,
    verification: &str,
) -> Bootstrap {
    let context = json!({
        "trusted_ca": {"filename": certificates.file("ca.crt")},
        "trust_chain_verification": verification,
    });
    let gateway = tls_context(over_tls(config, certificates, app), |tls| {
        tls["validation_context"] = context;
    });
    manager(gateway, |manager| {
        manager["forward_client_cert_details"] = json!("ALWAYS_FORWARD_ONLY");
    })
}

#[test]
fn a_certificate_counts_where_the_listener_validates_it() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"client_cert": [{"path": "/internal/", "listener_validates": true}]});
    let gateway = asking(&config, &certificates, &app, "VERIFY_TRUST_CHAIN");
    let envoy = Envoy::start(gateway).unwrap();
    let own = certificates.authority.client("client.example.org").unwrap();
    for path in [
        "/internal/x",
        "/x/../internal/x",
        "/x/%2e%2e/internal/x",
        "//internal/x",
    ] {
        assert_eq!(seen(&app, &envoy, None, path), (403, None), "{path}");
    }
    assert_eq!(
        count_of(&envoy, "rejected_total", "reason", "client_cert"),
        4
    );
    assert_eq!(
        seen(&app, &envoy, None, "/"),
        (200, Some((vec![], vec![]))),
        "what a client says of a certificate goes"
    );
    let forwarded = vec!["Hash=forged".to_owned()];
    assert_eq!(
        seen(&app, &envoy, Some(&own), "/internal/x"),
        (200, Some((forwarded, vec![]))),
        "Envoy's own header stays, as its forward_client_cert_details says"
    );
}

#[test]
fn an_unverified_certificate_counts_by_its_digest_only() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let own = certificates.authority.client("client.example.org").unwrap();
    let stranger = Authority::new("stranger").unwrap();
    let stranger = stranger.client("client.example.org").unwrap();
    let colons = digest(&own)
        .to_uppercase()
        .as_bytes()
        .chunks(2)
        .map(|pair| String::from_utf8_lossy(pair).into_owned())
        .collect::<Vec<_>>()
        .join(":");
    for pinned in [digest(&own), colons] {
        let config = json!({"client_cert": [{"path": "/internal/", "sha256": [pinned]}]});
        let gateway = asking(&config, &certificates, &app, "ACCEPT_UNTRUSTED");
        let envoy = Envoy::start(gateway).unwrap();
        assert_eq!(seen(&app, &envoy, Some(&own), "/internal/x").0, 200);
        assert_eq!(
            seen(&app, &envoy, Some(&stranger), "/internal/x"),
            (403, None)
        );
        assert_eq!(
            seen(&app, &envoy, Some(&stranger), "/"),
            (200, Some((vec![], vec![]))),
            "a stranger's forged header goes"
        );
    }
}

#[test]
fn a_uri_of_the_certificate_is_compared_byte_for_byte() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let config = json!({"client_cert": [{"path": "/internal/", "uri_san": [SPIFFE], "listener_validates": true}]});
    let gateway = asking(&config, &certificates, &app, "VERIFY_TRUST_CHAIN");
    let envoy = Envoy::start(gateway).unwrap();
    let workload = |uri| certificates.authority.workload("client", uri).unwrap();
    for (uri, status) in [
        (SPIFFE, 200),
        ("spiffe://example.org/ns/a/sa/bb", 403),
        ("spiffe://example.org/ns/a/sa/B", 403),
    ] {
        let identity = workload(uri);
        assert_eq!(
            seen(&app, &envoy, Some(&identity), "/internal/x").0,
            status,
            "{uri}"
        );
    }
    let nameless = certificates.authority.client("client").unwrap();
    assert_eq!(
        seen(&app, &envoy, Some(&nameless), "/internal/x"),
        (403, None)
    );
}

#[test]
fn the_shipped_gateway_tells_the_service_which_certificate_it_saw() {
    let certificates = Certificates::new();
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = Envoy::start(shipped(&certificates, &app)).unwrap();
    let own = certificates.authority.workload("client", SPIFFE).unwrap();
    assert_eq!(send(&envoy, "tls", None, "/internal/x"), 403);
    assert_eq!(send(&envoy, "tls", Some(&own), "/internal/x"), 200);
    let received = app.received();
    let told = received[0].header("x-forwarded-client-cert").unwrap();
    let expected = format!("Hash={};Subject=\"CN=client\";URI={SPIFFE}", digest(&own));
    assert_eq!(told, expected);
}
