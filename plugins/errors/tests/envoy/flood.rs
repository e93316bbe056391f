//! Many failures: few events, one issue, one notice.

use std::time::Instant;

use serde_json::json;

use crate::bugsink::Bugsink;
use crate::gateway::{Gateway, KEY, get};
use crate::receiver::items;

#[test]
fn ten_thousand_equal_failures_on_four_workers_are_five_events_one_issue_and_one_notice() {
    let bugsink = Bugsink::start();
    let config = json!({
        "throttle": {"burst": 5, "window": "10m"},
        "alerts": [
            {"name": "new-error", "when": {"kind": "first_seen"}, "notify": ["ops"]},
            {"name": "burst", "when": {"kind": "frequency", "count": 20_000, "window": "10m"}, "notify": ["ops"]},
        ],
    });
    let gateway = Gateway::start_with(4, &config, Some(bugsink.entrance()), Vec::new());
    let mut connections = gateway.connections();
    assert_eq!(connections.len(), 4);
    let start = Instant::now();
    std::thread::scope(|scope| {
        for connection in &mut connections {
            scope.spawn(|| {
                for number in 0..2_500 {
                    assert_eq!(get(connection, format!("/users/{number}/fail")), 500);
                }
            });
        }
    });
    println!("10,000 failures in {:?}", start.elapsed());
    gateway.until("every failure is accounted for", || {
        gateway.sent() + gateway.discarded("event_processor") == 10_000
    });
    assert_eq!(gateway.sent(), 5);
    let issues = bugsink.issues(1);
    assert_eq!(issues[0]["digested_event_count"], 5, "{issues:?}");
    gateway.until("the notice", || !gateway.slack.received().is_empty());
    let notices = gateway.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    let expected = "[FIRING] new-error: HTTP 500 on GET /users/{id}/fail for the first time";
    assert!(notices[0].starts_with(expected), "{notices:?}");
}

#[test]
fn a_window_ends_with_one_summary_that_counts_what_was_held_back() {
    let gateway = Gateway::start(4, &json!({"throttle": {"burst": 2, "window": "4s"}}));
    let mut connections = gateway.connections();
    for connection in &mut connections {
        for _ in 0..25 {
            assert_eq!(get(connection, "/fail"), 500);
        }
    }
    gateway.until("the summary", || gateway.count("summaries_total", &[]) == 1);
    gateway.until("it is sent", || {
        items(&gateway.sentry, KEY, "event").len() == 3
    });
    let events = items(&gateway.sentry, KEY, "event");
    let summaries: Vec<_> = (events.iter())
        .filter(|event| event.get("extra").is_some())
        .collect();
    assert_eq!(summaries.len(), 1);
    assert_eq!(summaries[0]["extra"]["suppressed_count"], 98);
    assert_eq!(gateway.discarded("event_processor"), 98);
    let issue = json!(["gateway", "GET", "/fail", "500", ""]);
    assert!(events.iter().all(|event| event["fingerprint"] == issue));
}

#[test]
fn two_dead_clusters_are_two_issues() {
    let gateway = Gateway::start(2, &json!({}));
    for path in ["/dead/one/a", "/dead/two/b", "/dead/one/c/7", "/dead/two/d"] {
        assert_eq!(gateway.get(path), 503);
    }
    gateway.until("four events", || gateway.sent() == 4);
    let events = items(&gateway.sentry, KEY, "event");
    let mut issues: Vec<String> = (events.iter())
        .map(|event| event["fingerprint"].to_string())
        .collect();
    issues.sort();
    assert_eq!(
        issues,
        [
            r#"["gateway","availability","one"]"#,
            r#"["gateway","availability","one"]"#,
            r#"["gateway","availability","two"]"#,
            r#"["gateway","availability","two"]"#,
        ]
    );
    for event in &events {
        assert_eq!(event["contexts"]["gateway"]["flags"], "UF", "{event}");
    }
}
