//! An envelope (Sentry SDK specification, "Envelopes").
//!
//! 1. One line of JSON as header, then items: one line of JSON, exactly `length` bytes, a line feed. Line feeds only.
//! 2. An envelope with an event or a transaction has its `event_id`; `sent_at` is the time of sending.

use launchgate_sdk::Timestamp;
use launchgate_sdk::json_tree::{Object, Value, json};

/// An envelope in the making.
pub(crate) struct Envelope(Vec<u8>);

impl Envelope {
    /// Begins an envelope. `trace`: the dynamic sampling context.
    pub(crate) fn new(event_id: Option<&str>, trace: Option<&Value>, sent_at: Timestamp) -> Self {
        let mut header = Object::new();
        if let Some(id) = event_id {
            header.insert("event_id".to_owned(), id.into());
        }
        if let Some(trace) = trace {
            header.insert("trace".to_owned(), trace.clone());
        }
        header.insert("sent_at".to_owned(), sent_at.to_string().into());
        header.insert("sdk".to_owned(), crate::event::sdk());
        let mut bytes = Value::Object(header).to_string().into_bytes();
        bytes.push(b'\n');
        Self(bytes)
    }

    /// Adds an item.
    pub(crate) fn item(mut self, kind: &str, payload: &[u8]) -> Self {
        let header =
            json!({"type": kind, "length": payload.len(), "content_type": "application/json"});
        self.0.extend_from_slice(header.to_string().as_bytes());
        self.0.push(b'\n');
        self.0.extend_from_slice(payload);
        self.0.push(b'\n');
        self
    }

    /// The bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_exact_and_headers_are_one_line() {
        let payload = "{\"message\":\"ä\"}".as_bytes();
        let bytes = Envelope::new(
            Some("9ec79c33ec9942ab8353589fcb2e04dc"),
            None,
            Timestamp::from_seconds(1_795_348_800),
        )
        .item("event", payload)
        .item("client_report", b"{}")
        .finish();
        let lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        assert_eq!(lines.len(), 6, "header, two items of two lines, the end");
        let json = |at: usize| serde_json::from_slice::<serde_json::Value>(lines[at]).unwrap();
        assert_eq!(json(0)["event_id"], "9ec79c33ec9942ab8353589fcb2e04dc");
        assert_eq!(json(0)["sent_at"], "2026-11-22T12:00:00.000Z");
        assert_eq!(
            (json(1)["type"].as_str(), json(1)["length"].as_u64()),
            (Some("event"), Some(16))
        );
        assert_eq!(lines[2], payload);
        assert_eq!(
            (
                json(3)["type"].as_str(),
                json(3)["length"].as_u64(),
                lines[4]
            ),
            (Some("client_report"), Some(2), &b"{}"[..])
        );
    }
}
