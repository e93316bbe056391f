//! Requests, and what they cost.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use launchgate_harness::envoy::{Connection, Envoy, Request};

use super::statistic::percentile;
use super::variant::Variant;

/// Requests a second in the measurement of latency.
pub(crate) const RATE: u32 = 400;
const LATENCY_OF: [&str; 5] = [
    "no filter",
    "empty filter",
    "chain of six",
    "suite",
    "Lua: chain of six",
];

/// Connections that send at the same time: enough that Envoy finds the next request when it is done with one. An Envoy that
/// sleeps between requests costs more than twice as much for each, and what a filter adds drowns in how it woke up.
const CONNECTIONS: usize = 8;

/// Sends requests on several connections, on each one after the other. Gives the CPU time of Envoy per request, nanoseconds.
pub(crate) fn run(envoy: &Envoy, variant: &Variant, requests: usize) -> Result<f64> {
    measured(envoy, &variant.name, &variant.request(), requests)
}

/// The same for any request to a listener.
pub(crate) fn measured(
    envoy: &Envoy,
    listener: &str,
    request: &Request,
    requests: usize,
) -> Result<f64> {
    let connect = || -> Result<Connection> {
        let mut connection = Connection::open(envoy.listener(listener)?)?;
        let first = connection
            .exchange(request)
            .with_context(|| format!("{listener}: no answer"))?;
        ensure!(
            matches!(first.status, 200 | 500),
            "{listener}: answered {}",
            first.status
        );
        Ok(connection)
    };
    let connections: Vec<Connection> =
        (0..CONNECTIONS).map(|_| connect()).collect::<Result<_>>()?;
    let each = requests.div_ceil(CONNECTIONS);
    let send = |mut connection: Connection| -> Result<()> {
        for _ in 0..each {
            connection.exchange(request)?;
        }
        Ok(())
    };
    let before = cpu_nanos(envoy.id())?;
    std::thread::scope(|scope| {
        let clients: Vec<_> = connections
            .into_iter()
            .map(|connection| scope.spawn(|| send(connection)))
            .collect();
        clients.into_iter().try_for_each(|client| {
            client
                .join()
                .map_err(|_| anyhow::anyhow!("{listener}: a client failed"))?
        })
    })?;
    let spent = cpu_nanos(envoy.id())?.saturating_sub(before);
    Ok(spent as f64 / (each * CONNECTIONS) as f64)
}

/// Nanoseconds that all threads of a process have run (first field of `schedstat`, see the kernel's `sched-stats`).
fn cpu_nanos(process: u32) -> Result<u64> {
    let mut total = 0;
    for thread in std::fs::read_dir(format!("/proc/{process}/task")).context("Envoy is gone")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat")).context(
            "expected /proc/<pid>/task/<tid>/schedstat: a Linux kernel with scheduler statistics",
        )?;
        total += text
            .split_whitespace()
            .next()
            .and_then(|nanos| nanos.parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(total)
}

/// Latency percentiles of a variant, microseconds.
pub(crate) struct Latency {
    /// Name of the variant.
    pub(crate) name: String,
    /// Half of the requests were faster.
    pub(crate) p50: f64,
    /// Nine of ten.
    pub(crate) p90: f64,
    /// 99 of 100.
    pub(crate) p99: f64,
}

/// Latency of the main variants at a fixed rate, from the moment at which a request was due.
pub(crate) fn latencies(
    envoy: &Envoy,
    variants: &[Variant],
    requests: usize,
) -> Result<Vec<Latency>> {
    let wanted = variants
        .iter()
        .filter(|variant| LATENCY_OF.contains(&variant.name.as_str()));
    wanted
        .map(|variant| latency(envoy, variant, requests))
        .collect()
}

fn latency(envoy: &Envoy, variant: &Variant, requests: usize) -> Result<Latency> {
    let mut connection = Connection::open(envoy.listener(&variant.name)?)?;
    let request = variant.request();
    let interval = Duration::from_secs(1) / RATE;
    let begun = Instant::now();
    let mut micros = Vec::new();
    for number in 0..u32::try_from(requests)? {
        let due = begun + interval * number;
        if let Some(wait) = due.checked_duration_since(Instant::now()) {
            std::thread::sleep(wait);
        }
        connection.exchange(&request)?;
        micros.push(due.elapsed().as_secs_f64() * 1e6);
    }
    micros.sort_by(f64::total_cmp);
    let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|share| percentile(&micros, share));
    Ok(Latency {
        name: variant.name.clone(),
        p50,
        p90,
        p99,
    })
}
