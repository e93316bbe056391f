//! Asks a module whether it takes a configuration: `envoy --mode validate` runs the module's `on_configure` and fails when it
//! says no.

use std::{collections::BTreeMap, net::SocketAddr, path::Path};

use launchgate_harness::envoy::{Bootstrap, Launch, Plugin};

/// Configures `module`; the reason when it refuses.
pub(crate) fn configure(
    module: &Path,
    config: &[u8],
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let mut plugin = Plugin::new("check", module);
    if !config.is_empty() {
        plugin = plugin.config_text(&String::from_utf8_lossy(config));
    }
    for (name, value) in environment {
        plugin = plugin.environment(name, value);
    }
    // The route of a gateway needs its cluster; nothing is ever sent there.
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let bootstrap = Bootstrap::gateway(&[plugin]).endpoint("app", nowhere);
    let launch = Launch::new(bootstrap).concurrency(1);
    let validation = launch.validate().map_err(|e| format!("{e:#}"))?;
    if validation.accepted {
        return Ok(());
    }
    let said = validation
        .log
        .iter()
        .find(|line| line.text.contains("wasm log"));
    let line = said
        .or(validation.log.last())
        .map_or("no reason given", |line| line.text.as_str());
    Err(line
        .split_once("wasm log")
        .map_or(line, |(_, said)| said)
        .trim()
        .to_owned())
}
