//! Contexts and their end.

use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;

/// `proxy_set_effective_context`: an unknown one is a bad argument.
pub fn set_effective_context(cx: &mut Cx<'_>, context: u32) -> Answer {
    let state = cx.state();
    if !state.contexts.contains_key(&context) {
        return Ok(Status::BadArgument);
    }
    state.effective = Some(context);
    Ok(Status::Ok)
}

/// `proxy_done`: only where `on_done` answered that it is pending.
pub fn done(cx: &mut Cx<'_>) -> Answer {
    let state = cx.state();
    Ok(if std::mem::take(&mut state.done_pending) {
        Status::Ok
    } else {
        Status::NotFound
    })
}

/// `envoy_resolve_dns`: Envoy's extension; the emulator has no names to resolve.
pub fn resolve_dns(_: &mut Cx<'_>, _name: u32, _size: u32, _token: u32) -> Answer {
    Err(wasmtime::Error::msg("envoy_resolve_dns is not there in the emulator").into())
}
