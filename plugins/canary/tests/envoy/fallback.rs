//! A canary that cannot be reached.

use launchgate_harness::envoy::Request;
use serde_json::json;

use crate::gateway::{SOON, gateway, launch, listeners, number, rollout, start, version};

#[test]
fn requests_fall_back_to_stable_while_the_canary_refuses_connections() {
    let (canary, stable) = (version("canary"), version("stable"));
    let more = json!({
        "match": [{"headers": {"x-canary": {"exact": "always"}}}],
        "fallback": {"after": 3, "retry": "2s"},
    });
    let envoy = start(&[rollout("r", 0.0, &more)], &canary, &stable);
    let request = Request::get("/").header("x-canary", "always");
    let always = || envoy.send(&request).unwrap();
    assert_eq!(always().text(), "canary");
    canary.refuse();
    let statuses: Vec<u16> = (0..4).map(|_| always().status).collect();
    assert_eq!(statuses, [503, 503, 503, 200]);
    let active = || number(&envoy, "fallback_active", &[("rollout", "r")]);
    assert_eq!((active(), always().text().as_str()), (1, "stable"));
    canary.accept().unwrap();
    let back = envoy.await_value(SOON, || Ok((always().text() == "canary").then_some(())));
    assert!(back.is_ok(), "the canary is tried again");
    assert_eq!((active(), number(&envoy, "fallbacks_total", &[])), (0, 1));
}

#[test]
fn requests_fall_back_to_stable_while_the_admin_interface_shows_no_healthy_canary() {
    let (canary, stable) = (version("canary"), version("stable"));
    let more = json!({
        "match": [{"headers": {"x-canary": {"exact": "always"}}}],
        "fallback": {"after": 0, "admin_cluster": "envoy_admin", "interval": "1s"},
    });
    let bootstrap = gateway(&[rollout("r", 0.0, &more)], &canary, &stable)
        .admin_cluster("envoy_admin")
        .edit(|document| {
            let clusters = document["static_resources"]["clusters"].as_array_mut();
            let canary = clusters.unwrap().iter_mut().find(|cluster| cluster["name"] == "canary");
            canary.unwrap()["health_checks"] = json!([{"timeout": "1s", "interval": "0.1s", "no_traffic_interval": "0.1s",
                "unhealthy_threshold": 1, "healthy_threshold": 1, "tcp_health_check": {}}]);
            assert_eq!(listeners(document).len(), 1);
        });
    let envoy = launch(bootstrap);
    let request = Request::get("/").header("x-canary", "always");
    let served = |expected: &str| {
        envoy.await_value(SOON, || {
            let text = envoy.send(&request)?.text();
            Ok((text == expected).then_some(()))
        })
    };
    served("canary").unwrap();
    canary.refuse();
    served("stable").unwrap();
    let active = || number(&envoy, "fallback_active", &[("rollout", "r")]);
    assert_eq!(active(), 2);
    canary.accept().unwrap();
    served("canary").unwrap();
    assert_eq!(active(), 0);
}
