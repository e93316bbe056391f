//! Configurations that cannot be meant.

use super::*;

#[test]
fn what_is_impossible_is_refused_with_its_path() {
    for (config, message) in [
        ("{}", "rollout: expected an id of 1 to 64"),
        (r#"{"rollout": "a b"}"#, "rollout: \"a b\": expected an id"),
        (
            r#"{"rollout": "r", "key": [{"cookie": {"issue": true}}]}"#,
            "secret: expected a secret, since a cookie is issued",
        ),
        (
            r#"{"rollout": "r", "secret": "s", "key": [{"cookie": {"issue": true}}, {"client_ip": true}]}"#,
            "key[0].cookie.issue: true: expected an issued cookie to be the last key",
        ),
        (
            r#"{"rollout": "r", "key": [{}]}"#,
            "key[0]: an object: expected exactly one of header, cookie, jwt, client_ip",
        ),
        (
            r#"{"rollout": "r", "match": [{}]}"#,
            "match[0]: an object: expected at least one condition",
        ),
        (
            r#"{"rollout": "r", "match": [{"headers": {"x": {"exact": "a", "prefix": "b"}}}]}"#,
            "expected exactly one of exact, prefix",
        ),
        (
            r#"{"rollout": "r", "match": [{"headers": {"x": {"regex": "a"}}}]}"#,
            "unknown field",
        ),
        (
            r#"{"rollout": "r", "steer": {"kind": "weight_header", "canary": "many"}}"#,
            "steer.canary: \"many\": expected a whole number",
        ),
        (
            r#"{"rollout": "r", "steer": {"header": ":path"}}"#,
            "steer.header: \":path\": expected the name of a header",
        ),
        (
            r#"{"rollout": "r", "steer": {"canary": "x", "stable": "x"}}"#,
            "steer.stable: \"x\": expected another value",
        ),
        (
            r#"{"rollout": "r", "stages": [{"percent": 101}]}"#,
            "stages[0].percent: 101: expected a percent number",
        ),
        (
            r#"{"rollout": "r", "rollback": {"confidence": 1}}"#,
            "rollback.confidence: 1: expected 0 or a number from 0.5",
        ),
        (
            r#"{"rollout": "r", "rollback": {"window": "2h"}}"#,
            "rollback.window: \"2h\": expected a duration from 1s to 1h",
        ),
        (
            r#"{"rollout": "r", "hold_at": 1}"#,
            "hold_at: 1: expected the number of a stage",
        ),
        (
            r#"{"rollout": "r", "fleet": {}}"#,
            "fleet.cluster: expected the name of a cluster",
        ),
        (
            r#"{"rollout": "r", "control": {"token": "short"}}"#,
            "control.token: expected at least 16",
        ),
        (
            r#"{"rollout": "r", "clusters": {"canary": "stable"}}"#,
            "clusters.canary: \"stable\": expected another cluster",
        ),
        (
            r#"{"rollout": "r", "match": [{"token": {"value": "hunter2"}}]}"#,
            "match[0].token.value: expected at least 16",
        ),
    ] {
        let error = Worker::load(config)
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default();
        assert!(error.contains(message), "{config}: {error}");
        assert!(
            !error.contains("hunter2") && !error.contains("short"),
            "{error}"
        );
    }
}
