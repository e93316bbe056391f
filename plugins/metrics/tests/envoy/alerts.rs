//! A real Prometheus scrapes both ways out, and an alert of the shipped rules fires in a real Alertmanager and resolves.
//! Needs `make build` and `make deps`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::gateway::{self, metrics, program};
use launchgate_harness::envoy::{Bootstrap, Envoy, Launch, Reply, Upstream, get, workspace};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(90);

/// A server that dies with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn serve(command: &mut Command) -> Server {
    Server(
        command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    )
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port()
}

/// Asks again and again until there is a value.
fn await_value<T>(envoy: &Envoy, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let value = envoy.await_value(LIMIT, || Ok(ask()));
    value.unwrap_or_else(|error| panic!("{what}: {error:#}"))
}

fn ask(port: u16, path: &str) -> Option<Value> {
    get(([127, 0, 0, 1], port).into(), path).ok()?.json().ok()
}

/// The shipped rules, evaluated every second, with short windows of ten seconds.
fn rules(folder: &Path) {
    let shipped =
        std::fs::read_to_string(workspace().join("envoy-configs/telemetry/endpoint/rules.yaml"))
            .unwrap();
    let quick = shipped
        .replace("interval: 30s", "interval: 1s")
        .replace("[5m]", "[10s]")
        .replace("[30m]", "[10s]")
        .replace(">= 100)", ">= 10)");
    assert!(quick.contains("[10s]") && quick.contains(">= 10)") && quick.contains("interval: 1s"));
    std::fs::write(folder.join("rules.yaml"), quick).unwrap();
}

fn prometheus(folder: &Path, envoy: &Envoy, alertmanager: u16) -> (Server, u16) {
    let (port, admin) = (free_port(), envoy.admin().forward().unwrap());
    rules(folder);
    let config = json!({
        "global": {"scrape_interval": "1s"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [format!("127.0.0.1:{alertmanager}")]}]}]},
        "scrape_configs": [
            {"job_name": "endpoint", "static_configs": [{"targets": [envoy.gateway().unwrap().to_string()]}]},
            {"job_name": "envoy", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [admin.to_string()]}]},
        ],
    });
    std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    let server = serve(
        Command::new(program("prometheus"))
            .current_dir(folder)
            .args([
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                &format!("--web.listen-address=127.0.0.1:{port}"),
            ]),
    );
    (server, port)
}

fn alertmanager(folder: &Path, receiver: &Upstream) -> (Server, u16) {
    let port = free_port();
    let config = json!({
        "route": {"receiver": "hook", "group_wait": "0s", "group_interval": "1s", "group_by": ["alertname"]},
        "receivers": [{"name": "hook", "webhook_configs": [{"url": format!("http://{}/hook", receiver.address()), "send_resolved": true}]}],
    });
    std::fs::write(folder.join("alertmanager.yml"), config.to_string()).unwrap();
    let server = serve(
        Command::new(program("prometheus-alertmanager"))
            .current_dir(folder)
            .args([
                "--config.file=alertmanager.yml",
                "--storage.path=alerts",
                "--cluster.listen-address=",
                &format!("--web.listen-address=127.0.0.1:{port}"),
            ]),
    );
    (server, port)
}

#[test]
fn both_ways_out_are_scraped_and_a_burning_objective_alerts_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let (app, receiver) = (
        Upstream::always(Reply::status(500)).unwrap(),
        Upstream::always(Reply::status(200)).unwrap(),
    );
    let config: Value = serde_json::from_str(include_str!("../../config.example.json")).unwrap();
    let envoy = Launch::new(
        Bootstrap::gateway(&[metrics(&config)])
            .upstream("app", &app)
            .edit(|document| {
                document["stats_config"] = gateway::stats_config(&[]);
            }),
    );
    let envoy = envoy.concurrency(2).start().unwrap();
    let (_alertmanager, alerts) = alertmanager(folder.path(), &receiver);
    let (_prometheus, port) = prometheus(folder.path(), &envoy, alerts);

    await_value(&envoy, "both targets up", || {
        let targets = ask(port, "/api/v1/targets")?;
        let up = targets["data"]["activeTargets"]
            .as_array()?
            .iter()
            .filter(|target| target["health"] == "up")
            .count();
        (up == 2).then_some(())
    });
    // Events of a counter's first sample are no increase: some go ahead.
    let notified = |status: &str| {
        let wanted = |body: &Value| {
            body["status"] == status
                && body["alerts"][0]["labels"]["alertname"] == "LaunchgateSloBurnsFast"
        };
        receiver
            .received()
            .iter()
            .filter_map(|call| serde_json::from_slice(&call.body).ok())
            .find(wanted)
    };
    let fired = await_value(&envoy, "the alert", || {
        assert_eq!(envoy.get("/users/7").ok()?.status, 500);
        notified("firing")
    });
    let labels = &fired["alerts"][0]["labels"];
    assert_eq!(
        (&labels["route"], &labels["slo"], &labels["severity"]),
        (&json!("/users/{id}"), &json!("default"), &json!("page"))
    );

    app.answer(Reply::status(200));
    await_value(&envoy, "the end of the alert", || {
        assert_eq!(envoy.get("/users/7").ok()?.status, 200);
        notified("resolved")
    });

    // The same numbers by both, once nothing moves any more.
    await_value(&envoy, "equal sums", || {
        let sum = |family: &str| {
            ask(port, &format!("/api/v1/query?query=sum({family})"))?["data"]["result"][0]["value"]
                [1]
            .as_str()?
            .parse::<u64>()
            .ok()
        };
        (sum("launchgate_http_requests_total")? == sum("launchgate_metrics_requests_total")?)
            .then_some(())
    });
}
