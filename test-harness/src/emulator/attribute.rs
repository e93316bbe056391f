//! Attributes, as `proxy_get_property` sees them, each in its phases.
//!
//! 1. Encoding: text as bytes, integers and times as 8 little-endian bytes, booleans as one byte, maps as pairs.
//! 2. What comes from a header map is there while that map is (so no `request.path` in response callbacks), and in `on_log`. A
//!    whole map that is not there reads as an empty one; a whole message cannot be read at all.
//! 3. What a filter wrote with `set_property(k)` reads as `[k]` and as `[filter_state, wasm.k]`.
//! 4. A scenario's `attributes` win over everything here.

use serde_json::Value;

use super::context::Stream;
use super::exchange::Exchange;
use super::guest::VmState;
use super::header_map::{HeaderMap, serialize};
use super::status::Status;

/// A value before it is encoded.
enum Attribute {
    Bytes(Vec<u8>),
    Int(u64),
    Bool(bool),
}

impl Attribute {
    fn encode(self) -> Vec<u8> {
        match self {
            Attribute::Bytes(bytes) => bytes,
            Attribute::Int(number) => number.to_le_bytes().to_vec(),
            Attribute::Bool(flag) => vec![u8::from(flag)],
        }
    }
}

fn text(text: impl AsRef<[u8]>) -> Option<Attribute> {
    Some(Attribute::Bytes(text.as_ref().to_vec()))
}

/// Looks a path up.
pub fn find(state: &VmState, path: &str) -> Result<Vec<u8>, Status> {
    let path = path.strip_suffix('\0').unwrap_or(path);
    if path.is_empty() || path == "filter_state" {
        return Err(Status::SerializationFailure);
    }
    let parts: Vec<&str> = path.split('\0').collect();
    let stream = state.context().and_then(|context| context.stream());
    if stream.is_some() && matches!(&parts[..], [whole] if MESSAGES.contains(whole)) {
        return Err(Status::SerializationFailure);
    }
    let found = stream.and_then(|stream| of_stream(state, stream, &parts));
    let found = found.or_else(|| of_plugin(state, &parts));
    found.map(Attribute::encode).ok_or(Status::NotFound)
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

fn of_plugin(state: &VmState, parts: &[&str]) -> Option<Attribute> {
    let plugin = state.plugin_of(state.context_id())?;
    match parts {
        ["plugin_name"] => text(&plugin.name),
        ["plugin_root_id"] => text(&plugin.root_id),
        ["plugin_vm_id"] => text(&plugin.vm_id),
        ["xds", "node", "id" | "cluster"] => text(""),
        _ => None,
    }
}

fn of_stream(state: &VmState, stream: &Stream, parts: &[&str]) -> Option<Attribute> {
    let exchange = stream.exchange.borrow();
    let info = &exchange.info;
    let path = parts.join(".");
    if let Some(value) = info.raw_attributes.get(&path) {
        return text(value);
    }
    if let Some(value) = info.attributes.get(&path) {
        return from_json(value);
    }
    match parts {
        ["request", rest @ ..] => request(state, stream, &exchange, rest),
        ["response", rest @ ..] => response(state, stream, &exchange, rest),
        ["source", "address"] => text(&info.source),
        ["source", "port"] => Some(Attribute::Int(port(&info.source))),
        ["destination", "address"] => text(&info.destination),
        ["destination", "port"] => Some(Attribute::Int(port(&info.destination))),
        ["connection_id"] => Some(Attribute::Int(exchange.number)),
        ["connection", rest @ ..] => connection(&exchange, rest),
        ["upstream", rest @ ..] => upstream(&exchange, rest),
        ["xds", rest @ ..] => xds(&exchange, rest),
        ["metadata"] => text(""),
        ["metadata", "filter_metadata", rest @ ..] => metadata(&exchange, rest),
        ["filter_state", key] => match key.strip_prefix("wasm.") {
            Some(own) => info.filter_state.get(own).and_then(text),
            None => info.objects.get(*key).and_then(text),
        },
        [key] => info.filter_state.get(*key).and_then(text),
        _ => None,
    }
}

fn request(
    state: &VmState,
    stream: &Stream,
    exchange: &Exchange,
    rest: &[&str],
) -> Option<Attribute> {
    let info = &exchange.info;
    match rest {
        ["time"] => return Some(Attribute::Int(info.start_wall)),
        ["protocol"] if exchange.tcp.is_some() => return None,
        ["protocol"] => return text(info.protocol),
        ["size"] => return Some(Attribute::Int(info.request_size)),
        ["total_size"] => {
            let headers = if stream.request_headers || stream.logging {
                exchange.request.byte_size() as u64
            } else {
                0
            };
            return Some(Attribute::Int(info.request_size + headers));
        }
        ["duration"] => {
            let now = state.world.borrow().clock.now();
            return exchange
                .ended
                .then(|| Attribute::Int(now.saturating_sub(info.start)));
        }
        _ => {}
    }
    let there = stream.request_headers || stream.logging;
    match rest {
        ["headers"] if there => return text(serialize(exchange.request.pairs())),
        ["headers"] => return text(serialize(&[])),
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

fn response(
    state: &VmState,
    stream: &Stream,
    exchange: &Exchange,
    rest: &[&str],
) -> Option<Attribute> {
    let info = &exchange.info;
    let headers = exchange
        .response
        .as_ref()
        .filter(|_| stream.response_headers || stream.logging);
    match rest {
        ["code"] => info
            .response_code
            .map(|code| Attribute::Int(u64::from(code))),
        ["code_details"] => info.details.as_ref().and_then(text),
        ["flags"] => Some(Attribute::Int(info.flags)),
        ["size"] => Some(Attribute::Int(info.response_size)),
        ["total_size"] => {
            let headers = headers.map_or(0, HeaderMap::byte_size) as u64;
            Some(Attribute::Int(info.response_size + headers))
        }
        ["grpc_status"] => grpc_status(exchange).map(Attribute::Int),
        ["backend_latency"] => {
            let _ = state;
            info.backend_latency.map(Attribute::Int)
        }
        ["headers"] => text(serialize(headers.map_or(&[], HeaderMap::pairs))),
        ["headers", name] => headers.and_then(|headers| joined(headers, name)),
        ["trailers"] => {
            let trailers = exchange.response_trailers.as_ref();
            text(serialize(trailers.map_or(&[], HeaderMap::pairs)))
        }
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

fn joined(headers: &HeaderMap, name: &str) -> Option<Attribute> {
    let name = name.to_ascii_lowercase();
    let values: Vec<&[u8]> = headers
        .pairs()
        .iter()
        .filter(|(key, _)| *key == name.as_bytes())
        .map(|(_, value)| value.as_slice())
        .collect();
    (!values.is_empty()).then(|| Attribute::Bytes(values.join(&b',')))
}

fn connection(exchange: &Exchange, rest: &[&str]) -> Option<Attribute> {
    let tls = exchange.info.tls.as_ref();
    match rest {
        ["id"] => Some(Attribute::Int(exchange.number)),
        ["mtls"] => Some(Attribute::Bool(tls.is_some_and(|tls| tls.mtls))),
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

fn upstream(exchange: &Exchange, rest: &[&str]) -> Option<Attribute> {
    let info = &exchange.info;
    match rest {
        ["address"] => info.upstream_address.as_ref().and_then(text),
        ["port"] => info
            .upstream_address
            .as_ref()
            .map(|address| Attribute::Int(port(address))),
        ["request_attempt_count"] => Some(Attribute::Int(info.attempts)),
        ["local_address"] => info
            .connected
            .then_some(())
            .and_then(|()| text("127.0.0.1:30000")),
        _ => None,
    }
}

fn xds(exchange: &Exchange, rest: &[&str]) -> Option<Attribute> {
    let info = &exchange.info;
    match rest {
        ["route_name"] => info.route_name.as_ref().and_then(text),
        ["cluster_name"] => info.cluster_name.as_ref().and_then(text),
        ["virtual_host_name"] => info.route_name.as_ref().and_then(|_| text("all")),
        ["listener_direction"] => Some(Attribute::Int(0)),
        ["filter_chain_name" | "route_metadata" | "cluster_metadata"] => text(""),
        _ => None,
    }
}

fn metadata(exchange: &Exchange, rest: &[&str]) -> Option<Attribute> {
    let Some((filter, path)) = rest.split_first() else {
        let all = &exchange.info.metadata;
        return text(serialize(
            &all.keys()
                .map(|k| (k.clone().into_bytes(), Vec::new()))
                .collect::<Vec<_>>(),
        ));
    };
    let value = exchange.info.metadata.get(*filter)?;
    let value = path.iter().try_fold(value, |value, key| value.get(key))?;
    from_json(value)
}

/// A protobuf `Value`: numbers are doubles there, but an attribute that a scenario sets may be an integer.
fn from_json(value: &Value) -> Option<Attribute> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => Attribute::Bool(*flag),
        Value::String(text) => Attribute::Bytes(text.clone().into_bytes()),
        Value::Number(number) => match number.as_u64() {
            Some(int) => Attribute::Int(int),
            None => Attribute::Bytes(number.as_f64()?.to_le_bytes().to_vec()),
        },
        Value::Array(items) => Attribute::Bytes(serde_json::to_vec(items).ok()?),
        Value::Object(map) => {
            let pairs: Vec<(Vec<u8>, Vec<u8>)> = map
                .iter()
                .filter_map(|(key, value)| {
                    Some((key.clone().into_bytes(), from_json(value)?.encode()))
                })
                .collect();
            Attribute::Bytes(serialize(&pairs))
        }
    })
}

fn port(address: &str) -> u64 {
    address
        .rsplit_once(':')
        .and_then(|(_, port)| port.parse().ok())
        .unwrap_or(0)
}
