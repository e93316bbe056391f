//! `launchgate bench`: what every filter costs, on the real Envoy. `make bench` runs it.
//!
//! 1. One Envoy with one worker has a listener for each variant: no filter, an empty filter, each plugin on a request that it
//!    only passes and on one that it acts on, all in a chain, the suite, Lua filters that do the same (`bench/lua`), and Envoy's
//!    own filters where there are any. Every listener answers by itself, so no upstream is measured along.
//! 2. The variants take turns, round by round, each with the same number of requests, on several connections, so that Envoy is
//!    busy. What is measured is the CPU time of the Envoy process, from `/proc/<pid>/task/*/schedstat`, in nanoseconds: the client
//!    and the rest of the machine do not count.
//! 3. The result of a variant is the median over the rounds on several Envoys, with the quartiles as its spread; ratios are to
//!    the empty filter.
//! 4. How cost grows is measured the same way: headers, body bytes, route templates. Start-up and memory come from an Envoy of
//!    its own for each module; instructions and host calls from the emulator.
//! 5. A table tells what each host call costs, so that a filter's cost falls into calls and its own work.
//! 6. Rounds end when the time is up; at least three are made. It writes `benchmarks.md` and `benchmarks.svg`.

#![allow(clippy::disallowed_methods, reason = "a benchmark measures real time")]

mod bars;
mod calls;
mod emulated;
mod gateway;
mod growth;
mod load;
mod plot;
mod report;
mod startup;
mod statistic;
mod variant;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use launchgate_harness::envoy::{Envoy, Launch};

use gateway::Gateway;
use report::Report;
use statistic::Spread;
use variant::Variant;

/// Processes that are measured one after the other: where a process has its code and data in memory favours now one filter, now
/// another, by more than a passing filter adds.
const ENVOYS: usize = 5;

/// Measures what every filter costs on the real Envoy, and writes it down.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The module of a filter that does nothing, which everything is compared with.
    #[arg(long)]
    empty: PathBuf,
    /// Requests of a variant in a round.
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Rounds on each of five Envoys, at least 3.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// No new round begins after so many minutes.
    #[arg(long, default_value_t = 5)]
    minutes: u64,
    /// About a minute: 300 requests, 3 rounds, no growth and no start-up. For a first look.
    #[arg(long)]
    quick: bool,
    /// Folder of the result.
    #[arg(long, default_value = "docs")]
    out: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let requests = if args.quick {
        300
    } else {
        args.requests.max(100)
    };
    let rounds = if args.quick { 3 } else { args.rounds.max(3) };
    let (variants, missing) = variant::all(&args.empty);
    let startup = if args.quick {
        startup::Startup::default()
    } else {
        eprintln!("start-up and memory of each module");
        startup::measure(&variants)?
    };
    let usable: Vec<Variant> = variants
        .into_iter()
        .filter(|variant| startup.accepts(variant))
        .collect();

    eprintln!(
        "{} variants, {requests} requests a run, at most {rounds} rounds",
        usable.len()
    );
    let limit = Instant::now() + Duration::from_secs(args.minutes * 60);
    let mut samples = vec![Vec::new(); usable.len()];
    let mut latency = Vec::new();
    for number in 1..=if args.quick { 1 } else { ENVOYS } {
        eprintln!("Envoy {number}");
        let envoy = start(Gateway::new(&usable).bootstrap()?)?;
        take_turns(&envoy, &usable, requests, rounds, limit, &mut samples)?;
        if latency.is_empty() {
            eprintln!("latency at a fixed rate");
            latency = load::latencies(&envoy, &usable, requests)?;
        }
    }
    let cpu: Vec<Spread> = samples.into_iter().map(Spread::of).collect();
    let growth = if args.quick {
        Vec::new()
    } else {
        eprintln!("growth");
        growth::measure(&args.empty, requests / 4)?
    };
    eprintln!("host calls, one by one");
    let prices = calls::measure(requests / 4)?;
    eprintln!("instructions and host calls");
    let emulated = emulated::measure(&usable)?;
    let report = Report {
        variants: &usable,
        cpu: &cpu,
        latency: &latency,
        growth: &growth,
        startup: &startup,
        emulated: &emulated,
        prices: &prices,
        missing: &missing,
        requests,
        quick: args.quick,
    };
    report.write(&args.out)?;
    Ok(ExitCode::SUCCESS)
}

/// An Envoy with one worker, so that all requests of a variant meet the same VM.
fn start(bootstrap: launchgate_harness::envoy::Bootstrap) -> Result<Envoy> {
    Launch::new(bootstrap)
        .concurrency(1)
        .log_level("critical")
        .start()
}

/// Adds CPU per request of each variant, in nanoseconds, one value a round.
fn take_turns(
    envoy: &Envoy,
    variants: &[Variant],
    requests: usize,
    rounds: usize,
    limit: Instant,
    samples: &mut [Vec<f64>],
) -> Result<()> {
    for variant in variants {
        load::run(envoy, variant, requests / 4)?;
    }
    for round in 0..rounds {
        if round >= 3 && Instant::now() > limit {
            break;
        }
        eprintln!("round {}", round + 1);
        // Each round begins elsewhere, so that no variant always follows the same one.
        for offset in 0..variants.len() {
            let index = (offset + round * 5) % variants.len();
            let (Some(variant), Some(own)) = (variants.get(index), samples.get_mut(index)) else {
                continue;
            };
            own.push(load::run(envoy, variant, requests)?);
        }
    }
    Ok(())
}
