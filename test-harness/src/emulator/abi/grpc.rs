//! gRPC calls and streams.
//!
//! 1. The target is a serialised `GrpcService`, or a cluster's name. One that names an unknown cluster is an internal failure,
//!    after which `on_grpc_close` still comes (14); bytes that are neither are a parse failure.
//! 2. The cluster's scripted answer plays the server once it has the whole request: its `chunks` (or `body`) are messages, in
//!    gRPC's frames or each on its own; its trailers (or headers) hold `grpc-status` and `grpc-message`.
//! 3. A unary call that succeeds gets `on_grpc_receive` only; one that fails gets `on_grpc_close` only. A stream gets metadata,
//!    messages and its end.

use crate::emulator::cluster::{grpc_steps, unary_steps};
use crate::emulator::header_map::{HeaderMap, Side, deserialize};
use crate::emulator::memory::{Answer, Cx, Fail};
use crate::emulator::status::Status;
use crate::emulator::world::{Event, GrpcStep};
use crate::scenario::host::UpstreamRequest;

/// The low bits of a unary call's id, and of a stream's.
const CALL: u32 = 1;
const STREAM: u32 = 2;
const UNAVAILABLE: u32 = 14;

struct Target {
    cluster: String,
    /// Whether it was a `GrpcService`.
    parsed: bool,
    path: String,
    metadata: HeaderMap,
}

fn target(
    cx: &mut Cx<'_>,
    service: (u32, u32),
    name: (u32, u32),
    method: (u32, u32),
    metadata: (u32, u32),
) -> Result<Target, Fail> {
    let service = cx.read(service.0, service.1)?;
    let name = cx.read_text(name.0, name.1)?;
    let method = cx.read_text(method.0, method.1)?;
    let pairs = deserialize(&cx.read(metadata.0, metadata.1)?);
    let metadata = HeaderMap::of(
        Side::Request,
        pairs.iter().map(|(k, v)| (k.as_slice(), v.as_slice())),
    );
    let named = field(&service).and_then(field);
    let parsed = named.is_some();
    Ok(Target {
        cluster: String::from_utf8_lossy(named.unwrap_or(&service)).into_owned(),
        parsed,
        path: format!("/{name}/{method}"),
        metadata,
    })
}

/// Field 1 of a short message: `GrpcService.envoy_grpc`, then its `cluster_name`.
fn field(bytes: &[u8]) -> Option<&[u8]> {
    let [0x0a, size, rest @ ..] = bytes else {
        return None;
    };
    rest.get(..usize::from(*size))
}

/// A message in gRPC's frame.
fn frame(message: &[u8]) -> Vec<u8> {
    let size = u32::try_from(message.len()).unwrap_or(u32::MAX);
    [&[0][..], &size.to_be_bytes(), message].concat()
}

/// `proxy_grpc_call`: ids 5, 9, ….
#[allow(clippy::too_many_arguments, reason = "the ABI's own signature")]
pub fn call(
    cx: &mut Cx<'_>,
    service: u32,
    service_len: u32,
    name: u32,
    name_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    message: u32,
    message_len: u32,
    timeout: u32,
    token: u32,
) -> Answer {
    let target = target(
        cx,
        (service, service_len),
        (name, name_len),
        (method, method_len),
        (metadata, metadata_len),
    )?;
    let message = cx.read(message, message_len)?;
    open(
        cx,
        &target,
        CALL,
        token,
        Some((message, u64::from(timeout))),
    )
}

/// `proxy_grpc_stream`: ids 6, 10, ….
#[allow(clippy::too_many_arguments, reason = "the ABI's own signature")]
pub fn stream(
    cx: &mut Cx<'_>,
    service: u32,
    service_len: u32,
    name: u32,
    name_len: u32,
    method: u32,
    method_len: u32,
    metadata: u32,
    metadata_len: u32,
    token: u32,
) -> Answer {
    let target = target(
        cx,
        (service, service_len),
        (name, name_len),
        (method, method_len),
        (metadata, metadata_len),
    )?;
    open(cx, &target, STREAM, token, None)
}

/// Opens a call (with its message and time-out in milliseconds) or a stream.
fn open(
    cx: &mut Cx<'_>,
    target: &Target,
    kind: u32,
    token: u32,
    unary: Option<(Vec<u8>, u64)>,
) -> Answer {
    let state = cx.state();
    let known = state.world.borrow().clusters.knows(&target.cluster);
    if !known && !target.parsed {
        return Ok(Status::ParseFailure);
    }
    let last = if kind == CALL {
        &mut state.last_grpc_call
    } else {
        &mut state.last_grpc_stream
    };
    *last += 4;
    let id = *last + kind;
    if !known {
        state.grpc_open.insert(id, None);
        let close = GrpcStep::Close(UNAVAILABLE, b"Cluster not available".to_vec());
        answer(cx, id, vec![(0, close)]);
        return Ok(Status::InternalFailure);
    }
    let request = request(target, unary.as_ref());
    match unary {
        Some((_, timeout)) => {
            state.grpc_open.insert(id, None);
            dispatch(cx, id, request, Some(timeout));
        }
        None => {
            state.grpc_open.insert(id, Some(request));
        }
    }
    cx.write_u32(token, id)?;
    Ok(Status::Ok)
}

/// The request as the upstream sees it.
fn request(target: &Target, unary: Option<&(Vec<u8>, u64)>) -> UpstreamRequest {
    let mut headers = target.metadata.clone();
    headers.set(b"te", b"trailers");
    headers.set(b"content-type", b"application/grpc");
    headers.set(b"x-envoy-internal", b"true");
    if let Some((_, timeout)) = unary.filter(|(_, timeout)| *timeout > 0) {
        headers.set(b"grpc-timeout", format!("{timeout}m").as_bytes());
        let timeout = timeout.to_string();
        headers.set(b"x-envoy-expected-rq-timeout-ms", timeout.as_bytes());
    }
    UpstreamRequest {
        cluster: target.cluster.clone(),
        method: b"POST".to_vec(),
        path: target.path.clone().into_bytes(),
        authority: target.cluster.clone().into_bytes(),
        headers: headers.regular(),
        body: unary.map(|(message, _)| frame(message)).unwrap_or_default(),
    }
}

/// The upstream has the whole request; its answers fall due.
fn dispatch(cx: &mut Cx<'_>, id: u32, request: UpstreamRequest, unary: Option<u64>) {
    let state = cx.state();
    if state.canary {
        return;
    }
    let reply = {
        let mut world = state.world.borrow_mut();
        let reply = world.clusters.answer(&request.cluster, &request.path);
        world.record.callouts.push(request);
        reply
    };
    let steps = match unary {
        Some(timeout) => unary_steps(&reply, timeout),
        None => grpc_steps(&reply),
    };
    answer(cx, id, steps);
}

fn answer(cx: &mut Cx<'_>, id: u32, steps: Vec<(u64, GrpcStep)>) {
    let state = cx.state();
    let root = state.root_id();
    let mut world = state.world.borrow_mut();
    for (delay, step) in steps {
        if let Some(vm) = state.this.upgrade() {
            let token = id;
            world.clock.after(
                delay,
                Event::Grpc {
                    vm,
                    root,
                    token,
                    step,
                },
            );
        }
    }
}

/// `proxy_grpc_send`: on a stream that is open; with `end` the request is whole.
pub fn send(cx: &mut Cx<'_>, token: u32, message: u32, message_len: u32, end: u32) -> Answer {
    let message = cx.read(message, message_len)?;
    if token & 3 != STREAM {
        return Ok(Status::BadArgument);
    }
    match cx.state().grpc_open.get_mut(&token) {
        None => return Ok(Status::NotFound),
        Some(Some(request)) => request.body.extend(frame(&message)),
        Some(None) => {}
    }
    if end != 0 {
        finish(cx, token);
    }
    Ok(Status::Ok)
}

fn finish(cx: &mut Cx<'_>, token: u32) {
    let waiting = cx.state().grpc_open.get_mut(&token).and_then(Option::take);
    if let Some(request) = waiting {
        dispatch(cx, token, request, None);
    }
}

/// `proxy_grpc_cancel`: nothing more is heard of it.
pub fn cancel(cx: &mut Cx<'_>, token: u32) -> Answer {
    if !matches!(token & 3, CALL | STREAM) {
        return Ok(Status::BadArgument);
    }
    Ok(if cx.state().grpc_open.remove(&token).is_some() {
        Status::Ok
    } else {
        Status::NotFound
    })
}

/// `proxy_grpc_close`: half-closes a stream, or cancels a call.
pub fn close(cx: &mut Cx<'_>, token: u32) -> Answer {
    if token & 3 != STREAM {
        return cancel(cx, token);
    }
    if !cx.state().grpc_open.contains_key(&token) {
        return Ok(Status::NotFound);
    }
    finish(cx, token);
    Ok(Status::Ok)
}
