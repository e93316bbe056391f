//! The gateway under load: the demo's, its plugin configured by an xDS file, and a filter that can panic behind it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use launchgate_harness::envoy::{Answer, Connection, Received, Reply, Request};
use serde_json::{Value, json};

use super::{Args, ledger::Ledger, poison};
use crate::demo::{HOST, Stack};

const FILTER: &str = "launchgate.suite";
const WASM: &str = "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm";

/// What the service shall do, said by the client in this header.
pub(super) const WISH: &str = "x-soak";

/// A running gateway.
pub(super) struct Gateway {
    pub(super) stack: Stack,
    /// The filter as the xDS file has it.
    filter: Value,
    file: PathBuf,
}

impl Gateway {
    pub(super) fn start(args: &Args, ledger: &Ledger) -> Result<Self> {
        let mut filter = Value::Null;
        let stack = Stack::start_edited(&args.demo, |folder, _, bootstrap| {
            let probe = folder.join("poison.wasm");
            std::fs::write(&probe, poison::module())?;
            let module = std::path::absolute(args.demo.dist.join("suite.wasm"))?;
            let mut taken = Value::Null;
            let file = folder.join("suite.json");
            let bootstrap = bootstrap.edit(|document| {
                // Both are needed by file-based xDS: an identity, and who it is for.
                document["node"] = json!({"id": "soak", "cluster": "soak"});
                each_filter_list(document, &mut |filters| {
                    discover(filters, &file, &probe, &mut taken)
                });
            });
            let code = taken
                .pointer_mut("/config/vm_config/code/local/filename")
                .context("suite.yaml has no filter suite")?;
            *code = json!(module);
            write(&file, 0, &taken)?;
            filter = taken;
            Ok(bootstrap)
        })?;
        for upstream in [&stack.stable, &stack.canary] {
            upstream.script(serve);
        }
        let file = stack.folder().join("suite.json");
        let gateway = Self {
            stack,
            filter,
            file,
        };
        gateway.stack.await_that("the gateway answers", || {
            ledger.count_sent();
            let reply = gateway.stack.get("/")?;
            Ok((reply.status == 200).then_some(()))
        })?;
        Ok(gateway)
    }

    /// Puts a new version of the plugin's configuration into force, or tries to.
    pub(super) fn reload(&self, version: u64, change: impl FnOnce(&mut Value)) -> Result<()> {
        let mut filter = self.filter.clone();
        let text = &mut filter["config"]["configuration"]["value"];
        let mut config = serde_json::from_str(text.as_str().unwrap_or_default())?;
        change(&mut config);
        *text = json!(config.to_string());
        write(&self.file, version, &filter)
    }

    /// Resident memory in bytes: the least of some looks, since what a request holds for a moment is no leak.
    pub(super) fn settled_memory(&self) -> u64 {
        let look = || {
            std::thread::sleep(Duration::from_millis(200));
            resident(self.stack.envoy.id()).unwrap_or(0)
        };
        (0..15).map(|_| look()).min().unwrap_or(0)
    }

    /// Waits until all is at rest and writes the rest of the books.
    pub(super) fn close(&self, ledger: &Ledger) -> Result<()> {
        ledger.set_memory_after(self.settled_memory());
        self.ask_each_worker(ledger)?;
        let admin = self.stack.envoy.admin();
        let sum = |part: &str| -> Result<u64> { Ok(admin.matching_stats(part)?.values().sum()) };
        let sent = ledger.sent();
        // The log is flushed every 100 ms.
        let lines = self.stack.await_that("every record is written", || {
            let lines = count_lines(&self.stack.access_log())?;
            Ok((lines >= sent).then_some(lines))
        });
        ledger.set_lines(lines.or_else(|_| count_lines(&self.stack.access_log()))?);
        let counted =
            sum("launchgate_metrics_requests_total")? + sum("launchgate_metrics_excluded_total")?;
        ledger.set_counted(counted);
        ledger.set_panics(sum("launchgate_panics_total")?);
        ledger.set_reloads(
            sum("^wasm\\..*vm_reload_success$")?,
            sum("extension_config_discovery.*config_reload$")?,
            sum("extension_config_discovery.*config_fail$")?,
        );
        Ok(())
    }

    /// Each worker answers, on a connection of its own to the plain listener.
    fn ask_each_worker(&self, ledger: &Ledger) -> Result<()> {
        let mut workers = self.stack.envoy.connection_per_worker("plaintext")?;
        ensure!(workers.len() == 2, "{} workers", workers.len());
        for connection in &mut workers {
            self.stack.await_that("a worker answers", || {
                ledger.count_sent();
                let reply = connection.exchange(&Request::get("/").host(HOST))?;
                Ok((reply.status == 301).then_some(()))
            })?;
        }
        Ok(())
    }

    pub(super) fn connect(&self) -> Result<Connection> {
        self.stack.connect()
    }
}

/// Does what the request wishes.
fn serve(request: &Received) -> Answer {
    match request.header(WISH).as_deref() {
        Some("500") => Reply::status(500).body("wished").into(),
        Some("slow") => Reply::status(200)
            .latency(Duration::from_millis(250))
            .into(),
        Some("reset") => Answer::Reset,
        Some("close") => Answer::Close,
        _ => Reply::status(200).body("fine").into(),
    }
}

/// Puts discovery in place of the filter, and the one that can panic behind it.
fn discover(filters: &mut Vec<Value>, file: &Path, probe: &Path, taken: &mut Value) {
    let Some(at) = filters.iter().position(|f| f["name"] == FILTER) else {
        return;
    };
    *taken = filters[at]["typed_config"].clone();
    filters[at] = json!({
        "name": FILTER,
        "config_discovery": {"config_source": {"path_config_source": {"path": file}, "resource_api_version": "V3"}, "type_urls": [WASM]},
    });
    let probe = json!({
        "name": "soak.poison",
        "typed_config": {
            "@type": WASM,
            "config": {
                "name": "poison", "root_id": "poison", "failure_policy": "FAIL_RELOAD",
                "reload_config": {"backoff": {"base_interval": "0.1s"}},
                "vm_config": {"runtime": "envoy.wasm.runtime.v8", "vm_id": "poison", "code": {"local": {"filename": probe}}},
            },
        },
    });
    filters.insert(at + 1, probe);
}

fn each_filter_list(value: &mut Value, change: &mut dyn FnMut(&mut Vec<Value>)) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(|v| each_filter_list(v, change)),
        Value::Object(map) => map.iter_mut().for_each(|(name, inner)| match inner {
            Value::Array(filters) if name == "http_filters" => change(filters),
            other => each_filter_list(other, change),
        }),
        _ => {}
    }
}

/// Envoy watches for a file that is moved into place.
fn write(file: &Path, version: u64, filter: &Value) -> Result<()> {
    let resource = json!({"@type": "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig", "name": FILTER, "typed_config": filter});
    let new = file.with_extension("new");
    std::fs::write(
        &new,
        json!({"version_info": version.to_string(), "resources": [resource]}).to_string(),
    )?;
    std::fs::rename(&new, file)?;
    Ok(())
}

fn resident(process: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = text.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes * 1024)
}

fn count_lines(file: &Path) -> Result<u64> {
    use std::io::{BufRead as _, BufReader};
    let mut count = 0;
    for line in BufReader::new(std::fs::File::open(file)?).lines() {
        let line = line?;
        ensure!(
            line.starts_with('{') && line.ends_with('}'),
            "a record of {} bytes is no object",
            line.len()
        );
        count += 1;
    }
    Ok(count)
}
