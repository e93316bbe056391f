//! `access-log`: one clean, redacted JSON record per exchange.
//!
//! 1. **Capture.** At the request the headers that a record needs are kept as the client sent them; later filters may
//!    change them. An exchange that never reached the filters (a codec error) is recorded from what Envoy knows at its end.
//! 2. **Record.** At the end of the exchange one [`record::Record`] is made: level, message, trace, user, and the fields
//!    of the model. Every value is redacted before anything is cut.
//! 3. **Keep or not.** Every error and every slow exchange is kept; the rest is sampled by trace id, so that all gateways
//!    keep the same traces. Of a storm of equal errors only the first are written; a summary line counts the others.
//! 4. **Render.** As `launchgate`, `ecs` or `otlp`: one line of JSON, with a stable key order, no nulls, no type that
//!    changes, at most `max_line_bytes` long; what was cut is named in `truncated`.
//! 5. **Out.** To filter state, which Envoy's own file access logger prints as it is, and to sinks (`otlp`, `ndjson`)
//!    in batches, each behind a bounded queue whose drops are counted.
//! 6. In mode `report` nothing is written; `launchgate_access_log_would_write_total` counts.

mod budget;
mod capture;
mod config;
mod field;
mod metrics;
mod name;
mod observe;
mod policy;
mod record;
mod render;
mod sampling;
mod setup;
mod sink;
mod sink_config;
mod storm;
mod template;
mod writer;

pub use config::Config;
pub use policy::AccessLog;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<AccessLog>()
}
