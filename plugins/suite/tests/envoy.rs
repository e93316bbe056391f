//! The shipped gateways in the real Envoy: `suite.yaml`, and `full-chain.yaml`, which must do the same. Needs `make build` and
//! `make deps`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

use std::time::Duration;

use launchgate_harness::envoy::{
    Authority, Bootstrap, Connection, Envoy, Launch, Reply, Request, Response, TlsClient, Upstream,
    built_module, workspace,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(30);
const PLUGINS: [&str; 6] = ["metrics", "access-log", "errors", "tls", "health", "canary"];

fn shipped(name: &str) -> Bootstrap {
    Bootstrap::read(&workspace().join(format!("envoy-configs/envoy/{name}.yaml"))).unwrap()
}

/// A shipped gateway on ports of its own, in front of two versions of a service.
struct Gateway {
    envoy: Envoy,
    authority: Authority,
    stable: Upstream,
    /// Lives as long as the gateway.
    _canary: Upstream,
    folder: TempDir,
}

impl Gateway {
    fn start(name: &str) -> Self {
        let (authority, folder) = (
            Authority::new("test").unwrap(),
            tempfile::tempdir().unwrap(),
        );
        std::fs::write(folder.path().join("ca.crt"), authority.pem()).unwrap();
        let service = |version: &str| {
            let reply = Reply::status(200)
                .header("server", "service/1.2")
                .header("content-type", "text/plain")
                .header("set-cookie", "session=1");
            Upstream::always(reply.body(version.repeat(400))).unwrap()
        };
        let (stable, canary) = (service("stable"), service("canary"));
        let mut bootstrap = shipped(name).file("ca.crt", folder.path().join("ca.crt"));
        for host in ["shop.example.org", "api.example.org"] {
            authority
                .server(&[host])
                .unwrap()
                .write(folder.path(), host)
                .unwrap();
            for end in ["crt", "key"] {
                let file = format!("{host}.{end}");
                bootstrap = bootstrap.file(&file, folder.path().join(&file));
            }
        }
        for plugin in PLUGINS.iter().chain(&["suite"]) {
            bootstrap = bootstrap.file(&format!("{plugin}.wasm"), built_module(plugin).unwrap());
        }
        let log = folder.path().join("access.log");
        let bootstrap = bootstrap
            .upstream("stable", &stable)
            .upstream("canary", &canary)
            .edit(|document| log_to(document, &log));
        let launch = Launch::new(bootstrap)
            .argument("--file-flush-interval-msec")
            .argument("50");
        Self {
            envoy: launch.start().unwrap(),
            authority,
            stable,
            _canary: canary,
            folder,
        }
    }

    fn plain(&self, request: &Request) -> Response {
        Connection::open(self.envoy.listener("plaintext").unwrap())
            .unwrap()
            .exchange(request)
            .unwrap()
    }

    /// Over TLS to `shop.example.org`.
    fn secure(&self, request: Request) -> Response {
        let client = TlsClient::new("shop.example.org").trust(self.authority.pem());
        let mut connection =
            Connection::open_tls(self.envoy.listener("tls").unwrap(), &client).unwrap();
        connection
            .exchange(&request.host("shop.example.org"))
            .unwrap()
    }

    /// The records so far, as soon as there are so many.
    fn records(&self, count: usize) -> Vec<Value> {
        let read = || {
            let text =
                std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
            let lines: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            Ok((lines.len() >= count).then_some(lines))
        };
        self.envoy.await_value(SOON, read).unwrap()
    }
}

/// Every access logger of the document writes to a file of the test.
fn log_to(document: &mut Value, file: &std::path::Path) {
    match document {
        Value::Object(object) => {
            if object.get("path") == Some(&json!("/dev/stdout")) {
                object.insert("path".to_owned(), json!(file));
            }
            object.values_mut().for_each(|value| log_to(value, file));
        }
        Value::Array(values) => values.iter_mut().for_each(|value| log_to(value, file)),
        _ => {}
    }
}

/// The configurations of all plugins in a document, by name.
fn configurations(document: &Value, found: &mut Vec<(String, Value)>) {
    match document {
        Value::Object(object) => {
            if let (Some(Value::String(name)), Some(configuration)) =
                (object.get("name"), object.get("configuration"))
            {
                let text = configuration["value"].as_str().unwrap();
                found.push((name.clone(), serde_json::from_str(text).unwrap()));
            }
            object
                .values()
                .for_each(|value| configurations(value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| configurations(value, found)),
        _ => {}
    }
}

#[test]
fn both_shipped_gateways_have_the_same_configuration() {
    let (mut of_suite, mut of_chain) = (Vec::new(), Vec::new());
    configurations(shipped("suite").document(), &mut of_suite);
    configurations(shipped("full-chain").document(), &mut of_chain);
    // The gateway stands three times: plaintext, and TLS for two names.
    assert_eq!((of_suite.len(), of_chain.len()), (3, 18));
    for (name, suite) in &of_suite {
        assert_eq!(name, "suite");
        for (position, plugin) in PLUGINS.iter().enumerate() {
            assert_eq!(of_chain[position].0, *plugin);
            assert_eq!(
                suite[plugin.replace('-', "_")],
                of_chain[position].1,
                "{plugin}"
            );
        }
    }
}

#[test]
fn the_suite_serves_the_shipped_gateway() {
    serves("suite");
}

#[test]
fn the_chain_of_six_serves_the_shipped_gateway_likewise() {
    serves("full-chain");
}

fn serves(name: &str) {
    let gateway = Gateway::start(name);
    redirects_and_answers_probes(&gateway);
    serves_over_tls(&gateway);
    steers(&gateway);
    is_off_by_route(&gateway);
    counts_and_logs(&gateway);
}

fn redirects_and_answers_probes(gateway: &Gateway) {
    let redirected = gateway.plain(&Request::get("/a?b=1").host("shop.example.org"));
    assert_eq!(redirected.status, 301);
    assert_eq!(
        redirected.all("location"),
        ["https://shop.example.org:10443/a?b=1"]
    );
    let health = gateway.envoy.await_value(SOON, || {
        let reply = gateway.plain(&Request::get("/healthz").host("shop.example.org"));
        Ok((reply.json()?["dependencies"]["database"] == "connected").then_some(reply))
    });
    let health = health.unwrap();
    assert_eq!(health.status, 200);
    assert_eq!(
        health.all("x-content-type-options"),
        ["nosniff"],
        "tls stands before health"
    );
}

fn serves_over_tls(gateway: &Gateway) {
    let served = gateway.secure(Request::get("/users/7").header("accept-encoding", "gzip"));
    assert_eq!(served.status, 200);
    assert_eq!(served.all("content-encoding"), ["gzip"]);
    assert_eq!(
        served.all("strict-transport-security"),
        ["max-age=31536000; includeSubDomains"]
    );
    assert_eq!(served.all("server"), Vec::<String>::new());
    assert!(
        served
            .all("set-cookie")
            .contains(&"session=1; SameSite=Lax; Secure; HttpOnly".to_owned()),
        "{:?}",
        served.all("set-cookie")
    );
    let client = TlsClient::new("shop.example.org").trust(gateway.authority.pem());
    let mut connection =
        Connection::open_tls(gateway.envoy.listener("tls").unwrap(), &client).unwrap();
    let misdirected = connection
        .exchange(&Request::get("/").host("api.example.org"))
        .unwrap();
    assert_eq!(misdirected.status, 421);
}

fn steers(gateway: &Gateway) {
    let canary = gateway.secure(Request::get("/").header("x-canary", "always"));
    assert_eq!(canary.text(), "canary".repeat(400));
    // A client's own steering header is removed before the filters.
    let forged = gateway.secure(
        Request::get("/")
            .header("x-launchgate-variant", "canary")
            .header("x-canary", "never"),
    );
    assert_eq!(forged.text(), "stable".repeat(400));
}

fn is_off_by_route(gateway: &Gateway) {
    let before = gateway.records(5).len();
    let public = gateway.plain(
        &Request::get("/static/a.css")
            .host("shop.example.org")
            .header("x-launchgate-variant", "canary"),
    );
    assert_eq!((public.status, public.text()), (200, "stable".repeat(400)));
    assert_eq!(public.all("x-content-type-options"), Vec::<String>::new());
    assert_eq!(public.all("server"), ["service/1.2"]);
    assert_eq!(
        gateway
            .stable
            .received()
            .last()
            .unwrap()
            .header("x-launchgate-variant"),
        None
    );
    // The next exchange is logged, so the one before it would be there by now.
    gateway.plain(&Request::get("/livez").host("shop.example.org"));
    let records = gateway.records(before + 1);
    assert!(
        records
            .iter()
            .all(|record| record["path"] != "/static/a.css"),
        "{records:#?}"
    );
}

fn counts_and_logs(gateway: &Gateway) {
    let records = gateway.records(5);
    assert!(
        records
            .iter()
            .any(|record| record["path"] == "/users/7" && record["status"] == 200),
        "{records:#?}"
    );
    // The endpoint answers for all workers, each of which publishes its part on its tick.
    let wanted = r#"launchgate_http_requests_total{method="GET",route="/users/{id}",status_class="2xx",tenant=""} 1"#;
    let seen = gateway.envoy.await_value(SOON, || {
        let reply = gateway.plain(&Request::get("/metrics").host("shop.example.org"));
        Ok(reply.text().contains(wanted).then_some(()))
    });
    seen.unwrap();
    let stats = gateway.envoy.admin().prometheus().unwrap();
    assert!(
        stats.contains(r#"launchgate_health_replies_total{endpoint="ready",status="200"}"#),
        "{stats}"
    );
    let refused = gateway.envoy.admin().get("/runtime").unwrap();
    assert_eq!(
        refused.status, 403,
        "allow_paths narrows the admin interface"
    );
}
