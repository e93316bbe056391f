//! `suite`: all policies in one module.
//!
//! 1. Each section of the configuration is the configuration of one policy; an absent section is off.
//! 2. Requests pass metrics, access-log, errors, tls, health, canary; responses the reverse; the end is told to all, in
//!    order. After a reply only the policies up to the one that replied see the response: as in a chain of six filters.
//! 3. All share one view: one snapshot of the headers, each attribute read once, changed headers written once each.
//! 4. `mode`, `scope` and `trust_envoy_xff` of the whole hold for every policy beside its own.

use launchgate_access_log::AccessLog;
use launchgate_canary::Canary;
use launchgate_errors::Errors;
use launchgate_health::Health;
use launchgate_metrics::Metrics;
use launchgate_tls::Tls;

launchgate_sdk::compose! {
    /// The six policies, in the order of the design: observers first, since a filter behind one that replies sees nothing.
    pub struct Suite("suite") {
        metrics: Metrics,
        access_log: AccessLog,
        errors: Errors,
        tls: Tls,
        health: Health,
        canary: Canary,
    }
}

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    let parts = [
        launchgate_metrics::describe(),
        launchgate_access_log::describe(),
        launchgate_errors::describe(),
        launchgate_tls::describe(),
        launchgate_health::describe(),
        launchgate_canary::describe(),
    ];
    launchgate_sdk::describe::Description::composed(
        "suite",
        env!("CARGO_PKG_VERSION"),
        Suite::SECTIONS,
        &parts,
    )
}
