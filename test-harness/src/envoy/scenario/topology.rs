//! From a scenario's gateway to a bootstrap.

use std::path::Path;

use serde_json::{Value, json};

use super::cast::Cast;
use crate::emulator::Modules;
use crate::envoy::bootstrap::Bootstrap;
use crate::envoy::upstream::Protocol;
use crate::scenario::load::Setup;
use crate::scenario::schema::{self, FailurePolicy, Route};

/// Name of the listener.
pub(super) const LISTENER: &str = "scenario";
/// How an access log line begins; then tab-separated fields.
pub(super) const RECORD: &str = "@record";

const TYPE: &str = "type.googleapis.com/envoy";

/// Certificate and key of the listener.
pub(super) struct Certificate<'a> {
    pub(super) certificate: &'a Path,
    pub(super) key: &'a Path,
}

/// The bootstrap of `setup`. `records` are the filter states that the access log prints.
pub(super) fn bootstrap(
    setup: &Setup,
    modules: &Modules,
    cast: &Cast,
    records: &[String],
    tls: &Certificate<'_>,
) -> Bootstrap {
    let listener = match &setup.listener.tcp {
        Some(cluster) => tcp_listener(setup, cluster, modules, records),
        None => http_listener(setup, modules, records, tls),
    };
    let mut bootstrap = Bootstrap::empty();
    for (name, upstream) in cast.upstreams() {
        bootstrap = bootstrap.upstream(name, upstream);
    }
    if let Some(upstream) = cast.tcp() {
        bootstrap = bootstrap.endpoint(upstream.cluster(), upstream.address());
    }
    bootstrap.edit(|document| {
        document["static_resources"]["listeners"] = json!([listener]);
        // Histograms show a sample only after a flush.
        document["stats_flush_interval"] = json!("0.05s");
        document["stats_config"] = json!({"stats_tags": setup.labels.iter().map(|label| {
            json!({"tag_name": label, "regex": format!(r"({label}=\.=(.*?);\.;)")})
        }).collect::<Vec<_>>()});
        if let Some(clusters) = document["static_resources"]["clusters"].as_array_mut() {
            let hostless = setup
                .clusters
                .iter()
                .filter(|(_, cluster)| cluster.hosts == Some(false));
            clusters.extend(
                hostless.map(
                    |(name, _)| json!({"name": name, "type": "STATIC", "connect_timeout": "1s"}),
                ),
            );
            clusters
                .iter_mut()
                .for_each(|cluster| carry_trailers(cluster, cast));
        }
    })
}

fn proxy_protocol() -> Value {
    json!({"name": "proxy_protocol", "typed_config": {
        "@type": format!("{TYPE}.extensions.filters.listener.proxy_protocol.v3.ProxyProtocol"),
        "allow_requests_without_proxy_protocol": true}})
}

fn listener(setup: &Setup, listener_filters: &Value, filter_chains: &Value) -> Value {
    json!({
        "name": LISTENER,
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "per_connection_buffer_limit_bytes": setup.listener.buffer_limit,
        "listener_filters": listener_filters,
        "filter_chains": filter_chains,
    })
}

fn http_listener(
    setup: &Setup,
    modules: &Modules,
    records: &[String],
    tls: &Certificate<'_>,
) -> Value {
    let manager = manager(setup, modules, records);
    let filters =
        json!([{"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}]);
    let secure = json!({
        "filter_chain_match": {"transport_protocol": "tls"},
        "filters": filters,
        "transport_socket": {"name": "tls", "typed_config": {
            "@type": format!("{TYPE}.extensions.transport_sockets.tls.v3.DownstreamTlsContext"),
            "common_tls_context": {"tls_certificates": [{"certificate_chain": {"filename": tls.certificate}, "private_key": {"filename": tls.key}}]},
        }},
    });
    let inspector = json!({"name": "tls_inspector", "typed_config": {"@type": format!("{TYPE}.extensions.filters.listener.tls_inspector.v3.TlsInspector")}});
    listener(
        setup,
        &json!([proxy_protocol(), inspector]),
        &json!([secure, {"filters": filters}]),
    )
}

/// Network filters before a TCP proxy. No TLS inspector: it would wait for a client that says nothing.
fn tcp_listener(setup: &Setup, cluster: &str, modules: &Modules, records: &[String]) -> Value {
    let kind = format!("{TYPE}.extensions.filters.network.wasm.v3.Wasm");
    let mut filters = wasm_filters(setup, modules, &kind);
    filters.push(json!({"name": "tcp_proxy", "typed_config": {
        "@type": format!("{TYPE}.extensions.filters.network.tcp_proxy.v3.TcpProxy"),
        "stat_prefix": LISTENER,
        "cluster": cluster,
        "access_log": access_log(records),
    }}));
    listener(
        setup,
        &json!([proxy_protocol()]),
        &json!([{"filters": filters}]),
    )
}

fn wasm_filters(setup: &Setup, modules: &Modules, kind: &str) -> Vec<Value> {
    let plugins = setup.plugins.iter();
    plugins
        .map(|plugin| filter(plugin, &modules.locate(&setup.folder, &plugin.plugin), kind))
        .collect()
}

fn access_log(records: &[String]) -> Value {
    let states: String = records
        .iter()
        .map(|key| format!("\t%FILTER_STATE(wasm.{key}:PLAIN)%"))
        .collect();
    let record = format!(
        "{RECORD}\t%REQ(:METHOD)%\t%REQ(X-ENVOY-ORIGINAL-PATH?:PATH)%\t%RESPONSE_CODE%\t%RESPONSE_CODE_DETAILS%{states}\n"
    );
    json!([{"name": "record", "typed_config": {
        "@type": format!("{TYPE}.extensions.access_loggers.file.v3.FileAccessLog"),
        "path": "/dev/stdout",
        "log_format": {"text_format_source": {"inline_string": record}},
    }}])
}

/// HTTP/1.1 upstreams send trailers only when the cluster takes them.
fn carry_trailers(cluster: &mut Value, cast: &Cast) {
    let is_http1 = cast.upstreams().any(|(name, upstream)| {
        cluster["name"] == name.as_str() && upstream.protocol() == Protocol::Http1
    });
    if is_http1 {
        let options = format!("{TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions");
        cluster["typed_extension_protocol_options"] = json!({"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
            "@type": options, "explicit_http_config": {"http_protocol_options": {"enable_trailers": true}}}});
    }
}

fn manager(setup: &Setup, modules: &Modules, records: &[String]) -> Value {
    let kind = format!("{TYPE}.extensions.filters.http.wasm.v3.Wasm");
    let mut filters = wasm_filters(setup, modules, &kind);
    filters.push(json!({"name": "router", "typed_config": {"@type": format!("{TYPE}.extensions.filters.http.router.v3.Router")}}));
    json!({
        "@type": format!("{TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": LISTENER,
        "use_remote_address": setup.listener.use_remote_address,
        "xff_num_trusted_hops": setup.listener.xff_num_trusted_hops,
        "normalize_path": setup.listener.normalize_path,
        "merge_slashes": setup.listener.normalize_path,
        "http_protocol_options": {"enable_trailers": true},
        "http_filters": filters,
        "route_config": {"name": "scenario", "virtual_hosts": [{"name": "all", "domains": ["*"], "routes": setup.routes.iter().map(route).collect::<Vec<_>>()}]},
        "access_log": access_log(records),
    })
}

/// Name of a plugin in Envoy's configuration.
fn name(plugin: &schema::Plugin) -> String {
    let stem = || {
        Path::new(&plugin.plugin)
            .file_stem()
            .map(|stem| stem.to_string_lossy().into_owned())
    };
    plugin.name.clone().or_else(stem).unwrap_or_default()
}

fn filter(plugin: &schema::Plugin, module: &Path, kind: &str) -> Value {
    let text = |value: &Value| {
        value
            .as_str()
            .map_or_else(|| value.to_string(), str::to_owned)
    };
    let string = |value: &Value| json!({"@type": "type.googleapis.com/google.protobuf.StringValue", "value": text(value)});
    let mut config = json!({
        "name": name(plugin),
        "root_id": plugin.root_id,
        "failure_policy": match plugin.failure_policy {
            FailurePolicy::FailClosed => "FAIL_CLOSED",
            FailurePolicy::FailOpen => "FAIL_OPEN",
            FailurePolicy::FailReload => "FAIL_RELOAD",
        },
        "allow_on_headers_stop_iteration": plugin.allow_on_headers_stop_iteration,
        "vm_config": {
            "runtime": "envoy.wasm.runtime.v8",
            "vm_id": plugin.vm_id,
            "code": {"local": {"filename": module}},
            "environment_variables": {"key_values": plugin.env},
        },
    });
    if let Some(value) = &plugin.config {
        config["configuration"] = string(value);
    }
    if let Some(value) = &plugin.vm_config {
        config["vm_config"]["configuration"] = string(value);
    }
    if let Some(backoff) = plugin.reload_backoff {
        config["reload_config"] = json!({"backoff": {"base_interval": seconds(backoff.0)}});
    }
    json!({"name": name(plugin), "typed_config": {"@type": kind, "config": config}})
}

fn route(route: &Route) -> Value {
    let exact =
        |(name, value): (&String, &String)| json!({"name": name, "string_match": {"exact": value}});
    let headers: Vec<Value> = route.headers.iter().map(exact).collect();
    let mut built = json!({"name": route.name, "match": {"prefix": route.prefix.as_deref().unwrap_or("/"), "headers": headers}});
    if let Some(direct) = &route.direct_response {
        built["direct_response"] =
            json!({"status": direct.status, "body": {"inline_string": direct.body.show()}});
    } else {
        built["route"] = action(route);
    }
    let disabled =
        json!({"@type": format!("{TYPE}.config.route.v3.FilterConfig"), "disabled": true});
    for plugin in &route.disabled {
        built["typed_per_filter_config"][plugin] = disabled.clone();
    }
    built
}

fn action(route: &Route) -> Value {
    let mut action = json!({});
    if let Some(cluster) = &route.cluster {
        action["cluster"] = json!(cluster);
    }
    if let Some(header) = &route.cluster_header {
        action["cluster_header"] = json!(header);
    }
    if let Some(weighted) = &route.weighted {
        let clusters = weighted
            .clusters
            .iter()
            .map(|cluster| json!({"name": cluster.name, "weight": cluster.weight}));
        action["weighted_clusters"] = json!({"clusters": clusters.collect::<Vec<_>>()});
        if let Some(header) = &weighted.header {
            action["weighted_clusters"]["header_name"] = json!(header);
        }
    }
    if let Some(timeout) = route.timeout {
        action["timeout"] = seconds(timeout.0);
    }
    action
}

fn seconds(duration: std::time::Duration) -> Value {
    json!(format!(
        "{}.{:09}s",
        duration.as_secs(),
        duration.subsec_nanos()
    ))
}
