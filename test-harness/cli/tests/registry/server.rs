//! Debian's docker-registry, a real one.

use std::{
    fs,
    net::{SocketAddr, TcpListener, TcpStream},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};
use serde_json::json;

/// A registry on a free port, stopped when dropped.
pub(crate) struct Registry {
    child: Child,
    pub(crate) address: SocketAddr,
    folder: tempfile::TempDir,
}

impl Registry {
    /// Starts one; it answers when this returns.
    pub(crate) fn start() -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The port is free now; another process may take it first, so a failed start is tried again.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let config = json!({
                "version": 0.1, "log": {"level": "error", "accesslog": {"disabled": true}},
                "storage": {"filesystem": {"rootdirectory": folder.path().join("data")}}, "http": {"addr": address.to_string()},
            });
            let file = folder.path().join("config.yml");
            fs::write(&file, config.to_string())?;
            let mut command = Command::new("docker-registry");
            command
                .arg("serve")
                .arg(&file)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            let mut child = command
                .spawn()
                .context("docker-registry: run `make deps`")?;
            for _ in 0..1000 {
                if child.try_wait()?.is_some() {
                    break;
                }
                if TcpStream::connect(address).is_ok() {
                    return Ok(Self {
                        child,
                        address,
                        folder,
                    });
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            child.kill().ok();
            child.wait().ok();
        }
        bail!("docker-registry does not start")
    }

    /// Where the tests push to.
    pub(crate) fn prefix(&self) -> String {
        format!("{}/team/launchgate", self.address)
    }

    /// The file in which the registry keeps a blob.
    pub(crate) fn blob(&self, digest: &str) -> PathBuf {
        let hex = digest.trim_start_matches("sha256:");
        let blobs = self
            .folder
            .path()
            .join("data/docker/registry/v2/blobs/sha256");
        blobs
            .join(hex.get(..2).unwrap_or_default())
            .join(hex)
            .join("data")
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
