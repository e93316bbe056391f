//! A record: what is known of an exchange, redacted, before any format.

use std::rc::Rc;
use std::time::Duration;

use launchgate_sdk::Timestamp;
use launchgate_sdk::json::{self, write_integer};
use launchgate_sdk::trace::{SpanId, TraceId};

use crate::name::Name;

/// Severity of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// Statuses below 400, and clients that left.
    Info,
    /// 4xx.
    Warn,
    /// 5xx, failed gRPC, no response.
    Error,
}

impl Severity {
    /// As a record spells it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }

    /// Number of OpenTelemetry's log data model.
    pub(crate) fn number(self) -> u64 {
        match self {
            Self::Info => 9,
            Self::Warn => 13,
            Self::Error => 17,
        }
    }
}

/// Key of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Key {
    /// Of the model.
    Known(Name),
    /// Of the configuration.
    Custom(Rc<str>),
}

impl Key {
    /// Its `launchgate` name.
    pub(crate) fn flat(&self) -> &str {
        match self {
            Self::Known(name) => name.flat(),
            Self::Custom(name) => name,
        }
    }
}

/// Value of a field. Its type never depends on the exchange.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Any bytes.
    Text(Vec<u8>),
    /// A whole number.
    Integer(u64),
    /// A truth value.
    Flag(bool),
    /// Milliseconds or nanoseconds, as the format wants.
    Duration(Duration),
    /// A percent number, which is always written with a decimal point.
    Percent(u32),
}

/// What is known of an exchange.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    /// Begin of the exchange.
    pub(crate) time: Timestamp,
    /// Time of the record.
    pub(crate) observed: Timestamp,
    /// Severity.
    pub(crate) severity: Severity,
    /// For people.
    pub(crate) message: Vec<u8>,
    /// Trace.
    pub(crate) trace_id: Option<TraceId>,
    /// The caller's span.
    pub(crate) span_id: Option<SpanId>,
    /// Whether the caller samples.
    pub(crate) sampled: Option<bool>,
    /// Fields, each once, in the order of the model, then those of the configuration.
    pub(crate) fields: Vec<(Key, Value)>,
    /// Names of fields that were cut or left out for the line budget.
    pub(crate) truncated: Vec<String>,
}

impl Record {
    /// Adds a field of the model.
    pub(crate) fn push(&mut self, name: Name, value: Value) {
        self.fields.push((Key::Known(name), value));
    }
}

/// A share in millionths as a percent number with a decimal point, so that no reader takes it for a whole number.
pub(crate) fn percent(millionths: u32) -> String {
    let mut text = Vec::new();
    write_integer(&mut text, (millionths / 10_000).into());
    text.push(b'.');
    let (mut rest, mut weight) = (millionths % 10_000, 1_000);
    loop {
        write_integer(&mut text, (rest / weight).into());
        rest %= weight;
        weight /= 10;
        if rest == 0 {
            return json::text(text);
        }
    }
}
