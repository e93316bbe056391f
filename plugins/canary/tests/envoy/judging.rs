//! What convicts, how fast, and what does not.

use std::time::Duration;

use launchgate_harness::envoy::{Envoy, Reply, Request};
use serde_json::json;

use crate::gateway::{
    SOON, fail, failing, gateway, number, rollbacks, rolled_back, rollout, start, version,
};
use crate::traffic::Traffic;

const SECOND: Duration = Duration::from_secs(1);

/// Sends `rate` requests a second until the rollout is rolled back.
fn time_to_rollback(envoy: &Envoy, id: &str, rate: u32) -> Duration {
    let traffic = Traffic::start(envoy, id, rate);
    let took = traffic.until(SOON, || rolled_back(envoy, id));
    took.expect("rolled back")
}

/// Everybody gets stable, on every worker.
fn assert_all_stable(envoy: &Envoy, id: &str) {
    for mut connection in envoy.connection_per_worker(id).unwrap() {
        for _ in 0..50 {
            let answer = connection.exchange(&Request::get("/")).unwrap();
            assert_eq!(answer.text(), "stable");
        }
    }
}

#[test]
fn every_twentieth_failure_at_200_a_second_rolls_back_within_5_seconds() {
    let (canary, stable) = (failing("canary", 20), version("stable"));
    let envoy = start(&[rollout("r", 99.9999, &json!({}))], &canary, &stable);
    let took = time_to_rollback(&envoy, "r", 200);
    println!(
        "rolled back after {took:?}, {} requests of the canary",
        canary.received().len()
    );
    assert!(took < SECOND * 5, "{took:?}");
    assert_all_stable(&envoy, "r");
    assert_eq!(rollbacks(&envoy, "r", "errors"), 1);
}

#[test]
fn every_twentieth_failure_at_10_a_second_rolls_back_as_soon_as_min_requests_are_there() {
    let (canary, stable) = (failing("canary", 20), version("stable"));
    let envoy = start(&[rollout("r", 99.9999, &json!({}))], &canary, &stable);
    let took = time_to_rollback(&envoy, "r", 10);
    println!(
        "rolled back after {took:?}, {} requests of the canary",
        canary.received().len()
    );
    // 50 requests take 5 s.
    assert!(took < SECOND * 7, "{took:?}");
}

#[test]
fn a_late_fault_is_not_diluted_by_a_healthy_past() {
    let (canary, stable) = (version("canary"), version("stable"));
    let envoy = start(&[rollout("r", 99.9999, &json!({}))], &canary, &stable);
    let healthy = Traffic::start(&envoy, "r", 200);
    let convicted = healthy.until(SECOND * 8, || rolled_back(&envoy, "r"));
    assert_eq!(convicted, None, "a healthy canary");
    drop(healthy);
    fail(&canary, "canary", 20);
    let took = time_to_rollback(&envoy, "r", 200);
    println!("rolled back {took:?} after the fault began");
    assert!(took < SECOND * 5, "{took:?}");
}

#[test]
fn more_than_1_percent_of_slow_responses_convict() {
    let canary = version("canary");
    let stable = version("stable");
    canary.answer(Reply::status(200).latency(Duration::from_millis(60)));
    let limit = json!({"rollback": {"max_p99": "50ms"}});
    let envoy = start(&[rollout("r", 99.9999, &limit)], &canary, &stable);
    time_to_rollback(&envoy, "r", 30);
    assert_eq!(rollbacks(&envoy, "r", "slow"), 1);
    assert_all_stable(&envoy, "r");
}

#[test]
fn few_requests_and_a_shared_outage_prove_nothing() {
    let (canary, stable) = (failing("canary", 3), failing("stable", 3));
    let rollouts = [
        rollout("few", 99.9999, &json!({})),
        rollout("outage", 50.0, &json!({})),
    ];
    let envoy = start(&rollouts, &canary, &stable);
    let mut connections = envoy.connection_per_worker("few").unwrap();
    let few: Vec<u16> = (0..3)
        .map(|_| connections[0].exchange(&Request::get("/")).unwrap().status)
        .collect();
    assert_eq!(few, [200, 200, 500], "1 error in 3 requests");
    let outage = Traffic::start(&envoy, "outage", 200);
    // The judge looks twice a second: time for a dozen looks at both.
    let convicted = outage.until(SECOND * 6, || {
        rolled_back(&envoy, "few") || rolled_back(&envoy, "outage")
    });
    drop(outage);
    assert_eq!(convicted, None);
    let errors = |id: &str, variant: &str| {
        let labels = [("rollout", id), ("variant", variant)];
        number(&envoy, "errors_total", &labels)
    };
    assert_eq!(errors("few", "canary"), 1);
    assert!(errors("outage", "canary") > 50 && errors("outage", "stable") > 50);
}

#[test]
fn a_rollback_survives_a_reload_of_the_config_and_only_a_new_id_opens_again() {
    let (canary, stable) = (failing("canary", 2), version("stable"));
    // The value for stable tells which config is in force.
    let config = |id: &str, mark: &str| {
        let mut config = rollout("r", 99.9999, &json!({"steer": {"stable": mark}}));
        config["rollout"] = json!(id);
        config
    };
    let bootstrap = |id: &str, mark: &str| {
        let mut bootstrap = gateway(&[config(id, mark)], &canary, &stable);
        bootstrap = bootstrap.edit(|document| {
            document["static_resources"]["listeners"][0]["name"] = json!("r");
        });
        bootstrap
    };
    let dynamic = crate::operating::Dynamic::start(bootstrap("r", "first"));
    let envoy = &dynamic.envoy;
    time_to_rollback(envoy, "r", 50);
    let marks = |upstream: &launchgate_harness::envoy::Upstream| {
        upstream
            .received()
            .last()
            .and_then(|request| request.header("x-launchgate-variant"))
    };
    let reload = |id: &str, mark: &str| {
        dynamic.reload(bootstrap(id, mark));
        envoy.await_value(SOON, || {
            let answer = envoy.get("/")?;
            let by_stable = marks(&stable).as_deref() == Some(mark);
            let by_canary = answer.text() == "canary";
            Ok((by_stable || by_canary).then(|| answer.text()))
        })
    };
    assert_eq!(reload("r", "second").unwrap(), "stable");
    assert_all_stable(envoy, "r");
    assert_eq!(rollbacks(envoy, "r", "errors"), 1, "not convicted anew");
    assert_eq!(reload("r2", "third").unwrap(), "canary", "a new id");
}
