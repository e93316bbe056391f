//! Configurations that are refused, with path, value and what was expected.

use super::*;

#[test]
fn impossible_values_are_refused_by_path() {
    for (config, message) in [
        (
            r#""dsn": "https://hunter2", "cluster": "s""#,
            r#"dsn: expected a DSN such as "https://<key>@<host>/<project>""#,
        ),
        (
            r#""dsn": "https://k@h/1""#,
            "cluster: expected the name of a cluster",
        ),
        (
            r#""environment": "a/b""#,
            r#"environment: "a/b": expected 1 to 64 characters without "/" and line breaks, not "None""#,
        ),
        (
            r#""release": "a\nb""#,
            r#"release: "a\nb": expected at most 200 characters without "/", "\" and line breaks"#,
        ),
        (
            r#""sample_rate": 1.5"#,
            "sample_rate: 1.5: expected a number from 0 to 1 with at most 6 decimals",
        ),
        (
            r#""report": {"statuses": ["5xx"]}"#,
            r#"report.statuses[0]: "5xx": expected a status such as 503 or a range such as "500-599", from 100 to 599"#,
        ),
        (
            r#""report": {"grpc": [0]}"#,
            "report.grpc[0]: 0: expected a gRPC status code from 1 to 16",
        ),
        (
            r#""ignore": [{}]"#,
            "ignore[0]: an object: expected at least one of path, host, method, statuses, cluster, flags, header",
        ),
        (
            r#""ignore": [{"flags": ["XX"]}]"#,
            r#"ignore[0].flags[0]: "XX": expected a response flag of Envoy such as "UF""#,
        ),
        (
            r#""throttle": {"burst": 0}"#,
            "throttle.burst: 0: expected a number from 1 to 1000",
        ),
        (
            r#""queue": {"max_events": 0}"#,
            "queue.max_events: 0: expected a number from 1 to 10000",
        ),
        (
            r#""notifiers": {"ops": {"kind": "pager"}}"#,
            r#"notifiers.ops.kind: "pager": expected one of slack, webhook, alertmanager; notifiers.ops.cluster: expected the name of a cluster"#,
        ),
        (
            r#""alerts": [{"name": "a", "notify": ["ops"]}]"#,
            r#"alerts[0].notify[0]: "ops": expected the name of a notifier, there are none; alerts[0].when.kind: is required"#,
        ),
        (
            r#""notifiers": {"ops": {"cluster": "c"}}, "alerts": [{"name": "a", "notify": ["ops"], "when": {"kind": "frequency"}}]"#,
            "alerts[0].when.count: expected a number from 1 to 1000000",
        ),
        (
            r#""notifiers": {"ops": {"cluster": "c"}}, "alerts": [{"name": "a", "notify": ["ops"], "when": {"kind": "match"}}]"#,
            "alerts[0].when: an object: expected one of header and tag",
        ),
        (
            r#""user": {}"#,
            "user: an object: expected one of header and jwt",
        ),
        (
            r#""user": {"header": "x", "hmac_key": "hunter2"}"#,
            "user.hmac_key: expected at least 16 bytes",
        ),
        (
            r#""routes": ["/a/{x}", "/a/{y}"]"#,
            r#"routes[1]: "/a/{y}": expected a template that matches other paths than routes[0]"#,
        ),
        (
            r#""tags": {"a b": "c"}"#,
            r#"tags.a b: "c": expected a name of 1 to 32 letters, digits, "_", ".", ":" and "-", and a value below 200 characters without line breaks"#,
        ),
    ] {
        let Err(errors) = Worker::load(&format!("{{{config}}}")) else {
            panic!("{config} was accepted")
        };
        assert_eq!(errors.to_string(), message, "{config}");
        assert!(!errors.to_string().contains("hunter2"));
    }
}

#[test]
fn the_example_of_the_folder_and_an_empty_config_are_accepted() {
    let environment: Environment = [
        ("SENTRY_DSN", "https://k@o1.ingest.example/7"),
        ("SLACK_WEBHOOK", "https://hooks.slack.example/services/x"),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .collect();
    let example = include_str!("../../config.example.json");
    let host = Worker::load_with(example, &environment, Shared::default(), 1).unwrap();
    assert_eq!(
        (host.tick, host.lines.len()),
        (Some(Duration::from_millis(250)), 0)
    );
    let empty = Worker::load("").unwrap();
    assert_eq!(
        empty.lines[0].1,
        "neither dsn nor alerts are configured: failures are only counted"
    );
}
