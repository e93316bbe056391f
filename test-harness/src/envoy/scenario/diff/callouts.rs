//! Call-outs as the upstream clusters saw them.
//!
//! 1. Compared over a whole group of cases: on a real Envoy ticks and answers fall into any step.
//! 2. Where no step lets time pass, each call-out that the emulator makes in a request's step reaches Envoy's upstreams as
//!    often, the same in method, path, authority, headers and body.
//! 3. Whatever reaches an upstream has a counterpart in the emulator with the same method, path, authority and headers, unless
//!    the emulator calls that cluster at no time: then only ticks do. How many ticks fit into real time is not exact.
//! 4. A cluster that refuses connections sees nothing.

use std::collections::{BTreeMap, BTreeSet};

use super::{Recording, fields, mask};
use crate::scenario::check::Finding;
use crate::scenario::host::UpstreamRequest;
use crate::scenario::load::Group;
use crate::scenario::schema::{Cluster, Failure};
use crate::scenario::text::show;

/// What differs in a group.
pub(super) fn differences<A, B>(
    group: &Group,
    timeless: bool,
    emulator: &Recording<A>,
    envoy: &Recording<B>,
) -> Vec<Finding> {
    let deaf = deaf(group);
    let hears = |call: &&UpstreamRequest| !deaf.contains(&call.cluster);
    let real = envoy.seen.iter().flat_map(|(_, seen)| &seen.callouts);
    let real: Vec<_> = real.filter(hears).collect();
    let all = emulator.seen.iter().flat_map(|(_, seen)| &seen.callouts);
    let all: Vec<_> = all.filter(hears).collect();
    let of_requests = emulator.seen.iter().filter(|(waited, _)| !waited);
    let of_requests = of_requests.flat_map(|(_, seen)| &seen.callouts);
    let of_requests: Vec<_> = of_requests.filter(hears).collect();
    let mut findings = Vec::new();
    if timeless {
        missing(&of_requests, &real, &mut findings);
    }
    strange(&all, &real, &mut findings);
    findings
}

/// What the emulator sent more often.
fn missing(emulated: &[&UpstreamRequest], real: &[&UpstreamRequest], findings: &mut Vec<Finding>) {
    let told = |calls: &[&UpstreamRequest]| {
        let mut told = BTreeMap::<String, usize>::new();
        for call in calls {
            let text = format!("{}\n{}", kind(call), mask(&show(&call.body)));
            *told.entry(text).or_default() += 1;
        }
        told
    };
    let real = told(real);
    for (call, count) in told(emulated) {
        let reached = real.get(&call).copied().unwrap_or(0);
        if reached < count {
            let others: Vec<&str> = real.keys().map(String::as_str).collect();
            let got = format!("{reached} times; all that came:\n{}", others.join("\n"));
            findings.push(Finding::new(
                "call-out",
                format!("{count} times {call}"),
                got,
            ));
        }
    }
}

/// What reached an upstream of Envoy and is unlike all that the emulator sends to that cluster.
fn strange(emulated: &[&UpstreamRequest], real: &[&UpstreamRequest], findings: &mut Vec<Finding>) {
    let kinds: BTreeSet<String> = emulated.iter().map(|call| kind(call)).collect();
    let called: BTreeSet<&str> = emulated.iter().map(|call| call.cluster.as_str()).collect();
    let strangers: BTreeSet<String> = real
        .iter()
        .filter(|call| called.contains(call.cluster.as_str()))
        .map(|call| kind(call))
        .filter(|kind| !kinds.contains(kind))
        .collect();
    for stranger in strangers {
        let known: Vec<&str> = kinds.iter().map(String::as_str).collect();
        findings.push(Finding::new("call-out", known.join("\n"), stranger));
    }
}

fn kind(call: &UpstreamRequest) -> String {
    let [method, path, authority] =
        [&call.method, &call.path, &call.authority].map(|bytes| mask(&show(bytes)));
    let headers = fields(&call.headers);
    format!("{} {method} {path} {authority}\n{headers}", call.cluster)
}

/// Clusters that refuse connections in some step.
fn deaf(group: &Group) -> BTreeSet<String> {
    let steps = group.cases.iter().flat_map(|case| &case.steps);
    let of_steps = steps.filter_map(|step| step.clusters.as_ref());
    let all = std::iter::once(&group.setup.clusters)
        .chain(group.cases.iter().map(|case| &case.clusters))
        .chain(of_steps)
        .flatten();
    let refuses = |cluster: &Cluster| cluster.reply.fail == Some(Failure::Refused);
    all.filter(|(_, cluster)| refuses(cluster))
        .map(|(name, _)| name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(path: &str, body: &str) -> UpstreamRequest {
        UpstreamRequest {
            cluster: "sink".into(),
            method: b"POST".to_vec(),
            path: path.into(),
            body: body.into(),
            ..UpstreamRequest::default()
        }
    }

    #[test]
    fn a_call_out_must_come_as_often_and_with_the_same_body() {
        let (a, b) = (call("/", "a"), call("/", "b"));
        let found = |emulated: &[&UpstreamRequest], real: &[&UpstreamRequest]| {
            let mut findings = Vec::new();
            missing(emulated, real, &mut findings);
            findings.len()
        };
        assert_eq!(
            (
                found(&[&a], &[&a]),
                found(&[&a, &a], &[&a]),
                found(&[&a], &[&b])
            ),
            (0, 1, 1)
        );
        assert_eq!(
            found(&[&a], &[&a, &b]),
            0,
            "a tick of its own is no difference"
        );
    }

    #[test]
    fn what_reaches_a_cluster_must_be_like_what_the_emulator_sends_it() {
        let (a, b, other) = (call("/", "a"), call("/", "b"), call("/other", "a"));
        let found = |emulated: &[&UpstreamRequest], real: &[&UpstreamRequest]| {
            let mut findings = Vec::new();
            strange(emulated, real, &mut findings);
            findings.len()
        };
        assert_eq!(
            (
                found(&[&a], &[&b]),
                found(&[&a], &[&other]),
                found(&[], &[&other])
            ),
            (0, 1, 0)
        );
    }
}
