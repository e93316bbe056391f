//! The real Envoy, as a library for tests: start it on free ports, talk to it, script what stands behind it, stop it.
//!
//! 1. **Binary.** [`Binary::locate`] takes `ENVOY=` or what `make deps` left in `.tools/`; there is no third place.
//! 2. **Bootstrap.** A shipped bootstrap listens on fixed ports and names modules by path. [`Bootstrap`] rewrites listeners
//!    to port 0 (the real ports are read from the admin interface afterwards), the admin interface to a socket file, cluster
//!    endpoints to scripted upstreams and `*.wasm` paths to given files. No port is guessed, so tests run in parallel.
//! 3. **Process.** [`Envoy::start`] waits for `/ready` with a time limit and notices an early death with its last log lines.
//!    Dropping it stops the process: SIGTERM first, then a kill.
//! 4. **Upstreams.** [`Upstream`] answers by script over HTTP/1.1 or HTTP/2 (gRPC trailers too), refuses, hangs, resets, and
//!    records every request as the bytes that arrived.
//! 5. **Clients.** [`Connection`] sends any bytes over plain TCP or TLS; [`Admin`] reads stats, listeners and clusters.
//! 6. **Death.** [`Mortal`] makes a built module trap at a value that the test sends.
//!
//! The API blocks, so that a test is a plain `#[test]`; only the upstreams run on a small runtime of their own.

mod admin;
mod binary;
mod bootstrap;
mod built;
mod certificate;
mod client;
mod foreground;
mod log;
mod message;
mod mortal;
mod process;
mod runtime;
pub mod scenario;
mod upstream;

pub use admin::{Admin, Stats};
pub use binary::Binary;
pub use bootstrap::{Bootstrap, InvalidBootstrap, Plugin};
pub use built::{built_module, workspace};
pub use certificate::{Authority, Identity, write_shipped_certificates};
pub use client::{Connection, TlsClient, get, send};
pub use log::LogLine;
pub use message::{Request, Response};
pub use mortal::Mortal;
pub use process::{Envoy, Launch, Validation};
pub use upstream::{Answer, Protocol, Received, Reply, Upstream};
