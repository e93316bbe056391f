//! What a real Envoy cannot be made to do, or not in reasonable time: such cases are skipped, and say why.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::scenario::ScenarioFile;
use crate::scenario::load::{Group, ResolvedCase};
use crate::scenario::run::{CaseResult, Pace};
use crate::scenario::schema::{Cluster, Failure};
use crate::scenario::step::{HttpVersion, Request, Step};

/// Real time that one case may spend waiting.
const LONGEST_WAIT: Duration = Duration::from_secs(20);

/// Cases that a real Envoy cannot run, and why.
pub(super) struct Rest {
    /// The file with these cases only.
    pub(super) file: ScenarioFile,
    reasons: BTreeMap<usize, String>,
}

impl Rest {
    /// Results that say that a case did not run.
    pub(super) fn skipped(&self) -> impl Iterator<Item = CaseResult> {
        let cases = self.file.groups.iter().flat_map(|group| &group.cases);
        cases.map(|case| {
            self.explain(CaseResult {
                case: case.name.clone(),
                index: case.index,
                host: "envoy".to_owned(),
                took: Duration::ZERO,
                faults: Vec::new(),
                skipped: None,
                costs: Vec::new(),
                pace: Pace::default(),
            })
        })
    }

    /// The result with the reason why Envoy did not run the case.
    pub(super) fn explain(&self, result: CaseResult) -> CaseResult {
        let skipped = self.reasons.get(&result.index).cloned();
        CaseResult { skipped, ..result }
    }
}

/// The file with the cases that a real Envoy can run, and the rest.
pub(super) fn split(file: &ScenarioFile) -> (ScenarioFile, Rest) {
    let (mut runnable, mut others) = (Vec::new(), Vec::new());
    let mut reasons = BTreeMap::new();
    for group in &file.groups {
        let of_setup = || clusters_obstacle(group.setup.clusters.values());
        let obstacles = group
            .cases
            .iter()
            .map(|case| obstacle(case).or_else(of_setup));
        let (mut can, mut cannot) = (Vec::new(), Vec::new());
        for (case, obstacle) in group.cases.iter().zip(obstacles) {
            match obstacle {
                None => can.push(case.clone()),
                Some(reason) => {
                    reasons.insert(case.index, reason);
                    cannot.push(case.clone());
                }
            }
        }
        let with = |cases: Vec<ResolvedCase>| Group {
            setup: group.setup.clone(),
            cases,
        };
        runnable.extend(Some(with(can)).filter(|group| !group.cases.is_empty()));
        others.extend(Some(with(cannot)).filter(|group| !group.cases.is_empty()));
    }
    let with = |groups| ScenarioFile {
        groups,
        ..file.clone()
    };
    (
        with(runnable),
        Rest {
            file: with(others),
            reasons,
        },
    )
}

fn obstacle(case: &ResolvedCase) -> Option<String> {
    let waits: Duration = case
        .steps
        .iter()
        .filter_map(|step| step.advance)
        .map(|span| span.0)
        .sum();
    if let Some(reason) = &case.emulator_only {
        return Some(reason.clone());
    }
    if waits > LONGEST_WAIT {
        return Some(format!("waits {waits:?} of virtual time"));
    }
    case.steps
        .iter()
        .find_map(step_obstacle)
        .or_else(|| clusters_obstacle(case.clusters.values()))
}

fn step_obstacle(step: &Step) -> Option<String> {
    if step.reload.is_some() {
        return Some("`reload` needs a control plane".to_owned());
    }
    let clusters = step.clusters.iter().flat_map(BTreeMap::values);
    clusters_obstacle(clusters).or_else(|| step.request.as_ref().and_then(request_obstacle))
}

fn request_obstacle(request: &Request) -> Option<String> {
    let tls = request.tls.as_ref();
    let obstacles = [
        (request.http == HttpVersion::Http2, "an HTTP/2 client"),
        (!request.trailers.0.is_empty(), "request trailers"),
        (
            !request.metadata.is_empty(),
            "dynamic metadata of an earlier filter",
        ),
        (tls.is_some_and(|tls| tls.mtls), "a client certificate"),
        (
            tls.is_some_and(|tls| !matches!(tls.version.as_str(), "TLSv1.2" | "TLSv1.3")),
            "an outdated TLS version",
        ),
    ];
    let found = obstacles.into_iter().find(|(present, _)| *present);
    found.map(|(_, what)| format!("{what} is not played on the real Envoy"))
}

/// A refused connection tells nobody which request it was, so it cannot be one of a sequence.
fn clusters_obstacle<'a>(mut clusters: impl Iterator<Item = &'a Cluster>) -> Option<String> {
    let refuses = |cluster: &Cluster| {
        let mut replies = cluster.sequence.iter().chain(cluster.paths.values());
        replies.any(|reply| reply.fail == Some(Failure::Refused))
    };
    clusters
        .any(refuses)
        .then(|| "a refused connection in a sequence is not played on the real Envoy".to_owned())
}
