//! Rate limits are kept by all workers, and whatever Sentry does, clients notice nothing.

use std::time::{Duration, Instant};

use launchgate_harness::envoy::{Answer, LogLine, Reply};
use serde_json::json;

use crate::gateway::{Gateway, KEY, SOON, get};
use crate::receiver::{self, items, losses};

#[test]
fn after_a_429_no_worker_sends_for_its_time_and_then_the_exact_losses_are_reported() {
    let pause = Duration::from_secs(8);
    let gateway = Gateway::start(4, &json!({}));
    let mut connections = gateway.connections();
    let limit = Reply::status(429).header("retry-after", pause.as_secs().to_string());
    gateway.sentry.answer(limit);
    let start = Instant::now();
    assert_eq!(get(&mut connections[0], "/first/fail"), 500);
    gateway.sentry.await_received(1, SOON).unwrap();
    let limited = |line: &LogLine| {
        line.text
            .contains("Sentry asked for a pause; status=429 shared=true")
    };
    gateway.envoy.await_log(SOON, limited).unwrap();
    let told = Instant::now();
    gateway.sentry.answer(receiver::accepted());

    for (worker, connection) in ["w", "x", "y", "z"].iter().zip(&mut connections) {
        for letter in ["a", "b", "c"] {
            assert_eq!(get(connection, format!("/{worker}/{letter}/fail")), 500);
        }
    }
    gateway.until("all of them are lost", || {
        gateway.discarded("ratelimit_backoff") == 12
    });
    assert!(start.elapsed() < pause, "the machine is too slow for this");
    std::thread::sleep(pause.saturating_sub(start.elapsed()));
    assert_eq!(gateway.sentry.received().len(), 1, "a call in the pause");

    let margin = Duration::from_millis(300);
    std::thread::sleep((pause + margin).saturating_sub(told.elapsed()));
    for (worker, connection) in ["w", "x", "y", "z"].iter().zip(&mut connections) {
        assert_eq!(get(connection, format!("/after/{worker}/fail")), 500);
    }
    let reported = || losses(&gateway.sentry, KEY, "ratelimit_backoff", "error");
    gateway.until("each worker reports what it lost", || reported() >= 12);
    gateway.until("all are sent", || gateway.sent() == 4);
    assert_eq!(
        (reported(), gateway.discarded("ratelimit_backoff")),
        (12, 12)
    );
    let refused = gateway.count("send_failures_total", &[("reason", "rate_limited")]);
    assert_eq!(refused, 1);
}

#[test]
fn a_limit_of_other_categories_stops_only_these() {
    let gateway = Gateway::start(1, &json!({"traces_sample_rate": 1}));
    let limit =
        receiver::reply().header("x-sentry-rate-limits", "600:transaction;span:organization");
    gateway.sentry.answer(limit);
    assert_eq!(gateway.get("/first/fail"), 500);
    let limited = |line: &LogLine| line.text.contains("Sentry asked for a pause; status=200");
    gateway.envoy.await_log(SOON, limited).unwrap();
    for path in ["/second/fail", "/third/fail"] {
        assert_eq!(gateway.get(path), 500);
    }
    gateway.until("errors go", || gateway.sent() == 3);
    let transactions = items(&gateway.sentry, KEY, "transaction").len() as u64;
    let lost = |category: &str| {
        gateway.count(
            "discarded_total",
            &[("reason", "ratelimit_backoff"), ("category", category)],
        )
    };
    gateway.until("transactions do not", || {
        lost("transaction") == 3 - transactions
    });
    assert_eq!(lost("span"), lost("transaction"));
    assert!(transactions <= 1, "{transactions}");
}

#[test]
fn a_sentry_that_is_down_slow_or_resetting_is_no_clients_business() {
    let gateway = Gateway::start(2, &json!({"timeout": "20s", "traces_sample_rate": 1}));
    let mut medians = Vec::new();
    for (name, answer) in [
        ("well", Some(receiver::accepted())),
        ("resetting", Some(Answer::Reset)),
        ("closing", Some(Answer::Close)),
        ("refusing", None),
        ("slow", Some(Answer::Hang)),
    ] {
        gateway.sentry.accept().unwrap();
        match answer {
            Some(answer) => gateway.sentry.answer(answer),
            None => gateway.sentry.refuse(),
        }
        let mut times: Vec<Duration> = (0..50)
            .map(|number| {
                let (path, status) = match number % 2 {
                    0 => (format!("/{name}/fail"), 500),
                    _ => (format!("/{name}"), 200),
                };
                let start = Instant::now();
                assert_eq!(gateway.get(&path), status, "{name}");
                start.elapsed()
            })
            .collect();
        times.sort();
        // A client that waited for Sentry would have waited 20 s here.
        assert!(times[49] < Duration::from_secs(10), "{name}: {times:?}");
        medians.push((name, times[25]));
    }
    println!("median of an exchange, by what Sentry does: {medians:?}");
    // On a quick machine everything happened before the first tick. An attempt that hangs ends after its 20 s, the next two at once.
    gateway.sentry.refuse();
    gateway.until("a loss that is counted", || {
        gateway.discarded("network_error") > 0
    });
    let failed = |reason: &str| gateway.count("send_failures_total", &[("reason", reason)]);
    assert!(failed("unreachable") + failed("reset") > 0);
}
