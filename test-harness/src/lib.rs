//! A test harness for proxy-wasm plugins: scenarios, and the hosts that run them.
//!
//! - [`scenario`]: the language, and the check of what happened against what was expected
//! - [`emulator`]: a proxy-wasm host on wasmtime in virtual time, held to what Envoy does
//! - [`envoy`]: a runner for the real Envoy
//! - [`bugsink`]: a Sentry-compatible server, for those who send it something
//! - [`phase_suite`]: a foreign form of tests, run as it is

pub mod bugsink;
pub mod emulator;
pub mod envoy;
pub mod phase_suite;
pub mod scenario;
