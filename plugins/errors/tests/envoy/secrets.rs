//! What must appear nowhere.

use launchgate_harness::envoy::{Received, Reply, Request};
use serde_json::json;

use crate::gateway::{Gateway, KEY};
use crate::receiver::items;

/// Every one of them is in [`leaky`] or in an answer of the service.
pub(crate) const SECRETS: [&str; 22] = [
    "s3cr3t-query",
    "s3cr3t-encoded",
    "s3cr3t-nested",
    "s3cr3t-userinfo",
    "s3cr3t-path",
    "s3cr3t-session",
    "s3cr3t-cookie",
    "s3cr3t-nameless",
    "s3cr3t-bearer",
    "s3cr3t-basic",
    "s3cr3t-api-key",
    "s3cr3t-csrf",
    "s3cr3t-amz",
    "s3cr3t-fragment",
    "s3cr3t-user",
    "s3cr3t-hook",
    "s3cr3t-auth",
    "203.0.113.99",
    "4111111111111111",
    "4111-1111-1111-1111",
    "jane.doe@example.org",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ1c2VyLTEifQ.c2lnbmF0dXJl",
];

const JWT: &str = SECRETS[21];
const TRACE: &str = "771a43a4192642f0b136d5159a501700";

/// A request with a secret in every place.
pub(crate) fn leaky(path: &str) -> Request {
    let target = format!(
        "{path}/reset/s3cr3t-path?token=s3cr3t-query&%74oken=s3cr3t-encoded&page=1&card=4111111111111111&n=4111-1111-1111-1111\
         &cb=%2Fx%3Fapi_key%3Ds3cr3t-nested&next=https%3A%2F%2Fu%3As3cr3t-userinfo%40h%2F&mail=jane.doe%40example.org&j={JWT}&from=203.0.113.99"
    );
    [
        ("authorization", format!("Bearer {JWT}")),
        ("proxy-authorization", "Basic s3cr3t-basic".to_owned()),
        (
            "cookie",
            "session=s3cr3t-session; theme=s3cr3t-cookie; s3cr3t-nameless".to_owned(),
        ),
        ("x-api-key", "s3cr3t-api-key".to_owned()),
        ("x-csrf-token", "s3cr3t-csrf".to_owned()),
        ("x-amz-security-token", "s3cr3t-amz".to_owned()),
        (
            "x-note",
            "Bearer s3cr3t-bearer for jane.doe@example.org, 4111111111111111".to_owned(),
        ),
        (
            "referer",
            "https://u:s3cr3t-userinfo@example.org/?sig=s3cr3t-query#access_token=s3cr3t-fragment"
                .to_owned(),
        ),
        ("user-agent", format!("agent/1 {JWT}")),
        ("x-user-id", "s3cr3t-user".to_owned()),
        ("x-forwarded-for", "203.0.113.99".to_owned()),
        ("x-real-ip", "203.0.113.99".to_owned()),
        ("forwarded", "for=203.0.113.99".to_owned()),
        ("sentry-trace", format!("{TRACE}-7c2e2d1b5a0a4e8f-1")),
        ("x-odd", "\u{80}".to_owned()),
    ]
    .into_iter()
    .fold(Request::get(target), |request, (name, value)| {
        request.header(name, value)
    })
}

#[test]
fn a_seeded_list_of_secrets_is_in_no_event_no_notice_and_no_log_line() {
    let notifiers = json!({
        "ops": {"kind": "slack", "cluster": "slack", "url": "https://hooks.example.org/services/T0/B0/s3cr3t-hook"},
        "mail": {"kind": "webhook", "cluster": "slack", "path": "/mail", "headers": {"authorization": "Bearer s3cr3t-auth"}},
        "am": {"kind": "alertmanager", "cluster": "slack", "labels": {"team": "edge"}},
    });
    let vip = json!({"kind": "match", "header": "x-user-id", "values": ["s3cr3t-user"]});
    let config = json!({
        "traces_sample_rate": 1, "user": {"header": "x-user-id"}, "scrub": {"paths": ["/users/*/fail/reset/*"]}, "notifiers": notifiers,
        "alerts": [{"name": "vip", "when": vip, "notify": ["ops", "mail", "am"]}, {"name": "new", "when": {"kind": "first_seen"}, "notify": ["ops", "mail", "am"]}],
    });
    let gateway = Gateway::start(1, &config);
    let reply = Reply::status(500)
        .header("set-cookie", "sid=s3cr3t-cookie; Path=/")
        .header(
            "location",
            "https://u:s3cr3t-userinfo@h/?token=s3cr3t-query",
        )
        .header("x-session", "s3cr3t-session")
        .body("s3cr3t-query");
    gateway.app.answer(reply);
    assert_eq!(
        gateway.envoy.send(&leaky("/users/42/fail")).unwrap().status,
        500
    );
    let arrived = |kind| items(&gateway.sentry, KEY, kind).len();
    gateway.until("an event, a transaction and six notices", || {
        (
            arrived("event"),
            arrived("transaction"),
            gateway.slack.received().len(),
        ) == (1, 1, 6)
    });
    let bodies = gateway
        .sentry
        .received()
        .into_iter()
        .chain(gateway.slack.received());
    for Received { body, path, .. } in bodies {
        let body = String::from_utf8(body).unwrap();
        let leak = SECRETS.iter().find(|secret| body.contains(**secret));
        assert_eq!(leak, None, "{path}: {body}");
    }
    for line in gateway.envoy.log() {
        let leak = SECRETS
            .iter()
            .chain(&[KEY])
            .find(|secret| line.text.contains(**secret));
        assert_eq!(leak, None, "{}", line.text);
    }
    let event = &items(&gateway.sentry, KEY, "event")[0];
    assert_eq!(
        event["request"]["headers"]["authorization"], "[Filtered]",
        "{event}"
    );
    assert!(
        event["user"]["id"].is_string() && event["user"].get("ip_address").is_none(),
        "{event}"
    );
}

#[test]
fn a_trace_of_the_caller_is_continued_in_event_and_transaction() {
    let gateway = Gateway::start(1, &json!({"traces_sample_rate": 0}));
    assert_eq!(
        gateway.envoy.send(&leaky("/users/42/fail")).unwrap().status,
        500
    );
    assert_eq!(gateway.get("/untraced"), 200);
    let arrived = |kind| items(&gateway.sentry, KEY, kind);
    gateway.until("both", || {
        (arrived("event").len(), arrived("transaction").len()) == (1, 1)
    });
    for payload in [&arrived("event")[0], &arrived("transaction")[0]] {
        let trace = &payload["contexts"]["trace"];
        assert_eq!(
            (trace["trace_id"].as_str(), trace["parent_span_id"].as_str()),
            (Some(TRACE), Some("7c2e2d1b5a0a4e8f"))
        );
    }
    // The caller decided to sample the one; the other is sampled out, and reported so with the next envelope.
    gateway.until("the loss", || {
        gateway.count(
            "discarded_total",
            &[("reason", "sample_rate"), ("category", "transaction")],
        ) == 1
    });
}
