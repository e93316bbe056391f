//! gRPC calls and streams.
//!
//! The service is a serialised `GrpcService` or a cluster's name. The cluster's scripted answer plays the server: its `chunks`
//! (or `body`) are messages, its trailers (or headers) hold `grpc-status` and `grpc-message`. A unary call that succeeds gets
//! `on_grpc_receive` only; one that fails gets `on_grpc_close` only. A stream gets metadata, messages and its end.

use crate::emulator::cluster::{grpc_steps, unary_steps};
use crate::emulator::header_map::{HeaderMap, Side, deserialize};
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;
use crate::emulator::world::Event;
use crate::scenario::host::UpstreamRequest;

struct Target {
    cluster: String,
    path: String,
    metadata: HeaderMap,
}

fn target(
    cx: &mut Cx<'_>,
    service: (u32, u32),
    name: (u32, u32),
    method: (u32, u32),
    metadata: (u32, u32),
) -> Result<Target, crate::emulator::memory::Fail> {
    let service = cx.read(service.0, service.1)?;
    let name = cx.read_text(name.0, name.1)?;
    let method = cx.read_text(method.0, method.1)?;
    let pairs = deserialize(&cx.read(metadata.0, metadata.1)?);
    let metadata = HeaderMap::of(
        Side::Request,
        pairs.iter().map(|(k, v)| (k.as_slice(), v.as_slice())),
    );
    Ok(Target {
        cluster: cluster_of(&service),
        path: format!("/{name}/{method}"),
        metadata,
    })
}

/// `GrpcService.envoy_grpc.cluster_name`, or the bytes as a name.
fn cluster_of(service: &[u8]) -> String {
    let field = |bytes: &[u8]| -> Option<Vec<u8>> {
        let (tag, rest) = bytes.split_first()?;
        let (size, rest) = rest.split_first()?;
        (*tag == 0x0a && rest.len() >= usize::from(*size))
            .then(|| rest.iter().take(usize::from(*size)).copied().collect())
    };
    let name = field(service)
        .and_then(|inner| field(&inner))
        .unwrap_or_else(|| service.to_vec());
    String::from_utf8_lossy(&name).into_owned()
}

fn record(cx: &mut Cx<'_>, target: &Target, body: Vec<u8>) {
    let authority = target.cluster.clone().into_bytes();
    let request = UpstreamRequest {
        cluster: target.cluster.clone(),
        method: b"POST".to_vec(),
        path: target.path.clone().into_bytes(),
        authority,
        headers: target.metadata.regular(),
        body,
    };
    let state = cx.state();
    if !state.canary {
        state.world.borrow_mut().record.callouts.push(request);
    }
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
    open(cx, &target, 1, token, Some((message, u64::from(timeout))))
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
    open(cx, &target, 2, token, None)
}

fn open(
    cx: &mut Cx<'_>,
    target: &Target,
    kind: u32,
    token: u32,
    unary: Option<(Vec<u8>, u64)>,
) -> Answer {
    if !cx.state().world.borrow().clusters.knows(&target.cluster) {
        return Ok(Status::ParseFailure);
    }
    let state = cx.state();
    state.last_grpc_call += 4;
    let id = state.last_grpc_call + kind;
    state.grpc_open.insert(id, target.cluster.clone());
    let body = unary
        .as_ref()
        .map(|(message, _)| message.clone())
        .unwrap_or_default();
    record(cx, target, body);
    let state = cx.state();
    let root = state.root_id();
    if !state.canary {
        let mut world = state.world.borrow_mut();
        let reply = world
            .clusters
            .answer(&target.cluster, target.path.as_bytes());
        let steps = match &unary {
            Some((_, timeout)) => unary_steps(&reply, *timeout),
            None => grpc_steps(&reply),
        };
        for (delay, step) in steps {
            if let Some(vm) = state.this.upgrade() {
                world.clock.after(
                    delay,
                    Event::Grpc {
                        vm,
                        root,
                        token: id,
                        step,
                    },
                );
            }
        }
    }
    cx.write_u32(token, id)?;
    Ok(Status::Ok)
}

/// `proxy_grpc_send`: on a stream that is open.
pub fn send(cx: &mut Cx<'_>, token: u32, message: u32, message_len: u32, _end: u32) -> Answer {
    let message = cx.read(message, message_len)?;
    let Some(cluster) = cx.state().grpc_open.get(&token).cloned() else {
        return Ok(Status::NotFound);
    };
    if token & 3 != 2 {
        return Ok(Status::BadArgument);
    }
    let target = Target {
        cluster,
        path: String::new(),
        metadata: HeaderMap::new(Side::Request),
    };
    record(cx, &target, message);
    Ok(Status::Ok)
}

/// `proxy_grpc_cancel`: nothing more is heard of it.
pub fn cancel(cx: &mut Cx<'_>, token: u32) -> Answer {
    Ok(if cx.state().grpc_open.remove(&token).is_some() {
        Status::Ok
    } else {
        Status::NotFound
    })
}

/// `proxy_grpc_close`: half-closes a stream, or cancels a call.
pub fn close(cx: &mut Cx<'_>, token: u32) -> Answer {
    let state = cx.state();
    if token & 3 == 1 {
        return cancel(cx, token);
    }
    Ok(if state.grpc_open.contains_key(&token) {
        Status::Ok
    } else {
        Status::NotFound
    })
}
