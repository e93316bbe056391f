//! The whole gateway of the demo: the shipped `suite.yaml` on free ports, with everything around it.
//!
//! 1. The file is as it is shipped, but for what each chapter asks to change in the configuration of `suite`.
//! 2. Both versions of the service, Sentry, Slack and the OpenTelemetry collector are played by servers of the harness that remember what
//!    they were asked. Redis, Prometheus and Alertmanager are real, where they are installed; so is the Sentry-compatible server of a gateway
//!    that is started with one.
//! 3. Secrets come from the environment, as everywhere.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use launchgate_harness::bugsink::Bugsink;
use launchgate_harness::envoy::{
    Authority, Bootstrap, Connection, Envoy, Launch, Reply, Request, Response, TlsClient, Upstream,
};
use serde_json::{Value, json};

use super::{Args, monitoring::Monitoring, redis::Redis};

/// A change must be seen within this time.
pub(crate) const LIMIT: Duration = Duration::from_secs(90);
pub(crate) const HOST: &str = "shop.example.org";
const DSN: &str = "http://0123456789abcdef0123456789abcdef@sentry.example/1";

/// A running gateway. Dropping it stops everything.
pub(crate) struct Stack {
    pub(crate) envoy: Envoy,
    pub(crate) stable: Upstream,
    pub(crate) canary: Upstream,
    pub(crate) sentry: Upstream,
    pub(crate) slack: Upstream,
    pub(crate) collector: Upstream,
    pub(crate) redis: Option<Redis>,
    pub(crate) monitoring: Option<Monitoring>,
    folder: tempfile::TempDir,
}

impl Stack {
    /// Starts it with a change of the configuration of `suite`, monitored where the servers are installed.
    pub(crate) fn start(args: &Args, configure: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::launch(args, true, None, configure, |_, _, bootstrap| Ok(bootstrap))
    }

    /// The same, with errors going to a real server.
    pub(crate) fn start_with(
        args: &Args,
        bugsink: Option<&Bugsink>,
        configure: impl FnOnce(&mut Value),
    ) -> Result<Self> {
        Self::launch(args, true, bugsink, configure, |_, _, bootstrap| {
            Ok(bootstrap)
        })
    }

    /// Starts it without monitoring, with any other change of the bootstrap; the change gets the folder and the configuration too.
    pub(crate) fn start_edited(
        args: &Args,
        edit: impl FnOnce(&Path, &Value, Bootstrap) -> Result<Bootstrap>,
    ) -> Result<Self> {
        Self::launch(args, false, None, |_| {}, edit)
    }

    fn launch(
        args: &Args,
        monitored: bool,
        bugsink: Option<&Bugsink>,
        configure: impl FnOnce(&mut Value),
        edit: impl FnOnce(&Path, &Value, Bootstrap) -> Result<Bootstrap>,
    ) -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("demo-").tempdir()?;
        let socket = folder.path().join("redis.sock");
        let redis = Redis::is_installed()
            .then(|| Redis::start(&socket))
            .transpose()?;
        let (stable, canary) = (play("stable\n")?, play("canary\n")?);
        let (sentry, slack, collector) = (play("{}")?, play("ok")?, play("{}")?);
        let monitoring = match monitored {
            true => Monitoring::reserve(folder.path())?,
            false => None,
        };
        let mut bootstrap = bootstrap(args, folder.path(), configure, edit)?
            .upstream("stable", &stable)
            .upstream("canary", &canary)
            .upstream("sentry", &sentry)
            .upstream("slack", &slack)
            .upstream("collector", &collector);
        if let Some(bugsink) = bugsink {
            bootstrap = bootstrap.endpoint("sentry", bugsink.address());
        }
        if let Some(monitoring) = &monitoring {
            bootstrap = bootstrap.endpoint("prometheus", monitoring.prometheus);
        }
        let dsn = bugsink.map_or_else(|| DSN.to_owned(), Bugsink::dsn);
        let mut launch = Launch::new(bootstrap)
            .argument("--file-flush-interval-msec")
            .argument("100");
        for (name, value) in [
            ("SENTRY_DSN", dsn.as_str()),
            ("SLACK_WEBHOOK", "http://slack.example/services/demo"),
            ("CANARY_SECRET", "a-secret-of-the-demo"),
            ("CANARY_TOKEN", "a-token-of-the-demo"),
            ("LOG_HMAC_KEY", "a-hmac-key-of-the-demo"),
        ] {
            launch = launch.environment(name, value);
        }
        let envoy = launch.start()?;
        let mut stack = Self {
            envoy,
            stable,
            canary,
            sentry,
            slack,
            collector,
            redis,
            monitoring,
            folder,
        };
        if let Some(monitoring) = &mut stack.monitoring {
            monitoring.start(stack.envoy.admin().forward()?)?;
        }
        Ok(stack)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn access_log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.crt")
    }

    /// A connection as a browser's, the certificate checked.
    pub(crate) fn connect(&self) -> Result<Connection> {
        let authority = std::fs::read_to_string(self.authority())?;
        Connection::open_tls(
            self.envoy.port(10443)?,
            &TlsClient::new(HOST).trust(&authority),
        )
    }

    /// One exchange over HTTPS on a connection of its own.
    pub(crate) fn send(&self, request: Request) -> Result<Response> {
        self.connect()?.exchange(&request.host(HOST))
    }

    /// `GET path` over HTTPS.
    pub(crate) fn get(&self, path: &str) -> Result<Response> {
        self.send(Request::get(path))
    }

    /// Waits until it is so.
    pub(crate) fn await_that<T>(
        &self,
        what: &str,
        look: impl FnMut() -> Result<Option<T>>,
    ) -> Result<T> {
        self.envoy
            .await_value(LIMIT, look)
            .with_context(|| what.to_owned())
    }

    /// Waits for a health status.
    pub(crate) fn await_health(&self, status: &str) -> Result<Response> {
        self.await_that(&format!("health becomes {status}"), || {
            let response = self.get("/healthz")?;
            let seen = response.json()?;
            // The database is checked for the first time a moment after the start.
            let settled =
                seen["status"] == status && seen["dependencies"]["database"] == "connected";
            Ok(settled.then_some(response))
        })
    }

    /// Starts Redis, which was stopped.
    pub(crate) fn start_redis(&mut self) -> Result<()> {
        self.redis = Some(Redis::start(&self.folder.path().join("redis.sock"))?);
        Ok(())
    }
}

fn play(body: &str) -> Result<Upstream> {
    Upstream::always(Reply::status(200).body(body))
}

/// The shipped bootstrap with certificates, Redis behind a socket file, and an access log of its own.
fn bootstrap(
    args: &Args,
    folder: &Path,
    configure: impl FnOnce(&mut Value),
    edit: impl FnOnce(&Path, &Value, Bootstrap) -> Result<Bootstrap>,
) -> Result<Bootstrap> {
    let authority = Authority::new("Launchgate demo")?;
    std::fs::write(folder.join("ca.crt"), authority.pem())?;
    let mut bootstrap = Bootstrap::read(&args.bootstraps.join("suite.yaml"))?
        .file(
            "suite.wasm",
            std::path::absolute(args.dist.join("suite.wasm"))?,
        )
        .file("ca.crt", folder.join("ca.crt"));
    for name in [HOST, "api.example.org"] {
        let (certificate, key) = authority.server(&[name])?.write(folder, name)?;
        bootstrap = bootstrap
            .file(&format!("{name}.crt"), certificate)
            .file(&format!("{name}.key"), key);
    }
    let mut config =
        plugin_config(bootstrap.document()).context("suite.yaml has no configuration of suite")?;
    configure(&mut config);
    let bootstrap = bootstrap.plugin_config("suite", &config.to_string())?;
    let (log, socket) = (folder.join("access.log"), folder.join("redis.sock"));
    let bootstrap = bootstrap.edit(|document| {
        replace(document, "/dev/stdout", &log.display().to_string());
        let clusters = document["static_resources"]["clusters"]
            .as_array_mut()
            .into_iter()
            .flatten();
        for cluster in clusters.filter(|cluster| cluster["name"] == "redis") {
            let endpoint = json!({"endpoint": {"address": {"pipe": {"path": socket}}}});
            cluster["load_assignment"]["endpoints"] = json!([{"lb_endpoints": [endpoint]}]);
        }
    });
    edit(folder, &config, bootstrap)
}

/// The configuration of `suite` as the file has it.
fn plugin_config(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) => items.iter().find_map(plugin_config),
        Value::Object(map) if value["name"] == "suite" && map.contains_key("vm_config") => {
            serde_json::from_str(value["configuration"]["value"].as_str()?).ok()
        }
        Value::Object(map) => map.values().find_map(plugin_config),
        _ => None,
    }
}

fn replace(value: &mut Value, from: &str, to: &str) {
    match value {
        Value::String(text) if text == from => to.clone_into(text),
        Value::Array(items) => items.iter_mut().for_each(|v| replace(v, from, to)),
        Value::Object(map) => map.values_mut().for_each(|v| replace(v, from, to)),
        _ => {}
    }
}
