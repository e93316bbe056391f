//! What befalls the gateway, one thing after the other: all of them in any order, over and over, so that also a short soak sees each.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::Result;
use fastrand::Rng;
use launchgate_harness::envoy::Request;
use serde_json::json;

use super::{gateway::Gateway, ledger::Ledger, poison};
use crate::demo::HOST;

const BETWEEN: Duration = Duration::from_millis(700);

#[derive(Clone, Copy)]
enum Fault {
    SentryRefuses,
    SentryAccepts,
    SlackRefuses,
    SlackAccepts,
    /// Another configuration that counts and records the same.
    Reload,
    /// A configuration that is refused; the running one stays.
    BadReload,
    Panic,
}

const FAULTS: [Fault; 7] = [
    Fault::SentryRefuses,
    Fault::SentryAccepts,
    Fault::SlackRefuses,
    Fault::SlackAccepts,
    Fault::Reload,
    Fault::BadReload,
    Fault::Panic,
];

pub(super) fn run(
    gateway: &Gateway,
    ledger: &Ledger,
    stop: &AtomicBool,
    mut draw: Rng,
) -> Result<()> {
    let stack = &gateway.stack;
    let mut version = 0;
    let mut deck = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if deck.is_empty() {
            deck.extend(FAULTS);
            draw.shuffle(&mut deck);
        }
        match deck.pop().unwrap_or(Fault::Reload) {
            Fault::SentryRefuses => stack.sentry.refuse(),
            Fault::SentryAccepts => stack.sentry.accept()?,
            Fault::SlackRefuses => stack.slack.refuse(),
            Fault::SlackAccepts => stack.slack.accept()?,
            fault @ (Fault::Reload | Fault::BadReload) => {
                version += 1;
                let is_bad = matches!(fault, Fault::BadReload);
                reload(gateway, version, is_bad, &mut draw)?;
            }
            Fault::Panic => panic(gateway, ledger)?,
        }
        // What the played servers remember is not looked at here.
        for upstream in [&stack.stable, &stack.canary, &stack.sentry, &stack.slack] {
            upstream.forget();
        }
        std::thread::sleep(BETWEEN + Duration::from_millis(draw.u64(..700)));
    }
    Ok(())
}

fn reload(gateway: &Gateway, version: u64, is_bad: bool, draw: &mut Rng) -> Result<()> {
    let omit: &[&str] = if draw.bool() { &[] } else { &["referer"] };
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
