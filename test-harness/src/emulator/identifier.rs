//! Identifiers of an expression: attributes, with all of their fields.
//!
//! 1. A value is what `attribute` finds on its path, in the phase that the context is in; what is not there is no field.
//! 2. What cannot be listed (`request`) has the fields that Envoy gives it, and those that a scenario's `attributes` set below it.
//! 3. A root context has its plugin's names, and `xds` with the node.

use std::collections::BTreeSet;

use super::attribute::lookup;
use super::context::Context;
use super::datum::Datum;
use super::guest::VmState;

/// The fields of what cannot be listed.
const FIELDS: &[(&str, &[&str])] = &[
    (
        "connection",
        &[
            "dns_san_peer_certificate",
            "id",
            "mtls",
            "requested_server_name",
            "sha256_peer_certificate_digest",
            "subject_peer_certificate",
            "tls_version",
            "uri_san_peer_certificate",
        ],
    ),
    ("destination", &["address", "port"]),
    ("filter_state", &[]),
    ("metadata", &["filter_metadata"]),
    (
        "request",
        &[
            "duration",
            "headers",
            "headers_bytes",
            "host",
            "id",
            "method",
            "path",
            "protocol",
            "query",
            "referer",
            "scheme",
            "size",
            "time",
            "total_size",
            "url_path",
            "useragent",
        ],
    ),
    (
        "response",
        &[
            "backend_latency",
            "code",
            "code_details",
            "flags",
            "grpc_status",
            "headers",
            "headers_bytes",
            "size",
            "total_size",
            "trailers",
        ],
    ),
    ("source", &["address", "port"]),
    (
        "upstream",
        &["address", "local_address", "port", "request_attempt_count"],
    ),
    (
        "xds",
        &[
            "cluster_metadata",
            "cluster_name",
            "filter_chain_name",
            "listener_direction",
            "node",
            "route_metadata",
            "route_name",
            "virtual_host_name",
        ],
    ),
    ("xds.node", &["cluster", "id"]),
];

/// The value of an identifier in an expression, with all of its fields.
pub fn find(state: &VmState, context: u32, name: &str) -> Option<Datum> {
    tree(state, context, &[name])
}

fn tree(state: &VmState, context: u32, path: &[&str]) -> Option<Datum> {
    let whole = lookup(state, context, path);
    let names = names(state, context, path);
    let fields = names.iter().filter_map(|name| {
        let path = [path, &[name.as_str()]].concat();
        Some((name.clone(), tree(state, context, &path)?))
    });
    match whole {
        Some(Datum::Headers(mut pairs)) => {
            for (name, value) in fields {
                pairs.retain(|(key, _)| *key != name.as_bytes());
                pairs.push((name.into_bytes(), value.encode().ok()?));
            }
            Some(Datum::Headers(pairs))
        }
        whole if names.is_empty() => whole,
        Some(Datum::Map(mut entries)) => {
            entries.extend(fields.map(|(name, value)| (Datum::Text(name.into_bytes()), value)));
            Some(Datum::Map(entries))
        }
        whole => Some(Datum::Message {
            fields: fields.collect(),
            bytes: whole.and_then(|whole| whole.encode().ok()),
        }),
    }
}

/// The names below a path: Envoy's, and those that the scenario sets.
fn names(state: &VmState, context: u32, path: &[&str]) -> BTreeSet<String> {
    let path = path.join(".");
    let stream = state.contexts.get(&context).and_then(Context::stream);
    let known = FIELDS
        .iter()
        .find(|(name, _)| *name == path && (stream.is_some() || name.starts_with("xds")));
    let known = known.into_iter().flat_map(|(_, names)| names.iter());
    let mut names: BTreeSet<String> = known.map(|name| (*name).to_owned()).collect();
    let Some(stream) = stream else { return names };
    let info = &stream.exchange.borrow().info;
    let set = info.attributes.keys().chain(info.raw_attributes.keys());
    let below = set.filter_map(|key| {
        key.strip_prefix(&path)?
            .strip_prefix('.')?
            .split('.')
            .next()
    });
    names.extend(below.map(str::to_owned));
    if path == "filter_state" {
        names.extend(info.filter_state.keys().map(|key| format!("wasm.{key}")));
        names.extend(info.objects.keys().cloned());
    }
    names
}
