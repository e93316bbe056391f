//! `TrafficExtension` from `WasmPlugin`, for Istio 1.30 and later: the same fields, with what is wasm's own under `wasm`.

use serde_json::{Map, Value, json};

use crate::manifest::Manifest;

const OF_THE_EXTENSION: [&str; 4] = ["selector", "targetRefs", "priority", "match"];

/// The twin of a `WasmPlugin`; any other resource is none.
pub(crate) fn of(manifest: &Manifest) -> Option<Value> {
    if manifest.kind() != "WasmPlugin" {
        return None;
    }
    let mut spec = Map::new();
    let mut wasm = Map::new();
    for (key, value) in manifest.value["spec"].as_object()? {
        match key.as_str() {
            // Its unset value has another name.
            "phase" if value == "UNSPECIFIED_PHASE" => {
                spec.insert(key.clone(), Value::from("UNSPECIFIED"));
            }
            "phase" => {
                spec.insert(key.clone(), value.clone());
            }
            "targetRef" => {
                spec.insert("targetRefs".to_owned(), json!([value]));
            }
            other if OF_THE_EXTENSION.contains(&other) => {
                spec.insert(key.clone(), value.clone());
            }
            _ => {
                wasm.insert(key.clone(), value.clone());
            }
        }
    }
    spec.insert("wasm".to_owned(), Value::from(wasm));
    Some(
        json!({"apiVersion": manifest.api_version(), "kind": "TrafficExtension", "metadata": manifest.value["metadata"], "spec": spec}),
    )
}
