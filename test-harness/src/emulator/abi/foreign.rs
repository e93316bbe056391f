//! Envoy's foreign functions.
//!
//! 1. `compress` and `uncompress` are zlib's; what is not zlib's is a serialisation failure.
//! 2. `set_envoy_filter_state` works for the objects that Envoy has a factory for; any other path is not found.
//! 3. Not here: cryptography (`sign`, `verify_signature`) and CEL (`expr_create`). They fail loudly, by name, where Envoy would
//!    work, and answer a bad argument where Envoy does: for arguments that are none.

use std::io::{Read as _, Write as _};

use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;

use crate::emulator::memory::{Answer, Cx};
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
        // Tokens come from `expr_create`, which is not here, so that none is known.
        "expr_evaluate" if args.len() == 4 => return Ok(Status::NotFound),
        "expr_delete" if args.len() == 4 => {}
        "expr_evaluate" | "expr_delete" => return Ok(Status::BadArgument),
        "sign" | "verify_signature" | "expr_create" if args.is_empty() => {
            return Ok(Status::BadArgument);
        }
        other @ ("sign" | "verify_signature" | "expr_create") => {
            let reason =
                format!("the foreign function {other} is there in Envoy, but not in the emulator");
            return Err(wasmtime::Error::msg(reason).into());
        }
        _ => return Ok(Status::NotFound),
    }
    cx.give(&[], ptr, len)?;
    Ok(Status::Ok)
}

/// `SetEnvoyFilterStateArguments`: path (field 1) and value (field 2).
fn set_filter_state(cx: &mut Cx<'_>, args: &[u8]) -> Status {
    let (mut path, mut value, mut rest) = (None, None, args);
    while let [tag, size, tail @ ..] = rest {
        let size = usize::from(*size);
        if size > tail.len() {
            return Status::BadArgument;
        }
        let (field, after) = tail.split_at(size);
        match tag {
            0x0a => path = Some(String::from_utf8_lossy(field).into_owned()),
            0x12 => value = Some(field.to_vec()),
            _ => {}
        }
        rest = after;
    }
    let (path, value) = (path.unwrap_or_default(), value.unwrap_or_default());
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
