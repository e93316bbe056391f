//! The nouns of a gateway policy.
//!
//! A policy is a plain Rust value that is told what happened and returns what to do. It makes no host call, reads no
//! clock and draws no random number, so it behaves the same in a unit test, in a simulation, in the emulator and in Envoy.
//!
//! Data walks one way:
//!
//! 1. **config**: bytes → [`config::load`] → a raw config ([`config::Decode`]) → [`Policy::new`] → a policy without invalid state;
//! 2. **request**: headers and attributes → [`RequestView`] → [`Policy::on_request`] → [`Verdict`] and header edits → host;
//! 3. **response**: headers → [`ResponseView`] → [`Policy::on_response`] → header edits → host;
//! 4. **end**: the outcome → [`EndView`] → [`Policy::on_end`] → [`Effects`] (samples, log lines, records) → host;
//! 5. **tick** and **answer**: [`Policy::on_tick`] and [`Policy::on_answer`] may also send call-outs, see [`RootContext`].
//!
//! Only the folder `host` names the proxy-wasm host, and it exists on `wasm32-wasip1` only.

// So that what derives `Decode` in here finds its way.
extern crate self as launchgate_sdk;

pub mod access;
pub mod attribute;
pub mod base64;
pub mod call;
pub mod call_config;
pub mod claim;
pub mod config;
pub mod cookie;
pub mod effects;
pub mod hash;
pub mod headers;
pub mod json;
pub mod json_tree;
pub mod last_words;
pub mod map;
pub mod member;
pub mod method;
pub mod metric;
pub mod notifier;
pub mod outbox;
pub mod path;
pub mod peer;
pub mod percent_encoding;
pub mod policy;
pub mod ports;
pub mod redact;
pub mod reply;
pub mod response_flags;
pub mod retry_after;
pub mod route;
pub mod scope;
pub mod secret;
pub mod time;
pub mod trace;
pub mod view;

#[macro_use]
mod compose;

#[cfg(not(target_family = "wasm"))]
pub mod describe;
#[cfg(not(target_family = "wasm"))]
pub mod fake;
#[cfg(not(target_family = "wasm"))]
pub mod fuzz;
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
pub mod host;

pub use access::{Access, AccessGuard};
pub use attribute::Attribute;
pub use call::{Answer, Call};
pub use call_config::{CallConfig, CallTarget};
pub use config::{ConfigErrors, Percent, Period, Rate};
pub use effects::{Effects, Level};
pub use headers::Headers;
pub use member::{Member, Module};
pub use metric::{Counter, Family, Gauge, Histogram, Registry};
pub use outbox::Outbox;
pub use peer::{Cidr, Peer};
pub use policy::{Phases, Policy, RootContext, Setup, StreamContext, Verdict};
pub use ports::{Lease, Ports, State};
pub use reply::Reply;
pub use scope::{Common, Mode, Scope};
pub use secret::Secret;
pub use time::{Now, Time, Timestamp};
pub use view::{EndView, RequestView, ResponseView};

/// Registers a policy (or, with `module`, a composition) as the module's own: the one line of a `module.rs`.
#[cfg(all(target_arch = "wasm32", target_os = "wasi"))]
#[macro_export]
macro_rules! register {
    (module $module:ty) => {
        #[unsafe(no_mangle)]
        extern "C" fn _initialize() {
            $crate::host::start::<$module>();
        }
    };
    ($policy:ty) => {
        $crate::register!(module $crate::Member<$policy>);
    };
}

/// Registers a policy (or, with `module`, a composition) as the module's own. Off the host there is nothing to register
/// with; the line only has to name a type that fits.
#[cfg(not(all(target_arch = "wasm32", target_os = "wasi")))]
#[macro_export]
macro_rules! register {
    (module $module:ty) => {
        const _: fn() = || {
            fn fits<M: $crate::Module>() {}
            fits::<$module>();
        };
    };
    ($policy:ty) => {
        $crate::register!(module $crate::Member<$policy>);
    };
}
