//! `metrics`: RED metrics that cannot hurt.
//!
//! 1. Every exchange is counted exactly once, when it ends: in a counter and in one duration histogram. That holds for
//!    replies of the gateway, 404 without a route, codec errors, time-outs, retries (one request) and clients that leave.
//! 2. Labels come from a fixed vocabulary, a route from a template or from Envoy's route name, never from a raw path; custom
//!    labels from a header with a list of values or a cap on them.
//! 3. A proxy has at most `max_series` label sets, all workers together; what comes later is counted in one series whose
//!    labels are `_OVERFLOW`.
//! 4. Two ways out with the same numbers, never to be summed: Envoy's stats, and an exposition of the plugin's own
//!    (OpenMetrics 1.0 or Prometheus text) with exact sums and exemplars. OTLP push is a third.
//! 5. The own numbers are kept by each worker and written to shared state once a second, see `ledger.rs`: a worker that traps
//!    loses at most what it counted since its last write. What a scrape has shown never goes back.
//! 6. Streams (upgrades, CONNECT, event streams) have a duration histogram of their own.
//! 7. Objectives are counted as events and bad events for each route; `launchgate generate telemetry` writes rules, alerts,
//!    their tests, dashboard and tags from the same [`Settings`].

mod accept;
mod admission;
mod cell;
mod config;
mod exposition;
pub mod families;
mod flags;
mod ledger;
mod objectives;
mod otlp;
mod outcome;
mod part;
mod policy;
mod recorder;
mod series;
mod settings;
mod slo;
#[cfg(test)]
mod tests;
mod wire;

pub use config::{Config, CustomLabel, Endpoint, Extra, Label, Latency, Otlp, Slo};
pub use policy::Metrics;
pub use settings::{Custom, Push, Settings};
pub use slo::Objective;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<Metrics>()
}
