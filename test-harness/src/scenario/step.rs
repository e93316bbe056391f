//! Steps of a case: what is done to the gateway, and when.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::expect::Expect;
use super::schema::{Cluster, Level, Reply};
use super::text::{Bytes, Headers, Leap, Span};

/// One step: exactly one action (or none, to check what has happened so far), then expectations.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// A name for failure messages.
    pub name: Option<String>,
    /// Send a request and wait for its end (virtual time moves on as far as that needs), unless `background`.
    pub request: Option<Request>,
    /// A TCP connection from its beginning to its end, where `listener.tcp` is set.
    pub connection: Option<Connection>,
    /// Let time pass: ticks, call-out answers and time-outs that fall due happen in order.
    pub advance: Option<Span>,
    /// Step the wall clock, as an administrator or a bad time server would. Ticks, time-outs and the monotonic clock do not
    /// notice. Emulator only.
    pub clock: Option<Leap>,
    /// Wait for a background request to end.
    pub finish: Option<String>,
    /// The client of a background request hangs up.
    pub abort: Option<String>,
    /// Behaviour of these clusters from now on.
    pub clusters: Option<BTreeMap<String, Cluster>>,
    /// Write shared data of the first plugin's VM id (`null` writes the empty value). Emulator only.
    pub shared_data: Option<BTreeMap<String, Option<Bytes>>>,
    /// Give a plugin a new configuration, as a control plane would.
    pub reload: Option<Reload>,
    /// Make host calls (`proxy_http_call: 10`) answer a status instead of working; `{}` ends it. Emulator only.
    pub faults: Option<BTreeMap<String, i32>>,
    /// Set the plugins' log level.
    pub log_level: Option<Level>,
    /// What must have happened since the step before.
    pub expect: Expect,
}

/// A request from a client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Request {
    /// Name, for `finish` and `abort`.
    pub id: Option<String>,
    /// Method.
    pub method: Bytes,
    /// `:path`, as sent.
    pub path: Bytes,
    /// `:authority` (`Host`). Empty sends none.
    pub authority: Bytes,
    /// `http1` or `http2`.
    pub http: HttpVersion,
    /// Headers, in order. A name may have a list of values.
    pub headers: Headers,
    /// Body.
    pub body: Option<Bytes>,
    /// Body in pieces, each a body callback.
    pub chunks: Vec<Bytes>,
    /// Trailers, after `chunks`.
    pub trailers: Headers,
    /// Address and port of the client. The default is `127.0.0.1:40000` (a real Envoy sees a port of its own choosing).
    pub source: Option<String>,
    /// Address and port it reached.
    pub destination: Option<String>,
    /// The connection is TLS.
    pub tls: Option<Tls>,
    /// Attributes by dotted path (`xds.cluster_name`), for what the fields here do not say. Emulator only.
    pub attributes: BTreeMap<String, Value>,
    /// Dynamic metadata that an earlier filter wrote, by filter name (`envoy.filters.http.jwt_authn`).
    pub metadata: BTreeMap<String, Value>,
    /// This request's answer from the upstream, whatever its cluster would do.
    pub upstream: Option<Reply>,
    /// The worker that serves it, from 0 (modulo the worker count). Emulator only; without, every assignment is tried.
    pub worker: Option<u32>,
    /// Go on without waiting for the end; needs an `id`.
    pub background: bool,
    /// How long the client waits before it hangs up.
    pub timeout: Option<Span>,
    /// Send it this often, one after the other; expectations on the reply hold for each.
    pub repeat: u32,
}

impl Default for Request {
    fn default() -> Self {
        Request {
            id: None,
            method: Bytes::from("GET"),
            path: Bytes::from("/"),
            authority: Bytes::from("gateway.example.org"),
            http: HttpVersion::default(),
            headers: Headers::default(),
            body: None,
            chunks: Vec::new(),
            trailers: Headers::default(),
            source: None,
            destination: None,
            tls: None,
            attributes: BTreeMap::new(),
            metadata: BTreeMap::new(),
            upstream: None,
            worker: None,
            background: false,
            timeout: None,
            repeat: 1,
        }
    }
}

/// A TCP connection. What the client got is the `body` of its expectation, what the upstream got is `upstream.body`; `reset`
/// says that the gateway closed it.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Connection {
    /// Name, for reports.
    pub id: Option<String>,
    /// Address and port of the client.
    pub source: Option<String>,
    /// Address and port it reached.
    pub destination: Option<String>,
    /// What the client sends, piece by piece: each after the answer to the one before.
    pub send: Vec<Bytes>,
    /// What the upstream answers to each piece that it gets (nothing beyond the list, or where it is empty).
    pub answers: Vec<Bytes>,
    /// Who closes in the end.
    pub close: Closer,
}

/// Who closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Closer {
    /// The client; the upstream follows.
    #[default]
    Client,
    /// The upstream; the client follows.
    Upstream,
}

/// HTTP version of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HttpVersion {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2.
    Http2,
}

/// TLS of the client's connection.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// Version, as Envoy names it.
    pub version: String,
    /// Server name that the client asked for (SNI); `null` for none.
    pub sni: Option<String>,
    /// The client showed a certificate.
    pub mtls: bool,
    /// URI SAN of the client's certificate.
    pub uri_san: Option<String>,
    /// DNS SAN of the client's certificate.
    pub dns_san: Option<String>,
    /// Subject of the client's certificate.
    pub subject: Option<String>,
    /// SHA-256 digest of the client's certificate, in hex.
    pub digest: Option<String>,
}

impl Default for Tls {
    fn default() -> Self {
        Tls {
            version: "TLSv1.3".into(),
            sni: Some("gateway.example.org".into()),
            mtls: false,
            uri_san: None,
            dns_san: None,
            subject: None,
            digest: None,
        }
    }
}

/// A new configuration for a plugin that runs.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Reload {
    /// Which plugin, by name; the default is the first.
    pub plugin: Option<String>,
    /// The new configuration.
    pub config: Option<Value>,
    /// A merge patch on the present one instead.
    pub config_patch: Option<Value>,
    /// `true`: it must be refused, and the old one stays in force.
    pub refused: bool,
}
