//! What Envoy's admin interface tells: the configuration as it is in force, and the statistics.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;

use super::{Http, await_value};
use crate::{
    image::layer::hex,
    preflight::{
        exposition,
        facts::{Admin, Loaded},
    },
};

const PLUGINS: &[&str] = &[
    "health",
    "metrics",
    "errors",
    "canary",
    "tls",
    "access-log",
    "suite",
];

pub(super) fn gather(http: &Http, url: &str) -> anyhow::Result<Admin> {
    let dump = http.get_json(url, "/config_dump?include_eds")?;
    let mut plugins = BTreeMap::new();
    find_plugins(&dump, &mut plugins);
    let samples = exposition::parse(&http.get(url, "/stats/prometheus")?);
    let mut admin = Admin {
        plugins: plugins.into_values().collect(),
        address: admin_address(&dump),
        dump,
        samples,
        checks: (0, 0),
    };
    let checks = checks(&admin);
    admin.checks = (checks, checks);
    Ok(admin)
}

/// Reads the statistics again; where dependencies are checked actively, once a check was made.
pub(super) fn finish(http: &Http, url: &str, admin: &mut Admin) -> anyhow::Result<()> {
    let waits = admin.policy("health").is_ok_and(|h| {
        h["dependencies"]
            .as_array()
            .into_iter()
            .flatten()
            .any(|d| d["kind"] != "passive")
    });
    await_value(|| {
        admin.samples = exposition::parse(&http.get(url, "/stats/prometheus")?);
        admin.checks.1 = checks(admin);
        Ok((!waits || admin.checks.1 > admin.checks.0).then_some(()))
    })?;
    Ok(())
}

fn checks(admin: &Admin) -> u64 {
    admin.sum("launchgate_health_checks_total") as u64
}

/// `127.0.0.1:9901`, or the path of a socket file.
fn admin_address(dump: &Value) -> Option<String> {
    let configs = dump["configs"].as_array()?;
    let address = configs
        .iter()
        .map(|c| &c["bootstrap"]["admin"]["address"])
        .find(|a| a.is_object())?;
    let socket = &address["socket_address"];
    match address["pipe"]["path"].as_str() {
        Some(path) => Some(if path.starts_with('/') {
            path.to_owned()
        } else {
            format!("/{path}")
        }),
        None => Some(format!(
            "{}:{}",
            socket["address"].as_str()?,
            socket["port_value"]
        )),
    }
}

/// Every wasm filter that is one of Launchgate's, once each.
fn find_plugins(value: &Value, found: &mut BTreeMap<String, Loaded>) {
    match value {
        Value::Array(items) => items.iter().for_each(|v| find_plugins(v, found)),
        Value::Object(map) => {
            let is_wasm = value["@type"]
                .as_str()
                .is_some_and(|t| t.ends_with("filters.http.wasm.v3.Wasm"));
            match is_wasm.then(|| plugin(&value["config"])).flatten() {
                Some(loaded) => {
                    found.insert(loaded.name.clone(), loaded);
                }
                None => map.values().for_each(|v| find_plugins(v, found)),
            }
        }
        _ => {}
    }
}

fn plugin(config: &Value) -> Option<Loaded> {
    let vm = &config["vm_config"];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let file = text(&vm["code"]["local"]["filename"]);
    let remote = text(&vm["code"]["remote"]["http_uri"]["uri"]);
    let stem = |path: &str| {
        path.rsplit('/')
            .next()
            .map(|n| n.trim_end_matches(".wasm").to_owned())
    };
    let names = [
        stem(&file),
        stem(&remote),
        Some(text(&config["root_id"])),
        Some(text(&config["name"])),
    ];
    let plugin = names
        .into_iter()
        .flatten()
        .find(|n| PLUGINS.contains(&n.as_str()))?;
    let variables = &vm["environment_variables"];
    let values = variables["key_values"].as_object().into_iter().flatten();
    Some(Loaded {
        name: match text(&config["name"]) {
            name if name.is_empty() => plugin.clone(),
            name => name,
        },
        plugin,
        config: configuration(&config["configuration"]),
        host_variables: variables["host_env_keys"]
            .as_array()
            .into_iter()
            .flatten()
            .map(text)
            .collect(),
        inline_variables: values.map(|(k, v)| (k.clone(), text(v))).collect(),
        failure_policy: text(&config["failure_policy"]),
        digest: digest(&file, &text(&vm["code"]["remote"]["sha256"])),
    })
}

/// A StringValue with JSON, or a Struct.
fn configuration(value: &Value) -> Value {
    match value["value"].as_str() {
        Some(json) => serde_json::from_str(json).unwrap_or(Value::Null),
        None if value["value"].is_object() => value["value"].clone(),
        None => Value::Object(serde_json::Map::new()),
    }
}

fn digest(file: &str, remote: &str) -> Result<String, String> {
    match (file, remote) {
        ("", "") => Err("the module stands inside the configuration".to_owned()),
        ("", sha256) => Ok(sha256.to_owned()),
        (file, _) => std::fs::read(Path::new(file))
            .map(|bytes| hex(&bytes))
            .map_err(|e| format!("needs the gateway's files, {file}: {e}")),
    }
}
