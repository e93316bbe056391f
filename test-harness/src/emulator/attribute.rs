//! Attributes, as `proxy_get_property` sees them, each in its phases.
//!
//! 1. Each has its type in CEL, which an expression sees (`identifier`); a plugin gets its bytes (see `datum`).
//! 2. What comes from a header map is there while that map is (so no `request.path` in response callbacks), and in `on_log`. A
//!    whole map that is not there reads as an empty one; a whole message cannot be read at all.
//! 3. What a filter wrote with `set_property(k)` reads as `[k]` and as `[filter_state, wasm.k]`.
//!    It is bytes, whatever they are.
//! 4. A scenario's `attributes` win over everything here.

use serde_json::Value;

use super::context::{Context, Stream};
use super::datum::Datum;
use super::exchange::Exchange;
use super::guest::VmState;
use super::header_map::HeaderMap;
use super::status::Status;

fn text(text: impl AsRef<[u8]>) -> Option<Datum> {
    Some(Datum::Text(text.as_ref().to_vec()))
}

fn bytes(bytes: impl AsRef<[u8]>) -> Option<Datum> {
    Some(Datum::Bytes(bytes.as_ref().to_vec()))
}

fn int(number: u64) -> Option<Datum> {
    Some(Datum::int(number))
}

/// Looks a path up, as bytes.
pub fn find(state: &VmState, path: &str) -> Result<Vec<u8>, Status> {
    let path = path.strip_suffix('\0').unwrap_or(path);
    if path.is_empty() || path == "filter_state" {
        return Err(Status::SerializationFailure);
    }
    let parts: Vec<&str> = path.split('\0').collect();
    let stream = state.context().and_then(Context::stream);
    if matches!(&parts[..], [whole] if MESSAGES.contains(whole) && (stream.is_some() || *whole == "xds"))
    {
        return Err(Status::SerializationFailure);
    }
    lookup(state, state.context_id(), &parts).map_or(Err(Status::NotFound), |found| found.encode())
}

/// Looks a path up, for a context.
pub fn lookup(state: &VmState, context: u32, parts: &[&str]) -> Option<Datum> {
    let stream = state.contexts.get(&context).and_then(Context::stream);
    let found = stream.and_then(|stream| of_stream(state, stream, parts));
    found.or_else(|| of_plugin(state, context, parts))
}

/// Attributes that are whole messages cannot be serialised.
const MESSAGES: &[&str] = &[
    "connection",
    "destination",
    "request",
    "response",
    "source",
    "upstream",
    "xds",
];

fn of_plugin(state: &VmState, context: u32, parts: &[&str]) -> Option<Datum> {
    let plugin = state.plugin_of(context)?;
    match parts {
        ["plugin_name"] => text(&plugin.name),
        ["plugin_root_id"] => text(&plugin.root_id),
        ["plugin_vm_id"] => text(&plugin.vm_id),
        ["xds", "node", "id" | "cluster"] => text(""),
        _ => None,
    }
}

fn of_stream(state: &VmState, stream: &Stream, parts: &[&str]) -> Option<Datum> {
    let exchange = stream.exchange.borrow();
    let info = &exchange.info;
    let path = parts.join(".");
    if let Some(value) = info.raw_attributes.get(&path) {
        return text(value);
    }
    if let Some(value) = info.attributes.get(&path) {
        return Datum::from_json(value);
    }
    match parts {
        ["request", rest @ ..] => request(state, stream, &exchange, rest),
        ["response", rest @ ..] => response(state, stream, &exchange, rest),
        ["source", "address"] => text(&info.source),
        ["source", "port"] => int(port(&info.source)),
        ["destination", "address"] => text(&info.destination),
        ["destination", "port"] => int(port(&info.destination)),
        ["connection_id"] => Some(Datum::Uint(exchange.number)),
        ["connection", rest @ ..] => connection(&exchange, rest),
        ["upstream", rest @ ..] => upstream(&exchange, rest),
        ["xds", rest @ ..] => xds(&exchange, rest),
        ["metadata"] => text(""),
        ["metadata", "filter_metadata", rest @ ..] => metadata(&exchange, rest),
        ["filter_state", key] => match key.strip_prefix("wasm.") {
            Some(own) => info.filter_state.get(own).and_then(bytes),
            None => info.objects.get(*key).and_then(bytes),
        },
        [key] => info.filter_state.get(*key).and_then(bytes),
        _ => None,
    }
}

fn request(state: &VmState, stream: &Stream, exchange: &Exchange, rest: &[&str]) -> Option<Datum> {
    let info = &exchange.info;
    let there = stream.request_headers || stream.logging;
    let header_bytes = if there {
        exchange.request.byte_size() as u64
    } else {
        0
    };
    match rest {
        ["time"] => {
            return Some(Datum::Time(
                i64::try_from(info.start_wall).unwrap_or(i64::MAX),
            ));
        }
        ["protocol"] if exchange.tcp.is_some() => return None,
        ["protocol"] => return text(info.protocol),
        ["size"] => return int(info.request_size),
        ["headers_bytes"] => return int(header_bytes),
        ["total_size"] => return int(info.request_size + header_bytes),
        ["duration"] => {
            let now = state.world.borrow().clock.now();
            return exchange
                .ended
                .then(|| Datum::duration(now.saturating_sub(info.start)));
        }
        _ => {}
    }
    match rest {
        ["headers"] => return headers_of(Some(&exchange.request).filter(|_| there)),
        _ if !there => return None,
        _ => {}
    }
    let header = |name: &str| exchange.request.get(name.as_bytes()).and_then(text);
    let path = exchange.request.get(b":path");
    let (url_path, query) =
        match path.map(|path| (path, path.iter().position(|byte| *byte == b'?'))) {
            Some((path, Some(mark))) => (path.get(..mark), path.get(mark + 1..)),
            other => (other.map(|(path, _)| path), None),
        };
    match rest {
        ["path"] => header(":path"),
        ["url_path"] => url_path.and_then(text),
        ["query"] => text(query.unwrap_or_default()),
        ["host"] => header(":authority"),
        ["method"] => header(":method"),
        ["scheme"] => header(":scheme"),
        ["id"] => header("x-request-id"),
        ["useragent"] => header("user-agent"),
        ["referer"] => header("referer"),
        ["headers", name] => joined(&exchange.request, name),
        _ => None,
    }
}

fn response(state: &VmState, stream: &Stream, exchange: &Exchange, rest: &[&str]) -> Option<Datum> {
    let info = &exchange.info;
    let headers = exchange
        .response
        .as_ref()
        .filter(|_| stream.response_headers || stream.logging);
    match rest {
        ["code"] => info.response_code.map(|code| Datum::int(u64::from(code))),
        ["code_details"] => info.details.as_ref().and_then(text),
        ["flags"] => int(info.flags),
        ["size"] => int(info.response_size),
        ["headers_bytes"] => int(headers.map_or(0, HeaderMap::byte_size) as u64),
        ["total_size"] => {
            let headers = headers.map_or(0, HeaderMap::byte_size) as u64;
            int(info.response_size + headers)
        }
        ["grpc_status"] => grpc_status(exchange).map(Datum::int),
        ["backend_latency"] => {
            let _ = state;
            info.backend_latency.map(Datum::duration)
        }
        ["headers"] => headers_of(headers),
        ["headers", name] => headers.and_then(|headers| joined(headers, name)),
        ["trailers"] => headers_of(exchange.response_trailers.as_ref()),
        ["trailers", name] => exchange
            .response_trailers
            .as_ref()
            .and_then(|trailers| joined(trailers, name)),
        _ => None,
    }
}

/// From trailers or headers, else from the HTTP status (Envoy does so for plain HTTP too).
fn grpc_status(exchange: &Exchange) -> Option<u64> {
    let maps = [
        exchange.response_trailers.as_ref(),
        exchange.response.as_ref(),
    ];
    let written = maps
        .into_iter()
        .flatten()
        .find_map(|map| map.text("grpc-status").parse().ok());
    let status = exchange.info.response_code;
    written.or_else(|| Some(grpc_code(status?.into()).into()))
}

/// The gRPC status of an HTTP status, as gRPC maps it ("HTTP to gRPC Status Code Mapping").
pub(super) fn grpc_code(status: u32) -> u8 {
    match status {
        400 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

/// All headers, each once.
fn headers_of(headers: Option<&HeaderMap>) -> Option<Datum> {
    let mut pairs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (name, value) in headers.map_or(&[][..], HeaderMap::pairs) {
        match pairs.iter_mut().find(|(key, _)| key == name) {
            Some((_, values)) => *values = [values, &value[..]].join(&b','),
            None => pairs.push((name.clone(), value.clone())),
        }
    }
    Some(Datum::Headers(pairs))
}

fn joined(headers: &HeaderMap, name: &str) -> Option<Datum> {
    let name = name.to_ascii_lowercase();
    let values: Vec<&[u8]> = headers
        .pairs()
        .iter()
        .filter(|(key, _)| *key == name.as_bytes())
        .map(|(_, value)| value.as_slice())
        .collect();
    (!values.is_empty()).then(|| Datum::Text(values.join(&b',')))
}

fn connection(exchange: &Exchange, rest: &[&str]) -> Option<Datum> {
    let tls = exchange.info.tls.as_ref();
    match rest {
        ["id"] => Some(Datum::Uint(exchange.number)),
        ["mtls"] => Some(Datum::Bool(tls.is_some_and(|tls| tls.mtls))),
        ["requested_server_name"] => text(tls.and_then(|tls| tls.sni.clone()).unwrap_or_default()),
        ["tls_version"] => tls.and_then(|tls| text(&tls.version)),
        ["uri_san_peer_certificate"] => tls.and_then(|tls| tls.uri_san.as_ref()).and_then(text),
        ["dns_san_peer_certificate"] => tls.and_then(|tls| tls.dns_san.as_ref()).and_then(text),
        ["subject_peer_certificate"] => tls.and_then(|tls| tls.subject.as_ref()).and_then(text),
        ["sha256_peer_certificate_digest"] => {
            tls.and_then(|tls| tls.digest.as_ref()).and_then(text)
        }
        _ => None,
    }
}

fn upstream(exchange: &Exchange, rest: &[&str]) -> Option<Datum> {
    let info = &exchange.info;
    match rest {
        ["address"] => info.upstream_address.as_ref().and_then(text),
        ["port"] => info
            .upstream_address
            .as_ref()
            .map(|address| Datum::int(port(address))),
        ["request_attempt_count"] => Some(Datum::Uint(info.attempts)),
        ["local_address"] => info
            .connected
            .then_some(())
            .and_then(|()| text("127.0.0.1:30000")),
        _ => None,
    }
}

fn xds(exchange: &Exchange, rest: &[&str]) -> Option<Datum> {
    let info = &exchange.info;
    match rest {
        ["route_name"] => info.route_name.as_ref().and_then(text),
        ["cluster_name"] => info.cluster_name.as_ref().and_then(text),
        ["virtual_host_name"] => info.route_name.as_ref().and_then(|_| text("all")),
        ["listener_direction"] => int(0),
        ["filter_chain_name" | "route_metadata" | "cluster_metadata"] => text(""),
        _ => None,
    }
}

fn metadata(exchange: &Exchange, rest: &[&str]) -> Option<Datum> {
    let Some((filter, path)) = rest.split_first() else {
        let all = exchange.info.metadata.iter();
        let entry = |(name, value): (&String, &Value)| {
            Some((
                Datum::Text(name.clone().into_bytes()),
                Datum::from_json(value)?,
            ))
        };
        return Some(Datum::Map(all.filter_map(entry).collect()));
    };
    let value = exchange.info.metadata.get(*filter)?;
    let value = path.iter().try_fold(value, |value, key| value.get(key))?;
    Datum::from_json(value)
}

fn port(address: &str) -> u64 {
    address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(0)
}
