//! Gateways with the built module, and readings of what they answer.

use std::time::Duration;

use anyhow::Result;
use launchgate_harness::envoy::{Envoy, Plugin, Reply, Upstream, built_module};
use serde_json::{Value, json};

pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) fn health(config: &Value) -> Plugin {
    Plugin::new("health", built_module("health").unwrap()).config(config)
}

pub(crate) fn ok() -> Upstream {
    Upstream::always(Reply::status(200).body("app")).unwrap()
}

pub(crate) fn one(kind: &Value) -> Value {
    let mut dependency =
        json!({"name": "database", "cluster": "db", "interval": "500ms", "failure_threshold": 1});
    dependency
        .as_object_mut()
        .unwrap()
        .extend(kind.as_object().unwrap().clone());
    json!({"dependencies": [dependency]})
}

pub(crate) fn state(envoy: &Envoy) -> Result<(u16, String)> {
    let reply = envoy.get("/healthz")?;
    let state = reply.json()?["dependencies"]["database"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    Ok((reply.status, state))
}

/// Waits for a state of the dependency `database` and gives the status of the reply that showed it.
pub(crate) fn await_state(envoy: &Envoy, wanted: &str) -> u16 {
    let seen = envoy.await_value(SOON, || {
        state(envoy).map(|(status, state)| (state == wanted).then_some(status))
    });
    seen.unwrap_or_else(|error| panic!("{wanted}: {error:#}, last {:?}", state(envoy)))
}
