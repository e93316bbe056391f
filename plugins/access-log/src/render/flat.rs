//! The format `launchgate`: flat JSON. `timestamp`, `level`, `service`, `message` and `trace_id` come first.

use launchgate_sdk::hash::hex;
use launchgate_sdk::json;

use super::{Resource, some, write};
use crate::record::Record;

pub(super) fn line(resource: &Resource, record: &Record) -> String {
    json::object(|line| {
        line.text("timestamp", record.time.rfc3339());
        line.text("level", record.severity.as_str());
        line.text("service", &resource.service);
        line.text_if("version", some(&resource.version));
        line.text_if("environment", some(&resource.environment));
        line.text("message", &record.message);
        line.text_if("trace_id", record.trace_id.map(|id| hex(&id.bytes())));
        line.text_if("span_id", record.span_id.map(|id| hex(&id.bytes())));
        for (key, value) in &record.fields {
            write(line, key.flat(), value);
        }
        if !record.truncated.is_empty() {
            line.list("truncated", |names| {
                record.truncated.iter().for_each(|name| names.text(name))
            });
        }
    })
}
