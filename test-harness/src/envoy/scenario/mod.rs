//! Scenarios on the real Envoy, and the comparison of both hosts.
//!
//! 1. One Envoy per group of cases and worker count: what costs time is compiling the module, which Envoy does again for every
//!    VM id in any case, and groups of a process would see each other's ticks and call-outs. Groups run side by side instead.
//! 2. The scenario's clusters are scripted upstreams; the client's address travels by PROXY protocol, so that `source` holds.
//! 3. Virtual time is real here: `advance` waits. What cannot run is skipped, with its reason.
//! 4. [`run_diff`] runs a group on the emulator and on Envoy. Each must be as expected by itself, and what client, upstreams,
//!    stats and the access record show must be the same on both. Envoy goes first: the emulator repeats which worker took which
//!    connection.

mod cast;
mod client;
mod diff;
mod host;
mod stats;
mod support;
mod tcp;
mod topology;
pub mod transcript;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

pub use host::EnvoyHost;

use crate::emulator::{EmulatorHost, Modules};
use crate::scenario::ScenarioFile;
use crate::scenario::load::Group;
use crate::scenario::run::{CaseResult, emulate, run_group};
use diff::Recording;

/// Runs a file on the real Envoy. Cases that it cannot run are told as skipped.
pub fn run_envoy(file: &ScenarioFile, modules: &Modules) -> Vec<CaseResult> {
    let (runnable, rest) = support::split(file);
    let run = |group: &Group, workers| {
        run_group(&mut EnvoyHost::new(modules.clone(), workers, group), group)
    };
    let mut results = side_by_side(&runnable, run);
    results.extend(rest.skipped());
    sorted(results)
}

/// Runs a file on the emulator and on the real Envoy; any difference is a failure. Cases that Envoy cannot run are run on the
/// emulator and told with the reason.
pub fn run_diff(file: &ScenarioFile, modules: &Modules) -> Vec<CaseResult> {
    let (runnable, rest) = support::split(file);
    let mut results = side_by_side(&runnable, |group, workers| both(group, workers, modules));
    let emulated = emulate(&rest.file, modules);
    results.extend(emulated.into_iter().map(|result| rest.explain(result)));
    sorted(results)
}

fn both(group: &Group, workers: u32, modules: &Modules) -> Vec<CaseResult> {
    let mut envoy = Recording::new(EnvoyHost::new(modules.clone(), workers, group));
    let real = run_group(&mut envoy, group);
    let replay = EmulatorHost::new(modules.clone(), workers, vec![0]);
    let mut emulator = Recording::new(replay.replaying(envoy.host().choices()));
    let emulated = run_group(&mut emulator, group);
    diff::join(group, emulated, real, &mut emulator, &envoy)
}

/// Runs every group at every worker count, on a few threads, and tells each case once: its first failure, or a pass.
fn side_by_side(
    file: &ScenarioFile,
    run: impl Fn(&Group, u32) -> Vec<CaseResult> + Sync,
) -> Vec<CaseResult> {
    let jobs = file
        .groups
        .iter()
        .flat_map(|group| file.workers.iter().map(move |workers| (group, *workers)));
    let jobs: Vec<_> = jobs.rev().collect();
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    // Half of a job is waiting: for an answer, a flush, time that a step lets pass.
    let threads = (2 * threads).min(jobs.len());
    let (jobs, results) = (Mutex::new(jobs), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let next = || jobs.lock().ok().and_then(|mut jobs| jobs.pop());
                while let Some((group, workers)) = next() {
                    let told = run(group, workers);
                    if let Ok(mut results) = results.lock() {
                        told.into_iter()
                            .for_each(|result| keep(&mut results, result));
                    }
                }
            });
        }
    });
    results
        .into_inner()
        .unwrap_or_default()
        .into_values()
        .collect()
}

fn sorted(mut results: Vec<CaseResult>) -> Vec<CaseResult> {
    results.sort_by_key(|result| result.index);
    results
}

fn keep(results: &mut BTreeMap<usize, CaseResult>, result: CaseResult) {
    let known = results.get(&result.index);
    let took = known.map_or(Duration::ZERO, |known| known.took) + result.took;
    if known.is_none_or(CaseResult::passed) {
        results.insert(result.index, CaseResult { took, ..result });
    }
}
