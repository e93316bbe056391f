//! What is refused and warned of at load.

use super::*;

#[test]
fn every_mistake_of_a_config_is_named_at_once() {
    let config = r#"{"dependencies": [
        {"name": "a b", "kind": "http", "cluster": "", "interval": "1ms", "service": "x", "expected_status": [700]},
        {"name": "x", "kind": "envoy", "cluster": "c", "path": "/", "failure_threshold": 0, "timeout": "2h"},
        {"name": "x", "kind": "passive", "cluster": "c", "timeout": "1s"}],
        "paths": {"live": ["/livez", "livez"], "ready": ["/livez", "/r/"]}, "details": {"token": "hunter2"}, "drain": {"path": "/startupz"}}"#;
    let message = Gateway::load(config).err().unwrap().to_string();
    for expected in [
        r#"paths.live[1]: "livez": expected a path"#,
        r#"paths.ready[0]: "/livez": expected a path of its own"#,
        r#"paths.ready[1]: "/r/": expected a path"#,
        r#"drain.path: "/startupz": expected a path of its own"#,
        r#"dependencies[0].name: "a b": expected 1 to 64 letters"#,
        r#"dependencies[0].cluster: "": expected the name"#,
        r#"dependencies[0].interval: "1ms": expected 50ms to 1h"#,
        r#"dependencies[0].service: "x": expected no such key for this kind"#,
        r#"dependencies[0].expected_status[0]: 700: expected 100 to 599"#,
        r#"dependencies[1].admin_cluster: expected the cluster"#,
        r#"dependencies[1].path: "/": expected no such key"#,
        r#"dependencies[1].failure_threshold: 0: expected 1 to 1000"#,
        r#"dependencies[1].timeout: "2h": expected 1ms to 1m"#,
        r#"dependencies[2].name: "x": expected a name of its own"#,
        r#"dependencies[2].timeout: "1s": expected no such key"#,
        r#"details.token: expected at least 16"#,
    ] {
        assert!(message.contains(expected), "{expected}\nin {message}");
    }
    assert!(
        !message.contains("hunter2") && !message.contains('\n'),
        "{message}"
    );
    let unknown = Gateway::load(
        r#"{"dependencies": [{"name": "a", "kind": "tcp", "cluster": "c"}], "max_age": "5 s"}"#,
    )
    .err()
    .unwrap()
    .to_string();
    assert!(
        unknown.contains(r#"dependencies[0].kind: "tcp": expected one of"#)
            && unknown.contains(r#"max_age: "5 s""#),
        "{unknown}"
    );
}

#[test]
fn surprising_settings_are_said_at_load() {
    let gateway = load(&TWO.replacen('{', r#"{"max_age": "500ms","#, 1));
    let lines: Vec<_> = gateway
        .lines
        .iter()
        .map(|(_, line)| line.as_str())
        .collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        lines[0],
        "dependency database is checked less often than max_age: it counts as unknown in between"
    );
}
