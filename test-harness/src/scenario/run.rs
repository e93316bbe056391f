//! Running scenarios: each group on each worker count, and on the emulator with several assignments of requests to workers.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::check::{Finding, Judge, check_budget, check_logs};
use super::host::{Cost, Observed, ScenarioHost, Started, Stat};
use super::load::{Group, ResolvedCase, ScenarioFile};
use crate::emulator::{EmulatorHost, Modules};

/// The outcome of one case on one host.
#[derive(Debug, Clone)]
pub struct CaseResult {
    /// Name of the case.
    pub case: String,
    /// Its place in the file.
    pub index: usize,
    /// The host it ran on.
    pub host: String,
    /// How long it took.
    pub took: Duration,
    /// What is wrong, by step.
    pub faults: Vec<StepFault>,
    /// Why it did not run.
    pub skipped: Option<String>,
    /// What each callback cost.
    pub costs: Vec<Cost>,
    /// Exchanges that ended, and the time they took without the start of VMs.
    pub pace: Pace,
}

/// How fast exchanges went.
#[derive(Debug, Clone, Copy, Default)]
pub struct Pace {
    /// How many ended.
    pub exchanges: u64,
    /// In how much time.
    pub spent: Duration,
}

impl std::ops::AddAssign for Pace {
    fn add_assign(&mut self, other: Self) {
        self.exchanges += other.exchanges;
        self.spent += other.spent;
    }
}

impl CaseResult {
    /// Whether all was as expected.
    pub fn passed(&self) -> bool {
        self.faults.is_empty()
    }
}

/// What is wrong in one step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFault {
    /// The step's name, or its number.
    pub step: String,
    /// What is wrong.
    pub finding: Finding,
}

/// Runs a group on a host.
#[allow(
    clippy::disallowed_methods,
    reason = "tells how long a case took, decides nothing"
)]
pub fn run_group(host: &mut dyn ScenarioHost, group: &Group) -> Vec<CaseResult> {
    let mut results = Vec::new();
    let mut running = false;
    for (position, case) in group.cases.iter().enumerate() {
        let begun = Instant::now();
        let mut run = Run {
            faults: Vec::new(),
            before: BTreeMap::new(),
            costs: Vec::new(),
            pace: Pace::default(),
        };
        let outcome = if running {
            Ok(())
        } else {
            start(host, group, case, position == 0, &mut run)
        };
        match outcome {
            Ok(()) => {
                running = run.faults.is_empty() && !group.setup.refused;
                let serving = Instant::now();
                if running && let Err(error) = run.case(host, case, group) {
                    run.fault(
                        "run",
                        Finding::new("host", "a step that can be done", format!("{error:#}")),
                    );
                }
                run.pace.spent = serving.elapsed();
            }
            Err(error) => run.fault(
                "load",
                Finding::new("host", "a gateway that starts", format!("{error:#}")),
            ),
        }
        // After a failure the next case gets new VMs, so that one fault is told once.
        running &= run.faults.is_empty();
        results.push(CaseResult {
            case: case.name.clone(),
            index: case.index,
            host: host.name(),
            took: begun.elapsed(),
            faults: run.faults,
            skipped: None,
            costs: run.costs,
            pace: run.pace,
        });
    }
    results
}

/// Starts the gateway, and checks what came of it.
fn start(
    host: &mut dyn ScenarioHost,
    group: &Group,
    case: &ResolvedCase,
    first: bool,
    run: &mut Run,
) -> anyhow::Result<()> {
    let started = host.start(&group.setup)?;
    let seen = host.observe()?;
    let mut findings = Vec::new();
    let expected = if group.setup.refused {
        Started::Refused
    } else {
        Started::Running
    };
    if started != expected {
        let logs: Vec<String> = seen
            .logs
            .iter()
            .map(|l| format!("[{:?}] {}", l.level, l.message))
            .collect();
        let got = format!(
            "{started:?}\n{}\n{}",
            logs.join("\n"),
            seen.traps.join("\n")
        );
        findings.push(Finding::new("load", format!("{expected:?}"), got));
    }
    if let Some(load) = case.load.as_ref().filter(|_| first) {
        check_logs(&load.logs, &seen.logs, &mut findings);
    }
    for finding in findings {
        run.fault("load", finding);
    }
    run.before = seen.stats;
    run.costs.extend(seen.costs);
    Ok(())
}

struct Run {
    faults: Vec<StepFault>,
    before: BTreeMap<String, Stat>,
    costs: Vec<Cost>,
    pace: Pace,
}

impl Run {
    fn fault(&mut self, step: &str, finding: Finding) {
        self.faults.push(StepFault {
            step: step.to_owned(),
            finding,
        });
    }

    fn case(
        &mut self,
        host: &mut dyn ScenarioHost,
        case: &ResolvedCase,
        group: &Group,
    ) -> anyhow::Result<()> {
        host.set_clusters(&case.clusters)?;
        if self.before.is_empty() {
            self.before = host.observe()?.stats;
        }
        let at_start = self.before.clone();
        let mut all = Observed::default();
        for (number, step) in case.steps.iter().enumerate() {
            let name = step
                .name
                .clone()
                .unwrap_or_else(|| format!("step {}", number + 1));
            host.act(step)?;
            let seen = host.observe()?;
            self.pace.exchanges += seen.exchanges.len() as u64;
            let wants = !step.expect.prometheus.is_empty();
            let prometheus = if wants {
                host.prometheus(&group.setup.labels)?
            } else {
                String::new()
            };
            let blind = host.blind_spots();
            let judge = Judge {
                allow: &case.allow,
                blind,
                before: &self.before,
                prometheus: &prometheus,
            };
            for finding in judge.check(&step.expect, &seen) {
                self.fault(&name, finding);
            }
            if let Some(reload) = &step.reload
                && seen
                    .reload_refused
                    .is_some_and(|refused| refused != reload.refused)
            {
                let word = |refused: bool| if refused { "refused" } else { "accepted" };
                self.fault(
                    &name,
                    Finding::new("reload", word(reload.refused), word(!reload.refused)),
                );
            }
            self.before.clone_from(&seen.stats);
            gather(&mut all, seen);
            if !self.faults.is_empty() {
                return Ok(());
            }
        }
        self.end(host, case, group, &at_start, &all)
    }

    /// Expectations on the whole case.
    fn end(
        &mut self,
        host: &mut dyn ScenarioHost,
        case: &ResolvedCase,
        group: &Group,
        at_start: &BTreeMap<String, Stat>,
        all: &Observed,
    ) -> anyhow::Result<()> {
        for finding in Judge::unread(all) {
            self.fault("end", finding);
        }
        let mut findings = Vec::new();
        check_budget(&case.budget, all, &mut findings);
        if case.steps.len() != 1 || !is_default(case) {
            let wants = !case.total.prometheus.is_empty();
            let prometheus = if wants {
                host.prometheus(&group.setup.labels)?
            } else {
                String::new()
            };
            // Steps have judged what is unexpected; here only what is written counts.
            let mut allow = case.allow.clone();
            (allow.hang, allow.trap, allow.phase) = (true, true, true);
            allow.logs.push(String::new());
            allow
                .callouts
                .extend(all.callouts.iter().map(|callout| callout.cluster.clone()));
            let blind = host.blind_spots();
            let judge = Judge {
                allow: &allow,
                blind,
                before: at_start,
                prometheus: &prometheus,
            };
            findings.extend(judge.check(&case.total, all));
        }
        for finding in findings {
            self.fault("whole case", finding);
        }
        self.costs.extend(all.costs.iter().cloned());
        Ok(())
    }
}

fn is_default(case: &ResolvedCase) -> bool {
    case.total.metrics.is_empty() && case.total.logs.is_empty() && case.total.callouts.is_empty()
}

fn gather(all: &mut Observed, seen: Observed) {
    all.exchanges.extend(seen.exchanges);
    all.callouts.extend(seen.callouts);
    all.logs.extend(seen.logs);
    all.traps.extend(seen.traps);
    all.faults.extend(seen.faults);
    all.costs.extend(seen.costs);
    all.stats = seen.stats;
    all.shared_data = seen.shared_data;
    all.unread = seen.unread;
}

/// Runs a file on the emulator: each worker count, several assignments. A case is reported once: its first failure, or a pass.
pub fn emulate(file: &ScenarioFile, modules: &Modules) -> Vec<CaseResult> {
    emulate_with(file, |workers, assignment| {
        EmulatorHost::new(modules.clone(), workers, assignment)
    })
}

/// The same with hosts of the caller's making.
pub fn emulate_with(
    file: &ScenarioFile,
    make: impl Fn(u32, Vec<u32>) -> EmulatorHost,
) -> Vec<CaseResult> {
    let mut by_index: BTreeMap<usize, CaseResult> = BTreeMap::new();
    for workers in &file.workers {
        for group in &file.groups {
            for assignment in assignments(*workers, requests(group)) {
                let mut host = make(*workers, assignment);
                for mut result in run_group(&mut host, group) {
                    let known = by_index.get(&result.index);
                    if known.is_some_and(|known| !known.passed()) {
                        continue;
                    }
                    if let Some(known) = known {
                        result.took += known.took;
                        result.pace += known.pace;
                    }
                    by_index.insert(result.index, result);
                }
            }
        }
    }
    by_index.into_values().collect()
}

/// The most requests that a case of this group sends.
fn requests(group: &Group) -> u32 {
    let of_case = |case: &ResolvedCase| {
        case.steps
            .iter()
            .map(|step| match &step.request {
                Some(request) => request.repeat.max(1),
                None => u32::from(step.connection.is_some()),
            })
            .sum()
    };
    group.cases.iter().map(of_case).max().unwrap_or(0)
}

/// Which worker serves which request: all ways for up to four requests on two workers (the first one's worker is any), a few
/// for more. Each is used over and over within a case.
fn assignments(workers: u32, requests: u32) -> Vec<Vec<u32>> {
    if workers <= 1 || requests == 0 {
        return vec![vec![0]];
    }
    if requests == 1 {
        return vec![vec![0], vec![workers - 1]];
    }
    let places = requests.min(if workers == 2 { 4 } else { 3 });
    let mut all = vec![vec![0]];
    for _ in 1..places {
        all = all
            .into_iter()
            .flat_map(|plan| {
                let next = plan
                    .iter()
                    .max()
                    .map_or(0, |most| most + 1)
                    .min(workers - 1);
                (0..=next).map(move |worker| [plan.clone(), vec![worker]].concat())
            })
            .collect();
    }
    if requests > places {
        all.retain(|plan| plan.iter().any(|worker| *worker != 0));
        all.truncate(3);
        all.push(vec![0]);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_workers_see_every_assignment_of_few_requests() {
        assert_eq!(assignments(1, 9), vec![vec![0]]);
        assert_eq!(assignments(2, 2), vec![vec![0, 0], vec![0, 1]]);
        assert_eq!(assignments(2, 3).len(), 4);
        assert_eq!(assignments(2, 4).len(), 8);
        assert_eq!(assignments(2, 100).len(), 4);
    }
}
