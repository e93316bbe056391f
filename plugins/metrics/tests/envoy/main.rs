//! The built module in the real Envoy: nothing is lost, doubled or forged. Needs `make build` and `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

mod death;
mod gateway;
mod hostile;
mod identity;
mod ways_out;
