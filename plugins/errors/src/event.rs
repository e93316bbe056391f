//! Payloads of events and transactions (Sentry SDK specification, "Event Payloads", "Transaction Payloads").
//!
//! 1. `event_id` of 32 hex digits, `platform` `other`, an exception with a mechanism that says `handled: false`.
//! 2. Request, response and trace as contexts; what only the gateway knows (flags, code details, attempts, upstream) as a
//!    context of its own. Everything is filtered ([`crate::scrub`]) and bounded, so an event is far below 1 MiB.
//! 3. Tags are texts below 200 characters.

use launchgate_sdk::map::Map;

use launchgate_sdk::headers::Headers;
use launchgate_sdk::json_tree::{Value, json};
use launchgate_sdk::notifier::clean;
use launchgate_sdk::path::{RequestPath, query};
use launchgate_sdk::response_flags::names;
use launchgate_sdk::{Attribute, EndView, Peer, Timestamp};

use crate::config::{Level, SendUser};
use crate::failure::{Failure, Kind};
use crate::scrub;
use crate::sentry::CLIENT;
use crate::settings::{Identity, Settings};
use crate::trace::{Trace, plain};

const TAG_LIMIT: usize = 199;

/// The `sdk` of every payload.
pub(crate) fn sdk() -> Value {
    json!({"name": "launchgate.errors", "version": env!("CARGO_PKG_VERSION")})
}

/// What is said of an exchange, failed or not.
pub(crate) struct Story<'a> {
    /// The checked configuration.
    pub settings: &'a Settings,
    /// The request as the client sent it.
    pub request: &'a Headers,
    /// The end of the exchange.
    pub view: &'a EndView<'a>,
    /// Its trace.
    pub trace: &'a Trace,
    /// Hash or id of the user, where events say it.
    pub user: Option<&'a str>,
    /// Now.
    pub now: Timestamp,
}

/// The tags of a failure: what rules and alerts can name.
pub(crate) fn tags(failure: &Failure, identity: &Identity) -> Map<String, String> {
    let mut tags = identity.tags.clone();
    let mut tag = |name: &str, value: String| {
        if !value.is_empty() {
            tags.insert(name.to_owned(), clean(&value, TAG_LIMIT));
        }
    };
    tag("failure", failure.kind.as_str().to_owned());
    if failure.kind != Kind::Panic {
        tag("http.method", failure.method.to_owned());
        tag("http.route", failure.route.clone());
    }
    tag(
        "http.status_code",
        failure
            .status
            .map_or_else(String::new, |status| status.to_string()),
    );
    if let Kind::Grpc(code) = failure.kind {
        tag("grpc.code", code.to_string());
    }
    tag("envoy.cluster", failure.cluster.clone());
    tag(
        "envoy.flags",
        names(failure.flags).collect::<Vec<_>>().join(","),
    );
    tags
}

/// An event of a failed exchange.
pub(crate) fn event(
    id: &str,
    failure: &Failure,
    tags: &Map<String, String>,
    level: Option<Level>,
    story: &Story<'_>,
) -> Value {
    let default = if failure.kind == Kind::Slow {
        Level::Warning
    } else {
        Level::Error
    };
    let mut event = skeleton(
        id,
        failure,
        tags,
        level.unwrap_or(default),
        &story.settings.identity,
        story.now,
    );
    insert(&mut event, "server_name", server_name(story));
    insert(&mut event, "request", request(story));
    insert(&mut event, "user", user(story));
    let contexts = json!({"trace": trace(story, failure.status), "response": response(story, failure.status), "gateway": gateway(story, failure)});
    insert(&mut event, "contexts", contexts);
    event
}

/// An event without an exchange: the death of a VM.
pub(crate) fn bare(
    id: &str,
    failure: &Failure,
    tags: &Map<String, String>,
    identity: &Identity,
    at: Timestamp,
) -> Value {
    let mut event = skeleton(id, failure, tags, Level::Fatal, identity, at);
    insert(
        &mut event,
        "server_name",
        identity.server_name.clone().into(),
    );
    event
}

/// The summary of a window: the same issue, without an exchange.
pub(crate) fn summary(
    id: &str,
    failure: &Failure,
    tags: &Map<String, String>,
    identity: &Identity,
    suppressed: u64,
    since: Timestamp,
    now: Timestamp,
) -> Value {
    let mut event = skeleton(id, failure, tags, Level::Error, identity, now);
    insert(
        &mut event,
        "server_name",
        identity.server_name.clone().into(),
    );
    insert(
        &mut event,
        "logentry",
        json!({"formatted": format!("{} more of these were not sent since {since}: {}", suppressed, failure.value)}),
    );
    insert(
        &mut event,
        "extra",
        json!({"suppressed_count": suppressed, "first_suppressed": since.to_string(), "last_suppressed": now.to_string()}),
    );
    event
}

fn skeleton(
    id: &str,
    failure: &Failure,
    tags: &Map<String, String>,
    level: Level,
    identity: &Identity,
    at: Timestamp,
) -> Value {
    let mut event = json!({
        "event_id": id,
        "timestamp": at.to_string(),
        "platform": "other",
        "level": level.as_str(),
        "logger": "launchgate.errors",
        "environment": &identity.environment,
        "transaction": clean(&transaction_name(failure.method, &failure.route, failure.kind), 200),
        "fingerprint": failure.fingerprint.clone(),
        "tags": tags.clone(),
        "sdk": sdk(),
        "exception": {"values": [{
            "type": clean(&failure.what, 128),
            "value": clean(&failure.value, 1024),
            "mechanism": {"type": "launchgate", "handled": false, "data": {"failure": failure.kind.as_str()}},
        }]},
    });
    insert(&mut event, "release", identity.release.clone().into());
    insert(&mut event, "dist", identity.dist.clone().into());
    event
}

fn transaction_name(method: &str, route: &str, kind: Kind) -> String {
    if kind == Kind::Panic {
        route.to_owned()
    } else {
        format!("{method} {route}")
    }
}

/// Adds what is not empty.
pub(crate) fn insert(object: &mut Value, key: &str, value: Value) {
    let is_empty = match &value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Object(own) => own.is_empty(),
        _ => false,
    };
    if let (false, Some(object)) = (is_empty, object.as_object_mut()) {
        object.insert(key.to_owned(), value);
    }
}

/// Name of the proxy.
pub(crate) fn server_name(story: &Story<'_>) -> Value {
    let own = &story.settings.identity.server_name;
    if own.is_empty() {
        story
            .view
            .text(Attribute::NodeId)
            .map_or(Value::Null, |id| clean(&id, 200).into())
    } else {
        own.clone().into()
    }
}

/// The request, filtered.
pub(crate) fn request(story: &Story<'_>) -> Value {
    let (headers, redactor, pii) = (
        story.request,
        &story.settings.redactor,
        story.settings.send_pii,
    );
    if headers.is_empty() {
        return Value::Null;
    }
    let scheme = headers
        .text(":scheme")
        .filter(|scheme| matches!(*scheme, "http" | "https"))
        .unwrap_or("http");
    let host = scrub::text(headers.authority(), 256);
    let path = scrub::path(RequestPath::read(headers.path()).bytes(), redactor, pii);
    let mut shown = json!({
        "method": scrub::text(headers.method(), 32),
        "url": format!("{scheme}://{host}{path}"),
        "headers": scrub::headers(headers, redactor, pii),
    });
    insert(
        &mut shown,
        "query_string",
        scrub::query(query(headers.path()), redactor, pii).into(),
    );
    insert(
        &mut shown,
        "cookies",
        scrub::cookies(headers, redactor, pii),
    );
    shown
}

/// The response, filtered.
pub(crate) fn response(story: &Story<'_>, status: Option<u16>) -> Value {
    let Some(status) = status else {
        return Value::Null;
    };
    let headers = scrub::headers(
        story.view.response(),
        &story.settings.redactor,
        story.settings.send_pii,
    );
    let mut shown = json!({"type": "response", "status_code": status, "headers": headers});
    insert(
        &mut shown,
        "body_size",
        story.view.integer(Attribute::ResponseSize).into(),
    );
    shown
}

/// The user.
pub(crate) fn user(story: &Story<'_>) -> Value {
    let mut user = json!({});
    if story
        .settings
        .user
        .as_ref()
        .is_some_and(|user| user.send != SendUser::None)
    {
        insert(&mut user, "id", story.user.map(str::to_owned).into());
    }
    if story.settings.send_pii {
        let address = story.view.attribute(Attribute::SourceAddress);
        let peer = Peer::read(address.as_deref(), story.settings.trust_xff);
        insert(
            &mut user,
            "ip_address",
            peer.ip().map(|ip| ip.to_string()).into(),
        );
    }
    user
}

/// The trace.
pub(crate) fn trace(story: &Story<'_>, status: Option<u16>) -> Value {
    let trace = story.trace;
    let mut shown = json!({
        "type": "trace",
        "trace_id": plain(&trace.trace_id),
        "span_id": trace.span_id.to_string(),
        "op": "http.server",
        "origin": "auto.http.launchgate",
        "status": span_status(status),
    });
    insert(
        &mut shown,
        "parent_span_id",
        trace.parent_span_id.map(|id| id.to_string()).into(),
    );
    if let (Some(status), Some(shown)) = (status, shown.as_object_mut()) {
        shown.insert("data".to_owned(), json!({"http.response.status_code": status, "http.request.method": scrub::text(story.request.method(), 32)}));
    }
    shown
}

/// What only the gateway knows.
fn gateway(story: &Story<'_>, failure: &Failure) -> Value {
    let (view, pii) = (story.view, story.settings.send_pii);
    let text = |attribute| {
        let text = view.text(attribute).map(|text| clean(&text, 256));
        text.map(|text| scrub::anonymous(text, pii)).into()
    };
    let mut shown = json!({"type": "gateway", "client": CLIENT, "duration_ms": u64::try_from(view.duration().as_millis()).unwrap_or(u64::MAX)});
    insert(
        &mut shown,
        "flags",
        names(failure.flags).collect::<Vec<_>>().join(",").into(),
    );
    insert(&mut shown, "cluster", clean(&failure.cluster, 256).into());
    insert(
        &mut shown,
        "code_details",
        text(Attribute::ResponseCodeDetails),
    );
    if pii {
        insert(
            &mut shown,
            "upstream_address",
            text(Attribute::UpstreamAddress),
        );
    }
    insert(
        &mut shown,
        "transport_failure",
        text(Attribute::UpstreamTransportFailure),
    );
    insert(&mut shown, "route", text(Attribute::RouteName));
    insert(&mut shown, "protocol", text(Attribute::RequestProtocol));
    insert(&mut shown, "request_id", text(Attribute::RequestId));
    insert(&mut shown, "tls_version", text(Attribute::TlsVersion));
    insert(
        &mut shown,
        "attempts",
        view.integer(Attribute::UpstreamAttempts).into(),
    );
    shown
}

/// Sentry's span status of an HTTP status (the OpenTelemetry mapping it documents).
fn span_status(status: Option<u16>) -> &'static str {
    match status {
        Some(100..=399) => "ok",
        Some(401) => "unauthenticated",
        Some(403) => "permission_denied",
        Some(404) => "not_found",
        Some(409) => "already_exists",
        Some(413) => "failed_precondition",
        Some(429) => "resource_exhausted",
        Some(400..=498) => "invalid_argument",
        Some(501) => "unimplemented",
        Some(503) => "unavailable",
        Some(504) => "deadline_exceeded",
        Some(500..=599) => "internal_error",
        None | Some(499) => "cancelled",
        Some(_) => "unknown_error",
    }
}
