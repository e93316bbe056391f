//! A gateway with the plugin, and what stands around it.

use std::net::SocketAddr;
use std::time::Duration;

use launchgate_harness::envoy::{
    Bootstrap, Connection, Envoy, Launch, Plugin, Reply, Request, Upstream, built_module,
};
use serde_json::{Value, json};

use crate::receiver;

/// Limit of every wait.
pub(crate) const SOON: Duration = Duration::from_secs(60);
/// Public key of the DSN.
pub(crate) const KEY: &str = "abcdef0123456789abcdef0123456789";

const ROUTES: &str =
    "/listeners/0/filter_chains/0/filters/0/typed_config/route_config/virtual_hosts/0/routes";

/// Envoy with the plugin `errors`, a service, a Sentry and a Slack.
pub(crate) struct Gateway {
    pub(crate) envoy: Envoy,
    /// Answers 500 to paths with `fail`, 200 to others.
    pub(crate) app: Upstream,
    /// Takes every envelope.
    pub(crate) sentry: Upstream,
    /// Takes every notice, of all kinds of notifiers.
    pub(crate) slack: Upstream,
}

impl Gateway {
    /// With these keys besides those of [`config`].
    pub(crate) fn start(workers: u32, more: &Value) -> Self {
        Self::start_with(workers, more, None, Vec::new())
    }

    /// The same, with a real server in place of the receiver, or further plugins.
    pub(crate) fn start_with(
        workers: u32,
        more: &Value,
        server: Option<(String, SocketAddr)>,
        others: Vec<Plugin>,
    ) -> Self {
        let app = Upstream::always(Reply::status(200)).unwrap();
        app.script(|request| match request.path.contains("fail") {
            true => Reply::status(500).body("boom").into(),
            false => Reply::status(200).body("fine").into(),
        });
        let (sentry, slack) = (
            receiver::start(),
            Upstream::always(Reply::status(200).body("ok")).unwrap(),
        );
        let mut config = config(more);
        if let Some((dsn, _)) = &server {
            config["dsn"] = json!(dsn);
        }
        let errors = Plugin::new("errors", built_module("errors").unwrap())
            .vm_id("shared")
            .config(&config);
        let plugins: Vec<Plugin> = std::iter::once(errors).chain(others).collect();
        let bootstrap = Bootstrap::gateway(&plugins)
            .upstream("app", &app)
            .upstream("slack", &slack);
        let bootstrap = match server {
            Some((_, address)) => bootstrap.endpoint("sentry", address),
            None => bootstrap.upstream("sentry", &sentry),
        };
        let launch = Launch::new(with_dead_clusters(bootstrap)).concurrency(workers);
        Self {
            envoy: launch.start().unwrap(),
            app,
            sentry,
            slack,
        }
    }

    /// One exchange.
    pub(crate) fn get(&self, path: &str) -> u16 {
        self.envoy.get(path).unwrap().status
    }

    /// One connection to each worker.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.envoy.connection_per_worker("gateway").unwrap()
    }

    /// A counter of the plugin, by its name after `launchgate_errors_` and its labels.
    pub(crate) fn count(&self, name: &str, labels: &[(&str, &str)]) -> u64 {
        let labels: String = (labels.iter())
            .map(|(name, value)| format!("{name}=.={value};.;"))
            .collect();
        let stat = format!("wasmcustom.launchgate_errors_{name}{labels}");
        self.envoy.admin().stat(&stat).unwrap()
    }

    /// Events that Sentry accepted.
    pub(crate) fn sent(&self) -> u64 {
        self.count("sent_total", &[("category", "error")])
    }

    /// Events that were not sent for this reason.
    pub(crate) fn discarded(&self, reason: &str) -> u64 {
        self.count(
            "discarded_total",
            &[("reason", reason), ("category", "error")],
        )
    }

    /// Panics of all plugins, as the SDK counts them.
    pub(crate) fn panics(&self) -> u64 {
        let stat = "wasmcustom.launchgate_panics_total";
        self.envoy.admin().stat(stat).unwrap()
    }

    /// Waits until this holds.
    pub(crate) fn until(&self, what: &str, condition: impl Fn() -> bool) {
        let seen = self
            .envoy
            .await_value(SOON, || Ok(condition().then_some(())));
        seen.unwrap_or_else(|error| panic!("{what}: {error:#}; {:?}", self.stats()));
    }

    /// All counters of the plugin that are not zero.
    fn stats(&self) -> Vec<(String, u64)> {
        let stats = self.envoy.admin().matching_stats("launchgate_errors");
        let stats = stats.unwrap_or_default().into_iter();
        stats.filter(|(_, value)| *value > 0).collect()
    }

    /// Texts of the notices so far, of the kind `slack`.
    pub(crate) fn notices(&self) -> Vec<String> {
        let text = |body: &[u8]| {
            let notice: Value = serde_json::from_slice(body).unwrap();
            notice["text"].as_str().unwrap().to_owned()
        };
        let received = self.slack.received();
        received.iter().map(|request| text(&request.body)).collect()
    }
}

/// The status of one exchange on this connection.
pub(crate) fn get(connection: &mut Connection, path: impl AsRef<[u8]>) -> u16 {
    connection.exchange(&Request::get(path)).unwrap().status
}

fn config(more: &Value) -> Value {
    let mut config = json!({
        "dsn": format!("http://{KEY}@sentry.example.org/7"), "cluster": "sentry", "release": "v1.2.3", "routes": ["/users/{id}"],
        "notifiers": {"ops": {"kind": "slack", "cluster": "slack", "url": "https://hooks.example.org/services/T0/B0/s3cr3t-hook"}},
    });
    for (key, value) in more.as_object().unwrap() {
        config[key] = value.clone();
    }
    config
}

/// `/dead/one/…` and `/dead/two/…` lead to clusters where nobody listens: the runner gives them a port that refuses.
fn with_dead_clusters(bootstrap: Bootstrap) -> Bootstrap {
    bootstrap.edit(|document| {
        let resources = &mut document["static_resources"];
        for name in ["one", "two"] {
            let route = json!({"match": {"prefix": format!("/dead/{name}/")}, "route": {"cluster": name}});
            let routes = resources.pointer_mut(ROUTES).unwrap();
            routes.as_array_mut().unwrap().insert(0, route);
            let cluster = json!({"name": name, "type": "STATIC", "connect_timeout": "1s", "load_assignment": {"cluster_name": name, "endpoints": [
                {"lb_endpoints": [{"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 9}}}}]}]}});
            resources["clusters"].as_array_mut().unwrap().push(cluster);
        }
    })
}
