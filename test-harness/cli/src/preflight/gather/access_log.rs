//! The end of the access log, once a request of our own with a trace id is in it.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::Path,
    time::SystemTime,
};

use anyhow::Context as _;
use launchgate_harness::envoy::Request;

use super::{await_value, gateway, now, target::Target};
use crate::preflight::facts::AccessLog;

/// So much of its end is read.
const TAIL: u64 = 256 * 1024;

pub(super) fn gather(target: &Target, file: &Path) -> anyhow::Result<AccessLog> {
    let nanos = now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    let trace_id = format!("{nanos:032x}");
    let request = Request::get(&target.path)
        .host(&target.authority)
        .header("traceparent", format!("00-{trace_id}-00f067aa0ba902b7-01"))
        .header("user-agent", "launchgate-preflight");
    gateway::exchange(target, &request)?;
    let seen = await_value(|| {
        let lines = tail(file)?;
        Ok(lines
            .iter()
            .any(|line| line.contains(&trace_id))
            .then_some(lines))
    })?;
    let lines = match seen {
        Some(lines) => lines,
        None => tail(file)?,
    };
    Ok(AccessLog { lines, trace_id })
}

fn tail(path: &Path) -> anyhow::Result<Vec<String>> {
    let read = || -> std::io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        // A line that was cut at its begin is not judged.
        if length > TAIL {
            let begin = bytes
                .iter()
                .position(|b| *b == b'\n')
                .map_or(0, |at| at + 1);
            bytes.drain(..begin);
        }
        Ok(bytes)
    };
    let bytes = read().with_context(|| format!("{}: cannot be read", path.display()))?;
    Ok(String::from_utf8_lossy(&bytes)
        .lines()
        .map(str::to_owned)
        .collect())
}
