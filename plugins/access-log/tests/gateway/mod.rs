//! The shipped bootstrap with a log file of its own.

use std::path::PathBuf;
use std::time::Duration;

use launchgate_harness::envoy::{
    Answer, Bootstrap, Connection, Envoy, Launch, Reply, Request, Upstream, built_module, workspace,
};
use serde_json::{Value, json};
use tempfile::TempDir;

pub(crate) const SOON: Duration = Duration::from_secs(30);
const MANAGER: &str = "/static_resources/listeners/0/filter_chains/0/filters/0/typed_config";

pub(crate) struct Gateway {
    pub(crate) envoy: Envoy,
    folder: TempDir,
}

impl Gateway {
    /// With this configuration of the plugin instead of the shipped one.
    pub(crate) fn start(config: &Value, app: &Upstream, workers: Option<u32>) -> Self {
        Self::start_edited(config, app, workers, |_| {})
    }

    /// With changes of the connection manager too.
    pub(crate) fn start_edited(
        config: &Value,
        app: &Upstream,
        workers: Option<u32>,
        edit: impl FnOnce(&mut Value),
    ) -> Self {
        Self::launch(Self::shipped(config, app), workers, edit)
    }

    /// With a collector.
    pub(crate) fn start_with_collector(
        config: &Value,
        app: &Upstream,
        collector: &Upstream,
    ) -> Self {
        Self::launch(
            Self::shipped(config, app).upstream("collector", collector),
            None,
            |_| {},
        )
    }

    /// As it is shipped.
    pub(crate) fn start_shipped(app: &Upstream, collector: &Upstream) -> Self {
        let bootstrap = Self::bootstrap()
            .upstream("app", app)
            .upstream("collector", collector);
        Self::launch(bootstrap, None, |_| {})
    }

    fn bootstrap() -> Bootstrap {
        Bootstrap::read(&workspace().join("envoy-configs/envoy/access-log.yaml")).unwrap()
    }

    fn shipped(config: &Value, app: &Upstream) -> Bootstrap {
        let bootstrap = Self::bootstrap().upstream("app", app);
        bootstrap
            .plugin_config("access-log", &config.to_string())
            .unwrap()
    }

    fn launch(bootstrap: Bootstrap, workers: Option<u32>, edit: impl FnOnce(&mut Value)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("access.log");
        let bootstrap = bootstrap
            .file("access-log.wasm", built_module("access-log").unwrap())
            .edit(|document| {
                let manager = document.pointer_mut(MANAGER).unwrap();
                manager["access_log"][0]["typed_config"]["path"] = json!(log);
                edit(manager);
            });
        let launch = Launch::new(bootstrap).concurrency(workers.unwrap_or(2));
        let envoy = launch
            .argument("--file-flush-interval-msec")
            .argument("50")
            .start()
            .unwrap();
        Self { envoy, folder }
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("access.log")
    }

    /// Exchanges that no upstream answers well: local replies, aborts, codec errors. Returns how many.
    pub(crate) fn odd_exchanges(&self, app: &Upstream) -> usize {
        let address = self.envoy.port(10000).unwrap();
        // Codec errors: Envoy answers 400 before any filter.
        for bytes in [
            "BOGUS\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET /a HTTP/1.1\r\nhost: a\r\ncontent-length: x\r\n\r\n",
        ] {
            let mut client = Connection::open(address).unwrap();
            client.write(bytes.as_bytes()).unwrap();
            let _ = client.drain();
        }
        // A local reply of Envoy's.
        app.answer(Answer::Close);
        assert_eq!(self.envoy.get("/closed").unwrap().status, 503);
        // A client that leaves.
        app.answer(Answer::Hang);
        let before = app.received().len();
        let mut client = Connection::open(address).unwrap();
        client.write(&Request::get("/left").encode()).unwrap();
        app.await_received(before + 1, SOON).unwrap();
        drop(client);
        app.answer(Reply::status(200));
        // A HEAD, and a request with a body.
        self.envoy.send(&Request::new("HEAD", "/head")).unwrap();
        self.envoy
            .send(&Request::new("POST", "/post").body("x=1"))
            .unwrap();
        7
    }

    /// The lines so far, as soon as there are so many; exactly so many.
    pub(crate) fn lines(&self, count: usize) -> Vec<String> {
        let lines = self.lines_at_least(count);
        assert_eq!(lines.len(), count, "{lines:#?}");
        lines
    }

    /// The lines so far, as soon as there are at least so many.
    pub(crate) fn lines_at_least(&self, count: usize) -> Vec<String> {
        let read = || std::fs::read(self.log()).unwrap_or_default();
        let lines = || -> Vec<String> {
            let text = String::from_utf8(read()).expect("a log of UTF-8");
            text.lines().map(str::to_owned).collect()
        };
        let found = self.envoy.await_value(SOON, || {
            Ok(Some(lines()).filter(|lines| lines.len() >= count))
        });
        found.unwrap_or_else(|error| {
            panic!(
                "{error:#}: {} of {count} lines: {:#?}",
                lines().len(),
                lines().last()
            )
        })
    }

    /// A counter or gauge of the plugin.
    pub(crate) fn stat(&self, name: &str) -> u64 {
        self.envoy
            .admin()
            .stat(&format!("wasmcustom.{name}"))
            .unwrap()
    }

    /// Records written, of all levels.
    pub(crate) fn records(&self) -> u64 {
        ["info", "warn", "error"]
            .iter()
            .map(|level| {
                self.stat(&format!(
                    "launchgate_access_log_records_totallevel=.={level};.;"
                ))
            })
            .sum()
    }
}
