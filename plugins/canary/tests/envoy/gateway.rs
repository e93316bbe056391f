//! Gateways with header-match routes to two versions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use launchgate_harness::envoy::{
    Bootstrap, Envoy, Launch, Plugin, Reply, Upstream, built_module, workspace,
};
use serde_json::{Value, json};

/// Limit of every wait that no bar is about.
pub(crate) const SOON: Duration = Duration::from_secs(60);
pub(crate) const TOKEN: &str = "0123456789abcdef";

/// A version that names itself.
pub(crate) fn version(name: &'static str) -> Upstream {
    Upstream::always(Reply::status(200).body(name)).unwrap()
}

/// From now on every `nth` answer is a 500.
pub(crate) fn fail(upstream: &Upstream, name: &'static str, nth: u64) {
    let count = AtomicU64::new(0);
    upstream.script(move |_| {
        let failed = (count.fetch_add(1, Ordering::Relaxed) + 1).is_multiple_of(nth);
        Reply::status(if failed { 500 } else { 200 })
            .body(name)
            .into()
    });
}

/// A version of which every `nth` answer is a 500.
pub(crate) fn failing(name: &'static str, nth: u64) -> Upstream {
    let upstream = version(name);
    fail(&upstream, name, nth);
    upstream
}

/// A rollout of which `percent` of all requests go to the canary, in the stage before the last.
pub(crate) fn rollout(id: &str, percent: f64, more: &Value) -> Value {
    let mut config =
        json!({"rollout": id, "stages": [{"percent": percent, "for": "1h"}, {"percent": 100}]});
    config
        .as_object_mut()
        .unwrap()
        .extend(more.as_object().unwrap().clone());
    config
}

/// A listener named by each rollout; all in one VM, as in Istio.
pub(crate) fn gateway(rollouts: &[Value], canary: &Upstream, stable: &Upstream) -> Bootstrap {
    let shipped = Bootstrap::read(&workspace().join("envoy-configs/envoy/canary.yaml")).unwrap();
    let tags = shipped.document()["stats_config"].clone();
    let mut bootstrap = Bootstrap::empty();
    for rollout in rollouts {
        let plugin = Plugin::new("canary", built_module("canary").unwrap()).config(rollout);
        bootstrap = bootstrap.listener(rollout["rollout"].as_str().unwrap(), &[plugin]);
    }
    bootstrap
        .upstream("canary", canary)
        .upstream("stable", stable)
        .edit(|document| {
            document["stats_config"] = tags;
            for listener in listeners(document) {
                *routes(listener) = json!([
                    {"match": {"prefix": "/", "headers": [{"name": "x-launchgate-variant", "string_match": {"exact": "canary"}}]}, "route": {"cluster": "canary"}},
                    {"match": {"prefix": "/"}, "route": {"cluster": "stable"}},
                ]);
            }
        })
}

pub(crate) fn start(rollouts: &[Value], canary: &Upstream, stable: &Upstream) -> Envoy {
    launch(gateway(rollouts, canary, stable))
}

pub(crate) fn launch(bootstrap: Bootstrap) -> Envoy {
    Launch::new(bootstrap).concurrency(2).start().unwrap()
}

pub(crate) fn listeners(document: &mut Value) -> &mut Vec<Value> {
    let listeners = &mut document["static_resources"]["listeners"];
    listeners.as_array_mut().unwrap()
}

pub(crate) fn manager(listener: &mut Value) -> &mut Value {
    &mut listener["filter_chains"][0]["filters"][0]["typed_config"]
}

pub(crate) fn routes(listener: &mut Value) -> &mut Value {
    &mut manager(listener)["route_config"]["virtual_hosts"][0]["routes"]
}

/// A counter or gauge of the plugin, by its name behind `launchgate_canary_` and its labels.
pub(crate) fn number(envoy: &Envoy, name: &str, labels: &[(&str, &str)]) -> u64 {
    let labels: String = labels
        .iter()
        .map(|(label, value)| format!("{label}=.={value};.;"))
        .collect();
    let stat = format!("wasmcustom.launchgate_canary_{name}{labels}");
    envoy.admin().stat(&stat).unwrap()
}

pub(crate) fn rolled_back(envoy: &Envoy, rollout: &str) -> bool {
    number(envoy, "rolled_back", &[("rollout", rollout)]) == 1
}

/// How often a rollout was rolled back for this cause.
pub(crate) fn rollbacks(envoy: &Envoy, rollout: &str, cause: &str) -> u64 {
    number(
        envoy,
        "rollbacks_total",
        &[("rollout", rollout), ("cause", cause)],
    )
}
