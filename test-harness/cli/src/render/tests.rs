//! Renderings of small manifests, compared whole.

use std::path::Path;

use serde_json::json;

use super::*;
use crate::manifest::{self, Manifest};

fn load(yaml: &str) -> Vec<Manifest> {
    let file = tempfile::NamedTempFile::with_suffix(".yaml").unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    manifest::load(&[file.path().to_owned()]).unwrap()
}

const PLUGIN: &str = "
apiVersion: extensions.istio.io/v1alpha1
kind: WasmPlugin
metadata: {name: launchgate-health, namespace: edge}
spec:
  url: oci://registry.example.org/plugins/health:1.0.0
  sha256: ''
  pluginName: health
  phase: AUTHN
  priority: 20
  failStrategy: FAIL_RELOAD
  vmConfig: {env: [{name: TOKEN, valueFrom: HOST}, {name: ZONE, value: a}]}
  pluginConfig: {service: shop, limit: 5.0, share: 0.25}
";

#[test]
fn a_wasm_plugin_becomes_the_filter_that_istio_makes() {
    let chain = chain(&load(PLUGIN));
    let filter = filter::render(&chain[0], Some(Path::new("dist")));
    let expected = json!({
        "name": "edge.launchgate-health",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
            "config": {
                "name": "edge.launchgate-health",
                "root_id": "health",
                "failure_policy": "FAIL_RELOAD",
                "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": chain_text(&chain[0])},
                "vm_config": {
                    "runtime": "envoy.wasm.runtime.v8",
                    "code": {"local": {"filename": "dist/health.wasm"}},
                    "environment_variables": {"host_env_keys": ["TOKEN"], "key_values": {"ZONE": "a"}},
                },
            },
        },
    });
    assert_eq!(filter, expected);
    let config: Value = serde_json::from_str(&chain_text(&chain[0])).unwrap();
    assert_eq!(
        config,
        json!({"service": "shop", "limit": 5, "share": 0.25})
    );
}

fn chain_text(extension: &crate::extension::Extension) -> String {
    filter::configuration(extension).unwrap()
}

#[test]
fn an_absent_or_empty_configuration_is_none_at_all() {
    for config in ["", "  pluginConfig: {}\n"] {
        let yaml = format!(
            "apiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: a}}\nspec:\n  url: x/a:1\n{config}"
        );
        let chain = chain(&load(&yaml));
        assert_eq!(filter::configuration(&chain[0]), None, "{config:?}");
        assert!(
            filter::render(&chain[0], None)["typed_config"]["config"]
                .get("configuration")
                .is_none()
        );
    }
}

#[test]
fn a_remote_module_keeps_its_reference_and_digest() {
    let chain = chain(&load(PLUGIN));
    let remote =
        filter::render(&chain[0], None)["typed_config"]["config"]["vm_config"]["code"]["remote"]
            .clone();
    assert_eq!(
        remote,
        json!({"http_uri": {"uri": "oci://registry.example.org/plugins/health:1.0.0", "timeout": "30s", "cluster": "_"}, "sha256": ""})
    );
}

#[test]
fn the_chain_goes_by_phase_then_priority_and_unset_comes_last() {
    let one = |name: &str, phase: &str, priority: &str| {
        format!(
            "---\napiVersion: extensions.istio.io/v1alpha1\nkind: WasmPlugin\nmetadata: {{name: {name}}}\nspec: {{url: 'x/a:1', phase: {phase}{priority}}}\n"
        )
    };
    let yaml = [
        one("e", "UNSPECIFIED_PHASE", ", priority: 1000"),
        one("d", "STATS", ""),
        one("c", "AUTHN", ""),
        one("b", "AUTHN", ", priority: -5"),
        one("a", "AUTHN", ", priority: 7"),
    ];
    let names: Vec<_> = chain(&load(&yaml.concat()))
        .iter()
        .map(|e| e.name.clone())
        .collect();
    assert_eq!(names, ["a", "b", "c", "d", "e"]);
}

#[test]
fn a_policy_of_envoy_gateway_gets_a_vm_of_its_own_and_is_switched_on_by_routes() {
    let yaml = "
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: EnvoyExtensionPolicy
metadata: {name: edge, namespace: shop}
spec:
  targetRefs: [{group: gateway.networking.k8s.io, kind: Gateway, name: g}]
  wasm:
    - {name: tls, rootID: tls, failOpen: true, code: {type: Image, image: {url: 'r/tls:1'}}, env: {hostKeys: [A]}, config: {mode: report}}
";
    let filter = filter::render(&chain(&load(yaml))[0], Some(Path::new("m")));
    assert_eq!(
        filter["name"],
        "envoy.filters.http.wasm/envoyextensionpolicy/shop/edge/wasm/0"
    );
    assert_eq!(filter["disabled"], true);
    let plugin = &filter["typed_config"]["config"];
    assert_eq!(plugin["fail_open"], true);
    assert_eq!(
        plugin["vm_config"]["vm_id"],
        "envoyextensionpolicy/shop/edge/wasm/0"
    );
    assert_eq!(
        plugin["vm_config"]["environment_variables"],
        json!({"host_env_keys": ["A"]})
    );
    assert_eq!(plugin["configuration"]["value"], "{\"mode\":\"report\"}");
}

#[test]
fn a_rule_that_is_not_understood_is_an_error() {
    let yaml = "apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: a}\nspec: {hosts: [a], http: [{mirror: {host: b}, route: [{destination: {host: a, port: {number: 1}}}]}]}\n";
    let error = route::virtual_hosts(&load(yaml)[0]).unwrap_err();
    assert!(
        error.ends_with("spec.http[0].mirror: not rendered"),
        "{error}"
    );
}

#[test]
fn the_shipped_traffic_extensions_are_the_twins_of_the_plugins() {
    let istio = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy-configs/istio");
    let plugins = manifest::load(&[istio.join("base")]).unwrap();
    let expected: Vec<_> = plugins.iter().filter_map(traffic_extension::of).collect();
    let mut shipped: Vec<_> = manifest::load(&[istio.join("traffic-extension")])
        .unwrap()
        .into_iter()
        .map(|m| m.value)
        .collect();
    shipped.retain(|m| m["kind"] == "TrafficExtension");
    assert_eq!(expected.len(), 6);
    assert_eq!(shipped, expected, "run `make manifests`");
}

/// Istio 1.30 and later: the same filters, whichever of the two resources says so.
#[test]
fn traffic_extensions_render_to_the_bootstrap_of_their_plugins() {
    let istio = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../envoy-configs/istio");
    let plugins = manifest::load(&[istio.join("base")]).unwrap();
    let mut extensions = plugins.clone();
    extensions.retain(|manifest| manifest.kind() != "WasmPlugin");
    extensions.extend(manifest::load(&[istio.join("traffic-extension")]).unwrap());
    let render = |manifests: &[Manifest]| {
        bootstrap::render(manifests, &chain(manifests), &Options::default()).unwrap()
    };
    assert_eq!(chain(&plugins).len(), 6);
    assert_eq!(render(&extensions), render(&plugins));
}

#[test]
fn versions_and_ciphers_of_a_server_are_those_of_its_gateway() {
    let istio = "
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: {name: a}
spec:
  servers:
    - {port: {number: 80}, hosts: ['*']}
    - {port: {number: 443}, hosts: [shop/a.example.org], tls: {credentialName: one, minProtocolVersion: TLSV1_3, cipherSuites: [X]}}
    - {port: {number: 443}, hosts: [b.example.org], tls: {credentialName: two}}
";
    let servers = |yaml: &str| -> Vec<_> {
        let of = |s: tls::Server| json!([s.hosts, s.secret, s.parameters]);
        tls::servers(&load(yaml)).into_iter().map(of).collect()
    };
    assert_eq!(
        servers(istio),
        [
            json!([["a.example.org"], "one", {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3", "cipher_suites": ["X"]}]),
            json!([["b.example.org"], "two", {"tls_minimum_protocol_version": "TLSv1_2", "tls_maximum_protocol_version": "TLSv1_3"}]),
        ]
    );
    let gateway_api = "
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: a}
spec:
  listeners:
    - {name: http, port: 80}
    - {name: https, port: 443, hostname: a.example.org, tls: {certificateRefs: [{name: one}]}}
---
apiVersion: gateway.envoyproxy.io/v1alpha1
kind: ClientTrafficPolicy
metadata: {name: a}
spec: {tls: {minVersion: '1.3', ciphers: [X]}}
";
    assert_eq!(
        servers(gateway_api),
        [
            json!([["a.example.org"], "one", {"tls_minimum_protocol_version": "TLSv1_3", "tls_maximum_protocol_version": "TLSv1_3", "cipher_suites": ["X"]}])
        ]
    );
}
