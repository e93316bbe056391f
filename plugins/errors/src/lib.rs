//! `errors`: failed exchanges to Sentry, alerts to people, floods to nobody.
//!
//! 1. An exchange is a failure by its status, its gRPC code or its duration (`report`), unless `ignore` or a rule says
//!    otherwise. A client that left is none. The gateway's own calls are never looked at.
//! 2. A failure has a fingerprint: method, route template, status, flags; where a cluster cannot be reached, the cluster.
//! 3. Of each fingerprint the first `throttle.burst` events in a window are sent, over all workers; at its end one summary
//!    tells how many were held back.
//! 4. Events, transactions and client reports follow Sentry's SDK specification: filtered, bounded, rate limits shared by
//!    all workers, every loss counted in client reports and metrics alike.
//! 5. Alerts look at what all workers saw; a notice goes out once a proxy, has counts and route templates, no header value.
//! 6. Everything is sent from the root context on a tick: no exchange waits, none fails.
//! 7. In mode `report` nothing is sent; `would_…` counters tell what would be.
//!
//! `config.rs` reads the configuration, `settings.rs` checks it, `policy.rs` watches exchanges, `merge.rs` meets the other
//! workers, `sender.rs` and `desk.rs` send.

mod alert;
mod codec;
pub mod config;
mod desk;
mod dsn;
mod envelope;
mod event;
mod failure;
mod judged;
mod losses;
mod matcher;
mod merge;
mod metrics;
mod notice;
mod pending;
mod policy;
mod rate_limit;
mod rule;
mod scrub;
mod seen;
mod sender;
mod sentry;
mod settings;
pub mod status;
mod trace;
mod transaction;
mod user;
mod words;

pub use config::Config;
pub use policy::Errors;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<Errors>()
}

#[cfg(test)]
mod tests;
