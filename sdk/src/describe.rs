//! What a plugin is, for tools: schema, metrics, phases. Native only.
//!
//! 1. The schema of the config is made from the raw config's types, with the common keys added.
//! 2. `launchgate dist` writes it to `dist/<plugin>.schema.json` and `dist/<plugin>.metrics.json`.

#![allow(
    clippy::indexing_slicing,
    reason = "native; indexing a JSON object by name cannot fail"
)]

use schemars::JsonSchema;
use serde_json::{Value, json};

use crate::metric::{Family, Kind, SHARED};
use crate::policy::{Phases, Policy};
use crate::scope::Common;

/// A plugin's description.
#[derive(Debug, Clone)]
pub struct Description {
    /// Name of the plugin.
    pub name: &'static str,
    /// Version of the plugin.
    pub version: &'static str,
    /// Callbacks that the module keeps.
    pub phases: Phases,
    /// JSON Schema (2020-12) of the config.
    pub schema: Value,
    /// Metric families.
    pub metrics: Vec<Family>,
}

impl Description {
    /// Describes a policy.
    pub fn of<P: Policy>() -> Self
    where
        P::Config: JsonSchema,
    {
        let mut schema = schema_of::<P::Config>();
        add_common(&mut schema);
        finish(&mut schema, P::NAME);
        Self {
            name: P::NAME,
            version: P::VERSION,
            phases: P::PHASES,
            schema,
            metrics: with_shared(P::METRICS.to_vec()),
        }
    }

    /// Describes a composition of described plugins; `sections` are the keys, in the order of `parts`.
    pub fn composed(
        name: &'static str,
        version: &'static str,
        sections: &[&str],
        parts: &[Self],
    ) -> Self {
        let mut schema = json!({"type": "object", "additionalProperties": false, "properties": {}});
        let mut phases = Phases::NONE;
        let mut metrics: Vec<Family> = Vec::new();
        for (section, part) in sections.iter().zip(parts) {
            let mut own = part.schema.clone();
            lift_definitions(&mut own, &mut schema, part.name);
            schema["properties"][section] = own;
            phases = phases.or(part.phases);
            metrics.extend(
                part.metrics
                    .iter()
                    .filter(|family| !SHARED.iter().any(|shared| shared.name == family.name)),
            );
        }
        add_common(&mut schema);
        finish(&mut schema, name);
        Self {
            name,
            version,
            phases,
            schema,
            metrics: with_shared(metrics),
        }
    }

    /// Everything as one JSON document, which `launchgate dist` reads.
    pub fn to_json(&self) -> Value {
        let Phases {
            request,
            body,
            response,
            end,
            tick,
            answer,
        } = self.phases;
        json!({
            "name": self.name,
            "version": self.version,
            "phases": {"request": request, "body": body, "response": response, "end": end, "tick": tick, "answer": answer},
            "schema": self.schema,
            "metrics": self.metrics_json(),
        })
    }

    /// `dist/<plugin>.metrics.json`.
    pub fn metrics_json(&self) -> Value {
        let family = |family: &Family| {
            let kind = match family.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
            };
            json!({"name": family.name, "kind": kind, "labels": family.labels, "help": family.help})
        };
        json!(self.metrics.iter().map(family).collect::<Vec<_>>())
    }
}

fn with_shared(mut metrics: Vec<Family>) -> Vec<Family> {
    metrics.extend_from_slice(SHARED);
    metrics
}

fn schema_of<T: JsonSchema>() -> Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_deserialize();
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

fn add_common(schema: &mut Value) {
    let mut common = schema_of::<Common>();
    lift_definitions(&mut common, schema, "common");
    let properties = common["properties"]
        .as_object()
        .cloned()
        .unwrap_or_default();
    for (key, value) in properties {
        schema["properties"][key] = value;
    }
}

/// Moves `$defs` of a part to the whole, under names of the part.
fn lift_definitions(part: &mut Value, whole: &mut Value, name: &str) {
    let Some(object) = part.as_object_mut() else {
        return;
    };
    object.remove("$schema");
    object.remove("$id");
    let Some(definitions) = object.remove("$defs") else {
        return;
    };
    let rename = |value: &mut Value| rename_references(value, name);
    rename(part);
    for (key, mut definition) in definitions.as_object().cloned().unwrap_or_default() {
        rename(&mut definition);
        whole["$defs"][format!("{name}.{key}")] = definition;
    }
}

fn rename_references(value: &mut Value, name: &str) {
    match value {
        Value::Object(object) => {
            for (key, value) in object.iter_mut() {
                match value {
                    Value::String(text) if key == "$ref" => {
                        *text = text.replacen("#/$defs/", &format!("#/$defs/{name}."), 1);
                    }
                    other => rename_references(other, name),
                }
            }
        }
        Value::Array(values) => values
            .iter_mut()
            .for_each(|value| rename_references(value, name)),
        _ => {}
    }
}

fn finish(schema: &mut Value, name: &str) {
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["$id"] = json!(format!("urn:launchgate:{name}:config"));
    schema["title"] = json!(format!("Configuration of the launchgate plugin {name}"));
}
