//! `launchgate soak`: load on a real Envoy with faults at random, and at its end the books must balance.
//!
//! 1. **Load**: clients over TLS; a seeded draw says of each request what the service behind shall do with it ([`load`]).
//! 2. **Faults**, drawn from the same seed ([`faults`]): Sentry and Slack away, the configuration reloaded by an xDS file, refused
//!    configurations among them, and a filter of its own whose VM panics and is replaced (`FAIL_RELOAD`, [`poison`]).
//! 3. **Asserted** ([`ledger`]): no answer but the expected one, and none missing; every worker answers; panics of the plugins 0;
//!    sent = counted = lines in the access log, exactly; resident memory after = before, within 5 % (after a warm-up).
//!
//! The wall clock of a real process cannot be stepped without stepping the machine's: the emulator's can, and
//! `plugins/suite/tests/clock.rs` steps it through hours of such a run, by days back and forth.

mod faults;
mod gateway;
mod ledger;
mod load;
mod poison;

use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use fastrand::Rng;

use self::ledger::Ledger;
use crate::demo;

/// The first part is not judged by memory: caches and pools fill.
const WARM_UP: f64 = 0.35;
const CLIENTS: u64 = 4;

/// Loads a real Envoy with all policies and random faults, and checks that nothing is lost.
#[derive(Debug, Clone, clap::Args)]
#[group(id = "soak")]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) demo: demo::Args,
    /// How long, such as `60s` or `10m`.
    #[arg(long, default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) duration: Duration,
    /// Repeats a run's draws.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let ledger = soak(args)?;
    print!("{ledger}");
    let broken = ledger.broken();
    for line in &broken {
        println!("BROKEN: {line}");
    }
    Ok(if broken.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// The whole run.
pub(crate) fn soak(args: &Args) -> Result<Ledger> {
    let ledger = Ledger::default();
    let gateway = gateway::Gateway::start(args, &ledger)?;
    let stop = AtomicBool::new(false);
    thread::scope(|scope| -> Result<()> {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (gateway, ledger, stop) = (&gateway, &ledger, &stop);
                let draw = Rng::with_seed(args.seed.wrapping_mul(1000) + client);
                scope.spawn(move || load::run(gateway, ledger, stop, draw))
            })
            .collect();
        let faults = {
            let (gateway, ledger, stop) = (&gateway, &ledger, &stop);
            scope.spawn(move || faults::run(gateway, ledger, stop, Rng::with_seed(args.seed)))
        };
        thread::sleep(args.duration.mul_f64(WARM_UP));
        ledger.set_memory_before(gateway.settled_memory());
        thread::sleep(args.duration.mul_f64(1.0 - WARM_UP));
        stop.store(true, Ordering::Relaxed);
        for thread in clients.into_iter().chain([faults]) {
            thread
                .join()
                .map_err(|_| anyhow::anyhow!("a thread panicked"))?
                .context("the run was cut short")?;
        }
        Ok(())
    })?;
    gateway.close(&ledger)?;
    Ok(ledger)
}

#[cfg(test)]
mod tests;
