//! Gateways with the plugin, the certificates that they show, and clients that speak TLS to them.

use std::path::PathBuf;

use launchgate_harness::envoy::{
    Authority, Bootstrap, Connection, Envoy, Identity, Plugin, Request, Response, TlsClient,
    Upstream, built_module, workspace,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const SHOP: &str = "shop.example.org";
pub(crate) const API: &str = "api.example.org";
const CHAIN: &str = "/static_resources/listeners/0/filter_chains/0";

/// An authority, and the files that the shipped bootstrap names.
pub(crate) struct Certificates {
    pub(crate) authority: Authority,
    folder: TempDir,
}

impl Certificates {
    pub(crate) fn new() -> Self {
        let authority = Authority::new("test").unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        for name in [SHOP, API] {
            let identity = authority.server(&[name]).unwrap();
            identity.write(folder.path(), name).unwrap();
        }
        Self { authority, folder }
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A client that checks the server's certificate.
    pub(crate) fn client(&self, name: &str) -> TlsClient {
        TlsClient::new(name).trust(self.authority.pem())
    }
}

/// The shipped bootstrap in front of `app`.
pub(crate) fn shipped(certificates: &Certificates, app: &Upstream) -> Bootstrap {
    let read = Bootstrap::read(&workspace().join("envoy-configs/envoy/tls.yaml")).unwrap();
    let mut bootstrap = read
        .file("tls.wasm", built_module("tls").unwrap())
        .file("ca.crt", certificates.file("ca.crt"))
        .upstream("app", app);
    for name in [SHOP, API] {
        for file in [format!("{name}.crt"), format!("{name}.key")] {
            bootstrap = bootstrap.file(&file, certificates.file(&file));
        }
    }
    bootstrap
}

fn plugin(config: &Value) -> Plugin {
    Plugin::new("tls", built_module("tls").unwrap()).config(config)
}

/// A plain listener with the plugin in front of `app`.
pub(crate) fn plain(config: &Value, app: &Upstream) -> Bootstrap {
    Bootstrap::gateway(&[plugin(config)]).upstream("app", app)
}

/// A TLS listener with the plugin in front of `app`.
pub(crate) fn over_tls(config: &Value, certificates: &Certificates, app: &Upstream) -> Bootstrap {
    let file = |ending: &str| certificates.file(&format!("{SHOP}.{ending}"));
    Bootstrap::empty()
        .tls_listener("gateway", &[plugin(config)], &file("crt"), &file("key"))
        .upstream("app", app)
}

/// With changes of the first listener's connection manager.
pub(crate) fn manager(bootstrap: Bootstrap, change: impl FnOnce(&mut Value)) -> Bootstrap {
    let at = format!("{CHAIN}/filters/0/typed_config");
    bootstrap.edit(|document| change(document.pointer_mut(&at).unwrap()))
}

/// With changes of the first listener's TLS context.
pub(crate) fn tls_context(bootstrap: Bootstrap, change: impl FnOnce(&mut Value)) -> Bootstrap {
    let at = format!("{CHAIN}/transport_socket/typed_config/common_tls_context");
    bootstrap.edit(|document| change(document.pointer_mut(&at).unwrap()))
}

/// One exchange over TLS on a connection of its own.
pub(crate) fn ask(
    envoy: &Envoy,
    listener: &str,
    client: &TlsClient,
    request: &Request,
) -> Response {
    let address = envoy.listener(listener).unwrap();
    let mut connection = Connection::open_tls(address, client).unwrap();
    connection.exchange(request).unwrap()
}

/// The sum of the plugin's counter over all workers.
pub(crate) fn count(envoy: &Envoy, stat: &str) -> u64 {
    let name = format!("wasmcustom.launchgate_tls_{stat}");
    envoy.admin().stat(&name).unwrap()
}

/// The counter with one label.
pub(crate) fn count_of(envoy: &Envoy, stat: &str, label: &str, value: &str) -> u64 {
    count(envoy, &format!("{stat}{label}=.={value};.;"))
}

/// SHA-256 of a certificate, in hexadecimal digits.
pub(crate) fn digest(identity: &Identity) -> String {
    use rustls::pki_types::{CertificateDer, pem::PemObject as _};
    use sha256::Digest as _;
    let der = CertificateDer::from_pem_slice(identity.certificate.as_bytes()).unwrap();
    let bytes = sha256::Sha256::digest(&der);
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Envoy's filter that keeps the address of the connection itself.
pub(crate) fn direct_peer() -> Value {
    json!({
        "name": "envoy.filters.http.set_filter_state",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.set_filter_state.v3.Config",
            "on_request_headers": [{
                "object_key": "launchgate.direct_peer",
                "factory_key": "envoy.string",
                "format_string": {"text_format_source": {"inline_string": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%"}},
            }],
        },
    })
}
