//! A wasm extension of a gateway, whichever resource declares it: Istio's `WasmPlugin` or `TrafficExtension`, or one entry
//! of Envoy Gateway's `EnvoyExtensionPolicy`.

use std::fmt;

use serde_json::Value;

use crate::manifest::Manifest;

/// Which resource an extension comes from; they differ in what they can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    WasmPlugin,
    TrafficExtension,
    /// The entry's index in `spec.wasm`.
    EnvoyExtensionPolicy(usize),
}

/// Where the module is fetched from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// An image, without the scheme: `registry.example.org/plugins/health:1.0.0`.
    Image(String),
    /// `http://` or `https://`.
    Http(String),
    /// A path inside the proxy's container.
    File(String),
    /// A scheme that nobody fetches.
    Unknown(String),
}

impl Source {
    /// Istio: no scheme is `oci`.
    fn of_url(url: &str) -> Self {
        match url.split_once("://") {
            None => Self::Image(url.to_owned()),
            Some(("oci", rest)) => Self::Image(rest.to_owned()),
            Some(("file", path)) => Self::File(path.to_owned()),
            Some(("http" | "https", _)) => Self::Http(url.to_owned()),
            Some(_) => Self::Unknown(url.to_owned()),
        }
    }

    /// The plugin's name by the registry's layout: the last segment, without tag, digest and `.wasm`.
    pub(crate) fn plugin(&self) -> &str {
        let (Self::Image(text) | Self::Http(text) | Self::File(text) | Self::Unknown(text)) = self;
        let last = text
            .split('@')
            .next()
            .unwrap_or_default()
            .rsplit('/')
            .next()
            .unwrap_or_default();
        let name = last.split(':').next().unwrap_or_default();
        name.strip_suffix(".wasm").unwrap_or(name)
    }
}

/// A variable of the VM's environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Variable {
    pub(crate) name: String,
    /// `None`: taken from the environment of the proxy process.
    pub(crate) value: Option<String>,
}

/// What happens after the VM died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FailurePolicy {
    Closed,
    Open,
    Reload,
}

/// The place in Istio's chain; it comes before the priority.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    Authn,
    Authz,
    Stats,
    Unspecified,
}

/// One extension.
#[derive(Debug, Clone)]
pub(crate) struct Extension {
    pub(crate) origin: Origin,
    pub(crate) namespace: String,
    pub(crate) name: String,
    /// Where its fields stand in the document: `spec`, `spec.wasm`, `spec.wasm[2]`.
    pub(crate) path: String,
    pub(crate) source: Source,
    pub(crate) sha256: String,
    pub(crate) root_id: String,
    pub(crate) phase: Phase,
    /// Unset sorts last.
    pub(crate) priority: Option<i64>,
    pub(crate) failure: FailurePolicy,
    pub(crate) variables: Vec<Variable>,
    /// Absent and `{}` are the same to Istio: the plugin gets no configuration.
    pub(crate) config: Option<Value>,
}

impl Extension {
    /// The path of its configuration in the document.
    pub(crate) fn config_path(&self) -> String {
        match self.origin {
            Origin::EnvoyExtensionPolicy(_) => format!("{}.config", self.path),
            _ => format!("{}.pluginConfig", self.path),
        }
    }

    /// The path of a field that has one name in Istio and another in Envoy Gateway.
    pub(crate) fn field_path(&self, istio: &str, envoy_gateway: &str) -> String {
        match self.origin {
            Origin::EnvoyExtensionPolicy(_) => format!("{}.{envoy_gateway}", self.path),
            _ => format!("{}.{istio}", self.path),
        }
    }
}

impl fmt::Display for Extension {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// The extensions that a manifest declares; fields of a wrong type read as absent (the shape check names them).
pub(crate) fn of(manifest: &Manifest) -> Vec<Extension> {
    let spec = &manifest.value["spec"];
    match manifest.kind() {
        "WasmPlugin" => vec![of_istio(manifest, Origin::WasmPlugin, spec, spec, "spec")],
        "TrafficExtension" if spec["wasm"].is_object() => {
            vec![of_istio(
                manifest,
                Origin::TrafficExtension,
                spec,
                &spec["wasm"],
                "spec.wasm",
            )]
        }
        "EnvoyExtensionPolicy" => {
            let entries = spec["wasm"].as_array().into_iter().flatten();
            entries
                .enumerate()
                .map(|(index, entry)| of_envoy_gateway(manifest, index, entry))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// In the order of the chain: by phase, then priority, higher first, unset last; Envoy Gateway's in the order of the list.
pub(crate) fn in_chain_order(mut extensions: Vec<Extension>) -> Vec<Extension> {
    extensions.sort_by_key(|e| match e.origin {
        Origin::EnvoyExtensionPolicy(index) => (
            e.phase,
            i64::try_from(index).unwrap_or(i64::MAX),
            String::new(),
        ),
        _ => (
            e.phase,
            e.priority.map_or(i64::MAX, |p| -p),
            format!("{}.{}", e.name, e.namespace),
        ),
    });
    extensions
}

fn of_istio(
    manifest: &Manifest,
    origin: Origin,
    spec: &Value,
    wasm: &Value,
    path: &str,
) -> Extension {
    Extension {
        origin,
        namespace: manifest.namespace().to_owned(),
        name: manifest.name().to_owned(),
        path: path.to_owned(),
        source: Source::of_url(text(&wasm["url"])),
        sha256: text(&wasm["sha256"]).to_owned(),
        root_id: text(&wasm["pluginName"]).to_owned(),
        phase: match text(&spec["phase"]) {
            "AUTHN" => Phase::Authn,
            "AUTHZ" => Phase::Authz,
            "STATS" => Phase::Stats,
            _ => Phase::Unspecified,
        },
        priority: spec["priority"].as_i64(),
        failure: match text(&wasm["failStrategy"]) {
            "FAIL_OPEN" => FailurePolicy::Open,
            "FAIL_RELOAD" => FailurePolicy::Reload,
            _ => FailurePolicy::Closed,
        },
        variables: wasm["vmConfig"]["env"]
            .as_array()
            .into_iter()
            .flatten()
            .map(variable)
            .collect(),
        config: given(&wasm["pluginConfig"]),
    }
}

fn of_envoy_gateway(manifest: &Manifest, index: usize, entry: &Value) -> Extension {
    let code = &entry["code"];
    let (source, sha256) = match text(&code["type"]) {
        "HTTP" => (
            Source::Http(text(&code["http"]["url"]).to_owned()),
            text(&code["http"]["sha256"]),
        ),
        _ => (
            Source::Image(text(&code["image"]["url"]).to_owned()),
            text(&code["image"]["sha256"]),
        ),
    };
    let keys = entry["env"]["hostKeys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    Extension {
        origin: Origin::EnvoyExtensionPolicy(index),
        namespace: manifest.namespace().to_owned(),
        name: format!("{}/{}", manifest.name(), text(&entry["name"])),
        path: format!("spec.wasm[{index}]"),
        source,
        sha256: sha256.to_owned(),
        root_id: text(&entry["rootID"]).to_owned(),
        phase: Phase::Unspecified,
        priority: None,
        failure: if entry["failOpen"] == Value::Bool(true) {
            FailurePolicy::Open
        } else {
            FailurePolicy::Closed
        },
        variables: keys
            .map(|name| Variable {
                name: name.to_owned(),
                value: None,
            })
            .collect(),
        config: given(&entry["config"]),
    }
}

fn variable(env: &Value) -> Variable {
    let inline = text(&env["valueFrom"]) != "HOST";
    Variable {
        name: text(&env["name"]).to_owned(),
        value: inline.then(|| text(&env["value"]).to_owned()),
    }
}

fn given(config: &Value) -> Option<Value> {
    let empty = config.is_null() || config.as_object().is_some_and(serde_json::Map::is_empty);
    (!empty).then(|| config.clone())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_is_named_by_the_last_segment_of_its_source() {
        for (url, expected) in [
            (
                "oci://registry.example.org:5000/plugins/health:1.0.0",
                "health",
            ),
            (
                "registry.example.org/plugins/access-log@sha256:00",
                "access-log",
            ),
            ("https://example.org/launchgate/tls.wasm", "tls"),
            ("file:///opt/launchgate/canary.wasm", "canary"),
        ] {
            assert_eq!(Source::of_url(url).plugin(), expected, "{url}");
        }
    }
}
