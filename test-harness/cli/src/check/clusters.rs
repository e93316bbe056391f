//! Every cluster that a plugin names must exist: a call to an unknown cluster fails silently at run time, so it is found
//! here. Checked when the manifests at hand say which clusters there are.
//!
//! 1. Istio makes `outbound|<port>|<subset>|<host>` from ServiceEntries, from services that a route names, and from the
//!    subsets of DestinationRules.
//! 2. Envoy Gateway makes `httproute/<namespace>/<name>/rule/<index>` from routes; the rest stands in the EnvoyProxy's
//!    merged bootstrap.

use std::collections::BTreeSet;

use serde_json::Value;

use super::finding::Finding;
use crate::{extension, manifest::Manifest};

/// Adds a finding for each cluster that no manifest makes.
pub(crate) fn check(manifests: &[Manifest]) -> Vec<Finding> {
    let known: BTreeSet<String> = manifests.iter().flat_map(made_by).collect();
    let mut found = Vec::new();
    if known.is_empty() {
        return found;
    }
    let subsets: BTreeSet<(String, String)> = manifests.iter().flat_map(subsets_of).collect();
    for manifest in manifests {
        for extension in extension::of(manifest) {
            let Some(config) = &extension.config else {
                continue;
            };
            let mut named = Vec::new();
            visit(config, &extension.config_path(), &mut named);
            for (path, cluster) in named {
                if !exists(&cluster, &known, &subsets) {
                    let message = format!("no manifest makes the cluster {cluster:?}");
                    found.push(Finding::new(manifest, "unknown-cluster", path, message));
                }
            }
        }
    }
    found
}

fn exists(cluster: &str, known: &BTreeSet<String>, subsets: &BTreeSet<(String, String)>) -> bool {
    if known.contains(cluster) || cluster.contains("${") {
        return true;
    }
    match cluster.split('|').collect::<Vec<_>>().as_slice() {
        ["outbound", port, subset, host] => {
            known.contains(&format!("outbound|{port}||{host}"))
                && subsets.contains(&((*host).to_owned(), (*subset).to_owned()))
        }
        _ => false,
    }
}

fn made_by(manifest: &Manifest) -> Vec<String> {
    let spec = &manifest.value["spec"];
    match manifest.kind() {
        "ServiceEntry" => {
            let ports: Vec<_> = items(&spec["ports"])
                .filter_map(|p| p["number"].as_u64())
                .collect();
            let hosts = items(&spec["hosts"]).filter_map(Value::as_str);
            hosts
                .flat_map(|host| {
                    ports
                        .iter()
                        .map(move |port| format!("outbound|{port}||{host}"))
                })
                .collect()
        }
        "VirtualService" => {
            let routes = items(&spec["http"]).flat_map(|rule| items(&rule["route"]));
            let to_name = |route: &Value| {
                let destination = &route["destination"];
                Some(format!(
                    "outbound|{}||{}",
                    destination["port"]["number"].as_u64()?,
                    destination["host"].as_str()?
                ))
            };
            routes.filter_map(to_name).collect()
        }
        "HTTPRoute" => {
            let rules = items(&spec["rules"]).count();
            (0..rules)
                .map(|i| {
                    format!(
                        "httproute/{}/{}/rule/{i}",
                        manifest.namespace(),
                        manifest.name()
                    )
                })
                .collect()
        }
        "EnvoyProxy" => {
            let bootstrap: Value = spec["bootstrap"]["value"]
                .as_str()
                .and_then(|text| serde_norway::from_str(text).ok())
                .unwrap_or_default();
            items(&bootstrap["static_resources"]["clusters"])
                .filter_map(|c| c["name"].as_str().map(str::to_owned))
                .collect()
        }
        _ => Vec::new(),
    }
}

fn subsets_of(manifest: &Manifest) -> Vec<(String, String)> {
    let spec = &manifest.value["spec"];
    let host = spec["host"].as_str().unwrap_or_default();
    let names = items(&spec["subsets"]).filter_map(|s| s["name"].as_str());
    if manifest.kind() != "DestinationRule" {
        return Vec::new();
    }
    names
        .map(|name| (host.to_owned(), name.to_owned()))
        .collect()
}

/// `cluster` and `admin_cluster` anywhere, and every value of `clusters`.
fn visit(value: &Value, path: &str, named: &mut Vec<(String, String)>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                let path = format!("{path}.{key}");
                match (key.as_str(), value) {
                    ("cluster" | "admin_cluster", Value::String(name)) => {
                        named.push((path, name.clone()))
                    }
                    ("clusters", Value::Object(clusters)) => {
                        let names = clusters.iter().filter_map(|(k, v)| {
                            Some((format!("{path}.{k}"), v.as_str()?.to_owned()))
                        });
                        named.extend(names);
                    }
                    _ => visit(value, &path, named),
                }
            }
        }
        Value::Array(list) => list
            .iter()
            .enumerate()
            .for_each(|(i, v)| visit(v, &format!("{path}[{i}]"), named)),
        _ => {}
    }
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
