//! The pieces of which a bootstrap without a file is made.

use std::path::Path;

use serde_json::{Value, json};

use super::Plugin;
use crate::envoy::upstream::Protocol;

/// Stands for the admin interface until the bootstrap is prepared. Port 9901 is what shipped files use.
pub(super) const ADMIN: (&str, u16) = ("127.0.0.1", 9901);
/// Stands for an address that is rewritten in any case.
pub(super) const NOWHERE: (&str, u16) = ("127.0.0.1", 1);

const TYPE: &str = "type.googleapis.com/envoy";

pub(super) fn listener(name: &str, plugins: &[Plugin]) -> Value {
    let mut filters: Vec<Value> = plugins.iter().map(filter).collect();
    filters.push(json!({
        "name": "envoy.filters.http.router",
        "typed_config": {"@type": format!("{TYPE}.extensions.filters.http.router.v3.Router")},
    }));
    let manager = json!({
        "@type": format!("{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name,
        "use_remote_address": true,
        "route_config": {"name": name, "virtual_hosts": [
            {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "app"}}]},
        ]},
        "http_filters": filters,
    });
    let chain = json!({"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]});
    json!({
        "name": name,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [chain],
    })
}

pub(super) fn terminate_tls(listener: &mut Value, certificate: &Path, key: &Path) {
    listener["listener_filters"] = json!([{
        "name": "envoy.filters.listener.tls_inspector",
        "typed_config": {"@type": format!("{TYPE}.extensions.filters.listener.tls_inspector.v3.TlsInspector")},
    }]);
    listener["filter_chains"][0]["transport_socket"] = json!({
        "name": "envoy.transport_sockets.tls",
        "typed_config": {
            "@type": format!("{TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {
                "alpn_protocols": ["h2", "http/1.1"],
                "tls_certificates": [{"certificate_chain": {"filename": certificate}, "private_key": {"filename": key}}],
            },
        },
    });
}

pub(super) fn cluster(name: &str, protocol: Protocol, (address, port): &(&str, u16)) -> Value {
    let endpoint = json!({"endpoint": {"address": {"socket_address": {"address": address, "port_value": port}}}});
    let mut cluster = json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": [endpoint]}]},
    });
    if protocol == Protocol::Http2 {
        cluster["typed_extension_protocol_options"] = json!({
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": format!("{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"),
                "explicit_http_config": {"http2_protocol_options": {}},
            },
        });
    }
    cluster
}

pub(super) fn string_value(text: &str) -> Value {
    json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text})
}

fn filter(plugin: &Plugin) -> Value {
    let mut config = json!({
        "name": plugin.name,
        "root_id": plugin.name,
        "failure_policy": plugin.failure_policy,
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "vm_id": plugin.vm_id,
            "code": {"local": {"filename": plugin.module}},
        },
    });
    if !plugin.environment.is_empty() {
        config["vm_config"]["environment_variables"] = json!({"key_values": plugin.environment});
    }
    if let Some(text) = &plugin.config {
        config["configuration"] = string_value(text);
    }
    json!({
        "name": format!("launchgate.{}", plugin.name),
        "typed_config": {"@type": format!("{TYPE}.extensions.filters.http.wasm.v3.Wasm"), "config": config},
    })
}
