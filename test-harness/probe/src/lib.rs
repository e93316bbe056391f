//! A filter that makes the host calls a script asks for, in the callbacks it names, and logs what the host answers: the witness
//! of the host's truth.
//!
//! 1. The plugin's configuration holds the scripts (see [`script`]). A request chooses one by its `x-probe` header.
//! 2. Each callback logs its context, name and arguments, then one line for each operation: `operation -> status value`.
//! 3. `return N` is what the callback answers; without it 0, and 1 in `on_vm_start`, `on_configure` and `on_done`.
//!
//! Native builds are empty: there is no host to link against.
#![cfg(all(target_arch = "wasm32", target_os = "wasi"))]
#![allow(
    unsafe_code,
    reason = "the raw ABI, so that each status is seen as it is"
)]

mod abi;
mod operation;
mod script;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use script::Scripts;

thread_local! {
    static SCRIPTS: RefCell<Scripts> = RefCell::default();
    /// Roots of streams' scripts: which script each stream follows.
    static CHOSEN: RefCell<BTreeMap<u32, String>> = const { RefCell::new(BTreeMap::new()) };
    /// Which context made a call.
    static CALLS: RefCell<BTreeMap<u32, u32>> = const { RefCell::new(BTreeMap::new()) };
    static CONTEXT: Cell<u32> = const { Cell::new(0) };
    static CALLER: Cell<u32> = const { Cell::new(0) };
}

/// Remembers who made a call.
pub(crate) fn called(token: u32) {
    CALLS.with_borrow_mut(|calls| calls.insert(token, CONTEXT.get()));
}

/// The context whose call is answered.
pub(crate) fn caller() -> u32 {
    CALLER.get()
}

fn say(text: &str) {
    unsafe { abi::proxy_log(2, text.as_ptr(), text.len()) };
}

/// Logs a callback, does what its script says, and gives its result.
fn play(context: u32, script: &str, phase: &str, arguments: &[u32], default: u32) -> u32 {
    let arguments: Vec<String> = arguments.iter().map(u32::to_string).collect();
    say(&format!("{context} on_{phase}({})", arguments.join(", ")));
    CONTEXT.set(context);
    let mut result = default;
    for line in SCRIPTS.with_borrow(|scripts| scripts.of(script, phase)) {
        if line.name() == "return" {
            result = line.u32(1);
        } else {
            let answer = operation::perform(&line);
            say(&format!("{context}   {} -> {answer}", line.text));
        }
    }
    result
}

fn stream(context: u32, phase: &str, arguments: &[u32]) -> u32 {
    let script = CHOSEN
        .with_borrow(|chosen| chosen.get(&context).cloned())
        .unwrap_or_else(|| "all".to_owned());
    play(context, &script, phase, arguments, 0)
}

/// A body callback: its script by chunk, then, at the end of the stream, by end.
fn body(context: u32, phase: &str, size: u32, end: u32) -> u32 {
    let script = CHOSEN
        .with_borrow(|chosen| chosen.get(&context).cloned())
        .unwrap_or_else(|| "all".to_owned());
    let part = if end == 1 { "end" } else { "part" };
    say(&format!("{context} on_{phase}({size}, {end})"));
    CONTEXT.set(context);
    let mut result = 0;
    for place in [phase.to_owned(), format!("{phase}.{part}")] {
        for line in SCRIPTS.with_borrow(|scripts| scripts.of(&script, &place)) {
            if line.name() == "return" {
                result = line.u32(1);
            } else {
                let answer = operation::perform(&line);
                say(&format!("{context}   {} -> {answer}", line.text));
            }
        }
    }
    result
}

fn read(kind: u32, size: u32) -> Vec<u8> {
    let (mut data, mut length) = (std::ptr::null(), 0);
    unsafe {
        abi::proxy_get_buffer_bytes(kind, 0, size, &mut data, &mut length);
        if data.is_null() {
            Vec::new()
        } else {
            Vec::from_raw_parts(data.cast_mut(), length, length)
        }
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_abi_version_0_2_1() {}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut memory = Vec::<u8>::with_capacity(size);
    let start = memory.as_mut_ptr();
    std::mem::forget(memory);
    start
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_vm_start(context: u32, size: u32) -> u32 {
    play(context, "root", "vm_start", &[size], 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_configure(context: u32, size: u32) -> u32 {
    // Buffer 7 is the plugin's configuration.
    let text = read(7, size);
    SCRIPTS.set(Scripts::parse(&String::from_utf8_lossy(&text)));
    play(context, "root", "configure", &[], 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_context_create(context: u32, root: u32) {
    if root != 0 {
        play(context, "root", "context_create", &[root], 0);
    }
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_tick(context: u32) {
    play(context, "root", "tick", &[], 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_queue_ready(context: u32, queue: u32) {
    play(context, "root", "queue_ready", &[queue], 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_headers(context: u32, count: u32, end: u32) -> u32 {
    let (key, mut data, mut size) = ("x-probe", std::ptr::null(), 0);
    let script = unsafe {
        abi::proxy_get_header_map_value(0, key.as_ptr(), key.len(), &mut data, &mut size);
        if data.is_null() {
            Vec::new()
        } else {
            Vec::from_raw_parts(data.cast_mut(), size, size)
        }
    };
    let script = String::from_utf8_lossy(&script).into_owned();
    CHOSEN.with_borrow_mut(|chosen| chosen.insert(context, script));
    stream(context, "request_headers", &[count, end])
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_body(context: u32, size: u32, end: u32) -> u32 {
    body(context, "request_body", size, end)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_request_trailers(context: u32, count: u32) -> u32 {
    stream(context, "request_trailers", &[count])
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_headers(context: u32, count: u32, end: u32) -> u32 {
    stream(context, "response_headers", &[count, end])
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_body(context: u32, size: u32, end: u32) -> u32 {
    body(context, "response_body", size, end)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_response_trailers(context: u32, count: u32) -> u32 {
    stream(context, "response_trailers", &[count])
}

/// A TCP connection follows the script `tcp`.
fn tcp(context: u32, phase: &str, arguments: &[u32]) -> u32 {
    play(context, "tcp", phase, arguments, 0)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_new_connection(context: u32) -> u32 {
    CHOSEN.with_borrow_mut(|chosen| chosen.insert(context, "tcp".to_owned()));
    tcp(context, "new_connection", &[])
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_downstream_data(context: u32, size: u32, end: u32) -> u32 {
    tcp(context, "downstream_data", &[size, end])
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_upstream_data(context: u32, size: u32, end: u32) -> u32 {
    tcp(context, "upstream_data", &[size, end])
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_downstream_connection_close(context: u32, peer: u32) {
    tcp(context, "downstream_connection_close", &[peer]);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_upstream_connection_close(context: u32, peer: u32) {
    tcp(context, "upstream_connection_close", &[peer]);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_log(context: u32) {
    stream(context, "log", &[]);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_done(context: u32) -> u32 {
    let script = CHOSEN
        .with_borrow(|chosen| chosen.get(&context).cloned())
        .unwrap_or_else(|| "root".to_owned());
    play(context, &script, "done", &[], 1)
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_delete(context: u32) {
    stream(context, "delete", &[]);
    CHOSEN.with_borrow_mut(|chosen| chosen.remove(&context));
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_http_call_response(
    context: u32,
    token: u32,
    headers: u32,
    size: u32,
    trailers: u32,
) {
    let caller = CALLS
        .with_borrow_mut(|calls| calls.remove(&token))
        .unwrap_or(context);
    CALLER.set(caller);
    let script = CHOSEN
        .with_borrow(|chosen| chosen.get(&caller).cloned())
        .unwrap_or_else(|| "root".to_owned());
    play(
        context,
        &script,
        "http_call_response",
        &[token, headers, size, trailers],
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_initial_metadata(context: u32, token: u32, count: u32) {
    play(
        context,
        "root",
        "grpc_receive_initial_metadata",
        &[token, count],
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive(context: u32, token: u32, size: u32) {
    play(context, "root", "grpc_receive", &[token, size], 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_receive_trailing_metadata(context: u32, token: u32, count: u32) {
    play(
        context,
        "root",
        "grpc_receive_trailing_metadata",
        &[token, count],
        0,
    );
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_grpc_close(context: u32, token: u32, code: u32) {
    play(context, "root", "grpc_close", &[token, code], 0);
}

#[unsafe(no_mangle)]
extern "C" fn proxy_on_foreign_function(context: u32, function: u32, size: u32) {
    play(context, "root", "foreign_function", &[function, size], 0);
}
