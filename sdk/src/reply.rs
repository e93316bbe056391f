//! A reply of the gateway's own, instead of an upstream's.
//!
//! 1. Envoy appends the headers of a local reply to its own; `content-type` replaces the default.
//! 2. On a HEAD request the host sends headers only.
//! 3. On a request of type `application/grpc` the host answers HTTP 200 with `grpc-status`: give one with [`Reply::grpc_status`].

use crate::headers::InvalidHeader;

/// A local reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Response headers besides `content-type` of the body.
    pub headers: Vec<(String, Vec<u8>)>,
    /// Body, may be empty.
    pub body: Vec<u8>,
    /// Envoy's response code details: why, without blanks.
    pub details: &'static str,
    /// gRPC status for gRPC requests (RFC-less; the gRPC status code list).
    pub grpc_status: Option<u32>,
    /// Headers that were refused because they held CR, LF, NUL or a bad name; the edge counts them.
    pub refused: u32,
}

impl Reply {
    /// A reply without body. `details` appears in Envoy's access log.
    pub fn new(status: u16, details: &'static str) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            details,
            grpc_status: None,
            refused: 0,
        }
    }

    /// Adds a header. A value with CR, LF or NUL is left out and counted: Envoy would write it to the wire as it is.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        match InvalidHeader::check(name, value.as_ref()) {
            Ok(()) => self
                .headers
                .push((name.to_owned(), value.as_ref().to_vec())),
            Err(_) => self.refused += 1,
        }
        self
    }

    /// Sets the body and its media type.
    pub fn body(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        let mut reply = self.header("content-type", content_type);
        reply.body = body.into();
        reply
    }

    /// Sets the gRPC status that a gRPC client sees.
    pub fn grpc_status(mut self, status: u32) -> Self {
        self.grpc_status = Some(status);
        self
    }

    /// First value of a header of the reply, for tests and for policies that look at a reply.
    pub fn first(&self, name: &str) -> Option<&[u8]> {
        self.headers
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_slice())
    }
}
