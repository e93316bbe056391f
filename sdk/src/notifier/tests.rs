use super::*;
use serde_json::{Value, json};
use wasm_bindgen_test::wasm_bindgen_test;

fn notice(summary: &str) -> Notice {
    Notice {
        source: "errors",
        alert: "new-error".to_owned(),
        status: Status::Firing,
        severity: "warning",
        summary: summary.to_owned(),
        labels: vec![("route", "/users/{id}".to_owned())],
        facts: vec![("count", "7".to_owned())],
        since: Timestamp::from_seconds(1_795_348_800),
        until: Timestamp::from_seconds(1_795_350_600),
    }
}

fn notifier(kind: &str) -> Notifier {
    let config = format!(
        r#"{{"kind": "{kind}", "cluster": "ops", "url": "https://hooks.example.org/services/T0/B0/x", "labels": {{"team": "a"}}}}"#
    );
    let config: NotifierConfig = crate::config::read(&config).unwrap();
    config
        .notifier("notifiers.ops", &mut ConfigErrors::default())
        .unwrap()
}

fn sent(kind: &str, notice: &Notice) -> Value {
    serde_json::from_slice(&notifier(kind).call(notice).body).unwrap()
}

#[wasm_bindgen_test(unsupported = test)]
fn slack_gets_escaped_text_without_formatting() {
    let call = notifier("slack").call(&notice("<!channel> & <https://evil.example|click>"));
    assert_eq!(
        (call.method, call.authority.as_str(), call.path.expose()),
        ("POST", "hooks.example.org", "/services/T0/B0/x")
    );
    let body: Value = serde_json::from_slice(&call.body).unwrap();
    assert_eq!(
        body,
        json!({
            "text": "[FIRING] new-error: &lt;!channel&gt; &amp; &lt;https://evil.example|click&gt;\nroute: /users/{id}\ncount: 7",
            "mrkdwn": false, "unfurl_links": false, "unfurl_media": false,
        })
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn a_webhook_gets_one_object_with_everything() {
    let mut over = notice("many");
    over.status = Status::Resolved;
    assert_eq!(
        sent("webhook", &over),
        json!({
            "version": 1, "source": "launchgate-errors", "alert": "new-error", "status": "resolved", "severity": "warning",
            "subject": "[RESOLVED] new-error: many", "summary": "many", "text": "[RESOLVED] new-error: many\nroute: /users/{id}\ncount: 7",
            "labels": {"route": "/users/{id}"}, "facts": {"count": "7"},
            "starts_at": "2026-11-22T12:00:00.000Z", "ends_at": "2026-11-22T12:30:00.000Z",
        })
    );
    assert_eq!(sent("webhook", &notice("x"))["ends_at"], Value::Null);
}

#[wasm_bindgen_test(unsupported = test)]
fn alertmanager_gets_labels_annotations_and_both_ends() {
    assert_eq!(
        sent("alertmanager", &notice("many")),
        json!([{
            "labels": {"alertname": "new-error", "route": "/users/{id}", "severity": "warning", "source": "launchgate-errors", "team": "a"},
            "annotations": {"summary": "many", "count": "7"},
            "startsAt": "2026-11-22T12:00:00.000Z", "endsAt": "2026-11-22T12:30:00.000Z",
        }])
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn the_default_path_of_alertmanager_is_its_api() {
    let config: NotifierConfig =
        crate::config::read(r#"{"kind": "alertmanager", "cluster": "am"}"#).unwrap();
    let call = config
        .notifier("n", &mut ConfigErrors::default())
        .unwrap()
        .call(&notice("x"));
    assert_eq!(
        (call.authority.as_str(), call.path.expose()),
        ("am", "/api/v2/alerts")
    );
}

#[wasm_bindgen_test(unsupported = test)]
fn hidden_letters_become_blanks_and_text_is_bounded() {
    for (text, limit, expected) in [
        (
            "a\r\nb\u{0}c\u{202e}d\u{2066}e\u{200b}f\u{feff}",
            100,
            "a  b c d e f ",
        ),
        ("äöü", 3, "äöü"),
        ("äöüß", 3, "äö…"),
        ("", 3, ""),
    ] {
        assert_eq!(clean(text, limit), expected);
    }
    let mut long = notice(&"x".repeat(10_000));
    long.facts = (0..1000).map(|_| ("fact", "<".repeat(10_000))).collect();
    for kind in ["slack", "webhook", "alertmanager"] {
        let size = notifier(kind).call(&long).body.len();
        assert!(size < 16 * 1024, "{kind}: {size}");
    }
}

#[wasm_bindgen_test(unsupported = test)]
fn a_notifier_without_cluster_or_with_an_odd_label_is_refused() {
    let config: NotifierConfig = crate::config::read(r#"{"labels": {"a-b": "x"}}"#).unwrap();
    let mut errors = ConfigErrors::default();
    assert!(config.notifier("notifiers.ops", &mut errors).is_none());
    let message = "notifiers.ops.labels.a-b: expected a label name of letters, digits and \"_\"; notifiers.ops.cluster: expected the name of a cluster";
    assert_eq!(errors.to_string(), message);
}

#[cfg(not(target_family = "wasm"))]
proptest::proptest! {
    #[test]
    fn no_text_escapes_its_target(summary in "\\PC{0,400}", route in "\\PC{0,400}") {
        let mut notice = notice(&summary);
        notice.labels = vec![("route", route)];
        let slack = sent("slack", &notice);
        let text = slack["text"].as_str().unwrap();
        proptest::prop_assert!(!text.contains(['<', '>']) && text.lines().count() <= 3);
        proptest::prop_assert!(sent("webhook", &notice)["text"].as_str().unwrap().lines().count() <= 3);
        proptest::prop_assert_eq!(&sent("alertmanager", &notice)[0]["labels"]["alertname"], "new-error");
    }
}
