//! The demo's gateway in front of the go-live checklist: every source named, so that every rule is checked.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use launchgate_harness::envoy::{Reply, Request};

use super::stack::{HOST, Stack};
use crate::preflight::{self, Args, Format, Report};
use crate::registry::signature;

/// An overlay that pins nothing: what is pinned belongs to a release, and is compared with its index.
const MANIFESTS: &str = "envoy-configs/istio/overlays/development";

/// All arguments, gathered.
#[derive(Clone)]
pub(crate) struct Preflight(Args);

impl Preflight {
    /// Signs the index, lets an error be reported, and waits until Prometheus has seen the gateway. `None`: a part is not installed.
    pub(crate) fn prepare(stack: &Stack, dist: &Path) -> Result<Option<Self>> {
        let Some(monitoring) = &stack.monitoring else {
            return Ok(None);
        };
        let kubectl = Command::new("kubectl")
            .args(["version", "--client"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        if stack.redis.is_none() || !kubectl.is_ok_and(|status| status.success()) {
            return Ok(None);
        }
        stack.await_health("healthy")?;
        stack.stable.answer(Reply::status(500));
        stack.send(Request::get("/users/7").header("x-canary", "never"))?;
        stack.stable.answer(Reply::status(200).body("stable\n"));
        stack.await_that("an error report", || {
            let sent = stack
                .envoy
                .admin()
                .matching_stats("launchgate_errors_sent_total")?;
            Ok(sent.values().any(|count| *count > 0).then_some(()))
        })?;
        stack.await_that("Prometheus", || {
            let up = monitoring.ask("/api/v1/query?query=launchgate_metrics_requests_total");
            let seen = up.is_some_and(|a| {
                a["data"]["result"]
                    .as_array()
                    .is_some_and(|r| !r.is_empty())
            });
            let rules = monitoring.ask("/api/v1/alertmanagers").is_some_and(|a| {
                !a["data"]["activeAlertmanagers"]
                    .as_array()
                    .is_none_or(Vec::is_empty)
            });
            Ok((seen && rules && monitoring.is_ready()).then_some(()))
        })?;
        let (index, key) = signed_index(stack.folder(), dist)?;
        let mut preflight = Self(Args {
            url: String::new(),
            plain: None,
            resolve: Some([127, 0, 0, 1].into()),
            ca: None,
            admin: None,
            manifests: Some(MANIFESTS.into()),
            index: Some(index),
            key: Some(key),
            prometheus: Some(format!("http://{}", monitoring.prometheus)),
            alertmanager: Some(format!("http://{}", monitoring.alertmanager)),
            access_log: None,
            send_test_alert: true,
            only: Vec::new(),
            format: Format::Table,
            out: None,
        });
        preflight.look_at(stack)?;
        Ok(Some(preflight))
    }

    /// Goes to this gateway; the other sources stay.
    pub(crate) fn look_at(&mut self, stack: &Stack) -> Result<()> {
        let port = |number| Ok::<_, anyhow::Error>(stack.envoy.port(number)?.port());
        self.0.url = format!("https://{HOST}:{}/", port(10443)?);
        self.0.plain = Some(format!("http://{HOST}:{}/", port(10000)?));
        self.0.ca = Some(stack.authority());
        self.0.admin = Some(format!("http://{}", stack.envoy.admin().forward()?));
        self.0.access_log = Some(stack.access_log());
        Ok(())
    }

    /// The arguments, to be changed.
    #[cfg(test)]
    pub(crate) fn args(&mut self) -> &mut Args {
        &mut self.0
    }

    pub(crate) fn run(&self) -> Result<Report> {
        preflight::report(&self.0)
    }
}

/// The build's index in a folder of its own, with its signature beside it, and the public key.
fn signed_index(folder: &Path, dist: &Path) -> Result<(PathBuf, PathBuf)> {
    let release = folder.join("release");
    std::fs::create_dir(&release)?;
    for entry in std::fs::read_dir(dist).with_context(|| dist.display().to_string())? {
        let path = std::path::absolute(entry?.path())?;
        if path.extension().is_some_and(|e| e == "wasm" || e == "json") {
            symlink(&path, release.join(path.file_name().unwrap_or_default()))?;
        }
    }
    let index = release.join("index.json");
    let stem = folder.join("launchgate");
    signature::generate(&stem)?;
    let key = signature::private_key(&stem.with_extension("key"))?;
    std::fs::write(
        release.join("index.json.sig"),
        signature::sign_blob(&std::fs::read(&index)?, &key),
    )?;
    Ok((index, stem.with_extension("pub")))
}
