//! Floods, limits, a Sentry that is down.

use super::*;

#[test]
fn ten_thousand_equal_failures_on_four_workers_are_the_throttles_number_of_events_and_one_summary()
{
    let mut proxy = Proxy::start(4, DSN);
    for number in 0..10_000_usize {
        run(&mut proxy.workers[number % 4], failing("/a", "500"));
        if number % 500 == 499 {
            proxy.pass_well(1, 250);
        }
    }
    proxy.pass_well(4, 250);
    let events = proxy.items("event");
    assert_eq!(events.len(), 5);
    assert!(
        events
            .iter()
            .all(|event| event["fingerprint"] == events[0]["fingerprint"]),
        "one issue"
    );
    proxy.pass_well(2, 60_000);
    let [summary] = &proxy.items("event")[5..] else {
        panic!("one summary")
    };
    assert_eq!(
        (
            &summary["extra"]["suppressed_count"],
            &summary["fingerprint"]
        ),
        (&9_995.into(), &events[0]["fingerprint"])
    );
    proxy.pass_well(2, 30_000);
    assert_eq!(proxy.losses("event_processor", "error"), 9_995);
    assert_eq!(
        proxy.number(
            "launchgate_errors_discarded_totalreason=.=event_processor;.;category=.=error;.;"
        ),
        9_995
    );
    assert_eq!(
        (
            proxy.number("launchgate_errors_sent_totalcategory=.=error;.;"),
            proxy.number("launchgate_errors_exchanges_total")
        ),
        (6, 10_000)
    );
}

#[test]
fn two_dead_clusters_are_two_issues_whatever_the_route() {
    let mut proxy = Proxy::start(2, DSN);
    for (number, cluster) in ["one", "two", "one", "two"].iter().enumerate() {
        for path in ["/a", "/b/7", "/c"] {
            let status = ["502", "503", "504"][number % 3];
            run(
                &mut proxy.workers[number % 2],
                failing(path, status)
                    .with(Attribute::ClusterName, cluster)
                    .with_integer(Attribute::ResponseFlags, FLAGS_UF),
            );
        }
    }
    proxy.pass_well(4, 250);
    let mut issues: Vec<String> = proxy
        .items("event")
        .iter()
        .map(|event| event["fingerprint"].to_string())
        .collect();
    issues.sort();
    issues.dedup();
    assert_eq!(
        issues,
        [
            r#"["gateway","availability","one"]"#,
            r#"["gateway","availability","two"]"#
        ]
    );
}

#[test]
fn a_client_that_leaves_early_makes_no_other_issue_of_the_same_failure() {
    let mut proxy = Proxy::start(1, DSN);
    for flags in [0, 1 << 14, 1 << 28] {
        run(
            &mut proxy.workers[0],
            failing("/a", "500").with_integer(Attribute::ResponseFlags, flags),
        );
    }
    proxy.pass_well(4, 250);
    let issues: Vec<Value> = proxy
        .items("event")
        .iter()
        .map(|event| event["fingerprint"].clone())
        .collect();
    assert_eq!(issues, vec![issues[0].clone(); 3]);
}

#[test]
fn after_a_429_no_worker_sends_and_then_the_exact_losses_are_reported() {
    let mut proxy = Proxy::start(3, DSN);
    run(&mut proxy.workers[0], failing("/first", "500"));
    proxy.pass(1, 250, &mut |_| response(429, &[("retry-after", "60")]));
    assert_eq!(proxy.sent.len(), 1);
    for (worker, path) in [(0, "/a"), (1, "/b"), (1, "/c"), (2, "/d")] {
        run(&mut proxy.workers[worker], failing(path, "500"));
    }
    proxy.pass(59, 1000, &mut |call| panic!("{} was called", call.cluster));
    proxy.pass_well(40, 1000);
    assert_eq!(proxy.items("event").len(), 1, "what was limited is gone");
    assert_eq!(
        proxy.losses("ratelimit_backoff", "error"),
        4,
        "the refused one is counted by Sentry itself"
    );
    run(&mut proxy.workers[1], failing("/e", "500"));
    proxy.pass_well(1, 250);
    assert_eq!(proxy.items("event").len(), 2, "and then events go again");
}

#[test]
fn limits_of_other_categories_let_errors_through() {
    let mut proxy = Proxy::start(1, &format!(r#"{DSN}, "traces_sample_rate": 1"#));
    for path in ["/a", "/b"] {
        run(&mut proxy.workers[0], failing(path, "500"));
        proxy.pass(4, 250, &mut |_| {
            response(
                200,
                &[(
                    "x-sentry-rate-limits",
                    "86400:transaction;span:organization",
                )],
            )
        });
    }
    assert_eq!(
        (proxy.items("event").len(), proxy.items("transaction").len()),
        (2, 0)
    );
    proxy.pass_well(1, 30_000);
    assert_eq!(
        (
            proxy.losses("ratelimit_backoff", "transaction"),
            proxy.losses("ratelimit_backoff", "span")
        ),
        (2, 2)
    );
}

#[test]
fn each_bad_end_of_a_call_is_counted_as_what_it_is() {
    for (name, answers, calls, reason, lost) in [
        ("413 is final", vec![response(413, &[])], 1, "send_error", 1),
        ("500 is final", vec![response(500, &[])], 1, "send_error", 1),
        (
            "503 of Sentry itself is final",
            vec![response(503, &[("date", "x"), ("via", "y"), ("x", "z")])],
            1,
            "send_error",
            1,
        ),
        (
            "a network error is tried three times",
            vec![Answer::Timeout, Answer::Unreachable, Answer::Reset],
            3,
            "network_error",
            1,
        ),
        (
            "an unknown cluster too",
            vec![Answer::NotSent, Answer::NotSent, Answer::NotSent],
            3,
            "network_error",
            1,
        ),
        (
            "and succeeds when it works again",
            vec![Answer::Unreachable, response(200, &[])],
            2,
            "network_error",
            0,
        ),
    ] {
        let mut proxy = Proxy::start(1, DSN);
        run(&mut proxy.workers[0], failing("/a", "500"));
        let mut answers = answers.into_iter();
        proxy.pass(20, 1_000, &mut |_| {
            answers.next().unwrap_or_else(|| response(200, &[]))
        });
        assert_eq!(proxy.sent.len(), calls, "{name}");
        proxy.pass_well(2, 30_000);
        assert_eq!(proxy.losses(reason, "error"), lost, "{name}");
    }
}

#[test]
fn the_queue_is_bounded_while_sentry_hangs_and_every_loss_is_counted() {
    let mut proxy = Proxy::start(
        1,
        &format!(r#"{DSN}, "queue": {{"max_events": 10}}, "traces_sample_rate": 1"#),
    );
    let worker = &mut proxy.workers[0];
    for number in 0..30 {
        let letter = char::from(b'a' + number);
        run(worker, failing(&format!("/{letter}"), "500"));
        worker.tick();
    }
    assert_eq!(worker.calls.len(), 1, "one call at a time");
    let overflow = |category: &str| {
        format!(
            "launchgate_errors_discarded_totalreason=.=queue_overflow;.;category=.={category};.;"
        )
    };
    let (errors, transactions) = (
        proxy.number(&overflow("error")),
        proxy.number(&overflow("transaction")),
    );
    assert_eq!(errors + transactions, 60 - 10);
    assert_eq!(proxy.number(&overflow("span")), transactions);
    assert!(transactions >= 25, "transactions give way: {transactions}");
}

#[test]
fn a_client_report_that_does_not_arrive_is_put_back() {
    let mut proxy = Proxy::start(1, &format!(r#"{DSN}, "sample_rate": 0"#));
    for _ in 0..7 {
        run(&mut proxy.workers[0], failing("/a", "500"));
    }
    proxy.pass_well(1, 250);
    proxy.pass(1, 30_000, &mut |_| Answer::Reset);
    assert_eq!(proxy.sent.len(), 1);
    proxy.pass_well(2, 30_000);
    let reports = proxy.items("client_report");
    assert_eq!(reports.len(), 2);
    assert_eq!(
        reports[1]["discarded_events"],
        serde_json::json!([{"reason": "sample_rate", "category": "error", "quantity": 7}])
    );
    assert_eq!(
        proxy.sent[1]
            .headers
            .iter()
            .find(|(name, _)| name == "x-sentry-auth")
            .unwrap()
            .1
            .expose(),
        concat!(
            "Sentry sentry_version=7, sentry_client=launchgate.errors/",
            env!("CARGO_PKG_VERSION"),
            ", sentry_key=k3y"
        )
    );
}

#[test]
fn nothing_is_sent_without_losses_or_failures() {
    let mut proxy = Proxy::start(2, DSN);
    for _ in 0..100 {
        run(&mut proxy.workers[0], failing("/a", "200"));
    }
    proxy.pass(200, 1000, &mut |_| panic!("nothing to say"));
    assert_eq!(proxy.number("launchgate_errors_exchanges_total"), 100);
}

#[test]
fn the_death_of_a_vm_becomes_one_event() {
    use launchgate_sdk::last_words::{KEY, LastWords};
    let mut proxy = Proxy::start(3, DSN);
    let words = LastWords {
        at: proxy.workers[0].now.wall,
        plugin: "tls".to_owned(),
        version: "0.1.0".to_owned(),
        place: "plugins/tls/src/policy.rs:7".to_owned(),
    };
    proxy.shared.set(KEY, &words.encode());
    proxy.pass_well(20, 1000);
    let [event] = &proxy.items("event")[..] else {
        panic!("one event")
    };
    assert_eq!((&event["level"], &event["exception"]["values"][0]["value"]), (&"fatal".into(), &"plugin tls 0.1.0 panicked at plugins/tls/src/policy.rs:7; the VM of this worker ended".into()));
}

#[test]
fn report_mode_sends_nothing_and_says_what_it_would() {
    let alerts = r#""notifiers": {"ops": {"cluster": "ops"}}, "alerts": [{"name": "new", "when": {"kind": "first_seen"}, "notify": ["ops"]}]"#;
    let mut proxy = Proxy::start(
        2,
        &format!(r#"{DSN}, "mode": "report", "traces_sample_rate": 1, {alerts}"#),
    );
    run(&mut proxy.workers[0], failing("/a", "500"));
    proxy.pass(200, 1000, &mut |_| panic!("nothing is sent"));
    let would = |category: &str| {
        proxy.number(&format!(
            "launchgate_errors_would_report_totalcategory=.={category};.;"
        ))
    };
    assert_eq!(
        (
            would("error"),
            would("transaction"),
            proxy.number("launchgate_errors_would_notify_total")
        ),
        (1, 1, 1)
    );
}

#[test]
fn garbage_in_shared_state_stops_nothing() {
    let mut proxy = Proxy::start(
        1,
        &format!(
            r#"{DSN}, "notifiers": {{"ops": {{"cluster": "ops"}}}}, "alerts": [{{"name": "new", "when": {{"kind": "first_seen"}}, "notify": ["ops"]}}]"#
        ),
    );
    for key in proxy.shared.values().into_keys() {
        proxy.shared.set(&key, b"\x01\xff\xff");
    }
    run(&mut proxy.workers[0], failing("/a", "500"));
    proxy.pass_well(4, 250);
    assert_eq!((proxy.items("event").len(), proxy.notices().len()), (1, 1));
}
