//! What others say about the lines: jq, the specification of ecs-logging, protobuf.

use std::io::Write;
use std::process::{Command, Stdio};

use launchgate_harness::envoy::workspace;
use serde_json::Value;

/// Each line parses with jq, and is one object.
pub(crate) fn jq_lines(lines: &[String]) {
    let out = pipe(
        Command::new("jq").args(["-c", "type"]),
        lines,
        "jq is missing: install it with: apt-get install jq",
    );
    let types: Vec<&str> = out.lines().collect();
    assert_eq!(types, vec!["\"object\""; lines.len()]);
}

/// Parses bodies strictly as protobuf JSON; gives the number of their records.
pub(crate) fn otlp_records(bodies: &[String]) -> usize {
    let packages = workspace().join(".tools/otlp");
    assert!(
        packages.is_dir(),
        "no packages at {packages:?}: run `make deps`"
    );
    let script = workspace().join("plugins/access-log/tests/otlp.py");
    let out = pipe(
        Command::new("python3")
            .arg(script)
            .env("PYTHONPATH", packages),
        bodies,
        "python3 is missing",
    );
    out.trim().parse().unwrap()
}

fn pipe(command: &mut Command, lines: &[String], missing: &str) -> String {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect(missing);
    let mut stdin = child.stdin.take().unwrap();
    let text = lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let _ = writer.join();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// The fields that ecs-logging's specification names, and those of ECS that this plugin writes, with their types.
const TYPES: [(&str, Kind); 24] = [
    ("/service/name", Kind::Text),
    ("/event/dataset", Kind::Text),
    ("/event/kind", Kind::Text),
    ("/event/outcome", Kind::Text),
    ("/event/reason", Kind::Text),
    ("/event/duration", Kind::Number),
    ("/event/sequence", Kind::Number),
    ("/event/category", Kind::Texts),
    ("/event/type", Kind::Texts),
    ("/trace/id", Kind::Text),
    ("/span/id", Kind::Text),
    ("/user/id", Kind::Text),
    ("/http/version", Kind::Text),
    ("/http/request/id", Kind::Text),
    ("/http/request/method", Kind::Text),
    ("/http/request/bytes", Kind::Number),
    ("/http/request/referrer", Kind::Text),
    ("/http/response/status_code", Kind::Number),
    ("/http/response/bytes", Kind::Number),
    ("/url/path", Kind::Text),
    ("/url/query", Kind::Text),
    ("/url/domain", Kind::Text),
    ("/client/ip", Kind::Text),
    ("/user_agent/original", Kind::Text),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Text,
    Number,
    Texts,
}

/// A line is valid by ecs-logging's specification: required fields, their order, their types, keys with and without dots.
pub(crate) fn check_ecs(line: &str) {
    for (position, key) in ["@timestamp", "log.level", "message", "ecs.version"]
        .into_iter()
        .enumerate()
    {
        let found = line
            .find(&format!("\"{key}\":"))
            .unwrap_or_else(|| panic!("{key}: {line}"));
        assert!(position > 0 || found == 1, "{key} is first: {line}");
    }
    let order: Vec<usize> = ["@timestamp", "log.level", "message"]
        .iter()
        .map(|key| line.find(&format!("\"{key}\":")).unwrap())
        .collect();
    assert!(order.is_sorted(), "{line}");
    let read: Value = serde_json::from_str(line).unwrap();
    let time = read["@timestamp"].as_str().unwrap();
    assert!(
        time.len() == 24 && time.ends_with('Z') && &time[10..11] == "T",
        "{time}"
    );
    let allowed = ["success", "failure", "unknown"];
    assert!(allowed.contains(&read["event"]["outcome"].as_str().unwrap()));
    for (path, kind) in TYPES {
        let Some(value) = read.pointer(path) else {
            continue;
        };
        let fits = match kind {
            Kind::Text => value.is_string(),
            Kind::Number => value.is_u64(),
            Kind::Texts => value
                .as_array()
                .is_some_and(|list| list.iter().all(Value::is_string)),
        };
        assert!(fits, "{path}: {value}");
    }
    let top = read.as_object().unwrap();
    let dotted: Vec<&String> = top.keys().filter(|key| key.contains('.')).collect();
    assert_eq!(dotted, ["ecs.version", "log.level"]);
    for (key, value) in read["labels"].as_object().unwrap() {
        assert!(
            !key.contains(['.', '*', '\\']) && value.is_string(),
            "{key}: {value}"
        );
    }
    assert!(!line.contains("null"), "{line}");
}
