//! Configurations that `envoy --mode validate` refuses, and why.

use launchgate_harness::envoy::{Bootstrap, Launch, Plugin, built_module};

use crate::gateway::ok;

#[test]
fn a_bad_config_is_refused_in_one_line_with_every_path_and_no_secret() {
    for (config, expected) in [
        (r#"{"max_agee": "1s"}"#, &["max_agee"][..]),
        (
            r#"{"max_age": "5 seconds"}"#,
            &[r#"max_age: "5 seconds": expected a duration"#],
        ),
        (
            r#"{"dependencies": [{"name": "a", "kind": "tcp", "cluster": "c"}]}"#,
            &[r#"dependencies[0].kind: "tcp""#],
        ),
        (
            r#"{"details": {"token": "${NO_SUCH_TOKEN}"}}"#,
            &["details.token", "NO_SUCH_TOKEN"],
        ),
        (
            r#"{"on_stale": "maybe", "details": {"token": "hunter2-hunter2-hunter2 "}, "dependencies": [{"name": "a b", "kind": "http", "cluster": "c"}]}"#,
            &[
                r#"on_stale: "maybe""#,
                r#"dependencies[0].name: "a b""#,
                "details.token",
            ],
        ),
    ] {
        let plugin = Plugin::new("health", built_module("health").unwrap()).config_text(config);
        let validation = Launch::new(Bootstrap::gateway(&[plugin]).upstream("app", &ok()))
            .validate()
            .unwrap();
        assert!(!validation.accepted, "{config}");
        let naming = |text: &str| expected.iter().all(|part| text.contains(part));
        assert!(
            validation
                .log
                .iter()
                .any(|line| naming(&line.text) && !line.text.contains('\n')),
            "{config}: {:#?}",
            validation.log
        );
        assert!(
            validation
                .log
                .iter()
                .all(|line| !line.text.contains("hunter2")),
            "{config}"
        );
    }
    let good = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/config.example.json"))
        .unwrap();
    let plugin = Plugin::new("health", built_module("health").unwrap()).config_text(&good);
    assert!(
        Launch::new(Bootstrap::gateway(&[plugin]).upstream("app", &ok()))
            .validate()
            .unwrap()
            .accepted
    );
}
