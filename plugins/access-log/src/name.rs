//! The fields of the model, and how each format spells them.
//!
//! Sources: Elastic Common Schema 9 (field reference), OpenTelemetry semantic conventions (`http`, `url`, `client`,
//! `server`, `user_agent`, `user`, `network`). What neither knows is a label in ECS and has the prefix `launchgate.` in
//! OTLP.

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $flat:literal, $ecs:expr, $otlp:literal;)*) => {
        /// A field of the model.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub(crate) enum Name { $($(#[$doc])* $name,)* }

        impl Name {
            /// All fields.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Key in `launchgate`; the name by which `omit` knows it.
            pub(crate) fn flat(self) -> &'static str {
                match self { $(Self::$name => $flat,)* }
            }

            /// Path in `ecs`.
            pub(crate) fn ecs(self) -> &'static [&'static str] {
                match self { $(Self::$name => &$ecs,)* }
            }

            /// Attribute in `otlp`.
            pub(crate) fn otlp(self) -> &'static str {
                match self { $(Self::$name => $otlp,)* }
            }
        }
    };
}

names! {
    /// `x-request-id`.
    RequestId = "request_id", ["http", "request", "id"], "launchgate.request_id";
    /// Where the trace id comes from: a header format, or `generated`.
    TraceSource = "trace_source", ["labels", "trace_source"], "launchgate.trace_source";
    /// The user.
    UserId = "user_id", ["user", "id"], "user.id";
    /// Whether the user id was verified.
    UserIdVerified = "user_id_verified", ["labels", "user_id_verified"], "launchgate.user_id_verified";
    /// Request method.
    Method = "method", ["http", "request", "method"], "http.request.method";
    /// Scheme that the client used, as Envoy sees it.
    Scheme = "scheme", ["url", "scheme"], "url.scheme";
    /// Host without port.
    Host = "host", ["url", "domain"], "server.address";
    /// Path without query.
    Path = "path", ["url", "path"], "url.path";
    /// Query without `?`.
    Query = "query", ["url", "query"], "url.query";
    /// Version of HTTP, such as `1.1`.
    HttpVersion = "http_version", ["http", "version"], "network.protocol.version";
    /// Status of the response.
    Status = "status", ["http", "response", "status_code"], "http.response.status_code";
    /// gRPC status, of gRPC only.
    GrpcStatus = "grpc_status", ["labels", "grpc_status"], "rpc.grpc.status_code";
    /// `success` or `failure`.
    Outcome = "outcome", ["event", "outcome"], "launchgate.outcome";
    /// Why there was no good response: `client_abort`, `no_response`.
    Reason = "reason", ["event", "reason"], "launchgate.reason";
    /// From the request to the end.
    Duration = "duration_ms", ["event", "duration"], "launchgate.duration_ms";
    /// Bytes of request headers and body.
    RequestBytes = "request_bytes", ["http", "request", "bytes"], "http.request.size";
    /// Bytes of response headers and body.
    ResponseBytes = "response_bytes", ["http", "response", "bytes"], "http.response.size";
    /// Route of Envoy.
    Route = "route", ["labels", "route"], "launchgate.route";
    /// Cluster really used.
    Cluster = "upstream_cluster", ["labels", "upstream_cluster"], "launchgate.upstream_cluster";
    /// Upstream host really used.
    Upstream = "upstream_address", ["labels", "upstream_address"], "launchgate.upstream_address";
    /// Attempts including the first.
    Attempts = "attempts", ["labels", "attempts"], "launchgate.attempts";
    /// Envoy's response flags, short names joined by `,`.
    Flags = "response_flags", ["labels", "response_flags"], "launchgate.response_flags";
    /// Envoy's response code details.
    Details = "response_code_details", ["labels", "response_code_details"], "launchgate.response_code_details";
    /// Address of the client, proven by its connection.
    ClientIp = "client_ip", ["client", "ip"], "client.address";
    /// Address of the client as a header claims it.
    ClientIpClaimed = "client_ip_claimed", ["labels", "client_ip_claimed"], "launchgate.client_ip_claimed";
    /// User agent.
    UserAgent = "user_agent", ["user_agent", "original"], "user_agent.original";
    /// Referer.
    Referer = "referer", ["http", "request", "referrer"], "launchgate.referer";
    /// Share of the exchanges like this one that are recorded, in percent.
    SampleRate = "sample_rate_percent", ["labels", "sample_rate_percent"], "launchgate.sample_rate_percent";
    /// How many equal errors a summary stands for.
    Suppressed = "suppressed", ["labels", "suppressed"], "launchgate.suppressed";
    /// Worker that wrote the record.
    Worker = "worker", ["labels", "worker"], "launchgate.worker";
    /// Number of the record in its worker: a gap is a loss.
    Seq = "seq", ["event", "sequence"], "launchgate.seq";
}

/// Keys that a record has besides the fields of the model.
pub(crate) const RESERVED: [&str; 10] = [
    "timestamp",
    "level",
    "service",
    "version",
    "environment",
    "message",
    "trace_id",
    "span_id",
    "truncated",
    "labels",
];

/// Some of the fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Names(u64);

impl Names {
    /// Adds a field.
    pub(crate) fn insert(&mut self, name: Name) {
        self.0 |= 1 << name as u32;
    }

    /// Whether a field is one of them.
    pub(crate) fn contains(self, name: Name) -> bool {
        self.0 & 1 << name as u32 != 0
    }
}

impl Name {
    /// The field of this `launchgate` name.
    pub(crate) fn parse(flat: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|name| name.flat() == flat)
    }
}
