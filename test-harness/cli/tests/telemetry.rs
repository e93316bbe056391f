//! A real Prometheus scrapes both ways out of the metrics plugin, and an alert of the generated rules fires in a real
//! Alertmanager and resolves. The rules are those that `launchgate generate telemetry` writes, on a clock that runs 120
//! times faster. Needs `make build` and `make deps`.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use launchgate_harness::envoy::{
    Bootstrap, Envoy, Launch, Reply, Upstream, built_module, get, workspace,
};
use serde_json::{Value, json};

const LIMIT: Duration = Duration::from_secs(120);
const SPEED_UP: &str = "120";

/// A server that dies with the test.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Starts a server of Debian's in a folder. It writes what it has to say to `<program>.log` there.
fn serve(program: &str, folder: &Path, arguments: &[&str]) -> Server {
    let log = std::fs::File::create(folder.join(format!("{program}.log"))).unwrap();
    let mut command = Command::new(program);
    command.current_dir(folder).args(arguments);
    let child = command.stdout(Stdio::null()).stderr(log).spawn();
    Server(child.unwrap_or_else(|error| panic!("{program}: {error}; `make deps` brings it")))
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

/// Asks again and again until there is a value.
fn await_value<T>(
    envoy: &Envoy,
    folder: &Path,
    what: &str,
    mut ask: impl FnMut() -> Option<T>,
) -> T {
    let log = |program| {
        std::fs::read_to_string(folder.join(format!("{program}.log"))).unwrap_or_default()
    };
    let value = envoy.await_value(LIMIT, || Ok(ask()));
    value.unwrap_or_else(|error| {
        let (prometheus, alertmanager) = (log("prometheus"), log("prometheus-alertmanager"));
        panic!("{what}: {error:#}: {prometheus}{alertmanager}")
    })
}

fn ask(port: u16, path: &str) -> Option<Value> {
    get(([127, 0, 0, 1], port).into(), path).ok()?.json().ok()
}

fn prometheus(folder: &Path, envoy: &Envoy, alertmanager: u16) -> (Server, u16) {
    let generated = Command::new(env!("CARGO_BIN_EXE_launchgate"))
        .args([
            "generate",
            "telemetry",
            "--source",
            "endpoint",
            "--speed-up",
            SPEED_UP,
            "--out",
        ])
        .arg(folder)
        .output()
        .unwrap();
    assert!(
        generated.status.success(),
        "{}",
        String::from_utf8_lossy(&generated.stderr)
    );
    let (port, admin) = (free_port(), envoy.admin().forward().unwrap());
    let config = json!({
        "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
        "rule_files": ["rules.yaml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [format!("127.0.0.1:{alertmanager}")]}]}]},
        "scrape_configs": [
            {"job_name": "endpoint", "static_configs": [{"targets": [envoy.gateway().unwrap().to_string()]}]},
            {"job_name": "envoy", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [admin.to_string()]}]},
        ],
    });
    std::fs::write(folder.join("prometheus.yml"), config.to_string()).unwrap();
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let server = serve(
        "prometheus",
        folder,
        &[
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            &listen,
        ],
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
    let listen = format!("--web.listen-address=127.0.0.1:{port}");
    let server = serve(
        "prometheus-alertmanager",
        folder,
        &[
            "--config.file=alertmanager.yml",
            "--storage.path=alerts",
            "--cluster.listen-address=",
            &listen,
        ],
    );
    (server, port)
}

/// The gateway of the shipped bootstrap, so that labels, tags and buckets are those that users have.
fn gateway(app: &Upstream) -> Envoy {
    let shipped = Bootstrap::read(&workspace().join("envoy-configs/envoy/metrics.yaml")).unwrap();
    let bootstrap = shipped
        .file("metrics.wasm", built_module("metrics").unwrap())
        .upstream("app", app);
    Launch::new(bootstrap).concurrency(2).start().unwrap()
}

#[test]
fn both_ways_out_are_scraped_and_a_burning_objective_alerts_and_resolves() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let app = Upstream::always(Reply::status(500)).unwrap();
    let receiver = Upstream::always(Reply::status(200)).unwrap();
    let envoy = gateway(&app);
    let (_alertmanager, alerts) = alertmanager(folder, &receiver);
    let (_prometheus, port) = prometheus(folder, &envoy, alerts);

    await_value(&envoy, folder, "both targets up", || {
        let targets = ask(port, "/api/v1/targets")?;
        let targets = targets["data"]["activeTargets"].as_array()?;
        (targets.len() == 2 && targets.iter().all(|target| target["health"] == "up")).then_some(())
    });
    let send = |status: u16| {
        for _ in 0..10 {
            assert_eq!(envoy.get("/users/7").unwrap().status, status);
        }
    };
    let notified = |status: &str| {
        let is_wanted = |body: &Value| {
            body["status"] == status
                && body["alerts"][0]["labels"]["alertname"] == "LaunchgateSloBurnsFast"
        };
        let bodies = receiver.received();
        let mut bodies = bodies
            .iter()
            .filter_map(|call| serde_json::from_slice(&call.body).ok());
        bodies.find(is_wanted)
    };
    let fired = await_value(&envoy, folder, "the alert", || {
        send(500);
        notified("firing")
    });
    assert_eq!(notified("resolved"), None);
    let labels = &fired["alerts"][0]["labels"];
    assert_eq!(
        (
            &labels["route"],
            &labels["slo"],
            &labels["objective"],
            &labels["severity"]
        ),
        (
            &json!("/users/{id}"),
            &json!("default"),
            &json!("availability"),
            &json!("page")
        )
    );

    app.answer(Reply::status(200));
    let resolved = await_value(&envoy, folder, "the end of the alert", || {
        send(200);
        notified("resolved")
    });
    assert_eq!(resolved["alerts"][0]["labels"]["route"], "/users/{id}");

    // The same numbers by both, once nothing moves any more.
    await_value(&envoy, folder, "equal sums", || {
        let sum = |family: &str| {
            let answer = ask(port, &format!("/api/v1/query?query=sum({family})"))?;
            let value = answer["data"]["result"][0]["value"][1].as_str()?;
            value.parse::<u64>().ok().filter(|count| *count > 0)
        };
        (sum("launchgate_http_requests_total")? == sum("launchgate_metrics_requests_total")?)
            .then_some(())
    });
}
