//! HTTP call-outs.
//!
//! 1. Unknown cluster, a missing `:method`, `:path` or `:authority`, or a time-out of 2³¹ ms or more: bad argument. A cluster
//!    without hosts: internal failure, and no callback, though an id is used up. Ids are 4, 8, 12, ….
//! 2. Envoy adds `content-length` (only with a body), `x-envoy-internal`, and `x-envoy-expected-rq-timeout-ms` (only with a
//!    time-out).
//! 3. The answer comes to the root context, whatever context called.

use crate::emulator::header_map::{HeaderMap, Side, deserialize};
use crate::emulator::memory::{Answer, Cx};
use crate::emulator::status::Status;
use crate::emulator::world::Event;
use crate::scenario::host::UpstreamRequest;

/// `proxy_http_call`.
#[allow(clippy::too_many_arguments, reason = "the ABI's own signature")]
pub fn http_call(
    cx: &mut Cx<'_>,
    cluster: u32,
    cluster_len: u32,
    pairs: u32,
    pairs_len: u32,
    body: u32,
    body_len: u32,
    _trailers: u32,
    _trailers_len: u32,
    timeout: u32,
    token: u32,
) -> Answer {
    let cluster = cx.read_text(cluster, cluster_len)?;
    let pairs = deserialize(&cx.read(pairs, pairs_len)?);
    let body = cx.read(body, body_len)?;
    let state = cx.state();
    if timeout.cast_signed() < 0 || !state.world.borrow().clusters.knows(&cluster) {
        return Ok(Status::BadArgument);
    }
    let mut headers = HeaderMap::of(
        Side::Request,
        pairs.iter().map(|(k, v)| (k.as_slice(), v.as_slice())),
    );
    if [":method", ":path", ":authority"]
        .iter()
        .any(|name| headers.get(name.as_bytes()).is_none_or(<[u8]>::is_empty))
    {
        return Ok(Status::BadArgument);
    }
    state.last_http_call += 4;
    if !state.world.borrow().clusters.has_hosts(&cluster) {
        return Ok(Status::InternalFailure);
    }
    complete(&mut headers, &body, timeout);
    let id = state.last_http_call;
    let request = request(&cluster, &headers, body);
    if state.canary {
        cx.write_u32(token, id)?;
        return Ok(Status::Ok);
    }
    let root = state.root_id();
    let mut world = state.world.borrow_mut();
    let reply = world.clusters.answer(&cluster, &request.path);
    world.record.callouts.push(request);
    let (delay, answer) = super::super::cluster::callout(&reply, u64::from(timeout));
    if let (Some(answer), Some(vm)) = (answer, state.this.upgrade()) {
        world.clock.after(
            delay,
            Event::Callout {
                vm,
                root,
                token: id,
                answer: Box::new(answer),
            },
        );
    }
    drop(world);
    cx.write_u32(token, id)?;
    Ok(Status::Ok)
}

fn complete(headers: &mut HeaderMap, body: &[u8], timeout: u32) {
    if !body.is_empty() {
        headers.replace(b"content-length", body.len().to_string().as_bytes());
    }
    headers.replace(b"x-envoy-internal", b"true");
    if timeout > 0 {
        headers.replace(
            b"x-envoy-expected-rq-timeout-ms",
            timeout.to_string().as_bytes(),
        );
    }
}

fn request(cluster: &str, headers: &HeaderMap, body: Vec<u8>) -> UpstreamRequest {
    let pseudo = |name: &str| headers.get(name.as_bytes()).unwrap_or_default().to_vec();
    UpstreamRequest {
        cluster: cluster.to_owned(),
        method: pseudo(":method"),
        path: pseudo(":path"),
        authority: pseudo(":authority"),
        headers: headers.regular(),
        body,
    }
}

/// `proxy_get_status`: code and message of the last call that ended (11 `reset` sticks; the message does not).
pub fn get_status(cx: &mut Cx<'_>, code: u32, ptr: u32, len: u32) -> Answer {
    let (status, message) = cx.state().last_status.clone();
    cx.write_u32(code, status)?;
    cx.give(&message, ptr, len)?;
    Ok(Status::Ok)
}
