//! Header maps.
//!
//! Trailers that a filter made at the end of the body stay with it until it continues the stream by hand. A map that is not there now reads as empty through `pairs`, and is a bad argument for all else (in `on_log`: not found for
//! reading). Writing request headers clears the route cache.

use crate::emulator::context::{Direction, Stream};
use crate::emulator::exchange::Exchange;
use crate::emulator::flaw::Flaw;
use crate::emulator::guest::VmState;
use crate::emulator::header_map::{HeaderMap, Side, deserialize, serialize};
use crate::emulator::memory::{Answer, Cx, Fail};
use crate::emulator::status::Status;
use crate::emulator::world::CalloutAnswer;

const REQUEST: u32 = 0;
const REQUEST_TRAILERS: u32 = 1;
const RESPONSE: u32 = 2;
const RESPONSE_TRAILERS: u32 = 3;
const GRPC_INITIAL: u32 = 4;
const GRPC_TRAILING: u32 = 5;
const CALL_HEADERS: u32 = 6;
const CALL_TRAILERS: u32 = 7;

/// `proxy_get_header_map_value`: the first value; empty is null.
pub fn get(cx: &mut Cx<'_>, map: u32, key: u32, key_len: u32, ptr: u32, len: u32) -> Answer {
    let key = cx.read(key, key_len)?;
    let found = read(cx.state(), map, |headers| {
        headers.get(&key).map(<[u8]>::to_vec)
    });
    match found {
        Some(Some(value)) => {
            cx.give(&value, ptr, len)?;
            Ok(Status::Ok)
        }
        Some(None) => Ok(Status::NotFound),
        None => Ok(unavailable(cx.state(), map, "proxy_get_header_map_value")),
    }
}

/// `proxy_get_header_map_pairs`: never fails for a known map.
pub fn pairs(cx: &mut Cx<'_>, map: u32, ptr: u32, len: u32) -> Answer {
    if map > CALL_TRAILERS {
        return Ok(Status::BadArgument);
    }
    let bytes = match read(cx.state(), map, |headers| serialize(headers.pairs())) {
        Some(bytes) => bytes,
        None => {
            if matches!(map, REQUEST | RESPONSE) {
                unavailable(cx.state(), map, "proxy_get_header_map_pairs");
            }
            Vec::new()
        }
    };
    cx.give(&bytes, ptr, len)?;
    Ok(Status::Ok)
}

/// `proxy_get_header_map_size`: bytes of names and values.
pub fn size(cx: &mut Cx<'_>, map: u32, out: u32) -> Answer {
    // Unlike the others it sees in `on_log` what can be written, not what can be read.
    let written = |stream: &Stream, exchange: &Exchange| match map {
        _ if !stream.logging => None,
        REQUEST_TRAILERS if stream.request_trailers => {
            Some(exchange.request_trailers.as_ref().map(HeaderMap::byte_size))
        }
        REQUEST_TRAILERS => Some(None),
        RESPONSE_TRAILERS if stream.response_trailers => Some(
            exchange
                .response_trailers
                .as_ref()
                .map(HeaderMap::byte_size),
        ),
        RESPONSE_TRAILERS => Some(None),
        _ => None,
    };
    let state = cx.state();
    let stream = state.context().and_then(|context| context.stream());
    let in_log = stream.and_then(|stream| written(stream, &stream.exchange.borrow()));
    match in_log.unwrap_or_else(|| read(state, map, HeaderMap::byte_size)) {
        Some(size) => {
            cx.write_u32(out, u32::try_from(size).unwrap_or(u32::MAX))?;
            Ok(Status::Ok)
        }
        None => Ok(Status::BadArgument),
    }
}

/// `proxy_set_header_map_pairs`: replaces all.
pub fn set_pairs(cx: &mut Cx<'_>, map: u32, ptr: u32, len: u32) -> Answer {
    let pairs = deserialize(&cx.read(ptr, len)?);
    write(cx, map, "proxy_set_header_map_pairs", |headers| {
        for (name, _) in headers.pairs().to_vec() {
            headers.remove(&name);
        }
        for (name, value) in &pairs {
            headers.add(name, value);
        }
    })
}

/// `proxy_add_header_map_value`.
pub fn add(
    cx: &mut Cx<'_>,
    map: u32,
    key: u32,
    key_len: u32,
    value: u32,
    value_len: u32,
) -> Answer {
    let (key, value) = (cx.read(key, key_len)?, cx.read(value, value_len)?);
    let flaw = cx.state().world.borrow().flaw;
    write(cx, map, "proxy_add_header_map_value", |headers| {
        if flaw == Some(Flaw::AddReplaces) {
            headers.remove(&key);
        }
        headers.add(&key, &value)
    })
}

/// `proxy_replace_header_map_value`.
pub fn replace(
    cx: &mut Cx<'_>,
    map: u32,
    key: u32,
    key_len: u32,
    value: u32,
    value_len: u32,
) -> Answer {
    let (key, value) = (cx.read(key, key_len)?, cx.read(value, value_len)?);
    let flaw = cx.state().world.borrow().flaw;
    write(cx, map, "proxy_replace_header_map_value", |headers| {
        if flaw == Some(Flaw::ReplaceKeepsDuplicates) {
            headers.set(&key, &value);
        } else {
            headers.replace(&key, &value);
        }
    })
}

/// `proxy_remove_header_map_value`: removing what is not there is fine.
pub fn remove(cx: &mut Cx<'_>, map: u32, key: u32, key_len: u32) -> Answer {
    let key = cx.read(key, key_len)?;
    write(cx, map, "proxy_remove_header_map_value", |headers| {
        headers.remove(&key)
    })
}

fn unavailable(state: &VmState, map: u32, call: &str) -> Status {
    let logging = state
        .context()
        .and_then(|context| context.stream())
        .is_some_and(|stream| stream.logging);
    if logging && map <= CALL_TRAILERS && call.starts_with("proxy_get") {
        return Status::NotFound;
    }
    let name = [
        "request headers",
        "request trailers",
        "response headers",
        "response trailers",
    ]
    .get(map as usize);
    if let Some(name) = name {
        state.wrong_phase(&format!(
            "{call} on the {name}, which are not there now (BadArgument)"
        ));
    }
    Status::BadArgument
}

/// Works on a map, if it is there now.
fn read<T>(state: &VmState, map: u32, work: impl FnOnce(&HeaderMap) -> T) -> Option<T> {
    match map {
        CALL_HEADERS | CALL_TRAILERS => match &state.answer {
            Some(CalloutAnswer::Response {
                headers, trailers, ..
            }) => {
                let map = if map == CALL_HEADERS {
                    headers
                } else {
                    trailers
                };
                (!map.is_empty() || std::ptr::eq(map, headers)).then(|| work(map))
            }
            _ => None,
        },
        GRPC_INITIAL => state.grpc_metadata.0.as_ref().map(work),
        GRPC_TRAILING => state.grpc_metadata.1.as_ref().map(work),
        _ => {
            let stream = state.context()?.stream()?;
            let exchange = stream.exchange.borrow();
            let found = match map {
                REQUEST => {
                    let stay = state.world.borrow().flaw == Some(Flaw::HeadersStay);
                    (stream.request_headers || stream.logging || stay).then_some(&exchange.request)
                }
                RESPONSE => exchange
                    .response
                    .as_ref()
                    .filter(|_| stream.response_headers || stream.logging),
                REQUEST_TRAILERS => exchange
                    .request_trailers
                    .as_ref()
                    .filter(|_| stream.request_trailers && !stream.logging),
                RESPONSE_TRAILERS => exchange
                    .response_trailers
                    .as_ref()
                    .filter(|_| stream.response_trailers || stream.logging),
                _ => None,
            };
            found
                .filter(|headers| !(stream.logging && headers.is_empty()))
                .map(work)
        }
    }
}

fn write(
    cx: &mut Cx<'_>,
    map: u32,
    call: &str,
    work: impl FnOnce(&mut HeaderMap),
) -> Result<Status, Fail> {
    let state = cx.state();
    let done = state
        .context_mut()
        .and_then(|context| context.stream_mut())
        .filter(|stream| !stream.logging || matches!(map, REQUEST_TRAILERS | RESPONSE_TRAILERS))
        .and_then(|stream| {
            let mut exchange = stream.exchange.borrow_mut();
            let exchange = &mut *exchange;
            let target = match map {
                REQUEST if stream.request_headers => {
                    exchange.clear_route();
                    Some(&mut exchange.request)
                }
                RESPONSE if stream.response_headers => exchange.response.as_mut(),
                REQUEST_TRAILERS
                    if stream.request_trailers || stream.body_end == Some(Direction::Request) =>
                {
                    stream.request_trailers = true;
                    Some(
                        exchange
                            .request_trailers
                            .get_or_insert_with(|| HeaderMap::new(Side::Other)),
                    )
                }
                RESPONSE_TRAILERS
                    if stream.response_trailers || stream.body_end == Some(Direction::Response) =>
                {
                    stream.response_trailers = true;
                    Some(
                        exchange
                            .response_trailers
                            .get_or_insert_with(|| HeaderMap::new(Side::Other)),
                    )
                }
                _ => None,
            };
            target.map(work)
        });
    Ok(match done {
        Some(()) => Status::Ok,
        None => unavailable(state, map, call),
    })
}
