//! A proxy-wasm host in virtual time, held to what Envoy 1.40 does.
//!
//! ```text
//! gateway   threads (main, workers), start, requests, time      scenario_host  runs scenarios on a gateway
//!   thread    VMs and plugins of a thread, failure policies       chain          what each filter is shown, and when
//!     guest     one VM: calls into it, traps, fuel                  router         routes and upstreams, the client's end
//!       abi/*     host calls, a family a file                       exchange       one exchange and its filters
//! world     time, stats, shared data, clusters, the record
//! ```

mod abi;
mod attribute;
mod cel_value;
mod chain;
mod choices;
mod clock;
mod cluster;
mod connection;
mod context;
mod datum;
mod exchange;
mod expression;
mod flaw;
mod gateway;
mod guest;
mod header_map;
mod identifier;
mod linker;
mod memory;
mod module;
mod phases;
mod plugin;
mod protobuf;
mod router;
mod scenario_host;
mod shared;
mod stats;
mod status;
mod tcp;
mod thread;
mod wasi;
mod world;

pub use choices::Choices;
pub use exchange::LocalReply;
pub use flaw::Flaw;
pub use module::{Module, ModuleError};
pub use phases::{Phase, PhaseHost, PhaseOutcome};
pub use scenario_host::{EmulatorHost, Modules};
