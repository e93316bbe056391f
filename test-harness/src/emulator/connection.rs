//! What Envoy's HTTP connection manager does to a request before the filters see it.
//!
//! 1. A request without a host, with an unknown method (HTTP/1), or with a control byte in a header value, is answered 400; of
//!    the filters only `on_log` runs.
//! 2. With `use_remote_address` the peer is the connection: its address (the machine's own for a client on the loopback) is
//!    appended to `x-forwarded-for`, `x-forwarded-proto` and `x-request-id` are Envoy's, and Envoy's own internal headers are removed.
//! 3. Hop-by-hop headers are gone: `connection`, `keep-alive`, `proxy-connection`, `transfer-encoding`, `upgrade`; of `te` only
//!    `trailers` stays.
//! 4. Without, the peer is the last address of `x-forwarded-for` (with port 0) where there is one.

use super::exchange::StreamInfo;
use super::header_map::{HeaderMap, Side};
use crate::scenario::schema::Listener;
use crate::scenario::step::{HttpVersion, Request};

/// Headers that a client at the edge may not set.
const INTERNAL: &[&str] = &[
    "x-envoy-attempt-count",
    "x-envoy-decorator-operation",
    "x-envoy-downstream-service-cluster",
    "x-envoy-downstream-service-node",
    "x-envoy-expected-rq-timeout-ms",
    "x-envoy-external-address",
    "x-envoy-force-trace",
    "x-envoy-internal",
    "x-envoy-ip-tags",
    "x-envoy-max-retries",
    "x-envoy-original-path",
    "x-envoy-original-url",
    "x-envoy-retry-grpc-on",
    "x-envoy-retry-on",
    "x-envoy-upstream-alt-stat-name",
    "x-envoy-upstream-rq-per-try-timeout-ms",
    "x-envoy-upstream-rq-timeout-ms",
];

/// Headers of one connection, not of the message.
const HOP_BY_HOP: &[&str] = &[
    "connection",
    "keep-alive",
    "proxy-connection",
    "transfer-encoding",
    "upgrade",
    "x-envoy-internal",
];

/// The methods that Envoy's HTTP/1 parser takes.
const METHODS: &[&str] = &[
    "ACL",
    "BIND",
    "CHECKOUT",
    "CONNECT",
    "COPY",
    "DELETE",
    "GET",
    "HEAD",
    "LINK",
    "LOCK",
    "M-SEARCH",
    "MERGE",
    "MKACTIVITY",
    "MKCALENDAR",
    "MKCOL",
    "MOVE",
    "NOTIFY",
    "OPTIONS",
    "PATCH",
    "POST",
    "PROPFIND",
    "PROPPATCH",
    "PURGE",
    "PUT",
    "REBIND",
    "REPORT",
    "SEARCH",
    "SOURCE",
    "SUBSCRIBE",
    "TRACE",
    "UNBIND",
    "UNLINK",
    "UNLOCK",
    "UNSUBSCRIBE",
];

/// The request headers as the first filter sees them, and what is known of the stream.
pub fn accept(
    request: &Request,
    listener: &Listener,
    machine: &str,
    number: u64,
) -> (HeaderMap, StreamInfo) {
    let connection = request
        .source
        .clone()
        .unwrap_or_else(|| "127.0.0.1:40000".into());
    let tls = request.tls.clone();
    let scheme: &[u8] = if tls.is_some() { b"https" } else { b"http" };
    let mut headers = HeaderMap::new(Side::Request);
    if !request.authority.is_empty() {
        headers.add(b":authority", &request.authority);
    }
    headers.add(b":path", &path(request, listener));
    headers.add(b":method", &request.method);
    headers.add(b":scheme", scheme);
    for (name, value) in &request.headers.0 {
        headers.add(name, trim(value));
    }
    frame(request, &mut headers);
    clean(&mut headers);
    let source = peer(&mut headers, listener, machine, &connection);
    if listener.use_remote_address && listener.xff_num_trusted_hops == 0
        || headers.get(b"x-forwarded-proto").is_none()
    {
        headers.set(b"x-forwarded-proto", scheme);
    }
    if listener.use_remote_address || headers.get(b"x-request-id").is_none() {
        headers.set(b"x-request-id", request_id(number).as_bytes());
    }
    let body: usize = request.body.as_ref().map_or(0, |body| body.len());
    let info = StreamInfo {
        source,
        destination: request
            .destination
            .clone()
            .unwrap_or_else(|| "127.0.0.1:10000".into()),
        tls,
        protocol: match request.http {
            HttpVersion::Http1 => "HTTP/1.1",
            HttpVersion::Http2 => "HTTP/2",
        },
        attributes: request.attributes.clone(),
        metadata: request.metadata.clone(),
        request_size: (body
            + request
                .chunks
                .iter()
                .map(|chunk| chunk.len())
                .sum::<usize>()) as u64,
        ..StreamInfo::default()
    };
    (headers, info)
}

/// Why the codec refuses a request, if it does: response code details.
pub fn codec_fault(request: &Request) -> Option<&'static str> {
    if request.authority.is_empty() {
        return Some("missing_host_header");
    }
    if request.http == HttpVersion::Http1
        && !METHODS.iter().any(|m| m.as_bytes() == request.method.0)
    {
        return Some("http1.codec_error");
    }
    let bad = |bytes: &[u8]| {
        bytes
            .iter()
            .any(|byte| (*byte < 0x20 && *byte != b'\t') || *byte == 0x7f)
    };
    let headers = request
        .headers
        .0
        .iter()
        .any(|(name, value)| bad(name) || bad(value));
    (headers || bad(&request.path) || bad(&request.authority)).then_some("http1.codec_error")
}

fn trim(value: &[u8]) -> &[u8] {
    value.trim_ascii()
}

fn frame(request: &Request, headers: &mut HeaderMap) {
    if request.http == HttpVersion::Http2 || headers.get(b"content-length").is_some() {
        return;
    }
    // A body in chunks has no length; the codec takes its framing out.
    let body = request.body.as_ref().filter(|_| request.chunks.is_empty());
    if let Some(body) = body {
        headers.add(b"content-length", body.len().to_string().as_bytes());
    }
}

/// Hop-by-hop headers end here.
fn clean(headers: &mut HeaderMap) {
    for name in HOP_BY_HOP {
        headers.remove(name.as_bytes());
    }
    if headers.get(b"te").is_some() {
        let trailers = headers
            .text("te")
            .split(',')
            .any(|coding| coding.trim() == "trailers");
        headers.remove(b"te");
        if trailers {
            headers.add(b"te", b"trailers");
        }
    }
}

fn peer(headers: &mut HeaderMap, listener: &Listener, machine: &str, connection: &str) -> String {
    let forwarded = headers.text("x-forwarded-for").to_owned();
    let hops = usize::try_from(listener.xff_num_trusted_hops).unwrap_or(0);
    let from_right = |place: usize| {
        let addresses: Vec<&str> = forwarded.split(',').map(str::trim).collect();
        let address = addresses
            .len()
            .checked_sub(place + 1)
            .and_then(|index| addresses.get(index))?;
        let address = address.parse::<std::net::IpAddr>().ok()?;
        Some(std::net::SocketAddr::new(address, 0).to_string())
    };
    if !listener.use_remote_address {
        return from_right(hops).unwrap_or_else(|| connection.to_owned());
    }
    for name in INTERNAL {
        headers.remove(name.as_bytes());
    }
    let trusted = hops.checked_sub(1).and_then(from_right);
    let address = connection
        .parse::<std::net::SocketAddr>()
        .map_or_else(|_| connection.to_owned(), |a| a.ip().to_string());
    let loopback = address
        .parse::<std::net::IpAddr>()
        .is_ok_and(|ip| ip.is_loopback());
    let appended = if loopback { machine } else { &address };
    headers.add(b"x-forwarded-for", appended.as_bytes());
    let external = trusted
        .as_ref()
        .and_then(|t| t.parse::<std::net::SocketAddr>().ok())
        .map(|a| a.ip().to_string());
    headers.set(
        b"x-envoy-external-address",
        external.unwrap_or(address).as_bytes(),
    );
    trusted.unwrap_or_else(|| connection.to_owned())
}

/// `normalize_path` and `merge_slashes`: dot segments resolved, slashes merged, unreserved escapes decoded.
fn path(request: &Request, listener: &Listener) -> Vec<u8> {
    if !listener.normalize_path {
        return request.path.0.clone();
    }
    let text = request.path.show();
    let (path, query) = text
        .split_once('?')
        .map_or((text.as_str(), None), |(path, query)| (path, Some(query)));
    let mut segments: Vec<&str> = Vec::new();
    let decoded = path
        .replace("%2e", ".")
        .replace("%2E", ".")
        .replace('\\', "/");
    let slash = decoded.ends_with('/') || decoded.ends_with("/.") || decoded.ends_with("/..");
    for segment in decoded
        .split('/')
        .filter(|segment| !segment.is_empty() && *segment != ".")
    {
        if segment == ".." {
            segments.pop();
        } else {
            segments.push(segment);
        }
    }
    let mut normal = format!("/{}", segments.join("/"));
    if slash && normal.len() > 1 {
        normal.push('/');
    }
    if let Some(query) = query {
        normal = format!("{normal}?{query}");
    }
    normal.into_bytes()
}

/// A repeatable UUID of version 4.
fn request_id(number: u64) -> String {
    let high = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let low = high.wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ number;
    format!(
        "{:08x}-{:04x}-4{:03x}-9{:03x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0xfff,
        (low >> 48) & 0xfff,
        low & 0xffff_ffff_ffff
    )
}
