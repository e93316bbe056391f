use super::*;
use crate::config::Format;
use crate::name::Name;
use crate::record::{Key, Severity};
use launchgate_sdk::Timestamp;
use launchgate_sdk::trace::{SpanId, TraceId};
use serde_json::{Value as Json, json};
use std::time::Duration;

fn resource() -> Resource {
    Resource {
        service: "user-api".to_owned(),
        version: "1.2".to_owned(),
        environment: String::new(),
    }
}

fn record() -> Record {
    Record {
        time: Timestamp::from_nanos(1_795_348_800_250_000_001),
        observed: Timestamp::from_seconds(1_795_348_801),
        severity: Severity::Warn,
        message: b"GET /a 404".to_vec(),
        trace_id: TraceId::parse(b"4bf92f3577b34da6a3ce929d0e0e4736"),
        span_id: SpanId::parse(b"00f067aa0ba902b7"),
        sampled: Some(true),
        fields: vec![
            (Key::Known(Name::UserIdVerified), Value::Flag(false)),
            (Key::Known(Name::Method), Value::Text(b"GET".to_vec())),
            (Key::Known(Name::Path), Value::Text(b"/a\xff\n".to_vec())),
            (Key::Known(Name::Status), Value::Integer(404)),
            (
                Key::Known(Name::Duration),
                Value::Duration(Duration::from_micros(12_345)),
            ),
            (Key::Known(Name::Attempts), Value::Integer(u64::MAX)),
            (Key::Known(Name::SampleRate), Value::Percent(100_000)),
            (
                Key::Custom("team.name".into()),
                Value::Text(b"blue".to_vec()),
            ),
        ],
        truncated: vec!["path".to_owned()],
    }
}

#[test]
fn the_flat_format_has_its_keys_in_order() {
    assert_eq!(
        line(Format::Launchgate, &resource(), &record()),
        concat!(
            r#"{"timestamp":"2026-11-22T12:00:00.250Z","level":"warn","service":"user-api","version":"1.2","message":"GET /a 404","#,
            r#""trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7","user_id_verified":false,"method":"GET","#,
            "\"path\":\"/a\u{fffd}\\n\",",
            r#""status":404,"duration_ms":12,"attempts":18446744073709551615,"sample_rate_percent":10.0,"team.name":"blue","truncated":["path"]}"#
        )
    );
}

#[test]
fn ecs_nests_everything_but_level_and_version() {
    let line = line(Format::Ecs, &resource(), &record());
    let start = r#"{"@timestamp":"2026-11-22T12:00:00.250Z","log.level":"warn","message":"GET /a 404","ecs.version":"8.11.0","#;
    assert!(line.starts_with(start), "{line}");
    let read: Json = serde_json::from_str(&line).unwrap();
    assert_eq!(
        read,
        json!({
            "@timestamp": "2026-11-22T12:00:00.250Z", "log.level": "warn", "message": "GET /a 404", "ecs.version": "8.11.0",
            "service": {"name": "user-api", "version": "1.2"},
            "event": {"kind": "event", "category": ["web"], "type": ["access"], "dataset": "user-api.access", "duration": 12_345_000},
            "trace": {"id": "4bf92f3577b34da6a3ce929d0e0e4736"}, "span": {"id": "00f067aa0ba902b7"},
            "http": {"request": {"method": "GET"}, "response": {"status_code": 404}},
            "url": {"path": "/a\u{fffd}\n"},
            "labels": {"user_id_verified": "false", "attempts": "18446744073709551615", "sample_rate_percent": "10.0", "team_name": "blue", "truncated": "path"},
        })
    );
}

#[test]
fn otlp_is_protobuf_json() {
    let read: Json = serde_json::from_str(&line(Format::Otlp, &resource(), &record())).unwrap();
    let logs = &read["resourceLogs"][0];
    assert_eq!(
        logs["resource"]["attributes"][0],
        json!({"key": "service.name", "value": {"stringValue": "user-api"}})
    );
    let log = &logs["scopeLogs"][0]["logRecords"][0];
    assert_eq!(
        log,
        &json!({
            "timeUnixNano": "1795348800250000001", "observedTimeUnixNano": "1795348801000000000",
            "severityNumber": 13, "severityText": "WARN", "body": {"stringValue": "GET /a 404"},
            "attributes": [
                {"key": "launchgate.user_id_verified", "value": {"boolValue": false}},
                {"key": "http.request.method", "value": {"stringValue": "GET"}},
                {"key": "url.path", "value": {"stringValue": "/a\u{fffd}\n"}},
                {"key": "http.response.status_code", "value": {"intValue": "404"}},
                {"key": "launchgate.duration_ms", "value": {"intValue": "12"}},
                {"key": "launchgate.attempts", "value": {"intValue": "9223372036854775807"}},
                {"key": "launchgate.sample_rate_percent", "value": {"doubleValue": 10.0}},
                {"key": "team.name", "value": {"stringValue": "blue"}},
                {"key": "launchgate.truncated", "value": {"stringValue": "path"}},
            ],
            "flags": 1, "traceId": "4bf92f3577b34da6a3ce929d0e0e4736", "spanId": "00f067aa0ba902b7",
        })
    );
}

#[test]
fn no_two_fields_share_a_key_in_any_format() {
    for spelled in [
        |name: &Name| name.flat().to_owned(),
        |name: &Name| name.ecs().join("."),
        |name: &Name| name.otlp().to_owned(),
    ] {
        let mut keys: Vec<_> = Name::ALL.iter().map(spelled).collect();
        keys.sort_unstable();
        assert!(keys.windows(2).all(|pair| pair[0] != pair[1]), "{keys:?}");
    }
}

#[test]
fn otlp_knows_the_methods_of_the_conventions_and_keeps_the_others_apart() {
    for (method, shown, original) in [
        ("GET", "GET", None),
        ("QUERY", "QUERY", None),
        ("BREW", "_OTHER", Some("BREW")),
        ("get", "_OTHER", Some("get")),
    ] {
        let mut record = record();
        record.fields = vec![(Key::Known(Name::Method), Value::Text(method.into()))];
        let read: Json = serde_json::from_str(&line(Format::Otlp, &resource(), &record)).unwrap();
        let attributes = &read["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0]["attributes"];
        let value = |key: &str| {
            let list = attributes.as_array().unwrap();
            let attribute = list.iter().find(|attribute| attribute["key"] == key)?;
            attribute["value"]["stringValue"]
                .as_str()
                .map(str::to_owned)
        };
        assert_eq!(
            value("http.request.method").as_deref(),
            Some(shown),
            "{method}"
        );
        assert_eq!(
            value("http.request.method_original").as_deref(),
            original,
            "{method}"
        );
        let flat: Json =
            serde_json::from_str(&line(Format::Launchgate, &resource(), &record)).unwrap();
        assert_eq!(
            flat["method"], method,
            "other formats have it as it was sent"
        );
    }
}
