//! `health`: answers the health paths at the gateway, from the state of the dependencies behind it.
//!
//! 1. `GET` and `HEAD` of a configured path are answered here, everything else passes untouched. A path matches exactly, its
//!    query aside; another method of a health path is 405.
//! 2. **live** is 200 whenever this gateway and plugin run: a dependency that is down is no reason to restart anything.
//! 3. **ready** looks at the dependencies. One that is required and `unavailable` makes the service `unhealthy` (503); one
//!    that is optional makes it `degraded` (200). `<ready path>/<name>` asks for one dependency.
//! 4. **startup** is 503 until every required dependency was checked once, whatever came of it, and 200 from then on.
//! 5. Checks run in the background. One worker per proxy makes each check: the claim on the next one is part of the
//!    dependency's record in shared state, and the worker that made the last check is preferred (`record.rs`). All workers
//!    answer from that record, without a call-out.
//! 6. The first result counts at once; from then on it takes `failure_threshold` failures or `success_threshold` successes
//!    in a row to change a state.
//! 7. Not yet checked means `unknown`: live 200, ready and startup 503. A result older than `max_age` means `unknown` too,
//!    and `on_stale` decides. `on_total_failure` decides when all required dependencies (two or more) are out together.
//! 8. **drain**: while it is on, readiness is 503 and liveness stays 200.
//! 9. In mode `report` the checks run and `would_reply` counts, but every request passes.
//!
//! Models: the health endpoints of Kubernetes' API server (verbose form, exclusion), MicroProfile Health (nothing checked
//! yet), Spring Boot Actuator (details for the entitled only) and Envoy's health check filter (drain, share of hosts).

mod answer;
mod check;
mod clusters;
mod config;
mod dependency;
mod drain;
mod endpoint;
mod grpc;
mod metrics;
mod policy;
mod query;
mod record;
mod report;
mod settings;
mod text;
mod watch;

pub use config::Config;
pub use policy::Health;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<Health>()
}
