//! The TLS servers of a gateway, from Istio's `Gateway` or from the Gateway API's with its `ClientTrafficPolicy`.
//!
//! Versions and ciphers become Envoy's `tls_params`, so that an Envoy refuses a cipher that it does not know. Unset: 1.2, and
//! Envoy's own ciphers.

use serde_json::{Map, Value, json};

use crate::manifest::Manifest;

/// One server.
#[derive(Debug)]
pub(crate) struct Server {
    /// By SNI.
    pub(crate) hosts: Vec<String>,
    /// Name of the Kubernetes secret with its certificate.
    pub(crate) secret: String,
    /// Envoy's `tls_params`.
    pub(crate) parameters: Value,
}

/// Every TLS server of the manifests.
pub(crate) fn servers(manifests: &[Manifest]) -> Vec<Server> {
    let gateways = manifests.iter().filter(|m| m.kind() == "Gateway");
    let policy = manifests.iter().find(|m| m.kind() == "ClientTrafficPolicy");
    let policy = policy.map_or(Value::Null, |m| m.value["spec"]["tls"].clone());
    gateways.flat_map(|gateway| of(gateway, &policy)).collect()
}

fn of(gateway: &Manifest, policy: &Value) -> Vec<Server> {
    let spec = &gateway.value["spec"];
    let istio = items(&spec["servers"]).filter_map(|server| {
        let tls = &server["tls"];
        let hosts = items(&server["hosts"]).filter_map(|host| host.as_str()?.rsplit('/').next());
        Some(Server {
            hosts: hosts.map(str::to_owned).collect(),
            secret: tls["credentialName"].as_str()?.to_owned(),
            parameters: parameters(&tls["minProtocolVersion"], &tls["cipherSuites"]),
        })
    });
    let gateway_api = items(&spec["listeners"]).filter_map(|listener| {
        let secret = listener["tls"]["certificateRefs"][0]["name"].as_str()?;
        Some(Server {
            hosts: listener["hostname"]
                .as_str()
                .map(str::to_owned)
                .into_iter()
                .collect(),
            secret: secret.to_owned(),
            parameters: parameters(&policy["minVersion"], &policy["ciphers"]),
        })
    });
    istio.chain(gateway_api).collect()
}

/// Istio says `TLSV1_2`, Envoy Gateway `1.2`.
fn parameters(version: &Value, ciphers: &Value) -> Value {
    let digits = version.as_str().unwrap_or("1.2").trim_start_matches("TLSV");
    let mut parameters = Map::new();
    let minimum = format!("TLSv{}", digits.replace('.', "_"));
    parameters.insert("tls_minimum_protocol_version".to_owned(), json!(minimum));
    parameters.insert("tls_maximum_protocol_version".to_owned(), json!("TLSv1_3"));
    if ciphers.is_array() {
        parameters.insert("cipher_suites".to_owned(), ciphers.clone());
    }
    Value::from(parameters)
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
