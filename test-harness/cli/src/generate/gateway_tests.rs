//! The gateways that are shipped know the labels of every plugin and the generated buckets. Needs `make build`.

use std::collections::BTreeSet;

use launchgate_harness::envoy::{built_module, workspace};
use serde::Deserialize;
use serde_json::Value;

use super::{settings, tags};

/// The documents of a shipped manifest.
fn documents(path: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(workspace().join("envoy-configs").join(path)).unwrap();
    serde_norway::Deserializer::from_str(&text)
        .map(|document| Value::deserialize(document).unwrap())
        .collect()
}

/// Every label that a gateway with all plugins has, where `metrics` has this configuration.
fn labels(metrics: &Value) -> BTreeSet<String> {
    let mut labels: BTreeSet<String> = tags::labels(&settings(&metrics.to_string()).unwrap())
        .into_iter()
        .collect();
    for plugin in ["access-log", "errors", "tls", "health", "canary"] {
        let module = built_module(plugin).unwrap();
        let text = std::fs::read_to_string(module.with_file_name(format!("{plugin}.metrics.json")))
            .unwrap();
        let families: Value = serde_json::from_str(&text).unwrap();
        let own = families
            .as_array()
            .unwrap()
            .iter()
            .flat_map(|family| family["labels"].as_array().unwrap());
        labels.extend(own.map(|label| label.as_str().unwrap().to_owned()));
    }
    labels
}

#[test]
fn the_gateway_of_istio_has_every_label_and_the_generated_buckets() {
    let metrics = &documents("istio/base/wasmplugin-metrics.yaml")[0]["spec"]["pluginConfig"];
    let gateway = &documents("istio/base/gateway-deployment.yaml")[0];
    let shipped = &gateway["spec"]["template"]["metadata"]["annotations"];
    let generated = tags::istio_annotations(&settings(&metrics.to_string()).unwrap());
    let text = |annotations: &Value, name: &str| {
        annotations[format!("sidecar.istio.io/{name}")]
            .as_str()
            .unwrap()
            .to_owned()
    };
    let tags: BTreeSet<String> = text(shipped, "extraStatTags")
        .split(',')
        .map(str::to_owned)
        .collect();
    assert_eq!(tags, labels(metrics));
    let buckets = |annotations| {
        serde_json::from_str::<Value>(&text(annotations, "statsHistogramBuckets")).unwrap()
    };
    assert_eq!(
        buckets(shipped),
        buckets(&generated["metadata"]["annotations"])
    );
}

#[test]
fn the_proxy_of_envoy_gateway_has_every_label_and_the_generated_buckets() {
    let policies = documents("envoy-gateway/base/envoyextensionpolicy.yaml");
    let plugins = policies
        .iter()
        .flat_map(|policy| policy["spec"]["wasm"].as_array().into_iter().flatten());
    let metrics = &plugins
        .clone()
        .find(|plugin| plugin["rootID"] == "metrics")
        .unwrap()["config"];
    let proxy = &documents("envoy-gateway/base/envoyproxy.yaml")[0];
    let bootstrap: Value =
        serde_norway::from_str(proxy["spec"]["bootstrap"]["value"].as_str().unwrap()).unwrap();
    check_stats(&bootstrap["stats_config"], metrics);
}

#[test]
fn the_whole_gateways_have_every_label_and_the_generated_buckets() {
    let example: Value = serde_json::from_str(super::EXAMPLE).unwrap();
    for file in ["envoy/suite.yaml", "envoy/full-chain.yaml"] {
        check_stats(&documents(file)[0]["stats_config"], &example);
    }
}

/// Every label, by Istio's pattern, and the buckets that this configuration of `metrics` gives.
fn check_stats(shipped: &Value, metrics: &Value) {
    let names: BTreeSet<String> = shipped["stats_tags"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tag| tag["tag_name"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(names, labels(metrics));
    for tag in shipped["stats_tags"].as_array().unwrap() {
        let name = tag["tag_name"].as_str().unwrap();
        assert_eq!(tag["regex"], format!("({name}=\\.=(.*?);\\.;)"));
    }
    // No prefix is a prefix of another: their order does not matter.
    let buckets = |config: &Value| -> BTreeSet<String> {
        let settings = config["histogram_bucket_settings"].as_array().unwrap();
        settings.iter().map(Value::to_string).collect()
    };
    let generated = tags::stats_config(&settings(&metrics.to_string()).unwrap());
    assert_eq!(buckets(shipped), buckets(&generated["stats_config"]));
}

#[test]
fn no_label_of_a_plugin_ends_with_another_since_tags_match_in_mid_string() {
    let all = labels(
        &serde_json::json!({"labels": ["method", "route", "status", "status_class", "source", "flags", "grpc_code", "attempts"]}),
    );
    for label in &all {
        let bitten: Vec<&String> = all
            .iter()
            .filter(|other| *other != label && other.ends_with(label.as_str()))
            .collect();
        assert_eq!(
            bitten,
            Vec::<&String>::new(),
            "{label} is taken out of the middle of these"
        );
    }
}
