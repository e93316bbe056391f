//! A real Redis for the demo, on a socket file, so that it takes no port.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result};

/// A running Redis server. Dropping it stops the process.
pub(crate) struct Redis(Child);

impl Redis {
    /// Whether there is one to start.
    pub(crate) fn is_installed() -> bool {
        let version = Command::new("redis-server")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        version.is_ok_and(|status| status.success())
    }

    /// Starts a server that listens on `socket` only and keeps nothing on disk.
    pub(crate) fn start(socket: &Path) -> Result<Self> {
        let folder = socket.parent().unwrap_or(socket);
        let mut command = Command::new("redis-server");
        command
            .args([
                "--port",
                "0",
                "--save",
                "",
                "--appendonly",
                "no",
                "--unixsocket",
            ])
            .arg(socket);
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        Ok(Self(
            command.spawn().context("redis-server does not start")?,
        ))
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
