//! The Envoy filter that a gateway makes of an extension.
//!
//! 1. Istio (`pilot/pkg/model`): name `<namespace>.<name>`, `root_id` = `pluginName`, no `vm_id`, the configuration as
//!    JSON text in a `StringValue`; an absent or empty one is no configuration at all. Numbers pass through protobuf's
//!    `Struct`, so they are doubles. `failStrategy` becomes `failure_policy`.
//! 2. Envoy Gateway (`internal/xds/translator/wasm.go`): one VM a filter (`vm_id` = the filter's name), `fail_open` instead of a
//!    policy, the filter disabled and switched on by each route.
//! 3. Both fetch the module themselves and hand Envoy a file or their own server's address: `modules` is the folder that
//!    stands for it.

use std::path::Path;

use serde_json::{Map, Number, Value, json};

use crate::extension::{Extension, FailurePolicy, Origin, Source};

const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";
const STRING: &str = "type.googleapis.com/google.protobuf.StringValue";

/// The filter's name in the chain.
pub(crate) fn name(extension: &Extension) -> String {
    match extension.origin {
        Origin::EnvoyExtensionPolicy(index) => {
            let policy = extension.name.split('/').next().unwrap_or_default();
            format!(
                "envoy.filters.http.wasm/envoyextensionpolicy/{}/{policy}/wasm/{index}",
                extension.namespace
            )
        }
        _ => format!("{}.{}", extension.namespace, extension.name),
    }
}

/// The filter, as an entry of `http_filters`.
pub(crate) fn render(extension: &Extension, modules: Option<&Path>) -> Value {
    let name = name(extension);
    let envoy_gateway = matches!(extension.origin, Origin::EnvoyExtensionPolicy(_));
    let mut plugin = json!({
        "name": name,
        "root_id": extension.root_id,
        "vm_config": {"runtime": "envoy.wasm.runtime.v8", "code": code(extension, modules)},
    });
    if let Some(variables) = variables(extension) {
        plugin["vm_config"]["environment_variables"] = variables;
    }
    if let Some(text) = configuration(extension) {
        plugin["configuration"] = json!({"@type": STRING, "value": text});
    }
    if envoy_gateway {
        plugin["vm_config"]["vm_id"] =
            Value::from(name.trim_start_matches("envoy.filters.http.wasm/"));
        plugin["fail_open"] = Value::from(extension.failure == FailurePolicy::Open);
    } else {
        plugin["failure_policy"] = Value::from(match extension.failure {
            FailurePolicy::Closed => "FAIL_CLOSED",
            FailurePolicy::Open => "FAIL_OPEN",
            FailurePolicy::Reload => "FAIL_RELOAD",
        });
    }
    let mut filter = json!({"name": name, "typed_config": {"@type": WASM, "config": plugin}});
    if envoy_gateway {
        filter["disabled"] = Value::Bool(true);
    }
    filter
}

/// The configuration as the plugin gets it; `None`: it gets none.
pub(crate) fn configuration(extension: &Extension) -> Option<String> {
    let config = extension.config.as_ref();
    match extension.origin {
        Origin::EnvoyExtensionPolicy(_) => Some(config.map(Value::to_string).unwrap_or_default()),
        _ => config.map(|value| through_struct(value).to_string()),
    }
}

fn variables(extension: &Extension) -> Option<Value> {
    let mut inline = Map::new();
    let mut host = Vec::new();
    for variable in &extension.variables {
        match &variable.value {
            Some(value) => {
                inline.insert(variable.name.clone(), Value::from(value.as_str()));
            }
            None => host.push(Value::from(variable.name.as_str())),
        }
    }
    let mut variables = Map::new();
    if !host.is_empty() {
        variables.insert("host_env_keys".to_owned(), Value::from(host));
    }
    if !inline.is_empty() {
        variables.insert("key_values".to_owned(), Value::from(inline));
    }
    (!variables.is_empty()).then(|| Value::from(variables))
}

fn code(extension: &Extension, modules: Option<&Path>) -> Value {
    if let Some(folder) = modules {
        let file = folder.join(format!("{}.wasm", extension.source.plugin()));
        return json!({"local": {"filename": file.to_string_lossy()}});
    }
    let uri = match &extension.source {
        Source::File(path) => return json!({"local": {"filename": path}}),
        Source::Image(reference) => format!("oci://{reference}"),
        Source::Http(url) | Source::Unknown(url) => url.clone(),
    };
    json!({"remote": {"http_uri": {"uri": uri, "timeout": "30s", "cluster": "_"}, "sha256": extension.sha256}})
}

/// Every number as the double that a protobuf `Struct` holds, whole ones printed without a fraction.
fn through_struct(value: &Value) -> Value {
    match value {
        Value::Number(number) => {
            let double = number.as_f64().unwrap_or(f64::NAN);
            let whole = double.fract() == 0.0 && double.abs() < 9e15;
            let number = if whole {
                Some(Number::from(double as i64))
            } else {
                Number::from_f64(double)
            };
            number.map_or(Value::Null, Value::Number)
        }
        Value::Array(items) => items.iter().map(through_struct).collect(),
        Value::Object(map) => map
            .iter()
            .map(|(k, v)| (k.clone(), through_struct(v)))
            .collect(),
        other => other.clone(),
    }
}
