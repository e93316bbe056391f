//! A strict receiver of envelopes: what Sentry's ingestion would refuse fails the test.
//!
//! Source: Sentry SDK specification, "Envelopes" (framing), "Authentication", "Client Reports", "Transaction Payloads".

use launchgate_harness::envoy::{Answer, Received, Reply, Upstream};
use serde_json::Value;

/// An item of an envelope.
pub(crate) struct Item {
    pub(crate) kind: String,
    pub(crate) payload: Value,
}

/// Splits an envelope and checks everything that the specification demands of it.
pub(crate) fn read(request: &Received, key: &str) -> Vec<Item> {
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.header("content-type").as_deref(),
        Some("application/x-sentry-envelope")
    );
    assert_eq!(
        request.header("content-length"),
        Some(request.body.len().to_string())
    );
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("launchgate.errors/")
    );
    let auth = request.all("x-sentry-auth");
    assert_eq!(auth.len(), 1);
    let fields: Vec<&str> = auth[0]
        .strip_prefix("Sentry ")
        .unwrap()
        .split(", ")
        .collect();
    assert!(
        fields.contains(&"sentry_version=7")
            && fields.contains(&format!("sentry_key={key}").as_str()),
        "{auth:?}"
    );
    assert!(
        fields
            .iter()
            .any(|field| field.starts_with("sentry_client=launchgate.errors/")),
        "{auth:?}"
    );

    assert!(!request.body.contains(&b'\r'));
    let mut rest = &request.body[..];
    let header = line(&mut rest);
    timestamp(&header["sent_at"]);
    let mut items = Vec::new();
    while !rest.is_empty() {
        let item = line(&mut rest);
        let length = usize::try_from(item["length"].as_u64().unwrap()).unwrap();
        let (payload, tail) = rest.split_at(length);
        assert_eq!(tail.first(), Some(&b'\n'));
        rest = &tail[1..];
        let kind = item["type"].as_str().unwrap().to_owned();
        let payload: Value = serde_json::from_slice(payload).unwrap();
        match kind.as_str() {
            "event" => event(&payload, &header),
            "transaction" => transaction(&payload, &header),
            "client_report" => client_report(&payload, length),
            other => panic!("unknown item type {other}"),
        }
        items.push(Item { kind, payload });
    }
    items
}

fn line(rest: &mut &[u8]) -> Value {
    let end = rest.iter().position(|byte| *byte == b'\n').unwrap();
    let (line, tail) = rest.split_at(end);
    *rest = &tail[1..];
    serde_json::from_slice(line).unwrap()
}

fn timestamp(value: &Value) {
    let text = value.as_str().unwrap();
    humantime::parse_rfc3339(text).unwrap_or_else(|error| panic!("{text}: {error}"));
}

fn hex(value: &Value, length: usize) {
    let text = value.as_str().unwrap();
    assert!(
        text.len() == length
            && text
                .bytes()
                .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)),
        "{text}"
    );
}

fn common(payload: &Value, header: &Value) {
    hex(&payload["event_id"], 32);
    assert_eq!(payload["event_id"], header["event_id"]);
    timestamp(&payload["timestamp"]);
    assert_eq!(payload["platform"], "other");
    assert!(
        !payload["environment"]
            .as_str()
            .unwrap()
            .contains(['/', '\n'])
    );
    for (name, value) in payload["tags"].as_object().unwrap() {
        assert!(
            name.len() <= 32 && value.as_str().unwrap().chars().count() < 200,
            "{name}"
        );
    }
}

fn event(payload: &Value, header: &Value) {
    common(payload, header);
    assert!(
        ["fatal", "error", "warning", "info", "debug"]
            .contains(&payload["level"].as_str().unwrap())
    );
    assert!(payload["exception"]["values"][0]["mechanism"]["handled"] == false);
}

fn transaction(payload: &Value, header: &Value) {
    common(payload, header);
    assert_eq!(payload["type"], "transaction");
    timestamp(&payload["start_timestamp"]);
    assert!(payload["start_timestamp"].as_str() <= payload["timestamp"].as_str());
    hex(&payload["contexts"]["trace"]["trace_id"], 32);
    hex(&payload["contexts"]["trace"]["span_id"], 16);
    assert!(payload["spans"].is_array() && payload["transaction_info"]["source"].is_string());
    hex(&header["trace"]["trace_id"], 32);
    assert_eq!(
        header["trace"]["trace_id"],
        payload["contexts"]["trace"]["trace_id"]
    );
    assert!(header["trace"]["public_key"].is_string());
}

fn client_report(payload: &Value, length: usize) {
    assert!(length <= 4096);
    timestamp(&payload["timestamp"]);
    for line in payload["discarded_events"].as_array().unwrap() {
        assert!(
            line["quantity"].as_u64().unwrap() > 0
                && line["reason"].is_string()
                && line["category"].is_string()
        );
    }
}

/// A receiver that takes everything.
pub(crate) fn start() -> Upstream {
    Upstream::always(accepted()).unwrap()
}

/// What Sentry says when it took an envelope.
pub(crate) fn accepted() -> Answer {
    reply().into()
}

/// The same, to be added to.
pub(crate) fn reply() -> Reply {
    Reply::status(200)
        .header("content-type", "application/json")
        .body("{\"id\":\"x\"}")
}

/// Items of one type in all envelopes received so far.
pub(crate) fn items(sentry: &Upstream, key: &str, kind: &str) -> Vec<Value> {
    sentry
        .received()
        .iter()
        .flat_map(|request| read(request, key))
        .filter(|item| item.kind == kind)
        .map(|item| item.payload)
        .collect()
}

/// The losses in all client reports so far, of one reason and category.
pub(crate) fn losses(sentry: &Upstream, key: &str, reason: &str, category: &str) -> u64 {
    let lines = items(sentry, key, "client_report")
        .into_iter()
        .flat_map(|report| report["discarded_events"].as_array().unwrap().clone());
    lines
        .filter(|line| line["reason"] == reason && line["category"] == category)
        .map(|line| line["quantity"].as_u64().unwrap())
        .sum()
}
