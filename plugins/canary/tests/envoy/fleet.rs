//! Several proxies with Prometheus as their memory.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use launchgate_harness::envoy::{Envoy, Upstream};
use serde_json::json;

use crate::gateway::{
    SOON, failing, gateway, launch, number, rollbacks, rolled_back, rollout, version,
};
use crate::prometheus::Prometheus;
use crate::traffic::Traffic;

/// A proxy of the fleet, and where its numbers are read.
fn proxy(canary: &Upstream, stable: &Upstream, prometheus: SocketAddr) -> (Envoy, SocketAddr) {
    let more = json!({"fleet": {"cluster": "prometheus", "interval": "1s"}});
    let bootstrap = gateway(&[rollout("r", 99.9999, &more)], canary, stable);
    let envoy = launch(bootstrap.endpoint("prometheus", prometheus));
    let admin = envoy.admin().forward().unwrap();
    (envoy, admin)
}

fn polls(envoy: &Envoy, result: &str) -> u64 {
    let labels = [("target", "fleet"), ("result", result)];
    number(envoy, "polls_total", &labels)
}

#[test]
fn one_proxys_rollback_stops_the_other_and_a_restarted_one_relearns_it() {
    let (healthy, bad, stable) = (version("canary"), failing("canary", 10), version("stable"));
    let prometheus = Prometheus::start();
    let (first, first_admin) = proxy(&bad, &stable, prometheus.address);
    let (second, second_admin) = proxy(&healthy, &stable, prometheus.address);
    prometheus.scrape(&[first_admin, second_admin]);
    for envoy in [&first, &second] {
        let known = || Ok((polls(envoy, "success") > 1).then_some(()));
        envoy.await_value(SOON, known).unwrap();
        assert!(!rolled_back(envoy, "r"));
    }
    assert_eq!(second.get("/").unwrap().text(), "canary");

    let traffic = Traffic::start(&first, "r", 100);
    traffic.until(SOON, || rolled_back(&first, "r")).unwrap();
    let found = Instant::now();
    drop(traffic);
    let follows = || Ok(rolled_back(&second, "r").then_some(()));
    second.await_value(SOON, follows).unwrap();
    let took = found.elapsed();
    println!("the second proxy followed after {took:?}");
    // A scrape and a poll, one second each, and the tick of half a second before each; the rest is for a busy machine.
    assert!(took < Duration::from_secs(6), "{took:?}");
    assert_eq!(second.get("/").unwrap().text(), "stable");
    assert_eq!(
        (
            rollbacks(&first, "r", "errors"),
            rollbacks(&second, "r", "fleet")
        ),
        (1, 1)
    );

    drop((first, second));
    let (restarted, _) = proxy(&healthy, &stable, prometheus.address);
    let relearns = || Ok(rolled_back(&restarted, "r").then_some(()));
    restarted.await_value(SOON, relearns).unwrap();
    assert_eq!(restarted.get("/").unwrap().text(), "stable");
    assert_eq!(rollbacks(&restarted, "r", "fleet"), 1);

    let address = prometheus.address;
    drop(prometheus);
    let (alone, _) = proxy(&healthy, &stable, address);
    let counted = || Ok((polls(&alone, "unreachable") > 2).then_some(()));
    alone.await_value(SOON, counted).unwrap();
    assert!(!rolled_back(&alone, "r"), "Prometheus away changes nothing");
    assert_eq!(alone.get("/").unwrap().text(), "canary");
}
