//! Call-outs: a request of the gateway's own to a named cluster, and its typed answer.
//!
//! 1. Only tick and answer send them; a call from an exchange would be cancelled with the exchange.
//! 2. A call that cannot be sent is answered by [`Answer::NotSent`] at once, in the same turn of the root context.
//! 3. Envoy answers in the upstream's place when there is none: 504 after a time-out, 503 for a refused or broken
//!    connection, no headers for a reset in mid-body. [`Answer::read`] tells these apart from real answers by the exact
//!    texts of Envoy 1.36 to 1.40 (docs/host.md).

use std::time::Duration;

use crate::headers::Headers;
use crate::secret::Secret;

/// A request to a cluster of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Cluster, as the host's configuration names it.
    pub cluster: String,
    /// `:method`.
    pub method: &'static str,
    /// `:authority`.
    pub authority: String,
    /// `:path`, may be secret (webhooks carry their token in the path).
    pub path: Secret,
    /// Further headers.
    pub headers: Vec<(String, Secret)>,
    /// Body, may be empty.
    pub body: Vec<u8>,
    /// Time until the whole answer must be there.
    pub timeout: Duration,
    /// How many bytes of the answer's body to read; what is beyond is cut off.
    pub body_limit: usize,
}

const BODY_LIMIT: usize = 64 * 1024;

impl Call {
    /// A GET with a time-out of two seconds.
    pub fn get(cluster: &str, authority: &str, path: &str) -> Self {
        Self {
            cluster: cluster.to_owned(),
            method: "GET",
            authority: authority.to_owned(),
            path: Secret::new(path),
            headers: Vec::new(),
            body: Vec::new(),
            timeout: Duration::from_secs(2),
            body_limit: BODY_LIMIT,
        }
    }

    /// A POST with a time-out of two seconds.
    pub fn post(
        cluster: &str,
        authority: &str,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
    ) -> Self {
        let mut call = Self::get(cluster, authority, path).header("content-type", content_type);
        call.method = "POST";
        call.body = body;
        call
    }

    /// Adds a header.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), Secret::new(value)));
        self
    }

    /// Sets how many bytes of the answer's body to read (default: 64 kB).
    pub fn body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the time-out.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// The upstream answered.
    Response {
        /// HTTP status.
        status: u16,
        /// All headers.
        headers: Headers,
        /// Body, whole.
        body: Vec<u8>,
        /// Trailers, empty for most (gRPC has its status there).
        trailers: Headers,
    },
    /// No whole answer within the time-out.
    Timeout,
    /// No connection: refused, or no healthy host.
    Unreachable,
    /// The connection broke before the answer was whole.
    Reset,
    /// The host could not send it, for example because the cluster is unknown or has no hosts.
    NotSent,
}

impl Answer {
    /// Reads what the host gave back.
    pub fn read(headers: Headers, body: Vec<u8>, trailers: Headers) -> Self {
        let Some(status) = headers.status() else {
            return Self::Reset;
        };
        // Envoy's own replies have these three headers only; a server at least dates or names itself, or has other texts.
        if headers.len() <= 3 {
            match status {
                504 if body == b"upstream request timeout" => return Self::Timeout,
                503 if body == b"no healthy upstream" => return Self::Unreachable,
                503 if body
                    .starts_with(b"upstream connect error or disconnect/reset before headers") =>
                {
                    let reset = body
                        .windows(22)
                        .any(|part| part == b"connection termination");
                    return if reset {
                        Self::Reset
                    } else {
                        Self::Unreachable
                    };
                }
                _ => {}
            }
        }
        Self::Response {
            status,
            headers,
            body,
            trailers,
        }
    }

    /// The status of a real answer.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Response { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// Why there is no answer, as a label value: `timeout`, `unreachable`, `reset`, `not_sent`; `response` otherwise.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Response { .. } => "response",
            Self::Timeout => "timeout",
            Self::Unreachable => "unreachable",
            Self::Reset => "reset",
            Self::NotSent => "not_sent",
        }
    }
}
