//! A real Prometheus with the generated rules, on a clock that runs 120 times faster, and a real Alertmanager.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};
use launchgate_harness::envoy::{Reply, Upstream, get};
use serde_json::{Value, json};

use crate::generate;

const SPEED_UP: NonZeroU32 = NonZeroU32::new(120).unwrap();

/// Both servers, and who is told of alerts.
pub(crate) struct Monitoring {
    folder: PathBuf,
    pub(crate) prometheus: SocketAddr,
    pub(crate) alertmanager: SocketAddr,
    pub(crate) pager: Upstream,
    servers: Vec<Child>,
}

impl Monitoring {
    /// Takes addresses; `None` where the servers are not installed.
    pub(crate) fn reserve(folder: &Path) -> Result<Option<Self>> {
        if !is_installed("prometheus") || !is_installed("prometheus-alertmanager") {
            return Ok(None);
        }
        Ok(Some(Self {
            folder: folder.to_owned(),
            prometheus: free_address()?,
            alertmanager: free_address()?,
            pager: Upstream::always(Reply::status(200))?,
            servers: Vec::new(),
        }))
    }

    /// Starts both; Prometheus scrapes this admin interface.
    pub(crate) fn start(&mut self, admin: SocketAddr) -> Result<()> {
        // As `launchgate generate telemetry` writes them.
        std::fs::write(
            self.folder.join("rules.yaml"),
            generate::fast_rules(SPEED_UP)?,
        )?;
        let alertmanager = json!({
            "route": {"receiver": "pager", "group_wait": "0s", "group_interval": "1s", "group_by": ["alertname"]},
            "receivers": [{"name": "pager", "webhook_configs": [{"url": format!("http://{}/page", self.pager.address()), "send_resolved": true}]}],
        });
        let prometheus = json!({
            "global": {"scrape_interval": "500ms", "scrape_timeout": "500ms"},
            "rule_files": ["rules.yaml"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [self.alertmanager]}]}]},
            "scrape_configs": [{"job_name": "envoy", "metrics_path": "/stats/prometheus", "static_configs": [{"targets": [admin]}]}],
        });
        std::fs::write(
            self.folder.join("alertmanager.yml"),
            alertmanager.to_string(),
        )?;
        std::fs::write(self.folder.join("prometheus.yml"), prometheus.to_string())?;
        let listen = |address: SocketAddr| format!("--web.listen-address={address}");
        self.serve(
            "prometheus-alertmanager",
            &[
                "--config.file=alertmanager.yml",
                "--storage.path=alerts",
                "--cluster.listen-address=",
                &listen(self.alertmanager),
            ],
        )?;
        self.serve(
            "prometheus",
            &[
                "--config.file=prometheus.yml",
                "--storage.tsdb.path=data",
                &listen(self.prometheus),
            ],
        )
    }

    fn serve(&mut self, program: &str, arguments: &[&str]) -> Result<()> {
        let log = File::create(self.folder.join(format!("{program}.log")))?;
        let mut command = Command::new(program);
        command
            .current_dir(&self.folder)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log);
        self.servers.push(
            command
                .spawn()
                .with_context(|| format!("{program} does not start"))?,
        );
        Ok(())
    }

    /// What Prometheus answers to a path of its API.
    pub(crate) fn ask(&self, path: &str) -> Option<Value> {
        get(self.prometheus, path).ok()?.json().ok()
    }

    /// Changes a file of Prometheus' configuration and lets it be read anew.
    #[cfg(test)]
    pub(crate) fn change(&self, file: &str, change: impl FnOnce(String) -> String) -> Result<()> {
        let path = self.folder.join(file);
        std::fs::write(&path, change(std::fs::read_to_string(&path)?))?;
        let prometheus = self.servers.last().context("Prometheus does not run")?;
        let status = Command::new("kill")
            .args(["-HUP", &prometheus.id().to_string()])
            .status()?;
        anyhow::ensure!(status.success(), "no signal reached Prometheus");
        Ok(())
    }

    /// Whether Alertmanager answers.
    pub(crate) fn is_ready(&self) -> bool {
        let ready = |address| get(address, "/-/ready").is_ok_and(|reply| reply.status == 200);
        ready(self.prometheus) && ready(self.alertmanager)
    }

    /// The first page with this alert and status.
    pub(crate) fn page(&self, alert: &str, status: &str) -> Option<Value> {
        let bodies = self.pager.received();
        let mut bodies = bodies
            .iter()
            .filter_map(|call| serde_json::from_slice::<Value>(&call.body).ok());
        bodies.find(|body| {
            body["status"] == status && body["alerts"][0]["labels"]["alertname"] == alert
        })
    }
}

impl Drop for Monitoring {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

fn is_installed(program: &str) -> bool {
    let version = Command::new(program)
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    version.is_ok_and(|status| status.success())
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
