//! A filter that does nothing, on proxy-wasm alone: what every cost in `docs/benchmarks.md` is compared with.

#![cfg_attr(
    not(all(target_arch = "wasm32", target_os = "wasi")),
    allow(unused, reason = "there is nothing to register with")
)]

#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
mod filter {
    use proxy_wasm::traits::{Context, HttpContext, RootContext};
    use proxy_wasm::types::ContextType;

    struct Empty;

    impl Context for Empty {}
    impl HttpContext for Empty {}
    impl RootContext for Empty {
        fn create_http_context(&self, _: u32) -> Option<Box<dyn HttpContext>> {
            Some(Box::new(Empty))
        }

        fn get_type(&self) -> Option<ContextType> {
            Some(ContextType::HttpContext)
        }
    }

    proxy_wasm::main! {{
        proxy_wasm::set_root_context(|_| Box::new(Empty));
    }}
}
