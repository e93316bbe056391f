//! The chapter of `health`: Redis comes and goes, and `/healthz` tells.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use launchgate_harness::envoy::{Bootstrap, Envoy, Response};
use serde_json::json;

use super::redis::Redis;
use super::{Args, Chapter, say, show};

/// A change must be seen within this time.
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn run(args: &Args) -> Result<Chapter> {
    let folder = tempfile::tempdir()?;
    let socket = folder.path().join("redis.sock");
    let mut redis = if Redis::is_installed() {
        Some(Redis::start(&socket)?)
    } else {
        None
    };
    let envoy = Envoy::start(bootstrap(args, &socket)?)?;
    if redis.is_none() {
        say(
            "The gateway answers the health paths; Redis is not installed, so the service is degraded.",
        );
        show("/healthz", &await_status(&envoy, "degraded")?);
        return Ok(Chapter::LeftOut(
            "a Redis that stops and starts needs redis-server (apt-get install redis-server)"
                .into(),
        ));
    }

    say("The gateway answers the health paths from the state of the dependencies behind it.");
    show("/healthz", &await_status(&envoy, "healthy")?);
    say("Everything else goes to the service.");
    show("/", &envoy.get("/")?);
    say("Redis stops. It is optional: the service is degraded, and still 200.");
    redis.take();
    show("/healthz", &await_status(&envoy, "degraded")?);
    show("/readyz?verbose", &envoy.get("/readyz?verbose")?);
    say("Redis starts again.");
    redis.replace(Redis::start(&socket)?);
    show("/healthz", &await_status(&envoy, "healthy")?);
    say("Prometheus sees the checks.");
    let text = envoy.admin().prometheus()?;
    text.lines()
        .filter(|line| line.starts_with("launchgate_health_dependency_up"))
        .for_each(|line| println!("{line}"));
    Ok(Chapter::Shown)
}

/// The shipped bootstrap, with Redis behind a socket file.
fn bootstrap(args: &Args, socket: &Path) -> Result<Bootstrap> {
    let shipped = Bootstrap::read(&args.bootstraps.join("health.yaml"))?
        .file("health.wasm", args.dist.join("health.wasm"));
    Ok(shipped.edit(|document| {
        let clusters = document["static_resources"]["clusters"]
            .as_array_mut()
            .into_iter()
            .flatten();
        for cluster in clusters.filter(|cluster| cluster["name"] == "redis") {
            let endpoint = json!({"endpoint": {"address": {"pipe": {"path": socket}}}});
            cluster["load_assignment"]["endpoints"] = json!([{"lb_endpoints": [endpoint]}]);
        }
    }))
}

fn await_status(envoy: &Envoy, status: &str) -> Result<Response> {
    envoy.await_value(LIMIT, || {
        let response = envoy.get("/healthz")?;
        let seen = response.json()?;
        // The database is checked for the first time a moment after the start.
        let settled = seen["status"] == status && seen["dependencies"]["database"] == "connected";
        Ok(settled.then_some(response))
    })
}
