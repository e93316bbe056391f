//! A plugin as the chain has it: name, ids, configuration, policy.

use std::time::Duration;

use serde_json::Value;

use crate::scenario::schema::{FailurePolicy, Plugin};

/// A plugin's settings in one version of its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginInfo {
    /// Name in Envoy's config.
    pub name: String,
    /// Root id.
    pub root_id: String,
    /// VM id.
    pub vm_id: String,
    /// Plugin configuration, as bytes.
    pub config: Vec<u8>,
    /// VM configuration, as bytes.
    pub vm_config: Vec<u8>,
    /// What happens once the VM is dead.
    pub policy: FailurePolicy,
    /// Base of the reload back-off.
    pub backoff: Duration,
    /// Whether a pause in a header callback lets body callbacks run.
    pub stop_iteration: bool,
}

impl PluginInfo {
    /// From a scenario.
    pub fn new(plugin: &Plugin) -> Self {
        PluginInfo {
            name: plugin
                .name
                .clone()
                .unwrap_or_else(|| base_name(&plugin.plugin)),
            root_id: plugin.root_id.clone(),
            vm_id: plugin.vm_id.clone(),
            config: config_bytes(plugin.config.as_ref()),
            vm_config: config_bytes(plugin.vm_config.as_ref()),
            policy: plugin.failure_policy,
            backoff: plugin
                .reload_backoff
                .map_or(Duration::from_secs(1), |span| span.0),
            stop_iteration: plugin.allow_on_headers_stop_iteration,
        }
    }
}

/// A string as it is, anything else as JSON, nothing as nothing.
pub fn config_bytes(config: Option<&Value>) -> Vec<u8> {
    match config {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::String(text)) => text.clone().into_bytes(),
        Some(other) => other.to_string().into_bytes(),
    }
}

fn base_name(plugin: &str) -> String {
    let file = plugin.rsplit('/').next().unwrap_or(plugin);
    file.rsplit_once('.')
        .map_or(file, |(stem, _)| stem)
        .to_owned()
}
