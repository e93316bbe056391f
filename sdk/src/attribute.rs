//! The attributes that a policy can ask for, and the phases in which the host has them.
//!
//! 1. An attribute costs about 2 µs (the host enters the VM again to allocate): ask a header or the clock first.
//! 2. Outside its phases an attribute is absent without a host call.
//! 3. Source: Envoy's attribute reference, and what Envoy 1.40 answered (docs/host.md).

/// The phase of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Request headers (and body).
    Request,
    /// Response headers.
    Response,
    /// The end of the exchange, when Envoy writes its access log.
    End,
}

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = $path:expr, $from:ident;)*) => {
        /// An attribute of the exchange, named as in Envoy's attribute reference.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Attribute { $($(#[$doc])* $name,)* }

        impl Attribute {
            /// The path by which the host knows it.
            pub fn path(self) -> &'static [&'static str] {
                match self { $(Self::$name => &$path,)* }
            }

            fn since(self) -> Phase {
                match self { $(Self::$name => Phase::$from,)* }
            }
        }
    };
}

attributes! {
    /// Downstream address with port, as Envoy derived it; port 0 means that it came from a header. Use [`crate::Peer`].
    SourceAddress = ["source", "address"], Request;
    /// Local address with port.
    DestinationAddress = ["destination", "address"], Request;
    /// Local port, an integer.
    DestinationPort = ["destination", "port"], Request;
    /// Number of the downstream connection, an integer.
    ConnectionId = ["connection", "id"], Request;
    /// `TLSv1.3`; absent on plaintext: the only proof of TLS.
    TlsVersion = ["connection", "tls_version"], Request;
    /// Server name of the TLS handshake; absent without the `tls_inspector` listener filter.
    RequestedServerName = ["connection", "requested_server_name"], Request;
    /// Whether a client certificate was presented. Under `ACCEPT_UNTRUSTED` it proves nothing.
    Mtls = ["connection", "mtls"], Request;
    /// Subject of the client certificate.
    PeerSubject = ["connection", "subject_peer_certificate"], Request;
    /// First URI SAN of the client certificate.
    PeerUriSan = ["connection", "uri_san_peer_certificate"], Request;
    /// First DNS SAN of the client certificate.
    PeerDnsSan = ["connection", "dns_san_peer_certificate"], Request;
    /// SHA-256 of the client certificate, lower-case hex.
    PeerSha256 = ["connection", "sha256_peer_certificate_digest"], Request;
    /// `x-request-id` as Envoy set it.
    RequestId = ["request", "id"], Request;
    /// `HTTP/1.1`, `HTTP/2` or `HTTP/3`.
    RequestProtocol = ["request", "protocol"], Request;
    /// Time of the first byte, nanoseconds since the epoch.
    RequestTime = ["request", "time"], Request;
    /// Bytes of the request body.
    RequestSize = ["request", "size"], End;
    /// Bytes of request headers and body.
    RequestTotalSize = ["request", "total_size"], End;
    /// Duration of the whole exchange in nanoseconds.
    RequestDuration = ["request", "duration"], End;
    /// Final status; absent when the client aborted before a response.
    ResponseCode = ["response", "code"], End;
    /// Why this status, as Envoy says it, for example `via_upstream`.
    ResponseCodeDetails = ["response", "code_details"], End;
    /// Envoy's response flags as a bit set.
    ResponseFlags = ["response", "flags"], End;
    /// gRPC status. Filled for plain HTTP too: ask only when the content type is `application/grpc`.
    ResponseGrpcStatus = ["response", "grpc_status"], End;
    /// Bytes of the response body.
    ResponseSize = ["response", "size"], End;
    /// Bytes of response headers and body.
    ResponseTotalSize = ["response", "total_size"], End;
    /// Time from the first byte sent upstream to the last received, in nanoseconds.
    ResponseBackendLatency = ["response", "backend_latency"], End;
    /// Address with port of the upstream host used.
    UpstreamAddress = ["upstream", "address"], Response;
    /// Attempts including the first.
    UpstreamAttempts = ["upstream", "request_attempt_count"], End;
    /// Why the connection to the upstream failed.
    UpstreamTransportFailure = ["upstream", "transport_failure_reason"], End;
    /// Name of the route.
    RouteName = ["xds", "route_name"], Request;
    /// Name of the cluster; in the end phase the one really used.
    ClusterName = ["xds", "cluster_name"], Request;
    /// Name of this filter in the host's configuration.
    PluginName = ["plugin_name"], Request;
    /// Root id of this plugin in the host's configuration.
    PluginRootId = ["plugin_root_id"], Request;
    /// Id of this proxy.
    NodeId = ["xds", "node", "id"], Request;
    /// Cluster (service) of this proxy.
    NodeCluster = ["xds", "node", "cluster"], Request;
}

impl Attribute {
    /// Whether the host has it in `phase`.
    pub fn is_available(self, phase: Phase) -> bool {
        match self.since() {
            Phase::Request => true,
            Phase::Response => phase != Phase::Request,
            Phase::End => phase == Phase::End,
        }
    }
}
