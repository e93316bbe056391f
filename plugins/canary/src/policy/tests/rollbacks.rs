//! What convicts, and what a conviction does.

use super::*;

#[test]
fn every_twentieth_failure_rolls_back_over_all_workers_and_outlives_a_reload() {
    let mut proxy = Proxy::start(HALF);
    proxy.seconds(2);
    let mut seconds = 0;
    while proxy.number(rolled_back()) == 0 {
        proxy.traffic(seconds * 400..seconds * 400 + 400, 20);
        proxy.seconds(1);
        seconds += 1;
        assert!(seconds <= 5, "not rolled back after 5 s");
    }
    assert_eq!(
        proxy.number("launchgate_canary_rollbacks_totalrollout=.=r;.;cause=.=errors;.;"),
        1
    );
    assert_eq!(proxy.traffic(0..400, 0), 0);
    assert!(proxy.0.iter().any(|worker| {
        worker
            .lines
            .iter()
            .any(|(level, line)| *level == Level::Error && line.contains("cause=errors"))
    }));
    let mut proxy = proxy.reload(&HALF.replace("1h", "2h"));
    assert_eq!(proxy.traffic(0..400, 0), 0, "a reload opens nothing");
    let mut proxy = proxy.reload(&HALF.replace("\"r\"", "\"r2\""));
    assert!(proxy.traffic(0..400, 0) > 100, "a new id does");
}

#[test]
fn what_proves_nothing_changes_nothing() {
    let mut silent = Proxy::start(HALF);
    silent.seconds(200);
    assert_eq!(silent.number(rolled_back()), 0, "no traffic");
    let mut few = Proxy::start(HALF);
    few.seconds(2);
    few.traffic(0..6, 3);
    few.seconds(100);
    assert_eq!(few.number(rolled_back()), 0, "1 error in 3 requests");
    let mut report =
        Proxy::start(&HALF.replace("\"rollout\"", "\"mode\": \"report\", \"rollout\""));
    report.seconds(2);
    for user in 0..400_u32 {
        let exchange = Exchange::get("/").header("x-user-id", user.to_string());
        let mut exchange = exchange
            .with(Attribute::ClusterName, "canary")
            .with_integer(Attribute::ResponseCode, 503)
            .with(Attribute::ResponseCodeDetails, "via_upstream");
        report.0[0].request(&mut exchange);
        report.0[0].end(&mut exchange);
    }
    report.seconds(5);
    assert_eq!(
        (
            report.number(rolled_back()),
            report.number("launchgate_canary_would_roll_back_totalcause=.=errors;.;")
        ),
        (0, 1)
    );
}

#[test]
fn a_conviction_at_full_share_or_without_a_stable_is_only_reported() {
    let full = |at_full: bool| {
        format!(
            r#"{{"rollout": "r", "stages": [{{"percent": 100}}], "rollback": {{"at_full": {at_full}}}}}"#
        )
    };
    for (at_full, rolled, withheld) in [(false, 0, 1), (true, 1, 0)] {
        let mut proxy = Proxy::start(&full(at_full));
        proxy.seconds(2);
        proxy.traffic(0..400, 2);
        proxy.seconds(5);
        assert_eq!(
            (
                proxy.number(rolled_back()),
                proxy.number("launchgate_canary_withheld_totalreason=.=full;.;")
            ),
            (rolled, withheld)
        );
    }
    let mut proxy = Proxy::start(HALF);
    proxy.seconds(2);
    for _ in 0..20 {
        end(&mut proxy, "stable", 200, 0, "via_upstream");
    }
    for _ in 0..3 {
        end(&mut proxy, "stable", 503, 1 << 1, "no_healthy_upstream");
    }
    for user in 0..200 {
        end_of(
            &mut proxy,
            &user.to_string(),
            "canary",
            500,
            0,
            "via_upstream",
        );
    }
    proxy.seconds(3);
    assert_eq!(
        (
            proxy.number(rolled_back()),
            proxy.number("launchgate_canary_withheld_totalreason=.=stable_empty;.;")
        ),
        (0, 1)
    );
}

#[test]
fn a_gradual_rollback_lets_users_go_bit_by_bit() {
    let mut proxy = Proxy::start(&HALF.replace(
        "\"rollout\"",
        "\"rollback\": {\"gradual\": \"100s\"}, \"rollout\"",
    ));
    proxy.seconds(2);
    let before = proxy.traffic(0..1000, 2);
    proxy.seconds(1);
    assert_eq!(proxy.number(rolled_back()), 1);
    proxy.seconds(50);
    let half = proxy.traffic(0..1000, 0);
    assert!(
        (before * 4 / 10..before * 6 / 10).contains(&half),
        "{before} {half}"
    );
    for worker in &mut proxy.0 {
        worker.now.wall = Timestamp::from_seconds(1_795_348_800);
    }
    assert!(
        proxy.traffic(0..1000, 0) <= half,
        "a clock that goes back raises nothing"
    );
    proxy.advance(Duration::from_secs(200));
    assert_eq!(proxy.traffic(0..1000, 0), 0);
}
