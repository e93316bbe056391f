//! Checks in the background, by all workers together.

use super::*;

#[test]
fn a_state_changes_by_the_thresholds_and_is_counted() {
    let mut gateway = load(TWO);
    check(&mut gateway, both);
    for expected in [200, 200, 503] {
        check(&mut gateway, |cluster| {
            if cluster == "envoy_admin" {
                redis(false)
            } else {
                Answer::Timeout
            }
        });
        assert_eq!(status(&mut gateway, "/readyz"), Some(expected));
    }
    check(&mut gateway, both);
    assert_eq!(
        status(&mut gateway, "/readyz"),
        Some(200),
        "one success is enough"
    );
    let number = |stat: &str| gateway.shared.number(stat);
    assert_eq!(
        number("launchgate_health_checks_totaldependency=.=database;.;result=.=failure;.;"),
        3
    );
    assert_eq!(
        number("launchgate_health_checks_totaldependency=.=database;.;result=.=success;.;"),
        2
    );
    assert_eq!(
        number("launchgate_health_dependency_updependency=.=database;.;"),
        1
    );
    assert_eq!(
        number("launchgate_health_replies_totalendpoint=.=ready;.;status=.=503;.;"),
        1
    );
    let lines: Vec<_> = gateway
        .lines
        .iter()
        .map(|(level, line)| (*level, line.as_str()))
        .filter(|(_, line)| line.contains("database"))
        .collect();
    assert_eq!(
        lines,
        [
            (
                Level::Info,
                "dependency became connected, dependency=database"
            ),
            (
                Level::Warn,
                "dependency became unavailable, dependency=database reason=timeout"
            ),
            (
                Level::Info,
                "dependency became connected, dependency=database"
            ),
        ]
    );
}

#[test]
fn eight_workers_make_one_check_an_interval() {
    let shared = Shared::default();
    let worker = |seed| Gateway::load_with(TWO, &Environment::new(), shared.clone(), seed).unwrap();
    let mut workers: Vec<Gateway> = (1..=9).map(worker).collect();
    let mut by_worker = [0; 9];
    let mut run = |workers: &mut Vec<Gateway>, millis: usize| {
        let mut checks = 0;
        for step in 0..millis / 10 {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.advance(Duration::from_millis(10));
                // Each ticks five times a second at a phase of its own.
                if step % 20 == index * 2 {
                    worker.tick();
                }
                while let Some((_, call)) = worker.calls.first() {
                    checks += usize::from(call.cluster == "db-health");
                    by_worker[index] += 1;
                    let answer = both(&call.cluster.clone());
                    worker.answer(answer);
                }
            }
        }
        checks
    };
    assert!((1..=2).contains(&run(&mut workers, 1000)));
    let checks = run(&mut workers, 20_000);
    assert!(
        (19..=21).contains(&checks),
        "{checks} checks in 20 intervals"
    );
    let holder = (0..9).find(|index| by_worker[*index] > 0).unwrap();
    assert_eq!(
        by_worker.iter().filter(|count| **count > 0).count(),
        1,
        "one holder makes all checks: {by_worker:?}"
    );
    workers.remove(holder);
    let run = |workers: &mut Vec<Gateway>| {
        (0..300).find(|step| {
            for (index, worker) in workers.iter_mut().enumerate() {
                worker.advance(Duration::from_millis(10));
                if step % 20 == index * 2 {
                    worker.tick();
                }
            }
            workers.iter().any(|worker| !worker.calls.is_empty())
        })
    };
    let steps = run(&mut workers).expect("another worker takes over within 3 intervals");
    assert!(steps <= 180, "after {steps}0 ms");
}

#[test]
fn every_worker_answers_from_the_shared_record() {
    let shared = Shared::default();
    let mut first = Gateway::load_with(TWO, &Environment::new(), shared.clone(), 1).unwrap();
    let mut second = Gateway::load_with(TWO, &Environment::new(), shared, 2).unwrap();
    check(&mut first, both);
    second.now = first.now;
    assert_eq!(
        (status(&mut second, "/healthz"), second.calls.len()),
        (Some(200), 0)
    );
}

#[test]
fn passive_dependencies_are_judged_by_live_traffic() {
    let config = r#"{"dependencies": [{"name": "pay", "kind": "passive", "cluster": "payments", "interval": "1s", "failure_threshold": 1, "min_requests": 4}]}"#;
    let mut gateway = load(config);
    let window = |gateway: &mut Gateway, answers: &[(&str, &str, u64)]| {
        for (cluster, code, flags) in answers {
            let exchange = Exchange::get("/pay")
                .respond(&[(":status", code)])
                .with(Attribute::ClusterName, cluster);
            let exchange = exchange
                .with_integer(Attribute::ResponseFlags, *flags)
                .with_integer(Attribute::ResponseCode, code.parse().unwrap());
            let reached = if *flags == 0 { "192.0.2.9:80" } else { "" };
            send(gateway, exchange.with(Attribute::UpstreamAddress, reached));
        }
        for _ in 0..12 {
            gateway.advance(Duration::from_millis(100));
            gateway.tick();
        }
        status(gateway, "/readyz")
    };
    assert_eq!(status(&mut gateway, "/readyz"), Some(503), "not judged yet");
    assert_eq!(
        window(&mut gateway, &[]),
        Some(200),
        "no traffic is no evidence"
    );
    assert_eq!(
        window(&mut gateway, &[("payments", "500", 0); 3]),
        Some(200),
        "too few"
    );
    assert_eq!(
        window(&mut gateway, &[("other", "500", 0); 9]),
        Some(200),
        "another cluster"
    );
    assert_eq!(
        window(&mut gateway, &[("payments", "503", 1 << 11); 9]),
        Some(200),
        "a rate limit of the gateway's own"
    );
    assert_eq!(
        window(&mut gateway, &[("payments", "503", 1 << 5); 4]),
        Some(503),
        "connection failures"
    );
    assert_eq!(
        window(
            &mut gateway,
            &[
                ("payments", "200", 0),
                ("payments", "404", 0),
                ("payments", "500", 0),
                ("payments", "200", 0)
            ]
        ),
        Some(200)
    );
    assert_eq!(
        gateway
            .shared
            .number("launchgate_health_observed_totaldependency=.=pay;.;result=.=failure;.;"),
        8
    );
}
