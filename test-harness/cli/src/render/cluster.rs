//! Envoy clusters under the names that the gateways give them.
//!
//! 1. `--endpoint KEY=ADDRESS:PORT` puts a cluster on a plain address: the key is a cluster's name, `host:port` or `host`, the
//!    first that fits in this order.
//! 2. Otherwise the host is resolved by DNS, with the TLS and limits of its DestinationRule.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{gateway_api, route};
use crate::manifest::Manifest;

/// Addresses that stand in for hosts of the cluster.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(BTreeMap<String, (String, u16)>);

impl Endpoints {
    /// Parses `KEY=ADDRESS:PORT`.
    pub(crate) fn parse(texts: &[String]) -> Result<Self, String> {
        let one = |text: &String| {
            let (key, address) = text
                .rsplit_once('=')
                .ok_or_else(|| format!("--endpoint {text:?}, expected KEY=ADDRESS:PORT"))?;
            let (host, port) = address
                .rsplit_once(':')
                .ok_or_else(|| format!("--endpoint {text:?}: no port in {address:?}"))?;
            let port = port
                .parse()
                .map_err(|_| format!("--endpoint {text:?}: {port:?} is no port"))?;
            Ok((key.to_owned(), (host.to_owned(), port)))
        };
        texts
            .iter()
            .map(one)
            .collect::<Result<_, String>>()
            .map(Self)
    }

    fn of(&self, cluster: &str, host: &str, port: u64) -> Option<&(String, u16)> {
        self.0
            .get(cluster)
            .or_else(|| self.0.get(&format!("{host}:{port}")))
            .or_else(|| self.0.get(host))
    }
}

/// Every cluster that the manifests make, sorted by name.
pub(crate) fn render(manifests: &[Manifest], endpoints: &Endpoints) -> Vec<Value> {
    let mut clusters = BTreeMap::new();
    for manifest in manifests {
        match manifest.kind() {
            "ServiceEntry" => service_entry(manifest, manifests, endpoints, &mut clusters),
            "VirtualService" => virtual_service(manifest, manifests, endpoints, &mut clusters),
            "HTTPRoute" => http_route(manifest, endpoints, &mut clusters),
            "EnvoyProxy" => envoy_proxy(manifest, endpoints, &mut clusters),
            _ => {}
        }
    }
    clusters.into_values().collect()
}

type Clusters = BTreeMap<String, Value>;

fn service_entry(
    manifest: &Manifest,
    all: &[Manifest],
    endpoints: &Endpoints,
    into: &mut Clusters,
) {
    let spec = &manifest.value["spec"];
    for host in items(&spec["hosts"]).filter_map(Value::as_str) {
        for port in items(&spec["ports"]) {
            let number = port["number"].as_u64().unwrap_or_default();
            let target = port["targetPort"].as_u64().unwrap_or(number);
            let mut addresses: Vec<_> = items(&spec["endpoints"])
                .filter_map(|e| {
                    Some((
                        e["address"].as_str()?.to_owned(),
                        e["ports"][port["name"].as_str()?]
                            .as_u64()
                            .unwrap_or(target),
                    ))
                })
                .collect();
            if addresses.is_empty() {
                addresses.push((host.to_owned(), target));
            }
            let name = format!("outbound|{number}||{host}");
            into.insert(
                name.clone(),
                with_policy(
                    cluster(&name, host, number, &addresses, endpoints),
                    host,
                    number,
                    all,
                    endpoints,
                ),
            );
        }
    }
}

fn virtual_service(
    manifest: &Manifest,
    all: &[Manifest],
    endpoints: &Endpoints,
    into: &mut Clusters,
) {
    let routes = items(&manifest.value["spec"]["http"]).flat_map(|rule| items(&rule["route"]));
    for destination in routes.map(|r| &r["destination"]) {
        let Ok(name) = route::cluster_name(destination) else {
            continue;
        };
        let host = destination["host"].as_str().unwrap_or_default();
        let port = destination["port"]["number"].as_u64().unwrap_or_default();
        let made = cluster(&name, host, port, &[(host.to_owned(), port)], endpoints);
        into.insert(name, with_policy(made, host, port, all, endpoints));
    }
}

fn http_route(manifest: &Manifest, endpoints: &Endpoints, into: &mut Clusters) {
    for (name, backends) in gateway_api::clusters(manifest) {
        let addresses: Vec<_> = backends
            .iter()
            .map(|(host, port)| (host.clone(), u64::from(*port)))
            .collect();
        let (host, port) = addresses.first().cloned().unwrap_or_default();
        into.insert(
            name.clone(),
            cluster(&name, &host, port, &addresses, endpoints),
        );
    }
}

/// The clusters of a merged bootstrap, on stand-in addresses where there are.
fn envoy_proxy(manifest: &Manifest, endpoints: &Endpoints, into: &mut Clusters) {
    for mut made in items(&bootstrap_of(manifest)["static_resources"]["clusters"]).cloned() {
        let name = made["name"].as_str().unwrap_or_default().to_owned();
        let address = &made["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
            ["socket_address"];
        let host = address["address"].as_str().unwrap_or_default().to_owned();
        let port = address["port_value"].as_u64().unwrap_or_default();
        if endpoints.of(&name, &host, port).is_some() {
            made = cluster(&name, &host, port, &[(host.clone(), port)], endpoints);
        }
        into.insert(name, made);
    }
}

/// What an EnvoyProxy merges into the bootstrap.
pub(crate) fn bootstrap_of(manifest: &Manifest) -> Value {
    let text = manifest.value["spec"]["bootstrap"]["value"]
        .as_str()
        .unwrap_or_default();
    serde_norway::from_str(text).unwrap_or_default()
}

fn cluster(
    name: &str,
    host: &str,
    port: u64,
    addresses: &[(String, u64)],
    endpoints: &Endpoints,
) -> Value {
    let stand_in = endpoints
        .of(name, host, port)
        .map(|(host, port)| (host.clone(), u64::from(*port)));
    let kind = if stand_in
        .as_ref()
        .is_some_and(|(host, _)| host.parse::<std::net::IpAddr>().is_ok())
    {
        "STATIC"
    } else {
        "STRICT_DNS"
    };
    let addresses = stand_in.map_or_else(|| addresses.to_vec(), |one| vec![one]);
    let hosts: Vec<_> = addresses
        .iter()
        .map(|(host, port)| json!({"endpoint": {"address": {"socket_address": {"address": host, "port_value": port}}}}))
        .collect();
    json!({
        "name": name, "type": kind, "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": hosts}]},
    })
}

/// Adds TLS and the connect time-out of the host's DestinationRule; a stand-in address speaks plain HTTP.
fn with_policy(
    mut cluster: Value,
    host: &str,
    port: u64,
    all: &[Manifest],
    endpoints: &Endpoints,
) -> Value {
    let rule = all
        .iter()
        .find(|m| m.kind() == "DestinationRule" && m.value["spec"]["host"] == host);
    let Some(policy) = rule.map(|m| &m.value["spec"]["trafficPolicy"]) else {
        return cluster;
    };
    if let Some(timeout) = policy["connectionPool"]["tcp"]["connectTimeout"].as_str() {
        cluster["connect_timeout"] = Value::from(timeout);
    }
    let name = cluster["name"].as_str().unwrap_or_default().to_owned();
    if policy["tls"]["mode"] == "SIMPLE" && endpoints.of(&name, host, port).is_none() {
        let sni = policy["tls"]["sni"].as_str().unwrap_or(host);
        cluster["transport_socket"] = json!({
            "name": "envoy.transport_sockets.tls",
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
                "sni": sni,
                "common_tls_context": {"validation_context": {
                    "trusted_ca": {"filename": policy["tls"]["caCertificates"].as_str().unwrap_or("/etc/ssl/certs/ca-certificates.crt")},
                    "match_typed_subject_alt_names": [{"san_type": "DNS", "matcher": {"exact": sni}}],
                }},
            },
        });
    }
    cluster
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
