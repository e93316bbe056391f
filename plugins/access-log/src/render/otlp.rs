//! The format `otlp`: OTLP/JSON (opentelemetry-proto, "JSON Protobuf Encoding").
//!
//! 1. Keys in lower camel case, trace and span ids in hex, enums as integers, 64-bit integers as decimal strings.
//! 2. Attribute names are those of the semantic conventions where they have one. A method that they do not know is
//!    `_OTHER`, and as it was sent in `http.request.method_original`.

use launchgate_sdk::hash::hex;
use launchgate_sdk::json::{self, List, Object};
use launchgate_sdk::method;

use super::{Resource, some};
use crate::name::Name;
use crate::record::{Key, Record, Value, percent};

/// Name of the instrumentation scope.
const SCOPE: &str = "launchgate.access_log";

/// The `LogRecord` of a record.
pub(crate) fn log_record(record: &Record) -> String {
    json::object(|log| {
        log.text("timeUnixNano", record.time.nanos().to_string());
        log.text("observedTimeUnixNano", record.observed.nanos().to_string());
        log.integer("severityNumber", record.severity.number());
        log.text(
            "severityText",
            record.severity.as_str().to_ascii_uppercase(),
        );
        log.object("body", |body| body.text("stringValue", &record.message));
        log.list("attributes", |attributes| {
            for (key, value) in &record.fields {
                let name = match key {
                    Key::Known(Name::Method) if !is_known_method(value) => {
                        attribute(attributes, Name::Method.otlp(), |any| {
                            any.text("stringValue", method::OTHER)
                        });
                        "http.request.method_original"
                    }
                    Key::Known(name) => name.otlp(),
                    Key::Custom(name) => name,
                };
                attribute(attributes, name, |any| write(any, value));
            }
            if !record.truncated.is_empty() {
                attribute(attributes, "launchgate.truncated", |any| {
                    any.text("stringValue", record.truncated.join(","))
                });
            }
        });
        log.integer_if("flags", record.sampled.map(u64::from));
        log.text_if("traceId", record.trace_id.map(|id| hex(&id.bytes())));
        log.text_if("spanId", record.span_id.map(|id| hex(&id.bytes())));
    })
}

/// An `ExportLogsServiceRequest` (and `LogsData`) of log records.
pub(crate) fn body(resource: &Resource, records: &[&String]) -> String {
    let size: usize = records.iter().map(|record| record.len() + 1).sum();
    let mut out = Vec::with_capacity(size + 512);
    json::write_object(&mut out, |request| {
        request.list("resourceLogs", |list| {
            list.object(|logs| {
                logs.object("resource", |inner| {
                    inner.list("attributes", |attributes| {
                        let known = [
                            ("service.name", &resource.service),
                            ("service.version", &resource.version),
                            ("deployment.environment.name", &resource.environment),
                        ];
                        for (name, value) in known {
                            if let Some(value) = some(value) {
                                attribute(attributes, name, |any| any.text("stringValue", value));
                            }
                        }
                    });
                });
                logs.list("scopeLogs", |scopes| {
                    scopes.object(|scope| {
                        scope.object("scope", |name| {
                            name.text("name", SCOPE);
                            name.text("version", env!("CARGO_PKG_VERSION"));
                        });
                        scope.list("logRecords", |list| {
                            records.iter().for_each(|record| list.raw(record))
                        });
                    });
                });
            });
        });
    });
    json::text(out)
}

fn is_known_method(value: &Value) -> bool {
    matches!(value, Value::Text(text) if method::position(text).is_some())
}

fn attribute(list: &mut List<'_>, key: &str, value: impl FnOnce(&mut Object<'_>)) {
    list.object(|pair| {
        pair.text("key", key);
        pair.object("value", value);
    });
}

/// Writes an `AnyValue`.
fn write(any: &mut Object<'_>, value: &Value) {
    match value {
        Value::Text(text) => any.text("stringValue", text),
        // The protocol's integers are signed.
        Value::Integer(number) => any.text(
            "intValue",
            i64::try_from(*number).unwrap_or(i64::MAX).to_string(),
        ),
        Value::Flag(flag) => any.flag("boolValue", *flag),
        Value::Duration(duration) => any.text(
            "intValue",
            i64::try_from(duration.as_millis())
                .unwrap_or(i64::MAX)
                .to_string(),
        ),
        Value::Percent(share) => any.raw("doubleValue", &percent(*share)),
    }
}
