//! Asks a module whether it takes a configuration: `envoy --mode validate` runs the module's `on_configure` and fails when it
//! says no.

use std::{collections::BTreeMap, fs, path::Path, process::Command};

use serde_json::json;

/// Configures `module`; the reason when it refuses.
pub(crate) fn configure(
    module: &Path,
    config: &[u8],
    environment: &BTreeMap<String, String>,
) -> Result<(), String> {
    let envoy = std::env::var("ENVOY").map_err(|_| "no Envoy: set ENVOY".to_owned())?;
    let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
    let file = folder.path().join("bootstrap.json");
    let bootstrap = bootstrap(module, &String::from_utf8_lossy(config), environment);
    fs::write(&file, bootstrap.to_string()).map_err(|e| e.to_string())?;
    let output = Command::new(&envoy)
        .args(["--mode", "validate", "--log-level", "warn", "-c"])
        .arg(&file)
        .output()
        .map_err(|e| format!("{envoy}: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let log = String::from_utf8_lossy(&output.stderr);
    let line = log
        .lines()
        .find(|l| l.contains("wasm log"))
        .or_else(|| log.lines().last())
        .unwrap_or("no reason given");
    Err(line
        .split("wasm log")
        .last()
        .unwrap_or(line)
        .trim()
        .to_owned())
}

fn bootstrap(
    module: &Path,
    config: &str,
    environment: &BTreeMap<String, String>,
) -> serde_json::Value {
    let mut plugin = json!({
        "name": "check", "root_id": "check",
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": {"local": {"filename": module}}},
    });
    if !environment.is_empty() {
        plugin["vm_config"]["environment_variables"] = json!({"key_values": environment});
    }
    if !config.is_empty() {
        plugin["configuration"] =
            json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": config});
    }
    json!({"static_resources": {"listeners": [{
        "name": "check",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
            "stat_prefix": "check",
            "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "direct_response": {"status": 200}}]}]},
            "http_filters": [
                {"name": "check", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": plugin}},
                {"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}},
            ],
        }}]}],
    }]}})
}
