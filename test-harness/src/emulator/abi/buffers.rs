//! Buffers: bodies and TCP data in their callbacks, call-out bodies, configurations.
//!
//! Reading past the end is an empty success. Writing: start 0 drains `size` bytes and prepends; start at or past the end
//! appends; anything between is a bad argument.

use crate::emulator::context::Kind;
use crate::emulator::guest::VmState;
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;
use crate::emulator::world::CalloutAnswer;

const REQUEST_BODY: u32 = 0;
const RESPONSE_BODY: u32 = 1;
const DOWNSTREAM: u32 = 2;
const UPSTREAM: u32 = 3;
const CALL_BODY: u32 = 4;
const GRPC_MESSAGE: u32 = 5;
const VM_CONFIG: u32 = 6;
const PLUGIN_CONFIG: u32 = 7;
const CALL_DATA: u32 = 8;

/// `proxy_get_buffer_bytes`.
pub fn get(cx: &mut Cx<'_>, kind: u32, start: u32, max: u32, ptr: u32, len: u32) -> Answer {
    let bytes = find(cx.state(), kind)?;
    let end = start
        .checked_add(max)
        .map_or(bytes.len(), |end| (end as usize).min(bytes.len()));
    let part = bytes.get(start as usize..end).unwrap_or_default().to_vec();
    cx.give(&part, ptr, len)?;
    Ok(Status::Ok)
}

/// `proxy_get_buffer_status`: size, and no flags.
pub fn status(cx: &mut Cx<'_>, kind: u32, size: u32, flags: u32) -> Answer {
    let bytes = find(cx.state(), kind)?.len();
    cx.write_u32(size, u32::try_from(bytes).unwrap_or(u32::MAX))?;
    cx.write_u32(flags, 0)?;
    Ok(Status::Ok)
}

fn find(state: &VmState, kind: u32) -> Result<Vec<u8>, Status> {
    let stream = state.context().and_then(|context| context.stream());
    let body = |body: Option<&Vec<u8>>| Ok(body.cloned().unwrap_or_default());
    match kind {
        REQUEST_BODY => body(stream.and_then(|stream| stream.request_body.as_ref())),
        RESPONSE_BODY => body(stream.and_then(|stream| stream.response_body.as_ref())),
        DOWNSTREAM => body(stream.and_then(|stream| stream.downstream.as_ref())),
        UPSTREAM => body(stream.and_then(|stream| stream.upstream.as_ref())),
        CALL_BODY => match &state.answer {
            Some(CalloutAnswer::Response { body, .. }) => Ok(body.clone()),
            _ => Err(Status::NotFound),
        },
        GRPC_MESSAGE => body(state.grpc_message.as_ref()),
        VM_CONFIG | CALL_DATA => Ok(state.vm_config.clone()),
        PLUGIN_CONFIG => match state.context() {
            Some(context) => match &context.kind {
                Kind::Root(root) if root.configuring => Ok(context.plugin.config.clone()),
                _ => Err(Status::NotFound),
            },
            None => Err(Status::NotFound),
        },
        _ => Err(Status::BadArgument),
    }
}

/// `proxy_set_buffer_bytes`.
pub fn set(cx: &mut Cx<'_>, kind: u32, start: u32, size: u32, ptr: u32, len: u32) -> Answer {
    let bytes = cx.read(ptr, len)?;
    let state = cx.state();
    let stream = state.context_mut().and_then(|context| context.stream_mut());
    let body = match kind {
        REQUEST_BODY => stream.and_then(|stream| stream.request_body.as_mut()),
        RESPONSE_BODY => stream.and_then(|stream| stream.response_body.as_mut()),
        DOWNSTREAM => stream.and_then(|stream| stream.downstream.as_mut()),
        UPSTREAM => stream.and_then(|stream| stream.upstream.as_mut()),
        CALL_BODY if state.answer.is_none() => return Ok(Status::NotFound),
        PLUGIN_CONFIG => return Ok(Status::NotFound),
        _ => None,
    };
    let Some(body) = body else {
        state.wrong_phase(&format!(
            "proxy_set_buffer_bytes on buffer {kind}, which is not there now (BadArgument)"
        ));
        return Ok(Status::BadArgument);
    };
    if start == 0 {
        let rest = body.split_off((size as usize).min(body.len()));
        *body = bytes;
        body.extend_from_slice(&rest);
    } else if start as usize >= body.len() {
        body.extend_from_slice(&bytes);
    } else {
        return Ok(Status::BadArgument);
    }
    Ok(Status::Ok)
}
