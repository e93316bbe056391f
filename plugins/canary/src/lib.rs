//! `canary`: releases that roll themselves back in the path.
//!
//! 1. **Who.** `never` rules, then `match` rules; everybody else by bucket: a keyed hash of rollout id and user key, modulo
//!    1,000,000, below the share of the stage. Every worker and every proxy gives the same answer; the 5 % are inside the 25 %.
//! 2. **When.** The stage is a pure function of wall time. It is never lowered by a clock, only by a rollback.
//! 3. **How.** One request header, written once, last: for header-match routes, `cluster_header` or a weighted cluster's
//!    `header_name`. The client's own header of that name never goes upstream, whatever state the rollout is in.
//! 4. **Judged** by the cluster that really served, as each response ends, over all workers: 5xx, slowness, surge.
//! 5. **Rolled back** within seconds, latched for this rollout id over workers and reloads, and with `fleet` over proxies.
//! 6. In mode `report` nothing changes; `launchgate_canary_would_…` counters tell.
//!
//! Data walks from `config.rs` (JSON) to `settings.rs` (checked); `policy.rs` decides with `rule.rs`, `identity.rs`, `schedule.rs`,
//! `rollout.rs` and tells by `steer.rs`; `outcome.rs` reads the end; `warden.rs` judges on ticks with `window.rs`, `judge.rs` and `bounds.rs`,
//! `polls.rs` asks `fleet.rs` and `hosts.rs` and tells the notifiers; `control.rs` and `operator.rs` are the operator's endpoint.

mod bounds;
mod cache_control;
mod config;
mod control;
mod fleet;
mod hosts;
mod identity;
mod judge;
mod metrics;
mod number;
mod operator;
mod outcome;
mod policy;
mod polls;
mod rollout;
mod rule;
mod schedule;
mod settings;
mod steer;
mod warden;
mod window;

pub use config::Config;
pub use policy::Canary;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<Canary>()
}
