//! Operations: one host call each, answered by its status and what it gave.

use std::ptr::{null, null_mut};

use crate::abi::*;
use crate::script::Line;

/// What the host gave: a place in our memory that is ours to free.
struct Given {
    data: Ptr,
    size: usize,
}

impl Given {
    fn none() -> Self {
        Self {
            data: null(),
            size: 0,
        }
    }

    /// Takes the bytes.
    fn take(self) -> Option<Vec<u8>> {
        // The host got this memory from our allocator with exactly this size.
        (!self.data.is_null())
            .then(|| unsafe { Vec::from_raw_parts(self.data.cast_mut(), self.size, self.size) })
    }

    fn show(self) -> String {
        self.take()
            .map_or_else(|| "null".to_owned(), |bytes| show(&bytes))
    }
}

/// Does one operation; the answer for the log.
pub fn perform(line: &Line) -> String {
    match line.name() {
        "get" | "add" | "set" | "remove" | "pairs" | "pairs?" | "size" | "set_pairs" => {
            header(line)
        }
        "buffer" | "set_buffer" | "buffer_status" => buffer(line),
        "property" | "property?" | "set_property" => property(line),
        "share" | "share_null" | "shared" => shared(line),
        "register" | "resolve" | "enqueue" | "dequeue" => queue(line),
        "define" | "increment" | "record" | "metric" => metric(line),
        "http_call" | "grpc_call" | "grpc_stream" | "grpc_send" | "grpc_cancel" | "grpc_close"
        | "status" => call(line),
        _ => stream(line),
    }
}

fn header(line: &Line) -> String {
    let (map, key, value) = (line.u32(1), line.bytes(2), line.bytes(3));
    let mut given = Given::none();
    unsafe {
        match line.name() {
            "get" => {
                let status = proxy_get_header_map_value(
                    map,
                    key.as_ptr(),
                    key.len(),
                    &mut given.data,
                    &mut given.size,
                );
                format!("{status} {}", given.show())
            }
            "pairs" => {
                let status = proxy_get_header_map_pairs(map, &mut given.data, &mut given.size);
                let pairs = given.take();
                format!(
                    "{status} {}",
                    pairs.map_or_else(|| "null".to_owned(), |bytes| show_pairs(&bytes))
                )
            }
            // Where names and values change from run to run: whether there is a map at all.
            "pairs?" => {
                let status = proxy_get_header_map_pairs(map, &mut given.data, &mut given.size);
                format!(
                    "{status} {}",
                    if given.take().is_some() {
                        "some"
                    } else {
                        "null"
                    }
                )
            }
            "size" => {
                let mut size = 0;
                let status = proxy_get_header_map_size(map, &mut size);
                format!("{status} {size}")
            }
            "set_pairs" => {
                let pairs = line.pairs(2);
                proxy_set_header_map_pairs(map, pairs.as_ptr(), pairs.len()).to_string()
            }
            "add" => proxy_add_header_map_value(
                map,
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
            )
            .to_string(),
            "set" => proxy_replace_header_map_value(
                map,
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
            )
            .to_string(),
            _ => proxy_remove_header_map_value(map, key.as_ptr(), key.len()).to_string(),
        }
    }
}

fn buffer(line: &Line) -> String {
    let mut given = Given::none();
    unsafe {
        match line.name() {
            "buffer" => {
                let (kind, start, max) = (line.u32(1), line.u32(2), line.u32(3));
                let status =
                    proxy_get_buffer_bytes(kind, start, max, &mut given.data, &mut given.size);
                format!("{status} {}", given.show())
            }
            "set_buffer" => {
                let data = line.bytes(4);
                proxy_set_buffer_bytes(
                    line.u32(1),
                    line.u32(2),
                    line.u32(3),
                    data.as_ptr(),
                    data.len(),
                )
                .to_string()
            }
            _ => {
                let (mut size, mut flags) = (0, 0);
                let status = proxy_get_buffer_status(line.u32(1), &mut size, &mut flags);
                format!("{status} {size} {flags}")
            }
        }
    }
}

fn property(line: &Line) -> String {
    let path = line.path(1);
    let mut given = Given::none();
    unsafe {
        if line.name() == "set_property" {
            let value = line.bytes(2);
            return proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len())
                .to_string();
        }
        let status =
            proxy_get_property(path.as_ptr(), path.len(), &mut given.data, &mut given.size);
        let value = given.take();
        let shown = match (&value, line.name()) {
            (None, _) => "null".to_owned(),
            // Values that change from run to run.
            (Some(_), "property?") => "some".to_owned(),
            (Some(bytes), _) => match <[u8; 8]>::try_from(bytes.as_slice()) {
                Ok(number) if bytes[4..] == [0; 4] => format!("i64={}", i64::from_le_bytes(number)),
                _ => show(bytes),
            },
        };
        format!("{status} {shown}")
    }
}

fn shared(line: &Line) -> String {
    let (key, value) = (line.bytes(1), line.bytes(2));
    let (mut given, mut cas) = (Given::none(), 0);
    unsafe {
        match line.name() {
            "share" => proxy_set_shared_data(
                key.as_ptr(),
                key.len(),
                value.as_ptr(),
                value.len(),
                line.u32(3),
            )
            .to_string(),
            "share_null" => {
                proxy_set_shared_data(key.as_ptr(), key.len(), null(), 0, 0).to_string()
            }
            _ => {
                let status = proxy_get_shared_data(
                    key.as_ptr(),
                    key.len(),
                    &mut given.data,
                    &mut given.size,
                    &mut cas,
                );
                format!("{status} {} cas={cas}", given.show())
            }
        }
    }
}

fn queue(line: &Line) -> String {
    let (first, second) = (line.bytes(1), line.bytes(2));
    let (mut given, mut id) = (Given::none(), 0);
    unsafe {
        match line.name() {
            "register" => {
                let status = proxy_register_shared_queue(first.as_ptr(), first.len(), &mut id);
                format!("{status} id={id}")
            }
            "resolve" => {
                let status = proxy_resolve_shared_queue(
                    first.as_ptr(),
                    first.len(),
                    second.as_ptr(),
                    second.len(),
                    &mut id,
                );
                format!("{status} id={id}")
            }
            "enqueue" => {
                proxy_enqueue_shared_queue(line.u32(1), second.as_ptr(), second.len()).to_string()
            }
            _ => {
                let status =
                    proxy_dequeue_shared_queue(line.u32(1), &mut given.data, &mut given.size);
                format!("{status} {}", given.show())
            }
        }
    }
}

fn metric(line: &Line) -> String {
    unsafe {
        match line.name() {
            "define" => {
                let (name, mut id) = (line.bytes(2), 0);
                let status = proxy_define_metric(line.u32(1), name.as_ptr(), name.len(), &mut id);
                format!("{status} id={id}")
            }
            "increment" => proxy_increment_metric(line.u32(1), line.number(2)).to_string(),
            "record" => proxy_record_metric(line.u32(1), line.number(2) as u64).to_string(),
            _ => {
                let mut value = 0;
                let status = proxy_get_metric(line.u32(1), &mut value);
                format!("{status} {value}")
            }
        }
    }
}

fn call(line: &Line) -> String {
    let mut token = 0;
    unsafe {
        match line.name() {
            "http_call" => {
                let (cluster, body, headers) = (line.bytes(1), line.bytes(3), line.pairs(4));
                let status = proxy_http_call(
                    cluster.as_ptr(),
                    cluster.len(),
                    headers.as_ptr(),
                    headers.len(),
                    body.as_ptr(),
                    body.len(),
                    null(),
                    0,
                    line.u32(2),
                    &mut token,
                );
                if status == 0 {
                    crate::called(token);
                }
                format!("{status} token={token}")
            }
            "grpc_call" | "grpc_stream" => grpc(line),
            "grpc_send" => {
                let message = line.bytes(2);
                proxy_grpc_send(line.u32(1), message.as_ptr(), message.len(), line.u32(3))
                    .to_string()
            }
            "grpc_cancel" => proxy_grpc_cancel(line.u32(1)).to_string(),
            "grpc_close" => proxy_grpc_close(line.u32(1)).to_string(),
            _ => {
                let (mut code, mut given) = (0, Given::none());
                let status = proxy_get_status(&mut code, &mut given.data, &mut given.size);
                format!("{status} {code} {}", given.show())
            }
        }
    }
}

/// `grpc_call target service method timeout message`, `grpc_stream target service method`.
fn grpc(line: &Line) -> String {
    let (target, service, method, message) =
        (line.bytes(1), line.bytes(2), line.bytes(3), line.bytes(5));
    let (none, mut token) = (0u32.to_le_bytes(), 0);
    let status = unsafe {
        if line.name() == "grpc_stream" {
            proxy_grpc_stream(
                target.as_ptr(),
                target.len(),
                service.as_ptr(),
                service.len(),
                method.as_ptr(),
                method.len(),
                none.as_ptr(),
                none.len(),
                &mut token,
            )
        } else {
            proxy_grpc_call(
                target.as_ptr(),
                target.len(),
                service.as_ptr(),
                service.len(),
                method.as_ptr(),
                method.len(),
                none.as_ptr(),
                none.len(),
                message.as_ptr(),
                message.len(),
                line.u32(4),
                &mut token,
            )
        }
    };
    format!("{status} token={token}")
}

fn stream(line: &Line) -> String {
    unsafe {
        match line.name() {
            "log" => {
                proxy_log(line.u32(1), line.bytes(2).as_ptr(), line.bytes(2).len()).to_string()
            }
            "log_level" => {
                let mut level = 0;
                let status = proxy_get_log_level(&mut level);
                format!("{status} {level}")
            }
            "time" => proxy_get_current_time_nanoseconds(&mut 0).to_string(),
            "tick" => proxy_set_tick_period_milliseconds(line.u32(1)).to_string(),
            "continue" => proxy_continue_stream(line.u32(1)).to_string(),
            "close" => proxy_close_stream(line.u32(1)).to_string(),
            "reply" => {
                let (details, body, headers) = (line.bytes(2), line.bytes(3), line.pairs(5));
                let (code, grpc) = (line.u32(1), line.number(4) as i32);
                proxy_send_local_response(
                    code,
                    details.as_ptr(),
                    details.len(),
                    body.as_ptr(),
                    body.len(),
                    headers.as_ptr(),
                    headers.len(),
                    grpc,
                )
                .to_string()
            }
            "foreign" | "foreign?" => {
                let (name, argument, mut given) = (line.bytes(1), line.bytes(2), Given::none());
                let status = proxy_call_foreign_function(
                    name.as_ptr(),
                    name.len(),
                    argument.as_ptr(),
                    argument.len(),
                    &mut given.data,
                    &mut given.size,
                );
                // A result that changes from run to run.
                if line.name() == "foreign?" {
                    let some = given.take().is_some();
                    return format!("{status} {}", if some { "some" } else { "null" });
                }
                format!("{status} {}", given.show())
            }
            "effective" => {
                let caller = crate::caller();
                let context = if line.bytes(1) == b"caller" {
                    caller
                } else {
                    line.u32(1)
                };
                proxy_set_effective_context(context).to_string()
            }
            "done" => proxy_done().to_string(),
            "trap" => std::arch::wasm32::unreachable(),
            "out_of_bounds" => proxy_get_log_level(null_mut::<u32>().wrapping_sub(1)).to_string(),
            _ => "no such operation".to_owned(),
        }
    }
}

fn show(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for byte in bytes {
        match byte {
            b'"' | b'\\' => text.push_str(&format!("\\{}", char::from(*byte))),
            0x20..0x7f => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text + "\""
}

fn show_pairs(bytes: &[u8]) -> String {
    let word = |at: usize| {
        bytes.get(at..at + 4).map_or(0, |four| {
            u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize
        })
    };
    let count = word(0);
    let mut at = 4 + 8 * count;
    let mut shown = Vec::new();
    for index in 0..count {
        let (name, value) = (word(4 + 8 * index), word(8 + 8 * index));
        let text =
            |from: usize, size: usize| show(bytes.get(from..from + size).unwrap_or_default());
        shown.push(format!("{}={}", text(at, name), text(at + name + 1, value)));
        at += name + value + 2;
    }
    format!("[{}]", shown.join(" "))
}
