//! Notices: when, how many, and what they say.

use super::*;

const OPS: &str = r#""notifiers": {"ops": {"kind": "slack", "cluster": "ops", "url": "https://hooks.example/s3cret"}}"#;

fn proxy(workers: u64, alert: &str) -> Proxy {
    Proxy::start(
        workers,
        &format!(r#"{OPS}, "alerts": [{{"name": "a", "notify": ["ops"], "when": {alert}}}]"#),
    )
}

fn texts(proxy: &Proxy) -> Vec<String> {
    proxy
        .notices()
        .iter()
        .map(|notice| {
            notice["text"]
                .as_str()
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .to_owned()
        })
        .collect()
}

#[test]
fn ten_thousand_equal_failures_on_four_workers_are_one_notice_and_one_end() {
    let mut proxy = proxy(4, r#"{"kind": "first_seen"}"#);
    for number in 0..10_000_usize {
        run(&mut proxy.workers[number % 4], failing("/users/7", "500"));
        if number % 1000 == 999 {
            proxy.pass_well(1, 250);
        }
    }
    proxy.pass_well(40, 60_000);
    assert_eq!(
        texts(&proxy),
        [
            "[FIRING] a: HTTP 500 on GET /users/{id} for the first time",
            "[RESOLVED] a: HTTP 500 on GET /users/{id} was not seen for 30m"
        ]
    );
    assert_eq!(proxy.sent[0].path.expose(), "/s3cret");
    run(&mut proxy.workers[1], failing("/users/8", "500"));
    proxy.pass_well(4, 250);
    assert_eq!(proxy.notices().len(), 2, "known is known");
}

#[test]
fn counts_are_summed_over_the_workers() {
    let mut proxy = proxy(4, r#"{"kind": "frequency", "count": 100, "window": "1m"}"#);
    for number in 0..99_usize {
        run(&mut proxy.workers[number % 4], failing("/a", "500"));
    }
    proxy.pass_well(4, 250);
    assert!(proxy.notices().is_empty(), "99 are not 100");
    run(&mut proxy.workers[3], failing("/a", "500"));
    proxy.pass_well(4, 250);
    assert_eq!(
        texts(&proxy),
        ["[FIRING] a: 100 × HTTP 500 on GET /a within 1m"]
    );
}

#[test]
fn one_error_in_two_requests_does_not_page_and_a_large_share_of_many_does() {
    let mut proxy = proxy(2, r#"{"kind": "percent", "percent": 5, "window": "1m"}"#);
    run(&mut proxy.workers[0], failing("/a", "500"));
    run(&mut proxy.workers[1], failing("/a", "200"));
    proxy.pass_well(8, 250);
    assert!(proxy.notices().is_empty());
    for number in 0..98_usize {
        run(
            &mut proxy.workers[number % 2],
            failing("/a", if number % 20 < 2 { "500" } else { "200" }),
        );
    }
    proxy.pass_well(8, 250);
    let [text] = &texts(&proxy)[..] else {
        panic!("one notice")
    };
    assert!(
        text.starts_with("[FIRING] a: ") && text.ends_with(" requests failed within 1m"),
        "{text}"
    );
}

#[test]
fn given_users_are_noticed_and_not_named() {
    let mut proxy = proxy(
        2,
        r#"{"kind": "match", "header": "X-User-Id", "values": ["42"]}"#,
    );
    for (worker, user) in [(0, "41"), (1, "42"), (0, "42"), (0, "421")] {
        run(
            &mut proxy.workers[worker],
            failing("/a", "500").header("x-user-id", user),
        );
    }
    run(
        &mut proxy.workers[0],
        failing("/a", "200").header("x-user-id", "42"),
    );
    proxy.pass_well(8, 250);
    assert_eq!(
        texts(&proxy),
        ["[FIRING] a: HTTP 500 on GET /a for a request that matches"]
    );
    assert!(!proxy.notices()[0].to_string().contains("42"));
}

#[test]
fn users_are_counted_over_the_workers_each_once() {
    let user = r#""user": {"header": "x-user-id", "hmac_key": "0123456789abcdef"}"#;
    let mut proxy = Proxy::start(
        3,
        &format!(
            r#"{OPS}, {user}, "alerts": [{{"name": "a", "notify": ["ops"], "when": {{"kind": "unique_users", "count": 3, "window": "1h"}}}}]"#
        ),
    );
    for (worker, user) in [(0, "1"), (1, "1"), (2, "2"), (0, "2")] {
        run(
            &mut proxy.workers[worker],
            failing("/a", "500").header("x-user-id", user),
        );
    }
    proxy.pass_well(4, 250);
    assert!(proxy.notices().is_empty(), "two users");
    run(
        &mut proxy.workers[1],
        failing("/a", "500").header("x-user-id", "3"),
    );
    proxy.pass_well(4, 250);
    assert_eq!(
        texts(&proxy),
        ["[FIRING] a: 3 users met HTTP 500 on GET /a within 1h"]
    );
}

#[test]
fn an_error_that_comes_back_is_a_regression_whatever_the_wall_clock_did() {
    let mut proxy = proxy(2, r#"{"kind": "regression", "quiet": "1h"}"#);
    run(&mut proxy.workers[0], failing("/a", "500"));
    proxy.pass_well(1, 250);
    proxy
        .workers
        .iter_mut()
        .for_each(|worker| worker.now.wall = launchgate_sdk::Timestamp::from_seconds(1));
    run(&mut proxy.workers[1], failing("/a", "500"));
    proxy.pass_well(1, 250);
    assert!(proxy.notices().is_empty());
    proxy.pass_well(61, 60_000);
    run(&mut proxy.workers[1], failing("/a", "500"));
    proxy.pass_well(4, 250);
    assert_eq!(
        texts(&proxy),
        ["[FIRING] a: HTTP 500 on GET /a again after 1h of quiet"]
    );
}

#[test]
fn a_notifier_that_is_down_gets_its_notice_later_and_a_refusing_one_never() {
    let down = |status: Option<u16>| {
        let mut proxy = proxy(1, r#"{"kind": "first_seen"}"#);
        run(&mut proxy.workers[0], failing("/a", "500"));
        proxy.pass(2, 250, &mut |_| {
            status.map_or(Answer::Unreachable, |status| response(status, &[]))
        });
        proxy.pass_well(5, 1_000);
        (
            proxy.notices().len(),
            proxy.number("launchgate_errors_notices_totalnotifier=.=ops;.;"),
        )
    };
    assert_eq!(down(None), (2, 1));
    assert_eq!(down(Some(503)), (2, 1));
    assert_eq!(down(Some(429)), (2, 1));
    assert_eq!(down(Some(404)), (1, 0));
}

#[test]
fn a_hostile_path_cannot_write_into_a_notice() {
    let mut proxy = proxy(1, r#"{"kind": "first_seen"}"#);
    run(
        &mut proxy.workers[0],
        failing("/<!channel>/\u{202e}x/*bold*/http:evil", "500"),
    );
    proxy.pass_well(4, 250);
    assert_eq!(
        texts(&proxy),
        ["[FIRING] a: HTTP 500 on GET /{id}/{id}/{id}/{id} for the first time"]
    );
}
