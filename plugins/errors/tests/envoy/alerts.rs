//! Who is told, and when nobody is.

use launchgate_harness::envoy::{Answer, Connection, Reply, Request};
use serde_json::{Value, json};

use crate::gateway::{Gateway, KEY, SOON, get};
use crate::receiver::items;

#[test]
fn one_error_in_two_requests_pages_nobody_and_half_of_many_do() {
    let when = json!({"kind": "percent", "percent": 40, "min_requests": 50, "window": "5m"});
    let config = json!({"alerts": [{"name": "share", "when": when, "notify": ["ops"], "severity": "critical"}]});
    let gateway = Gateway::start(4, &config);
    let mut connections = gateway.connections();
    assert_eq!(get(&mut connections[0], "/fail"), 500);
    assert_eq!(get(&mut connections[1], "/"), 200);
    gateway.until("both are looked at", || {
        gateway.sent() == 1 && gateway.count("exchanges_total", &[]) == 2
    });
    assert_eq!(gateway.notices(), Vec::<String>::new());

    for connection in &mut connections {
        for number in 0..20 {
            let (path, status) = [("/fail", 500), ("/", 200)][number % 2];
            assert_eq!(get(connection, path), status);
        }
    }
    gateway.until("the notice", || !gateway.slack.received().is_empty());
    gateway.until("the last exchange", || {
        gateway.count("exchanges_total", &[]) == 82
    });
    let notices = gateway.notices();
    assert_eq!(notices.len(), 1, "{notices:?}");
    assert!(notices[0].starts_with("[FIRING] share: "), "{notices:?}");
}

#[test]
fn a_client_that_leaves_is_no_failure_however_long_it_waited() {
    let gateway = Gateway::start(1, &json!({"report": {"slower_than": "50ms"}}));
    gateway.app.answer(Answer::Hang);
    let mut client = Connection::open(gateway.envoy.gateway().unwrap()).unwrap();
    client.write(&Request::get("/left").encode()).unwrap();
    gateway.app.await_received(1, SOON).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(client);
    gateway.until("its end", || gateway.count("exchanges_total", &[]) == 1);

    // The head has come, the body has not: a status is there, and the client leaves all the same.
    let head = Reply::status(200)
        .header("content-length", "10")
        .body("half");
    gateway.app.answer(Answer::Respond(head));
    let mut client = Connection::open(gateway.envoy.gateway().unwrap()).unwrap();
    client.write(&Request::get("/left/later").encode()).unwrap();
    gateway.app.await_received(2, SOON).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    drop(client);
    gateway.until("its end", || gateway.count("exchanges_total", &[]) == 2);

    gateway.app.answer(Reply::status(500));
    assert_eq!(gateway.get("/stayed"), 500);
    gateway.until("the one failure", || gateway.sent() == 1);
    let events = items(&gateway.sentry, KEY, "event");
    let names: Vec<&Value> = events.iter().map(|event| &event["transaction"]).collect();
    assert_eq!(names, ["GET /stayed"]);
    assert_eq!(gateway.count("failures_total", &[("failure", "slow")]), 0);
}

#[test]
fn the_calls_to_sentry_and_slack_are_never_reported() {
    let gateway = Gateway::start(
        1,
        &json!({"alerts": [{"name": "new", "when": {"kind": "first_seen"}, "notify": ["ops"]}]}),
    );
    gateway.sentry.answer(Reply::status(500));
    gateway.slack.answer(Reply::status(500));
    assert_eq!(gateway.get("/fail"), 500);
    gateway.until("the event is refused", || {
        gateway.discarded("send_error") == 1
    });
    gateway.slack.await_received(2, SOON).unwrap();
    assert_eq!(gateway.count("failures_total", &[("failure", "status")]), 1);
    assert_eq!(gateway.count("exchanges_total", &[]), 1);
    assert_eq!(gateway.sentry.received().len(), 1, "any status is final");
}
