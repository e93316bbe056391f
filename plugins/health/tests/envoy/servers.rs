//! Servers that are not of our making.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use launchgate_harness::envoy::{Bootstrap, Envoy, built_module, workspace};
use serde_json::json;

use crate::gateway::SOON;

/// Debian's Redis on a socket file. Dropping it stops the process.
struct Redis(Child);

impl Redis {
    fn start(socket: &Path) -> Self {
        let mut command = Command::new("redis-server");
        command
            .args(["--port", "0", "--save", "", "--unixsocket"])
            .arg(socket)
            .current_dir(socket.parent().unwrap())
            .stdout(Stdio::null());
        let started = command.spawn();
        Self(started.unwrap_or_else(|error| panic!("redis-server: {error}; run `make deps`")))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Kind `envoy` with Envoy's own check of Redis, as it is shipped.
#[test]
fn a_redis_that_stops_and_starts_is_seen_through_envoys_own_check() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis.sock");
    let shipped = Bootstrap::read(&workspace().join("envoy-configs/envoy/health.yaml")).unwrap();
    let gateway = shipped
        .file("health.wasm", built_module("health").unwrap())
        .edit(|document| {
            let clusters = document["static_resources"]["clusters"].as_array_mut();
            let redis = clusters
                .unwrap()
                .iter_mut()
                .find(|cluster| cluster["name"] == "redis");
            let endpoint = json!({"endpoint": {"address": {"pipe": {"path": socket}}}});
            redis.unwrap()["load_assignment"]["endpoints"] = json!([{"lb_endpoints": [endpoint]}]);
        });
    let mut redis = Some(Redis::start(&socket));
    let envoy = Envoy::start(gateway).unwrap();
    for (redis_state, service) in [
        ("connected", "healthy"),
        ("unavailable", "degraded"),
        ("connected", "healthy"),
    ] {
        let seen = envoy.await_value(SOON, || {
            let reply = envoy.get("/healthz")?;
            let body = reply.json()?;
            let settled =
                body["dependencies"] == json!({"database": "connected", "redis": redis_state});
            Ok(settled.then(|| (reply.status, body["status"].clone())))
        });
        assert_eq!(seen.unwrap(), (200, json!(service)), "{redis_state}");
        redis = match redis.take() {
            Some(_) => None,
            None => Some(Redis::start(&socket)),
        };
    }
}
