//! The host functions of the proxy-wasm ABI 0.2.1 that the edge uses, with statuses as plain numbers.
//!
//! 1. proxy-wasm's own wrappers panic on a status that they do not expect, and its status type has no value for some that
//!    Envoy returns. Here every status is a number, and an unexpected one is an error to count, never a trap.
//! 2. What the host returns was allocated by this module through `proxy_on_memory_allocate` (a boxed slice of exactly the
//!    asked size), so it is taken over without a copy.
//! 3. Call-outs go through proxy-wasm's dispatcher, which keeps their tokens; see [`dispatch`].

#![expect(unsafe_code, reason = "the ABI is made of raw pointers")]

use std::time::Duration;

/// A status other than Ok (the numbers are those of the ABI).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Refused(pub(super) i32);

/// Header maps by their number in the ABI.
pub(super) mod map {
    pub(in crate::host) const REQUEST: u32 = 0;
    pub(in crate::host) const RESPONSE: u32 = 2;
    pub(in crate::host) const RESPONSE_TRAILERS: u32 = 3;
    pub(in crate::host) const CALL_RESPONSE: u32 = 6;
    pub(in crate::host) const CALL_TRAILERS: u32 = 7;
}

/// Buffers by their number in the ABI.
pub(super) mod buffer {
    pub(in crate::host) const REQUEST_BODY: u32 = 0;
    pub(in crate::host) const CALL_BODY: u32 = 4;
    pub(in crate::host) const PLUGIN_CONFIGURATION: u32 = 7;
}

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_log(level: u32, data: *const u8, size: usize) -> i32;
    fn proxy_get_log_level(level: *mut u32) -> i32;
    fn proxy_get_current_time_nanoseconds(time: *mut u64) -> i32;
    fn proxy_set_tick_period_milliseconds(period: u32) -> i32;
    fn proxy_get_buffer_bytes(
        buffer: u32,
        start: usize,
        size: usize,
        data: *mut *mut u8,
        length: *mut usize,
    ) -> i32;
    fn proxy_get_header_map_pairs(map: u32, data: *mut *mut u8, size: *mut usize) -> i32;
    fn proxy_get_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_replace_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    fn proxy_add_header_map_value(
        map: u32,
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    fn proxy_remove_header_map_value(map: u32, key: *const u8, key_size: usize) -> i32;
    fn proxy_get_property(
        path: *const u8,
        path_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
    ) -> i32;
    fn proxy_set_property(
        path: *const u8,
        path_size: usize,
        value: *const u8,
        value_size: usize,
    ) -> i32;
    fn proxy_get_shared_data(
        key: *const u8,
        key_size: usize,
        data: *mut *mut u8,
        size: *mut usize,
        cas: *mut u32,
    ) -> i32;
    fn proxy_set_shared_data(
        key: *const u8,
        key_size: usize,
        value: *const u8,
        value_size: usize,
        cas: u32,
    ) -> i32;
    fn proxy_define_metric(kind: u32, name: *const u8, name_size: usize, id: *mut u32) -> i32;
    fn proxy_get_metric(id: u32, value: *mut u64) -> i32;
    fn proxy_record_metric(id: u32, value: u64) -> i32;
    fn proxy_increment_metric(id: u32, amount: i64) -> i32;
    fn proxy_send_local_response(
        status: u32,
        details: *const u8,
        details_size: usize,
        body: *const u8,
        body_size: usize,
        headers: *const u8,
        headers_size: usize,
        grpc_status: i32,
    ) -> i32;
    fn proxy_continue_stream(stream: u32) -> i32;
    fn proxy_set_effective_context(context: u32) -> i32;
}

#[link(wasm_import_module = "wasi_snapshot_preview1")]
unsafe extern "C" {
    fn clock_time_get(clock: u32, precision: u64, time: *mut u64) -> u16;
    fn random_get(buffer: *mut u8, size: usize) -> u16;
}

unsafe extern "C" {
    fn __wasm_call_ctors();
}

/// Runs the static constructors, as a reactor module must in `_initialize`.
pub(super) fn construct_statics() {
    // SAFETY: called once, from `_initialize`, before anything else.
    unsafe { __wasm_call_ctors() }
}

fn check(status: i32) -> Result<(), Refused> {
    if status == 0 {
        Ok(())
    } else {
        Err(Refused(status))
    }
}

/// Takes over what the host allocated through this module's allocator.
///
/// # Safety
/// `data` and `size` must come from a host function that just returned Ok.
unsafe fn take(data: *mut u8, size: usize) -> Vec<u8> {
    if data.is_null() || size == 0 {
        return Vec::new();
    }
    // SAFETY: `proxy_on_memory_allocate` made it as a boxed slice of exactly `size` bytes and gave it away.
    unsafe { Vec::from_raw_parts(data, size, size) }
}

/// Logs a line; levels 0 (trace) to 5 (critical).
pub(super) fn log(level: u32, line: &str) {
    // SAFETY: the pointer is valid for the length.
    let _ = unsafe { proxy_log(level, line.as_ptr(), line.len()) };
}

/// The host's log level, 0 to 5.
pub(super) fn log_level() -> u32 {
    let mut level = 2;
    // SAFETY: the host writes one number.
    let _ = unsafe { proxy_get_log_level(&mut level) };
    level
}

/// Time of day in nanoseconds.
pub(super) fn wall_nanos() -> u64 {
    let mut nanos = 0;
    // SAFETY: the host writes one number.
    let _ = unsafe { proxy_get_current_time_nanoseconds(&mut nanos) };
    nanos
}

/// Monotonic time, the same clock for all VMs of the process.
pub(super) fn monotonic() -> Duration {
    let mut nanos = 0;
    // SAFETY: the host writes one number. Clock 1 is the monotonic one.
    let _ = unsafe { clock_time_get(1, 1, &mut nanos) };
    Duration::from_nanos(nanos)
}

/// A random number.
pub(super) fn random() -> u64 {
    let mut bytes = [0_u8; 8];
    // SAFETY: the host writes at most the given length.
    let _ = unsafe { random_get(bytes.as_mut_ptr(), bytes.len()) };
    u64::from_le_bytes(bytes)
}

/// Sets the tick of the root context; zero stops it.
pub(super) fn set_tick(period: Duration) {
    let millis = u32::try_from(period.as_millis()).unwrap_or(u32::MAX);
    // SAFETY: plain number.
    let _ = unsafe { proxy_set_tick_period_milliseconds(millis) };
}

/// At most `limit` bytes of a buffer, empty where it is not there.
pub(super) fn buffer_bytes(buffer: u32, limit: usize) -> Vec<u8> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes pointer and size of memory that it allocated here.
    match unsafe { proxy_get_buffer_bytes(buffer, 0, limit, &mut data, &mut size) } {
        // SAFETY: Ok was returned.
        0 => unsafe { take(data, size) },
        _ => Vec::new(),
    }
}

/// A header map, serialised; empty where it is not there.
pub(super) fn header_pairs(map: u32) -> Vec<u8> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: as above.
    match unsafe { proxy_get_header_map_pairs(map, &mut data, &mut size) } {
        // SAFETY: Ok was returned.
        0 => unsafe { take(data, size) },
        _ => Vec::new(),
    }
}

/// The first value of a header; `None` where it is not there.
pub(super) fn header(map: u32, name: &str) -> Option<Vec<u8>> {
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes pointer and size of memory that it allocated here.
    match unsafe {
        proxy_get_header_map_value(map, name.as_ptr(), name.len(), &mut data, &mut size)
    } {
        // SAFETY: Ok was returned.
        0 => Some(unsafe { take(data, size) }),
        _ => None,
    }
}

/// Replaces all values of a header by one.
pub(super) fn replace_header(map: u32, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the pointers are valid for their lengths.
    check(unsafe {
        proxy_replace_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Appends a header.
pub(super) fn add_header(map: u32, name: &[u8], value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the pointers are valid for their lengths.
    check(unsafe {
        proxy_add_header_map_value(map, name.as_ptr(), name.len(), value.as_ptr(), value.len())
    })
}

/// Removes a header.
pub(super) fn remove_header(map: u32, name: &[u8]) -> Result<(), Refused> {
    // SAFETY: the pointer is valid for its length.
    check(unsafe { proxy_remove_header_map_value(map, name.as_ptr(), name.len()) })
}

/// A property; its path is joined by NUL bytes.
pub(super) fn property(path: &[&str]) -> Option<Vec<u8>> {
    let joined = path.join("\0");
    let (mut data, mut size) = (std::ptr::null_mut(), 0);
    // SAFETY: the host writes pointer and size of memory that it allocated here.
    match unsafe { proxy_get_property(joined.as_ptr(), joined.len(), &mut data, &mut size) } {
        // SAFETY: Ok was returned.
        0 => Some(unsafe { take(data, size) }),
        _ => None,
    }
}

/// Writes filter state `wasm.<key>`.
pub(super) fn set_property(key: &str, value: &[u8]) -> Result<(), Refused> {
    // SAFETY: the pointers are valid for their lengths.
    check(unsafe { proxy_set_property(key.as_ptr(), key.len(), value.as_ptr(), value.len()) })
}

/// A shared value with its version.
pub(super) fn shared_data(key: &str) -> Option<(Vec<u8>, u32)> {
    let (mut data, mut size, mut cas) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the host writes pointer, size and version.
    match unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut size, &mut cas) }
    {
        // SAFETY: Ok was returned.
        0 => Some((unsafe { take(data, size) }, cas)),
        _ => None,
    }
}

/// Writes a shared value. `cas` zero writes whatever is there.
pub(super) fn set_shared_data(key: &str, value: &[u8], cas: u32) -> Result<(), Refused> {
    // SAFETY: the pointers are valid for their lengths.
    check(unsafe {
        proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas)
    })
}

/// Defines a metric: kind 0 counter, 1 gauge, 2 histogram.
pub(super) fn define_metric(kind: u32, name: &str) -> Result<u32, Refused> {
    let mut id = 0;
    // SAFETY: the host writes one number.
    check(unsafe { proxy_define_metric(kind, name.as_ptr(), name.len(), &mut id) }).map(|()| id)
}

/// Reads a counter or gauge, the value over all VMs.
pub(super) fn metric(id: u32) -> u64 {
    let mut value = 0;
    // SAFETY: the host writes one number.
    match unsafe { proxy_get_metric(id, &mut value) } {
        0 => value,
        _ => 0,
    }
}

/// Sets a gauge, observes in a histogram.
pub(super) fn record_metric(id: u32, value: u64) -> Result<(), Refused> {
    // SAFETY: plain numbers.
    check(unsafe { proxy_record_metric(id, value) })
}

/// Moves a counter (up only) or gauge.
pub(super) fn increment_metric(id: u32, amount: i64) -> Result<(), Refused> {
    // SAFETY: plain numbers.
    check(unsafe { proxy_increment_metric(id, amount) })
}

/// Sends a local reply; `headers` serialised.
pub(super) fn local_reply(
    status: u16,
    details: &str,
    body: &[u8],
    headers: &[u8],
    grpc_status: Option<u32>,
) -> Result<(), Refused> {
    let grpc = grpc_status
        .and_then(|status| i32::try_from(status).ok())
        .unwrap_or(-1);
    // SAFETY: the pointers are valid for their lengths.
    check(unsafe {
        proxy_send_local_response(
            u32::from(status),
            details.as_ptr(),
            details.len(),
            body.as_ptr(),
            body.len(),
            headers.as_ptr(),
            headers.len(),
            grpc,
        )
    })
}

/// Lets a paused request of another context go on.
pub(super) fn resume_request(context: u32) -> Result<(), Refused> {
    // SAFETY: plain numbers. Stream type 0 is the HTTP request.
    check(unsafe { proxy_set_effective_context(context) })?;
    // SAFETY: as above.
    check(unsafe { proxy_continue_stream(0) })
}

/// Makes a context the one that calls refer to.
pub(super) fn enter_context(context: u32) {
    // SAFETY: plain number.
    let _ = unsafe { proxy_set_effective_context(context) };
}
