//! What the simulation says, held to it; and how users are shared out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test stops at the first surprise"
)]

#[path = "../examples/simulation/model/mod.rs"]
mod model;

use std::ops::Range;

use launchgate_canary::Canary;
use launchgate_sdk::Member;
use launchgate_sdk::fake::{Exchange, Host};
use model::{Fault, Healthy, Scenario, convicted, run};

/// At 0.5 % in both versions: at most 1 of 100 whole schedules.
fn is_let_live(rate: u32) {
    let (errors, slow) = (5000, 0);
    let convicted = convicted(100, Healthy { rate, errors, slow });
    assert!(convicted <= 1, "{convicted} of 100 at {rate}/s");
}

#[test]
fn a_healthy_canary_with_1_then_5_requests_a_second_is_let_live() {
    is_let_live(20);
}

#[test]
fn a_healthy_canary_with_25_then_125_requests_a_second_is_let_live() {
    is_let_live(500);
}

#[test]
fn a_bad_canary_is_stopped_in_seconds_where_controllers_take_minutes() {
    let run = run(&Scenario::new(2, 200, 50, Fault::errors(80_000)), 7);
    let (plugin, flagger, argo) = (run.plugin.unwrap(), run.flagger.unwrap(), run.argo.unwrap());
    assert!(plugin.halves <= 10, "{plugin:?}");
    assert_eq!((flagger.halves, argo.halves), (5 * 120, 20 * 120));
    assert!(
        plugin.failed * 20 < flagger.failed && flagger.failed < argo.failed,
        "{run:?}"
    );
}

#[test]
fn a_canary_that_becomes_slow_is_stopped_in_seconds_too() {
    let fault = Fault::slow(80_000).from(90);
    let stop = run(&Scenario::new(1, 200, 50, fault), 11).plugin.unwrap();
    assert!((1..=10).contains(&stop.halves), "{stop:?}");
}

#[test]
fn what_one_proxy_finds_stops_all_after_a_scrape_and_a_poll() {
    let scenario = Scenario::new(3, 40, 5, Fault::errors(50_000));
    let halves = |scenario: &Scenario| -> u32 {
        let stop = |seed| run(scenario, seed).plugin.unwrap();
        (1..=5).map(|seed| stop(seed).halves).sum()
    };
    let (alone, together) = (halves(&scenario), halves(&scenario.scraped(5)));
    assert!(together < alone, "{together} {alone}");
}

#[test]
fn a_shared_outage_stops_no_canary() {
    let run = run(
        &Scenario::new(1, 100, 25, Fault::errors(300_000).of_both()),
        5,
    );
    assert_eq!(run.plugin, None);
}

/// Which users get the canary of a rollout, on a proxy of its own.
fn canaries(rollout: &str, percent: u32, users: Range<u32>) -> Vec<bool> {
    let config = format!(
        r#"{{"rollout": "{rollout}", "secret": "a secret of 16 bytes", "key": [{{"header": "x-user-id"}}], "stages": [{{"percent": {percent}}}]}}"#
    );
    let mut host = Host::<Member<Canary>>::load(&config).unwrap();
    let users = users.map(|user| {
        let mut exchange = Exchange::get("/").header("x-user-id", format!("user-{user}"));
        host.request(&mut exchange);
        exchange.facts.request.text("x-launchgate-variant") == Some("canary")
    });
    users.collect()
}

#[test]
fn a_million_users_share_as_configured_and_rollouts_are_independent() {
    const USERS: u32 = 1_000_000;
    let (one, other) = (
        canaries("one", 5, 0..USERS),
        canaries("other", 25, 0..USERS),
    );
    let percent = |flags: &mut dyn Iterator<Item = bool>| {
        f64::from(u32::try_from(flags.filter(|canary| *canary).count()).unwrap()) / f64::from(USERS)
            * 100.0
    };
    let (five, quarter) = (
        percent(&mut one.iter().copied()),
        percent(&mut other.iter().copied()),
    );
    assert!((five - 5.0).abs() < 0.1, "{five}");
    assert!((quarter - 25.0).abs() < 0.1, "{quarter}");
    // Independent: 5 % of 25 %.
    let both = percent(&mut one.iter().zip(&other).map(|(one, other)| *one && *other));
    assert!((both - 1.25).abs() < 0.1, "{both}");
    let grown = canaries("one", 25, 0..100_000);
    assert!(
        one.iter()
            .zip(&grown)
            .all(|(before, after)| !before || *after),
        "the 5 % are inside the 25 %"
    );
    assert_eq!(canaries("one", 25, 0..100_000), grown, "every proxy agrees");
}
