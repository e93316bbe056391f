//! A process in the foreground that ends with this one.
//!
//! 1. Its output is this process's.
//! 2. SIGINT and SIGTERM are passed on as SIGTERM, and waited for: nothing keeps running behind the back of whoever stopped
//!    this process alone. (A terminal's Ctrl-C reaches both; the second signal then changes nothing.)

use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;
use tokio::signal::unix::{SignalKind, signal};

use super::runtime::runtime;

/// Runs `command` until it ends, by itself or because this process was told to; kills it when it is not gone `patience` later.
pub(super) fn run(command: Command, patience: Duration) -> Result<ExitStatus> {
    runtime().block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut child = tokio::process::Command::from(command)
            .kill_on_drop(true)
            .spawn()
            .context("Envoy does not start")?;
        tokio::select! {
            status = child.wait() => return Ok(status?),
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        stop(&mut child, patience).await
    })
}

async fn stop(child: &mut Child, patience: Duration) -> Result<ExitStatus> {
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    if let Some(pid) = id.and_then(Pid::from_raw) {
        kill_process(pid, Signal::TERM)?;
    }
    match tokio::time::timeout(patience, child.wait()).await {
        Ok(status) => Ok(status?),
        Err(_) => {
            child.kill().await?;
            Ok(child.wait().await?)
        }
    }
}
