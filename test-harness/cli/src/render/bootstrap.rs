//! A whole Envoy bootstrap, so that a manifest can be run by an Envoy alone: what a gateway of Istio or Envoy Gateway would
//! have at one time, with static listeners, routes and clusters.
//!
//! Not rendered, because no control plane is here: Istio's own filters (metadata exchange, authentication, fault, CORS,
//! stats), service discovery, mTLS inside the mesh.

use std::path::Path;

use serde_json::{Value, json};

use super::{Options, cluster, filter, gateway_api, route, tls};
use crate::{
    extension::{self, Extension, Origin},
    manifest::Manifest,
};

const HCM: &str = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";

/// The bootstrap of manifests that are applied together.
pub(crate) fn render(
    manifests: &[Manifest],
    chain: &[Extension],
    options: &Options,
) -> Result<Value, String> {
    let routes = virtual_hosts(manifests, chain)?;
    let manager = |port: u16| connection_manager(manifests, chain, &routes, options, port);
    let mut listeners = vec![listener(
        "http",
        options.port,
        vec![json!({"filters": [manager(options.port)]})],
        false,
    )];
    if let Some(folder) = &options.certificates {
        let chains = tls_chains(manifests, folder, &manager(options.tls_port))?;
        listeners.push(listener("https", options.tls_port, chains, true));
    }
    let mut bootstrap = json!({
        "node": {"id": "launchgate-render", "cluster": "launchgate"},
        "admin": {"address": socket("127.0.0.1", options.admin_port)},
        "static_resources": {"listeners": listeners, "clusters": cluster::render(manifests, &options.endpoints)},
    });
    let tags = stat_tags(manifests);
    if !tags.is_empty() {
        bootstrap["stats_config"] = json!({"stats_tags": tags});
    }
    Ok(bootstrap)
}

fn virtual_hosts(manifests: &[Manifest], chain: &[Extension]) -> Result<Vec<Value>, String> {
    let per_route: Vec<_> = chain
        .iter()
        .filter(|e| matches!(e.origin, Origin::EnvoyExtensionPolicy(_)))
        .map(filter::name)
        .collect();
    let mut hosts = Vec::new();
    for manifest in manifests {
        match manifest.kind() {
            "VirtualService" => hosts.extend(route::virtual_hosts(manifest)?),
            "HTTPRoute" => hosts.push(gateway_api::virtual_host(manifest, &per_route)?),
            _ => {}
        }
    }
    Ok(hosts)
}

fn connection_manager(
    manifests: &[Manifest],
    chain: &[Extension],
    routes: &[Value],
    options: &Options,
    port: u16,
) -> Value {
    let mut filters: Vec<_> = chain
        .iter()
        .map(|e| filter::render(e, options.modules.as_deref()))
        .collect();
    filters.push(json!({"name": "envoy.filters.http.router", "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"}}));
    let mut manager = json!({
        "@type": HCM,
        "stat_prefix": format!("inbound_{port}"),
        "use_remote_address": true,
        "normalize_path": true,
        "merge_slashes": true,
        "path_with_escaped_slashes_action": "KEEP_UNCHANGED",
        "server_header_transformation": "PASS_THROUGH",
        "http_filters": filters,
        "route_config": {"name": format!("http.{port}"), "virtual_hosts": routes},
    });
    let early = early_removals(manifests);
    if !early.is_empty() {
        let mutations: Vec<_> = early.iter().map(|name| json!({"remove": name})).collect();
        manager["early_header_mutation_extensions"] = json!([{
            "name": "envoy.http.early_header_mutation.header_mutation",
            "typed_config": {"@type": "type.googleapis.com/envoy.extensions.http.early_header_mutation.header_mutation.v3.HeaderMutation", "mutations": mutations},
        }]);
    }
    let logs = access_logs(manifests);
    if !logs.is_empty() {
        manager["access_log"] = Value::from(logs);
    }
    json!({"name": "envoy.filters.network.http_connection_manager", "typed_config": manager})
}

fn listener(name: &str, port: u16, chains: Vec<Value>, inspect: bool) -> Value {
    let mut listener =
        json!({"name": name, "address": socket("0.0.0.0", port), "filter_chains": chains});
    if inspect {
        let inspector = json!({"@type": "type.googleapis.com/envoy.extensions.filters.listener.tls_inspector.v3.TlsInspector"});
        listener["listener_filters"] =
            json!([{"name": "envoy.filters.listener.tls_inspector", "typed_config": inspector}]);
    }
    listener
}

/// One chain for each HTTPS server, chosen by SNI; certificates are `<folder>/<secret>.crt` and `.key`.
fn tls_chains(
    manifests: &[Manifest],
    folder: &Path,
    manager: &Value,
) -> Result<Vec<Value>, String> {
    let mut chains = Vec::new();
    for server in tls::servers(manifests) {
        let file = |extension: &str| folder.join(format!("{}.{extension}", server.secret));
        if !file("crt").is_file() {
            return Err(format!(
                "{}: no certificate for the secret {}",
                file("crt").display(),
                server.secret
            ));
        }
        let tls = json!({
            "@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext",
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_params": server.parameters,
                "tls_certificates": [{"certificate_chain": {"filename": file("crt")}, "private_key": {"filename": file("key")}}],
            },
        });
        chains.push(json!({
            "filter_chain_match": {"server_names": server.hosts},
            "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": tls},
            "filters": [manager],
        }));
    }
    if chains.is_empty() {
        Err("no Gateway has an HTTPS server".to_owned())
    } else {
        Ok(chains)
    }
}

/// Headers that Envoy Gateway removes before the filters.
fn early_removals(manifests: &[Manifest]) -> Vec<String> {
    let policies = manifests
        .iter()
        .filter(|m| m.kind() == "ClientTrafficPolicy");
    let headers =
        policies.flat_map(|m| items(&m.value["spec"]["headers"]["earlyRequestHeaders"]["remove"]));
    headers
        .filter_map(|h| h.as_str().map(str::to_owned))
        .collect()
}

/// The access-log plugin's line, wherever Telemetry or EnvoyProxy filters by its filter state.
fn access_logs(manifests: &[Manifest]) -> Vec<Value> {
    let istio = manifests
        .iter()
        .filter(|m| m.kind() == "Telemetry")
        .flat_map(|m| items(&m.value["spec"]["accessLogging"]));
    let istio = istio.filter_map(|log| log["filter"]["expression"].as_str());
    let gateway = manifests.iter().filter(|m| m.kind() == "EnvoyProxy");
    let gateway =
        gateway.flat_map(|m| items(&m.value["spec"]["telemetry"]["accessLog"]["settings"]));
    let gateway = gateway.filter_map(|log| log["matches"][0].as_str());
    let logger = |expression: &str| {
        let key = expression
            .split('\'')
            .nth(1)
            .unwrap_or("wasm.launchgate.access_log");
        json!({
            "name": "envoy.access_loggers.stdout",
            "filter": {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.filters.cel.v3.ExpressionFilter", "expression": expression}}},
            "typed_config": {
                "@type": "type.googleapis.com/envoy.extensions.access_loggers.stream.v3.StdoutAccessLog",
                "log_format": {"text_format_source": {"inline_string": format!("%FILTER_STATE({key}:PLAIN)%\n")}}},
        })
    };
    istio.chain(gateway).map(logger).collect()
}

/// One tag for each name of `sidecar.istio.io/extraStatTags`, by Istio's own pattern; Envoy Gateway's from its bootstrap.
fn stat_tags(manifests: &[Manifest]) -> Vec<Value> {
    let mut tags = Vec::new();
    for manifest in manifests {
        if manifest.kind() == "EnvoyProxy" {
            tags.extend(
                items(&cluster::bootstrap_of(manifest)["stats_config"]["stats_tags"]).cloned(),
            );
        }
        let annotations = &manifest.value["spec"]["template"]["metadata"]["annotations"];
        let names = annotations["sidecar.istio.io/extraStatTags"]
            .as_str()
            .unwrap_or_default();
        let names = names.split(',').map(str::trim).filter(|n| !n.is_empty());
        tags.extend(
            names
                .map(|name| json!({"tag_name": name, "regex": format!("({name}=\\.=(.*?);\\.;)")})),
        );
    }
    tags
}

/// The chain of manifests: Istio's `WasmPlugin`s and `TrafficExtension`s, or Envoy Gateway's policies.
pub(crate) fn chain(manifests: &[Manifest]) -> Vec<Extension> {
    extension::in_chain_order(manifests.iter().flat_map(extension::of).collect())
}

fn socket(address: &str, port: u16) -> Value {
    json!({"socket_address": {"address": address, "port_value": port}})
}

fn items(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}
