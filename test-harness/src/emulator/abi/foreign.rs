//! Envoy's foreign functions. Those that need Envoy's own libraries fail loudly, by name.

use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;

const NOT_HERE: &[&str] = &[
    "sign",
    "verify_signature",
    "compress",
    "uncompress",
    "expr_create",
    "expr_evaluate",
    "expr_delete",
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
        other if NOT_HERE.contains(&other) => {
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
    let (Some(path), Some(value)) = (path, value) else {
        return Status::BadArgument;
    };
    let Some(stream) = cx.state().context().and_then(|context| context.stream()) else {
        return Status::NotFound;
    };
    stream
        .exchange
        .borrow_mut()
        .info
        .filter_state
        .insert(path, value);
    Status::Ok
}
