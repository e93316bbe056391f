//! A Prometheus server that scrapes gateways every second.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use launchgate_harness::envoy::workspace;
use serde_json::json;
use tempfile::TempDir;

pub(crate) struct Prometheus {
    child: Child,
    folder: TempDir,
    pub(crate) address: SocketAddr,
}

impl Prometheus {
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let targets = folder.path().join("targets.json");
        std::fs::write(&targets, "[]").unwrap();
        let config = json!({
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
            "scrape_configs": [{
                "job_name": "gateways", "metrics_path": "/stats/prometheus",
                "file_sd_configs": [{"files": [targets], "refresh_interval": "1s"}],
            }],
        });
        let file = folder.path().join("prometheus.json");
        std::fs::write(&file, config.to_string()).unwrap();
        let local = workspace().join(".tools/prometheus/usr/bin/prometheus");
        let program = if local.is_file() {
            local
        } else {
            PathBuf::from("prometheus")
        };
        let mut child = Command::new(program)
            .arg(format!("--config.file={}", file.display()))
            .arg(format!(
                "--storage.tsdb.path={}",
                folder.path().join("data").display()
            ))
            .arg("--web.listen-address=127.0.0.1:0")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("prometheus: `make deps` brings it");
        let mut log = BufReader::new(child.stderr.take().unwrap()).lines();
        let listening = log
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains("Listening on"))
            .expect("prometheus listens");
        // Nobody else reads on, and a full pipe would stop it.
        std::thread::spawn(move || log.for_each(drop));
        let address = listening.split("address=").nth(1).unwrap();
        Self {
            child,
            folder,
            address: address.trim().parse().unwrap(),
        }
    }

    /// Scrapes these from now on.
    pub(crate) fn scrape(&self, targets: &[SocketAddr]) {
        let new = self.folder.path().join("new.json");
        std::fs::write(&new, json!([{"targets": targets}]).to_string()).unwrap();
        std::fs::rename(new, self.folder.path().join("targets.json")).unwrap();
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
