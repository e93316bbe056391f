//! Records and numbers over OTLP/HTTP to a collector, which is played; OpenTelemetry's own definitions judge what arrives, where `make deps` has
//! brought them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use launchgate_harness::envoy::Request;
use serde_json::{Value, json};

use super::{
    Chapter, say,
    stack::{HOST, Stack},
};

const PACKAGES: &str = ".tools/otlp";
const JUDGE: &str = include_str!("collector.py");
const REQUESTS: usize = 20;

/// Sends both to the cluster `collector`, besides what they do anyway.
pub(super) fn configure(config: &mut Value) {
    config["metrics"]["otlp"] = json!({"cluster": "collector", "interval": "1s"});
    config["access_log"]["sinks"] = json!([{"kind": "otlp", "cluster": "collector"}]);
}

pub(super) fn chapter(stack: &mut Stack) -> Result<Chapter> {
    if !Path::new(PACKAGES).is_dir() {
        return Ok(Chapter::LeftOut(
            "what a collector gets is judged by opentelemetry-proto (make deps)".into(),
        ));
    }
    say("The same records, and the same numbers, also go to an OpenTelemetry collector.");
    let mut connection = stack.connect()?;
    for order in 0..REQUESTS {
        let path = format!("/orders/{order}/items");
        connection.exchange(&Request::get(path).host(HOST))?;
    }
    let arrived = stack.await_that("the records", || {
        let sent = stack.collector.received();
        let bodies = sent
            .iter()
            .map(|call| Ok((call.path.clone(), serde_json::from_slice(&call.body)?)));
        let bodies: Vec<(String, Value)> = bodies.collect::<Result<_>>()?;
        let text = |path: &str| {
            let of = bodies.iter().filter(|(p, _)| p == path);
            of.map(|(_, body)| body.to_string()).collect::<String>()
        };
        let (logs, metrics) = (text("/v1/logs"), text("/v1/metrics"));
        let all = (0..REQUESTS).all(|order| logs.contains(&format!("/orders/{order}/items")));
        Ok((all && metrics.contains("/orders/{id}/items")).then_some(bodies))
    })?;
    println!("OpenTelemetry's definitions: {}", judge(&arrived)?.trim());
    Ok(Chapter::Shown)
}

/// Parses every body strictly, and says what is in it.
fn judge(arrived: &[(String, Value)]) -> Result<String> {
    let mut python = Command::new("python3")
        .args(["-c", JUDGE])
        .env("PYTHONPATH", std::path::absolute(PACKAGES)?)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("python3 does not start")?;
    let lines: String = arrived
        .iter()
        .map(|(path, body)| format!("{}\n", json!({"path": path, "body": body})))
        .collect();
    // It reads everything before it writes anything.
    python
        .stdin
        .take()
        .context("python3 takes no input")?
        .write_all(lines.as_bytes())?;
    let output = python.wait_with_output()?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "a body is no OTLP: {complaint}");
    Ok(String::from_utf8(output.stdout)?)
}
