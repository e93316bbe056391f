//! What an exchange was, in numbers: the values of all labels as small ids, so that finding its series allocates nothing.
//!
//! 1. A client that left is `499`, whatever had been sent, except on a stream, which a client may leave at any time.
//! 2. Streams are upgrades (101), CONNECT with 2xx, and `text/event-stream`.
//! 3. The gRPC code comes from the response headers (trailers-only), else the trailers; Envoy's own attribute is asked
//!    only for a gRPC request without either, since it is filled for plain HTTP too.
//! 4. A failure, for objectives, is a 5xx, or one of the gRPC codes that OpenTelemetry's RPC conventions call a server's
//!    error: UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE, DATA_LOSS.
//! 5. A size is `content-length` where the message was whole, and the host's count elsewhere.

use std::time::Duration;

pub(crate) use launchgate_sdk::method::OTHER;
use launchgate_sdk::method::{self, KNOWN};
use launchgate_sdk::{Attribute, EndView, Headers};

use crate::flags;

const CONNECT: u8 = 5;
const HEAD: u8 = 1;

/// Number of a method, the last for one that is not known.
pub(crate) fn method(bytes: &[u8]) -> u8 {
    method::position(bytes).unwrap_or(KNOWN.len()) as u8
}

/// Name of a method.
pub(crate) fn method_name(number: u8) -> &'static str {
    KNOWN.get(usize::from(number)).copied().unwrap_or(OTHER)
}

/// Who answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum Origin {
    #[default]
    Upstream,
    Gateway,
    ClientAbort,
}

impl Origin {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Gateway => "gateway",
            Self::ClientAbort => "client_abort",
        }
    }
}

/// The gRPC code of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) enum GrpcCode {
    /// Not gRPC.
    #[default]
    None,
    /// 0 to 16.
    Known(u8),
    /// Anything else.
    Other,
}

impl GrpcCode {
    fn read(text: &[u8]) -> Self {
        match std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
        {
            Some(code @ 0..=16) => Self::Known(code),
            _ => Self::Other,
        }
    }

    fn is_failure(self) -> bool {
        matches!(self, Self::Known(2 | 4 | 12 | 13 | 14 | 15))
    }
}

/// What was kept of the request.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Asked {
    pub(crate) method: u8,
    pub(crate) is_grpc: bool,
    /// Whether there is no request body.
    pub(crate) bodyless: bool,
    pub(crate) length: Option<u64>,
}

impl Asked {
    pub(crate) fn read(headers: &Headers, end_of_stream: bool) -> Self {
        Self {
            method: method(headers.method()),
            is_grpc: headers.is_grpc(),
            bodyless: end_of_stream,
            length: content_length(headers),
        }
    }
}

fn content_length(headers: &Headers) -> Option<u64> {
    std::str::from_utf8(headers.only("content-length")?)
        .ok()?
        .parse()
        .ok()
}

/// What the labels of a configuration need beyond status and flags.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Needs {
    pub(crate) origin: bool,
    pub(crate) attempts: bool,
    pub(crate) upstream: bool,
    pub(crate) request_size: bool,
    pub(crate) response_size: bool,
}

/// What came of an exchange.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) status: u16,
    pub(crate) origin: Origin,
    pub(crate) flags: u64,
    pub(crate) grpc: GrpcCode,
    pub(crate) attempts: u8,
    pub(crate) is_stream: bool,
    pub(crate) client_left: bool,
    pub(crate) duration: Duration,
    pub(crate) upstream: Option<Duration>,
    pub(crate) request_size: Option<u64>,
    pub(crate) response_size: Option<u64>,
}

impl Outcome {
    pub(crate) fn read(view: &EndView<'_>, asked: &Asked, needs: Needs) -> Self {
        let headers = view.response();
        let sent = headers.status().or_else(|| view.status());
        let flags = view.flags();
        let is_stream = is_stream(asked, sent, headers);
        let client_left = flags::client_left(flags) && !is_stream;
        let integer = |wanted, attribute| view.integer_if(wanted, attribute);
        let whole = !client_left && flags == 0;
        Self {
            status: if client_left { 499 } else { sent.unwrap_or(0) },
            origin: if client_left {
                Origin::ClientAbort
            } else {
                origin(view, needs.origin)
            },
            flags,
            grpc: grpc(view, asked, headers),
            attempts: integer(needs.attempts, Attribute::UpstreamAttempts)
                .unwrap_or(0)
                .min(10) as u8,
            is_stream,
            client_left,
            duration: view.duration(),
            upstream: integer(
                needs.upstream && !is_stream,
                Attribute::ResponseBackendLatency,
            )
            .map(Duration::from_nanos),
            request_size: needs.request_size.then(|| {
                request_size(
                    view,
                    asked,
                    whole && sent.is_some_and(|status| status < 400),
                )
            }),
            response_size: needs
                .response_size
                .then(|| response_size(view, asked, headers, sent, whole)),
        }
    }

    /// `2xx` and the like.
    pub(crate) fn status_class(&self) -> &'static str {
        match self.status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            5 => "5xx",
            _ => "other",
        }
    }

    /// Whether the server failed.
    pub(crate) fn is_failure(&self) -> bool {
        self.status >= 500 || (!self.client_left && self.grpc.is_failure())
    }
}

fn is_stream(asked: &Asked, status: Option<u16>, headers: &Headers) -> bool {
    let is_events = || {
        headers
            .first("content-type")
            .and_then(|value| value.get(..17))
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/event-stream"))
    };
    match status {
        Some(101) => true,
        Some(200..=299) => asked.method == CONNECT || is_events(),
        _ => false,
    }
}

fn origin(view: &EndView<'_>, wanted: bool) -> Origin {
    let via_upstream = |view: &EndView<'_>| {
        view.attribute(Attribute::ResponseCodeDetails)
            .is_some_and(|details| *details == *b"via_upstream")
    };
    if wanted && !via_upstream(view) {
        Origin::Gateway
    } else {
        Origin::Upstream
    }
}

fn grpc(view: &EndView<'_>, asked: &Asked, headers: &Headers) -> GrpcCode {
    if !asked.is_grpc && !headers.is_grpc() {
        return GrpcCode::None;
    }
    if let Some(code) = headers
        .first("grpc-status")
        .or_else(|| view.trailers().first("grpc-status"))
    {
        return GrpcCode::read(code);
    }
    match view.integer(Attribute::ResponseGrpcStatus) {
        Some(code @ 0..=16) => GrpcCode::Known(code as u8),
        Some(_) => GrpcCode::Other,
        None => GrpcCode::None,
    }
}

fn request_size(view: &EndView<'_>, asked: &Asked, whole: bool) -> u64 {
    match asked.length {
        _ if asked.bodyless => 0,
        Some(length) if whole => length,
        _ => view.integer(Attribute::RequestSize).unwrap_or(0),
    }
}

fn response_size(
    view: &EndView<'_>,
    asked: &Asked,
    headers: &Headers,
    status: Option<u16>,
    whole: bool,
) -> u64 {
    match content_length(headers) {
        // RFC 9110 section 6.4.1: no content in any of these, whatever the length says.
        _ if asked.method == HEAD || matches!(status, Some(204 | 304)) => 0,
        Some(length) if whole => length,
        _ => view.integer(Attribute::ResponseSize).unwrap_or(0),
    }
}
