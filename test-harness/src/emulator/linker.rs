//! The 39 functions of ABI 0.2.1 in module `env`, and the few of Emscripten that Envoy offers beside them.

use wasmtime::{Caller, Linker};

use super::abi::{
    buffers, calls, foreign, grpc, headers, lifecycle, logging, metrics, properties, queues,
    shared_data, streams, timers,
};
use super::guest::VmState;
use super::memory::enter;

macro_rules! host_functions {
    ($( $name:literal => $path:path [ $($arg:ident : $ty:ty),* ]; )*) => {
        /// All names in module `env`.
        pub const NAMES: &[&str] = &[$($name,)* "pthread_equal", "emscripten_notify_memory_growth", "envoy_resolve_dns"];

        /// Defines them.
        pub fn define(linker: &mut Linker<VmState>) -> wasmtime::Result<()> {
            $( linker.func_wrap("env", $name, |caller: Caller<'_, VmState>, $($arg: $ty),*| -> wasmtime::Result<i32> {
                enter(caller, $name, |cx| $path(cx, $($arg),*))
            })?; )*
            linker.func_wrap("env", "pthread_equal", |_: Caller<'_, VmState>, a: u32, b: u32| -> i32 { i32::from(a == b) })?;
            linker.func_wrap("env", "emscripten_notify_memory_growth", |_: Caller<'_, VmState>, _index: u32| {})?;
            linker.func_wrap("env", "envoy_resolve_dns", |caller: Caller<'_, VmState>, name: u32, size: u32, token: u32| {
                enter(caller, "envoy_resolve_dns", |cx| lifecycle::resolve_dns(cx, name, size, token))
            })?;
            Ok(())
        }
    };
}

host_functions! {
    "proxy_log" => logging::log[level: u32, ptr: u32, len: u32];
    "proxy_get_log_level" => logging::get_log_level[out: u32];
    "proxy_get_current_time_nanoseconds" => timers::get_current_time[out: u32];
    "proxy_set_tick_period_milliseconds" => timers::set_tick_period[period: u32];
    "proxy_get_buffer_bytes" => buffers::get[kind: u32, start: u32, max: u32, ptr: u32, len: u32];
    "proxy_set_buffer_bytes" => buffers::set[kind: u32, start: u32, size: u32, ptr: u32, len: u32];
    "proxy_get_buffer_status" => buffers::status[kind: u32, size: u32, flags: u32];
    "proxy_get_header_map_size" => headers::size[map: u32, out: u32];
    "proxy_get_header_map_pairs" => headers::pairs[map: u32, ptr: u32, len: u32];
    "proxy_set_header_map_pairs" => headers::set_pairs[map: u32, ptr: u32, len: u32];
    "proxy_get_header_map_value" => headers::get[map: u32, key: u32, key_len: u32, ptr: u32, len: u32];
    "proxy_add_header_map_value" => headers::add[map: u32, key: u32, key_len: u32, value: u32, value_len: u32];
    "proxy_replace_header_map_value" => headers::replace[map: u32, key: u32, key_len: u32, value: u32, value_len: u32];
    "proxy_remove_header_map_value" => headers::remove[map: u32, key: u32, key_len: u32];
    "proxy_continue_stream" => streams::continue_stream[kind: u32];
    "proxy_close_stream" => streams::close_stream[kind: u32];
    "proxy_send_local_response" => streams::send_local_response[
        code: u32, details: u32, details_len: u32, body: u32, body_len: u32, pairs: u32, pairs_len: u32, grpc: i32
    ];
    "proxy_get_status" => calls::get_status[code: u32, ptr: u32, len: u32];
    "proxy_http_call" => calls::http_call[
        cluster: u32, cluster_len: u32, pairs: u32, pairs_len: u32, body: u32, body_len: u32,
        trailers: u32, trailers_len: u32, timeout: u32, token: u32
    ];
    "proxy_grpc_call" => grpc::call[
        service: u32, service_len: u32, name: u32, name_len: u32, method: u32, method_len: u32,
        metadata: u32, metadata_len: u32, message: u32, message_len: u32, timeout: u32, token: u32
    ];
    "proxy_grpc_stream" => grpc::stream[
        service: u32, service_len: u32, name: u32, name_len: u32, method: u32, method_len: u32,
        metadata: u32, metadata_len: u32, token: u32
    ];
    "proxy_grpc_send" => grpc::send[token: u32, message: u32, message_len: u32, end: u32];
    "proxy_grpc_cancel" => grpc::cancel[token: u32];
    "proxy_grpc_close" => grpc::close[token: u32];
    "proxy_set_shared_data" => shared_data::set[key: u32, key_len: u32, value: u32, value_len: u32, cas: u32];
    "proxy_get_shared_data" => shared_data::get[key: u32, key_len: u32, ptr: u32, len: u32, cas: u32];
    "proxy_register_shared_queue" => queues::register[name: u32, name_len: u32, id: u32];
    "proxy_resolve_shared_queue" => queues::resolve[vm: u32, vm_len: u32, name: u32, name_len: u32, id: u32];
    "proxy_enqueue_shared_queue" => queues::enqueue[id: u32, ptr: u32, len: u32];
    "proxy_dequeue_shared_queue" => queues::dequeue[id: u32, ptr: u32, len: u32];
    "proxy_define_metric" => metrics::define[kind: u32, name: u32, name_len: u32, id: u32];
    "proxy_increment_metric" => metrics::increment[id: u32, by: i64];
    "proxy_record_metric" => metrics::record[id: u32, value: u64];
    "proxy_get_metric" => metrics::get[id: u32, out: u32];
    "proxy_get_property" => properties::get[path: u32, path_len: u32, ptr: u32, len: u32];
    "proxy_set_property" => properties::set[path: u32, path_len: u32, value: u32, value_len: u32];
    "proxy_call_foreign_function" => foreign::call[name: u32, name_len: u32, args: u32, args_len: u32, ptr: u32, len: u32];
    "proxy_set_effective_context" => lifecycle::set_effective_context[context: u32];
    "proxy_done" => lifecycle::done[];
}
