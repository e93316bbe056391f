//! What a scripted server is asked and what it is told to do.

use std::time::Duration;

/// A request as it arrived.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Received {
    /// Method.
    pub method: String,
    /// Request target with its query.
    pub path: String,
    /// `host` or `:authority`.
    pub authority: String,
    /// Header fields in order, names as sent, without pseudo headers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// The body, transfer coding removed.
    pub body: Vec<u8>,
    /// Trailers (HTTP/2 only).
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Head and body as they came over the wire (HTTP/1.1 only).
    pub raw: Vec<u8>,
}

impl Received {
    /// The first value of a header as text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.all(name).into_iter().next()
    }

    /// All values of a header.
    #[must_use]
    pub fn all(&self, name: &str) -> Vec<String> {
        let wanted = |(key, _): &&(Vec<u8>, Vec<u8>)| key.eq_ignore_ascii_case(name.as_bytes());
        self.headers
            .iter()
            .filter(wanted)
            .map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }
}

/// A response to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Status code.
    pub status: u16,
    /// Header fields; `content-length` is added unless there is one or there are trailers.
    pub headers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Body.
    pub body: Vec<u8>,
    /// Trailers: chunked in HTTP/1.1, a HEADERS frame in HTTP/2.
    pub trailers: Vec<(Vec<u8>, Vec<u8>)>,
    /// Chunked encoding in place of `content-length`; trailers imply it.
    pub chunked: bool,
    /// Wait before the first byte.
    pub latency: Duration,
}

impl Reply {
    /// A response with this status and nothing else.
    #[must_use]
    pub fn status(status: u16) -> Self {
        let latency = Duration::ZERO;
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            trailers: Vec::new(),
            chunked: false,
            latency,
        }
    }

    /// With a header field.
    #[must_use]
    pub fn header(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.headers
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// With a body.
    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    /// With a trailer.
    #[must_use]
    pub fn trailer(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.trailers
            .push((name.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// After this wait.
    #[must_use]
    pub fn latency(mut self, latency: Duration) -> Self {
        self.latency = latency;
        self
    }

    /// A gRPC response: one framed message and the status in a trailer.
    #[must_use]
    pub fn grpc(message: &[u8], status: u32) -> Self {
        let length = u32::try_from(message.len())
            .unwrap_or(u32::MAX)
            .to_be_bytes();
        let framed = [&[0][..], &length, message].concat();
        let reply = Self::status(200)
            .header("content-type", "application/grpc")
            .body(framed);
        reply.trailer("grpc-status", status.to_string())
    }
}

/// What the server does with a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// Responds.
    Respond(Reply),
    /// Never says anything and keeps the connection.
    Hang,
    /// Closes the connection without a word (HTTP/2: GOAWAY).
    Close,
    /// Resets the connection (RST; HTTP/2: RST_STREAM) before the head.
    Reset,
    /// Sends the head and a part of the body, then resets.
    ResetInBody(Reply),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Self {
        Self::Respond(reply)
    }
}
