//! The rewriting at start: nothing of the result depends on a port or path of the machine.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{Bootstrap, InvalidBootstrap, object};
use crate::envoy::upstream::closed_port;

/// What the runner itself asks of the admin interface.
const READ_BY_RUNNER: [&str; 8] = [
    "/ready",
    "/listeners",
    "/stats",
    "/config_dump",
    "/clusters",
    "/server_info",
    "/memory",
    "/quitquitquit",
];

/// A bootstrap on disk, ready to start.
pub(crate) struct Prepared {
    pub(crate) file: PathBuf,
    pub(crate) admin: PathBuf,
    /// Listener names by the port the file asked for.
    pub(crate) ports: BTreeMap<u16, String>,
}

impl Bootstrap {
    /// Rewrites and writes the document into `folder`.
    pub(crate) fn prepare(&self, folder: &Path) -> Result<Prepared, InvalidBootstrap> {
        let mut document = self.document.clone();
        let admin = folder.join("admin.sock");
        let mut sockets = BTreeMap::from([(move_admin(&mut document, &admin), admin.clone())]);
        sockets.extend(move_inner_listeners(&mut document, folder));
        let ports = move_outer_listeners(&mut document);
        self.move_clusters(&mut document, &sockets)?;
        self.move_files(&mut document)?;
        let file = write(&document, folder)?;
        Ok(Prepared { file, admin, ports })
    }

    /// Writes the document into `folder` with its own ports and addresses; only files are replaced, and listeners that its own
    /// clusters point at become socket files: a gateway in the foreground takes no port that nobody asked for.
    pub(crate) fn write_as_shipped(&self, folder: &Path) -> Result<PathBuf, InvalidBootstrap> {
        let mut document = self.document.clone();
        let sockets = move_inner_listeners(&mut document, folder);
        for cluster in resources(&mut document, "clusters") {
            follow_sockets(cluster, &sockets);
        }
        self.move_files(&mut document)?;
        write(&document, folder)
    }

    fn move_clusters(
        &self,
        document: &mut Value,
        sockets: &BTreeMap<u16, PathBuf>,
    ) -> Result<(), InvalidBootstrap> {
        let mut known = BTreeSet::new();
        for cluster in resources(document, "clusters") {
            let name = cluster["name"].as_str().unwrap_or_default().to_owned();
            let target = self.upstreams.get(&name).copied();
            move_endpoints(cluster, target, sockets);
            known.insert(name);
        }
        match self.upstreams.keys().find(|name| !known.contains(*name)) {
            Some(name) => Err(InvalidBootstrap::Unknown {
                kind: "cluster",
                name: name.clone(),
            }),
            None => Ok(()),
        }
    }

    fn move_files(&self, document: &mut Value) -> Result<(), InvalidBootstrap> {
        let mut missing = None;
        walk(document, &mut |object| {
            let Some(Value::String(name)) = object.get_mut("filename") else {
                return;
            };
            let last = Path::new(&*name)
                .file_name()
                .and_then(|last| last.to_str())
                .unwrap_or_default();
            match self.files.get(&*name).or_else(|| self.files.get(last)) {
                Some(path) => *name = path.display().to_string(),
                None if name.ends_with(".wasm") && !Path::new(&*name).is_file() => {
                    missing = Some(last.to_owned())
                }
                None => {}
            }
        });
        missing.map_or(Ok(()), |name| Err(InvalidBootstrap::MissingModule(name)))
    }
}

fn write(document: &Value, folder: &Path) -> Result<PathBuf, InvalidBootstrap> {
    let path = folder.join("bootstrap.json");
    match std::fs::write(&path, document.to_string()) {
        Ok(()) => Ok(path),
        Err(source) => Err(InvalidBootstrap::File { path, source }),
    }
}

/// Calls `visit` on every object of the document.
pub(super) fn walk(value: &mut Value, visit: &mut dyn FnMut(&mut Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values_mut().for_each(|value| walk(value, visit));
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, visit)),
        _ => {}
    }
}

/// Moves the admin interface to a socket file and returns the port it had.
fn move_admin(document: &mut Value, socket: &Path) -> u16 {
    let admin = object(document).entry("admin").or_insert_with(|| json!({}));
    let port = admin["address"]["socket_address"]["port_value"]
        .as_u64()
        .unwrap_or(u64::from(super::parts::ADMIN.1));
    admin["address"] = pipe(socket);
    if let Some(allowed) = admin.get_mut("allow_paths").and_then(Value::as_array_mut) {
        allowed.extend(READ_BY_RUNNER.iter().map(|path| json!({"prefix": path})));
    }
    u16::try_from(port).unwrap_or(0)
}

/// Moves the listeners that the file's own clusters point at to socket files, and returns these by port.
fn move_inner_listeners(document: &mut Value, folder: &Path) -> BTreeMap<u16, PathBuf> {
    let inward = endpoint_ports(document);
    let mut sockets = BTreeMap::new();
    for listener in resources(document, "listeners") {
        if let Some(port) = port_of(listener).filter(|port| *port != 0 && inward.contains(port)) {
            let path = folder.join(format!("{port}.sock"));
            listener["address"] = pipe(&path);
            sockets.insert(port, path);
        }
    }
    sockets
}

/// Moves the other listeners to free ports, and returns their names by the port that the file asked for.
fn move_outer_listeners(document: &mut Value) -> BTreeMap<u16, String> {
    let mut ports = BTreeMap::new();
    for (index, listener) in resources(document, "listeners").iter_mut().enumerate() {
        let name = listener["name"]
            .as_str()
            .map_or_else(|| format!("listener_{index}"), str::to_owned);
        listener["name"] = json!(name);
        let Some(port) = port_of(listener) else {
            continue;
        };
        listener["address"] = socket_address((Ipv4Addr::LOCALHOST, 0).into());
        // By default stats are named by the configured address, which all listeners now share.
        object(listener)
            .entry("stat_prefix")
            .or_insert_with(|| json!(name));
        ports.insert(port, name);
    }
    ports
}

fn port_of(listener: &Value) -> Option<u16> {
    let port = listener["address"]["socket_address"]["port_value"].as_u64();
    port.and_then(|port| u16::try_from(port).ok())
}

/// Local ports that the file's own clusters point at.
fn endpoint_ports(document: &mut Value) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for cluster in resources(document, "clusters") {
        walk(cluster, &mut |object| {
            let Some(socket) = object.get("socket_address") else {
                return;
            };
            let local = matches!(
                socket["address"].as_str(),
                Some("127.0.0.1" | "localhost" | "::1")
            );
            let port = socket["port_value"]
                .as_u64()
                .and_then(|port| u16::try_from(port).ok());
            ports.extend(port.filter(|_| local));
        });
    }
    ports
}

fn move_endpoints(
    cluster: &mut Value,
    target: Option<SocketAddr>,
    sockets: &BTreeMap<u16, PathBuf>,
) {
    let mut moved = false;
    walk(cluster, &mut |object| {
        if !object.contains_key("socket_address") {
            return;
        }
        let port = object["socket_address"]["port_value"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        let socket = port.and_then(|port| sockets.get(&port));
        let address = match (target, socket) {
            (Some(address), _) => socket_address(address),
            (None, Some(path)) => pipe(path),
            (None, None) => socket_address(closed_port()),
        };
        if let Value::Object(address) = address {
            *object = address;
        }
        moved = true;
    });
    if moved {
        // A socket file or a literal address needs no name service, and STRICT_DNS refuses the former.
        cluster["type"] = json!("STATIC");
    }
}

/// Lets a cluster reach the listeners that are socket files now.
fn follow_sockets(cluster: &mut Value, sockets: &BTreeMap<u16, PathBuf>) {
    let mut moved = false;
    walk(cluster, &mut |object| {
        let socket = &object.get("socket_address").cloned().unwrap_or_default();
        let port = socket["port_value"].as_u64();
        let path = port
            .and_then(|port| u16::try_from(port).ok())
            .and_then(|port| sockets.get(&port));
        if let Some(Value::Object(address)) = path.map(|path| pipe(path)) {
            *object = address;
            moved = true;
        }
    });
    if moved {
        cluster["type"] = json!("STATIC");
    }
}

fn resources<'a>(document: &'a mut Value, kind: &str) -> &'a mut [Value] {
    match document
        .get_mut("static_resources")
        .and_then(|resources| resources.get_mut(kind))
    {
        Some(Value::Array(list)) => list,
        _ => &mut [],
    }
}

fn pipe(path: &Path) -> Value {
    json!({"pipe": {"path": path}})
}

fn socket_address(address: SocketAddr) -> Value {
    json!({"socket_address": {"address": address.ip(), "port_value": address.port()}})
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHIPPED: &str = r#"
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}, allow_paths: [{exact: /stats}]}
static_resources:
  listeners:
  - {name: edge, address: {socket_address: {address: 0.0.0.0, port_value: 10000}}}
  - {name: echo, address: {socket_address: {address: 127.0.0.1, port_value: 10081}}}
  clusters:
  - {name: echo, type: STRICT_DNS, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: localhost, port_value: 10081}}}}]}]}}
  - {name: admin, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}}]}]}}
  - {name: app, load_assignment: {endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: app.prod, port_value: 443}}}}]}]}}
"#;

    fn prepared(bootstrap: &Bootstrap) -> (Value, Prepared) {
        let folder = tempfile::tempdir().unwrap();
        let prepared = bootstrap.prepare(folder.path()).unwrap();
        (
            serde_json::from_slice(&std::fs::read(&prepared.file).unwrap()).unwrap(),
            prepared,
        )
    }

    fn address(document: &Value, cluster: usize) -> &Value {
        &document["static_resources"]["clusters"][cluster]["load_assignment"]["endpoints"][0]["lb_endpoints"]
            [0]["endpoint"]["address"]
    }

    #[test]
    fn a_shipped_bootstrap_keeps_no_port_of_its_own() {
        let (document, prepared) = prepared(&Bootstrap::from_yaml(SHIPPED).unwrap());
        let edge = &document["static_resources"]["listeners"][0]["address"]["socket_address"];
        assert_eq!(edge, &json!({"address": "127.0.0.1", "port_value": 0}));
        assert_eq!(prepared.ports, BTreeMap::from([(10000, "edge".to_owned())]));
        assert_eq!(
            document["admin"]["allow_paths"].as_array().unwrap().len(),
            1 + READ_BY_RUNNER.len()
        );
    }

    #[test]
    fn clusters_follow_the_admin_interface_and_inner_listeners_and_nothing_leaves_the_machine() {
        let (document, prepared) = prepared(&Bootstrap::from_yaml(SHIPPED).unwrap());
        assert_eq!(
            address(&document, 0),
            &document["static_resources"]["listeners"][1]["address"]
        );
        assert_eq!(address(&document, 1), &pipe(&prepared.admin));
        assert_eq!(
            address(&document, 2)["socket_address"]["address"],
            "127.0.0.1"
        );
        assert_eq!(
            document["static_resources"]["clusters"][0]["type"],
            "STATIC"
        );
    }

    #[test]
    fn a_module_that_the_test_does_not_give_is_named() {
        let text = r#"{"a": {"local": {"filename": "dist/health.wasm"}}}"#;
        let folder = tempfile::tempdir().unwrap();
        let error = Bootstrap::from_yaml(text)
            .unwrap()
            .prepare(folder.path())
            .err()
            .unwrap()
            .to_string();
        assert_eq!(
            error,
            r#"bootstrap names the module "health.wasm": expected a path for it by `file("health.wasm", …)`"#
        );
        let given = Bootstrap::from_yaml(text)
            .unwrap()
            .file("health.wasm", "/x/health.wasm");
        assert_eq!(
            prepared(&given).0["a"]["local"]["filename"],
            "/x/health.wasm"
        );
    }
}
