//! Properties: attributes to read, filter state to write.

use crate::emulator::attribute;
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;

/// `proxy_get_property`: the path's parts are separated by zero bytes.
pub fn get(cx: &mut Cx<'_>, path: u32, path_len: u32, ptr: u32, len: u32) -> Answer {
    let path = cx.read_text(path, path_len)?;
    let value = attribute::find(cx.state(), &path)?;
    cx.give(&value, ptr, len)?;
    Ok(Status::Ok)
}

/// `proxy_set_property`: filter state `wasm.<path>` of the stream; a root context has none.
pub fn set(cx: &mut Cx<'_>, path: u32, path_len: u32, value: u32, value_len: u32) -> Answer {
    let path = cx.read_text(path, path_len)?;
    let value = cx.read(value, value_len)?;
    let state = cx.state();
    let Some(stream) = state.context().and_then(|context| context.stream()) else {
        state.wrong_phase("proxy_set_property on a root context (NotFound)");
        return Ok(Status::NotFound);
    };
    stream
        .exchange
        .borrow_mut()
        .info
        .filter_state
        .insert(path, value);
    Ok(Status::Ok)
}
