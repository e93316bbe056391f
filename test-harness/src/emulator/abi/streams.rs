//! What a guest asks of its stream. It is done after the guest has returned.

use crate::emulator::exchange::LocalReply;
use crate::emulator::guest::{Action, VmState};
use crate::emulator::header_map::deserialize;
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;

/// `proxy_continue_stream`: 0 request, 1 response (both let go of the request maps), 2 downstream, 3 upstream.
pub fn continue_stream(cx: &mut Cx<'_>, kind: u32) -> Answer {
    let state = cx.state();
    let id = state.context_id();
    let action = match kind {
        0 => Action::ContinueRequest,
        1 => Action::ContinueResponse,
        2 => Action::ContinueDownstream,
        3 => return Ok(Status::Unimplemented),
        _ => return Ok(Status::BadArgument),
    };
    if kind == 2 {
        if is_tcp(state) {
            state.actions.push((id, action));
        }
        return Ok(Status::Ok);
    }
    if let Some(stream) = state.context_mut().and_then(|context| context.stream_mut()) {
        stream.request_headers = false;
        stream.request_trailers = false;
        state.actions.push((id, action));
    }
    Ok(Status::Ok)
}

/// `proxy_close_stream`.
pub fn close_stream(cx: &mut Cx<'_>, kind: u32) -> Answer {
    let state = cx.state();
    let id = state.context_id();
    match kind {
        0 | 1 => {
            if !is_tcp(state) {
                state.actions.push((id, Action::Close));
            }
            Ok(Status::Ok)
        }
        2 | 3 => {
            if is_tcp(state) {
                state.actions.push((id, Action::Close));
            }
            Ok(Status::Ok)
        }
        _ => Ok(Status::BadArgument),
    }
}

fn is_tcp(state: &VmState) -> bool {
    let stream = state.context().and_then(|context| context.stream());
    stream.is_some_and(|stream| stream.exchange.borrow().tcp.is_some())
}

/// `proxy_send_local_response`: the first one wins; on a root context it is accepted and has no effect.
#[allow(clippy::too_many_arguments, reason = "the ABI's own signature")]
pub fn send_local_response(
    cx: &mut Cx<'_>,
    code: u32,
    details: u32,
    details_len: u32,
    body: u32,
    body_len: u32,
    pairs: u32,
    pairs_len: u32,
    grpc: i32,
) -> Answer {
    let details = cx.read_text(details, details_len)?;
    let body = cx.read(body, body_len)?;
    let headers = deserialize(&cx.read(pairs, pairs_len)?);
    let state = cx.state();
    let id = state.context_id();
    let Some(stream) = state.context_mut().and_then(|context| context.stream_mut()) else {
        state.wrong_phase("proxy_send_local_response on a root context, where it has no effect");
        return Ok(Status::Ok);
    };
    if stream.logging {
        let reason = "proxy_send_local_response from on_log: the real Envoy crashes here";
        return Err(wasmtime::Error::msg(reason).into());
    }
    if !std::mem::replace(&mut stream.replied, true) {
        let reply = LocalReply {
            status: code,
            details: details.replace([' ', '\t'], "_"),
            body,
            headers,
            grpc,
            flags: 0,
        };
        state.actions.push((id, Action::Reply(reply)));
    }
    Ok(Status::Ok)
}
