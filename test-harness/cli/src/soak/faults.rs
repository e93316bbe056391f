//! What befalls the gateway, one thing after the other.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use launchgate_harness::envoy::Request;
use serde_json::json;

use super::{gateway::Gateway, ledger::Ledger, poison};
use crate::demo::HOST;

const BETWEEN: Duration = Duration::from_millis(700);

pub(super) fn run(
    gateway: &Gateway,
    ledger: &Ledger,
    stop: &AtomicBool,
    mut draw: Rng,
) -> Result<()> {
    let stack = &gateway.stack;
    let mut version = 0;
    while !stop.load(Ordering::Relaxed) {
        match draw.u64(..6) {
            0 => stack.sentry.refuse(),
            1 => stack.sentry.accept()?,
            2 => stack.slack.refuse(),
            3 => stack.slack.accept()?,
            4 => {
                version += 1;
                reload(gateway, version, &mut draw)?;
            }
            _ => panic(gateway, ledger)?,
        }
        // What the played servers remember is not looked at here.
        for upstream in [&stack.stable, &stack.canary, &stack.sentry, &stack.slack] {
            upstream.forget();
        }
        std::thread::sleep(BETWEEN + Duration::from_millis(draw.u64(..700)));
    }
    Ok(())
}

/// Another configuration that counts and records the same; each third one is refused, and the running one stays.
fn reload(gateway: &Gateway, version: u64, draw: &mut Rng) -> Result<()> {
    let omit: &[&str] = if draw.u64(..2) == 0 {
        &[]
    } else {
        &["referer"]
    };
    let is_bad = draw.u64(..3) == 0;
    gateway.reload(version, |config| {
        config["access_log"]["omit"] = json!(omit);
        if is_bad {
            config["tls"]["min_version"] = json!("9.9");
        }
    })
}

/// Kills the VM of the poison filter on one worker. That exchange is a 503, and so are those before the VM is replaced.
fn panic(gateway: &Gateway, ledger: &Ledger) -> Result<()> {
    let mut request = Request::get("/poison").host(HOST);
    for number in 0..=poison::LIMIT {
        request = request.header(format!("x-{number}"), "1");
    }
    let mut connection = gateway.connect()?;
    ledger.panic_begins();
    ledger.count_sent();
    match connection.exchange(&request) {
        Ok(answer) => ledger.answered("panic", 503, answer.status, answer.body.is_empty()),
        Err(error) => ledger.lost(&format!("panic: {error:#}")),
    }
    Ok(())
}
