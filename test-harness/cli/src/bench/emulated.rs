//! Instructions and host calls of an exchange, counted by the emulator: the same on every machine.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use launchgate_harness::emulator::Modules;
use launchgate_harness::envoy::workspace;
use launchgate_harness::scenario::{ScenarioFile, host::Cost, run::emulate};
use serde_json::{Value, json};

use super::variant::{Filter, Variant};

/// What an exchange takes, over all plugins of a variant.
pub(crate) struct Emulated {
    /// Name of the variant.
    pub(crate) name: String,
    /// WebAssembly instructions.
    pub(crate) instructions: u64,
    /// Host calls.
    pub(crate) host_calls: u64,
    /// Host calls by name.
    pub(crate) calls: BTreeMap<&'static str, u64>,
    /// Bytes copied between guest and host.
    pub(crate) bytes: u64,
}

/// Callbacks that belong to an exchange.
const OF_AN_EXCHANGE: [&str; 6] = [
    "on_context_create",
    "on_request_headers",
    "on_response_headers",
    "on_done",
    "on_log",
    "on_delete",
];

/// Counts the second exchange of each variant that has plugins only: the first one defines metrics.
pub(crate) fn measure(variants: &[Variant]) -> Result<Vec<Emulated>> {
    let modules = Modules::new(workspace().join("dist"));
    variants
        .iter()
        .filter_map(|variant| Some((variant, plugins(variant)?)))
        .map(|(variant, plugins)| {
            count(variant, plugins, &modules).with_context(|| variant.name.clone())
        })
        .collect()
}

/// As a scenario names them; `None` where one is no plugin.
fn plugins(variant: &Variant) -> Option<Vec<Value>> {
    let plugins: Option<Vec<Value>> = variant
        .filters
        .iter()
        .map(|filter| match filter {
            Filter::Wasm(plugin) => {
                let config: Value =
                    serde_json::from_str(plugin.config.as_deref().unwrap_or("null")).ok()?;
                Some(json!({"plugin": plugin.module, "name": plugin.name, "config": config}))
            }
            Filter::Native(_) => None,
        })
        .collect();
    plugins.filter(|plugins| !plugins.is_empty())
}

fn count(variant: &Variant, plugins: Vec<Value>, modules: &Modules) -> Result<Emulated> {
    let mut request = json!({"headers": {}});
    for (name, value) in &variant.headers {
        request["headers"][name] = json!(value);
    }
    request["path"] = json!(variant.path);
    request["authority"] = json!("shop.example.org");
    let fails = if variant.path == "/fails" { 500 } else { 200 };
    request["upstream"] =
        json!({"status": fails, "headers": {"x-powered-by": "service"}, "body": "ok\n"});
    let scenario = json!({
        "plugins": plugins,
        "workers": [1],
        "clusters": {"app": {}, "sentry": {}},
        "allow": {"callouts": ["sentry"], "logs": [".*"]},
        "cases": [{"name": "two exchanges", "steps": [{"request": request}, {"request": request}]}],
    });
    let file = ScenarioFile::parse(Path::new("bench.yaml"), &scenario.to_string())?;
    let results = emulate(&file, modules);
    let result = results.first().context("no result")?;
    ensure!(result.passed(), "{:?}", result.faults);
    let mut last: BTreeMap<(&str, &str), &Cost> = BTreeMap::new();
    for cost in result
        .costs
        .iter()
        .filter(|cost| OF_AN_EXCHANGE.contains(&cost.callback))
    {
        let key = (cost.plugin.as_str(), cost.callback);
        last.insert(key, cost);
    }
    let sum = |part: fn(&Cost) -> u64| last.values().map(|cost| part(cost)).sum();
    let mut calls = BTreeMap::new();
    for (name, count) in last.values().flat_map(|cost| &cost.calls) {
        *calls.entry(*name).or_default() += count;
    }
    Ok(Emulated {
        name: variant.name.clone(),
        instructions: sum(|cost| cost.instructions),
        host_calls: sum(|cost| cost.host_calls),
        calls,
        bytes: sum(|cost| cost.bytes),
    })
}
