//! Envoy's foreign functions.
//!
//! 1. `compress` and `uncompress` are zlib's; what is not zlib's is a serialisation failure.
//! 2. `set_envoy_filter_state` works for the objects that Envoy has a factory for; any other path is not found.
//! 3. `sign` and `verify_signature`: see `signature`.
//! 4. `expr_create`, `expr_evaluate` and `expr_delete` are CEL: see `expressions`.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use super::{expressions, signature};
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::protobuf::{field, fields};
use crate::emulator::status::Status;

/// Envoy's well-known filter state objects.
const OBJECTS: &[&str] = &[
    "envoy.filters.listener.original_dst.local_ip",
    "envoy.filters.listener.original_dst.remote_ip",
    "envoy.network.application_protocols",
    "envoy.network.transport_socket.original_dst_address",
    "envoy.network.upstream_server_name",
    "envoy.network.upstream_subject_alt_names",
    "envoy.ratelimit.hits_addend",
    "envoy.tcp_proxy.cluster",
    "envoy.tcp_proxy.disable_tunneling",
    "envoy.upstream.dynamic_host",
    "envoy.upstream.dynamic_port",
];

/// `proxy_call_foreign_function`: an unknown name is not found.
pub fn call(
    cx: &mut Cx<'_>,
    name: u32,
    name_len: u32,
    args: u32,
    args_len: u32,
    ptr: u32,
    len: u32,
) -> Answer {
    let name = cx.read_text(name, name_len)?;
    let args = cx.read(args, args_len)?;
    match name.as_str() {
        "clear_route_cache" => {
            if let Some(stream) = cx.state().context().and_then(|context| context.stream()) {
                stream.exchange.borrow_mut().clear_route();
            }
        }
        "declare_property" => {}
        "set_envoy_filter_state" => return Ok(set_filter_state(cx, &args)),
        "compress" => {
            let Some(packed) = compress(&args) else {
                return Ok(Status::SerializationFailure);
            };
            cx.give(&packed, ptr, len)?;
            return Ok(Status::Ok);
        }
        "uncompress" => {
            let Some(plain) = uncompress(&args) else {
                return Ok(Status::SerializationFailure);
            };
            cx.give(&plain, ptr, len)?;
            return Ok(Status::Ok);
        }
        "expr_create" => {
            let token = expressions::create(cx, &args)?;
            cx.give_allocated(&token, ptr, len)?;
            return Ok(Status::Ok);
        }
        "expr_evaluate" => {
            let value = expressions::evaluate(cx, &args)?;
            cx.give_allocated(&value, ptr, len)?;
            return Ok(Status::Ok);
        }
        "expr_delete" => expressions::delete(cx, &args)?,
        "sign" => {
            cx.give(&signature::sign(&args)?, ptr, len)?;
            return Ok(Status::Ok);
        }
        "verify_signature" => {
            cx.give(&signature::verify(&args)?, ptr, len)?;
            return Ok(Status::Ok);
        }
        _ => return Ok(Status::NotFound),
    }
    cx.give(&[], ptr, len)?;
    Ok(Status::Ok)
}

/// `SetEnvoyFilterStateArguments`: path (field 1) and value (field 2).
fn set_filter_state(cx: &mut Cx<'_>, args: &[u8]) -> Status {
    let Some(fields) = fields(args) else {
        return Status::BadArgument;
    };
    let path = String::from_utf8_lossy(field(&fields, 1)).into_owned();
    let value = field(&fields, 2).to_vec();
    if !OBJECTS.contains(&path.as_str()) {
        return Status::NotFound;
    }
    let Some(stream) = cx.state().context().and_then(|context| context.stream()) else {
        return Status::NotFound;
    };
    stream
        .exchange
        .borrow_mut()
        .info
        .objects
        .insert(path, value);
    Status::Ok
}

fn compress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}

fn uncompress(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut plain = Vec::new();
    ZlibDecoder::new(bytes).read_to_end(&mut plain).ok()?;
    Some(plain)
}
