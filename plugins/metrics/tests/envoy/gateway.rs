//! A gateway with the built module, and readings of both of its ways out.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Result, ensure};
use launchgate_harness::envoy::{
    Bootstrap, Connection, Envoy, Launch, Plugin, Request, Upstream, built_module, workspace,
};
use serde_json::{Value, json};

pub(crate) const SOON: Duration = Duration::from_secs(40);

/// The module with a configuration.
pub(crate) fn metrics(config: &Value) -> Plugin {
    Plugin::new("metrics", built_module("metrics").unwrap()).config(config)
}

/// `stats_config` of the shipped bootstrap, with a tag for every label of the vocabulary.
pub(crate) fn stats_config(labels: &[&str]) -> Value {
    let text =
        std::fs::read_to_string(workspace().join("envoy-configs/envoy/metrics.yaml")).unwrap();
    let mut config: Value = serde_norway::from_str::<Value>(&text).unwrap()["stats_config"].take();
    let tags = config["stats_tags"].as_array_mut().unwrap();
    for label in labels {
        if !tags.iter().any(|tag| tag["tag_name"] == *label) {
            tags.push(json!({"tag_name": label, "regex": format!("({label}=\\.=(.*?);\\.;)")}));
        }
    }
    config
}

/// A gateway whose routes are these.
pub(crate) fn start(
    config: &Value,
    labels: &[&str],
    routes: Value,
    upstreams: &[(&str, &Upstream)],
    workers: u32,
) -> Envoy {
    let mut bootstrap = Bootstrap::gateway(&[metrics(config)]);
    for (name, upstream) in upstreams {
        bootstrap = bootstrap.upstream(name, upstream);
    }
    let bootstrap = bootstrap.edit(|document| {
        document["stats_config"] = stats_config(labels);
        document["stats_flush_interval"] = json!("1s");
        let manager = document
            .pointer_mut("/static_resources/listeners/0/filter_chains/0/filters/0/typed_config")
            .unwrap();
        manager["use_remote_address"] = json!(true);
        manager["http_protocol_options"] = json!({"allow_custom_methods": true});
        manager["upgrade_configs"] = json!([{"upgrade_type": "websocket"}]);
        manager["route_config"]["virtual_hosts"][0]["routes"] = routes;
    });
    Launch::new(bootstrap).concurrency(workers).start().unwrap()
}

/// One scrape of the own endpoint.
pub(crate) fn scrape(envoy: &Envoy, accept: &str) -> Result<String> {
    let reply = envoy.send(&Request::get("/metrics").header("accept", accept))?;
    ensure!(reply.status == 200, "scrape answered {}", reply.status);
    Ok(reply.text())
}

/// The samples of a page by series.
pub(crate) fn samples(page: &str) -> BTreeMap<String, f64> {
    let mut samples = BTreeMap::new();
    for line in page
        .lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
    {
        let line = line.split(" # ").next().unwrap_or(line);
        let (series, value) = line
            .rsplit_once(' ')
            .unwrap_or_else(|| panic!("no sample: {line:?}"));
        let value: f64 = value
            .parse()
            .unwrap_or_else(|_| panic!("no number: {line:?}"));
        assert!(
            samples.insert(series.to_owned(), value).is_none(),
            "series twice: {series}"
        );
    }
    samples
}

/// The sum over all series of a family.
pub(crate) fn total(samples: &BTreeMap<String, f64>, family: &str) -> f64 {
    let is_own = |series: &str| {
        series == family
            || series
                .strip_prefix(family)
                .is_some_and(|rest| rest.starts_with('{'))
    };
    samples
        .iter()
        .filter(|(series, _)| is_own(series))
        .map(|(_, value)| value)
        .sum()
}

/// Requests, and how many of them the two histograms of durations saw, by both ways out.
pub(crate) fn counted(envoy: &Envoy) -> Result<[(f64, f64); 2]> {
    let stats = samples(
        &envoy
            .admin()
            .prometheus()?
            .lines()
            .filter(|line| line.starts_with("launchgate_"))
            .collect::<Vec<_>>()
            .join("\n"),
    );
    let own = samples(&scrape(envoy, "text/plain")?);
    let seen = |samples: &_, prefix: &str, unit: &str| {
        ["request", "stream"]
            .map(|what| total(samples, &format!("{prefix}_{what}_duration_{unit}_count")))
            .iter()
            .sum()
    };
    Ok([
        (
            total(&stats, "launchgate_metrics_requests_total"),
            seen(&stats, "launchgate_metrics", "milliseconds"),
        ),
        (
            total(&own, "launchgate_http_requests_total"),
            seen(&own, "launchgate_http", "seconds"),
        ),
    ])
}

/// Sends many requests on one connection, opened again where the gateway closed it.
pub(crate) fn flood(envoy: &Envoy, requests: impl Iterator<Item = Request>) -> Result<usize> {
    let address = envoy.gateway()?;
    let mut connection = Connection::open(address)?;
    let mut sent = 0;
    for request in requests {
        let reply = connection.exchange(&request)?;
        sent += 1;
        if reply.header("connection").as_deref() == Some("close") {
            connection = Connection::open(address)?;
        }
    }
    Ok(sent)
}

/// A program that `make deps` brings.
pub(crate) fn program(name: &str) -> PathBuf {
    let found = std::env::var_os("PATH").and_then(|path| {
        std::env::split_paths(&path)
            .map(|folder| folder.join(name))
            .find(|file| file.is_file())
    });
    found.unwrap_or_else(|| panic!("{name} is not there: `make deps` brings it"))
}
