//! Scenarios: what is done to a gateway with plugins, and what must come of it.
//!
//! `schema`, `step` and `expect` are the file's types, `load` turns a file into cases, `host` is the port to whatever
//! runs them, `check` compares what happened with what was expected. The language is described in `docs/scenarios.md`.

pub mod check;
pub mod expect;
pub mod fuzz;
pub mod host;
pub mod json;
pub mod load;
pub mod matcher;
pub mod run;
pub mod schema;
pub mod stat_name;
pub mod step;
pub mod text;

pub use host::{Observed, ScenarioHost};
pub use load::{LoadError, ScenarioFile};

/// The JSON Schema of scenario files, for editors.
pub fn json_schema() -> serde_json::Value {
    schemars::schema_for!(schema::Scenario).into()
}
