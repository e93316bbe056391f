//! The built module in the real Envoy, two workers. Needs `make build` and `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

mod fallback;
mod fleet;
mod gateway;
mod judging;
mod operating;
mod prometheus;
mod steering;
mod traffic;
