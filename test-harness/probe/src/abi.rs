//! The functions of module `env`, as a host offers them. No SDK stands between, so that each status is seen as it is.

#![allow(missing_docs, reason = "named in the proxy-wasm specification")]

pub type Ptr = *const u8;
pub type Out<T> = *mut T;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    pub fn proxy_log(level: u32, message: Ptr, size: usize) -> u32;
    pub fn proxy_get_log_level(level: Out<u32>) -> u32;
    pub fn proxy_get_current_time_nanoseconds(time: Out<u64>) -> u32;
    pub fn proxy_set_tick_period_milliseconds(period: u32) -> u32;
    pub fn proxy_get_buffer_bytes(
        kind: u32,
        start: u32,
        max: u32,
        data: Out<Ptr>,
        size: Out<usize>,
    ) -> u32;
    pub fn proxy_set_buffer_bytes(
        kind: u32,
        start: u32,
        length: u32,
        data: Ptr,
        size: usize,
    ) -> u32;
    pub fn proxy_get_buffer_status(kind: u32, size: Out<u32>, flags: Out<u32>) -> u32;
    pub fn proxy_get_header_map_size(map: u32, size: Out<u32>) -> u32;
    pub fn proxy_get_header_map_pairs(map: u32, data: Out<Ptr>, size: Out<usize>) -> u32;
    pub fn proxy_set_header_map_pairs(map: u32, data: Ptr, size: usize) -> u32;
    pub fn proxy_get_header_map_value(
        map: u32,
        key: Ptr,
        key_size: usize,
        data: Out<Ptr>,
        size: Out<usize>,
    ) -> u32;
    pub fn proxy_add_header_map_value(
        map: u32,
        key: Ptr,
        key_size: usize,
        value: Ptr,
        value_size: usize,
    ) -> u32;
    pub fn proxy_replace_header_map_value(
        map: u32,
        key: Ptr,
        key_size: usize,
        value: Ptr,
        value_size: usize,
    ) -> u32;
    pub fn proxy_remove_header_map_value(map: u32, key: Ptr, key_size: usize) -> u32;
    pub fn proxy_continue_stream(kind: u32) -> u32;
    pub fn proxy_close_stream(kind: u32) -> u32;
    pub fn proxy_send_local_response(
        code: u32,
        details: Ptr,
        details_size: usize,
        body: Ptr,
        body_size: usize,
        headers: Ptr,
        headers_size: usize,
        grpc: i32,
    ) -> u32;
    pub fn proxy_get_status(code: Out<u32>, data: Out<Ptr>, size: Out<usize>) -> u32;
    pub fn proxy_http_call(
        cluster: Ptr,
        cluster_size: usize,
        headers: Ptr,
        headers_size: usize,
        body: Ptr,
        body_size: usize,
        trailers: Ptr,
        trailers_size: usize,
        timeout: u32,
        token: Out<u32>,
    ) -> u32;
    pub fn proxy_grpc_call(
        target: Ptr,
        target_size: usize,
        service: Ptr,
        service_size: usize,
        method: Ptr,
        method_size: usize,
        metadata: Ptr,
        metadata_size: usize,
        message: Ptr,
        message_size: usize,
        timeout: u32,
        token: Out<u32>,
    ) -> u32;
    pub fn proxy_grpc_stream(
        target: Ptr,
        target_size: usize,
        service: Ptr,
        service_size: usize,
        method: Ptr,
        method_size: usize,
        metadata: Ptr,
        metadata_size: usize,
        token: Out<u32>,
    ) -> u32;
    pub fn proxy_grpc_send(token: u32, message: Ptr, size: usize, end: u32) -> u32;
    pub fn proxy_grpc_cancel(token: u32) -> u32;
    pub fn proxy_grpc_close(token: u32) -> u32;
    pub fn proxy_set_shared_data(
        key: Ptr,
        key_size: usize,
        value: Ptr,
        size: usize,
        cas: u32,
    ) -> u32;
    pub fn proxy_get_shared_data(
        key: Ptr,
        key_size: usize,
        data: Out<Ptr>,
        size: Out<usize>,
        cas: Out<u32>,
    ) -> u32;
    pub fn proxy_register_shared_queue(name: Ptr, size: usize, id: Out<u32>) -> u32;
    pub fn proxy_resolve_shared_queue(
        vm: Ptr,
        vm_size: usize,
        name: Ptr,
        size: usize,
        id: Out<u32>,
    ) -> u32;
    pub fn proxy_enqueue_shared_queue(id: u32, data: Ptr, size: usize) -> u32;
    pub fn proxy_dequeue_shared_queue(id: u32, data: Out<Ptr>, size: Out<usize>) -> u32;
    pub fn proxy_define_metric(kind: u32, name: Ptr, size: usize, id: Out<u32>) -> u32;
    pub fn proxy_increment_metric(id: u32, by: i64) -> u32;
    pub fn proxy_record_metric(id: u32, value: u64) -> u32;
    pub fn proxy_get_metric(id: u32, value: Out<u64>) -> u32;
    pub fn proxy_get_property(path: Ptr, path_size: usize, data: Out<Ptr>, size: Out<usize>)
    -> u32;
    pub fn proxy_set_property(path: Ptr, path_size: usize, value: Ptr, size: usize) -> u32;
    pub fn proxy_call_foreign_function(
        name: Ptr,
        name_size: usize,
        argument: Ptr,
        argument_size: usize,
        data: Out<Ptr>,
        size: Out<usize>,
    ) -> u32;
    pub fn proxy_set_effective_context(context: u32) -> u32;
    pub fn proxy_done() -> u32;
}
