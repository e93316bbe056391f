//! A bootstrap that a test can start: shipped files rewritten, or one made from nothing.
//!
//! 1. Every listener gets port 0 of 127.0.0.1; the real port is asked of Envoy later. A listener that one of the file's own
//!    clusters points at becomes a socket file instead, and the cluster follows it.
//! 2. The admin interface becomes a socket file, and so does every cluster that points at it. `allow_paths` is widened by what
//!    the runner reads itself.
//! 3. A cluster with a scripted upstream ([`Bootstrap::upstream`]) gets its address. Any other cluster gets a port that
//!    refuses connections, never one of the machine at hand.
//! 4. `*.wasm` files and other named files are replaced as told; a module that was not given is an error.

mod parts;
mod rewrite;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use thiserror::Error;

use super::upstream::{Protocol, Upstream};
pub(crate) use rewrite::Prepared;

/// A bootstrap and what is to be rewritten in it.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    document: Value,
    upstreams: BTreeMap<String, SocketAddr>,
    files: BTreeMap<String, PathBuf>,
}

/// Why a bootstrap cannot be used.
#[derive(Debug, Error)]
pub enum InvalidBootstrap {
    /// The file is not there or cannot be written.
    #[error("{path:?}: {source}")]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is no YAML.
    #[error("bootstrap is no YAML: {0}")]
    Syntax(#[from] serde_norway::Error),
    /// It names a module that the test does not give.
    #[error("bootstrap names the module {0:?}: expected a path for it by `file({0:?}, …)`")]
    MissingModule(String),
    /// The test speaks of something that is not in it.
    #[error("bootstrap has no {kind} {name:?}")]
    Unknown {
        /// Listener, cluster or plugin.
        kind: &'static str,
        /// The name asked for.
        name: String,
    },
}

/// One plugin of a filter chain.
#[derive(Debug, Clone)]
pub struct Plugin {
    /// Name and root id.
    pub name: String,
    /// The module.
    pub module: PathBuf,
    /// The configuration text; none at all when absent.
    pub config: Option<String>,
    /// Shared data and VMs are keyed by it.
    pub vm_id: String,
    /// The VM's environment.
    pub environment: BTreeMap<String, String>,
    /// `FAIL_CLOSED`, `FAIL_OPEN` or `FAIL_RELOAD`.
    pub failure_policy: &'static str,
}

impl Plugin {
    /// A plugin without configuration that fails closed, in a VM of its own name.
    pub fn new(name: &str, module: impl Into<PathBuf>) -> Self {
        Self {
            name: name.to_owned(),
            module: module.into(),
            config: None,
            vm_id: name.to_owned(),
            environment: BTreeMap::new(),
            failure_policy: "FAIL_CLOSED",
        }
    }

    /// With this configuration.
    #[must_use]
    pub fn config(mut self, config: &Value) -> Self {
        self.config = Some(config.to_string());
        self
    }

    /// With this configuration text, valid or not.
    #[must_use]
    pub fn config_text(mut self, config: &str) -> Self {
        self.config = Some(config.to_owned());
        self
    }

    /// With this VM id.
    #[must_use]
    pub fn vm_id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.vm_id);
        self
    }

    /// With a variable in the VM's environment.
    #[must_use]
    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.insert(name.to_owned(), value.to_owned());
        self
    }

    /// With this failure policy.
    #[must_use]
    pub fn failure_policy(mut self, policy: &'static str) -> Self {
        self.failure_policy = policy;
        self
    }
}

impl Bootstrap {
    /// A shipped bootstrap.
    pub fn read(path: &Path) -> Result<Self, InvalidBootstrap> {
        let text = std::fs::read_to_string(path).map_err(|source| InvalidBootstrap::File {
            path: path.to_owned(),
            source,
        })?;
        Self::from_yaml(&text)
    }

    /// A bootstrap from YAML (or JSON) text.
    pub fn from_yaml(text: &str) -> Result<Self, InvalidBootstrap> {
        let document = serde_norway::from_str(text)?;
        Ok(Self {
            document,
            upstreams: BTreeMap::new(),
            files: BTreeMap::new(),
        })
    }

    /// No listener, no cluster.
    #[must_use]
    pub fn empty() -> Self {
        let document = json!({"static_resources": {"listeners": [], "clusters": []}});
        Self {
            document,
            upstreams: BTreeMap::new(),
            files: BTreeMap::new(),
        }
    }

    /// One plain listener `gateway` with these plugins, which routes everything to the cluster `app`.
    #[must_use]
    pub fn gateway(plugins: &[Plugin]) -> Self {
        Self::empty().listener("gateway", plugins)
    }

    /// Adds a plain listener with these plugins, which routes everything to the cluster `app`.
    #[must_use]
    pub fn listener(mut self, name: &str, plugins: &[Plugin]) -> Self {
        self.list("listeners").push(parts::listener(name, plugins));
        self
    }

    /// Adds a TLS listener with these plugins and this certificate and key.
    #[must_use]
    pub fn tls_listener(
        self,
        name: &str,
        plugins: &[Plugin],
        certificate: &Path,
        key: &Path,
    ) -> Self {
        let mut with = self.listener(name, plugins);
        if let Some(listener) = with.list("listeners").last_mut() {
            parts::terminate_tls(listener, certificate, key);
        }
        with
    }

    /// Lets the cluster `name` reach `upstream`, and adds the cluster if the file has none of that name.
    #[must_use]
    pub fn upstream(mut self, name: &str, upstream: &Upstream) -> Self {
        self.add_cluster(name, upstream.protocol());
        self.upstreams.insert(name.to_owned(), upstream.address());
        self
    }

    /// The same for a server that the test started itself, HTTP/1.1 or not HTTP at all.
    #[must_use]
    pub fn endpoint(mut self, name: &str, address: SocketAddr) -> Self {
        self.add_cluster(name, Protocol::Http1);
        self.upstreams.insert(name.to_owned(), address);
        self
    }

    /// Adds a cluster `name` of Envoy's own admin interface.
    #[must_use]
    pub fn admin_cluster(mut self, name: &str) -> Self {
        let cluster = parts::cluster(name, Protocol::Http1, &parts::ADMIN);
        self.list("clusters").push(cluster);
        self
    }

    /// Replaces a file name of the bootstrap: a whole one, or the last part of a path (`health.wasm`).
    #[must_use]
    pub fn file(mut self, named: &str, path: impl Into<PathBuf>) -> Self {
        self.files.insert(named.to_owned(), path.into());
        self
    }

    /// Replaces the configuration text of the plugin `name` in every filter chain.
    pub fn plugin_config(mut self, name: &str, config: &str) -> Result<Self, InvalidBootstrap> {
        let mut found = false;
        rewrite::walk(&mut self.document, &mut |object| {
            if object.get("name").and_then(Value::as_str) == Some(name)
                && object.contains_key("vm_config")
            {
                object.insert("configuration".to_owned(), parts::string_value(config));
                found = true;
            }
        });
        match found {
            true => Ok(self),
            false => Err(InvalidBootstrap::Unknown {
                kind: "plugin",
                name: name.to_owned(),
            }),
        }
    }

    /// Puts on port `to` whatever is on port `from`, and what points there. For a start in the foreground; tests leave the
    /// ports to Envoy.
    #[must_use]
    pub fn on_port(mut self, from: u16, to: u16) -> Self {
        rewrite::walk(&mut self.document, &mut |object| {
            if object.get("port_value").and_then(Value::as_u64) == Some(u64::from(from)) {
                object.insert("port_value".to_owned(), json!(to));
            }
        });
        self
    }

    /// Changes the configuration of every plugin that has one in JSON.
    #[must_use]
    pub fn plugin_configs(mut self, mut change: impl FnMut(&mut Value)) -> Self {
        rewrite::walk(&mut self.document, &mut |object| {
            let configuration = object
                .get("vm_config")
                .is_some()
                .then(|| object.get_mut("configuration"))
                .flatten();
            let Some(Value::String(text)) =
                configuration.and_then(|config| config.get_mut("value"))
            else {
                return;
            };
            if let Ok(mut config) = serde_json::from_str(text) {
                change(&mut config);
                *text = config.to_string();
            }
        });
        self
    }

    /// The files that the document names and that are not there.
    #[must_use]
    pub fn missing_files(&self) -> Vec<PathBuf> {
        let (mut document, mut missing) = (self.document.clone(), Vec::new());
        rewrite::walk(&mut document, &mut |object| {
            let name = object.get("filename").and_then(Value::as_str);
            missing.extend(name.map(PathBuf::from).filter(|path| !path.is_file()));
        });
        missing
    }

    /// Any other change of the document.
    #[must_use]
    pub fn edit(mut self, change: impl FnOnce(&mut Value)) -> Self {
        change(&mut self.document);
        self
    }

    /// The document as it stands, before the rewriting at start.
    #[must_use]
    pub fn document(&self) -> &Value {
        &self.document
    }

    fn add_cluster(&mut self, name: &str, protocol: Protocol) {
        let clusters = self.list("clusters");
        if !clusters.iter().any(|cluster| cluster["name"] == name) {
            clusters.push(parts::cluster(name, protocol, &parts::NOWHERE));
        }
    }

    fn list(&mut self, kind: &str) -> &mut Vec<Value> {
        let resources = object(&mut self.document)
            .entry("static_resources")
            .or_insert_with(|| json!({}));
        let list = object(resources).entry(kind).or_insert_with(|| json!([]));
        if !list.is_array() {
            *list = json!([]);
        }
        match list {
            Value::Array(list) => list,
            _ => unreachable!("made an array just above"),
        }
    }
}

/// The value as an object; anything else becomes an empty one (Envoy then says what is missing).
pub(crate) fn object(value: &mut Value) -> &mut Map<String, Value> {
    if !value.is_object() {
        *value = json!({});
    }
    match value {
        Value::Object(object) => object,
        _ => unreachable!("made an object just above"),
    }
}
