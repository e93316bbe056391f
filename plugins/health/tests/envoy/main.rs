//! The built module in the real Envoy. Needs `make build` and `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

mod checks;
mod config;
mod endpoints;
mod gateway;
mod servers;
mod takeover;
