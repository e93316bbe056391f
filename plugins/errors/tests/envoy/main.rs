//! The built module in the real Envoy: against a strict receiver of envelopes, and against a real Sentry-compatible server.
//! Needs `make build` and `make deps`; the death of a VM needs `make probes`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "a test stops at the first surprise, and a real Envoy runs in real time"
)]

mod alerts;
mod bugsink;
mod death;
mod delivery;
mod flood;
mod gateway;
mod ingestion;
mod receiver;
mod secrets;
