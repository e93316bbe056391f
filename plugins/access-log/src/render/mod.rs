//! Records as text.

pub(crate) mod ecs;
mod flat;
pub(crate) mod otlp;

use launchgate_sdk::json::Object;

use crate::config::Format;
use crate::record::{Record, Value, percent};

/// What is the same in every record.
#[derive(Debug, Clone, Default)]
pub(crate) struct Resource {
    /// Name of the service.
    pub(crate) service: String,
    /// Its version, may be empty.
    pub(crate) version: String,
    /// Deployment environment, may be empty.
    pub(crate) environment: String,
}

/// A record as one line, without a line feed.
pub(crate) fn line(format: Format, resource: &Resource, record: &Record) -> String {
    match format {
        Format::Launchgate => flat::line(resource, record),
        Format::Ecs => ecs::line(resource, record),
        Format::Otlp => otlp::body(resource, &[&otlp::log_record(record)]),
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Writes a value; a duration in whole milliseconds.
fn write(object: &mut Object<'_>, key: &str, value: &Value) {
    match value {
        Value::Text(text) => object.text(key, text),
        Value::Integer(number) => object.integer(key, *number),
        Value::Flag(flag) => object.flag(key, *flag),
        Value::Duration(duration) => {
            object.integer(key, u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
        }
        Value::Percent(share) => object.raw(key, &percent(*share)),
    }
}

#[cfg(test)]
mod tests;
