//! `template`: the smallest plugin, to copy.
//!
//! 1. Every response gets the header `header` with the value `value`; one that the upstream set stays.
//! 2. In mode `report` nothing changes and `launchgate_template_would_add_total` counts.
//!
//! The rule stands here, in numbered steps; `config.rs` reads the configuration, `policy.rs` decides, `module.rs` registers.

mod config;
mod policy;

pub use config::Config;
pub use policy::Template;

/// What this plugin is, for tools.
#[cfg(not(target_family = "wasm"))]
pub fn describe() -> launchgate_sdk::describe::Description {
    launchgate_sdk::describe::Description::of::<Template>()
}
