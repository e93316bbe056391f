//! Who may say that a request came over TLS. A load balancer in front sends both `x-forwarded-for` and `x-forwarded-proto`:
//! Envoy then takes the peer's address from the former, and only the filter state tells who is really there.

use launchgate_harness::envoy::{Envoy, Launch, Reply, Request, Upstream};
use serde_json::json;

use crate::gateway::{count, count_of, direct_peer, manager, plain};

const CLAIMS: &str = "outside of trusted_proxies";

/// A gateway behind a proxy; `direct` keeps the address of the connection itself in filter state.
fn behind(app: &Upstream, trusted: &str, hops: u32, direct: bool) -> Envoy {
    let config = json!({"trusted_proxies": [trusted]});
    let gateway = manager(plain(&config, app), |manager| {
        manager["xff_num_trusted_hops"] = json!(hops);
        if direct {
            let filters = manager["http_filters"].as_array_mut().unwrap();
            filters.insert(0, direct_peer());
        }
    });
    Launch::new(gateway).concurrency(2).start().unwrap()
}

fn forwarded() -> Request {
    Request::get("/")
        .header("x-forwarded-for", "203.0.113.7")
        .header("x-forwarded-proto", "https")
}

#[test]
fn a_load_balancer_is_trusted_by_the_address_of_its_connection() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = behind(&app, "127.0.0.0/8", 1, true);
    for (host, hsts) in [("127.0.0.1", 0), ("shop.example.org", 1)] {
        let response = envoy.send(&forwarded().host(host)).unwrap();
        let sent = response.all("strict-transport-security").len();
        assert_eq!((response.status, sent), (200, hsts), "{host}");
    }
    let earlier_hop = forwarded().header("x-forwarded-proto", "http");
    assert_eq!(
        envoy.send(&earlier_hop).unwrap().status,
        301,
        "the last value counts: it is the balancer's own"
    );
    assert_eq!(count(&envoy, "untrusted_proto_total"), 0);
    assert_eq!(
        count_of(&envoy, "requests_total", "version", "forwarded"),
        2
    );
}

#[test]
fn a_claim_of_anybody_else_is_redirected_counted_and_logged_once_a_minute() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    for (trusted, direct, peer) in [
        // An address from a header proves nothing, be it in the range or not.
        ("203.0.113.0/24", false, "peer=203.0.113.7"),
        ("127.0.0.0/8", false, "peer=203.0.113.7"),
        ("10.0.0.0/8", true, "peer=127.0.0.1"),
    ] {
        let envoy = behind(&app, trusted, 1, direct);
        for mut worker in envoy.connection_per_worker("gateway").unwrap() {
            for _ in 0..5 {
                assert_eq!(worker.exchange(&forwarded()).unwrap().status, 301);
            }
        }
        assert_eq!(count(&envoy, "untrusted_proto_total"), 10, "{trusted}");
        let reason = count_of(&envoy, "redirects_total", "reason", "untrusted_proto");
        assert_eq!(reason, 10, "{trusted}");
        let (_, log) = envoy.stop().unwrap();
        let lines: Vec<&str> = log
            .iter()
            .map(|line| line.text.as_str())
            .filter(|text| text.contains(CLAIMS))
            .collect();
        assert_eq!(lines.len(), 1, "{trusted}: {lines:#?}");
        assert!(lines[0].contains(peer), "{trusted}: {}", lines[0]);
    }
    assert_eq!(app.received().len(), 0);
}

#[test]
fn envoy_itself_overwrites_the_claim_where_no_hop_is_trusted() {
    let app = Upstream::always(Reply::status(200)).unwrap();
    let envoy = behind(&app, "127.0.0.0/8", 0, false);
    assert_eq!(envoy.send(&forwarded()).unwrap().status, 301);
    assert_eq!(count(&envoy, "untrusted_proto_total"), 0);
}
